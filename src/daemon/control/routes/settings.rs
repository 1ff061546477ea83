//! The configuration: what is in force and where each value comes from. A few settings can be changed while the node
//! runs, until it stops.

use std::collections::BTreeMap;
use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use axum::http::header::{ETAG, IF_MATCH};
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse as _, Response};
use serde::Serialize;
use serde_json::Value;
use sha1::{Digest, Sha1};
use utoipa::ToSchema;

use super::extract::Body;
use crate::daemon::config::{Config, Setting};
use crate::daemon::control::problem::{FieldProblem, Problem};
use crate::daemon::control::{Control, events};
use crate::daemon::live;

/// One setting.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct SettingRecord {
    /// Its key in the configuration file.
    key: &'static str,
    /// Its value.
    #[schema(value_type = Object)]
    value: toml::Value,
    /// Where the value comes from.
    origin: String,
    /// What it means.
    meaning: &'static str,
    /// Whether it can be changed here.
    writable: bool,
}

/// The effective configuration. `ETag` names this state of it.
#[utoipa::path(get, path = "/api/v1/config", tag = "settings", responses((status = 200, body = [SettingRecord],
    headers(("ETag", description = "For `If-Match`.")))))]
pub(super) async fn list(State(control): State<Arc<Control>>) -> Response {
    told(&control.config())
}

/// Changes settings until the node stops: all of them, or none where one is wrong. `If-Match` must name the state that is
/// changed.
#[utoipa::path(patch, path = "/api/v1/config", tag = "settings",
    params(("If-Match" = String, Header, description = "The `ETag` of the state that is changed.")),
    request_body(content = Object, description = "Keys and their new values."), responses(
    (status = 200, body = [SettingRecord]), (status = 400, body = Problem), (status = 401, body = Problem),
    (status = 412, body = Problem), (status = 415, body = Problem), (status = 422, body = Problem),
    (status = 428, body = Problem)))]
pub(super) async fn patch(
    State(control): State<Arc<Control>>,
    headers: HeaderMap,
    Body(changes): Body<BTreeMap<String, Value>>,
) -> Result<Response, Problem> {
    let changed = control.live.change(|config| {
        check_match(&headers, config)?;
        changed(config, &changes)
    })?;
    for (key, value) in &changes {
        tracing::info!(key, %value, "a setting was changed by the control interface");
        events::note_setting(&control.happenings, key, &value.to_string());
    }
    Ok(told(&changed))
}

fn told(config: &Config) -> Response {
    let records = config.entries().map(|entry| SettingRecord {
        key: entry.setting.key,
        value: entry.value,
        origin: entry.origin.to_string(),
        meaning: entry.setting.meaning,
        writable: live::is_writable(entry.setting),
    });
    ([(ETAG, tag(config))], Json(records.collect::<Vec<_>>())).into_response()
}

/// Names a state of the configuration (RFC 9110, 8.8.3).
fn tag(config: &Config) -> String {
    format!("\"{}\"", hex::encode(&Sha1::digest(config.to_toml())[..8]))
}

fn check_match(headers: &HeaderMap, config: &Config) -> Result<(), Problem> {
    let cure = "get /api/v1/config, and send its ETag as If-Match";
    let Some(wanted) = headers.get(IF_MATCH) else {
        let status = StatusCode::PRECONDITION_REQUIRED;
        return Err(Problem::new(status, "the header If-Match is missing", cure));
    };
    let tag = tag(config);
    let wanted = wanted.to_str().unwrap_or_default();
    match wanted.split(',').any(|wanted| [&tag, "*"].contains(&wanted.trim())) {
        true => Ok(()),
        false => Err(Problem::new(StatusCode::PRECONDITION_FAILED, "the configuration has changed since", cure)),
    }
}

/// The configuration with these changes, or all that is wrong with them.
fn changed(config: &Config, changes: &BTreeMap<String, Value>) -> Result<Config, Problem> {
    let (mut changed, mut errors) = (config.clone(), Vec::new());
    for (key, value) in changes {
        if let Err((detail, cure)) = change(&mut changed, key, value) {
            errors.push(FieldProblem { field: key.clone(), detail, cure });
        }
    }
    match errors.is_empty() {
        true => Ok(changed),
        false => Err(Problem {
            errors,
            ..Problem::new(
                StatusCode::UNPROCESSABLE_ENTITY,
                "nothing was changed: not all values can be set",
                "see what is said of each of them under `errors`",
            )
        }),
    }
}

fn change(config: &mut Config, key: &str, value: &Value) -> Result<(), (String, String)> {
    let Some(setting) = Setting::named(key) else {
        let cure = format!("did you mean {}?", crate::daemon::config::nearest_key(key));
        return Err(("there is no such setting".to_owned(), cure));
    };
    if !live::is_writable(setting) {
        let cure = "set it in the configuration file, and start the node again".to_owned();
        return Err(("it cannot be changed here".to_owned(), cure));
    }
    let text = |value: &Value| match value {
        Value::Number(number) => number.to_string(),
        Value::String(text) => text.clone(),
        other => other.to_string(),
    };
    let texts: Vec<String> = match value {
        Value::Array(values) => values.iter().map(text).collect(),
        value => vec![text(value)],
    };
    config.change(setting, &texts).map_err(|error| (error.to_string(), error.cure()))
}
