//! Announces that begin with the nodes that stored them before.

use std::sync::Arc;

use super::*;
use crate::engine::krpc::encode::VERSION;
use crate::engine::limits::K;
use crate::engine::node::Holder;

const PORT: u16 = 4000;

/// Who stored what `op` of the node `index` announced.
fn holders(net: &Net, op: OpId, index: u8) -> Vec<Contact> {
    let stored = |(who, event): &(SocketAddr, Event)| match event {
        Event::Stored { op: other, at, version } if *other == op && *who == addr(index) => {
            assert_eq!(version[..], VERSION);
            Some(*at)
        }
        _ => None,
    };
    net.events.iter().filter_map(stored).collect()
}

/// Announces from the node 1 with these holders, the first `held` of which are not asked. Who stored it, and how many
/// queries were sent.
fn announce(net: &mut Net, holders_before: &[Contact], held: usize) -> (Vec<Contact>, usize) {
    let holder = |(place, contact): (usize, &Contact)| Holder { contact: *contact, is_held: place < held };
    let remembered: Arc<[Holder]> = holders_before.iter().enumerate().map(holder).collect();
    let now = net.now;
    let op = net.node(1).renew_announce(now, SWARM, PORT, true, remembered);
    net.run_for(secs(10));
    let asked = net.done(op, 1).asked;
    (holders(net, op, 1), asked)
}

fn settled(size: u8) -> Net {
    let mut net = Net::new(size);
    net.run_for(secs(60));
    net
}

#[test]
fn a_renewal_costs_two_queries_for_each_holder_and_nothing_for_those_that_are_held() {
    let mut net = settled(40);
    let (first, _) = announce(&mut net, &[], 0);
    assert_eq!(first.len(), K);
    let (mut again, asked) = announce(&mut net, &first, 0);
    let mut sorted = first.clone();
    sorted.sort_by_key(|contact| contact.addr);
    again.sort_by_key(|contact| contact.addr);
    assert_eq!((again, asked), (sorted, 2 * K));
    let (third, asked) = announce(&mut net, &first, 5);
    assert_eq!((third.len(), asked), (3, 6));
    let announces: Vec<_> = net.node(1).own_announces(Instant::from_secs(600)).map(|known| known.stored).collect();
    assert_eq!(announces, [K], "those that are held count");
}

#[test]
fn a_renewal_counts_the_swarm_on_its_way() {
    let mut net = settled(20);
    let (first, _) = announce(&mut net, &[], 0);
    announce(&mut net, &first, 0);
    let counted = net.events.iter().rev().find_map(|(_, event)| match event {
        Event::Scraped { filters, reported, .. } => Some((filters.seeds.estimate().count.round(), *reported)),
        _ => None,
    });
    assert_eq!(counted, Some((1.0, K)));
}

#[test]
fn another_takes_the_place_of_a_holder_that_is_gone() {
    let mut net = settled(40);
    let (first, _) = announce(&mut net, &[], 0);
    for gone in &first[..2] {
        net.nodes.remove(&gone.addr);
    }
    let (second, asked) = announce(&mut net, &first, 0);
    assert_eq!(second.len(), K);
    assert!(second.iter().all(|holder| !first[..2].contains(holder)));
    assert!(asked <= 2 * K + 8, "{asked} queries");
}

#[test]
fn all_holders_gone_at_once_are_replaced() {
    let mut net = settled(40);
    let (first, _) = announce(&mut net, &[], 0);
    for gone in &first {
        net.nodes.remove(&gone.addr);
    }
    let (second, _) = announce(&mut net, &first, 0);
    assert_eq!(second.len(), K);
}

#[test]
fn holders_of_another_family_and_nonsense_are_passed_over() {
    let mut net = settled(20);
    let strange = |addr: &str| Contact { id: NodeId(*SWARM), addr: addr.parse().unwrap() };
    let (stored, _) = announce(&mut net, &[strange("[2001:db8::1]:1"), strange("10.9.9.9:0")], 1);
    assert_eq!(stored.len(), K);
}
