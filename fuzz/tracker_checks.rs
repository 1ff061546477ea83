//! What must hold for the gateway's readers, whatever bytes they get.

use trackerless::engine::id::InfoHash;
use trackerless::peer::pieces::MAX_METADATA;
use trackerless::tracker::metadata::{Interview, Verdict};
use trackerless::tracker::{MAX_SCRAPED, MAX_WANTED, http, udp};

/// The first byte chooses the reader; the rest is its input.
pub fn tracker(bytes: &[u8]) {
    let Some((choice, input)) = bytes.split_first() else { return };
    match choice % 3 {
        0 => query(input),
        1 => datagram(input),
        _ => peer(input),
    }
}

fn query(input: &[u8]) {
    if let Ok((announce, _)) = http::parse_announce(input) {
        assert!(announce.wanted() <= MAX_WANTED);
    }
    if let Ok(ids) = http::parse_scrape(input) {
        assert!((1..=MAX_SCRAPED).contains(&ids.len()));
    }
}

fn datagram(input: &[u8]) {
    if let Some(request) = udp::parse(input) {
        assert!(input.len() >= 16);
        if let udp::Action::Announce(announce) = request.action {
            assert!(input.len() >= 98 && announce.wanted() <= MAX_WANTED);
        }
    }
}

/// A client that is asked for its metadata, in two pieces: how they are cut must not matter.
fn peer(input: &[u8]) {
    let interview = |cut: usize| {
        let mut interview = Interview::new(InfoHash::new([0; 20]), [0; 20], true);
        let mut sent = interview.take_output().len();
        for part in [&input[..cut], &input[cut..]] {
            interview.handle_bytes(part);
            sent += interview.take_output().len();
        }
        (interview.verdict(), sent)
    };
    let (verdict, sent) = interview(0);
    assert_eq!(interview(input.len() / 2), (verdict, sent));
    assert_ne!(verdict, Some(Verdict::Public), "metadata of the infohash zero");
    assert!(sent < MAX_METADATA);
}
