//! The schedule by itself: cases, and a naive twin that looks at every entry each time.

use std::net::SocketAddr;

use proptest::prelude::*;

use super::*;
use crate::announcer::source::ListedState;
use crate::engine::contact::Contact;
use crate::engine::id::NodeId;

const MINUTE: Duration = Duration::from_mins(1);
/// Some time after the start of the clock, as wall time is.
const START: Instant = Instant::from_secs(1_000_000);

fn terms(per_second: u32) -> Terms {
    Terms { seed: [7; 32], new_destinations_per_second: per_second, port: Some(6881), max: 1_000 }
}

fn hash(number: u32) -> InfoHash {
    let mut bytes = [0; 20];
    bytes[..4].copy_from_slice(&number.to_be_bytes());
    bytes[16..].copy_from_slice(&number.wrapping_mul(0x9e37_79b9).to_be_bytes());
    InfoHash::new(bytes)
}

fn listed(number: u32, state: ListedState) -> Listed {
    Listed { infohash: hash(number), name: None, port: None, complete: true, state }
}

fn listing(source: &str, torrents: impl IntoIterator<Item = Listed>) -> Listing {
    let torrents = Some(torrents.into_iter().collect());
    Listing { source: source.into(), torrents, ipv4_only: false, left_out: Vec::new(), trouble: None }
}

fn active(numbers: impl IntoIterator<Item = u32>) -> Vec<Listed> {
    numbers.into_iter().map(|number| listed(number, ListedState::Active)).collect()
}

fn contact(number: u8) -> Contact {
    Contact { id: NodeId::new([number; 20]), addr: SocketAddr::from(([10, 0, number, 1], 6881)) }
}

/// An announce that eight nodes of libtorrent stored.
fn stored(order: &AnnounceOrder) -> Announced {
    stored_by(order.info_hash, *b"LT\x02\x03")
}

fn stored_by(info_hash: InfoHash, version: [u8; 4]) -> Announced {
    let stored = (0..8).map(|number| (contact(number), version)).collect();
    Announced { info_hash, stored, asked: 16, answered: 16, swarm: Some((1, 0)) }
}

fn seen(order: LookOrder) -> Look {
    let seen_as = Some(SocketAddr::from(([198, 51, 100, 1], order.port)));
    Look { info_hash: order.info_hash, seen_as, asked: 4, answered: 4 }
}

/// Everything that is to be done until `until`, done at once and well; what was announced, when.
fn run(schedule: &mut Schedule, now: &mut Instant, until: Instant) -> Vec<(Instant, InfoHash)> {
    let mut done = Vec::new();
    loop {
        match schedule.next(*now) {
            Next::Announce(order) => {
                done.push((*now, order.info_hash));
                schedule.announced(*now, &stored(&order));
            }
            Next::Look(order) => schedule.looked(*now, &seen(order)),
            Next::Wait(at) => {
                *now = at.unwrap_or(until).min(until);
                if *now == until {
                    return done;
                }
            }
        }
    }
}

fn states(schedule: &Schedule, now: Instant) -> Vec<(State, usize)> {
    schedule.totals(now).states.into_iter().collect()
}

#[test]
fn what_is_listed_is_announced_once_in_its_period_and_seen_within_the_hour() {
    let (mut schedule, mut now) = (Schedule::new(terms(1_000)), START);
    schedule.list(now, listing("folder", active(0..100)));
    let first = run(&mut schedule, &mut now, START + MINUTE * 5);
    assert_eq!(first.len(), 100);
    assert_eq!(states(&schedule, now), [(State::Visible, 100)]);
    let hours = 10;
    let later = run(&mut schedule, &mut now, START + Duration::from_hours(hours));
    let per_hour = later.len() as f64 / 100.0 / (hours as f64 - 1.0 / 12.0);
    assert!((1.4..1.6).contains(&per_hour), "{per_hour} announces an hour, of copies that live 45 minutes");
    assert_eq!(schedule.totals(now).seen_within_hour, 100);
    let counters = schedule.totals(now).counters;
    assert!((1.0..1.4).contains(&(counters.looks as f64 / 100.0 / hours as f64)), "{counters:?}");
    // They were announced together once, and spread out since.
    let minutes: BTreeSet<u64> = later[later.len() - 150..].iter().map(|(at, _)| at.as_secs() / 60).collect();
    assert!(minutes.len() > 18, "{} minutes", minutes.len());
}

#[test]
fn the_period_follows_the_client_of_each_holder() {
    for (version, minutes) in [(*b"UT\0\0", 30.0), (*b"JC\0\0", 32.0), (*b"LT\0\0", 45.0), (*b"ml\0\0", 60.0)] {
        let (mut schedule, now) = (Schedule::new(terms(1_000)), START);
        schedule.list(now, listing("folder", active([1])));
        assert!(matches!(schedule.next(now), Next::Announce(_)));
        schedule.announced(now, &stored_by(hash(1), version));
        let next = schedule.announcement(now, &hash(1)).unwrap().next.unwrap();
        let share = next.since(now).as_secs_f64() / 60.0 / minutes;
        assert!((0.84..0.94).contains(&share), "{version:?}: {share}");
    }
}

#[test]
fn copies_that_are_young_are_left_alone() {
    let (mut schedule, mut now) = (Schedule::new(terms(1_000)), START);
    schedule.list(now, listing("folder", active([1])));
    assert!(matches!(schedule.next(now), Next::Announce(_)));
    let mut outcome = stored_by(hash(1), *b"ml\0\0");
    outcome.stored[3].1 = *b"UT\0\0";
    schedule.announced(now, &outcome);
    now = schedule.announcement(now, &hash(1)).unwrap().next.unwrap();
    let Next::Announce(order) = schedule.next(now) else { panic!("an announce is due") };
    let asked: Vec<Contact> = order.holders.iter().filter(|h| !h.is_held).map(|h| h.contact).collect();
    assert_eq!((asked, order.holders.len()), (vec![contact(3)], 8));
    let stored = vec![(contact(3), *b"UT\0\0")];
    schedule.announced(now, &Announced { stored, asked: 2, answered: 2, ..outcome });
    assert_eq!(schedule.announcement(now, &hash(1)).unwrap().stored_at, 8);
}

#[test]
fn seeds_of_small_swarms_go_first_and_each_once_before_any_twice() {
    let (mut schedule, mut now) = (Schedule::new(terms(30)), START);
    let swarm = |number: u32| Some((number, 0));
    let record = |number: u32| Record {
        info_hash: hash(number),
        name: None,
        listed: vec![crate::announcer::entry::ListedBy {
            source: "list".into(),
            port: None,
            complete: number.is_multiple_of(2),
            ipv4_only: false,
            state: ListedState::Active,
        }],
        copies: Copies::default(),
        evidence: crate::announcer::entry::Evidence { swarm: swarm(number), ..Default::default() },
        announced_port: 6881,
    };
    schedule.restore(now, (0..200).map(record), |_| true);
    // The budget is far too small for 200 of them in 45 minutes: the first are due again before the last had their turn.
    let done = run(&mut schedule, &mut now, START + Duration::from_hours(2));
    let order: Vec<InfoHash> = done.iter().map(|(_, info_hash)| *info_hash).take(200).collect();
    let expected: Vec<InfoHash> = (0..200).step_by(2).chain((1..200).step_by(2)).map(hash).collect();
    assert_eq!(order, expected);
}

#[test]
fn what_is_paused_private_or_gone_is_not_announced() {
    let (mut schedule, mut now) = (Schedule::new(terms(1_000)), START);
    let torrents = [ListedState::Paused, ListedState::Private, ListedState::PrivacyUnknown, ListedState::Active];
    let all = || torrents.iter().zip(0..).map(|(state, number)| listed(number, *state));
    schedule.list(now, listing("client", all()));
    assert_eq!(run(&mut schedule, &mut now, START + MINUTE).len(), 1);
    let states = states(&schedule, now);
    for state in [State::Paused, State::Private, State::PrivacyUnknown] {
        assert!(states.contains(&(state, 1)), "{states:?}");
    }
    // Another source says that the paused one is active; what one calls private stays private.
    schedule.list(now, listing("folder", active(0..3)));
    assert_eq!(run(&mut schedule, &mut now, START + MINUTE * 2).len(), 2);
    schedule.list(now, listing("client", []));
    schedule.list(now, listing("folder", []));
    assert_eq!((schedule.len(), schedule.next(now)), (0, Next::Wait(None)));
    let gone = schedule.take_changed(100);
    assert_eq!(gone.iter().filter(|(_, record)| record.is_none()).count(), 4);
}

#[test]
fn a_source_that_cannot_be_asked_keeps_what_it_said() {
    let (mut schedule, mut now) = (Schedule::new(terms(1_000)), START);
    schedule.list(now, listing("client", active(0..3)));
    schedule.list(now, Listing { torrents: None, trouble: Some("off".to_owned()), ..listing("client", []) });
    let status = &schedule.sources()["client"];
    assert_eq!((status.torrents, status.trouble.as_deref()), (3, Some("off")));
    schedule.list(now, Listing { ipv4_only: true, ..listing("client", [listed(0, ListedState::Elsewhere)]) });
    assert_eq!(states(&schedule, now), [(State::Elsewhere, 1)]);
    schedule.list(now, Listing { ipv4_only: true, ..listing("client", active(0..1)) });
    let Next::Announce(order) = schedule.next(now) else { panic!("nothing to announce") };
    assert!(order.ipv4_only);
    schedule.announced(now, &stored(&order));
    schedule.forget_source(now, "client");
    assert!(run(&mut schedule, &mut now, START + MINUTE).is_empty() && schedule.is_empty());
}

#[test]
fn another_port_is_announced_at_once() {
    let (mut schedule, mut now) = (Schedule::new(terms(1_000)), START);
    schedule.list(now, listing("folder", active(0..3)));
    run(&mut schedule, &mut now, START + MINUTE);
    let with_port = |port| Listed { port: Some(port), ..listed(1, ListedState::Active) };
    schedule.list(now, listing("client", [with_port(5)]));
    let Next::Announce(order) = schedule.next(now) else { panic!("the port is new") };
    assert_eq!((order.port, order.holders.len()), (5, 8));
    // Changed once more while it is under way.
    schedule.list(now, listing("client", [with_port(7)]));
    schedule.announced(now, &stored(&order));
    let Next::Announce(order) = schedule.next(now) else { panic!("the port is new") };
    assert_eq!(order.port, 7);
    schedule.announced(now, &stored(&order));
    schedule.set_port(now, Some(9));
    assert_eq!(run(&mut schedule, &mut now, START + MINUTE * 2).len(), 2);
    assert_eq!(states(&schedule, now), [(State::Visible, 3)], "they were looked for at once");
    schedule.set_port(now, None);
    assert!(states(&schedule, now).contains(&(State::NoPort, 2)));
}

#[test]
fn what_is_not_seen_is_announced_afresh() {
    let (mut schedule, mut now) = (Schedule::new(terms(1_000)), START);
    schedule.list(now, listing("folder", active([1])));
    run(&mut schedule, &mut now, START + MINUTE * 10);
    assert_eq!(states(&schedule, now), [(State::Visible, 1)]);
    let look = loop {
        match schedule.next(now) {
            Next::Look(look) => break look,
            Next::Announce(order) => schedule.announced(now, &stored(&order)),
            Next::Wait(at) => now = at.unwrap(),
        }
    };
    now += AFRESH_AFTER;
    schedule.looked(now, &Look { seen_as: None, ..seen(look) });
    assert_eq!(states(&schedule, now), [(State::NotVisible, 1)]);
    let Next::Announce(order) = schedule.next(now) else { panic!("nothing to announce") };
    assert!(order.holders.is_empty(), "not from its holders");
    schedule.announced(now, &stored(&order));
    run(&mut schedule, &mut now, START + Duration::from_hours(2));
    assert_eq!(states(&schedule, now), [(State::Visible, 1)]);
}

#[test]
fn what_no_node_stores_is_tried_again_ever_less_often() {
    let (mut schedule, mut now, mut tries) = (Schedule::new(terms(1_000)), START, Vec::new());
    schedule.list(now, listing("folder", active([1])));
    while now < START + Duration::from_hours(3) {
        match schedule.next(now) {
            Next::Announce(order) => {
                tries.push(now.since(START).as_secs() / 60);
                let nothing = Announced { info_hash: order.info_hash, asked: 30, answered: 20, ..Announced::default() };
                schedule.announced(now, &nothing);
                assert_eq!(states(&schedule, now), [(State::Failing, 1)]);
            }
            Next::Look(_) => panic!("there is nothing to look for"),
            Next::Wait(at) => now = at.expect("it is tried again"),
        }
    }
    assert_eq!(tries, [0, 1, 3, 7, 15, 31, 61, 91, 121, 151]);
}

#[test]
fn while_no_node_answers_one_attempt_is_under_way() {
    let (mut schedule, mut now, mut tries) = (Schedule::new(terms(1_000)), START, 0);
    schedule.list(now, listing("folder", active(0..500)));
    let mut under_way = Vec::new();
    while let Next::Announce(order) = schedule.next(now) {
        under_way.push(order.info_hash);
    }
    assert!(under_way.len() > 10);
    let nothing = |info_hash| Announced { info_hash, asked: 30, ..Announced::default() };
    under_way.into_iter().for_each(|info_hash| schedule.announced(now, &nothing(info_hash)));
    while now < START + Duration::from_hours(1) {
        match schedule.next(now) {
            Next::Announce(order) => {
                assert_eq!(schedule.next(now), Next::Wait(None), "one at a time");
                schedule.announced(now, &nothing(order.info_hash));
                tries += 1;
            }
            Next::Look(_) => panic!("there is nothing to look for"),
            Next::Wait(at) => now = at.expect("it is tried again"),
        }
    }
    assert!((60..70).contains(&tries), "{tries} attempts in an hour");
    assert!(schedule.totals(now).offline.is_some_and(|time| time >= MINUTE * 59));
    assert_eq!(run(&mut schedule, &mut now, START + Duration::from_hours(2)).len(), 500 + 500, "all, and once more");
    assert_eq!(schedule.totals(now).offline, None);
}

#[test]
fn another_address_makes_everything_new_and_sleep_makes_it_overdue() {
    let (mut schedule, mut now) = (Schedule::new(terms(1_000)), START);
    schedule.list(now, listing("folder", active(0..50)));
    run(&mut schedule, &mut now, START + MINUTE * 10);
    schedule.announce_all_again(now);
    assert_eq!(states(&schedule, now), [(State::Overdue, 50)]);
    assert_eq!(run(&mut schedule, &mut now, START + MINUTE * 12).len(), 50);
    now += Duration::from_hours(8);
    assert_eq!(states(&schedule, now), [(State::Overdue, 50)]);
    let slept = now;
    let done = run(&mut schedule, &mut now, slept + MINUTE * 5);
    assert_eq!(done.len(), 50);
    assert_eq!(schedule.totals(now).behind, 0);
}

#[test]
fn a_restart_announces_nothing_before_its_time_and_a_clock_set_back_everything() {
    let (mut schedule, mut now) = (Schedule::new(terms(1_000)), START);
    schedule.list(now, listing("folder", active(0..50)));
    run(&mut schedule, &mut now, START + MINUTE * 10);
    let records: Vec<Record> = schedule.take_changed(100).into_iter().filter_map(|(_, record)| record).collect();
    assert_eq!(records.len(), 50);
    let restored = |at| {
        let mut again = Schedule::new(Terms { seed: [8; 32], ..terms(1_000) });
        again.restore(at, records.clone(), |_| true);
        again
    };
    let mut again = restored(now);
    assert_eq!(states(&again, now), [(State::Visible, 50)]);
    assert_eq!(run(&mut again, &mut now, START + MINUTE * 25), []);
    assert_eq!(run(&mut again, &mut now, START + MINUTE * 45).len(), 50);
    let mut before = START - Duration::from_hours(24);
    let mut back = restored(before);
    let day_before = before;
    assert_eq!(run(&mut back, &mut before, day_before + MINUTE * 5).len(), 50);
}

#[test]
fn more_than_the_maximum_is_refused_and_counted() {
    let (mut schedule, now) = (Schedule::new(Terms { max: 10, ..terms(25) }), START);
    schedule.list(now, listing("folder", active(0..15)));
    let status = &schedule.sources()["folder"];
    assert_eq!((schedule.len(), status.torrents, status.refused), (10, 10, 5));
    schedule.list(now, listing("folder", active(5..15)));
    assert_eq!((schedule.len(), schedule.sources()["folder"].refused), (10, 0));
}

#[test]
fn ten_thousand_of_which_one_in_twenty_is_replaced_each_hour_are_announced_all_the_time() {
    let (mut schedule, mut now, mut first) = (Schedule::new(Terms { max: 20_000, ..terms(100) }), START, 0);
    let count = 10_000;
    let mut worst = count;
    for quarter in 0..14 {
        schedule.list(now, listing("folder", active(first..first + count)));
        let until = now + MINUTE * 15;
        while now < until {
            match schedule.next(now) {
                Next::Announce(order) => {
                    let asked = if order.holders.is_empty() { 45 } else { 18 };
                    schedule.announced(now, &Announced { asked, ..stored(&order) });
                }
                Next::Look(order) => schedule.looked(now, &seen(order)),
                Next::Wait(at) => now = at.unwrap_or(until).min(until),
            }
        }
        // A cold start of as many takes 70 minutes.
        if quarter >= 6 {
            let totals = schedule.totals(now);
            worst = worst.min(totals.seen_within_hour as u32);
            let stored = totals.infohashes() - totals.states.get(&State::Waiting).copied().unwrap_or(0);
            assert_eq!((totals.infohashes(), stored), (count as usize, count as usize), "{totals:?}");
        }
        first += count / 80;
    }
    assert!(worst >= count * 99 / 100, "{worst} of {count} were seen within the hour");
}

#[test]
fn when_all_holders_are_gone_at_once_the_next_look_or_renewal_finds_others() {
    let (mut schedule, mut now) = (Schedule::new(terms(1_000)), START);
    schedule.list(now, listing("folder", active(0..20)));
    run(&mut schedule, &mut now, START + MINUTE * 10);
    let (gone, mut found) = (now, BTreeMap::new());
    while found.len() < 20 {
        match schedule.next(now) {
            // Of the old ones none answers: the engine asks others, and those store it.
            Next::Announce(order) => {
                let others = (100..108).map(|number| (contact(number), *b"LT\x02\x03")).collect();
                let outcome = Announced { stored: others, asked: 60, answered: 45, ..stored(&order) };
                schedule.announced(now, &outcome);
                let at = schedule.announcement(now, &order.info_hash).unwrap().stored_at;
                assert_eq!(at, 8, "what is gone counts no longer");
                found.entry(order.info_hash).or_insert(now);
            }
            Next::Look(order) => {
                let seen_as = found.contains_key(&order.info_hash).then(|| seen(order).seen_as).flatten();
                schedule.looked(now, &Look { seen_as, ..seen(order) });
            }
            Next::Wait(at) => now = at.expect("there is more to do"),
        }
    }
    let longest = found.values().map(|at| at.since(gone)).max().unwrap();
    assert!(longest < MINUTE * 45, "{longest:?}: no longer than a copy lives");
}

/// What happens to a schedule and its twin.
#[derive(Clone, Debug)]
enum Happening {
    List {
        source: u8,
        torrents: Vec<(u32, u8)>,
    },
    Pass {
        secs: u64,
    },
    /// Begin what can be begun, and let the outcome of the oldest be this.
    Announce {
        version: u8,
    },
    Look {
        seen: bool,
    },
    Again,
}

fn happening() -> impl Strategy<Value = Happening> {
    prop_oneof![
        2 => (0..3u8, prop::collection::vec((0..12u32, 0..6u8), 0..10))
            .prop_map(|(source, torrents)| Happening::List { source, torrents }),
        4 => prop_oneof![0..90u64, 0..4_000u64].prop_map(|secs| Happening::Pass { secs }),
        6 => (0..6u8).prop_map(|version| Happening::Announce { version }),
        2 => any::<bool>().prop_map(|seen| Happening::Look { seen }),
        1 => Just(Happening::Again),
    ]
}

const STATES: [ListedState; 6] = [
    ListedState::Active,
    ListedState::Active,
    ListedState::Active,
    ListedState::Paused,
    ListedState::PrivacyUnknown,
    ListedState::Private,
];

/// The twin: what each source said, what is under way; the rest is worked out anew each time from what the entries
/// themselves hold.
#[derive(Default)]
struct Twin {
    said: BTreeMap<u8, BTreeMap<InfoHash, ListedState>>,
    under_way: Vec<AnnounceOrder>,
    looks: Vec<LookOrder>,
    /// Those that had their turn since no copy of them lived.
    had_turn: BTreeSet<InfoHash>,
    /// Those under way that are to be announced once more.
    overtaken: BTreeSet<InfoHash>,
}

impl Twin {
    fn is_wanted(&self, info_hash: &InfoHash) -> bool {
        let said: Vec<ListedState> = self.said.values().filter_map(|list| list.get(info_hash)).copied().collect();
        said.contains(&ListedState::Active) && !said.contains(&ListedState::Private)
    }

    fn listed(&self) -> BTreeSet<InfoHash> {
        self.said.values().flat_map(|list| list.keys().copied()).collect()
    }

    /// Whom the schedule may announce now: those that never had a turn, or else the one that is due for the longest time.
    fn check(&self, schedule: &Schedule, now: Instant, order: &AnnounceOrder) -> Result<(), TestCaseError> {
        prop_assert!(self.is_wanted(&order.info_hash), "{:?} is not wanted", order.info_hash);
        prop_assert!(self.under_way.iter().all(|other| other.info_hash != order.info_hash), "twice at once");
        let others = self.listed().into_iter().filter(|other| {
            *other != order.info_hash
                && self.is_wanted(other)
                && self.under_way.iter().all(|running| running.info_hash != *other)
        });
        for other in others {
            let entry = &schedule.entries[&other];
            match entry.place {
                Place::Later(due) => prop_assert!(due.instant() > now, "{other:?} was due before"),
                Place::Ready(Rank::First { .. }) => {
                    prop_assert!(!self.had_turn.contains(&order.info_hash), "{other:?} had no turn yet");
                }
                Place::Ready(Rank::Again(_)) => {}
                place => prop_assert!(false, "{other:?} is forgotten: {place:?}"),
            }
        }
        for holder in order.holders.iter().filter(|holder| holder.is_held) {
            let copies = &schedule.announcing[&order.info_hash].held;
            let copy = copies.iter().find(|copy| copy.contact() == holder.contact);
            prop_assert!(copy.is_some_and(|copy| copy.lives(now)), "a copy that is gone is left alone");
        }
        Ok(())
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 300, ..ProptestConfig::default() })]
    #[test]
    fn the_schedule_and_its_twin_agree(happenings in prop::collection::vec(happening(), 1..80)) {
        let (mut schedule, mut twin, mut now) = (Schedule::new(terms(200)), Twin::default(), START);
        for happening in happenings {
            match happening {
                Happening::List { source, torrents } => {
                    let list: BTreeMap<u32, u8> = torrents.into_iter().collect();
                    let torrents: Vec<Listed> =
                        list.iter().map(|(&number, &state)| listed(number, STATES[usize::from(state)])).collect();
                    let before = twin.said.get(&source).cloned().unwrap_or_default();
                    let told = torrents.iter().map(|listed| {
                        // What was active once is known to be public.
                        let is_public = before.get(&listed.infohash) == Some(&ListedState::Active);
                        let is_unknown = listed.state == ListedState::PrivacyUnknown;
                        (listed.infohash, if is_unknown && is_public { ListedState::Active } else { listed.state })
                    });
                    let told = told.collect();
                    schedule.list(now, listing(&source.to_string(), torrents));
                    // What is wanted again after a pause begins anew.
                    let before: BTreeSet<InfoHash> = twin.had_turn.iter().filter(|h| twin.is_wanted(h)).copied().collect();
                    twin.said.insert(source, told);
                    twin.had_turn = before.into_iter().filter(|info_hash| twin.is_wanted(info_hash)).collect();
                }
                Happening::Pass { secs } => now += Duration::from_secs(secs),
                Happening::Announce { version } => {
                    loop {
                        match schedule.next(now) {
                            Next::Announce(order) => {
                                twin.check(&schedule, now, &order)?;
                                twin.under_way.push(order);
                            }
                            Next::Look(look) => twin.looks.push(look),
                            Next::Wait(at) => {
                                prop_assert!(at.is_none_or(|at| at > now), "it would wait for what has passed");
                                break;
                            }
                        }
                    }
                    if !twin.under_way.is_empty() {
                        let order = twin.under_way.remove(0);
                        let versions = [*b"LT\0\0", *b"ml\0\0", *b"UT\0\0", *b"JC\0\0"];
                        let outcome = match versions.get(usize::from(version)) {
                            Some(version) => stored_by(order.info_hash, *version),
                            None => Announced { info_hash: order.info_hash, answered: 9, asked: 9, ..Announced::default() },
                        };
                        schedule.announced(now, &outcome);
                        if !twin.overtaken.remove(&order.info_hash) {
                            twin.had_turn.insert(order.info_hash);
                        }
                    }
                }
                Happening::Look { seen: is_seen } => {
                    if !twin.looks.is_empty() {
                        let look = seen(twin.looks.remove(0));
                        schedule.looked(now, &Look { seen_as: look.seen_as.filter(|_| is_seen), ..look });
                    }
                }
                Happening::Again => {
                    schedule.announce_all_again(now);
                    twin.had_turn.clear();
                    twin.overtaken = twin.under_way.iter().map(|order| order.info_hash).collect();
                }
            }
            let listed: Vec<InfoHash> = twin.listed().into_iter().collect();
            prop_assert_eq!(schedule.entries.keys().copied().collect::<Vec<_>>(), listed);
            let queued = schedule.later.len() + schedule.ready.len();
            let placed = schedule.entries.values()
                .filter(|entry| matches!(entry.place, Place::Later(_) | Place::Ready(_))).count();
            prop_assert_eq!(queued, placed);
            prop_assert_eq!(schedule.looks.len(), schedule.entries.values().filter(|e| e.look_at.is_some()).count());
        }
    }
}
