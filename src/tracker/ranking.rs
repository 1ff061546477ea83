//! Which trackers of fetched lists are asked: lists name hundreds, of which most answer seldom or never.
//!
//! Pure. The trackers that answered best are asked, and with each announce some that were asked least, so that one that
//! comes back is noticed. Bounded, whatever the lists say.

use std::collections::BTreeMap;

use super::upstream::Upstream;
use crate::engine::contact::is_local;
use crate::torrent::list;

/// Trackers that are kept, of all lists together.
pub const MOST_LISTED: usize = 500;
/// Trackers that are asked because they answered best.
const BEST: usize = 6;
/// Trackers that are asked because they were asked least.
const LEAST_ASKED: usize = 2;
/// Questions after which counts are halved, so that what a tracker did long ago counts for less.
const HALVED_AFTER: u32 = 64;

/// A tracker that a list names.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Listed {
    /// Where it is asked.
    pub url: Upstream,
    /// Whether it may be in a local network, by its address or by what its name leads to: no list of the Internet says
    /// what is asked there.
    pub may_be_local: bool,
}

/// The trackers of a list: one URL a line, as in the `trackers.txt` that people pass on. Lines that name no tracker that
/// can be asked are left out, and so is whatever names an address of a local network, unless the list itself is in one.
#[must_use]
pub fn parse_list(text: &[u8], list_is_local: bool) -> Vec<Listed> {
    let text = list::to_utf8(text);
    let text = String::from_utf8_lossy(&text);
    let words = text.lines().filter_map(|line| line.split_whitespace().next());
    let trackers = words.filter_map(|word| word.trim_start_matches('\u{feff}').parse::<Upstream>().ok());
    let trackers = trackers.filter(|tracker| list_is_local || !is_at_local_address(tracker));
    trackers.map(|url| Listed { url, may_be_local: list_is_local }).take(MOST_LISTED).collect()
}

/// Whether the URL names an address that means something only in a local network.
fn is_at_local_address(tracker: &Upstream) -> bool {
    tracker.host() == "localhost" || tracker.host().parse().is_ok_and(is_local)
}

/// What is known of one tracker.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
struct Record {
    /// The lists that name it, a bit for each.
    lists: u32,
    /// Those of them that may name trackers of a local network.
    local_lists: u32,
    asked: u32,
    answered: u32,
    peers: u32,
}

impl Record {
    /// The share of questions that were answered, as far as known, and the peers of an answer.
    fn worth(&self) -> (u32, u32) {
        let share = (self.answered + 1) * 1000 / (self.asked + 2);
        (share, self.peers / self.answered.max(1))
    }
}

/// The trackers of all lists, with what they answered.
#[derive(Clone, Debug, Default)]
pub struct Ranking {
    /// By their URLs.
    records: BTreeMap<String, (Upstream, Record)>,
}

impl Ranking {
    /// The trackers that a list names now. Those that no list names any more are forgotten.
    pub fn replace(&mut self, list: usize, trackers: Vec<Listed>) {
        let bit = 1 << list.min(31);
        for (_, record) in self.records.values_mut() {
            record.lists &= !bit;
            record.local_lists &= !bit;
        }
        for Listed { url, may_be_local } in trackers {
            let text = url.to_string();
            if self.records.len() < MOST_LISTED || self.records.contains_key(&text) {
                let (_, record) = self.records.entry(text).or_insert_with(|| (url, Record::default()));
                record.lists |= bit;
                record.local_lists |= if may_be_local { bit } else { 0 };
            }
        }
        self.records.retain(|_, (_, record)| record.lists != 0);
    }

    /// Trackers that are known.
    #[must_use]
    pub fn len(&self) -> usize {
        self.records.len()
    }

    /// Whether none is known.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.records.is_empty()
    }

    /// Those that are to be asked now, the best first.
    #[must_use]
    pub fn choose(&self) -> Vec<Listed> {
        let mut all: Vec<&(Upstream, Record)> = self.records.values().collect();
        all.sort_by_key(|(_, record)| std::cmp::Reverse(record.worth()));
        let rest = all.split_off(BEST.min(all.len()));
        let mut least: Vec<_> = rest.into_iter().collect();
        least.sort_by_key(|(_, record)| record.asked);
        let chosen = all.into_iter().chain(least.into_iter().take(LEAST_ASKED));
        let listed =
            |(url, record): &(Upstream, Record)| Listed { url: url.clone(), may_be_local: record.local_lists != 0 };
        chosen.map(listed).collect()
    }

    /// What came of asking a tracker: the number of its peers, or nothing where it is silent or refuses.
    pub fn note(&mut self, tracker: &Upstream, peers: Option<usize>) {
        let Some((_, record)) = self.records.get_mut(&tracker.to_string()) else { return };
        if record.asked >= HALVED_AFTER {
            *record = Record {
                lists: record.lists,
                local_lists: record.local_lists,
                asked: record.asked / 2,
                answered: record.answered / 2,
                peers: record.peers / 2,
            };
        }
        record.asked += 1;
        record.answered += u32::from(peers.is_some());
        record.peers = record.peers.saturating_add(peers.map_or(0, |peers| peers.min(1000) as u32));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn tracker(number: usize) -> Upstream {
        format!("udp://t{number}.example:1337/announce").parse().unwrap()
    }

    fn listed(number: usize) -> Listed {
        Listed { url: tracker(number), may_be_local: false }
    }

    fn is(listed: &Listed, number: usize) -> bool {
        listed.url == tracker(number)
    }

    #[test]
    fn a_list_is_read_as_people_write_it() {
        let text = "\u{feff}udp://a.example:1337/announce\r\n\r\nhttps://b.example/announce\n# a comment\nwss://c.example:443\n\
                    http://192.168.1.1/announce\nhttp://localhost:80/announce\nudp://[fe80::1]:1/announce\n  \
                    http://d.example:80/announce  and more\nrubbish\n";
        let names =
            |trackers: Vec<Listed>| trackers.iter().map(|listed| listed.url.host().to_owned()).collect::<Vec<_>>();
        assert_eq!(names(parse_list(text.as_bytes(), false)), ["a.example", "b.example", "d.example"]);
        let of_local_list = parse_list(text.as_bytes(), true);
        assert!(of_local_list.len() == 6 && of_local_list.iter().all(|listed| listed.may_be_local));
        assert!(parse_list(text.as_bytes(), false).iter().all(|listed| !listed.may_be_local));
        assert_eq!(parse_list(b"<html><body>not found</body></html>", true), []);
        let long = "udp://a.example:1/announce\n".repeat(2 * MOST_LISTED);
        assert_eq!(parse_list(long.as_bytes(), false).len(), MOST_LISTED);
    }

    #[test]
    fn those_that_answer_are_asked_and_the_others_now_and_then() {
        let mut ranking = Ranking::default();
        ranking.replace(0, (0..100).map(listed).collect());
        let mut others = std::collections::BTreeSet::new();
        for _ in 0..300 {
            for chosen in ranking.choose() {
                let answers = (0..6).any(|number| is(&chosen, 10 * number));
                if !answers {
                    others.insert(chosen.url.to_string());
                }
                ranking.note(&chosen.url, answers.then_some(50));
            }
        }
        let chosen = ranking.choose();
        assert_eq!(chosen.len(), BEST + LEAST_ASKED);
        assert!(chosen[..BEST].iter().all(|tracker| (0..6).any(|number| is(tracker, 10 * number))), "{chosen:?}");
        assert_eq!(others.len(), 94, "each of the others was asked");
    }

    #[test]
    fn a_tracker_that_falls_silent_is_replaced_by_one_that_answers() {
        let mut ranking = Ranking::default();
        ranking.replace(0, (0..20).map(listed).collect());
        let answers = |silent: usize, chosen: &Listed| (0..12).any(|number| number != silent && is(chosen, number));
        for silent in [usize::MAX, 0] {
            for _ in 0..200 {
                for chosen in ranking.choose() {
                    ranking.note(&chosen.url, answers(silent, &chosen).then_some(1));
                }
            }
        }
        assert!(!ranking.choose()[..BEST].iter().any(|chosen| is(chosen, 0)));
    }

    #[test]
    fn lists_replace_what_they_named_before_and_their_length_is_bounded() {
        let mut ranking = Ranking::default();
        ranking.replace(0, (0..3).map(listed).collect());
        ranking.replace(1, (2..5).map(listed).collect());
        ranking.note(&tracker(2), Some(9));
        assert_eq!(ranking.len(), 5);
        ranking.replace(0, Vec::new());
        assert_eq!(ranking.len(), 3);
        assert!(is(&ranking.choose()[0], 2), "what is known of it stays");
        for list in 0..8 {
            ranking.replace(list, (list * 1000..list * 1000 + 600).map(listed).collect());
        }
        assert_eq!(ranking.len(), MOST_LISTED);
        ranking.note(&tracker(99_999), None);
    }

    #[test]
    fn a_tracker_may_be_in_a_local_network_as_long_as_a_list_from_there_names_it() {
        let mut ranking = Ranking::default();
        let may_be_local = |ranking: &Ranking| ranking.choose()[0].may_be_local;
        ranking.replace(0, vec![listed(1)]);
        assert!(!may_be_local(&ranking));
        ranking.replace(1, vec![Listed { may_be_local: true, ..listed(1) }]);
        ranking.replace(0, vec![listed(1)]);
        assert!(may_be_local(&ranking));
        ranking.replace(1, Vec::new());
        assert!(!may_be_local(&ranking));
    }

    proptest! {
        #[test]
        fn any_bytes_are_read_without_panic(bytes in prop::collection::vec(any::<u8>(), 0..300)) {
            prop_assert!(parse_list(&bytes, false).len() <= MOST_LISTED);
        }
    }
}
