//! Tells requests of web pages from those of programs.
//!
//! Every page that a browser shows may send requests to the loopback and to the local network, and the user sees nothing
//! of it. So a service without a password refuses what a page may have sent: it would speak to local programs on behalf of
//! the page, and by a name whose address changes ("DNS rebinding") the page could read the answers.
//!
//! There are two such rules, which share what is said here of names: [`sign_of`] is for services that no browser speaks
//! to, [`sign_of_other_site`] for one that has a page of its own.
//!
//! Pure. The rule errs on the side of refusal: one sign suffices.

use std::net::IpAddr;

use hyper::Method;
use hyper::header::{self, HeaderMap, HeaderName};
use hyper::http::request::Parts;
use hyper::http::uri::Authority;

/// Why a request is taken for one of a web page.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Sign {
    /// A header that only browsers send.
    Header(&'static str),
    /// The name of a browser.
    UserAgent,
    /// The document types that only browsers ask for.
    Accept,
    /// `Host` names neither us nor the local host: the name may be one whose address was changed to ours.
    Host,
}

/// Headers that browsers add and no client of a tracker or of an API does. A page cannot keep a browser from sending
/// `Origin` (with all but plain requests) and the `Sec-Fetch` headers (Fetch Metadata, W3C).
const OF_BROWSERS: [&str; 9] = [
    "origin",
    "referer",
    "upgrade-insecure-requests",
    "dnt",
    "access-control-request-method",
    "access-control-request-headers",
    "access-control-request-private-network",
    "service-worker",
    "ping-from",
];

/// The sign that a web page sent this request, if there is one. `is_ours` says whether an address or a name is one of the
/// service; the names of the local host are always.
#[must_use]
pub fn sign_of(request: &Parts, is_ours: impl Fn(&Name<'_>) -> bool) -> Option<Sign> {
    let headers = &request.headers;
    if let Some(name) = OF_BROWSERS.into_iter().find(|name| headers.contains_key(*name)) {
        return Some(Sign::Header(name));
    }
    if headers.keys().any(is_security_header) && !is_of_node(headers) {
        return Some(Sign::Header("sec-fetch"));
    }
    if headers.get(header::ACCEPT_LANGUAGE).is_some_and(|value| value != "*") {
        return Some(Sign::Header("accept-language"));
    }
    if values(headers, &header::USER_AGENT).any(|agent| is_browser(&agent)) {
        return Some(Sign::UserAgent);
    }
    if values(headers, &header::ACCEPT).any(|accept| is_of_a_document(&accept)) {
        return Some(Sign::Accept);
    }
    (!is_addressed_to_us(request, is_ours)).then_some(Sign::Host)
}

/// The sign that a page of another site sent this request, if there is one: for a service that has a page of its own, which
/// browsers may show and which may send requests. A link on another site may lead to the page; its frames and scripts may
/// not.
#[must_use]
pub fn sign_of_other_site(request: &Parts, is_ours: impl Fn(&Name<'_>) -> bool) -> Option<Sign> {
    let headers = &request.headers;
    let is =
        |name: &str, text: &str| headers.contains_key(name) && headers.get_all(name).iter().all(|value| value == text);
    let is_link = request.method == Method::GET && is("sec-fetch-mode", "navigate") && is("sec-fetch-dest", "document");
    if !is_addressed_to_us(request, is_ours) {
        return Some(Sign::Host);
    }
    if headers.contains_key(header::ORIGIN) && !is_from_here(headers) {
        return Some(Sign::Header("origin"));
    }
    let site = "sec-fetch-site";
    let is_known = !headers.contains_key(site) || is(site, "same-origin") || is(site, "none");
    (!is_known && !is_link).then_some(Sign::Header(site))
}

/// Whether `Origin` names the very host and port that `Host` does. Another port is another program's page.
fn is_from_here(headers: &HeaderMap) -> bool {
    let host = headers.get(header::HOST).and_then(|host| host.to_str().ok());
    let mut origins = headers.get_all(header::ORIGIN).iter().map(|origin| origin.to_str().unwrap_or_default());
    let bare = |origin: &str| {
        let rest = origin.strip_prefix("http://").or_else(|| origin.strip_prefix("https://"))?;
        Some(rest.to_ascii_lowercase())
    };
    host.is_some_and(|host| origins.all(|origin| bare(origin).is_some_and(|bare| bare == host.to_ascii_lowercase())))
}

/// The host that a request is addressed to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Name<'a> {
    /// An address.
    Address(IpAddr),
    /// A name, in lower case and without the dot at its end.
    Text(&'a str),
}

/// The values of a header in lower case; bytes that are no text become question marks.
fn values(headers: &HeaderMap, name: &HeaderName) -> impl Iterator<Item = String> {
    headers.get_all(name).iter().map(|value| String::from_utf8_lossy(value.as_bytes()).to_lowercase())
}

/// `Sec-Fetch-Site`, `Sec-CH-UA`, `Sec-WebSocket-Key` and the like: names that a page cannot set (Fetch Standard).
fn is_security_header(name: &HeaderName) -> bool {
    name.as_str().starts_with("sec-")
}

/// Whether the request is one of `fetch` in Node.js, by which WebTorrent announces: it sends `Sec-Fetch-Mode: cors` alone and
/// no language. Browsers that send this header send `Sec-Fetch-Site` with it.
fn is_of_node(headers: &HeaderMap) -> bool {
    let security: Vec<_> = headers.keys().filter(|name| is_security_header(name)).map(HeaderName::as_str).collect();
    let is = |name: &str, text: &str| headers.get(name).is_some_and(|value| value == text);
    security == ["sec-fetch-mode"] && is("sec-fetch-mode", "cors") && is("accept-language", "*") && is("accept", "*/*")
}

/// Every browser begins with `Mozilla/5.0`, for reasons of the last century; the other names are of old ones.
fn is_browser(agent: &str) -> bool {
    ["mozilla/", "opera/", "applewebkit/", "gecko/", "chrome/", "firefox/", "safari/"]
        .iter()
        .any(|name| agent.contains(name))
}

/// What a browser accepts for a page, an image, a style sheet or a stream of events. Java, and so BiglyBT, names
/// `text/html` and `image/gif` as well, but begins with the former and knows no XHTML.
fn is_of_a_document(accept: &str) -> bool {
    let first = accept.trim_start();
    accept.contains("application/xhtml+xml")
        || ["image/", "text/css", "text/event-stream", "video/", "audio/", "font/"]
            .iter()
            .any(|kind| first.starts_with(kind))
}

/// Whether the request names us: in its target, if that is a whole URL, and in `Host`. HTTP/1.0 knows no `Host`.
fn is_addressed_to_us(request: &Parts, is_ours: impl Fn(&Name<'_>) -> bool) -> bool {
    let hosts = request.headers.get_all(header::HOST);
    let mut named = hosts.iter().map(|host| host.to_str().ok()?.trim().parse::<Authority>().ok());
    let is_fine = |authority: &Authority| {
        let host = authority.host().trim_end_matches('.').to_ascii_lowercase();
        let name = match host.trim_start_matches('[').trim_end_matches(']').parse::<IpAddr>() {
            Ok(ip) => Name::Address(ip.to_canonical()),
            Err(_) => Name::Text(&host),
        };
        !authority.as_str().contains('@') && (is_local_host(&name) || is_ours(&name))
    };
    let target = request.uri.authority().is_none_or(&is_fine);
    target && hosts.iter().count() <= 1 && named.all(|authority| authority.is_some_and(|authority| is_fine(&authority)))
}

/// The addresses and the name of the local host. Browsers resolve `localhost` and the names below it themselves, to the
/// loopback (RFC 6761).
fn is_local_host(name: &Name<'_>) -> bool {
    match name {
        Name::Address(ip) => ip.is_loopback(),
        Name::Text(text) => *text == "localhost" || text.ends_with(".localhost"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use hyper::Request;

    /// The sign of a request to a gateway at 192.168.1.2 that is also called `tracker.lan`.
    fn sign(target: &str, headers: &[(&str, &str)]) -> Option<Sign> {
        let mut request = Request::get(target);
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        let ours = |name: &Name<'_>| match name {
            Name::Address(ip) => *ip == IpAddr::from([192, 168, 1, 2]),
            Name::Text(text) => *text == "tracker.lan",
        };
        sign_of(&request.body(()).unwrap().into_parts().0, ours)
    }

    #[test]
    fn requests_of_clients_pass() {
        for (client, headers) in [
            (
                "libtorrent",
                &[("user-agent", "qBittorrent/5.0.3"), ("accept-encoding", "gzip"), ("connection", "close")][..],
            ),
            ("Transmission", &[("user-agent", "Transmission/4.0.6"), ("accept", "*/*"), ("accept-encoding", "gzip")]),
            (
                "aria2",
                &[
                    ("user-agent", "aria2/1.36.0"),
                    ("accept", "*/*"),
                    ("pragma", "no-cache"),
                    ("cache-control", "no-cache"),
                ],
            ),
            ("rTorrent", &[("user-agent", "rtorrent/0.9.8/0.13.8"), ("accept", "*/*")]),
            (
                "BiglyBT",
                &[
                    ("user-agent", "BiglyBT 3.6.0.0"),
                    ("accept", "text/html, image/gif, image/jpeg, *; q=.2, */*; q=.2"),
                    ("content-type", "application/x-www-form-urlencoded"),
                ],
            ),
            (
                "webtorrent",
                &[
                    ("user-agent", ""),
                    ("accept", "*/*"),
                    ("accept-language", "*"),
                    ("sec-fetch-mode", "cors"),
                    ("accept-encoding", "gzip, deflate"),
                ],
            ),
            ("curl", &[("user-agent", "curl/8.5.0"), ("accept", "*/*")]),
            ("nothing at all", &[]),
        ] {
            let with_host = [&[("host", "127.0.0.1:6969")], headers].concat();
            assert_eq!(sign("/announce", &with_host), None, "{client}");
            assert_eq!(sign("/announce", headers), None, "{client} by HTTP/1.0");
        }
    }

    #[test]
    fn one_sign_of_a_page_suffices() {
        for (header, value) in [
            ("origin", "http://evil.example"),
            ("origin", "null"),
            ("origin", ""),
            ("referer", "http://127.0.0.1:8000/"),
            ("sec-fetch-site", "cross-site"),
            ("sec-fetch-mode", "no-cors"),
            ("sec-fetch-mode", "cors"),
            ("sec-fetch-dest", "image"),
            ("sec-fetch-user", "?1"),
            ("sec-fetch-storage-access", "active"),
            ("sec-ch-ua", "\"Chromium\";v=\"140\""),
            ("sec-websocket-key", "AAAAAAAAAAAAAAAAAAAAAA=="),
            ("sec-purpose", "prefetch"),
            ("upgrade-insecure-requests", "1"),
            ("access-control-request-private-network", "true"),
            ("accept-language", "en-US,en;q=0.9"),
            (
                "user-agent",
                "Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/140.0 Safari/537.36",
            ),
            ("user-agent", "mozilla/4.0"),
            ("user-agent", "Opera/9.80 (X11; Linux i686) Presto/2.12"),
            ("accept", "text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8"),
            ("accept", "image/avif,image/webp,*/*;q=0.8"),
            ("accept", "text/css,*/*;q=0.1"),
            ("accept", "text/event-stream"),
        ] {
            assert!(sign("/announce", &[("host", "127.0.0.1:6969"), (header, value)]).is_some(), "{header}: {value}");
        }
        // A page that pretends to be Node.js cannot leave out what its browser adds.
        let pretending =
            [("accept-language", "*"), ("accept", "*/*"), ("sec-fetch-mode", "cors"), ("sec-fetch-site", "none")];
        assert_eq!(sign("/announce", &pretending), Some(Sign::Header("sec-fetch")));
    }

    #[test]
    fn a_request_names_us_or_the_local_host() {
        for host in [
            "127.0.0.1:6969",
            "127.8.9.1",
            "localhost",
            "LocalHost:6969",
            "localhost.",
            "x.localhost:6969",
            "[::1]:6969",
            "[::1]",
            "[::ffff:127.0.0.1]:6969",
            "192.168.1.2",
            "192.168.1.2:80",
            "tracker.lan:6969",
            "TRACKER.lan.",
        ] {
            assert_eq!(sign("/announce", &[("host", host)]), None, "{host}");
        }
        for host in [
            "evil.example",
            "evil.example:6969",
            "127.0.0.1.evil.example",
            "localhost.evil.example",
            "xlocalhost",
            "0.0.0.0:6969",
            "[::]:6969",
            "192.168.1.3",
            "203.0.113.9:6969",
            "[2001:db8::1]:6969",
            "x@127.0.0.1",
            "127.0.0.1:6969, evil.example",
            "127.1",
            "2130706433",
            "",
            "\u{e9}",
            ":6969",
            "lan",
        ] {
            assert_eq!(sign("/announce", &[("host", host)]), Some(Sign::Host), "{host}");
        }
        assert_eq!(sign("/announce", &[("host", "127.0.0.1"), ("host", "evil.example")]), Some(Sign::Host));
        assert_eq!(sign("http://evil.example/announce", &[("host", "127.0.0.1")]), Some(Sign::Host));
        assert_eq!(sign("http://127.0.0.1:6969/announce", &[("host", "127.0.0.1:6969")]), None);
    }

    /// The sign to a service with a page of its own, at the same addresses.
    fn other(method: &str, headers: &[(&str, &str)]) -> Option<Sign> {
        let mut request = Request::builder().method(method).uri("/api/v1/status");
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        let ours = |name: &Name<'_>| *name == Name::Text("tracker.lan");
        sign_of_other_site(&request.body(()).unwrap().into_parts().0, ours)
    }

    #[test]
    fn our_own_page_and_programs_pass_and_other_sites_do_not() {
        let (host, port) = (("host", "127.0.0.1:6880"), ("origin", "http://127.0.0.1:6880"));
        for headers in [
            &[][..],
            &[host],
            &[host, port],
            &[host, port, ("sec-fetch-site", "same-origin"), ("sec-fetch-mode", "cors")],
            &[host, ("sec-fetch-site", "none"), ("sec-fetch-mode", "navigate")],
            &[host, ("sec-fetch-site", "cross-site"), ("sec-fetch-mode", "navigate"), ("sec-fetch-dest", "document")],
            &[("host", "localhost:1"), ("origin", "http://localhost:1"), ("user-agent", "Mozilla/5.0")],
            &[("host", "Tracker.lan"), ("origin", "https://tracker.lan")],
        ] {
            assert_eq!(other("GET", headers), None, "{headers:?}");
        }
        let (fetch, link) = (Sign::Header("sec-fetch-site"), ("sec-fetch-mode", "navigate"));
        for (method, headers, sign) in [
            ("GET", &[("host", "evil.example")][..], Sign::Host),
            ("GET", &[host, host], Sign::Host),
            ("GET", &[host, ("origin", "null")], Sign::Header("origin")),
            ("POST", &[host, ("origin", "http://127.0.0.1:8080")], Sign::Header("origin")),
            ("POST", &[host, ("origin", "http://evil.example")], Sign::Header("origin")),
            ("POST", &[host, port, ("origin", "http://evil.example")], Sign::Header("origin")),
            ("GET", &[("origin", "http://127.0.0.1:6880")], Sign::Header("origin")),
            ("GET", &[host, ("sec-fetch-site", "cross-site")], fetch),
            ("GET", &[host, ("sec-fetch-site", "same-site"), ("sec-fetch-dest", "image")], fetch),
            ("GET", &[host, ("sec-fetch-site", "cross-site"), link, ("sec-fetch-dest", "iframe")], fetch),
            ("POST", &[host, ("sec-fetch-site", "cross-site"), link, ("sec-fetch-dest", "document")], fetch),
        ] {
            assert_eq!(other(method, headers), Some(sign), "{method} {headers:?}");
        }
    }
}
