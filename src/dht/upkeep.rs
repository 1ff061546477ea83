//! What goes on as long as there is a handle: the state is saved now and then, the families learn of each other, and the
//! nodes follow the host to where it is.

use std::net::{IpAddr, SocketAddr};
use std::sync::{Arc, Weak};
use std::time::Duration;

use tokio::sync::Notify;
use tokio::time::{Instant, MissedTickBehavior};

use super::{Dht, Inner, Running};
use crate::engine::contact::{Contact, Family};
use crate::net::driver::Request;
use crate::net::place::{self, Changes};

/// Time between two saves of the state.
const SAVE_EVERY: Duration = Duration::from_mins(5);
/// Time between two looks at everything else.
const LOOK_EVERY: Duration = Duration::from_mins(1);
/// Time that changes of addresses are given to come to an end, before they are looked at: they come in groups.
const SETTLE: Duration = Duration::from_millis(300);

/// Where a node was found to be at the last look.
#[derive(Clone, Copy, Debug)]
pub(super) struct Place {
    /// The address that the kernel sends from, for a node on a wildcard; for any other its own, while the host has it.
    source: Option<IpAddr>,
    /// It was said that no other node has answered.
    told_alone: bool,
}

impl Place {
    pub(super) const fn at(source: Option<IpAddr>) -> Self {
        Self { source, told_alone: false }
    }
}

/// Looks after the nodes until the last handle is gone: every minute, and as soon as the host changes or `look_again` says so.
pub(super) async fn run(inner: Weak<Inner>, look_again: Arc<Notify>) {
    let mut changes = Changes::listen();
    let mut minutes = tokio::time::interval(LOOK_EVERY);
    minutes.set_missed_tick_behavior(MissedTickBehavior::Delay);
    minutes.tick().await;
    let mut saved = Instant::now();
    loop {
        let minute = tokio::select! {
            _ = minutes.tick() => true,
            () = changes.next() => false,
            () = look_again.notified() => false,
        };
        if !minute {
            settle(&mut changes).await;
        }
        let Some(inner) = inner.upgrade() else { return };
        let dht = Dht { inner };
        follow_host(&dht).await;
        if minute {
            exchange_families(&dht).await;
            tell_who_is_alone(&dht);
        }
        if saved.elapsed() >= SAVE_EVERY {
            saved = Instant::now();
            if let Err(error) = dht.save().await {
                tracing::warn!(%error, "the state could not be saved; trying again in five minutes");
            }
        }
    }
}

/// Waits until no more changes come.
async fn settle(changes: &mut Changes) {
    let end = tokio::time::sleep(SETTLE);
    tokio::pin!(end);
    loop {
        tokio::select! {
            () = &mut end => return,
            () = changes.next() => {}
        }
    }
}

/// A node on a wildcard is wherever its host is, also tomorrow; one on an address of its own waits for it.
async fn follow_host(dht: &Dht) {
    for node in &dht.inner.nodes {
        let (bound, private) = (node.handle.local_addr(), dht.inner.private_network);
        let source = source_of(node.asked, private);
        let before = std::mem::replace(&mut node.place().source, source);
        if source == before {
            continue;
        }
        let Some(source) = source else {
            tracing::warn!(listening = %bound, "this host has no address to send from any more");
            continue;
        };
        let to = if is_bound_to_source(node.asked, private) { SocketAddr::new(source, bound.port()) } else { bound };
        let external = place::external_of(source);
        match before {
            Some(before) => tracing::info!(%before, now = %source, listening = %to, "this host has another address"),
            None => tracing::info!(now = %source, listening = %to, "this host has an address to send from again"),
        }
        node.handle.tell(Request::Move { to, external }).await;
    }
}

/// BEP 32: the IPv6 wildcard stands for one stable address.
pub(super) fn is_bound_to_source(asked: SocketAddr, private_network: bool) -> bool {
    asked.is_ipv6() && asked.ip().is_unspecified() && !private_network
}

/// The address that a node sends from, as the host is now.
pub(super) fn source_of(asked: SocketAddr, private_network: bool) -> Option<IpAddr> {
    if !asked.ip().is_unspecified() {
        return Some(asked.ip()).filter(|ip| place::is_here(*ip));
    }
    if is_bound_to_source(asked, private_network) {
        return place::stable_global_ipv6().map(IpAddr::V6);
    }
    place::source_address(Family::of(&asked))
}

/// A family in which no node answers is told of once; the other one hides it otherwise.
fn tell_who_is_alone(dht: &Dht) {
    let is_alone = |node: &&Running| node.handle.ready().borrow().is_none();
    let (alone, joined): (Vec<&Running>, Vec<&Running>) = dht.inner.nodes.iter().partition(is_alone);
    if joined.is_empty() {
        return;
    }
    for node in alone {
        if !std::mem::replace(&mut node.place().told_alone, true) {
            let family = if node.asked.is_ipv6() { "IPv6" } else { "IPv4" };
            let listening = node.handle.local_addr();
            tracing::warn!(%listening, "no other node has answered by {family} yet; it is tried again and again");
        }
    }
}

async fn exchange_families(dht: &Dht) {
    let families: Vec<Family> = dht.inner.nodes.iter().map(|node| Family::of(&node.asked)).collect();
    if !families.contains(&Family::V4) || !families.contains(&Family::V6) {
        return;
    }
    let mut known: Vec<Contact> = Vec::new();
    for node in &dht.inner.nodes {
        known.extend(node.handle.ask(Request::GoodContacts).await.unwrap_or_default());
    }
    for (node, family) in dht.inner.nodes.iter().zip(families) {
        let others = known.iter().filter(|contact| Family::of(&contact.addr) != family).copied().collect();
        node.handle.tell(Request::OtherFamily(others)).await;
    }
}
