//! `trackerless put --file`: a file as a tree of immutable items.
//!
//! To store an item again changes nothing but its age, so that a run which lost the network is resumed by running it
//! again; with `--resume`, what the network has is left alone.

use std::collections::BTreeSet;
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
use crate::engine::id::Id;
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
        let missing = self.store(&session, self.resume, &progress).await;
        drop(progress);
        session.close().await;
        self.report(&missing, output)
    }

    async fn keep(&self, config: &Config, output: Output) -> Result<Exit, Failure> {
        let session = Session::open(config, Duration::MAX).await?;
        // What is left alone grows old: only at the beginning.
        let mut resume = self.resume;
        let round = async || {
            let progress = Progress::new("storing");
            let missing = self.store(&session, std::mem::take(&mut resume), &progress).await;
            drop(progress);
            self.report(&missing, output)
        };
        keep::again_and_again(ITEM_RENEWAL, self.tree.root, round).await
    }

    /// Stores every item once; those that no node took.
    async fn store(&self, session: &Session, resume: bool, progress: &Progress) -> BTreeSet<Id> {
        let items = &self.tree.items;
        let mut missing: BTreeSet<Id> = items.iter().map(Item::target).collect();
        let puts = stream::iter(items).map(|item| store(session, item, resume));
        let mut puts = puts.buffer_unordered(AT_ONCE);
        while let Some((target, stored)) = puts.next().await {
            if stored {
                missing.remove(&target);
            }
            progress.say(format_args!("{} of {} items stored", items.len() - missing.len(), items.len()));
        }
        missing
    }

    fn report(&self, missing: &BTreeSet<Id>, output: Output) -> Result<Exit, Failure> {
        let (root, total) = (self.tree.root, self.tree.items.len());
        let stored = total - missing.len();
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

/// Stores one item, unless it should be left alone where it is; whether the network has it then.
async fn store(session: &Session, item: &Item, resume: bool) -> (Id, bool) {
    let target = item.target();
    if resume && session.get_item(target, b"").await.item.is_some() {
        return (target, true);
    }
    (target, !session.put_item(item.clone(), None).await.stored_at.is_empty())
}
