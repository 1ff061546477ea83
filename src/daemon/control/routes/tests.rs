//! Every route of the document against the routes that there are, in a network of two nodes.

use std::collections::BTreeSet;
use std::net::SocketAddr;

use axum::body::Body;
use axum::http::{Method, Request, StatusCode};
use http_body_util::BodyExt as _;
use serde_json::{Value, json};
use tower::ServiceExt as _;

use super::super::{Control, QUESTIONS, STREAMS, events};
use super::*;
use crate::announcer::Announcer;
use crate::announcer::source::Listing;
use crate::announcer::store::MemoryStore;
use crate::daemon::config::{Config, Settings};
use crate::daemon::control::guard::Guard;
use crate::daemon::control::lookups::Lookups;
use crate::daemon::control::token::Token;
use crate::daemon::control::wellness::Wellness;
use crate::daemon::gateway::{self, Opened};
use crate::daemon::live::Live;
use crate::dht::Dht;
use crate::index::entry::Source;
use crate::index::record::import;
use crate::index::service::{Index, Mode};
use crate::index::store::sqlite::Sqlite;
use crate::index::store::{Options, Place};

const HASH: &str = "da39a3ee5e6b4b0d3255bfef95601890afd80709";

/// The first of two nodes, and the data folder of the second.
struct First {
    dht: Dht,
    folder: tempfile::TempDir,
    announcer: Announcer,
}

impl std::ops::Deref for First {
    type Target = Dht;

    fn deref(&self) -> &Dht {
        &self.dht
    }
}

/// The routes of the second of two nodes that know each other.
async fn two_nodes() -> (First, Router) {
    two_nodes_with(Settings::default()).await
}

async fn two_nodes_with(settings: Settings) -> (First, Router) {
    let (first, control) = second_of_two(settings).await;
    (first, router(Arc::new(control)))
}

async fn second_of_two(settings: Settings) -> (First, Control) {
    let folder = tempfile::TempDir::new().unwrap();
    let settings = Settings { data_dir: folder.path().to_owned(), ..settings };
    let loopback = || Dht::builder().private_network(true).bind("127.0.0.1:0".parse().unwrap());
    let first = loopback().start().await.unwrap();
    let second = loopback().bootstrap([first.local_addrs()[0].to_string()]).start().await.unwrap();
    second.bootstrapped().await;
    let announcer = Announcer::new(second.clone(), MemoryStore::default()).await.unwrap();
    let control = Control {
        ports: None,
        wellness: Wellness::default(),
        guard: Guard { token: Token::new("a token"), names: Vec::new(), local: None },
        dht: second,
        gateway: None,
        index: Some(Arc::new(index())),
        announcer: announcer.clone(),
        live: Live::new(Config { settings, ..Config::default() }),
        lookups: Lookups::default(),
        happenings: events::journal(),
        streams: Arc::new(tokio::sync::Semaphore::new(STREAMS)),
        checks: Arc::new(tokio::sync::Semaphore::new(1)),
        history: crate::daemon::control::history::History::default(),
        questions: tokio::sync::Semaphore::new(QUESTIONS),
        began: tokio::time::Instant::now(),
    };
    (First { dht: first, folder, announcer }, control)
}

/// An index with one torrent. Its file has lost its name, and lives as long as it is open.
fn index() -> Index {
    let folder = tempfile::TempDir::new().unwrap();
    let line = format!(
        "{{\"infohash\":\"{HASH}\",\"name\":\"One name\",\"size\":1,\"file_count\":1,\"found\":1,\"seen\":1,\"seeds\":3,\
         \"peers\":1,\"counted\":1}}\n"
    );
    let mut store = Sqlite::open(folder.path(), Options::default()).unwrap();
    assert_eq!(import(&mut store, line.as_bytes(), 100, Source::Import(0)).unwrap().new, 1);
    let config = Config { settings: Settings { index: Mode::Mine, ..Settings::default() }, ..Config::default() };
    Index::open(&Place::Folder(folder.path().to_owned()), config.index_settings([0; 20]).unwrap()).unwrap()
}

async fn send(router: &Router, method: &str, target: &str, headers: &[(&str, &str)], body: &Value) -> Answered {
    let mut request = Request::builder().method(method).uri(target);
    for (name, value) in headers {
        request = request.header(*name, *value);
    }
    let body = if body.is_null() { Body::empty() } else { Body::from(body.to_string()) };
    let answer = router.clone().oneshot(request.body(body).unwrap()).await.unwrap();
    let (head, body) = answer.into_parts();
    let header = |name: &str| head.headers.get(name).map(|value| value.to_str().unwrap().to_owned());
    let (kind, etag) = (header("content-type").unwrap_or_default(), header("etag").unwrap_or_default());
    // What is held is told without end: here is what that begins with.
    let bytes = if target.ends_with("/held") && head.status.is_success() {
        let mut body = body;
        body.frame().await.unwrap().unwrap().into_data().unwrap()
    } else {
        body.collect().await.unwrap().to_bytes()
    };
    let body = serde_json::from_slice(&bytes).unwrap_or_else(|_| Value::from(String::from_utf8_lossy(&bytes)));
    Answered { status: head.status, kind, etag, body }
}

#[derive(Debug)]
struct Answered {
    status: StatusCode,
    kind: String,
    etag: String,
    body: Value,
}

const JSON: [(&str, &str); 1] = [("content-type", "application/json")];

async fn get(router: &Router, target: &str) -> Answered {
    send(router, "GET", target, &[], &Value::Null).await
}

/// A request that each documented operation answers with success.
fn example(method: &str, path: &str, first: &Dht, lookup: u64) -> (String, Value) {
    let address = first.local_addrs()[0];
    let target = match path {
        "/api/v1/scrape" => format!("{path}?infohash={HASH}"),
        "/api/v1/ping" | "/api/v1/sample" => format!("{path}?address={address}"),
        "/api/v1/scrapes" => format!("{path}?infohashes={HASH},{}", "a".repeat(40)),
        "/api/v1/search" => format!("{path}?q=one%20name"),
        "/torznab/api" => format!("{path}?t=search&q=name"),
        "/api/v1/watched" if method == "DELETE" => format!("{path}?target={HASH}"),
        _ => path.replace("{target}", HASH).replace("{infohash}", HASH).replace("{id}", &lookup.to_string()),
    };
    let body = match (method, path) {
        ("POST", "/api/v1/lookups" | "/api/v1/checks" | "/api/v1/info") => json!({ "target": HASH }),
        ("PUT", "/api/v1/items") => json!({ "item": { "value": hex::encode("5:hello") } }),
        ("POST", "/login") => json!({ "token": "a token" }),
        ("POST", "/api/v1/announcements" | "/api/v1/watched") => json!({ "target": HASH, "port": 6881 }),
        ("POST", "/api/v1/announcements/held") => json!({ "infohashes": [HASH], "port": 6881 }),
        ("PATCH", "/api/v1/announcements/{infohash}") => json!({ "port": null, "paused": true }),
        ("PATCH", _) => json!({ "new_destinations_burst": 300 }),
        _ => Value::Null,
    };
    (target, body)
}

#[tokio::test]
async fn every_documented_operation_answers_as_documented_and_there_are_no_others() {
    let (first, router) = two_nodes().await;
    let document = get(&router, "/api/v1/openapi.json").await.body;
    let mut seen = 0;
    for (path, operations) in document["paths"].as_object().unwrap() {
        for (method, operation) in operations.as_object().unwrap() {
            let method = method.to_uppercase();
            let lookup = send(&router, "POST", "/api/v1/lookups", &JSON, &json!({ "target": HASH })).await;
            send(&router, "POST", "/api/v1/announcements", &JSON, &json!({ "target": HASH })).await;
            let (target, body) = example(&method, path, &first, lookup.body["id"].as_u64().unwrap());
            let headers = [JSON[0], ("if-match", "*")];
            let answered = send(&router, &method, &target, &headers, &body).await;
            let documented = &operation["responses"][answered.status.as_str()];
            // Nobody has this torrent, so that its peers say nothing of it.
            let found_nobody = path == "/api/v1/info" && answered.status == StatusCode::NOT_FOUND;
            let as_wished = answered.status.is_success() || found_nobody;
            assert!(documented.is_object() && as_wished, "{method} {path}: {answered:?}");
            let kinds = documented["content"].as_object();
            let kind = answered.kind.split(';').next().unwrap();
            assert!(kinds.is_none_or(|kinds| kinds.contains_key(kind)), "{method} {path} is {kind}");
            check_schema(&document, &documented["content"][kind]["schema"], &answered.body, path);
            seen += 1;
        }
        let others = [Method::GET, Method::POST, Method::PUT, Method::PATCH, Method::DELETE];
        for method in others.iter().filter(|method| operations[method.as_str().to_lowercase()].is_null()) {
            let (target, _) = example("", path, &first, 1);
            let answered = send(&router, method.as_str(), &target, &[], &Value::Null).await;
            assert_eq!(answered.status, StatusCode::METHOD_NOT_ALLOWED, "{method} {path} is not documented");
            assert!(answered.kind == "application/problem+json" && answered.body["cure"].is_string());
        }
    }
    assert!(seen >= 19, "the document has {seen} operations only");
}

#[tokio::test]
async fn what_is_in_the_index_is_found_by_each_way() {
    let (_first, router) = two_nodes().await;
    let found = get(&router, "/api/v1/search?q=name%20seeds%3E2").await.body;
    assert_eq!(
        (&found["torrents"][0]["infohash"], &found["torrents"][0]["seeds"]),
        (&HASH.into(), &3.into()),
        "{found}"
    );
    assert!(found["next"].is_null(), "there is no other: {found}");
    let held = get(&router, &format!("/api/v1/index/{HASH}")).await.body;
    assert_eq!((&held["torrent"]["name"], &held["history"][0]["seeds"]), (&"One name".into(), &3.into()), "{held}");
    assert_eq!(get(&router, &format!("/api/v1/index/{}", "a".repeat(40))).await.status, StatusCode::NOT_FOUND);
    let wrong = get(&router, "/api/v1/search?q=%22a").await;
    assert!(wrong.status == StatusCode::BAD_REQUEST && wrong.body["detail"].as_str().unwrap().contains("character 1"));
    let counts = get(&router, &format!("/api/v1/scrapes?infohashes={HASH},{}", "a".repeat(40))).await.body;
    assert_eq!(counts["counts"][0]["seeds"], 3, "{counts}");
    assert!(counts["counts"][0]["counted"].is_u64(), "dated: {counts}");
    assert!(counts["counts"][1].get("seeds").is_none(), "unknown is no zero: {counts}");
    let many = vec![HASH; 201].join(",");
    for wrong in ["xyz", &many] {
        assert_eq!(get(&router, &format!("/api/v1/scrapes?infohashes={wrong}")).await.status, StatusCode::BAD_REQUEST);
    }
    let feed = get(&router, "/torznab/api?t=search&q=name").await;
    assert!(feed.kind.starts_with("application/xml") && feed.body.as_str().unwrap().contains(HASH), "{feed:?}");
    let caps = get(&router, "/torznab/api?t=caps").await.body;
    assert!(caps.as_str().unwrap().contains("<caps>"), "{caps}");
    let wrong = get(&router, "/torznab/api?t=dance").await.body;
    assert!(wrong.as_str().unwrap().contains("<error code=\"202\""), "{wrong}");
    let plugin = get(&router, "/trackerless.py").await.body;
    assert!(plugin.as_str().unwrap().contains("url = \"http://127.0.0.1\""), "{plugin}");
}

#[test]
fn the_page_has_every_route_and_no_other() {
    const PAGE: &str = include_str!(concat!(env!("CARGO_MANIFEST_DIR"), "/docs/CONTROL.md"));
    let (_, document) = documented().split_for_parts();
    let document = serde_json::to_value(&document).unwrap();
    let operations = document["paths"].as_object().unwrap().iter().flat_map(|(path, operations)| {
        operations.as_object().unwrap().keys().map(move |method| format!("{} {path}", method.to_uppercase()))
    });
    let there: BTreeSet<String> = operations.collect();
    let rows = PAGE.lines().filter_map(|line| line.strip_prefix("| `")?.split_once('`'));
    let told: BTreeSet<String> = rows.map(|(route, _)| route.to_owned()).collect();
    assert_eq!(told, there);
}

/// Whether a value has what its schema requires, and nothing that it does not name.
fn check_schema(document: &Value, schema: &Value, value: &Value, place: &str) {
    if let Some(reference) = schema["$ref"].as_str() {
        let name = reference.rsplit('/').next().unwrap();
        return check_schema(document, &document["components"]["schemas"][name], value, place);
    }
    if let Some(items) = schema.get("items").filter(|_| value.is_array()) {
        return value.as_array().unwrap().iter().for_each(|value| check_schema(document, items, value, place));
    }
    let (Some(properties), Some(object)) = (schema["properties"].as_object(), value.as_object()) else { return };
    let known: BTreeSet<&String> = properties.keys().collect();
    let there: BTreeSet<&String> = object.keys().collect();
    assert!(there.is_subset(&known), "{place}: {there:?} are not all in {known:?}");
    for required in schema["required"].as_array().into_iter().flatten() {
        assert!(object.contains_key(required.as_str().unwrap()), "{place}: {required} is missing in {value}");
    }
    properties.iter().for_each(|(name, schema)| check_schema(document, schema, &value[name], place));
}

#[tokio::test]
async fn what_is_wrong_is_told_with_its_cure() {
    let (_first, router) = two_nodes().await;
    let long = "x".repeat(500);
    for (method, target, headers, body, status) in [
        ("GET", "/nothing", &[][..], Value::Null, 404),
        ("POST", "/login", &JSON, json!({ "token": "another" }), 401),
        ("POST", "/login", &JSON, json!({}), 400),
        ("GET", "/api/v2/status", &[], Value::Null, 404),
        ("GET", "/api/v1/lookups/77", &[], Value::Null, 404),
        ("DELETE", "/api/v1/lookups/77", &[], Value::Null, 404),
        ("GET", "/api/v1/lookups/seven", &[], Value::Null, 400),
        ("GET", "/api/v1/scrape", &[], Value::Null, 400),
        ("GET", "/api/v1/scrape?infohash=12", &[], Value::Null, 400),
        ("GET", "/api/v1/ping?address=localhost:1", &[], Value::Null, 400),
        ("GET", "/api/v1/items/zz", &[], Value::Null, 400),
        ("GET", &format!("/api/v1/items/{HASH}?salt={}", "00".repeat(65)), &[], Value::Null, 400),
        ("GET", "/api/v1/announces?visible=maybe", &[], Value::Null, 400),
        ("GET", "/api/v1/announcements?limit=0", &[], Value::Null, 400),
        ("GET", "/api/v1/announcements?state=lost", &[], Value::Null, 400),
        ("GET", "/api/v1/announcements?after=12", &[], Value::Null, 400),
        ("POST", "/api/v1/announcements", &JSON, json!({ "target": "/srv" }), 400),
        ("POST", "/api/v1/announcements/held", &JSON, json!({ "infohashes": [], "port": 1 }), 400),
        ("POST", "/api/v1/announcements/held", &JSON, json!({ "infohashes": [HASH], "port": 0 }), 400),
        ("POST", "/api/v1/announcements/held", &JSON, json!({ "infohashes": ["12"], "port": 1 }), 400),
        ("POST", "/api/v1/announcements", &JSON, json!({ "target": HASH, "port": 0 }), 400),
        ("GET", &format!("/api/v1/announcements/{HASH}"), &[], Value::Null, 404),
        ("PATCH", &format!("/api/v1/announcements/{HASH}"), &JSON, json!({ "paused": true }), 404),
        ("PATCH", &format!("/api/v1/announcements/{HASH}"), &JSON, json!({ "port": 0 }), 400),
        ("PATCH", &format!("/api/v1/announcements/{HASH}"), &JSON, json!({ "name": "another" }), 400),
        ("DELETE", &format!("/api/v1/announcements/{HASH}"), &[], Value::Null, 404),
        ("POST", "/api/v1/watched", &JSON, json!({ "target": "some/folder" }), 400),
        ("POST", "/api/v1/watched", &JSON, json!({ "target": "/no/such/folder" }), 400),
        ("DELETE", "/api/v1/watched", &[], Value::Null, 400),
        ("GET", "/api/v1/search?q=name&after=3", &[], Value::Null, 400),
        ("GET", &format!("/api/v1/search?q=name&skip=1&after=1-1-{HASH}"), &[], Value::Null, 400),
        ("GET", "/api/v1/index/12", &[], Value::Null, 400),
        ("POST", "/api/v1/info", &JSON, json!({ "target": "/etc/passwd" }), 400),
        ("POST", "/api/v1/info", &[], json!({ "target": HASH }), 415),
        ("GET", "/api/v1/events?until=3", &[], Value::Null, 400),
        ("POST", "/api/v1/lookups", &[], json!({ "target": HASH }), 415),
        ("POST", "/api/v1/lookups", &JSON, json!({ "target": long }), 400),
        ("POST", "/api/v1/lookups", &JSON, json!({ "target": HASH, "port": 1 }), 400),
        ("POST", "/api/v1/lookups", &JSON, json!({ "target": HASH, "announce": { "port": 0 } }), 400),
        ("POST", "/api/v1/lookups", &JSON, json!([]), 400),
        ("PUT", "/api/v1/items", &JSON, json!({ "item": { "value": "6931" } }), 400),
        ("PUT", "/api/v1/items", &JSON, json!({ "item": { "value": hex::encode("1:a"), "seq": 1 } }), 400),
        ("PATCH", "/api/v1/config", &JSON, json!({}), 428),
        ("PATCH", "/api/v1/config", &[JSON[0], ("if-match", "\"old\"")], json!({}), 412),
    ] {
        let answered = send(&router, method, target, headers, &body).await;
        assert_eq!(answered.status.as_u16(), status, "{method} {target} {body}: {answered:?}");
        assert_eq!(
            (answered.kind.as_str(), answered.body["status"].as_u64()),
            ("application/problem+json", Some(status.into()))
        );
        assert!(answered.body["cure"].as_str().is_some_and(|cure| !cure.is_empty()), "{method} {target}: {answered:?}");
    }
}

#[tokio::test]
async fn settings_are_changed_all_or_none_and_only_by_those_who_know_the_state() {
    let (_first, router) = two_nodes().await;
    let before = get(&router, "/api/v1/config").await;
    let headers = |tag: &str| [("content-type", "application/json".to_owned()), ("if-match", tag.to_owned())];
    let patch = async |tag: &str, body: Value| {
        let headers = headers(tag);
        let headers: Vec<_> = headers.iter().map(|(name, value)| (*name, value.as_str())).collect();
        send(&router, "PATCH", "/api/v1/config", &headers, &body).await
    };
    let wrong = json!({
        "new_destinations_per_second": 0, "new_destinations_burst": 300, "lan": true, "new_destinations_bust": 1,
    });
    let refused = patch(&before.etag, wrong).await;
    assert_eq!((refused.status.as_u16(), refused.body["errors"].as_array().unwrap().len()), (422, 3), "{refused:?}");
    assert_eq!(get(&router, "/api/v1/config").await.etag, before.etag, "nothing was changed");
    let done = patch(&before.etag, json!({ "new_destinations_burst": 300 })).await;
    assert_eq!(done.status.as_u16(), 200, "{done:?}");
    let burst = |answered: &Answered| {
        let all = answered.body.as_array().unwrap().iter();
        all.clone().find(|setting| setting["key"] == "new_destinations_burst").cloned().unwrap()
    };
    assert_eq!(
        (burst(&done)["value"].as_u64(), burst(&done)["origin"].as_str()),
        (Some(300), Some("control interface"))
    );
    assert_eq!(burst(&before)["origin"], "default");
    let done = patch(&done.etag, json!({ "watch": [HASH, "/srv/torrents/**"], "announce_port": 6881 })).await;
    let watch = done.body.as_array().unwrap().iter().find(|setting| setting["key"] == "watch").unwrap();
    assert_eq!(watch["value"], json!([HASH, "/srv/torrents/**"]));
    // It names a host to which a password goes.
    let client = patch(&done.etag, json!({ "client": ["aria2+http://:p@198.51.100.1/"] })).await;
    assert_eq!(client.body["errors"][0]["field"], "client", "{client:?}");
    assert_eq!(patch(&before.etag, json!({})).await.status.as_u16(), 412, "the state is another now");
    let events = get(&router, "/api/v1/events").await;
    assert_eq!(events.body["events"][0]["event"], "setting", "{events:?}");
}

#[tokio::test]
async fn a_lookup_is_watched_to_its_end_and_its_events_are_numbered() {
    let (first, router) = two_nodes().await;
    let request = json!({ "target": HASH, "announce": { "port": 6881, "seed": true } });
    let lookup = send(&router, "POST", "/api/v1/lookups", &JSON, &request).await;
    assert_eq!(lookup.status, StatusCode::CREATED, "{lookup:?}");
    let events = format!("/api/v1/lookups/{}/events", lookup.body["id"]);
    let stream = send(&router, "GET", &events, &[("accept", "text/event-stream")], &Value::Null).await;
    let text = stream.body.as_str().unwrap();
    assert!(stream.kind == "text/event-stream" && text.starts_with("id: 1\nevent: "), "{text}");
    for name in ["answered", "stored", "done", "end"] {
        assert!(text.contains(&format!("\nevent: {name}\ndata: ")), "{name} is missing in {text}");
    }
    let all = get(&router, &events).await.body["events"].as_array().unwrap().clone();
    let later = get(&router, &format!("{events}?since={}", all.len() - 1)).await;
    assert_eq!(later.body["events"].as_array().unwrap(), &all[all.len() - 1..], "only what was not seen");
    let mut found = first.find_peers(HASH.parse().unwrap()).await;
    assert_eq!(found.next().await.map(|peer| peer.port()), Some(6881));
    let path = format!("/api/v1/lookups/{}", lookup.body["id"]);
    let record = get(&router, &path).await.body;
    assert_eq!((record["running"].as_bool(), record["stored"].as_u64()), (Some(false), Some(1)));
    assert_eq!(send(&router, "DELETE", &path, &[], &Value::Null).await.status, StatusCode::NO_CONTENT);
    assert_eq!(get(&router, &path).await.status, StatusCode::NOT_FOUND);
}

#[tokio::test]
async fn what_is_kept_announced_is_added_told_page_by_page_changed_and_removed() {
    let (first, router) = two_nodes().await;
    let (other, path) = ("f".repeat(40), format!("/api/v1/announcements/{HASH}"));
    let magnet = format!("magnet:?xt=urn:btih:{HASH}&dn=Some%20Name");
    for request in [json!({ "target": magnet, "port": 6881, "seed": true }), json!({ "target": other })] {
        let added = send(&router, "POST", "/api/v1/announcements", &JSON, &request).await;
        assert_eq!(added.status, StatusCode::CREATED, "{added:?}");
    }
    let list = async |query: &str| get(&router, &format!("/api/v1/announcements?{query}")).await.body;
    let begin = list("limit=1").await;
    assert_eq!((&begin["announcements"][0]["infohash"], &begin["next"]), (&HASH.into(), &HASH.into()));
    assert_eq!(begin["totals"]["infohashes"], 2);
    let rest = list(&format!("limit=1&after={HASH}")).await;
    assert_eq!((&rest["announcements"][0]["infohash"], &rest["next"]), (&other.as_str().into(), &Value::Null));
    for (query, count) in
        [("search=DA39", 1), ("search=some+name", 1), ("search=nothing", 0), ("state=no%20port", 1), ("", 2)]
    {
        assert_eq!(list(query).await["announcements"].as_array().unwrap().len(), count, "{query}");
    }
    let not_visible = list("not_visible=true").await["announcements"].clone();
    assert!(not_visible.as_array().unwrap().iter().all(|known| known["infohash"] == HASH), "{not_visible}");

    let change = async |body: Value| send(&router, "PATCH", &path, &JSON, &body).await.body;
    assert_eq!(change(json!({ "paused": true })).await["state"], "paused");
    let changed = change(json!({ "paused": false, "port": 4321, "seed": false })).await;
    assert_eq!(
        (&changed["port"], &changed["seed"], &changed["name"]),
        (&4321.into(), &false.into(), &"Some Name".into())
    );
    assert_eq!(change(json!({ "port": null })).await["state"], "no port");

    // What people have named is one list, whichever way they named it.
    let named = async || get(&router, "/api/v1/watched").await.body["watched"].clone();
    assert_eq!(named().await[0]["target"], magnet);
    let again = json!({ "target": HASH, "paused": true });
    let again = send(&router, "POST", "/api/v1/announcements", &JSON, &again).await;
    assert_eq!((again.status, &again.body[0]["state"]), (StatusCode::CREATED, &"paused".into()), "{again:?}");
    let all = named().await;
    let targets: Vec<&str> = all.as_array().unwrap().iter().map(|one| one["target"].as_str().unwrap()).collect();
    assert_eq!(targets, [&other, HASH]);
    assert!(
        send(&router, "DELETE", &format!("/api/v1/announcements/{other}"), &[], &Value::Null).await.status.is_success()
    );
    assert_eq!(named().await.as_array().unwrap().len(), 1);
    assert_eq!(send(&router, "DELETE", &path, &[], &Value::Null).await.status, StatusCode::NO_CONTENT);
    assert_eq!(get(&router, &path).await.status, StatusCode::NOT_FOUND);

    let folder = first.folder.path().to_str().unwrap();
    let watch = json!({ "target": format!("{folder}/**"), "seed": true });
    for new in [true, false] {
        let watched = send(&router, "POST", "/api/v1/watched", &JSON, &watch).await.body;
        assert_eq!((&watched["target"], &watched["new"]), (&folder.into(), &new.into()), "{watched}");
    }
    let watched = get(&router, "/api/v1/watched").await.body["watched"].clone();
    assert_eq!(watched, json!([{ "target": folder, "port": null, "recursive": true, "seed": true, "paused": false }]));
    for removed in [true, false] {
        let target = format!("/api/v1/watched?target={folder}");
        assert_eq!(send(&router, "DELETE", &target, &[], &Value::Null).await.body["removed"], removed);
    }
}

#[tokio::test]
async fn the_clients_that_are_followed_are_told_with_what_is_wrong_and_never_with_a_password() {
    let client = |text: &str| text.parse::<crate::announcer::clients::ClientAddress>().unwrap();
    let settings = Settings {
        client: ["aria2+http://:secret@127.0.0.1:1/jsonrpc", "transmission+http://127.0.0.1:2"].map(client).into(),
        ..Settings::default()
    };
    let (first, router) = two_nodes_with(settings).await;
    let told = get(&router, "/api/v1/clients").await.body;
    assert_eq!((&told["gateway"], told["torrent_clients"].as_array().unwrap().len()), (&Value::Null, 2));
    assert_eq!(told["torrent_clients"][0]["state"], "not asked yet");
    let source = told["torrent_clients"][0]["client"].as_str().unwrap().to_owned();
    assert!(!source.contains("secret"), "{source}");
    let listed = |trouble: Option<&str>| Listing {
        source: source.as_str().into(),
        torrents: Some(Vec::new()),
        ipv4_only: false,
        left_out: Vec::new(),
        trouble: trouble.map(str::to_owned),
    };
    for (trouble, state) in [(None, "followed"), (Some("it is off"), "in trouble")] {
        first.announcer.list(listed(trouble));
        let told = get(&router, "/api/v1/clients").await.body["torrent_clients"][0].clone();
        assert_eq!((&told["state"], &told["error"]), (&state.into(), &json!(trouble)), "{told}");
        assert!(told["since"].as_u64().is_some_and(|since| since > 1_600_000_000), "{told}");
    }
}

/// Announces to the gateway and waits for nothing; the connection is open as long as what is returned.
async fn announce(gateway: SocketAddr, host: [u8; 4], port: u16, left: u32) -> tokio::net::TcpStream {
    let socket = tokio::net::TcpSocket::new_v4().unwrap();
    socket.bind((host, 0).into()).unwrap();
    let mut stream = socket.connect(gateway).await.unwrap();
    let query =
        format!("info_hash=aaaaaaaaaaaaaaaaaaaa&peer_id=-XX0100-abcdefghijkl&port={port}&left={left}&event=started");
    let request = format!("GET /announce?{query} HTTP/1.1\r\nHost: {gateway}\r\n\r\n");
    tokio::io::AsyncWriteExt::write_all(&mut stream, request.as_bytes()).await.unwrap();
    stream
}

#[tokio::test]
async fn the_clients_of_the_gateway_are_told_one_by_one_and_page_by_page() {
    let (first, mut control) = second_of_two(Settings::default()).await;
    let config = Settings { gateway: Some("127.0.0.1:0".parse().unwrap()), ..Settings::default() };
    let config =
        Config { settings: Settings { data_dir: first.folder.path().to_owned(), ..config }, ..Config::default() };
    let Ok(Opened::Ready(gateway)) = gateway::open(&config, &first, None, None).await else { panic!("no gateway") };
    let (addr, monitor) = (gateway.local_addr(), gateway.monitor());
    control.gateway = Some(monitor.clone());
    let router = router(Arc::new(control));
    let path = "/api/v1/clients/gateway";
    let told = get(&router, path).await.body;
    assert_eq!(told, json!({ "clients": [], "next": null }));
    let mut tasks = tokio::task::JoinSet::new();
    tasks.spawn(gateway.run());
    // Ports of the system, at which no client is asked for its metadata; 1 is that of clients that cannot be reached.
    let mut open = Vec::new();
    for (last, port, left) in [(1, 2, 0), (2, 3, 9), (3, 4, 9)] {
        open.push(announce(addr, [127, 0, 0, last], port, left).await);
    }
    while monitor.clients_after(None, 10).len() < 3 {
        tokio::task::yield_now().await;
    }
    let told = get(&router, &format!("{path}?limit=2")).await.body;
    let [seed, leech] = &told["clients"].as_array().unwrap()[..] else { panic!("{told}") };
    // Whether the gateway has come to its question yet is chance.
    let unknown = seed["said"]["unknown"].clone();
    let said = json!({ "public": 0, "private": 0, "withheld": 0, "no_metadata": 0, "unknown": unknown });
    let seen = seed["seen_secs"].clone();
    let expected = json!({ "address": "127.0.0.1:2", "program": "XX0100", "near": "host", "seen_secs": seen, "torrents": 1,
        "seeds": 1, "leeches": 0, "refused": 0, "said": said });
    assert_eq!(seed, &expected);
    assert_eq!((&leech["address"], &leech["leeches"]), (&json!("127.0.0.2:3"), &json!(1)));
    assert_eq!(told["next"], "127.0.0.2:3");
    let rest = get(&router, &format!("{path}?limit=2&after=127.0.0.2:3")).await.body;
    assert_eq!((&rest["clients"][0]["address"], &rest["next"]), (&json!("127.0.0.3:4"), &Value::Null));
    for bad in ["limit=0", "limit=1001", "after=here", "name=x"] {
        let answered = get(&router, &format!("{path}?{bad}")).await;
        assert!(answered.status == StatusCode::BAD_REQUEST && answered.body["cure"].is_string(), "{answered:?}");
    }
}

#[tokio::test]
async fn what_is_held_is_gone_with_its_reader() {
    let (first, router) = two_nodes().await;
    let hold = async |infohash: &str| {
        let body = Body::from(json!({ "infohashes": [infohash], "port": 5000, "seed": true }).to_string());
        let request = Request::post("/api/v1/announcements/held").header("content-type", "application/json");
        router.clone().oneshot(request.body(body).unwrap()).await.unwrap()
    };
    let (held, other) = (hold(HASH).await, hold(&"b".repeat(40)).await);
    let mut body = held.into_body();
    let first_event = body.frame().await.unwrap().unwrap().into_data().unwrap();
    assert!(first_event.starts_with(b"event: held\ndata: "), "{first_event:?}");
    // It is looked for within seconds, and that is told.
    let told = body.frame().await.unwrap().unwrap().into_data().unwrap();
    let told = String::from_utf8(told.to_vec()).unwrap();
    assert!(told.starts_with("event: announcement\n") && told.contains(HASH), "{told}");
    assert!(first.announcer.announcement(HASH.parse().unwrap()).is_some());
    drop(body);
    assert!(first.announcer.announcement(HASH.parse().unwrap()).is_none(), "its reader is gone");
    assert_eq!(first.announcer.totals().states.values().sum::<usize>(), 1, "that of the other is not");
    drop(other);
    first.announcer.set_bounds(25, 0);
    assert_eq!(hold(HASH).await.status(), StatusCode::CONFLICT);
    assert!(first.announcer.totals().states.is_empty(), "nothing is left of what found no room");
}

#[tokio::test]
async fn streams_of_events_are_bounded() {
    let (_first, router) = two_nodes().await;
    let open = async || {
        let request = Request::get("/api/v1/events").header("accept", "text/event-stream").body(Body::empty()).unwrap();
        router.clone().oneshot(request).await.unwrap()
    };
    let mut streams = Vec::new();
    for _ in 0..STREAMS {
        streams.push(open().await);
    }
    assert!(streams.iter().all(|stream| stream.status() == StatusCode::OK));
    assert_eq!(open().await.status(), StatusCode::SERVICE_UNAVAILABLE);
    streams.pop();
    assert_eq!(open().await.status(), StatusCode::OK, "a reader that leaves makes room");
}

#[tokio::test]
async fn the_page_is_served_under_a_strict_policy_and_its_cookie_is_for_it_alone() {
    let (_first, router) = two_nodes().await;
    for file in crate::daemon::dashboard::FILES {
        let answer = router.clone().oneshot(Request::get(file.path).body(Body::empty()).unwrap()).await.unwrap();
        assert_eq!(answer.headers()["content-type"], file.kind);
        let policy = answer.headers()["content-security-policy"].to_str().unwrap();
        assert!(policy.starts_with("default-src 'none'; ") && !policy.contains("unsafe"), "{policy}");
    }
    let body = Body::from(json!({ "token": "a token" }).to_string());
    let login = Request::post("/login").header("content-type", "application/json").body(body).unwrap();
    let answer = router.clone().oneshot(login).await.unwrap();
    let cookie = answer.headers()["set-cookie"].to_str().unwrap().to_owned();
    assert!(cookie.contains("; HttpOnly; SameSite=Strict; Path=/; ") && !cookie.contains("a token"), "{cookie}");
    let cookie = cookie.split(';').next().unwrap();
    let session = send(&router, "GET", "/session", &[("cookie", cookie)], &Value::Null).await;
    assert_eq!(session.body["logged_in"], true, "{session:?}");
    assert_eq!(get(&router, "/session").await.body["logged_in"], false);
}

#[tokio::test]
async fn each_contact_is_told_in_the_table_of_the_address_that_knows_it() {
    let first = Dht::builder().private_network(true).bind("127.0.0.1:0".parse().unwrap()).start().await.unwrap();
    let (folder, mut control) = second_of_two(Settings::default()).await;
    let two = Dht::builder().private_network(true).bind("127.0.0.1:0".parse().unwrap());
    let two = two.bind("127.0.0.1:0".parse().unwrap()).bootstrap([first.local_addrs()[0].to_string()]);
    control.dht = two.start().await.unwrap();
    control.dht.bootstrapped().await;
    let (own, routes) = (control.dht.local_addrs(), router(Arc::new(control)));
    for addr in &own {
        // Either comes to know the first node: it is in two tables.
        loop {
            let nodes = get(&routes, "/api/v1/nodes").await.body;
            let in_it = |node: &&Value| node["own_address"] == addr.to_string();
            let tables: Vec<&Value> = nodes.as_array().unwrap().iter().filter(in_it).collect();
            assert!(tables.iter().all(|node| node["address"] != addr.to_string()), "{nodes}");
            if tables.iter().any(|node| node["address"] == first.local_addrs()[0].to_string()) {
                break;
            }
            tokio::task::yield_now().await;
        }
    }
    drop(folder);
}
