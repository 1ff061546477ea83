//! `trackerless conform`: every check of the conformance suite against one node.

use std::collections::BTreeMap;
use std::net::{SocketAddr, ToSocketAddrs as _};
use std::time::Duration;

use serde::Serialize;

use super::args::ConformArgs;
use super::failure::{Exit, Failure};
use super::output::Output;
use crate::conform::template::readable;
use crate::conform::udp::{Manners, Sockets};
use crate::conform::{self, Check, GROUPS, Level, Passed, Probe, Report, Verdict};
use crate::daemon::config::HostPort;
use crate::engine::contact::is_local;
use crate::net::entropy;

pub(super) fn run(args: &ConformArgs) -> Result<Exit, Failure> {
    let target = target(&args.node, args.public)?;
    let manners = manners(target, args)?;
    let output = Output::new(args.json);
    let mut sockets = Sockets::open(target, manners).map_err(|error| no_way_to(target, &error))?;
    let seed = entropy::seed().map_err(|error| Failure::no_network(error, "try again"))?;
    let mut probe = Probe::new(&mut sockets, seed);
    if !probe.is_there() {
        let cure = "check the address, and that UDP is not blocked on the way; a read-only node never answers";
        return Err(Failure::no_network(format_args!("{target} answers no ping"), cure));
    }
    let mut all = Vec::new();
    for group in GROUPS.iter().filter(|group| args.only.is_empty() || args.only.iter().any(|only| only == *group)) {
        let checks = conform::checks().filter(|check| check.group() == *group);
        let reports = checks.map(|check| told(check.run(&mut probe), output)).collect::<Result<Vec<_>, _>>()?;
        output.note(group_text(group, &reports))?;
        all.extend(reports);
    }
    let summary = Summary::new(target, &all);
    output.result(summary.text(), &summary)?;
    Ok(if summary.must.fail == 0 { Exit::Done } else { Exit::Nothing })
}

/// The address of the node; one on the Internet only where that is asked for.
fn target(node: &HostPort, public: bool) -> Result<SocketAddr, Failure> {
    let found = (node.host.as_str(), node.port).to_socket_addrs();
    let mut addrs: Vec<SocketAddr> = found.into_iter().flatten().collect();
    addrs.sort_by_key(SocketAddr::is_ipv6);
    let Some(&addr) = addrs.first() else {
        return Err(Failure::no_network(format_args!("{node} has no address"), "check the name, and that DNS works"));
    };
    if !is_local(addr.ip()) && !public {
        let cure = "add --public if the node is yours, or its owner agrees: the suite sends it hundreds of datagrams";
        return Err(Failure::usage(format_args!("{addr} is neither on this machine nor in a private network"), cure));
    }
    Ok(addr)
}

/// How the node is treated; one on the Internet never with less patience between datagrams than is polite.
fn manners(target: SocketAddr, args: &ConformArgs) -> Result<Manners, Failure> {
    let [pace, patience] = [args.pace, args.patience].map(|millis| Duration::from_millis(millis.into()));
    let polite = Manners::default().pace;
    if !is_local(target.ip()) && pace < polite {
        let cure = format_args!("leave --pace out, or give {} or more", polite.as_millis());
        return Err(Failure::usage(format_args!("--pace {} is too fast for a node on the Internet", args.pace), cure));
    }
    Ok(Manners { pace, patience })
}

fn no_way_to(target: SocketAddr, error: &std::io::Error) -> Failure {
    Failure::no_network(format_args!("no way to {target}: {error}"), "check that this host has such a network")
}

/// Tells of one check: programs of each, people of those that failed.
fn told(report: Report, output: Output) -> Result<Report, Failure> {
    if output.is_json() {
        output.result("", &Record::new(&report))?;
    } else if report.verdict == Verdict::Fail {
        output.note(failure_text(&report))?;
    }
    Ok(report)
}

fn failure_text(report: &Report) -> String {
    let Check { id, level, basis, claim, .. } = report.check;
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
        let Check { id, level, basis, claim, .. } = report.check;
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
        let of = |level: Level| Counts::of(reports.iter().filter(|report| report.check.level == level));
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
