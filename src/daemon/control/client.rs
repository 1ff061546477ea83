//! The other end: asks the node that runs with a data folder, by its Unix socket.

use std::io;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::time::Duration;

use bytes::Bytes;
use futures_util::{Stream, stream};
use http_body_util::{BodyExt as _, Full, Limited};
use hyper::body::Incoming;
use hyper::client::conn::http1;
use hyper::header::{ACCEPT, CONTENT_TYPE, HOST};
use hyper::{Request, Response};
use hyper_util::rt::TokioIo;
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::Value;
use tokio::sync::watch;
use tokio::task::JoinSet;

use super::announcements::{
    AnnouncementsRecord, HeldEvent, HoldRequest, UnwatchRecord, WatchRecord, WatchedRecord, WatchingRecord,
};
use super::door::SOCKET_FILE;
use super::problem::Problem;
use super::record::{
    AnnounceRequest, GetRecord, ItemRecord, KnownRecord, LookupEvent, LookupRequest, OwnAnnouncesRecord, PongRecord,
    PutRecord, PutRequest, SampleRecord, ScrapeRecord, Unreadable, add_to_announced,
};
use crate::daemon::view::View;
use crate::dht::{Announced, ItemFound, ItemStored, Pong, SampleError, Sampled, Scraped};
use crate::engine::id::{InfoHash, Target};
use crate::engine::items::Item;

/// Longest answer that is read, in bytes: 16,384 announces of ours are told in 2.5 MB.
const LONGEST_ANSWER: usize = 16 << 20;

/// Time after which a stream of events that has ended is opened again.
const AGAIN_AFTER: Duration = Duration::from_secs(5);

/// Time after which a node that is busy is asked again, and how often that is done: until the lookups of others have ended.
const BUSY_FOR: Duration = Duration::from_millis(500);
const TRIES_WHILE_BUSY: usize = 120;

/// Why the running node did not do what it was asked.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ClientError {
    /// It cannot be reached any more.
    #[error("the running node cannot be reached: {0}")]
    Gone(Box<dyn std::error::Error + Send + Sync>),
    /// It says why not.
    #[error("the running node says: {}", .0.detail)]
    Problem(Box<Problem>),
    /// Its answer makes no sense: it is another version.
    #[error("the answer of the running node cannot be read: {0}")]
    Unreadable(String),
}

impl ClientError {
    /// What the user can do about it.
    #[must_use]
    pub fn cure(&self) -> &str {
        match self {
            Self::Gone(_) => "see whether it still runs; with --alone the command starts a node of its own",
            Self::Problem(problem) => &problem.cure,
            Self::Unreadable(_) => "start the node again with this version; with --alone the command does without it",
        }
    }

    fn gone(error: impl Into<Box<dyn std::error::Error + Send + Sync>>) -> Self {
        Self::Gone(error.into())
    }
}

impl From<Unreadable> for ClientError {
    fn from(error: Unreadable) -> Self {
        Self::Unreadable(error.to_string())
    }
}

impl From<serde_json::Error> for ClientError {
    fn from(error: serde_json::Error) -> Self {
        Self::Unreadable(error.to_string())
    }
}

/// The node that runs with a data folder.
#[derive(Clone, Debug)]
pub struct Client {
    socket: PathBuf,
}

/// An answer while it comes. The connection ends when this is dropped.
struct Exchange {
    body: Incoming,
    _connection: JoinSet<()>,
}

impl Client {
    /// The node that runs with `folder`; `None` if none does, or if this user may not ask it.
    pub async fn of_folder(folder: &Path) -> Option<Self> {
        let client = Self { socket: folder.join(SOCKET_FILE) };
        client.connect().await.ok().map(|_| client)
    }

    #[cfg(unix)]
    async fn connect(&self) -> io::Result<tokio::net::UnixStream> {
        tokio::net::UnixStream::connect(&self.socket).await
    }

    #[cfg(not(unix))]
    async fn connect(&self) -> io::Result<tokio::net::TcpStream> {
        Err(io::ErrorKind::Unsupported.into())
    }

    /// All figures of the node.
    ///
    /// # Errors
    /// The node cannot be reached, or its answer not be read.
    pub async fn view(&self) -> Result<View, ClientError> {
        self.get("/api/v1/status").await
    }

    /// The contacts of its routing tables.
    ///
    /// # Errors
    /// The node cannot be reached, or its answer not be read.
    pub async fn nodes(&self) -> Result<Vec<KnownRecord>, ClientError> {
        self.get("/api/v1/nodes").await
    }

    /// What came of its own announces.
    ///
    /// # Errors
    /// The node cannot be reached, or its answer not be read.
    pub async fn announces(&self) -> Result<Vec<OwnAnnouncesRecord>, ClientError> {
        self.get("/api/v1/announces").await
    }

    /// Some of what it keeps announced: those after `after`; `not_visible`: only those that should be visible and are not.
    ///
    /// # Errors
    /// The node cannot be reached, or its answer not be read.
    pub async fn announcements(
        &self,
        not_visible: bool,
        after: Option<&str>,
    ) -> Result<AnnouncementsRecord, ClientError> {
        let after = after.map(|after| format!("&after={after}")).unwrap_or_default();
        self.get(&format!("/api/v1/announcements?limit=1000&not_visible={not_visible}{after}")).await
    }

    /// What it watches.
    ///
    /// # Errors
    /// The node cannot be reached, or its answer not be read.
    pub async fn watched(&self) -> Result<WatchingRecord, ClientError> {
        self.get("/api/v1/watched").await
    }

    /// Has it watch something from now on.
    ///
    /// # Errors
    /// The node cannot be reached, or refuses.
    pub async fn watch(&self, watched: &WatchedRecord) -> Result<WatchRecord, ClientError> {
        self.send("POST", "/api/v1/watched", watched).await
    }

    /// Has it watch something no longer.
    ///
    /// # Errors
    /// The node cannot be reached, or its answer not be read.
    pub async fn unwatch(&self, target: &str) -> Result<UnwatchRecord, ClientError> {
        let path = format!("/api/v1/watched?target={}", in_query(target));
        self.send("DELETE", &path, &Value::Null).await
    }

    /// Has it ping `addr`; `None` if that does not answer.
    ///
    /// # Errors
    /// The node cannot be reached, or its answer not be read.
    pub async fn ping(&self, addr: SocketAddr) -> Result<Option<Pong>, ClientError> {
        match self.get::<PongRecord>(&format!("/api/v1/ping?address={addr}")).await {
            Ok(record) => Ok(Some(record.pong()?)),
            Err(ClientError::Problem(problem)) if problem.status == 504 => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// Has it ask `addr` for a sample.
    ///
    /// # Errors
    /// The node cannot be reached, or its answer not be read; within, why there is no sample.
    pub async fn sample(&self, addr: SocketAddr) -> Result<Result<Sampled, SampleError>, ClientError> {
        match self.get::<SampleRecord>(&format!("/api/v1/sample?address={addr}")).await {
            Ok(record) => Ok(Ok(record.sampled()?)),
            Err(ClientError::Problem(problem)) => match problem.status {
                504 => Ok(Err(SampleError::NoAnswer)),
                501 => Ok(Err(SampleError::Unsupported)),
                429 => Ok(Err(SampleError::TooSoon(Duration::from_secs(problem.retry_secs.unwrap_or_default())))),
                _ => Err(ClientError::Problem(problem)),
            },
            Err(error) => Err(error),
        }
    }

    /// Has it count a swarm.
    ///
    /// # Errors
    /// The node cannot be reached, or its answer not be read.
    pub async fn scrape(&self, infohash: InfoHash) -> Result<Scraped, ClientError> {
        Ok(self.get::<ScrapeRecord>(&format!("/api/v1/scrape?infohash={infohash}")).await?.scraped())
    }

    /// Has it look for an item; with `renew`, and give it to nodes that lack it.
    ///
    /// # Errors
    /// The node cannot be reached, or its answer not be read.
    pub async fn get_item(&self, target: Target, salt: &[u8], renew: bool) -> Result<ItemFound, ClientError> {
        let path = format!("/api/v1/items/{target}?salt={}", hex::encode(salt));
        let record: GetRecord =
            if renew { self.send("POST", &path, &Value::Null).await? } else { self.get(&path).await? };
        Ok(record.found()?)
    }

    /// Has it store an item.
    ///
    /// # Errors
    /// The node cannot be reached, or its answer not be read.
    pub async fn put_item(&self, item: &Item, cas: Option<i64>) -> Result<ItemStored, ClientError> {
        let request = PutRequest { item: ItemRecord::from(item), cas };
        Ok(self.send::<PutRecord>("PUT", "/api/v1/items", &request).await?.stored()?)
    }

    /// Has it announce a client at its address.
    ///
    /// # Errors
    /// The node cannot be reached, or its answer not be read.
    pub async fn announce(&self, infohash: InfoHash, announce: AnnounceRequest) -> Result<Announced, ClientError> {
        let mut announced = Announced::default();
        let mut events = self.look_up(infohash, Some(announce)).await?;
        while let Some(event) = events.next().await? {
            add_to_announced(&mut announced, &event)?;
        }
        Ok(announced)
    }

    /// Has it look for the peers of a torrent; with `announce`, and announce. Dropping the events ends the lookup.
    ///
    /// # Errors
    /// The node cannot be reached, or does not begin the lookup.
    pub async fn look_up(
        &self,
        infohash: InfoHash,
        announce: Option<AnnounceRequest>,
    ) -> Result<Events<LookupEvent>, ClientError> {
        let request = LookupRequest { target: infohash.to_string(), announce };
        let exchange = self.exchange("POST", "/api/v1/lookups", &request, "text/event-stream").await?;
        Ok(Events::new(exchange))
    }

    /// Has it keep infohashes announced as long as the events are read.
    ///
    /// # Errors
    /// The node cannot be reached, or refuses.
    pub async fn hold(&self, request: &HoldRequest) -> Result<Events<HeldEvent>, ClientError> {
        Ok(Events::new(self.exchange("POST", "/api/v1/announcements/held", request, "text/event-stream").await?))
    }

    /// Counts in `occasions` how often announces that were made before should be made again; never ends.
    pub async fn count_occasions(&self, occasions: &watch::Sender<u64>) {
        loop {
            // A number that is not given out yet: what was before is no occasion.
            let path = format!("/api/v1/events?since={}", u64::MAX);
            if let Ok(exchange) = self.exchange("GET", &path, &Value::Null, "text/event-stream").await {
                let mut events = Events::<Value>::new(exchange);
                while let Ok(Some(event)) = events.next().await {
                    if event["event"] == "announce_again" {
                        occasions.send_modify(|count| *count += 1);
                    }
                }
            }
            tokio::time::sleep(AGAIN_AFTER).await;
        }
    }

    async fn get<T: DeserializeOwned>(&self, path: &str) -> Result<T, ClientError> {
        self.send("GET", path, &Value::Null).await
    }

    async fn send<T: DeserializeOwned>(
        &self,
        method: &str,
        path: &str,
        body: &impl Serialize,
    ) -> Result<T, ClientError> {
        let exchange = self.exchange(method, path, body, "application/json").await?;
        Ok(serde_json::from_slice(&exchange.whole().await?)?)
    }

    /// Sends a request, and reads the head of the answer; one that is no success is an error. A node that is busy is asked
    /// again.
    async fn exchange(
        &self,
        method: &str,
        path: &str,
        body: &impl Serialize,
        accept: &str,
    ) -> Result<Exchange, ClientError> {
        for _ in 0..TRIES_WHILE_BUSY {
            match self.exchange_once(method, path, body, accept).await {
                Err(ClientError::Problem(problem)) if problem.status == 503 => tokio::time::sleep(BUSY_FOR).await,
                done => return done,
            }
        }
        self.exchange_once(method, path, body, accept).await
    }

    async fn exchange_once(
        &self,
        method: &str,
        path: &str,
        body: &impl Serialize,
        accept: &str,
    ) -> Result<Exchange, ClientError> {
        let stream = self.connect().await.map_err(ClientError::gone)?;
        let (mut sender, connection) = http1::handshake(TokioIo::new(stream)).await.map_err(ClientError::gone)?;
        let mut running = JoinSet::new();
        running.spawn(async move { drop(connection.await) });
        let body = serde_json::to_vec(body)?;
        let request = Request::builder().method(method).uri(path).header(HOST, "localhost").header(ACCEPT, accept);
        let request = request.header(CONTENT_TYPE, "application/json").body(Full::new(Bytes::from(body)));
        let response = sender.send_request(request.map_err(ClientError::gone)?).await.map_err(ClientError::gone)?;
        Exchange::new(response, running).await
    }
}

impl Exchange {
    async fn new(response: Response<Incoming>, running: JoinSet<()>) -> Result<Self, ClientError> {
        let status = response.status();
        let exchange = Self { body: response.into_body(), _connection: running };
        if status.is_success() {
            return Ok(exchange);
        }
        let bytes = exchange.whole().await?;
        Err(match serde_json::from_slice(&bytes) {
            Ok(problem) => ClientError::Problem(Box::new(problem)),
            Err(_) => ClientError::Unreadable(format!("status {status}")),
        })
    }

    async fn whole(self) -> Result<Bytes, ClientError> {
        Ok(Limited::new(self.body, LONGEST_ANSWER).collect().await.map_err(ClientError::Gone)?.to_bytes())
    }
}

/// A stream of events while it comes.
pub struct Events<T> {
    exchange: Exchange,
    /// What has come and is not read.
    waiting: Vec<u8>,
    kind: std::marker::PhantomData<T>,
}

impl<T: DeserializeOwned> Events<T> {
    const fn new(exchange: Exchange) -> Self {
        Self { exchange, waiting: Vec::new(), kind: std::marker::PhantomData }
    }

    /// The next event; `None` at the end.
    ///
    /// # Errors
    /// The node cannot be reached any more, or an event not be read.
    pub async fn next(&mut self) -> Result<Option<T>, ClientError> {
        loop {
            while let Some(text) = take_block(&mut self.waiting) {
                if let Some(data) = data_of(&text) {
                    return Ok(Some(serde_json::from_str(data)?));
                }
            }
            match self.exchange.body.frame().await {
                None => return Ok(None),
                Some(frame) => {
                    let frame = frame.map_err(ClientError::gone)?;
                    self.waiting.extend_from_slice(frame.data_ref().map(|data| &data[..]).unwrap_or_default());
                }
            }
            if self.waiting.len() > LONGEST_ANSWER {
                return Err(ClientError::Unreadable("an event that is too long".to_owned()));
            }
        }
    }
}

impl<T: DeserializeOwned> Events<T> {
    /// The events one after the other, up to the end or to the first that fails.
    pub fn into_stream(self) -> impl Stream<Item = Result<T, ClientError>> {
        stream::try_unfold(self, async |mut events| Ok(events.next().await?.map(|event| (event, events))))
    }
}

/// A text as it stands in a query (RFC 3986, 2.1).
fn in_query(text: &str) -> String {
    text.bytes().fold(String::new(), |mut query, byte| {
        match byte.is_ascii_alphanumeric() || b"-._~".contains(&byte) {
            true => query.push(byte.into()),
            false => {
                query.push('%');
                query.push_str(&hex::encode_upper([byte]));
            }
        }
        query
    })
}

/// The next block of lines, up to the empty line after it.
fn take_block(waiting: &mut Vec<u8>) -> Option<String> {
    let end = waiting.windows(2).position(|pair| pair == b"\n\n")?;
    let block = waiting.drain(..end + 2).collect::<Vec<_>>();
    Some(String::from_utf8_lossy(&block).into_owned())
}

/// The data of an event; nothing for a comment, and for the news that events were lost.
fn data_of(block: &str) -> Option<&str> {
    let field = |name: &str| block.lines().find_map(|line| line.strip_prefix(name));
    if field("event: ") == Some("lost") { None } else { field("data: ") }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_text_in_a_query_is_escaped_byte_by_byte() {
        assert_eq!(in_query("/a b&c=ü.~"), "%2Fa%20b%26c%3D%C3%BC.~");
    }

    #[test]
    fn events_are_read_block_by_block_and_comments_are_not() {
        let mut waiting =
            b": still there\n\nevent: lost\ndata: {\"lost\":1}\n\nid: 3\nevent: end\ndata: {}\n\nid: 4\nda".to_vec();
        let mut data = Vec::new();
        while let Some(block) = take_block(&mut waiting) {
            data.extend(data_of(&block).map(str::to_owned));
        }
        assert_eq!((data, waiting.as_slice()), (vec!["{}".to_owned()], &b"id: 4\nda"[..]));
    }
}
