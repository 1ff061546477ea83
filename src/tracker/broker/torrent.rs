//! What the broker knows of one infohash, and what that asks for.
//!
//! Nothing here acts: each method says what is due at a given time, and the broker does it. So the rules can be read one
//! by one.

use std::time::Duration;

use super::{Client, Policy, Ticket, Transport};
use crate::engine::time::Instant;
use crate::tracker::metadata::Verdict;
use crate::tracker::nearness::Nearness;
use crate::tracker::swarm::{FOUND_LIFETIME, MEMBER_LIFETIME, Member, Swarm};
use crate::tracker::{Announce, Failure, Phase};

/// From this age on, what the DHT said is asked again when a client asks.
pub(super) const STALE: Duration = Duration::from_secs(2 * 60);
/// After this time it is asked again unasked, if a near client still downloads: its next announce finds fresh peers.
const KEEP_WARM: Duration = Duration::from_secs(8 * 60);
/// Peers are still coming in when the first arrive: how long a held answer waits for more.
const SETTLE: Duration = Duration::from_secs(1);
/// As many peers as a client needs to get going: a held answer waits for no more.
pub(super) const ENOUGH: usize = 30;
/// How long it is believed that a client withheld the metadata because the torrent is private.
const WITHHELD_LIFETIME: Duration = Duration::from_secs(30 * 60);
/// The first pause before a client is asked again for metadata that it did not have; it doubles, up to 21 minutes. A client
/// that came by a magnet link has it seconds after its first peer, and some announce before they listen.
const PROBE_PAUSE: Duration = Duration::from_secs(5);
const MAX_PROBE_DOUBLINGS: u32 = 8;
/// How long a torrent that nobody asks for is remembered; a private one longer, since a stranger who asks for it later
/// cannot be made to prove it.
const LIFETIME: Duration = FOUND_LIFETIME;
const PRIVATE_LIFETIME: Duration = Duration::from_secs(7 * 24 * 3600);

/// How far a piece of work for a torrent has come.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) enum Stage {
    #[default]
    Idle,
    Queued {
        urgent: bool,
    },
    Running,
}

/// Where a client may be announced in turn.
#[derive(Clone, Copy, Debug)]
pub(super) struct Onward {
    pub(super) announce: bool,
    pub(super) relay: bool,
}

/// An answer that waits for peers.
#[derive(Debug)]
pub(super) struct Held {
    pub(super) ticket: Ticket,
    pub(super) client: Client,
    pub(super) request: Announce,
    pub(super) since: Instant,
    pub(super) deadline: Instant,
    /// When there was first somebody to put into it.
    pub(super) peers_since: Option<Instant>,
}

/// Everything about one infohash.
#[derive(Debug, Default)]
pub(super) struct Torrent {
    pub(super) swarm: Swarm,
    pub(super) verdict: Option<(Verdict, Instant)>,
    pub(super) probe: Stage,
    pub(super) probe_at: Option<Instant>,
    probes_in_vain: u32,
    pub(super) lookup: Stage,
    /// A client asked and what we had was stale.
    pub(super) asked: bool,
    /// When the last lookup ended.
    pub(super) looked_up: Option<Instant>,
    pub(super) announce: Stage,
    pub(super) relay: Stage,
    pub(super) held: Vec<Held>,
    pub(super) touched: Instant,
    /// Where the torrent stands in the broker's two orders.
    pub(super) due: Instant,
    pub(super) rank: u8,
    pub(super) listed: Instant,
}

impl Torrent {
    /// Takes in who announced; whether that is news. Decides anew whether the client may be announced in turn, to the DHT and to other
    /// trackers.
    pub(super) fn enter(&mut self, now: Instant, client: &Client, request: &Announce, may: Onward) -> bool {
        self.touched = now;
        let addr = client.peer(request);
        if request.phase == Phase::Stopped {
            self.swarm.leave(addr);
            return true;
        }
        if request.phase == Phase::Completed {
            self.swarm.count_download();
        }
        if !request.is_reachable() {
            return true;
        }
        let (here, nearness, peer_id, seed) = (client.here, client.nearness, request.peer_id, request.is_seed());
        let (cursor, announce_at, relay_at, relayed) = (0, None, None, false);
        let member = Member { addr, here, nearness, peer_id, seed, last: now, cursor, announce_at, relay_at, relayed };
        let (known, member) = self.swarm.join(member);
        let news = known.is_none_or(|known| known.seed != seed);
        let next = |may: bool, at: Option<Instant>| at.filter(|_| !news).or(Some(now)).filter(|_| may);
        member.announce_at = next(may.announce, member.announce_at);
        member.relay_at = next(may.relay, member.relay_at);
        // A new client, or one that is complete now, may have the metadata that others had not.
        if news && nearness != Nearness::Remote {
            self.probe_at = Some(now);
        }
        // A client that comes again, as it should, changes nothing that would be due earlier.
        news || known.is_some_and(|known| known.announce_at.is_some() != may.announce)
    }

    /// Why the torrent is not served, if it is not.
    pub(super) fn refusal(&self, now: Instant, policy: Policy) -> Option<Failure> {
        let reason = match self.verdict {
            _ if policy == Policy::Always => return None,
            Some((Verdict::Private, _)) => "this torrent is private (BEP 27): it is kept out of the DHT",
            Some((Verdict::Withheld, at)) if now.since(at) < WITHHELD_LIFETIME => {
                "this torrent seems to be private: its client does not share the metadata; it is kept out of the DHT"
            }
            _ => return None,
        };
        Some(Failure { reason: reason.into(), interval: Duration::from_secs(3600) })
    }

    /// Whom to ask for the metadata: someone near, complete if possible, whom we heard last.
    pub(super) fn witness(&self) -> Option<&Member> {
        self.near().max_by_key(|member| (member.seed, member.last))
    }

    fn near(&self) -> impl Iterator<Item = &Member> {
        self.swarm.members().iter().filter(|member| member.nearness != Nearness::Remote)
    }

    /// Whether the metadata should be asked for now.
    pub(super) fn wants_probe(&self, now: Instant, policy: Policy) -> bool {
        let settled = match self.verdict {
            Some((Verdict::Public | Verdict::Private, _)) => true,
            Some((Verdict::Withheld, at)) => now.since(at) < WITHHELD_LIFETIME,
            Some((Verdict::NotYet | Verdict::Unknown, _)) | None => false,
        };
        let due = self.probe_at.is_some_and(|at| at <= now);
        policy != Policy::Always && !settled && due && self.probe == Stage::Idle && self.near().next().is_some()
    }

    /// Takes in what the metadata said.
    pub(super) fn judge(&mut self, now: Instant, verdict: Verdict) {
        self.verdict = Some((verdict, now));
        self.probe = Stage::Idle;
        self.probe_at = Some(now + PROBE_PAUSE * (1 << self.probes_in_vain));
        self.probes_in_vain = (self.probes_in_vain + 1).min(MAX_PROBE_DOUBLINGS);
        if verdict.forbids() {
            self.swarm.clear_found();
        }
    }

    /// Whether the last word on the torrent is that it is private.
    pub(super) fn is_forbidden(&self, policy: Policy) -> bool {
        policy != Policy::Always && self.verdict.is_some_and(|(verdict, _)| verdict.forbids())
    }

    /// Whether the DHT may be asked about the torrent, and its peers be named. As long as someone near can say that it is
    /// private, not before that.
    pub(super) fn is_cleared(&self, policy: Policy) -> bool {
        let known = || self.verdict.is_some() || self.near().next().is_none();
        policy == Policy::Always || (known() && !self.is_forbidden(policy))
    }

    /// Whether the DHT should be asked now.
    pub(super) fn wants_lookup(&self, now: Instant, policy: Policy) -> bool {
        let cooling = self.warm_until().is_some_and(|until| until <= now);
        let wanted = self.asked || !self.held.is_empty() || cooling;
        wanted && self.is_stale(now) && self.is_cleared(policy)
    }

    /// Whether the last lookup is long ago.
    pub(super) fn is_stale(&self, now: Instant) -> bool {
        self.looked_up.is_none_or(|at| now.since(at) >= STALE)
    }

    /// When the next lookup is due without anybody asking.
    fn warm_until(&self) -> Option<Instant> {
        let downloads = self.near().any(|member| !member.seed);
        self.looked_up.filter(|_| downloads).map(|at| at + KEEP_WARM)
    }

    /// The near member that is to be announced to the DHT next, and when.
    pub(super) fn next_announce(&self, policy: Policy) -> Option<(Instant, Member)> {
        self.next_onward(policy, |member| member.announce_at)
    }

    /// The same for other trackers.
    pub(super) fn next_relay(&self, policy: Policy) -> Option<(Instant, Member)> {
        self.next_onward(policy, |member| member.relay_at)
    }

    fn next_onward(&self, policy: Policy, at: impl Fn(&Member) -> Option<Instant>) -> Option<(Instant, Member)> {
        let allowed = match policy {
            Policy::Never => false,
            Policy::VerifiedPublic => matches!(self.verdict, Some((Verdict::Public, _))),
            Policy::Always => true,
        };
        let due = self.swarm.members().iter().filter_map(|member| Some((at(member)?, member)));
        due.min_by_key(|(at, _)| *at).filter(|_| allowed).map(|(at, member)| (at, *member))
    }

    /// Whether the client would gain by waiting, and there is something to wait for.
    pub(super) fn is_worth_holding(&self, now: Instant, client: &Client, request: &Announce, policy: Policy) -> bool {
        let leaves_or_has_all = request.phase == Phase::Stopped || request.is_seed();
        let gains = !leaves_or_has_all && request.wanted() > 0;
        gains && self.is_stale(now) && !self.has_peers(now, client, request, policy)
    }

    /// Whether there is somebody to give to this client: a fresh peer, or a near seed.
    fn has_peers(&self, now: Instant, client: &Client, request: &Announce, policy: Policy) -> bool {
        let near_seed = |member: &Member| {
            let near = member.nearness != Nearness::Remote && client.nearness != Nearness::Remote;
            near && member.seed && member.addr != client.peer(request)
        };
        self.is_cleared(policy) && (self.swarm.has_fresh(now, 1) || self.swarm.members().iter().any(near_seed))
    }

    /// Notes for every held answer since when there is somebody to give.
    pub(super) fn note_peers(&mut self, now: Instant, policy: Policy) {
        let has = |held: &Held| held.peers_since.is_none() && self.has_peers(now, &held.client, &held.request, policy);
        let found: Vec<bool> = self.held.iter().map(has).collect();
        for (held, _) in self.held.iter_mut().zip(found).filter(|(_, found)| *found) {
            held.peers_since = Some(now);
        }
    }

    /// Whether a held answer is to be given now.
    pub(super) fn is_ripe(&self, held: &Held, now: Instant, policy: Policy) -> bool {
        let looked_up = self.lookup != Stage::Running && self.looked_up.is_some_and(|at| at >= held.since);
        let enough = self.swarm.has_fresh(now, held.request.wanted().min(ENOUGH));
        let settled = held.peers_since.is_some_and(|since| now.since(since) >= SETTLE);
        let trackers_asked = self.relay == Stage::Idle && self.next_relay(policy).is_none_or(|(at, _)| at > now);
        now >= held.deadline
            || (looked_up && trackers_asked)
            || enough
            || settled
            || self.refusal(now, policy).is_some()
    }

    /// When something must be done about this torrent, if nothing happens before.
    pub(super) fn next_due(&self, policy: Policy) -> Instant {
        let held = self.held.iter().map(|held| {
            let settled = held.peers_since.map_or(Instant::FAR_FUTURE, |since| since + SETTLE);
            held.deadline.min(settled)
        });
        let idle = |stage: Stage, at: Option<Instant>| at.filter(|_| stage == Stage::Idle);
        let probe = idle(self.probe, self.probe_at).filter(|at| self.wants_probe(*at, policy));
        let warm = idle(self.lookup, self.warm_until()).filter(|_| self.is_cleared(policy));
        let announce = idle(self.announce, self.next_announce(policy).map(|(at, _)| at));
        let relay = idle(self.relay, self.next_relay(policy).map(|(at, _)| at));
        let leaves = self.swarm.members().iter().map(|member| member.last + MEMBER_LIFETIME);
        let times = held.chain(probe).chain(warm).chain(announce).chain(relay).chain(leaves);
        times.min().unwrap_or(Instant::FAR_FUTURE).min(self.touched + self.lifetime())
    }

    /// Whether nobody needs the torrent any more.
    pub(super) fn is_forgotten(&self, now: Instant) -> bool {
        !self.is_busy() && self.swarm.members().is_empty() && now.since(self.touched) >= self.lifetime()
    }

    fn lifetime(&self) -> Duration {
        let private = matches!(self.verdict, Some((Verdict::Private, _)));
        if private { PRIVATE_LIFETIME } else { LIFETIME }
    }

    /// Whether something refers to this torrent from outside.
    pub(super) fn is_busy(&self) -> bool {
        !self.held.is_empty() || [self.probe, self.lookup, self.announce, self.relay].contains(&Stage::Running)
    }

    /// Whether its place in the order of eviction, which may be a minute behind, is to be set anew.
    pub(super) fn is_listed_late(&self) -> bool {
        self.listed == Instant::ZERO || self.touched.since(self.listed) >= Duration::from_secs(60)
    }

    /// Who makes room for a new torrent first: 0 nobody near is in it, 1 somebody is, 2 it is busy and stays.
    pub(super) fn new_rank(&self) -> u8 {
        if self.is_busy() { 2 } else { u8::from(self.near().next().is_some()) }
    }
}

impl Transport {
    /// How long an answer may be held. Below the patience of every client: over HTTP monitors wait 10 s and
    /// webtorrent 15; over UDP aria2 sends again after 5 s and libtorrent gives up after 10.
    pub(super) const fn patience(self) -> Duration {
        match self {
            Self::Http => Duration::from_secs(8),
            Self::Udp => Duration::from_secs(4),
        }
    }

    /// Answers held for one client at a time. libtorrent has 50 HTTP announces under way for all its trackers together:
    /// four of them leave the others within a tenth of their speed. Its UDP announces have no such limit.
    pub(super) const fn most_held(self) -> usize {
        match self {
            Self::Http => 4,
            Self::Udp => 8,
        }
    }
}
