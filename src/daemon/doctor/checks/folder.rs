//! The data folder and what was saved in it.

use super::super::evidence::Evidence;
use super::super::kinds::{
    CLOCK_BEHIND, FOLDER_FULL, FOLDER_NOT_WRITABLE, NOT_RUNNING, NOT_VISIBLE, SET_ASIDE, SPACE_SHORT, STATE_DAMAGED,
    STATE_OLD,
};
use super::Found;

/// Less than this, in bytes, and not even a small state can be saved.
const NO_ROOM: u64 = 1 << 20;
/// Less than this, in bytes, and the state of a busy node may not fit: its peers take up to 64 MiB, twice while it is saved.
const LITTLE_ROOM: u64 = 128 << 20;
/// Age of a saved state, in seconds, at which most of its nodes have gone.
const OLD: i64 = 7 * 86_400;
/// Seconds by which clocks of one host may differ: the state is saved every five minutes.
const CLOCK_TOLERANCE: i64 = 60;

pub(super) fn check(evidence: &Evidence, found: &mut Found) {
    let folder = &evidence.folder;
    let path = folder.path.display();
    match &evidence.running {
        Some(process) => found.well(format!("the node runs ({process})")),
        None => found.finding(&NOT_RUNNING, path.to_string()),
    }
    let full = folder.no_room || folder.free_bytes.is_some_and(|free| free < NO_ROOM);
    match (&folder.write_error, folder.free_bytes) {
        (_, Some(free)) if full => found.finding(&FOLDER_FULL, format!("{path}: {free} bytes free")),
        (Some(error), _) => found.finding(&FOLDER_NOT_WRITABLE, format!("{path}: {error}")),
        (None, Some(free)) if free < LITTLE_ROOM => {
            found.finding(&SPACE_SHORT, format!("{path}: {} MiB free", free >> 20));
        }
        (None, _) => found.well(format!("the data folder {path} can be written")),
    }
    if let Some(reason) = &folder.damaged {
        found.finding(&STATE_DAMAGED, format!("{path}: {reason}"));
    }
    match folder.state_age_seconds {
        Some(age) if age < -CLOCK_TOLERANCE => {
            found.finding(&CLOCK_BEHIND, format!("the state was saved {} seconds from now", -age));
        }
        Some(age) if age > OLD => found.finding(&STATE_OLD, format!("saved {} days ago", age / 86_400)),
        _ => {}
    }
    if !folder.set_aside.is_empty() {
        found.finding(&SET_ASIDE, folder.set_aside.join(", "));
    }
    match evidence.own_announces {
        Some((all, seen)) if seen < all => found.finding(&NOT_VISIBLE, format!("{seen} of {all} were seen")),
        Some((all @ 1.., _)) => found.well(format!("all {all} announces were seen by another query")),
        _ => {}
    }
}
