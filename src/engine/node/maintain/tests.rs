//! A node that is only given time, and now and then a datagram.

use super::*;
use crate::engine::krpc::{Kind, Message, Method};
use crate::engine::limits::{K, VERIFY_QUEUE};
use crate::engine::node::newcomers::HeardFrom;
use crate::engine::node::timer::Timers;
use crate::engine::node::{Config, Output};
use crate::engine::random::Random;
use crate::engine::rules::Rules;

const MS: Duration = Duration::from_millis(1);

fn at(second: u8) -> SocketAddr {
    ([50, second, 1, 1], 6881).into()
}

fn public() -> Config {
    Config { has_routers: false, cache_ways: 0, ..Config::new(Family::V4) }
}

struct Bench {
    node: Node,
    now: Instant,
}

impl Bench {
    fn new(config: Config) -> Self {
        let now = Instant::from_secs(1);
        let mut bench = Self { node: Node::new(config, [5; 32], now), now };
        bench.drain();
        bench
    }

    /// Who is asked what.
    fn drain(&mut self) -> Vec<(SocketAddr, String)> {
        let mut sent = Vec::new();
        loop {
            match self.node.poll_output() {
                Output::Transmit { to, payload } => sent.push((to, name(payload))),
                Output::Event(_) => {}
                Output::Wait(..) => return sent,
            }
        }
    }

    fn wait(&mut self, duration: Duration) -> Vec<(SocketAddr, String)> {
        self.now += duration;
        self.node.handle_timeout(self.now);
        self.drain()
    }

    /// A stranger asks us; who is pinged for it.
    fn newcomer(&mut self, from: SocketAddr) -> usize {
        let mut ping = b"d1:ad2:id20:".to_vec();
        let mut seed = [77; 32];
        (seed[0], seed[1]) = (from.port() as u8, ip_byte(&from));
        ping.extend(Random::new(seed).wire_id().0);
        ping.extend(b"e1:q4:ping1:t2:aa1:y1:qe");
        self.node.handle_datagram(self.now, from, &ping);
        let asked = [self.drain(), self.wait(Duration::ZERO)].concat();
        asked.iter().filter(|(_, name)| name == "ping").count()
    }

    fn know(&mut self, contact: Contact) {
        self.node.table.answered(self.now, contact, MS * 50);
    }
}

fn ip_byte(addr: &SocketAddr) -> u8 {
    let std::net::IpAddr::V4(ip) = addr.ip() else { panic!("{addr}") };
    ip.octets()[1]
}

/// The method of a query; nothing for a response.
fn name(payload: &[u8]) -> String {
    match Message::decode(payload).expect("ours").kind {
        Kind::Query(query) => match query.method {
            Method::Ping => "ping".into(),
            Method::FindNode { target, .. } => target.to_string(),
            other => format!("{other:?}"),
        },
        _ => String::new(),
    }
}

#[test]
fn newcomers_are_verified_also_where_the_burst_is_small() {
    for burst in [1, 2, 50, 100, 200] {
        let mut bench = Bench::new(Config { new_destinations: (25, burst), ..public() });
        assert_eq!(bench.newcomer(at(1)), 1, "burst {burst}");
    }
}

#[test]
fn newcomers_are_verified_ten_a_second_also_when_they_come_one_by_one() {
    let mut bench = Bench::new(public());
    let mut pinged = 0;
    for index in 0..100 {
        pinged += bench.newcomer(at(index));
        pinged += bench.wait(MS * 10).iter().filter(|(_, name)| name == "ping").count();
    }
    assert!((9..=11).contains(&pinged), "{pinged} in one second");
    assert!(bench.node.newcomers.waiting() <= VERIFY_QUEUE);
}

#[test]
fn one_address_is_not_pinged_on_every_port() {
    for (private_network, pings) in [(false, 1), (true, 20)] {
        let mut bench = Bench::new(Config { private_network, ..public() });
        let mut pinged = 0;
        for port in 1..=20 {
            pinged += bench.newcomer(([50, 1, 1, 1], port).into());
            pinged += bench.wait(Rules::MAINLINE.verify_every).iter().filter(|(_, name)| name == "ping").count();
        }
        assert_eq!(pinged, pings, "private: {private_network}");
    }
}

#[test]
fn whoever_others_name_at_a_closed_port_is_verified_when_it_asks_from_an_open_one() {
    let mut bench = Bench::new(public());
    let named = Contact { id: NodeId::new([0x22; 20]), addr: ([50, 1, 1, 1], 1).into() };
    bench.node.verify_later(bench.now, named, HeardFrom::Others);
    let asked: Vec<SocketAddr> = bench.wait(Duration::ZERO).into_iter().map(|(addr, _)| addr).collect();
    assert_eq!(asked, [named.addr]);
    bench.wait(Rules::MAINLINE.verify_every);
    assert_eq!(bench.newcomer(([50, 1, 1, 1], 2).into()), 1);
}

#[test]
fn the_new_neighbourhood_is_looked_at_when_a_join_was_running() {
    let mut bench = Bench::new(public());
    bench.know(Contact { id: NodeId::new([0x11; 20]), addr: at(1) });
    bench.node.joining.joined = Some(bench.now);
    bench.node.joining.running = 1;
    let id = NodeId(Id::for_address(at(9).ip(), &mut Random::new([5; 32])));
    bench.node.change_id(bench.now, id);
    // A refresh, which is not answered here, would be taken for a death.
    bench.node.timers.set(Timer::Refresh, Instant::FAR_FUTURE);
    bench.wait(Duration::ZERO);
    bench.node.joining.running = 0;
    bench.wait(NEIGHBOURHOOD_FIRST);
    assert_eq!(bench.node.joining.running, 1);
}

#[test]
fn a_forged_deep_contact_does_not_draw_the_refresh_into_the_deep() {
    let mut bench = Bench::new(public());
    let own = bench.node.id();
    let mut beside = own;
    beside.0.0[19] ^= 1;
    bench.know(Contact { id: beside, addr: at(1) });
    bench.know(Contact { id: NodeId(own.sharing_prefix(0, Random::new([1; 32]).wire_id())), addr: at(2) });
    assert_eq!(bench.node.table.depth(), 160);
    // A lookup that sees the thousandth part of the key space between each two nodes.
    let closest: Vec<Contact> = (1..=K as u64)
        .map(|rank| {
            let mut id = Id::ZERO;
            id.0[..8].copy_from_slice(&(u64::MAX / 1000 * rank).to_be_bytes());
            Contact { id: NodeId(id), addr: at(rank as u8) }
        })
        .collect();
    bench.node.size.note(&Id::ZERO, closest.iter());
    let mut asked: Vec<usize> = Vec::new();
    for _ in 0..26 {
        bench.node.fire(bench.now, Timer::Refresh);
        let targets = bench.drain();
        asked.extend(targets.iter().map(|(_, target)| own.common_prefix_len(&target.parse().expect("an id"))));
    }
    asked.sort_unstable();
    let twice: Vec<usize> = (0..13).flat_map(|bucket| [bucket; 2]).collect();
    assert_eq!(asked, twice, "1,000 nodes: no other shares more than some ten bits with us");
}

#[test]
fn whoever_joins_asks_at_once_for_every_side_on_which_it_knows_nobody() {
    for private_network in [false, true] {
        let mut bench = Bench::new(Config { private_network, ..public() });
        let own = *bench.node.id();
        for (index, bucket) in [(1, 2), (2, 4)] {
            let id = own.sharing_prefix(bucket, Random::new([index; 32]).wire_id());
            bench.know(Contact { id: NodeId(id), addr: at(index) });
        }
        bench.node.note_joined(bench.now);
        let joined = bench.now;
        let mut asked: Vec<(usize, u128)> = Vec::new();
        while bench.now.since(joined) < Duration::from_secs(8) {
            let sent = bench.wait(if asked.is_empty() && bench.now == joined { Duration::ZERO } else { MS * 100 });
            let sides = sent.iter().filter_map(|(_, target)| Some(own.common_prefix_len(&target.parse().ok()?)));
            asked.extend(sides.map(|side| (side, bench.now.since(joined).as_millis())));
        }
        let every = if private_network { 0 } else { 100 };
        // Then the usual round of one a second, when those turns are over.
        let expected = [(0, 0), (1, every), (3, 2 * every), (0, 3 * every), (1, 3 * every + 4000)];
        assert_eq!(asked[..5], expected, "private: {private_network}");
        assert_eq!(asked[5].1 - asked[4].1, 1000);
    }
}

#[test]
fn whose_id_changes_asks_anew_for_every_side_on_which_it_knows_nobody() {
    let mut bench = Bench::new(public());
    let own = *bench.node.id();
    for index in 1..4 {
        bench.know(Contact { id: NodeId(own.sharing_prefix(9, Random::new([index; 32]).wire_id())), addr: at(index) });
    }
    bench.node.note_joined(bench.now);
    bench.wait(Duration::from_secs(2));
    let id = NodeId(Id::for_address(at(9).ip(), &mut Random::new([5; 32])));
    bench.node.change_id(bench.now, id);
    let (new, changed) = (*bench.node.id(), bench.now);
    let mut asked = Vec::new();
    while bench.now.since(changed) < MS * 700 {
        let sent = bench.wait(if asked.is_empty() && bench.now == changed { Duration::ZERO } else { MS * 100 });
        asked.extend(sent.iter().filter_map(|(_, target)| Some(new.common_prefix_len(&target.parse().ok()?))));
    }
    let known = own.common_prefix_len(&new);
    let gaps: Vec<usize> = (0..bench.node.table.depth().min(GAPS)).filter(|bucket| *bucket != known).collect();
    assert!(asked.starts_with(&gaps), "{gaps:?} are empty, asked were {asked:?}");
}

#[test]
fn the_check_comes_when_an_entry_is_due_and_one_at_a_time() {
    let mut bench = Bench::new(public());
    let started = bench.now;
    for (index, secs) in [(1, 0), (2, 10), (3, 11)] {
        bench.now = started + Duration::from_secs(secs);
        bench.know(Contact { id: NodeId::new([index * 40; 20]), addr: at(index) });
    }
    let check = |bench: &mut Bench, secs: u64| {
        bench.now = started + Duration::from_secs(secs);
        bench.node.timers = Timers::new();
        bench.node.fire(bench.now, Timer::Check);
        let pinged: Vec<SocketAddr> = bench.drain().into_iter().map(|(to, _)| to).collect();
        (pinged, bench.node.timers.next().0.since(started).as_secs())
    };
    assert_eq!(check(&mut bench, 20), (vec![], 80), "no contact is due: once a minute it looks");
    assert_eq!(check(&mut bench, 700), (vec![], 720), "the first will be due after its twelve minutes");
    assert_eq!(check(&mut bench, 720), (vec![at(1)], 730));
    assert_eq!(check(&mut bench, 735), (vec![at(2)], 738), "another contact is due, and never sooner than this");
    assert_eq!(check(&mut bench, 738), (vec![at(3)], 780), "the first did not answer: a minute after its check");
}

#[test]
fn a_failure_brings_the_check_forward() {
    let mut bench = Bench::new(public());
    bench.know(Contact { id: NodeId::new([40; 20]), addr: at(1) });
    bench.node.timers = Timers::new();
    bench.node.timers.set(Timer::Check, bench.now + CHECK_IDLE_EVERY);
    bench.node.find_node(bench.now, [41; 20].into());
    bench.drain();
    bench.wait(HARD_TIMEOUT);
    assert_eq!(bench.node.timers.next(), (bench.now + CHECK_EVERY, Timer::Check));
}

#[test]
fn a_table_of_four_hundred_is_checked_before_it_is_questionable() {
    let mut bench = Bench::new(Config { private_network: true, ..public() });
    let own = *bench.node.id();
    for index in 0..400_u16 {
        let mut seed = [9; 32];
        (seed[0], seed[1]) = (index as u8, (index >> 8) as u8);
        // The first four buckets hold 240, each one after them eight.
        let prefix = match index {
            0..128 => 0,
            128..192 => 1,
            192..224 => 2,
            224..240 => 3,
            _ => 4 + usize::from(index - 240) / 8,
        };
        let addr = SocketAddr::from(([10, 0, (index >> 8) as u8, index as u8], 6881));
        bench.know(Contact { id: NodeId(own.sharing_prefix(prefix, Random::new(seed).wire_id())), addr });
    }
    assert_eq!(bench.node.table.len(), 400);
    (bench.node.timers, bench.now) = (Timers::new(), bench.now + CHECK_AFTER);
    bench.node.timers.set(Timer::Check, bench.now);
    let mut checked = std::collections::BTreeSet::new();
    let end = bench.now + CHECK_AFTER;
    while bench.now < end {
        bench.node.fire(bench.now, Timer::Check);
        checked.extend(bench.drain().into_iter().map(|(to, _)| to));
        bench.now = bench.node.timers.next().0;
    }
    assert_eq!(checked.len(), 400);
}
