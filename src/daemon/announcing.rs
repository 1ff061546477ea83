//! What is kept announced, as the configuration wants it.
//!
//! The node that announces is the one that serves. Beside it, as soon as there is something to announce, runs another one
//! that looks for it as a stranger would: with a table of its own, read-only (BEP 43), at ports that the system chooses.

use std::collections::BTreeSet;

use tokio::sync::broadcast::error::RecvError;

use super::config::Config;
use super::following;
use crate::announcer::store::{MemoryStore, SqliteStore, Store, StoreError, WatchList, Watched};
use crate::announcer::{Announcer, Settings, StartError, watch};
use crate::dht::{self, Dht};
use crate::engine::node::Serve;

/// An announcer, and what it is to watch.
pub(super) struct Announcing {
    announcer: Announcer,
    watched: Vec<Watched>,
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
        new_destinations_per_second: if config.no_limits { u32::MAX } else { config.new_destinations_per_second.get() },
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
    Ok(Announcing { announcer, watched: config.watch.clone(), list })
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
    pub(super) async fn run(self, config: &Config, dht: &Dht) {
        let Self { announcer, watched, list } = self;
        tokio::select! {
            () = watch(announcer.clone(), watched, list) => {}
            () = look(&announcer, config, dht) => {}
        }
    }
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
        Ok(witness) => announcer.set_witness(witness),
        Err(error) => tracing::warn!(%error, "what is announced is looked for by the node that announces it"),
    }
    std::future::pending().await
}
