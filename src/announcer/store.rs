//! What is kept for another run, and where.

use std::sync::Arc;

use super::copies::StoredCopy;
use super::entry::{Evidence, ListedBy};
use crate::engine::id::InfoHash;

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
    pub copies: Vec<StoredCopy>,
    /// What is known of its being seen.
    pub evidence: Evidence,
    /// The port that the copies name; 0 for none.
    pub announced_port: u16,
}
