//! What the running node keeps announced: folders, lists and single targets, over kill -9 and without a node.

use std::fs;

use serde_json::Value;

use super::daemon::Daemon;
use super::harness::Home;

/// Most looks at the list until it is as it should be: each starts the program anew.
const MOST_LOOKS: usize = 2000;

fn torrent(name: &str, more: &str) -> String {
    let info = format!("d6:lengthi1e4:name1:{name}12:piece lengthi16384e6:pieces20:01234567890123456789");
    format!("d4:info{info}{more}ee")
}

/// A node that watches, of a network of three.
fn start(home: &Home, routers: &[&str], flags: &[&str]) -> Daemon {
    let usual = ["--bind", "127.0.0.1:0", "--gateway", "off", "--announce-port", "4321"];
    Daemon::start_with(home, "watching", routers, &[&usual[..], flags].concat())
}

/// What `watch list` says of each infohash, by what the node has kept.
fn list(home: &Home) -> Vec<Value> {
    list_with(home, &["--alone"])
}

fn list_with(home: &Home, flags: &[&str]) -> Vec<Value> {
    let ended = home.run(&[&["watch", "list", "--json", "--data-dir", "watching"], flags].concat());
    ended.json().into_iter().filter(|record| record["infohash"].is_string()).collect()
}

/// Waits until the list is as it should be; what it is then.
fn wait_for(home: &Home, fits: impl Fn(&[Value]) -> bool) -> Vec<Value> {
    let found = (0..MOST_LOOKS).map(|_| list(home)).find(|listed| fits(listed));
    found.unwrap_or_else(|| panic!("{:#?}", list(home)))
}

fn count(listed: &[Value], state: &str) -> usize {
    listed.iter().filter(|record| record["state"] == state).count()
}

#[test]
fn a_folder_becomes_visible_and_nothing_is_lost_at_kill_9() {
    let home = Home::new();
    let others = Daemon::network(&home, 3);
    let folder = home.path().join("torrents");
    fs::create_dir(&folder).unwrap();
    for name in ["a", "b", "c"] {
        fs::write(folder.join(format!("{name}.torrent")), torrent(name, "")).unwrap();
    }
    fs::write(folder.join("p.torrent"), torrent("p", "7:privatei1e")).unwrap();
    fs::write(folder.join("broken.torrent"), "d4:info").unwrap();
    let (router, watch) = (others[0].address.as_str(), folder.to_str().unwrap());
    let node = start(&home, &[router], &["--watch", watch]);
    let visible = wait_for(&home, |listed| count(listed, "visible") == 3);
    assert_eq!(count(&visible, "private"), 1, "{visible:#?}");
    let text = home.run(&["watch", "list", "--data-dir", "watching"]).expect_code(0);
    assert!(text.stderr.contains("left out: ") && text.stderr.contains("broken.torrent"), "{}", text.stderr);
    assert!(text.stderr.contains("4 infohashes: 3 visible, 1 private"), "{}", text.stderr);
    let hidden = home.run(&["watch", "list", "--not-visible", "--data-dir", "watching"]).expect_code(0);
    assert_eq!(hidden.stdout, "");
    let one = visible.iter().find(|record| record["state"] == "visible").unwrap();
    let found = home.run(&["find", one["infohash"].as_str().unwrap(), "--lan", "--bootstrap", router]).expect_code(0);
    assert_eq!(found.stdout.trim(), "127.0.0.1:4321");
    // The announcer looks for them itself, later and from elsewhere: none is told as one that was looked for in vain.
    let status = home.run(&["status", "--data-dir", "watching"]).expect_code(0).stdout;
    assert!(status.contains("own    3 torrents announced\n") && !status.contains("seen"), "{status}");

    drop(node);
    let kept = list(&home);
    let times = |listed: &[Value]| listed.iter().map(|record| record["announced_at"].clone()).collect::<Vec<_>>();
    assert_eq!((count(&kept, "visible"), times(&kept)), (3, times(&visible)));
    // While it was away one was added and one removed.
    fs::write(folder.join("d.torrent"), torrent("d", "")).unwrap();
    fs::remove_file(folder.join("a.torrent")).unwrap();
    let node = start(&home, &[router], &["--watch", watch]);
    let again =
        wait_for(&home, |listed| count(listed, "visible") == 3 && listed.iter().any(|record| record["name"] == "d"));
    let before = |name: &str| kept.iter().find(|record| record["name"] == name).unwrap()["announced_at"].clone();
    let after = |name: &str| again.iter().find(|record| record["name"] == name).unwrap()["announced_at"].clone();
    assert_eq!([after("b"), after("c")], [before("b"), before("c")], "not before its time");
    // The folder goes: what it listed goes on, and it is told.
    fs::rename(&folder, home.path().join("elsewhere")).unwrap();
    let told = || home.run(&["watch", "list", "--data-dir", "watching"]).stderr;
    assert!((0..MOST_LOOKS).any(|_| told().contains("what it listed last goes on")), "{}", told());
    assert_eq!(list(&home).len(), 4);
    let (code, log) = node.stop("TERM");
    assert_eq!(code, Some(0), "{log}");
}

#[test]
fn what_is_added_and_removed_by_commands_is_seen_by_the_running_node() {
    let home = Home::new();
    let others = Daemon::network(&home, 2);
    let hash = "c".repeat(40);
    let magnet = format!("magnet:?xt=urn:btih:{}&dn=m", "d".repeat(40));
    let at = ["--data-dir", "watching"];
    let none = home.run(&[&["watch", "list"], &at[..]].concat()).expect_code(1);
    assert!(none.stderr.contains("nothing is watched yet"), "{}", none.stderr);
    let added = home.run(&[&["watch", "add", &hash, "--port", "99", "--seed"], &at[..]].concat()).expect_code(0);
    assert!(added.stderr.contains("`trackerless run` will take it"), "{}", added.stderr);
    let node = start(&home, &[&others[0].address], &[]);
    let listed = wait_for(&home, |listed| count(listed, "stored") + count(listed, "visible") == 1);
    assert_eq!((&listed[0]["port"], &listed[0]["seed"]), (&99.into(), &true.into()));
    let added = home.run(&[&["watch", "add", &magnet], &at[..]].concat()).expect_code(0);
    assert!(added.stderr.contains("takes it within a second"), "{}", added.stderr);
    wait_for(&home, |listed| listed.len() == 2);
    let listed = wait_for(&home, |listed| count(listed, "visible") == 2);
    assert_eq!((&listed[1]["name"], &listed[1]["port"]), (&"m".into(), &4321.into()));
    let live = home.run(&[&["watch", "list"], &at[..]].concat()).expect_code(0);
    assert!(
        live.stderr.contains("via the running node") && live.stderr.contains("2 infohashes: 2 visible"),
        "{live:?}"
    );
    let same = |mut listed: Vec<Value>| {
        // Two processes may round the same time to seconds that are next to each other.
        let times = ["next_in_seconds", "announced_at", "looked_at"];
        listed.iter_mut().for_each(|record| times.iter().for_each(|time| record[*time] = Value::Null));
        listed
    };
    assert_eq!(same(list_with(&home, &[])), same(list(&home)), "the node tells what it keeps");
    home.run(&[&["watch", "remove", &magnet, &hash], &at[..]].concat()).expect_code(0);
    wait_for(&home, |listed| listed.is_empty());
    home.run(&[&["watch", "remove", &hash], &at[..]].concat()).expect_code(1);
    let missing = home.run(&[&["watch", "add", "no/such/folder"], &at[..]].concat()).expect_code(2);
    assert!(missing.stderr.contains("there is no "), "{}", missing.stderr);
    drop(node);
}

#[test]
fn a_damaged_file_is_set_aside_and_the_node_starts() {
    let home = Home::new();
    home.write("watching/announcer.sqlite", "this is no database at all, but long enough to be one");
    let listed = home.run(&["watch", "list", "--data-dir", "watching"]).expect_code(2);
    assert!(listed.stderr.contains("is damaged") && listed.stderr.contains("sets the file aside"), "{}", listed.stderr);
    let node = start(&home, &[], &[]);
    let (code, log) = node.stop("TERM");
    assert_eq!(code, Some(0), "{log}");
    assert!(log.contains("the file of what is announced is damaged; it was set aside"), "{log}");
    let kept = fs::read_dir(home.path().join("watching")).unwrap().map(|entry| entry.unwrap().file_name());
    assert!(kept.into_iter().any(|name| name.to_string_lossy().starts_with("announcer.sqlite.damaged-")));
}

#[cfg(unix)]
#[test]
fn the_configuration_is_read_again_at_sighup() {
    let home = Home::new();
    let others = Daemon::network(&home, 2);
    let (first, second) = ("a".repeat(40), "b".repeat(40));
    let write = |text: String| home.write("trackerless.toml", text);
    let refused = home.write("refused", "");
    let index = format!("index = \"mine\"\nindex_refused_infohashes = [{refused:?}]\n");
    let file = write(format!("{index}watch = [{first:?}]\n"));
    let flags = ["--bind", "127.0.0.1:0", "--gateway", "off", "--config", file.as_str()];
    let node = Daemon::start_with(&home, "watching", &[others[0].address.as_str()], &flags);
    let read_again = || {
        let sent = std::process::Command::new("kill").args(["-HUP", &node.pid().to_string()]).status().unwrap();
        assert!(sent.success());
    };
    wait_for(&home, |listed| count(listed, "no port") == 1);
    write(format!("{index}watch = [{second:?}]\nannounce_port = 4321\nserve = \"never\"\n"));
    home.write("refused", "this is no digest");
    read_again();
    let is = |infohash: &str, listed: &[Value]| listed.len() == 1 && listed[0]["infohash"] == infohash;
    wait_for(&home, |listed| is(&second, listed) && listed[0]["port"] == 4321);
    // The lists of the index too, which else would be read within five minutes.
    let (_, log) = node.stop("TERM");
    assert!(log.contains("a list of the index cannot be used"), "{log}");
    assert!(log.contains("changed=\"watch, announce_port\" need_a_new_start=\"serve\""), "{log}");
}
