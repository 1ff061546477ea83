//! Nodes that take part in the DHT but are up to something: they crowd around a key, or forget what they are told.

use std::collections::HashMap;
use std::net::{Ipv4Addr, SocketAddr, SocketAddrV4, UdpSocket};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;
use std::time::Duration;

use trackerless::Id;
use trackerless::engine::random::Random;

use super::super::host::Host;

/// Nodes of a crowd.
const MEMBERS: usize = 16;
/// Closest nodes in an answer.
const NAMED: usize = 8;
/// Where they listen.
const PORT: u16 = 6881;

/// A crowd on a host. Ends with its owner.
pub struct Crowd {
    ends: Arc<AtomicBool>,
    threads: Vec<JoinHandle<()>>,
}

/// Peers, as BEP 5 writes them, by infohash.
type Swarms = HashMap<Vec<u8>, Vec<Vec<u8>>>;

/// What all of them know.
struct Common {
    members: Vec<(Id, Ipv4Addr)>,
    /// Peers by infohash, where they are remembered.
    peers: Option<Mutex<Swarms>>,
}

impl Crowd {
    /// Honest nodes whose ids begin as this key does, in twelve bits, and fit their addresses (BEP 42): those were looked for.
    pub fn around(host: &Host, key: &Id) -> Self {
        let begin = |id: &Id| (id.as_bytes()[0], id.as_bytes()[1] >> 4);
        Self::start(host, |id| begin(id) == begin(key), true)
    }

    /// Nodes that store nothing of what they are told, and say that they did.
    pub fn forgetful(host: &Host) -> Self {
        Self::start(host, |_| true, false)
    }

    /// Where the first of them is.
    pub const ROUTER: &str = "60.1.1.1:6881";

    fn start(host: &Host, is_wanted: impl Fn(&Id) -> bool, remembers: bool) -> Self {
        let mut random = Random::new([7; 32]);
        let mut members =
            vec![(Id::for_address(Ipv4Addr::new(60, 1, 1, 1).into(), &mut random), Ipv4Addr::new(60, 1, 1, 1))];
        while members.len() < MEMBERS {
            // An address says what its id begins with, up to three bits; each is in another network but for chance.
            let [first, second, third, fourth, ..] = *random.wire_id().as_bytes();
            let ip = Ipv4Addr::new(64 + first % 32, second, third, fourth);
            let id = Id::for_address(ip.into(), &mut random);
            if is_wanted(&id) {
                members.push((id, ip));
            }
        }
        let addresses: String = members.iter().map(|(_, ip)| format!("ip address add {ip}/32 dev lo\n")).collect();
        host.sh(&addresses);
        let ends = Arc::new(AtomicBool::new(false));
        let common = Arc::new(Common { members, peers: remembers.then(Mutex::default) });
        let member = |(id, ip): &(Id, Ipv4Addr)| {
            let (id, ip, ends, common) = (*id, *ip, Arc::clone(&ends), Arc::clone(&common));
            host.thread(move || common.take_part(&id, ip, &ends))
        };
        let threads = common.members.iter().map(member).collect();
        Self { ends, threads }
    }
}

impl Drop for Crowd {
    fn drop(&mut self) {
        self.ends.store(true, Ordering::Relaxed);
        self.threads.drain(..).for_each(|thread| drop(thread.join()));
    }
}

impl Common {
    fn take_part(&self, id: &Id, ip: Ipv4Addr, ends: &AtomicBool) {
        let socket = UdpSocket::bind((ip, PORT)).expect("the host has the address");
        socket.set_read_timeout(Some(Duration::from_millis(50))).expect("not zero");
        let mut buffer = [0; 2048];
        while !ends.load(Ordering::Relaxed) {
            let Ok((length, SocketAddr::V4(from))) = socket.recv_from(&mut buffer) else { continue };
            if let Some(reply) = self.reply(&buffer[..length], from, id) {
                let _ = socket.send_to(&reply, from);
            }
        }
    }

    /// The response to a query (BEP 5); nothing to anything else.
    fn reply(&self, query: &[u8], from: SocketAddrV4, id: &Id) -> Option<Vec<u8>> {
        let transaction = text_after(query, b"1:t")?;
        find(query, b"1:y1:q")?;
        let key = text_after(query, b"9:info_hash").or_else(|| text_after(query, b"6:target"));
        let mut fields = [b"2:id20:", id.as_bytes().as_slice()].concat();
        if let Some(key) = key {
            fields.extend(named("nodes", &self.closest(key)));
            fields.extend(b"5:token4:open");
            fields.extend(self.known(key));
        }
        if let (Some(key), Some(_)) = (key, find(query, b"13:announce_peer")) {
            self.told(query, key, from);
        }
        let ours = named("ip", &[from.ip().octets().as_slice(), &from.port().to_be_bytes()].concat());
        Some([b"d", &ours[..], b"1:rd", &fields, b"e", &named("t", transaction), b"1:y1:re"].concat())
    }

    fn closest(&self, key: &[u8]) -> Vec<u8> {
        let distance = |id: &Id| -> Vec<u8> { id.as_bytes().iter().zip(key).map(|(a, b)| a ^ b).collect() };
        let mut sorted: Vec<_> = self.members.iter().collect();
        sorted.sort_by_key(|(id, _)| distance(id));
        let compact =
            |(id, ip): &(Id, Ipv4Addr)| [id.as_bytes().as_slice(), &ip.octets(), &PORT.to_be_bytes()].concat();
        sorted.into_iter().take(NAMED).flat_map(compact).collect()
    }

    fn known(&self, key: &[u8]) -> Vec<u8> {
        let Some(peers) = &self.peers else { return Vec::new() };
        let peers = peers.lock().expect("no panic");
        let values: Vec<u8> =
            peers.get(key).into_iter().flatten().flat_map(|peer| [b"6:", &peer[..]].concat()).collect();
        if values.is_empty() { values } else { [b"6:valuesl", &values[..], b"e"].concat() }
    }

    fn told(&self, query: &[u8], key: &[u8], from: SocketAddrV4) {
        let Some(peers) = &self.peers else { return };
        let number = find(query, b"4:porti").map(|at| &query[at..]);
        let digits = number.into_iter().flatten().take_while(|byte| byte.is_ascii_digit());
        let port = digits.fold(0, |port: u16, digit| port.wrapping_mul(10).wrapping_add(u16::from(digit - b'0')));
        let peer = [from.ip().octets().as_slice(), &port.to_be_bytes()].concat();
        let mut peers = peers.lock().expect("no panic");
        let swarm = peers.entry(key.to_vec()).or_default();
        if !swarm.contains(&peer) {
            swarm.push(peer);
        }
    }
}

/// Where what follows `word` begins, the last time that it occurs.
fn find(text: &[u8], word: &[u8]) -> Option<usize> {
    text.windows(word.len()).rposition(|window| window == word).map(|at| at + word.len())
}

/// The string after a key (BEP 3).
fn text_after<'a>(text: &'a [u8], key: &[u8]) -> Option<&'a [u8]> {
    let rest = &text[find(text, key)?..];
    let colon = rest.iter().position(|byte| *byte == b':')?;
    let length: usize = std::str::from_utf8(&rest[..colon]).ok()?.parse().ok()?;
    rest.get(colon + 1..colon + 1 + length)
}

fn named(key: &str, value: &[u8]) -> Vec<u8> {
    [format!("{}:{key}{}:", key.len(), value.len()).as_bytes(), value].concat()
}
