//! A PostgreSQL server of a test's own, in a folder that vanishes with it, on a Unix socket there. The server refuses to run
//! as root: it then runs as `nobody`.

use std::io::{BufReader, Read as _};
use std::os::unix::fs::chown;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use tempfile::TempDir;

/// The user and the group `nobody` of Debian.
const NOBODY: u32 = 65_534;
/// The password of the user `trackerless`.
pub const PASSWORD: &str = "open sesame";

/// The server, or what is left of it after it was killed.
pub struct Server {
    folder: TempDir,
    programs: PathBuf,
    settings: Vec<String>,
    process: Option<Child>,
}

/// Where Debian keeps the programs of the server, the newest version first.
fn programs() -> Option<PathBuf> {
    let mut found: Vec<PathBuf> = std::fs::read_dir("/usr/lib/postgresql")
        .ok()?
        .filter_map(|entry| Some(entry.ok()?.path().join("bin")))
        .collect();
    found.sort();
    found.into_iter().rfind(|path| path.join("initdb").exists())
}

impl Server {
    /// A running server with an empty database; `None` where none is installed, which is a failure with CI set.
    pub fn start(settings: &[&str]) -> Option<Self> {
        let Some(programs) = programs() else {
            assert!(std::env::var_os("CI").is_none(), "CI needs PostgreSQL: apt-get install postgresql");
            println!("skipped: no PostgreSQL here");
            return None;
        };
        let folder = TempDir::new().expect("a temporary folder");
        std::fs::write(folder.path().join("password"), PASSWORD).unwrap();
        if is_root() {
            chown(folder.path(), Some(NOBODY), Some(NOBODY)).unwrap();
        }
        let settings = settings.iter().map(|setting| (*setting).to_owned()).collect();
        let mut server = Self { folder, programs, settings, process: None };
        let mut initdb = server.program("initdb");
        initdb.args([
            "--username=trackerless",
            "--auth=scram-sha-256",
            "--no-sync",
            "--encoding=UTF8",
            "--locale=C.UTF-8",
        ]);
        initdb.arg("--pwfile").arg(server.path().join("password")).arg("-D").arg(server.path().join("data"));
        let made = initdb.output().unwrap();
        assert!(made.status.success(), "{}", String::from_utf8_lossy(&made.stderr));
        server.run();
        Some(server)
    }

    pub fn path(&self) -> &Path {
        self.folder.path()
    }

    /// The address of its database, with the password.
    pub fn url(&self) -> String {
        let password = PASSWORD.replace(' ', "%20");
        format!("postgres://trackerless:{password}@/postgres?host={}", self.path().display())
    }

    /// Runs statements as the user who owns everything; what they print.
    pub fn sql(&self, statements: &str) -> String {
        let mut psql = self.program("psql");
        psql.args(["-X", "-A", "-t", "-v", "ON_ERROR_STOP=1", "-U", "trackerless", "-d", "postgres", "-h"]);
        psql.arg(self.path()).args(["-p", &self.port(), "-c", statements]).env("PGPASSWORD", PASSWORD);
        let done = psql.output().unwrap();
        assert!(done.status.success(), "{statements}: {}", String::from_utf8_lossy(&done.stderr));
        String::from_utf8(done.stdout).unwrap().trim().to_owned()
    }

    /// The port, which is a part of the name of the socket too.
    fn port(&self) -> String {
        self.settings.iter().find_map(|setting| setting.strip_prefix("port=")).unwrap_or("5432").to_owned()
    }

    /// Starts the server that was killed or stopped, and waits until it answers.
    pub fn run(&mut self) {
        // The processes of a server that was killed may still be ending: then the new one refuses to start.
        for _ in 0..200 {
            let mut child = self.command().stderr(Stdio::piped()).stdout(Stdio::null()).spawn().unwrap();
            let mut lines = BufReader::new(child.stderr.take().unwrap());
            if is_ready(&mut lines) {
                std::thread::spawn(move || lines.read_to_end(&mut Vec::new()));
                self.process = Some(child);
                return;
            }
            child.wait().unwrap();
        }
        panic!("the server does not start");
    }

    /// Ends the server at once, as a power failure would. The process that serves a connection outlives the server until it
    /// notices, and may answer meanwhile: it is ended too.
    pub fn kill(&mut self) {
        let Some(mut process) = self.process.take() else { return };
        // One that stands still starts no other process.
        send("STOP", &[process.id()]);
        let all = with_children(process.id());
        send("KILL", &all);
        process.wait().unwrap();
        while all.iter().any(|id| is_running(*id)) {
            std::thread::yield_now();
        }
    }

    /// Lets the server stand still, or go on: `STOP` and `CONT`.
    pub fn signal(&self, name: &str) {
        send(name, &with_children(self.process.as_ref().unwrap().id()));
    }

    /// Its processes, those for connections too; none while it is down.
    pub fn processes(&self) -> Vec<u32> {
        self.process.as_ref().map_or_else(Vec::new, |process| with_children(process.id()))
    }

    fn command(&self) -> Command {
        let mut command = self.program("postgres");
        command.arg("-D").arg(self.path().join("data")).arg("-k").arg(self.path());
        command.args(["-c", "listen_addresses=", "-c", "max_connections=30"]);
        for setting in &self.settings {
            command.args(["-c", setting]);
        }
        command
    }

    /// A program of the server, run by a user who is not root.
    fn program(&self, name: &str) -> Command {
        let path = self.programs.join(name);
        let mut command = match is_root() {
            true => {
                let mut command = Command::new("setpriv");
                command.args([&format!("--reuid={NOBODY}"), &format!("--regid={NOBODY}"), "--clear-groups"]).arg(path);
                command
            }
            false => Command::new(path),
        };
        command.current_dir(self.path()).env("LC_ALL", "C.UTF-8").env("HOME", self.path()).stdin(Stdio::null());
        command
    }
}

/// Lets the server read files that a test has made: a key it reads only if the key is its own.
pub fn give_to_the_server(folder: &Path, files: &[&str]) {
    use std::os::unix::fs::PermissionsExt as _;
    std::fs::set_permissions(folder, std::fs::Permissions::from_mode(0o755)).unwrap();
    for file in files {
        std::fs::set_permissions(file, std::fs::Permissions::from_mode(0o600)).unwrap();
        if is_root() {
            chown(file, Some(NOBODY), Some(NOBODY)).unwrap();
        }
    }
}

fn is_root() -> bool {
    rustix::process::geteuid().is_root()
}

/// The server and the processes that it has started.
fn with_children(id: u32) -> Vec<u32> {
    let children = std::fs::read_to_string(format!("/proc/{id}/task/{id}/children")).unwrap();
    children.split_whitespace().map(|child| child.parse().unwrap()).chain([id]).collect()
}

/// Sends a signal to processes, of which some may have ended meanwhile.
fn send(name: &str, ids: &[u32]) {
    let ids = ids.iter().map(u32::to_string);
    Command::new("kill").arg(format!("-{name}")).args(ids).stderr(Stdio::null()).status().unwrap();
}

/// Whether a process can still do something: one that has ended may wait for its parent to notice.
fn is_running(id: u32) -> bool {
    let stat = std::fs::read_to_string(format!("/proc/{id}/stat")).unwrap_or_default();
    stat.rsplit_once(") ").is_some_and(|(_, state)| !state.starts_with(['Z', 'X']))
}

fn is_ready(lines: &mut impl std::io::BufRead) -> bool {
    let mut line = String::new();
    while lines.read_line(&mut line).unwrap() > 0 {
        if line.contains("ready to accept connections") {
            return true;
        }
        line.clear();
    }
    false
}

impl Drop for Server {
    fn drop(&mut self) {
        let Some(mut process) = self.process.take() else { return };
        // An immediate end, of all its processes.
        let _ = Command::new("kill").args(["-QUIT", &process.id().to_string()]).status();
        let _ = process.wait();
    }
}
