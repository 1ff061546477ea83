//! What each attack does to a network, and what the network survives.
//!
//! The tables have a row for each number of attackers among sixty honest nodes. *reached*: of 100 lookups of a
//! member's id, those that end at that member, the closest there can be. *tables*, *nearest 8*: the share of
//! attackers and of invented nodes in the routing tables of the honest, and among the eight entries nearest to their owner.
//! *sent*, *asks*: datagrams that an honest node sends a minute, and the queries among them. *false*: peers that no honest node
//! announced, as they lie in the stores of the honest, and as readers were told of them.

use std::collections::BTreeSet;
use std::net::{IpAddr, Ipv6Addr, SocketAddr};
use std::time::Duration;

use trackerless::engine::compliance::Compliance;
use trackerless::engine::contact::{Contact, Family};
use trackerless::engine::id::{Id, NodeId};
use trackerless::engine::node::{Config, Node, Stats};
use trackerless::engine::random::Random;
use trackerless::engine::rules::Rules;
use trackerless::sim::adversary::{Adversary, Attack, Brief};
use trackerless::sim::random::Dice;
use trackerless::sim::task::Task;
use trackerless::sim::world::Home;
use trackerless::sim::{HostId, Network, Resident, Terms};

use crate::setup::{Round, calm, copy_of, member, network_of, network_on, round, table};

const HONEST: usize = 60;
/// Time that an attack lasts before its effect is measured.
const ATTACK_LASTS: Duration = Duration::from_mins(1);
const LOOKUPS: usize = 100;

fn key() -> Id {
    Dice::new(1).id()
}

/// Lets `count` attackers in. Sybils share forty bits with the key.
fn admit_attackers(network: &mut Network, attack: Attack, count: usize) {
    let mut dice = Dice::new(7);
    let contacts: Vec<Contact> = (0..count)
        .map(|_| {
            let mut id = key();
            id.0[5..].copy_from_slice(&dice.id().0[5..]);
            let id = if attack == Attack::Sybil { id } else { dice.id() };
            Contact { id: NodeId(id), addr: network.endpoint() }
        })
        .collect();
    admit(network, attack, &contacts, dice);
}

/// Lets attackers with these ids in at these addresses.
fn admit(network: &mut Network, attack: Attack, contacts: &[Contact], mut dice: Dice) {
    let victim = match attack {
        Attack::Flooder => network.world().addr(network.members()[0]),
        _ => network.router(),
    };
    for contact in contacts {
        let brief = Brief { attack, id: contact.id, key: key(), victim };
        let adversary = Adversary::new(brief, contacts, dice.bits(), network.world().now());
        network.admit(Home::open(contact.addr), Resident::Other(Box::new(adversary)));
    }
}

/// What an attack came to.
struct Effect {
    bad: usize,
    round: Round,
    reached: usize,
    tables: f64,
    nearest: f64,
    /// Entries of honest tables that do not exist.
    invented: usize,
    /// What the honest counted during the attack, together.
    counted: Stats,
    false_stored: usize,
}

impl Effect {
    fn of(network: &Network, attack: Attack, bad: usize) -> Self {
        let mut network = copy_of(network);
        let before = total(&network);
        admit_attackers(&mut network, attack, bad);
        network.run_for(ATTACK_LASTS);
        let counted = difference(&total(&network), &before);
        let round = round(&mut network, LOOKUPS, 1);
        Self {
            bad,
            round,
            reached: reached(&mut network),
            tables: poisoned(&network, usize::MAX),
            nearest: poisoned(&network, 8),
            invented: entries(&network).filter(|addr| is_nowhere(addr.ip())).count(),
            counted,
            false_stored: false_stored(&network),
        }
    }

    const COLUMNS: [&str; 12] = [
        "bad",
        "found",
        "reached",
        "stored on",
        "asked",
        "median ms",
        "tables",
        "nearest 8",
        "sent",
        "asks",
        "false stored",
        "false read",
    ];

    fn cells(&self) -> Vec<String> {
        let a_minute = |count: u64| format!("{:.0}", count as f64 / ATTACK_LASTS.as_secs_f64() * 60.0 / HONEST as f64);
        let [found, stored, asked, median] = self.round.cells();
        vec![
            format!("{}", self.bad),
            found,
            format!("{}/{LOOKUPS}", self.reached),
            stored,
            asked,
            median,
            format!("{:.0} %", 100.0 * self.tables),
            format!("{:.0} %", 100.0 * self.nearest),
            a_minute(self.counted.sent),
            a_minute(self.counted.queries),
            self.false_stored.to_string(),
            self.round.invented.to_string(),
        ]
    }
}

/// The effect of no attackers, one in five and one in three.
fn effects_of(attack: Attack) -> Vec<Effect> {
    let network = network_of(HONEST, calm());
    [0, 15, 30].map(|bad| Effect::of(&network, attack, bad)).into()
}

fn rendered(effects: &[Effect]) -> String {
    let rows: Vec<Vec<String>> = effects.iter().map(Effect::cells).collect();
    table(&Effect::COLUMNS, &rows)
}

fn honest(network: &Network) -> impl Iterator<Item = &Node> {
    network.members().iter().filter_map(|&member| network.node(member))
}

/// Where the honest live: whatever else is in a table or a store is none of them.
fn homes(network: &Network) -> BTreeSet<IpAddr> {
    network.members().iter().map(|&member| network.world().addr(member).ip()).collect()
}

fn total(network: &Network) -> Stats {
    honest(network).map(Node::stats).fold(Stats::default(), |sum, stats| Stats {
        sent: sum.sent + stats.sent,
        queries: sum.queries + stats.queries,
        bad_tokens: sum.bad_tokens + stats.bad_tokens,
        ..sum
    })
}

fn difference(after: &Stats, before: &Stats) -> Stats {
    Stats {
        sent: after.sent - before.sent,
        queries: after.queries - before.queries,
        bad_tokens: after.bad_tokens - before.bad_tokens,
        ..Stats::default()
    }
}

/// Of 100 lookups of a member's id, those that end at that member.
fn reached(network: &mut Network) -> usize {
    let mut dice = Dice::new(9);
    for _ in 0..LOOKUPS {
        let (asker, target) = (member(network, &mut dice), member(network, &mut dice));
        // No node looks itself up.
        let asker = if asker == target { network.members()[dice.below(HONEST - 1)] } else { asker };
        let id = *network.node(target).expect("members live").id();
        network.find_node(asker, id);
    }
    network.finish(Duration::from_secs(60));
    network.take_tasks().iter().filter(|task| ends_at_target(task)).count()
}

fn ends_at_target(task: &Task) -> bool {
    task.nearest.is_some_and(|(contact, _)| *contact.id == task.target)
}

/// The share of strangers among the entries of honest tables, of which only the `nearest` count.
fn poisoned(network: &Network, nearest: usize) -> f64 {
    let homes = homes(network);
    let (mut bad, mut all) = (0, 0);
    for node in honest(network) {
        let mut entries: Vec<Contact> = node.entries().map(|entry| entry.contact).collect();
        entries.sort_by_key(|contact| node.id().distance(&contact.id));
        entries.truncate(nearest);
        bad += entries.iter().filter(|contact| !homes.contains(&contact.addr.ip())).count();
        all += entries.len();
    }
    bad as f64 / all as f64
}

fn entries(network: &Network) -> impl Iterator<Item = SocketAddr> {
    honest(network).flat_map(Node::entries).map(|entry| entry.contact.addr)
}

/// Whether a liar invented it: 198.18.0.0/15.
fn is_nowhere(ip: IpAddr) -> bool {
    matches!(ip, IpAddr::V4(ip) if ip.octets()[0] == 198 && ip.octets()[1] & 0xfe == 18)
}

/// Peers in the stores of the honest that none of the honest announced.
fn false_stored(network: &Network) -> usize {
    let (homes, now) = (homes(network), network.world().now());
    honest(network).flat_map(|node| node.peers().iter(now)).filter(|stored| !homes.contains(&stored.peer.ip())).count()
}

/// The network survives an attack: what is announced is found, every member is reached, and nothing false is stored.
fn assert_survives(effects: &[Effect], found: usize) {
    for Effect { bad, round, reached, false_stored, .. } in effects {
        assert!(round.found >= found, "{} of {LOOKUPS} found among {bad}", round.found);
        assert!(*reached >= 99, "{reached} of {LOOKUPS} reached among {bad}");
        assert_eq!(*false_stored, 0, "stored by {bad}");
    }
}

#[test]
fn the_silent_cost_time() {
    let effects = effects_of(Attack::Silent);
    assert_survives(&effects, 99);
    insta::assert_snapshot!(rendered(&effects));
}

#[test]
fn liars_cost_queries_and_what_they_invent_stays_out_of_tables() {
    let effects = effects_of(Attack::Liar);
    assert_survives(&effects, 99);
    assert!(effects.iter().all(|effect| effect.invented == 0), "a node that does not exist is in a table");
    // What they say of peers cannot be told from the truth (BEP 5): readers get it.
    insta::assert_snapshot!(rendered(&effects));
}

#[test]
fn sybils_own_the_surroundings_of_their_key_and_nothing_else() {
    let effects = effects_of(Attack::Sybil);
    // One key in 32 shares five bits with theirs: in a network of sixty no honest node is nearer.
    assert_survives(&effects, 95);
    assert!(effects.iter().all(|effect| effect.nearest < 0.1), "sybils displace others");
    insta::assert_snapshot!(rendered(&effects));
}

/// What becomes of a key that twenty members announce and the other forty look up.
struct AtKey {
    /// Announces that an honest node stored.
    held: usize,
    /// Readers that found any peer.
    served: usize,
    /// Of all pairs of announcer and reader, those that found each other.
    pairs: f64,
}

const ANNOUNCERS: usize = 20;
const READERS: usize = HONEST - ANNOUNCERS;

impl AtKey {
    fn of(network: &mut Network) -> Self {
        let (homes, members) = (homes(network), network.members().to_vec());
        let (announcers, readers) = members.split_at(ANNOUNCERS);
        announcers.iter().for_each(|&announcer| network.announce(announcer, key(), 6881));
        network.finish(Duration::from_secs(60));
        let is_held = |task: &&Task| task.stored_at.iter().any(|contact| homes.contains(&contact.addr.ip()));
        let held = network.take_tasks().iter().filter(is_held).count();
        readers.iter().for_each(|&reader| network.find_peers(reader, key()));
        network.finish(Duration::from_secs(60));
        let found: Vec<usize> = network.take_tasks().iter().map(|task| task.peers.len()).collect();
        let pairs = found.iter().sum::<usize>() as f64 / (ANNOUNCERS * READERS) as f64;
        Self { held, served: found.iter().filter(|peers| **peers > 0).count(), pairs }
    }

    const COLUMNS: [&str; 3] = ["held by the honest", "readers served", "pairs that met"];

    fn cells(&self) -> [String; 3] {
        let Self { held, served, pairs } = self;
        [format!("{held}/{ANNOUNCERS}"), format!("{served}/{READERS}"), format!("{:.0} %", 100.0 * pairs)]
    }
}

#[test]
fn how_many_sybils_own_a_key() {
    let mut rows = Vec::new();
    for compliance in [Compliance::Off, Compliance::Prefer, Compliance::Enforce] {
        let config = Config { compliance, ..Terms::mainline(Family::V4).config };
        let calm_network = network_on(HONEST, calm(), Terms { config, ..Terms::mainline(Family::V4) });
        for sybils in [4, 8, 15] {
            let mut network = copy_of(&calm_network);
            admit_attackers(&mut network, Attack::Sybil, sybils);
            network.run_for(ATTACK_LASTS);
            let at_key = AtKey::of(&mut network);
            // Where ids that fit come first, those that do not fit take no key, however many they are.
            assert!(at_key.pairs > 0.95 || (compliance == Compliance::Off && sybils >= 8));
            rows.push([format!("{compliance:?}"), sybils.to_string()].into_iter().chain(at_key.cells()).collect());
        }
    }
    let head: Vec<&str> = ["ids", "sybils"].into_iter().chain(AtKey::COLUMNS).collect();
    insta::assert_snapshot!(table(&head, &rows));
}

#[test]
fn who_changes_its_id_stays_out_of_tables() {
    let effects = effects_of(Attack::IdChanger);
    assert_survives(&effects, 99);
    assert!(effects.iter().all(|effect| effect.tables < 0.1), "those who change their ids are in tables");
    insta::assert_snapshot!(rendered(&effects));
}

#[test]
fn poisoners_own_the_nearest_places_and_lookups_survive_by_the_rest_of_the_table() {
    let effects = effects_of(Attack::Poisoner);
    assert_survives(&effects, 97);
    assert!(effects.iter().all(|effect| effect.tables < 0.35), "more than their share of the tables");
    insta::assert_snapshot!(rendered(&effects));
}

#[test]
fn stolen_and_invented_tokens_store_nothing() {
    let effects = effects_of(Attack::TokenThief);
    assert_survives(&effects, 99);
    for effect in &effects[1..] {
        assert!(effect.counted.bad_tokens > 100, "{} tries of {} thieves", effect.counted.bad_tokens, effect.bad);
    }
    insta::assert_snapshot!(rendered(&effects));
}

const FLOOD_SECONDS: u64 = 10;

/// What a member counts a second in a flood: queries received and dropped, datagrams and bytes sent.
fn flooded(network: &mut Network, victim: HostId, flooders: usize) -> [u64; 4] {
    let counted = |network: &Network| {
        let stats = *network.node(victim).expect("a member").stats();
        [stats.received, stats.limited, stats.sent, stats.sent_bytes]
    };
    let before = counted(network);
    admit_attackers(network, Attack::Flooder, flooders);
    network.run_for(Duration::from_secs(FLOOD_SECONDS));
    let after = counted(network);
    std::array::from_fn(|index| (after[index] - before[index]) / FLOOD_SECONDS)
}

/// How many of all others still find a member, in the midst of a flood.
fn served(network: &mut Network, id: Id) -> usize {
    network.members().to_vec().into_iter().for_each(|other| network.find_node(other, id));
    network.finish(Duration::from_secs(10));
    network.take_tasks().iter().filter(|task| ends_at_target(task)).count()
}

#[test]
fn a_flood_is_dropped_in_silence() {
    let calm_network = network_of(HONEST, calm());
    let victim = calm_network.members()[0];
    let id = *calm_network.node(victim).expect("a member").id();
    let mut rows = Vec::new();
    for flooders in [0, 1, 4, 16] {
        let mut network = copy_of(&calm_network);
        let counts = flooded(&mut network, victim, flooders);
        let [received, _, sent, _] = counts;
        assert!(received >= flooders as u64 * 900, "{received} queries a second of {flooders}");
        // Sixty at once and ten a second of each flooder are answered; the victim's own life goes on beside that.
        let budget = flooders as u64 * (60 / FLOOD_SECONDS + 10) + 40;
        assert!(sent < budget, "{sent} datagrams a second, {budget} at the most");
        let served = served(&mut network, id);
        assert_eq!(served, HONEST - 1, "of all others find the victim");
        let cells = counts.iter().map(u64::to_string).chain([format!("{served}/{}", HONEST - 1)]);
        rows.push([flooders.to_string()].into_iter().chain(cells).collect());
    }
    let head = ["flooders", "received a second", "dropped", "sent", "bytes sent", "others find it"];
    insta::assert_snapshot!(table(&head, &rows));
}

/// Contacts of one /48 with ids that fit their addresses (BEP 42) and lie beside the key.
fn fitting_sybils(count: usize) -> Vec<Contact> {
    let sites = (0..=u16::MAX).map(|site| IpAddr::V6(Ipv6Addr::new(0x2a00, 0x1234, 0x5678, site, 0, 0, 0, 1)));
    let contacts = sites.zip(0..).map(|(ip, number): (IpAddr, u64)| {
        let id = Id::for_address(ip, &mut Random::new(Dice::new(number).seed()));
        Contact { id: NodeId(id), addr: SocketAddr::new(ip, 6881) }
    });
    contacts.filter(|contact| contact.id.common_prefix_len(&key()) >= 12).take(count).collect()
}

#[test]
fn eight_nodes_of_one_ipv6_customer_whose_ids_fit_do_not_own_a_key() {
    for compliance in [Compliance::Prefer, Compliance::Enforce] {
        let config = Config { compliance, ..Terms::mainline(Family::V6).config };
        let mut network = network_on(HONEST, calm(), Terms { config, ..Terms::mainline(Family::V6) });
        let sybils = fitting_sybils(8);
        assert_eq!(sybils.len(), 8, "a /48 has addresses enough");
        admit(&mut network, Attack::Sybil, &sybils, Dice::new(7));
        network.run_for(ATTACK_LASTS);
        let AtKey { held, served, pairs } = AtKey::of(&mut network);
        assert_eq!((held, served), (ANNOUNCERS, READERS), "{compliance:?}");
        assert!(pairs > 0.95, "{compliance:?}: {pairs} of all pairs met");
    }
}

/// Contacts whose ids fit their addresses (BEP 42) and lie beside the key, each of a network of its own.
fn fitting_sybils_apart(count: usize) -> Vec<Contact> {
    let mut dice = Dice::new(11);
    let contacts = std::iter::repeat_with(|| {
        let ip = IpAddr::from((dice.bits() as u32).to_be_bytes());
        Contact { id: NodeId(dice.id().fitted_to(ip)), addr: SocketAddr::new(ip, 6881) }
    });
    let is_beside =
        |contact: &Contact| Rules::MAINLINE.admits(&contact.addr) && contact.id.common_prefix_len(&key()) >= 12;
    contacts.filter(is_beside).take(count).collect()
}

/// They answer, name only each other and hand out no peer: before announces went to others than the eight closest and
/// searches looked beyond them, eight of these owned the key under every setting, and no reader found anybody.
#[test]
fn nodes_of_many_networks_whose_ids_fit_do_not_own_a_key() {
    let calm_network = network_of(HONEST, calm());
    let mut rows = Vec::new();
    for (sybils, measured) in [(8, false), (8, true), (20, true)] {
        let mut network = copy_of(&calm_network);
        if measured {
            // A node that has keys of its own has measured the network after some minutes.
            for member in network.members().to_vec() {
                network.find_peers(member, Dice::new(12).id());
            }
            network.run_for(Duration::from_mins(4));
            network.take_tasks();
        }
        admit(&mut network, Attack::Sybil, &fitting_sybils_apart(sybils), Dice::new(7));
        network.run_for(ATTACK_LASTS);
        let at_key = AtKey::of(&mut network);
        let alarms = honest(&network).filter(|node| node.stats().keys_under_alarm > 0).count();
        // In a town of sixty twenty of them are a quarter of all nodes.
        let (held, served) = if sybils == 8 { (ANNOUNCERS, READERS * 8 / 10) } else { (ANNOUNCERS / 2, READERS / 2) };
        assert!(at_key.held >= held && at_key.served >= served, "{} and {}", at_key.held, at_key.served);
        assert!(!measured || alarms > HONEST / 2, "{sybils}: {alarms} alarms");
        let start =
            [sybils.to_string(), if measured { "known" } else { "unknown" }.into(), format!("{alarms}/{HONEST}")];
        rows.push(start.into_iter().chain(at_key.cells()).collect());
    }
    let head: Vec<&str> = ["sybils", "size", "alarmed"].into_iter().chain(AtKey::COLUMNS).collect();
    insta::assert_snapshot!(table(&head, &rows));
}
