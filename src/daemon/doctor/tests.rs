use std::fmt::Write as _;
use std::net::SocketAddr;

use super::evidence::{BindOutcome, Folder, Live, NameTrial, NodeTrial, Routes, SocketTrial, System};
use super::*;

fn addr(text: &str) -> SocketAddr {
    text.parse().expect("an address")
}

fn socket(text: &str, outcome: BindOutcome) -> SocketTrial {
    SocketTrial { addr: addr(text), outcome, owner: None }
}

fn node(local: &str) -> NodeTrial {
    NodeTrial {
        local: addr(local),
        external: None,
        port_votes: (0, 0),
        good_nodes: 90,
        sent: 300,
        refused: 0,
        received: 200,
        asked_any: true,
        reached: None,
        id_fits: None,
    }
}

/// A host on which all is well: a home with IPv4 and IPv6.
fn healthy() -> Evidence {
    Evidence {
        running: Some("process 1".into()),
        private_network: false,
        folder: Folder {
            path: "/data".into(),
            free_bytes: Some(1 << 40),
            state_age_seconds: Some(100),
            ..Folder::default()
        },
        sockets: vec![socket("0.0.0.0:6880", BindOutcome::Ours), socket("[::]:6880", BindOutcome::Ours)],
        gateway: Some(socket("127.0.0.1:6969", BindOutcome::Ours)),
        routes: Routes {
            v4: Some("192.168.1.7".parse().unwrap()),
            v6: Some("2001:db8::7".parse().unwrap()),
            global_v6: vec![("2001:db8::7".parse().unwrap(), false), ("2001:db8::aaaa".parse().unwrap(), true)],
        },
        system: System { conntrack: Some((10, 65_536)), udp: Some((100_000, 3)), files: Some(4_096), container: false },
        names: vec![NameTrial {
            name: "router".into(),
            public: true,
            addrs: vec!["9.9.9.9".parse().unwrap()],
            error: None,
        }],
        knocked: (5, 0),
        trials: vec![node("192.168.1.7:40000"), node("[2001:db8::7]:40000")],
        own_announces: Some((3, 3)),
        announced_port: Some((51_413, true)),
        live: Some(Live {
            uptime_secs: 7_200,
            mapping: Some((1, 0)),
            keys_under_alarm: 0,
            kept: (10, 0),
            failing: 0,
            behind: (0, 0),
        }),
    }
}

/// Changes what the running node says.
fn live(host: &mut Evidence) -> &mut Live {
    host.live.as_mut().expect("it runs")
}

/// One thing that may be otherwise, and the findings that it must lead to: cause first, then what follows from it.
type Fault = (&'static str, Change, &'static [&'static str]);

/// Makes one thing otherwise.
type Change = fn(&mut Evidence);

const FAULTS: &[Fault] = &[
    ("not started", |host| host.running = None, &["not-running"]),
    (
        "no cable",
        |host| {
            host.routes = Routes::default();
            host.names[0].addrs.clear();
            host.trials.iter_mut().for_each(|trial| *trial = NodeTrial { received: 0, sent: 0, refused: 9, ..*trial });
        },
        &["no-network", "no-ipv4", "no-ipv6", "names-fail", "sending-refused", "no-answer"],
    ),
    ("UDP is dropped", |host| host.trials.iter_mut().for_each(|trial| trial.received = 0), &["no-answer"]),
    (
        "the firewall of this host rejects UDP",
        |host| host.trials = vec![NodeTrial { received: 0, sent: 0, refused: 40, ..node("192.168.1.7:40000") }],
        &["sending-refused", "no-answer"],
    ),
    (
        "bound to an address that nothing may be sent from, and a router that rejects what comes from another",
        |host| {
            host.trials = vec![NodeTrial { received: 0, sent: 0, refused: 40, ..node("127.0.0.1:40000") }];
            host.knocked = (1, 1);
        },
        &["sending-refused", "rejected-on-the-way", "no-answer"],
    ),
    ("a client has the port", |host| host.sockets[0].outcome = BindOutcome::Taken, &["port-taken"]),
    ("a VPN is down", |host| host.sockets[0] = socket("10.8.0.2:6880", BindOutcome::NotHere), &["address-not-here"]),
    ("a privileged port", |host| host.sockets[0] = socket("0.0.0.0:80", BindOutcome::Refused), &["port-refused"]),
    ("the folder of root", |host| host.folder.write_error = Some("permission denied".into()), &["folder-not-writable"]),
    (
        "a full disk",
        |host| (host.folder.write_error, host.folder.free_bytes) = (Some("no space left".into()), Some(0)),
        &["folder-full"],
    ),
    ("a nearly full disk", |host| host.folder.free_bytes = Some(20 << 20), &["space-short"]),
    ("flipped bits", |host| host.folder.damaged = Some("its checksum is wrong".into()), &["state-damaged"]),
    ("a full table of connections", |host| host.system.conntrack = Some((65_000, 65_536)), &["conntrack-full"]),
    ("loopback", |host| host.sockets = vec![socket("127.0.0.1:6880", BindOutcome::Ours)], &["loopback-only"]),
    (
        "a dead resolver, but saved nodes",
        |host| (host.names[0].addrs, host.names[0].error) = (Vec::new(), Some("no answer within 5 seconds".into())),
        &["names-fail"],
    ),
    (
        "a dead resolver and no saved nodes",
        |host| {
            host.names[0].addrs.clear();
            host.trials = vec![NodeTrial { received: 0, sent: 0, ..node("192.168.1.7:40000") }];
        },
        &["names-fail", "no-answer"],
    ),
    ("an ad blocker", |host| host.names[0].addrs = vec!["0.0.0.0".parse().unwrap()], &["names-lie"]),
    ("a captive portal", |host| host.names[0].addrs = vec!["10.0.0.1".parse().unwrap()], &["names-lie"]),
    ("a lossy line", |host| host.trials[0].good_nodes = 3, &["few-nodes"]),
    ("a router that translates ports", |host| host.trials[0].external = Some(addr("81.2.69.1:1234")), &["other-port"]),
    (
        "a shared address, and a router of the provider that translates ports",
        |host| {
            host.routes.v4 = Some("100.64.3.4".parse().unwrap());
            host.trials[0].external = Some(addr("81.2.69.1:1234"));
        },
        &["carrier-nat", "other-port"],
    ),
    ("a shared address", |host| host.routes.v4 = Some("100.64.3.4".parse().unwrap()), &["carrier-nat"]),
    (
        "a VPN came up after the node",
        |host| {
            host.sockets = vec![socket("192.168.1.7:6880", BindOutcome::Ours)];
            host.routes.v4 = Some("10.8.0.2".parse().unwrap());
        },
        &["other-interface"],
    ),
    ("privacy addresses only", |host| host.routes.global_v6.retain(|(_, temporary)| *temporary), &["temporary-only"]),
    ("a small buffer", |host| host.system.udp = Some((100_000, 5_000)), &["dropped-datagrams"]),
    ("few files", |host| host.system.files = Some(256), &["few-files"]),
    ("an empty battery", |host| host.folder.state_age_seconds = Some(-1_000_000), &["clock-behind"]),
    ("another tracker", |host| host.gateway = Some(socket("127.0.0.1:6969", BindOutcome::Taken)), &["gateway-taken"]),
    ("announces that are not seen", |host| host.own_announces = Some((3, 1)), &["not-visible"]),
    ("months of absence", |host| host.folder.state_age_seconds = Some(90 * 86_400), &["state-old"]),
    ("an old accident", |host| host.folder.set_aside = vec!["state.bencode.damaged-1".into()], &["set-aside"]),
    ("IPv6 alone", |host| host.routes.v4 = None, &["no-ipv4"]),
    (
        "IPv4 alone",
        |host| {
            host.routes.v6 = None;
            host.routes.global_v6.clear();
        },
        &["no-ipv6"],
    ),
    ("an IPv6 route that has gone", |host| host.routes.v6 = None, &["ipv6-without-route"]),
    (
        "a tunnel that is dead",
        |host| host.trials[1] = NodeTrial { received: 0, good_nodes: 0, ..host.trials[1] },
        &["family-silent"],
    ),
    (
        "a firewall that says so",
        |host| {
            host.trials.iter_mut().for_each(|trial| trial.received = 0);
            host.knocked = (5, 5);
        },
        &["rejected-on-the-way", "no-answer"],
    ),
    (
        "another port for each node",
        |host| {
            host.trials[0] = NodeTrial { port_votes: (1, 20), external: Some(addr("81.2.69.1:1234")), ..host.trials[0] }
        },
        &["symmetric-nat"],
    ),
    (
        "a translator that keeps ports",
        |host| {
            host.trials[0] =
                NodeTrial { port_votes: (20, 20), external: Some(addr("81.2.69.1:40000")), ..host.trials[0] }
        },
        &["behind-nat"],
    ),
    (
        "a large hoster",
        |host| {
            let ours = addr("34.9.9.9:40000");
            host.trials[0] = NodeTrial { local: ours, external: Some(ours), ..host.trials[0] };
        },
        &["ignored-range"],
    ),
    ("an id of another address", |host| host.trials[0].id_fits = Some(false), &["id-does-not-fit"]),
    ("UPnP is off", |host| live(host).mapping = Some((1, 1)), &["port-not-open"]),
    ("answers alone come in", |host| host.trials[0].reached = Some(false), &["not-reached"]),
    (
        "answers alone come in, and the router opens no port",
        |host| {
            host.trials[0].reached = Some(false);
            live(host).mapping = Some((0, 1));
        },
        &["port-not-open", "not-reached"],
    ),
    ("a crowd", |host| live(host).keys_under_alarm = 2, &["key-alarm"]),
    ("a client that has ended", |host| host.announced_port = Some((51_413, false)), &["announced-port-closed"]),
    ("a hundred thousand torrents", |host| live(host).behind = (70_000, 7_200), &["announces-late"]),
    ("torrents out of sight", |host| live(host).kept = (10, 4), &["not-visible"]),
    (
        "five operators, one host",
        |host| {
            let one = NameTrial { addrs: vec!["9.9.9.9".parse().unwrap()], ..host.names[0].clone() };
            host.names = vec![one; 5];
        },
        &["names-lie"],
    ),
    (
        "one host by both families for all names but one, which has none",
        |host| {
            let addrs = ["9.9.9.9", "2620:fe::9"].map(|ip| ip.parse().unwrap());
            let one = NameTrial { addrs: addrs.to_vec(), ..host.names[0].clone() };
            let turned = NameTrial { addrs: addrs.iter().rev().copied().collect(), ..one.clone() };
            let none = NameTrial { addrs: Vec::new(), ..one.clone() };
            host.names = vec![none, one.clone(), turned, one];
        },
        &["names-lie"],
    ),
    ("Teredo", |host| host.routes.v6 = Some("2001:0:1::1".parse().unwrap()), &["ipv6-tunnel"]),
    ("a container", |host| host.system.container = true, &["gateway-in-container"]),
    ("a private network", |host| host.private_network = true, &["private-network"]),
];

/// The codes of a report: each case with what follows from it.
fn codes(report: &Report) -> Vec<&'static str> {
    let all = report.cases.iter().flat_map(|case| std::iter::once(&case.finding).chain(&case.consequences));
    all.map(|finding| finding.kind.code).collect()
}

#[test]
fn nothing_is_wrong_with_hosts_that_are_well() {
    let report = examine(&healthy());
    assert_eq!(codes(&report), [""; 0]);
    assert_eq!(report.verdict(), Verdict::Well);
    assert!(report.well.len() >= 6, "{:?}", report.well);
    let others: [(&str, Change); 16] = [
        ("strangers reach it", |host| host.trials.iter_mut().for_each(|trial| trial.reached = Some(true))),
        ("strangers have not reached it yet", |host| {
            live(host).uptime_secs = 600;
            host.trials.iter_mut().for_each(|trial| trial.reached = Some(false));
        }),
        ("no node runs that could be asked", |host| host.live = None),
        ("the router was asked a moment ago", |host| {
            *live(host) = Live { uptime_secs: 5, mapping: Some((0, 0)), ..Live::default() };
        }),
        ("a long list that begins", |host| live(host).behind = (5_000, 600)),
        ("a host for IPv4 alone", |host| {
            host.routes.v6 = None;
            host.routes.global_v6.clear();
            host.sockets.truncate(1);
            host.trials.truncate(1);
        }),
        ("nothing is counted here", |host| host.system = System::default()),
        ("nothing was announced", |host| host.own_announces = Some((0, 0))),
        ("the first start", |host| host.folder.state_age_seconds = None),
        ("a clock that differs by a little", |host| host.folder.state_age_seconds = Some(-5)),
        ("no gateway", |host| host.gateway = None),
        ("bound to the address that the route leaves from", |host| {
            host.sockets = vec![socket("192.168.1.7:6880", BindOutcome::Ours)];
        }),
        ("bound to the stable one of two addresses", |host| {
            host.sockets = vec![socket("[2001:db8::7]:6880", BindOutcome::Ours)];
            host.routes.v6 = Some("2001:db8::aaaa".parse().unwrap());
        }),
        ("routers by address", |host| host.names.clear()),
        ("another node on this host is named", |host| {
            host.names = vec![NameTrial {
                name: "localhost".into(),
                public: false,
                addrs: vec!["127.0.0.1".parse().unwrap()],
                error: None,
            }];
        }),
        ("a few drops in a year", |host| host.system.udp = Some((10_000_000, 200))),
    ];
    for (name, change) in others {
        let mut host = healthy();
        change(&mut host);
        let report = examine(&host);
        assert_eq!(report.verdict(), Verdict::Well, "{name}: {:?}", codes(&report));
        assert!(report.cases.iter().all(|case| case.finding.kind.severity == Severity::Note), "{name}");
    }
}

#[test]
fn each_fault_is_named_and_nothing_else() {
    for (name, break_it, expected) in FAULTS {
        let mut host = healthy();
        break_it(&mut host);
        let report = examine(&host);
        let found = codes(&report);
        let mut expected = expected.to_vec();
        // Order within a case is that of the checks.
        let (cause, rest) = expected.split_first_mut().expect("a fault has a finding");
        assert_eq!(report.cases[0].finding.kind.code, *cause, "{name}: {found:?}");
        assert_eq!(report.cases.len(), 1, "{name}: {found:?}");
        let mut followed: Vec<&str> = report.cases[0].consequences.iter().map(|finding| finding.kind.code).collect();
        followed.sort_unstable();
        rest.sort_unstable();
        assert_eq!(followed, rest, "{name}");
    }
}

#[test]
fn each_kind_has_a_fault_that_shows_it() {
    let shown: Vec<&str> = FAULTS.iter().flat_map(|(_, _, codes)| *codes).copied().collect();
    for kind in KINDS {
        assert!(shown.contains(&kind.code), "{}", kind.code);
        for cause in kind.follows_from {
            assert!(KINDS.iter().any(|other| other.code == *cause), "{}: {cause}", kind.code);
        }
    }
}

#[test]
fn a_grave_finding_comes_before_a_note() {
    let mut host = healthy();
    host.running = None;
    host.sockets[0].outcome = BindOutcome::Taken;
    let report = examine(&host);
    assert_eq!(codes(&report), ["port-taken", "not-running"]);
    assert_eq!(report.verdict(), Verdict::Wrong);
    assert!(report.headline().contains("another program has the UDP port"), "{}", report.headline());
}

/// docs/DOCTOR.md up to its last part, from the table of kinds. With `UPDATE_DOCS=1` it is written.
#[test]
fn the_document_has_every_kind() {
    let mut text = String::from(HEAD);
    for (severity, title) in [
        (Severity::Wrong, "Wrong: it does not work"),
        (Severity::Warning, "Warning: it works, but less well than it could"),
        (Severity::Note, "Note: worth knowing"),
    ] {
        writeln!(text, "\n## {title}").unwrap();
        for kind in KINDS.iter().filter(|kind| kind.severity == severity) {
            let Kind { code, what, cause, cure, known_by, follows_from, .. } = kind;
            writeln!(text, "\n### `{code}`\n\nFound: {what}.\n\n{cause}\n\n- Cure: {cure}.\n- Known by: {known_by}.")
                .unwrap();
            if !follows_from.is_empty() {
                let codes: Vec<String> = follows_from.iter().map(|code| format!("`{code}`")).collect();
                writeln!(text, "- Told under {}, where one of them is found.", codes.join(", ")).unwrap();
            }
        }
    }
    let path = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/DOCTOR.md");
    let written = std::fs::read_to_string(&path).unwrap_or_default();
    let (kinds, faults) = written.split_at(written.find(FAULTS_BEGIN).unwrap_or(written.len()));
    if std::env::var_os("UPDATE_DOCS").is_some() {
        std::fs::write(&path, text + faults).unwrap();
        return;
    }
    assert_eq!(kinds, text, "UPDATE_DOCS=1 cargo test doctor writes it");
}

/// The last part, which is made from the cases of `tests/program/doctor`.
const FAULTS_BEGIN: &str = "\n## The faults that the tests make\n";

const HEAD: &str = "# The doctor\n\n\
    `trackerless doctor` says whether the node works on this host, and if not, the one cause and the one cure. It reads the\n\
    settings that `run` would use, so give it the same flags. It starts a node of its own on a free port for some seconds,\n\
    changes nothing, and may be run beside a running node. With `--json` the report is one object.\n\n\
    The first line is the verdict. Then each finding: what is so, what it is concluded from, why, and the cure. What follows\n\
    from another finding is told under it. What cannot be known is said to be unknown.\n\n\
    Exit codes: 0 well (there may be notes), 1 something is wrong or could be better, 3 no network.\n\n\
    This page is made from the table in `src/daemon/doctor/kinds.rs` and, its last part, from the cases of\n\
    `tests/program/doctor/`; tests hold them together.\n";
