//! A node of the `mainline` crate, to be measured: `rivals ADDR:PORT BOOTSTRAP_ADDR:PORT`.

use std::net::SocketAddrV4;

fn main() {
    let mut arguments = std::env::args().skip(1);
    let mut next = || arguments.next().expect("two arguments: ADDR:PORT BOOTSTRAP_ADDR:PORT");
    let listen: SocketAddrV4 = next().parse().expect("ADDR:PORT");
    let bootstrap = next();
    let settings = mainline::ServerSettings {
        max_info_hashes: 2_000_000,
        max_peers_per_info_hash: 5_000,
        ..Default::default()
    };
    let _node = mainline::Dht::builder()
        .bind_address(*listen.ip())
        .port(listen.port())
        .bootstrap(&[bootstrap])
        .server_mode()
        .server_settings(settings)
        .build()
        .expect("the node starts");
    loop {
        std::thread::park();
    }
}
