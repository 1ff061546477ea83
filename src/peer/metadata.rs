//! One connection that asks a client for the info dictionary of a torrent: handshakes (BEP 3, BEP 10), then the pieces
//! (BEP 9), then the check against the infohash.

use super::connection::{Connection, Said, WireError};
use super::encryption::Randomness;
use super::pieces::Pieces;
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

/// A connection to a client that is asked for the whole info dictionary.
#[derive(Debug)]
pub struct MetadataRequest {
    info_hash: InfoHash,
    connection: Connection,
    pieces: Option<Pieces>,
    outcome: Option<Outcome>,
}

impl MetadataRequest {
    /// The start: our handshake is ready to be sent.
    #[must_use]
    pub fn new(info_hash: InfoHash, our_peer_id: [u8; 20]) -> Self {
        Self { info_hash, connection: Connection::new(info_hash, our_peer_id), pieces: None, outcome: None }
    }

    /// The same on an encrypted connection (before anything was sent).
    #[must_use]
    pub fn encrypted(mut self, random: Randomness) -> Self {
        self.connection = self.connection.encrypted(random);
        self
    }

    /// What is to be sent now; empty when there is nothing.
    pub fn take_output(&mut self) -> Vec<u8> {
        self.connection.take_output()
    }

    /// The result, once there is one; nothing needs to be sent or read after that.
    #[must_use]
    pub const fn outcome(&self) -> Option<&Outcome> {
        self.outcome.as_ref()
    }

    /// Reads what the client sent.
    pub fn handle_bytes(&mut self, bytes: &[u8]) {
        if self.outcome.is_some() {
            return;
        }
        self.connection.handle_bytes(bytes);
        while let Some(said) = self.connection.hear() {
            self.take(said);
            if self.outcome.is_some() {
                return self.connection.close();
            }
        }
    }

    fn take(&mut self, said: Said) {
        match said {
            Said::Greeted(_) => {}
            Said::NotOffered => self.outcome = Some(Outcome::NotOffered),
            Said::NoneYet => self.outcome = Some(Outcome::NoneYet),
            Said::Rejected => self.outcome = Some(Outcome::Rejected),
            Said::Failed(failure) => self.fail(failure),
            Said::Offers(size) => {
                self.pieces = Pieces::new(size);
                self.ask();
            }
            Said::Piece(piece, bytes) => self.receive(piece, &bytes),
        }
    }

    fn fail(&mut self, failure: WireError) {
        self.outcome = Some(Outcome::Failed(failure));
    }

    fn ask(&mut self) {
        let Some(pieces) = &mut self.pieces else { return };
        while let Some(piece) = pieces.next_request() {
            self.connection.ask(piece);
        }
    }

    fn receive(&mut self, piece: usize, bytes: &[u8]) {
        let Some(pieces) = &mut self.pieces else { return };
        if pieces.receive(piece, bytes).is_err() {
            return self.fail(WireError::Malformed);
        }
        match pieces.take_whole() {
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
