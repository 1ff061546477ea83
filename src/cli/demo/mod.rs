//! `trackerless demo`: the main job on this machine alone.
//!
//! A private network of real nodes over loopback UDP. One announces an infohash, another that never heard of it finds
//! the peer; every step is told as it happens. Nothing here is simulated.

mod story;

use std::net::{Ipv4Addr, SocketAddr};
use std::time::Duration;

use futures_util::future::join_all;
use tokio::time::{Instant, sleep, timeout};

use self::story::{Moment, Step, millis};
use super::args::DemoArgs;
use super::failure::{Exit, Failure};
use super::output::Printer;
use super::progress::Progress;
use super::session;
use crate::dht::{Dht, Progress as Progressed, StartError};
use crate::engine::contact::Contact;
use crate::engine::id::InfoHash;
use crate::engine::limits::K;

/// What is announced: the SHA-1 of nothing, so that no real torrent is meant.
const INFOHASH: InfoHash = InfoHash::new([
    0xda, 0x39, 0xa3, 0xee, 0x5e, 0x6b, 0x4b, 0x0d, 0x32, 0x55, 0xbf, 0xef, 0x95, 0x60, 0x18, 0x90, 0xaf, 0xd8, 0x07,
    0x09,
]);

/// The port of the client that takes part in the torrent. No client listens there; the DHT only passes it on.
const PEER_PORT: u16 = 51413;

/// Longest time that a step may take. A node that hears nothing for this long will not hear anything: loopback UDP is
/// blocked.
const PATIENCE: Duration = Duration::from_secs(30);

/// Time between two looks at how many nodes each node knows, until they know enough.
const LOOK_AGAIN_AFTER: Duration = Duration::from_millis(50);

pub(super) fn run(args: &DemoArgs) -> Result<Exit, Failure> {
    let output = Printer::new(args.json);
    output.note("A DHT on this machine alone: no Internet, no tracker.\n")?;
    session::block_on(async {
        let demo = Demo::start(usize::from(args.nodes), output).await?;
        demo.join().await?;
        let stored_at = demo.announce().await?;
        let searcher = demo.least_informed(&stored_at).await;
        let found = demo.find(searcher).await?;
        demo.end().await;
        Ok(if found { Exit::Done } else { Exit::Nothing })
    })
}

/// A network of nodes, and the time since it began.
struct Demo {
    nodes: Vec<Dht>,
    began: Instant,
    output: Printer,
}

impl Demo {
    /// Starts the nodes one after the other. Each is told of one that is there already, and meets others through it.
    async fn start(count: usize, output: Printer) -> Result<Self, Failure> {
        let mut demo = Self { nodes: Vec::with_capacity(count), began: Instant::now(), output };
        for _ in 0..count {
            let router = demo.nodes.last().map(|node| node.local_addrs()[0]);
            let node = start_node(router).await?;
            timeout(PATIENCE, node.bootstrapped()).await.map_err(|_| silent_loopback())?;
            demo.nodes.push(node);
        }
        demo.tell(Step::Start { nodes: count })?;
        Ok(demo)
    }

    /// Waits until all have met enough others; each contact is asked once before it is believed, and not in a hurry.
    async fn join(&self) -> Result<(), Failure> {
        let progress = Progress::new("the nodes are getting to know each other");
        let enough = K.min(self.nodes.len() - 1);
        let mut known = self.contact_counts().await;
        while *known.first().expect("there are nodes") < enough && self.began.elapsed() < PATIENCE {
            let settled = known.iter().filter(|&&contacts| contacts >= enough).count();
            progress.say(format_args!("{settled} of {} nodes know {enough} others", self.nodes.len()));
            sleep(LOOK_AGAIN_AFTER).await;
            known = self.contact_counts().await;
        }
        drop(progress);
        let (fewest_contacts, most_contacts) = (known[0], known[known.len() - 1]);
        self.tell(Step::Join { fewest_contacts, most_contacts })
    }

    /// How many others the nodes know, sorted.
    async fn contact_counts(&self) -> Vec<usize> {
        let mut counts: Vec<usize> = join_all(self.nodes.iter().map(contacts)).await.iter().map(Vec::len).collect();
        counts.sort_unstable();
        counts
    }

    /// One node announces; gives the nodes that store it.
    async fn announce(&self) -> Result<Vec<Contact>, Failure> {
        let node = self.announcer();
        self.tell(Step::Announce { node, infohash: INFOHASH, port: PEER_PORT })?;
        let announced = self.nodes[node].announce(INFOHASH, PEER_PORT, false).await;
        let asked = announced.summaries.iter().map(|summary| summary.asked).sum();
        let nodes = announced.stored_at.iter().filter_map(|at| self.number_of(at.addr)).collect();
        self.tell(Step::Stored { nodes, asked })?;
        Ok(announced.stored_at)
    }

    /// Another node searches; whether it finds the peer.
    async fn find(&self, searcher: usize) -> Result<bool, Failure> {
        self.tell(Step::Search { node: searcher })?;
        let mut search = Search { began: Instant::now(), asked: 0, hops: 0, peer: None };
        let mut steps = self.nodes[searcher].trace_peers(INFOHASH).await;
        while let (None, Some(step)) = (search.peer, steps.next().await) {
            if let Some(hop) = search.take(step, |addr| self.number_of(addr)) {
                self.tell(hop)?;
            }
        }
        let found = search.peer.is_some();
        let (took_ms, Search { peer, asked, hops, .. }) = (millis(search.began.elapsed()), search);
        self.tell(Step::Found { found, peer, took_ms, asked, hops })?;
        self.output.note(conclusion(found, searcher, self.announcer(), took_ms))?;
        Ok(found)
    }

    async fn end(self) {
        for node in self.nodes {
            // These nodes keep no folder, so there is nothing that could fail to be saved.
            let _ = node.shutdown().await;
        }
    }

    fn tell(&self, step: Step) -> Result<(), Failure> {
        let moment = Moment::new(self.began.elapsed(), step);
        self.output.result(&moment, &moment)
    }

    /// A node that takes part in the torrent.
    fn announcer(&self) -> usize {
        self.nodes.len() / 3
    }

    /// The node that knows the fewest of those that store the announce, and is none of them: it has the longest way.
    async fn least_informed(&self, stored_at: &[Contact]) -> usize {
        let known = join_all(self.nodes.iter().map(contacts)).await;
        let stores = |node: usize| stored_at.iter().any(|at| self.number_of(at.addr) == Some(node));
        let knows = |node: usize| stored_at.iter().filter(|at| known[node].contains(at)).count();
        let others = (0..self.nodes.len()).filter(|&node| node != self.announcer());
        others.min_by_key(|&node| (stores(node), knows(node))).expect("at least three nodes")
    }

    fn number_of(&self, addr: SocketAddr) -> Option<usize> {
        self.nodes.iter().position(|node| node.local_addrs().contains(&addr))
    }
}

/// A search on its way.
struct Search {
    began: Instant,
    asked: usize,
    hops: u8,
    peer: Option<SocketAddr>,
}

impl Search {
    /// Takes note of a step; an answer is a hop to tell of.
    fn take(&mut self, step: Progressed, number_of: impl Fn(SocketAddr) -> Option<usize>) -> Option<Step> {
        match step {
            Progressed::Answered { contact, hops, contacts, peers, .. } => {
                self.asked += 1;
                self.hops = hops + 1;
                let shared_bits = INFOHASH.common_prefix_len(&contact.id);
                let (hop, node, address) = (self.hops, number_of(contact.addr), contact.addr);
                Some(Step::Hop { hop, node, address, shared_bits, nodes: contacts, peers })
            }
            Progressed::Peers { peers, .. } => {
                self.peer = peers.into_iter().find(is_the_peer);
                None
            }
            _ => None,
        }
    }
}

async fn start_node(router: Option<SocketAddr>) -> Result<Dht, StartError> {
    let routers = router.iter().map(ToString::to_string);
    Dht::builder().bind((Ipv4Addr::LOCALHOST, 0).into()).private_network(true).bootstrap(routers).start().await
}

/// The nodes that a node knows.
async fn contacts(node: &Dht) -> Vec<Contact> {
    node.snapshot().await.nodes.into_iter().flat_map(|node| node.snapshot.contacts).collect()
}

fn is_the_peer(peer: &SocketAddr) -> bool {
    *peer == SocketAddr::from((Ipv4Addr::LOCALHOST, PEER_PORT))
}

fn conclusion(found: bool, searcher: usize, announcer: usize, took_ms: f64) -> String {
    match found {
        true => format!("\nNode {searcher} found the peer of node {announcer} in {took_ms} ms."),
        false => "\nThe peer was not found.".to_owned(),
    }
}

fn silent_loopback() -> Failure {
    Failure::no_network("a node on 127.0.0.1 hears nothing from the others", "let programs use UDP on 127.0.0.1")
}
