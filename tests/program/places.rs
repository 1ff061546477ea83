//! Hosts whose addresses change, each a network namespace of its own. Addresses are those that are public in every node's
//! eyes and on no real network: 198.18.0.0/15 (RFC 2544) and 2001:db8::/32 (RFC 3849).

use std::process::Command;

use serde_json::Value;

use super::harness::Home;
use super::host::Host;

/// Two hosts and a cable between their interfaces `net`; the second one has all addresses that it will need.
fn two_hosts() -> Option<(Host, Host)> {
    let (ours, other) = (Host::new()?, Host::new()?);
    ours.ip(&format!("link add net type veth peer name net netns {}", other.pid()));
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

/// IPv6 is switched off at the start, and no IPv4 address is there yet.
#[test]
fn a_family_that_is_absent_at_the_start_is_served_when_it_appears() {
    let Some((ours, other)) = two_hosts() else { return };
    let home = Home::new();
    ours.ip("address flush dev net");
    let switch = |off: u8| {
        let mut shell = Command::new("sh");
        shell.args([
            "-c",
            &format!("for name in all default net; do echo {off} >/proc/sys/net/ipv6/conf/$name/disable_ipv6; done"),
        ]);
        assert!(ours.on(&shell).status().expect("a shell").success());
    };
    switch(1);
    let node = ours.node(&home, &["--data-dir", "ours", "--bind", "[::]:7000", "--bind", "0.0.0.0:7000"]);
    assert_eq!(node.started["without"].as_array().map(Vec::len), Some(0), "{}", node.started);
    ours.ip("address add 198.18.1.1/24 dev net");
    other.ping(&home, "198.18.1.1:7000");
    switch(0);
    ours.ip("address add 2001:db8:1::a/64 dev net nodad");
    ours.ip("-6 route replace default via 2001:db8:1::b");
    // It answers on the wildcard before it knows that its id should be another one.
    let fitting = (0..100).find(|_| fits(other.ping(&home, "[2001:db8:1::a]:7000"), "2001:db8:1::a"));
    assert!(fitting.is_some(), "its id does not fit");
    drop(node);
}

/// A firewall that refuses what is sent (EPERM), a queue without room (ENOBUFS), a cable that is pulled: the node is there
/// again when they are over.
#[test]
fn a_node_outlives_a_network_that_fails() {
    let Some((ours, other)) = two_hosts() else { return };
    let home = Home::new();
    let flags = ["--data-dir", "ours", "--bind", "198.18.1.1:6881", "--bootstrap", "198.18.1.2:6881"];
    let mut node = ours.node(&home, &flags);
    let _other = other.node(&home, &["--data-dir", "other", "--bind", "198.18.1.2:6881"]);
    node.wait_for("ready");
    let id = other.ping(&home, "198.18.1.1:6881");
    let question = "d1:ad2:id20:abcdefghij0123456789e1:q4:ping1:t2:aa1:y1:qe";
    let ask = format!("bash -c 'for i in $(seq 40); do echo -n {question} >/dev/udp/198.18.1.1/6881; done' || true");
    for (fault, cure) in [
        (
            "nft add table ip f && nft add chain ip f out '{ type filter hook output priority 0; policy drop; }'",
            "nft delete table ip f",
        ),
        ("tc qdisc add dev net root tbf rate 1kbit burst 100 limit 100", "tc qdisc del dev net root"),
        ("ip link set net down", "ip link set net up && ip route add default via 198.18.1.2"),
    ] {
        ours.sh(fault);
        // What it is asked it answers, and that fails.
        other.sh(&ask);
        ours.sh(cure);
        assert_eq!(other.ping(&home, "198.18.1.1:6881"), id, "after {fault}");
    }
    let (code, log) = node.stop("TERM");
    assert_eq!(code, Some(0), "{log}");
}
