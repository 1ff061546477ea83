//! `trackerless doctor`: is it working, and if not, what is the cause and the cure?

use serde::Serialize;
use serde_json::{Value, json};

use super::args::DoctorArgs;
use super::failure::{Exit, Failure};
use super::progress::Progress;
use super::session;
use crate::daemon::doctor::{self, Case, Finding, Report, Severity, Verdict, gather};

pub(super) fn run(args: DoctorArgs, environment: &[(String, String)]) -> Result<Exit, Failure> {
    let (config, output) = session::begin_daemon(args.settings, args.json, environment)?;
    session::block_on(async {
        let progress = Progress::new("asking this host and the network; some seconds");
        let report = doctor::examine(&gather::gather(&config).await);
        drop(progress);
        output.result(text(&report, args.verbose), &record(&report))?;
        Ok(exit(report.verdict()))
    })
}

const fn exit(verdict: Verdict) -> Exit {
    match verdict {
        Verdict::Well => Exit::Done,
        Verdict::Impaired | Verdict::Wrong => Exit::Nothing,
        Verdict::NoNetwork => Exit::NoNetwork,
    }
}

/// The report for people; what is well only if they want all.
fn text(report: &Report, all: bool) -> String {
    let mut text = report.headline();
    for case in &report.cases {
        text += &case_text(case);
    }
    for unknown in &report.unknown {
        text += &format!("\n\nunknown: {}\n  {}", unknown.what, unknown.why);
    }
    if all {
        text += "\n";
        for well in &report.well {
            text += &format!("\nwell: {well}");
        }
    }
    text
}

fn case_text(Case { finding, consequences }: &Case) -> String {
    let kind = finding.kind;
    let mut text = format!(
        "\n\n{}: {} [{}]\n  {}\n  {}\n  cure: {}",
        severity(kind.severity),
        kind.what,
        kind.code,
        finding.evidence,
        kind.cause,
        kind.cure
    );
    for Finding { kind, evidence } in consequences {
        text += &format!("\n  so: {} [{}]: {evidence}", kind.what, kind.code);
    }
    text
}

const fn severity(severity: Severity) -> &'static str {
    match severity {
        Severity::Note => "note",
        Severity::Warning => "warning",
        Severity::Wrong => "wrong",
    }
}

#[derive(Serialize)]
struct FindingRecord<'a> {
    code: &'static str,
    severity: &'static str,
    what: &'static str,
    evidence: &'a str,
    cause: &'static str,
    cure: &'static str,
    known_by: &'static str,
}

impl<'a> FindingRecord<'a> {
    fn new(Finding { kind, evidence }: &'a Finding) -> Self {
        Self {
            code: kind.code,
            severity: severity(kind.severity),
            what: kind.what,
            evidence,
            cause: kind.cause,
            cure: kind.cure,
            known_by: kind.known_by,
        }
    }
}

fn record(report: &Report) -> Value {
    let verdict = match report.verdict() {
        Verdict::Well => "well",
        Verdict::Impaired => "impaired",
        Verdict::Wrong => "wrong",
        Verdict::NoNetwork => "no-network",
    };
    let cases = report.cases.iter().map(|case| {
        let followed = case.consequences.iter().map(FindingRecord::new).collect::<Vec<_>>();
        json!({ "finding": FindingRecord::new(&case.finding), "consequences": followed })
    });
    let unknown = report.unknown.iter().map(|unknown| json!({ "what": unknown.what, "why": unknown.why }));
    json!({
        "verdict": verdict,
        "headline": report.headline(),
        "findings": cases.collect::<Vec<_>>(),
        "well": report.well,
        "unknown": unknown.collect::<Vec<_>>(),
    })
}
