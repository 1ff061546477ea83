//! The lenient, borrowed, bounded scanner for datagrams.
//!
//! Invariants: every call either consumes at least one byte or fails, so that scanning ends; strings borrow from the
//! input; nothing allocates. An error is final: where the scanner stands is then meaningless.

/// Containers inside containers, the message itself included. BEP 5 messages need 3, BEP 44 values a few more; this
/// is the bound of libtorrent.
pub const MAX_DEPTH: u8 = 10;
/// Strings, integers, lists and dicts in one datagram. A reply with 100 values has about 120.
pub const MAX_TOKENS: u16 = 500;

/// Digits of a length: more than any datagram's.
const MAX_LENGTH_DIGITS: usize = 9;

/// Why a datagram is not bencode. Counted, never answered.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Malformed {
    /// The input ends inside a value.
    #[error("the input ends inside a value")]
    Truncated,
    /// A byte that starts no value, or no value of the kind that must stand here.
    #[error("a byte that cannot stand here")]
    Unexpected,
    /// An integer or length with a leading zero, a bare sign, or more digits than any length has.
    #[error("a number that is not canonical")]
    BadNumber,
    /// More than [`MAX_DEPTH`] containers inside each other.
    #[error("nested too deeply")]
    TooDeep,
    /// More than [`MAX_TOKENS`] values.
    #[error("too many values")]
    TooManyTokens,
}

/// What the next value is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// `<length>:<bytes>`
    String,
    /// `i<digits>e`
    Integer,
    /// `l...e`
    List,
    /// `d...e`
    Dict,
}

/// A position in a datagram.
#[derive(Debug)]
pub struct Scanner<'a> {
    rest: &'a [u8],
    depth: u8,
    tokens: u16,
    irregular: bool,
}

impl<'a> Scanner<'a> {
    /// A scanner at the start of `bytes`.
    #[must_use]
    pub const fn new(bytes: &'a [u8]) -> Self {
        Self { rest: bytes, depth: 0, tokens: 0, irregular: false }
    }

    /// What has not been read yet. After a whole message: its trailing bytes.
    #[must_use]
    pub const fn rest(&self) -> &'a [u8] {
        self.rest
    }

    /// Whether a dict had keys out of order or twice: harmless, but worth counting.
    #[must_use]
    pub const fn irregular(&self) -> bool {
        self.irregular
    }

    /// The same, and begins anew: what follows is judged by itself.
    pub const fn take_irregular(&mut self) -> bool {
        std::mem::replace(&mut self.irregular, false)
    }

    /// Notes an earlier answer of [`take_irregular`](Self::take_irregular) again.
    pub const fn note_irregular(&mut self, irregular: bool) {
        self.irregular |= irregular;
    }

    /// The kind of the next value.
    ///
    /// # Errors
    /// When no value starts here.
    pub fn kind(&self) -> Result<Kind, Malformed> {
        match self.rest.first() {
            Some(b'0'..=b'9') => Ok(Kind::String),
            Some(b'i') => Ok(Kind::Integer),
            Some(b'l') => Ok(Kind::List),
            Some(b'd') => Ok(Kind::Dict),
            Some(_) => Err(Malformed::Unexpected),
            None => Err(Malformed::Truncated),
        }
    }

    /// Reads a dict, calling `entry` for each key. A value that `entry` leaves unread is skipped, so that unknown keys
    /// need no case of their own.
    ///
    /// # Errors
    /// When this is not a well-formed dict, or `entry` says so.
    pub fn dict(
        &mut self,
        mut entry: impl FnMut(&mut Self, &'a [u8]) -> Result<(), Malformed>,
    ) -> Result<(), Malformed> {
        self.open(b'd')?;
        let mut previous: Option<&[u8]> = None;
        while !self.close()? {
            let key = self.string()?;
            self.irregular |= previous.is_some_and(|previous| previous >= key);
            previous = Some(key);
            let left = self.rest.len();
            entry(self, key)?;
            if self.rest.len() == left {
                self.skip()?;
            }
        }
        Ok(())
    }

    /// Reads a list, calling `item` before each value. A value that `item` leaves unread is skipped.
    ///
    /// # Errors
    /// When this is not a well-formed list, or `item` says so.
    pub fn list(&mut self, mut item: impl FnMut(&mut Self) -> Result<(), Malformed>) -> Result<(), Malformed> {
        self.open(b'l')?;
        while !self.close()? {
            let left = self.rest.len();
            item(self)?;
            if self.rest.len() == left {
                self.skip()?;
            }
        }
        Ok(())
    }

    /// Reads a string.
    ///
    /// # Errors
    /// When this is not a well-formed string.
    pub fn string(&mut self) -> Result<&'a [u8], Malformed> {
        self.count_token()?;
        let length = self.length()?;
        let (string, rest) = self.rest.split_at_checked(length).ok_or(Malformed::Truncated)?;
        self.rest = rest;
        Ok(string)
    }

    /// Reads an integer; `None` for one that does not fit into 64 bits.
    ///
    /// # Errors
    /// When this is not a well-formed integer.
    pub fn integer(&mut self) -> Result<Option<i64>, Malformed> {
        self.count_token()?;
        self.expect(b'i')?;
        let start = self.rest;
        let negative = self.rest.first() == Some(&b'-');
        self.rest = &self.rest[usize::from(negative)..];
        let digits = self.digits()?;
        if negative && digits == b"0" {
            return Err(Malformed::BadNumber);
        }
        let text = self.since(start);
        self.expect(b'e')?;
        Ok(std::str::from_utf8(text).ok().and_then(|text| text.parse().ok()))
    }

    /// Reads a string, or skips a value of another kind: a field of the wrong type counts as absent.
    ///
    /// # Errors
    /// When no well-formed value stands here.
    pub fn string_if_any(&mut self) -> Result<Option<&'a [u8]>, Malformed> {
        if self.kind()? == Kind::String { self.string().map(Some) } else { self.skip().map(|_| None) }
    }

    /// Reads an integer, or skips a value of another kind.
    ///
    /// # Errors
    /// When no well-formed value stands here.
    pub fn integer_if_any(&mut self) -> Result<Option<i64>, Malformed> {
        if self.kind()? == Kind::Integer { self.integer() } else { self.skip().map(|_| None) }
    }

    /// Skips one value and returns its bytes.
    ///
    /// # Errors
    /// When no well-formed value stands here.
    pub fn skip(&mut self) -> Result<&'a [u8], Malformed> {
        let start = self.rest;
        match self.kind()? {
            Kind::String => drop(self.string()?),
            Kind::Integer => drop(self.integer()?),
            Kind::List => self.list(|_| Ok(()))?,
            Kind::Dict => self.dict(|_, _| Ok(()))?,
        }
        Ok(self.since(start))
    }

    /// What was read since `start` was the rest.
    fn since(&self, start: &'a [u8]) -> &'a [u8] {
        &start[..start.len() - self.rest.len()]
    }

    fn open(&mut self, delimiter: u8) -> Result<(), Malformed> {
        self.count_token()?;
        self.expect(delimiter)?;
        self.depth += 1;
        if self.depth > MAX_DEPTH { Err(Malformed::TooDeep) } else { Ok(()) }
    }

    fn close(&mut self) -> Result<bool, Malformed> {
        match self.rest {
            [b'e', rest @ ..] => {
                self.rest = rest;
                self.depth -= 1;
                Ok(true)
            }
            [_, ..] => Ok(false),
            [] => Err(Malformed::Truncated),
        }
    }

    /// `<length>:`; the string is then the next to be read.
    fn length(&mut self) -> Result<usize, Malformed> {
        let mut length = 0;
        for (count, &byte) in self.rest.iter().enumerate() {
            match byte {
                b'0'..=b'9' if count > 0 && length == 0 || count == MAX_LENGTH_DIGITS => {
                    return Err(Malformed::BadNumber);
                }
                b'0'..=b'9' => length = length * 10 + usize::from(byte - b'0'),
                b':' if count > 0 => {
                    self.rest = &self.rest[count + 1..];
                    return Ok(length);
                }
                _ => return Err(Malformed::Unexpected),
            }
        }
        Err(Malformed::Truncated)
    }

    /// One or more digits without a leading zero.
    fn digits(&mut self) -> Result<&'a [u8], Malformed> {
        let count = self.rest.iter().position(|byte| !byte.is_ascii_digit()).ok_or(Malformed::Truncated)?;
        let (digits, rest) = self.rest.split_at(count);
        self.rest = rest;
        match digits {
            [] => Err(Malformed::Unexpected),
            [b'0', _, ..] => Err(Malformed::BadNumber),
            _ => Ok(digits),
        }
    }

    fn expect(&mut self, byte: u8) -> Result<(), Malformed> {
        match self.rest {
            [found, rest @ ..] if *found == byte => {
                self.rest = rest;
                Ok(())
            }
            [_, ..] => Err(Malformed::Unexpected),
            [] => Err(Malformed::Truncated),
        }
    }

    fn count_token(&mut self) -> Result<(), Malformed> {
        self.tokens += 1;
        if self.tokens > MAX_TOKENS { Err(Malformed::TooManyTokens) } else { Ok(()) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// A value as a tree, for comparing the scanner with bendy.
    #[derive(Clone, Debug, PartialEq)]
    enum Tree {
        String(Vec<u8>),
        Integer(Option<i64>),
        List(Vec<Tree>),
        Dict(Vec<(Vec<u8>, Tree)>),
    }

    fn scanned(scanner: &mut Scanner<'_>) -> Result<Tree, Malformed> {
        Ok(match scanner.kind()? {
            Kind::String => Tree::String(scanner.string()?.to_vec()),
            Kind::Integer => Tree::Integer(scanner.integer()?),
            Kind::List => {
                let mut items = Vec::new();
                scanner.list(|scanner| scanned(scanner).map(|item| items.push(item)))?;
                Tree::List(items)
            }
            Kind::Dict => {
                let mut entries = Vec::new();
                scanner.dict(|scanner, key| scanned(scanner).map(|value| entries.push((key.to_vec(), value))))?;
                Tree::Dict(entries)
            }
        })
    }

    fn by_bendy(object: bendy::decoding::Object<'_, '_>) -> Result<Tree, bendy::decoding::Error> {
        use bendy::decoding::Object;
        Ok(match object {
            Object::Bytes(bytes) => Tree::String(bytes.to_vec()),
            Object::Integer(digits) => Tree::Integer(digits.parse().ok()),
            Object::List(mut list) => {
                let mut items = Vec::new();
                while let Some(item) = list.next_object()? {
                    items.push(by_bendy(item)?);
                }
                Tree::List(items)
            }
            Object::Dict(mut dict) => {
                let mut entries = Vec::new();
                while let Some((key, value)) = dict.next_pair()? {
                    entries.push((key.to_vec(), by_bendy(value)?));
                }
                Tree::Dict(entries)
            }
        })
    }

    fn encoded(tree: &Tree, out: &mut Vec<u8>) {
        let string = |bytes: &[u8], out: &mut Vec<u8>| {
            out.extend(format!("{}:", bytes.len()).as_bytes());
            out.extend(bytes);
        };
        match tree {
            Tree::String(bytes) => string(bytes, out),
            Tree::Integer(value) => out.extend(format!("i{}e", value.unwrap_or(0)).as_bytes()),
            Tree::List(items) => {
                out.push(b'l');
                items.iter().for_each(|item| encoded(item, out));
                out.push(b'e');
            }
            Tree::Dict(entries) => {
                out.push(b'd');
                for (key, value) in entries {
                    string(key, out);
                    encoded(value, out);
                }
                out.push(b'e');
            }
        }
    }

    fn tree() -> impl Strategy<Value = Tree> {
        let bytes = || prop::collection::vec(any::<u8>(), 0..30);
        let leaf = prop_oneof![bytes().prop_map(Tree::String), any::<i64>().prop_map(|i| Tree::Integer(Some(i)))];
        leaf.prop_recursive(6, 60, 6, move |inner| {
            prop_oneof![
                prop::collection::vec(inner.clone(), 0..6).prop_map(Tree::List),
                prop::collection::vec((bytes(), inner), 0..6).prop_map(Tree::Dict),
            ]
        })
    }

    /// Bytes that look like bencode more often than chance would have it.
    fn nearly_bencode() -> impl Strategy<Value = Vec<u8>> {
        let piece = prop_oneof![
            Just("d".to_owned()),
            Just("l".into()),
            Just("e".into()),
            Just("0:".into()),
            Just("i0e".into()),
            Just("1:a".into()),
            Just("1:b".into()),
            Just("i-".into()),
            Just("03:abc".into()),
            Just("i007e".into()),
            Just("99:x".into()),
            Just("i99999999999999999999999e".into()),
            "[0-9]{1,3}:[a-c]{0,4}",
        ];
        prop::collection::vec(piece, 0..24).prop_map(|pieces| pieces.concat().into_bytes())
    }

    proptest! {
        #[test]
        fn reads_any_tree_with_keys_in_any_order(tree in tree()) {
            let mut bytes = Vec::new();
            encoded(&tree, &mut bytes);
            let mut scanner = Scanner::new(&bytes);
            prop_assert_eq!(scanned(&mut scanner), Ok(tree));
            prop_assert!(scanner.rest().is_empty());
        }

        #[test]
        fn accepts_whatever_bendy_accepts(bytes in prop_oneof![
            nearly_bencode(),
            tree().prop_map(|tree| { let mut bytes = Vec::new(); encoded(&tree, &mut bytes); bytes }),
        ]) {
            let mut decoder = bendy::decoding::Decoder::new(&bytes).with_max_depth(MAX_DEPTH as usize);
            if let Ok(Some(object)) = decoder.next_object() && let Ok(expected) = by_bendy(object) {
                let mut scanner = Scanner::new(&bytes);
                let found = scanned(&mut scanner);
                if found != Err(Malformed::TooManyTokens) {
                    prop_assert_eq!(found, Ok(expected));
                }
                prop_assert!(!scanner.irregular(), "bendy accepts sorted keys only");
            }
        }

        #[test]
        fn never_panics_and_always_ends(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
            let _ = Scanner::new(&bytes).skip();
        }
    }

    #[test]
    fn bounds_hold() {
        let deep = |depth: usize| [vec![b'l'; depth], vec![b'e'; depth]].concat();
        assert!(Scanner::new(&deep(10)).skip().is_ok());
        assert_eq!(Scanner::new(&deep(11)).skip(), Err(Malformed::TooDeep));
        let wide = |items: usize| [b"l".to_vec(), b"0:".repeat(items), b"e".to_vec()].concat();
        assert!(Scanner::new(&wide(499)).skip().is_ok());
        assert_eq!(Scanner::new(&wide(500)).skip(), Err(Malformed::TooManyTokens));
    }

    #[test]
    fn wrong_numbers_are_named() {
        for (bytes, error) in [
            (&b"i007e"[..], Malformed::BadNumber),
            (b"i-0e", Malformed::BadNumber),
            (b"ie", Malformed::Unexpected),
            (b"i+1e", Malformed::Unexpected),
            (b"03:abc", Malformed::BadNumber),
            (b"4:abc", Malformed::Truncated),
            (b"999999999:", Malformed::Truncated),
            (b"1000000000:", Malformed::BadNumber),
            (b"i1", Malformed::Truncated),
            (b"12", Malformed::Truncated),
            (b"x", Malformed::Unexpected),
            (b"", Malformed::Truncated),
            (b"di1e0:e", Malformed::Unexpected),
        ] {
            assert_eq!(Scanner::new(bytes).skip(), Err(error), "{}", String::from_utf8_lossy(bytes));
        }
        assert_eq!(Scanner::new(b"i9223372036854775808e").integer(), Ok(None));
        assert_eq!(Scanner::new(b"i-9223372036854775808e").integer(), Ok(Some(i64::MIN)));
    }

    #[test]
    fn irregular_dicts_are_noted() {
        for (bytes, irregular) in
            [(&b"d1:ai1e1:bi2ee"[..], false), (b"d1:bi1e1:ai2ee", true), (b"d1:ai1e1:ai2ee", true)]
        {
            let mut scanner = Scanner::new(bytes);
            scanner.skip().unwrap();
            assert_eq!(scanner.irregular(), irregular);
        }
    }
}
