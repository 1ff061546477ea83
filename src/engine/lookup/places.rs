//! Where something is stored when the lookup is over: on closest nodes that answered with a token, and on others near by.
//!
//! Eight nodes beside a key would have all copies if those went to the eight closest. So in the mainline two of eight go to
//! nodes that are drawn by lot from the next ones ([`FAR_COPIES`]): readers who find nothing on the closest look there too
//! (`sweep.rs`). What is stored again stays where it was: as long as the nodes of its two far places answer, no others are
//! looked for.

use super::Lookup;
use super::candidates::{Candidate, State};
use crate::engine::compliance::Compliance;
use crate::engine::contact::Contact;
use crate::engine::limits::{FAR_COPIES, K};

impl Lookup {
    /// Those that answered with a token, closest first.
    pub fn closest_with_token(&self) -> impl Iterator<Item = (&Contact, &[u8])> {
        self.answers().filter_map(|candidate| Some((&candidate.contact, candidate.token.as_deref()?)))
    }

    /// Where something is to be stored `copies` times: on the closest that gave a token, and on some others. Where ids that
    /// fit come first, on as many of those; where they are enforced, on no others (BEP 42). One that is held is a place, but
    /// none to store at.
    #[must_use]
    pub fn places(&self, copies: usize) -> Vec<&Contact> {
        let willing = || self.answers().filter(|candidate| candidate.token.is_some() || candidate.is_held);
        let fitting: Vec<&Candidate> = willing().filter(|candidate| candidate.compliant).collect();
        let far = self.far_places(&fitting, FAR_COPIES * copies / K);
        let is_far = |candidate: &&Candidate| far.iter().any(|other| is_same(other, candidate));
        let near = fitting.iter().copied().filter(|candidate| !is_far(candidate)).take(copies - far.len());
        let mut places: Vec<&Candidate> = near.chain(far.iter().copied()).collect();
        if self.candidates.compliance == Compliance::Prefer {
            let misfits = willing().take(copies).filter(|candidate| !candidate.compliant);
            places.extend(misfits);
        }
        let mut places: Vec<&Contact> =
            places.into_iter().filter(|candidate| !candidate.is_held).map(|candidate| &candidate.contact).collect();
        places.sort_by(|a, b| self.target().closer(&a.id, &b.id));
        places
    }

    /// Nodes beside the closest: those that stored it before, and others drawn by lot, of such as are as near as the [`K`] after
    /// them should be.
    fn far_places<'a>(&'a self, fitting: &[&'a Candidate], count: usize) -> Vec<&'a Candidate> {
        let Some(lots) = self.lots else { return Vec::new() };
        let answered = |candidate: &&Candidate| candidate.state == State::Answered;
        let willing = |candidate: &&Candidate| candidate.token.is_some() || candidate.is_held;
        let mut far: Vec<&Candidate> = self.far_holders().filter(answered).filter(willing).collect();
        far.sort_by_key(|candidate| !candidate.is_held);
        let mut others: Vec<&Candidate> = fitting.iter().skip(K).copied().collect();
        others.retain(|candidate| self.is_near(candidate) && !far.iter().any(|known| is_same(known, candidate)));
        others.sort_by_key(|candidate| lots.of(candidate.contact.id.as_bytes()));
        far.extend(others);
        far.truncate(count);
        far
    }

    /// Those that stored it before and that lie beside the [`K`] closest, asked or not.
    fn far_holders(&self) -> impl Iterator<Item = &Candidate> {
        let lives = |candidate: &&Candidate| !matches!(candidate.state, State::Slow | State::Again | State::Failed);
        let fitting = self.candidates.list.iter().filter(|candidate| candidate.compliant && candidate.has_room);
        fitting.filter(lives).skip(K).filter(|candidate| candidate.is_holder && self.is_near(candidate))
    }

    /// Whether it is as near as those from which the far places are drawn should be.
    fn is_near(&self, candidate: &Candidate) -> bool {
        self.radius == 0.0 || candidate.contact.id.distance(self.target()).fraction() <= self.radius
    }

    /// How many of the closest must have answered, and whether those that stored it before must have, too, wherever they are.
    pub(super) fn breadth(&self) -> (usize, bool) {
        let known = if self.lots.is_some() { self.far_holders().count() } else { 0 };
        match known {
            0 => (self.breadth, false),
            FAR_COPIES.. => (K - FAR_COPIES, true),
            // The rest is drawn from twice as many.
            _ => (K + 2 * (FAR_COPIES - known), true),
        }
    }

    /// The token that `contact` gave.
    #[must_use]
    pub fn token_of(&self, contact: &Contact) -> Option<&[u8]> {
        self.closest_with_token().find(|(other, _)| *other == contact).map(|(_, token)| token)
    }
}

fn is_same(candidate: &Candidate, other: &Candidate) -> bool {
    candidate.contact == other.contact
}
