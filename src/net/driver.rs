//! Runs one node on one socket: owns both, moves datagrams, time, commands and events between them.
//!
//! Channels are bounded. Commands of the engine wait in one while the node has no room for another operation; requests of
//! the owner are answered at once. An operation's events fit
//! into its channel whatever it does, because the engine bounds them; a channel whose receiver is gone cancels its
//! operation.

use std::collections::HashMap;
use std::future::Future;
use std::net::SocketAddr;

use tokio::sync::{mpsc, oneshot, watch};

use super::bootstrap::resolve;
use super::clock::Clock;
use super::socket::Socket;
use crate::engine::contact::{Contact, Family};
use crate::engine::id::Id;
use crate::engine::limits::{PLACES, QUERIES_PER_LOOKUP};
use crate::engine::node::{Command, Event, Node, OpId, Output, Snapshot, Stats};
use crate::engine::time::Instant;

/// More than the events of any operation: each query may bring an answer and peers, and each place
/// stores or refuses; twice if it is retried.
const EVENTS: usize = 2 * (2 * QUERIES_PER_LOOKUP + PLACES) + 8;
/// Most commands, and most requests, that wait.
const WAITING: usize = 256;
/// Batches of datagrams between two looks at commands and timers.
const BATCHES_IN_A_ROW: usize = 16;

/// A command, and where the events of its operation go.
type Begin = (Command, mpsc::Sender<Event>);

/// What the owner of a node wants of it, commands of the engine apart.
#[derive(Debug)]
pub enum Request {
    /// Take these as routers.
    Routers(Vec<SocketAddr>),
    /// Take these as contacts of the other family.
    OtherFamily(Vec<Contact>),
    /// Say how you are.
    Status(oneshot::Sender<Status>),
    /// Name the good contacts.
    GoodContacts(oneshot::Sender<Vec<Contact>>),
    /// Say what to keep for the next run.
    Snapshot(oneshot::Sender<Snapshot>),
    /// Stop, and say what to keep.
    Shutdown(oneshot::Sender<Snapshot>),
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
    pub id: Id,
    /// Where others see it, once enough of them agree.
    pub external_addr: Option<SocketAddr>,
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
    /// Items that others store with it.
    pub items: usize,
    /// Our own announces that live, and of those the ones that another query has seen.
    pub own_announces: (usize, usize),
    /// What was counted.
    pub stats: Stats,
}

/// A running node, from outside.
#[derive(Clone, Debug)]
pub struct NodeHandle {
    commands: mpsc::Sender<Begin>,
    requests: mpsc::Sender<Request>,
    ready: watch::Receiver<Option<usize>>,
    local_addr: SocketAddr,
}

impl NodeHandle {
    /// Where it is bound.
    #[must_use]
    pub const fn local_addr(&self) -> SocketAddr {
        self.local_addr
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
) -> (NodeHandle, impl Future<Output = ()> + Send + 'static) {
    let (commands, to_begin) = mpsc::channel(WAITING);
    let (requests, to_answer) = mpsc::channel(WAITING);
    let (ready_sender, ready) = watch::channel(None);
    let local_addr = socket.local_addr();
    let driver = Driver {
        node,
        clock,
        operations: HashMap::new(),
        routers,
        routers_resolved: false,
        own_requests: requests.downgrade(),
        ready: ready_sender,
        local_addr,
    };
    (NodeHandle { commands, requests, ready, local_addr }, driver.run(socket, to_begin, to_answer))
}

struct Driver {
    node: Node,
    clock: Clock,
    operations: HashMap<OpId, mpsc::Sender<Event>>,
    routers: Vec<String>,
    routers_resolved: bool,
    own_requests: mpsc::WeakSender<Request>,
    ready: watch::Sender<Option<usize>>,
    local_addr: SocketAddr,
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
                        let op = self.node.begin(self.clock.now(), command);
                        self.operations.insert(op, events);
                    }
                }
                request = to_answer.recv() => match request {
                    Some(Request::Shutdown(reply)) => {
                        let _ = reply.send(self.node.snapshot(self.clock.now()));
                        return;
                    }
                    Some(request) => self.answer(request),
                    None => return,
                },
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
        let Some(receiver) = self.operations.get(&op) else { return };
        let gone = receiver.try_send(event).is_err();
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
        self.operations.retain(|op, events| {
            if events.is_closed() {
                node.cancel(*op);
            }
            !events.is_closed()
        });
    }

    /// An event that concerns the node as a whole.
    fn take_note(&mut self, event: &Event) {
        match event {
            Event::Ready { contacts } => {
                let _ = self.ready.send(Some(*contacts));
                // One that has joined through saved nodes does not know yet whom to keep out of its table.
                if !self.routers_resolved {
                    self.resolve_routers();
                }
            }
            Event::Disconnected => {
                tracing::info!(listening = %self.local_addr, "no other node answers any more; trying on")
            }
            Event::Reconnected => tracing::info!(listening = %self.local_addr, "other nodes answer again"),
            Event::RoutersWanted => self.resolve_routers(),
            Event::Reachable => tracing::info!("strangers reach this node: it serves from now on (BEP 43)"),
            Event::IdChanged { id, external } => {
                tracing::info!(%id, "the node id now fits the external address (BEP 42)");
                tracing::debug!(%external, "external address");
            }
            _ => {}
        }
    }

    /// Resolves names on a task of its own, which reports back by a command.
    fn resolve_routers(&mut self) {
        self.routers_resolved = true;
        let (names, family, requests) = (self.routers.clone(), Family::of(&self.local_addr), self.own_requests.clone());
        #[expect(clippy::disallowed_methods, reason = "ends by itself: each name has a timeout")]
        tokio::spawn(async move {
            let addrs = resolve(&names, family).await;
            if let Some(requests) = requests.upgrade() {
                let _ = requests.send(Request::Routers(addrs)).await;
            }
        });
    }

    fn answer(&mut self, request: Request) {
        let now = self.clock.now();
        match request {
            Request::Routers(addrs) => self.node.add_routers(now, &addrs),
            Request::OtherFamily(contacts) => self.node.set_other_family(contacts.into_iter()),
            Request::Status(reply) => drop(reply.send(self.status(now))),
            Request::GoodContacts(reply) => drop(reply.send(self.node.good_contact_list(now))),
            Request::Snapshot(reply) | Request::Shutdown(reply) => drop(reply.send(self.node.snapshot(now))),
            #[cfg(test)]
            Request::Panic => panic!("a test asked for it"),
        }
    }

    fn status(&self, now: Instant) -> Status {
        let own = || self.node.own_announces(now);
        Status {
            local_addr: self.local_addr,
            id: *self.node.id(),
            external_addr: self.node.external_addr(),
            contacts: self.node.entries().count(),
            good_contacts: self.node.good_contacts(now),
            network_size: self.node.network_size(),
            swarms: self.node.peers().swarms(),
            peers: self.node.peers().peers(),
            items: self.node.items().len(),
            own_announces: (own().count(), own().filter(|announce| announce.verified > 0).count()),
            stats: *self.node.stats(),
        }
    }
}
