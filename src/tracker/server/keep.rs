//! The file of the gateway's clients: read at the start, written every five minutes and at the end.

use std::fs::{self, File};
use std::io::{self, Read as _};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::oneshot;
use tokio::time::sleep;
use tracing::{info, warn};

use super::{Monitor, Shared};
use crate::net::clock::unix_seconds;
use crate::net::whole_file::{ReplaceError, WholeFile, name_aside};
use crate::tracker::saved::{MAX_FILE_BYTES, Saved};

/// Name of the file in the folder.
const FILE: &str = "gateway.clients";
/// Time between two saves.
const SAVE_EVERY: Duration = Duration::from_secs(5 * 60);

/// Where the clients are kept, and what a save of them needs.
pub(super) fn prepare(folder: &Path) -> io::Result<WholeFile> {
    WholeFile::prepare(folder.join(FILE)).map_err(|error| error.source)
}

/// What a folder holds.
#[derive(Debug, PartialEq, Eq)]
enum Found {
    Nothing,
    Clients(Saved),
    /// What cannot be read, why, and where it is now.
    Aside(String, PathBuf),
}

/// Gives the broker the clients that were saved in `file`, and back the key of connection ids of that run. A file that is
/// damaged is set aside, and the gateway starts without it.
pub(super) fn restore(shared: &Shared, file: &Path) -> Option<[u8; 16]> {
    match load(file) {
        Ok(Found::Nothing) => {}
        Ok(Found::Clients(saved)) => {
            let absence = Duration::from_secs(unix_seconds().saturating_sub(saved.at));
            let torrents = shared.with_broker(|broker, now| {
                broker.restore(now, saved.torrents, absence);
                broker.load().torrents
            });
            info!(torrents, "the gateway remembers its clients");
            return saved.key;
        }
        Ok(Found::Aside(reason, aside)) => {
            warn!(reason, moved_to = %aside.display(), "the file of the gateway's clients cannot be read; starting without it");
        }
        Err(error) => {
            warn!(%error, file = %file.display(), "the gateway's clients can neither be read nor set aside");
        }
    }
    None
}

/// Saves every five minutes, for ever.
pub(super) async fn save_for_ever(shared: Arc<Shared>) {
    let monitor = Monitor(shared);
    loop {
        sleep(SAVE_EVERY).await;
        if let Err(error) = monitor.save().await {
            warn!(%error, "the gateway's clients could not be saved; trying again later");
        }
    }
}

impl Monitor {
    /// Saves the clients now, if the gateway has a folder for them.
    ///
    /// # Errors
    /// The system refuses; the file is as it was then.
    pub async fn save(&self) -> Result<(), ReplaceError> {
        let Some(file) = self.0.kept.clone() else { return Ok(()) };
        let torrents = self.0.with_broker(|broker, now| broker.snapshot(now));
        let saved = Saved { at: unix_seconds(), key: Some(self.0.connection_ids.key()), torrents };
        let path = file.path().to_owned();
        let failed = |source| ReplaceError { what: "start a thread that writes", path, source };
        // A thread of its own: the runtime waits for ever where the system gives it none.
        let (done, written) = oneshot::channel();
        let thread = std::thread::Builder::new().name("save-clients".to_owned());
        match thread.spawn(move || drop(done.send(file.replace(&saved.encode())))) {
            Ok(_) => written.await.map_err(|error| failed(io::Error::other(error)))?,
            Err(error) => Err(failed(error)),
        }
    }
}

/// What is there. What cannot be read now is set aside, lest the next save take its place.
fn load(file: &Path) -> io::Result<Found> {
    let reason = match read(file) {
        Ok(bytes) => match Saved::decode(&bytes) {
            Ok(saved) => return Ok(Found::Clients(saved)),
            Err(reason) => reason.to_string(),
        },
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Found::Nothing),
        Err(error) => error.to_string(),
    };
    let aside = name_aside(file);
    fs::rename(file, &aside).map(|()| Found::Aside(reason, aside))
}

fn read(file: &Path) -> io::Result<Vec<u8>> {
    // To open a pipe is to wait for its other end.
    if !fs::metadata(file)?.is_file() {
        return Err(io::Error::other("it is no file"));
    }
    let mut bytes = Vec::new();
    File::open(file)?.take(MAX_FILE_BYTES).read_to_end(&mut bytes)?;
    Ok(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tracker::saved::Unreadable;

    #[test]
    fn what_is_stored_is_loaded_and_a_damaged_file_is_set_aside() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join(FILE);
        assert_eq!(load(&file).unwrap(), Found::Nothing);
        // A link in the place of the new file is not followed.
        #[cfg(unix)]
        std::os::unix::fs::symlink(folder.path().join("elsewhere"), folder.path().join("gateway.clients.new")).unwrap();
        let kept = prepare(folder.path()).unwrap();
        let saved = Saved { at: 7, key: None, torrents: Vec::new() };
        kept.replace(&saved.encode()).unwrap();
        assert!(!folder.path().join("elsewhere").exists());
        assert_eq!(load(&file).unwrap(), Found::Clients(saved.clone()));
        for _ in 0..2 {
            let mut bytes = saved.encode();
            bytes[25] ^= 1;
            kept.replace(&bytes).unwrap();
            let Found::Aside(reason, aside) = load(&file).unwrap() else { panic!("read") };
            assert_eq!((reason, fs::read(aside).unwrap()), (Unreadable::Damaged.to_string(), bytes));
            assert_eq!(load(&file).unwrap(), Found::Nothing);
        }
        // What cannot be read at all is not overwritten either.
        fs::create_dir(&file).unwrap();
        assert!(matches!(load(&file).unwrap(), Found::Aside(reason, _) if reason == "it is no file"));
        drop(kept);
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 3, "all that was set aside is kept, and nothing else");
    }
}
