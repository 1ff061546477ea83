//! Commands against running nodes on loopback.

use std::io::{BufRead, BufReader};
use std::net::UdpSocket;
use std::process::Stdio;

use super::daemon::Daemon;
use super::harness::Home;

const INFOHASH: &str = "da39a3ee5e6b4b0d3255bfef95601890afd80709";
const BASE32: &str = "3I42H3S6NNFQ2MSVX7XZKYAYSCX5QBYJ";

#[test]
fn what_one_announces_another_finds() {
    let home = Home::new();
    let nodes = Daemon::network(&home, 4);
    let announce = ["announce", BASE32, "--port", "5000", "--json", "--lan", "--bootstrap", &nodes[1].address];
    let record = home.run(&announce).expect_code(0).json().remove(0);
    assert_eq!(record["infohash"], INFOHASH);
    assert_eq!(record["stored_at"], 4, "{record}");
    assert_eq!(record["visible"], true, "{record}");

    let magnet = format!("magnet:?xt=urn:btih:{INFOHASH}&dn=a+name");
    let find = ["find", &magnet, "--lan", "--bootstrap", &nodes[3].address];
    let ended = home.run(&find).expect_code(0);
    assert_eq!(ended.stdout, "127.0.0.1:5000\n");
    let records = home.run(&[&find[..], &["--json", "--want", "1"]].concat()).expect_code(0).json();
    assert_eq!(records.len(), 1);
    assert_eq!((&records[0]["infohash"], &records[0]["peer"]), (&INFOHASH.into(), &"127.0.0.1:5000".into()));
}

#[test]
fn what_one_announces_is_counted_and_sampled() {
    let home = Home::new();
    let nodes = Daemon::network(&home, 3);
    let common = ["--json", "--lan", "--bootstrap", &nodes[0].address];
    home.run(&[&["scrape", INFOHASH], &common[..]].concat()).expect_code(1);
    home.run(&[&["announce", INFOHASH, "--port", "5000", "--seed"], &common[..]].concat()).expect_code(0);
    let record = home.run(&[&["scrape", INFOHASH], &common[..]].concat()).expect_code(0).json().remove(0);
    assert_eq!((&record["seeds"], &record["peers"]), (&1.into(), &0.into()), "{record}");
    assert_eq!(record["reported"], 3, "{record}");
    let record = home.run(&["sample", &nodes[2].address, "--lan", "--json"]).expect_code(0).json().remove(0);
    assert_eq!((&record["infohashes"][0], &record["total"]), (&INFOHASH.into(), &1.into()), "{record}");
    let ended = home.run(&["sample", &nodes[2].address, "--lan"]).expect_code(0);
    assert_eq!(ended.stdout, format!("{INFOHASH}\n"));
}

#[test]
fn an_announce_from_a_chosen_port_is_checked_from_another() {
    let home = Home::new();
    let nodes = Daemon::network(&home, 2);
    let free = UdpSocket::bind("127.0.0.1:0").unwrap().local_addr().unwrap().to_string();
    let common = ["--port", "5000", "--json", "--lan", "--bootstrap", &nodes[0].address];
    let record =
        home.run(&[&["announce", INFOHASH, "--bind", &free], &common[..]].concat()).expect_code(0).json().remove(0);
    assert_eq!((&record["stored_at"], &record["visible"]), (&2.into(), &true.into()), "{record}");
}

#[test]
fn several_torrents_are_told_apart() {
    let home = Home::new();
    let nodes = Daemon::network(&home, 2);
    let list = format!("{}\n{}\n", "a".repeat(40), "b".repeat(40));
    let common = ["--lan", "--bootstrap", &nodes[0].address];
    let ended = home.run_with_input(&[&["announce", "-", "--port", "7"], &common[..]].concat(), &list).expect_code(0);
    assert_eq!(ended.stdout.lines().count(), 2, "{}", ended.stdout);
    let ended = home.run_with_input(&[&["find", "-"], &common[..]].concat(), &list).expect_code(0);
    assert!(ended.stderr.contains(&format!("1 peer of {}\n", "a".repeat(40))), "{}", ended.stderr);
    let mut lines: Vec<&str> = ended.stdout.lines().collect();
    lines.sort_unstable();
    assert_eq!(lines, [format!("127.0.0.1:7\t{}", "a".repeat(40)), format!("127.0.0.1:7\t{}", "b".repeat(40))]);
}

#[test]
fn a_search_for_several_says_what_came_of_each() {
    let home = Home::new();
    let nodes = Daemon::network(&home, 2);
    let (known, unknown) = ("a".repeat(40), "b".repeat(40));
    let common = ["--json", "--lan", "--bootstrap", &nodes[0].address];
    home.run(&[&["announce", &known, "--port", "7"], &common[..]].concat()).expect_code(0);
    let magnet = format!("magnet:?xt=urn:btih:{unknown}&dn=another");
    let records = home.run(&[&["find", &known, &magnet], &common[..]].concat()).expect_code(0).json();
    let end = |target: &str| records.iter().find(|record| record["target"] == target).unwrap();
    assert_eq!((records.len(), &end(&known)["peers"], &end(&known)["ended"]), (3, &1.into(), &"complete".into()));
    assert_eq!((&end(&magnet)["peers"], &end(&magnet)["name"]), (&0.into(), &"another".into()));
    let ended = home.run(&["find", &known, &magnet, "--lan", "--bootstrap", &nodes[0].address]).expect_code(0);
    assert!(ended.stderr.contains("no peer of another was found\n"), "{}", ended.stderr);
}

#[test]
fn one_bad_entry_does_not_stop_a_list() {
    let home = Home::new();
    let nodes = Daemon::network(&home, 2);
    let info = |name: &str| format!("d6:lengthi1e4:name1:{name}12:piece lengthi16384e6:pieces20:01234567890123456789");
    for name in ["a", "b", "c"] {
        home.write(&format!("{name}.torrent"), format!("d4:info{}ee", info(name)));
    }
    home.write("p.torrent", format!("d4:info{}7:privatei1eee", info("p")));
    let common = ["--lan", "--bootstrap", &nodes[0].address];
    let list = "a.torrent\nb.torrent\np.torrent\nc.torrent\n";
    let announce = [&["announce", "-", "--port", "7"], &common[..]].concat();
    let ended = home.run_with_input(&announce, list).expect_code(1);
    assert_eq!(ended.stdout.lines().count(), 3, "{}", ended.stdout);
    for name in ["a", "b", "c"] {
        let line = format!("  {name}.torrent  port 7  stored at 2 nodes, visible as 127.0.0.1:7 from another node");
        assert!(ended.stdout.contains(&line), "{}", ended.stdout);
    }
    let left_out = "left out: line 3 of standard input, \"p.torrent\": the torrent is private";
    assert!(ended.stderr.contains(left_out), "{}", ended.stderr);
    assert!(ended.stderr.contains("1 TARGET left out"), "{}", ended.stderr);
    let ended = home.run_with_input(&[&announce[..], &["--strict"]].concat(), list).expect_code(2);
    assert_eq!(ended.stdout, "");
    // Several on the command line are a list as well: `*.torrent`.
    let scrape = [&["scrape", "a.torrent", "p.torrent"], &common[..]].concat();
    let ended = home.run(&scrape).expect_code(1);
    assert!(ended.stdout.contains("  a.torrent  seeds 0  peers 1  counted by"), "{}", ended.stdout);
}

#[test]
fn a_hybrid_torrent_has_two_swarms() {
    let home = Home::new();
    let nodes = Daemon::network(&home, 2);
    let info = "d9:file treed1:ad0:d6:lengthi1eeee12:meta versioni2e4:name1:a12:piece lengthi16384e\
                6:pieces20:01234567890123456789e";
    home.write("hybrid.torrent", format!("d4:info{info}e"));
    let common = ["--json", "--lan", "--bootstrap", &nodes[0].address];
    let ended = home.run(&[&["announce", "hybrid.torrent", "--port", "9", "--seed"], &common[..]].concat());
    assert_eq!(ended.stderr, "", "a torrent file shows that it is public");
    let announced = ended.expect_code(0).json();
    assert_eq!(announced.len(), 2);
    for record in &announced {
        let found = home.run(&[&["find", record["infohash"].as_str().unwrap()], &common[..]].concat()).expect_code(0);
        assert_eq!(found.json()[0]["peer"], "127.0.0.1:9");
    }
    assert_eq!(home.run(&[&["find", "hybrid.torrent"], &common[..]].concat()).expect_code(0).json().len(), 1);
}

#[test]
fn the_same_over_ipv6() {
    if UdpSocket::bind("[::1]:0").is_err() {
        eprintln!("skipped: this host has no IPv6 loopback (sysctl net.ipv6.conf.lo.disable_ipv6=0)");
        return;
    }
    let home = Home::new();
    let mut first = Daemon::start_with(&home, "first", &[], &["--bind", "[::1]:0"]);
    let mut second = Daemon::start_with(&home, "second", &[&first.address], &["--bind", "[::1]:0"]);
    first.wait_for("ready");
    second.wait_for("ready");
    let common = ["--lan", "--bootstrap", &first.address];
    home.run(&[&["announce", INFOHASH, "--port", "6"], &common[..]].concat()).expect_code(0);
    let ended = home.run(&[&["find", INFOHASH], &common[..]].concat()).expect_code(0);
    assert_eq!(ended.stdout, "[::1]:6\n");
    home.run(&["ping", &second.address, "--lan"]).expect_code(0);
}

#[test]
fn nothing_found_ends_with_1() {
    let home = Home::new();
    let nodes = Daemon::network(&home, 2);
    let ended = home.run(&["find", INFOHASH, "--lan", "--bootstrap", &nodes[0].address]).expect_code(1);
    assert_eq!(ended.stdout, "");
    assert!(ended.stderr.contains("no peer"), "{}", ended.stderr);
}

#[test]
fn nobody_there_ends_with_3() {
    let home = Home::new();
    // Bound and silent: nothing else can take the port, and nobody answers on it.
    let silent = UdpSocket::bind("127.0.0.1:0").unwrap();
    let address = silent.local_addr().unwrap().to_string();
    let common = ["--lan", "--bootstrap", &address];
    let ended = home.run(&[&["find", INFOHASH, "--timeout", "1"], &common[..]].concat()).expect_code(3);
    assert!(ended.stderr.starts_with("error: no other node answered\ncure: "), "{}", ended.stderr);
    let join = ["announce", INFOHASH, "--port", "1", "--join-timeout", "1"];
    home.run(&[&join, &common[..]].concat()).expect_code(3);
    let ended = home.run(&["find", INFOHASH, "--lan"]).expect_code(3);
    assert!(ended.stderr.starts_with("error: no node is known"), "{}", ended.stderr);
    let ended = home.run(&["ping", &address, "--lan"]).expect_code(3);
    assert!(ended.stderr.contains("did not answer"), "{}", ended.stderr);
}

#[test]
fn a_ping_tells_who_is_there_and_how_it_sees_us() {
    let home = Home::new();
    let node = Daemon::start(&home, "node", &[]);
    let record = home.run(&["ping", &node.address, "--lan", "--json"]).expect_code(0).json().remove(0);
    assert_eq!(record["id"], node.id.as_str());
    assert_eq!(record["address"], node.address.as_str());
    assert!(record["sees_us_as"].as_str().unwrap().starts_with("127.0.0.1:"), "{record}");
    assert!(record["rtt_ms"].as_f64().unwrap() > 0.0, "{record}");
    assert!(record["version"].is_string(), "{record}");
    // In the guise of IPv6, as some programs write it.
    for address in [node.address.clone(), node.address.replace("127.0.0.1", "[::ffff:127.0.0.1]")] {
        let text = home.run(&["ping", &address, "--lan"]).expect_code(0).stdout;
        assert!(text.contains(&node.id), "{text}");
    }
}

#[test]
fn a_reader_that_leaves_early_ends_the_search_quietly() {
    let home = Home::new();
    let nodes = Daemon::network(&home, 3);
    let common = ["--lan", "--bootstrap", &nodes[0].address];
    for port in ["1001", "1002", "1003"] {
        home.run(&[&["announce", INFOHASH, "--port", port], &common[..]].concat()).expect_code(0);
    }
    let mut command = home.command(&[&["find", INFOHASH], &common[..]].concat());
    let mut child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    let mut first = String::new();
    BufReader::with_capacity(1, child.stdout.take().unwrap()).read_line(&mut first).unwrap();
    assert!(first.starts_with("127.0.0.1:100"), "{first}");
    let output = child.wait_with_output().unwrap();
    assert_eq!((output.status.code(), String::from_utf8_lossy(&output.stderr).as_ref()), (Some(0), ""));
}

#[test]
fn a_kept_announce_goes_on_until_it_is_stopped() {
    let home = Home::new();
    let nodes = Daemon::network(&home, 2);
    let args = ["announce", INFOHASH, "--port", "9", "--keep", "--json", "--lan", "--bootstrap", &nodes[0].address];
    let mut child = home.command(&args).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    let mut line = String::new();
    BufReader::new(child.stdout.take().unwrap()).read_line(&mut line).unwrap();
    assert!(line.contains("\"visible\":true"), "{line}");
    assert!(child.try_wait().unwrap().is_none(), "it must stay");
    let pid = child.id().to_string();
    assert!(std::process::Command::new("kill").args(["-INT", &pid]).status().unwrap().success());
    assert_eq!(child.wait().unwrap().code(), Some(0));
}

#[test]
fn a_kept_announce_says_that_it_does_not_get_into_the_network_and_goes_on() {
    let home = Home::new();
    let silent = UdpSocket::bind("127.0.0.1:0").unwrap();
    let address = silent.local_addr().unwrap().to_string();
    let args = ["announce", INFOHASH, "--port", "9", "--keep", "--join-timeout", "1", "--lan", "--bootstrap", &address];
    let mut child = home.command(&args).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    let said = BufReader::new(child.stderr.take().unwrap()).lines().map(Result::unwrap);
    let errors: Vec<String> = said.filter(|line| line.starts_with("error: ")).take(2).collect();
    assert_eq!(errors, ["error: no other node answered"; 2]);
    assert!(child.try_wait().unwrap().is_none(), "it must stay");
    child.kill().unwrap();
    child.wait().unwrap();
}
