//! The router, asked for a port by PCP, NAT-PMP or UPnP, whichever it speaks.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::num::NonZeroU16;
use std::time::Duration;

use crab_nat::{GatewayAddress, InternetProtocol, PortMapping, PortMappingOptions, TimeoutConfig, natpmp, pcp};
use igd_next::aio::Gateway;
use igd_next::aio::tokio::{Tokio, search_gateway};
use igd_next::{AddPortError, PortMappingProtocol, SearchOptions};

use super::Transport;
use super::plan::Wish;

/// Time for which a port is asked, in seconds. A port that a crash leaves open is closed after that.
const LIFE_SECS: u32 = 3600;

/// Time between renewals of a port that a router opens without an end.
const FOR_EVER: Duration = Duration::from_secs(3600);

/// Longest wait for a router that speaks UPnP to say so.
const SEARCH: Duration = Duration::from_secs(4);

/// Waits for answers of PCP and NAT-PMP: 1.75 seconds in all.
const PATIENCE: TimeoutConfig =
    TimeoutConfig { initial_timeout: Duration::from_millis(250), max_retries: 2, max_retry_timeout: None };

/// Where the router is, and this host as the router sees it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Place {
    /// The router.
    pub router: Ipv4Addr,
    /// This host.
    pub host: Ipv4Addr,
}

/// A port that the router has opened.
#[derive(Debug)]
pub struct Lease {
    /// The port at which the world reaches it.
    pub external: u16,
    /// For how long.
    pub life: Duration,
    /// How it was asked for.
    pub by: &'static str,
    way: Way,
}

#[derive(Debug)]
enum Way {
    Pcp(Box<PortMapping>),
    Upnp(Box<Gateway<Tokio>>, PortMappingProtocol),
}

/// Asks the router for a port: the same one outside, if it is free there.
///
/// # Errors
/// What each of the three protocols came to.
pub async fn open(place: Place, wish: Wish) -> Result<Lease, String> {
    let by_pcp = match by_pcp(place, wish).await {
        Ok(lease) => return Ok(lease),
        Err(why) => why,
    };
    by_upnp(place, wish).await.map_err(|by_upnp| format!("{by_pcp}; UPnP: {by_upnp}"))
}

/// Asks for the same port again before its time is over.
///
/// # Errors
/// The router does not renew it.
pub async fn renew(place: Place, wish: Wish, lease: Lease) -> Result<Lease, String> {
    match lease.way {
        Way::Pcp(mut mapping) => {
            mapping.renew().await.map_err(|error| error.to_string())?;
            Ok(of_mapping(*mapping, lease.by))
        }
        Way::Upnp(router, _) => add(place, wish, lease.external, router).await,
    }
}

/// Gives a port back.
pub async fn close(lease: Lease) {
    let closed = match lease.way {
        Way::Pcp(mapping) => mapping.try_drop().await.map_err(|(error, _)| error.to_string()),
        Way::Upnp(router, protocol) => {
            router.remove_port(protocol, lease.external).await.map_err(|error| error.to_string())
        }
    };
    if let Err(error) = closed {
        tracing::debug!(port = lease.external, error, "a port could not be given back to the router");
    }
}

/// PCP, and NAT-PMP where the router knows nothing newer.
async fn by_pcp(place: Place, wish: Wish) -> Result<Lease, String> {
    let port = NonZeroU16::new(wish.port).ok_or("port 0 is none")?;
    let options = PortMappingOptions {
        external_port: Some(port),
        lifetime_seconds: Some(LIFE_SECS),
        timeout_config: Some(PATIENCE),
    };
    let transport = match wish.transport {
        Transport::Tcp => InternetProtocol::Tcp,
        Transport::Udp => InternetProtocol::Udp,
    };
    let router = GatewayAddress::from(place.router);
    let request = pcp::BaseMapRequest::new(router, place.host.into(), transport, port);
    let by_pcp = match pcp::port_mapping(request, None, None, options).await {
        Ok(mapping) => return Ok(of_mapping(mapping, "PCP")),
        Err(error) => error,
    };
    match natpmp::port_mapping(router, transport, port, options).await {
        Ok(mapping) => Ok(of_mapping(mapping, "NAT-PMP")),
        Err(by_natpmp) => Err(format!("PCP: {by_pcp}; NAT-PMP: {by_natpmp}")),
    }
}

fn of_mapping(mapping: PortMapping, by: &'static str) -> Lease {
    let life = Duration::from_secs(mapping.lifetime().into());
    Lease { external: mapping.external_port().get(), life, by, way: Way::Pcp(Box::new(mapping)) }
}

async fn by_upnp(place: Place, wish: Wish) -> Result<Lease, String> {
    let mut options = SearchOptions::default();
    options.bind_addr = SocketAddr::new(place.host.into(), 0);
    (options.timeout, options.single_search_timeout) = (Some(SEARCH), Some(SEARCH));
    let router = search_gateway(options).await.map_err(|error| error.to_string())?;
    // Whoever answers the search may be another host of the network: only the router is asked for ports.
    if router.addr.ip() != IpAddr::V4(place.router) {
        return Err(format!("{} answers, which is not the router", router.addr.ip()));
    }
    add(place, wish, wish.port, Box::new(router)).await
}

/// Asks for `external`, and for any other port where it belongs to another host.
async fn add(place: Place, wish: Wish, external: u16, router: Box<Gateway<Tokio>>) -> Result<Lease, String> {
    let protocol = match wish.transport {
        Transport::Tcp => PortMappingProtocol::TCP,
        Transport::Udp => PortMappingProtocol::UDP,
    };
    let here = SocketAddr::new(place.host.into(), wish.port);
    let name = "trackerless";
    let (mut external, mut life) = (external, Duration::from_secs(LIFE_SECS.into()));
    let mut added = router.add_port(protocol, external, here, LIFE_SECS, name).await;
    if matches!(added, Err(AddPortError::OnlyPermanentLeasesSupported)) {
        life = FOR_EVER;
        added = router.add_port(protocol, external, here, 0, name).await;
    }
    if matches!(added, Err(AddPortError::PortInUse)) {
        external = router.add_any_port(protocol, here, LIFE_SECS, name).await.map_err(|error| error.to_string())?;
        added = Ok(());
    }
    added.map_err(|error| error.to_string())?;
    Ok(Lease { external, life, by: "UPnP", way: Way::Upnp(router, protocol) })
}
