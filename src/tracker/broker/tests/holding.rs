//! Held answers: who waits, for how long, and for what.

use super::*;
use crate::tracker::broker::clients::MAX_HELD;

#[test]
fn a_cold_download_waits_for_the_first_peers_and_a_moment_more() {
    let mut scene = Scene::new(Policy::Always);
    let ticket = scene.held(local(), leech(1111));
    assert_eq!(scene.take_work()[0], Order::Lookup(HASH));
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
    scene.held(local(), Announce { wanted: Some(3), ..leech(1111) });
    scene.found(&peers(3));
    assert_eq!(scene.answers.pop().unwrap().2.unwrap().peers.len(), 3);

    let mut scene = Scene::new(Policy::Always);
    scene.held(local(), leech(1111));
    scene.found(&peers(2));
    scene.lookup_ends();
    assert_eq!(scene.answers.pop().unwrap().2.unwrap().peers.len(), 2);
}

#[test]
fn a_lookup_that_ends_empty_ends_no_wait_and_the_dht_is_asked_once_more() {
    for (transport, deadline, second) in [(Transport::Http, 8000, 6500), (Transport::Udp, 4000, 2500)] {
        let millis = Duration::from_millis;
        let mut scene = Scene::new(Policy::Always);
        scene.held(client("127.0.0.1:40000", transport), leech(1111));
        scene.take_work();
        scene.pass(millis(300));
        scene.lookup_ends();
        scene.pass(millis(second - 301));
        assert_eq!((scene.take_work(), scene.answers.len()), (vec![], 0));
        scene.pass(millis(1));
        assert_eq!(scene.take_work(), [Order::Lookup(HASH)]);
        // Empty again: held to the deadline all the same, and asked no third time.
        scene.pass(millis(300));
        scene.lookup_ends();
        scene.pass(millis(deadline - second - 301));
        assert_eq!((scene.take_work(), scene.answers.len()), (vec![], 0));
        scene.pass(millis(1));
        let reply = scene.answers.pop().unwrap().2.unwrap();
        assert_eq!((reply.peers.len(), reply.interval, reply.warning), (0, Duration::from_secs(120), None));
    }
}

#[test]
fn a_peer_that_announces_while_an_answer_is_held_is_in_it() {
    let mut scene = Scene::new(Policy::Always);
    scene.held(local(), leech(1111));
    scene.lookup_ends();
    scene.take_work();
    scene.pass(6 * SECOND + SECOND / 2);
    assert_eq!(scene.end_lookups(&peers(1)), [HASH]);
    assert_eq!(scene.answers.pop().unwrap().2.unwrap().peers.len(), 1);
}

#[test]
fn what_a_client_cannot_use_does_not_end_its_wait() {
    let own = "198.51.100.1:1111".parse().unwrap();
    let v6 = "[2001:db8::1]:6881".parse().unwrap();
    let stranger = client("203.0.113.5:40000", Transport::Udp);
    for (client, found) in [
        // Itself, under the address by which the DHT knows it.
        (local(), own),
        (stranger, "203.0.113.5:1111".parse().unwrap()),
        // A peer whose family its answer cannot carry.
        (client("127.0.0.1:40000", Transport::Udp), v6),
    ] {
        let mut scene = Scene::new(Policy::Always);
        scene.held(client, leech(1111));
        scene.found(&[found]);
        scene.lookup_ends();
        scene.pass(2 * SECOND);
        assert_eq!(scene.answers, [], "{found}");
        scene.pass(6 * SECOND);
        assert_eq!(scene.answers.len(), 1);
    }
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
fn a_client_that_gains_nothing_by_it_does_not_wait() {
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
fn a_swarm_that_was_empty_a_moment_ago_is_not_asked_for_again() {
    let mut scene = Scene::new(Policy::Always);
    scene.held(local(), leech(1111));
    scene.lookup_ends();
    scene.pass(6 * SECOND + SECOND / 2);
    scene.lookup_ends();
    scene.pass(10 * SECOND);
    assert_eq!(scene.answered(local(), leech(1111)).interval, Duration::from_secs(120));
    scene.pass(5 * SECOND);
    scene.held(local(), leech(1111));
}

#[test]
fn one_lookup_serves_all_who_ask() {
    let mut scene = Scene::new(Policy::Always);
    for port in 0..8 {
        scene.held(client(&format!("127.0.0.1:{}", 50_000 + port), Transport::Udp), leech(2000 + port));
    }
    let lookups = scene.take_work().into_iter().filter(|work| *work == Order::Lookup(HASH)).count();
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
fn answers_are_held_by_a_fair_share_and_not_too_many_in_all() {
    let mut scene = Scene::new(Policy::Always);
    let other = |i: u32| {
        let mut hash = [0; 20];
        hash[..4].copy_from_slice(&i.to_be_bytes());
        Announce { info_hash: InfoHash::new(hash), ..leech(1000 + i as u16) }
    };
    let is_held = |scene: &mut Scene, client, i| matches!(scene.announce(client, other(i)), Decision::Held(_));
    let stranger = client("203.0.113.5:40000", Transport::Udp);
    assert_eq!((0..100).filter(|&i| is_held(&mut scene, stranger, i)).count(), 8);
    let mut held = 8;
    for i in 0..10_000u32 {
        let addr = SocketAddr::new(std::net::Ipv4Addr::from(0x0a00_0000 + i).into(), 1);
        let client = Client { addr, nearness: Nearness::Lan, ..local() };
        held += usize::from(is_held(&mut scene, client, i));
    }
    assert_eq!((held, scene.broker.load().held), (MAX_HELD, MAX_HELD));
    scene.pass(8 * SECOND);
    assert_eq!((scene.answers.len(), scene.broker.load().held), (MAX_HELD, 0));
    scene.held(local(), Announce { info_hash: InfoHash::new([255; 20]), ..leech(1) });
}

#[test]
fn two_hundred_magnets_that_are_added_together_all_get_peers() {
    for transport in [Transport::Udp, Transport::Http] {
        let mut scene = Scene::new(Policy::VerifiedPublic);
        let near = client("127.0.0.1:40000", transport);
        // Others are busy: strangers who wait for as many lookups as they may.
        for i in 0..2000u16 {
            let addr = SocketAddr::new(IpAddr::from([203, (i / 20) as u8, (i % 20) as u8, 1]), 4000);
            let stranger = Client { addr, nearness: Nearness::Remote, ..near };
            scene.announce(stranger, Announce { info_hash: id(1_000_000 + u32::from(i)), ..leech(4000) });
        }
        for i in 0..200 {
            scene.held(near, Announce { info_hash: id(i), ..leech(1111) });
        }
        // The clients say that they have no metadata yet; a lookup takes a second and a half.
        for _ in 0..40 {
            while let Some(at) = scene.work.iter().position(|work| matches!(work, Order::Probe { .. })) {
                let Order::Probe { info_hash, .. } = scene.work.swap_remove(at) else { unreachable!() };
                scene.broker.probe_finished(scene.now, info_hash, Verdict::NotYet);
                scene.drain();
            }
            scene.pass(SECOND * 3 / 2);
            scene.end_lookups(&peers(3));
        }
        let with_peers = |(_, ticket, answer): &&(Instant, Ticket, Answer)| {
            is_near(ticket) && answer.as_ref().unwrap().peers.len() == 3
        };
        assert_eq!(scene.answers.iter().filter(with_peers).count(), 200, "{transport:?}");
    }
}

#[test]
fn one_torrent_holds_a_bounded_number_of_answers() {
    let mut scene = Scene::new(Policy::Always);
    for i in 0..4000u32 {
        let addr = SocketAddr::new(std::net::Ipv4Addr::from(0x0a00_0000 + i).into(), 1);
        scene.announce(Client { addr, nearness: Nearness::Lan, ..local() }, leech(1));
    }
    assert_eq!(scene.broker.load().held, 512);
    scene.pass(8 * SECOND);
    assert_eq!((scene.answers.len(), scene.broker.load().held), (512, 0));
}

#[test]
fn a_client_that_hangs_up_frees_its_place() {
    let mut scene = Scene::new(Policy::Always);
    for i in 0..100 {
        let request = Announce { info_hash: InfoHash::new([i; 20]), ..leech(1111) };
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
    scene.broker.set_standing(scene.now, Standing { nodes: 3, ..Standing::default() });
    scene.held(local(), leech(1111));
    scene.pass(7 * SECOND);
    assert_eq!(scene.take_work(), []);
    scene.pass(SECOND);
    let reply = scene.answers.pop().unwrap().2.unwrap();
    assert_eq!(reply.warning.unwrap(), "the DHT is starting up (nodes so far: 3)");
    scene.broker.set_standing(scene.now, Standing { ready: true, ..Standing::default() });
    scene.drain();
    assert!(scene.take_work().contains(&Order::Lookup(HASH)));
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
    assert_eq!(scene.take_work(), [Order::Lookup(HASH)]);
}

#[test]
fn a_download_next_door_keeps_its_swarm_warm() {
    let mut scene = Scene::new(Policy::Always);
    scene.held(local(), leech(1111));
    scene.lookup_ends();
    scene.take_work();
    for _ in 0..3 {
        scene.pass(8 * 60 * SECOND);
        assert!(scene.take_work().contains(&Order::Lookup(HASH)));
        scene.lookup_ends();
    }
    // Not for strangers, and not for those who left.
    scene.answered(local(), Announce { phase: Phase::Stopped, ..leech(1111) });
    scene.announce(remote(), leech(1112));
    scene.take_work();
    scene.pass(30 * 60 * SECOND);
    assert_eq!(scene.take_work(), []);
}
