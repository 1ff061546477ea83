//! Files as trees of immutable items: blocks named by their hash, as DHash and CFS kept them over Chord.
//!
//! A *leaf* is a string of up to [`LEAF`] bytes. An *index* is a dict: `b` says how many levels of indices lie below
//! it, `n` how many bytes of the file, `t` the targets of up to [`FAN_OUT`] items, 20 bytes each. The root is an index,
//! and its target names the file: with it every block can be checked, and none be changed. Equal blocks are
//! one item.

mod download;
mod upload;

use std::collections::BTreeSet;

use bendy::decoding::Decoder;

use crate::dht::{Dht, ItemFound, ItemStored};
use crate::engine::id::{Id, Target};
use crate::engine::items::{Item, MAX_VALUE, Value};

pub use download::{FileTree, TreeError, fetch, find};
pub use upload::{Existing, store};

/// Where items are stored and found: a node of this program, or one that runs elsewhere.
pub trait Shelf {
    /// Looks for the item under `target`.
    fn get_item(&self, target: Target, salt: &[u8]) -> impl Future<Output = ItemFound>;

    /// Stores an item.
    fn put_item(&self, item: Item, cas: Option<i64>) -> impl Future<Output = ItemStored>;
}

impl Shelf for Dht {
    async fn get_item(&self, target: Target, salt: &[u8]) -> ItemFound {
        Self::get_item(self, target, salt).await
    }

    async fn put_item(&self, item: Item, cas: Option<i64>) -> ItemStored {
        Self::put_item(self, item, cas).await
    }
}

/// Bytes of the file in a leaf: a string of them just fills an item.
pub const LEAF: usize = MAX_VALUE - "996:".len();
/// Targets in an index: with the numbers beside them they just fill an item.
pub const FAN_OUT: usize = 48;
/// Largest number of levels of indices below the root: 110 MB.
const MAX_LEVELS: u8 = 2;
/// Number of items that are stored or looked for at once. More would only wait for the pace of new destinations.
const AT_ONCE: usize = 16;

/// A file that was cut into items.
#[derive(Clone, Debug)]
pub struct Tree {
    /// All items, the root last: once it can be found, everything can.
    pub items: Vec<Item>,
    /// The target of the root.
    pub root: Target,
}

/// An inner node of a tree.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Index {
    /// Levels of indices below; 0 where the targets are leaves.
    pub levels: u8,
    /// Bytes of the file below.
    pub size: u64,
    /// What is below, in order.
    pub targets: Vec<Target>,
}

impl Tree {
    /// Cuts `file` into items; `None` for one that no tree can hold.
    #[must_use]
    pub fn cut(file: &[u8]) -> Option<Self> {
        let mut items = Vec::new();
        let mut level: Vec<(Target, u64)> = Vec::new();
        for leaf in file.chunks(LEAF) {
            let item = Item::Immutable(Value::from_contents(leaf).expect("a leaf fits into an item"));
            level.push((item.target(), leaf.len() as u64));
            items.push(item);
        }
        for levels in 0..=MAX_LEVELS {
            level = group(&level, levels, &mut items);
            if let [(root, _)] = level[..] {
                let mut seen = BTreeSet::new();
                items.retain(|item| seen.insert(item.target()));
                return Some(Self { items, root });
            }
        }
        None
    }
}

/// Puts an index over each group of `level`; the level above. An empty file has one empty index.
fn group(level: &[(Target, u64)], levels: u8, items: &mut Vec<Item>) -> Vec<(Target, u64)> {
    let groups = level.chunks(FAN_OUT);
    let empty: &[(Target, u64)] = &[];
    let groups = groups.chain(level.is_empty().then_some(empty));
    let mut above = Vec::new();
    for group in groups {
        let size = group.iter().map(|(_, size)| size).sum();
        let index = Index { levels, size, targets: group.iter().map(|(target, _)| *target).collect() };
        let item = Item::Immutable(index.to_value());
        above.push((item.target(), size));
        items.push(item);
    }
    above
}

impl Index {
    fn to_value(&self) -> Value {
        use crate::engine::bencode::write::{integer, length};
        let mut bytes = b"d1:b".to_vec();
        integer(&mut bytes, self.levels.into());
        bytes.extend_from_slice(b"1:n");
        integer(&mut bytes, self.size as i64);
        bytes.extend_from_slice(b"1:t");
        length(&mut bytes, self.targets.len() * Id::LEN);
        self.targets.iter().for_each(|target| bytes.extend_from_slice(target.as_bytes()));
        bytes.push(b'e');
        Value::from_bencode(&bytes).expect("an index of 48 targets fits into an item")
    }

    /// Reads an index; `None` if this is none, or one that cannot be true.
    #[must_use]
    pub fn read(value: &Value) -> Option<Self> {
        let mut decoder = Decoder::new(value.as_bencode());
        let mut dict = decoder.next_object().ok()??.try_into_dictionary().ok()?;
        let (mut levels, mut size, mut targets) = (None, None, None);
        while let Some((key, object)) = dict.next_pair().ok()? {
            match key {
                b"b" => levels = object.try_into_integer().ok()?.parse::<u8>().ok(),
                b"n" => size = object.try_into_integer().ok()?.parse::<u64>().ok(),
                b"t" => targets = Some(object.try_into_bytes().ok()?.to_vec()),
                _ => {}
            }
        }
        let targets = targets?;
        let whole = targets.len().is_multiple_of(Id::LEN);
        let targets: Vec<Target> = targets.chunks_exact(Id::LEN).filter_map(Target::from_bytes).collect();
        let index = Self { levels: levels?, size: size?, targets };
        (whole && index.is_plausible()).then_some(index)
    }

    /// How many bytes are below the target at `place`.
    #[must_use]
    pub fn size_below(&self, place: usize) -> u64 {
        let full = full_size(self.levels);
        full.min(self.size.saturating_sub(full * place as u64))
    }

    /// Whether the number of targets is what the number of bytes needs.
    fn is_plausible(&self) -> bool {
        self.levels <= MAX_LEVELS
            && self.targets.len() <= FAN_OUT
            && self.size.div_ceil(full_size(self.levels)) == self.targets.len() as u64
    }
}

/// Bytes below one target of a full index that has `levels` levels below it.
fn full_size(levels: u8) -> u64 {
    (LEAF as u64) * (FAN_OUT as u64).pow(levels.into())
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;
    use proptest::prelude::*;

    fn bytes(length: usize) -> Vec<u8> {
        (0..length).map(|index| (index * 7 + index / 251) as u8).collect()
    }

    fn read_all(store: &BTreeMap<Target, Value>, target: &Target, out: &mut Vec<u8>) {
        let index = Index::read(&store[target]).expect("an index");
        let start = out.len() as u64;
        for (place, target) in index.targets.iter().enumerate() {
            let before = out.len() as u64;
            match index.levels {
                0 => out.extend(store[target].contents().expect("a leaf")),
                _ => read_all(store, target, out),
            }
            assert_eq!(out.len() as u64 - before, index.size_below(place));
        }
        assert_eq!(out.len() as u64 - start, index.size);
    }

    #[test]
    fn files_of_all_sizes_come_back_whole() {
        for length in [0, 1, LEAF - 1, LEAF, LEAF + 1, LEAF * FAN_OUT, LEAF * FAN_OUT + 1, 1 << 20] {
            let file = bytes(length);
            let tree = Tree::cut(&file).expect("a tree");
            let store: BTreeMap<Target, Value> =
                tree.items.iter().map(|item| (item.target(), item.value().clone())).collect();
            let mut out = Vec::new();
            read_all(&store, &tree.root, &mut out);
            assert!(out == file, "{length} bytes");
            assert_eq!(tree.items.last().map(Item::target), Some(tree.root));
        }
    }

    #[test]
    fn a_mebibyte_needs_little_more_than_a_thousand_items() {
        assert_eq!(Tree::cut(&bytes(1 << 20)).map(|tree| tree.items.len()), Some(1053 + 22 + 1));
    }

    #[test]
    fn what_cannot_be_true_is_no_index() {
        let value = |text: &str| Value::from_bencode(text.as_bytes()).expect("bencode");
        for wrong in [
            "le",
            "de",
            "d1:bi0e1:ni1e1:t0:e",
            "d1:bi0e1:ni0e1:t1:xe",
            "d1:bi9e1:ni0e1:t0:e",
            "d1:bi0e1:ni99999e1:t20:aaaaaaaaaaaaaaaaaaaae",
            "d1:bi0e1:ni-1e1:t0:e",
        ] {
            assert_eq!(Index::read(&value(wrong)), None, "{wrong}");
        }
        assert!(Index::read(&value("d1:bi0e1:ni0e1:t0:e")).is_some());
    }

    proptest! {
        #[test]
        fn indices_read_back(levels in 0u8..=2, share in 0.0f64..=1.0) {
            let most = full_size(levels) * FAN_OUT as u64;
            let size = (most as f64 * share) as u64;
            let count = size.div_ceil(full_size(levels)) as usize;
            let index = Index { levels, size, targets: vec![Target::from([7; 20]); count] };
            prop_assert_eq!(Index::read(&index.to_value()), Some(index));
        }
    }
}
