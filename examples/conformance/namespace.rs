//! A network namespace in which all of 198.18.0.0/15 (RFC 2544) is at hand, public addresses in the eyes of every node,
//! and nothing else can be reached.

use std::process::{Command, ExitCode};

/// Set inside.
const MARK: &str = "CONFORMANCE_NAMESPACE";

pub(crate) fn is_inside() -> bool {
    std::env::var_os(MARK).is_some()
}

/// Runs this very program again, inside.
pub(crate) fn enter() -> ExitCode {
    let program = std::env::current_exe().expect("this program has a path");
    let ways: [&[&str]; 2] = [&["--net"], &["--net", "--map-root-user"]];
    let works =
        |way: &&[&str]| Command::new("unshare").args(*way).arg("true").status().is_ok_and(|status| status.success());
    let Some(way) = ways.into_iter().find(works) else {
        eprintln!("no network namespaces here: run this as root, or where users may have namespaces");
        return ExitCode::FAILURE;
    };
    let status =
        Command::new("unshare").args(way).arg(program).args(std::env::args_os().skip(1)).env(MARK, "1").status();
    if status.is_ok_and(|status| status.success()) { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

/// Puts the addresses in place.
pub(crate) fn furnish() {
    for arguments in ["link set lo up", "route add local 198.18.0.0/15 dev lo"] {
        let status = Command::new("ip").args(arguments.split(' ')).status();
        assert!(status.is_ok_and(|status| status.success()), "ip {arguments}");
    }
}
