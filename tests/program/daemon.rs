//! A running `trackerless run`, as the tests hold it.

use std::io::{BufRead, BufReader, Read};
use std::process::{Child, Command, Stdio};
use std::sync::mpsc::{Receiver, channel};
use std::time::Duration;

use serde_json::Value;

use super::harness::Home;

/// Longer than any step takes on a slow machine; only a broken program lets it pass.
const PATIENCE: Duration = Duration::from_secs(60);

/// A node of a private network on loopback, with a port that the system chose. Ended with the test.
pub struct Daemon {
    child: Child,
    events: Receiver<Value>,
    pub address: String,
    pub id: String,
    pub started: Value,
}

impl Daemon {
    /// Starts a node that knows `routers`, its data in the folder `data` of `home`.
    pub fn start(home: &Home, data: &str, routers: &[&str]) -> Self {
        Self::start_with(home, data, routers, &["--bind", "127.0.0.1:0", "--gateway", "off"])
    }

    /// Starts a node with further flags.
    pub fn start_with(home: &Home, data: &str, routers: &[&str], flags: &[&str]) -> Self {
        let mut command = home.command(&["run", "--json", "--lan", "--data-dir", data]);
        command.args(flags).args(routers.iter().flat_map(|router| ["--bootstrap", router]));
        Self::spawn(command)
    }

    /// Starts a node by this command.
    pub fn spawn(mut command: Command) -> Self {
        let mut child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().expect("the program starts");
        let events = lines(child.stdout.take().unwrap());
        let started = next(&events, "started", &mut child);
        let first = &started["addresses"][0];
        let text = |value: &Value| value.as_str().unwrap_or_else(|| panic!("{started}")).to_owned();
        Self { address: text(&first["address"]), id: text(&first["id"]), child, events, started: started.clone() }
    }

    /// Starts `count` nodes that find each other through the first; returns when all are ready.
    pub fn network(home: &Home, count: usize) -> Vec<Self> {
        let first = Self::start(home, "node-0", &[]);
        let mut nodes = vec![first];
        for index in 1..count {
            let router = nodes[0].address.clone();
            nodes.push(Self::start(home, &format!("node-{index}"), &[&router]));
        }
        nodes.iter_mut().for_each(|node| drop(node.wait_for("ready")));
        nodes
    }

    /// Waits until the node says that `event` happened.
    pub fn wait_for(&mut self, event: &str) -> Value {
        next(&self.events, event, &mut self.child)
    }

    /// Sends a signal, waits for the end; gives the exit code and what was logged.
    pub fn stop(mut self, signal: &str) -> (Option<i32>, String) {
        self.signal(signal);
        let mut log = String::new();
        self.child.stderr.take().unwrap().read_to_string(&mut log).unwrap();
        (self.child.wait().unwrap().code(), log)
    }

    /// Sends a signal.
    pub fn signal(&self, name: &str) {
        let pid = self.pid().to_string();
        assert!(Command::new("kill").args([&format!("-{name}"), &pid]).status().unwrap().success());
    }

    pub fn pid(&self) -> u32 {
        self.child.id()
    }
}

impl Drop for Daemon {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// The lines of a pipe as JSON, read on a thread so that waiting for one can have an end.
fn lines(pipe: impl Read + Send + 'static) -> Receiver<Value> {
    let (sender, receiver) = channel();
    std::thread::spawn(move || {
        for line in BufReader::new(pipe).lines().map_while(Result::ok) {
            let record = serde_json::from_str(&line).unwrap_or_else(|error| panic!("{error}: {line}"));
            if sender.send(record).is_err() {
                return;
            }
        }
    });
    receiver
}

fn next(events: &Receiver<Value>, event: &str, child: &mut Child) -> Value {
    loop {
        match events.recv_timeout(PATIENCE) {
            Ok(record) if record["event"] == event => return record,
            Ok(_) => {}
            Err(error) => {
                let _ = child.kill();
                let mut log = String::new();
                let _ = child.stderr.take().map(|mut pipe| pipe.read_to_string(&mut log));
                panic!("no event {event:?}: {error}\n{log}");
            }
        }
    }
}
