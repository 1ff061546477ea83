//! Whether the world reaches a client at our address, so that it may be announced from here. Pure.
//!
//! The rules are those of the gateway ([`nearness`](crate::net::nearness)). A client tells more of itself than a tracker
//! hears: the interface that it is bound to, the address at which it is seen, whether it uses a proxy. Where it tells
//! nothing, it counts that no program listens at its port here: then it is in another network namespace, as in a container.

use std::net::IpAddr;

use super::answer::Whereabouts;
use crate::engine::contact::is_local;
use crate::engine::owner::{Level, network};
use crate::net::nearness::{Nearness, is_elsewhere};

/// All that is known of where a client is.
#[derive(Clone, Debug)]
pub struct Sight<'a> {
    /// How near its interface is.
    pub nearness: Nearness,
    /// The address of its interface, where it is another host's.
    pub interface: Option<IpAddr>,
    /// What it says itself.
    pub place: &'a Whereabouts,
    /// The addresses that it is bound to, and that of the network interface that it is bound to.
    pub bound: Vec<Bound>,
    /// The address at which a VPN program says that the world sees it.
    pub vpn: Option<IpAddr>,
    /// The port that it listens on, and whether anything listens there on this host, where that is known.
    pub listens: Option<(u16, bool)>,
    /// The addresses from which this host sends to the world.
    pub sources: &'a [IpAddr],
    /// The addresses at which the world sees this host.
    pub external: &'a [IpAddr],
}

/// Something that a client is bound to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Bound {
    /// An address, and whether this host has it.
    Address(IpAddr, bool),
    /// A network interface that this host does not have.
    NoInterface(String),
}

/// Why a client is not announced from here.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Elsewhere {
    /// It runs on a host that does not share our address.
    #[error("it runs on another host, which does not share the public address of this one")]
    OtherHost,
    /// It uses a proxy.
    #[error("it reaches its peers through a proxy, which hides its address")]
    Proxied,
    /// The world sees it at another address.
    #[error("the world sees it at {0}, which is no address of this host")]
    SeenAt(IpAddr),
    /// It is bound to an address that this host does not have.
    #[error(
        "it is bound to {0}, which this host does not have: it runs in another network namespace, as in a container"
    )]
    BoundInOtherNamespace(IpAddr),
    /// It is bound to an interface that this host does not have.
    #[error("it is bound to the interface {0}, which this host does not have: it runs in another network namespace")]
    NoInterface(String),
    /// It is bound to an address from which this program does not send.
    #[error("it is bound to {0}, and this program sends from another network: one of the two uses a VPN")]
    OtherRoute(IpAddr),
    /// Nothing listens at its port here.
    #[error(
        "nothing on this host listens at its port {0}: it runs in another network namespace, as in a container, or has lost its port"
    )]
    NobodyListens(u16),
}

impl Elsewhere {
    /// What the user can do about it.
    #[must_use]
    pub const fn cure(&self) -> &'static str {
        match self {
            Self::OtherHost => {
                "run trackerless on the client's host, or add its network to gateway_lan if it shares your address"
            }
            Self::Proxied => "run trackerless behind the same VPN instead, or switch the proxy for peers off",
            _ => {
                "run trackerless in the client's network namespace or VPN (docs/CLIENTS.md), or add same_address=yes to \
                 its address if the world does reach it at yours"
            }
        }
    }
}

/// Whether the client may be announced; with whether over IPv4 only.
///
/// # Errors
/// It may not.
pub fn judge(sight: &Sight<'_>) -> Result<bool, Elsewhere> {
    let ipv4_only = match sight.nearness {
        Nearness::Host => false,
        Nearness::Lan => true,
        Nearness::Neighbour | Nearness::Remote => return Err(Elsewhere::OtherHost),
    };
    if sight.place.proxied {
        return Err(Elsewhere::Proxied);
    }
    for bound in &sight.bound {
        judge_bound(sight, bound)?;
    }
    let claims = sight.place.external.iter().copied().chain(sight.vpn).chain(sight.place.bound.iter().copied());
    if let Some(claim) = claims.into_iter().find(|claim| is_elsewhere([*claim], sight.external)) {
        return Err(Elsewhere::SeenAt(claim));
    }
    match sight.listens {
        Some((port, false)) if sight.nearness == Nearness::Host => Err(Elsewhere::NobodyListens(port)),
        _ => Ok(ipv4_only),
    }
}

fn judge_bound(sight: &Sight<'_>, bound: &Bound) -> Result<(), Elsewhere> {
    let (address, is_here) = match bound {
        Bound::NoInterface(name) if sight.nearness == Nearness::Host => {
            return Err(Elsewhere::NoInterface(name.clone()));
        }
        Bound::NoInterface(_) => return Ok(()),
        Bound::Address(address, is_here) => (*address, *is_here),
    };
    match sight.nearness {
        _ if address.is_loopback() => Ok(()),
        Nearness::Host if !is_here => Err(Elsewhere::BoundInOtherNamespace(address)),
        // A public address is compared with those at which the world sees us.
        Nearness::Host if !is_local(address) || is_beside(address, sight.sources) => Ok(()),
        Nearness::Host => Err(Elsewhere::OtherRoute(address)),
        _ if !is_local(address) || sight.interface.is_none_or(|interface| is_beside(address, &[interface])) => Ok(()),
        _ => Err(Elsewhere::OtherRoute(address)),
    }
}

/// Whether the address lies in the network of one of `others` (a /24 or a /64), or there is none of its family.
fn is_beside(address: IpAddr, others: &[IpAddr]) -> bool {
    let near = |ip: IpAddr| network(ip, if ip.is_ipv4() { Level::Owner } else { Level::Site });
    let mut others = others.iter().filter(|other| other.is_ipv4() == address.is_ipv4()).peekable();
    others.peek().is_none() || others.any(|other| near(*other) == near(address))
}

#[cfg(test)]
mod tests {
    use super::*;

    const HERE: &str = "192.168.1.5";
    const SAME_TUNNEL: [IpAddr; 1] = [IpAddr::V4(std::net::Ipv4Addr::new(10, 8, 0, 2))];

    fn ip(text: &str) -> IpAddr {
        text.parse().unwrap()
    }

    /// What is said of a client on this host, which sends from 192.168.1.5 and is seen at 203.0.113.7.
    fn judged(change: impl FnOnce(&mut Sight<'_>), place: &Whereabouts) -> Result<bool, Elsewhere> {
        let (sources, external) = ([ip(HERE), ip("fd00::5")], [ip("203.0.113.7")]);
        let mut sight = Sight {
            nearness: Nearness::Host,
            interface: None,
            place,
            bound: place.bound.iter().map(|ip| Bound::Address(*ip, true)).collect(),
            vpn: None,
            listens: Some((6881, true)),
            sources: &sources,
            external: &external,
        };
        change(&mut sight);
        judge(&sight)
    }

    #[test]
    fn a_client_that_tells_nothing_is_where_its_interface_is() {
        let nothing = Whereabouts::default();
        for (nearness, judgement) in [
            (Nearness::Host, Ok(false)),
            (Nearness::Lan, Ok(true)),
            (Nearness::Neighbour, Err(Elsewhere::OtherHost)),
            (Nearness::Remote, Err(Elsewhere::OtherHost)),
        ] {
            assert_eq!(judged(|sight| sight.nearness = nearness, &nothing), judgement);
        }
    }

    #[test]
    fn a_port_that_nobody_has_is_in_another_namespace() {
        let nothing = Whereabouts::default();
        let elsewhere = Err(Elsewhere::NobodyListens(6881));
        assert_eq!(judged(|sight| sight.listens = Some((6881, false)), &nothing), elsewhere);
        assert_eq!(judged(|sight| sight.listens = None, &nothing), Ok(false));
        let on_another_host = |sight: &mut Sight<'_>| {
            (sight.listens, sight.nearness) = (Some((6881, false)), Nearness::Lan);
        };
        assert_eq!(judged(on_another_host, &nothing), Ok(true));
    }

    #[test]
    fn the_world_sees_it_elsewhere() {
        let seen = |at: &str| Whereabouts { external: vec![ip(at)], ..Whereabouts::default() };
        assert_eq!(judged(|_| {}, &seen("203.0.113.7")), Ok(false));
        assert_eq!(judged(|_| {}, &seen("198.51.100.4")), Err(Elsewhere::SeenAt(ip("198.51.100.4"))));
        assert_eq!(judged(|_| {}, &seen("10.0.0.1")), Ok(false), "what it is told in its own network says nothing");
        assert_eq!(
            judged(|sight| sight.external = &[], &seen("198.51.100.4")),
            Ok(false),
            "there is nothing to compare"
        );
        let vpn = Err(Elsewhere::SeenAt(ip("198.51.100.4")));
        assert_eq!(judged(|sight| sight.vpn = Some(ip("198.51.100.4")), &Whereabouts::default()), vpn);
        assert_eq!(judged(|sight| sight.vpn = Some(ip("203.0.113.7")), &Whereabouts::default()), Ok(false));
    }

    #[test]
    fn what_it_is_bound_to_counts() {
        let bound = |to: &str| Whereabouts { bound: vec![ip(to)], ..Whereabouts::default() };
        for near in [HERE, "192.168.1.6", "127.0.0.1", "fd00::77"] {
            assert_eq!(judged(|_| {}, &bound(near)), Ok(false), "{near}");
        }
        assert_eq!(judged(|_| {}, &bound("10.8.0.2")), Err(Elsewhere::OtherRoute(ip("10.8.0.2"))));
        assert_eq!(judged(|_| {}, &bound("198.51.100.4")), Err(Elsewhere::SeenAt(ip("198.51.100.4"))));
        let tunnel = bound("10.8.0.2");
        assert_eq!(judged(|sight| sight.sources = &SAME_TUNNEL, &tunnel), Ok(false), "we go through the same VPN");
        let not_here = |sight: &mut Sight<'_>| sight.bound = vec![Bound::Address(ip("10.8.0.2"), false)];
        assert_eq!(judged(not_here, &tunnel), Err(Elsewhere::BoundInOtherNamespace(ip("10.8.0.2"))));
        let no_interface = |sight: &mut Sight<'_>| sight.bound = vec![Bound::NoInterface("tun0".to_owned())];
        assert_eq!(judged(no_interface, &Whereabouts::default()), Err(Elsewhere::NoInterface("tun0".to_owned())));
        let beside = |address: &'static str| {
            move |sight: &mut Sight<'_>| {
                (sight.nearness, sight.interface) = (Nearness::Lan, Some(ip("192.168.1.20")));
                sight.bound = vec![Bound::Address(ip(address), false)];
            }
        };
        assert_eq!(judged(beside("192.168.1.20"), &Whereabouts::default()), Ok(true));
        assert_eq!(judged(beside("10.8.0.2"), &Whereabouts::default()), Err(Elsewhere::OtherRoute(ip("10.8.0.2"))));
    }

    #[test]
    fn a_proxy_hides_it() {
        let proxied = Whereabouts { proxied: true, ..Whereabouts::default() };
        assert_eq!(judged(|_| {}, &proxied), Err(Elsewhere::Proxied));
    }
}
