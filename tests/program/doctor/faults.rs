//! What is broken, and what must be found.

use serde_json::Value;

use super::crowd::Crowd;
use super::patient::{Patient, ROUTER, ROUTER_V6};
use super::{Case, fault, noted};

const USUAL: &[&str] = &["--bootstrap", ROUTER];
const NOWHERE: &[&str] = &["--bootstrap", "99.9.9.9:6881"];
const BY_NAME: &[&str] = &[];

/// Runs what follows without a privilege of root.
fn without(patient: &mut Patient<'_>, privileges: &str) {
    patient.under(&["setpriv", "--bounding-set", privileges]);
}

/// Runs what follows at another time.
fn at(patient: &mut Patient<'_>, time: &str) {
    patient.under(&["env", "FAKETIME_DONT_FAKE_MONOTONIC=1", "faketime", "-f", time]);
}

/// Behind a router that opens no port: it has no such program, or one with these settings (miniupnpd).
fn refused_by_router(patient: &mut Patient<'_>, opener: Option<&str>) {
    patient.behind("192.168.7", "masquerade");
    if let Some(settings) = opener {
        patient.opens_ports(settings);
    }
    patient.run(&["--bind", "0.0.0.0:6880", "--bootstrap", ROUTER, "--control", "127.0.0.1:0"]);
    patient.wait_for_refusal();
}

/// An infohash.
const KEY: &str = "5a5a000000000000000000000000000000000000";

/// What a list of figures says under a name.
fn counted(list: &Value, name: &str) -> u64 {
    let named = list.as_array().into_iter().flatten().find(|one| one["name"] == name);
    named.and_then(|one| one["count"].as_u64()).unwrap_or(0)
}

pub const FAULTS: &[Case] = &[
    // Links and routes.
    Case { code: 3, ..fault("the cable is out", |host| host.ip("link set net down"), USUAL, &["no-network"]) },
    Case { code: 3, ..fault("no route", |host| host.ip("route del default"), USUAL, &["no-network"]) },
    Case { code: 3, ..fault("no address", |host| host.ip("address flush dev net"), USUAL, &["no-network"]) },
    Case {
        code: 3,
        ..fault(
            "a policy lets nothing out",
            |host| host.ip("rule add from all priority 1 prohibit"),
            USUAL,
            &["no-network"],
        )
    },
    Case {
        code: 3,
        ..fault(
            "the default route is a black hole",
            |host| host.ip("route replace blackhole default"),
            USUAL,
            &["no-network"],
        )
    },
    fault("datagrams go nowhere", |_| {}, NOWHERE, &["no-answer"]),
    fault(
        "a VPN that came up later",
        |host| {
            host.sh(
                "ip link add vpn type veth peer name far; ip address add 198.19.1.1/24 dev vpn; ip link set vpn up; \
                 ip link set far up; ip route add 20.0.0.0/6 via 198.18.#.2; ip route add 24.0.0.0/5 via 198.18.#.2; \
                 ip route add 32.0.0.0/5 via 198.18.#.2; \
                 ip route replace default via 198.19.1.2",
            );
        },
        &["--bootstrap", ROUTER, "--bind", "198.18.#.1:6880"],
        &["other-interface"],
    ),
    fault(
        "a VPN that came up later, and nothing leaves beside it",
        |host| {
            host.sh("ip link add vpn type dummy 2>/dev/null || ip tuntap add dev vpn mode tun; \
                 ip address add 198.19.1.1/24 dev vpn; ip link set vpn up; ip route replace default dev vpn");
        },
        &["--bootstrap", ROUTER, "--bind", "198.18.#.1:6880"],
        &["no-answer", "other-interface"],
    ),
    fault("a VPN that is down", |_| {}, &["--bootstrap", ROUTER, "--bind", "10.8.0.2:6880"], &["address-not-here"]),
    fault(
        "the address has gone",
        |host| host.sh("ip address add 198.18.#.77/24 dev net; ip address del 198.18.#.77/24 dev net"),
        &["--bootstrap", ROUTER, "--bind", "198.18.#.77:6880"],
        &["address-not-here"],
    ),
    fault("loopback", |_| {}, &["--bootstrap", ROUTER, "--bind", "127.0.0.1:6880"], &["loopback-only"]),
    // IPv6.
    fault(
        "an IPv6 address without a route",
        |host| host.ip("-6 address add 2001:db8:#::a/64 dev net nodad"),
        USUAL,
        &["ipv6-without-route"],
    ),
    fault(
        "an IPv6 route that leads nowhere",
        |host| {
            host.sh("ip -6 address add 2001:db8:#::a/64 dev net nodad; ip -6 route add default via 2001:db8:#::dead")
        },
        &["--bootstrap", ROUTER, "--bootstrap", ROUTER_V6],
        &["family-silent"],
    ),
    fault(
        "another host has the stable IPv6 address",
        |host| {
            host.far("ip -6 address add 2001:db8:#::c/64 dev c# nodad");
            host.sh("echo 2 > /proc/sys/net/ipv6/conf/net/use_tempaddr");
            host.ip("-6 address add 2001:db8:#::b/64 dev net mngtmpaddr");
            host.sh("for i in $(seq 100); do ip -6 address show dev net | grep -q dadfailed && exit 0; sleep 0.1; done; exit 1");
            host.sh("for i in $(seq 100); do ip -6 address show dev net -tentative temporary | grep -q inet6 && exit 0; sleep 0.1; done; exit 1");
            host.ip("-6 route add default via 2001:db8:#::c");
        },
        &["--bootstrap", ROUTER, "--bootstrap", ROUTER_V6],
        &["temporary-only"],
    ),
    Case {
        stand_in: "the address alone: there is no tunnel behind it",
        ..noted(
            "6to4",
            |host| {
                host.sh(
                "ip -6 address add 2001:db8:#::a/64 dev net nodad; ip -6 address add 2002:c612:101::1/64 dev net nodad; \
                 ip -6 route add default via 2001:db8:#::b src 2002:c612:101::1",
            );
            },
            USUAL,
            &["ipv6-tunnel"],
        )
    },
    Case {
        stand_in: "the address alone: there is no tunnel behind it",
        ..noted(
            "Teredo",
            |host| {
                host.sh(
                    "ip -6 address add 2001:db8:#::a/64 dev net nodad; ip -6 address add 2001:0:1::1/64 dev net nodad; \
                 ip -6 route add default via 2001:db8:#::b src 2001:0:1::1",
                );
            },
            USUAL,
            &["ipv6-tunnel"],
        )
    },
    // Firewalls.
    fault(
        "the firewall of this host lets no UDP out",
        |host| host.nft("table inet f { chain o { type filter hook output priority 0; meta l4proto udp drop; }; }"),
        USUAL,
        &["sending-refused"],
    ),
    fault(
        "routes of this host prohibit it",
        |host| {
            host.sh(
                "ip route add prohibit 20.0.0.0/6; ip route add prohibit 24.0.0.0/5; ip route add prohibit 32.0.0.0/5",
            )
        },
        USUAL,
        &["sending-refused"],
    ),
    fault(
        "the firewall of this host lets no UDP in",
        |host| host.nft("table inet f { chain i { type filter hook input priority 0; meta l4proto udp drop; }; }"),
        USUAL,
        &["no-answer"],
    ),
    fault(
        "UDP is dropped on the way out",
        |host| {
            host.far(
                "nft 'table inet f# { chain i { type filter hook input priority 0; iifname \"c#\" meta l4proto udp drop; }; }'",
            );
        },
        USUAL,
        &["no-answer"],
    ),
    fault(
        "UDP is dropped on the way back",
        |host| {
            host.far(
                "nft 'table inet f# { chain o { type filter hook output priority 0; oifname \"c#\" meta l4proto udp drop; }; }'",
            );
        },
        USUAL,
        &["no-answer"],
    ),
    fault(
        "a firewall on the way rejects UDP",
        |host| {
            host.far(
                "nft 'table inet f# { chain i { type filter hook input priority 0; iifname \"c#\" meta l4proto udp reject with \
                 icmp type admin-prohibited; }; }'",
            );
        },
        USUAL,
        &["rejected-on-the-way"],
    ),
    fault("no program listens where we ask", |_| {}, &["--bootstrap", "20.1.1.1:9"], &["rejected-on-the-way"]),
    fault("a full table of connections", |host| host.fill_connections(), USUAL, &["conntrack-full"]),
    // Translators.
    noted("a translator that keeps ports", |host| host.behind("192.168.7", "masquerade"), USUAL, &["behind-nat"]),
    fault(
        "another port for each node",
        |host| host.behind("192.168.7", "masquerade fully-random"),
        USUAL,
        &["symmetric-nat"],
    ),
    fault(
        "a translator with a port of its own",
        |host| host.behind("192.168.7", "meta l4proto udp masquerade to :50000"),
        USUAL,
        &["other-port"],
    ),
    fault("a carrier's address", |host| host.behind("100.64.7", "masquerade"), USUAL, &["carrier-nat"]),
    fault(
        "a carrier's address, and another port for each node",
        |host| host.behind("100.64.7", "masquerade fully-random"),
        USUAL,
        &["carrier-nat"],
    ),
    fault("a router that opens no port", |host| refused_by_router(host, None), USUAL, &["port-not-open", "behind-nat"]),
    fault(
        "a router that refuses to open a port",
        |host| refused_by_router(host, Some("ext_ip=45.5.5.1\ndeny 0-65535 0.0.0.0/0 0-65535\n")),
        USUAL,
        &["port-not-open", "behind-nat"],
    ),
    fault(
        "a router behind another router",
        // miniupnpd opens no port where its own address is none of the Internet.
        |host| refused_by_router(host, Some("allow 1024-65535 0.0.0.0/0 1024-65535\n")),
        USUAL,
        &["port-not-open", "behind-nat"],
    ),
    fault(
        "a range that libtorrent ignores",
        |host| {
            host.far("ip route add 34.7.#.0/24 dev c#");
            host.sh("ip address add 34.7.#.1/32 dev net; ip route replace default via 198.18.#.2 src 34.7.#.1");
        },
        USUAL,
        &["ignored-range"],
    ),
    // Names.
    fault("a name that has no address", |_| {}, &["--bootstrap", "router.invalid:6881"], &["names-fail"]),
    fault(
        "a name server that does not answer",
        |host| host.in_place_of("/etc/resolv.conf", "nameserver 198.18.#.2\noptions timeout:2 attempts:1\n"),
        BY_NAME,
        &["names-fail"],
    ),
    fault("a name server that knows no names", |host| host.resolver(|_| None), BY_NAME, &["names-fail"]),
    fault("a name server of a captive portal", |host| host.resolver(|_| Some([10, 0, 0, 1])), BY_NAME, &["names-lie"]),
    fault("a name server that blocks", |host| host.resolver(|_| Some([0, 0, 0, 0])), BY_NAME, &["names-lie"]),
    fault("a name server that intercepts", |host| host.resolver(|_| Some([99, 9, 9, 9])), BY_NAME, &["names-lie"]),
    fault(
        "an ad blocker",
        |host| {
            let routers = ["dht.libtorrent.org", "dht.transmissionbt.com", "router.bt.ouinet.work"];
            let more = ["router.bittorrent.com", "router.utorrent.com"];
            let lines = routers.iter().chain(&more).map(|name| format!("10.0.0.1 {name}\n"));
            host.in_place_of("/etc/hosts", &lines.collect::<String>());
        },
        BY_NAME,
        &["names-lie"],
    ),
    // Ports.
    fault(
        "another program has the port",
        |host| {
            host.other(&["--bind", "0.0.0.0:6880", "--gateway", "off"]);
        },
        &["--bootstrap", ROUTER, "--bind", "0.0.0.0:6880"],
        &["port-taken"],
    ),
    fault(
        "another tracker runs",
        |host| {
            host.other(&["--bind", "127.0.0.1:0", "--gateway", "127.0.0.1:6969"]);
        },
        USUAL,
        &["gateway-taken"],
    ),
    fault(
        "a port for privileged programs",
        |host| without(host, "-net_bind_service"),
        &["--bootstrap", ROUTER, "--bind", "0.0.0.0:80"],
        &["port-refused"],
    ),
    fault(
        "a gateway at a port for privileged programs",
        |host| without(host, "-net_bind_service"),
        &["--bootstrap", ROUTER, "--gateway", "127.0.0.1:80"],
        &["port-refused"],
    ),
    fault(
        "a gateway at an address that is not here",
        |_| {},
        &["--bootstrap", ROUTER, "--gateway", "10.8.0.2:6969"],
        &["address-not-here"],
    ),
    fault(
        "a client that does not run",
        |_| {},
        &["--bootstrap", ROUTER, "--announce-port", "51413"],
        &["announced-port-closed"],
    ),
    Case {
        stand_in: "its sign: the file /run/.containerenv",
        ..noted(
            "a container",
            |host| host.sh("mount -t tmpfs tmpfs /run && touch /run/.containerenv"),
            USUAL,
            &["gateway-in-container"],
        )
    },
    // The data folder.
    fault(
        "a file has the name of the folder",
        |host| drop(host.home.write("data", "")),
        USUAL,
        &["folder-not-writable"],
    ),
    fault(
        "a file system that is read-only",
        |host| {
            host.disk("size=1g");
            host.host.sh(&format!("mount -o remount,ro {}", host.data()));
        },
        USUAL,
        &["folder-not-writable"],
    ),
    fault(
        "a folder of another user",
        |host| {
            host.host.sh(&format!("mkdir -p {0} && chmod 755 {0} && chown 65534 {0}", host.data()));
            without(host, "-dac_override,-dac_read_search");
        },
        USUAL,
        &["folder-not-writable"],
    ),
    fault(
        "a full disk",
        |host| {
            host.disk("size=64k");
            host.host.sh(&format!("dd if=/dev/zero of={}/file bs=1k count=64 2>&1 || true", host.data()));
        },
        USUAL,
        &["folder-full"],
    ),
    fault("a disk with no room for another file", |host| host.disk("size=1g,nr_inodes=1"), USUAL, &["folder-full"]),
    fault("a small disk", |host| host.disk("size=32m"), USUAL, &["space-short"]),
    // What was saved.
    fault(
        "a state that is none",
        |host| drop(host.home.write("data/state.bencode", "nonsense")),
        USUAL,
        &["state-damaged"],
    ),
    fault("a state that is empty", |host| drop(host.home.write("data/state.bencode", "")), USUAL, &["state-damaged"]),
    fault(
        "a state with a flipped bit",
        |host| {
            host.run_once();
            let file = format!("{}/state.bencode", host.data());
            let mut bytes = std::fs::read(&file).expect("it was saved");
            let middle = bytes.len() / 2;
            bytes[middle] ^= 1;
            host.home.write("data/state.bencode", bytes);
        },
        USUAL,
        &["state-damaged"],
    ),
    fault(
        "half a state",
        |host| {
            host.run_once();
            host.host.sh(&format!("truncate -s 100 {}/state.bencode", host.data()));
        },
        USUAL,
        &["state-damaged"],
    ),
    noted(
        "a state that was set aside",
        |host| {
            host.home.write("data/state.bencode", "nonsense");
            host.run_once();
        },
        USUAL,
        &["set-aside"],
    ),
    Case {
        stand_in: "a clock that the program alone sees (libfaketime)",
        ..noted(
            "weeks of absence",
            |host| {
                host.run_once();
                at(host, "+40d");
            },
            USUAL,
            &["state-old"],
        )
    },
    Case {
        stand_in: "a clock that the program alone sees (libfaketime)",
        ..fault(
            "a clock that is behind",
            |host| {
                host.run_once();
                at(host, "-2d");
            },
            USUAL,
            &["clock-behind"],
        )
    },
    // Limits, and nodes.
    fault("few files", |host| host.under(&["sh", "-c", "ulimit -n 256; exec \"$0\" \"$@\""]), USUAL, &["few-files"]),
    fault(
        "buffers that were too small",
        |host| {
            let stopped = host.other(&["--bind", "127.0.0.1:7777", "--gateway", "off"]);
            host.sh(&format!(
                "kill -STOP {stopped}; exec bash -c 'line=$(printf %01400d 0); exec 3<>/dev/udp/127.0.0.1/7777; \
                 for i in {{1..6000}}; do echo \"$line\" >&3; done'"
            ));
        },
        USUAL,
        &["dropped-datagrams"],
    ),
    fault(
        "nodes that forget what they are told",
        |host| {
            host.crowd(Crowd::forgetful);
            let flags = ["--bootstrap", Crowd::ROUTER, "--watch", KEY, "--announce-port", "5000"];
            host.run(&flags);
            host.wait_until("its announce is looked for", |view| {
                counted(&view["announcer"]["states"], "not visible") > 0
            });
        },
        &["--bootstrap", Crowd::ROUTER],
        &["not-visible"],
    ),
    fault(
        "a long list and a small budget",
        |host| {
            let list: String = (1..=5_000).map(|number| format!("{number:040x}\n")).collect();
            let list = host.home.write("list.txt", list);
            let flags = ["--bootstrap", ROUTER, "--watch", &list, "--announce-port", "5000"];
            host.run(&[&flags[..], &["--new-destinations-per-second", "1"]].concat());
            host.wait_until("the list is read", |view| {
                view["announcer"]["behind"].as_u64().is_some_and(|behind| behind > 4_000)
            });
        },
        USUAL,
        &["announces-late"],
    ),
    noted("a private network", |_| {}, &["--lan", "--bootstrap", ROUTER], &["private-network"]),
    fault(
        "few nodes",
        |host| {
            host.ip("address add 198.19.7.1/32 dev lo");
            let flags = ["--data-dir", "lonely", "--bind", "198.19.7.1:6881", "--no-bootstrap", "--control", "off"];
            host.others.push(host.host.node(host.home, &flags));
        },
        &["--bootstrap", "198.19.7.1:6881"],
        &["few-nodes"],
    ),
];

/// Faults that show only after a minute, or after an hour by a clock that runs faster.
pub const LONG: &[Case] = &[
    fault(
        "the router got another address a moment ago",
        |host| {
            host.behind("192.168.7", "masquerade");
            host.run(&["--bind", "0.0.0.0:6880", "--bootstrap", ROUTER, "--port-mapping", "off"]);
            let sees = |view: &Value, last: &str| {
                view["nodes"][0]["external_address"]
                    .as_str()
                    .is_some_and(|addr| addr.starts_with("198.18.") && addr.contains(&format!(".{last}:")))
            };
            host.wait_until("others agree on its address", |view| sees(view, "1"));
            host.readdressed();
            // The answers say at which address they see it.
            (0..8).for_each(|number| host.ask(&["find", &format!("{number:x}").repeat(40)]));
            host.wait_until("others agree on its other address", |view| sees(view, "3"));
        },
        USUAL,
        &["id-does-not-fit", "behind-nat"],
    ),
    Case {
        stand_in: "a clock that the program alone sees: an hour is a minute (libfaketime)",
        ..fault(
            "a firewall that lets in answers alone",
            |host| {
                host.nft(
                "table inet f { chain i { type filter hook input priority 0; policy drop; ct state established,related accept; \
                 iifname \"lo\" accept; }; }",
            );
                host.run_fast(60, &["--bind", "0.0.0.0:6880", "--bootstrap", ROUTER]);
                host.wait_until("an hour is over", |view| {
                    view["uptime_secs"].as_f64().is_some_and(|uptime| uptime > 3_700.0)
                });
            },
            USUAL,
            &["not-reached"],
        )
    },
    fault(
        "nodes crowd around a key",
        |host| {
            let key = KEY.parse().expect("forty digits");
            host.crowd(|internet| Crowd::around(internet, &key));
            host.run(&["--bootstrap", ROUTER, "--bootstrap", Crowd::ROUTER]);
            let announce = ["announce", KEY, "--port", "5000"];
            // With the first the node begins to measure how large the network is; a minute later it knows what is near.
            host.ask(&announce);
            host.wait_until("it has measured", |view| view["uptime_secs"].as_f64().is_some_and(|uptime| uptime > 75.0));
            host.ask(&announce);
            host.wait_until("its key is under alarm", |view| view["nodes"][0]["keys_under_alarm"].as_u64() == Some(1));
        },
        USUAL,
        &["key-alarm"],
    ),
];
