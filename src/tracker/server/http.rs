//! The gateway over HTTP.

use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http_body_util::Full;
use hyper::header::{CONTENT_TYPE, HeaderMap, HeaderValue};
use hyper::{Request, Response};
use tokio::net::TcpListener;
use tokio::sync::oneshot;

use super::{ScrapeWaiter, Shared, Waiter};
use crate::engine::id::Id;
use crate::net::http::{self as server, Caller, Limits};
use crate::tracker::broker::{Client, Decision, Files, ScrapeTicket, Scraping, Ticket, Transport};
use crate::tracker::http::{self, Route};
use crate::tracker::nearness::Range;
use crate::tracker::{Announce, Answer};

/// What connections may cost: as many as answers that may be held and some; heads of twice the length that a scrape of
/// all that is answered needs; no body.
const LIMITS: Limits = Limits {
    connections: 5_000,
    head_bytes: 16 << 10,
    body_bytes: 0,
    head_time: Duration::from_secs(15),
    body_time: Duration::from_secs(5),
    write_time: Duration::from_secs(10),
};

/// Accepts connections until the future is dropped.
pub(super) async fn serve(shared: &Arc<Shared>, listener: &TcpListener) {
    let of_requests = Arc::clone(shared);
    let handle = move |caller, request| {
        let shared = Arc::clone(&of_requests);
        async move { answer(&shared, &caller, &request).await }
    };
    server::serve(listener, LIMITS, |ip| is_trusted(&shared.trusted_proxies, ip), handle).await;
}

/// Always status 200: clients show any other status instead of the reason that the body gives.
async fn answer(shared: &Shared, caller: &Caller, request: &Request<Bytes>) -> Response<Full<Bytes>> {
    let query = request.uri().query().unwrap_or_default().as_bytes();
    let body = match Route::of(request.uri().path()) {
        Route::Announce => match http::parse_announce(query) {
            Ok((announce, form)) => {
                http::render_answer(&serve_announce(shared, caller, request.headers(), announce).await, form)
            }
            Err(failure) => http::render_failure(&failure),
        },
        Route::Scrape => match http::parse_scrape(query) {
            Ok(ids) => http::render_scrape(&serve_scrape(shared, caller, request.headers(), ids).await),
            Err(failure) => http::render_failure(&failure),
        },
        Route::Other => help(shared).into_bytes(),
    };
    let mut response = Response::new(Full::new(Bytes::from(body)));
    response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("text/plain"));
    response
}

async fn serve_announce(shared: &Shared, caller: &Caller, headers: &HeaderMap, request: Announce) -> Answer {
    let (sender, receiver) = oneshot::channel();
    match shared.announce(client(shared, caller, headers), request, || Waiter::Http(sender)) {
        Decision::Now(answer) => answer,
        Decision::Held(ticket) => wait(&Place { shared, ticket: Held::Announce(ticket) }, caller, receiver).await,
    }
}

async fn serve_scrape(shared: &Shared, caller: &Caller, headers: &HeaderMap, ids: Vec<Id>) -> Files {
    let (sender, receiver) = oneshot::channel();
    match shared.scrape(client(shared, caller, headers), ids, || ScrapeWaiter::Http(sender)) {
        Scraping::Now(files) => files,
        Scraping::Held(ticket) => wait(&Place { shared, ticket: Held::Scrape(ticket) }, caller, receiver).await,
    }
}

fn client(shared: &Shared, caller: &Caller, headers: &HeaderMap) -> Client {
    let addr = client_addr(caller.addr, headers, &shared.trusted_proxies);
    shared.client(addr, caller.here.ip(), Transport::Http)
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

/// The client's address: the sender's, unless that is a proxy that we trust. Then the header is read from the right, past
/// further proxies of ours: what stands on the left is only what the client claims.
fn client_addr(from: SocketAddr, headers: &HeaderMap, trusted: &[Range]) -> SocketAddr {
    if !is_trusted(trusted, from.ip()) {
        return from;
    }
    let values = headers.get_all("x-forwarded-for").iter().rev().filter_map(|value| value.to_str().ok());
    let hops = values.flat_map(|value| value.rsplit(',')).map_while(|hop| hop.trim().parse::<IpAddr>().ok());
    let client = hops.map(|ip| ip.to_canonical()).find(|ip| !is_trusted(trusted, *ip));
    client.map_or(from, |ip| SocketAddr::new(ip, from.port()))
}

fn is_trusted(proxies: &[Range], ip: IpAddr) -> bool {
    proxies.iter().any(|range| range.contains(ip))
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
