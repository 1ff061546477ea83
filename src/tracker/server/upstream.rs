//! Asks other trackers on behalf of a client. What is said is in [`upstream`], by HTTP it is said by [`Web`].

use std::io;
use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr};
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use tokio::net::UdpSocket;
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep, timeout, timeout_at};
use tracing::{debug, info};

use super::names::{Names, Reach};
use super::web::{Got, Web};
use crate::engine::contact::{Family, is_local};
use crate::tracker::ranking::{Listed, Ranking, parse_list};
use crate::tracker::upstream::{self, Relay, Said, Source, Told, Upstream};

/// How long the trackers may take, all together. The answers that wait for them are given earlier.
const PATIENCE: Duration = Duration::from_secs(15);
/// Time in which a tracker that took all its patience can still be noted as one that does not answer.
const GRACE: Duration = Duration::from_millis(500);
/// Other addresses to which one announce is sent on.
const MOST_REDIRECTS: usize = 3;
/// After this time a datagram is lost and sent again. BEP 15 says 15 s; a client that waits has no such patience.
const RESEND: Duration = Duration::from_secs(3);
/// Longest body of an answer that is read, in bytes: 200 peers in the longest form are a fifth of it.
const MAX_BODY: usize = 64 << 10;
/// Longest list of trackers that is read, in bytes: four thousand lines.
const MAX_LIST: usize = 256 << 10;
/// Lists that are fetched.
const MOST_LISTS: usize = 16;
/// Time after which a list is fetched again.
const LIST_EVERY: Duration = Duration::from_hours(24);
/// Time after which a list that could not be fetched is tried again, at first; then twice as long each time.
const LIST_RETRY: Duration = Duration::from_mins(5);

/// The other trackers of a gateway: those that the user names, and the best of the lists that he names.
#[derive(Debug)]
pub(super) struct Trackers {
    named: Vec<Named>,
    lists: Vec<Upstream>,
    ranking: Mutex<Ranking>,
    names: Arc<Names>,
    web: Web,
}

/// A tracker that the user names, and whether it works as far as we know.
#[derive(Debug)]
struct Named {
    url: Upstream,
    works: Mutex<Option<bool>>,
    /// Whether it was told that it refuses.
    has_refused: AtomicBool,
}

impl Trackers {
    pub(super) fn new(sources: Vec<Source>) -> Self {
        let (mut named, mut lists) = (Vec::new(), Vec::new());
        for source in sources {
            match source {
                Source::Tracker(url) => {
                    named.push(Named { url, works: Mutex::new(None), has_refused: AtomicBool::new(false) })
                }
                Source::List(url, _) => lists.push(url),
            }
        }
        lists.truncate(MOST_LISTS);
        let names = Arc::new(Names::default());
        Self { named, lists, ranking: Mutex::default(), web: Web::new(Arc::clone(&names)), names }
    }

    /// Fetches the lists, now and every day; never ends.
    pub(super) async fn follow_lists(self: Arc<Self>) {
        let mut fetching: JoinSet<()> = (0..self.lists.len()).map(|list| follow(Arc::clone(&self), list)).collect();
        while fetching.join_next().await.is_some() {}
        std::future::pending().await
    }

    /// Those to be asked now.
    fn chosen(&self) -> Vec<Listed> {
        let listed = self.ranking.lock().expect("nothing panics while it holds the lock").choose();
        let is_new = |listed: &Listed| self.named.iter().all(|named| named.url != listed.url);
        let named = self.named.iter().map(|named| Listed { url: named.url.clone(), may_be_local: true });
        named.chain(listed.into_iter().filter(is_new)).collect()
    }

    /// Says when a tracker begins or ceases to work; one that refuses a torrent works, and says once why. Those of lists are
    /// ranked by what they told.
    fn note(&self, url: &Upstream, answer: &io::Result<Said>) {
        let Some(named) = self.named.iter().find(|named| named.url == *url) else {
            let peers = match answer {
                Ok(Said::Told(told)) => Some(told.peers.len()),
                Ok(Said::Refused(_)) | Err(_) => None,
            };
            return self.ranking.lock().expect("nothing panics while it holds the lock").note(url, peers);
        };
        let before = named.works.lock().expect("nothing panics while it holds the lock").replace(answer.is_ok());
        match answer {
            Ok(Said::Refused(reason)) if !named.has_refused.swap(true, Relaxed) => {
                info!(
                    tracker = url.label(),
                    reason, "another tracker refuses an announce; further refusals are not shown"
                );
            }
            Ok(_) if before != Some(true) => info!(tracker = url.label(), "another tracker answers"),
            Err(error) if before != Some(false) => {
                info!(tracker = url.label(), %error, "another tracker does not answer; it is asked again with the next client");
            }
            Ok(_) | Err(_) => {}
        }
    }
}

/// Fetches one list again and again.
async fn follow(trackers: Arc<Trackers>, list: usize) {
    let (url, mut retry) = (&trackers.lists[list], LIST_RETRY);
    loop {
        let fetched =
            timeout(PATIENCE, fetch(&trackers, url)).await.unwrap_or_else(|_| Err(io::ErrorKind::TimedOut.into()));
        match fetched {
            Ok(found) if !found.is_empty() => {
                info!(list = url.label(), trackers = found.len(), "a list of trackers was fetched");
                trackers.ranking.lock().expect("nothing panics while it holds the lock").replace(list, found);
                retry = LIST_RETRY;
                sleep(LIST_EVERY).await;
            }
            fetched => {
                let error = fetched.err().unwrap_or_else(|| io::Error::other("it names no tracker that can be asked"));
                info!(list = url.label(), %error, minutes = retry.as_secs() / 60, "a list of trackers cannot be had; it is tried again");
                sleep(retry).await;
                retry = (2 * retry).min(LIST_EVERY);
            }
        }
    }
}

/// The trackers that the list names.
async fn fetch(trackers: &Trackers, url: &Upstream) -> io::Result<Vec<Listed>> {
    let reach = Reach { family: None, may_be_local: true };
    let (addr, body) = get(&trackers.web, url, reach, MAX_LIST, |url| url.path().to_owned()).await?;
    Ok(parse_list(&body, is_local(addr.ip())))
}

/// Tells every tracker of the client and passes on the peers of each as they come. Returns the longest interval that one
/// of them asked for; `None` if none of them took the announce.
pub(super) async fn announce(
    trackers: &Arc<Trackers>,
    relay: &Relay,
    mut found: impl FnMut(&[SocketAddr]),
) -> Option<Duration> {
    let deadline = Instant::now() + PATIENCE + GRACE;
    let mut asked = JoinSet::new();
    for tracker in trackers.chosen() {
        let (trackers, relay) = (Arc::clone(trackers), relay.clone());
        asked.spawn(async move { ask(&trackers, &tracker, &relay).await });
    }
    let mut interval = None;
    while let Ok(Some(outcome)) = timeout_at(deadline, asked.join_next()).await {
        if let Ok(Some(told)) = outcome {
            found(&told.peers);
            interval = interval.max(Some(told.interval));
        }
    }
    interval
}

async fn ask(trackers: &Trackers, Listed { url, may_be_local }: &Listed, relay: &Relay) -> Option<Told> {
    let reach = Reach { family: Some(relay.family()), may_be_local: *may_be_local };
    let asking = async {
        match url.is_udp() {
            true => ask_by_udp(&trackers.names, url, reach, relay).await,
            false => ask_by_http(&trackers.web, url, reach, relay).await,
        }
    };
    let answer = timeout(PATIENCE, asking).await.unwrap_or_else(|_| Err(io::ErrorKind::TimedOut.into()));
    let outcome = answer.as_ref().map(|said| match said {
        Said::Told(told) => format!("{} peers", told.peers.len()),
        Said::Refused(reason) => format!("refused: {reason}"),
    });
    debug!(tracker = url.label(), id = %relay.info_hash, ?outcome, "another tracker was asked");
    trackers.note(url, &answer);
    answer.ok()?.told()
}

async fn ask_by_http(web: &Web, url: &Upstream, reach: Reach, relay: &Relay) -> io::Result<Said> {
    // Most that move keep the query; one that drops it wants it again.
    let target =
        |url: &Upstream| if url.path().contains("info_hash=") { url.path().to_owned() } else { url.target(relay) };
    let (addr, body) = get(web, url, reach, MAX_BODY, target).await?;
    upstream::parse_body(&body).map(|said| admissible(addr, said)).ok_or_else(no_tracker)
}

/// The body behind a URL, and the address that gave it, at other URLs if the server says so. A server that is not in a local
/// network leads to none.
async fn get(
    web: &Web,
    url: &Upstream,
    mut reach: Reach,
    most: usize,
    target: impl Fn(&Upstream) -> String,
) -> io::Result<(SocketAddr, Vec<u8>)> {
    let mut url = url.clone();
    for _ in 0..=MOST_REDIRECTS {
        match web.get(&url, &target(&url), reach, most).await? {
            Got::Body(addr, body) => return Ok((addr, body)),
            Got::Moved(addr, location) => {
                reach.may_be_local &= is_local(addr.ip());
                url =
                    url.redirected(&location).ok_or_else(|| io::Error::other("it moved to a URL that is not asked"))?;
            }
        }
    }
    Err(io::Error::other("it moves from one URL to the next"))
}

async fn ask_by_udp(names: &Names, tracker: &Upstream, reach: Reach, relay: &Relay) -> io::Result<Said> {
    let addr = names.first(tracker.host(), tracker.port(), reach).await?;
    let any: SocketAddr = match relay.family() {
        Family::V4 => (Ipv4Addr::UNSPECIFIED, 0).into(),
        Family::V6 => (Ipv6Addr::UNSPECIFIED, 0).into(),
    };
    let socket = UdpSocket::bind(any).await?;
    socket.connect(addr).await?;
    // The socket takes datagrams of the tracker only; the numbers tell its answers apart.
    let connected = exchange(&socket, &upstream::connect_request(1), 1).await?;
    let Some(connection) = upstream::parse_connected(&connected, 1) else {
        return upstream::parse_refused(&connected, 1).ok_or_else(no_tracker);
    };
    let announced = exchange(&socket, &upstream::announce_request(connection, 2, relay, tracker.path()), 2).await?;
    let said = upstream::parse_announced(&announced, 2, relay.family());
    said.map(|said| admissible(addr, said)).ok_or_else(no_tracker)
}

/// Something answers, as the web server of a name that was given up does.
fn no_tracker() -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, "its answer is not that of a tracker")
}

/// Leaves out addresses of local networks, unless the tracker is in one itself: nobody else knows who is there.
fn admissible(tracker: SocketAddr, mut said: Said) -> Said {
    if let Said::Told(told) = &mut said {
        told.peers.retain(|peer| is_local(tracker.ip()) || !is_local(peer.ip()));
    }
    said
}

/// Sends the request until its answer comes. The caller sets the deadline.
async fn exchange(socket: &UdpSocket, request: &[u8], transaction: u32) -> io::Result<Vec<u8>> {
    let mut buffer = vec![0; 4096];
    loop {
        socket.send(request).await?;
        let answer = async {
            loop {
                let length = socket.recv(&mut buffer).await?;
                if upstream::is_answer(&buffer[..length], transaction) {
                    return Ok(buffer[..length].to_vec());
                }
            }
        };
        if let Ok(answer) = timeout(RESEND, answer).await {
            return answer;
        }
    }
}

#[cfg(test)]
mod tests {
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
    use tokio::net::TcpListener;

    use super::*;
    use crate::engine::id::InfoHash;

    /// An answer with the peer 127.0.0.1:5.
    const BODY: &[u8] = b"d8:intervali9e5:peers6:\x7f\0\0\x01\0\x05e";
    /// The same, packed (RFC 1952).
    const PACKED: &[u8] = b"\x1f\x8b\x08\x00\x00\x00\x00\x00\x02\x03\x4b\xb1\xb0\xca\xcc\x2b\x49\x2d\x2a\x4b\xcc\xc9\xb4\x4c\x35\xb5\x2a\x48\x4d\x2d\x2a\x36\xb3\xaa\x67\x60\x60\x64\x60\x4d\x05\x00\x06\xdf\x43\x6c\x1e\x00\x00\x00";

    /// A mebibyte of one letter, packed.
    fn bomb() -> Vec<u8> {
        // One block of deflate with fixed codes (RFC 1951): the letter, then runs of 258 of it.
        let (mut bits, mut count, mut out) = (0u64, 0, b"\x1f\x8b\x08\0\0\0\0\0\0\xff".to_vec());
        let mut put = |value: u64, length: u32, out: &mut Vec<u8>| {
            bits |= value << count;
            count += length;
            while count >= 8 {
                out.push(bits as u8);
                bits >>= 8;
                count -= 8;
            }
        };
        put(0b011, 3, &mut out);
        put(u64::from((0x30 + b'd').reverse_bits()), 8, &mut out);
        for _ in 0..(1 << 20) / 258 {
            // Length 258 (code 285), distance 1 (code 0).
            put(u64::from(0b1100_0101u8.reverse_bits()), 8, &mut out);
            put(0, 5, &mut out);
        }
        out
    }

    fn relay() -> Relay {
        let client = "127.0.0.1:9".parse().unwrap();
        let (info_hash, phase) = (InfoHash::new([7; 20]), crate::tracker::Phase::Started);
        Relay { info_hash, peer_id: [8; 20], client, port: 6881, seed: true, phase }
    }

    /// Where the trackers of a user may be.
    const ANYWHERE: Reach = Reach { family: Some(Family::V4), may_be_local: true };

    fn peers(said: io::Result<Said>) -> Vec<SocketAddr> {
        match said.unwrap() {
            Said::Told(told) => told.peers,
            Said::Refused(reason) => panic!("refused: {reason}"),
        }
    }

    fn answer(head: &str, body: &[u8]) -> Vec<u8> {
        let length = body.len();
        [format!("HTTP/1.1 200 OK\r\n{head}Content-Length: {length}\r\n\r\n").as_bytes(), body].concat()
    }

    fn moved(to: &str) -> Vec<u8> {
        format!("HTTP/1.1 302 Found\r\nLocation: {to}\r\nContent-Length: 0\r\n\r\n").into_bytes()
    }

    /// Gives these answers, one to each connection; the heads of the requests, in lower case.
    async fn serve(listener: &TcpListener, answers: &[Vec<u8>]) -> Vec<String> {
        let mut heads = Vec::new();
        for answer in answers {
            let (mut stream, _) = listener.accept().await.unwrap();
            let mut head = Vec::new();
            while !head.ends_with(b"\r\n\r\n") {
                assert_ne!(stream.read_buf(&mut head).await.unwrap(), 0);
            }
            // A client that has had enough of a body closes the connection.
            let _ = stream.write_all(answer).await;
            heads.push(String::from_utf8(head).unwrap().to_lowercase());
        }
        heads
    }

    /// What asking the URL with this path comes to, and the heads that the tracker saw.
    async fn asked(user: &str, answers: &[Vec<u8>]) -> (io::Result<Said>, SocketAddr, Vec<String>) {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let addr = listener.local_addr().unwrap();
        let url: Upstream = format!("http://{user}{addr}/announce").parse().unwrap();
        let (web, relay) = (Web::new(Arc::default()), relay());
        let (told, heads) = tokio::join!(ask_by_http(&web, &url, ANYWHERE, &relay), serve(&listener, answers));
        (told, addr, heads)
    }

    #[tokio::test]
    async fn a_tracker_that_has_moved_is_followed_with_its_query_and_password() {
        let (told, addr, heads) = asked("user:pass@", &[moved("/moved"), answer("", BODY)]).await;
        assert_eq!(peers(told), ["127.0.0.1:5".parse().unwrap()]);
        assert!(
            heads[0].starts_with("get /announce?info_hash=%07") && heads[1].starts_with("get /moved?info_hash=%07"),
            "{heads:?}"
        );
        assert!(heads[0].contains(&format!("host: {addr}\r\n")), "{heads:?}");
        assert!(heads[0].contains("authorization: basic dxnlcjpwyxnz\r\n"), "{heads:?}");
        assert!(heads[1].contains("authorization: basic dxnlcjpwyxnz\r\n"), "the same host: {heads:?}");
    }

    #[tokio::test]
    async fn packed_answers_are_read_and_bounded_when_unpacked() {
        let packed = |body| answer("Content-Encoding: gzip\r\n", body);
        let (told, _, heads) = asked("", &[packed(PACKED)]).await;
        assert_eq!(peers(told), ["127.0.0.1:5".parse().unwrap()]);
        assert!(heads[0].contains("accept-encoding: gzip"), "{heads:?}");
        let (told, ..) = asked("", &[packed(&PACKED[..PACKED.len() / 2])]).await;
        told.expect_err("a part of an answer");
        for long in [answer("", &[b'd'; MAX_BODY + 1]), packed(&bomb())] {
            let (told, ..) = asked("", &[long]).await;
            let error = told.expect_err("more than is read").to_string();
            assert!(error.contains("more than 65536 bytes"), "{error}");
        }
    }

    #[tokio::test]
    async fn a_tracker_that_leads_on_and_on_or_elsewhere_is_left() {
        for (answers, why) in [
            (vec![moved("/a"), moved("/b"), moved("/c"), moved("/d")], "from one URL to the next"),
            (vec![moved("udp://127.0.0.1:1/")], "not asked"),
            (vec![moved("")], "not asked"),
            (vec![b"HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n".to_vec()], "404"),
        ] {
            let (told, ..) = asked("", &answers).await;
            let error = told.expect_err("no answer").to_string();
            assert!(error.contains(why), "{error}");
        }
    }

    /// A server of the Internet must not make us speak to what is in our network: neither by an address nor by a name.
    #[tokio::test]
    async fn what_is_not_local_leads_to_nothing_local() {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = listener.local_addr().unwrap().port();
        let web = Web::new(Arc::default());
        for host in ["127.0.0.1", "localhost", "127.1", "2130706433", "0x7f.1", "0.0.0.0", "127.0.0.1."] {
            let url: Upstream = format!("http://{host}:{port}/announce").parse().unwrap();
            let got = web.get(&url, "/announce", Reach { may_be_local: false, ..ANYWHERE }, MAX_BODY).await;
            let error = got.err().expect("not asked").to_string();
            assert!(error.contains("no address that may be asked"), "{error}");
        }
        let (connected, ()) = tokio::join!(timeout(Duration::ZERO, listener.accept()), std::future::ready(()));
        assert!(connected.is_err(), "nobody has connected");
    }

    /// A list of the Internet may name trackers whose names lead into our network, today or tomorrow.
    #[tokio::test]
    async fn a_list_of_the_internet_leads_to_nothing_local() {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let socket = UdpSocket::bind(listener.local_addr().unwrap()).await.unwrap();
        let port = listener.local_addr().unwrap().port();
        let (trackers, relay) = (Trackers::new(Vec::new()), relay());
        for url in ["udp://localhost", "http://localhost", "udp://127.1", "http://127.1", "http://0.0.0.0"] {
            let url = format!("{url}:{port}/announce");
            let listed = parse_list(url.replace("localhost", "LocalHost").as_bytes(), false);
            assert_eq!(listed.len(), 1, "{url}");
            assert_eq!(ask(&trackers, &listed[0], &relay).await, None, "{url}");
        }
        let (connected, ()) = tokio::join!(timeout(Duration::ZERO, listener.accept()), std::future::ready(()));
        assert!(connected.is_err() && socket.try_recv(&mut [0; 64]).is_err(), "nobody was asked");
    }

    #[tokio::test]
    async fn a_server_that_is_no_tracker_is_told_apart_from_a_tracker_that_refuses() {
        for page in [&b"<html>for sale</html>"[..], b""] {
            let (said, ..) = asked("", &[answer("", page)]).await;
            assert_eq!(said.unwrap_err().to_string(), "its answer is not that of a tracker");
        }
        let (said, ..) = asked("", &[answer("", b"d14:failure reason7:go awaye")]).await;
        assert_eq!(said.unwrap(), Said::Refused("go away".to_owned()));
    }

    /// Otherwise servers that answer everything with a page would be the best of a list.
    #[test]
    fn only_trackers_that_tell_peers_rise_in_a_list() {
        let trackers = Trackers::new(Vec::new());
        let list = (0..20).map(|number| format!("udp://t{number}.example:1/\n")).collect::<String>();
        trackers.ranking.lock().unwrap().replace(0, parse_list(list.as_bytes(), false));
        let is_good = |url: &Upstream| url.host() == "t7.example" || url.host() == "t13.example";
        for round in 0..200 {
            for Listed { url, .. } in trackers.chosen() {
                let told = Told { peers: vec![relay().client], ..Told::default() };
                let answer = match url.host() {
                    _ if is_good(&url) && round % 3 > 0 => Ok(Said::Told(told)),
                    "t1.example" | "t2.example" => Ok(Said::Refused("go away".to_owned())),
                    _ => Err(no_tracker()),
                };
                trackers.note(&url, &answer);
            }
        }
        assert!(trackers.chosen()[..2].iter().all(|listed| is_good(&listed.url)), "{:?}", trackers.chosen());
    }

    #[tokio::test]
    async fn the_trackers_of_a_list_are_asked_beside_those_that_are_named() {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let addr = listener.local_addr().unwrap();
        let sources = [format!("http://{addr}/best.txt"), format!("http://{addr}/named/announce")];
        let sources = sources.map(|source| source.parse().unwrap()).to_vec();
        let trackers = Arc::new(Trackers::new(sources));
        assert_eq!(trackers.chosen().len(), 1);
        let list = format!("http://{addr}/listed/announce\n\nhttp://{addr}/named/announce\nrubbish\n");
        let fetched = async {
            while trackers.chosen().len() < 2 {
                tokio::task::yield_now().await;
            }
        };
        let mut following = JoinSet::new();
        following.spawn(Arc::clone(&trackers).follow_lists());
        let answers = [answer("", list.as_bytes())];
        let (heads, ()) = tokio::join!(serve(&listener, &answers), fetched);
        assert!(heads[0].starts_with("get /best.txt http"), "{heads:?}");
        let (answers, mut peers) = ([answer("", BODY), answer("", BODY)], Vec::new());
        let relay = relay();
        let asking = announce(&trackers, &relay, |found| peers.extend(found.to_vec()));
        let (interval, heads) = tokio::join!(asking, serve(&listener, &answers));
        drop(following);
        assert_eq!((interval, peers.len()), (Some(Duration::from_secs(9)), 2));
        let mut paths: Vec<&str> = heads.iter().filter_map(|head| head.split(['?', ' ']).nth(1)).collect();
        paths.sort_unstable();
        assert_eq!(paths, ["/listed/announce", "/named/announce"]);
    }

    #[test]
    fn a_stranger_does_not_say_who_is_in_our_network() {
        let addr = |text: &str| text.parse::<SocketAddr>().unwrap();
        let all = vec![addr("127.0.0.1:22"), addr("192.168.1.1:80"), addr("203.0.113.9:6881")];
        let told = Told { peers: all, interval: Duration::ZERO };
        let by_a_stranger = admissible(addr("198.51.100.1:80"), Said::Told(told.clone()));
        assert_eq!(peers(Ok(by_a_stranger)), [addr("203.0.113.9:6881")]);
        assert_eq!(admissible(addr("192.168.1.1:80"), Said::Told(told.clone())), Said::Told(told));
    }
}
