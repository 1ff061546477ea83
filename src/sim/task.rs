//! What became of one operation.

use std::net::SocketAddr;
use std::time::Duration;

use super::host::HostId;
use crate::engine::contact::Contact;
use crate::engine::id::Id;
use crate::engine::node::{Event, OpId, Sample, Summary};
use crate::engine::time::Instant;

/// The notes on an operation that a node was told to begin.
#[derive(Clone, Debug)]
pub struct Task {
    /// Whose operation it is.
    pub host: HostId,
    /// The infohash or target.
    pub target: Id,
    /// When it began.
    pub started: Instant,
    /// How many nodes answered.
    pub answered: usize,
    /// The closest node that answered, and its hops: 1 for one that the host knew itself.
    pub nearest: Option<(Contact, u32)>,
    /// How long it took until the first peers; 0 for those in the host's own store.
    pub first_peers: Option<Duration>,
    /// The peers, in the order in which they came.
    pub peers: Vec<SocketAddr>,
    /// Who stored the announce.
    pub stored_at: Vec<Contact>,
    /// A sample of infohashes, and the node that gave it.
    pub sampled: Option<(Contact, Sample)>,
    /// The contacts that came with it.
    pub contacts: Vec<Contact>,
    /// What the node said of it in the end.
    pub summary: Option<Summary>,
}

impl Task {
    pub(super) const fn new(host: HostId, target: Id, started: Instant) -> Self {
        Self {
            host,
            target,
            started,
            answered: 0,
            nearest: None,
            first_peers: None,
            peers: Vec::new(),
            stored_at: Vec::new(),
            sampled: None,
            contacts: Vec::new(),
            summary: None,
        }
    }

    /// Whether it has ended.
    #[must_use]
    pub const fn is_over(&self) -> bool {
        self.summary.is_some()
    }

    /// It was ended early, after this number of queries.
    pub(super) fn stop(&mut self, asked: usize) {
        let summary = Summary { asked, answered: self.answered, peers: self.peers.len(), ..Summary::default() };
        self.summary = Some(summary);
    }

    pub(super) fn note(&mut self, at: Instant, event: Event) {
        match event {
            Event::Answered { contact, hops, .. } => {
                self.answered += 1;
                let closer = |(known, _): (Contact, u32)| self.target.closer(&contact.id, &known.id).is_lt();
                if self.nearest.is_none_or(closer) {
                    self.nearest = Some((contact, u32::from(hops) + 1));
                }
            }
            Event::Peers { peers, .. } => {
                self.first_peers.get_or_insert(at.since(self.started));
                self.peers.extend(peers);
            }
            Event::Stored { at, .. } => self.stored_at.push(at),
            Event::Sampled { contact, sample, contacts, .. } => {
                self.sampled = sample.map(|sample| (contact, sample));
                self.contacts = contacts;
            }
            Event::Done { summary, .. } => self.summary = Some(summary),
            _ => {}
        }
    }
}

/// Whose event it is, if it belongs to an operation.
pub(super) const fn operation(event: &Event) -> Option<OpId> {
    event.op()
}
