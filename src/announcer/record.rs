//! All that is kept of one infohash.

use std::sync::Arc;
use std::time::Duration;

use crate::announcer::copies::Copies;
use crate::announcer::entry::{Evidence, ListedBy};
use crate::announcer::second::Second;
use crate::engine::id::InfoHash;
use crate::engine::time::Instant;

/// All that is kept of one infohash.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Record {
    /// The infohash.
    pub info_hash: InfoHash,
    /// Its name.
    pub name: Option<Arc<str>>,
    /// The sources that list it.
    pub listed: Vec<ListedBy>,
    /// The copies at other nodes.
    pub copies: Copies,
    /// What is known of its being seen.
    pub evidence: Evidence,
    /// The port that the copies name; 0 for none.
    pub announced_port: u16,
}

impl Record {
    /// The same with all instants moved by this number of seconds: the wall clock was set while the program ran.
    #[must_use]
    pub fn moved_by(mut self, seconds: i64) -> Self {
        if seconds == 0 {
            return self;
        }
        let by = Duration::from_secs(seconds.unsigned_abs());
        let moved = |at: Instant| if seconds > 0 { at + by } else { at - by };
        self.copies = self.copies.iter().map(|copy| copy.moved_to(moved(copy.stored()))).collect();
        let moved = |at: Second| moved(at.instant()).into();
        self.evidence.announced = self.evidence.announced.map(moved);
        self.evidence.looked = self.evidence.looked.map(moved);
        self
    }
}
