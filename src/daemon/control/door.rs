//! Where the control interface listens: an address, and a Unix socket in the data folder.

use std::io;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};

use tokio::net::TcpListener;
#[cfg(unix)]
use tokio::net::UnixListener;

use crate::daemon::config::Config;
use crate::net::handover;

/// The socket's file in the data folder.
pub const SOCKET_FILE: &str = "control.sock";

/// The name under which it is made, before it gets the rights that it should have.
#[cfg(unix)]
const NEW_SOCKET_FILE: &str = "control.new";

/// Longest path of a Unix socket, in bytes: of Linux 107, of others 103.
#[cfg(unix)]
const LONGEST_PATH: usize = if cfg!(target_os = "linux") { 107 } else { 103 };

/// The address that was chosen for the control interface cannot be had, or its token.
#[derive(Debug, thiserror::Error)]
#[error("the control interface cannot {what}: {source}")]
pub struct ControlError {
    /// What it cannot do.
    pub what: String,
    /// The system's reason.
    pub source: io::Error,
}

/// The two ways in.
#[derive(Debug, Default)]
pub(super) struct Doors {
    pub(super) tcp: Option<TcpListener>,
    #[cfg(unix)]
    pub(super) unix: Option<Socket>,
    /// What it does without, and why.
    pub(super) without: Vec<(String, String)>,
}

/// A Unix socket; its file goes when this is dropped.
#[cfg(unix)]
#[derive(Debug)]
pub(super) struct Socket {
    pub(super) listener: UnixListener,
    path: PathBuf,
}

#[cfg(unix)]
impl Drop for Socket {
    fn drop(&mut self) {
        // Where it cannot be removed, the next run replaces it.
        let _ = std::fs::remove_file(&self.path);
    }
}

/// Binds both. An address that was chosen must be had; everything else can be done without.
pub(super) async fn open(config: &Config, addr: SocketAddr) -> Result<Doors, ControlError> {
    let mut doors = Doors::default();
    match handover::listen(addr).await {
        Ok(listener) => doors.tcp = Some(listener),
        Err(source) if config.origins.control.is_chosen() => {
            return Err(ControlError { what: format!("listen on {addr}"), source });
        }
        Err(source) => doors.without.push((format!("a control interface at {addr}"), source.to_string())),
    }
    #[cfg(unix)]
    match open_socket(&config.data_dir) {
        Ok(socket) => doors.unix = Some(socket),
        Err(why) => doors.without.push((format!("a control socket in {}", config.data_dir.display()), why.to_string())),
    }
    Ok(doors)
}

/// Binds the socket of a folder that this process keeps, so that a file of that name is one that a dead process has left.
#[cfg(unix)]
fn open_socket(folder: &Path) -> io::Result<Socket> {
    use std::fs::{Permissions, remove_file, rename, set_permissions, symlink_metadata};
    use std::os::unix::ffi::OsStrExt as _;
    use std::os::unix::fs::{FileTypeExt as _, PermissionsExt as _};
    let (path, new) = (folder.join(SOCKET_FILE), folder.join(NEW_SOCKET_FILE));
    if path.as_os_str().as_bytes().len() > LONGEST_PATH {
        let why = format!("its path has more than {LONGEST_PATH} bytes; a shorter --data-dir has room for it");
        return Err(io::Error::other(why));
    }
    for old in [&path, &new] {
        match symlink_metadata(old) {
            Ok(file) if file.file_type().is_socket() => remove_file(old)?,
            Ok(_) => return Err(io::Error::other(format!("{} is there and is no socket", old.display()))),
            Err(_) => {}
        }
    }
    let listener = UnixListener::bind(&new)?;
    set_permissions(&new, Permissions::from_mode(0o600))?;
    rename(&new, &path)?;
    Ok(Socket { listener, path })
}

#[cfg(all(test, unix))]
mod tests {
    use super::*;
    use std::os::unix::fs::PermissionsExt as _;

    #[tokio::test]
    async fn a_socket_of_a_dead_process_is_replaced_and_ours_goes_with_us() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join(SOCKET_FILE);
        drop(std::os::unix::net::UnixListener::bind(&path).unwrap());
        assert!(path.exists(), "a dead process leaves its file");
        let socket = open_socket(folder.path()).unwrap();
        assert_eq!(std::fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
        tokio::net::UnixStream::connect(&path).await.unwrap();
        drop(socket);
        assert!(!path.exists() && !folder.path().join(NEW_SOCKET_FILE).exists());
    }

    #[tokio::test]
    async fn what_is_no_socket_stays_and_a_long_path_is_told() {
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(folder.path().join(SOCKET_FILE), "mine").unwrap();
        assert!(open_socket(folder.path()).unwrap_err().to_string().contains("no socket"));
        let deep = folder.path().join("x".repeat(100));
        std::fs::create_dir(&deep).unwrap();
        assert!(open_socket(&deep).unwrap_err().to_string().contains("a shorter --data-dir"));
    }
}
