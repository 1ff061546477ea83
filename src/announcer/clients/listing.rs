//! What is told of a client: its answer, the port at which it is reached, and whether it may be announced from here. Pure.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::answer::{Answer, Reported};
use super::guard::Elsewhere;
use crate::announcer::source::{Listed, ListedState, Listing};
use crate::engine::id::InfoHash;

/// What is known of a client.
#[derive(Clone, Debug)]
pub struct Known<'a> {
    /// Its name for people.
    pub source: &'a Arc<str>,
    /// What it answered last; `None` before the first answer.
    pub answer: Option<&'a Answer>,
    /// Whether torrents are private of which it cannot say so.
    pub checked: &'a BTreeMap<InfoHash, bool>,
    /// Its answer is too old to be believed.
    pub outdated: bool,
    /// Whether it may be announced from here, and whether over IPv4 only.
    pub place: Result<bool, Elsewhere>,
    /// The port at which it is reached; `None` where that is not known.
    pub port: Option<u16>,
    /// What is wrong, with the cure.
    pub trouble: Option<String>,
    /// The port is not known for now and must not be guessed: its torrents wait.
    pub waits: bool,
}

/// What is told.
#[must_use]
pub fn listing(known: &Known<'_>) -> Listing {
    let answer = known.answer.filter(|_| !known.outdated);
    let torrents = answer.map(|answer| answer.torrents.iter().flat_map(|torrent| listed(known, torrent)).collect());
    Listing {
        source: Arc::clone(known.source),
        torrents: torrents.or_else(|| known.outdated.then(Vec::new)),
        ipv4_only: known.place == Ok(true),
        left_out: answer.map(|answer| answer.left_out.clone()).unwrap_or_default(),
        trouble: known.trouble.clone(),
    }
}

fn listed(known: &Known<'_>, torrent: &Reported) -> impl Iterator<Item = Listed> {
    let checked = || torrent.infohashes.first().and_then(|infohash| known.checked.get(infohash)).copied();
    let state = match torrent.private.or_else(checked) {
        // What is private stays so, wherever its client is.
        Some(true) => ListedState::Private,
        _ if known.place.is_err() => ListedState::Elsewhere,
        _ if !torrent.active || known.waits => ListedState::Paused,
        Some(false) => ListedState::Active,
        None => ListedState::PrivacyUnknown,
    };
    let (name, port, complete) = (torrent.name.clone(), known.port, torrent.complete);
    let one = move |infohash| Listed { infohash, name: name.clone(), port, complete, state };
    torrent.infohashes.clone().into_iter().map(one)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::announcer::clients::answer::{Torrents, Whereabouts};

    fn answer() -> Answer {
        let mut torrents = Torrents::default();
        let mut add = |hash: &str, active, private| {
            torrents.add([hash.repeat(40).as_str()], Reported::new(hash, true, active, private));
        };
        add("a", true, Some(false));
        add("b", false, Some(false));
        add("c", true, Some(true));
        add("d", true, None);
        torrents.answer(Some(1), Whereabouts::default())
    }

    static NOTHING: BTreeMap<InfoHash, bool> = BTreeMap::new();

    fn known<'a>(source: &'a Arc<str>, answer: &'a Answer) -> Known<'a> {
        let (answer, checked, place, port) = (Some(answer), &NOTHING, Ok(false), Some(6881));
        Known { source, answer, checked, outdated: false, place, port, trouble: None, waits: false }
    }

    fn told(change: impl FnOnce(&mut Known<'_>)) -> Listing {
        let (source, answer) = ("client".into(), answer());
        let mut known = known(&source, &answer);
        change(&mut known);
        listing(&known)
    }

    fn told_with(checked: &BTreeMap<InfoHash, bool>) -> Listing {
        listing(&Known { checked, ..known(&"client".into(), &answer()) })
    }

    fn states(listing: &Listing) -> Vec<ListedState> {
        listing.torrents.iter().flatten().map(|listed| listed.state).collect()
    }

    #[test]
    fn each_torrent_has_its_state_and_the_port() {
        use ListedState::{Active, Elsewhere as Away, Paused, PrivacyUnknown, Private};
        let listing = told(|_| {});
        assert_eq!(states(&listing), [Active, Paused, Private, PrivacyUnknown]);
        assert!(listing.torrents.iter().flatten().all(|listed| listed.port == Some(6881)) && !listing.ipv4_only);
        assert_eq!(states(&told(|known| known.place = Err(Elsewhere::Proxied))), [Away, Away, Private, Away]);
        assert_eq!(states(&told(|known| known.waits = true)), [Paused, Paused, Private, Paused]);
        assert!(told(|known| known.place = Ok(true)).ipv4_only);
        let checked = |private| BTreeMap::from([0xaa, 0xdd].map(|byte| (InfoHash::new([byte; 20]), private)));
        let (public, private) = (checked(false), checked(true));
        for (checked, state) in [(&public, Active), (&private, Private)] {
            let listing = told_with(checked);
            assert_eq!(states(&listing), [Active, Paused, Private, state], "what a client says itself counts first");
        }
    }

    #[test]
    fn what_is_not_known_takes_nothing_away_and_what_is_outdated_does() {
        assert_eq!(told(|known| known.answer = None).torrents, None);
        assert_eq!(told(|known| known.outdated = true).torrents, Some(Vec::new()));
        let never = told(|known| (known.answer, known.outdated) = (None, true));
        assert_eq!(never.torrents, Some(Vec::new()));
        assert_eq!(told(|known| known.trouble = Some("off".to_owned())).torrents.map(|all| all.len()), Some(4));
    }
}
