//! The clients of the gateway, one by one. Their addresses are told only to those who have the token.

use std::net::SocketAddr;
use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};

use super::extract::Asked;
use crate::daemon::control::Control;
use crate::daemon::control::problem::Problem;
use crate::net::nearness::Nearness;
use crate::peer::handshake::program;
use crate::tracker::broker::{ListedClient, Said};

/// Most clients in one answer.
const MOST: usize = 1000;
/// Clients in an answer where the request does not say how many.
const USUAL: usize = 100;

/// Which clients are told.
#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(super) struct GatewayClientsQuery {
    /// Only those after this address: `next` of the answer before.
    after: Option<String>,
    /// Most clients in the answer, 1 to 1000; 100 if it is not given.
    limit: Option<usize>,
}

/// Clients of the gateway, in the order of their addresses.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct GatewayClientsRecord {
    /// Those of this page; none where there is no gateway.
    clients: Vec<GatewayClientRecord>,
    /// What to give as `after` for the next page; nothing where this is the last one.
    next: Option<String>,
}

/// A client of the gateway.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct GatewayClientRecord {
    /// Its address, and the port that it announced.
    address: String,
    /// The program and version that it names (BEP 20).
    program: Option<String>,
    /// Where it is: `host`, `lan`, `neighbour` (in our local network, with an address of its own) or `remote`.
    near: &'static str,
    /// Seconds since its last announce.
    seen_secs: u64,
    /// Torrents that it announces.
    torrents: u32,
    /// Those of them of which it has everything.
    seeds: u32,
    /// The others.
    leeches: u32,
    /// Those that are not served to it, because they are private (BEP 27) or seem to be.
    refused: u32,
    /// What it said of its torrents when it was asked for their metadata, by number. It is asked only where that may be of use.
    said: SaidRecord,
}

/// Numbers of torrents, by what a client said of them.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct SaidRecord {
    /// Its metadata is that of a public torrent.
    public: u32,
    /// Its metadata is that of a private torrent.
    private: u32,
    /// It has the metadata and gives none, as clients do for private torrents.
    withheld: u32,
    /// It has no metadata yet.
    no_metadata: u32,
    /// It could not be reached, or understood.
    unknown: u32,
}

/// The clients that announce to the gateway, page by page. By TCP it needs the token from everywhere, also from this host.
#[utoipa::path(get, path = "/api/v1/clients/gateway", tag = "state", params(GatewayClientsQuery),
    responses((status = 200, body = GatewayClientsRecord), (status = 400, body = Problem), (status = 401, body = Problem)))]
pub(super) async fn clients(
    State(control): State<Arc<Control>>,
    Asked(query): Asked<GatewayClientsQuery>,
) -> Result<Json<GatewayClientsRecord>, Problem> {
    let limit = query.limit.unwrap_or(USUAL);
    if !(1..=MOST).contains(&limit) {
        return Err(Problem::bad(format_args!("the limit is {limit}"), "give a limit of 1 to 1000"));
    }
    let after = query.after.as_deref().map(address).transpose()?;
    // One more tells whether others follow.
    let mut listed = control.gateway.as_ref().map_or_else(Vec::new, |gateway| gateway.clients_after(after, limit + 1));
    let is_more = listed.len() > limit;
    listed.truncate(limit);
    let next = listed.last().filter(|_| is_more).map(|last| last.addr.to_string());
    Ok(Json(GatewayClientsRecord { clients: listed.iter().map(GatewayClientRecord::from).collect(), next }))
}

fn address(text: &str) -> Result<SocketAddr, Problem> {
    let cure = "give `next` of the answer before, as 192.0.2.7:6881 or [2001:db8::7]:6881";
    text.parse().map_err(|_| Problem::bad(format_args!("{text:?} is no address with a port"), cure))
}

impl From<&ListedClient> for GatewayClientRecord {
    fn from(client: &ListedClient) -> Self {
        let near = match client.nearness {
            Nearness::Host => "host",
            Nearness::Lan => "lan",
            Nearness::Neighbour => "neighbour",
            Nearness::Remote => "remote",
        };
        let Said { public, private, withheld, not_yet, unknown } = client.said;
        Self {
            address: client.addr.to_string(),
            program: program(&client.peer_id),
            near,
            seen_secs: client.age.as_secs(),
            torrents: client.seeds + client.others,
            seeds: client.seeds,
            leeches: client.others,
            refused: client.refused,
            said: SaidRecord { public, private, withheld, no_metadata: not_yet, unknown },
        }
    }
}
