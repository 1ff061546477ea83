//! HTTP to a client's interface: bounded in size and time, without redirections, which could carry a password elsewhere.

use std::net::SocketAddr;
use std::time::Duration;

use reqwest::header::HeaderMap;
use reqwest::redirect::Policy;
use reqwest::{Client, RequestBuilder, Url};
use serde::de::DeserializeOwned;

use super::trouble::Trouble;
use crate::net::fetch::{self, FetchError};

/// Longest time for a connection, and for a whole answer: 10,000 torrents take a slow machine seconds.
const CONNECT: Duration = Duration::from_secs(5);
const PATIENCE: Duration = Duration::from_secs(60);

/// Longest answer, in bytes. qBittorrent tells some two thousand of each torrent.
pub const MOST_BYTES: usize = 256 << 20;

/// The HTTP side of a client's interface.
#[derive(Debug)]
pub struct Http {
    client: Client,
    /// Where the last answer came from.
    peer: Option<SocketAddr>,
}

/// An answer.
#[derive(Debug)]
pub struct Reply {
    /// Its status.
    pub status: u16,
    /// Its headers.
    pub headers: HeaderMap,
    /// Its body, decoded.
    pub body: Vec<u8>,
}

impl Http {
    /// A client of its own, with its own cookies.
    ///
    /// # Errors
    /// The system has no certificates, and HTTPS is wanted.
    pub fn new(url: &Url) -> Result<Self, Trouble> {
        fetch::install_cryptography();
        let builder = Client::builder().cookie_store(true).redirect(Policy::none()).no_proxy();
        let builder = builder.connect_timeout(CONNECT).timeout(PATIENCE).user_agent("trackerless");
        // What speaks no TLS needs no certificates, and some containers have none.
        let builder = if url.scheme() == "https" { builder } else { builder.tls_certs_only([]) };
        let client = builder.build().map_err(|error| off(&error))?;
        Ok(Self { client, peer: None })
    }

    /// Begins a GET.
    pub fn get(&self, url: Url) -> RequestBuilder {
        self.client.get(url)
    }

    /// Begins a POST.
    pub fn post(&self, url: Url) -> RequestBuilder {
        self.client.post(url)
    }

    /// Where the last answer came from.
    #[must_use]
    pub const fn peer(&self) -> Option<SocketAddr> {
        self.peer
    }

    /// Sends a request and reads the whole answer.
    ///
    /// # Errors
    /// There is none, or it is too long.
    pub async fn send(&mut self, request: RequestBuilder) -> Result<Reply, Trouble> {
        let response = request.send().await.map_err(|error| off(&error))?;
        self.peer = response.remote_addr();
        let (status, headers) = (response.status().as_u16(), response.headers().clone());
        let body = fetch::body(response, MOST_BYTES).await.map_err(|error| match error {
            FetchError::Failed(error) => off(&error),
            FetchError::TooLong => Trouble::Strange(format!("it is longer than {} MiB", MOST_BYTES >> 20)),
        })?;
        Ok(Reply { status, headers, body })
    }
}

impl Reply {
    /// The body as JSON of this form.
    ///
    /// # Errors
    /// It is none.
    pub fn json<T: DeserializeOwned>(&self) -> Result<T, Trouble> {
        json(&self.body)
    }
}

/// Reads JSON of a form.
///
/// # Errors
/// It is none.
pub fn json<T: DeserializeOwned>(bytes: &[u8]) -> Result<T, Trouble> {
    // The message of the reader says the place and the type, and nothing of secrets, which no client sends.
    serde_json::from_slice(bytes).map_err(|error| Trouble::Strange(error.to_string()))
}

/// An answer with a status that it should not have.
#[must_use]
pub fn unexpected(status: u16) -> Trouble {
    Trouble::Strange(format!("HTTP status {status}"))
}

/// Why there was no answer, in the system's words: the last cause says what happened.
fn off(error: &reqwest::Error) -> Trouble {
    let mut cause: &dyn std::error::Error = error;
    while let Some(deeper) = cause.source() {
        cause = deeper;
    }
    let text = if error.is_timeout() { "no answer in time".to_owned() } else { cause.to_string() };
    Trouble::Off(text)
}
