//! Getting a file from its tree, every block checked against the hash that names it.

use std::io::{self, Read, Seek, SeekFrom, Write};

use futures_util::{StreamExt, stream};

use super::{AT_ONCE, Index, LEAF, MAX_LEVELS, Shelf};
use crate::dht::Dht;
use crate::engine::id::Target;
use crate::engine::items::{Item, Value};

/// A file that is kept as a tree of items, as far as its indices tell.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FileTree {
    /// Target of the root, which names the file.
    pub root: Target,
    /// Size of the file, in bytes.
    pub size: u64,
    leaves: Vec<Leaf>,
}

/// A piece of the file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Leaf {
    target: Target,
    /// Place in the file, in bytes.
    at: u64,
    size: u64,
}

/// Why a file cannot be had.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum TreeError {
    /// Items that no node gave. Those that were found are in the file.
    #[error("{lost} of {total} blocks not found")]
    NotFound {
        /// Number of blocks that are missing.
        lost: usize,
        /// Number of blocks of the file, or 1 for an index.
        total: usize,
    },
    /// The item under this target is no index of a file, or not the one that the index above it names.
    #[error("the item {0} is no part of a file")]
    NoIndex(Target),
    /// The file is larger than the caller allows.
    #[error("the file has {size} bytes, more than {most}")]
    TooLarge {
        /// Size of the file, in bytes.
        size: u64,
        /// Largest size that is allowed, in bytes.
        most: u64,
    },
    /// The file cannot be read or written here.
    #[error(transparent)]
    Io(#[from] io::Error),
}

impl FileTree {
    /// Number of blocks.
    #[must_use]
    pub fn blocks(&self) -> usize {
        self.leaves.len()
    }

    /// The leaves that are not in `file` yet.
    fn missing(&self, file: &mut (impl Read + Seek)) -> io::Result<Vec<Leaf>> {
        let mut missing = Vec::new();
        let mut block = Vec::with_capacity(LEAF);
        for leaf in &self.leaves {
            block.clear();
            file.seek(SeekFrom::Start(leaf.at))?;
            file.by_ref().take(leaf.size).read_to_end(&mut block)?;
            let there = Value::from_contents(&block).map(|value| value.target());
            if block.len() as u64 != leaf.size || there != Ok(leaf.target) {
                missing.push(*leaf);
            }
        }
        Ok(missing)
    }
}

impl Dht {
    /// Looks for the indices of the file whose tree has this root.
    ///
    /// # Errors
    /// An index is missing or none, or the file has more than `most` bytes.
    pub async fn find_tree(&self, root: Target, most: u64) -> Result<FileTree, TreeError> {
        find(self, root, most).await
    }

    /// Gets the blocks that `file` lacks, each into its place, and tells `progress` the number of bytes that are there so
    /// far. Returns the number of bytes that were there before: a download that was interrupted is resumed by handing
    /// over what it left, of which only blocks that have their hash are kept. A longer file is not cut.
    ///
    /// # Errors
    /// A block is missing, or the file cannot be read or written.
    pub async fn get_tree(
        &self,
        tree: &FileTree,
        file: &mut (impl Read + Write + Seek),
        progress: impl FnMut(u64),
    ) -> Result<u64, TreeError> {
        fetch(self, tree, file, progress).await
    }
}

/// [`Dht::find_tree`] on any shelf.
///
/// # Errors
/// An index is missing or none, or the file has more than `most` bytes.
pub async fn find(shelf: &impl Shelf, root: Target, most: u64) -> Result<FileTree, TreeError> {
    let top = index(shelf, root, None).await?;
    let size = top.size;
    if size > most {
        return Err(TreeError::TooLarge { size, most });
    }
    let mut level = vec![top];
    for _ in 0..MAX_LEVELS {
        if level.first().is_some_and(|index| index.levels > 0) {
            level = indices_below(shelf, &level).await?;
        }
    }
    Ok(FileTree { root, size, leaves: leaves(&level) })
}

/// [`Dht::get_tree`] on any shelf.
///
/// # Errors
/// A block is missing, or the file cannot be read or written.
pub async fn fetch(
    shelf: &impl Shelf,
    tree: &FileTree,
    file: &mut (impl Read + Write + Seek),
    mut progress: impl FnMut(u64),
) -> Result<u64, TreeError> {
    let missing = tree.missing(file)?;
    let before = tree.size - missing.iter().map(|leaf| leaf.size).sum::<u64>();
    let (mut done, mut lost) = (before, 0);
    let blocks = stream::iter(&missing).map(async |leaf| (leaf, immutable(shelf, leaf.target).await));
    let mut blocks = blocks.buffer_unordered(AT_ONCE);
    while let Some((leaf, value)) = blocks.next().await {
        match value.as_ref().and_then(Value::contents).filter(|contents| contents.len() as u64 == leaf.size) {
            Some(contents) => {
                file.seek(SeekFrom::Start(leaf.at))?;
                file.write_all(contents)?;
                done += leaf.size;
            }
            None => lost += 1,
        }
        progress(done);
    }
    if lost > 0 { Err(TreeError::NotFound { lost, total: tree.blocks() }) } else { Ok(before) }
}

/// The indices under those of `level`, in order. Indices are few: one for 48 leaves.
async fn indices_below(shelf: &impl Shelf, level: &[Index]) -> Result<Vec<Index>, TreeError> {
    let below = level.iter().flat_map(|index| {
        index.targets.iter().enumerate().map(|(place, target)| (*target, index.levels - 1, index.size_below(place)))
    });
    let below: Vec<(Target, u8, u64)> = below.collect();
    let found = stream::iter(below)
        .map(async |(target, levels, size)| index(shelf, target, Some((levels, size))).await)
        .buffered(AT_ONCE);
    found.collect::<Vec<_>>().await.into_iter().collect()
}

/// The index under `target`, of the levels and size that the one above it names.
async fn index(shelf: &impl Shelf, target: Target, expected: Option<(u8, u64)>) -> Result<Index, TreeError> {
    let value = immutable(shelf, target).await.ok_or(TreeError::NotFound { lost: 1, total: 1 })?;
    let index = Index::read(&value);
    let index = index.filter(|index| expected.is_none_or(|expected| expected == (index.levels, index.size)));
    index.ok_or(TreeError::NoIndex(target))
}

async fn immutable(shelf: &impl Shelf, target: Target) -> Option<Value> {
    match shelf.get_item(target, b"").await.item? {
        Item::Immutable(value) => Some(value),
        Item::Mutable(_) => None,
    }
}

/// The leaves under the lowest indices, in order.
fn leaves(level: &[Index]) -> Vec<Leaf> {
    let mut leaves = Vec::new();
    let mut at = 0;
    for index in level {
        for (place, target) in index.targets.iter().enumerate() {
            let size = index.size_below(place);
            leaves.push(Leaf { target: *target, at, size });
            at += size;
        }
    }
    leaves
}

#[cfg(test)]
mod tests {
    use std::io::Cursor;

    use super::*;
    use crate::dht::tree::Tree;

    #[test]
    fn what_has_its_hash_is_not_missing() {
        let bytes: Vec<u8> = (0..5 * LEAF as u32 / 2).map(|index| (index / 3 % 251) as u8).collect();
        let tree = Tree::cut(&bytes).expect("a tree");
        let index = Index::read(tree.items.last().expect("a root").value()).expect("an index");
        let tree = FileTree { root: tree.root, size: index.size, leaves: leaves(&[index]) };
        let missing = |file: &[u8]| {
            let missing = tree.missing(&mut Cursor::new(file.to_vec())).expect("memory");
            missing.iter().map(|leaf| leaf.at as usize / LEAF).collect::<Vec<_>>()
        };
        assert_eq!(missing(&bytes), [0; 0]);
        assert_eq!(missing(&[]), [0, 1, 2]);
        assert_eq!(missing(&bytes[..2 * LEAF + 1]), [2]);
        assert_eq!(missing(&[&bytes[..], b"more"].concat()), [0; 0]);
        let mut damaged = bytes.clone();
        damaged[LEAF] ^= 1;
        assert_eq!(missing(&damaged), [1]);
    }
}
