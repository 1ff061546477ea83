//! Two families, and what an asker wants of them (BEP 32).

use crate::conform::Test::{Run, Served};
use crate::conform::probe::{FIND_NODE, GET_PEERS, Probe, sendable_contacts};
use crate::conform::reply::{Results, expect, skipped};
use crate::conform::{Check, Outcome, Source, must, should};

use super::peers::MAX_DATAGRAM;

const WANT: &str = "BEP 32, want";
const BOTH: &[u8] = b"d1:ad2:id20:{id}6:target20:{hash}4:wantl2:n42:n6ee1:q9:find_node1:t4:{t}1:y1:qe";
const N4: &[u8] = b"d1:ad2:id20:{id}6:target20:{hash}4:wantl2:n4ee1:q9:find_node1:t4:{t}1:y1:qe";
const N6: &[u8] = b"d1:ad2:id20:{id}6:target20:{hash}4:wantl2:n6ee1:q9:find_node1:t4:{t}1:y1:qe";
const NEITHER_KNOWN: &[u8] = b"d1:ad2:id20:{id}6:target20:{hash}4:wantl2:n82:n9ee1:q9:find_node1:t4:{t}1:y1:qe";
const PEERS_BOTH: &[u8] = b"d1:ad2:id20:{id}9:info_hash20:{hash}4:wantl2:n42:n6ee1:q9:get_peers1:t4:{t}1:y1:qe";
const PEERS_N4: &[u8] = b"d1:ad2:id20:{id}9:info_hash20:{hash}4:wantl2:n4ee1:q9:get_peers1:t4:{t}1:y1:qe";
const PEERS_N6: &[u8] = b"d1:ad2:id20:{id}9:info_hash20:{hash}4:wantl2:n6ee1:q9:get_peers1:t4:{t}1:y1:qe";

#[rustfmt::skip]
pub(super) const CHECKS: &[Check] = &[
    must("ipv6.want.absent", WANT, "without want find_node gives contacts of the family of the datagram only", Run(|p| own_family_only(p, FIND_NODE))),
    must("ipv6.want.absent.peers", WANT, "without want get_peers gives contacts of the family of the datagram only", Run(|p| own_family_only(p, GET_PEERS))),
    should("ipv6.want.n4", WANT, "want = n4 gives nodes and no nodes6", Run(|p| wanted(p, N4, "nodes", "nodes6"))),
    should("ipv6.want.n6", WANT, "want = n6 gives nodes6 and no nodes", Run(|p| wanted(p, N6, "nodes6", "nodes"))),
    must("ipv6.want.both", WANT, "want = n4, n6 is served with at least the family of the datagram", Run(|p| both(p, BOTH))),
    must("ipv6.want.both.peers", WANT, "want = n4, n6 in get_peers is served with at least the family of the datagram", Run(|p| both(p, PEERS_BOTH))),
    must("ipv6.want.unknown", WANT, "families that it does not know are passed over beside one that it knows", Run(unknown)),
    should("ipv6.want.unknown-only", WANT, "a want of nothing known is served", Served(NEITHER_KNOWN)),
    should("ipv6.want.empty", "libtorrent, mldht", "an empty want is served", Served(b"d1:ad2:id20:{id}6:target20:{hash}4:wantlee1:q9:find_node1:t4:{t}1:y1:qe")),
    should("ipv6.want.text", "libtorrent", "a want that is a text, not a list, is served", Served(b"d1:ad2:id20:{id}6:target20:{hash}4:want2:n4e1:q9:find_node1:t4:{t}1:y1:qe")),
    should("ipv6.want.integers", "libtorrent", "a want of numbers is served", Served(b"d1:ad2:id20:{id}6:target20:{hash}4:wantli4ei6eee1:q9:find_node1:t4:{t}1:y1:qe")),
    must("ipv6.values.family", "BEP 32, get_peers", "want does not change the family of peers: that of the datagram", Run(family_of_values)),
    must("ipv6.size.find_node", "BEP 32: at most 1,024 bytes", "find_node for both families is answered within 1,024 bytes", Run(|p| size(p, BOTH))),
    must("ipv6.size.get_peers", "BEP 32: at most 1,024 bytes", "get_peers for both families is answered within 1,024 bytes", Run(|p| size(p, PEERS_BOTH))),
    must("ipv6.nodes6.records", "BEP 32, nodes6", "nodes6 consists of whole records of 38 bytes that can be sent to", Run(records)),
    must("ipv6.announce", "BEP 32, announce_peer", "over IPv6, an announce stores an IPv6 peer of 18 bytes", Run(announce)),
    should("ipv6.size.incoming", "BEP 32: receives 1,024 bytes", "a query of 1,024 bytes is served", Run(large_query)),
    should("ipv6.want.twice", WANT, "a family that is wanted twice is given once", Run(|p| { let key = p.own_nodes(); let wanted: &[u8] = if key == "nodes" { b"n4" } else { b"n6" }; p.ask(b"d1:ad2:id20:{id}6:target20:{hash}4:wantl2:{wanted}2:{wanted}ee1:q9:find_node1:t4:{t}1:y1:qe", &[("wanted", wanted)])?.results()?.contacts(key).map(drop) })),
    should("ipv6.want.many", WANT, "a want of 40 unknown families is served", Run(|p| p.ask(b"d1:ad2:id20:{id}6:target20:{hash}4:wantl{many}ee1:q9:find_node1:t4:{t}1:y1:qe", &[("many", &b"2:n7".repeat(40))])?.results().map(drop))),
    should("ipv6.want.peers.n4", WANT, "want = n4 in get_peers gives nodes and no nodes6", Run(|p| wanted(p, PEERS_N4, "nodes", "nodes6"))),
    should("ipv6.want.peers.n6", WANT, "want = n6 in get_peers gives nodes6 and no nodes", Run(|p| wanted(p, PEERS_N6, "nodes6", "nodes"))),
];

fn other(key: &str) -> &'static str {
    if key == "nodes" { "nodes6" } else { "nodes" }
}

fn own_family_only(p: &mut Probe<'_>, query: &[u8]) -> Outcome {
    let key = p.own_nodes();
    let reply = p.ask(query, &[])?;
    let results = reply.results()?;
    results.contacts(key)?;
    results.lacks(other(key))
}

fn wanted(p: &mut Probe<'_>, query: &[u8], there: &str, not_there: &str) -> Outcome {
    let reply = p.ask(query, &[])?;
    let results = reply.results()?;
    // A node of one family alone has nothing to say about the other.
    if p.own_nodes() == there || results.get(there).is_some() {
        results.contacts(there)?;
    }
    results.lacks(not_there)
}

fn both(p: &mut Probe<'_>, query: &[u8]) -> Outcome {
    let key = p.own_nodes();
    let reply = p.ask(query, &[])?;
    let results = reply.results()?;
    results.contacts(key)?;
    other_if_there(results, other(key))
}

fn other_if_there(results: Results<'_>, key: &str) -> Outcome {
    if results.get(key).is_some() { results.contacts(key).map(drop) } else { Ok(()) }
}

fn unknown(p: &mut Probe<'_>) -> Outcome {
    let (key, wanted) = if p.own_nodes() == "nodes" { ("nodes", b"n4") } else { ("nodes6", b"n6") };
    let query = b"d1:ad2:id20:{id}6:target20:{hash}4:wantl2:n92:{wanted}4:whatee1:q9:find_node1:t4:{t}1:y1:qe";
    p.ask(query, &[("wanted", wanted)])?.results()?.contacts(key).map(drop)
}

fn family_of_values(p: &mut Probe<'_>) -> Outcome {
    p.announce(Source::Main, 7003)?;
    let length = if p.own_nodes() == "nodes" { 6 } else { 18 };
    for query in [PEERS_N6, PEERS_BOTH] {
        let reply = p.ask_from(Source::SecondPort, query, &[])?;
        let values = reply.results()?.values()?;
        if values.is_empty() {
            return Err(p.not_listed("no peers"));
        }
        expect(values.iter().all(|value| value.len() == length), format!("a peer has not {length} bytes"))?;
    }
    Ok(())
}

fn size(p: &mut Probe<'_>, query: &[u8]) -> Outcome {
    let length = p.response_length(query)?;
    expect(length <= MAX_DATAGRAM, format!("{length} bytes"))
}

fn records(p: &mut Probe<'_>) -> Outcome {
    let reply = p.ask(BOTH, &[])?;
    let results = reply.results()?;
    match results.get("nodes6") {
        Some(_) => sendable_contacts(results, "nodes6"),
        None => Err(skipped("it gives no nodes6")),
    }
}

fn announce(p: &mut Probe<'_>) -> Outcome {
    if p.own_nodes() == "nodes" {
        return Err(skipped("the target was given by its IPv4 address"));
    }
    p.announce(Source::Main, 7003)?;
    p.expect_listed(Source::Main, 7003)
}

fn large_query(p: &mut Probe<'_>) -> Outcome {
    let query = b"d1:ad2:id20:{id}7:padding{#padding}e1:q4:ping1:t4:{t}1:y1:qe";
    let padding = [b'p'; MAX_DATAGRAM - 71];
    debug_assert_eq!(p.filled(Source::Main, query, &[("padding", &padding)]).len(), MAX_DATAGRAM);
    p.ask(query, &[("padding", &padding)])?.results().map(drop)
}
