//! The metrics: the figures of a [`View`] in OpenMetrics, for Prometheus and whatever reads its text.
//!
//! [`METRICS`] is the one list: the answer of `/metrics` and docs/METRICS.md are made from it. Labels have few values:
//! addresses of ours, families, and words of the program, never anything that a remote chooses.

use std::fmt;

use prometheus_client::collector::Collector;
use prometheus_client::encoding::text::encode;
use prometheus_client::encoding::{DescriptorEncoder, MetricEncoder, NoLabelSet};
use prometheus_client::metrics::MetricType;
use prometheus_client::registry::{Registry, Unit};

use super::doctor::record::FindingRecord;
use super::view::{GatewayView, HistogramView, IndexHoldsView, Named, NodeView, PortView, SurveyView, View};

/// What every name begins with.
pub const PREFIX: &str = "trackerless";

/// The type of the text (OpenMetrics 1.0).
pub const CONTENT_TYPE: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";

/// One metric.
#[derive(Debug)]
pub struct Metric {
    /// Its name, without the prefix, the unit and the `_total` of counters.
    pub name: &'static str,
    /// What it counts or measures.
    pub meaning: &'static str,
    /// Its unit; empty for numbers of things.
    pub unit: &'static str,
    /// What kind of number it is.
    pub kind: Kind,
    /// The names of its labels.
    pub labels: &'static [&'static str],
    samples: fn(&View) -> Vec<Sample>,
}

/// What kind of number a metric is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// A number that only grows, from 0 at the start.
    Counter,
    /// A number that comes and goes.
    Gauge,
    /// How many things took how long.
    Histogram,
}

/// One value of a metric, with the values of its labels in their order.
struct Sample {
    labels: Vec<String>,
    value: Value,
}

enum Value {
    Count(u64),
    Level(f64),
    Histogram(HistogramView),
}

/// Makes of each row an element of [`METRICS`]: the meaning as a comment, the kind, the name, the unit, the labels, and how
/// the values follow from a view.
macro_rules! metrics {
    ($( #[doc = $meaning:literal] $kind:ident $name:ident($unit:literal) $labels:tt = $samples:expr; )+) => {
        /// All metrics, in the order in which they are told.
        pub static METRICS: [Metric; [$( stringify!($name), )+].len()] = [$( Metric {
            name: stringify!($name),
            meaning: $meaning.trim_ascii(),
            unit: $unit,
            kind: Kind::$kind,
            labels: &$labels,
            samples: $samples,
        }, )+];
    };
}

metrics! {
    /// 1 for the version that runs
    Gauge build("") ["version"] = |view| vec![Sample { labels: vec![view.version.clone()], value: Value::Level(1.0) }];
    /// Time since the node was started
    Gauge uptime("seconds") [] = |view| level(view.uptime_secs);
    /// 1 if the node has joined the network and other nodes answer, otherwise 0
    Gauge ready("") [] = |view| level(f64::from(u8::from(view.ready)));
    /// 1 for each finding of the doctor at this moment (docs/DOCTOR.md); none where all is well
    Gauge finding("") ["code", "severity"] = |view| {
        let all = view.findings.iter().flat_map(|case| std::iter::once(&case.finding).chain(&case.consequences));
        let labels = |finding: &FindingRecord| vec![finding.code.clone(), finding.severity.clone()];
        all.map(|finding| Sample { labels: labels(finding), value: Value::Level(1.0) }).collect()
    };
    /// 1 if strangers have reached the node: nodes that it had not contacted
    Gauge reached("") ["address", "family"] = |view| of_nodes(view, |node| usize::from(node.reached));
    /// Ports of this host that are wished for at the router: `wished` all of them, and those that are `open`
    Gauge router_ports("") ["state"] = |view| {
        let sample = |state: &str, count: usize| Sample { labels: vec![state.to_owned()], value: Value::Level(count as f64) };
        let both = |ports: &Vec<PortView>| {
            [sample("wished", ports.len()), sample("open", ports.iter().filter(|port| port.external.is_some()).count())]
        };
        view.mapping.iter().flat_map(both).collect()
    };
    /// Contacts in the routing table: `all` of them, and those that are `good` (BEP 5)
    Gauge contacts("") ["address", "family", "state"] = |view| of_states(view, |node| {
        vec![("all", node.contacts), ("good", node.good_contacts)]
    });
    /// Estimated number of nodes in the network
    Gauge network_size("nodes") ["address", "family"] = |view| {
        let known = view.nodes.iter().filter_map(|node| Some((node, node.network_size?)));
        known.map(|(node, size)| Sample { labels: place(node), value: Value::Level(size as f64) }).collect()
    };
    /// Infohashes that others store with the node
    Gauge swarms("") ["address", "family"] = |view| of_nodes(view, |node| node.swarms);
    /// Peers that others store with the node
    Gauge peers("") ["address", "family"] = |view| of_nodes(view, |node| node.peers);
    /// Items that others store with the node (BEP 44)
    Gauge items("") ["address", "family"] = |view| of_nodes(view, |node| node.items);
    /// Announces of the node's own that live and that another query has looked for: `all` of them, and those that it has `seen`
    Gauge own_announces("") ["address", "family", "state"] = |view| of_states(view, |node| {
        vec![("all", node.own_announces), ("seen", node.own_announces_seen)]
    });
    /// Datagrams that were received and sent
    Counter datagrams("") ["address", "family", "direction"] = |view| of_directions(view, |node| {
        [node.traffic.received, node.traffic.sent]
    });
    /// Bytes of those datagrams, without headers
    Counter datagrams("bytes") ["address", "family", "direction"] = |view| of_directions(view, |node| {
        [node.traffic.received_bytes, node.traffic.sent_bytes]
    });
    /// Queries that the node sent
    Counter queries_sent("") ["address", "family"] = |view| counts(view, |node| node.traffic.queries_sent);
    /// Replies to queries of others that the node sent, errors among them
    Counter replies_sent("") ["address", "family"] = |view| counts(view, |node| node.traffic.replies_sent);
    /// Queries of others that were answered
    Counter queries_served("") ["address", "family", "method"] = |view| named(view, |node| &node.served);
    /// What was not done for others, or not taken from them
    Counter refused("") ["address", "family", "reason"] = |view| named(view, |node| &node.refused);
    /// What became of the node's own queries
    Counter own_queries("") ["address", "family", "outcome"] = |view| named(view, |node| &node.own_queries);
    /// Time from the begin of a lookup for peers to its first peer; lookups without any are not counted
    Histogram lookup_first_peer("seconds") [] = |view| histogram(&view.lookups.first_peer);
    /// Time from the begin of a lookup for peers to its end
    Histogram lookup("seconds") [] = |view| histogram(&view.lookups.end);
    /// Infohashes that the gateway remembers
    Gauge gateway_torrents("") [] = |view| gateway(view, |gateway| gateway.torrents);
    /// Answers of the gateway that wait for peers
    Gauge gateway_held_answers("") [] = |view| gateway(view, |gateway| gateway.held);
    /// Memory that the gateway's torrents take
    Gauge gateway_memory("bytes") [] = |view| gateway(view, |gateway| gateway.bytes);
    /// Requests of clients that the gateway has read, by what was asked and how
    Counter gateway_requests("") ["kind"] = |view| of_gateway(view, |gateway| &gateway.requests);
    /// Requests that the gateway refused, or answered without an announce to the DHT
    Counter gateway_refused("") ["reason"] = |view| of_gateway(view, |gateway| &gateway.refused);
    /// What the gateway has done for clients: lookups, announces to the DHT, answers that it held
    Counter gateway_work("") ["kind"] = |view| of_gateway(view, |gateway| &gateway.work);
    /// Time that clients waited for the answer to an announce
    Histogram gateway_answer("seconds") [] = |view| {
        view.gateway.iter().flat_map(|gateway| histogram(&gateway.answers)).collect()
    };
    /// Infohashes that are kept announced, by their state
    Gauge announcer_infohashes("") ["state"] = |view| {
        let sample = |named: &Named| Sample { labels: vec![named.name.clone()], value: Value::Level(named.count as f64) };
        view.announcer.states.iter().map(sample).collect()
    };
    /// Infohashes whose turn to be announced it is: they wait for the budget
    Gauge announcer_behind("") [] = |view| level(view.announcer.behind as f64);
    /// Copies that live, of all infohashes that are kept announced
    Gauge announcer_copies("") [] = |view| level(view.announcer.copies as f64);
    /// Infohashes kept announced that another node found within the last hour
    Gauge announcer_seen_within_hour("") [] = |view| level(view.announcer.seen_within_hour as f64);
    /// Queries sent to announce what is kept announced, and to look for it
    Counter announcer_queries("") ["purpose"] = |view| named_counts(&view.announcer.queries);
    /// Torrents in the index
    Gauge index_torrents("") [] = |view| index_holds(view, |holds| holds.torrents);
    /// Disk of the index: what is `used` of it, and the `most` that it may use
    Gauge index_disk("bytes") ["state"] = |view| {
        let holds = view.index.iter().filter_map(|index| index.holds.as_ref());
        let both = |holds: &IndexHoldsView| [("used", holds.used_bytes), ("most", holds.most_bytes)];
        let sample = |(state, bytes): (&str, u64)| Sample { labels: vec![state.to_owned()], value: Value::Level(bytes as f64) };
        holds.flat_map(both).map(sample).collect()
    };
    /// Infohashes whose metadata the index wants
    Gauge index_wanted("") [] = |view| view.index.iter().flat_map(|index| level(index.wanted as f64)).collect();
    /// What the index has done: queries, samples (BEP 51), infohashes seen, connections; torrents by what came of their metadata
    Counter index_work("") ["kind"] = |view| view.index.iter().flat_map(|index| named_counts(&index.work)).collect();
    /// Metadata that the index has fetched (BEP 9)
    Counter index_metadata("bytes") [] = |view| {
        view.index.iter().map(|index| Sample { labels: Vec::new(), value: Value::Count(index.metadata_bytes) }).collect()
    };
    /// Nodes that the survey of the index knows
    Gauge index_survey("nodes") [] = |view| survey(view, |survey| survey.nodes as f64);
    /// The share of the key space that the present sweep of the survey has come by, from 0 to 1
    Gauge index_survey_place("ratio") [] = |view| survey(view, |survey| survey.place);
    /// Sweeps of the key space that the survey has finished
    Gauge index_survey_sweeps("") [] = |view| survey(view, |survey| survey.sweeps as f64);
    /// Memory by part: what the whole `program` takes of the host, and of that, about, `peers` and `items` of others and the `gateway`
    Gauge memory("bytes") ["part"] = |view| memory(view);
    /// Memory that the program may take, as configured
    Gauge memory_limit("bytes") [] = |view| level(view.memory_limit_bytes as f64);
}

fn memory(view: &View) -> Vec<Sample> {
    let of_nodes = |bytes: fn(&NodeView) -> usize| Some(view.nodes.iter().map(|node| bytes(node) as f64).sum());
    let parts = [
        ("program", view.memory_bytes.map(|bytes| bytes as f64)),
        ("peers", of_nodes(|node| node.peer_bytes)),
        ("items", of_nodes(|node| node.item_bytes)),
        ("gateway", view.gateway.as_ref().map(|gateway| gateway.bytes as f64)),
    ];
    let sample = |(part, bytes): (&str, Option<f64>)| {
        Some(Sample { labels: vec![part.to_owned()], value: Value::Level(bytes?) })
    };
    parts.into_iter().filter_map(sample).collect()
}

/// The text of all metrics.
#[must_use]
pub fn render(view: View) -> String {
    let mut registry = Registry::with_prefix(PREFIX);
    registry.register_collector(Box::new(Snapshot(view)));
    let mut text = String::new();
    encode(&mut text, &registry).expect("a string takes all");
    text
}

impl Metric {
    /// The name as it is scraped; of a histogram, what its three names begin with.
    #[must_use]
    pub fn full_name(&self) -> String {
        let unit = if self.unit.is_empty() { String::new() } else { format!("_{}", self.unit) };
        let total = if self.kind == Kind::Counter { "_total" } else { "" };
        format!("{PREFIX}_{}{unit}{total}", self.name)
    }
}

#[derive(Debug)]
struct Snapshot(View);

impl Collector for Snapshot {
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> Result<(), fmt::Error> {
        for metric in &METRICS {
            let samples = (metric.samples)(&self.0);
            if samples.is_empty() {
                continue;
            }
            let unit = (!metric.unit.is_empty()).then(|| Unit::Other(metric.unit.to_owned()));
            let kind = match metric.kind {
                Kind::Counter => MetricType::Counter,
                Kind::Gauge => MetricType::Gauge,
                Kind::Histogram => MetricType::Histogram,
            };
            let mut family = encoder.encode_descriptor(metric.name, metric.meaning, unit.as_ref(), kind)?;
            for Sample { labels, value } in samples {
                let labels: Vec<(&str, String)> = metric.labels.iter().copied().zip(labels).collect();
                if labels.is_empty() {
                    write(&mut family, &value)?;
                } else {
                    write(&mut family.encode_family(&labels)?, &value)?;
                }
            }
        }
        Ok(())
    }
}

fn write(encoder: &mut MetricEncoder<'_>, value: &Value) -> Result<(), fmt::Error> {
    match value {
        Value::Count(count) => encoder.encode_counter::<NoLabelSet, _, u64>(count, None),
        Value::Level(level) => encoder.encode_gauge(level),
        Value::Histogram(histogram) => {
            // Theirs are the things of one bucket, ours those of the buckets before as well.
            let mut before = 0;
            let mut alone = |up_to, count| (up_to, count - std::mem::replace(&mut before, count));
            let mut buckets: Vec<(f64, u64)> =
                histogram.buckets.iter().map(|bucket| alone(bucket.up_to_secs, bucket.count)).collect();
            buckets.push(alone(f64::INFINITY, histogram.count));
            encoder.encode_histogram::<NoLabelSet>(histogram.sum_secs, histogram.count, &buckets, None)
        }
    }
}

/// The first two labels of what concerns one node.
fn place(node: &NodeView) -> Vec<String> {
    vec![node.address.to_string(), node.family.clone()]
}

fn with(node: &NodeView, more: &str) -> Vec<String> {
    let mut labels = place(node);
    labels.push(more.to_owned());
    labels
}

fn level(level: f64) -> Vec<Sample> {
    vec![Sample { labels: Vec::new(), value: Value::Level(level) }]
}

fn histogram(histogram: &HistogramView) -> Vec<Sample> {
    vec![Sample { labels: Vec::new(), value: Value::Histogram(histogram.clone()) }]
}

fn of_nodes(view: &View, of: fn(&NodeView) -> usize) -> Vec<Sample> {
    let sample = |node: &NodeView| Sample { labels: place(node), value: Value::Level(of(node) as f64) };
    view.nodes.iter().map(sample).collect()
}

fn of_states(view: &View, of: fn(&NodeView) -> Vec<(&'static str, usize)>) -> Vec<Sample> {
    let states = view.nodes.iter().flat_map(|node| of(node).into_iter().map(move |state| (node, state)));
    let sample = |(node, (state, count))| Sample { labels: with(node, state), value: Value::Level(count as f64) };
    states.map(sample).collect()
}

fn counts(view: &View, of: fn(&NodeView) -> u64) -> Vec<Sample> {
    let sample = |node: &NodeView| Sample { labels: place(node), value: Value::Count(of(node)) };
    view.nodes.iter().map(sample).collect()
}

fn of_directions(view: &View, of: fn(&NodeView) -> [u64; 2]) -> Vec<Sample> {
    let both =
        view.nodes.iter().flat_map(|node| ["received", "sent"].into_iter().zip(of(node)).map(move |way| (node, way)));
    both.map(|(node, (way, count))| Sample { labels: with(node, way), value: Value::Count(count) }).collect()
}

fn named(view: &View, of: fn(&NodeView) -> &Vec<Named>) -> Vec<Sample> {
    let all = view.nodes.iter().flat_map(|node| of(node).iter().map(move |named| (node, named)));
    all.map(|(node, named)| Sample { labels: with(node, &named.name), value: Value::Count(named.count) }).collect()
}

fn gateway(view: &View, of: fn(&GatewayView) -> usize) -> Vec<Sample> {
    view.gateway.iter().flat_map(|gateway| level(of(gateway) as f64)).collect()
}

fn of_gateway(view: &View, of: fn(&GatewayView) -> &Vec<Named>) -> Vec<Sample> {
    view.gateway.iter().flat_map(|gateway| named_counts(of(gateway))).collect()
}

fn named_counts(all: &[Named]) -> Vec<Sample> {
    let sample = |named: &Named| Sample { labels: vec![named.name.clone()], value: Value::Count(named.count) };
    all.iter().map(sample).collect()
}

fn index_holds(view: &View, of: fn(&IndexHoldsView) -> u64) -> Vec<Sample> {
    let holds = view.index.iter().filter_map(|index| index.holds.as_ref());
    holds.flat_map(|holds| level(of(holds) as f64)).collect()
}

fn survey(view: &View, of: fn(&SurveyView) -> f64) -> Vec<Sample> {
    let surveys = view.index.iter().filter_map(|index| index.survey.as_ref());
    surveys.flat_map(|survey| level(of(survey))).collect()
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::announcer::view::{State, Totals};
    use crate::daemon::view::Facts;
    use crate::dht::Dht;
    use crate::index::service::{Activity, Figures, Mode, SweepFigures};
    use crate::index::store;
    use crate::net::mapping::{Outcome, Transport, Wish};
    use crate::tracker::server::Stats;

    const PAGE: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/docs/METRICS.md");
    const BEGIN: &str = "<!-- metrics: written by the test, do not edit -->\n";

    async fn view() -> View {
        let dht = Dht::builder().private_network(true).bind("127.0.0.1:0".parse().unwrap()).start().await.unwrap();
        View::new(&Facts {
            data_dir: "data".into(),
            uptime: Duration::from_millis(1500),
            ready: true,
            nodes: dht.status().await,
            mapping: Some(vec![(Wish { transport: Transport::Udp, port: 6880 }, Outcome::Open(6880))]),
            gateway: Some((crate::tracker::broker::Load { torrents: 1, held: 2, bytes: 3 }, Stats::default())),
            announcer: Totals { states: [(State::Visible, 1)].into(), ..Totals::default() },
            index: Some(Figures {
                mode: Mode::Survey,
                totals: Some(store::Totals::default()),
                activity: Activity::default(),
                sweep: Some(SweepFigures { nodes: 3, place: 0.5, sweeps: 1 }),
            }),
            memory_bytes: Some(4 << 20),
            memory_limit_bytes: 1 << 20,
        })
    }

    #[tokio::test]
    async fn every_metric_is_told_under_its_name_with_its_labels() {
        let view = view().await;
        let text = render(view);
        // A node that is alone cannot say how large the network is, and nothing is found here.
        for metric in METRICS.iter().filter(|metric| metric.name != "network_size" && metric.name != "finding") {
            let name = metric.full_name();
            let line =
                text.lines().find(|line| line.starts_with(&name)).unwrap_or_else(|| panic!("{name} is not in {text}"));
            let labels = metric.labels.iter().all(|label| line.contains(&format!("{label}=\"")));
            assert!(labels, "{line} has not all of {:?}", metric.labels);
        }
        assert!(text.contains("\ntrackerless_uptime_seconds 1.5\n") && text.ends_with("# EOF\n"), "{text}");
        for (part, bytes) in [("program", 4 << 20), ("peers", 0), ("items", 0), ("gateway", 3)] {
            let line = format!("\ntrackerless_memory_bytes{{part=\"{part}\"}} {bytes}.0\n");
            assert!(text.contains(&line), "{line}{text}");
        }
        assert!(text.contains("trackerless_lookup_seconds_bucket{le=\"+Inf\"} 0\n"), "{text}");
    }

    #[test]
    fn the_page_of_metrics_has_all_of_them() {
        let page = std::fs::read_to_string(PAGE).unwrap();
        let (head, _) = page.split_once(BEGIN).expect("the page has the mark");
        let rows = METRICS.iter().map(|metric| {
            let kind = format!("{:?}", metric.kind).to_lowercase();
            let labels = metric.labels.iter().map(|label| format!("`{label}`")).collect::<Vec<_>>().join(", ");
            format!("| `{}` | {kind} | {labels} | {} |\n", metric.full_name(), metric.meaning)
        });
        let table =
            "\n| metric | kind | labels | what it is |\n|---|---|---|---|\n".to_owned() + &rows.collect::<String>();
        let expected = format!("{head}{BEGIN}{table}");
        if std::env::var_os("BLESS").is_some() {
            std::fs::write(PAGE, &expected).unwrap();
        }
        assert!(
            std::fs::read_to_string(PAGE).unwrap() == expected,
            "docs/METRICS.md is behind: BLESS=1 cargo test metrics"
        );
    }
}
