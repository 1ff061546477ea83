//! BEP 33, on the wire and over a whole lookup.

use super::*;
use crate::engine::bloom::SwarmFilters;

impl Net {
    fn scraped(&self, op: OpId) -> (SwarmFilters, usize) {
        let found = self.events.iter().find_map(|(_, event)| match event {
            Event::Scraped { op: other, filters, reported } if *other == op => Some((**filters, *reported)),
            _ => None,
        });
        found.expect("the scrape is over")
    }
}

fn peer(number: u32) -> SocketAddr {
    ((100 << 24 | number).to_be_bytes(), 5000).into()
}

#[test]
fn a_thousand_peers_spread_over_eight_nodes_are_counted_within_a_tenth() {
    let mut net = Net::new(30);
    net.run_for(secs(30));
    let mut nodes: Vec<Id> = net.nodes.values().map(|node| *node.id()).collect();
    nodes.sort_by_key(|id| id.distance(&SWARM));
    let now = net.now;
    for node in net.nodes.values_mut() {
        let Some(rank) = nodes[..8].iter().position(|id| *id == *node.id()) else { continue };
        // Each node knows a part that overlaps with its neighbours'; every peer is stored somewhere.
        for number in (0..1000).filter(|number| number % 8 == rank as u32 || number % 5 == 0) {
            node.plant(now, &SWARM, peer(number), number < 400);
        }
    }
    let op = net.node(11).scrape(now, SWARM);
    net.run_for(secs(5));
    let (filters, reported) = net.scraped(op);
    assert_eq!(reported, 8);
    for (estimate, truth) in [(filters.seeds.estimate(), 400.0), (filters.peers.estimate(), 600.0)] {
        assert!((estimate.count - truth).abs() < truth / 10.0, "{estimate:?} of {truth}");
        assert!((estimate.count - truth).abs() < 4.0 * estimate.spread, "{estimate:?} of {truth}");
    }
    assert!(net.done(op, 11).answered >= 8);
}

#[test]
fn a_swarm_without_peers_has_no_filters_and_counts_as_none() {
    let mut net = Net::new(10);
    net.run_for(secs(30));
    let now = net.now;
    let op = net.node(3).scrape(now, SWARM);
    net.run_for(secs(5));
    assert_eq!(net.scraped(op), (SwarmFilters::default(), 0));
}

#[test]
fn the_own_store_counts_too() {
    let mut net = Net::new(1);
    net.run_for(secs(5));
    let now = net.now;
    net.node(0).plant(now, &SWARM, peer(1), true);
    let op = net.node(0).scrape(now, SWARM);
    net.run_for(secs(5));
    assert!((net.scraped(op).0.seeds.estimate().count - 1.0).abs() < 0.01);
}

#[test]
fn a_reply_has_both_filters_and_as_many_values_as_fit() {
    let mut bench = Bench::new(config());
    for index in 0..20 {
        bench.node.table.answered(bench.now, Contact { id: NodeId::new([index; 20]), addr: addr(index) }, DELAY);
    }
    for number in 0..200 {
        bench.node.plant(bench.now, &SWARM, peer(number), number < 50);
    }
    let mut query = b"d1:ad2:id20:abcdefghij01234567899:info_hash20:".to_vec();
    query.extend(SWARM.as_bytes());
    query.extend(b"6:scrapei1ee1:q9:get_peers1:t4:aaaa1:y1:qe");
    let reply = bench.handle("10.9.8.7:4321".parse().unwrap(), &query).remove(0);
    let Kind::Response(response) = Message::decode(&reply).expect("a message").kind else { panic!("no response") };
    assert!(response.filters.seeds.is_some() && response.filters.peers.is_some() && response.token.is_some());
    assert_eq!((response.contacts(Family::V4).count(), response.values.iter().count()), (8, 22));
    assert!((1017..=1024).contains(&reply.len()), "{}", reply.len());
    assert_eq!(bench.node.stats().scrapes, 1);
}

#[test]
fn whoever_scrapes_may_leave_out_seeds() {
    let mut bench = Bench::new(config());
    for number in 0..200 {
        bench.node.plant(bench.now, &SWARM, peer(number), number >= 20);
    }
    let mut query = b"d1:ad2:id20:abcdefghij01234567899:info_hash20:".to_vec();
    query.extend(SWARM.as_bytes());
    query.extend(b"6:noseedi1e6:scrapei1ee1:q9:get_peers1:t4:aaaa1:y1:qe");
    let reply = bench.handle("10.9.8.7:4321".parse().unwrap(), &query).remove(0);
    let Kind::Response(response) = Message::decode(&reply).expect("a message").kind else { panic!("no response") };
    let leechers: Vec<SocketAddr> = (0..20).map(peer).collect();
    let named: Vec<SocketAddr> = response.values.iter().collect();
    assert!(leechers.iter().all(|leecher| named.contains(leecher)), "{named:?}");
}
