//! `trackerless put --file`: a file as a tree of immutable items.
//!
//! To store an item again changes nothing but its age, so that a run which lost the network is resumed by running it
//! again; with `--resume`, what the network has is left alone.

use std::collections::BTreeSet;
use std::path::Path;

use futures_util::{StreamExt, stream};
use serde_json::json;

use super::PATIENCE;
use crate::cli::failure::{Exit, Failure};
use crate::cli::output::Output;
use crate::cli::progress::Progress;
use crate::cli::session::{AT_ONCE, Session};
use crate::daemon::config::Config;
use crate::dht::tree::Tree;
use crate::engine::id::Id;
use crate::engine::items::Item;

/// Reads a file that is not too large.
pub(super) fn read(file: &Path, most: u64) -> Result<Vec<u8>, Failure> {
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

pub(super) async fn run(config: &Config, bytes: &[u8], resume: bool, output: Output) -> Result<Exit, Failure> {
    let tree = Tree::cut(bytes)
        .ok_or_else(|| Failure::usage("the file is larger than a tree of items can be", "make a torrent of it"))?;
    let progress = Progress::new("joining the DHT");
    let session = Session::open(config, PATIENCE).await?;
    let total = tree.items.len();
    let mut missing: BTreeSet<Id> = tree.items.iter().map(Item::target).collect();
    let puts = stream::iter(&tree.items).map(|item| store(&session, item, resume));
    let mut puts = puts.buffer_unordered(AT_ONCE);
    while let Some((target, stored)) = puts.next().await {
        if stored {
            missing.remove(&target);
        }
        progress.say(format_args!("{} of {total} items stored", total - missing.len()));
    }
    drop(puts);
    drop(progress);
    session.close().await;
    report(&tree, bytes.len(), &missing, output)
}

/// Stores one item, unless it should be left alone where it is; whether the network has it then.
async fn store(session: &Session, item: &Item, resume: bool) -> (Id, bool) {
    let target = item.target();
    if resume && session.get_item(target, b"").await.item.is_some() {
        return (target, true);
    }
    (target, !session.put_item(item.clone(), None).await.stored_at.is_empty())
}

fn report(tree: &Tree, size: usize, missing: &BTreeSet<Id>, output: Output) -> Result<Exit, Failure> {
    let (root, total) = (tree.root, tree.items.len());
    let stored = total - missing.len();
    if stored < total {
        return Err(Failure::no_network(
            format_args!("{stored} of {total} items of {root} were stored"),
            "run the same command with --resume when the network is back; nothing of it is lost",
        ));
    }
    let record = json!({ "root": root.to_string(), "bytes": size, "items": total });
    output.result(format_args!("{root}  {size} bytes in {total} items"), &record)?;
    Ok(Exit::Done)
}
