//! What is watched: folders of torrent files, lists, and single targets, each of which is a source.
//!
//! Some are named by the settings, others by the table that `trackerless watch` writes ([`WatchList`]); a change of either
//! is seen within a second.

mod eyes;
mod follow;
mod reader;

use std::collections::BTreeMap;
use std::time::Duration;

use tokio::sync::watch;
use tokio::task::{AbortHandle, JoinSet, spawn_blocking};
use tokio::time::sleep;

use self::reader::Reader;
use super::handle::Announcer;
use super::source::Listing;
use super::store::{StoreError, WatchList, Watched};

/// Time between two looks at the table.
const LOOK_EVERY: Duration = Duration::from_secs(1);

/// Watches what `fixed` names, and what the table names; never ends.
pub async fn watch(announcer: Announcer, mut fixed: watch::Receiver<Vec<Watched>>, list: Option<WatchList>) {
    let mut watching = Watching { announcer, tasks: JoinSet::new(), known: BTreeMap::new() };
    let mut table = Table { list, named: Vec::new(), is_refused: false };
    // A sender that is gone changes nothing any more.
    let (mut is_new, mut may_change) = (true, true);
    loop {
        is_new |= table.look().await;
        if std::mem::take(&mut is_new) {
            let fixed = fixed.borrow_and_update().clone();
            watching.change_to(fixed.into_iter().chain(table.named.iter().cloned()));
        }
        tokio::select! {
            changed = fixed.changed(), if may_change => (is_new, may_change) = (changed.is_ok(), changed.is_ok()),
            () = sleep(LOOK_EVERY) => {}
        }
    }
}

/// What a single target lists, as it is told when it is watched; `None` for a path.
#[must_use]
pub fn listing_of(watched: &Watched) -> Option<Listing> {
    let mut reader = Reader::new(watched.clone());
    reader.is_fixed().then(|| reader.read())
}

/// The table, and what it named last.
struct Table {
    /// `None` where it cannot be had.
    list: Option<WatchList>,
    named: Vec<Watched>,
    is_refused: bool,
}

impl Table {
    /// Looks at it; whether it may name something else.
    async fn look(&mut self) -> bool {
        let Some(mut list) = self.list.take() else { return false };
        let read = spawn_blocking(move || {
            let read = read(&mut list);
            (list, read)
        });
        let Ok((list, read)) = read.await else { return false };
        self.list = Some(list);
        match read {
            Ok(None) => return false,
            Ok(Some(named)) => (self.named, self.is_refused) = (named, false),
            Err(error) => {
                if !std::mem::replace(&mut self.is_refused, true) {
                    tracing::warn!(%error, cure = error.cure(), "the list of what is watched cannot be read");
                }
                return false;
            }
        }
        true
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
        // Those of single targets have told theirs and are over.
        while self.tasks.try_join_next().is_some() {}
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
}
