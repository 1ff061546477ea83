//! The gateway of a running node: a tracker for clients that know no DHT.

use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::time::Duration;

use super::daemon::Daemon;
use super::harness::Home;

/// The infohash of twenty times the letter a.
const INFOHASH: &str = "6161616161616161616161616161616161616161";
const PATIENCE: Duration = Duration::from_secs(60);

/// What the gateway of `node` answers to a client that listens on `port` and misses `left` bytes.
fn announce(node: &Daemon, port: u16, left: u32) -> Vec<u8> {
    let gateway = node.started["gateway"].as_str().unwrap_or_else(|| panic!("{}", node.started));
    let mut stream = TcpStream::connect(gateway).unwrap();
    stream.set_read_timeout(Some(PATIENCE)).unwrap();
    let query = format!("info_hash={}&peer_id=-XX0000-abcdefghijkl&port={port}&left={left}", "a".repeat(20));
    write!(stream, "GET /announce?{query}&compact=1 HTTP/1.0\r\n\r\n").unwrap();
    let mut response = Vec::new();
    stream.read_to_end(&mut response).unwrap();
    response
}

fn contains(haystack: &[u8], needle: &[u8]) -> bool {
    haystack.windows(needle.len()).any(|window| window == needle)
}

#[test]
fn clients_behind_two_gateways_find_each_other() {
    let home = Home::new();
    let flags = ["--bind", "127.0.0.1:0", "--gateway", "127.0.0.1:0", "--gateway-announce", "always"];
    let first = Daemon::start_with(&home, "first", &[], &flags);
    let mut second = Daemon::start_with(&home, "second", &[&first.address], &flags);
    second.wait_for("ready");

    assert!(contains(&announce(&first, 5000, 0), b"5:peers0:"));
    let find = ["find", INFOHASH, "--lan", "--bootstrap", &first.address];
    let known = (0..200).any(|_| home.run(&find).stdout == "127.0.0.1:5000\n");
    assert!(known, "the gateway's client did not become known to the DHT");
    let answer = announce(&second, 5001, 1);
    assert!(contains(&answer, b"5:peers6:\x7f\0\0\x01\x13\x88"), "{}", String::from_utf8_lossy(&answer));
}

#[test]
fn the_usual_address_is_done_without_where_it_is_taken() {
    let home = Home::new();
    // If this fails somebody else has it, which is as good.
    let _taken = TcpListener::bind("127.0.0.1:6969");
    let node = Daemon::start_with(&home, "data", &[], &["--bind", "127.0.0.1:0"]);
    assert_eq!(node.started["without_gateway"]["address"], "127.0.0.1:6969", "{}", node.started);
    assert!(node.started["gateway"].is_null(), "{}", node.started);
}

#[test]
fn a_chosen_address_that_is_taken_is_an_error() {
    let home = Home::new();
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let addr = taken.local_addr().unwrap().to_string();
    let run = ["run", "--lan", "--data-dir", "data", "--bind", "127.0.0.1:0", "--gateway", &addr];
    let ended = home.run(&run).expect_code(3);
    assert!(ended.stderr.contains(&addr) && ended.stderr.contains("--gateway off"), "{}", ended.stderr);
}

#[test]
fn it_can_be_switched_off() {
    let home = Home::new();
    let node = Daemon::start(&home, "data", &[]);
    assert!(node.started["gateway"].is_null() && node.started["without_gateway"].is_null(), "{}", node.started);
}

#[test]
fn clients_are_known_again_after_a_restart() {
    let home = Home::new();
    let flags = ["--bind", "127.0.0.1:0", "--gateway", "127.0.0.1:0", "--gateway-announce", "always"];
    let node = Daemon::start_with(&home, "data", &[], &flags);
    announce(&node, 5000, 0);
    assert_eq!(node.stop("TERM").0, Some(0));
    // No other node knows of it: it is the gateway that remembers.
    let node = Daemon::start_with(&home, "data", &[], &flags);
    let answer = announce(&node, 5001, 1);
    assert!(contains(&answer, b"5:peers6:\x7f\0\0\x01\x13\x88"), "{}", String::from_utf8_lossy(&answer));
    assert_eq!(node.stop("TERM").0, Some(0));
    // A damaged file is set aside, and the node starts without it.
    let file = home.path().join("data/gateway.clients");
    let mut bytes = std::fs::read(&file).unwrap();
    bytes[40] ^= 1;
    std::fs::write(&file, &bytes).unwrap();
    let node = Daemon::start_with(&home, "data", &[], &flags);
    let (code, log) = node.stop("TERM");
    assert!(code == Some(0) && log.contains("gateway.clients.damaged-"), "{log}");
    let aside = |entry: std::io::Result<std::fs::DirEntry>| {
        let path = entry.unwrap().path();
        path.to_string_lossy().contains("damaged").then(|| std::fs::read(path).unwrap())
    };
    let kept: Vec<_> = std::fs::read_dir(home.path().join("data")).unwrap().filter_map(aside).collect();
    assert_eq!(kept, [bytes]);
}
