//! `trackerless put --file`: a file as a tree of immutable items.
//!
//! To store an item again changes nothing but its age, so that a run which lost the network is resumed by running it
//! again; with `--resume`, what the network has is left alone.

use std::path::Path;
use std::time::Duration;

use futures_util::{StreamExt, stream};
use serde_json::json;

use super::PATIENCE;
use crate::cli::failure::{Exit, Failure};
use crate::cli::keep;
use crate::cli::output::{Output, counted};
use crate::cli::progress::Progress;
use crate::cli::session::{AT_ONCE, Session};
use crate::daemon::config::Config;
use crate::dht::tree::Tree;
use crate::engine::items::Item;
use crate::engine::limits::ITEM_RENEWAL;

/// A file that is to be stored.
pub(super) struct Upload {
    tree: Tree,
    bytes: usize,
    /// What the network has is left alone.
    resume: bool,
}

impl Upload {
    pub(super) fn new(file: &Path, most: u64, resume: bool) -> Result<Self, Failure> {
        let bytes = read(file, most)?;
        let tree = Tree::cut(&bytes)
            .ok_or_else(|| Failure::usage("the file is larger than a tree of items can be", "make a torrent of it"))?;
        Ok(Self { tree, bytes: bytes.len(), resume })
    }

    /// Stores all of it; with `keep`, again every hour until somebody stops it.
    pub(super) async fn run(&self, config: &Config, keep: bool, output: Output) -> Result<Exit, Failure> {
        if keep {
            return keep::until_stopped(self.keep(config, output)).await;
        }
        let progress = Progress::new("joining the DHT");
        let session = Session::open(config, PATIENCE).await?;
        let stored = self.store(&session, self.resume, &progress).await;
        drop(progress);
        session.close().await;
        self.report(stored, output)
    }

    async fn keep(&self, config: &Config, output: Output) -> Result<Exit, Failure> {
        let session = Session::open(config, Duration::MAX).await?;
        // What is left alone grows old: only at the beginning.
        let mut resume = self.resume;
        let round = async || {
            let progress = Progress::new("storing");
            let stored = self.store(&session, std::mem::take(&mut resume), &progress).await;
            drop(progress);
            self.report(stored, output)
        };
        keep::again_and_again(ITEM_RENEWAL, self.tree.root, round).await
    }

    /// Stores every item once; how many some node took.
    async fn store(&self, session: &Session, resume: bool, progress: &Progress) -> usize {
        let items = &self.tree.items;
        let say = |stored| progress.say(format_args!("{stored} of {} stored", counted(items.len(), "item")));
        store_all(items, |item| store(session, item, resume), say).await
    }

    fn report(&self, stored: usize, output: Output) -> Result<Exit, Failure> {
        let (root, total) = (self.tree.root, self.tree.items.len());
        if stored < total {
            return Err(Failure::no_network(
                format_args!("{stored} of {} of {root} stored", counted(total, "item")),
                "run the same command with --resume when the network is back; nothing of it is lost",
            ));
        }
        let record = json!({ "root": root.to_string(), "bytes": self.bytes, "items": total });
        let (bytes, items) = (counted(self.bytes, "byte"), counted(total, "item"));
        output.result(format_args!("{root}  {bytes} in {items}"), &record)?;
        Ok(Exit::Done)
    }
}

/// Reads a file that is not too large.
fn read(file: &Path, most: u64) -> Result<Vec<u8>, Failure> {
    let unreadable =
        |error| Failure::usage(format_args!("{}: {error}", file.display()), "name a file that can be read");
    let size = std::fs::metadata(file).map_err(unreadable)?.len();
    if size > most {
        return Err(Failure::usage(
            format_args!("{} has {size} bytes, more than {most}", file.display()),
            format_args!("other people's nodes keep it: make a torrent of it, or insist with --max-size {size}"),
        ));
    }
    std::fs::read(file).map_err(unreadable)
}

/// Stores the items, several at a time, and the last one, the root, when all others are there: once it can be found,
/// everything can. How many are stored.
async fn store_all<'a, Storing: Future<Output = bool>>(
    items: &'a [Item],
    store: impl Fn(&'a Item) -> Storing,
    say: impl Fn(usize),
) -> usize {
    let (root, below) = items.split_last().expect("a tree has a root");
    let mut stored = 0;
    let mut storing = stream::iter(below).map(&store).buffer_unordered(AT_ONCE);
    while let Some(is_stored) = storing.next().await {
        stored += usize::from(is_stored);
        say(stored);
    }
    drop(storing);
    if stored == below.len() {
        stored += usize::from(store(root).await);
        say(stored);
    }
    stored
}

/// Stores one item, unless it should be left alone where it is; whether the network has it then.
async fn store(session: &Session, item: &Item, resume: bool) -> bool {
    (resume && session.get_item(item.target(), b"").await.item.is_some())
        || !session.put_item(item.clone(), None).await.stored_at.is_empty()
}

#[cfg(test)]
mod tests {
    use std::cell::RefCell;

    use super::*;
    use crate::engine::id::Id;

    /// The items in the order in which their storing ended, and how many were counted; `lost` is refused.
    async fn upload(tree: &Tree, lost: Option<Id>) -> (Vec<Id>, usize) {
        let ended = RefCell::new(Vec::new());
        let store = |item: &Item| {
            let (target, ended) = (item.target(), &ended);
            async move {
                // Whoever begins first ends last: an order that only waiting can keep.
                let before = ended.borrow().len();
                for _ in before..40 {
                    tokio::task::yield_now().await;
                }
                ended.borrow_mut().push(target);
                Some(target) != lost
            }
        };
        let stored = store_all(&tree.items, store, |_| {}).await;
        (ended.into_inner(), stored)
    }

    #[tokio::test]
    async fn the_root_is_stored_when_everything_below_it_is() {
        let bytes: Vec<u8> = (0..60_000u32).map(|index| (index / 7 % 251) as u8).collect();
        let tree = Tree::cut(&bytes).expect("a tree");
        let total = tree.items.len();
        assert!(total > 2 * AT_ONCE);
        let (ended, stored) = upload(&tree, None).await;
        assert_eq!((ended.last(), stored, ended.len()), (Some(&tree.root), total, total));
        let (ended, stored) = upload(&tree, Some(tree.items[total / 2].target())).await;
        assert_eq!((ended.contains(&tree.root), stored), (false, total - 2), "a part is missing");
    }
}
