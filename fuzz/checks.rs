//! What each fuzz target checks. The same functions replay the seeds as ordinary tests (`tests/fuzz_seeds.rs`), so
//! that the targets are exercised, and keep compiling, without a fuzzer.

use std::collections::{BTreeMap, BTreeSet};
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use bendy::decoding::{Decoder, Object};
use trackerless::engine::bencode::scan::{Kind as Value, MAX_DEPTH, Malformed, Scanner};
use trackerless::engine::contact::Family;
use trackerless::engine::id::{Id, InfoHash, NodeId, Target};
use trackerless::engine::items::{Item, Value as ItemValue};
use trackerless::engine::krpc::encode::MAX_DATAGRAM;
use trackerless::engine::krpc::{Kind, MAX_CONTACTS, Message, Method, Response};
use trackerless::engine::node::{Config, Node, OpId, Output};
use trackerless::engine::time::Instant;

/// Any bytes decode to a message or to a reason, and what is read out of a message is bounded.
pub fn datagram(bytes: &[u8]) {
    let Ok(message) = Message::decode(bytes) else { return };
    if let Kind::Response(response) = message.kind {
        assert!(response.contacts(Family::V4).count() <= MAX_CONTACTS);
        assert!(response.contacts(Family::V6).count() <= MAX_CONTACTS);
        assert!(response.values.iter().count() <= bytes.len() / 6);
    }
}

/// Whatever bendy accepts, the scanner accepts with equal fields.
pub fn scanner(bytes: &[u8]) {
    let mut scanner = Scanner::new(bytes);
    let found = walk(&mut scanner);
    let mut decoder = Decoder::new(bytes).with_max_depth(usize::from(MAX_DEPTH));
    let Ok(Some(object)) = decoder.next_object() else { return };
    let mut expected = Vec::new();
    if walk_bendy(object, &mut expected).is_ok() && found != Err(Malformed::TooManyTokens) {
        assert_eq!(found, Ok(expected), "the scanner and bendy disagree");
    }
}

/// A leaf or a bracket, in order: enough to compare two readings.
#[derive(Debug, PartialEq)]
enum Token {
    String(Vec<u8>),
    Integer(Option<i64>),
    Open(u8),
    Close,
}

fn walk(scanner: &mut Scanner<'_>) -> Result<Vec<Token>, Malformed> {
    fn value(scanner: &mut Scanner<'_>, out: &mut Vec<Token>) -> Result<(), Malformed> {
        match scanner.kind()? {
            Value::String => out.push(Token::String(scanner.string()?.to_vec())),
            Value::Integer => out.push(Token::Integer(scanner.integer()?)),
            Value::List => {
                out.push(Token::Open(b'l'));
                scanner.list(|scanner| value(scanner, out))?;
                out.push(Token::Close);
            }
            Value::Dict => {
                out.push(Token::Open(b'd'));
                scanner.dict(|scanner, key| {
                    out.push(Token::String(key.to_vec()));
                    value(scanner, out)
                })?;
                out.push(Token::Close);
            }
        }
        Ok(())
    }
    let mut out = Vec::new();
    value(scanner, &mut out).map(|()| out)
}

fn walk_bendy(object: Object<'_, '_>, out: &mut Vec<Token>) -> Result<(), bendy::decoding::Error> {
    match object {
        Object::Bytes(bytes) => out.push(Token::String(bytes.to_vec())),
        Object::Integer(digits) => out.push(Token::Integer(digits.parse().ok())),
        Object::List(mut list) => {
            out.push(Token::Open(b'l'));
            while let Some(item) = list.next_object()? {
                walk_bendy(item, out)?;
            }
            out.push(Token::Close);
        }
        Object::Dict(mut dict) => {
            out.push(Token::Open(b'd'));
            while let Some((key, value)) = dict.next_pair()? {
                out.push(Token::String(key.to_vec()));
                walk_bendy(value, out)?;
            }
            out.push(Token::Close);
        }
    }
    Ok(())
}

/// A script of operations on a node that talks to itself and to an adversary. Each byte is an opcode, some take the
/// bytes that follow; every query that the node sends may be answered, altered, or dropped by the script. Beside it runs a
/// [`Model`] of what it may say.
pub fn node(script: &[u8]) {
    let mut harness = Harness::new();
    let mut script = script.iter().copied();
    while let Some(opcode) = script.next() {
        let argument = script.next().unwrap_or_default();
        match opcode % 13 {
            0 => harness.wait(u64::from(argument) * 50),
            1 => harness.wait(u64::from(argument) * 60_000),
            2 => harness.begin(|node, now| node.find_peers(now, InfoHash(id(argument)))),
            3 => harness.begin(|node, now| node.announce(now, InfoHash(id(argument)), 6881, argument % 2 == 0)),
            4 => harness.begin(|node, now| node.ping(now, addr(argument))),
            5 => harness.cancel(argument),
            6 => harness.answer(argument, script.next().unwrap_or_default()),
            7 => {
                let bytes: Vec<u8> = script.by_ref().take(usize::from(argument)).collect();
                harness.receive(addr(argument), &bytes);
            }
            8 => harness.ask(argument, script.next().unwrap_or_default()),
            9 => harness.begin(|node, now| node.get_item(now, Target(id(argument)), b"salt")),
            10 => harness.begin(|node, now| node.renew_item(now, Target(id(argument)), b"")),
            11 => harness.begin(|node, now| node.put_item(now, item(argument), None)),
            _ => harness.routers(argument),
        }
    }
    harness.wait(10_000);
    // A node without contacts begins to join again and again: only what the script began must be over.
    let open = harness.operations.iter().filter(|op| harness.node.asked(**op).is_some());
    assert_eq!(open.count(), 0, "an operation never ended");
}

fn item(byte: u8) -> Arc<Item> {
    Arc::new(Item::Immutable(ItemValue::from_contents(&[byte]).expect("short")))
}

fn id(byte: u8) -> Id {
    Id([byte; 20])
}

fn addr(byte: u8) -> SocketAddr {
    ([10, 0, byte, 1], 6881).into()
}

/// Time for which a token is surely good, and after which it is surely not.
const TOKEN_LIVES: (Duration, Duration) = (Duration::from_mins(5), Duration::from_mins(10));
/// Time after which a peer is surely not handed out any more: its lifetime, and what it takes to look at all of a small store.
const PEER_LIVES: Duration = Duration::from_mins(50);

/// What a node may know, kept by the simplest means: those who have answered it, the tokens that it gave, the peers that
/// were announced to it.
#[derive(Default)]
struct Model {
    answered: BTreeSet<(NodeId, SocketAddr)>,
    tokens: BTreeMap<(SocketAddr, InfoHash), (Vec<u8>, Instant)>,
    peers: BTreeMap<(InfoHash, SocketAddr), Instant>,
}

impl Model {
    /// Notes what a datagram can have told the node, be it genuine or not.
    fn hear(&mut self, now: Instant, from: SocketAddr, bytes: &[u8]) {
        match Message::decode(bytes).map(|message| message.kind) {
            Ok(Kind::Response(response)) => drop(self.answered.insert((response.id, from))),
            Ok(Kind::Query(query)) => {
                if let Method::AnnouncePeer { info_hash, port, .. } = query.method {
                    let peer = SocketAddr::new(from.ip(), port.unwrap_or(from.port()));
                    self.peers.insert((info_hash, peer), now);
                }
            }
            _ => {}
        }
    }

    /// Checks what the node answers: contacts that have answered it, and peers that were announced and live.
    fn check(&self, now: Instant, info_hash: InfoHash, response: &Response<'_>) {
        for contact in response.contacts(Family::V4) {
            assert!(self.answered.contains(&(contact.id, contact.addr)), "{contact:?} has never answered");
        }
        for peer in response.values.iter() {
            let announced = self.peers.get(&(info_hash, peer)).expect("a peer that was announced");
            assert!(now.since(*announced) < PEER_LIVES, "{peer} is gone");
        }
    }
}

struct Harness {
    node: Node,
    now: Instant,
    asked: Vec<(SocketAddr, Vec<u8>)>,
    /// Replies of the node since they were last looked at.
    replies: Vec<(SocketAddr, Vec<u8>)>,
    operations: Vec<OpId>,
    model: Model,
}

impl Harness {
    fn new() -> Self {
        let config = Config { private_network: true, peer_memory_bytes: 4096, ..Config::new(Family::V4) };
        let mut harness = Self {
            node: Node::new(config, [1; 32], Instant::ZERO),
            now: Instant::ZERO,
            asked: Vec::new(),
            replies: Vec::new(),
            operations: Vec::new(),
            model: Model::default(),
        };
        harness.drain();
        harness
    }

    fn drain(&mut self) -> Instant {
        loop {
            match self.node.poll_output() {
                Output::Transmit { to, payload } => {
                    assert!(payload.len() <= MAX_DATAGRAM, "a datagram exceeds its cap");
                    match Message::decode(payload) {
                        Ok(Message { kind: Kind::Query(_), .. }) => self.asked.push((to, payload.to_vec())),
                        _ => self.replies.push((to, payload.to_vec())),
                    }
                }
                Output::Event(_) => {}
                Output::Wait(deadline, _) => return deadline,
            }
        }
    }

    fn wait(&mut self, millis: u64) {
        let end = self.now + Duration::from_millis(millis);
        // Bounded: a node that wanted to be woken more often than each millisecond would be broken.
        for _ in 0..=millis + 64 {
            let deadline = self.drain();
            self.now = deadline.max(self.now).min(end);
            self.node.handle_timeout(self.now);
            if deadline > end {
                self.now = end;
                self.drain();
                return;
            }
        }
        panic!("the node never sleeps");
    }

    fn begin(&mut self, command: impl FnOnce(&mut Node, Instant) -> OpId) {
        let op = command(&mut self.node, self.now);
        self.operations.push(op);
        self.drain();
    }

    fn cancel(&mut self, index: u8) {
        if let Some(op) = self.operations.get(usize::from(index) % self.operations.len().max(1)) {
            self.node.cancel(*op);
            self.drain();
        }
    }

    fn routers(&mut self, byte: u8) {
        self.node.add_routers(self.now, &[addr(byte), addr(byte ^ 1)]);
        self.drain();
    }

    fn receive(&mut self, from: SocketAddr, bytes: &[u8]) {
        self.model.hear(self.now, from, bytes);
        self.node.handle_datagram(self.now, from, bytes);
        self.drain();
    }

    /// Answers one of the node's queries, as the contact `who` would, with contacts, peers and a token.
    fn answer(&mut self, index: u8, who: u8) {
        if self.asked.is_empty() {
            return;
        }
        let (to, query) = self.asked.swap_remove(usize::from(index) % self.asked.len());
        let Ok(message) = Message::decode(&query) else { return };
        let mut reply = b"d1:rd2:id20:".to_vec();
        reply.extend(id(who).0);
        reply.extend(b"5:nodes78:");
        for other in [who.wrapping_add(1), who ^ 0x80, index] {
            reply.extend(id(other).0);
            reply.extend([10, 0, other, 1, 0x1a, 0xe1]);
        }
        reply.extend(b"5:token4:good6:valuesl6:");
        reply.extend([10, 0, index, 2, 1, 1]);
        reply.extend(b"ee1:t4:");
        reply.extend(message.transaction);
        reply.extend(b"1:y1:re");
        self.receive(to, &reply);
    }

    /// Asks the node something as the contact `who` would: with a token that it has, if it has one.
    fn ask(&mut self, who: u8, what: u8) {
        let (from, info_hash) = (addr(who), InfoHash(id(what % 8)));
        let known = self.model.tokens.get(&(from, info_hash)).cloned();
        let token = known.as_ref().map_or(&b"........"[..], |(token, _)| token);
        let mut query = b"d1:ad2:id20:".to_vec();
        query.extend(id(who).0);
        query.extend(b"9:info_hash20:");
        query.extend(info_hash.as_bytes());
        query.extend(format!("4:porti1e5:token{}:", token.len()).bytes());
        query.extend(token);
        query.extend(b"e1:q");
        let methods = ["4:ping", "9:find_node", "9:get_peers", "13:announce_peer"];
        let method = methods[usize::from(what) % methods.len()];
        query.extend(method.bytes());
        query.extend(b"1:t2:xx1:y1:qe");
        // Whether it is stored is up to its token: the model learns of it only if it may be.
        let peer = (info_hash, SocketAddr::new(from.ip(), 1));
        let before = self.model.peers.get(&peer).copied();
        self.replies.clear();
        self.receive(from, &query);
        let replies = std::mem::take(&mut self.replies);
        let [(to, reply)] = &replies[..] else { panic!("a query is answered once, not {} times", replies.len()) };
        let reply = Message::decode(reply).expect("a reply");
        assert_eq!((*to, reply.transaction), (from, &b"xx"[..]));
        let age = known.map(|(_, given)| self.now.since(given));
        match (method, reply.kind) {
            ("13:announce_peer", Kind::Response(_)) => {
                assert!(age.is_some_and(|age| age < TOKEN_LIVES.1), "stored with a token that is {age:?} old");
            }
            ("13:announce_peer", Kind::Error(code)) => {
                assert!(code != 203 || age.is_none_or(|age| age >= TOKEN_LIVES.0), "a token of {age:?} is refused");
                match before {
                    Some(before) => self.model.peers.insert(peer, before),
                    None => self.model.peers.remove(&peer),
                };
            }
            // `find_node` wants a target, and gets an error.
            (_, Kind::Error(code)) => assert_eq!((method, code), ("9:find_node", 203)),
            (_, Kind::Response(response)) => {
                self.model.check(self.now, info_hash, &response);
                if let Some(token) = response.token {
                    self.model.tokens.insert((from, info_hash), (token.to_vec(), self.now));
                }
            }
            (_, kind) => panic!("no reply: {kind:?}"),
        }
    }
}
