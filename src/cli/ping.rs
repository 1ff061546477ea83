//! `trackerless ping`: whether a node is there, who it is, and how it sees us.

use std::net::SocketAddr;

use serde::Serialize;

use super::args::PingArgs;
use super::failure::{Exit, Failure};
use super::network::{self, Base, Network};
use super::output::Printer;
use super::progress::Progress;
use super::session;
use crate::daemon::config::HostPort;
use crate::dht::Pong;

pub(super) fn run(args: PingArgs, environment: &[(String, String)]) -> Result<Exit, Failure> {
    let (base, output) = network::begin(args.setup, environment)?;
    session::block_on(ping(&base, &args.node, output))
}

async fn ping(base: &Base, node: &HostPort, output: Printer) -> Result<Exit, Failure> {
    let progress = Progress::new(format_args!("waiting for {node}"));
    let network = Network::open_alone(base).await?;
    let ask = async |addr| Ok(network.ping(addr).await?.map(|pong| Answer::new(addr, &pong)));
    let answer = session::first_answer(node, ask).await?;
    drop(progress);
    output.result(answer.text(), &answer)?;
    network.close().await?;
    Ok(Exit::Done)
}

/// What a node told by answering.
#[derive(Serialize)]
struct Answer {
    address: SocketAddr,
    id: String,
    version: Option<String>,
    sees_us_as: Option<SocketAddr>,
    rtt_ms: f64,
}

impl Answer {
    fn new(address: SocketAddr, pong: &Pong) -> Self {
        Self {
            address,
            id: pong.contact.id.to_string(),
            version: version_text(&pong.version),
            sees_us_as: pong.external,
            rtt_ms: (pong.rtt.as_secs_f64() * 10_000.0).round() / 10.0,
        }
    }

    fn text(&self) -> String {
        let unknown = || "it does not say".to_owned();
        format!(
            "{}\n  id          {}\n  version     {}\n  sees us as  {}\n  round trip  {:.1} ms",
            self.address,
            self.id,
            self.version.clone().unwrap_or_else(unknown),
            self.sees_us_as.map_or_else(unknown, |addr| addr.to_string()),
            self.rtt_ms,
        )
    }
}

/// Who writes which two letters at the head of `v` (BEP 20 has most of them).
const CLIENTS: [(&[u8], &str); 9] = [
    (b"LT", "libtorrent"),
    (b"lt", "libTorrent (rTorrent)"),
    (b"UT", "uTorrent"),
    (b"TR", "Transmission"),
    (b"A2", "aria2"),
    (b"JC", "jech/dht"),
    (b"RS", "mainline (Rust)"),
    (b"ml", "mldht"),
    (b"Tk", "trackerless"),
];

/// The version of a client as text: its name where it is known, then its two letters and its number as bytes.
fn version_text(version: &[u8]) -> Option<String> {
    let (letters, number) = version.split_at_checked(2)?;
    if !letters.iter().all(u8::is_ascii_graphic) {
        return Some(hex::encode(version));
    }
    let code = format!("{} {}", String::from_utf8_lossy(letters), hex::encode(number));
    let code = code.trim_end().to_owned();
    let client = CLIENTS.iter().find(|(known, _)| *known == letters);
    Some(client.map_or_else(|| code.clone(), |(_, name)| format!("{name} ({code})")))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions_are_readable_whatever_they_are() {
        assert_eq!(version_text(b"LT\x01\x02").as_deref(), Some("libtorrent (LT 0102)"));
        assert_eq!(version_text(b"zz").as_deref(), Some("zz"));
        assert_eq!(version_text(b"\x1b[31m").as_deref(), Some("1b5b33316d"));
        assert_eq!(version_text(b"x"), None);
    }
}
