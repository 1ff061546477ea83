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
    (
        "mainline",
        &[
            "krpc.t.1",
            "krpc.t.2",
            "krpc.t.6",
            "krpc.t.8",
            "krpc.t.20",
            "krpc.t.binary",
            "krpc.t.bencode",
            "krpc.error.shape",
        ],
        "It reads messages into a structure whose transaction id has exactly four bytes, and drops all others: it is \
         silent to libtorrent (2 bytes) and mldht (6). So ours always have four.",
    ),
    (
        "mainline",
        &[
            "krpc.q.missing.code",
            "krpc.q.integer.code",
            "krpc.a.missing.code",
            "krpc.a.list.code",
            "krpc.id.missing.code",
            "krpc.id.short.code",
            "krpc.unknown.code",
            "krpc.unknown.case",
            "krpc.error.canonical",
            "routing.target.missing.code",
            "routing.target.short.code",
            "tokens.missing.code",
            "peers.info_hash.missing.code",
            "peers.port.missing.code",
            "security.ip.error",
            "security.amplify.error",
        ],
        "What does not fit into its structures is dropped in silence: it has errors for tokens and items only. Harmless, \
         but the asker waits for its timeout.",
    ),
    (
        "mainline",
        &["krpc.unknown.target", "krpc.unknown.info_hash"],
        "Methods that it does not know are dropped in silence, so extensions cannot be routed through it.",
    ),
    ("mainline", &["krpc.ro.type"], "A `ro` that is no number spoils the whole message for it."),
    (
        "mainline",
        &["routing.answers-only", "routing.checks-newcomers", "security.id.zero-asker"],
        "Where it was given no node to begin with, whoever sends `find_node` enters its table at once, without being \
         asked, and under the id that it searches for. Only the first node of a network runs so.",
    ),
    (
        "mainline",
        &["routing.learns"],
        "It learns contacts from its own lookups; an asker enters its table only while it has no bootstrap node.",
    ),
    (
        "mainline",
        &["tokens.other-hash"],
        "Its tokens cover the address only: a token for one infohash opens all. BEP 5 allows that.",
    ),
    (
        "mainline",
        &["tokens.unforgeable"],
        "Its token is a CRC-32C over the address and a secret. That is linear: tokens that one was given at three \
         addresses add up to the token of a fourth, so peers can be announced in the name of others.",
    ),
    ("mainline", &["peers.port.implied.absent"], "It demands a port also where `implied_port` says to ignore it."),
    ("mainline", &["peers.port.zero", "peers.port.zero.code"], "It stores port 0 and hands it out."),
    ("mainline", &["peers.many.values"], "It keys peers by the id of the announcer and gives a random sample of few."),
    ("mainline", &["ipv6.want.n6"], "It speaks IPv4 only and ignores `want`: the asker gets what it did not ask for."),
    (
        "mainline",
        &["security.amplify.find_node", "security.amplify.get_peers", "routing.find_node.k"],
        "Its K is 20: 20 contacts, 520 bytes, for a query of 94.",
    ),
    (
        "mainline",
        &[
            "items.immutable.string",
            "items.immutable.integer",
            "items.immutable.list",
            "items.immutable.dict",
            "items.immutable.binary",
            "items.immutable.1000",
            "items.immutable.canonical",
            "items.immutable.others",
            "items.immutable.plain",
            "items.token.wrong.code",
            "items.v.large.code",
            "items.mutable",
            "items.mutable.canonical",
            "items.mutable.vector",
            "items.mutable.vector.salt",
            "items.mutable.signature.code",
            "items.salt",
            "items.salt.64",
            "items.salt.65.code",
            "items.seq.newer",
            "items.seq.older",
            "items.seq.equal",
            "items.seq.older.code",
            "items.seq.again",
            "items.seq.huge",
            "items.get.seq.older",
            "items.get.seq.current",
            "items.cas.match",
            "items.cas.conflict",
            "items.cas.conflict.code",
            "items.cas.first",
        ],
        "It drops a `put` that names no `target`, an argument that BEP 44 does not have: it stores the items of its own \
         kind only.",
    ),
];
