//! What the host says of itself: files of /proc, the file system, trials of binding. Where a file is not there, the answer
//! is unknown.

use std::fs;
use std::io::{self, ErrorKind, Write as _};
use std::net::{IpAddr, SocketAddr, TcpListener, UdpSocket};
use std::path::Path;

use super::evidence::{BindOutcome, Folder, Routes, SocketTrial, System};
use crate::dht::{Found, PersistError};
use crate::engine::contact::Family;
use crate::net::clock::unix_seconds;
use crate::net::listeners::{Row, rows};
use crate::net::place;

/// Name of the file that shows whether the data folder can be written.
const PROBE_FILE: &str = "doctor.probe";
/// What the names of files that were set aside have in common.
const SET_ASIDE: &str = ".damaged-";
/// Processes whose descriptors are looked through for a socket.
const MOST_PROCESSES: usize = 10_000;

/// The data folder at `path`, in which this state was found.
pub(super) fn folder(path: &Path, found: &Result<Found, PersistError>) -> Folder {
    let write_error = write_error(path);
    let is_for_room = |error: &io::Error| matches!(error.kind(), ErrorKind::StorageFull | ErrorKind::QuotaExceeded);
    let no_room = write_error.as_ref().is_some_and(is_for_room);
    let write_error = write_error.map(|error| error.to_string());
    let (damaged, saved_at) = match found {
        Ok(Found::Damaged { reason, .. }) => (Some(reason.to_string()), None),
        Ok(Found::State(state)) => (None, Some(state.saved_at)),
        Ok(Found::Nothing) => (None, None),
        // Where nothing can be written either, it is the folder that is ill.
        Err(_) if write_error.is_some() => (None, None),
        Err(error) => (Some(error.to_string()), None),
    };
    let age = |saved_at: u64| i64::try_from(unix_seconds()).ok()?.checked_sub(i64::try_from(saved_at).ok()?);
    Folder {
        path: path.to_owned(),
        write_error,
        no_room,
        free_bytes: free_bytes(path),
        damaged,
        state_age_seconds: saved_at.and_then(age),
        set_aside: set_aside(path),
    }
}

/// Why no file can be written into `folder`. A folder that is missing is made, as `run` would.
fn write_error(folder: &Path) -> Option<io::Error> {
    let probe = folder.join(PROBE_FILE);
    let write = || {
        fs::create_dir_all(folder)?;
        fs::File::create(&probe)?.write_all(b"written to see whether it can be, and removed\n")
    };
    let written = write();
    // Also after half a write. That there is none to remove is no news.
    let _ = fs::remove_file(&probe);
    written.err()
}

#[cfg(unix)]
fn free_bytes(folder: &Path) -> Option<u64> {
    let system = rustix::fs::statvfs(folder).ok()?;
    Some(system.f_bavail.saturating_mul(system.f_frsize))
}

#[cfg(not(unix))]
fn free_bytes(_: &Path) -> Option<u64> {
    None
}

fn set_aside(folder: &Path) -> Vec<String> {
    let entries = fs::read_dir(folder).into_iter().flatten().flatten();
    let mut names: Vec<String> = entries.filter_map(|entry| entry.file_name().into_string().ok()).collect();
    names.retain(|name| name.contains(SET_ASIDE));
    names.sort_unstable();
    names
}

/// Tries to listen on a UDP address. `ours` says that our own node runs and may have it.
pub(super) fn try_udp(addr: SocketAddr, ours: Option<&str>) -> SocketTrial {
    trial("udp", addr, ours, UdpSocket::bind(addr).map(drop))
}

/// Tries to listen on a TCP address.
pub(super) fn try_tcp(addr: SocketAddr, ours: Option<&str>) -> SocketTrial {
    trial("tcp", addr, ours, TcpListener::bind(addr).map(drop))
}

fn trial(transport: &str, addr: SocketAddr, ours: Option<&str>, bound: io::Result<()>) -> SocketTrial {
    let Err(error) = bound else { return SocketTrial { addr, outcome: BindOutcome::Ours, owner: None } };
    let owner = if error.kind() == ErrorKind::AddrInUse { owner(transport, addr) } else { None };
    let outcome = match error.kind() {
        ErrorKind::AddrInUse if ours.is_some() && is_ours(owner.as_ref(), ours) => BindOutcome::Ours,
        ErrorKind::AddrInUse => BindOutcome::Taken,
        ErrorKind::AddrNotAvailable => BindOutcome::NotHere,
        ErrorKind::PermissionDenied => BindOutcome::Refused,
        _ => BindOutcome::NoFamily,
    };
    SocketTrial { addr, outcome, owner: owner.map(|(pid, name)| format!("{name} (process {pid})")) }
}

/// Whether the owner of a port is the process that keeps our data folder; assumed where the owner cannot be seen.
fn is_ours(owner: Option<&(u32, String)>, ours: Option<&str>) -> bool {
    owner.is_none_or(|(pid, _)| ours.is_some_and(|ours| ours == format!("process {pid}")))
}

/// The process that has a port, and its name.
fn owner(transport: &str, addr: SocketAddr) -> Option<(u32, String)> {
    let tables = [format!("/proc/net/{transport}"), format!("/proc/net/{transport}6")];
    let inodes: Vec<String> = tables
        .iter()
        .filter_map(|table| fs::read_to_string(table).ok())
        .flat_map(|table| inodes(&table, transport, addr.port()))
        .collect();
    let links: Vec<String> = inodes.iter().map(|inode| format!("socket:[{inode}]")).collect();
    let processes = fs::read_dir("/proc").ok()?.flatten();
    let pids = processes.filter_map(|entry| entry.file_name().to_str()?.parse::<u32>().ok());
    let pid = pids.take(MOST_PROCESSES).find(|pid| has_descriptor(*pid, &links))?;
    let name = fs::read_to_string(format!("/proc/{pid}/comm")).unwrap_or_default();
    Some((pid, name.trim_end().to_owned()))
}

/// The inodes of the sockets of a table of /proc/net that listen on a port.
fn inodes(table: &str, transport: &str, port: u16) -> Vec<String> {
    let listens = |row: &Row<'_>| row.port == port && (transport == "udp" || row.state == "0A");
    rows(table).filter(listens).filter_map(|row| row.inode.map(ToOwned::to_owned)).collect()
}

fn has_descriptor(pid: u32, links: &[String]) -> bool {
    let descriptors = fs::read_dir(format!("/proc/{pid}/fd")).into_iter().flatten().flatten();
    let targets = descriptors.filter_map(|entry| fs::read_link(entry.path()).ok());
    targets.into_iter().any(|target| links.iter().any(|link| target.as_os_str() == link.as_str()))
}

/// How this host reaches others.
pub(super) fn routes() -> Routes {
    let is_global = |ip: &IpAddr| matches!(ip, IpAddr::V6(ip) if place::is_global(*ip));
    Routes {
        v4: place::source_address(Family::V4),
        v6: place::source_address(Family::V6).filter(is_global),
        global_v6: place::global_ipv6(),
    }
}

/// What the system counts and allows.
pub(super) fn system() -> System {
    let number = |path: &str| fs::read_to_string(path).ok()?.trim().parse::<u64>().ok();
    let netfilter = "/proc/sys/net/netfilter/nf_conntrack_";
    let (count, max) = (number(&format!("{netfilter}count")), number(&format!("{netfilter}max")));
    let snmp = fs::read_to_string("/proc/net/snmp").ok();
    System {
        conntrack: count.zip(max).filter(|(_, max)| *max > 0),
        udp: snmp.and_then(|table| udp_counters(&table)),
        files: most_files(),
        container: ["/.dockerenv", "/run/.containerenv"].iter().any(|sign| Path::new(sign).exists()),
    }
}

/// Datagrams delivered and dropped for want of room, from /proc/net/snmp.
fn udp_counters(table: &str) -> Option<(u64, u64)> {
    let mut rows = table.lines().filter_map(|line| line.strip_prefix("Udp: "));
    let (names, values) = (rows.next()?, rows.next()?);
    let value = |name: &str| {
        let place = names.split_whitespace().position(|column| column == name)?;
        values.split_whitespace().nth(place)?.parse().ok()
    };
    Some((value("InDatagrams")?, value("RcvbufErrors")?))
}

#[cfg(unix)]
fn most_files() -> Option<u64> {
    use rustix::process::{Resource, getrlimit};
    getrlimit(Resource::Nofile).maximum
}

#[cfg(not(unix))]
fn most_files() -> Option<u64> {
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_counters_of_udp_are_found_by_their_names() {
        let table = "Ip: A B\nIp: 1 2\nUdp: InDatagrams NoPorts InErrors OutDatagrams RcvbufErrors\nUdp: 10 1 2 3 4\n\
                     UdpLite: InDatagrams\nUdpLite: 0\n";
        assert_eq!(udp_counters(table), Some((10, 4)));
        assert_eq!(udp_counters("Udp: InDatagrams\n"), None);
    }

    #[test]
    fn the_owner_of_a_port_is_seen() {
        let socket = UdpSocket::bind("127.0.89.1:0").unwrap();
        let trial = try_udp(socket.local_addr().unwrap(), None);
        assert_eq!(trial.outcome, BindOutcome::Taken);
        if cfg!(target_os = "linux") {
            let own = format!("(process {})", std::process::id());
            assert!(trial.owner.as_ref().is_some_and(|owner| owner.ends_with(&own)), "{trial:?}");
        }
        let ours = format!("process {}", std::process::id());
        assert_eq!(try_udp(socket.local_addr().unwrap(), Some(&ours)).outcome, BindOutcome::Ours);
    }

    #[test]
    fn a_folder_that_cannot_be_written_says_why_and_keeps_nothing() {
        let home = tempfile::tempdir().unwrap();
        let path = home.path().join("data");
        assert!(write_error(&path).is_none());
        assert_eq!(fs::read_dir(&path).unwrap().count(), 0);
        let file = home.path().join("file");
        fs::write(&file, "").unwrap();
        assert!(write_error(&file).is_some());
    }
}
