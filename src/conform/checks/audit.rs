//! The audit: what holds for every datagram that the target sent in this run, whatever provoked it.
//!
//! Each rule is a function of one datagram and the ledger; it says nothing where it does not apply. They run last.

use std::net::SocketAddr;

use super::peers::MAX_DATAGRAM;
use crate::conform::Test::{Audit, Run};
use crate::conform::ledger::{Arrival, Judgement, Ledger, argument};
use crate::conform::probe::Probe;
use crate::conform::reply::{Results, expect, skipped};
use crate::conform::template::readable;
use crate::conform::tree::{Tree, is_canonical};
use crate::conform::{Check, Outcome, Source, must, should};
use crate::engine::contact::{CompactAddr, decode_addr, is_local, is_sendable};

const BENCODING: &str = "BEP 3, bencoding";
const KRPC: &str = "BEP 5, KRPC Protocol";
const ERRORS: &str = "BEP 5, Errors; BEP 44, Errors";
const ENCODING: &str = "BEP 5, Contact Encoding; BEP 32";
const TABLE: &str = "BEP 5, Routing Table";
const EXTERNAL: &str = "BEP 42, DHT Bootstrapping";
/// Largest UDP payload that an Ethernet carries whole over IPv4.
const MTU: usize = 1472;
/// Queries to a source that never answers, in one run.
const PATIENCE: usize = 16;

#[rustfmt::skip]
pub(super) const CHECKS: &[Check] = &[
    must("audit.dict", KRPC, "every datagram is one bencoded dict, nothing after it", Audit(|_, a| Some(expecting(a.reply.is_dict(), "it is no bencoded dict")))),
    must("audit.canonical.responses", BENCODING, "every response is canonical bencoding", Audit(|_, a| a.reply.is_response().then(|| canonical(a)))),
    must("audit.canonical.errors", BENCODING, "every error is canonical bencoding", Audit(|_, a| a.reply.is_error().then(|| canonical(a)))),
    must("audit.canonical.queries", BENCODING, "every query is canonical bencoding", Audit(|_, a| a.reply.is_query().then(|| canonical(a)))),
    must("audit.kind", KRPC, "every datagram is a query, a response or an error (y)", Audit(|_, a| Some(expecting(a.reply.is_query() || a.reply.is_response() || a.reply.is_error(), "y is neither q nor r nor e")))),
    must("audit.size", "BEP 32: at most 1,024 bytes", "no datagram without an item exceeds 1,024 bytes", Audit(size)),
    should("audit.size.item", "BEP 44; an Ethernet carries 1,472 bytes", "an answer with an item, which may have 1,000 bytes, is not cut into fragments", Audit(size_of_item)),
    must("audit.transaction", KRPC, "every reply carries the transaction id of a query from where it arrives", Audit(transaction)),
    must("audit.transaction.once", KRPC, "no query is answered more often than it was sent", Audit(|_, a| a.query.map(|sent| expecting(sent.answers <= sent.times, format!("{} answers to {} queries", sent.answers, sent.times))))),
    must("audit.replies.none", "BEP 5; libtorrent, jech/dht", "no reply is replied to", Audit(|ledger, a| (a.reply.is_response() || a.reply.is_error()).then(|| expecting(a.query.is_some() || !ledger.only_replied(a.source, a.reply.transaction()), "it replies to a reply")))),
    must("audit.origin", "BEP 5; NATs and firewalls pass nothing else", "every datagram leaves from the port that was asked", Run(origin)),
    must("audit.id", "BEP 5, Overview", "every response carries the same id of 20 bytes", Audit(id)),
    must("audit.queries.id", "BEP 5, DHT Queries", "every query carries the id of the responses", Audit(id_of_query)),
    must("audit.ip", EXTERNAL, "where a reply tells the asker its address, it is right", Audit(ip)),
    should("audit.ip.always", EXTERNAL, "a node that tells askers their address does so in every response and error", Audit(|ledger, a| (ledger.tells_addresses() && a.reply.has("y") && !a.reply.is_query()).then(|| expecting(a.reply.has("ip"), "ip is missing")))),
    must("audit.ip.queries", EXTERNAL, "no query carries ip", Audit(|_, a| a.reply.is_query().then(|| expecting(!a.reply.has("ip"), "a query with ip")))),
    must("audit.errors.shape", ERRORS, "every error is a list of a number and a text", Audit(|_, a| a.reply.is_error().then(|| a.reply.error().map(drop).map_err(|trouble| trouble.why())))),
    should("audit.errors.code", ERRORS, "every error has a code of the BEPs: 201 to 207, 301, 302", Audit(code)),
    should("audit.errors.alone", KRPC, "an error carries no results, and a response no error", Audit(|_, a| (a.reply.is_response() || a.reply.is_error()).then(|| expecting(!(a.reply.has("e") && a.reply.has("r")), "both r and e")))),
    must("audit.nodes.whole", ENCODING, "contacts are whole records: 26 bytes each in nodes, 38 in nodes6", Audit(|_, a| contacts(a).map(|all| all.map(drop)))),
    must("audit.nodes.few", "jech/dht drops more", "no more than 16 contacts of a family are in one answer", Audit(|_, a| nodes(a, |_, all| expecting(all.len() <= 16, format!("{} contacts", all.len()))))),
    must("audit.nodes.sendable", TABLE, "no contact has port 0 or an address that nobody can have", Audit(|_, a| nodes(a, |_, all| each(all, is_sendable_record, "is no address of a node")))),
    should("audit.nodes.unique", "BEP 5, find_node", "no contact is twice in one answer", Audit(|_, a| nodes(a, |_, all| expecting(are_unique(all), "a contact is there twice")))),
    should("audit.nodes.itself", "BEP 5, find_node", "the node never names itself", Audit(itself)),
    must("audit.nodes.answered", TABLE, "no contact is handed out that never answered it", Audit(answered)),
    must("audit.nodes.read-only", "BEP 43", "no read-only node is handed out", Audit(|ledger, a| nodes(a, |_, all| each(all, |record| !is_at(ledger, record, Source::ReadOnly), "is read-only")))),
    must("audit.values.family", "BEP 32, get_peers", "every peer is of the family of the datagram", Audit(|_, a| peers(a, |a, all| { let length = if a.at.is_ipv4() { 6 } else { 18 }; expecting(all.iter().all(|peer| peer.len() == length), format!("a peer has not {length} bytes")) }))),
    must("audit.values.port", "jech/dht, mldht", "no peer has port 0", Audit(|_, a| peers(a, |_, all| each(all, |peer| !peer.ends_with(&[0, 0]), "has port 0")))),
    must("audit.values.announced", "BEP 5, announce_peer", "every peer is at an address that announced", Audit(|ledger, a| peers(a, |_, all| each(all, |peer| decode_addr(peer).is_some_and(|addr| ledger.has_announced(addr.ip())), "announced nothing")))),
    should("audit.values.unique", "BEP 5, get_peers", "no peer is twice in one answer", Audit(|_, a| peers(a, |_, all| expecting(are_unique(all), "a peer is there twice")))),
    must("audit.tokens", "jech/dht drops 40 bytes and more", "every token is a string of 1 to 39 bytes", Audit(token)),
    should("audit.tokens.place", "BEP 5, get_peers; BEP 44, Get", "tokens come only with answers to get_peers and get", Audit(place_of_token)),
    should("audit.version", KRPC, "the version (v), where it is told, is the same always", Audit(|ledger, a| a.reply.top_bytes("v").map(|v| expecting(ledger.version() == Some(v), "another version than before")))),
    should("audit.queries.method", "BEP 5, 44 and 51", "it asks only what the BEPs have", Audit(method)),
    must("audit.queries.arguments", "BEP 5, DHT Queries", "its queries name targets and infohashes of 20 bytes", Audit(arguments)),
    must("audit.queries.transaction", "BEP 5; rTorrent refuses more than 20 bytes", "its queries have a transaction id of 1 to 20 bytes", Audit(|_, a| a.reply.is_query().then(|| { let length = a.reply.transaction().len(); expecting((1..=20).contains(&length), format!("{length} bytes")) }))),
    must("audit.queries.fresh", KRPC, "two different queries to one node have different transaction ids", Audit(fresh)),
    should("audit.queries.read-only", "BEP 43", "it does not ask a read-only node, which would not answer", Audit(|_, a| a.reply.is_query().then(|| expecting(a.source != Source::ReadOnly, "a read-only node is asked")))),
    should("audit.queries.silent", "reflection", "a node that never answers is asked no more than 16 times", Audit(silent)),
];

fn expecting(condition: bool, why: impl Into<String>) -> Result<(), String> {
    if condition { Ok(()) } else { Err(why.into()) }
}

fn canonical(a: &Arrival<'_>) -> Result<(), String> {
    expecting(is_canonical(&a.reply.bytes), "not canonical bencoding")
}

/// The results of a response, where it has some.
fn results<'a>(a: &'a Arrival<'_>) -> Option<Results<'a>> {
    a.reply.results().ok()
}

fn has_item(a: &Arrival<'_>) -> bool {
    results(a).is_some_and(|results| results.get("v").is_some())
}

fn size(_: &Ledger, a: &Arrival<'_>) -> Judgement {
    let length = a.reply.bytes.len();
    (a.reply.has("y") && !has_item(a)).then(|| expecting(length <= MAX_DATAGRAM, format!("{length} bytes")))
}

fn size_of_item(_: &Ledger, a: &Arrival<'_>) -> Judgement {
    let length = a.reply.bytes.len();
    has_item(a).then(|| expecting(length <= MTU, format!("{length} bytes")))
}

fn transaction(_: &Ledger, a: &Arrival<'_>) -> Judgement {
    let why = || format!("nothing was asked with the transaction id {}", readable(a.reply.transaction()));
    (!a.reply.is_query()).then(|| expecting(a.query.is_some(), why()))
}

fn origin(p: &mut Probe<'_>) -> Outcome {
    if !p.ledger.has_heard() {
        return Err(skipped("it has sent nothing"));
    }
    let strays = p.strays();
    expect(strays == 0, format!("{strays} datagrams left from another port"))
}

fn id(ledger: &Ledger, a: &Arrival<'_>) -> Judgement {
    let results = results(a)?;
    Some(match results.id() {
        Ok(id) => expecting(ledger.id().is_none_or(|first| first == id), "another id than before"),
        Err(trouble) => Err(trouble.why()),
    })
}

fn id_of_query(ledger: &Ledger, a: &Arrival<'_>) -> Judgement {
    let (known, asker) = (ledger.id()?, argument(a.reply, "id").and_then(Tree::bytes));
    a.reply.is_query().then(|| expecting(asker == Some(&known[..]), "a query carries another id"))
}

fn ip(_: &Ledger, a: &Arrival<'_>) -> Judgement {
    let told = a.reply.top_bytes("ip").filter(|_| !a.reply.is_query())?;
    let ours = CompactAddr::new(&a.at);
    // Behind a NAT this host does not know how it is seen.
    let unknown = is_local(a.at.ip()) && decode_addr(told).is_some_and(|addr| !is_local(addr.ip()));
    let why = || format!("ip is {}, not {}", readable(told), readable(ours.as_bytes()));
    (!unknown).then(|| expecting(told == ours.as_bytes(), why()))
}

fn code(_: &Ledger, a: &Arrival<'_>) -> Judgement {
    let (code, _) = a.reply.error().ok()?;
    Some(expecting(matches!(code, 201..=207 | 301 | 302), format!("code {code}")))
}

/// The records of both families in a response.
fn contacts<'a>(a: &'a Arrival<'_>) -> Option<Result<Vec<&'a [u8]>, String>> {
    let results = results(a)?;
    let keys = ["nodes", "nodes6"].into_iter().filter(|key| results.get(key).is_some());
    let records: Vec<_> = keys.map(|key| results.contacts(key)).collect();
    if records.is_empty() {
        return None;
    }
    let all: Result<Vec<_>, _> = records.into_iter().collect();
    Some(all.map(|all| all.concat()).map_err(|trouble| trouble.why()))
}

/// What `judge` says of the contacts of a response, family by family; nothing where there are none.
fn nodes(a: &Arrival<'_>, judge: impl Fn(&Arrival<'_>, &[&[u8]]) -> Result<(), String>) -> Judgement {
    let results = results(a)?;
    let of = |key: &str| results.get(key).and_then(|_| results.contacts(key).ok()).filter(|all| !all.is_empty());
    let all: Vec<Vec<&[u8]>> = ["nodes", "nodes6"].into_iter().filter_map(of).collect();
    (!all.is_empty()).then(|| all.iter().try_for_each(|records| judge(a, records)))
}

/// What `judge` says of the peers of a response; nothing where there are none.
fn peers(a: &Arrival<'_>, judge: impl Fn(&Arrival<'_>, &[&[u8]]) -> Result<(), String>) -> Judgement {
    let values = results(a)?.values().ok().filter(|values| !values.is_empty())?;
    Some(judge(a, &values))
}

fn each(all: &[&[u8]], holds: impl Fn(&[u8]) -> bool, why: &str) -> Result<(), String> {
    match all.iter().find(|record| !holds(record)) {
        Some(record) => Err(format!("{} {why}", readable(record))),
        None => Ok(()),
    }
}

fn are_unique(all: &[&[u8]]) -> bool {
    let mut sorted = all.to_vec();
    sorted.sort_unstable();
    sorted.windows(2).all(|pair| pair[0] != pair[1])
}

fn address_of(record: &[u8]) -> Option<SocketAddr> {
    decode_addr(record.get(20..)?)
}

fn is_sendable_record(record: &[u8]) -> bool {
    address_of(record).is_some_and(|addr| is_sendable(&addr))
}

fn is_at(ledger: &Ledger, record: &[u8], source: Source) -> bool {
    address_of(record).and_then(|addr| ledger.source_at(&addr)) == Some(source)
}

fn itself(ledger: &Ledger, a: &Arrival<'_>) -> Judgement {
    let id = ledger.id()?;
    nodes(a, |_, all| each(all, |record| record[..20] != id, "has its own id"))
}

/// Only of addresses of ours can it be told who answered.
fn answered(ledger: &Ledger, a: &Arrival<'_>) -> Judgement {
    let good = |record: &[u8]| {
        let ours = address_of(record).filter(|addr| ledger.source_at(addr).is_some());
        let id = record.first_chunk::<20>().copied().unwrap_or_default();
        ours.is_none_or(|addr| ledger.has_answered(addr, id))
    };
    nodes(a, |_, all| each(all, good, "never answered under this id"))
}

fn token(_: &Ledger, a: &Arrival<'_>) -> Judgement {
    let token = results(a)?.get("token")?;
    let length = token.bytes().map_or(0, <[u8]>::len);
    Some(expecting((1..40).contains(&length), format!("the token has {length} bytes")))
}

fn place_of_token(_: &Ledger, a: &Arrival<'_>) -> Judgement {
    results(a)?.get("token")?;
    let method = &a.query?.method[..];
    let places: [&[u8]; 2] = [b"get_peers", b"get"];
    // What it does not know it may answer as it likes.
    let known: [&[u8]; 4] = [b"ping", b"find_node", b"announce_peer", b"put"];
    let why = || format!("a token in the answer to {}", readable(method));
    (places.contains(&method) || known.contains(&method)).then(|| expecting(places.contains(&method), why()))
}

fn method(_: &Ledger, a: &Arrival<'_>) -> Judgement {
    const METHODS: [&[u8]; 7] =
        [b"ping", b"find_node", b"get_peers", b"announce_peer", b"get", b"put", b"sample_infohashes"];
    let method = a.reply.top_bytes("q").unwrap_or_default();
    a.reply.is_query().then(|| expecting(METHODS.contains(&method), format!("it asks {}", readable(method))))
}

fn arguments(_: &Ledger, a: &Arrival<'_>) -> Judgement {
    let key = match a.reply.top_bytes("q").filter(|_| a.reply.is_query())? {
        b"find_node" | b"get" | b"sample_infohashes" => "target",
        b"get_peers" | b"announce_peer" => "info_hash",
        _ => return None,
    };
    let length = argument(a.reply, key).and_then(Tree::bytes).map(<[u8]>::len);
    Some(expecting(length == Some(20), format!("{key} has not 20 bytes")))
}

fn fresh(ledger: &Ledger, a: &Arrival<'_>) -> Judgement {
    let (before, _) = ledger.asked_before(a.source).filter(|_| a.reply.is_query())?;
    let same = before.len() == a.reply.bytes.len() && before == &a.reply.bytes;
    let repeated = crate::conform::reply::Reply::new(before.clone()).transaction() == a.reply.transaction();
    Some(expecting(same || !repeated, "the transaction id of the query before"))
}

fn silent(ledger: &Ledger, a: &Arrival<'_>) -> Judgement {
    let never_answers = matches!(a.source, Source::Mute | Source::Unheard | Source::Crowd(_));
    let asked = ledger.asked_before(a.source).map_or(0, |(_, times)| *times) + 1;
    (a.reply.is_query() && never_answers).then(|| expecting(asked <= PATIENCE, format!("asked {asked} times")))
}
