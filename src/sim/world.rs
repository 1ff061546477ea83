//! The event loop: hosts, what is under way between them, and virtual time.
//!
//! ```text
//! 1  take the earliest event and move the clock to it
//! 2  hand it to its host: a datagram or a timeout
//! 3  take the host's actions until it waits: datagrams go through translator and link into the queue,
//!    reports go to the owner, the deadline goes into the queue
//! ```
//!
//! Invariants: time never goes backwards; a host sees only datagrams and its own deadlines; the same seed and the
//! same calls give the same [`World::trace`].

use std::hash::Hasher as _;
use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use siphasher::sip::SipHasher13;

use super::host::{Action, Host, HostId};
use super::invariant::Invariant;
use super::link::Link;
use super::map::Map;
use super::nat::Nat;
use super::queue::{Due, PacketId, Queue};
use crate::engine::time::Instant;

/// What happened so far, in numbers.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counters {
    /// Events handled.
    pub events: u64,
    /// Datagrams that hosts sent, and their bytes.
    pub sent: u64,
    /// Bytes of the datagrams sent, without headers.
    pub sent_bytes: u64,
    /// Datagrams handed to a host.
    pub delivered: u64,
    /// Datagrams that the link lost.
    pub lost: u64,
    /// Datagrams to an address at which no host lives, or one that sleeps.
    pub unheard: u64,
    /// Datagrams that a translator refused.
    pub refused: u64,
}

/// Where a host lives: at a public endpoint, perhaps behind a translator.
#[derive(Clone, Debug)]
pub struct Home {
    addr: SocketAddr,
    /// Boxed: most hosts have none, and the loop walks over all homes.
    nat: Option<Box<Nat>>,
}

impl Home {
    /// Open to everyone at `addr`.
    #[must_use]
    pub const fn open(addr: SocketAddr) -> Self {
        Self { addr, nat: None }
    }

    /// The endpoint that the world sees.
    #[must_use]
    pub const fn addr(&self) -> SocketAddr {
        self.addr
    }

    /// Behind `nat`, which owns its public address alone.
    #[must_use]
    pub fn behind(addr: SocketAddr, nat: Nat) -> Self {
        Self { addr, nat: Some(Box::new(nat)) }
    }
}

#[derive(Clone)]
struct Slot<H> {
    /// `None` once killed. It is taken out while it acts: large hosts are better boxes.
    host: Option<H>,
    home: Home,
    /// When it wants to be woken.
    deadline: Instant,
    /// The earliest of its wake-ups that are in the queue.
    queued: Instant,
    asleep: bool,
}

/// A simulated network.
pub struct World<H: Host> {
    now: Instant,
    seed: u64,
    queue: Queue,
    link: Link,
    slots: Vec<Slot<H>>,
    endpoints: Map<SocketAddr, HostId>,
    /// Translators own a whole address.
    translators: Map<IpAddr, HostId>,
    reports: Vec<(Instant, HostId, H::Report)>,
    invariants: Vec<Box<dyn Invariant<H>>>,
    counters: Counters,
    trace: SipHasher13,
}

/// A host that has this much to say at one instant is caught in a loop.
const ACTIONS_AT_ONCE: usize = 1_000_000;

impl<H: Host> World<H> {
    /// An empty world. `seed` is printed when an invariant breaks; what it means is up to the caller.
    #[must_use]
    pub fn new(link: Link, seed: u64) -> Self {
        Self {
            now: Instant::ZERO,
            seed,
            queue: Queue::default(),
            link,
            slots: Vec::new(),
            endpoints: Map::default(),
            translators: Map::default(),
            reports: Vec::new(),
            invariants: Vec::new(),
            counters: Counters::default(),
            trace: SipHasher13::new(),
        }
    }

    /// The same world with one more thing that must hold.
    #[must_use]
    pub fn with_invariant(mut self, invariant: impl Invariant<H> + 'static) -> Self {
        self.watch(invariant);
        self
    }

    /// One more thing must hold from now on.
    pub fn watch(&mut self, invariant: impl Invariant<H> + 'static) {
        self.invariants.push(Box::new(invariant));
    }

    /// A copy of the world as it is, without its invariants ([`Self::watch`] gives it some): what happens in one no
    /// longer shows in the other.
    #[must_use]
    pub fn fork(&self) -> Self
    where
        H: Clone,
        H::Report: Clone,
    {
        Self {
            now: self.now,
            seed: self.seed,
            queue: self.queue.clone(),
            link: self.link.clone(),
            slots: self.slots.clone(),
            endpoints: self.endpoints.clone(),
            translators: self.translators.clone(),
            reports: self.reports.clone(),
            invariants: Vec::new(),
            counters: self.counters,
            trace: self.trace,
        }
    }

    /// Virtual time.
    #[must_use]
    pub const fn now(&self) -> Instant {
        self.now
    }

    /// The seed that this world was made with.
    #[must_use]
    pub const fn seed(&self) -> u64 {
        self.seed
    }

    /// What happened so far, in numbers.
    #[must_use]
    pub const fn counters(&self) -> Counters {
        self.counters
    }

    /// A hash over everything that happened: equal for equal runs on any machine.
    #[must_use]
    pub fn trace(&self) -> u64 {
        self.trace.finish()
    }

    /// Events that are waiting.
    #[must_use]
    pub fn pending(&self) -> usize {
        self.queue.len()
    }

    /// A host, unless it was killed.
    #[must_use]
    pub fn host(&self, id: HostId) -> Option<&H> {
        self.slots.get(id.index())?.host.as_ref()
    }

    /// The endpoint at which a host was settled last.
    #[must_use]
    pub fn addr(&self, id: HostId) -> SocketAddr {
        self.slots[id.index()].home.addr
    }

    /// The living hosts, oldest first.
    pub fn hosts(&self) -> impl Iterator<Item = (HostId, &H)> {
        self.slots.iter().enumerate().filter_map(|(index, slot)| Some((HostId::nth(index), slot.host.as_ref()?)))
    }

    /// Settles a host and lets it act.
    ///
    /// # Panics
    /// If another host lives at that endpoint.
    pub fn spawn(&mut self, home: Home, host: H) -> HostId {
        let id = HostId::nth(self.slots.len());
        let (deadline, queued) = (Instant::FAR_FUTURE, Instant::FAR_FUTURE);
        self.slots.push(Slot { host: Some(host), home, deadline, queued, asleep: false });
        self.settle(id);
        self.record(b'S', id, &[]);
        self.act(id, |_, _| ());
        id
    }

    /// Ends a host without a word to anyone, and hands it back.
    pub fn kill(&mut self, id: HostId) -> Option<H> {
        let host = self.slots[id.index()].host.take()?;
        self.unsettle(id);
        self.record(b'K', id, &[]);
        Some(host)
    }

    /// Moves a host to another endpoint, as a new lease from its provider does. The host is not told.
    pub fn relocate(&mut self, id: HostId, home: Home) {
        self.unsettle(id);
        self.slots[id.index()].home = home;
        self.settle(id);
    }

    /// Suspends a host: it neither hears nor acts until [`Self::resume`].
    pub fn suspend(&mut self, id: HostId) {
        self.slots[id.index()].asleep = true;
    }

    /// Wakes a suspended host; a deadline that it missed is due at once.
    pub fn resume(&mut self, id: HostId) {
        self.slots[id.index()].asleep = false;
        self.slots[id.index()].queued = Instant::FAR_FUTURE;
        self.schedule(id);
    }

    /// Gives a host a command and carries out what it then wants. `None` if it was killed.
    pub fn call<R>(&mut self, id: HostId, command: impl FnOnce(&mut H, Instant) -> R) -> Option<R> {
        self.slots.get(id.index())?.host.as_ref()?;
        Some(self.act(id, command))
    }

    /// Runs everything that is due until `until`, and moves the clock there.
    pub fn run_until(&mut self, until: Instant) {
        while self.step(until) {}
        self.now = self.now.max(until);
    }

    /// Runs for this long.
    pub fn run_for(&mut self, duration: Duration) {
        self.run_until(self.now + duration);
    }

    /// Runs until `done` says so after an event, but no longer than `limit`. Whether it said so.
    pub fn run_while(&mut self, limit: Duration, mut busy: impl FnMut(&Self) -> bool) -> bool {
        let until = self.now + limit;
        while busy(self) {
            if !self.step(until) {
                self.now = until;
                return !busy(self);
            }
        }
        true
    }

    /// Whether there are reports to take.
    #[must_use]
    pub fn has_reports(&self) -> bool {
        !self.reports.is_empty()
    }

    /// Takes the reports that hosts made since the last call, in the order in which they were made.
    pub fn take_reports(&mut self) -> Vec<(Instant, HostId, H::Report)> {
        std::mem::take(&mut self.reports)
    }

    /// Handles the next event that is due until `until`; `false` if there is none.
    pub fn step(&mut self, until: Instant) -> bool {
        let Some((at, due)) = self.queue.pop(until) else { return false };
        debug_assert!(self.now <= at, "time went backwards");
        self.now = self.now.max(at);
        self.counters.events += 1;
        match due {
            Due::Arrival(packet) => self.arrive(packet),
            Due::Wakeup(host) => self.wake(host, at),
        }
        true
    }

    fn arrive(&mut self, id: PacketId) {
        let (from, to) = (self.queue.packet(id).from, self.queue.packet(id).to);
        let payload = self.queue.take_payload(id);
        if let Some(host) = self.receiver(from, to) {
            self.counters.delivered += 1;
            self.record(b'D', host, &payload);
            self.act(host, |host, now| host.handle_datagram(now, from, &payload));
        }
        self.queue.release(id, payload);
    }

    /// Who hears a packet from `from` to `to`.
    fn receiver(&mut self, from: SocketAddr, to: SocketAddr) -> Option<HostId> {
        let found = self.endpoints.get(&to).or_else(|| self.translators.get(&to.ip())).copied();
        let Some(id) = found.filter(|id| !self.slots[id.index()].asleep) else {
            self.counters.unheard += 1;
            return None;
        };
        let refused =
            self.slots[id.index()].home.nat.as_ref().is_some_and(|nat| !nat.admits(self.now, from, to.port()));
        self.counters.refused += u64::from(refused);
        (!refused).then_some(id)
    }

    fn wake(&mut self, id: HostId, at: Instant) {
        let slot = &mut self.slots[id.index()];
        if slot.queued == at {
            slot.queued = Instant::FAR_FUTURE;
        }
        if slot.host.is_none() || slot.asleep {
            return;
        }
        if slot.deadline > self.now {
            return self.schedule(id);
        }
        slot.deadline = Instant::FAR_FUTURE;
        self.record(b'W', id, &[]);
        self.act(id, Host::handle_timeout);
    }

    /// Lets a host do one thing, and then carries out its actions.
    fn act<R>(&mut self, id: HostId, deed: impl FnOnce(&mut H, Instant) -> R) -> R {
        let mut host = self.slots[id.index()].host.take().expect("only the living act");
        let result = deed(&mut host, self.now);
        self.drain(id, &mut host);
        self.check(id, |invariant, now| invariant.on_rest(now, &host));
        self.slots[id.index()].host = Some(host);
        result
    }

    fn drain(&mut self, id: HostId, host: &mut H) {
        for _ in 0..ACTIONS_AT_ONCE {
            match host.poll_action() {
                Action::Transmit { to, payload } => self.transmit(id, to, payload),
                Action::Report(report) => self.reports.push((self.now, id, report)),
                Action::Wait(deadline) => {
                    self.slots[id.index()].deadline = deadline;
                    return self.schedule(id);
                }
            }
        }
        self.broken(id, "actions end", "the host never waits");
    }

    fn transmit(&mut self, id: HostId, to: SocketAddr, payload: &[u8]) {
        let now = self.now;
        self.counters.sent += 1;
        self.counters.sent_bytes += payload.len() as u64;
        let home = &mut self.slots[id.index()].home;
        let from = home.nat.as_mut().map_or(home.addr, |nat| nat.outbound(now, to));
        self.check(id, |invariant, now| invariant.on_transmit(now, to, payload));
        let copies = self.link.pass(now, from, to, payload.len());
        self.counters.lost += u64::from(copies.is_empty());
        for delay in copies {
            self.queue.arrive(now + delay, from, to, payload);
        }
    }

    /// Puts the deadline of a host into the queue, unless an earlier wake-up of it waits there.
    fn schedule(&mut self, id: HostId) {
        let slot = &mut self.slots[id.index()];
        let at = slot.deadline.max(self.now);
        if slot.deadline != Instant::FAR_FUTURE && at < slot.queued {
            slot.queued = at;
            self.queue.wake(at, id);
        }
    }

    fn settle(&mut self, id: HostId) {
        let home = &self.slots[id.index()].home;
        let before = match &home.nat {
            Some(nat) => self.translators.insert(nat.public_ip(), id),
            None => self.endpoints.insert(home.addr, id),
        };
        assert!(before.is_none(), "two hosts at {}", home.addr);
    }

    fn unsettle(&mut self, id: HostId) {
        let home = &self.slots[id.index()].home;
        match &home.nat {
            Some(nat) => self.translators.remove(&nat.public_ip()),
            None => self.endpoints.remove(&home.addr),
        };
    }

    fn record(&mut self, kind: u8, host: HostId, payload: &[u8]) {
        let mut head = [0; 13];
        head[0] = kind;
        head[1..9].copy_from_slice(&self.now.as_micros().to_le_bytes());
        head[9..].copy_from_slice(&host.number().to_le_bytes());
        self.trace.write(&head);
        self.trace.write(payload);
    }

    fn check(&mut self, id: HostId, ask: impl Fn(&mut dyn Invariant<H>, Instant) -> Result<(), String>) {
        let now = self.now;
        let broken =
            self.invariants.iter_mut().find_map(|each| ask(&mut **each, now).err().map(|what| (each.name(), what)));
        if let Some((name, what)) = broken {
            self.broken(id, name, &what);
        }
    }

    /// Ends the run with the one line that repeats it: where it broke, and all that the history up to there follows
    /// from. Equal traces mean that the repetition was one.
    fn broken(&self, id: HostId, name: &str, what: &str) -> ! {
        let (link, seed) = (self.link.seed(), self.seed);
        let link = if link == seed { String::new() } else { format!(", link seed {link}") };
        panic!(
            "invariant broken: {name}: {what} (host {} of {}, at {}, event {}, trace {:016x}; repeat with seed {seed}{link})",
            id.number(),
            self.addr(id),
            self.now,
            self.counters.events,
            self.trace()
        )
    }
}

#[cfg(test)]
#[path = "world_tests.rs"]
mod tests;
