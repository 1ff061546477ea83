//! Flags that many commands have.

use clap::Args;

use super::SettingFlags;

/// Swarms: of torrents, and of anything else that has a name.
#[derive(Args, Debug)]
#[group(skip)]
pub struct Swarms {
    /// Infohash, magnet URI, .torrent file, or - for a list.
    #[arg(value_name = "TARGET", required_unless_present = "keys")]
    pub targets: Vec<String>,
    /// Any text, such as a URL; its SHA-1 is the infohash.
    #[arg(id = "keys", long = "key", value_name = "STRING")]
    pub keys: Vec<String>,
}

/// How results are printed, and the settings that matter to every command.
#[derive(Args, Debug)]
#[group(skip)]
pub struct Setup {
    /// Results as JSON, one object a line.
    #[arg(long)]
    pub json: bool,
    #[expect(missing_docs, reason = "clap would take a comment here for the help of the command")]
    #[command(flatten)]
    pub settings: SettingFlags<false>,
}
