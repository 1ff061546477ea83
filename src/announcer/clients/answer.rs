//! What every client's interface comes to: its torrents, the port that it listens on, and where it is.

use std::collections::BTreeSet;
use std::net::IpAddr;
use std::sync::Arc;

use arrayvec::ArrayVec;

use crate::announcer::source::LeftOut;
use crate::engine::id::InfoHash;
use crate::torrent::printable;

/// Most torrents that are taken from one client.
pub const MOST_TORRENTS: usize = 100_000;

/// All that a client told when it was asked.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Answer {
    /// Its torrents, each infohash once, in their order.
    pub torrents: Vec<Reported>,
    /// Entries that cannot be used.
    pub left_out: Vec<LeftOut>,
    /// The port that it listens on, where it says so.
    pub port: Option<u16>,
    /// What it says of where it is.
    pub place: Whereabouts,
    /// Whether there is more that it was not asked yet.
    pub unfinished: bool,
}

/// A torrent of a client.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Reported {
    /// Its infohashes: one, or two of a hybrid torrent.
    pub infohashes: ArrayVec<InfoHash, 2>,
    /// Its name.
    pub name: Option<Arc<str>>,
    /// Whether the client has all of it.
    pub complete: bool,
    /// Whether the client takes part in its swarm now.
    pub active: bool,
    /// Whether it is private; `None` where the client cannot say.
    pub private: Option<bool>,
}

/// What a client says of where it is. Fields that it does not know are empty.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Whereabouts {
    /// Addresses at which others see it.
    pub external: Vec<IpAddr>,
    /// Addresses that it is bound to.
    pub bound: Vec<IpAddr>,
    /// Network interface that it is bound to.
    pub interface: Option<String>,
    /// Whether it reaches its peers through a proxy.
    pub proxied: bool,
}

/// Collects the torrents of an answer.
#[derive(Debug, Default)]
pub struct Torrents {
    known: BTreeSet<InfoHash>,
    torrents: Vec<Reported>,
    left_out: Vec<LeftOut>,
}

impl Torrents {
    /// Adds a torrent with these infohashes, in hexadecimal digits.
    pub fn add<'h>(&mut self, infohashes: impl IntoIterator<Item = &'h str>, torrent: Reported) {
        let named = infohashes.into_iter().filter(|text| !text.is_empty()).map(Named::new);
        self.add_named(named.collect::<Vec<_>>().iter(), torrent);
    }

    /// The same of infohashes that were read before.
    pub fn add_named<'h>(&mut self, infohashes: impl IntoIterator<Item = &'h Named>, mut torrent: Reported) {
        if self.torrents.len() >= MOST_TORRENTS {
            let reason = || format!("more than {MOST_TORRENTS} torrents of one client are not followed");
            if self.left_out.last().is_none_or(|last| last.reason != reason()) {
                self.left_out.push(LeftOut { entry: "all others".to_owned(), reason: reason() });
            }
            return;
        }
        for named in infohashes {
            match named {
                Named::Infohash(infohash) if self.known.insert(*infohash) => {
                    let _ = torrent.infohashes.try_push(*infohash);
                }
                Named::Infohash(_) => {}
                Named::Unreadable(text) => {
                    let reason = "the client names it by something that is no infohash".to_owned();
                    self.left_out.push(LeftOut { entry: text.to_string(), reason });
                }
            }
        }
        if !torrent.infohashes.is_empty() {
            self.torrents.push(torrent);
        }
    }

    /// The answer of a client with these torrents.
    #[must_use]
    pub fn answer(self, port: Option<u16>, place: Whereabouts) -> Answer {
        let Self { mut torrents, left_out, .. } = self;
        // It is kept, and there may be thousands.
        torrents.shrink_to_fit();
        Answer { torrents, left_out, port, place, unfinished: false }
    }
}

impl Reported {
    /// A torrent without infohashes yet.
    #[must_use]
    pub fn new(name: &str, complete: bool, active: bool, private: Option<bool>) -> Self {
        Self::named(name_of(name), complete, active, private)
    }

    /// The same with a name that [`name_of`] gave.
    #[must_use]
    pub const fn named(name: Option<Arc<str>>, complete: bool, active: bool, private: Option<bool>) -> Self {
        Self { infohashes: ArrayVec::new_const(), name, complete, active, private }
    }
}

/// A name that a client tells, as it can be shown; nothing where it is empty.
#[must_use]
pub fn name_of(text: &str) -> Option<Arc<str>> {
    Some(printable(text.as_bytes())).filter(|name| !name.is_empty()).map(Into::into)
}

/// What a client names a torrent by.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Named {
    /// An infohash; of one of 32 bytes the first 20 (BEP 52).
    Infohash(InfoHash),
    /// Something else, as it can be shown.
    Unreadable(Box<str>),
}

impl Named {
    /// Reads hexadecimal digits.
    #[must_use]
    pub fn new(text: &str) -> Self {
        infohash(text).map_or_else(|| Self::Unreadable(printable(text.as_bytes()).into()), Self::Infohash)
    }
}

impl std::fmt::Display for Named {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Infohash(infohash) => infohash.fmt(f),
            Self::Unreadable(text) => text.fmt(f),
        }
    }
}

/// An infohash of 20 bytes, or the first 20 of one of 32 bytes.
fn infohash(text: &str) -> Option<InfoHash> {
    let mut bytes = [0; 32];
    let bytes = bytes.get_mut(..text.len() / 2).filter(|bytes| matches!(bytes.len(), 20 | 32))?;
    hex::decode_to_slice(text, bytes).ok()?;
    InfoHash::from_bytes(&bytes[..20])
}

/// The address in a text of a client: with the length of a prefix, with a zone, or nothing that says something.
#[must_use]
pub fn address(text: &str) -> Option<IpAddr> {
    let text = text.trim().split(['/', '%']).next()?;
    text.trim_matches(['[', ']']).parse().ok().filter(|ip: &IpAddr| !ip.is_unspecified())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn infohashes_are_taken_once_and_others_are_named() {
        let (a, b, long) = ("aa".repeat(20), "BB".repeat(20), "cc".repeat(32));
        let one = || Reported::new("a\u{7}name", true, true, Some(false));
        let mut torrents = Torrents::default();
        torrents.add([a.as_str(), long.as_str()], one());
        torrents.add([a.as_str(), ""], one());
        torrents.add([b.as_str()], one());
        torrents.add(["zz", "é0"], one());
        let answer = torrents.answer(Some(7), Whereabouts::default());
        let hashes: Vec<_> = answer.torrents.iter().map(|torrent| torrent.infohashes.as_slice()).collect();
        let hash = |byte| InfoHash::new([byte; 20]);
        assert_eq!(hashes, [&[hash(0xaa), hash(0xcc)][..], &[hash(0xbb)]]);
        assert_eq!(answer.left_out.iter().map(|left| left.entry.as_str()).collect::<Vec<_>>(), ["zz", "é0"]);
        assert!(!answer.torrents[0].name.as_deref().unwrap().contains('\u{7}'));
    }

    #[test]
    fn only_so_many_torrents_are_taken() {
        let mut torrents = Torrents::default();
        for number in 0..MOST_TORRENTS + 5 {
            torrents.add([format!("{number:040x}").as_str()], Reported::new("", false, true, None));
        }
        let answer = torrents.answer(None, Whereabouts::default());
        assert_eq!((answer.torrents.len(), answer.left_out.len()), (MOST_TORRENTS, 1));
    }

    #[test]
    fn addresses_are_read_as_clients_write_them() {
        for (text, ip) in [
            ("10.0.0.2", Some("10.0.0.2")),
            (" 10.0.0.2/24", Some("10.0.0.2")),
            ("fe80::1%eth0", Some("fe80::1")),
            ("[::1]", Some("::1")),
            ("0.0.0.0", None),
            ("::", None),
            ("tun0", None),
            ("", None),
        ] {
            assert_eq!(address(text), ip.map(|ip| ip.parse().unwrap()), "{text}");
        }
    }
}
