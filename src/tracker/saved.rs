//! The file in which the gateway keeps its clients over a restart, version 2.
//!
//! ```text
//! file    = "trackerless gateway 2\n", 8 bytes: seconds since 1970, 16 bytes: key of connection ids, torrents,
//!           4 bytes: CRC-32C of all before
//! torrent = infohash, 1 byte: 0 unknown, 1 public, 2 private, 4 bytes: downloads, 4 bytes: seconds since it was asked for,
//!           2 bytes: number of members, members
//! member  = endpoint, 16 bytes: our address, 1 byte: nearness, 20 bytes: peer id, 1 byte: flags,
//!           1 byte: verdict, 4 bytes: seconds since then, 4 bytes: seconds since its announce
//! endpoint = 16 bytes: address, 4 bytes: scope, 2 bytes: port
//! ```
//!
//! Version 1 has another number and no key; it is read too. Numbers are in network order; IPv4 addresses stand in the form that maps them to IPv6. A file that is cut, or of which a
//! bit is wrong, is refused as a whole.

use std::net::{IpAddr, Ipv6Addr, SocketAddr, SocketAddrV6};
use std::time::Duration;

use super::broker::{SavedMember, SavedTorrent};
use super::metadata::Verdict;
use crate::engine::contact::canonical;
use crate::engine::id::InfoHash;
use crate::net::nearness::Nearness;

const HEAD: &[u8] = b"trackerless gateway 2\n";
const HEAD_WITHOUT_KEY: &[u8] = b"trackerless gateway 1\n";
const CHECKSUM_LEN: usize = 4;
/// Largest file that is read, in bytes. What 64 MiB of memory hold takes half of it.
pub const MAX_FILE_BYTES: u64 = 64 << 20;

/// Why bytes are no such file.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Unreadable {
    /// Another kind of file, or one of another version.
    #[error("it is not what this version of the program writes")]
    OtherFormat,
    /// A bit is wrong, or the end is missing.
    #[error("its checksum does not fit")]
    Damaged,
}

/// The clients, and when they were saved, in seconds since 1970.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Saved {
    /// Seconds since 1970.
    pub at: u64,
    /// The key of the connection ids (BEP 15), which are as good after a restart as before.
    pub key: Option<[u8; 16]>,
    /// All of them.
    pub torrents: Vec<SavedTorrent>,
}

impl Saved {
    /// The bytes of the file.
    #[must_use]
    pub fn encode(&self) -> Vec<u8> {
        let mut bytes = if self.key.is_some() { HEAD } else { HEAD_WITHOUT_KEY }.to_vec();
        bytes.extend(self.at.to_be_bytes());
        bytes.extend(self.key.iter().flatten());
        self.torrents.iter().for_each(|torrent| encode_torrent(torrent, &mut bytes));
        let checksum = crc32c::crc32c(&bytes);
        bytes.extend(checksum.to_be_bytes());
        bytes
    }

    /// Reads a file.
    ///
    /// # Errors
    /// It is of another kind, or damaged.
    pub fn decode(bytes: &[u8]) -> Result<Self, Unreadable> {
        let (content, checksum) = bytes.split_last_chunk::<CHECKSUM_LEN>().ok_or(Unreadable::OtherFormat)?;
        let with_key = content.strip_prefix(HEAD);
        let mut reader =
            Reader(with_key.or_else(|| content.strip_prefix(HEAD_WITHOUT_KEY)).ok_or(Unreadable::OtherFormat)?);
        if crc32c::crc32c(content) != u32::from_be_bytes(*checksum) {
            return Err(Unreadable::Damaged);
        }
        let at = reader.u64()?;
        let key = with_key.map(|_| reader.take()).transpose()?;
        let mut torrents = Vec::new();
        while !reader.0.is_empty() {
            torrents.push(reader.torrent()?);
        }
        Ok(Self { at, key, torrents })
    }
}

fn encode_torrent(torrent: &SavedTorrent, bytes: &mut Vec<u8>) {
    let members = u16::try_from(torrent.members.len()).unwrap_or(u16::MAX);
    bytes.extend(torrent.info_hash.as_bytes());
    bytes.push(torrent.private.map_or(0, |private| if private { 2 } else { 1 }));
    bytes.extend(torrent.downloaded.to_be_bytes());
    bytes.extend(seconds(torrent.age));
    bytes.extend(members.to_be_bytes());
    torrent.members.iter().take(usize::from(members)).for_each(|member| encode_member(member, bytes));
}

fn encode_member(member: &SavedMember, bytes: &mut Vec<u8>) {
    let scope = if let SocketAddr::V6(addr) = member.addr { addr.scope_id() } else { 0 };
    bytes.extend(ipv6(member.addr.ip()));
    bytes.extend(scope.to_be_bytes());
    bytes.extend(member.addr.port().to_be_bytes());
    bytes.extend(ipv6(member.here));
    bytes.push(member.nearness as u8);
    bytes.extend(member.peer_id);
    let flags = [member.seed, member.proven_seed, member.finished, member.to_dht, member.to_trackers];
    bytes.push(flags.iter().rev().fold(0, |byte, &flag| byte << 1 | u8::from(flag)));
    let (verdict, age) = member.testimony.map_or((0, Duration::ZERO), |(verdict, age)| (code(verdict), age));
    bytes.push(verdict);
    bytes.extend(seconds(age));
    bytes.extend(seconds(member.age));
}

fn ipv6(ip: IpAddr) -> [u8; 16] {
    match ip {
        IpAddr::V4(ip) => ip.to_ipv6_mapped().octets(),
        IpAddr::V6(ip) => ip.octets(),
    }
}

fn seconds(age: Duration) -> [u8; 4] {
    u32::try_from(age.as_secs()).unwrap_or(u32::MAX).to_be_bytes()
}

const VERDICTS: [Verdict; 5] =
    [Verdict::Public, Verdict::Private, Verdict::Withheld, Verdict::NotYet, Verdict::Unknown];

const fn code(verdict: Verdict) -> u8 {
    match verdict {
        Verdict::Public => 1,
        Verdict::Private => 2,
        Verdict::Withheld => 3,
        Verdict::NotYet => 4,
        Verdict::Unknown => 5,
    }
}

/// What is still to be read.
struct Reader<'a>(&'a [u8]);

impl Reader<'_> {
    fn take<const N: usize>(&mut self) -> Result<[u8; N], Unreadable> {
        let (bytes, rest) = self.0.split_first_chunk::<N>().ok_or(Unreadable::Damaged)?;
        self.0 = rest;
        Ok(*bytes)
    }

    fn u8(&mut self) -> Result<u8, Unreadable> {
        self.take::<1>().map(|[byte]| byte)
    }

    fn u16(&mut self) -> Result<u16, Unreadable> {
        self.take().map(u16::from_be_bytes)
    }

    fn u32(&mut self) -> Result<u32, Unreadable> {
        self.take().map(u32::from_be_bytes)
    }

    fn u64(&mut self) -> Result<u64, Unreadable> {
        self.take().map(u64::from_be_bytes)
    }

    fn age(&mut self) -> Result<Duration, Unreadable> {
        Ok(Duration::from_secs(self.u32()?.into()))
    }

    fn torrent(&mut self) -> Result<SavedTorrent, Unreadable> {
        let info_hash = InfoHash::new(self.take()?);
        let private = match self.u8()? {
            0 => None,
            1 => Some(false),
            2 => Some(true),
            _ => return Err(Unreadable::Damaged),
        };
        let (downloaded, age, count) = (self.u32()?, self.age()?, self.u16()?);
        let members = (0..count).map(|_| self.member()).collect::<Result<_, _>>()?;
        Ok(SavedTorrent { info_hash, private, downloaded, age, members })
    }

    fn member(&mut self) -> Result<SavedMember, Unreadable> {
        let (ip, scope, port) = (Ipv6Addr::from(self.take::<16>()?), self.u32()?, self.u16()?);
        let addr = canonical(SocketAddrV6::new(ip, port, 0, scope).into());
        let here = IpAddr::from(Ipv6Addr::from(self.take::<16>()?)).to_canonical();
        let nearness = match self.u8()? {
            0 => Nearness::Host,
            1 => Nearness::Lan,
            2 => Nearness::Neighbour,
            3 => Nearness::Remote,
            _ => return Err(Unreadable::Damaged),
        };
        let (peer_id, flags, verdict, verdict_age) = (self.take()?, self.u8()?, self.u8()?, self.age()?);
        let testimony = match usize::from(verdict).checked_sub(1) {
            None => None,
            Some(index) => Some((*VERDICTS.get(index).ok_or(Unreadable::Damaged)?, verdict_age)),
        };
        let flag = |bit: u8| flags >> bit & 1 == 1;
        Ok(SavedMember {
            addr,
            here,
            nearness,
            peer_id,
            seed: flag(0),
            proven_seed: flag(1),
            finished: flag(2),
            to_dht: flag(3),
            to_trackers: flag(4),
            testimony,
            age: self.age()?,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn member() -> impl Strategy<Value = SavedMember> {
        let testimony = (prop::sample::select(VERDICTS.to_vec()), any::<u32>());
        let who = (any::<SocketAddr>(), any::<IpAddr>(), any::<[u8; 20]>(), any::<[bool; 5]>());
        let nearness = prop::sample::select(vec![Nearness::Host, Nearness::Lan, Nearness::Neighbour, Nearness::Remote]);
        (who, nearness, prop::option::of(testimony), any::<u32>()).prop_map(|(who, nearness, testimony, age)| {
            let (addr, here, peer_id, [seed, proven_seed, finished, to_dht, to_trackers]) = who;
            let after = |seconds: u32| Duration::from_secs(seconds.into());
            let testimony = testimony.map(|(verdict, age)| (verdict, after(age)));
            let (addr, here, age) = (canonical(addr), here.to_canonical(), after(age));
            SavedMember {
                addr,
                here,
                nearness,
                peer_id,
                seed,
                proven_seed,
                finished,
                to_dht,
                to_trackers,
                testimony,
                age,
            }
        })
    }

    fn saved() -> impl Strategy<Value = Saved> {
        let head = (any::<[u8; 20]>(), any::<Option<bool>>(), any::<u32>(), any::<u32>());
        let torrent = (head, prop::collection::vec(member(), 0..4));
        let torrent = torrent.prop_map(|((hash, private, downloaded, age), members)| {
            let age = Duration::from_secs(age.into());
            SavedTorrent { info_hash: InfoHash::new(hash), private, downloaded, age, members }
        });
        (any::<(u64, Option<[u8; 16]>)>(), prop::collection::vec(torrent, 0..4))
            .prop_map(|((at, key), torrents)| Saved { at, key, torrents })
    }

    proptest! {
        #[test]
        fn what_is_saved_is_read_again(saved in saved()) {
            prop_assert_eq!(Saved::decode(&saved.encode()), Ok(saved));
        }

        #[test]
        fn a_wrong_bit_or_a_missing_end_is_noticed(saved in saved(), at: prop::sample::Index, bit in 0..8u8) {
            let mut bytes = saved.encode();
            let at = at.index(bytes.len());
            prop_assert!(Saved::decode(&bytes[..at]).is_err());
            bytes[at] ^= 1 << bit;
            prop_assert!(Saved::decode(&bytes).is_err());
        }

        #[test]
        fn any_bytes_are_read_without_panic(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
            prop_assert_eq!(Saved::decode(&bytes), Err(Unreadable::OtherFormat));
            for head in [HEAD, HEAD_WITHOUT_KEY] {
                let mut file = [head, &bytes].concat();
                file.extend(crc32c::crc32c(&file).to_be_bytes());
                let _ = Saved::decode(&file);
            }
        }
    }
}
