//! The conformance suite as it is typed, against our node and another one. docs/CONFORMANCE.md must tell the truth.

use std::collections::BTreeMap;
use std::net::{Ipv4Addr, SocketAddr, UdpSocket};

use serde_json::Value;

use trackerless::conform::GROUPS;

use super::daemon::Daemon;
use super::harness::Home;

#[test]
fn our_node_passes_every_must_and_should() {
    let home = Home::new();
    let node = Daemon::start(&home, "node", &[]);
    let ended = home.run(&["conform", "--lan", &node.address, "--patience", "1000", "--json"]);
    let records = ended.json();
    let failed: Vec<&Value> = records.iter().filter(|record| record["verdict"] == "fail").collect();
    assert!(failed.is_empty(), "{failed:#?}");
    let summary = records.last().unwrap();
    assert!(summary["must"]["pass"].as_u64().unwrap() + summary["should"]["pass"].as_u64().unwrap() > 480, "{summary}");
    assert_eq!(verdicts(&records), documented("trackerless"), "run `cargo run --example conformance`");
    ended.expect_code(0);
}

/// Each group runs against a node of its own, all at once, since most of the time is spent on waiting for what never
/// comes; but what `security` measures, the groups before it must have brought into the table, and the audit is of a
/// whole run. What is not as the page says is asked again with much more patience: a busy machine is no deviation.
#[test]
fn the_mainline_crate_deviates_as_the_page_says() {
    let home = Home::new();
    let page = documented("mainline 8.0.1");
    let groups = GROUPS.iter().filter(|group| **group != "audit");
    let (together, alone): (Vec<_>, Vec<_>) = groups
        .partition(|group| ["krpc", "routing", "ipv6", "security", "answers", "ghosts", "floods"].contains(group));
    let deviation = &|groups: &[&str], patience: &str| {
        let of_groups = |id: &str| groups.iter().any(|group| id.split('.').next() == Some(*group));
        let expected: BTreeMap<_, _> = page.clone().into_iter().filter(|(id, _)| of_groups(id)).collect();
        let found = verdicts(&of_mainline(&home, groups, patience));
        (found != expected).then_some((found, expected))
    };
    std::thread::scope(|scope| {
        for groups in alone.chunks(1).chain([&together[..]]) {
            scope.spawn(move || {
                if deviation(groups, "250").is_some()
                    && let Some((found, expected)) = deviation(groups, "4000")
                {
                    assert_eq!(found, expected, "{groups:?}");
                }
            });
        }
    });
}

/// What the suite says about a new node of the mainline crate.
fn of_mainline(home: &Home, groups: &[&str], patience: &str) -> Vec<Value> {
    let mut builder = mainline::Dht::builder();
    let node = builder.server_mode().no_bootstrap().bind_address(Ipv4Addr::LOCALHOST).build().unwrap();
    let info = tokio::runtime::Runtime::new().unwrap().block_on(node.clone().as_async().info());
    let address = SocketAddr::from((Ipv4Addr::LOCALHOST, info.local_addr().port())).to_string();
    let mut args = vec!["conform", "--lan", &address, "--json", "--patience", patience];
    args.extend(groups.iter().flat_map(|group| ["--only", group]));
    home.run(&args).json()
}

#[test]
fn the_bytes_of_a_failure_are_shown() {
    let records = of_mainline(&Home::new(), &["tokens"], "250");
    let forged = records.iter().find(|record| record["id"] == "tokens.unforgeable").unwrap();
    assert_eq!((&forged["verdict"], &forged["level"]), (&"fail".into(), &"must".into()), "{forged}");
    assert!(forged["exchange"].as_array().unwrap().len() > 2, "{forged}");
}

#[test]
fn how_long_it_takes_is_said_before_and_groups_as_they_end() {
    let home = Home::new();
    let node = Daemon::start(&home, "node", &[]);
    let ended = home.run(&["conform", "--lan", &node.address, "--only", "tokens", "--only", "samples"]).expect_code(0);
    let lines: Vec<&str> = ended.stdout.lines().collect();
    assert!(lines[0].starts_with(&format!("{}: 41 checks, about ", node.address)), "{}", ended.stdout);
    assert!(lines[1].starts_with("tokens: ") && lines[2].starts_with("samples: "), "{}", ended.stdout);
}

#[test]
fn strangers_on_the_internet_are_left_alone() {
    let home = Home::new();
    let ended = home.run(&["conform", "192.0.2.1:6881"]).expect_code(2);
    assert!(ended.stderr.contains("--public"), "{}", ended.stderr);
    let ended = home.run(&["conform", "192.0.2.1:6881", "--public", "--pace", "0"]).expect_code(2);
    assert!(ended.stderr.contains("too fast for a node on the Internet\ncure: "), "{}", ended.stderr);
    home.run(&["conform", "127.0.0.1:1", "--only", "nothing"]).expect_code(2);
}

#[test]
fn a_target_that_is_silent_is_told_apart_from_one_that_fails() {
    let silent = UdpSocket::bind("127.0.0.1:0").unwrap();
    let address = silent.local_addr().unwrap().to_string();
    let ended = Home::new().run(&["conform", &address]).expect_code(3);
    assert!(ended.stderr.contains("answers no ping"), "{}", ended.stderr);
    assert_eq!(ended.stdout, "");
}

fn verdicts(records: &[Value]) -> BTreeMap<String, String> {
    let text = |value: &Value| value.as_str().map(str::to_owned);
    records.iter().filter_map(|record| Some((text(&record["id"])?, text(&record["verdict"])?))).collect()
}

/// The column of `node` in the tables of docs/CONFORMANCE.md.
fn documented(node: &str) -> BTreeMap<String, String> {
    let page = include_str!("../../docs/CONFORMANCE.md");
    let cells = |line: &str| line.split('|').map(|cell| cell.trim().to_owned()).collect::<Vec<_>>();
    let head = page.lines().find(|line| line.starts_with("| check |")).map(cells).expect("a table");
    let column = head.iter().position(|cell| cell == node).expect("a column for the node");
    let rows = page.lines().filter(|line| line.starts_with("| `")).map(cells);
    rows.map(|row| (row[1].trim_matches('`').to_owned(), row[column].clone())).collect()
}
