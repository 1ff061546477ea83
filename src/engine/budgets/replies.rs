//! What strangers may make us send: queries served for each source, bytes of replies to each network and to all.
//!
//! A source address can be forged, so that our replies reach a third party that asked nothing. Hence:
//!
//! * The bytes to all networks together are bounded, and those to each network (a /24, a /48) too. A reply that is larger
//!   than what is left is a debt.
//! * While more than half of both is left, replies say all that fits: the only question of a new client must bring it
//!   peers. Below, a querier that has not shown that it receives what we send gets at most [`SHORT_REPLY_FACTOR`] bytes for each
//!   byte of its query; below a quarter the id and a token only, which is what it needs to show it.
//! * Questions for the peers of one infohash get half of the bytes to all, at the most: a swarm that everybody asks for does not
//!   silence the others.
//! * The last eighth of the bytes to all, and the last quarter of those to a network, are kept for those who have shown
//!   that they receive: they echoed a token, or have a place in the routing table. They have query budgets of their own
//!   too, so that forged sources cannot spend them.

use std::net::IpAddr;
use std::time::Duration;

use super::shares::Shares;
use super::{Budget, RecentEndpoints};
use crate::engine::id::InfoHash;
use crate::engine::keyed_hash::KeyedHash;
use crate::engine::limits::{
    KEY_REPLIES_PER_SECOND, KEY_REPLY_BURST, KEY_SLOTS, OWNER_REPLY_BURST_BYTES, OWNER_REPLY_BYTES_PER_SECOND,
    OWNER_REPLY_SLOTS, REPLY_BURST_BYTES, REPLY_BYTES_PER_SECOND, SHORT_REPLY_FACTOR, SHOWN_SOURCE_SLOTS, SOURCE_BURST,
    SOURCE_QUERIES_PER_SECOND, SOURCE_SLOTS,
};
use crate::engine::owner::{Level, network, owner};
use crate::engine::random::Random;
use crate::engine::time::Instant;

/// Below these levels of the bytes to all replies are short, then bare, then only for those who have shown that they receive.
const SHORT_BELOW: u32 = REPLY_BURST_BYTES / 2;
const BARE_BELOW: u32 = REPLY_BURST_BYTES / 4;
const RESERVE: u32 = REPLY_BURST_BYTES / 8;
/// The same for the bytes to one network.
const OWNER_SHORT_BELOW: u32 = OWNER_REPLY_BURST_BYTES / 2;
const OWNER_RESERVE: u32 = OWNER_REPLY_BURST_BYTES / 4;
/// Time for which an echoed token shows that its address receives what we send.
const SHOWN_FOR: Duration = Duration::from_mins(15);

/// How much may be said in answer to one query.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Room {
    /// As much as fits into a datagram.
    Full,
    /// At most this many bytes.
    Short(usize),
    /// The envelope and a token.
    Bare,
}

impl Room {
    /// Most bytes of the reply, beyond which only the envelope and a token are written.
    #[must_use]
    pub const fn most_bytes(self) -> usize {
        match self {
            Self::Full => usize::MAX,
            Self::Short(bytes) => bytes,
            Self::Bare => 0,
        }
    }
}

/// Which budget is spent, so that a query is dropped in silence: an error would only add to the noise.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Spent {
    /// The queries of this source.
    Source,
    /// The bytes to this network.
    Owner,
    /// The bytes to all networks.
    All,
}

/// Budgets for queries and replies.
#[derive(Clone, Debug)]
pub struct ReplyBudget {
    bytes: Budget,
    sources: Shares,
    /// The queries of those who have shown that they receive, while the bytes to all are short.
    shown_sources: Shares,
    owners: Shares,
    /// The replies to questions for the peers of an infohash.
    keys: Shares,
    /// The last network that was hashed: that of a query, and of the reply to it.
    last_owner: Option<(u64, u64)>,
    /// Addresses that echoed a token.
    shown: RecentEndpoints,
    hash: KeyedHash,
}

impl ReplyBudget {
    /// Full budgets for all.
    #[must_use]
    pub fn new(random: &mut Random) -> Self {
        let queries = Budget::new(SOURCE_QUERIES_PER_SECOND, SOURCE_BURST);
        let owner = Budget::new(OWNER_REPLY_BYTES_PER_SECOND, OWNER_REPLY_BURST_BYTES);
        Self {
            bytes: Budget::new(REPLY_BYTES_PER_SECOND, REPLY_BURST_BYTES),
            sources: Shares::new(queries, SOURCE_SLOTS),
            shown_sources: Shares::new(queries, SHOWN_SOURCE_SLOTS),
            owners: Shares::new(owner, OWNER_REPLY_SLOTS),
            keys: Shares::new(Budget::new(KEY_REPLIES_PER_SECOND, KEY_REPLY_BURST), KEY_SLOTS),
            last_owner: None,
            hash: KeyedHash::new(random),
            shown: RecentEndpoints::new(SHOWN_FOR, random),
        }
    }

    /// How much may be said in answer to a query of `query_bytes` from `ip`. `in_table` is asked only when budgets run low:
    /// whether the querier has a place in the routing table.
    ///
    /// # Errors
    /// A budget is spent, and the query is not to be answered at all.
    pub fn admit(
        &mut self,
        now: Instant,
        ip: IpAddr,
        query_bytes: usize,
        in_table: impl FnOnce() -> bool,
    ) -> Result<Room, Spent> {
        let left = self.bytes.available(now);
        let owner_mark = self.owner_mark(ip);
        let owner_left = self.owners.of(now, owner_mark).available(now);
        let calm = left >= SHORT_BELOW && owner_left >= OWNER_SHORT_BELOW;
        let shown = !calm && (in_table() || self.has_shown(now, ip));
        let source = source_mark(owner_mark, ip);
        let sources = if shown { &mut self.shown_sources } else { &mut self.sources };
        if !sources.of(now, source).take(now, 1) {
            return Err(Spent::Source);
        }
        let (reserve, owner_reserve) = if shown { (0, 0) } else { (RESERVE, OWNER_RESERVE) };
        if owner_left <= owner_reserve {
            return Err(Spent::Owner);
        }
        if left <= reserve {
            return Err(Spent::All);
        }
        Ok(match () {
            () if calm || shown => Room::Full,
            () if left >= BARE_BELOW => Room::Short(query_bytes * SHORT_REPLY_FACTOR),
            () => Room::Bare,
        })
    }

    /// Whether a question for the peers of `info_hash` is answered: each infohash has a rate, from all askers together.
    pub fn admit_key(&mut self, now: Instant, info_hash: &InfoHash) -> bool {
        let mark = self.hash.of(&info_hash.0.0);
        self.keys.of(now, mark).take(now, 1)
    }

    /// Counts the bytes of a reply that was sent to `ip`: those to its network with the headers that carry them.
    pub fn note_reply(&mut self, now: Instant, ip: IpAddr, bytes: usize) {
        let headers = if ip.is_ipv4() { 28 } else { 48 };
        self.bytes.spend(now, bytes as u32);
        let mark = self.owner_mark(ip);
        self.owners.of(now, mark).spend(now, bytes as u32 + headers);
    }

    /// `ip` echoed a token that we had sent to it.
    pub fn note_shown(&mut self, now: Instant, ip: IpAddr) {
        self.shown.insert(now, &(ip, 0).into());
    }

    fn has_shown(&self, now: Instant, ip: IpAddr) -> bool {
        self.shown.contains(now, &(ip, 0).into())
    }

    /// The hash of a network.
    fn owner_mark(&mut self, ip: IpAddr) -> u64 {
        let owner = owner(ip);
        if let Some((last, mark)) = self.last_owner
            && last == owner
        {
            return mark;
        }
        let mark = self.hash.of(&owner.to_le_bytes()[..7]);
        self.last_owner = Some((owner, mark));
        mark
    }
}

/// The mark of a source: the hash of its network, moved by its place within that network, which saves a second hash. Which
/// sources of different networks share a slot depends on the key alone.
fn source_mark(owner_mark: u64, ip: IpAddr) -> u64 {
    // An odd number whose bits look random, so that no two of the 65,536 sites of a network are alike.
    const SPREAD: u64 = 0xd6e8_feb8_6659_fd93;
    let within = network(ip, Level::Site) & 0xffff;
    owner_mark.wrapping_add(within.wrapping_mul(SPREAD))
}

#[cfg(test)]
mod tests;
