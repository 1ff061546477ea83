//! How much room the tables take, and when torrents are thrown away.
//!
//! The database is measured (`pg_total_relation_size`). Its tables do not shrink when rows go, they are filled again. So the
//! size when the store was fullest is remembered with the number of torrents then: fewer torrents take their share of it.

use tokio_postgres::Client;

use super::trouble::Trouble;

/// Share of its size in hundredths that the store may fill before torrents are thrown away.
const FULL_PCT: u64 = 92;
/// Torrents that are thrown away at a time: one in this many, from the next number to the last one.
const EVICTED_SHARE: u64 = 100;
const EVICTED_LEAST: u64 = 500;
const EVICTED_MOST: u64 = 5_000;
/// The name under which the fullest state is kept.
const FULLEST: &str = "fullest";

/// Torrents, and the bytes of the tables with them.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Room {
    pub(super) torrents: u64,
    pub(super) bytes: u64,
}

impl Room {
    /// The bytes that are in use, where the store was fullest with `fullest`.
    pub(super) fn used(self, fullest: Self) -> u64 {
        if self.torrents >= fullest.torrents {
            return self.bytes;
        }
        let share = u128::from(fullest.bytes) * u128::from(self.torrents) / u128::from(fullest.torrents);
        self.bytes.min(u64::try_from(share).unwrap_or(u64::MAX))
    }

    /// Torrents to be thrown away before a batch comes; none while there is room.
    pub(super) fn surplus(self, fullest: Self, most_bytes: u64, batch: usize) -> u64 {
        match self.used(fullest) > most_bytes / 100 * FULL_PCT {
            true => (self.torrents / EVICTED_SHARE).clamp(EVICTED_LEAST, EVICTED_MOST).max(batch as u64),
            false => 0,
        }
    }

    fn encode(self) -> Vec<u8> {
        [self.torrents.to_be_bytes(), self.bytes.to_be_bytes()].concat()
    }

    fn decode(bytes: &[u8]) -> Option<Self> {
        let (torrents, bytes) = bytes.split_first_chunk::<8>()?;
        let (bytes, _) = bytes.split_first_chunk::<8>()?;
        Some(Self { torrents: u64::from_be_bytes(*torrents), bytes: u64::from_be_bytes(*bytes) })
    }
}

/// What the tables take now, and what they took when they were fullest.
pub(super) async fn measure(client: &Client) -> Result<(Room, Room), Trouble> {
    let sql = "SELECT (SELECT torrents FROM total),
        (SELECT coalesce(sum(pg_total_relation_size(relid)), 0)::bigint FROM pg_partition_tree('torrent') WHERE isleaf)
            + pg_total_relation_size('mark') + pg_total_relation_size('state'),
        (SELECT value FROM state WHERE name = $1)";
    let row = client.query_one(sql, &[&FULLEST]).await?;
    let number = |column: usize| row.try_get::<_, i64>(column).map(i64::unsigned_abs);
    let fullest: Option<Vec<u8>> = row.try_get(2)?;
    let fullest = fullest.and_then(|bytes| Room::decode(&bytes)).unwrap_or_default();
    Ok((Room { torrents: number(0)?, bytes: number(1)? }, fullest))
}

/// Remembers the fullest state.
pub(super) async fn remember(client: &Client, now: Room, fullest: Room) -> Result<(), Trouble> {
    if now.torrents > fullest.torrents {
        super::save(client, FULLEST, &now.encode()).await?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    const FULL: Room = Room { torrents: 10_000, bytes: 1_000_000 };

    #[test]
    fn fewer_torrents_take_their_share_of_what_the_store_took_when_it_was_fullest() {
        let now = Room { torrents: 2_500, bytes: 1_000_000 };
        assert_eq!(now.used(FULL), 250_000, "the tables have not shrunk");
        assert_eq!(Room { bytes: 200_000, ..now }.used(FULL), 200_000, "they have");
        assert_eq!(Room { torrents: 20_000, bytes: 2_500_000 }.used(FULL), 2_500_000, "fuller than ever");
        assert_eq!(Room::decode(&FULL.encode()), Some(FULL));
        assert_eq!(Room::decode(b"short"), None);
    }

    #[test]
    fn torrents_go_when_it_is_nearly_full_and_at_least_as_many_as_come() {
        assert_eq!(FULL.surplus(FULL, 1_200_000, 64), 0);
        assert_eq!(FULL.surplus(FULL, 1_050_000, 64), EVICTED_LEAST);
        assert_eq!(FULL.surplus(FULL, 1_050_000, 1_000), 1_000);
        assert_eq!(Room { torrents: 1_000_000, bytes: 1 << 30 }.surplus(FULL, 1 << 30, 64), EVICTED_MOST);
    }

    #[test]
    fn a_smaller_bound_does_not_empty_a_store_whose_tables_do_not_shrink() {
        let (most, mut now) = (100_000, FULL);
        while now.surplus(FULL, most, 0) > 0 {
            now.torrents -= now.surplus(FULL, most, 0);
        }
        assert!((400..1_000).contains(&now.torrents), "{now:?}");
    }
}
