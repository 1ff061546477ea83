//! Announces over UDP from many addresses, every answer checked.

use std::io;
use std::net::{Ipv4Addr, SocketAddrV4};
use std::time::{Duration, Instant};

use crate::histogram::Histogram;
use crate::wire::Wire;

/// Torrents that are warm.
pub const TORRENTS: u64 = 1000;
/// Peers of each, and peers that are asked for.
pub const PEERS: u32 = 50;
/// Addresses that ask.
const SOURCES: u64 = 200;
/// Most outstanding requests, and how long an answer is waited for.
const SLOTS: usize = 8192;
const PATIENCE: Duration = Duration::from_millis(500);

/// What is asked.
#[derive(Clone, Copy)]
pub enum Ask {
    /// Warm torrents, each for one of its first clients.
    Warm { clients: u32 },
    /// Every client of every warm torrent in turn.
    Fill { clients: u32 },
    /// So many infohashes, each once.
    Once { count: u64 },
}

/// What came of it.
#[derive(Default)]
pub struct Outcome {
    pub verified: u64,
    pub wrong: u64,
    pub lost: u64,
    /// Peers in all verified answers.
    pub peers: u64,
    pub seconds: f64,
    pub latency: Histogram,
}

/// A generator aimed at one server.
pub struct Load {
    wire: Wire,
    server: SocketAddrV4,
    connections: Vec<u64>,
    /// When the request in each slot was sent, since the start of the run.
    slots: Vec<Option<Duration>>,
    free: Vec<u32>,
    numbers: u64,
}

impl Load {
    pub fn new(server: SocketAddrV4) -> io::Result<Self> {
        let (slots, free) = (vec![None; SLOTS], (0..SLOTS as u32).collect());
        Ok(Self { wire: Wire::bind(0)?, server, connections: Vec::new(), slots, free, numbers: 1 })
    }

    /// Makes the torrents warm: every client announces, twice, so that what the first announce began is over.
    pub fn fill(&mut self, clients: u32) -> io::Result<()> {
        for _ in 0..2 {
            self.closed(Ask::Fill { clients }, 32, Duration::from_secs(120))?;
            std::thread::sleep(Duration::from_secs(2));
        }
        Ok(())
    }

    /// Keeps `window` requests outstanding.
    pub fn closed(&mut self, ask: Ask, window: usize, duration: Duration) -> io::Result<Outcome> {
        self.run(ask, duration, |_, outstanding| window.saturating_sub(outstanding))
    }

    /// Sends `per_second` requests a second, whatever comes back.
    pub fn open(&mut self, ask: Ask, per_second: f64, duration: Duration) -> io::Result<Outcome> {
        let mut sent = 0;
        self.run(ask, duration, move |elapsed, _| {
            let due = (elapsed.as_secs_f64() * per_second) as usize;
            due - std::mem::replace(&mut sent, due)
        })
    }

    fn run(
        &mut self,
        ask: Ask,
        duration: Duration,
        mut due: impl FnMut(Duration, usize) -> usize,
    ) -> io::Result<Outcome> {
        self.connect()?;
        let (start, mut outcome, mut asked, mut swept) = (Instant::now(), Outcome::default(), 0, Duration::ZERO);
        loop {
            let elapsed = start.elapsed();
            self.receive(start, &mut outcome)?;
            let outstanding = SLOTS - self.free.len();
            let more = elapsed < duration && asked < ask.count();
            if !more && outstanding == 0 {
                outcome.seconds = elapsed.as_secs_f64();
                return Ok(outcome);
            }
            let room = if more { due(elapsed, outstanding).min(self.free.len()) } else { 0 };
            for _ in 0..room.min((ask.count() - asked) as usize) {
                self.ask(start, ask, asked)?;
                asked += 1;
            }
            self.wire.flush(self.server)?;
            if elapsed - swept > PATIENCE / 10 {
                swept = elapsed;
                outcome.lost += self.give_up(elapsed);
            }
        }
    }

    /// Gets a connection id for every source.
    fn connect(&mut self) -> io::Result<()> {
        self.connections = vec![0; SOURCES as usize];
        let deadline = Instant::now() + Duration::from_secs(20);
        while let Some(missing) = self.connections.iter().position(|&id| id == 0) {
            let request = [&0x0417_2710_1980_u64.to_be_bytes()[..], &[0; 4], &(missing as u32).to_be_bytes()].concat();
            self.wire.group(source(missing as u64), request.len(), 1).copy_from_slice(&request);
            self.wire.flush(self.server)?;
            std::thread::sleep(Duration::from_micros(50));
            let connections = &mut self.connections;
            self.wire.receive(|_, _, bytes| {
                if let (16, [0, 0, 0, 0]) = (bytes.len(), &bytes[..4]) {
                    connections[index_of(bytes)] = u64::from_be_bytes(bytes[8..16].try_into().expect("eight bytes"));
                }
            })?;
            if Instant::now() > deadline {
                return Err(io::Error::other("no connection ids"));
            }
        }
        Ok(())
    }

    fn ask(&mut self, start: Instant, ask: Ask, index: u64) -> io::Result<()> {
        let (info_hash, client) = match ask {
            Ask::Warm { clients } => (self.below(TORRENTS), self.below(clients.into())),
            Ask::Fill { clients } => (index % TORRENTS, index / TORRENTS % u64::from(clients)),
            Ask::Once { .. } => (TORRENTS + index, index % SOURCES),
        };
        let source_index = (info_hash * 7 + client * 13) % SOURCES;
        let slot = self.free.pop().expect("there is room");
        let request = announce(self.connections[source_index as usize], slot, info_hash, client);
        if self.wire.is_full() {
            self.wire.flush(self.server)?;
        }
        self.wire.group(source(source_index), request.len(), 1).copy_from_slice(&request);
        self.slots[slot as usize] = Some(start.elapsed());
        Ok(())
    }

    fn receive(&mut self, start: Instant, outcome: &mut Outcome) -> io::Result<()> {
        let (slots, free) = (&mut self.slots, &mut self.free);
        self.wire.receive(|_, _, bytes| {
            let slot = bytes.get(4..8).map_or(usize::MAX, |_| index_of(bytes));
            let Some(sent) = slots.get_mut(slot).and_then(Option::take) else { return };
            free.push(slot as u32);
            if bytes[..4] == [0, 0, 0, 1] && bytes.len() >= 20 && (bytes.len() - 20).is_multiple_of(6) {
                outcome.verified += 1;
                outcome.peers += (bytes.len() as u64 - 20) / 6;
                outcome.latency.add((start.elapsed() - sent).as_nanos() as u64);
            } else {
                outcome.wrong += 1;
            }
        })?;
        Ok(())
    }

    fn give_up(&mut self, elapsed: Duration) -> u64 {
        let mut lost = 0;
        for (index, slot) in self.slots.iter_mut().enumerate() {
            if slot.is_some_and(|sent| elapsed.saturating_sub(sent) > PATIENCE) {
                *slot = None;
                self.free.push(index as u32);
                lost += 1;
            }
        }
        lost
    }

    /// A number that looks random and repeats in every run (splitmix64).
    fn below(&mut self, bound: u64) -> u64 {
        self.numbers = self.numbers.wrapping_add(0x9e37_79b9_7f4a_7c15);
        (mixed(self.numbers) >> 32) % bound
    }
}

impl Ask {
    fn count(self) -> u64 {
        match self {
            Self::Warm { .. } => u64::MAX,
            Self::Fill { clients } => TORRENTS * u64::from(clients),
            Self::Once { count } => count,
        }
    }
}

/// The transaction of a datagram, which is the index of what it answers.
fn index_of(bytes: &[u8]) -> usize {
    u32::from_be_bytes([bytes[4], bytes[5], bytes[6], bytes[7]]) as usize
}

fn source(index: u64) -> Ipv4Addr {
    Ipv4Addr::new(127, 10, index as u8, 9)
}

fn mixed(number: u64) -> u64 {
    let z = (number ^ (number >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    z ^ (z >> 31)
}

/// BEP 15. The first client of each torrent has everything.
fn announce(connection: u64, transaction: u32, info_hash: u64, client: u64) -> [u8; 98] {
    let mut request = [0; 98];
    request[..8].copy_from_slice(&connection.to_be_bytes());
    request[11] = 1;
    request[12..16].copy_from_slice(&transaction.to_be_bytes());
    for (part, place) in request[16..36].chunks_mut(8).enumerate() {
        place.copy_from_slice(&mixed(info_hash * 3 + part as u64 + 1).to_be_bytes()[..place.len()]);
    }
    request[36..44].copy_from_slice(b"-XX0000-");
    request[44..52].copy_from_slice(&client.to_be_bytes());
    request[64..72].copy_from_slice(&(u64::from(client != 0) * 1000).to_be_bytes());
    request[92..96].copy_from_slice(&PEERS.to_be_bytes());
    request[96..98].copy_from_slice(&6881u16.to_be_bytes());
    request
}
