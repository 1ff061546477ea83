//! The envelope of messages: transaction ids, kinds, errors, unknown things (BEP 5, KRPC Protocol).

use crate::conform::Test::{Canonical, NotServed, Refused, Run, Served, Silent};
use crate::conform::probe::{PING, Probe};
use crate::conform::reply::{expect, failed, skipped};
use crate::conform::tree::{Tree, is_canonical};
use crate::conform::{Check, Outcome, Source, must, should};

const KRPC: &str = "BEP 5, KRPC Protocol";
const QUERIES: &str = "BEP 5, DHT Queries";
const ERRORS: &str = "BEP 5, Errors";

#[rustfmt::skip]
pub(super) const CHECKS: &[Check] = &[
    must("krpc.ping", "BEP 5, ping", "a ping is answered with an id of 20 bytes", Served(PING)),
    must("krpc.ping.canonical", "BEP 3, bencoding", "the answer to a ping is canonical bencoding", Canonical(PING)),
    must("krpc.one-answer", KRPC, "a query has one answer", Run(one_answer)),
    must("krpc.id.stable", "BEP 5, Overview", "the node has one id, for whoever asks", Run(stable_id)),
    must("krpc.id.own", "BEP 5, Overview", "its id is neither zero nor that of the asker", Run(own_id)),
    must("krpc.t.1", KRPC, "a transaction id of 1 byte is echoed", Run(|p| echoes(p, b"a"))),
    must("krpc.t.2", KRPC, "a transaction id of 2 bytes, the usual length, is echoed", Run(|p| echoes(p, b"aa"))),
    must("krpc.t.4", "the mainline crate sends 4 bytes", "a transaction id of 4 bytes is echoed", Run(|p| echoes(p, b"\x01234"))),
    must("krpc.t.6", "mldht sends 6 bytes", "a transaction id of 6 bytes is echoed", Run(|p| echoes(p, b"mldht6"))),
    must("krpc.t.8", "clients send up to 8 bytes", "a transaction id of 8 bytes is echoed", Run(|p| echoes(p, b"eightbyt"))),
    should("krpc.t.20", "rTorrent accepts up to 20 bytes", "a transaction id of 20 bytes is echoed", Run(|p| echoes(p, b"twenty-bytes-long-tid"))),
    must("krpc.t.binary", KRPC, "a transaction id is bytes, not text", Run(|p| echoes(p, b"\x00\xff"))),
    must("krpc.t.bencode", KRPC, "a transaction id that looks like bencoding is echoed", Run(|p| echoes(p, b"1:ye"))),
    must("krpc.t.pipelined", KRPC, "queries in flight together are told apart by their transaction ids", Run(pipelined)),
    should("krpc.t.missing", KRPC, "a query without a transaction id is not served", NotServed(b"d1:ad2:id20:{id}e1:q4:ping1:y1:qe")),
    should("krpc.t.empty", KRPC, "a query with an empty transaction id is not served", NotServed(b"d1:ad2:id20:{id}e1:q4:ping1:t0:1:y1:qe")),
    should("krpc.t.integer", KRPC, "a transaction id that is a number is not served", NotServed(b"d1:ad2:id20:{id}e1:q4:ping1:ti7e1:y1:qe")),
    should("krpc.y.missing", KRPC, "a message without a kind is not served", NotServed(b"d1:ad2:id20:{id}e1:q4:ping1:t4:{t}e")),
    must("krpc.y.unknown", KRPC, "a message of an unknown kind is not served", NotServed(b"d1:ad2:id20:{id}e1:q4:ping1:t4:{t}1:y1:xe")),
    should("krpc.y.integer", KRPC, "a kind that is a number is not served", NotServed(b"d1:ad2:id20:{id}e1:q4:ping1:t4:{t}1:yi1ee")),
    must("krpc.q.missing", KRPC, "a query without a method is not served", NotServed(b"d1:ad2:id20:{id}e1:t4:{t}1:y1:qe")),
    should("krpc.q.missing.code", ERRORS, "a query without a method is refused with 203", Refused(203, b"d1:ad2:id20:{id}e1:t4:{t}1:y1:qe")),
    should("krpc.q.integer.code", ERRORS, "a method that is a number is refused with 203", Refused(203, b"d1:ad2:id20:{id}e1:qi1e1:t4:{t}1:y1:qe")),
    must("krpc.a.missing", KRPC, "a query without arguments is not served", NotServed(b"d1:q4:ping1:t4:{t}1:y1:qe")),
    should("krpc.a.missing.code", ERRORS, "a query without arguments is refused with 203", Refused(203, b"d1:q4:ping1:t4:{t}1:y1:qe")),
    should("krpc.a.list.code", ERRORS, "arguments that are a list are refused with 203", Refused(203, b"d1:al2:id20:{id}e1:q4:ping1:t4:{t}1:y1:qe")),
    must("krpc.id.missing", QUERIES, "a query without the id of the asker is not served", NotServed(b"d1:ade1:q4:ping1:t4:{t}1:y1:qe")),
    should("krpc.id.missing.code", ERRORS, "a query without the id of the asker is refused with 203", Refused(203, b"d1:ade1:q4:ping1:t4:{t}1:y1:qe")),
    must("krpc.id.short", QUERIES, "an id of 19 bytes is not served", NotServed(b"d1:ad2:id19:0123456789012345678e1:q4:ping1:t4:{t}1:y1:qe")),
    should("krpc.id.short.code", ERRORS, "an id of 19 bytes is refused with 203", Refused(203, b"d1:ad2:id19:0123456789012345678e1:q4:ping1:t4:{t}1:y1:qe")),
    must("krpc.id.long", QUERIES, "an id of 21 bytes is not served", NotServed(b"d1:ad2:id21:012345678901234567890e1:q4:ping1:t4:{t}1:y1:qe")),
    must("krpc.id.integer", QUERIES, "an id that is a number is not served", NotServed(b"d1:ad2:idi5ee1:q4:ping1:t4:{t}1:y1:qe")),
    should("krpc.unknown.code", ERRORS, "an unknown method is refused with 204", Refused(204, b"d1:ad2:id20:{id}e1:q5:dance1:t4:{t}1:y1:qe")),
    should("krpc.unknown.case", ERRORS, "methods are told apart by case: PING is unknown", Refused(204, b"d1:ad2:id20:{id}e1:q4:PING1:t4:{t}1:y1:qe")),
    should("krpc.unknown.target", "libtorrent, mldht", "an unknown method with a target is served as find_node", Run(|p| routed(p, b"d1:ad2:id20:{id}6:target20:{hash}e1:q5:dance1:t4:{t}1:y1:qe"))),
    should("krpc.unknown.info_hash", "libtorrent, mldht", "an unknown method with an infohash is served as find_node", Run(|p| routed(p, b"d1:ad2:id20:{id}9:info_hash20:{hash}e1:q5:dance1:t4:{t}1:y1:qe"))),
    must("krpc.error.shape", ERRORS, "an error is a list of a number and a text, with the transaction id", Run(error_shape)),
    must("krpc.error.canonical", "BEP 3, bencoding", "an error is canonical bencoding", Canonical(b"d1:ad2:id20:{id}e1:q9:find_node1:t4:{t}1:y1:qe")),
    should("krpc.version", KRPC, "answers name the client and its version (v)", Run(version)),
    should("krpc.keys.unsorted", "deployed clients", "keys out of order are served", Served(b"d1:y1:q1:t4:{t}1:q4:ping1:ad2:id20:{id}ee")),
    should("krpc.keys.extra", "BEP 5 was extended so", "keys and arguments that it does not know are passed over", Served(b"d1:ad3:foo3:bar2:id20:{id}5:zebral1:ai5eee1:q4:ping1:t4:{t}1:v4:Cf011:y1:q1:zdee")),
    must("krpc.ro.served", "BEP 43", "a read-only node is served", Served(b"d1:ad2:id20:{id}e1:q4:ping2:roi1e1:t4:{t}1:y1:qe")),
    should("krpc.ro.type", "BEP 43", "a ro that is no number is passed over", Served(b"d1:ad2:id20:{id}e1:q4:ping2:ro1:11:t4:{t}1:y1:qe")),
    should("krpc.response.silent", "BEP 5; libtorrent, jech/dht", "a response to nothing is not answered", Silent(b"d1:rd2:id20:{id}e1:t4:{t}1:y1:re")),
    should("krpc.error.silent", "BEP 5; libtorrent, jech/dht", "an error about nothing is not answered", Silent(b"d1:eli201e5:helloe1:t4:{t}1:y1:ee")),
    must("krpc.asks.well", KRPC, "its own queries are canonical, with transaction id, method and its id", Run(asks_well)),
    must("krpc.t.3", KRPC, "a transaction id of 3 bytes is echoed", Run(|p| echoes(p, b"abc"))),
    should("krpc.t.15", "jech/dht ignores 16 bytes and more", "a transaction id of 15 bytes is echoed", Run(|p| echoes(p, b"fifteen-bytes-t"))),
    must("krpc.t.64", "jech/dht blacklists whoever cuts it", "a transaction id of 64 bytes is echoed whole, or not at all", Run(long_transaction)),
    must("krpc.t.error", ERRORS, "an error echoes a transaction id of 8 bytes", Run(|p| error_echoes(p, b"eightbyt"))),
    should("krpc.t.list", KRPC, "a transaction id that is a list is not served", NotServed(b"d1:ad2:id20:{id}e1:q4:ping1:tl4:{t}e1:y1:qe")),
    must("krpc.y.response", KRPC, "a query that says that it is a response is not served", NotServed(b"d1:ad2:id20:{id}e1:q4:ping1:t4:{t}1:y1:re")),
    must("krpc.y.error", KRPC, "a query that says that it is an error is not served", NotServed(b"d1:ad2:id20:{id}e1:q4:ping1:t4:{t}1:y1:ee")),
    should("krpc.y.long", KRPC, "a kind of query, written out, is not served", NotServed(b"d1:ad2:id20:{id}e1:q4:ping1:t4:{t}1:y5:querye")),
    should("krpc.y.case", KRPC, "kinds are told apart by case: Q is none", NotServed(b"d1:ad2:id20:{id}e1:q4:ping1:t4:{t}1:y1:Qe")),
    should("krpc.y.empty", KRPC, "an empty kind is not served", NotServed(b"d1:ad2:id20:{id}e1:q4:ping1:t4:{t}1:y0:e")),
    must("krpc.q.empty", KRPC, "an empty method is not served", NotServed(b"d1:ad2:id20:{id}e1:q0:1:t4:{t}1:y1:qe")),
    must("krpc.q.shorter", KRPC, "pin is not ping", NotServed(b"d1:ad2:id20:{id}e1:q3:pin1:t4:{t}1:y1:qe")),
    must("krpc.q.longer", KRPC, "pingping is not ping", NotServed(b"d1:ad2:id20:{id}e1:q8:pingping1:t4:{t}1:y1:qe")),
    must("krpc.q.space", KRPC, "ping with a space behind it is not ping", NotServed(b"d1:ad2:id20:{id}e1:q5:ping 1:t4:{t}1:y1:qe")),
    must("krpc.q.list", KRPC, "a method that is a list is not served", NotServed(b"d1:ad2:id20:{id}e1:ql4:pinge1:t4:{t}1:y1:qe")),
    must("krpc.a.text", KRPC, "arguments that are a text are not served", NotServed(b"d1:a26:2:id20:abcdefghij01234567891:q4:ping1:t4:{t}1:y1:qe")),
    must("krpc.a.integer", KRPC, "arguments that are a number are not served", NotServed(b"d1:ai7e1:q4:ping1:t4:{t}1:y1:qe")),
    must("krpc.id.empty", QUERIES, "an empty id is not served", NotServed(b"d1:ad2:id0:e1:q4:ping1:t4:{t}1:y1:qe")),
    must("krpc.id.hex", QUERIES, "an id in hex, 40 bytes, is not served", NotServed(b"d1:ad2:id40:0123456789abcdef0123456789abcdef01234567e1:q4:ping1:t4:{t}1:y1:qe")),
    must("krpc.id.list", QUERIES, "an id that is a list is not served", NotServed(b"d1:ad2:idl20:{id}ee1:q4:ping1:t4:{t}1:y1:qe")),
    must("krpc.id.outside", QUERIES, "an id outside of the arguments does not count", NotServed(b"d1:ade2:id20:{id}1:q4:ping1:t4:{t}1:y1:qe")),
    should("krpc.id.long.code", ERRORS, "an id of 21 bytes is refused with 203", Refused(203, b"d1:ad2:id21:012345678901234567890e1:q4:ping1:t4:{t}1:y1:qe")),
    should("krpc.id.integer.code", ERRORS, "an id that is a number is refused with 203", Refused(203, b"d1:ad2:idi5ee1:q4:ping1:t4:{t}1:y1:qe")),
    should("krpc.unknown.target.short", "libtorrent, mldht", "an unknown method with a target of 19 bytes is not served", NotServed(b"d1:ad2:id20:{id}6:target19:0123456789012345678e1:q5:dance1:t4:{t}1:y1:qe")),
    should("krpc.integer.minus-zero", "BEP 3: i-0e is invalid", "a message with i-0e is not served", NotServed(b"d1:ad2:id20:{id}4:seedi-0ee1:q4:ping1:t4:{t}1:y1:qe")),
    should("krpc.integer.zeros", "BEP 3: leading zeros are invalid", "a message with i03e is not served", NotServed(b"d1:ad2:id20:{id}4:seedi03ee1:q4:ping1:t4:{t}1:y1:qe")),
    should("krpc.integer.plus", "BEP 3, bencoding", "a message with i+3e is not served", NotServed(b"d1:ad2:id20:{id}4:seedi+3ee1:q4:ping1:t4:{t}1:y1:qe")),
    must("krpc.ro.zero", "BEP 43", "a node that says ro = 0 is served", Served(b"d1:ad2:id20:{id}e1:q4:ping2:roi0e1:t4:{t}1:y1:qe")),
    should("krpc.version.long", KRPC, "a version of 12 bytes is passed over", Served(b"d1:ad2:id20:{id}e1:q4:ping1:t4:{t}1:v12:conform-test1:y1:qe")),
    should("krpc.version.integer", KRPC, "a version that is a number is passed over", Served(b"d1:ad2:id20:{id}e1:q4:ping1:t4:{t}1:vi7e1:y1:qe")),
];

fn one_answer(p: &mut Probe<'_>) -> Outcome {
    let answers = p.all_answers(PING)?;
    answers[0].results()?;
    expect(answers.len() == 1, format!("{} answers to one ping", answers.len()))
}

fn stable_id(p: &mut Probe<'_>) -> Outcome {
    let first = p.target_id()?;
    let again = p.ask_from(Source::SecondPort, PING, &[])?.results()?.id()?;
    expect(first == again, "two askers are told two ids")?;
    let found = p.ask(crate::conform::probe::FIND_NODE, &[])?.results()?.id()?;
    expect(first == found, "ping and find_node tell two ids")
}

fn own_id(p: &mut Probe<'_>) -> Outcome {
    let id = p.target_id()?;
    expect(id != [0; 20], "its id is zero")?;
    expect(id != p.id(Source::Main).0, "it gives our id back")
}

fn echoes(p: &mut Probe<'_>, t: &[u8]) -> Outcome {
    let t = &t[..t.len().min(20)];
    let reply = p.ask(b"d1:ad2:id20:{id}e1:q4:ping1:t{#ours}1:y1:qe", &[("ours", t)])?;
    reply.results()?;
    expect(reply.transaction() == t, "the answer carries another transaction id")
}

fn long_transaction(p: &mut Probe<'_>) -> Outcome {
    let long = [b't'; 64];
    let reply = p.provoke(b"d1:ad2:id20:{id}e1:q4:ping1:t{#long}1:y1:qe", &[("long", &long)])?;
    expect(reply.is_none_or(|reply| reply.transaction() == long), "the answer carries another transaction id")
}

fn error_echoes(p: &mut Probe<'_>, t: &[u8]) -> Outcome {
    let reply = p.ask(b"d1:ad2:id20:{id}e1:q9:find_node1:t{#ours}1:y1:qe", &[("ours", t)])?;
    reply.error().map(drop)
}

fn pipelined(p: &mut Probe<'_>) -> Outcome {
    let mut replies = p.ask_at_once(PING, 4);
    replies.iter().try_for_each(|reply| reply.results().map(drop))?;
    replies.sort_by_key(|reply| reply.transaction().to_vec());
    replies.dedup_by_key(|reply| reply.transaction().to_vec());
    expect(replies.len() == 4, format!("{} of 4 are answered", replies.len()))
}

fn routed(p: &mut Probe<'_>, query: &[u8]) -> Outcome {
    let key = p.own_nodes();
    p.ask(query, &[])?.results()?.contacts(key).map(drop)
}

fn error_shape(p: &mut Probe<'_>) -> Outcome {
    let reply = p.ask(b"d1:ad2:id20:{id}e1:q9:find_node1:t2:ee1:y1:qe", &[])?;
    let (code, _) = reply.error()?;
    expect((201..=204).contains(&code), format!("BEP 5 has no error {code}"))?;
    expect(reply.transaction() == b"ee", "the error carries another transaction id")
}

fn version(p: &mut Probe<'_>) -> Outcome {
    let reply = p.ask(PING, &[])?;
    let version = reply.top_bytes("v").ok_or_else(|| failed("v is missing, or no string"))?;
    expect(version.len() == 4, format!("v has {} bytes, not two letters and two bytes", version.len()))
}

fn asks_well(p: &mut Probe<'_>) -> Outcome {
    p.is_known(Source::Main)?;
    let id = p.target_id()?;
    if p.asked().is_empty() {
        return Err(skipped("it has asked nothing"));
    }
    for (_, query) in p.asked() {
        expect(is_canonical(&query.bytes), "a query is not canonical bencoding")?;
        expect(!query.transaction().is_empty(), "a query has no transaction id")?;
        expect(query.top_bytes("q").is_some(), "a query has no method")?;
        let asker = query.arguments().and_then(|arguments| arguments.get("id")).and_then(Tree::bytes);
        expect(asker == Some(&id[..]), "a query carries another id than the answers")?;
    }
    Ok(())
}
