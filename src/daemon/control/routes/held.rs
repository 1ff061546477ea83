//! Infohashes that are kept announced as long as a client reads the response: `announce --keep` through the running node. They
//! are forgotten when its connection closes, for whatever reason.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use axum::extract::State;
use axum::response::Response;
use futures_util::{Stream, StreamExt as _, stream};
use tokio::sync::broadcast::error::RecvError;

use super::announcements::no_room;
use super::extract::{Body, id};
use super::watched::check_port;
use crate::announcer::source::{Listed, ListedState, Listing};
use crate::announcer::view::State as Standing;
use crate::announcer::{Announcer, News};
use crate::daemon::control::Control;
use crate::daemon::control::announcements::{AnnouncementRecord, HeldEvent, HoldRequest};
use crate::daemon::control::feed;
use crate::daemon::control::problem::Problem;
use crate::engine::id::InfoHash;

/// Number of the next reader.
static NEXT: AtomicU64 = AtomicU64::new(1);

/// Keeps infohashes announced as long as the answer is read: server-sent events, one each time that an infohash was looked for
/// along another path, or that no node stored it. Nothing of it outlives the connection.
#[utoipa::path(post, path = "/api/v1/announcements/held", tag = "announcements", request_body = HoldRequest, responses(
    (status = 200, body = String, content_type = "text/event-stream"), (status = 400, body = Problem),
    (status = 401, body = Problem), (status = 409, body = Problem), (status = 415, body = Problem),
    (status = 503, body = Problem)))]
pub(super) async fn hold(
    State(control): State<Arc<Control>>,
    Body(request): Body<HoldRequest>,
) -> Result<Response, Problem> {
    check_port(Some(request.port))?;
    let infohashes = request.infohashes.iter().map(|text| id(text)).collect::<Result<BTreeSet<InfoHash>, _>>()?;
    if infohashes.is_empty() {
        return Err(Problem::bad("no infohash is named", "give at least one infohash of 40 hexadecimal digits"));
    }
    // Before they are listed: nothing that happens to them is missed.
    let news = control.announcer.subscribe();
    let held = Held::begin(&control.announcer, &request, infohashes);
    if !held.has_all() {
        return Err(no_room(&control));
    }
    let begun = HeldEvent::Held { infohashes: held.infohashes.len() };
    let events = stream::once(async { begun }).chain(held.events(news));
    feed::told_as_it_comes(&control.streams, events)
}

/// What one reader holds.
struct Held {
    announcer: Announcer,
    source: Arc<str>,
    infohashes: BTreeSet<InfoHash>,
}

impl Drop for Held {
    fn drop(&mut self) {
        self.announcer.forget_source(&self.source);
    }
}

impl Held {
    fn begin(announcer: &Announcer, request: &HoldRequest, infohashes: BTreeSet<InfoHash>) -> Self {
        let number = NEXT.fetch_add(1, Ordering::Relaxed);
        let source: Arc<str> = format!("announce --keep (number {number})").into();
        let listed = |infohash: &InfoHash| Listed {
            infohash: *infohash,
            name: None,
            port: Some(request.port),
            complete: request.seed,
            state: ListedState::Active,
        };
        let torrents = Some(infohashes.iter().map(listed).collect());
        let listing =
            Listing { source: Arc::clone(&source), torrents, ipv4_only: false, left_out: vec![], trouble: None };
        announcer.list(listing);
        Self { announcer: announcer.clone(), source, infohashes }
    }

    fn has_all(&self) -> bool {
        self.infohashes.iter().all(|infohash| self.announcer.announcement(*infohash).is_some())
    }

    /// What becomes of them; held as long as this is read.
    fn events(self, news: tokio::sync::broadcast::Receiver<News>) -> impl Stream<Item = HeldEvent> + Send {
        stream::unfold((self, news), async |(held, mut news)| {
            loop {
                let event = match news.recv().await {
                    Ok(News::Looked(infohash)) => held.event(infohash, |_| true),
                    Ok(News::Announced(infohash)) => held.event(infohash, |state| state == Standing::Failing),
                    Ok(_) | Err(RecvError::Lagged(_)) => None,
                    Err(RecvError::Closed) => return None,
                };
                if let Some(event) = event {
                    return Some((event, (held, news)));
                }
            }
        })
    }

    fn event(&self, infohash: InfoHash, is_news: impl FnOnce(Standing) -> bool) -> Option<HeldEvent> {
        let known = self.infohashes.contains(&infohash).then(|| self.announcer.announcement(infohash))??;
        let record = AnnouncementRecord::new(&known, self.announcer.now());
        is_news(known.state).then(|| HeldEvent::Announcement(Box::new(record)))
    }
}
