//! The tables, the picture and the verdicts of the experiment.

use super::models::BETA;
use super::{Row, Variant};
use crate::lab::outcome::{Outcome, Verdict};
use crate::lab::plot::{Axis, Chart, Colour, Series};
use crate::lab::table::{Decimal, Table};

pub(super) fn outcome(rows: &[Row]) -> Outcome {
    let more = vec![("levels", levels(rows))];
    Outcome { table: table(rows), picture: picture(rows), verdicts: verdicts(rows), more }
}

fn table(rows: &[Row]) -> Table {
    let mut table = Table::new(&[
        "variant",
        "n",
        "rate_per_min",
        "upgraded_pct",
        "root_req_min",
        "root_put_min",
        "max_node_req_min",
        "mean8_req_min",
        "rpcs_per_op",
        "values_per_read",
        "age_med_s",
        "root_age_med_s",
        "distinct_per_1000_reads",
        "answered_pct",
    ]);
    for Row { job, load } in rows {
        table.push(&[
            &job.variant.name(),
            &job.n,
            &job.rate,
            &job.upgraded_pct,
            &Decimal(load.root_requests),
            &Decimal(load.root_puts),
            &Decimal(load.max_requests),
            &Decimal(load.mean8_requests),
            &Decimal(load.queries_per_operation),
            &Decimal(load.peers_per_read),
            &Decimal(load.age_median_s),
            &Decimal(load.root_age_median_s),
            &Decimal(load.distinct_per_1000_reads),
            &Decimal(load.answered_pct),
        ]);
    }
    table
}

/// The puts of a node over the bits that it shares with the key.
fn levels(rows: &[Row]) -> Table {
    let mut table = Table::new(&["variant", "n", "rate_per_min", "upgraded_pct", "cpl", "nodes", "mean_put_per_min"]);
    for Row { job, load } in rows {
        for (bits, (nodes, puts)) in load.levels.iter().enumerate().filter(|(_, (nodes, _))| *nodes > 0) {
            table.push(&[&job.variant.name(), &job.n, &job.rate, &job.upgraded_pct, &bits, nodes, &Decimal(*puts)]);
        }
    }
    table
}

/// The same in units of beta, of the first network at the lowest rate.
fn picture(rows: &[Row]) -> String {
    let (n, rate) = rows.first().map_or((0, 0.0), |row| (row.job.n, row.job.rate));
    let shown = |row: &&Row| row.job.n == n && row.job.rate == rate && row.job.upgraded_pct == 100;
    let mut chart = Chart::new(
        "Announces that a node gets for a key that everybody wants",
        &format!("{n} nodes, {rate} operations a minute; over the bits that the node shares with the key"),
        Axis::linear("bits shared with the key", 0.0, 12.0),
        Axis::decades("announces a minute, in units of beta (12), logarithmic", -2.0, 4.0),
    );
    for row in rows.iter().filter(shown) {
        let place = Variant::ALL.iter().position(|variant| *variant == row.job.variant).unwrap_or(0);
        let of = row.load.levels.iter().enumerate().filter(|(_, (nodes, _))| *nodes > 0);
        let points: Vec<(f64, f64)> =
            of.map(|(bits, (_, puts))| (bits as f64, libm::log10((puts / BETA).max(0.01)))).collect();
        chart.add(Series::new(row.job.variant.name(), Colour::nth(place), &points));
    }
    chart.render()
}

/// Puts a minute that the root of Coral gets at the most.
fn bound(n: usize) -> f64 {
    BETA * (libm::log2(n as f64) + 7.0)
}

fn verdicts(rows: &[Row]) -> Vec<Verdict> {
    let all = || rows.iter().filter(|row| row.job.upgraded_pct == 100);
    let of = |variant: Variant| all().filter(move |row| row.job.variant == variant);
    let mut verdicts: Vec<Verdict> = of(Variant::Coral).flat_map(coral).collect();
    verdicts.extend(steady(&of(Variant::Coral).collect::<Vec<_>>()));
    verdicts.extend(of(Variant::Bep5).map(|row| {
        let name = format!("{}: requests at the root, in operations", place(row));
        Verdict::near(&name, row.load.root_requests / row.job.rate, 1.5, 0.225)
    }));
    verdicts.extend(of(Variant::ClientOnly).map(client_only));
    verdicts.extend(of(Variant::Product).flat_map(product));
    verdicts
}

fn place(row: &Row) -> String {
    format!("{}, {} nodes, {} a minute", row.job.variant.name(), row.job.n, row.job.rate)
}

fn coral(row: &Row) -> Vec<Verdict> {
    let (puts, most) = (row.load.root_puts, bound(row.job.n));
    let text = format!("{}: puts at the root {puts:.3}, must be {BETA} to {most:.3}", place(row));
    let hottest = format!("{}: puts at the hottest node", place(row));
    vec![Verdict::new((BETA..=most).contains(&puts), text), Verdict::at_most(&hottest, row.load.max_puts, most)]
}

/// The root of Coral gets as much whatever the load.
fn steady(rows: &[&Row]) -> Vec<Verdict> {
    let pairs = rows.iter().filter_map(|row| {
        let least = rows.iter().find(|other| other.job.n == row.job.n)?;
        (least.job.rate < row.job.rate).then_some((least, row))
    });
    pairs
        .map(|(least, row)| {
            let what = format!("{}: puts at the root, in those at {}", place(row), least.job.rate);
            Verdict::near(&what, row.load.root_puts / least.load.root_puts, 1.0, 0.4)
        })
        .collect()
}

fn client_only(row: &Row) -> Verdict {
    let most = match row.job.rate {
        rate if rate < 1e6 => 0.8,
        rate if rate < 1e7 => 0.2,
        _ => 0.05,
    };
    let what = format!("{}: requests at the root, in operations", place(row));
    let cause = format!(
        "{} clients that do twelve things a minute do {:.0} % of what is asked of them",
        row.job.n,
        100.0 * row.job.carried_out() / row.job.rate
    );
    Verdict::at_most(&what, row.load.root_requests / row.job.rate, most).or_missed(cause)
}

fn product(row: &Row) -> Vec<Verdict> {
    let what = |what: &str| format!("{}: {what}", place(row));
    let peers = row.load.peers_per_read;
    vec![
        Verdict::at_most(&what("requests at the hottest node"), row.load.max_requests, 1_500.0),
        Verdict::new(peers >= 50.0, format!("{}: {peers:.3}, must be at least 50", what("peers a read"))),
        Verdict::at_most(&what("age of the peers at the root, s"), row.load.root_age_median_s, 120.0),
    ]
}
