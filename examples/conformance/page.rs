//! The page: a summary, the deviations with their explanations, and every check.

use std::fmt::Write as _;

use trackerless::conform::{GROUPS, Level, Report, Verdict};

use super::Run;
use super::deviations::explanation;

const HEAD: &str = "\
# Conformance

What `trackerless conform` says about our node, about libtorrent (from PyPI, the engine of qBittorrent and Deluge) and
about the `mainline` crate. Written by `cargo run --example conformance`; the tests fail when a node behaves otherwise
than this page says.

A *must* is what a BEP demands, or what other nodes fail without; a *should* is what a BEP advises, or what good
deployed nodes do. A check is skipped where it cannot tell: the node does not speak the extension at all, or the
network here (IPv4 on loopback) exempts it; our own node also passes those that need other addresses, in memory
(`src/conform/tests.rs`) and over IPv6.
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
        for report in failed(run) {
            let why = explanation(run.name, report.check.id).unwrap_or_default();
            let _ = writeln!(page, "- `{}` ({}): {}. {}", report.check.id, report.check.level, report.why, why);
        }
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

/// Failures that nobody has explained yet.
pub(crate) fn unexplained(runs: &[Run]) -> Vec<String> {
    let of = |run: &Run| -> Vec<String> {
        let unknown = |report: &&Report| explanation(run.name, report.check.id).is_none();
        failed(run).filter(unknown).map(|report| format!("{} {}: {}", run.name, report.check.id, report.why)).collect()
    };
    runs.iter().flat_map(of).collect()
}

fn failed(run: &Run) -> impl Iterator<Item = &Report> {
    run.reports.iter().filter(|report| report.verdict == Verdict::Fail)
}

fn counts(run: &Run, level: Level) -> String {
    let of = |verdict: Verdict| {
        run.reports.iter().filter(|report| report.check.level == level && report.verdict == verdict).count()
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
    let ids = |ids: &[&str]| match ids {
        few if few.len() <= 4 => few.iter().map(|id| format!("`{id}`")).collect::<Vec<_>>().join(", "),
        many => format!("{} of `{}`", many.len(), many[0].split('.').next().unwrap_or_default()),
    };
    reasons.iter().map(|(why, checks)| format!("- {}: {why}\n", ids(checks))).collect()
}
