//! Builds and installs the servers that are not ours, under `target/`.

use std::io;
use std::path::{Path, PathBuf};
use std::process::Command;

/// The node of the `mainline` crate.
pub fn rivals() -> io::Result<PathBuf> {
    let manifest = Path::new(env!("CARGO_MANIFEST_DIR")).join("benches/rivals/Cargo.toml");
    let target = target().join("rivals");
    run(Command::new("cargo")
        .args(["build", "--release", "--quiet", "--manifest-path"])
        .arg(manifest)
        .args(["--target-dir".as_ref(), target.as_os_str()]))?;
    Ok(target.join("release/rivals"))
}

/// A Python that has libtorrent: the system's, or an environment of our own.
pub fn python() -> io::Result<PathBuf> {
    let has_libtorrent =
        |python: &Path| Command::new(python).args(["-c", "import libtorrent"]).status().is_ok_and(|s| s.success());
    let system = PathBuf::from("python3");
    let own = target().join("bench-python");
    let python = own.join("bin/python");
    if has_libtorrent(&system) {
        return Ok(system);
    }
    if !has_libtorrent(&python) {
        run(Command::new(&system).args(["-m", "venv"]).arg(&own))?;
        run(Command::new(&python).args(["-m", "pip", "install", "--quiet", "libtorrent==2.1.1"]))?;
    }
    Ok(python)
}

/// A copy of the script beside its dependency, where Node looks for it.
pub fn node_script(scripts: &Path) -> io::Result<PathBuf> {
    let directory = target().join("bench-node");
    std::fs::create_dir_all(&directory)?;
    if !directory.join("node_modules/bittorrent-dht").exists() {
        run(Command::new("npm").current_dir(&directory).args([
            "install",
            "--ignore-scripts",
            "--no-audit",
            "--no-fund",
            "--silent",
            "bittorrent-dht@10.0.7",
        ]))?;
    }
    let script = directory.join("node.mjs");
    std::fs::copy(scripts.join("bittorrent_dht_node.mjs"), &script)?;
    Ok(script)
}

fn target() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("target")
}

fn run(command: &mut Command) -> io::Result<()> {
    let status = command.status()?;
    if status.success() { Ok(()) } else { Err(io::Error::other(format!("{command:?}: {status}"))) }
}
