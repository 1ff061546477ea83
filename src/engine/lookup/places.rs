//! Where something is stored when the lookup is over: on the closest nodes that answered with a token.

use super::Lookup;
use super::candidates::Candidate;
use crate::engine::compliance::Compliance;
use crate::engine::contact::Contact;

impl Lookup {
    /// Those that answered with a token, closest first.
    pub fn closest_with_token(&self) -> impl Iterator<Item = (&Contact, &[u8])> {
        self.answers().filter_map(|candidate| Some((&candidate.contact, candidate.token.as_deref()?)))
    }

    /// Where something is to be stored `copies` times: on the closest that gave a token. Where ids that fit come first,
    /// on as many of those too; where they are enforced, on no others (BEP 42). One that is held is a place, but none to
    /// store at.
    pub fn places(&self, copies: usize) -> impl Iterator<Item = &Contact> {
        let mut compliant = 0;
        let is_place = |candidate: &&Candidate| candidate.token.is_some() || candidate.is_held;
        let chosen = self.answers().filter(is_place).enumerate().filter(move |(rank, candidate)| {
            let fits = candidate.compliant && compliant < copies;
            compliant += usize::from(candidate.compliant);
            match self.candidates.compliance {
                Compliance::Off => *rank < copies,
                Compliance::Prefer => *rank < copies || fits,
                Compliance::Enforce => fits,
            }
        });
        chosen.filter(|(_, candidate)| !candidate.is_held).map(|(_, candidate)| &candidate.contact)
    }

    /// The token that `contact` gave.
    #[must_use]
    pub fn token_of(&self, contact: &Contact) -> Option<&[u8]> {
        self.closest_with_token().find(|(other, _)| *other == contact).map(|(_, token)| token)
    }
}
