//! The peer wire: what two BitTorrent clients say to each other, as far as this program takes part.
//!
//! | file | what it holds |
//! |---|---|
//! | [`handshake`] | the first 68 bytes of a connection (BEP 3) |
//! | [`message`] | how the bytes after them are cut into messages (BEP 3, BEP 10) |
//! | [`extension`] | the handshake of extensions (BEP 10) |
//! | [`encryption`] | encrypted connections (Message Stream Encryption) |
//! | [`connection`] | one connection, as far as metadata goes: what a client says, told one by one |
//! | [`pieces`] | an info dictionary that arrives in pieces (BEP 9) |
//! | [`metadata`] | one client that is asked for the info dictionary of a torrent: all of the above together |
//! | [`gathering`] | several clients that are asked together: each gives the pieces that it is quick enough for |
//!
//! Pure: bytes in, bytes out. The memory of a connection is bounded by [`pieces::MAX_METADATA`], whatever is sent on it.
#![forbid(unsafe_code)]

pub mod connection;
pub mod encryption;
pub mod extension;
pub mod gathering;
pub mod handshake;
pub mod message;
pub mod metadata;
pub mod pieces;
