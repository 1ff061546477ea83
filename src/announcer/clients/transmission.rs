//! Transmission, by its RPC (docs/rpc-spec.md of Transmission).
//!
//! The whole list is asked for each time: what is "recently active" leaves out torrents that were paused.

use reqwest::Url;
use serde::Deserialize;
use serde_json::json;

use super::answer::{Answer, Reported, Torrents, Whereabouts};
use super::http::{Http, Reply, unexpected};
use super::secret::Secret;
use super::trouble::Trouble;

/// The header that proves that no web page asks.
const SESSION: &str = "X-Transmission-Session-Id";

/// The RPC version from which on the numbers of `status` are those that are read here.
const OLDEST_RPC: i64 = 14;

/// A conversation with Transmission.
#[derive(Debug)]
pub struct Transmission {
    http: Http,
    url: Url,
    session: String,
}

impl Transmission {
    /// A conversation that has not begun.
    ///
    /// # Errors
    /// As [`Http::new`].
    pub fn new(url: &Url) -> Result<Self, Trouble> {
        Ok(Self { http: Http::new(url)?, url: url.clone(), session: String::new() })
    }

    /// Its HTTP side.
    pub const fn http(&self) -> &Http {
        &self.http
    }

    /// Asks for everything.
    ///
    /// # Errors
    /// It gives nothing.
    pub async fn ask(&mut self, user: Option<&str>, password: Option<&Secret>) -> Result<Answer, Trouble> {
        let login = (user, password);
        let fields = [
            "hashString",
            "name",
            "isPrivate",
            "status",
            "leftUntilDone",
            "sizeWhenDone",
            "totalSize",
            "metadataPercentComplete",
        ];
        let session = json!({"method": "session-get", "arguments": {"fields": ["peer-port", "rpc-version"]}});
        let session: Session = self.call(login, &session).await?;
        if session.rpc_version < OLDEST_RPC {
            return Err(Trouble::Lacks("what RPC version 14 has"));
        }
        let list = json!({"method": "torrent-get", "arguments": {"fields": fields}});
        let list: List = self.call(login, &list).await?;
        Ok(told(&list, &session))
    }

    async fn call<T: for<'de> Deserialize<'de>>(
        &mut self,
        login: (Option<&str>, Option<&Secret>),
        call: &serde_json::Value,
    ) -> Result<T, Trouble> {
        let mut reply = self.send(login, call).await?;
        if reply.status == 409 {
            let session = reply.headers.get(SESSION).and_then(|value| value.to_str().ok());
            self.session = session.unwrap_or_default().to_owned();
            reply = self.send(login, call).await?;
        }
        match reply.status {
            200 => reply.json::<Wrapped<T>>()?.unwrapped(),
            401 if login.1.is_none() => Err(Trouble::NeedsPassword),
            401 => Err(Trouble::Refused),
            403 => Err(Trouble::Barred("its whitelist does not name it")),
            404 => Err(Trouble::Lacks("the RPC at this path")),
            status => Err(unexpected(status)),
        }
    }

    async fn send(
        &mut self,
        (user, password): (Option<&str>, Option<&Secret>),
        call: &serde_json::Value,
    ) -> Result<Reply, Trouble> {
        let mut request = self.http.post(self.url.clone()).header(SESSION, &self.session).json(call);
        if let Some(password) = password {
            request = request.basic_auth(user.unwrap_or_default(), Some(password.expose()));
        }
        self.http.send(request).await
    }
}

#[derive(Debug, Deserialize)]
struct Wrapped<T> {
    result: String,
    arguments: Option<T>,
}

impl<T> Wrapped<T> {
    fn unwrapped(self) -> Result<T, Trouble> {
        self.arguments.filter(|_| self.result == "success").ok_or(Trouble::Strange(self.result))
    }
}

#[derive(Debug, Deserialize)]
struct List {
    torrents: Vec<Torrent>,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Torrent {
    hash_string: String,
    #[serde(default)]
    name: String,
    is_private: bool,
    status: i64,
    #[serde(default)]
    left_until_done: i64,
    #[serde(default)]
    size_when_done: i64,
    #[serde(default)]
    total_size: i64,
    #[serde(default)]
    metadata_percent_complete: f64,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "kebab-case")]
struct Session {
    peer_port: u16,
    #[serde(default)]
    rpc_version: i64,
}

fn told(list: &List, session: &Session) -> Answer {
    let mut torrents = Torrents::default();
    for torrent in &list.torrents {
        let Torrent { hash_string, name, left_until_done, size_when_done, total_size, .. } = torrent;
        let has_metadata = torrent.metadata_percent_complete >= 1.0;
        // 4: downloading, 6: seeding. Others are stopped, wait in a queue, or check what they have.
        let active = matches!(torrent.status, 4 | 6);
        let complete = has_metadata && *left_until_done == 0 && size_when_done == total_size && *total_size > 0;
        let private = has_metadata.then_some(torrent.is_private);
        torrents.add([hash_string.as_str()], Reported::new(name, complete, active, private));
    }
    torrents.answer(Some(session.peer_port).filter(|port| *port != 0), Whereabouts::default())
}

#[cfg(test)]
mod tests {
    use super::*;

    /// As Transmission 3.00 answers.
    #[test]
    fn torrents_are_told_with_their_state_and_flag() {
        let torrent = |hash: &str, status, private, left, metadata: f64| {
            json!({"hashString": hash.repeat(40), "name": hash, "isPrivate": private, "status": status,
                "leftUntilDone": left, "sizeWhenDone": 9, "totalSize": 9, "metadataPercentComplete": metadata})
        };
        let list = json!({"arguments": {"torrents": [
            torrent("a", 6, false, 0, 1.0), torrent("b", 4, true, 5, 1.0), torrent("c", 0, false, 0, 1.0),
            torrent("d", 4, false, 0, 0.25), torrent("e", 3, false, 9, 1.0)]}, "result": "success"});
        let list = serde_json::from_value::<Wrapped<List>>(list).unwrap().unwrapped().unwrap();
        let answer = told(&list, &Session { peer_port: 51413, rpc_version: 16 });
        let flags: Vec<_> = answer.torrents.iter().map(|t| (t.active, t.complete, t.private)).collect();
        assert_eq!(
            flags,
            [
                (true, true, Some(false)),
                (true, false, Some(true)),
                (false, true, Some(false)),
                (true, false, None),
                (false, false, Some(false)),
            ]
        );
        assert_eq!(answer.port, Some(51413));
    }

    #[test]
    fn a_refusal_is_no_list() {
        let refused = json!({"arguments": {}, "result": "no method name"});
        let refused = serde_json::from_value::<Wrapped<serde_json::Value>>(refused).unwrap().unwrapped();
        assert_eq!(refused.unwrap_err(), Trouble::Strange("no method name".to_owned()));
    }
}
