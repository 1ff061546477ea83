//! Counting the seeds and peers of a swarm (BEP 33).
//!
//! A whole lookup asks for filters (`get_peers` with `scrape`), and those of the [`K`] closest nodes that sent some are
//! united with what we store ourselves. What a node sends is believed only if it can be true: neither filter has nearly
//! every bit set, every peer that came with the filters is in one of them, and they do not count many times what the other
//! nodes do. The peers of nodes that know no filters count as peers, unless a filter of seeds has them.

use std::collections::BTreeSet;
use std::net::IpAddr;

use super::super::Node;
use super::super::event::{Event, OpId, Summary};
use super::goal::Goal;
use crate::engine::bloom::{Filter, SwarmFilters};
use crate::engine::contact::Contact;
use crate::engine::id::{Id, InfoHash, NodeId};
use crate::engine::krpc::Response;
use crate::engine::krpc::encode::Ask;
use crate::engine::limits::{K, PEERS_PER_LOOKUP};
use crate::engine::time::Instant;

/// Largest believable size of a swarm at one node, in medians of what the other nodes count ...
const MOST_MEDIANS: f64 = 4.0;
/// ... plus this many peers. Nodes that are new to the neighbourhood know less than the others.
const MORE_THAN_MEDIANS: f64 = 32.0;

/// A scrape, and what it has counted.
#[derive(Clone, Debug, Default)]
pub(in crate::engine::node) struct Scrape {
    /// What we store ourselves.
    own: Box<SwarmFilters>,
    /// The filters of the closest nodes that sent some which can be believed, closest first.
    reports: Vec<(NodeId, SwarmFilters)>,
    /// Addresses from nodes that sent no filters: seeds or not, they do not say.
    unsorted: BTreeSet<IpAddr>,
}

impl Goal for Scrape {
    fn name(&self) -> &'static str {
        "scrape"
    }

    fn query(&self, target: Id) -> Ask<'static> {
        Ask::Scrape(InfoHash(target))
    }

    fn is_keyed(&self) -> bool {
        true
    }

    fn hear(&mut self, _op: OpId, target: &Id, _from: Contact, response: &Response<'_>) -> Option<Event> {
        self.add(target, response);
        None
    }

    fn end(&mut self, node: &mut Node, _now: Instant, op: OpId, _target: Id, summary: Summary) {
        let (filters, reported) = std::mem::take(self).total();
        node.events.push_back(Event::Scraped { op, filters: Box::new(filters), reported });
        node.events.push_back(Event::Done { op, summary });
    }
}

impl Node {
    pub(in crate::engine::node) fn begin_scrape(&mut self, now: Instant, info_hash: InfoHash) -> OpId {
        let scrape = self.new_scrape(&info_hash);
        let op = self.open(now, *info_hash, scrape);
        self.drive(now, op);
        op
    }

    /// A scrape that has heard no other node.
    pub(super) fn new_scrape(&mut self, info_hash: &InfoHash) -> Scrape {
        Scrape { own: Box::new(self.peers.filters(info_hash).unwrap_or_default()), ..Scrape::default() }
    }
}

impl Scrape {
    /// Adds what a node says.
    pub(super) fn add(&mut self, target: &Id, response: &Response<'_>) {
        match believable(response) {
            Some(filters) => self.note(target, response.id, filters),
            None if response.filters.seeds.is_none() && response.filters.peers.is_none() => {
                let room = PEERS_PER_LOOKUP.saturating_sub(self.unsorted.len());
                self.unsorted.extend(response.values.iter().map(|peer| peer.ip()).take(room));
            }
            None => {}
        }
    }

    fn note(&mut self, target: &Id, by: NodeId, filters: SwarmFilters) {
        // An operation that is tried once more may ask a node again.
        self.reports.retain(|(other, _)| *other != by);
        let place = self.reports.partition_point(|(other, _)| target.closer(other, &by).is_lt());
        self.reports.insert(place, (by, filters));
        self.reports.truncate(K);
    }

    /// The filters of all nodes and our own, united, and how many nodes counted.
    pub(super) fn total(self) -> (SwarmFilters, usize) {
        let sizes: Vec<f64> = self.reports.iter().map(|(_, filters)| filters.count()).collect();
        let (mut total, mut reported) = (*self.own, 0);
        for (place, (_, filters)) in self.reports.iter().enumerate() {
            if is_plausible(&sizes, place) {
                total.unite(filters);
                reported += 1;
            }
        }
        for ip in self.unsorted {
            if !total.seeds.may_contain(ip) {
                total.peers.insert(ip);
            }
        }
        (total, reported)
    }
}

/// Whether the size at `place` is in proportion to the others: one node must not make a swarm of three one of thousands.
fn is_plausible(sizes: &[f64], place: usize) -> bool {
    let mut others = [&sizes[..place], &sizes[place + 1..]].concat();
    others.sort_by(f64::total_cmp);
    let median = others.get(others.len() / 2);
    median.is_none_or(|median| sizes[place] <= MOST_MEDIANS * median + MORE_THAN_MEDIANS)
}

/// The filters of a response, unless they cannot be true.
pub(super) fn believable(response: &Response<'_>) -> Option<SwarmFilters> {
    if response.filters.seeds.is_none() && response.filters.peers.is_none() {
        return None;
    }
    let filter = |bytes: Option<&[u8; 256]>| bytes.map_or_else(Filter::default, |bytes| Filter::from_bytes(*bytes));
    let filters = SwarmFilters { seeds: filter(response.filters.seeds), peers: filter(response.filters.peers) };
    let consistent = || response.values.iter().all(|peer| filters.may_contain(peer.ip()));
    (!filters.is_saturated() && consistent()).then_some(filters)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::engine::krpc::{Kind, Message};

    fn count(responses: &[Vec<u8>]) -> (SwarmFilters, usize) {
        let mut count = Scrape::default();
        for (index, bytes) in responses.iter().enumerate() {
            let Kind::Response(response) = Message::decode(bytes).expect("a message").kind else {
                panic!("no response")
            };
            count.add(&Id::ZERO, &Response { id: NodeId::new([index as u8; 20]), ..response });
        }
        count.total()
    }

    fn response(filters: Option<&SwarmFilters>, values: &str) -> Vec<u8> {
        let mut bytes = b"d1:rd".to_vec();
        if let Some(filters) = filters {
            bytes.extend(b"4:BFpe256:");
            bytes.extend(filters.peers.as_bytes());
            bytes.extend(b"4:BFsd256:");
            bytes.extend(filters.seeds.as_bytes());
        }
        bytes.extend(format!("2:id20:abcdefghij01234567896:valuesl{values}ee1:t2:aa1:y1:re").as_bytes());
        bytes
    }

    fn filters(seeds: &[u8], peers: &[u8]) -> SwarmFilters {
        let mut filters = SwarmFilters::default();
        seeds.iter().for_each(|&last| filters.insert([97, 98, 99, last].into(), true));
        peers.iter().for_each(|&last| filters.insert([97, 98, 99, last].into(), false));
        filters
    }

    #[test]
    fn filters_of_several_nodes_are_united() {
        let (one, two) = (filters(&[1, 2], &[3]), filters(&[2], &[3, 4]));
        assert_eq!(count(&[response(Some(&one), ""), response(Some(&two), "")]), (filters(&[1, 2], &[3, 4]), 2));
    }

    #[test]
    fn filters_that_say_nothing_or_contradict_their_values_are_not_believed() {
        let full = SwarmFilters { peers: Filter::from_bytes([0xff; 256]), ..SwarmFilters::default() };
        assert_eq!(count(&[response(Some(&full), "")]), (SwarmFilters::default(), 0));
        let known = filters(b"d", &[]);
        assert_eq!(count(&[response(Some(&known), "6:abcdxx")]), (known, 1));
        assert_eq!(count(&[response(Some(&known), "6:abcdxx6:zzzzxx")]), (SwarmFilters::default(), 0));
    }

    #[test]
    fn one_node_does_not_make_a_small_swarm_a_large_one() {
        // As many bits as can be set without the filter saying nothing.
        let mut bytes = [0xff; 256];
        bytes[0] = 0b11;
        let many = Filter::from_bytes(bytes);
        assert!(!many.is_saturated() && many.estimate().count > 5000.0);
        let lie = response(Some(&SwarmFilters { seeds: many, peers: many }), "");
        let truth = filters(&[1, 2], &[3]);
        let honest = || response(Some(&truth), "");
        assert_eq!(count(&[lie.clone(), honest(), honest()]), (truth, 2), "also as the closest");
        assert_eq!(count(&[honest(), lie.clone()]), (truth, 1));
        let eight = (0..8).map(|_| honest());
        assert_eq!(count(&eight.chain([response(Some(&filters(&[9], &[])), "")]).collect::<Vec<_>>()), (truth, 8));
    }

    #[test]
    fn nodes_that_know_less_than_others_make_no_swarm_smaller() {
        let (few, all) = (filters(&[1, 2], &[3]), filters(&(0..30).collect::<Vec<u8>>(), &[]));
        let total = count(&[response(Some(&few), ""), response(Some(&all), ""), response(Some(&few), "")]);
        let mut union = all;
        union.unite(&few);
        assert_eq!(total, (union, 3));
    }

    #[test]
    fn peers_of_nodes_without_filters_count_unless_they_are_known_seeds() {
        let known = filters(b"d", &[]);
        let (total, reported) = count(&[response(None, "6:abcdxx6:abceyy6:abcezz"), response(Some(&known), "")]);
        assert_eq!((total, reported), (filters(b"d", b"e"), 1));
    }
}
