//! Floods: too much of what would be welcome in small amounts. Others are served meanwhile, and what was known stays.

use crate::conform::Test::Run;
use crate::conform::conduct::Conduct;
use crate::conform::probe::{FIND_NODE, Field, GET_PEERS, PING, Probe};
use crate::conform::reply::{expect, skipped};
use crate::conform::{Check, Outcome, Source, Trouble, must, should};
use crate::engine::contact::{decode_addr, is_local};

const SERVED: &str = "a node answers others while one floods it";
const ONE_PER_ADDRESS: &str = "BEP 42; libtorrent, mldht: one contact of an IP address";
const TABLE: &str = "BEP 5, Routing Table";
/// Datagrams of a flood.
const FLOOD: usize = 200;
/// Newcomers that never answer.
const SILENT: std::ops::Range<u8> = 88..128;
const PORTS: std::ops::Range<u8> = 0..12;
const PORT: u16 = 7008;

#[rustfmt::skip]
pub(super) const CHECKS: &[Check] = &[
    must("floods.find_node", SERVED, "after 200 find_node at once from one address it answers another", Run(|p| flood(p, FIND_NODE, &[]))),
    must("floods.get_peers", SERVED, "after 200 get_peers at once from one address it answers another", Run(|p| flood(p, GET_PEERS, &[]))),
    must("floods.errors", SERVED, "after 200 queries with errors at once from one address it answers another", Run(|p| flood(p, b"d1:ad2:id20:{id}e1:q9:find_node1:t4:{t}1:y1:qe", &[]))),
    must("floods.announces", SERVED, "after 200 announces with made-up tokens from one address it answers another", Run(|p| flood(p, b"d1:ad2:id20:{id}9:info_hash20:{hash}4:porti7008e5:token8:made-up!e1:q13:announce_peer1:t4:{t}1:y1:qe", &[]))),
    must("floods.puts", "signatures are dear", "after 200 puts with made-up signatures from one address it answers another", Run(|p| flood(p, b"d1:ad2:id20:{id}1:k32:{k}3:seqi1e3:sig64:{k}{k}5:token8:made-up!1:v5:valuee1:q3:put1:t4:{t}1:y1:qe", &[("k", &[7; 32])]))),
    must("floods.responses", SERVED, "after 200 responses to nothing from one address it answers another", Run(|p| flood(p, b"d1:rd2:id20:{id}5:nodes0:e1:t4:{t}1:y1:re", &[]))),
    should("floods.back", "a flood may be an accident", "who sent 200 pings at once is served again within half a minute", Run(back)),
    must("floods.answers", "reflection", "200 pings at once have no more than 200 answers", Run(answers)),
    must("floods.swarms", "BEP 5, announce_peer", "after 60 swarms that one address announced to, another can announce", Run(swarms)),
    must("floods.swarm", "BEP 5, announce_peer", "after 140 addresses in one swarm, the swarm has still peers to name", Run(swarm)),
    must("floods.newcomers", TABLE, "after 40 newcomers that never answer, a good contact is still handed out", Run(newcomers)),
    must("floods.newcomers.out", TABLE, "none of 40 newcomers that never answer is handed out", Run(newcomers_out)),
    should("floods.newcomers.asked", "reflection", "40 newcomers that never answer are asked at most 4 times each", Run(newcomers_asked)),
    should("floods.ids", ONE_PER_ADDRESS, "an endpoint that asks under 20 ids is handed out under one at the most", Run(ids)),
    should("floods.ports", ONE_PER_ADDRESS, "of 12 nodes at one IP address no more than 2 are handed out", Run(ports)),
];

/// From `Other` comes the flood; `Main` must be served.
fn flood(p: &mut Probe<'_>, datagram: &[u8], fields: &[Field<'_>]) -> Outcome {
    send_flood(p, datagram, fields)?;
    p.alive()
}

fn send_flood(p: &mut Probe<'_>, datagram: &[u8], fields: &[Field<'_>]) -> Outcome {
    p.may_burst()?;
    p.address(Source::Other)?;
    p.link.rest();
    let datagrams: Vec<Vec<u8>> = (0..FLOOD).map(|_| p.filled(Source::Other, datagram, fields)).collect();
    p.flood(Source::Other, &datagrams);
    Ok(())
}

fn back(p: &mut Probe<'_>) -> Outcome {
    send_flood(p, PING, &[])?;
    for _ in 0..6 {
        if p.ask_from(Source::Other, PING, &[]).is_ok() {
            return Ok(());
        }
        p.wait(12);
    }
    p.ask_from(Source::Other, PING, &[]).map(drop)
}

fn answers(p: &mut Probe<'_>) -> Outcome {
    p.may_burst()?;
    let answers = p.ask_at_once(PING, FLOOD).len() + p.wait_for_stragglers();
    expect(answers <= FLOOD, format!("{answers} answers"))?;
    expect(answers > 0, "no answer at all")
}

fn swarms(p: &mut Probe<'_>) -> Outcome {
    p.may_burst()?;
    p.address(Source::Other)?;
    for _ in 0..60 {
        p.next_hash();
        p.announce(Source::Other, PORT)?;
    }
    p.next_hash();
    p.announce(Source::Main, PORT)?;
    p.expect_listed(Source::Main, PORT)
}

fn swarm(p: &mut Probe<'_>) -> Outcome {
    super::peers::large(p)?;
    let listed = p.peers(Source::Main)?.len();
    if listed > 0 { Ok(()) } else { Err(p.not_listed("no peers")) }
}

/// Many newcomers ask and never answer; once for all checks.
fn silent_newcomers(p: &mut Probe<'_>) -> Outcome {
    super::routing::learner(p)?;
    p.may_burst()?;
    p.address(Source::Crowd(0))?;
    p.fact("silent newcomers", |p| {
        for number in SILENT {
            p.set_conduct(Source::Fresh(number), Conduct::Silent);
            p.ask_from(Source::Fresh(number), FIND_NODE, &[])?;
        }
        p.wait(20);
        Ok(true)
    })
    .map(drop)
}

fn newcomers(p: &mut Probe<'_>) -> Outcome {
    silent_newcomers(p)?;
    expect(p.hands_out(Source::Main)?, "it is gone")
}

fn newcomers_out(p: &mut Probe<'_>) -> Outcome {
    silent_newcomers(p)?;
    for number in SILENT.step_by(4) {
        expect(!p.hands_out(Source::Fresh(number))?, "one that never answered is handed out")?;
    }
    Ok(())
}

fn newcomers_asked(p: &mut Probe<'_>) -> Outcome {
    silent_newcomers(p)?;
    let mut asked = [0; SILENT.end as usize];
    for (source, _) in p.asked() {
        if let Source::Fresh(number) = source
            && SILENT.contains(number)
        {
            asked[usize::from(*number)] += 1;
        }
    }
    let most = asked.iter().max().copied().unwrap_or_default();
    expect(most <= 4, format!("one is asked {most} times"))
}

/// How many contacts at addresses that `are_wanted` a few searches name.
fn handed_out(p: &mut Probe<'_>, targets: &[[u8; 20]], is_wanted: impl Fn(&[u8]) -> bool) -> Result<usize, Trouble> {
    let key = p.own_nodes();
    let mut found: Vec<Vec<u8>> = Vec::new();
    for target in targets {
        let reply = p.ask(FIND_NODE, &[("hash", target)])?;
        found.extend(
            reply.results()?.contacts(key)?.iter().filter(|record| is_wanted(record)).map(|record| record.to_vec()),
        );
    }
    found.sort_unstable();
    found.dedup();
    Ok(found.len())
}

fn ids(p: &mut Probe<'_>) -> Outcome {
    super::routing::learner(p)?;
    let source = Source::Fresh(86);
    let addr = crate::engine::contact::CompactAddr::new(&p.address(source)?);
    let ids: Vec<[u8; 20]> = (0..20).map(|_| p.random().wire_id().0).collect();
    for id in &ids {
        p.ids.insert(source, crate::engine::id::Id(*id));
        p.ask_from(source, PING, &[])?;
        p.wait(1);
    }
    let found = handed_out(p, &ids, |record| record[20..] == *addr.as_bytes())?;
    expect(found <= 1, format!("{found} contacts of one endpoint"))
}

fn ports(p: &mut Probe<'_>) -> Outcome {
    super::routing::learner(p)?;
    let ip = p.ip(Source::Main)?;
    if is_local(ip) {
        return Err(skipped("in a private network many nodes may well share an address"));
    }
    let mut ids = vec![p.id(Source::Main).0];
    for number in PORTS {
        p.ask_from(Source::Port(number), PING, &[])?;
        p.wait(1);
        ids.push(p.id(Source::Port(number)).0);
    }
    p.wait(20);
    let found = handed_out(p, &ids, |record| decode_addr(&record[20..]).is_some_and(|addr| addr.ip() == ip))?;
    expect(found <= 2, format!("{found} contacts of one IP address"))
}
