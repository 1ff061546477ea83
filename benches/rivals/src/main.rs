//! A node of the `mainline` crate, to be measured.
//!
//! `rivals ADDR:PORT BOOTSTRAP_ADDR:PORT` serves. With `lookup` as a third argument it says `ready` once it has joined;
//! then for each line `find INFOHASH` or `announce INFOHASH` on standard input one line: milliseconds to the first peer
//! (`-` for an announce), milliseconds to the end, and `-` for the messages sent, which it does not count.

#![allow(deprecated, reason = "the blocking interface is the one for a program without a runtime")]

use std::net::SocketAddrV4;
use std::time::Instant;

use mainline::{Dht, Id};

fn main() {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [listen, bootstrap, mode @ ..] = &arguments[..] else { panic!("ADDR:PORT BOOTSTRAP_ADDR:PORT [lookup]") };
    let listen: SocketAddrV4 = listen.parse().expect("ADDR:PORT");
    let settings = mainline::ServerSettings {
        max_info_hashes: 2_000_000,
        max_peers_per_info_hash: 5_000,
        ..Default::default()
    };
    let node = Dht::builder()
        .bind_address(*listen.ip())
        .port(listen.port())
        .bootstrap(&[bootstrap])
        .server_mode()
        .server_settings(settings)
        .build()
        .expect("the node starts");
    if mode.is_empty() {
        loop {
            std::thread::park();
        }
    }
    node.bootstrapped();
    println!("ready");
    for line in std::io::stdin().lines() {
        let line = line.expect("text");
        let (what, info_hash) = line.split_once(' ').expect("a word and an infohash");
        println!("{}", look_up(&node, what, info_hash.parse().expect("an infohash")));
    }
}

fn look_up(node: &Dht, what: &str, info_hash: Id) -> String {
    let start = Instant::now();
    let millis = || start.elapsed().as_secs_f64() * 1e3;
    if what == "announce" {
        return match node.announce_peer(info_hash, Some(6881)) {
            Ok(_) => format!("- {:.3} -", millis()),
            Err(error) => {
                eprintln!("announce: {error}");
                "nothing".to_owned()
            }
        };
    }
    let mut peers = node.get_peers(info_hash);
    match peers.next() {
        Some(_) => {
            let first = millis();
            peers.for_each(drop);
            format!("{first:.3} {:.3} -", millis())
        }
        None => "nothing".to_owned(),
    }
}
