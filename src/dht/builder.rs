//! From a description to running nodes.

use std::future::Future;
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::path::PathBuf;
use std::sync::atomic::AtomicBool;
use std::sync::{Arc, Weak};

use tokio::sync::Mutex;

use super::upkeep::{self, Place};
use super::{Dht, Inner, Running, StartError};
use crate::engine::compliance::Compliance;
use crate::engine::contact::{Contact, Family, is_local};
use crate::engine::id::{Id, NodeId};
use crate::engine::lookup::Effort;
use crate::engine::node::{Config, HotKeyRule, Node, Serve, Snapshot};
use crate::engine::random::Random;
use crate::net::bootstrap::MAINLINE_ROUTERS;
use crate::net::clock::Clock;
use crate::net::driver;
use crate::net::entropy;
use crate::net::news::Voices;
use crate::net::persist::{DataDir, Found, SavedNode, State};
use crate::net::socket::Socket;
use crate::net::supervisor::Supervisor;

/// Most saved nodes of addresses that are not bound this time: what they hold stays in the state file.
const CARRIED_OVER: usize = 8;

/// Describes the nodes to start; see [`Dht::builder`].
#[derive(Clone, Debug)]
pub struct DhtBuilder {
    binds: Vec<SocketAddr>,
    bootstrap: Option<Vec<String>>,
    /// What all nodes have in common; family and memory become those of each.
    node: Config,
    data_dir: Option<PathBuf>,
    saved: State,
    wait_for_addresses: bool,
    clock: Clock,
}

impl Default for DhtBuilder {
    fn default() -> Self {
        Self {
            binds: Vec::new(),
            bootstrap: None,
            node: Config { verify_announces: true, ..Config::new(Family::V4) },
            data_dir: None,
            saved: State::default(),
            wait_for_addresses: false,
            clock: Clock::new(),
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
        self.node.private_network = private;
        self
    }

    /// When the nodes answer queries (BEP 43; default: always). `Never` is for short-lived nodes and those that cannot be
    /// reached, `OnceReached` for those that may be behind a firewall.
    #[must_use]
    pub const fn serve(mut self, serve: Serve) -> Self {
        self.node.serve = serve;
        self
    }

    /// What to make of nodes whose id does not fit their address (BEP 42; default: the others come first).
    #[must_use]
    pub const fn compliance(mut self, compliance: Compliance) -> Self {
        self.node.compliance = compliance;
        self
    }

    /// How much lookups spend to be fast (default: [`Effort::NORMAL`]).
    #[must_use]
    pub const fn lookups(mut self, effort: Effort) -> Self {
        self.node.effort = effort;
        self
    }

    /// What is answered where an infohash is asked for too often (default: [`HotKeyRule::DEFAULT`]); `None` answers all in full.
    #[must_use]
    pub const fn hot_keys(mut self, rule: Option<HotKeyRule>) -> Self {
        self.node.hot_keys = rule;
        self
    }

    /// Whether the nodes closest to an infohash that was asked for too often are left alone (default: yes).
    #[must_use]
    pub const fn visit_hot_keys(mut self, visit: bool) -> Self {
        self.node.visits = visit;
        self
    }

    /// Without budgets for those who ask and for new destinations: for benchmarks and closed labs only.
    #[must_use]
    pub const fn limited(mut self, limited: bool) -> Self {
        self.node.limited = limited;
        self
    }

    /// Endpoints never contacted before, a second: sustained and at once (default 25 and 200).
    #[must_use]
    pub const fn new_destinations(mut self, per_second: u32, burst: u32) -> Self {
        self.node.new_destinations = (per_second, burst);
        self
    }

    /// Memory for peers that others store, in bytes, for all nodes together (default 64 MiB).
    /// Each node gets an equal share (BEP 45).
    #[must_use]
    pub const fn peer_memory_bytes(mut self, bytes: usize) -> Self {
        self.node.peer_memory_bytes = bytes;
        self
    }

    /// Memory for items that others store, in bytes, for all nodes together (default 10 MiB).
    #[must_use]
    pub const fn item_memory_bytes(mut self, bytes: usize) -> Self {
        self.node.item_memory_bytes = bytes;
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

    /// Waits for addresses that this host does not have yet (a VPN that comes up later), rather than to fail; see
    /// [`Dht::awaited`]. On Linux only.
    #[must_use]
    pub const fn wait_for_addresses(mut self, wait: bool) -> Self {
        self.wait_for_addresses = wait;
        self
    }

    /// Goes by this clock: for tests.
    #[must_use]
    pub fn clock(mut self, clock: Clock) -> Self {
        self.clock = clock;
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
        let asked = self.addresses();
        let family_contacts = self.contacts_by_family();
        let (saved, mut waiting) = self.take_saved_nodes(&asked);
        let (mut nodes, mut unavailable) = (Vec::new(), Vec::new());
        let (mut tasks, mut restored) = (Vec::new(), 0);
        let (mut bound, mut awaited) = (Vec::new(), Vec::new());
        let voices = Voices::default();
        for (&addr, saved) in asked.iter().zip(saved) {
            match self.bind_socket(addr, saved.as_ref().map(|saved| saved.bound.port())) {
                Ok(socket) => bound.push((addr, socket, saved)),
                Err(source) if self.wait_for_addresses && source.kind() == io::ErrorKind::AddrNotAvailable => {
                    let socket = Socket::bind_ahead(addr).map_err(|_| StartError::Bind { addr, source })?;
                    awaited.push(socket.local_addr());
                    bound.push((addr, socket, saved));
                }
                Err(source) if may_be_missing(addr, &source) => {
                    unavailable.push((addr, source.to_string()));
                    waiting.extend(saved);
                }
                Err(source) => return Err(StartError::Bind { addr, source }),
            }
        }
        if bound.is_empty() {
            return Err(StartError::NoAddress);
        }
        let sharers = bound.len();
        for (addr, socket, saved) in bound {
            let contacts = &family_contacts[usize::from(addr.is_ipv6())];
            let new = || Snapshot { contacts: contacts.clone(), ..Snapshot::default() };
            let snapshot = saved.map_or_else(new, |saved| saved.snapshot);
            restored += snapshot.contacts.len();
            let (handle, task) = self.prepare_node(socket, snapshot, sharers, &voices)?;
            tasks.push((handle.local_addr(), task));
            let place = Place::at(upkeep::source_of(addr, self.node.private_network));
            nodes.push(Running { asked: addr, handle, place: place.into() });
        }
        let look_again = Arc::clone(&voices.look_again);
        let inner = Arc::new_cyclic(|inner| Inner {
            nodes,
            unavailable,
            awaited,
            private_network: self.node.private_network,
            voices,
            waiting,
            restored,
            data_dir: data_dir.map(Arc::new),
            saving: Arc::new(Mutex::new(())),
            supervisor: Supervisor::start(tasks, upkeep::run(Weak::clone(inner), look_again)),
            stopped: AtomicBool::new(false),
        });
        Ok(Dht { inner })
    }

    fn take_saved(&mut self, dir: &DataDir) -> Result<(), StartError> {
        match dir.load()? {
            Found::Nothing => {}
            Found::State(state) => self.saved = state,
            Found::Damaged { reason, moved_to } => {
                let kept = moved_to.unwrap_or_default();
                let (verdict, kept) = (reason.verdict(), kept.display());
                tracing::warn!(%reason, %kept, "the saved state is {verdict}; it was set aside, starting afresh");
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

    /// What was saved for each address of the list, and what was saved for others.
    fn take_saved_nodes(&mut self, asked: &[SocketAddr]) -> (Vec<Option<SavedNode>>, Vec<SavedNode>) {
        let mut left = std::mem::take(&mut self.saved.nodes);
        let mut take = |fits: &dyn Fn(&SavedNode) -> bool| left.iter().position(fits).map(|place| left.remove(place));
        // Those asked for alike are told apart by their order.
        let mut found: Vec<_> = asked.iter().map(|addr| take(&|saved| saved.asked == *addr)).collect();
        for (addr, found) in asked.iter().zip(&mut found).filter(|(_, found)| found.is_none()) {
            // Another port of the same address: identity and contents move there.
            *found = take(&|saved| saved.asked.ip() == addr.ip());
        }
        left.truncate(CARRIED_OVER);
        (found, left)
    }

    /// The contacts that were saved for all nodes of a family, IPv4 first: for a node that is new.
    fn contacts_by_family(&self) -> [Vec<Contact>; 2] {
        [Family::V4, Family::V6].map(|family| {
            let same_family = self.saved.nodes.iter().filter(|saved| Family::of(&saved.bound) == family);
            same_family.flat_map(|saved| saved.snapshot.contacts.iter().copied()).collect()
        })
    }

    /// Binds `addr`: with port 0 the port `kept` from an earlier run if it is still free, and on the IPv6 wildcard the stable
    /// global address where there is one (BEP 32).
    fn bind_socket(&self, addr: SocketAddr, kept: Option<u16>) -> io::Result<Socket> {
        let mut wanted = addr;
        if upkeep::is_bound_to_source(addr, self.node.private_network)
            && let Some(stable) = upkeep::source_of(addr, self.node.private_network)
        {
            wanted.set_ip(stable);
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
        sharers: usize,
        voices: &Voices,
    ) -> Result<(driver::NodeHandle, impl Future<Output = ()> + Send + 'static), StartError> {
        let ip = socket.local_addr().ip();
        // The host may have another address than at the last run.
        let keeps_id = |id: &NodeId| self.node.private_network || ip.is_unspecified() || id.matches_address(ip);
        if !saved.id.as_ref().is_some_and(keeps_id) {
            saved.id = fitting_id(ip).map_err(StartError::Entropy)?.or(saved.id);
        }
        let public = || MAINLINE_ROUTERS.iter().map(|&router| router.to_owned()).collect();
        let routers =
            self.bootstrap.clone().unwrap_or_else(|| if self.node.private_network { Vec::new() } else { public() });
        let config = Config {
            has_routers: !routers.is_empty(),
            saved,
            ..self.config(Family::of(&socket.local_addr()), sharers)
        };
        let seed = entropy::seed().map_err(StartError::Entropy)?;
        let (clock, voices) = (self.clock.clone(), voices.clone());
        Ok(driver::prepare(Node::new(config, seed, clock.now()), socket, clock, routers, voices))
    }

    /// BEP 45: each address is a node of its own; what they may take of this host is one budget.
    fn config(&self, family: Family, sharers: usize) -> Config {
        Config {
            family,
            peer_memory_bytes: self.node.peer_memory_bytes / sharers,
            item_memory_bytes: self.node.item_memory_bytes / sharers,
            ..self.node.clone()
        }
    }
}

/// A first id for a node bound to `ip`, where that tells its external address (BEP 42). An id that changes once others
/// have told the address leaves the old one behind in their tables: Transmission then waits for it for 45 seconds.
fn fitting_id(ip: IpAddr) -> io::Result<Option<NodeId>> {
    if ip.is_unspecified() || is_local(ip) {
        return Ok(None);
    }
    Ok(Some(NodeId(Id::for_address(ip, &mut Random::new(entropy::seed()?)))))
}

/// Whether a host may well lack `addr`: a wildcard of a family that it does not speak.
fn may_be_missing(addr: SocketAddr, error: &io::Error) -> bool {
    addr.ip().is_unspecified() && !matches!(error.kind(), io::ErrorKind::AddrInUse | io::ErrorKind::PermissionDenied)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::engine::limits::ITEM_BYTES;

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
