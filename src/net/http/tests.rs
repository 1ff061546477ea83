//! Real connections on the loopback.

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpSocket, TcpStream};
use tokio::sync::mpsc;

use super::*;

/// Longer than a loaded machine needs; only waited for when a test fails.
const LONG: Duration = Duration::from_secs(60);
const GENEROUS: Limits = Limits {
    connections: 5000,
    head_bytes: 16 << 10,
    body_bytes: 0,
    head_time: LONG,
    body_time: LONG,
    write_time: LONG,
    half_close: true,
};
const SHORT: Duration = Duration::from_millis(50);

struct Fixture {
    addr: SocketAddr,
    /// Hears of each caller that hung up while it was answered on `/held`.
    hung_up: mpsc::UnboundedReceiver<SocketAddr>,
    _running: JoinSet<()>,
}

async fn server(limits: Limits) -> Fixture {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let addr = listener.local_addr().unwrap();
    let (sender, hung_up) = mpsc::unbounded_channel();
    let handle = move |caller: Caller, request: Request<Bytes>| {
        let sender = sender.clone();
        async move {
            if request.uri().path() == "/held" {
                caller.hung_up().await;
                sender.send(caller.addr).unwrap();
            }
            let length = if request.uri().path() == "/long" { 1 << 20 } else { 2 };
            Response::new(Full::new(Bytes::from(vec![b'x'; length])))
        }
    };
    let mut running = JoinSet::new();
    running.spawn(async move { serve(&listener, limits, |_| false, handle).await });
    Fixture { addr, hung_up, _running: running }
}

impl Fixture {
    async fn connect_from(&self, ip: [u8; 4]) -> TcpStream {
        let socket = TcpSocket::new_v4().unwrap();
        socket.bind(SocketAddr::from((ip, 0))).unwrap();
        socket.connect(self.addr).await.unwrap()
    }

    async fn send(&self, request: &str) -> TcpStream {
        let mut stream = self.connect_from([127, 0, 0, 1]).await;
        stream.write_all(request.as_bytes()).await.unwrap();
        stream
    }
}

/// All that comes until the connection ends, be it by a reset.
async fn until_end(stream: &mut TcpStream) -> String {
    let mut bytes = Vec::new();
    let mut chunk = [0; 4096];
    while let Ok(length @ 1..) = timeout(LONG, stream.read(&mut chunk)).await.expect("the connection does not end") {
        bytes.extend_from_slice(&chunk[..length]);
    }
    String::from_utf8(bytes).unwrap()
}

#[tokio::test]
async fn idle_connections_of_one_address_do_not_keep_others_out() {
    let server = server(Limits { connections: 200, ..GENEROUS }).await;
    let mut idle = Vec::new();
    for _ in 0..500 {
        idle.push(server.connect_from([127, 0, 0, 1]).await);
    }
    let mut other = server.connect_from([127, 0, 1, 2]).await;
    other.write_all(b"GET / HTTP/1.0\r\n\r\n").await.unwrap();
    assert!(until_end(&mut other).await.ends_with("xx"));
    // Those of the one address that are too many end.
    let mut ended = JoinSet::new();
    for mut stream in idle {
        ended.spawn(async move { until_end(&mut stream).await });
    }
    for _ in 0..500 - places::PER_SITE {
        ended.join_next().await.unwrap().unwrap();
    }
}

#[tokio::test]
async fn many_busy_connections_of_one_client_are_all_answered() {
    let mut server = server(GENEROUS).await;
    let mut held = Vec::new();
    for _ in 0..50 {
        held.push(server.send("GET /held HTTP/1.1\r\n\r\n").await);
    }
    for stream in &mut held {
        stream.shutdown().await.unwrap();
        assert!(until_end(stream).await.ends_with("xx"));
        timeout(LONG, server.hung_up.recv()).await.unwrap().unwrap();
    }
}

#[tokio::test]
async fn who_pipelines_and_never_reads_is_ended() {
    let server = server(Limits { write_time: SHORT, ..GENEROUS }).await;
    let mut stream = server.connect_from([127, 0, 0, 1]).await;
    let flood = async { while stream.write_all(b"GET /long HTTP/1.1\r\n\r\n").await.is_ok() {} };
    timeout(LONG, flood).await.expect("a client that reads nothing keeps its connection");
}

#[tokio::test]
async fn slow_heads_bodies_and_pauses_end() {
    let server = server(Limits { head_time: SHORT, body_time: SHORT, body_bytes: 9, ..GENEROUS }).await;
    for (request, answer) in [
        ("", ""),
        ("GET / HT", ""),
        ("GET / HTTP/1.1\r\n\r\n", "200"),
        ("POST / HTTP/1.1\r\nContent-Length: 9\r\n\r\nslow", "408"),
    ] {
        let mut stream = server.send(request).await;
        let all = until_end(&mut stream).await;
        assert!(all.is_empty() == answer.is_empty() && all.contains(answer), "{request:?}: {all:?}");
    }
}

#[tokio::test]
async fn long_heads_and_bodies_are_refused() {
    let server = server(Limits { body_bytes: 9, ..GENEROUS }).await;
    let long = format!("GET /{} HTTP/1.1\r\n\r\n", "x".repeat(20 << 10));
    for (request, status) in [
        ("POST / HTTP/1.0\r\nContent-Length: 9\r\n\r\n123456789", "200"),
        ("POST / HTTP/1.1\r\nContent-Length: 10\r\n\r\n1234567890", "413"),
        ("POST / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\na\r\n1234567890\r\n0\r\n\r\n", "413"),
        (&long, "4"),
    ] {
        let mut stream = server.send(request).await;
        let all = until_end(&mut stream).await;
        assert!(all.get(9..).is_some_and(|rest| rest.starts_with(status)), "{request:?}: {all:?}");
    }
}

#[tokio::test]
async fn who_closes_at_once_is_heard() {
    let mut server = server(GENEROUS).await;
    for _ in 0..50 {
        let stream = server.send("GET /held HTTP/1.1\r\nHost: x\r\n\r\n").await;
        let addr = stream.local_addr().unwrap();
        drop(stream);
        assert_eq!(timeout(LONG, server.hung_up.recv()).await.unwrap(), Some(addr));
    }
}

#[tokio::test]
async fn a_client_that_sends_more_has_not_hung_up() {
    let mut server = server(GENEROUS).await;
    let mut stream = server.send("GET /held HTTP/1.1\r\n\r\n").await;
    stream.write_all(b"GET / HTTP/1.1\r\n\r\n").await.unwrap();
    let other = server.send("GET /held HTTP/1.1\r\n\r\n").await;
    let addr = other.local_addr().unwrap();
    drop(other);
    assert_eq!(timeout(LONG, server.hung_up.recv()).await.unwrap(), Some(addr));
    assert!(server.hung_up.try_recv().is_err());
}

#[cfg(unix)]
#[tokio::test]
async fn a_unix_socket_is_served_alike_and_a_stream_ends_with_its_reader() {
    let folder = tempfile::tempdir().unwrap();
    let listener = UnixListener::bind(folder.path().join("s")).unwrap();
    let (gone, mut ended) = mpsc::unbounded_channel::<()>();
    let handle = move |request: Request<Bytes>| {
        gone.send(()).unwrap();
        let gone = Gone(gone.clone());
        async move {
            let _gone = gone;
            if request.uri().path() == "/held" {
                std::future::pending::<()>().await;
            }
            Response::new(Full::new(Bytes::from("xx")))
        }
    };
    let mut running = JoinSet::new();
    running.spawn(async move { serve_unix(&listener, Limits { half_close: false, ..GENEROUS }, handle).await });
    let connect = async || tokio::net::UnixStream::connect(folder.path().join("s")).await.unwrap();
    let mut stream = connect().await;
    stream.write_all(b"GET / HTTP/1.0\r\n\r\n").await.unwrap();
    let mut text = String::new();
    stream.read_to_string(&mut text).await.unwrap();
    assert!(text.ends_with("xx") && ended.recv().await.is_some() && ended.recv().await.is_some(), "{text}");
    let mut held = connect().await;
    held.write_all(b"GET /held HTTP/1.1\r\n\r\n").await.unwrap();
    assert!(ended.recv().await.is_some(), "the answer is begun");
    drop(held);
    timeout(LONG, ended.recv()).await.expect("what was held is dropped").expect("it is told");
}

/// Tells when it is dropped.
#[cfg(unix)]
struct Gone(mpsc::UnboundedSender<()>);

#[cfg(unix)]
impl Drop for Gone {
    fn drop(&mut self) {
        let _ = self.0.send(());
    }
}
