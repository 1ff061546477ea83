//! Reads the parts of a request; what cannot be read is a [`Problem`].

use axum::body::Bytes;
use axum::extract::rejection::{PathRejection, QueryRejection};
use axum::extract::{FromRequest, FromRequestParts, Path, Query, Request};
use axum::http::StatusCode;
use axum::http::header::CONTENT_TYPE;
use axum::http::request::Parts;
use serde::de::DeserializeOwned;

use crate::daemon::control::problem::Problem;
use crate::torrent::Torrent;

/// A body of JSON.
#[derive(Debug)]
pub(super) struct Body<T>(pub(super) T);

impl<S: Send + Sync, T: DeserializeOwned> FromRequest<S> for Body<T> {
    type Rejection = Problem;

    async fn from_request(request: Request, state: &S) -> Result<Self, Problem> {
        let kind = request.headers().get(CONTENT_TYPE).and_then(|kind| kind.to_str().ok()).unwrap_or_default();
        // A page of another site can send other types without asking first (Fetch, CORS-safelisted request header).
        if !kind.split(';').next().unwrap_or_default().trim().eq_ignore_ascii_case("application/json") {
            return Err(Problem::new(
                StatusCode::UNSUPPORTED_MEDIA_TYPE,
                "the body is not said to be JSON",
                "send JSON with the header `Content-Type: application/json`",
            ));
        }
        let bytes = Bytes::from_request(request, state).await;
        let bytes = bytes.map_err(|error| Problem::bad(error, "send the body again"))?;
        let cure = "see /api/v1/openapi.json for what the body may hold";
        serde_json::from_slice(&bytes).map(Self).map_err(|error| Problem::bad(format_args!("the body: {error}"), cure))
    }
}

/// The query.
#[derive(Debug)]
pub(super) struct Asked<T>(pub(super) T);

impl<S: Send + Sync, T: DeserializeOwned> FromRequestParts<S> for Asked<T> {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Problem> {
        let query = Query::<T>::from_request_parts(parts, state).await;
        let cure = "see /api/v1/openapi.json for what the query may hold";
        query.map(|Query(query)| Self(query)).map_err(|error: QueryRejection| Problem::bad(error.body_text(), cure))
    }
}

/// What stands in the path.
#[derive(Debug)]
pub(super) struct Named<T>(pub(super) T);

impl<S: Send + Sync, T: DeserializeOwned + Send> FromRequestParts<S> for Named<T> {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Problem> {
        let path = Path::<T>::from_request_parts(parts, state).await;
        let cure = "see /api/v1/openapi.json for what the path may hold";
        path.map(|Path(path)| Self(path)).map_err(|error: PathRejection| Problem::bad(error.body_text(), cure))
    }
}

/// What to give where a torrent is to be named.
pub(super) const TORRENT: &str = "give an infohash of 40 hexadecimal digits, or a magnet URI";

/// Reads what names a torrent.
pub(super) fn torrent(text: &str) -> Result<Torrent, Problem> {
    Torrent::parse(text.trim()).map_err(|error| Problem::bad(error, TORRENT))
}

/// Reads an infohash or a target.
pub(super) fn id<T: std::str::FromStr>(text: &str) -> Result<T, Problem> {
    text.parse().map_err(|_| Problem::bad(format_args!("{text:?} is no infohash"), "give 40 hexadecimal digits"))
}
