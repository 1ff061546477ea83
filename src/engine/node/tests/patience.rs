//! What silence means: for the lookup that waits, for those who stay silent, and for the counters.

use super::*;
use crate::engine::items::{Item, Value};
use crate::engine::node::event::OpId;

fn near(index: u8) -> Contact {
    let mut id = *SWARM;
    id.0[1] ^= index;
    Contact { id: NodeId(id), addr: ([50, index, 1, 1], 6881).into() }
}

/// A node that knows contacts 1 to `known`, of which none answers by itself.
struct Silence {
    node: Node,
    now: Instant,
    sent: Vec<(Instant, SocketAddr, Vec<u8>)>,
    done: Vec<Summary>,
}

impl Silence {
    fn new(config: Config, known: u8) -> Self {
        let now = Instant::from_secs(1);
        let config = Config { has_routers: false, ..config };
        let mut silence = Self { node: Node::new(config, [5; 32], now), now, sent: Vec::new(), done: Vec::new() };
        for index in 1..=known {
            silence.node.table.answered(now, near(index), Duration::from_millis(300));
            silence.node.cache.answered(now, near(index), Duration::from_millis(300));
        }
        silence
    }

    fn drain(&mut self) -> Instant {
        loop {
            match self.node.poll_output() {
                Output::Transmit { to, payload } => self.sent.push((self.now, to, payload.to_vec())),
                Output::Event(Event::Done { summary, .. }) => self.done.push(summary),
                Output::Event(_) => {}
                Output::Wait(deadline, _) => return deadline,
            }
        }
    }

    fn run_until(&mut self, end: Instant) {
        loop {
            let deadline = self.drain();
            if deadline > end {
                self.now = end;
                return;
            }
            self.now = deadline.max(self.now);
            self.node.handle_timeout(self.now);
        }
    }

    /// `from` answers the last query of this name that went to it.
    fn answer(&mut self, from: Contact, method: &[u8]) {
        let named = |bytes: &[u8]| bytes.windows(method.len()).any(|window| window == method);
        let last = self.sent.iter().rfind(|(_, to, bytes)| *to == from.addr && named(bytes)).expect("it was asked");
        let mut reply = b"d1:rd2:id20:".to_vec();
        reply.extend(from.id.as_bytes());
        reply.extend(b"e1:t4:");
        reply.extend(Message::decode(&last.2).expect("ours").transaction);
        reply.extend(b"1:y1:re");
        self.node.handle_datagram(self.now, from.addr, &reply);
    }
}

#[test]
fn the_second_try_of_a_lookup_has_its_own_timeouts() {
    let mut silence = Silence::new(Config { cache_ways: 0, ..config() }, 3);
    let began = silence.now;
    silence.node.find_peers(began, SWARM);
    // Silence until the grace is over and everybody is asked anew; the first queries are over two seconds after.
    silence.run_until(began + Duration::from_millis(2300));
    silence.answer(near(3), b"9:get_peers");
    silence.run_until(began + secs(10));
    assert_eq!(silence.done.iter().map(|summary| summary.answered).collect::<Vec<_>>(), [1]);
}

#[test]
fn silence_to_what_not_everybody_knows_is_no_failure() {
    type Begin = fn(&mut Silence) -> OpId;
    let begin: [(Begin, u8); 3] = [
        (|silence| silence.node.find_peers(silence.now, SWARM), 1),
        (|silence| silence.node.get_item(silence.now, Target(*SWARM), b""), 0),
        (
            |silence| {
                let value = Value::from_contents(b"kept").expect("short");
                silence.node.put_item(silence.now, Item::Immutable(value).into(), None)
            },
            0,
        ),
    ];
    for (begin, failures) in begin {
        let mut silence = Silence::new(Config { cache_ways: 8, ..config() }, 3);
        // It does not notice that it has joined, so that it asks no other node.
        silence.node.timers.set(Timer::Bootstrap, Instant::FAR_FUTURE);
        let op = begin(&mut silence);
        // The operation may be long over when its queries are.
        silence.drain();
        silence.node.cancel(op);
        let end = silence.now + Duration::from_millis(2500);
        silence.run_until(end);
        let failing = silence.node.entries().filter(|entry| entry.failures() > 0).count();
        assert_eq!((failing > 0, silence.node.cache.len() < 3), (failures > 0, failures > 0));
    }
}

#[test]
fn a_query_that_waits_for_the_pace_is_counted_once() {
    let mut silence = Silence::new(Config { new_destinations: (1, 2), ..Config::new(Family::V4) }, 4);
    silence.node.find_peers(silence.now, SWARM);
    silence.drain();
    for _ in 0..5 {
        silence.node.handle_timeout(silence.now);
        silence.drain();
    }
    assert_eq!(silence.node.stats().paced, 1);
    silence.now += secs(1);
    silence.node.handle_timeout(silence.now);
    assert_eq!(silence.node.stats().paced, 2, "one went, the next waits");
}

#[test]
fn contacts_of_an_earlier_run_that_are_gone_do_not_slow_every_lookup() {
    let mut net = Net::new(3);
    net.run_for(secs(30));
    let ghost = |index: u8| Contact { id: NodeId::new([index; 20]), addr: addr(100 + index) };
    let now = net.now;
    let alive = net.node(1).snapshot(now).contacts;
    let contacts: Vec<Contact> = (1..=8).map(ghost).chain(alive).collect();
    let saved = Snapshot { contacts: contacts.clone(), ..Snapshot::default() };
    net.nodes.insert(addr(9), Node::new(Config { saved, has_routers: false, ..config() }, [9; 32], now));
    net.run_for(secs(10));
    let now = net.now;
    let op = net.node(9).find_peers(now, SWARM);
    net.run_for(secs(5));
    let summary = net.done(op, 9);
    assert!(summary.elapsed < DELAY * 10, "{:?}", summary.elapsed);
    // While nothing at all arrives, they may be alive.
    let now = net.now;
    net.cut = true;
    let saved = Snapshot { contacts: contacts.clone(), ..Snapshot::default() };
    net.nodes.insert(addr(10), Node::new(Config { saved, has_routers: false, ..config() }, [10; 32], now));
    net.run_for(Duration::from_mins(5));
    let now = net.now;
    assert_eq!(net.node(10).snapshot(now).contacts, contacts);
}
