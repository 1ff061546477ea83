//! Connections to clients of every manner.

use proptest::prelude::*;
use sha1::{Digest as _, Sha1};
use sha2::Sha256;

use super::*;
use crate::peer::extension::OUR_METADATA_ID;
use crate::peer::handshake::{self, Handshake};
use crate::peer::message::{EXTENDED, Front, push_extended, split};
use crate::peer::pieces::PIECE_LEN;

const THEIR_METADATA_ID: u8 = 9;

/// A client of the torrent `metadata` that behaves as `manner` says.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Manner {
    Gives,
    GivesOtherBytes,
    Rejects,
    HasNoneYet,
    OffersNone,
    KnowsNoExtensions,
    IsOfAnotherTorrent,
    SpeaksAnotherProtocol,
}

fn info(padding: usize) -> Vec<u8> {
    format!("d6:lengthi1e4:name{padding}:{}e", "n".repeat(padding)).into_bytes()
}

fn hash(metadata: &[u8]) -> InfoHash {
    InfoHash::new(Sha1::digest(metadata).into())
}

/// All that the client sends after `requests` of ours, our handshakes first.
fn client(manner: Manner, metadata: &[u8], requests: &[u8]) -> Vec<u8> {
    let mut out = Vec::new();
    let mut requests = requests;
    if let Some(ours) = requests.first_chunk::<{ handshake::LEN }>().and_then(Handshake::decode) {
        let info_hash = if manner == Manner::IsOfAnotherTorrent { InfoHash::new([0; 20]) } else { ours.info_hash };
        let extensions = manner != Manner::KnowsNoExtensions;
        out = Handshake { info_hash, peer_id: [b'p'; 20], extensions }.encode().to_vec();
        out[0] ^= u8::from(manner == Manner::SpeaksAnotherProtocol);
        let hello = match manner {
            Manner::OffersNone => "d1:mdee".into(),
            Manner::HasNoneYet => format!("d1:md11:ut_metadatai{THEIR_METADATA_ID}eee"),
            _ => format!("d1:md11:ut_metadatai{THEIR_METADATA_ID}ee13:metadata_sizei{}ee", metadata.len()),
        };
        // A long bit field first, as seeds send it.
        out.extend(100_001u32.to_be_bytes());
        out.extend(vec![5; 100_001]);
        push_extended(&mut out, 0, hello.as_bytes());
        requests = &requests[handshake::LEN..];
    }
    while let Front::Message(message, rest) = split(requests) {
        requests = rest;
        if message[..2] == [EXTENDED, THEIR_METADATA_ID] {
            answer(manner, metadata, &message[2..], &mut out);
        }
    }
    out
}

fn answer(manner: Manner, metadata: &[u8], request: &[u8], out: &mut Vec<u8>) {
    let text = std::str::from_utf8(request).unwrap();
    let piece = text.strip_prefix("d8:msg_typei0e5:piecei").unwrap().strip_suffix("ee").unwrap();
    if manner == Manner::Rejects {
        return push_extended(out, OUR_METADATA_ID, format!("d8:msg_typei2e5:piecei{piece}ee").as_bytes());
    }
    let mut bytes = metadata.chunks(PIECE_LEN).nth(piece.parse().unwrap()).unwrap().to_vec();
    bytes[0] ^= u8::from(manner == Manner::GivesOtherBytes);
    let head = format!("d8:msg_typei1e5:piecei{piece}e10:total_sizei{}ee", metadata.len());
    push_extended(out, OUR_METADATA_ID, &[head.as_bytes(), &bytes].concat());
}

/// Asks a client, whose bytes arrive in chunks of `chunk`.
fn ask(manner: Manner, metadata: &[u8], info_hash: InfoHash, chunk: usize) -> Option<Outcome> {
    let mut request = MetadataRequest::new(info_hash, [b'o'; 20]);
    loop {
        let sent = request.take_output();
        if sent.is_empty() {
            return request.outcome().cloned();
        }
        client(manner, metadata, &sent).chunks(chunk).for_each(|bytes| request.handle_bytes(bytes));
    }
}

#[test]
fn metadata_is_fetched_and_checked_against_either_infohash() {
    for padding in [1, 16_000, 200_000] {
        let metadata = info(padding);
        let v2 = InfoHash::new(Sha256::digest(&metadata)[..20].try_into().unwrap());
        for info_hash in [hash(&metadata), v2] {
            let outcome = ask(Manner::Gives, &metadata, info_hash, 1400);
            assert_eq!(outcome, Some(Outcome::Metadata(metadata.clone())), "{padding}");
        }
    }
}

#[test]
fn each_manner_of_a_client_has_its_outcome() {
    let metadata = info(40_000);
    for (manner, outcome) in [
        (Manner::OffersNone, Outcome::NotOffered),
        (Manner::HasNoneYet, Outcome::NoneYet),
        (Manner::Rejects, Outcome::Rejected),
        (Manner::GivesOtherBytes, Outcome::Failed(WireError::WrongMetadata)),
        (Manner::KnowsNoExtensions, Outcome::Failed(WireError::NoExtensions)),
        (Manner::IsOfAnotherTorrent, Outcome::Failed(WireError::OtherTorrent)),
        (Manner::SpeaksAnotherProtocol, Outcome::Failed(WireError::OtherProtocol)),
    ] {
        assert_eq!(ask(manner, &metadata, hash(&metadata), 777), Some(outcome), "{manner:?}");
    }
}

fn hello_of(text: &str) -> MetadataRequest {
    let mut request = MetadataRequest::new(InfoHash::new([0; 20]), [0; 20]);
    let mut bytes =
        Handshake { info_hash: InfoHash::new([0; 20]), peer_id: [0; 20], extensions: true }.encode().to_vec();
    push_extended(&mut bytes, 0, text.as_bytes());
    request.handle_bytes(&bytes);
    request
}

#[test]
fn a_claimed_size_is_not_believed() {
    for (size, outcome) in [
        ("16777217", Outcome::Failed(WireError::TooLarge)),
        ("-1", Outcome::NoneYet),
        ("99999999999999999999", Outcome::NoneYet),
    ] {
        let request = hello_of(&format!("d1:md11:ut_metadatai9ee13:metadata_sizei{size}ee"));
        assert_eq!(request.outcome(), Some(&outcome), "{size}");
    }
}

proptest! {
    #[test]
    fn chunks_do_not_matter(chunk in 1usize..5000, padding in 1usize..60_000) {
        let metadata = info(padding);
        let outcome = ask(Manner::Gives, &metadata, hash(&metadata), chunk);
        prop_assert_eq!(outcome, Some(Outcome::Metadata(metadata)));
    }

    #[test]
    fn any_bytes_are_read_without_panic(
        greet in any::<bool>(),
        messages in prop::collection::vec((any::<u8>(), prop::collection::vec(any::<u8>(), 0..60)), 0..20),
        tail in prop::collection::vec(any::<u8>(), 0..60),
    ) {
        let hello = "d1:md11:ut_metadatai9ee13:metadata_sizei20000ee";
        let mut request = if greet { hello_of(hello) } else { MetadataRequest::new(InfoHash::new([0; 20]), [0; 20]) };
        let mut bytes = Vec::new();
        messages.iter().for_each(|(id, payload)| push_extended(&mut bytes, id % 3, payload));
        bytes.extend(tail);
        request.handle_bytes(&bytes);
        prop_assert!(!matches!(request.outcome(), Some(Outcome::Metadata(_))));
    }
}
