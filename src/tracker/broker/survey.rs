//! Scrapes: how large swarms are, as the DHT counts them (BEP 33, BEP 48).
//!
//! What was counted is kept beside the torrents, so that a scrape makes no torrent known. A scrape waits for the counts
//! that it lacks, as an announce waits for peers; what is not known by then is left out.
//!
//! A count asks dozens of nodes for the infohash. So it is made only where that gives nothing away: the DHT was asked
//! about the torrent before, or a stranger names it, or nothing is private here. A scrape names no port at which its
//! client could be asked whether the torrent is private.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use super::lane::{Lane, Priority, Stage};
use super::torrent::Torrent;
use super::{Broker, Client, Counts, Files, Order, Policy, ScrapeTicket, Scraping};
use crate::engine::bloom::SwarmFilters;
use crate::engine::id::InfoHash;
use crate::engine::time::Instant;
use crate::net::nearness::Nearness;
use crate::tracker::swarm::Size;

/// Swarms whose size is remembered.
const MAX_SURVEYS: usize = 10_000;
/// Counts that stand in line from which on strangers get no further one: none of theirs would be made in time.
const MOST_FOR_STRANGERS: usize = 1_000;
/// Longest time that a count is good. BEP 33 leaves it open; swarms do not change much while a client waits to scrape again.
const LIFETIME: Duration = Duration::from_secs(10 * 60);

#[derive(Debug)]
struct Survey {
    began: Instant,
    stage: Stage,
    size: Option<(Size, Instant)>,
    waiting: Vec<ScrapeTicket>,
}

#[derive(Debug)]
struct Scrape {
    ids: Vec<InfoHash>,
    client: Client,
    /// Counts that have not come yet.
    missing: usize,
    deadline: Instant,
}

/// All counts, and the scrapes that wait for them.
#[derive(Debug)]
pub(super) struct Surveys {
    table: BTreeMap<InfoHash, Survey>,
    /// The table by age: the oldest makes room.
    order: BTreeSet<(Instant, InfoHash)>,
    scrapes: BTreeMap<ScrapeTicket, Scrape>,
    deadlines: BTreeSet<(Instant, ScrapeTicket)>,
    lane: Lane,
}

impl Surveys {
    /// Nothing is counted yet. Takes how many counts may run at a time, and how many of them for strangers.
    pub(super) const fn new((workers, for_strangers): (usize, usize)) -> Self {
        Self {
            table: BTreeMap::new(),
            order: BTreeSet::new(),
            scrapes: BTreeMap::new(),
            deadlines: BTreeSet::new(),
            lane: Lane::new(workers, for_strangers),
        }
    }

    /// What was counted lately.
    pub(super) fn size(&self, now: Instant, id: InfoHash) -> Option<Size> {
        let (size, at) = self.table.get(&id)?.size?;
        (now.since(at) < LIFETIME).then_some(size)
    }

    /// When the next scrape has waited long enough.
    pub(super) fn next_deadline(&self) -> Instant {
        self.deadlines.first().map_or(Instant::FAR_FUTURE, |(deadline, _)| *deadline)
    }

    fn is_under_way(&self, id: &InfoHash) -> bool {
        self.table.get(id).is_some_and(|survey| survey.stage != Stage::Idle)
    }

    /// Puts a count in line, if there is room for it.
    fn begin(&mut self, now: Instant, id: InfoHash, priority: Priority) {
        if self.table.len() >= MAX_SURVEYS && !self.table.contains_key(&id) && !self.forget_oldest() {
            return;
        }
        let mut stage = Stage::Idle;
        self.lane.line_up(id, priority, &mut stage);
        if let Some(old) = self.table.insert(id, Survey { began: now, stage, size: None, waiting: Vec::new() }) {
            self.order.remove(&(old.began, id));
        }
        self.order.insert((now, id));
    }

    /// Forgets the oldest count; `false` if that still runs, as then all do.
    fn forget_oldest(&mut self) -> bool {
        let oldest = self.order.first().copied().filter(|(_, id)| !self.is_under_way(id));
        oldest.is_some_and(|(began, id)| self.order.remove(&(began, id)) && self.table.remove(&id).is_some())
    }

    /// Notes what a count came to, and names the scrapes that wait for nothing else.
    fn finish(&mut self, now: Instant, id: InfoHash, size: Option<Size>) -> Vec<ScrapeTicket> {
        let Some(survey) = self.table.get_mut(&id) else { return Vec::new() };
        self.lane.finish(&mut survey.stage);
        survey.size = size.map(|size| (size, now));
        let mut waiting = std::mem::take(&mut survey.waiting);
        waiting.retain(|ticket| {
            self.scrapes.get_mut(ticket).is_some_and(|scrape| {
                scrape.missing -= 1;
                scrape.missing == 0
            })
        });
        waiting
    }

    fn hold(&mut self, ticket: ScrapeTicket, scrape: Scrape, missing: &BTreeSet<InfoHash>) {
        for id in missing {
            self.table.get_mut(id).expect("it is under way").waiting.push(ticket);
        }
        self.deadlines.insert((scrape.deadline, ticket));
        self.scrapes.insert(ticket, scrape);
    }

    /// Takes a scrape out of all that refers to it.
    fn release(&mut self, ticket: ScrapeTicket) -> Option<Scrape> {
        let scrape = self.scrapes.remove(&ticket)?;
        self.deadlines.remove(&(scrape.deadline, ticket));
        for id in &scrape.ids {
            if let Some(survey) = self.table.get_mut(id) {
                survey.waiting.retain(|waiting| *waiting != ticket);
            }
            self.drop_unwanted(id);
        }
        Some(scrape)
    }

    /// A count that nothing waits for leaves the line.
    fn drop_unwanted(&mut self, id: &InfoHash) {
        if let Some(survey) = self.table.get_mut(id).filter(|survey| survey.waiting.is_empty()) {
            self.lane.leave(&mut survey.stage);
        }
    }
}

impl Broker {
    /// Takes in a scrape.
    pub fn scrape(&mut self, now: Instant, client: Client, ids: Vec<InfoHash>) -> Scraping {
        for id in &ids {
            self.count_if_wanted(now, &client, *id);
        }
        let missing: BTreeSet<InfoHash> = ids.iter().filter(|id| self.surveys.is_under_way(id)).copied().collect();
        self.pump(now);
        if missing.is_empty() || !self.clients.hold(now, &client) {
            if client.nearness == Nearness::Remote {
                missing.iter().for_each(|id| self.surveys.drop_unwanted(id));
            }
            return Scraping::Now(self.files(now, &ids));
        }
        self.tickets += 1;
        let (ticket, deadline) = (ScrapeTicket(self.tickets), now + client.transport.patience());
        self.surveys.hold(ticket, Scrape { ids, client, missing: missing.len(), deadline }, &missing);
        Scraping::Held(ticket)
    }

    /// What is known of swarms now, without a count.
    pub fn known(&mut self, now: Instant, ids: &[InfoHash]) -> Files {
        self.files(now, ids)
    }

    /// Whether a torrent is never served.
    #[must_use]
    pub fn is_denied(&self, id: &InfoHash) -> bool {
        self.denied.contains(id)
    }

    /// A count is over: `filters` hold what the DHT knows, unless none of them answered.
    pub fn survey_finished(&mut self, now: Instant, id: InfoHash, filters: Option<SwarmFilters>) {
        let size = filters.map(|mut filters| {
            if let Some(torrent) = self.torrents.get(&id) {
                torrent.swarm.add_to(&mut filters, &self.standing.external);
            }
            Size::of(&filters)
        });
        for ticket in self.surveys.finish(now, id, size) {
            self.answer_scrape(now, ticket);
        }
        self.pump(now);
    }

    /// A client with a held scrape went away.
    pub fn scrape_gone(&mut self, ticket: ScrapeTicket) {
        if let Some(scrape) = self.surveys.release(ticket) {
            self.clients.release(&scrape.client);
        }
    }

    /// A client waits no longer: its held scrape is answered with what is known.
    pub fn hurry_scrape(&mut self, now: Instant, ticket: ScrapeTicket) {
        self.answer_scrape(now, ticket);
    }

    /// Answers the scrapes that have waited long enough.
    pub(super) fn answer_late_scrapes(&mut self, now: Instant) {
        while let Some((_, ticket)) = self.surveys.deadlines.first().copied().filter(|(deadline, _)| *deadline <= now) {
            self.answer_scrape(now, ticket);
        }
    }

    /// Starts what is in line, as far as workers are free.
    pub(super) fn pump_surveys(&mut self) {
        let Surveys { table, lane, .. } = &mut self.surveys;
        while let Some(id) = lane.next() {
            let survey = table.get_mut(&id).expect("a count that is under way is not forgotten");
            lane.start(&mut survey.stage);
            self.outputs.push_back(Order::Survey(id));
        }
    }

    fn answer_scrape(&mut self, now: Instant, ticket: ScrapeTicket) {
        let Some(scrape) = self.surveys.release(ticket) else { return };
        self.clients.release(&scrape.client);
        let files = self.files(now, &scrape.ids);
        self.outputs.push_back(Order::Scraped(ticket, files));
    }

    fn count_if_wanted(&mut self, now: Instant, client: &Client, id: InfoHash) {
        let near = client.nearness != Nearness::Remote;
        let known = self.surveys.is_under_way(&id) || self.surveys.size(now, id).is_some();
        let room = near || self.surveys.lane.waiting() < MOST_FOR_STRANGERS;
        if !known && room && self.may_count(now, client, id) && self.clients.may_look_up(now, client) {
            self.surveys.begin(now, id, if near { Priority::NearWaits } else { Priority::StrangerWaits });
        }
    }

    /// Whether asking the DHT for the size of this swarm gives nothing away.
    fn may_count(&self, now: Instant, client: &Client, id: InfoHash) -> bool {
        let public = |torrent: &Torrent| {
            let asked_before = torrent.looked_up.is_some() || client.nearness == Nearness::Remote;
            self.is_open(now, torrent) && asked_before
        };
        let harmless = self.torrents.get(&id).map_or(client.nearness == Nearness::Remote, public);
        self.standing.ready && !self.denied.contains(&id) && (harmless || self.policy == Policy::Always)
    }

    /// Whether the size of the swarm may be told: the torrent may be looked up, and no near client withholds its metadata.
    fn is_open(&self, now: Instant, torrent: &Torrent) -> bool {
        let facts = torrent.facts(now, self.policy, &self.standing.external);
        facts.cleared && (facts.open || !facts.is_withheld())
    }

    fn files(&mut self, now: Instant, ids: &[InfoHash]) -> Files {
        ids.iter().map(|id| (*id, self.counts(now, *id))).collect()
    }

    /// What is known about the size of a swarm.
    pub(super) fn counts(&mut self, now: Instant, id: InfoHash) -> Option<Counts> {
        let counted = self.surveys.size(now, id).filter(|_| !self.denied.contains(&id));
        let Some(torrent) = self.torrents.get(&id) else {
            return counted.map(|Size { seeds, others }| Counts { complete: seeds, incomplete: others, downloaded: 0 });
        };
        let known = counted.is_some() || torrent.looked_up.is_some() || !torrent.swarm.is_empty();
        if !known || !self.is_open(now, torrent) {
            return None;
        }
        let torrent = self.torrents.get_mut(&id)?;
        Some(torrent.swarm.counts(&self.standing.external, counted))
    }
}
