//! The simulator's maps: fast, and the same on every machine.
//!
//! The keys of a simulation are not chosen by attackers, so they need no keyed hash; a map is looked into several times for each datagram.
//! Never iterate over one where the order could show in a trace.

use std::collections::HashMap;
use std::hash::{BuildHasherDefault, Hasher};

use super::random::scramble;

pub(super) type Map<K, V> = HashMap<K, V, BuildHasherDefault<Mix>>;

/// Folds words in by multiplication, and scrambles in the end.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Mix(u64);

impl Mix {
    const fn fold(&mut self, word: u64) {
        self.0 = (self.0.rotate_left(5) ^ word).wrapping_mul(0x517c_c1b7_2722_0a95);
    }
}

impl Hasher for Mix {
    fn write(&mut self, bytes: &[u8]) {
        for chunk in bytes.chunks(8) {
            let mut word = [0; 8];
            word[..chunk.len()].copy_from_slice(chunk);
            self.fold(u64::from_le_bytes(word));
        }
    }

    fn write_u16(&mut self, number: u16) {
        self.fold(number.into());
    }

    fn write_usize(&mut self, number: usize) {
        self.fold(number as u64);
    }

    fn finish(&self) -> u64 {
        scramble(self.0)
    }
}
