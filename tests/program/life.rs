//! The life of a node: start, stop, restart, and the data folder between them.

use std::io::{BufRead, BufReader};
use std::process::{Command, Stdio};

use super::daemon::Daemon;
use super::harness::Home;

#[test]
fn each_signal_that_asks_it_to_stop_ends_it_cleanly_and_no_other_does() {
    for signal in ["TERM", "INT", "QUIT"] {
        let home = Home::new();
        let mut node = Daemon::start(&home, "data", &[]);
        node.wait_for("ready");
        ["USR1", "USR2"].iter().for_each(|other| node.signal(other));
        let (code, log) = node.stop(signal);
        assert_eq!(code, Some(0), "{signal}: {log}");
    }
}

#[test]
fn a_node_outlives_the_reader_of_its_output() {
    let home = Home::new();
    let mut command = home.command(&["run", "--lan", "--data-dir", "data", "--bind", "127.0.0.1:0"]);
    let mut child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    let mut first = String::new();
    BufReader::new(child.stdout.take().unwrap()).read_line(&mut first).unwrap();
    assert!(first.starts_with("trackerless "), "{first}");
    assert!(Command::new("kill").args(["-TERM", &child.id().to_string()]).status().unwrap().success());
    let output = child.wait_with_output().unwrap();
    assert_eq!(output.status.code(), Some(0), "{}", String::from_utf8_lossy(&output.stderr));
}

#[test]
fn a_restart_keeps_id_and_port() {
    let home = Home::new();
    let mut first = Daemon::start(&home, "data", &[]);
    first.wait_for("ready");
    let (id, address) = (first.id.clone(), first.address.clone());
    first.stop("TERM");
    let second = Daemon::start(&home, "data", &[]);
    assert_eq!((&second.id, &second.address), (&id, &address));
}

#[test]
fn one_data_folder_serves_one_process() {
    let home = Home::new();
    let first = Daemon::start(&home, "data", &[]);
    let ended = home.run(&["run", "--lan", "--data-dir", "data", "--bind", "127.0.0.1:0"]).expect_code(2);
    assert!(ended.stderr.contains(&format!("process {}", first.pid())), "{}", ended.stderr);
    assert!(ended.stderr.contains("\ncure: "), "{}", ended.stderr);
    // Commands beside a running node take no lock.
    let status = home.run(&["status", "--data-dir", "data", "--json"]).expect_code(0).json().remove(0);
    assert_eq!(status["addresses"][0]["id"], first.id.as_str(), "an id is saved as soon as there is one: {status}");
    home.run(&["ping", &first.address, "--lan", "--data-dir", "data"]).expect_code(0);
}

#[test]
fn an_address_in_use_names_the_cure() {
    let home = Home::new();
    let taken = std::net::UdpSocket::bind("127.0.0.1:0").unwrap();
    let address = taken.local_addr().unwrap().to_string();
    let ended = home.run(&["run", "--lan", "--data-dir", "data", "--bind", &address]).expect_code(3);
    assert!(ended.stderr.contains(&address), "{}", ended.stderr);
    assert!(ended.stderr.contains("\ncure: "), "{}", ended.stderr);
}

#[test]
fn the_saved_state_can_be_read() {
    let home = Home::new();
    let nodes = Daemon::network(&home, 3);
    let ids: Vec<String> = nodes.iter().map(|node| node.id.clone()).collect();
    let addresses: Vec<String> = nodes.iter().map(|node| node.address.clone()).collect();
    for node in nodes {
        node.stop("TERM");
    }
    let status = home.run(&["status", "--json", "--data-dir", "node-2"]).expect_code(0).json();
    assert_eq!(status[0]["addresses"][0]["id"], ids[2].as_str(), "{status:?}");
    assert!(status[0]["addresses"][0]["nodes"].as_u64().unwrap() >= 1, "{status:?}");
    let nodes = home.run(&["nodes", "--json", "--data-dir", "node-2"]).expect_code(0).json();
    assert!(
        nodes.iter().any(|node| node["address"] == addresses[0].as_str() && node["id"] == ids[0].as_str()),
        "{nodes:?}"
    );
    let text = home.run(&["status", "--data-dir", "node-2"]).expect_code(0).stdout;
    assert!(text.contains(&ids[2]), "{text}");
}

#[test]
fn status_and_nodes_say_whether_a_node_runs_and_how_old_their_file_is() {
    let home = Home::new();
    let mut node = Daemon::start(&home, "data", &[]);
    node.wait_for("ready");
    let runs = format!("the node runs (process {})", node.pid());
    let said = |command: &str, stops: bool| {
        let ended = home.run(&[command, "--data-dir", "data", "--alone"]);
        let said = [ended.stdout, ended.stderr].concat();
        let expected = if stops { "no node runs with it" } else { &runs };
        assert!(said.contains(expected) && said.contains(" ago") && !said.contains("1970"), "{command}: {said}");
        home.run(&["status", "--json", "--data-dir", "data", "--alone"]).expect_code(0).json()[0]["running"].clone()
    };
    // Without `--alone` it is the running node that is asked, not its file.
    assert!(home.run(&["nodes", "--data-dir", "data"]).stderr.contains("via the running node"));
    assert_eq!((said("status", false), said("nodes", false)), (true.into(), true.into()));
    node.stop("TERM");
    assert_eq!((said("status", true), said("nodes", true)), (false.into(), false.into()));
}

#[test]
fn what_was_saved_is_where_the_next_start_begins() {
    let home = Home::new();
    let mut nodes = Daemon::network(&home, 3);
    let last = nodes.pop().unwrap();
    last.stop("INT");
    // No router this time: the saved nodes must do, for commands beside the node too. They bind both families, of which
    // nodes are saved for one.
    let infohash = "a".repeat(40);
    let common = ["--lan", "--data-dir", "node-2"];
    home.run(&[&["announce", &infohash, "--port", "1"], &common[..]].concat()).expect_code(0);
    assert_eq!(home.run(&[&["find", &infohash], &common[..]].concat()).expect_code(0).stdout, "127.0.0.1:1\n");
    let mut again = Daemon::start(&home, "node-2", &[]);
    assert_ne!(again.started["saved_nodes"], 0, "{}", again.started);
    assert_eq!(again.started["routers"], 0, "{}", again.started);
    assert_ne!(again.wait_for("ready")["nodes"], 0);
}

#[test]
fn a_damaged_state_is_set_aside_with_a_message() {
    let home = Home::new();
    home.write("data/state.bencode", "nonsense");
    let ended = home.run(&["status", "--data-dir", "data"]).expect_code(2);
    assert!(ended.stderr.contains("damaged"), "{}", ended.stderr);
    let mut node = Daemon::start(&home, "data", &[]);
    node.wait_for("ready");
    let (code, log) = node.stop("TERM");
    assert_eq!(code, Some(0), "{log}");
    assert!(log.contains("damaged") && log.contains("state.bencode.damaged-"), "{log}");
    home.run(&["status", "--data-dir", "data"]).expect_code(0);
}

/// What to do with a file that this version cannot read is not what to do with a damaged one.
#[test]
fn a_state_of_another_version_or_of_a_time_to_come_is_told_as_what_it_is() {
    let home = Home::new();
    let status = || home.run(&["status", "--data-dir", "data"]);
    for (bytes, said) in [
        ("", "is damaged: it is empty\ncure: start"),
        ("<html>", "is damaged: it does not begin as a state does\ncure: start"),
        ("d6:formati3e5:nodeslee", "is of another version of the program: it has format 3; this program writes"),
        ("d6:formati3e5:nodeslee", "cure: use that version"),
    ] {
        home.write("data/state.bencode", bytes);
        let ended = status().expect_code(2);
        assert!(ended.stderr.contains(said), "{bytes}: {}", ended.stderr);
    }
    let saved = include_bytes!("../cases/state-version-1.bencode");
    let at = saved.windows(8).rposition(|key| key == b"5:savedi").expect("a time") + 8;
    home.write("data/state.bencode", [&saved[..at], b"9999999999ee"].concat());
    let ended = status().expect_code(0);
    assert!(ended.stdout.starts_with("saved at a time that is to come"), "{}", ended.stdout);
    let ended = home.run(&["nodes", "--data-dir", "data"]);
    assert!(ended.stderr.contains("saved at a time that is to come"), "{}", ended.stderr);
}

#[test]
fn a_folder_without_state_says_so() {
    let home = Home::new();
    for command in ["status", "nodes"] {
        let ended = home.run(&[command, "--data-dir", "nothing-here"]).expect_code(1);
        assert!(ended.stderr.contains("nothing-here"), "{}", ended.stderr);
    }
}

/// Starts `run` under a limit of the shell.
#[cfg(unix)]
fn under(home: &Home, limit: &str, flags: &str) -> Command {
    let program = home.command(&[]);
    let path = program.get_program().to_str().expect("a path of text").to_owned();
    let script = format!("ulimit {limit}; exec {path} run --json --lan --bind 127.0.0.1:0 {flags}");
    let mut command = Command::new("sh");
    command.args(["-c", &script]).current_dir(home.path()).env("HOME", home.path());
    command
}

#[cfg(target_os = "linux")]
#[test]
fn the_limit_of_open_files_is_raised_at_the_start() {
    let home = Home::new();
    let command = under(&home, "-Sn 64", "--gateway off --data-dir data");
    let mut node = Daemon::spawn(command);
    node.wait_for("ready");
    let limits = std::fs::read_to_string(format!("/proc/{}/limits", node.pid())).expect("readable");
    let line = limits.lines().find(|line| line.starts_with("Max open files")).expect("there is that limit");
    let columns: Vec<&str> = line.split_whitespace().collect();
    assert_eq!(columns[3], columns[4], "{line}");
}

/// Whether the program begins at all under this limit of memory, in KiB: below, the system, its loader or the standard
/// library ends it before the first line of ours.
#[cfg(target_os = "linux")]
fn begins(home: &Home, kibibytes: u64) -> bool {
    let ended = under(home, &format!("-v {kibibytes}"), "--help").output().expect("sh starts");
    ended.status.success() || String::from_utf8_lossy(&ended.stderr).contains("cure:")
}

/// Too little of anything is an error with a cure, never a panic.
#[cfg(target_os = "linux")]
#[test]
fn a_process_that_may_have_next_to_nothing_says_what_it_lacks() {
    let home = Home::new();
    // Three are open already, and the loader opens one.
    let files = (4..14).map(|files| format!("-n {files}"));
    let (mut too_little, mut enough) = (1 << 10, 1 << 20);
    assert!(begins(&home, enough));
    while enough - too_little > 64 {
        let middle = u64::midpoint(too_little, enough);
        *(if begins(&home, middle) { &mut enough } else { &mut too_little }) = middle;
    }
    // The first of them is too little for anything but that message.
    let memory = (0..40).map(|step| format!("-v {}", enough + 128 + step * 1_000));
    for limit in &files.chain(memory).collect::<Vec<_>>() {
        let mut command = under(&home, limit, "--gateway off --data-dir data");
        let mut child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().expect("sh starts");
        // It ends by itself, or it runs: then it says so first.
        let mut line = String::new();
        BufReader::new(child.stdout.take().expect("piped")).read_line(&mut line).expect("readable");
        let started = line.contains("started");
        assert!(Command::new("kill").args(["-TERM", &child.id().to_string()]).status().is_ok());
        let ended = child.wait_with_output().expect("it ends");
        let log = String::from_utf8_lossy(&ended.stderr);
        assert!(!log.contains("panicked"), "ulimit {limit}: {log}");
        assert!(started || log.contains("cure:"), "ulimit {limit}: {:?} {log}", ended.status);
    }
}
