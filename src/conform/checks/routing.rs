//! Contacts handed out, and how a node comes to know them (BEP 5, Routing Table and `find_node`; BEP 43).

use crate::conform::Test::{Canonical, NotServed, Refused, Run, Served};
use crate::conform::probe::{FIND_NODE, PING, Probe, sendable_contacts};
use crate::conform::reply::{expect, skipped};
use crate::conform::{Check, Outcome, Source, must, should};

const FIND: &str = "BEP 5, find_node";
const TABLE: &str = "BEP 5, Routing Table";
const ERRORS: &str = "BEP 5, Errors";

#[rustfmt::skip]
pub(super) const CHECKS: &[Check] = &[
    must("routing.find_node", FIND, "find_node is answered with contacts of its own family, whole records", Run(whole_records)),
    must("routing.find_node.canonical", "BEP 3, bencoding", "the answer to find_node is canonical bencoding", Canonical(FIND_NODE)),
    must("routing.find_node.few", "jech/dht drops more", "no more than 16 contacts are handed out at once", Run(|p| at_most(p, 16))),
    should("routing.find_node.k", FIND, "no more than K = 8 contacts are handed out at once", Run(|p| at_most(p, 8))),
    should("routing.find_node.unique", FIND, "no contact is handed out twice in one answer", Run(unique)),
    must("routing.find_node.sendable", FIND, "no contact has port 0 or an address that nobody can have", Run(sendable)),
    should("routing.find_node.others", FIND, "it does not hand out itself", Run(not_itself)),
    must("routing.target.missing", FIND, "find_node without a target is not served", NotServed(b"d1:ad2:id20:{id}e1:q9:find_node1:t4:{t}1:y1:qe")),
    should("routing.target.missing.code", ERRORS, "find_node without a target is refused with 203", Refused(203, b"d1:ad2:id20:{id}e1:q9:find_node1:t4:{t}1:y1:qe")),
    must("routing.target.short", FIND, "a target of 19 bytes is not served", NotServed(b"d1:ad2:id20:{id}6:target19:0123456789012345678e1:q9:find_node1:t4:{t}1:y1:qe")),
    should("routing.target.short.code", ERRORS, "a target of 19 bytes is refused with 203", Refused(203, b"d1:ad2:id20:{id}6:target19:0123456789012345678e1:q9:find_node1:t4:{t}1:y1:qe")),
    must("routing.target.integer", FIND, "a target that is a number is not served", NotServed(b"d1:ad2:id20:{id}6:targeti1ee1:q9:find_node1:t4:{t}1:y1:qe")),
    must("routing.target.zero", FIND, "the target of all zeros is a target", Served(b"d1:ad2:id20:{id}6:target20:\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00e1:q9:find_node1:t4:{t}1:y1:qe")),
    must("routing.target.ones", FIND, "the target of all ones is a target", Served(b"d1:ad2:id20:{id}6:target20:\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xffe1:q9:find_node1:t4:{t}1:y1:qe")),
    must("routing.target.itself", FIND, "a search for its own id is served", Run(its_own_id)),
    should("routing.learns", TABLE, "a node that asks it and answers it is soon handed out", Run(learns)),
    must("routing.answers-only", TABLE, "a node that never answers it is not handed out", Run(mute_stays_out)),
    must("routing.ro.not-added", "BEP 43", "a read-only node is not handed out", Run(read_only_stays_out)),
    must("routing.not-from-payload", TABLE, "an address that only a query's arguments name is not handed out", Run(payload_stays_out)),
    should("routing.own-id", "mldht, jech/dht", "nobody enters its table under its own id", Run(impostor_stays_out)),
    should("routing.checks-newcomers", TABLE, "it asks a newcomer before it hands it out", Run(checks_newcomers)),
    must("routing.target.empty", FIND, "an empty target is not served", NotServed(b"d1:ad2:id20:{id}6:target0:e1:q9:find_node1:t4:{t}1:y1:qe")),
    must("routing.target.long", FIND, "a target of 21 bytes is not served", NotServed(b"d1:ad2:id20:{id}6:target21:012345678901234567890e1:q9:find_node1:t4:{t}1:y1:qe")),
    must("routing.target.hex", FIND, "a target in hex, 40 bytes, is not served", NotServed(b"d1:ad2:id20:{id}6:target40:0123456789abcdef0123456789abcdef01234567e1:q9:find_node1:t4:{t}1:y1:qe")),
    must("routing.target.list", FIND, "a target that is a list is not served", NotServed(b"d1:ad2:id20:{id}6:targetl20:{hash}ee1:q9:find_node1:t4:{t}1:y1:qe")),
    must("routing.target.outside", FIND, "a target outside of the arguments does not count", NotServed(b"d1:ad2:id20:{id}e1:q9:find_node1:t4:{t}6:target20:{hash}1:y1:qe")),
    should("routing.target.long.code", ERRORS, "a target of 21 bytes is refused with 203", Refused(203, b"d1:ad2:id20:{id}6:target21:012345678901234567890e1:q9:find_node1:t4:{t}1:y1:qe")),
    should("routing.target.info_hash", FIND, "find_node with an infohash in the place of a target is not served", NotServed(b"d1:ad2:id20:{id}9:info_hash20:{hash}e1:q9:find_node1:t4:{t}1:y1:qe")),
];

fn whole_records(p: &mut Probe<'_>) -> Outcome {
    let key = p.own_nodes();
    p.ask(FIND_NODE, &[])?.results()?.contacts(key).map(drop)
}

fn at_most(p: &mut Probe<'_>, most: usize) -> Outcome {
    let key = p.own_nodes();
    let given = p.ask(FIND_NODE, &[])?.results()?.contacts(key)?.len();
    expect(given <= most, format!("{given} contacts"))
}

fn unique(p: &mut Probe<'_>) -> Outcome {
    let key = p.own_nodes();
    let reply = p.ask(FIND_NODE, &[])?;
    let mut contacts = reply.results()?.contacts(key)?;
    let given = contacts.len();
    contacts.sort_unstable();
    contacts.dedup();
    expect(contacts.len() == given, "a contact is there twice")
}

fn sendable(p: &mut Probe<'_>) -> Outcome {
    let key = p.own_nodes();
    sendable_contacts(p.ask(FIND_NODE, &[])?.results()?, key)
}

fn not_itself(p: &mut Probe<'_>) -> Outcome {
    let (key, id) = (p.own_nodes(), p.target_id()?);
    let reply = p.ask(FIND_NODE, &[("hash", &id)])?;
    let itself = reply.results()?.contacts(key)?.iter().any(|contact| contact[..20] == id);
    expect(!itself, "its own id is among the contacts")
}

fn its_own_id(p: &mut Probe<'_>) -> Outcome {
    let id = p.target_id()?;
    p.ask(FIND_NODE, &[("hash", &id)])?.results().map(drop)
}

fn learns(p: &mut Probe<'_>) -> Outcome {
    let known = p.is_known(Source::Main)?;
    expect(known, "after some ten seconds it still does not hand us out")
}

/// For what must not be handed out: tells something only where others are.
pub(super) fn learner(p: &mut Probe<'_>) -> Outcome {
    if p.is_known(Source::Main)? { Ok(()) } else { Err(skipped("it does not hand us out either")) }
}

fn mute_stays_out(p: &mut Probe<'_>) -> Outcome {
    learner(p)?;
    p.ask_from(Source::Mute, PING, &[])?;
    p.ask_from(Source::Mute, FIND_NODE, &[])?;
    expect(!p.is_known(Source::Mute)?, "a node that never answered is handed out")
}

fn read_only_stays_out(p: &mut Probe<'_>) -> Outcome {
    const READ_ONLY: &[u8] = b"d1:ad2:id20:{id}6:target20:{hash}e1:q9:find_node2:roi1e1:t4:{t}1:y1:qe";
    learner(p)?;
    for _ in 0..2 {
        p.ask_from(Source::ReadOnly, READ_ONLY, &[])?.results()?;
        // It answers when it is asked: only what it says of itself keeps it out.
        p.wait(8);
        expect(!p.hands_out(Source::ReadOnly)?, "a read-only node is handed out")?;
    }
    Ok(())
}

fn payload_stays_out(p: &mut Probe<'_>) -> Outcome {
    let key = p.own_nodes();
    let (id, ip): ([u8; 20], &[u8]) = (p.hash().0, if key == "nodes" { &[203, 0, 113, 7] } else { &[0x20; 16] });
    let contact = [&id[..], ip, &[0x1a, 0xe1]].concat();
    let query =
        b"d1:ad2:id20:{id}2:ip{#ip}5:nodes{#contact}6:nodes6{#contact}6:target20:{hash}e1:q9:find_node1:t4:{t}1:y1:qe";
    p.ask(query, &[("contact", &contact), ("ip", ip)])?.results()?;
    let reply = p.ask(FIND_NODE, &[])?;
    let taken = reply.results()?.contacts(key)?.contains(&&contact[..]);
    expect(!taken, "it hands out what a stranger wrote into a query")
}

fn impostor_stays_out(p: &mut Probe<'_>) -> Outcome {
    learner(p)?;
    let (key, id) = (p.own_nodes(), p.target_id()?);
    p.provoke(b"d1:ad2:id20:{theirs}e1:q4:ping1:t2:im1:y1:qe", &[("theirs", &id)])?;
    let reply = p.ask(FIND_NODE, &[("hash", &id)])?;
    let taken = reply.results()?.contacts(key)?.iter().any(|contact| contact[..20] == id);
    expect(!taken, "a contact with its own id is handed out")
}

fn checks_newcomers(p: &mut Probe<'_>) -> Outcome {
    learner(p)?;
    expect(p.asked().iter().any(|(source, _)| *source == Source::Main), "it hands us out and never asked us")
}
