//! The suite against our own node in memory: no socket, no clock, no waiting.

mod mutants;

use std::collections::{BTreeSet, HashMap, VecDeque};
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::time::Duration;

use super::*;
use crate::conform::udp::Manners;
use crate::engine::contact::{Contact, Family};
use crate::engine::id::{Id, NodeId};
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
    /// Which source is where.
    sources: HashMap<SocketAddr, Source>,
    /// Datagrams of each source, and of each IP address those that are not part of a burst.
    sent: HashMap<Source, usize>,
    paced: HashMap<IpAddr, usize>,
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
        config.saved.id = Some(NodeId(Id::for_address([203, 0, 113, 9].into(), &mut Random::new([seed; 32]))));
        Self::with(config, "203.0.113.9:6881", [198, 18], seed)
    }

    fn with(config: Config, target: &str, net: [u8; 2], seed: u8) -> Self {
        let node = Node::new(config, [seed; 32], Instant::ZERO);
        let target: SocketAddr = target.parse().unwrap();
        let sources = sources().map(|source| (address_of(target, net, source), source)).collect();
        let (arrived, sent, paced) = (VecDeque::new(), HashMap::new(), HashMap::new());
        Self { node, now: Instant::ZERO, target, net, arrived, sources, sent, paced }
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

/// The number of the subnet and the port of `source`.
fn place(source: Source) -> (u16, u16) {
    let ip = Pool::around(Ipv4Addr::UNSPECIFIED).address(source).octets();
    let port = match source {
        Source::SecondPort | Source::Twin(_) => 2,
        Source::Port(number) => 100 + u16::from(number),
        _ => 1,
    };
    (u16::from_be_bytes([ip[1], ip[2]]), 1000 + port)
}

fn address_of(target: SocketAddr, net: [u8; 2], source: Source) -> SocketAddr {
    let (subnet, port) = place(source);
    let [high, low] = subnet.to_be_bytes();
    let ip: IpAddr = match target {
        SocketAddr::V4(_) => Ipv4Addr::new(net[0], net[1] + high, low, 1).into(),
        SocketAddr::V6(_) => [0xfd00, 0, subnet, 0, 0, 0, 0, 1].into(),
    };
    SocketAddr::new(ip, port)
}

/// All sources there are.
fn sources() -> impl Iterator<Item = Source> {
    use Source::{Main, Mute, Other, ReadOnly, SecondPort, Unheard};
    let many = [Source::Crowd, Source::Port].into_iter().flat_map(|kind| (0..=u8::MAX).map(kind));
    let many = many.chain([Source::Fresh, Source::Twin].into_iter().flat_map(|kind| (0..128).map(kind)));
    let many = many.chain((0..64).map(Source::Ghost));
    [Main, SecondPort, Other, Mute, ReadOnly, Unheard].into_iter().chain(many)
}

impl Link for Memory {
    fn target(&self) -> SocketAddr {
        self.target
    }

    fn address(&mut self, source: Source) -> Option<SocketAddr> {
        Some(address_of(self.target, self.net, source))
    }

    fn may_burst(&self) -> bool {
        true
    }

    fn send(&mut self, source: Source, datagram: &[u8], burst: bool) {
        self.now += Duration::from_millis(if burst { 0 } else { 100 });
        let from = self.address(source).expect("checks ask before they send");
        *self.sent.entry(source).or_default() += 1;
        *self.paced.entry(from.ip()).or_default() += usize::from(!burst);
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
        let source = *self.sources.get(&to).expect("one of ours");
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
    assert!(ids.len() >= 500, "{}", ids.len());
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

/// A node of the mainline keeps no local addresses: on loopback that is no fault, in a private network it is one.
#[test]
fn a_node_of_the_mainline_is_not_blamed_on_loopback_unless_it_is_said_to_be_of_a_private_network() {
    let node =
        || Memory::with(Config { has_routers: false, ..Config::new(Family::V4) }, "127.0.0.1:6881", [127, 240], 4);
    let mut link = node();
    let reports = run(&mut link);
    let fails = |report: &&Report| report.verdict == Verdict::Fail && report.level == Level::Must;
    let failed: Vec<&Report> = reports.iter().filter(fails).collect();
    assert!(failed.is_empty(), "{failed:#?}");
    let skipped = reports.iter().find(|report| report.check.id == "tokens.again").expect("there is one");
    assert!(skipped.verdict == Verdict::Skipped && skipped.why.contains("--lan"), "{skipped:?}");

    let mut link = node();
    let mut probe = Probe::new(&mut link, [7; 32]).in_private_network();
    assert_eq!(check("tokens.again").run(&mut probe).verdict, Verdict::Fail);
}

#[test]
fn an_id_that_fits_no_address_is_against_advice_where_the_node_tells_no_addresses() {
    let answer = b"d1:rd2:id20:aaaaaaaaaaaaaaaaaaaae1:t4:Cf\0\x011:y1:re";
    let mut mute = Parrot::new(Some(answer), "203.0.113.9:6881");
    let report = check("security.id.fits").run(&mut Probe::new(&mut mute, [7; 32]));
    assert_eq!((report.verdict, report.level), (Verdict::Fail, Level::Should));
    let answer = b"d2:ip6:\x7f\xf0\x04\x01\x03\xe91:rd2:id20:aaaaaaaaaaaaaaaaaaaae1:t4:Cf\0\x011:y1:re";
    let mut speaks = Parrot::new(Some(answer), "203.0.113.9:6881");
    let report = check("security.id.fits").run(&mut Probe::new(&mut speaks, [7; 32]));
    assert_eq!((report.verdict, report.level), (Verdict::Fail, Level::Must));
}

fn check(id: &str) -> &'static Check {
    checks().find(|check| check.id == id).expect("there is one")
}

#[test]
fn what_the_suite_does_to_a_node_is_as_the_page_says() {
    let mut memory = Memory::new(Family::V4, 1);
    run(&mut memory);
    let total: usize = memory.sent.values().sum();
    assert!((5_000..9_000).contains(&total), "{total} datagrams");
    let paced = memory.paced.values().max().copied().unwrap_or_default();
    let estimate = Manners::default().estimate(checks().count()).as_secs() as usize;
    assert!((estimate * 2..estimate * 5).contains(&paced), "{paced} datagrams at four a second, {estimate} s expected");
    assert!(memory.sent.len() < 300, "{} sources", memory.sent.len());
}

#[test]
fn a_node_of_a_private_network_keeps_no_contact_of_the_suite() {
    let mut memory = Memory::new(Family::V4, 1);
    run(&mut memory);
    let many =
        |contact: &Contact| matches!(memory.sources.get(&contact.addr), Some(Source::Crowd(_) | Source::Ghost(_)));
    assert!(!memory.node.good_contact_list(memory.now).iter().any(many));
    let before = memory.node.entries().count();
    assert!((10..40).contains(&before), "{before} contacts before the suite takes leave");
    let mut memory = Memory::new(Family::V4, 1);
    let left = left_by(&mut memory);
    let left: Vec<_> = left.iter().map(|contact| memory.sources.get(&contact.addr)).collect();
    assert!(left.is_empty(), "{left:?}");
}

/// Runs the suite to its end; the contacts that the node still has then.
fn left_by(memory: &mut Memory) -> Vec<Contact> {
    let mut probe = Probe::new(memory, [7; 32]);
    assert!(probe.is_there());
    checks().for_each(|check| drop(check.run(&mut probe)));
    probe.leave();
    memory.node.entries().map(|entry| entry.contact).collect()
}

/// A target that answers every datagram with the same bytes, or with nothing.
struct Parrot {
    answer: Option<&'static [u8]>,
    asked: VecDeque<Source>,
    target: &'static str,
}

impl Parrot {
    const fn new(answer: Option<&'static [u8]>, target: &'static str) -> Self {
        Self { answer, asked: VecDeque::new(), target }
    }
}

impl Link for Parrot {
    fn target(&self) -> SocketAddr {
        self.target.parse().unwrap()
    }

    fn address(&mut self, source: Source) -> Option<SocketAddr> {
        Some(address_of(self.target(), [127, 240], source))
    }

    fn send(&mut self, source: Source, _: &[u8], _: bool) {
        self.asked.push_back(source);
    }

    fn receive(&mut self, _: Wait) -> Option<(Source, Vec<u8>)> {
        let source = self.asked.pop_front()?;
        Some((source, self.answer?.to_vec()))
    }
}

#[test]
fn a_target_that_is_silent_or_says_nonsense_passes_nothing() {
    for answer in [None, Some(&b"garbage"[..]), Some(b"d1:rd2:id20:aaaaaaaaaaaaaaaaaaaae1:t2:zz1:y1:re"), Some(b"d1:q")]
    {
        let mut link = Parrot::new(answer, "127.0.0.1:6881");
        let mut probe = Probe::new(&mut link, [7; 32]);
        let reports: Vec<Report> = checks().map(|check| check.run(&mut probe)).collect();
        // The same good response to everything breaks no rule of form.
        let well_formed = answer.is_some_and(|answer| answer.ends_with(b"1:y1:re"));
        let told = |report: &&Report| !(well_formed && report.check.group() == "audit");
        let passed = reports.iter().filter(|report| report.verdict == Verdict::Pass).filter(told);
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
    let check = check("security.verify.once");
    assert_eq!(check.run(&mut probe).verdict, Verdict::Fail);
}
