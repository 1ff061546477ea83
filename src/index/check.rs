//! One torrent from outside, step by step: found in the DHT, by a second path too; each peer reachable; each speaks
//! BitTorrent for this infohash; has the metadata; seeds and peers by count.
//!
//! Every finding says what it means, and for whom, where something is wrong. Bounded: two lookups, one count and at most
//! [`MOST_PEERS`] connections.

use std::collections::{BTreeMap, BTreeSet};
use std::io::ErrorKind;
use std::net::SocketAddr;
use std::sync::{Mutex, PoisonError};

use futures_util::stream;
use tokio::sync::mpsc;

use super::resolve::Metadata;
use crate::dht::{Dht, Progress, Scraped};
use crate::engine::id::InfoHash;
use crate::net::peers::{Goal, Limits, News, Nothing, Step, Trouble, Visit};
use crate::peer::connection::WireError;
use crate::peer::handshake::program;

/// Most peers that are connected to.
pub const MOST_PEERS: usize = 32;

/// Something that became known.
#[derive(Clone, Debug)]
pub enum Finding {
    /// What the nodes of the DHT closest to the infohash have stored.
    Stored(Stored),
    /// What came of one peer.
    Peer(PeerReport),
    /// The metadata, which belongs to the infohash.
    Metadata(Box<Metadata>),
    /// Seeds and peers.
    Counted(Box<Scraped>),
}

/// Which of two independent lookups found something.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Path {
    /// The node that asked first.
    First,
    /// Another node, with another id and another table.
    Second,
}

/// What one lookup found.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Stored {
    /// Which lookup.
    pub path: Path,
    /// The closest nodes that answered: 8 of each family, or fewer in a small network.
    pub closest: usize,
    /// Those of them that named a peer.
    pub holders: usize,
    /// Peers that were named by any node.
    pub peers: usize,
    /// Nodes that answered.
    pub answered: usize,
}

/// What came of one peer.
#[derive(Clone, Debug)]
pub struct PeerReport {
    /// The peer.
    pub peer: SocketAddr,
    /// Whether a connection could be made.
    pub connects: bool,
    /// Whether it takes only encrypted connections.
    pub demands_encryption: bool,
    /// Whether it takes part in the swarm.
    pub speaks: bool,
    /// The program and version that it names.
    pub program: Option<String>,
    /// What it has of the metadata.
    pub metadata: Has,
    /// Why nothing more came of it.
    pub trouble: Option<Trouble>,
}

/// What a peer has of the metadata.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Has {
    /// It was not heard on this.
    Unknown,
    /// It offers it.
    Offered,
    /// It gave some of it.
    Given,
    /// It gives none.
    No(Nothing),
}

impl Stored {
    /// What is wrong with it, and for whom; `None` where all is well.
    #[must_use]
    pub fn meaning(&self) -> Option<String> {
        match self {
            Self { answered: 0, .. } => Some("no node answered: this host is cut off from the DHT".to_owned()),
            Self { peers: 0, .. } => Some(
                "no peer is announced: whoever knows the infohash alone finds nobody. Its seeds: is the torrent running, \
                 the DHT switched on, and the torrent not private?"
                    .to_owned(),
            ),
            Self { holders, closest, .. } if holders * 2 < *closest => Some(
                "fewer than half of the closest nodes have it: a search may miss it. It was announced long ago, or \
                 the announces do not reach all nodes"
                    .to_owned(),
            ),
            _ => None,
        }
    }
}

impl PeerReport {
    const fn new(peer: SocketAddr) -> Self {
        let metadata = Has::Unknown;
        let (connects, demands_encryption, speaks) = (false, false, false);
        Self { peer, connects, demands_encryption, speaks, program: None, metadata, trouble: None }
    }

    /// Whether a new client could begin a download with this peer.
    #[must_use]
    pub const fn works(&self) -> bool {
        self.speaks && matches!(self.metadata, Has::Offered | Has::Given)
    }

    /// What is wrong with it, and for whom; `None` where all is well.
    #[must_use]
    pub fn meaning(&self) -> Option<String> {
        if let Has::No(nothing) = self.metadata {
            return Some(meaning_of_nothing(nothing).to_owned());
        }
        match self.trouble.as_ref()? {
            _ if self.works() => None,
            Trouble::Avoided(reason) => Some(format!("it was not asked: {reason}")),
            Trouble::Unreachable(kind) => Some(self.unreachable(*kind)),
            Trouble::Unanswered => Some(format!(
                "it does not answer by TCP: behind a firewall or a router, gone, or by uTP alone. Its owner: forward TCP port \
                 {} to the client",
                self.peer.port()
            )),
            Trouble::ClosedAtOnce => Some(
                "it closed the connection without a word, and an encrypted one brought no more: it does not have this \
                 torrent, or is no BitTorrent client"
                    .to_owned(),
            ),
            Trouble::ClosedEncrypted => Some(
                "it closed a plain connection without a word and an encrypted one in the middle: it does not have this \
                 torrent, or has no room for another peer"
                    .to_owned(),
            ),
            Trouble::Silent => Some("it is connected and says nothing: overloaded, or no BitTorrent client".to_owned()),
            Trouble::Closed => Some("it closed the connection: it has no room for another peer".to_owned()),
            Trouble::Wire(error) => Some(meaning_of_wire(*error)),
        }
    }

    fn unreachable(&self, kind: ErrorKind) -> String {
        let port = self.peer.port();
        match kind {
            ErrorKind::ConnectionRefused => format!(
                "its host answers, but nobody listens on TCP port {port}: the client announced a port and does not answer \
                 there. Its owner: compare the client's listening port, and what the router forwards"
            ),
            ErrorKind::NetworkUnreachable | ErrorKind::HostUnreachable => {
                "there is no way to it from here; from elsewhere there may be one".to_owned()
            }
            kind => format!("no connection: {kind}"),
        }
    }

    fn take(&mut self, step: Step) {
        match step {
            Step::Met => {}
            Step::Connected => self.connects = true,
            Step::DemandsEncryption => self.demands_encryption = true,
            Step::Greeted(name) => (self.speaks, self.program) = (true, program(&name)),
            Step::Offers => self.metadata = Has::Offered,
            Step::Gave => self.metadata = Has::Given,
            Step::GivesNothing(nothing) => self.metadata = Has::No(nothing),
            Step::Lost(trouble) => self.trouble = Some(trouble),
            Step::Done => {}
        }
    }
}

const fn meaning_of_nothing(nothing: Nothing) -> &'static str {
    match nothing {
        Nothing::NoneYet => "it came by a magnet link and has no metadata itself: alone it helps nobody",
        Nothing::NotOffered => {
            "it gives no metadata, as clients do for private torrents: a magnet link does not begin with it"
        }
        Nothing::Rejected => "it refuses to give the metadata: a magnet link does not begin with it",
    }
}

fn meaning_of_wire(error: WireError) -> String {
    match error {
        WireError::OtherProtocol => "what answers there is no BitTorrent client".to_owned(),
        WireError::OtherTorrent => {
            "the client there does not have this torrent: the announce is old or wrong".to_owned()
        }
        WireError::NoExtensions => {
            "the client is too old to give metadata (BEP 10): a magnet link does not begin with it".to_owned()
        }
        error => format!("{error}: others will drop it too"),
    }
}

/// What is to be checked, and by whom.
#[derive(Debug)]
pub struct Check<'a> {
    /// The node that looks the torrent up.
    pub first: &'a Dht,
    /// Another node with another id, for the second path.
    pub second: Option<&'a Dht>,
    /// The torrent.
    pub infohash: InfoHash,
    /// Our name among its peers (BEP 20).
    pub our_peer_id: [u8; 20],
    /// What connections may take.
    pub limits: Limits,
}

impl Check<'_> {
    /// Checks, and tells each finding as it becomes known.
    pub async fn run(&self, tell: impl FnMut(Finding)) {
        let tell = Mutex::new(tell);
        let tell = |finding| (*tell.lock().unwrap_or_else(PoisonError::into_inner))(finding);
        let (sender, peers) = mpsc::channel(MOST_PEERS);
        let second = async {
            if let Some(dht) = self.second {
                tell(Finding::Stored(self.look(dht, Path::Second, None).await));
            }
        };
        let first = async { tell(Finding::Stored(self.look(self.first, Path::First, Some(sender)).await)) };
        let count = async { tell(Finding::Counted(Box::new(self.first.scrape(self.infohash).await))) };
        tokio::join!(first, second, count, self.visit(peers, &tell));
    }

    /// Looks the torrent up, and hands over the first peers.
    async fn look(&self, dht: &Dht, path: Path, peers: Option<mpsc::Sender<SocketAddr>>) -> Stored {
        let (mut holders, mut seen, mut closest) = (BTreeSet::new(), BTreeSet::new(), Vec::new());
        let mut answered = 0;
        let mut steps = dht.trace_peers(self.infohash).await;
        while let Some(step) = steps.next().await {
            match step {
                Progress::Answered { contact, peers, .. } => {
                    answered += 1;
                    if peers > 0 {
                        holders.insert(contact.addr);
                    }
                }
                Progress::Peers { peers: found, .. } => {
                    for peer in found {
                        if seen.insert(peer) && seen.len() <= MOST_PEERS {
                            // There is room for all of them.
                            peers.as_ref().map(|peers| peers.try_send(peer));
                        }
                    }
                }
                Progress::Done(summary) => closest.extend(summary.closest),
                Progress::Stored { .. } => {}
            }
        }
        let held = closest.iter().filter(|contact| holders.contains(&contact.addr)).count();
        Stored { path, closest: closest.len(), holders: held, peers: seen.len(), answered }
    }

    async fn visit(&self, mut peers: mpsc::Receiver<SocketAddr>, tell: &impl Fn(Finding)) {
        let limits = Limits { peers: MOST_PEERS, ..self.limits };
        let peers = stream::poll_fn(move |context| peers.poll_recv(context));
        let mut reports: BTreeMap<SocketAddr, PeerReport> = BTreeMap::new();
        let visit = Visit::new(self.infohash, self.our_peer_id, limits, Goal::Everyone);
        let raw = visit.run(peers, |News { peer, step }| {
            let over = matches!(step, Step::Done);
            let report = reports.entry(peer).or_insert_with(|| PeerReport::new(peer));
            report.take(step);
            if over {
                tell(Finding::Peer(report.clone()));
            }
        });
        if let Some(metadata) = raw.await.and_then(|raw| Metadata::read(raw).ok()) {
            tell(Finding::Metadata(Box::new(metadata)));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn report(steps: &[Step]) -> PeerReport {
        let mut report = PeerReport::new("192.0.2.7:6881".parse().unwrap());
        steps.iter().for_each(|step| report.take(step.clone()));
        report
    }

    #[test]
    fn what_a_failure_means_is_said_to_whom_it_concerns() {
        let refused = report(&[Step::Lost(Trouble::Unreachable(ErrorKind::ConnectionRefused))]).meaning().unwrap();
        assert!(
            refused.contains("announced a port and does not answer there") && refused.contains("6881"),
            "{refused}"
        );
        for (trouble, word) in [
            (Trouble::Unanswered, "forward TCP port 6881"),
            (Trouble::ClosedAtOnce, "no BitTorrent client"),
            (Trouble::ClosedEncrypted, "an encrypted one in the middle"),
            (Trouble::Wire(WireError::OtherTorrent), "does not have this torrent"),
            (Trouble::Wire(WireError::OtherProtocol), "no BitTorrent client"),
            (Trouble::Silent, "says nothing"),
        ] {
            let meaning = report(&[Step::Lost(trouble.clone())]).meaning().unwrap();
            assert!(meaning.contains(word), "{trouble:?}: {meaning}");
        }
        let magnet = report(&[Step::Connected, Step::Greeted([0; 20]), Step::GivesNothing(Nothing::NoneYet)]);
        assert!(!magnet.works() && magnet.meaning().unwrap().contains("magnet"));
    }

    #[test]
    fn a_peer_that_works_has_no_meaning_to_explain() {
        let steps = [Step::Connected, Step::Greeted(*b"-qB4630-xxxxxxxxxxxx"), Step::Offers, Step::Gave];
        let works = report(&steps);
        assert!(works.works() && works.meaning().is_none());
        assert_eq!(works.program.as_deref(), Some("qB4630"));
        let encrypted = report(&[Step::Connected, Step::DemandsEncryption, Step::Greeted([0; 20]), Step::Offers]);
        assert!(encrypted.works() && encrypted.demands_encryption && !works.demands_encryption);
        let closed_later = report(&[&steps[..], &[Step::Lost(Trouble::Closed)]].concat());
        assert!(closed_later.works() && closed_later.meaning().is_none());
    }

    #[test]
    fn what_is_stored_at_few_nodes_or_none_is_explained() {
        let stored = |closest, holders, peers| Stored { path: Path::First, closest, holders, peers, answered: 20 };
        assert_eq!(stored(8, 7, 30).meaning(), None);
        assert!(stored(8, 0, 0).meaning().unwrap().contains("no peer is announced"));
        assert!(stored(8, 2, 1).meaning().unwrap().contains("may miss it"));
        assert!(Stored { answered: 0, ..stored(0, 0, 0) }.meaning().unwrap().contains("cut off"));
    }
}
