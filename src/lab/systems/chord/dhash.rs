//! DHash: blocks on a Chord ring.
//!
//! Rules (Dabek, Kaashoek, Karger, Morris, Stoica: Wide-area cooperative storage with CFS, SOSP 2001):
//! - a block is named by the SHA-1 of its content, and its name is its key (section 3; root blocks, named by a public key
//!   that signs them, are left out);
//! - it is stored on the key's successor and copied to the nodes after it (5.1; `copies` counts the successor too);
//! - a reader walks as Chord does, and every node on the way is asked for the block too: one that has a copy ends the walk;
//!   after a successful read, the reader leaves a copy with each node that it asked on the way (5.2);
//! - a node caches a fixed number of blocks, and the one that was used longest ago makes room (5.2);
//! - a reader hashes a block that it gets: bytes that have another name are refused, and the walk goes on as if that node had none.
//!
//! Here on a ring that has settled and in which no node dies: what happens then is the failure experiment's question, in
//! which no key was read before and a cache would hold nothing. Also left out: prefetching, virtual servers (5.3), quotas
//! (5.4), and blocks that expire (5.5).

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use sha1::{Digest, Sha1};

use super::Chord;
use crate::engine::id::Id;
use crate::lab::overlay::Overlay;
use crate::lab::systems::ring::{clockwise, point};

/// The name of a block.
#[must_use]
pub fn name_of(content: &[u8]) -> Id {
    Id(Sha1::digest(content).into())
}

/// The blocks of a ring.
#[derive(Debug)]
pub struct Dhash<'a> {
    chord: &'a Chord,
    copies: usize,
    cache_size: usize,
    shelves: Vec<Shelf>,
    forgers: BTreeSet<usize>,
}

/// What one node has.
#[derive(Clone, Debug, Default)]
struct Shelf {
    stored: BTreeMap<Id, Vec<u8>>,
    /// Used longest ago first.
    cached: VecDeque<(Id, Vec<u8>)>,
}

impl Shelf {
    fn take_down(&mut self, name: Id) -> Option<Vec<u8>> {
        if let Some(content) = self.stored.get(&name) {
            return Some(content.clone());
        }
        let used = self.cached.iter().position(|(other, _)| *other == name)?;
        let block = self.cached.remove(used)?;
        self.cached.push_back(block.clone());
        Some(block.1)
    }

    /// Copies come from readers, who may lie: only what has its name is kept.
    fn cache(&mut self, name: Id, content: &[u8], limit: usize) {
        if limit == 0 || name_of(content) != name || self.take_down(name).is_some() {
            return;
        }
        if self.cached.len() >= limit {
            self.cached.pop_front();
        }
        self.cached.push_back((name, content.to_vec()));
    }
}

/// How a read went.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Read {
    /// The block, if it was found.
    pub content: Option<Vec<u8>>,
    /// The nodes that were asked, in order; the last one had it.
    pub asked: Vec<usize>,
    /// How many of them gave something else under its name.
    pub refused: usize,
}

impl<'a> Dhash<'a> {
    /// An empty store that keeps `copies` of each block and caches at most `cache_size` blocks on each node.
    #[must_use]
    pub fn new(chord: &'a Chord, copies: usize, cache_size: usize) -> Self {
        let shelves = vec![Shelf::default(); chord.ring.len()];
        Self { chord, copies, cache_size, shelves, forgers: BTreeSet::new() }
    }

    /// Stores a block and returns its name.
    pub fn put(&mut self, content: &[u8]) -> Id {
        let name = name_of(content);
        for holder in self.chord.holders(name, self.copies) {
            self.shelves[holder].stored.insert(name, content.to_vec());
        }
        name
    }

    /// From now on `node` answers every request with bytes of its own.
    pub fn forge(&mut self, node: usize) {
        self.forgers.insert(node);
    }

    /// `reader` looks for a block.
    pub fn read(&mut self, reader: usize, name: Id) -> Read {
        let mut read = Read { content: self.shelves[reader].take_down(name), ..Read::default() };
        let mut at = reader;
        while let Some(&next) = self.chord.preceding(at, point(name)).first().filter(|_| read.content.is_none()) {
            self.ask(next, name, &mut read);
            at = next;
        }
        for holder in self.successors_of(point(name), at) {
            if read.content.is_none() && !read.asked.contains(&holder) {
                self.ask(holder, name, &mut read);
            }
        }
        self.leave_copies(name, &read);
        read
    }

    fn ask(&mut self, node: usize, name: Id, read: &mut Read) {
        read.asked.push(node);
        let forged = self.forgers.contains(&node).then(|| b"forged".to_vec());
        let Some(content) = forged.or_else(|| self.shelves[node].take_down(name)) else { return };
        if name_of(&content) == name {
            read.content = Some(content);
        } else {
            read.refused += 1;
        }
    }

    /// The nodes that hold a key, as the last node before it knows them.
    fn successors_of(&self, key: u64, at: usize) -> Vec<usize> {
        let after =
            |&&node: &&usize| clockwise(key, self.chord.ring.point(node)) < clockwise(key, self.chord.ring.point(at));
        self.chord.successors[at].iter().filter(after).take(self.copies).copied().collect()
    }

    fn leave_copies(&mut self, name: Id, read: &Read) {
        let (Some(content), Some((_, way))) = (&read.content, read.asked.split_last()) else { return };
        way.iter().for_each(|&node| self.shelves[node].cache(name, content, self.cache_size));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sim::random::Dice;

    const NODES: usize = 400;
    const COPIES: usize = 6;

    fn ring() -> Chord {
        let mut dice = Dice::new(1);
        let ids: Vec<Id> = (0..NODES).map(|_| dice.id()).collect();
        Chord::settle(&ids, 1)
    }

    /// Everyone reads one block once: how many nodes each reader asked, and how many requests the busiest node got.
    fn everyone_reads(chord: &Chord, cache_size: usize) -> (f64, usize) {
        let mut dhash = Dhash::new(chord, COPIES, cache_size);
        let name = dhash.put(b"what everyone wants");
        let mut requests = vec![0; NODES];
        for reader in 0..NODES {
            let read = dhash.read(reader, name);
            assert_eq!(read.content.as_deref(), Some(&b"what everyone wants"[..]));
            read.asked.iter().for_each(|&node| requests[node] += 1);
        }
        let all: usize = requests.iter().sum();
        (all as f64 / NODES as f64, requests.into_iter().max().unwrap_or(0))
    }

    #[test]
    fn a_hot_block_is_found_earlier_and_its_holder_is_spared() {
        let chord = ring();
        let ((far, crowd), (near, few)) = (everyone_reads(&chord, 0), everyone_reads(&chord, 8));
        println!("without caches {far:.2} asked, busiest {crowd}; with caches {near:.2} asked, busiest {few}");
        assert!(near < 0.75 * far, "{near} beside {far}");
        assert!(few * 2 < crowd, "{few} beside {crowd}");
    }

    #[test]
    fn what_is_not_the_block_is_refused_and_never_cached() {
        let chord = ring();
        let mut dhash = Dhash::new(&chord, COPIES, 8);
        let name = dhash.put(b"the truth");
        let holders = chord.holders(name, COPIES);
        // All holders but the last lie; so do the nodes before them.
        holders[..COPIES - 1].iter().for_each(|&holder| dhash.forge(holder));
        let reader = (0..NODES).find(|node| !holders.contains(node)).unwrap();
        let read = dhash.read(reader, name);
        assert_eq!(read.content.as_deref(), Some(&b"the truth"[..]));
        assert_eq!(read.refused, COPIES - 1);
        // When the last one lies too, there is no answer rather than a false one.
        let mut dhash = Dhash::new(&chord, COPIES, 8);
        let name = dhash.put(b"the truth");
        holders.iter().for_each(|&holder| dhash.forge(holder));
        let read = dhash.read(reader, name);
        assert_eq!((read.content, read.refused), (None, COPIES));
        assert!(dhash.shelves.iter().all(|shelf| shelf.cached.is_empty()));
    }

    #[test]
    fn a_cache_keeps_what_is_used() {
        let mut shelf = Shelf::default();
        let [a, b, c]: [&[u8]; 3] = [b"a", b"b", b"c"];
        shelf.cache(name_of(a), a, 2);
        shelf.cache(name_of(b), b, 2);
        assert!(shelf.take_down(name_of(a)).is_some());
        shelf.cache(name_of(c), c, 2);
        shelf.cache(name_of(b"d"), b"e", 2);
        let kept: Vec<&[u8]> = shelf.cached.iter().map(|(_, content)| &content[..]).collect();
        assert_eq!(kept, [a, c]);
    }
}
