//! What must hold for the readers of the peer wire, of HTTP heads and of what other trackers say.

use hyper::Request;
use sha1::{Digest as _, Sha1};
use trackerless::engine::id::InfoHash;
use trackerless::net::http::page;
use trackerless::peer::extension::OUR_METADATA_ID;
use trackerless::peer::handshake::Handshake;
use trackerless::peer::message::push_extended;
use trackerless::peer::metadata::{MetadataRequest, Outcome};
use trackerless::tracker::ranking::{MOST_LISTED, parse_list};
use trackerless::tracker::upstream;

/// A client that has metadata and gives it in pieces: the first bytes say how it misbehaves, the rest is the metadata. What is
/// taken for genuine is what the infohash names, and our answers are bounded.
pub fn peer(bytes: &[u8]) {
    let Some((script, metadata)) = bytes.split_at_checked(8.min(bytes.len())) else { return };
    let info_hash = InfoHash::new(Sha1::digest(metadata).into());
    let mut request = MetadataRequest::new(info_hash, [b'o'; 20]);
    let mut said = Handshake { info_hash, peer_id: [b'p'; 20], extensions: true }.encode().to_vec();
    let size = if script.first() == Some(&1) { metadata.len() + 1 } else { metadata.len() };
    push_extended(&mut said, 0, format!("d1:md11:ut_metadatai9ee13:metadata_sizei{size}ee").as_bytes());
    for (index, piece) in metadata.chunks(16 << 10).enumerate() {
        let number = if script.get(1) == Some(&(index as u8)) { 99 } else { index };
        let head = format!("d8:msg_typei1e5:piecei{number}e10:total_sizei{size}ee");
        push_extended(&mut said, OUR_METADATA_ID, &[head.as_bytes(), piece].concat());
    }
    if let Some(&at) = script.get(2).filter(|&&at| at != 0) {
        let at = usize::from(at) * said.len() / 256;
        said[at] ^= script.get(3).copied().unwrap_or(1);
    }
    let cut = usize::from(script.get(4).copied().unwrap_or(0)).max(1);
    let mut sent = 0;
    for part in said.chunks(cut * 37) {
        request.handle_bytes(part);
        sent += request.take_output().len();
    }
    if let Some(Outcome::Metadata(found)) = request.outcome() {
        assert!(info_hash.names(found));
    }
    assert!(sent <= 1024 + 64 * metadata.len().div_ceil(16 << 10).max(1), "{sent}");
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
    if let Some(told) = upstream::parse_body(bytes) {
        assert!(told.peers.len() <= bytes.len());
    }
    let _ = upstream::parse_announced(bytes, 0, trackerless::engine::contact::Family::V4);
    let trackers = parse_list(bytes, false);
    assert!(trackers.len() <= MOST_LISTED);
    for tracker in trackers {
        assert_ne!(tracker.host(), "localhost");
        let again: upstream::Upstream = tracker.to_string().parse().expect("what we write can be read");
        assert_eq!(again, tracker);
    }
}
