//! Deluge, by the JSON-RPC of its web interface (deluge-web), which speaks to the daemon.
//!
//! The whole list is asked for each time: differences are kept for one asker only, and the web page is one too.

use std::collections::BTreeMap;

use reqwest::Url;
use serde::Deserialize;
use serde_json::{Value, json};

use super::answer::{self, Answer, Reported, Torrents, Whereabouts};
use super::http::{Http, unexpected};
use super::secret::Secret;
use super::trouble::Trouble;

/// A conversation with Deluge.
#[derive(Debug)]
pub struct Deluge {
    http: Http,
    url: Url,
}

impl Deluge {
    /// A conversation that has not begun.
    ///
    /// # Errors
    /// As [`Http::new`].
    pub fn new(url: &Url) -> Result<Self, Trouble> {
        let mut json = url.clone();
        json.set_path(&format!("{}/json", url.path().trim_end_matches('/')));
        Ok(Self { http: Http::new(url)?, url: json })
    }

    /// Its HTTP side.
    pub const fn http(&self) -> &Http {
        &self.http
    }

    /// Asks for everything.
    ///
    /// # Errors
    /// It gives nothing.
    pub async fn ask(&mut self, password: Option<&Secret>) -> Result<Answer, Trouble> {
        if !self.is_connected(password).await? {
            self.connect().await?;
        }
        let keys = ["name", "state", "is_seed", "private", "num_pieces"];
        let list: List = self.call("core.get_torrents_status", json!([{}, keys])).await?;
        let port = self.call("core.get_listen_port", json!([])).await?;
        let external = match self.call("core.get_external_ip", json!([])).await {
            // Its daemon has answered before: it is too old for this.
            Err(Refusal::NoDaemon) => return Err(Trouble::Lacks("core.get_external_ip")),
            other => other?,
        };
        let keys = json!([["listen_interface", "outgoing_interface", "proxy"]]);
        let config: Config = self.call("core.get_config_values", keys).await?;
        Ok(told(&list, port, external, &config))
    }

    /// Whether the web interface is connected to a daemon; logs in where that is asked for.
    async fn is_connected(&mut self, password: Option<&Secret>) -> Result<bool, Trouble> {
        match self.call("web.connected", json!([])).await {
            Err(Refusal::NotLoggedIn) => {
                self.log_in(password).await?;
                Ok(self.call("web.connected", json!([])).await?)
            }
            other => Ok(other?),
        }
    }

    /// Connects the web interface to its only daemon.
    async fn connect(&mut self) -> Result<(), Trouble> {
        let hosts: Vec<Vec<Value>> = self.call("web.get_hosts", json!([])).await?;
        let [host] = hosts.as_slice() else { return Err(Trouble::NotConnected) };
        let host = host.first().ok_or(Trouble::NotConnected)?;
        let _: Value = self.call("web.connect", json!([host])).await?;
        Ok(())
    }

    async fn log_in(&mut self, password: Option<&Secret>) -> Result<(), Trouble> {
        let password = password.ok_or(Trouble::NeedsPassword)?;
        let entered: Value = self.call("auth.login", json!([password.expose()])).await?;
        if entered == Value::Bool(false) { Err(Trouble::Refused) } else { Ok(()) }
    }

    async fn call<T: for<'de> Deserialize<'de>>(&mut self, method: &str, params: Value) -> Result<T, Refusal> {
        // Deluge takes exactly this type of content.
        let call = json!({"id": 1, "method": method, "params": params});
        let reply = self.http.send(self.http.post(self.url.clone()).json(&call)).await?;
        match reply.status {
            200 => judged(reply.json()?),
            404 => Err(Trouble::Lacks("JSON-RPC at this path").into()),
            status => Err(unexpected(status).into()),
        }
    }
}

/// Why a call gave nothing.
#[derive(Debug, PartialEq, Eq)]
enum Refusal {
    NotLoggedIn,
    NoDaemon,
    Other(Trouble),
}

impl From<Trouble> for Refusal {
    fn from(trouble: Trouble) -> Self {
        Self::Other(trouble)
    }
}

impl From<Refusal> for Trouble {
    fn from(refusal: Refusal) -> Self {
        match refusal {
            Refusal::NotLoggedIn => Self::Refused,
            Refusal::NoDaemon => Self::NotConnected,
            Refusal::Other(trouble) => trouble,
        }
    }
}

#[derive(Debug, Deserialize)]
struct Response {
    result: Value,
    error: Option<Fault>,
}

#[derive(Debug, Deserialize)]
struct Fault {
    #[serde(default)]
    code: i64,
    #[serde(default)]
    message: String,
}

/// What a response comes to. Codes 1 and 2 are those of deluge-web: not logged in; a method that no daemon has told it.
fn judged<T: for<'de> Deserialize<'de>>(response: Response) -> Result<T, Refusal> {
    match response.error {
        Some(Fault { code: 1, .. }) => Err(Refusal::NotLoggedIn),
        Some(Fault { code: 2, .. }) => Err(Refusal::NoDaemon),
        Some(Fault { message, .. }) => {
            let words: String = message.chars().filter(|c| !c.is_control()).take(200).collect();
            Err(Trouble::Strange(words).into())
        }
        None => serde_json::from_value(response.result).map_err(|e| Trouble::Strange(e.to_string()).into()),
    }
}

type List = BTreeMap<String, Torrent>;

#[derive(Debug, Deserialize)]
struct Torrent {
    #[serde(default)]
    name: String,
    state: String,
    #[serde(default)]
    is_seed: bool,
    private: bool,
    /// 0 until the metadata is there.
    #[serde(default)]
    num_pieces: i64,
}

#[derive(Debug, Default, Deserialize)]
struct Config {
    #[serde(default)]
    listen_interface: Option<String>,
    #[serde(default)]
    outgoing_interface: Option<String>,
    #[serde(default)]
    proxy: Proxy,
}

#[derive(Debug, Default, Deserialize)]
struct Proxy {
    #[serde(default, rename = "type")]
    kind: i64,
    #[serde(default)]
    proxy_peer_connections: bool,
}

fn told(list: &List, port: u16, external: Option<String>, config: &Config) -> Answer {
    let mut torrents = Torrents::default();
    for (infohash, Torrent { name, state, is_seed, private, num_pieces }) in list {
        let active = matches!(state.as_str(), "Downloading" | "Seeding" | "Moving");
        let private = (*num_pieces > 0).then_some(*private);
        torrents.add([infohash.as_str()], Reported::new(name, *is_seed, active, private));
    }
    // An address or the name of an interface.
    let [listen, outgoing] =
        [&config.listen_interface, &config.outgoing_interface].map(|text| text.as_deref().unwrap_or(""));
    let named = [outgoing, listen].into_iter().find(|text| !text.is_empty() && is_name(text));
    let place = Whereabouts {
        external: external.as_deref().and_then(answer::address).into_iter().collect(),
        bound: [listen, outgoing].into_iter().filter_map(answer::address).collect(),
        interface: named.map(str::to_owned),
        proxied: config.proxy.kind > 0 && config.proxy.proxy_peer_connections,
    };
    torrents.answer(Some(port).filter(|port| *port != 0), place)
}

/// Whether the text is a name rather than an address, of which several may stand in a row.
fn is_name(text: &str) -> bool {
    !text.contains(',') && text.parse::<std::net::IpAddr>().is_err()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn list(value: Value) -> List {
        judged(serde_json::from_value(json!({"id": 1, "result": value, "error": null})).unwrap()).unwrap()
    }

    #[test]
    fn torrents_are_told_with_their_state_and_flag() {
        let torrent = |state: &str, seed, private, pieces| json!({"name": state, "state": state, "is_seed": seed, "private": private, "num_pieces": pieces});
        let list = list(json!({
            "a".repeat(40): torrent("Seeding", true, false, 5), "b".repeat(40): torrent("Paused", true, true, 5),
            "c".repeat(40): torrent("Downloading", false, false, 0), "d".repeat(40): torrent("Queued", false, false, 5),
            "e".repeat(40): torrent("Checking", false, false, 5), "f".repeat(40): torrent("Error", false, false, 5)}));
        let answer = told(&list, 6881, Some("203.0.113.5".to_owned()), &Config::default());
        let flags: Vec<_> = answer.torrents.iter().map(|t| (t.active, t.complete, t.private)).collect();
        assert_eq!(flags[..3], [(true, true, Some(false)), (false, true, Some(true)), (true, false, None)]);
        assert!(answer.torrents[3..].iter().all(|torrent| !torrent.active));
        assert_eq!((answer.port, answer.place.external.len()), (Some(6881), 1));
    }

    #[test]
    fn the_configuration_tells_where_it_is() {
        let place = |value| told(&List::new(), 0, None, &serde_json::from_value(value).unwrap()).place;
        let tunnel = place(json!({"listen_interface": "10.8.0.2", "outgoing_interface": "wg0",
            "proxy": {"type": 2, "proxy_peer_connections": true}}));
        assert_eq!((tunnel.bound.len(), tunnel.interface.as_deref(), tunnel.proxied), (1, Some("wg0"), true));
        assert_eq!(
            place(json!({"listen_interface": "", "outgoing_interface": null, "proxy": {"type": 0}})),
            Whereabouts::default()
        );
        assert_eq!(place(json!({"listen_interface": "0.0.0.0"})), Whereabouts::default());
    }

    #[test]
    fn refusals_of_the_web_interface_are_told_apart() {
        let refused = |code| {
            let response = json!({"id": 1, "result": null, "error": {"message": "m\u{1b}", "code": code}});
            judged::<Value>(serde_json::from_value(response).unwrap()).unwrap_err()
        };
        assert_eq!(refused(1), Refusal::NotLoggedIn);
        assert_eq!(refused(2), Refusal::NoDaemon);
        assert_eq!(refused(4), Refusal::Other(Trouble::Strange("m".to_owned())));
    }
}
