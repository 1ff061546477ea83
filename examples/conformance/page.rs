//! The page: a summary, the deviations with their explanations, and every check.

use std::fmt::Write as _;

use trackerless::conform::template::readable;
use trackerless::conform::{GROUPS, Level, Report, Verdict};

use super::Run;
use super::deviations::explanation;

const HEAD: &str = "\
# Conformance

What `trackerless conform` says about our node, about libtorrent (from PyPI, the engine of qBittorrent and Deluge), about
the `mainline` crate and about Transmission (from Debian; its DHT is jech/dht, as in many other clients). Written by
`cargo run --example conformance`; the tests fail when a node behaves otherwise than this page says.

A *must* is what a BEP demands, or what other nodes fail without; a *should* is what a BEP advises, or what good
deployed nodes do. Every check can fail: `src/conform/tests/mutants.rs` has a node that breaks its rule.

A check is skipped where it cannot tell: the node does not speak the extension at all, it asked nothing that could be
answered wrongly, or the network here (IPv4 on loopback) exempts it. Our own node also passes those that need other
addresses, in memory (`src/conform/tests.rs`): as a node of the mainline with all its limits, and over IPv6.

## What the suite does to a node

It sends some 6,000 datagrams. At the default pace, four a second from one address, that takes about eight minutes; with
`--lan` (a node that limits nobody) about a minute. How long is said at the start, and a bar shows how far it is.

It stores some 150 peers and 90 items under random infohashes and keys; they expire as any do, after an hour or two. It
asks from up to 260 addresses. The many that announce say that they are read-only (BEP 43) and never answer: no table
keeps them. About thirty answer the node as contacts must, since some checks need contacts. At the end they take leave:
the DHT has no word for that, but each asks once more under another id, and a node that looks sees that the contact it
knew is gone. Ours with `--lan` keeps none of them. A node that does not look again so soon, as ours on the mainline (an
address is asked once in a quarter of an hour), drops them when they no longer answer. Nothing is forged, and nothing
goes to an address that is not the node's.
";

pub(crate) fn render(runs: &[Run]) -> String {
    let mut page = HEAD.to_owned();
    page += "\n## Summary\n\n| node | must: pass | fail | skipped | should: pass | fail | skipped |\n|---|--:|--:|--:|--:|--:|--:|\n";
    for run in runs {
        let _ = writeln!(page, "| {} | {} | {} |", run.name, counts(run, Level::Must), counts(run, Level::Should));
    }
    page += "\n## Deviations\n";
    for run in runs.iter().filter(|run| failed(run).next().is_some()) {
        let _ = writeln!(page, "\n### {}\n", run.name);
        page += &deviations(run);
    }
    page += "\n## Skipped\n";
    for run in runs {
        let _ = writeln!(page, "\n### {}\n", run.name);
        page += &skipped(run);
    }
    page += "\n## Every check\n";
    for group in GROUPS {
        let _ = write!(page, "\n### {group}\n\n| check | level | claim | rests on |");
        runs.iter().for_each(|run| page += &format!(" {} |", run.name));
        page += &format!("\n|---|---|---|---|{}\n", "---|".repeat(runs.len()));
        for (index, report) in runs[0].reports.iter().enumerate().filter(|(_, report)| report.check.group() == group) {
            let check = report.check;
            let _ = write!(page, "| `{}` | {} | {} | {} |", check.id, check.level, check.claim, check.basis);
            runs.iter().for_each(|run| page += &format!(" {} |", run.reports[index].verdict));
            page.push('\n');
        }
    }
    page
}

/// One paragraph per explanation, in the order of the checks, with what was seen.
fn deviations(run: &Run) -> String {
    let mut known: Vec<(&str, Vec<&Report>)> = Vec::new();
    for report in failed(run) {
        let why = explanation(run.name, report.check.id).unwrap_or_default();
        match known.iter_mut().find(|(other, _)| *other == why) {
            Some((_, reports)) => reports.push(report),
            None => known.push((why, vec![report])),
        }
    }
    let seen = |report: &Report| format!("`{}` ({}): {}", report.check.id, report.level, shortened(&report.why));
    let paragraph = |(why, reports): (&str, Vec<&Report>)| {
        format!("- {why}\n  {}\n", reports.into_iter().map(seen).collect::<Vec<_>>().join("; "))
    };
    known.into_iter().map(paragraph).collect()
}

/// What was seen, without the rest of a long value.
fn shortened(why: &str) -> String {
    const LONGEST: usize = 60;
    if why.chars().count() <= LONGEST { why.to_owned() } else { why.chars().take(LONGEST).chain(['…']).collect() }
}

/// Failures that nobody has explained yet.
pub(crate) fn unexplained(runs: &[Run]) -> Vec<String> {
    let of = |run: &Run| -> Vec<String> {
        let unknown = |report: &&Report| explanation(run.name, report.check.id).is_none();
        failed(run).filter(unknown).map(|report| format!("{} {}: {}", run.name, report.check.id, report.why)).collect()
    };
    runs.iter().flat_map(of).collect()
}

/// Every failure of a run, with the last datagram behind it.
pub(crate) fn print_failures(run: &Run) {
    for report in failed(run) {
        let last = report.exchange.last().map(|passed| readable(&passed.bytes)).unwrap_or_default();
        println!("{} {}: {}\n  {last}", report.level, report.check.id, report.why);
    }
}

fn failed(run: &Run) -> impl Iterator<Item = &Report> {
    run.reports.iter().filter(|report| report.verdict == Verdict::Fail)
}

fn counts(run: &Run, level: Level) -> String {
    let of = |verdict: Verdict| {
        run.reports.iter().filter(|report| report.level == level && report.verdict == verdict).count()
    };
    format!("{} | {} | {}", of(Verdict::Pass), of(Verdict::Fail), of(Verdict::Skipped))
}

/// One line per reason, in the order of the checks.
fn skipped(run: &Run) -> String {
    let mut reasons: Vec<(&str, Vec<&str>)> = Vec::new();
    for report in run.reports.iter().filter(|report| report.verdict == Verdict::Skipped) {
        match reasons.iter_mut().find(|(why, _)| *why == report.why) {
            Some((_, ids)) => ids.push(report.check.id),
            None => reasons.push((&report.why, vec![report.check.id])),
        }
    }
    let ids = |ids: &[&str]| match ids.len() {
        ..=4 => ids.iter().map(|id| format!("`{id}`")).collect::<Vec<_>>().join(", "),
        many => format!("{many} of `{}`", ids[0].split('.').next().unwrap_or_default()),
    };
    reasons.iter().map(|(why, checks)| format!("- {}: {why}\n", ids(checks))).collect()
}
