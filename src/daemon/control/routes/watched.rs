//! What is watched: the table of the data folder that `trackerless watch` shows and changes, and the configuration's part.

use std::path::Path;
use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;
use serde::Deserialize;
use tokio::task::spawn_blocking;
use utoipa::IntoParams;

use super::extract::{Asked, Body};
use crate::announcer::store::{StoreError, WatchList, Watched};
use crate::daemon::announcing;
use crate::daemon::control::Control;
use crate::daemon::control::announcements::{SourceRecord, UnwatchRecord, WatchRecord, WatchedRecord, WatchingRecord};
use crate::daemon::control::problem::Problem;
use crate::torrent::Torrent;

/// What is watched, and how each source is.
#[utoipa::path(get, path = "/api/v1/watched", tag = "announcements",
    responses((status = 200, body = WatchingRecord), (status = 500, body = Problem)))]
pub(super) async fn list(State(control): State<Arc<Control>>) -> Result<Json<WatchingRecord>, Problem> {
    let named = with_list(&control, WatchList::all).await?;
    let sources = control.announcer.sources();
    let config = control.config();
    Ok(Json(WatchingRecord {
        announce_port: announcing::port(&config),
        watched: config.watch.iter().cloned().chain(named).map(Into::into).collect(),
        sources: sources.iter().map(|(name, status)| SourceRecord::new(name, status)).collect(),
    }))
}

/// Watches a target from now on, also after a restart; the node begins within a second. What was said of the same target
/// before is replaced.
#[utoipa::path(post, path = "/api/v1/watched", tag = "announcements", request_body = WatchedRecord, responses(
    (status = 200, body = WatchRecord), (status = 400, body = Problem), (status = 401, body = Problem),
    (status = 415, body = Problem), (status = 500, body = Problem)))]
pub(super) async fn add(
    State(control): State<Arc<Control>>,
    Body(request): Body<WatchedRecord>,
) -> Result<Json<WatchRecord>, Problem> {
    check_port(request.port)?;
    let watched = checked(request)?;
    let target = watched.target.clone();
    let new = with_list(&control, move |list| list.add(&watched)).await?;
    Ok(Json(WatchRecord { target, new }))
}

/// Which target.
#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(super) struct TargetQuery {
    /// What was watched.
    target: String,
}

/// Watches a target no longer. That it was not watched is an answer too.
#[utoipa::path(delete, path = "/api/v1/watched", tag = "announcements", params(TargetQuery), responses(
    (status = 200, body = UnwatchRecord), (status = 400, body = Problem), (status = 401, body = Problem),
    (status = 500, body = Problem)))]
pub(super) async fn remove(
    State(control): State<Arc<Control>>,
    Asked(TargetQuery { target }): Asked<TargetQuery>,
) -> Result<Json<UnwatchRecord>, Problem> {
    let named = target.clone();
    let removed = with_list(&control, move |list| list.remove(&named)).await?;
    Ok(Json(UnwatchRecord { target, removed }))
}

/// What can be watched: the name of a torrent, or a path that is there and means the same from every folder.
fn checked(request: WatchedRecord) -> Result<Watched, Problem> {
    let cure = "give an infohash, a magnet URI, or the absolute path of a folder, a list or a torrent file";
    let target = request.target.trim();
    let named = Watched::new(target).map_err(|error| Problem::bad(format_args!("the target: {error}"), cure))?;
    if Torrent::parse(target).is_err() {
        if !Path::new(target).is_absolute() {
            return Err(Problem::bad(format_args!("the target {target:?} is no absolute path"), cure));
        }
        if !Path::new(&named.target).exists() {
            return Err(Problem::bad(format_args!("the node sees no {}", named.target), cure));
        }
    }
    Ok(Watched { recursive: named.recursive || request.recursive, target: named.target, ..request.into() })
}

pub(super) fn check_port(port: Option<u16>) -> Result<(), Problem> {
    match port {
        Some(0) => Err(Problem::bad("the port is 0", "give the port of the client, 1 to 65535")),
        _ => Ok(()),
    }
}

/// Works with the table, on a thread that may wait for the disk.
pub(super) async fn with_list<T: Send + 'static>(
    control: &Control,
    work: impl FnOnce(&WatchList) -> Result<T, StoreError> + Send + 'static,
) -> Result<T, Problem> {
    let folder = control.config().data_dir.clone();
    let done = spawn_blocking(move || WatchList::open(&folder).and_then(|list| work(&list))).await;
    done.unwrap_or(Err(StoreError::Thread))
        .map_err(|error| Problem::new(StatusCode::INTERNAL_SERVER_ERROR, &error, error.cure()))
}
