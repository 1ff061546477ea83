//! News of a path from the file system, where it has any.

use std::path::Path;
use std::sync::Arc;

use notify::{Event, RecommendedWatcher, RecursiveMode, Watcher as _};
use tokio::sync::Notify;

/// Tells that something below a path may have changed. A network share has no news of what other hosts do there.
pub(super) struct Eyes {
    _watcher: RecommendedWatcher,
    news: Arc<Notify>,
}

impl Eyes {
    /// Eyes on a folder, perhaps with all below it.
    pub(super) fn on(folder: &Path, recursive: bool) -> Result<Self, notify::Error> {
        let news = Arc::new(Notify::new());
        let told = Arc::clone(&news);
        let mut watcher = notify::recommended_watcher(move |event: Result<Event, notify::Error>| {
            if event.map_or(true, |event| !event.kind.is_access()) {
                told.notify_one();
            }
        })?;
        let mode = if recursive { RecursiveMode::Recursive } else { RecursiveMode::NonRecursive };
        watcher.watch(folder, mode)?;
        Ok(Self { _watcher: watcher, news })
    }

    /// Waits for the next news.
    pub(super) async fn next(&self) {
        self.news.notified().await;
    }
}
