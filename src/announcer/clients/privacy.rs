//! Is a torrent private whose client cannot say so? The client is asked for its metadata as any peer would ask (BEP 9).
//!
//! Only metadata that the infohash names decides. A client that gives none keeps its torrent out of the DHT: that is what
//! clients do with private ones.

use std::collections::BTreeMap;
use std::io;
use std::net::SocketAddr;
use std::time::Duration;

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::time::timeout;

use super::answer::Answer;
use crate::engine::id::InfoHash;
use crate::engine::time::Instant;
use crate::peer::metadata::{MetadataRequest, Outcome};
use crate::torrent::Info;

/// Longest time for the metadata of one torrent.
const PATIENCE: Duration = Duration::from_secs(10);

/// Time until a torrent is asked for again, which doubles each time.
const FIRST_PAUSE: Duration = Duration::from_secs(10);
const LONGEST_PAUSE: Duration = Duration::from_secs(30 * 60);

/// What is known of the torrents whose client cannot say whether they are private. Pure: told the time.
#[derive(Debug, Default)]
pub struct Checks {
    torrents: BTreeMap<InfoHash, Check>,
}

#[derive(Debug)]
enum Check {
    /// The metadata has said it. It never changes: the flag is part of what the infohash names.
    Known(bool),
    /// When to ask, and how long to wait after that.
    Waits(Instant, Duration),
}

impl Checks {
    /// Takes what the client has now: what it has no more is forgotten.
    pub fn take(&mut self, now: Instant, answer: &Answer) {
        let unclear = answer.torrents.iter().filter(|torrent| torrent.private.is_none() && torrent.active);
        let mut known = std::mem::take(&mut self.torrents);
        for infohash in unclear.filter_map(|torrent| torrent.infohashes.first()) {
            let check = known.remove(infohash).unwrap_or(Check::Waits(now, FIRST_PAUSE));
            self.torrents.insert(*infohash, check);
        }
    }

    /// A torrent that is to be asked for at `now`.
    #[must_use]
    pub fn next(&self, now: Instant) -> Option<InfoHash> {
        let due = |check: &Check| matches!(check, Check::Waits(at, _) if *at <= now);
        self.torrents.iter().find(|(_, check)| due(check)).map(|(infohash, _)| *infohash)
    }

    /// When the next torrent is to be asked for.
    #[must_use]
    pub fn due(&self) -> Option<Instant> {
        let at = |check: &Check| if let Check::Waits(at, _) = check { Some(*at) } else { None };
        self.torrents.values().filter_map(at).min()
    }

    /// What asking came to.
    pub fn note(&mut self, now: Instant, infohash: InfoHash, private: Option<bool>) {
        let Some(check) = self.torrents.get_mut(&infohash) else { return };
        *check = match (private, &*check) {
            (Some(private), _) => Check::Known(private),
            (None, Check::Waits(_, pause)) => Check::Waits(now + *pause, (*pause * 2).min(LONGEST_PAUSE)),
            (None, Check::Known(private)) => Check::Known(*private),
        };
    }

    /// What is known by now.
    #[must_use]
    pub fn known(&self) -> BTreeMap<InfoHash, bool> {
        let known = |(infohash, check): (&InfoHash, &Check)| match check {
            Check::Known(private) => Some((*infohash, *private)),
            Check::Waits(..) => None,
        };
        self.torrents.iter().filter_map(known).collect()
    }
}

/// Whether the torrent is private, as the client at `peer` shows by its metadata.
pub async fn ask(infohash: InfoHash, peer: SocketAddr, our_peer_id: [u8; 20]) -> Option<bool> {
    let mut request = MetadataRequest::new(infohash, our_peer_id);
    match timeout(PATIENCE, converse(&mut request, peer)).await {
        Ok(Ok(())) => {}
        Ok(Err(error)) => tracing::debug!(%infohash, %peer, %error, "a client was asked for metadata in vain"),
        Err(_) => tracing::debug!(%infohash, %peer, "a client gave no metadata in time"),
    }
    match request.outcome() {
        Some(Outcome::Metadata(metadata)) => Info::read(metadata).ok().map(|info| info.private),
        _ => None,
    }
}

async fn converse(request: &mut MetadataRequest, peer: SocketAddr) -> io::Result<()> {
    let mut stream = TcpStream::connect(peer).await?;
    let mut buffer = vec![0; 32 << 10];
    loop {
        stream.write_all(&request.take_output()).await?;
        if request.outcome().is_some() {
            return Ok(());
        }
        match stream.read(&mut buffer).await? {
            0 => return Ok(()),
            length => request.handle_bytes(&buffer[..length]),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::announcer::clients::answer::{Reported, Torrents, Whereabouts};

    const HASH: InfoHash = InfoHash::new([0xaa; 20]);

    fn answer(active: bool, private: Option<bool>) -> Answer {
        let mut torrents = Torrents::default();
        torrents.add([HASH.to_string().as_str()], Reported::new("", true, active, private));
        torrents.answer(None, Whereabouts::default())
    }

    #[test]
    fn only_what_takes_part_and_is_unclear_is_asked_for() {
        let mut checks = Checks::default();
        for (active, private, asked) in
            [(true, Some(true), false), (true, Some(false), false), (false, None, false), (true, None, true)]
        {
            checks.take(Instant::ZERO, &answer(active, private));
            assert_eq!((checks.next(Instant::ZERO).is_some(), checks.due().is_some()), (asked, asked));
        }
    }

    #[test]
    fn a_torrent_is_asked_for_again_at_a_growing_distance_until_it_is_known() {
        let mut checks = Checks::default();
        let mut asked = Vec::new();
        checks.take(Instant::ZERO, &answer(true, None));
        while asked.len() < 11 {
            let now = checks.due().unwrap();
            asked.push(now.as_secs());
            assert_eq!(checks.next(now), Some(HASH));
            checks.note(now, HASH, None);
            checks.take(now, &answer(true, None));
            assert_eq!(checks.next(now), None);
        }
        assert_eq!(asked[..5], [0, 10, 30, 70, 150]);
        assert_eq!(asked[10] - asked[9], LONGEST_PAUSE.as_secs());
        checks.note(Instant::FAR_FUTURE, HASH, Some(false));
        assert_eq!((checks.due(), checks.known()), (None, BTreeMap::from([(HASH, false)])));
        checks.note(Instant::FAR_FUTURE, HASH, None);
        assert_eq!(checks.known().len(), 1, "what is known stays so");
        checks.take(Instant::FAR_FUTURE, &Answer::default());
        assert!(checks.known().is_empty(), "and is forgotten with the torrent");
    }
}
