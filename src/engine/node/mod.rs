//! A DHT node: one address, one id, one family. The only composer of the engine's parts.
//!
//! # How to drive it
//!
//! [`Node`] has four kinds of methods. *Inputs* bring news from outside: [`handle_datagram`](Node::handle_datagram) and
//! [`handle_timeout`](Node::handle_timeout). *Commands* start something: [`begin`](Node::begin) takes a [`Command`],
//! [`cancel`](Node::cancel) ends what it began, [`add_routers`](Node::add_routers) joins. The *output* is
//! [`poll_output`](Node::poll_output). The rest are *getters*.
//!
//! 1. Give it an input or a command, with the time.
//! 2. Call `poll_output` until it says `Wait`: send each `Transmit`, note each `Event`.
//! 3. Sleep until the deadline of that `Wait`, a datagram, or a command.
//! 4. At the deadline call `handle_timeout`. Go on with 2.
//!
//! The deadline can be had only by draining the output, so that no caller can forget to. Time never goes backwards.
//! Work per call is bounded. Nothing here blocks, spawns, locks, or reads a clock; equal inputs give equal outputs.
//! `examples/embed.rs` is such a loop over a plain socket.
//!
//! # Where things are
//!
//! As asked: `serve.rs` answers queries (BEP 5, 32, 33, 42, 43), `serve_items.rs` those for items (BEP 44), `sample.rs`
//! those for samples (BEP 51). As asker: `command.rs` lists what a caller may want, `operation/` has a file for each kind
//! of it, `ask.rs` sends the queries, `hear.rs` takes the responses, `timeouts.rs` what stays unanswered. On its own:
//! `newcomers.rs` verifies contacts that it only heard of, `maintain.rs` keeps the node alive (joining, checking,
//! refreshing, its own id), and `timer.rs` lists everything that happens by the clock.

mod ask;
mod changes;
mod command;
mod event;
mod hear;
mod maintain;
mod newcomers;
mod operation;
mod outbox;
mod own_announces;
mod purpose;
mod reach;
mod sample;
mod serve;
mod serve_items;
mod snapshot;
mod stats;
mod timeouts;
mod timer;

use std::collections::{BTreeMap, VecDeque};
use std::net::SocketAddr;
use std::time::Duration;

pub use command::{Command, Holder};
pub use event::{Event, OpId, Sample, Summary};
pub use own_announces::OwnAnnounce;
pub use snapshot::{SlicedSnapshot, Snapshot};
pub use stats::Stats;
pub use timer::Timer;

use self::maintain::Joining;
use self::newcomers::Newcomers;
use self::operation::{HotKeys, Operation};
use self::outbox::Outbox;
use self::own_announces::OwnAnnounces;
use self::purpose::Purpose;
use self::reach::Reach;
pub use self::reach::Serve;
use self::sample::Samples;
use self::serve::Asked;
use self::timer::Timers;
pub use super::budgets::HotKeyRule;
use super::budgets::{Demand, Pace, RecentEndpoints, ReplyBudget};
use super::compliance::Compliance;
use super::contact::{Contact, Family, canonical, is_sendable};
use super::external::AddressVote;
use super::id::NodeId;
use super::items::{ItemStore, StoredItem};
use super::krpc::{Kind, Message};
use super::limits::{
    CACHE_WAYS, ITEM_BYTES, K, MAX_RECEIVED, NEW_DESTINATIONS_BURST, NEW_DESTINATIONS_PER_SECOND,
    OTHER_FAMILY_CONTACTS, PEER_MEMORY_BYTES,
};
use super::lookup::Effort;
use super::peers::{PeerStore, StoredPeer};
use super::random::Random;
use super::routing::cache::Cache;
use super::routing::{Entry, Table};
use super::rtt::RttHistogram;
use super::rules::Rules;
use super::size::SizeEstimate;
use super::time::Instant;
use super::tokens::Tokens;
use super::transactions::Transactions;

/// How a node is to be.
#[derive(Clone, Debug)]
pub struct Config {
    /// The family of its address.
    pub family: Family,
    /// A network of its own: local addresses are ordinary, several nodes may share one, and no node is limited.
    pub private_network: bool,
    /// When it answers queries (BEP 43).
    pub serve: Serve,
    /// Keeps budgets for those who ask and for new destinations. Off only for benchmarks and closed labs.
    pub limited: bool,
    /// After an announce, asks some of the nodes that stored it whether it shows; see `operation/announce.rs`.
    pub verify_announces: bool,
    /// What it makes of nodes whose id does not fit their address (BEP 42).
    pub compliance: Compliance,
    /// Guards the keys of operations against nodes that crowd around them; see `operation/guard.rs`. Off only for experiments.
    pub guard_keys: bool,
    /// New destinations a second, sustained, and their burst.
    pub new_destinations: (u32, u32),
    /// Memory for stored peers, in bytes.
    pub peer_memory_bytes: usize,
    /// Memory for stored items, in bytes.
    pub item_memory_bytes: usize,
    /// Contacts per first id byte in the passive cache; 0 for no cache.
    pub cache_ways: usize,
    /// How much its lookups spend to be fast.
    pub effort: Effort,
    /// What is answered where an infohash is asked for too often; `None` answers all in full.
    pub hot_keys: Option<HotKeyRule>,
    /// Asks, for an infohash that was hot, random contacts on the way rather than the closest nodes; see `operation/hot.rs`.
    pub visits: bool,
    /// Nodes that an announce is written to. Anything but [`K`] is for experiments.
    pub copies: usize,
    /// Whether routers can be had: whether it is worth asking for them.
    pub has_routers: bool,
    /// What an earlier run left.
    pub saved: Snapshot,
}

impl Config {
    /// The defaults for a node of `family` on the mainline DHT.
    #[must_use]
    pub fn new(family: Family) -> Self {
        Self {
            family,
            private_network: false,
            serve: Serve::Always,
            limited: true,
            verify_announces: false,
            compliance: Compliance::Prefer,
            guard_keys: true,
            new_destinations: (NEW_DESTINATIONS_PER_SECOND, NEW_DESTINATIONS_BURST),
            peer_memory_bytes: PEER_MEMORY_BYTES,
            item_memory_bytes: ITEM_BYTES,
            cache_ways: CACHE_WAYS,
            effort: Effort::NORMAL,
            hot_keys: Some(HotKeyRule::DEFAULT),
            visits: true,
            copies: K,
            has_routers: true,
            saved: Snapshot::default(),
        }
    }
}

/// What a node wants done next.
#[derive(Debug, PartialEq, Eq)]
pub enum Output<'a> {
    /// Send this datagram.
    Transmit {
        /// Where to.
        to: SocketAddr,
        /// What.
        payload: &'a [u8],
    },
    /// Take note of this.
    Event(Event),
    /// Nothing more now: call [`Node::handle_timeout`] at this instant, or give another input or command before.
    Wait(Instant, Why),
}

/// Why a node wants to be woken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Why {
    /// A query may have gone unanswered.
    Transaction,
    /// A lookup waits for late answers.
    Lookup,
    /// New destinations may be contacted again.
    Pace,
    /// One of the named timers.
    Timer(Timer),
}

/// A DHT node. See the module's documentation for how to drive it.
///
/// A clone goes its own way from here on, and draws the same randomness as the original: the simulator copies a
/// network that has settled, so that many experiments share one start. Never run both against one network.
#[derive(Clone, Debug)]
// In the order of use: what every datagram and every wake-up touches lies side by side. In a large simulation each of them
// finds its node in no cache, and waits for every line that it needs.
#[repr(C)]
pub struct Node {
    /// What the caller wants; never changed while it runs.
    config: Config,
    /// What holds in its network: the mainline, or a private one.
    rules: &'static Rules,
    /// When anything at all arrived last: silence of others means nothing while our own link is down.
    heard: Instant,
    /// When the last input came: a long time ago means that the host slept.
    latest: Instant,
    /// When each named timer is due.
    timers: Timers,
    /// Datagrams to be sent, one after the other in one buffer.
    outbox: Outbox,
    /// Events that the caller has not taken yet.
    events: VecDeque<Event>,
    /// What callers asked for and is not over, by its id, which is the order of beginning.
    operations: BTreeMap<OpId, Operation>,
    /// Our queries that await their response, by the four bytes that it must carry.
    transactions: Transactions<Purpose>,
    /// Counters of what happened.
    stats: Stats,
    /// The routing table (BEP 5): contacts that have answered us, by their distance from our id.
    table: Table,
    /// What we may send in reply to strangers; `None` where that is not limited.
    reply_budget: Option<ReplyBudget>,
    /// Contacts that we only heard of and that wait to be verified.
    newcomers: Newcomers,
    /// Endpoints that answered with changing ids, and are not believed for a while.
    id_changers: RecentEndpoints,
    /// How many new destinations we may contact, for the sake of the user's router; `None` where that is not limited.
    pace: Option<Pace>,
    /// How far we are in joining the network, and what joining needs.
    joining: Joining,
    /// What others say our own address is (BEP 42, `ip`).
    vote: AddressVote,
    /// How long others took to answer.
    rtts: RttHistogram,
    /// Contacts that answered and have no room in the table: candidates for lookups, nothing more.
    cache: Cache,
    /// The only source of randomness.
    random: Random,
    /// The secrets behind the tokens that we give.
    tokens: Tokens,
    /// Peers that others announced to us.
    peers: PeerStore,
    /// Items that others put here (BEP 44).
    items: ItemStore,
    /// How many nodes the network has, by the distances of those closest to the targets of our lookups.
    size: SizeEstimate,
    /// When the last operation for a key that is guarded began.
    last_key: Option<Instant>,
    /// What came of our own announces.
    own_announces: OwnAnnounces,
    /// Whether strangers reach us.
    reach: Reach,
    /// How much infohashes of large swarms are asked for; `None` while we have no such swarm.
    demand: Option<Box<Demand>>,
    /// Infohashes that were hot when we looked them up.
    hot_keys: HotKeys,
    /// Contacts of the other family, for queriers that want them (BEP 32).
    other_family: Vec<Contact>,
    /// Samples of infohashes that we give, and whom we must not ask for theirs yet (BEP 51).
    samples: Samples,
    /// The id of the next operation.
    next_op: u64,
}

impl Node {
    /// A node that starts at `now`, with everything random drawn from `seed`.
    #[must_use]
    pub fn new(mut config: Config, seed: [u8; 32], now: Instant) -> Self {
        let mut random = Random::new(seed);
        let saved = std::mem::take(&mut config.saved);
        let rules = Rules::of(config.private_network);
        let own = saved.id.unwrap_or_else(|| NodeId(random.wire_id()));
        let limited = config.limited && rules.limited;
        if !rules.ids_fit {
            config.compliance = Compliance::Off;
        }
        let (rate, burst) = config.new_destinations;
        let mut node = Self {
            table: Table::new(own, rules, config.compliance != Compliance::Off),
            cache: Cache::new(config.cache_ways, rules),
            transactions: Transactions::default(),
            rtts: RttHistogram::default(),
            size: SizeEstimate::default(),
            tokens: saved.secrets.map_or_else(|| Tokens::new(&mut random), Tokens::restore),
            peers: PeerStore::new(config.family, config.peer_memory_bytes, rules, &mut random),
            items: ItemStore::new(config.item_memory_bytes),
            last_key: None,
            own_announces: OwnAnnounces::default(),
            // From a source of its own: whether strangers reach a node changes nothing else of it.
            reach: Reach::new(rules, &mut Random::new(seed.map(|byte| !byte)), config.serve),
            reply_budget: limited.then(|| ReplyBudget::new(&mut random)),
            pace: limited.then(|| Pace::new(rate, burst, &mut random)),
            id_changers: RecentEndpoints::new(rules.id_changer_ban, &mut random),
            vote: AddressVote::new(rules),
            demand: None,
            hot_keys: HotKeys::default(),
            other_family: Vec::new(),
            samples: Samples::default(),
            operations: BTreeMap::new(),
            next_op: 0,
            joining: Joining::new(saved.contacts, rules),
            newcomers: Newcomers::new(rules, &mut random),
            timers: Timers::new(),
            outbox: Outbox::default(),
            events: VecDeque::new(),
            heard: now,
            latest: now,
            stats: Stats::default(),
            random,
            rules,
            config,
        };
        node.restore_peers(now, &saved.peers);
        node.restore_items(now, saved.items);
        saved.own_announces.iter().for_each(|announce| node.own_announces.note(now, *announce));
        node.start(now, saved.secrets_age);
        node
    }

    // Inputs.

    /// A datagram arrived from `from`.
    pub fn handle_datagram(&mut self, now: Instant, from: SocketAddr, bytes: &[u8]) {
        self.note_time(now);
        self.stats.received += 1;
        self.stats.received_bytes += bytes.len() as u64;
        let from = canonical(from);
        tracing::trace!(%from, bytes = bytes.len(), "received");
        if !is_sendable(&from) || Family::of(&from) != self.config.family || bytes.len() > MAX_RECEIVED {
            self.stats.unanswerable += 1;
            return;
        }
        let message = match Message::decode(bytes) {
            Ok(message) => message,
            Err(reason) => {
                tracing::trace!(%from, %reason, "dropped a datagram");
                self.stats.malformed += 1;
                return;
            }
        };
        self.heard = now;
        self.stats.irregular += u64::from(message.irregular);
        match message.kind {
            Kind::Query(query) => {
                let asked = Asked::new(from, message.transaction, bytes.len()).by(message.version);
                self.serve(now, asked, &query);
            }
            Kind::Refused(fault) => {
                self.refuse_if_admitted(now, Asked::new(from, message.transaction, bytes.len()), fault)
            }
            Kind::Response(response) => self.take_response(now, from, &message, &response),
            Kind::Error(code) => self.take_error(now, from, message.transaction, code),
        }
    }

    /// Time has passed; perhaps to the deadline that [`poll_output`](Self::poll_output) named.
    pub fn handle_timeout(&mut self, now: Instant) {
        self.note_time(now);
        self.expire_transactions(now);
        self.drive_waiting(now);
        while let Some(timer) = self.timers.take_due(now) {
            self.fire(now, timer);
        }
    }

    /// Endpoints never contacted before, a second: sustained and at once, from now on. Without effect on a node without
    /// limits.
    pub fn set_new_destinations(&mut self, now: Instant, per_second: u32, burst: u32) {
        if let Some(pace) = &mut self.pace {
            pace.set(now, per_second, burst);
        }
    }

    // Output.

    /// What to do next. Call until it says [`Output::Wait`].
    pub fn poll_output(&mut self) -> Output<'_> {
        if let Some(event) = self.events.pop_front() {
            return Output::Event(event);
        }
        if self.outbox.is_empty() {
            let (deadline, why) = self.next_deadline();
            return Output::Wait(deadline, why);
        }
        let (to, payload) = self.outbox.pop().expect("it is not empty");
        self.stats.sent += 1;
        self.stats.sent_bytes += payload.len() as u64;
        Output::Transmit { to, payload }
    }

    fn next_deadline(&self) -> (Instant, Why) {
        let (at, timer) = self.timers.next();
        let mut next = (at, Why::Timer(timer));
        let mut consider = |at: Option<Instant>, why| {
            if let Some(at) = at.filter(|&at| at < next.0) {
                next = (at, why);
            }
        };
        consider(self.transactions.next_deadline(), Why::Transaction);
        consider(self.operations.values().filter_map(|operation| operation.wake).min(), Why::Lookup);
        if let Some(pace) = &self.pace {
            let paced = self.operations.values().filter(|operation| operation.paced);
            consider(paced.map(|operation| pace.next(operation.has_found())).min(), Why::Pace);
        }
        next
    }

    // Getters.

    /// Its id.
    #[must_use]
    pub const fn id(&self) -> NodeId {
        *self.table.own()
    }

    /// The entries of its routing table.
    pub fn entries(&self) -> impl Iterator<Item = &Entry> {
        self.table.entries()
    }

    /// How many contacts are good.
    #[must_use]
    pub fn good_contacts(&self, now: Instant) -> usize {
        self.table.good(now).count()
    }

    /// The good contacts: what may be named to others.
    #[must_use]
    pub fn good_contact_list(&self, now: Instant) -> Vec<Contact> {
        self.table.good(now).map(|entry| entry.contact).collect()
    }

    /// Our address as others see it, once enough of them agree.
    #[must_use]
    pub fn external_addr(&self) -> Option<SocketAddr> {
        self.vote.winner()
    }

    /// The same of those who said so up to now: for what does no harm if it is wrong.
    #[must_use]
    pub fn likely_external_addr(&self) -> Option<SocketAddr> {
        self.vote.majority()
    }

    /// Of those who see us at that address, how many see its port, and how many there are.
    #[must_use]
    pub fn external_port_votes(&self) -> (usize, usize) {
        self.vote.port_votes()
    }

    /// The estimated number of nodes in the network.
    #[must_use]
    pub fn network_size(&self) -> Option<f64> {
        self.size.nodes()
    }

    /// Number of contacts in its passive cache.
    #[must_use]
    pub fn cached(&self) -> usize {
        self.cache.len()
    }

    /// What others stored with it.
    #[must_use]
    pub const fn peers(&self) -> &PeerStore {
        &self.peers
    }

    /// The items that others stored with it (BEP 44).
    #[must_use]
    pub const fn items(&self) -> &ItemStore {
        &self.items
    }

    /// What was counted.
    #[must_use]
    pub const fn stats(&self) -> &Stats {
        &self.stats
    }

    /// Operations that are not over.
    #[must_use]
    pub fn operations(&self) -> usize {
        self.operations.len()
    }

    /// How long it took others to answer: the time within which `percent` of the answers came.
    #[must_use]
    pub fn rtt_quantile(&self, percent: u32) -> Option<Duration> {
        self.rtts.quantile(percent)
    }

    // Commands that concern the node as a whole; those that begin an operation are in `command.rs`.

    /// Contacts of the other family, to be handed to queriers that want them (BEP 32). The caller, who runs one node
    /// per family, passes on what its nodes know, now and then.
    pub fn set_other_family(&mut self, contacts: impl Iterator<Item = Contact>) {
        let family = self.config.family;
        self.other_family.clear();
        let others = contacts.filter(|contact| Family::of(&contact.addr) != family);
        self.other_family.extend(others.take(OTHER_FAMILY_CONTACTS));
    }
}

#[cfg(test)]
mod tests;
