//! What happens to the node.

use std::sync::Arc;

use axum::extract::State;
use axum::http::HeaderMap;
use axum::response::Response;

use super::extract::Asked;
use super::lookups::SinceQuery;
use crate::daemon::control::Control;
use crate::daemon::control::feed::last_seen;
use crate::daemon::control::problem::Problem;

/// What happened to the node: as server-sent events to those who accept `text/event-stream`, otherwise what is there.
#[utoipa::path(get, path = "/api/v1/events", tag = "events", params(SinceQuery), responses(
    (status = 200, content((String = "text/event-stream"), (String = "application/json"))),
    (status = 400, body = Problem), (status = 503, body = Problem)))]
pub(super) async fn events(
    State(control): State<Arc<Control>>,
    Asked(query): Asked<SinceQuery>,
    headers: HeaderMap,
) -> Result<Response, Problem> {
    control.happenings.answer(last_seen(query.since, &headers), &headers, &control.streams, ())
}
