//! The gateway over UDP.
//!
//! A host has many addresses and a socket may be bound to all of them. An answer leaves from the address that was asked:
//! clients drop one that comes from elsewhere.

use std::io::{self, IoSliceMut};
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;

use quinn_udp::{BATCH_SIZE, RecvMeta, Transmit, UdpSocketState};
use tokio::io::Interest;
use tokio::net::UdpSocket;
use tracing::{debug, trace};

use super::{ScrapeWaiter, Shared, Waiter};
use crate::engine::contact::{Family, canonical, is_local};
use crate::engine::id::Id;
use crate::tracker::broker::{Client, Decision, Files, Scraping, Transport};
use crate::tracker::udp::{self, Action, Request};
use crate::tracker::{Announce, Answer, Refusal};

/// Room for one system call's datagrams of one sender, which the kernel may hand over in one piece.
const BUFFER: usize = 64 << 10;
/// What is asked of the kernel for requests that wait: a burst of some ten thousand.
const RECEIVE_BUFFER: usize = 4 << 20;

/// A socket that knows at which of its addresses a datagram arrived.
#[derive(Debug)]
pub(super) struct Socket {
    udp: UdpSocket,
    state: UdpSocketState,
}

/// The way back to a client.
#[derive(Clone, Copy, Debug)]
pub(super) struct Return {
    client: SocketAddr,
    /// Our address that it asked; `None` where the system does not tell.
    here: Option<IpAddr>,
    transaction: u32,
}

impl Socket {
    pub(super) fn new(udp: UdpSocket) -> io::Result<Self> {
        let state = UdpSocketState::new((&udp).into())?;
        // Asked for, not demanded: with less, bursts lose more.
        let _ = state.set_recv_buffer_size((&udp).into(), RECEIVE_BUFFER);
        Ok(Self { udp, state })
    }

    /// Waits for datagrams and hands each to `handle`, with its source and our address that it was sent to.
    async fn receive(
        &self,
        buffer: &mut [u8],
        mut handle: impl FnMut(&[u8], SocketAddr, Option<IpAddr>),
    ) -> io::Result<()> {
        let mut metas = [RecvMeta::default(); BATCH_SIZE];
        self.udp.readable().await?;
        let received = self.udp.try_io(Interest::READABLE, || {
            let mut slices: Vec<IoSliceMut<'_>> = buffer.chunks_exact_mut(BUFFER).map(IoSliceMut::new).collect();
            self.state.recv((&self.udp).into(), &mut slices, &mut metas)
        });
        let count = match received {
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => 0,
            received => received?,
        };
        for (meta, bytes) in metas[..count].iter().zip(buffer.chunks_exact(BUFFER)) {
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

/// Answers datagrams for ever.
pub(super) async fn serve(shared: &Arc<Shared>) {
    let mut buffer = vec![0; BUFFER * BATCH_SIZE];
    loop {
        let handled =
            shared.udp.receive(&mut buffer, |datagram, from, here| handle(shared, datagram, from, here)).await;
        if let Err(error) = handled {
            // An ICMP error of an earlier send; there is nothing to do about it.
            debug!(%error, "receiving a tracker datagram failed");
        }
    }
}

fn handle(shared: &Shared, datagram: &[u8], client: SocketAddr, here: Option<IpAddr>) {
    let ip = canonical(client).ip();
    let Some(Request { transaction, connection, action }) = udp::parse(datagram) else {
        return trace!(%client, length = datagram.len(), "a datagram that is no tracker request");
    };
    let path = Return { client, here, transaction };
    let Some(connection) = connection else {
        let id = shared.connection_ids.issue(shared.now(), ip);
        return shared.udp.send(path, &udp::render_connect(transaction, id));
    };
    if !is_proven(shared, ip, connection) {
        return reject(shared, path);
    }
    match action {
        Action::Connect => {}
        Action::Announce(request) => announce(shared, path, request),
        Action::Scrape(ids) => scrape(shared, path, ids),
    }
}

/// Whether the client has shown that it receives at its address. Nobody can forge a loopback address from outside, and
/// libtorrent may bring the id that another tracker on this host gave it.
fn is_proven(shared: &Shared, client: IpAddr, connection: u64) -> bool {
    client.is_loopback() || shared.connection_ids.accepts(shared.now(), client, connection)
}

/// Clients in our network are told to connect again; others are not, since the address may be a victim's.
fn reject(shared: &Shared, path: Return) {
    if is_local(canonical(path.client).ip()) {
        let refusal = Refusal::malformed("the connection id has expired: connect again");
        shared.udp.send(path, &udp::render_refusal(path.transaction, &refusal));
    }
}

fn client(shared: &Shared, path: Return) -> Client {
    let here = path.here.map_or(shared.local.ip(), |ip| ip.to_canonical());
    shared.client(canonical(path.client), here, Transport::Udp)
}

fn announce(shared: &Shared, path: Return, request: Announce) {
    match shared.announce(client(shared, path), request, || Waiter::Udp(path)) {
        Decision::Now(answer) => send_answer(shared, path, &answer),
        Decision::Held(_) => {}
    }
}

fn scrape(shared: &Shared, path: Return, ids: Vec<Id>) {
    match shared.scrape(client(shared, path), ids, || ScrapeWaiter::Udp(path)) {
        Scraping::Now(files) => send_scrape(shared, path, &files),
        Scraping::Held(_) => {}
    }
}

/// Sends what a scrape is answered with.
pub(super) fn send_scrape(shared: &Shared, path: Return, files: &Files) {
    shared.udp.send(path, &udp::render_scrape(path.transaction, files));
}

/// Sends what an announce is answered with.
pub(super) fn send_answer(shared: &Shared, path: Return, answer: &Answer) {
    let datagram = match answer {
        Ok(reply) => udp::render_announce(path.transaction, reply, Family::of(&canonical(path.client))),
        Err(refusal) => udp::render_refusal(path.transaction, refusal),
    };
    shared.udp.send(path, &datagram);
}
