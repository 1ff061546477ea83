//! `trackerless put --file`: a file as a tree of immutable items.
//!
//! To store an item again changes nothing but its age, so that a run which lost the network is resumed by running it
//! again; with `--resume`, what the network has is left alone.

use std::path::Path;
use std::time::Duration;

use serde_json::json;

use crate::cli::failure::{Exit, Failure};
use crate::cli::keep;
use crate::cli::network::{Base, Network};
use crate::cli::output::{Printer, counted};
use crate::cli::progress::Progress;
use crate::dht::tree::{self, Existing, Tree};
use crate::engine::limits::ITEM_RENEWAL;

/// A file that is to be stored.
pub(super) struct Upload {
    tree: Tree,
    bytes: usize,
    /// What to do first with items that the network has.
    existing: Existing,
    /// Longest time for joining the DHT.
    patience: Duration,
}

impl Upload {
    pub(super) fn new(file: &Path, most: u64, existing: Existing, patience: Duration) -> Result<Self, Failure> {
        let bytes = read(file, most)?;
        let tree = Tree::cut(&bytes)
            .ok_or_else(|| Failure::usage("the file is larger than a tree of items can be", "make a torrent of it"))?;
        Ok(Self { tree, bytes: bytes.len(), existing, patience })
    }

    /// Stores all of it; with `keep`, again every hour until it is stopped.
    pub(super) async fn run(&self, base: &Base, keep: bool, output: Printer) -> Result<Exit, Failure> {
        if keep {
            return keep::until_stopped(self.keep(base, output)).await;
        }
        let progress = Progress::new("joining the DHT");
        let network = Network::open(base, self.patience).await?;
        let stored = self.store(&network, self.existing, &progress).await;
        drop(progress);
        network.close().await?;
        self.report(stored, output)
    }

    async fn keep(&self, base: &Base, output: Printer) -> Result<Exit, Failure> {
        let progress = Progress::new("joining the DHT");
        let network = Network::open_whenever(base, self.patience, &progress).await?;
        drop(progress);
        // What is left alone grows old: only at the beginning.
        let mut existing = self.existing;
        let round = async || {
            let progress = Progress::new("storing");
            let stored = self.store(&network, std::mem::replace(&mut existing, Existing::Renew), &progress).await;
            drop(progress);
            self.report(stored, output)
        };
        let (renewals, _teller) = network.renewals();
        keep::again_and_again(ITEM_RENEWAL, *self.tree.root, renewals, round).await
    }

    /// Stores every item once; the number of items that some node took.
    async fn store(&self, network: &Network, existing: Existing, progress: &Progress) -> usize {
        let items = counted(self.tree.items.len(), "item");
        let say = |stored| progress.say(format_args!("{stored} of {items} stored"));
        tree::store(network, &self.tree, existing, say).await
    }

    fn report(&self, stored: usize, output: Printer) -> Result<Exit, Failure> {
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
