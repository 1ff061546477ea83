//! From a description to running nodes.

use std::future::Future;
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::path::PathBuf;
use std::sync::atomic::AtomicBool;
use std::sync::{Arc, Weak};
use std::time::Duration;

use tokio::sync::Mutex;

use super::{Dht, Inner, Running, StartError};
use crate::engine::compliance::Compliance;
use crate::engine::contact::{Contact, Family, is_local};
use crate::engine::id::Id;
use crate::engine::limits::{ITEM_BYTES, NEW_DESTINATIONS_BURST, NEW_DESTINATIONS_PER_SECOND, PEER_MEMORY_BYTES};
use crate::engine::node::{Config, Node, Serve, Snapshot};
use crate::engine::random::Random;
use crate::net::bootstrap::MAINLINE_ROUTERS;
use crate::net::clock::Clock;
use crate::net::driver::{self, Request};
use crate::net::entropy;
use crate::net::interface::stable_global_ipv6;
use crate::net::persist::{DataDir, Found, SavedNode, State};
use crate::net::socket::Socket;
use crate::net::supervisor::Supervisor;

/// How often the state is saved.
const SAVE_EVERY: Duration = Duration::from_mins(5);
/// How often nodes of one family learn contacts of the other.
const EXCHANGE_EVERY: Duration = Duration::from_mins(1);

/// Describes the nodes to start; see [`Dht::builder`].
#[derive(Clone, Debug)]
pub struct DhtBuilder {
    binds: Vec<SocketAddr>,
    bootstrap: Option<Vec<String>>,
    private_network: bool,
    serve: Serve,
    compliance: Compliance,
    limited: bool,
    new_destinations: (u32, u32),
    peer_memory_bytes: usize,
    item_memory_bytes: usize,
    data_dir: Option<PathBuf>,
    saved: State,
}

impl Default for DhtBuilder {
    fn default() -> Self {
        Self {
            binds: Vec::new(),
            bootstrap: None,
            private_network: false,
            serve: Serve::Always,
            compliance: Compliance::Prefer,
            limited: true,
            new_destinations: (NEW_DESTINATIONS_PER_SECOND, NEW_DESTINATIONS_BURST),
            peer_memory_bytes: PEER_MEMORY_BYTES,
            item_memory_bytes: ITEM_BYTES,
            data_dir: None,
            saved: State::default(),
        }
    }
}

impl DhtBuilder {
    /// Adds an address to bind, and with it a node. Port 0 lets the system choose; with a data folder the chosen port
    /// is kept across restarts. Without any call: both wildcards, ports chosen by the system.
    #[must_use]
    pub fn bind(mut self, addr: SocketAddr) -> Self {
        self.binds.push(addr);
        self
    }

    /// Nodes to join through, `host:port`, in place of the mainline routers (or of none, in a private network).
    #[must_use]
    pub fn bootstrap<S: Into<String>>(mut self, routers: impl IntoIterator<Item = S>) -> Self {
        self.bootstrap = Some(routers.into_iter().map(Into::into).collect());
        self
    }

    /// A network of its own: no public routers, local addresses are ordinary, addresses need not be diverse, nobody
    /// is limited.
    #[must_use]
    pub const fn private_network(mut self, private: bool) -> Self {
        self.private_network = private;
        self
    }

    /// When the nodes answer queries (BEP 43; default: always). `Never` is for short-lived nodes and those that cannot be
    /// reached, `OnceReached` for those that may be behind a firewall.
    #[must_use]
    pub const fn serve(mut self, serve: Serve) -> Self {
        self.serve = serve;
        self
    }

    /// What to make of nodes whose id does not fit their address (BEP 42; default: the others come first).
    #[must_use]
    pub const fn compliance(mut self, compliance: Compliance) -> Self {
        self.compliance = compliance;
        self
    }

    /// Without budgets for those who ask and for new destinations: for benchmarks and closed labs only.
    #[must_use]
    pub const fn limited(mut self, limited: bool) -> Self {
        self.limited = limited;
        self
    }

    /// Endpoints never contacted before, a second: sustained and at once (default 25 and 200).
    #[must_use]
    pub const fn new_destinations(mut self, per_second: u32, burst: u32) -> Self {
        self.new_destinations = (per_second, burst);
        self
    }

    /// Memory for peers that others store, in bytes, for all nodes together (default 64 MiB).
    /// Each node gets an equal share (BEP 45).
    #[must_use]
    pub const fn peer_memory_bytes(mut self, bytes: usize) -> Self {
        self.peer_memory_bytes = bytes;
        self
    }

    /// Memory for items that others store, in bytes, for all nodes together (default 10 MiB).
    #[must_use]
    pub const fn item_memory_bytes(mut self, bytes: usize) -> Self {
        self.item_memory_bytes = bytes;
        self
    }

    /// Keeps ids, ports, contacts, token secrets and stored peers in this folder: read at the start, written every five
    /// minutes and by [`Dht::shutdown`]. One process at a time may keep a folder.
    #[must_use]
    pub fn data_dir(mut self, path: impl Into<PathBuf>) -> Self {
        self.data_dir = Some(path.into());
        self
    }

    /// Starts from this state rather than from a folder's: its contacts serve as candidates to join through.
    #[must_use]
    pub fn saved(mut self, state: State) -> Self {
        self.saved = state;
        self
    }

    /// Binds the addresses and starts the nodes. They join in the background: see [`Dht::bootstrapped`].
    ///
    /// # Errors
    /// An address is in use or not ours, the data folder is in use or unusable, the system gives no randomness.
    ///
    /// # Panics
    /// Outside a tokio runtime.
    pub async fn start(mut self) -> Result<Dht, StartError> {
        let data_dir = self.data_dir.as_deref().map(DataDir::keep).transpose()?;
        if let Some(dir) = &data_dir {
            self.take_saved(dir)?;
        }
        let (clock, asked) = (Clock::new(), self.addresses());
        let (mut nodes, mut unavailable, mut waiting) = (Vec::new(), Vec::new(), Vec::new());
        let (mut tasks, mut restored) = (Vec::new(), 0);
        let mut bound = Vec::new();
        for (index, &addr) in asked.iter().enumerate() {
            let saved = self.saved_for(&asked, index);
            match self.bind_socket(addr, saved.map(|saved| saved.bound.port())) {
                Ok(socket) => bound.push((addr, socket, saved)),
                Err(source) if may_be_missing(addr, &source) => {
                    unavailable.push((addr, source.to_string()));
                    waiting.extend(saved.cloned());
                }
                Err(source) => return Err(StartError::Bind { addr, source }),
            }
        }
        if bound.is_empty() {
            return Err(StartError::NoAddress);
        }
        let sharers = bound.len();
        for (addr, socket, saved) in bound {
            let snapshot = saved.map_or_else(|| self.contacts_like(addr), |saved| saved.snapshot.clone());
            restored += snapshot.contacts.len();
            let (handle, task) = self.prepare_node(socket, snapshot, clock, sharers)?;
            tasks.push((handle.local_addr(), task));
            nodes.push(Running { asked: addr, handle });
        }
        let inner = Arc::new(Inner {
            nodes,
            unavailable,
            waiting,
            restored,
            data_dir: data_dir.map(Arc::new),
            saving: Arc::new(Mutex::new(())),
            supervisor: Supervisor::start(tasks),
            stopped: AtomicBool::new(false),
        });
        keep_house(Arc::downgrade(&inner));
        Ok(Dht { inner })
    }

    fn take_saved(&mut self, dir: &DataDir) -> Result<(), StartError> {
        match dir.load()? {
            Found::Nothing => {}
            Found::State(state) => self.saved = state,
            Found::Damaged { reason, moved_to } => {
                let kept = moved_to.unwrap_or_default();
                tracing::warn!(%reason, kept = %kept.display(), "the saved state is damaged; it was set aside, starting afresh");
            }
        }
        Ok(())
    }

    fn addresses(&self) -> Vec<SocketAddr> {
        if !self.binds.is_empty() {
            return self.binds.clone();
        }
        vec![SocketAddr::from(([0, 0, 0, 0], 0)), SocketAddr::from(([0u16; 8], 0))]
    }

    /// What was saved for the node asked for at this place of the list. Those asked for alike are told apart by their order.
    fn saved_for(&self, asked: &[SocketAddr], index: usize) -> Option<&SavedNode> {
        let addr = asked[index];
        let before = asked[..index].iter().filter(|other| **other == addr).count();
        self.saved.nodes.iter().filter(|saved| saved.asked == addr).nth(before)
    }

    /// For a node that is new: the contacts that were saved for others of its family.
    fn contacts_like(&self, addr: SocketAddr) -> Snapshot {
        let same_family = self.saved.nodes.iter().filter(|saved| Family::of(&saved.bound) == Family::of(&addr));
        let contacts = same_family.flat_map(|saved| saved.snapshot.contacts.iter().copied()).collect();
        Snapshot { contacts, ..Snapshot::default() }
    }

    /// Binds `addr`: with port 0 the port `kept` from an earlier run if it is still free, and on the IPv6 wildcard the stable
    /// global address where there is one (BEP 32).
    fn bind_socket(&self, addr: SocketAddr, kept: Option<u16>) -> io::Result<Socket> {
        let mut wanted = addr;
        if addr.ip() == IpAddr::from([0u16; 8])
            && !self.private_network
            && let Some(stable) = stable_global_ipv6()
        {
            wanted.set_ip(stable.into());
        }
        match kept {
            Some(port) if addr.port() == 0 => {
                Socket::bind(SocketAddr::new(wanted.ip(), port)).or_else(|_| Socket::bind(wanted))
            }
            _ => Socket::bind(wanted),
        }
        // An address that is listed may still be refused (not ready yet, a container's rules): the wildcard will do.
        .or_else(|error| if wanted == addr { Err(error) } else { Socket::bind(addr) })
    }

    fn prepare_node(
        &self,
        socket: Socket,
        mut saved: Snapshot,
        clock: Clock,
        sharers: usize,
    ) -> Result<(driver::NodeHandle, impl Future<Output = ()> + Send + 'static), StartError> {
        if saved.id.is_none() {
            saved.id = fitting_id(socket.local_addr().ip()).map_err(StartError::Entropy)?;
        }
        let public = || MAINLINE_ROUTERS.iter().map(|&router| router.to_owned()).collect();
        let routers =
            self.bootstrap.clone().unwrap_or_else(|| if self.private_network { Vec::new() } else { public() });
        let config = Config {
            has_routers: !routers.is_empty(),
            saved,
            ..self.config(Family::of(&socket.local_addr()), sharers)
        };
        let seed = entropy::seed().map_err(StartError::Entropy)?;
        Ok(driver::prepare(Node::new(config, seed, clock.now()), socket, clock, routers))
    }

    /// BEP 45: each address is a node of its own; what they may take of this host is one budget.
    fn config(&self, family: Family, sharers: usize) -> Config {
        Config {
            private_network: self.private_network,
            serve: self.serve,
            compliance: self.compliance,
            verify_announces: true,
            limited: self.limited,
            new_destinations: self.new_destinations,
            peer_memory_bytes: self.peer_memory_bytes / sharers,
            item_memory_bytes: self.item_memory_bytes / sharers,
            ..Config::new(family)
        }
    }
}

/// A first id for a node bound to `ip`, where that tells its external address (BEP 42). An id that changes once others
/// have told the address leaves the old one behind in their tables: Transmission then waits for it for 45 seconds.
fn fitting_id(ip: IpAddr) -> io::Result<Option<Id>> {
    if ip.is_unspecified() || is_local(ip) {
        return Ok(None);
    }
    Ok(Some(Id::for_address(ip, &mut Random::new(entropy::seed()?))))
}

/// Whether a host may well lack `addr`: a wildcard of a family that it does not speak.
fn may_be_missing(addr: SocketAddr, error: &io::Error) -> bool {
    addr.ip().is_unspecified() && !matches!(error.kind(), io::ErrorKind::AddrInUse | io::ErrorKind::PermissionDenied)
}

/// Saves now and then, and lets the families know of each other, as long as there is a handle.
fn keep_house(inner: Weak<Inner>) {
    #[expect(clippy::disallowed_methods, reason = "ends when the last handle is gone")]
    tokio::spawn(async move {
        let mut minutes = tokio::time::interval(EXCHANGE_EVERY);
        minutes.tick().await;
        let mut since_save = Duration::ZERO;
        loop {
            minutes.tick().await;
            let Some(inner) = inner.upgrade() else { return };
            let dht = Dht { inner };
            exchange_families(&dht).await;
            since_save += EXCHANGE_EVERY;
            if since_save >= SAVE_EVERY {
                since_save = Duration::ZERO;
                if let Err(error) = dht.save().await {
                    tracing::warn!(%error, "the state could not be saved; trying again in five minutes");
                }
            }
        }
    });
}

async fn exchange_families(dht: &Dht) {
    let families: Vec<Family> = dht.inner.nodes.iter().map(|node| Family::of(&node.handle.local_addr())).collect();
    if !families.contains(&Family::V4) || !families.contains(&Family::V6) {
        return;
    }
    let mut known: Vec<Contact> = Vec::new();
    for node in &dht.inner.nodes {
        known.extend(node.handle.ask(Request::GoodContacts).await.unwrap_or_default());
    }
    for (node, family) in dht.inner.nodes.iter().zip(families) {
        let others = known.iter().filter(|contact| Family::of(&contact.addr) != family).copied().collect();
        node.handle.tell(Request::OtherFamily(others)).await;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn several_addresses_share_one_budget_of_memory() {
        let builder = DhtBuilder::default().peer_memory_bytes(9 << 20);
        let memory = |sharers| {
            let config = builder.config(Family::V4, sharers);
            (config.peer_memory_bytes, config.item_memory_bytes)
        };
        assert_eq!((memory(1), memory(2)), ((9 << 20, ITEM_BYTES), (9 << 19, ITEM_BYTES / 2)));
    }

    #[test]
    fn an_id_fits_an_address_that_is_known_and_global() {
        for ip in ["198.18.35.1", "2001:db8::1"] {
            let ip: IpAddr = ip.parse().unwrap();
            assert!(fitting_id(ip).unwrap().is_some_and(|id| id.matches_address(ip)), "{ip}");
        }
        for ip in ["0.0.0.0", "::", "127.0.0.1", "::1", "10.1.2.3", "fe80::1"] {
            assert_eq!(fitting_id(ip.parse().unwrap()).unwrap(), None, "{ip}");
        }
    }
}
