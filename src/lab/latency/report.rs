//! The table, the picture and the verdicts of the experiment.

use super::{Age, Profile, RACE, Row};
use crate::lab::outcome::{Outcome, Verdict};
use crate::lab::plot::{Axis, Chart, Colour, Series};
use crate::lab::statistics::{mean, quantile};
use crate::lab::table::{Decimal, Table};

pub(super) fn outcome(rows: &[Row]) -> Outcome {
    Outcome { table: table(rows), picture: picture(rows), verdicts: verdicts(rows), more: Vec::new() }
}

impl Row {
    /// Times to the first peers, in milliseconds; lookups that found none count as infinite.
    fn first(&self) -> Vec<f64> {
        self.samples
            .iter()
            .map(|sample| sample.first.map_or(f64::INFINITY, |first| first.as_secs_f64() * 1e3))
            .collect()
    }

    fn end(&self) -> Vec<f64> {
        self.samples.iter().map(|sample| sample.end.as_secs_f64() * 1e3).collect()
    }

    fn sent(&self) -> Vec<f64> {
        self.samples.iter().map(|sample| sample.sent as f64).collect()
    }

    fn sent_first(&self) -> Vec<f64> {
        self.samples.iter().map(|sample| sample.sent_first as f64).collect()
    }

    fn recall(&self) -> f64 {
        mean(self.samples.iter().map(|sample| sample.recall))
    }

    fn is(&self, (n, dead): (usize, f64), profile: Profile, age: Age) -> bool {
        self.job.n == n && self.job.dead == dead && self.job.profile == profile && self.job.age == age
    }
}

fn table(rows: &[Row]) -> Table {
    let mut table = Table::new(&[
        "profile",
        "age_s",
        "n",
        "dead",
        "first_p50_ms",
        "first_p90_ms",
        "first_p99_ms",
        "term_p50_ms",
        "term_p90_ms",
        "msgs_first",
        "msgs_term",
        "recall8",
    ]);
    for row in rows {
        let (first, end) = (row.first(), row.end());
        table.push(&[
            &row.job.profile.name(),
            &row.job.age.name(),
            &row.job.n,
            &Decimal(row.job.dead),
            &Decimal(quantile(&first, 0.5)),
            &Decimal(quantile(&first, 0.9)),
            &Decimal(quantile(&first, 0.99)),
            &Decimal(quantile(&end, 0.5)),
            &Decimal(quantile(&end, 0.9)),
            &Decimal(quantile(&row.sent_first(), 0.5)),
            &Decimal(quantile(&row.sent(), 0.5)),
            &Decimal(row.recall()),
        ]);
    }
    table
}

/// The share of lookups over time: left to the first peers, right to the end.
fn picture(rows: &[Row]) -> String {
    let axis = || Axis::decades("milliseconds, logarithmic", 1.0, 4.0);
    let shown = rows.iter().find(|row| row.job.dead == 0.2).or(rows.first()).map(|row| (row.job.n, row.job.dead));
    let (n, dead) = shown.unwrap_or(RACE);
    let mut chart = Chart::new(
        "Lookups that are done after a time",
        &format!("{n} nodes, {:.0} % of them dead; left: the first peers, right: the end", 100.0 * dead),
        axis(),
        Axis::linear("lookups, %", 0.0, 100.0),
    );
    let add = |chart: &mut Chart, times: fn(&Row) -> Vec<f64>| {
        for (number, profile) in Profile::ALL.into_iter().enumerate() {
            if let Some(row) = rows.iter().find(|row| row.is((n, dead), profile, Age::Long)) {
                let points: Vec<(f64, f64)> = (0..=50)
                    .map(|step| {
                        let share = f64::from(step) / 50.0;
                        (libm::log10(quantile(&times(row), share).clamp(10.0, 10_000.0)), 100.0 * share)
                    })
                    .collect();
                chart.add(Series::new(profile.name(), Colour::nth(number), &points));
            }
        }
    };
    add(&mut chart, Row::first);
    chart.begin_beside(axis(), Axis::linear("lookups, %", 0.0, 100.0));
    add(&mut chart, Row::end);
    chart.render()
}

fn verdicts(rows: &[Row]) -> Vec<Verdict> {
    let mut networks: Vec<(usize, f64)> = rows.iter().map(|row| (row.job.n, row.job.dead)).collect();
    networks.dedup();
    let mut verdicts: Vec<Verdict> = networks
        .into_iter()
        .filter(|network| *network != RACE)
        .flat_map(|network| beside_textbook(rows, network))
        .collect();
    verdicts.extend([45, 300].into_iter().flat_map(|age| race(rows, Age::Seconds(age))));
    let long = rows.iter().find(|row| row.is(RACE, Profile::Normal, Age::Long));
    verdicts.extend(long.map(|row| {
        Verdict::at_most(
            "the race, a node that has lived for a while: first peers p99, ms",
            quantile(&row.first(), 0.99),
            999.0,
        )
    }));
    verdicts
}

fn beside_textbook(rows: &[Row], network: (usize, f64)) -> Vec<Verdict> {
    let of = |profile| rows.iter().find(|row| row.is(network, profile, Age::Long));
    let Some(textbook) = of(Profile::Textbook) else { return Vec::new() };
    let median = |values: Vec<f64>| quantile(&values, 0.5);
    let place = format!("{} nodes, {:.0} % dead", network.0, 100.0 * network.1);
    let least = if network.1 < 0.15 { 3.6 } else { 4.0 };
    let mut verdicts = Vec::new();
    for (profile, factor) in
        [(Profile::NoCache, 2.1), (Profile::Normal, least), (Profile::Fast, least), (Profile::Living, least)]
    {
        let Some(row) = of(profile) else { continue };
        let name = profile.name();
        let at_least = |what: &str, measured: f64, least: f64| {
            Verdict::new(
                measured >= least,
                format!("{place}: {name} {what}: {measured:.3}, must be at least {least:.3}"),
            )
        };
        let faster = |share: f64| quantile(&textbook.first(), share) / quantile(&row.first(), share);
        let cause = format!(
            "nodes of this crowd name contacts up to four bits nearer, so that the textbook has its first peers after {:.0} datagrams; \
             at the p90, where it waits for dead ones, {name} is {:.2} times as fast",
            median(textbook.sent_first()),
            faster(0.9)
        );
        verdicts.push(at_least("first peers, times as fast as the textbook", faster(0.5), factor).or_missed(cause));
        let sooner = median(textbook.end()) / median(row.end());
        verdicts.push(at_least("end, times as fast", sooner, 2.5));
        let messages = median(row.sent()) / median(textbook.sent());
        let cause = format!(
            "the textbook ends with {:.3} of the closest nodes, {name} with {:.3}",
            textbook.recall(),
            row.recall()
        );
        let what = format!("{place}: {name} datagrams, in those of the textbook");
        verdicts.push(Verdict::at_most(&what, messages, 1.85).or_missed(cause));
        verdicts.push(at_least("share of the closest nodes", row.recall(), textbook.recall() - 0.02));
    }
    verdicts
}

/// What the race asks of a young node.
fn race(rows: &[Row], age: Age) -> Vec<Verdict> {
    let Some(row) = rows.iter().find(|row| row.is(RACE, Profile::Normal, age)) else { return Vec::new() };
    let what = |what: &str| format!("the race, {} s after its start: {what}", age.name());
    let (first, end, sent) = (row.first(), row.end(), row.sent());
    vec![
        Verdict::at_most(&what("first peers p50, ms"), quantile(&first, 0.5), 200.0),
        Verdict::at_most(&what("first peers p90, ms"), quantile(&first, 0.9), 280.0),
        Verdict::at_most(&what("end p50, ms"), quantile(&end, 0.5), 1_000.0),
        Verdict::at_most(&what("datagrams p50"), quantile(&sent, 0.5), 40.0),
    ]
}
