//! How a command reaches the DHT: by the node that runs with its data folder, or by a short-lived node of its own.
//!
//! The running node knows the network already, so that nothing is joined, and no second node asks what the first could.
//! What comes of it is the same. `--alone`, and every flag that describes a node (`--bind`, `--lan` and the like), make it a
//! node of its own.

use std::cell::RefCell;
use std::net::{IpAddr, SocketAddr};
use std::ops::Deref;
use std::time::Duration;

use futures_util::stream::{self, LocalBoxStream};
use futures_util::{FutureExt, Stream, StreamExt};
use tokio::sync::watch;
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep};

use super::args::Setup;
use super::failure::{Failure, eprintln_quietly};
use super::output::Printer;
use super::progress::Progress;
use super::session::{self, Session};
use crate::daemon::config::Config;
use crate::daemon::control::SOCKET_FILE;
use crate::daemon::control::client::{Client, ClientError, Events};
use crate::daemon::control::record::{AnnounceRequest, LookupEvent};
use crate::dht::tree::Shelf;
use crate::dht::{Announced, ItemFound, ItemStored, Pong, SampleError, Sampled, Scraped};
use crate::engine::id::{InfoHash, Target};
use crate::engine::items::Item;

/// Time between two looks at a running node that has not joined yet.
const LOOK_AGAIN_AFTER: Duration = Duration::from_millis(200);

/// Settings that matter to a command beside the running node; any other flag describes a node of its own.
const OF_ALL_COMMANDS: [&str; 2] = ["data_dir", "log"];

/// What a command stands on: its settings, and whether it may use the running node.
#[derive(Debug)]
pub(super) struct Base {
    config: Config,
    alone: bool,
}

impl Deref for Base {
    type Target = Config;

    fn deref(&self) -> &Config {
        &self.config
    }
}

/// What every command that may use the running node begins with: what it stands on, its logs, and where results go.
pub(super) fn begin(setup: Setup, environment: &[(String, String)]) -> Result<(Base, Printer), Failure> {
    let alone = setup.alone;
    let (config, output) = session::begin(setup, environment)?;
    Ok((Base { config, alone }, output))
}

impl Base {
    /// The node that runs with the data folder, if there is one and it may be used. Says so.
    pub(super) async fn running(&self) -> Option<Client> {
        if self.alone {
            return None;
        }
        let client = Client::of_folder(&self.config.data_dir).await?;
        eprintln_quietly("via the running node");
        Some(client)
    }

    /// Whether there may be such a node: a look that needs no runtime.
    pub(super) fn may_be_running(&self) -> bool {
        !self.alone && self.config.data_dir.join(SOCKET_FILE).exists()
    }

    /// The same for a command that asks other nodes.
    async fn running_in_this_network(&self) -> Option<Running> {
        let describes_a_node = |key: &str| !OF_ALL_COMMANDS.contains(&key);
        let own = self.config.entries().any(|entry| entry.origin.is_flag() && describes_a_node(entry.setting.key));
        if own { None } else { self.running().await.map(Running::new) }
    }
}

/// A way into the DHT.
pub(super) enum Network {
    /// A short-lived node of our own.
    Own(Session),
    /// The node that runs with the data folder.
    Running(Running),
}

/// The running node, while a command uses it.
pub(super) struct Running {
    client: Client,
    /// What it failed at where a caller could not be told.
    failed: RefCell<Option<Failure>>,
}

impl Network {
    /// A node that has joined the DHT.
    pub(super) async fn open(base: &Base, patience: Duration) -> Result<Self, Failure> {
        match base.running_in_this_network().await {
            Some(running) => running.joined(patience).await.map(Self::Running),
            None => Session::open(base, patience).await.map(Self::Own),
        }
    }

    /// The same for a command that stays: it goes on joining.
    pub(super) async fn open_whenever(base: &Base, patience: Duration, progress: &Progress) -> Result<Self, Failure> {
        match base.running_in_this_network().await {
            Some(running) => Ok(Self::Running(running)),
            None => Session::open_whenever(base, patience, progress).await.map(Self::Own),
        }
    }

    /// A node that need not have joined: it only asks the nodes that it is told to ask.
    pub(super) async fn open_alone(base: &Base) -> Result<Self, Failure> {
        match base.running_in_this_network().await {
            Some(running) => Ok(Self::Running(running)),
            None => Session::open_alone(base).await.map(Self::Own),
        }
    }

    /// Another node, which has heard nothing of what this one does; nothing where the running node is asked, which is shown
    /// only what others tell.
    pub(super) async fn witness(&self, base: &Base, patience: Duration) -> Result<Option<Session>, Failure> {
        match self {
            Self::Own(_) => Session::open_beside(base, patience).await.map(Some),
            Self::Running(_) => Ok(None),
        }
    }

    /// The peers of a torrent, as they arrive.
    pub(super) fn find(&self, infohash: InfoHash) -> LocalBoxStream<'_, SocketAddr> {
        match self {
            Self::Own(session) => session.find(infohash).into_stream().flatten().boxed_local(),
            Self::Running(running) => running.find(infohash).boxed_local(),
        }
    }

    /// Announces that this host has a torrent.
    pub(super) async fn announce(&self, infohash: InfoHash, port: u16, seed: bool) -> Result<Announced, Failure> {
        match self {
            Self::Own(session) => Ok(session.announce(infohash, port, seed).await),
            Self::Running(running) => Ok(running.client.announce(infohash, AnnounceRequest { port, seed }).await?),
        }
    }

    /// The peer with this port at an address of ours that `witness` hears of; without one, that other nodes tell of.
    pub(super) async fn sees(
        &self,
        witness: Option<&Session>,
        infohash: InfoHash,
        port: u16,
    ) -> Result<Option<SocketAddr>, Failure> {
        let ips = self.external_ips().await?;
        match (self, witness) {
            (Self::Own(session), None) => Ok(session.sees(infohash, port, &ips).await),
            (_, Some(witness)) => Ok(witness.sees(infohash, port, &ips).await),
            (Self::Running(running), None) => Ok(running.sees(infohash, port, &ips).await?),
        }
    }

    /// Our addresses, as others see them.
    async fn external_ips(&self) -> Result<Vec<IpAddr>, Failure> {
        match self {
            Self::Own(session) => Ok(session.external_ips().await),
            Self::Running(running) => {
                let nodes = running.client.view().await?.nodes.into_iter();
                Ok(nodes.filter_map(|node| node.external_address).map(|addr| addr.ip()).collect())
            }
        }
    }

    /// Changes whenever what was written before should be written again; with what tells it so.
    pub(super) fn renewals(&self) -> (watch::Receiver<u64>, JoinSet<()>) {
        let mut teller = JoinSet::new();
        let renewals = match self {
            Self::Own(session) => session.renewals(),
            Self::Running(running) => {
                let (sender, renewals) = watch::channel(0);
                let client = running.client.clone();
                teller.spawn(async move { client.count_occasions(&sender).await });
                renewals
            }
        };
        (renewals, teller)
    }

    /// The item under a target; the nodes nearest to it that lack it are given it.
    pub(super) async fn renew_item(&self, target: Target, salt: &[u8]) -> Result<ItemFound, Failure> {
        match self {
            Self::Own(session) => Ok(session.renew_item(target, salt).await),
            Self::Running(running) => Ok(running.client.get_item(target, salt, true).await?),
        }
    }

    /// The item under a target.
    pub(super) async fn get_item(&self, target: Target, salt: &[u8]) -> Result<ItemFound, Failure> {
        match self {
            Self::Own(session) => Ok(session.get_item(target, salt).await),
            Self::Running(running) => Ok(running.client.get_item(target, salt, false).await?),
        }
    }

    /// Stores an item.
    pub(super) async fn put_item(&self, item: Item, cas: Option<i64>) -> Result<ItemStored, Failure> {
        match self {
            Self::Own(session) => Ok(session.put_item(item, cas).await),
            Self::Running(running) => Ok(running.client.put_item(&item, cas).await?),
        }
    }

    /// Counts a swarm.
    pub(super) async fn scrape(&self, infohash: InfoHash) -> Result<Scraped, Failure> {
        match self {
            Self::Own(session) => Ok(session.scrape(infohash).await),
            Self::Running(running) => Ok(running.client.scrape(infohash).await?),
        }
    }

    /// Asks one node for some of its infohashes.
    pub(super) async fn sample(&self, node: SocketAddr) -> Result<Result<Sampled, SampleError>, Failure> {
        match self {
            Self::Own(session) => Ok(session.sample(node).await),
            Self::Running(running) => Ok(running.client.sample(node).await?),
        }
    }

    /// Asks one node whether it is there.
    pub(super) async fn ping(&self, node: SocketAddr) -> Result<Option<Pong>, Failure> {
        match self {
            Self::Own(session) => Ok(session.ping(node).await),
            Self::Running(running) => Ok(running.client.ping(node).await?),
        }
    }

    /// Ends a node of our own.
    ///
    /// # Errors
    /// The running node failed at something that was not reported.
    pub(super) async fn close(self) -> Result<(), Failure> {
        match self {
            Self::Own(session) => {
                session.close().await;
                Ok(())
            }
            Self::Running(running) => running.failed.into_inner().map_or(Ok(()), Err),
        }
    }
}

impl Shelf for Network {
    async fn get_item(&self, target: Target, salt: &[u8]) -> ItemFound {
        self.get_item(target, salt).await.unwrap_or_else(|failure| self.note(failure))
    }

    async fn put_item(&self, item: Item, cas: Option<i64>) -> ItemStored {
        self.put_item(item, cas).await.unwrap_or_else(|failure| self.note(failure))
    }
}

impl Network {
    /// Keeps a failure for the end.
    fn note<T: Default>(&self, failure: Failure) -> T {
        if let Self::Running(running) = self {
            running.failed.replace(Some(failure));
        }
        T::default()
    }
}

impl Running {
    const fn new(client: Client) -> Self {
        Self { client, failed: RefCell::new(None) }
    }

    /// How it is asked.
    pub(super) const fn client(&self) -> &Client {
        &self.client
    }

    /// Waits until it has joined, for `patience` at most.
    async fn joined(self, patience: Duration) -> Result<Self, Failure> {
        let until = Instant::now() + patience;
        let mut is_told = false;
        loop {
            let view = self.client.view().await?;
            if view.ready {
                return Ok(self);
            }
            if !std::mem::replace(&mut is_told, true) {
                let (verdict, seconds) = (&view.verdict, patience.as_secs());
                eprintln_quietly(format_args!("waiting until it has joined, for {seconds} s at most: {verdict}"));
            }
            if Instant::now() >= until {
                let cure = "wait until it has joined: `trackerless status` says how it is";
                return Err(Failure::no_network(format_args!("the running node: {}", view.verdict), cure));
            }
            sleep(LOOK_AGAIN_AFTER).await;
        }
    }

    /// The peers of a torrent, as they arrive. A failure is told at the end.
    fn find(&self, infohash: InfoHash) -> impl Stream<Item = SocketAddr> + '_ {
        let events = stream::once(async move { self.client.look_up(infohash, None).await });
        let peers = events.filter_map(async |events| match events {
            Ok(events) => Some(self.peers(events)),
            Err(error) => {
                self.failed.replace(Some(error.into()));
                None
            }
        });
        peers.flatten()
    }

    fn peers(&self, events: Events<LookupEvent>) -> impl Stream<Item = SocketAddr> + '_ {
        let steps = stream::unfold(events, async |mut events| match events.next().await {
            Ok(Some(LookupEvent::Peers { peers, .. })) => Some((peers, events)),
            Ok(Some(_)) => Some((Vec::new(), events)),
            Ok(None) => None,
            Err(error) => {
                self.failed.replace(Some(error.into()));
                None
            }
        });
        steps.flat_map(stream::iter)
    }

    /// The peer with this port at one of `ips` that another node tells of; at any address where we do not know how others
    /// see us.
    async fn sees(&self, infohash: InfoHash, port: u16, ips: &[IpAddr]) -> Result<Option<SocketAddr>, ClientError> {
        let ours = |peer: &SocketAddr| peer.port() == port && (ips.is_empty() || ips.contains(&peer.ip()));
        let mut events = self.client.look_up(infohash, None).await?;
        while let Some(event) = events.next().await? {
            if let LookupEvent::Peers { from: Some(_), peers, .. } = event
                && let Some(peer) = peers.into_iter().find(ours)
            {
                return Ok(Some(peer));
            }
        }
        Ok(None)
    }
}

impl From<ClientError> for Failure {
    fn from(error: ClientError) -> Self {
        Self::no_network(&error, error.cure())
    }
}
