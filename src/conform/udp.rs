//! The real network: one socket per source, all read at once, a polite pace for each address.
//!
//! Not for use inside an async runtime: it waits in a small one of its own.

use std::collections::HashMap;
use std::io;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use tokio::net::UdpSocket;
use tokio::runtime::Runtime;
use tokio::sync::mpsc;
use tokio::time::Instant;

use super::link::{Link, Source, Wait};

/// How the suite treats the target.
#[derive(Clone, Copy, Debug)]
pub struct Manners {
    /// Between two datagrams from one IP address. libtorrent blocks an address at five a second.
    pub pace: Duration,
    /// How long an answer may take.
    pub patience: Duration,
}

impl Default for Manners {
    fn default() -> Self {
        Self { pace: Duration::from_millis(250), patience: Duration::from_millis(1000) }
    }
}

/// Between two looks at something that changes with time.
const MOMENT: Duration = Duration::from_millis(250);
/// How long a reply may be overtaken on the way through this machine.
const STRAGGLER: Duration = Duration::from_millis(20);
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
    sockets: HashMap<Source, (SocketAddr, Arc<UdpSocket>)>,
    last_sent: HashMap<IpAddr, Instant>,
    sender: mpsc::Sender<(Source, Vec<u8>)>,
    arrived: mpsc::Receiver<(Source, Vec<u8>)>,
}

impl Sockets {
    /// Opens the first socket towards `target`.
    ///
    /// # Errors
    /// When the system has no socket, or no way to the target.
    pub fn open(target: SocketAddr, manners: Manners) -> io::Result<Self> {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        let any: IpAddr = if target.is_ipv4() { Ipv4Addr::UNSPECIFIED.into() } else { [0u16; 8].into() };
        let scout = std::net::UdpSocket::bind((any, 0))?;
        scout.connect(target)?;
        let local = scout.local_addr()?.ip();
        let (sender, arrived) = mpsc::channel(QUEUE);
        let (sockets, last_sent) = (HashMap::new(), HashMap::new());
        let mut this = Self { runtime, target, manners, local, sockets, last_sent, sender, arrived };
        this.socket(Source::Main)?;
        Ok(this)
    }

    /// The IP address of `source`. On IPv4 loopback each part has a network of its own (libtorrent keeps one contact
    /// per /24), and those of four parts cancel out when XORed, which the check of the tokens needs.
    fn ip_of(&self, source: Source) -> Option<IpAddr> {
        if !(self.target.ip().is_loopback() && self.target.is_ipv4()) {
            return (!matches!(source, Source::Other | Source::Crowd(_))).then_some(self.local);
        }
        let network = match source {
            Source::Main | Source::SecondPort => 4,
            Source::Other => 5,
            Source::Mute => 6,
            Source::ReadOnly => 7,
            Source::Unheard => 8,
            Source::Crowd(number) => return Some(Ipv4Addr::new(127, 241, number, 1).into()),
        };
        Some(Ipv4Addr::new(127, 240, network, 1).into())
    }

    fn socket(&mut self, source: Source) -> io::Result<(SocketAddr, Arc<UdpSocket>)> {
        if let Some((addr, socket)) = self.sockets.get(&source) {
            return Ok((*addr, Arc::clone(socket)));
        }
        let ip = self.ip_of(source).ok_or(io::ErrorKind::AddrNotAvailable)?;
        let socket = Arc::new(self.runtime.block_on(UdpSocket::bind((ip, 0)))?);
        let addr = socket.local_addr()?;
        self.runtime.spawn(read(source, Arc::clone(&socket), self.target, self.sender.clone()));
        self.sockets.insert(source, (addr, Arc::clone(&socket)));
        Ok((addr, socket))
    }
}

/// Passes on what the target sends to `source`, until nobody listens any more.
async fn read(source: Source, socket: Arc<UdpSocket>, target: SocketAddr, arrived: mpsc::Sender<(Source, Vec<u8>)>) {
    let mut buffer = vec![0; 65_536];
    while !arrived.is_closed() {
        match socket.recv_from(&mut buffer).await {
            Ok((length, from)) if from == target => {
                if arrived.send((source, buffer[..length].to_vec())).await.is_err() {
                    return;
                }
            }
            // A stranger; or an ICMP error about something that was sent before.
            Ok(_) | Err(_) => tokio::task::yield_now().await,
        }
    }
}

impl Link for Sockets {
    fn target(&self) -> SocketAddr {
        self.target
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
            Wait::Straggler if self.target.ip().is_loopback() => STRAGGLER,
            Wait::Straggler => self.manners.patience / 4,
        };
        let arrived = &mut self.arrived;
        self.runtime.block_on(async { tokio::time::timeout(wait, arrived.recv()).await.ok().flatten() })
    }
}
