//! Settings: the layers, their errors, and the printed configuration.

use trackerless::daemon::config::{SETTINGS, Shape};

use super::harness::Home;

#[test]
fn the_usual_file_the_variables_and_the_flags_are_layered() {
    let home = Home::new();
    let path = home.write(".config/trackerless/trackerless.toml", "lan = true\npeer_memory = 7\nlog = \"debug\"\n");
    let mut command = home.command(&["config", "--json", "--log", "trace"]);
    let output = command.env("TRACKERLESS_PEER_MEMORY", "8").output().unwrap();
    let records = super::harness::Ended::from(output).expect_code(0).json();
    assert_eq!(records.len(), SETTINGS.len());
    let find = |key: &str| {
        let record = records.iter().find(|record| record["key"] == key).unwrap();
        (record["value"].clone(), record["origin"].as_str().unwrap().to_owned())
    };
    // Other platforms keep the file elsewhere.
    if cfg!(target_os = "linux") {
        assert_eq!(find("lan"), (true.into(), format!("{path}, line 1")));
    }
    assert_eq!(find("peer_memory"), (8.into(), "variable TRACKERLESS_PEER_MEMORY".to_owned()));
    assert_eq!(find("log"), ("trace".into(), "flag --log".to_owned()));
    assert_eq!(find("serve"), ("always".into(), "default".to_owned()));
}

#[test]
fn what_is_printed_can_be_used_as_the_file() {
    let home = Home::new();
    let first = home.run(&["config", "--lan", "--bind", "127.0.0.1:0", "--bind", "[::1]:0"]).expect_code(0);
    let path = home.write("printed.toml", &first.stdout);
    let again = home.run(&["config", "--config", &path]).expect_code(0);
    let values = |text: &str| text.lines().filter(|line| !line.starts_with('#')).map(str::to_owned).collect::<Vec<_>>();
    assert_eq!(values(&first.stdout), values(&again.stdout));
    assert!(again.stdout.contains("bind = [\"127.0.0.1:0\", \"[::1]:0\"]"), "{}", again.stdout);
    assert!(again.stdout.contains(&format!("# From: {path}, line ")), "{}", again.stdout);
}

#[test]
fn every_setting_is_a_variable() {
    let home = Home::new();
    for setting in &SETTINGS {
        let texts = setting.default_texts().join(",");
        let output = home.command(&["config", "--json"]).env(setting.variable(), texts).output().unwrap();
        let records = super::harness::Ended::from(output).expect_code(0).json();
        let record = records.iter().find(|record| record["key"] == setting.key).unwrap();
        assert_eq!(record["origin"], format!("variable {}", setting.variable()));
    }
}

/// As docs/CONFIGURATION.md shows it: a switch with its value after an equals sign or without one, others with a blank.
#[test]
fn every_setting_is_a_flag() {
    let home = Home::new();
    for setting in &SETTINGS {
        let (flag, value) = (format!("--{}", setting.flag()), setting.default_texts().join(","));
        let written = match setting.form.shape {
            Shape::Switch => vec![vec![format!("{flag}={value}")], vec![flag]],
            _ => vec![vec![flag, value]],
        };
        for flags in written {
            let args: Vec<&str> = ["config", "--json"].into_iter().chain(flags.iter().map(String::as_str)).collect();
            let records = home.run(&args).expect_code(0).json();
            let record = records.iter().find(|record| record["key"] == setting.key).unwrap();
            assert_eq!(record["origin"], format!("flag --{}", setting.flag()));
        }
    }
}

#[test]
fn wrong_settings_end_with_2_and_say_what_to_do() {
    let home = Home::new();
    let path = home.write("wrong.toml", "\nbootstrap_nodes = []\n");
    let ended = home.run(&["config", "--config", &path]).expect_code(2);
    assert_eq!(
        ended.stderr,
        format!("error: {path}, line 2: there is no setting \"bootstrap_nodes\"\ncure: did you mean bootstrap?\n")
    );
    let ended = home.run(&["config", "--peer-memory", "lots"]).expect_code(2);
    assert!(ended.stderr.starts_with("error: flag --peer-memory: peer_memory = \"lots\""), "{}", ended.stderr);
    assert!(ended.stderr.contains("cure: give a whole number from 1"), "{}", ended.stderr);
    let ended = home.run(&["config", "--config", "missing.toml"]).expect_code(2);
    assert!(ended.stderr.contains("missing.toml cannot be read"), "{}", ended.stderr);
}

#[test]
fn a_flag_can_switch_off_what_the_file_switches_on() {
    let home = Home::new();
    let path = home.write("lan.toml", "lan = true\n");
    let ended = home.run(&["config", "--config", &path, "--lan=no"]).expect_code(0);
    assert!(ended.stdout.contains("lan = false"), "{}", ended.stdout);
}

#[test]
fn replaced_settings_name_the_new_one_wherever_they_stand() {
    let home = Home::new();
    let path = home.write("old.toml", "read_only = false\n");
    let from_file = home.run(&["run", "--config", &path]).expect_code(2).stderr;
    assert!(from_file.starts_with(&format!("error: {path}, line 1: the setting read_only was replaced by serve\n")));
    assert!(from_file.contains("cure: give serve = \"never\""), "{from_file}");
    for flag in ["--read-only", "--adaptive", "--adaptive=no"] {
        for command in ["run", "config", "status"] {
            let from_flag = home.run(&[command, flag]).expect_code(2).stderr;
            assert!(from_flag.contains("was replaced by serve\ncure: give --serve "), "{command} {flag}: {from_flag}");
        }
    }
    let output = home.command(&["config"]).env("TRACKERLESS_READ_ONLY", "true").output().unwrap();
    let from_variable = super::harness::Ended::from(output).expect_code(2).stderr;
    assert!(from_variable.contains("cure: give TRACKERLESS_SERVE=never where"), "{from_variable}");
}
