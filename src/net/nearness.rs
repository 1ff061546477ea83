//! How near a client is, and so whether we may announce it: the rules of the gateway and of torrent clients that we follow.
//!
//! `announce_peer` has no address in it: the nodes that store it keep the address that the datagram came from (BEP 5). So
//! we may announce a client only if the world reaches the client at our own address. For any other client we would write a
//! wrong endpoint into the DHT, or give away an address that a VPN was meant to hide.

use std::fmt;
use std::net::IpAddr;
use std::str::FromStr;

use crate::engine::contact;
use crate::engine::owner::{Level, network};

/// Where a client is, as far as its address tells.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Nearness {
    /// On this host: it shares every address of ours.
    Host,
    /// In our local network: it shares our public IPv4 address through the router, but has its own IPv6 addresses.
    Lan,
    /// In our local network, with an address of its own by which the world knows it, or nobody does: over IPv6, or in a
    /// private network. It is never announced.
    Neighbour,
    /// Anywhere else: it gets peers and is known to others who ask here, and is never announced.
    Remote,
}

impl Nearness {
    /// Whether the world reaches the client at an address of ours, so that it may be announced.
    #[must_use]
    pub const fn shares_our_address(self) -> bool {
        matches!(self, Self::Host | Self::Lan)
    }
}

/// Our site: the ranges whose hosts reach the world through the same public IPv4 address as this host.
#[derive(Clone, Debug)]
pub struct Site {
    lan: Vec<Range>,
    private: bool,
    /// Whether this host has an address.
    has: fn(IpAddr) -> bool,
}

impl Default for Site {
    /// The private networks of IPv4 (RFC 1918, RFC 3927).
    fn default() -> Self {
        let networks = ["10.0.0.0/8", "172.16.0.0/12", "192.168.0.0/16", "169.254.0.0/16"];
        Self::new(networks.map(|network| network.parse().expect("these are networks")).into())
    }
}

impl Site {
    /// A site whose neighbours, behind the same router, have their IPv4 addresses in `lan`.
    #[must_use]
    pub const fn new(lan: Vec<Range>) -> Self {
        Self { lan, private: false, has: |_| false }
    }

    /// The site of a host with several addresses, which `has` tells ([`place::is_here`](super::place::is_here) on a real
    /// one): a client may send from one of them to another.
    #[must_use]
    pub const fn with_addresses(mut self, has: fn(IpAddr) -> bool) -> Self {
        self.has = has;
        self
    }

    /// Whether this host has `ip`.
    #[must_use]
    pub fn has(&self, ip: IpAddr) -> bool {
        ip.is_loopback() || (self.has)(ip)
    }

    /// The site in a private network: each host has an address of its own there, and no router stands before it.
    #[must_use]
    pub const fn in_private_network(mut self, private: bool) -> Self {
        self.private = private;
        self
    }

    /// The ranges of the neighbours.
    #[must_use]
    pub fn ranges(&self) -> &[Range] {
        &self.lan
    }

    /// Where a client is that sent from `client` to our address `here`. What arrives at a loopback address comes from this
    /// host, whatever address it was sent from, and so does what was sent from an address of ours.
    #[must_use]
    pub fn nearness(&self, client: IpAddr, here: IpAddr) -> Nearness {
        if here.is_loopback() || client == here || self.has(client) {
            return Nearness::Host;
        }
        self.nearness_elsewhere(client)
    }

    /// Where a client is that is not on this host.
    #[must_use]
    pub fn nearness_elsewhere(&self, client: IpAddr) -> Nearness {
        let is_in_range = self.lan.iter().any(|range| range.contains(client));
        match client {
            _ if self.private => Nearness::Neighbour,
            IpAddr::V4(_) if is_in_range => Nearness::Lan,
            // Unique local and link-local addresses do not leave the site (RFC 4193, RFC 4291).
            IpAddr::V6(_) if is_in_range || contact::is_local(client) => Nearness::Neighbour,
            _ => Nearness::Remote,
        }
    }
}

/// Whether the world sees a client elsewhere than us: an address that it claims or sends from is public and not among ours,
/// which are `external`. Such a client uses a VPN that we do not, or another address of this host than the DHT, and must not
/// be announced from here. Hosts change their IPv6 address within a /64 all day.
#[must_use]
pub fn is_elsewhere(claims: impl IntoIterator<Item = IpAddr>, external: &[IpAddr]) -> bool {
    let same_place =
        |a: IpAddr, b: IpAddr| a == b || (a.is_ipv6() && network(a, Level::Site) == network(b, Level::Site));
    claims.into_iter().filter(|claim| !contact::is_local(*claim)).any(|claim| {
        let mut ours = external.iter().filter(|ours| ours.is_ipv4() == claim.is_ipv4()).peekable();
        ours.peek().is_some() && !ours.any(|ours| same_place(*ours, claim))
    })
}

/// A range of addresses, written `10.0.0.0/8`; a bare address is a range of one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Range {
    base: IpAddr,
    bits: u8,
}

impl Range {
    /// Whether `ip` lies in the range. The two families never mix.
    #[must_use]
    pub fn contains(&self, ip: IpAddr) -> bool {
        match (self.base, ip) {
            (IpAddr::V4(base), IpAddr::V4(ip)) => agree(u32::from(base).into(), u32::from(ip).into(), 32, self.bits),
            (IpAddr::V6(base), IpAddr::V6(ip)) => agree(base.into(), ip.into(), 128, self.bits),
            _ => false,
        }
    }
}

/// Whether the first `bits` of two numbers of `width` bits are the same.
fn agree(a: u128, b: u128, width: u8, bits: u8) -> bool {
    (a ^ b).checked_shr(u32::from(width - bits)).unwrap_or(0) == 0
}

impl fmt::Display for Range {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.base, self.bits)
    }
}

/// The text is not an address with a prefix length.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("a network is written like 192.168.0.0/16 or fd00::/8")]
pub struct ParseRangeError;

impl FromStr for Range {
    type Err = ParseRangeError;
    fn from_str(text: &str) -> Result<Self, ParseRangeError> {
        let (base, bits) = text.split_once('/').map_or((text, None), |(base, bits)| (base, Some(bits)));
        let base: IpAddr = base.parse().map_err(|_| ParseRangeError)?;
        let width = if base.is_ipv4() { 32 } else { 128 };
        let bits = bits.map_or(Ok(width), |bits| bits.parse().map_err(|_| ParseRangeError))?;
        if bits <= width { Ok(Self { base, bits }) } else { Err(ParseRangeError) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::net::Ipv4Addr;

    fn ip(text: &str) -> IpAddr {
        text.parse().unwrap()
    }

    #[test]
    fn only_those_who_share_our_address_are_near() {
        let site = Site::default();
        for (client, here, nearness) in [
            ("127.0.0.1", "127.0.0.1", Nearness::Host),
            ("::1", "::1", Nearness::Host),
            ("203.0.113.7", "127.0.0.1", Nearness::Host),
            ("2001:db8::7", "::1", Nearness::Host),
            ("192.168.1.5", "192.168.1.5", Nearness::Host),
            ("2001:db8::5", "2001:db8::5", Nearness::Host),
            ("192.168.1.9", "192.168.1.5", Nearness::Lan),
            ("172.17.0.2", "172.17.0.1", Nearness::Lan),
            ("8.8.8.8", "192.168.1.5", Nearness::Remote),
            // Behind a carrier's NAT we may share an address with strangers, but not their mapping.
            ("100.64.0.9", "192.168.1.5", Nearness::Remote),
            // No NAT in IPv6: a neighbour has an address of its own.
            ("2001:db8::9", "2001:db8::5", Nearness::Remote),
            ("fe80::9", "fe80::5", Nearness::Neighbour),
            ("fd00::9", "fd00::5", Nearness::Neighbour),
        ] {
            assert_eq!(site.nearness(ip(client), ip(here)), nearness, "{client} to {here}");
        }
    }

    #[test]
    fn a_range_of_ipv6_makes_neighbours_and_a_private_network_shares_no_address() {
        let site = Site::new(vec!["2001:db8:5::/48".parse().unwrap(), "10.0.0.0/8".parse().unwrap()]);
        assert_eq!(site.nearness(ip("2001:db8:5::9"), ip("2001:db8:5::1")), Nearness::Neighbour);
        assert_eq!(site.nearness(ip("2001:db8:6::9"), ip("2001:db8:5::1")), Nearness::Remote);
        let private = site.in_private_network(true);
        for client in ["10.0.0.9", "198.18.0.9", "fd00::9", "2001:db8:6::9"] {
            assert_eq!(private.nearness(ip(client), ip("10.0.0.1")), Nearness::Neighbour, "{client}");
        }
        assert_eq!(private.nearness(ip("10.0.0.1"), ip("10.0.0.1")), Nearness::Host);
        assert!(!Nearness::Neighbour.shares_our_address());
    }

    #[test]
    fn a_client_that_is_seen_elsewhere_is_recognised() {
        let ours = [ip("203.0.113.7"), ip("2001:db8::7")];
        for (claim, elsewhere) in [
            ("203.0.113.7", false),
            ("203.0.113.8", true),
            ("2001:db8::99", false),
            ("2001:db8:1::7", true),
            ("192.168.1.2", false),
            ("fe80::1", false),
            ("fd00::2", false),
        ] {
            assert_eq!(is_elsewhere([ip(claim)], &ours), elsewhere, "{claim}");
            assert!(!is_elsewhere([ip(claim)], &[]), "without a vote there is nothing to compare with");
        }
        assert!(is_elsewhere([ip("203.0.113.7"), ip("2001:db8:1::7")], &ours), "one of several is enough");
        assert!(!is_elsewhere([], &ours));
    }

    proptest! {
        #[test]
        fn a_network_holds_what_shares_its_prefix(base in any::<u32>(), other in any::<u32>(), bits in 0u8..=32) {
            let text = format!("{}/{bits}", Ipv4Addr::from(base));
            let network: Range = text.parse().unwrap();
            prop_assert_eq!(network.to_string(), text);
            let mask = u32::MAX.checked_shl(32 - u32::from(bits)).unwrap_or(0);
            prop_assert!(network.contains(Ipv4Addr::from(base).into()));
            prop_assert_eq!(network.contains(Ipv4Addr::from(other).into()), base & mask == other & mask);
            prop_assert!(!network.contains(ip("::")));
        }

        #[test]
        fn other_texts_are_refused(text in "\\PC{0,30}") {
            let _ = text.parse::<Range>();
        }
    }

    #[test]
    fn prefixes_longer_than_the_address_are_refused() {
        for text in ["10.0.0.0/33", "::/129", "10.0.0.0/", "/8", "", "10.0.0.0/-1"] {
            assert_eq!(text.parse::<Range>(), Err(ParseRangeError), "{text}");
        }
    }
}
