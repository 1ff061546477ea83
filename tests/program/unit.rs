//! `docs/trackerless.service`: the unit that docs/OPERATING.md tells to install.

use std::path::Path;
use std::process::Command;

use super::harness::Home;

const UNIT: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/docs/trackerless.service");

/// Most exposure that `systemd-analyze security` may find, in tenths of its scale of 0 to 10.
const MOST_EXPOSURE: u32 = 20;

#[test]
fn the_unit_exposes_little() {
    let threshold = format!("--threshold={MOST_EXPOSURE}");
    let args = ["security", "--offline=true", "--no-pager", &threshold, UNIT];
    let Ok(output) = Command::new("systemd-analyze").args(args).output() else {
        assert!(std::env::var_os("CI").is_none(), "systemd-analyze is not here");
        println!("skipped: systemd-analyze is not here");
        return;
    };
    let found = String::from_utf8_lossy(&output.stdout).into_owned();
    assert!(output.status.success(), "{found}\n{}", String::from_utf8_lossy(&output.stderr));
    assert!(found.contains("Overall exposure level"), "{found}");
}

#[test]
fn what_the_unit_starts_is_a_command_line_of_ours() {
    let home = Home::new();
    let unit = std::fs::read_to_string(Path::new(UNIT)).unwrap();
    let line = unit.lines().find_map(|line| line.strip_prefix("ExecStart=")).expect("the unit starts something");
    let words: Vec<&str> = line.split_whitespace().collect();
    assert_eq!(words[..2], ["/usr/local/bin/trackerless", "run"]);
    home.run(&[&["config"], &words[2..]].concat()).expect_code(0);
}
