//! What the user should hear of the gateway without asking: each piece of news once.
//!
//! Pure. What has been said is remembered up to a bound; then all is forgotten, and may be said again.

use std::collections::BTreeSet;
use std::net::IpAddr;

use crate::engine::id::InfoHash;
use crate::net::nearness::Nearness;
use crate::tracker::broker::Client;
use crate::tracker::{Announce, Answer, Phase};

/// Pieces of news that are remembered, of each kind.
const MOST: usize = 1_000;

/// What has been said.
#[derive(Debug, Default)]
pub(super) struct News {
    clients: BTreeSet<(IpAddr, [u8; 8])>,
    refusals: BTreeSet<(InfoHash, String)>,
}

impl News {
    /// Whether this client of our host or network has not announced before: by its address and its program (BEP 20).
    /// Strangers are no news, since a public gateway has thousands.
    pub(super) fn is_new_client(&mut self, client: &Client, request: &Announce) -> bool {
        let program = *request.peer_id.first_chunk().expect("a peer id has twenty bytes");
        let says_something = client.nearness != Nearness::Remote && request.phase != Phase::Stopped;
        says_something && insert(&mut self.clients, (client.addr.ip(), program))
    }

    /// Why a torrent is not served, or not announced, if the user has not heard that.
    pub(super) fn refusal<'a>(&mut self, info_hash: InfoHash, answer: &'a Answer) -> Option<&'a str> {
        let reason = match answer {
            Err(failure) => Some(&*failure.reason),
            Ok(reply) => reply.warning.as_deref().filter(|_| reply.is_not_announced()),
        };
        reason.filter(|reason| self.is_new(info_hash, reason))
    }

    /// Whether this has not been said of the torrent.
    pub(super) fn is_new(&mut self, info_hash: InfoHash, text: &str) -> bool {
        insert(&mut self.refusals, (info_hash, text.to_owned()))
    }
}

fn insert<T: Ord>(said: &mut BTreeSet<T>, news: T) -> bool {
    if said.len() >= MOST && !said.contains(&news) {
        said.clear();
    }
    said.insert(news)
}

/// The program that a peer id names, as far as it is text (BEP 20).
pub(super) fn program(peer_id: &[u8; 20]) -> String {
    peer_id[..8].iter().map(|byte| if byte.is_ascii_graphic() { char::from(*byte) } else { '.' }).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tracker::broker::Transport;
    use crate::tracker::{Failure, Reply, http};

    #[test]
    fn each_client_and_each_refusal_is_news_once() {
        let (mut news, here) = (News::default(), IpAddr::from([127, 0, 0, 1]));
        let request = http::parse_announce(b"info_hash=aaaaaaaaaaaaaaaaaaaa&peer_id=-XX0000-abcdefghijkl").unwrap().0;
        let client =
            |nearness, ip: [u8; 4]| Client { addr: (ip, 7).into(), here, nearness, transport: Transport::Http };
        assert!(news.is_new_client(&client(Nearness::Host, [127, 0, 0, 1]), &request));
        assert!(!news.is_new_client(&client(Nearness::Host, [127, 0, 0, 1]), &request));
        assert!(news.is_new_client(&client(Nearness::Lan, [10, 0, 0, 9]), &request));
        assert!(!news.is_new_client(&client(Nearness::Remote, [203, 0, 113, 9]), &request));
        let refused = Err(Failure::malformed("it is private"));
        assert_eq!(news.refusal(request.info_hash, &refused), Some("it is private"));
        assert_eq!(news.refusal(request.info_hash, &refused), None);
        assert_eq!(news.refusal(InfoHash::new([9; 20]), &refused), Some("it is private"));
        let warned = |text: &'static str| Ok(Reply { warning: Some(text.into()), ..Reply::default() });
        assert_eq!(news.refusal(request.info_hash, &warned("the DHT is starting up")), None);
        assert_eq!(
            news.refusal(request.info_hash, &warned("not announced to the DHT: why")),
            Some("not announced to the DHT: why")
        );
        assert_eq!(program(b"-qB5030-abcdefghijk\xff"), "-qB5030-");
        assert_eq!(program(b"\x1b[2J-A\n-abcdefghijkl"), ".[2J-A.-");
    }

    #[test]
    fn what_is_remembered_is_bounded() {
        let mut news = News::default();
        let refused = Err(Failure::malformed("no"));
        for i in 0..5000u32 {
            let mut id = [0; 20];
            id[..4].copy_from_slice(&i.to_be_bytes());
            assert!(news.refusal(InfoHash::new(id), &refused).is_some());
            assert!(news.refusals.len() <= MOST);
        }
    }
}
