//! Swarms: what is announced is found, as it was announced, and nothing else (BEP 5, `get_peers`, `announce_peer`).

use std::net::SocketAddr;

use crate::conform::Test::{Canonical, NotServed, Refused, Run};
use crate::conform::probe::{GET_PEERS, Probe};
use crate::conform::reply::{expect, skipped};
use crate::conform::{Check, Outcome, Source, Trouble, must, should};
use crate::engine::contact::is_local;

const GET: &str = "BEP 5, get_peers";
const ANNOUNCE: &str = "BEP 5, announce_peer";
const ERRORS: &str = "BEP 5, Errors";
const ENCODING: &str = "BEP 5, Contact Encoding; BEP 32";
const PORT: u16 = 7002;
/// Largest datagram (BEP 32).
pub(super) const MAX_DATAGRAM: usize = 1024;

#[rustfmt::skip]
pub(super) const CHECKS: &[Check] = &[
    must("peers.get.nodes", GET, "a swarm that it does not know is answered with contacts", Run(nodes)),
    must("peers.get.canonical", "BEP 3, bencoding", "the answer to get_peers is canonical bencoding", Canonical(GET_PEERS)),
    must("peers.get.unknown", GET, "a swarm that it does not know has no peers", Run(unknown)),
    must("peers.info_hash.missing", GET, "get_peers without an infohash is not served", NotServed(b"d1:ad2:id20:{id}e1:q9:get_peers1:t4:{t}1:y1:qe")),
    should("peers.info_hash.missing.code", ERRORS, "get_peers without an infohash is refused with 203", Refused(203, b"d1:ad2:id20:{id}e1:q9:get_peers1:t4:{t}1:y1:qe")),
    must("peers.info_hash.short", GET, "an infohash of 19 bytes is not served", NotServed(b"d1:ad2:id20:{id}9:info_hash19:0123456789012345678e1:q9:get_peers1:t4:{t}1:y1:qe")),
    must("peers.info_hash.long", "BEP 52", "an infohash of 32 bytes must be cut by the asker: it is not served", NotServed(b"d1:ad2:id20:{id}9:info_hash32:01234567890123456789012345678901e1:q9:get_peers1:t4:{t}1:y1:qe")),
    must("peers.info_hash.integer", GET, "an infohash that is a number is not served", NotServed(b"d1:ad2:id20:{id}9:info_hashi7ee1:q9:get_peers1:t4:{t}1:y1:qe")),
    must("peers.stored", ANNOUNCE, "a peer that was announced is found by another asker", Run(stored)),
    must("peers.stored.canonical", "BEP 3, bencoding", "an answer with peers is canonical bencoding", Run(stored_canonical)),
    must("peers.announce.canonical", "BEP 3, bencoding", "the answer to an announce is canonical bencoding", Run(announce_canonical)),
    must("peers.values.shape", ENCODING, "values is a list of strings of 6 bytes (18 over IPv6)", Run(values_shape)),
    should("peers.values.nodes", "BEP 32; libtorrent, mldht, jech/dht", "contacts come also with peers", Run(values_with_nodes)),
    should("peers.values.unique", GET, "a peer that announced twice is listed once", Run(listed_once)),
    must("peers.swarms.apart", GET, "a peer of one swarm is not listed in another", Run(swarms_apart)),
    must("peers.two", GET, "two peers of a swarm are both listed", Run(two_peers)),
    must("peers.ip.source", ANNOUNCE, "the address of a peer is that of the datagram, whatever its arguments say", Run(ip_of_source)),
    must("peers.port.given", ANNOUNCE, "with implied_port = 0 the port is the argument", Run(|p| port(p, b"12:implied_porti0e9:info_hash20:{hash}4:porti{port}e5:token{#token}", false))),
    must("peers.port.implied", ANNOUNCE, "with implied_port = 1 the port is that of the datagram", Run(|p| port(p, b"12:implied_porti1e9:info_hash20:{hash}4:porti{port}e5:token{#token}", true))),
    must("peers.port.implied.absent", ANNOUNCE, "with implied_port = 1 no port is needed", Run(|p| port(p, b"12:implied_porti1e9:info_hash20:{hash}5:token{#token}", true))),
    should("peers.port.implied.zero", "clients send both", "with implied_port = 1 a port of 0 is ignored", Run(|p| port(p, b"12:implied_porti1e9:info_hash20:{hash}4:porti0e5:token{#token}", true))),
    must("peers.port.missing", ANNOUNCE, "an announce without a port is not stored", Run(|p| not_stored(p, b"9:info_hash20:{hash}5:token{#token}"))),
    must("peers.port.zero", "jech/dht, mldht", "port 0 is not stored: nobody can be there", Run(|p| not_stored(p, b"9:info_hash20:{hash}4:porti0e5:token{#token}"))),
    must("peers.port.negative", ANNOUNCE, "a negative port is not stored", Run(|p| not_stored(p, b"9:info_hash20:{hash}4:porti-1e5:token{#token}"))),
    must("peers.port.large", ANNOUNCE, "a port of 65536 + 7002 is not stored", Run(|p| not_stored(p, b"9:info_hash20:{hash}4:porti72538e5:token{#token}"))),
    must("peers.port.text", ANNOUNCE, "a port that is a text is not stored", Run(|p| not_stored(p, b"9:info_hash20:{hash}4:port4:70025:token{#token}"))),
    should("peers.port.missing.code", ERRORS, "an announce without a port is refused with 203", Run(|p| code(p, b"9:info_hash20:{hash}5:token{#token}"))),
    should("peers.port.zero.code", ERRORS, "port 0 is refused with 203", Run(|p| code(p, b"9:info_hash20:{hash}4:porti0e5:token{#token}"))),
    must("peers.announce.info_hash", ANNOUNCE, "an announce of no swarm is not served", NotServed(b"d1:ad2:id20:{id}4:porti7002e5:token8:whatevere1:q13:announce_peer1:t4:{t}1:y1:qe")),
    should("peers.announce.name", "libtorrent sends the name of a torrent", "arguments that it does not know do no harm", Run(|p| port(p, b"9:info_hash20:{hash}1:n5:title4:name5:title4:porti{port}e4:seedi1e5:token{#token}", false))),
    should("peers.update", "BEP 33: one entry per address and swarm", "many ports of one address do not fill a swarm", Run(many_ports)),
    must("peers.many", "BEP 32: at most 1,024 bytes", "a large swarm is answered within 1,024 bytes", Run(large_swarm)),
    should("peers.many.values", "BEP 5, get_peers", "a large swarm is answered with many peers: 20 at least", Run(large_swarm_values)),
];

fn nodes(p: &mut Probe<'_>) -> Outcome {
    let key = p.own_nodes();
    p.ask(GET_PEERS, &[])?.results()?.contacts(key).map(drop)
}

fn unknown(p: &mut Probe<'_>) -> Outcome {
    let peers = p.peers(Source::Main)?;
    expect(peers.is_empty(), format!("{peers:?} for an infohash that nobody has"))
}

fn stored(p: &mut Probe<'_>) -> Outcome {
    p.announce(Source::Main, PORT)?;
    expect(p.lists(Source::Main, PORT)?, "the peer is not listed")
}

fn stored_canonical(p: &mut Probe<'_>) -> Outcome {
    p.announce(Source::Main, PORT)?;
    p.canonical(GET_PEERS)
}

fn announce_canonical(p: &mut Probe<'_>) -> Outcome {
    let token = p.token(Source::Main)?;
    let reply = p.announce_by(Source::Main, b"9:info_hash20:{hash}4:porti{port}e5:token{#token}", PORT, &token)?;
    expect(crate::conform::tree::is_canonical(&reply.bytes), "the answer is not canonical bencoding")
}

fn values_shape(p: &mut Probe<'_>) -> Outcome {
    p.announce(Source::Main, PORT)?;
    let length = if p.own_nodes() == "nodes" { 6 } else { 18 };
    let reply = p.ask_from(Source::SecondPort, GET_PEERS, &[])?;
    let values = reply.results()?.values()?;
    expect(!values.is_empty(), "no values")?;
    expect(values.iter().all(|value| value.len() == length), format!("a value has not {length} bytes"))
}

fn values_with_nodes(p: &mut Probe<'_>) -> Outcome {
    p.announce(Source::Main, PORT)?;
    let key = p.own_nodes();
    let reply = p.ask_from(Source::SecondPort, GET_PEERS, &[])?;
    reply.results()?.contacts(key).map(drop)
}

fn listed_once(p: &mut Probe<'_>) -> Outcome {
    p.announce(Source::Main, PORT)?;
    p.announce(Source::Main, PORT)?;
    let ours = SocketAddr::new(p.ip(Source::Main)?, PORT);
    let listed = p.peers(Source::SecondPort)?.iter().filter(|&&peer| peer == ours).count();
    expect(listed == 1, format!("it is listed {listed} times"))
}

fn swarms_apart(p: &mut Probe<'_>) -> Outcome {
    p.announce(Source::Main, PORT)?;
    p.next_hash();
    expect(!p.lists(Source::Main, PORT)?, "it is listed in a swarm that it never joined")
}

fn two_peers(p: &mut Probe<'_>) -> Outcome {
    p.address(Source::Other)?;
    p.announce(Source::Main, PORT)?;
    p.announce(Source::Other, PORT + 1)?;
    let both = p.lists(Source::Main, PORT)? && p.lists(Source::Other, PORT + 1)?;
    expect(both, "one of them is not listed")
}

fn ip_of_source(p: &mut Probe<'_>) -> Outcome {
    let arguments = b"9:info_hash20:{hash}2:ip4:\xcb\x00\x71\x074:ipv44:\xcb\x00\x71\x074:porti{port}e5:token{#token}";
    p.announce_with(Source::Main, arguments, PORT)?;
    let ip = p.ip(Source::Main)?;
    let peers = p.peers(Source::SecondPort)?;
    expect(peers.iter().all(|peer| peer.ip() == ip), format!("{peers:?} instead of {ip}"))?;
    expect(!peers.is_empty(), "the peer is not listed")
}

/// Announces with `arguments`; the peer must be listed with their port, or with that of the datagram.
fn port(p: &mut Probe<'_>, arguments: &[u8], implied: bool) -> Outcome {
    p.announce_with(Source::Main, arguments, PORT)?;
    let port = if implied { p.address(Source::Main)?.port() } else { PORT };
    expect(p.lists(Source::Main, port)?, format!("the peer is not listed with port {port}"))
}

fn not_stored(p: &mut Probe<'_>, arguments: &[u8]) -> Outcome {
    let token = p.token(Source::Main)?;
    match p.announce_by(Source::Main, arguments, PORT, &token) {
        Ok(_) => {}
        Err(Trouble::Failed(_)) => p.alive()?,
        Err(skipped) => return Err(skipped),
    }
    let peers = p.peers(Source::SecondPort)?;
    expect(peers.is_empty(), format!("stored as {peers:?}"))
}

fn code(p: &mut Probe<'_>, arguments: &[u8]) -> Outcome {
    let token = p.token(Source::Main)?;
    let (code, _) = p.announce_by(Source::Main, arguments, PORT, &token)?.error()?;
    expect(code == 203, format!("error {code} instead of 203"))
}

fn many_ports(p: &mut Probe<'_>) -> Outcome {
    if is_local(p.ip(Source::Main)?) {
        return Err(skipped("in a private network many peers may well share an address"));
    }
    let token = p.token(Source::Main)?;
    for port in PORT..PORT + 12 {
        p.announce_by(Source::Main, b"9:info_hash20:{hash}4:porti{port}e5:token{#token}", port, &token)?;
    }
    let listed = p.peers(Source::SecondPort)?.len();
    expect(listed < 12, format!("one address holds {listed} places"))?;
    expect(listed > 0, "it is not listed at all")
}

/// Peers in a large swarm: more than fit into an answer.
const CROWD: u8 = 140;

/// Announces a crowd; once for all checks.
fn crowd(p: &mut Probe<'_>) -> Outcome {
    p.may_burst()?;
    p.address(Source::Crowd(0)).map_err(|_| skipped("it takes many IP addresses, which only IPv4 loopback has"))?;
    for number in 0..CROWD {
        p.announce(Source::Crowd(number), PORT)?;
    }
    Ok(())
}

fn large_swarm(p: &mut Probe<'_>) -> Outcome {
    crowd(p)?;
    let length = p.response_length(GET_PEERS)?;
    expect(length <= MAX_DATAGRAM, format!("{length} bytes"))?;
    let want = b"d1:ad2:id20:{id}9:info_hash20:{hash}4:wantl2:n42:n6ee1:q9:get_peers1:t4:{t}1:y1:qe";
    let length = p.response_length(want)?;
    expect(length <= MAX_DATAGRAM, format!("{length} bytes where contacts of both families are wanted"))
}

fn large_swarm_values(p: &mut Probe<'_>) -> Outcome {
    crowd(p)?;
    let listed = p.peers(Source::Main)?.len();
    expect(listed >= 20, format!("{listed} peers"))
}
