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

/// The flags that a file of `packaging/container` gives to `run`, in quotes or as items of a list.
fn flags_of(file: &str, begin: &str) -> Vec<String> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("packaging/container").join(file);
    let text = std::fs::read_to_string(path).unwrap();
    let (_, after) = text.split_once(begin).expect("it starts the program");
    let block = after.split("\n    environment").next().expect("a part");
    let items =
        block.split(['\n', ',']).map(|item| item.trim().trim_start_matches("- ").trim_matches(['"', '[', ']', ' ']));
    items.filter(|item| !item.is_empty() && !item.starts_with('#') && *item != "run").map(str::to_owned).collect()
}

#[test]
fn containers_start_the_program_with_flags_that_it_has() {
    let home = Home::new();
    for (file, begin) in [("Containerfile", "CMD [\"run\","), ("compose.yaml", "      - run\n")] {
        let mut flags = flags_of(file, begin);
        assert!(flags.len() >= 3, "{file}: {flags:?}");
        // The folder is that of the container.
        flags.retain(|flag| !flag.contains("/data"));
        flags.retain(|flag| flag != "--data-dir");
        let args: Vec<&str> = ["config"].into_iter().chain(flags.iter().map(String::as_str)).collect();
        home.run(&args).expect_code(0);
    }
    home.run(&["config", "--config", concat!(env!("CARGO_MANIFEST_DIR"), "/packaging/config.toml")]).expect_code(0);
}
