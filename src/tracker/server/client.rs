//! Who the client of an HTTP request is, with proxies in front of the gateway or without.
//!
//! Pure. The address that a connection comes from is proven. What a header says is believed only of a proxy that the
//! user trusts, and never makes a client one of this host: anybody may write a loopback address into a header.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};

use hyper::header::HeaderMap;

use crate::engine::contact::is_sendable;
use crate::net::http::forwarded;
use crate::net::nearness::{Nearness, Range, Site};
use crate::tracker::Announce;
use crate::tracker::broker::{Client, Transport};

/// The client of a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Identity {
    /// Its endpoint; unspecified where a proxy does not say.
    pub(super) addr: SocketAddr,
    pub(super) nearness: Nearness,
    /// Whether others may be told of it.
    pub(super) listed: bool,
}

impl Identity {
    /// The client as the broker knows it, which asked at our address `here`. Of a client that is not listed no address is
    /// told, not even to the client itself.
    pub(super) fn client(self, here: IpAddr) -> Client {
        let unknown = SocketAddr::new(Ipv4Addr::UNSPECIFIED.into(), self.addr.port());
        let addr = if self.listed { self.addr } else { unknown };
        Client { addr, here, nearness: self.nearness, transport: Transport::Http }
    }

    /// Takes from the announce of a client that is not listed the port at which others would reach it.
    pub(super) const fn admit(&self, announce: &mut Announce) {
        if !self.listed {
            announce.port = 0;
        }
    }
}

/// The client of a request that came from `from` to our address `here` with these headers.
pub(super) fn identify(
    from: SocketAddr,
    here: IpAddr,
    headers: &HeaderMap,
    trusted: &[Range],
    site: &Site,
) -> Identity {
    if !is_trusted(trusted, from.ip()) {
        return Identity { addr: from, nearness: site.nearness(from.ip(), here), listed: true };
    }
    match forwarded::client(headers, |ip| is_trusted(trusted, ip)) {
        Some(ip) => {
            let addr = SocketAddr::new(ip, from.port());
            let ours = ip == here || ip == from.ip() || site.has(ip) || !is_sendable(&addr);
            let nearness = if ours { Nearness::Remote } else { site.nearness_elsewhere(ip) };
            Identity { addr, nearness, listed: !ours }
        }
        None => {
            let addr = SocketAddr::new(Ipv4Addr::UNSPECIFIED.into(), from.port());
            Identity { addr, nearness: Nearness::Remote, listed: false }
        }
    }
}

/// Whether `ip` is one of the proxies.
pub(super) fn is_trusted(proxies: &[Range], ip: IpAddr) -> bool {
    proxies.iter().any(|range| range.contains(ip))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn headers(lines: &[(&str, &str)]) -> HeaderMap {
        lines.iter().map(|(name, value)| (name.parse().unwrap(), value.parse().unwrap())).collect::<HeaderMap>()
    }

    /// The client as `address nearness`, with `unlisted` where others are not told of it.
    fn identity(from: &str, here: &str, lines: &[(&str, &str)], trusted: &[&str]) -> String {
        let trusted: Vec<Range> = trusted.iter().map(|range| range.parse().unwrap()).collect();
        let from: SocketAddr = from.parse().unwrap();
        let site = Site::default();
        let Identity { addr, nearness, listed } =
            identify(from, here.parse().unwrap(), &headers(lines), &trusted, &site);
        assert_eq!(addr.port(), from.port());
        format!("{} {nearness:?}{}", addr.ip(), if listed { "" } else { " unlisted" })
    }

    #[test]
    fn where_a_request_comes_from_and_goes_to_says_how_near_the_client_is() {
        for (from, here, client) in [
            ("127.0.0.1:7", "127.0.0.1", "127.0.0.1 Host"),
            ("127.0.0.9:7", "127.0.0.1", "127.0.0.9 Host"),
            ("[::1]:7", "::1", "::1 Host"),
            // A client that is bound to a public address of this host, as on a rented server.
            ("203.0.113.7:7", "127.0.0.1", "203.0.113.7 Host"),
            ("[2001:db8::7]:7", "::1", "2001:db8::7 Host"),
            ("192.168.1.2:7", "127.0.0.1", "192.168.1.2 Host"),
            ("203.0.113.7:7", "203.0.113.7", "203.0.113.7 Host"),
            ("192.168.1.9:7", "192.168.1.2", "192.168.1.9 Lan"),
            ("203.0.113.9:7", "192.168.1.2", "203.0.113.9 Remote"),
            ("203.0.113.9:7", "203.0.113.7", "203.0.113.9 Remote"),
            ("[2001:db8::9]:7", "2001:db8::7", "2001:db8::9 Remote"),
        ] {
            assert_eq!(identity(from, here, &[], &[]), client, "{from} to {here}");
            // Headers of those who are no proxies say nothing, whatever they say.
            for name in ["x-forwarded-for", "forwarded", "x-real-ip"] {
                let forged = [(name, "127.0.0.1"), (name, "for=127.0.0.1")];
                assert_eq!(identity(from, here, &forged, &["10.9.0.0/16"]), client, "{from} to {here}, {name}");
            }
        }
    }

    #[test]
    fn all_forms_that_proxies_write_are_read() {
        const NOBODY: &str = "0.0.0.0 Remote unlisted";
        for (list, client) in [
            ("203.0.113.9", "203.0.113.9 Remote"),
            (" 203.0.113.9 ", "203.0.113.9 Remote"),
            ("203.0.113.9:4711", "203.0.113.9 Remote"),
            ("\"203.0.113.9:4711\"", "203.0.113.9 Remote"),
            ("2001:db8::9", "2001:db8::9 Remote"),
            ("[2001:db8::9]", "2001:db8::9 Remote"),
            ("[2001:db8::9]:4711", "2001:db8::9 Remote"),
            ("::ffff:203.0.113.9", "203.0.113.9 Remote"),
            ("[::ffff:203.0.113.9]:1", "203.0.113.9 Remote"),
            ("192.168.1.9", "192.168.1.9 Lan"),
            // What the client itself wrote stands on the left.
            ("198.51.100.1, 203.0.113.9", "203.0.113.9 Remote"),
            ("127.0.0.1, 203.0.113.9", "203.0.113.9 Remote"),
            ("unknown, 203.0.113.9", "203.0.113.9 Remote"),
            ("198.51.100.1, 203.0.113.9:5, 10.0.0.2:9", "203.0.113.9 Remote"),
            // All are proxies of ours: the first one asks.
            ("10.0.0.3, 10.0.0.2", "10.0.0.3 Lan"),
            ("unknown", NOBODY),
            ("203.0.113.9, unknown", NOBODY),
            ("203.0.113.9,", NOBODY),
            ("_hidden", NOBODY),
            ("", NOBODY),
            (" ", NOBODY),
            (",", NOBODY),
            ("[203.0.113.9]", NOBODY),
            ("203.0.113.9:70000", NOBODY),
            ("203.0.113", NOBODY),
            ("localhost", NOBODY),
            // An address of a header is never one of this host.
            ("127.0.0.1", "127.0.0.1 Remote unlisted"),
            ("127.0.0.1:22", "127.0.0.1 Remote unlisted"),
            ("[::1]:22", "::1 Remote unlisted"),
            ("192.168.1.2", "192.168.1.2 Remote unlisted"),
            ("10.0.0.1", "10.0.0.1 Remote unlisted"),
            ("0.0.0.0", "0.0.0.0 Remote unlisted"),
            ("224.0.0.1", "224.0.0.1 Remote unlisted"),
            ("255.255.255.255", "255.255.255.255 Remote unlisted"),
        ] {
            let trusted = &["10.0.0.0/8"];
            for here in ["192.168.1.2", "127.0.0.1"] {
                if here == "127.0.0.1" && list.starts_with("192.168.1.2") {
                    continue;
                }
                let plain = [("x-forwarded-for", list)];
                assert_eq!(identity("10.0.0.1:7", here, &plain, trusted), client, "{list:?} to {here}");
                let elements: Vec<String> =
                    list.split(',').map(|hop| format!("For=\"{}\";proto=http", hop.trim().trim_matches('"'))).collect();
                let standard = [("forwarded", &*elements.join(", "))];
                assert_eq!(identity("10.0.0.1:7", here, &standard, trusted), client, "{elements:?} to {here}");
            }
        }
    }

    #[test]
    fn a_proxy_that_names_nobody_hides_the_client() {
        for lines in [
            &[][..],
            &[("x-real-ip", "203.0.113.9")],
            &[("forwarded", "by=203.0.113.9;proto=http")],
            &[("forwarded", "203.0.113.9")],
            &[("forwarded", "for=198.51.100.1;for=203.0.113.9")],
            &[("forwarded", "for=203.0.113.9;host=\"a")],
            &[("forwarded", "for=\"203.0.113.9")],
            // The proxy wrote one of them, and the client the other.
            &[("x-forwarded-for", "203.0.113.9"), ("forwarded", "for=192.168.1.9")],
            &[("x-forwarded-for", "203.0.113.9"), ("forwarded", "for=unknown")],
        ] {
            for (from, trusted) in [("127.0.0.1:7", "127.0.0.0/8"), ("10.0.0.1:7", "10.0.0.1"), ("[::1]:7", "::1")] {
                assert_eq!(
                    identity(from, "127.0.0.1", lines, &[trusted]),
                    "0.0.0.0 Remote unlisted",
                    "{lines:?} {from}"
                );
            }
        }
        let both = [("x-forwarded-for", "203.0.113.9"), ("forwarded", "for=203.0.113.9")];
        assert_eq!(identity("127.0.0.1:7", "127.0.0.1", &both, &["127.0.0.1"]), "203.0.113.9 Remote");
        // What a client puts into the name that it calls us by stays within the quotes of the proxy.
        for host in ["a, for=198.51.100.1", "a;for=198.51.100.1", "a\\\", for=198.51.100.1"] {
            let written = format!("for=203.0.113.9;host=\"{host}\";proto=http");
            let client = identity("127.0.0.1:7", "127.0.0.1", &[("forwarded", &written)], &["127.0.0.1"]);
            assert_eq!(client, "203.0.113.9 Remote", "{written}");
        }
        let lines = [("x-forwarded-for", "192.168.1.9"), ("x-forwarded-for", "203.0.113.9")];
        assert_eq!(identity("127.0.0.1:7", "127.0.0.1", &lines, &["127.0.0.1"]), "203.0.113.9 Remote", "two headers");
    }
}
