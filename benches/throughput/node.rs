//! Our engine behind our socket and nothing else: what remains of the program when commands, files and logs are taken
//! away. Beside `trackerless` it shows what those cost; beside `echo`, what the protocol costs.

use std::io;
use std::net::SocketAddr;
use std::time::Duration;

use trackerless::engine::contact::Family;
use trackerless::engine::node::{Config, Node, Output};
use trackerless::engine::time::Instant;
use trackerless::net::socket::Socket;

/// Serves until killed.
pub fn serve(addr: SocketAddr, bootstrap: SocketAddr) -> io::Result<()> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    runtime.block_on(async { run(Socket::bind(addr)?, bootstrap).await })
}

async fn run(mut socket: Socket, bootstrap: SocketAddr) -> io::Result<()> {
    let start = std::time::Instant::now();
    let now = || Instant::from_micros(start.elapsed().as_micros() as u64);
    let config = Config {
        private_network: true,
        limited: false,
        peer_memory_bytes: 1 << 30,
        ..Config::new(Family::of(&socket.local_addr()))
    };
    let mut node = Node::new(config, [7; 32], now());
    node.add_routers(now(), &[bootstrap]);
    loop {
        let deadline = send(&mut node, &mut socket).await?;
        let wait = deadline.since(now()).min(Duration::from_secs(60));
        // One clock read for a whole batch.
        match tokio::time::timeout(wait, socket.readable()).await {
            Ok(readable) => {
                readable?;
                let now = now();
                socket.receive(|from, bytes| node.handle_datagram(now, from, bytes))?;
            }
            Err(_) => node.handle_timeout(now()),
        }
    }
}

/// Sends all that the node has to say, and returns when it wants to be woken.
async fn send(node: &mut Node, socket: &mut Socket) -> io::Result<Instant> {
    let deadline = loop {
        match node.poll_output() {
            Output::Transmit { to, payload } => {
                while !socket.push(to, payload) {
                    if socket.flush().left > 0 {
                        socket.writable().await?;
                    }
                }
            }
            Output::Event(_) => {}
            Output::Wait(deadline, _) => break deadline,
        }
    };
    while socket.flush().left > 0 {
        socket.writable().await?;
    }
    Ok(deadline)
}
