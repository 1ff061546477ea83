//! One target that is watched: read when the file system tells of a change, and now and then without that.

use std::path::Path;
use std::time::Duration;

use tokio::sync::mpsc;
use tokio::task::spawn_blocking;
use tokio::time::{sleep, timeout};

use super::eyes::Eyes;
use super::reader::{Place, Reader};
use crate::announcer::source::Listing;
use crate::announcer::store::Watched;
use crate::announcer::told::Told;

/// Time that changes are given to come to an end: a file is written in many pieces.
const SETTLE: Duration = Duration::from_millis(250);
/// Time between two looks where the file system tells of changes.
const SELDOM: Duration = Duration::from_mins(1);
/// Time between two looks where it does not.
const OFTEN: Duration = Duration::from_secs(10);
/// Time between two looks at what is not there.
const IN_TROUBLE: Duration = Duration::from_secs(2);

/// Tells what `watched` lists, at once and whenever it changes.
pub(super) async fn follow(watched: Watched, listings: mpsc::Sender<Listing>) {
    let mut reader = Reader::new(watched);
    let (mut told, mut eyes, mut is_blind) = (Told::default(), None, false);
    let mut place = None;
    loop {
        let now_at = reader.place();
        if now_at != place {
            // Another folder may stand there now: eyes see the one that they were opened on.
            eyes = now_at.as_ref().and_then(|at| open(at, &mut is_blind));
            place = now_at;
        }
        let read = spawn_blocking(move || {
            let listing = reader.read();
            (reader, listing)
        });
        let Ok((back, listing)) = read.await else { return };
        reader = back;
        let has_trouble = listing.trouble.is_some();
        // Not kept while it waits: there may be thousands of torrents in it.
        let new = told.is_other(&listing).then_some(listing);
        if let Some(listing) = new
            && listings.send(listing).await.is_err()
        {
            return;
        }
        if reader.is_fixed() {
            return;
        }
        wait(eyes.as_ref(), has_trouble).await;
    }
}

async fn wait(eyes: Option<&Eyes>, has_trouble: bool) {
    let pause = match eyes {
        _ if has_trouble => IN_TROUBLE,
        Some(_) => SELDOM,
        None => OFTEN,
    };
    let Some(eyes) = eyes else { return sleep(pause).await };
    if timeout(pause, eyes.next()).await.is_ok() {
        sleep(SETTLE).await;
    }
}

fn open(place: &Place, is_blind: &mut bool) -> Option<Eyes> {
    let Place { folder, recursive, .. } = place;
    match Eyes::on(folder, *recursive) {
        Ok(eyes) => Some(eyes),
        Err(error) => {
            if !std::mem::replace(is_blind, true) {
                tell_blind(folder, &error);
            }
            None
        }
    }
}

fn tell_blind(folder: &Path, error: &notify::Error) {
    let cure = match error.kind {
        notify::ErrorKind::MaxFilesWatch => "raise fs.inotify.max_user_watches (sysctl) for news within a second",
        _ => "nothing need be done",
    };
    let (folder, seconds) = (folder.display(), OFTEN.as_secs());
    tracing::warn!(%folder, %error, cure, "the file system tells of no changes here; it is looked at every {seconds} s");
}
