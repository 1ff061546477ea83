//! How large a swarm is, by Bloom filters (BEP 33).

use std::net::{IpAddr, SocketAddr};

use sha1::{Digest as _, Sha1};

use super::peers::MAX_DATAGRAM;
use crate::conform::Test::{Run, Served};
use crate::conform::probe::{GET_PEERS, Probe};
use crate::conform::reply::{Results, expect, failed, skipped};
use crate::conform::{Check, Outcome, Source, Trouble, must, should};
use crate::engine::contact::decode_addr;

const SCRAPE: &str = "BEP 33, DHT Scrapes";
const ASK: &[u8] = b"d1:ad2:id20:{id}9:info_hash20:{hash}6:scrapei1ee1:q9:get_peers1:t4:{t}1:y1:qe";
const SEED: &[u8] = b"9:info_hash20:{hash}4:porti{port}e4:seedi1e5:token{#token}";
const NOT_SEED: &[u8] = b"9:info_hash20:{hash}4:porti{port}e4:seedi0e5:token{#token}";
const PORT: u16 = 7004;

#[rustfmt::skip]
pub(super) const CHECKS: &[Check] = &[
    must("scrape.served", SCRAPE, "get_peers with scrape = 1 is served, also by those who do not know it", Served(ASK)),
    must("scrape.noseed.served", SCRAPE, "get_peers with noseed = 1 is served", Served(b"d1:ad2:id20:{id}9:info_hash20:{hash}6:noseedi1ee1:q9:get_peers1:t4:{t}1:y1:qe")),
    should("scrape.type", SCRAPE, "a scrape that is a text is passed over", Served(b"d1:ad2:id20:{id}9:info_hash20:{hash}6:scrape3:yese1:q9:get_peers1:t4:{t}1:y1:qe")),
    must("scrape.both", SCRAPE, "BFsd and BFpe come both, 256 bytes each", Run(both)),
    must("scrape.canonical", "BEP 3, bencoding", "an answer with filters is canonical bencoding", Run(canonical)),
    must("scrape.empty", SCRAPE, "a swarm without entries has no filters", Run(empty)),
    must("scrape.asked", SCRAPE, "filters come only where scrape = 1", Run(only_asked)),
    should("scrape.zero", SCRAPE, "scrape = 0 asks for no filters", Run(zero)),
    must("scrape.peer", SCRAPE, "a peer is in BFpe, by SHA-1 of its IP address, and not in BFsd", Run(|p| filed(p, NOT_SEED, "BFpe", "BFsd"))),
    must("scrape.seed", SCRAPE, "a seed is in BFsd and not in BFpe", Run(|p| filed(p, SEED, "BFsd", "BFpe"))),
    must("scrape.absent", SCRAPE, "who does not say that it seeds is a peer", Run(|p| filed(p, b"9:info_hash20:{hash}4:porti{port}e5:token{#token}", "BFpe", "BFsd"))),
    must("scrape.ip-once", SCRAPE, "two ports of one IP address are one entry", Run(ip_once)),
    should("scrape.becomes-seed", SCRAPE, "a peer that becomes a seed moves to the other filter", Run(becomes_seed)),
    should("scrape.noseed", SCRAPE, "with noseed = 1 a peer is named before the seeds of a large swarm", Run(noseed)),
    must("scrape.nodes", SCRAPE, "contacts come with the filters", Run(nodes)),
    must("scrape.many", "BEP 32: at most 1,024 bytes", "a scrape of a large swarm is answered within 1,024 bytes", Run(many)),
    must("scrape.estimate", SCRAPE, "the filter of 60 peers has the bits of 60 addresses", Run(estimate)),
    must("scrape.swarms", SCRAPE, "a peer of one swarm is not in the filter of another", Run(swarms_apart)),
    must("scrape.ports", SCRAPE, "filters are of addresses, not of addresses and ports", Run(ports)),
    should("scrape.token", "BEP 33; BEP 5, get_peers", "a token comes with the filters", Run(token)),
    should("scrape.noseed.type", SCRAPE, "a noseed that is a text is passed over", Served(b"d1:ad2:id20:{id}9:info_hash20:{hash}6:noseed3:yese1:q9:get_peers1:t4:{t}1:y1:qe")),
];

/// Whether the target knows BEP 33 at all: it says nothing of it, so a swarm of one tells.
fn speaks(p: &mut Probe<'_>) -> Outcome {
    let speaks = p.fact("scrape", |p| {
        p.announce(Source::Main, PORT)?;
        let reply = p.ask(ASK, &[])?;
        let results = reply.results()?;
        Ok(["BFsd", "BFpe", "BFse"].iter().any(|key| results.get(key).is_some()))
    })?;
    if speaks { Ok(()) } else { Err(skipped("it does not speak BEP 33: a scrape gives no filter")) }
}

/// The two bits of an IP address.
fn bits(ip: IpAddr) -> [usize; 2] {
    let hash = match ip {
        IpAddr::V4(ip) => Sha1::digest(ip.octets()),
        IpAddr::V6(ip) => Sha1::digest(ip.octets()),
    };
    [0, 2].map(|at| usize::from(u16::from_le_bytes([hash[at], hash[at + 1]])) % 2048)
}

fn holds(filter: &[u8], ip: IpAddr) -> bool {
    bits(ip).iter().all(|bit| filter[bit / 8] & (1 << (bit % 8)) != 0)
}

fn filter<'a>(results: Results<'a>, key: &str) -> Result<&'a [u8], Trouble> {
    if key == "BFsd" && results.get(key).is_none() && results.get("BFse").is_some() {
        return Err(failed("the filter of the seeds is called BFse, not BFsd"));
    }
    let filter = results.bytes(key)?;
    expect(filter.len() == 256, format!("{key} has {} bytes", filter.len()))?;
    Ok(filter)
}

fn both(p: &mut Probe<'_>) -> Outcome {
    speaks(p)?;
    p.announce(Source::Main, PORT)?;
    let reply = p.ask(ASK, &[])?;
    filter(reply.results()?, "BFpe")?;
    filter(reply.results()?, "BFsd").map(drop)
}

fn canonical(p: &mut Probe<'_>) -> Outcome {
    speaks(p)?;
    p.announce(Source::Main, PORT)?;
    p.canonical(ASK)
}

fn empty(p: &mut Probe<'_>) -> Outcome {
    speaks(p)?;
    p.next_hash();
    let reply = p.ask(ASK, &[])?;
    reply.results()?.lacks("BFsd")?;
    reply.results()?.lacks("BFpe")
}

fn only_asked(p: &mut Probe<'_>) -> Outcome {
    speaks(p)?;
    p.announce(Source::Main, PORT)?;
    let reply = p.ask(GET_PEERS, &[])?;
    reply.results()?.lacks("BFsd")?;
    reply.results()?.lacks("BFpe")
}

fn zero(p: &mut Probe<'_>) -> Outcome {
    speaks(p)?;
    p.announce(Source::Main, PORT)?;
    let reply = p.ask(b"d1:ad2:id20:{id}9:info_hash20:{hash}6:scrapei0ee1:q9:get_peers1:t4:{t}1:y1:qe", &[])?;
    reply.results()?.lacks("BFpe")
}

/// Announces with `arguments`: the address must be in one filter, and not in the other.
fn filed(p: &mut Probe<'_>, arguments: &[u8], there: &str, not_there: &str) -> Outcome {
    speaks(p)?;
    p.next_hash();
    p.announce_with(Source::Main, arguments, PORT)?;
    let ip = p.ip(Source::Main)?;
    let reply = p.ask(ASK, &[])?;
    let results = reply.results()?;
    expect(holds(filter(results, there)?, ip), format!("{ip} is not in {there}"))?;
    expect(!holds(filter(results, not_there)?, ip), format!("{ip} is in {not_there}"))
}

fn ip_once(p: &mut Probe<'_>) -> Outcome {
    speaks(p)?;
    p.next_hash();
    p.announce_with(Source::Main, NOT_SEED, PORT)?;
    p.announce_with(Source::Main, NOT_SEED, PORT + 1)?;
    let reply = p.ask(ASK, &[])?;
    let set = bits_set(filter(reply.results()?, "BFpe")?);
    expect((1..=2).contains(&set), format!("{set} bits are set for one IP address"))
}

fn becomes_seed(p: &mut Probe<'_>) -> Outcome {
    filed(p, NOT_SEED, "BFpe", "BFsd")?;
    p.announce_with(Source::Main, SEED, PORT)?;
    let ip = p.ip(Source::Main)?;
    let reply = p.ask(ASK, &[])?;
    expect(holds(filter(reply.results()?, "BFsd")?, ip), "it is not in BFsd")?;
    expect(!holds(filter(reply.results()?, "BFpe")?, ip), "it is still in BFpe")
}

/// More seeds than fit into an answer, and one peer that must not drown in them.
fn noseed(p: &mut Probe<'_>) -> Outcome {
    const NO_SEEDS: &[u8] = b"d1:ad2:id20:{id}9:info_hash20:{hash}6:noseedi1ee1:q9:get_peers1:t4:{t}1:y1:qe";
    speaks(p)?;
    crowd(p, 140, SEED)?;
    p.announce_with(Source::Main, NOT_SEED, PORT)?;
    let peer = SocketAddr::new(p.ip(Source::Main)?, PORT);
    let reply = p.ask_from(Source::SecondPort, NO_SEEDS, &[])?;
    let listed = reply.results()?.values()?.iter().any(|value| decode_addr(value) == Some(peer));
    expect(listed, "seeds are named and the one peer that does not seed is not")
}

/// Announces so many addresses.
fn crowd(p: &mut Probe<'_>, size: u8, arguments: &[u8]) -> Outcome {
    p.may_burst()?;
    p.address(Source::Crowd(0)).map_err(|_| skipped("it takes many IP addresses, which only IPv4 loopback has"))?;
    (0..size).try_for_each(|number| p.announce_with(Source::Crowd(number), arguments, PORT))
}

fn bits_set(filter: &[u8]) -> u32 {
    filter.iter().map(|byte| byte.count_ones()).sum()
}

/// 60 addresses set 120 bits, or somewhat fewer where two meet.
fn estimate(p: &mut Probe<'_>) -> Outcome {
    speaks(p)?;
    crowd(p, 60, NOT_SEED)?;
    let reply = p.ask(ASK, &[])?;
    let set = bits_set(filter(reply.results()?, "BFpe")?);
    expect((100..=120).contains(&set), format!("{set} bits are set"))
}

fn swarms_apart(p: &mut Probe<'_>) -> Outcome {
    speaks(p)?;
    p.next_hash();
    p.announce_with(Source::Main, NOT_SEED, PORT)?;
    p.next_hash();
    p.announce_with(Source::Main, SEED, PORT)?;
    let reply = p.ask(ASK, &[])?;
    let set = bits_set(filter(reply.results()?, "BFpe")?);
    expect(set == 0, format!("{set} bits of another swarm are set"))
}

/// The filter after an announce is made of the hash of the IP address alone.
fn ports(p: &mut Probe<'_>) -> Outcome {
    speaks(p)?;
    p.next_hash();
    p.announce_with(Source::Main, NOT_SEED, 40_000)?;
    let mut wanted = bits(p.ip(Source::Main)?).to_vec();
    wanted.sort_unstable();
    wanted.dedup();
    let reply = p.ask(ASK, &[])?;
    let filter = filter(reply.results()?, "BFpe")?;
    let set: Vec<usize> = (0..2048).filter(|bit| filter[bit / 8] & (1 << (bit % 8)) != 0).collect();
    expect(set == wanted, format!("bits {set:?} instead of {wanted:?}"))
}

fn token(p: &mut Probe<'_>) -> Outcome {
    speaks(p)?;
    p.announce(Source::Main, PORT)?;
    p.ask(ASK, &[])?.results()?.bytes("token").map(drop)
}

fn nodes(p: &mut Probe<'_>) -> Outcome {
    speaks(p)?;
    p.announce(Source::Main, PORT)?;
    let key = p.own_nodes();
    p.ask(ASK, &[])?.results()?.contacts(key).map(drop)
}

fn many(p: &mut Probe<'_>) -> Outcome {
    speaks(p)?;
    crowd(p, 60, NOT_SEED)?;
    let want = b"d1:ad2:id20:{id}9:info_hash20:{hash}6:scrapei1e4:wantl2:n42:n6ee1:q9:get_peers1:t4:{t}1:y1:qe";
    for query in [ASK, want] {
        let length = p.response_length(query)?;
        expect(length <= MAX_DATAGRAM, format!("{length} bytes"))?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bits_are_those_of_the_bep() {
        // BEP 33's reference filter covers a thousand addresses; this one was computed apart, with other code.
        let mut both = bits([192, 168, 1, 1].into());
        both.sort_unstable();
        assert_eq!(both, [1711, 1831]);
    }
}
