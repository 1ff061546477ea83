//! The table's invariants under any script of events, and its answers beside a naive twin.

use std::collections::HashSet;
use std::net::SocketAddr;

use super::*;
use crate::engine::owner::{Level, network, owner};
use crate::engine::random::Random;
use crate::engine::rules::Rules;
use proptest::prelude::*;

const MS: Duration = Duration::from_millis(1);

fn own() -> NodeId {
    NodeId::new([0x5a; 20])
}

/// Contacts crowd near our own id, so that deep buckets and full ones appear; and some near one other id, alike in more
/// bits than a head has.
fn contact() -> impl Strategy<Value = Contact> {
    let near_us = (0usize..12, any::<[u8; 32]>()).prop_map(|(prefix, seed)| (*own(), prefix, seed));
    let twins = (64usize..160, any::<[u8; 32]>()).prop_map(|(prefix, seed)| (Id([0x7a; 20]), prefix, seed));
    let id = prop_oneof![8 => near_us, 1 => twins];
    (id, any::<[u8; 2]>(), 0u8..3).prop_map(|((centre, prefix, seed), [b, c], port)| Contact {
        id: NodeId(centre.sharing_prefix(prefix, Random::new(seed).wire_id())),
        addr: ([20, b, c, 1], 6881 + u16::from(port)).into(),
    })
}

#[derive(Clone, Debug)]
enum Step {
    Answered(Contact, u64),
    Asked(Contact),
    FailedKnown(usize),
    Wait(u64),
    Rebase(usize),
    Check,
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        6 => (contact(), 1u64..500).prop_map(|(contact, ms)| Step::Answered(contact, ms)),
        1 => contact().prop_map(Step::Asked),
        3 => any::<usize>().prop_map(Step::FailedKnown),
        1 => (1u64..1000).prop_map(Step::Wait),
        1 => Just(Step::Check),
        1 => (0usize..10).prop_map(Step::Rebase),
    ]
}

fn check_invariants(table: &Table) {
    for (index, bucket) in table.buckets.iter().enumerate() {
        assert!(bucket.entries().len() <= FIRST_BUCKETS.get(index).copied().unwrap_or(K), "bucket {index} overflows");
        for entry in bucket.entries() {
            assert_eq!(table.own().common_prefix_len(&entry.contact.id), index, "an entry lies in the wrong bucket");
        }
        assert!(bucket.is_in_order(), "bucket {index} is out of order");
        let ids: HashSet<NodeId> = bucket.entries().iter().map(|entry| entry.contact.id).collect();
        assert_eq!(ids.len(), bucket.entries().len(), "an id is twice in bucket {index}");
        let mut owners: Vec<u64> = bucket.entries().iter().map(|entry| owner(entry.contact.addr.ip())).collect();
        owners.sort_unstable();
        owners.dedup();
        assert_eq!(owners.len(), bucket.entries().len(), "an owner is twice in bucket {index}");
        let mut providers: Vec<u64> =
            bucket.entries().iter().map(|entry| network(entry.contact.addr.ip(), Level::Provider)).collect();
        providers.sort_unstable();
        let most = providers.chunk_by(|a, b| a == b).map(<[u64]>::len).max().unwrap_or(0);
        let capacity = FIRST_BUCKETS.get(index).copied().unwrap_or(K);
        assert!(most <= (capacity / 8).max(2), "{most} contacts of one provider in bucket {index}");
    }
    let mut ips: Vec<_> = table.entries().map(|entry| entry.contact.addr.ip()).collect();
    ips.sort_unstable();
    ips.dedup();
    assert_eq!(ips.len(), table.len(), "an address is twice in the table");
    assert!(table.entries().all(|entry| entry.contact.id != *table.own()), "our own id is in the table");
    assert!(
        table.entries().all(|entry| table.owners.may_contain(owner(entry.contact.addr.ip()))),
        "an owner is forgotten"
    );
}

fn naive_closest(table: &Table, target: &Id) -> Vec<Contact> {
    let sorted = |keep: &dyn Fn(&Entry) -> bool| {
        let mut contacts: Vec<_> = table.entries().filter(|entry| keep(entry)).map(|entry| entry.contact).collect();
        contacts.sort_by_key(|contact| contact.id.distance(target));
        contacts.truncate(K);
        contacts
    };
    let sound = sorted(&|entry| entry.failures() == 0);
    if sound.len() == K { sound } else { sorted(&|entry| !entry.is_dead()) }
}

const AGE: Duration = Duration::from_mins(10);
const RECHECK: Duration = Duration::from_mins(1);

/// The entry that is due for a check first, and when.
fn naive_stalest(table: &Table) -> Option<(Instant, Contact)> {
    let all = table.entries().map(|entry| (entry.check_due(AGE, RECHECK), entry.contact));
    all.min_by_key(|(due, _)| *due)
}

proptest! {
    #[test]
    fn invariants_hold_and_closest_is_closest(
        steps in prop::collection::vec(step(), 1..300),
        target in any::<[u8; 20]>(),
        near in 0usize..160,
    ) {
        let mut table = Table::new(own(), &Rules::MAINLINE, false);
        let mut now = Instant::from_secs(10);
        for step in steps {
            match step {
                Step::Answered(contact, ms) => {
                    let before = table.len();
                    let outcome = table.answered(now, contact, MS * ms as u32);
                    let grown = i64::try_from(table.len()).unwrap() - i64::try_from(before).unwrap();
                    prop_assert_eq!(grown, match outcome {
                        Outcome::Added => 1,
                        // The reserve may fill the place at once.
                        Outcome::IdChanged(_) => grown.clamp(-1, 0),
                        _ => 0,
                    }, "{:?}", outcome);
                }
                Step::Asked(contact) => {
                    let known = table.entries().any(|entry| entry.contact == contact);
                    prop_assert_eq!(table.asked_us(now, &contact), known);
                }
                Step::FailedKnown(index) if !table.is_empty() => {
                    let contact = table.entries().nth(index % table.len()).unwrap().contact;
                    table.failed(now, &contact);
                }
                Step::FailedKnown(_) => {}
                Step::Wait(secs) => now += Duration::from_secs(secs),
                Step::Rebase(prefix) => table.rebase(now, NodeId(own().sharing_prefix(prefix, Random::new([8; 32]).wire_id()))),
                Step::Check => {
                    let due = naive_stalest(&table).filter(|(due, _)| *due <= now).map(|(_, contact)| contact);
                    prop_assert_eq!(table.take_stalest(now, AGE, RECHECK), due);
                    let checked = table.entries().filter(|entry| entry.checked == now).map(|entry| entry.contact);
                    prop_assert!(due.is_none() || checked.collect::<Vec<_>>().contains(&due.unwrap()));
                }
            }
            check_invariants(&table);
            let soon = now + RECHECK;
            let due = naive_stalest(&table).map(|(due, _)| due).filter(|due| *due <= soon);
            prop_assert_eq!(table.clone().next_stale(soon, AGE, RECHECK), due);
        }
        for target in [Id(target), own().sharing_prefix(near, Random::new([9; 32]).wire_id()), *own(), Id([0x7a; 20])] {
            let closest: Vec<Contact> = table.closest(&target).into_iter().copied().collect();
            prop_assert_eq!(closest, naive_closest(&table, &target));
        }
    }
}

fn nth(index: u8, prefix: usize) -> Contact {
    Contact {
        id: NodeId(own().sharing_prefix(prefix, Random::new([index; 32]).wire_id())),
        addr: ([30, index, prefix as u8, 1], 6881).into(),
    }
}

fn full_bucket(rtt: Duration) -> Table {
    let mut table = Table::new(own(), &Rules::MAINLINE, false);
    for index in 0..8 {
        assert_eq!(table.answered(Instant::ZERO, nth(index, 4), rtt), Outcome::Added);
    }
    table
}

#[test]
fn one_provider_fills_a_part_of_each_bucket() {
    let at: [fn(u8, u8) -> SocketAddr; 2] = [
        |prefix, n| ([30, 1, prefix * 50 + n, 1], 6881).into(),
        |prefix, n| ([0x2001, 0xdb8, u16::from(prefix) << 8 | u16::from(n), 0, 0, 0, 0, 1], 6881).into(),
    ];
    for at in at {
        let mut table = Table::new(own(), &Rules::MAINLINE, false);
        for (prefix, most) in [(0, 16), (1, 8), (2, 4), (3, 2), (4, 2)] {
            let mut refused = 0;
            for n in 0..50 {
                let id = own().sharing_prefix(prefix, Random::new([n + 1; 32]).wire_id());
                let outcome = table.answered(Instant::ZERO, Contact { id: NodeId(id), addr: at(prefix as u8, n) }, MS);
                refused += usize::from(outcome == Outcome::Refused(EntryRefusal::ProviderTaken));
            }
            assert_eq!((table.buckets[prefix].entries().len(), refused), (most, 50 - most), "bucket {prefix}");
            let stranger = Contact { addr: ([31, prefix as u8, 1, 1], 1).into(), ..nth(77, prefix) };
            assert_eq!(table.answered(Instant::ZERO, stranger, MS), Outcome::Added, "others still enter");
        }
    }
}

#[test]
fn good_old_entries_are_never_displaced() {
    let mut table = full_bucket(MS * 400);
    let later = Instant::from_secs(3601);
    for index in 0..8 {
        table.answered(later, nth(index, 4), MS * 400);
    }
    assert_eq!(table.answered(later, nth(9, 4), MS), Outcome::Reserved);
}

#[test]
fn a_much_faster_newcomer_displaces_a_young_entry() {
    let mut table = full_bucket(MS * 400);
    assert_eq!(table.answered(Instant::ZERO, nth(9, 4), MS * 200), Outcome::Reserved);
    assert!(matches!(table.answered(Instant::ZERO, nth(10, 4), MS * 100), Outcome::Replaced(_)));
}

#[test]
fn the_reserve_takes_the_place_of_the_dead() {
    let mut table = full_bucket(MS * 100);
    assert_eq!(table.answered(Instant::ZERO, nth(9, 4), MS * 90), Outcome::Reserved);
    let victim = nth(3, 4);
    let outcomes: Vec<_> = [0, 60, 121].map(|secs| table.failed(Instant::from_secs(secs), &victim)).into();
    assert_eq!(outcomes, [None, None, Some(victim.id)]);
    assert!(table.entries().any(|entry| entry.contact == nth(9, 4)));
}

#[test]
fn the_dead_stay_as_a_last_resort_but_are_not_handed_out() {
    let mut table = full_bucket(MS * 100);
    for secs in [0, 60, 121] {
        table.failed(Instant::from_secs(secs), &nth(3, 4));
    }
    assert_eq!((table.len(), table.closest(&own()).len()), (8, 7));
    for secs in (180..600).step_by(60) {
        table.failed(Instant::from_secs(secs), &nth(3, 4));
    }
    assert_eq!(table.len(), 7);
}

#[test]
fn a_changed_id_is_evicted_and_not_believed() {
    let mut table = full_bucket(MS * 100);
    let changed = Contact { id: NodeId(own().sharing_prefix(9, Random::new([99; 32]).wire_id())), ..nth(3, 4) };
    assert_eq!(table.answered(Instant::ZERO, changed, MS), Outcome::IdChanged(nth(3, 4).id));
    assert_eq!(table.len(), 7);
}

#[test]
fn an_id_cannot_be_taken_over_from_another_address() {
    let mut table = full_bucket(MS * 100);
    let thief = Contact { addr: ([99, 1, 1, 1], 1).into(), ..nth(3, 4) };
    assert_eq!(table.answered(Instant::ZERO, thief, MS), Outcome::Contested(nth(3, 4)));
    // The one that is there answers.
    assert_eq!(table.answered(Instant::ZERO, nth(3, 4), MS), Outcome::Refreshed);
    assert!(table.contains(&nth(3, 4)) && !table.contains(&thief));
    let own_id = Contact { id: own(), ..thief };
    assert_eq!(table.answered(Instant::ZERO, own_id, MS), Outcome::Refused(EntryRefusal::OwnOrZeroId));
}

/// Who waits for the place of its own old address is not taken for that of another: its id would be in the table twice.
#[test]
fn who_has_moved_waits_for_its_own_place() {
    let mut table = full_bucket(MS * 100);
    let moved = Contact { addr: ([99, 1, 1, 1], 1).into(), ..nth(3, 4) };
    assert_eq!(table.answered(Instant::ZERO, moved, MS), Outcome::Contested(nth(3, 4)));
    table.remove(Instant::ZERO, &nth(5, 4).id);
    check_invariants(&table);
    assert!(!table.contains(&moved) && table.len() == 7);
    // Nor does the dead one of another go for it, who is a last resort.
    let gone = [0, 60, 121].map(|secs| table.failed(Instant::from_secs(secs), &nth(6, 4)));
    assert_eq!((gone, table.len()), ([None; 3], 7));
    let gone = [180, 240, 301].map(|secs| table.failed(Instant::from_secs(secs), &nth(3, 4)));
    assert_eq!(gone, [None, None, Some(moved.id)]);
    assert!(table.contains(&moved) && table.len() == 7);
}

#[test]
fn contacts_that_obey_bep_42_displace_those_that_do_not() {
    let mut table = Table::new(own(), &Rules::MAINLINE, true);
    for index in 0..8 {
        table.answered(Instant::ZERO, nth(index, 4), MS * 100);
    }
    let mut random = Random::new([5; 32]);
    let compliant = loop {
        let addr = SocketAddr::from(([40, random.wire_u32() as u8, 1, 1], 6881));
        let id = Id::for_address(addr.ip(), &mut random);
        if own().common_prefix_len(&id) == 4 {
            break Contact { id: NodeId(id), addr };
        }
    };
    assert!(matches!(table.answered(Instant::ZERO, compliant, MS * 300), Outcome::Replaced(_)));
}

#[test]
fn a_new_own_id_keeps_the_contacts() {
    let mut table = full_bucket(MS * 100);
    let other = NodeId::new([0xa5; 20]);
    table.rebase(Instant::ZERO, other);
    assert_eq!((table.own(), table.len()), (&other, 8));
}

#[test]
fn an_endpoint_that_answers_with_an_id_of_another_loses_its_own() {
    for rules in [&Rules::MAINLINE, &Rules::PRIVATE] {
        let mut table = Table::new(own(), rules, false);
        let (liar, honest) = (nth(1, 4), nth(2, 5));
        table.answered(Instant::ZERO, liar, MS);
        table.answered(Instant::ZERO, honest, MS);
        let claim = Contact { addr: liar.addr, ..honest };
        assert_eq!(table.answered(Instant::ZERO, claim, MS), Outcome::IdChanged(liar.id));
        assert!(table.entries().map(|entry| entry.contact).eq([honest]));
        assert_eq!(table.answered(Instant::ZERO, claim, MS), Outcome::Contested(honest));
    }
}

#[test]
fn a_node_that_moved_takes_the_place_of_its_old_address_once_that_is_dead() {
    for (rules, failures) in [(&Rules::MAINLINE, 3), (&Rules::PRIVATE, 1)] {
        let mut table = Table::new(own(), rules, false);
        let (before, reserve) = (nth(3, 4), nth(9, 4));
        let after = Contact { addr: ([99, 1, 1, 1], 1).into(), ..before };
        (0..8).for_each(|index| assert_eq!(table.answered(Instant::ZERO, nth(index, 4), MS), Outcome::Added));
        assert_eq!(table.answered(Instant::ZERO, reserve, MS / 2), Outcome::Reserved);
        assert_eq!(table.answered(Instant::ZERO, after, MS), Outcome::Contested(before));
        for failure in 0..failures {
            assert!(table.contains(&before), "after {failure} failures");
            table.failed(Instant::from_secs(61 * failure), &before);
        }
        assert!(table.contains(&after) && !table.contains(&before) && !table.contains(&reserve));
    }
}

#[test]
fn a_check_out_of_turn_is_one_in_a_while() {
    let mut table = full_bucket(MS * 100);
    let (minute, at) = (Duration::from_mins(1), Instant::from_secs);
    let checks = [59, 60, 61, 119, 120].map(|secs| table.take_check(at(secs), &nth(3, 4), minute));
    assert_eq!(checks, [false, true, false, false, true]);
    assert!(!table.take_check(at(500), &Contact { addr: ([99, 1, 1, 1], 1).into(), ..nth(3, 4) }, minute));
}

#[test]
fn those_that_fail_do_not_keep_the_others_from_being_checked() {
    let mut table = Table::new(own(), &Rules::MAINLINE, false);
    for index in 0..40 {
        table.answered(Instant::from_secs(u64::from(index)), nth(index, 0), MS);
    }
    let (failing, stale) = (30, 10);
    for index in 0..failing {
        table.failed(Instant::from_secs(700), &nth(index, 0));
    }
    let slots = (0..failing + stale).map(|slot| Instant::from_secs(800 + 3 * u64::from(slot)));
    let checked = slots.filter_map(|now| table.take_stalest(now, Duration::from_mins(12), Duration::from_mins(1)));
    let alive = checked.filter(|contact| (failing..40).any(|index| nth(index, 0) == *contact)).count();
    assert_eq!(alive, usize::from(stale));
}
