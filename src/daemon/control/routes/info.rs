//! What a torrent is, from its peers, now. Nothing is stored.

use std::sync::Arc;
use std::time::Duration;

use axum::Json;
use axum::extract::State;
use serde::Deserialize;
use utoipa::ToSchema;

use super::extract::{Body, torrent};
use crate::daemon::control::Control;
use crate::daemon::control::checks::our_name;
use crate::daemon::control::problem::Problem;
use crate::daemon::control::record::InfoRecord;
use crate::index::resolve::{WHERE_NOBODY_IS, resolve};
use crate::net::peers::Limits;

/// Longest time for one torrent.
const PATIENCE: Duration = Duration::from_secs(30);

/// What is asked for.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct InfoRequest {
    /// An infohash or a magnet URI.
    target: String,
}

/// What a torrent is: name, files, size from its peers (BEP 9), seeds and peers (BEP 33). Needs no index and stores nothing.
#[utoipa::path(post, path = "/api/v1/info", tag = "network", request_body = InfoRequest, responses(
    (status = 200, body = InfoRecord), (status = 400, body = Problem), (status = 401, body = Problem),
    (status = 404, body = Problem), (status = 415, body = Problem), (status = 503, body = Problem)))]
pub(super) async fn info(
    State(control): State<Arc<Control>>,
    Body(request): Body<InfoRequest>,
) -> Result<Json<InfoRecord>, Problem> {
    let target = request.target.trim();
    let torrent = torrent(target)?;
    let _permit =
        control.checks.try_acquire().map_err(|_| Problem::busy("as many torrents are asked for as may be"))?;
    let asked = resolve(&control.dht, &torrent.infohashes, our_name(), Limits::default());
    let cure = "see what is wrong with each of its peers: check it";
    let Ok(resolved) = tokio::time::timeout(PATIENCE, asked).await else {
        let what = format_args!("no metadata of {target} came within {} s", PATIENCE.as_secs()).to_string();
        return Err(Problem::not_found(what, cure));
    };
    match &resolved.metadata {
        Some(metadata) => Ok(Json(InfoRecord::new(&torrent.infohashes, metadata, &resolved))),
        None if resolved.peers.found == 0 => Err(Problem::not_found(resolved.peers.trouble(target), WHERE_NOBODY_IS)),
        None => Err(Problem::not_found(resolved.peers.trouble(target), cure)),
    }
}
