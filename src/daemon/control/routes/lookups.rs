//! Lookups: started, watched, cancelled.

use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use axum::http::header::LOCATION;
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse as _, Response};
use serde::Deserialize;
use utoipa::IntoParams;

use super::extract::{Asked, Body, Named, torrent};
use crate::daemon::control::Control;
use crate::daemon::control::feed::{accepts_stream, last_seen};
use crate::daemon::control::problem::Problem;
use crate::daemon::control::record::{AnnounceRequest, LookupEvent, LookupRecord, LookupRequest};

/// The lookups that run, and those that ended lately.
#[utoipa::path(get, path = "/api/v1/lookups", tag = "lookups", responses((status = 200, body = [LookupRecord])))]
pub(super) async fn list(State(control): State<Arc<Control>>) -> Json<Vec<LookupRecord>> {
    Json(control.lookups.list())
}

/// Starts a lookup for the peers of a torrent; with `announce`, it announces at the nodes that it finds. Those who accept
/// `text/event-stream` get its events at once, and end it when they leave.
#[utoipa::path(post, path = "/api/v1/lookups", tag = "lookups", request_body = LookupRequest, responses(
    (status = 200, body = LookupEvent, content_type = "text/event-stream"),
    (status = 201, body = LookupRecord, headers(("Location", description = "Path of the lookup."))),
    (status = 400, body = Problem), (status = 401, body = Problem), (status = 415, body = Problem),
    (status = 503, body = Problem)))]
pub(super) async fn start(
    State(control): State<Arc<Control>>,
    headers: HeaderMap,
    Body(request): Body<LookupRequest>,
) -> Result<Response, Problem> {
    let torrent = torrent(&request.target)?;
    if matches!(request.announce, Some(AnnounceRequest { port: 0, .. })) {
        return Err(Problem::bad("port 0 is none", "give the port on which the client listens"));
    }
    let lookup = control.lookups.start(control.dht.clone(), torrent.infohashes.to_vec(), request.announce)?;
    if accepts_stream(&headers)
        && let Some(feed) = control.lookups.feed(lookup.id)
    {
        let reader = Reader { control: Arc::clone(&control), lookup: lookup.id };
        return feed.answer(0, &headers, &control.streams, reader);
    }
    let location = format!("{}/api/v1/lookups/{}", control.config().control_base_path.as_str(), lookup.id);
    Ok((StatusCode::CREATED, [(LOCATION, location)], Json(lookup)).into_response())
}

/// The only reader of a lookup: the lookup ends with it.
struct Reader {
    control: Arc<Control>,
    lookup: u64,
}

impl Drop for Reader {
    fn drop(&mut self) {
        self.control.lookups.cancel(self.lookup);
    }
}

/// How far a lookup is.
#[utoipa::path(get, path = "/api/v1/lookups/{id}", tag = "lookups", params(("id" = u64, Path, description = "Its number.")),
    responses((status = 200, body = LookupRecord), (status = 400, body = Problem), (status = 404, body = Problem)))]
pub(super) async fn show(
    State(control): State<Arc<Control>>,
    Named(id): Named<u64>,
) -> Result<Json<LookupRecord>, Problem> {
    control.lookups.record(id).map(Json).ok_or_else(|| no_lookup(id))
}

/// Ends a lookup and forgets it.
#[utoipa::path(delete, path = "/api/v1/lookups/{id}", tag = "lookups", params(("id" = u64, Path, description = "Its number.")),
    responses((status = 204), (status = 400, body = Problem), (status = 401, body = Problem), (status = 404, body = Problem)))]
pub(super) async fn cancel(State(control): State<Arc<Control>>, Named(id): Named<u64>) -> Result<StatusCode, Problem> {
    if control.lookups.cancel(id) { Ok(StatusCode::NO_CONTENT) } else { Err(no_lookup(id)) }
}

/// Where to go on in a list of events.
#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(super) struct SinceQuery {
    /// The number of the last event that was seen; the header `Last-Event-ID` says the same.
    pub(super) since: Option<u64>,
}

/// The events of a lookup: as server-sent events to those who accept `text/event-stream`, otherwise those that are there.
#[utoipa::path(get, path = "/api/v1/lookups/{id}/events", tag = "lookups",
    params(("id" = u64, Path, description = "Its number."), SinceQuery), responses(
    (status = 200, content((LookupEvent = "text/event-stream"), (Vec<LookupEvent> = "application/json"))),
    (status = 400, body = Problem), (status = 404, body = Problem), (status = 503, body = Problem)))]
pub(super) async fn events(
    State(control): State<Arc<Control>>,
    Named(id): Named<u64>,
    Asked(query): Asked<SinceQuery>,
    headers: HeaderMap,
) -> Result<Response, Problem> {
    let feed = control.lookups.feed(id).ok_or_else(|| no_lookup(id))?;
    feed.answer(last_seen(query.since, &headers), &headers, &control.streams, ())
}

fn no_lookup(id: u64) -> Problem {
    Problem::not_found(
        format_args!("there is no lookup {id}"),
        "start one: those that ended are forgotten after a while",
    )
}
