//! Writes docs/CONFORMANCE.md: the whole conformance suite against our node, libtorrent and the `mainline` crate.
//!
//! ```sh
//! cargo run --example conformance
//! ```
//!
//! libtorrent comes from PyPI: `tests/run interop` installs it where this example looks for it, or name a Python that
//! has it with the environment variable PYTHON. Everything stays on loopback.
#![forbid(unsafe_code)]

mod deviations;
mod page;
mod targets;

use std::process::ExitCode;
use std::time::Duration;

use trackerless::conform::udp::{Manners, Sockets};
use trackerless::conform::{self, Probe, Report};

use targets::Target;

fn main() -> ExitCode {
    let runs: Vec<Run> =
        [Target::trackerless(), Target::libtorrent(), Target::mainline()].into_iter().map(test).collect();
    let unexplained = page::unexplained(&runs);
    if !unexplained.is_empty() {
        eprintln!("explain these in examples/conformance/deviations.rs:\n{}", unexplained.join("\n"));
        return ExitCode::FAILURE;
    }
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/docs/CONFORMANCE.md");
    std::fs::write(path, page::render(&runs)).expect("docs/ can be written");
    ExitCode::SUCCESS
}

/// What the suite says about one target.
struct Run {
    name: &'static str,
    reports: Vec<Report>,
}

fn test(target: Target) -> Run {
    eprintln!("testing {}", target.name);
    // These targets limit nobody here, so nothing must be paced; on loopback whoever answers does so at once.
    let manners = Manners { pace: Duration::ZERO, patience: Duration::from_millis(250) };
    let mut sockets = Sockets::open(target.addr, manners).expect("a socket");
    let mut probe = Probe::new(&mut sockets, [7; 32]);
    assert!(probe.is_there(), "{} does not answer", target.name);
    Run { name: target.name, reports: conform::checks().map(|check| check.run(&mut probe)).collect() }
}
