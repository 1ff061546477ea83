//! What the system counts and allows.

use super::super::evidence::Evidence;
use super::super::kinds::{CONNTRACK_FULL, DROPPED_DATAGRAMS, FEW_FILES};
use super::Found;

/// Fewer files than this, and a gateway with some hundred clients has none left.
const FEWEST_FILES: u64 = 1024;

pub(super) fn check(evidence: &Evidence, found: &mut Found) {
    let system = &evidence.system;
    match system.conntrack {
        // Nine tenths.
        Some((count, max)) if count * 10 >= max * 9 => {
            found.finding(&CONNTRACK_FULL, format!("{count} of {max} entries"));
        }
        Some((count, max)) => found.well(format!("{count} of {max} tracked connections")),
        None => {}
    }
    match system.udp {
        // One in a thousand.
        Some((delivered, dropped)) if dropped > 100 && dropped * 1_000 > delivered => {
            found.finding(&DROPPED_DATAGRAMS, format!("{dropped} dropped, {delivered} delivered"));
        }
        Some(_) => {}
        None => found.unknown("whether the kernel drops datagrams", "this system does not count them where we look"),
    }
    if let Some(files) = system.files.filter(|files| *files < FEWEST_FILES) {
        found.finding(&FEW_FILES, format!("{files} files"));
    }
}
