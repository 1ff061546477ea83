//! Every figure of the running node in one place: what the control interface, the page, the metrics and `status` show is
//! made from a [`View`], so that they never differ.
//!
//! Pure: a view is made from what the parts of the program say of themselves at one moment.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::doctor::record::CaseRecord;
use super::doctor::{Report, Verdict};
use crate::announcer::view::Totals;
use crate::dht::Status;
use crate::engine::contact::Family;
use crate::engine::node::Stats;
use crate::index::service::{self as index, Activity};
use crate::net::latency::{BOUNDS_MS, Histogram, Latencies};
use crate::net::mapping::{Outcome, Transport, Wish};
use crate::tracker::broker::Load;
use crate::tracker::server as gateway;

/// What a view is made from.
#[derive(Clone, Debug)]
pub struct Facts {
    /// The data folder.
    pub data_dir: PathBuf,
    /// Time since the node was started.
    pub uptime: Duration,
    /// Whether it has joined the network.
    pub ready: bool,
    /// How each of its nodes is.
    pub nodes: Vec<Status>,
    /// The ports that are wished for at the router, and what came of it.
    pub mapping: Option<Vec<(Wish, Outcome)>>,
    /// What the gateway holds, has done and refused, where there is one.
    pub gateway: Option<(Load, gateway::Stats)>,
    /// How what is kept announced is.
    pub announcer: Totals,
    /// What the index holds and has done, where there is one.
    pub index: Option<index::Figures>,
    /// Memory that the program takes of the host, in bytes; nothing where the system does not say.
    pub memory_bytes: Option<u64>,
    /// The most bytes that the program may take, as configured.
    pub memory_limit_bytes: u64,
}

/// The running node in figures.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
pub struct View {
    /// The version of the program.
    pub version: String,
    /// Its process.
    pub process: u32,
    /// The data folder.
    pub data_dir: String,
    /// Time since it was started, in seconds.
    pub uptime_secs: f64,
    /// Whether it has joined the network, and other nodes answer.
    pub ready: bool,
    /// How well it is, in a sentence.
    pub verdict: String,
    /// What the doctor finds, the gravest first.
    pub findings: Vec<CaseRecord>,
    /// Its nodes: one for each address.
    pub nodes: Vec<NodeView>,
    /// The ports that are wished for at the router; nothing where none are to be.
    pub mapping: Option<Vec<PortView>>,
    /// The gateway, where there is one.
    pub gateway: Option<GatewayView>,
    /// What is kept announced.
    pub announcer: AnnouncerView,
    /// The index, where there is one.
    #[serde(default)]
    pub index: Option<IndexView>,
    /// Memory that the program takes of the host, in bytes; nothing where the system does not say.
    #[serde(default)]
    pub memory_bytes: Option<u64>,
    /// The most bytes that the program may take, as configured.
    pub memory_limit_bytes: u64,
    /// How long lookups took.
    pub lookups: LookupsView,
}

/// One of our nodes in figures.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
pub struct NodeView {
    /// Where it listens.
    #[schema(value_type = String)]
    pub address: SocketAddr,
    /// `IPv4` or `IPv6`.
    pub family: String,
    /// Its id.
    pub id: String,
    /// Where others see it, once enough of them agree.
    #[schema(value_type = Option<String>)]
    pub external_address: Option<SocketAddr>,
    /// Contacts in its table.
    pub contacts: usize,
    /// Of those, good ones.
    pub good_contacts: usize,
    /// The estimated number of nodes in the network.
    pub network_size: Option<u64>,
    /// Infohashes that others store with it.
    pub swarms: usize,
    /// Peers of those.
    pub peers: usize,
    /// Memory that those take, about, in bytes.
    #[serde(default)]
    pub peer_bytes: usize,
    /// Items that others store with it.
    pub items: usize,
    /// Memory that those take, about, in bytes.
    #[serde(default)]
    pub item_bytes: usize,
    /// Our own announces that live and that another query has looked for.
    pub own_announces: usize,
    /// Of those, the ones that it has seen.
    pub own_announces_seen: usize,
    /// Our own announces that live whose key nodes crowd around.
    pub keys_under_alarm: usize,
    /// Of the nodes that say where they see it, those that see it at that port.
    pub external_port_votes: usize,
    /// All of those that see it at that address.
    pub external_votes: usize,
    /// Whether strangers have reached it: nodes that it had not contacted.
    pub reached: bool,
    /// Whether its id fits the address at which others see it (BEP 42).
    pub id_fits: bool,
    /// Names of routers that have no address.
    pub unresolved: Vec<String>,
    /// Datagrams that this host refused to send.
    pub send_failed: u64,
    /// What it sent and received.
    pub traffic: Traffic,
    /// Queries of others that were answered, by method.
    pub served: Vec<Named>,
    /// What was not done for others, or not taken from them, by reason.
    pub refused: Vec<Named>,
    /// What became of our own queries.
    pub own_queries: Vec<Named>,
}

/// A port at the router.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct PortView {
    /// The port of this host.
    pub port: u16,
    /// Whether it is one of UDP; otherwise of TCP.
    pub udp: bool,
    /// Whether the router has refused it; a port that is neither refused nor open has not been asked for.
    pub refused: bool,
    /// The port at which the world reaches it, where the router has opened one.
    pub external: Option<u16>,
}

/// Datagrams and bytes since the start.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Traffic {
    /// Datagrams received.
    pub received: u64,
    /// Their bytes, without headers.
    pub received_bytes: u64,
    /// Datagrams sent.
    pub sent: u64,
    /// Their bytes, without headers.
    pub sent_bytes: u64,
    /// Of the datagrams sent, our queries.
    pub queries_sent: u64,
    /// Of the datagrams sent, replies to queries of others, errors among them.
    pub replies_sent: u64,
}

/// A number with its name.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Named {
    /// The name.
    pub name: String,
    /// The number.
    pub count: u64,
}

/// The gateway in figures.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct GatewayView {
    /// Infohashes that it remembers.
    pub torrents: usize,
    /// Answers that wait for peers.
    pub held: usize,
    /// Bytes of memory that the torrents take.
    pub bytes: usize,
    /// Requests of clients that were read, by kind and transport.
    pub requests: Vec<Named>,
    /// Requests that were refused, or answered without an announce to the DHT, by reason.
    pub refused: Vec<Named>,
    /// What it has done for clients.
    pub work: Vec<Named>,
    /// How long clients waited for the answer to an announce.
    pub answers: HistogramView,
}

/// The index in figures.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct IndexView {
    /// Where its torrents come from: `mine`, `passive` or `survey`.
    pub mode: String,
    /// What it holds; nothing before that was measured, and while its database cannot be reached.
    pub holds: Option<IndexHoldsView>,
    /// Infohashes whose metadata is wanted.
    pub wanted: u64,
    /// What it has done since the start.
    pub work: Vec<Named>,
    /// Bytes of metadata that it has fetched since the start.
    pub metadata_bytes: u64,
    /// Where its survey is; nothing where there is none.
    pub survey: Option<SurveyView>,
}

/// How much the index holds.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct IndexHoldsView {
    /// Torrents.
    pub torrents: u64,
    /// One-way marks of torrents that must not come back.
    pub marks: u64,
    /// Bytes of the disk that are in use.
    pub used_bytes: u64,
    /// Bytes that it may use.
    pub most_bytes: u64,
}

/// Where the survey of the network is.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct SurveyView {
    /// Nodes that it knows.
    pub nodes: usize,
    /// The share of the key space that this sweep has come by, from 0 to 1.
    pub place: f64,
    /// Sweeps that were finished.
    pub sweeps: u64,
}

/// What is kept announced, in figures.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct AnnouncerView {
    /// Infohashes.
    pub infohashes: usize,
    /// Of those, the ones that are to be announced.
    pub wanted: usize,
    /// Infohashes in each state; none that is 0.
    pub states: Vec<Named>,
    /// Infohashes whose turn it is: they wait for the budget.
    pub behind: usize,
    /// Time in which those are announced, about, in seconds.
    pub catches_up_in_secs: u64,
    /// Copies that live, of all infohashes together.
    pub copies: usize,
    /// Infohashes that another node found within the last hour.
    pub seen_within_hour: usize,
    /// Announces since the start that came to their end.
    pub announces: u64,
    /// Of those, the ones that no node stored.
    pub failed: u64,
    /// Looks along another path since the start that got an answer.
    pub looks: u64,
    /// Of those, the ones that did not find it.
    pub not_seen: u64,
    /// Queries since the start, by what they were for.
    pub queries: Vec<Named>,
}

/// How long lookups for peers took, those of announces among them.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
pub struct LookupsView {
    /// Until the first peer came; lookups without any are not counted.
    pub first_peer: HistogramView,
    /// Until the end.
    pub end: HistogramView,
}

/// How many things took how long.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct HistogramView {
    /// The things that took up to this many seconds, those of the buckets before included.
    pub buckets: Vec<BucketView>,
    /// All things.
    pub count: u64,
    /// All times together, in seconds.
    pub sum_secs: f64,
}

/// One bucket of a histogram.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct BucketView {
    /// The longest time of the bucket, in seconds.
    pub up_to_secs: f64,
    /// Things that took no longer.
    pub count: u64,
}

impl View {
    /// The figures of this moment.
    #[must_use]
    pub fn new(facts: &Facts) -> Self {
        let nodes: Vec<NodeView> = facts.nodes.iter().map(NodeView::new).collect();
        let good = nodes.iter().map(|node| node.good_contacts).sum();
        // The first node of a private network has joined and knows no other yet.
        let known: usize = nodes.iter().map(|node| node.contacts).sum();
        Self {
            version: env!("CARGO_PKG_VERSION").to_owned(),
            process: std::process::id(),
            data_dir: facts.data_dir.display().to_string(),
            uptime_secs: facts.uptime.as_secs_f64(),
            ready: facts.ready && (good > 0 || known == 0),
            verdict: verdict(facts.ready, good, known),
            findings: Vec::new(),
            mapping: facts.mapping.as_ref().map(|ports| ports.iter().map(PortView::new).collect()),
            gateway: facts.gateway.as_ref().map(GatewayView::new),
            announcer: AnnouncerView::new(&facts.announcer),
            index: facts.index.as_ref().map(IndexView::new),
            memory_bytes: facts.memory_bytes,
            memory_limit_bytes: facts.memory_limit_bytes,
            lookups: LookupsView::new(facts.nodes.iter().map(|node| &node.latencies)),
            nodes,
        }
    }
}

impl View {
    /// Takes in what the doctor finds. A node that has not joined yet, or serves, says so; anything worse comes first.
    pub fn note(&mut self, report: &Report) {
        self.findings = report.cases.iter().map(CaseRecord::from).collect();
        if report.verdict() != Verdict::Well {
            self.verdict = report.headline();
        }
    }
}

impl AnnouncerView {
    /// The figures of this moment.
    #[must_use]
    pub fn new(totals: &Totals) -> Self {
        let states = totals.states.iter();
        let counters = &totals.counters;
        Self {
            infohashes: totals.infohashes(),
            wanted: totals.wanted(),
            states: states
                .map(|(state, &count)| Named { name: state.name().to_owned(), count: count as u64 })
                .collect(),
            behind: totals.behind,
            catches_up_in_secs: totals.catches_up_in.as_secs(),
            copies: totals.copies,
            seen_within_hour: totals.seen_within_hour,
            announces: counters.announces,
            failed: counters.failed,
            looks: counters.looks,
            not_seen: counters.not_seen,
            queries: named([("announce", counters.announce_queries), ("look", counters.look_queries)]),
        }
    }
}

/// How well it is, in a sentence.
fn verdict(joined: bool, good: usize, known: usize) -> String {
    match (joined, good, known) {
        (false, ..) => "no other node has answered yet: see that this host is online and may send UDP".to_owned(),
        (true, 0, 0) => "the first node of its network, waiting for others".to_owned(),
        (true, 0, _) => "no other node answers any more: see that this host is online and may send UDP".to_owned(),
        (true, 1, _) => "well: 1 node answers".to_owned(),
        (true, good, _) => format!("well: {good} nodes answer"),
    }
}

impl NodeView {
    fn new(status: &Status) -> Self {
        let (own_announces, own_announces_seen) = status.own_announces;
        Self {
            address: status.local_addr,
            family: match Family::of(&status.local_addr) {
                Family::V4 => "IPv4".to_owned(),
                Family::V6 => "IPv6".to_owned(),
            },
            id: status.id.to_string(),
            external_address: status.external_addr,
            contacts: status.contacts,
            good_contacts: status.good_contacts,
            network_size: status.network_size.map(|size| size.round() as u64),
            swarms: status.swarms,
            peers: status.peers,
            peer_bytes: status.peer_bytes,
            items: status.items,
            item_bytes: status.item_bytes,
            own_announces,
            own_announces_seen,
            keys_under_alarm: status.keys_under_alarm,
            external_port_votes: status.external_port_votes.0,
            external_votes: status.external_port_votes.1,
            reached: status.reached,
            id_fits: status.external_addr.is_none_or(|external| status.id.matches_address(external.ip())),
            unresolved: status.unresolved.clone(),
            send_failed: status.datagrams.failed,
            traffic: Traffic::new(&status.stats),
            served: served(&status.stats),
            refused: refused(&status.stats),
            own_queries: own_queries(&status.stats),
        }
    }
}

impl PortView {
    fn new(&(Wish { transport, port }, outcome): &(Wish, Outcome)) -> Self {
        let external = if let Outcome::Open(external) = outcome { Some(external) } else { None };
        Self { port, udp: transport == Transport::Udp, refused: outcome == Outcome::Refused, external }
    }
}

impl GatewayView {
    fn new((load, stats): &(Load, gateway::Stats)) -> Self {
        let &Load { torrents, held, bytes } = load;
        Self {
            torrents,
            held,
            bytes,
            requests: named([
                ("announce_http", stats.announces_by_http),
                ("announce_udp", stats.announces_by_udp),
                ("scrape_http", stats.scrapes_by_http),
                ("scrape_udp", stats.scrapes_by_udp),
            ]),
            refused: named([
                ("denied", stats.refused),
                ("not_announced", stats.not_announced),
                ("malformed", stats.malformed),
                ("web_page", stats.pages_refused),
                ("connection_id", stats.connections_refused),
            ]),
            work: named([
                ("new_client", stats.new_clients),
                ("held", stats.held),
                ("lookup", stats.lookups),
                ("count", stats.swarms_counted),
                ("dht_announce", stats.dht_announces),
                ("relay", stats.relays),
                ("metadata_asked", stats.clients_asked),
                ("metadata_unread", stats.metadata_unread),
            ]),
            answers: HistogramView::new(&stats.answers),
        }
    }
}

impl IndexView {
    fn new(figures: &index::Figures) -> Self {
        let Activity { asked, sampled, seen, fetched, failed, private, refused, bytes, connected, wanted } =
            figures.activity;
        Self {
            mode: figures.mode.name().to_owned(),
            holds: figures.totals.map(|totals| IndexHoldsView {
                torrents: totals.torrents,
                marks: totals.marks,
                used_bytes: totals.used_bytes,
                most_bytes: totals.most_bytes,
            }),
            wanted,
            work: named([
                ("query", asked),
                ("sample", sampled),
                ("infohash_seen", seen),
                ("connection", connected),
                ("fetched", fetched),
                ("not_given", failed),
                ("private", private),
                ("refused", refused),
            ]),
            metadata_bytes: bytes,
            survey: figures.sweep.map(|index::SweepFigures { nodes, place, sweeps }| SurveyView {
                nodes,
                place,
                sweeps,
            }),
        }
    }
}

impl Traffic {
    fn new(stats: &Stats) -> Self {
        Self {
            received: stats.received,
            received_bytes: stats.received_bytes,
            sent: stats.sent,
            sent_bytes: stats.sent_bytes,
            queries_sent: stats.queries,
            replies_sent: stats.sent.saturating_sub(stats.queries),
        }
    }
}

fn named<const N: usize>(all: [(&str, u64); N]) -> Vec<Named> {
    all.map(|(name, count)| Named { name: name.to_owned(), count }).into()
}

fn served(stats: &Stats) -> Vec<Named> {
    named([
        ("ping", stats.pings),
        ("find_node", stats.find_nodes),
        ("get_peers", stats.get_peers),
        ("announce_peer", stats.announces),
        ("sample_infohashes", stats.samples),
        ("get", stats.gets),
        ("put", stats.puts),
    ])
}

fn refused(stats: &Stats) -> Vec<Named> {
    named([
        ("malformed", stats.malformed),
        ("unanswerable", stats.unanswerable),
        ("limited", stats.limited),
        ("read_only", stats.ignored),
        ("error", stats.refused),
        ("bad_token", stats.bad_tokens),
        ("announce_not_stored", stats.announces_not_stored),
        ("contacts_withheld", stats.hot_answers),
        ("token_withheld", stats.tokens_withheld),
        ("item_not_stored", stats.items_not_stored),
        ("peer_displaced", stats.displaced_peers),
        ("swarm_displaced", stats.displaced_swarms),
        ("contact", stats.entries_refused),
        ("answer_not_counted", stats.answers_not_counted),
        ("peer_not_reported", stats.peers_not_reported),
        ("lookup_cut_short", stats.lookups_cut_short),
        ("unmatched", stats.unmatched),
    ])
}

fn own_queries(stats: &Stats) -> Vec<Named> {
    named([
        ("response", stats.responses),
        ("error", stats.errors),
        ("timeout", stats.timeouts),
        ("paced", stats.paced),
        ("not_sent", stats.queries_not_sent),
    ])
}

impl LookupsView {
    fn new<'a>(nodes: impl Iterator<Item = &'a Latencies>) -> Self {
        let all = nodes.fold(Latencies::default(), |all, node| Latencies {
            first_peer: all.first_peer.plus(&node.first_peer),
            end: all.end.plus(&node.end),
        });
        Self { first_peer: HistogramView::new(&all.first_peer), end: HistogramView::new(&all.end) }
    }
}

impl HistogramView {
    fn new(histogram: &Histogram) -> Self {
        let mut count = 0;
        let mut bucket = |(&bound, &more): (&u64, &u64)| {
            count += more;
            BucketView { up_to_secs: bound as f64 / 1e3, count }
        };
        let buckets = BOUNDS_MS.iter().zip(&histogram.buckets).map(&mut bucket).collect();
        Self { buckets, count: histogram.count(), sum_secs: histogram.sum.as_secs_f64() }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_verdict_is_about_answers_not_about_numbers() {
        for (joined, good, known, ready, word) in [
            (false, 0, 0, false, "yet"),
            (true, 0, 0, true, "first node"),
            (true, 0, 5, false, "any more"),
            (true, 3, 5, true, "well: 3"),
        ] {
            assert!(verdict(joined, good, known).contains(word), "{joined} {good} {known}");
            assert_eq!(joined && (good > 0 || known == 0), ready);
        }
    }

    #[test]
    fn buckets_contain_those_before_them() {
        let mut histogram = Histogram::default();
        [1, 3, 60_000].into_iter().for_each(|millis| histogram.note(Duration::from_millis(millis)));
        let view = HistogramView::new(&histogram);
        assert_eq!((view.buckets[0].count, view.buckets[1].count, view.buckets[11].count), (1, 2, 2));
        assert_eq!((view.count, view.sum_secs), (3, 60.004));
    }
}
