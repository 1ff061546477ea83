//! One node in five means ill.

use std::time::Duration;

use trackerless::engine::contact::Contact;
use trackerless::engine::id::Id;
use trackerless::sim::adversary::{Adversary, Brief, Kind};
use trackerless::sim::random::Dice;
use trackerless::sim::world::Home;
use trackerless::sim::{Network, Resident};

use crate::town::{calm, head, round, round_of_one, row, table, town};

const HONEST: usize = 60;
const BAD: usize = 15;
/// A thousand queries a second from each of a few are a flood.
const FLOODERS: usize = 4;
const FLOOD_SECONDS: u64 = 20;

/// Adds adversaries of one kind around `key` and gives them time to be known.
fn corrupt(network: &mut Network, kind: Kind, key: Id) {
    let (count, time) = if kind == Kind::Flooder { (FLOODERS, FLOOD_SECONDS) } else { (BAD, 120) };
    let mut dice = Dice::new(7);
    let contacts: Vec<Contact> = (0..count)
        .map(|_| {
            let mut id = key;
            id.0[5..].copy_from_slice(&dice.id().0[5..]);
            let id = if kind == Kind::Sybil { id } else { dice.id() };
            Contact { id, addr: network.endpoint() }
        })
        .collect();
    let victim = match kind {
        Kind::Flooder => network.world().addr(network.members()[0]),
        _ => network.router(),
    };
    for contact in &contacts {
        let brief = Brief { kind, id: contact.id, key, victim };
        let adversary = Adversary::new(brief, &contacts, dice.bits(), network.world().now());
        network.admit(Home::open(contact.addr), Resident::Other(Box::new(adversary)));
    }
    network.run_for(Duration::from_secs(time));
}

#[test]
fn lookups_work_among_adversaries() {
    let mut rows = Vec::new();
    for kind in Kind::ALL {
        let (mut network, key) = (town(HONEST, calm()), Dice::new(1).id());
        corrupt(&mut network, kind, key);
        let round = round(&mut network, 100, 1);
        assert!(round.found >= 97, "{kind:?}: {} of 100 found", round.found);
        rows.push(row(format!("{kind:?}"), &round));
        if kind == Kind::Sybil {
            // Fifteen share forty bits with this key: of the eight closest nodes none is honest.
            rows.push(row("at its key", &round_of_one(&mut network, key, 100, 1)));
        }
    }
    insta::assert_snapshot!(table(&head("a fifth are"), &rows));
}

#[test]
fn stolen_and_invented_tokens_store_nothing() {
    let mut network = town(HONEST, calm());
    let key = Dice::new(1).id();
    corrupt(&mut network, Kind::TokenThief, key);
    let now = network.world().now();
    let nodes = || network.members().iter().filter_map(|&member| network.node(member));
    let tried: u64 = nodes().map(|node| node.stats().bad_tokens).sum();
    assert!(tried > 100, "{tried} tries");
    let stored = nodes().flat_map(|node| node.peers().iter(now)).filter(|peer| peer.peer.port() == 666).count();
    assert_eq!(stored, 0);
}

#[test]
fn a_flood_is_dropped_in_silence() {
    let mut network = town(HONEST, calm());
    let victim = network.members()[0];
    let before = *network.node(victim).expect("a member").stats();
    corrupt(&mut network, Kind::Flooder, Dice::new(1).id());
    let after = *network.node(victim).expect("a member").stats();
    let (asked, sent) = (after.received - before.received, after.sent - before.sent);
    assert!(asked > FLOODERS as u64 * FLOOD_SECONDS * 900, "{asked} queries");
    // Sixty at once and ten a second of each flooder are answered; the victim's own life goes on beside that.
    let budget = FLOODERS as u64 * (60 + 10 * FLOOD_SECONDS) + 40 * FLOOD_SECONDS;
    assert!(sent < budget, "{sent} datagrams in answer, {budget} at the most");
}
