//! Some mean ill: what each kind of adversary does to a town, and what the town bears.
//!
//! The tables have a row for each number of adversaries among sixty honest nodes. *reached*: of 100 lookups of a
//! member's id, those that end at that member, the closest there can be. *tables*, *nearest 8*: the share of
//! adversaries and of nobody in the routing tables of the honest, and among the eight entries nearest to their owner.
//! *sent*, *asks*: datagrams that an honest node sends a minute, and the queries among them. *false*: peers that nobody honest announced, as they lie in
//! the stores of the honest, and as readers were told of them.

use std::collections::BTreeSet;
use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use trackerless::engine::compliance::Compliance;
use trackerless::engine::contact::{Contact, Family};
use trackerless::engine::id::Id;
use trackerless::engine::node::{Config, Node, Stats};
use trackerless::sim::adversary::{Adversary, Brief, Kind};
use trackerless::sim::random::Dice;
use trackerless::sim::task::Task;
use trackerless::sim::world::Home;
use trackerless::sim::{HostId, Network, Resident, Terms};

use crate::town::{Round, calm, copy_of, member, round, table, town, town_of};

const HONEST: usize = 60;
/// For so long they are at it before anyone looks.
const SIEGE: Duration = Duration::from_mins(1);
const LOOKUPS: usize = 100;

fn key() -> Id {
    Dice::new(1).id()
}

/// Lets `count` adversaries in. Sybils share forty bits with the key.
fn besiege(town: &mut Network, kind: Kind, count: usize) {
    let mut dice = Dice::new(7);
    let contacts: Vec<Contact> = (0..count)
        .map(|_| {
            let mut id = key();
            id.0[5..].copy_from_slice(&dice.id().0[5..]);
            let id = if kind == Kind::Sybil { id } else { dice.id() };
            Contact { id, addr: town.endpoint() }
        })
        .collect();
    let victim = match kind {
        Kind::Flooder => town.world().addr(town.members()[0]),
        _ => town.router(),
    };
    for contact in &contacts {
        let brief = Brief { kind, id: contact.id, key: key(), victim };
        let adversary = Adversary::new(brief, &contacts, dice.bits(), town.world().now());
        town.admit(Home::open(contact.addr), Resident::Other(Box::new(adversary)));
    }
}

/// What a siege came to.
struct Harm {
    bad: usize,
    round: Round,
    reached: usize,
    tables: f64,
    nearest: f64,
    /// Entries of honest tables that do not exist.
    nobody: usize,
    /// What the honest counted during the siege, together.
    counted: Stats,
    false_stored: usize,
}

impl Harm {
    fn of(town: &Network, kind: Kind, bad: usize) -> Self {
        let mut town = copy_of(town);
        let before = total(&town);
        besiege(&mut town, kind, bad);
        town.run_for(SIEGE);
        let counted = difference(&total(&town), &before);
        let round = round(&mut town, LOOKUPS, 1);
        Self {
            bad,
            round,
            reached: reached(&mut town),
            tables: poisoned(&town, usize::MAX),
            nearest: poisoned(&town, 8),
            nobody: entries(&town).filter(|addr| is_nowhere(addr.ip())).count(),
            counted,
            false_stored: false_stored(&town),
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
        let a_minute = |count: u64| format!("{:.0}", count as f64 / SIEGE.as_secs_f64() * 60.0 / HONEST as f64);
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

/// What none, one in five and one in three do.
fn harms(kind: Kind) -> Vec<Harm> {
    let town = town(HONEST, calm());
    [0, 15, 30].map(|bad| Harm::of(&town, kind, bad)).into()
}

fn rendered(harms: &[Harm]) -> String {
    let rows: Vec<Vec<String>> = harms.iter().map(Harm::cells).collect();
    table(&Harm::COLUMNS, &rows)
}

fn honest(town: &Network) -> impl Iterator<Item = &Node> {
    town.members().iter().filter_map(|&member| town.node(member))
}

/// Where the honest live: whatever else is in a table or a store is none of them.
fn homes(town: &Network) -> BTreeSet<IpAddr> {
    town.members().iter().map(|&member| town.world().addr(member).ip()).collect()
}

fn total(town: &Network) -> Stats {
    honest(town).map(Node::stats).fold(Stats::default(), |sum, stats| Stats {
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
fn reached(town: &mut Network) -> usize {
    let mut dice = Dice::new(9);
    for _ in 0..LOOKUPS {
        let (asker, target) = (member(town, &mut dice), member(town, &mut dice));
        // Nobody looks itself up.
        let asker = if asker == target { town.members()[dice.below(HONEST - 1)] } else { asker };
        let id = *town.node(target).expect("members live").id();
        town.find_node(asker, id);
    }
    town.finish(Duration::from_secs(60));
    town.take_tasks().iter().filter(|task| ends_at_target(task)).count()
}

fn ends_at_target(task: &Task) -> bool {
    task.nearest.is_some_and(|(contact, _)| contact.id == task.target)
}

/// The share of strangers among the entries of honest tables, of which only the `nearest` count.
fn poisoned(town: &Network, nearest: usize) -> f64 {
    let homes = homes(town);
    let (mut bad, mut all) = (0, 0);
    for node in honest(town) {
        let mut entries: Vec<Contact> = node.entries().map(|entry| entry.contact).collect();
        entries.sort_by_key(|contact| node.id().distance(&contact.id));
        entries.truncate(nearest);
        bad += entries.iter().filter(|contact| !homes.contains(&contact.addr.ip())).count();
        all += entries.len();
    }
    bad as f64 / all as f64
}

fn entries(town: &Network) -> impl Iterator<Item = SocketAddr> {
    honest(town).flat_map(Node::entries).map(|entry| entry.contact.addr)
}

/// Whether a liar invented it: 198.18.0.0/15.
fn is_nowhere(ip: IpAddr) -> bool {
    matches!(ip, IpAddr::V4(ip) if ip.octets()[0] == 198 && ip.octets()[1] & 0xfe == 18)
}

/// Peers in the stores of the honest that none of the honest announced.
fn false_stored(town: &Network) -> usize {
    let (homes, now) = (homes(town), town.world().now());
    honest(town).flat_map(|node| node.peers().iter(now)).filter(|stored| !homes.contains(&stored.peer.ip())).count()
}

/// Whatever they do: what is announced is found, everybody is reached, and nothing false is stored.
fn assert_borne(harms: &[Harm], found: usize) {
    for Harm { bad, round, reached, false_stored, .. } in harms {
        assert!(round.found >= found, "{} of {LOOKUPS} found among {bad}", round.found);
        assert!(*reached >= 99, "{reached} of {LOOKUPS} reached among {bad}");
        assert_eq!(*false_stored, 0, "stored by {bad}");
    }
}

#[test]
fn the_silent_cost_time() {
    let harms = harms(Kind::Silent);
    assert_borne(&harms, 99);
    insta::assert_snapshot!(rendered(&harms));
}

#[test]
fn liars_cost_queries_and_what_they_invent_stays_out_of_tables() {
    let harms = harms(Kind::Liar);
    assert_borne(&harms, 99);
    assert!(harms.iter().all(|harm| harm.nobody == 0), "somebody who does not exist is in a table");
    // What they say of peers cannot be told from the truth (BEP 5): readers get it.
    insta::assert_snapshot!(rendered(&harms));
}

#[test]
fn sybils_own_the_surroundings_of_their_key_and_nothing_else() {
    let harms = harms(Kind::Sybil);
    // One key in 32 shares five bits with theirs: in a town of sixty nobody honest is nearer.
    assert_borne(&harms, 95);
    assert!(harms.iter().all(|harm| harm.nearest < 0.1), "sybils crowd in on others");
    insta::assert_snapshot!(rendered(&harms));
}

/// What becomes of a key that twenty members announce and the other forty look up.
struct AtKey {
    /// Announces that an honest node stored.
    held: usize,
    /// Readers who found anybody.
    served: usize,
    /// Of all pairs of announcer and reader, those that found each other.
    pairs: f64,
}

const ANNOUNCERS: usize = 20;
const READERS: usize = HONEST - ANNOUNCERS;

impl AtKey {
    fn of(town: &mut Network) -> Self {
        let (homes, members) = (homes(town), town.members().to_vec());
        let (announcers, readers) = members.split_at(ANNOUNCERS);
        announcers.iter().for_each(|&announcer| town.announce(announcer, key(), 6881));
        town.finish(Duration::from_secs(60));
        let is_held = |task: &&Task| task.stored_at.iter().any(|contact| homes.contains(&contact.addr.ip()));
        let held = town.take_tasks().iter().filter(is_held).count();
        readers.iter().for_each(|&reader| town.find_peers(reader, key()));
        town.finish(Duration::from_secs(60));
        let found: Vec<usize> = town.take_tasks().iter().map(|task| task.peers.len()).collect();
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
        let calm_town = town_of(HONEST, calm(), Terms { config, ..Terms::mainline(Family::V4) });
        for sybils in [4, 8, 15] {
            let mut town = copy_of(&calm_town);
            besiege(&mut town, Kind::Sybil, sybils);
            town.run_for(SIEGE);
            let at_key = AtKey::of(&mut town);
            // An announce is stored on eight: as many sybils can leave it no honest place.
            assert!(at_key.pairs > 0.95 || (compliance != Compliance::Enforce && sybils >= 8));
            rows.push([format!("{compliance:?}"), sybils.to_string()].into_iter().chain(at_key.cells()).collect());
        }
    }
    let head: Vec<&str> = ["ids", "sybils"].into_iter().chain(AtKey::COLUMNS).collect();
    insta::assert_snapshot!(table(&head, &rows));
}

#[test]
fn who_changes_its_id_stays_out_of_tables() {
    let harms = harms(Kind::IdChanger);
    assert_borne(&harms, 99);
    assert!(harms.iter().all(|harm| harm.tables < 0.1), "those who change their ids are in tables");
    insta::assert_snapshot!(rendered(&harms));
}

#[test]
fn poisoners_own_the_nearest_places_and_the_rest_of_the_table_bears_it() {
    let harms = harms(Kind::Poisoner);
    assert_borne(&harms, 97);
    assert!(harms.iter().all(|harm| harm.tables < 0.35), "more than their share of the tables");
    insta::assert_snapshot!(rendered(&harms));
}

#[test]
fn stolen_and_invented_tokens_store_nothing() {
    let harms = harms(Kind::TokenThief);
    assert_borne(&harms, 99);
    for harm in &harms[1..] {
        assert!(harm.counted.bad_tokens > 100, "{} tries of {} thieves", harm.counted.bad_tokens, harm.bad);
    }
    insta::assert_snapshot!(rendered(&harms));
}

const FLOOD_SECONDS: u64 = 10;

/// What a member counts a second in a flood: queries received and dropped, datagrams and bytes sent.
fn flooded(town: &mut Network, victim: HostId, flooders: usize) -> [u64; 4] {
    let counted = |town: &Network| {
        let stats = *town.node(victim).expect("a member").stats();
        [stats.received, stats.limited, stats.sent, stats.sent_bytes]
    };
    let before = counted(town);
    besiege(town, Kind::Flooder, flooders);
    town.run_for(Duration::from_secs(FLOOD_SECONDS));
    let after = counted(town);
    std::array::from_fn(|index| (after[index] - before[index]) / FLOOD_SECONDS)
}

/// How many of all others still find a member, in the midst of a flood.
fn served(town: &mut Network, id: Id) -> usize {
    town.members().to_vec().into_iter().for_each(|other| town.find_node(other, id));
    town.finish(Duration::from_secs(10));
    town.take_tasks().iter().filter(|task| ends_at_target(task)).count()
}

#[test]
fn a_flood_is_dropped_in_silence() {
    let calm_town = town(HONEST, calm());
    let victim = calm_town.members()[0];
    let id = *calm_town.node(victim).expect("a member").id();
    let mut rows = Vec::new();
    for flooders in [0, 1, 4, 16] {
        let mut town = copy_of(&calm_town);
        let counts = flooded(&mut town, victim, flooders);
        let [received, _, sent, _] = counts;
        assert!(received >= flooders as u64 * 900, "{received} queries a second of {flooders}");
        // Sixty at once and ten a second of each flooder are answered; the victim's own life goes on beside that.
        let budget = flooders as u64 * (60 / FLOOD_SECONDS + 10) + 40;
        assert!(sent < budget, "{sent} datagrams a second, {budget} at the most");
        let served = served(&mut town, id);
        assert_eq!(served, HONEST - 1, "of all others find the victim");
        let cells = counts.iter().map(u64::to_string).chain([format!("{served}/{}", HONEST - 1)]);
        rows.push([flooders.to_string()].into_iter().chain(cells).collect());
    }
    let head = ["flooders", "received a second", "dropped", "sent", "bytes sent", "others find it"];
    insta::assert_snapshot!(table(&head, &rows));
}
