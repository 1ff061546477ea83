//! The task of one client: asks it when the plan says so, follows its port, and tells what has changed.

use std::net::{IpAddr, Ipv4Addr};
use std::sync::Arc;

use tokio::net::{TcpStream, lookup_host};
use tokio::sync::{mpsc, watch};
use tokio::time::sleep_until;
use tracing::{info, warn};

use super::address::{ClientAddress, Kind, Password, Way};
use super::answer::{Answer, Whereabouts};
use super::aria2::Aria2;
use super::deluge::Deluge;
use super::guard::{self, Bound, Elsewhere, Sight};
use super::listing::{Known, listing};
use super::plan::{Plan, Step};
use super::port_file::{self, Forwarded};
use super::qbittorrent::Qbittorrent;
use super::rtorrent::Rtorrent;
use super::secret::Secret;
use super::transmission::Transmission;
use super::trouble::Trouble;
use crate::announcer::source::Listing;
use crate::engine::contact::Family;
use crate::net::clock::Clock;
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
}

/// Follows one client.
#[derive(Debug)]
pub struct Follower {
    address: ClientAddress,
    source: Arc<str>,
    world: World,
}

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

    /// Follows the client for ever; ends when nobody takes its listings any more.
    pub async fn run(self, tell: mpsc::Sender<Listing>) {
        let (news, heard) = watch::channel(News::default());
        let (port, forwarded) = watch::channel(Forwarded::default());
        let port_file = async {
            match &self.address.options.port_file {
                Some(path) => port_file::follow(path.clone(), port).await,
                None => std::future::pending().await,
            }
        };
        tokio::select! {
            () = self.ask_for_ever(&news) => {}
            () = port_file => {}
            () = self.tell_for_ever(heard, forwarded, &tell) => {}
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
        mut forwarded: watch::Receiver<Forwarded>,
        tell: &mpsc::Sender<Listing>,
    ) {
        let mut external = self.world.external.clone();
        let (mut last, mut last_place) = (None, Ok(false));
        loop {
            let news = heard.borrow_and_update().clone();
            if news.answer.is_some() || news.trouble.is_some() {
                let port = forwarded.borrow_and_update().clone();
                let place = self.place(&news, &port, &external.borrow_and_update());
                self.say(&place, &mut last_place);
                let new = self.listing(&news, &port, place);
                if last.as_ref() != Some(&new) {
                    last = Some(new.clone());
                    if tell.send(new).await.is_err() {
                        return;
                    }
                }
            }
            tokio::select! {
                changed = heard.changed() => if changed.is_err() { return },
                Ok(()) = forwarded.changed() => {}
                Ok(()) = external.changed() => {}
            }
        }
    }

    fn listing(&self, news: &News, forwarded: &Forwarded, place: Result<bool, Elsewhere>) -> Listing {
        let options = &self.address.options;
        let of_client = news.answer.as_ref().and_then(|answer| answer.port);
        let by_file = options.port_file.is_some();
        let port = options.announce_port.or(if by_file { forwarded.port } else { of_client });
        let elsewhere = place.as_ref().err().map(|why| format!("not announced: {why}; {}", why.cure()));
        let troubles = [news.trouble.clone(), forwarded.trouble.clone().filter(|_| by_file), elsewhere];
        let troubles = troubles.into_iter().flatten().collect::<Vec<_>>().join("; ");
        listing(&Known {
            source: &self.source,
            answer: news.answer.as_deref(),
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
