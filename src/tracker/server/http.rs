//! The gateway over HTTP.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http_body_util::Full;
use hyper::header::{ALLOW, CONTENT_TYPE, HeaderValue, X_CONTENT_TYPE_OPTIONS};
use hyper::http::request::Parts;
use hyper::{Method, Request, Response, StatusCode};
use tokio::net::TcpListener;
use tokio::sync::oneshot;
use tracing::debug;

use super::client::{self, Identity};
use super::{ScrapeWaiter, Shared, Waiter};
use crate::engine::id::InfoHash;
use crate::net::http::page::{self, Sign};
use crate::net::http::{self as server, Caller, Limits};
use crate::tracker::broker::{Decision, ScrapeTicket, Scraping, Ticket};
use crate::tracker::http::{self, DatedFile, Route};
use crate::tracker::{Announce, Answer, Failure};

/// Most connections of a gateway with all the memory that it wants: as many as answers that may be held and some.
const MOST_CONNECTIONS: usize = 5_000;
/// Memory for each connection, in bytes: the buffers of a head that does not end (29 KiB were measured).
const CONNECTION_BYTES: usize = 32 << 10;

/// What connections may cost: heads of the length that a scrape of all that is answered needs, and some; no body.
const LIMITS: Limits = Limits {
    connections: MOST_CONNECTIONS,
    head_bytes: 8 << 10,
    body_bytes: 0,
    head_time: Duration::from_secs(15),
    body_time: Duration::from_secs(5),
    write_time: Duration::from_secs(10),
    // Some clients close their half as soon as they have sent a request.
    half_close: true,
};

/// Connections of a gateway that remembers this number of bytes: they may take about as much again.
pub(super) const fn most_connections(memory_bytes: usize) -> usize {
    let most = memory_bytes / CONNECTION_BYTES;
    if most < MOST_CONNECTIONS { most } else { MOST_CONNECTIONS }
}

/// Accepts connections until the future is dropped.
pub(super) async fn serve(shared: &Arc<Shared>, listener: &TcpListener) {
    let of_requests = Arc::clone(shared);
    let handle = move |caller, request| {
        let shared = Arc::clone(&of_requests);
        async move { answer(&shared, &caller, request).await }
    };
    let limits = Limits { connections: shared.connections, ..LIMITS };
    server::serve(listener, limits, |ip| client::is_trusted(&shared.trusted_proxies, ip), handle).await;
}

/// Answers a request: the tracker's own with status 200, because clients show any other status instead of the reason that
/// the body gives; those of web pages with 403, and nothing else happens.
async fn answer(shared: &Shared, caller: &Caller, request: Request<Bytes>) -> server::Answer {
    let (head, _) = request.into_parts();
    let route = Route::of(head.uri.path());
    if let Some(sign) = page::sign_of(&head, |name| shared.is_ours(name, caller.here.ip())) {
        shared.state().stats.pages_refused += 1;
        debug!(addr = %caller.addr, ?sign, path = head.uri.path(), "a request that a web page may have sent");
        return respond(StatusCode::FORBIDDEN, refuse_page(caller, sign, route));
    }
    if head.method != Method::GET {
        let mut refused = respond(StatusCode::METHOD_NOT_ALLOWED, b"only GET is answered\n".to_vec());
        refused.headers_mut().insert(ALLOW, HeaderValue::from_static("GET"));
        return refused;
    }
    let query = head.uri.query().unwrap_or_default().as_bytes();
    let body = match route {
        Route::Announce => match http::parse_announce(query) {
            Ok((announce, form)) => http::render_answer(&serve_announce(shared, caller, &head, announce).await, form),
            Err(failure) => malformed(shared, &failure),
        },
        Route::Scrape => match http::parse_scrape(query) {
            Ok(ids) => http::render_scrape(&serve_scrape(shared, caller, &head, ids).await),
            Err(failure) => malformed(shared, &failure),
        },
        // An announce whose path is wrong: a client shows the reason, and would take a page for an answer.
        Route::Help | Route::Trackers | Route::Other if http::names_a_torrent(query) => {
            malformed(shared, &Failure::malformed("announce at /announce, scrape at /scrape"))
        }
        Route::Help => help(caller).into_bytes(),
        Route::Trackers => (urls(caller).join("\n\n") + "\n").into_bytes(),
        Route::Other => return respond(StatusCode::NOT_FOUND, b"there is nothing here; see /\n".to_vec()),
    };
    respond(StatusCode::OK, body)
}

fn malformed(shared: &Shared, failure: &Failure) -> Vec<u8> {
    shared.state().stats.malformed += 1;
    http::render_failure(failure)
}

fn respond(status: StatusCode, body: Vec<u8>) -> server::Answer {
    let mut response = Response::new(Full::new(Bytes::from(body)));
    *response.status_mut() = status;
    response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("text/plain"));
    response.headers_mut().insert(X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    response
}

/// What stands in the answer to a request that is taken for one of a web page.
fn refuse_page(caller: &Caller, sign: Sign, route: Route) -> Vec<u8> {
    let reason = match sign {
        Sign::Host => "the gateway is not known by this name: add it to gateway_names",
        Sign::Header(_) | Sign::UserAgent | Sign::Accept => "the gateway serves BitTorrent clients, not web pages",
    };
    match route {
        Route::Announce | Route::Scrape => http::render_failure(&Failure::malformed(reason)),
        Route::Help | Route::Trackers | Route::Other => format!("{reason}\n\n{}", help(caller)).into_bytes(),
    }
}

async fn serve_announce(shared: &Shared, caller: &Caller, head: &Parts, mut request: Announce) -> Answer {
    let identity = identify(shared, caller, head);
    identity.admit(&mut request);
    let (sender, receiver) = oneshot::channel();
    match shared.announce(identity.client(caller.here.ip()), request, || Waiter::Http(sender)) {
        Decision::Now(answer) => answer,
        Decision::Held(ticket) => wait(&Place { shared, ticket: Held::Announce(ticket) }, caller, receiver).await,
    }
}

/// What is known, here or elsewhere, is told at once; the rest is counted.
async fn serve_scrape(shared: &Shared, caller: &Caller, head: &Parts, ids: Vec<InfoHash>) -> Vec<DatedFile> {
    let (mut files, unknown) = shared.known(&ids).await;
    let client = identify(shared, caller, head).client(caller.here.ip());
    let (sender, receiver) = oneshot::channel();
    let counted = match shared.scrape(client, unknown, || ScrapeWaiter::Task(sender)) {
        Scraping::Now(files) => files,
        Scraping::Held(ticket) => wait(&Place { shared, ticket: Held::Scrape(ticket) }, caller, receiver).await,
    };
    files.extend(counted.into_iter().map(|(id, counts)| (id, counts.map(|counts| (counts, None)))));
    files
}

fn identify(shared: &Shared, caller: &Caller, head: &Parts) -> Identity {
    client::identify(caller.addr, caller.here.ip(), &head.headers, &shared.trusted_proxies, &shared.site)
}

/// Waits for an answer that is held. A client that hangs up waits for nothing; one that has only closed its half of the
/// connection is told what is known.
async fn wait<T>(place: &Place<'_>, caller: &Caller, mut receiver: oneshot::Receiver<T>) -> T {
    let held = tokio::select! {
        answer = &mut receiver => Some(answer),
        () = caller.hung_up() => None,
    };
    let answer = match held {
        Some(answer) => answer,
        None => {
            place.hurry();
            receiver.await
        }
    };
    answer.expect("every held answer is given")
}

/// The place of a client that waits. It is left when the answer came, or when the connection ends before.
struct Place<'a> {
    shared: &'a Shared,
    ticket: Held,
}

/// What the client waits for.
#[derive(Clone, Copy)]
enum Held {
    Announce(Ticket),
    Scrape(ScrapeTicket),
}

impl Place<'_> {
    /// Has the answer given now.
    fn hurry(&self) {
        self.shared.with_broker(|broker, now| match self.ticket {
            Held::Announce(ticket) => broker.hurry(now, ticket),
            Held::Scrape(ticket) => broker.hurry_scrape(now, ticket),
        });
    }
}

impl Drop for Place<'_> {
    fn drop(&mut self) {
        self.shared.with_state(|state, now| match self.ticket {
            Held::Announce(ticket) if state.waiting.remove(&ticket).is_some() => state.broker.gone(now, ticket),
            Held::Scrape(ticket) if state.scrapes.remove(&ticket).is_some() => state.broker.scrape_gone(ticket),
            Held::Announce(_) | Held::Scrape(_) => {}
        });
    }
}

/// The two URLs by which clients find the gateway: at the address at which the caller found it, and so in its family.
fn urls(caller: &Caller) -> [String; 2] {
    let addr = caller.here;
    [format!("udp://{addr}/announce"), format!("http://{addr}/announce")]
}

/// For a person who asks what this is.
fn help(caller: &Caller) -> String {
    let [udp, http] = urls(caller);
    format!(
        "This is the gateway of a trackerless node: a BitTorrent tracker with the DHT behind it.\n\
         Add one of these to the trackers of a torrent, in a tier of its own, the last:\n\n  {udp}\n  {http}\n"
    )
}
