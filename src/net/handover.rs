//! Sockets that outlive the process: a manager of services keeps them while the program is started again, so that what arrives
//! in between waits in their buffers instead of being lost.
//!
//! What is inherited, and who keeps sockets, is a matter of the process; a program that does not call [`begin`] has neither. A
//! socket whose port the system chose is not kept: the next run would not look for it.

use std::net::{SocketAddr, TcpListener, UdpSocket};
use std::sync::{Mutex, MutexGuard, PoisonError};

/// A socket of an earlier run.
#[derive(Debug)]
pub enum Inherited {
    /// For datagrams.
    Udp(UdpSocket),
    /// For connections.
    Tcp(TcpListener),
}

/// Who keeps sockets.
#[cfg(unix)]
pub trait Keeper: Send {
    /// Keeps a socket under a name.
    fn keep(&self, name: &str, socket: std::os::fd::BorrowedFd<'_>);
    /// Closes what is kept under a name.
    fn forget(&self, name: &str);
}

/// Elsewhere none keeps them.
#[cfg(not(unix))]
pub trait Keeper: Send {
    /// Closes what is kept under a name.
    fn forget(&self, name: &str);
}

struct Handover {
    inherited: Vec<Inherited>,
    keeper: Option<Box<dyn Keeper>>,
}

static HANDOVER: Mutex<Handover> = Mutex::new(Handover { inherited: Vec::new(), keeper: None });

fn handover() -> MutexGuard<'static, Handover> {
    HANDOVER.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Takes over the sockets of an earlier run; `keeper` keeps those of this one.
pub fn begin(inherited: Vec<Inherited>, keeper: Box<dyn Keeper>) {
    *handover() = Handover { inherited, keeper: Some(keeper) };
}

/// All that is to be bound is bound: whatever was inherited and not taken is closed.
pub fn settle() {
    let mut handover = handover();
    for unwanted in std::mem::take(&mut handover.inherited) {
        let (transport, addr) = match &unwanted {
            Inherited::Udp(socket) => ("udp", socket.local_addr()),
            Inherited::Tcp(listener) => ("tcp", listener.local_addr()),
        };
        if let (Ok(addr), Some(keeper)) = (addr, &handover.keeper) {
            tracing::info!(transport, %addr, "a socket of the earlier run is not wanted any more");
            keeper.forget(&name(transport, addr));
        }
    }
}

/// The process ends: what is kept stays for the next one.
pub fn leave() {
    handover().keeper = None;
}

/// The socket of an earlier run that is bound to `addr`.
pub(crate) fn udp(addr: SocketAddr) -> Option<UdpSocket> {
    let inherited = &mut handover().inherited;
    let is_it =
        |one: &Inherited| matches!(one, Inherited::Udp(socket) if socket.local_addr().is_ok_and(|local| local == addr));
    match inherited.iter().position(is_it).map(|place| inherited.swap_remove(place)) {
        Some(Inherited::Udp(socket)) => Some(socket),
        _ => None,
    }
}

/// Listens at `addr` for connections, with the socket of an earlier run if there is one; it is kept for the next one.
///
/// # Errors
/// As `TcpListener::bind`.
pub async fn listen(addr: SocketAddr) -> std::io::Result<tokio::net::TcpListener> {
    let inherited = {
        let inherited = &mut handover().inherited;
        let is_it = |one: &Inherited| matches!(one, Inherited::Tcp(socket) if socket.local_addr().is_ok_and(|local| local == addr));
        inherited.iter().position(is_it).map(|place| inherited.swap_remove(place))
    };
    let listener = match inherited {
        Some(Inherited::Tcp(listener)) => {
            listener.set_nonblocking(true)?;
            tokio::net::TcpListener::from_std(listener)?
        }
        _ => tokio::net::TcpListener::bind(addr).await?,
    };
    if let Some(kept) = keep("tcp", addr, &listener) {
        kept.stay();
    }
    Ok(listener)
}

/// The same for datagrams.
///
/// # Errors
/// As `UdpSocket::bind`.
pub async fn bind_udp(addr: SocketAddr) -> std::io::Result<tokio::net::UdpSocket> {
    let socket = match udp(addr) {
        Some(socket) => {
            socket.set_nonblocking(true)?;
            tokio::net::UdpSocket::from_std(socket)?
        }
        None => tokio::net::UdpSocket::bind(addr).await?,
    };
    if let Some(kept) = keep("udp", addr, &socket) {
        kept.stay();
    }
    Ok(socket)
}

/// A socket that is kept for the next run, until this is dropped.
#[derive(Debug)]
pub(crate) struct Kept(String);

impl Kept {
    /// Keeps it whatever becomes of the socket.
    pub(crate) fn stay(mut self) {
        self.0.clear();
    }
}

impl Drop for Kept {
    fn drop(&mut self) {
        if let (false, Some(keeper)) = (self.0.is_empty(), &handover().keeper) {
            keeper.forget(&self.0);
        }
    }
}

/// Has a socket kept that was to be bound to `addr`, where there is one who keeps sockets.
#[cfg(unix)]
pub(crate) fn keep(transport: &str, addr: SocketAddr, socket: &impl std::os::fd::AsFd) -> Option<Kept> {
    let handover = handover();
    let keeper = handover.keeper.as_ref().filter(|_| addr.port() != 0)?;
    let name = name(transport, addr);
    keeper.keep(&name, socket.as_fd());
    Some(Kept(name))
}

/// None keeps sockets here.
#[cfg(not(unix))]
pub(crate) fn keep<S>(_: &str, _: SocketAddr, _: &S) -> Option<Kept> {
    None
}

/// The name of a socket, which may have no colon (sd_notify(3)).
fn name(transport: &str, addr: SocketAddr) -> String {
    format!("{transport}-{addr}").replace(':', "_")
}
