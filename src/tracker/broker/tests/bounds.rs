//! What strangers, floods and busy clients can cost.

use super::*;
use crate::tracker::broker::clients::MAX_HELD_FOR_STRANGERS;

#[test]
fn strangers_hold_up_neither_the_lookups_nor_the_answers_of_near_clients() {
    let mut scene = Scene::new(Policy::Always);
    for i in 0..7000u32 {
        let addr = SocketAddr::new(std::net::Ipv4Addr::from(i.wrapping_mul(0x9e37_79b9)).into(), 4000);
        let stranger = Client { addr, nearness: Nearness::Remote, transport: Transport::Udp, ..local() };
        scene.announce(stranger, Announce { info_hash: id(1_000_000 + i), ..leech(4000) });
    }
    assert_eq!(scene.broker.load().held, MAX_HELD_FOR_STRANGERS);
    let strangers = scene.take_work();
    assert_eq!(strangers.len(), LOOKUPS.1, "strangers do not have all workers");
    let ticket = scene.held(local(), leech(1111));
    assert!(scene.take_work().contains(&Order::Lookup(HASH)));
    scene.found(&peers(3));
    scene.lookup_ends();
    assert_eq!(scene.answers.pop().map(|(_, answered, _)| answered), Some(ticket));
    // They are gone, and so is the work that they wanted.
    scene.pass(61 * SECOND);
    for work in strangers {
        scene.broker.lookup_finished(scene.now, looked_up(work).unwrap());
    }
    scene.drain();
    assert_eq!(scene.take_work(), []);
}

#[test]
fn a_stranger_gets_no_lookup_by_waiting_that_it_may_not_ask_for() {
    let mut scene = Scene::new(Policy::Always);
    let stranger = client("203.0.113.5:40000", Transport::Udp);
    let mut lookups = 0;
    for i in 0..400 {
        scene.announce(stranger, Announce { info_hash: id(i), ..leech(1111) });
        lookups += scene.end_lookups(&peers(40)).len();
    }
    assert_eq!(lookups, 30);
    // Nor a second one for an answer that is held.
    let mut scene = Scene::new(Policy::Always);
    for i in 0..8 {
        scene.held(stranger, Announce { info_hash: id(i), ..leech(1111) });
    }
    for i in 8..30 {
        scene.announce(stranger, Announce { info_hash: id(i), ..leech(1111) });
    }
    let first = scene.end_lookups(&[]).len();
    scene.pass(5 * SECOND);
    let second = scene.end_lookups(&[]).len();
    assert!(first + second <= 32, "{first} and {second}");
    assert!(scene.answers.len() == 8);
}

#[test]
fn a_torrent_with_held_answers_or_work_under_way_is_never_evicted() {
    let mut scene = Scene::new(Policy::Always);
    let near = client("127.0.0.1:40000", Transport::Udp);
    let held = scene.held(remote(), leech(1111));
    // Lookups of near clients take all workers, and go on.
    let busy: Vec<InfoHash> =
        (1..100).map(|i| scene.held(near, Announce { info_hash: id(i), ..leech(1) }).info_hash).collect();
    let running: Vec<InfoHash> = scene.take_work().into_iter().filter_map(looked_up).collect();
    assert!(running.len() > 10);
    for i in 0..30_000u32 {
        let request = Announce { info_hash: id(1_000 + i), wanted: Some(0), ..leech(1) };
        scene.broker.announce(scene.now, near, request);
    }
    assert_eq!(scene.broker.load().torrents, MAX_TORRENTS);
    for id in running {
        scene.broker.peers_found(scene.now, id, &peers(40));
        assert!(scene.answers.len() < busy.len());
    }
    scene.drain();
    scene.pass(10 * SECOND);
    let answered: BTreeSet<Ticket> = scene.answers.iter().map(|(_, ticket, _)| *ticket).collect();
    assert!(answered.contains(&held), "the one that makes room first by its rank and its age");
    assert_eq!((answered.len(), scene.answers.len()), (1 + busy.len(), 1 + busy.len()));
}

#[test]
fn work_for_other_trackers_keeps_no_torrent_out() {
    // As many torrents as there are, all of them busy with relays or queued for one.
    let mut scene = Scene::new(Policy::Always);
    scene.broker.relay_to_trackers();
    let near = client("127.0.0.1:40000", Transport::Udp);
    for i in 0..20_000 {
        scene.answered(near, Announce { info_hash: id(i), wanted: Some(0), ..seed(1111) });
    }
    let mut relayed = Vec::new();
    for work in scene.take_work() {
        match work {
            Order::Relay(relay) => relayed.push(relay.info_hash),
            Order::Announce { info_hash, .. } => {
                scene.broker.announce_finished(scene.now, info_hash, 1111, &[Family::V4], 8);
            }
            other => panic!("{other:?}"),
        }
    }
    assert_eq!(relayed.len(), RELAYS);
    for i in 20_000..20_100 {
        scene.answered(near, Announce { info_hash: id(i), ..seed(1111) });
        assert!(scene.broker.counts(scene.now, id(i)).is_some(), "{i} was dismissed");
    }
    assert!(relayed.iter().all(|id| scene.broker.counts(scene.now, *id).is_some()), "they are busy");
}

#[test]
fn memory_is_bounded_in_bytes_and_near_clients_keep_theirs_longest() {
    let mut scene = Scene::new(Policy::Always);
    scene.broker.set_memory((2 << 20) + FIXED_BYTES);
    let near = client("127.0.0.1:40000", Transport::Http);
    for i in 0..100 {
        let id = id(i);
        scene.broker.announce(scene.now, near, Announce { info_hash: id, ..seed(1111) });
        scene.broker.peers_found(scene.now, id, &peers(100));
    }
    let stranger =
        |i: u32| Client { addr: SocketAddr::new(IpAddr::from((0x0100_0000 + i).to_be_bytes()), 1), ..remote() };
    for i in 0..200_000 {
        let request = Announce { info_hash: id(1000 + i % 5_000), ..seed(1 + (i % 50) as u16) };
        scene.broker.announce(scene.now, stranger(i), request);
        while scene.broker.poll_output().is_some() {}
        assert!(scene.broker.load().bytes <= 2 << 20, "{:?}", scene.broker.load());
    }
    assert!((0..100).all(|i| scene.broker.counts(scene.now, id(i)).is_some()), "near clients are still known");
    // Where near clients alone want more, what can be found again goes first.
    for i in 100..1_000 {
        scene.broker.announce(scene.now, near, Announce { info_hash: id(i), ..seed(1111) });
        while scene.broker.poll_output().is_some() {}
    }
    assert!(scene.broker.load().bytes <= 2 << 20);
    let known =
        (0..1_000).filter(|&i| scene.broker.counts(scene.now, id(i)).is_some_and(|counts| counts.complete == 1));
    assert_eq!(known.count(), 1_000);
}

#[test]
fn one_address_fills_neither_the_memory_nor_the_table() {
    // 20,000 torrents with 200 ports each, from one address.
    let mut scene = Scene::new(Policy::Always);
    for i in 0..20_000u32 {
        for port in [1000, 1001, 1002, 1003, 1004, 1005, 1006, 1007] {
            scene.broker.announce(scene.now, remote(), Announce { info_hash: id(i), wanted: Some(0), ..seed(port) });
        }
    }
    let Load { torrents, bytes, .. } = scene.broker.load();
    assert_eq!(torrents, 1_000);
    assert!(bytes < 2_000_000, "{bytes}");
    let neighbour = client("127.0.0.1:4", Transport::Http);
    scene.answered(neighbour, seed(1111));
    assert!(scene.known().is_some());
}

#[test]
fn a_flood_of_infohashes_costs_a_bounded_amount() {
    let mut scene = Scene::new(Policy::Always);
    scene.answered(local(), seed(1111));
    for i in 0..30_000u32 {
        let mut hash = [0; 20];
        hash[..4].copy_from_slice(&i.to_be_bytes());
        let request = Announce { info_hash: InfoHash::new(hash), ..seed(6881) };
        let addr = SocketAddr::new(std::net::Ipv4Addr::from(i.wrapping_mul(0x9e37_79b9)).into(), 6881);
        scene.broker.announce(scene.now, Client { addr, ..remote() }, request);
    }
    assert_eq!(scene.broker.load().torrents, MAX_TORRENTS);
    // Strangers push out strangers, not our own.
    assert!(scene.known().is_some());
    scene.drain();
    let lookups = scene.take_work().iter().filter(|work| matches!(work, Order::Lookup(_))).count();
    assert!(lookups <= LOOKUPS.0);
    // All of it is forgotten when it is not asked for.
    scene.pass(2 * 3600 * SECOND);
    assert!(scene.broker.load().torrents <= LOOKUPS.0 + 1, "{:?}", scene.broker.load());
}

#[test]
fn strangers_who_wait_for_a_torrent_leave_near_clients_their_place_in_it() {
    let mut scene = Scene::new(Policy::Always);
    let stranger = |i: u32| {
        let addr = SocketAddr::new(std::net::Ipv4Addr::from(i.wrapping_mul(0x9e37_79b9)).into(), 4000);
        Client { addr, transport: Transport::Udp, ..remote() }
    };
    for i in 0..2_000 {
        scene.announce(stranger(i), leech(4000));
    }
    assert!(scene.broker.load().held > 200);
    for port in 1..=200 {
        scene.held(client("127.0.0.1:40000", Transport::Http), leech(port));
    }
}

#[test]
fn torrents_with_held_answers_do_not_outgrow_the_memory() {
    // Answers are held for as many torrents as may be; then crowds announce themselves to each of them.
    const MEMORY: usize = 2 << 20;
    let mut scene = Scene::new(Policy::Always);
    scene.broker.set_memory(MEMORY + FIXED_BYTES);
    let spread = |i: u32| SocketAddr::new(std::net::Ipv4Addr::from(i.wrapping_mul(0x9e37_79b9)).into(), 4000);
    let stranger = |i: u32| Client { addr: spread(i), transport: Transport::Udp, ..remote() };
    for round in 0..100 {
        for i in 0..2_000 {
            let request = Announce { info_hash: id(i), ..leech(4000) };
            scene.announce(stranger(2_000 * round + i), request);
        }
        assert!(scene.broker.load().bytes <= MEMORY * 11 / 10, "{round}: {:?}", scene.broker.load());
    }
    // The own client is served, and those who announced to the same torrents before are still known.
    let ticket = scene.held(local(), leech(1111));
    assert!(scene.take_work().contains(&Order::Lookup(HASH)));
    scene.found(&peers(3));
    scene.lookup_ends();
    let (_, answered, answer) = scene.answers.pop().unwrap();
    assert_eq!((answered, answer.unwrap().peers.len()), (ticket, 3));
}

#[test]
fn counts_that_strangers_wait_for_no_longer_make_room_for_those_of_near_clients() {
    let mut scene = Scene::new(Policy::Always);
    let spread = |i: u32| SocketAddr::new(std::net::Ipv4Addr::from(i.wrapping_mul(0x9e37_79b9)).into(), 4000);
    let stranger = |i: u32| Client { addr: spread(i), transport: Transport::Udp, ..remote() };
    let scrape_all = |scene: &mut Scene, clients: std::ops::Range<u32>| {
        for i in clients {
            let ids: Vec<InfoHash> = (0..30).map(|number| id(1_000_000 + 30 * i + number)).collect();
            scene.scrape(stranger(i), &ids);
        }
    };
    // More than may wait, so that many are answered at once.
    scrape_all(&mut scene, 0..5_000);
    let near = |scene: &mut Scene| {
        scene.take_work();
        let held = matches!(scene.scrape(local(), &[HASH]), Scraping::Held(_));
        held && scene.take_work().contains(&Order::Survey(HASH))
    };
    assert!(near(&mut scene), "strangers have not all places");
    scene.counted(HASH, 1, 1);
    // They are gone, and so is the work that they wanted.
    scene.pass(10 * SECOND);
    scene.take_work();
    for number in 0..150_000 {
        scene.broker.survey_finished(scene.now, id(1_000_000 + number), None);
    }
    scene.drain();
    assert_eq!(scene.take_work(), []);
}

#[test]
fn a_client_that_leaves_with_all_its_torrents_makes_no_flood_of_farewells() {
    let mut scene = Scene::new(Policy::Always);
    scene.broker.relay_to_trackers();
    let near = client("127.0.0.1:40000", Transport::Udp);
    for i in 0..3_000 {
        scene.answered(near, Announce { info_hash: id(i), wanted: Some(0), ..seed(1111) });
    }
    let mut told = 0;
    while told < 3_000 {
        for work in scene.take_work() {
            match work {
                Order::Relay(relay) => {
                    told += 1;
                    scene.broker.relay_finished(scene.now, relay.info_hash, relay.client, Some(1800 * SECOND));
                }
                Order::Announce { info_hash, .. } => {
                    scene.broker.announce_finished(scene.now, info_hash, 1111, &[Family::V4], 8);
                }
                other => panic!("{other:?}"),
            }
            scene.drain();
        }
    }
    for i in 0..3_000 {
        scene.answered(near, Announce { info_hash: id(i), phase: Phase::Stopped, ..seed(1111) });
    }
    let mut farewells = 0;
    loop {
        let under_way = scene.take_work().len();
        assert!(under_way <= RELAYS, "{under_way} at a time");
        if under_way == 0 {
            break;
        }
        farewells += under_way;
        (0..under_way).for_each(|_| scene.broker.farewell_finished());
        scene.drain();
    }
    assert_eq!(farewells, RELAYS + MAX_FAREWELLS, "the rest is dropped: trackers forget them");
}
