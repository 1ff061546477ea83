//! `trackerless lab`: the classic experiments on distributed hash tables, on simulated networks.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Mutex;

use serde::Serialize;

use super::args::LabArgs;
use super::failure::{Exit, Failure, eprintln_quietly};
use super::output::{Printer, counted};
use super::progress::Progress;
use crate::lab::{Experiment, LEGEND, Outcome, Plan, Verdict};

pub(super) fn run(args: LabArgs) -> Result<Exit, Failure> {
    fs::create_dir_all(&args.out).map_err(|error| unwritable(&args.out, &error))?;
    let output = Printer::new(args.json);
    let plan = plan(&args);
    eprintln_quietly(format_args!("{}", announcement(&args.experiment.0, &plan)));
    let mut holds = true;
    for &experiment in &args.experiment.0 {
        let outcome = watch(experiment, &plan);
        let files = save(experiment, &outcome, &args.out)?;
        report(output, experiment, &outcome, &files)?;
        holds &= outcome.holds();
    }
    output.note(LEGEND)?;
    Ok(if holds { Exit::Done } else { Exit::Nothing })
}

/// Prints the table, the verdicts and where the files are.
fn report(output: Printer, experiment: Experiment, outcome: &Outcome, files: &Files) -> Result<(), Failure> {
    let name = experiment.name();
    output.note(format_args!("{experiment}: {}\n\n{}\n", experiment.question(), outcome.table.in_columns()))?;
    for verdict in &outcome.verdicts {
        let Verdict { holds, explained, text } = verdict;
        let record = Record { experiment: name, holds: *holds, explained: *explained, verdict: text };
        output.result(format_args!("{experiment}: {verdict}"), &record)?;
    }
    let Files { table, picture, .. } = files;
    let text = format_args!("{experiment}: the table is {}, the picture {}\n", table.display(), picture.display());
    output.result(text, files)
}

/// Where an experiment was saved.
#[derive(Serialize)]
struct Files {
    experiment: &'static str,
    table: PathBuf,
    picture: PathBuf,
}

/// A verdict, for programs.
#[derive(Serialize)]
struct Record<'a> {
    experiment: &'static str,
    holds: bool,
    /// It does not hold for a known cause: no failure.
    explained: bool,
    verdict: &'a str,
}

fn plan(args: &LabArgs) -> Plan {
    Plan {
        nodes: args.nodes.as_ref().map(|sizes| sizes.iter().map(|&n| n as usize).collect()),
        systems: args.systems.clone(),
        trials: args.trials.map(|trials| trials as usize),
        quick: args.quick,
        threads: std::thread::available_parallelism().map_or(1, usize::from),
        ..Plan::new(args.seed)
    }
}

/// How long it will take, in all and one by one.
fn announcement(experiments: &[Experiment], plan: &Plan) -> String {
    let seconds = |each: &Experiment| wall_seconds(&each.seconds(plan), each.threads(plan));
    let all = rough(experiments.iter().map(seconds).sum());
    let parts: Vec<String> = experiments.iter().map(|each| format!("{each} {}", rough(seconds(each)))).collect();
    format!("this takes about {all} on {} ({})", counted(plan.threads, "thread"), parts.join(", "))
}

/// Runs it and shows how far it is: by the weight of the jobs done, not by their number.
fn watch(experiment: Experiment, plan: &Plan) -> Outcome {
    let seconds = experiment.seconds(plan);
    let (all, done) = (seconds.iter().sum::<f64>(), Mutex::new(0.0));
    let progress = Progress::new(format_args!("{experiment}: {}", experiment.question()));
    experiment.run(plan, &|job| {
        let mut done = done.lock().expect("no thread panics with the lock held");
        *done += seconds[job];
        let left = rough(progress.elapsed().as_secs_f64() * (all / *done - 1.0));
        progress.say(format_args!("{experiment}: {} {:.0} %, {left} left", experiment.question(), 100.0 * *done / all));
    })
}

/// Time that jobs of these lengths take together on these threads, in seconds: no less than the longest of them.
fn wall_seconds(jobs: &[f64], threads: usize) -> f64 {
    jobs.iter().copied().fold(jobs.iter().sum::<f64>() / threads as f64, f64::max)
}

/// A time as people say it.
fn rough(seconds: f64) -> String {
    if seconds < 90.0 { format!("{seconds:.0} s") } else { format!("{:.0} min", seconds / 60.0) }
}

fn save(experiment: Experiment, outcome: &Outcome, folder: &Path) -> Result<Files, Failure> {
    let write = |kind: &str, content: &str| -> Result<PathBuf, Failure> {
        let path = folder.join(format!("{experiment}.{kind}"));
        fs::write(&path, content).map_err(|error| unwritable(&path, &error))?;
        Ok(path)
    };
    for (name, table) in &outcome.more {
        let path = folder.join(format!("{experiment}_{name}.csv"));
        fs::write(&path, table.to_string()).map_err(|error| unwritable(&path, &error))?;
    }
    let (table, picture) = (write("csv", &outcome.table.to_string())?, write("svg", &outcome.picture)?);
    Ok(Files { experiment: experiment.name(), table, picture })
}

fn unwritable(path: &Path, error: &std::io::Error) -> Failure {
    Failure::usage(format_args!("{}: {error}", path.display()), "name another folder with --out")
}
