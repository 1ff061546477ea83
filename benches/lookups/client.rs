//! Those who look up: our library in this process, by itself and by the control interface of a node that runs, a short-lived node
//! of it, as a command without a running node has; the others as children that read a line and write a line.

use std::net::SocketAddr;
use std::path::Path;
use std::process::Stdio;
use std::time::{Duration, Instant};

use anyhow::Context as _;
use tokio::io::{AsyncBufReadExt as _, AsyncWriteExt as _, BufReader, Lines};
use tokio::process::{Child, ChildStdin, ChildStdout, Command};
use tokio::task::JoinSet;
use trackerless::announcer::{Announcer, store::MemoryStore};
use trackerless::daemon::config::{Config, Settings};
use trackerless::daemon::control::{Beside, Bound, client, record::LookupEvent};
use trackerless::daemon::live::Live;
use trackerless::engine::node::Serve;
use trackerless::{Dht, InfoHash};

use crate::prepare;

/// Somebody who has joined the network.
pub enum Client {
    /// Our library.
    Own(Dht),
    /// A node that runs, asked by its control socket as the commands do.
    Running(Box<Running>),
    /// A node that joins by this one, looks up and ends, as a command without a running node does.
    OneShot(SocketAddr),
    /// Another program.
    Other(Box<Program>),
}

/// A node with a control interface.
pub struct Running {
    dht: Dht,
    control: client::Client,
    /// The interface ends with this value.
    _service: JoinSet<()>,
    _folder: tempfile::TempDir,
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
    /// All clients, joined; with `own_only` those of this program alone.
    pub async fn start_all(bootstrap: SocketAddr, own_only: bool) -> anyhow::Result<Vec<Self>> {
        let own = Dht::builder().bind("127.4.0.1:6881".parse()?).private_network(true);
        let own = own.bootstrap([bootstrap.to_string()]).start().await?;
        own.bootstrapped().await;
        let running = Running::start(bootstrap).await?;
        let mut clients = vec![Self::Own(own), Self::Running(Box::new(running)), Self::OneShot(bootstrap)];
        if !own_only {
            let mainline = Command::new(prepare::rivals()?);
            let mut libtorrent = Command::new(prepare::python()?);
            libtorrent.arg(Path::new(env!("CARGO_MANIFEST_DIR")).join("benches/servers/libtorrent_lookup.py"));
            clients.push(Self::start("mainline", mainline, "127.4.0.2:6881", bootstrap).await?);
            clients.push(Self::start("libtorrent", libtorrent, "127.4.0.3:6881", bootstrap).await?);
        }
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
            Self::Running(_) => "trackerless, by the control socket",
            Self::OneShot(_) => "trackerless, a node for one lookup",
            Self::Other(program) => program.name,
        }
    }

    /// `find` or `announce`; `None` where the client cannot, or found nothing.
    pub async fn look_up(&mut self, what: &str, info_hash: InfoHash) -> anyhow::Result<Option<Timing>> {
        match self {
            Self::Own(dht) => Ok(look_up(dht, what, info_hash).await),
            Self::Running(_) | Self::OneShot(_) if what == "announce" => Ok(None),
            Self::Running(running) => running.look_up(info_hash).await,
            Self::OneShot(bootstrap) => look_up_once(*bootstrap, info_hash).await,
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

impl Running {
    async fn start(bootstrap: SocketAddr) -> anyhow::Result<Self> {
        let folder = tempfile::tempdir()?;
        let dht = Dht::builder().bind("127.4.0.4:6881".parse()?).private_network(true).data_dir(folder.path());
        let dht = dht.bootstrap([bootstrap.to_string()]).start().await?;
        dht.bootstrapped().await;
        let settings = Settings {
            data_dir: folder.path().to_owned(),
            control: Some("127.0.0.1:0".parse()?),
            ..Settings::default()
        };
        let config = Config { settings, ..Config::default() };
        let bound = Bound::open(&config).await?.context("it is not off")?;
        let (served, mut service) = (dht.clone(), JoinSet::new());
        let announcer = Announcer::new(dht.clone(), MemoryStore::default()).await?;
        let beside = Beside { gateway: None, index: None, announcer, live: Live::new(config), ports: None };
        service.spawn(async move { bound.serve(&served, beside).await });
        let control = client::Client::of_folder(folder.path()).await.context("it runs")?;
        Ok(Self { dht, control, _service: service, _folder: folder })
    }

    async fn look_up(&self, info_hash: InfoHash) -> anyhow::Result<Option<Timing>> {
        let sent = sent(&self.dht).await;
        let start = Instant::now();
        let millis = || start.elapsed().as_secs_f64() * 1e3;
        let mut first_peer_ms = None;
        let mut events = self.control.look_up(info_hash, None).await?;
        while let Some(event) = events.next().await? {
            if matches!(event, LookupEvent::Peers { .. }) {
                first_peer_ms.get_or_insert_with(millis);
            }
        }
        let end_ms = Some(millis());
        let datagrams_sent = Some((self::sent(&self.dht).await - sent) as f64);
        Ok(first_peer_ms.map(|_| Timing { first_peer_ms, end_ms, datagrams_sent }))
    }
}

async fn look_up_once(bootstrap: SocketAddr, info_hash: InfoHash) -> anyhow::Result<Option<Timing>> {
    let start = Instant::now();
    let dht = Dht::builder().bind("127.4.0.5:0".parse()?).private_network(true).serve(Serve::Never);
    let dht = dht.bootstrap([bootstrap.to_string()]).start().await?;
    dht.bootstrapped().await;
    let joined_ms = start.elapsed().as_secs_f64() * 1e3;
    let timing = look_up(&dht, "find", info_hash).await.map(|timing| Timing {
        first_peer_ms: timing.first_peer_ms.map(|ms| ms + joined_ms),
        end_ms: timing.end_ms.map(|ms| ms + joined_ms),
        ..timing
    });
    dht.shutdown().await?;
    Ok(timing)
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
