//! The task: does what the schedule wants done, and tells it how that went.

use std::future::Future;
use std::net::IpAddr;
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::time::Duration;

use futures_util::StreamExt as _;
use futures_util::stream::FuturesUnordered;
use tokio::sync::mpsc;
use tokio::time::sleep_until;

use super::copies::short_version;
use super::keeper::Keeper;
use super::schedule::{AnnounceOrder, Announced, Look, LookOrder, Next};
use super::shared::{News, Shared};
use super::source::Listing;
use super::store::Store;
use crate::dht::{Dht, Looked};
use crate::engine::contact::Family;
use crate::engine::time::Instant;

/// Time that changes of this host's addresses are given to come to an end, before everything is announced again.
const SETTLE: Duration = Duration::from_secs(2);
/// Time for which our addresses, as others see them, are believed.
const ADDRESSES_FOR: Duration = Duration::from_mins(1);

/// What has come to its end.
enum Done {
    Announce(Announced),
    Look(Look),
}

type Work = Pin<Box<dyn Future<Output = Done> + Send>>;

/// The task of an announcer.
pub(super) struct Run {
    shared: Arc<Shared>,
    keeper: Keeper,
    to_list: mpsc::Receiver<Listing>,
    under_way: FuturesUnordered<Work>,
    /// Our addresses as others see them, and when they told.
    addresses: (Vec<IpAddr>, Instant),
    /// When everything is announced again.
    again_at: Option<Instant>,
}

impl Run {
    pub(super) fn new(shared: Arc<Shared>, store: Box<dyn Store>, to_list: mpsc::Receiver<Listing>) -> Self {
        Self {
            shared,
            keeper: Keeper::new(store),
            to_list,
            under_way: FuturesUnordered::new(),
            addresses: (Vec::new(), Instant::ZERO),
            again_at: None,
        }
    }

    pub(super) async fn until_stopped(mut self) {
        let dht = self.shared.dht.clone();
        let mut again = dht.announce_again();
        let (mut joined, mut has_joined) = (pin!(dht.bootstrapped()), false);
        while !self.shared.stops() {
            // A table that is empty is no place to begin: others would be asked again and again.
            let next = if has_joined { self.begin_due().await } else { None };
            let (shared, now) = (Arc::clone(&self.shared), self.shared.time.now());
            let kept = self.keeper.keep(now, &mut shared.schedule());
            let deadline = [next, kept, self.again_at].into_iter().flatten().min().unwrap_or(Instant::FAR_FUTURE);
            tokio::select! {
                _ = &mut joined, if !has_joined => has_joined = true,
                () = shared.wake.notified() => {}
                Some(done) = self.under_way.next(), if !self.under_way.is_empty() => self.note(done),
                Some(listing) = self.to_list.recv() => self.list(listing),
                written = self.keeper.written() => {
                    self.keeper.note(shared.time.now(), &mut shared.schedule(), written);
                }
                Ok(()) = again.changed() => drop(self.again_at.get_or_insert(now + SETTLE)),
                () = sleep_until(shared.time.deadline(deadline)) => self.announce_all_if_due(),
            }
        }
        self.keeper.finish(&self.shared).await;
        self.shared.ended.send_replace(true);
    }

    /// Begins what is to be begun; when there will be more.
    async fn begin_due(&mut self) -> Option<Instant> {
        loop {
            let now = self.shared.time.now();
            let next = self.shared.schedule().next(now);
            match next {
                Next::Announce(order) => self.under_way.push(Box::pin(announce(self.shared.dht.clone(), order))),
                Next::Look(order) => {
                    let ours = self.addresses(now).await;
                    self.under_way.push(Box::pin(look(self.shared.witness(), order, ours)));
                }
                Next::Wait(until) => return until,
            }
        }
    }

    /// Our addresses, as others see them.
    async fn addresses(&mut self, now: Instant) -> Vec<IpAddr> {
        let (known, since) = &self.addresses;
        if known.is_empty() || now.since(*since) >= ADDRESSES_FOR {
            let status = self.shared.dht.status().await;
            let addresses = status.iter().filter_map(|node| Some(node.external_addr?.ip())).collect();
            self.addresses = (addresses, now);
        }
        self.addresses.0.clone()
    }

    fn note(&self, done: Done) {
        let now = self.shared.time.now();
        let mut schedule = self.shared.schedule();
        let news = match done {
            Done::Announce(announced) => {
                schedule.announced(now, &announced);
                News::Announced(announced.info_hash)
            }
            Done::Look(look) => {
                schedule.looked(now, &look);
                News::Looked(look.info_hash)
            }
        };
        drop(schedule);
        // Nobody may listen.
        let _ = self.shared.news.send(news);
    }

    fn list(&self, listing: Listing) {
        let source = Arc::clone(&listing.source);
        self.shared.schedule().list(self.shared.time.now(), listing);
        let _ = self.shared.news.send(News::Listed(source));
    }

    fn announce_all_if_due(&mut self) {
        let now = self.shared.time.now();
        if self.again_at.take_if(|at| *at <= now).is_some() {
            self.addresses.0.clear();
            self.shared.schedule().announce_all_again(now);
        }
    }
}

async fn announce(dht: Dht, order: AnnounceOrder) -> Done {
    let AnnounceOrder { info_hash, port, seed, ipv4_only, holders } = order;
    let families: &[Family] = if ipv4_only { &[Family::V4] } else { &[Family::V4, Family::V6] };
    let renewed = dht.renew_announce_in(families, info_hash, port, seed, holders).await;
    let answered: usize = renewed.summaries.iter().map(|summary| summary.answered).sum();
    let counted = |count: f64| count.round() as u32;
    Done::Announce(Announced {
        info_hash,
        stored: renewed.stored_at.iter().map(|(contact, version)| (*contact, short_version(version))).collect(),
        asked: renewed.summaries.iter().map(|summary| summary.asked).sum(),
        answered,
        swarm: (answered > 0).then(|| (counted(renewed.scraped.seeds.count), counted(renewed.scraped.peers.count))),
    })
}

/// Looks for what was announced, until another node has named it.
async fn look(dht: Dht, order: LookOrder, ours: Vec<IpAddr>) -> Done {
    let LookOrder { info_hash, port } = order;
    let Looked { seen_as, asked, answered } = dht.look(info_hash, port, ours.into()).await;
    Done::Look(Look { info_hash, seen_as, asked, answered })
}
