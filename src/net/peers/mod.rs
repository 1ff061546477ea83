//! Connections to BitTorrent clients, by TCP: what each of several peers has to say of a torrent, and its info dictionary
//! from all of them together.
//!
//! A [`Visit`] connects to the peers that its caller hands over, a bounded number at a time. What is said on a connection is
//! decided by [`peer::connection`](crate::peer::connection), whom to ask for what by
//! [`peer::gathering`](crate::peer::gathering). No task is started: all of it runs inside the future that its caller waits
//! for, and ends with it.
//!
//! A peer that closes the connection without a word is connected to once more, encrypted: some take nothing else
//! (libtorrent, Transmission and aria2 where they are told so). Plain comes first, because nearly all take it and it has
//! an answer in one round trip, without a key exchange.

pub mod caution;

use std::io;
use std::net::SocketAddr;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use futures_core::Stream;
use futures_util::StreamExt as _;
use futures_util::stream::FuturesUnordered;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::sync::{Notify, mpsc};
use tokio::time::{Instant, timeout, timeout_at};

use super::entropy;
use crate::engine::id::InfoHash;
use crate::peer::connection::{Connection, Said, WireError};
use crate::peer::encryption::Randomness;
use crate::peer::gathering::{ClientNumber, Gathering, Received};

pub use self::caution::connect;

/// What a visit may take.
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    /// Most connections at a time.
    pub at_once: usize,
    /// Most peers that are connected to.
    pub peers: usize,
    /// Longest time until a connection is there.
    pub connect: Duration,
    /// Longest time that a connected peer may be silent while something is awaited of it.
    pub silence: Duration,
    /// Longest time that one peer may take in all.
    pub each: Duration,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            at_once: 16,
            peers: 64,
            connect: Duration::from_millis(2_500),
            silence: Duration::from_secs(5),
            each: Duration::from_secs(60),
        }
    }
}

/// When a visit is over.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Goal {
    /// As soon as the metadata is there.
    Metadata,
    /// When every peer has said what it has to say.
    Everyone,
}

/// Something that became known of a peer.
#[derive(Clone, Debug)]
pub struct News {
    /// The peer.
    pub peer: SocketAddr,
    /// What became known.
    pub step: Step,
}

/// How far a peer has come.
#[derive(Debug, Clone)]
pub enum Step {
    /// It is going to be connected to.
    Met,
    /// A connection is there.
    Connected,
    /// It closed the plain connection without a word, and has answered an encrypted one.
    DemandsEncryption,
    /// It takes part in the swarm; its name (BEP 20).
    Greeted([u8; 20]),
    /// It offers the metadata.
    Offers,
    /// It gave a part of the metadata.
    Gave,
    /// It takes part in the swarm and has no metadata to give, for this reason.
    GivesNothing(Nothing),
    /// Nothing more comes of it, for this reason.
    Lost(Trouble),
    /// The connection has ended; nothing follows.
    Done,
}

/// Why a peer that takes part in a swarm gives no metadata.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Nothing {
    /// It has none yet: it came by a magnet link.
    NoneYet,
    /// It does not offer the extension, as clients do for private torrents.
    NotOffered,
    /// It refused.
    Rejected,
}

/// Why nothing comes of a peer.
#[derive(Debug, Clone)]
pub enum Trouble {
    /// It was not spoken to.
    Avoided(caution::Reason),
    /// No connection.
    Unreachable(io::ErrorKind),
    /// The connection came to no end in time.
    Unanswered,
    /// Connected, it said nothing for too long.
    Silent,
    /// It closed the connection before its handshake, and spoke on no encrypted one either.
    ClosedAtOnce,
    /// It closed the plain connection at once, and the encrypted one in the middle of the handshake.
    ClosedEncrypted,
    /// It closed the connection later.
    Closed,
    /// What it said cannot be used.
    Wire(WireError),
}

/// The info dictionary of a torrent from its peers.
#[derive(Debug)]
pub struct Visit {
    info_hash: InfoHash,
    our_peer_id: [u8; 20],
    limits: Limits,
    goal: Goal,
}

impl Visit {
    /// A visit to the peers of a swarm. `our_peer_id` is our name there (BEP 20).
    #[must_use]
    pub const fn new(info_hash: InfoHash, our_peer_id: [u8; 20], limits: Limits, goal: Goal) -> Self {
        Self { info_hash, our_peer_id, limits, goal }
    }

    /// Visits the peers of the stream as they come, and tells what becomes known of each. The metadata, if a peer had it.
    /// It is the one that the infohash names.
    pub async fn run(
        &self,
        peers: impl Stream<Item = SocketAddr> + Unpin,
        mut tell: impl FnMut(News),
    ) -> Option<Vec<u8>> {
        let (sender, mut news) = mpsc::unbounded_channel();
        let shared = Shared::new(self.info_hash, sender);
        let mut peers = peers.take(self.limits.peers).fuse();
        let mut calls = FuturesUnordered::new();
        let (mut number, mut open) = (0, true);
        loop {
            tokio::select! {
                biased;
                Some(heard) = news.recv() => tell(heard),
                Some(()) = calls.next(), if !calls.is_empty() => {}
                peer = peers.next(), if open && calls.len() < self.limits.at_once => match peer {
                    Some(peer) => {
                        number += 1;
                        calls.push(Call { visit: self, shared: &shared, peer, number }.run());
                    }
                    None => open = false,
                },
                else => break,
            }
            let over = calls.is_empty() && !open && news.is_empty();
            if over || (self.goal == Goal::Metadata && shared.is_whole()) {
                break;
            }
        }
        drop(calls);
        while let Ok(heard) = news.try_recv() {
            tell(heard);
        }
        shared.take_whole()
    }
}

/// What the calls of a visit have in common.
struct Shared {
    inner: Mutex<Inner>,
    /// Told when a client may be asked for something that it could not be asked for before.
    changed: Notify,
    news: mpsc::UnboundedSender<News>,
}

struct Inner {
    gathering: Gathering,
    whole: Option<Vec<u8>>,
}

impl Shared {
    fn new(info_hash: InfoHash, news: mpsc::UnboundedSender<News>) -> Self {
        let inner = Inner { gathering: Gathering::new(info_hash), whole: None };
        Self { inner: Mutex::new(inner), changed: Notify::new(), news }
    }

    fn lock(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn is_whole(&self) -> bool {
        self.lock().whole.is_some()
    }

    fn take_whole(&self) -> Option<Vec<u8>> {
        self.lock().whole.take()
    }
}

/// One connection.
struct Call<'a> {
    visit: &'a Visit,
    shared: &'a Shared,
    peer: SocketAddr,
    number: ClientNumber,
}

impl Call<'_> {
    fn tell(&self, step: Step) {
        // The receiver lives as long as this future.
        let _ = self.shared.news.send(News { peer: self.peer, step });
    }

    async fn run(self) {
        self.tell(Step::Met);
        if let Err(trouble) = timeout(self.visit.limits.each, self.speak()).await.unwrap_or(Err(Trouble::Silent)) {
            self.tell(Step::Lost(trouble));
        }
        self.tell(Step::Done);
        self.shared.lock().gathering.leave(self.number);
        self.shared.changed.notify_waiters();
    }

    async fn speak(&self) -> Result<(), Trouble> {
        caution::check(self.peer, self.visit.info_hash).map_err(Trouble::Avoided)?;
        let stream = self.connect().await?;
        self.tell(Step::Connected);
        let connection = Connection::new(self.visit.info_hash, self.visit.our_peer_id);
        let mut talk = Talk::new(connection, stream);
        match self.converse(&mut talk).await {
            Err(Trouble::ClosedAtOnce) if !talk.heard => self.speak_encrypted().await,
            outcome => outcome,
        }
    }

    /// Where nothing speaks for an encrypted client, what is known of the plain connection stands.
    async fn speak_encrypted(&self) -> Result<(), Trouble> {
        let seed = entropy::seed().map_err(|_| Trouble::ClosedAtOnce)?;
        let stream = self.connect().await.map_err(|_| Trouble::ClosedAtOnce)?;
        let connection = Connection::new(self.visit.info_hash, self.visit.our_peer_id);
        let mut talk = Talk::new(connection.encrypted(Randomness::from_seed(seed)), stream);
        let outcome = self.converse(&mut talk).await;
        match outcome {
            Err(Trouble::ClosedAtOnce) if talk.heard => Err(Trouble::ClosedEncrypted),
            Err(Trouble::Silent | Trouble::Wire(WireError::NoEncryption)) if !talk.greeted => {
                Err(Trouble::ClosedAtOnce)
            }
            outcome => outcome,
        }
    }

    async fn connect(&self) -> Result<TcpStream, Trouble> {
        let connected = timeout(self.visit.limits.connect, connect(self.peer)).await;
        connected.map_err(|_| Trouble::Unanswered)?.map_err(|error| Trouble::Unreachable(error.kind()))
    }

    async fn converse(&self, talk: &mut Talk) -> Result<(), Trouble> {
        let mut buffer = vec![0; 32 << 10];
        loop {
            // Before the state is looked at, so that no change after that is missed.
            let changed = self.shared.changed.notified();
            if self.ask(talk) {
                return Ok(());
            }
            let output = talk.connection.take_output();
            let patience = self.visit.limits.silence;
            let written = timeout(patience, talk.stream.write_all(&output)).await;
            written.map_err(|_| Trouble::Silent)?.map_err(|_| talk.closed())?;
            let awaited = !talk.greeted || self.shared.lock().gathering.owes(self.number);
            // A peer of whom nothing is awaited is kept for when another fails.
            let deadline = talk.heard_at + if awaited { patience } else { self.visit.limits.each };
            tokio::select! {
                read = timeout_at(deadline, talk.stream.read(&mut buffer)) => {
                    match read.map_err(|_| Trouble::Silent)?.map_err(|_| talk.closed())? {
                        0 => return Err(talk.closed()),
                        length => talk.connection.handle_bytes(&buffer[..length]),
                    }
                    talk.heard = true;
                    talk.heard_at = Instant::now();
                    if self.hear(talk)? {
                        return Ok(());
                    }
                }
                () = changed => if !awaited {
                    talk.heard_at = Instant::now();
                },
            }
        }
    }

    /// Asks for what can be asked for. Whether nothing will ever be asked again: the whole is there.
    fn ask(&self, talk: &mut Talk) -> bool {
        let mut inner = self.shared.lock();
        if inner.whole.is_some() && talk.greeted {
            return true;
        }
        while let Some(piece) = inner.gathering.next_request(self.number) {
            talk.connection.ask(piece);
        }
        false
    }

    /// Takes in what was said. Whether the client has said all that is wanted of it.
    fn hear(&self, talk: &mut Talk) -> Result<bool, Trouble> {
        while let Some(said) = talk.connection.hear() {
            match said {
                Said::Greeted(name) => {
                    talk.greeted = true;
                    if talk.connection.is_encrypted() {
                        self.tell(Step::DemandsEncryption);
                    }
                    self.tell(Step::Greeted(name));
                }
                Said::Offers(size) => {
                    self.tell(Step::Offers);
                    self.shared.lock().gathering.join(self.number, size);
                }
                Said::NoneYet => return self.gives(Nothing::NoneYet),
                Said::NotOffered => return self.gives(Nothing::NotOffered),
                Said::Rejected => return self.gives(Nothing::Rejected),
                Said::Failed(error) => return Err(Trouble::Wire(error)),
                Said::Piece(piece, bytes) => self.receive(piece, bytes)?,
            }
        }
        Ok(false)
    }

    fn gives(&self, nothing: Nothing) -> Result<bool, Trouble> {
        self.tell(Step::GivesNothing(nothing));
        Ok(true)
    }

    fn receive(&self, piece: usize, bytes: Vec<u8>) -> Result<(), Trouble> {
        let mut inner = self.shared.lock();
        if inner.whole.is_some() {
            return Ok(());
        }
        let received = inner.gathering.receive(self.number, piece, bytes);
        match received.map_err(|_| Trouble::Wire(WireError::Malformed))? {
            Received::Whole(metadata) => {
                inner.whole = Some(metadata);
                self.tell(Step::Gave);
                self.shared.changed.notify_waiters();
            }
            Received::Spoiled(liar) => {
                self.shared.changed.notify_waiters();
                if liar == Some(self.number) {
                    return Err(Trouble::Wire(WireError::WrongMetadata));
                }
            }
            Received::More => self.tell(Step::Gave),
        }
        Ok(())
    }
}

/// A connection and how far it has come.
struct Talk {
    connection: Connection,
    stream: TcpStream,
    /// Whether any byte has come.
    heard: bool,
    greeted: bool,
    heard_at: Instant,
}

impl Talk {
    fn new(connection: Connection, stream: TcpStream) -> Self {
        Self { connection, stream, heard: false, greeted: false, heard_at: Instant::now() }
    }

    const fn closed(&self) -> Trouble {
        if self.greeted { Trouble::Closed } else { Trouble::ClosedAtOnce }
    }
}

#[cfg(test)]
mod tests;
