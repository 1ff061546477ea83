//! Bencode of torrent files, read as clients read it.
//!
//! Files of unknown makers have keys out of order or twice, numbers with leading zeros and bytes after the end; clients
//! take them (libtorrent `bdecode.cpp`, Transmission `benc.h`), so this reader does too. Where a value ends is never in
//! doubt, which is all that an infohash needs: it is taken over the bytes as they stand. Invariants: nothing is copied
//! or allocated, each byte is read a bounded number of times, and containers are nested at most [`MAX_DEPTH`] deep.

/// Largest number of containers inside each other. libtorrent stops at 100; a v2 file tree has one for each folder.
pub(super) const MAX_DEPTH: usize = 256;

/// Where the bytes stop being bencode, and what is wrong there.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{what} at byte {at}")]
pub struct Malformed {
    /// Position of the byte, counted from 0.
    pub at: usize,
    /// What is wrong there.
    pub what: &'static str,
}

/// Type of a value.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum ValueType {
    String,
    Integer,
    List,
    Dict,
}

/// An integer of any length.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Integer<'a> {
    negative: bool,
    /// Its digits without leading zeros; none for zero.
    digits: &'a [u8],
}

impl Integer<'_> {
    pub(super) const fn is_zero(self) -> bool {
        self.digits.is_empty()
    }

    /// The number; `None` where it is negative or has more than 64 bits.
    pub(super) fn to_u64(self) -> Option<u64> {
        match self.digits {
            [] => Some(0),
            _ if self.negative => None,
            digits => std::str::from_utf8(digits).ok()?.parse().ok(),
        }
    }
}

impl std::fmt::Display for Integer<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        const LONGEST: usize = 20;
        let sign = if self.negative { "-" } else { "" };
        match self.digits {
            [] => f.write_str("0"),
            digits if digits.len() > LONGEST => write!(f, "{sign}(a number of {} digits)", digits.len()),
            digits => write!(f, "{sign}{}", String::from_utf8_lossy(digits)),
        }
    }
}

/// A position in bencode.
#[derive(Debug)]
pub(super) struct Reader<'a> {
    bytes: &'a [u8],
    at: usize,
    depth: usize,
}

impl<'a> Reader<'a> {
    pub(super) const fn new(bytes: &'a [u8]) -> Self {
        Self { bytes, at: 0, depth: 0 }
    }

    /// Position of the next byte.
    pub(super) const fn position(&self) -> usize {
        self.at
    }

    pub(super) fn kind(&self) -> Result<ValueType, Malformed> {
        match self.bytes.get(self.at) {
            Some(b'0'..=b'9') => Ok(ValueType::String),
            Some(b'i') => Ok(ValueType::Integer),
            Some(b'l') => Ok(ValueType::List),
            Some(b'd') => Ok(ValueType::Dict),
            Some(_) => Err(self.wrong("no value begins")),
            None => Err(self.wrong("the file ends inside a value")),
        }
    }

    /// Reads a dict and calls `entry` for each key. A value that `entry` leaves unread is skipped.
    pub(super) fn dict(
        &mut self,
        mut entry: impl FnMut(&mut Self, &'a [u8]) -> Result<(), Malformed>,
    ) -> Result<(), Malformed> {
        self.container(|reader| {
            let key = reader.string()?;
            let before = reader.at;
            entry(reader, key)?;
            if reader.at == before { reader.skip().map(drop) } else { Ok(()) }
        })
    }

    /// Reads a list and calls `item` before each value. A value that `item` leaves unread is skipped.
    pub(super) fn list(&mut self, mut item: impl FnMut(&mut Self) -> Result<(), Malformed>) -> Result<(), Malformed> {
        self.container(|reader| {
            let before = reader.at;
            item(reader)?;
            if reader.at == before { reader.skip().map(drop) } else { Ok(()) }
        })
    }

    pub(super) fn string(&mut self) -> Result<&'a [u8], Malformed> {
        let start = self.at;
        let digits = self.digits()?;
        self.expect(b':', "a string has no colon after its length")?;
        let length = digits
            .iter()
            .try_fold(0usize, |length, digit| length.checked_mul(10)?.checked_add(usize::from(digit - b'0')));
        let end = length.and_then(|length| self.at.checked_add(length)).filter(|end| *end <= self.bytes.len());
        let end = end.ok_or(Malformed { at: start, what: "the file ends inside the string that begins" })?;
        let string = &self.bytes[self.at..end];
        self.at = end;
        Ok(string)
    }

    pub(super) fn integer(&mut self) -> Result<Integer<'a>, Malformed> {
        self.expect(b'i', "no integer begins")?;
        let negative = self.bytes.get(self.at) == Some(&b'-');
        self.at += usize::from(negative);
        let digits = self.digits()?;
        self.expect(b'e', "an integer does not end")?;
        let zeros = digits.iter().take_while(|digit| **digit == b'0').count();
        Ok(Integer { negative, digits: &digits[zeros..] })
    }

    /// Reads a string, or skips a value of another type.
    pub(super) fn string_if_any(&mut self) -> Result<Option<&'a [u8]>, Malformed> {
        if self.kind()? == ValueType::String { self.string().map(Some) } else { self.skip().map(|_| None) }
    }

    /// Reads an integer, or skips a value of another type.
    pub(super) fn integer_if_any(&mut self) -> Result<Option<Integer<'a>>, Malformed> {
        if self.kind()? == ValueType::Integer { self.integer().map(Some) } else { self.skip().map(|_| None) }
    }

    /// Skips one value; its bytes.
    pub(super) fn skip(&mut self) -> Result<&'a [u8], Malformed> {
        let start = self.at;
        match self.kind()? {
            ValueType::String => drop(self.string()?),
            ValueType::Integer => drop(self.integer()?),
            ValueType::List => self.list(|_| Ok(()))?,
            ValueType::Dict => self.dict(|_, _| Ok(()))?,
        }
        Ok(&self.bytes[start..self.at])
    }

    /// Reads a container whose first byte is next, with `entry` for each of its entries.
    fn container(&mut self, mut entry: impl FnMut(&mut Self) -> Result<(), Malformed>) -> Result<(), Malformed> {
        if self.depth == MAX_DEPTH {
            return Err(self.wrong("lists and dicts are nested too deeply"));
        }
        self.depth += 1;
        self.at += 1;
        while self.bytes.get(self.at) != Some(&b'e') {
            entry(self)?;
        }
        self.at += 1;
        self.depth -= 1;
        Ok(())
    }

    fn digits(&mut self) -> Result<&'a [u8], Malformed> {
        let rest = &self.bytes[self.at..];
        let count = rest.iter().take_while(|byte| byte.is_ascii_digit()).count();
        if count == 0 {
            return Err(match rest {
                [] => self.wrong("the file ends inside a value"),
                _ => self.wrong("a digit is missing"),
            });
        }
        self.at += count;
        Ok(&rest[..count])
    }

    fn expect(&mut self, byte: u8, otherwise: &'static str) -> Result<(), Malformed> {
        match self.bytes.get(self.at) {
            Some(found) if *found == byte => {
                self.at += 1;
                Ok(())
            }
            Some(_) => Err(self.wrong(otherwise)),
            None => Err(self.wrong("the file ends inside a value")),
        }
    }

    const fn wrong(&self, what: &'static str) -> Malformed {
        Malformed { at: self.at, what }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn skip(bytes: &[u8]) -> Result<usize, Malformed> {
        Reader::new(bytes).skip().map(<[u8]>::len)
    }

    #[test]
    fn what_clients_take_is_taken() {
        for bytes in ["d1:bi1e1:ai2ee", "d1:ai1e1:ai2ee", "i007e", "i-0e", "03:abc", "i99999999999999999999999999e"] {
            assert_eq!(skip(bytes.as_bytes()), Ok(bytes.len()), "{bytes}");
        }
        assert_eq!(skip(b"i1etrailing"), Ok(3));
    }

    #[test]
    fn what_is_wrong_is_told_with_its_place() {
        for (bytes, what) in [
            ("", "the file ends inside a value at byte 0"),
            ("x", "no value begins at byte 0"),
            ("ie", "a digit is missing at byte 1"),
            ("i+1e", "a digit is missing at byte 1"),
            ("i1.5e", "an integer does not end at byte 2"),
            ("l5:abce", "the file ends inside the string that begins at byte 1"),
            ("99999999999999999999999:", "the file ends inside the string that begins at byte 0"),
            ("3abc", "a string has no colon after its length at byte 1"),
            ("di1e0:e", "a digit is missing at byte 1"),
            ("d1:ae", "no value begins at byte 4"),
            ("li1e", "the file ends inside a value at byte 4"),
        ] {
            assert_eq!(skip(bytes.as_bytes()).unwrap_err().to_string(), what, "{bytes}");
        }
        let deep = |depth: usize| [vec![b'l'; depth], vec![b'e'; depth]].concat();
        assert!(skip(&deep(MAX_DEPTH)).is_ok());
        assert!(skip(&deep(MAX_DEPTH + 1)).unwrap_err().to_string().contains("nested too deeply"));
    }

    #[test]
    fn integers_are_read_whatever_their_spelling() {
        for (text, zero, number, shown) in [
            ("i0e", true, Some(0), "0"),
            ("i-000e", true, Some(0), "0"),
            ("i007e", false, Some(7), "7"),
            ("i-7e", false, None, "-7"),
            ("i18446744073709551615e", false, Some(u64::MAX), "18446744073709551615"),
            ("i99999999999999999999999e", false, None, "(a number of 23 digits)"),
        ] {
            let integer = Reader::new(text.as_bytes()).integer().unwrap();
            assert_eq!((integer.is_zero(), integer.to_u64(), integer.to_string().as_str()), (zero, number, shown));
        }
    }

    proptest! {
        /// Whatever `bendy` takes is taken, and ends at the same byte.
        #[test]
        fn whatever_is_canonical_is_read(pieces in prop::collection::vec(
            prop_oneof![Just("d"), Just("l"), Just("e"), Just("0:"), Just("i0e"), Just("1:a"), Just("1:b"), Just("i-1e")],
            0..20,
        )) {
            let bytes = pieces.concat().into_bytes();
            let mut decoder = bendy::decoding::Decoder::new(&bytes);
            let whole = match decoder.next_object() {
                Ok(Some(bendy::decoding::Object::Dict(dict))) => dict.into_raw().ok().map(<[u8]>::len),
                Ok(Some(bendy::decoding::Object::List(list))) => list.into_raw().ok().map(<[u8]>::len),
                _ => None,
            };
            if let Some(length) = whole {
                prop_assert_eq!(skip(&bytes), Ok(length));
            }
        }

        #[test]
        fn nothing_makes_it_panic(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
            let _ = skip(&bytes);
        }
    }
}
