//! Flags that many commands have.

use std::ffi::OsString;
use std::time::Duration;

use clap::Args;

use super::SettingFlags;
use super::number::whole;

/// Swarms: of torrents, and of anything else that has a name.
#[derive(Args, Debug)]
#[group(skip)]
pub struct Swarms {
    /// Infohash, magnet URI, .torrent file, or - for a list.
    #[arg(value_name = "TARGET", required_unless_present = "keys")]
    pub targets: Vec<OsString>,
    /// Any text, such as a URL; its SHA-1 is the infohash.
    #[arg(id = "keys", long = "key", value_name = "STRING")]
    pub keys: Vec<String>,
    /// Begin nothing if a TARGET must be left out.
    #[arg(long)]
    pub strict: bool,
}

/// Patience with the network.
#[derive(Args, Clone, Copy, Debug)]
#[group(skip)]
pub struct Joining {
    /// Longest wait for another node [default: 30].
    ///
    /// Where --timeout is less than 30, that long. With --keep, the command says that there is no network yet, and goes
    /// on joining.
    #[arg(long, value_name = "SECS", hide_short_help = true, value_parser = whole(1..=u32::MAX))]
    pub join_timeout: Option<u32>,
}

/// Longest time that joining may take by default, in seconds.
const JOIN_TIMEOUT: u32 = 30;

impl Joining {
    /// Longest time that joining the DHT may take.
    #[must_use]
    pub fn patience(self) -> Duration {
        self.patience_within(JOIN_TIMEOUT)
    }

    /// The same for a command that gives up after `timeout` seconds: then it does not join for longer either, unless
    /// told so.
    #[must_use]
    pub fn patience_within(self, timeout: u32) -> Duration {
        Duration::from_secs(self.join_timeout.unwrap_or(JOIN_TIMEOUT.min(timeout)).into())
    }
}

/// How results are printed, and the settings that matter to every command.
#[derive(Args, Clone, Debug)]
#[group(skip)]
pub struct Setup {
    /// Results as JSON, one object a line.
    #[arg(long)]
    pub json: bool,
    /// Do without the running node: use one of its own.
    #[arg(long, hide_short_help = true)]
    pub alone: bool,
    #[expect(missing_docs, reason = "clap would take a comment here for the help of the command")]
    #[command(flatten)]
    pub settings: SettingFlags<false>,
}
