//! The gateway over UDP.

use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;

use tracing::{debug, trace};

use super::{Shared, Waiter, facing};
use crate::engine::contact::{Family, canonical, is_local};
use crate::tracker::broker::{Decision, Transport};
use crate::tracker::udp::{self, Action, Request};
use crate::tracker::{Announce, Answer, Refusal};

/// Longer than any request with any options: the rest of a longer datagram is not read.
const MAX_REQUEST: usize = 2048;

/// Answers datagrams for ever.
pub(super) async fn serve(shared: &Arc<Shared>) {
    let mut buffer = [0; MAX_REQUEST];
    loop {
        match shared.socket.recv_from(&mut buffer).await {
            Ok((length, from)) => handle(shared, &buffer[..length], from),
            // An ICMP error of an earlier send; there is nothing to do about it.
            Err(error) => debug!(%error, "receiving a tracker datagram failed"),
        }
    }
}

fn handle(shared: &Shared, datagram: &[u8], from: SocketAddr) {
    let client = canonical(from);
    let Some(Request { transaction, connection, action }) = udp::parse(datagram) else {
        return trace!(%client, length = datagram.len(), "a datagram that is no tracker request");
    };
    let Some(connection) = connection else {
        let id = shared.connection_ids.issue(shared.now(), client.ip());
        return send(shared, from, &udp::render_connect(transaction, id));
    };
    if !is_proven(shared, client.ip(), connection) {
        return reject(shared, from, transaction);
    }
    match action {
        Action::Connect => {}
        Action::Announce(request) => announce(shared, from, transaction, request),
        Action::Scrape(ids) => send(shared, from, &udp::render_scrape(transaction, &shared.scrape(&ids))),
    }
}

/// Whether the client has shown that it receives at its address. Nobody can forge a loopback address from outside, and
/// libtorrent may bring the id that another tracker on this host gave it.
fn is_proven(shared: &Shared, client: IpAddr, connection: u64) -> bool {
    client.is_loopback() || shared.connection_ids.accepts(shared.now(), client, connection)
}

/// Clients in our network are told to connect again; others are not, since the address may be a victim's.
fn reject(shared: &Shared, from: SocketAddr, transaction: u32) {
    if is_local(canonical(from).ip()) {
        let refusal = Refusal::malformed("the connection id has expired: connect again");
        send(shared, from, &udp::render_refusal(transaction, &refusal));
    }
}

fn announce(shared: &Shared, from: SocketAddr, transaction: u32, request: Announce) {
    let addr = canonical(from);
    let client = shared.client(addr, facing(shared.local, addr), Transport::Udp);
    match shared.announce(client, request, || Waiter::Udp { client: from, transaction }) {
        Decision::Now(answer) => send_answer(shared, from, transaction, &answer),
        Decision::Held(_) => {}
    }
}

/// Sends what an announce is answered with.
pub(super) fn send_answer(shared: &Shared, client: SocketAddr, transaction: u32, answer: &Answer) {
    let datagram = match answer {
        Ok(reply) => udp::render_announce(transaction, reply, Family::of(&canonical(client))),
        Err(refusal) => udp::render_refusal(transaction, refusal),
    };
    send(shared, client, &datagram);
}

/// A datagram that finds no room in the socket is lost like one that the network loses: the client asks again.
fn send(shared: &Shared, to: SocketAddr, datagram: &[u8]) {
    if let Err(error) = shared.socket.try_send_to(datagram, to) {
        debug!(%error, %to, "sending a tracker datagram failed");
    }
}
