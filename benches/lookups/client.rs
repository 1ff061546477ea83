//! Those who look up: our library in this process, the others as children that read a line and write a line.

use std::net::SocketAddr;
use std::path::Path;
use std::process::Stdio;
use std::time::{Duration, Instant};

use anyhow::Context as _;
use tokio::io::{AsyncBufReadExt as _, AsyncWriteExt as _, BufReader, Lines};
use tokio::process::{Child, ChildStdin, ChildStdout, Command};
use trackerless::{Dht, InfoHash};

use crate::prepare;

/// Somebody who has joined the network.
pub enum Client {
    /// Our library.
    Own(Dht),
    /// Another program.
    Other(Box<Program>),
}

/// A child that reads and writes lines.
pub struct Program {
    name: &'static str,
    input: ChildStdin,
    output: Lines<BufReader<ChildStdout>>,
    /// Ends with this value.
    _child: Child,
}

/// What one lookup took, as far as the client tells.
#[derive(Clone, Copy, Debug)]
pub struct Timing {
    pub first_peer_ms: Option<f64>,
    pub end_ms: Option<f64>,
    pub datagrams_sent: Option<f64>,
}

impl Client {
    /// All clients, joined.
    pub async fn start_all(bootstrap: SocketAddr) -> anyhow::Result<Vec<Self>> {
        let own = Dht::builder().bind("127.4.0.1:6881".parse()?).private_network(true);
        let own = own.bootstrap([bootstrap.to_string()]).start().await?;
        own.bootstrapped().await;
        let mainline = Command::new(prepare::rivals()?);
        let mut libtorrent = Command::new(prepare::python()?);
        libtorrent.arg(Path::new(env!("CARGO_MANIFEST_DIR")).join("benches/servers/libtorrent_lookup.py"));
        let mut clients = vec![
            Self::Own(own),
            Self::start("mainline", mainline, "127.4.0.2:6881", bootstrap).await?,
            Self::start("libtorrent", libtorrent, "127.4.0.3:6881", bootstrap).await?,
        ];
        // The first lookup of each fills its table.
        for client in &mut clients {
            client.look_up("find", InfoHash::from([0x11; 20])).await?;
        }
        Ok(clients)
    }

    async fn start(
        name: &'static str,
        mut command: Command,
        listen: &str,
        bootstrap: SocketAddr,
    ) -> anyhow::Result<Self> {
        command.args([listen, &bootstrap.to_string(), "lookup"]);
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).kill_on_drop(true);
        let mut child = command.spawn().with_context(|| format!("starting {name}"))?;
        let input = child.stdin.take().context("its input")?;
        let mut output = BufReader::new(child.stdout.take().context("its output")?).lines();
        let ready = tokio::time::timeout(Duration::from_secs(60), output.next_line()).await;
        anyhow::ensure!(ready??.as_deref() == Some("ready"), "{name} did not join");
        Ok(Self::Other(Box::new(Program { name, input, output, _child: child })))
    }

    pub const fn name(&self) -> &'static str {
        match self {
            Self::Own(_) => "trackerless",
            Self::Other(program) => program.name,
        }
    }

    /// `find` or `announce`; `None` where the client cannot, or found nothing.
    pub async fn look_up(&mut self, what: &str, info_hash: InfoHash) -> anyhow::Result<Option<Timing>> {
        match self {
            Self::Own(dht) => Ok(look_up(dht, what, info_hash).await),
            // libtorrent does not tell when an announce has come to its end.
            Self::Other(program) if program.name == "libtorrent" && what == "announce" => Ok(None),
            Self::Other(program) => {
                program.input.write_all(format!("{what} {info_hash}\n").as_bytes()).await?;
                let line = tokio::time::timeout(Duration::from_secs(60), program.output.next_line()).await;
                Ok(parse(&line??.context("it ended")?))
            }
        }
    }
}

fn parse(line: &str) -> Option<Timing> {
    let mut words = line.split(' ').map(|word| word.parse().ok());
    let mut next = || words.next();
    Some(Timing { first_peer_ms: next()?, end_ms: next()?, datagrams_sent: next()? })
}

async fn look_up(dht: &Dht, what: &str, info_hash: InfoHash) -> Option<Timing> {
    let sent = sent(dht).await;
    let start = Instant::now();
    let millis = || start.elapsed().as_secs_f64() * 1e3;
    let mut first_peer_ms = None;
    let done = if what == "announce" {
        !dht.announce(info_hash, 6881, false).await.stored_at.is_empty()
    } else {
        let mut peers = dht.find_peers(info_hash).await;
        while peers.next().await.is_some() {
            first_peer_ms.get_or_insert_with(millis);
        }
        first_peer_ms.is_some()
    };
    let end_ms = Some(millis());
    let datagrams_sent = Some((self::sent(dht).await - sent) as f64);
    done.then_some(Timing { first_peer_ms, end_ms, datagrams_sent })
}

/// Datagrams that the node has sent: its replies and its upkeep are among them.
async fn sent(dht: &Dht) -> u64 {
    dht.status().await.iter().map(|status| status.stats.sent).sum()
}
