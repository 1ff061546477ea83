//! SCGI (the Simple Common Gateway Interface): one request and one answer on one connection.
//!
//! The request is a netstring of headers, then the body; the answer has headers as in HTTP, then the body until the end.

use std::time::Duration;

use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::time::timeout;

use super::address::Way;
use super::http::MOST_BYTES;
use super::trouble::Trouble;

/// Longest time for an answer.
const PATIENCE: Duration = Duration::from_secs(60);

/// Sends `body` to the socket of `way`; the body of the answer.
///
/// # Errors
/// There is none.
pub async fn call(way: &Way, body: &[u8]) -> Result<Vec<u8>, Trouble> {
    match timeout(PATIENCE, exchange(way, body)).await {
        Ok(Ok(answer)) => answer_body(&answer).map(<[u8]>::to_vec),
        Ok(Err(error)) => Err(Trouble::Off(error.to_string())),
        Err(_) => Err(Trouble::Off("no answer in time".to_owned())),
    }
}

async fn exchange(way: &Way, body: &[u8]) -> std::io::Result<Vec<u8>> {
    match way {
        #[cfg(unix)]
        Way::Unix(path) => talk(tokio::net::UnixStream::connect(path).await?, body).await,
        #[cfg(not(unix))]
        Way::Unix(_) => Err(std::io::Error::other("there are no Unix sockets here")),
        Way::Scgi(host) => talk(TcpStream::connect(host).await?, body).await,
        Way::Http(_) => unreachable!("HTTP is not SCGI"),
    }
}

async fn talk(mut stream: impl AsyncRead + AsyncWrite + Unpin, body: &[u8]) -> std::io::Result<Vec<u8>> {
    stream.write_all(&request(body)).await?;
    let mut answer = Vec::new();
    stream.take(MOST_BYTES as u64).read_to_end(&mut answer).await?;
    Ok(answer)
}

/// A request with this body. `CONTENT_LENGTH` comes first.
fn request(body: &[u8]) -> Vec<u8> {
    let headers = format!("CONTENT_LENGTH\0{}\0SCGI\x001\0REQUEST_METHOD\0POST\0REQUEST_URI\0/RPC2\0", body.len());
    let mut request = format!("{}:{headers},", headers.len()).into_bytes();
    request.extend_from_slice(body);
    request
}

/// The body of an answer.
fn answer_body(answer: &[u8]) -> Result<&[u8], Trouble> {
    let end = answer.windows(4).position(|window| window == b"\r\n\r\n");
    let end = end.ok_or_else(|| Trouble::Strange("no headers came".to_owned()))?;
    let status = answer.split(|byte| *byte == b'\r').next().unwrap_or_default();
    let text = String::from_utf8_lossy(&status[..status.len().min(60)]);
    let is_good = text.strip_prefix("Status:").is_some_and(|status| status.trim_start().starts_with("200"));
    if is_good { Ok(&answer[end + 4..]) } else { Err(Trouble::Strange(text.into_owned())) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn requests_are_netstrings_of_headers_and_a_body() {
        let text = "62:CONTENT_LENGTH\x005\0SCGI\x001\0REQUEST_METHOD\0POST\0REQUEST_URI\0/RPC2\0,hello";
        assert_eq!(String::from_utf8(request(b"hello")).unwrap(), text);
    }

    #[test]
    fn answers_have_a_status_and_a_body() {
        let answer = b"Status: 200 OK\r\nContent-Type: text/xml\r\nContent-Length: 2\r\n\r\nok";
        assert_eq!(answer_body(answer), Ok(&b"ok"[..]));
        for wrong in [&b"Status: 500 x\r\n\r\n"[..], b"HTTP/1.1 200 OK\r\n\r\n", b"", b"\r\n\r\n", b"Status: 200"] {
            assert!(matches!(answer_body(wrong), Err(Trouble::Strange(_))));
        }
    }
}
