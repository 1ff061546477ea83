//! The index as the configuration wants it.

use std::sync::Arc;

use super::config::Config;
use super::live::Live;
use crate::dht::Dht;
use crate::engine::random::Random;
use crate::index::service::Index;
use crate::net::entropy;
use crate::peer::handshake::own_name;

/// Opens the index. Where it cannot be used the node goes on without, and says why.
pub(super) fn open(config: &Config) -> Option<Arc<Index>> {
    let name = entropy::seed().map(|seed| own_name(Random::new(seed).wire_id().0));
    let settings = config.index_settings(name.ok()?)?;
    match Index::open(&config.index_place(), settings) {
        Ok(index) => Some(Arc::new(index)),
        Err(error) => {
            tracing::error!(%error, cure = error.cure(), "there is no index: the node goes on without");
            None
        }
    }
}

/// Works; never ends. Its lists are read again whenever the configuration is.
pub(super) async fn run(index: Option<Arc<Index>>, live: &Live, dht: &Dht) {
    let Some(index) = index else { return std::future::pending().await };
    let mut changes = live.follow();
    let lists = async {
        while changes.changed().await.is_ok() {
            index.read_lists().await;
        }
        std::future::pending::<()>().await
    };
    tokio::join!(index.run(dht), lists);
}
