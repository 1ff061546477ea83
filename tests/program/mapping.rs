//! A real router (miniupnpd) opens ports for a node behind it, and closes them when the node stops.
//!
//! The router is a network namespace that translates addresses, as one at home does. miniupnpd opens ports only where the
//! address outside is public: 45.5.5.0/24 is used, and no packet leaves the namespaces.

use std::process::{Child, Command, Stdio};

use super::harness::Home;
use super::host::Host;

/// The rules of a router: what comes from outside and was not asked for goes nowhere. miniupnpd writes into three chains.
const RULES: &str = r#"
table inet filter {
  chain miniupnpd {}
  chain prerouting_miniupnpd {}
  chain postrouting_miniupnpd {}
  chain forward { type filter hook forward priority 0; policy drop; ct state established,related accept; iifname "lan" accept; jump miniupnpd; }
  chain prerouting { type nat hook prerouting priority -100; policy accept; jump prerouting_miniupnpd; }
  chain postrouting { type nat hook postrouting priority 100; policy accept; oifname "wan" masquerade; jump postrouting_miniupnpd; }
}"#;

/// This host, its router, a host of the world, and the program that opens ports.
struct Neighbourhood {
    ours: Host,
    router: Host,
    world: Host,
    opener: Child,
}

impl Drop for Neighbourhood {
    fn drop(&mut self) {
        let _ = self.opener.kill();
        let _ = self.opener.wait();
    }
}

fn is_installed(program: &str) -> bool {
    let found = Command::new("sh").args(["-c", &format!("PATH=$PATH:/usr/sbin command -v {program}")]).output();
    found.is_ok_and(|found| found.status.success())
}

/// What the router speaks.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Language {
    /// And NAT-PMP, which has the same port.
    Pcp,
    NatPmp,
    Upnp,
}

/// Requests of version 2 (PCP, RFC 6887) get no answer: routers that know NAT-PMP alone are often as silent.
const NO_PCP: &str =
    "table inet old {\n chain input {\n type filter hook input priority 0\n udp dport 5351 @th,64,8 2 drop\n }\n}";

/// The three hosts.
fn behind_a_router(home: &Home, language: Language) -> Option<Neighbourhood> {
    let (ours, router, world) = (Host::new()?, Host::new()?, Host::new()?);
    if !is_installed("miniupnpd") || !is_installed("nft") {
        assert!(std::env::var_os("CI").is_none(), "CI needs miniupnpd and nftables");
        println!("skipped: no miniupnpd and nft here");
        return None;
    }
    ours.ip(&format!("link add net type veth peer name lan netns {}", router.pid()));
    router.ip(&format!("link add wan type veth peer name net netns {}", world.pid()));
    for (host, device, address) in [
        (&ours, "net", "192.168.77.2/24"),
        (&router, "lan", "192.168.77.1/24"),
        (&router, "wan", "45.5.5.1/24"),
        (&world, "net", "45.5.5.2/24"),
    ] {
        host.ip(&format!("address add {address} dev {device}"));
        host.ip(&format!("link set {device} up"));
    }
    ours.ip("route add default via 192.168.77.1");
    router.sh("echo 1 > /proc/sys/net/ipv4/ip_forward");
    router.sh(&format!("PATH=$PATH:/usr/sbin nft '{RULES}'"));
    let (upnp, pcp) = if language == Language::Upnp { ("yes", "no") } else { ("no", "yes") };
    if language == Language::NatPmp {
        router.sh(&format!("PATH=$PATH:/usr/sbin nft '{NO_PCP}'"));
    }
    let settings = format!(
        "ext_ifname=wan\nlistening_ip=lan\nenable_upnp={upnp}\nenable_natpmp={pcp}\nsecure_mode=yes\nport=0\n\
         uuid=00000000-0000-0000-0000-000000000001\nallow 1024-65535 192.168.77.0/24 1024-65535\n\
         deny 0-65535 0.0.0.0/0 0-65535\n"
    );
    let file = home.path().join("miniupnpd.conf");
    std::fs::write(&file, settings).unwrap();
    let mut command = Command::new("/usr/sbin/miniupnpd");
    command.arg("-d").arg("-f").arg(&file).arg("-P").arg(home.path().join("miniupnpd.pid"));
    let opener = router.on(&command).stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
    Some(Neighbourhood { ours, router, world, opener })
}

fn a_port_is_opened_and_closed(language: Language) {
    let home = Home::new();
    let Some(hosts) = behind_a_router(&home, language) else { return };
    let _world = hosts.world.node(&home, &["--data-dir", "world", "--bind", "45.5.5.2:6881", "--no-bootstrap"]);
    let node = ["--data-dir", "ours", "--bind", "0.0.0.0:7000", "--bootstrap", "45.5.5.2:6881"];
    // miniupnpd may still be starting: then the node would ask again after a minute.
    hosts.router.sh("for i in $(seq 100); do ss -lun | grep -q -E ':(5351|1900) ' && exit 0; sleep 0.1; done; exit 1");
    let mut ours = hosts.ours.node(&home, &node);
    ours.wait_for("ready");
    // The world reaches the node at a port that it has never spoken from: as any stranger would.
    hosts.world.ip("address add 45.5.5.3/24 dev net");
    let pinged = |host: &Host| {
        let arguments = ["ping", "--json", "--bind", "45.5.5.3:0", "45.5.5.1:7000"];
        host.on(&home.command(&arguments)).output().unwrap().status.success()
    };
    assert!((0..30).any(|_| pinged(&hosts.world)), "the port was never opened:\n{}", rules(&hosts.router));
    assert!(rules(&hosts.router).contains("192.168.77.2:7000"));
    let (code, log) = ours.stop("TERM");
    assert_eq!(code, Some(0), "{log}");
    let by = match language {
        Language::Pcp => "PCP",
        Language::NatPmp => "NAT-PMP",
        Language::Upnp => "UPnP",
    };
    assert!(log.contains("the router has opened a port") && log.contains(by), "{log}");
    assert!(!rules(&hosts.router).contains("192.168.77.2:7000"), "the port was left open");
}

fn rules(router: &Host) -> String {
    router.told_by("PATH=$PATH:/usr/sbin nft list chain inet filter prerouting_miniupnpd")
}

#[test]
fn a_router_that_speaks_pcp_opens_the_port_of_the_node_while_it_runs() {
    a_port_is_opened_and_closed(Language::Pcp);
}

#[test]
fn a_router_that_speaks_upnp_opens_the_port_of_the_node_while_it_runs() {
    a_port_is_opened_and_closed(Language::Upnp);
}

#[test]
fn a_router_that_speaks_nat_pmp_alone_opens_the_port_of_the_node_while_it_runs() {
    a_port_is_opened_and_closed(Language::NatPmp);
}

/// A real client on this host that seeds one torrent; its interface listens at every address.
fn aria2(home: &Home, host: &Host, port: &str) -> Option<Running> {
    if !is_installed("aria2c") {
        assert!(std::env::var_os("CI").is_none(), "CI needs aria2");
        println!("skipped: no aria2c here");
        return None;
    }
    let folder = home.path().join(format!("client-{port}"));
    std::fs::create_dir(&folder).unwrap();
    std::fs::write(folder.join("x"), "x").unwrap();
    let mut torrent = b"d4:infod6:lengthi1e4:name1:x12:piece lengthi16384e6:pieces20:".to_vec();
    torrent.extend(sha1(b"x"));
    torrent.extend(b"ee");
    std::fs::write(folder.join("x.torrent"), torrent).unwrap();
    let mut command = Command::new("aria2c");
    let flags = [
        "--no-conf",
        "--enable-rpc",
        "--rpc-listen-all",
        "--enable-dht=false",
        "--seed-ratio=0.0",
        "--bt-enable-lpd=false",
    ];
    command.args(flags).args(["--check-integrity", "--disable-ipv6"]).arg(format!("--listen-port={port}"));
    command.arg("--dir").arg(&folder).arg(folder.join("x.torrent"));
    let child = host.on(&command).stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
    host.sh("for i in $(seq 300); do ss -ltn | grep -q ':6800 ' && exit 0; sleep 0.1; done; exit 1");
    Some(Running(child))
}

struct Running(Child);

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

fn sha1(bytes: &[u8]) -> [u8; 20] {
    use sha1::Digest as _;
    sha1::Sha1::digest(bytes).into()
}

#[test]
fn the_port_of_a_client_is_opened_on_request() {
    let home = Home::new();
    let Some(hosts) = behind_a_router(&home, Language::Pcp) else { return };
    let Some(_client) = aria2(&home, &hosts.ours, "16881") else { return };
    let node = ["--data-dir", "ours", "--bind", "0.0.0.0:7000", "--no-bootstrap"];
    let node = [&node[..], &["--client", "aria2+http://127.0.0.1:6800/jsonrpc?map_port=yes"]].concat();
    hosts.router.sh("for i in $(seq 100); do ss -lun | grep -q ':5351 ' && exit 0; sleep 0.1; done; exit 1");
    let ours = hosts.ours.node(&home, &node);
    let is_open = || rules(&hosts.router).matches("192.168.77.2:16881").count() == 2;
    let looks = (0..300).any(|_| {
        is_open() || {
            hosts.router.sh("sleep 0.1");
            false
        }
    });
    assert!(looks, "by TCP and by UDP:\n{}", rules(&hosts.router));
    let (code, log) = ours.stop("TERM");
    assert_eq!(code, Some(0), "{log}");
    assert!(!rules(&hosts.router).contains("192.168.77.2:16881"), "the port was left open");
}

#[test]
fn a_client_in_another_namespace_is_not_announced_at_our_address() {
    let home = Home::new();
    let Some(hosts) = behind_a_router(&home, Language::Pcp) else { return };
    // Only its interface is reached from here, as from a container: by a relay on this host.
    let Some(_client) = aria2(&home, &hosts.world, "16882") else { return };
    let node = ["--data-dir", "ours", "--bind", "0.0.0.0:7000", "--no-bootstrap", "--port-mapping", "off"];
    for (client, why) in
        [("aria2+http://45.5.5.2:6800/jsonrpc", "another host"), ("aria2+http://127.0.0.1:6801/jsonrpc", "listens")]
    {
        let mut relay = None;
        if client.contains("6801") {
            let mut command = Command::new("python3");
            command.args(["-c", RELAY]);
            relay = Some(Running(hosts.ours.on(&command).spawn().unwrap()));
            hosts.ours.sh("for i in $(seq 100); do ss -ltn | grep -q ':6801 ' && exit 0; sleep 0.1; done; exit 1");
        }
        let ours = hosts.ours.node(&home, &[&node[..], &["--client", client]].concat());
        let list = home.command(&["watch", "list", "--json", "--data-dir", "ours"]);
        let told = || String::from_utf8(hosts.ours.on(&list).output().unwrap().stdout).unwrap();
        let is_told = (0..300).any(|_| told().contains("\"state\":\"elsewhere\""));
        let (_, log) = ours.stop("TERM");
        assert!(is_told && log.contains("are not announced"), "{client}, {why}: {log}");
        drop(relay);
    }
}

/// Passes connections to port 6801 on to the client in the world.
const RELAY: &str = "
import socket, threading
listener = socket.create_server(('127.0.0.1', 6801))
def copy(a, b):
    while data := a.recv(65536): b.sendall(data)
    b.shutdown(socket.SHUT_WR)
while True:
    near, _ = listener.accept()
    far = socket.create_connection(('45.5.5.2', 6800))
    for a, b in ((near, far), (far, near)): threading.Thread(target=copy, args=(a, b), daemon=True).start()
";
