//! `trackerless conform`: every check of the conformance suite against one node.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::time::Duration;

use serde::Serialize;

use super::args::ConformArgs;
use super::failure::{Exit, Failure, eprintln_quietly};
use super::output::{Printer, counted};
use super::progress::Progress;
use super::session;
use crate::conform::template::readable;
use crate::conform::udp::{LAN, Manners, Sockets};
use crate::conform::{self, Check, Level, Passed, Pool, Probe, Report, Verdict};
use crate::engine::contact::is_local;
use crate::net::entropy;

/// Characters of the progress bar.
const BAR: usize = 20;

pub(super) fn run(args: &ConformArgs) -> Result<Exit, Failure> {
    let target = target(args)?;
    let manners = manners(target, args)?;
    let output = Printer::new(args.json);
    let pool = args.sources.map(Pool::around);
    let mut sockets = Sockets::open(target, manners, pool).map_err(|error| no_way_to(target, &error))?;
    let seed = entropy::seed().map_err(|error| Failure::no_network(error, "try again"))?;
    let mut probe = Probe::new(&mut sockets, seed);
    if args.lan {
        probe = probe.in_private_network();
    }
    if !probe.is_there() {
        let cure = "check the address, and that UDP is not blocked on the way; a read-only node never answers";
        return Err(Failure::no_network(format_args!("{target} answers no ping"), cure));
    }
    let checks: Vec<&Check> = conform::checks().filter(|check| is_wanted(check, args)).collect();
    let mut course = Course::new(checks.len(), manners);
    output.note(format_args!("{target}: {}, {}", counted(checks.len(), "check"), about(course.left(0))))?;
    let mut all = Vec::new();
    for group in checks.chunk_by(|one, next| one.group() == next.group()) {
        let reports = run_group(group, &mut probe, output, &mut course)?;
        course.progress.aside(|| output.note(group_text(group[0].group(), &reports)))?;
        all.extend(reports);
    }
    course.progress.say("taking leave");
    probe.leave();
    drop(course);
    let summary = Summary::new(target, &all);
    output.result(summary.text(), &summary)?;
    Ok(if summary.must.fail == 0 { Exit::Done } else { Exit::Nothing })
}

fn is_wanted(check: &Check, args: &ConformArgs) -> bool {
    args.only.is_empty() || args.only.iter().any(|only| only == check.group())
}

fn run_group(
    group: &[&Check],
    probe: &mut Probe<'_>,
    output: Printer,
    course: &mut Course,
) -> Result<Vec<Report>, Failure> {
    let mut reports = Vec::new();
    for check in group {
        course.next(check);
        let report = check.run(probe);
        course.progress.aside(|| tell(&report, output))?;
        reports.push(report);
    }
    Ok(reports)
}

/// How far the run has come.
struct Course {
    progress: Progress,
    total: usize,
    done: usize,
    /// What the whole run takes, before it has shown its speed.
    estimate: Duration,
}

impl Course {
    fn new(total: usize, manners: Manners) -> Self {
        Self { progress: Progress::new("the first check"), total, done: 0, estimate: manners.estimate(total) }
    }

    /// The next check begins.
    fn next(&mut self, check: &Check) {
        let filled = self.done * BAR / self.total.max(1);
        let bar = format!("[{}{}]", "#".repeat(filled), "-".repeat(BAR - filled));
        let left = about(self.left(self.done));
        self.progress.say(format_args!("{bar} {} of {}, {left} left: {}", self.done + 1, self.total, check.id));
        self.done += 1;
    }

    /// What is still to come after `done` checks: as the estimate says at first, then as the run has shown.
    fn left(&self, done: usize) -> Duration {
        let remaining = self.total.saturating_sub(done) as f64;
        let per_check = if done * 10 < self.total {
            self.estimate.as_secs_f64() / self.total.max(1) as f64
        } else {
            self.progress.elapsed().as_secs_f64() / done as f64
        };
        Duration::from_secs_f64(per_check * remaining)
    }
}

fn about(span: Duration) -> String {
    match span.as_secs() {
        seconds @ ..=90 => format!("about {} s", seconds.max(1)),
        seconds => format!("about {} min", seconds.div_ceil(60)),
    }
}

/// The address of the node; one on the Internet only where that is asked for.
fn target(args: &ConformArgs) -> Result<SocketAddr, Failure> {
    let node = &args.node;
    let say = |name: &str| {
        eprintln_quietly(format_args!("waiting for a name server: the address of {name} is not known yet"))
    };
    let addr = session::block_on(session::addresses(node, say))?[0];
    if !is_local(addr.ip()) && !args.public && !args.lan {
        let cure = "add --public if the node is yours, or its owner agrees: the suite sends it hundreds of datagrams";
        return Err(Failure::usage(format_args!("{addr} is neither on this machine nor in a private network"), cure));
    }
    Ok(addr)
}

/// How the node is treated; one on the Internet never with less patience between datagrams than is polite.
fn manners(target: SocketAddr, args: &ConformArgs) -> Result<Manners, Failure> {
    let defaults = if args.lan { LAN } else { Manners::default() };
    let millis = |given: Option<u16>| given.map(|millis| Duration::from_millis(millis.into()));
    let pace = millis(args.pace).unwrap_or(defaults.pace);
    let patience = millis(args.patience).unwrap_or(defaults.patience);
    let polite = Manners::default().pace;
    if !is_local(target.ip()) && args.public && pace < polite {
        let cure = format_args!("leave --pace out, or give {} or more", polite.as_millis());
        return Err(Failure::usage(
            format_args!("--pace {} is too fast for a node on the Internet", pace.as_millis()),
            cure,
        ));
    }
    Ok(Manners { pace, patience })
}

fn no_way_to(target: SocketAddr, error: &std::io::Error) -> Failure {
    Failure::no_network(format_args!("no way to {target}: {error}"), "check that this host has such a network")
}

/// Tells of one check: programs of each, people of those that failed.
fn tell(report: &Report, output: Printer) -> Result<(), Failure> {
    if output.is_json() {
        return output.result("", &Record::new(report));
    }
    if report.verdict == Verdict::Fail { output.note(failure_text(report)) } else { Ok(()) }
}

fn failure_text(report: &Report) -> String {
    let (level, Check { id, basis, claim, .. }) = (report.level, report.check);
    let mut text = format!("fail {level:6} {id}: {claim} ({basis})\n  {}", report.why);
    for passed in &report.exchange {
        let arrow = if passed.sent { "->" } else { "<-" };
        text += &format!("\n  {arrow} {:?}: {}", passed.source, readable(&passed.bytes));
    }
    text
}

/// How many passed, and why others were skipped.
fn group_text(group: &str, reports: &[Report]) -> String {
    let mut reasons: BTreeMap<&str, usize> = BTreeMap::new();
    for report in reports.iter().filter(|report| report.verdict == Verdict::Skipped) {
        *reasons.entry(&report.why).or_default() += 1;
    }
    let counts = Counts::of(reports.iter());
    let skipped: String = reasons.iter().map(|(why, count)| format!("\n  {count} skipped: {why}")).collect();
    format!("{group}: {}{skipped}", counts.text())
}

/// A check as programs read it.
#[derive(Serialize)]
struct Record<'a> {
    id: &'a str,
    level: String,
    verdict: String,
    claim: &'a str,
    basis: &'a str,
    #[serde(skip_serializing_if = "str::is_empty")]
    why: &'a str,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    exchange: Vec<Datagram>,
}

impl<'a> Record<'a> {
    fn new(report: &'a Report) -> Self {
        let (level, Check { id, basis, claim, .. }) = (report.level, report.check);
        let exchange = report.exchange.iter().map(Datagram::new).collect();
        let (level, verdict) = (level.to_string(), report.verdict.to_string());
        Self { id, level, verdict, claim, basis, why: &report.why, exchange }
    }
}

/// A datagram behind a failure.
#[derive(Serialize)]
struct Datagram {
    sent: bool,
    source: String,
    hex: String,
}

impl Datagram {
    fn new(passed: &Passed) -> Self {
        let source = format!("{:?}", passed.source).to_lowercase();
        Self { sent: passed.sent, source, hex: hex::encode(&passed.bytes) }
    }
}

/// The last line.
#[derive(Serialize)]
struct Summary {
    target: SocketAddr,
    must: Counts,
    should: Counts,
}

#[derive(Default, Serialize)]
struct Counts {
    pass: usize,
    fail: usize,
    skipped: usize,
}

impl Summary {
    fn new(target: SocketAddr, reports: &[Report]) -> Self {
        let of = |level: Level| Counts::of(reports.iter().filter(|report| report.level == level));
        Self { target, must: of(Level::Must), should: of(Level::Should) }
    }

    fn text(&self) -> String {
        format!("{}\n  must:   {}\n  should: {}", self.target, self.must.text(), self.should.text())
    }
}

impl Counts {
    fn of<'a>(reports: impl Iterator<Item = &'a Report>) -> Self {
        reports.fold(Self::default(), |mut counts, report| {
            match report.verdict {
                Verdict::Pass => counts.pass += 1,
                Verdict::Fail => counts.fail += 1,
                Verdict::Skipped => counts.skipped += 1,
            }
            counts
        })
    }

    fn text(&self) -> String {
        format!("{} passed, {} failed, {} skipped", self.pass, self.fail, self.skipped)
    }
}
