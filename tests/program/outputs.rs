//! Outputs that cannot be written: a full disk, a pipe without a reader, a stalled reader, a closed terminal, closed
//! descriptors. A program that stays goes on; a command whose result is lost says so, and does not end with 0.
#![cfg(target_os = "linux")]

use std::fs::{File, OpenOptions};
use std::io::{BufRead as _, BufReader, Read, Write};
use std::net::UdpSocket;
use std::os::fd::OwnedFd;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use rustix::pty;

use super::daemon::Daemon;
use super::harness::Home;

/// Time that one ping may take; a node that is starting needs many of them.
const PING_PATIENCE: Duration = Duration::from_millis(50);
/// Most pings that stay without an answer: together a minute.
const MOST_UNANSWERED: usize = 1200;
/// Most commands that look in vain for what another has stored.
const MOST_LOOKS: usize = 100;

/// Each answered ping is several lines at level trace: together more than a pipe of 64 KiB holds.
const PINGS: usize = 600;

/// The target of the item `kept`: the SHA-1 of `4:kept`.
const ITEM: &str = "5a23b531c257032bcd74b1293474a22b3151a9f2";

/// What is wrong with standard output and standard error of a program.
enum Broken {
    /// A full disk, from the start.
    Full,
    /// A pipe whose reader has gone before the start.
    NoReader,
    /// A pipe whose reader goes while the program runs.
    ReaderGoes,
    /// A pipe from which nothing is read.
    Stalled,
    /// Descriptors 0, 1 and 2 are closed.
    Closed,
    /// A terminal that is closed while the program runs.
    TerminalCloses,
    /// A file that may not grow (`ulimit -f`).
    FileTooLarge,
}

const ALL: [Broken; 7] = [
    Broken::Full,
    Broken::NoReader,
    Broken::ReaderGoes,
    Broken::Stalled,
    Broken::Closed,
    Broken::TerminalCloses,
    Broken::FileTooLarge,
];

/// The other end of an output, as far as there is one.
type OtherEnd = Option<OwnedFd>;

fn full() -> File {
    OpenOptions::new().write(true).open("/dev/full").unwrap()
}

fn pipe() -> (OwnedFd, OwnedFd) {
    let (reader, writer) = std::io::pipe().unwrap();
    (reader.into(), writer.into())
}

fn terminal() -> (OwnedFd, OwnedFd) {
    let ours = pty::openpt(pty::OpenptFlags::RDWR | pty::OpenptFlags::NOCTTY).unwrap();
    pty::grantpt(&ours).unwrap();
    pty::unlockpt(&ours).unwrap();
    let name = pty::ptsname(&ours, Vec::new()).unwrap().into_string().unwrap();
    (ours, OpenOptions::new().read(true).write(true).open(name).unwrap().into())
}

/// `command`, run by a shell that does `first` before.
fn behind_shell(command: &Command, first: &str) -> Command {
    let mut shell = Command::new("sh");
    shell.args(["-c", &format!("{first}; exec \"$@\""), "sh"]).arg(command.get_program()).args(command.get_args());
    shell.current_dir(command.get_current_dir().unwrap());
    shell.envs(command.get_envs().filter_map(|(name, value)| Some((name, value?))));
    shell
}

impl Broken {
    /// Starts `command` with such outputs; gives what keeps the other end open until it is to break.
    fn start(&self, home: &Home, mut command: Command) -> (Child, OtherEnd) {
        let both = |command: &mut Command, end: OwnedFd| {
            command.stderr(end.try_clone().unwrap()).stdout(end);
        };
        let other = match self {
            Self::Full => {
                both(&mut command, full().into());
                None
            }
            Self::NoReader | Self::ReaderGoes | Self::Stalled => {
                let (reader, writer) = pipe();
                both(&mut command, writer);
                (!matches!(self, Self::NoReader)).then_some(reader)
            }
            Self::Closed => {
                command = behind_shell(&command, "exec <&- >&- 2>&-");
                None
            }
            Self::TerminalCloses => {
                let (ours, theirs) = terminal();
                command = behind_shell(&command, "exec setsid --ctty \"$@\"");
                command.stdin(theirs.try_clone().unwrap());
                both(&mut command, theirs);
                Some(ours)
            }
            Self::FileTooLarge => {
                let path = home.write("log", vec![b'.'; 512 << 10]);
                both(&mut command, OpenOptions::new().append(true).open(path).unwrap().into());
                command = {
                    let mut limited = behind_shell(&command, "ulimit -f 1024 || exit 9");
                    both(&mut limited, OpenOptions::new().append(true).open(home.path().join("log")).unwrap().into());
                    limited
                };
                None
            }
        };
        (command.spawn().expect("the program starts"), other)
    }
}

/// A port that was free a moment ago.
fn free_address() -> String {
    UdpSocket::bind("127.0.0.1:0").unwrap().local_addr().unwrap().to_string()
}

/// Pings the node until it has answered `count` times.
fn ping(address: &str, count: usize, child: &mut Child) {
    let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
    socket.set_read_timeout(Some(PING_PATIENCE)).unwrap();
    let (mut tries, mut answers, mut buffer) = (0, 0, [0; 1500]);
    while answers < count {
        tries += 1;
        assert!(tries < count + MOST_UNANSWERED, "{answers} answers to {tries} pings");
        let ended = child.try_wait().unwrap();
        assert!(ended.is_none(), "the node has ended: {ended:?} after {answers} answers");
        socket.send_to(b"d1:ad2:id20:abcdefghij0123456789e1:q4:ping1:t2:aa1:y1:qe", address).unwrap();
        answers += usize::from(socket.recv(&mut buffer).is_ok());
    }
}

fn signal(child: &Child, name: &str) {
    assert!(Command::new("kill").args([&format!("-{name}"), &child.id().to_string()]).status().unwrap().success());
}

fn terminate(child: &mut Child) -> Option<i32> {
    signal(child, "TERM");
    child.wait().unwrap().code()
}

#[test]
fn no_output_that_breaks_ends_or_deafens_the_node() {
    for broken in ALL {
        for level in ["error", "info", "trace"] {
            let home = Home::new();
            let address = free_address();
            let run = ["run", "--lan", "--gateway", "off", "--data-dir", "data", "--bind", &address, "--log", level];
            let (mut child, mut other) = broken.start(&home, home.command(&run));
            ping(&address, 1, &mut child);
            if matches!(broken, Broken::ReaderGoes | Broken::TerminalCloses) {
                drop(other.take());
            }
            ping(&address, PINGS, &mut child);
            assert_eq!(terminate(&mut child), Some(0), "level {level}");
            drop(other);
            let status = home.run(&["status", "--json", "--data-dir", "data"]).expect_code(0).json();
            assert_eq!(status[0]["addresses"][0]["address"], address.as_str());
        }
    }
}

/// `head` closes the pipe; the announce, the item and the torrent are wanted all the same.
#[test]
fn what_is_kept_goes_on_without_a_reader() {
    let home = Home::new();
    let nodes = Daemon::network(&home, 3);
    let router = nodes[0].address.as_str();
    let infohash = "b".repeat(40);
    let announce = ["announce", &infohash, "--port", "7", "--keep"];
    for kept in [&announce[..], &["put", "kept", "--keep"]] {
        let mut command = home.command(kept);
        command.args(["--lan", "--bootstrap", router, "--data-dir", "none"]);
        let (mut child, _) = Broken::NoReader.start(&home, command);
        let join = ["--lan", "--bootstrap", router];
        let look = if kept[0] == "announce" { ["find", &infohash] } else { ["get", ITEM] };
        let stored = || home.run(&[&look[..], &join].concat()).code == 0;
        assert!((0..MOST_LOOKS).any(|_| stored()), "{kept:?} stored nothing");
        assert_eq!(child.try_wait().unwrap(), None, "{kept:?} has ended");
        assert_eq!(terminate(&mut child), Some(0), "{kept:?}");
    }
}

/// A pipe that takes nothing any more, and its reader.
fn stalled() -> (OwnedFd, OwnedFd) {
    let (reader, writer) = pipe();
    rustix::io::ioctl_fionbio(&writer, true).unwrap();
    let mut file = File::from(writer.try_clone().unwrap());
    while file.write(&[b'.'; 4096]).is_ok() {}
    while file.write(b".").is_ok() {}
    rustix::io::ioctl_fionbio(&writer, false).unwrap();
    (reader, writer)
}

/// Already before the first word: a warning about the settings must not keep the node from its start.
#[test]
fn a_reader_that_takes_nothing_holds_up_neither_the_start_nor_what_is_kept_nor_the_end() {
    let home = Home::new();
    let address = free_address();
    let (_reader, writer) = stalled();
    let run = ["run", "--lan", "--gateway", "off", "--control", "off", "--data-dir", "data", "--bind", &address];
    let mut command = home.command(&run);
    command.env("TRACKERLESS_BINDD", "1").stdout(Stdio::null()).stderr(writer.try_clone().unwrap());
    let mut child = command.spawn().unwrap();
    ping(&address, 1, &mut child);

    let infohash = "d".repeat(40);
    let join = ["--lan", "--bootstrap", &address, "--data-dir", "none"];
    let announce = ["announce", &infohash, "--port", "7", "--keep", "--log", "debug"];
    let mut command = home.command(&[&announce[..], &join].concat());
    let mut kept = command.stdout(Stdio::null()).stderr(writer.try_clone().unwrap()).spawn().unwrap();
    let find = ["find", &infohash, "--lan", "--bootstrap", &address];
    assert!((0..MOST_LOOKS).any(|_| home.run(&find).code == 0), "nothing was announced");
    assert_eq!((terminate(&mut kept), terminate(&mut child)), (Some(0), Some(0)));

    // A failure is told as far as it can be, and is the end.
    home.write("file", b"");
    let mut command = home.command(&["run", "--lan", "--bind", "127.0.0.1:0", "--data-dir", "file"]);
    let mut failed = command.stdout(Stdio::null()).stderr(writer).spawn().unwrap();
    assert_eq!(failed.wait().unwrap().code(), Some(2));
}

/// Already while it reads its configuration, which comes through a pipe here so that it waits.
#[test]
fn a_terminal_that_is_closed_in_the_first_moment_does_not_end_the_node() {
    let home = Home::new();
    let config = home.path().join("config.toml");
    assert!(Command::new("mkfifo").arg(&config).status().unwrap().success());
    let run = [
        "run",
        "--json",
        "--lan",
        "--gateway",
        "off",
        "--control",
        "off",
        "--data-dir",
        "data",
        "--bind",
        "127.0.0.1:0",
    ];
    let mut command = home.command(&run);
    command.arg("--config").arg(&config).stdout(Stdio::piped()).stderr(Stdio::null());
    let mut child = command.spawn().unwrap();
    let mut pipe = OpenOptions::new().write(true).open(&config).unwrap();
    signal(&child, "HUP");
    pipe.write_all(b"announce_port = 5\n").unwrap();
    drop(pipe);
    let mut first = String::new();
    BufReader::new(child.stdout.take().unwrap()).read_line(&mut first).unwrap();
    assert!(first.contains("\"started\""), "{first:?}");
    assert_eq!(terminate(&mut child), Some(0));
}

/// Every command that prints a result, on a network of three nodes.
fn one_shots(router: &str) -> Vec<Vec<String>> {
    let infohash = "c".repeat(40);
    let join = ["--lan", "--bootstrap", router, "--data-dir", "node-2"];
    let joining: [&[&str]; 7] = [
        &["announce", &infohash, "--port", "9"],
        &["find", &infohash],
        &["scrape", &infohash],
        &["sample", router],
        &["put", "Hello World!"],
        &["get", "e5f96f6f38320f0f33959cb4d3d656452117aadb"],
        &["ping", router],
    ];
    let alone: [&[&str]; 11] = [
        &["--help"],
        &["--version"],
        &["run", "--help"],
        &["config"],
        &["config", "--json"],
        &["completions", "bash"],
        &["status", "--data-dir", "node-2"],
        &["nodes", "--data-dir", "node-2"],
        &["key", "new", "me.key"],
        &["key", "show", "me.key"],
        &["conform", router, "--only", "krpc", "--pace", "0"],
    ];
    let owned = |args: &[&str]| args.iter().map(ToString::to_string).collect::<Vec<_>>();
    let alone = alone.map(owned);
    joining.map(|args| owned(&[args, &join[..]].concat())).into_iter().chain(alone).collect()
}

#[test]
fn a_result_that_cannot_be_written_is_an_error() {
    let home = Home::new();
    let mut nodes = Daemon::network(&home, 3);
    nodes.pop().unwrap().stop("TERM"); // so that its folder knows nodes
    for args in one_shots(&nodes[0].address) {
        let mut command = home.command(&args.iter().map(String::as_str).collect::<Vec<_>>());
        let output = command.stdout(full()).output().unwrap();
        let said = String::from_utf8(output.stderr).unwrap();
        assert_eq!(output.status.code(), Some(2), "{args:?}: {said}");
        assert!(said.contains("error: standard output: No space left on device"), "{args:?}: {said}");
        assert!(said.contains("\ncure: "), "{args:?}: {said}");
    }
}

#[test]
fn a_result_that_cannot_be_written_is_an_error_also_where_it_cannot_be_told() {
    let home = Home::new();
    for args in [&["config"][..], &["--help"], &["config", "--json"], &["completions", "fish"]] {
        assert_eq!(home.command(args).stdout(full()).stderr(full()).status().unwrap().code(), Some(2), "{args:?}");
    }
}

#[test]
fn a_command_whose_reader_leaves_ends_quietly() {
    let home = Home::new();
    let mut nodes = Daemon::network(&home, 3);
    nodes.pop().unwrap().stop("TERM"); // so that its folder knows nodes
    for args in one_shots(&nodes[0].address) {
        let mut command = home.command(&args.iter().map(String::as_str).collect::<Vec<_>>());
        let (reader, writer) = pipe();
        drop(reader);
        let output = command.stdout(writer).output().unwrap();
        let said = String::from_utf8(output.stderr).unwrap();
        let fine = said.lines().all(|line| line.starts_with("note: ") || !line.contains("standard output"));
        assert!(output.status.code() == Some(0) && fine, "{args:?}: {:?} {said}", output.status);
    }
}

#[test]
fn notes_that_cannot_be_written_change_nothing() {
    let home = Home::new();
    for (args, code) in [(&["find", "nonsense"][..], 2), (&["status"], 1), (&["config"], 0)] {
        let mut command = home.command(args);
        command.env("TRACKERLESS_NONSENSE", "a warning");
        for stderr in [full().into(), pipe().1, terminal().1] {
            assert_eq!(command.stdout(Stdio::null()).stderr(stderr).status().unwrap().code(), Some(code), "{args:?}");
        }
        let status = behind_shell(&command, "exec <&- >&- 2>&-").status().unwrap();
        assert_eq!(status.code(), Some(code), "{args:?}");
    }
}

/// Some programs leave a pipe that they share with us in non-blocking mode; then a full pipe is an error to a write.
#[test]
fn a_slow_reader_of_a_pipe_in_non_blocking_mode_gets_everything() {
    let home = Home::new();
    let (reader, writer) = pipe();
    rustix::io::ioctl_fionbio(&writer, true).unwrap();
    rustix::pipe::fcntl_setpipe_size(&writer, 4096).unwrap();
    let mut child = home.command(&["completions", "bash"]).stdout(writer).spawn().unwrap();
    let mut script = String::new();
    File::from(reader).read_to_string(&mut script).unwrap();
    assert_eq!(child.wait().unwrap().code(), Some(0));
    assert_eq!(script, home.run(&["completions", "bash"]).stdout);
}

/// What a terminal that is `ours` was sent by a command with its standard output there.
fn shown(ours: OwnedFd) -> String {
    let (mut terminal, mut bytes, mut buffer) = (File::from(ours), Vec::new(), [0; 4096]);
    // The end is an error (EIO): the last program has closed the terminal.
    while let Ok(length @ 1..) = terminal.read(&mut buffer) {
        bytes.extend_from_slice(&buffer[..length]);
    }
    String::from_utf8(bytes).unwrap()
}

/// Sets the title of the terminal, turns the text red, and goes back over the line.
const HOSTILE: &str = "\u{1b}]0;title\u{7}\u{1b}[31mred\u{9b}32mgreen\rover\u{202e}";

#[test]
fn a_terminal_does_not_obey_what_strangers_have_stored() {
    let home = Home::new();
    let nodes = Daemon::network(&home, 3);
    let join = ["--lan", "--bootstrap", nodes[0].address.as_str()];
    let put = home.run_with_input(&[&["put", "-", "--json"], &join[..]].concat(), HOSTILE).expect_code(0).json();
    let target = put[0]["target"].as_str().unwrap();
    for flags in [&[][..], &["--json"]] {
        let (ours, theirs) = terminal();
        let args = [&["get", target], &join[..], flags].concat();
        assert!(home.command(&args).stdout(theirs).status().unwrap().success());
        let shown = shown(ours);
        assert!(shown.contains("red") && shown.contains("green"), "{shown:?}");
        let obeyed = shown.chars().find(|&c| (c.is_control() && c != '\r' && c != '\n') || c == '\u{202e}');
        assert_eq!(obeyed, None, "{shown:?}");
        assert_eq!(shown.matches('\r').count(), 1, "a terminal adds its own to the end of the line: {shown:?}");
    }
    // Programs get the bytes as they are.
    assert_eq!(home.run(&[&["get", target], &join[..]].concat()).stdout, format!("{HOSTILE}\n"));
    assert_eq!(home.run(&[&["get", target, "--json"], &join[..]].concat()).json()[0]["text"], HOSTILE);
}

#[test]
fn no_message_passes_on_control_characters() {
    let home = Home::new();
    let file = home.write("file", "");
    for args in [
        &["find", HOSTILE][..],
        &["find", "magnet:?xt=urn:btih:%1B%5B31m&dn=%1B%5B31m"],
        &["resolve", HOSTILE],
        &["get", HOSTILE],
        &["ping", "\u{1b}[31m:1"],
        &["status", "--data-dir", HOSTILE],
        &["config", "--config", HOSTILE],
        &["config", "--log", HOSTILE],
        &["man", &format!("{file}/{HOSTILE}")],
    ] {
        let ended = home.run(args);
        let said = [ended.stdout, ended.stderr].concat();
        assert_ne!(ended.code, 0, "{args:?}: {said:?}");
        assert!(!said.contains(['\u{1b}', '\u{7}', '\r', '\u{9b}', '\u{202e}']), "{args:?}: {said:?}");
    }
}
