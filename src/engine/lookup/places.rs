//! Where something is stored when the lookup is over: on closest nodes that answered with a token, and on others near by.
//!
//! Eight nodes beside a key would have all copies if those went to the eight closest. So in the mainline two of eight go to
//! nodes that are drawn by lot from the next ones ([`FAR_COPIES`]): readers who find nothing on the closest look there too
//! (`sweep.rs`).

use super::Lookup;
use super::candidates::Candidate;
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
        let near = fitting.iter().take(copies - far.len()).copied();
        let mut places: Vec<&Candidate> = near.chain(far).collect();
        if self.candidates.compliance == Compliance::Prefer {
            let misfits = willing().take(copies).filter(|candidate| !candidate.compliant);
            places.extend(misfits);
        }
        let mut places: Vec<&Contact> =
            places.into_iter().filter(|candidate| !candidate.is_held).map(|candidate| &candidate.contact).collect();
        places.sort_by(|a, b| self.target().closer(&a.id, &b.id));
        places
    }

    /// Nodes beside the closest: those that are held, and others drawn by lot, of such as are as near as the [`K`] after them
    /// should be.
    fn far_places<'a>(&self, fitting: &[&'a Candidate], count: usize) -> Vec<&'a Candidate> {
        let Some(lots) = self.lots else { return Vec::new() };
        let is_near =
            |contact: &Contact| self.radius == 0.0 || contact.id.distance(self.target()).fraction() <= self.radius;
        let others = fitting.iter().skip(K).copied();
        let mut others: Vec<&Candidate> = others.filter(|candidate| is_near(&candidate.contact)).collect();
        others.sort_by_key(|candidate| (!candidate.is_held, lots.of(&candidate.contact.id.0)));
        others.truncate(count);
        others
    }

    /// The token that `contact` gave.
    #[must_use]
    pub fn token_of(&self, contact: &Contact) -> Option<&[u8]> {
        self.closest_with_token().find(|(other, _)| *other == contact).map(|(_, token)| token)
    }
}
