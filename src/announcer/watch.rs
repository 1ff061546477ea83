//! What is watched: folders of torrent files, lists, and single targets, each of which is a source.
//!
//! Some are named by the settings, others by the table that `trackerless watch` writes ([`WatchList`]); a change of that
//! table is seen within a second.

mod eyes;
mod follow;
mod reader;

use std::collections::BTreeMap;
use std::time::Duration;

use tokio::task::{AbortHandle, JoinSet, spawn_blocking};
use tokio::time::sleep;

use super::handle::Announcer;
use super::store::{StoreError, WatchList, Watched};

/// Time between two looks at the table.
const LOOK_EVERY: Duration = Duration::from_secs(1);

/// Watches what `fixed` names, and what the table names; never ends.
pub async fn watch(announcer: Announcer, fixed: Vec<Watched>, list: Option<WatchList>) {
    let mut watching = Watching { announcer, tasks: JoinSet::new(), known: BTreeMap::new() };
    watching.change_to(fixed.clone());
    let Some(mut list) = list else { return watching.for_ever().await };
    let mut is_refused = false;
    loop {
        let read = spawn_blocking(move || {
            let read = read(&mut list);
            (list, read)
        });
        let Ok((back, read)) = read.await else { return watching.for_ever().await };
        list = back;
        match read {
            Ok(None) => {}
            Ok(Some(named)) => {
                is_refused = false;
                watching.change_to(fixed.iter().cloned().chain(named));
            }
            Err(error) if !is_refused => {
                tracing::warn!(%error, cure = error.cure(), "the list of what is watched cannot be read");
                is_refused = true;
            }
            Err(_) => {}
        }
        sleep(LOOK_EVERY).await;
    }
}

/// What the table names, if that may have changed.
fn read(list: &mut WatchList) -> Result<Option<Vec<Watched>>, StoreError> {
    if list.has_changed()? { list.all().map(Some) } else { Ok(None) }
}

/// The tasks that watch, one for each target.
struct Watching {
    announcer: Announcer,
    tasks: JoinSet<()>,
    known: BTreeMap<String, (Watched, AbortHandle)>,
}

impl Watching {
    /// Begins what is new, and ends what is missing. Of two that name one target the first counts.
    fn change_to(&mut self, wanted: impl IntoIterator<Item = Watched>) {
        let mut all = BTreeMap::new();
        for watched in wanted {
            all.entry(watched.target.clone()).or_insert(watched);
        }
        let gone: Vec<String> = self.known.keys().filter(|target| !all.contains_key(*target)).cloned().collect();
        for target in gone {
            if let Some((_, task)) = self.known.remove(&target) {
                task.abort();
            }
            self.announcer.forget_source(&target);
        }
        for (target, watched) in all {
            if self.known.get(&target).is_some_and(|(known, _)| *known == watched) {
                continue;
            }
            let task = self.tasks.spawn(follow::follow(watched.clone(), self.announcer.listings()));
            if let Some((_, before)) = self.known.insert(target, (watched, task)) {
                before.abort();
            }
        }
    }

    async fn for_ever(mut self) {
        while self.tasks.join_next().await.is_some() {}
        std::future::pending().await
    }
}
