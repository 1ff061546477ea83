//! The page, and how a browser logs in: the token goes into a cookie that no script can read and no other site sends.

use std::sync::Arc;

use axum::extract::State;
use axum::http::header::{CONTENT_SECURITY_POLICY, CONTENT_TYPE, SET_COOKIE};
use axum::http::{StatusCode, request};
use axum::response::{IntoResponse as _, Response};
use axum::routing::get;
use axum::{Json, Router};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::extract::Body;
use crate::daemon::control::Control;
use crate::daemon::control::guard::COOKIE_NAME;
use crate::daemon::control::problem::Problem;
use crate::daemon::dashboard::{FILES, POLICY};

/// Time that a browser keeps the cookie, in seconds.
const KEPT_FOR: u32 = 365 * 24 * 3600;

/// The routes of its files.
pub(super) fn files() -> Router<Arc<Control>> {
    FILES.iter().fold(Router::new(), |router, file| {
        let head = [(CONTENT_TYPE, file.kind), (CONTENT_SECURITY_POLICY, POLICY)];
        router.route(file.path, get(async move || (head, file.text)))
    })
}

/// Whether the browser has logged in.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct SessionRecord {
    /// Whether it brings the token.
    logged_in: bool,
    /// Whether it may read without.
    open: bool,
}

/// Whether the browser has logged in.
#[utoipa::path(get, path = "/session", tag = "page", responses((status = 200, body = SessionRecord)))]
pub(super) async fn session(State(control): State<Arc<Control>>, head: request::Parts) -> Json<SessionRecord> {
    let logged_in = control.guard.token_of(&head) == Some(true);
    let forwarded = crate::net::http::forwarded::is_forwarded(&head.headers);
    Json(SessionRecord { logged_in, open: control.guard.is_open() && !forwarded })
}

/// The token of a browser that logs in.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct LoginRequest {
    /// The text of `control.token`.
    token: String,
}

/// Logs a browser in.
#[utoipa::path(post, path = "/login", tag = "page", request_body = LoginRequest, responses((status = 204),
    (status = 400, body = Problem), (status = 401, body = Problem), (status = 415, body = Problem)))]
pub(super) async fn login(
    State(control): State<Arc<Control>>,
    Body(request): Body<LoginRequest>,
) -> Result<Response, Problem> {
    if !control.guard.token.is(&request.token) {
        return Err(Problem::unauthorized("this is not the token of the node"));
    }
    Ok(with_cookie(&control, &hex::encode(&request.token), KEPT_FOR))
}

/// Logs it out.
#[utoipa::path(post, path = "/logout", tag = "page", responses((status = 204)))]
pub(super) async fn logout(State(control): State<Arc<Control>>) -> Response {
    with_cookie(&control, "", 0)
}

fn with_cookie(control: &Control, value: &str, seconds: u32) -> Response {
    let base = control.config().control_base_path.as_str().to_owned();
    let path = if base.is_empty() { "/" } else { base.as_str() };
    let cookie = format!("{COOKIE_NAME}={value}; HttpOnly; SameSite=Strict; Path={path}; Max-Age={seconds}");
    (StatusCode::NO_CONTENT, [(SET_COOKIE, cookie)]).into_response()
}
