//! Ghosts: contacts and peers that others name. At some of these addresses nothing ever answers, and the target must
//! send no node there (BEP 5, Routing Table).

use crate::conform::Test::Run;
use crate::conform::exchange::GHOSTS;
use crate::conform::probe::{FIND_NODE, GET_PEERS, Probe};
use crate::conform::reply::{expect, skipped};
use crate::conform::{Check, Outcome, Source, must, should};
use crate::engine::contact::CompactAddr;

const TABLE: &str = "BEP 5, Routing Table";
/// Moments in which the target may ask somebody for contacts: ten seconds.
const PATIENCE: usize = 40;

#[rustfmt::skip]
pub(super) const CHECKS: &[Check] = &[
    must("ghosts.contacts", TABLE, "contacts that others name are not handed out before they have answered", Run(contacts)),
    must("ghosts.itself", "mldht, jech/dht", "an address that others name under the id of the target is not handed out", Run(itself)),
    must("ghosts.nowhere", TABLE, "addresses that nobody can have are not handed out, though others name them", Run(nowhere)),
    should("ghosts.asked", "reflection", "an address that others name and that never answers is asked at most twice in six seconds", Run(asked)),
    must("ghosts.peers", "BEP 5, announce_peer", "peers that others name are not handed out: they have not announced", Run(peers)),
    must("ghosts.queries", TABLE, "contacts in a query, as jech/dht would find them in its bytes, are not handed out", Run(queries)),
    should("ghosts.announcers", TABLE, "a peer that announced and never answered a query is no contact", Run(announcers)),
];

/// Waits until the target has asked one of us for contacts, and so was told of ghosts.
fn told(p: &mut Probe<'_>) -> Outcome {
    super::routing::learner(p)?;
    p.fact("ghosts", |p| {
        for _ in 0..PATIENCE {
            if p.named_ghosts {
                break;
            }
            p.wait(1);
        }
        p.wait(4);
        Ok(true)
    })?;
    if p.named_ghosts { Ok(()) } else { Err(skipped("it has asked us for no contacts")) }
}

/// Whether a search for `target` names an address that `is_wanted`.
fn names(p: &mut Probe<'_>, target: &[u8], is_wanted: impl Fn(&[u8]) -> bool) -> Result<bool, crate::conform::Trouble> {
    let key = p.own_nodes();
    let reply = p.ask(FIND_NODE, &[("hash", target)])?;
    Ok(reply.results()?.contacts(key)?.iter().any(|record| is_wanted(record)))
}

fn contacts(p: &mut Probe<'_>) -> Outcome {
    told(p)?;
    for number in 0..GHOSTS {
        let source = Source::Ghost(number);
        let (id, addr) = (p.id(source), CompactAddr::new(&p.address(source)?));
        let named = names(p, &id.0, |record| record[20..] == *addr.as_bytes())?;
        expect(!named, "an address at which nothing ever answered is handed out")?;
    }
    Ok(())
}

fn itself(p: &mut Probe<'_>) -> Outcome {
    told(p)?;
    let id = p.target_id()?;
    expect(!names(p, &id, |record| record[..20] == id)?, "it is handed out")
}

fn nowhere(p: &mut Probe<'_>) -> Outcome {
    told(p)?;
    let id = b"nowhere-nowhere-nowh";
    expect(!names(p, id, |record| record[..20] == *id)?, "one is handed out")
}

fn asked(p: &mut Probe<'_>) -> Outcome {
    told(p)?;
    let asked = |p: &Probe<'_>| -> Vec<usize> {
        let queries = |number| p.asked().iter().filter(|(source, _)| *source == Source::Ghost(number)).count();
        (0..=GHOSTS).map(queries).collect()
    };
    let before = asked(p);
    p.wait(24);
    let most = asked(p).iter().zip(before).map(|(after, before)| after - before).max().unwrap_or_default();
    expect(most <= 2, format!("one is asked {most} times"))
}

fn peers(p: &mut Probe<'_>) -> Outcome {
    told(p)?;
    let hash = |query: &crate::conform::reply::Reply| -> Option<Vec<u8>> {
        let asks = query.top_bytes("q") == Some(b"get_peers");
        Some(crate::conform::ledger::argument(query, "info_hash")?.bytes()?.to_vec()).filter(|_| asks)
    };
    let Some(info_hash) = p.asked().iter().find_map(|(_, query)| hash(query)) else {
        return Err(skipped("it has asked us for no peers"));
    };
    let elsewhere = p.elsewhere();
    let reply = p.ask(GET_PEERS, &[("hash", &info_hash)])?;
    let handed_out = reply.results()?.values()?.contains(&elsewhere.as_bytes());
    expect(!handed_out, "it hands out a peer that one of us made up")
}

fn queries(p: &mut Probe<'_>) -> Outcome {
    super::routing::learner(p)?;
    let (id, source) = (p.hash().0, Source::Ghost(GHOSTS + 1));
    let addr = CompactAddr::new(&p.address(source)?);
    let record = [&id[..], addr.as_bytes()].concat();
    let query = b"d1:ad2:id20:{id}6:target20:{hash}e1:q9:find_node1:rd2:id20:{hash}5:nodes{#record}6:nodes6{#record}e1:t4:{t}1:y1:qe";
    p.provoke(query, &[("record", &record)])?;
    p.wait(4);
    expect(!names(p, &id, |given| given == record)?, "it hands out what a stranger wrote into a query")
}

fn announcers(p: &mut Probe<'_>) -> Outcome {
    super::routing::learner(p)?;
    let source = Source::Mute;
    p.announce(source, 7006)?;
    p.wait(4);
    expect(!p.hands_out(source)?, "it is handed out as a contact")
}
