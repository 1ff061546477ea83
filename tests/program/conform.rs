//! The conformance suite as it is typed, against our node and another one. docs/CONFORMANCE.md must tell the truth.

use std::collections::BTreeMap;
use std::net::{Ipv4Addr, SocketAddr, UdpSocket};

use serde_json::Value;

use super::daemon::Daemon;
use super::harness::Home;

#[test]
fn our_node_passes_every_must_and_should() {
    let home = Home::new();
    let node = Daemon::start(&home, "node", &[]);
    let ended = home.run(&["conform", &node.address, "--pace", "0", "--json"]);
    let records = ended.json();
    let failed: Vec<&Value> = records.iter().filter(|record| record["verdict"] == "fail").collect();
    assert!(failed.is_empty(), "{failed:#?}");
    let summary = records.last().unwrap();
    assert!(summary["must"]["pass"].as_u64().unwrap() + summary["should"]["pass"].as_u64().unwrap() > 120, "{summary}");
    assert_eq!(verdicts(&records), documented("trackerless"), "run `cargo run --example conformance`");
    ended.expect_code(0);
}

#[test]
fn the_mainline_crate_deviates_as_the_page_says() {
    let home = Home::new();
    let mut builder = mainline::Dht::builder();
    let node = builder.server_mode().no_bootstrap().bind_address(Ipv4Addr::LOCALHOST).build().unwrap();
    let info = tokio::runtime::Runtime::new().unwrap().block_on(node.clone().as_async().info());
    let address = SocketAddr::from((Ipv4Addr::LOCALHOST, info.local_addr().port())).to_string();
    let ended = home.run(&["conform", &address, "--pace", "0", "--json", "--only", "tokens"]);
    let records = ended.json();
    let mut page = documented("mainline 8.0.1");
    page.retain(|id, _| id.starts_with("tokens."));
    assert_eq!(verdicts(&records), page);
    let forged = records.iter().find(|record| record["id"] == "tokens.unforgeable").unwrap();
    assert!(forged["exchange"].as_array().unwrap().len() > 2, "the bytes of a failure are shown: {forged}");
    let failed = records.iter().filter(|record| record["verdict"] == "fail" && record["level"] == "must").count();
    assert!(failed > 0);
    ended.expect_code(1);
}

#[test]
fn strangers_on_the_internet_are_left_alone() {
    let home = Home::new();
    let ended = home.run(&["conform", "192.0.2.1:6881"]).expect_code(2);
    assert!(ended.stderr.contains("--public"), "{}", ended.stderr);
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
