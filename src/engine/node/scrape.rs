//! How many seeds and peers a swarm has (BEP 33): asked by a lookup, answered from the store.
//!
//! As the asker: the filters of all nodes of the lookup are united. What a node sends is believed only if it can be
//! true: neither filter says nothing because nearly every bit is set, and every peer that came with the filters is in
//! one of them. The peers of nodes that know no filters count as peers unless a filter of seeds has them.

use std::collections::BTreeSet;
use std::net::IpAddr;

use super::Node;
use super::ask::{Cargo, Goal};
use super::event::{Event, OpId};
use crate::engine::bloom::{Filter, SwarmFilters};
use crate::engine::contact::decode_addr;
use crate::engine::id::Id;
use crate::engine::krpc::Response;
use crate::engine::limits::PEERS_PER_LOOKUP;
use crate::engine::time::Instant;

/// What a scrape has counted so far.
#[derive(Clone, Debug, Default)]
pub(super) struct Count {
    filters: SwarmFilters,
    /// Nodes that sent filters which can be believed.
    reported: usize,
    /// Addresses from nodes that sent no filters: seeds or not, nobody knows.
    unsorted: BTreeSet<IpAddr>,
}

impl Count {
    /// Adds what a node says.
    fn add(&mut self, response: &Response<'_>) {
        match believable(response) {
            Some(filters) => {
                self.filters.unite(&filters);
                self.reported += 1;
            }
            None if response.filters.seeds.is_none() && response.filters.peers.is_none() => {
                let room = PEERS_PER_LOOKUP.saturating_sub(self.unsorted.len());
                self.unsorted.extend(response.values.iter().map(|peer| peer.ip()).take(room));
            }
            None => {}
        }
    }

    fn total(mut self) -> (SwarmFilters, usize) {
        for ip in self.unsorted {
            if !self.filters.seeds.may_contain(ip) {
                self.filters.peers.insert(ip);
            }
        }
        (self.filters, self.reported)
    }
}

/// The filters of a response, unless they cannot be true.
fn believable(response: &Response<'_>) -> Option<SwarmFilters> {
    if response.filters.seeds.is_none() && response.filters.peers.is_none() {
        return None;
    }
    let filter = |bytes: Option<&[u8; 256]>| bytes.map_or_else(Filter::default, |bytes| Filter::from_bytes(*bytes));
    let filters = SwarmFilters { seeds: filter(response.filters.seeds), peers: filter(response.filters.peers) };
    let consistent = || response.values.iter().all(|peer| filters.may_contain(peer.ip()));
    (!filters.is_saturated() && consistent()).then_some(filters)
}

impl Cargo {
    /// Adds what a node of the lookup says.
    pub(super) fn take(&mut self, response: &Response<'_>) {
        match self {
            Self::Nothing | Self::Item(_) => {}
            Self::Scrape(count) => count.add(response),
        }
    }

    /// What is to be told at the end.
    pub(super) fn into_event(self, op: OpId) -> Option<Event> {
        match self {
            Self::Nothing | Self::Item(_) => None,
            Self::Scrape(count) => {
                let (filters, reported) = count.total();
                Some(Event::Scraped { op, filters: Box::new(filters), reported })
            }
        }
    }
}

impl Node {
    /// Counts the seeds and peers of `info_hash` (BEP 33): on the nodes of a whole lookup, and in our own store. The
    /// result arrives as [`Event::Scraped`], the end as [`Event::Done`].
    pub fn scrape(&mut self, now: Instant, info_hash: Id) -> OpId {
        let own = self.swarm_filters(&info_hash).unwrap_or_default();
        let op = self.begin(now, Goal::Scrape, info_hash);
        if let Some(operation) = self.operations.get_mut(&op) {
            operation.cargo = Cargo::Scrape(Box::new(Count { filters: own, ..Count::default() }));
        }
        self.drive(now, op);
        op
    }

    /// The filters of what we store; `None` for a swarm without peers.
    pub(super) fn swarm_filters(&self, info_hash: &Id) -> Option<SwarmFilters> {
        let mut filters = SwarmFilters::default();
        for (peer, seed) in self.peers.swarm(info_hash)? {
            if let Some(peer) = decode_addr(peer) {
                filters.insert(peer.ip(), seed);
            }
        }
        Some(filters)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::engine::krpc::{Kind, Message};

    fn count(responses: &[Vec<u8>]) -> (SwarmFilters, usize) {
        let mut count = Count::default();
        for bytes in responses {
            let Kind::Response(response) = Message::decode(bytes).expect("a message").kind else {
                panic!("no response")
            };
            count.add(&response);
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
    fn peers_of_nodes_without_filters_count_unless_they_are_known_seeds() {
        let known = filters(b"d", &[]);
        let (total, reported) = count(&[response(None, "6:abcdxx6:abceyy6:abcezz"), response(Some(&known), "")]);
        assert_eq!((total, reported), (filters(b"d", b"e"), 1));
    }
}
