//! The lookup on random graphs, in a world that is only a map, and its rules one by one.

use std::collections::{BTreeMap, VecDeque};

use super::*;
use crate::engine::limits::{CANDIDATES, FAR_COPIES, LOOKUP_SHARE, SILENT_PER_TELLER};
use crate::engine::random::Random;
use proptest::prelude::*;

const ALPHA: usize = Effort::NORMAL.alpha;

fn contact(index: u16, random: &mut Random) -> Contact {
    let [high, low] = index.to_be_bytes();
    Contact { id: NodeId(random.wire_id()), addr: ([50 + high, low, 1, 1], 6881).into() }
}

/// Which node knows which: each node knows its own neighbourhood and some random others, as a Kademlia table would.
struct Graph {
    nodes: BTreeMap<SocketAddr, (Contact, Vec<Contact>, bool)>,
}

impl Graph {
    fn random(size: u16, dead_percent: u32, seed: [u8; 32]) -> Self {
        let mut random = Random::new(seed);
        let all: Vec<Contact> = (0..size).map(|index| contact(index, &mut random)).collect();
        let mut nodes = BTreeMap::new();
        for own in &all {
            let mut buckets: BTreeMap<usize, Vec<Contact>> = BTreeMap::new();
            for other in all.iter().filter(|other| other.id != own.id) {
                buckets.entry(own.id.common_prefix_len(&other.id)).or_default().push(*other);
            }
            let mut known: Vec<Contact> = Vec::new();
            for bucket in buckets.values() {
                let start = random.wire_below(bucket.len());
                known.extend(bucket.iter().cycle().skip(start).take(bucket.len().min(K)));
            }
            let dead = (random.wire_u32() % 100) < dead_percent;
            nodes.insert(own.addr, (*own, known, dead));
        }
        Self { nodes }
    }

    fn alive_by_distance(&self, target: &Id) -> Vec<Contact> {
        let mut alive: Vec<_> = self.nodes.values().filter(|(.., dead)| !dead).map(|(contact, ..)| *contact).collect();
        alive.sort_by_key(|contact| contact.id.distance(target));
        alive
    }

    fn answer(&self, addr: &SocketAddr, target: &Id) -> Option<Vec<Contact>> {
        let (_, known, dead) = &self.nodes[addr];
        let mut known = known.clone();
        known.sort_by_key(|contact| contact.id.distance(target));
        known.truncate(K);
        (!dead).then_some(known)
    }

    /// Runs a lookup from the table of `source`; answers come after 100 ms, silence is noticed after 300 ms and 2 s.
    fn run(&self, source: &SocketAddr, target: Id) -> (Vec<Contact>, usize) {
        let mut lookup = Lookup::new(target, &Rules::MAINLINE, Some(self.nodes.len() as f64));
        let table = &self.nodes[source].1;
        let mut sorted = table.clone();
        sorted.sort_by_key(|contact| contact.id.distance(&target));
        sorted.iter().take(K).for_each(|contact| lookup.add(*contact, Origin::Own));
        let mut agenda: VecDeque<(Instant, SocketAddr, u8)> = VecDeque::new();
        let (mut now, mut asked) = (Instant::ZERO, 0);
        let mut times: BTreeMap<SocketAddr, u8> = BTreeMap::new();
        loop {
            match lookup.step(now) {
                Step::Ask(contact) => {
                    asked += 1;
                    let alive = self.answer(&contact.addr, &target).is_some();
                    let times = times.entry(contact.addr).or_default();
                    *times += 1;
                    assert!(*times == 1 || *times == 2 && !alive, "{contact:?} is asked {times} times");
                    let delays: &[(u64, u8)] = if alive { &[(100, 0)] } else { &[(300, 1), (2000, 2)] };
                    for &(millis, what) in delays {
                        let at = now + Duration::from_millis(millis);
                        let place = agenda.partition_point(|(other, ..)| *other <= at);
                        agenda.insert(place, (at, contact.addr, what));
                    }
                }
                Step::Starved => table.iter().for_each(|contact| lookup.add(*contact, Origin::Own)),
                Step::Done => break,
                Step::Wait(until) => {
                    let next = agenda.front().map(|(at, ..)| *at);
                    let woken_first = until.is_some_and(|until| next.is_none_or(|next| until < next));
                    if woken_first {
                        now = until.expect("just checked");
                        continue;
                    }
                    let (at, addr, what) = agenda.pop_front().expect("a lookup that waits waits for something");
                    now = at;
                    match what {
                        0 => {
                            let id = self.nodes[&addr].0.id;
                            let origin = lookup.answered(&addr, &id, None).expect("it was asked");
                            let origin = Origin::Heard { hops: origin.hops() + 1 };
                            self.answer(&addr, &target).into_iter().flatten().for_each(|c| lookup.add(c, origin));
                        }
                        1 => lookup.slow(&addr),
                        _ => lookup.failed(&addr),
                    }
                }
            }
        }
        (lookup.closest().copied().collect(), asked)
    }
}

/// Contacts on the mainline, whose ids fit their addresses or not.
fn on_the_mainline(fits: &[bool]) -> Vec<Contact> {
    let mut random = Random::new([8; 32]);
    let contact = |(index, &fits): (usize, &bool)| {
        let ip = std::net::IpAddr::from([198, 18, index as u8, 1]);
        let id = if fits { Id::for_address(ip, &mut random) } else { random.wire_id() };
        Contact { id: NodeId(id), addr: (ip, 6881).into() }
    };
    fits.iter().enumerate().map(contact).collect()
}

#[test]
fn of_candidates_equally_many_bits_away_those_that_obey_bep_42_are_asked_first() {
    let contacts = on_the_mainline(&[false, true, false, true, false, true]);
    for compliance in [Compliance::Off, Compliance::Prefer] {
        for half in [0x00, 0x80] {
            let same_half: Vec<&Contact> =
                contacts.iter().filter(|contact| contact.id.as_bytes()[0] & 0x80 == half).collect();
            // It differs from all of them in the first bit: one bucket of distance.
            let mut target = Id([0; 20]);
            target.0[0] = half ^ 0x80;
            let mut lookup = Lookup::new(target, &Rules::MAINLINE, None).minding(compliance);
            same_half.iter().for_each(|contact| lookup.add(**contact, Origin::Own));
            let mut asked = Vec::new();
            while let Step::Ask(contact) = lookup.step(Instant::ZERO) {
                lookup.answered(&contact.addr, &contact.id, None).expect("it was asked");
                asked.push(contact);
            }
            let mut expected: Vec<Contact> = same_half.iter().map(|contact| **contact).collect();
            expected.sort_by_key(|contact| contact.id.distance(&target));
            if compliance == Compliance::Prefer {
                expected.sort_by_key(|contact| !contact.is_compliant());
            }
            assert_eq!(asked, expected, "{compliance:?}");
            assert_eq!(lookup.closest().count(), expected.len(), "all of them count");
        }
    }
}

/// BEP 42: the closest that fit, and those that do not where they are among the closest anyway.
#[test]
fn what_is_stored_is_stored_on_the_closest_that_fit_first_of_all() {
    let contacts = on_the_mainline(&[false, true].repeat(12));
    let copies = K;
    for compliance in [Compliance::Off, Compliance::Prefer, Compliance::Enforce] {
        let mut lookup = Lookup::new(Id::ZERO, &Rules::MAINLINE, None).minding(compliance);
        contacts.iter().for_each(|contact| lookup.add(*contact, Origin::Own));
        // Everyone answers; the closest of all gives no token.
        let mut sorted = contacts.clone();
        sorted.sort_by_key(|contact| contact.id);
        for candidate in &mut lookup.candidates.list {
            candidate.state = State::Answered;
            candidate.token = (candidate.contact != sorted[0]).then(|| b"token"[..].into());
        }
        let willing = &sorted[1..];
        let fitting: Vec<&Contact> = willing.iter().filter(|contact| contact.is_compliant()).take(copies).collect();
        let expected: Vec<&Contact> = match compliance {
            Compliance::Off => willing.iter().take(copies).collect(),
            Compliance::Prefer => {
                let (near, far) = willing.split_at(copies);
                near.iter().chain(far.iter().filter(|contact| fitting.contains(contact))).collect()
            }
            Compliance::Enforce => fitting,
        };
        assert_eq!(lookup.places(copies), expected, "{compliance:?}");
    }
}

#[test]
fn a_bit_closer_counts_for_more_than_an_id_that_fits() {
    let far = on_the_mainline(&[true])[0];
    let mut target = far.id;
    target.0.0[0] ^= 0x80;
    let mut near = Contact { id: target, addr: ([198, 19, 0, 1], 6881).into() };
    near.id.0.0[0] ^= 0x40;
    assert!(!near.is_compliant() && far.is_compliant());
    let mut lookup = Lookup::new(*target, &Rules::MAINLINE, None).minding(Compliance::Prefer);
    [far, near].iter().for_each(|contact| lookup.add(*contact, Origin::Own));
    assert_eq!(lookup.step(Instant::ZERO), Step::Ask(near));
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]

    /// On a healthy graph every lookup finds the closest node and nearly all of the K closest, asking few. (With K
    /// random contacts a bucket, Kademlia itself promises no more.)
    #[test]
    fn converges_to_the_closest_nodes(size in 20u16..300, seed in any::<[u8; 32]>(), target in any::<[u8; 20]>()) {
        let graph = Graph::random(size, 0, seed);
        let source = *graph.nodes.keys().next().unwrap();
        let (found, asked) = graph.run(&source, Id(target));
        // The source itself is not asked; it is among the closest for some targets.
        let mut expected = graph.alive_by_distance(&Id(target));
        expected.retain(|contact| contact.addr != source);
        let found: Vec<_> = found.into_iter().filter(|contact| contact.addr != source).take(K).collect();
        prop_assert_eq!(found[0], expected[0]);
        let hits = expected[..K].iter().filter(|contact| found.contains(contact)).count();
        prop_assert!(hits >= K - 1, "{} of the {} closest were found", hits, K);
        prop_assert!(asked <= 60, "{} nodes asked for a network of {}", asked, size);
    }

    /// With four in ten dead the closest living node is still found.
    #[test]
    fn survives_dead_contacts(seed in any::<[u8; 32]>(), target in any::<[u8; 20]>()) {
        let graph = Graph::random(200, 40, seed);
        let source = *graph.nodes.keys().next().unwrap();
        let (found, _) = graph.run(&source, Id(target));
        let mut expected = graph.alive_by_distance(&Id(target));
        expected.retain(|contact| contact.addr != source);
        prop_assert!(found.iter().take(2).any(|contact| contact == &expected[0]), "the closest was missed");
    }
}

fn filled(count: u16) -> (Lookup, Vec<Contact>) {
    let mut random = Random::new([4; 32]);
    let mut lookup = Lookup::new(Id::ZERO, &Rules::MAINLINE, None);
    let mut contacts: Vec<_> = (0..count).map(|index| contact(index, &mut random)).collect();
    contacts.iter().for_each(|contact| lookup.add(*contact, Origin::Own));
    contacts.sort_by_key(|contact| contact.id);
    (lookup, contacts)
}

fn asked(lookup: &mut Lookup, now: Instant) -> Vec<Contact> {
    std::iter::from_fn(|| if let Step::Ask(contact) = lookup.step(now) { Some(contact) } else { None }).collect()
}

#[test]
fn asks_the_closest_alpha_first() {
    let (mut lookup, contacts) = filled(20);
    assert_eq!(asked(&mut lookup, Instant::ZERO), contacts[..ALPHA]);
    assert_eq!(lookup.step(Instant::ZERO), Step::Wait(None));
}

#[test]
fn a_slow_contact_frees_its_slot_and_its_late_answer_counts() {
    let (mut lookup, contacts) = filled(20);
    asked(&mut lookup, Instant::ZERO);
    lookup.slow(&contacts[0].addr);
    assert_eq!(asked(&mut lookup, Instant::ZERO), contacts[ALPHA..=ALPHA]);
    assert_eq!(lookup.answered(&contacts[0].addr, &contacts[0].id, Some(b"t")), Some(Origin::Own));
    assert_eq!(lookup.closest_with_token().next(), Some((&contacts[0], &b"t"[..])));
}

#[test]
fn the_silent_are_asked_once_more_and_awaited_for_the_grace_only() {
    let (mut lookup, contacts) = filled(30);
    let mut silent = 0;
    let now = Instant::from_secs(1);
    loop {
        let batch = asked(&mut lookup, now);
        if batch.is_empty() {
            break;
        }
        for contact in batch {
            if contact == contacts[2] {
                silent += 1;
                lookup.slow(&contact.addr);
            } else {
                lookup.answered(&contact.addr, &contact.id, None);
            }
        }
    }
    assert_eq!(lookup.closest().count(), K + 1, "one more for the timeout");
    assert_eq!(silent, 2, "a datagram may have been lost");
    assert_eq!(lookup.step(now), Step::Wait(Some(now + GRACE)));
    lookup.failed(&contacts[2].addr);
    assert_eq!(lookup.step(now), Step::Wait(Some(now + GRACE)), "that was the first query");
    assert_eq!(lookup.step(now + GRACE), Step::Done);
    assert_eq!(lookup.answered(&contacts[2].addr, &contacts[2].id, None), Some(Origin::Own));
    assert_eq!(lookup.step(now), Step::Done);
}

#[test]
fn no_more_is_written_to_than_the_limit_says() {
    let mut random = Random::new([4; 32]);
    let target = Id([0xff; 20]);
    let mut lookup = Lookup::new(target, &Rules::MAINLINE, None).minding(Compliance::Prefer);
    let mut fitting = |index: u8| {
        let addr = SocketAddr::from(([50, 2, index, 1], 6881));
        Contact { id: NodeId(Id::for_address(addr.ip(), &mut random)), addr }
    };
    let far: Vec<Contact> = (0..K as u8).map(&mut fitting).collect();
    let close =
        (0..K as u8).map(|index| Contact { id: NodeId::new([!index; 20]), addr: ([50, 1, index, 1], 6881).into() });
    let close: Vec<Contact> = close.collect();
    assert!(close.iter().all(|contact| !contact.is_compliant()), "none of the closest obeys");
    for known in [far, close] {
        known.iter().for_each(|contact| lookup.add(*contact, Origin::Own));
        for _ in 0..K {
            for contact in asked(&mut lookup, Instant::ZERO) {
                lookup.answered(&contact.addr, &contact.id, Some(b"token"));
            }
        }
    }
    assert_eq!(lookup.places(K).len(), 2 * K);
}

#[test]
fn who_answers_under_another_id_is_asked_once_more_under_that() {
    let (mut lookup, contacts) = filled(20);
    asked(&mut lookup, Instant::ZERO);
    let (addr, real) = (contacts[0].addr, NodeId::ZERO);
    assert_eq!(lookup.answered(&addr, &real, Some(b"t")), None);
    assert_eq!(asked(&mut lookup, Instant::ZERO), [Contact { id: real, addr }]);
    assert_eq!(lookup.answered(&addr, &NodeId::new([0x01; 20]), Some(b"t")), None, "yet another id");
    assert!(!asked(&mut lookup, Instant::ZERO).iter().any(|contact| contact.addr == addr), "never again");
    assert_eq!(lookup.closest().count(), 0);
}

#[test]
fn a_name_given_by_others_keeps_no_node_out() {
    let heard = Origin::Heard { hops: 1 };
    let honest = Contact { id: NodeId::new([0x01; 20]), addr: ([9, 9, 9, 9], 6881).into() };
    let elsewhere = |host: u8| SocketAddr::from(([9, 9, 9, host], 6881));
    for lie in [
        Contact { id: NodeId::new([0xaa; 20]), addr: honest.addr }, // the endpoint, far away
        Contact { id: NodeId::new([0x00; 20]), addr: honest.addr }, // the endpoint, closer
        Contact { id: NodeId::new([0xaa; 20]), addr: elsewhere(8) }, // the owner, far away
        Contact { id: NodeId::new([0x00; 20]), addr: elsewhere(8) }, // the owner, closer
        Contact { id: honest.id, addr: ([8, 8, 8, 8], 6881).into() }, // the id
    ] {
        for lie_first in [true, false] {
            let mut lookup = Lookup::new(Id::ZERO, &Rules::MAINLINE, None);
            let told = if lie_first { [lie, honest] } else { [honest, lie] };
            told.into_iter().for_each(|contact| lookup.add(contact, heard));
            let mut found = false;
            // Who is asked: the honest one answers, what was made up does not.
            loop {
                match lookup.step(Instant::ZERO) {
                    Step::Ask(contact) if contact.addr == honest.addr => {
                        found |= lookup.answered(&honest.addr, &honest.id, None).is_some();
                    }
                    Step::Ask(contact) => lookup.slow(&contact.addr),
                    Step::Starved => {}
                    Step::Wait(_) | Step::Done => break,
                }
            }
            assert!(found, "{lie:?} hides the honest one, told first: {lie_first}");
        }
    }
}

/// A second question that was not sent is not awaited as if it had been: the step comes again.
#[test]
fn a_second_question_that_was_not_sent_comes_again() {
    let (mut lookup, contacts) = filled(8);
    let mut now = Instant::ZERO;
    while let Step::Ask(contact) = lookup.step(now) {
        if contact == contacts[0] {
            lookup.slow(&contact.addr);
        } else {
            lookup.answered(&contact.addr, &contact.id, None);
        }
    }
    for _ in 0..5 {
        assert_eq!(lookup.step(now), Step::Ask(contacts[0]), "asked once more, however often it could not be sent");
        lookup.not_asked(&contacts[0]);
        now += Duration::from_millis(100);
    }
    assert_eq!(lookup.step(now), Step::Ask(contacts[0]));
    assert!(matches!(lookup.step(now), Step::Wait(Some(_))));
    assert_eq!(lookup.step(Instant::ZERO + GRACE), Step::Done, "the time for late answers is not begun anew");
}

#[test]
fn an_answer_that_was_not_asked_for_changes_nothing() {
    let (mut lookup, contacts) = filled(20);
    assert_eq!(lookup.answered(&contacts[9].addr, &contacts[9].id, None), None);
    assert_eq!(lookup.answered(&([1, 1, 1, 1], 1).into(), &contacts[9].id, None), None);
}

#[test]
fn one_owner_gets_one_place_among_the_heard_of() {
    let mut random = Random::new([4; 32]);
    for (rules, places) in [(&Rules::MAINLINE, 1), (&Rules::PRIVATE, 8)] {
        let mut lookup = Lookup::new(Id::ZERO, rules, None);
        for host in 0..8 {
            let contact = Contact { id: NodeId(random.wire_id()), addr: ([60, 1, 1, host], 1).into() };
            lookup.add(contact, Origin::Heard { hops: 1 });
        }
        let mut answers = 0;
        while let Step::Ask(contact) = lookup.step(Instant::ZERO) {
            answers += usize::from(lookup.answered(&contact.addr, &contact.id, None).is_some());
        }
        assert_eq!((answers, lookup.closest().count()), (places, places));
    }
}

/// Attackers whose ids are the closest of all, in one /48 or /24, or in one /32 or /16, beside honest nodes farther away.
#[test]
fn no_network_fills_the_head_of_a_lookup() {
    type Attacker = fn(u16) -> SocketAddr;
    let attackers: [(&str, Attacker, usize); 4] = [
        ("a /24", |n| ([60, 1, 1, n as u8], 1).into(), 1),
        ("a /16", |n| ([60, 1, n as u8, 1], 1).into(), LOOKUP_SHARE.provider),
        ("a /48", |n| ([0x2001, 0xdb8, 1, n, 0, 0, 0, 1], 1).into(), 1),
        ("a /32", |n| ([0x2001, 0xdb8, n, 0, 0, 0, 0, 1], 1).into(), LOOKUP_SHARE.provider),
    ];
    for (network, attacker, places) in attackers {
        let mut lookup = Lookup::new(Id::ZERO, &Rules::MAINLINE, None);
        let heard = Origin::Heard { hops: 1 };
        for n in 1..=100 {
            let mut id = Id::ZERO;
            id.0[19] = n as u8;
            lookup.add(Contact { id: NodeId(id), addr: attacker(n) }, heard);
        }
        let honest: Vec<Contact> =
            (1..=20).map(|n| Contact { id: NodeId::new([n; 20]), addr: ([100 + n, 9, 9, 9], 1).into() }).collect();
        honest.iter().for_each(|contact| lookup.add(*contact, heard));
        let mut asked = 0;
        loop {
            match lookup.step(Instant::ZERO) {
                Step::Ask(contact) => {
                    asked += 1;
                    lookup.answered(&contact.addr, &contact.id, Some(b"t"));
                }
                Step::Starved => {}
                Step::Wait(_) | Step::Done => break,
            }
        }
        let stored: Vec<&Contact> = lookup.places(K);
        let attackers = stored.iter().filter(|contact| !honest.contains(contact)).count();
        assert_eq!((attackers, stored.len()), (places, K), "{network}");
        assert!(asked <= K + 2, "{asked} queries: {network} costs none");
    }
}

#[test]
fn of_one_owner_the_closest_is_asked_and_the_next_when_it_is_slow_and_one_answer_counts() {
    let mut lookup = Lookup::new(Id::ZERO, &Rules::MAINLINE, None);
    let contacts = [3, 1, 2].map(|n: u8| Contact { id: NodeId::new([n; 20]), addr: ([60, 1, 1, n], 1).into() });
    contacts.iter().for_each(|contact| lookup.add(*contact, Origin::Heard { hops: 1 }));
    let [far, near, next] = contacts;
    assert_eq!(asked(&mut lookup, Instant::ZERO), [near]);
    lookup.slow(&near.addr);
    assert_eq!(asked(&mut lookup, Instant::ZERO), [next]);
    assert!(lookup.answered(&next.addr, &next.id, None).is_some());
    assert_eq!(lookup.answered(&near.addr, &near.id, None), None, "late, and its owner has its place");
    assert_eq!(lookup.closest().collect::<Vec<_>>(), [&next]);
    assert!(!asked(&mut lookup, Instant::ZERO).contains(&far));
}

#[test]
fn asks_for_more_once_and_then_ends() {
    let (mut lookup, contacts) = filled(2);
    for contact in asked(&mut lookup, Instant::ZERO) {
        lookup.answered(&contact.addr, &contact.id, None);
    }
    assert_eq!(lookup.step(Instant::ZERO), Step::Starved);
    assert_eq!(lookup.step(Instant::ZERO), Step::Done);
    assert_eq!(lookup.closest().count(), contacts.len());
}

#[test]
fn candidates_are_bounded_and_the_closest_stay() {
    let (lookup, contacts) = filled(1000);
    let kept: Vec<_> = lookup.candidates.list.iter().map(|candidate| candidate.contact).collect();
    assert_eq!(kept, contacts[..CANDIDATES]);
}

#[test]
fn the_end_game_asks_everyone_inside_the_radius() {
    let mut random = Random::new([4; 32]);
    // 20 nodes in the network: all of them lie inside the radius of 16 of 20, or nearly.
    let mut lookup = Lookup::new(Id::ZERO, &Rules::PRIVATE, Some(16.0));
    for index in 0..20 {
        lookup.add(contact(index, &mut random), Origin::Own);
    }
    let first = asked(&mut lookup, Instant::ZERO);
    assert_eq!(first.len(), 2 * K, "before the first answer twice as many are looked at as must answer");
    first.iter().for_each(|contact| _ = lookup.answered(&contact.addr, &contact.id, None));
    assert_eq!(lookup.step(Instant::ZERO), Step::Done);
}

/// A contact that shares as many bits with the target 0.
fn sharing(bits: usize, port: u16) -> Contact {
    let mut id = [0; 20];
    (id[bits / 8], id[19]) = (0x80 >> (bits % 8), port as u8);
    Contact { id: NodeId::new(id), addr: ([50, bits as u8, port as u8, 1], port).into() }
}

#[test]
fn an_answer_that_comes_nearer_frees_the_slots_of_those_that_it_overtook() {
    let mut lookup = Lookup::new(Id::ZERO, &Rules::MAINLINE, Some(1e6));
    (0..20).for_each(|port| lookup.add(sharing(2, port), Origin::Own));
    let first = asked(&mut lookup, Instant::ZERO);
    assert_eq!(first.len(), ALPHA);
    lookup.answered(&first[0].addr, &first[0].id, None);
    (0..20).for_each(|port| lookup.add(sharing(6, port), Origin::Heard { hops: 1 }));
    let second = asked(&mut lookup, Instant::ZERO);
    assert_eq!(second.len(), ALPHA, "as if none were outstanding");
    assert!(second.iter().all(|contact| contact.id.common_prefix_len(&Id::ZERO) == 6));
    lookup.answered(&first[1].addr, &first[1].id, None);
    assert_eq!(lookup.step(Instant::ZERO), Step::Wait(None), "that one came no nearer");
}

#[test]
fn of_contacts_equally_near_the_fastest_are_asked_first_and_a_bit_is_worth_only_so_much() {
    let mut lookup = Lookup::new(Id::ZERO, &Rules::MAINLINE, Some(1e6));
    let millis = [(5, 1, 90), (5, 2, 30), (5, 3, 200), (4, 4, 20), (6, 5, 400)];
    for (bits, port, rtt) in millis {
        lookup.add_known(sharing(bits, port), Duration::from_millis(rtt));
    }
    lookup.add(sharing(5, 6), Origin::Own);
    let ports: Vec<u16> = asked(&mut lookup, Instant::ZERO).iter().map(|contact| contact.addr.port()).collect();
    assert_eq!(ports, [2, 4, 1, 6, 3, 5], "what is not known counts as usual");
}

#[test]
fn the_end_waits_for_the_latest_of_the_slow_as_long_as_nearly_all_answers_take() {
    let (mut lookup, contacts) = filled(20);
    lookup.hurry(Some(Duration::from_millis(300)));
    let (begin, later) = (Instant::from_secs(1), Instant::from_micros(1_100_000));
    for now in [begin, later, later, later] {
        for contact in asked(&mut lookup, now) {
            if contact == contacts[0] {
                lookup.slow(&contact.addr);
            } else {
                lookup.answered(&contact.addr, &contact.id, None);
            }
        }
    }
    assert_eq!(lookup.step(later), Step::Wait(Some(later + Duration::from_millis(300))), "it was asked once more");
    lookup.answered(&contacts[0].addr, &contacts[0].id, None);
    assert_eq!(lookup.step(later), Step::Done);
}

#[test]
fn silence_far_from_the_target_widens_nothing() {
    for (bits, breadth) in [(2, K), (20, K + 1)] {
        let mut lookup = Lookup::new(Id::ZERO, &Rules::MAINLINE, Some(1e6));
        lookup.add(sharing(bits, 1), Origin::Own);
        assert_eq!(asked(&mut lookup, Instant::ZERO).len(), 1);
        lookup.slow(&sharing(bits, 1).addr);
        (2..30).for_each(|port| lookup.add(sharing(19, port), Origin::Heard { hops: 1 }));
        let mut answered = 0;
        loop {
            let batch = asked(&mut lookup, Instant::ZERO);
            if batch.is_empty() {
                break;
            }
            for contact in batch.iter().filter(|contact| contact.addr.port() > 1) {
                answered += usize::from(lookup.answered(&contact.addr, &contact.id, None).is_some());
            }
        }
        assert_eq!(lookup.breadth + lookup.timeouts, breadth, "{answered} have answered");
    }
}

#[test]
fn liars_who_always_name_somebody_closer_cannot_keep_it_going() {
    let liar = |step: usize| {
        let [high, low] = (step as u16).to_be_bytes();
        let mut id = [0xff; 20];
        id[..2].copy_from_slice(&(u16::MAX - step as u16).to_be_bytes());
        Contact { id: NodeId::new(id), addr: ([50 + high, low, 1, 1], 6881).into() }
    };
    let mut lookup = Lookup::new(Id::ZERO, &Rules::MAINLINE, None);
    lookup.add(liar(0), Origin::Own);
    let mut asked = 0;
    while let Step::Ask(contact) = lookup.step(Instant::ZERO) {
        asked += 1;
        assert!(asked <= QUERIES_PER_LOOKUP, "it goes on and on");
        lookup.answered(&contact.addr, &contact.id, None);
        lookup.add(liar(asked), Origin::Heard { hops: 1 });
    }
    assert_eq!(lookup.step(Instant::ZERO), Step::Done);
}

#[test]
fn a_node_without_room_fills_no_place_and_a_farther_one_is_asked() {
    let mut random = Random::new([3; 32]);
    let mut contacts: Vec<Contact> = (0..20u8)
        .map(|index| Contact { id: NodeId(random.wire_id()), addr: ([50 + index, 1, 1, 1], 1).into() })
        .collect();
    contacts.sort_by_key(|contact| contact.id);
    let mut lookup = Lookup::new(Id::ZERO, &Rules::MAINLINE, None);
    contacts.iter().for_each(|contact| lookup.add(*contact, Origin::Own));
    let answer_all = |lookup: &mut Lookup| {
        while let Step::Ask(contact) = lookup.step(Instant::ZERO) {
            lookup.answered(&contact.addr, &contact.id, Some(b"token"));
        }
    };
    answer_all(&mut lookup);
    assert_eq!(lookup.closest().count(), K);
    assert!(lookup.has_no_room(&contacts[0].addr) && lookup.has_no_room(&contacts[3].addr));
    assert!(!lookup.has_no_room(&contacts[19].addr), "it was not asked");
    answer_all(&mut lookup);
    assert_eq!(lookup.closest().count(), K + 2);
    let places: Vec<_> = lookup.places(K).into_iter().copied().collect();
    let expected: Vec<_> = [1, 2, 4, 5, 6, 7, 8, 9].map(|index| contacts[index]).to_vec();
    assert_eq!(places, expected);
}

/// Whom a lookup that knows no more than it was told asks next.
fn next_asked(lookup: &mut Lookup) -> Option<Contact> {
    loop {
        match lookup.step(Instant::ZERO) {
            Step::Ask(contact) => return Some(contact),
            Step::Starved => {}
            Step::Wait(_) | Step::Done => return None,
        }
    }
}

#[test]
fn what_a_contact_names_is_asked_last_once_much_of_it_was_silent() {
    let mut random = Random::new([4; 32]);
    let mut lookup = Lookup::new(Id::ZERO, &Rules::MAINLINE, None);
    let mut named = |first: u8, n: u8| {
        let mut id = random.wire_id();
        id.0[0] = first;
        Contact { id: NodeId(id), addr: ([50 + n, first, 1, 1], 6881).into() }
    };
    let (near, far): (Vec<Contact>, Vec<Contact>) = (0..20).map(|n| (named(0, n), named(0x80, n + 30))).unzip();
    let [liar, honest] = [1, 2].map(|n| SocketAddr::from(([9, n, 1, 1], 6881)));
    near.iter().for_each(|contact| lookup.hear(*contact, Origin::Heard { hops: 1 }, &liar, None));
    far.iter().for_each(|contact| lookup.hear(*contact, Origin::Heard { hops: 1 }, &honest, None));
    let mut asked = Vec::new();
    while let Some(contact) = next_asked(&mut lookup) {
        asked.push(contact);
        match near.contains(&contact) {
            true => lookup.failed(&contact.addr),
            false => drop(lookup.answered(&contact.addr, &contact.id, Some(b"t"))),
        }
    }
    let silent = asked.iter().take_while(|contact| near.contains(contact)).count();
    assert_eq!(silent, SILENT_PER_TELLER, "{asked:?}");
    assert!(asked.iter().filter(|contact| far.contains(contact)).count() >= K, "{asked:?}");
}

#[test]
fn of_eight_copies_two_go_beside_the_closest_nodes() {
    let mut random = Random::new([5; 32]);
    let lots = KeyedHash::new(&mut random);
    let mut lookup = Lookup::new(Id::ZERO, &Rules::MAINLINE, None).spreading(lots);
    let known: Vec<Contact> =
        (1..=24).map(|n| Contact { id: NodeId::new([n; 20]), addr: ([100 + n, 9, 9, 9], 1).into() }).collect();
    known.iter().for_each(|contact| lookup.add(*contact, Origin::Own));
    while let Some(contact) = next_asked(&mut lookup) {
        lookup.answered(&contact.addr, &contact.id, Some(b"t"));
    }
    let places = lookup.places(K);
    let beside = places.iter().filter(|contact| !known[..K].contains(contact)).count();
    assert_eq!((places.len(), beside), (K, FAR_COPIES));
}
