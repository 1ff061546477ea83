//! What nodes tell of themselves while they run, to all who listen.

use std::net::SocketAddr;
use std::sync::Arc;

use tokio::sync::{Notify, broadcast, watch};

use crate::engine::node::Event;

/// What happened to one node as a whole.
#[derive(Clone, Debug)]
pub struct News {
    /// Where the node is bound.
    pub local_addr: SocketAddr,
    /// What happened; never an event of an operation.
    pub event: Event,
}

/// How all nodes of a process tell what concerns them all.
#[derive(Clone, Debug)]
pub struct Voices {
    /// Counts the occasions on which announces should be made again.
    pub announce_again: watch::Sender<u64>,
    /// Where the host is should be looked at now.
    pub look_again: Arc<Notify>,
    /// What happened to a node as a whole. Listeners that are slow lose the oldest.
    pub news: broadcast::Sender<News>,
}

/// News that a slow listener may be behind.
const NEWS: usize = 64;

impl Default for Voices {
    fn default() -> Self {
        Self { announce_again: watch::Sender::new(0), look_again: Arc::default(), news: broadcast::Sender::new(NEWS) }
    }
}
