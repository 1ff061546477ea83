//! A torrent that is not in the index, and that a user names by its infohash: it is asked for at its peers, now.

use std::time::Duration;

use arrayvec::ArrayVec;
use tokio::time::timeout;

use super::fetch::Ended;
use super::sweep::count_of;
use super::{Index, lock};
use crate::dht::Dht;
use crate::engine::id::InfoHash;
use crate::index::entry::Entry;
use crate::index::store::{Known, Mark, StoreError};
use crate::index::wanted::Want;

/// Torrents that are asked for at a time; who asks for more is told what the index has.
pub(super) const MOST_LIVE: usize = 4;
/// Longest time for one: programs that search give up after some ten seconds more.
const PATIENCE: Duration = Duration::from_secs(8);
/// Time in which its peers are counted.
const COUNT_WITHIN: Duration = Duration::from_secs(3);

impl Index {
    /// The torrent with this infohash, from its peers. It is kept like any other. `None` where no peer has given it in
    /// time, where it is private or refused, and where enough are asked for already.
    ///
    /// # Errors
    /// The store cannot be read.
    pub async fn ask_now(&self, dht: &Dht, infohash: InfoHash) -> Result<Option<Entry>, StoreError> {
        let refused = lock(&self.filter).refuses_infohash(infohash);
        if refused || self.known(vec![infohash]).await? != [Known::No] {
            return Ok(None);
        }
        let Ok(_permit) = self.live.try_acquire() else { return Ok(None) };
        let want = Want { infohash, peers: ArrayVec::new(), swarm: None, searched: true };
        let fetched = timeout(PATIENCE, self.fetch_one(dht, want));
        let counted = timeout(COUNT_WITHIN, dht.scrape(infohash));
        let (fetched, counted) = tokio::join!(fetched, counted);
        let Ok(Ended::Kept(mut entry)) = fetched else { return Ok(None) };
        let counted = counted.ok().filter(|counted| counted.reported > 0);
        entry.swarm = counted.map(|counted| count_of(counted.seeds, counted.peers));
        self.write(vec![(*entry).clone()]).await;
        Ok(Some(*entry))
    }

    /// Whether the torrent was seen to be private (BEP 27).
    pub async fn is_private(&self, infohash: InfoHash) -> bool {
        // An index that cannot be read says so where it is searched; a torrent whose privacy is unknown is checked as ever.
        self.known(vec![infohash]).await.is_ok_and(|known| known == [Known::Marked(Mark::Private)])
    }
}
