//! The load: a window of outstanding queries (closed loop) or a fixed rate (open loop), every reply checked.

use std::io;
use std::net::{Ipv4Addr, SocketAddrV4};
use std::time::{Duration, Instant};

use crate::histogram::Histogram;
use crate::network;
use crate::query::{self, Reply, Template};
use crate::wire::{GROUP, GROUPS, Wire};

/// A query without answer is lost after this long; a later answer is counted as late.
const PATIENCE: Duration = Duration::from_millis(500);
/// Most outstanding queries.
const SLOTS: usize = 8192;

/// What to ask, and whether an answer is right.
pub trait Script {
    /// The form of all its queries.
    fn template(&self) -> &Template;
    /// The source of the next queries and how many it wants, at most `room`; none when there is nothing more to ask.
    fn next(&mut self, room: usize) -> Option<(usize, usize)>;
    /// Writes one of them and returns a tag that [`accept`](Self::accept) gets back.
    fn write(&mut self, source: usize, transaction: [u8; 4], out: &mut [u8]) -> u32;
    /// Whether `reply` is right for the query `tag`.
    fn accept(&mut self, tag: u32, reply: &Reply<'_>) -> bool;
    /// The query `tag` got no right answer.
    fn lost(&mut self, _tag: u32) {}
    /// Reads a datagram from the server.
    fn read<'a>(&self, bytes: &'a [u8]) -> Option<Reply<'a>> {
        query::read(bytes)
    }
}

/// What came of it.
#[derive(Clone, Debug, Default)]
pub struct Outcome {
    pub sent: u64,
    /// Replies with the right transaction, id and content.
    pub verified: u64,
    /// Replies to our queries with anything wrong in them.
    pub wrong: u64,
    pub lost: u64,
    /// Everything else: late replies, and queries of the server's own.
    pub other: u64,
    pub seconds: f64,
    pub latency: Histogram,
}

impl Outcome {
    pub fn replies_per_second(&self) -> f64 {
        self.verified as f64 / self.seconds
    }
}

/// One query under way.
#[derive(Clone, Copy, Default)]
struct Slot {
    /// Nanoseconds since the start of the run.
    sent_at: u64,
    tag: u32,
    generation: u16,
    live: bool,
}

/// A generator aimed at one server.
pub struct Load {
    wire: Wire,
    server: SocketAddrV4,
    slots: Vec<Slot>,
    free: Vec<u16>,
}

/// One run of a [`Load`].
struct Run<'a, S> {
    load: &'a mut Load,
    script: &'a mut S,
    start: Instant,
    outcome: Outcome,
}

impl Load {
    pub fn new(wire: Wire, server: SocketAddrV4) -> Self {
        Self { wire, server, slots: vec![Slot::default(); SLOTS], free: (0..SLOTS as u16).rev().collect() }
    }

    /// Keeps `window` queries outstanding for `duration`, or until the script has nothing more to ask.
    pub fn closed(&mut self, script: &mut impl Script, window: usize, duration: Duration) -> io::Result<Outcome> {
        self.run(script, duration, |_, outstanding| window.saturating_sub(outstanding))
    }

    /// Sends `per_second` queries a second for `duration`, whatever comes back.
    pub fn open(&mut self, script: &mut impl Script, per_second: f64, duration: Duration) -> io::Result<Outcome> {
        let mut sent = 0;
        self.run(script, duration, move |elapsed, _| {
            let due = (elapsed.as_secs_f64() * per_second) as usize;
            std::mem::replace(&mut sent, due).abs_diff(due)
        })
    }

    /// `due` tells from the time since the start and the number outstanding how many to send now.
    fn run(
        &mut self,
        script: &mut impl Script,
        duration: Duration,
        mut due: impl FnMut(Duration, usize) -> usize,
    ) -> io::Result<Outcome> {
        while self.wire.receive(|_, _, _| ())? > 0 {}
        let mut run = Run { load: self, script, start: Instant::now(), outcome: Outcome::default() };
        let mut swept = Duration::ZERO;
        let mut asking = true;
        loop {
            let mut elapsed = run.start.elapsed();
            run.receive(elapsed)?;
            asking &= elapsed < duration;
            if asking {
                asking = run.ask(elapsed, due(elapsed, run.outstanding()))?;
                elapsed = run.start.elapsed();
            } else if run.outstanding() == 0 {
                run.outcome.seconds = elapsed.as_secs_f64();
                return Ok(run.outcome);
            }
            if elapsed - swept > PATIENCE / 10 {
                swept = elapsed;
                run.give_up(elapsed);
            }
        }
    }
}

impl<S: Script> Run<'_, S> {
    fn outstanding(&self) -> usize {
        SLOTS - self.load.free.len()
    }

    /// Sends up to `count` queries; false when the script has no more.
    fn ask(&mut self, elapsed: Duration, mut count: usize) -> io::Result<bool> {
        // In a closed loop half-filled groups only cost time; an open loop sends what is due.
        while count > 0 && !self.load.wire.is_full() {
            let room = count.min(GROUP).min(self.load.free.len());
            if room == 0 {
                break;
            }
            let Some((source, wanted)) = self.script.next(room) else {
                self.load.wire.flush(self.load.server)?;
                return Ok(false);
            };
            self.write_group(elapsed, source, wanted);
            count -= wanted;
        }
        self.load.wire.flush(self.load.server)?;
        Ok(true)
    }

    fn write_group(&mut self, elapsed: Duration, source: usize, count: usize) {
        let len = self.script.template().len();
        let room = self.load.wire.group(query::source_ip(source), len, count);
        for out in room.chunks_exact_mut(len) {
            let index = self.load.free.pop().expect("there is room");
            let slot = &mut self.load.slots[usize::from(index)];
            let generation = slot.generation.wrapping_add(1);
            let [a, b] = index.to_le_bytes();
            let [c, d] = generation.to_le_bytes();
            let tag = self.script.write(source, [a, b, c, d], out);
            *slot = Slot { sent_at: elapsed.as_nanos() as u64, tag, generation, live: true };
        }
        self.outcome.sent += count as u64;
    }

    fn receive(&mut self, elapsed: Duration) -> io::Result<()> {
        let Load { wire, server, slots, free } = &mut *self.load;
        let (script, outcome) = (&mut *self.script, &mut self.outcome);
        let now = elapsed.as_nanos() as u64;
        let mut answers = Vec::new();
        wire.receive(|from, to, bytes| {
            let reply = if from == *server { script.read(bytes) } else { None };
            let Some(reply) = reply else {
                outcome.other += 1;
                answers.extend(answer(to, from, bytes));
                return;
            };
            let [a, b, c, d] = reply.transaction;
            let index = u16::from_le_bytes([a, b]);
            match slots.get_mut(usize::from(index)) {
                Some(slot) if slot.live && slot.generation == u16::from_le_bytes([c, d]) => {
                    slot.live = false;
                    free.push(index);
                    outcome.latency.add(now.saturating_sub(slot.sent_at));
                    if script.accept(slot.tag, &reply) {
                        outcome.verified += 1;
                    } else {
                        outcome.wrong += 1;
                        script.lost(slot.tag);
                    }
                }
                _ => outcome.other += 1,
            }
        })?;
        if answers.is_empty() {
            return Ok(());
        }
        for (source, answer) in answers.iter().take(GROUPS) {
            wire.group(*source, answer.len(), 1).copy_from_slice(answer);
        }
        wire.flush(*server)
    }

    fn give_up(&mut self, elapsed: Duration) {
        let limit = elapsed.saturating_sub(PATIENCE).as_nanos() as u64;
        for (index, slot) in self.load.slots.iter_mut().enumerate() {
            if slot.live && slot.sent_at < limit {
                slot.live = false;
                self.load.free.push(index as u16);
                self.outcome.lost += 1;
                self.script.lost(slot.tag);
            }
        }
    }
}

/// The sources are nodes too: a server that wants to know whether one of them is alive learns that it is.
fn answer(own: Ipv4Addr, from: SocketAddrV4, bytes: &[u8]) -> Option<(Ipv4Addr, Vec<u8>)> {
    let index = query::source_index(own)?;
    let mut reply = Vec::new();
    network::answer(&mut reply, bytes, from.into(), &query::source_id(index), &[])?;
    Some((own, reply))
}
