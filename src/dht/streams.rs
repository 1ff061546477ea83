//! What an operation says while it runs, from all nodes together.

use std::collections::BTreeSet;
use std::collections::VecDeque;
use std::net::SocketAddr;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use futures_core::Stream;

use super::events::Events;
use crate::engine::contact::Contact;
use crate::engine::node::{Event, Summary};

/// A step of an operation.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Progress {
    /// A node answered.
    Answered {
        /// Who.
        contact: Contact,
        /// How many nodes told us of each other until we heard of it.
        hops: u8,
        /// Time from query to answer.
        rtt: Duration,
        /// Contacts in its answer.
        contacts: usize,
        /// Peers in its answer.
        peers: usize,
    },
    /// Peers that were not reported before by the same node of ours.
    Peers {
        /// Who has them stored; `None` for our own store.
        from: Option<Contact>,
        /// The peers.
        peers: Vec<SocketAddr>,
    },
    /// A node stored our announce.
    Stored {
        /// Where.
        at: Contact,
    },
    /// One of our nodes has finished.
    Done(Summary),
}

/// The steps of an operation; ends when all nodes have finished. Dropping it ends the operation.
#[derive(Debug)]
pub struct ProgressStream {
    events: Events,
}

impl ProgressStream {
    pub(super) const fn new(events: Events) -> Self {
        Self { events }
    }

    /// The next step; `None` when all nodes have finished.
    pub async fn next(&mut self) -> Option<Progress> {
        std::future::poll_fn(|context| self.poll(context)).await
    }

    fn poll(&mut self, context: &mut Context<'_>) -> Poll<Option<Progress>> {
        loop {
            match self.events.poll_next(context) {
                Poll::Ready(Some(event)) => {
                    if let Some(progress) = progress(event) {
                        return Poll::Ready(Some(progress));
                    }
                }
                Poll::Ready(None) => return Poll::Ready(None),
                Poll::Pending => return Poll::Pending,
            }
        }
    }
}

impl Stream for ProgressStream {
    type Item = Progress;
    fn poll_next(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Progress>> {
        self.poll(context)
    }
}

fn progress(event: Event) -> Option<Progress> {
    match event {
        Event::Answered { contact, hops, rtt, contacts, peers, .. } => {
            Some(Progress::Answered { contact, hops, rtt, contacts, peers })
        }
        Event::Peers { from, peers, .. } => Some(Progress::Peers { from, peers }),
        Event::Stored { at, .. } => Some(Progress::Stored { at }),
        Event::Done { summary, .. } => Some(Progress::Done(summary)),
        _ => None,
    }
}

/// Peers of a swarm as they arrive, each once. Dropping it ends the lookup.
#[derive(Debug)]
pub struct PeerStream {
    progress: ProgressStream,
    waiting: VecDeque<SocketAddr>,
    seen: BTreeSet<SocketAddr>,
    answered: usize,
}

impl PeerStream {
    pub(super) const fn new(progress: ProgressStream) -> Self {
        Self { progress, waiting: VecDeque::new(), seen: BTreeSet::new(), answered: 0 }
    }

    /// The next peer; `None` when the lookup is over.
    pub async fn next(&mut self) -> Option<SocketAddr> {
        std::future::poll_fn(|context| self.poll(context)).await
    }

    /// How many nodes have answered so far. 0 at the end of the stream means that nobody could be reached, which is
    /// not the same as a swarm without peers.
    #[must_use]
    pub const fn answered(&self) -> usize {
        self.answered
    }

    fn poll(&mut self, context: &mut Context<'_>) -> Poll<Option<SocketAddr>> {
        loop {
            if let Some(peer) = self.waiting.pop_front() {
                return Poll::Ready(Some(peer));
            }
            match self.progress.poll(context) {
                Poll::Ready(Some(Progress::Peers { peers, .. })) => {
                    let seen = &mut self.seen;
                    self.waiting.extend(peers.into_iter().filter(|peer| seen.insert(*peer)));
                }
                Poll::Ready(Some(Progress::Answered { .. })) => self.answered += 1,
                Poll::Ready(Some(_)) => {}
                Poll::Ready(None) => return Poll::Ready(None),
                Poll::Pending => return Poll::Pending,
            }
        }
    }
}

impl Stream for PeerStream {
    type Item = SocketAddr;
    fn poll_next(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<SocketAddr>> {
        self.poll(context)
    }
}
