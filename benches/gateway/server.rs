//! The servers under measurement: each a child process, pinned to one core.

use std::fs;
use std::io::{self, BufRead as _};
use std::net::{Ipv4Addr, SocketAddrV4, UdpSocket};
use std::os::unix::process::CommandExt as _;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use crate::load::PEERS;

/// Clients of each torrent that announce to a gateway which has its peers from the DHT.
const CLIENTS: u32 = 4;

/// A kind of server.
#[derive(Clone, Debug)]
pub enum Kind {
    /// The gateway; most peers come from the DHT.
    Found,
    /// The gateway; all peers announced to it.
    Local,
    /// `aquatic_udp`.
    Aquatic(PathBuf),
}

impl Kind {
    /// How many peers of each torrent announce to it.
    pub fn clients_here(&self) -> u32 {
        if matches!(self, Self::Found) { CLIENTS } else { PEERS }
    }
}

/// A running server.
pub struct Server {
    pub kind: Kind,
    pub addr: SocketAddrV4,
    child: Child,
}

impl Server {
    pub fn start(kind: Kind) -> io::Result<Self> {
        let port = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0))?.local_addr()?.port();
        let addr = SocketAddrV4::new(Ipv4Addr::LOCALHOST, port);
        let mut command = match &kind {
            Kind::Aquatic(program) => {
                let config = std::env::temp_dir().join(format!("aquatic-{port}.toml"));
                fs::write(&config, aquatic_config(addr))?;
                let mut command = Command::new(program);
                command.arg("-c").arg(config);
                command
            }
            Kind::Found | Kind::Local => {
                let found = PEERS - kind.clients_here();
                let mut command = Command::new(std::env::current_exe()?);
                command.args(["--serve", &addr.to_string(), "--found", &found.to_string()]);
                command
            }
        };
        // SAFETY: `sched_setaffinity` is a plain system call and so allowed between fork and exec.
        unsafe { command.pre_exec(|| pin(0)) };
        let child = command.stdin(Stdio::null()).spawn()?;
        std::thread::sleep(Duration::from_millis(500));
        Ok(Self { kind, addr, child })
    }

    /// User and system time of the whole process so far: what the scheduler accounts.
    pub fn cpu_time(&self) -> io::Result<Duration> {
        let mut nanos = 0;
        for task in fs::read_dir(format!("/proc/{}/task", self.child.id()))? {
            let text = fs::read_to_string(task?.path().join("schedstat"))?;
            nanos += text.split(' ').next().and_then(|text| text.parse::<u64>().ok()).unwrap_or(0);
        }
        Ok(Duration::from_nanos(nanos))
    }

    pub fn resident_bytes(&self) -> io::Result<u64> {
        let text = fs::read(format!("/proc/{}/status", self.child.id()))?;
        let mut lines = text.lines().map_while(Result::ok);
        let kib =
            lines.find_map(|line| line.strip_prefix("VmRSS:")?.trim().strip_suffix(" kB")?.trim().parse::<u64>().ok());
        kib.map(|kib| kib * 1024).ok_or_else(|| io::Error::other("no VmRSS"))
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// As many peers in an answer as ours; everything else as it comes.
fn aquatic_config(addr: SocketAddrV4) -> String {
    format!(
        "socket_workers = 1\n[network]\naddress = \"{addr}\"\n[protocol]\nmax_response_peers = {PEERS}\n\
         [statistics]\ninterval = 0\n"
    )
}

/// Pins the calling thread, and what it starts, to one core.
pub fn pin(core: usize) -> io::Result<()> {
    // SAFETY: all bits zero is an empty set, and the set outlives the call.
    let outcome = unsafe {
        let mut set: libc::cpu_set_t = std::mem::zeroed();
        libc::CPU_SET(core, &mut set);
        libc::sched_setaffinity(0, size_of::<libc::cpu_set_t>(), &raw const set)
    };
    if outcome == 0 { Ok(()) } else { Err(io::Error::last_os_error()) }
}
