//! The vote about the target's own address (BEP 42, `ip`): who may move its id, and who may not.

use crate::conform::Test::{Run, Served};
use crate::conform::conduct::Conduct;
use crate::conform::probe::{PING, Probe};
use crate::conform::reply::{expect, skipped};
use crate::conform::{Check, Outcome, Source, must, should};
use crate::engine::contact::is_local;

const EXTERNAL: &str = "BEP 42, DHT Bootstrapping";
/// Voters whom nobody asked.
const STRANGERS: u8 = 60;
/// Voters whom the target asks, in a private network.
const NEIGHBOURS: std::ops::Range<u8> = 64..76;
const VOTER: u8 = 80;
/// Moments in which the target may ask a newcomer: ten seconds.
const PATIENCE: usize = 40;

#[rustfmt::skip]
pub(super) const CHECKS: &[Check] = &[
    must("votes.queries", EXTERNAL, "an ip in the queries of 60 strangers does not change its id: only responses and errors have one", Run(|p| strangers(p, b"d1:ad2:id20:{id}e2:ip{#elsewhere}1:q4:ping1:t4:{t}1:y1:qe"))),
    must("votes.responses", EXTERNAL, "an ip in responses that it did not ask for does not change its id", Run(|p| strangers(p, b"d2:ip{#elsewhere}1:rd2:id20:{id}e1:t4:{t}1:y1:re"))),
    must("votes.errors", EXTERNAL, "an ip in errors that it did not ask for does not change its id", Run(|p| strangers(p, b"d1:eli201e3:fooe2:ip{#elsewhere}1:t4:{t}1:y1:ee"))),
    must("votes.served", "BEP 42: only replies have ip", "a query with an ip is served", Served(b"d1:ad2:id20:{id}e2:ip6:\x01\x02\x03\x04\x1a\xe11:q4:ping1:t4:{t}1:y1:qe")),
    should("votes.served.odd", "BEP 42: only replies have ip", "a query with an ip of 5 bytes is served", Served(b"d1:ad2:id20:{id}e2:ip5:\x01\x02\x03\x04\x051:q4:ping1:t4:{t}1:y1:qe")),
    must("votes.one", EXTERNAL, "one node that answers with another ip does not change its id", Run(one)),
    should("votes.exempt", "BEP 42: local addresses are exempt", "twelve neighbours cannot change the id of a node at a local address", Run(neighbours)),
];

/// Whether the id is still that from before `vote`.
fn keeps_id(p: &mut Probe<'_>, vote: impl FnOnce(&mut Probe<'_>) -> Outcome) -> Outcome {
    let before = p.target_id()?;
    p.ledger.note_vote();
    vote(p)?;
    expect(p.target_id()? == before, "its id is another one now")
}

fn strangers(p: &mut Probe<'_>, template: &[u8]) -> Outcome {
    keeps_id(p, |p| {
        let elsewhere = p.elsewhere();
        let crowd = if p.address(Source::Crowd(0)).is_ok() { STRANGERS } else { 0 };
        for source in (0..crowd).map(Source::Crowd).chain([Source::Main, Source::SecondPort]) {
            let datagram = p.filled(source, template, &[("elsewhere", elsewhere.as_bytes())]);
            p.send(source, &datagram, false);
            p.wait_for_stragglers();
        }
        Ok(())
    })
}

const LIAR: Conduct = Conduct::With(b"d2:ip{#elsewhere}1:rd2:id20:{id}e1:t{#theirs}1:y1:re");

/// Asks from each, answers each question with another address, and waits until the target has asked them.
fn liars(p: &mut Probe<'_>, numbers: std::ops::Range<u8>) -> Outcome {
    super::routing::learner(p)?;
    let sources: Vec<Source> = numbers.map(Source::Fresh).collect();
    for &source in &sources {
        p.set_conduct(source, LIAR);
        p.ask_from(source, PING, &[])?;
    }
    let was_asked = |p: &Probe<'_>, source: Source| p.asked().iter().any(|(asked, _)| *asked == source);
    for _ in 0..PATIENCE {
        if sources.iter().all(|&source| was_asked(p, source)) {
            break;
        }
        p.wait(1);
    }
    p.wait(2);
    let enough = sources.iter().filter(|&&source| was_asked(p, source)).count() * 2 > sources.len();
    if enough { Ok(()) } else { Err(skipped("it has not asked the voters")) }
}

fn one(p: &mut Probe<'_>) -> Outcome {
    keeps_id(p, |p| liars(p, VOTER..VOTER + 1))
}

fn neighbours(p: &mut Probe<'_>) -> Outcome {
    if !is_local(p.target_ip()) {
        return Err(skipped("twelve voters who agree may well be right about a public address"));
    }
    keeps_id(p, |p| liars(p, NEIGHBOURS))
}
