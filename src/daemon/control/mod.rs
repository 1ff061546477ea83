//! The control interface: HTTP with JSON, by which people and programs see and steer the running node.
//!
//! It listens at an address and at a Unix socket in the data folder ([`SOCKET_FILE`]). `guard.rs` is the one place that says
//! who may do what; `routes` has one file per kind of thing; what is sent and read is in [`record`]. Whatever a client can
//! grow is bounded: connections, heads and bodies by the accept loop, streams of events, lookups and their events here.

pub mod announcements;
mod checks;
pub mod client;
mod door;
mod events;
mod feed;
mod guard;
mod history;
mod journal;
mod lookups;
mod problem;
pub mod record;
mod routes;
mod token;
mod wellness;

use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::body::Body;
use axum::http::header::{CACHE_CONTROL, HeaderName, REFERRER_POLICY, X_CONTENT_TYPE_OPTIONS, X_FRAME_OPTIONS};
use axum::http::{HeaderValue, Request, Uri};
use axum::response::{IntoResponse as _, Response};
use bytes::Bytes;
use tokio::sync::Semaphore;
use tokio::time::Instant;
use tower::ServiceExt as _;

use self::door::Doors;
use self::events::Happening;
use self::feed::Feed;
use self::guard::{Guard, Way};
use self::history::History;
use self::lookups::Lookups;
use self::token::Token;
use self::wellness::Wellness;
use super::config::Config;
use super::doctor::Report;
use super::live::Live;
use super::view::{Facts, View};
use crate::announcer::Announcer;
use crate::dht::Dht;
use crate::index::service::Index;
use crate::net::http::{self, Caller, Limits};
use crate::net::mapping::Ports;
use crate::net::resources::resident_bytes;
use crate::tracker::server::Monitor;

pub use self::door::{ControlError, SOCKET_FILE};
pub use self::problem::{FieldProblem, Problem};
pub use self::token::{TOKEN_FILE, api_key};

/// What connections may cost: a few programs and pages beside the commands of one user.
const LIMITS: Limits = Limits {
    connections: 256,
    head_bytes: 16 << 10,
    body_bytes: 64 << 10,
    head_time: Duration::from_secs(30),
    body_time: Duration::from_secs(10),
    write_time: Duration::from_secs(30),
    half_close: false,
};

/// Streams of events that are open at a time.
const STREAMS: usize = 128;

/// Torrents that are checked at a time: each takes up to 32 connections.
const CHECKS: usize = 4;

/// Questions to the network, other than lookups, that are answered at a time.
const QUESTIONS: usize = 64;

/// A control interface that is bound and does not run yet.
#[derive(Debug)]
pub struct Bound {
    doors: Doors,
    guard: Guard,
}

/// What runs beside the node, and is shown and steered with it.
#[derive(Debug)]
pub struct Beside {
    /// What the gateway holds, where there is one.
    pub gateway: Option<Monitor>,
    /// The index, where there is one.
    pub index: Option<Arc<Index>>,
    /// What is kept announced.
    pub announcer: Announcer,
    /// The settings in force.
    pub live: Live,
    /// The ports at the router, where some are wished for.
    pub ports: Option<Ports>,
}

/// What a control interface shows, and what it does without.
#[derive(Clone, Debug, Default)]
pub struct Shown {
    /// Where it listens by TCP.
    pub addr: Option<SocketAddr>,
    /// Its Unix socket.
    pub socket: Option<PathBuf>,
    /// The file of the token, where other hosts can reach the interface.
    pub exposed: Option<PathBuf>,
    /// What it does without, and why.
    pub without: Vec<(String, String)>,
}

impl Bound {
    /// Binds what the configuration wants; nothing where that is `off`.
    ///
    /// # Errors
    /// An address that was chosen cannot be had, or the token cannot be read or written.
    pub async fn open(config: &Config) -> Result<Option<Self>, ControlError> {
        let Some(addr) = config.control else { return Ok(None) };
        let doors = door::open(config, addr).await?;
        let token = Token::of_folder(&config.data_dir)
            .map_err(|source| ControlError { what: format!("have the token {TOKEN_FILE}"), source })?;
        let local = doors.tcp.as_ref().and_then(|listener| listener.local_addr().ok());
        Ok(Some(Self { doors, guard: Guard { token, names: config.control_names.clone(), local } }))
    }

    /// Where it listens by TCP.
    #[must_use]
    pub fn local_addr(&self) -> Option<SocketAddr> {
        self.guard.local
    }

    /// What there is to tell of it.
    #[must_use]
    pub fn shown(&self, config: &Config) -> Shown {
        let exposed = self.guard.local.is_some() && !self.guard.is_open();
        #[cfg(unix)]
        let has_socket = self.doors.unix.is_some();
        #[cfg(not(unix))]
        let has_socket = false;
        Shown {
            addr: self.guard.local,
            socket: has_socket.then(|| config.data_dir.join(SOCKET_FILE)),
            exposed: exposed.then(|| config.data_dir.join(TOKEN_FILE)),
            without: self.doors.without.clone(),
        }
    }

    /// Serves until the future is dropped.
    pub async fn serve(self, dht: &Dht, beside: Beside) {
        let Self { doors, guard } = self;
        let Beside { gateway, index, announcer, live, ports } = beside;
        let config = live.now();
        let gateway_addr = gateway.as_ref().and(config.gateway);
        let control = Arc::new(Control {
            guard,
            dht: dht.clone(),
            gateway,
            index,
            announcer,
            live,
            ports,
            wellness: Wellness::default(),
            lookups: Lookups::default(),
            happenings: events::journal(),
            streams: Arc::new(Semaphore::new(STREAMS)),
            questions: Semaphore::new(QUESTIONS),
            checks: Arc::new(Semaphore::new(CHECKS)),
            history: History::default(),
            began: Instant::now(),
        });
        let service = Service { router: routes::router(Arc::clone(&control)), control: Arc::clone(&control) };
        let (by_tcp, by_unix) = (service.clone(), service);
        let is_proxy = |ip| config.control_trusted_proxies.iter().any(|range| range.contains(ip));
        let tcp = async {
            let Some(listener) = &doors.tcp else { return std::future::pending().await };
            let handle = move |caller: Caller, request| {
                by_tcp.clone().answer(Way::Tcp { from: caller.addr.ip(), here: caller.here.ip() }, request)
            };
            http::serve(listener, LIMITS, is_proxy, handle).await;
        };
        #[cfg(unix)]
        let unix = async {
            let Some(socket) = &doors.unix else { return std::future::pending().await };
            http::serve_unix(&socket.listener, LIMITS, move |request| by_unix.clone().answer(Way::Unix, request)).await;
        };
        #[cfg(not(unix))]
        let unix = {
            drop(by_unix);
            std::future::pending()
        };
        tokio::select! {
            () = tcp => {}
            () = unix => {}
            () = events::write_down(dht, &control.happenings) => {}
            () = control.history.take(&control.announcer) => {}
            () = control.wellness.look(|| Config::clone(&control.config()), gateway_addr) => {}
        }
    }
}

/// What all routes share.
#[derive(Debug)]
struct Control {
    guard: Guard,
    dht: Dht,
    gateway: Option<Monitor>,
    index: Option<Arc<Index>>,
    announcer: Announcer,
    live: Live,
    ports: Option<Ports>,
    wellness: Wellness,
    lookups: Lookups,
    happenings: Feed<Happening>,
    streams: Arc<Semaphore>,
    questions: Semaphore,
    checks: Arc<Semaphore>,
    history: History,
    began: Instant,
}

impl Control {
    fn config(&self) -> Arc<Config> {
        self.live.now()
    }

    /// All figures of this moment, with what the doctor finds in them.
    async fn view(&self) -> View {
        let mut view = self.figures().await;
        let report = self.wellness.report(&self.config(), &view);
        if let Some(report) = &report {
            view.note(report);
        }
        view
    }

    /// What the doctor finds at this moment; nothing where the host cannot be looked at.
    async fn report(&self) -> Option<Report> {
        let (view, config) = (self.figures().await, Config::clone(&self.config()));
        self.wellness.report_at_last(config, &view).await
    }

    async fn figures(&self) -> View {
        let (data_dir, memory_limit_bytes) = {
            let config = self.config();
            (config.data_dir.clone(), config.memory_limit.bytes())
        };
        View::new(&Facts {
            data_dir,
            memory_bytes: resident_bytes(),
            memory_limit_bytes,
            uptime: self.began.elapsed(),
            ready: self.dht.is_ready(),
            nodes: self.dht.status().await,
            mapping: self.ports.as_ref().map(Ports::all),
            gateway: self.gateway.as_ref().map(|gateway| (gateway.load(), gateway.stats())),
            announcer: self.announcer.totals(),
            index: self.index.as_ref().map(|index| index.figures()),
        })
    }
}

/// The guard and the routes behind it.
#[derive(Clone, Debug)]
struct Service {
    router: Router,
    control: Arc<Control>,
}

impl Service {
    async fn answer(self, way: Way, request: Request<Bytes>) -> Response {
        let (mut head, body) = request.into_parts();
        head.uri = without_base(&head.uri, self.control.config().control_base_path.as_str());
        let mut response = match self.control.guard.check(way, &head) {
            Err(problem) => {
                tracing::debug!(?way, path = head.uri.path(), why = problem.detail, "a request that may not be served");
                problem.into_response()
            }
            Ok(()) => {
                let answered = self.router.oneshot(Request::from_parts(head, Body::from(body))).await;
                answered.unwrap_or_else(|never| match never {})
            }
        };
        for (name, value) in HARDENING {
            response.headers_mut().entry(name).or_insert(HeaderValue::from_static(value));
        }
        response
    }
}

/// What every answer tells a browser.
const HARDENING: [(HeaderName, &str); 4] = [
    (X_CONTENT_TYPE_OPTIONS, "nosniff"),
    (X_FRAME_OPTIONS, "DENY"),
    (REFERRER_POLICY, "no-referrer"),
    (CACHE_CONTROL, "no-store"),
];

/// The target of a request without the path that a proxy shows before it.
fn without_base(uri: &Uri, base: &str) -> Uri {
    let rest = uri.path_and_query().and_then(|path| path.as_str().strip_prefix(base));
    match rest {
        Some(rest) if base.is_empty() || rest.starts_with(['/', '?']) || rest.is_empty() => {
            let rest = if rest.starts_with('/') { rest.to_owned() } else { format!("/{rest}") };
            rest.parse().unwrap_or_else(|_| uri.clone())
        }
        _ => uri.clone(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_base_path_is_taken_away_where_it_is_one() {
        for (target, base, rest) in [
            ("/dht/api/v1/status?x=1", "/dht", "/api/v1/status?x=1"),
            ("/dht", "/dht", "/"),
            ("/dht?x", "/dht", "/?x"),
            ("/api/v1/status", "/dht", "/api/v1/status"),
            ("/dhtx/api", "/dht", "/dhtx/api"),
            ("/api", "", "/api"),
            ("http://localhost/api", "", "/api"),
        ] {
            assert_eq!(without_base(&target.parse().unwrap(), base), rest.parse::<Uri>().unwrap(), "{target} {base}");
        }
    }
}
