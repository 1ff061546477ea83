//! Items and files that the DHT keeps, against running nodes on loopback.

use super::daemon::Daemon;
use super::harness::{Ended, Home};

/// The target of `12:Hello World!` (BEP 44, test vector 3).
const HELLO: &str = "e5f96f6f38320f0f33959cb4d3d656452117aadb";

struct Net {
    home: Home,
    nodes: Vec<Daemon>,
}

impl Net {
    fn new(size: usize) -> Self {
        let home = Home::new();
        let nodes = Daemon::network(&home, size);
        Self { home, nodes }
    }

    fn run(&self, args: &[&str]) -> Ended {
        self.home.run(&[args, &["--lan", "--bootstrap", &self.nodes[0].address]].concat())
    }
}

#[test]
fn a_value_is_found_by_its_hash() {
    let net = Net::new(3);
    let record = net.run(&["put", "Hello World!", "--json"]).expect_code(0).json().remove(0);
    assert_eq!((&record["target"], &record["stored_at"]), (&HELLO.into(), &3.into()), "{record}");
    assert_eq!(net.run(&["get", HELLO]).expect_code(0).stdout, "Hello World!\n");
    let record = net.run(&["get", HELLO, "--json"]).expect_code(0).json().remove(0);
    assert_eq!((&record["text"], &record["seq"]), (&"Hello World!".into(), &serde_json::Value::Null), "{record}");
    net.run(&["get", HELLO, "-o", "hello.txt"]).expect_code(0);
    assert_eq!(std::fs::read(net.home.path().join("hello.txt")).unwrap(), b"Hello World!");
    let ended = net.run(&["get", &"0".repeat(40)]).expect_code(1);
    assert!(ended.stderr.contains("no item"), "{}", ended.stderr);
}

#[test]
fn a_mutable_value_changes_only_forward_and_only_by_its_owner() {
    let net = Net::new(3);
    let key = net.home.run(&["key", "new", "me.key"]).expect_code(0).stdout.trim().to_owned();
    assert_eq!(net.home.run(&["key", "show", "me.key"]).expect_code(0).stdout.trim(), key);
    let ended = net.home.run(&["key", "new", "me.key"]).expect_code(2);
    assert!(ended.stderr.contains("never overwritten"), "{}", ended.stderr);
    let put = |rest: &[&str]| net.run(&[&["put", "--mutable", "--key", "me.key", "--salt", "motd"], rest].concat());
    for (value, seq) in [("first", 1), ("second", 2)] {
        let record = put(&[value, "--json"]).expect_code(0).json().remove(0);
        assert_eq!((&record["seq"], &record["public_key"]), (&seq.into(), &key.as_str().into()), "{record}");
        let got = net.run(&["get", "--public-key", &key, "--salt", "motd"]).expect_code(0);
        assert_eq!(got.stdout, format!("{value}\n"));
    }
    let ended = put(&["old", "--seq", "1"]).expect_code(1);
    assert!(
        ended.stderr.starts_with("error: seq 1 is out of date: the stored item has seq 2\ncure: "),
        "{}",
        ended.stderr
    );
    let ended = put(&["other", "--seq", "2"]).expect_code(1);
    assert!(ended.stderr.starts_with("error: seq 2 is taken: "), "{}", ended.stderr);
    let ended = put(&["clash", "--cas", "1"]).expect_code(1);
    assert!(ended.stderr.contains("--cas 1 is out of date: the stored item has seq 2"), "{}", ended.stderr);
    put(&["third", "--seq", "7", "--cas", "2"]).expect_code(0);
    net.run(&["get", "--public-key", &key]).expect_code(1);
    #[cfg(unix)]
    {
        use std::os::unix::fs::PermissionsExt;
        let mode = std::fs::metadata(net.home.path().join("me.key")).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o600, "the secret is its owner's alone");
    }
}

#[test]
fn what_cannot_be_an_item_says_why_and_what_to_do() {
    let home = Home::new();
    home.run(&["key", "new", "me.key"]).expect_code(0);
    home.write("no.key", "hello");
    home.write("large.bin", vec![0; 2000]);
    let (long, salt) = ("x".repeat(997), "s".repeat(65));
    let mutable = ["put", "x", "--mutable", "--key"];
    for (args, what) in [
        (vec!["put", long.as_str()], "1001 bytes as bencode, an item holds 1000\ncure: store it as a file"),
        (vec!["put", "--bencode", "d1:bi1e1:ai2ee"], "not canonical bencode\ncure: sort the keys"),
        ([&mutable[..], &["me.key", "--salt", &salt]].concat(), "the salt has 65 bytes"),
        ([&mutable[..], &["no.key"]].concat(), "holds no key"),
        ([&mutable[..], &["missing.key"]].concat(), "missing.key"),
        (vec!["put", "--file", "missing.bin"], "missing.bin"),
        (vec!["put", "--file", "large.bin", "--max-size", "1000"], "2000 bytes, more than 1000"),
        (vec!["get", "xyz"], "an id is 40 hexadecimal digits"),
        (vec!["get", "--file", HELLO, "-o", "."], ".: it is a folder"),
        (vec!["get", "--public-key", "xyz"], "not a public key"),
    ] {
        let ended = home.run(&args).expect_code(2);
        assert!(ended.stderr.contains(what) && ended.stderr.contains("\ncure: "), "{args:?}: {}", ended.stderr);
    }
    for wrong in [&["put"][..], &["put", "x", "--mutable"], &["get"], &["get", "--file", HELLO, "--json"]] {
        home.run(wrong).expect_code(2);
    }
}

#[test]
fn a_file_goes_in_and_comes_out_and_an_interrupted_get_goes_on() {
    let net = Net::new(3);
    let file: Vec<u8> = (0..100_000u32).map(|index| (index.wrapping_mul(index) >> 7) as u8).collect();
    net.home.write("in.bin", &file);
    let record = net.run(&["put", "--file", "in.bin", "--json"]).expect_code(0).json().remove(0);
    let root = record["root"].as_str().unwrap();
    assert_eq!(record["items"], 101 + 3 + 1, "{record}");
    net.run(&["put", "--file", "in.bin", "--resume"]).expect_code(0);
    let get = ["get", "--file", root, "-o", "out.bin", "--json"];
    let record = net.run(&get).expect_code(0).json().remove(0);
    assert_eq!((&record["bytes"], &record["bytes_resumed"]), (&100_000.into(), &0.into()));
    assert!(std::fs::read(net.home.path().join("out.bin")).unwrap() == file);

    // What an earlier run has fetched, one block damaged.
    let mut part = file.clone();
    part[50_000] ^= 1;
    net.home.write("out.bin.part", &part[..90_000]);
    let record = net.run(&get).expect_code(0).json().remove(0);
    let resumed = record["bytes_resumed"].as_u64().unwrap();
    assert!((88_000..90_000).contains(&resumed), "{record}");
    assert!(std::fs::read(net.home.path().join("out.bin")).unwrap() == file);
    assert!(!net.home.path().join("out.bin.part").exists());

    // What is no file is written to and stays what it is; a link leads to what is written.
    let pipe = net.home.path().join("pipe");
    assert!(std::process::Command::new("mkfifo").arg(&pipe).status().unwrap().success());
    let reader = std::thread::spawn({
        let pipe = pipe.clone();
        move || std::fs::read(pipe).unwrap()
    });
    net.run(&["get", "--file", root, "-o", "pipe"]).expect_code(0);
    assert!(reader.join().unwrap() == file && !pipe.symlink_metadata().unwrap().is_file());
    std::os::unix::fs::symlink("out.bin", net.home.path().join("link")).unwrap();
    net.home.write("out.bin", b"old");
    net.run(&["get", "--file", root, "-o", "link"]).expect_code(0);
    assert!(net.home.path().join("link").is_symlink());
    assert!(std::fs::read(net.home.path().join("out.bin")).unwrap() == file);

    let output = net.home.command(&["get", "--file", root, "--lan", "--bootstrap", &net.nodes[0].address]).output();
    assert!(output.unwrap().stdout == file, "without -o it goes to standard output");
    let ended = net.run(&["get", root, "--json"]).expect_code(0);
    assert!(ended.stderr.contains("the root of a file"), "{}", ended.stderr);

    let ended = net.run(&["get", "--file", root, "-o", "x", "--max-size", "5000"]).expect_code(2);
    assert!(ended.stderr.contains("100000 bytes, more than 5000"), "{}", ended.stderr);
    net.run(&["put", "Hello World!"]).expect_code(0);
    let ended = net.run(&["get", "--file", HELLO, "-o", "x"]).expect_code(2);
    assert!(ended.stderr.contains("no part of a file"), "{}", ended.stderr);
}

#[test]
fn a_name_stays_while_its_torrent_changes() {
    let net = Net::new(3);
    net.home.run(&["key", "new", "me.key"]).expect_code(0);
    let publish = |infohash: &str| net.run(&["publish-torrent", infohash, "--key", "me.key", "--salt", "n", "--json"]);
    let (first, second) = ("a".repeat(40), "b".repeat(40));
    let record = publish(&first).expect_code(0).json().remove(0);
    let magnet = record["magnet"].as_str().unwrap();
    assert!(magnet.starts_with("magnet:?xs=urn:btpk:") && magnet.ends_with("&s=6e"), "{magnet}");
    assert_eq!(net.run(&["resolve", magnet]).expect_code(0).stdout, format!("{first}\n"));
    publish(&second).expect_code(0);
    let record = net.run(&["resolve", magnet, "--json"]).expect_code(0).json().remove(0);
    assert_eq!((&record["infohash"], &record["seq"]), (&second.as_str().into(), &2.into()), "{record}");
    let other = format!("magnet:?xs=urn:btpk:{}", "7".repeat(64));
    net.run(&["resolve", &other]).expect_code(1);
    let ended = net.run(&["resolve", "magnet:?xt=urn:btih:x"]).expect_code(2);
    assert!(ended.stderr.contains("no xs=urn:btpk:"), "{}", ended.stderr);
}

/// Starts a command that stays, waits for the first thing that it says, and asks it to stop.
#[cfg(unix)]
fn first_of_what_stays(net: &Net, args: &[&str]) -> serde_json::Value {
    use std::io::{BufRead, BufReader};
    use std::process::{Command, Stdio};
    let flags = ["--keep", "--json", "--lan", "--bootstrap", &net.nodes[0].address];
    let mut command = net.home.command(&[args, &flags].concat());
    let mut child = command.stdout(Stdio::piped()).spawn().unwrap();
    let mut line = String::new();
    BufReader::new(child.stdout.take().unwrap()).read_line(&mut line).unwrap();
    assert!(child.try_wait().unwrap().is_none(), "it stays");
    assert!(Command::new("kill").args(["-TERM", &child.id().to_string()]).status().unwrap().success());
    assert_eq!(child.wait().unwrap().code(), Some(0));
    serde_json::from_str(&line).unwrap_or_else(|error| panic!("{error}: {line}"))
}

#[cfg(unix)]
#[test]
fn what_is_kept_is_stored_at_once_and_kept_until_somebody_stops_it() {
    let net = Net::new(3);
    net.home.run(&["key", "new", "me.key"]).expect_code(0);
    net.home.write("notes.txt", "x".repeat(3000));
    let record = first_of_what_stays(&net, &["put", "Hello World!"]);
    assert_eq!((&record["target"], &record["stored_at"]), (&HELLO.into(), &3.into()), "{record}");
    let record = first_of_what_stays(&net, &["put", "--file", "notes.txt"]);
    assert_eq!(record["items"], 3, "two blocks, as three are alike, and the index: {record}");
    let record = first_of_what_stays(&net, &["publish-torrent", &"a".repeat(40), "--key", "me.key"]);
    assert_eq!((&record["seq"], &record["stored_at"]), (&1.into(), &3.into()), "{record}");
    // What is out of date is not kept.
    let args = ["publish-torrent", &"b".repeat(40), "--key", "me.key", "--seq", "0", "--keep"];
    let ended = net.run(&args).expect_code(1);
    assert!(ended.stderr.contains("seq 0 is out of date: the stored item has seq 1\ncure: "), "{}", ended.stderr);
}

#[test]
fn whoever_resolves_a_name_gives_it_to_nodes_that_lack_it() {
    let mut net = Net::new(2);
    net.home.run(&["key", "new", "me.key"]).expect_code(0);
    let args = ["publish-torrent", &"a".repeat(40), "--key", "me.key", "--json"];
    let record = net.run(&args).expect_code(0).json().remove(0);
    let magnet = record["magnet"].as_str().unwrap().to_owned();
    let mut newcomer = Daemon::start(&net.home, "newcomer", &[&net.nodes[0].address]);
    newcomer.wait_for("ready");
    net.nodes.push(newcomer);
    let renewed =
        |net: &Net| net.run(&["resolve", &magnet, "--json"]).expect_code(0).json().remove(0)["renewed_at"].clone();
    assert_eq!((renewed(&net), renewed(&net)), (1.into(), 0.into()), "once is enough");
}

#[test]
fn anything_with_a_name_has_a_swarm() {
    let net = Net::new(3);
    let key = ["--key", "https://example.org/big.iso", "--json"];
    let ended = net.run(&[&["announce", "--port", "8080"], &key[..]].concat()).expect_code(0);
    assert_eq!(ended.stderr, "", "no torrent, so none that could be private");
    let record = net.run(&[&["find"], &key[..]].concat()).expect_code(0).json().remove(0);
    assert_eq!((&record["peer"], &record["infohash"]), (&"127.0.0.1:8080".into(), &ended.json()[0]["infohash"]));
    let record = net.run(&[&["scrape"], &key[..]].concat()).expect_code(0).json().remove(0);
    assert_eq!(record["peers"], 1, "{record}");
    net.home.run(&["find"]).expect_code(2);
}
