//! Many datagrams in one system call: `recvmmsg` and `sendmmsg`.
//!
//! This is the only file with `unsafe` code. It has two kinds: three system calls, and reading what they wrote.
//! Both rest on one structure, [`Slots`], which holds everything that the kernel reads or writes: for each datagram
//! a header that points to an address, to a buffer and to packet info, all in one heap block that never moves and that
//! is written to by nobody else. The invariants that every SAFETY comment leans on:
//!
//! 1. `Batch::slots` is the only pointer to a live block, from `new` until `drop`.
//! 2. Header `i` points to name `i` (its room is `size_of::<Name>()`) and to vector `i`, which points to payload
//!    `i` (its room is `MAX_DATAGRAM`), and to control `i` (its room is `size_of::<Control>()`). These pointers are set
//!    once, in `new`; afterwards only lengths change, and none ever exceeds its room.
//! 3. Every bit pattern is a valid `Name`, `Control`, `u8`, header and vector, so nothing that the kernel writes can be
//!    invalid.

#![deny(clippy::undocumented_unsafe_blocks, unsafe_op_in_unsafe_fn)]

use std::io;
use std::mem::{align_of, size_of};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, SocketAddrV4, SocketAddrV6};
use std::os::fd::AsRawFd as _;
use std::ptr::{self, NonNull};

use tokio::io::Interest;
use tokio::net::UdpSocket;

use super::{BATCH, MAX_DATAGRAM, Received};
use crate::engine::contact::canonical;

/// Distance between two payloads: a power of two would put all first lines into the same few sets of the cache.
const STRIDE: usize = MAX_DATAGRAM + 64;

/// The buffers of both directions.
#[derive(Debug)]
pub(super) struct Batched {
    incoming: Batch,
    outgoing: Batch,
    /// The queued datagrams are `outgoing`'s slots from `head` to before `tail`.
    head: usize,
    tail: usize,
    /// On a wildcard: who sent the datagrams of the last batch, in their order, and to which of our addresses.
    asked: Vec<(SocketAddr, IpAddr)>,
    /// Where the search for the next reply begins: replies come in the order of what they reply to.
    next_asked: usize,
}

impl Batched {
    pub(super) fn new() -> Self {
        Self { incoming: Batch::new(), outgoing: Batch::new(), head: 0, tail: 0, asked: Vec::new(), next_asked: 0 }
    }

    pub(super) fn receive(
        &mut self,
        udp: &UdpSocket,
        each: &mut impl FnMut(SocketAddr, &[u8]),
    ) -> io::Result<Received> {
        let mut count = 0;
        let outcome = udp.try_io(Interest::READABLE, || {
            count = self.incoming.receive(udp.as_raw_fd())?;
            // Fewer than asked for means that the queue ran empty: saying so to tokio saves the call that would
            // find nothing. A datagram that arrives in between raises readiness anew.
            if count < BATCH { Err(io::ErrorKind::WouldBlock.into()) } else { Ok(()) }
        });
        if count == 0 {
            outcome?;
        }
        let mut received = Received::default();
        self.asked.clear();
        self.next_asked = 0;
        for slot in 0..count {
            match self.incoming.datagram(slot) {
                Some((from, to, bytes)) => {
                    self.asked.extend(to.map(|to| (from, to)));
                    each(from, bytes);
                    received.whole += 1;
                }
                None => received.truncated += 1,
            }
        }
        Ok(received)
    }

    /// The address that `to` has asked, if it was heard in the last batch.
    fn asked_by(&mut self, to: &SocketAddr) -> Option<IpAddr> {
        let found = self.asked[self.next_asked..].iter().position(|(from, _)| from == to)?;
        self.next_asked += found;
        Some(self.asked[self.next_asked].1)
    }

    pub(super) fn push(&mut self, to: SocketAddr, payload: &[u8]) -> bool {
        if self.head == self.tail {
            (self.head, self.tail) = (0, 0);
        }
        if self.tail == BATCH {
            return false;
        }
        let from = self.asked_by(&to);
        self.outgoing.fill(self.tail, from, to, payload);
        self.tail += 1;
        true
    }

    pub(super) fn queued(&self) -> usize {
        self.tail - self.head
    }

    pub(super) fn send(&mut self, udp: &UdpSocket) -> io::Result<usize> {
        let (head, tail) = (self.head, self.tail);
        let count = udp.try_io(Interest::WRITABLE, || self.outgoing.send(udp.as_raw_fd(), head, tail))?;
        self.head += count;
        Ok(count)
    }

    pub(super) fn skip(&mut self) {
        self.head = self.tail.min(self.head + 1);
    }
}

/// A socket address of either family, as the kernel writes it.
#[derive(Clone, Copy)]
union Name {
    v4: libc::sockaddr_in,
    v6: libc::sockaddr_in6,
}

/// What `IP_PKTINFO` (ip(7)) and `IPV6_PKTINFO` (ipv6(7)) tell: which of our addresses a datagram was sent to, or is to leave
/// from.
#[derive(Clone, Copy)]
#[repr(C)]
union PacketInfo {
    v4: libc::in_pktinfo,
    v6: libc::in6_pktinfo,
}

/// A control message (cmsg(3)) with packet info, the only one that is asked for.
#[derive(Clone, Copy)]
#[repr(C)]
struct Control {
    header: libc::cmsghdr,
    info: PacketInfo,
}

/// Asks the kernel to tell with each datagram which of our addresses it was sent to.
pub(super) fn ask_for_packet_info(socket: &socket2::Socket, v6: bool) -> io::Result<()> {
    let (level, option) =
        if v6 { (libc::IPPROTO_IPV6, libc::IPV6_RECVPKTINFO) } else { (libc::IPPROTO_IP, libc::IP_PKTINFO) };
    let on: libc::c_int = 1;
    // SAFETY: the kernel reads an integer that lives longer than the call.
    let outcome = unsafe {
        let length = size_of::<libc::c_int>() as libc::socklen_t;
        libc::setsockopt(socket.as_raw_fd(), level, option, (&raw const on).cast(), length)
    };
    if outcome == 0 { Ok(()) } else { Err(io::Error::last_os_error()) }
}

/// Everything that the kernel is pointed to. `repr(Rust)`: only the parts have a layout that it knows.
struct Slots {
    headers: [libc::mmsghdr; BATCH],
    vectors: [libc::iovec; BATCH],
    names: [Name; BATCH],
    controls: [Control; BATCH],
    payloads: [[u8; STRIDE]; BATCH],
}

/// Owner of one block of [`Slots`]; see the invariants at the top.
#[derive(Debug)]
struct Batch {
    slots: NonNull<Slots>,
}

// SAFETY: the block belongs to this value alone (invariant 1) and the pointers inside it lead only into the block
// itself (invariant 2), so it may be used from whichever thread owns the value.
unsafe impl Send for Batch {}

// SAFETY: the methods that take `&self` only read the block, and those that write it take `&mut self`.
unsafe impl Sync for Batch {}

impl Batch {
    fn new() -> Self {
        // SAFETY: all bits zero is a valid `Slots`: integers, null pointers and plain bytes (invariant 3).
        let block = unsafe { Box::<Slots>::new_zeroed().assume_init() };
        let batch = Self { slots: NonNull::from(Box::leak(block)) };
        let slots = batch.slots.as_ptr();
        for slot in 0..BATCH {
            // SAFETY: `slots` is live and unshared (invariant 1). Its parts are reached through raw pointers that
            // are derived from `slots` itself, so they stay usable for as long as the block lives.
            unsafe {
                let vector = &raw mut (*slots).vectors[slot];
                (*vector).iov_base = (&raw mut (*slots).payloads[slot]).cast();
                (*vector).iov_len = MAX_DATAGRAM;
                let header = &raw mut (*slots).headers[slot].msg_hdr;
                (*header).msg_name = (&raw mut (*slots).names[slot]).cast();
                (*header).msg_namelen = size_of::<Name>() as libc::socklen_t;
                (*header).msg_iov = vector;
                (*header).msg_iovlen = 1;
                (*header).msg_control = (&raw mut (*slots).controls[slot]).cast();
                (*header).msg_controllen = size_of::<Control>() as _;
            }
        }
        batch
    }

    /// Fills slots from the first on with what has arrived, and returns how many.
    fn receive(&mut self, socket: libc::c_int) -> io::Result<usize> {
        let slots = self.slots.as_ptr();
        // SAFETY: the headers lead only to room inside the live block, with lengths that do not exceed it
        // (invariants 1 and 2); the kernel writes at most BATCH of them. A null timeout is allowed.
        let count = unsafe {
            let headers = (&raw mut (*slots).headers).cast::<libc::mmsghdr>();
            libc::recvmmsg(socket, headers, BATCH as libc::c_uint, libc::MSG_DONTWAIT as _, ptr::null_mut())
        };
        usize::try_from(count).map_err(|_| io::Error::last_os_error())
    }

    /// Source, own address if it was asked for, and bytes of a slot that [`receive`](Self::receive) filled; none if the
    /// datagram was too long. Makes the slot ready to be filled again.
    fn datagram(&mut self, slot: usize) -> Option<(SocketAddr, Option<IpAddr>, &[u8])> {
        let slots = self.slots.as_ptr();
        // SAFETY: the block is live and, through `&mut self`, ours alone (invariant 1); indexing checks `slot`. The
        // reference to the payload borrows `self`, so nothing writes to the block while it lives.
        let (header, name, control, payload) = unsafe {
            let header = &mut (*slots).headers[slot];
            (header, &(*slots).names[slot], &(*slots).controls[slot], &(*slots).payloads[slot])
        };
        // The kernel left the address's own length here; the next one may be longer.
        header.msg_hdr.msg_namelen = size_of::<Name>() as libc::socklen_t;
        let told = header.msg_hdr.msg_controllen >= size_of::<libc::cmsghdr>() as _;
        header.msg_hdr.msg_controllen = size_of::<Control>() as _;
        let whole = header.msg_hdr.msg_flags & libc::MSG_TRUNC == 0;
        let to = if told { control.decode() } else { None };
        whole.then(|| (name.decode(), to, &payload[..header.msg_len as usize]))
    }

    /// Writes a datagram of at most [`MAX_DATAGRAM`] bytes into `slot`, to leave from the address `from` if it is given.
    fn fill(&mut self, slot: usize, from: Option<IpAddr>, to: SocketAddr, payload: &[u8]) {
        assert!(payload.len() <= MAX_DATAGRAM, "Socket::push refuses longer ones");
        let slots = self.slots.as_ptr();
        // SAFETY: the block is live and, through `&mut self`, ours alone (invariant 1); indexing checks `slot`. The
        // lengths stay within their rooms (invariant 2): those of name and control by `encode`, the payload's by the assertion.
        unsafe {
            let room = &mut (*slots).payloads[slot];
            room[..payload.len()].copy_from_slice(payload);
            (*slots).vectors[slot].iov_len = payload.len();
            (*slots).headers[slot].msg_hdr.msg_namelen = (*slots).names[slot].encode(to);
            let told = from.map_or(0, |from| (*slots).controls[slot].encode(from));
            (*slots).headers[slot].msg_hdr.msg_controllen = told as _;
        }
    }

    /// Sends slots `head..tail` from the first on, and returns how many the kernel took, at least one.
    fn send(&mut self, socket: libc::c_int, head: usize, tail: usize) -> io::Result<usize> {
        assert!(head <= tail && tail <= BATCH, "the queue lies within the slots");
        let slots = self.slots.as_ptr();
        // SAFETY: `head..tail` lies within the headers, by the assertion; they lead only to room inside the live
        // block, with lengths that do not exceed it (invariants 1 and 2). The kernel reads that room and writes
        // only `msg_len` in the headers.
        let count = unsafe {
            let headers = (&raw mut (*slots).headers).cast::<libc::mmsghdr>().add(head);
            libc::sendmmsg(socket, headers, (tail - head) as libc::c_uint, libc::MSG_DONTWAIT as _)
        };
        usize::try_from(count).map_err(|_| io::Error::last_os_error())
    }
}

impl Drop for Batch {
    fn drop(&mut self) {
        // SAFETY: the block came from a `Box` in `new`, and this is its only owner (invariant 1).
        drop(unsafe { Box::from_raw(self.slots.as_ptr()) });
    }
}

impl Control {
    /// The address of ours that the kernel wrote.
    fn decode(&self) -> Option<IpAddr> {
        match (self.header.cmsg_level, self.header.cmsg_type) {
            (libc::IPPROTO_IP, libc::IP_PKTINFO) => {
                // SAFETY: any bits are a valid `in_pktinfo` (invariant 3).
                let ours = unsafe { self.info.v4 }.ipi_spec_dst.s_addr;
                Some(Ipv4Addr::from(ours.to_ne_bytes()).into())
            }
            (libc::IPPROTO_IPV6, libc::IPV6_PKTINFO) => {
                // SAFETY: any bits are a valid `in6_pktinfo` (invariant 3).
                let ours = unsafe { self.info.v6 }.ipi6_addr.s6_addr;
                Some(Ipv6Addr::from(ours).into())
            }
            _ => None,
        }
    }

    /// Writes `from` as the address to leave from and returns the length in bytes, at most `size_of::<Control>()`.
    fn encode(&mut self, from: IpAddr) -> usize {
        let info_bytes = match from {
            IpAddr::V4(ip) => {
                let ours = libc::in_addr { s_addr: u32::from_ne_bytes(ip.octets()) };
                let anywhere = libc::in_addr { s_addr: 0 };
                self.info.v4 = libc::in_pktinfo { ipi_ifindex: 0, ipi_spec_dst: ours, ipi_addr: anywhere };
                (self.header.cmsg_level, self.header.cmsg_type) = (libc::IPPROTO_IP, libc::IP_PKTINFO);
                size_of::<libc::in_pktinfo>()
            }
            IpAddr::V6(ip) => {
                let ours = libc::in6_addr { s6_addr: ip.octets() };
                self.info.v6 = libc::in6_pktinfo { ipi6_addr: ours, ipi6_ifindex: 0 };
                (self.header.cmsg_level, self.header.cmsg_type) = (libc::IPPROTO_IPV6, libc::IPV6_PKTINFO);
                size_of::<libc::in6_pktinfo>()
            }
        };
        let bytes = size_of::<libc::cmsghdr>() + info_bytes;
        self.header.cmsg_len = bytes as _;
        bytes.next_multiple_of(align_of::<libc::cmsghdr>())
    }
}

impl Name {
    /// The address that the kernel wrote.
    fn decode(&self) -> SocketAddr {
        // SAFETY: both forms begin with the family, and any bits are a valid integer (invariant 3).
        if libc::c_int::from(unsafe { self.v4.sin_family }) == libc::AF_INET {
            // SAFETY: any bits are a valid `sockaddr_in` (invariant 3).
            let name = unsafe { self.v4 };
            let ip = Ipv4Addr::from(name.sin_addr.s_addr.to_ne_bytes());
            return SocketAddrV4::new(ip, u16::from_be(name.sin_port)).into();
        }
        // SAFETY: any bits are a valid `sockaddr_in6` (invariant 3).
        let name = unsafe { self.v6 };
        let ip = Ipv6Addr::from(name.sin6_addr.s6_addr);
        canonical(SocketAddrV6::new(ip, u16::from_be(name.sin6_port), name.sin6_flowinfo, name.sin6_scope_id).into())
    }

    /// Writes `addr` and returns its length in bytes, at most `size_of::<Name>()`.
    fn encode(&mut self, addr: SocketAddr) -> libc::socklen_t {
        match addr {
            SocketAddr::V4(addr) => {
                self.v4 = libc::sockaddr_in {
                    sin_family: libc::AF_INET as libc::sa_family_t,
                    sin_port: addr.port().to_be(),
                    sin_addr: libc::in_addr { s_addr: u32::from_ne_bytes(addr.ip().octets()) },
                    sin_zero: [0; 8],
                };
                size_of::<libc::sockaddr_in>() as libc::socklen_t
            }
            SocketAddr::V6(addr) => {
                self.v6 = libc::sockaddr_in6 {
                    sin6_family: libc::AF_INET6 as libc::sa_family_t,
                    sin6_port: addr.port().to_be(),
                    sin6_flowinfo: addr.flowinfo(),
                    sin6_addr: libc::in6_addr { s6_addr: addr.ip().octets() },
                    sin6_scope_id: addr.scope_id(),
                };
                size_of::<libc::sockaddr_in6>() as libc::socklen_t
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What the kernel does between writing and reading is left out, so that Miri can run this.
    #[test]
    fn what_is_written_into_slots_is_read_from_them() {
        let mut batch = Batch::new();
        let addr = |slot: usize| -> SocketAddr {
            let low = slot as u8;
            if slot.is_multiple_of(2) {
                ([203, 0, 113, low], 6881).into()
            } else {
                ([0x2001, 0xdb8, 0, 0, 0, 0, 0, slot as u16], 7).into()
            }
        };
        let payload = |slot: usize| vec![slot as u8; slot * MAX_DATAGRAM / BATCH + 1];
        for slot in 0..BATCH {
            let from = (slot % 3 > 0).then_some(addr(slot).ip());
            batch.fill(slot, from, addr(slot), &payload(slot)[..]);
            // SAFETY: the block is live and `batch` is its only owner; indexing checks `slot`.
            unsafe { (*batch.slots.as_ptr()).headers[slot].msg_len = payload(slot).len() as _ };
        }
        // The block is the same from whichever thread it is used.
        let mut batch = std::thread::spawn(move || batch).join().unwrap();
        for slot in 0..BATCH {
            let own = (slot % 3 > 0).then_some(addr(slot).ip());
            assert_eq!(batch.datagram(slot), Some((addr(slot), own, &payload(slot)[..])));
        }
        // SAFETY: as above.
        unsafe { (*batch.slots.as_ptr()).headers[0].msg_hdr.msg_flags = libc::MSG_TRUNC };
        assert_eq!(batch.datagram(0), None);
    }
}
