//! Where something is stored when the lookup is over: on the closest nodes that answered with a token.

use super::Lookup;
use crate::engine::compliance::Compliance;
use crate::engine::contact::Contact;

impl Lookup {
    /// Those that answered with a token, closest first.
    pub fn closest_with_token(&self) -> impl Iterator<Item = (&Contact, &[u8])> {
        self.answers().filter_map(|candidate| Some((&candidate.contact, candidate.token.as_deref()?)))
    }

    /// Where something is to be stored `copies` times: on the closest that gave a token. Where ids that fit come first,
    /// on as many of those too; where they are enforced, on no others (BEP 42).
    pub fn places(&self, copies: usize) -> impl Iterator<Item = &Contact> {
        let mut compliant = 0;
        let with_token = self.answers().filter(|candidate| candidate.token.is_some()).enumerate();
        let chosen = with_token.filter(move |(rank, candidate)| {
            let fits = candidate.compliant && compliant < copies;
            compliant += usize::from(candidate.compliant);
            match self.candidates.compliance {
                Compliance::Off => *rank < copies,
                Compliance::Prefer => *rank < copies || fits,
                Compliance::Enforce => fits,
            }
        });
        chosen.map(|(_, candidate)| &candidate.contact)
    }

    /// The token that `contact` gave.
    #[must_use]
    pub fn token_of(&self, contact: &Contact) -> Option<&[u8]> {
        self.closest_with_token().find(|(other, _)| *other == contact).map(|(_, token)| token)
    }
}
