//! Power that fails: at each moment of a save, whatever of it had reached the disk.
//!
//! The system calls of the program are recorded (strace) and played on a model of a disk, which keeps what was synchronised and
//! may or may not keep the rest: contents of files and entries of the folder apart, as file systems do. After each call the
//! folder is laid out as it may be found then, and has to hold the state of before or after.
#![cfg(target_os = "linux")]

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::process::Command;

use trackerless::net::persist::{Found, look};

use super::daemon::Daemon;
use super::faults::Client;
use super::harness::Home;

/// Peers that are stored at the first save, and at the last.
const BEFORE: u16 = 20;
const AFTER: u16 = 50;

/// What strace is to record: everything that changes files, and where in them.
const CALLS: &str = "openat,write,pwrite64,writev,lseek,ftruncate,fsync,fdatasync,rename,renameat,renameat2,unlink,unlinkat,link,linkat";

/// The contents of one file: on the disk for certain, and as the program sees them.
#[derive(Clone, Default)]
struct Contents {
    kept: Vec<u8>,
    seen: Vec<u8>,
}

/// A folder on a disk. Files are numbers, so that a name can be given to another one.
#[derive(Clone, Default)]
struct Disk {
    files: Vec<Contents>,
    /// Names that are on the disk for certain, and as the program sees them.
    kept: BTreeMap<String, usize>,
    seen: BTreeMap<String, usize>,
    /// Where each descriptor stands.
    positions: BTreeMap<String, usize>,
}

/// What power leaves of all that was not synchronised.
#[derive(Clone, Copy, Debug)]
enum Leaves {
    Nothing,
    Names,
    Contents,
    Everything,
}

impl Disk {
    fn of(folder: &Path) -> Self {
        let mut disk = Self::default();
        for entry in std::fs::read_dir(folder).unwrap().map(Result::unwrap) {
            let bytes = std::fs::read(entry.path()).unwrap_or_default();
            disk.kept.insert(entry.file_name().into_string().unwrap(), disk.files.len());
            disk.files.push(Contents { kept: bytes.clone(), seen: bytes });
        }
        disk.seen = disk.kept.clone();
        disk
    }

    /// The folder as it is found when the power is back.
    fn after(&self, leaves: Leaves) -> BTreeMap<&str, &[u8]> {
        let names = if matches!(leaves, Leaves::Names | Leaves::Everything) { &self.seen } else { &self.kept };
        let contents = |&file: &usize| match leaves {
            Leaves::Contents | Leaves::Everything => &self.files[file].seen[..],
            Leaves::Nothing | Leaves::Names => &self.files[file].kept[..],
        };
        names.iter().map(|(name, file)| (&**name, contents(file))).collect()
    }

    /// Plays a call; whether it changed anything. Paths are those of `folder`, and others are left alone.
    fn play(&mut self, call: &Call, folder: &str) -> bool {
        let inside = |path: &String| path.strip_prefix(folder)?.strip_prefix('/').map(str::to_owned);
        let named = |index: usize| call.texts.get(index).and_then(inside);
        let file = call.file.as_ref().and_then(inside).and_then(|name| self.seen.get(&name).copied());
        match (&*call.name, file) {
            ("openat", _) => {
                let Some(name) = call.result_path.as_ref().and_then(inside) else { return false };
                self.positions.insert(call.result.to_string(), 0);
                let fresh = call.flags.contains("O_CREAT") && !self.seen.contains_key(&name);
                if fresh {
                    self.seen.insert(name.clone(), self.files.len());
                    self.files.push(Contents::default());
                } else if call.flags.contains("O_TRUNC") {
                    self.files[self.seen[&name]].seen.clear();
                }
                fresh || call.flags.contains("O_TRUNC")
            }
            ("write" | "writev" | "pwrite64", Some(file)) => {
                let bytes: Vec<u8> = call.data.iter().flatten().copied().collect();
                let position = self.positions.entry(call.descriptor.clone()).or_default();
                let at = if call.name == "pwrite64" { call.last_number } else { *position };
                let seen = &mut self.files[file].seen;
                seen.resize(seen.len().max(at + bytes.len()), 0);
                seen[at..at + bytes.len()].copy_from_slice(&bytes);
                *position = if call.name == "pwrite64" { *position } else { at + bytes.len() };
                true
            }
            ("lseek", Some(_)) => {
                self.positions.insert(call.descriptor.clone(), call.result as usize);
                false
            }
            ("ftruncate", Some(file)) => {
                self.files[file].seen.resize(call.last_number, 0);
                true
            }
            ("fsync" | "fdatasync", Some(file)) => {
                self.files[file].kept = self.files[file].seen.clone();
                true
            }
            ("fsync" | "fdatasync", None) if call.file.as_deref() == Some(folder) => {
                self.kept = self.seen.clone();
                true
            }
            ("rename" | "renameat" | "renameat2", _) => {
                let (Some(from), Some(to)) = (named(0), named(1)) else { return false };
                // A socket is no file.
                let Some(moved) = self.seen.remove(&from) else { return false };
                self.seen.insert(to, moved);
                true
            }
            ("unlink" | "unlinkat", _) => named(0).is_some_and(|name| self.seen.remove(&name).is_some()),
            ("link" | "linkat", _) => panic!("a link, which the model does not know"),
            _ => false,
        }
    }
}

/// A call as strace writes it, with `-y` (the paths of descriptors) and `-xx` (all text as hexadecimal digits).
#[derive(Debug, Default)]
struct Call {
    name: String,
    descriptor: String,
    file: Option<String>,
    /// Arguments that are text: paths.
    texts: Vec<String>,
    data: Vec<Vec<u8>>,
    flags: String,
    last_number: usize,
    result: i64,
    result_path: Option<String>,
}

/// `\x61\x62` and text between.
fn bytes_of(text: &str) -> Vec<u8> {
    let mut parts = text.split("\\x");
    let first = parts.next().unwrap_or_default().as_bytes().to_vec();
    parts.fold(first, |mut bytes, part| {
        let (digits, rest) = part.split_at(2);
        bytes.push(u8::from_str_radix(digits, 16).expect("two digits"));
        bytes.extend_from_slice(rest.as_bytes());
        bytes
    })
}

fn text_of(text: &str) -> String {
    String::from_utf8(bytes_of(text)).expect("a path is text")
}

/// `7</path>` is a descriptor and its path.
fn descriptor_of(text: &str) -> Option<(String, String)> {
    let (number, path) = text.trim().split_once('<')?;
    Some((number.to_owned(), text_of(path.split_once('>')?.0)))
}

impl Call {
    /// A call that came to its end, and well.
    fn parse(line: &str, cwd: &str) -> Option<Self> {
        let (name, rest) = line.split_once('(')?;
        let (arguments, result) = rest.rsplit_once(" = ")?;
        let result_number: i64 = result.split(['<', ' ']).next()?.parse().ok().filter(|result| *result >= 0)?;
        let mut call = Self { name: name.trim().to_owned(), result: result_number, ..Self::default() };
        call.result_path = descriptor_of(result).map(|(_, path)| path);
        if let Some((descriptor, path)) = descriptor_of(arguments.split(',').next()?) {
            (call.descriptor, call.file) = (descriptor, Some(path));
        }
        for quoted in arguments.split('"').skip(1).step_by(2) {
            call.data.push(bytes_of(quoted));
            let text = String::from_utf8_lossy(&bytes_of(quoted)).into_owned();
            call.texts.push(if text.starts_with('/') { text } else { format!("{cwd}/{text}") });
        }
        let last = arguments.trim_end_matches(')').rsplit(", ").next().unwrap_or_default();
        call.last_number = last.parse().unwrap_or_default();
        call.flags = arguments.to_owned();
        Some(call)
    }
}

/// The calls of a recording, in the order in which they ended.
fn calls(recording: &str, cwd: &str) -> Vec<Call> {
    let mut unfinished: BTreeMap<&str, &str> = BTreeMap::new();
    let mut calls = Vec::new();
    for line in recording.lines() {
        let (process, rest) = line.split_once(' ').expect("each line begins with a process");
        let rest = rest.trim_start();
        if let Some(begun) = rest.strip_suffix("<unfinished ...>") {
            unfinished.insert(process, begun);
        } else if let Some(resumed) = rest.strip_prefix("<... ") {
            let end = resumed.split_once("resumed>").expect("a call that goes on").1;
            let whole = format!("{}{end}", unfinished.remove(process).expect("it was begun"));
            calls.extend(Call::parse(&whole, cwd));
        } else {
            calls.extend(Call::parse(rest, cwd));
        }
    }
    calls
}

/// The end of the recording is written by strace after the program has ended.
fn recording(path: &Path, process: u32) -> String {
    let process = process.to_string();
    let is_last = |line: &str| line.split_whitespace().next() == Some(&process) && line.contains("+++ exited with");
    for _ in 0..1_000_000 {
        let text = std::fs::read_to_string(path).unwrap_or_default();
        if text.lines().any(is_last) {
            return text;
        }
        std::thread::yield_now();
    }
    panic!("strace has not written down how the program ended")
}

/// The program under strace, which is no parent of it; none where there is no strace, which it says.
fn recorded(home: &Home, trace: &Path) -> Option<Command> {
    let works = Command::new("strace").args(["-o", "/dev/null", "true"]).output().is_ok_and(|run| run.status.success());
    if !works {
        assert!(std::env::var_os("CI").is_none(), "CI needs strace, and the right to trace");
        println!("skipped: no strace here");
        return None;
    }
    let run =
        home.command(&["run", "--json", "--lan", "--gateway", "off", "--data-dir", "data", "--bind", "127.0.0.1:0"]);
    let mut command = Command::new("strace");
    command.args(["-D", "-f", "-y", "-xx", "-s", "10000000", "-e", &format!("trace={CALLS}"), "-o"]).arg(trace);
    command.arg(run.get_program()).args(run.get_args()).current_dir(home.path()).env("HOME", home.path());
    Some(command)
}

#[test]
fn power_that_fails_at_any_moment_of_a_save_leaves_the_state_of_before_or_after() {
    let home = Home::new();
    let (trace, data, found) = (home.path().join("trace"), home.path().join("data"), home.path().join("found"));
    let Some(command) = recorded(&home, &trace) else { return };
    let mut first = Daemon::start(&home, "data", &[]);
    first.wait_for("ready");
    Client::new().announce_peers(&first.address, BEFORE);
    let id = first.id.clone();
    assert_eq!(first.stop("TERM").0, Some(0));
    let mut disk = Disk::of(&data);
    let node = Daemon::spawn(command);
    let (process, address) = (node.pid(), node.address.clone());
    Client::new().announce_peers(&address, AFTER);
    assert_eq!(node.stop("TERM").0, Some(0));
    let (folder, cwd) = (data.to_str().unwrap(), home.path().to_str().unwrap());
    let (mut seen, mut tried, mut played) = (BTreeSet::new(), BTreeSet::new(), 0);
    for call in calls(&recording(&trace, process), cwd) {
        if !disk.play(&call, folder) {
            continue;
        }
        played += 1;
        for leaves in [Leaves::Nothing, Leaves::Names, Leaves::Contents, Leaves::Everything] {
            let after = disk.after(leaves);
            let state = after.get("state.bencode").copied().unwrap_or_default();
            if !tried.insert(state.to_vec()) {
                continue;
            }
            let _ = std::fs::remove_dir_all(&found);
            std::fs::create_dir(&found).unwrap();
            after.iter().for_each(|(name, bytes)| std::fs::write(found.join(name), bytes).unwrap());
            let told = format!("after {} of {:?}, of which {leaves:?} is left", call.name, call.file);
            let Ok(Found::State(state)) = look(&found) else { panic!("no state {told}") };
            let saved = &state.nodes[0].snapshot;
            assert_eq!(saved.id.map(|id| id.to_string()), Some(id.clone()), "{told}");
            seen.insert(saved.peers.len());
        }
    }
    assert!(played > 10, "{played} calls");
    // It may have saved in the middle of the announces, too: when it had joined.
    let (least, most) = (seen.first().copied(), seen.last().copied());
    assert_eq!((least, most), (Some(BEFORE.into()), Some(AFTER.into())), "{seen:?}");
}
