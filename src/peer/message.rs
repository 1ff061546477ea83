//! How a connection is cut into messages (BEP 3): four bytes of length, then as many bytes, the first of which says what
//! the message is. An empty message keeps a connection alive.

/// Longest message that is read whole, in bytes: a piece of metadata (BEP 9) and the dictionary in front of it.
pub const MAX_MESSAGE: usize = (16 << 10) + 1024;
/// The first byte of a message of an extension (BEP 10).
pub(super) const EXTENDED: u8 = 20;

/// What stands at the front of the input.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Front<'a> {
    /// A whole message without its length, and what follows it.
    Message(&'a [u8], &'a [u8]),
    /// A message longer than [`MAX_MESSAGE`], such as the bit field of a huge torrent: this many bytes are to be skipped,
    /// its length included.
    TooLong(usize),
    /// A part of a message. More is to be received first.
    Partial,
}

/// Takes one message off the front of `input`.
#[must_use]
pub fn split(input: &[u8]) -> Front<'_> {
    let Some((length, rest)) = input.split_first_chunk::<4>() else { return Front::Partial };
    let length = u32::from_be_bytes(*length) as usize;
    if length > MAX_MESSAGE {
        return Front::TooLong(length.saturating_add(4));
    }
    rest.split_at_checked(length).map_or(Front::Partial, |(message, rest)| Front::Message(message, rest))
}

/// Appends a message of the extension that the receiver numbered `id`; 0 is the handshake of extensions (BEP 10).
pub fn push_extended(output: &mut Vec<u8>, id: u8, payload: &[u8]) {
    let length = u32::try_from(payload.len() + 2).expect("our messages are short");
    output.extend(length.to_be_bytes());
    output.extend([EXTENDED, id]);
    output.extend(payload);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn messages_are_cut_at_their_length() {
        let mut input = vec![0, 0, 0, 0];
        push_extended(&mut input, 3, b"de");
        input.extend([0, 0, 0, 2, 4]);
        let Front::Message([], rest) = split(&input) else { panic!("a message that keeps the connection alive") };
        assert_eq!(split(rest), Front::Message(&[EXTENDED, 3, b'd', b'e'], &[0, 0, 0, 2, 4]));
        assert_eq!(split(&input[input.len() - 5..]), Front::Partial);
        assert_eq!(split(&[0, 0, 0]), Front::Partial);
    }

    #[test]
    fn a_message_that_is_too_long_is_recognised_by_its_length_alone() {
        let longest = u32::try_from(MAX_MESSAGE).unwrap();
        assert_eq!(split(&longest.to_be_bytes()), Front::Partial);
        assert_eq!(split(&(longest + 1).to_be_bytes()), Front::TooLong(MAX_MESSAGE + 5));
        assert_eq!(split(&[255; 8]), Front::TooLong(u32::MAX as usize + 4));
    }
}
