//! What requests and answers are made of: the same types write and read them, on both sides of the interface.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::feed::Named;
use crate::dht::{Announced, ItemFound, ItemStored, Pong, Progress, Sampled, Scraped};
use crate::engine::bloom::Estimate;
use crate::engine::contact::Contact;
use crate::engine::id::InfoHash;
use crate::engine::items::{Item, Mutable, Value};
use crate::engine::node::{Sample, Summary};
use crate::index::resolve::{Metadata, Resolved};
use crate::torrent::{Info, TorrentFile};

/// Why a record cannot be read.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct Unreadable(pub &'static str);

/// Another node: its id and where it listens.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
pub struct NodeRecord {
    /// Its id, 40 hexadecimal digits.
    pub id: String,
    /// Where it listens.
    #[schema(value_type = String)]
    pub address: SocketAddr,
}

impl From<&Contact> for NodeRecord {
    fn from(contact: &Contact) -> Self {
        Self { id: contact.id.to_string(), address: contact.addr }
    }
}

impl NodeRecord {
    /// The contact that it tells of.
    ///
    /// # Errors
    /// The id is none.
    pub fn contact(&self) -> Result<Contact, Unreadable> {
        let id = self.id.parse().map_err(|_| Unreadable("an id has 40 hexadecimal digits"))?;
        Ok(Contact { id, addr: self.address })
    }
}

/// What a lookup is to find, and whether to announce there.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct LookupRequest {
    /// An infohash or a magnet URI.
    pub target: String,
    /// Announce at the nodes that are found.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub announce: Option<AnnounceRequest>,
}

/// Whom to announce.
#[derive(Clone, Copy, Debug, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct AnnounceRequest {
    /// The port at which the client listens, at our address.
    pub port: u16,
    /// Whether it has the whole torrent (BEP 33).
    #[serde(default)]
    pub seed: bool,
}

/// A lookup, and how far it is.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
pub struct LookupRecord {
    /// Its number.
    pub id: u64,
    /// The infohashes that are looked for: two for a hybrid torrent.
    pub infohashes: Vec<String>,
    /// Whether it is still running.
    pub running: bool,
    /// Distinct peers that were found.
    pub peers: usize,
    /// Nodes that answered.
    pub answered: usize,
    /// Nodes that stored the announce.
    pub stored: usize,
}

/// What happens in a lookup.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
#[serde(tag = "event", rename_all = "lowercase")]
pub enum LookupEvent {
    /// A node answered.
    Answered {
        /// Who.
        by: NodeRecord,
        /// How many nodes told us of each other until we heard of it.
        hops: u8,
        /// Time from query to answer, in milliseconds.
        rtt_ms: f64,
        /// Contacts in its answer.
        contacts: usize,
        /// Peers in its answer.
        peers: usize,
    },
    /// Peers that were not reported before by the same node of ours.
    Peers {
        /// The infohash of their swarm.
        infohash: String,
        /// Who has them stored; nothing for our own store.
        from: Option<NodeRecord>,
        /// The peers.
        #[schema(value_type = Vec<String>)]
        peers: Vec<SocketAddr>,
    },
    /// A node stored the announce.
    Stored {
        /// Where.
        at: NodeRecord,
    },
    /// One of our nodes has finished.
    Done {
        /// What came of it there.
        summary: SummaryRecord,
    },
    /// The lookup is over.
    End {
        /// Whether it was ended before its time.
        cancelled: bool,
    },
}

impl Named for LookupEvent {
    fn name(&self) -> &'static str {
        match self {
            Self::Answered { .. } => "answered",
            Self::Peers { .. } => "peers",
            Self::Stored { .. } => "stored",
            Self::Done { .. } => "done",
            Self::End { .. } => "end",
        }
    }
}

impl LookupEvent {
    /// The step of an operation for `infohash` as a record; `None` for one that has none.
    pub(super) fn of(infohash: &InfoHash, step: Progress) -> Option<Self> {
        Some(match step {
            Progress::Answered { contact, hops, rtt, contacts, peers } => {
                Self::Answered { by: (&contact).into(), hops, rtt_ms: millis(rtt), contacts, peers }
            }
            Progress::Peers { from, peers } => {
                Self::Peers { infohash: infohash.to_string(), from: from.as_ref().map(Into::into), peers }
            }
            Progress::Stored { at } => Self::Stored { at: (&at).into() },
            Progress::Done(summary) => Self::Done { summary: (&summary).into() },
        })
    }
}

/// What came of an operation of one of our nodes.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
pub struct SummaryRecord {
    /// Queries sent.
    pub asked: usize,
    /// Queries answered.
    pub answered: usize,
    /// Distinct peers reported.
    pub peers: usize,
    /// Nodes that stored the announce.
    pub stored: usize,
    /// Of those, the ones that were asked for it by another query and answered.
    pub verified_at: usize,
    /// Of those, the ones that named us.
    pub verified: usize,
    /// Whether nodes crowd around the key, so that its whole region was asked and written to.
    #[serde(default)]
    pub alarm: bool,
    /// Queries of the search of that region.
    #[serde(default)]
    pub swept: usize,
    /// The closest nodes that answered, closest first.
    pub closest: Vec<NodeRecord>,
    /// From the command to the end, in milliseconds.
    pub elapsed_ms: f64,
}

impl From<&Summary> for SummaryRecord {
    fn from(summary: &Summary) -> Self {
        Self {
            asked: summary.asked,
            answered: summary.answered,
            peers: summary.peers,
            stored: summary.stored,
            verified_at: summary.verified_at,
            verified: summary.verified,
            alarm: summary.alarm,
            swept: summary.swept,
            closest: summary.closest.iter().map(Into::into).collect(),
            elapsed_ms: millis(summary.elapsed),
        }
    }
}

impl SummaryRecord {
    fn summary(&self) -> Result<Summary, Unreadable> {
        Ok(Summary {
            asked: self.asked,
            answered: self.answered,
            peers: self.peers,
            stored: self.stored,
            verified_at: self.verified_at,
            verified: self.verified,
            alarm: self.alarm,
            swept: self.swept,
            closest: self.closest.iter().map(NodeRecord::contact).collect::<Result<_, _>>()?,
            elapsed: of_millis(self.elapsed_ms),
        })
    }
}

/// Adds what an event says to what came of an announce.
///
/// # Errors
/// A contact in it is none.
pub fn add_to_announced(announced: &mut Announced, event: &LookupEvent) -> Result<(), Unreadable> {
    match event {
        LookupEvent::Stored { at } => announced.stored_at.push(at.contact()?),
        LookupEvent::Peers { peers, .. } => announced.peers.extend(peers),
        LookupEvent::Done { summary } => announced.summaries.push(summary.summary()?),
        LookupEvent::Answered { .. } | LookupEvent::End { .. } => {}
    }
    Ok(())
}

/// About how many there are.
#[derive(Clone, Copy, Debug, Serialize, Deserialize, ToSchema)]
pub struct EstimateRecord {
    /// The estimate.
    pub count: f64,
    /// How far off it may be: one standard deviation.
    pub spread: f64,
    /// Whether there are at least this many, the filter being full.
    pub saturated: bool,
}

impl From<Estimate> for EstimateRecord {
    fn from(Estimate { count, spread, saturated }: Estimate) -> Self {
        Self { count, spread, saturated }
    }
}

impl From<EstimateRecord> for Estimate {
    fn from(EstimateRecord { count, spread, saturated }: EstimateRecord) -> Self {
        Self { count, spread, saturated }
    }
}

/// How large a swarm is.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
pub struct ScrapeRecord {
    /// The infohash.
    pub infohash: String,
    /// Peers that have the whole torrent.
    pub seeds: EstimateRecord,
    /// The other peers.
    pub peers: EstimateRecord,
    /// Nodes that counted for us.
    pub reported: usize,
    /// Nodes that answered at all.
    pub answered: usize,
    /// Queries sent.
    pub asked: usize,
}

impl ScrapeRecord {
    pub(super) fn new(infohash: &InfoHash, scraped: &Scraped) -> Self {
        Self {
            infohash: infohash.to_string(),
            seeds: scraped.seeds.into(),
            peers: scraped.peers.into(),
            reported: scraped.reported,
            answered: scraped.answered,
            asked: scraped.asked,
        }
    }

    /// What was counted; the filters themselves are not told.
    #[must_use]
    pub fn scraped(&self) -> Scraped {
        Scraped {
            seeds: self.seeds.into(),
            peers: self.peers.into(),
            reported: self.reported,
            answered: self.answered,
            asked: self.asked,
            ..Scraped::default()
        }
    }
}

/// A node that answered a ping.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
pub struct PongRecord {
    /// Who answered.
    pub node: NodeRecord,
    /// Its client and version (`v`), its bytes in hexadecimal.
    pub version: String,
    /// Where it sees us.
    #[schema(value_type = Option<String>)]
    pub sees_us_as: Option<SocketAddr>,
    /// Round-trip time, in milliseconds.
    pub rtt_ms: f64,
}

impl From<&Pong> for PongRecord {
    fn from(pong: &Pong) -> Self {
        Self {
            node: (&pong.contact).into(),
            version: hex::encode(&pong.version),
            sees_us_as: pong.external,
            rtt_ms: millis(pong.rtt),
        }
    }
}

impl PongRecord {
    /// The answer that it tells of.
    ///
    /// # Errors
    /// Its id or its version is none.
    pub fn pong(&self) -> Result<Pong, Unreadable> {
        let version = hex::decode(&self.version).map_err(|_| Unreadable("a version is in hexadecimal"))?;
        let rtt = of_millis(self.rtt_ms);
        Ok(Pong { contact: self.node.contact()?, version, external: self.sees_us_as, rtt })
    }
}

/// What a node knows of swarms.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
pub struct SampleRecord {
    /// Who answered.
    pub node: NodeRecord,
    /// Some of its infohashes.
    pub infohashes: Vec<String>,
    /// How many it has.
    pub total: u64,
    /// Time before which there is nothing new and the node does not want to be asked, in seconds.
    pub interval_secs: u64,
    /// Contacts of it.
    pub contacts: Vec<NodeRecord>,
}

impl From<&Sampled> for SampleRecord {
    fn from(sampled: &Sampled) -> Self {
        Self {
            node: (&sampled.contact).into(),
            infohashes: sampled.sample.infohashes.iter().map(ToString::to_string).collect(),
            total: sampled.sample.total,
            interval_secs: sampled.sample.interval.as_secs(),
            contacts: sampled.contacts.iter().map(Into::into).collect(),
        }
    }
}

impl SampleRecord {
    /// The sample that it tells of.
    ///
    /// # Errors
    /// An id or an infohash is none.
    pub fn sampled(&self) -> Result<Sampled, Unreadable> {
        let infohash = |text: &String| text.parse().map_err(|_| Unreadable("an infohash has 40 hexadecimal digits"));
        let sample = Sample {
            infohashes: self.infohashes.iter().map(infohash).collect::<Result<_, _>>()?,
            total: self.total,
            interval: Duration::from_secs(self.interval_secs),
        };
        let contacts = self.contacts.iter().map(NodeRecord::contact).collect::<Result<_, _>>()?;
        Ok(Sampled { contact: self.node.contact()?, sample, contacts })
    }
}

/// An item (BEP 44); all bytes in hexadecimal. A mutable one has a key, a sequence number and a signature.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct ItemRecord {
    /// The value: canonical bencode.
    pub value: String,
    /// The public key of its owner.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub key: Option<String>,
    /// What tells apart the items of one owner.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub salt: Option<String>,
    /// The sequence number.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub seq: Option<i64>,
    /// The signature over salt, sequence number and value.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub signature: Option<String>,
}

impl From<&Item> for ItemRecord {
    fn from(item: &Item) -> Self {
        let value = hex::encode(item.value().as_bencode());
        match item {
            Item::Immutable(_) => Self { value, key: None, salt: None, seq: None, signature: None },
            Item::Mutable(item) => Self {
                value,
                key: Some(hex::encode(item.key)),
                salt: Some(hex::encode(&item.salt)),
                seq: Some(item.seq),
                signature: Some(hex::encode(item.signature)),
            },
        }
    }
}

impl ItemRecord {
    /// The item that it tells of, genuine.
    ///
    /// # Errors
    /// It is none, or its signature is wrong.
    pub fn item(&self) -> Result<Item, Unreadable> {
        let value = hex::decode(&self.value).map_err(|_| Unreadable("the value is not in hexadecimal"))?;
        let value = Value::from_bencode(&value)
            .map_err(|_| Unreadable("the value is not canonical bencode of at most 1,000 bytes"))?;
        let item = match (&self.key, self.seq, &self.signature) {
            (None, None, None) => Item::Immutable(value),
            (Some(key), Some(seq), Some(signature)) => {
                let salt = hex::decode(self.salt.as_deref().unwrap_or_default())
                    .map_err(|_| Unreadable("the salt is not in hexadecimal"))?;
                let (key, signature) = (bytes(key)?, bytes(signature)?);
                Item::Mutable(Mutable { key, salt: salt.into(), seq, signature, value })
            }
            _ => {
                return Err(Unreadable(
                    "a mutable item has a key, a seq and a signature, an immutable one none of them",
                ));
            }
        };
        if item.is_genuine() { Ok(item) } else { Err(Unreadable("the signature is wrong")) }
    }
}

/// Exactly as many bytes as are wanted.
fn bytes<const N: usize>(text: &str) -> Result<[u8; N], Unreadable> {
    let mut bytes = [0; N];
    hex::decode_to_slice(text, &mut bytes)
        .map_err(|_| Unreadable("a key has 64 hexadecimal digits, a signature has 128"))?;
    Ok(bytes)
}

/// What is to be stored.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct PutRequest {
    /// The item.
    pub item: ItemRecord,
    /// Only in place of an item with this sequence number.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cas: Option<i64>,
}

/// What came of a put.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
pub struct PutRecord {
    /// Where the item is found.
    pub target: String,
    /// The nodes that stored it.
    pub stored_at: Vec<NodeRecord>,
    /// The nodes that refused it.
    pub refused: Vec<RefusalRecord>,
    /// The newest item that was there before.
    pub before: Option<ItemRecord>,
    /// Nodes that answered.
    pub answered: usize,
}

/// A node that refused an item.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
pub struct RefusalRecord {
    /// Who.
    pub by: NodeRecord,
    /// The error code (BEP 44).
    pub code: i64,
}

impl PutRecord {
    pub(super) fn new(item: &Item, stored: &ItemStored) -> Self {
        let refusal = |(by, code): &(Contact, i64)| RefusalRecord { by: by.into(), code: *code };
        Self {
            target: item.target().to_string(),
            stored_at: stored.stored_at.iter().map(Into::into).collect(),
            refused: stored.refused.iter().map(refusal).collect(),
            before: stored.before.as_ref().map(Into::into),
            answered: stored.answered,
        }
    }

    /// What came of the put that it tells of.
    ///
    /// # Errors
    /// A contact or an item is none.
    pub fn stored(&self) -> Result<ItemStored, Unreadable> {
        let refusal = |refusal: &RefusalRecord| Ok((refusal.by.contact()?, refusal.code));
        Ok(ItemStored {
            stored_at: self.stored_at.iter().map(NodeRecord::contact).collect::<Result<_, _>>()?,
            refused: self.refused.iter().map(refusal).collect::<Result<_, _>>()?,
            before: self.before.as_ref().map(ItemRecord::item).transpose()?,
            answered: self.answered,
        })
    }
}

/// What came of a get.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
pub struct GetRecord {
    /// The newest item that anyone has.
    pub item: Option<ItemRecord>,
    /// Nodes that answered.
    pub answered: usize,
    /// Nodes that lacked the item and have stored it, where that was asked for.
    pub renewed_at: Vec<NodeRecord>,
}

impl From<&ItemFound> for GetRecord {
    fn from(found: &ItemFound) -> Self {
        Self {
            item: found.item.as_ref().map(Into::into),
            answered: found.answered,
            renewed_at: found.renewed_at.iter().map(Into::into).collect(),
        }
    }
}

impl GetRecord {
    /// What came of the get that it tells of.
    ///
    /// # Errors
    /// A contact or the item is none.
    pub fn found(&self) -> Result<ItemFound, Unreadable> {
        Ok(ItemFound {
            item: self.item.as_ref().map(ItemRecord::item).transpose()?,
            answered: self.answered,
            renewed_at: self.renewed_at.iter().map(NodeRecord::contact).collect::<Result<_, _>>()?,
        })
    }
}

/// A contact of the routing table.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
pub struct KnownRecord {
    /// Where the node of ours listens whose table it is in.
    #[schema(value_type = String)]
    pub own_address: SocketAddr,
    /// Its id.
    pub id: String,
    /// Where it listens.
    #[schema(value_type = String)]
    pub address: SocketAddr,
    /// `good`, `questionable` or `bad` (BEP 5).
    pub state: String,
    /// Round-trip time, in milliseconds.
    pub rtt_ms: f64,
    /// Time since it entered the table, in seconds.
    pub known_secs: u64,
    /// Time since it last showed life, in seconds.
    pub seen_secs: u64,
}

/// What came of our own announces at one address.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
pub struct OwnAnnouncesRecord {
    /// Where our node listens.
    #[schema(value_type = String)]
    pub address: SocketAddr,
    /// Its announces that live.
    pub announces: Vec<OwnAnnounceRecord>,
}

/// What came of our last announce of one infohash.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
pub struct OwnAnnounceRecord {
    /// The infohash.
    pub infohash: String,
    /// Time since it came to its end, in seconds.
    pub age_secs: u64,
    /// Nodes that said that they had stored it.
    pub stored_at: usize,
    /// Of those, the ones that were asked for it by another query and answered.
    pub verified_at: usize,
    /// Of those, the ones that named us.
    pub verified: usize,
    /// Whether nodes crowded around the key, so that it was announced to its whole region.
    #[serde(default)]
    pub alarm: bool,
}

/// Milliseconds, to a thousandth.
pub(super) fn millis(span: Duration) -> f64 {
    (span.as_secs_f64() * 1e6).round() / 1e3
}

fn of_millis(millis: f64) -> Duration {
    Duration::try_from_secs_f64(millis / 1e3).unwrap_or_default()
}

/// A file of a torrent.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct FileRecord {
    /// Its path, with the name of the torrent where that is a folder.
    pub path: String,
    /// Bytes.
    pub size: u64,
}

impl From<&TorrentFile> for FileRecord {
    fn from(file: &TorrentFile) -> Self {
        Self { path: file.path.clone(), size: file.size_bytes }
    }
}

/// What a torrent is, from its peers.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct InfoRecord {
    /// Its infohashes: those that were asked for, and the other one of a hybrid torrent.
    pub infohashes: Vec<String>,
    /// Its name.
    pub name: Option<String>,
    /// Bytes of its files.
    pub size: u64,
    /// Number of its files.
    pub file_count: u64,
    /// The first of its files, at most 10,000.
    pub files: Vec<FileRecord>,
    /// Whether only its own trackers may know its peers (BEP 27).
    pub private: bool,
    /// Seeds; nothing where counting took too long. Unknown is not 0.
    pub seeds: Option<u64>,
    /// Other peers.
    pub peers: Option<u64>,
    /// Peers that the DHT named.
    pub found: usize,
    /// Peers that were asked.
    pub asked: usize,
    /// Time that it took.
    pub seconds: f64,
    /// The torrent file that was written: only by the command.
    #[schema(value_type = Option<String>)]
    pub out: Option<PathBuf>,
}

impl InfoRecord {
    /// A torrent that these infohashes named.
    #[must_use]
    pub fn new(infohashes: &[InfoHash], metadata: &Metadata, resolved: &Resolved) -> Self {
        let Metadata { info, files, .. } = metadata;
        let count = |of: fn(&Scraped) -> f64| resolved.scraped.as_ref().map(|scraped| of(scraped).round() as u64);
        Self {
            infohashes: named(infohashes, info),
            name: info.name.clone(),
            size: info.size_bytes,
            file_count: info.files,
            files: files.iter().map(FileRecord::from).collect(),
            private: info.private,
            seeds: count(|scraped| scraped.seeds.count),
            peers: count(|scraped| scraped.peers.count),
            found: resolved.peers.found,
            asked: resolved.peers.greeted,
            seconds: resolved.after.as_secs_f64(),
            out: None,
        }
    }
}

/// All infohashes of a torrent: those that named it, and the other one of a hybrid torrent.
#[must_use]
pub fn named(infohashes: &[InfoHash], info: &Info) -> Vec<String> {
    let all = info.infohashes();
    let others = all.iter().filter(|infohash| !infohashes.contains(infohash));
    infohashes.iter().chain(others).map(ToString::to_string).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::engine::id::NodeId;
    use crate::engine::items::Owner;

    fn again<T: Serialize + for<'a> Deserialize<'a>>(record: &T) -> T {
        serde_json::from_str(&serde_json::to_string(record).unwrap()).unwrap()
    }

    #[test]
    fn items_come_through_whole_and_forged_ones_do_not() {
        let value = Value::from_contents(b"a \xff value").unwrap();
        let owner = Owner::from_seed(&[7; 32]);
        let mutable = Item::Mutable(Mutable::sign(&owner, b"salt", 9, value.clone()).unwrap());
        for item in [Item::Immutable(value), mutable.clone()] {
            assert_eq!(again(&ItemRecord::from(&item)).item(), Ok(item));
        }
        let record = ItemRecord::from(&mutable);
        for wrong in [
            ItemRecord { seq: Some(10), ..record.clone() },
            ItemRecord { seq: None, ..record.clone() },
            ItemRecord { key: Some("7".repeat(64)), ..record.clone() },
            ItemRecord { value: "6465".repeat(600), ..record.clone() },
            ItemRecord { value: "zz".into(), ..record },
        ] {
            assert!(wrong.item().is_err(), "{wrong:?}");
        }
    }

    #[test]
    fn what_nodes_told_comes_through_whole() {
        let contact = Contact { id: NodeId::new([7; 20]), addr: "127.0.0.1:1".parse().unwrap() };
        let pong = Pong {
            contact,
            version: b"LT\x01\x02".to_vec(),
            external: Some("127.0.0.2:2".parse().unwrap()),
            rtt: Duration::from_micros(1234),
        };
        assert_eq!(again(&PongRecord::from(&pong)).pong(), Ok(pong));
        let sample = Sample { infohashes: vec![InfoHash::new([3; 20])], total: 9, interval: Duration::from_secs(60) };
        let sampled = Sampled { contact, sample, contacts: vec![contact] };
        assert_eq!(again(&SampleRecord::from(&sampled)).sampled(), Ok(sampled));
        let summary =
            Summary { asked: 3, closest: vec![contact], elapsed: Duration::from_millis(5), ..Summary::default() };
        assert_eq!(again(&SummaryRecord::from(&summary)).summary(), Ok(summary));
    }
}
