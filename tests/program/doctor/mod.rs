//! Faults that are made on hosts and in folders of the test's own, and what the doctor says of each; and setups in which it
//! must find nothing.
//!
//! The Internet is a host with twenty nodes of each family, at addresses that are public in every node's eyes. The patient is a
//! host with a cable to it.

mod crowd;
mod faults;
mod healthy;
mod patient;
mod resolver;

use std::fmt::Write as _;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::Path;
use std::sync::Mutex;
use std::thread;

use serde_json::Value;
use trackerless::daemon::doctor::KINDS;

use self::patient::{Internet, Patient};
use super::harness::Home;

/// Patients that are examined at a time; nearly all of it is waiting.
const AT_ONCE: usize = 32;

/// Most patients do not run, and have IPv4 alone.
const USUAL: [&str; 2] = ["not-running", "no-ipv6"];

/// A patient: its name, what is done to it, flags for the doctor, the causes that must be found, the gravest first, and the exit
/// code.
#[derive(Clone, Copy)]
struct Case {
    name: &'static str,
    make: fn(&mut Patient<'_>),
    flags: &'static [&'static str],
    found: &'static [&'static str],
    code: i32,
    /// What stands for the real thing, where that cannot be had in a test.
    stand_in: &'static str,
}

/// A case that is wrong or could be better.
const fn fault(
    name: &'static str,
    make: fn(&mut Patient<'_>),
    flags: &'static [&'static str],
    found: &'static [&'static str],
) -> Case {
    Case { name, make, flags, found, code: 1, stand_in: "" }
}

/// A case with notes alone.
const fn noted(
    name: &'static str,
    make: fn(&mut Patient<'_>),
    flags: &'static [&'static str],
    found: &'static [&'static str],
) -> Case {
    Case { name, make, flags, found, code: 0, stand_in: "" }
}

#[test]
fn each_fault_is_named_and_nothing_else() {
    assert!(faults::FAULTS.len() >= 40);
    try_all(faults::FAULTS);
}

#[test]
fn each_fault_that_takes_its_time_is_named_and_nothing_else() {
    try_all(faults::LONG);
}

#[test]
fn nothing_is_found_where_all_is_well() {
    assert!(healthy::HEALTHY.len() >= 10);
    try_all(healthy::HEALTHY);
}

/// The last part of docs/DOCTOR.md, from the cases. With `UPDATE_DOCS=1` it is written.
#[test]
fn the_document_has_every_fault() {
    let mut text = String::from(HEAD);
    for (title, cases) in
        [("Faults", [faults::FAULTS, faults::LONG].concat()), ("All is well", healthy::HEALTHY.to_vec())]
    {
        let kind = if title == "Faults" { "Found" } else { "Found, as notes" };
        write!(text, "\n| {title} | {kind} | What stands for the real thing |\n|---|---|---|\n").unwrap();
        for case in cases {
            let found: Vec<String> = case.found.iter().map(|code| format!("`{code}`")).collect();
            writeln!(text, "| {} | {} | {} |", case.name, found.join(", "), case.stand_in).unwrap();
        }
    }
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/DOCTOR.md");
    let written = std::fs::read_to_string(&path).expect("docs/DOCTOR.md");
    let (kinds, faults) =
        written.split_at(written.find(HEAD.lines().nth(1).expect("a title")).unwrap_or(written.len()) - 1);
    if std::env::var_os("UPDATE_DOCS").is_some() {
        std::fs::write(&path, format!("{kinds}{text}")).expect("it can be written");
        return;
    }
    assert_eq!(faults, text, "UPDATE_DOCS=1 cargo nextest run --test program document writes it");
}

const HEAD: &str = "
## The faults that the tests make

Each case is a host of the test's own (a network namespace with mounts of its own) with a cable to a small Internet of twenty nodes.
Something is done to it, then `trackerless doctor --json` must find these causes, the gravest first, and nothing else, and end with the
right code. `not-running` and `no-ipv6` are notes of nearly every case and left out. Another program is another node, a VPN is an interface
without a program behind it.
";

#[test]
fn each_kind_is_found_in_a_case() {
    let cases = faults::FAULTS.iter().chain(faults::LONG).chain(healthy::HEALTHY);
    let found: Vec<&str> = cases.flat_map(|case| case.found).copied().chain(USUAL).collect();
    let missing: Vec<&str> = KINDS.iter().map(|kind| kind.code).filter(|code| !found.contains(code)).collect();
    assert!(missing.is_empty(), "{missing:?}");
}

fn try_all(cases: &[Case]) {
    let home = Home::new();
    let Some((internet, _nodes)) = Internet::new(&home) else { return };
    let left = Mutex::new(cases.iter().enumerate());
    let wrong = Mutex::new(Vec::new());
    thread::scope(|scope| {
        for _ in 0..AT_ONCE {
            scope.spawn(|| {
                while let Some((number, case)) = next(&left) {
                    let tried = catch_unwind(AssertUnwindSafe(|| try_one(&internet, number + 1, case)));
                    let what = tried.unwrap_or_else(|_| Some(format!("{}: could not be made, see above", case.name)));
                    wrong.lock().expect("no panic").extend(what);
                }
            });
        }
    });
    let wrong = wrong.into_inner().expect("no panic");
    assert!(wrong.is_empty(), "{} of {} cases:\n{}", wrong.len(), cases.len(), wrong.join("\n"));
}

fn next<T>(left: &Mutex<impl Iterator<Item = T>>) -> Option<T> {
    left.lock().expect("no panic").next()
}

/// What is wrong with what the doctor says, if anything.
fn try_one(internet: &Internet, number: usize, case: &Case) -> Option<String> {
    let home = Home::new();
    let host = internet.patient(number);
    let mut patient = Patient::new(internet, &host, &home, number);
    (case.make)(&mut patient);
    let ended = patient.examine(case.flags);
    let Some(report) = ended.stdout.lines().next().and_then(|line| serde_json::from_str::<Value>(line).ok()) else {
        return Some(format!("{}: {ended:?}", case.name));
    };
    let causes = report["findings"].as_array().expect("a list").iter();
    let mut found: Vec<&str> = causes.filter_map(|case| case["finding"]["code"].as_str()).collect();
    // The host of the tests may be a container itself.
    let usual = |code: &str| USUAL.contains(&code) || code == "gateway-in-container";
    found.retain(|code| case.found.contains(code) || !usual(code));
    let right = found == case.found && ended.code == case.code;
    (!right).then(|| {
        format!(
            "{}: {found:?}, exit code {}; {:?} expected, {}\n{report}",
            case.name, ended.code, case.found, case.code
        )
    })
}
