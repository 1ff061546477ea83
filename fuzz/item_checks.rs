//! What the fuzz targets for items check (BEP 44); replayed by `tests/fuzz_seeds.rs` like those of `checks.rs`.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::time::Duration;

use trackerless::engine::bencode::scan::{Kind as Value, Malformed, Scanner};
use trackerless::engine::contact::Family;
use trackerless::engine::id::{Id, NodeId};
use trackerless::engine::items::{Item, ItemFault, ItemStore, MAX_VALUE, Mutable, PutRefusal};
use trackerless::engine::krpc::{Kind, Message};
use trackerless::engine::limits::{ITEM_BYTES, ITEM_LIFETIME, ITEMS};
use trackerless::engine::node::{Config, Node, Output};
use trackerless::engine::time::Instant;

/// Bytes are a value if, and only if, they are what they mean written canonically; a node takes a put of just these
/// values, and gives them back byte for byte.
pub fn items(bytes: &[u8]) {
    let value = trackerless::engine::items::Value::from_bencode(bytes);
    match canonical(bytes) {
        _ if bytes.len() > MAX_VALUE => assert_eq!(value, Err(ItemFault::TooBig(bytes.len()))),
        Some(written) => assert_eq!(value.is_ok(), written == bytes, "{}", bytes.escape_ascii()),
        None => {}
    }
    if let Ok(value) = &value {
        assert_eq!((value.as_bencode(), value.target()), (bytes, Item::Immutable(value.clone()).target()));
        assert!(value.contents().is_none_or(|contents| bytes.ends_with(contents)));
    }
    let mut server = Server::new();
    let target = trackerless::engine::items::target_of_value(bytes);
    let Some(token) = server.token(&target) else { panic!("an empty store gives tokens") };
    server.ask(&[b"d1:ad2:id20:abcdefghij01234567895:token8:", &token[..], b"1:v", bytes, b"e1:q3:put1:t2:aa1:y1:qe"]);
    // What follows a value that ends early may be read as further arguments: then another value was put.
    if let Some(stored) = server.stored(&target) {
        assert_eq!(stored, bytes, "another value under this target");
    }
    assert!(value.is_err() || server.node.items().len() == 1, "a value is refused");
    assert!(server.node.items().iter(server.now).all(|stored| stored.item.is_genuine()));
}

/// The canonical form of what `bytes` mean; `None` where our scanner cannot tell: no bencode, too deep, numbers too large.
fn canonical(bytes: &[u8]) -> Option<Vec<u8>> {
    let mut scanner = Scanner::new(bytes);
    rewrite(&mut scanner, 0).ok().flatten()
}

fn rewrite(scanner: &mut Scanner<'_>, depth: usize) -> Result<Option<Vec<u8>>, Malformed> {
    let string = |bytes: &[u8]| [format!("{}:", bytes.len()).as_bytes(), bytes].concat();
    let mut whole = depth < 8;
    Ok(match scanner.kind()? {
        Value::String => Some(string(scanner.string()?)),
        Value::Integer => scanner.integer()?.map(|number| format!("i{number}e").into_bytes()),
        Value::List => {
            let mut out = b"l".to_vec();
            scanner.list(|scanner| {
                let item = rewrite(scanner, depth + 1)?;
                whole &= item.is_some();
                out.extend(item.unwrap_or_default());
                Ok(())
            })?;
            whole.then(|| [&out[..], b"e"].concat())
        }
        Value::Dict => {
            let mut pairs = BTreeMap::new();
            scanner.dict(|scanner, key| {
                let item = rewrite(scanner, depth + 1)?;
                whole &= item.is_some();
                pairs.insert(key.to_vec(), item.unwrap_or_default());
                Ok(())
            })?;
            let pairs: Vec<u8> = pairs.iter().flat_map(|(key, item)| [string(key), item.clone()].concat()).collect();
            whole.then(|| [b"d", &pairs[..], b"e"].concat())
        }
    })
}

/// A node, and somebody who asks it.
struct Server {
    node: Node,
    now: Instant,
}

impl Server {
    fn new() -> Self {
        let config = Config { private_network: true, ..Config::new(Family::V4) };
        let now = Instant::from_secs(1);
        let mut server = Self { node: Node::new(config, [1; 32], now), now };
        server.replies();
        server
    }

    fn replies(&mut self) -> Vec<Vec<u8>> {
        let mut replies = Vec::new();
        loop {
            match self.node.poll_output() {
                Output::Transmit { payload, .. } => replies.push(payload.to_vec()),
                Output::Event(_) => {}
                Output::Wait(..) => return replies,
            }
        }
    }

    fn ask(&mut self, query: &[&[u8]]) -> Vec<Vec<u8>> {
        let asker: SocketAddr = ([10, 0, 0, 9], 6881).into();
        self.node.handle_datagram(self.now, asker, &query.concat());
        self.replies()
    }

    fn get(&mut self, target: &Id) -> Vec<u8> {
        let query = [&b"d1:ad2:id20:abcdefghij01234567896:target20:"[..], &target.0, b"e1:q3:get1:t2:aa1:y1:qe"];
        self.ask(&query).into_iter().next().expect("a get is answered")
    }

    fn token(&mut self, target: &Id) -> Option<[u8; 8]> {
        let reply = self.get(target);
        let Ok(Message { kind: Kind::Response(response), .. }) = Message::decode(&reply) else { return None };
        response.token?.try_into().ok()
    }

    fn stored(&mut self, target: &Id) -> Option<Vec<u8>> {
        let reply = self.get(target);
        let Ok(Message { kind: Kind::Response(response), .. }) = Message::decode(&reply) else { return None };
        response.item.value.map(<[u8]>::to_vec)
    }
}

/// Items that fit into the store of the script.
const ROOM: usize = 12;

/// A script of operations on a small store, beside a list of what it must hold: four bytes each, an opcode, whose item,
/// its number, and whatever else.
pub fn store(script: &[u8]) {
    let mut bench = Bench { store: ItemStore::new(ROOM * (ITEM_BYTES / ITEMS)), twin: Vec::new(), now: Instant::ZERO };
    for step in script.chunks_exact(4) {
        let [opcode, owner, seq, rest] = [step[0], step[1], step[2], step[3]];
        match opcode % 8 {
            0 => bench.wait(Duration::from_secs(u64::from(seq) * 60)),
            1 => bench.put(immutable(owner, rest), None, Some(u64::from(seq))),
            2 => bench.put(mutable(owner, seq, rest), Some(i64::from(rest % 4)), None),
            3 => bench.sweep(),
            4 => bench.restart(),
            _ => bench.put(mutable(owner, seq, rest), None, Some(u64::from(rest % 3))),
        }
        bench.check();
    }
    bench.wait(ITEM_LIFETIME);
    bench.sweep();
    assert_eq!((bench.store.len(), bench.store.used_bytes()), (0, 0), "something outlives its life");
}

const OWN: NodeId = NodeId(Id::ZERO);

fn immutable(text: u8, length: u8) -> Item {
    let contents = vec![text; usize::from(length) * 3];
    Item::Immutable(trackerless::engine::items::Value::from_contents(&contents).expect("short"))
}

/// The store leaves signatures to its caller.
fn mutable(owner: u8, seq: u8, text: u8) -> Item {
    let value = trackerless::engine::items::Value::from_contents(&[text % 2; 100]).expect("short");
    Item::Mutable(Mutable { key: [owner; 32], salt: Box::default(), seq: seq.into(), signature: [0; 64], value })
}

struct Bench {
    store: ItemStore,
    /// What must be there, and until when.
    twin: Vec<(Item, Instant)>,
    now: Instant,
}

impl Bench {
    fn wait(&mut self, duration: Duration) {
        self.now += duration;
        let now = self.now;
        self.twin.retain(|(_, until)| *until > now);
    }

    fn sweep(&mut self) {
        self.store.sweep(self.now);
        assert_eq!(self.store.len(), self.twin.len());
    }

    fn put(&mut self, item: Item, cas: Option<i64>, writer: Option<u64>) {
        let target = item.target();
        let place = self.twin.iter().position(|(other, _)| other.target() == target);
        let outcome = self.store.put(self.now, &OWN, item.clone(), cas, writer);
        if let Some(place) = place {
            assert_eq!(outcome, follows(&self.twin[place].0, &item, cas));
        }
        match (outcome, place) {
            (Ok(()), Some(place)) => self.twin[place] = (item, self.now + ITEM_LIFETIME),
            (Ok(()), None) => {
                self.give_up_for(&target);
                self.twin.push((item, self.now + ITEM_LIFETIME));
            }
            (Err(refusal), None) => {
                assert_eq!(refusal, PutRefusal::Full);
                let far = |other: &Id| OWN.common_prefix_len(other) < OWN.common_prefix_len(&target);
                let shared_out = writer.is_some();
                assert!(
                    shared_out || !self.twin.iter().any(|(other, _)| far(&other.target())),
                    "it keeps what is farther"
                );
            }
            (Err(_), Some(_)) => {}
        }
    }

    /// What made room for `target`: nothing that is closer, to the first bit.
    fn give_up_for(&mut self, target: &Id) {
        let (store, now) = (&self.store, self.now);
        self.twin.retain(|(item, _)| {
            let other = item.target();
            let kept = store.get(now, &other).is_some();
            assert!(kept || OWN.common_prefix_len(&other) <= OWN.common_prefix_len(target), "a closer item made room");
            kept
        });
    }

    /// Immutable items go on with their lives; the signatures of the others are forged here, and forgeries do not.
    fn restart(&mut self) {
        let kept: Vec<_> = self.store.iter(self.now).collect();
        assert_eq!(kept.len(), self.twin.len());
        self.store = ItemStore::new(ROOM * (ITEM_BYTES / ITEMS));
        kept.into_iter().for_each(|stored| self.store.restore(self.now, &OWN, stored));
        self.twin.retain(|(item, _)| item.is_genuine());
        assert_eq!(self.store.len(), self.twin.len());
    }

    fn check(&self) {
        assert!(self.store.len() <= ROOM && self.store.used_bytes() <= ROOM * (ITEM_BYTES / ITEMS));
        for (item, _) in &self.twin {
            assert_eq!(self.store.get(self.now, &item.target()), Some(item));
        }
        assert_eq!(self.store.iter(self.now).count(), self.twin.len(), "something is there that should not be");
    }
}

/// BEP 44, Mutable Items and CAS, by the letter.
fn follows(old: &Item, new: &Item, cas: Option<i64>) -> Result<(), PutRefusal> {
    let (Item::Mutable(old), Item::Mutable(new)) = (old, new) else { return Ok(()) };
    // What is stored already is no change that `cas` could forbid.
    if new.seq == old.seq && new.value == old.value {
        return Ok(());
    }
    if cas.is_some_and(|cas| cas != old.seq) {
        return Err(PutRefusal::Cas);
    }
    if new.seq > old.seq { Ok(()) } else { Err(PutRefusal::OldSeq) }
}
