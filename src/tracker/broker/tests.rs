//! The broker in virtual time: a script of announces and of what the DHT does, and what clients are told when.

mod script;

use super::*;
use crate::engine::bloom::SwarmFilters;
use crate::tracker::{MAX_WANTED, Phase};

const HASH: Id = Id([7; 20]);
const SECOND: Duration = Duration::from_secs(1);

/// A broker at a point in time, with everything that it has put out.
struct Scene {
    broker: Broker,
    now: Instant,
    answers: Vec<(Instant, Ticket, Answer)>,
    scraped: Vec<(Instant, ScrapeTicket, Files)>,
    work: Vec<Output>,
}

impl Scene {
    fn new(policy: Policy) -> Self {
        let mut broker = Broker::new(policy, BTreeSet::new(), [1; 32]);
        broker.set_network(Network { ready: true, nodes: 100, external: vec![ip("198.51.100.1")] });
        Self { broker, now: Instant::from_secs(1000), answers: Vec::new(), scraped: Vec::new(), work: Vec::new() }
    }

    fn announce(&mut self, client: Client, request: Announce) -> Decision {
        let decision = self.broker.announce(self.now, client, request);
        self.drain();
        decision
    }

    fn answered(&mut self, client: Client, request: Announce) -> Reply {
        match self.announce(client, request) {
            Decision::Now(answer) => answer.expect("served"),
            Decision::Held(_) => panic!("held"),
        }
    }

    fn held(&mut self, client: Client, request: Announce) -> Ticket {
        match self.announce(client, request) {
            Decision::Held(ticket) => ticket,
            Decision::Now(answer) => panic!("answered {answer:?}"),
        }
    }

    /// Lets `duration` pass, stopping wherever the broker wants to be woken.
    fn pass(&mut self, duration: Duration) {
        let end = self.now + duration;
        while self.broker.next_timeout() <= end {
            self.now = self.now.max(self.broker.next_timeout());
            self.broker.handle_timeout(self.now);
            assert!(self.broker.next_timeout() > self.now, "the broker spins");
            self.drain();
        }
        self.now = end;
    }

    fn drain(&mut self) {
        while let Some(output) = self.broker.poll_output() {
            match output {
                Output::Answer(ticket, answer) => self.answers.push((self.now, ticket, answer)),
                Output::Scraped(ticket, files) => self.scraped.push((self.now, ticket, files)),
                work => self.work.push(work),
            }
        }
    }

    fn scrape(&mut self, client: Client, ids: &[Id]) -> Scraping {
        let scraping = self.broker.scrape(self.now, client, ids.to_vec());
        self.drain();
        scraping
    }

    /// What a scrape would say without a count.
    fn known(&mut self) -> Option<Counts> {
        self.broker.counts(self.now, HASH)
    }

    fn counted(&mut self, id: Id, seeds: u8, others: u8) {
        let mut filters = SwarmFilters::default();
        (0..seeds).for_each(|i| filters.insert([203, 0, 113, i].into(), true));
        (0..others).for_each(|i| filters.insert([192, 0, 2, i].into(), false));
        self.broker.survey_finished(self.now, id, Some(filters));
        self.drain();
    }

    fn take_work(&mut self) -> Vec<Output> {
        std::mem::take(&mut self.work)
    }

    fn found(&mut self, peers: &[SocketAddr]) {
        self.broker.peers_found(self.now, HASH, peers);
        self.drain();
    }

    fn lookup_ends(&mut self) {
        self.broker.lookup_finished(self.now, HASH);
        self.drain();
    }

    fn probe_says(&mut self, verdict: Verdict) {
        self.broker.probe_finished(self.now, HASH, verdict);
        self.drain();
    }

    fn announce_ends(&mut self, port: u16, stored: usize) {
        self.broker.announce_finished(self.now, HASH, port, &[Family::V4], stored);
        self.drain();
    }
}

fn ip(text: &str) -> IpAddr {
    text.parse().unwrap()
}

fn client(addr: &str, transport: Transport) -> Client {
    let addr: SocketAddr = addr.parse().unwrap();
    let nearness = crate::tracker::nearness::Site::default().nearness(addr.ip(), ip("192.168.1.1"));
    Client { addr, here: ip("127.0.0.1"), nearness, transport }
}

fn local() -> Client {
    client("127.0.0.1:40000", Transport::Http)
}

fn remote() -> Client {
    client("203.0.113.5:40000", Transport::Http)
}

fn leech(port: u16) -> Announce {
    let (info_hash, event) = (HASH, Phase::Started);
    let peer_id = [port as u8; 20];
    let (left, downloaded, wanted, cursor) = (Some(1000), 0, None, None);
    Announce {
        info_hash,
        peer_id,
        port,
        left,
        downloaded,
        phase: event,
        wanted,
        cursor,
        claimed_v4: None,
        claimed_v6: None,
    }
}

fn seed(port: u16) -> Announce {
    Announce { left: Some(0), ..leech(port) }
}

fn announce_of(client: &str, seed: bool, nearness: Nearness) -> Output {
    Output::Announce { info_hash: HASH, client: client.parse().unwrap(), seed, nearness, dual: false }
}

fn peers(count: usize) -> Vec<SocketAddr> {
    (0..count).map(|i| SocketAddr::new(IpAddr::from([198, 18, (i >> 8) as u8, i as u8]), 6881)).collect()
}

#[test]
fn a_cold_download_waits_for_the_first_peers_and_a_moment_more() {
    let mut scene = Scene::new(Policy::Always);
    let ticket = scene.held(local(), leech(1111));
    assert_eq!(scene.take_work()[0], Output::Lookup(HASH));
    scene.pass(2 * SECOND);
    scene.found(&peers(1));
    scene.pass(SECOND / 2);
    scene.found(&peers(5));
    assert_eq!(scene.answers, []);
    scene.pass(SECOND);
    let (at, answered, answer) = scene.answers.pop().unwrap();
    assert_eq!((at, answered), (Instant::from_secs(1003), ticket));
    assert_eq!(answer.unwrap().peers.len(), 5);
}

#[test]
fn enough_peers_or_the_end_of_the_lookup_end_the_wait() {
    let mut scene = Scene::new(Policy::Always);
    scene.held(local(), leech(1111));
    scene.found(&peers(30));
    assert_eq!(scene.answers.pop().unwrap().2.unwrap().peers.len(), 30);

    let mut scene = Scene::new(Policy::Always);
    scene.held(local(), leech(1111));
    scene.pass(SECOND);
    scene.lookup_ends();
    let reply = scene.answers.pop().unwrap().2.unwrap();
    assert_eq!((reply.peers.len(), reply.interval, reply.warning), (0, Duration::from_secs(120), None));
}

#[test]
fn patience_ends_before_the_clients_does() {
    for (transport, patience) in [(Transport::Http, 8), (Transport::Udp, 4)] {
        let mut scene = Scene::new(Policy::Always);
        scene.held(client("127.0.0.1:40000", transport), leech(1111));
        scene.pass(60 * SECOND);
        let (at, _, answer) = scene.answers.pop().unwrap();
        let reply = answer.unwrap();
        assert_eq!(at, Instant::from_secs(1000 + patience));
        assert_eq!((reply.interval, reply.min_interval), (Duration::from_secs(120), Duration::from_secs(30)));
        assert!(reply.warning.unwrap().contains("still running"));
    }
}

#[test]
fn nobody_waits_who_gains_nothing_by_it() {
    let stopped = Announce { phase: Phase::Stopped, ..leech(1111) };
    let sated = Announce { wanted: Some(0), ..leech(1111) };
    let completed = Announce { phase: Phase::Completed, ..leech(1111) };
    for request in [seed(1111), stopped, sated, completed] {
        Scene::new(Policy::Always).answered(local(), request);
    }
    // Warm: peers that were found lately.
    let mut scene = Scene::new(Policy::Always);
    scene.held(local(), leech(1111));
    scene.found(&peers(40));
    scene.lookup_ends();
    scene.pass(9 * 60 * SECOND);
    assert_eq!(scene.answered(local(), leech(1112)).peers.len(), 41);
    // Cold again after ten minutes, when no lookup refreshes it.
    let mut scene = Scene::new(Policy::Always);
    scene.held(remote(), leech(1111));
    scene.found(&peers(40));
    scene.lookup_ends();
    scene.pass(11 * 60 * SECOND);
    scene.held(remote(), leech(1112));
    // A seed next door has everything.
    let mut scene = Scene::new(Policy::Always);
    scene.answered(local(), seed(1111));
    assert_eq!(scene.answered(local(), leech(1112)).peers, ["127.0.0.1:1111".parse().unwrap()]);
}

#[test]
fn a_swarm_that_was_empty_a_minute_ago_is_not_waited_for() {
    let mut scene = Scene::new(Policy::Always);
    scene.held(local(), leech(1111));
    scene.lookup_ends();
    scene.pass(60 * SECOND);
    assert_eq!(scene.answered(local(), leech(1111)).interval, Duration::from_secs(120));
    scene.pass(61 * SECOND);
    scene.held(local(), leech(1111));
}

#[test]
fn one_lookup_serves_all_who_ask() {
    let mut scene = Scene::new(Policy::Always);
    for port in 0..8 {
        scene.held(client(&format!("127.0.0.1:{}", 50_000 + port), Transport::Udp), leech(2000 + port));
    }
    let lookups = scene.take_work().into_iter().filter(|work| *work == Output::Lookup(HASH)).count();
    assert_eq!(lookups, 1);
    scene.found(&peers(40));
    assert_eq!(scene.answers.len(), 8);
}

#[test]
fn a_datagram_sent_again_is_the_same_request() {
    let mut scene = Scene::new(Policy::Always);
    let udp = client("127.0.0.1:40000", Transport::Udp);
    let first = scene.held(udp, leech(1111));
    scene.pass(2 * SECOND);
    assert_eq!(scene.held(udp, leech(1111)), first);
    scene.pass(2 * SECOND);
    assert_eq!(scene.answers.len(), 1, "the deadline did not move");
    assert_eq!(scene.broker.load().held, 0);
}

#[test]
fn few_answers_are_held_for_one_client_and_not_too_many_in_all() {
    let mut scene = Scene::new(Policy::Always);
    let other = |i: u16| Announce { info_hash: Id([(i % 250) as u8; 20]), ..leech(1000 + i) };
    let held = (0..100).filter(|&i| matches!(scene.announce(local(), other(i)), Decision::Held(_))).count();
    assert_eq!(held, 4);
    let mut held = 0;
    for i in 0..10_000u32 {
        let addr = SocketAddr::new(std::net::Ipv4Addr::from(0x0a00_0000 + i).into(), 1);
        let client = Client { addr, nearness: Nearness::Lan, ..local() };
        held += usize::from(matches!(scene.announce(client, other(i as u16)), Decision::Held(_)));
    }
    assert_eq!((held + 4, scene.broker.load().held), (MAX_HELD, MAX_HELD));
    scene.pass(8 * SECOND);
    assert_eq!((scene.answers.len(), scene.broker.load().held), (MAX_HELD, 0));
    scene.held(local(), Announce { info_hash: Id([255; 20]), ..leech(1) });
}

#[test]
fn a_client_that_hangs_up_frees_its_place() {
    let mut scene = Scene::new(Policy::Always);
    for i in 0..100 {
        let request = Announce { info_hash: Id([i; 20]), ..leech(1111) };
        let ticket = scene.held(local(), request);
        scene.broker.gone(scene.now, ticket);
    }
    assert_eq!(scene.broker.load().held, 0);
    scene.pass(10 * SECOND);
    assert_eq!(scene.answers, []);
}

#[test]
fn before_the_dht_is_ready_clients_are_told_so() {
    let mut scene = Scene::new(Policy::Always);
    scene.broker.set_network(Network { nodes: 3, ..Network::default() });
    scene.held(local(), leech(1111));
    scene.pass(7 * SECOND);
    assert_eq!(scene.take_work(), []);
    scene.pass(SECOND);
    let reply = scene.answers.pop().unwrap().2.unwrap();
    assert_eq!(reply.warning.unwrap(), "the DHT is starting up (3 nodes so far)");
    scene.broker.set_network(Network { ready: true, ..Network::default() });
    scene.drain();
    assert!(scene.take_work().contains(&Output::Lookup(HASH)));
}

#[test]
fn a_stale_swarm_is_answered_at_once_and_refreshed_behind_the_answer() {
    let mut scene = Scene::new(Policy::Always);
    scene.answered(remote(), seed(1111));
    scene.found(&peers(10));
    scene.lookup_ends();
    scene.take_work();
    scene.pass(119 * SECOND);
    scene.answered(remote(), leech(1112));
    assert_eq!(scene.take_work(), []);
    scene.pass(SECOND);
    assert_eq!(scene.answered(remote(), leech(1112)).peers.len(), 11);
    assert_eq!(scene.take_work(), [Output::Lookup(HASH)]);
}

#[test]
fn a_download_next_door_keeps_its_swarm_warm() {
    let mut scene = Scene::new(Policy::Always);
    scene.held(local(), leech(1111));
    scene.lookup_ends();
    scene.take_work();
    for _ in 0..3 {
        scene.pass(8 * 60 * SECOND);
        assert!(scene.take_work().contains(&Output::Lookup(HASH)));
        scene.lookup_ends();
    }
    // Not for strangers, and not for those who left.
    scene.answered(local(), Announce { phase: Phase::Stopped, ..leech(1111) });
    scene.announce(remote(), leech(1112));
    scene.take_work();
    scene.pass(30 * 60 * SECOND);
    assert_eq!(scene.take_work(), []);
}

#[test]
fn who_shares_our_address_is_announced_while_it_is_there() {
    let mut scene = Scene::new(Policy::Always);
    scene.answered(local(), seed(1111));
    let announce = |seed, nearness| announce_of("127.0.0.1:1111", seed, nearness);
    assert_eq!(scene.take_work(), [Output::Lookup(HASH), announce(true, Nearness::Host)]);
    scene.lookup_ends();
    scene.announce_ends(1111, 8);
    scene.pass(14 * 60 * SECOND);
    assert_eq!(scene.take_work(), []);
    scene.answered(local(), seed(1111));
    scene.pass(11 * 60 * SECOND + SECOND);
    assert!(scene.take_work().contains(&announce(true, Nearness::Host)));
    // In vain: again after half a minute.
    scene.announce_ends(1111, 0);
    scene.pass(30 * SECOND);
    assert_eq!(scene.take_work(), [announce(true, Nearness::Host)]);
    scene.announce_ends(1111, 8);
    scene.answered(local(), Announce { phase: Phase::Stopped, ..seed(1111) });
    scene.pass(60 * 60 * SECOND);
    assert_eq!(scene.take_work(), []);
}

#[test]
fn who_was_announced_under_an_address_that_is_gone_is_announced_again_at_once() {
    let mut scene = Scene::new(Policy::Always);
    scene.answered(local(), seed(1111));
    scene.take_work();
    scene.lookup_ends();
    scene.announce_ends(1111, 8);
    scene.pass(60 * SECOND);
    assert_eq!(scene.take_work(), []);
    scene.broker.announce_again(scene.now);
    scene.drain();
    assert_eq!(scene.take_work(), [announce_of("127.0.0.1:1111", true, Nearness::Host)]);
}

#[test]
fn a_finished_download_is_announced_as_a_seed_at_once() {
    let mut scene = Scene::new(Policy::Always);
    let lan = client("192.168.1.7:40000", Transport::Http);
    scene.held(lan, leech(1111));
    scene.announce_ends(1111, 8);
    scene.take_work();
    scene.answered(lan, Announce { phase: Phase::Completed, left: Some(0), ..leech(1111) });
    let announce = announce_of("192.168.1.7:1111", true, Nearness::Lan);
    assert_eq!(scene.take_work(), [announce]);
    assert_eq!(scene.known(), Some(Counts { complete: 1, incomplete: 0, downloaded: 1 }));
}

#[test]
fn nobody_else_is_announced() {
    let elsewhere = Announce { claimed_v4: Some("192.0.2.77".parse().unwrap()), ..leech(1111) };
    for (case, client, request) in [
        ("remote", remote(), leech(1111)),
        ("IPv6 neighbour", client("[2001:db8::7]:4000", Transport::Http), leech(1111)),
        ("no port", local(), leech(0)),
        ("behind a proxy", local(), leech(1)),
        ("in a VPN", local(), elsewhere),
    ] {
        let mut scene = Scene::new(Policy::Always);
        scene.held(client, request);
        assert_eq!(scene.take_work(), [Output::Lookup(HASH)], "{case}");
    }
    let mut scene = Scene::new(Policy::Never);
    scene.held(local(), leech(1111));
    scene.probe_says(Verdict::Public);
    scene.pass(3600 * SECOND);
    assert!(!scene.take_work().iter().any(|work| matches!(work, Output::Announce { .. })));
}

#[test]
fn the_dht_hears_of_a_torrent_only_when_it_is_proven_public() {
    let mut scene = Scene::new(Policy::VerifiedPublic);
    scene.held(local(), leech(1111));
    let probe = Output::Probe { info_hash: HASH, peer: "127.0.0.1:1111".parse().unwrap(), complete: false };
    assert_eq!(scene.take_work(), [probe]);
    scene.probe_says(Verdict::Public);
    let announce = announce_of("127.0.0.1:1111", false, Nearness::Host);
    assert_eq!(scene.take_work(), [Output::Lookup(HASH), announce]);
    // Proven once, proven for good.
    scene.found(&peers(40));
    scene.answered(local(), seed(1112));
    assert!(!scene.take_work().iter().any(|work| matches!(work, Output::Probe { .. })));
}

#[test]
fn a_private_torrent_is_refused_and_kept_from_the_dht() {
    for verdict in [Verdict::Private, Verdict::Withheld] {
        for policy in [Policy::Never, Policy::VerifiedPublic] {
            let mut scene = Scene::new(policy);
            scene.held(local(), leech(1111));
            scene.take_work();
            scene.probe_says(verdict);
            let refusal = scene.answers.pop().unwrap().2.unwrap_err();
            assert!(refusal.reason.contains("private"), "{}", refusal.reason);
            let again = scene.announce(remote(), leech(2222));
            assert_eq!(again, Decision::Now(Err(refusal)));
            scene.pass(25 * 60 * SECOND);
            assert_eq!(scene.take_work(), []);
            assert_eq!(scene.known(), None);
        }
    }
}

#[test]
fn a_magnet_link_gets_peers_first_and_is_announced_when_it_has_metadata() {
    let mut scene = Scene::new(Policy::VerifiedPublic);
    scene.held(local(), leech(1111));
    scene.take_work();
    scene.probe_says(Verdict::NotYet);
    assert_eq!(scene.take_work(), [Output::Lookup(HASH)]);
    scene.found(&peers(40));
    scene.lookup_ends();
    assert_eq!(scene.answers.len(), 1);
    scene.pass(5 * SECOND);
    assert!(matches!(scene.take_work()[..], [Output::Probe { .. }]));
    scene.probe_says(Verdict::NotYet);
    scene.pass(5 * SECOND);
    assert_eq!(scene.take_work(), [], "the pause grows");
    scene.pass(5 * SECOND);
    assert!(matches!(scene.take_work()[..], [Output::Probe { .. }]));
    scene.probe_says(Verdict::Public);
    assert!(matches!(scene.take_work()[..], [Output::Announce { .. }]));
}

#[test]
fn who_cannot_be_asked_gets_peers_and_is_told_that_it_is_not_announced() {
    let mut scene = Scene::new(Policy::VerifiedPublic);
    scene.held(local(), leech(1111));
    scene.take_work();
    scene.probe_says(Verdict::Unknown);
    assert_eq!(scene.take_work(), [Output::Lookup(HASH)]);
    scene.found(&peers(40));
    let reply = scene.answers.pop().unwrap().2.unwrap();
    assert_eq!(reply.peers.len(), 40);
    assert!(reply.warning.unwrap().contains("not announced"));
    // aria2 without a listener: there is no port to ask at.
    let mut scene = Scene::new(Policy::VerifiedPublic);
    scene.held(local(), leech(0));
    assert_eq!(scene.take_work(), [Output::Lookup(HASH)]);
}

#[test]
fn a_denied_torrent_is_not_even_remembered() {
    let mut broker = Broker::new(Policy::Always, [HASH].into(), [1; 32]);
    assert!(matches!(broker.announce(Instant::ZERO, local(), seed(1)), Decision::Now(Err(_))));
    assert_eq!(broker.load(), Load::default());
}

#[test]
fn no_text_makes_a_client_give_up_for_good() {
    let mut scene = Scene::new(Policy::VerifiedPublic);
    let mut texts = vec![Failure::malformed("").reason];
    for verdict in [Verdict::Unknown, Verdict::Withheld, Verdict::Private] {
        match scene.announce(local(), seed(1111)) {
            Decision::Now(Ok(reply)) => texts.extend(reply.warning),
            other => panic!("{other:?}"),
        }
        scene.pass(400 * SECOND);
        scene.probe_says(verdict);
        match scene.announce(local(), seed(1111)) {
            Decision::Now(answer) => texts.extend(answer.map_or_else(|no| Some(no.reason), |reply| reply.warning)),
            Decision::Held(_) => panic!("held"),
        }
        scene.pass(3600 * SECOND);
        scene = Scene::new(Policy::VerifiedPublic);
    }
    assert!(texts.len() >= 4, "{texts:?}");
    for forbidden in ["unregistered", "not registered", "cannot be found"] {
        assert!(texts.iter().all(|text| !text.contains(forbidden)), "{texts:?}");
    }
}

#[test]
fn a_big_swarm_is_walked_batch_by_batch() {
    let mut scene = Scene::new(Policy::Always);
    scene.held(local(), leech(1111));
    scene.found(&peers(200));
    scene.lookup_ends();
    let mut seen = BTreeSet::new();
    let mut cursor = None;
    for _ in 0..4 {
        let reply = scene.answered(local(), Announce { cursor, phase: Phase::Update, ..leech(1111) });
        cursor = Some(reply.cursor);
        seen.extend(reply.peers);
    }
    assert_eq!(seen.len(), 200, "four batches of 50 show everybody once");
    // A client that does not bring the cursor back (UDP has no place for it) goes on all the same.
    let batch = |scene: &mut Scene| scene.answered(local(), Announce { phase: Phase::Update, ..leech(1111) }).peers;
    let (first, second) = (batch(&mut scene), batch(&mut scene));
    assert!(first.iter().all(|peer| !second.contains(peer)));
}

#[test]
fn counts_say_what_is_known() {
    let mut scene = Scene::new(Policy::Always);
    assert_eq!(scene.known(), None);
    assert_eq!(scene.broker.load().torrents, 0, "a scrape leaves no trace");
    scene.answered(local(), seed(1111));
    // The DHT knows our own client as well, under our public address.
    let own = "198.51.100.1:1111".parse().unwrap();
    scene.found(&[peers(9), vec![own]].concat());
    let counts = Counts { complete: 1, incomplete: 9, downloaded: 0 };
    assert_eq!(scene.known(), Some(counts));
    let reply = scene.answered(local(), leech(1112));
    assert_eq!(reply.peers.len(), 10);
    assert!(!reply.peers.contains(&own), "its own neighbour, under the address that leads back here");
    assert_eq!(reply.external_ip, Some(ip("198.51.100.1")));
}

#[test]
fn a_scrape_waits_for_one_count_and_is_told_the_union() {
    let mut scene = Scene::new(Policy::Always);
    let one = scene.scrape(local(), &[HASH, HASH]);
    let (Scraping::Held(one), Scraping::Held(other)) = (one, scene.scrape(remote(), &[HASH])) else {
        panic!("answered")
    };
    assert_eq!(scene.take_work(), [Output::Survey(HASH)]);
    // Two more announce here meanwhile: one whom the DHT knows, one whom it does not.
    scene.answered(remote(), seed(1111));
    scene.answered(client("192.0.2.1:4000", Transport::Udp), Announce { wanted: Some(0), ..leech(1112) });
    scene.take_work();
    scene.counted(HASH, 6, 3);
    let counts = Counts { complete: 6, incomplete: 3, downloaded: 0 };
    let (files, now) = (vec![(HASH, Some(counts))], scene.now);
    let answers = [(now, one, [&files[..], &files[..]].concat()), (now, other, files.clone())];
    assert_eq!(scene.scraped, answers);
    // Known for ten minutes, to announces too, whatever they find.
    scene.found(&peers(9));
    scene.pass(599 * SECOND);
    assert_eq!(scene.scrape(local(), &[HASH]), Scraping::Now(files));
    assert_eq!(scene.answered(local(), leech(1113)).counts, counts);
    scene.pass(SECOND);
    assert!(matches!(scene.scrape(local(), &[HASH]), Scraping::Held(_)));
    assert_eq!(scene.broker.load().held, 1);
}

#[test]
fn what_announced_here_is_added_to_what_the_dht_counted() {
    let mut scene = Scene::new(Policy::Always);
    scene.scrape(local(), &[HASH]);
    for (addr, request) in [("198.51.100.7:1", seed(1111)), ("198.51.100.8:1", seed(1)), ("127.0.0.1:1", seed(1112))] {
        scene.answered(client(addr, Transport::Udp), request);
    }
    scene.counted(HASH, 5, 0);
    let counts = scene.known().unwrap();
    assert_eq!((counts.complete, counts.incomplete), (7, 0), "five, a stranger that can be reached, and this host");
}

#[test]
fn nobody_answering_is_not_nobody_there() {
    let mut scene = Scene::new(Policy::Always);
    scene.scrape(local(), &[HASH]);
    scene.broker.survey_finished(scene.now, HASH, None);
    scene.drain();
    assert_eq!(scene.scraped.pop().unwrap().2, [(HASH, None)]);
    // Nor does a scrape wait longer than its client.
    let Scraping::Held(ticket) = scene.scrape(client("127.0.0.1:1", Transport::Udp), &[HASH]) else {
        panic!("answered")
    };
    scene.pass(60 * SECOND);
    assert_eq!(scene.scraped, [(Instant::from_secs(1004), ticket, vec![(HASH, None)])]);
}

#[test]
fn a_scrape_gives_no_secret_away() {
    // Somebody near may ask for a private torrent: nobody can tell, and the DHT is not asked.
    let mut scene = Scene::new(Policy::VerifiedPublic);
    assert_eq!(scene.scrape(local(), &[HASH]), Scraping::Now(vec![(HASH, None)]));
    scene.answered(local(), seed(1111));
    for asker in [local(), remote()] {
        assert_eq!(scene.scrape(asker, &[HASH]), Scraping::Now(vec![(HASH, None)]));
    }
    assert!(!scene.take_work().contains(&Output::Survey(HASH)));
    scene.probe_says(Verdict::Public);
    scene.lookup_ends();
    assert!(matches!(scene.scrape(local(), &[HASH]), Scraping::Held(_)));
    // A stranger's infohash is no secret of ours.
    let other = Id([8; 20]);
    assert!(matches!(scene.scrape(remote(), &[other]), Scraping::Held(_)));
    let mut scene = Scene::new(Policy::VerifiedPublic);
    let many: Vec<Id> = (0..70).map(|i| Id([i; 20])).collect();
    scene.scrape(remote(), &many);
    assert_eq!(scene.broker.load().torrents, 0, "a scrape leaves no trace");
    (0..70).for_each(|i| scene.counted(Id([i; 20]), 1, 1));
    assert_eq!(scene.take_work().len(), 30, "the budget of a stranger");
}

#[test]
fn other_trackers_are_told_of_whom_the_dht_is_told_and_their_peers_count() {
    let mut scene = Scene::new(Policy::VerifiedPublic);
    scene.broker.relay_to_trackers();
    scene.answered(remote(), seed(3333));
    let ticket = scene.held(local(), leech(1111));
    assert!(
        matches!(scene.take_work()[..], [Output::Lookup(_), Output::Probe { .. }]),
        "not before it is proven public"
    );
    scene.probe_says(Verdict::Public);
    let relays = |scene: &mut Scene| -> Vec<Relay> {
        let relay = |work| if let Output::Relay(relay) = work { Some(relay) } else { None };
        scene.take_work().into_iter().filter_map(relay).collect()
    };
    let addr: SocketAddr = "127.0.0.1:1111".parse().unwrap();
    let told = |event| {
        let (info_hash, peer_id, seed) = (HASH, [1111u16 as u8; 20], false);
        [Relay { info_hash, peer_id, client: addr, port: 1111, seed, phase: event }]
    };
    assert_eq!(relays(&mut scene), told(Phase::Started), "the near one, not the stranger");
    // The DHT knows nobody; the answer waits for the trackers.
    scene.lookup_ends();
    assert_eq!(scene.answers, []);
    scene.found(&peers(3));
    scene.broker.relay_finished(scene.now, HASH, addr, Some(1700 * SECOND));
    scene.drain();
    let (_, answered, reply) = scene.answers.pop().unwrap();
    assert_eq!((answered, reply.unwrap().peers.len()), (ticket, 4));
    // Again when the trackers said, and at the end.
    scene.pass(1700 * SECOND);
    assert_eq!(relays(&mut scene), told(Phase::Update));
    scene.broker.relay_finished(scene.now, HASH, addr, None);
    scene.answered(local(), Announce { phase: Phase::Stopped, ..leech(1111) });
    assert_eq!(relays(&mut scene), told(Phase::Stopped));
    scene.answered(local(), Announce { phase: Phase::Stopped, ..leech(1111) });
    assert_eq!(relays(&mut scene), []);
}

#[test]
fn both_addresses_of_a_client_are_recognised() {
    let mut scene = Scene::new(Policy::Always);
    scene.answered(client("[::1]:4000", Transport::Http), seed(1111));
    scene.take_work();
    scene.answered(local(), seed(1111));
    scene.broker.announce_finished(scene.now, HASH, 1111, &[Family::V6], 8);
    scene.drain();
    let dual = |work: &Output| matches!(work, Output::Announce { client, dual: true, .. } if client.is_ipv4());
    assert!(scene.take_work().iter().any(dual));
}

#[test]
fn until_it_is_known_whether_a_torrent_is_private_nobody_is_told_of_anybody() {
    let mut scene = Scene::new(Policy::VerifiedPublic);
    let first = scene.answered(local(), seed(1111));
    assert_eq!((first.interval, first.min_interval), (60 * SECOND, 30 * SECOND), "it should hear the verdict soon");
    let stranger = scene.held(remote(), leech(2222));
    let neighbour = scene.held(client("192.168.1.7:4", Transport::Http), leech(3333));
    assert_eq!(scene.answered(client("192.168.1.8:4", Transport::Http), seed(4444)).peers, []);
    assert_eq!(scene.answers, []);
    assert!(!scene.take_work().contains(&Output::Lookup(HASH)));
    scene.probe_says(Verdict::Public);
    scene.found(&peers(1));
    scene.lookup_ends();
    let told: BTreeSet<Ticket> = scene.answers.iter().map(|(_, ticket, _)| *ticket).collect();
    assert_eq!(told, BTreeSet::from([stranger, neighbour]));
    assert!(scene.answers.iter().all(|(_, _, answer)| answer.as_ref().is_ok_and(|reply| reply.peers.len() >= 3)));
}

#[test]
fn a_flood_of_infohashes_costs_a_bounded_amount() {
    let mut scene = Scene::new(Policy::Always);
    scene.answered(local(), seed(1111));
    for i in 0..30_000u32 {
        let mut hash = [0; 20];
        hash[..4].copy_from_slice(&i.to_be_bytes());
        let request = Announce { info_hash: Id(hash), ..seed(6881) };
        scene.broker.announce(scene.now, remote(), request);
    }
    assert_eq!(scene.broker.load().torrents, MAX_TORRENTS);
    // Strangers push out strangers, not our own.
    assert!(scene.known().is_some());
    scene.drain();
    let lookups = scene.take_work().iter().filter(|work| matches!(work, Output::Lookup(_))).count();
    assert!(lookups <= LOOKUPS);
    // All of it is forgotten when nobody asks.
    scene.pass(2 * 3600 * SECOND);
    assert!(scene.broker.load().torrents <= LOOKUPS + 1, "{:?}", scene.broker.load());
}
