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

/// The three hosts; the router speaks PCP and NAT-PMP, or UPnP.
fn behind_a_router(home: &Home, by_upnp: bool) -> Option<Neighbourhood> {
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
    let (upnp, pcp) = if by_upnp { ("yes", "no") } else { ("no", "yes") };
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

fn a_port_is_opened_and_closed(by_upnp: bool) {
    let home = Home::new();
    let Some(hosts) = behind_a_router(&home, by_upnp) else { return };
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
    assert!(log.contains("the router has opened a port"), "{log}");
    assert!(!rules(&hosts.router).contains("192.168.77.2:7000"), "the port was left open");
}

fn rules(router: &Host) -> String {
    router.told_by("PATH=$PATH:/usr/sbin nft list chain inet filter prerouting_miniupnpd")
}

#[test]
fn a_router_that_speaks_pcp_opens_the_port_of_the_node_while_it_runs() {
    a_port_is_opened_and_closed(false);
}

#[test]
fn a_router_that_speaks_upnp_opens_the_port_of_the_node_while_it_runs() {
    a_port_is_opened_and_closed(true);
}
