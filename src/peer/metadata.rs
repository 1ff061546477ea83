//! One connection that asks a client for the info dictionary of a torrent: handshakes (BEP 3, BEP 10), then the pieces
//! (BEP 9), then the check against the infohash.

use super::extension::{self, Extensions, OUR_METADATA_ID};
use super::handshake::{self, Handshake};
use super::message::{EXTENDED, Front, push_extended, split};
use super::pieces::{MetadataMessage, Pieces};
use crate::engine::id::InfoHash;

/// How a connection ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// The bytes of the info dictionary. They are those that the infohash names.
    Metadata(Vec<u8>),
    /// The client knows extensions, and offers no metadata: clients do so for private torrents.
    NotOffered,
    /// The client would give metadata and has none: it came by a magnet link.
    NoneYet,
    /// The client refused to give a piece.
    Rejected,
    /// Nothing follows from what the client said.
    Failed(WireError),
}

/// Why a connection told us nothing.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum WireError {
    /// The first bytes are no handshake of BEP 3: another protocol, or an encrypted connection.
    #[error("it does not speak the peer protocol unencrypted")]
    OtherProtocol,
    /// The connection is about another torrent.
    #[error("it answers for another torrent")]
    OtherTorrent,
    /// The client knows no extensions (BEP 10).
    #[error("it knows no extensions (BEP 10)")]
    NoExtensions,
    /// The info dictionary has more than [`MAX_METADATA`](super::pieces::MAX_METADATA) bytes.
    #[error("its metadata is too large")]
    TooLarge,
    /// A message that breaks the rules of BEP 9 or BEP 10.
    #[error("it sent a message that cannot be read")]
    Malformed,
    /// The info dictionary is not the one that the infohash names.
    #[error("its metadata belongs to another infohash")]
    WrongMetadata,
}

/// A connection to a client, seen from our side.
#[derive(Debug)]
pub struct MetadataRequest {
    info_hash: InfoHash,
    input: Vec<u8>,
    output: Vec<u8>,
    /// Bytes of a long message that are still to be skipped.
    skip: usize,
    greeted: bool,
    fetch: Option<Fetch>,
    outcome: Option<Outcome>,
}

/// Metadata on its way, and the number of the client's metadata extension.
#[derive(Debug)]
struct Fetch {
    their_id: u8,
    pieces: Pieces,
}

impl MetadataRequest {
    /// The start: our handshake is ready to be sent.
    #[must_use]
    pub fn new(info_hash: InfoHash, our_peer_id: [u8; 20]) -> Self {
        let output = Handshake { info_hash, peer_id: our_peer_id, extensions: true }.encode().to_vec();
        Self { info_hash, input: Vec::new(), output, skip: 0, greeted: false, fetch: None, outcome: None }
    }

    /// What is to be sent now; empty when there is nothing.
    pub fn take_output(&mut self) -> Vec<u8> {
        std::mem::take(&mut self.output)
    }

    /// The result, once there is one; nothing needs to be sent or read after that.
    #[must_use]
    pub const fn outcome(&self) -> Option<&Outcome> {
        self.outcome.as_ref()
    }

    /// Reads what the client sent.
    pub fn handle_bytes(&mut self, bytes: &[u8]) {
        let skipped = self.skip.min(bytes.len());
        self.skip -= skipped;
        self.input.extend_from_slice(&bytes[skipped..]);
        let input = std::mem::take(&mut self.input);
        let mut rest = &input[..];
        while self.outcome.is_none() {
            let step = if self.greeted { self.read_message(rest) } else { self.read_handshake(rest) };
            match step {
                Some(tail) => rest = tail,
                None => break,
            }
        }
        self.input = rest.to_vec();
    }

    fn fail(&mut self, failure: WireError) {
        self.outcome = Some(Outcome::Failed(failure));
    }

    /// Takes the handshake off the front; `None` until it is there.
    fn read_handshake<'a>(&mut self, input: &'a [u8]) -> Option<&'a [u8]> {
        let (handshake, rest) = input.split_first_chunk::<{ handshake::LEN }>()?;
        match Handshake::decode(handshake) {
            None => self.fail(WireError::OtherProtocol),
            Some(theirs) if theirs.info_hash != self.info_hash => self.fail(WireError::OtherTorrent),
            Some(theirs) if !theirs.extensions => self.fail(WireError::NoExtensions),
            Some(_) => self.greeted = true,
        }
        Some(rest)
    }

    /// Takes one message off the front; `None` until it is there.
    fn read_message<'a>(&mut self, input: &'a [u8]) -> Option<&'a [u8]> {
        match split(input) {
            Front::Partial => None,
            Front::TooLong(length) => {
                let here = length.min(input.len());
                self.skip = length - here;
                Some(&input[here..])
            }
            Front::Message(message, rest) => {
                match message {
                    [EXTENDED, 0, hello @ ..] => self.read_extensions(hello),
                    [EXTENDED, OUR_METADATA_ID, payload @ ..] => self.read_metadata(payload),
                    _ => {}
                }
                Some(rest)
            }
        }
    }

    /// The handshake of extensions: is there metadata to be had? Later ones only change what the first said.
    fn read_extensions(&mut self, hello: &[u8]) {
        let Ok(theirs) = Extensions::decode(hello) else { return self.fail(WireError::Malformed) };
        if self.fetch.is_some() {
            return;
        }
        let Extensions { metadata_id: Some(their_id), metadata_size } = theirs else {
            return self.outcome = Some(Outcome::NotOffered);
        };
        let Some(size) = metadata_size else { return self.outcome = Some(Outcome::NoneYet) };
        let Some(pieces) = Pieces::new(size) else { return self.fail(WireError::TooLarge) };
        self.fetch = Some(Fetch { their_id, pieces });
        // Only now: aria2 closes a connection on which more than the handshake comes before it has answered that.
        push_extended(&mut self.output, 0, &extension::own());
        self.ask();
    }

    fn ask(&mut self) {
        let Some(fetch) = &mut self.fetch else { return };
        while let Some(request) = fetch.pieces.next_request() {
            push_extended(&mut self.output, fetch.their_id, &request);
        }
    }

    fn read_metadata(&mut self, payload: &[u8]) {
        match MetadataMessage::decode(payload) {
            Ok(MetadataMessage::Data(piece, bytes)) => self.receive(piece, bytes),
            Ok(MetadataMessage::Reject) => self.outcome = Some(Outcome::Rejected),
            Ok(MetadataMessage::Other) => {}
            Err(_) => self.fail(WireError::Malformed),
        }
    }

    fn receive(&mut self, piece: usize, bytes: &[u8]) {
        let Some(fetch) = &mut self.fetch else { return };
        if fetch.pieces.receive(piece, bytes).is_err() {
            return self.fail(WireError::Malformed);
        }
        match fetch.pieces.take_whole() {
            Some(metadata) if self.info_hash.names(&metadata) => {
                self.outcome = Some(Outcome::Metadata(metadata));
            }
            Some(_) => self.fail(WireError::WrongMetadata),
            None => self.ask(),
        }
    }
}

#[cfg(test)]
mod tests;
