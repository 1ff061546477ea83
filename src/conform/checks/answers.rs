//! Which answers a node takes for answers: from the endpoint that it asked, with its transaction id, under the id that
//! it expects (BEP 5, KRPC Protocol and Routing Table).
//!
//! Newcomers ask the target, and each answers its question in another way. All are sent at once, since the target takes
//! its time with newcomers. Who never gave a good answer must not be handed out as a contact.

use crate::conform::Test::Run;
use crate::conform::conduct::Conduct;
use crate::conform::probe::{FIND_NODE, PING, Probe};
use crate::conform::reply::{expect, skipped};
use crate::conform::{Check, Outcome, Source, Trouble, must, should};
use crate::engine::contact::CompactAddr;

const KRPC: &str = "BEP 5, KRPC Protocol";
const TABLE: &str = "BEP 5, Routing Table";
const CLOSEST: &str = "BEP 5, find_node";
/// The id of those who answer under another one than they asked with.
const ANOTHER: &[u8; 20] = b"another-node-id-here";
/// Moments in which the target may ask a newcomer: ten seconds.
const PATIENCE: usize = 40;

#[rustfmt::skip]
pub(super) const CHECKS: &[Check] = &[
    should("answers.good", TABLE, "a newcomer that answers well is handed out", Run(|p| stays_in(p, GOOD))),
    should("answers.extra", "BEP 5 was extended so", "so is one whose answer has keys that it does not know", Run(|p| stays_in(p, EXTRA))),
    should("answers.unsorted", "deployed clients", "so is one whose answer has its keys out of order", Run(|p| stays_in(p, UNSORTED))),
    should("answers.ip", "BEP 42, DHT Bootstrapping", "so is one whose answer has an ip of 5 bytes", Run(|p| stays_in(p, ODD_IP))),
    must("answers.port", TABLE, "an answer from another port is none", Run(|p| stays_out(p, OTHER_PORT))),
    must("answers.address", TABLE, "an answer from another IP address is none", Run(|p| stays_out(p, OTHER_ADDRESS))),
    must("answers.t.other", KRPC, "an answer with another transaction id is none", Run(|p| stays_out(p, OTHER_T))),
    must("answers.t.short", KRPC, "an answer with a transaction id without its last byte is none", Run(|p| stays_out(p, SHORT_T))),
    must("answers.t.long", KRPC, "an answer with a transaction id and a byte more is none", Run(|p| stays_out(p, LONG_T))),
    must("answers.t.empty", KRPC, "an answer with an empty transaction id is none", Run(|p| stays_out(p, EMPTY_T))),
    must("answers.t.missing", KRPC, "an answer without a transaction id is none", Run(|p| stays_out(p, NO_T))),
    must("answers.kind", KRPC, "an answer that is no response is none", Run(|p| stays_out(p, NO_KIND))),
    must("answers.garbage", KRPC, "an answer that is cut off is none", Run(|p| stays_out(p, CUT))),
    must("answers.r.list", KRPC, "an answer whose results are a list is none", Run(|p| stays_out(p, LIST))),
    must("answers.id.missing", KRPC, "an answer without an id is none", Run(|p| stays_out(p, NO_ID))),
    must("answers.id.short", KRPC, "an answer under an id of 19 bytes is none", Run(|p| stays_out(p, SHORT_ID))),
    must("answers.id.long", KRPC, "an answer under an id of 21 bytes is none", Run(|p| stays_out(p, LONG_ID))),
    should("answers.id.zero", "mldht, jech/dht", "an answer under the id of all zeros brings nobody into the table", Run(|p| stays_out(p, ZERO_ID))),
    must("answers.id.own", "mldht, jech/dht", "an answer under the id of the target itself brings nobody into the table", Run(|p| stays_out(p, OWN_ID))),
    must("answers.id.other", TABLE, "who answers under another id is not handed out under the one that it asked with", Run(other_id)),
    must("answers.mirror", KRPC, "its own query, sent back, is no answer", Run(|p| stays_out(p, MIRROR))),
    should("answers.mirror.loop", "reflection", "its own query, sent back, begins no endless exchange", Run(no_loop)),
    must("answers.unasked", KRPC, "answers that nobody asked for bring nobody into the table", Run(unasked)),
    should("answers.closest", CLOSEST, "of the contacts that it knows, those closest to the target are handed out", Run(closest)),
    must("answers.forged-id", TABLE, "a query under another id from the endpoint of a good contact does not displace it", Run(forged_id)),
];

const GOOD: u8 = 0;
const EXTRA: u8 = 1;
const UNSORTED: u8 = 2;
const ODD_IP: u8 = 3;
const OTHER_PORT: u8 = 4;
const OTHER_ADDRESS: u8 = 5;
const OTHER_T: u8 = 6;
const SHORT_T: u8 = 7;
const LONG_T: u8 = 8;
const EMPTY_T: u8 = 9;
const NO_T: u8 = 10;
const NO_KIND: u8 = 11;
const CUT: u8 = 12;
const LIST: u8 = 13;
const NO_ID: u8 = 14;
const SHORT_ID: u8 = 15;
const LONG_ID: u8 = 16;
const ZERO_ID: u8 = 17;
const OWN_ID: u8 = 18;
const OTHER_ID: u8 = 19;
const MIRROR: u8 = 20;
/// More that answer well, so that there are more contacts than one answer holds.
const MORE: std::ops::Range<u8> = 24..32;
const UNASKED: u8 = 32;

#[rustfmt::skip]
const CONDUCTS: [(u8, Conduct); 21] = [
    (GOOD, Conduct::Well),
    (EXTRA, Conduct::With(b"d1:rd3:foo3:bar2:id20:{id}4:zooml1:ai7eee1:t{#theirs}1:v4:Cf011:y1:r1:zdee")),
    (UNSORTED, Conduct::With(b"d1:y1:r1:t{#theirs}1:rd2:id20:{id}ee")),
    (ODD_IP, Conduct::With(b"d2:ip5:\x01\x02\x03\x04\x051:rd2:id20:{id}e1:t{#theirs}1:y1:re")),
    (OTHER_PORT, Conduct::From(Source::Twin(OTHER_PORT))),
    (OTHER_ADDRESS, Conduct::From(Source::Other)),
    (OTHER_T, Conduct::With(b"d1:rd2:id20:{id}e1:t{#flipped}1:y1:re")),
    (SHORT_T, Conduct::With(b"d1:rd2:id20:{id}e1:t{#short}1:y1:re")),
    (LONG_T, Conduct::With(b"d1:rd2:id20:{id}e1:t{#long}1:y1:re")),
    (EMPTY_T, Conduct::With(b"d1:rd2:id20:{id}e1:t0:1:y1:re")),
    (NO_T, Conduct::With(b"d1:rd2:id20:{id}e1:y1:re")),
    (NO_KIND, Conduct::With(b"d1:rd2:id20:{id}e1:t{#theirs}1:y1:xe")),
    (CUT, Conduct::With(b"d1:rd2:id20:{id}e1:t{#theirs}1:y1:")),
    (LIST, Conduct::With(b"d1:rl2:id20:{id}e1:t{#theirs}1:y1:re")),
    (NO_ID, Conduct::With(b"d1:rde1:t{#theirs}1:y1:re")),
    (SHORT_ID, Conduct::With(b"d1:rd2:id19:nineteen-bytes-here1:t{#theirs}1:y1:re")),
    (LONG_ID, Conduct::With(b"d1:rd2:id21:twenty-one-bytes-heree1:t{#theirs}1:y1:re")),
    (ZERO_ID, Conduct::With(b"d1:rd2:id20:\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0e1:t{#theirs}1:y1:re")),
    (OWN_ID, Conduct::With(b"d1:rd2:id20:{target}e1:t{#theirs}1:y1:re")),
    (OTHER_ID, Conduct::With(b"d1:rd2:id20:another-node-id-heree1:t{#theirs}1:y1:re")),
    (MIRROR, Conduct::Mirror),
];

/// All newcomers ask; then time passes until the target has asked all of them, or takes no more interest.
fn prepare(p: &mut Probe<'_>) -> Outcome {
    super::routing::learner(p)?;
    p.fact("answers", |p| {
        for (number, conduct) in CONDUCTS {
            p.set_conduct(Source::Fresh(number), conduct);
        }
        let newcomers: Vec<Source> = (0..CONDUCTS.len() as u8).chain(MORE).map(Source::Fresh).collect();
        for &source in &newcomers {
            p.ask_from(source, PING, &[])?;
        }
        for _ in 0..PATIENCE {
            if newcomers.iter().all(|source| was_asked(p, *source)) {
                break;
            }
            p.wait(1);
        }
        p.wait(2);
        Ok(true)
    })
    .map(drop)
}

fn was_asked(p: &Probe<'_>, source: Source) -> bool {
    p.asked().iter().any(|(asked, _)| *asked == source)
}

/// The ids under which a search for `target` names the address of `source`.
fn named(p: &mut Probe<'_>, source: Source, target: &[u8; 20]) -> Result<Vec<Vec<u8>>, Trouble> {
    let (key, addr) = (p.own_nodes(), CompactAddr::new(&p.address(source)?));
    let reply = p.ask(FIND_NODE, &[("hash", target)])?;
    let records = reply.results()?.contacts(key)?;
    Ok(records.iter().filter(|record| record[20..] == *addr.as_bytes()).map(|record| record[..20].to_vec()).collect())
}

fn stays_in(p: &mut Probe<'_>, number: u8) -> Outcome {
    asked(p, number)?;
    let known = p.is_known(Source::Fresh(number))?;
    expect(known, "it is not handed out, while others are")
}

/// Whatever id it might be known by, the address of this newcomer is not handed out.
fn stays_out(p: &mut Probe<'_>, number: u8) -> Outcome {
    p.address(Source::Other)?;
    let source = asked(p, number)?;
    let (own, asker) = (p.target_id()?, p.id(source).0);
    for target in [asker, own, [0; 20]] {
        expect(named(p, source, &target)?.is_empty(), "it is handed out all the same")?;
    }
    Ok(())
}

/// The newcomer, if the target has asked it: else nothing is told.
fn asked(p: &mut Probe<'_>, number: u8) -> Result<Source, Trouble> {
    prepare(p)?;
    let source = Source::Fresh(number);
    if was_asked(p, source) { Ok(source) } else { Err(skipped("it has not asked this newcomer")) }
}

fn other_id(p: &mut Probe<'_>) -> Outcome {
    let source = asked(p, OTHER_ID)?;
    let asker = p.id(source).0;
    for target in [asker, *ANOTHER] {
        let ids = named(p, source, &target)?;
        expect(!ids.contains(&asker.to_vec()), "it is handed out under an id that it never answered with")?;
    }
    Ok(())
}

fn no_loop(p: &mut Probe<'_>) -> Outcome {
    let source = asked(p, MIRROR)?;
    p.wait(4);
    let queries = p.asked().iter().filter(|(asked, _)| *asked == source).count();
    expect(queries <= 8, format!("{queries} queries"))
}

fn unasked(p: &mut Probe<'_>) -> Outcome {
    prepare(p)?;
    let source = Source::Fresh(UNASKED);
    p.address(source)?;
    for t in [&b"aa"[..], b"\x00\x00\x00\x01", b"\x00\x01"] {
        let response = p.filled(source, b"d1:rd2:id20:{id}5:nodes0:e1:t{#made-up}1:y1:re", &[("made-up", t)]);
        p.send(source, &response, false);
    }
    p.wait(4);
    let id = p.id(source).0;
    expect(named(p, source, &id)?.is_empty(), "it is handed out")
}

/// All contacts that it was seen to hand out are known; no search may leave a close one out for a distant one.
fn closest(p: &mut Probe<'_>) -> Outcome {
    prepare(p)?;
    let key = p.own_nodes();
    let mut known = Vec::new();
    for number in MORE {
        if p.hands_out(Source::Fresh(number))? {
            known.push(p.id(Source::Fresh(number)).0);
        }
    }
    if known.len() < 3 {
        return Err(skipped("it knows too few of us"));
    }
    for _ in 0..4 {
        p.next_hash();
        let target = p.hash().0;
        let distance = |id: &[u8]| -> Vec<u8> { id.iter().zip(target).map(|(a, b)| a ^ b).collect() };
        let reply = p.ask(FIND_NODE, &[])?;
        let given: Vec<Vec<u8>> =
            reply.results()?.contacts(key)?.iter().map(|record| distance(&record[..20])).collect();
        let farthest = given.iter().max().cloned().unwrap_or_default();
        let missing =
            known.iter().map(|id| distance(id)).filter(|near| *near < farthest && !given.contains(near)).count();
        expect(missing == 0, format!("{missing} closer contacts are left out for more distant ones"))?;
    }
    Ok(())
}

/// Anyone can write the address of a good contact into a datagram; only an answer tells who is there.
fn forged_id(p: &mut Probe<'_>) -> Outcome {
    prepare(p)?;
    let good = Source::Fresh(MORE.start);
    if !p.hands_out(good)? {
        return Err(skipped("it does not know the contact"));
    }
    for _ in 0..2 {
        p.ask_from(good, PING, &[("id", ANOTHER)])?;
        p.wait(8);
    }
    expect(p.hands_out(good)?, "the contact is gone, though it still answers")
}
