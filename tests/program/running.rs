//! Commands that use the node which runs with their data folder: no second node, and the same results.

use std::io::{BufRead as _, BufReader};
use std::process::{Child, Stdio};
use std::sync::mpsc::{Receiver, channel};
use std::time::Duration;

use serde_json::Value;

use super::daemon::Daemon;
use super::harness::{Ended, Home};

const INFOHASH: &str = "da39a3ee5e6b4b0d3255bfef95601890afd80709";
const SAID: &str = "via the running node\n";

/// Runs a command through the node in the folder `node-1`.
fn via(home: &Home, args: &[&str], code: i32) -> Ended {
    let ended = home.run(&[args, &["--data-dir", "node-1"]].concat()).expect_code(code);
    assert!(ended.stderr.contains(SAID), "{}", ended.stderr);
    ended
}

/// Runs it with a node of its own.
fn alone(home: &Home, nodes: &[Daemon], args: &[&str], code: i32) -> Ended {
    let own = ["--data-dir", "node-1", "--alone", "--lan", "--bootstrap", &nodes[0].address];
    let ended = home.run(&[args, &own].concat()).expect_code(code);
    assert!(!ended.stderr.contains(SAID), "{}", ended.stderr);
    ended
}

/// The names of the fields of a record, and those of its records.
fn fields(record: &Value) -> Vec<String> {
    record.as_object().unwrap().iter().map(|(name, value)| format!("{name} {}", value.is_null())).collect()
}

#[test]
fn what_is_found_and_counted_is_the_same_as_alone() {
    let home = Home::new();
    let nodes = Daemon::network(&home, 3);
    let announce = ["announce", INFOHASH, "--port", "5000", "--seed", "--json"];
    let (theirs, ours) = (via(&home, &announce, 0).json(), alone(&home, &nodes, &announce, 0).json());
    assert_eq!(fields(&theirs[0]), fields(&ours[0]));
    assert_eq!(
        (&theirs[0]["visible"], &theirs[0]["stored_at"]),
        (&true.into(), &2.into()),
        "not on itself: {}",
        theirs[0]
    );

    let list = format!("{INFOHASH}\n{}\n", "a".repeat(40));
    let find = ["find", "-", "--json"];
    let found = |more: &[&str]| {
        let ended = home.run_with_input(&[&find[..], more].concat(), &list).expect_code(0);
        let mut lines: Vec<String> = ended.stdout.lines().map(str::to_owned).collect();
        lines.sort_unstable();
        lines
    };
    let own = ["--alone", "--lan", "--bootstrap", &nodes[0].address];
    assert_eq!(found(&["--data-dir", "node-1"]), found(&own));
    assert_eq!(via(&home, &["find", INFOHASH, "--want", "1"], 0).stdout, "127.0.0.1:5000\n");
    assert!(via(&home, &["find", &"b".repeat(40)], 1).stderr.contains("no peer of"));

    let scrape = ["scrape", INFOHASH, "--json"];
    let (theirs, ours) = (via(&home, &scrape, 0).json(), alone(&home, &nodes, &scrape, 0).json());
    assert_eq!((fields(&theirs[0]), &theirs[0]["seeds"]), (fields(&ours[0]), &1.into()));
    for command in ["ping", "sample"] {
        let ask = [command, &nodes[2].address, "--json"];
        let (theirs, ours) = (via(&home, &ask, 0).json(), alone(&home, &nodes, &ask, 0).json());
        assert_eq!((fields(&theirs[0]), &theirs[0]["id"]), (fields(&ours[0]), &nodes[2].id.as_str().into()));
    }
    assert!(via(&home, &["ping", "127.0.0.1:1"], 3).stderr.contains("did not answer"));
}

#[test]
fn items_and_files_and_feeds_go_through_the_running_node() {
    let home = Home::new();
    let nodes = Daemon::network(&home, 3);
    let target = via(&home, &["put", "Hello World!", "--json"], 0).json()[0]["target"].as_str().unwrap().to_owned();
    assert_eq!(via(&home, &["get", &target], 0).stdout, "Hello World!\n");
    assert_eq!(alone(&home, &nodes, &["get", &target], 0).stdout, "Hello World!\n");
    via(&home, &["get", &"0".repeat(40)], 1);

    home.run(&["key", "new", "me.key"]).expect_code(0);
    for (text, seq) in [("one", 1), ("two", 2)] {
        let put = via(&home, &["put", "--mutable", "--key", "me.key", text, "--json"], 0).json();
        assert_eq!(put[0]["seq"], seq, "{}", put[0]);
    }
    let refused = via(&home, &["put", "--mutable", "--key", "me.key", "three", "--seq", "2"], 1);
    assert!(refused.stderr.contains("seq 2 is taken"), "{}", refused.stderr);

    let file: Vec<u8> = (0..5_000u32).map(|byte| (byte * 7 % 251) as u8).collect();
    let name = home.write("file.bin", &file);
    let root = via(&home, &["put", "--file", &name, "--json"], 0).json()[0]["root"].as_str().unwrap().to_owned();
    via(&home, &["get", "--file", &root, "-o", "again.bin"], 0);
    assert_eq!(std::fs::read(home.path().join("again.bin")).unwrap(), file);

    let published = via(&home, &["publish-torrent", INFOHASH, "--key", "me.key", "--salt", "daily"], 0);
    assert_eq!(via(&home, &["resolve", published.stdout.trim()], 0).stdout, format!("{INFOHASH}\n"));
}

#[test]
fn status_and_nodes_tell_what_is_so_now() {
    let home = Home::new();
    let nodes = Daemon::network(&home, 3);
    via(&home, &["announce", INFOHASH, "--port", "5000"], 0);
    let status = via(&home, &["status", "--json"], 0).json().remove(0);
    assert_eq!(status["running"], true, "{status}");
    assert_eq!(status["addresses"][0]["address"], nodes[1].address.as_str());
    assert_eq!(status["addresses"][0]["announced"][0]["infohash"], INFOHASH, "{status}");
    let known = via(&home, &["nodes", "--json"], 0).json();
    let ids: Vec<&str> = known.iter().map(|node| node["id"].as_str().unwrap()).collect();
    assert!(ids.contains(&nodes[0].id.as_str()) && ids.is_sorted(), "{known:?}");
    let saved = home.run(&["status", "--json", "--alone", "--data-dir", "node-1"]).expect_code(0);
    assert_eq!(fields(&saved.json()[0]), fields(&status), "the same record of what was saved");
    let [now, then] = [&status, &saved.json()[0]].map(|status| status["saved_at"].as_u64().expect("it was saved"));
    assert!(now.abs_diff(then) <= 1, "the running node tells how old its file is: {now} and {then}");
    assert!(!saved.stderr.contains(SAID), "{}", saved.stderr);
}

#[test]
fn without_a_node_that_runs_and_with_flags_of_a_node_a_command_has_its_own() {
    let home = Home::new();
    let mut nodes = Daemon::network(&home, 3);
    via(&home, &["announce", INFOHASH, "--port", "5000"], 0);
    let own = home.run(&["find", INFOHASH, "--data-dir", "node-1", "--lan", "--bootstrap", &nodes[0].address]);
    let own = own.expect_code(0);
    assert!(own.stdout == "127.0.0.1:5000\n" && !own.stderr.contains(SAID), "{}", own.stderr);
    // A node that was killed leaves its socket behind.
    nodes.remove(1).stop("KILL");
    assert!(home.path().join("node-1/control.sock").exists());
    let find = ["find", INFOHASH, "--data-dir", "node-1", "--timeout", "5"];
    let ended = home.run(&[&find[..], &["--lan", "--bootstrap", &nodes[0].address]].concat()).expect_code(0);
    assert_eq!(ended.stdout, "127.0.0.1:5000\n");
    let status = home.run(&["status", "--json", "--data-dir", "node-1"]);
    assert!(!status.stderr.contains(SAID), "{}", status.stderr);
}

/// The lines of a pipe, so that waiting for one can have an end.
fn lines(pipe: impl std::io::Read + Send + 'static) -> Receiver<String> {
    let (sender, receiver) = channel();
    std::thread::spawn(move || {
        BufReader::new(pipe).lines().map_while(Result::ok).take_while(|line| sender.send(line.clone()).is_ok()).count()
    });
    receiver
}

fn wait_for(lines: &Receiver<String>, part: &str) -> String {
    loop {
        let line =
            lines.recv_timeout(Duration::from_secs(60)).unwrap_or_else(|_| panic!("nothing is said of {part:?}"));
        if line.contains(part) {
            return line;
        }
    }
}

/// `announce --keep` through the node in the folder `node-1`; its results and what it says besides.
fn keep(home: &Home) -> (Child, Receiver<String>, Receiver<String>) {
    let args = ["announce", INFOHASH, "--port", "5000", "--seed", "--keep", "--json", "--data-dir", "node-1"];
    let mut child = home.command(&args).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    let (results, said) = (lines(child.stdout.take().unwrap()), lines(child.stderr.take().unwrap()));
    (child, results, said)
}

/// Whether the node in the folder `node-1` keeps the infohash announced.
fn is_kept_announced(home: &Home) -> bool {
    home.run(&["watch", "list", "--json", "--data-dir", "node-1"]).stdout.contains(INFOHASH)
}

#[test]
fn what_is_kept_announced_is_the_running_nodes_as_long_as_the_command_runs() {
    let home = Home::new();
    let mut nodes = Daemon::network(&home, 3);
    let (mut child, results, said) = keep(&home);
    let report: Value = serde_json::from_str(&wait_for(&results, INFOHASH)).unwrap();
    assert_eq!((&report["visible"], &report["port"], &report["stored_at"]), (&true.into(), &5000.into(), &2.into()));
    wait_for(&said, "via the running node");
    assert!(is_kept_announced(&home));

    // The node ends, and comes back.
    let address = nodes[0].address.clone();
    nodes.remove(1).stop("TERM");
    wait_for(&said, "the running node has ended");
    let mut again = Daemon::start(&home, "node-1", &[&address]);
    again.wait_for("ready");
    wait_for(&results, "\"visible\":true");

    // However the command ends.
    child.kill().unwrap();
    child.wait().unwrap();
    assert!((0..600).any(|_| !is_kept_announced(&home)), "it is still announced");
    drop(again);
}
