//! What must hold for the readers of the peer wire, of HTTP heads and of what other trackers say.

use hyper::Request;
use sha1::{Digest as _, Sha1};
use trackerless::engine::id::InfoHash;
use trackerless::net::http::page;
use trackerless::peer::encryption::{MOST_PADDING, Randomness};
use trackerless::peer::extension::OUR_METADATA_ID;
use trackerless::peer::handshake::Handshake;
use trackerless::peer::message::push_extended;
use trackerless::peer::metadata::{MetadataRequest, Outcome};
use trackerless::tracker::ranking::{MOST_LISTED, parse_list};
use trackerless::tracker::upstream;

use responder::Responder;

#[path = "../src/peer/encryption/responder.rs"]
#[allow(dead_code, reason = "the unit tests use more of it")]
mod responder;

/// A client that has metadata and gives it in pieces: the first bytes say how it misbehaves, the rest is the metadata. What is
/// taken for genuine is what the infohash names, and our answers are bounded. The sixth byte is the cipher of an encrypted
/// connection, the two after it are paddings in steps of three bytes.
pub fn peer(bytes: &[u8]) {
    let Some((script, metadata)) = bytes.split_at_checked(8.min(bytes.len())) else { return };
    let script: [u8; 8] = std::array::from_fn(|i| script.get(i).copied().unwrap_or(0));
    let [grows, misnamed, flipped, mask, cut, cipher, paddings @ ..] = script;
    let info_hash = InfoHash::new(Sha1::digest(metadata).into());
    let mut request = MetadataRequest::new(info_hash, [b'o'; 20]);
    let size = if grows == 1 { metadata.len() + 1 } else { metadata.len() };
    let mut said = give(info_hash, metadata, size, misnamed);
    let paddings = paddings.map(|length| 3 * usize::from(length));
    let mut longest = 1024 + 64 * metadata.len().div_ceil(16 << 10).max(1);
    if cipher != 0 {
        request = request.encrypted(Randomness::from_seed([cut; 32]));
        longest += 2 * MOST_PADDING + 160;
        let mut client = Responder::new(info_hash.as_bytes(), &request.take_output()[..96]);
        let choice = client.choose(cipher.into(), paddings[1]);
        let cipher = cipher.into();
        said = [responder::public_key(), vec![0x55; paddings[0]], choice, client.say(cipher, &said)].concat();
    }
    if flipped != 0 {
        let at = usize::from(flipped) * said.len() / 256;
        said[at] ^= mask;
    }
    let mut sent = 0;
    for part in said.chunks(usize::from(cut).max(1) * 37) {
        request.handle_bytes(part);
        sent += request.take_output().len();
    }
    let found = matches!(request.outcome(), Some(Outcome::Metadata(found)) if info_hash.names(found));
    assert!(found || !matches!(request.outcome(), Some(Outcome::Metadata(_))));
    let honest =
        grows != 1 && usize::from(misnamed) >= metadata.len().div_ceil(16 << 10) && (flipped == 0 || mask == 0);
    let readable = matches!(cipher, 0..=2) && paddings.iter().all(|&length| cipher == 0 || length <= MOST_PADDING);
    assert!(found || !honest || !readable || metadata.is_empty(), "an honest client was not understood");
    assert!(sent <= longest, "{sent}");
}

/// All that a client says that gives this metadata.
fn give(info_hash: InfoHash, metadata: &[u8], size: usize, misnamed: u8) -> Vec<u8> {
    let mut said = Handshake { info_hash, peer_id: [b'p'; 20], extensions: true }.encode().to_vec();
    push_extended(&mut said, 0, format!("d1:md11:ut_metadatai9ee13:metadata_sizei{size}ee").as_bytes());
    for (index, piece) in metadata.chunks(16 << 10).enumerate() {
        let number = if misnamed == index as u8 { 99 } else { index };
        let head = format!("d8:msg_typei1e5:piecei{number}e10:total_sizei{size}ee");
        push_extended(&mut said, OUR_METADATA_ID, &[head.as_bytes(), piece].concat());
    }
    said
}

/// The lines of a head: the target, then headers. Whatever they are, a request with `Origin` is that of a page.
pub fn head(bytes: &[u8]) {
    let mut lines = bytes.split(|&byte| byte == b'\n');
    let mut builder = Request::builder().uri(lines.next().unwrap_or_default());
    for (name, value) in lines.filter_map(|line| line.iter().position(|&byte| byte == b':').map(|at| line.split_at(at)))
    {
        builder = builder.header(name, &value[1..]);
    }
    let Ok(request) = builder.body(()) else { return };
    let (parts, ()) = request.into_parts();
    let sign = page::sign_of(&parts, |name| matches!(name, page::Name::Text("ours.example")));
    if parts.headers.contains_key("origin") || parts.headers.contains_key("sec-fetch-site") {
        assert!(sign.is_some());
    }
    let local = page::sign_of(&parts, |_| true);
    assert!(sign.is_some() || local.is_none(), "who is ours is at least as welcome");
}

/// What another tracker answers, and a list of trackers.
pub fn answer(bytes: &[u8]) {
    if let Some(upstream::Said::Told(told)) = upstream::parse_body(bytes) {
        assert!(told.peers.len() <= bytes.len());
    }
    let _ = upstream::parse_announced(bytes, 0, trackerless::engine::contact::Family::V4);
    let trackers = parse_list(bytes, false);
    assert!(trackers.len() <= MOST_LISTED);
    for tracker in trackers {
        assert!(tracker.url.host() != "localhost" && !tracker.may_be_local);
        let again: upstream::Upstream = tracker.url.to_string().parse().expect("what we write can be read");
        assert_eq!(again, tracker.url);
    }
}
