//! `Dht`: the public handle. Clone it freely; every clone speaks to the same running nodes.

mod builder;
mod events;
mod items;
mod renewal;
mod streams;
mod survey;
pub mod tree;
mod upkeep;

use std::collections::BTreeSet;
use std::io;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::{Mutex, OwnedMutexGuard, broadcast, oneshot, watch};
use tokio::task::JoinSet;

use crate::engine::contact::{Contact, Family};
use crate::engine::id::{InfoHash, Target};
use crate::engine::node::{Command, Event, OwnAnnounce, SlicedSnapshot, Summary};
use crate::net::clock::unix_seconds;
use crate::net::driver::{NodeHandle, Request};
use crate::net::news::Voices;
use crate::net::persist::{DataDir, PackedNode, PackedState};
use crate::net::supervisor::Supervisor;

use self::upkeep::Place;

pub use self::builder::DhtBuilder;
pub use self::items::{ItemFound, ItemStored};
pub use self::renewal::{Looked, Renewed};
pub use self::streams::{PeerStream, Progress, ProgressStream};
pub use self::survey::{PeersAt, SampleError, Sampled, Scraped};
pub use crate::net::bootstrap::MAINLINE_ROUTERS;
pub use crate::net::driver::{Known, Status};
pub use crate::net::news::News;
pub use crate::net::persist::{Found, PersistError, SavedNode, State, holder, last_saved, look, saved_contacts};
pub use crate::net::supervisor::{NodeFailed, Part};

/// A query may get lost; a ping tries so often.
const PING_TRIES: usize = 3;

/// A handle to running DHT nodes, one for each bound address.
///
/// The nodes stop when the last clone is dropped; [`shutdown`](Self::shutdown) also saves their state and waits.
#[derive(Clone, Debug)]
pub struct Dht {
    inner: Arc<Inner>,
}

#[derive(Debug)]
struct Inner {
    nodes: Vec<Running>,
    unavailable: Vec<(SocketAddr, String)>,
    awaited: Vec<SocketAddr>,
    private_network: bool,
    voices: Voices,
    /// What an earlier run saved for those: kept for a run that has them again.
    waiting: Vec<SavedNode>,
    restored: usize,
    data_dir: Option<Arc<DataDir>>,
    /// Held while the state is taken and written: one at a time, so that the newest is written last.
    saving: Arc<Mutex<()>>,
    supervisor: Supervisor,
    /// Set once the nodes were stopped and their state was saved.
    stopped: AtomicBool,
}

#[derive(Debug)]
struct Running {
    asked: SocketAddr,
    handle: NodeHandle,
    place: std::sync::Mutex<Place>,
}

impl Running {
    fn place(&self) -> MutexGuard<'_, Place> {
        self.place.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Why the nodes could not be started.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum StartError {
    /// An address cannot be bound.
    #[error("cannot bind {addr}: {source}")]
    Bind {
        /// The address.
        addr: SocketAddr,
        /// The system's reason.
        source: io::Error,
    },
    /// No address was left to bind.
    #[error("this host has none of the addresses to bind")]
    NoAddress,
    /// The data folder cannot be used.
    #[error(transparent)]
    Persist(#[from] PersistError),
    /// The system gives no randomness.
    #[error("the system gives no randomness: {0}")]
    Entropy(io::Error),
}

/// Why the state was not saved, or not all of it.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum SaveError {
    /// The system refuses.
    #[error(transparent)]
    Persist(#[from] PersistError),
    /// A node has failed; what the others hold was saved, and of this one what was saved before.
    #[error(transparent)]
    NodeFailed(#[from] NodeFailed),
}

/// What came of an announce.
#[derive(Clone, Debug, Default)]
pub struct Announced {
    /// The nodes that stored it.
    pub stored_at: Vec<Contact>,
    /// Peers that were found on the way.
    pub peers: BTreeSet<SocketAddr>,
    /// What each node's operation came to.
    pub summaries: Vec<Summary>,
}

/// A node that answered a ping.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Pong {
    /// Who answered.
    pub contact: Contact,
    /// Its client and version (`v`), as bytes; often two letters and two bytes.
    pub version: Vec<u8>,
    /// Where it sees us.
    pub external: Option<SocketAddr>,
    /// Round-trip time.
    pub rtt: Duration,
}

impl Dht {
    /// Begins to describe a [`Dht`].
    #[must_use]
    pub fn builder() -> DhtBuilder {
        DhtBuilder::default()
    }

    /// Where the nodes are bound.
    #[must_use]
    pub fn local_addrs(&self) -> Vec<SocketAddr> {
        self.inner.nodes.iter().map(|node| node.handle.local_addr()).collect()
    }

    /// Addresses that were asked for but that this host lacks, with the reasons.
    #[must_use]
    pub fn unavailable(&self) -> &[(SocketAddr, String)] {
        &self.inner.unavailable
    }

    /// Addresses that this host did not have at the start: their nodes wait for them
    /// ([`DhtBuilder::wait_for_addresses`]).
    #[must_use]
    pub fn awaited(&self) -> &[SocketAddr] {
        &self.inner.awaited
    }

    /// Changes whenever announces that were made before should be made again: this host has another address or has slept.
    #[must_use]
    pub fn announce_again(&self) -> watch::Receiver<u64> {
        self.inner.voices.announce_again.subscribe()
    }

    /// What happens to the nodes from now on. A listener that is slow loses the oldest.
    #[must_use]
    pub fn news(&self) -> broadcast::Receiver<News> {
        self.inner.voices.news.subscribe()
    }

    /// How many contacts were saved by an earlier run.
    #[must_use]
    pub fn restored_contacts(&self) -> usize {
        self.inner.restored
    }

    /// Waits until a node has joined the network; with how many contacts. Waits for ever where there is no network:
    /// the nodes go on trying. The first node of a private network has joined at once, with 0.
    pub async fn bootstrapped(&self) -> usize {
        let mut waiting = JoinSet::new();
        for node in &self.inner.nodes {
            let mut ready = node.handle.ready();
            waiting.spawn(async move { ready.wait_for(Option::is_some).await.ok().and_then(|contacts| *contacts) });
        }
        let mut alone = false;
        while let Some(joined) = waiting.join_next().await {
            match joined {
                // A family in which nobody is known has joined nothing; the other one may be about to.
                Ok(Some(0)) => alone = true,
                Ok(Some(contacts)) => return contacts,
                _ => {}
            }
        }
        if alone { 0 } else { std::future::pending().await }
    }

    /// Waits until every node has joined. On a host that has both families but reaches only one this never ends: give
    /// it a timeout.
    pub async fn bootstrapped_everywhere(&self) {
        for node in &self.inner.nodes {
            if node.handle.ready().wait_for(Option::is_some).await.is_err() {
                return std::future::pending().await;
            }
        }
    }

    /// Peers of `info_hash`, as they arrive, each once. Dropping the stream ends the lookup.
    ///
    /// ```
    /// # use trackerless::{Dht, InfoHash};
    /// # #[tokio::main(flavor = "current_thread")] async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// let loopback = || Dht::builder().private_network(true).bind("127.0.0.1:0".parse().unwrap());
    /// let first = loopback().start().await?;
    /// let second = loopback().bootstrap([first.local_addrs()[0].to_string()]).start().await?;
    /// second.bootstrapped().await;
    ///
    /// let swarm: InfoHash = "da39a3ee5e6b4b0d3255bfef95601890afd80709".parse()?;
    /// second.announce(swarm, 6881, false).await;
    /// let mut peers = first.find_peers(swarm).await;
    /// assert_eq!(peers.next().await, Some("127.0.0.1:6881".parse()?));
    /// # Ok(()) }
    /// ```
    pub async fn find_peers(&self, info_hash: InfoHash) -> PeerStream {
        PeerStream::new(self.trace_peers(info_hash).await)
    }

    /// The same lookup with all that happens on the way: who answered after how many hops, what they knew.
    pub async fn trace_peers(&self, info_hash: InfoHash) -> ProgressStream {
        ProgressStream::new(self.begin(Command::FindPeers { info_hash }).await)
    }

    /// Announces that a client at our address and `port` takes part in `info_hash`, on every node's network.
    pub async fn announce(&self, info_hash: InfoHash, port: u16, seed: bool) -> Announced {
        collect_announced(self.trace_announce(info_hash, port, seed).await).await
    }

    /// The same on the networks of one family only: for a client that shares just that address of ours.
    pub async fn announce_in(&self, family: Family, info_hash: InfoHash, port: u16, seed: bool) -> Announced {
        let events = self.begin_in(&[family], Command::Announce { info_hash, port, seed }).await;
        collect_announced(ProgressStream::new(events)).await
    }

    /// The same announce with all that happens on the way.
    pub async fn trace_announce(&self, info_hash: InfoHash, port: u16, seed: bool) -> ProgressStream {
        ProgressStream::new(self.begin(Command::Announce { info_hash, port, seed }).await)
    }

    /// The nodes closest to `target` that answered, of both families, closest first.
    pub async fn find_nodes(&self, target: Target) -> Vec<Contact> {
        let mut found = Vec::new();
        let mut events = self.begin(Command::FindNode { target }).await;
        while let Some(event) = events.next().await {
            if let Event::Done { summary, .. } = event {
                found.extend(summary.closest);
            }
        }
        found.sort_by_key(|contact| contact.id.distance(&target));
        found
    }

    /// Pings `addr`, up to three times; `None` if it does not answer, or if no node of ours has its family.
    pub async fn ping(&self, addr: SocketAddr) -> Option<Pong> {
        let same_family = |node: &&Running| Family::of(&node.handle.local_addr()) == Family::of(&addr);
        let node = self.inner.nodes.iter().find(same_family)?;
        for _ in 0..PING_TRIES {
            let mut events = node.handle.begin(Command::Ping { addr }).await;
            while let Some(event) = events.recv().await {
                if let Event::Pong { contact, version, external, rtt, .. } = event {
                    return Some(Pong { contact, version, external, rtt });
                }
            }
        }
        None
    }

    /// How each node is.
    pub async fn status(&self) -> Vec<Status> {
        let mut all = Vec::new();
        for node in &self.inner.nodes {
            all.extend(node.handle.ask(Request::Status).await);
        }
        all
    }

    /// The contacts in the tables of all nodes.
    pub async fn table(&self) -> Vec<Known> {
        let mut all = Vec::new();
        for node in &self.inner.nodes {
            all.extend(node.handle.ask(Request::Table).await.unwrap_or_default());
        }
        all
    }

    /// What came of our own announces, node by node: where each is bound, and those of its announces that live.
    pub async fn own_announces(&self) -> Vec<(SocketAddr, Vec<OwnAnnounce>)> {
        let mut all = Vec::new();
        for node in &self.inner.nodes {
            all.push((node.handle.local_addr(), node.handle.ask(Request::OwnAnnounces).await.unwrap_or_default()));
        }
        all
    }

    /// Endpoints never contacted before, a second: sustained and at once, from now on.
    pub async fn set_new_destinations(&self, per_second: u32, burst: u32) {
        for node in &self.inner.nodes {
            node.handle.tell(Request::NewDestinations { per_second, burst }).await;
        }
    }

    /// Whether a node has joined the network; see [`bootstrapped`](Self::bootstrapped).
    #[must_use]
    pub fn is_ready(&self) -> bool {
        self.inner.nodes.iter().any(|node| node.handle.ready().borrow().is_some())
    }

    /// What to keep for the next run: see [`DhtBuilder::saved`].
    pub async fn snapshot(&self) -> State {
        self.collect(Request::Snapshot).await.unpack()
    }

    /// Waits until a node, or the task that looks after all of them, fails, which is a bug of this program. The others go on; [`shutdown`](Self::shutdown) ends them.
    pub async fn failed(&self) -> NodeFailed {
        self.inner.supervisor.failed().await
    }

    /// Saves the state, if there is a data folder to save it in. After [`shutdown`](Self::shutdown), which has saved it, it
    /// does nothing.
    ///
    /// # Errors
    /// The system refuses, or a node has failed.
    pub async fn save(&self) -> Result<(), SaveError> {
        let saving = Arc::clone(&self.inner.saving).lock_owned().await;
        if self.inner.stopped.load(Ordering::Acquire) {
            return Ok(());
        }
        let state = self.collect(Request::Snapshot).await;
        let whole = match self.is_whole(&state) {
            true => Ok(()),
            // A node that says nothing has failed, or is about to have.
            false => Err(self.failed().await),
        };
        self.write(state, saving).await.0?;
        Ok(whole?)
    }

    /// Stops the nodes, for all clones, and saves their state; also if the caller gives up waiting.
    ///
    /// # Errors
    /// The nodes have stopped, but a node had failed before, or the state could not be saved.
    pub async fn shutdown(&self) -> Result<(), SaveError> {
        let dht = self.clone();
        #[expect(clippy::disallowed_methods, reason = "ends with the nodes; what they say last is said only once")]
        let stopping = tokio::spawn(async move {
            let (saved, saving) = dht.stop().await;
            // First the folder, then whoever waits: another may want to keep it at once.
            drop(dht);
            drop(saving);
            saved
        });
        match stopping.await.map_err(tokio::task::JoinError::try_into_panic) {
            Ok(saved) => saved,
            Err(Ok(panic)) => std::panic::resume_unwind(panic),
            // The runtime ends, and everything with it.
            Err(Err(_)) => Ok(()),
        }
    }

    async fn stop(&self) -> (Result<(), SaveError>, OwnedMutexGuard<()>) {
        let saving = Arc::clone(&self.inner.saving).lock_owned().await;
        let state = self.collect(Request::Shutdown).await;
        let ended = self.inner.supervisor.ended().await;
        if self.inner.stopped.swap(true, Ordering::AcqRel) {
            return (ended.map_err(SaveError::from), saving);
        }
        let (written, saving) = self.write(state, saving).await;
        (written.map_err(SaveError::from).and_then(|()| Ok(ended?)), saving)
    }

    /// Whether every node has spoken.
    fn is_whole(&self, state: &PackedState) -> bool {
        state.nodes.len() == self.inner.nodes.len()
    }

    /// Writes on a thread of its own: the nodes of a small runtime must not wait for a disk. The lock goes along: whoever
    /// gives up waiting does not end the write, and the next one must not meet it.
    async fn write(
        &self,
        state: PackedState,
        saving: OwnedMutexGuard<()>,
    ) -> (Result<(), PersistError>, OwnedMutexGuard<()>) {
        let Some(data_dir) = self.inner.data_dir.clone() else { return (Ok(()), saving) };
        let silent = self.silent(&state);
        let (done, written) = oneshot::channel();
        let path = data_dir.path().to_owned();
        let thread = std::thread::Builder::new().name("save".to_owned()).spawn(move || {
            let mut state = state;
            if !silent.is_empty() {
                keep_of_before(&data_dir, &silent, &mut state);
            }
            let saved = data_dir.save_packed(state);
            // First the folder: another may want to keep it as soon as this is told.
            drop(data_dir);
            let _ = done.send((saved, saving));
        });
        let outcome = match thread {
            Ok(_) => written.await.map_err(io::Error::other),
            Err(error) => Err(error),
        };
        match outcome {
            Ok(saved) => saved,
            // No memory for a thread, or a panic there: the lock went with it.
            Err(source) => {
                let error = PersistError::Io { what: "start a thread that writes", path, source };
                (Err(error), Arc::clone(&self.inner.saving).lock_owned().await)
            }
        }
    }

    /// The nodes that have said nothing: where each was to be bound, and where it was.
    fn silent(&self, state: &PackedState) -> Vec<(SocketAddr, SocketAddr)> {
        let all = self.inner.nodes.iter().map(|node| (node.asked, node.handle.local_addr()));
        all.filter(|&node| !state.nodes.iter().any(|known| (known.asked, known.bound) == node)).collect()
    }

    async fn collect(&self, request: impl Fn(oneshot::Sender<SlicedSnapshot>) -> Request) -> PackedState {
        let mut nodes = Vec::new();
        for node in &self.inner.nodes {
            if let Some(snapshot) = node.handle.ask(&request).await {
                nodes.push(PackedNode { asked: node.asked, bound: node.handle.local_addr(), snapshot });
            }
        }
        PackedState { saved_at: unix_seconds(), nodes, others: self.inner.waiting.clone() }
    }
}

/// Adds to `state` what the folder holds of nodes that have failed since: their identity must not be lost with them.
fn keep_of_before(data_dir: &DataDir, silent: &[(SocketAddr, SocketAddr)], state: &mut PackedState) {
    if let Ok(Found::State(before)) = look(data_dir.path()) {
        state.others.extend(before.nodes.into_iter().filter(|saved| silent.contains(&(saved.asked, saved.bound))));
    }
}

async fn collect_announced(mut progress: ProgressStream) -> Announced {
    let mut announced = Announced::default();
    while let Some(step) = progress.next().await {
        match step {
            Progress::Stored { at } => announced.stored_at.push(at),
            Progress::Peers { peers, .. } => announced.peers.extend(peers),
            Progress::Done(summary) => announced.summaries.push(summary),
            _ => {}
        }
    }
    announced
}

#[cfg(test)]
mod tests;
