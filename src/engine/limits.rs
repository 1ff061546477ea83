//! Every capacity in one place, with the reason for its size. Whatever a remote can grow ends here.

use std::time::Duration;

/// Contacts in a response, nodes that store an announce, and the size of a far bucket (BEP 5: K = 8).
pub const K: usize = 8;

// Routing.

/// Sizes of the first own buckets; all further ones hold [`K`]. Large first buckets shorten every lookup by more than
/// a hop and cost only memory (libtorrent's "extended" table).
pub const FIRST_BUCKETS: [usize; 4] = [128, 64, 32, 16];
/// Verified contacts that wait for a place in a full bucket.
pub const RESERVE: usize = K;
/// Contacts remembered per first id byte by the passive cache: 256 x 8 = 2,048 in all (about 150 KiB when full).
pub const CACHE_WAYS: usize = 8;
/// Heard-of contacts that wait to be verified. More arrive from a flood of forged queries; they are dropped.
pub const VERIFY_QUEUE: usize = 64;
/// Bootstrap routers and names: a typing error must not make a flood.
pub const ROUTERS: usize = 32;

// Transactions and lookups.

/// Queries awaiting their response: each is over after two seconds, and a busy node has a few hundred open.
pub const TRANSACTIONS: usize = 4096;
/// Operations (lookups, announces, pings) running at once. A user's 10,000 announces wait their turn.
pub const OPERATIONS: usize = 512;
/// Candidates that one lookup keeps, the closest ones; the rest can no longer matter.
pub const CANDIDATES: usize = 256;
/// Queries that one lookup sends. Honest networks need some 20 to 60; whoever holds many networks could otherwise name
/// somebody closer in every answer, and keep a lookup going for ever.
pub const QUERIES_PER_LOOKUP: usize = 256;
/// Nodes that an announce or an item is written to: the [`K`] closest, and where ids that fit their addresses come
/// first, the [`K`] closest of those (BEP 42).
pub const PLACES: usize = 2 * K;
/// Distinct peers that one lookup reports. A swarm of more is not needed by any client.
pub const PEERS_PER_LOOKUP: usize = 2000;

// What others store with us.

/// Peers of one family kept per infohash: eleven full replies. libtorrent keeps 500, jech/dht 2,048.
pub const PEERS_PER_SWARM: usize = 1000;
/// Peers of one /24 or /64 per infohash: a university behind one prefix fits, an attacker with one prefix cannot
/// displace the rest.
pub const PEERS_PER_SUBNET: usize = 64;
/// Ports of one address per infohash: several users behind one NAT, not one user with a thousand ports.
pub const PORTS_PER_ADDRESS: usize = 4;
/// Networks (/24 or /48) that must join forces to fill the store with swarms that they began: one may begin 2,259 in the
/// default memory. Of 10,000 torrents on the mainline, a node sees fewer than ten.
pub const WRITERS_TO_FILL_STORE: usize = 512;
/// Swarms that one network may begin also where the store is small.
pub const SWARMS_PER_WRITER: usize = 64;
/// Slots of the table that counts them. Networks that share a slot share its count.
pub const WRITER_SLOTS: usize = 4096;
/// Default memory for stored peers and their index.
pub const PEER_MEMORY_BYTES: usize = 64 << 20;
/// Stored peers that survive a restart, of each node: some 20 MB in the state file. Beyond that they are announced again
/// within half an hour anyway.
pub const SAVED_PEERS: usize = 1_000_000;
/// A stored peer that is not announced again. Clients announce every 15 to 28 minutes: one may be lost.
pub const PEER_LIFETIME: Duration = Duration::from_mins(45);

/// Infohashes in a sample (BEP 51): libtorrent never sends more, and beside 16 contacts no more fit.
pub const SAMPLES: usize = 20;
/// How long a sample stays the same (BEP 51). mldht does the same; libtorrent's six hours make an index a day old.
pub const SAMPLE_INTERVAL: Duration = Duration::from_mins(5);
/// Nodes whose interval between samples is remembered: a survey asks each once. Beyond that
/// the one that may be asked first is forgotten.
pub const SAMPLED_NODES: usize = 1024;

/// Our own announces whose outcome is remembered, while they live (45 minutes): those of a large archive. Beyond that the
/// oldest are forgotten.
pub const OWN_ANNOUNCES: usize = 16_384;

/// Items of others (BEP 44). libtorrent keeps 700; a network of 10 million nodes and 8 copies each needs few.
pub const ITEMS: usize = 8192;
/// Default memory for them, about: the largest item costs 1,364 bytes.
pub const ITEM_BYTES: usize = 10 << 20;
/// One /24 or /64 gets this part of the room for items: nobody fills the store alone.
pub const SUBNETS_OF_ITEMS: usize = 16;
/// An item that is not stored again (BEP 44: may expire after two hours).
pub const ITEM_LIFETIME: Duration = Duration::from_hours(2);
/// How often whoever wants an item to stay stores it again (BEP 44): one of two may be lost.
pub const ITEM_RENEWAL: Duration = Duration::from_hours(1);

// Traffic.

/// Largest datagram that is read; deployed nodes send up to 1,472 bytes.
pub const MAX_RECEIVED: usize = 2048;
/// Queries that one address (/64 on IPv6) may ask a second, sustained, and its burst. libtorrent blocks at 5 a
/// second over ten seconds; addresses shared by several users need more.
pub const SOURCE_QUERIES_PER_SECOND: u32 = 10;
/// See [`SOURCE_QUERIES_PER_SECOND`].
pub const SOURCE_BURST: u32 = 60;
/// Slots of the table of query budgets at the most, so that forged addresses cannot grow it further. Sources that share
/// a slot then share a budget.
pub const SOURCE_SLOTS: usize = 8192;
/// Bytes of replies a second to everyone, and their burst: what a node may be made to send at strangers' wish.
pub const REPLY_BYTES_PER_SECOND: u32 = 1 << 20;
/// Endpoints never contacted before, a second: routers at home keep state for each (design: the user's router
/// survives).
pub const NEW_DESTINATIONS_PER_SECOND: u32 = 25;
/// Their burst: larger than any single lookup needs.
pub const NEW_DESTINATIONS_BURST: u32 = 200;
/// Slots of the memory of contacted endpoints and of id changes.
pub const ENDPOINT_SLOTS: usize = 4096;
/// Voters on our external address; one vote per subnet.
pub const ADDRESS_VOTERS: usize = 64;
