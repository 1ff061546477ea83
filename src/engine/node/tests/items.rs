//! BEP 44, on the wire and over a whole lookup.

use std::sync::Arc;

use super::*;
use crate::engine::items::{Item, Mutable, Owner, Value};

const ASKER: &str = "10.9.8.7:4321";

fn owner() -> Owner {
    Owner::from_seed(&[9; 32])
}

fn value(text: &str) -> Value {
    Value::from_contents(text.as_bytes()).expect("short")
}

fn mutable(seq: i64, text: &str) -> Item {
    Item::Mutable(Mutable::sign(&owner(), b"foobar", seq, value(text)).expect("an item"))
}

fn get(target: &Target, rest: &str) -> Vec<u8> {
    let mut query = format!("d1:ad2:id20:abcdefghij0123456789{rest}6:target20:").into_bytes();
    query.extend(target.as_bytes());
    query.extend(b"e1:q3:get1:t2:aa1:y1:qe");
    query
}

/// The arguments of a put; each may be changed or left out.
#[derive(Clone)]
struct Arguments<'a> {
    cas: Option<i64>,
    key: Option<&'a [u8]>,
    salt: &'a [u8],
    seq: Option<i64>,
    signature: Option<&'a [u8]>,
    token: &'a [u8],
    value: &'a [u8],
}

impl<'a> Arguments<'a> {
    fn of(item: &'a Item, token: &'a [u8]) -> Self {
        let value = item.value().as_bencode();
        let bare = Self { cas: None, key: None, salt: b"", seq: None, signature: None, token, value };
        match item {
            Item::Immutable(_) => bare,
            Item::Mutable(item) => Self {
                key: Some(&item.key),
                salt: &item.salt,
                seq: Some(item.seq),
                signature: Some(&item.signature),
                ..bare
            },
        }
    }

    fn query(&self) -> Vec<u8> {
        let mut query = b"d1:ad".to_vec();
        let string = |query: &mut Vec<u8>, key: &str, bytes: &[u8]| {
            query.extend(format!("{}:{key}{}:", key.len(), bytes.len()).as_bytes());
            query.extend(bytes);
        };
        let integer =
            |query: &mut Vec<u8>, key: &str, number| query.extend(format!("{}:{key}i{number}e", key.len()).as_bytes());
        self.cas.iter().for_each(|cas| integer(&mut query, "cas", *cas));
        string(&mut query, "id", b"abcdefghij0123456789");
        self.key.iter().for_each(|key| string(&mut query, "k", key));
        if !self.salt.is_empty() {
            string(&mut query, "salt", self.salt);
        }
        self.seq.iter().for_each(|seq| integer(&mut query, "seq", *seq));
        self.signature.iter().for_each(|signature| string(&mut query, "sig", signature));
        string(&mut query, "token", self.token);
        query.extend(b"1:v");
        query.extend(self.value);
        query.extend(b"e1:q3:put1:t2:aa1:y1:qe");
        query
    }
}

impl Bench {
    fn get(&mut self, target: &Target, rest: &str) -> Vec<u8> {
        self.handle(ASKER.parse().unwrap(), &get(target, rest)).remove(0)
    }

    fn token_for(&mut self, target: &Target) -> Vec<u8> {
        let reply = self.get(target, "");
        let Kind::Response(response) = Message::decode(&reply).expect("a message").kind else { panic!("no response") };
        response.token.expect("a token").to_vec()
    }

    /// 0 for a response.
    fn put(&mut self, arguments: &Arguments<'_>) -> i64 {
        let reply = self.handle(ASKER.parse().unwrap(), &arguments.query()).remove(0);
        match Message::decode(&reply).expect("a message").kind {
            Kind::Response(_) => 0,
            Kind::Error(code) => code,
            other => panic!("{other:?}"),
        }
    }
}

#[test]
fn an_item_that_was_put_is_given_whole() {
    for item in [Item::Immutable(value("Hello World!")), mutable(4, "Hello World!")] {
        let mut bench = Bench::new(config());
        let target = item.target();
        let token = bench.token_for(&target);
        assert_eq!(bench.put(&Arguments::of(&item, &token)), 0);
        let reply = bench.get(&target, "");
        let Kind::Response(response) = Message::decode(&reply).expect("a message").kind else { panic!("no response") };
        assert_eq!(response.item.value, Some(item.value().as_bencode()));
        assert_eq!(response.item.seq, item.seq());
        assert_eq!(
            (response.item.key.is_some(), response.item.signature.is_some()),
            (item.seq().is_some(), item.seq().is_some())
        );
        assert!(response.token.is_some());
    }
}

#[test]
fn a_value_that_the_asker_has_is_left_out_but_not_its_number() {
    let mut bench = Bench::new(config());
    let item = mutable(4, "x");
    let token = bench.token_for(&item.target());
    assert_eq!(bench.put(&Arguments::of(&item, &token)), 0);
    for (known, given) in [(3, true), (4, false), (5, false)] {
        let reply = bench.get(&item.target(), &format!("3:seqi{known}e"));
        let Kind::Response(response) = Message::decode(&reply).expect("a message").kind else { panic!("no response") };
        assert_eq!(
            (response.item.value.is_some(), response.item.key.is_some(), response.item.seq),
            (given, given, Some(4))
        );
    }
}

#[test]
fn each_fault_has_its_code() {
    let mut bench = Bench::new(config());
    let item = mutable(4, "four");
    let token = bench.token_for(&item.target());
    let right = Arguments::of(&item, &token);
    let long_salt = [b'x'; 65];
    let salted = crate::engine::items::target_of_key(&owner().public_key(), &long_salt);
    let salted_token = bench.token_for(&salted);
    let big = [b"997:".to_vec(), vec![b'x'; 997]].concat();
    for (name, arguments, code) in [
        ("a token of another target", Arguments { token: &salted_token, ..right.clone() }, 203),
        ("no token worth the name", Arguments { token: b"x", ..right.clone() }, 203),
        ("unsorted keys in the value", Arguments { value: b"d1:bi1e1:ai2ee", ..right.clone() }, 203),
        ("a leading zero in the value", Arguments { value: b"i01e", ..right.clone() }, -1),
        ("a value of 1001 bytes", Arguments { value: &big, ..right.clone() }, 205),
        ("a salt of 65 bytes", Arguments { salt: &long_salt, token: &salted_token, ..right.clone() }, 207),
        ("a short signature", Arguments { signature: Some(b"short"), ..right.clone() }, 203),
        ("no signature", Arguments { signature: None, ..right.clone() }, 203),
        ("no seq", Arguments { seq: None, ..right.clone() }, 203),
        ("a negative seq", Arguments { seq: Some(-1), ..right.clone() }, 203),
        ("a wrong signature", Arguments { signature: Some(&[1; 64]), ..right.clone() }, 206),
        ("another seq than was signed", Arguments { seq: Some(5), ..right.clone() }, 206),
    ] {
        if code < 0 {
            // Not bencode at all for anyone: never answered.
            assert_eq!(bench.handle(ASKER.parse().unwrap(), &arguments.query()).len(), 0, "{name}");
        } else {
            assert_eq!(bench.put(&arguments), code, "{name}");
        }
    }
    assert!(bench.node.items().is_empty(), "nothing of it was stored");
    assert_eq!(bench.put(&right), 0);
    assert_eq!(bench.put(&right), 0, "the same again starts its life again");
    let (older, other, newer) = (mutable(3, "three"), mutable(4, "another four"), mutable(6, "six"));
    assert_eq!(bench.put(&Arguments::of(&older, &token)), 302);
    assert_eq!(bench.put(&Arguments::of(&other, &token)), 302);
    assert_eq!(bench.put(&Arguments { cas: Some(3), ..Arguments::of(&newer, &token) }), 301);
    assert_eq!(bench.put(&Arguments { cas: Some(4), ..Arguments::of(&newer, &token) }), 0);
}

#[test]
fn the_largest_item_fits_into_one_frame_with_contacts() {
    let mut bench = Bench::new(config());
    for index in 0..20 {
        bench.node.table.answered(bench.now, Contact { id: NodeId::new([index; 20]), addr: addr(index) }, DELAY);
    }
    let item = mutable(i64::MAX, &"x".repeat(996));
    let token = bench.token_for(&item.target());
    assert_eq!(bench.put(&Arguments::of(&item, &token)), 0);
    let reply = bench.get(&item.target(), "");
    assert!(reply.len() > MAX_DATAGRAM && reply.len() <= 1472, "{}", reply.len());
    let Kind::Response(response) = Message::decode(&reply).expect("a message").kind else { panic!("no response") };
    assert_eq!(response.contacts(Family::V4).count(), 8);
}

#[test]
fn items_expire_by_the_clock() {
    let mut bench = Bench::new(config());
    let item = Item::Immutable(value("x"));
    let token = bench.token_for(&item.target());
    assert_eq!(bench.put(&Arguments::of(&item, &token)), 0);
    bench.now += crate::engine::limits::ITEM_LIFETIME;
    bench.node.handle_timeout(bench.now);
    bench.drain();
    assert_eq!((bench.node.items().len(), bench.node.stats().expired_items), (0, 1));
}

impl Net {
    fn items(&self, op: OpId, index: u8) -> Vec<Item> {
        let of = |(own, event): &(SocketAddr, Event)| match event {
            Event::Item { op: other, item, .. } if *other == op && *own == addr(index) => Some((**item).clone()),
            _ => None,
        };
        self.events.iter().filter_map(of).collect()
    }

    fn refusals(&self, op: OpId, index: u8) -> Vec<i64> {
        let of = |(own, event): &(SocketAddr, Event)| match event {
            Event::Refused { op: other, code, .. } if *other == op && *own == addr(index) => Some(*code),
            _ => None,
        };
        self.events.iter().filter_map(of).collect()
    }

    fn put(&mut self, index: u8, item: &Item, cas: Option<i64>) -> OpId {
        let now = self.now;
        let op = self.node(index).put_item(now, Arc::new(item.clone()), cas);
        self.run_for(secs(5));
        op
    }

    fn get(&mut self, index: u8, target: Target, salt: &[u8]) -> OpId {
        let now = self.now;
        let op = self.node(index).get_item(now, target, salt);
        self.run_for(secs(5));
        op
    }
}

#[test]
fn what_one_puts_every_other_gets() {
    let mut net = Net::new(30);
    net.run_for(secs(30));
    for item in [Item::Immutable(value("Hello World!")), mutable(1, "Hello World!")] {
        let op = net.put(7, &item, None);
        assert_eq!(net.done(op, 7).stored, 8);
        for index in 0..30 {
            let op = net.get(index, item.target(), b"foobar");
            assert_eq!(net.items(op, index), std::slice::from_ref(&item), "from node {index}");
        }
        // A hash proves itself: the first to have it is enough.
        let holders = net.nodes.values().filter(|node| node.items().get(net.now, &item.target()).is_some()).count();
        assert_eq!(holders, 8);
    }
    let item = Item::Immutable(value("Hello World!"));
    let asker = (0..30).find(|&index| net.nodes[&addr(index)].items().is_empty()).expect("a node stores nothing");
    let op = net.get(asker, item.target(), b"");
    assert!(net.done(op, asker).answered < 8, "an immutable get ends early: {:?}", net.done(op, asker));
}

#[test]
fn a_get_finds_the_newest_value_and_a_wrong_salt_nothing() {
    let mut net = Net::new(20);
    net.run_for(secs(30));
    net.put(3, &mutable(1, "one"), None);
    // Only some have heard of the newer one.
    let now = net.now;
    let mut news = 0;
    for node in net.nodes.values_mut().filter(|node| !node.items().is_empty()).take(2) {
        let own = node.id();
        node.items.put(now, &own, mutable(2, "two"), None, None).expect("newer");
        news += 1;
    }
    assert_eq!(news, 2);
    let op = net.get(11, mutable(1, "").target(), b"foobar");
    assert_eq!(net.items(op, 11).last(), Some(&mutable(2, "two")));
    let op = net.get(11, mutable(1, "").target(), b"other");
    // A node that has it stored knows its salt itself.
    assert!(net.items(op, 11).iter().all(|_| net.nodes[&addr(11)].items().len() == 1));
}

impl Net {
    fn renew(&mut self, index: u8, item: &Item) -> OpId {
        let now = self.now;
        let op = self.node(index).renew_item(now, item.target(), b"foobar");
        self.run_for(secs(5));
        op
    }

    /// Nodes that have this very item.
    fn holders(&self, item: &Item) -> Vec<SocketAddr> {
        let has = |node: &Node| node.items().get(self.now, &item.target()) == Some(item);
        self.nodes.iter().filter(|(_, node)| has(node)).map(|(addr, _)| *addr).collect()
    }
}

#[test]
fn whoever_renews_an_item_gives_it_to_the_closest_that_lack_it() {
    for item in [Item::Immutable(value("Hello World!")), mutable(2, "two")] {
        let mut net = Net::new(30);
        net.run_for(secs(30));
        if item.seq().is_some() {
            net.put(7, &mutable(1, "one"), None);
        }
        let newest = *net.holders(&mutable(1, "one")).first().unwrap_or(&addr(3));
        let (now, node) = (net.now, net.nodes.get_mut(&newest).expect("a node"));
        let own = node.id();
        node.items.put(now, &own, item.clone(), None, None).expect("newer");
        let reader = (0..30).find(|&index| addr(index) != newest).expect("another node");
        let op = net.renew(reader, &item);
        assert_eq!(net.items(op, reader).last(), Some(&item));
        let (stored, holders) = (net.done(op, reader).stored, net.holders(&item));
        assert!(stored >= 7 && holders.len() == stored + 1, "stored at {stored}, {holders:?}");
        let op = net.renew(reader, &item);
        assert_eq!(net.done(op, reader).stored, 0, "they all have it: nothing is sent");
    }
}

#[test]
fn a_renewal_of_what_nobody_has_stores_nothing() {
    let mut net = Net::new(10);
    net.run_for(secs(30));
    let op = net.renew(4, &mutable(1, "one"));
    assert_eq!((net.done(op, 4).stored, net.items(op, 4)), (0, vec![]));
}

#[test]
fn an_item_that_is_put_every_hour_outlives_its_holders() {
    let mut net = Net::new(20);
    net.run_for(secs(30));
    let (kept, left) = (mutable(1, "kept"), Item::Immutable(value("left alone")));
    net.put(19, &left, None);
    net.put(19, &kept, None);
    let first = net.holders(&kept);
    for half in first.chunks(4) {
        half.iter().filter(|holder| **holder != addr(19)).for_each(|gone| drop(net.nodes.remove(gone)));
        net.run_for(crate::engine::limits::ITEM_RENEWAL);
        net.put(19, &kept, None);
    }
    assert!(net.holders(&kept).len() >= 8, "{:?} and at first {first:?}", net.holders(&kept));
    assert!(net.holders(&left).is_empty(), "two hours are over");
}

#[test]
fn a_stale_number_and_a_wrong_cas_are_refused_by_all() {
    let mut net = Net::new(20);
    net.run_for(secs(30));
    let first = net.put(3, &mutable(5, "five"), None);
    assert_eq!((net.done(first, 3).stored, net.refusals(first, 3)), (8, vec![]));
    let stale = net.put(4, &mutable(4, "four"), None);
    assert_eq!((net.done(stale, 4).stored, net.refusals(stale, 4)), (0, vec![302; 8]));
    assert_eq!(net.items(stale, 4).last(), Some(&mutable(5, "five")), "what is there is told");
    let wrong = net.put(4, &mutable(6, "six"), Some(4));
    assert_eq!((net.done(wrong, 4).stored, net.refusals(wrong, 4)), (0, vec![301; 8]));
    let right = net.put(4, &mutable(6, "six"), Some(5));
    assert_eq!(net.done(right, 4).stored, 8);
}

/// The nodes store a new value under `cas`, their answers get lost, and they are asked again.
#[test]
fn a_put_whose_answer_was_lost_is_not_refused() {
    let mut net = Net::new(12);
    net.run_for(secs(30));
    let now = net.now;
    net.node(3).put_item(now, Arc::new(mutable(5, "five")), None);
    net.run_for(secs(5));
    let now = net.now;
    let op = net.node(3).put_item(now, Arc::new(mutable(6, "six")), Some(5));
    let writes =
        |net: &Net| net.wire.iter().filter(|(.., bytes)| bytes.windows(8).any(|part| part == b"1:q3:put")).count();
    while writes(&net) < 8 {
        net.run_for(DELAY / 10);
    }
    net.cut = true;
    net.run_for(secs(1));
    net.cut = false;
    net.run_for(secs(10));
    let refused = |(_, event): &(SocketAddr, Event)| matches!(event, Event::Refused { op: other, .. } if *other == op);
    assert!(!net.events.iter().any(refused));
    assert_eq!(net.done(op, 3).stored, 8);
}

/// The same where the nodes are of a kind that looks at `cas` first.
#[test]
fn a_wrong_cas_in_answer_to_a_second_try_says_nothing() {
    use purpose::Attempt::{First, Second};
    for (attempt, code, told) in [(First, 301, true), (Second, 301, false), (Second, 302, true)] {
        // It is still being looked for where the item belongs.
        let contacts = vec![Contact { id: NodeId::new([8; 20]), addr: addr(8) }];
        let mut bench = Bench::new(Config { saved: Snapshot { contacts, ..Snapshot::default() }, ..config() });
        let (now, to) = (bench.now, addr(7));
        let item = Item::Immutable(Value::from_contents(b"x").expect("a value"));
        let op = bench.node.put_item(now, Arc::new(item), None);
        let purpose = Purpose::Write { op, attempt };
        let Node { transactions, random, .. } = &mut bench.node;
        let transaction = transactions.open(now, to, Some(NodeId::new([7; 20])), DELAY, purpose, random).expect("room");
        let mut error = format!("d1:eli{code}e1:xe1:t4:").into_bytes();
        error.extend(transaction);
        error.extend(b"1:y1:ee");
        bench.node.handle_datagram(now, to, &error);
        let refused = std::iter::from_fn(|| match bench.node.poll_output() {
            Output::Event(event) => Some(event),
            _ => None,
        });
        assert_eq!(refused.filter(|event| matches!(event, Event::Refused { .. })).count(), usize::from(told), "{code}");
    }
}
