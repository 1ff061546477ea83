//! IPv4 and IPv6 are two networks that tell of each other (BEP 32).

use std::collections::BTreeSet;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use trackerless::engine::contact::{Contact, Family};
use trackerless::engine::id::Id;
use trackerless::engine::krpc::{Kind, Message};
use trackerless::engine::node::{Config, Event, Snapshot};
use trackerless::engine::time::Instant;
use trackerless::sim::dual_stack::{DualStack, Machine, Stack};
use trackerless::sim::random::Dice;
use trackerless::sim::world::Home;
use trackerless::sim::{Action, Host, HostId, Resident, Terms};

use crate::setup::{calm, head, network_on, round, row, table, watch};

#[test]
fn both_families_work_alike() {
    let mut rows = Vec::new();
    for family in [Family::V4, Family::V6] {
        let mut network = network_on(100, calm(), Terms::mainline(family));
        let round = round(&mut network, 100, 1);
        assert!(round.found >= 99, "{family:?}: {} of 100 found", round.found);
        rows.push(row(format!("{family:?}"), &round));
    }
    insta::assert_snapshot!(table(&head("family"), &rows));
}

const MACHINES: usize = 60;
const KEYS: usize = 40;
const STACKS: [Stack; 3] = [Stack::V4, Stack::V6, Stack::Dual];
const FAMILIES: [Family; 2] = [Family::V4, Family::V6];

/// Sixty machines, this share of which speak both families; the others speak the one or the other, in turn.
fn mixed(dual_percent: usize) -> DualStack {
    let mut both = DualStack::new(&calm(), 1);
    FAMILIES.into_iter().for_each(|family| watch(both.network_mut(family)));
    let duals = MACHINES * dual_percent / 100;
    let mut stacks: Vec<Stack> =
        (0..MACHINES).map(|index| if index < duals { Stack::Dual } else { STACKS[index % 2] }).collect();
    Dice::new(4).shuffle(&mut stacks);
    for stack in stacks {
        both.grow(stack);
    }
    both.run_for(Duration::from_secs(120));
    both
}

/// A machine of this kind, drawn at random.
fn machine(both: &DualStack, stack: Stack, dice: &mut Dice) -> Option<Machine> {
    let fitting: Vec<Machine> = both.machines().iter().copied().filter(|machine| machine.stack() == stack).collect();
    dice.pick(&fitting).copied()
}

/// Announces of machines of one kind: each key with the endpoints at which its client can be reached.
struct Announces {
    keys: Vec<(Id, BTreeSet<SocketAddr>)>,
    /// Nodes that stored one, on average, by family.
    stored_on: [f64; 2],
}

fn announce(both: &mut DualStack, stack: Stack, dice: &mut Dice) -> Option<Announces> {
    let mut keys = Vec::new();
    for _ in 0..KEYS {
        let (key, announcer) = (dice.id(), machine(both, stack, dice)?);
        both.announce(announcer, key, 6881);
        keys.push((key, homes(both, announcer)));
    }
    assert!(both.finish(Duration::from_secs(60)));
    let mut copies = |family| both.take_tasks(family).iter().map(|task| task.stored_at.len()).sum::<usize>();
    let stored_on = FAMILIES.map(|family| copies(family) as f64 / KEYS as f64);
    Some(Announces { keys, stored_on })
}

fn homes(both: &DualStack, machine: Machine) -> BTreeSet<SocketAddr> {
    let home = |family| Some(SocketAddr::new(both.network(family).world().addr(machine.node(family)?).ip(), 6881));
    FAMILIES.into_iter().filter_map(home).collect()
}

/// How many keys a machine of this kind finds; `None` where there is none.
fn find(both: &mut DualStack, stack: Stack, announces: &Announces, dice: &mut Dice) -> Option<usize> {
    for (key, _) in &announces.keys {
        let reader = machine(both, stack, dice)?;
        both.find_peers(reader, *key);
    }
    assert!(both.finish(Duration::from_secs(60)));
    let mut found = BTreeSet::new();
    for task in FAMILIES.into_iter().flat_map(|family| both.take_tasks(family)) {
        let announced = announces.keys.iter().find(|(key, _)| *key == task.target);
        if announced.is_some_and(|(_, at)| task.peers.iter().any(|peer| at.contains(peer))) {
            found.insert(task.target);
        }
    }
    Some(found.len())
}

#[test]
fn each_finds_whom_it_can_talk_to() {
    let mut rows = Vec::new();
    for percent in [100, 50, 10] {
        let (mut both, mut dice) = (mixed(percent), Dice::new(5));
        for announcer in STACKS {
            let Some(announces) = announce(&mut both, announcer, &mut dice) else { continue };
            let found = STACKS.map(|reader| find(&mut both, reader, &announces, &mut dice));
            for (reader, found) in STACKS.into_iter().zip(found) {
                let meet = FAMILIES.into_iter().any(|family| announcer.speaks(family) && reader.speaks(family));
                let expected = if meet { KEYS - 1..=KEYS } else { 0..=0 };
                assert!(found.is_none_or(|found| expected.contains(&found)), "{announcer:?}, {reader:?}: {found:?}");
            }
            let found = found.map(|found| found.map_or("-".into(), |found| format!("{found}/{KEYS}")));
            let stored_on = announces.stored_on.map(|copies| format!("{copies:.1}"));
            let named = [format!("{percent} %"), format!("{announcer:?}")];
            rows.push(named.into_iter().chain(stored_on).chain(found).collect());
        }
    }
    let head = ["dual", "announced by", "on v4", "on v6", "V4 finds", "V6 finds", "Dual finds"];
    insta::assert_snapshot!(table(&head, &rows));
}

/// Asks IPv4 nodes for the IPv6 nodes that they know, as other programs do: our own node answers `want`, but never
/// asks with it.
#[derive(Clone)]
struct Inquirer {
    id: Id,
    ask: Vec<SocketAddr>,
    sending: Vec<u8>,
    told: Arc<Mutex<Told>>,
}

/// What an inquirer is told.
#[derive(Default)]
struct Told {
    answers: usize,
    /// Answers that name an IPv6 node.
    telling: usize,
    contacts: BTreeSet<Contact>,
}

impl Host for Inquirer {
    type Report = Event;

    fn handle_datagram(&mut self, _: Instant, from: SocketAddr, bytes: &[u8]) {
        let Ok(Message { kind: Kind::Response(response), .. }) = Message::decode(bytes) else { return };
        assert!(from.is_ipv4(), "the answer comes by IPv4");
        let mut told = self.told.lock().expect("no thread panicked");
        let contacts: Vec<Contact> = response.contacts(Family::V6).collect();
        told.answers += 1;
        told.telling += usize::from(!contacts.is_empty());
        told.contacts.extend(contacts);
    }

    fn handle_timeout(&mut self, _: Instant) {}

    fn poll_action(&mut self) -> Action<'_, Event> {
        let Some(to) = self.ask.pop() else { return Action::Wait(Instant::FAR_FUTURE) };
        self.sending = b"d1:ad2:id20:".to_vec();
        self.sending.extend(self.id.0);
        self.sending.extend(b"6:target20:");
        self.sending.extend(self.id.0);
        self.sending.extend(b"4:wantl2:n62:n4ee1:q9:find_node1:t4:want1:y1:qe");
        Action::Transmit { to, payload: &self.sending }
    }
}

/// A machine that knows of IPv6 nodes only what its IPv4 acquaintances say: what they say, and what comes of it.
fn join_through_want(both: &mut DualStack) -> (Told, Option<Duration>) {
    both.network_mut(Family::V6).close_router();
    let newcomer = both.grow(Stack::V4).v4.expect("it speaks IPv4");
    both.run_for(Duration::from_secs(10));
    let told = inquire(both, newcomer);
    let node = settle_v6(both, told.contacts.iter().copied().collect());
    let began = both.now();
    both.run_for(Duration::from_secs(60));
    let ready = both.network(Family::V6).ready_at(node);
    (told, ready.map(|at| at.since(began)))
}

/// Asks all that `newcomer` knows.
fn inquire(both: &mut DualStack, newcomer: HostId) -> Told {
    let (now, v4) = (both.now(), both.network_mut(Family::V4));
    let node = v4.node(newcomer).expect("it lives");
    let ask = node.good_contact_list(now).iter().map(|contact| contact.addr).collect();
    let (id, told) = (*node.id(), Arc::<Mutex<Told>>::default());
    let inquirer = Inquirer { id, ask, sending: Vec::new(), told: Arc::clone(&told) };
    let addr = v4.endpoint();
    v4.admit(Home::open(addr), Resident::Other(Box::new(inquirer)));
    both.run_for(Duration::from_secs(5));
    std::mem::take(&mut *told.lock().expect("no thread panicked"))
}

fn settle_v6(both: &mut DualStack, contacts: Vec<Contact>) -> HostId {
    let v6 = both.network_mut(Family::V6);
    let addr = v6.endpoint();
    let saved = Snapshot { contacts, ..Snapshot::default() };
    v6.add(Home::open(addr), Config { saved, ..Terms::mainline(Family::V6).config })
}

#[test]
fn who_knows_ipv4_nodes_gets_to_know_ipv6_nodes() {
    let mut rows = Vec::new();
    for percent in [100, 50, 10] {
        let mut both = mixed(percent);
        let (told, took) = join_through_want(&mut both);
        let v6 = both.network(Family::V6);
        let alive: BTreeSet<SocketAddr> = v6.members().iter().map(|&member| v6.world().addr(member)).collect();
        let named = told.contacts.iter().filter(|contact| alive.contains(&contact.addr)).count();
        assert!(took.is_some_and(|took| took < Duration::from_secs(5)), "{percent} %: {took:?}");
        rows.push(vec![
            format!("{percent} %"),
            told.answers.to_string(),
            told.telling.to_string(),
            told.contacts.len().to_string(),
            named.to_string(),
            took.map_or("never".into(), |took| took.as_millis().to_string()),
        ]);
    }
    let head = ["dual", "answers by v4", "that name v6", "v6 nodes named", "alive", "joined after ms"];
    insta::assert_snapshot!(table(&head, &rows));
}

#[test]
fn without_contacts_or_router_the_ipv6_side_waits_although_the_ipv4_side_could_ask() {
    let mut both = mixed(50);
    both.network_mut(Family::V6).close_router();
    let newcomer = both.grow(Stack::Dual);
    both.run_for(Duration::from_mins(10));
    let ready = |family| both.network(family).ready_at(newcomer.node(family).expect("it speaks both")).is_some();
    assert_eq!(FAMILIES.map(ready), [true, false], "our nodes answer `want` and do not ask with it");
}
