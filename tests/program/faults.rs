//! Faults of the machine: the program is killed at any moment, the disk is full in the middle of a save. What was saved
//! before is still there.
#![cfg(target_os = "linux")]

use std::net::UdpSocket;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use super::daemon::Daemon;
use super::harness::Home;

/// Rounds of a node that is killed; `TRACKERLESS_KILL_ROUNDS=200` by hand.
const KILL_ROUNDS: u32 = 20;

/// A user that owns nothing.
const NOBODY: u32 = 65_534;

/// Peers that the node stores, so that a save takes a moment.
const PEERS: u16 = 2_000;

fn signal(name: &str, pid: u32) {
    assert!(Command::new("kill").args([&format!("-{name}"), &pid.to_string()]).status().unwrap().success());
}

/// A client of the DHT: queries with numbers of their own, sent again until they are answered.
pub struct Client {
    socket: UdpSocket,
    transaction: u16,
}

impl Client {
    pub fn new() -> Self {
        let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
        socket.set_read_timeout(Some(Duration::from_millis(50))).unwrap();
        Self { socket, transaction: 0 }
    }

    /// The response to a query that is given up to its transaction. The node has queries of its own: they are not for us.
    fn ask(&mut self, node: &str, query: &[u8]) -> Vec<u8> {
        self.transaction += 1;
        let transaction = [&b"1:t2:"[..], &self.transaction.to_be_bytes(), b"1:"].concat();
        let query = [query, &transaction, b"y1:qe"].concat();
        let mut buffer = [0; 1500];
        for _ in 0..1200 {
            self.socket.send_to(&query, node).unwrap();
            while let Ok(length) = self.socket.recv(&mut buffer) {
                let holds = |part: &[u8]| buffer[..length].windows(part.len()).any(|bytes| bytes == part);
                if holds(&transaction) && holds(b"1:y1:r") {
                    return buffer[..length].to_vec();
                }
            }
        }
        panic!("{node} does not answer")
    }

    pub fn ping(&mut self, node: &str) {
        self.ask(node, b"d1:ad2:id20:abcdefghij0123456789e1:q4:ping");
    }

    /// Announces this many peers, each of a torrent of its own.
    pub fn announce_peers(&mut self, node: &str, count: u16) {
        for index in 0..count {
            let mut infohash = [b'h'; 20];
            infohash[..2].copy_from_slice(&index.to_be_bytes());
            let arguments = [&b"d1:ad2:id20:abcdefghij01234567899:info_hash20:"[..], &infohash].concat();
            let answer = self.ask(node, &[&arguments[..], b"e1:q9:get_peers"].concat());
            let at = answer.windows(9).position(|bytes| bytes == b"5:token8:").expect("a token of eight bytes") + 9;
            let token = &answer[at..at + 8];
            self.ask(node, &[&arguments[..], b"4:porti6881e5:token8:", token, b"e1:q13:announce_peer"].concat());
        }
    }
}

/// A small generator of its own, so that a round can be repeated by its seed.
fn next(seed: &mut u64) -> u64 {
    *seed ^= *seed << 13;
    *seed ^= *seed >> 7;
    *seed ^= *seed << 17;
    *seed
}

/// Takes a moment for each step.
fn work(path: &Path, steps: u64) {
    (0..steps).for_each(|_| drop(std::hint::black_box(path.metadata())));
}

/// In the middle of the start, while it runs, in the middle of the last save: id, port and a readable state remain.
#[test]
fn a_node_that_is_killed_keeps_its_state_whatever_the_moment() {
    let rounds = std::env::var("TRACKERLESS_KILL_ROUNDS").map_or(KILL_ROUNDS, |text| text.parse().unwrap());
    let first_seed = std::env::var("TRACKERLESS_SEED").map_or(0x9e37_79b9_7f4a_7c15, |text| text.parse().unwrap());
    let (home, mut seed) = (Home::new(), first_seed);
    let mut node = Daemon::start(&home, "data", &[]);
    node.wait_for("ready");
    let (id, address) = (node.id.clone(), node.address.clone());
    Client::new().announce_peers(&address, PEERS);
    assert_eq!(node.stop("TERM").0, Some(0));
    for round in 0..rounds {
        let mut run = home.command(&["run", "--json", "--lan", "--gateway", "off", "--data-dir", "data"]);
        run.args(["--bind", "127.0.0.1:0"]).stdout(Stdio::null()).stderr(Stdio::null());
        let mut child = run.spawn().unwrap();
        if round % 2 == 1 {
            Client::new().ping(&address);
            signal("TERM", child.id());
        }
        work(home.path(), next(&mut seed) % 30_000);
        child.kill().unwrap();
        child.wait().unwrap();
        let status = home.run(&["status", "--json", "--data-dir", "data"]).expect_code(0).json().remove(0);
        let saved = &status["addresses"][0];
        let told = format!("TRACKERLESS_SEED={first_seed}, round {round}: {status}");
        assert_eq!((saved["id"].as_str(), saved["address"].as_str()), (Some(&*id), Some(&*address)), "{told}");
        assert_eq!(saved["peers"], PEERS, "{told}");
    }
    let names = std::fs::read_dir(home.path().join("data")).unwrap().map(|entry| entry.unwrap().file_name());
    let names: Vec<_> = names.collect();
    assert!(names.iter().all(|name| !name.to_string_lossy().contains("damaged")), "{names:?}");
    assert_eq!(Daemon::start(&home, "data", &[]).id, id);
}

/// A node that may have no further thread, of a user of its own where the tests are root's: root may have as many as it likes.
/// It ends all the same, and what was saved before is still there.
#[test]
fn a_node_that_gets_no_thread_for_its_last_save_says_so_and_ends() {
    let home = Home::new();
    std::fs::create_dir(home.path().join("data")).unwrap();
    let run = home.command(&[
        "run",
        "--json",
        "--lan",
        "--gateway",
        "127.0.0.1:0",
        "--data-dir",
        "data",
        "--bind",
        "127.0.0.1:0",
    ]);
    let is_root = std::fs::metadata("/proc/self").is_ok_and(|about| std::os::unix::fs::MetadataExt::uid(&about) == 0);
    let of_user = |program: &str| {
        let mut command = Command::new(if is_root { "setpriv" } else { "env" });
        if is_root {
            command.args([format!("--reuid={NOBODY}"), format!("--regid={NOBODY}"), "--clear-groups".to_owned()]);
        }
        command.arg(program);
        command
    };
    if is_root {
        for path in [home.path(), &home.path().join("data")] {
            std::os::unix::fs::chown(path, Some(NOBODY), Some(NOBODY)).unwrap();
        }
    }
    let mut command = of_user(run.get_program().to_str().expect("text"));
    command.args(run.get_args()).current_dir(home.path()).env("HOME", home.path());
    let node = Daemon::spawn(command);
    let (id, address) = (node.id.clone(), node.address.clone());
    Client::new().announce_peers(&address, 10);
    let limited = of_user("prlimit").args(["--nproc=1", "--pid", &node.pid().to_string()]).status().unwrap();
    assert!(limited.success());
    let (code, log) = node.stop("TERM");
    assert_eq!(code, Some(2), "{log}");
    assert!(log.contains("start a thread that writes") && log.contains("cure: ") && !log.contains("panicked"), "{log}");
    let status = home.run(&["status", "--json", "--data-dir", "data"]).expect_code(0).json().remove(0);
    assert_eq!(status["addresses"][0]["id"], *id, "what was saved at the start: {status}");
}

/// The only child of a process, once it has one.
fn child_of(parent: &Child) -> u32 {
    let path = format!("/proc/{0}/task/{0}/children", parent.id());
    let children = || std::fs::read_to_string(&path).unwrap_or_default();
    (0..1_000_000).find_map(|_| children().split_whitespace().next()?.parse().ok()).expect("a child")
}

/// On a file system of its own, too small for the state that the node has in the end.
#[test]
fn a_disk_that_is_full_in_the_middle_of_a_save_loses_nothing_that_was_saved() {
    let home = Home::new();
    std::fs::create_dir(home.path().join("data")).unwrap();
    let address = UdpSocket::bind("127.0.0.1:0").unwrap().local_addr().unwrap().to_string();
    let run = home.command(&["run", "--lan", "--gateway", "off", "--data-dir", "data", "--bind", &address]);
    let script = "mount -t tmpfs -o size=64k none data || exit 77
        \"$@\"; code=$?
        \"$1\" status --json --data-dir data
        exit $code";
    let mut inside = Command::new("unshare");
    inside.args(["--user", "--map-root-user", "--mount", "sh", "-c", script, "sh"]);
    inside.arg(run.get_program()).args(run.get_args()).current_dir(home.path()).env("HOME", home.path());
    let shell = inside.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    // More than fits beside the state that was saved at the start: about 30 bytes for each peer.
    Client::new().announce_peers(&address, 3_000);
    signal("TERM", child_of(&shell));
    let output = shell.wait_with_output().unwrap();
    let (told, said) = (String::from_utf8(output.stdout).unwrap(), String::from_utf8(output.stderr).unwrap());
    if output.status.code() == Some(77) {
        assert!(std::env::var_os("CI").is_none(), "no mounts in a namespace: {said}");
        println!("skipped: this system allows no mounts in a namespace");
        return;
    }
    assert_eq!(output.status.code(), Some(2), "{told}\n{said}");
    assert!(said.contains("the state could not be saved") && said.contains("No space left on device"), "{said}");
    assert!(said.contains("\ncure: "), "{said}");
    let status: serde_json::Value = serde_json::from_str(told.lines().last().unwrap()).unwrap();
    assert_eq!(status["addresses"][0]["address"], address.as_str(), "what was saved at the start: {status}");
}
