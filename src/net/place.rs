//! Where this host is: the address from which the kernel sends to the world, and news that it may have changed.
//!
//! BEP 32: a node should use one stable global IPv6 address, not the wildcard, lest replies leave from a temporary (privacy)
//! address that nobody asked. Linux lists addresses with their flags in `/proc/net/if_inet6`; elsewhere the wildcard is
//! bound.

use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, UdpSocket};

use crate::engine::contact::{Family, is_local};

/// Root name servers (a.root-servers.net). Nothing is sent to them: the kernel is only asked how it would.
const FAR_AWAY_V4: Ipv4Addr = Ipv4Addr::new(198, 41, 0, 4);
const FAR_AWAY_V6: Ipv6Addr = Ipv6Addr::new(0x2001, 0x503, 0xba3e, 0, 0, 0, 2, 0x30);

/// Flags of `/proc/net/if_inet6`: temporary (0x01), duplicate-address detection failed (0x08), deprecated (0x20),
/// tentative (0x40).
const UNSTABLE: u8 = TEMPORARY | UNUSABLE | 0x20;
const TEMPORARY: u8 = 0x01;
/// No datagram leaves from such an address: another host has it, or that is not known yet.
const UNUSABLE: u8 = 0x08 | 0x40;

/// The address from which the kernel sends to the world; `None` without a route.
#[must_use]
pub fn source_address(family: Family) -> Option<IpAddr> {
    let (any, far): (IpAddr, IpAddr) = match family {
        Family::V4 => (Ipv4Addr::UNSPECIFIED.into(), FAR_AWAY_V4.into()),
        Family::V6 => (Ipv6Addr::UNSPECIFIED.into(), FAR_AWAY_V6.into()),
    };
    let socket = UdpSocket::bind((any, 0)).ok()?;
    socket.connect((far, 53)).ok()?;
    Some(socket.local_addr().ok()?.ip()).filter(|ip| !ip.is_unspecified())
}

/// The address from which the kernel sends to the world through one interface.
///
/// # Errors
/// There is no such interface, or the system does not tell.
#[cfg(target_os = "linux")]
pub fn source_through(interface: &str, family: Family) -> io::Result<IpAddr> {
    let (domain, far): (_, IpAddr) = match family {
        Family::V4 => (socket2::Domain::IPV4, FAR_AWAY_V4.into()),
        Family::V6 => (socket2::Domain::IPV6, FAR_AWAY_V6.into()),
    };
    let socket = socket2::Socket::new(domain, socket2::Type::DGRAM, None)?;
    socket.bind_device(Some(interface.as_bytes()))?;
    socket.connect(&SocketAddr::new(far, 53).into())?;
    let local = socket.local_addr()?.as_socket().map(|addr| addr.ip());
    local.filter(|ip| !ip.is_unspecified()).ok_or_else(|| io::ErrorKind::AddrNotAvailable.into())
}

/// The same where the system does not tell.
///
/// # Errors
/// Always.
#[cfg(not(target_os = "linux"))]
pub fn source_through(_: &str, _: Family) -> io::Result<IpAddr> {
    Err(io::ErrorKind::Unsupported.into())
}

/// Whether `error` of [`source_through`] says that there is no such interface (`ENODEV`).
#[must_use]
pub fn is_no_interface(error: &io::Error) -> bool {
    error.raw_os_error() == Some(19)
}

/// The stable global IPv6 address of this host, if it has one: of the network that the kernel sends from, if it has a
/// route.
#[must_use]
pub fn stable_global_ipv6() -> Option<Ipv6Addr> {
    let table = std::fs::read_to_string("/proc/net/if_inet6").ok()?;
    match source_address(Family::V6) {
        Some(IpAddr::V6(source)) => stable_beside(&table, source),
        _ => stable_in(&table).map(|(addr, _)| addr).next(),
    }
}

/// The address that others see of a host that sends from `source`, where that is certain: nobody translates it.
#[must_use]
pub fn external_of(source: IpAddr) -> Option<IpAddr> {
    (!source.is_unspecified() && !is_local(source)).then_some(source)
}

/// Whether this host has `ip` now.
#[must_use]
pub fn is_here(ip: IpAddr) -> bool {
    UdpSocket::bind(SocketAddr::new(ip, 0)).is_ok()
}

/// `source`, or the stable address beside it if it is a temporary one; `None` if it is not global.
fn stable_beside(table: &str, source: Ipv6Addr) -> Option<Ipv6Addr> {
    let prefix = |addr: &Ipv6Addr| u128::from(*addr) >> 64;
    let stable: Vec<(Ipv6Addr, &str)> = stable_in(table).collect();
    if stable.iter().any(|(addr, _)| *addr == source) {
        return Some(source);
    }
    let interface = interface_of(table, source)?;
    let beside = stable.iter().filter(|(_, other)| *other == interface);
    let beside: Vec<Ipv6Addr> = beside.map(|(addr, _)| *addr).collect();
    let same_network = beside.iter().find(|addr| prefix(addr) == prefix(&source));
    same_network.or_else(|| beside.first()).copied()
}

/// The interface that has `addr`.
fn interface_of(table: &str, addr: Ipv6Addr) -> Option<&str> {
    let text = format!("{:032x}", u128::from(addr));
    table.lines().find(|line| line.starts_with(&text))?.split_whitespace().last()
}

/// Whether an address is one of the Internet: 2000::/3 is global unicast.
#[must_use]
pub const fn is_global(ip: Ipv6Addr) -> bool {
    ip.segments()[0] & 0xe000 == 0x2000
}

/// The global IPv6 addresses that this host can use, and whether each is a temporary one.
#[must_use]
pub fn global_ipv6() -> Vec<(Ipv6Addr, bool)> {
    global_in(&std::fs::read_to_string("/proc/net/if_inet6").unwrap_or_default())
}

/// The global addresses of a table that can be used, and whether each is a temporary one.
fn global_in(table: &str) -> Vec<(Ipv6Addr, bool)> {
    let rows = rows(table).filter(|row| is_global(row.addr) && row.flags & UNUSABLE == 0);
    rows.map(|row| (row.addr, row.flags & TEMPORARY != 0)).collect()
}

/// The stable global addresses of a table, each with its interface.
fn stable_in(table: &str) -> impl Iterator<Item = (Ipv6Addr, &str)> {
    // 2001::/32 is Teredo, which BEP 32 advises against.
    let is_teredo = |addr: Ipv6Addr| addr.segments()[..2] == [0x2001, 0];
    let is_stable = move |row: &Row<'_>| row.scope == "00" && row.flags & UNSTABLE == 0;
    let rows = rows(table).filter(move |row| is_stable(row) && is_global(row.addr) && !is_teredo(row.addr));
    rows.map(|row| (row.addr, row.interface))
}

/// A row of `/proc/net/if_inet6`.
struct Row<'t> {
    addr: Ipv6Addr,
    scope: &'t str,
    flags: u8,
    interface: &'t str,
}

fn rows(table: &str) -> impl Iterator<Item = Row<'_>> {
    table.lines().filter_map(|line| {
        let mut columns = line.split_whitespace();
        let addr = Ipv6Addr::from(u128::from_str_radix(columns.next()?, 16).ok()?);
        let (scope, flags) = (columns.nth(2)?, u8::from_str_radix(columns.next()?, 16).ok()?);
        Some(Row { addr, scope, flags, interface: columns.next()? })
    })
}

/// News that addresses, routes or interfaces of this host have changed.
#[derive(Debug)]
pub struct Changes {
    #[cfg(target_os = "linux")]
    /// A netlink socket: it is waited for and read as one of UDP is.
    netlink: Option<tokio::net::UdpSocket>,
}

#[cfg(target_os = "linux")]
mod linux {
    use std::io;

    use rustix::net::netlink::SocketAddrNetlink;
    use rustix::net::{AddressFamily, SocketFlags, SocketType};
    use tokio::net::UdpSocket;

    use super::Changes;

    /// Groups of rtnetlink(7): links, addresses and routes of both families.
    const GROUPS: u32 = 0x1 | 0x10 | 0x40 | 0x100 | 0x400;

    impl Changes {
        /// Begins to listen. Where the system refuses there is no news.
        ///
        /// # Panics
        /// Outside a tokio runtime.
        #[must_use]
        pub fn listen() -> Self {
            let netlink = open().inspect_err(|error| tracing::debug!(%error, "no news of routes")).ok();
            Self { netlink }
        }

        /// Waits for a change. Safe to drop and call again.
        pub async fn next(&mut self) {
            let Some(netlink) = &self.netlink else { return std::future::pending().await };
            // What it says can be asked for; that it came is enough, as is that more came than there is room for.
            let _ = netlink.recv(&mut [0; 4096]).await;
        }
    }

    fn open() -> io::Result<UdpSocket> {
        let flags = SocketFlags::CLOEXEC | SocketFlags::NONBLOCK;
        let socket = rustix::net::socket_with(AddressFamily::NETLINK, SocketType::RAW, flags, None)?;
        rustix::net::bind(&socket, &SocketAddrNetlink::new(0, GROUPS))?;
        UdpSocket::from_std(socket.into())
    }
}

#[cfg(not(target_os = "linux"))]
impl Changes {
    /// There is no news here: whoever waits for it looks now and then.
    #[must_use]
    pub fn listen() -> Self {
        Self {}
    }

    /// Never ends.
    pub async fn next(&mut self) {
        std::future::pending().await
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const TABLE: &str = "\
00000000000000000000000000000001 01 80 10 80       lo
fe80000000000000042aacfffe120002 02 40 20 80     eth0
20010db8000000000000000000000099 02 40 00 01     eth0
20010db8000000000000000000000098 02 40 00 20     eth0
20010000000000000000000000000007 02 40 00 80     tun0
20010db8000000000000000000000042 02 40 00 80     eth0
20010db8000000010000000000000043 03 40 00 80     eth1
20010db8000000010000000000000044 03 40 00 01     eth1
";

    fn addr(text: &str) -> Ipv6Addr {
        text.parse().unwrap()
    }

    #[test]
    fn lists_the_addresses_that_are_global_and_stay() {
        let stable: Vec<_> = stable_in(TABLE).collect();
        assert_eq!(stable, [(addr("2001:db8::42"), "eth0"), (addr("2001:db8:0:1::43"), "eth1")]);
        assert_eq!(stable_in("").count() + stable_in("nonsense\n12 zz\n").count(), 0);
    }

    #[test]
    fn follows_the_kernel_to_its_network_and_takes_the_stable_address_there() {
        for (source, stable) in [
            ("2001:db8:0:1::43", Some("2001:db8:0:1::43")),
            ("2001:db8:0:1::44", Some("2001:db8:0:1::43")),
            ("2001:db8::99", Some("2001:db8::42")),
            ("2001:db8::98", Some("2001:db8::42")),
            ("fd00::1", None),
        ] {
            assert_eq!(stable_beside(TABLE, addr(source)), stable.map(addr), "{source}");
        }
    }

    #[test]
    #[cfg(target_os = "linux")]
    fn an_interface_has_the_address_that_it_sends_from() {
        let missing = source_through("nosuchif0", Family::V4).unwrap_err();
        assert!(is_no_interface(&missing), "{missing}");
        match source_through("lo", Family::V4) {
            Ok(source) => assert!(source.is_ipv4()),
            Err(error) => assert!(!is_no_interface(&error), "every host has a loopback: {error}"),
        }
    }

    #[test]
    fn only_a_global_address_is_seen_by_others_as_it_is() {
        for (source, seen) in
            [("8.8.4.4", true), ("10.1.2.3", false), ("0.0.0.0", false), ("2600::1", true), ("fe80::1", false)]
        {
            let source: IpAddr = source.parse().unwrap();
            assert_eq!(external_of(source).is_some(), seen, "{source}");
        }
    }

    #[test]
    fn temporary_addresses_are_told_apart() {
        let table = "20010db8000000000000000000000001 02 40 00 80     eth0\n\
                     20010db8000000000000000000000002 02 40 00 01     eth0\n\
                     fe800000000000000000000000000001 02 40 20 80     eth0\n";
        let temporary: Vec<bool> = global_in(table).into_iter().map(|(_, temporary)| temporary).collect();
        assert_eq!(temporary, [false, true]);
    }

    #[test]
    fn an_address_that_another_host_has_too_or_that_is_being_tried_is_none_of_ours() {
        let table = "20010db8000000000000000000000001 02 40 00 88     eth0\n\
                     20010db8000000000000000000000002 02 40 00 c0     eth0\n\
                     20010db8000000000000000000000003 02 40 00 a0     eth0\n";
        let usable: Vec<Ipv6Addr> = global_in(table).into_iter().map(|(ip, _)| ip).collect();
        assert_eq!(usable, [addr("2001:db8::3")]);
    }
}
