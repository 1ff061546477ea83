//! The gateway over real sockets on the loopback, with a DHT that does what the test says.

use std::sync::atomic::{AtomicUsize, Ordering};

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpStream, UdpSocket};
use tokio::task::JoinSet;
use tokio::time::timeout;

use super::*;

/// Long enough for a loaded machine, and only waited for when the test fails.
const LONG: Duration = Duration::from_secs(60);

/// Infohash, port, whether it is a seed, and where.
type Announced = (InfoHash, u16, bool, Vec<Family>);

/// A DHT that holds its answers until the test lets it go.
#[derive(Clone, Debug)]
struct Script {
    peers: Arc<Vec<SocketAddr>>,
    go: Arc<tokio::sync::Semaphore>,
    lookups: Arc<AtomicUsize>,
    announced: mpsc::UnboundedSender<Announced>,
    again: watch::Sender<u64>,
    /// Whether every torrent is known to be private.
    private: bool,
}

impl Directory for Script {
    async fn find_peers(&self, _: InfoHash, mut found: impl FnMut(&[SocketAddr]) + Send) {
        self.lookups.fetch_add(1, Ordering::SeqCst);
        self.go.acquire().await.unwrap().forget();
        found(&self.peers);
    }

    async fn announce(&self, info_hash: InfoHash, port: u16, seed: bool, families: &[Family]) -> usize {
        self.announced.send((info_hash, port, seed, families.to_vec())).unwrap();
        8
    }

    fn address(&self, family: Family) -> Option<IpAddr> {
        Some(if family == Family::V4 { [0; 4].into() } else { [0; 16].into() })
    }

    async fn count(&self, _: InfoHash) -> Option<SwarmFilters> {
        let mut filters = SwarmFilters::default();
        filters.insert("203.0.113.77".parse().unwrap(), true);
        filters.insert("203.0.113.78".parse().unwrap(), true);
        Some(filters)
    }

    async fn is_private(&self, _: InfoHash) -> bool {
        self.private
    }

    async fn counted(&self, ids: Vec<InfoHash>) -> Vec<Option<DatedCounts>> {
        let counts = Counts { complete: 40, incomplete: 2, downloaded: 0 };
        ids.iter().map(|id| id.as_bytes().starts_with(b"index").then_some((counts, 1_700_000_000))).collect()
    }

    async fn joined(&self) {}

    fn announce_again(&self) -> watch::Receiver<u64> {
        self.again.subscribe()
    }

    async fn standing(&self) -> (usize, Vec<IpAddr>) {
        (9, vec!["198.51.100.1".parse().unwrap()])
    }
}

/// A gateway that runs until the test ends.
struct Fixture {
    addr: SocketAddr,
    monitor: Monitor,
    script: Script,
    announced: mpsc::UnboundedReceiver<Announced>,
    _running: JoinSet<()>,
}

async fn gateway(policy: Policy, lets_go: usize) -> Fixture {
    gateway_with("127.0.0.1:0", Settings { policy, ..Settings::default() }, lets_go).await
}

/// A gateway that is bound and not run.
pub(super) async fn unserved(settings: Settings) -> Gateway<impl Directory> {
    Gateway::bind("127.0.0.1:0".parse().unwrap(), settings, script(0).0, [5; 32]).await.unwrap()
}

fn script(lets_go: usize) -> (Script, mpsc::UnboundedReceiver<Announced>) {
    let (sender, announced) = mpsc::unbounded_channel();
    let peers: Vec<_> = (1..=40).map(|i| SocketAddr::from(([198, 18, 0, i], 6881))).collect();
    let go = Arc::new(tokio::sync::Semaphore::new(lets_go));
    (
        Script {
            peers: Arc::new(peers),
            go,
            lookups: Arc::default(),
            announced: sender,
            again: watch::Sender::new(0),
            private: false,
        },
        announced,
    )
}

async fn gateway_with(addr: &str, settings: Settings, lets_go: usize) -> Fixture {
    run(addr, settings, script(lets_go)).await
}

async fn run(
    addr: &str,
    settings: Settings,
    (script, announced): (Script, mpsc::UnboundedReceiver<Announced>),
) -> Fixture {
    let gateway = Gateway::bind(addr.parse().unwrap(), settings, script.clone(), [5; 32]).await.unwrap();
    let (addr, monitor) = (gateway.local_addr(), gateway.monitor());
    let mut running = JoinSet::new();
    running.spawn(gateway.run());
    Fixture { addr, monitor, script, announced, _running: running }
}

impl Fixture {
    async fn connect(&self) -> TcpStream {
        TcpStream::connect(self.addr).await.unwrap()
    }

    /// One request over a connection of its own, closed by the gateway (HTTP/1.0); the whole response.
    async fn get(&self, path: &str) -> String {
        self.request(&format!("GET {path} HTTP/1.0\r\n\r\n")).await
    }

    async fn request(&self, request: &str) -> String {
        let mut stream = self.connect().await;
        stream.write_all(request.as_bytes()).await.unwrap();
        let mut response = Vec::new();
        timeout(LONG, stream.read_to_end(&mut response)).await.unwrap().unwrap();
        String::from_utf8_lossy(&response).into_owned()
    }

    async fn udp(&self) -> UdpSocket {
        let socket = UdpSocket::bind("127.0.0.1:0").await.unwrap();
        socket.connect(self.addr).await.unwrap();
        socket
    }

    /// Until so many answers are held.
    async fn until_held(&self, count: usize) {
        let held = async {
            while self.monitor.load().held != count {
                tokio::task::yield_now().await;
            }
        };
        timeout(LONG, held).await.expect("the number of held answers did not become what it must");
    }
}

fn path(hash: char, rest: &str) -> String {
    format!("/announce?info_hash={}&peer_id=-XX0000-abcdefghijkl&compact=1&{rest}", hash.to_string().repeat(20))
}

/// A UDP announce of a client on port 7777; a seed has downloaded something.
fn datagram(connection: u64, hash: u8, left: u64) -> Vec<u8> {
    let mut bytes = [&connection.to_be_bytes()[..], &1u32.to_be_bytes(), &99u32.to_be_bytes()].concat();
    bytes.extend([hash; 20]);
    bytes.extend(*b"-XX0000-abcdefghijkl");
    bytes.extend([u64::from(left == 0), left, 0].map(u64::to_be_bytes).concat());
    bytes.extend([2u32, 0, 0].map(u32::to_be_bytes).concat());
    bytes.extend((-1i32).to_be_bytes());
    bytes.extend(7777u16.to_be_bytes());
    bytes
}

async fn receive(socket: &UdpSocket) -> Vec<u8> {
    let mut buffer = [0; 2048];
    let length = timeout(LONG, socket.recv(&mut buffer)).await.expect("no answer").unwrap();
    buffer[..length].to_vec()
}

#[tokio::test]
async fn a_held_answer_comes_when_the_dht_finds_somebody() {
    let gateway = gateway(Policy::Always, 0).await;
    let path = path('a', "port=6881&left=5");
    let http = gateway.get(&path);
    let socket = gateway.udp().await;
    let udp = async {
        socket.send(&datagram(0, b'a', 5)).await.unwrap();
        receive(&socket).await
    };
    let let_go = async {
        gateway.until_held(2).await;
        gateway.script.go.add_permits(1);
    };
    let (http, udp, ()) = tokio::join!(http, udp, let_go);
    assert!(http.starts_with("HTTP/1.0 200"), "{http}");
    assert!(http.contains("10:incompletei41e") && http.contains("5:peers246:"), "{http}");
    assert!(http.contains("11:external ip4:"), "{http}");
    // The answer holds the other client first: it is on this host.
    assert_eq!((&udp[..8], &udp[20..26]), (&[0, 0, 0, 1, 0, 0, 0, 99][..], &[127, 0, 0, 1, 0x1a, 0xe1][..]));
    assert_eq!(gateway.script.lookups.load(Ordering::SeqCst), 1);
}

#[tokio::test]
async fn local_clients_are_announced_to_the_dht() {
    let mut gateway = gateway(Policy::Always, 9).await;
    gateway.get(&path('a', "port=6881&left=0")).await;
    let announced = timeout(LONG, gateway.announced.recv()).await.unwrap();
    assert_eq!(announced, Some((InfoHash::new([b'a'; 20]), 6881, true, vec![Family::V4])));
}

#[tokio::test]
async fn what_others_saw_to_be_private_is_refused_and_not_looked_up() {
    for (policy, private) in [(Policy::Never, true), (Policy::VerifiedPublic, true), (Policy::Always, false)] {
        let (mut script, announced) = script(9);
        script.private = true;
        let gateway = run("127.0.0.1:0", Settings { policy, ..Settings::default() }, (script, announced)).await;
        let answer = gateway.get(&path('a', "port=6881&left=5")).await;
        assert_eq!(answer.contains("14:failure reason") && answer.contains("private"), private, "{policy:?}: {answer}");
        assert_eq!(gateway.script.lookups.load(Ordering::SeqCst), usize::from(!private), "{policy:?}");
    }
}

#[tokio::test]
async fn a_client_is_announced_in_the_other_family_if_it_is_there() {
    let mut gateway = gateway(Policy::Always, 9).await;
    let listener = TcpListener::bind("[::1]:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    let (path, client) = (path('a', &format!("port={port}&left=0")), withholding_client(listener));
    tokio::join!(gateway.get(&path), client);
    let announced = timeout(LONG, gateway.announced.recv()).await.unwrap();
    assert_eq!(announced, Some((InfoHash::new([b'a'; 20]), port, true, vec![Family::V4, Family::V6])));
}

#[tokio::test]
async fn another_program_in_the_other_family_is_not_announced() {
    let mut gateway = gateway(Policy::Always, 9).await;
    let listener = TcpListener::bind("[::1]:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    let path = path('a', &format!("port={port}&left=0"));
    let stranger = async {
        let (mut stream, _) = listener.accept().await.unwrap();
        stream.write_all(b"220 some other service\r\n").await.unwrap();
    };
    tokio::join!(gateway.get(&path), stranger);
    let announced = timeout(LONG, gateway.announced.recv()).await.unwrap();
    assert_eq!(announced, Some((InfoHash::new([b'a'; 20]), port, true, vec![Family::V4])));
}

#[tokio::test]
async fn an_answer_leaves_from_the_address_that_was_asked() {
    for (bound, asked) in [("0.0.0.0:0", "127.0.0.2"), ("[::]:0", "127.0.0.3"), ("[::]:0", "::1")] {
        let gateway = gateway_with(bound, Settings::default(), 9).await;
        let asked: IpAddr = asked.parse().unwrap();
        let any = if asked.is_ipv4() { "0.0.0.0:0" } else { "[::]:0" };
        let socket = UdpSocket::bind(any).await.unwrap();
        // A connected socket takes nothing from any other address.
        socket.connect((asked, gateway.addr.port())).await.unwrap();
        socket.send(&hex::decode("00000417271019800000000000000063").unwrap()).await.unwrap();
        assert_eq!(receive(&socket).await.len(), 16, "{bound} asked as {asked}");
    }
}

#[tokio::test]
async fn one_gateway_is_the_upstream_of_another() {
    for scheme in ["http", "udp"] {
        let above = gateway(Policy::Always, 9).await;
        above.get(&path('a', "port=1111&left=0")).await;
        let urls = [format!("{scheme}://{}/announce", above.addr), "http://127.0.0.1:1/announce".to_owned()];
        let upstream = urls.map(|url| url.parse().unwrap()).to_vec();
        let settings = Settings { policy: Policy::Always, upstream, ..Settings::default() };
        let below = gateway_with("127.0.0.1:0", settings, 0).await;
        // The lookup below is never let go: what comes, comes from above.
        let answer = below.get(&path('a', "port=2222&left=5")).await;
        assert!(answer.contains("5:peers246:\u{7f}\0\0\u{1}\u{4}W"), "{scheme}: {answer:?}");
        let again = above.get(&path('a', "port=3333&left=5")).await;
        assert!(again.contains("\u{7f}\0\0\u{1}\u{8}\u{fffd}"), "{scheme}: the client below is known above: {again:?}");
    }
}

#[tokio::test]
async fn one_connection_serves_many_requests() {
    let gateway = gateway(Policy::Always, 9).await;
    let mut stream = gateway.connect().await;
    for port in [6881, 6882] {
        let request = format!("GET {} HTTP/1.1\r\nHost: localhost\r\n\r\n", path('a', &format!("port={port}&left=0")));
        stream.write_all(request.as_bytes()).await.unwrap();
        let mut response = Vec::new();
        while !response.ends_with(b"e") {
            assert_ne!(timeout(LONG, stream.read_buf(&mut response)).await.unwrap().unwrap(), 0, "closed");
        }
        assert!(response.starts_with(b"HTTP/1.1 200"));
    }
}

#[tokio::test]
async fn errors_are_told_in_the_body() {
    let gateway = gateway(Policy::Always, 9).await;
    for path in ["/announce", "/announce?info_hash=short", "/scrape", "/x/announce-token?port=1"] {
        let response = gateway.get(path).await;
        assert!(response.starts_with("HTTP/1.0 200"), "{path}: {response}");
        assert!(response.contains("d14:failure reason") && response.contains("8:intervali"), "{path}: {response}");
    }
    assert!(gateway.get("/").await.contains(&format!("udp://{}/announce", gateway.addr)));
}

#[tokio::test]
async fn udp_clients_connect_announce_and_scrape() {
    let gateway = gateway(Policy::Always, 9).await;
    let socket = gateway.udp().await;
    socket.send(b"noise").await.unwrap();
    socket.send(&hex::decode("00000417271019800000000000000063").unwrap()).await.unwrap();
    let connected = receive(&socket).await;
    assert_eq!((connected.len(), &connected[..8]), (16, &[0, 0, 0, 0, 0, 0, 0, 99][..]));
    let id = u64::from_be_bytes(connected[8..].try_into().unwrap());
    socket.send(&datagram(id, b'b', 0)).await.unwrap();
    let announced = receive(&socket).await;
    assert_eq!((&announced[..8], announced.len()), (&[0, 0, 0, 1, 0, 0, 0, 99][..], 20));
    let scrape = [&id.to_be_bytes()[..], &[0, 0, 0, 2, 0, 0, 0, 7], &[b'b'; 20]].concat();
    socket.send(&scrape).await.unwrap();
    let scraped = receive(&socket).await;
    // Two seeds that the DHT counts, and one that has announced here.
    assert_eq!((&scraped[..8], &scraped[8..12]), (&[0, 0, 0, 2, 0, 0, 0, 7][..], &[0, 0, 0, 3][..]));
    let over_http = gateway.get("/scrape?info_hash=bbbbbbbbbbbbbbbbbbbb").await;
    assert!(over_http.contains("d5:filesd20:bbbbbbbbbbbbbbbbbbbbd8:completei3e"), "{over_http}");
}

#[tokio::test]
async fn a_scrape_of_many_is_answered_at_once_with_what_was_counted_elsewhere_and_its_time() {
    let denied = [InfoHash::new(*b"index-denied-denied-")].into();
    let gateway = gateway_with("127.0.0.1:0", Settings { denied, ..Settings::default() }, 9).await;
    let ids = ["index-aaaaaaaaaaaaaa", "index-bbbbbbbbbbbbbb", "index-denied-denied-"];
    let told = gateway.get(&format!("/scrape?info_hash={}", ids.join("&info_hash="))).await;
    for id in &ids[..2] {
        let file = format!("20:{id}d8:completei40e7:countedi1700000000e10:downloadedi0e10:incompletei2ee");
        assert!(told.contains(&file), "{told}");
    }
    assert!(!told.contains("denied"), "{told}");
}

#[tokio::test]
async fn by_udp_too_a_scrape_is_told_what_was_counted_elsewhere_in_the_order_asked() {
    let gateway = gateway_with("127.0.0.1:0", Settings::default(), 9).await;
    let socket = gateway.udp().await;
    // Nobody forges a loopback address: any connection id will do.
    socket.send(&datagram(7, b'b', 0)).await.unwrap();
    receive(&socket).await;
    let scrape = async |ids: [[u8; 20]; 3]| {
        socket.send(&[&7_u64.to_be_bytes()[..], &[0, 0, 0, 2, 0, 0, 0, 7], &ids.concat()].concat()).await.unwrap();
        let scraped = receive(&socket).await;
        let numbers = scraped.chunks_exact(4).map(|bytes| u32::from_be_bytes(bytes.try_into().unwrap()));
        numbers.collect::<Vec<u32>>()
    };
    let (first, second) = (*b"index-aaaaaaaaaaaaaa", *b"index-bbbbbbbbbbbbbb");
    // Seeds, downloads and peers of each: of the index; of the gateway, where one seed announced and the DHT named forty; of the index.
    assert_eq!(scrape([first, [b'b'; 20], second]).await, [2, 7, 40, 0, 2, 1, 0, 40, 40, 0, 2]);
    assert_eq!(scrape([first, [b'c'; 20], second]).await, [2, 7, 40, 0, 2], "it ends before what nobody knows");
}

#[tokio::test]
async fn who_hangs_up_frees_its_place() {
    let gateway = gateway(Policy::Always, 0).await;
    let mut stream = gateway.connect().await;
    stream
        .write_all(format!("GET {} HTTP/1.1\r\nHost: localhost\r\n\r\n", path('a', "port=1&left=5")).as_bytes())
        .await
        .unwrap();
    gateway.until_held(1).await;
    drop(stream);
    gateway.until_held(0).await;
}

/// A client that has the torrent and does not give its metadata away.
async fn withholding_client(listener: TcpListener) {
    let (mut stream, _) = listener.accept().await.unwrap();
    let mut handshake = [0; 68];
    stream.read_exact(&mut handshake).await.unwrap();
    handshake[48..].copy_from_slice(b"-XX0000-abcdefghijkl");
    let hello = b"d1:mdee";
    stream.write_all(&handshake).await.unwrap();
    stream.write_all(&[&[0, 0, 0, 2 + hello.len() as u8, 20, 0], &hello[..]].concat()).await.unwrap();
    let _ = stream.read_to_end(&mut Vec::new()).await;
}

#[tokio::test]
async fn a_client_that_withholds_its_metadata_is_refused() {
    let mut gateway = gateway(Policy::VerifiedPublic, 9).await;
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    let (path, client) = (path('a', &format!("port={port}&left=5")), withholding_client(listener));
    let (response, ()) = tokio::join!(gateway.get(&path), client);
    assert!(response.contains("failure reason") && response.contains("private"), "{response}");
    assert_eq!(gateway.script.lookups.load(Ordering::SeqCst), 0);
    assert!(gateway.announced.try_recv().is_err());
}

#[tokio::test]
async fn a_taken_port_is_an_error() {
    let gateway = gateway(Policy::Always, 0).await;
    let again = Gateway::bind(gateway.addr, Settings::default(), gateway.script.clone(), [5; 32]).await;
    assert_eq!(again.unwrap_err().kind(), io::ErrorKind::AddrInUse);
}

#[tokio::test]
async fn who_closes_its_half_is_told_what_is_known() {
    let gateway = gateway(Policy::Always, 0).await;
    gateway.get(&path('a', "port=1111&left=0&event=stopped")).await;
    let mut stream = gateway.connect().await;
    let request = format!("GET {} HTTP/1.1\r\n\r\n", path('a', "port=2222&left=5"));
    stream.write_all(request.as_bytes()).await.unwrap();
    stream.shutdown().await.unwrap();
    let mut response = Vec::new();
    timeout(LONG, stream.read_to_end(&mut response)).await.expect("no answer").unwrap();
    let response = String::from_utf8_lossy(&response);
    assert!(response.contains("8:intervali"), "{response}");
}

#[tokio::test]
async fn a_web_page_reaches_nothing() {
    let mut gateway = gateway(Policy::Always, 9).await;
    for header in [
        "Origin: null",
        "Referer: http://evil.example/",
        "Sec-Fetch-Mode: no-cors",
        "Host: evil.example",
        "User-Agent: Mozilla/5.0 (X11)",
    ] {
        for path in
            [&*path('a', "port=6881&left=0"), "/scrape?info_hash=aaaaaaaaaaaaaaaaaaaa", "/", "/trackers.txt", "/x"]
        {
            let response = gateway.request(&format!("GET {path} HTTP/1.0\r\n{header}\r\n\r\n")).await;
            assert!(response.starts_with("HTTP/1.0 403"), "{header}, {path}: {response}");
            let bencoded = response.contains("d14:failure reason");
            assert_eq!(bencoded, path.contains("info_hash"), "{header}, {path}: {response}");
        }
    }
    let refused = gateway.request(&format!("POST {} HTTP/1.0\r\n\r\n", path('a', "port=6881&left=0"))).await;
    assert!(refused.starts_with("HTTP/1.0 405") && refused.contains("allow: GET\r\n"), "{refused}");
    assert_eq!((gateway.monitor.load().torrents, gateway.script.lookups.load(Ordering::SeqCst)), (0, 0));
    assert!(gateway.announced.try_recv().is_err());
    for host in ["127.0.0.1", "localhost:1", "retracker.local", &gateway.addr.to_string()] {
        let response = gateway.request(&format!("GET / HTTP/1.0\r\nHost: {host}\r\n\r\n")).await;
        assert!(response.starts_with("HTTP/1.0 200"), "{host}: {response}");
    }
}

#[tokio::test]
async fn a_name_that_is_configured_is_ours() {
    let names = ["Tracker.Example.", "203.0.113.7"].map(|name| name.parse().unwrap()).to_vec();
    let gateway = gateway_with("127.0.0.1:0", Settings { names, ..Settings::default() }, 9).await;
    // The second test address of the DHT is one that other nodes see us at.
    for (host, status) in
        [("tracker.example:80", 200), ("TRACKER.example", 200), ("203.0.113.7", 200), ("x.tracker.example", 403)]
    {
        let response = gateway.request(&format!("GET / HTTP/1.0\r\nHost: {host}\r\n\r\n")).await;
        assert!(response.starts_with(&format!("HTTP/1.0 {status}")), "{host}: {response}");
    }
    for wrong in ["", "tracker.example:80", "http://tracker.example", "a b"] {
        assert_eq!(wrong.parse::<HostName>(), Err(ParseHostNameError), "{wrong}");
    }
}

#[tokio::test]
async fn unknown_paths_are_not_found_and_announces_there_are_told_so() {
    let gateway = gateway(Policy::Always, 9).await;
    for path in ["/metrics", "/health", "/favicon.ico", "/x?y=1", "/trackers.txt/", "//"] {
        let response = gateway.get(path).await;
        assert!(response.starts_with("HTTP/1.0 404"), "{path}: {response}");
    }
    for path in ["/?info_hash=aaaaaaaaaaaaaaaaaaaa&port=1", "/x?port=1&info_hash=aaaaaaaaaaaaaaaaaaaa"] {
        let response = gateway.get(path).await;
        assert!(response.starts_with("HTTP/1.0 200") && response.contains("d14:failure reason"), "{path}: {response}");
    }
    let urls = gateway.get("/trackers.txt").await;
    let (addr, expected) = (gateway.addr, |addr| format!("\r\n\r\nudp://{addr}/announce\n\nhttp://{addr}/announce\n"));
    assert!(urls.ends_with(&expected(addr)), "{urls}");
}

#[tokio::test]
async fn a_client_that_a_proxy_does_not_name_is_not_told_of() {
    let settings =
        Settings { policy: Policy::Always, trusted_proxies: vec!["127.0.0.1".parse().unwrap()], ..Settings::default() };
    let mut gateway = gateway_with("127.0.0.1:0", settings, 9).await;
    for header in ["", "X-Forwarded-For: unknown\r\n", "X-Forwarded-For: 127.0.0.1:22\r\n"] {
        let path = path('a', "port=6881&left=0");
        let response = gateway.request(&format!("GET {path} HTTP/1.0\r\n{header}\r\n")).await;
        assert!(!response.contains("external ip"), "{header}: {response}");
    }
    let path = path('a', "port=6882&left=0");
    let response = gateway.request(&format!("GET {path} HTTP/1.0\r\nX-Forwarded-For: 203.0.113.9:5\r\n\r\n")).await;
    assert!(
        response.contains("5:peers240:") && !response.contains("\u{7f}\0\0\u{1}"),
        "peers of the DHT: {response:?}"
    );
    assert!(response.contains("8:completei1e"), "{response:?}");
    assert!(gateway.announced.try_recv().is_err());
}

#[tokio::test]
async fn the_loopback_of_both_families_is_served() {
    let gateway = gateway(Policy::Always, 9).await;
    let over_v6 = SocketAddr::from((Ipv6Addr::LOCALHOST, gateway.addr.port()));
    let socket = UdpSocket::bind("[::1]:0").await.unwrap();
    socket.connect(over_v6).await.unwrap();
    socket.send(&datagram(0, b'a', 5)).await.unwrap();
    assert_eq!(receive(&socket).await.get(..4), Some(&[0, 0, 0, 1][..]), "a held answer leaves by the same socket");
    for path in ["/", "/trackers.txt"] {
        let mut stream = TcpStream::connect(over_v6).await.unwrap();
        stream.write_all(format!("GET {path} HTTP/1.0\r\nHost: [::1]\r\n\r\n").as_bytes()).await.unwrap();
        let mut response = String::new();
        timeout(LONG, stream.read_to_string(&mut response)).await.unwrap().unwrap();
        assert!(response.starts_with("HTTP/1.0 200"), "{response}");
        assert!(response.contains(&format!("udp://{over_v6}/announce")), "the same family: {response}");
    }
}

#[tokio::test]
async fn what_is_done_and_refused_is_counted() {
    let denied = InfoHash::new([b'd'; 20]);
    let settings = Settings { policy: Policy::Always, denied: [denied].into(), ..Settings::default() };
    let gateway = gateway_with("127.0.0.1:0", settings, 9).await;
    gateway.get(&path('a', "port=1111&left=5&event=started")).await;
    gateway.get(&path('a', "port=1111&left=5&event=stopped")).await;
    assert!(gateway.get(&path('d', "port=1111&left=5")).await.contains("told not to serve"));
    gateway.get("/announce?info_hash=short").await;
    gateway.get("/scrape?info_hash=aaaaaaaaaaaaaaaaaaaa").await;
    gateway.request("GET / HTTP/1.0\r\nOrigin: http://evil.example\r\n\r\n").await;
    let socket = gateway.udp().await;
    socket.send(b"noise").await.unwrap();
    socket.send(&datagram(7, b'a', 5)).await.unwrap();
    receive(&socket).await;
    let stats = gateway.monitor.stats();
    assert_eq!((stats.announces_by_http, stats.announces_by_udp, stats.started, stats.stopped), (3, 1, 2, 1));
    assert_eq!((stats.scrapes_by_http, stats.refused, stats.pages_refused, stats.malformed), (1, 1, 1, 2));
    assert_eq!((stats.new_clients, stats.lookups, stats.connections_refused), (1, 1, 0));
}

#[test]
fn connections_take_no_more_than_the_memory_of_the_gateway() {
    for (memory, connections) in [(8 << 20, 256), (24 << 20, 768), (1 << 30, 5000)] {
        assert_eq!(super::http::most_connections(memory), connections);
    }
}

#[tokio::test]
async fn a_connection_id_is_as_good_after_a_restart() {
    let folder = tempfile::tempdir().unwrap();
    let bound = async |keep_in: Option<PathBuf>, seed| {
        let settings = Settings { keep_in, ..Settings::default() };
        Gateway::bind("127.0.0.1:0".parse().unwrap(), settings, script(0).0, [seed; 32]).await.unwrap()
    };
    let client: IpAddr = "203.0.113.7".parse().unwrap();
    let first = bound(Some(folder.path().to_owned()), 5).await;
    let id = first.shared.connection_ids.issue(first.shared.now(), client);
    first.monitor().save().await.unwrap();
    drop(first);
    let next = bound(Some(folder.path().to_owned()), 6).await;
    assert!(next.shared.connection_ids.accepts(next.shared.now(), client, id));
    let other = bound(None, 7).await;
    assert!(!other.shared.connection_ids.accepts(other.shared.now(), client, id), "another gateway has another key");
}
