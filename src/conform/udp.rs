//! The real network: one socket per source, all read at once, a polite pace for each address.
//!
//! Not for use inside an async runtime: it waits in a small one of its own.

use std::collections::HashMap;
use std::io;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};
use std::time::Duration;

use tokio::net::UdpSocket;
use tokio::runtime::Runtime;
use tokio::sync::mpsc;
use tokio::time::Instant;

use super::link::{Link, Pool, Source, Wait};

/// How the suite treats the target.
#[derive(Clone, Copy, Debug)]
pub struct Manners {
    /// Between two datagrams from one IP address. libtorrent blocks an address at five a second.
    pub pace: Duration,
    /// How long an answer may take.
    pub patience: Duration,
}

/// Datagrams to the target at the pace of one address, for each check on average.
const DATAGRAMS_PER_CHECK: u32 = 3;
/// Time that each check waits on average, for what must not come or comes late.
const WAIT_PER_CHECK: Duration = Duration::from_millis(130);

impl Manners {
    /// How long so treated a target is busy with this many checks.
    #[must_use]
    pub fn estimate(&self, checks: usize) -> Duration {
        let per_check = self.pace * DATAGRAMS_PER_CHECK + WAIT_PER_CHECK;
        per_check * u32::try_from(checks).unwrap_or(u32::MAX)
    }
}

impl Default for Manners {
    fn default() -> Self {
        Self { pace: Duration::from_millis(250), patience: Duration::from_millis(1000) }
    }
}

/// How a node of a private network is treated: it limits no address, and a node that answers does so at once.
pub const LAN: Manners = Manners { pace: Duration::ZERO, patience: Duration::from_millis(250) };

/// Between two looks at something that changes with time.
const MOMENT: Duration = Duration::from_millis(250);
/// How long a reply may be overtaken on the way through this machine.
const STRAGGLER: Duration = Duration::from_millis(20);
/// What limits of a target need to recover: jech/dht serves 100 queries a second, and 400 at once.
const REST: Duration = Duration::from_secs(2);
/// Datagrams that wait to be read by a check; more than any burst brings.
const QUEUE: usize = 1024;

/// Sockets towards one target.
#[derive(Debug)]
pub struct Sockets {
    runtime: Runtime,
    target: SocketAddr,
    manners: Manners,
    /// The address that the system chooses towards the target.
    local: IpAddr,
    /// Where each source has an IP address of its own.
    pool: Option<Pool>,
    sockets: HashMap<Source, (SocketAddr, Arc<UdpSocket>)>,
    last_sent: HashMap<IpAddr, Instant>,
    sender: mpsc::Sender<(Source, Vec<u8>)>,
    arrived: mpsc::Receiver<(Source, Vec<u8>)>,
    /// Datagrams from the IP address of the target, but not from its port.
    strays: Arc<AtomicUsize>,
}

impl Sockets {
    /// Opens the first socket towards `target`. With a `pool` each source has an IP address of its own; a target on
    /// IPv4 loopback has one by itself.
    ///
    /// # Errors
    /// When the system has no socket, or no way to the target, or none of the addresses of the pool.
    pub fn open(target: SocketAddr, manners: Manners, pool: Option<Pool>) -> io::Result<Self> {
        let on_loopback = target.ip().is_loopback() && target.is_ipv4();
        let pool = pool.or_else(|| on_loopback.then_some(Pool::LOOPBACK)).filter(|_| target.is_ipv4());
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        let any: IpAddr = if target.is_ipv4() { Ipv4Addr::UNSPECIFIED.into() } else { [0u16; 8].into() };
        let scout = std::net::UdpSocket::bind((any, 0))?;
        scout.connect(target)?;
        let local = scout.local_addr()?.ip();
        let (sender, arrived) = mpsc::channel(QUEUE);
        let (sockets, last_sent, strays) = (HashMap::new(), HashMap::new(), Arc::default());
        let mut this = Self { runtime, target, manners, local, pool, sockets, last_sent, sender, arrived, strays };
        this.socket(Source::Main)?;
        Ok(this)
    }

    /// The IP address of `source`.
    fn ip_of(&self, source: Source) -> Option<IpAddr> {
        match self.pool {
            Some(pool) => Some(pool.address(source).into()),
            None => (!matches!(source, Source::Other | Source::Crowd(_))).then_some(self.local),
        }
    }

    fn socket(&mut self, source: Source) -> io::Result<(SocketAddr, Arc<UdpSocket>)> {
        if let Some((addr, socket)) = self.sockets.get(&source) {
            return Ok((*addr, Arc::clone(socket)));
        }
        let ip = self.ip_of(source).ok_or(io::ErrorKind::AddrNotAvailable)?;
        let socket = Arc::new(self.runtime.block_on(UdpSocket::bind((ip, 0)))?);
        let addr = socket.local_addr()?;
        let (strays, sender) = (Arc::clone(&self.strays), self.sender.clone());
        self.runtime.spawn(read(source, Arc::clone(&socket), self.target, sender, strays));
        self.sockets.insert(source, (addr, Arc::clone(&socket)));
        Ok((addr, socket))
    }
}

/// Passes on what the target sends to `source`, until nobody listens any more.
async fn read(
    source: Source,
    socket: Arc<UdpSocket>,
    target: SocketAddr,
    arrived: mpsc::Sender<(Source, Vec<u8>)>,
    strays: Arc<AtomicUsize>,
) {
    let mut buffer = vec![0; 65_536];
    while !arrived.is_closed() {
        match socket.recv_from(&mut buffer).await {
            Ok((length, from)) if from == target => {
                if arrived.send((source, buffer[..length].to_vec())).await.is_err() {
                    return;
                }
            }
            // The target from another port, or a stranger; or an ICMP error about something that was sent before.
            Ok((_, from)) => {
                strays.fetch_add(usize::from(from.ip() == target.ip()), Relaxed);
            }
            Err(_) => tokio::task::yield_now().await,
        }
    }
}

impl Link for Sockets {
    fn target(&self) -> SocketAddr {
        self.target
    }

    /// Towards an address of this host the system chooses that same address.
    fn may_burst(&self) -> bool {
        self.target.ip().is_loopback() || self.target.ip() == self.local
    }

    fn rest(&mut self) {
        if !self.manners.pace.is_zero() {
            self.runtime.block_on(async { tokio::time::sleep(REST).await });
        }
    }

    fn strays(&self) -> usize {
        self.strays.load(Relaxed)
    }

    fn address(&mut self, source: Source) -> Option<SocketAddr> {
        self.socket(source).ok().map(|(addr, _)| addr)
    }

    fn send(&mut self, source: Source, datagram: &[u8], burst: bool) {
        let Ok((addr, socket)) = self.socket(source) else { return };
        let next = self.last_sent.get(&addr.ip()).map(|&last| last + self.manners.pace);
        let target = self.target;
        self.runtime.block_on(async {
            if let Some(next) = next.filter(|_| !burst) {
                tokio::time::sleep_until(next).await;
            }
            // What cannot be sent is not answered, and that is what the check will say.
            let _ = socket.send_to(datagram, target).await;
        });
        self.last_sent.insert(addr.ip(), self.runtime.block_on(async { Instant::now() }));
    }

    fn receive(&mut self, wait: Wait) -> Option<(Source, Vec<u8>)> {
        let wait = match wait {
            Wait::Answer => self.manners.patience,
            Wait::Moment => MOMENT,
            Wait::Straggler if self.may_burst() => STRAGGLER,
            Wait::Straggler => self.manners.patience / 4,
        };
        let arrived = &mut self.arrived;
        self.runtime.block_on(async { tokio::time::timeout(wait, arrived.recv()).await.ok().flatten() })
    }
}
