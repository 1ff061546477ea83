//! Which infohash is announced next, to whom, and when it is looked for: pure, and told the time.
//!
//! 1. Sources list infohashes ([`Schedule::list`]). What is missing from the newest list of a source is dropped.
//! 2. [`Schedule::next`] names what is to be begun now: an announce, a look along another path, or nothing until an instant.
//! 3. The caller does it, and tells how it went ([`Schedule::announced`], [`Schedule::looked`]).
//!
//! Those that no node holds go first, seeds of small swarms before others, each once before any goes twice; then those whose
//! copies are due, the longest overdue first. An announce begins with the nodes that held it last time; copies that are
//! young enough are left alone. Every infohash is looked for within an hour; looks wait for announces, except that one
//! start in `LOOK_EVERY` is a look.
//!
//! Invariants: at most `max` entries; a private, paused or unlisted infohash is never named for an announce; an infohash is
//! announced by one operation at a time; what is begun stays within the budget (`spending.rs`). Nothing here reads a clock:
//! the instants may count from any start, also one that outlives the program.

mod order;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use super::copies::{Copies, StoredCopy};
use super::entry::{AnnounceError, Entry, ListedBy, Place, Rank, Wanted, Withheld};
use super::record::Record;
use super::second::Second;
use super::source::{Listed, Listing};
use super::spending::{Kind, Spending};
use super::view::{Announcement, Counters, SourceStatus, State, Totals};
use crate::engine::contact::{CompactAddr, Family};
use crate::engine::id::InfoHash;
use crate::engine::limits::K;
use crate::engine::node::Holder;
use crate::engine::random::Random;
use crate::engine::time::Instant;

pub use order::{AnnounceOrder, Announced, Look, LookOrder, Next};

/// Announces under way at once.
const ANNOUNCES_AT_ONCE: usize = 32;
/// Looks under way at once.
const LOOKS_AT_ONCE: usize = 8;
/// While announces wait, one start in this many is a look.
const LOOK_EVERY: u32 = 8;
/// Time from one look to the next, in seconds: at the least and at the most. Within the hour, a look that waits included.
const LOOK_AFTER_SECS: (usize, usize) = (51 * 60, 58 * 60);
/// Time from the first announce to the first look, in seconds: at the least and at the most.
const FIRST_LOOK_AFTER_SECS: (usize, usize) = (2, 12);
/// Time until what no node stored is announced again; twice as long for each failure more.
const RETRY: Duration = Duration::from_mins(1);
/// Longest time until what failed is tried again.
const LONGEST_RETRY: Duration = Duration::from_mins(30);
/// Time after an announce before which it is not begun afresh, although it was not seen; twice as long for each failure more.
const AFRESH_AFTER: Duration = Duration::from_mins(5);
/// Time until the network is tried again when no node answers; twice as long each time.
const SILENCE: Duration = Duration::from_secs(2);
/// Longest time until the network is tried again.
const LONGEST_SILENCE: Duration = Duration::from_mins(1);
/// Time after its turn from which an infohash is overdue.
const OVERDUE_AFTER: Duration = Duration::from_mins(3);
/// Age of a look that still counts as evidence.
const LOOK_COUNTS_FOR: Duration = Duration::from_hours(2);
/// Entries of a source that cannot be used and are remembered by name.
const LEFT_OUT: usize = 1000;

/// What the schedule goes by.
#[derive(Clone, Debug)]
pub struct Terms {
    /// Where its randomness comes from.
    pub seed: [u8; 32],
    /// New destinations a second that the program may ask; nine tenths of them are spent here at the most.
    pub new_destinations_per_second: u32,
    /// The port that is announced where no source knows one.
    pub port: Option<u16>,
    /// Most infohashes.
    pub max: usize,
}

/// The schedule. See the module's documentation.
#[derive(Debug)]
pub struct Schedule {
    terms: Terms,
    entries: BTreeMap<InfoHash, Box<Entry>>,
    sources: BTreeMap<Arc<str>, SourceStatus>,
    later: BTreeSet<(Second, InfoHash)>,
    ready: BTreeSet<(Rank, InfoHash)>,
    looks: BTreeSet<(Second, InfoHash)>,
    announcing: BTreeMap<InfoHash, Announcing>,
    looking: BTreeMap<InfoHash, f64>,
    spending: Spending,
    random: Random,
    /// Entries that differ from what was taken by [`Self::take_changed`].
    changed: BTreeSet<InfoHash>,
    /// The sources differ from what was taken by [`Self::take_sources`].
    sources_changed: bool,
    since_look: u32,
    silence: Option<Silence>,
    counters: Counters,
}

/// An announce under way.
#[derive(Clone, Debug)]
struct Announcing {
    kind: Kind,
    reserved: f64,
    wanted: Wanted,
    held: Vec<StoredCopy>,
}

/// No node answers.
#[derive(Clone, Copy, Debug)]
struct Silence {
    since: Instant,
    until: Instant,
    pause: Duration,
}

impl Schedule {
    /// An empty schedule.
    #[must_use]
    pub fn new(terms: Terms) -> Self {
        Self {
            entries: BTreeMap::new(),
            sources: BTreeMap::new(),
            later: BTreeSet::new(),
            ready: BTreeSet::new(),
            looks: BTreeSet::new(),
            announcing: BTreeMap::new(),
            looking: BTreeMap::new(),
            spending: Spending::new(terms.new_destinations_per_second),
            random: Random::new(terms.seed),
            changed: BTreeSet::new(),
            sources_changed: false,
            since_look: 0,
            silence: None,
            counters: Counters::default(),
            terms,
        }
    }

    // What is told from outside.

    /// Takes what an earlier run has kept, of the sources that go on. Copies that live are not announced again before their
    /// time.
    pub fn restore(&mut self, now: Instant, records: impl IntoIterator<Item = Record>, goes_on: impl Fn(&str) -> bool) {
        for mut record in records {
            let info_hash = record.info_hash;
            record.listed.retain(|by| goes_on(&by.source));
            if self.entries.len() >= self.terms.max || record.listed.is_empty() {
                self.changed.insert(info_hash);
                continue;
            }
            for by in &mut record.listed {
                // One text for all entries of a source.
                let known = self.sources.get_key_value(&by.source).map(|(name, _)| Arc::clone(name));
                by.source = known.unwrap_or_else(|| Arc::clone(&by.source));
                self.sources.entry(Arc::clone(&by.source)).or_default().torrents += 1;
            }
            let mut entry = Entry::new(record.name);
            (entry.listed, entry.copies) = (record.listed.into(), record.copies);
            (entry.evidence, entry.announced_port) = (record.evidence, record.announced_port);
            entry.jitter = self.draw();
            // What lies in the future is not known: the clock was set back.
            entry.evidence.looked = entry.evidence.looked.filter(|looked| looked.instant() <= now);
            let (looked, is_seen) = (entry.evidence.looked, entry.evidence.seen_as.is_some());
            self.entries.insert(info_hash, Box::new(entry));
            self.settle(now, info_hash);
            let (soon, after) = (now + self.draw_secs(FIRST_LOOK_AFTER_SECS), self.draw_secs(LOOK_AFTER_SECS));
            let seen = looked.filter(|_| is_seen);
            self.look_at(info_hash, seen.map_or(soon, |at| soon.max(at.instant() + after)));
        }
    }

    /// A source tells all that it lists now.
    pub fn list(&mut self, now: Instant, listing: Listing) {
        let source = listing.source;
        let mut status = self.sources.remove(&source).unwrap_or_default();
        if status.since.is_none() || status.trouble.is_some() != listing.trouble.is_some() {
            status.since = Some(now);
        }
        (status.left_out, status.trouble) = (listing.left_out, listing.trouble);
        status.left_out.truncate(LEFT_OUT);
        if let Some(torrents) = listing.torrents {
            let mut named: Vec<InfoHash> = torrents.iter().map(|listed| listed.infohash).collect();
            named.sort_unstable();
            named.dedup();
            self.unlist(now, &source, |info_hash| named.binary_search(info_hash).is_err());
            for listed in &torrents {
                self.list_one(now, &source, listing.ipv4_only, listed);
            }
            let taken = named.iter().filter(|info_hash| self.entries.contains_key(info_hash)).count();
            (status.torrents, status.refused) = (taken, named.len() - taken);
            status.listed = Some(now);
        }
        self.sources.insert(source, status);
        self.sources_changed = true;
    }

    /// A source lists one infohash more, or another way; whether there was room for it.
    pub fn list_more(&mut self, now: Instant, source: &Arc<str>, listed: &Listed) -> bool {
        let is_known = self.listed_by(&listed.infohash, source).is_some();
        let taken = self.list_one(now, source, false, listed);
        self.sources.entry(Arc::clone(source)).or_default().torrents += usize::from(taken && !is_known);
        self.sources_changed |= taken && !is_known;
        taken
    }

    /// A source lists one infohash no longer; whether it did.
    pub fn list_no_more(&mut self, now: Instant, source: &str, info_hash: InfoHash) -> bool {
        let is_known = self.listed_by(&info_hash, source).is_some();
        if is_known {
            self.unlist(now, source, |other| *other == info_hash);
            self.sources_changed = true;
        }
        if let Some(status) = self.sources.get_mut(source).filter(|_| is_known) {
            status.torrents = status.torrents.saturating_sub(1);
        }
        is_known
    }

    /// What a source says of an infohash.
    #[must_use]
    pub fn listed_by(&self, info_hash: &InfoHash, source: &str) -> Option<ListedBy> {
        self.entries.get(info_hash)?.listed.iter().find(|by| *by.source == *source).cloned()
    }

    /// A source is no more.
    pub fn forget_source(&mut self, now: Instant, source: &str) {
        self.unlist(now, source, |_| true);
        self.sources.remove(source);
        self.sources_changed = true;
    }

    /// This host has another address, or has slept: what others hold is not ours any more, or gone.
    pub fn announce_all_again(&mut self, now: Instant) {
        let all: Vec<InfoHash> = self.entries.keys().copied().collect();
        for info_hash in all {
            self.announce_again(now, info_hash);
        }
    }

    /// The same for one infohash; whether there is such a one.
    pub fn announce_again(&mut self, now: Instant, info_hash: InfoHash) -> bool {
        let Some(entry) = self.entries.get_mut(&info_hash) else { return false };
        entry.expire();
        match entry.place {
            Place::Running => entry.again = true,
            Place::Out => {}
            Place::Later(_) | Place::Ready(_) => self.settle(now, info_hash),
        }
        self.changed.insert(info_hash);
        true
    }

    /// The port that is announced where no source knows one.
    pub fn set_port(&mut self, now: Instant, port: Option<u16>) {
        let before = std::mem::replace(&mut self.terms.port, port);
        if before == port {
            return;
        }
        let touched = |entry: &Entry| entry.wanted(before) != entry.wanted(port);
        let all: Vec<InfoHash> =
            self.entries.iter().filter(|(_, entry)| touched(entry)).map(|(info_hash, _)| *info_hash).collect();
        all.into_iter().for_each(|info_hash| self.settle(now, info_hash));
    }

    /// New destinations a second that the program may ask, and most infohashes. What there is already stays.
    pub fn set_bounds(&mut self, now: Instant, new_destinations_per_second: u32, max: usize) {
        self.terms.max = max;
        if self.terms.new_destinations_per_second != new_destinations_per_second {
            self.terms.new_destinations_per_second = new_destinations_per_second;
            self.spending.set_rate(now, new_destinations_per_second);
        }
    }

    /// An announce that [`Self::next`] named has come to its end.
    pub fn announced(&mut self, now: Instant, outcome: &Announced) {
        let Some(announcing) = self.announcing.remove(&outcome.info_hash) else { return };
        let cost = outcome.asked.saturating_sub(outcome.stored.len());
        self.spending.end(now, announcing.kind, announcing.reserved, cost);
        self.counters.announces += 1;
        self.counters.announce_queries += outcome.asked as u64;
        self.counters.stored += outcome.stored.len() as u64;
        self.counters.failed += u64::from(outcome.stored.is_empty());
        self.note_answers(now, outcome.answered);
        let jitter = self.draw();
        let Some(entry) = self.entries.get_mut(&outcome.info_hash) else { return };
        entry.announced_port = announcing.wanted.port;
        entry.jitter = jitter;
        entry.afresh = false;
        if outcome.answered > 0 {
            entry.copies = merged(&outcome.info_hash, now, outcome, &announcing.held);
        }
        let failed = outcome.stored.is_empty() && entry.living(now) == 0;
        note_announce(entry, now, outcome, failed);
        // What was found before another port or address is no evidence any more.
        let looked = entry.look_at.is_some() && entry.evidence.looked.is_some();
        let again = std::mem::take(&mut entry.again);
        let retry = backoff(RETRY, entry.evidence.failures);
        if again {
            entry.expire();
        }
        entry.place = Place::Out;
        self.settle(now, outcome.info_hash);
        if failed && !again && outcome.answered > 0 && self.is_wanted(&outcome.info_hash) {
            self.place(outcome.info_hash, Place::Later((now + retry).into()));
        }
        if !failed && !looked {
            let at = now + self.draw_secs(FIRST_LOOK_AFTER_SECS);
            self.look_at(outcome.info_hash, at);
        }
        self.changed.insert(outcome.info_hash);
    }

    /// A look that [`Self::next`] named has come to its end.
    pub fn looked(&mut self, now: Instant, look: &Look) {
        let Some(reserved) = self.looking.remove(&look.info_hash) else { return };
        self.spending.end(now, Kind::Look, reserved, look.asked);
        self.counters.look_queries += look.asked as u64;
        self.note_answers(now, look.answered);
        let next = self.draw_secs(LOOK_AFTER_SECS);
        let Some(entry) = self.entries.get_mut(&look.info_hash) else { return };
        if look.answered == 0 {
            return self.look_at(look.info_hash, now + RETRY);
        }
        self.counters.looks += 1;
        let evidence = &mut entry.evidence;
        (evidence.looked, evidence.seen_as) = (Some(now.into()), look.seen_as.as_ref().map(CompactAddr::new));
        if look.seen_as.is_some() {
            (evidence.error, evidence.failures) = (None, 0);
            self.look_at(look.info_hash, now + next);
        } else {
            self.counters.not_seen += 1;
            self.not_seen(now, look.info_hash);
        }
        self.changed.insert(look.info_hash);
    }

    // What is to be done.

    /// What is to be begun now. Call it until it says to wait.
    pub fn next(&mut self, now: Instant) -> Next {
        self.wake_those_due(now);
        if let Some(until) = self.waits_for_network(now) {
            return Next::Wait(until);
        }
        let look_first = self.since_look >= LOOK_EVERY;
        let look = if look_first { self.begin_look(now) } else { None };
        if let Some(look) = look {
            return Next::Look(look);
        }
        if let Some(order) = self.begin_announce(now) {
            self.since_look += 1;
            return Next::Announce(order);
        }
        match self.begin_look(now) {
            Some(look) => Next::Look(look),
            None => Next::Wait(self.wake_at(now)),
        }
    }

    fn wake_those_due(&mut self, now: Instant) {
        while let Some(&(due, info_hash)) = self.later.first()
            && due.instant() <= now
        {
            self.place(info_hash, Place::Ready(Rank::Again(due)));
        }
    }

    /// While no node answers, one attempt after the other.
    fn waits_for_network(&self, now: Instant) -> Option<Option<Instant>> {
        let silence = self.silence?;
        match self.announcing.is_empty() && self.looking.is_empty() {
            true => (now < silence.until).then_some(Some(silence.until)),
            false => Some(None),
        }
    }

    fn begin_announce(&mut self, now: Instant) -> Option<AnnounceOrder> {
        if self.announcing.len() >= ANNOUNCES_AT_ONCE {
            return None;
        }
        let (_, info_hash) = *self.ready.first()?;
        let entry = self.entries.get(&info_hash).expect("what is ready is an entry");
        let wanted = entry.wanted(self.terms.port).expect("what is ready is wanted");
        let kind = if entry.afresh || entry.copies.is_empty() { Kind::Fresh } else { Kind::Renewal };
        let reserved = self.spending.begin(now, kind)?;
        let holders = if kind == Kind::Fresh { Arc::default() } else { holders(entry, now) };
        let is_held = |copy: &StoredCopy| holders.iter().any(|h| h.is_held && h.contact == copy.contact());
        let held = entry.copies.iter().filter(is_held).collect();
        self.place(info_hash, Place::Running);
        self.announcing.insert(info_hash, Announcing { kind, reserved, wanted, held });
        let Wanted { port, seed, ipv4_only } = wanted;
        Some(AnnounceOrder { info_hash, port, seed, ipv4_only, holders })
    }

    fn begin_look(&mut self, now: Instant) -> Option<LookOrder> {
        while self.looking.len() < LOOKS_AT_ONCE {
            let (at, info_hash) = *self.looks.first()?;
            if at.instant() > now {
                return None;
            }
            let entry = self.entries.get(&info_hash).expect("what is looked for is an entry");
            if entry.place == Place::Running || entry.living(now) == 0 {
                // Its announce comes first; a look follows that.
                self.stop_looking(info_hash);
                continue;
            }
            let port = entry.announced_port;
            let reserved = self.spending.begin(now, Kind::Look)?;
            self.stop_looking(info_hash);
            self.looking.insert(info_hash, reserved);
            self.since_look = 0;
            return Some(LookOrder { info_hash, port });
        }
        None
    }

    /// When there may be something to begin, if nothing comes to its end before.
    fn wake_at(&self, now: Instant) -> Option<Instant> {
        let look = self.looks.first().map(|(at, _)| at.instant());
        let has_room = self.announcing.len() < ANNOUNCES_AT_ONCE;
        let waits = !self.ready.is_empty() && has_room || look.is_some_and(|at| at <= now);
        let budget = waits.then(|| self.spending.next(now));
        let later = self.later.first().map(|(due, _)| due.instant());
        [budget, later, look.filter(|at| *at > now)].into_iter().flatten().min()
    }

    // What is known.

    /// How an infohash is.
    #[must_use]
    pub fn announcement(&self, now: Instant, info_hash: &InfoHash) -> Option<Announcement> {
        Some(self.view(now, info_hash, self.entries.get(info_hash)?))
    }

    /// How all infohashes after this one are, in their order.
    pub fn announcements(&self, now: Instant, after: Option<InfoHash>) -> impl Iterator<Item = Announcement> + '_ {
        use std::ops::Bound::{Excluded, Unbounded};
        let range = (after.map_or(Unbounded, Excluded), Unbounded);
        self.entries.range(range).map(move |(info_hash, entry)| self.view(now, info_hash, entry))
    }

    /// How all of them are together.
    #[must_use]
    pub fn totals(&self, now: Instant) -> Totals {
        let mut totals = Totals { counters: self.counters, behind: self.ready.len(), ..Totals::default() };
        for entry in self.entries.values() {
            *totals.states.entry(self.state(now, entry)).or_default() += 1;
            totals.copies += entry.living(now);
            let evidence = &entry.evidence;
            let seen_at = evidence.looked.filter(|_| evidence.seen_as.is_some()).map(Second::instant);
            totals.seen_within_hour += usize::from(seen_at.is_some_and(|at| now.since(at) <= Duration::from_hours(1)));
        }
        let fresh = self.ready.iter().take_while(|(rank, _)| matches!(rank, Rank::First { .. })).count();
        let renewed = self.ready.len() - fresh;
        totals.catches_up_in =
            self.spending.time_for(Kind::Fresh, fresh) + self.spending.time_for(Kind::Renewal, renewed);
        totals.offline = self.silence.map(|silence| now.since(silence.since));
        totals
    }

    /// The sources, and how each is.
    #[must_use]
    pub const fn sources(&self) -> &BTreeMap<Arc<str>, SourceStatus> {
        &self.sources
    }

    /// Number of infohashes.
    #[must_use]
    pub fn len(&self) -> usize {
        self.entries.len()
    }

    /// Whether there is no infohash.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }

    /// What is to be kept for another run: what has changed since the last call, at most this many. `None` for an infohash
    /// that is gone.
    pub fn take_changed(&mut self, most: usize) -> Vec<(InfoHash, Option<Record>)> {
        let mut taken = Vec::new();
        while taken.len() < most
            && let Some(info_hash) = self.changed.pop_first()
        {
            taken.push((info_hash, self.record(info_hash)));
        }
        taken
    }

    /// The sources, if one has changed since the last call.
    pub fn take_sources(&mut self) -> Option<BTreeMap<Arc<str>, SourceStatus>> {
        std::mem::take(&mut self.sources_changed).then(|| self.sources.clone())
    }

    /// Whether there is something to take.
    #[must_use]
    pub fn has_changed(&self) -> bool {
        self.sources_changed || !self.changed.is_empty()
    }

    /// These could not be kept, and perhaps the sources neither: they are named again.
    pub fn not_kept(&mut self, info_hashes: impl IntoIterator<Item = InfoHash>, sources: bool) {
        self.changed.extend(info_hashes);
        self.sources_changed |= sources;
    }
}

// How it is done.
impl Schedule {
    fn list_one(&mut self, now: Instant, source: &Arc<str>, ipv4_only: bool, listed: &Listed) -> bool {
        let info_hash = listed.infohash;
        let port = self.terms.port;
        let is_new = !self.entries.contains_key(&info_hash);
        if is_new && self.entries.len() >= self.terms.max {
            return false;
        }
        let entry = self.entries.entry(info_hash).or_insert_with(|| Box::new(Entry::new(listed.name.clone())));
        let before = (entry.name.clone(), entry.listed.clone());
        let wanted = entry.wanted(port);
        entry.list(source, ipv4_only, listed);
        if (&before.0, &before.1) != (&entry.name, &entry.listed) {
            let changed_port = entry.wanted(port).map(|wanted| wanted.port) != wanted.map(|wanted| wanted.port);
            self.changed.insert(info_hash);
            if changed_port || is_new {
                self.settle(now, info_hash);
            }
        }
        true
    }

    /// Drops those of a source that `which` names.
    fn unlist(&mut self, now: Instant, source: &str, which: impl Fn(&InfoHash) -> bool) {
        let port = self.terms.port;
        let mut touched = Vec::new();
        for (info_hash, entry) in self.entries.iter_mut().filter(|(info_hash, _)| which(info_hash)) {
            let before = entry.wanted(port);
            if entry.unlist(source) {
                let is_other = entry.wanted(port).map(|wanted| wanted.port) != before.map(|wanted| wanted.port);
                touched.push((*info_hash, entry.listed.is_empty(), is_other));
            }
        }
        for (info_hash, is_gone, is_other) in touched {
            self.changed.insert(info_hash);
            if is_gone {
                self.place(info_hash, Place::Out);
                self.stop_looking(info_hash);
                self.entries.remove(&info_hash);
            } else if is_other {
                self.settle(now, info_hash);
            }
        }
    }

    /// Gives an entry the place that it should have now.
    fn settle(&mut self, now: Instant, info_hash: InfoHash) {
        let Some(entry) = self.entries.get_mut(&info_hash) else { return };
        let wanted = entry.wanted(self.terms.port);
        if let Some(announcing) = self.announcing.get(&info_hash) {
            entry.again |= wanted.is_ok_and(|wanted| wanted.port != announcing.wanted.port);
            return;
        }
        let place = match wanted {
            Err(_) => Place::Out,
            Ok(wanted) => {
                if entry.announced_port != wanted.port {
                    entry.expire();
                }
                match entry.due(now) {
                    Some(due) if due > now => Place::Later(due.into()),
                    Some(due) => Place::Ready(Rank::Again(due.into())),
                    None => Place::Ready(entry.first_rank(&info_hash, wanted.seed)),
                }
            }
        };
        self.place(info_hash, place);
        if place == Place::Out {
            self.stop_looking(info_hash);
        }
    }

    fn is_wanted(&self, info_hash: &InfoHash) -> bool {
        self.entries.get(info_hash).is_some_and(|entry| entry.wanted(self.terms.port).is_ok())
    }

    /// Moves an entry from its place in the queues to another.
    fn place(&mut self, info_hash: InfoHash, place: Place) {
        let Some(entry) = self.entries.get_mut(&info_hash) else { return };
        match std::mem::replace(&mut entry.place, place) {
            Place::Later(due) => drop(self.later.remove(&(due, info_hash))),
            Place::Ready(rank) => drop(self.ready.remove(&(rank, info_hash))),
            Place::Out | Place::Running => {}
        }
        match place {
            Place::Later(due) => drop(self.later.insert((due, info_hash))),
            Place::Ready(rank) => drop(self.ready.insert((rank, info_hash))),
            Place::Out | Place::Running => {}
        }
    }

    fn look_at(&mut self, info_hash: InfoHash, at: Instant) {
        self.stop_looking(info_hash);
        if !self.is_wanted(&info_hash) {
            return;
        }
        if let Some(entry) = self.entries.get_mut(&info_hash) {
            let at = Second::from(at);
            entry.look_at = Some(at);
            self.looks.insert((at, info_hash));
        }
    }

    fn stop_looking(&mut self, info_hash: InfoHash) {
        if let Some(at) = self.entries.get_mut(&info_hash).and_then(|entry| entry.look_at.take()) {
            self.looks.remove(&(at, info_hash));
        }
    }

    /// A look did not find it: it is announced afresh, unless that was done a moment ago.
    fn not_seen(&mut self, now: Instant, info_hash: InfoHash) {
        let Some(entry) = self.entries.get_mut(&info_hash) else { return };
        let failures = entry.evidence.failures.saturating_add(1);
        (entry.evidence.failures, entry.evidence.error) = (failures, Some(AnnounceError::NotSeen));
        let announced = entry.evidence.announced.map_or(Instant::ZERO, Second::instant);
        let afresh = now.since(announced) >= backoff(AFRESH_AFTER, failures) && matches!(entry.place, Place::Later(_));
        entry.afresh |= afresh;
        if afresh {
            self.place(info_hash, Place::Ready(Rank::Again(now.into())));
        }
        self.look_at(info_hash, now + backoff(AFRESH_AFTER, failures));
    }

    /// Whether others answer at all.
    fn note_answers(&mut self, now: Instant, answered: usize) {
        if answered > 0 {
            self.silence = None;
            return;
        }
        let before = self.silence;
        if before.is_some_and(|silence| now < silence.until) {
            return;
        }
        let pause = before.map_or(SILENCE, |silence| (silence.pause * 2).min(LONGEST_SILENCE));
        self.silence = Some(Silence { since: before.map_or(now, |silence| silence.since), until: now + pause, pause });
    }

    fn draw(&mut self) -> f32 {
        self.random.wire_below(1 << 20) as f32 / (1 << 20) as f32
    }

    fn draw_secs(&mut self, (least, most): (usize, usize)) -> Duration {
        Duration::from_secs((least + self.random.wire_below(most - least)) as u64)
    }

    fn view(&self, now: Instant, info_hash: &InfoHash, entry: &Entry) -> Announcement {
        let wanted = entry.wanted(self.terms.port).ok();
        let evidence = &entry.evidence;
        Announcement {
            info_hash: *info_hash,
            name: entry.name.clone(),
            state: self.state(now, entry),
            port: wanted.map(|wanted| wanted.port),
            seed: wanted.is_some_and(|wanted| wanted.seed),
            stored_at: entry.living(now),
            announced: evidence.announced.map(Second::instant),
            looked: evidence.looked.map(Second::instant),
            seen_as: evidence.seen_as.map(|seen| seen.addr()),
            swarm: evidence.swarm,
            next: match entry.place {
                Place::Later(due) | Place::Ready(Rank::Again(due)) => Some(due.instant()),
                Place::Ready(Rank::First { .. }) => Some(now),
                Place::Out | Place::Running => None,
            },
            error: evidence.error,
            sources: entry.listed.iter().map(|by| Arc::clone(&by.source)).collect(),
        }
    }

    fn state(&self, now: Instant, entry: &Entry) -> State {
        match entry.wanted(self.terms.port) {
            Err(Withheld::Private) => return State::Private,
            Err(Withheld::Paused) => return State::Paused,
            Err(Withheld::PrivacyUnknown) => return State::PrivacyUnknown,
            Err(Withheld::Elsewhere) => return State::Elsewhere,
            Err(Withheld::NoPort) => return State::NoPort,
            Ok(_) => {}
        }
        let evidence = &entry.evidence;
        let is_overdue = match entry.place {
            Place::Ready(Rank::Again(due)) => now.since(due.instant()) >= OVERDUE_AFTER,
            _ => false,
        };
        if entry.living(now) == 0 {
            return match (entry.place, evidence.error) {
                (Place::Running, _) => State::Announcing,
                (_, Some(AnnounceError::NoAnswer | AnnounceError::NotStored)) => State::Failing,
                _ if evidence.announced.is_some() => State::Overdue,
                _ => State::Waiting,
            };
        }
        let looked = evidence.looked.is_some_and(|looked| now.since(looked.instant()) <= LOOK_COUNTS_FOR);
        match evidence.error {
            _ if is_overdue => State::Overdue,
            Some(AnnounceError::NotSeen) => State::NotVisible,
            _ if looked && evidence.seen_as.is_some() => State::Visible,
            _ => State::Stored,
        }
    }

    fn record(&self, info_hash: InfoHash) -> Option<Record> {
        let entry = self.entries.get(&info_hash)?;
        Some(Record {
            info_hash,
            name: entry.name.clone(),
            listed: entry.listed.to_vec(),
            copies: entry.copies.clone(),
            evidence: entry.evidence.clone(),
            announced_port: entry.announced_port,
        })
    }
}

/// The nodes with which an announce begins. Where all copies are young none is left alone: there is a reason to announce.
fn holders(entry: &Entry, now: Instant) -> Arc<[Holder]> {
    let is_young = |copy: &StoredCopy| copy.is_young(now, entry.jitter);
    let all_young = entry.copies.iter().all(|copy| is_young(&copy));
    let holder = |copy: StoredCopy| Holder { contact: copy.contact(), is_held: is_young(&copy) && !all_young };
    entry.copies.iter().map(holder).collect()
}

/// The copies that there are after an announce: those stored now, and those that were left alone, the closest
/// [`K`] of each family.
fn merged(info_hash: &InfoHash, now: Instant, outcome: &Announced, held: &[StoredCopy]) -> Copies {
    let mut copies: Vec<StoredCopy> =
        outcome.stored.iter().map(|(contact, version)| StoredCopy::new(*contact, *version, now)).collect();
    for copy in held {
        if !copies.iter().any(|other| other.contact() == copy.contact()) {
            copies.push(*copy);
        }
    }
    copies.sort_by_key(|copy| copy.contact().id.distance(info_hash));
    let mut places = BTreeMap::<bool, usize>::new();
    copies.retain(|copy| {
        let place = places.entry(Family::of(&copy.contact().addr) == Family::V6).or_default();
        *place += 1;
        *place <= K
    });
    copies.into_iter().collect()
}

fn note_announce(entry: &mut Entry, now: Instant, outcome: &Announced, failed: bool) {
    let evidence = &mut entry.evidence;
    if failed {
        let error = if outcome.answered == 0 { AnnounceError::NoAnswer } else { AnnounceError::NotStored };
        (evidence.error, evidence.failures) = (Some(error), evidence.failures.saturating_add(1));
        return;
    }
    if outcome.stored.is_empty() {
        return;
    }
    evidence.announced = Some(now.into());
    evidence.swarm = outcome.swarm.or(evidence.swarm);
    if evidence.error.is_some_and(|error| error != AnnounceError::NotSeen) {
        (evidence.error, evidence.failures) = (None, 0);
    }
}

/// `first` at the first failure, twice as long at each failure more.
fn backoff(first: Duration, failures: u8) -> Duration {
    (first * (1 << failures.saturating_sub(1).min(6))).min(LONGEST_RETRY)
}

#[cfg(test)]
mod tests;
