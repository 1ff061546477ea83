//! The load generator's side of the wire: one socket, thousands of source addresses, few system calls.
//!
//! Each outgoing group is one message of `sendmmsg` with two control messages: `IP_PKTINFO` chooses its source among
//! 127.0.0.0/8, and `UDP_SEGMENT` lets the kernel cut it into datagrams of equal size after the expensive part of its
//! way. So the generator needs less time per query than any server, and one core can saturate another.

use std::io;
use std::net::{Ipv4Addr, SocketAddrV4};
use std::os::fd::AsRawFd as _;

/// Datagrams received in one call.
const RECEIVE: usize = 128;
/// Groups sent in one call.
pub const GROUPS: usize = 32;
/// Datagrams of one group, all from the same source.
pub const GROUP: usize = 8;
/// Longest query.
const QUERY: usize = 256;
/// Longest reply: bittorrent-dht hands out dozens of contacts at once.
const REPLY: usize = 8192;

/// Space for the two control messages, aligned as they must be: 32 bytes of packet info, 24 of segment size.
type Control = [u64; 7];

/// A non-blocking socket with its buffers.
pub struct Wire {
    socket: socket2::Socket,
    received: Vec<[u8; REPLY]>,
    sources: Vec<libc::sockaddr_in>,
    destinations: Vec<Control>,
    queries: Vec<[u8; QUERY * GROUP]>,
    groups: Vec<Group>,
}

/// What one message of `sendmmsg` carries.
#[derive(Clone, Copy)]
struct Group {
    source: Ipv4Addr,
    len: usize,
    segment: usize,
}

impl Wire {
    /// Binds `port` (0: any) on every loopback address, and on no other interface.
    pub fn bind(port: u16) -> io::Result<Self> {
        let socket = socket2::Socket::new(socket2::Domain::IPV4, socket2::Type::DGRAM, None)?;
        socket.set_recv_buffer_size(8 << 20)?;
        socket.set_send_buffer_size(8 << 20)?;
        socket.bind_device(Some(b"lo"))?;
        // A datagram then tells which of our addresses it was sent to.
        set_option(&socket, libc::IPPROTO_IP, libc::IP_PKTINFO)?;
        socket.bind(&SocketAddrV4::new(Ipv4Addr::UNSPECIFIED, port).into())?;
        Ok(Self {
            socket,
            received: vec![[0; REPLY]; RECEIVE],
            sources: vec![zeroed(); RECEIVE],
            destinations: vec![[0; 7]; RECEIVE],
            queries: vec![[0; QUERY * GROUP]; GROUPS],
            groups: Vec::with_capacity(GROUPS),
        })
    }

    /// Room for `count` queries of `segment` bytes from `source`; they leave with the next [`flush`](Self::flush).
    pub fn group(&mut self, source: Ipv4Addr, segment: usize, count: usize) -> &mut [u8] {
        assert!(count <= GROUP && segment <= QUERY && !self.is_full());
        self.groups.push(Group { source, len: segment * count, segment });
        &mut self.queries[self.groups.len() - 1][..segment * count]
    }

    /// Whether no further group fits before a flush.
    pub fn is_full(&self) -> bool {
        self.groups.len() == GROUPS
    }

    /// Sends every group to `server`.
    pub fn flush(&mut self, server: SocketAddrV4) -> io::Result<()> {
        let mut to = sockaddr(server);
        let mut vectors: [libc::iovec; GROUPS] = zeroed();
        let mut controls: [Control; GROUPS] = [[0; 7]; GROUPS];
        let mut headers: [libc::mmsghdr; GROUPS] = zeroed();
        for (index, group) in self.groups.iter().enumerate() {
            vectors[index] = libc::iovec { iov_base: self.queries[index].as_mut_ptr().cast(), iov_len: group.len };
            let header = &mut headers[index].msg_hdr;
            header.msg_name = (&raw mut to).cast();
            header.msg_namelen = size_of::<libc::sockaddr_in>() as _;
            header.msg_iov = &raw mut vectors[index];
            header.msg_iovlen = 1;
            header.msg_control = controls[index].as_mut_ptr().cast();
            header.msg_controllen = control_len(group);
            write_control(header, group);
        }
        let mut sent = 0;
        while sent < self.groups.len() {
            // SAFETY: the first `groups.len()` headers lead to `to`, to vectors, queries and control messages that
            // all outlive the call, with their true lengths.
            let count = unsafe {
                let left = (self.groups.len() - sent) as u32;
                libc::sendmmsg(self.socket.as_raw_fd(), headers.as_mut_ptr().add(sent), left, 0)
            };
            match usize::try_from(count) {
                Ok(count) => sent += count,
                Err(_) => return Err(io::Error::last_os_error()),
            }
        }
        self.groups.clear();
        Ok(())
    }

    /// Hands every datagram that waits (at most 128) to `each`, with its source and the address of ours that it was
    /// sent to. Never blocks.
    pub fn receive(&mut self, mut each: impl FnMut(SocketAddrV4, Ipv4Addr, &[u8])) -> io::Result<usize> {
        let mut vectors: [libc::iovec; RECEIVE] = zeroed();
        let mut headers: [libc::mmsghdr; RECEIVE] = zeroed();
        for (index, header) in headers.iter_mut().enumerate() {
            vectors[index] = libc::iovec { iov_base: self.received[index].as_mut_ptr().cast(), iov_len: REPLY };
            header.msg_hdr.msg_name = (&raw mut self.sources[index]).cast();
            header.msg_hdr.msg_namelen = size_of::<libc::sockaddr_in>() as _;
            header.msg_hdr.msg_iov = &raw mut vectors[index];
            header.msg_hdr.msg_iovlen = 1;
            header.msg_hdr.msg_control = self.destinations[index].as_mut_ptr().cast();
            header.msg_hdr.msg_controllen = size_of::<Control>();
        }
        // SAFETY: each header leads to a source, a vector, a buffer and room for control messages of the stated
        // lengths, which outlive the call.
        let count = unsafe {
            let flags = libc::MSG_DONTWAIT;
            libc::recvmmsg(self.socket.as_raw_fd(), headers.as_mut_ptr(), RECEIVE as u32, flags, std::ptr::null_mut())
        };
        let Ok(count) = usize::try_from(count) else {
            let error = io::Error::last_os_error();
            return if error.kind() == io::ErrorKind::WouldBlock { Ok(0) } else { Err(error) };
        };
        for (index, header) in headers[..count].iter().enumerate() {
            let from = self.sources[index];
            let ip = Ipv4Addr::from(from.sin_addr.s_addr.to_ne_bytes());
            let from = SocketAddrV4::new(ip, u16::from_be(from.sin_port));
            each(from, destination(&header.msg_hdr), &self.received[index][..header.msg_len as usize]);
        }
        Ok(count)
    }
}

/// Where a datagram was sent to.
fn destination(header: &libc::msghdr) -> Ipv4Addr {
    // SAFETY: the kernel wrote `msg_controllen` bytes of control messages; the first, if any, is packet info, the only
    // kind that was asked for.
    let info = unsafe {
        let first = libc::CMSG_FIRSTHDR(header);
        if first.is_null() {
            return Ipv4Addr::UNSPECIFIED;
        }
        libc::CMSG_DATA(first).cast::<libc::in_pktinfo>().read_unaligned()
    };
    Ipv4Addr::from(info.ipi_addr.s_addr.to_ne_bytes())
}

/// Switches an option of the socket on.
fn set_option(socket: &socket2::Socket, level: i32, option: i32) -> io::Result<()> {
    let on: libc::c_int = 1;
    // SAFETY: the kernel reads an integer that outlives the call.
    let outcome = unsafe {
        let len = size_of::<libc::c_int>() as libc::socklen_t;
        libc::setsockopt(socket.as_raw_fd(), level, option, (&raw const on).cast(), len)
    };
    if outcome == 0 { Ok(()) } else { Err(io::Error::last_os_error()) }
}

fn control_len(group: &Group) -> usize {
    // A group of one is not cut: the kernel refuses a segment size that is not smaller than the whole.
    if group.len > group.segment { 56 } else { 32 }
}

/// Writes the source address and, for more than one datagram, their size.
fn write_control(header: &mut libc::msghdr, group: &Group) {
    let s_addr = u32::from_ne_bytes(group.source.octets());
    let info = libc::in_pktinfo {
        ipi_ifindex: 0,
        ipi_spec_dst: libc::in_addr { s_addr },
        ipi_addr: libc::in_addr { s_addr: 0 },
    };
    // SAFETY: `msg_control` leads to 56 bytes, aligned for a `cmsghdr`: 32 for the first message (16 of header and
    // 12 of data, rounded up) and 24 for the second, which is written only if `control_len` counts it.
    unsafe {
        let first = libc::CMSG_FIRSTHDR(header);
        (*first).cmsg_level = libc::IPPROTO_IP;
        (*first).cmsg_type = libc::IP_PKTINFO;
        (*first).cmsg_len = libc::CMSG_LEN(size_of::<libc::in_pktinfo>() as u32) as _;
        libc::CMSG_DATA(first).cast::<libc::in_pktinfo>().write_unaligned(info);
        if group.len > group.segment {
            let second = libc::CMSG_NXTHDR(header, first);
            (*second).cmsg_level = libc::SOL_UDP;
            (*second).cmsg_type = libc::UDP_SEGMENT;
            (*second).cmsg_len = libc::CMSG_LEN(2) as _;
            libc::CMSG_DATA(second).cast::<u16>().write_unaligned(group.segment as u16);
        }
    }
}

fn sockaddr(addr: SocketAddrV4) -> libc::sockaddr_in {
    libc::sockaddr_in {
        sin_family: libc::AF_INET as _,
        sin_port: addr.port().to_be(),
        sin_addr: libc::in_addr { s_addr: u32::from_ne_bytes(addr.ip().octets()) },
        sin_zero: [0; 8],
    }
}

/// All bits zero.
fn zeroed<T: Copy>() -> T {
    // SAFETY: used in this file only for the plain C structures of libc, for which all bits zero is valid.
    unsafe { std::mem::zeroed() }
}
