//! A small network for the measured servers to join, so that they have contacts to hand out: nodes that answer every
//! query properly and ask nothing.

use std::io;
use std::net::{Ipv4Addr, SocketAddr, SocketAddrV4};
use std::sync::Arc;

use tokio::net::UdpSocket;
use trackerless::engine::contact::Contact;
use trackerless::engine::id::NodeId;

use crate::network::answer;
use crate::query;
use crate::server::pin;

/// Nodes, each in a /24 of its own.
const NODES: usize = 200;

/// Starts the network on a thread of its own, for as long as the process lives; returns its first node's address.
pub fn start(core: usize) -> io::Result<SocketAddrV4> {
    let sockets: Vec<_> = (0..NODES).map(bind).collect::<io::Result<_>>()?;
    let SocketAddr::V4(first) = sockets[0].local_addr()? else { unreachable!("bound to IPv4") };
    let contacts: io::Result<Vec<_>> = sockets
        .iter()
        .enumerate()
        .map(|(index, socket)| Ok(Contact { id: NodeId(query::id(4, index as u64)), addr: socket.local_addr()? }))
        .collect();
    let contacts = Arc::new(contacts?);
    std::thread::spawn(move || -> io::Result<()> {
        pin(&[core])?;
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        runtime.block_on(async {
            let nodes = sockets.into_iter().enumerate().map(|(index, socket)| {
                let contacts = Arc::clone(&contacts);
                Ok(tokio::spawn(serve(UdpSocket::from_std(socket)?, contacts[index].id, contacts)))
            });
            for node in nodes.collect::<io::Result<Vec<_>>>()? {
                let _ = node.await;
            }
            Ok(())
        })
    });
    Ok(first)
}

fn bind(index: usize) -> io::Result<std::net::UdpSocket> {
    let socket = std::net::UdpSocket::bind((Ipv4Addr::new(127, 2, index as u8, 1), 0))?;
    socket.set_nonblocking(true)?;
    Ok(socket)
}

async fn serve(socket: UdpSocket, own: NodeId, contacts: Arc<Vec<Contact>>) -> io::Result<()> {
    let (mut buffer, mut reply) = ([0; 2048], Vec::new());
    loop {
        let (len, from) = socket.recv_from(&mut buffer).await?;
        reply.clear();
        if answer(&mut reply, &buffer[..len], from, &own, &contacts).is_some() {
            let _ = socket.send_to(&reply, from).await;
        }
    }
}
