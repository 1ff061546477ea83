//! Ids that are tied to addresses, and telling askers where they are seen (BEP 42); small answers to small questions.

use crate::conform::Test::{Run, Served};
use crate::conform::probe::{FIND_NODE, GET_PEERS, PING, Probe};
use crate::conform::reply::{Reply, expect, failed, skipped};
use crate::conform::template::readable;
use crate::conform::{Check, Outcome, Source, Trouble, must, should};
use crate::engine::contact::{CompactAddr, is_local};
use crate::engine::id::Id;

const EXTERNAL: &str = "BEP 42, DHT Bootstrapping";
/// Moments within which a target looks at a newcomer, and would look again: six seconds, for libtorrent does so every five.
const VERIFYING: usize = 24;
const NODE_ID: &str = "BEP 42, Node ID";

#[rustfmt::skip]
pub(super) const CHECKS: &[Check] = &[
    should("security.ip.ping", EXTERNAL, "the answer to a ping tells the asker its address (ip)", Run(|p| tells_address(p, PING))),
    should("security.ip.find_node", EXTERNAL, "the answer to find_node tells the asker its address", Run(|p| tells_address(p, FIND_NODE))),
    should("security.ip.get_peers", EXTERNAL, "the answer to get_peers tells the asker its address", Run(|p| tells_address(p, GET_PEERS))),
    should("security.ip.error", EXTERNAL, "an error tells the asker its address", Run(|p| tells_address(p, b"d1:ad2:id20:{id}e1:q9:find_node1:t4:{t}1:y1:qe"))),
    must("security.ip.right", EXTERNAL, "the address that it tells is that of the asker, with port, in 6 or 18 bytes", Run(right_address)),
    must("security.id.fits", NODE_ID, "its own id fits its address (a should where it tells no addresses, and so does not speak BEP 42)", Run(id_fits)),
    must("security.id.any-asker", EXTERNAL, "an asker whose id does not fit its address is served", Served(b"d1:ad2:id20:\x11\x11\x11\x11\x11\x11\x11\x11\x11\x11\x11\x11\x11\x11\x11\x11\x11\x11\x11\x11e1:q4:ping1:t4:{t}1:y1:qe")),
    should("security.id.change", NODE_ID, "an asker that changes its id is served", Run(changes_id)),
    should("security.id.zero-asker", "zero ids are common", "an asker with the id of all zeros does not enter the table", Run(zero_asker)),
    should("security.amplify.ping", "reflection", "the answer to a ping is at most twice as large", Run(|p| amplifies(p, PING, 2))),
    should("security.amplify.find_node", "reflection", "the answer to find_node is at most six times as large", Run(|p| amplifies(p, FIND_NODE, 6))),
    should("security.amplify.get_peers", "reflection", "the answer about an unknown swarm is at most six times as large", Run(|p| amplifies(p, GET_PEERS, 6))),
    should("security.amplify.error", "reflection", "an error is at most twice as large as the query", Run(|p| amplifies(p, b"d1:ad2:id20:{id}e1:q9:find_node1:t4:{t}1:y1:qe", 2))),
    should("security.verify.once", "reflection", "a query makes it send at most one query of its own to the asker", Run(verifies_once)),
];

fn address_told(reply: &Reply) -> Option<&[u8]> {
    reply.top_bytes("ip")
}

fn tells_address(p: &mut Probe<'_>, query: &[u8]) -> Outcome {
    let reply = p.ask(query, &[])?;
    expect(address_told(&reply).is_some(), "ip is missing")
}

fn right_address(p: &mut Probe<'_>) -> Outcome {
    for source in [Source::Main, Source::SecondPort] {
        let (reply, addr) = (p.ask_from(source, PING, &[])?, p.address(source)?);
        let told = address_told(&reply).ok_or_else(|| skipped("it tells no address"))?;
        if is_local(addr.ip()) && !is_local(p.target_ip()) {
            return Err(skipped("this host is behind a NAT and cannot know how it is seen"));
        }
        let ours = CompactAddr::new(&addr);
        expect(told == ours.as_bytes(), format!("ip is {}, not {}", readable(told), readable(ours.as_bytes())))?;
    }
    Ok(())
}

fn id_fits(p: &mut Probe<'_>) -> Outcome {
    let ip = p.target_ip();
    if is_local(ip) {
        return Err(skipped(format!("{ip} is local, and so exempt")));
    }
    let reply = p.ask(PING, &[])?;
    let id = Id(reply.results()?.id()?);
    if id.matches_address(ip) {
        return Ok(());
    }
    let why = format!("{id} does not fit {ip}");
    // A node that tells no addresses does not speak BEP 42, and other nodes then only like its id less.
    Err(if address_told(&reply).is_some() { failed(why) } else { Trouble::Advised(why) })
}

fn changes_id(p: &mut Probe<'_>) -> Outcome {
    for _ in 0..5 {
        let id = p.random().wire_id();
        p.ask(PING, &[("id", &id.0)])?.results()?;
    }
    Ok(())
}

fn zero_asker(p: &mut Probe<'_>) -> Outcome {
    let key = p.own_nodes();
    p.provoke(PING, &[("id", &[0; 20])])?;
    let reply = p.ask(FIND_NODE, &[("hash", &[0; 20])])?;
    let taken = reply.results()?.contacts(key)?.iter().any(|contact| contact[..20] == [0; 20]);
    expect(!taken, "the id of all zeros is handed out")
}

fn amplifies(p: &mut Probe<'_>, query: &[u8], most: usize) -> Outcome {
    let asked = p.filled(Source::Main, query, &[]).len();
    let reply = p.ask(query, &[])?;
    expect(reply.results().is_ok() || reply.error().is_ok(), "the answer is neither response nor error")?;
    let answered = reply.bytes.len();
    expect(answered <= asked * most, format!("{answered} bytes for {asked}"))
}

fn verifies_once(p: &mut Probe<'_>) -> Outcome {
    p.ask_from(Source::Unheard, PING, &[])?.results()?;
    p.wait(VERIFYING);
    let queries = p.asked().iter().filter(|(source, _)| *source == Source::Unheard).count();
    expect(queries <= 1, format!("{queries} queries came back for one"))
}
