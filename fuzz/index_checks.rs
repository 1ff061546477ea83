//! What must hold for the readers of the index, whatever text or bytes they get.

use trackerless::index::entry::{MOST_FILES, pack, unpack};
use trackerless::index::filter::Filter;
use trackerless::index::query::{MOST_TERMS, Query};
use trackerless::index::survey::Survey;
use trackerless::index::torznab::{self, MOST_RESULTS, Request};
use trackerless::index::words::{MOST_WORDS, query_words, words};
use trackerless::torrent::{Info, files};

/// The first byte chooses the reader; the rest is its input.
pub fn index(bytes: &[u8]) {
    let Some((choice, input)) = bytes.split_first() else { return };
    let text = String::from_utf8_lossy(input);
    match choice % 6 {
        0 => query(&text),
        1 => request(&text),
        2 => name(&text),
        3 => dictionary(input),
        4 => lists(input, &text),
        _ => drop(Survey::restore(input, 1_800_000_000, input.len() % 2 == 0)),
    }
}

fn query(text: &str) {
    match Query::parse(text) {
        Ok(query) => assert!(query.terms.len() + query.bounds.len() + query.infohashes.len() <= MOST_TERMS),
        Err(error) => assert!(error.at <= text.chars().count() + 1),
    }
}

fn request(text: &str) {
    match Request::parse(text) {
        Ok(Request::Search(search)) => assert!(search.limit <= MOST_RESULTS),
        Ok(Request::Caps) => {}
        Err(error) => assert!(torznab::error(&error).contains(&error.code.to_string())),
    }
}

/// What a query reads in a name must find that name.
fn name(text: &str) {
    let indexed = words(text);
    assert!(indexed.len() <= MOST_WORDS);
    if indexed.len() < MOST_WORDS {
        assert!(query_words(text).iter().all(|word| indexed.contains(word)));
    }
    let _ = torznab::category(text);
}

fn dictionary(input: &[u8]) {
    let Ok(listed) = files(input, MOST_FILES) else { return assert!(Info::read(input).is_err()) };
    assert!(listed.len() <= MOST_FILES);
    let packed = unpack(&pack(&listed));
    assert_eq!(packed, listed[..packed.len()]);
}

fn lists(input: &[u8], text: &str) {
    let _ = unpack(input);
    let mut filter = Filter::default();
    if filter.add_words(text).is_ok() {
        text.lines().filter(|line| !line.trim().is_empty() && !line.trim().starts_with('#')).take(3).for_each(|line| {
            assert!(filter.refuses_name(line), "{line:?}");
        });
    }
    let _ = filter.add_digests(text);
}
