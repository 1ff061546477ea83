//! `trackerless get --file`: a file from its tree of items, every block checked against the hash that names it.
//!
//! Blocks go into `OUT.part` at their places; the file gets its name when it is whole. A run that ends early is
//! resumed by running it again: blocks of `OUT.part` that have their hash are not asked for again.

use std::fs::{File, OpenOptions};
use std::io::{self, Read, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};

use futures_util::{StreamExt, stream};
use serde_json::json;

use super::PATIENCE;
use crate::cli::failure::{Exit, Failure};
use crate::cli::output::{Output, counted};
use crate::cli::progress::Progress;
use crate::cli::session::{AT_ONCE, Session};
use crate::daemon::config::Config;
use crate::dht::tree::{Index, LEAF};
use crate::engine::id::Id;
use crate::engine::items::{Item, Value};

pub(super) async fn run(config: &Config, root: Id, out: &Path, most: u64, output: Output) -> Result<Exit, Failure> {
    let progress = Progress::new("joining the DHT");
    let session = Session::open(config, PATIENCE).await?;
    let fetched = fetch(&session, root, out, most, &progress).await;
    drop(progress);
    session.close().await;
    let Fetched { size, resumed } = fetched?;
    let record = json!({ "root": root.to_string(), "bytes": size, "bytes_resumed": resumed, "file": out });
    output.result(format_args!("{}  {}", out.display(), counted(size as usize, "byte")), &record)?;
    Ok(Exit::Done)
}

struct Fetched {
    size: u64,
    /// Bytes that an earlier run had fetched.
    resumed: u64,
}

async fn fetch(session: &Session, root: Id, out: &Path, most: u64, progress: &Progress) -> Result<Fetched, Failure> {
    let top = index(session, root, None).await?;
    if top.size > most {
        return Err(Failure::usage(
            format_args!("the file has {} bytes, more than {most}", top.size),
            format_args!("allow it with --max-size {}", top.size),
        ));
    }
    let size = top.size;
    let leaves = leaves(session, top).await?;
    let mut part = Part::open(out, size)?;
    let missing = part.missing(&leaves)?;
    let resumed = size - missing.iter().map(|leaf| leaf.size).sum::<u64>();
    let mut done = resumed;
    let blocks = stream::iter(&missing).map(async |leaf| (leaf, value(session, leaf.target).await));
    let mut blocks = blocks.buffer_unordered(AT_ONCE);
    let mut lost = 0;
    while let Some((leaf, value)) = blocks.next().await {
        match value.as_ref().and_then(Value::contents).filter(|contents| contents.len() as u64 == leaf.size) {
            Some(contents) => {
                part.write(leaf.at, contents)?;
                done += leaf.size;
            }
            None => lost += 1,
        }
        progress.say(format_args!("{done} of {size} bytes"));
    }
    if lost > 0 {
        return Err(incomplete(lost, leaves.len()));
    }
    part.finish(out)?;
    Ok(Fetched { size, resumed })
}

/// A piece of the file.
#[derive(Clone, Copy, Debug)]
struct Leaf {
    target: Id,
    at: u64,
    size: u64,
}

/// All leaves of the tree, in order. Indices are few: one for 48 leaves.
async fn leaves(session: &Session, top: Index) -> Result<Vec<Leaf>, Failure> {
    let (mut level, mut levels) = (vec![top], 0);
    while level.first().is_some_and(|index| index.levels > 0) {
        let below = level.iter().flat_map(|index| {
            index.targets.iter().enumerate().map(|(place, target)| (*target, index.levels - 1, index.size_below(place)))
        });
        let below: Vec<(Id, u8, u64)> = below.collect();
        let indices =
            stream::iter(below).map(async |(target, levels, size)| index(session, target, Some((levels, size))).await);
        let indices: Vec<_> = indices.buffered(AT_ONCE).collect().await;
        level = indices.into_iter().collect::<Result<_, _>>()?;
        levels += 1;
    }
    debug_assert!(levels <= 2, "an index of more levels is not read");
    let pieces = level
        .iter()
        .flat_map(|index| index.targets.iter().enumerate().map(|(place, target)| (*target, index.size_below(place))));
    let place = |at: &mut u64, (target, size)| {
        let leaf = Leaf { target, at: *at, size };
        *at += size;
        Some(leaf)
    };
    Ok(pieces.scan(0, place).collect())
}

/// The index under `target`, of the levels and size that the one above it names.
async fn index(session: &Session, target: Id, expected: Option<(u8, u64)>) -> Result<Index, Failure> {
    let value = value(session, target).await.ok_or_else(|| incomplete(1, 1))?;
    let index =
        Index::read(&value).filter(|index| expected.is_none_or(|expected| expected == (index.levels, index.size)));
    index.ok_or_else(|| {
        let cure = "give the root that `trackerless put --file` printed; get a single item without --file";
        Failure::usage(format_args!("the item {target} is no part of a file"), cure)
    })
}

async fn value(session: &Session, target: Id) -> Option<Value> {
    match session.get_item(target, b"").await.item? {
        Item::Immutable(value) => Some(value),
        Item::Mutable(_) => None,
    }
}

fn incomplete(lost: usize, total: usize) -> Failure {
    Failure::nothing(
        format_args!("{lost} of {} not found", counted(total, "block")),
        "run the same command again later: what was fetched is kept; whoever has the file can put it again",
    )
}

/// The file while it is not whole.
struct Part {
    file: File,
    path: PathBuf,
}

impl Part {
    fn open(out: &Path, size: u64) -> Result<Self, Failure> {
        let mut path = out.as_os_str().to_owned();
        path.push(".part");
        let path = PathBuf::from(path);
        let file = OpenOptions::new().read(true).write(true).create(true).truncate(false).open(&path);
        let part = Self { file: file.map_err(|error| unwritable(&path, &error))?, path };
        part.file.set_len(size).map_err(|error| unwritable(&part.path, &error))?;
        Ok(part)
    }

    /// The leaves that are not in the file yet.
    fn missing(&mut self, leaves: &[Leaf]) -> Result<Vec<Leaf>, Failure> {
        let mut missing = Vec::new();
        let mut block = [0; LEAF];
        for leaf in leaves {
            let block = &mut block[..leaf.size as usize];
            let read = self.file.seek(SeekFrom::Start(leaf.at)).and_then(|_| self.file.read_exact(block));
            read.map_err(|error| unwritable(&self.path, &error))?;
            if Value::from_contents(block).map(|value| value.target()) != Ok(leaf.target) {
                missing.push(*leaf);
            }
        }
        Ok(missing)
    }

    fn write(&mut self, at: u64, contents: &[u8]) -> Result<(), Failure> {
        let written = self.file.seek(SeekFrom::Start(at)).and_then(|_| self.file.write_all(contents));
        written.map_err(|error| unwritable(&self.path, &error))
    }

    fn finish(self, out: &Path) -> Result<(), Failure> {
        let renamed = self.file.sync_all().and_then(|()| std::fs::rename(&self.path, out));
        renamed.map_err(|error| unwritable(&self.path, &error))
    }
}

fn unwritable(path: &Path, error: &io::Error) -> Failure {
    Failure::usage(
        format_args!("{}: {error}", path.display()),
        "name a file in a folder that can be written, with room",
    )
}
