//! The ports that are opened at the router, as the configuration wants it.

use std::net::SocketAddr;

use tokio::sync::oneshot;
use tokio::task::JoinHandle;

use super::config::{Config, PortMapping};
use crate::net::mapping::{Mapper, Ports, Transport, Wish};

/// The task that keeps ports open.
pub(super) struct Mapping {
    ports: Ports,
    stop: oneshot::Sender<()>,
    task: JoinHandle<()>,
}

impl Mapping {
    /// Starts it, unless the configuration wants none: with the ports of the nodes that listen on every address.
    pub(super) fn start(config: &Config, listening: &[SocketAddr]) -> Option<Self> {
        if config.port_mapping == PortMapping::Off || config.lan {
            return None;
        }
        let (mapper, ports) = Mapper::new();
        let everywhere = listening.iter().filter(|addr| addr.is_ipv4() && addr.ip().is_unspecified());
        let wishes: Vec<Wish> = everywhere.map(|addr| Wish { transport: Transport::Udp, port: addr.port() }).collect();
        if wishes.is_empty() && config.client.iter().all(|client| !client.options.map_port) {
            return None;
        }
        ports.wish(&"node".into(), wishes);
        let (stop, stopped) = oneshot::channel();
        let until = async move { drop(stopped.await) };
        #[expect(clippy::disallowed_methods, reason = "ends when it is told to, and is waited for: `close`")]
        let task = tokio::spawn(mapper.run(until));
        Some(Self { ports, stop, task })
    }

    /// What ports are wished for, and which are open.
    pub(super) fn ports(&self) -> Ports {
        self.ports.clone()
    }

    /// Gives every port back.
    pub(super) async fn close(self) {
        drop(self.stop);
        if self.task.await.is_err() {
            tracing::warn!("the task that opens ports at the router has failed");
        }
    }
}
