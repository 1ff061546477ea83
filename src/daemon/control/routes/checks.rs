//! What others can see of a torrent, step by step.

use std::sync::Arc;

use axum::extract::State;
use axum::http::HeaderMap;
use axum::response::Response;
use serde::Deserialize;
use utoipa::ToSchema;

use super::extract::{Body, TORRENT, torrent};
use crate::daemon::control::Control;
use crate::daemon::control::checks::{self, CheckEvent};
use crate::daemon::control::feed::accepts_stream;
use crate::daemon::control::problem::Problem;

/// What is checked.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct CheckRequest {
    /// An infohash or a magnet URI.
    target: String,
}

/// Checks a torrent from outside, for at most a minute: found in the DHT, each peer connectable, speaks BitTorrent for it, has
/// the metadata; seeds and peers. As server-sent events to those who accept `text/event-stream`, and it ends when they leave;
/// otherwise all of it at its end.
#[utoipa::path(post, path = "/api/v1/checks", tag = "network", request_body = CheckRequest, responses(
    (status = 200, content((CheckEvent = "text/event-stream"), (Vec<CheckEvent> = "application/json"))),
    (status = 400, body = Problem), (status = 401, body = Problem), (status = 415, body = Problem),
    (status = 503, body = Problem)))]
pub(super) async fn check(
    State(control): State<Arc<Control>>,
    headers: HeaderMap,
    Body(request): Body<CheckRequest>,
) -> Result<Response, Problem> {
    let torrent = torrent(&request.target)?;
    let infohash = *torrent.infohashes.first().ok_or_else(|| Problem::bad("there is no infohash in it", TORRENT))?;
    let permit = Arc::clone(&control.checks).try_acquire_owned();
    let permit = permit.map_err(|_| Problem::busy("as many torrents are being checked as may be"))?;
    let (feed, running) = checks::start(control.dht.clone(), infohash);
    if accepts_stream(&headers) {
        return feed.answer(0, &headers, &control.streams, (running, permit));
    }
    running.ended().await;
    feed.answer(0, &headers, &control.streams, ())
}
