//! Why a node fails a check, where it does.

/// The explanation for `node` and `check`.
pub(crate) fn explanation(node: &str, check: &str) -> Option<&'static str> {
    let known = EXPLANATIONS.iter().find(|(of, checks, _)| node.starts_with(of) && checks.contains(&check));
    known.map(|(_, _, why)| *why)
}

/// Node, checks, and what is behind them.
const EXPLANATIONS: &[(&str, &[&str], &str)] = &[
    (
        "libtorrent",
        &["krpc.t.missing", "krpc.t.empty", "krpc.t.integer"],
        "It answers with an empty transaction id. Harmless: nobody can match the answer.",
    ),
    (
        "libtorrent",
        &["krpc.unknown.code", "krpc.unknown.case", "samples.unknown.code"],
        "It says 203 for whatever it does not understand; BEP 5 has 204 for unknown methods.",
    ),
    (
        "libtorrent",
        &["routing.answers-only", "routing.checks-newcomers"],
        "A second query from the same contact clears the mark that says that it never answered, and moves it into the \
         live bucket: forged queries, two each, fill the table with addresses that nobody has verified.",
    ),
    (
        "libtorrent",
        &["peers.port.implied.absent"],
        "It demands a port also where `implied_port` says to ignore it. So an announce should always carry one.",
    ),
    (
        "libtorrent",
        &["peers.port.zero", "peers.port.zero.code"],
        "It stores port 0 and hands it out. So port 0 must be expected in `values`, and passed over.",
    ),
    (
        "libtorrent",
        &["peers.many"],
        "It counts peers, 100 over IPv4, not bytes. BEP 32 binds the IPv6 DHT, and over IPv4 such a datagram arrives \
         nearly everywhere; but readers with a buffer of 1,024 bytes lose all of it.",
    ),
    (
        "libtorrent",
        &["items.mutable.signature.short"],
        "A signature of another length than 64 counts as none, and the put as that of an immutable item, stored under \
         the target of the key: an unsigned value in the place of a signed one. Readers must verify, and do.",
    ),
];
