//! A host of the test's own: a network namespace with mounts of its own.

use std::fs::File;
use std::io::{BufRead, BufReader};
use std::os::fd::AsFd as _;
use std::process::{Child, Command, Stdio};
use std::thread::JoinHandle;

use rustix::thread::{LinkNameSpaceType, move_into_link_name_space};
use serde_json::Value;

use super::daemon::Daemon;
use super::harness::Home;

/// A host: a process that does nothing but hold a network namespace.
pub struct Host(Child);

impl Host {
    /// A host with nothing but a loopback device, and mounts of its own. None where there are no namespaces, which it says.
    pub fn new() -> Option<Self> {
        let host = Self::begin();
        if host.is_none() {
            assert!(std::env::var_os("CI").is_none(), "CI needs network namespaces: unshare, nsenter and ip, as root");
            println!("skipped: no network namespaces here; run as root");
        }
        host
    }

    fn begin() -> Option<Self> {
        let mut command = Command::new("unshare");
        command.args(["--net", "--mount", "sh", "-c", "ip link set lo up && echo ready && exec sleep infinity"]);
        let mut holder = command.stdout(Stdio::piped()).stderr(Stdio::null()).spawn().ok()?;
        let mut line = String::new();
        BufReader::new(holder.stdout.take()?).read_line(&mut line).ok()?;
        let host = Self(holder);
        (line == "ready\n").then_some(host)
    }

    pub fn pid(&self) -> u32 {
        self.0.id()
    }

    /// The same command on this host.
    pub fn on(&self, command: &Command) -> Command {
        let mut inside = Command::new("nsenter");
        inside.args(["--target", &self.0.id().to_string(), "--net", "--mount"]);
        if let Some(folder) = command.get_current_dir() {
            // Entering a namespace of mounts leaves the folder otherwise.
            inside.arg(format!("--wd={}", folder.display()));
        }
        inside.arg("--");
        inside.arg(command.get_program()).args(command.get_args()).stdin(Stdio::null());
        for (name, value) in command.get_envs() {
            match value {
                Some(value) => inside.env(name, value),
                None => inside.env_remove(name),
            };
        }
        inside
    }

    /// Does something on a thread that is on this host.
    pub fn thread<T: Send + 'static>(&self, work: impl FnOnce() -> T + Send + 'static) -> JoinHandle<T> {
        let place = File::open(format!("/proc/{}/ns/net", self.pid())).expect("the host lives");
        std::thread::spawn(move || {
            move_into_link_name_space(place.as_fd(), Some(LinkNameSpaceType::Network)).expect("root");
            work()
        })
    }

    pub fn ip(&self, arguments: &str) {
        self.sh(&format!("ip {arguments}"));
    }

    /// Runs a line of the shell on this host.
    pub fn sh(&self, line: &str) {
        drop(self.told_by(line));
    }

    /// What a line of the shell on this host prints.
    pub fn told_by(&self, line: &str) -> String {
        let mut command = Command::new("sh");
        command.args(["-c", line]);
        let ended = self.on(&command).output().expect("sh starts");
        assert!(ended.status.success(), "{line}: {}", String::from_utf8_lossy(&ended.stderr));
        String::from_utf8(ended.stdout).expect("text")
    }

    /// Starts a node that stays.
    pub fn node(&self, home: &Home, flags: &[&str]) -> Daemon {
        let command = home.command(&[&["run", "--json", "--gateway", "off"], flags].concat());
        Daemon::spawn(self.on(&command))
    }

    /// Pings a node again and again until it answers; its id.
    pub fn ping(&self, home: &Home, addr: &str) -> trackerless::Id {
        for _ in 0..30 {
            let ended = self.on(&home.command(&["ping", "--json", addr])).output().expect("the program starts");
            if ended.status.success() {
                let answer: Value = serde_json::from_slice(&ended.stdout).expect("JSON");
                return answer["id"].as_str().expect("an id").parse().expect("forty digits");
            }
        }
        panic!("{addr} does not answer");
    }
}

impl Drop for Host {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}
