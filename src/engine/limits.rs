//! Every capacity in one place, with the reason for its size. Whatever a remote can grow ends here.

use std::time::Duration;

use super::owner::Allowance;

/// Contacts in a response, nodes that store an announce, and contacts of a far bucket (K of BEP 5).
pub const K: usize = 8;

// Routing.

/// Sizes of the first own buckets; all further ones hold [`K`]. Large first buckets shorten every lookup by more than
/// a hop and cost only memory (libtorrent's "extended" table).
pub const FIRST_BUCKETS: [usize; 4] = [128, 64, 32, 16];
/// Part of a bucket that the contacts of one provider (a /16 or /32) may fill, as a divisor; of one owner (a /24 or /48)
/// there is one contact in a bucket.
pub const PARTS_FOR_PROVIDERS: usize = 8;
/// Contacts of one provider that a small bucket takes all the same.
pub const LEAST_OF_PROVIDER: usize = 2;
/// Verified contacts that wait for a place in a full bucket.
pub const RESERVE: usize = K;
/// Contacts remembered per first id byte by the passive cache: 256 x 8 = 2,048 in all (about 150 KiB when full).
pub const CACHE_WAYS: usize = 8;
/// What one network may have of a set of the passive cache.
pub const CACHE_SHARE: Allowance = Allowance { site: 1, owner: 1, provider: 2 };
/// Heard-of contacts that wait to be verified. More arrive from a flood of forged queries; they are dropped.
pub const VERIFY_QUEUE: usize = 64;
/// What one network may have of the queue of contacts to be verified.
pub const VERIFY_SHARE: Allowance = Allowance { site: 2, owner: 4, provider: 16 };
/// Bootstrap routers and names: a typing error must not make a flood.
pub const ROUTERS: usize = 32;

// Transactions and lookups.

/// Queries awaiting their response: each is over after two seconds, and a busy node has a few hundred open.
pub const TRANSACTIONS: usize = 4096;
/// Operations (lookups, announces, pings) running at once. A user's 10,000 announces wait their turn.
pub const OPERATIONS: usize = 512;
/// Candidates that one lookup keeps, the closest ones; the rest can no longer matter.
pub const CANDIDATES: usize = 256;
/// Queries that one lookup sends. Honest networks need some 20 to 60; an attacker who holds many networks could otherwise
/// name a closer node in every answer, and keep a lookup going for ever.
pub const QUERIES_PER_LOOKUP: usize = 256;
/// Answers that count in one lookup, of nodes that were only heard of: of one owner one, of one provider two, so that no
/// network is most of the closest nodes.
pub const LOOKUP_SHARE: Allowance = Allowance { site: 1, owner: 1, provider: 2 };
/// Candidates of one owner that one lookup asks, one after the other.
pub const TRIES_PER_OWNER: usize = 2;
/// Times that an operation goes on to farther nodes in place of those that had no room for what it writes.
pub const ROUNDS_OF_WRITES: usize = 6;
/// Copies of an announce or an item that do not go to the closest nodes but to others near by, of [`K`]: whoever has the
/// closest places has not all copies.
pub const FAR_COPIES: usize = 2;
/// Queries that are spent on one part of the region of a key, of eight: to learn who is there ...
pub const FINDS_PER_CELL: usize = 3;
/// ... and to ask those.
pub const GETS_PER_CELL: usize = 5;
/// The same under alarm, where the writer has searched the region too: with one less, an alarm costs less than three times an
/// ordinary lookup also in a network of 5,000.
pub const GETS_UNDER_ALARM: usize = 4;
/// Nodes of one part of the region of a key that store a copy under alarm.
pub const COPIES_PER_CELL: usize = 3;
/// Parts of the region of a key.
pub const CELLS: usize = 8;
/// Queries of the search of a region.
pub const QUERIES_PER_REGION: usize = CELLS * (FINDS_PER_CELL + GETS_PER_CELL);
/// Nodes that an announce or an item is written to at the most. [`K`] are usual, and where ids that fit their addresses come
/// first (BEP 42), as many of those; under suspicion twice as many; under alarm some of each part of the region, too.
pub const PLACES: usize = 4 * K + CELLS * COPIES_PER_CELL;
/// Contacts that are remembered of one part of a region.
pub const MEMBERS_PER_CELL: usize = 32;
/// Contacts that were silent, of those that one node alone has named, from which on the rest of what it named is asked last.
pub const SILENT_PER_TELLER: usize = 4;
/// Random targets whose surroundings the estimate of the network's size rests on.
pub const SIZE_SAMPLES: usize = 32;
/// Distinct peers that one lookup reports. A swarm of more is not needed by any client.
pub const PEERS_PER_LOOKUP: usize = 2000;

// What others store with us.

/// Peers of one family kept per infohash: eleven full replies. libtorrent keeps 500, jech/dht 2,048.
pub const PEERS_PER_SWARM: usize = 1000;
/// Peers of one network per infohash: a university behind one prefix fits, an attacker with one prefix cannot displace the
/// rest.
pub const SWARM_SHARE: Allowance = Allowance { site: 16, owner: 64, provider: 256 };
/// Ports of one address per infohash: several users behind one NAT, not one user with a thousand ports.
pub const PORTS_PER_ADDRESS: usize = 4;
/// Owners (a /24 or /48) that must join forces to fill the store with swarms that they began: one may begin 2,259 in the
/// default memory. Of 10,000 torrents on the mainline, a node sees fewer than ten.
pub const OWNERS_TO_FILL_STORE: usize = 512;
/// Providers (a /16 or /32) that must join forces for the same.
pub const PROVIDERS_TO_FILL_STORE: usize = 32;
/// Swarms that one owner may begin also where the store is small.
pub const SWARMS_PER_OWNER: usize = 64;
/// Swarms that one provider may begin also where the store is small.
pub const SWARMS_PER_PROVIDER: usize = 256;
/// Slots of the table that counts the swarms of owners. Owners that share a slot share its count.
pub const WRITER_SLOTS: usize = 4096;
/// Slots of the table that counts the swarms of providers.
pub const PROVIDER_SLOTS: usize = 1024;
/// Part of all swarms that keep their place in a full store, in hundredths: those that began before the memory was full and
/// are announced again. The rest is for those that are worth most.
pub const KEPT_SWARMS_PERCENT: usize = 75;
/// Peers of a swarm whose filters (BEP 33) are kept until it changes.
pub const LARGE_SWARM: usize = 64;
/// Swarms whose filters are kept, of half a KiB each.
pub const KEPT_FILTERS: usize = 32;
/// Default memory for stored peers and their index.
pub const PEER_MEMORY_BYTES: usize = 64 << 20;
/// Stored peers that survive a restart, of each node: some 20 MB in the state file. Beyond that they are announced again
/// within half an hour anyway.
pub const SAVED_PEERS: usize = 1_000_000;
/// Lifetime of a stored peer that is not announced again. Clients announce every 15 to 28 minutes: one may be lost.
pub const PEER_LIFETIME: Duration = Duration::from_mins(45);

/// Infohashes in a sample (BEP 51): libtorrent never sends more, and beside 16 contacts no more fit.
pub const SAMPLES: usize = 20;
/// Time for which a sample stays the same (BEP 51). mldht does the same; libtorrent's six hours make an index a day old.
pub const SAMPLE_INTERVAL: Duration = Duration::from_mins(5);
/// Nodes whose interval between samples is remembered: a survey asks each once. Beyond that
/// the one that may be asked first is forgotten.
pub const SAMPLED_NODES: usize = 1024;

/// Our own announces whose outcome is remembered, while they live (45 minutes): those of a large archive. Beyond that the
/// oldest are forgotten.
pub const OWN_ANNOUNCES: usize = 16_384;

/// Items of others (BEP 44). libtorrent keeps 700; a network of 10 million nodes and 8 copies each needs few.
pub const ITEMS: usize = 8192;
/// Default memory for items, about: the largest item costs 1,364 bytes.
pub const ITEM_BYTES: usize = 10 << 20;
/// Owners (a /24 or /48) that must join forces to fill the store of items.
pub const OWNERS_TO_FILL_ITEMS: usize = 16;
/// Providers (a /16 or /32) that must join forces for the same.
pub const PROVIDERS_TO_FILL_ITEMS: usize = 4;
/// Lifetime of an item that is not stored again. BEP 44 lets it expire after two hours.
pub const ITEM_LIFETIME: Duration = Duration::from_hours(2);
/// Time after which an item that is to stay is stored again (BEP 44): one of two puts may be lost.
pub const ITEM_RENEWAL: Duration = Duration::from_hours(1);

/// Contacts of the other family that are kept for queriers that want them (BEP 32).
pub const OTHER_FAMILY_CONTACTS: usize = 512;
/// Contacts that are kept for the next run where none of them is good.
pub const SAVED_CONTACTS: usize = 512;

// Messages.

/// Bytes of the longest transaction id that is echoed. Deployed nodes use 1 to 8; rTorrent refuses more than 20.
pub const MAX_TRANSACTION: usize = 20;
/// Bytes of the longest token that is kept for an announce. rTorrent once crashed on one of 1,370.
pub const MAX_TOKEN: usize = 64;
/// Contacts of one family that are read from a response: uTorrent and jech/dht send up to 16.
pub const MAX_CONTACTS: usize = 16;

// Traffic.

/// Bytes of the largest datagram that is read; deployed nodes send up to 1,472 bytes.
pub const MAX_RECEIVED: usize = 2048;
/// Queries that one site (an IPv4 address, a /64) may ask a second, sustained. libtorrent blocks at 5 a
/// second over ten seconds; addresses shared by several users need more.
pub const SOURCE_QUERIES_PER_SECOND: u32 = 10;
/// Queries that one site may ask at once.
pub const SOURCE_BURST: u32 = 60;
/// Slots of the table of query budgets at the most, so that forged addresses cannot grow it further. Sources that share
/// a slot then share a budget.
pub const SOURCE_SLOTS: usize = 8192;
/// Slots of the table of query budgets of sources that have shown that they receive, at the most: a few thousand nodes in our table
/// and announcers.
pub const SHOWN_SOURCE_SLOTS: usize = 2048;
/// Bytes of replies a second to all networks together: what strangers may make a node send.
pub const REPLY_BYTES_PER_SECOND: u32 = 1 << 20;
/// Bytes of replies at once: a quarter of a second's, so that the bound holds within 5 % over five seconds.
pub const REPLY_BURST_BYTES: u32 = REPLY_BYTES_PER_SECOND / 4;
/// Bytes of replies a second to one network (a /24 or /48), headers included. With the burst, half a megabit a second over
/// five seconds: what a victim of forged queries gets from us at the most.
pub const OWNER_REPLY_BYTES_PER_SECOND: u32 = 56 << 10;
/// Bytes of replies to one network at once: some twenty of the largest.
pub const OWNER_REPLY_BURST_BYTES: u32 = 24 << 10;
/// Slots of the table of bytes to networks at the most. Networks that share a slot share its budget.
pub const OWNER_REPLY_SLOTS: usize = 4096;
/// Questions for the peers of one infohash that are answered a second: half of the bytes to all, at a KiB each, so that one
/// swarm that everybody asks for leaves the other half to all others.
pub const KEY_REPLIES_PER_SECOND: u32 = REPLY_BYTES_PER_SECOND / 2 / 1024;
/// The same at once: a quarter of the burst of all.
pub const KEY_REPLY_BURST: u32 = REPLY_BURST_BYTES / 4 / 1024;
/// Slots of the table of infohashes that are asked for. Infohashes that share a slot share its replies.
pub const KEY_SLOTS: usize = 4096;
/// Questions for one infohash a minute above which it is hot: some thousand announcers, who come every 15 minutes.
pub const HOT_KEY_QUERIES_PER_MINUTE: u32 = 60;
/// Peers that a swarm is full with once its infohash is hot, and keeps at the most: a full reply, of the newest.
pub const HOT_KEY_PEERS: usize = 100;
/// Questions a minute for an infohash that is hot and whose swarm is full which are answered with contacts too, so that what
/// lies nearer is renewed (beta of Coral).
pub const HOT_KEY_PASSES_PER_MINUTE: u32 = 12;
/// Tokens a minute for newcomers to such a swarm: all that it keeps is renewed in less than two minutes.
pub const HOT_KEY_TOKENS_PER_MINUTE: u32 = 60;
/// Slots of the table of infohashes of large swarms that are asked for. Infohashes that share a slot share their demand.
pub const HOT_KEY_SLOTS: usize = 1024;
/// Hot infohashes that are remembered, of those that we looked up ourselves.
pub const HOT_KEYS_KNOWN: usize = 256;
/// Bytes of a short reply for each byte of the query, at the most.
pub const SHORT_REPLY_FACTOR: usize = 3;
/// Peers for which a short reply keeps room beside the contacts.
pub const SHORT_REPLY_PEERS: usize = 4;
/// Infohashes for which a short reply to a question for samples keeps room beside the contacts.
pub const SHORT_REPLY_SAMPLES: usize = 4;
/// Endpoints never contacted before, a second: routers at home keep state for each, and must survive us.
pub const NEW_DESTINATIONS_PER_SECOND: u32 = 25;
/// New destinations at once: more than any single lookup needs.
pub const NEW_DESTINATIONS_BURST: u32 = 200;
/// New destinations at once that maintenance leaves to lookups (of a small burst one half).
pub const NEW_DESTINATIONS_RESERVE: u32 = 100;
/// Slots of a memory of endpoints: those contacted, those whose id changed, those that echoed a token.
pub const ENDPOINT_SLOTS: usize = 4096;
/// Voters on our external address.
pub const ADDRESS_VOTERS: usize = 64;
