//! aria2, by its JSON-RPC. It does not say whether a torrent is private: its metadata decides (BEP 9).

use reqwest::Url;
use serde::Deserialize;
use serde_json::{Value, json};

use super::answer::{self, Answer, Reported, Torrents, Whereabouts};
use super::http::{Http, unexpected};
use super::secret::Secret;
use super::trouble::Trouble;

/// A conversation with aria2.
#[derive(Debug)]
pub struct Aria2 {
    http: Http,
    url: Url,
}

impl Aria2 {
    /// A conversation that has not begun.
    ///
    /// # Errors
    /// As [`Http::new`].
    pub fn new(url: &Url) -> Result<Self, Trouble> {
        Ok(Self { http: Http::new(url)?, url: url.clone() })
    }

    /// Its HTTP side.
    pub const fn http(&self) -> &Http {
        &self.http
    }

    /// Asks for everything, in one request of three calls.
    ///
    /// # Errors
    /// It gives nothing.
    pub async fn ask(&mut self, user: Option<&str>, password: Option<&Secret>) -> Result<Answer, Trouble> {
        // A secret alone is `--rpc-secret`; a user with a password is what older versions know.
        let secret = password.filter(|_| user.is_none());
        let mut request = self.http.post(self.url.clone()).json(&calls(secret));
        if let (Some(user), Some(password)) = (user, password) {
            request = request.basic_auth(user, Some(password.expose()));
        }
        let reply = self.http.send(request).await?;
        match reply.status {
            200 | 400 => told(&reply.json()?, password.is_some()),
            401 if password.is_none() => Err(Trouble::NeedsPassword),
            401 => Err(Trouble::Refused),
            404 => Err(Trouble::Lacks("JSON-RPC at this path")),
            status => Err(unexpected(status)),
        }
    }
}

fn calls(secret: Option<&Secret>) -> Value {
    let keys = json!(["infoHash", "status", "seeder", "bittorrent"]);
    let call = |id: usize, method: &str, parameters: Vec<Value>| {
        let token = secret.map(|secret| json!(format!("token:{}", secret.expose())));
        let params: Vec<Value> = token.into_iter().chain(parameters).collect();
        json!({"jsonrpc": "2.0", "id": id, "method": method, "params": params})
    };
    json!([
        call(0, "aria2.tellActive", vec![keys.clone()]),
        call(1, "aria2.tellWaiting", vec![json!(0), json!(answer::MOST_TORRENTS), keys]),
        call(2, "aria2.getGlobalOption", Vec::new()),
    ])
}

#[derive(Debug, Deserialize)]
struct Response {
    id: Option<usize>,
    result: Option<Value>,
    error: Option<Fault>,
}

#[derive(Debug, Deserialize)]
struct Fault {
    #[serde(default)]
    message: String,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Download {
    info_hash: Option<String>,
    status: String,
    #[serde(default)]
    seeder: String,
    #[serde(default)]
    bittorrent: Metadata,
}

#[derive(Debug, Default, Deserialize)]
struct Metadata {
    info: Option<Info>,
}

#[derive(Debug, Deserialize)]
struct Info {
    #[serde(default)]
    name: String,
}

#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "kebab-case")]
struct Settings {
    #[serde(default)]
    listen_port: String,
    #[serde(default)]
    interface: String,
}

fn told(value: &Value, has_password: bool) -> Result<Answer, Trouble> {
    let responses: Vec<Response> = match value {
        Value::Array(_) => read(value)?,
        // A refusal of the whole.
        other => vec![read(other)?],
    };
    if let Some(fault) = responses.iter().find_map(|response| response.error.as_ref()) {
        return Err(match fault.message.as_str() {
            "Unauthorized" if has_password => Trouble::Refused,
            "Unauthorized" => Trouble::NeedsPassword,
            other => Trouble::Strange(other.chars().filter(|c| !c.is_control()).take(200).collect()),
        });
    }
    let result =
        |id| responses.iter().find(|response| response.id == Some(id)).and_then(|response| response.result.as_ref());
    let missing = || Trouble::Strange("a part of the answer is missing".to_owned());
    let mut torrents = Torrents::default();
    for id in [0, 1] {
        for download in read::<Vec<Download>>(result(id).ok_or_else(missing)?)? {
            let Some(infohash) = &download.info_hash else { continue };
            let name = download.bittorrent.info.map(|info| info.name).unwrap_or_default();
            let reported = Reported::new(&name, download.seeder == "true", download.status == "active", None);
            torrents.add([infohash.as_str()], reported);
        }
    }
    let settings: Settings = read(result(2).ok_or_else(missing)?)?;
    Ok(torrents.answer(first_port(&settings.listen_port), settings.whereabouts()))
}

/// aria2 listens on the first port of its ranges that is free, which it does not tell: mostly that is the first one. The
/// check of the metadata is made at that port, so that a wrong one is not announced.
fn first_port(ranges: &str) -> Option<u16> {
    ranges.split(['-', ',']).next()?.trim().parse().ok().filter(|port| *port != 0)
}

impl Settings {
    fn whereabouts(&self) -> Whereabouts {
        let bound = answer::address(&self.interface);
        let interface =
            Some(&self.interface).filter(|text| !text.is_empty() && text.parse::<std::net::IpAddr>().is_err());
        Whereabouts { bound: bound.into_iter().collect(), interface: interface.cloned(), ..Whereabouts::default() }
    }
}

fn read<T: for<'de> Deserialize<'de>>(value: &Value) -> Result<T, Trouble> {
    T::deserialize(value).map_err(|error| Trouble::Strange(error.to_string()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn answers(active: &Value, waiting: &Value, settings: &Value) -> Value {
        json!([{"id": 0, "jsonrpc": "2.0", "result": active}, {"id": 1, "jsonrpc": "2.0", "result": waiting},
            {"id": 2, "jsonrpc": "2.0", "result": settings}])
    }

    #[test]
    fn torrents_are_told_and_their_privacy_is_not_known() {
        let torrent = |hash: &str, status, seeder: &str| json!({"infoHash": hash.repeat(40), "status": status, "seeder": seeder, "bittorrent": {"info": {"name": hash}}});
        let active = json!([torrent("a", "active", "true"), {"status": "active"},
            {"infoHash": "b".repeat(40), "status": "active", "seeder": "false", "bittorrent": {"announceList": []}}]);
        let waiting = json!([torrent("c", "paused", "false"), torrent("a", "waiting", "false")]);
        let settings = json!({"listen-port": "6890-6999,7000", "interface": "tun0", "dir": "/x"});
        let answer = told(&answers(&active, &waiting, &settings), true).unwrap();
        let flags: Vec<_> = answer.torrents.iter().map(|t| (t.active, t.complete, t.private)).collect();
        assert_eq!(flags, [(true, true, None), (true, false, None), (false, false, None)]);
        assert_eq!((answer.port, answer.place.interface.as_deref()), (Some(6890), Some("tun0")));
    }

    #[test]
    fn refusals_are_told_apart() {
        let refusal = json!([{"error": {"code": 1, "message": "Unauthorized"}, "id": 0, "jsonrpc": "2.0"}]);
        assert_eq!(told(&refusal, true), Err(Trouble::Refused));
        assert_eq!(told(&refusal, false), Err(Trouble::NeedsPassword));
        let whole = json!({"error": {"code": -32700, "message": "Parse error."}, "id": null, "jsonrpc": "2.0"});
        assert_eq!(told(&whole, false), Err(Trouble::Strange("Parse error.".to_owned())));
        assert!(matches!(told(&json!([]), false), Err(Trouble::Strange(_))));
        assert!(matches!(told(&answers(&json!(7), &json!([]), &json!({})), false), Err(Trouble::Strange(_))));
    }

    #[test]
    fn the_secret_comes_first() {
        let calls = calls(Some(&Secret::new("s")));
        assert!(calls.as_array().unwrap().iter().all(|call| call["params"][0] == "token:s"));
        assert_eq!(super::calls(None)[2]["params"], json!([]));
    }
}
