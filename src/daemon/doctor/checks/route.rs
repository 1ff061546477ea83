//! How this host reaches others.

use std::net::{IpAddr, SocketAddr};

use super::super::evidence::{BindOutcome, Evidence};
use super::super::kinds::{
    CARRIER_NAT, IPV6_TUNNEL, NO_IPV4, NO_IPV6, NO_NETWORK, OTHER_INTERFACE, TEMPORARY_ONLY, V6_WITHOUT_ROUTE,
};
use super::Found;

pub(super) fn check(evidence: &Evidence, found: &mut Found) {
    // A private network may be one without routes: a switch between two hosts, or one host alone.
    if evidence.private_network {
        return;
    }
    let routes = &evidence.routes;
    // A host without a default route may have others.
    let hears_nothing = evidence.trials.iter().all(|trial| trial.received == 0);
    if routes.v4.is_none() && routes.v6.is_none() && hears_nothing {
        found.finding(&NO_NETWORK, "the kernel knows no way to any address of the Internet");
    }
    let has_global_v6 = !routes.global_v6.is_empty();
    let without_v6 = if has_global_v6 { &V6_WITHOUT_ROUTE } else { &NO_IPV6 };
    for (family, source, without) in [("IPv4", routes.v4, &NO_IPV4), ("IPv6", routes.v6, without_v6)] {
        match source {
            Some(ip) => found.well(format!("{family} leaves from {ip}")),
            None if has_global_v6 && family == "IPv6" => found.finding(without, routes.global_v6[0].0.to_string()),
            None => found.finding(without, format!("no way by {family}")),
        }
    }
    if let Some(IpAddr::V4(ip)) = routes.v4
        && ip.octets()[0] == 100
        && ip.octets()[1] & 0xc0 == 64
    {
        found.finding(&CARRIER_NAT, ip.to_string());
    }
    if let Some(IpAddr::V6(ip)) = routes.v6 {
        let [first, second, ..] = ip.segments();
        if first == 0x2002 || first == 0x2001 && second == 0 {
            found.finding(&IPV6_TUNNEL, ip.to_string());
        }
        if !routes.global_v6.is_empty() && routes.global_v6.iter().all(|(_, temporary)| *temporary) {
            let all: Vec<String> = routes.global_v6.iter().map(|(ip, _)| ip.to_string()).collect();
            found.finding(&TEMPORARY_ONLY, all.join(", "));
        }
    }
    let bound = evidence.sockets.iter().filter(|trial| matches!(trial.outcome, BindOutcome::Ours | BindOutcome::Taken));
    for addr in bound.map(|trial| trial.addr).filter(|addr| leaves_elsewhere(evidence, addr)) {
        let source = if addr.is_ipv4() { routes.v4 } else { routes.v6 };
        let source = source.map_or_else(|| "nowhere".to_owned(), |ip| ip.to_string());
        found.finding(&OTHER_INTERFACE, format!("listening on {addr}, but the route leaves from {source}"));
    }
}

/// Whether the way to the Internet begins at another address than this one. An IPv6 interface has several.
fn leaves_elsewhere(evidence: &Evidence, addr: &SocketAddr) -> bool {
    let routes = &evidence.routes;
    let ip = addr.ip();
    match ip {
        _ if ip.is_unspecified() || ip.is_loopback() => false,
        IpAddr::V4(_) => routes.v4.is_some_and(|source| source != ip),
        IpAddr::V6(ip) => routes.v6.is_some() && !routes.global_v6.iter().any(|(ours, _)| *ours == ip),
    }
}
