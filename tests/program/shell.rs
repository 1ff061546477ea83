//! Life in a shell: help, completions, manual pages, closed pipes, exit codes.

use std::io::{BufRead, BufReader};
use std::process::Stdio;

use trackerless::daemon::config::{SETTINGS, Scope};

use super::harness::Home;

/// The names of all commands, as `--help` lists them, and of those below them, as `watch add`.
fn commands(home: &Home) -> Vec<String> {
    let top = listed(home, "");
    let below =
        |name: &String| listed(home, name).into_iter().map(|below| format!("{name} {below}")).collect::<Vec<_>>();
    top.iter().flat_map(below).chain(top.iter().cloned()).collect()
}

/// The commands that the help of `name` lists.
fn listed(home: &Home, name: &str) -> Vec<String> {
    let help = help_of(home, name, "--help");
    let Some(commands) = help.split("Commands:\n").nth(1) else { return Vec::new() };
    // A description that goes on in the next line is indented further than a command.
    let lines = commands.split("\n\n").next().unwrap().lines().filter(|line| !line.starts_with("   "));
    lines.filter_map(|line| line.split_whitespace().next()).map(str::to_owned).collect()
}

/// What the command of this name prints for a flag.
fn help_of(home: &Home, name: &str, flag: &str) -> String {
    let words: Vec<&str> = name.split_whitespace().chain([flag]).collect();
    home.run(&words).expect_code(0).stdout
}

#[test]
fn help_names_the_exit_codes_and_gives_examples_for_every_command() {
    let home = Home::new();
    for command in commands(&home) {
        let help = help_of(&home, &command, "--help");
        assert!(help.contains("Examples:\n  trackerless"), "{command}:\n{help}");
        assert!(help.contains("Exit codes:"), "{command}:\n{help}");
    }
}

/// Each command with its arguments: what `--help` must show, on a terminal of usual size.
#[test]
fn the_help_of_a_command_fits_a_screen() {
    let home = Home::new();
    for name in commands(&home) {
        let help = help_of(&home, &name, "--help");
        let lines = help.trim_end().lines().count();
        let widest = help.lines().map(|line| line.chars().count()).max().unwrap();
        assert!(lines <= 24 && widest <= 80, "{name}: {lines} lines of up to {widest} columns\n{help}");
        assert_eq!(help, help_of(&home, &name, "-h"), "{name}");
    }
}

#[test]
fn settings_have_a_help_of_their_own() {
    let home = Home::new();
    for name in commands(&home) {
        let help = help_of(&home, &name, "--help");
        if !help.contains("--help-settings") {
            continue;
        }
        let options = help.split("\nExamples:").next().unwrap();
        let settings = help_of(&home, &name, "--help-settings");
        for setting in SETTINGS.iter().filter(|setting| setting.scope == Scope::Every || name == "run") {
            let flag = format!("--{}", setting.flag());
            assert!(settings.contains(&flag) && settings.contains(&setting.variable()), "{name}: {flag}\n{settings}");
            assert!(!options.contains(&flag), "{name}: {flag}\n{help}");
        }
    }
    assert!(home.run(&["run", "--help"]).stdout.contains("--help-settings"));
}

#[test]
fn what_is_typed_wrong_ends_with_2() {
    let home = Home::new();
    for args in [&[][..], &["fnid"], &["config", "--no-such-flag"], &["completions", "cmd.exe"], &["man"]] {
        let ended = home.run(args).expect_code(2);
        assert!(ended.stdout.is_empty(), "{args:?}: {}", ended.stdout);
        assert!(!ended.stderr.is_empty(), "{args:?}");
    }
}

#[test]
fn completions_exist_for_each_shell() {
    let home = Home::new();
    for shell in ["bash", "zsh", "fish", "elvish", "powershell"] {
        let script = home.run(&["completions", shell]).expect_code(0).stdout;
        assert!(script.contains("no-bootstrap"), "{shell}");
    }
}

#[test]
fn manual_pages_are_written_for_every_command() {
    let home = Home::new();
    home.run(&["man", "pages"]).expect_code(0);
    for page in ["trackerless.1", "trackerless-config.1"] {
        let text = std::fs::read_to_string(home.path().join("pages").join(page)).unwrap();
        assert!(text.contains(".TH"), "{page}");
    }
    home.write("file", "");
    let ended = home.run(&["man", "file/pages"]).expect_code(2);
    assert!(ended.stderr.contains("cure: name a folder"), "{}", ended.stderr);
}

#[test]
fn a_reader_that_leaves_early_is_no_accident() {
    let home = Home::new();
    let mut command = home.command(&["config", "--json"]);
    let mut child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    // Like `| head -0`: the pipe is closed before anything is read from it.
    drop(child.stdout.take());
    let mut said = String::new();
    BufReader::new(child.stderr.take().unwrap()).read_line(&mut said).unwrap();
    assert_eq!(said, "");
    assert_eq!(child.wait().unwrap().code(), Some(0));
}
