//! The nodes that are tested, each running on an address of its own.

use std::io::{BufRead as _, BufReader};
use std::net::{Ipv4Addr, SocketAddr};
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use tokio::runtime::Runtime;
use trackerless::Dht;
use trackerless::conform::Pool;
use trackerless::conform::udp::{LAN, Manners};

/// A running node; it ends when this is dropped.
pub(crate) struct Target {
    pub(crate) name: &'static str,
    pub(crate) addr: SocketAddr,
    pub(crate) manners: Manners,
    /// Where our sources are; 127.0.0.0/8 by itself.
    pub(crate) pool: Option<Pool>,
    _running: Running,
}

enum Running {
    Trackerless { _dht: Dht, _runtime: Runtime },
    Libtorrent(Child),
    Mainline { _dht: mainline::Dht },
    Transmission { child: Child, _folder: tempfile::TempDir },
}

impl Drop for Running {
    fn drop(&mut self) {
        if let Self::Libtorrent(child) | Self::Transmission { child, .. } = self {
            let _ = child.kill();
            let _ = child.wait();
        }
    }
}

impl Target {
    /// A node on 127.0.0.0/8 without limits.
    const fn unlimited(name: &'static str, addr: SocketAddr, running: Running) -> Self {
        Self { name, addr, manners: LAN, pool: None, _running: running }
    }

    pub(crate) fn trackerless() -> Self {
        let runtime = Runtime::new().expect("a runtime");
        let bind = "127.0.0.1:0".parse().expect("an address");
        let dht = runtime.block_on(Dht::builder().private_network(true).bind(bind).start()).expect("our node");
        let addr = dht.local_addrs()[0];
        Self::unlimited("trackerless", addr, Running::Trackerless { _dht: dht, _runtime: runtime })
    }

    /// A session of libtorrent in a Python of its own, which prints the port that it took.
    pub(crate) fn libtorrent() -> Self {
        let root = PathBuf::from(env!("CARGO_MANIFEST_DIR"));
        let venv = root.join("target/interop/venv/bin/python");
        let python = std::env::var_os("PYTHON").map_or(venv, PathBuf::from);
        let script = root.join("tests/interop/clients/rasterbar_node.py");
        let mut command = Command::new(&python);
        let mut child = command
            .args(["-u".as_ref(), script.as_os_str(), "127.0.0.2".as_ref()])
            .stdout(Stdio::piped())
            .spawn()
            .unwrap_or_else(|error| panic!("{}: {error}; `tests/run interop` installs libtorrent", python.display()));
        let mut line = String::new();
        let _ = BufReader::new(child.stdout.take().expect("piped")).read_line(&mut line);
        let addr = line.trim().parse().unwrap_or_else(|_| panic!("libtorrent says {line:?}, not its address"));
        Self::unlimited("libtorrent 2.1.1", addr, Running::Libtorrent(child))
    }

    pub(crate) fn mainline() -> Self {
        let ip = Ipv4Addr::new(127, 0, 0, 3);
        let mut builder = mainline::Dht::builder();
        let dht = builder.server_mode().no_bootstrap().bind_address(ip).build().expect("a node of the mainline crate");
        let info = Runtime::new().expect("a runtime").block_on(dht.clone().as_async().info());
        let addr = SocketAddr::new(ip.into(), info.local_addr().port());
        Self::unlimited("mainline 8.0.1", addr, Running::Mainline { _dht: dht })
    }

    /// The daemon in a folder of its own. jech/dht serves 100 queries a second, and ignores nodes on 127.0.0.0/8.
    pub(crate) fn transmission() -> Self {
        let addr: SocketAddr = "198.18.250.1:51413".parse().expect("an address");
        let folder = tempfile::tempdir().expect("a folder");
        let settings = format!(
            r#"{{"bind-address-ipv4": "{}", "bind-address-ipv6": "::1", "dht-enabled": true, "lpd-enabled": false,
                "peer-port": {}, "peer-port-random-on-start": false, "pex-enabled": false,
                "port-forwarding-enabled": false, "rpc-enabled": false, "utp-enabled": false}}"#,
            addr.ip(),
            addr.port()
        );
        std::fs::write(folder.path().join("settings.json"), settings).expect("the folder can be written");
        let mut command = Command::new("transmission-daemon");
        command.args(["--foreground", "--config-dir"]).arg(folder.path()).stdout(Stdio::null()).stderr(Stdio::null());
        let child = command.spawn().expect("transmission-daemon is installed");
        let manners = Manners { pace: Duration::from_millis(12), patience: Duration::from_millis(250) };
        let pool = Some(Pool::around(Ipv4Addr::new(198, 18, 0, 0)));
        let running = Running::Transmission { child, _folder: folder };
        Self { name: "Transmission 3.00", addr, manners, pool, _running: running }
    }
}
