//! `trackerless publish-torrent` and `trackerless resolve`: a name that stays while the torrent behind it changes.
//!
//! The name is the public key of an owner, the torrent of the day stands in a mutable item (BEP 46).

use std::fmt;
use std::time::Duration;

use serde_json::json;

use super::put::What;
use super::{check_salt, key, public_key};
use crate::cli::args::{PublishArgs, ResolveArgs};
use crate::cli::failure::{Exit, Failure, eprintln_quietly};
use crate::cli::network::{self, Base, Network};
use crate::cli::output::{Printer, counted};
use crate::cli::progress::Progress;
use crate::cli::session;
use crate::cli::target::Target;
use crate::dht::ItemStored;
use crate::engine::id::InfoHash;
use crate::engine::items::{Item, Value, target_of_key};

/// `trackerless publish-torrent`
pub(in crate::cli) fn publish(args: PublishArgs, environment: &[(String, String)]) -> Result<Exit, Failure> {
    let target = Target::parse_only(&args.target)?;
    let infohash = *target.torrent.infohashes.first().expect("a torrent has an infohash");
    let owner = key::read(&args.key)?;
    let salt = args.salt.unwrap_or_default().into_bytes();
    let patience = args.joining.patience();
    let feed = Feed { key: owner.public_key(), salt: salt.clone() };
    check_salt(&salt)?;
    let what = What { value: value_of(&infohash), owner: Some(owner), salt, seq: args.seq, cas: args.cas, patience };
    let (base, output) = network::begin(args.setup, environment)?;
    let output = output.staying(args.keep);
    let report = |item: &Item, stored: &ItemStored| {
        let count = stored.stored_at.len();
        let record = json!({
            "magnet": feed.to_string(), "infohash": infohash.to_string(), "seq": item.seq(), "stored_at": count,
        });
        output.result(&feed, &record)?;
        Ok(if count == 0 { Exit::Nothing } else { Exit::Done })
    };
    session::block_on(what.store(&base, args.keep, report))
}

/// `trackerless resolve`
pub(in crate::cli) fn resolve(args: ResolveArgs, environment: &[(String, String)]) -> Result<Exit, Failure> {
    let feed = Feed::parse(&args.feed, args.salt.as_deref())?;
    let patience = args.joining.patience();
    let (base, output) = network::begin(args.setup, environment)?;
    session::block_on(look_up(&base, &feed, patience, output))
}

async fn look_up(base: &Base, feed: &Feed, patience: Duration, output: Printer) -> Result<Exit, Failure> {
    let progress = Progress::new("joining the DHT");
    let network = Network::open(base, patience).await?;
    progress.say("asking for the torrent of the day");
    // BEP 46: those who follow a feed help it to stay.
    let found = network.renew_item(target_of_key(&feed.key, &feed.salt), &feed.salt).await?;
    drop(progress);
    network.close().await?;
    let Some(item) = found.item else {
        eprintln_quietly(format_args!(
            "nothing is published under {feed}; {} answered",
            counted(found.answered, "node")
        ));
        return Ok(Exit::Nothing);
    };
    let Some(infohash) = infohash_of(item.value()) else {
        let cure = "get it with `trackerless get --public-key`, to see what it is";
        return Err(Failure::nothing(format_args!("what is stored under {feed} names no torrent"), cure));
    };
    let record = json!({
        "infohash": infohash.to_string(), "seq": item.seq(), "magnet": feed.to_string(),
        "renewed_at": found.renewed_at.len(),
    });
    output.result(infohash, &record)?;
    Ok(Exit::Done)
}

/// BEP 46: a dict with the infohash under `ih`.
fn value_of(infohash: &InfoHash) -> Value {
    let bytes = [b"d2:ih20:", &infohash.as_bytes()[..], b"e"].concat();
    Value::from_bencode(&bytes).expect("a short canonical dict")
}

/// The infohash in a value; other keys may stand beside it.
fn infohash_of(value: &Value) -> Option<InfoHash> {
    let mut decoder = bendy::decoding::Decoder::new(value.as_bencode());
    let mut dict = decoder.next_object().ok()??.try_into_dictionary().ok()?;
    while let Some((key, object)) = dict.next_pair().ok()? {
        if key == b"ih" {
            return InfoHash::from_bytes(object.try_into_bytes().ok()?);
        }
    }
    None
}

/// The name under which an owner publishes torrents.
#[derive(Debug, PartialEq, Eq)]
struct Feed {
    key: [u8; 32],
    salt: Vec<u8>,
}

impl Feed {
    /// Reads `magnet:?xs=urn:btpk:KEY&s=SALT`, the salt in hexadecimal, or a bare key. A salt that is given as text
    /// takes the place of the magnet's.
    fn parse(text: &str, salt: Option<&str>) -> Result<Self, Failure> {
        let cure = "give magnet:?xs=urn:btpk: and the 64 digits of a public key, or the digits alone";
        let Some(query) = text.strip_prefix("magnet:?") else {
            let salt = salt.unwrap_or_default().as_bytes().to_vec();
            return Self { key: public_key(text)?, salt }.checked();
        };
        let parameter = |name: &str| {
            let pairs = query.split('&').filter_map(|pair| pair.split_once('='));
            pairs.filter(|(key, _)| key.eq_ignore_ascii_case(name)).map(|(_, value)| value).next()
        };
        let source = parameter("xs").map(|source| source.replace("%3A", ":").replace("%3a", ":"));
        let key = source.as_deref().and_then(|source| source.strip_prefix("urn:btpk:"));
        let key = key.ok_or_else(|| Failure::usage("the magnet URI has no xs=urn:btpk:", cure))?;
        let in_magnet = hex::decode(parameter("s").unwrap_or_default());
        let in_magnet =
            in_magnet.map_err(|_| Failure::usage("the salt (s=) of the magnet URI is not hexadecimal", cure))?;
        let salt = salt.map_or(in_magnet, |salt| salt.as_bytes().to_vec());
        Self { key: public_key(key)?, salt }.checked()
    }

    fn checked(self) -> Result<Self, Failure> {
        check_salt(&self.salt).map(|()| self)
    }
}

impl fmt::Display for Feed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "magnet:?xs=urn:btpk:{}", hex::encode(self.key))?;
        if self.salt.is_empty() { Ok(()) } else { write!(f, "&s={}", hex::encode(&self.salt)) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const KEY: &str = "8543d3e6115f0f98c944077a4493dcd543e49c739fd998550a1f614ab36ed63e";

    fn target(text: &str, salt: Option<&str>) -> String {
        let feed = Feed::parse(text, salt).expect("a feed");
        target_of_key(&feed.key, &feed.salt).to_string()
    }

    #[test]
    fn the_magnets_of_bep_46_lead_to_its_targets() {
        let (plain, salted) = ("cc3f9d90b572172053626f9980ce261a850d050b", "59ee7c2cb9b4f7eb1986ee2d18fd2fdb8a56554f");
        assert_eq!(target(&format!("magnet:?xs=urn:btpk:{KEY}"), None), plain);
        assert_eq!(target(&format!("magnet:?xs=urn:btpk:{KEY}&s=6e"), None), salted);
        assert_eq!(target(&format!("magnet:?dn=x&xs=urn%3Abtpk%3A{KEY}"), Some("n")), salted);
        assert_eq!(target(KEY, None), plain);
        let magnet = format!("magnet:?xs=urn:btpk:{KEY}&s=6e");
        assert_eq!(Feed::parse(&magnet, None).map(|feed| feed.to_string()).ok(), Some(magnet));
        for wrong in ["magnet:?xt=urn:btih:x", "magnet:?xs=urn:btpk:12", "x"] {
            assert!(Feed::parse(wrong, None).is_err(), "{wrong}");
        }
    }

    #[test]
    fn values_name_one_infohash_of_20_bytes() {
        let infohash = InfoHash::new([7; 20]);
        assert_eq!(infohash_of(&value_of(&infohash)), Some(infohash));
        for other in ["de", "d2:ih3:abce", "le", "d2:ihi1ee"] {
            assert_eq!(infohash_of(&Value::from_bencode(other.as_bytes()).unwrap()), None, "{other}");
        }
        let more = format!("d2:ih20:{}4:name1:xe", "a".repeat(20));
        assert_eq!(infohash_of(&Value::from_bencode(more.as_bytes()).unwrap()), Some(InfoHash::new([b'a'; 20])));
    }
}
