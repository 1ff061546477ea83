//! Decides what a client is told, when, and what is asked of the DHT for it.
//!
//! Pure: told the time, it acts on nothing. Inputs are announces and what came of the work that it ordered; outputs are
//! held answers and new work ([`Broker::poll_output`]), and the time at which it wants to be woken
//! ([`Broker::next_timeout`]).
//!
//! The rules:
//! * A client that would gain by waiting waits: a download with no peers in sight is answered when there are some, at the
//!   latest when its patience ends ([`Transport`]), and just before that the DHT is asked once more. An answer without peers
//!   is of no use, because libtorrent comes back after five minutes at the earliest and rTorrent after ten. All others are
//!   answered at once: libtorrent has only 50 HTTP announces under way for all its trackers together.
//! * One lookup per infohash, however many ask. What it found is good for ten minutes, and asked again from two minutes on.
//! * One count (BEP 33) per infohash, however many scrape it, and only of swarms that are no secret.
//! * A client that announced here is known here at once, and announced to the DHT if that is safe
//!   ([`nearness`](crate::net::nearness)) and allowed ([`Policy`]).
//! * Near clients come first: their work is done first, and strangers have neither all workers, nor all held answers, nor
//!   the memory of near clients.
//! * A client that keeps its metadata to itself is taken to have a private torrent. That holds for this client alone: the
//!   others are asked themselves.
//!
//! Invariants: every held answer is given, at its deadline at the latest; a torrent with held answers is never forgotten;
//! what clients can make the broker remember is bounded, in bytes ([`Broker::set_memory`]) and for each owner.

mod answer;
mod clients;
mod lane;
mod listed;
mod saved;
mod survey;
#[cfg(test)]
mod tests;
mod torrent;
mod work;

use std::collections::{BTreeSet, HashMap, VecDeque};
use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use self::clients::Clients;
use self::lane::{Lane, Stage};
pub use self::listed::{ListedClient, Said};
pub use self::saved::{SavedMember, SavedTorrent};
use self::survey::Surveys;
use self::torrent::{Facts, Forwarding, Held, Proof, Rank, Torrent};
use super::metadata::Verdict;
use super::swarm::{Member, Seen};
use super::upstream::Relay;
use super::{Announce, Answer, Counts, Failure, Phase, Reply};
use crate::engine::contact::Family;
use crate::engine::id::InfoHash;
use crate::engine::keyed_hash::KeyedHash;
use crate::engine::random::Random;
use crate::engine::time::Instant;
use crate::net::nearness::{Nearness, is_elsewhere};

/// Infohashes that are remembered. When there are more, those without near clients go first, the oldest ahead.
const MAX_TORRENTS: usize = 20_000;
/// Memory for all that is remembered, in bytes, unless [`Broker::set_memory`] says otherwise.
const MEMORY_BYTES: usize = 24 << 20;
/// Memory for what has a fixed size, in bytes: the tables of clients, and the sizes of 10,000 swarms.
const FIXED_BYTES: usize = 5 << 20;
/// Least memory for torrents, in bytes: a few hundred with their peers.
const LEAST_TORRENT_BYTES: usize = 1 << 20;
/// Lookups under way at a time, and those of them for strangers.
const LOOKUPS: (usize, usize) = (48, 12);
/// Announces to the DHT under way at a time; all are for near clients, as are metadata requests and relays.
const ANNOUNCES: usize = 8;
/// Metadata requests under way at a time.
const PROBES: usize = 8;
/// Counts (BEP 33) under way at a time, and those of them for strangers.
const SURVEYS: (usize, usize) = (4, 3);
/// Announces to other trackers under way at a time.
const RELAYS: usize = 8;
/// Clients that have left of which other trackers are still to be told. Of further ones they are not told, and forget them
/// by themselves.
const MAX_FAREWELLS: usize = 1_000;
/// Shortest time until other trackers are told of a client again, whatever interval they ask for.
const SHORTEST_RELAY_PAUSE: Duration = Duration::from_secs(5 * 60);
/// Longest time until then: members are remembered for little longer than half an hour.
const LONGEST_RELAY_PAUSE: Duration = Duration::from_secs(30 * 60);

/// Which local clients are announced to the DHT.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Policy {
    /// None. Private torrents are still recognised, and not looked up.
    Never,
    /// Those whose torrent is proven to be public.
    #[default]
    VerifiedPublic,
    /// All, without asking: for networks in which nothing is private.
    Always,
}

/// How a request came in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Transport {
    /// Answers hold peers of both families.
    Http,
    /// Answers hold peers of the datagram's family.
    Udp,
}

/// Who announces.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Client {
    /// The endpoint that it sent from.
    pub addr: SocketAddr,
    /// Our address that it sent to.
    pub here: IpAddr,
    /// Where it is.
    pub nearness: Nearness,
    /// How its request came in.
    pub transport: Transport,
}

impl Client {
    /// The endpoint at which it accepts peers: its address, and the port that it announces.
    fn peer(&self, request: &Announce) -> SocketAddr {
        SocketAddr::new(self.addr.ip(), request.port)
    }
}

/// Names a held answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Ticket {
    info_hash: InfoHash,
    number: u64,
}

impl Ticket {
    /// The torrent that it is about.
    #[must_use]
    pub const fn info_hash(self) -> InfoHash {
        self.info_hash
    }
}

/// Names a held scrape.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ScrapeTicket(u64);

/// The swarms of a scrape, in the order asked; `None` where nothing is known.
pub type Files = Vec<(InfoHash, Option<Counts>)>;

/// What becomes of a scrape.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Scraping {
    /// It is answered.
    Now(Files),
    /// The answer comes as an [`Order::Scraped`].
    Held(ScrapeTicket),
}

/// What becomes of an announce.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Decision {
    /// It is answered.
    Now(Answer),
    /// The answer comes as an [`Order::Answer`]. The same ticket as before: the client has sent its request again.
    Held(Ticket),
}

/// What the broker orders: an answer to be given, or work to be done.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Order {
    /// Give this held answer.
    Answer(Ticket, Answer),
    /// Answer this held scrape.
    Scraped(ScrapeTicket, Files),
    /// Count a swarm (BEP 33); then [`Broker::survey_finished`].
    Survey(InfoHash),
    /// Look for peers: [`Broker::peers_found`] as they come, then [`Broker::lookup_finished`].
    Lookup(InfoHash),
    /// Announce a client of ours; then [`Broker::announce_finished`].
    Announce {
        /// Which swarm.
        info_hash: InfoHash,
        /// Where the client accepts connections, as seen from here.
        client: SocketAddr,
        /// Whether it has everything.
        seed: bool,
        /// Which of our addresses it shares: all of them, or the public IPv4 address only.
        nearness: Nearness,
        /// Whether it announced over both families.
        dual: bool,
    },
    /// Tell other trackers of a client of ours: [`Broker::peers_found`] as they come, then [`Broker::relay_finished`]; of one
    /// that has stopped [`Broker::farewell_finished`].
    Relay(Relay),
    /// Ask a client for its metadata ([`metadata`](super::metadata)); then [`Broker::probe_finished`].
    Probe {
        /// Which torrent.
        info_hash: InfoHash,
        /// Where the client accepts connections.
        peer: SocketAddr,
        /// Whether the client certainly has everything, and so the metadata.
        complete: bool,
    },
}

/// What the gateway knows of its own place in the network.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Standing {
    /// Whether the DHT can be asked yet.
    pub ready: bool,
    /// Nodes known so far.
    pub nodes: usize,
    /// Our addresses, as other nodes see them.
    pub external: Vec<IpAddr>,
}

/// Clients that have left, of which other trackers are told: a client that ends leaves with all its torrents at once.
#[derive(Debug, Default)]
struct Farewells {
    waiting: VecDeque<Relay>,
    under_way: usize,
}

fn relay_of(info_hash: InfoHash, member: &Member, phase: Phase) -> Relay {
    let (client, peer_id, seed) = (member.addr, member.peer_id, member.seed);
    Relay { info_hash, peer_id, client, port: client.port(), seed, phase }
}

/// What the broker holds, for metrics.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Load {
    /// Infohashes that are remembered.
    pub torrents: usize,
    /// Answers that wait for peers.
    pub held: usize,
    /// Bytes of memory that the torrents take.
    pub bytes: usize,
}

/// The decision machine. See the module.
#[derive(Debug)]
pub struct Broker {
    policy: Policy,
    denied: BTreeSet<InfoHash>,
    relaying: bool,
    standing: Standing,
    random: Random,
    torrents: HashMap<InfoHash, Torrent, KeyedHash>,
    /// When each torrent is due.
    calendar: BTreeSet<(Instant, InfoHash)>,
    /// Which torrent makes room first.
    order: BTreeSet<(Rank, Instant, InfoHash)>,
    /// Bytes that the torrents take, and may take.
    bytes: usize,
    memory: usize,
    clients: Clients,
    tickets: u64,
    lookups: Lane,
    announces: Lane,
    probes: Lane,
    surveys: Surveys,
    relays: Lane,
    farewells: Farewells,
    outputs: VecDeque<Order>,
    /// Memory of earlier answers, for the next.
    seen: Seen,
    spare: Vec<SocketAddr>,
}

impl Broker {
    /// A broker that knows nothing yet. `denied` are never served.
    #[must_use]
    pub fn new(policy: Policy, denied: BTreeSet<InfoHash>, seed: [u8; 32]) -> Self {
        let mut random = Random::new(seed);
        Self {
            policy,
            denied,
            relaying: false,
            standing: Standing::default(),
            torrents: HashMap::with_hasher(KeyedHash::new(&mut random)),
            clients: Clients::new(&mut random),
            random,
            calendar: BTreeSet::new(),
            order: BTreeSet::new(),
            bytes: 0,
            memory: MEMORY_BYTES - FIXED_BYTES,
            tickets: 0,
            lookups: Lane::new(LOOKUPS.0, LOOKUPS.1),
            announces: Lane::new(ANNOUNCES, ANNOUNCES),
            probes: Lane::new(PROBES, PROBES),
            surveys: Surveys::new(SURVEYS),
            relays: Lane::new(RELAYS, RELAYS),
            farewells: Farewells::default(),
            outputs: VecDeque::new(),
            seen: Seen::default(),
            spare: Vec::new(),
        }
    }

    /// Bounds the memory for all that is remembered, in bytes. What is forgotten first: torrents without near clients, the
    /// oldest ahead; then what the DHT reported for those of near clients; then these.
    pub fn set_memory(&mut self, bytes: usize) {
        self.memory = bytes.saturating_sub(FIXED_BYTES).max(LEAST_TORRENT_BYTES);
    }

    /// Has other trackers told of clients, too.
    pub const fn relay_to_trackers(&mut self) {
        self.relaying = true;
    }

    /// How much the broker remembers.
    #[must_use]
    pub fn load(&self) -> Load {
        Load { torrents: self.torrents.len(), held: self.clients.held(), bytes: self.bytes }
    }

    /// Our addresses, as other nodes see them.
    #[must_use]
    pub fn external(&self) -> &[IpAddr] {
        &self.standing.external
    }

    /// Takes in an announce.
    pub fn announce(&mut self, now: Instant, client: Client, mut request: Announce) -> Decision {
        let id = request.info_hash;
        if self.denied.contains(&id) {
            let reason = "this gateway is told not to serve this torrent".into();
            return Decision::Now(Err(Failure { reason, interval: Duration::from_secs(3600) }));
        }
        if !self.make_room(now, &client, id) {
            return Decision::Now(Ok(Self::dismissal()));
        }
        self.part_with(&client, &request);
        let external = &self.standing.external;
        let near = client.nearness.shares_our_address();
        let announceable = near && !is_elsewhere(request.addresses(client.addr.ip()), external);
        let torrent = self.torrents.get_mut(&id).expect("room was made for it");
        // What is left when all that can make room has done so is busy.
        let crowded = self.bytes > self.memory && torrent.is_crowded_for(&client);
        if crowded && torrent.swarm.member(client.peer(&request)).is_none() {
            request.port = 0;
        }
        let may = Forwarding { to_dht: announceable, to_trackers: announceable && self.relaying };
        let news = torrent.take_announce(now, &client, &request, may, external);
        let facts = torrent.facts(now, self.policy, external);
        let refused = facts.refusal(client.peer(&request));
        let stale = torrent.is_stale(now, &facts) && request.wanted() > 0 && refused.is_none();
        let asks = stale && self.clients.may_look_up(now, &client);
        if asks {
            torrent.ask_for_lookup(now, near);
        }
        // A stranger does not get a lookup by waiting that it may not ask for.
        let may_wait = !crowded && (near || asks || torrent.lookup != Stage::Idle);
        let due = news || asks || torrent.due <= now || torrent.is_listed_late();
        let decision = match refused {
            Some(refusal) => Decision::Now(Err(refusal)),
            None if may_wait => self.hold_or_answer(now, &facts, client, request),
            None => Decision::Now(Ok(self.reply(&facts, &client, &request))),
        };
        if due || matches!(decision, Decision::Held(_)) {
            self.advance(now, id);
        }
        decision
    }

    /// Takes back the memory of an answer that has been rendered.
    pub fn recycle(&mut self, reply: Reply) {
        self.spare = reply.peers;
    }

    /// A client with a held answer went away.
    pub fn gone(&mut self, now: Instant, ticket: Ticket) {
        let Some(torrent) = self.torrents.get_mut(&ticket.info_hash) else { return };
        if let Some(index) = torrent.held.iter().position(|held| held.ticket == ticket) {
            let held = torrent.held.swap_remove(index);
            self.clients.release(&held.client);
            self.advance(now, ticket.info_hash);
        }
    }

    /// A client waits no longer: its held answer is given with what is known.
    pub fn hurry(&mut self, now: Instant, ticket: Ticket) {
        let Some(torrent) = self.torrents.get_mut(&ticket.info_hash) else { return };
        if let Some(held) = torrent.held.iter_mut().find(|held| held.ticket == ticket) {
            held.gains = false;
            self.advance(now, ticket.info_hash);
        }
    }

    /// What is known about our place in the network has changed.
    pub fn set_standing(&mut self, now: Instant, standing: Standing) {
        if self.standing.external != standing.external {
            self.torrents.values_mut().for_each(|torrent| torrent.swarm.recount());
        }
        self.standing = standing;
        self.pump(now);
    }

    /// All that were announced are announced again: under an address that is no longer ours they are not found, and while
    /// this host slept they were forgotten.
    pub fn announce_again(&mut self, now: Instant) {
        let ids: Vec<InfoHash> = self.torrents.keys().copied().collect();
        for id in ids {
            if let Some(torrent) = self.torrents.get_mut(&id) {
                torrent.swarm.announce_again(now);
            }
            self.advance(now, id);
        }
    }

    /// Others have seen that a torrent is private.
    pub fn learn_private(&mut self, now: Instant, id: InfoHash) {
        if let Some(torrent) = self.torrents.get_mut(&id) {
            torrent.learn_private();
        }
        self.advance(now, id);
    }

    /// A lookup, or another tracker, reported peers.
    pub fn peers_found(&mut self, now: Instant, id: InfoHash, peers: &[SocketAddr]) {
        let Some(torrent) =
            self.torrents.get_mut(&id).filter(|torrent| torrent.lookup.is_running() || torrent.relay.is_running())
        else {
            return;
        };
        if self.bytes <= self.memory || torrent.has_near() {
            peers.iter().for_each(|peer| torrent.swarm.find(now, *peer));
        }
        self.advance(now, id);
    }

    /// A lookup is over.
    pub fn lookup_finished(&mut self, now: Instant, id: InfoHash) {
        if let Some(torrent) = self.torrents.get_mut(&id) {
            self.lookups.finish(&mut torrent.lookup);
            torrent.looked_up = Some(now);
            torrent.swarm.rank();
            if torrent.proof == Some(Proof::Private) && self.policy != Policy::Always {
                torrent.swarm.clear_found();
            }
        }
        self.advance(now, id);
    }

    /// An announce of the client on `port`, in these `families`, is over: `stored` nodes keep it.
    pub fn announce_finished(&mut self, now: Instant, id: InfoHash, port: u16, families: &[Family], stored: usize) {
        // Nodes forget a peer after about half an hour (BEP 5 leaves it open); jitter keeps torrents from marching in step.
        let pause = if stored == 0 { 30 } else { 900 + self.random.wire_below(600) as u64 };
        if let Some(torrent) = self.torrents.get_mut(&id) {
            self.announces.finish(&mut torrent.announce);
            torrent.swarm.postpone_announces(port, families, now + Duration::from_secs(pause));
        }
        self.advance(now, id);
    }

    /// Other trackers were told of `client`. `interval` is the longest that they asked for; `None`: none of them took it.
    pub fn relay_finished(&mut self, now: Instant, id: InfoHash, client: SocketAddr, interval: Option<Duration>) {
        let pause = interval.unwrap_or(SHORTEST_RELAY_PAUSE).clamp(SHORTEST_RELAY_PAUSE, LONGEST_RELAY_PAUSE);
        if let Some(torrent) = self.torrents.get_mut(&id) {
            self.relays.finish(&mut torrent.relay);
            if let Some(member) = torrent.swarm.member_mut(client) {
                member.relay_at = member.relay_at.map(|_| now + pause);
                member.relayed |= interval.is_some();
            }
            if torrent.proof == Some(Proof::Private) && self.policy != Policy::Always {
                torrent.swarm.clear_found();
            }
        }
        self.advance(now, id);
    }

    /// Has other trackers told of a client that leaves.
    fn part_with(&mut self, client: &Client, request: &Announce) {
        let id = request.info_hash;
        let Some(torrent) = self.torrents.get(&id).filter(|_| request.phase == Phase::Stopped) else { return };
        if let Some(member) = torrent.swarm.member(client.peer(request)).filter(|member| member.relayed) {
            self.say_farewell(relay_of(id, member, Phase::Stopped));
        }
    }

    /// Other trackers were told of a client that has left.
    pub fn farewell_finished(&mut self) {
        self.farewells.under_way = self.farewells.under_way.saturating_sub(1);
        if let Some(relay) = self.farewells.waiting.pop_front() {
            self.say_farewell(relay);
        }
    }

    fn say_farewell(&mut self, relay: Relay) {
        let Farewells { waiting, under_way } = &mut self.farewells;
        if *under_way < RELAYS {
            *under_way += 1;
            self.outputs.push_back(Order::Relay(relay));
        } else if waiting.len() < MAX_FAREWELLS {
            waiting.push_back(relay);
        }
    }

    /// A metadata request is over.
    pub fn probe_finished(&mut self, now: Instant, id: InfoHash, verdict: Verdict) {
        if let Some(torrent) = self.torrents.get_mut(&id) {
            self.probes.finish(&mut torrent.probe);
            torrent.take_verdict(now, verdict);
        }
        self.advance(now, id);
    }

    /// Does what is due at `now`.
    pub fn handle_timeout(&mut self, now: Instant) {
        self.answer_late_scrapes(now);
        while let Some((due, id)) = self.calendar.first().copied().filter(|(due, _)| *due <= now) {
            debug_assert!(
                self.torrents.get(&id).is_some_and(|torrent| torrent.due == due),
                "calendar and torrents agree"
            );
            self.advance(now, id);
        }
    }

    /// When [`Broker::handle_timeout`] wants to be called.
    #[must_use]
    pub fn next_timeout(&self) -> Instant {
        self.calendar.first().map_or(Instant::FAR_FUTURE, |(due, _)| *due).min(self.surveys.next_deadline())
    }

    /// The next thing to be done, until there is none.
    pub fn poll_output(&mut self) -> Option<Order> {
        self.outputs.pop_front()
    }

    /// Holds the answer if the client gains by it, and gives it otherwise. The torrent is there.
    fn hold_or_answer(&mut self, now: Instant, facts: &Facts, client: Client, request: Announce) -> Decision {
        let id = request.info_hash;
        let torrent = self.torrents.get_mut(&id).expect("the caller has it");
        // A client that got no answer sends its datagram again, from the same endpoint.
        let again = |held: &&mut Held| held.client == client && client.transport == Transport::Udp;
        if let Some(held) = torrent.held.iter_mut().find(again) {
            held.request = request;
            return Decision::Held(held.ticket);
        }
        if !(torrent.is_worth_holding(facts, &client, &request) && self.clients.hold(now, &client)) {
            return Decision::Now(Ok(self.reply(facts, &client, &request)));
        }
        self.tickets += 1;
        let ticket = Ticket { info_hash: id, number: self.tickets };
        let before_lookup = !torrent.lookup.is_running();
        torrent.held.push(Held {
            ticket,
            client,
            request,
            since: now,
            looks_again: true,
            paid: client.nearness != Nearness::Remote,
            before_lookup,
            late: false,
            gains: true,
            peers_since: None,
        });
        Decision::Held(ticket)
    }

    /// Does everything that is due for one torrent, and notes when it is due again. Safe to call at any time.
    fn advance(&mut self, now: Instant, id: InfoHash) {
        let Some(torrent) = self.torrents.get_mut(&id) else { return };
        torrent.swarm.expire(now);
        let facts = torrent.facts(now, self.policy, &self.standing.external);
        torrent.note_peers(&facts);
        self.release(id, &facts);
        self.pay_for_last_look(id, &facts);
        self.order_work(now, id, &facts);
        self.pump(now);
        self.reindex(now, id);
        self.keep_within_memory();
    }

    /// The second lookup for a stranger is paid for as the first; one that has nothing left waits without it.
    fn pay_for_last_look(&mut self, id: InfoHash, facts: &Facts) {
        let Some(torrent) = self.torrents.get_mut(&id) else { return };
        while let Some(held) = torrent.last_look_to_pay(facts) {
            held.paid = self.clients.may_look_up(facts.now, &held.client);
            held.looks_again = held.paid;
        }
    }

    /// Gives the held answers that are ripe.
    fn release(&mut self, id: InfoHash, facts: &Facts) {
        let Some(torrent) = self.torrents.get_mut(&id) else { return };
        let ripe: Vec<Held> = torrent.held.extract_if(.., |held| Torrent::is_ripe(held, facts)).collect();
        for held in ripe {
            self.clients.release(&held.client);
            let answer = match facts.refusal(held.client.peer(&held.request)) {
                Some(refusal) => Err(refusal),
                None => Ok(self.reply(facts, &held.client, &held.request)),
            };
            self.outputs.push_back(Order::Answer(held.ticket, answer));
        }
    }

    /// Moves the torrent to its new place in the calendar and in the order of eviction, or forgets it.
    fn reindex(&mut self, now: Instant, id: InfoHash) {
        let Some(torrent) = self.torrents.get_mut(&id) else { return };
        if torrent.is_forgotten(now) {
            return self.forget(id);
        }
        // The work ordered above may have changed what is true.
        let facts = torrent.facts(now, self.policy, &self.standing.external);
        let due = torrent.next_due(&facts, self.policy);
        if due != torrent.due {
            self.calendar.remove(&(torrent.due, id));
            self.calendar.insert((due, id));
            torrent.due = due;
        }
        let bytes = torrent.memory();
        self.bytes = self.bytes - torrent.bytes + bytes;
        torrent.bytes = bytes;
        self.relist(id);
    }

    /// Moves the torrent to its new place in the order of eviction. A place may be a minute behind, so that an announce
    /// need not move it; a rank never is.
    fn relist(&mut self, id: InfoHash) {
        let Some(torrent) = self.torrents.get_mut(&id) else { return };
        let rank = torrent.new_rank();
        if rank != torrent.rank || torrent.is_listed_late() {
            self.order.remove(&(torrent.rank, torrent.listed, id));
            (torrent.rank, torrent.listed) = (rank, torrent.touched);
            self.order.insert((torrent.rank, torrent.listed, id));
        }
    }

    /// Forgets a torrent, and takes it out of everything that refers to it.
    fn forget(&mut self, id: InfoHash) {
        let Some(mut torrent) = self.torrents.remove(&id) else { return };
        self.calendar.remove(&(torrent.due, id));
        self.order.remove(&(torrent.rank, torrent.listed, id));
        self.lookups.leave(&mut torrent.lookup);
        self.announces.leave(&mut torrent.announce);
        self.probes.leave(&mut torrent.probe);
        self.relays.leave(&mut torrent.relay);
        self.clients.forget(torrent.owner);
        self.bytes -= torrent.bytes;
    }

    /// Makes a place for `id` if it has none; `false` if there is none for this client. A stranger takes the place of
    /// strangers only.
    fn make_room(&mut self, now: Instant, client: &Client, id: InfoHash) -> bool {
        if self.torrents.contains_key(&id) {
            return true;
        }
        let most = if client.nearness == Nearness::Remote { Rank::OfStrangers } else { Rank::Near };
        let first = self.order.first().copied().filter(|(rank, ..)| *rank <= most);
        let full = self.torrents.len() >= MAX_TORRENTS;
        // Where all that can make room has done so, the rest is busy.
        let crowded = self.bytes > self.memory && client.nearness == Nearness::Remote;
        if crowded || (full && first.is_none()) {
            return false;
        }
        let Ok(owner) = self.clients.may_begin(client) else { return false };
        if let Some((_, _, oldest)) = first.filter(|_| full) {
            self.forget(oldest);
        }
        self.torrents.insert(id, Torrent::new(now, owner));
        true
    }

    /// Forgets what makes room first until the rest fits.
    fn keep_within_memory(&mut self) {
        while self.bytes > self.memory
            && let Some((rank, _, id)) = self.order.first().copied().filter(|(rank, ..)| *rank < Rank::Busy)
        {
            match self.torrents.get_mut(&id) {
                Some(torrent) if rank == Rank::NearWithFound => {
                    torrent.swarm.clear_found();
                    let bytes = torrent.memory();
                    self.bytes = self.bytes - torrent.bytes + bytes;
                    torrent.bytes = bytes;
                    self.relist(id);
                }
                _ => self.forget(id),
            }
        }
    }
}
