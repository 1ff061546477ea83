//! Contacts, and what an address means to a DHT.
//!
//! A *contact* is the id and address of another node. A *peer* is the address of a BitTorrent client; it travels in
//! the same compact form (BEP 5, Contact Encoding; BEP 32 for IPv6: 4 + 2 or 16 + 2 bytes, port in network order).

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, SocketAddrV6};

use super::id::{Id, NodeId};

/// Another node: its id and where it listens.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Contact {
    /// The id that it claims.
    pub id: NodeId,
    /// The UDP endpoint that it answers from.
    pub addr: SocketAddr,
}

/// IPv4 and IPv6 form two separate DHTs (BEP 32).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Family {
    /// Compact contacts of 26 bytes, compact peers of 6.
    V4,
    /// Compact contacts of 38 bytes, compact peers of 18.
    V6,
}

impl Family {
    /// The family of `addr`.
    #[must_use]
    pub const fn of(addr: &SocketAddr) -> Self {
        if addr.is_ipv4() { Self::V4 } else { Self::V6 }
    }

    /// Bytes of a compact peer: address and port.
    #[must_use]
    pub const fn peer_len(self) -> usize {
        match self {
            Self::V4 => 6,
            Self::V6 => 18,
        }
    }

    /// Bytes of a compact contact: id, address and port.
    #[must_use]
    pub const fn contact_len(self) -> usize {
        Id::LEN + self.peer_len()
    }
}

/// The compact form of one address: 6 or 18 bytes, no heap.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct CompactAddr {
    bytes: [u8; 18],
    len: u8,
}

impl CompactAddr {
    /// The compact form of `addr`.
    #[must_use]
    pub fn new(addr: &SocketAddr) -> Self {
        let mut bytes = [0; 18];
        let len = match addr.ip() {
            IpAddr::V4(ip) => {
                bytes[..4].copy_from_slice(&ip.octets());
                4
            }
            IpAddr::V6(ip) => {
                bytes[..16].copy_from_slice(&ip.octets());
                16
            }
        };
        bytes[len..len + 2].copy_from_slice(&addr.port().to_be_bytes());
        Self { bytes, len: len as u8 + 2 }
    }

    /// The 6 or 18 bytes.
    #[must_use]
    pub fn as_bytes(&self) -> &[u8] {
        &self.bytes[..self.len as usize]
    }

    /// The address.
    #[must_use]
    pub fn addr(&self) -> SocketAddr {
        decode_addr(self.as_bytes()).expect("it was made of an address")
    }
}

/// Reads 6 or 18 bytes as an address; any other length is `None`.
#[must_use]
pub fn decode_addr(bytes: &[u8]) -> Option<SocketAddr> {
    let (ip, port) = bytes.split_last_chunk::<2>()?;
    let ip: IpAddr = match ip.len() {
        4 => Ipv4Addr::from(<[u8; 4]>::try_from(ip).ok()?).into(),
        16 => Ipv6Addr::from(<[u8; 16]>::try_from(ip).ok()?).into(),
        _ => return None,
    };
    Some(SocketAddr::new(ip, u16::from_be_bytes(*port)))
}

impl Contact {
    /// Reads 26 or 38 bytes: id, address, port.
    #[must_use]
    pub fn decode(bytes: &[u8]) -> Option<Self> {
        let (id, addr) = bytes.split_first_chunk::<20>()?;
        Some(Self { id: NodeId(Id(*id)), addr: decode_addr(addr)? })
    }

    /// Appends the 26 or 38 bytes, in one piece.
    pub fn encode(&self, out: &mut Vec<u8>) {
        fn joined<const IP: usize, const ALL: usize>(id: &Id, ip: [u8; IP], port: u16) -> [u8; ALL] {
            let mut bytes = [0; ALL];
            bytes[..Id::LEN].copy_from_slice(&id.0);
            bytes[Id::LEN..ALL - 2].copy_from_slice(&ip);
            bytes[ALL - 2..].copy_from_slice(&port.to_be_bytes());
            bytes
        }
        match self.addr.ip() {
            IpAddr::V4(ip) => out.extend_from_slice(&joined::<4, 26>(&self.id, ip.octets(), self.addr.port())),
            IpAddr::V6(ip) => out.extend_from_slice(&joined::<16, 38>(&self.id, ip.octets(), self.addr.port())),
        }
    }
}

/// The same address in the one form that is compared: done once, before any decision. An IPv4-mapped IPv6 form
/// (`::ffff:a.b.c.d`) becomes IPv4; a flow label is left out, and so is a scope id where it means nothing. A link-local
/// address keeps its scope id: it cannot be answered without.
#[must_use]
pub fn canonical(addr: SocketAddr) -> SocketAddr {
    match addr {
        SocketAddr::V6(v6) if v6.ip().is_unicast_link_local() => {
            SocketAddrV6::new(*v6.ip(), v6.port(), 0, v6.scope_id()).into()
        }
        _ => SocketAddr::new(addr.ip().to_canonical(), addr.port()),
    }
}

/// Whether `addr` can be sent to at all: a port, and a unicast address of this or another host.
#[must_use]
pub fn is_sendable(addr: &SocketAddr) -> bool {
    addr.port() != 0
        && match addr.ip() {
            // 0/8 is "this network"; 240/4 is reserved and holds the broadcast address.
            IpAddr::V4(ip) => ip.octets()[0] != 0 && ip.octets()[0] < 224,
            IpAddr::V6(ip) => !ip.is_multicast() && (!holds_ipv4(ip) || ip.is_loopback()),
        }
}

/// Whether `ip` is an IPv4 address in the guise of IPv6: mapped (`::ffff:0:0/96`), or in the old form (`::/96`, in which
/// `::` and `::1` lie too). No node is sent to by such a name, and the rules for IPv4 addresses would not see it.
fn holds_ipv4(ip: Ipv6Addr) -> bool {
    matches!(ip.segments(), [0, 0, 0, 0, 0, 0 | 0xffff, _, _])
}

/// Whether `ip` means something only inside one site or host: loopback, private, link-local, shared (carrier NAT).
/// Such addresses are kept out of the mainline DHT and are exempt from BEP 42.
#[must_use]
pub fn is_local(ip: IpAddr) -> bool {
    match ip {
        IpAddr::V4(ip) => {
            let [a, b, ..] = ip.octets();
            ip.is_loopback() || ip.is_private() || ip.is_link_local() || (a == 100 && b & 0xc0 == 64)
        }
        IpAddr::V6(ip) => {
            let head = ip.segments()[0];
            // fc00::/7 unique local, fe80::/10 link-local, fec0::/10 site-local.
            ip.is_loopback() || head & 0xfe00 == 0xfc00 || head & 0xff80 == 0xfe80
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn compact_addresses_round_trip(ip in any::<IpAddr>(), port in any::<u16>()) {
            let addr = SocketAddr::new(ip, port);
            let compact = CompactAddr::new(&addr);
            prop_assert_eq!((compact.addr(), decode_addr(compact.as_bytes())), (addr, Some(addr)));
        }

        #[test]
        fn other_lengths_are_no_address(bytes in prop::collection::vec(any::<u8>(), 0..40)) {
            prop_assert_eq!(decode_addr(&bytes).is_some(), matches!(bytes.len(), 6 | 18));
            prop_assert_eq!(Contact::decode(&bytes).is_some(), matches!(bytes.len(), 26 | 38));
        }
    }

    #[test]
    fn mapped_addresses_become_plain() {
        assert_eq!(canonical("[::ffff:1.2.3.4]:5".parse().unwrap()), "1.2.3.4:5".parse().unwrap());
        let link_local = |flow, scope| SocketAddrV6::new("fe80::1".parse().unwrap(), 5, flow, scope).into();
        assert_eq!(canonical(link_local(7, 2)), link_local(0, 2), "on the second interface");
        let global = |flow, scope| SocketAddrV6::new("2001:db8::1".parse().unwrap(), 5, flow, scope).into();
        assert_eq!(canonical(global(7, 2)), global(0, 0));
    }
}
