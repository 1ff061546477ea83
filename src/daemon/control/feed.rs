//! A journal that is written while others read it, and its events as a stream (Server-Sent Events, WHATWG HTML, 9.2).

use std::fmt::Write as _;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use axum::Json;
use axum::body::Body;
use axum::http::header::{CACHE_CONTROL, CONTENT_TYPE};
use axum::http::{HeaderMap, HeaderValue};
use axum::response::{IntoResponse, Response};
use futures_util::{Stream, StreamExt as _, stream};
use serde::Serialize;
use tokio::sync::{OwnedSemaphorePermit, Semaphore, watch};

use super::journal::Journal;
use super::problem::Problem;

/// Longest silence of a stream of events: then a line that says nothing shows that it lives.
const KEEP_ALIVE: Duration = Duration::from_secs(15);

/// That line: a comment.
const STILL_THERE: &str = ": still there\n\n";

/// Most events that are written at a time.
const AT_A_TIME: usize = 128;

/// Most events of an answer that is no stream.
const OF_AN_ANSWER: usize = 1_000;

/// Something that happened, with the name that readers of a stream choose by.
pub(super) trait Named {
    fn name(&self) -> &'static str;
}

/// The journal. Clones write and read the same.
#[derive(Debug)]
pub(super) struct Feed<T>(Arc<Shared<T>>);

impl<T> Clone for Feed<T> {
    fn clone(&self) -> Self {
        Self(Arc::clone(&self.0))
    }
}

#[derive(Debug)]
struct Shared<T> {
    journal: Mutex<Journal<T>>,
    /// Whether it has come to its end; changes with each event.
    ended: watch::Sender<bool>,
}

/// An event with its number.
#[derive(Serialize)]
struct Numbered<'a, T> {
    id: u64,
    #[serde(flatten)]
    event: &'a T,
}

impl<T: Named + Serialize + Send + 'static> Feed<T> {
    /// An empty one that keeps `most` events.
    pub(super) fn new(most: usize) -> Self {
        let shared = Shared { journal: Mutex::new(Journal::new(most)), ended: watch::Sender::new(false) };
        Self(Arc::new(shared))
    }

    fn journal(&self) -> MutexGuard<'_, Journal<T>> {
        self.0.journal.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Adds an event.
    pub(super) fn push(&self, event: T) {
        self.journal().push(event);
        self.0.ended.send_modify(|_| {});
    }

    /// Adds the last event; readers have the end after it.
    pub(super) fn end(&self, event: T) {
        self.journal().push(event);
        self.0.ended.send_replace(true);
    }

    /// The events after number `since`: as a stream where the request accepts one, otherwise those that are there. `held` is
    /// dropped with the stream.
    pub(super) fn answer(
        &self,
        since: u64,
        headers: &HeaderMap,
        streams: &Arc<Semaphore>,
        held: impl Send + 'static,
    ) -> Result<Response, Problem> {
        if !accepts_stream(headers) {
            let journal = self.journal();
            let since = journal.since(since, OF_AN_ANSWER);
            let events: Vec<_> = since.events.iter().map(|(id, event)| Numbered { id: *id, event: *event }).collect();
            let body = serde_json::json!({ "lost": since.lost, "events": events });
            return Ok(Json(body).into_response());
        }
        let permit = place(streams)?;
        Ok(streamed(Body::from_stream(self.clone().follow(since, (permit, held)))))
    }

    /// What is written to a reader that has seen the events up to `seen`. `held` is dropped with it.
    fn follow(
        self,
        seen: u64,
        held: impl Send + 'static,
    ) -> impl Stream<Item = Result<String, std::convert::Infallible>> {
        let changes = self.0.ended.subscribe();
        stream::unfold((self, seen, changes, held), async |(feed, mut seen, mut changes, held)| {
            loop {
                let ended = *changes.borrow_and_update();
                let text = feed.written(&mut seen);
                if !text.is_empty() {
                    return Some((Ok(text), (feed, seen, changes, held)));
                }
                if ended {
                    return None;
                }
                match tokio::time::timeout(KEEP_ALIVE, changes.changed()).await {
                    Ok(Ok(())) => {}
                    Ok(Err(_)) => return None,
                    Err(_) => return Some((Ok(STILL_THERE.to_owned()), (feed, seen, changes, held))),
                }
            }
        })
    }

    /// The next events after `seen`, as they are written.
    fn written(&self, seen: &mut u64) -> String {
        let journal = self.journal();
        let since = journal.since(*seen, AT_A_TIME);
        let mut text = String::new();
        if since.lost > 0 {
            write!(text, "event: lost\ndata: {{\"event\":\"lost\",\"lost\":{}}}\n\n", since.lost)
                .expect("a string takes all");
        }
        for (id, event) in since.events {
            let block = block(event.name(), &Numbered { id, event });
            write!(text, "id: {id}\n{block}").expect("a string takes all");
            *seen = id;
        }
        text
    }
}

/// A stream that tells the same thing again and again, as it is then.
pub(super) fn again_and_again<T: Serialize, F: Future<Output = T> + Send + 'static>(
    name: &'static str,
    every: Duration,
    streams: &Arc<Semaphore>,
    look: impl Fn() -> F + Send + 'static,
) -> Result<Response, Problem> {
    let permit = place(streams)?;
    let ticks = tokio::time::interval(every);
    let events = stream::unfold((ticks, look, permit), move |(mut ticks, look, permit)| async move {
        ticks.tick().await;
        let text = block(name, &look().await);
        Some((Ok::<_, std::convert::Infallible>(text), (ticks, look, permit)))
    });
    Ok(streamed(Body::from_stream(events)))
}

/// A stream of what `events` gives, as it comes; they are dropped with it.
pub(super) fn told_as_it_comes<T: Named + Serialize>(
    streams: &Arc<Semaphore>,
    events: impl Stream<Item = T> + Send + 'static,
) -> Result<Response, Problem> {
    let permit = place(streams)?;
    let state = (Box::pin(events), permit);
    let texts = stream::unfold(state, async |(mut events, permit)| {
        let text = match tokio::time::timeout(KEEP_ALIVE, events.next()).await {
            Ok(None) => return None,
            Ok(Some(event)) => block(event.name(), &event),
            Err(_) => STILL_THERE.to_owned(),
        };
        Some((Ok::<_, std::convert::Infallible>(text), (events, permit)))
    });
    Ok(streamed(Body::from_stream(texts)))
}

/// An event as it stands in a stream, without a number.
fn block(name: &str, event: &impl Serialize) -> String {
    let data = serde_json::to_string(event).expect("events are plain records");
    format!("event: {name}\ndata: {data}\n\n")
}

/// A place for one more stream.
fn place(streams: &Arc<Semaphore>) -> Result<OwnedSemaphorePermit, Problem> {
    let place = Arc::clone(streams).try_acquire_owned();
    place.map_err(|_| Problem::busy("as many streams of events are open as there may be"))
}

fn streamed(body: Body) -> Response {
    let mut response = Response::new(body);
    let headers = response.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static("text/event-stream"));
    headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    response
}

/// Whether the client asks for a stream rather than for what is there.
pub(super) fn accepts_stream(headers: &HeaderMap) -> bool {
    let accepts = headers.get_all("accept").iter().filter_map(|value| value.to_str().ok());
    accepts.flat_map(|list| list.split(',')).any(|kind| kind.trim().starts_with("text/event-stream"))
}

/// The number of the last event that the client has seen: of the query, or of the header by which browsers go on.
pub(super) fn last_seen(query: Option<u64>, headers: &HeaderMap) -> u64 {
    let header = headers.get("last-event-id").and_then(|value| value.to_str().ok()?.parse().ok());
    header.or(query).unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Serialize)]
    struct Tick {
        number: u8,
    }

    impl Named for Tick {
        fn name(&self) -> &'static str {
            "tick"
        }
    }

    #[tokio::test(start_paused = true)]
    async fn a_reader_has_what_it_has_not_seen_then_what_comes_then_the_end() {
        let feed = Feed::new(2);
        (0..4).for_each(|number| feed.push(Tick { number }));
        let mut reader = Box::pin(feed.clone().follow(1, ()));
        let text = reader.next().await.unwrap().unwrap();
        assert!(
            text.starts_with("event: lost\ndata: {\"event\":\"lost\",\"lost\":1}\n\nid: 3\nevent: tick\ndata: "),
            "{text}"
        );
        assert!(text.contains("id: 4"), "{text}");
        assert_eq!(reader.next().await.unwrap().unwrap(), ": still there\n\n", "silence is not the end");
        feed.end(Tick { number: 4 });
        assert!(reader.next().await.unwrap().unwrap().starts_with("id: 5\n"));
        assert!(reader.next().await.is_none());
    }
}
