//! The Internet, and a host with a cable to it while something is done to it.

use std::io::{BufRead as _, BufReader, Write as _};
use std::net::{Ipv4Addr, UdpSocket};
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use serde_json::Value;

use super::super::daemon::Daemon;
use super::super::harness::{Ended, Home};
use super::super::host::Host;
use super::crowd::Crowd;
use super::resolver::Resolver;

/// A node of the Internet to begin with.
pub const ROUTER: &str = "20.1.1.1:6881";
/// The same by IPv6.
pub const ROUTER_V6: &str = "[2001:db9:20::1]:6881";
/// Nodes of each family.
const NODES: usize = 20;
/// Longer than any step takes on a slow machine.
const PATIENCE: Duration = Duration::from_secs(60);
/// Lines in which a node has said of itself what it will: some minutes.
const MOST_LINES: usize = 500;

/// A host with nodes, each in a network of its own.
pub struct Internet {
    host: Host,
}

impl Internet {
    /// The host, and the program with its nodes. None where there are no namespaces.
    pub fn new(home: &Home) -> Option<(Self, Daemon)> {
        let host = Host::new()?;
        let (mut flags, mut addresses) = (Vec::new(), String::new());
        for number in 20..20 + NODES {
            addresses += &format!("ip address add {number}.1.1.1/32 dev lo\n");
            addresses += &format!("ip -6 address add 2001:d{number:02x}:{number}::1/128 dev lo nodad\n");
            flags.extend([format!("{number}.1.1.1:6881"), format!("[2001:d{number:02x}:{number}::1]:6881")]);
        }
        addresses += &format!("ip -6 address add {}/128 dev lo nodad\n", "2001:db9:20::1");
        host.sh(&addresses);
        flags.push(ROUTER_V6.to_owned());
        let binds = flags.iter().flat_map(|address| ["--bind", address]);
        let routers = ["--bootstrap", ROUTER, "--bootstrap", ROUTER_V6];
        let rest = ["--data-dir", "internet", "--control", "127.0.0.1:0"].into_iter().chain(routers);
        let mut nodes = host.node(home, &rest.chain(binds).collect::<Vec<_>>());
        nodes.wait_for("ready");
        // Of twenty nodes a table may hold no more than a bucket of those in the other half.
        let knows = |node: &Value| node["good_contacts"].as_u64().is_some_and(|good| good >= 8);
        wait_until(&home.path().join("internet"), 1, "the nodes find each other", |view| {
            view["nodes"].as_array().is_some_and(|nodes| nodes.iter().all(knows))
        });
        Some((Self { host }, nodes))
    }

    /// A host with a cable to this one, the `number`th of them.
    pub fn patient(&self, number: usize) -> Host {
        let patient = Host::new().expect("there are namespaces");
        let cable = format!("c{number}");
        patient.ip(&format!("link add net type veth peer name {cable} netns {}", self.host.pid()));
        patient.sh(&format!(
            "ip address add 198.18.{number}.1/24 dev net; ip link set net up; ip route add default via 198.18.{number}.2"
        ));
        self.host.sh(&format!(
            "ip address add 198.18.{number}.2/24 dev {cable}; ip -6 address add 2001:db8:{number}::b/64 dev {cable} nodad; \
             ip link set {cable} up"
        ));
        patient
    }
}

/// A patient while something is done to it.
pub struct Patient<'a> {
    internet: &'a Internet,
    /// The host with the cable; behind it the patient may be, in a network of its own.
    pub host: &'a Host,
    inner: Option<Host>,
    pub home: &'a Home,
    number: usize,
    /// What runs the doctor: a program and its arguments, before its own.
    pub under: Vec<String>,
    /// What must live while the patient is examined.
    pub others: Vec<Daemon>,
    resolver: Option<Resolver>,
    crowd: Option<Crowd>,
    opener: Option<Opener>,
    /// How many times as fast the clock of the node runs.
    pace: usize,
}

impl<'a> Patient<'a> {
    pub fn new(internet: &'a Internet, host: &'a Host, home: &'a Home, number: usize) -> Self {
        let (under, others) = (Vec::new(), Vec::new());
        Self {
            internet,
            host,
            inner: None,
            home,
            number,
            under,
            others,
            resolver: None,
            crowd: None,
            opener: None,
            pace: 1,
        }
    }

    /// In what is written for all patients, `#` is the number of this one.
    fn mine(&self, text: &str) -> String {
        text.replace('#', &self.number.to_string())
    }

    pub fn ip(&self, arguments: &str) {
        self.host.ip(&self.mine(arguments));
    }

    pub fn sh(&self, line: &str) {
        self.host.sh(&self.mine(line));
    }

    /// Rules of this host's firewall.
    pub fn nft(&self, rules: &str) {
        self.sh(&format!("PATH=$PATH:/usr/sbin nft '{rules}'"));
    }

    /// A line of the shell at the other end of the cable, which is `c#` there.
    pub fn far(&self, line: &str) {
        self.internet.host.sh(&format!("PATH=$PATH:/usr/sbin; {}", self.mine(line)));
    }

    /// An IPv6 address of its own, and a route.
    pub fn with_ipv6(&self) {
        self.sh("ip -6 address add 2001:db8:#::a/64 dev net nodad; ip -6 route add default via 2001:db8:#::b");
    }

    /// Puts the patient behind this host, which translates what it sends by `rule`.
    pub fn behind(&mut self, subnet: &str, rule: &str) {
        let inner = Host::new().expect("there are namespaces");
        self.host.ip(&format!("link add lan type veth peer name net netns {}", inner.pid()));
        self.host.sh(&format!("ip address add {subnet}.1/24 dev lan; ip link set lan up"));
        self.host.sh("echo 1 > /proc/sys/net/ipv4/ip_forward");
        self.nft(&format!(
            "table ip n {{ chain p {{ type nat hook postrouting priority 100; oifname \"net\" {rule}; }}; }}"
        ));
        inner.sh(&format!(
            "ip address add {subnet}.2/24 dev net; ip link set net up; ip route add default via {subnet}.1"
        ));
        self.inner = Some(inner);
    }

    /// Its data folder.
    pub fn data(&self) -> String {
        self.home.path().join("data").display().to_string()
    }

    /// Another program of ours, which stands for any other.
    pub fn other(&mut self, flags: &[&str]) -> u32 {
        let args = ["run", "--json", "--lan", "--data-dir", "other", "--control", "off"];
        let command = self.home.command(&[&args, flags].concat());
        self.others.push(Daemon::spawn(self.host.on(&command)));
        self.others[self.others.len() - 1].pid()
    }

    /// The node itself, which goes on.
    pub fn run(&mut self, flags: &[&str]) {
        let data = self.data();
        let flags: Vec<String> = flags.iter().map(|flag| self.mine(flag)).collect();
        let flags: Vec<&str> = ["--data-dir", &data].into_iter().chain(flags.iter().map(String::as_str)).collect();
        let host = self.inner.as_ref().unwrap_or(self.host);
        let mut node = host.node(self.home, &flags);
        node.wait_for("ready");
        self.others.push(node);
    }

    /// The same while its clock runs this many times as fast, from a day ago.
    pub fn run_fast(&mut self, times: usize, flags: &[&str]) {
        self.pace = times;
        let data = self.data();
        let common = ["run", "--json", "--gateway", "off", "--data-dir", &data];
        let mut command = self.home.command(&[&common, flags].concat());
        // Not by `faketime`, which runs a program as its child: that one would outlive it.
        command.env("LD_PRELOAD", "/usr/$LIB/faketime/libfaketime.so.1").env("FAKETIME", format!("-1d x{times}"));
        let mut node = Daemon::spawn(self.host.on(&command));
        node.wait_for("ready");
        self.others.push(node);
    }

    /// Waits until what the node that runs says of itself is as it should be.
    pub fn wait_until(&self, what: &str, is_so: impl Fn(&Value) -> bool) {
        wait_until(&self.home.path().join("data"), self.pace, what, is_so);
    }

    /// The node that runs does what this command says.
    pub fn ask(&self, command: &[&str]) {
        let data = self.data();
        let command = self.home.command(&[command, &["--data-dir", &data]].concat());
        let host = self.inner.as_ref().unwrap_or(self.host);
        let ended = Ended::from(host.on(&command).output().expect("the program starts"));
        assert!(ended.stderr.contains("via the running node"), "{ended:?}");
    }

    /// Nodes of the Internet that are up to something.
    pub fn crowd(&mut self, start: impl FnOnce(&Host) -> Crowd) {
        self.crowd = Some(start(&self.internet.host));
    }

    /// The router in front has another address from now on.
    pub fn readdressed(&self) {
        self.sh("ip address flush dev net; ip address add 198.18.#.3/24 dev net; ip route add default via 198.18.#.2");
    }

    /// A program on the router in front that opens ports, as its settings say (miniupnpd).
    pub fn opens_ports(&mut self, settings: &str) {
        self.nft("table inet filter { chain miniupnpd {} \n chain prerouting_miniupnpd {} \n chain postrouting_miniupnpd {} \n }");
        let common = "ext_ifname=net\nlistening_ip=lan\nenable_upnp=no\nenable_natpmp=yes\nport=0\n\
                      uuid=00000000-0000-0000-0000-000000000001\n";
        let file = self.home.write("miniupnpd.conf", format!("{common}{settings}"));
        let mut command = Command::new("/usr/sbin/miniupnpd");
        command.args(["-d", "-f", &file, "-P"]).arg(self.home.path().join("miniupnpd.pid"));
        let opener = self.host.on(&command).stdout(Stdio::null()).stderr(Stdio::null()).spawn();
        self.opener = Some(Opener(opener.expect("miniupnpd starts")));
        self.host.sh("for i in $(seq 100); do ss -lun | grep -q ':5351 ' && exit 0; sleep 0.1; done; exit 1");
    }

    /// Runs the node until it has joined, so that there is a saved state.
    pub fn run_once(&mut self) {
        self.run(&["--bind", "0.0.0.0:6880", "--bootstrap", ROUTER, "--control", "off"]);
        let (code, log) = self.others.pop().expect("it runs").stop("TERM");
        assert_eq!(code, Some(0), "{log}");
    }

    /// Waits until the router has refused the port of the running node.
    pub fn wait_for_refusal(&self) {
        let data = self.home.path().join("data");
        wait_until(&data, 1, "the router was asked", |view| view["mapping"][0]["refused"] == true);
    }

    /// Something in the place of a file of the system.
    pub fn in_place_of(&self, file: &str, text: &str) {
        let ours = self.home.write(&file.replace('/', "_"), self.mine(text));
        self.host.sh(&format!("mount --bind {ours} {file}"));
    }

    /// A name server, which answers as `answer` says; it is that of this host.
    pub fn resolver(&mut self, answer: fn(&str) -> Option<[u8; 4]>) {
        self.resolver = Some(Resolver::start(self.host, answer));
        self.in_place_of("/etc/resolv.conf", "nameserver 127.0.0.53\n");
    }

    /// Fills the table of connections of this host's firewall to nineteen twentieths, for some minutes.
    pub fn fill_connections(&self) {
        self.track();
        self.sh("echo 600 > /proc/sys/net/netfilter/nf_conntrack_udp_timeout");
        let most = self.host.told_by("cat /proc/sys/net/netfilter/nf_conntrack_max");
        let most: u32 = most.trim().parse().expect("a number");
        let filled = self.host.thread(move || {
            let socket = UdpSocket::bind("127.0.0.1:0").expect("its loopback is up");
            for number in 0..most / 20 * 19 {
                // Each address of 127.0.0.0/8 makes another connection, whether or not a program listens there.
                let _ = socket.send_to(&[], (Ipv4Addr::from(0x7f01_0000 + number), 9));
            }
        });
        filled.join().expect("no panic");
    }

    /// The firewall of this host remembers connections.
    pub fn track(&self) {
        self.nft("table inet f { chain o { type filter hook output priority 0; ct state new accept; }; }");
    }

    /// A file system of its own for the data folder.
    pub fn disk(&self, options: &str) {
        let data = self.data();
        self.host.sh(&format!("mkdir -p {data} && mount -t tmpfs -o {options} tmpfs {data}"));
    }

    /// Runs the doctor under another program.
    pub fn under(&mut self, words: &[&str]) {
        self.under = words.iter().map(|word| (*word).to_owned()).collect();
    }

    /// What the doctor says.
    pub fn examine(&self, flags: &[&str]) -> Ended {
        let data = self.data();
        let mut command = self.home.command(&["doctor", "--json", "--data-dir", &data]);
        command.args(flags.iter().map(|flag| self.mine(flag)));
        if let [program, arguments @ ..] = &self.under[..] {
            let mut outer = Command::new(program);
            outer.args(arguments).arg(command.get_program()).args(command.get_args());
            outer.env("HOME", self.home.path()).current_dir(self.home.path());
            command = outer;
        }
        let host = self.inner.as_ref().unwrap_or(self.host);
        Ended::from(host.on(&command).output().expect("the program starts"))
    }
}

/// The program that opens ports. Ends with its owner.
struct Opener(Child);

impl Drop for Opener {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// Waits until what the node that runs with `folder` says of itself, every two seconds of its clock, is as it should be. Its Unix socket is
/// the same on every host.
fn wait_until(folder: &Path, pace: usize, what: &str, is_so: impl Fn(&Value) -> bool) {
    let mut stream = UnixStream::connect(folder.join("control.sock")).expect("it runs");
    stream.set_read_timeout(Some(PATIENCE)).expect("not zero");
    let head = "GET /api/v1/status HTTP/1.1\r\nHost: localhost\r\nAccept: text/event-stream\r\n\r\n";
    stream.write_all(head.as_bytes()).expect("it reads");
    let told = BufReader::new(stream).lines().map_while(Result::ok).take(pace * MOST_LINES);
    let views = told.filter_map(|line| serde_json::from_str(line.strip_prefix("data: ")?).ok());
    let mut last = Value::Null;
    for view in views {
        if is_so(&view) {
            return;
        }
        last = view;
    }
    panic!("{what}; at the end: {last}");
}
