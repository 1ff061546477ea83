//! The engine without any runtime: one node on a plain `std::net::UdpSocket`.
//!
//!     cargo run --no-default-features --example embed -- 127.0.0.1:6881 40-digit-infohash
//!
//! joins the private network of the node at the first argument and prints the peers of the infohash. This is the whole
//! contract of `Node`: feed it datagrams and time, send what it transmits, note its events, sleep until its deadline.

use std::net::{SocketAddr, UdpSocket};
use std::time::Duration;

use trackerless::engine::contact::Family;
use trackerless::engine::node::{Config, Event, Node, Output, Serve};
use trackerless::engine::time::Instant;

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [router, info_hash] = &arguments[..] else { return Err("usage: embed ROUTER:PORT INFOHASH".into()) };
    let (router, info_hash) = (router.parse::<SocketAddr>()?, info_hash.parse()?);

    let socket = UdpSocket::bind("0.0.0.0:0")?;
    #[expect(clippy::disallowed_methods, reason = "an example is its own driver: here time enters")]
    let start = std::time::Instant::now();
    let now = || Instant::from_micros(start.elapsed().as_micros() as u64);
    // A real program takes its seed from the operating system; the port alone is no secret.
    let seed = [socket.local_addr()?.port() as u8; 32];

    let config = Config { private_network: true, serve: Serve::Never, ..Config::new(Family::V4) };
    let mut node = Node::new(config, seed, now());
    let mut search = None;
    let mut datagram = [0; 2048];
    loop {
        let deadline = loop {
            match node.poll_output() {
                Output::Transmit { to, payload } => drop(socket.send_to(payload, to)),
                Output::Event(Event::RoutersWanted) => node.add_routers(now(), &[router]),
                Output::Event(Event::Ready { .. }) => search = Some(node.find_peers(now(), info_hash)),
                Output::Event(Event::Peers { peers, .. }) => peers.iter().for_each(|peer| println!("{peer}")),
                Output::Event(Event::Done { op, .. }) if Some(op) == search => return Ok(()),
                Output::Event(_) => {}
                Output::Wait(deadline, _why) => break deadline,
            }
        };
        socket.set_read_timeout(Some(deadline.since(now()).max(Duration::from_millis(1))))?;
        match socket.recv_from(&mut datagram) {
            Ok((length, from)) => node.handle_datagram(now(), from, &datagram[..length]),
            Err(_) => node.handle_timeout(now()),
        }
    }
}
