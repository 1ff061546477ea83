//! The broker under random scripts: what must hold whatever clients, DHT and trackers do.

use std::collections::BTreeMap;

use proptest::prelude::*;

use super::*;

/// One step of a random script.
#[derive(Clone, Debug)]
enum Step {
    Announce { client: u8, torrent: u8, port: u16, left: u8, phase: u8, wanted: u8, udp: bool },
    Work { which: u8, peers: u8, verdict: u8 },
    Scrape { client: u8, torrents: u8, udp: bool },
    HangUp { which: u8 },
    Standing { ready: bool },
    Pass { seconds: u16 },
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        4 => (0..4u8, 0..3u8, 0..5u16, 0..2u8, 0..4u8, any::<u8>(), any::<bool>()).prop_map(
            |(client, torrent, port, left, phase, wanted, udp)| Step::Announce { client, torrent, port, left, phase, wanted, udp }
        ),
        4 => (any::<u8>(), 0..60u8, 0..5u8).prop_map(|(which, peers, verdict)| Step::Work { which, peers, verdict }),
        2 => (0..4u8, 1..4u8, any::<bool>()).prop_map(|(client, torrents, udp)| Step::Scrape { client, torrents, udp }),
        1 => any::<u8>().prop_map(|which| Step::HangUp { which }),
        1 => any::<bool>().prop_map(|ready| Step::Standing { ready }),
        3 => (0..1000u16).prop_map(|seconds| Step::Pass { seconds }),
    ]
}

fn any_client(who: u8, udp: bool) -> Client {
    let addr = ["127.0.0.1:40000", "192.168.1.7:40000", "203.0.113.5:4", "[2001:db8::7]:4"][usize::from(who)];
    client(addr, if udp { Transport::Udp } else { Transport::Http })
}

/// Plays a script and keeps account of what is held, looked up and known to be private.
struct Player {
    scene: Scene,
    waiting: BTreeMap<Ticket, Instant>,
    scrapes: BTreeMap<ScrapeTicket, Instant>,
    work: Vec<Order>,
    private: BTreeSet<InfoHash>,
}

impl Player {
    fn play(&mut self, step: Step) {
        match step {
            Step::Announce { client: who, torrent, port, left, phase, wanted, udp } => {
                let phase = [Phase::Update, Phase::Started, Phase::Completed, Phase::Stopped][usize::from(phase)];
                let (left, wanted) = (Some(left.into()), Some(wanted.into()));
                let request = Announce { info_hash: InfoHash::new([torrent; 20]), left, phase, wanted, ..leech(port) };
                self.announce(any_client(who, udp), request);
            }
            Step::Scrape { client: who, torrents, udp } => {
                let ids: Vec<InfoHash> = (0..torrents).map(|torrent| InfoHash::new([torrent; 20])).collect();
                let client = any_client(who, udp);
                if let Scraping::Held(ticket) = self.scene.scrape(client, &ids) {
                    self.scrapes.insert(ticket, self.scene.now + client.transport.patience());
                }
            }
            Step::HangUp { which } if which % 2 == 0 && !self.scrapes.is_empty() => {
                let ticket = *self.scrapes.keys().nth(usize::from(which) % self.scrapes.len()).unwrap();
                self.scrapes.remove(&ticket);
                self.scene.broker.scrape_gone(ticket);
            }
            Step::Work { which, peers: count, verdict } if !self.work.is_empty() => {
                let work = self.work.swap_remove(usize::from(which) % self.work.len());
                self.finish(work, usize::from(count), verdict);
            }
            Step::HangUp { which } if !self.waiting.is_empty() => {
                let ticket = *self.waiting.keys().nth(usize::from(which) % self.waiting.len()).unwrap();
                self.waiting.remove(&ticket);
                self.scene.broker.gone(self.scene.now, ticket);
            }
            Step::Standing { ready } => {
                self.scene.broker.set_standing(self.scene.now, Standing { ready, ..Standing::default() });
            }
            Step::Pass { seconds } => self.scene.pass(Duration::from_secs(seconds.into())),
            Step::Work { .. } | Step::HangUp { .. } => {}
        }
        self.scene.drain();
        self.check();
    }

    fn announce(&mut self, client: Client, request: Announce) {
        let asker = client.peer(&request);
        match self.scene.announce(client, request.clone()) {
            Decision::Held(ticket) => {
                let deadline = self.scene.now + client.transport.patience_in_line();
                self.waiting.entry(ticket).or_insert(deadline);
            }
            Decision::Now(Ok(reply)) => {
                assert!(!self.private.contains(&request.info_hash), "a private torrent was served");
                assert!(reply.peers.len() <= request.wanted().min(MAX_WANTED));
                assert!(!reply.peers.contains(&asker));
                let distinct: BTreeSet<_> = reply.peers.iter().collect();
                assert_eq!(distinct.len(), reply.peers.len());
            }
            Decision::Now(Err(_)) => {}
        }
    }

    fn finish(&mut self, work: Order, count: usize, verdict: u8) {
        let (broker, now) = (&mut self.scene.broker, self.scene.now);
        match work {
            Order::Lookup(id) => {
                broker.peers_found(now, id, &peers(count));
                broker.lookup_finished(now, id);
            }
            Order::Announce { info_hash, client, .. } => {
                broker.announce_finished(now, info_hash, client.port(), &[Family::V4, Family::V6], count);
            }
            Order::Relay(relay) if relay.phase == Phase::Stopped => self.scene.broker.farewell_finished(),
            Order::Relay(relay) => {
                broker.peers_found(now, relay.info_hash, &peers(count));
                let interval = (count > 20).then_some(count as u32 * SECOND);
                broker.relay_finished(now, relay.info_hash, relay.client, interval);
            }
            Order::Probe { info_hash, .. } => {
                let verdicts =
                    [Verdict::Public, Verdict::Private, Verdict::Withheld, Verdict::NotYet, Verdict::Unknown];
                broker.probe_finished(now, info_hash, verdicts[usize::from(verdict)]);
                if verdict == 1 {
                    self.private.insert(info_hash);
                }
            }
            Order::Survey(id) => {
                let filters = (verdict > 0).then(SwarmFilters::default);
                broker.survey_finished(now, id, filters);
            }
            Order::Answer(..) | Order::Scraped(..) => unreachable!("answers are no work"),
        }
    }

    fn check(&mut self) {
        for (at, ticket, _) in self.scene.answers.drain(..) {
            let deadline = self.waiting.remove(&ticket).expect("an answer to a request that waits, and only one");
            assert!(at <= deadline, "an answer after its deadline");
        }
        for (at, ticket, files) in self.scene.scraped.drain(..) {
            let deadline = self.scrapes.remove(&ticket).expect("an answer to a scrape that waits, and only one");
            assert!(at <= deadline, "an answer after its deadline");
            assert!(files.iter().all(|(id, counts)| counts.is_none() || !self.private.contains(id)));
        }
        assert_eq!(self.scene.broker.load().held, self.waiting.len() + self.scrapes.len());
        for work in self.scene.take_work() {
            let id = match work {
                Order::Lookup(id)
                | Order::Survey(id)
                | Order::Announce { info_hash: id, .. }
                | Order::Relay(Relay { info_hash: id, phase: Phase::Started | Phase::Update, .. }) => Some(id),
                _ => None,
            };
            assert!(id.is_none_or(|id| !self.private.contains(&id)), "the DHT was asked about a private torrent");
            assert!(!self.work.contains(&work), "the same work twice at a time");
            self.work.push(work);
        }
    }
}

proptest! {
    #[test]
    fn whatever_happens_every_held_answer_is_given_in_time_and_privacy_holds(
        steps in prop::collection::vec(step(), 1..120),
    ) {
        let (waiting, scrapes, work, private) = (BTreeMap::new(), BTreeMap::new(), Vec::new(), BTreeSet::new());
        let mut scene = Scene::new(Policy::VerifiedPublic);
        scene.broker.relay_to_trackers();
        let mut player = Player { scene, waiting, scrapes, work, private };
        steps.into_iter().for_each(|step| player.play(step));
        player.play(Step::Pass { seconds: 10 });
        prop_assert!(player.waiting.is_empty() && player.scrapes.is_empty());
    }
}
