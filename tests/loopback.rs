//! Real nodes on real sockets in one process: fifty of them, both families, and a restart in the middle.
#![cfg(feature = "net")]

use std::collections::BTreeSet;
use std::net::SocketAddr;
use std::time::Duration;

use trackerless::dht::Dht;
use trackerless::engine::id::{InfoHash, NodeId};
use trackerless::engine::krpc::{Kind, Message};

/// Only turns a hang into a failure; nothing here depends on how long anything takes.
const HANG: Duration = Duration::from_secs(120);

/// Each test has an address of its own. A port that one test gives back may be given to another at once, whose node
/// would then hear from the friends of its predecessor, and the two networks would be one.
fn own(test: u8) -> SocketAddr {
    ([127, 0, 77, test], 0).into()
}

async fn network(size: usize, any: SocketAddr) -> Vec<Dht> {
    let mut nodes: Vec<Dht> = Vec::new();
    for _ in 0..size {
        let routers: Vec<String> = nodes.first().map(|first| first.local_addrs()[0].to_string()).into_iter().collect();
        let node = Dht::builder().private_network(true).bind(any).bootstrap(routers).start().await.expect("a node");
        node.bootstrapped().await;
        nodes.push(node);
    }
    nodes
}

fn swarm(index: usize) -> InfoHash {
    let mut bytes = [index as u8 * 5; 20];
    bytes[19] = 7;
    InfoHash::from(bytes)
}

/// Every tenth node announces an infohash of its own; every node must find each of them.
async fn every_announce_is_found_from_every_node(any: SocketAddr) {
    let nodes = network(50, any).await;
    for (index, node) in nodes.iter().enumerate().step_by(10) {
        let announced = node.announce(swarm(index), 10_000 + index as u16, false).await;
        assert_eq!(announced.stored_at.len(), 8, "node {index} stores with the eight closest");
    }
    for (who, node) in nodes.iter().enumerate() {
        for index in (0..50).step_by(10) {
            let expected = SocketAddr::new(any.ip(), 10_000 + index as u16);
            let mut peers = node.find_peers(swarm(index)).await;
            assert_eq!(peers.next().await, Some(expected), "node {who} looks for the swarm of node {index}");
        }
    }
}

fn run(test: impl Future<Output = ()>) {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
    runtime.block_on(async { tokio::time::timeout(HANG, test).await.expect("it hangs") });
}

#[test]
fn fifty_nodes_over_ipv4() {
    run(every_announce_is_found_from_every_node(own(1)));
}

#[test]
fn fifty_nodes_over_ipv6() {
    let any: SocketAddr = "[::1]:0".parse().unwrap();
    if let Err(error) = std::net::UdpSocket::bind(any) {
        assert!(std::env::var_os("CI").is_none(), "CI needs IPv6 on loopback: {error}");
        println!("skipped: this host has no ::1 ({error}); sysctl -w net.ipv6.conf.lo.disable_ipv6=0 gives it one");
        return;
    }
    run(every_announce_is_found_from_every_node(any));
}

#[test]
fn a_restart_in_the_middle_keeps_peers_id_port_and_contacts() {
    run(async {
        let nodes = network(10, own(2)).await;
        let folder = tempfile::tempdir().expect("a folder");
        let router = nodes[0].local_addrs()[0].to_string();
        let start = || {
            let any = own(2);
            let builder = Dht::builder().private_network(true).bind(any).bootstrap([router.clone()]);
            async { builder.data_dir(folder.path()).start().await.expect("a node") }
        };
        let node = start().await;
        node.bootstrapped().await;
        nodes[3].announce(swarm(1), 4242, true).await;
        // An infohash next to the node's own id: it is certainly among the eight closest.
        let mut nearby = *node.status().await[0].id;
        nearby.0[19] ^= 1;
        let nearby = InfoHash(nearby);
        nodes[5].announce(nearby, 777, false).await;
        let before = node.snapshot().await.nodes.remove(0);
        node.shutdown().await.expect("saved");
        drop(node);

        let node = start().await;
        assert_eq!(node.local_addrs()[0], before.bound, "the port is kept");
        let after = node.snapshot().await.nodes.remove(0);
        assert_eq!((after.snapshot.id, after.snapshot.secrets), (before.snapshot.id, before.snapshot.secrets));
        let peers = |saved: &trackerless::net::persist::SavedNode| {
            saved
                .snapshot
                .peers
                .iter()
                .map(|stored| (stored.info_hash, stored.peer, stored.seed))
                .collect::<BTreeSet<_>>()
        };
        assert!(peers(&before).contains(&(nearby, SocketAddr::new(own(2).ip(), 777), false)));
        assert_eq!(peers(&after), peers(&before));
        // One more may have answered between the snapshot and the shutdown.
        assert!(node.restored_contacts() >= before.snapshot.contacts.len());
        node.bootstrapped().await;
        assert_eq!(node.find_peers(swarm(1)).await.next().await, Some(SocketAddr::new(own(2).ip(), 4242)));
    });
}

#[test]
fn whoever_saves_after_the_shutdown_does_not_wipe_the_state() {
    run(async {
        let folder = tempfile::tempdir().expect("a folder");
        let any = own(3);
        let start = || Dht::builder().private_network(true).bind(any).data_dir(folder.path()).start();
        let node = start().await.expect("a node");
        let id = node.status().await[0].id;
        node.shutdown().await.expect("saved");
        node.save().await.expect("nothing to do");
        drop(node);
        assert_eq!(start().await.expect("a node").status().await[0].id, id);
    });
}

#[test]
fn a_shutdown_that_is_given_up_loses_no_node() {
    run(async {
        let folder = tempfile::tempdir().expect("a folder");
        let any = own(4);
        let start = || Dht::builder().private_network(true).bind(any).bind(any).data_dir(folder.path()).start();
        let mut before: Option<Vec<NodeId>> = None;
        for polls in 0..20 {
            let nodes = start().await.expect("two nodes");
            let ids: Vec<NodeId> = nodes.status().await.iter().map(|node| node.id).collect();
            assert_eq!(*before.get_or_insert_with(|| ids.clone()), ids, "after a shutdown of {polls} polls");
            let mut shutdown = Box::pin(nodes.shutdown());
            for _ in 0..polls {
                tokio::select! {
                    biased;
                    _ = &mut shutdown => break,
                    () = tokio::task::yield_now() => {}
                }
            }
            drop(shutdown);
            nodes.shutdown().await.expect("saved");
        }
    });
}

#[test]
fn nodes_that_were_asked_for_alike_each_keep_their_own_identity() {
    run(async {
        let folder = tempfile::tempdir().expect("a folder");
        let any = own(5);
        let start = || Dht::builder().private_network(true).bind(any).bind(any).data_dir(folder.path()).start();
        let identities = async |nodes: &Dht| -> Vec<(SocketAddr, NodeId)> {
            nodes.status().await.iter().map(|node| (node.local_addr, node.id)).collect()
        };
        let nodes = start().await.expect("two nodes");
        let before = identities(&nodes).await;
        nodes.shutdown().await.expect("saved");
        drop(nodes);
        let nodes = start().await.expect("two nodes");
        assert_eq!(identities(&nodes).await, before);
    });
}

/// BEP 45: an id of its own, answers from the address that was asked, tokens that only its own address takes back.
#[test]
fn each_address_is_a_node_of_its_own() {
    run(async {
        let [first, second] = [own(6), own(7)];
        let nodes = Dht::builder().private_network(true).bind(first).bind(second).start().await.expect("two nodes");
        let asker = tokio::net::UdpSocket::bind("127.0.0.3:0").await.expect("a socket");
        let mut seen = Vec::new();
        for node in nodes.status().await {
            let get_peers =
                b"d1:ad2:id20:abcdefghij01234567899:info_hash20:mnopqrstuvwxyz123456e1:q9:get_peers1:t2:aa1:y1:qe";
            asker.send_to(get_peers, node.local_addr).await.expect("sent");
            let mut buffer = [0; 2048];
            let (length, from) = loop {
                // A node may also ask us whether we are there.
                let (length, from) = asker.recv_from(&mut buffer).await.expect("received");
                if buffer[..length].ends_with(b"1:y1:re") {
                    break (length, from);
                }
            };
            assert_eq!(from, node.local_addr, "from the address that was asked");
            let Ok(Message { kind: Kind::Response(response), .. }) = Message::decode(&buffer[..length]) else {
                panic!("no response")
            };
            assert_eq!(response.id, node.id);
            seen.push((response.id, response.token.expect("a token").to_vec()));
        }
        assert!(seen[0].0 != seen[1].0 && seen[0].1 != seen[1].1, "{seen:?}");
    });
}

#[test]
fn a_dropped_stream_cancels_its_lookup() {
    run(async {
        let nodes = network(3, own(8)).await;
        for index in 0..2000 {
            drop(nodes[1].find_peers(swarm(index % 50)).await);
        }
        // The node has room for 512 operations; had the dropped ones stayed, this one would not get its turn.
        nodes[2].announce(swarm(1), 99, false).await;
        assert_eq!(nodes[1].find_peers(swarm(1)).await.next().await, Some(SocketAddr::new(own(8).ip(), 99)));
    });
}

#[test]
fn saves_that_are_given_up_do_not_meet_the_last_one() {
    run(async {
        let folder = tempfile::tempdir().expect("a folder");
        let builder = Dht::builder().private_network(true).bind(own(9));
        let node = builder.data_dir(folder.path()).start().await.expect("a node");
        for _ in 0..50 {
            // Polled once, so that the write may have begun, then dropped.
            let mut save = std::pin::pin!(node.save());
            tokio::select! {
                biased;
                _ = &mut save => {}
                () = tokio::task::yield_now() => {}
            }
        }
        node.shutdown().await.expect("saved");
        assert!(matches!(
            trackerless::net::persist::look(folder.path()),
            Ok(trackerless::net::persist::Found::State(_))
        ));
    });
}

/// The gateway's own words for what the DHT says: a client here, announced through one node, is counted by another.
#[cfg(feature = "gateway")]
#[test]
fn a_scrape_at_one_node_counts_a_client_of_another() {
    use trackerless::tracker::broker::Policy;
    use trackerless::tracker::server::{Directory as _, Gateway, Settings};

    run(async {
        let any = own(10);
        let nodes = network(4, any).await;
        let stored = nodes[1].announce(swarm(3), 6881, true).await.stored_at.len();
        assert!(stored > 0);
        let settings = Settings { policy: Policy::Always, ..Settings::default() };
        let gateway = Gateway::bind(any, settings, nodes[3].clone(), [9; 32]).await.expect("a gateway");
        let addr = gateway.local_addr();
        nodes[3].joined().await;
        let client = async {
            let query: String = swarm(3).as_bytes().iter().map(|byte| format!("%{byte:02x}")).collect();
            loop {
                let body = get(addr, &format!("/scrape?info_hash={query}")).await;
                // The gateway may be asked before it has heard that the DHT is ready: it knows nothing then.
                if body.contains("d5:filesd20:") {
                    return body;
                }
                tokio::task::yield_now().await;
            }
        };
        let body = tokio::select! {
            () = gateway.run() => unreachable!("a gateway serves for ever"),
            body = client => body,
        };
        assert!(body.contains("d8:completei1e10:downloadedi0e10:incompletei0ee"), "{body}");
    });
}

#[cfg(feature = "gateway")]
async fn get(addr: SocketAddr, path: &str) -> String {
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

    let mut stream = tokio::net::TcpStream::connect(addr).await.expect("a connection");
    stream.write_all(format!("GET {path} HTTP/1.0\r\n\r\n").as_bytes()).await.expect("a request");
    let mut response = Vec::new();
    stream.read_to_end(&mut response).await.expect("a response");
    String::from_utf8_lossy(&response).into_owned()
}

/// The identity of an address outlives a run on another one; the state of an address moves with its port.
#[test]
fn another_address_once_costs_no_identity() {
    run(async {
        let folder = tempfile::tempdir().expect("a folder");
        let once = async |addrs: &[SocketAddr]| -> Vec<NodeId> {
            let builder = Dht::builder().private_network(true).data_dir(folder.path());
            let nodes = addrs.iter().fold(builder, |builder, addr| builder.bind(*addr)).start().await.expect("nodes");
            let ids = nodes.status().await.iter().map(|node| node.id).collect();
            nodes.shutdown().await.expect("saved");
            ids
        };
        let before = once(&[own(11), own(12)]).await;
        let other = once(&[own(13)]).await;
        assert!(!before.contains(&other[0]));
        assert_eq!(once(&[own(12), own(11)]).await, [before[1], before[0]]);
        assert_eq!(once(&[own(13)]).await, other);
        let free = std::net::UdpSocket::bind(own(11)).expect("a port").local_addr().expect("its number");
        assert_eq!(once(&[free]).await, before[..1], "another port of the same address");
    });
}

/// Eight hours pass while the runtime's timers stand still, as when the lid of a laptop is closed.
#[test]
fn a_host_that_slept_hands_out_nothing_stale_and_wants_announces_again() {
    run(async {
        let clock = trackerless::net::clock::Clock::new();
        let sleeper = Dht::builder().private_network(true).bind(own(14)).clock(clock.clone());
        let sleeper = sleeper.start().await.expect("a node");
        let router = sleeper.local_addrs()[0].to_string();
        let other = Dht::builder().private_network(true).bind(own(15)).bootstrap([router]);
        let other = other.start().await.expect("a node");
        other.bootstrapped().await;
        assert_eq!(other.announce(swarm(1), 4242, false).await.stored_at.len(), 1);
        assert_eq!(sleeper.status().await[0].peers, 1);
        let mut again = sleeper.announce_again();
        clock.sleep_through(Duration::from_hours(8));
        again.changed().await.expect("the node runs");
        assert_eq!(sleeper.status().await[0].peers, 0);
        assert_eq!(other.announce(swarm(1), 4242, false).await.stored_at.len(), 1, "with a new token");
    });
}

#[test]
fn what_goes_through_the_sockets_is_part_of_the_status() {
    run(async {
        let nodes = network(2, own(16)).await;
        let status = nodes[0].status().await.remove(0);
        assert!(status.datagrams.received > 0 && status.datagrams.sent > 0, "{:?}", status.datagrams);
        let long = vec![b'x'; trackerless::net::socket::MAX_DATAGRAM + 1];
        let sender = tokio::net::UdpSocket::bind(own(17)).await.expect("a socket");
        sender.send_to(&long, status.local_addr).await.expect("sent");
        while nodes[0].status().await[0].datagrams.truncated == 0 {
            tokio::task::yield_now().await;
        }
    });
}

/// A host with several addresses, and a node on the wildcard. The portable socket is not told which of them was asked.
#[cfg(all(target_os = "linux", not(feature = "portable-udp")))]
#[test]
fn a_node_on_the_wildcard_answers_from_the_address_that_was_asked() {
    run(async {
        let node = Dht::builder().private_network(true).bind(([0, 0, 0, 0], 0).into()).start().await.expect("a node");
        let port = node.local_addrs()[0].port();
        for last in [1, 2, 200] {
            let asker = tokio::net::UdpSocket::bind("127.0.0.1:0").await.expect("a socket");
            // Connected: what comes from another address is not seen.
            asker.connect(SocketAddr::from(([127, 0, 99, last], port))).await.expect("connected");
            asker.send(b"d1:ad2:id20:abcdefghij0123456789e1:q4:ping1:t2:aa1:y1:qe").await.expect("sent");
            let mut buffer = [0; 2048];
            let length = asker.recv(&mut buffer).await.expect("an answer");
            assert!(buffer[..length].ends_with(b"1:y1:re") || buffer[..length].ends_with(b"1:y1:qe"));
        }
    });
}
