//! One connection to a client, as far as metadata goes: handshakes (BEP 3, BEP 10), then whatever is said of the info
//! dictionary (BEP 9). It knows nothing of what has arrived: that is for [`metadata`](super::metadata), where one client is
//! asked, and for [`gathering`](super::gathering), where several are.
//!
//! Bounded: what is kept of the input is less than a message, and the caller takes everything that was said after each
//! input.

use std::collections::VecDeque;

use super::encryption::{Encryption, Randomness};
use super::extension::{self, Extensions, OUR_METADATA_ID};
use super::handshake::{self, Handshake};
use super::message::{EXTENDED, Front, push_extended, split};
use super::pieces::{MAX_METADATA, MetadataMessage, request};
use crate::engine::id::InfoHash;

/// What a client has said.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Said {
    /// It takes part in the swarm of the infohash, and this is its name (BEP 20).
    Greeted([u8; 20]),
    /// It gives metadata of this many bytes.
    Offers(usize),
    /// It would give metadata and has none: it came by a magnet link.
    NoneYet,
    /// It gives none: clients do so for private torrents.
    NotOffered,
    /// A piece of the metadata.
    Piece(usize, Vec<u8>),
    /// It refused to give a piece.
    Rejected,
    /// What it said cannot be used; nothing follows.
    Failed(WireError),
}

/// Why nothing can be learned from a client.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum WireError {
    /// The first bytes are no handshake of BEP 3: another protocol, or an encrypted connection.
    #[error("it does not speak the peer protocol unencrypted")]
    OtherProtocol,
    /// What it answered to an encrypted handshake is none.
    #[error("it answers an encrypted handshake with something else")]
    NoEncryption,
    /// The connection is about another torrent.
    #[error("it answers for another torrent")]
    OtherTorrent,
    /// The client knows no extensions (BEP 10).
    #[error("it knows no extensions (BEP 10)")]
    NoExtensions,
    /// The info dictionary has more than [`MAX_METADATA`] bytes.
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
pub struct Connection {
    info_hash: InfoHash,
    /// What lies between us and the bytes of the connection, if it is encrypted.
    encryption: Option<Encryption>,
    input: Vec<u8>,
    output: Vec<u8>,
    /// Bytes of a long message that are still to be skipped.
    skip: usize,
    greeted: bool,
    /// The number of the client's metadata extension, once it has offered metadata.
    their_id: Option<u8>,
    /// Whether nothing more is read.
    closed: bool,
    said: VecDeque<Said>,
}

impl Connection {
    /// The start: our handshake is ready to be sent.
    #[must_use]
    pub fn new(info_hash: InfoHash, our_peer_id: [u8; 20]) -> Self {
        let output = Handshake { info_hash, peer_id: our_peer_id, extensions: true }.encode().to_vec();
        Self {
            info_hash,
            encryption: None,
            input: Vec::new(),
            output,
            skip: 0,
            greeted: false,
            their_id: None,
            closed: false,
            said: VecDeque::new(),
        }
    }

    /// The same, encrypted (before anything was sent).
    #[must_use]
    pub fn encrypted(mut self, random: Randomness) -> Self {
        self.encryption = Some(Encryption::new(self.info_hash, random, std::mem::take(&mut self.output)));
        self
    }

    /// Whether it is.
    #[must_use]
    pub const fn is_encrypted(&self) -> bool {
        self.encryption.is_some()
    }

    /// What is to be sent now; empty when there is nothing.
    pub fn take_output(&mut self) -> Vec<u8> {
        let output = std::mem::take(&mut self.output);
        let Some(encryption) = &mut self.encryption else { return output };
        encryption.send(&output);
        encryption.take_output()
    }

    /// The oldest thing that the client said and that was not taken yet.
    pub fn next_said(&mut self) -> Option<Said> {
        self.said.pop_front()
    }

    /// Asks for a piece. Means nothing before the client has offered metadata.
    pub fn ask(&mut self, piece: usize) {
        if let Some(their_id) = self.their_id {
            push_extended(&mut self.output, their_id, &request(piece));
        }
    }

    /// Reads nothing more.
    pub fn close(&mut self) {
        self.closed = true;
        self.input = Vec::new();
        self.said.clear();
    }

    /// Reads what the client sent, up to its next word that can be taken by [`next_said`](Self::next_said). What follows is
    /// read by calling this again, without further bytes.
    pub fn handle_bytes(&mut self, bytes: &[u8]) {
        match self.encryption.as_mut().filter(|_| !self.closed).map(|encryption| encryption.receive(bytes)) {
            None => self.read(bytes),
            Some(Ok(plain)) => self.read(&plain),
            Some(Err(_)) => self.fail(WireError::NoEncryption),
        }
    }

    fn read(&mut self, bytes: &[u8]) {
        let skipped = self.skip.min(bytes.len());
        self.skip -= skipped;
        self.input.extend_from_slice(&bytes[skipped..]);
        let input = std::mem::take(&mut self.input);
        let mut rest = &input[..];
        while !self.closed && self.said.is_empty() {
            let step = if self.greeted { self.read_message(rest) } else { self.read_handshake(rest) };
            match step {
                Some(tail) => rest = tail,
                None => break,
            }
        }
        if !self.closed {
            self.input = rest.to_vec();
        }
    }

    /// The next thing that the client said in what has arrived.
    pub fn hear(&mut self) -> Option<Said> {
        if self.said.is_empty() {
            self.handle_bytes(&[]);
        }
        self.next_said()
    }

    fn fail(&mut self, failure: WireError) {
        self.said.push_back(Said::Failed(failure));
        self.closed = true;
    }

    /// Takes the handshake off the front; `None` until it is there.
    fn read_handshake<'a>(&mut self, input: &'a [u8]) -> Option<&'a [u8]> {
        let (handshake, rest) = input.split_first_chunk::<{ handshake::LEN }>()?;
        match Handshake::decode(handshake) {
            None => self.fail(WireError::OtherProtocol),
            Some(theirs) if theirs.info_hash != self.info_hash => self.fail(WireError::OtherTorrent),
            Some(theirs) => {
                self.said.push_back(Said::Greeted(theirs.peer_id));
                self.greeted = true;
                if !theirs.extensions {
                    self.fail(WireError::NoExtensions);
                }
            }
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
        if self.their_id.is_some() {
            return;
        }
        let Extensions { metadata_id: Some(their_id), metadata_size } = theirs else {
            return self.said.push_back(Said::NotOffered);
        };
        let Some(size) = metadata_size else { return self.said.push_back(Said::NoneYet) };
        if size > MAX_METADATA {
            return self.fail(WireError::TooLarge);
        }
        self.their_id = Some(their_id);
        // Only now: aria2 closes a connection on which more than the handshake comes before it has answered that.
        push_extended(&mut self.output, 0, &extension::own());
        self.said.push_back(Said::Offers(size));
    }

    fn read_metadata(&mut self, payload: &[u8]) {
        match MetadataMessage::decode(payload) {
            Ok(MetadataMessage::Data(piece, bytes)) => self.said.push_back(Said::Piece(piece, bytes.to_vec())),
            Ok(MetadataMessage::Reject) => self.said.push_back(Said::Rejected),
            Ok(MetadataMessage::Other) => {}
            Err(_) => self.fail(WireError::Malformed),
        }
    }
}
