//! Signals: SIGINT, SIGTERM and SIGQUIT ask a program to stop, or Ctrl-C where there are no signals; SIGHUP and SIGXFSZ, which
//! would end it because of its outputs, do not, and neither do SIGUSR1 and SIGUSR2, which say nothing here.

use std::io;
#[cfg(unix)]
use std::sync::Arc;

/// Hears every request to stop from the moment that it is made.
#[derive(Debug)]
pub struct StopSignals {
    #[cfg(unix)]
    interrupt: tokio::signal::unix::Signal,
    #[cfg(unix)]
    terminate: tokio::signal::unix::Signal,
    #[cfg(unix)]
    quit: tokio::signal::unix::Signal,
}

/// The terminal may be closed (SIGHUP), or a file have its greatest size (`ulimit -f`, SIGXFSZ), without an end to the program:
/// what it writes there fails from now on, and nothing else does. Needs no runtime: a program that stays calls it first.
///
/// # Errors
/// The system refuses to deliver signals.
#[cfg(unix)]
pub fn outlive_outputs() -> io::Result<()> {
    outlive(&[signal_hook::consts::SIGHUP, signal_hook::consts::SIGXFSZ])
}

#[cfg(unix)]
fn outlive(signals: &[i32]) -> io::Result<()> {
    for signal in signals {
        signal_hook::flag::register(*signal, Arc::default())?;
    }
    Ok(())
}

#[cfg(unix)]
impl StopSignals {
    /// Begins to listen; from now on no signal that people send to programs ends this one by itself.
    ///
    /// # Errors
    /// The system refuses to deliver signals.
    pub fn listen() -> io::Result<Self> {
        use tokio::signal::unix::{SignalKind, signal};
        outlive_outputs()?;
        outlive(&[signal_hook::consts::SIGUSR1, signal_hook::consts::SIGUSR2])?;
        Ok(Self {
            interrupt: signal(SignalKind::interrupt())?,
            terminate: signal(SignalKind::terminate())?,
            quit: signal(SignalKind::quit())?,
        })
    }

    /// Waits for the next request to stop.
    pub async fn next(&mut self) {
        tokio::select! {
            _ = self.interrupt.recv() => {}
            _ = self.terminate.recv() => {}
            _ = self.quit.recv() => {}
        }
    }
}

/// Hears each request to read the configuration again (SIGHUP).
#[derive(Debug)]
pub struct ReloadSignals {
    #[cfg(unix)]
    hangup: tokio::signal::unix::Signal,
}

impl ReloadSignals {
    /// Begins to listen.
    ///
    /// # Errors
    /// The system refuses to deliver signals.
    #[cfg_attr(not(unix), expect(clippy::unnecessary_wraps, reason = "as where there are signals"))]
    pub fn listen() -> io::Result<Self> {
        Ok(Self {
            #[cfg(unix)]
            hangup: tokio::signal::unix::signal(tokio::signal::unix::SignalKind::hangup())?,
        })
    }

    /// Waits for the next request. Where there are no signals, there is none.
    pub async fn next(&mut self) {
        #[cfg(unix)]
        if self.hangup.recv().await.is_some() {
            return;
        }
        std::future::pending().await
    }
}

#[cfg(not(unix))]
impl StopSignals {
    /// Begins to listen.
    ///
    /// # Errors
    /// Never here.
    pub fn listen() -> io::Result<Self> {
        Ok(Self {})
    }

    /// Waits for the next request to stop. Where Ctrl-C cannot be heard, there is none.
    pub async fn next(&mut self) {
        if tokio::signal::ctrl_c().await.is_err() {
            std::future::pending::<()>().await;
        }
    }
}
