//! What is kept announced, as the configuration wants it.
//!
//! The node that announces is the one that serves. Beside it, as soon as there is something to announce, runs another one
//! that looks for it as a stranger would: with a table of its own, read-only (BEP 43), at ports that the system chooses.

use std::collections::BTreeSet;
use std::sync::Arc;

use tokio::sync::broadcast::error::RecvError;
use tokio::sync::watch as channel;
use tokio::task::spawn_blocking;

use super::config::Config;
use super::following;
use super::live::Live;
use crate::announcer::store::{MemoryStore, SqliteStore, Store, StoreError, WatchList};
use crate::announcer::{Announcer, Settings, StartError, watch};
use crate::dht::{self, Dht};
use crate::engine::node::Serve;

/// An announcer, and what it is to watch.
pub(super) struct Announcing {
    announcer: Announcer,
    list: Option<WatchList>,
}

/// Starts to announce what an earlier run has kept.
pub(super) async fn open(config: &Config, dht: &Dht) -> Result<Announcing, StartError> {
    let list = WatchList::open(&config.data_dir);
    let list = list.inspect_err(|error| tell(error, "`trackerless watch` is not heard")).ok();
    let named = list.as_ref().and_then(|list| list.all().ok()).unwrap_or_default();
    let watched = config.watch.iter().chain(&named).map(|watched| watched.target.clone());
    let sources: BTreeSet<String> = watched.chain(following::sources(config)).collect();
    let settings = Settings {
        new_destinations_per_second: pace(config),
        port: port(config),
        max: config.watch_max.get() as usize,
        sources: Some(sources),
        ..Settings::default()
    };
    let announcer = match store(config) {
        Ok(store) => Announcer::start(dht.clone(), store, settings).await?,
        Err(error) => {
            tell(&error, "what is announced is not kept for another run");
            Announcer::start(dht.clone(), MemoryStore::default(), settings).await?
        }
    };
    Ok(Announcing { announcer, list })
}

/// New destinations a second that the settings allow.
pub(super) fn pace(config: &Config) -> u32 {
    if config.no_limits { u32::MAX } else { config.new_destinations_per_second.get() }
}

/// The port of the settings, if they have one.
#[must_use]
pub fn port(config: &Config) -> Option<u16> {
    u16::try_from(config.announce_port.get()).ok().filter(|port| *port > 0)
}

/// The store in the data folder. One that was damaged is set aside.
fn store(config: &Config) -> Result<impl Store, StoreError> {
    let opened = SqliteStore::open(&config.data_dir)?;
    opened.store.write_port(port(config))?;
    if let Some((reason, kept)) = opened.damage() {
        let kept = kept.display();
        tracing::warn!(%reason, %kept, "the file of what is announced is damaged; it was set aside, starting afresh");
    }
    Ok(opened.store)
}

fn tell(error: &StoreError, what: &str) {
    tracing::warn!(%error, cure = error.cure(), "{what}");
}

impl Announcing {
    /// The handle.
    pub(super) fn announcer(&self) -> Announcer {
        self.announcer.clone()
    }

    /// Watches and announces; never ends.
    pub(super) async fn run(self, live: &Live, dht: &Dht) {
        let Self { announcer, list } = self;
        let (tell, named) = channel::channel(live.now().watch.clone());
        let (mut changes, config) = (live.follow(), live.now());
        let follow = async {
            while changes.changed().await.is_ok() {
                let watched = changes.borrow_and_update().watch.clone();
                tell.send_if_modified(|known| {
                    let is_other = *known != watched;
                    *known = watched;
                    is_other
                });
            }
            std::future::pending().await
        };
        tokio::select! {
            () = watch(announcer.clone(), named, list) => {}
            () = look(&announcer, &config, dht) => {}
            () = follow => {}
        }
    }
}

/// Tells the node and the announcer of each change that concerns them; never ends. Folders and clients are followed where
/// they are watched ([`Announcing::run`], `following.rs`).
pub(super) async fn apply(live: &Live, dht: &Dht, announcer: &Announcer) {
    let mut changes = live.follow();
    while changes.changed().await.is_ok() {
        let config = Arc::clone(&changes.borrow_and_update());
        dht.set_new_destinations(config.new_destinations_per_second.get(), config.new_destinations_burst.get()).await;
        announcer.set_bounds(pace(&config), config.watch_max.get() as usize);
        announcer.set_port(port(&config));
        // For `watch list` when no node runs.
        let kept = spawn_blocking(move || match SqliteStore::look(&config.data_dir)? {
            Some(store) => store.write_port(port(&config)),
            None => Ok(()),
        });
        if let Ok(Err(error)) = kept.await {
            tracing::warn!(%error, cure = error.cure(), "the port of the settings could not be kept for `watch list`");
        }
    }
    std::future::pending().await
}

/// Starts the node that looks once there is something to look for; never ends.
async fn look(announcer: &Announcer, config: &Config, dht: &Dht) {
    let mut news = announcer.subscribe();
    while announcer.totals().counters.announces == 0 {
        if matches!(news.recv().await, Err(RecvError::Closed)) {
            break;
        }
    }
    let mut witness = config.node().serve(Serve::Never).saved(dht::saved_contacts(&config.data_dir));
    for mut addr in dht.local_addrs() {
        addr.set_port(0);
        witness = witness.bind(addr);
    }
    match witness.start().await {
        Ok(witness) => {
            // One that knows few nodes finds little.
            witness.bootstrapped().await;
            announcer.set_witness(witness);
        }
        Err(error) => tracing::warn!(%error, "what is announced is looked for by the node that announces it"),
    }
    std::future::pending().await
}
