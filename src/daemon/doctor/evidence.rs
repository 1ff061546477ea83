//! What is known of the host, the settings and the network when they are examined. Plain data; `None` is unknown.

use std::net::{IpAddr, Ipv6Addr, SocketAddr};
use std::path::PathBuf;

/// All that is known.
#[derive(Clone, Debug, Default)]
pub struct Evidence {
    /// The process that keeps the data folder, as its lock file names it.
    pub running: Option<String>,
    /// Whether the settings are those of a private network.
    pub private_network: bool,
    /// The data folder.
    pub folder: Folder,
    /// What came of binding to each address of the settings.
    pub sockets: Vec<SocketTrial>,
    /// What came of binding to the gateway's address.
    pub gateway: Option<SocketTrial>,
    /// How this host reaches others.
    pub routes: Routes,
    /// What the system counts.
    pub system: System,
    /// What came of looking up each router's name.
    pub names: Vec<NameTrial>,
    /// Routers that were asked one by one, and those of them from which came the news that UDP is rejected (ICMP).
    pub knocked: (usize, usize),
    /// What came of joining, for each address family that has a route.
    pub trials: Vec<NodeTrial>,
    /// Our own announces, and those of them that were seen when looked at again.
    pub own_announces: Option<(usize, usize)>,
    /// The port of the settings at which a client is announced, and whether a program here listens at it.
    pub announced_port: Option<(u16, bool)>,
    /// What the running node says of itself.
    pub live: Option<Live>,
}

/// What the running node says of itself.
#[derive(Clone, Debug, Default)]
pub struct Live {
    /// Time since it was started, in seconds.
    pub uptime_secs: u64,
    /// The ports that the router has opened, and those that it refuses; `None` where none are to be.
    pub mapping: Option<(usize, usize)>,
    /// Announces whose key nodes crowd around.
    pub keys_under_alarm: usize,
    /// What is kept announced, and those of it that should be visible and are not.
    pub kept: (usize, usize),
    /// Of those, the ones that no node stored.
    pub failing: usize,
    /// Infohashes whose turn to be announced it is, and the time in which that is done, in seconds.
    pub behind: (usize, u64),
}

/// The data folder.
#[derive(Clone, Debug, Default)]
pub struct Folder {
    /// Its path.
    pub path: PathBuf,
    /// Why no file can be written into it.
    pub write_error: Option<String>,
    /// Whether that is for want of room: of bytes, files, or the user's quota.
    pub no_room: bool,
    /// Bytes that are free there.
    pub free_bytes: Option<u64>,
    /// Why the saved state cannot be read.
    pub damaged: Option<String>,
    /// Seconds since the state was saved; negative where that is in the future.
    pub state_age_seconds: Option<i64>,
    /// Files that were set aside.
    pub set_aside: Vec<String>,
}

/// What came of binding to an address.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SocketTrial {
    /// The address of the settings.
    pub addr: SocketAddr,
    /// What came of it.
    pub outcome: BindOutcome,
    /// The program that has it, where that can be seen.
    pub owner: Option<String>,
}

/// What came of binding.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum BindOutcome {
    /// It can be had, or our own node has it.
    Ours,
    /// Another program has it.
    Taken,
    /// This host does not have the address.
    NotHere,
    /// The system does not allow it.
    Refused,
    /// This host knows nothing of the family.
    NoFamily,
}

/// How this host reaches others.
#[derive(Clone, Debug, Default)]
pub struct Routes {
    /// The address that the kernel sends from by IPv4.
    pub v4: Option<IpAddr>,
    /// The same by IPv6.
    pub v6: Option<IpAddr>,
    /// Global IPv6 addresses of this host, and whether each is temporary. Without a route they lead nowhere.
    pub global_v6: Vec<(Ipv6Addr, bool)>,
}

/// What the system counts and allows.
#[derive(Clone, Copy, Debug, Default)]
pub struct System {
    /// Connections in the firewall's table, and its size.
    pub conntrack: Option<(u64, u64)>,
    /// UDP datagrams that were delivered, and those dropped because a buffer was full.
    pub udp: Option<(u64, u64)>,
    /// Most files that this process could open.
    pub files: Option<u64>,
    /// Whether there are signs of a container.
    pub container: bool,
}

/// What came of looking up a name.
#[derive(Clone, Debug)]
pub struct NameTrial {
    /// The name.
    pub name: String,
    /// Whether it is that of a public router, which has no address inside a home.
    pub public: bool,
    /// The addresses; empty where the name has none or the look-up failed.
    pub addrs: Vec<IpAddr>,
    /// Why it failed.
    pub error: Option<String>,
}

/// What is known of a node at one address: of the doctor's own, which joins for some seconds, or of the running one.
#[derive(Clone, Copy, Debug)]
pub struct NodeTrial {
    /// Its address.
    pub local: SocketAddr,
    /// Where others see it.
    pub external: Option<SocketAddr>,
    /// Of those who see it there, how many see that port, and how many there are.
    pub port_votes: (usize, usize),
    /// Nodes that answered and are known now.
    pub good_nodes: usize,
    /// Datagrams that the kernel took.
    pub sent: u64,
    /// Datagrams that the kernel refused.
    pub refused: u64,
    /// Datagrams that came back; of the running node: answers to its own queries.
    pub received: u64,
    /// Whether any address was known to ask.
    pub asked_any: bool,
    /// Of the running node: whether strangers have reached it.
    pub reached: Option<bool>,
    /// Of the running node: whether its id fits the address at which others see it.
    pub id_fits: Option<bool>,
}
