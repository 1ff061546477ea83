//! The handle and its task, with real nodes on this host.

use std::time::Duration;

use tokio::sync::{broadcast, watch as channel};
use tokio::time::timeout;

use super::store::{MemoryStore, SqliteStore, WatchList, Watched};
use super::view::State;
use super::*;
use crate::dht::Dht;
use crate::engine::id::InfoHash;
use crate::net::clock::Clock;

/// Longest wait for anything that must happen.
const LONG: Duration = Duration::from_secs(60);

fn hash(number: u8) -> InfoHash {
    InfoHash::new([number; 20])
}

/// A network of this many nodes, the first of which everyone joins through.
async fn network(count: usize) -> Vec<Dht> {
    let mut nodes = Vec::new();
    for _ in 0..count {
        nodes.push(node(&nodes, Clock::new()).await);
    }
    nodes
}

async fn node(others: &[Dht], clock: Clock) -> Dht {
    let routers = others.first().map(|first| first.local_addrs()[0].to_string());
    let builder = Dht::builder().private_network(true).bind(([127, 0, 83, 1], 0).into()).bootstrap(routers);
    let dht = builder.clock(clock).start().await.expect("a node");
    dht.bootstrapped().await;
    dht
}

fn settings(clock: &Clock) -> Settings {
    Settings { port: Some(6881), new_destinations_per_second: 1000, clock: clock.clone(), ..Settings::default() }
}

/// Waits until all are in this state.
async fn wait_for(announcer: &Announcer, news: &mut broadcast::Receiver<News>, state: State, count: usize) {
    let reached = async {
        while announcer.totals().states.get(&state).copied().unwrap_or(0) != count {
            // Behind by too many news is news too.
            let _ = news.recv().await;
        }
    };
    let reached = timeout(LONG, reached).await;
    assert!(reached.is_ok(), "not {count} {}: {:?}", state.name(), announcer.totals());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_added_becomes_visible_and_a_restart_knows_it() {
    let (nodes, clock) = (network(10).await, Clock::new());
    let (own, witness) = (node(&nodes, clock.clone()).await, node(&nodes, clock.clone()).await);
    let folder = tempfile::tempdir().unwrap();
    let store = || SqliteStore::open(folder.path()).unwrap().store;
    let announcer = Announcer::start(own.clone(), store(), settings(&clock)).await.unwrap();
    announcer.set_witness(witness);
    let mut news = announcer.subscribe();
    for number in 0..20 {
        announcer.add(hash(number), Some("a name"), None, true).unwrap();
    }
    wait_for(&announcer, &mut news, State::Stored, 20).await;
    // The first look comes within seconds.
    clock.sleep_through(Duration::from_secs(15));
    wait_for(&announcer, &mut news, State::Visible, 20).await;
    let known = announcer.announcement(hash(3)).unwrap();
    assert_eq!((known.stored_at, known.seen_as.unwrap().port()), (8, 6881));
    assert!(announcer.remove(hash(19)) && !announcer.remove(hash(19)));
    announcer.shutdown().await;

    let again = Announcer::start(own, store(), settings(&clock)).await.unwrap();
    let totals = again.totals();
    assert_eq!(totals.states.get(&State::Visible), Some(&19), "{totals:?}");
    assert_eq!((totals.behind, totals.counters.announces), (0, 0), "nothing before its time");
    assert!(again.patch(hash(1), Patch { paused: Some(true), ..Patch::default() }));
    assert_eq!(again.announcement(hash(1)).unwrap().state, State::Paused);
    // Eight hours later everything is overdue, and is caught up with.
    let mut news = again.subscribe();
    clock.sleep_through(Duration::from_hours(8));
    let announced = async {
        while again.totals().counters.stored < 18 * 8 {
            let _ = news.recv().await;
        }
    };
    timeout(LONG, announced).await.expect("all are announced again");
    again.shutdown().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_folder_and_the_list_of_commands_are_followed() {
    let nodes = network(3).await;
    let (data, torrents) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let opened = SqliteStore::open(data.path()).unwrap();
    let announcer = Announcer::start(nodes[1].clone(), opened.store, settings(&Clock::new())).await.unwrap();
    let mut news = announcer.subscribe();
    let fixed = vec![Watched::new(torrents.path().to_str().unwrap()).unwrap()];
    let watching = watch(announcer.clone(), channel::channel(fixed).1, Some(WatchList::open(data.path()).unwrap()));
    let change = async {
        let file = |name: &str| torrents.path().join(format!("{name}.torrent"));
        let bytes = |name: &str| {
            format!("d4:infod6:lengthi1e4:name1:{name}12:piece lengthi16384e6:pieces20:01234567890123456789ee")
        };
        std::fs::write(file("a"), bytes("a")).unwrap();
        std::fs::write(file("b"), bytes("b")).unwrap();
        wait_for(&announcer, &mut news, State::Stored, 2).await;
        std::fs::remove_file(file("a")).unwrap();
        wait_for(&announcer, &mut news, State::Stored, 1).await;
        let commands = WatchList::open(data.path()).unwrap();
        assert!(commands.add(&Watched::new(&"c".repeat(40)).unwrap()).unwrap());
        wait_for(&announcer, &mut news, State::Stored, 2).await;
        assert!(commands.remove(&"c".repeat(40)).unwrap());
        let gone = async {
            while announcer.totals().infohashes() > 1 {
                tokio::task::yield_now().await;
            }
        };
        timeout(LONG, gone).await.expect("it is no longer announced");
    };
    tokio::select! {
        () = watching => unreachable!("it watches for ever"),
        () = change => {}
    }
    announcer.shutdown().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_maximum_holds_and_the_last_handle_ends_the_task() {
    let nodes = network(2).await;
    let store = MemoryStore::default();
    let settings = Settings { max: 2, ..settings(&Clock::new()) };
    let announcer = Announcer::start(nodes[1].clone(), store.clone(), settings.clone()).await.unwrap();
    announcer.add(hash(1), None, None, true).unwrap();
    announcer.add(hash(2), None, None, true).unwrap();
    assert_eq!(announcer.add(hash(3), None, None, true), Err(Full(2)));
    announcer.add(hash(2), None, Some(9), false).expect("a known one is changed");
    announcer.shutdown().await;
    drop(announcer);
    let again = Announcer::start(nodes[1].clone(), store, settings).await.unwrap();
    assert_eq!(again.announcements(None, 10, |_| true).len(), 2);
    assert_eq!(again.announcement(hash(2)).unwrap().port, Some(9));
}
