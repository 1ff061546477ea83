//! Hosts whose addresses change, each a network namespace of its own. Addresses are those that are public in every node's
//! eyes and on no real network: 198.18.0.0/15 (RFC 2544) and 2001:db8::/32 (RFC 3849).

use std::io::{BufRead, BufReader};
use std::process::{Child, Command, Stdio};

use serde_json::Value;

use super::daemon::Daemon;
use super::harness::Home;

/// A host: a process that does nothing but hold a network namespace.
struct Host(Child);

impl Host {
    /// A host with nothing but a loopback device.
    fn new() -> Option<Self> {
        let mut command = Command::new("unshare");
        command.args(["--net", "sh", "-c", "ip link set lo up && echo ready && exec sleep infinity"]);
        let mut holder = command.stdout(Stdio::piped()).stderr(Stdio::null()).spawn().ok()?;
        let mut line = String::new();
        BufReader::new(holder.stdout.take()?).read_line(&mut line).ok()?;
        let host = Self(holder);
        (line == "ready\n").then_some(host)
    }

    /// The same command on this host.
    fn on(&self, command: &Command) -> Command {
        let mut inside = Command::new("nsenter");
        inside.args(["--target", &self.0.id().to_string(), "--net", "--"]);
        inside.arg(command.get_program()).args(command.get_args()).stdin(Stdio::null());
        for (name, value) in command.get_envs() {
            match value {
                Some(value) => inside.env(name, value),
                None => inside.env_remove(name),
            };
        }
        if let Some(folder) = command.get_current_dir() {
            inside.current_dir(folder);
        }
        inside
    }

    fn ip(&self, arguments: &str) {
        let mut command = Command::new("ip");
        command.args(arguments.split_whitespace());
        let ended = self.on(&command).output().expect("ip starts");
        assert!(ended.status.success(), "ip {arguments}: {}", String::from_utf8_lossy(&ended.stderr));
    }

    /// Starts a node that stays.
    fn node(&self, home: &Home, flags: &[&str]) -> Daemon {
        let command = home.command(&[&["run", "--json", "--gateway", "off"], flags].concat());
        Daemon::spawn(self.on(&command))
    }

    /// Pings a node again and again until it answers; its id.
    fn ping(&self, home: &Home, addr: &str) -> trackerless::Id {
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

/// Two hosts and a cable between their interfaces `net`; the second one has all addresses that it will need.
fn two_hosts() -> Option<(Host, Host)> {
    let Some((ours, other)) = Host::new().zip(Host::new()) else {
        assert!(std::env::var_os("CI").is_none(), "CI needs network namespaces: unshare, nsenter and ip, as root");
        println!("skipped: no network namespaces here; run as root");
        return None;
    };
    ours.ip(&format!("link add net type veth peer name net netns {}", other.0.id()));
    for (host, last) in [(&ours, "a"), (&other, "b")] {
        host.ip(&format!("address add 198.18.1.{}/24 dev net", if last == "a" { 1 } else { 2 }));
        host.ip(&format!("address add 2001:db8:1::{last}/64 dev net nodad"));
        host.ip("link set net up");
    }
    other.ip("address add 198.18.2.2/24 dev net");
    other.ip("address add 2001:db8:2::b/64 dev net nodad");
    ours.ip("route add default via 198.18.1.2");
    ours.ip("-6 route add default via 2001:db8:1::b");
    Some((ours, other))
}

fn fits(id: trackerless::Id, ip: &str) -> bool {
    id.matches_address(ip.parse().expect("an address"))
}

#[test]
fn two_hosts_form_a_network_when_one_names_the_other() {
    let Some((ours, other)) = two_hosts() else { return };
    let home = Home::new();
    let _first = other.node(&home, &["--data-dir", "other", "--bind", "198.18.1.2:6881"]);
    let named = ["--bootstrap", "198.18.1.2:6881"];
    let mut second = ours.node(&home, &[&named[..], &["--data-dir", "ours", "--bind", "198.18.1.1:6881"]].concat());
    assert_eq!(second.wait_for("ready")["nodes"], 1);
    let infohash = "a".repeat(40);
    let run = |args: &[&str]| {
        let command = home.command(&[args, &named[..], &["--bind", "198.18.1.1:0", "--data-dir", "none"]].concat());
        let ended = ours.on(&command).output().expect("the program starts");
        assert!(ended.status.success(), "{args:?}: {}", String::from_utf8_lossy(&ended.stderr));
        String::from_utf8(ended.stdout).expect("text")
    };
    run(&["announce", &infohash, "--port", "7777"]);
    assert_eq!(run(&["find", &infohash]), "198.18.1.1:7777\n");
}

#[test]
fn the_wildcard_follows_the_host_to_another_prefix_and_back() {
    let Some((ours, other)) = two_hosts() else { return };
    let home = Home::new();
    let binds = ["--bind", "[::]:7000", "--bind", "0.0.0.0:7000"];
    let mut node =
        ours.node(&home, &[&binds[..], &["--data-dir", "ours", "--bootstrap", "[2001:db8:1::b]:6881"]].concat());
    let _other = other.node(&home, &["--data-dir", "other", "--bind", "[2001:db8:1::b]:6881"]);
    node.wait_for("ready");
    let first = other.ping(&home, "[2001:db8:1::a]:7000");
    assert!(fits(first, "2001:db8:1::a"), "{first}");

    // Another prefix, as after a renumbering: the old address goes, and with it the route.
    ours.ip("address del 2001:db8:1::a/64 dev net");
    ours.ip("address add 2001:db8:2::a/64 dev net nodad");
    ours.ip("-6 route replace default via 2001:db8:2::b");
    let second = other.ping(&home, "[2001:db8:2::a]:7000");
    assert!(fits(second, "2001:db8:2::a") && second != first, "{second}");

    // The interface goes down, which takes its IPv6 addresses, and comes up with the old one.
    ours.ip("link set net down");
    ours.ip("link set net up");
    ours.ip("address add 2001:db8:1::a/64 dev net nodad");
    ours.ip("-6 route replace default via 2001:db8:1::b");
    assert!(fits(other.ping(&home, "[2001:db8:1::a]:7000"), "2001:db8:1::a"));

    // IPv4, too, from another network.
    other.ping(&home, "198.18.1.1:7000");
    ours.ip("address del 198.18.1.1/24 dev net");
    ours.ip("address add 198.18.2.1/24 dev net");
    other.ping(&home, "198.18.2.1:7000");
    let (code, log) = node.stop("TERM");
    assert_eq!(code, Some(0), "{log}");
    assert!(log.contains("listening at another address"), "{log}");
}

/// The first address of the list may be that of an interface which leads nowhere.
#[test]
fn of_several_addresses_the_one_is_bound_that_the_kernel_sends_from() {
    let Some((ours, _other)) = two_hosts() else { return };
    let home = Home::new();
    ours.ip("link add aaa type veth peer name aab");
    ours.ip("address add 2001:db8:ffff::1/64 dev aaa nodad");
    ours.ip("link set aaa up");
    ours.ip("link set aab up");
    let node = ours.node(&home, &["--data-dir", "ours", "--bind", "[::]:7000"]);
    assert_eq!(node.address, "[2001:db8:1::a]:7000");
}

#[test]
fn an_address_that_comes_later_is_waited_for() {
    let Some((ours, other)) = two_hosts() else { return };
    let home = Home::new();
    let node =
        ours.node(&home, &["--data-dir", "ours", "--bind", "198.18.1.77:7000", "--bind", "[2001:db8:1::77]:7000"]);
    let awaited: Vec<&str> =
        node.started["waiting_for"].as_array().expect("a list").iter().filter_map(Value::as_str).collect();
    assert_eq!(awaited, ["198.18.1.77:7000", "[2001:db8:1::77]:7000"]);
    ours.ip("address add 198.18.1.77/24 dev net");
    ours.ip("address add 2001:db8:1::77/64 dev net nodad");
    other.ping(&home, "198.18.1.77:7000");
    other.ping(&home, "[2001:db8:1::77]:7000");
}
