//! Clients that are too old, as a small server answers for them: each is told by one line, with the version that is needed.

use reqwest::Url;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpListener;

use super::address::{Kind, Password};
use super::deluge::Deluge;
use super::qbittorrent::Qbittorrent;
use super::secret::Secret;
use super::transmission::Transmission;

/// Status and body of the answer to a request.
type Answers = fn(&str) -> (u16, &'static str);

/// Runs `ask` with the URL of a server that answers so.
async fn beside<T>(answers: Answers, ask: impl AsyncFnOnce(Url) -> T) -> T {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = Url::parse(&format!("http://{}/", listener.local_addr().unwrap())).unwrap();
    tokio::select! {
        told = ask(url) => told,
        () = serve(listener, answers) => unreachable!("it serves for ever"),
    }
}

async fn serve(listener: TcpListener, answers: Answers) {
    loop {
        let (mut stream, _) = listener.accept().await.unwrap();
        let mut request = Vec::new();
        while !is_whole(&request) {
            assert!(stream.read_buf(&mut request).await.unwrap() > 0, "the request is cut short");
        }
        let (status, body) = answers(&String::from_utf8(request).unwrap());
        let head = format!("HTTP/1.1 {status} Status\r\nContent-Length: {}\r\nConnection: close\r\n\r\n", body.len());
        stream.write_all(format!("{head}{body}").as_bytes()).await.unwrap();
    }
}

fn is_whole(request: &[u8]) -> bool {
    let text = String::from_utf8_lossy(request).to_ascii_lowercase();
    let Some((head, body)) = text.split_once("\r\n\r\n") else { return false };
    let length = head.lines().find_map(|line| line.strip_prefix("content-length: ")?.parse().ok());
    body.len() >= length.unwrap_or(0)
}

#[tokio::test]
async fn a_client_that_is_too_old_is_told_of_with_the_version_that_is_needed() {
    let secret = Secret::new("secret");
    let login = (Some("admin"), Some(&secret));
    // The Web API of version 1 has no such path.
    let of_qbittorrent = beside(|_| (404, ""), async |url| Qbittorrent::new(&url)?.ask(login.0, login.1).await);
    // RPC version 13: 8 is a seed there.
    let transmission = |request: &str| match request.contains("session-get") {
        true => (200, r#"{"result": "success", "arguments": {"peer-port": 51413, "rpc-version": 13}}"#),
        false => (
            200,
            r#"{"result": "success", "arguments": {"torrents": [{"hashString": "", "isPrivate": false, "status": 8}]}}"#,
        ),
    };
    let of_transmission = beside(transmission, async |url| Transmission::new(&url)?.ask(login.0, login.1).await);
    // Deluge 1.3 has a daemon that knows no such method.
    let deluge = |request: &str| match request {
        _ if request.contains("web.connected") => (200, r#"{"id": 1, "error": null, "result": true}"#),
        _ if request.contains("get_torrents_status") => (200, r#"{"id": 1, "error": null, "result": {}}"#),
        _ if request.contains("get_listen_port") => (200, r#"{"id": 1, "error": null, "result": 6881}"#),
        _ => (200, r#"{"id": 1, "error": {"message": "Unknown method", "code": 2}, "result": null}"#),
    };
    let of_deluge = beside(deluge, async |url| Deluge::new(&url)?.ask(login.1).await);
    for (kind, asked, needed) in [
        (Kind::Qbittorrent, of_qbittorrent.await, "qBittorrent 4.1 or newer is needed"),
        (Kind::Transmission, of_transmission.await, "Transmission 2.80 or newer is needed"),
        (Kind::Deluge, of_deluge.await, "Deluge 2.0 or newer is needed"),
    ] {
        let trouble = asked.unwrap_err();
        let told = format!("{trouble}; {}", trouble.cure(kind, &Password::None));
        assert!(told.starts_with("its interface lacks ") && told.contains(needed), "{told}");
    }
}
