//! The task of one client: asks it when the plan says so, follows its port, and tells what has changed.

use std::collections::BTreeMap;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::sync::Arc;

use tokio::net::{TcpStream, lookup_host};
use tokio::sync::{mpsc, watch};
use tokio::time::sleep_until;
use tracing::{debug, info, warn};

use super::address::{ClientAddress, Kind, Password, Way};
use super::answer::{Answer, Whereabouts};
use super::aria2::Aria2;
use super::deluge::Deluge;
use super::guard::{self, Bound, Elsewhere, Sight};
use super::listing::{Known, listing};
use super::plan::{Plan, Step};
use super::port_file::{self, Forwarded};
use super::privacy::{self, Checks};
use super::qbittorrent::Qbittorrent;
use super::rtorrent::Rtorrent;
use super::secret::Secret;
use super::transmission::Transmission;
use super::trouble::Trouble;
use crate::announcer::source::{ListedState, Listing};
use crate::announcer::told::Told;
use crate::engine::contact::Family;
use crate::engine::id::InfoHash;
use crate::engine::time::Instant;
use crate::net::clock::Clock;
use crate::net::entropy;
use crate::net::mapping::{Ports, Transport, Wish};
use crate::net::nearness::{Nearness, Site};
use crate::net::{listeners, place};

/// Longest password, in bytes.
const MOST_PASSWORD_BYTES: u64 = 4096;

/// What others know that a follower has to.
#[derive(Clone, Debug)]
pub struct World {
    /// The hosts that share our address.
    pub site: Site,
    /// The addresses at which the world sees us, as they become known.
    pub external: watch::Receiver<Vec<IpAddr>>,
    /// The ports that are opened at the router, if any are.
    pub ports: Option<Ports>,
}

/// Follows one client.
#[derive(Debug)]
pub struct Follower {
    address: ClientAddress,
    source: Arc<str>,
    world: World,
}

/// Where the client is reached, if not at the port that it listens on.
struct Port {
    /// By a VPN.
    forwarded: Forwarded,
    /// Through the router.
    opened: Option<u16>,
}

/// Whether torrents are private of which their client cannot say so.
type Checked = BTreeMap<InfoHash, bool>;

/// What asking the client has come to.
#[derive(Clone, Debug, Default)]
struct News {
    answer: Option<Arc<Answer>>,
    /// The address of its interface; `None` on this host without a network.
    interface: Option<IpAddr>,
    outdated: bool,
    trouble: Option<String>,
}

impl Follower {
    /// A follower of the client at `address`.
    #[must_use]
    pub fn new(address: ClientAddress, world: World) -> Self {
        let source = address.to_string().into();
        Self { address, source, world }
    }

    /// The source of its listings.
    #[must_use]
    pub const fn source(&self) -> &Arc<str> {
        &self.source
    }

    /// Follows the client until its listings have no receiver left.
    pub async fn run(self, tell: mpsc::Sender<Listing>) {
        let (news, heard) = watch::channel(News::default());
        let (port, forwarded) = watch::channel(Forwarded::default());
        let (checked, checks) = watch::channel(BTreeMap::new());
        let port_file = async {
            match &self.address.options.port_file {
                Some(path) => port_file::follow(path.clone(), port).await,
                None => std::future::pending().await,
            }
        };
        tokio::select! {
            () = self.ask_for_ever(&news) => {}
            () = port_file => {}
            () = check_for_ever(heard.clone(), &checked) => {}
            () = self.tell_for_ever(heard, (forwarded, checks), &tell) => {}
        }
    }

    async fn ask_for_ever(&self, news: &watch::Sender<News>) {
        let clock = Clock::new();
        let mut plan = Plan::new(clock.now());
        let (mut conversation, mut last_password) = (None, Ok(None));
        loop {
            while clock.now() < plan.due() {
                sleep_until(clock.deadline(plan.due())).await;
            }
            let password = read_password(&self.address.password);
            if password != last_password {
                plan.has_another_password(clock.now());
                last_password.clone_from(&password);
            }
            let began = clock.now();
            let asked = match plan.step(began) {
                Step::Knock => match self.knock().await {
                    Ok(()) => {
                        plan.is_there(clock.now());
                        continue;
                    }
                    Err(trouble) => Err(trouble),
                },
                Step::Ask => self.ask(&mut conversation, password).await,
            };
            let now = clock.now();
            match asked {
                Ok((answer, interface)) => {
                    if plan.answered(now, now.since(began), answer.unfinished) {
                        info!(client = %self.source, torrents = answer.torrents.len(), "the client answers again");
                    }
                    let answer = Some(Arc::new(answer));
                    news.send_replace(News { answer, interface, outdated: false, trouble: None });
                }
                Err(trouble) => {
                    let text = format!("{trouble}; {}", trouble.cure(self.address.kind, &self.address.password));
                    if plan.failed(now, trouble) {
                        warn!(client = %self.source, "the client cannot be followed: {text}");
                    }
                    let outdated = plan.is_outdated(now);
                    news.send_modify(|news| (news.trouble, news.outdated) = (Some(text), outdated));
                }
            }
        }
    }

    async fn ask(
        &self,
        conversation: &mut Option<Conversation>,
        password: Result<Option<Secret>, String>,
    ) -> Result<(Answer, Option<IpAddr>), Trouble> {
        let password = password.map_err(Trouble::NoPassword)?;
        if conversation.is_none() {
            *conversation = Some(Conversation::new(&self.address)?);
        }
        let conversation = conversation.as_mut().expect("it was made");
        let answer = conversation.ask(self.address.user.as_deref(), password.as_ref()).await?;
        let interface = match &self.address.way {
            Way::Unix(_) => None,
            Way::Scgi(host) => lookup_host(host).await.ok().and_then(|mut found| found.next()).map(|addr| addr.ip()),
            Way::Http(_) => conversation.peer(),
        };
        Ok((answer, interface))
    }

    /// Whether something takes connections at the client's interface.
    async fn knock(&self) -> Result<(), Trouble> {
        let connected = match &self.address.way {
            #[cfg(unix)]
            Way::Unix(path) => tokio::net::UnixStream::connect(path).await.map(drop),
            #[cfg(not(unix))]
            Way::Unix(_) => Ok(()),
            Way::Scgi(host) => TcpStream::connect(host).await.map(drop),
            Way::Http(url) => {
                let port = url.port_or_known_default().unwrap_or_default();
                TcpStream::connect(format!("{}:{port}", url.host_str().unwrap_or_default())).await.map(drop)
            }
        };
        connected.map_err(|error| Trouble::Off(error.to_string()))
    }

    /// Tells what is known whenever it has changed.
    async fn tell_for_ever(
        &self,
        mut heard: watch::Receiver<News>,
        (mut forwarded, mut checks): (watch::Receiver<Forwarded>, watch::Receiver<Checked>),
        tell: &mpsc::Sender<Listing>,
    ) {
        let mut external = self.world.external.clone();
        let mut open = self.ports().map_or_else(|| watch::channel(BTreeMap::new()).1, Ports::open);
        let (mut told, mut last_place) = (Told::default(), Ok(false));
        loop {
            let news = heard.borrow_and_update().clone();
            if news.answer.is_some() || news.trouble.is_some() {
                let port = forwarded.borrow_and_update().clone();
                let place = self.place(&news, &port, &external.borrow_and_update());
                self.say(&place, &mut last_place);
                let port = Port { forwarded: port, opened: self.opened(&news, &open.borrow_and_update()) };
                let new = self.listing(&news, &port, place, &checks.borrow_and_update());
                if told.is_other(&new) {
                    let all = new.torrents.iter().flatten();
                    let (torrents, active) =
                        (all.clone().count(), all.filter(|one| one.state == ListedState::Active).count());
                    debug!(client = %self.source, torrents, active, "the client's list has changed");
                    if tell.send(new).await.is_err() {
                        return;
                    }
                }
            }
            tokio::select! {
                changed = heard.changed() => if changed.is_err() { return },
                Ok(()) = forwarded.changed() => {}
                Ok(()) = checks.changed() => {}
                Ok(()) = open.changed() => {}
                Ok(()) = external.changed() => {}
            }
        }
    }

    /// The ports at the router, if the client's is to be opened there.
    fn ports(&self) -> Option<&Ports> {
        self.world.ports.as_ref().filter(|_| self.address.options.map_port)
    }

    /// Wishes for the client's port at the router; the port at which the world reaches it there.
    fn opened(&self, news: &News, open: &BTreeMap<Wish, u16>) -> Option<u16> {
        let port = news.answer.as_ref().and_then(|answer| answer.port)?;
        let wish = |transport| Wish { transport, port };
        self.ports()?.wish(&self.source, vec![wish(Transport::Tcp), wish(Transport::Udp)]);
        open.get(&wish(Transport::Tcp)).copied()
    }

    fn listing(
        &self,
        news: &News,
        Port { forwarded, opened }: &Port,
        place: Result<bool, Elsewhere>,
        checked: &Checked,
    ) -> Listing {
        let options = &self.address.options;
        let of_client = news.answer.as_ref().and_then(|answer| answer.port);
        let by_file = options.port_file.is_some();
        let port = options.announce_port.or(if by_file { forwarded.port } else { opened.or(of_client) });
        let elsewhere = place.as_ref().err().map(|why| format!("not announced: {why}; {}", why.cure()));
        let troubles = [news.trouble.clone(), forwarded.trouble.clone().filter(|_| by_file), elsewhere];
        let troubles = troubles.into_iter().flatten().collect::<Vec<_>>().join("; ");
        listing(&Known {
            source: &self.source,
            answer: news.answer.as_deref(),
            checked,
            outdated: news.outdated,
            place,
            port,
            trouble: Some(troubles).filter(|troubles| !troubles.is_empty()),
            waits: by_file && port.is_none(),
        })
    }

    fn place(&self, news: &News, forwarded: &Forwarded, external: &[IpAddr]) -> Result<bool, Elsewhere> {
        let here = news.interface.is_none_or(|ip| ip.is_loopback() || place::is_here(ip));
        let nearness = match news.interface {
            Some(ip) if !here => self.world.site.nearness_elsewhere(ip),
            _ => Nearness::Host,
        };
        if self.address.options.same_address {
            return Ok(nearness != Nearness::Host);
        }
        let nothing = Whereabouts::default();
        let said = news.answer.as_ref().map_or(&nothing, |answer| &answer.place);
        let port = news.answer.as_ref().and_then(|answer| answer.port);
        let sources: Vec<IpAddr> = [Family::V4, Family::V6].into_iter().filter_map(place::source_address).collect();
        guard::judge(&Sight {
            nearness,
            interface: news.interface.filter(|_| !here),
            place: said,
            bound: if here { bound_here(said) } else { bound_there(said) },
            vpn: forwarded.address,
            listens: port.zip(port.and_then(listeners::is_listened_at)),
            sources: &sources,
            external,
        })
    }

    /// Logs that the client is elsewhere, or is no more, once.
    fn say(&self, place: &Result<bool, Elsewhere>, last: &mut Result<bool, Elsewhere>) {
        match place {
            Err(why) if Err(why) != last.as_ref() => {
                warn!(client = %self.source, "the client's torrents are not announced: {why}; {}", why.cure());
            }
            Ok(_) if last.is_err() => info!(client = %self.source, "the client's torrents are announced again"),
            _ => {}
        }
        last.clone_from(place);
    }
}

/// Asks the client for the metadata of torrents of which it cannot say whether they are private, one after the other, for
/// ever.
async fn check_for_ever(mut heard: watch::Receiver<News>, tell: &watch::Sender<Checked>) {
    let clock = Clock::new();
    let mut checks = Checks::default();
    loop {
        let news = heard.borrow_and_update().clone();
        // Its own files are quicker, and not all of them are read yet.
        if let Some(answer) = news.answer.as_ref().filter(|answer| !answer.unfinished) {
            checks.take(clock.now(), answer);
        }
        let peer = peer_of(&news);
        if let Some((infohash, peer)) = checks.next(clock.now()).zip(peer) {
            let private = privacy::ask(infohash, peer, peer_id()).await;
            checks.note(clock.now(), infohash, private);
            tell.send_replace(checks.known());
            continue;
        }
        let due = checks.due().filter(|_| peer.is_some()).unwrap_or(Instant::FAR_FUTURE);
        tokio::select! {
            changed = heard.changed() => if changed.is_err() { return },
            () = sleep_until(clock.deadline(due)) => {}
        }
    }
}

/// Where the client listens for peers, as far as it tells.
fn peer_of(news: &News) -> Option<SocketAddr> {
    let answer = news.answer.as_ref()?;
    let bound = answer.place.bound.first().copied().or(news.interface);
    Some(SocketAddr::new(bound.unwrap_or(Ipv4Addr::LOCALHOST.into()), answer.port?))
}

/// A name of ours for peers (BEP 20).
fn peer_id() -> [u8; 20] {
    let mut id = *b"-TL0001-000000000000";
    if let Ok(seed) = entropy::seed() {
        id[8..].iter_mut().zip(seed).for_each(|(digit, byte)| *digit = b'a' + byte % 26);
    }
    id
}

/// What a client on this host is bound to, as this host sees it.
fn bound_here(said: &Whereabouts) -> Vec<Bound> {
    let mut bound: Vec<Bound> = said.bound.iter().map(|ip| Bound::Address(*ip, place::is_here(*ip))).collect();
    if let Some(name) = &said.interface {
        match place::source_through(name, Family::V4) {
            Ok(ip) => bound.push(Bound::Address(ip, true)),
            Err(error) if place::is_no_interface(&error) => bound.push(Bound::NoInterface(name.clone())),
            // The system does not tell.
            Err(_) => {}
        }
    }
    bound
}

fn bound_there(said: &Whereabouts) -> Vec<Bound> {
    said.bound.iter().map(|ip| Bound::Address(*ip, false)).collect()
}

/// The password as it is now.
fn read_password(password: &Password) -> Result<Option<Secret>, String> {
    use std::io::Read as _;
    match password {
        Password::None => Ok(None),
        Password::Given(secret) => Ok(Some(secret.clone())),
        Password::Variable(name) => {
            let value = std::env::var(name).map_err(|_| format!("the variable {name} is not set"))?;
            Ok(Some(Secret::new(&value)))
        }
        Password::File(path) => {
            let mut text = String::new();
            let file =
                std::fs::File::open(path).and_then(|file| file.take(MOST_PASSWORD_BYTES).read_to_string(&mut text));
            file.map_err(|error| format!("{}: {error}", path.display()))?;
            Ok(Some(Secret::new(text.lines().next().unwrap_or_default())))
        }
    }
}

/// A conversation with a client of any kind.
#[derive(Debug)]
enum Conversation {
    Qbittorrent(Qbittorrent),
    Transmission(Transmission),
    Deluge(Deluge),
    Rtorrent(Rtorrent),
    Aria2(Aria2),
}

impl Conversation {
    fn new(address: &ClientAddress) -> Result<Self, Trouble> {
        Ok(match (address.kind, &address.way) {
            (Kind::Rtorrent, way) => Self::Rtorrent(Rtorrent::new(way)?),
            (Kind::Qbittorrent, Way::Http(url)) => Self::Qbittorrent(Qbittorrent::new(url)?),
            (Kind::Transmission, Way::Http(url)) => Self::Transmission(Transmission::new(url)?),
            (Kind::Deluge, Way::Http(url)) => Self::Deluge(Deluge::new(url)?),
            (Kind::Aria2, Way::Http(url)) => Self::Aria2(Aria2::new(url)?),
            _ => unreachable!("addresses are read so that only rTorrent is reached otherwise"),
        })
    }

    async fn ask(&mut self, user: Option<&str>, password: Option<&Secret>) -> Result<Answer, Trouble> {
        match self {
            Self::Qbittorrent(client) => client.ask(user, password).await,
            Self::Transmission(client) => client.ask(user, password).await,
            Self::Deluge(client) => client.ask(password).await,
            Self::Rtorrent(client) => client.ask(user, password).await,
            Self::Aria2(client) => client.ask(user, password).await,
        }
    }

    /// The address of its interface.
    fn peer(&self) -> Option<IpAddr> {
        let http = match self {
            Self::Qbittorrent(client) => Some(client.http()),
            Self::Transmission(client) => Some(client.http()),
            Self::Deluge(client) => Some(client.http()),
            Self::Rtorrent(client) => client.http(),
            Self::Aria2(client) => Some(client.http()),
        };
        // Where it is not known, it is taken for a strange one.
        let peer = http.map(|http| http.peer().map_or(Ipv4Addr::BROADCAST.into(), |peer| peer.ip()));
        peer.map(|ip: IpAddr| ip.to_canonical())
    }
}
