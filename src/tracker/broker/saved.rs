//! What is kept over a restart: the members of swarms, and what is known of their torrents.
//!
//! Clients come back after minutes, and until then they would not know each other. Peers that the DHT reported are not
//! kept: a lookup finds those that are still there.

use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use super::torrent::{Proof, Torrent};
use super::{Broker, Client, MAX_TORRENTS, Transport};
use crate::engine::id::InfoHash;
use crate::engine::time::Instant;
use crate::net::nearness::Nearness;
use crate::tracker::metadata::Verdict;
use crate::tracker::swarm::{MAX_MEMBERS, MEMBER_LIFETIME, Member};

/// A torrent, and those who take part in it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SavedTorrent {
    /// Its infohash.
    pub info_hash: InfoHash,
    /// Whether it is private, if that is proven.
    pub private: Option<bool>,
    /// Downloads that were reported finished.
    pub downloaded: u32,
    /// Time since it was last asked for.
    pub age: Duration,
    /// The clients that announced here.
    pub members: Vec<SavedMember>,
}

/// A client that announced here.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SavedMember {
    /// Where it accepts connections.
    pub addr: SocketAddr,
    /// Our address that it sent to.
    pub here: IpAddr,
    /// Where it is.
    pub nearness: Nearness,
    /// Its name.
    pub peer_id: [u8; 20],
    /// Whether it has everything.
    pub seed: bool,
    /// Whether that is certain.
    pub proven_seed: bool,
    /// Whether it has reported its download finished.
    pub finished: bool,
    /// Whether it may be announced to the DHT.
    pub to_dht: bool,
    /// Whether other trackers may be told of it.
    pub to_trackers: bool,
    /// What it said when it was asked for its metadata, and the time since then.
    pub testimony: Option<(Verdict, Duration)>,
    /// Time since its last announce.
    pub age: Duration,
}

impl Broker {
    /// What is to be saved.
    #[must_use]
    pub fn snapshot(&self, now: Instant) -> Vec<SavedTorrent> {
        let save = |(id, torrent): (&InfoHash, &Torrent)| {
            let members = torrent.swarm.members().iter().map(|member| SavedMember::of(now, member)).collect::<Vec<_>>();
            let worth = !members.is_empty() || torrent.proof == Some(Proof::Private);
            let private = torrent.proof.map(|proof| proof == Proof::Private);
            let (downloaded, age) = (torrent.swarm.downloaded(), now.since(torrent.touched));
            worth.then_some(SavedTorrent { info_hash: *id, private, downloaded, age, members })
        };
        self.torrents.iter().filter_map(save).collect()
    }

    /// Takes back what was saved, `absence` after that. Clients that must be gone by then are left out. What is known
    /// already is kept.
    pub fn restore(&mut self, now: Instant, saved: Vec<SavedTorrent>, absence: Duration) {
        for saved in saved {
            self.restore_one(now, saved, absence);
        }
    }

    fn restore_one(&mut self, now: Instant, saved: SavedTorrent, absence: Duration) {
        let id = saved.info_hash;
        let is_there = |member: &&SavedMember| member.age.saturating_add(absence) < MEMBER_LIFETIME;
        let members: Vec<&SavedMember> = saved.members.iter().take(MAX_MEMBERS).filter(is_there).collect();
        let known = self.torrents.contains_key(&id) || self.denied.contains(&id) || self.torrents.len() >= MAX_TORRENTS;
        if known || (members.is_empty() && saved.private != Some(true)) {
            return;
        }
        let near = members.iter().any(|member| member.nearness != Nearness::Remote);
        let stranger = members.first().filter(|_| !near);
        let Ok(owner) = stranger.map_or(Ok(None), |member| self.clients.may_begin(&member.client())) else { return };
        let mut torrent = Torrent::new(now - (saved.age.saturating_add(absence)), owner);
        torrent.proof = saved.private.map(|private| if private { Proof::Private } else { Proof::Public });
        torrent.swarm.set_downloaded(saved.downloaded);
        for member in members {
            torrent.swarm.join(member.restored(now, absence));
        }
        self.torrents.insert(id, torrent);
        self.advance(now, id);
    }
}

impl SavedMember {
    fn of(now: Instant, member: &Member) -> Self {
        Self {
            addr: member.addr,
            here: member.here,
            nearness: member.nearness,
            peer_id: member.peer_id,
            seed: member.seed,
            proven_seed: member.proven_seed,
            finished: member.finished,
            to_dht: member.announce_at.is_some(),
            to_trackers: member.relay_at.is_some(),
            testimony: member.testimony.map(|(verdict, at)| (verdict, now.since(at))),
            age: now.since(member.last),
        }
    }

    fn restored(&self, now: Instant, absence: Duration) -> Member {
        let then = |age: Duration| now - age.saturating_add(absence);
        let new = Member::new(self.addr, self.here, self.nearness, self.peer_id, then(self.age));
        Member {
            seed: self.seed,
            proven_seed: self.proven_seed,
            finished: self.finished,
            testimony: self.testimony.map(|(verdict, age)| (verdict, then(age))),
            probe_at: now,
            announce_at: self.to_dht.then_some(now),
            relay_at: self.to_trackers.then_some(now),
            ..new
        }
    }

    /// The client as far as it matters for its share.
    const fn client(&self) -> Client {
        Client { addr: self.addr, here: self.here, nearness: self.nearness, transport: Transport::Udp }
    }
}
