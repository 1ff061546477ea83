//! The table, the picture and the verdicts of the experiment.

use super::ids::{Addresses, Placement};
use super::{Guarded, Row, Scene, Tally};
use crate::engine::compliance::Compliance;
use crate::lab::outcome::{Outcome, Verdict};
use crate::lab::plot::{Axis, Chart, Colour, Series};
use crate::lab::statistics::mean;
use crate::lab::table::{Decimal, Table};
use crate::sim::crowd::Manner;

/// Ranks, and the share of keys of which as many nearest places can be had below the alarm, in percent: exp(-threshold) at
/// one false alarm in a thousand.
const BOUNDS: [(usize, f64); 4] = [(8, 14.0), (12, 1.8), (16, 0.17), (20, 0.013)];

pub(super) fn outcome(rows: &[Row]) -> Outcome {
    Outcome { table: table(rows), picture: picture(rows), verdicts: verdicts(rows), more: Vec::new() }
}

const fn defence_name(defence: Compliance) -> &'static str {
    match defence {
        Compliance::Off => "off",
        Compliance::Prefer => "prefer",
        Compliance::Enforce => "enforce",
    }
}

const fn manner_name(scene: &Scene) -> &'static str {
    match scene.manner {
        _ if scene.attackers == 0 && scene.anywhere == 0.0 => "none",
        Manner::Honest | Manner::Dead => "none",
        Manner::Hiding => "hiding",
        Manner::Silent => "silent",
        Manner::Inventing => "inventing",
        Manner::Clique => "clique",
    }
}

fn table(rows: &[Row]) -> Table {
    let mut table = Table::new(&[
        "n",
        "addresses",
        "bought",
        "placement",
        "manner",
        "attackers",
        "anywhere_pct",
        "defence",
        "guarded",
        "keys",
        "placed",
        "announce_ok_pct",
        "find_ok_pct",
        "true_told_pct",
        "alarm_announce_pct",
        "alarm_find_pct",
        "widened_pct",
        "taken_unseen_pct",
        "msgs_announce",
        "msgs_find",
    ]);
    for Row { scene, tally } in rows {
        let told = 100.0 * tally.told.0 as f64 / tally.told.1.max(1) as f64;
        let of = |count| Decimal(tally.percent(count));
        table.push(&[
            &scene.n,
            &scene.addresses.name(),
            &scene.bought,
            &scene.placement.name(),
            &manner_name(scene),
            &scene.attackers,
            &Decimal(100.0 * scene.anywhere),
            &defence_name(scene.defence),
            &scene.guarded.name(),
            &tally.keys,
            &Decimal(tally.placed),
            &of(tally.stored),
            &of(tally.found),
            &Decimal(told),
            &of(tally.alarms.0),
            &of(tally.alarms.1),
            &of(tally.widened),
            &of(tally.taken_unseen),
            &Decimal(tally.sent.0),
            &Decimal(tally.sent.1),
        ]);
    }
    table
}

/// The lookups that find over the number of attackers, for each claim; left a crowd next to the key, right one that hides.
fn picture(rows: &[Row]) -> String {
    let axis = || Axis::linear("attackers beside the key", 0.0, 64.0);
    let mut chart = Chart::new(
        "Lookups that find the announcer while attackers sit beside the key",
        "Attackers have ids that fit, in networks of their own, name only each other and hand out no peer; left: the nearest, \
         right: as near as gives no alarm",
        axis(),
        Axis::linear("lookups that find, %", 0.0, 100.0),
    );
    add_lines(&mut chart, rows, Placement::Nearest);
    chart.begin_beside(axis(), Axis::linear("lookups that find, %", 0.0, 100.0));
    add_lines(&mut chart, rows, Placement::Unseen);
    chart.render()
}

fn add_lines(chart: &mut Chart, rows: &[Row], placement: Placement) {
    for (number, guarded) in Guarded::ALL.into_iter().enumerate() {
        let is_shown = |scene: &Scene| {
            let clique = scene.manner == Manner::Clique && scene.anywhere == 0.0 && scene.guarded == guarded;
            let placed = scene.placement == placement || scene.attackers == 0;
            let ids = scene.addresses == Addresses::V4 && scene.bought == 100_000;
            clique && placed && ids && scene.n == rows[0].scene.n && scene.defence == Compliance::Prefer
        };
        let mut points: Vec<(f64, f64)> = rows
            .iter()
            .filter(|row| is_shown(&row.scene))
            .map(|row| (row.scene.attackers as f64, row.tally.percent(row.tally.found)))
            .collect();
        points.sort_by(|a, b| a.0.total_cmp(&b.0));
        let name = match guarded {
            Guarded::Both => "both guarded",
            Guarded::Announcer => "the announcer alone",
            Guarded::Reader => "the reader alone",
            Guarded::Neither => "neither",
        };
        chart.add(Series::new(name, Colour::nth(number), &points));
    }
}

fn verdicts(rows: &[Row]) -> Vec<Verdict> {
    let mut verdicts = Vec::new();
    verdicts.extend(hidden(rows, 20, "", |_| true));
    let is_alarmed = |tally: &Tally| tally.percent(tally.alarms.0.min(tally.alarms.1)) > 90.0;
    verdicts.extend(hidden(rows, 64, ", under alarm", is_alarmed));
    verdicts.extend(BOUNDS.iter().filter_map(|&bound| unseen(rows, bound)));
    verdicts.extend(false_alarms(rows));
    verdicts.extend(messages(rows));
    verdicts.extend(anywhere(rows));
    verdicts
}

/// The rows that a claim for both sides is about.
fn guarded(rows: &[Row]) -> impl Iterator<Item = &Row> {
    rows.iter().filter(|row| row.scene.guarded == Guarded::Both && row.scene.defence != Compliance::Off)
}

/// The worst of the rows with as many attackers that hide or are silent, wherever they have their addresses.
fn hidden(rows: &[Row], attackers: usize, when: &str, counts: impl Fn(&Tally) -> bool) -> Option<Verdict> {
    let of = guarded(rows).filter(|row| row.scene.attackers == attackers && row.scene.manner != Manner::Inventing);
    let of = of.filter(|row| counts(&row.tally));
    let worst = of.min_by(|a, b| a.tally.percent(a.tally.found).total_cmp(&b.tally.percent(b.tally.found)))?;
    let (found, scene) = (worst.tally.percent(worst.tally.found), &worst.scene);
    let text = format!(
        "both guarded, {attackers} attackers that hide or are silent{when}: in the worst row ({} nodes, {} {}, {}, {}) {found:.1} % \
         of lookups find, must be at least 99 %",
        scene.n,
        scene.addresses.name(),
        scene.placement.name(),
        manner_name(scene),
        defence_name(scene.defence)
    );
    Some(Verdict::new(found >= 99.0, text))
}

/// Keys that are taken without an alarm, by as many attackers as have the nearest places.
fn unseen(rows: &[Row], (attackers, bound): (usize, f64)) -> Option<Verdict> {
    let of: Vec<&Tally> = guarded(rows)
        .filter(|row| row.scene.attackers == attackers && row.scene.placement != Placement::Nearest)
        .map(|row| &row.tally)
        .collect();
    let (taken, keys) = of.iter().fold((0, 0), |(taken, keys), tally| (taken + tally.taken_unseen, keys + tally.keys));
    let share = 100.0 * taken as f64 / keys.max(1) as f64;
    let what = format!("keys taken unseen by {attackers} attackers, % of {keys}");
    // Less than one key cannot be measured.
    (keys > 0).then(|| Verdict::at_most(&what, share, (1.5 * bound).max(100.5 / keys as f64)))
}

fn false_alarms(rows: &[Row]) -> Option<Verdict> {
    let calm = guarded(rows).filter(|row| row.scene.attackers == 0 && row.scene.anywhere == 0.0);
    let (widened, keys) =
        calm.fold((0, 0), |(widened, keys), row| (widened + row.tally.widened, keys + row.tally.keys));
    let share = 100.0 * widened as f64 / keys.max(1) as f64;
    (keys > 0).then(|| Verdict::at_most(&format!("lookups that widen without an attack, % of {keys}"), share, 0.1))
}

/// Fewer nodes than this, and an ordinary lookup sends so little that the search of a region is more than three times it.
const SMALL: usize = 50_000;

/// Datagrams under alarm beside those without an attack.
fn messages(rows: &[Row]) -> Vec<Verdict> {
    let over = |calm: bool, sent: fn(&Tally) -> f64| {
        let of = guarded(rows).filter(|row| {
            let alarmed = row.tally.percent(row.tally.alarms.0.min(row.tally.alarms.1)) > 90.0;
            if calm { row.scene.attackers == 0 && row.scene.anywhere == 0.0 } else { alarmed }
        });
        mean(of.map(|row| sent(&row.tally)))
    };
    let largest = rows.iter().map(|row| row.scene.n).max().unwrap_or(0);
    let verdict = |what: &str, sent: fn(&Tally) -> f64| {
        let (calm, alarmed) = (over(true, sent), over(false, sent));
        (calm > 0.0 && alarmed > 0.0).then(|| {
            let what = format!("datagrams of {what} under alarm, in those without an attack");
            let verdict = Verdict::at_most(&what, alarmed / calm, 3.0);
            match largest < SMALL {
                true => verdict.or_missed(format_args!(
                    "the region costs the same in a network of {largest} nodes, where without an attack {calm:.1} suffice"
                )),
                false => verdict,
            }
        })
    };
    [verdict("an announce", |tally| tally.sent.0), verdict("a search", |tally| tally.sent.1)]
        .into_iter()
        .flatten()
        .collect()
}

fn anywhere(rows: &[Row]) -> Vec<Verdict> {
    let of = guarded(rows).filter(|row| row.scene.anywhere > 0.0);
    of.map(|row| {
        let (found, scene) = (row.tally.percent(row.tally.found), &row.scene);
        let text = format!(
            "{} nodes, every fifth hostile and {}: {found:.1} % of lookups find, must be at least 99 %",
            scene.n,
            manner_name(scene)
        );
        Verdict::new(found >= 99.0, text)
    })
    .collect()
}
