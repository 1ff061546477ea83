//! Setups in which all is well, though each looks like a fault to a check that is too keen.

use super::patient::{ROUTER, ROUTER_V6};
use super::{Case, noted};

const USUAL: &[&str] = &["--bootstrap", ROUTER];

pub const HEALTHY: &[Case] = &[
    noted("IPv4 alone", |_| {}, USUAL, &[]),
    noted("both families", |host| host.with_ipv6(), &["--bootstrap", ROUTER, "--bootstrap", ROUTER_V6], &[]),
    noted(
        "IPv6 alone",
        |host| {
            host.with_ipv6();
            host.ip("-4 address flush dev net");
        },
        &["--bootstrap", ROUTER_V6],
        &["no-ipv4"],
    ),
    noted(
        "bound to the address that the route leaves from",
        |_| {},
        &["--bootstrap", ROUTER, "--bind", "198.18.#.1:6880"],
        &[],
    ),
    noted(
        "a firewall that lets answers in",
        |host| {
            host.nft(
                "table inet f { chain i { type filter hook input priority 0; policy drop; ct state established,related accept; \
                 iifname \"lo\" accept; }; }",
            );
        },
        USUAL,
        &[],
    ),
    noted("the node runs", |host| host.run(&["--bind", "0.0.0.0:6880", "--bootstrap", ROUTER]), USUAL, &[]),
    noted(
        "names that are answered",
        |host| host.resolver(|name| Some([20 + (name.len() % 12) as u8, 1, 1, 1])),
        &["--bootstrap", "a.example:6881", "--bootstrap", "bb.example:6881", "--bootstrap", "ccc.example:6881"],
        &[],
    ),
    noted(
        "no name server, and routers by their addresses",
        |host| host.in_place_of("/etc/resolv.conf", "nameserver 198.18.#.2\n"),
        USUAL,
        &[],
    ),
    noted("no router, and a saved state", |host| host.run_once(), &["--no-bootstrap"], &[]),
    noted("no gateway", |_| {}, &["--bootstrap", ROUTER, "--gateway", "off"], &[]),
    noted(
        "a router that opens the port",
        |host| {
            host.behind("192.168.7", "masquerade");
            host.opens_ports("ext_ip=45.5.5.1\nallow 1024-65535 0.0.0.0/0 1024-65535\n");
            host.run(&["--bind", "0.0.0.0:6880", "--bootstrap", ROUTER]);
            host.wait_until("the router has opened it", |view| view["mapping"][0]["external"].is_number());
        },
        USUAL,
        &["behind-nat"],
    ),
    noted(
        "a client that listens at the announced port",
        |host| {
            host.other(&["--bind", "127.0.0.1:0", "--gateway", "127.0.0.1:51413"]);
        },
        &["--bootstrap", ROUTER, "--announce-port", "51413"],
        &[],
    ),
    noted(
        "a second way out that is not used",
        |host| {
            host.sh("ip link add two type veth peer name far; ip address add 198.19.1.1/24 dev two; ip link set two up")
        },
        USUAL,
        &[],
    ),
    noted("a table of connections with room", |host| host.track(), USUAL, &[]),
    Case {
        stand_in: "a clock that the program alone sees (libfaketime)",
        ..noted(
            "a clock that is some seconds behind",
            |host| {
                host.run_once();
                host.under(&["env", "FAKETIME_DONT_FAKE_MONOTONIC=1", "faketime", "-f", "-5s"]);
            },
            USUAL,
            &[],
        )
    },
];
