//! How our sources answer what the target asks them: as a node must, not at all, or wrongly on purpose.

use super::link::Source;

/// How one source answers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Conduct {
    /// As a node must.
    Well,
    /// Not at all.
    Silent,
    /// With this template, whatever was asked.
    With(&'static [u8]),
    /// As a node must, but the answer leaves from another source.
    From(Source),
    /// With the query itself.
    Mirror,
}

impl Conduct {
    /// How `source` answers where no check says otherwise. The many say nothing: so no table keeps them.
    pub(super) const fn of(source: Source) -> Self {
        match source {
            Source::Mute | Source::Unheard | Source::Crowd(_) | Source::Ghost(_) => Self::Silent,
            _ => Self::Well,
        }
    }
}

/// What a node must answer: its id and, to those who ask for them, contacts.
pub(super) const PONG: &[u8] = b"d1:rd2:id20:{id}e1:t{#theirs}1:y1:re";
pub(super) const CONTACTS: &[u8] = b"d1:rd2:id20:{id}5:nodes{#nodes}6:nodes6{#nodes6}e1:t{#theirs}1:y1:re";
/// The same to those who ask for peers: one that never announced.
pub(super) const PEERS: &[u8] =
    b"d1:rd2:id20:{id}5:nodes{#nodes}6:nodes6{#nodes6}5:token4:conf6:valuesl{#elsewhere}ee1:t{#theirs}1:y1:re";
