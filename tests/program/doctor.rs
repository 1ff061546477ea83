//! Faults that are made on hosts and in folders of the test's own, and what the doctor says of each.
//!
//! The Internet is a host with a dozen nodes at addresses that are public in every node's eyes. The patient is a host with
//! a cable to it.

use std::sync::Mutex;
use std::thread;

use serde_json::Value;

use super::daemon::Daemon;
use super::harness::{Ended, Home};
use super::host::Host;

/// Patients that are examined at a time; nearly all of it is waiting.
const AT_ONCE: usize = 8;
const ROUTER: &str = "20.1.1.1:6881";

/// A host with nodes, each in a network of its own.
struct Internet(Host);

impl Internet {
    /// The host, and the nodes that live on it.
    fn new(home: &Home) -> Option<(Self, Vec<Daemon>)> {
        let host = Host::new()?;
        let address = |index: usize| format!("{}.1.1.1:6881", 20 + index);
        let mut nodes = Vec::new();
        for index in 0..12 {
            host.ip(&format!("address add {}.1.1.1/32 dev lo", 20 + index));
            let (bind, data) = (address(index), format!("internet-{index}"));
            nodes.push(host.node(home, &["--data-dir", &data, "--bind", &bind, "--bootstrap", ROUTER]));
        }
        nodes.iter_mut().skip(1).for_each(|node| drop(node.wait_for("ready")));
        Some((Self(host), nodes))
    }

    /// A host with a cable to this one, the `number`th of them.
    fn patient(&self, number: usize) -> Host {
        let patient = Host::new().expect("there are namespaces");
        let cable = format!("c{number}");
        patient.ip(&format!("link add net type veth peer name {cable} netns {}", self.0.pid()));
        patient.ip(&format!("address add 198.18.{number}.1/24 dev net"));
        patient.ip(&format!("address add 2001:db8:{number}::a/64 dev net nodad"));
        self.0.ip(&format!("address add 198.18.{number}.2/24 dev {cable}"));
        self.0.ip(&format!("address add 2001:db8:{number}::b/64 dev {cable} nodad"));
        self.0.ip(&format!("link set {cable} up"));
        patient.ip("link set net up");
        patient.ip(&format!("route add default via 198.18.{number}.2"));
        patient
    }
}

/// A patient while something is done to it.
struct Patient<'a> {
    host: &'a Host,
    home: &'a Home,
    number: usize,
    /// Most files that the doctor may open.
    files: Option<u32>,
    /// What must live while the patient is examined.
    others: Vec<Daemon>,
}

impl Patient<'_> {
    fn ip(&self, arguments: &str) {
        self.host.ip(&arguments.replace('#', &self.number.to_string()));
    }

    /// Its data folder.
    fn data(&self) -> String {
        self.home.path().join("data").display().to_string()
    }

    /// Another program of ours, which stands for any other.
    fn other(&mut self, flags: &[&str]) {
        let command = self.home.command(&[&["run", "--json", "--lan", "--data-dir", "other"], flags].concat());
        self.others.push(Daemon::spawn(self.host.on(&command)));
    }

    /// A file system of its own for the data folder.
    fn small_disk(&self, kibibytes: usize) {
        let data = self.data();
        self.host.sh(&format!("mkdir -p {data} && mount -t tmpfs -o size={kibibytes}k tmpfs {data}"));
    }

    /// Runs the node until it has joined, so that there is a saved state.
    fn run_once(&self) {
        let flags = ["--data-dir", &self.data(), "--bind", "0.0.0.0:6880", "--bootstrap", ROUTER];
        let mut node = self.host.node(self.home, &flags);
        node.wait_for("ready");
        let (code, log) = node.stop("TERM");
        assert_eq!(code, Some(0), "{log}");
    }
}

/// A fault: its name, how it is made, flags for the doctor, the causes that must be found, the gravest first, and the exit code.
struct Fault {
    name: &'static str,
    make: fn(&mut Patient<'_>),
    flags: &'static [&'static str],
    found: &'static [&'static str],
    code: i32,
}

/// Notes that each of these patients has: its node does not run, and it has no route by IPv6.
const ALWAYS: [&str; 2] = ["not-running", "no-ipv6"];
const USUAL: &[&str] = &["--bootstrap", ROUTER];
const NOWHERE: &[&str] = &["--bootstrap", "99.9.9.9:6881"];

const FAULTS: &[Fault] = &[
    Fault { name: "none", make: |_| {}, flags: USUAL, found: &[], code: 0 },
    Fault {
        name: "the cable is out",
        make: |host| host.ip("link set net down"),
        flags: USUAL,
        found: &["no-network"],
        code: 3,
    },
    Fault {
        name: "no route",
        make: |host| host.ip("route del default"),
        flags: USUAL,
        found: &["no-network"],
        code: 3,
    },
    Fault { name: "datagrams go nowhere", make: |_| {}, flags: NOWHERE, found: &["no-answer"], code: 1 },
    Fault {
        name: "another program has the port",
        make: |host| host.other(&["--bind", "0.0.0.0:6880", "--gateway", "off"]),
        flags: &["--bootstrap", ROUTER, "--bind", "0.0.0.0:6880"],
        found: &["port-taken"],
        code: 1,
    },
    Fault {
        name: "another tracker runs",
        make: |host| host.other(&["--bind", "127.0.0.1:0", "--gateway", "127.0.0.1:6969"]),
        flags: USUAL,
        found: &["gateway-taken"],
        code: 1,
    },
    Fault {
        name: "a VPN that is down",
        make: |_| {},
        flags: &["--bootstrap", ROUTER, "--bind", "10.8.0.2:6880"],
        found: &["address-not-here"],
        code: 1,
    },
    Fault {
        name: "a file has the name of the folder",
        make: |host| drop(host.home.write("data", "")),
        flags: USUAL,
        found: &["folder-not-writable"],
        code: 1,
    },
    Fault {
        name: "a file system that is read-only",
        make: |host| {
            host.small_disk(1 << 20);
            host.host.sh(&format!("mount -o remount,ro {}", host.data()));
        },
        flags: USUAL,
        found: &["folder-not-writable"],
        code: 1,
    },
    Fault {
        name: "a full disk",
        make: |host| {
            host.small_disk(64);
            host.host.sh(&format!("dd if=/dev/zero of={}/file bs=1k count=64 2>&1 || true", host.data()));
        },
        flags: USUAL,
        found: &["folder-full"],
        code: 1,
    },
    Fault {
        name: "a small disk",
        make: |host| host.small_disk(32 << 10),
        flags: USUAL,
        found: &["space-short"],
        code: 1,
    },
    Fault {
        name: "a state that is none",
        make: |host| drop(host.home.write("data/state.bencode", "nonsense")),
        flags: USUAL,
        found: &["state-damaged"],
        code: 1,
    },
    Fault {
        name: "a state with a flipped bit",
        make: |host| {
            host.run_once();
            let file = format!("{}/state.bencode", host.data());
            let mut bytes = std::fs::read(&file).expect("it was saved");
            let middle = bytes.len() / 2;
            bytes[middle] ^= 1;
            host.home.write("data/state.bencode", bytes);
        },
        flags: USUAL,
        found: &["state-damaged"],
        code: 1,
    },
    Fault {
        name: "a state that was set aside",
        make: |host| drop(host.home.write("data/state.bencode.damaged-1", "")),
        flags: USUAL,
        found: &["set-aside"],
        code: 0,
    },
    Fault {
        name: "loopback",
        make: |_| {},
        flags: &["--bootstrap", ROUTER, "--bind", "127.0.0.1:6880"],
        found: &["loopback-only"],
        code: 1,
    },
    Fault {
        name: "a name that has no address",
        make: |_| {},
        flags: &["--bootstrap", "router.invalid:6881"],
        found: &["names-fail"],
        code: 1,
    },
    Fault {
        name: "an ad blocker",
        make: |host| {
            let routers = ["dht.libtorrent.org", "dht.transmissionbt.com", "router.bt.ouinet.work"];
            let more = ["router.bittorrent.com", "router.utorrent.com"];
            let lines = routers.iter().chain(&more).map(|name| format!("10.0.0.1 {name}\n"));
            let file = host.home.write("hosts", lines.collect::<String>());
            host.host.sh(&format!("mount --bind {file} /etc/hosts"));
        },
        flags: &[],
        found: &["names-lie"],
        code: 1,
    },
    Fault {
        name: "a carrier's address",
        make: |host| {
            host.ip("address add 100.64.#.1/24 dev net");
            host.ip("route replace default via 198.18.#.2 src 100.64.#.1");
        },
        flags: NOWHERE,
        found: &["no-answer", "carrier-nat"],
        code: 1,
    },
    Fault {
        name: "a VPN that came up later",
        make: |host| {
            host.ip("link add vpn type veth peer name far");
            host.ip("address add 198.19.1.1/24 dev vpn");
            host.ip("link set vpn up");
            host.ip("link set far up");
            host.ip("route add 20.0.0.0/6 via 198.18.#.2");
            host.ip("route add 24.0.0.0/5 via 198.18.#.2");
            host.ip("route replace default via 198.19.1.2");
        },
        flags: &["--bootstrap", ROUTER, "--bind", "198.18.#.1:6880"],
        found: &["other-interface"],
        code: 1,
    },
    Fault {
        name: "6to4",
        make: |host| {
            host.ip("address add 2002:c612:101::1/64 dev net nodad");
            host.ip("-6 route add default via 2001:db8:#::b src 2002:c612:101::1");
        },
        flags: USUAL,
        found: &["ipv6-tunnel"],
        code: 0,
    },
    Fault {
        name: "a container",
        make: |host| host.host.sh("mount -t tmpfs tmpfs /run && touch /run/.containerenv"),
        flags: USUAL,
        found: &["gateway-in-container"],
        code: 0,
    },
    Fault { name: "few files", make: |host| host.files = Some(256), flags: USUAL, found: &["few-files"], code: 1 },
    Fault {
        name: "a private network",
        make: |_| {},
        flags: &["--lan", "--bootstrap", ROUTER],
        found: &["private-network"],
        code: 0,
    },
    Fault {
        name: "few nodes",
        make: |host| {
            host.ip("address add 198.19.7.1/32 dev lo");
            let flags = ["--data-dir", "lonely", "--bind", "198.19.7.1:6881", "--no-bootstrap"];
            host.others.push(host.host.node(host.home, &flags));
        },
        flags: &["--bootstrap", "198.19.7.1:6881"],
        found: &["few-nodes"],
        code: 1,
    },
];

impl Patient<'_> {
    /// What the doctor says.
    fn examine(&self, flags: &[&str]) -> Ended {
        let data = self.data();
        let mut command = self.home.command(&["doctor", "--json", "--data-dir", &data]);
        command.args(flags.iter().map(|flag| flag.replace('#', &self.number.to_string())));
        if let Some(files) = self.files {
            let mut limited = self.home.command(&[]);
            let program = limited.get_program().to_owned();
            limited = std::process::Command::new("sh");
            limited.arg("-c").arg(format!("ulimit -n {files}; exec \"$0\" \"$@\"")).arg(program);
            limited.args(command.get_args()).env("HOME", self.home.path()).current_dir(self.home.path());
            command = limited;
        }
        Ended::from(self.host.on(&command).output().expect("the program starts"))
    }
}

#[test]
fn each_fault_is_named_and_nothing_else() {
    let home = Home::new();
    let Some((internet, _nodes)) = Internet::new(&home) else { return };
    let left = Mutex::new(FAULTS.iter().enumerate());
    let wrong = Mutex::new(Vec::new());
    thread::scope(|scope| {
        for _ in 0..AT_ONCE {
            scope.spawn(|| {
                while let Some((number, fault)) = next(&left) {
                    wrong.lock().expect("no panic").extend(try_fault(&internet, number, fault));
                }
            });
        }
    });
    let wrong = wrong.into_inner().expect("no panic");
    assert!(wrong.is_empty(), "{} of {} faults:\n{}", wrong.len(), FAULTS.len(), wrong.join("\n"));
}

fn next<T>(left: &Mutex<impl Iterator<Item = T>>) -> Option<T> {
    left.lock().expect("no panic").next()
}

/// What is wrong with what the doctor says, if anything.
fn try_fault(internet: &Internet, number: usize, fault: &Fault) -> Option<String> {
    let home = Home::new();
    let host = internet.patient(number);
    let mut patient = Patient { host: &host, home: &home, number, files: None, others: Vec::new() };
    (fault.make)(&mut patient);
    let ended = patient.examine(fault.flags);
    let Some(report) = ended.stdout.lines().next().and_then(|line| serde_json::from_str::<Value>(line).ok()) else {
        return Some(format!("{}: {ended:?}", fault.name));
    };
    let causes = report["findings"].as_array().expect("a list").iter();
    let mut found: Vec<&str> = causes.filter_map(|case| case["finding"]["code"].as_str()).collect();
    // The host of the tests may be a container itself.
    let expected = |code: &str| fault.found.contains(&code);
    found.retain(|code| expected(code) || !ALWAYS.contains(code) && *code != "gateway-in-container");
    let right = found == fault.found && ended.code == fault.code;
    (!right)
        .then(|| format!("{}: {found:?}, exit code {}; {:?} expected\n{report}", fault.name, ended.code, fault.found))
}
