//! What changes under a running node.

use super::*;
use crate::engine::contact::Contact;
use crate::engine::id::NodeId;

const HOUR: Duration = Duration::from_hours(1);

fn public(id: Option<NodeId>) -> Config {
    let saved = Snapshot { id, ..Snapshot::default() };
    Config { has_routers: false, cache_ways: 0, saved, ..Config::new(Family::V4) }
}

fn events(node: &mut Node) -> Vec<Event> {
    let mut events = Vec::new();
    loop {
        match node.poll_output() {
            Output::Event(event) => events.push(event),
            Output::Transmit { .. } => {}
            Output::Wait(..) => return events,
        }
    }
}

/// However long the sleep: ages of peers are stored modulo 64 minutes.
#[test]
fn who_wakes_hands_out_no_peer_that_is_older_than_a_peer_may_be() {
    for (age, slept) in [(0, 46), (44, 3), (44, 20), (44, 30), (10, 64), (40, 64), (1, 128), (30, 480), (44, 6000)] {
        let start = Instant::from_secs(100_000);
        let mut node = Node::new(public(None), [1; 32], start);
        let fresh = StoredPeer { info_hash: SWARM, peer: addr(9), seed: false, age: Duration::from_mins(age) };
        node.peers.announce(start, &node.id(), &StoredPeer { peer: ([60, 1, 1, 1], 1).into(), ..fresh });
        // The first input after the sleep is a datagram, before any timer.
        node.handle_datagram(start + Duration::from_mins(slept), ([50, 1, 1, 1], 1).into(), b"rubbish");
        assert_eq!(node.peers().peers(), 0, "{age} minutes old before a sleep of {slept} minutes");
        assert!(events(&mut node).contains(&Event::Woke { slept: Duration::from_mins(slept) }));
    }
}

#[test]
fn who_wakes_keeps_peers_that_are_young_enough() {
    let start = Instant::from_secs(100_000);
    let mut node = Node::new(public(None), [1; 32], start);
    node.plant(start, &SWARM, ([60, 1, 1, 1], 1).into(), false);
    node.handle_timeout(start + Duration::from_mins(30));
    assert_eq!(node.peers().peers(), 1);
}

#[test]
fn a_token_of_before_a_long_sleep_is_worth_nothing() {
    let start = Instant::from_secs(1000);
    let mut node = Node::new(public(None), [1; 32], start);
    let token = node.tokens.give([60, 1, 1, 1].into(), &SWARM);
    let mut accepted_after = |slept: Duration| {
        node.note_time(start + slept);
        node.tokens.accept(&token, [60, 1, 1, 1].into(), &SWARM)
    };
    assert!(accepted_after(Duration::from_mins(1)));
    assert!(!accepted_after(8 * HOUR), "before any timer fires");
}

#[test]
fn tokens_rotate_by_the_clock_however_often_the_node_restarts() {
    let (mut saved, mut now) = (Snapshot::default(), Instant::from_secs(1000));
    let mut first = None;
    // Four restarts, each after four minutes.
    for _ in 0..4 {
        let mut node = Node::new(Config { saved, ..public(None) }, [1; 32], now);
        first = first.or_else(|| Some(node.tokens.give([60, 1, 1, 1].into(), &SWARM)));
        now += Duration::from_mins(4);
        node.handle_timeout(now);
        events(&mut node);
        saved = node.snapshot(now);
    }
    let node = Node::new(Config { saved, ..public(None) }, [1; 32], now);
    let first = first.expect("a token");
    assert!(!node.tokens.accept(&first, [60, 1, 1, 1].into(), &SWARM), "a token of a quarter of an hour ago");
}

#[test]
fn who_has_another_address_has_an_id_that_fits_it_and_asks_for_votes_anew() {
    let now = Instant::from_secs(1000);
    let mut node = Node::new(public(Some([7; 20].into())), [1; 32], now);
    let old: SocketAddr = ([70, 1, 1, 1], 6881).into();
    for voter in 1..=24 {
        node.note_external(now, &([50, voter, 1, 1], 1).into(), old);
    }
    assert_eq!(node.external_addr(), Some(old));
    let (new, key) = ([80u8, 1, 1, 1].into(), SWARM);
    node.plant(now, &key, ([60, 1, 1, 1], 1).into(), false);
    node.moved(now, Some(new));
    assert!(node.id().matches_address(new) && node.external_addr().is_none());
    assert_eq!(node.peers().peers(), 1, "what others stored stays");
    // At once after the move before: this is no vote that somebody may have bought.
    let newer = [90u8, 1, 1, 1].into();
    node.moved(now, Some(newer));
    assert!(node.id().matches_address(newer));
}

#[test]
fn in_a_private_network_no_neighbours_and_no_move_change_the_id() {
    let now = Instant::from_secs(1000);
    let mut node = Node::new(config(), [1; 32], now);
    let id = *node.id();
    for voter in 1..=50 {
        node.note_external(now, &addr(voter), ([80, 1, 1, 1], 6881).into());
    }
    node.moved(now, Some([90u8, 1, 1, 1].into()));
    assert_eq!(*node.id(), id);
}

/// The data folder of one was copied to the other.
#[test]
fn two_nodes_with_one_id_notice_it_and_part() {
    let mut net = Net::new(6);
    let id = net.node(3).id();
    let saved = Snapshot { id: Some(id), ..Snapshot::default() };
    net.spawn(100, Config { saved, ..config() });
    net.run_for(Duration::from_mins(30));
    let (first, second) = (*net.node(3).id(), *net.node(100).id());
    assert_ne!(first, second);
    let told = net.events.iter().filter(|(_, event)| matches!(event, Event::IdTaken { .. })).count();
    assert!((1..=2).contains(&told), "{told}");
}

#[test]
fn a_stranger_whose_address_our_id_does_not_fit_cannot_make_us_change_it() {
    let now = Instant::from_secs(1000);
    let mut node = Node::new(public(Some([7; 20].into())), [1; 32], now);
    node.note_namesake(now, ([50, 1, 1, 1], 1).into());
    assert_eq!(*node.id(), Id([7; 20]));
    let fitting = Id::for_address([50, 1, 1, 1].into(), &mut Random::new([3; 32]));
    let mut node = Node::new(public(Some(NodeId(fitting))), [1; 32], now);
    node.note_namesake(now, ([50, 1, 1, 1], 1).into());
    assert_ne!(*node.id(), fitting);
}

/// A node that asks itself, by an address at which others know it, hears nothing, and least of all that its id is taken.
#[test]
fn a_node_that_meets_itself_stays_as_it_is() {
    let mut net = Net::new(4);
    net.run_for(secs(60));
    let id = *net.node(2).id();
    let now = net.now;
    net.node(2).query(now, addr(2), None, secs(2), Purpose::Check, &crate::engine::krpc::encode::Ask::Ping);
    net.run_for(secs(10));
    assert_eq!(*net.node(2).id(), id);
    assert!(!net.node(2).entries().any(|entry| entry.contact == Contact { id: NodeId(id), addr: addr(2) }));
}
