//! Items between our nodes and the `mainline` crate, the DHT of pkarr, in both directions (BEP 44).
#![cfg(feature = "net")]

use std::net::SocketAddr;

use mainline::async_dht::AsyncDht;
use mainline::{MutableItem, SigningKey};
use trackerless::Dht;
use trackerless::engine::id::Target;
use trackerless::engine::items::{Item, Mutable, Owner, Value, target_of_key};

/// Three nodes of ours on loopback, and a client of the other kind that joins through the first.
struct Ground {
    ours: Vec<Dht>,
    theirs: AsyncDht,
}

impl Ground {
    async fn new() -> Self {
        let ours = nodes().await;
        let router = ours[0].local_addrs()[0].to_string();
        let mut builder = mainline::Dht::builder();
        let theirs = builder.bind_address([127, 0, 0, 1].into()).bootstrap(&[router]).build().expect("a socket");
        let theirs = theirs.as_async();
        assert!(theirs.bootstrapped().await, "it joins our network");
        Self { ours, theirs }
    }

    /// What the last of our nodes finds.
    async fn get(&self, target: Target, salt: &[u8]) -> Option<Item> {
        self.ours[2].get_item(target, salt).await.item
    }

    /// At how many nodes the last of our nodes stores `item`.
    async fn put(&self, item: Item) -> usize {
        self.ours[2].put_item(item, None).await.stored_at.len()
    }
}

async fn nodes() -> Vec<Dht> {
    let loopback: SocketAddr = "127.0.0.1:0".parse().expect("an address");
    let mut nodes: Vec<Dht> = Vec::new();
    for _ in 0..3 {
        let router = nodes.first().map(|first| first.local_addrs()[0].to_string());
        let builder = Dht::builder().private_network(true).bind(loopback).bootstrap(router);
        nodes.push(builder.start().await.expect("a node"));
    }
    for node in &nodes[1..] {
        node.bootstrapped().await;
    }
    // The first must know the others before it can name them to a client that asks once.
    while nodes[0].status().await[0].contacts < 2 {
        tokio::task::yield_now().await;
    }
    nodes
}

fn value(text: &str) -> Value {
    Value::from_contents(text.as_bytes()).expect("short")
}

#[tokio::test(flavor = "multi_thread")]
async fn immutable_items_go_both_ways() {
    let ground = Ground::new().await;
    let target = ground.theirs.put_immutable(b"Hello World!").await.expect("stored");
    let target = Target::from(*target.as_bytes());
    assert_eq!(ground.get(target, b"").await, Some(Item::Immutable(value("Hello World!"))));

    let item = Item::Immutable(value("and back"));
    let target = mainline::Id::from_bytes(item.target().as_bytes()).expect("20 bytes");
    assert!(ground.put(item).await >= 2);
    assert_eq!(ground.theirs.get_immutable(target).await.as_deref(), Some(&b"and back"[..]));
}

#[tokio::test(flavor = "multi_thread")]
async fn mutable_items_go_both_ways_and_forward() {
    let ground = Ground::new().await;
    let (seed, salt) = ([5; 32], Some(&b"salt"[..]));
    let owner = Owner::from_seed(&seed);
    let target = target_of_key(&owner.public_key(), b"salt");
    let signer = || SigningKey::from_bytes(&seed);
    let theirs = MutableItem::new(signer(), b"first", 1, salt);
    ground.theirs.put_mutable(theirs, None).await.expect("stored");
    let Some(Item::Mutable(found)) = ground.get(target, b"salt").await else { panic!("not found") };
    assert_eq!((found.seq, found.value.contents()), (1, Some(&b"first"[..])));

    let ours = Mutable::sign(&owner, b"salt", 2, value("second")).expect("an item");
    assert!(ground.put(Item::Mutable(ours)).await >= 2);
    let newest = ground.theirs.get_mutable_most_recent(&owner.public_key(), salt).await.expect("found");
    assert_eq!((newest.seq(), newest.value()), (2, &b"second"[..]));
    let stale = MutableItem::new(signer(), b"stale", 1, salt);
    assert!(ground.theirs.put_mutable(stale, None).await.is_err(), "our nodes refuse what is older");
}
