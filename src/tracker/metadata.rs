//! Is a torrent private? The tracker protocol does not say, so the announcing client is asked for its metadata.
//!
//! A private torrent (BEP 27) must never be announced to the DHT or looked up there, and a client that announces here
//! gives no sign of it. But its metadata can be had from the client itself: an [`Interview`] is one connection in which we
//! shake hands (BEP 3, BEP 10), fetch the info dictionary (BEP 9), check it against the infohash and read its flag. Clients
//! keep the metadata of private torrents to themselves, which is an answer too.
//!
//! Pure: bytes in, bytes out. Whatever the client sends ends in a [`Verdict`]; memory is bounded by [`MAX_METADATA`].

use bendy::decoding::{Decoder, Object};
use sha1::{Digest as _, Sha1};
use sha2::Sha256;

use crate::engine::bencode::scan::{Malformed, Scanner};
use crate::engine::id::Id;

/// Largest info dictionary that is fetched. Only torrents with millions of pieces have more.
pub const MAX_METADATA: usize = 16 << 20;
/// Size of all pieces of the metadata but the last (BEP 9).
const PIECE_LEN: usize = 16 << 10;
/// Longest message that is read whole; longer ones (bit fields of huge torrents) are skipped as they arrive.
const MAX_MESSAGE: usize = PIECE_LEN + 1024;
/// Pieces that are asked for at a time.
const IN_FLIGHT: usize = 4;
/// The number under which clients send us metadata messages.
const OUR_UT_METADATA: u8 = 1;
const PROTOCOL: &[u8; 20] = b"\x13BitTorrent protocol";

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
    /// No answer from which anything follows: no connection, encrypted connections only, no extensions.
    Unknown,
}

impl Verdict {
    /// Whether the DHT must not hear of the torrent.
    #[must_use]
    pub const fn forbids(self) -> bool {
        matches!(self, Self::Private | Self::Withheld)
    }
}

/// One connection to a client that announced, from our side.
#[derive(Debug)]
pub struct Interview {
    info_hash: Id,
    /// Whether the client says that it has the whole torrent, and so its metadata.
    complete: bool,
    input: Vec<u8>,
    output: Vec<u8>,
    /// Bytes of a long message that are still to be thrown away.
    skip: usize,
    greeted: bool,
    fetch: Option<Fetch>,
    verdict: Option<Verdict>,
}

/// Metadata on its way.
#[derive(Debug)]
struct Fetch {
    their_id: u8,
    metadata: Vec<u8>,
    received: Vec<bool>,
    asked: usize,
}

impl Interview {
    /// The start: our handshake is ready to be sent.
    #[must_use]
    pub fn new(info_hash: Id, our_peer_id: [u8; 20], complete: bool) -> Self {
        let output = [PROTOCOL, &[0, 0, 0, 0, 0, 0x10, 0, 0][..], &info_hash.0, &our_peer_id].concat();
        let (input, fetch) = (Vec::new(), None);
        Self { info_hash, complete, input, output, skip: 0, greeted: false, fetch, verdict: None }
    }

    /// What is to be sent now; empty when there is nothing.
    pub fn take_output(&mut self) -> Vec<u8> {
        std::mem::take(&mut self.output)
    }

    /// The result, once there is one; nothing needs to be sent or read after that.
    #[must_use]
    pub const fn verdict(&self) -> Option<Verdict> {
        self.verdict
    }

    /// Reads what the client sent.
    pub fn handle_bytes(&mut self, bytes: &[u8]) {
        let skipped = self.skip.min(bytes.len());
        self.skip -= skipped;
        self.input.extend_from_slice(&bytes[skipped..]);
        let input = std::mem::take(&mut self.input);
        let mut rest = &input[..];
        while self.verdict.is_none() {
            let step = if self.greeted { self.read_message(rest) } else { self.read_handshake(rest) };
            match step {
                Some(tail) => rest = tail,
                None => break,
            }
        }
        self.input = rest.to_vec();
    }

    /// Takes the handshake off the front (BEP 3, peer protocol); `None` until it is there.
    fn read_handshake<'a>(&mut self, input: &'a [u8]) -> Option<&'a [u8]> {
        let (handshake, rest) = input.split_first_chunk::<68>()?;
        let speaks = handshake.starts_with(PROTOCOL) && handshake[28..48] == self.info_hash.0;
        // BEP 10: this bit announces extensions.
        if !speaks || handshake[25] & 0x10 == 0 {
            self.verdict = Some(Verdict::Unknown);
        }
        self.greeted = true;
        Some(rest)
    }

    /// Takes one message off the front; `None` until it is there.
    fn read_message<'a>(&mut self, input: &'a [u8]) -> Option<&'a [u8]> {
        let (length, rest) = input.split_first_chunk::<4>()?;
        let length = u32::from_be_bytes(*length) as usize;
        if length > MAX_MESSAGE {
            let here = length.min(rest.len());
            self.skip = length - here;
            return Some(&rest[here..]);
        }
        let (message, rest) = rest.split_at_checked(length)?;
        // BEP 10: message 20, then 0 for the handshake, or the number that our handshake gave to a message.
        let read = match message {
            [20, 0, hello @ ..] => self.read_hello(hello),
            [20, OUR_UT_METADATA, metadata @ ..] => self.read_metadata(metadata),
            _ => Ok(()),
        };
        if read.is_err() {
            self.verdict = Some(Verdict::Unknown);
        }
        Some(rest)
    }

    /// The extension handshake (BEP 10): is there metadata to be had?
    fn read_hello(&mut self, hello: &[u8]) -> Result<(), Malformed> {
        let (mut their_id, mut size) = (None, None);
        Scanner::new(hello).dict(|scanner, key| {
            match key {
                b"m" => scanner.dict(|scanner, name| {
                    if name == b"ut_metadata" {
                        their_id = scanner.integer_if_any()?;
                    }
                    Ok(())
                })?,
                b"metadata_size" => size = scanner.integer_if_any()?,
                _ => {}
            }
            Ok(())
        })?;
        // 0 switches an extension off. Later handshakes only change what the first said.
        let their_id = their_id.and_then(|id| u8::try_from(id).ok()).filter(|id| *id != 0);
        match (their_id, size.and_then(|size| usize::try_from(size).ok()).unwrap_or(0)) {
            _ if self.fetch.is_some() => {}
            (None, _) => self.verdict = Some(Verdict::Withheld),
            (Some(_), 0) => self.verdict = Some(self.without_metadata()),
            (Some(_), size) if size > MAX_METADATA => self.verdict = Some(Verdict::Unknown),
            (Some(their_id), size) => {
                let received = vec![false; size.div_ceil(PIECE_LEN)];
                self.fetch = Some(Fetch { their_id, metadata: vec![0; size], received, asked: 0 });
                // Only now: aria2 closes a connection on which more than the handshake comes before it has answered that.
                let hello = format!("d1:md11:ut_metadatai{OUR_UT_METADATA}eee");
                push_extended(&mut self.output, 0, hello.as_bytes());
                self.ask();
            }
        }
        Ok(())
    }

    /// What it means that a client offers metadata but has none to give.
    const fn without_metadata(&self) -> Verdict {
        if self.complete { Verdict::Withheld } else { Verdict::NotYet }
    }

    /// Asks for the next pieces (BEP 9).
    fn ask(&mut self) {
        let Some(fetch) = &mut self.fetch else { return };
        let answered = fetch.received.iter().filter(|&&received| received).count();
        while fetch.asked < fetch.received.len() && fetch.asked < answered + IN_FLIGHT {
            let request = format!("d8:msg_typei0e5:piecei{}ee", fetch.asked);
            push_extended(&mut self.output, fetch.their_id, request.as_bytes());
            fetch.asked += 1;
        }
    }

    /// A metadata message (BEP 9): a dictionary, and behind it the bytes of a piece.
    fn read_metadata(&mut self, message: &[u8]) -> Result<(), Malformed> {
        let (mut kind, mut piece) = (None, None);
        let mut scanner = Scanner::new(message);
        scanner.dict(|scanner, key| {
            match key {
                b"msg_type" => kind = scanner.integer_if_any()?,
                b"piece" => piece = scanner.integer_if_any()?,
                _ => {}
            }
            Ok(())
        })?;
        match (kind, piece.and_then(|piece| usize::try_from(piece).ok())) {
            (Some(1), Some(piece)) => self.receive(piece, scanner.rest()),
            (Some(2), _) => self.verdict = Some(self.without_metadata()),
            // Requests to us, and kinds yet to be invented.
            _ => {}
        }
        Ok(())
    }

    fn receive(&mut self, piece: usize, bytes: &[u8]) {
        let Some(fetch) = &mut self.fetch else { return };
        let start = piece.saturating_mul(PIECE_LEN);
        let end = start.saturating_add(PIECE_LEN).min(fetch.metadata.len());
        match fetch.metadata.get_mut(start..end) {
            Some(place) if place.len() == bytes.len() && piece < fetch.asked => place.copy_from_slice(bytes),
            _ => return self.verdict = Some(Verdict::Unknown),
        }
        fetch.received[piece] = true;
        if fetch.received.iter().all(|&received| received) {
            self.verdict = Some(judge(&fetch.metadata, self.info_hash));
        } else {
            self.ask();
        }
    }
}

/// What the info dictionary says, if it is the one that the infohash names (v1: SHA-1; v2: SHA-256 cut to 20 bytes).
#[must_use]
pub fn judge(metadata: &[u8], info_hash: Id) -> Verdict {
    let genuine = Sha1::digest(metadata)[..] == info_hash.0 || Sha256::digest(metadata)[..20] == info_hash.0;
    match read_private(metadata).filter(|_| genuine) {
        Some(true) => Verdict::Private,
        Some(false) => Verdict::Public,
        None => Verdict::Unknown,
    }
}

/// The flag `private`; `None` when this is no dictionary. BEP 27: anything but 1 is public.
fn read_private(metadata: &[u8]) -> Option<bool> {
    let mut decoder = Decoder::new(metadata).with_max_depth(64);
    let Ok(Some(Object::Dict(mut info))) = decoder.next_object() else { return None };
    let mut private = false;
    while let Some((key, value)) = info.next_pair().ok()? {
        if let (b"private", Object::Integer(flag)) = (key, value) {
            private = flag == "1";
        }
    }
    Some(private)
}

fn push_extended(output: &mut Vec<u8>, id: u8, payload: &[u8]) {
    let length = u32::try_from(payload.len() + 2).expect("our messages are short");
    output.extend(length.to_be_bytes());
    output.extend([20, id]);
    output.extend(payload);
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const THEIR_UT_METADATA: u8 = 9;

    /// A client of the torrent `metadata` that behaves as `manner` says.
    #[derive(Clone, Copy, PartialEq)]
    enum Manner {
        Gives,
        GivesRubbish,
        Rejects,
        HasNoneYet,
        Withholds,
        KnowsNoExtensions,
        IsOfAnotherSwarm,
    }

    fn info(private: &str, padding: usize) -> Vec<u8> {
        let name = "n".repeat(padding);
        format!("d6:lengthi1e4:name{padding}:{name}12:piece lengthi16384e6:pieces0:{private}e").into_bytes()
    }

    fn hash(metadata: &[u8]) -> Id {
        Id(Sha1::digest(metadata).into())
    }

    /// All that the client sends after `requests` of ours, our handshakes first.
    fn client(manner: Manner, metadata: &[u8], requests: &[u8]) -> Vec<u8> {
        let mut out = Vec::new();
        let mut requests = requests;
        if let Some(rest) = requests.strip_prefix(PROTOCOL) {
            let reserved = if manner == Manner::KnowsNoExtensions { 0 } else { 0x10 };
            let other = [0; 20];
            let hash = if manner == Manner::IsOfAnotherSwarm { &other } else { &rest[8..28] };
            out = [PROTOCOL, &[0, 0, 0, 0, 0, reserved, 0, 0][..], hash, &[b'p'; 20]].concat();
            let size = format!("13:metadata_sizei{}e", metadata.len());
            let hello = match manner {
                Manner::Withholds => "d1:mdee".into(),
                Manner::HasNoneYet => format!("d1:md11:ut_metadatai{THEIR_UT_METADATA}eee"),
                _ => format!("d1:md11:ut_metadatai{THEIR_UT_METADATA}ee{size}e"),
            };
            // A long bit field first, as seeds send it.
            out.extend(100_001u32.to_be_bytes());
            out.extend(vec![5; 100_001]);
            push_extended(&mut out, 0, hello.as_bytes());
            requests = &rest[48..];
        }
        while let Some((length, rest)) = requests.split_first_chunk::<4>() {
            let (message, rest) = rest.split_at(u32::from_be_bytes(*length) as usize);
            requests = rest;
            if message[..2] == [20, THEIR_UT_METADATA] {
                answer(manner, metadata, &message[2..], &mut out);
            }
        }
        out
    }

    fn answer(manner: Manner, metadata: &[u8], request: &[u8], out: &mut Vec<u8>) {
        let text = std::str::from_utf8(request).unwrap();
        let piece = text.strip_prefix("d8:msg_typei0e5:piecei").unwrap().strip_suffix("ee").unwrap();
        if manner == Manner::Rejects {
            return push_extended(out, OUR_UT_METADATA, format!("d8:msg_typei2e5:piecei{piece}ee").as_bytes());
        }
        let mut bytes = metadata.chunks(PIECE_LEN).nth(piece.parse().unwrap()).unwrap().to_vec();
        bytes[0] ^= u8::from(manner == Manner::GivesRubbish);
        let head = format!("d8:msg_typei1e5:piecei{piece}e10:total_sizei{}ee", metadata.len());
        push_extended(out, OUR_UT_METADATA, &[head.as_bytes(), &bytes].concat());
    }

    /// Runs an interview, the client's bytes arriving in chunks of `chunk`.
    fn interview(manner: Manner, metadata: &[u8], complete: bool, chunk: usize) -> Option<Verdict> {
        let mut interview = Interview::new(hash(metadata), [b'o'; 20], complete);
        loop {
            let sent = interview.take_output();
            if sent.is_empty() {
                return interview.verdict();
            }
            client(manner, metadata, &sent).chunks(chunk).for_each(|bytes| interview.handle_bytes(bytes));
        }
    }

    #[test]
    fn the_flag_is_read_out_of_genuine_metadata() {
        for (private, verdict) in [
            ("", Verdict::Public),
            ("7:privatei0e", Verdict::Public),
            ("7:private1:1", Verdict::Public),
            ("7:privatei1e", Verdict::Private),
        ] {
            for padding in [1, 16_000, 200_000] {
                assert_eq!(interview(Manner::Gives, &info(private, padding), true, 1400), Some(verdict), "{private}");
            }
        }
        let v2 = info("", 5);
        assert_eq!(judge(&v2, Id(Sha256::digest(&v2)[..20].try_into().unwrap())), Verdict::Public);
        // The flag counts only inside the dictionary itself.
        let nested = b"d5:filesd7:privatei1ee4:name1:ne";
        assert_eq!(judge(nested, hash(nested)), Verdict::Public);
        assert_eq!(judge(b"le", hash(b"le")), Verdict::Unknown);
    }

    #[test]
    fn a_client_that_gives_nothing_says_something_by_it() {
        let metadata = info("7:privatei1e", 40_000);
        for (manner, complete, verdict) in [
            (Manner::Withholds, true, Verdict::Withheld),
            (Manner::Withholds, false, Verdict::Withheld),
            (Manner::HasNoneYet, false, Verdict::NotYet),
            (Manner::HasNoneYet, true, Verdict::Withheld),
            (Manner::Rejects, true, Verdict::Withheld),
            (Manner::Rejects, false, Verdict::NotYet),
            (Manner::GivesRubbish, true, Verdict::Unknown),
            (Manner::KnowsNoExtensions, true, Verdict::Unknown),
            (Manner::IsOfAnotherSwarm, true, Verdict::Unknown),
        ] {
            assert_eq!(interview(manner, &metadata, complete, 777), Some(verdict));
        }
    }

    #[test]
    fn a_claimed_size_is_not_believed() {
        for size in ["16777217", "-1", "99999999999999999999"] {
            let mut interview = Interview::new(Id::ZERO, [0; 20], true);
            let mut bytes = [PROTOCOL, &[0, 0, 0, 0, 0, 0x10, 0, 0][..], &[0; 40]].concat();
            push_extended(&mut bytes, 0, format!("d1:md11:ut_metadatai9ee13:metadata_sizei{size}ee").as_bytes());
            interview.handle_bytes(&bytes);
            assert!(interview.verdict().is_some_and(|verdict| verdict != Verdict::Public));
        }
    }

    proptest! {
        #[test]
        fn chunks_do_not_matter(chunk in 1usize..5000, padding in 1usize..60_000) {
            prop_assert_eq!(interview(Manner::Gives, &info("", padding), false, chunk), Some(Verdict::Public));
        }

        #[test]
        fn any_bytes_are_read_without_panic(
            greet in any::<bool>(),
            messages in prop::collection::vec((any::<u8>(), prop::collection::vec(any::<u8>(), 0..60)), 0..20),
            tail in prop::collection::vec(any::<u8>(), 0..60),
        ) {
            let mut interview = Interview::new(Id::ZERO, [0; 20], true);
            let mut bytes = Vec::new();
            if greet {
                bytes = [PROTOCOL, &[0, 0, 0, 0, 0, 0x10, 0, 0][..], &[0; 40]].concat();
                push_extended(&mut bytes, 0, b"d1:md11:ut_metadatai9ee13:metadata_sizei20000ee");
            }
            messages.iter().for_each(|(id, payload)| push_extended(&mut bytes, id % 3, payload));
            bytes.extend(tail);
            interview.handle_bytes(&bytes);
            prop_assert_ne!(interview.verdict(), Some(Verdict::Public));
        }
    }
}
