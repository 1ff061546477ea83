//! Faults that are made on hosts and in folders of the test's own, and what the doctor says of each; and setups in which it
//! must find nothing.
//!
//! The Internet is a host with twenty nodes of each family, at addresses that are public in every node's eyes. The patient is a
//! host with a cable to it.

mod faults;
mod healthy;
mod patient;
mod resolver;

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Mutex;
use std::thread;

use serde_json::Value;

use self::patient::{Internet, Patient};
use super::harness::Home;

/// Patients that are examined at a time; nearly all of it is waiting.
const AT_ONCE: usize = 32;

/// A patient: its name, what is done to it, flags for the doctor, the causes that must be found, the gravest first, and the exit
/// code.
struct Case {
    name: &'static str,
    make: fn(&mut Patient<'_>),
    flags: &'static [&'static str],
    found: &'static [&'static str],
    code: i32,
}

/// A case that is wrong or could be better.
const fn fault(
    name: &'static str,
    make: fn(&mut Patient<'_>),
    flags: &'static [&'static str],
    found: &'static [&'static str],
) -> Case {
    Case { name, make, flags, found, code: 1 }
}

/// A case with notes alone.
const fn noted(
    name: &'static str,
    make: fn(&mut Patient<'_>),
    flags: &'static [&'static str],
    found: &'static [&'static str],
) -> Case {
    Case { name, make, flags, found, code: 0 }
}

#[test]
fn each_fault_is_named_and_nothing_else() {
    assert!(faults::FAULTS.len() >= 40);
    try_all(faults::FAULTS);
}

#[test]
fn nothing_is_found_where_all_is_well() {
    assert!(healthy::HEALTHY.len() >= 10);
    try_all(healthy::HEALTHY);
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
    // Most patients do not run, and have IPv4 alone; the host of the tests may be a container itself.
    let usual = ["not-running", "no-ipv6", "gateway-in-container"];
    found.retain(|code| case.found.contains(code) || !usual.contains(code));
    let right = found == case.found && ended.code == case.code;
    (!right).then(|| {
        format!(
            "{}: {found:?}, exit code {}; {:?} expected, {}\n{report}",
            case.name, ended.code, case.found, case.code
        )
    })
}
