//! `trackerless nodes` and `trackerless status`: how the running node is, or what a node has saved last. Both only read, and
//! both say whether the node runs and how old what they tell is.

use std::collections::BTreeSet;
use std::net::SocketAddr;
use std::path::Path;
use std::time::Duration;

use serde::Serialize;

use super::args::StateArgs;
use super::failure::{Exit, Failure, eprintln_quietly};
use super::network::{self, Base};
use super::output::{as_text, counted};
use super::session;
use super::words::{estimated, size, span};
use crate::daemon::config::Config;
use crate::daemon::control::record::{OwnAnnounceRecord, OwnAnnouncesRecord};
use crate::daemon::view::{IndexView, View};
use crate::dht::{self, Found, SavedNode, State};
use crate::engine::contact::Family;
use crate::engine::id::{InfoHash, NodeId};
use crate::engine::node::OwnAnnounce;
use crate::net::clock::unix_seconds;
use crate::net::persist::Unreadable;

/// `trackerless nodes`
pub(super) fn nodes(args: StateArgs, environment: &[(String, String)]) -> Result<Exit, Failure> {
    let (base, output) = network::begin(args.setup, environment)?;
    if base.may_be_running()
        && let Some(live) = session::block_on(live_nodes(&base))?
    {
        eprintln_quietly(format_args!("{}; what follows is of now", saved_text(dht::last_saved(&base.data_dir))));
        live.iter().try_for_each(|node| output.result(node.text(), node))?;
        return Ok(if live.is_empty() { Exit::Nothing } else { Exit::Done });
    }
    let config: &Config = &base;
    let Some(state) = read(&config.data_dir)? else { return Ok(Exit::Nothing) };
    let running = running_text(dht::holder(&config.data_dir).as_deref());
    eprintln_quietly(format_args!("{}; {running}", saved_text(Some(state.saved_at))));
    let contacts: BTreeSet<_> = state.nodes.iter().flat_map(|node| &node.snapshot.contacts).collect();
    for contact in &contacts {
        let record = KnownNode { address: contact.addr, id: contact.id, family: family(&contact.addr) };
        output.result(record.text(), &record)?;
    }
    Ok(if contacts.is_empty() { Exit::Nothing } else { Exit::Done })
}

/// `trackerless status`
pub(super) fn status(args: StateArgs, environment: &[(String, String)]) -> Result<Exit, Failure> {
    let (base, output) = network::begin(args.setup, environment)?;
    let live = if base.may_be_running() { session::block_on(live_status(&base))? } else { None };
    let status = match live {
        Some(live) => live,
        None => match read(&base.data_dir)? {
            Some(state) => Status::new(&base.data_dir, &state),
            None => return Ok(Exit::Nothing),
        },
    };
    output.result(status.text(), &status)?;
    Ok(Exit::Done)
}

fn saved_text(saved_at: Option<u64>) -> String {
    match (saved_at, saved_at.and_then(age)) {
        (None, _) => "not saved yet".to_owned(),
        (_, Some(age)) => format!("saved {} ago", span(age)),
        (_, None) => "saved at a time that is to come (a clock was or is wrong)".to_owned(),
    }
}

/// The good nodes that the running node knows; nothing where none runs.
async fn live_nodes(base: &Base) -> Result<Option<Vec<KnownNode>>, Failure> {
    let Some(client) = base.running().await else { return Ok(None) };
    let nodes = client.nodes().await?.into_iter().filter(|node| node.state == "good");
    let known = nodes.filter_map(|node| {
        Some(KnownNode { id: NodeId(node.id.parse().ok()?), address: node.address, family: family(&node.address) })
    });
    let mut known: Vec<KnownNode> = known.collect();
    known.sort_by_key(|node| (node.id, node.address));
    Ok(Some(known))
}

/// How the running node is; nothing where none runs.
async fn live_status(base: &Base) -> Result<Option<Status>, Failure> {
    let Some(client) = base.running().await else { return Ok(None) };
    let (view, announces) = (client.view().await?, client.announces().await?);
    Ok(Some(Status::live(&view, &announces)))
}

/// The saved state; where there is none, says so.
fn read(data_dir: &Path) -> Result<Option<State>, Failure> {
    let cure = "name the folder of the node with --data-dir";
    match dht::look(data_dir).map_err(|error| Failure::usage(error, cure))? {
        Found::State(state) => Ok(Some(state)),
        Found::Nothing => {
            let folder = data_dir.display();
            match dht::holder(data_dir) {
                Some(process) => {
                    eprintln_quietly(format_args!("{process} runs with {folder} and has saved nothing yet"))
                }
                None => eprintln_quietly(format_args!("no saved state in {folder}; `trackerless run` makes one")),
            }
            Ok(None)
        }
        Found::Damaged { reason, .. } => Err(Failure::usage(
            format_args!("the saved state in {} is {}: {reason}", data_dir.display(), reason.verdict()),
            match reason {
                Unreadable::Format(_) => {
                    "use that version; `trackerless run` of this one sets the file aside and begins afresh"
                }
                _ => "start `trackerless run`: it sets the file aside and begins afresh",
            },
        )),
    }
}

/// A node that was good when the state was saved.
#[derive(Serialize)]
struct KnownNode {
    #[serde(serialize_with = "as_text")]
    id: NodeId,
    address: SocketAddr,
    family: &'static str,
}

/// The saved state in a few numbers.
#[derive(Serialize)]
struct Status {
    data_dir: String,
    /// Whether a node keeps the folder now.
    running: bool,
    /// The process that does, as its lock file names it.
    #[serde(skip)]
    holder: Option<String>,
    /// When its state was saved last, and how long ago; of a running node, whose numbers are of now, too. No age where that
    /// time is to come.
    saved_at: Option<u64>,
    age_seconds: Option<u64>,
    addresses: Vec<OwnAddress>,
    /// The index of the running node, where it has one.
    index: Option<IndexView>,
}

/// What was saved for one address that the node listens on.
#[derive(Serialize)]
struct OwnAddress {
    address: SocketAddr,
    family: &'static str,
    id: Option<String>,
    nodes: usize,
    torrents: usize,
    peers: usize,
    items: usize,
    /// What came of our own announces, one by one.
    announced: Vec<Announced>,
    /// The estimated number of nodes in the network, where that is more than are known here.
    network_size: Option<u64>,
}

/// Our last announce of one infohash.
#[derive(Serialize)]
struct Announced {
    #[serde(serialize_with = "as_text")]
    infohash: InfoHash,
    /// When the state was saved.
    age_seconds: u64,
    stored_at: usize,
    /// Of those, the ones that another query asked for it, and of those the ones that named us.
    verified_at: usize,
    verified: usize,
    /// Nodes crowded around the key: it was announced to its whole region.
    alarm: bool,
}

impl KnownNode {
    fn text(&self) -> String {
        format!("{}  {}", self.id, self.address)
    }
}

impl Announced {
    fn live(announce: &OwnAnnounceRecord) -> Option<Self> {
        Some(Self {
            infohash: announce.infohash.parse().ok()?,
            age_seconds: announce.age_secs,
            stored_at: announce.stored_at,
            verified_at: announce.verified_at,
            verified: announce.verified,
            alarm: announce.alarm,
        })
    }

    fn new(announce: &OwnAnnounce) -> Self {
        let OwnAnnounce { info_hash, age, stored, verified_at, verified, alarm } = *announce;
        Self { infohash: info_hash, age_seconds: age.as_secs(), stored_at: stored, verified_at, verified, alarm }
    }

    /// That a key is under alarm, and what was done.
    fn alarm_text(&self) -> String {
        let Self { infohash, stored_at, .. } = self;
        let stored = counted(*stored_at, "node");
        format!("\n    alarm  nodes crowd around {infohash}: announced to its whole region, stored on {stored}")
    }
}

impl Status {
    fn new(data_dir: &Path, state: &State) -> Self {
        let holder = dht::holder(data_dir);
        Self {
            data_dir: data_dir.display().to_string(),
            running: holder.is_some(),
            holder,
            saved_at: Some(state.saved_at),
            age_seconds: age(state.saved_at).map(|age| age.as_secs()),
            addresses: state.nodes.iter().map(OwnAddress::new).collect(),
            index: None,
        }
    }

    /// How the running node is now, and how old its file is.
    fn live(view: &View, announces: &[OwnAnnouncesRecord]) -> Self {
        let announced =
            |address| announces.iter().filter(move |own| own.address == address).flat_map(|own| &own.announces);
        let addresses = view.nodes.iter().map(|node| OwnAddress {
            address: node.address,
            family: family(&node.address),
            id: Some(node.id.clone()),
            nodes: node.good_contacts,
            torrents: node.swarms,
            peers: node.peers,
            items: node.items,
            announced: announced(node.address).filter_map(Announced::live).collect(),
            network_size: node.network_size.and_then(|size| estimated(size, node.good_contacts)),
        });
        let saved_at = dht::last_saved(Path::new(&view.data_dir));
        Self {
            data_dir: view.data_dir.clone(),
            running: true,
            holder: Some(format!("process {}", view.process)),
            saved_at,
            age_seconds: saved_at.and_then(age).map(|age| age.as_secs()),
            addresses: addresses.collect(),
            index: view.index.clone(),
        }
    }

    fn text(&self) -> String {
        let addresses: String = self.addresses.iter().map(OwnAddress::text).collect();
        let running = running_text(self.holder.as_deref());
        let index = self.index.as_ref().map(index_text).unwrap_or_default();
        format!("{} in {}; {running}{addresses}{index}", saved_text(self.saved_at), self.data_dir)
    }
}

impl OwnAddress {
    fn new(node: &SavedNode) -> Self {
        let torrents: BTreeSet<_> = node.snapshot.peers.iter().map(|stored| stored.info_hash).collect();
        Self {
            address: node.bound,
            family: family(&node.bound),
            id: node.snapshot.id.map(|id| id.to_string()),
            nodes: node.snapshot.contacts.len(),
            torrents: torrents.len(),
            peers: node.snapshot.peers.len(),
            items: node.snapshot.items.len(),
            announced: node.snapshot.own_announces.iter().map(Announced::new).collect(),
            network_size: node.snapshot.network_size.and_then(|size| estimated(size, node.snapshot.contacts.len())),
        }
    }

    fn text(&self) -> String {
        let Self { address, family, nodes, torrents, peers, items, announced, .. } = self;
        let id = self.id.as_deref().unwrap_or("not chosen yet");
        let size = self.network_size.map(|size| format!(" of about {size}")).unwrap_or_default();
        let torrents = counted(*torrents, "torrent");
        let looked_for = announced.iter().filter(|announce| announce.verified_at > 0);
        let seen = looked_for.clone().filter(|announce| announce.verified > 0).count();
        let evidence = match looked_for.count() {
            0 => String::new(),
            all => format!("; of {all} that another query looked for, {seen} seen"),
        };
        let own = match announced.len() {
            0 => String::new(),
            all => format!("\n    own    {} announced{evidence}", counted(all, "torrent")),
        };
        let alarms: String = announced.iter().filter(|announce| announce.alarm).map(Announced::alarm_text).collect();
        format!(
            "\n  {family}  {address}\n    id     {id}\n    nodes  {nodes}{size}\n    peers  {peers} of {torrents}, for others\n    \
             items  {items}, for others{own}{alarms}"
        )
    }
}

/// The index in a line.
fn index_text(index: &IndexView) -> String {
    let holds = match &index.holds {
        Some(holds) => format!("{} in {}", counted(holds.torrents as usize, "torrent"), size(holds.used_bytes)),
        None => "not measured".to_owned(),
    };
    format!("\n  index  {holds} ({}); metadata of {} wanted", index.mode, index.wanted)
}

const fn family(addr: &SocketAddr) -> &'static str {
    match Family::of(addr) {
        Family::V4 => "IPv4",
        Family::V6 => "IPv6",
    }
}

/// Whether the node runs, for people.
fn running_text(holder: Option<&str>) -> String {
    match holder {
        Some(process) => format!("the node runs ({process})"),
        None => "no node runs with it".to_owned(),
    }
}

/// The time since then; none where it is to come, by the clock of now.
fn age(saved_at: u64) -> Option<Duration> {
    unix_seconds().checked_sub(saved_at).map(Duration::from_secs)
}
