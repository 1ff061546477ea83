//! What the broker knows of one infohash, and what that asks for.
//!
//! Nothing here acts: each method says what is due at a given time, and the broker does it. So the rules can be read one
//! by one. What is asked of the whole torrent is asked once for each step ([`Facts`]), not once for each held answer.

use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use super::clients::Owner;
use super::lane::{Priority, Stage};
use super::{Client, Policy, Ticket, Transport};
use crate::engine::contact::Family;
use crate::engine::time::Instant;
use crate::net::nearness::Nearness;
use crate::tracker::metadata::Verdict;
use crate::tracker::swarm::{FOUND_LIFETIME, Fresh, MEMBER_LIFETIME, Member, Swarm};
use crate::tracker::{Announce, Failure, Phase};

/// Age from which what the DHT said is asked again when a client asks.
const STALE: Duration = Duration::from_secs(2 * 60);
/// The same where it named no peers: who asks then has nothing to lose by waiting.
const STALE_IF_EMPTY: Duration = Duration::from_secs(15);
/// Age at which it is asked again unasked, if a near client still downloads: its next announce finds fresh peers.
const KEEP_WARM: Duration = Duration::from_secs(8 * 60);
/// Longest time that a lookup stays in line for a stranger who does not wait for it.
const ASKED_BY_STRANGER: Duration = Duration::from_secs(60);
/// The same for near clients.
const ASKED_BY_NEAR: Duration = Duration::from_secs(10 * 60);
/// Time that a held answer waits for more peers after the first: they still come in.
const SETTLE: Duration = Duration::from_secs(1);
/// Time before the deadline of a held answer at which the DHT is asked once more, if it named no peers before: a lookup
/// finds its first peer within half a second.
const LAST_LOOK: Duration = Duration::from_millis(1500);
/// Peers that a client needs to get going: a held answer waits for no more.
const ENOUGH: usize = 30;
/// Time after which a lookup that has not begun is held up by others.
const WAITS_IN_LINE: Duration = Duration::from_secs(1);
/// Answers held for one torrent at a time, and those of them for strangers. Each step of the torrent looks at all of them.
const MAX_HELD_FOR_ONE: (usize, usize) = (512, 256);
/// Members that a torrent may always have, so that near clients are known to each other also where there is no memory.
const FEW_MEMBERS: usize = 8;
/// Longest time that a client is believed to withhold the metadata because the torrent is private.
const WITHHELD_LIFETIME: Duration = Duration::from_secs(30 * 60);
/// The first pause before a client is asked again for metadata that it did not have; it doubles, up to 21 minutes. A client
/// that came by a magnet link has it seconds after its first peer, and some announce before they listen.
const PROBE_PAUSE: Duration = Duration::from_secs(5);
const MAX_PROBE_DOUBLINGS: u8 = 8;
/// Longest time that a torrent is remembered that is not asked for.
const LIFETIME: Duration = FOUND_LIFETIME;
/// The same for a private one: a stranger who asks for it later cannot be made to prove that it is.
const PRIVATE_LIFETIME: Duration = Duration::from_secs(7 * 24 * 3600);

/// What the metadata proved.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Proof {
    /// The torrent is public.
    Public,
    /// The torrent is private (BEP 27).
    Private,
}

/// Which torrents make room for others first.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Rank {
    /// No near client takes part.
    #[default]
    OfStrangers,
    /// A near client takes part, and found peers are remembered; they are forgotten first.
    NearWithFound,
    /// A near client takes part, or it is known that the torrent is private.
    Near,
    /// Work for it is under way, or answers are held: it stays.
    Busy,
}

/// Where an announce may be passed on to.
#[derive(Clone, Copy, Debug)]
pub(super) struct Forwarding {
    pub(super) to_dht: bool,
    pub(super) to_trackers: bool,
}

/// An answer that waits for peers.
#[derive(Debug)]
pub(super) struct Held {
    pub(super) ticket: Ticket,
    pub(super) client: Client,
    pub(super) request: Announce,
    pub(super) since: Instant,
    /// Whether the DHT is asked once more before the deadline.
    pub(super) looks_again: bool,
    /// Whether that is paid for; near clients pay nothing.
    pub(super) paid: bool,
    /// Whether no lookup has begun since it waits.
    pub(super) before_lookup: bool,
    /// Whether the lookup had to wait for a worker, so that the answer may wait longer.
    pub(super) late: bool,
    /// Whether the client still gains by waiting, as far as we know.
    pub(super) gains: bool,
    /// When there were first peers to put into it.
    pub(super) peers_since: Option<Instant>,
}

impl Held {
    /// When it is given at the latest.
    fn deadline(&self) -> Instant {
        let transport = self.client.transport;
        self.since + if self.late { transport.patience_in_line() } else { transport.patience() }
    }

    /// When the DHT is to be asked once more.
    fn last_look(&self) -> Option<Instant> {
        self.looks_again.then(|| self.deadline() - LAST_LOOK)
    }

    /// The lookup waits for a worker, or has waited for one until now.
    fn note_waiting(&mut self, now: Instant) {
        self.late |= self.before_lookup && now.since(self.since) >= WAITS_IN_LINE;
    }
}

/// Near seeds that may be named.
#[derive(Clone, Copy, Debug)]
enum NearSeeds {
    None,
    One(SocketAddr),
    Several,
}

/// What is true of a torrent during one step, whichever of its clients it is about.
#[derive(Debug)]
pub(super) struct Facts {
    policy: Policy,
    pub(super) now: Instant,
    proof: Option<Proof>,
    /// Nothing about the torrent has to be kept back.
    pub(super) open: bool,
    /// The DHT may be asked, and peers be named.
    pub(super) cleared: bool,
    /// Near members that withheld their metadata.
    withheld: Vec<SocketAddr>,
    fresh: Fresh,
    near_seeds: NearSeeds,
    /// When the last lookup ended, unless another one runs.
    lookup_ended: Option<Instant>,
    /// A lookup waits for a worker.
    in_line: bool,
    trackers_asked: bool,
}

impl Facts {
    /// Why the client at `peer` is not served, if it is not.
    pub(super) fn refusal(&self, peer: SocketAddr) -> Option<Failure> {
        let reason = match self.proof {
            _ if self.policy == Policy::Always => return None,
            Some(Proof::Private) => "this torrent is private (BEP 27): it is kept out of the DHT",
            None if self.withheld.contains(&peer) => {
                "this torrent seems to be private: its client does not share the metadata; it is kept out of the DHT"
            }
            _ => return None,
        };
        Some(Failure { reason: reason.into(), interval: Duration::from_secs(3600) })
    }

    fn is_refused(&self, peer: SocketAddr) -> bool {
        let private = self.proof == Some(Proof::Private);
        self.policy != Policy::Always && (private || (self.proof.is_none() && self.withheld.contains(&peer)))
    }

    /// Whether a near member is believed to keep the torrent private.
    pub(super) fn is_withheld(&self) -> bool {
        !self.withheld.is_empty()
    }

    fn is_last_look_due(&self, held: &Held) -> bool {
        held.last_look().is_some_and(|at| at <= self.now) && self.fresh.of(held.client.family()) == 0
    }

    /// Whether there are peers to give to this client: fresh ones, or a near seed.
    fn has_peers(&self, client: &Client, peer: SocketAddr) -> bool {
        let near_seed = match self.near_seeds {
            NearSeeds::None => false,
            NearSeeds::One(seed) => seed != peer,
            NearSeeds::Several => true,
        };
        self.cleared && (self.fresh.of(client.family()) > 0 || (client.nearness != Nearness::Remote && near_seed))
    }
}

/// Everything about one infohash.
#[derive(Debug, Default)]
pub(super) struct Torrent {
    pub(super) swarm: Swarm,
    pub(super) proof: Option<Proof>,
    pub(super) probe: Stage,
    /// The client that is asked for its metadata.
    asked_client: Option<SocketAddr>,
    pub(super) lookup: Stage,
    /// Until when a lookup is wanted because a client asked while what we had was stale.
    asked_until: Instant,
    asked_by_near: bool,
    /// When the last lookup ended.
    pub(super) looked_up: Option<Instant>,
    pub(super) announce: Stage,
    pub(super) relay: Stage,
    pub(super) held: Vec<Held>,
    pub(super) touched: Instant,
    /// The stranger on whose account the torrent is remembered.
    pub(super) owner: Option<Owner>,
    /// Where the torrent stands in the broker's two orders.
    pub(super) due: Instant,
    pub(super) rank: Rank,
    pub(super) listed: Instant,
    /// Bytes of memory that the broker counts for it.
    pub(super) bytes: usize,
}

impl Torrent {
    /// A torrent that is asked for the first time.
    pub(super) fn new(now: Instant, owner: Option<Owner>) -> Self {
        Self { owner, touched: now, ..Self::default() }
    }

    /// What is true of the torrent now.
    pub(super) fn facts(&self, now: Instant, policy: Policy, external: &[IpAddr]) -> Facts {
        let open = policy == Policy::Always || self.proof == Some(Proof::Public);
        let mut withheld = Vec::new();
        let (mut spoke, mut pending, mut near_seeds) = (false, false, NearSeeds::None);
        for member in self.near() {
            match member.testimony {
                Some((Verdict::Withheld, at)) if now.since(at) < WITHHELD_LIFETIME => withheld.push(member.addr),
                Some((Verdict::Withheld, _)) | None => pending = true,
                Some(_) => spoke = true,
            }
            if member.seed && (open || matches!(member.testimony, Some((Verdict::NotYet | Verdict::Unknown, _)))) {
                near_seeds = match near_seeds {
                    NearSeeds::None => NearSeeds::One(member.addr),
                    _ => NearSeeds::Several,
                };
            }
        }
        Facts {
            policy,
            now,
            proof: self.proof,
            open,
            // As long as a near client can be asked whether the torrent is private, not before one was.
            cleared: open || (self.proof.is_none() && (spoke || !pending)),
            withheld,
            fresh: self.swarm.fresh(now, external),
            near_seeds,
            lookup_ended: self.looked_up.filter(|_| !self.lookup.is_running()),
            in_line: self.lookup.is_queued(),
            trackers_asked: self.relay == Stage::Idle && self.next_relay(policy).is_none_or(|(at, _)| at > now),
        }
    }

    /// Takes in an announce; whether that is news. Decides anew whether it may be passed on. Our `external` addresses are
    /// those under which the DHT knows a client that leaves.
    pub(super) fn take_announce(
        &mut self,
        now: Instant,
        client: &Client,
        request: &Announce,
        may: Forwarding,
        external: &[IpAddr],
    ) -> bool {
        self.touched = now;
        let addr = client.peer(request);
        if request.phase == Phase::Stopped {
            self.swarm.leave(now, addr, external);
            return true;
        }
        if !request.is_reachable() {
            return true;
        }
        let testimony = self.swarm.member_mut(addr).and_then(|member| member.testimony);
        let (seed, proven_seed) = (is_seed(request, testimony), is_proven_seed(request, testimony));
        let new = Member::new(addr, client.here, client.nearness, request.peer_id, now);
        let (known, member) = self.swarm.join(Member { seed, proven_seed, ..new });
        // A download is finished once, by a client that was seen without it, however often that is said.
        let finishes =
            request.phase == Phase::Completed && known.is_some_and(|known| !known.finished && !known.proven_seed);
        member.finished |= request.phase == Phase::Completed;
        let news = known.is_none_or(|known| known.seed != seed || known.peer_id != request.peer_id);
        let next = |may: bool, at: Option<Instant>| at.filter(|_| !news).or(Some(now)).filter(|_| may);
        member.announce_at = next(may.to_dht, member.announce_at);
        member.relay_at = next(may.to_trackers, member.relay_at);
        // A client that is complete now may have the metadata that it had not.
        if news && !matches!(member.testimony, Some((Verdict::Withheld, _))) {
            member.probe_at = now;
        }
        if finishes {
            self.swarm.count_download();
        }
        // A client that comes again, as it should, changes nothing that would be due earlier.
        news || known.is_some_and(|known| known.announce_at.is_some() != may.to_dht)
    }

    /// Notes that a client asks, and would have the DHT asked.
    pub(super) fn ask_for_lookup(&mut self, now: Instant, near: bool) {
        let lasts = if near { ASKED_BY_NEAR } else { ASKED_BY_STRANGER };
        self.asked_by_near = near || (self.asked_by_near && self.asked_until > now);
        self.asked_until = self.asked_until.max(now + lasts);
    }

    /// A lookup begins: it is the one that was asked for.
    pub(super) fn lookup_begins(&mut self, now: Instant) {
        (self.asked_until, self.asked_by_near) = (Instant::ZERO, false);
        for held in &mut self.held {
            held.note_waiting(now);
            held.before_lookup = false;
            held.looks_again &= held.last_look().is_some_and(|at| at > now);
        }
    }

    /// Whether the client certainly has everything.
    pub(super) fn is_proven_seed(&self, peer: SocketAddr, request: &Announce) -> bool {
        let member = self.swarm.member(peer);
        is_proven_seed(request, member.and_then(|member| member.testimony))
    }

    /// What the client said when it was asked for its metadata.
    pub(super) fn testimony(&self, peer: SocketAddr) -> Option<Verdict> {
        self.swarm.member(peer).and_then(|member| member.testimony).map(|(verdict, _)| verdict)
    }

    fn near(&self) -> impl Iterator<Item = &Member> {
        self.swarm.members().iter().filter(|member| member.nearness != Nearness::Remote)
    }

    /// Whether a near client takes part.
    pub(super) fn has_near(&self) -> bool {
        self.near().next().is_some()
    }

    /// The near member that is to be asked for its metadata next, and when: one that was not asked yet, a complete one, the
    /// one that we heard last.
    pub(super) fn next_probe(&self, policy: Policy) -> Option<&Member> {
        let is_of_use = |member: &&Member| match self.proof {
            _ if policy == Policy::Always => false,
            Some(Proof::Private) => false,
            // Whether it has what it says: a magnet link looks complete in the announces of some clients.
            Some(Proof::Public) => {
                member.seed && !member.proven_seed && !matches!(member.testimony, Some((Verdict::Withheld, _)))
            }
            None => true,
        };
        self.near().filter(is_of_use).min_by_key(|member| {
            let asked = member.testimony.is_some();
            (member.probe_at, asked, !member.seed, std::cmp::Reverse(member.last))
        })
    }

    /// A client is asked for its metadata.
    pub(super) const fn probe_begins(&mut self, peer: SocketAddr) {
        self.asked_client = Some(peer);
    }

    /// Takes in that others have seen that it is private.
    pub(super) fn learn_private(&mut self) {
        self.proof = Some(Proof::Private);
        self.swarm.clear_found();
    }

    /// Takes in what the metadata of the client said that was asked.
    pub(super) fn take_verdict(&mut self, now: Instant, verdict: Verdict) {
        match verdict {
            Verdict::Public => self.proof = Some(Proof::Public),
            Verdict::Private => self.proof = Some(Proof::Private),
            Verdict::Withheld if self.asked_by_near => self.asked_until = Instant::ZERO,
            Verdict::Withheld | Verdict::NotYet | Verdict::Unknown => {}
        }
        let Some(peer) = self.asked_client.take() else { return };
        if let Some(member) = self.swarm.member_mut(peer) {
            let pause = if verdict == Verdict::Withheld {
                WITHHELD_LIFETIME
            } else {
                PROBE_PAUSE * (1 << member.asked_in_vain)
            };
            member.asked_in_vain = (member.asked_in_vain + 1).min(MAX_PROBE_DOUBLINGS);
            (member.testimony, member.probe_at) = (Some((verdict, now)), now + pause);
            let claims = member.seed;
            member.seed &= verdict != Verdict::NotYet;
            member.proven_seed |= claims && verdict.shows_metadata();
            if claims != member.seed {
                self.swarm.recount();
            }
        }
        for held in self.held.iter_mut().filter(|held| held.client.peer(&held.request) == peer) {
            held.gains = gains_by_waiting(&held.client, &held.request, Some((verdict, now)), false);
        }
        if verdict == Verdict::Private {
            self.swarm.clear_found();
        }
    }

    /// Whether the DHT should be asked now.
    pub(super) fn wants_lookup(&self, facts: &Facts) -> bool {
        let now = facts.now;
        let cooling = self.warm_until(facts).is_some_and(|until| until <= now);
        let wanted = self.asked_until > now || !self.held.is_empty() || cooling;
        facts.cleared && ((wanted && self.is_stale(now, facts)) || self.wants_last_look(facts))
    }

    /// Whether answers are about to be given that hold no peers, though there may be some by now.
    fn wants_last_look(&self, facts: &Facts) -> bool {
        self.looked_up.is_some() && self.held.iter().any(|held| held.paid && facts.is_last_look_due(held))
    }

    /// A held answer of a stranger who has to pay for the second lookup, unless another client has paid.
    pub(super) fn last_look_to_pay(&mut self, facts: &Facts) -> Option<&mut Held> {
        if self.looked_up.is_none() || self.wants_last_look(facts) {
            return None;
        }
        self.held.iter_mut().find(|held| !held.paid && facts.is_last_look_due(held))
    }

    /// How urgent a lookup is.
    pub(super) fn lookup_priority(&self) -> Priority {
        let waits = |near: bool| self.held.iter().any(|held| (held.client.nearness != Nearness::Remote) == near);
        if waits(true) {
            Priority::NearWaits
        } else if self.asked_by_near || self.has_near() {
            Priority::Near
        } else if waits(false) {
            Priority::StrangerWaits
        } else {
            Priority::Stranger
        }
    }

    /// How urgent other work is, all of which is for near clients.
    pub(super) fn near_priority(&self) -> Priority {
        if self.held.is_empty() { Priority::Near } else { Priority::NearWaits }
    }

    /// Whether the last lookup is long ago.
    pub(super) fn is_stale(&self, now: Instant, facts: &Facts) -> bool {
        let after = if facts.fresh.of(None) == 0 { STALE_IF_EMPTY } else { STALE };
        self.looked_up.is_none_or(|at| now.since(at) >= after)
    }

    /// When the next lookup is due without a client that asks.
    fn warm_until(&self, facts: &Facts) -> Option<Instant> {
        let downloads = self.near().any(|member| !member.seed && !facts.is_refused(member.addr));
        self.looked_up.filter(|_| downloads).map(|at| at + KEEP_WARM)
    }

    /// The near member that is to be announced to the DHT next, and when.
    pub(super) fn next_announce(&self, policy: Policy) -> Option<(Instant, Member)> {
        self.next_forwarding(policy, |member| member.announce_at)
    }

    /// The same for other trackers.
    pub(super) fn next_relay(&self, policy: Policy) -> Option<(Instant, Member)> {
        self.next_forwarding(policy, |member| member.relay_at)
    }

    fn next_forwarding(&self, policy: Policy, at: impl Fn(&Member) -> Option<Instant>) -> Option<(Instant, Member)> {
        let allowed = match policy {
            Policy::Never => false,
            Policy::VerifiedPublic => self.proof == Some(Proof::Public),
            Policy::Always => true,
        };
        let due = self.swarm.members().iter().filter_map(|member| Some((at(member)?, member)));
        due.min_by_key(|(at, _)| *at).filter(|_| allowed).map(|(at, member)| (at, *member))
    }

    /// Whether the client would gain by waiting, and there is something to wait for.
    pub(super) fn is_worth_holding(&self, facts: &Facts, client: &Client, request: &Announce) -> bool {
        let peer = client.peer(request);
        let member = self.swarm.member(peer);
        let testimony = member.and_then(|member| member.testimony);
        let will_be_asked = member.is_some_and(|member| member.nearness != Nearness::Remote && testimony.is_none());
        let asks = facts.policy != Policy::Always && facts.proof != Some(Proof::Private);
        let gains = gains_by_waiting(client, request, testimony, asks && will_be_asked);
        let stranger = client.nearness == Nearness::Remote;
        let room = self.held.len() < if stranger { MAX_HELD_FOR_ONE.1 } else { MAX_HELD_FOR_ONE.0 };
        gains && room && self.is_stale(facts.now, facts) && !facts.has_peers(client, peer)
    }

    /// Notes for every held answer whether its lookup waits in line, and since when there are peers to give.
    pub(super) fn note_peers(&mut self, facts: &Facts) {
        if facts.in_line {
            self.held.iter_mut().for_each(|held| held.note_waiting(facts.now));
        }
        for held in self.held.iter_mut().filter(|held| held.peers_since.is_none()) {
            let peer = held.client.peer(&held.request);
            // What the DHT knows of the client itself is of no use to it.
            let alone = || facts.fresh.of(held.client.family()) == 1 && self.swarm.knows(peer);
            if facts.has_peers(&held.client, peer) && !alone() {
                held.peers_since = Some(facts.now);
            }
        }
    }

    /// Whether a held answer is to be given now.
    pub(super) fn is_ripe(held: &Held, facts: &Facts) -> bool {
        let now = facts.now;
        let has_peers = held.peers_since.is_some();
        let looked_up = facts.lookup_ended.is_some_and(|at| at >= held.since);
        let enough = facts.cleared && facts.fresh.of(held.client.family()) >= held.request.wanted().min(ENOUGH);
        let settled = held.peers_since.is_some_and(|since| now.since(since) >= SETTLE);
        now >= held.deadline()
            || !held.gains
            || (has_peers && ((looked_up && facts.trackers_asked) || enough))
            || settled
            || facts.is_refused(held.client.peer(&held.request))
    }

    /// Whether few peers are known that a download could use.
    pub(super) fn has_few(&self, facts: &Facts) -> bool {
        facts.fresh.of(None) < ENOUGH
    }

    /// When something must be done about this torrent, if nothing happens before.
    pub(super) fn next_due(&self, facts: &Facts, policy: Policy) -> Instant {
        let held = self.held.iter().map(|held| {
            let settled = held.peers_since.map_or(Instant::FAR_FUTURE, |since| since + SETTLE);
            let look = held.last_look().filter(|at| *at > facts.now).unwrap_or(Instant::FAR_FUTURE);
            held.deadline().min(settled).min(look)
        });
        let idle = |stage: Stage, at: Option<Instant>| at.filter(|_| stage == Stage::Idle);
        let probe = idle(self.probe, self.next_probe(policy).map(|member| member.probe_at));
        let warm = idle(self.lookup, self.warm_until(facts)).filter(|_| facts.cleared);
        let in_vain = Some(self.asked_until).filter(|_| facts.in_line);
        let announce = idle(self.announce, self.next_announce(policy).map(|(at, _)| at));
        let relay = idle(self.relay, self.next_relay(policy).map(|(at, _)| at));
        let leaves = self.swarm.members().iter().map(|member| member.last + MEMBER_LIFETIME);
        let forgotten = Some(self.touched + self.lifetime());
        let work = probe.into_iter().chain(warm).chain(in_vain).chain(announce).chain(relay).chain(forgotten);
        // What is due already is under way or in line.
        held.chain(leaves).chain(work).filter(|at| *at > facts.now).min().unwrap_or(Instant::FAR_FUTURE)
    }

    /// Whether nothing needs the torrent any more.
    pub(super) fn is_forgotten(&self, now: Instant) -> bool {
        !self.is_busy() && self.swarm.members().is_empty() && now.since(self.touched) >= self.lifetime()
    }

    fn lifetime(&self) -> Duration {
        if self.proof == Some(Proof::Private) { PRIVATE_LIFETIME } else { LIFETIME }
    }

    /// Whether something refers to this torrent from outside.
    pub(super) fn is_busy(&self) -> bool {
        !self.held.is_empty()
            || [self.probe, self.lookup, self.announce, self.relay].iter().any(|stage| stage.is_running())
    }

    /// Whether it takes no more of this client, where no torrent can make room: of a stranger nothing, of a near client what a
    /// few of them need.
    pub(super) fn is_crowded_for(&self, client: &Client) -> bool {
        client.nearness == Nearness::Remote || self.swarm.members().len() >= FEW_MEMBERS
    }

    /// Whether its place in the order of eviction, which may be a minute behind, is to be set anew.
    pub(super) fn is_listed_late(&self) -> bool {
        self.listed == Instant::ZERO || self.touched.since(self.listed) >= Duration::from_secs(60)
    }

    /// When it makes room for others.
    pub(super) fn new_rank(&self) -> Rank {
        let near = self.has_near();
        match () {
            () if self.is_busy() => Rank::Busy,
            () if near && self.swarm.has_found() => Rank::NearWithFound,
            () if near || self.proof == Some(Proof::Private) => Rank::Near,
            () => Rank::OfStrangers,
        }
    }

    /// Bytes of memory that it takes, its places in the broker's tables included.
    pub(super) const fn memory(&self) -> usize {
        /// The entries of a hash table and two trees, at most half of which are empty.
        const PLACES: usize = 256;
        size_of::<Self>() + PLACES + self.swarm.bytes() + self.held.capacity() * size_of::<Held>()
    }
}

/// Whether the client has everything, as far as we know: not when it had no metadata when it was asked.
fn is_seed(request: &Announce, testimony: Option<(Verdict, Instant)>) -> bool {
    let has_none = matches!(testimony, Some((Verdict::NotYet, _)));
    request.is_seed() && (request.is_surely_seed() || !has_none)
}

/// Whether the client certainly has everything: its metadata shows that it knows the size of what it has.
fn is_proven_seed(request: &Announce, testimony: Option<(Verdict, Instant)>) -> bool {
    request.is_surely_seed() || (request.is_seed() && testimony.is_some_and(|(verdict, _)| verdict.shows_metadata()))
}

/// Whether a client would gain by waiting for peers. One that says it has everything does not, unless it may be a magnet
/// link that does not know its size: as long as it is to be asked for its metadata, and where it cannot be asked, when it
/// starts by UDP. That makes those wait in vain that do have everything, which costs nothing by UDP.
fn gains_by_waiting(
    client: &Client,
    request: &Announce,
    testimony: Option<(Verdict, Instant)>,
    will_be_asked: bool,
) -> bool {
    let starts_by_udp = client.transport == Transport::Udp && request.phase == Phase::Started;
    let takes_seeds =
        !is_seed(request, testimony) || (!is_proven_seed(request, testimony) && (will_be_asked || starts_by_udp));
    request.phase != Phase::Stopped && request.wanted() > 0 && takes_seeds
}

impl Transport {
    /// Longest time that an answer is held. Below the patience of every client: over HTTP monitors wait 10 s and
    /// webtorrent 15; over UDP aria2 sends again after 5 s and libtorrent gives up after 10.
    pub(super) const fn patience(self) -> Duration {
        match self {
            Self::Http => Duration::from_secs(8),
            Self::Udp => Duration::from_secs(4),
        }
    }

    /// The same while the lookup has not begun, because more torrents were added at a time than can be looked up. A
    /// datagram that aria2 sends again meanwhile is the same request.
    pub(super) const fn patience_in_line(self) -> Duration {
        match self {
            Self::Http | Self::Udp => Duration::from_secs(8),
        }
    }
}

impl Client {
    /// The only family that its answers can carry, if there is one.
    pub(super) fn family(&self) -> Option<Family> {
        (self.transport == Transport::Udp).then(|| Family::of(&self.addr))
    }
}
