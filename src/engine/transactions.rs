//! Queries that await their response.
//!
//! A response counts only if it comes from the exact endpoint asked and carries our four random bytes (BEP 5 knows
//! no retransmission; neither do we). A transaction has two deadlines: at the *soft* one it counts as slow, which
//! frees a lookup to ask another node, and a late answer is still welcome; at the *hard* one it is over.

use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::net::SocketAddr;
use std::time::Duration;

use hashbrown::HashTable;

use super::id::NodeId;
use super::limits::TRANSACTIONS;
use super::random::Random;
use super::time::Instant;

/// When an answer is no longer waited for.
pub const HARD_TIMEOUT: Duration = Duration::from_secs(2);

/// A query that awaits its response.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Transaction<P> {
    /// Where it went.
    pub to: SocketAddr,
    /// The id that should answer; `None` where only the address was known.
    pub expected: Option<NodeId>,
    /// When it was sent.
    pub sent: Instant,
    /// What it is for.
    pub purpose: P,
    slow: bool,
}

/// What a deadline brought.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Expired<P> {
    /// The soft deadline: another node may be asked, the answer may still come.
    Slow(Transaction<P>),
    /// The hard deadline: it failed.
    Failed(Transaction<P>),
}

/// All open transactions of a node. Keys are random bytes of our own, so the table needs no keyed hash.
#[derive(Clone, Debug)]
pub struct Transactions<P> {
    open: HashTable<(u32, Transaction<P>)>,
    deadlines: BinaryHeap<Reverse<(Instant, u32, bool)>>,
}

impl<P: Copy> Default for Transactions<P> {
    fn default() -> Self {
        Self { open: HashTable::new(), deadlines: BinaryHeap::new() }
    }
}

impl<P: Copy> Transactions<P> {
    /// Opens one and returns its id for the wire; `None` when too many are open.
    pub fn open(
        &mut self,
        now: Instant,
        to: SocketAddr,
        expected: Option<NodeId>,
        soft_timeout: Duration,
        purpose: P,
        random: &mut Random,
    ) -> Option<[u8; 4]> {
        if self.open.len() >= TRANSACTIONS {
            return None;
        }
        let mut key = random.wire_u32();
        while self.is_open(key) {
            key = random.wire_u32();
        }
        let transaction = Transaction { to, expected, sent: now, purpose, slow: false };
        self.open.insert_unique(hash(key), (key, transaction), |(key, _)| hash(*key));
        if soft_timeout < HARD_TIMEOUT {
            self.deadlines.push(Reverse((now + soft_timeout, key, false)));
        }
        self.deadlines.push(Reverse((now + HARD_TIMEOUT, key, true)));
        Some(key.to_be_bytes())
    }

    /// Closes the transaction that a response or error from `from` answers, if there is one.
    pub fn close(&mut self, transaction: &[u8], from: &SocketAddr) -> Option<Transaction<P>> {
        let key = u32::from_be_bytes(transaction.try_into().ok()?);
        let closed = self.remove(key, |open| open.to == *from)?;
        // The deadlines of answered transactions go once they come first: no caller is woken for them.
        while self.deadlines.peek().is_some_and(|Reverse((_, key, _))| !self.is_open(*key)) {
            self.deadlines.pop();
        }
        Some(closed)
    }

    /// Whether `transaction` is one that is open.
    #[must_use]
    pub fn has(&self, transaction: &[u8]) -> bool {
        transaction.try_into().is_ok_and(|key| self.is_open(u32::from_be_bytes(key)))
    }

    /// The next transaction whose deadline has passed at `now`; call until `None`.
    pub fn expire(&mut self, now: Instant) -> Option<Expired<P>> {
        while let Some(&Reverse((deadline, key, hard))) = self.deadlines.peek()
            && deadline <= now
        {
            self.deadlines.pop();
            if hard {
                if let Some(open) = self.remove(key, |_| true) {
                    return Some(Expired::Failed(open));
                }
            } else if let Some((_, open)) = self.open.find_mut(hash(key), |(other, _)| *other == key) {
                open.slow = true;
                return Some(Expired::Slow(*open));
            }
        }
        None
    }

    /// When [`expire`](Self::expire) should be called next.
    #[must_use]
    pub fn next_deadline(&self) -> Option<Instant> {
        self.deadlines.peek().map(|Reverse((deadline, ..))| *deadline)
    }

    fn is_open(&self, key: u32) -> bool {
        self.open.find(hash(key), |(other, _)| *other == key).is_some()
    }

    /// Takes out the transaction `key` if it is there and `fits`.
    fn remove(&mut self, key: u32, fits: impl Fn(&Transaction<P>) -> bool) -> Option<Transaction<P>> {
        let found = self.open.find_entry(hash(key), |(other, open)| *other == key && fits(open));
        found.ok().map(|found| found.remove().0.1)
    }

    /// How many are open.
    #[must_use]
    pub fn len(&self) -> usize {
        self.open.len()
    }

    /// Whether none is open.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.open.is_empty()
    }
}

/// Spreads a random key over the bits that the table looks at.
const fn hash(key: u32) -> u64 {
    (key as u64).wrapping_mul(0x9e37_79b9_7f4a_7c15)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn addr(port: u16) -> SocketAddr {
        ([1, 2, 3, 4], port).into()
    }

    #[test]
    fn only_the_endpoint_asked_can_answer_and_only_once() {
        let (mut open, mut random) = (Transactions::default(), Random::new([1; 32]));
        let soft = Duration::from_millis(100);
        let key = open.open(Instant::ZERO, addr(1), None, soft, 7, &mut random).expect("room");
        assert_eq!(open.close(&key, &addr(2)), None);
        assert_eq!(open.close(&key[..3], &addr(1)), None);
        assert_eq!(open.close(&[key[0] ^ 1, key[1], key[2], key[3]], &addr(1)), None);
        assert_eq!(open.close(&key, &addr(1)).map(|open| open.purpose), Some(7));
        assert_eq!(open.close(&key, &addr(1)), None);
    }

    #[test]
    fn slow_first_then_failed() {
        let (mut open, mut random) = (Transactions::default(), Random::new([1; 32]));
        let at = |millis: u64| Instant::from_micros(millis * 1000);
        open.open(at(0), addr(1), None, Duration::from_millis(100), (), &mut random).expect("room");
        assert_eq!(open.next_deadline(), Some(at(100)));
        assert_eq!(open.expire(at(99)), None);
        assert!(matches!(open.expire(at(100)), Some(Expired::Slow(_))));
        assert_eq!((open.expire(at(1999)), open.len()), (None, 1));
        assert!(matches!(open.expire(at(2000)), Some(Expired::Failed(_))));
        assert!(open.is_empty());
    }

    #[test]
    fn nobody_is_woken_for_what_was_answered() {
        let (mut open, mut random) = (Transactions::default(), Random::new([1; 32]));
        let at = |millis: u64| Instant::from_micros(millis * 1000);
        let mut ask = |open: &mut Transactions<()>, sent, port| {
            open.open(at(sent), addr(port), None, Duration::from_millis(100), (), &mut random).expect("room")
        };
        let (first, second) = (ask(&mut open, 0, 1), ask(&mut open, 10, 2));
        assert!(open.close(&second, &addr(2)).is_some());
        assert_eq!(open.next_deadline(), Some(at(100)));
        assert!(open.close(&first, &addr(1)).is_some());
        assert_eq!(open.next_deadline(), None);
    }

    #[test]
    fn no_more_than_the_limit_are_open() {
        let (mut open, mut random) = (Transactions::default(), Random::new([1; 32]));
        let mut next = || open.open(Instant::ZERO, addr(1), None, HARD_TIMEOUT, (), &mut random);
        assert_eq!((0..TRANSACTIONS + 5).filter_map(|_| next()).count(), TRANSACTIONS);
    }
}
