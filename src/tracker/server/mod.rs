//! The gateway's sockets and tasks: TCP and UDP on one port number, the [`Broker`] between them, and the DHT behind.
//!
//! One lock guards the broker and the answers that wait; nobody waits while holding it. [`Gateway::run`] owns every task
//! that it starts, in sets that end with it: dropping its future closes everything.

mod client;
#[cfg(test)]
mod combinations;
mod http;
mod keep;
mod names;
mod news;
mod probe;
mod stats;
#[cfg(test)]
mod tests;
mod udp;
mod upstream;
mod web;
mod work;

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::future::Future;
use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::path::PathBuf;
use std::str::FromStr;
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Duration;

use futures_util::future::BoxFuture;
use tokio::net::TcpListener;
use tokio::sync::{Notify, mpsc, oneshot, watch};
use tokio::task::JoinSet;
use tracing::info;

use self::news::News;
pub use self::stats::Stats;
use super::broker::{
    Broker, Client, Decision, Files, ListedClient, Load, Order, Policy, ScrapeTicket, Scraping, Ticket, Transport,
};
use super::http::DatedFile;
use super::udp::ConnectionIds;
use super::upstream::Source;
use super::{Announce, Answer, Counts};
use crate::engine::bloom::SwarmFilters;
use crate::engine::contact::Family;
use crate::engine::id::InfoHash;
use crate::engine::random::Random;
use crate::engine::time::Instant;
use crate::net::clock::unix_seconds;
use crate::net::handover;
use crate::net::http::page::Name;
use crate::net::nearness::{self, Site};
use crate::net::place;
use crate::net::whole_file::WholeFile;
use crate::peer::handshake::own_name;

/// The name by which many torrents call the tracker of their local network.
const RETRACKER: &str = "retracker.local";

/// What the gateway needs of the DHT.
pub trait Directory: Clone + Send + Sync + 'static {
    /// Looks for the peers of `info_hash` and reports them as they are found.
    fn find_peers(
        &self,
        info_hash: InfoHash,
        found: impl FnMut(&[SocketAddr]) + Send,
    ) -> impl Future<Output = ()> + Send;

    /// Announces that a client at our own address of each of these `families` takes part, and says how many nodes keep that.
    fn announce(
        &self,
        info_hash: InfoHash,
        port: u16,
        seed: bool,
        families: &[Family],
    ) -> impl Future<Output = usize> + Send;

    /// The address from which it announces in `family`, if it does.
    fn address(&self, family: Family) -> Option<IpAddr>;

    /// Counts the peers of `info_hash` (BEP 33); `None` if nobody answered.
    fn count(&self, info_hash: InfoHash) -> impl Future<Output = Option<SwarmFilters>> + Send;

    /// Whether the torrent is known to be private from elsewhere (BEP 27): then it is neither looked up nor announced.
    fn is_private(&self, _info_hash: InfoHash) -> impl Future<Output = bool> + Send {
        std::future::ready(false)
    }

    /// Counts of swarms that it knows from elsewhere, each with its time in seconds since 1970; in the order asked. It makes
    /// old ones anew by itself.
    fn counted(&self, ids: Vec<InfoHash>) -> impl Future<Output = Vec<Option<DatedCounts>>> + Send {
        std::future::ready(vec![None; ids.len()])
    }

    /// Waits until the DHT can be asked.
    fn joined(&self) -> impl Future<Output = ()> + Send;

    /// Changes whenever announces that were made before should be made again.
    fn announce_again(&self) -> watch::Receiver<u64>;

    /// How many nodes we know, and under which addresses they see us.
    fn standing(&self) -> impl Future<Output = (usize, Vec<IpAddr>)> + Send;
}

/// Counts of a swarm, and when they were made, in seconds since 1970.
pub type DatedCounts = (Counts, u64);

/// How a gateway behaves.
#[derive(Clone, Debug)]
pub struct Settings {
    /// Which local clients are announced to the DHT.
    pub policy: Policy,
    /// Torrents that are never served.
    pub denied: BTreeSet<InfoHash>,
    /// Whom we share our public address with.
    pub site: Site,
    /// Proxies in front of the gateway, whose word on the client's address counts.
    pub trusted_proxies: Vec<nearness::Range>,
    /// Other trackers that are told of clients, and asked for peers, and lists of such.
    pub upstream: Vec<Source>,
    /// Names and addresses by which clients may call the gateway, besides its own addresses and `localhost`.
    pub names: Vec<HostName>,
    /// Memory for all that the gateway remembers, in bytes.
    pub memory_bytes: usize,
    /// The folder in which the clients are kept over a restart; `None` keeps them nowhere.
    pub keep_in: Option<PathBuf>,
    /// Ports of this host at which other parts of the program listen: no client is asked there.
    pub spared_ports: Vec<u16>,
}

/// Memory of a gateway whose settings say nothing, in bytes.
const MEMORY_BYTES: usize = 24 << 20;

impl Default for Settings {
    fn default() -> Self {
        Self {
            policy: Policy::default(),
            denied: BTreeSet::new(),
            site: Site::default(),
            trusted_proxies: Vec::new(),
            upstream: Vec::new(),
            names: Vec::new(),
            memory_bytes: MEMORY_BYTES,
            keep_in: None,
            spared_ports: Vec::new(),
        }
    }
}

/// A name or an address without a port, in lower case.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HostName(String);

impl HostName {
    fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for HostName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// The text is no name of a host.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("a host is named as in tracker.example or 192.168.0.2, without a port")]
pub struct ParseHostNameError;

impl FromStr for HostName {
    type Err = ParseHostNameError;

    fn from_str(text: &str) -> Result<Self, ParseHostNameError> {
        if let Ok(ip) = text.trim_matches(['[', ']']).parse::<IpAddr>() {
            return Ok(Self(ip.to_canonical().to_string()));
        }
        let name = text.trim_end_matches('.').to_ascii_lowercase();
        let is_fine = |byte: u8| byte.is_ascii_alphanumeric() || b"-_.".contains(&byte);
        if name.is_empty() || !name.bytes().all(is_fine) { Err(ParseHostNameError) } else { Ok(Self(name)) }
    }
}

/// Time on the broker's clock when the gateway starts: clients that it remembers were seen before that.
const REMEMBERED: Duration = Duration::from_secs(8 * 24 * 3600);

/// A gateway that is bound and does not run yet.
#[derive(Debug)]
pub struct Gateway<D> {
    shared: Arc<Shared>,
    directory: D,
    doors: Vec<Door>,
    work: mpsc::UnboundedReceiver<Order>,
}

/// One address at which the gateway listens, by TCP and by UDP.
#[derive(Debug)]
struct Door {
    local: SocketAddr,
    listener: TcpListener,
    socket: udp::Socket,
    /// Answers over UDP that were held.
    late: mpsc::UnboundedReceiver<udp::Datagram>,
}

/// What all tasks of a gateway share.
#[derive(Debug)]
struct Shared {
    state: Mutex<State>,
    /// The broker wants to be woken earlier than before.
    earlier: Notify,
    start: tokio::time::Instant,
    /// Where the answers over UDP go that were held, for each door. Bounded as those are.
    late: Vec<mpsc::UnboundedSender<udp::Datagram>>,
    local: SocketAddr,
    /// Whether private torrents are kept from the DHT.
    respects_privacy: bool,
    site: Site,
    trusted_proxies: Vec<nearness::Range>,
    upstream: Arc<upstream::Trackers>,
    names: Vec<HostName>,
    /// Connections over HTTP at a time.
    connections: usize,
    probes: Mutex<probe::Budget>,
    connection_ids: ConnectionIds,
    our_peer_id: [u8; 20],
    /// The file of the clients.
    kept: Option<Arc<WholeFile>>,
    /// What others than the gateway have counted.
    elsewhere: Elsewhere,
}

/// Asks for counts that were made elsewhere.
struct Elsewhere(Box<dyn Fn(Vec<InfoHash>) -> Told + Send + Sync>);

/// Counts to come, in the order asked.
type Told = BoxFuture<'static, Vec<Option<DatedCounts>>>;

impl fmt::Debug for Elsewhere {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Elsewhere").finish_non_exhaustive()
    }
}

impl Elsewhere {
    fn of(directory: impl Directory) -> Self {
        Self(Box::new(move |ids| {
            let directory = directory.clone();
            Box::pin(async move { directory.counted(ids).await })
        }))
    }
}

#[derive(Debug)]
struct State {
    broker: Broker,
    /// Since when each waits is told beside it.
    waiting: BTreeMap<Ticket, (Waiter, Instant)>,
    scrapes: BTreeMap<ScrapeTicket, ScrapeWaiter>,
    news: News,
    stats: Stats,
    work: mpsc::UnboundedSender<Order>,
}

/// Where a held scrape goes.
#[derive(Debug)]
enum ScrapeWaiter {
    /// To the task that waits for it, by HTTP or UDP.
    Task(oneshot::Sender<Files>),
    Udp(udp::Return),
}

/// Where a held answer goes.
#[derive(Debug)]
enum Waiter {
    Http(oneshot::Sender<Answer>),
    Udp(udp::Return),
}

impl<D: Directory> Gateway<D> {
    /// Binds TCP and UDP to `addr`; for port 0 the system finds a number that is free for both. `seed` must be secret.
    ///
    /// # Errors
    /// The address is not ours, or the port is taken.
    pub async fn bind(addr: SocketAddr, settings: Settings, directory: D, seed: [u8; 32]) -> io::Result<Self> {
        let (doors, late) = open_doors(addr).await?;
        let local = doors[0].local;
        let mut random = Random::new(seed);
        let (sender, work) = mpsc::unbounded_channel();
        let mut broker = Broker::new(settings.policy, settings.denied, secret_seed(&mut random));
        broker.set_memory(settings.memory_bytes);
        if !settings.upstream.is_empty() {
            broker.relay_to_trackers();
        }
        let mut shared = Shared {
            state: Mutex::new(State {
                broker,
                waiting: BTreeMap::new(),
                scrapes: BTreeMap::new(),
                news: News::default(),
                stats: Stats::default(),
                work: sender,
            }),
            earlier: Notify::new(),
            start: tokio::time::Instant::now(),
            local,
            late,
            respects_privacy: settings.policy != Policy::Always,
            site: settings.site,
            trusted_proxies: settings.trusted_proxies,
            upstream: Arc::new(upstream::Trackers::new(settings.upstream)),
            names: settings.names,
            connections: http::most_connections(settings.memory_bytes),
            probes: Mutex::new(probe::Budget::new(
                [local.port()].into_iter().chain(settings.spared_ports),
                place::is_here,
            )),
            connection_ids: ConnectionIds::new(random.secret_key()).begun_at(unix_seconds()),
            our_peer_id: own_name(random.wire_id().0),
            kept: settings.keep_in.as_deref().map(keep::prepare).transpose()?.map(Arc::new),
            elsewhere: Elsewhere::of(directory.clone()),
        };
        let restored = shared.kept.as_ref().and_then(|file| keep::restore(&shared, file.path()));
        if let Some(key) = restored {
            // Who had a connection id of the earlier run has no need of another.
            shared.connection_ids = ConnectionIds::new(key).begun_at(unix_seconds());
        }
        Ok(Self { shared: Arc::new(shared), directory, doors, work })
    }

    /// Where the gateway listens, by TCP and by UDP.
    #[must_use]
    pub fn local_addr(&self) -> SocketAddr {
        self.shared.local
    }

    /// Something that tells how busy the gateway is while it runs.
    #[must_use]
    pub fn monitor(&self) -> Monitor {
        Monitor(Arc::clone(&self.shared))
    }

    /// Serves until the future is dropped.
    pub async fn run(self) {
        let Self { shared, directory, doors, work } = self;
        let mut tasks = JoinSet::new();
        // Tasks of their own: the thread that hears of a datagram answers it, where one big future would be woken elsewhere.
        for (index, Door { local, listener, socket, late }) in doors.into_iter().enumerate() {
            let of_http = Arc::clone(&shared);
            tasks.spawn(async move { http::serve(&of_http, &listener).await });
            let of_udp = Arc::clone(&shared);
            tasks.spawn(async move { udp::serve(&of_udp, udp::Way { door: index, local }, socket, late).await });
        }
        let (for_work, directory_for_work) = (Arc::clone(&shared), directory.clone());
        tasks.spawn(async move { work::perform(&for_work, &directory_for_work, work).await });
        tasks.spawn(Arc::clone(&shared.upstream).follow_lists());
        if shared.kept.is_some() {
            tasks.spawn(keep::save_for_ever(Arc::clone(&shared)));
        }
        tasks.spawn(async move { work::observe(&shared, &directory).await });
        if let Some(Err(error)) = tasks.join_next().await
            && let Ok(panic) = error.try_into_panic()
        {
            std::panic::resume_unwind(panic);
        }
    }
}

/// Reads how busy a gateway is.
#[derive(Clone, Debug)]
pub struct Monitor(Arc<Shared>);

impl Monitor {
    /// What it holds now.
    #[must_use]
    pub fn load(&self) -> Load {
        self.0.state().broker.load()
    }

    /// The first clients after this address, at most `most`: [`Broker::clients_after`].
    #[must_use]
    pub fn clients_after(&self, after: Option<SocketAddr>, most: usize) -> Vec<ListedClient> {
        self.0.state().broker.clients_after(self.0.now(), after, most)
    }

    /// What it has done and refused.
    #[must_use]
    pub fn stats(&self) -> Stats {
        self.0.state().stats
    }
}

impl Shared {
    fn now(&self) -> Instant {
        Instant::ZERO + (REMEMBERED + self.start.elapsed())
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().expect("no task panics while it holds the lock")
    }

    fn probes(&self) -> MutexGuard<'_, probe::Budget> {
        self.probes.lock().expect("no task panics while it holds the lock")
    }

    /// Lets the broker act, hands out what came of it, and wakes the timer if it must ring earlier.
    fn with_broker<T>(&self, act: impl FnOnce(&mut Broker, Instant) -> T) -> T {
        self.with_state(|state, now| act(&mut state.broker, now))
    }

    fn with_state<T>(&self, act: impl FnOnce(&mut State, Instant) -> T) -> T {
        let now = self.now();
        let mut state = self.state();
        let before = state.broker.next_timeout();
        let result = act(&mut state, now);
        self.hand_out(&mut state);
        if state.broker.next_timeout() < before {
            self.earlier.notify_one();
        }
        result
    }

    /// Gives the answers to those who wait, and the work to those who do it.
    fn hand_out(&self, state: &mut State) {
        while let Some(output) = state.broker.poll_output() {
            state.stats.note_order(&output);
            match output {
                Order::Answer(ticket, answer) => {
                    let waiter = state.tell(ticket.info_hash(), &answer).waiting.remove(&ticket);
                    let Some((waiter, since)) = waiter else { continue };
                    state.stats.answers.note(self.now().since(since));
                    match waiter {
                        Waiter::Http(sender) => drop(sender.send(answer)),
                        Waiter::Udp(path) => drop(self.late[path.door()].send(udp::late_answer(path, &answer))),
                    }
                }
                Order::Scraped(ticket, files) => match state.scrapes.remove(&ticket) {
                    Some(ScrapeWaiter::Task(sender)) => drop(sender.send(files)),
                    Some(ScrapeWaiter::Udp(path)) => drop(self.late[path.door()].send(udp::late_scrape(path, &files))),
                    None => {}
                },
                // The receiver ends with the gateway; nothing is owed after that.
                work => drop(state.work.send(work)),
            }
        }
    }

    /// Asks the broker; an answer that is held will go to the waiter.
    fn announce(&self, client: Client, request: Announce, waiter: impl FnOnce() -> Waiter) -> Decision {
        self.with_state(|state, now| state.announce(now, client, request, waiter))
    }

    /// The same for a scrape.
    fn scrape(&self, client: Client, ids: Vec<InfoHash>, waiter: impl FnOnce() -> ScrapeWaiter) -> Scraping {
        self.with_state(|state, now| state.scrape(now, client, ids, waiter))
    }

    /// What is known of swarms without a count, and of which nothing is: first what the gateway itself knows, then what was
    /// counted elsewhere, with the time. Torrents that are never served stay unknown.
    async fn known(&self, ids: &[InfoHash]) -> (Vec<DatedFile>, Vec<InfoHash>) {
        let (own, others) = self.with_state(|state, now| {
            let own = state.broker.known(now, ids);
            let asks = |(id, counts): &(InfoHash, Option<Counts>)| counts.is_none() && !state.broker.is_denied(id);
            let others: Vec<InfoHash> = own.iter().filter(|file| asks(file)).map(|(id, _)| *id).collect();
            (own, others)
        });
        let counted = if others.is_empty() { Vec::new() } else { (self.elsewhere.0)(others.clone()).await };
        let elsewhere: BTreeMap<InfoHash, DatedCounts> =
            others.into_iter().zip(counted).filter_map(|(id, counts)| Some((id, counts?))).collect();
        let dated = |id| elsewhere.get(&id).map(|(counts, at)| (*counts, Some(*at)));
        let all = own.into_iter().map(|(id, counts)| (id, counts.map(|counts| (counts, None)).or_else(|| dated(id))));
        let (known, unknown): (Vec<DatedFile>, Vec<_>) = all.partition(|(_, counts)| counts.is_some());
        (known, unknown.into_iter().map(|(id, _)| id).collect())
    }

    /// Whether a client that calls the gateway by `name`, at our address `here`, means us.
    fn is_ours(&self, name: &Name<'_>, here: IpAddr) -> bool {
        match name {
            Name::Address(ip) if *ip == here || *ip == self.local.ip().to_canonical() => !ip.is_unspecified(),
            Name::Address(ip) => self.state().broker.external().contains(ip) || self.is_configured(&ip.to_string()),
            Name::Text(text) => *text == RETRACKER || self.is_configured(text),
        }
    }

    fn is_configured(&self, name: &str) -> bool {
        self.names.iter().any(|known| known.as_str() == name)
    }

    fn client(&self, addr: SocketAddr, here: IpAddr, transport: Transport) -> Client {
        Client { addr, here, nearness: self.site.nearness(addr.ip(), here), transport }
    }
}

impl State {
    fn announce(
        &mut self,
        now: Instant,
        client: Client,
        request: Announce,
        waiter: impl FnOnce() -> Waiter,
    ) -> Decision {
        self.stats.note_announce(client.transport, &request);
        if self.news.is_new_client(&client, &request) {
            self.stats.new_clients += 1;
            let program = news::program(&request.peer_id);
            info!(client = %client.addr.ip(), port = request.port, program, by = ?client.transport, "a client announces here");
        }
        let info_hash = request.info_hash;
        let decision = self.broker.announce(now, client, request);
        match &decision {
            Decision::Held(ticket) => {
                self.stats.held += 1;
                self.waiting.insert(*ticket, (waiter(), now));
            }
            Decision::Now(answer) => {
                self.stats.answers.note(Duration::ZERO);
                self.tell(info_hash, answer);
            }
        }
        decision
    }

    /// Tells the user why a torrent is not served or not announced, once.
    fn tell(&mut self, info_hash: InfoHash, answer: &Answer) -> &mut Self {
        self.stats.note_answer(answer);
        if let Some(reason) = self.news.refusal(info_hash, answer) {
            info!(%info_hash, "{reason}");
        }
        self
    }

    fn scrape(
        &mut self,
        now: Instant,
        client: Client,
        ids: Vec<InfoHash>,
        waiter: impl FnOnce() -> ScrapeWaiter,
    ) -> Scraping {
        self.stats.note_scrape(client.transport);
        let scraping = self.broker.scrape(now, client, ids);
        if let Scraping::Held(ticket) = &scraping {
            self.stats.held += 1;
            self.scrapes.insert(*ticket, waiter());
        }
        scraping
    }
}

/// Listens at `addr`; if that is the loopback of IPv4, also at that of IPv6, where there is one: by UDP a client is told
/// only peers of the family in which it asks (BEP 15).
async fn open_doors(addr: SocketAddr) -> io::Result<(Vec<Door>, Vec<mpsc::UnboundedSender<udp::Datagram>>)> {
    let mut bound = vec![bind_both(addr).await?];
    if addr.ip() == IpAddr::from(Ipv4Addr::LOCALHOST) {
        let port = bound[0].0.local_addr()?.port();
        match bind_both((Ipv6Addr::LOCALHOST, port).into()).await {
            Ok(other) => bound.push(other),
            Err(error) => tracing::debug!(%error, port, "the gateway does without [::1]"),
        }
    }
    let (mut doors, mut senders) = (Vec::new(), Vec::new());
    for (listener, socket) in bound {
        let (sender, late) = mpsc::unbounded_channel();
        doors.push(Door { local: listener.local_addr()?, listener, socket, late });
        senders.push(sender);
    }
    Ok((doors, senders))
}

/// A listener and a socket on the same number.
async fn bind_both(addr: SocketAddr) -> io::Result<(TcpListener, udp::Socket)> {
    let mut attempts = if addr.port() == 0 { 16 } else { 1 };
    loop {
        attempts -= 1;
        let listener = handover::listen(addr).await?;
        match udp::Socket::bind(listener.local_addr()?).await {
            Ok(socket) => return Ok((listener, socket)),
            Err(error) if attempts == 0 => return Err(error),
            Err(_) => {}
        }
    }
}

fn secret_seed(random: &mut Random) -> [u8; 32] {
    let mut seed = [0; 32];
    seed[..16].copy_from_slice(&random.secret_key());
    seed[16..].copy_from_slice(&random.secret_key());
    seed
}

/// How long the DHT may take for a lookup or an announce before the gateway goes on without it.
const PATIENCE_WITH_DHT: Duration = Duration::from_secs(60);
