//! The gateway as the configuration wants it.

use std::io;
use std::net::SocketAddr;

use super::config::Config;
use crate::dht::Dht;
use crate::net::entropy;
use crate::tracker::server::{Gateway, Monitor, Settings as GatewaySettings};

/// What became of the gateway.
#[derive(Debug)]
pub(super) enum Opened {
    /// The configuration has none.
    Off,
    /// It is bound and can run.
    Ready(Box<Gateway<Dht>>),
    /// Its usual address is taken. It was not chosen, so the node goes on without.
    Without(SocketAddr, io::Error),
}

/// The address that was chosen for the gateway cannot be had.
#[derive(Debug, thiserror::Error)]
#[error("the gateway cannot listen on {addr}: {source}")]
pub struct GatewayError {
    /// The address.
    pub addr: SocketAddr,
    /// The system's reason.
    pub source: io::Error,
}

/// Binds the gateway. It asks no client at `spared`, a port of ours.
pub(super) async fn open(config: &Config, dht: &Dht, spared: Option<u16>) -> Result<Opened, GatewayError> {
    let Some(addr) = config.gateway else { return Ok(Opened::Off) };
    let settings = GatewaySettings { spared_ports: spared.into_iter().collect(), ..config.gateway_settings() };
    let bound = async { Gateway::bind(addr, settings, dht.clone(), entropy::seed()?).await };
    match bound.await {
        Ok(gateway) => Ok(Opened::Ready(Box::new(gateway))),
        Err(source) if config.origins.gateway.is_chosen() => Err(GatewayError { addr, source }),
        Err(source) => Ok(Opened::Without(addr, source)),
    }
}

/// What saves the gateway's clients when it has stopped.
pub(super) fn monitor(opened: &Opened) -> Option<Monitor> {
    match opened {
        Opened::Ready(gateway) => Some(gateway.monitor()),
        Opened::Off | Opened::Without(..) => None,
    }
}

/// Saves the clients; that it fails is no reason to stop differently: they announce again within half an hour.
pub(super) async fn save(monitor: Option<Monitor>) {
    let Some(monitor) = monitor else { return };
    if let Err(error) = monitor.save().await {
        tracing::warn!(%error, "the gateway's clients could not be saved");
    }
}

/// Serves for ever.
pub(super) async fn serve(opened: Opened) {
    match opened {
        Opened::Ready(gateway) => gateway.run().await,
        Opened::Off | Opened::Without(..) => std::future::pending().await,
    }
}
