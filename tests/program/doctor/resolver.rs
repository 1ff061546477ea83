//! A name server on a host of the test's own.

use std::net::UdpSocket;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;
use std::time::Duration;

use super::super::host::Host;

/// A name server that answers every question for an IPv4 address alike. Ends with its owner.
pub struct Resolver {
    ends: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
}

impl Resolver {
    /// Starts it at 127.0.0.53 of `host`. A name for which there is no answer does not exist.
    pub fn start(host: &Host, answer: fn(&str) -> Option<[u8; 4]>) -> Self {
        let ends = Arc::new(AtomicBool::new(false));
        let (told, bound) = std::sync::mpsc::channel();
        let thread = host.thread({
            let ends = Arc::clone(&ends);
            move || {
                let socket = UdpSocket::bind("127.0.0.53:53").expect("its loopback is up");
                socket.set_read_timeout(Some(Duration::from_millis(50))).expect("not zero");
                told.send(()).expect("it is waited for");
                let mut buffer = [0; 512];
                while !ends.load(Ordering::Relaxed) {
                    let Ok((length, from)) = socket.recv_from(&mut buffer) else { continue };
                    let _ = socket.send_to(&reply(&buffer[..length], answer), from);
                }
            }
        });
        bound.recv().expect("it is bound");
        Self { ends, thread: Some(thread) }
    }
}

impl Drop for Resolver {
    fn drop(&mut self) {
        self.ends.store(true, Ordering::Relaxed);
        drop(self.thread.take().map(JoinHandle::join));
    }
}

/// A reply (RFC 1035) to a query with one question: its own bytes, the answer, and nothing else.
fn reply(query: &[u8], answer: fn(&str) -> Option<[u8; 4]>) -> Vec<u8> {
    let mut at = 12;
    let mut name = String::new();
    while query[at] != 0 {
        let length = usize::from(query[at]);
        name += std::str::from_utf8(&query[at + 1..=at + length]).expect("a name of ours");
        name.push('.');
        at += length + 1;
    }
    let is_for_ipv4 = query[at + 2] == 1;
    let found = answer(name.trim_end_matches('.'));
    let given = found.filter(|_| is_for_ipv4);
    let code = if found.is_some() { 0x80 } else { 0x83 };
    let mut reply = [&query[..2], &[0x81, code, 0, 1, 0, u8::from(given.is_some()), 0, 0, 0, 0]].concat();
    reply.extend(&query[12..at + 5]);
    if let Some(ip) = given {
        reply.extend([0xc0, 12, 0, 1, 0, 1, 0, 0, 0, 60, 0, 4]);
        reply.extend(ip);
    }
    reply
}
