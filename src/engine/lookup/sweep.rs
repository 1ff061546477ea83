//! The search of a whole region: whom to ask, part by part, when the closest nodes of a key are not to be trusted alone.
//!
//! A lookup is led to the closest nodes, and nodes that crowd around a key lead it to each other. So the region is cut into
//! cells (`region.rs`), and each is searched for itself: nodes that have answered are asked who lives around the middle of
//! the cell, then those that they name are asked for the key. What one cell costs is bounded, so that attackers who crowd in
//! one of them cost no more than honest nodes; which of those named are asked, and which of those asked store
//! something, is drawn by lot.
//!
//! Invariants: at most [`FINDS_PER_CELL`] and [`GETS_PER_CELL`] queries for each cell, whatever is named; a contact that was
//! only heard of is asked once; of one provider (a /16 or /32) one is asked in the whole region, and another if it is silent.

use std::collections::{BTreeSet, VecDeque};
use std::net::SocketAddr;

use super::Lookup;
use super::region::{Crowding, Region};
use crate::engine::compliance::Compliance;
use crate::engine::contact::Contact;
use crate::engine::id::{Id, NodeId};
use crate::engine::keyed_hash::KeyedHash;
use crate::engine::limits::{
    CELLS, COPIES_PER_CELL, FINDS_PER_CELL, GETS_PER_CELL, GETS_UNDER_ALARM, MEMBERS_PER_CELL,
};
use crate::engine::owner::{Level, network};
use crate::engine::rules::Rules;

/// Cells for which one contact is asked who lives there, before others have their turn: one liar does not speak for all.
const CELLS_PER_ASKER: usize = 2;

/// Contacts that are remembered outside the region.
const STEPS: usize = 64;

/// What a contact is asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Probe {
    /// Who lives in the cell of this number.
    Find(u8),
    /// What it has under the key.
    Get,
}

/// A search of the region of a key.
#[derive(Clone, Debug)]
pub struct Sweep {
    region: Region,
    cells: [Cell; CELLS],
    /// Contacts that have answered, and may be asked who lives in a cell.
    askers: Vec<Contact>,
    /// Contacts outside the region that were heard of on the way to it, the latest ones.
    steps: VecDeque<Contact>,
    rules: &'static Rules,
    compliance: Compliance,
    lots: KeyedHash,
    /// Nodes of each cell that are asked for the key.
    gets: usize,
}

#[derive(Clone, Debug, Default)]
struct Cell {
    members: Vec<Member>,
    /// Whom its finds went to, and those of them that are outstanding.
    found_by: Vec<SocketAddr>,
    finding: Vec<SocketAddr>,
    /// A node that lives in it, and so knows who lives around, has answered a find.
    is_told: bool,
}

/// A contact that lives in a cell.
#[derive(Clone, Debug)]
struct Member {
    contact: Contact,
    state: State,
    token: Option<Box<[u8]>>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    Heard,
    Asked,
    Silent,
    Answered,
}

impl Sweep {
    /// The search of the region around the target of `lookup`, which is over, in a network of this size.
    #[must_use]
    pub fn after(lookup: &Lookup, network_size: f64, lots: KeyedHash, crowding: Crowding) -> Self {
        let mut sweep = Self {
            region: Region::around(*lookup.target(), network_size),
            cells: Default::default(),
            askers: Vec::new(),
            steps: VecDeque::new(),
            rules: lookup.candidates.rules,
            compliance: lookup.candidates.compliance,
            lots,
            gets: if crowding == Crowding::Alarm { GETS_UNDER_ALARM } else { GETS_PER_CELL },
        };
        for candidate in lookup.answers() {
            sweep.note_asker(candidate.contact);
            let answered =
                Member { contact: candidate.contact, state: State::Answered, token: candidate.token.clone() };
            sweep.add(answered);
        }
        let heard = lookup.candidates.list.iter().filter(|candidate| candidate.is_unasked());
        heard.for_each(|candidate| sweep.hear(candidate.contact));
        sweep
    }

    /// Whom to ask next, for what, and the target of a find.
    pub fn next_probe(&mut self) -> Option<(Contact, Probe, Id)> {
        (0..CELLS).find_map(|cell| self.next_find(cell).or_else(|| self.next_get(cell)))
    }

    /// `contact` answered a find with these contacts.
    pub fn found(&mut self, cell: u8, by: Contact, contacts: impl Iterator<Item = Contact>) {
        self.find_ended(cell, &by.addr);
        let is_neighbour = self.region.cell(&by.id) == Some(cell.into());
        if let Some(cell) = self.cells.get_mut(usize::from(cell)) {
            cell.is_told |= is_neighbour;
        }
        self.note_asker(by);
        contacts.for_each(|contact| self.hear(contact));
    }

    /// `from` answered for the key, under this id, with a token if it gives one. Whether it was asked.
    pub fn answered(&mut self, from: &SocketAddr, id: &NodeId, token: Option<&[u8]>) -> bool {
        let Some(member) = self.member(from) else { return false };
        if member.contact.id != *id || !matches!(member.state, State::Asked | State::Silent) {
            return false;
        }
        member.state = State::Answered;
        member.token = token.map(Box::from);
        let contact = member.contact;
        self.note_asker(contact);
        true
    }

    /// `from` has not answered yet, or will not.
    pub fn silent(&mut self, from: &SocketAddr, probe: Probe) {
        match probe {
            Probe::Find(cell) => self.find_ended(cell, from),
            Probe::Get => {
                if let Some(member) = self.member(from)
                    && member.state == State::Asked
                {
                    member.state = State::Silent;
                }
            }
        }
    }

    /// The query to `to` was not sent after all, and will not be.
    pub fn not_asked(&mut self, to: &SocketAddr, probe: Probe) {
        self.silent(to, probe);
    }

    /// Whether nothing is outstanding; ask [`next_probe`](Self::next_probe) first.
    #[must_use]
    pub fn is_over(&self) -> bool {
        let waits =
            |cell: &Cell| !cell.finding.is_empty() || cell.members.iter().any(|member| member.state == State::Asked);
        !self.cells.iter().any(waits)
    }

    /// Where something is to be stored: on [`COPIES_PER_CELL`] of each cell, drawn by lot.
    pub fn places(&self) -> impl Iterator<Item = &Contact> {
        self.cells.iter().flat_map(|cell| {
            let mut willing: Vec<&Contact> =
                cell.members.iter().filter(|member| member.token.is_some()).map(|member| &member.contact).collect();
            willing.sort_by_key(|contact| self.lots.of(contact.id.as_bytes()));
            willing.into_iter().take(COPIES_PER_CELL)
        })
    }

    /// The token that `contact` gave.
    #[must_use]
    pub fn token_of(&self, contact: &Contact) -> Option<&[u8]> {
        let members = self.cells.iter().flat_map(|cell| &cell.members);
        { members }.find(|member| member.contact == *contact)?.token.as_deref()
    }

    /// The closest to the middle of the cell that was not asked yet, and not for many other cells: one that has answered, or that
    /// was heard of. The first find goes out at once, and others until one who lives there has told of some.
    fn next_find(&mut self, index: usize) -> Option<(Contact, Probe, Id)> {
        let (cell, target) = (&self.cells[index], self.region.target(index));
        let sent = cell.found_by.len();
        let members = cell.members.iter().filter(|member| member.state != State::Silent).count();
        if sent >= FINDS_PER_CELL || !cell.finding.is_empty() || (cell.is_told && members >= COPIES_PER_CELL) {
            return None;
        }
        let provider = |addr: &SocketAddr| network(addr.ip(), Level::Provider);
        let is_new = |asker: &&Contact| {
            let like = |other: &SocketAddr| *other == asker.addr || provider(other) == provider(&asker.addr);
            !cell.found_by.iter().any(|other| if self.rules.diverse { like(other) } else { *other == asker.addr })
        };
        let is_busy = |asker: &Contact| {
            self.cells.iter().filter(|cell| cell.found_by.contains(&asker.addr)).count() >= CELLS_PER_ASKER
        };
        // The first is one from outside: attackers in the region name each other.
        let is_inside = |asker: &Contact| sent == 0 && self.region.contains(&asker.id);
        let worth =
            |asker: &&Contact| (self.is_in_crowd(asker), is_inside(asker), is_busy(asker), asker.id.distance(&target));
        let heard = self.cells.iter().flat_map(|cell| &cell.members).filter(|member| member.state == State::Heard);
        let askers = self.askers.iter().chain(heard.map(|member| &member.contact)).chain(&self.steps);
        let asker = *askers.filter(is_new).min_by_key(worth)?;
        let cell = &mut self.cells[index];
        cell.found_by.push(asker.addr);
        cell.finding.push(asker.addr);
        Some((asker, Probe::Find(index as u8), target))
    }

    /// One of those heard of, drawn by lot once it is known who lives there.
    fn next_get(&mut self, index: usize) -> Option<(Contact, Probe, Id)> {
        let cell = &self.cells[index];
        let asked = cell.members.iter().filter(|member| member.state != State::Heard).count();
        if !cell.finding.is_empty() || asked >= self.gets {
            return None;
        }
        let taken = self.taken_providers();
        let is_free = |member: &&mut Member| {
            member.state == State::Heard && !taken.contains(&network(member.contact.addr.ip(), Level::Provider))
        };
        let (lots, members) = (self.lots, &mut self.cells[index].members);
        let member = members.iter_mut().filter(is_free).min_by_key(|member| lots.of(member.contact.id.as_bytes()))?;
        member.state = State::Asked;
        Some((member.contact, Probe::Get, self.region.target(index)))
    }

    /// The providers of which a node is asked or has answered; none where addresses mean nothing.
    fn taken_providers(&self) -> BTreeSet<u64> {
        let members = self.cells.iter().flat_map(|cell| &cell.members).filter(|_| self.rules.diverse);
        let taken = members.filter(|member| matches!(member.state, State::Asked | State::Answered));
        taken.map(|member| network(member.contact.addr.ip(), Level::Provider)).collect()
    }

    /// Whether it lies where attackers crowd: right beside the key.
    fn is_in_crowd(&self, contact: &Contact) -> bool {
        self.region.contains(&contact.id) && self.region.cell(&contact.id).is_none()
    }

    fn note_asker(&mut self, contact: Contact) {
        if !self.askers.contains(&contact) {
            self.askers.push(contact);
        }
    }

    /// One outside the region knows the way to it.
    fn note_step(&mut self, contact: Contact) {
        if !self.region.contains(&contact.id) && !self.steps.contains(&contact) {
            self.steps.push_back(contact);
            if self.steps.len() > STEPS {
                self.steps.pop_front();
            }
        }
    }

    fn hear(&mut self, contact: Contact) {
        // BEP 42: the size of the network is counted in nodes whose ids fit, and so is what a region holds.
        if self.compliance == Compliance::Off || contact.is_compliant() {
            self.note_step(contact);
            self.add(Member { contact, state: State::Heard, token: None });
        }
    }

    fn add(&mut self, new: Member) {
        let Some(cell) = self.region.cell(&new.contact.id).map(|cell| &mut self.cells[cell]) else { return };
        if cell.members.iter().any(|member| member.contact.addr == new.contact.addr) {
            return;
        }
        cell.members.push(new);
        if cell.members.len() > MEMBERS_PER_CELL {
            // Who is heard of first, or most, has no better lot.
            let unasked = cell.members.iter().enumerate().filter(|(_, member)| member.state == State::Heard);
            let last =
                unasked.max_by_key(|(_, member)| self.lots.of(member.contact.id.as_bytes())).map(|(index, _)| index);
            last.map(|index| cell.members.swap_remove(index));
        }
    }

    fn member(&mut self, addr: &SocketAddr) -> Option<&mut Member> {
        let mut members = self.cells.iter_mut().flat_map(|cell| &mut cell.members);
        members.find(|member| member.contact.addr == *addr && member.state != State::Heard)
    }

    fn find_ended(&mut self, cell: u8, by: &SocketAddr) {
        if let Some(cell) = self.cells.get_mut(usize::from(cell)) {
            cell.finding.retain(|asked| asked != by);
        }
    }
}

#[cfg(test)]
mod tests;
