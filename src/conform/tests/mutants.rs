//! Nodes that break a rule: our own, with what reaches it or what it says changed on the way. Each check must fail on
//! one of them at least, or it would guard nothing.

use std::collections::{BTreeSet, HashMap, VecDeque};
use std::net::SocketAddr;

use super::Memory;
use crate::conform::link::{Link, Source, Wait};
use crate::conform::tree::Tree;
use crate::conform::{Check, Probe, Verdict, checks};
use crate::engine::contact::{CompactAddr, Family};

type Entries = Vec<(Vec<u8>, Tree)>;
/// What becomes of a datagram that reaches the node, or that it sends.
type Rewrite = fn(&mut Broken, Source, Vec<u8>) -> Vec<Vec<u8>>;

/// A rule broken, and the groups in which that shows.
struct Mutant {
    name: &'static str,
    groups: &'static [&'static str],
    input: Rewrite,
    output: Rewrite,
}

const fn deaf(groups: &'static [&'static str], name: &'static str, input: Rewrite) -> Mutant {
    Mutant { name, groups, input, output: |_, _, bytes| vec![bytes] }
}

const fn says(groups: &'static [&'static str], name: &'static str, output: Rewrite) -> Mutant {
    Mutant { name, groups, input: |_, _, bytes| vec![bytes], output }
}

struct Broken {
    inner: Memory,
    mutant: &'static Mutant,
    /// What it says beside what the node within says.
    extra: VecDeque<(Source, Vec<u8>)>,
    count: u8,
    /// Datagrams without a pause.
    at_once: usize,
    is_dead: bool,
    has_vote: bool,
    /// Everything that it was told of, in the order of first hearing.
    heard: Vec<([u8; 20], SocketAddr)>,
    asked_for: HashMap<Source, Vec<u8>>,
    askers: HashMap<Source, Vec<u8>>,
    values: HashMap<Vec<u8>, Vec<u8>>,
}

impl Broken {
    fn new(inner: Memory, mutant: &'static Mutant) -> Self {
        Self {
            inner,
            mutant,
            extra: VecDeque::new(),
            count: 0,
            at_once: 0,
            is_dead: false,
            has_vote: false,
            heard: Vec::new(),
            asked_for: HashMap::new(),
            askers: HashMap::new(),
            values: HashMap::new(),
        }
    }

    fn own_id(&self) -> Vec<u8> {
        self.inner.node.id().as_bytes().to_vec()
    }

    fn nodes_key(&self) -> &'static str {
        if self.inner.target.is_ipv4() { "nodes" } else { "nodes6" }
    }

    /// A response to `datagram` as far as it can be read.
    fn respond(&mut self, source: Source, datagram: &[u8]) {
        let at = datagram.windows(5).rposition(|window| window == b"1:t4:");
        let seen = at.and_then(|at| datagram.get(at + 5..at + 9)).unwrap_or_default().to_vec();
        let t = parse(datagram).and_then(|top| string(&top, "t")).unwrap_or(seen);
        let results = Tree::Dict(vec![(b"id".to_vec(), Tree::Bytes(self.own_id()))]);
        let top = vec![entry("r", results), entry("t", Tree::Bytes(t)), entry("y", Tree::Bytes(b"r".to_vec()))];
        self.extra.push_back((source, written(&Tree::Dict(top))));
    }

    /// Notes who asks for what, and everybody of whom it is told.
    fn hear(&mut self, source: Source, datagram: &[u8]) {
        let Some(top) = parse(datagram) else { return };
        self.has_vote |= field(&top, "ip").is_some();
        let addr = self.inner.address(source).expect("all have one");
        for part in ["a", "r"] {
            let Some(Tree::Dict(inside)) = field(&top, part) else { continue };
            if let Some(id) = string(inside, "id").and_then(|id| id.try_into().ok()) {
                self.hear_of(id, addr);
            }
            let length = if addr.is_ipv4() { 26 } else { 38 };
            let named = string(inside, self.nodes_key()).unwrap_or_default();
            for record in named.chunks_exact(length) {
                let addr = crate::engine::contact::decode_addr(&record[20..]).expect("a whole record");
                self.hear_of(record[..20].try_into().expect("a whole record"), addr);
            }
            if part == "a" {
                let target = string(inside, "target").or_else(|| string(inside, "info_hash"));
                self.asked_for.insert(source, target.unwrap_or_default());
                self.askers.insert(source, string(inside, "id").unwrap_or_default());
            }
        }
    }

    fn hear_of(&mut self, id: [u8; 20], addr: SocketAddr) {
        if !self.heard.contains(&(id, addr)) {
            self.heard.push((id, addr));
        }
    }

    /// The records of `heard`, those closest to what `source` asked for first.
    fn closest(&self, source: Source, heard: &[([u8; 20], SocketAddr)]) -> Vec<Vec<u8>> {
        let target = self.asked_for.get(&source).cloned().unwrap_or_default();
        let distance = |id: &[u8; 20]| -> Vec<u8> { id.iter().zip(&target).map(|(a, b)| a ^ b).collect() };
        let mut sorted = heard.to_vec();
        sorted.sort_by_key(|(id, _)| distance(id));
        sorted.iter().map(|(id, addr)| [&id[..], CompactAddr::new(addr).as_bytes()].concat()).collect()
    }
}

impl Link for Broken {
    fn target(&self) -> SocketAddr {
        self.inner.target()
    }

    fn address(&mut self, source: Source) -> Option<SocketAddr> {
        self.inner.address(source)
    }

    fn send(&mut self, source: Source, datagram: &[u8], burst: bool) {
        self.at_once = if burst { self.at_once + 1 } else { 0 };
        self.hear(source, datagram);
        for datagram in (self.mutant.input)(self, source, datagram.to_vec()) {
            if !self.is_dead {
                self.inner.send(source, &datagram, burst);
            }
        }
    }

    fn receive(&mut self, wait: Wait) -> Option<(Source, Vec<u8>)> {
        if self.is_dead {
            return None;
        }
        if let Some(extra) = self.extra.pop_front() {
            return Some(extra);
        }
        let (source, bytes) = self.inner.receive(wait)?;
        self.count = self.count.wrapping_add(1);
        let said = (self.mutant.output)(self, source, bytes);
        self.extra.extend(said.into_iter().map(|bytes| (source, bytes)));
        self.extra.pop_front().or_else(|| self.receive(Wait::Straggler))
    }

    fn strays(&self) -> usize {
        usize::from(self.mutant.name == "answers from another port")
    }

    fn may_burst(&self) -> bool {
        true
    }
}

// Bencoding, read and written whole; keys stay in the order in which they stand.

fn entry(key: &str, value: Tree) -> (Vec<u8>, Tree) {
    (key.as_bytes().to_vec(), value)
}

fn raw(value: &[u8]) -> Tree {
    Tree::Bytes(value.to_vec())
}

fn parse(datagram: &[u8]) -> Option<Entries> {
    match Tree::parse(datagram)? {
        Tree::Dict(top) => Some(top),
        _ => None,
    }
}

fn written(tree: &Tree) -> Vec<u8> {
    match tree {
        Tree::Bytes(bytes) => [format!("{}:", bytes.len()).as_bytes(), bytes].concat(),
        Tree::Int(number) => format!("i{number}e").into_bytes(),
        Tree::List(all) => [b"l".to_vec(), all.iter().flat_map(written).collect(), b"e".to_vec()].concat(),
        Tree::Dict(all) => {
            let inside = all.iter().flat_map(|(key, value)| [written(&raw(key)), written(value)].concat());
            [b"d".to_vec(), inside.collect(), b"e".to_vec()].concat()
        }
    }
}

fn field<'a>(entries: &'a Entries, key: &str) -> Option<&'a Tree> {
    entries.iter().find(|(name, _)| name == key.as_bytes()).map(|(_, value)| value)
}

fn string(entries: &Entries, key: &str) -> Option<Vec<u8>> {
    Some(field(entries, key)?.bytes()?.to_vec())
}

/// Puts `value` where it belongs, in the place of an older one.
fn set(entries: &mut Entries, key: &str, value: Tree) {
    remove(entries, key);
    let at = entries.partition_point(|(name, _)| name.as_slice() < key.as_bytes());
    entries.insert(at, entry(key, value));
}

fn remove(entries: &mut Entries, key: &str) {
    entries.retain(|(name, _)| name != key.as_bytes());
}

fn is_kind(top: &Entries, kind: &[u8]) -> bool {
    string(top, "y").is_some_and(|y| y == kind)
}

/// The datagram with its top level changed.
fn message(datagram: Vec<u8>, change: impl FnOnce(&mut Entries)) -> Vec<Vec<u8>> {
    let Some(mut top) = parse(&datagram) else { return vec![datagram] };
    change(&mut top);
    vec![written(&Tree::Dict(top))]
}

/// The same, only of one kind.
fn of_kind(kind: &'static [u8], datagram: Vec<u8>, change: impl FnOnce(&mut Entries)) -> Vec<Vec<u8>> {
    message(datagram, |top| {
        if is_kind(top, kind) {
            change(top);
        }
    })
}

fn inside(datagram: Vec<u8>, kind: &'static [u8], part: &str, change: impl FnOnce(&mut Entries)) -> Vec<Vec<u8>> {
    of_kind(kind, datagram, |top| {
        if let Some((_, Tree::Dict(inside))) = top.iter_mut().find(|(name, _)| name == part.as_bytes()) {
            change(inside);
        }
    })
}

/// A response with its results changed.
fn results(datagram: Vec<u8>, change: impl FnOnce(&mut Entries)) -> Vec<Vec<u8>> {
    inside(datagram, b"r", "r", change)
}

/// A query with its arguments changed.
fn arguments(datagram: Vec<u8>, change: impl FnOnce(&mut Entries)) -> Vec<Vec<u8>> {
    inside(datagram, b"q", "a", change)
}

/// Changes the string `key` where it is.
fn edit(entries: &mut Entries, key: &str, change: impl FnOnce(&mut Vec<u8>)) {
    if let Some(mut value) = string(entries, key) {
        change(&mut value);
        set(entries, key, Tree::Bytes(value));
    }
}

fn peer(addr: SocketAddr) -> Tree {
    raw(CompactAddr::new(&addr).as_bytes())
}

/// The `values` of a get_peers answer, where it has a token, changed.
fn with_values(datagram: Vec<u8>, change: impl FnOnce(&mut Vec<Tree>)) -> Vec<Vec<u8>> {
    results(datagram, |r| {
        if field(r, "token").is_some() && field(r, "samples").is_none() {
            let mut values = field(r, "values").and_then(Tree::list).map(<[Tree]>::to_vec).unwrap_or_default();
            change(&mut values);
            set(r, "values", Tree::List(values));
        }
    })
}

/// What stands behind `from`, however broken the rest.
fn after<'a>(datagram: &'a [u8], from: &[u8]) -> Option<&'a [u8]> {
    let start = datagram.windows(from.len()).position(|window| window == from)? + from.len();
    Some(&datagram[start..])
}

/// What stands between `from` and `to`, however broken the rest.
fn between<'a>(datagram: &'a [u8], from: &[u8], to: &[u8]) -> Option<&'a [u8]> {
    let rest = after(datagram, from)?;
    let end = rest.windows(to.len()).rposition(|window| window == to)?;
    Some(&rest[..end])
}

/// A string after `key`, without being choosy.
fn string_after(datagram: &[u8], key: &[u8]) -> Option<Vec<u8>> {
    let rest = between(datagram, key, b"e")?;
    let colon = rest.iter().position(|&byte| byte == b':')?;
    let length: usize = std::str::from_utf8(&rest[..colon]).ok()?.parse().ok()?;
    Some(rest[colon + 1..].get(..length)?.to_vec())
}

/// Stores whatever looks like an announce, with port 7002 or as much of it as can be read.
fn lax_announce(node: &mut Broken, source: Source, datagram: Vec<u8>) -> Vec<Vec<u8>> {
    let hash = after(&datagram, b"9:info_hash20:").and_then(|rest| rest.get(..20)).map(<[u8]>::to_vec);
    let looks_so = after(&datagram, b"announce_peer").is_some() || after(&datagram, b"4:port").is_some();
    let Some(hash) = hash.filter(|_| looks_so) else { return vec![datagram] };
    let addr = node.inner.address(source).expect("all have one");
    let port = after(&datagram, b"4:porti").and_then(|rest| rest.split(|&byte| byte == b'e').next());
    let port = port.and_then(|port| std::str::from_utf8(port).ok()?.parse::<u16>().ok());
    let values = node.values.entry([b"peers", &hash[..]].concat()).or_default();
    values.extend_from_slice(CompactAddr::new(&SocketAddr::new(addr.ip(), port.unwrap_or(7002))).as_bytes());
    node.respond(source, &datagram);
    Vec::new()
}

/// Names what `lax_announce` stored.
fn lax_values(node: &mut Broken, source: Source, datagram: Vec<u8>) -> Vec<Vec<u8>> {
    let hash = [b"peers", &node.asked_for.get(&source).cloned().unwrap_or_default()[..]].concat();
    let length = if node.inner.target.is_ipv4() { 6 } else { 18 };
    let stored = node.values.get(&hash).cloned().unwrap_or_default();
    with_values(datagram, |values| values.extend(stored.chunks(length).map(raw)))
}

/// Stores every put under every target that it might mean, and answers get from there.
fn lax_put(node: &mut Broken, source: Source, datagram: Vec<u8>) -> Vec<Vec<u8>> {
    use sha1::{Digest as _, Sha1};
    let Some(value) = between(&datagram, b"1:v", b"e1:q3:put") else { return vec![datagram] };
    let (value, datagram) = (value.to_vec(), datagram.clone());
    let key = string_after(&datagram, b"1:k").unwrap_or_default();
    let salt = string_after(&datagram, b"4:salt").unwrap_or_default();
    let given = after(&datagram, b"6:target20:").and_then(|rest| rest.get(..20)).unwrap_or_default().to_vec();
    let targets = [
        Sha1::digest(&value).to_vec(),
        Sha1::digest(&key).to_vec(),
        Sha1::digest([key, salt].concat()).to_vec(),
        given,
    ];
    for target in targets {
        node.values.insert(target, value.clone());
    }
    node.respond(source, &datagram);
    Vec::new()
}

fn lax_get(node: &mut Broken, source: Source, datagram: Vec<u8>) -> Vec<Vec<u8>> {
    let target = node.asked_for.get(&source).cloned().unwrap_or_default();
    let Some(value) = node.values.get(&target).cloned() else { return vec![datagram] };
    let Some(end) = datagram.windows(5).rposition(|window| window == b"e1:t4") else { return vec![datagram] };
    vec![[&datagram[..end], b"1:v", &value, &datagram[end..]].concat()]
}

fn is_odd(datagram: &[u8]) -> bool {
    let known: [&str; 13] =
        ["id", "target", "info_hash", "port", "token", "implied_port", "v", "k", "salt", "seq", "sig", "cas", "scrape"];
    let Some(top) = parse(datagram) else { return true };
    let Some(Tree::Dict(arguments)) = field(&top, "a") else {
        let Some(Tree::Dict(results)) = field(&top, "r") else { return true };
        return datagram.len() > 600 || string(results, "nodes").is_some_and(|nodes| nodes.len() % 26 != 0);
    };
    let is_canonical = crate::conform::tree::is_canonical(datagram);
    let knows = arguments.iter().all(|(key, _)| known.iter().any(|known| known.as_bytes() == key));
    let short = ["q", "t"].iter().all(|key| string(&top, key).is_some_and(|value| (1..=18).contains(&value.len())));
    let plain = top.iter().all(|(key, _)| [&b"a"[..], b"q", b"t", b"y"].contains(&key.as_slice()));
    !(is_canonical && knows && short && plain)
}

const ALL_TABLES: &[&str] = &["routing", "security", "answers", "ghosts", "floods", "audit"];
const STORES: &[&str] = &["tokens", "peers", "ipv6", "scrape", "items", "puts", "samples", "floods"];

#[rustfmt::skip]
static MUTANTS: &[Mutant] = &[
    Mutant {
        name: "answers whatever comes", groups: &["krpc", "routing", "tokens", "peers", "items", "puts", "samples", "abuse", "audit"],
        input: |node, source, bytes| {
            let is_answer = parse(&bytes).is_some_and(|top| is_kind(&top, b"r"));
            let before = node.inner.arrived.len();
            node.inner.send(source, &bytes, true);
            if node.inner.arrived.len() == before || is_answer { node.respond(source, &bytes); }
            Vec::new()
        },
        output: |node, source, bytes| {
            if parse(&bytes).is_some_and(|top| is_kind(&top, b"e")) { node.respond(source, &bytes); return Vec::new(); }
            vec![bytes]
        },
    },
    says(&["krpc", "routing", "tokens", "peers", "ipv6", "scrape", "security", "items", "puts", "abuse", "samples", "votes"], "refuses whatever comes", |_, _, bytes| of_kind(b"r", bytes, |top| {
        remove(top, "r");
        set(top, "e", Tree::List(vec![Tree::Int(202), Tree::Bytes(b"no".to_vec())]));
        set(top, "y", Tree::Bytes(b"e".to_vec()));
    })),
    says(&["krpc", "routing", "tokens", "peers", "items", "puts", "samples", "audit"], "has other codes", |_, _, bytes| of_kind(b"e", bytes, |top| set(top, "e", Tree::List(vec![Tree::Int(999), Tree::Bytes(b"no".to_vec())])))),
    says(&["krpc", "audit"], "has errors without a list", |_, _, bytes| of_kind(b"e", bytes, |top| set(top, "e", Tree::Bytes(b"no".to_vec())))),
    says(&["krpc", "audit"], "has errors with results", |_, _, bytes| of_kind(b"e", bytes, |top| set(top, "r", Tree::Dict(Vec::new())))),
    says(&["krpc"], "cuts transaction ids", |_, _, bytes| message(bytes, |top| edit(top, "t", |t| t.truncate(2)))),
    deaf(&["krpc"], "cuts long transaction ids", |_, _, bytes| message(bytes, |top| edit(top, "t", |t| t.truncate(20)))),
    says(&["krpc", "audit"], "forgets transaction ids", |_, _, bytes| message(bytes, |top| set(top, "t", Tree::Bytes(b"zz".to_vec())))),
    deaf(&["krpc", "ipv6", "scrape", "security", "peers", "samples"], "drops what it does not know", |_, _, bytes| if is_odd(&bytes) { Vec::new() } else { vec![bytes] }),
    says(&["krpc", "audit", "floods", "security"], "says everything six times", |_, _, bytes| vec![bytes; 6]),
    says(&["krpc", "security", "audit"], "has a new id each time", |node, _, bytes| { let count = node.count; results(bytes, |r| edit(r, "id", |id| id[0] = count)) }),
    says(&["krpc"], "gives the id of the asker back", |node, source, bytes| { let id = node.askers.get(&source).cloned().unwrap_or_default(); results(bytes, |r| set(r, "id", Tree::Bytes(id))) }),
    says(&["krpc", "peers", "samples", "audit"], "has no id", |_, _, bytes| results(bytes, |r| remove(r, "id"))),
    says(&["krpc", "security", "audit"], "has another version each time, and no address", |node, _, mut bytes| { let count = node.count; bytes = message(bytes, |top| { remove(top, "ip"); set(top, "v", Tree::Bytes(vec![b'v', count])); }).remove(0); vec![bytes] }),
    says(&["krpc", "routing", "tokens", "peers", "scrape", "items", "samples", "audit"], "has its keys out of order", |_, _, bytes| message(bytes, |top| { top.reverse(); for (_, value) in top { if let Tree::Dict(inside) = value { inside.reverse(); } } })),
    says(&["krpc", "audit"], "has bytes after its messages", |_, _, bytes| vec![[&bytes[..], b"x"].concat()]),
    says(&["krpc", "audit"], "is of no kind", |_, _, bytes| message(bytes, |top| set(top, "y", Tree::Bytes(b"z".to_vec())))),
    says(&["peers", "ipv6", "scrape", "security", "items", "samples", "puts", "audit"], "is long-winded", |_, _, bytes| message(bytes, |top| set(top, "zz", Tree::Bytes(vec![b'z'; 1500])))),
    says(&["security", "audit"], "tells a wrong address", |_, _, bytes| message(bytes, |top| edit(top, "ip", |ip| ip[3] ^= 1))),
    says(&["security", "audit"], "tells addresses in pongs only", |node, source, bytes| if node.asked_for.get(&source).is_none_or(Vec::is_empty) { vec![bytes] } else { message(bytes, |top| remove(top, "ip")) }),
    says(&["audit", "krpc"], "answers from another port", |_, _, bytes| vec![bytes]),
    // Tables.
    says(ALL_TABLES, "believes what it is told of others", |node, source, bytes| { let (key, all) = (node.nodes_key(), node.closest(source, &node.heard)); results(bytes, |r| edit(r, key, |nodes| *nodes = all[..all.len().min(8)].concat())) }),
    says(&["routing"], "never asks, and believes", |node, source, bytes| {
        if parse(&bytes).is_some_and(|top| is_kind(&top, b"q")) { return Vec::new(); }
        let (key, all) = (node.nodes_key(), node.closest(source, &node.heard));
        results(bytes, |r| edit(r, key, |nodes| *nodes = all[..all.len().min(8)].concat()))
    }),
    says(&["routing", "answers", "floods"], "knows the newest only", |node, source, bytes| {
        let newest: HashMap<SocketAddr, [u8; 20]> = node.heard.iter().map(|(id, addr)| (*addr, *id)).collect();
        let mut newest: Vec<_> = newest.into_iter().map(|(addr, id)| (id, addr)).collect();
        if node.heard.len() > 40 { newest.retain(|contact| node.heard[node.heard.len() - 30..].contains(contact)); }
        let (key, all) = (node.nodes_key(), node.closest(source, &newest));
        results(bytes, |r| edit(r, key, |nodes| *nodes = all[..all.len().min(8)].concat()))
    }),
    says(&["answers"], "names distant contacts", |node, source, bytes| {
        // Whom it is asked for it names.
        if node.heard.iter().any(|(id, _)| node.asked_for.get(&source).is_some_and(|target| target == id)) { return vec![bytes]; }
        let (key, mut all) = (node.nodes_key(), node.closest(source, &node.heard));
        all.reverse();
        results(bytes, |r| edit(r, key, |nodes| *nodes = all[..all.len().min(8)].concat()))
    }),
    says(&["routing", "answers", "ipv6"], "knows nobody", |node, _, bytes| { let key = node.nodes_key(); results(bytes, |r| edit(r, key, Vec::clear)) }),
    says(&["routing", "peers", "ipv6", "scrape", "items", "puts", "samples", "krpc"], "gives no contacts", |_, _, bytes| results(bytes, |r| { remove(r, "nodes"); remove(r, "nodes6"); })),
    says(&["routing", "audit"], "cuts a contact", |_, _, bytes| results(bytes, |r| edit(r, "nodes", |nodes| { nodes.push(0); }))),
    says(&["routing", "ipv6", "audit"], "names a contact at port 0, itself, and itself again, and many", |node, _, bytes| {
        let own = node.own_id();
        let (first, itself) = ([&own[..], &[10, 0, 0, 1, 0, 0]].concat(), [&own[..], &[10, 0, 0, 1, 0, 1]].concat());
        results(bytes, |r| { edit(r, "nodes", |nodes| { nodes.extend(first); nodes.extend(itself.repeat(17)); }); edit(r, "nodes6", |nodes| nodes.extend([0; 38])) })
    }),
    says(&["ipv6"], "gives contacts of both families always", |_, _, bytes| results(bytes, |r| for key in ["nodes", "nodes6"] { if field(r, key).is_none() { set(r, key, Tree::Bytes(Vec::new())); } })),
    // Its own questions.
    says(&["krpc", "routing", "audit"], "asks badly", |node, _, bytes| { let count = node.count; of_kind(b"q", bytes, |top| {
        set(top, "ip", Tree::Bytes(vec![1; 6])); set(top, "q", Tree::Bytes(if count % 2 == 0 { b"vote".to_vec() } else { b"find_node".to_vec() }));
        set(top, "t", Tree::Bytes(vec![b't'; 30])); set(top, "a", Tree::Dict(vec![entry("id", raw(&[9; 20])), entry("target", raw(&[count; 19]))])); top.reverse();
    }) }),
    says(&["routing", "security", "floods", "answers", "ghosts", "audit"], "asks everybody, again and again", |node, source, bytes| {
        if parse(&bytes).is_some_and(|top| is_kind(&top, b"q")) {
            for asked in [source, Source::ReadOnly, Source::Mute] { for _ in 0..9 { node.extra.push_back((asked, bytes.clone())); } }
        }
        vec![bytes]
    }),
    says(&["ghosts"], "hands out the peers that it is told of", |_, _, bytes| {
        let asks = of_kind(b"q", bytes, |top| { set(top, "q", Tree::Bytes(b"get_peers".to_vec())); for (key, value) in top.iter_mut() { if let (b"a", Tree::Dict(a)) = (&key[..], value) { set(a, "info_hash", Tree::Bytes(vec![7; 20])); } } }).remove(0);
        with_values(asks, |values| values.push(peer(SocketAddr::new([1, 2, 3, 4].into(), 6881))))
    }),
    // Stores.
    deaf(STORES, "stores nothing", |node, source, bytes| {
        let stores = parse(&bytes).and_then(|top| string(&top, "q")).is_some_and(|q| q == b"announce_peer" || q == b"put");
        if stores { node.respond(source, &bytes); Vec::new() } else { vec![bytes] }
    }),
    Mutant { name: "stores every announce", groups: &["tokens", "peers", "abuse"], input: lax_announce, output: lax_values },
    Mutant { name: "stores every put", groups: &["items", "puts"], input: lax_put, output: lax_get },
    deaf(&["tokens", "peers", "scrape", "items"], "has one swarm", |_, _, bytes| arguments(bytes, |a| edit(a, "info_hash", |hash| if hash.len() == 20 { *hash = vec![7; 20] }))),
    says(&["tokens", "audit"], "has one token", |_, _, bytes| results(bytes, |r| edit(r, "token", |token| *token = b"same".to_vec()))),
    says(&["tokens", "audit"], "has tokens of 50 bytes", |_, _, bytes| results(bytes, |r| edit(r, "token", |token| *token = vec![b't'; 50]))),
    says(&["tokens"], "has empty tokens", |_, _, bytes| results(bytes, |r| edit(r, "token", Vec::clear))),
    says(&["krpc", "audit"], "has tokens in pongs", |_, _, bytes| results(bytes, |r| set(r, "token", Tree::Bytes(b"tokn".to_vec())))),
    says(&["peers", "ipv6", "audit"], "names peers that are none", |node, source, bytes| {
        let asker = node.inner.address(source).expect("all have one");
        let main = node.inner.address(Source::Main).expect("all have one");
        with_values(bytes, |values| { values.push(peer(asker)); values.push(peer(main)); values.push(peer(SocketAddr::new([9, 9, 9, 9].into(), 0))); values.push(peer(SocketAddr::new([9, 9, 9, 9].into(), 1))); values.push(Tree::Bytes(vec![1; 7])); let all = values.clone(); values.extend(all); })
    }),
    says(&["peers", "scrape", "items", "puts", "ipv6"], "keeps one thing for another", |_, _, bytes| results(bytes, |r| if field(r, "values").is_some() || field(r, "v").is_some() || field(r, "BFpe").is_some() { for key in ["token", "nodes", "nodes6"] { remove(r, key); } })),
    says(&["peers"], "names few peers", |_, _, bytes| results(bytes, |r| if let Some(Tree::List(values)) = field(r, "values").cloned() { set(r, "values", Tree::List(values[..values.len().min(3)].to_vec())); })),
    says(&["peers"], "names the ports of an address, all of them", |node, _, bytes| { let ip = node.inner.address(Source::Main).expect("all have one").ip(); with_values(bytes, |values| values.extend((7002..7020).map(|port| peer(SocketAddr::new(ip, port))))) }),
    says(&["items"], "says more of items than there is", |_, _, bytes| results(bytes, |r| if field(r, "token").is_some() { if field(r, "k").is_none() { set(r, "k", Tree::Bytes(vec![7; 32])); } set(r, "salt", Tree::Bytes(b"salt".to_vec())); if field(r, "v").is_none() { set(r, "v", Tree::Int(7)); } })),
    // Filters.
    says(&["scrape"], "fills its filters", |_, _, bytes| results(bytes, |r| for key in ["BFpe", "BFsd"] { edit(r, key, |filter| filter.fill(0xff)); })),
    says(&["scrape"], "exchanges its filters", |_, _, bytes| results(bytes, |r| { let (seeds, peers) = (string(r, "BFsd"), string(r, "BFpe")); if let (Some(seeds), Some(peers)) = (seeds, peers) { set(r, "BFsd", Tree::Bytes(peers)); set(r, "BFpe", Tree::Bytes(seeds)); } })),
    says(&["scrape"], "has filters always", |_, _, bytes| results(bytes, |r| if field(r, "token").is_some() { for key in ["BFpe", "BFsd"] { if field(r, key).is_none() { set(r, key, Tree::Bytes(vec![0; 256])); } } })),
    says(&["scrape"], "has one filter", |_, _, bytes| results(bytes, |r| remove(r, "BFsd"))),
    deaf(&["scrape"], "does not hear noseed", |_, _, bytes| arguments(bytes, |a| { remove(a, "noseed"); remove(a, "seed"); })),
    // Samples.
    says(&["samples"], "samples badly", |node, _, bytes| { let count = node.count; results(bytes, |r| if field(r, "samples").is_some() { set(r, "samples", Tree::Bytes(vec![count; 61])); set(r, "num", Tree::Int(0)); set(r, "interval", Tree::Int(-1)); }) }),
    says(&["samples"], "samples anew each time", |node, _, bytes| { let count = node.count; results(bytes, |r| if field(r, "samples").is_some() { set(r, "samples", Tree::Bytes(vec![count; 20])); }) }),
];

/// These are changed for good by one datagram, so each check has a new one.
static FRAIL: [Mutant; 2] = [
    deaf(&["krpc", "abuse", "floods"], "goes down on what it does not know, or too much at once", |node, _, bytes| {
        node.is_dead |= is_odd(&bytes) || node.at_once > 100;
        if node.at_once > 2 { Vec::new() } else { vec![bytes] }
    }),
    says(&["votes"], "believes any ip", |node, _, bytes| {
        let vote = u8::from(node.has_vote) * 0x80;
        results(bytes, |r| edit(r, "id", |id| id[0] ^= vote))
    }),
];

/// What a private network exempts shows on the mainline.
const OF_THE_MAINLINE: [&str; 3] =
    ["has a new id each time", "believes what it is told of others", "names the ports of an address, all of them"];

/// The ids of the checks that fail on a node.
fn failing(mut link: Broken) -> BTreeSet<&'static str> {
    let groups = link.mutant.groups;
    let wanted: Vec<&Check> = checks().filter(|check| groups.contains(&check.group())).collect();
    let mut probe = Probe::new(&mut link, [7; 32]);
    let fails = |check: &&&Check| check.run(&mut probe).verdict == Verdict::Fail;
    wanted.iter().filter(fails).map(|check| check.id).collect()
}

#[test]
fn each_check_fails_on_a_node_that_breaks_its_rule() {
    let mut never: BTreeSet<&str> = checks().map(|check| check.id).collect();
    let found = std::thread::scope(|scope| {
        let run = |mutants: Vec<&'static Mutant>| {
            let runs = mutants.into_iter().flat_map(|mutant| {
                let mainline = OF_THE_MAINLINE.contains(&mutant.name).then(|| Memory::mainline(3));
                let both = std::iter::once(Memory::new(Family::V4, 1)).chain(mainline);
                both.map(move |memory| failing(Broken::new(memory, mutant)))
            });
            runs.flatten().collect::<BTreeSet<_>>()
        };
        let halves = [0, 1].map(|half| MUTANTS.iter().skip(half).step_by(2).collect::<Vec<_>>());
        let halves = halves.map(|half| scope.spawn(move || run(half)));
        halves.into_iter().flat_map(|half| half.join().expect("no panic")).collect::<BTreeSet<_>>()
    });
    never.retain(|id| !found.contains(id));
    for mutant in &FRAIL {
        for check in checks().filter(|check| mutant.groups.contains(&check.group())) {
            let mut link = Broken::new(Memory::new(Family::V4, 1), mutant);
            let mut probe = Probe::new(&mut link, [7; 32]);
            if check.run(&mut probe).verdict == Verdict::Fail {
                never.remove(check.id);
            }
        }
    }
    // Over IPv6 alone.
    let nothing = MUTANTS.iter().find(|mutant| mutant.name == "stores nothing").expect("there is one");
    never
        .retain(|id| *id != "ipv6.announce" || !failing(Broken::new(Memory::new(Family::V6, 2), nothing)).contains(id));
    assert!(never.is_empty(), "no mutant fails {never:#?}");
}
