//! Runs one node on one socket: owns both, moves datagrams, time, commands and events between them.
//!
//! Channels are bounded. Commands of the engine wait in one while the node has no room for another operation; requests of
//! the owner are answered at once. An operation's events fit
//! into its channel whatever it does, because the engine bounds them; a channel whose receiver is gone cancels its
//! operation.

use std::collections::{HashMap, VecDeque};
use std::future::Future;
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use tokio::sync::{mpsc, oneshot, watch};

use super::bootstrap::{Resolved, resolve, to_look_up};
use super::clock::Clock;
use super::latency::Latencies;
use super::news::{News, Voices};
use super::socket::{Counters, Socket};
use crate::engine::contact::{Contact, Family};
use crate::engine::id::NodeId;
use crate::engine::limits::{PLACES, QUERIES_PER_LOOKUP, QUERIES_PER_REGION};
use crate::engine::node::{Command, Event, Node, OpId, Output, OwnAnnounce, SlicedSnapshot, Stats};
use crate::engine::routing::{Entry, Health};
use crate::engine::time::Instant;

/// More than the events of any operation: each query may bring an answer and peers, and each place
/// stores or refuses; twice if it is retried.
const EVENTS: usize = 2 * (2 * (QUERIES_PER_LOOKUP + QUERIES_PER_REGION) + PLACES) + 8;
/// Most commands, and most requests, that wait.
const WAITING: usize = 256;
/// Batches of datagrams between two looks at commands and timers.
const BATCHES_IN_A_ROW: usize = 16;

/// A command, and where the events of its operation go.
type Begin = (Command, mpsc::Sender<Event>);

/// What the owner of a node wants of it, commands of the engine apart.
#[derive(Debug)]
pub enum Request {
    /// Join through these; the look-up of names is over.
    Join(Resolved),
    /// The host is somewhere else: be bound to `to` from now on, if you are not already.
    Move {
        /// The address to be bound to.
        to: SocketAddr,
        /// The address that others see, where that is certain.
        external: Option<IpAddr>,
    },
    /// Take these as contacts of the other family.
    OtherFamily(Vec<Contact>),
    /// Say how you are.
    Status(oneshot::Sender<Status>),
    /// Name the good contacts.
    GoodContacts(oneshot::Sender<Vec<Contact>>),
    /// Say how each contact of the table is.
    Table(oneshot::Sender<Vec<Known>>),
    /// Say what came of our own announces.
    OwnAnnounces(oneshot::Sender<Vec<OwnAnnounce>>),
    /// Contact this many new endpoints from now on.
    NewDestinations {
        /// A second, sustained.
        per_second: u32,
        /// At once.
        burst: u32,
    },
    /// Say what to keep for the next run.
    Snapshot(oneshot::Sender<SlicedSnapshot>),
    /// Stop, and say what to keep.
    Shutdown(oneshot::Sender<SlicedSnapshot>),
    /// Panic, as a bug would.
    #[cfg(test)]
    Panic,
}

/// How a node is.
#[derive(Clone, Debug)]
pub struct Status {
    /// Where it is bound.
    pub local_addr: SocketAddr,
    /// Its id.
    pub id: NodeId,
    /// Where others see it, once enough of them agree.
    pub external_addr: Option<SocketAddr>,
    /// The same by those who said so up to now: for what does no harm if it is wrong.
    pub likely_external_addr: Option<SocketAddr>,
    /// Of those who see it there, how many see that port, and how many there are.
    pub external_port_votes: (usize, usize),
    /// Whether strangers have reached it: nodes that it had not contacted.
    pub reached: bool,
    /// Contacts in the table.
    pub contacts: usize,
    /// Of those, good ones.
    pub good_contacts: usize,
    /// Estimated number of nodes in the network.
    pub network_size: Option<f64>,
    /// Infohashes that others store with it.
    pub swarms: usize,
    /// Peers of those.
    pub peers: usize,
    /// Memory that those take, about, in bytes.
    pub peer_bytes: usize,
    /// Items that others store with it.
    pub items: usize,
    /// Memory that those take, about, in bytes.
    pub item_bytes: usize,
    /// Names of nodes to join through whose addresses are not known: a name server has not answered, or knows none.
    pub unresolved: Vec<String>,
    /// Our own announces that live and that another query has looked for, and of those the ones that it has seen.
    pub own_announces: (usize, usize),
    /// Our own announces that live whose key nodes crowd around.
    pub keys_under_alarm: usize,
    /// What was counted.
    pub stats: Stats,
    /// Datagrams that went through its sockets, and those that did not.
    pub datagrams: Counters,
    /// How long its lookups took.
    pub latencies: Latencies,
}

/// A contact of the table.
#[derive(Clone, Copy, Debug)]
pub struct Known {
    /// Where the node listens whose table it is in.
    pub own_addr: SocketAddr,
    /// Who it is.
    pub contact: Contact,
    /// Its state (BEP 5).
    pub health: Health,
    /// Smoothed round-trip time.
    pub rtt: Duration,
    /// Time since it entered the table.
    pub known_for: Duration,
    /// Time since it last showed life.
    pub seen_ago: Duration,
}

/// An operation that runs: where its events go, and what of it is measured.
struct Operation {
    events: mpsc::Sender<Event>,
    /// Since when, for lookups of peers.
    timed: Option<Instant>,
    has_peers: bool,
}

impl Operation {
    fn begin(now: Instant, command: &Command, events: mpsc::Sender<Event>) -> Self {
        let is_timed = matches!(command, Command::FindPeers { .. } | Command::Announce { .. });
        Self { events, timed: is_timed.then_some(now), has_peers: false }
    }

    /// Measures what this event of it ends.
    fn measure(&mut self, now: Instant, event: &Event, latencies: &mut Latencies) {
        let Some(began) = self.timed else { return };
        match event {
            Event::Peers { .. } if !std::mem::replace(&mut self.has_peers, true) => {
                latencies.first_peer.note(now.since(began));
            }
            Event::Done { summary, .. } => latencies.end.note(summary.elapsed),
            _ => {}
        }
    }
}

/// A running node, from outside.
#[derive(Clone, Debug)]
pub struct NodeHandle {
    commands: mpsc::Sender<Begin>,
    requests: mpsc::Sender<Request>,
    ready: watch::Receiver<Option<usize>>,
    local_addr: watch::Receiver<SocketAddr>,
}

impl NodeHandle {
    /// Where it is bound.
    #[must_use]
    pub fn local_addr(&self) -> SocketAddr {
        *self.local_addr.borrow()
    }

    /// Whether it has joined, with how many contacts; changes once.
    #[must_use]
    pub fn ready(&self) -> watch::Receiver<Option<usize>> {
        self.ready.clone()
    }

    /// Begins an operation; the receiver ends at once if the node has stopped.
    pub async fn begin(&self, command: Command) -> mpsc::Receiver<Event> {
        let (events, receiver) = mpsc::channel(EVENTS);
        // A node that has stopped drops the command and with it the sender: the receiver sees the end.
        let _ = self.commands.send((command, events)).await;
        receiver
    }

    /// Sends a request that has no answer.
    pub async fn tell(&self, request: Request) {
        let _ = self.requests.send(request).await;
    }

    /// Sends a request and waits for its answer; `None` if the node has stopped.
    pub async fn ask<T>(&self, request: impl FnOnce(oneshot::Sender<T>) -> Request) -> Option<T> {
        let (reply, answer) = oneshot::channel();
        self.requests.send(request(reply)).await.ok()?;
        answer.await.ok()
    }
}

/// Puts `node` on `socket`: a handle, and the task that runs it. The task ends on [`Request::Shutdown`] or when the last
/// handle is gone.
pub fn prepare(
    node: Node,
    socket: Socket,
    clock: Clock,
    routers: Vec<String>,
    voices: Voices,
) -> (NodeHandle, impl Future<Output = ()> + Send + 'static) {
    let (commands, to_begin) = mpsc::channel(WAITING);
    let (requests, to_answer) = mpsc::channel(WAITING);
    let (ready_sender, ready) = watch::channel(None);
    let (addr_sender, local_addr) = watch::channel(socket.local_addr());
    let driver = Driver {
        node,
        clock,
        operations: HashMap::new(),
        snapshots: VecDeque::new(),
        routers,
        routers_resolved: false,
        unresolved: Vec::new(),
        resolving: false,
        own_requests: requests.downgrade(),
        ready: ready_sender,
        local_addr: addr_sender,
        voices,
        latencies: Latencies::default(),
        counted_before: Counters::default(),
    };
    (NodeHandle { commands, requests, ready, local_addr }, driver.run(socket, to_begin, to_answer))
}

struct Driver {
    node: Node,
    clock: Clock,
    operations: HashMap<OpId, Operation>,
    /// Snapshots that are being made, a slice at each turn of the loop, and who waits for them.
    snapshots: VecDeque<(SlicedSnapshot, oneshot::Sender<SlicedSnapshot>)>,
    routers: Vec<String>,
    routers_resolved: bool,
    /// Those of them whose addresses are not known.
    unresolved: Vec<String>,
    /// A look-up of their names is not over.
    resolving: bool,
    own_requests: mpsc::WeakSender<Request>,
    ready: watch::Sender<Option<usize>>,
    local_addr: watch::Sender<SocketAddr>,
    voices: Voices,
    latencies: Latencies,
    /// What was counted at sockets that this node had before.
    counted_before: Counters,
}

impl Driver {
    async fn run(
        mut self,
        mut socket: Socket,
        mut to_begin: mpsc::Receiver<Begin>,
        mut to_answer: mpsc::Receiver<Request>,
    ) {
        let mut sleep = std::pin::pin!(tokio::time::sleep_until(self.clock.deadline(self.clock.now())));
        let mut waiting_until = Instant::ZERO;
        loop {
            let deadline = self.drain(&mut socket);
            if deadline != waiting_until {
                sleep.as_mut().reset(self.clock.deadline(deadline));
                waiting_until = deadline;
            }
            let unsent = socket.flush().left > 0;
            if !self.node.has_room_for_operations() {
                self.cancel_abandoned();
            }
            tokio::select! {
                Some((command, events)) = to_begin.recv(), if self.node.has_room_for_operations() => {
                    if !events.is_closed() {
                        // Whoever asks right after a sleep finds everything overdue done.
                        self.node.handle_timeout(self.clock.now());
                        let now = self.clock.now();
                        let operation = Operation::begin(now, &command, events);
                        self.operations.insert(self.node.begin(now, command), operation);
                    }
                }
                request = to_answer.recv() => match request {
                    Some(Request::Shutdown(reply)) => {
                        let _ = reply.send(self.whole_snapshot());
                        return;
                    }
                    Some(request) => self.answer(request, &mut socket),
                    None => return,
                },
                () = tokio::task::yield_now(), if !self.snapshots.is_empty() => self.continue_snapshot(),
                _ = socket.readable() => self.receive(&mut socket),
                _ = socket.writable(), if unsent => {}
                () = sleep.as_mut() => {
                    waiting_until = Instant::ZERO;
                    self.cancel_abandoned();
                    self.node.handle_timeout(self.clock.now());
                }
            }
        }
    }

    /// Hands over what has arrived, with one reading of the clock for each batch.
    fn receive(&mut self, socket: &mut Socket) {
        for _ in 0..BATCHES_IN_A_ROW {
            let now = self.clock.now();
            match socket.receive(|from, bytes| self.node.handle_datagram(now, from, bytes)) {
                Ok(0) => return,
                Ok(_) => drop(self.drain(socket)),
                Err(error) => {
                    tracing::debug!(%error, "receiving failed");
                    return;
                }
            }
        }
    }

    /// Takes all output of the node; returns its deadline.
    fn drain(&mut self, socket: &mut Socket) -> Instant {
        loop {
            match self.node.poll_output() {
                Output::Transmit { to, payload } => {
                    tracing::trace!(%to, bytes = payload.len(), "sending");
                    if !socket.push(to, payload) {
                        socket.flush();
                        // Where the kernel has no room either, the datagram is lost, as datagrams may be.
                        let _ = socket.push(to, payload);
                    }
                }
                Output::Event(event) => self.pass_on(event),
                Output::Wait(deadline, _) => {
                    socket.flush();
                    return deadline;
                }
            }
        }
    }

    fn pass_on(&mut self, event: Event) {
        let Some(op) = event.op() else { return self.take_note(&event) };
        let over = matches!(event, Event::Done { .. });
        let Some(operation) = self.operations.get_mut(&op) else { return };
        operation.measure(self.clock.now(), &event, &mut self.latencies);
        let gone = operation.events.try_send(event).is_err();
        if gone {
            self.node.cancel(op);
        }
        if gone || over {
            self.operations.remove(&op);
        }
    }

    /// Ends the operations that nobody waits for any more, so that others get their turn.
    fn cancel_abandoned(&mut self) {
        let node = &mut self.node;
        self.operations.retain(|op, operation| {
            if operation.events.is_closed() {
                node.cancel(*op);
            }
            !operation.events.is_closed()
        });
    }

    /// An event that concerns the node as a whole.
    fn take_note(&mut self, event: &Event) {
        let listening = *self.local_addr.borrow();
        // That nobody listens is no reason to do otherwise.
        let _ = self.voices.news.send(News { local_addr: listening, event: event.clone() });
        match event {
            Event::Ready { contacts } => {
                let _ = self.ready.send(Some(*contacts));
                // One that has joined through saved nodes does not know yet whom to keep out of its table.
                if !self.routers_resolved {
                    self.resolve_routers();
                }
            }
            Event::Disconnected => {
                tracing::warn!(%listening, "no other node answers any more; it is tried again and again");
                self.voices.look_again.notify_one();
            }
            Event::Reconnected => tracing::info!(%listening, "other nodes answer again"),
            Event::Woke { slept } => {
                tracing::info!(%listening, seconds = slept.as_secs(), "this host slept: what is overdue is done now");
                self.announce_again();
            }
            Event::IdTaken { id, by } => {
                tracing::debug!(%by, "another node answers under our id");
                tracing::warn!(
                    %listening, %id,
                    "another node has our id, perhaps from a copy of the data folder; this one has another id now"
                );
                self.announce_again();
            }
            Event::RoutersWanted => self.resolve_routers(),
            Event::Reachable => tracing::info!("strangers reach this node: it serves from now on (BEP 43)"),
            Event::IdChanged { id, external } => {
                tracing::info!(%id, "the node id now fits the external address (BEP 42)");
                tracing::debug!(%external, "external address");
                self.announce_again();
            }
            _ => {}
        }
    }

    /// Resolves names on a task of its own, which reports back by a command.
    fn resolve_routers(&mut self) {
        if std::mem::replace(&mut self.resolving, true) {
            return;
        }
        self.routers_resolved = true;
        let family = Family::of(&self.local_addr.borrow());
        self.unresolved = to_look_up(&self.routers).cloned().collect();
        let (names, requests) = (self.routers.clone(), self.own_requests.clone());
        #[expect(clippy::disallowed_methods, reason = "ends by itself: each name has a timeout")]
        tokio::spawn(async move {
            let resolved = resolve(&names, family).await;
            if let Some(requests) = requests.upgrade() {
                let _ = requests.send(Request::Join(resolved)).await;
            }
        });
    }

    /// Announces that were made before tell others an address that we no longer have, or are too old.
    fn announce_again(&self) {
        self.voices.announce_again.send_modify(|occasions| *occasions += 1);
    }

    /// Goes on at another address, at the same port if it can be had. Table, stores and operations stay.
    fn relocate(&mut self, socket: &mut Socket, to: SocketAddr, external: Option<IpAddr>) {
        let from = socket.local_addr();
        if to != from {
            match self.rebind(socket, to) {
                Ok(()) => tracing::info!(%from, to = %socket.local_addr(), "listening at another address"),
                Err(error) => {
                    return tracing::warn!(%from, %to, %error, "this host has another address, which cannot be bound");
                }
            }
        }
        self.node.moved(self.clock.now(), external);
        self.announce_again();
    }

    fn rebind(&mut self, socket: &mut Socket, to: SocketAddr) -> io::Result<()> {
        let (from, counted) = (socket.local_addr(), socket.counters());
        if from.ip().is_unspecified() {
            // A wildcard holds the port of all addresses: it must go first.
            *socket = Socket::bind(SocketAddr::new(from.ip(), 0))?;
        }
        let new = Socket::bind(to).or_else(|_| Socket::bind(SocketAddr::new(to.ip(), 0)));
        match new {
            Ok(new) => {
                *socket = new;
                self.counted_before = self.counted_before.plus(counted);
                self.local_addr.send_replace(socket.local_addr());
                Ok(())
            }
            Err(error) => {
                *socket = Socket::bind(from)?;
                Err(error)
            }
        }
    }

    fn answer(&mut self, request: Request, socket: &mut Socket) {
        let now = self.clock.now();
        match request {
            Request::Join(resolved) => {
                self.resolving = false;
                self.unresolved.clone_from(&resolved.failed);
                self.node.add_routers(now, &resolved.public);
                self.node.add_named(now, &resolved.named);
            }
            Request::OtherFamily(contacts) => self.node.set_other_family(contacts.into_iter()),
            Request::Status(reply) => drop(reply.send(self.status(now, socket))),
            Request::GoodContacts(reply) => drop(reply.send(self.node.good_contact_list(now))),
            Request::Table(reply) => drop(reply.send(self.table(now, socket))),
            Request::OwnAnnounces(reply) => drop(reply.send(self.node.own_announces(now).collect())),
            Request::NewDestinations { per_second, burst } => self.node.set_new_destinations(now, per_second, burst),
            Request::Move { to, external } => self.relocate(socket, to, external),
            Request::Snapshot(reply) => self.snapshots.push_back((self.node.begin_snapshot(now), reply)),
            Request::Shutdown(reply) => drop(reply.send(self.whole_snapshot())),
            #[cfg(test)]
            Request::Panic => panic!("a test asked for it"),
        }
    }

    /// A slice more of the oldest snapshot; whoever waits for it has it when it is whole.
    fn continue_snapshot(&mut self) {
        let Some((mut snapshot, reply)) = self.snapshots.pop_front() else { return };
        if self.node.continue_snapshot(self.clock.now(), &mut snapshot) {
            self.snapshots.push_front((snapshot, reply));
        } else {
            let _ = reply.send(snapshot);
        }
    }

    /// The last snapshot of a node that serves no longer.
    fn whole_snapshot(&self) -> SlicedSnapshot {
        let now = self.clock.now();
        let mut snapshot = self.node.begin_snapshot(now);
        while self.node.continue_snapshot(now, &mut snapshot) {}
        snapshot
    }

    fn status(&self, now: Instant, socket: &Socket) -> Status {
        let own = || self.node.own_announces(now);
        Status {
            local_addr: socket.local_addr(),
            datagrams: self.counted_before.plus(socket.counters()),
            id: self.node.id(),
            external_addr: self.node.external_addr(),
            likely_external_addr: self.node.likely_external_addr(),
            external_port_votes: self.node.external_port_votes(),
            reached: self.node.is_reached(),
            contacts: self.node.entries().count(),
            good_contacts: self.node.good_contacts(now),
            network_size: self.node.network_size(),
            swarms: self.node.peers().swarms(),
            peers: self.node.peers().peers(),
            peer_bytes: self.node.peers().used_bytes(),
            items: self.node.items().len(),
            item_bytes: self.node.items().used_bytes(),
            unresolved: self.unresolved.clone(),
            own_announces: OwnAnnounce::count_seen(own()),
            keys_under_alarm: own().filter(|announce| announce.alarm).count(),
            stats: *self.node.stats(),
            latencies: self.latencies,
        }
    }

    fn table(&self, now: Instant, socket: &Socket) -> Vec<Known> {
        let own_addr = socket.local_addr();
        let known = |entry: &Entry| Known {
            own_addr,
            contact: entry.contact,
            health: entry.health(now),
            rtt: entry.rtt(),
            known_for: now.since(entry.added),
            seen_ago: now.since(entry.seen),
        };
        self.node.entries().map(known).collect()
    }
}
