//! The file of the gateway's clients: read at the start, written every five minutes and at the end.

use std::fs::{self, File};
use std::io::{self, Read as _, Write as _};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use tokio::time::sleep;
use tracing::{info, warn};

use super::{Monitor, Shared};
use crate::net::clock::unix_seconds;
use crate::tracker::saved::{MAX_FILE_BYTES, Saved, Unreadable};

/// Name of the file in the folder.
const FILE: &str = "gateway.clients";
/// Time between two saves.
const SAVE_EVERY: Duration = Duration::from_secs(5 * 60);
/// Damaged files that are set aside in the same second.
const MAX_ASIDE: u32 = 100;

/// What a folder holds.
#[derive(Debug, PartialEq, Eq)]
enum Found {
    Nothing,
    Clients(Saved),
    /// A file that cannot be read, and where it is now.
    Damaged(Unreadable, PathBuf),
}

/// Gives the broker the clients that were saved in `folder`. A file that is damaged is set aside, and the gateway starts
/// without it.
pub(super) fn restore(shared: &Shared, folder: &Path) {
    match load(folder) {
        Ok(Found::Nothing) => {}
        Ok(Found::Clients(saved)) => {
            let absence = Duration::from_secs(unix_seconds().saturating_sub(saved.at));
            let torrents = shared.with_broker(|broker, now| {
                broker.restore(now, saved.torrents, absence);
                broker.load().torrents
            });
            info!(torrents, "the gateway remembers its clients");
        }
        Ok(Found::Damaged(reason, aside)) => {
            warn!(%reason, moved_to = %aside.display(), "the file of the gateway's clients cannot be read; starting without it");
        }
        Err(error) => {
            let file = folder.join(FILE);
            warn!(%error, file = %file.display(), "the gateway's clients cannot be read; starting without them");
        }
    }
}

/// Saves every five minutes, for ever.
pub(super) async fn save_for_ever(shared: Arc<Shared>, folder: PathBuf) {
    let monitor = Monitor(shared);
    loop {
        sleep(SAVE_EVERY).await;
        if let Err(error) = monitor.save_to(folder.clone()).await {
            warn!(%error, folder = %folder.display(), "the gateway's clients could not be saved; trying again later");
        }
    }
}

impl Monitor {
    /// Saves the clients now, if the gateway has a folder for them.
    ///
    /// # Errors
    /// The system refuses; the file is as it was then.
    pub async fn save(&self) -> io::Result<()> {
        match self.0.keep_in.clone() {
            Some(folder) => self.save_to(folder).await,
            None => Ok(()),
        }
    }

    async fn save_to(&self, folder: PathBuf) -> io::Result<()> {
        let torrents = self.0.with_broker(|broker, now| broker.snapshot(now));
        let saved = Saved { at: unix_seconds(), torrents };
        tokio::task::spawn_blocking(move || store(&folder, &saved.encode())).await.map_err(io::Error::other)?
    }
}

fn load(folder: &Path) -> io::Result<Found> {
    let file = folder.join(FILE);
    let mut bytes = Vec::new();
    match File::open(&file) {
        Ok(open) => open.take(MAX_FILE_BYTES).read_to_end(&mut bytes)?,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Found::Nothing),
        Err(error) => return Err(error),
    };
    match Saved::decode(&bytes) {
        Ok(saved) => Ok(Found::Clients(saved)),
        Err(reason) => set_aside(&file).map(|aside| Found::Damaged(reason, aside)),
    }
}

/// Renames a file to a name that says when, and that no other has.
fn set_aside(file: &Path) -> io::Result<PathBuf> {
    let now = unix_seconds();
    for number in 0..MAX_ASIDE {
        let aside = file.with_file_name(format!("{FILE}.damaged-{now}-{number}"));
        if !aside.exists() {
            return fs::rename(file, &aside).map(|()| aside);
        }
    }
    Err(io::ErrorKind::AlreadyExists.into())
}

/// Replaces the file as a whole, so that a crash leaves the old one or the new one.
fn store(folder: &Path, bytes: &[u8]) -> io::Result<()> {
    let (file, new) = (folder.join(FILE), folder.join(format!("{FILE}.new")));
    match fs::remove_file(&new) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
        _ => {}
    }
    // Created anew: what stands there is never written through, be it a link.
    let mut options = File::options();
    options.write(true).create_new(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    let mut open = options.open(&new)?;
    open.write_all(bytes)?;
    open.sync_all()?;
    fs::rename(&new, &file)?;
    if cfg!(unix) {
        File::open(folder)?.sync_all()?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_stored_is_loaded_and_a_damaged_file_is_set_aside() {
        let folder = tempfile::tempdir().unwrap();
        assert_eq!(load(folder.path()).unwrap(), Found::Nothing);
        let saved = Saved { at: 7, torrents: Vec::new() };
        // A link in the place of the new file is not followed.
        #[cfg(unix)]
        std::os::unix::fs::symlink(folder.path().join("elsewhere"), folder.path().join("gateway.clients.new")).unwrap();
        store(folder.path(), &saved.encode()).unwrap();
        assert!(!folder.path().join("elsewhere").exists());
        assert_eq!(load(folder.path()).unwrap(), Found::Clients(saved.clone()));
        for _ in 0..2 {
            let mut bytes = saved.encode();
            bytes[25] ^= 1;
            store(folder.path(), &bytes).unwrap();
            let Found::Damaged(Unreadable::Damaged, aside) = load(folder.path()).unwrap() else { panic!("read") };
            assert_eq!(fs::read(aside).unwrap(), bytes);
            assert_eq!(load(folder.path()).unwrap(), Found::Nothing);
        }
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 2, "both damaged files are kept");
    }
}
