//! qBittorrent, by its Web API (version 2: qBittorrent 4.1 and newer).
//!
//! `sync/maindata` tells what has changed since the answer before, whose number is sent along. The private flag is told from
//! version 5.0 on; before, `torrents/export` gives the torrent file, which has it. `app/preferences` has the port.

use std::collections::BTreeMap;
use std::sync::Arc;

use reqwest::Url;
use serde::{Deserialize, Deserializer};

use super::answer::{self, Answer, Named, Reported, Torrents, Whereabouts};
use super::http::{Http, unexpected};
use super::secret::Secret;
use super::trouble::Trouble;
use crate::torrent::Metainfo;

/// Most torrent files that are read in one go.
const EXPORTS: usize = 200;

/// A conversation with qBittorrent.
#[derive(Debug)]
pub struct Qbittorrent {
    http: Http,
    base: Url,
    memory: Memory,
}

impl Qbittorrent {
    /// A conversation that has not begun.
    ///
    /// # Errors
    /// As [`Http::new`].
    pub fn new(url: &Url) -> Result<Self, Trouble> {
        let mut base = url.clone();
        base.set_path(&format!("{}/api/v2/", url.path().trim_end_matches('/')));
        Ok(Self { http: Http::new(url)?, base, memory: Memory::default() })
    }

    /// Its HTTP side.
    pub const fn http(&self) -> &Http {
        &self.http
    }

    /// Asks for everything that has changed.
    ///
    /// # Errors
    /// It gives nothing.
    pub async fn ask(&mut self, user: Option<&str>, password: Option<&Secret>) -> Result<Answer, Trouble> {
        let asked = self.ask_all(user, password).await;
        if asked.is_err() {
            // What changed in between is not known: everything is asked for again.
            self.memory.number = 0;
        }
        asked
    }

    async fn ask_all(&mut self, user: Option<&str>, password: Option<&Secret>) -> Result<Answer, Trouble> {
        let changes = match self.changes().await {
            Err(Trouble::NeedsPassword) => {
                self.log_in(user, password).await?;
                self.changes().await?
            }
            other => other?,
        };
        self.memory.take(changes);
        let preferences: Preferences = self.fetch("app/preferences").await?;
        self.look_into_files().await?;
        Ok(self.memory.answer(&preferences))
    }

    async fn changes(&mut self) -> Result<Changes, Trouble> {
        self.fetch(&format!("sync/maindata?rid={}", self.memory.number)).await
    }

    async fn fetch<T: for<'de> Deserialize<'de>>(&mut self, path: &str) -> Result<T, Trouble> {
        let reply = self.http.send(self.http.get(self.url(path))).await?;
        match reply.status {
            200 => reply.json(),
            403 => Err(Trouble::NeedsPassword),
            // Before any login: by a Host that is not among the server domains (webapplication.cpp, validateHostHeader).
            401 => Err(Trouble::OtherName),
            404 => Err(Trouble::Lacks("the Web API of version 2")),
            status => Err(unexpected(status)),
        }
    }

    async fn log_in(&mut self, user: Option<&str>, password: Option<&Secret>) -> Result<(), Trouble> {
        let password = password.ok_or(Trouble::NeedsPassword)?;
        let form = [("username", user.unwrap_or("admin")), ("password", password.expose())];
        let reply = self.http.send(self.http.post(self.url("auth/login")).form(&form)).await?;
        match reply.status {
            200 | 204 if reply.body != b"Fails." => Ok(()),
            200 | 401 => Err(Trouble::Refused),
            403 => Err(Trouble::Barred("too many logins have failed")),
            404 => Err(Trouble::Lacks("the Web API of version 2")),
            status => Err(unexpected(status)),
        }
    }

    /// Reads the torrent files of those whose flag is not told.
    async fn look_into_files(&mut self) -> Result<(), Trouble> {
        for key in self.memory.unclear(EXPORTS) {
            let path = format!("torrents/export?hash={key}");
            let reply = self.http.send(self.http.get(self.url(&path))).await?;
            match reply.status {
                200 => self.memory.take_file(&key, &reply.body),
                404 if self.memory.files_read == 0 => self.memory.no_files = true,
                // Without metadata there is no file yet.
                _ => self.memory.take_file(&key, b""),
            }
            if self.memory.no_files {
                break;
            }
        }
        Ok(())
    }

    fn url(&self, path: &str) -> Url {
        self.base.join(path).expect("paths of this file and hexadecimal digits make URLs")
    }
}

/// The answer of `sync/maindata`.
#[derive(Debug, Default, Deserialize)]
struct Changes {
    rid: u64,
    #[serde(default)]
    full_update: bool,
    #[serde(default)]
    torrents: BTreeMap<String, Change>,
    #[serde(default)]
    torrents_removed: Vec<String>,
    #[serde(default)]
    server_state: ServerState,
}

/// What has changed of a torrent. What has not is missing.
#[derive(Debug, Default, Deserialize)]
struct Change {
    name: Option<String>,
    state: Option<String>,
    progress: Option<f64>,
    size: Option<i64>,
    total_size: Option<i64>,
    infohash_v1: Option<String>,
    infohash_v2: Option<String>,
    #[serde(default, deserialize_with = "told")]
    private: Told,
}

/// Whether a flag is told: not at all, as unknown, or as it is.
type Told = Option<Option<bool>>;

fn told<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Told, D::Error> {
    Option::deserialize(deserializer).map(Some)
}

#[derive(Debug, Default, Deserialize)]
struct ServerState {
    last_external_address_v4: Option<String>,
    last_external_address_v6: Option<String>,
}

/// The part of `app/preferences` that matters here.
#[derive(Debug, Default, Deserialize)]
struct Preferences {
    #[serde(default)]
    listen_port: u16,
    #[serde(default)]
    current_network_interface: String,
    #[serde(default)]
    current_interface_address: String,
    /// A number before version 4.6, a word since.
    #[serde(default)]
    proxy_type: serde_json::Value,
    #[serde(default)]
    proxy_peer_connections: bool,
    proxy_bittorrent: Option<bool>,
}

/// All that was told so far.
#[derive(Debug, Default)]
struct Memory {
    number: u64,
    torrents: BTreeMap<Named, Known>,
    external: [Option<String>; 2],
    /// Torrent files that were read.
    files_read: u64,
    /// This version gives no torrent files.
    no_files: bool,
}

/// A torrent, as far as it was told: there are thousands.
#[derive(Debug, Default)]
struct Known {
    name: Option<Arc<str>>,
    standing: Standing,
    /// Everything that is wanted of it is there.
    has_all_wanted: bool,
    /// What is wanted of it, and all of it, in bytes.
    size: i64,
    total_size: i64,
    /// Its infohashes of version 1 and 2: not told, or none, or named.
    infohashes: [Option<Option<Named>>; 2],
    private: Told,
    /// What its file says, once that was read. The flag is part of what the infohash stands for: it never changes.
    file: Told,
}

/// What the client does with a torrent.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum Standing {
    /// It takes part in the swarm.
    Active,
    /// It does so, and has no metadata yet.
    WithoutMetadata,
    /// It is paused or queued, or checks what it has.
    #[default]
    Other,
}

impl Standing {
    fn new(state: &str) -> Self {
        match state {
            "uploading" | "stalledUP" | "forcedUP" | "downloading" | "stalledDL" | "forcedDL" | "moving" => {
                Self::Active
            }
            "metaDL" | "forcedMetaDL" => Self::WithoutMetadata,
            _ => Self::Other,
        }
    }
}

impl Memory {
    /// Puts what has changed over what was known.
    fn take(&mut self, changes: Changes) {
        self.number = changes.rid;
        let changed: BTreeMap<Named, Change> =
            changes.torrents.into_iter().map(|(key, change)| (Named::new(&key), change)).collect();
        if changes.full_update {
            self.torrents.retain(|key, _| changed.contains_key(key));
        }
        for key in &changes.torrents_removed {
            self.torrents.remove(&Named::new(key));
        }
        let ServerState { last_external_address_v4, last_external_address_v6 } = changes.server_state;
        for (known, new) in self.external.iter_mut().zip([last_external_address_v4, last_external_address_v6]) {
            *known = new.or_else(|| known.take());
        }
        for (key, change) in changed {
            if self.torrents.len() <= answer::MOST_TORRENTS || self.torrents.contains_key(&key) {
                self.torrents.entry(key).or_default().take(change);
            }
        }
        if changes.full_update {
            // What was inserted in its order fills half of each node: packed anew.
            self.torrents = std::mem::take(&mut self.torrents).into_iter().collect();
        }
    }

    /// The torrents whose files have to be read: those that take part, whose flag nothing tells.
    fn unclear(&self, most: usize) -> Vec<String> {
        if self.no_files {
            return Vec::new();
        }
        let unclear = self.torrents.iter().filter(|(_, known)| known.is_unclear());
        unclear.map(|(key, _)| key.to_string()).take(most).collect()
    }

    /// Reads the private flag in a torrent file; one of another torrent, or none, says nothing.
    fn take_file(&mut self, key: &str, file: &[u8]) {
        self.files_read += 1;
        let info = Metainfo::parse(file).ok().map(|metainfo| metainfo.info);
        let is_it = |infohash: &crate::engine::id::InfoHash| infohash.to_string() == key;
        let private = info.filter(|info| info.infohashes().iter().any(is_it)).map(|info| info.private);
        if let Some(known) = self.torrents.get_mut(&Named::new(key)) {
            known.file = Some(private);
        }
    }

    fn answer(&self, preferences: &Preferences) -> Answer {
        let mut torrents = Torrents::default();
        let mut unfinished = false;
        for (key, known) in &self.torrents {
            unfinished |= known.is_unclear() && !self.no_files;
            let private = known.private.flatten().or_else(|| known.file.flatten());
            let reported = Reported::named(known.name.clone(), known.is_complete(), known.is_active(), private);
            match &known.infohashes {
                // Before version 4.4 there is the key alone.
                [None, None] => torrents.add_named([key], reported),
                told => torrents.add_named(told.iter().flatten().flatten(), reported),
            }
        }
        let external = self.external.iter().flatten().filter_map(|text| answer::address(text)).collect();
        let port = Some(preferences.listen_port).filter(|port| *port != 0);
        Answer { unfinished, ..torrents.answer(port, preferences.whereabouts(external)) }
    }
}

impl Known {
    /// Puts what has changed over what was known.
    fn take(&mut self, change: Change) {
        let Change { name, state, progress, size, total_size, infohash_v1, infohash_v2, private } = change;
        if let Some(name) = name {
            self.name = answer::name_of(&name);
        }
        self.standing = state.map_or(self.standing, |state| Standing::new(&state));
        self.has_all_wanted = progress.map_or(self.has_all_wanted, |progress| progress >= 1.0);
        self.size = size.unwrap_or(self.size);
        self.total_size = total_size.unwrap_or(self.total_size);
        for (known, told) in self.infohashes.iter_mut().zip([infohash_v1, infohash_v2]) {
            if let Some(told) = told {
                *known = Some((!told.is_empty()).then(|| Named::new(&told)));
            }
        }
        self.private = private.or(self.private);
    }

    fn is_active(&self) -> bool {
        self.standing != Standing::Other
    }

    fn is_complete(&self) -> bool {
        self.has_all_wanted && self.size > 0 && self.size == self.total_size
    }

    /// Whether only its file tells whether it is private.
    fn is_unclear(&self) -> bool {
        self.private.is_none() && self.file.is_none() && self.standing == Standing::Active
    }
}

impl Preferences {
    fn whereabouts(&self, external: Vec<std::net::IpAddr>) -> Whereabouts {
        let has_proxy = match &self.proxy_type {
            serde_json::Value::Number(number) => number.as_i64().is_some_and(|number| number > 0),
            serde_json::Value::String(word) => word != "None",
            _ => false,
        };
        Whereabouts {
            external,
            bound: answer::address(&self.current_interface_address).into_iter().collect(),
            interface: Some(self.current_network_interface.clone()).filter(|name| !name.is_empty()),
            proxied: has_proxy && self.proxy_peer_connections && self.proxy_bittorrent.unwrap_or(true),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn changes(value: serde_json::Value) -> Changes {
        serde_json::from_value(value).unwrap()
    }

    /// The torrents as `name state`, each with letters: active, complete, private or public.
    fn told(memory: &Memory) -> Vec<String> {
        let answer = memory.answer(&Preferences { listen_port: 6881, ..Preferences::default() });
        let letters = |torrent: &Reported| {
            let private = torrent.private.map_or("", |private| if private { "private" } else { "public" });
            let flags = [(torrent.active, "active"), (torrent.complete, "complete")];
            let words = flags.into_iter().filter_map(|(is, word)| is.then_some(word));
            words.chain([private]).collect::<Vec<_>>().join(" ")
        };
        answer
            .torrents
            .iter()
            .map(|torrent| format!("{} {}", torrent.name.as_deref().unwrap(), letters(torrent)))
            .collect()
    }

    #[test]
    fn changes_are_put_over_what_is_known() {
        let (a, b) = ("a".repeat(40), "b".repeat(40));
        let mut memory = Memory::default();
        memory.take(changes(json!({"rid": 1, "full_update": true, "server_state": {"dht_nodes": 7},
        "torrents": {
            &a: {"name": "a", "state": "uploading", "progress": 1, "size": 7, "total_size": 7, "private": false,
                 "infohash_v1": &a, "infohash_v2": ""},
            &b: {"name": "b", "state": "stalledDL", "progress": 0.5, "size": 7, "total_size": 7, "private": true},
        }})));
        assert_eq!(told(&memory), ["a active complete public", "b active private"]);
        memory.take(changes(json!({"rid": 2, "torrents": {&a: {"state": "stoppedUP"}, &b: {"progress": 1}},
            "server_state": {"last_external_address_v4": "203.0.113.9"}})));
        assert_eq!(
            (told(&memory), memory.number),
            (vec!["a complete public".into(), "b active complete private".into()], 2)
        );
        memory.take(changes(json!({"rid": 3, "torrents_removed": [&a]})));
        assert_eq!(told(&memory), ["b active complete private"]);
        let place = memory.answer(&Preferences::default()).place;
        assert_eq!(place.external, [std::net::IpAddr::from([203, 0, 113, 9])]);
        memory.take(changes(json!({"rid": 1, "full_update": true})));
        assert_eq!(told(&memory), [""; 0]);
    }

    #[test]
    fn states_in_which_it_takes_part_are_those() {
        for (state, active) in [
            ("uploading", true),
            ("stalledUP", true),
            ("forcedUP", true),
            ("metaDL", true),
            ("forcedMetaDL", true),
            ("moving", true),
            ("pausedUP", false),
            ("stoppedDL", false),
            ("queuedUP", false),
            ("checkingUP", false),
            ("checkingResumeData", false),
            ("error", false),
            ("missingFiles", false),
            ("what comes next", false),
        ] {
            let mut known = Known::default();
            known.take(Change { state: Some(state.to_owned()), ..Change::default() });
            assert_eq!(known.is_active(), active, "{state}");
        }
    }

    #[test]
    fn a_part_of_the_files_is_not_everything() {
        let complete = |progress, size, total| {
            let mut known = Known::default();
            known.take(Change { progress, size, total_size: total, ..Change::default() });
            known.is_complete()
        };
        assert!(complete(Some(1.0), Some(5), Some(5)));
        assert!(!complete(Some(1.0), Some(5), Some(9)) && !complete(Some(0.99), Some(5), Some(5)));
        assert!(!complete(Some(1.0), Some(-1), Some(-1)) && !complete(None, None, None));
    }

    #[test]
    fn what_an_older_version_does_not_tell_is_read_in_the_torrent_file() {
        let file = |private: &str| {
            format!("d4:infod6:lengthi7e4:name1:a12:piece lengthi16384e6:pieces20:01234567890123456789{private}ee")
        };
        let key = |file: &str| Metainfo::parse(file.as_bytes()).unwrap().info.infohashes()[0].to_string();
        let (public, private) = (file(""), file("7:privatei1e"));
        let (a, b, magnet) = (key(&public), key(&private), "c".repeat(40));
        let mut memory = Memory::default();
        memory.take(changes(json!({"rid": 1, "full_update": true, "torrents": {
            &a: {"name": "a", "state": "stalledUP"}, &b: {"name": "b", "state": "stalledUP"},
            &magnet: {"name": "c", "state": "metaDL"}, "d": {"name": "d", "state": "pausedUP"}}})));
        let mut unclear = memory.unclear(9);
        unclear.sort_by_key(|key| *key == b);
        assert_eq!(unclear, [a.clone(), b.clone()]);
        let mut all = told(&memory);
        all.sort();
        assert_eq!(all, ["a active ", "b active ", "c active "], "what is not told is not known to be gone");
        assert!(memory.answer(&Preferences::default()).unfinished);
        memory.take_file(&a, public.as_bytes());
        memory.take_file(&b, public.as_bytes());
        let mut all = told(&memory);
        all.sort();
        assert_eq!(all, ["a active public", "b active ", "c active "], "the file of another torrent says nothing");
        memory.take_file(&b, private.as_bytes());
        assert!(told(&memory).contains(&"b active private".to_owned()));
        memory = Memory { no_files: true, ..Memory::default() };
        memory.take(changes(
            json!({"rid": 1, "full_update": true, "torrents": {&a: {"name": "a", "state": "stalledUP"}}}),
        ));
        assert_eq!((told(&memory), memory.unclear(9)), (vec!["a active ".to_owned()], Vec::new()));
    }

    #[test]
    fn a_torrent_without_metadata_is_not_called_public() {
        let mut memory = Memory::default();
        let key = "a".repeat(40);
        memory.take(changes(json!({"rid": 1, "torrents": {&key: {"name": "a", "state": "metaDL", "private": null}}})));
        assert_eq!(told(&memory), ["a active "]);
        memory.take(changes(json!({"rid": 2, "torrents": {&key: {"state": "downloading", "private": true}}})));
        assert_eq!(told(&memory), ["a active private"]);
    }

    #[test]
    fn preferences_tell_where_it_is() {
        let place = |value| serde_json::from_value::<Preferences>(value).unwrap().whereabouts(Vec::new());
        let bound = place(json!({"current_network_interface": "tun0", "current_interface_address": "10.8.0.2"}));
        assert_eq!((bound.interface.as_deref(), bound.bound.len(), bound.proxied), (Some("tun0"), 1, false));
        assert!(place(json!({"proxy_type": 2, "proxy_peer_connections": true})).proxied);
        assert!(
            place(json!({"proxy_type": "SOCKS5", "proxy_peer_connections": true, "proxy_bittorrent": true})).proxied
        );
        for none in [
            json!({"proxy_type": 0, "proxy_peer_connections": true}),
            json!({"proxy_type": "None", "proxy_peer_connections": true}),
            json!({"proxy_type": "SOCKS5", "proxy_peer_connections": true, "proxy_bittorrent": false}),
            json!({"proxy_type": 1, "proxy_peer_connections": false}),
            json!({}),
        ] {
            assert_eq!(place(none), Whereabouts::default());
        }
    }
}
