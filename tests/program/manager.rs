//! What the manager of services (systemd) is told, and logs for programs.

use std::os::unix::net::UnixDatagram;
use std::time::Duration;

use super::daemon::Daemon;
use super::harness::Home;

/// Longer than any step takes on a slow machine.
const PATIENCE: Duration = Duration::from_secs(60);

/// Takes what is told into `all`, until `last` is in it. The watchdog is fed for ever, so that messages are counted.
fn hear_until(socket: &UnixDatagram, all: &mut String, last: &str) {
    let mut buffer = [0; 4096];
    for _ in 0..1_000 {
        if all.contains(last) {
            return;
        }
        let length = socket.recv(&mut buffer).unwrap_or_else(|error| panic!("no {last} came ({error}): {all}"));
        all.push_str(std::str::from_utf8(&buffer[..length]).unwrap());
    }
    panic!("no {last} came: {all}");
}

#[test]
fn a_manager_hears_that_the_node_is_up_lives_and_stops() {
    let home = Home::new();
    let path = home.path().join("notify");
    let socket = UnixDatagram::bind(&path).unwrap();
    socket.set_read_timeout(Some(PATIENCE)).unwrap();
    let flags = ["run", "--json", "--lan", "--gateway", "off", "--bind", "127.0.0.1:0", "--data-dir", "data"];
    let mut command = home.command(&flags);
    command.env("NOTIFY_SOCKET", &path).env("WATCHDOG_USEC", "300000").env_remove("WATCHDOG_PID");
    let mut node = Daemon::spawn(command);
    let mut all = String::new();
    hear_until(&socket, &mut all, "WATCHDOG=1");
    // Before it is up, it has its sockets kept: the test of restarts is in tests/interop.
    let news: Vec<&str> = all.lines().filter(|line| !line.starts_with("FD")).collect();
    assert_eq!(news[0], "READY=1", "{all}");
    node.wait_for("ready");
    hear_until(&socket, &mut all, "STATUS=joined the network; nodes known then: 0");
    assert_eq!(node.stop("TERM").0, Some(0));
    hear_until(&socket, &mut all, "STOPPING=1");
}

#[test]
fn logs_for_programs_are_one_json_object_a_line() {
    let home = Home::new();
    let flags = ["--bind", "127.0.0.1:0", "--gateway", "off", "--log", "trace", "--log-format", "json"];
    let mut node = Daemon::start_with(&home, "data", &[], &flags);
    node.wait_for("ready");
    let (code, log) = node.stop("TERM");
    assert_eq!(code, Some(0), "{log}");
    let records: Vec<serde_json::Value> = log.lines().map(|line| serde_json::from_str(line).expect(line)).collect();
    assert!(!records.is_empty(), "something is logged at this level");
    assert!(records.iter().all(|record| record["level"].is_string() && record["target"].is_string()), "{log}");
}
