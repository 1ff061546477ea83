//! Items: small values that the DHT itself keeps (BEP 44). Signing is done by those who have the key, never here.

use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use serde::Deserialize;
use utoipa::IntoParams;

use super::extract::{Asked, Body, Named, id};
use crate::daemon::control::Control;
use crate::daemon::control::problem::Problem;
use crate::daemon::control::record::{GetRecord, PutRecord, PutRequest};
use crate::engine::id::Target;
use crate::engine::items::MAX_SALT;

/// Which of the items of an owner.
#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(super) struct SaltQuery {
    /// The salt that a mutable item was stored with, in hexadecimal.
    #[serde(default)]
    salt: String,
}

impl SaltQuery {
    fn bytes(&self) -> Result<Vec<u8>, Problem> {
        let cure = "give the salt in hexadecimal, of at most 64 bytes";
        let salt = hex::decode(&self.salt).map_err(|error| Problem::bad(format_args!("the salt: {error}"), cure))?;
        if salt.len() > MAX_SALT { Err(Problem::bad("the salt is too long", cure)) } else { Ok(salt) }
    }
}

/// Looks for the item under a target. That there is none is an answer too.
#[utoipa::path(get, path = "/api/v1/items/{target}", tag = "items",
    params(("target" = String, Path, description = "40 hexadecimal digits."), SaltQuery), responses(
    (status = 200, body = GetRecord), (status = 400, body = Problem), (status = 503, body = Problem),
    (status = 504, body = Problem)))]
pub(super) async fn get(
    State(control): State<Arc<Control>>,
    Named(target): Named<String>,
    Asked(query): Asked<SaltQuery>,
) -> Result<Json<GetRecord>, Problem> {
    let (target, salt): (Target, _) = (id(&target)?, query.bytes()?);
    Ok(Json((&control.ask(control.dht.get_item(target, &salt)).await?).into()))
}

/// The same, and gives the item to those of the closest nodes that lack it.
#[utoipa::path(post, path = "/api/v1/items/{target}", tag = "items",
    params(("target" = String, Path, description = "40 hexadecimal digits."), SaltQuery), responses(
    (status = 200, body = GetRecord), (status = 400, body = Problem), (status = 401, body = Problem),
    (status = 503, body = Problem), (status = 504, body = Problem)))]
pub(super) async fn renew(
    State(control): State<Arc<Control>>,
    Named(target): Named<String>,
    Asked(query): Asked<SaltQuery>,
) -> Result<Json<GetRecord>, Problem> {
    let (target, salt): (Target, _) = (id(&target)?, query.bytes()?);
    Ok(Json((&control.ask(control.dht.renew_item(target, &salt)).await?).into()))
}

/// Stores an item on the nodes closest to its target.
#[utoipa::path(put, path = "/api/v1/items", tag = "items", request_body = PutRequest, responses(
    (status = 200, body = PutRecord), (status = 400, body = Problem), (status = 401, body = Problem),
    (status = 415, body = Problem), (status = 503, body = Problem), (status = 504, body = Problem)))]
pub(super) async fn put(
    State(control): State<Arc<Control>>,
    Body(request): Body<PutRequest>,
) -> Result<Json<PutRecord>, Problem> {
    let item = request.item.item().map_err(|error| Problem::bad(error, "see BEP 44 for what an item is"))?;
    let stored = control.ask(control.dht.put_item(item.clone(), request.cas)).await?;
    Ok(Json(PutRecord::new(&item, &stored)))
}
