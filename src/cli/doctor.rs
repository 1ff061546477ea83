//! `trackerless doctor`: is it working, and if not, what is the cause and the cure?

use super::args::DoctorArgs;
use super::failure::{Exit, Failure, eprintln_quietly};
use super::progress::Progress;
use super::session;
use crate::daemon::control::client::Client;
use crate::daemon::doctor::bundle::{self, Contents};
use crate::daemon::doctor::record::ReportRecord;
use crate::daemon::doctor::{self, Case, Finding, Report, Verdict, gather};

pub(super) fn run(args: DoctorArgs, environment: &[(String, String)]) -> Result<Exit, Failure> {
    let (config, output) = session::begin_daemon(args.settings, args.json, environment)?;
    session::block_on(async {
        let progress = Progress::new("asking this host and the network; some seconds");
        let view = match Client::of_folder(&config.data_dir).await {
            Some(client) => client.view().await.ok(),
            None => None,
        };
        let evidence = gather::gather(&config, view.as_ref()).await;
        let report = doctor::examine(&evidence);
        drop(progress);
        let record = ReportRecord::from(&report);
        if let Some(path) = &args.bundle {
            let all =
                Contents { report: &record, text: &text(&report, true), evidence: &evidence, config: &config, view };
            bundle::write(path, &all).map_err(|error| {
                Failure::usage(
                    format_args!("{} cannot be written: {error}", path.display()),
                    "name a file in a folder that you may write to",
                )
            })?;
            eprintln_quietly(format_args!("written: {}; look into it before you give it away", path.display()));
        }
        output.result(text(&report, args.verbose), &serde_json::json!(record))?;
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
        kind.severity.name(),
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
