//! One bound UDP address that moves datagrams in batches.
//!
//! Where the kernel takes many datagrams in one system call (Linux: `recvmmsg`, `sendmmsg`) it is used; elsewhere,
//! and under the feature `portable-udp`, there is one call per datagram. Both ways keep the same promises but one (on the wildcard only the batched one knows which address was asked), and the
//! same tests hold them to it:
//!
//! - nothing is allocated per datagram, and nothing blocks;
//! - a datagram that cannot be sent is counted and skipped, and the rest of its batch goes out;
//! - what the kernel reports about a remote (ICMP unreachable) is a counter, never an error;
//! - a datagram is seen whole or not at all: one that is longer than [`MAX_DATAGRAM`] is counted and skipped.
//!
//! On a host with several addresses a socket on the wildcard answers from the address that was asked, where datagrams are
//! batched: the kernel tells it with each of them (ip(7), `IP_PKTINFO`).
//!
//! The socket is never connected and asks for no error queue, so on Linux an ICMP message about one remote does not
//! even reach it; other systems report it on the next call.

use std::io;
use std::net::SocketAddr;

use socket2::{Domain, Protocol, Type};
use tokio::net::UdpSocket;

use super::handover::{self, Kept};

#[cfg(target_os = "linux")]
#[allow(unsafe_code, reason = "two system calls that only libc offers; the one audited file")]
mod batch;
mod portable;

/// Most datagrams in one batch. At about a microsecond each the cost of the system call is spread thin by then.
pub const BATCH: usize = 64;

/// Longest datagram that is received or sent, in bytes. The longest that BEP 44 makes is under 1,500.
pub const MAX_DATAGRAM: usize = 2048;

/// What is asked of the kernel for each direction: some 4,000 queries that wait while another program has our core.
const BUFFER_BYTES: usize = 4 << 20;

/// A UDP socket bound to one address, IPv4 or IPv6 (never both), inside a tokio runtime.
///
/// Getters: [`local_addr`](Self::local_addr), [`buffer_sizes`](Self::buffer_sizes), [`counters`](Self::counters).
/// Waiting: [`readable`](Self::readable), [`writable`](Self::writable). Moving datagrams, none of which blocks:
/// [`receive`](Self::receive), [`push`](Self::push), [`flush`](Self::flush).
///
/// ```
/// # use trackerless::net::socket::Socket;
/// # #[tokio::main(flavor = "current_thread")] async fn main() -> std::io::Result<()> {
/// let mut socket = Socket::bind("127.0.0.1:0".parse().unwrap())?;
/// let own = socket.local_addr();
/// assert!(socket.push(own, b"hello"));
/// while socket.flush().left > 0 {
///     socket.writable().await?;
/// }
/// socket.readable().await?;
/// socket.receive(|from, bytes| assert_eq!((from, bytes), (own, &b"hello"[..])))?;
/// # Ok(()) }
/// ```
#[derive(Debug)]
pub struct Socket {
    udp: UdpSocket,
    calls: Backend,
    local_addr: SocketAddr,
    buffer_sizes: BufferSizes,
    counters: Counters,
    /// Kept by the manager of services for as long as it is this node's.
    _kept: Option<Kept>,
}

/// How datagrams pass to and from the kernel.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Calls {
    /// Many in one system call.
    #[cfg(target_os = "linux")]
    Batched,
    /// One in each system call: every system has this.
    OneByOne,
}

impl Default for Calls {
    #[cfg(all(target_os = "linux", not(feature = "portable-udp")))]
    fn default() -> Self {
        Self::Batched
    }

    #[cfg(not(all(target_os = "linux", not(feature = "portable-udp"))))]
    fn default() -> Self {
        Self::OneByOne
    }
}

/// What the kernel granted for datagrams that wait, in bytes (its bookkeeping included).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BufferSizes {
    /// Received and not yet read.
    pub receive_bytes: usize,
    /// Sent and not yet on the wire.
    pub send_bytes: usize,
}

/// Datagrams since the socket was bound.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counters {
    /// Handed to the caller.
    pub received: u64,
    /// Longer than [`MAX_DATAGRAM`], skipped.
    pub truncated: u64,
    /// Taken by the kernel.
    pub sent: u64,
    /// Refused by the kernel or too long, skipped.
    pub failed: u64,
    /// Reports that a remote could not be reached.
    pub unreachable: u64,
}

impl Counters {
    /// Both together.
    #[must_use]
    pub const fn plus(self, other: Self) -> Self {
        Self {
            received: self.received + other.received,
            truncated: self.truncated + other.truncated,
            sent: self.sent + other.sent,
            failed: self.failed + other.failed,
            unreachable: self.unreachable + other.unreachable,
        }
    }
}

/// What one [`Socket::flush`] did.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Flushed {
    /// Datagrams taken by the kernel.
    pub sent: usize,
    /// Datagrams that the kernel refused, and that are gone.
    pub failed: usize,
    /// Datagrams that wait until the socket is [`writable`](Socket::writable).
    pub left: usize,
}

impl Socket {
    /// Binds `addr`; port 0 lets the system choose. An IPv6 socket takes no IPv4 traffic.
    ///
    /// # Errors
    /// What the system says: the port is in use, the address is not ours, the family is missing.
    ///
    /// # Panics
    /// Outside a tokio runtime.
    pub fn bind(addr: SocketAddr) -> io::Result<Self> {
        Self::bind_with(addr, Calls::default())
    }

    /// Binds `addr` although this host does not have it yet. Nothing is received or sent until it has.
    ///
    /// # Errors
    /// As [`bind`](Self::bind), and where the system knows no such thing.
    ///
    /// # Panics
    /// Outside a tokio runtime.
    pub fn bind_ahead(addr: SocketAddr) -> io::Result<Self> {
        Self::bind_prepared(addr, Calls::default(), bind_freely)
    }

    /// Binds `addr` with a chosen way of calling the kernel; to compare them.
    ///
    /// # Errors
    /// As [`bind`](Self::bind).
    ///
    /// # Panics
    /// Outside a tokio runtime.
    pub fn bind_with(addr: SocketAddr, calls: Calls) -> io::Result<Self> {
        Self::bind_prepared(addr, calls, |_, _| Ok(()))
    }

    fn bind_prepared(
        addr: SocketAddr,
        calls: Calls,
        prepare: impl FnOnce(&socket2::Socket, SocketAddr) -> io::Result<()>,
    ) -> io::Result<Self> {
        let inherited = handover::udp(addr).map(socket2::Socket::from);
        let is_bound = inherited.is_some();
        let socket = match inherited {
            Some(socket) => socket,
            None => socket2::Socket::new(Domain::for_address(addr), Type::DGRAM, Some(Protocol::UDP))?,
        };
        if addr.is_ipv6() && !is_bound {
            socket.set_only_v6(true)?;
        }
        // Asked for, not demanded: a system that grants less still works, and says so in `buffer_sizes`.
        let _ = socket.set_recv_buffer_size(BUFFER_BYTES);
        let _ = socket.set_send_buffer_size(BUFFER_BYTES);
        socket.set_nonblocking(true)?;
        if !is_bound {
            prepare(&socket, addr)?;
            socket.bind(&addr.into())?;
        }
        let kept = handover::keep("udp", addr, &socket);
        #[cfg(target_os = "linux")]
        if calls == Calls::Batched && addr.ip().is_unspecified() {
            batch::ask_for_packet_info(&socket, addr.is_ipv6())?;
        }
        let buffer_sizes = BufferSizes::granted(&socket)?;
        let udp = UdpSocket::from_std(socket.into())?;
        let local_addr = udp.local_addr()?;
        Ok(Self {
            udp,
            calls: Backend::new(calls),
            local_addr,
            buffer_sizes,
            counters: Counters::default(),
            _kept: kept,
        })
    }

    /// The bound address, with the port that the system chose.
    #[must_use]
    pub fn local_addr(&self) -> SocketAddr {
        self.local_addr
    }

    /// What the kernel granted.
    #[must_use]
    pub fn buffer_sizes(&self) -> BufferSizes {
        self.buffer_sizes
    }

    /// Totals since the socket was bound.
    #[must_use]
    pub fn counters(&self) -> Counters {
        self.counters
    }

    /// Waits until datagrams may have arrived. Safe to drop and call again.
    ///
    /// # Errors
    /// The runtime is shutting down.
    pub async fn readable(&self) -> io::Result<()> {
        self.udp.readable().await
    }

    /// Waits until the kernel may take datagrams again. Safe to drop and call again.
    ///
    /// # Errors
    /// The runtime is shutting down.
    pub async fn writable(&self) -> io::Result<()> {
        self.udp.writable().await
    }

    /// Receives what has arrived, at most [`BATCH`] datagrams, and calls `each` with the source (an IPv4-mapped one
    /// written as IPv4) and the bytes of every one. Returns how many; 0 when nothing is there. Call it again while
    /// it returns more than 0, or wait until [`readable`](Self::readable).
    ///
    /// # Errors
    /// Only what is about this socket (no memory, closed): a remote cannot cause one.
    pub fn receive(&mut self, mut each: impl FnMut(SocketAddr, &[u8])) -> io::Result<usize> {
        // An error about a remote takes the place of a datagram in the queue; past it there may be more.
        for _ in 0..BATCH {
            match self.calls.receive(&self.udp, &mut each) {
                Ok(Received { whole, truncated }) => {
                    self.counters.received += whole as u64;
                    self.counters.truncated += truncated as u64;
                    return Ok(whole);
                }
                Err(error) if is_unreachable(&error) => self.counters.unreachable += 1,
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Ok(0),
                Err(error) => return Err(error),
            }
        }
        Ok(0)
    }

    /// Copies a datagram into the batch that the next [`flush`](Self::flush) sends. On a wildcard, one to an endpoint that
    /// was heard in the last batch leaves from the address that it was sent to.
    /// False if the batch is full: the
    /// datagram was not taken. One that is longer than [`MAX_DATAGRAM`] is taken, counted as failed and forgotten.
    #[must_use = "a datagram that was not taken is lost unless it is pushed again after a flush"]
    pub fn push(&mut self, to: SocketAddr, payload: &[u8]) -> bool {
        if payload.len() > MAX_DATAGRAM {
            self.counters.failed += 1;
            return true;
        }
        self.calls.push(to, payload)
    }

    /// Sends the batch. A datagram that the kernel refuses is counted and skipped. When the kernel has no room the
    /// rest stays, in order, for the next flush; wait until [`writable`](Self::writable).
    pub fn flush(&mut self) -> Flushed {
        let mut flushed = Flushed::default();
        let mut refused_before = false;
        while self.calls.queued() > 0 {
            match self.calls.send(&self.udp) {
                Ok(count) => {
                    flushed.sent += count;
                    refused_before = false;
                }
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => break,
                // A late report about an earlier datagram: the one at the head has not been tried yet.
                Err(error) if is_unreachable(&error) && !refused_before => {
                    self.counters.unreachable += 1;
                    refused_before = true;
                }
                Err(_) => {
                    self.calls.skip();
                    flushed.failed += 1;
                    refused_before = false;
                }
            }
        }
        self.counters.sent += flushed.sent as u64;
        self.counters.failed += flushed.failed as u64;
        Flushed { left: self.calls.queued(), ..flushed }
    }
}

/// Lets a socket be bound to an address that is not there yet (ip(7), `IP_FREEBIND`).
#[cfg(target_os = "linux")]
fn bind_freely(socket: &socket2::Socket, addr: SocketAddr) -> io::Result<()> {
    match addr {
        SocketAddr::V4(_) => socket.set_freebind_v4(true),
        SocketAddr::V6(_) => socket.set_freebind_v6(true),
    }
}

#[cfg(not(target_os = "linux"))]
fn bind_freely(_: &socket2::Socket, _: SocketAddr) -> io::Result<()> {
    Err(io::ErrorKind::Unsupported.into())
}

/// How many datagrams one batch brought.
#[derive(Clone, Copy, Debug, Default)]
struct Received {
    whole: usize,
    truncated: usize,
}

/// Whether the kernel speaks of an earlier datagram's destination (ICMP port or host unreachable).
fn is_unreachable(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::ConnectionRefused | io::ErrorKind::ConnectionReset)
}

impl BufferSizes {
    fn granted(socket: &socket2::Socket) -> io::Result<Self> {
        Ok(Self { receive_bytes: socket.recv_buffer_size()?, send_bytes: socket.send_buffer_size()? })
    }
}

/// The way that was chosen, with its buffers. Each method exists in both ways, under the same contract.
#[derive(Debug)]
enum Backend {
    #[cfg(target_os = "linux")]
    Batched(batch::Batched),
    OneByOne(portable::OneByOne),
}

/// Calls the same method of whichever way it is.
macro_rules! either {
    ($backend:expr, $calls:ident => $call:expr) => {
        match $backend {
            #[cfg(target_os = "linux")]
            Backend::Batched($calls) => $call,
            Backend::OneByOne($calls) => $call,
        }
    };
}

impl Backend {
    fn new(calls: Calls) -> Self {
        match calls {
            #[cfg(target_os = "linux")]
            Calls::Batched => Self::Batched(batch::Batched::new()),
            Calls::OneByOne => Self::OneByOne(portable::OneByOne::new()),
        }
    }

    /// Receives at most [`BATCH`] datagrams. An error takes the place of a datagram, never of those before it.
    fn receive(&mut self, udp: &UdpSocket, each: &mut impl FnMut(SocketAddr, &[u8])) -> io::Result<Received> {
        either!(self, calls => calls.receive(udp, each))
    }

    /// Queues a datagram of at most [`MAX_DATAGRAM`] bytes; false if there is no room.
    fn push(&mut self, to: SocketAddr, payload: &[u8]) -> bool {
        either!(self, calls => calls.push(to, payload))
    }

    /// How many datagrams are queued.
    fn queued(&self) -> usize {
        either!(self, calls => calls.queued())
    }

    /// Sends some of the queue from its head and returns how many, at least one; an error is about the head, which
    /// stays.
    fn send(&mut self, udp: &UdpSocket) -> io::Result<usize> {
        either!(self, calls => calls.send(udp))
    }

    /// Drops the head of the queue.
    fn skip(&mut self) {
        either!(self, calls => calls.skip());
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::future::Future;
    use std::time::Duration;

    /// Runs `test` with every way of calling the kernel and with both families.
    fn on_every_way<F: Future<Output = ()>>(test: impl Fn(Calls, SocketAddr) -> F) {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        for any in ["127.0.0.1:0", "[::1]:0"] {
            let any: SocketAddr = any.parse().unwrap();
            if let Err(error) = std::net::UdpSocket::bind(any) {
                assert!(any.is_ipv6(), "{any}: {error}");
                println!("skipped: IPv6, this machine has no ::1 ({error})");
                continue;
            }
            #[cfg(target_os = "linux")]
            runtime.block_on(test(Calls::Batched, any));
            runtime.block_on(test(Calls::OneByOne, any));
        }
    }

    async fn flush_all(socket: &mut Socket) -> Flushed {
        let mut total = Flushed::default();
        loop {
            let flushed = socket.flush();
            total.sent += flushed.sent;
            total.failed += flushed.failed;
            if flushed.left == 0 {
                return total;
            }
            socket.writable().await.unwrap();
        }
    }

    /// Receives until `count` datagrams are there. The limit only turns a hang into a failure.
    async fn receive_all(socket: &mut Socket, count: usize) -> Vec<(SocketAddr, Vec<u8>)> {
        let mut all = Vec::new();
        let work = async {
            while all.len() < count {
                socket.readable().await.unwrap();
                let returned = {
                    let before = all.len();
                    let returned = socket.receive(|from, bytes| all.push((from, bytes.to_vec()))).unwrap();
                    assert_eq!(all.len() - before, returned);
                    returned
                };
                assert!(returned <= BATCH);
            }
        };
        tokio::time::timeout(Duration::from_secs(20), work).await.expect("every datagram arrives on loopback");
        all
    }

    /// Payloads of every length from 0 on, each with its own bytes.
    fn payload(index: usize) -> Vec<u8> {
        (0..index * 7 % 1500).map(|at| (index + at) as u8).collect()
    }

    #[test]
    fn content_source_and_order_survive_batches_of_every_size() {
        on_every_way(|calls, any| async move {
            let (mut a, mut b) = (Socket::bind_with(any, calls).unwrap(), Socket::bind_with(any, calls).unwrap());
            for count in [1, 2, BATCH - 1, BATCH, BATCH + 1, 3 * BATCH + 5] {
                let mut sent = 0;
                for index in 0..count {
                    if !a.push(b.local_addr(), &payload(index)) {
                        sent += flush_all(&mut a).await.sent;
                        assert!(a.push(b.local_addr(), &payload(index)), "there is room after a flush");
                    }
                }
                sent += flush_all(&mut a).await.sent;
                assert_eq!(sent, count);
                let arrived = receive_all(&mut b, count).await;
                let expected: Vec<_> = (0..count).map(|index| (a.local_addr(), payload(index))).collect();
                assert_eq!(arrived, expected, "{calls:?}");
            }
            assert_eq!(a.counters().sent, b.counters().received);
            assert_eq!(a.counters().failed, 0);
            assert_eq!(b.receive(|_, _| ()).unwrap(), 0, "and nothing else is there");
        });
    }

    #[test]
    fn one_batch_goes_to_many_destinations() {
        on_every_way(|calls, any| async move {
            let mut from = Socket::bind_with(any, calls).unwrap();
            let mut to: Vec<_> = (0..5).map(|_| Socket::bind_with(any, calls).unwrap()).collect();
            for index in 0..BATCH {
                assert!(from.push(to[index % 5].local_addr(), &[index as u8]));
            }
            assert!(!from.push(to[0].local_addr(), b"one too many"));
            flush_all(&mut from).await;
            for (offset, socket) in to.iter_mut().enumerate() {
                let expected: Vec<_> =
                    (offset..BATCH).step_by(5).map(|index| (from.local_addr(), vec![index as u8])).collect();
                assert_eq!(receive_all(socket, expected.len()).await, expected);
            }
        });
    }

    /// A client drops what comes from another address than it asked.
    #[cfg(target_os = "linux")]
    #[test]
    fn a_wildcard_answers_from_the_address_that_was_asked() {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(async {
            let mut server = Socket::bind_with("0.0.0.0:0".parse().unwrap(), Calls::Batched).unwrap();
            let port = server.local_addr().port();
            let clients: Vec<_> = (1..=20u8)
                .map(|number| {
                    let client = std::net::UdpSocket::bind("127.0.0.1:0").unwrap();
                    client.set_read_timeout(Some(Duration::from_secs(20))).unwrap();
                    client.connect(SocketAddr::from(([127, 0, number, 7], port))).unwrap();
                    client
                })
                .collect();
            for round in 0..3u8 {
                clients.iter().for_each(|client| drop(client.send(&[round])));
                let asked = receive_all(&mut server, clients.len()).await;
                // Something else goes out between the replies.
                let elsewhere = std::net::UdpSocket::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
                for (from, bytes) in asked {
                    assert!(server.push(elsewhere, b"a query of ours") && server.push(from, &bytes));
                }
                flush_all(&mut server).await;
                for client in &clients {
                    let mut buffer = [0; 8];
                    assert_eq!((client.recv(&mut buffer).unwrap(), buffer[0]), (1, round));
                }
            }
        });
    }

    #[test]
    fn a_bad_destination_costs_only_its_own_datagram() {
        on_every_way(|calls, any| async move {
            let (mut a, mut b) = (Socket::bind_with(any, calls).unwrap(), Socket::bind_with(any, calls).unwrap());
            // Port 0 is refused by every system; the other family cannot leave through this socket.
            let other_family = if any.is_ipv4() { "[::1]:9" } else { "127.0.0.1:9" };
            let bad = [SocketAddr::new(any.ip(), 0), other_family.parse().unwrap()];
            for index in 0..20_u8 {
                let good = b.local_addr();
                // At the head, alone, twice in a row, and at the tail.
                let to = if [0, 5, 9, 10, 19].contains(&index) { bad[usize::from(index) % 2] } else { good };
                assert!(a.push(to, &[index]));
            }
            assert_eq!(flush_all(&mut a).await, Flushed { sent: 15, failed: 5, left: 0 }, "{calls:?}");
            let arrived: Vec<u8> = receive_all(&mut b, 15).await.iter().map(|(_, bytes)| bytes[0]).collect();
            assert_eq!(arrived, [1, 2, 3, 4, 6, 7, 8, 11, 12, 13, 14, 15, 16, 17, 18]);
            assert_eq!((a.counters().sent, a.counters().failed), (15, 5));
        });
    }

    #[test]
    fn datagrams_that_find_no_room_wait_in_order() {
        on_every_way(|calls, any| async move {
            let (mut a, mut b) = (Socket::bind_with(any, calls).unwrap(), Socket::bind_with(any, calls).unwrap());
            assert!(a.push(b.local_addr(), b"first") && a.push(b.local_addr(), b"second"));
            // Tokio has not yet heard from the kernel that this new socket can be written to.
            assert_eq!(a.flush(), Flushed { sent: 0, failed: 0, left: 2 });
            assert!(a.push(b.local_addr(), b"third"));
            a.writable().await.unwrap();
            assert_eq!(a.flush(), Flushed { sent: 3, failed: 0, left: 0 });
            let arrived: Vec<_> = receive_all(&mut b, 3).await.into_iter().map(|(_, bytes)| bytes).collect();
            assert_eq!(arrived, [&b"first"[..], b"second", b"third"]);
        });
    }

    #[test]
    fn a_datagram_is_seen_whole_or_not_at_all() {
        on_every_way(|calls, any| async move {
            let mut socket = Socket::bind_with(any, calls).unwrap();
            let sender = std::net::UdpSocket::bind(any).unwrap();
            for len in [MAX_DATAGRAM, MAX_DATAGRAM + 1, 9000, 0, 3] {
                sender.send_to(&vec![b'x'; len], socket.local_addr()).unwrap();
            }
            let lens: Vec<_> = receive_all(&mut socket, 3).await.iter().map(|(_, bytes)| bytes.len()).collect();
            assert_eq!(lens, [MAX_DATAGRAM, 0, 3], "{calls:?}");
            assert_eq!((socket.counters().received, socket.counters().truncated), (3, 2));

            assert!(socket.push(sender.local_addr().unwrap(), &[0; MAX_DATAGRAM + 1]), "taken, and forgotten");
            assert_eq!((socket.flush().left, socket.counters().failed), (0, 1));
        });
    }

    /// Only a connected socket is told of ICMP messages on Linux; other systems tell any socket, in the same words.
    #[cfg(target_os = "linux")]
    #[test]
    fn an_unreachable_remote_is_a_counter() {
        on_every_way(|calls, any| async move {
            let mut socket = Socket::bind_with(any, calls).unwrap();
            let mut open = Socket::bind_with(any, calls).unwrap();
            let closed = std::net::UdpSocket::bind(any).unwrap().local_addr().unwrap();
            socket.udp.connect(closed).await.unwrap();
            assert!(socket.push(closed, b"is anybody there?"));
            assert_eq!(flush_all(&mut socket).await.sent, 1);

            // The report waits in the socket and takes the next call, here a flush to somebody who is there.
            assert!(socket.push(open.local_addr(), b"hello") && socket.push(closed, b"and you?"));
            assert_eq!(flush_all(&mut socket).await, Flushed { sent: 2, failed: 0, left: 0 });
            assert_eq!(socket.counters().unreachable, 1);
            assert_eq!(receive_all(&mut open, 1).await, [(socket.local_addr(), b"hello".to_vec())]);

            // The second report lies before a datagram, which is found all the same.
            let reopened = std::net::UdpSocket::bind(closed).unwrap();
            reopened.send_to(b"now I am", socket.local_addr()).unwrap();
            assert_eq!(receive_all(&mut socket, 1).await, [(closed, b"now I am".to_vec())]);
            assert_eq!((socket.counters().unreachable, socket.counters().failed), (2, 0));
        });
    }

    #[test]
    fn a_port_in_use_is_an_error_and_a_chosen_port_is_told() {
        on_every_way(|calls, any| async move {
            let socket = Socket::bind_with(any, calls).unwrap();
            assert_ne!(socket.local_addr().port(), 0);
            assert_eq!(socket.local_addr().ip(), any.ip());
            let error = Socket::bind_with(socket.local_addr(), calls).unwrap_err();
            assert_eq!(error.kind(), io::ErrorKind::AddrInUse);
            let BufferSizes { receive_bytes, send_bytes } = socket.buffer_sizes();
            assert!(receive_bytes >= 64 << 10 && send_bytes >= 64 << 10, "{receive_bytes} {send_bytes}");
        });
    }

    #[test]
    fn an_ipv6_socket_leaves_the_ipv4_port_alone() {
        on_every_way(|calls, any| async move {
            if any.is_ipv4() {
                return;
            }
            // The same port can be had for IPv4 only if the IPv6 socket does not cover it; another program may
            // hold that port, so one success in some tries is the proof.
            let free = (0..20).any(|_| {
                let v6 = Socket::bind_with("[::]:0".parse().unwrap(), calls).unwrap();
                Socket::bind_with(SocketAddr::from(([0, 0, 0, 0], v6.local_addr().port())), calls).is_ok()
            });
            assert!(free);
        });
    }

    #[test]
    fn the_default_way_follows_the_feature() {
        let batched = cfg!(target_os = "linux") && !cfg!(feature = "portable-udp");
        assert_eq!(Calls::default() != Calls::OneByOne, batched);
    }
}
