//! The search of a region: what it costs at the most, whom it believes, where it stores.

use std::collections::BTreeMap;

use super::*;
use crate::engine::limits::QUERIES_PER_REGION;
use crate::engine::lookup::{Origin, Step};
use crate::engine::random::Random;
use crate::engine::time::Instant;

const NODES: f64 = 1_000.0;
const KEY: Id = Id([0x5a; 20]);

/// A search after a lookup whose nodes have all answered.
fn after(contacts: &[Contact], rules: &'static Rules) -> Sweep {
    judged(contacts, rules, Crowding::Calm)
}

fn judged(contacts: &[Contact], rules: &'static Rules, crowding: Crowding) -> Sweep {
    let mut lookup = Lookup::new(KEY, rules, Some(NODES));
    contacts.iter().for_each(|contact| lookup.add(*contact, Origin::Own));
    while let Step::Ask(contact) = lookup.step(Instant::ZERO) {
        lookup.answered(&contact.addr, &contact.id, Some(b"token"));
    }
    Sweep::after(&lookup, NODES, KeyedHash::new(&mut Random::new([3; 32])), crowding)
}

/// A node in a cell, or far from the region, in a provider of its own unless another is given.
fn node(cell: Option<usize>, number: u16, random: &mut Random) -> Contact {
    let [high, low] = number.to_be_bytes();
    let addr = ([20 + high, low, 1, 1], 6881).into();
    let region = Region::around(KEY, NODES);
    let id = cell.map_or_else(
        || KEY.sharing_prefix(1, random.wire_id()),
        |cell| {
            let mut id = region.target(cell);
            id.0[18..].copy_from_slice(&number.to_be_bytes());
            id
        },
    );
    Contact { id: NodeId(id), addr }
}

fn outsiders(random: &mut Random) -> Vec<Contact> {
    (0..8).map(|number| node(None, number, random)).collect()
}

/// Plays a region in which every find brings `named` and every node answers for the key as `answers` says.
fn play(
    sweep: &mut Sweep,
    named: impl Fn(usize) -> Vec<Contact>,
    answers: impl Fn(&Contact) -> bool,
) -> Vec<(Contact, Probe)> {
    let mut asked = Vec::new();
    while let Some((contact, probe, _)) = sweep.next_probe() {
        assert!(!sweep.is_over(), "one is outstanding");
        asked.push((contact, probe));
        match probe {
            Probe::Find(cell) => sweep.found(cell, contact, named(cell.into()).into_iter()),
            Probe::Get if answers(&contact) => assert!(sweep.answered(&contact.addr, &contact.id, Some(b"token"))),
            Probe::Get => sweep.silent(&contact.addr, probe),
        }
    }
    assert!(sweep.is_over());
    asked
}

#[test]
fn whatever_is_named_a_region_costs_no_more_than_its_bound_and_none_is_asked_twice() {
    let mut random = Random::new([1; 32]);
    for (answers, crowding, gets) in [
        (true, Crowding::Calm, GETS_PER_CELL),
        (false, Crowding::Calm, GETS_PER_CELL),
        (true, Crowding::Alarm, GETS_UNDER_ALARM),
    ] {
        let mut sweep = judged(&outsiders(&mut random), &Rules::MAINLINE, crowding);
        let named = |cell: usize| {
            let mut random = Random::new([cell as u8; 32]);
            (0..50).map(|number| node(Some(cell), 100 + 50 * cell as u16 + number, &mut random)).collect()
        };
        let asked = play(&mut sweep, named, |_| answers);
        assert!(asked.len() <= QUERIES_PER_REGION, "{}", asked.len());
        let mut times: BTreeMap<SocketAddr, usize> = BTreeMap::new();
        asked
            .iter()
            .filter(|(_, probe)| *probe == Probe::Get)
            .for_each(|(to, _)| *times.entry(to.addr).or_default() += 1);
        assert!(times.values().all(|&times| times == 1));
        let each = |cell: usize| {
            asked.iter().filter(|(to, probe)| *probe == Probe::Get && sweep.region.cell(&to.id) == Some(cell)).count()
        };
        assert!((0..CELLS).all(|cell| each(cell) == gets));
    }
}

#[test]
fn each_cell_stores_so_many_copies_and_only_nodes_that_gave_a_token_do() {
    let mut random = Random::new([1; 32]);
    let mut sweep = after(&outsiders(&mut random), &Rules::MAINLINE);
    let named = |cell: usize| {
        let mut random = Random::new([cell as u8; 32]);
        (0..8).map(|number| node(Some(cell), 100 + 50 * cell as u16 + number, &mut random)).collect()
    };
    play(&mut sweep, named, |contact| sweep_cell(contact) != Some(2));
    let places: Vec<Contact> = sweep.places().copied().collect();
    for cell in 0..CELLS {
        let copies = places.iter().filter(|place| sweep_cell(place) == Some(cell)).count();
        assert_eq!(copies, if cell == 2 { 0 } else { COPIES_PER_CELL }, "cell {cell}");
    }
    assert!(places.iter().all(|place| sweep.token_of(place) == Some(b"token")));
}

fn sweep_cell(contact: &Contact) -> Option<usize> {
    Region::around(KEY, NODES).cell(&contact.id)
}

#[test]
fn the_first_to_tell_of_a_cell_lives_outside_the_region() {
    let mut random = Random::new([1; 32]);
    let mut contacts = outsiders(&mut random);
    contacts.extend((0..8).map(|number| node(Some(number), 50 + number as u16, &mut random)));
    let mut sweep = after(&contacts, &Rules::MAINLINE);
    for _ in 0..CELLS {
        let (contact, probe, _) = sweep.next_probe().expect("one for each cell");
        assert!(matches!(probe, Probe::Find(_)) && !sweep.region.contains(&contact.id), "{contact:?}");
    }
}

#[test]
fn of_one_provider_one_node_is_asked_for_the_key_unless_it_is_silent() {
    let mut random = Random::new([1; 32]);
    for (rules, silent, most) in
        [(&Rules::MAINLINE, false, 1), (&Rules::MAINLINE, true, GETS_PER_CELL), (&Rules::PRIVATE, false, GETS_PER_CELL)]
    {
        let mut sweep = after(&outsiders(&mut random), rules);
        // All in one /16, and in one cell.
        let named = |cell: usize| -> Vec<Contact> {
            let mut random = Random::new([9; 32]);
            let of_one = |number: u8| Contact {
                addr: ([99, 9, number, 1], 6881).into(),
                ..node(Some(3), number.into(), &mut random)
            };
            if cell == 3 { (1..=20).map(of_one).collect() } else { Vec::new() }
        };
        let asked = play(&mut sweep, named, |_| !silent);
        let gets = asked
            .iter()
            .filter(|(to, probe)| *probe == Probe::Get && to.addr.ip().to_string().starts_with("99.9."))
            .count();
        assert_eq!(gets, most, "silent: {silent}");
    }
}

#[test]
fn an_answer_under_another_id_or_to_no_question_does_not_count() {
    let mut random = Random::new([1; 32]);
    let mut sweep = after(&outsiders(&mut random), &Rules::MAINLINE);
    let liar = node(Some(0), 200, &mut random);
    assert!(!sweep.answered(&liar.addr, &liar.id, Some(b"t")), "it was not asked");
    let (asker, probe, _) = sweep.next_probe().expect("the first cell");
    assert_eq!(probe, Probe::Find(0));
    sweep.found(0, asker, [liar].into_iter());
    let asked = loop {
        let (contact, probe, _) = sweep.next_probe().expect("the one named");
        match probe {
            Probe::Find(cell) => sweep.found(cell, contact, std::iter::empty()),
            Probe::Get => break contact,
        }
    };
    assert_eq!(asked, liar);
    assert!(!sweep.answered(&liar.addr, &NodeId::new([1; 20]), Some(b"t")));
    assert!(sweep.places().all(|place| *place != liar));
    sweep.silent(&liar.addr, Probe::Get);
    assert!(sweep.answered(&liar.addr, &liar.id, Some(b"t")), "a late answer counts");
    assert!(sweep.places().any(|place| *place == liar));
}

/// Contacts around the middle of a cell.
fn neighbours(sweep: &Sweep, cell: usize, count: usize, random: &mut Random) -> Vec<Contact> {
    let middle = sweep.region.target(cell);
    let near = |_| {
        let mut id = random.wire_id();
        id.0[..4].copy_from_slice(&middle.0[..4]);
        let addr = ([50 + id.0[17] % 50, id.0[18], id.0[19], 1], 6881).into();
        Contact { id: NodeId(id), addr }
    };
    (0..count).map(near).collect()
}

#[test]
fn a_cell_costs_and_keeps_what_it_may_whatever_is_named() {
    let mut random = Random::new([3; 32]);
    let lookup = Lookup::new(random.wire_id(), &Rules::PRIVATE, Some(1000.0)).minding(Compliance::Off);
    let mut sweep = Sweep::after(&lookup, 1000.0, KeyedHash::new(&mut random), Crowding::Calm);
    let outside: Vec<Contact> =
        (1..=8).map(|n| Contact { id: NodeId(random.wire_id()), addr: ([99, n, 1, 1], 1).into() }).collect();
    outside.iter().for_each(|contact| sweep.note_asker(*contact));
    let (mut finds, mut gets) = ([0; CELLS], [0; CELLS]);
    while let Some((contact, probe, target)) = sweep.next_probe() {
        match probe {
            Probe::Find(cell) => {
                finds[usize::from(cell)] += 1;
                // The first cell names no node; the others name many.
                let named = if cell == 0 { 0 } else { 2 * MEMBERS_PER_CELL };
                let named = neighbours(&sweep, cell.into(), named, &mut random);
                sweep.found(cell, contact, named.into_iter());
            }
            Probe::Get => {
                gets[sweep.region.cell(&target).expect("the middle of a cell")] += 1;
                assert!(sweep.answered(&contact.addr, &contact.id, Some(b"token")));
            }
        }
        assert!(sweep.cells.iter().all(|cell| cell.members.len() <= MEMBERS_PER_CELL));
    }
    assert_eq!((finds[0], gets[0]), (FINDS_PER_CELL, 0));
    assert!(finds.iter().all(|finds| *finds <= FINDS_PER_CELL), "{finds:?}");
    assert_eq!(gets[1..], [GETS_PER_CELL; CELLS - 1]);
    assert!(finds.iter().chain(&gets).sum::<usize>() <= QUERIES_PER_REGION);
    assert_eq!(sweep.cells[1].members.len(), MEMBERS_PER_CELL);
    assert_eq!(sweep.places().count(), COPIES_PER_CELL * (CELLS - 1));
    assert!(sweep.is_over());
}
