//! What arrives at an open port: garbage, traps for parsers, too much of everything. Nothing of it is answered, for
//! its source may be forged, and nothing of it hurts.

use crate::conform::Test::{Run, Silent, Survives};
use crate::conform::probe::{FIND_NODE, Field, GET_PEERS, PING, Probe};
use crate::conform::reply::expect;
use crate::conform::{Check, Outcome, Source, must, should};

const GARBAGE: &str = "BEP 5; libtorrent, jech/dht: garbage is dropped";
const BENCODING: &str = "BEP 3, bencoding";
const CUT: &str = "BEP 3, bencoding; libtorrent: what does not end is dropped";
/// Cuts of one query where time is dear.
const CUTS: usize = 8;
/// Beginnings that are sent before the target is asked whether it goes on.
const AT_ONCE: usize = 8;

#[rustfmt::skip]
pub(super) const CHECKS: &[Check] = &[
    should("abuse.empty", GARBAGE, "an empty datagram is not answered", Silent(b"")),
    should("abuse.byte", GARBAGE, "a single d is not answered", Silent(b"d")),
    should("abuse.text", GARBAGE, "a text is not answered", Silent(b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n")),
    should("abuse.binary", GARBAGE, "random bytes are not answered", Silent(b"\x00\xff\x13BitTorrent protocol\x00\x00\x00\x00\x00\x10\x00\x05\x80\x81\x82\x83\x84")),
    should("abuse.integer", GARBAGE, "a lone integer is not answered", Silent(b"i123456789012345678e")),
    should("abuse.list", GARBAGE, "a list is not answered", Silent(b"l1:ad2:id20:{id}e1:q4:ping1:t4:{t}1:y1:qe")),
    should("abuse.dict.empty", GARBAGE, "an empty dict is not answered", Silent(b"de")),
    should("abuse.truncated", GARBAGE, "a query that is cut off is not answered", Silent(b"d1:ad2:id20:{id}e1:q4:ping1:t4:{t}1:y1:q")),
    should("abuse.truncated.string", GARBAGE, "a query that is cut off inside a string is not answered", Silent(b"d1:ad2:id20:{id}e1:q4:ping1:t4:{t}1:y9:q")),
    should("abuse.key.integer", BENCODING, "a dict with a number for a key is not answered", Silent(b"di1e1:a1:ad2:id20:{id}e1:q4:ping1:t4:{t}1:y1:qe")),
    should("abuse.length.huge", BENCODING, "a string longer than the datagram is not answered", Silent(b"d1:ad2:id2147483647:{id}e1:q4:ping1:t4:{t}1:y1:qe")),
    should("abuse.length.overflow", BENCODING, "a length that fits no machine word is not answered", Silent(b"d1:ad2:id99999999999999999999999999:{id}e1:q4:ping1:t4:{t}1:y1:qe")),
    should("abuse.length.negative", BENCODING, "a negative length is not answered", Silent(b"d1:ad2:id-20:{id}e1:q4:ping1:t4:{t}1:y1:qe")),
    should("abuse.length.wrap", BENCODING, "a length that wraps around to 20 is not answered", Silent(b"d1:ad2:id18446744073709551636:{id}e1:q4:ping1:t4:{t}1:y1:qe")),
    must("abuse.int.huge", BENCODING, "an integer that fits no machine word does no harm", Survives(b"d1:ad2:id20:{id}4:porti99999999999999999999999999999999ee1:q4:ping1:t4:{t}1:y1:qe")),
    must("abuse.int.empty", BENCODING, "an integer without digits does no harm", Survives(b"d1:ad2:id20:{id}4:portiee1:q4:ping1:t4:{t}1:y1:qe")),
    must("abuse.int.minus", BENCODING, "an integer that is a minus sign does no harm", Survives(b"d1:ad2:id20:{id}4:porti-ee1:q4:ping1:t4:{t}1:y1:qe")),
    must("abuse.int.zeros", BENCODING, "an integer with leading zeros does no harm", Survives(b"d1:ad2:id20:{id}4:porti0007ee1:q4:ping1:t4:{t}1:y1:qe")),
    must("abuse.duplicate", BENCODING, "a dict with a key twice does no harm", Survives(b"d1:ad2:id20:{id}2:id3:abce1:q4:ping1:q4:pong1:t4:{t}1:y1:qe")),
    must("abuse.trailing", BENCODING, "bytes after the message do no harm", Survives(b"d1:ad2:id20:{id}e1:q4:ping1:t4:{t}1:y1:qe\r\n\r\n")),
    must("abuse.t.1000", "replies grow with it", "a transaction id of 1,000 bytes does no harm", Run(long_transaction)),
    must("abuse.method.1000", "logs and errors grow with it", "a method of 1,000 bytes does no harm", Run(long_method)),
    must("abuse.nested", "parsers recurse", "400 lists inside each other do no harm", Run(nested)),
    must("abuse.nested.dicts", "parsers recurse", "200 dicts inside each other do no harm", Run(nested_dicts)),
    must("abuse.tokens", "parsers allocate per value", "a list of 600 numbers does no harm", Run(many_values)),
    must("abuse.keys", "parsers allocate per key", "a dict of 200 keys does no harm", Run(many_keys)),
    must("abuse.mtu", "buffers", "a datagram of 1,472 bytes does no harm", Run(|p| padded(p, 1472))),
    must("abuse.oversize", "buffers", "a datagram of 8,000 bytes does no harm", Run(|p| padded(p, 8000))),
    must("abuse.substrings", "jech/dht searches for substrings", "keys that stand inside strings are not taken for keys", Run(substrings)),
    must("abuse.nul", "C strings", "a method with a NUL inside is not ping", Run(|p| p.not_served(b"d1:ad2:id20:{id}e1:q6:ping\x00x1:t4:{t}1:y1:qe"))),
    must("abuse.burst", "a node answers others while one floods it", "after 200 pings at once from one address it answers another", Run(burst)),
    must("abuse.burst.garbage", "a node answers others while one floods it", "after 200 datagrams of garbage it answers", Run(burst_of_garbage)),
    should("abuse.cut.ping", CUT, "no ping is answered that is cut off anywhere", Run(|p| cut(p, PING))),
    should("abuse.cut.find_node", CUT, "no find_node is answered that is cut off anywhere", Run(|p| cut(p, FIND_NODE))),
    should("abuse.cut.get_peers", CUT, "no get_peers is answered that is cut off anywhere", Run(|p| cut(p, GET_PEERS))),
    should("abuse.cut.announce", CUT, "no announce is answered that is cut off anywhere", Run(|p| cut(p, b"d1:ad2:id20:{id}9:info_hash20:{hash}4:porti7008e5:token8:made-up!e1:q13:announce_peer1:t4:{t}1:y1:qe"))),
    should("abuse.cut.get", CUT, "no get is answered that is cut off anywhere", Run(|p| cut(p, b"d1:ad2:id20:{id}6:target20:{hash}e1:q3:get1:t4:{t}1:y1:qe"))),
    should("abuse.cut.put", CUT, "no put is answered that is cut off anywhere", Run(|p| cut(p, b"d1:ad2:id20:{id}5:token8:made-up!1:v5:valuee1:q3:put1:t4:{t}1:y1:qe"))),
    must("abuse.cut.stored", "BEP 3, bencoding", "no announce is stored that is cut off anywhere", Run(cut_announce)),
    should("abuse.length.zeros", BENCODING, "a length with leading zeros is not answered", Silent(b"d1:ad2:id020:{id}e1:q4:ping1:t4:{t}1:y1:qe")),
    should("abuse.length.plus", BENCODING, "a length with a plus sign is not answered", Silent(b"d1:ad2:id+20:{id}e1:q4:ping1:t4:{t}1:y1:qe")),
    should("abuse.length.space", BENCODING, "a length behind a space is not answered", Silent(b"d1:ad2:id 20:{id}e1:q4:ping1:t4:{t}1:y1:qe")),
    should("abuse.length.none", BENCODING, "a string without a length is not answered", Silent(b"d1:ad2:id:{id}e1:q4:ping1:t4:{t}1:y1:qe")),
    should("abuse.dict.odd", BENCODING, "a dict with a key without a value is not answered", Silent(b"d1:ad2:id20:{id}4:porte1:q4:ping1:t4:{t}1:y1:qe")),
    should("abuse.end", BENCODING, "an end too many, in front, is not answered", Silent(b"ed1:ad2:id20:{id}e1:q4:ping1:t4:{t}1:y1:qe")),
    must("abuse.int.long", BENCODING, "an integer of 1,000 digits does no harm", Run(long_integer)),
    must("abuse.nested.deep", "parsers recurse", "1,400 lists that do not end do no harm", Run(|p| p.survives(&b"l".repeat(1400), &[]))),
    must("abuse.nested.values", "parsers recurse", "a value of 300 lists inside each other in a put does no harm", Run(nested_value)),
    must("abuse.values.many", "parsers allocate per value", "a response with 150 peers that nobody asked for does no harm", Run(many_peers)),
    must("abuse.nodes.odd", "jech/dht blacklists such", "a response with contacts of 25 bytes does no harm", Survives(b"d1:rd2:id20:{id}5:nodes25:0123456789012345678901234e1:t4:{t}1:y1:re")),
];

fn long_transaction(p: &mut Probe<'_>) -> Outcome {
    p.survives(b"d1:ad2:id20:{id}e1:q4:ping1:t{#long}1:y1:qe", &[("long", &[b'x'; 1000])])
}

fn long_method(p: &mut Probe<'_>) -> Outcome {
    p.survives(b"d1:ad2:id20:{id}e1:q{#long}1:t4:{t}1:y1:qe", &[("long", &[b'x'; 1000])])
}

fn nested(p: &mut Probe<'_>) -> Outcome {
    let deep = [b"l".repeat(400), b"e".repeat(400)].concat();
    p.survives(b"d1:ad4:deep{deep}2:id20:{id}e1:q4:ping1:t4:{t}1:y1:qe", &[("deep", &deep)])
}

fn nested_dicts(p: &mut Probe<'_>) -> Outcome {
    let deep = [b"d1:a".repeat(200), b"de".to_vec(), b"e".repeat(200)].concat();
    p.survives(b"d1:ad4:deep{deep}2:id20:{id}e1:q4:ping1:t4:{t}1:y1:qe", &[("deep", &deep)])
}

fn many_values(p: &mut Probe<'_>) -> Outcome {
    let many = [&b"l"[..], &b"i1e".repeat(600), b"e"].concat();
    p.survives(b"d1:ad2:id20:{id}4:many{many}e1:q4:ping1:t4:{t}1:y1:qe", &[("many", &many)])
}

fn many_keys(p: &mut Probe<'_>) -> Outcome {
    let keys: Vec<u8> = (0..200).flat_map(|key| format!("5:k{key:04}0:").into_bytes()).collect();
    p.survives(b"d1:ad2:id20:{id}{keys}e1:q4:ping1:t4:{t}1:y1:qe", &[("keys", &keys)])
}

fn padded(p: &mut Probe<'_>, length: usize) -> Outcome {
    let padding = vec![b'p'; length - 72];
    p.survives(b"d1:ad2:id20:{id}7:padding{#padding}e1:q4:ping1:t4:{t}1:y1:qe", &[("padding", &padding)])
}

fn substrings(p: &mut Probe<'_>) -> Outcome {
    let query = b"d1:ad2:id20:{id}6:target20:1:t2:zz1:y1:r1:q4:pie1:q9:find_node1:t4:{t}1:y1:qe";
    // Not from an address that is needed later: jech/dht reads a response in it, and blacklists the sender.
    let reply = p.ask_from(Source::Port(200), query, &[])?;
    reply.results()?;
    expect(reply.transaction() != b"zz", "it echoes what stands inside a string")
}

/// Every beginning of a query; at a polite pace only some, the last ones among them, which hold nearly everything.
fn cuts(p: &mut Probe<'_>, query: &[u8], fields: &[Field<'_>]) -> Vec<Vec<u8>> {
    let whole = p.filled(Source::Main, query, fields).len();
    let all: Vec<usize> = (1..whole).rev().collect();
    let some: Vec<usize> = if p.may_burst().is_ok() {
        all
    } else {
        all[..CUTS / 2].iter().copied().chain((1..whole).step_by(whole / (CUTS / 2))).collect()
    };
    some.into_iter().map(|length| p.filled(Source::Main, query, fields)[..length].to_vec()).collect()
}

fn cut(p: &mut Probe<'_>, query: &[u8]) -> Outcome {
    cuts(p, query, &[]).chunks(AT_ONCE).try_for_each(|cuts| {
        let answers = p.provoke_raw(cuts)?;
        expect(answers == 0, format!("{answers} of {} beginnings are answered", cuts.len()))
    })
}

/// With a good token and all that is needed in it, and its end missing.
fn cut_announce(p: &mut Probe<'_>) -> Outcome {
    let token = p.token(Source::Main)?;
    let query = b"d1:ad2:id20:{id}9:info_hash20:{hash}4:porti7008e5:token{#token}e1:q13:announce_peer1:t4:{t}1:y1:qe";
    let all = cuts(p, query, &[("token", &token)]);
    all.chunks(AT_ONCE).try_for_each(|cuts| p.provoke_raw(cuts).map(drop))?;
    let peers = p.peers(Source::SecondPort)?;
    expect(peers.is_empty(), format!("stored as {peers:?}"))
}

fn long_integer(p: &mut Probe<'_>) -> Outcome {
    p.survives(b"d1:ad2:id20:{id}4:porti{digits}ee1:q4:ping1:t4:{t}1:y1:qe", &[("digits", &[b'9'; 1000])])
}

fn nested_value(p: &mut Probe<'_>) -> Outcome {
    let deep = [b"l".repeat(300), b"e".repeat(300)].concat();
    p.survives(b"d1:ad2:id20:{id}5:token8:made-up!1:v{deep}e1:q3:put1:t4:{t}1:y1:qe", &[("deep", &deep)])
}

fn many_peers(p: &mut Probe<'_>) -> Outcome {
    let peers = b"6:\x01\x02\x03\x04\x1a\xe1".repeat(150);
    p.survives(b"d1:rd2:id20:{id}6:valuesl{peers}ee1:t4:{t}1:y1:re", &[("peers", &peers)])
}

fn burst(p: &mut Probe<'_>) -> Outcome {
    p.may_burst()?;
    p.address(Source::Other)?;
    flood(p, Source::Other, PING);
    p.alive()
}

fn burst_of_garbage(p: &mut Probe<'_>) -> Outcome {
    p.may_burst()?;
    p.address(Source::Other)?;
    flood(p, Source::Other, b"d1:ad2:id20:{id}e1:q4:ping1:t4:{t}");
    p.alive()
}

fn flood(p: &mut Probe<'_>, source: Source, datagram: &[u8]) {
    let datagrams: Vec<Vec<u8>> = (0..200).map(|_| p.filled(source, datagram, &[])).collect();
    p.flood(source, &datagrams);
}
