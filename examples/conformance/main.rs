//! Writes docs/CONFORMANCE.md: the whole conformance suite against our node, libtorrent, the `mainline` crate and
//! Transmission.
//!
//! ```sh
//! cargo run --example conformance
//! ```
//!
//! With a name behind it (`-- libtorrent`), that node alone is tested, and the page stays as it is. It runs inside a network namespace of its own (`unshare`, as root or where users may have namespaces), for
//! Transmission (jech/dht) ignores nodes on 127.0.0.0/8. libtorrent comes from PyPI: `tests/run interop` installs it where
//! this example looks for it, or name a Python that has it with the environment variable PYTHON. Transmission is the
//! `transmission-daemon` of Debian.
#![forbid(unsafe_code)]

mod deviations;
mod namespace;
mod page;
mod targets;

use std::process::ExitCode;

use trackerless::conform::udp::Sockets;
use trackerless::conform::{self, Probe, Report};

use targets::Target;

fn main() -> ExitCode {
    if !namespace::is_inside() {
        return namespace::enter();
    }
    namespace::furnish();
    let starts: [(&str, Start); 4] = [
        ("trackerless", Target::trackerless),
        ("libtorrent", Target::libtorrent),
        ("mainline", Target::mainline),
        ("transmission", Target::transmission),
    ];
    let only = std::env::args().nth(1);
    let wanted = |name: &str| only.as_deref().is_none_or(|only| only == name);
    let wanted = starts.into_iter().filter(|(name, _)| wanted(name));
    // All at once: nearly all of the time is spent on waiting for what must not come.
    let tests: Vec<_> = wanted.map(|(_, start)| std::thread::spawn(move || test(start()))).collect();
    let runs: Vec<Run> = tests.into_iter().map(|test| test.join().expect("the suite does not panic")).collect();
    if only.is_some() {
        runs.iter().for_each(page::print_failures);
        return ExitCode::SUCCESS;
    }
    let unexplained = page::unexplained(&runs);
    if !unexplained.is_empty() {
        eprintln!("explain these in examples/conformance/deviations.rs:\n{}", unexplained.join("\n"));
        return ExitCode::FAILURE;
    }
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/docs/CONFORMANCE.md");
    std::fs::write(path, page::render(&runs)).expect("docs/ can be written");
    ExitCode::SUCCESS
}

type Start = fn() -> Target;

/// Times that a target is asked whether it is there yet, a second apart.
const STARTING: usize = 20;

/// What the suite says about one target.
struct Run {
    name: &'static str,
    reports: Vec<Report>,
}

fn test(target: Target) -> Run {
    let mut sockets = Sockets::open(target.addr, target.manners, target.pool).expect("a socket");
    let mut probe = Probe::new(&mut sockets, [7; 32]).in_private_network();
    assert!((0..STARTING).any(|_| probe.is_there()), "{} does not answer", target.name);
    let run = Run { name: target.name, reports: conform::checks().map(|check| check.run(&mut probe)).collect() };
    eprintln!("{}: done", target.name);
    run
}
