//! Private torrents, and clients that say more or less than is true of theirs.

use super::*;

#[test]
fn the_dht_hears_of_a_torrent_only_when_it_is_proven_public() {
    let mut scene = Scene::new(Policy::VerifiedPublic);
    scene.held(local(), leech(1111));
    let probe = Order::Probe { info_hash: HASH, peer: "127.0.0.1:1111".parse().unwrap(), complete: false };
    assert_eq!(scene.take_work(), [probe]);
    scene.probe_says(Verdict::Public);
    let announce = announce_of("127.0.0.1:1111", false, Nearness::Host);
    assert_eq!(scene.take_work(), [Order::Lookup(HASH), announce]);
    // Proven once, proven for good.
    scene.found(&peers(40));
    scene.answered(local(), seed(1112));
    assert!(!scene.take_work().iter().any(|work| matches!(work, Order::Probe { .. })));
}

#[test]
fn a_private_torrent_is_refused_and_kept_from_the_dht() {
    for policy in [Policy::Never, Policy::VerifiedPublic] {
        let mut scene = Scene::new(policy);
        scene.held(local(), leech(1111));
        scene.take_work();
        scene.probe_says(Verdict::Private);
        let refusal = scene.answers.pop().unwrap().2.unwrap_err();
        assert!(refusal.reason.contains("private"), "{}", refusal.reason);
        let again = scene.announce(remote(), leech(2222));
        assert_eq!(again, Decision::Now(Err(refusal)));
        scene.pass(25 * 60 * SECOND);
        assert_eq!(scene.take_work(), []);
        assert_eq!(scene.known(), None);
    }
}

#[test]
fn a_torrent_whose_metadata_is_withheld_is_refused_and_asked_for_again_after_half_an_hour() {
    let mut scene = Scene::new(Policy::VerifiedPublic);
    scene.held(local(), leech(1111));
    scene.take_work();
    scene.probe_says(Verdict::Withheld);
    let refusal = scene.answers.pop().unwrap().2.unwrap_err();
    assert!(refusal.reason.contains("seems to be private"), "{}", refusal.reason);
    // Refused as long as that is believed, though it comes again and again; the DHT hears nothing.
    for _ in 0..2 {
        scene.pass(14 * 60 * SECOND);
        assert_eq!(scene.announce(local(), leech(1111)), Decision::Now(Err(refusal.clone())));
        assert_eq!((scene.take_work(), scene.known()), (vec![], None));
    }
    scene.pass(2 * 60 * SECOND - SECOND);
    assert_eq!(scene.take_work(), []);
    scene.pass(SECOND);
    assert!(matches!(scene.take_work()[..], [Order::Probe { .. }]));
    scene.held(local(), leech(1111));
    scene.probe_says(Verdict::Public);
    assert_eq!(scene.take_work(), [Order::Lookup(HASH), announce_of("127.0.0.1:1111", false, Nearness::Host)]);
}

#[test]
fn what_one_client_withholds_is_not_private_for_others() {
    let neighbour = client("192.168.1.7:4", Transport::Http);
    let mut scene = Scene::new(Policy::VerifiedPublic);
    scene.held(local(), leech(1111));
    scene.probe_says(Verdict::Withheld);
    scene.answers.clear();
    scene.take_work();
    // A stranger is served, and not told of the client that withholds.
    scene.held(remote(), leech(3333));
    assert_eq!(scene.take_work(), [Order::Lookup(HASH)]);
    scene.found(&peers(3));
    scene.lookup_ends();
    assert_eq!(scene.answers.pop().unwrap().2.unwrap().peers, peers(3));
    // A neighbour is asked itself, and what it proves holds for all.
    scene.pass(3 * 60 * SECOND);
    scene.held(neighbour, leech(2222));
    let asked = Order::Probe { info_hash: HASH, peer: "192.168.1.7:2222".parse().unwrap(), complete: false };
    assert!(scene.take_work().contains(&asked));
    scene.probe_says(Verdict::Public);
    scene.pass(2 * SECOND);
    assert!(matches!(scene.answers.pop(), Some((_, _, Ok(_)))));
    scene.answered(local(), leech(1111));
    assert!(scene.known().is_some());
    let announced = |work: &Order| matches!(work, Order::Announce { .. });
    assert!(scene.take_work().iter().any(announced));
}

#[test]
fn a_magnet_that_says_it_has_everything_gets_seeds() {
    // webtorrent over UDP and aria2 report 0 left for a magnet.
    let magnet = |port| Announce { left: Some(0), downloaded: 0, ..leech(port) };
    let udp = client("127.0.0.1:40000", Transport::Udp);
    let mut scene = Scene::new(Policy::VerifiedPublic);
    scene.held(udp, magnet(1111));
    scene.probe_says(Verdict::NotYet);
    assert_eq!(scene.answers, [], "it waits for peers like any download");
    assert_eq!(scene.known().unwrap().complete, 0);
    // A seed that started complete says the same, and has the metadata.
    let neighbour = client("192.168.1.7:4", Transport::Http);
    scene.held(neighbour, magnet(2222));
    scene.take_work();
    scene.probe_says(Verdict::Public);
    let told: Vec<_> = scene.answers.drain(..).map(|(_, ticket, reply)| (ticket, reply.unwrap().peers)).collect();
    assert_eq!(told.len(), 1, "the seed gains nothing by waiting");
    assert_eq!(scene.known().unwrap(), Counts { complete: 1, incomplete: 1, downloaded: 0 });
    scene.announce_ends(1111, 8);
    let as_seed = announce_of("192.168.1.7:2222", true, Nearness::Lan);
    assert!(scene.take_work().contains(&as_seed), "as what it is");
    scene.pass(SECOND);
    assert_eq!(scene.answers.pop().unwrap().2.unwrap().peers, ["192.168.1.7:2222".parse().unwrap()]);
    // Where the torrent is proven public, another magnet that says so is asked too.
    scene.announce(udp, magnet(3333));
    let asked = Order::Probe { info_hash: HASH, peer: "127.0.0.1:3333".parse().unwrap(), complete: false };
    assert!(scene.take_work().contains(&asked));
    scene.probe_says(Verdict::NotYet);
    assert_eq!(scene.known().unwrap().complete, 1);
    // Where nothing is asked, it is counted as it says, and gets seeds all the same; by UDP it also waits for them.
    let mut scene = Scene::new(Policy::Always);
    scene.answered(neighbour, seed(2222));
    assert_eq!(scene.answered(udp, magnet(1111)).peers, ["192.168.1.7:2222".parse().unwrap()]);
    let mut scene = Scene::new(Policy::Always);
    scene.held(udp, magnet(1111));
    scene.answered(local(), magnet(1112));
}

#[test]
fn a_magnet_link_gets_peers_first_and_is_announced_when_it_has_metadata() {
    let mut scene = Scene::new(Policy::VerifiedPublic);
    scene.held(local(), leech(1111));
    scene.take_work();
    scene.probe_says(Verdict::NotYet);
    assert_eq!(scene.take_work(), [Order::Lookup(HASH)]);
    scene.found(&peers(40));
    scene.lookup_ends();
    assert_eq!(scene.answers.len(), 1);
    scene.pass(5 * SECOND);
    assert!(matches!(scene.take_work()[..], [Order::Probe { .. }]));
    scene.probe_says(Verdict::NotYet);
    scene.pass(5 * SECOND);
    assert_eq!(scene.take_work(), [], "the pause grows");
    scene.pass(5 * SECOND);
    assert!(matches!(scene.take_work()[..], [Order::Probe { .. }]));
    scene.probe_says(Verdict::Public);
    assert!(matches!(scene.take_work()[..], [Order::Announce { .. }]));
}

#[test]
fn who_cannot_be_asked_gets_peers_and_is_told_that_it_is_not_announced() {
    let mut scene = Scene::new(Policy::VerifiedPublic);
    scene.held(local(), leech(1111));
    scene.take_work();
    scene.probe_says(Verdict::Unknown);
    assert_eq!(scene.take_work(), [Order::Lookup(HASH)]);
    scene.found(&peers(40));
    let reply = scene.answers.pop().unwrap().2.unwrap();
    assert_eq!(reply.peers.len(), 40);
    assert!(reply.warning.unwrap().contains("not announced"));
    // aria2 without a listener: there is no port to ask at.
    let mut scene = Scene::new(Policy::VerifiedPublic);
    scene.held(local(), leech(0));
    assert_eq!(scene.take_work(), [Order::Lookup(HASH)]);
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
fn until_it_is_known_whether_a_torrent_is_private_nobody_is_told_of_anybody() {
    let mut scene = Scene::new(Policy::VerifiedPublic);
    let first = scene.answered(local(), seed(1111));
    assert_eq!((first.interval, first.min_interval), (60 * SECOND, 30 * SECOND), "it should hear the verdict soon");
    let stranger = scene.held(remote(), leech(2222));
    let neighbour = scene.held(client("192.168.1.7:4", Transport::Http), leech(3333));
    assert_eq!(scene.answered(client("192.168.1.8:4", Transport::Http), seed(4444)).peers, []);
    assert_eq!(scene.answers, []);
    assert!(!scene.take_work().contains(&Order::Lookup(HASH)));
    scene.probe_says(Verdict::Public);
    scene.found(&peers(1));
    scene.lookup_ends();
    let told: BTreeSet<Ticket> = scene.answers.iter().map(|(_, ticket, _)| *ticket).collect();
    assert_eq!(told, BTreeSet::from([stranger, neighbour]));
    assert!(scene.answers.iter().all(|(_, _, answer)| answer.as_ref().is_ok_and(|reply| reply.peers.len() >= 3)));
}

#[test]
fn a_private_torrent_is_refused_after_a_restart_too() {
    let mut before = Scene::new(Policy::VerifiedPublic);
    before.held(local(), leech(1111));
    before.probe_says(Verdict::Private);
    let mut after = Scene::new(Policy::VerifiedPublic);
    after.now = Instant::from_secs(1_000_000);
    after.broker.restore(after.now, before.broker.snapshot(before.now), 24 * 3600 * SECOND);
    assert!(matches!(after.announce(local(), leech(1111)), Decision::Now(Err(_))));
    assert!(matches!(after.announce(remote(), leech(2222)), Decision::Now(Err(_))));
    assert_eq!(after.take_work(), []);
}
