//! What a gateway has done and refused since it was bound: counters, for what shows them.

use crate::net::latency::Histogram;
use crate::tracker::broker::{Order, Transport};
use crate::tracker::{Announce, Answer, Phase};

/// Counts since the gateway was bound.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Stats {
    /// Announces that were read, by HTTP.
    pub announces_by_http: u64,
    /// Announces that were read, by UDP.
    pub announces_by_udp: u64,
    /// Of all announces, the ones by which a client begins.
    pub started: u64,
    /// Of all announces, the ones by which a client leaves.
    pub stopped: u64,
    /// Scrapes that were read, by HTTP.
    pub scrapes_by_http: u64,
    /// Scrapes that were read, by UDP.
    pub scrapes_by_udp: u64,
    /// Answers that were held until peers were found or the time was over.
    pub held: u64,
    /// Clients of this host or its network that announced for the first time.
    pub new_clients: u64,
    /// Announces that were answered with a failure: a torrent that is private, withheld or denied.
    pub refused: u64,
    /// Announces that were answered with peers and a warning that the client is not announced to the DHT.
    pub not_announced: u64,
    /// Requests of the tracker protocol that could not be read.
    pub malformed: u64,
    /// Requests over HTTP that a web page may have sent, answered with 403.
    pub pages_refused: u64,
    /// Requests over UDP whose connection id was not valid.
    pub connections_refused: u64,
    /// Lookups of peers in the DHT.
    pub lookups: u64,
    /// Counts of swarms in the DHT.
    pub swarms_counted: u64,
    /// Announces of clients to the DHT.
    pub dht_announces: u64,
    /// Announces of clients to other trackers.
    pub relays: u64,
    /// Clients that were asked for the metadata of a torrent.
    pub clients_asked: u64,
    /// Of those, the ones that told nothing.
    pub metadata_unread: u64,
    /// How long clients waited for the answers to their announces.
    pub answers: Histogram,
}

impl Stats {
    pub(super) fn note_announce(&mut self, transport: Transport, announce: &Announce) {
        match transport {
            Transport::Http => self.announces_by_http += 1,
            Transport::Udp => self.announces_by_udp += 1,
        }
        self.started += u64::from(announce.phase == Phase::Started);
        self.stopped += u64::from(announce.phase == Phase::Stopped);
    }

    pub(super) fn note_scrape(&mut self, transport: Transport) {
        match transport {
            Transport::Http => self.scrapes_by_http += 1,
            Transport::Udp => self.scrapes_by_udp += 1,
        }
    }

    pub(super) fn note_answer(&mut self, answer: &Answer) {
        match answer {
            Err(_) => self.refused += 1,
            Ok(reply) => self.not_announced += u64::from(reply.is_not_announced()),
        }
    }

    pub(super) fn note_order(&mut self, order: &Order) {
        match order {
            Order::Lookup(_) => self.lookups += 1,
            Order::Survey(_) => self.swarms_counted += 1,
            Order::Announce { .. } => self.dht_announces += 1,
            Order::Relay(_) => self.relays += 1,
            Order::Probe { .. } => self.clients_asked += 1,
            Order::Answer(..) | Order::Scraped(..) => {}
        }
    }
}
