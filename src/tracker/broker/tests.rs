//! The broker in virtual time: a script of announces and of what the DHT does, and what clients are told when.

mod bounds;
mod holding;
mod listed;
mod privacy;
mod script;

use super::*;
use crate::engine::bloom::SwarmFilters;
use crate::tracker::{MAX_WANTED, Phase};

const HASH: InfoHash = InfoHash::new([7; 20]);
const SECOND: Duration = Duration::from_secs(1);

/// A broker at a point in time, with everything that it has put out.
struct Scene {
    broker: Broker,
    now: Instant,
    answers: Vec<(Instant, Ticket, Answer)>,
    scraped: Vec<(Instant, ScrapeTicket, Files)>,
    work: Vec<Order>,
}

impl Scene {
    fn new(policy: Policy) -> Self {
        let mut broker = Broker::new(policy, BTreeSet::new(), [1; 32]);
        let now = Instant::from_secs(1000);
        broker.set_standing(now, Standing { ready: true, nodes: 100, external: vec![ip("198.51.100.1")] });
        Self { broker, now, answers: Vec::new(), scraped: Vec::new(), work: Vec::new() }
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
                Order::Answer(ticket, answer) => self.answers.push((self.now, ticket, answer)),
                Order::Scraped(ticket, files) => self.scraped.push((self.now, ticket, files)),
                work => self.work.push(work),
            }
        }
    }

    fn scrape(&mut self, client: Client, ids: &[InfoHash]) -> Scraping {
        let scraping = self.broker.scrape(self.now, client, ids.to_vec());
        self.drain();
        scraping
    }

    /// What a scrape would say without a count.
    fn known(&mut self) -> Option<Counts> {
        self.broker.counts(self.now, HASH)
    }

    fn counted(&mut self, id: InfoHash, seeds: u8, others: u8) {
        let mut filters = SwarmFilters::default();
        (0..seeds).for_each(|i| filters.insert([203, 0, 113, i].into(), true));
        (0..others).for_each(|i| filters.insert([192, 0, 2, i].into(), false));
        self.broker.survey_finished(self.now, id, Some(filters));
        self.drain();
    }

    fn take_work(&mut self) -> Vec<Order> {
        std::mem::take(&mut self.work)
    }

    fn found(&mut self, peers: &[SocketAddr]) {
        self.broker.peers_found(self.now, HASH, peers);
        self.drain();
    }

    /// Ends every lookup that is under way, each with these peers. Gives the infohashes.
    fn end_lookups(&mut self, peers: &[SocketAddr]) -> Vec<InfoHash> {
        let lookups: Vec<InfoHash> = self.take_work().into_iter().filter_map(looked_up).collect();
        for id in &lookups {
            self.broker.peers_found(self.now, *id, peers);
            self.broker.lookup_finished(self.now, *id);
        }
        self.drain();
        lookups
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

fn looked_up(work: Order) -> Option<InfoHash> {
    if let Order::Lookup(id) = work { Some(id) } else { None }
}

fn ip(text: &str) -> IpAddr {
    text.parse().unwrap()
}

fn client(addr: &str, transport: Transport) -> Client {
    let addr: SocketAddr = addr.parse().unwrap();
    let nearness = crate::net::nearness::Site::default().nearness(addr.ip(), ip("192.168.1.1"));
    // Each reached us at the address of ours that is nearest to it.
    let here = if addr.ip().is_loopback() { ip("127.0.0.1") } else { ip("192.168.1.1") };
    Client { addr, here, nearness, transport }
}

fn local() -> Client {
    client("127.0.0.1:40000", Transport::Http)
}

fn remote() -> Client {
    client("203.0.113.5:40000", Transport::Http)
}

fn leech(port: u16) -> Announce {
    let (info_hash, phase) = (HASH, Phase::Started);
    let peer_id = [port as u8; 20];
    let (left, downloaded, wanted, cursor) = (Some(1000), 0, None, None);
    Announce { info_hash, peer_id, port, left, downloaded, phase, wanted, cursor, claimed_v4: None, claimed_v6: None }
}

fn seed(port: u16) -> Announce {
    Announce { left: Some(0), downloaded: 1000, ..leech(port) }
}

fn announce_of(client: &str, seed: bool, nearness: Nearness) -> Order {
    Order::Announce { info_hash: HASH, client: client.parse().unwrap(), seed, nearness, dual: false }
}

fn peers(count: usize) -> Vec<SocketAddr> {
    (0..count).map(|i| SocketAddr::new(IpAddr::from([60 + i as u8 % 60, 18, (i >> 8) as u8, i as u8]), 6881)).collect()
}

fn id(number: u32) -> InfoHash {
    let mut hash = [0; 20];
    hash[..4].copy_from_slice(&number.to_be_bytes());
    InfoHash::new(hash)
}

/// Whether a ticket is for one of the infohashes below a million.
fn is_near(ticket: &Ticket) -> bool {
    u32::from_be_bytes(*ticket.info_hash.as_bytes().first_chunk().unwrap()) < 1_000_000
}

#[test]
fn who_shares_our_address_is_announced_while_it_is_there() {
    let mut scene = Scene::new(Policy::Always);
    scene.answered(local(), seed(1111));
    let announce = |seed, nearness| announce_of("127.0.0.1:1111", seed, nearness);
    assert_eq!(scene.take_work(), [Order::Lookup(HASH), announce(true, Nearness::Host)]);
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
        assert_eq!(scene.take_work(), [Order::Lookup(HASH)], "{case}");
    }
    let mut scene = Scene::new(Policy::Never);
    scene.held(local(), leech(1111));
    scene.probe_says(Verdict::Public);
    scene.pass(3600 * SECOND);
    assert!(!scene.take_work().iter().any(|work| matches!(work, Order::Announce { .. })));
}

#[test]
fn a_download_is_finished_once_however_often_that_is_said() {
    let mut scene = Scene::new(Policy::Always);
    let completed = Announce { phase: Phase::Completed, ..seed(1111) };
    scene.held(local(), leech(1111));
    for _ in 0..3 {
        scene.answered(local(), completed.clone());
        scene.answered(local(), Announce { phase: Phase::Update, ..seed(1111) });
    }
    assert_eq!(scene.known().unwrap().downloaded, 1);
    // A datagram that is sent again by a client that was never seen to download counts for nothing.
    for port in 2000..2010 {
        scene.answered(remote(), Announce { port, ..completed.clone() });
    }
    assert_eq!(scene.known().unwrap().downloaded, 1);
}

#[test]
fn a_client_that_left_is_not_handed_out_again_by_way_of_the_dht() {
    let mut scene = Scene::new(Policy::Always);
    scene.answered(local(), seed(1111));
    scene.lookup_ends();
    scene.answered(local(), Announce { phase: Phase::Stopped, ..seed(1111) });
    scene.pass(3 * 60 * SECOND);
    scene.held(remote(), leech(2222));
    let ours = "198.51.100.1:1111".parse().unwrap();
    scene.found(&[peers(2), vec![ours]].concat());
    scene.lookup_ends();
    assert_eq!(scene.answers.pop().unwrap().2.unwrap().peers, peers(2));
    // It is known again when it comes back.
    scene.answered(local(), seed(1111));
    assert_eq!(scene.answered(remote(), leech(2222)).peers.len(), 3);
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
    assert_eq!(seen.len(), 200, "four batches of 50 show each peer once");
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
    assert_eq!(scene.take_work(), [Order::Survey(HASH)]);
    // Two more announce here meanwhile: one that the DHT knows, one that it does not.
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
    // A near client may ask for a private torrent: that cannot be told, and the DHT is not asked.
    let mut scene = Scene::new(Policy::VerifiedPublic);
    assert_eq!(scene.scrape(local(), &[HASH]), Scraping::Now(vec![(HASH, None)]));
    scene.answered(local(), seed(1111));
    for asker in [local(), remote()] {
        assert_eq!(scene.scrape(asker, &[HASH]), Scraping::Now(vec![(HASH, None)]));
    }
    assert!(!scene.take_work().contains(&Order::Survey(HASH)));
    scene.probe_says(Verdict::Public);
    scene.lookup_ends();
    assert!(matches!(scene.scrape(local(), &[HASH]), Scraping::Held(_)));
    // A stranger's infohash is no secret of ours.
    let other = InfoHash::new([8; 20]);
    assert!(matches!(scene.scrape(remote(), &[other]), Scraping::Held(_)));
    let mut scene = Scene::new(Policy::VerifiedPublic);
    let many: Vec<InfoHash> = (0..70).map(|i| InfoHash::new([i; 20])).collect();
    scene.scrape(remote(), &many);
    assert_eq!(scene.broker.load().torrents, 0, "a scrape leaves no trace");
    (0..70).for_each(|i| scene.counted(InfoHash::new([i; 20]), 1, 1));
    assert_eq!(scene.take_work().len(), 30, "the budget of a stranger");
}

#[test]
fn other_trackers_are_told_of_whom_the_dht_is_told_and_their_peers_count() {
    let mut scene = Scene::new(Policy::VerifiedPublic);
    scene.broker.relay_to_trackers();
    scene.answered(remote(), seed(3333));
    let ticket = scene.held(local(), leech(1111));
    assert!(matches!(scene.take_work()[..], [Order::Lookup(_), Order::Probe { .. }]), "not before it is proven public");
    scene.probe_says(Verdict::Public);
    let relays = |scene: &mut Scene| -> Vec<Relay> {
        let relay = |work| if let Order::Relay(relay) = work { Some(relay) } else { None };
        scene.take_work().into_iter().filter_map(relay).collect()
    };
    let addr: SocketAddr = "127.0.0.1:1111".parse().unwrap();
    let told = |phase| {
        let (info_hash, peer_id, seed) = (HASH, [1111u16 as u8; 20], false);
        [Relay { info_hash, peer_id, client: addr, port: 1111, seed, phase }]
    };
    assert_eq!(relays(&mut scene), told(Phase::Started), "the near one, not the stranger");
    // The DHT knows no peer; the answer waits for the trackers.
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
    let dual = |work: &Order| matches!(work, Order::Announce { client, dual: true, .. } if client.is_ipv4());
    assert!(scene.take_work().iter().any(dual));
}

#[test]
fn clients_are_known_again_after_a_restart() {
    let mut before = Scene::new(Policy::VerifiedPublic);
    let neighbour = client("192.168.1.7:4", Transport::Http);
    before.held(local(), leech(1111));
    before.probe_says(Verdict::Public);
    before.answered(neighbour, Announce { wanted: Some(0), ..seed(2222) });
    before.answered(remote(), Announce { wanted: Some(0), ..leech(3333) });
    before.answered(local(), Announce { phase: Phase::Completed, ..seed(1111) });
    before.pass(10 * 60 * SECOND);
    before.answered(neighbour, Announce { wanted: Some(0), ..seed(2222) });
    let counts = before.known();
    let saved = before.broker.snapshot(before.now);

    // Saved a moment ago: all are there, the torrent is known to be public, and is announced again.
    let mut after = Scene::new(Policy::VerifiedPublic);
    after.now = Instant::from_secs(100_000);
    after.broker.restore(after.now, saved.clone(), SECOND);
    after.drain();
    assert_eq!(after.known(), counts);
    assert!(after.take_work().iter().any(|work| matches!(work, Order::Announce { .. })));
    let told = after.answered(client("192.168.1.8:4", Transport::Http), leech(4444)).peers;
    assert_eq!(told.len(), 3, "{told:?}");
    // What each had said and done is known as well.
    after.answered(local(), Announce { phase: Phase::Completed, ..seed(1111) });
    assert_eq!(after.known().unwrap().downloaded, 1);

    // Half an hour later those are gone that would be gone by now, and after a day all of them.
    let mut after = Scene::new(Policy::VerifiedPublic);
    after.now = Instant::from_secs(100_000);
    after.broker.restore(after.now, saved.clone(), 30 * 60 * SECOND);
    assert_eq!(after.known().map(|counts| (counts.complete, counts.incomplete)), Some((1, 0)));
    let mut after = Scene::new(Policy::VerifiedPublic);
    after.broker.restore(after.now, saved, 24 * 3600 * SECOND);
    assert_eq!(after.broker.load().torrents, 0);
}
