//! A stream whose writes have a longest time, and which others may look at while it is read and written.

use std::io;
use std::net::Shutdown;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use socket2::SockRef;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;
#[cfg(unix)]
use tokio::net::UnixStream;
use tokio::time::{Sleep, sleep};

/// A connection, of either kind.
#[derive(Debug)]
pub(super) enum Wire {
    Tcp(TcpStream),
    #[cfg(unix)]
    Unix(UnixStream),
}

/// The same call of whichever kind it is.
macro_rules! either {
    ($wire:expr, $stream:ident => $call:expr) => {
        match $wire {
            Wire::Tcp($stream) => $call,
            #[cfg(unix)]
            Wire::Unix($stream) => $call,
        }
    };
}

impl Wire {
    /// Waits for a byte and leaves it there; 0 at the end of the stream. A client of a Unix socket is never looked at.
    pub(super) async fn peek(&self) -> io::Result<usize> {
        match self {
            Self::Tcp(tcp) => tcp.peek(&mut [0]).await,
            #[cfg(unix)]
            Self::Unix(_) => std::future::pending().await,
        }
    }
}

/// The stream. A write fails when the client has taken no byte for [`Stream::patience`].
#[derive(Debug)]
pub(super) struct Stream {
    wire: Arc<Wire>,
    patience: Duration,
    /// Ends the write that waits for the client, if one does.
    stalled: Option<Pin<Box<Sleep>>>,
}

impl Stream {
    pub(super) const fn new(wire: Arc<Wire>, patience: Duration) -> Self {
        Self { wire, patience, stalled: None }
    }

    /// Waits on, unless that took too long.
    fn poll_patience(&mut self, cx: &mut Context<'_>) -> Poll<io::Error> {
        let patience = self.patience;
        let stalled = self.stalled.get_or_insert_with(|| Box::pin(sleep(patience)));
        stalled.as_mut().poll(cx).map(|()| io::ErrorKind::TimedOut.into())
    }
}

impl AsyncRead for Stream {
    fn poll_read(self: Pin<&mut Self>, cx: &mut Context<'_>, buffer: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        loop {
            ready!(either!(&*self.wire, stream => stream.poll_read_ready(cx)))?;
            match either!(&*self.wire, stream => stream.try_read(buffer.initialize_unfilled())) {
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                read => return Poll::Ready(read.map(|length| buffer.advance(length))),
            }
        }
    }
}

impl AsyncWrite for Stream {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        loop {
            match either!(&*self.wire, stream => stream.poll_write_ready(cx))? {
                Poll::Ready(()) => match either!(&*self.wire, stream => stream.try_write(bytes)) {
                    Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                    written => {
                        self.stalled = None;
                        return Poll::Ready(written);
                    }
                },
                Poll::Pending => return self.poll_patience(cx).map(Err),
            }
        }
    }

    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(either!(&*self.wire, stream => SockRef::from(stream).shutdown(Shutdown::Write)))
    }
}
