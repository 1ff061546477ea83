//! The clients that announce here, each with all its torrents: for those who look after the gateway.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::time::Duration;

use super::Broker;
use super::torrent::Facts;
use crate::engine::time::Instant;
use crate::net::nearness::Nearness;
use crate::tracker::metadata::Verdict;
use crate::tracker::swarm::{MEMBER_LIFETIME, Member};

/// A client that announces here.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ListedClient {
    /// The address that it sent from, and the port that it announced.
    pub addr: SocketAddr,
    /// Where it is.
    pub nearness: Nearness,
    /// Its name, as it last gave it.
    pub peer_id: [u8; 20],
    /// Time since its last announce.
    pub age: Duration,
    /// Torrents of which it has everything.
    pub seeds: u32,
    /// Its other torrents.
    pub others: u32,
    /// Torrents of both kinds that are not served to it, because they are private or seem to be.
    pub refused: u32,
    /// What it said when it was asked for its metadata, by number of torrents. It is asked only where that may be of use.
    pub said: Said,
}

/// Numbers of torrents, by what a client said of them.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Said {
    /// [`Verdict::Public`].
    pub public: u32,
    /// [`Verdict::Private`].
    pub private: u32,
    /// [`Verdict::Withheld`].
    pub withheld: u32,
    /// [`Verdict::NotYet`].
    pub not_yet: u32,
    /// [`Verdict::Unknown`].
    pub unknown: u32,
}

impl Broker {
    /// The first clients after this address, at most `most`, in the order of their addresses. No more than that is held in
    /// memory, however many there are.
    #[must_use]
    pub fn clients_after(&self, now: Instant, after: Option<SocketAddr>, most: usize) -> Vec<ListedClient> {
        let mut listed: BTreeMap<SocketAddr, ListedClient> = BTreeMap::new();
        for torrent in self.torrents.values() {
            let facts = torrent.facts(now, self.policy, &self.standing.external);
            let is_there = |member: &&Member| now.since(member.last) < MEMBER_LIFETIME;
            let is_later = |member: &&Member| after.is_none_or(|after| member.addr > after);
            for member in torrent.swarm.members().iter().filter(is_there).filter(is_later) {
                listed.entry(member.addr).or_insert_with(|| ListedClient::new(now, member)).add(now, member, &facts);
                if listed.len() > most {
                    listed.pop_last();
                }
            }
        }
        listed.into_values().collect()
    }
}

impl ListedClient {
    fn new(now: Instant, member: &Member) -> Self {
        let Member { addr, nearness, peer_id, last, .. } = *member;
        let said = Said::default();
        Self { addr, nearness, peer_id, age: now.since(last), seeds: 0, others: 0, refused: 0, said }
    }

    /// Counts one of its torrents.
    fn add(&mut self, now: Instant, member: &Member, facts: &Facts) {
        let age = now.since(member.last);
        if age < self.age {
            (self.age, self.peer_id, self.nearness) = (age, member.peer_id, member.nearness);
        }
        *(if member.seed { &mut self.seeds } else { &mut self.others }) += 1;
        self.refused += u32::from(facts.refusal(member.addr).is_some());
        let said = match member.testimony {
            Some((Verdict::Public, _)) => &mut self.said.public,
            Some((Verdict::Private, _)) => &mut self.said.private,
            Some((Verdict::Withheld, _)) => &mut self.said.withheld,
            Some((Verdict::NotYet, _)) => &mut self.said.not_yet,
            Some((Verdict::Unknown, _)) => &mut self.said.unknown,
            None => return,
        };
        *said += 1;
    }
}
