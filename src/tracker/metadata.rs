//! Is a torrent private? The tracker protocol does not say, so the announcing client is asked for its metadata.
//!
//! A private torrent (BEP 27) must never be announced to the DHT or looked up there, and a client that announces here
//! gives no sign of it. But its metadata can be had from the client itself: an [`Interview`] is one connection that fetches
//! the info dictionary ([`MetadataRequest`]) and reads its flag. Clients keep the metadata of private torrents to
//! themselves, which is an answer too.
//!
//! Pure: bytes in, bytes out. Whatever the client sends ends in a [`Verdict`].

use crate::engine::id::InfoHash;
use crate::peer::connection::WireError;
use crate::peer::encryption::Randomness;
use crate::peer::metadata::{MetadataRequest, Outcome};
use crate::torrent::Info;

/// What an interview found out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// The metadata matches the infohash and is not private. Proven.
    Public,
    /// The metadata matches the infohash and is private. Proven.
    Private,
    /// The client has metadata, or must have, and does not give it away: what clients do with private torrents.
    Withheld,
    /// The client has no metadata yet: it came by a magnet link.
    NotYet,
    /// No answer from which anything follows: no connection, no extensions.
    Unknown,
}

impl Verdict {
    /// Whether the client has shown that it has the metadata.
    #[must_use]
    pub const fn shows_metadata(self) -> bool {
        matches!(self, Self::Public | Self::Private)
    }
}

/// One connection to a client that announced, from our side.
#[derive(Debug)]
pub struct Interview {
    request: MetadataRequest,
    /// Whether the client certainly has the whole torrent, and so its metadata. That nothing is left to it is not enough:
    /// aria2 says so of a magnet link, offers the extension and has no metadata to give.
    complete: bool,
}

impl Interview {
    /// The start: our handshake is ready to be sent.
    #[must_use]
    pub fn new(info_hash: InfoHash, our_peer_id: [u8; 20], complete: bool) -> Self {
        Self { request: MetadataRequest::new(info_hash, our_peer_id), complete }
    }

    /// The same on an encrypted connection (before anything was sent).
    #[must_use]
    pub fn encrypted(mut self, random: Randomness) -> Self {
        self.request = self.request.encrypted(random);
        self
    }

    /// What is to be sent now; empty when there is nothing.
    pub fn take_output(&mut self) -> Vec<u8> {
        self.request.take_output()
    }

    /// Reads what the client sent.
    pub fn handle_bytes(&mut self, bytes: &[u8]) {
        self.request.handle_bytes(bytes);
    }

    /// The result, once there is one; nothing needs to be sent or read after that.
    #[must_use]
    pub fn verdict(&self) -> Option<Verdict> {
        self.request.outcome().map(|outcome| match outcome {
            Outcome::Metadata(metadata) => judge(metadata),
            Outcome::NotOffered => Verdict::Withheld,
            Outcome::NoneYet | Outcome::Rejected if self.complete => Verdict::Withheld,
            Outcome::NoneYet | Outcome::Rejected => Verdict::NotYet,
            Outcome::Failed(_) => Verdict::Unknown,
        })
    }

    /// Why the client's answer says nothing, if it does not.
    #[must_use]
    pub fn failure(&self) -> Option<WireError> {
        match self.request.outcome() {
            Some(Outcome::Failed(failure)) => Some(*failure),
            _ => None,
        }
    }
}

/// What a genuine info dictionary says. Only bytes that are none at all leave it open: clients take torrents with unsorted
/// or doubled keys, and so must we.
fn judge(metadata: &[u8]) -> Verdict {
    match Info::read(metadata) {
        Ok(info) if info.private => Verdict::Private,
        Ok(_) => Verdict::Public,
        Err(_) => Verdict::Unknown,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use sha1::{Digest as _, Sha1};

    use crate::peer::extension::OUR_METADATA_ID;
    use crate::peer::handshake::Handshake;
    use crate::peer::message::push_extended;

    fn info(private: &str) -> Vec<u8> {
        format!("d6:lengthi1e4:name1:n12:piece lengthi16384e6:pieces0:{private}e").into_bytes()
    }

    /// What a client says that gives this metadata, of one piece.
    fn interview(metadata: &[u8]) -> Option<Verdict> {
        let info_hash = InfoHash::new(Sha1::digest(metadata).into());
        let mut interview = Interview::new(info_hash, [b'o'; 20], false);
        let hello = format!("d1:md11:ut_metadatai9ee13:metadata_sizei{}ee", metadata.len());
        let piece = [b"d8:msg_typei1e5:piecei0ee", metadata].concat();
        let mut said = Handshake { info_hash, peer_id: [b'p'; 20], extensions: true }.encode().to_vec();
        push_extended(&mut said, 0, hello.as_bytes());
        push_extended(&mut said, OUR_METADATA_ID, &piece);
        interview.handle_bytes(&said);
        interview.verdict()
    }

    /// The verdict after a client's handshakes, the second of which is `hello`.
    fn after(hello: &str, complete: bool) -> Option<Verdict> {
        let mut interview = Interview::new(InfoHash::new([0; 20]), [b'o'; 20], complete);
        let mut said =
            Handshake { info_hash: InfoHash::new([0; 20]), peer_id: [b'p'; 20], extensions: true }.encode().to_vec();
        push_extended(&mut said, 0, hello.as_bytes());
        push_extended(&mut said, OUR_METADATA_ID, b"d8:msg_typei2e5:piecei0ee");
        interview.handle_bytes(&said);
        interview.verdict()
    }

    #[test]
    fn the_flag_is_read_out_of_genuine_metadata() {
        for (private, verdict) in [
            ("", Verdict::Public),
            ("7:privatei0e", Verdict::Public),
            ("7:private1:1", Verdict::Public),
            ("7:privatei1e", Verdict::Private),
            ("7:privatei2e", Verdict::Private),
            ("7:privatei-1e", Verdict::Private),
            ("7:privatei1e7:privatei0e", Verdict::Private),
            ("7:privatei00e", Verdict::Public),
            // Keys out of order, a key twice, a number with a leading zero.
            ("1:ai1e1:ai2e", Verdict::Public),
            ("5:extrai007e", Verdict::Public),
        ] {
            assert_eq!(interview(&info(private)), Some(verdict), "{private}");
        }
        // The flag counts only inside the dictionary itself.
        assert_eq!(interview(b"d5:filesd7:privatei1ee4:name1:ne"), Some(Verdict::Public));
        assert_eq!(interview(b"le"), Some(Verdict::Unknown));
    }

    #[test]
    fn a_client_that_gives_nothing_says_something_by_it() {
        let rejects = "d1:md11:ut_metadatai9ee13:metadata_sizei40000ee";
        for (hello, complete, verdict) in [
            ("d1:mdee", true, Verdict::Withheld),
            ("d1:mdee", false, Verdict::Withheld),
            ("d1:md11:ut_metadatai9eee", false, Verdict::NotYet),
            ("d1:md11:ut_metadatai9eee", true, Verdict::Withheld),
            (rejects, true, Verdict::Withheld),
            (rejects, false, Verdict::NotYet),
            ("le", true, Verdict::Unknown),
        ] {
            assert_eq!(after(hello, complete), Some(verdict), "{hello}");
        }
    }

    #[test]
    fn a_connection_that_says_nothing_has_a_reason() {
        let mut interview = Interview::new(InfoHash::new([0; 20]), [b'o'; 20], true);
        interview.handle_bytes(&[0; 68]);
        assert_eq!(interview.verdict(), Some(Verdict::Unknown));
        assert_eq!(interview.failure(), Some(WireError::OtherProtocol));
    }
}
