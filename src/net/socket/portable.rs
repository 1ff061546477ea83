//! One system call per datagram: every system that tokio knows has this.

use std::collections::VecDeque;
use std::io;
use std::net::SocketAddr;

use tokio::net::UdpSocket;

use super::{BATCH, MAX_DATAGRAM, Received};
use crate::engine::contact::canonical;

/// A buffer to receive into and a queue to send from.
#[derive(Debug)]
pub(super) struct OneByOne {
    /// One byte longer than any datagram that is let in, so that a longer one shows.
    incoming: Box<[u8; MAX_DATAGRAM + 1]>,
    /// An error that came after datagrams of the same batch: told at the next call.
    late: Option<io::Error>,
    /// Destination and length of each queued datagram; their bytes lie in `payloads`, one after the other.
    queue: VecDeque<(SocketAddr, usize)>,
    payloads: Vec<u8>,
    /// Where in `payloads` the head of the queue starts.
    head: usize,
}

impl OneByOne {
    pub(super) fn new() -> Self {
        Self {
            incoming: Box::new([0; MAX_DATAGRAM + 1]),
            late: None,
            queue: VecDeque::with_capacity(BATCH),
            payloads: Vec::new(),
            head: 0,
        }
    }

    pub(super) fn receive(
        &mut self,
        udp: &UdpSocket,
        each: &mut impl FnMut(SocketAddr, &[u8]),
    ) -> io::Result<Received> {
        if let Some(error) = self.late.take() {
            return Err(error);
        }
        let mut received = Received::default();
        while received.whole + received.truncated < BATCH {
            match udp.try_recv_from(&mut self.incoming[..]) {
                Ok((len, _)) if len > MAX_DATAGRAM => received.truncated += 1,
                Ok((len, from)) => {
                    each(canonical(from), &self.incoming[..len]);
                    received.whole += 1;
                }
                Err(error) if is_too_long(&error) => received.truncated += 1,
                Err(error) if received.whole + received.truncated == 0 => return Err(error),
                Err(error) => {
                    self.late = (error.kind() != io::ErrorKind::WouldBlock).then_some(error);
                    break;
                }
            }
        }
        Ok(received)
    }

    pub(super) fn push(&mut self, to: SocketAddr, payload: &[u8]) -> bool {
        if self.queue.len() == BATCH {
            return false;
        }
        if self.queue.is_empty() {
            self.payloads.clear();
            self.head = 0;
        }
        self.queue.push_back((to, payload.len()));
        self.payloads.extend_from_slice(payload);
        true
    }

    pub(super) fn queued(&self) -> usize {
        self.queue.len()
    }

    pub(super) fn send(&mut self, udp: &UdpSocket) -> io::Result<usize> {
        let Some(&(to, len)) = self.queue.front() else { return Ok(0) };
        udp.try_send_to(&self.payloads[self.head..self.head + len], to)?;
        self.skip();
        Ok(1)
    }

    pub(super) fn skip(&mut self) {
        self.head += self.queue.pop_front().map_or(0, |(_, len)| len);
    }
}

/// Windows says it with an error where others cut the datagram (WSAEMSGSIZE).
fn is_too_long(error: &io::Error) -> bool {
    cfg!(windows) && error.raw_os_error() == Some(10040)
}
