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
    must("peers.info_hash.empty", GET, "an empty infohash is not served", NotServed(b"d1:ad2:id20:{id}9:info_hash0:e1:q9:get_peers1:t4:{t}1:y1:qe")),
    must("peers.info_hash.hex", GET, "an infohash in hex, 40 bytes, is not served", NotServed(b"d1:ad2:id20:{id}9:info_hash40:0123456789abcdef0123456789abcdef01234567e1:q9:get_peers1:t4:{t}1:y1:qe")),
    must("peers.info_hash.list", GET, "an infohash that is a list is not served", NotServed(b"d1:ad2:id20:{id}9:info_hashl20:{hash}ee1:q9:get_peers1:t4:{t}1:y1:qe")),
    should("peers.info_hash.short.code", ERRORS, "an infohash of 19 bytes is refused with 203", Refused(203, b"d1:ad2:id20:{id}9:info_hash19:0123456789012345678e1:q9:get_peers1:t4:{t}1:y1:qe")),
    should("peers.info_hash.target", GET, "get_peers with a target in the place of an infohash is not served", NotServed(b"d1:ad2:id20:{id}6:target20:{hash}e1:q9:get_peers1:t4:{t}1:y1:qe")),
    must("peers.announce.info_hash.long", "BEP 52", "an announce of an infohash of 32 bytes is not served", Run(|p| unserved(p, b"9:info_hash32:{hash}0123456789ab4:porti{port}e5:token{#token}"))),
    must("peers.announce.info_hash.short", ANNOUNCE, "an announce of an infohash of 19 bytes is not served", Run(|p| unserved(p, b"9:info_hash19:01234567890123456784:porti{port}e5:token{#token}"))),
    must("peers.port.65536", ANNOUNCE, "a port of 65536 is not stored", Run(|p| not_stored(p, b"9:info_hash20:{hash}4:porti65536e5:token{#token}"))),
    must("peers.port.wrapped.16", ANNOUNCE, "a port of 7002 - 65536 is not stored", Run(|p| not_stored(p, b"9:info_hash20:{hash}4:porti-58534e5:token{#token}"))),
    must("peers.port.wrapped.32", ANNOUNCE, "a port of 2^32 + 7002 is not stored", Run(|p| not_stored(p, b"9:info_hash20:{hash}4:porti4294974298e5:token{#token}"))),
    must("peers.port.wrapped.64", ANNOUNCE, "a port of 2^64 + 7002 is not stored", Run(|p| not_stored(p, b"9:info_hash20:{hash}4:porti18446744073709558618e5:token{#token}"))),
    must("peers.port.clamped", ANNOUNCE, "a port of 40 digits is not stored", Run(|p| not_stored(p, b"9:info_hash20:{hash}4:porti1111111111111111111111111111111111111111e5:token{#token}"))),
    must("peers.port.minus-zero", "BEP 3: i-0e is invalid", "a port of i-0e is not stored", Run(|p| not_stored(p, b"9:info_hash20:{hash}4:porti-0e5:token{#token}"))),
    should("peers.port.zeros", "BEP 3: leading zeros are invalid", "a port of i07002e is not stored", Run(|p| not_stored(p, b"9:info_hash20:{hash}4:porti07002e5:token{#token}"))),
    must("peers.port.list", ANNOUNCE, "a port that is a list is not stored", Run(|p| not_stored(p, b"9:info_hash20:{hash}4:portli7002ee5:token{#token}"))),
    must("peers.port.compact", ANNOUNCE, "a port of two bytes is not stored", Run(|p| not_stored(p, b"9:info_hash20:{hash}4:port2:\x1b\x5a5:token{#token}"))),
    must("peers.port.65535", ANNOUNCE, "port 65535 is stored", Run(|p| port_of(p, 65535))),
    must("peers.port.1", ANNOUNCE, "port 1 is stored", Run(|p| port_of(p, 1))),
    should("peers.port.large.code", ERRORS, "a port of 65536 is refused with 203", Run(|p| code(p, b"9:info_hash20:{hash}4:porti65536e5:token{#token}"))),
    should("peers.port.negative.code", ERRORS, "a negative port is refused with 203", Run(|p| code(p, b"9:info_hash20:{hash}4:porti-1e5:token{#token}"))),
    must("peers.port.implied.two", "BEP 5: present and non-zero", "with implied_port = 2 the port is that of the datagram", Run(|p| port(p, b"12:implied_porti2e9:info_hash20:{hash}4:porti{port}e5:token{#token}", true))),
    should("peers.port.implied.negative", "BEP 5: present and non-zero", "with implied_port = -1 the port is that of the datagram", Run(|p| port(p, b"12:implied_porti-1e9:info_hash20:{hash}4:porti{port}e5:token{#token}", true))),
    should("peers.port.implied.text", ANNOUNCE, "an implied_port that is a text is passed over", Run(|p| port(p, b"12:implied_port1:19:info_hash20:{hash}4:porti{port}e5:token{#token}", false))),
    must("peers.port.changed", ANNOUNCE, "a peer that announces another port is listed with it", Run(changed_port)),
    must("peers.port.others", "BEP 5, announce_peer", "with implied_port = 1 each port of an address counts for itself", Run(implied_ports)),
    should("peers.announce.seed", "BEP 33", "an announce whose seed is a text is stored", Run(|p| port(p, b"9:info_hash20:{hash}4:porti{port}e4:seed3:yes5:token{#token}", false))),
    must("peers.announce.answer", ANNOUNCE, "the answer to an announce carries the id", Run(answer_of_announce)),
    should("peers.values.token", "BEP 5, get_peers", "a token comes also with peers", Run(values_with_token)),
    must("peers.values.others", GET, "asking does not make a peer: an asker is not listed", Run(asker_is_no_peer)),
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
    p.expect_listed(Source::Main, PORT)
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
    if values.is_empty() {
        return Err(p.not_listed("no values"));
    }
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
    if listed == 0 {
        return Err(p.not_listed("it is not listed"));
    }
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
    p.expect_listed(Source::Main, PORT)?;
    p.expect_listed(Source::Other, PORT + 1)
}

fn ip_of_source(p: &mut Probe<'_>) -> Outcome {
    let arguments = b"9:info_hash20:{hash}2:ip4:\xcb\x00\x71\x074:ipv44:\xcb\x00\x71\x074:porti{port}e5:token{#token}";
    p.announce_with(Source::Main, arguments, PORT)?;
    let ip = p.ip(Source::Main)?;
    let peers = p.peers(Source::SecondPort)?;
    expect(peers.iter().all(|peer| peer.ip() == ip), format!("{peers:?} instead of {ip}"))?;
    if peers.is_empty() { Err(p.not_listed("the peer is not listed")) } else { Ok(()) }
}

/// Announces with `arguments`; the peer must be listed with their port, or with that of the datagram.
fn port(p: &mut Probe<'_>, arguments: &[u8], implied: bool) -> Outcome {
    p.announce_with(Source::Main, arguments, PORT)?;
    let port = if implied { p.address(Source::Main)?.port() } else { PORT };
    if p.lists(Source::Main, port)? {
        Ok(())
    } else {
        Err(p.not_listed(format!("the peer is not listed with port {port}")))
    }
}

fn port_of(p: &mut Probe<'_>, port: u16) -> Outcome {
    p.announce(Source::Main, port)?;
    p.expect_listed(Source::Main, port)
}

fn changed_port(p: &mut Probe<'_>) -> Outcome {
    p.announce(Source::Main, PORT)?;
    port_of(p, PORT + 1)
}

/// Two clients of one address, each known by the port of its own datagrams.
fn implied_ports(p: &mut Probe<'_>) -> Outcome {
    let arguments = b"12:implied_porti1e9:info_hash20:{hash}4:porti1e5:token{#token}";
    p.announce_with(Source::SecondPort, arguments, PORT)?;
    let port = p.address(Source::SecondPort)?.port();
    p.expect_listed(Source::SecondPort, port)?;
    let ours = p.address(Source::Main)?.port();
    expect(!p.lists(Source::Main, ours)?, "the port of the asker is listed")
}

/// An announce with a good token that must not be served.
fn unserved(p: &mut Probe<'_>, arguments: &[u8]) -> Outcome {
    let token = p.token(Source::Main)?;
    match p.announce_by(Source::Main, arguments, PORT, &token) {
        Ok(reply) => expect(!reply.is_response(), "it is answered like a good query"),
        Err(Trouble::Failed(_)) => p.alive(),
        Err(other) => Err(other),
    }
}

fn answer_of_announce(p: &mut Probe<'_>) -> Outcome {
    let token = p.token(Source::Main)?;
    let reply = p.announce_by(Source::Main, b"9:info_hash20:{hash}4:porti{port}e5:token{#token}", PORT, &token)?;
    reply.results()?.id().map(drop)
}

fn values_with_token(p: &mut Probe<'_>) -> Outcome {
    p.announce(Source::Main, PORT)?;
    let reply = p.ask_from(Source::SecondPort, GET_PEERS, &[])?;
    reply.results()?.bytes("token").map(drop)
}

fn asker_is_no_peer(p: &mut Probe<'_>) -> Outcome {
    p.token(Source::Main)?;
    p.announce(Source::SecondPort, PORT)?;
    let asker = p.address(Source::Main)?;
    expect(!p.peers(Source::SecondPort)?.contains(&asker), "an asker that never announced is listed")
}

fn not_stored(p: &mut Probe<'_>, arguments: &[u8]) -> Outcome {
    let token = p.token(Source::Main)?;
    match p.announce_by(Source::Main, arguments, PORT, &token) {
        Ok(_) => {}
        Err(Trouble::Failed(_)) => p.alive()?,
        Err(other) => return Err(other),
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

/// A large swarm.
pub(super) fn large(p: &mut Probe<'_>) -> Outcome {
    p.may_burst()?;
    p.address(Source::Crowd(0)).map_err(|_| skipped("it takes many IP addresses, which only IPv4 loopback has"))?;
    for number in 0..CROWD {
        p.announce(Source::Crowd(number), PORT)?;
    }
    Ok(())
}

fn large_swarm(p: &mut Probe<'_>) -> Outcome {
    large(p)?;
    let length = p.response_length(GET_PEERS)?;
    expect(length <= MAX_DATAGRAM, format!("{length} bytes"))?;
    let want = b"d1:ad2:id20:{id}9:info_hash20:{hash}4:wantl2:n42:n6ee1:q9:get_peers1:t4:{t}1:y1:qe";
    let length = p.response_length(want)?;
    expect(length <= MAX_DATAGRAM, format!("{length} bytes where contacts of both families are wanted"))
}

fn large_swarm_values(p: &mut Probe<'_>) -> Outcome {
    large(p)?;
    let listed = p.peers(Source::Main)?.len();
    if listed == 0 {
        return Err(p.not_listed("no peers"));
    }
    expect(listed >= 20, format!("{listed} peers"))
}
