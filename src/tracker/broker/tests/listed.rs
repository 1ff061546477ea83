//! The clients that announce here, page by page.

use super::*;

fn addresses(scene: &Scene, after: Option<SocketAddr>, most: usize) -> Vec<String> {
    scene.broker.clients_after(scene.now, after, most).iter().map(|client| client.addr.to_string()).collect()
}

#[test]
fn a_client_is_listed_once_with_all_its_torrents_and_what_it_said_of_them() {
    let mut scene = Scene::new(Policy::VerifiedPublic);
    scene.announce(local(), seed(6881));
    scene.broker.probe_finished(scene.now, HASH, Verdict::Private);
    scene.pass(Duration::from_secs(60));
    scene.announce(local(), Announce { info_hash: id(1), peer_id: *b"-XX0000-abcdefghijkl", ..leech(6881) });
    scene.announce(remote(), leech(6882));
    let listed = scene.broker.clients_after(scene.now, None, 10);
    let [local, stranger] = listed[..] else { panic!("{listed:?}") };
    assert_eq!((local.addr.to_string().as_str(), local.nearness), ("127.0.0.1:6881", Nearness::Host));
    assert_eq!((local.seeds, local.others, local.refused), (1, 1, 1), "{local:?}");
    assert_eq!(local.said, Said { private: 1, ..Said::default() });
    assert_eq!((local.age, &local.peer_id[..8]), (Duration::ZERO, &b"-XX0000-"[..]), "as it last announced");
    assert_eq!((stranger.addr.to_string().as_str(), stranger.nearness), ("203.0.113.5:6882", Nearness::Remote));
    assert_eq!((stranger.seeds, stranger.others, stranger.refused), (0, 1, 1), "private is private for all");
    scene.announce(remote(), Announce { phase: Phase::Stopped, ..leech(6882) });
    assert_eq!(addresses(&scene, None, 10), ["127.0.0.1:6881"], "who has left is not listed");
    scene.now += crate::tracker::swarm::MEMBER_LIFETIME;
    assert_eq!(addresses(&scene, None, 10).len(), 0, "nor who is silent for long");
}

#[test]
fn pages_follow_each_other_without_a_gap_and_are_no_longer_than_asked() {
    let mut scene = Scene::new(Policy::Always);
    for i in 0..50 {
        scene.announce(client(&format!("203.0.{i}.9:7"), Transport::Udp), Announce { info_hash: id(i), ..leech(6881) });
        scene.announce(
            client(&format!("203.0.{i}.9:7"), Transport::Udp),
            Announce { info_hash: id(i + 1), ..leech(6881) },
        );
    }
    let all = addresses(&scene, None, 1000);
    assert_eq!(all.len(), 50);
    let (mut after, mut seen) = (None, Vec::new());
    loop {
        let page = scene.broker.clients_after(scene.now, after, 7);
        assert!(page.len() <= 7 && page.iter().all(|client| client.others == 2), "{page:?}");
        seen.extend(page.iter().map(|client| client.addr.to_string()));
        let Some(last) = page.last() else { break };
        after = Some(last.addr);
    }
    assert_eq!(seen, all);
}
