//! The gateway over UDP.
//!
//! One task owns the socket. It answers what arrived together in one turn: one look at the clock, one lock, and one
//! system call each for the requests and for the answers. Nothing is allocated for an announce that is answered at once.
//!
//! A host has many addresses and a socket may be bound to all of them. An answer leaves from the address that was asked:
//! clients drop one that comes from elsewhere.

use std::collections::BTreeMap;
use std::io::{self, IoSliceMut};
use std::net::{IpAddr, SocketAddr};

use futures_util::stream::{FuturesUnordered, StreamExt as _};
use quinn_udp::{BATCH_SIZE, RecvMeta, Transmit, UdpSocketState};
use tokio::io::Interest;
use tokio::net::UdpSocket;
use tokio::sync::{mpsc, oneshot};
use tracing::{debug, trace};

use super::{ScrapeWaiter, Shared, State, Waiter};
use crate::engine::contact::{Family, canonical, is_local};
use crate::engine::id::InfoHash;
use crate::engine::time::Instant;
use crate::net::handover;
use crate::net::socket::Socket as Batched;
use crate::tracker::broker::{Client, Decision, Files, Scraping, Transport};
use crate::tracker::udp::{self, Action, Request};
use crate::tracker::{Announce, Answer, Counts, Failure};

/// Room for one system call's datagrams of one sender, which the kernel may hand over in one piece.
const BUFFER: usize = 64 << 10;
/// Scrapes at a time of which the gateway does not know all: the others are told without what was counted elsewhere.
const SCRAPES_ELSEWHERE: usize = 64;
/// What is asked of the kernel for requests that wait: a burst of some ten thousand.
const RECEIVE_BUFFER: usize = 4 << 20;

/// One of the gateway's sockets.
#[derive(Clone, Copy, Debug)]
pub(super) struct Way {
    /// Its index.
    pub(super) door: usize,
    /// Its address.
    pub(super) local: SocketAddr,
}

/// The way back to a client.
#[derive(Clone, Copy, Debug)]
pub(super) struct Return {
    way: Way,
    client: SocketAddr,
    /// Our address that it asked; `None` where the system does not tell, or where there is only one.
    here: Option<IpAddr>,
    transaction: u32,
}

impl Return {
    /// The index of the socket by which the client asked.
    pub(super) const fn door(&self) -> usize {
        self.way.door
    }
}

/// An answer that is sent by itself.
pub(super) type Datagram = (Return, Vec<u8>);

/// The socket.
#[derive(Debug)]
pub(super) enum Socket {
    /// Bound to one address, from which all answers leave.
    One(Batched),
    /// Bound to all.
    Every(Everywhere),
}

impl Socket {
    pub(super) async fn bind(addr: SocketAddr) -> io::Result<Self> {
        if addr.ip().is_unspecified() {
            return Ok(Self::Every(Everywhere::new(handover::bind_udp(addr).await?)?));
        }
        Ok(Self::One(Batched::bind(addr)?))
    }

    async fn readable(&self) -> io::Result<()> {
        match self {
            Self::One(socket) => socket.readable().await,
            Self::Every(socket) => socket.udp.readable().await,
        }
    }

    /// Hands each datagram that is there to `handle`, with its source and our address that it was sent to.
    fn receive(&mut self, mut handle: impl FnMut(&[u8], SocketAddr, Option<IpAddr>)) -> io::Result<()> {
        match self {
            Self::One(socket) => socket.receive(|from, datagram| handle(datagram, from, None)).map(drop),
            Self::Every(socket) => socket.receive(handle),
        }
    }

    /// Sends a datagram, some time before the next [`Socket::flush`] is over.
    async fn send(&mut self, path: Return, contents: &[u8]) -> io::Result<()> {
        match self {
            Self::One(socket) => {
                while !socket.push(path.client, contents) {
                    flush(socket).await?;
                }
            }
            Self::Every(socket) => socket.send(path, contents),
        }
        Ok(())
    }

    async fn send_now(&mut self, (path, contents): Datagram) -> io::Result<()> {
        self.send(path, &contents).await?;
        self.flush().await
    }

    async fn flush(&mut self) -> io::Result<()> {
        match self {
            Self::One(socket) => flush(socket).await,
            Self::Every(_) => Ok(()),
        }
    }
}

async fn flush(socket: &mut Batched) -> io::Result<()> {
    while socket.flush().left > 0 {
        socket.writable().await?;
    }
    Ok(())
}

/// A socket that knows at which of its addresses a datagram arrived.
#[derive(Debug)]
pub(super) struct Everywhere {
    udp: UdpSocket,
    state: UdpSocketState,
    buffer: Vec<u8>,
}

impl Everywhere {
    fn new(udp: UdpSocket) -> io::Result<Self> {
        let state = UdpSocketState::new((&udp).into())?;
        // Asked for, not demanded: with less, bursts lose more.
        let _ = state.set_recv_buffer_size((&udp).into(), RECEIVE_BUFFER);
        Ok(Self { udp, state, buffer: vec![0; BUFFER * BATCH_SIZE] })
    }

    fn receive(&mut self, mut handle: impl FnMut(&[u8], SocketAddr, Option<IpAddr>)) -> io::Result<()> {
        let mut metas = [RecvMeta::default(); BATCH_SIZE];
        let received = self.udp.try_io(Interest::READABLE, || {
            let mut slices: Vec<IoSliceMut<'_>> = self.buffer.chunks_exact_mut(BUFFER).map(IoSliceMut::new).collect();
            self.state.recv((&self.udp).into(), &mut slices, &mut metas)
        });
        let count = match received {
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => 0,
            received => received?,
        };
        for (meta, bytes) in metas[..count].iter().zip(self.buffer.chunks_exact(BUFFER)) {
            for datagram in bytes[..meta.len].chunks(meta.stride.max(1)) {
                handle(datagram, meta.addr, meta.dst_ip);
            }
        }
        Ok(())
    }

    /// A datagram that finds no room in the socket is lost like one that the network loses: the client asks again.
    fn send(&self, path: Return, contents: &[u8]) {
        let transmit =
            Transmit { destination: path.client, ecn: None, contents, segment_size: None, src_ip: path.here };
        let sent = self.udp.try_io(Interest::WRITABLE, || self.state.try_send((&self.udp).into(), &transmit));
        if let Err(error) = sent {
            debug!(%error, client = %path.client, "sending a tracker datagram failed");
        }
    }
}

/// Answers datagrams for ever, and sends the `late` answers.
pub(super) async fn serve(shared: &Shared, way: Way, mut socket: Socket, mut late: mpsc::UnboundedReceiver<Datagram>) {
    let (mut answers, mut scrapes) = (Answers::default(), FuturesUnordered::new());
    loop {
        let outcome = tokio::select! {
            readable = socket.readable() => {
                answers.scrapes_at_most = SCRAPES_ELSEWHERE - scrapes.len();
                match readable.and_then(|()| receive(shared, way, &mut socket, &mut answers)) {
                    Ok(()) => {
                        scrapes.extend(answers.scrapes.drain(..).map(|asked| scrape_elsewhere(shared, asked)));
                        answers.send(&mut socket).await
                    }
                    Err(error) => Err(error),
                }
            }
            Some(answer) = late.recv() => socket.send_now(answer).await,
            Some(answer) = scrapes.next(), if !scrapes.is_empty() => socket.send_now(answer).await,
        };
        if let Err(error) = outcome {
            // An ICMP error of an earlier send; there is nothing to do about it.
            debug!(%error, "a tracker datagram failed");
        }
    }
}

/// Takes in what has arrived, and collects what is answered now.
fn receive(shared: &Shared, way: Way, socket: &mut Socket, answers: &mut Answers) -> io::Result<()> {
    shared.with_state(|state, now| {
        let mut turn = Turn { shared, way, state, now, answers };
        socket.receive(|datagram, from, here| turn.handle(datagram, from, here))
    })
}

/// A scrape of swarms of which the gateway does not know all.
#[derive(Debug)]
struct ScrapeElsewhere {
    path: Return,
    client: Client,
    ids: Vec<InfoHash>,
}

/// What is known, here or elsewhere, is told; the rest is counted first. The answer has no word for the time of a count (BEP 15).
async fn scrape_elsewhere(shared: &Shared, asked: ScrapeElsewhere) -> Datagram {
    let ScrapeElsewhere { path, client, ids } = asked;
    let (known, unknown) = shared.known(&ids).await;
    let (sender, receiver) = oneshot::channel();
    let counted = match shared.scrape(client, unknown, || ScrapeWaiter::Task(sender)) {
        Scraping::Now(files) => files,
        Scraping::Held(_) => receiver.await.expect("every held answer is given"),
    };
    let known = known.into_iter().map(|(id, dated)| (id, dated.map(|(counts, _)| counts)));
    let known: BTreeMap<InfoHash, Option<Counts>> = known.chain(counted).collect();
    let files: Files = ids.into_iter().map(|id| (id, known.get(&id).copied().flatten())).collect();
    (path, udp::render_scrape(path.transaction, &files))
}

/// Answers that leave together, one behind the other.
#[derive(Debug, Default)]
struct Answers {
    bytes: Vec<u8>,
    /// Where each goes, and where it ends.
    ends: Vec<(Return, usize)>,
    /// What is answered later, from what others know.
    scrapes: Vec<ScrapeElsewhere>,
    scrapes_at_most: usize,
}

impl Answers {
    fn push(&mut self, path: Return, render: impl FnOnce(&mut Vec<u8>)) {
        render(&mut self.bytes);
        self.ends.push((path, self.bytes.len()));
    }

    /// Sends them all and is empty again, whatever comes of it.
    async fn send(&mut self, socket: &mut Socket) -> io::Result<()> {
        let (mut begin, mut outcome) = (0, Ok(()));
        for (path, end) in self.ends.drain(..) {
            outcome = socket.send(path, &self.bytes[begin..end]).await;
            begin = end;
        }
        self.bytes.clear();
        outcome.and(socket.flush().await)
    }
}

/// What arrived together is handled together.
struct Turn<'a> {
    shared: &'a Shared,
    way: Way,
    state: &'a mut State,
    now: Instant,
    answers: &'a mut Answers,
}

impl Turn<'_> {
    fn handle(&mut self, datagram: &[u8], client: SocketAddr, here: Option<IpAddr>) {
        let ip = canonical(client).ip();
        let Some(Request { transaction, connection, action }) = udp::parse(datagram) else {
            self.state.stats.malformed += 1;
            return trace!(%client, length = datagram.len(), "a datagram that is no tracker request");
        };
        let path = Return { way: self.way, client, here, transaction };
        let Some(connection) = connection else {
            let id = self.shared.connection_ids.issue(self.now, ip);
            return self.answers.push(path, |bytes| bytes.extend(udp::render_connect(transaction, id)));
        };
        if !self.is_proven(ip, connection) {
            return self.reject(path);
        }
        match action {
            Action::Connect => {}
            Action::Announce(request) => self.announce(path, request),
            Action::Scrape(ids) => self.scrape(path, ids),
        }
    }

    /// Whether the client has shown that it receives at its address. Nobody can forge a loopback address from outside, and
    /// libtorrent may bring the id that another tracker on this host gave it.
    fn is_proven(&self, client: IpAddr, connection: u64) -> bool {
        client.is_loopback() || self.shared.connection_ids.accepts(self.now, client, connection)
    }

    /// Clients in our network are told to connect again; others are not, since the address may be a victim's.
    fn reject(&mut self, path: Return) {
        self.state.stats.connections_refused += 1;
        if is_local(canonical(path.client).ip()) {
            let failure = Failure::malformed("the connection id has expired: connect again");
            self.answers.push(path, |bytes| bytes.extend(udp::render_failure(path.transaction, &failure)));
        }
    }

    fn client(&self, path: Return) -> Client {
        let here = path.here.map_or(self.way.local.ip(), |ip| ip.to_canonical());
        self.shared.client(canonical(path.client), here, Transport::Udp)
    }

    fn announce(&mut self, path: Return, request: Announce) {
        let client = self.client(path);
        if let Decision::Now(answer) = self.state.announce(self.now, client, request, || Waiter::Udp(path)) {
            self.answers.push(path, |bytes| render_answer(path, &answer, bytes));
            answer.into_iter().for_each(|reply| self.state.broker.recycle(reply));
        }
    }

    fn scrape(&mut self, path: Return, ids: Vec<InfoHash>) {
        let client = self.client(path);
        if self.answers.scrapes.len() < self.answers.scrapes_at_most
            && self.state.broker.known(self.now, &ids).iter().any(|(_, counts)| counts.is_none())
        {
            return self.answers.scrapes.push(ScrapeElsewhere { path, client, ids });
        }
        if let Scraping::Now(files) = self.state.scrape(self.now, client, ids, || ScrapeWaiter::Udp(path)) {
            self.answers.push(path, |bytes| bytes.extend(udp::render_scrape(path.transaction, &files)));
        }
    }
}

fn render_answer(path: Return, answer: &Answer, bytes: &mut Vec<u8>) {
    match answer {
        Ok(reply) => udp::render_announce(path.transaction, reply, Family::of(&canonical(path.client)), bytes),
        Err(failure) => bytes.extend(udp::render_failure(path.transaction, failure)),
    }
}

/// What a held announce is answered with.
pub(super) fn late_answer(path: Return, answer: &Answer) -> Datagram {
    let mut bytes = Vec::new();
    render_answer(path, answer, &mut bytes);
    (path, bytes)
}

/// What a held scrape is answered with.
pub(super) fn late_scrape(path: Return, files: &Files) -> Datagram {
    (path, udp::render_scrape(path.transaction, files))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tracker::server::tests::unserved;
    use crate::tracker::server::{Gateway, Settings};

    /// The 16 bytes of a connect request, transaction 7.
    const CONNECT: &[u8] = b"\x00\x00\x04\x17\x27\x10\x19\x80\x00\x00\x00\x00\x00\x00\x00\x07";

    async fn gateway() -> Gateway<impl crate::tracker::server::Directory> {
        unserved(Settings::default()).await
    }

    /// What a datagram from `client` is answered with at once.
    fn answers<D>(gateway: &Gateway<D>, client: &str, datagram: &[u8]) -> Vec<u8> {
        let mut answers = Answers::default();
        let shared = &gateway.shared;
        shared.with_state(|state, now| {
            let way = Way { door: 0, local: shared.local };
            let mut turn = Turn { shared, way, state, now, answers: &mut answers };
            turn.handle(datagram, client.parse().unwrap(), None);
        });
        answers.bytes
    }

    /// A scrape with this connection id.
    fn scrape(connection: u64) -> Vec<u8> {
        [&connection.to_be_bytes()[..], &[0, 0, 0, 2, 0, 0, 0, 7], &[b'a'; 20]].concat()
    }

    /// An announce of a client that leaves, which is never held.
    fn announce(connection: u64) -> Vec<u8> {
        let mut bytes = [&connection.to_be_bytes()[..], &[0, 0, 0, 1, 0, 0, 0, 7], &[b'a'; 40], &[0; 24]].concat();
        bytes.extend([3u32, 0, 0, 0].map(u32::to_be_bytes).concat());
        bytes.extend(6881u16.to_be_bytes());
        bytes
    }

    fn connect<D>(gateway: &Gateway<D>, client: &str) -> u64 {
        let connected = answers(gateway, client, CONNECT);
        assert_eq!((connected.len(), &connected[..8]), (16, &[0, 0, 0, 0, 0, 0, 0, 7][..]));
        u64::from_be_bytes(connected[8..].try_into().unwrap())
    }

    /// Clients that are not on this host, where the source of a datagram may be forged.
    const REMOTE: [&str; 6] = [
        "203.0.113.9:6881",
        "[2001:db8::9]:6881",
        "[::ffff:203.0.113.9]:6881",
        "192.168.1.9:6881",
        "[fd00::9]:6881",
        "100.64.0.9:6881",
    ];

    #[tokio::test]
    async fn a_client_elsewhere_shows_that_it_receives_before_it_is_served() {
        let gateway = gateway().await;
        for client in REMOTE {
            let id = connect(&gateway, client);
            assert_eq!(answers(&gateway, client, &announce(id)).get(3), Some(&1), "{client}");
            let others = connect(&gateway, "198.51.100.77:6881");
            for forged in [0, 1, !id, id ^ 1, id ^ 1 << 63, others] {
                let answer = answers(&gateway, client, &announce(forged));
                assert_ne!(answer.get(3), Some(&1), "{client} with {forged:x} for {id:x}");
            }
        }
    }

    #[tokio::test]
    async fn nothing_is_sent_to_an_address_that_may_be_a_victims() {
        let gateway = gateway().await;
        for client in ["203.0.113.9:6881", "[2001:db8::9]:6881", "[::ffff:203.0.113.9]:6881"] {
            for request in [announce(5), scrape(5), announce(0)] {
                assert_eq!(answers(&gateway, client, &request), b"", "{client}");
            }
        }
        let neighbour = answers(&gateway, "192.168.1.9:6881", &announce(5));
        assert_eq!(&neighbour[..8], [0, 0, 0, 3, 0, 0, 0, 7], "a neighbour is told to connect again");
    }

    #[tokio::test]
    async fn clients_on_this_host_may_bring_any_connection_id() {
        let gateway = gateway().await;
        for client in ["127.0.0.1:6881", "127.0.0.9:6881", "[::1]:6881", "[::ffff:127.0.0.1]:6881"] {
            assert_eq!(answers(&gateway, client, &announce(5)).get(..4), Some(&[0, 0, 0, 1][..]), "{client}");
        }
    }
}
