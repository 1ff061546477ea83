//! What all stores make of a torrent and of a query: the words under which it is found, its tier, what only a row can
//! tell, and the order of what is found.

use std::cmp::Reverse;
use std::collections::BTreeSet;

use crate::index::entry::{Entry, Swarm, UnixSeconds};
use crate::index::query::{Bound, Number, Query, Sort, What};
use crate::index::words::{has_phrase, words};
use crate::torrent::TorrentFile;

/// Kinds of files of a torrent that are searchable.
const MOST_KINDS: usize = 8;
/// Words of file names of a torrent that are searchable.
const MOST_FILE_WORDS: usize = 64;
/// What stands before the kind of a file among the words of a torrent: no name has this character.
pub(super) const KIND: char = '\u{e000}';
/// What stands before a word of a file name.
pub(super) const FILE_WORD: char = '\u{e001}';
/// Tiers of seeds: at least 100, at least 10, at least one, none or unknown.
pub(super) const TIERS: usize = 4;

/// The words under which a torrent is found.
pub(super) fn document(name: &str, files: &[TorrentFile], with_file_words: bool) -> Vec<String> {
    let mut all = words(name);
    all.extend(kinds(files).into_iter().map(|kind| format!("{KIND}{kind}")));
    if with_file_words {
        all.extend(file_words(files).into_iter().map(|word| format!("{FILE_WORD}{word}")));
    }
    all
}

/// The tier of a torrent, by its seeds.
pub(super) fn tier(swarm: Option<Swarm>) -> usize {
    match swarm.map_or(0, |swarm| swarm.seeds) {
        0 => TIERS - 1,
        1..10 => 2,
        10..100 => 1,
        _ => 0,
    }
}

/// Whether a torrent of this tier can have as many seeds as the bounds of a query want.
pub(super) fn may_have(query: &Query, tier: usize) -> bool {
    let (least, most) = [(100, u64::MAX), (10, 99), (1, 9), (0, 0)][tier];
    query.bounds.iter().all(|bound| bound.number != Number::Seeds || bound.least <= most && least <= bound.most)
}

/// Whether a torrent has the phrases of a query, which a table of words does not know; and, where no word must be there, has
/// not what it must not have.
pub(super) fn fits(query: &Query, name: &str) -> bool {
    let indexed = query.terms.iter().any(|term| !term.not);
    query.terms.iter().all(|term| match &term.what {
        What::Phrase(phrase) => has_phrase(name, phrase) != term.not,
        _ if !term.not || indexed => true,
        What::Word(word) => !words(name).contains(word),
        What::Prefix(beginning) => !words(name).iter().any(|word| word.starts_with(beginning)),
        What::Files(_) => true,
    })
}

/// The least and the largest value of a column that fit a bound; an age is a time the other way round.
pub(super) fn span(bound: &Bound, now: UnixSeconds) -> (u64, u64) {
    match bound.number {
        Number::SeenAgo | Number::FoundAgo => (now.saturating_sub(bound.most), now.saturating_sub(bound.least)),
        _ => (bound.least, bound.most),
    }
}

/// Brings what was found into its order.
pub(super) fn order(sort: Sort, entries: &mut [Entry]) {
    let seeds = |entry: &Entry| entry.swarm.map_or(-1, |swarm| i64::from(swarm.seeds));
    match sort {
        Sort::Seeds => entries.sort_by_key(|entry| Reverse((seeds(entry), entry.seen))),
        Sort::Size => entries.sort_by_key(|entry| Reverse(entry.size_bytes)),
        Sort::Seen => entries.sort_by_key(|entry| Reverse(entry.seen)),
        Sort::Found => entries.sort_by_key(|entry| Reverse(entry.found)),
        Sort::Name => entries.sort_by_key(|entry| entry.name.to_lowercase()),
    }
}

/// Kinds of files: what stands behind the last dot, of the largest files first.
fn kinds(files: &[TorrentFile]) -> BTreeSet<String> {
    let mut by_size: Vec<&TorrentFile> = files.iter().collect();
    by_size.sort_by_key(|file| std::cmp::Reverse(file.size_bytes));
    let mut found = BTreeSet::new();
    for kind in by_size.into_iter().filter_map(|file| kind(&file.path)) {
        if found.len() == MOST_KINDS {
            break;
        }
        found.insert(kind);
    }
    found
}

fn kind(path: &str) -> Option<String> {
    let (_, kind) = path.rsplit_once('.')?;
    (1..=5)
        .contains(&kind.len())
        .then_some(kind)
        .filter(|kind| kind.chars().all(|c| c.is_ascii_alphanumeric()))
        .map(str::to_lowercase)
}

fn file_words(files: &[TorrentFile]) -> BTreeSet<String> {
    let mut found = BTreeSet::new();
    for word in files.iter().flat_map(|file| words(&file.path)) {
        if found.len() == MOST_FILE_WORDS {
            break;
        }
        found.insert(word);
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_tier_is_passed_over_only_where_none_of_its_torrents_fits() {
        for seeds in 0..300 {
            for (least, most) in [(0, 0), (0, 9), (1, 10), (5, u64::MAX), (99, 99), (100, 120)] {
                let bounds = vec![Bound { number: Number::Seeds, least, most }];
                let query = Query { bounds, ..Query::default() };
                let fits = (least..=most).contains(&u64::from(seeds));
                assert!(
                    !fits || may_have(&query, tier(Some(Swarm { seeds, peers: 0, at: 0 }))),
                    "{seeds} {least} {most}"
                );
            }
        }
        let query = Query::parse("seeds>=10").unwrap();
        assert_eq!([0, 1, 2, 3].map(|tier| may_have(&query, tier)), [true, true, false, false]);
    }
}
