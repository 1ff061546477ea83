//! The suite against our own node in memory: no socket, no clock, no waiting.

use std::collections::{BTreeSet, VecDeque};
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::time::Duration;

use super::*;
use crate::engine::contact::Family;
use crate::engine::id::Id;
use crate::engine::node::{Config, Node, Output};
use crate::engine::random::Random;
use crate::engine::time::Instant;

/// Our node and the sources, at addresses of their own. Time passes at the pace of the datagrams, and in waiting.
struct Memory {
    node: Node,
    now: Instant,
    target: SocketAddr,
    /// The first half of the sources' IPv4 addresses.
    net: [u8; 2],
    arrived: VecDeque<(SocketAddr, Vec<u8>)>,
}

impl Memory {
    fn new(family: Family, seed: u8) -> Self {
        let target = match family {
            Family::V4 => "127.0.0.1:6881",
            Family::V6 => "[::1]:6881",
        };
        let config = Config { private_network: true, has_routers: false, ..Config::new(family) };
        Self::with(config, target, [127, 240], seed)
    }

    /// A node of the mainline DHT, with all its limits, whose id fits its address.
    fn mainline(seed: u8) -> Self {
        let mut config = Config { has_routers: false, ..Config::new(Family::V4) };
        config.saved.id = Some(Id::for_address([203, 0, 113, 9].into(), &mut Random::new([seed; 32])));
        Self::with(config, "203.0.113.9:6881", [198, 18], seed)
    }

    fn with(config: Config, target: &str, net: [u8; 2], seed: u8) -> Self {
        let node = Node::new(config, [seed; 32], Instant::ZERO);
        Self { node, now: Instant::ZERO, target: target.parse().unwrap(), net, arrived: VecDeque::new() }
    }

    fn drain(&mut self) {
        loop {
            match self.node.poll_output() {
                Output::Transmit { to, payload } => self.arrived.push_back((to, payload.to_vec())),
                Output::Event(_) => {}
                Output::Wait(..) => return,
            }
        }
    }

    /// Lets `span` pass, in steps in which something may be due; stops when a datagram came.
    fn pass(&mut self, span: Duration) {
        let end = self.now + span;
        while self.arrived.is_empty() && self.now < end {
            self.now = (self.now + Duration::from_millis(50)).min(end);
            self.node.handle_timeout(self.now);
            self.drain();
        }
    }
}

const PORT_OF_CROWD: u16 = 10_000;

fn place(source: Source) -> (u8, u16) {
    match source {
        Source::Main => (4, 1),
        Source::SecondPort => (4, 2),
        Source::Other => (5, 1),
        Source::Mute => (6, 1),
        Source::ReadOnly => (7, 1),
        Source::Unheard => (8, 1),
        Source::Crowd(number) => (number, PORT_OF_CROWD),
    }
}

impl Link for Memory {
    fn target(&self) -> SocketAddr {
        self.target
    }

    fn address(&mut self, source: Source) -> Option<SocketAddr> {
        let (network, port) = place(source);
        let ip: IpAddr = match self.target {
            SocketAddr::V4(_) => Ipv4Addr::new(self.net[0], self.net[1], network, 1).into(),
            SocketAddr::V6(_) if matches!(source, Source::Other | Source::Crowd(_)) => return None,
            SocketAddr::V6(_) => "::1".parse().unwrap(),
        };
        Some(SocketAddr::new(ip, if ip.is_ipv6() { 100 + u16::from(network) * 10 + port } else { port }))
    }

    fn send(&mut self, source: Source, datagram: &[u8], burst: bool) {
        self.now += Duration::from_millis(if burst { 0 } else { 100 });
        let from = self.address(source).expect("checks ask before they send");
        self.node.handle_datagram(self.now, from, datagram);
        self.drain();
    }

    fn receive(&mut self, wait: Wait) -> Option<(Source, Vec<u8>)> {
        self.pass(match wait {
            Wait::Answer => Duration::from_millis(1000),
            Wait::Moment => Duration::from_millis(250),
            Wait::Straggler => Duration::ZERO,
        });
        let (to, bytes) = self.arrived.pop_front()?;
        use Source::{Main, Mute, Other, ReadOnly, SecondPort, Unheard};
        let fixed = [Main, SecondPort, Other, Mute, ReadOnly, Unheard];
        let all = fixed.into_iter().chain((0..=u8::MAX).map(Source::Crowd));
        let source = all.into_iter().find(|&source| self.address(source) == Some(to)).expect("one of ours");
        Some((source, bytes))
    }
}

fn run(link: &mut dyn Link) -> Vec<Report> {
    let mut probe = Probe::new(link, [7; 32]);
    assert!(probe.is_there());
    checks().map(|check| check.run(&mut probe)).collect()
}

fn failures(reports: &[Report]) -> String {
    let failed = reports.iter().filter(|report| report.verdict == Verdict::Fail);
    failed.map(|report| format!("\n{}: {}\n{}", report.check.id, report.why, bytes_of(report))).collect()
}

fn bytes_of(report: &Report) -> String {
    let line = |passed: &Passed| {
        let arrow = if passed.sent { "->" } else { "<-" };
        format!("   {arrow} {:?} {}\n", passed.source, template::readable(&passed.bytes))
    };
    report.exchange.iter().map(line).collect()
}

#[test]
fn there_are_many_checks_each_with_a_name_of_its_own_in_a_group() {
    let ids: BTreeSet<&str> = checks().map(|check| check.id).collect();
    assert_eq!(ids.len(), checks().count(), "an id is used twice");
    assert!(ids.len() >= 120, "{}", ids.len());
    let groups: Vec<&str> = checks().map(Check::group).collect();
    assert!(groups.iter().all(|group| GROUPS.contains(group)));
    assert!(GROUPS.iter().all(|group| groups.contains(group)));
    assert!(checks().all(|check| !check.claim.is_empty() && !check.basis.is_empty()));
}

#[test]
fn our_node_passes_every_must_and_should_over_ipv4() {
    let reports = run(&mut Memory::new(Family::V4, 1));
    let failures = failures(&reports);
    assert!(failures.is_empty(), "{failures}");
}

#[test]
fn our_node_passes_every_must_and_should_over_ipv6() {
    let reports = run(&mut Memory::new(Family::V6, 2));
    let failures = failures(&reports);
    assert!(failures.is_empty(), "{failures}");
}

#[test]
fn our_node_passes_every_must_and_should_with_the_limits_of_the_mainline() {
    let reports = run(&mut Memory::mainline(3));
    let failures = failures(&reports);
    assert!(failures.is_empty(), "{failures}");
    let told = |id: &str| reports.iter().any(|report| report.check.id == id && report.verdict == Verdict::Pass);
    assert!(told("security.id.fits") && told("peers.update"), "on loopback these are skipped");
}

/// A target that answers every datagram with the same bytes, or with nothing.
struct Parrot(Option<&'static [u8]>, VecDeque<Source>);

impl Link for Parrot {
    fn target(&self) -> SocketAddr {
        "127.0.0.1:6881".parse().unwrap()
    }

    fn address(&mut self, source: Source) -> Option<SocketAddr> {
        Some(SocketAddr::from(([127, 0, 0, place(source).0], place(source).1)))
    }

    fn send(&mut self, source: Source, _: &[u8], _: bool) {
        self.1.push_back(source);
    }

    fn receive(&mut self, _: Wait) -> Option<(Source, Vec<u8>)> {
        let source = self.1.pop_front()?;
        Some((source, self.0?.to_vec()))
    }
}

#[test]
fn a_target_that_is_silent_or_says_nonsense_passes_nothing() {
    for answer in [None, Some(&b"garbage"[..]), Some(b"d1:rd2:id20:aaaaaaaaaaaaaaaaaaaae1:t2:zz1:y1:re"), Some(b"d1:q")]
    {
        let mut link = Parrot(answer, VecDeque::new());
        let mut probe = Probe::new(&mut link, [7; 32]);
        let reports: Vec<Report> = checks().map(|check| check.run(&mut probe)).collect();
        let passed = reports.iter().filter(|report| report.verdict == Verdict::Pass);
        let passed: Vec<&str> = passed.map(|report| report.check.id).collect();
        assert!(passed.is_empty(), "{passed:?} pass for {answer:?}");
        let with_bytes = |report: &Report| report.verdict != Verdict::Fail || !report.exchange.is_empty();
        assert!(reports.iter().all(with_bytes), "a failure shows its bytes");
    }
}

/// Our node, but each query of its own is sent twice.
struct Stutterer(Memory, Option<(Source, Vec<u8>)>);

impl Link for Stutterer {
    fn target(&self) -> SocketAddr {
        self.0.target()
    }

    fn address(&mut self, source: Source) -> Option<SocketAddr> {
        self.0.address(source)
    }

    fn send(&mut self, source: Source, datagram: &[u8], burst: bool) {
        self.0.send(source, datagram, burst);
    }

    fn receive(&mut self, wait: Wait) -> Option<(Source, Vec<u8>)> {
        if let Some(again) = self.1.take() {
            return Some(again);
        }
        let arrived = self.0.receive(wait)?;
        self.1 = arrived.1.ends_with(b"1:y1:qe").then(|| arrived.clone());
        Some(arrived)
    }
}

#[test]
fn a_target_that_asks_back_twice_is_found_out() {
    let mut link = Stutterer(Memory::new(Family::V4, 1), None);
    let mut probe = Probe::new(&mut link, [7; 32]);
    let check = checks().find(|check| check.id == "security.verify.once").expect("there is one");
    assert_eq!(check.run(&mut probe).verdict, Verdict::Fail);
}
