//! What happens to the running node, for those who watch it.

use std::net::SocketAddr;

use serde::Serialize;

use super::feed::{Feed, Named};
use crate::dht::{Dht, News};
use crate::engine::node::Event;
use crate::net::clock::unix_seconds;

/// Events that are kept.
const MOST_EVENTS: usize = 1_000;

/// An event of the node.
#[derive(Clone, Debug, Serialize)]
pub(super) struct Happening {
    /// When, in seconds since 1970.
    at: u64,
    /// The name of what happened.
    event: &'static str,
    /// Which of our nodes, by its address; nothing where it concerns all.
    #[serde(skip_serializing_if = "Option::is_none")]
    node: Option<SocketAddr>,
    /// What happened, in a sentence.
    text: String,
}

impl Named for Happening {
    fn name(&self) -> &'static str {
        self.event
    }
}

impl Happening {
    fn new(event: &'static str, node: Option<SocketAddr>, text: String) -> Self {
        Self { at: unix_seconds(), event, node, text }
    }

    fn of(news: &News) -> Option<Self> {
        let (event, text) = match &news.event {
            Event::Ready { contacts: 0 } => ("ready", "the first node of its network".to_owned()),
            Event::Ready { contacts } => ("ready", format!("joined; nodes known then: {contacts}")),
            Event::Disconnected => ("disconnected", "no other node answers any more".to_owned()),
            Event::Reconnected => ("reconnected", "other nodes answer again".to_owned()),
            Event::Reachable => ("reachable", "strangers reach this node".to_owned()),
            Event::IdChanged { id, .. } => ("id_changed", format!("the id is {id} now: it fits the external address")),
            Event::IdTaken { id, .. } => ("id_taken", format!("another node has our id: it is {id} now")),
            Event::Woke { slept } => ("woke", format!("this host slept for {} s", slept.as_secs())),
            _ => return None,
        };
        Some(Self::new(event, Some(news.local_addr), text))
    }
}

/// The journal of the node.
pub(super) fn journal() -> Feed<Happening> {
    Feed::new(MOST_EVENTS)
}

/// A setting that was changed here.
pub(super) fn note_setting(feed: &Feed<Happening>, key: &str, value: &str) {
    feed.push(Happening::new("setting", None, format!("{key} = {value}")));
}

/// Writes down what happens; never ends.
pub(super) async fn write_down(dht: &Dht, feed: &Feed<Happening>) {
    let (mut news, mut again) = (dht.news(), dht.announce_again());
    if dht.is_ready() {
        feed.push(Happening::new("ready", None, "joined before this journal began".to_owned()));
    }
    loop {
        tokio::select! {
            heard = news.recv() => match heard {
                Ok(news) => Happening::of(&news).into_iter().for_each(|happening| feed.push(happening)),
                Err(tokio::sync::broadcast::error::RecvError::Lagged(_)) => {}
                Err(tokio::sync::broadcast::error::RecvError::Closed) => return std::future::pending().await,
            },
            Ok(()) = again.changed() => {
                let text = "what was announced before should be announced again".to_owned();
                feed.push(Happening::new("announce_again", None, text));
            }
        }
    }
}
