//! An info dictionary that arrives in pieces (BEP 9).

use crate::engine::bencode::scan::{Malformed, Scanner};

/// Largest info dictionary that is fetched, in bytes. Only torrents with millions of pieces have more.
pub const MAX_METADATA: usize = 16 << 20;
/// Size of all pieces of the metadata but the last, in bytes (BEP 9).
pub const PIECE_LEN: usize = 16 << 10;
/// Pieces that are asked for at a time.
const IN_FLIGHT: usize = 4;

/// A message of the metadata extension (BEP 9).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum MetadataMessage<'a> {
    /// A piece, and its bytes.
    Data(usize, &'a [u8]),
    /// The client does not give a piece.
    Reject,
    /// A request to us, or a kind that is yet to be invented.
    Other,
}

impl<'a> MetadataMessage<'a> {
    /// Reads a message: a dictionary, and behind it the bytes of a piece.
    ///
    /// # Errors
    /// It does not begin with a dictionary of bencode.
    pub fn decode(payload: &'a [u8]) -> Result<Self, Malformed> {
        let (mut kind, mut piece) = (None, None);
        let mut scanner = Scanner::new(payload);
        scanner.dict(|scanner, key| {
            match key {
                b"msg_type" => kind = scanner.integer_if_any()?,
                b"piece" => piece = scanner.integer_if_any()?,
                _ => {}
            }
            Ok(())
        })?;
        Ok(match (kind, piece.and_then(|piece| usize::try_from(piece).ok())) {
            (Some(1), Some(piece)) => Self::Data(piece, scanner.rest()),
            (Some(2), _) => Self::Reject,
            _ => Self::Other,
        })
    }
}

/// The payload of a request for a piece.
pub(super) fn request(piece: usize) -> Vec<u8> {
    format!("d8:msg_typei0e5:piecei{piece}ee").into_bytes()
}

/// A piece that was not asked for, or has not the length that it must have.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct WrongPiece;

/// What has arrived of an info dictionary. Takes the memory of the whole from the start.
#[derive(Debug)]
pub struct Pieces {
    metadata: Vec<u8>,
    received: Vec<bool>,
    missing: usize,
    asked: usize,
}

impl Pieces {
    /// Nothing of a dictionary of `size` bytes; `None` if that is none, or more than [`MAX_METADATA`].
    #[must_use]
    pub fn new(size: usize) -> Option<Self> {
        let count = size.div_ceil(PIECE_LEN);
        let admitted = (1..=MAX_METADATA).contains(&size);
        admitted.then(|| Self { metadata: vec![0; size], received: vec![false; count], missing: count, asked: 0 })
    }

    /// The piece to ask for next, while fewer than enough are under way.
    pub fn next_request(&mut self) -> Option<usize> {
        let arrived = self.received.len() - self.missing;
        let piece = self.asked;
        if piece >= self.received.len() || piece >= arrived + IN_FLIGHT {
            return None;
        }
        self.asked += 1;
        Some(piece)
    }

    /// Takes in the bytes of a piece.
    ///
    /// # Errors
    /// It cannot be a piece of this dictionary that we asked for.
    pub fn receive(&mut self, piece: usize, bytes: &[u8]) -> Result<(), WrongPiece> {
        let start = piece.saturating_mul(PIECE_LEN);
        let end = start.saturating_add(PIECE_LEN).min(self.metadata.len());
        let place = self.metadata.get_mut(start..end).filter(|place| place.len() == bytes.len() && piece < self.asked);
        place.ok_or(WrongPiece)?.copy_from_slice(bytes);
        self.missing -= usize::from(!std::mem::replace(&mut self.received[piece], true));
        Ok(())
    }

    /// The whole dictionary, once every piece is there.
    pub fn take_whole(&mut self) -> Option<Vec<u8>> {
        (self.missing == 0).then(|| std::mem::take(&mut self.metadata))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_dictionary_is_put_together_from_pieces_in_any_order() {
        let metadata: Vec<u8> = (0..6 * PIECE_LEN + 5).map(|i| (i / 7) as u8).collect();
        let mut pieces = Pieces::new(metadata.len()).unwrap();
        let asked: Vec<_> = std::iter::from_fn(|| pieces.next_request()).collect();
        assert_eq!(asked, [0, 1, 2, 3]);
        for piece in [3, 1, 1, 0, 2] {
            pieces.receive(piece, &metadata[piece * PIECE_LEN..][..PIECE_LEN]).unwrap();
        }
        let asked: Vec<_> = std::iter::from_fn(|| pieces.next_request()).collect();
        assert_eq!(asked, [4, 5, 6]);
        assert_eq!(pieces.take_whole(), None);
        pieces.receive(6, &metadata[6 * PIECE_LEN..]).unwrap();
        for piece in [4, 5] {
            pieces.receive(piece, &metadata[piece * PIECE_LEN..][..PIECE_LEN]).unwrap();
        }
        assert_eq!(pieces.take_whole(), Some(metadata));
    }

    #[test]
    fn what_was_not_asked_for_or_has_the_wrong_length_is_refused() {
        let mut pieces = Pieces::new(2 * PIECE_LEN).unwrap();
        assert_eq!(pieces.receive(0, &[0; PIECE_LEN]), Err(WrongPiece), "before it was asked for");
        while pieces.next_request().is_some() {}
        for (piece, length) in [(0, PIECE_LEN - 1), (1, PIECE_LEN + 1), (2, PIECE_LEN), (usize::MAX, PIECE_LEN), (2, 0)]
        {
            assert_eq!(pieces.receive(piece, &vec![0; length]), Err(WrongPiece), "{piece}, {length} bytes");
        }
    }

    #[test]
    fn the_claimed_size_bounds_the_memory() {
        assert!(Pieces::new(MAX_METADATA).is_some());
        for size in [0, MAX_METADATA + 1, usize::MAX] {
            assert!(Pieces::new(size).is_none(), "{size}");
        }
    }

    #[test]
    fn messages_are_told_apart() {
        assert_eq!(MetadataMessage::decode(b"d8:msg_typei1e5:piecei3eeabc"), Ok(MetadataMessage::Data(3, b"abc")));
        assert_eq!(MetadataMessage::decode(b"d8:msg_typei2e5:piecei3ee"), Ok(MetadataMessage::Reject));
        for other in ["d8:msg_typei0e5:piecei3ee", "d8:msg_typei1e5:piecei-1eeabc", "d8:msg_typei9ee", "de"] {
            assert_eq!(MetadataMessage::decode(other.as_bytes()), Ok(MetadataMessage::Other), "{other}");
        }
        assert!(MetadataMessage::decode(b"8:msg_type").is_err());
    }
}
