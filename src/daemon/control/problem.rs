//! What is wrong with a request, and the cure: `application/problem+json` (RFC 9457).

use std::fmt::Display;

use axum::body::Body;
use axum::http::header::{ALLOW, CONTENT_TYPE, RETRY_AFTER, WWW_AUTHENTICATE};
use axum::http::{HeaderValue, StatusCode};
use axum::response::{IntoResponse, Response};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

/// The type of a body that is a problem.
pub(super) const PROBLEM: &str = "application/problem+json";

/// Why a request was not served.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
pub struct Problem {
    /// The status code of the answer.
    pub status: u16,
    /// What the status code means.
    pub title: String,
    /// What is wrong.
    pub detail: String,
    /// What can be done about it.
    pub cure: String,
    /// Everything that is wrong, where that may be several things.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub errors: Vec<FieldProblem>,
    /// Time after which it may be tried again, in seconds, where that is known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub retry_secs: Option<u64>,
}

/// What is wrong with one of several values.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
pub struct FieldProblem {
    /// Which value.
    pub field: String,
    /// What is wrong with it.
    pub detail: String,
    /// What would be right.
    pub cure: String,
}

impl Problem {
    pub(super) fn new(status: StatusCode, detail: impl Display, cure: impl Display) -> Self {
        Self {
            status: status.as_u16(),
            title: status.canonical_reason().unwrap_or_default().to_owned(),
            detail: detail.to_string(),
            cure: cure.to_string(),
            errors: Vec::new(),
            retry_secs: None,
        }
    }

    /// A request that makes no sense.
    pub(super) fn bad(detail: impl Display, cure: impl Display) -> Self {
        Self::new(StatusCode::BAD_REQUEST, detail, cure)
    }

    /// Something that is not there.
    pub(super) fn not_found(detail: impl Display, cure: impl Display) -> Self {
        Self::new(StatusCode::NOT_FOUND, detail, cure)
    }

    /// More than this node does at a time.
    pub(super) fn busy(detail: impl Display) -> Self {
        Self::new(StatusCode::SERVICE_UNAVAILABLE, detail, "try again when others have ended")
    }

    /// The token is missing or wrong.
    pub(super) fn unauthorized(detail: impl Display) -> Self {
        let cure = "send the header `Authorization: Bearer TOKEN` with the token of the file control.token in the data \
                    folder, or use the Unix socket control.sock there";
        Self::new(StatusCode::UNAUTHORIZED, detail, cure)
    }
}

impl IntoResponse for Problem {
    fn into_response(self) -> Response {
        let body = serde_json::to_vec(&self).expect("problems are plain records");
        let mut response = Response::new(Body::from(body));
        *response.status_mut() = StatusCode::from_u16(self.status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
        let headers = response.headers_mut();
        headers.insert(CONTENT_TYPE, HeaderValue::from_static(PROBLEM));
        match self.status {
            401 => drop(headers.insert(WWW_AUTHENTICATE, HeaderValue::from_static("Bearer"))),
            503 => drop(headers.insert(RETRY_AFTER, HeaderValue::from_static("5"))),
            _ => {}
        }
        response
    }
}

/// The answer where no route has the path.
pub(super) async fn no_such_path() -> Problem {
    Problem::not_found("there is nothing under this path", "see /api/v1/openapi.json for all that is there")
}

/// The answer where a route does not have the method.
pub(super) async fn no_such_method() -> Response {
    let problem = Problem::new(
        StatusCode::METHOD_NOT_ALLOWED,
        "this path does not know the method",
        "see /api/v1/openapi.json for what it knows",
    );
    let mut response = problem.into_response();
    // Which methods there are is in the document; the header must not be missing (RFC 9110).
    response.headers_mut().entry(ALLOW).or_insert(HeaderValue::from_static("GET, HEAD, POST, PUT, PATCH, DELETE"));
    response
}
