//! Who may do what. Pure: a request and where it came from make a decision.
//!
//! * The Unix socket is for those whom the system lets into the data folder: they may do everything.
//! * Web pages of other sites may do nothing ([`page`]).
//! * With the token everything may be done; with the key made of it, programs may search the index.
//! * Without, programs on this host may read, as long as no proxy speaks for another host and it is not about persons, and
//!   all may have the empty page and log in.

use std::net::{IpAddr, SocketAddr};

use axum::http::header::{AUTHORIZATION, COOKIE};
use axum::http::request::Parts;
use axum::http::{Method, StatusCode};

use super::problem::Problem;
use super::token::Token;
use crate::net::http::forwarded;
use crate::net::http::page::{self, Name, Sign};
use crate::tracker::server::HostName;

/// The cookie that holds the token of a browser.
pub(super) const COOKIE_NAME: &str = "trackerless-control";

/// What a browser needs before anybody has logged in. It tells nothing of the node.
const OF_THE_PAGE: [&str; 6] = ["/", "/dashboard/style.css", "/dashboard/app.js", "/session", "/login", "/logout"];

/// Where programs search, which know no other secret than a key in the query.
const TORZNAB: &str = "/torznab/api";

/// What tells of persons: who downloads what, and where. By TCP it needs the token, also on this host, which others may use.
const OF_PERSONS: [&str; 1] = ["/api/v1/clients/gateway"];

/// Which way a request came.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Way {
    /// By the Unix socket.
    Unix,
    /// By TCP.
    Tcp {
        /// The address of the client, or of a proxy.
        from: IpAddr,
        /// Our address of the connection.
        here: IpAddr,
    },
}

/// The rules of one control interface.
#[derive(Clone, Debug)]
pub(super) struct Guard {
    pub(super) token: Token,
    /// Names of the interface, besides its addresses and those of the local host.
    pub(super) names: Vec<HostName>,
    /// Where it listens by TCP.
    pub(super) local: Option<SocketAddr>,
}

impl Guard {
    /// Whether the request may be served.
    pub(super) fn check(&self, way: Way, head: &Parts) -> Result<(), Problem> {
        let Way::Tcp { from, here } = way else { return Ok(()) };
        if let Some(sign) = page::sign_of_other_site(head, |name| self.is_ours(name, here)) {
            return Err(of_other_site(sign));
        }
        if OF_THE_PAGE.contains(&head.uri.path()) {
            return Ok(());
        }
        match self.token_of(head).or_else(|| self.api_key_of(head)) {
            Some(true) => return Ok(()),
            Some(false) => return Err(Problem::unauthorized("the token is not the one of this node")),
            None => {}
        }
        let is_local = self.is_open() && from.is_loopback() && here.is_loopback();
        if !is_local || forwarded::is_forwarded(&head.headers) {
            return Err(Problem::unauthorized("from other hosts everything needs the token"));
        }
        if OF_PERSONS.contains(&head.uri.path()) {
            return Err(Problem::unauthorized("who uses the gateway is told to those with the token alone"));
        }
        match head.method == Method::GET || head.method == Method::HEAD {
            true => Ok(()),
            false => Err(Problem::unauthorized("whatever changes or starts something needs the token")),
        }
    }

    /// Whether a part of the interface is open to those without the token: where it listens on the loopback alone.
    pub(super) fn is_open(&self) -> bool {
        self.local.is_some_and(|local| local.ip().is_loopback())
    }

    fn is_ours(&self, name: &Name<'_>, here: IpAddr) -> bool {
        let text = match name {
            Name::Address(ip) if *ip == here => return true,
            Name::Address(ip) => ip.to_string(),
            Name::Text(text) => (*text).to_owned(),
        };
        self.names.iter().any(|known| known.to_string() == text)
    }

    /// Whether the key of a program that searches is right; `None` if it brings none, or wants something else.
    fn api_key_of(&self, head: &Parts) -> Option<bool> {
        let query = head.uri.query().filter(|_| head.uri.path() == TORZNAB && head.method == Method::GET)?;
        let key = query.split('&').find_map(|pair| pair.strip_prefix("apikey=")).filter(|key| !key.is_empty())?;
        Some(Token::new(&self.token.api_key()).is(key))
    }

    /// Whether the token that the request brings is right; `None` if it brings none.
    pub(super) fn token_of(&self, head: &Parts) -> Option<bool> {
        let header = head.headers.get(AUTHORIZATION).map(|value| value.to_str().unwrap_or_default());
        match header {
            Some(value) => Some(bearer(value).is_some_and(|token| self.token.is(token))),
            None => cookie(head).map(|token| hex::decode(token).is_ok_and(|token| self.token.is(token))),
        }
    }
}

/// What stands after `Bearer`, in any case (RFC 9110, 11.1).
fn bearer(value: &str) -> Option<&str> {
    let (scheme, token) = value.trim().split_once(' ')?;
    scheme.eq_ignore_ascii_case("bearer").then(|| token.trim())
}

fn cookie(head: &Parts) -> Option<&str> {
    let lists = head.headers.get_all(COOKIE).iter().filter_map(|value| value.to_str().ok());
    let mut pairs = lists.flat_map(|list| list.split(';')).filter_map(|pair| pair.trim().split_once('='));
    pairs.find(|(name, _)| *name == COOKIE_NAME).map(|(_, value)| value)
}

fn of_other_site(sign: Sign) -> Problem {
    let (detail, cure) = match sign {
        Sign::Host => ("the control interface is not known by this name", "add the name to control_names"),
        _ => ("a web page of another site has sent this", "open the page of the node itself, or use a program"),
    };
    Problem::new(StatusCode::FORBIDDEN, detail, cure)
}

#[cfg(test)]
mod tests {
    use super::*;
    use axum::http::Request;

    const TOKEN: &str = "0123456789abcdef";
    const LOOPBACK: (&str, &str) = ("127.0.0.1", "127.0.0.1");

    /// The status of the answer; 200 where the request may be served.
    fn status(local: &str, method: &str, (from, here): (&str, &str), headers: &[(&str, &str)]) -> u16 {
        let names = vec!["dht.example".parse().unwrap()];
        let guard = Guard { token: Token::new(TOKEN), names, local: Some(local.parse().unwrap()) };
        let mut request = Request::builder().method(method).uri("/api/v1/status");
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        let way = Way::Tcp { from: from.parse().unwrap(), here: here.parse().unwrap() };
        let head = request.body(()).unwrap().into_parts().0;
        assert!(guard.check(Way::Unix, &head).is_ok());
        guard.check(way, &head).map_or_else(|problem| problem.status, |()| 200)
    }

    #[test]
    fn on_the_loopback_reading_is_open_and_all_else_needs_the_token() {
        let open = |method, headers: &[_]| status("127.0.0.1:6880", method, LOOPBACK, headers);
        let right = ("authorization", "Bearer 0123456789abcdef");
        for (method, headers, expected) in [
            ("GET", &[][..], 200),
            ("HEAD", &[], 200),
            ("POST", &[], 401),
            ("PATCH", &[], 401),
            ("DELETE", &[], 401),
            ("OPTIONS", &[], 401),
            ("POST", &[right], 200),
            ("POST", &[("authorization", "bearer 0123456789abcdef")], 200),
            ("POST", &[("cookie", "a=b; trackerless-control=30313233343536373839616263646566")], 200),
            ("POST", &[("cookie", "trackerless-control=0123456789abcdef")], 401),
            ("POST", &[("cookie", "trackerless-control=x")], 401),
            ("GET", &[("authorization", "Bearer 0123456789abcdee")], 401),
            ("GET", &[("authorization", "Basic 0123456789abcdef")], 401),
            ("GET", &[("authorization", "Bearer")], 401),
            // A proxy on this host speaks for others.
            ("GET", &[("x-forwarded-for", "127.0.0.1")], 401),
            ("GET", &[("forwarded", "for=203.0.113.9")], 401),
            ("GET", &[("via", "1.1 proxy"), right], 200),
        ] {
            assert_eq!(open(method, headers), expected, "{method} {headers:?}");
        }
    }

    #[test]
    fn what_tells_of_persons_needs_the_token_on_this_host_too() {
        let guard =
            Guard { token: Token::new(TOKEN), names: Vec::new(), local: Some("127.0.0.1:6880".parse().unwrap()) };
        let way = Way::Tcp { from: "127.0.0.1".parse().unwrap(), here: "127.0.0.1".parse().unwrap() };
        for target in ["/api/v1/clients/gateway", "/api/v1/clients/gateway?limit=1"] {
            for (header, allowed) in [("", false), ("Bearer x", false), ("Bearer 0123456789abcdef", true)] {
                let mut request = Request::get(target);
                if !header.is_empty() {
                    request = request.header("authorization", header);
                }
                let head = request.body(()).unwrap().into_parts().0;
                assert_eq!(guard.check(way, &head).is_ok(), allowed, "{target} {header}");
                assert!(guard.check(Way::Unix, &head).is_ok(), "who may open the socket may have everything");
            }
        }
    }

    #[test]
    fn from_other_hosts_and_at_other_addresses_everything_needs_the_token() {
        let right = [("authorization", "Bearer 0123456789abcdef")];
        for (local, way) in [
            ("192.168.1.2:6880", ("192.168.1.9", "192.168.1.2")),
            ("192.168.1.2:6880", ("192.168.1.2", "192.168.1.2")),
            ("0.0.0.0:6880", LOOPBACK),
            ("[::]:6880", ("::1", "::1")),
        ] {
            assert_eq!(status(local, "GET", way, &[]), 401, "{local} {way:?}");
            assert_eq!(status(local, "GET", way, &right), 200, "{local} {way:?}");
            assert_eq!(status(local, "POST", way, &right), 200, "{local} {way:?}");
        }
    }

    #[test]
    fn a_key_in_the_query_opens_the_search_for_programs_and_nothing_else() {
        let guard =
            Guard { token: Token::new(TOKEN), names: Vec::new(), local: Some("192.168.1.2:6880".parse().unwrap()) };
        let key = guard.token.api_key();
        assert_eq!(key.len(), 32);
        for (method, target, allowed) in [
            ("GET", format!("/torznab/api?t=caps&apikey={key}"), true),
            ("GET", format!("/torznab/api?apikey={key}&t=search&q=a"), true),
            ("GET", "/torznab/api?t=caps".to_owned(), false),
            ("GET", "/torznab/api?t=caps&apikey=".to_owned(), false),
            ("GET", format!("/torznab/api?t=caps&apikey={}", key.replace(&key[..1], "x")), false),
            ("GET", format!("/torznab/api?t=caps&apikey={TOKEN}"), false),
            ("POST", format!("/torznab/api?t=caps&apikey={key}"), false),
            ("GET", format!("/api/v1/status?apikey={key}"), false),
            ("GET", format!("/api/v1/search?q=a&apikey={key}"), false),
        ] {
            let head = Request::builder().method(method).uri(&target).body(()).unwrap().into_parts().0;
            let way = Way::Tcp { from: "192.168.1.9".parse().unwrap(), here: "192.168.1.2".parse().unwrap() };
            assert_eq!(guard.check(way, &head).is_ok(), allowed, "{method} {target}");
        }
    }

    #[test]
    fn names_that_may_be_rebound_and_pages_of_other_sites_are_refused_even_with_the_token() {
        let right = ("authorization", "Bearer 0123456789abcdef");
        for (headers, expected) in [
            (&[("host", "evil.example"), right][..], 403),
            (&[("host", "127.0.0.1:6880"), ("origin", "http://evil.example"), right], 403),
            (&[("host", "127.0.0.1:6880"), ("sec-fetch-site", "cross-site"), right], 403),
            (&[("host", "dht.example"), ("origin", "https://dht.example"), right], 200),
            (&[("host", "127.0.0.1:6880"), ("origin", "http://127.0.0.1:6880"), right], 200),
            (&[("host", "localhost")], 200),
            (&[("host", "192.168.1.2")], 403),
        ] {
            assert_eq!(status("127.0.0.1:6880", "GET", LOOPBACK, headers), expected, "{headers:?}");
        }
    }
}
