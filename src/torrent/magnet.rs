//! Magnet URIs (BEP 9, Magnet URI format; BEP 52 for `btmh`).
//!
//! As libtorrent reads them: parameter names in either case, a numeric suffix (`xt.1`) stripped, values
//! percent-encoded, other parameters and other kinds of `xt` passed over.

use arrayvec::ArrayVec;

use super::Torrent;
use super::name::{InfohashError, btih, hexadecimal, printable};
use crate::engine::id::{Id, InfoHash};

/// What is wrong with a magnet URI.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum MagnetError {
    /// It does not go on with a question mark.
    #[error("a magnet URI begins with \"magnet:?\"")]
    NoQuery,
    /// No parameter names a torrent.
    #[error("the magnet URI has no xt=urn:btih: and no xt=urn:btmh:, so it names no torrent")]
    NoTorrent,
    /// Two different hashes of one version.
    #[error("the magnet URI names two different {0} torrents")]
    Several(&'static str),
    /// A percent sign without two digits after it.
    #[error("in {parameter}: the percent sign at character {position} lacks its two hexadecimal digits")]
    Percent {
        /// The parameter as it stands in the URI.
        parameter: String,
        /// Place of the percent sign in its value, counted from 1.
        position: usize,
    },
    /// The multihash is not that of a SHA-256.
    #[error("in {0}: a v2 hash begins with 1220 (SHA-256, 32 bytes)")]
    Multihash(String),
    /// The digits of a hash are wrong.
    #[error("in {parameter}: {fault}")]
    Hash {
        /// The parameter as it stands in the URI.
        parameter: String,
        /// What is wrong with its digits.
        #[source]
        fault: InfohashError,
    },
}

/// Whether `text` wants to be a magnet URI.
pub(super) fn is_magnet(text: &str) -> bool {
    strip_prefix(text, "magnet:").is_some()
}

/// Reads a magnet URI.
pub(super) fn parse(text: &str) -> Result<Torrent, MagnetError> {
    let query = strip_prefix(text, "magnet:?").ok_or(MagnetError::NoQuery)?;
    let (mut v1, mut v2, mut name) = (None, None, None);
    for parameter in query.split('&') {
        let (key, value) = parameter.split_once('=').unwrap_or((parameter, ""));
        match base_name(key).as_str() {
            "xt" => read_topic(key, value, &mut v1, &mut v2)?,
            "dn" => name = name.or_else(|| display_name(value)),
            _ => {}
        }
    }
    let infohashes: ArrayVec<InfoHash, 2> = [v1, v2].into_iter().flatten().collect();
    if infohashes.is_empty() {
        return Err(MagnetError::NoTorrent);
    }
    Ok(Torrent { infohashes, name, known_public: false })
}

/// Reads one exact topic into the version that it names; a topic that is no torrent is passed over.
fn read_topic(key: &str, value: &str, v1: &mut Option<InfoHash>, v2: &mut Option<InfoHash>) -> Result<(), MagnetError> {
    let value =
        percent_decode(value).map_err(|position| MagnetError::Percent { parameter: key.to_owned(), position })?;
    let topic = String::from_utf8_lossy(&value);
    let wrong = |kind: &str, fault| MagnetError::Hash { parameter: format!("{key}=urn:{kind}:"), fault };
    if let Some(hash) = self::topic(&topic) {
        once(v1, btih(hash).map_err(|fault| wrong("btih", fault))?, "v1")
    } else if let Some(multihash) = strip_prefix(&topic, "urn:btmh:") {
        let hash = multihash.strip_prefix("1220").ok_or_else(|| MagnetError::Multihash(format!("{key}=urn:btmh:")))?;
        let bytes = hexadecimal(hash, 64).map_err(|fault| wrong("btmh:1220", fault))?;
        once(v2, InfoHash::from_bytes(&bytes[..Id::LEN]).expect("20 of 32 bytes"), "v2")
    } else {
        Ok(())
    }
}

/// The digits of a topic that names a v1 torrent: `urn:btih:` and what follows.
pub(super) fn topic(text: &str) -> Option<&str> {
    strip_prefix(text, "urn:btih:")
}

/// Sets `slot`; to say the same twice is allowed.
fn once(slot: &mut Option<InfoHash>, id: InfoHash, version: &'static str) -> Result<(), MagnetError> {
    match *slot.get_or_insert(id) == id {
        true => Ok(()),
        false => Err(MagnetError::Several(version)),
    }
}

/// The name of a parameter in lower case, without a numeric suffix: `XT.1` is `xt`. A URI that was copied out of the
/// source of a web page has `&amp;` where `&` is meant.
fn base_name(key: &str) -> String {
    let key = strip_prefix(key, "amp;").unwrap_or(key);
    let name = match key.split_once('.') {
        Some((name, number)) if number.bytes().all(|byte| byte.is_ascii_digit()) => name,
        _ => key,
    };
    name.to_ascii_lowercase()
}

/// The name for people. A broken percent code in it does no harm, so it stays as it is.
fn display_name(value: &str) -> Option<String> {
    let spaced = value.replace('+', " ");
    let bytes = percent_decode(&spaced).unwrap_or_else(|_| spaced.clone().into_bytes());
    let name = printable(&bytes);
    (!name.trim().is_empty()).then_some(name)
}

/// Resolves `%XX`; the error is the position of the percent sign that lacks its digits, counted from 1.
fn percent_decode(text: &str) -> Result<Vec<u8>, usize> {
    let bytes = text.as_bytes();
    let mut decoded = Vec::with_capacity(bytes.len());
    let mut at = 0;
    while at < bytes.len() {
        if bytes[at] != b'%' {
            decoded.push(bytes[at]);
            at += 1;
            continue;
        }
        let digits = bytes.get(at + 1..at + 3).and_then(|digits| hex::decode(digits).ok());
        decoded.extend(digits.ok_or_else(|| text[..at].chars().count() + 1)?);
        at += 3;
    }
    Ok(decoded)
}

/// `text` without `prefix`, which may stand in either case.
fn strip_prefix<'a>(text: &'a str, prefix: &str) -> Option<&'a str> {
    let head = text.get(..prefix.len())?;
    head.eq_ignore_ascii_case(prefix).then(|| &text[prefix.len()..])
}

#[cfg(test)]
mod tests {
    use super::*;

    const V1: &str = "da39a3ee5e6b4b0d3255bfef95601890afd80709";
    const V2: &str = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855";

    fn infohashes(text: &str) -> Vec<String> {
        parse(text).unwrap().infohashes.iter().map(ToString::to_string).collect()
    }

    fn error(text: &str) -> String {
        parse(text).unwrap_err().to_string()
    }

    #[test]
    fn each_spelling_of_a_v1_hash_is_read() {
        for text in [
            format!("magnet:?xt=urn:btih:{V1}"),
            format!("MAGNET:?XT=URN:BTIH:{}", V1.to_uppercase()),
            "magnet:?dn=x&xt.1=urn:btih:3i42h3s6nnfq2msvx7xzkyayscx5qbyj".to_owned(),
            format!("magnet:?dn=x&amp;xt=urn:btih:{V1}"),
            format!("magnet:?xt=urn%3Abtih%3a{V1}&tr=udp%3A%2F%2Ftracker"),
            format!("magnet:?xt=urn:btih:{V1}&xt=urn:btih:3I42H3S6NNFQ2MSVX7XZKYAYSCX5QBYJ&xt=urn:sha1:ABC"),
        ] {
            assert_eq!(infohashes(&text), [V1], "{text}");
        }
    }

    #[test]
    fn a_v2_hash_is_truncated_and_a_hybrid_has_both() {
        assert_eq!(infohashes(&format!("magnet:?xt=urn:btmh:1220{V2}")), [&V2[..40]]);
        let hybrid = format!("magnet:?xt.2=urn:btmh:1220{V2}&xt.1=urn:btih:{V1}");
        assert_eq!(infohashes(&hybrid), [V1, &V2[..40]]);
    }

    #[test]
    fn the_name_is_decoded_and_made_safe() {
        let name = |dn: &str| parse(&format!("magnet:?xt=urn:btih:{V1}&dn={dn}")).unwrap().name;
        assert_eq!(name("a%20b+c"), Some("a b c".to_owned()));
        assert_eq!(name("100%"), Some("100%".to_owned()));
        assert_eq!(name("%1b]0;x"), Some("\u{fffd}]0;x".to_owned()));
        assert_eq!(name(""), None);
    }

    #[test]
    fn wrong_ones_name_the_parameter_and_the_place() {
        assert_eq!(
            error(&format!("magnet:?xt=urn:btih:{}", &V1[1..])),
            "in xt=urn:btih:: 39 digits, an infohash has 40"
        );
        assert_eq!(
            error("magnet:?xt.1=urn%3"),
            "in xt.1: the percent sign at character 4 lacks its two hexadecimal digits"
        );
        assert!(error(&format!("magnet:?xt=urn:btmh:1114{V1}")).contains("begins with 1220"));
        assert!(error(&format!("magnet:?xt=urn:btmh:1220{}", &V2[2..])).ends_with("62 digits, an infohash has 64"));
        assert!(error("magnet:?dn=x").contains("names no torrent"));
        assert!(error("magnet:xt=urn").contains("begins with"));
        let two = format!("magnet:?xt=urn:btih:{V1}&xt=urn:btih:{}", "0".repeat(40));
        assert_eq!(error(&two), "the magnet URI names two different v1 torrents");
    }
}
