//! How the node is.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use axum::Json;
use axum::extract::State;
use axum::http::header::CONTENT_TYPE;
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse as _, Response};
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};

use super::extract::Asked;
use crate::daemon::control::Control;
use crate::daemon::control::announcements::{ClientsRecord, TorrentClientRecord};
use crate::daemon::control::feed::{accepts_stream, again_and_again};
use crate::daemon::control::problem::Problem;
use crate::daemon::control::record::{KnownRecord, OwnAnnounceRecord, OwnAnnouncesRecord, millis};
use crate::daemon::doctor::record::ReportRecord;
use crate::daemon::view::View;
use crate::daemon::{following, metrics};
use crate::engine::node::OwnAnnounce;
use crate::engine::routing::Health;

/// Time between two events with all figures.
const STATUS_EVERY: Duration = Duration::from_secs(2);

/// The program runs: for supervisors.
#[utoipa::path(get, path = "/live", tag = "state", responses((status = 200, body = str)))]
pub(super) async fn live() -> &'static str {
    "live\n"
}

/// Whether the node serves: 200 once it has joined the network and other nodes answer, otherwise 503.
#[utoipa::path(get, path = "/health", tag = "state",
    responses((status = 200, body = HealthRecord), (status = 503, body = HealthRecord)))]
pub(super) async fn health(State(control): State<Arc<Control>>) -> Response {
    let view = control.view().await;
    let status = if view.ready { StatusCode::OK } else { StatusCode::SERVICE_UNAVAILABLE };
    (status, Json(HealthRecord { ready: view.ready, verdict: view.verdict })).into_response()
}

/// What the doctor finds in the running node: docs/DOCTOR.md has each kind of finding.
#[utoipa::path(get, path = "/api/v1/health", tag = "state",
    responses((status = 200, body = ReportRecord), (status = 503, body = Problem)))]
pub(super) async fn findings(State(control): State<Arc<Control>>) -> Result<Json<ReportRecord>, Problem> {
    let report = control.report().await.ok_or_else(|| Problem::busy("this host cannot be looked at"))?;
    Ok(Json(ReportRecord::from(&report)))
}

/// Whether the node serves.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct HealthRecord {
    ready: bool,
    /// How well it is, in a sentence.
    verdict: String,
}

/// All figures as metrics.
#[utoipa::path(get, path = "/metrics", tag = "state",
    responses((status = 200, body = str, content_type = "application/openmetrics-text")))]
pub(super) async fn metrics(State(control): State<Arc<Control>>) -> Response {
    ([(CONTENT_TYPE, metrics::CONTENT_TYPE)], metrics::render(control.view().await)).into_response()
}

/// All figures of the node; to those who accept `text/event-stream`, again and again, as events `status`.
#[utoipa::path(get, path = "/api/v1/status", tag = "state", responses(
    (status = 200, content((View = "application/json"), (View = "text/event-stream"))), (status = 503, body = Problem)))]
pub(super) async fn status(State(control): State<Arc<Control>>, headers: HeaderMap) -> Result<Response, Problem> {
    if !accepts_stream(&headers) {
        return Ok(Json(control.view().await).into_response());
    }
    let streams = Arc::clone(&control.streams);
    again_and_again("status", STATUS_EVERY, &streams, move || {
        let control = Arc::clone(&control);
        async move { control.view().await }
    })
}

/// The contacts of its routing tables.
#[utoipa::path(get, path = "/api/v1/nodes", tag = "state", responses((status = 200, body = [KnownRecord])))]
pub(super) async fn nodes(State(control): State<Arc<Control>>) -> Json<Vec<KnownRecord>> {
    let known = control.dht.table().await.into_iter().map(|known| KnownRecord {
        own_address: known.own_addr,
        id: known.contact.id.to_string(),
        address: known.contact.addr,
        state: match known.health {
            Health::Good => "good",
            Health::Questionable => "questionable",
            Health::Bad => "bad",
        }
        .to_owned(),
        rtt_ms: millis(known.rtt),
        known_secs: known.known_for.as_secs(),
        seen_secs: known.seen_ago.as_secs(),
    });
    Json(known.collect())
}

/// How much others store with it. Which swarms those are is not told.
#[utoipa::path(get, path = "/api/v1/swarms", tag = "state", responses((status = 200, body = SwarmsRecord)))]
pub(super) async fn swarms(State(control): State<Arc<Control>>) -> Json<SwarmsRecord> {
    let view = control.view().await;
    let sum = |of: fn(&crate::daemon::view::NodeView) -> usize| view.nodes.iter().map(of).sum();
    Json(SwarmsRecord { swarms: sum(|node| node.swarms), peers: sum(|node| node.peers), items: sum(|node| node.items) })
}

/// How much others store with us, at all addresses together.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct SwarmsRecord {
    /// Infohashes.
    swarms: usize,
    /// Peers of those.
    peers: usize,
    /// Items (BEP 44).
    items: usize,
}

/// Which announces are told.
#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(super) struct AnnouncesQuery {
    /// Only those that another query of ours has looked for and not seen (`false`), or only those that it has seen (`true`).
    visible: Option<bool>,
}

/// What came of its own announces, of those that live.
#[utoipa::path(get, path = "/api/v1/announces", tag = "state", params(AnnouncesQuery),
    responses((status = 200, body = [OwnAnnouncesRecord]), (status = 400, body = Problem)))]
pub(super) async fn announces(
    State(control): State<Arc<Control>>,
    Asked(query): Asked<AnnouncesQuery>,
) -> Json<Vec<OwnAnnouncesRecord>> {
    let wanted = |announce: &&OwnAnnounce| query.visible.is_none() || query.visible == announce.is_seen();
    let records = control.dht.own_announces().await.into_iter().map(|(address, announces)| {
        let announces = announces.iter().filter(wanted).map(|announce| OwnAnnounceRecord {
            infohash: announce.info_hash.to_string(),
            age_secs: announce.age.as_secs(),
            stored_at: announce.stored,
            verified_at: announce.verified_at,
            verified: announce.verified,
            alarm: announce.alarm,
        });
        OwnAnnouncesRecord { address, announces: announces.collect() }
    });
    Json(records.collect())
}

/// Those for whom this node announces: what the gateway holds for its clients, and the torrent clients that are followed.
#[utoipa::path(get, path = "/api/v1/clients", tag = "state", responses((status = 200, body = ClientsRecord)))]
pub(super) async fn clients(State(control): State<Arc<Control>>) -> Json<ClientsRecord> {
    let sources: BTreeMap<_, _> = control.announcer.sources().into_iter().collect();
    let config = control.config();
    let names = following::sources(&config);
    let torrent_clients = names.map(|name| {
        let status = sources.get(name.as_str());
        TorrentClientRecord::new(name, status)
    });
    Json(ClientsRecord { torrent_clients: torrent_clients.collect(), gateway: control.view().await.gateway })
}
