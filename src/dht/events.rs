//! One command to several nodes, and what all of them say.

use std::task::{Context, Poll};

use tokio::sync::mpsc;

use super::Dht;
use crate::engine::contact::Family;
use crate::engine::node::{Command, Event};

/// The events of one command from all nodes that obey it, as they come. Dropping it ends the operation.
#[derive(Debug)]
pub(super) struct Events(Vec<mpsc::Receiver<Event>>);

impl Events {
    /// The next event; `None` when all nodes have finished.
    pub(super) async fn next(&mut self) -> Option<Event> {
        std::future::poll_fn(|context| self.poll_next(context)).await
    }

    pub(super) fn poll_next(&mut self, context: &mut Context<'_>) -> Poll<Option<Event>> {
        let mut index = 0;
        while index < self.0.len() {
            match self.0[index].poll_recv(context) {
                Poll::Ready(Some(event)) => return Poll::Ready(Some(event)),
                Poll::Ready(None) => drop(self.0.swap_remove(index)),
                Poll::Pending => index += 1,
            }
        }
        if self.0.is_empty() { Poll::Ready(None) } else { Poll::Pending }
    }
}

impl Dht {
    /// Begins an operation on every node.
    pub(super) async fn begin(&self, command: Command) -> Events {
        self.begin_in(&[Family::V4, Family::V6], command).await
    }

    /// Begins an operation on the nodes of these families.
    pub(super) async fn begin_in(&self, families: &[Family], command: Command) -> Events {
        let mut receivers = Vec::new();
        for node in self.inner.nodes.iter().filter(|node| families.contains(&Family::of(&node.asked))) {
            receivers.push(node.handle.begin(command.clone()).await);
        }
        Events(receivers)
    }
}
