//! The servers under measurement: each a child process, pinned to one core, stopped while another is measured.

use std::io::{self, BufRead as _};
use std::net::{Ipv4Addr, SocketAddrV4, UdpSocket};
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use crate::query::{Reply, Template, read, source_id};

/// A kind of server, by the name that `--servers` takes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// Our batched socket, and nothing behind it.
    Echo,
    /// The same with tokio's `recv_from` and `send_to`.
    TokioEcho,
    /// Our engine behind our socket.
    Node,
    /// The program.
    Trackerless,
    /// The crate `mainline`.
    Mainline,
    /// libtorrent's session, from PyPI.
    Libtorrent,
    /// npm's `bittorrent-dht`.
    BittorrentDht,
}

impl Kind {
    pub const ALL: [Self; 7] = [
        Self::Echo,
        Self::TokioEcho,
        Self::Node,
        Self::Trackerless,
        Self::Mainline,
        Self::Libtorrent,
        Self::BittorrentDht,
    ];

    pub fn name(self) -> &'static str {
        match self {
            Self::Echo => "echo",
            Self::TokioEcho => "tokio-echo",
            Self::Node => "node",
            Self::Trackerless => "trackerless",
            Self::Mainline => "mainline",
            Self::Libtorrent => "libtorrent",
            Self::BittorrentDht => "bittorrent-dht",
        }
    }

    pub fn parse(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|kind| kind.name() == name)
    }

    pub fn is_ours(self) -> bool {
        matches!(self, Self::Node | Self::Trackerless)
    }

    pub fn is_echo(self) -> bool {
        matches!(self, Self::Echo | Self::TokioEcho)
    }
}

/// Where everything that a run makes goes, and which cores it uses.
pub struct Place {
    pub directory: PathBuf,
    pub server_cores: Vec<usize>,
    /// The fake network that servers join, to have contacts to hand out.
    pub bootstrap: SocketAddrV4,
}

/// A running server.
pub struct Server {
    pub kind: Kind,
    pub addr: SocketAddrV4,
    pub start_to_first_reply: Duration,
    child: Child,
}

impl Server {
    /// Starts a server and waits for its first reply.
    pub fn start(kind: Kind, place: &Place) -> io::Result<Self> {
        Self::start_on(kind, &[free_port(Ipv4Addr::LOCALHOST)?], place)
    }

    /// The same on several addresses, which only our program can.
    pub fn start_on(kind: Kind, addrs: &[SocketAddrV4], place: &Place) -> io::Result<Self> {
        let mut command = command(kind, addrs, place)?;
        let log = std::fs::File::create(place.directory.join(format!("{}.log", kind.name())))?;
        command.stdin(Stdio::null()).stdout(log.try_clone()?).stderr(log);
        let cores = place.server_cores.clone();
        // SAFETY: `sched_setaffinity` is a plain system call and so allowed between fork and exec.
        unsafe { command.pre_exec(move || pin(&cores)) };
        let started = Instant::now();
        let child = command.spawn()?;
        let mut server = Self { kind, addr: addrs[0], start_to_first_reply: Duration::ZERO, child };
        server.await_reply()?;
        server.start_to_first_reply = started.elapsed();
        Ok(server)
    }

    fn await_reply(&mut self) -> io::Result<()> {
        let socket = UdpSocket::bind((Ipv4Addr::new(127, 9, 9, 9), 0))?;
        socket.set_read_timeout(Some(Duration::from_millis(2)))?;
        let template = Template::ping();
        let mut ping = vec![0; template.len()];
        template.write(&mut ping, *b"ping", &source_id(0), None, &[]);
        let deadline = Instant::now() + Duration::from_secs(30);
        let mut buffer = [0; 2048];
        while Instant::now() < deadline {
            if let Some(status) = self.child.try_wait()? {
                return Err(io::Error::other(format!("{} ended: {status}; see its log", self.kind.name())));
            }
            socket.send_to(&ping, self.addr)?;
            if let Ok(len) = socket.recv(&mut buffer)
                && (self.kind.is_echo() || matches!(read(&buffer[..len]), Some(Reply { .. })))
            {
                return Ok(());
            }
        }
        Err(io::Error::other(format!("{} never answered; see its log", self.kind.name())))
    }

    /// User and system time of the whole process so far, to the nanosecond: what the scheduler accounts.
    pub fn cpu_time(&self) -> io::Result<Duration> {
        let mut nanos = 0;
        for task in std::fs::read_dir(format!("/proc/{}/task", self.child.id()))? {
            let text = std::fs::read_to_string(task?.path().join("schedstat"))?;
            nanos += text.split(' ').next().and_then(|text| text.parse::<u64>().ok()).unwrap_or(0);
        }
        Ok(Duration::from_nanos(nanos))
    }

    /// Resident memory in bytes.
    pub fn resident_bytes(&self) -> io::Result<u64> {
        let text = std::fs::read(format!("/proc/{}/status", self.child.id()))?;
        let kib = text
            .lines()
            .map_while(Result::ok)
            .find_map(|line| line.strip_prefix("VmRSS:")?.trim().strip_suffix(" kB")?.trim().parse::<u64>().ok());
        kib.map(|kib| kib * 1024).ok_or_else(|| io::Error::other("no VmRSS"))
    }

    /// Lets the process run.
    pub fn resume(&self) {
        self.signal(libc::SIGCONT);
    }

    /// Takes the process off the core, so that another has it alone.
    pub fn pause(&self) {
        self.signal(libc::SIGSTOP);
    }

    fn signal(&self, signal: i32) {
        // SAFETY: a plain system call; the child has not been waited for, so its number is still its own.
        unsafe { libc::kill(self.child.id() as i32, signal) };
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.resume();
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Pins the calling thread, and what it starts, to some cores.
pub fn pin(cores: &[usize]) -> io::Result<()> {
    // SAFETY: all bits zero is an empty set, and the set outlives the call.
    let outcome = unsafe {
        let mut set: libc::cpu_set_t = std::mem::zeroed();
        cores.iter().for_each(|&core| libc::CPU_SET(core, &mut set));
        libc::sched_setaffinity(0, size_of::<libc::cpu_set_t>(), &raw const set)
    };
    if outcome == 0 { Ok(()) } else { Err(io::Error::last_os_error()) }
}

/// A port of `host` that nobody has.
pub fn free_port(host: Ipv4Addr) -> io::Result<SocketAddrV4> {
    let socket = UdpSocket::bind((host, 0))?;
    Ok(SocketAddrV4::new(host, socket.local_addr()?.port()))
}

fn command(kind: Kind, addrs: &[SocketAddrV4], place: &Place) -> io::Result<Command> {
    let addr = addrs[0];
    let scripts = Path::new(env!("CARGO_MANIFEST_DIR")).join("benches/servers");
    let bootstrap = place.bootstrap.to_string();
    let mut command = match kind {
        Kind::Echo | Kind::TokioEcho | Kind::Node => {
            let mut command = Command::new(std::env::current_exe()?);
            command.args(["--serve", kind.name(), "--bind"]).arg(addr.to_string());
            command.args(["--bootstrap", &bootstrap]);
            return Ok(command);
        }
        Kind::Trackerless => {
            let mut command = Command::new(env!("CARGO_BIN_EXE_trackerless"));
            let data = place.directory.join("trackerless");
            let _ = std::fs::remove_dir_all(&data);
            command.args(["run", "--lan", "--no-limits", "--data-dir"]).arg(data);
            command.args(addrs.iter().map(|addr| format!("--bind={addr}"))).args(["--bootstrap", &bootstrap]);
            return Ok(command);
        }
        Kind::Mainline => Command::new(crate::prepare::rivals()?),
        Kind::Libtorrent => {
            let mut command = Command::new(crate::prepare::python()?);
            command.arg(scripts.join("libtorrent_node.py"));
            command
        }
        Kind::BittorrentDht => {
            let mut command = Command::new("node");
            command.arg(crate::prepare::node_script(&scripts)?);
            command
        }
    };
    command.arg(addr.to_string()).arg(bootstrap);
    Ok(command)
}
