//! What an answer says: the peers, when to come back, and what the user should know.

use std::borrow::Cow;
use std::time::Duration;

use super::torrent::Facts;
use super::{Broker, Client, Policy};
use crate::net::nearness::{Nearness, is_elsewhere};
use crate::tracker::metadata::Verdict;
use crate::tracker::swarm::Asker;
use crate::tracker::{Announce, Phase, Reply};

impl Broker {
    /// The answer for now.
    pub(super) fn reply(&mut self, facts: &Facts, client: &Client, request: &Announce) -> Reply {
        let torrent = self.torrents.get_mut(&request.info_hash).expect("the caller has it");
        let (addr, external) = (client.peer(request), &self.standing.external);
        let (seed, family) = (torrent.is_proven_seed(addr, request), client.family());
        let asker =
            Asker { addr, here: client.here, nearness: client.nearness, seed, open: facts.open, family, external };
        let wanted = if facts.cleared { request.wanted() } else { 0 };
        let own_cursor = torrent.swarm.member_mut(addr).map_or(0, |member| member.cursor);
        let (entry, mut peers) = (request.cursor.unwrap_or(own_cursor), std::mem::take(&mut self.spare));
        let cursor = torrent.swarm.select(&asker, wanted, entry, &mut self.seen, &mut peers);
        if let Some(member) = torrent.swarm.member_mut(addr) {
            member.cursor = cursor;
        }
        let seen_as = external.iter().find(|ip| ip.is_ipv4() == client.addr.is_ipv4()).copied();
        let external_ip = if client.nearness == Nearness::Remote { Some(client.addr.ip()) } else { seen_as };
        let external_ip = external_ip.filter(|ip| !ip.is_unspecified());
        let counts = torrent.swarm.counts(external, self.surveys.size(facts.now, request.info_hash));
        let (interval, min_interval) = self.intervals(facts, request, seed, peers.len());
        let warning = self.warning(request, client, seed, peers.len());
        Reply { interval, min_interval, counts, peers, cursor, external_ip, warning }
    }

    /// When to come back: soon if there were no peers, in five minutes if there were few, in about fifteen otherwise.
    fn intervals(&mut self, facts: &Facts, request: &Announce, seed: bool, peers: usize) -> (Duration, Duration) {
        let torrent = &self.torrents[&request.info_hash];
        let downloads = !seed && request.wanted() > 0;
        let few = torrent.looked_up.is_none() || (downloads && torrent.has_few(facts));
        let (interval, min_interval) = match () {
            () if request.phase == Phase::Stopped => (900, 60),
            // In a moment it is known whether the torrent is private, and the client should hear that.
            () if !facts.cleared => (60, 30),
            () if downloads && peers == 0 => (120, 30),
            () if few => (300, 60),
            // A tenth more or less, so that the torrents of a client do not all come at once.
            () => (810 + self.random.wire_below(180) as u64, 60),
        };
        (Duration::from_secs(interval), Duration::from_secs(min_interval))
    }

    /// What the user should know. No word in it may make a client give up: see [`Failure::reason`](crate::tracker::Failure).
    fn warning(&self, request: &Announce, client: &Client, seed: bool, peers: usize) -> Option<Cow<'static, str>> {
        let torrent = &self.torrents[&request.info_hash];
        let waits = request.wanted() > 0 && !seed && peers == 0;
        let near = client.nearness.shares_our_address() && request.is_reachable() && request.phase != Phase::Stopped;
        let testimony = torrent.testimony(client.peer(request));
        let unchecked = self.policy == Policy::VerifiedPublic && torrent.proof.is_none();
        if waits && !self.standing.ready {
            return Some(format!("the DHT is starting up (nodes so far: {})", self.standing.nodes).into());
        }
        if waits && (torrent.lookup.is_running() || torrent.lookup.is_queued()) {
            return Some("the DHT lookup is still running".into());
        }
        // Over IPv4 neighbours have addresses of their own in a private network only.
        if client.nearness == Nearness::Neighbour && client.addr.is_ipv4() && self.policy != Policy::Never {
            return Some(
                "not announced to the DHT: in a private network this gateway announces clients on its own host; \
                 whoever asks here is told of this client"
                    .into(),
            );
        }
        if near && is_elsewhere(request.addresses(client.addr.ip()), &self.standing.external) {
            return Some(
                "not announced to the DHT: this client and the gateway have different public addresses".into(),
            );
        }
        let port = request.port;
        let text =
            || format!("not announced to the DHT: could not check at port {port} that the torrent is public").into();
        (near && unchecked && testimony == Some(Verdict::Unknown)).then(text)
    }

    /// The answer when there is no room to remember anything.
    pub(super) fn dismissal() -> Reply {
        let (interval, min_interval) = (Duration::from_secs(900), Duration::from_secs(60));
        Reply { interval, min_interval, ..Reply::default() }
    }
}
