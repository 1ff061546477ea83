//! The nodes that are tested, each running on an address of its own on loopback.

use std::io::{BufRead as _, BufReader};
use std::net::{Ipv4Addr, SocketAddr};
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};

use tokio::runtime::Runtime;
use trackerless::Dht;

/// A running node; it ends when this is dropped.
pub(crate) struct Target {
    pub(crate) name: &'static str,
    pub(crate) addr: SocketAddr,
    _running: Running,
}

enum Running {
    Trackerless { _dht: Dht, _runtime: Runtime },
    Libtorrent(Child),
    Mainline { _dht: mainline::Dht },
}

impl Drop for Running {
    fn drop(&mut self) {
        if let Self::Libtorrent(child) = self {
            let _ = child.kill();
            let _ = child.wait();
        }
    }
}

impl Target {
    pub(crate) fn trackerless() -> Self {
        let runtime = Runtime::new().expect("a runtime");
        let bind = "127.0.0.1:0".parse().expect("an address");
        let dht = runtime.block_on(Dht::builder().private_network(true).bind(bind).start()).expect("our node");
        let addr = dht.local_addrs()[0];
        Self { name: "trackerless", addr, _running: Running::Trackerless { _dht: dht, _runtime: runtime } }
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
        Self { name: "libtorrent 2.1.1", addr, _running: Running::Libtorrent(child) }
    }

    pub(crate) fn mainline() -> Self {
        let ip = Ipv4Addr::new(127, 0, 0, 3);
        let mut builder = mainline::Dht::builder();
        let dht = builder.server_mode().no_bootstrap().bind_address(ip).build().expect("a node of the mainline crate");
        let info = Runtime::new().expect("a runtime").block_on(dht.clone().as_async().info());
        let addr = SocketAddr::new(ip.into(), info.local_addr().port());
        Self { name: "mainline 8.0.1", addr, _running: Running::Mainline { _dht: dht } }
    }
}
