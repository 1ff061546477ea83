//! `trackerless lab`: the classic experiments on distributed hash tables, on simulated networks.

use std::fs;
use std::path::Path;
use std::sync::atomic::{AtomicUsize, Ordering};

use super::args::LabArgs;
use super::failure::{Exit, Failure};
use super::output::Output;
use super::progress::Progress;
use crate::lab::{Experiment, Outcome, Plan};

pub(super) fn run(args: LabArgs) -> Result<Exit, Failure> {
    fs::create_dir_all(&args.out).map_err(|error| unwritable(&args.out, &error))?;
    let output = Output::new(false);
    let plan = plan(&args);
    let mut holds = true;
    for &experiment in &args.experiment.0 {
        let outcome = watch(experiment, &plan);
        save(experiment, &outcome, &args.out)?;
        for verdict in &outcome.verdicts {
            output.result(format!("{experiment}: {verdict}"), &verdict.to_string())?;
        }
        holds &= outcome.holds();
    }
    Ok(if holds { Exit::Done } else { Exit::Nothing })
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

/// Runs it and shows how far it is.
fn watch(experiment: Experiment, plan: &Plan) -> Outcome {
    let (jobs, done) = (experiment.jobs(plan), AtomicUsize::new(0));
    let progress = Progress::new(format_args!("{experiment}: {}", experiment.question()));
    experiment.run(plan, &|| {
        let done = done.fetch_add(1, Ordering::Relaxed) + 1;
        progress.say(format_args!("{experiment}: {} ({done} of {jobs})", experiment.question()));
    })
}

fn save(experiment: Experiment, outcome: &Outcome, folder: &Path) -> Result<(), Failure> {
    let table = outcome.table.to_string();
    for (kind, content) in [("csv", &table), ("svg", &outcome.picture)] {
        let path = folder.join(format!("{experiment}.{kind}"));
        fs::write(&path, content).map_err(|error| unwritable(&path, &error))?;
    }
    Ok(())
}

fn unwritable(path: &Path, error: &std::io::Error) -> Failure {
    Failure::usage(format_args!("{}: {error}", path.display()), "name another folder with --out")
}
