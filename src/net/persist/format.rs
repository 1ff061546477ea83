//! The state file, version 2. Version 1 is the same without a checksum, and is still read.
//!
//! ```text
//! { "checksum": CRC-32C of all that follows it, 4 bytes, "format": 2, "nodes": [ node... ], "saved": seconds since 1970 }
//! node = { "announced": own announces, "asked": compact address, "bound": compact address,
//!          "contacts": compact contacts, "id": 20 bytes, "items": [ item... ], "peers": { infohash: records },
//!          "rotated": seconds since 1970 of the newer secret, "secrets": 32 bytes, "size": estimated nodes }
//! own announce = infohash, 4 bytes: seconds since 1970, 3 bytes: nodes that stored it, that were asked for it, that named us; the
//!       highest bit of the last: nodes crowded around the key
//! item = { "by": subnet, "until": seconds since 1970, "v": string of bencode } and, if it is mutable, "k", "salt", "seq", "sig"
//! record = compact peer, 4 bytes: seconds since 1970 of its announce, 1 byte: 1 for a seed
//! ```

use std::io::{self, BufWriter, Cursor, Seek, SeekFrom, Write};
use std::net::SocketAddr;
use std::time::Duration;

use bendy::decoding::{Decoder, DictDecoder, Object};
use bendy::encoding::{AsString, Encoder, Error, SingleItemEncoder, SortedDictEncoder};

use super::{PackedNode, PackedState, SavedNode, State};
use crate::engine::contact::{CompactAddr, Contact, Family, decode_addr};
use crate::engine::id::{InfoHash, NodeId};
use crate::engine::items::{Item, Mutable, StoredItem, Value};
use crate::engine::limits::PEER_LIFETIME;
use crate::engine::node::{OwnAnnounce, Snapshot};
use crate::engine::peers::StoredPeer;
use crate::engine::tokens::{ROTATION, Secrets};

const FORMAT: u64 = 2;
/// Bytes that are written to the disk at once.
const WRITTEN_AT_ONCE: usize = 64 << 10;
/// The beginning of a file with a checksum, whose bytes come next.
const HEAD: &[u8] = b"d8:checksum4:";
/// The beginning of a file of version 1.
const OLD_HEAD: &[u8] = b"d6:formati1e";
const CHECKSUM: usize = size_of::<u32>();
/// Bytes at the beginning of a file by which it is known, in bytes.
pub(super) const HEAD_BYTES: u64 = 32;
/// Seconds of the announce and the seed flag.
const TAIL: usize = 5;
/// Bytes of an announce of our own.
const OWN_ANNOUNCE: usize = 27;
/// The bit of its last byte that says that nodes crowded around the key.
const ALARM: u8 = 0x80;

/// Why a file is no state.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Unreadable {
    /// It is not canonical bencode.
    #[error("not bencode: {0}")]
    Bencode(String),
    /// It has no bytes.
    #[error("it is empty")]
    Empty,
    /// It begins like no state.
    #[error("it does not begin as a state does")]
    Foreign,
    /// Something is missing or of the wrong kind.
    #[error("its {0:?} is missing or of the wrong kind")]
    Field(&'static str),
    /// It comes from another version of the program.
    #[error("it has format {0}; this program writes format {FORMAT}, and reads 1 too")]
    Format(u64),
    /// Some of its bytes are not what was written.
    #[error("its checksum is wrong")]
    Checksum,
    /// No state is as long as that.
    #[error("{0} bytes, more than any state has")]
    TooLong(u64),
}

impl Unreadable {
    /// What the file is, in a word or two: another version of the program may still read it.
    #[must_use]
    pub const fn verdict(&self) -> &'static str {
        match self {
            Self::Format(_) => "of another version of the program",
            _ => "damaged",
        }
    }
}

impl From<bendy::decoding::Error> for Unreadable {
    fn from(error: bendy::decoding::Error) -> Self {
        Self::Bencode(error.to_string())
    }
}

/// The bytes of a state.
pub(super) fn encode(state: &State) -> Vec<u8> {
    let mut bytes = Cursor::new(Vec::new());
    let packed = PackedState { saved_at: state.saved_at, nodes: Vec::new(), others: Vec::new() };
    write(&mut bytes, packed, &state.nodes).expect("memory takes what is written");
    bytes.into_inner()
}

/// Writes a state, piece by piece, so that it is never in memory as a whole: nodes with their peers packed, those that the
/// state has beside them, and `more`.
pub(super) fn write(out: &mut (impl Write + Seek), state: PackedState, more: &[SavedNode]) -> io::Result<()> {
    out.write_all(&[HEAD, &[0; CHECKSUM]].concat())?;
    let mut summed = Summed { out: BufWriter::with_capacity(WRITTEN_AT_ONCE, &mut *out), sum: 0 };
    let now = state.saved_at;
    write!(summed, "6:formati{FORMAT}e5:nodesl")?;
    for PackedNode { asked, bound, snapshot } in state.nodes {
        let (rest, peers) = snapshot.into_parts();
        let peers = peers.into_sorted();
        write_node(&mut summed, (asked, bound), &rest, now, |out| write_swarms(out, peers.swarms(), now))?;
    }
    for SavedNode { asked, bound, snapshot } in state.others.iter().chain(more) {
        let mut peers: Vec<&StoredPeer> = snapshot.peers.iter().collect();
        peers.sort_by_key(|stored| stored.info_hash);
        let swarms = peers.chunk_by(|a, b| a.info_hash == b.info_hash);
        let swarms = swarms.map(|swarm| (swarm[0].info_hash, swarm.iter().map(|stored| **stored)));
        write_node(&mut summed, (*asked, *bound), snapshot, now, |out| write_swarms(out, swarms, now))?;
    }
    write!(summed, "e5:savedi{now}ee")?;
    summed.flush()?;
    let sum = summed.sum;
    drop(summed);
    out.seek(SeekFrom::Start(HEAD.len() as u64))?;
    out.write_all(&sum.to_be_bytes())
}

/// What is written, and the sum of it.
struct Summed<W: Write> {
    out: BufWriter<W>,
    sum: u32,
}

impl<W: Write> Write for Summed<W> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let written = self.out.write(bytes)?;
        self.sum = crc32c::crc32c_append(self.sum, &bytes[..written]);
        Ok(written)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.out.flush()
    }
}

/// Whether a file that begins like this may be a state.
pub(super) fn check_head(bytes: &[u8]) -> Result<(), Unreadable> {
    let begins_well = bytes.starts_with(HEAD) || bytes.starts_with(OLD_HEAD);
    if begins_well { Ok(()) } else { Err(foreign(bytes)) }
}

/// What a file is that begins like none of ours.
fn foreign(bytes: &[u8]) -> Unreadable {
    let digits = bytes.strip_prefix(b"d6:formati").and_then(|rest| rest.split(|&byte| byte == b'e').next());
    let format = digits.and_then(|digits| std::str::from_utf8(digits).ok()?.parse().ok());
    match format {
        Some(format) => Unreadable::Format(format),
        None if bytes.is_empty() => Unreadable::Empty,
        None => Unreadable::Foreign,
    }
}

/// Whether the bytes are those that were written; a file of version 1 cannot tell.
fn check_sum(bytes: &[u8]) -> Result<(), Unreadable> {
    let Some((sum, rest)) = bytes.strip_prefix(HEAD).and_then(|rest| rest.split_at_checked(CHECKSUM)) else {
        return if bytes.starts_with(OLD_HEAD) { Ok(()) } else { Err(foreign(bytes)) };
    };
    if sum == crc32c::crc32c(rest).to_be_bytes() { Ok(()) } else { Err(Unreadable::Checksum) }
}

/// Writes a node: the keys before its items and peers, these one by one, and the keys after them.
fn write_node(
    out: &mut impl Write,
    (asked, bound): (SocketAddr, SocketAddr),
    snapshot: &Snapshot,
    now: u64,
    write_peers: impl FnOnce(&mut dyn Write) -> io::Result<()>,
) -> io::Result<()> {
    let before = dict(|dict| {
        dict.emit_pair(b"announced", AsString(own_announces(&snapshot.own_announces, now)))?;
        dict.emit_pair(b"asked", AsString(CompactAddr::new(&asked).as_bytes()))?;
        dict.emit_pair(b"bound", AsString(CompactAddr::new(&bound).as_bytes()))?;
        dict.emit_pair(b"contacts", AsString(compact_contacts(&snapshot.contacts)))?;
        snapshot.id.map_or(Ok(()), |id| dict.emit_pair(b"id", AsString(id.as_bytes())))
    });
    let after = dict(|dict| {
        if let Some(secrets) = snapshot.secrets {
            dict.emit_pair(b"rotated", now.saturating_sub(snapshot.secrets_age.as_secs()))?;
            dict.emit_pair(b"secrets", AsString([secrets.current, secrets.previous].concat()))?;
        }
        snapshot.network_size.map_or(Ok(()), |size| dict.emit_pair(b"size", size))
    });
    out.write_all(before.strip_suffix(b"e").expect("a dictionary"))?;
    out.write_all(b"5:itemsl")?;
    for stored in &snapshot.items {
        out.write_all(&encoded(|item| encode_item(item, stored, now)))?;
    }
    out.write_all(b"e5:peersd")?;
    write_peers(out)?;
    out.write_all(b"e")?;
    out.write_all(after.strip_prefix(b"d").expect("a dictionary"))
}

/// Writes swarms, which come in the order of their infohashes; one that comes twice is written once.
fn write_swarms<P: Iterator<Item = StoredPeer>>(
    out: &mut dyn Write,
    swarms: impl Iterator<Item = (InfoHash, P)>,
    now: u64,
) -> io::Result<()> {
    let (mut records, mut last) = (Vec::new(), None);
    for (info_hash, peers) in swarms {
        if last.replace(info_hash) == Some(info_hash) {
            continue;
        }
        records.clear();
        peers.for_each(|stored| push_record(&mut records, &stored, now));
        out.write_all(b"20:")?;
        out.write_all(info_hash.as_bytes())?;
        write!(out, "{}:", records.len())?;
        out.write_all(&records)?;
    }
    Ok(())
}

fn dict(write: impl FnOnce(&mut SortedDictEncoder<'_>) -> Result<(), Error>) -> Vec<u8> {
    encoded(|item| item.emit_dict(|mut dict| write(&mut dict)))
}

fn encoded(write: impl FnOnce(SingleItemEncoder<'_>) -> Result<(), Error>) -> Vec<u8> {
    let mut encoder = Encoder::new();
    let written = encoder.emit_with(write).and_then(|()| encoder.get_output());
    written.expect("keys are sorted and the structure is closed")
}

fn encode_item(item: SingleItemEncoder<'_>, stored: &StoredItem, now: u64) -> Result<(), Error> {
    let mutable = match &stored.item {
        Item::Immutable(_) => None,
        Item::Mutable(mutable) => Some(mutable),
    };
    item.emit_dict(|mut dict| {
        dict.emit_pair(b"by", stored.writer)?;
        if let Some(mutable) = mutable {
            dict.emit_pair(b"k", AsString(mutable.key))?;
            dict.emit_pair(b"salt", AsString(&mutable.salt))?;
            dict.emit_pair(b"seq", mutable.seq)?;
            dict.emit_pair(b"sig", AsString(mutable.signature))?;
        }
        dict.emit_pair(b"until", now + stored.left.as_secs())?;
        dict.emit_pair(b"v", AsString(stored.item.value().as_bencode()))
    })
}

fn own_announces(announces: &[OwnAnnounce], now: u64) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(announces.len() * OWN_ANNOUNCE);
    for announce in announces {
        bytes.extend_from_slice(announce.info_hash.as_bytes());
        bytes.extend_from_slice(&seconds(now.saturating_sub(announce.age.as_secs())));
        let counts = [announce.stored, announce.verified_at].map(|count| u8::try_from(count).unwrap_or(u8::MAX));
        let verified = u8::try_from(announce.verified).unwrap_or(u8::MAX).min(!ALARM);
        bytes.extend(counts);
        bytes.push(verified | if announce.alarm { ALARM } else { 0 });
    }
    bytes
}

fn seconds(since_1970: u64) -> [u8; 4] {
    u32::try_from(since_1970).unwrap_or(u32::MAX).to_be_bytes()
}

fn compact_contacts(contacts: &[Contact]) -> Vec<u8> {
    let mut bytes = Vec::new();
    for contact in contacts {
        bytes.extend_from_slice(contact.id.as_bytes());
        bytes.extend_from_slice(CompactAddr::new(&contact.addr).as_bytes());
    }
    bytes
}

fn push_record(records: &mut Vec<u8>, stored: &StoredPeer, now: u64) {
    records.extend_from_slice(CompactAddr::new(&stored.peer).as_bytes());
    records.extend_from_slice(&seconds(now.saturating_sub(stored.age.as_secs())));
    records.push(u8::from(stored.seed));
}

/// Reads a state at `now`, leaving out what has expired since it was saved.
pub(super) fn decode(bytes: &[u8], now: u64) -> Result<State, Unreadable> {
    check_sum(bytes)?;
    let mut decoder = Decoder::new(bytes).with_max_depth(8);
    let (format, saved_at, nodes) = match decoder.next_object()? {
        Some(Object::Dict(top)) => decode_top(top, now)?,
        _ => return Err(Unreadable::Field("top level")),
    };
    if nodes.is_empty() {
        return Err(Unreadable::Field("nodes"));
    }
    if decoder.next_object()?.is_some() {
        return Err(Unreadable::Field("end"));
    }
    match format {
        Some(1 | FORMAT) => {}
        Some(other) => return Err(Unreadable::Format(other)),
        None => return Err(Unreadable::Field("format")),
    }
    let saved_at = saved_at.ok_or(Unreadable::Field("saved"))?;
    Ok(State { saved_at, nodes })
}

type Top = (Option<u64>, Option<u64>, Vec<SavedNode>);

/// Version, time and nodes.
fn decode_top(mut top: DictDecoder<'_, '_>, now: u64) -> Result<Top, Unreadable> {
    let (mut format, mut saved_at, mut nodes) = (None, None, Vec::new());
    while let Some((key, value)) = top.next_pair()? {
        match (key, value) {
            (b"format", Object::Integer(digits)) => format = digits.parse().ok(),
            (b"saved", Object::Integer(digits)) => saved_at = digits.parse().ok(),
            (b"nodes", Object::List(mut list)) => {
                while let Some(object) = list.next_object()? {
                    let Object::Dict(node) = object else { return Err(Unreadable::Field("nodes")) };
                    nodes.push(decode_node(node, now)?);
                }
            }
            _ => {}
        }
    }
    Ok((format, saved_at, nodes))
}

fn decode_node(mut dict: DictDecoder<'_, '_>, now: u64) -> Result<SavedNode, Unreadable> {
    let (mut asked, mut bound, mut snapshot) = (None, None, Snapshot::default());
    // A file of version 1 does not say when: as late as may be, so that the secrets go soon.
    snapshot.secrets_age = ROTATION;
    while let Some((key, value)) = dict.next_pair()? {
        match (key, value) {
            (b"announced", Object::Bytes(bytes)) => snapshot.own_announces = decode_own_announces(bytes, now).collect(),
            (b"items", Object::List(mut items)) => {
                while let Some(Object::Dict(item)) = items.next_object()? {
                    snapshot.items.extend(decode_item(item, now)?);
                }
            }
            (b"asked", Object::Bytes(bytes)) => asked = decode_addr(bytes),
            (b"bound", Object::Bytes(bytes)) => bound = decode_addr(bytes),
            (b"id", Object::Bytes(bytes)) => snapshot.id = NodeId::from_bytes(bytes),
            (b"size", Object::Integer(digits)) => snapshot.network_size = digits.parse().ok(),
            (b"rotated", Object::Integer(digits)) => {
                let rotated = digits.parse().unwrap_or_default();
                snapshot.secrets_age = Duration::from_secs(now.saturating_sub(rotated));
            }
            (b"secrets", Object::Bytes(bytes)) => snapshot.secrets = decode_secrets(bytes),
            (b"contacts", Object::Bytes(bytes)) => {
                // `bound` comes before `contacts`: bendy accepts sorted keys only.
                let family = Family::of(&bound.ok_or(Unreadable::Field("bound"))?);
                snapshot.contacts = bytes.chunks_exact(family.contact_len()).filter_map(Contact::decode).collect();
            }
            (b"peers", Object::Dict(mut swarms)) => {
                let family = Family::of(&bound.ok_or(Unreadable::Field("bound"))?);
                while let Some((info_hash, records)) = swarms.next_pair()? {
                    let info_hash = InfoHash::from_bytes(info_hash).ok_or(Unreadable::Field("peers"))?;
                    let Object::Bytes(records) = records else { return Err(Unreadable::Field("peers")) };
                    snapshot.peers.extend(decode_records(info_hash, records, family, now));
                }
            }
            _ => {}
        }
    }
    if snapshot.secrets_age >= 2 * ROTATION {
        // All tokens of that run have expired.
        snapshot.secrets = None;
    }
    if snapshot.secrets.is_none() {
        snapshot.secrets_age = Duration::ZERO;
    }
    let addr = |addr: Option<SocketAddr>, name| addr.ok_or(Unreadable::Field(name));
    Ok(SavedNode { asked: addr(asked, "asked")?, bound: addr(bound, "bound")?, snapshot })
}

fn decode_secrets(bytes: &[u8]) -> Option<Secrets> {
    let (current, previous) = bytes.split_at_checked(16)?;
    Some(Secrets { current: current.try_into().ok()?, previous: previous.try_into().ok()? })
}

/// `None` for one that has expired, or is none.
fn decode_item(mut dict: DictDecoder<'_, '_>, now: u64) -> Result<Option<StoredItem>, Unreadable> {
    let (mut writer, mut until, mut value) = (0, 0u64, None);
    let (mut key, mut salt, mut seq, mut signature) = (None, Box::default(), None, None);
    while let Some((name, object)) = dict.next_pair()? {
        match (name, object) {
            (b"by", Object::Integer(digits)) => writer = digits.parse().unwrap_or_default(),
            (b"k", Object::Bytes(bytes)) => key = bytes.try_into().ok(),
            (b"salt", Object::Bytes(bytes)) => salt = Box::from(bytes),
            (b"seq", Object::Integer(digits)) => seq = digits.parse().ok(),
            (b"sig", Object::Bytes(bytes)) => signature = bytes.try_into().ok(),
            (b"until", Object::Integer(digits)) => until = digits.parse().unwrap_or_default(),
            (b"v", Object::Bytes(bytes)) => value = Value::from_bencode(bytes).ok(),
            _ => {}
        }
    }
    let left = Duration::from_secs(until.saturating_sub(now));
    let item = value.map(|value| match (key, seq, signature) {
        (Some(key), Some(seq), Some(signature)) => Item::Mutable(Mutable { key, salt, seq, signature, value }),
        _ => Item::Immutable(value),
    });
    Ok(item.filter(|_| !left.is_zero()).map(|item| StoredItem { item, left, writer }))
}

fn decode_own_announces(bytes: &[u8], now: u64) -> impl Iterator<Item = OwnAnnounce> {
    bytes.chunks_exact(OWN_ANNOUNCE).filter_map(move |record| {
        let at = u32::from_be_bytes(record[20..24].try_into().ok()?);
        let age = Duration::from_secs(now.saturating_sub(u64::from(at)));
        let [stored, verified_at, verified] = [record[24], record[25], record[26] & !ALARM].map(usize::from);
        let (info_hash, alarm) = (InfoHash::from_bytes(&record[..20])?, record[26] & ALARM != 0);
        let announce = OwnAnnounce { info_hash, age, stored, verified_at, verified, alarm };
        (age < PEER_LIFETIME).then_some(announce)
    })
}

fn decode_records(info_hash: InfoHash, bytes: &[u8], family: Family, now: u64) -> impl Iterator<Item = StoredPeer> {
    bytes.chunks_exact(family.peer_len() + TAIL).filter_map(move |record| {
        let (peer, tail) = record.split_at(family.peer_len());
        let announced = u32::from_be_bytes(tail[..4].try_into().ok()?);
        let age = Duration::from_secs(now.saturating_sub(u64::from(announced)));
        (age < PEER_LIFETIME).then_some(StoredPeer { info_hash, peer: decode_addr(peer)?, seed: tail[4] == 1, age })
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn state() -> impl Strategy<Value = State> {
        let addr = |v6: bool| {
            (any::<[u8; 16]>(), 1u16..).prop_map(move |(ip, port)| match v6 {
                true => SocketAddr::from((ip, port)),
                false => SocketAddr::from(([ip[0], ip[1], ip[2], ip[3]], port)),
            })
        };
        let node = any::<bool>().prop_flat_map(move |v6| {
            let bytes = any::<[u8; 20]>;
            let contact = (bytes(), addr(v6)).prop_map(|(id, addr)| Contact { id: NodeId::new(id), addr });
            let peer = (bytes(), addr(v6), any::<bool>(), 0u64..2700).prop_map(|(info_hash, peer, seed, age)| {
                StoredPeer { info_hash: info_hash.into(), peer, seed, age: Duration::from_secs(age) }
            });
            let announce = (bytes(), 0u64..2700, (any::<u8>(), any::<u8>(), 0..ALARM, any::<bool>())).prop_map(
                |(info_hash, age, (stored, at, by, alarm))| {
                    let (stored, verified_at, verified) = (stored.into(), at.into(), by.into());
                    OwnAnnounce {
                        info_hash: info_hash.into(),
                        age: Duration::from_secs(age),
                        stored,
                        verified_at,
                        verified,
                        alarm,
                    }
                },
            );
            let secrets = any::<([u8; 16], [u8; 16])>().prop_map(|(current, previous)| Secrets { current, previous });
            let secrets = (secrets, 0u64..600).prop_map(|(secrets, age)| (secrets, Duration::from_secs(age)));
            (
                addr(v6),
                addr(v6),
                prop::option::of(bytes().prop_map(NodeId::from)),
                prop::option::of(secrets),
                prop::collection::vec(contact, 0..20),
                prop::collection::vec(peer, 0..20),
                prop::collection::vec(item(), 0..5),
                prop::collection::vec(announce, 0..5),
            )
                .prop_map(|(asked, bound, id, secrets, contacts, mut peers, items, own_announces)| {
                    // The file groups peers by infohash.
                    peers.sort_by_key(|peer| peer.info_hash);
                    let network_size = id.map(|id| id.as_bytes()[0].into());
                    let (secrets, secrets_age) = secrets.unzip();
                    let secrets_age = secrets_age.unwrap_or_default();
                    let snapshot =
                        Snapshot { id, secrets, secrets_age, contacts, peers, items, own_announces, network_size };
                    SavedNode { asked, bound, snapshot }
                })
        });
        prop::collection::vec(node, 1..3).prop_map(|nodes| State { saved_at: 1_700_000_000, nodes })
    }

    fn item() -> impl Strategy<Value = StoredItem> {
        let contents = prop::collection::vec(any::<u8>(), 0..900);
        let signed = any::<([u8; 32], [u8; 32], [u8; 32])>();
        let signed = prop::option::of((signed, prop::collection::vec(any::<u8>(), 0..64), 0i64..));
        (contents, signed, 1u64..7200, any::<u64>()).prop_map(|(contents, signed, left, writer)| {
            let value = Value::from_contents(&contents).expect("short");
            let item = match signed {
                None => Item::Immutable(value),
                Some(((key, head, tail), salt, seq)) => {
                    let signature = [head, tail].concat().try_into().expect("64 bytes");
                    Item::Mutable(Mutable { key, salt: salt.into(), seq, signature, value })
                }
            };
            StoredItem { item, left: Duration::from_secs(left), writer }
        })
    }

    proptest! {
        #[test]
        fn states_round_trip(state in state()) {
            prop_assert_eq!(decode(&encode(&state), state.saved_at).expect("readable"), state);
        }

        #[test]
        fn damaged_states_never_panic(state in state(), at in any::<prop::sample::Index>(), byte in any::<u8>()) {
            let mut bytes = encode(&state);
            let at = at.index(bytes.len());
            bytes[at] = byte;
            let _ = decode(&bytes, 1_700_000_000);
            let _ = decode(&bytes[..at], 1_700_000_000);
        }
    }

    #[test]
    fn what_has_expired_is_left_out() {
        let peer = |age| StoredPeer {
            info_hash: InfoHash::from([1; 20]),
            peer: ([1, 2, 3, 4], 5).into(),
            seed: true,
            age: Duration::from_secs(age),
        };
        let secrets = Some(Secrets { current: [1; 16], previous: [2; 16] });
        let value = Value::from_contents(b"x").expect("short");
        let item =
            |left| StoredItem { item: Item::Immutable(value.clone()), left: Duration::from_secs(left), writer: 3 };
        let announce = |age| OwnAnnounce {
            info_hash: InfoHash::from([2; 20]),
            age: Duration::from_secs(age),
            stored: 8,
            verified_at: 2,
            verified: 1,
            alarm: true,
        };
        let snapshot = Snapshot {
            peers: vec![peer(0), peer(2000)],
            items: vec![item(7200), item(600)],
            own_announces: vec![announce(0), announce(2000)],
            secrets,
            ..Snapshot::default()
        };
        let addr = ([0, 0, 0, 0], 6880).into();
        let state = State { saved_at: 10_000, nodes: vec![SavedNode { asked: addr, bound: addr, snapshot }] };
        let later = |secs: u64| decode(&encode(&state), 10_000 + secs).expect("readable").nodes.remove(0).snapshot;
        assert_eq!((later(299).peers.len(), later(299).secrets), (2, secrets));
        assert_eq!(
            (later(299).secrets_age, later(599).secrets_age),
            (Duration::from_secs(299), Duration::from_secs(599))
        );
        assert_eq!((later(1000).peers, later(1000).secrets), (vec![peer(1000)], None));
        assert_eq!((later(1000).items, later(1000).own_announces), (vec![item(6200)], vec![announce(1000)]));
    }

    #[test]
    fn a_clock_that_was_set_makes_nothing_older_or_younger_than_it_may_be() {
        let peer = |age| StoredPeer {
            info_hash: InfoHash::from([1; 20]),
            peer: ([9, 9, 9, 9], 9).into(),
            seed: false,
            age: Duration::from_secs(age),
        };
        let secrets = Some(Secrets { current: [1; 16], previous: [2; 16] });
        let addr = ([0, 0, 0, 0], 6880).into();
        let snapshot = Snapshot { peers: vec![peer(60), peer(2000)], secrets, ..Snapshot::default() };
        let nodes = vec![SavedNode { asked: addr, bound: addr, snapshot }];
        let bytes = encode(&State { saved_at: 1_700_000_000, nodes });
        // Set back by years: as if it were new, and so for one more life at the most.
        let back = decode(&bytes, 1_000_000_000).expect("readable").nodes.remove(0).snapshot;
        assert_eq!((back.peers, back.secrets_age), (vec![peer(0), peer(0)], Duration::ZERO));
        // Set forward by years: as if it were long gone.
        let forward = decode(&bytes, 4_000_000_000).expect("readable").nodes.remove(0).snapshot;
        assert_eq!((forward.peers, forward.secrets), (vec![], None));
    }

    fn small_state() -> State {
        let addr = ([127, 0, 0, 1], 6880).into();
        let snapshot = Snapshot { id: Some([7; 20].into()), ..Snapshot::default() };
        State { saved_at: 1_700_000_000, nodes: vec![SavedNode { asked: addr, bound: addr, snapshot }] }
    }

    #[test]
    fn every_bit_that_flips_is_noticed() {
        let bytes = encode(&small_state());
        for bit in 0..bytes.len() * 8 {
            let mut damaged = bytes.clone();
            damaged[bit / 8] ^= 1 << (bit % 8);
            assert!(decode(&damaged, 1_700_000_000).is_err(), "bit {bit} of {}", bytes.len() * 8);
        }
    }

    #[test]
    fn files_of_version_1_are_read() {
        let new = encode(&small_state());
        let rest = new.windows(8).position(|window| window == b"6:format").expect("it is there");
        let mut old = [b"d", &new[rest..]].concat();
        old[b"d6:formati".len()] = b'1';
        let state = decode(&old, 1_700_000_000).expect("version 1 is read");
        assert_eq!((state.nodes.len(), state.nodes[0].snapshot.id), (1, Some([7; 20].into())));
    }

    #[test]
    fn a_file_of_version_1_that_was_kept_is_read_with_all_that_is_in_it() {
        const KEPT: &[u8] = include_bytes!(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/cases/state-version-1.bencode"));
        let state = decode(KEPT, 1_700_000_000).expect("version 1 is read");
        let snapshot = &state.nodes[0].snapshot;
        assert_eq!(snapshot.id.map(|id| id.as_bytes()[19]), Some(19));
        assert_eq!((snapshot.contacts.len(), snapshot.peers.len(), snapshot.items.len()), (8, 1, 1));
        assert_eq!(snapshot.own_announces.iter().map(|announce| announce.stored).collect::<Vec<_>>(), [8]);
        assert!(snapshot.secrets.is_some() && state.nodes[0].bound.port() == 6880);
    }

    #[test]
    fn what_is_no_state_is_not_taken_for_one_without_nodes() {
        let rubbish = [&b"d6:formati1e5:nodesle5:savedi0ee"[..], &vec![b'x'; 1 << 20]].concat();
        let all: [&[u8]; 4] = [
            b"d6:formati1e5:nodesle5:savedi0ee",
            b"d6:formati1e5:savedi0ee",
            b"d6:formati1e5:nodesli3ee5:savedi0ee",
            &rubbish,
        ];
        for bytes in all {
            assert!(matches!(decode(bytes, 0), Err(Unreadable::Field("nodes"))), "{:?}", &bytes[..20]);
        }
    }

    #[test]
    fn other_formats_are_named() {
        let error = decode(b"d6:formati3e5:nodesle5:savedi0ee", 0).expect_err("another format");
        assert_eq!(error.to_string(), "it has format 3; this program writes format 2, and reads 1 too");
        for bytes in [&b"hello"[..], b"", b"\x1f\x8b", b"d8:checksum4:ab"] {
            assert!(decode(bytes, 0).is_err(), "{bytes:?}");
        }
    }
}
