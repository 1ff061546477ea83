//! The gateway over HTTP/1.1 and 1.0.

use std::convert::Infallible;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http_body_util::Full;
use hyper::header::{CONTENT_TYPE, HeaderMap, HeaderValue};
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper::{Request, Response};
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{Semaphore, oneshot};
use tokio::task::JoinSet;
use tracing::{debug, trace};

use super::{ScrapeWaiter, Shared, Waiter};
use crate::engine::contact::canonical;
use crate::engine::id::Id;
use crate::tracker::broker::{Decision, Files, ScrapeTicket, Scraping, Ticket, Transport};
use crate::tracker::http::{self, Route};
use crate::tracker::nearness::Range;
use crate::tracker::{Announce, Answer};

/// Connections at a time: one for each answer that may be held, and some.
const MAX_CONNECTIONS: usize = 5_000;
/// Longest head of a request. Twice what a scrape of all that is answered needs.
const MAX_HEAD: usize = 16 << 10;
/// How long a client may take for the head of a request, and how long it may keep a connection that it does not use.
const PATIENCE: Duration = Duration::from_secs(30);

/// Accepts connections for ever.
pub(super) async fn serve(shared: &Arc<Shared>, listener: &TcpListener) {
    let room = Arc::new(Semaphore::new(MAX_CONNECTIONS));
    let mut connections = JoinSet::new();
    loop {
        let place = Arc::clone(&room).acquire_owned().await.expect("the semaphore is never closed");
        tokio::select! {
            accepted = listener.accept() => match accepted {
                Ok((stream, addr)) => {
                    let shared = Arc::clone(shared);
                    connections.spawn(async move {
                        converse(shared, stream, addr).await;
                        drop(place);
                    });
                }
                // Out of file descriptors, as a rule: some come free when connections end.
                Err(error) => {
                    debug!(%error, "accepting a tracker connection failed");
                    tokio::time::sleep(Duration::from_millis(100)).await;
                }
            },
            Some(_) = connections.join_next() => {}
        }
    }
}

async fn converse(shared: Arc<Shared>, stream: TcpStream, addr: SocketAddr) {
    let Ok(here) = stream.local_addr() else { return };
    let here = canonical(here).ip();
    let service = service_fn(|request| {
        let shared = Arc::clone(&shared);
        async move { Ok::<_, Infallible>(answer(&shared, canonical(addr), here, &request).await) }
    });
    let mut builder = http1::Builder::new();
    builder.timer(TokioTimer::new()).header_read_timeout(PATIENCE).max_buf_size(MAX_HEAD);
    if let Err(error) = builder.serve_connection(TokioIo::new(stream), service).await {
        trace!(%error, %addr, "a tracker connection ended early");
    }
}

/// Always status 200: clients show any other status instead of the reason that the body gives.
async fn answer<B>(shared: &Shared, from: SocketAddr, here: IpAddr, request: &Request<B>) -> Response<Full<Bytes>> {
    let query = request.uri().query().unwrap_or_default().as_bytes();
    let body = match Route::of(request.uri().path()) {
        Route::Announce => match http::parse_announce(query) {
            Ok((announce, form)) => {
                let addr = client_addr(from, request.headers(), &shared.trusted_proxies);
                http::render_answer(&serve_announce(shared, addr, here, announce).await, form)
            }
            Err(failure) => http::render_failure(&failure),
        },
        Route::Scrape => match http::parse_scrape(query) {
            Ok(ids) => {
                let addr = client_addr(from, request.headers(), &shared.trusted_proxies);
                http::render_scrape(&serve_scrape(shared, addr, here, ids).await)
            }
            Err(failure) => http::render_failure(&failure),
        },
        Route::Other => help(shared).into_bytes(),
    };
    let mut response = Response::new(Full::new(Bytes::from(body)));
    response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("text/plain"));
    response
}

async fn serve_announce(shared: &Shared, addr: SocketAddr, here: IpAddr, request: Announce) -> Answer {
    let client = shared.client(addr, here, Transport::Http);
    let (sender, receiver) = oneshot::channel();
    match shared.announce(client, request, || Waiter::Http(sender)) {
        Decision::Now(answer) => answer,
        Decision::Held(ticket) => {
            let _place = Place { shared, ticket: Held::Announce(ticket) };
            receiver.await.expect("every held answer is given")
        }
    }
}

async fn serve_scrape(shared: &Shared, addr: SocketAddr, here: IpAddr, ids: Vec<Id>) -> Files {
    let client = shared.client(addr, here, Transport::Http);
    let (sender, receiver) = oneshot::channel();
    match shared.scrape(client, ids, || ScrapeWaiter::Http(sender)) {
        Scraping::Now(files) => files,
        Scraping::Held(ticket) => {
            let _place = Place { shared, ticket: Held::Scrape(ticket) };
            receiver.await.expect("every held scrape is answered")
        }
    }
}

/// The place of a client that waits. It is left when the answer came, or when the client hung up and hyper drops us.
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

impl Drop for Place<'_> {
    fn drop(&mut self) {
        self.shared.with_state(|state, now| match self.ticket {
            Held::Announce(ticket) if state.waiting.remove(&ticket).is_some() => state.broker.gone(now, ticket),
            Held::Scrape(ticket) if state.scrapes.remove(&ticket).is_some() => state.broker.scrape_gone(ticket),
            Held::Announce(_) | Held::Scrape(_) => {}
        });
    }
}

/// The client's address: the sender's, unless that is a proxy that we trust. Then the header is read from the right, past
/// further proxies of ours: what stands on the left is only what the client claims.
fn client_addr(from: SocketAddr, headers: &HeaderMap, trusted: &[Range]) -> SocketAddr {
    let is_trusted = |ip: IpAddr| trusted.iter().any(|network| network.contains(ip));
    if !is_trusted(from.ip()) {
        return from;
    }
    let values = headers.get_all("x-forwarded-for").iter().rev().filter_map(|value| value.to_str().ok());
    let hops = values.flat_map(|value| value.rsplit(',')).map_while(|hop| hop.trim().parse::<IpAddr>().ok());
    let client = hops.map(|ip| ip.to_canonical()).find(|ip| !is_trusted(*ip));
    client.map_or(from, |ip| SocketAddr::new(ip, from.port()))
}

/// For a person who opens the address in a browser.
fn help(shared: &Shared) -> String {
    let addr = shared.local;
    format!(
        "This is the gateway of a trackerless node: a BitTorrent tracker with the DHT behind it.\n\
         Add one of these to the trackers of a torrent, in a tier of its own, the last:\n\n  \
         udp://{addr}/announce\n  http://{addr}/announce\n"
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_trusted_proxies_say_who_the_client_is() {
        let trusted = ["10.0.0.0/8".parse().unwrap()];
        for (from, forwarded, client) in [
            ("203.0.113.9:7", "1.2.3.4", "203.0.113.9:7"),
            ("10.0.0.1:7", "1.2.3.4", "1.2.3.4:7"),
            // What the client itself wrote stands on the left.
            ("10.0.0.1:7", "9.9.9.9, 1.2.3.4", "1.2.3.4:7"),
            ("10.0.0.1:7", "9.9.9.9, 1.2.3.4, 10.0.0.2", "1.2.3.4:7"),
            ("10.0.0.1:7", "2001:db8::1", "[2001:db8::1]:7"),
            ("10.0.0.1:7", "9.9.9.9, unknown", "10.0.0.1:7"),
            ("10.0.0.1:7", "", "10.0.0.1:7"),
        ] {
            let headers = [("x-forwarded-for".parse().unwrap(), forwarded.parse().unwrap())].into_iter().collect();
            let found = client_addr(from.parse().unwrap(), &headers, &trusted);
            assert_eq!(found, client.parse().unwrap(), "{from}, {forwarded}");
        }
    }
}
