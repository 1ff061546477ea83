//! Decides what a client is told, when, and what is asked of the DHT for it.
//!
//! Pure: told the time, it acts on nothing. Inputs are announces and what came of the work that it ordered; outputs are
//! held answers and new work ([`Broker::poll_output`]), and the time at which it wants to be woken
//! ([`Broker::next_timeout`]).
//!
//! The rules:
//! * Whoever would gain by waiting waits: a download with no peers in sight is answered when there are some, at the latest
//!   when its patience ends ([`Transport`]). "Nobody, come back soon" is of no use, because libtorrent comes back after
//!   five minutes at the earliest and rTorrent after ten. Everybody else is answered at once: libtorrent has only 50
//!   announces under way for all its trackers together.
//! * One lookup per infohash, however many ask. What it found is good for ten minutes, and asked again from two minutes on.
//! * One count (BEP 33) per infohash, however many scrape it, and only of swarms that are no secret.
//! * Who announced here is known here at once, and announced to the DHT if that is safe ([`nearness`](super::nearness)) and
//!   allowed ([`Policy`]).
//!
//! Invariants: every held answer is given, at its deadline at the latest; nothing that a client can grow is unbounded.

mod answer;
mod clients;
mod lane;
mod survey;
#[cfg(test)]
mod tests;
mod torrent;
mod work;

use std::collections::{BTreeSet, HashMap, VecDeque};
use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use self::clients::Clients;
use self::lane::Lane;
use self::survey::Surveys;
use self::torrent::{Held, Onward, Stage, Torrent};
use super::metadata::Verdict;
use super::nearness::{Nearness, is_elsewhere};
use super::swarm::{Member, Seen};
use super::upstream::Relay;
use super::{Announce, Answer, Counts, Failure, Phase, Reply};
use crate::engine::contact::Family;
use crate::engine::id::Id;
use crate::engine::keyed_hash::KeyedHash;
use crate::engine::random::Random;
use crate::engine::time::Instant;

/// Infohashes that are remembered. When there are more, those that nobody near has go first, the oldest ahead.
const MAX_TORRENTS: usize = 20_000;
/// Answers held at a time, for all clients together.
const MAX_HELD: usize = 4_096;
/// Lookups, announces, metadata requests and counts under way at a time.
const LOOKUPS: usize = 16;
const ANNOUNCES: usize = 8;
const PROBES: usize = 8;
const SURVEYS: usize = 4;
const RELAYS: usize = 8;
/// How soon and how late other trackers are told of a client again, whatever interval they ask for: members are remembered
/// for little longer than half an hour.
const RELAY_PAUSES: (Duration, Duration) = (Duration::from_secs(5 * 60), Duration::from_secs(30 * 60));

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
    info_hash: Id,
    number: u64,
}

/// Names a held scrape.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ScrapeTicket(u64);

/// The swarms of a scrape, in the order asked; `None` where nothing is known.
pub type Files = Vec<(Id, Option<Counts>)>;

/// What becomes of a scrape.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Scraping {
    /// It is answered.
    Now(Files),
    /// The answer comes as an [`Output::Scraped`].
    Held(ScrapeTicket),
}

/// What becomes of an announce.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Decision {
    /// It is answered.
    Now(Answer),
    /// The answer comes as an [`Output::Answer`]. The same ticket as before: the client has sent its request again.
    Held(Ticket),
}

/// What the broker wants done.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Output {
    /// Give this held answer.
    Answer(Ticket, Answer),
    /// Answer this held scrape.
    Scraped(ScrapeTicket, Files),
    /// Count a swarm (BEP 33); then [`Broker::survey_finished`].
    Survey(Id),
    /// Look for peers: [`Broker::peers_found`] as they come, then [`Broker::lookup_finished`].
    Lookup(Id),
    /// Announce a client of ours; then [`Broker::announce_finished`].
    Announce {
        /// Which swarm.
        info_hash: Id,
        /// Where the client accepts connections, as seen from here.
        client: SocketAddr,
        /// Whether it has everything.
        seed: bool,
        /// Which of our addresses it shares: all of them, or the public IPv4 address only.
        nearness: Nearness,
        /// Whether it announced over both families.
        dual: bool,
    },
    /// Tell other trackers of a client of ours: [`Broker::peers_found`] as they come, then, unless it has
    /// stopped, [`Broker::relay_finished`].
    Relay(Relay),
    /// Ask a client for its metadata ([`metadata`](super::metadata)); then [`Broker::probe_finished`].
    Probe {
        /// Which torrent.
        info_hash: Id,
        /// Where the client accepts connections.
        peer: SocketAddr,
        /// Whether it says that it has everything.
        complete: bool,
    },
}

/// What the gateway knows of its own place in the network.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Network {
    /// Whether the DHT can be asked yet.
    pub ready: bool,
    /// Nodes known so far.
    pub nodes: usize,
    /// Our addresses, as other nodes see them.
    pub external: Vec<IpAddr>,
}

fn relay_of(info_hash: Id, member: &Member, phase: Phase) -> Relay {
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
}

/// The decision machine. See the module.
#[derive(Debug)]
pub struct Broker {
    policy: Policy,
    denied: BTreeSet<Id>,
    relaying: bool,
    network: Network,
    random: Random,
    torrents: HashMap<Id, Torrent, KeyedHash>,
    /// When each torrent is due.
    calendar: BTreeSet<(Instant, Id)>,
    /// Which torrent makes room first.
    order: BTreeSet<(u8, Instant, Id)>,
    clients: Clients,
    held: usize,
    tickets: u64,
    lookups: Lane,
    announces: Lane,
    probes: Lane,
    surveys: Surveys,
    relays: Lane,
    outputs: VecDeque<Output>,
    /// Memory of earlier answers, for the next.
    seen: Seen,
    spare: Vec<SocketAddr>,
}

impl Broker {
    /// A broker that knows nothing yet. `denied` are never served.
    #[must_use]
    pub fn new(policy: Policy, denied: BTreeSet<Id>, seed: [u8; 32]) -> Self {
        let mut random = Random::new(seed);
        Self {
            policy,
            denied,
            relaying: false,
            network: Network::default(),
            torrents: HashMap::with_hasher(KeyedHash::new(&mut random)),
            random,
            calendar: BTreeSet::new(),
            order: BTreeSet::new(),
            clients: Clients::default(),
            held: 0,
            tickets: 0,
            lookups: Lane::new(LOOKUPS),
            announces: Lane::new(ANNOUNCES),
            probes: Lane::new(PROBES),
            surveys: Surveys::new(SURVEYS),
            relays: Lane::new(RELAYS),
            outputs: VecDeque::new(),
            seen: Seen::default(),
            spare: Vec::new(),
        }
    }

    /// Has other trackers told of clients, too.
    pub const fn relay_to_trackers(&mut self) {
        self.relaying = true;
    }

    /// How much the broker remembers.
    #[must_use]
    pub fn load(&self) -> Load {
        Load { torrents: self.torrents.len(), held: self.held }
    }

    /// Our addresses, as other nodes see them.
    #[must_use]
    pub fn external(&self) -> &[IpAddr] {
        &self.network.external
    }

    /// Takes in an announce.
    pub fn announce(&mut self, now: Instant, client: Client, request: Announce) -> Decision {
        let id = request.info_hash;
        if self.denied.contains(&id) {
            let reason = "this gateway is told not to serve this torrent".into();
            return Decision::Now(Err(Failure { reason, interval: Duration::from_secs(3600) }));
        }
        if !self.make_room(id) {
            return Decision::Now(Ok(Self::dismissal()));
        }
        let announceable = client.nearness != Nearness::Remote && !is_elsewhere(&request, &self.network.external);
        let torrent = self.torrents.entry(id).or_default();
        if request.phase == Phase::Stopped
            && let Some(member) = torrent.swarm.member_mut(client.peer(&request)).filter(|member| member.relayed)
        {
            self.outputs.push_back(Output::Relay(relay_of(id, member, Phase::Stopped)));
        }
        let news = torrent.enter(
            now,
            &client,
            &request,
            Onward { announce: announceable, relay: announceable && self.relaying },
        );
        let stale = torrent.is_stale(now) && request.wanted() > 0;
        torrent.asked |= stale && self.clients.may_look_up(now, client.addr.ip(), client.nearness);
        let due = news || torrent.asked || torrent.due <= now || torrent.is_listed_late();
        let decision = self.hold_or_answer(now, client, request);
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
            self.held -= 1;
            self.clients.release(held.client.addr.ip());
            self.advance(now, ticket.info_hash);
        }
    }

    /// A client waits no longer: its held answer is given with what is known.
    pub fn hurry(&mut self, now: Instant, ticket: Ticket) {
        let Some(torrent) = self.torrents.get_mut(&ticket.info_hash) else { return };
        if let Some(held) = torrent.held.iter_mut().find(|held| held.ticket == ticket) {
            held.deadline = now;
            self.advance(now, ticket.info_hash);
        }
    }

    /// What is known about our place in the network has changed.
    pub fn set_network(&mut self, network: Network) {
        if self.network.external != network.external {
            self.torrents.values_mut().for_each(|torrent| torrent.swarm.recount());
        }
        self.network = network;
        self.pump();
    }

    /// All that were announced are announced again: under an address that is no longer ours they are not found, and while
    /// this host slept they were forgotten.
    pub fn announce_again(&mut self, now: Instant) {
        let ids: Vec<Id> = self.torrents.keys().copied().collect();
        for id in ids {
            if let Some(torrent) = self.torrents.get_mut(&id) {
                torrent.swarm.announce_again(now);
            }
            self.advance(now, id);
        }
    }

    /// A lookup, or another tracker, reported peers.
    pub fn peers_found(&mut self, now: Instant, id: Id, peers: &[SocketAddr]) {
        let Some(torrent) =
            self.torrents.get_mut(&id).filter(|torrent| [torrent.lookup, torrent.relay].contains(&Stage::Running))
        else {
            return;
        };
        peers.iter().for_each(|peer| torrent.swarm.find(now, *peer));
        self.advance(now, id);
    }

    /// A lookup is over.
    pub fn lookup_finished(&mut self, now: Instant, id: Id) {
        self.lookups.finish();
        if let Some(torrent) = self.torrents.get_mut(&id) {
            (torrent.lookup, torrent.looked_up) = (Stage::Idle, Some(now));
            torrent.swarm.rank();
        }
        self.advance(now, id);
        self.pump();
    }

    /// An announce of the client on `port`, in these `families`, is over: `stored` nodes keep it.
    pub fn announce_finished(&mut self, now: Instant, id: Id, port: u16, families: &[Family], stored: usize) {
        self.announces.finish();
        // Nodes forget a peer after about half an hour (BEP 5 leaves it open); jitter keeps torrents from marching in step.
        let pause = if stored == 0 { 30 } else { 900 + self.random.wire_below(600) as u64 };
        if let Some(torrent) = self.torrents.get_mut(&id) {
            torrent.announce = Stage::Idle;
            torrent.swarm.postpone_announces(port, families, now + Duration::from_secs(pause));
        }
        self.advance(now, id);
        self.pump();
    }

    /// Other trackers were told of `client`. `interval` is the longest that they asked for; `None`: nobody took it.
    pub fn relay_finished(&mut self, now: Instant, id: Id, client: SocketAddr, interval: Option<Duration>) {
        self.relays.finish();
        let (soonest, latest) = RELAY_PAUSES;
        let pause = interval.unwrap_or(soonest).clamp(soonest, latest);
        if let Some(torrent) = self.torrents.get_mut(&id) {
            torrent.relay = Stage::Idle;
            if let Some(member) = torrent.swarm.member_mut(client) {
                member.relay_at = member.relay_at.map(|_| now + pause);
                member.relayed |= interval.is_some();
            }
            if torrent.is_forbidden(self.policy) {
                torrent.swarm.clear_found();
            }
        }
        self.advance(now, id);
        self.pump();
    }

    /// A metadata request is over.
    pub fn probe_finished(&mut self, now: Instant, id: Id, verdict: Verdict) {
        self.probes.finish();
        if let Some(torrent) = self.torrents.get_mut(&id) {
            torrent.judge(now, verdict);
        }
        self.advance(now, id);
        self.pump();
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
    pub fn poll_output(&mut self) -> Option<Output> {
        self.outputs.pop_front()
    }

    fn hold_or_answer(&mut self, now: Instant, client: Client, request: Announce) -> Decision {
        let id = request.info_hash;
        let torrent = self.torrents.get_mut(&id).expect("room was made for it");
        if let Some(refusal) = torrent.refusal(now, self.policy) {
            return Decision::Now(Err(refusal));
        }
        // A client that got no answer sends its datagram again, from the same endpoint.
        let again = |held: &&mut Held| held.client == client && client.transport == Transport::Udp;
        if let Some(held) = torrent.held.iter_mut().find(again) {
            held.request = request;
            return Decision::Held(held.ticket);
        }
        let worth = torrent.is_worth_holding(now, &client, &request, self.policy) && self.held < MAX_HELD;
        if !(worth && self.clients.hold(now, client.addr.ip(), client.transport.most_held())) {
            return Decision::Now(Ok(self.reply(now, &client, &request)));
        }
        self.tickets += 1;
        self.held += 1;
        let ticket = Ticket { info_hash: id, number: self.tickets };
        let deadline = now + client.transport.patience();
        torrent.held.push(Held { ticket, client, request, since: now, deadline, peers_since: None });
        Decision::Held(ticket)
    }

    /// Does everything that is due for one torrent, and notes when it is due again. Safe to call at any time.
    fn advance(&mut self, now: Instant, id: Id) {
        let Some(torrent) = self.torrents.get_mut(&id) else { return };
        torrent.swarm.expire(now);
        torrent.note_peers(now, self.policy);
        self.release(now, id);
        self.order_work(now, id);
        self.pump();
        self.reindex(now, id);
    }

    /// Gives the held answers that are ripe.
    fn release(&mut self, now: Instant, id: Id) {
        let torrent = self.torrents.get_mut(&id).expect("the caller has it");
        let waiting = std::mem::take(&mut torrent.held);
        let (ripe, waiting) = waiting.into_iter().partition(|held| torrent.is_ripe(held, now, self.policy));
        torrent.held = waiting;
        let ripe: Vec<Held> = ripe;
        let refusal = torrent.refusal(now, self.policy);
        for held in ripe {
            self.held -= 1;
            self.clients.release(held.client.addr.ip());
            let answer = match &refusal {
                Some(refusal) => Err(refusal.clone()),
                None => Ok(self.reply(now, &held.client, &held.request)),
            };
            self.outputs.push_back(Output::Answer(held.ticket, answer));
        }
    }

    /// Moves the torrent to its new place in both orders, or forgets it.
    fn reindex(&mut self, now: Instant, id: Id) {
        let torrent = self.torrents.get_mut(&id).expect("the caller has it");
        if torrent.is_forgotten(now) {
            self.calendar.remove(&(torrent.due, id));
            self.order.remove(&(torrent.rank, torrent.listed, id));
            self.torrents.remove(&id);
            return;
        }
        // What is due already waits for a place in line.
        let due = Some(torrent.next_due(self.policy)).filter(|due| *due > now).unwrap_or(now + Duration::from_secs(1));
        if due != torrent.due {
            self.calendar.remove(&(torrent.due, id));
            self.calendar.insert((due, id));
            torrent.due = due;
        }
        let rank = torrent.new_rank();
        if rank != torrent.rank || torrent.is_listed_late() {
            self.order.remove(&(torrent.rank, torrent.listed, id));
            (torrent.rank, torrent.listed) = (rank, torrent.touched);
            self.order.insert((torrent.rank, torrent.listed, id));
        }
    }

    /// Sees to it that there is a place for `id`; `false` if everything that is remembered is busy.
    fn make_room(&mut self, id: Id) -> bool {
        if self.torrents.len() < MAX_TORRENTS || self.torrents.contains_key(&id) {
            return true;
        }
        // Few are busy without holding answers: as many as there are workers.
        let dispensable =
            |(_, _, id): &&(u8, Instant, Id)| self.torrents.get(id).is_some_and(|torrent| !torrent.is_busy());
        let Some(&(rank, listed, oldest)) = self.order.iter().take(LOOKUPS + ANNOUNCES + PROBES + 1).find(dispensable)
        else {
            return false;
        };
        self.order.remove(&(rank, listed, oldest));
        if let Some(torrent) = self.torrents.remove(&oldest) {
            self.calendar.remove(&(torrent.due, oldest));
        }
        true
    }
}
