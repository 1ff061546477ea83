//! The control interface of a running node: who may use it, and what it does without.

use std::io::{ErrorKind, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::os::unix::fs::PermissionsExt as _;
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::time::Duration;

use serde_json::Value;

use super::daemon::Daemon;
use super::harness::Home;

const PATIENCE: Duration = Duration::from_secs(60);

/// An answer: its status, its head, its body.
pub struct Answer {
    pub status: u16,
    pub head: String,
    pub body: String,
}

impl Answer {
    pub fn json(&self) -> Value {
        serde_json::from_str(&self.body).unwrap_or_else(|error| panic!("{error}: {}", self.body))
    }
}

fn converse(mut stream: impl Read + Write, request: &str) -> Answer {
    stream.write_all(request.as_bytes()).unwrap();
    let mut text = Vec::new();
    match stream.read_to_end(&mut text) {
        // Where not all of the request was read the answer is followed by a reset.
        Err(error) if error.kind() == ErrorKind::ConnectionReset => {}
        read => drop(read.unwrap()),
    }
    let text = String::from_utf8(text).unwrap();
    let (head, body) = text.split_once("\r\n\r\n").unwrap_or_else(|| panic!("no answer: {text:?}"));
    let status = head.split(' ').nth(1).unwrap().parse().unwrap();
    Answer { status, head: head.to_owned(), body: body.to_owned() }
}

fn request(line: &str, headers: &[&str], body: &str) -> String {
    let mut head = format!("{line} HTTP/1.0\r\n");
    headers.iter().for_each(|header| head += &format!("{header}\r\n"));
    format!("{head}Content-Length: {}\r\n\r\n{body}", body.len())
}

/// Asks the Unix socket of a data folder.
pub fn ask_socket(data: &Path, line: &str, headers: &[&str], body: &str) -> Answer {
    let stream = UnixStream::connect(data.join("control.sock")).expect("the socket of a running node");
    stream.set_read_timeout(Some(PATIENCE)).unwrap();
    converse(stream, &request(line, headers, body))
}

/// Asks the address of a node.
pub fn ask(node: &Daemon, line: &str, headers: &[&str], body: &str) -> Answer {
    let addr = node.started["control"].as_str().unwrap_or_else(|| panic!("{}", node.started));
    let stream = TcpStream::connect(addr).unwrap();
    stream.set_read_timeout(Some(PATIENCE)).unwrap();
    converse(stream, &request(line, headers, body))
}

fn start(home: &Home, flags: &[&str]) -> Daemon {
    let common = ["--bind", "127.0.0.1:0", "--gateway", "off"];
    Daemon::start_with(home, "data", &[], &[&common[..], flags].concat())
}

#[test]
fn reading_is_open_here_and_all_else_needs_the_token_or_the_socket() {
    let home = Home::new();
    let mut node = start(&home, &["--control", "127.0.0.1:0"]);
    node.wait_for("ready");
    let data = home.path().join("data");
    let status = ask(&node, "GET /api/v1/status", &[], "").json();
    assert_eq!((&status["nodes"][0]["address"], &status["ready"]), (&node.address.as_str().into(), &true.into()));

    let json = "Content-Type: application/json";
    let lookup = format!(r#"{{"target":"{}"}}"#, "a".repeat(40));
    let refused = ask(&node, "POST /api/v1/lookups", &[json], &lookup);
    assert!(
        refused.status == 401 && refused.json()["cure"].as_str().unwrap().contains("control.token"),
        "{}",
        refused.body
    );
    let token = std::fs::read_to_string(data.join("control.token")).unwrap();
    let bearer = format!("Authorization: Bearer {}", token.trim());
    assert_eq!(ask(&node, "POST /api/v1/lookups", &[json, &bearer], &lookup).status, 201);
    assert_eq!(ask(&node, "POST /api/v1/lookups", &[json, "Authorization: Bearer x"], &lookup).status, 401);
    assert_eq!(ask(&node, "GET /api/v1/status", &["Host: evil.example"], "").status, 403);
    assert_eq!(ask(&node, "GET /api/v1/status", &["Host: 127.0.0.1", "Origin: http://evil.example"], "").status, 403);
    assert_eq!(ask_socket(&data, "POST /api/v1/lookups", &[json], &lookup).status, 201);
    for file in ["control.sock", "control.token"] {
        let mode = std::fs::metadata(data.join(file)).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o600, "{file}");
    }
    node.stop("TERM");
    assert!(!data.join("control.sock").exists(), "it goes with the node");
}

#[test]
fn bodies_and_heads_are_bounded() {
    let home = Home::new();
    let node = start(&home, &["--control", "127.0.0.1:0"]);
    let data = home.path().join("data");
    let long = "x".repeat(100 << 10);
    assert_eq!(ask_socket(&data, "POST /api/v1/lookups", &["Content-Type: application/json"], &long).status, 413);
    let many = format!("X-Long: {}", "x".repeat(20 << 10));
    let mut stream = TcpStream::connect(node.started["control"].as_str().unwrap()).unwrap();
    // The connection may end before all of it is written.
    let _ = stream.write_all(request("GET /live", &[&many], "").as_bytes());
    let mut text = Vec::new();
    let _ = stream.read_to_end(&mut text);
    assert!(text.is_empty() || text.starts_with(b"HTTP/1.1 431"), "{}", String::from_utf8_lossy(&text));
}

#[test]
fn the_usual_control_address_is_done_without_and_a_chosen_one_must_be_had() {
    let home = Home::new();
    // If this fails somebody else has it, which is as good.
    let _taken = TcpListener::bind("127.0.0.1:6880");
    let node = start(&home, &[]);
    assert!(node.started["control"].is_null(), "{}", node.started);
    assert!(
        node.started["without_control"][0]["what"].as_str().unwrap().contains("127.0.0.1:6880"),
        "{}",
        node.started
    );
    let live = ask_socket(&home.path().join("data"), "GET /live", &[], "");
    assert_eq!((live.status, live.body.as_str()), (200, "live\n"), "the socket is there all the same: {}", live.head);
    drop(node);

    let taken = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let _taken = TcpListener::bind(taken).unwrap();
    let run = ["run", "--lan", "--data-dir", "other", "--bind", "127.0.0.1:0", "--gateway", "off", "--control"];
    let ended = home.run(&[&run[..], &[&taken.to_string()]].concat()).expect_code(3);
    assert!(ended.stderr.contains(&format!("the control interface cannot listen on {taken}")), "{}", ended.stderr);
    assert!(ended.stderr.contains("cure: choose another address with --control"), "{}", ended.stderr);
    let off = start(&Home::new(), &["--control", "off"]);
    assert!(off.started["control"].is_null() && off.started["control_socket"].is_null(), "{}", off.started);
}

#[test]
fn an_address_that_others_reach_is_told_and_needs_the_token_for_everything() {
    let home = Home::new();
    let node = start(&home, &["--control", "0.0.0.0:0", "--control-base-path", "/dht"]);
    assert_eq!(node.started["control_exposed"], true);
    let port = node.started["control"].as_str().unwrap().rsplit(':').next().unwrap().to_owned();
    let ask = |path: &str, headers: &[&str]| {
        let stream = TcpStream::connect(format!("127.0.0.1:{port}")).unwrap();
        converse(stream, &request(&format!("GET {path}"), headers, "")).status
    };
    let token = std::fs::read_to_string(home.path().join("data/control.token")).unwrap();
    let bearer = format!("Authorization: Bearer {}", token.trim());
    assert_eq!((ask("/api/v1/status", &[]), ask("/live", &[])), (401, 401));
    assert_eq!((ask("/api/v1/status", &[&bearer]), ask("/dht/api/v1/status", &[&bearer])), (200, 200));
}

#[test]
fn a_socket_that_a_dead_node_left_is_replaced_and_too_long_a_path_is_told() {
    let home = Home::new();
    let node = start(&home, &[]);
    node.stop("KILL");
    assert!(home.path().join("data/control.sock").exists());
    let _again = start(&home, &[]);
    assert_eq!(ask_socket(&home.path().join("data"), "GET /live", &[], "").status, 200);
    let deep = "d".repeat(100);
    let node = Daemon::start_with(&home, &deep, &[], &["--bind", "127.0.0.1:0", "--gateway", "off"]);
    let without = node.started["without_control"].to_string();
    assert!(without.contains("a shorter --data-dir has room for it"), "{without}");
}
