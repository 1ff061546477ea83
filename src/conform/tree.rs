//! A datagram read whole, leniently: what a reply means is checked apart from whether it is canonical.
//!
//! Strictness is one check of its own ([`is_canonical`], by `bendy`); without this reader a single misplaced key of
//! a target would fail every other check as well.

use bendy::decoding::{Decoder, FromBencode as _};
use bendy::encoding::Encoder;
use bendy::value::Value;

/// A bencoded value; dicts keep their keys in the order of the wire, duplicates included.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Tree {
    /// `<length>:<bytes>`
    Bytes(Vec<u8>),
    /// `i<digits>e`
    Int(i64),
    /// `l...e`
    List(Vec<Tree>),
    /// `d...e`
    Dict(Vec<(Vec<u8>, Tree)>),
}

impl Tree {
    /// Reads `bytes`; `None` where they are not one value, alone.
    #[must_use]
    pub fn parse(bytes: &[u8]) -> Option<Self> {
        let mut rest = bytes;
        let tree = value(&mut rest, 0)?;
        rest.is_empty().then_some(tree)
    }

    /// The value of `key`, if this is a dict that has it.
    #[must_use]
    pub fn get(&self, key: &str) -> Option<&Self> {
        match self {
            Self::Dict(entries) => entries.iter().find(|(name, _)| name == key.as_bytes()).map(|(_, value)| value),
            _ => None,
        }
    }

    /// The bytes, if this is a string.
    #[must_use]
    pub fn bytes(&self) -> Option<&[u8]> {
        match self {
            Self::Bytes(bytes) => Some(bytes),
            _ => None,
        }
    }

    /// The number, if this is an integer.
    #[must_use]
    pub const fn int(&self) -> Option<i64> {
        match self {
            Self::Int(number) => Some(*number),
            _ => None,
        }
    }

    /// The elements, if this is a list.
    #[must_use]
    pub fn list(&self) -> Option<&[Self]> {
        match self {
            Self::List(elements) => Some(elements),
            _ => None,
        }
    }
}

/// Whether `bytes` are canonical bencoding (BEP 3: sorted keys, no duplicates, no leading zeros), nothing after it.
#[must_use]
pub fn is_canonical(bytes: &[u8]) -> bool {
    let mut decoder = Decoder::new(bytes).with_max_depth(MAX_DEPTH.into());
    let mut encoder = Encoder::new().with_max_depth(MAX_DEPTH.into());
    let Ok(Some(object)) = decoder.next_object() else { return false };
    let Ok(value) = Value::decode_bencode_object(object) else { return false };
    // bendy refuses all of it but bytes after the end, which the way back shows.
    encoder.emit(&value).is_ok() && encoder.get_output().is_ok_and(|again| again == bytes)
}

/// Containers inside containers; no message needs half of it.
const MAX_DEPTH: u8 = 20;

fn value(rest: &mut &[u8], depth: u8) -> Option<Tree> {
    if depth > MAX_DEPTH {
        return None;
    }
    match *rest.first()? {
        b'i' => {
            let digits = take_until(&mut &rest[1..], b'e')?;
            let number = std::str::from_utf8(digits).ok()?.parse().ok()?;
            *rest = &rest[digits.len() + 2..];
            Some(Tree::Int(number))
        }
        b'l' => {
            *rest = &rest[1..];
            let mut elements = Vec::new();
            while !ends(rest)? {
                elements.push(value(rest, depth + 1)?);
            }
            Some(Tree::List(elements))
        }
        b'd' => {
            *rest = &rest[1..];
            let mut entries = Vec::new();
            while !ends(rest)? {
                entries.push((string(rest)?, value(rest, depth + 1)?));
            }
            Some(Tree::Dict(entries))
        }
        _ => string(rest).map(Tree::Bytes),
    }
}

/// Takes the `e` of a container, if it is next.
fn ends(rest: &mut &[u8]) -> Option<bool> {
    let end = *rest.first()? == b'e';
    *rest = &rest[usize::from(end)..];
    Some(end)
}

fn string(rest: &mut &[u8]) -> Option<Vec<u8>> {
    let digits = take_until(rest, b':')?;
    let length: usize = std::str::from_utf8(digits).ok()?.parse().ok()?;
    let (bytes, after) = rest.split_at_checked(length)?;
    *rest = after;
    Some(bytes.to_vec())
}

/// Takes what is before the next `end`, and `end` itself.
fn take_until<'a>(rest: &mut &'a [u8], end: u8) -> Option<&'a [u8]> {
    let at = rest.iter().position(|&byte| byte == end)?;
    let (before, after) = rest.split_at(at);
    *rest = &after[1..];
    Some(before)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn reads_what_is_not_canonical_and_says_so() {
        let unsorted = b"d1:y1:r1:rd2:id2:xxee";
        let tree = Tree::parse(unsorted).expect("readable");
        assert_eq!(tree.get("r").and_then(|r| r.get("id")).and_then(Tree::bytes), Some(&b"xx"[..]));
        assert!(!is_canonical(unsorted));
        assert!(!is_canonical(b"i01e") && !is_canonical(b"d1:ai1e1:ai2ee") && !is_canonical(b"i1ex"));
        assert!(is_canonical(b"d1:ali1e0:e1:b0:e"));
        assert_eq!(Tree::parse(b"i1ex"), None);
        assert_eq!(Tree::parse(&b"l".repeat(100)), None);
    }

    proptest! {
        #[test]
        fn never_panics_and_reads_whatever_is_canonical(bytes in prop::collection::vec(any::<u8>(), 0..40)) {
            let tree = Tree::parse(&bytes);
            prop_assert!(tree.is_some() || !is_canonical(&bytes));
        }
    }
}
