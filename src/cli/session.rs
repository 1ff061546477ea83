//! The short-lived node of a command: read-only (BEP 43), so that no other node relies on it; it starts from what a
//! running node has saved, and never takes the lock of the data folder.

use std::collections::BTreeSet;
use std::fmt::Display;
use std::future::Future;
use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use tokio::sync::watch;

use super::args::{Setup, Swarms};
use super::failure::{Failure, NO_ROOM, cure_of};
use super::logging;
use super::output::Printer;
use super::progress::Progress;
use super::settings::SettingFlags;
use super::target::Selection;
use crate::daemon::config::{Config, HostPort};
use crate::dht::{
    self, Announced, Dht, DhtBuilder, ItemFound, ItemStored, PeerStream, Pong, SampleError, Sampled, Scraped,
    StartError,
};
use crate::engine::contact::canonical;
use crate::engine::id::{Id, InfoHash, Target};
use crate::engine::items::Item;
use crate::engine::node::Serve;
use crate::net::bootstrap::look_up;
use crate::net::resources;

/// Torrents that are looked up or announced at once. More would only wait for the pace of new destinations.
pub(super) const AT_ONCE: usize = 16;

/// How long a command waits for the second family once the first has joined.
const OTHER_FAMILY_PATIENCE: Duration = Duration::from_secs(1);

/// How long a command waits for the addresses of names before it says so.
const NAMES_PATIENCE: Duration = Duration::from_secs(3);

/// Longest time that the addresses of the node that a command asks may take.
const NAME_TIMEOUT: Duration = Duration::from_secs(10);

/// A short-lived node.
#[derive(Debug)]
pub(super) struct Session {
    dht: Dht,
}

/// What came of joining.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Joined {
    /// Other nodes are known.
    Network,
    /// There is nothing to join: no node is known to begin with.
    Nothing,
    /// The time was over.
    NotYet,
}

impl Session {
    /// A node that has joined the DHT.
    pub(super) async fn open(config: &Config, patience: Duration) -> Result<Self, Failure> {
        Self::join(config, &binds(config), patience).await
    }

    /// Another one beside it: at the same addresses, but on ports of its own.
    pub(super) async fn open_beside(config: &Config, patience: Duration) -> Result<Self, Failure> {
        let mut binds = binds(config);
        binds.iter_mut().for_each(|addr| addr.set_port(0));
        Self::join(config, &binds, patience).await
    }

    /// The same as [`open`](Self::open), for a command that stays: after `patience` it says that there is no network
    /// yet, and goes on joining. Where no node is known to begin with, that is an error.
    pub(super) async fn open_whenever(
        config: &Config,
        patience: Duration,
        progress: &Progress,
    ) -> Result<Self, Failure> {
        let session = Self::start(config, &binds(config)).await?;
        loop {
            match session.joined(patience).await {
                Joined::Network => return Ok(session),
                Joined::Nothing => return Err(session.give_up(config).await),
                Joined::NotYet => {
                    let failure = session.why_alone(config).await;
                    progress.aside(|| failure.report());
                    progress.say("no other node has answered yet; still joining the DHT");
                }
            }
        }
    }

    async fn join(config: &Config, binds: &[SocketAddr], patience: Duration) -> Result<Self, Failure> {
        let session = Self::start(config, binds).await?;
        match session.joined(patience).await {
            Joined::Network => Ok(session),
            Joined::Nothing | Joined::NotYet => Err(session.give_up(config).await),
        }
    }

    async fn start(config: &Config, binds: &[SocketAddr]) -> Result<Self, Failure> {
        Ok(Self { dht: builder(config, binds).saved(dht::saved_contacts(&config.data_dir)).start().await? })
    }

    /// Waits until it has joined, for `patience` at most.
    async fn joined(&self, patience: Duration) -> Joined {
        let joining = async {
            let hint = tokio::time::sleep(NAMES_PATIENCE);
            tokio::select! {
                contacts = self.dht.bootstrapped() => return contacts,
                () = hint => {}
            }
            if let Some(names) = self.unresolved().await {
                say_names_are_awaited(&names);
            }
            self.dht.bootstrapped().await
        };
        match tokio::time::timeout(patience, joining).await {
            Err(_) => return Joined::NotYet,
            Ok(0) => return Joined::Nothing,
            Ok(_) => {}
        }
        // The other family is a network of its own: a moment more lets it take part.
        let _ = tokio::time::timeout(OTHER_FAMILY_PATIENCE, self.dht.bootstrapped_everywhere()).await;
        Joined::Network
    }

    async fn give_up(self, config: &Config) -> Failure {
        let failure = self.why_alone(config).await;
        self.close().await;
        failure
    }

    /// The names through which it cannot join yet, since their addresses are not known.
    async fn unresolved(&self) -> Option<String> {
        let all = self.dht.status().await;
        let names: BTreeSet<&str> = all.iter().flat_map(|node| &node.unresolved).map(String::as_str).collect();
        (!names.is_empty()).then(|| names.into_iter().collect::<Vec<_>>().join(", "))
    }

    /// Why it has joined nothing.
    async fn why_alone(&self, config: &Config) -> Failure {
        let answers: u64 = self.dht.status().await.iter().map(|node| node.stats.responses).sum();
        if answers == 0
            && let Some(names) = self.unresolved().await
        {
            return Failure::no_network(
                format_args!("no other node answered; no name server told the addresses of {names}"),
                "check that DNS works, or name a node by its address with --bootstrap ADDR:PORT",
            );
        }
        match config.routers().len() {
            0 => Failure::no_network("no node is known to begin with", "name one with --bootstrap HOST:PORT"),
            _ if answers > 0 => Failure::no_network(
                "a node answered, but it knows no other node, and nothing is stored with it",
                "name another one with --bootstrap HOST:PORT, or wait until others have joined it",
            ),
            _ => Failure::no_network(
                "no other node answered",
                "check that this host is online and may send UDP, or name a node with --bootstrap HOST:PORT",
            ),
        }
    }

    /// A node that joins nothing: it only asks the nodes that it is told to ask.
    pub(super) async fn open_alone(config: &Config) -> Result<Self, Failure> {
        Ok(Self { dht: builder(config, &binds(config)).bootstrap([""; 0]).start().await? })
    }

    /// The node itself.
    pub(super) const fn dht(&self) -> &Dht {
        &self.dht
    }

    /// The peers of a torrent, as they arrive.
    pub(super) async fn find(&self, infohash: InfoHash) -> PeerStream {
        self.dht.find_peers(infohash).await
    }

    /// Announces that this host has a torrent.
    pub(super) async fn announce(&self, infohash: InfoHash, port: u16, seed: bool) -> Announced {
        self.dht.announce(infohash, port, seed).await
    }

    /// The peer with this port at one of `ips` that this node hears of, asking the network; at any address where we do
    /// not know how others see us.
    pub(super) async fn sees(&self, infohash: InfoHash, port: u16, ips: &[IpAddr]) -> Option<SocketAddr> {
        let ours = |peer: SocketAddr| peer.port() == port && (ips.is_empty() || ips.contains(&peer.ip()));
        let mut peers = self.dht.find_peers(infohash).await;
        while let Some(peer) = peers.next().await {
            if ours(peer) {
                return Some(peer);
            }
        }
        None
    }

    /// Changes whenever what was written before should be written again.
    pub(super) fn renewals(&self) -> watch::Receiver<u64> {
        self.dht.announce_again()
    }

    /// Our addresses, as others see them.
    pub(super) async fn external_ips(&self) -> Vec<IpAddr> {
        self.dht.status().await.iter().filter_map(|node| node.external_addr).map(|addr| addr.ip()).collect()
    }

    /// The item under a target; the nodes nearest to it that lack it are given it.
    pub(super) async fn renew_item(&self, target: Target, salt: &[u8]) -> ItemFound {
        self.dht.renew_item(target, salt).await
    }

    /// The item under a target.
    pub(super) async fn get_item(&self, target: Target, salt: &[u8]) -> ItemFound {
        self.dht.get_item(target, salt).await
    }

    /// Stores an item.
    pub(super) async fn put_item(&self, item: Item, cas: Option<i64>) -> ItemStored {
        self.dht.put_item(item, cas).await
    }

    /// Counts a swarm.
    pub(super) async fn scrape(&self, infohash: InfoHash) -> Scraped {
        self.dht.scrape(infohash).await
    }

    /// Asks one node for some of its infohashes.
    pub(super) async fn sample(&self, node: SocketAddr) -> Result<Sampled, SampleError> {
        self.dht.sample(node, Target(Id::ZERO)).await
    }

    /// Asks one node whether it is there.
    pub(super) async fn ping(&self, node: SocketAddr) -> Option<Pong> {
        self.dht.ping(node).await
    }

    /// Ends the node.
    pub(super) async fn close(self) {
        // It keeps no folder, so there is nothing that could fail to be saved.
        let _ = self.dht.shutdown().await;
    }
}

/// The addresses that the command line names; without any the system chooses.
fn binds(config: &Config) -> Vec<SocketAddr> {
    if config.origins.bind.is_flag() { config.bind.clone() } else { Vec::new() }
}

fn builder(config: &Config, binds: &[SocketAddr]) -> DhtBuilder {
    binds.iter().fold(config.node().serve(Serve::Never), |builder, &addr| builder.bind(addr))
}

impl From<StartError> for Failure {
    fn from(error: StartError) -> Self {
        match error {
            StartError::Persist(error) => Self::usage(&error, error.cure()),
            StartError::Bind { .. } | StartError::NoAddress => {
                let cure = cure_of(&error, "name an address of this host and a free port with --bind ADDR:PORT");
                Self::no_network(error, cure)
            }
            error => Self::no_network(error, "try again"),
        }
    }
}

/// What every command that prints results begins with: its settings, its logs, and where results go.
pub(super) fn begin(setup: Setup, environment: &[(String, String)]) -> Result<(Config, Printer), Failure> {
    let config = Config::load(&setup.settings.into_sources(environment))?;
    logging::start_quiet(&config);
    Ok((config, Printer::new(setup.json)))
}

/// The same for a command that looks at what `run` would do, and so has all settings.
pub(super) fn begin_daemon(
    settings: SettingFlags<true>,
    json: bool,
    environment: &[(String, String)],
) -> Result<(Config, Printer), Failure> {
    let config = Config::load(&settings.into_sources(environment))?;
    logging::start_quiet(&config);
    Ok((config, Printer::new(json)))
}

/// The torrents that the command line and standard input name, and the keys after them; at least one.
pub(super) fn targets(swarms: &Swarms) -> Result<Selection, Failure> {
    Selection::read(swarms, std::io::stdin().lock())
}

/// Asks the addresses of a host one after the other until one has an answer.
pub(super) async fn first_answer<T>(
    node: &HostPort,
    ask: impl AsyncFn(SocketAddr) -> Result<Option<T>, Failure>,
) -> Result<T, Failure> {
    for addr in addresses(node, say_names_are_awaited).await? {
        if let Some(answer) = ask(addr).await? {
            return Ok(answer);
        }
    }
    let cure = "check the address, and that UDP is not blocked on the way; a read-only or a busy node may stay silent";
    Err(Failure::no_network(format_args!("{node} did not answer"), cure))
}

/// The addresses of a host, at least one, IPv4 first: more nodes are there. Where that takes long, `say` tells of which name.
pub(super) async fn addresses(node: &HostPort, say: impl FnOnce(&str)) -> Result<Vec<SocketAddr>, Failure> {
    let name = node.to_string();
    let looking_up = tokio::time::timeout(NAME_TIMEOUT, look_up(&name));
    tokio::pin!(looking_up);
    let answer = tokio::select! {
        answer = &mut looking_up => answer,
        () = tokio::time::sleep(NAMES_PATIENCE) => {
            say(&name);
            looking_up.await
        }
    };
    let failed = |why: &dyn Display| {
        Failure::no_network(format_args!("{node} has no address: {why}"), "check the name, and that DNS works")
    };
    let mut addrs = match answer {
        Ok(Ok(addrs)) if !addrs.is_empty() => addrs,
        Ok(Ok(_)) => return Err(failed(&"there is none")),
        Ok(Err(error)) => return Err(failed(&error)),
        Err(_) => return Err(failed(&"no name server answers")),
    };
    addrs.iter_mut().for_each(|addr| *addr = canonical(*addr));
    addrs.sort_by_key(SocketAddr::is_ipv6);
    addrs.dedup();
    Ok(addrs)
}

fn say_names_are_awaited(names: &str) {
    tracing::warn!(names, "waiting for a name server: the addresses of these names are not known yet");
}

/// The runtime, if this process may have what it needs.
pub(super) fn build(runtime: &mut tokio::runtime::Builder) -> Result<tokio::runtime::Runtime, Failure> {
    resources::raise_limit();
    resources::require().map_err(|error| Failure::no_network(format_args!("no room to begin: {error}"), NO_ROOM))?;
    runtime.enable_all().build().map_err(|error| Failure::no_network(error, NO_ROOM))
}

/// Runs a command to its end.
pub(super) fn block_on<T>(command: impl Future<Output = Result<T, Failure>>) -> Result<T, Failure> {
    let runtime = build(&mut tokio::runtime::Builder::new_current_thread())?;
    let ended = runtime.block_on(command);
    // Look-ups of names that the system has not answered are not waited for.
    runtime.shutdown_background();
    ended
}

/// The system does not tell us when to stop.
pub(super) fn no_signals(error: std::io::Error) -> Failure {
    Failure::usage(format_args!("signals cannot be heard: {error}"), "run the command without --keep")
}
