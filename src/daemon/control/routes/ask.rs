//! Questions to the network that have one answer.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;
use serde::Deserialize;
use tokio::time::timeout;
use utoipa::IntoParams;

use super::extract::{Asked, id};
use crate::daemon::control::Control;
use crate::daemon::control::problem::Problem;
use crate::daemon::control::record::{PongRecord, SampleRecord, ScrapeRecord};
use crate::dht::SampleError;
use crate::engine::id::{Id, InfoHash, Target};

/// Longest time that a question may take.
const PATIENCE: Duration = Duration::from_secs(60);

impl Control {
    /// Asks, while not too many others do, and for a bounded time.
    pub(super) async fn ask<T>(&self, question: impl Future<Output = T>) -> Result<T, Problem> {
        let _permit =
            self.questions.try_acquire().map_err(|_| Problem::busy("too many questions are being answered"))?;
        timeout(PATIENCE, question)
            .await
            .map_err(|_| too_late(format_args!("no answer within {} s", PATIENCE.as_secs())))
    }
}

fn too_late(detail: impl std::fmt::Display) -> Problem {
    Problem::new(StatusCode::GATEWAY_TIMEOUT, detail, "see that the node is online, and try again")
}

/// Of which torrent.
#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(super) struct ScrapeQuery {
    /// The infohash, 40 hexadecimal digits.
    infohash: String,
}

/// Counts the seeds and peers of a torrent (BEP 33).
#[utoipa::path(get, path = "/api/v1/scrape", tag = "network", params(ScrapeQuery), responses(
    (status = 200, body = ScrapeRecord), (status = 400, body = Problem), (status = 503, body = Problem),
    (status = 504, body = Problem)))]
pub(super) async fn scrape(
    State(control): State<Arc<Control>>,
    Asked(query): Asked<ScrapeQuery>,
) -> Result<Json<ScrapeRecord>, Problem> {
    let infohash: InfoHash = id(&query.infohash)?;
    let scraped = control.ask(control.dht.scrape(infohash)).await?;
    Ok(Json(ScrapeRecord::new(&infohash, &scraped)))
}

/// Which node is asked.
#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(super) struct NodeQuery {
    /// Its address and port.
    #[param(value_type = String)]
    address: SocketAddr,
}

/// Asks one node whether it is there.
#[utoipa::path(get, path = "/api/v1/ping", tag = "network", params(NodeQuery), responses(
    (status = 200, body = PongRecord), (status = 400, body = Problem), (status = 503, body = Problem),
    (status = 504, body = Problem)))]
pub(super) async fn ping(
    State(control): State<Arc<Control>>,
    Asked(query): Asked<NodeQuery>,
) -> Result<Json<PongRecord>, Problem> {
    let pong = control.ask(control.dht.ping(query.address)).await?;
    pong.map(|pong| Json((&pong).into())).ok_or_else(|| silent(query.address))
}

/// Asks one node for some of its infohashes (BEP 51).
#[utoipa::path(get, path = "/api/v1/sample", tag = "network", params(NodeQuery), responses(
    (status = 200, body = SampleRecord), (status = 400, body = Problem), (status = 429, body = Problem),
    (status = 501, body = Problem), (status = 503, body = Problem), (status = 504, body = Problem)))]
pub(super) async fn sample(
    State(control): State<Arc<Control>>,
    Asked(query): Asked<NodeQuery>,
) -> Result<Json<SampleRecord>, Problem> {
    let address = query.address;
    match control.ask(control.dht.sample(address, Target(Id::ZERO))).await? {
        Ok(sampled) => Ok(Json((&sampled).into())),
        Err(SampleError::NoAnswer) => Err(silent(address)),
        Err(error @ SampleError::Unsupported) => {
            Err(Problem::new(StatusCode::NOT_IMPLEMENTED, format_args!("{address}: {error}"), "ask another node"))
        }
        Err(SampleError::TooSoon(wait)) => Err(Problem {
            retry_secs: Some(wait.as_secs()),
            ..Problem::new(
                StatusCode::TOO_MANY_REQUESTS,
                SampleError::TooSoon(wait),
                format_args!("ask again after {} seconds", wait.as_secs()),
            )
        }),
    }
}

fn silent(address: SocketAddr) -> Problem {
    too_late(format_args!("{address} did not answer"))
}
