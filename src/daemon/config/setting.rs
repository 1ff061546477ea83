//! The settings: the one list that the file, the variables, the flags, the printed configuration and the documentation
//! are made from. A row is all that a new setting needs, besides its use.

use std::net::SocketAddr;
use std::path::PathBuf;

use super::Config;
use super::origin::Origin;
use super::value::{BasePath, Count, Form, HostPort, ListFile, LogFilter, LogFormat, PortMapping, Shape, Size, Value};
use crate::announcer;
use crate::announcer::clients::ClientAddress;
use crate::announcer::store::Watched;
use crate::dht::MAINLINE_ROUTERS;
use crate::engine::compliance::Compliance;
use crate::engine::id::InfoHash;
use crate::engine::limits::{
    HOT_KEY_PASSES_PER_MINUTE, HOT_KEY_PEERS, HOT_KEY_QUERIES_PER_MINUTE, HOT_KEY_TOKENS_PER_MINUTE,
    NEW_DESTINATIONS_BURST, NEW_DESTINATIONS_PER_SECOND, PEER_MEMORY_BYTES,
};
use crate::engine::lookup::Effort;
use crate::engine::node::Serve;
use crate::index::service::Mode;
use crate::index::store::postgres::Address;
use crate::net::nearness::{Range, Site};
use crate::tracker::broker::Policy;
use crate::tracker::server::HostName;
use crate::tracker::upstream::Source;

/// One setting.
#[derive(Debug)]
pub struct Setting {
    /// Its key in the file: lower case, words joined by `_`.
    pub key: &'static str,
    /// Its meaning, for `--help-settings` and for the comment above it. The first sentence stands alone.
    pub meaning: &'static str,
    /// The commands that have it as a flag.
    pub scope: Scope,
    /// The form of its values.
    pub form: Form,
    /// Reads a value from texts and stores it with its origin. The error says what is wrong.
    pub(super) set: fn(&mut Config, &[String], &Origin) -> Result<(), String>,
    /// The texts that make its value.
    pub(super) texts: fn(&Settings) -> Vec<String>,
    /// The layer that its value comes from.
    pub(super) origin: fn(&Origins) -> &Origin,
    same: fn(&Settings, &Settings) -> bool,
    adopt: fn(&mut Config, &Config),
}

/// The commands that a setting matters to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Scope {
    /// Every command that starts a node or reads the data folder.
    Every,
    /// The node that stays: `run`.
    Daemon,
}

/// Makes of each row a field of [`Settings`], one of [`Origins`] and an element of [`SETTINGS`].
///
/// A row is the meaning as a comment, the scope, the key, the type (any [`Value`]) and the default.
macro_rules! settings {
    ($( $(#[doc = $meaning:literal])+ $scope:ident $key:ident: $type:ty = $default:expr; )+) => {
        /// The value of each setting.
        #[derive(Clone, Debug, PartialEq)]
        pub struct Settings { $( $(#[doc = $meaning])+ pub $key: $type, )+ }

        /// The layer that the value of each setting comes from.
        #[derive(Clone, Debug, PartialEq)]
        #[expect(missing_docs, reason = "the fields are those of Settings")]
        pub struct Origins { $( pub $key: Origin, )+ }

        impl Default for Settings {
            fn default() -> Self {
                Self { $( $key: $default, )+ }
            }
        }

        impl Default for Origins {
            fn default() -> Self {
                Self { $( $key: Origin::Default, )+ }
            }
        }

        /// All settings, in the order in which people read them.
        pub static SETTINGS: [Setting; [$( stringify!($key), )+].len()] = [$( Setting {
            key: stringify!($key),
            meaning: concat!($( $meaning ),+).trim_ascii(),
            scope: Scope::$scope,
            form: <$type as Value>::FORM,
            set: |config, texts, origin| {
                config.settings.$key = Value::read(texts)?;
                config.origins.$key = origin.clone();
                Ok(())
            },
            texts: |settings| settings.$key.texts(),
            origin: |origins| &origins.$key,
            same: |one, other| one.$key == other.$key,
            adopt: |config, other| {
                config.settings.$key = other.settings.$key.clone();
                config.origins.$key = other.origins.$key.clone();
            },
        }, )+];
    };
}

settings! {
    /// Folder of the saved state: node ids, ports, known nodes, stored peers.
    /// It is created where it is missing; one running node per folder.
    Every data_dir: PathBuf = default_data_dir();

    /// UDP address to listen on; may be given several times.
    /// Each address is a node of its own, IPv4 or IPv6. Port 0 lets the system choose.
    /// Commands other than `run` use a free port unless the flag is given.
    Every bind: Vec<SocketAddr> = vec![([0, 0, 0, 0], 6880).into(), ([0u16; 8], 6880).into()];

    /// Router that knows other nodes; may be given several times.
    /// Routers are asked in this order when the saved nodes do not suffice.
    Every bootstrap: Vec<HostPort> = public_routers();

    /// Ask no router at all: start from the saved nodes, or wait for a query of another node.
    Every no_bootstrap: bool = false;

    /// A private network: loopback and private addresses are ordinary.
    /// No public router is asked, and several nodes may share one address.
    Every lan: bool = false;

    /// Time from which queries of other nodes are answered (BEP 43). `always`: from the start;
    /// `once-reached`: from the moment that strangers have reached us, for a host that may be behind a firewall;
    /// `never`: ask only, for a host that is behind a firewall, asleep or metered.
    Daemon serve: Serve = Serve::Always;

    /// Treatment of nodes whose id does not fit their address (BEP 42).
    /// `prefer`: the others come first; `off`: none; `enforce`: they are kept out of the table,
    /// end no lookup and store nothing of ours. They are always answered.
    Every node_ids: Compliance = Compliance::Prefer;

    /// How much a lookup spends to be fast: queries that are under way at once.
    /// `gentle`: few, for narrow links; `normal`: as fast as it gets for some 40 datagrams; `fast`: a little faster, for more.
    Every lookup: Effort = Effort::NORMAL;

    /// No rate budgets, neither for queries that we answer nor for those that we send: for benchmarks and closed labs.
    Every no_limits: bool = false;

    /// Addresses that may be asked per second, sustained, of those that we have not spoken to lately.
    /// Home routers keep one entry for each and some fail when there are too many.
    Every new_destinations_per_second: Count<1, 1_000_000> = Count::new(NEW_DESTINATIONS_PER_SECOND);

    /// Number of such addresses that may be asked at once before that pace begins.
    /// 200 suffice for a single lookup at full speed.
    Every new_destinations_burst: Count<1, 1_000_000> = Count::new(NEW_DESTINATIONS_BURST);

    /// Spare the nodes around an infohash that everybody asks for. Where it is asked for more often than
    /// `hot_key_queries_per_minute` and its swarm here has `hot_key_peers`, the answer is peers without contacts, with a token
    /// for those in the swarm and a few newcomers. All else is answered as ever. A network (/24, /48) fills no such swarm.
    Daemon hot_keys: bool = true;

    /// Questions for one infohash a minute above which it is hot.
    Daemon hot_key_queries_per_minute: Count<1, 1_000_000> = Count::new(HOT_KEY_QUERIES_PER_MINUTE);

    /// Peers that the swarm of a hot infohash is full with, and keeps at the most: the newest.
    /// From half of them on, tokens for newcomers are dropped at random.
    Daemon hot_key_peers: Count<50, 1000> = Count::new(HOT_KEY_PEERS as u32);

    /// Questions a minute for a hot infohash with a full swarm that are answered with contacts all the same.
    Daemon hot_key_passes_per_minute: Count<1, 1_000_000> = Count::new(HOT_KEY_PASSES_PER_MINUTE);

    /// Tokens a minute for newcomers to the full swarm of a hot infohash.
    Daemon hot_key_tokens_per_minute: Count<1, 1_000_000> = Count::new(HOT_KEY_TOKENS_PER_MINUTE);

    /// Ask for an infohash that was hot a few contacts on the way to it, drawn by lot, rather than the nodes closest to it.
    /// Where those are not asked too often, they are asked as ever.
    Every hot_key_visits: bool = true;

    /// Memory for what others make the program keep, and for the program itself, as in `128 MiB`.
    /// Half of it is for stored peers, three sixteenths are for the gateway and a sixteenth for items.
    /// Saving takes more for a moment: about 120 bytes for each stored peer.
    Daemon memory_limit: Size<32, { 1 << 20 }> = Size::mib(128);

    /// MiB that the peers stored for others may take, for all addresses listened on together.
    /// Never more than half of `memory_limit`.
    Daemon peer_memory: Count<1, { 1 << 20 }> = Count::new((PEER_MEMORY_BYTES >> 20) as u32);

    /// Address of a tracker for BitTorrent clients with the DHT behind it, by HTTP and by UDP.
    /// `off` for none. If the address was not chosen and is taken, the node does without.
    Daemon gateway: Option<SocketAddr> = Some(([127, 0, 0, 1], 6969).into());

    /// Clients of the gateway that are announced to the DHT.
    /// `verified-public`: those whose torrent is shown not to be private; `never`: none;
    /// `always`: all, for networks in which nothing is private.
    Daemon gateway_announce: Policy = Policy::VerifiedPublic;

    /// Infohash that the gateway does not serve; may be given several times.
    Daemon gateway_deny: Vec<InfoHash> = Vec::new();

    /// Network whose hosts share our public IPv4 address; may be given several times.
    /// The gateway announces its clients there as well as those on this host.
    Daemon gateway_lan: Vec<Range> = Site::default().ranges().to_vec();

    /// Network of reverse proxies in front of the gateway; may be given several times.
    /// From there, and from nowhere else, X-Forwarded-For or Forwarded names the client.
    Daemon gateway_trusted_proxies: Vec<Range> = Vec::new();

    /// Name or address by which clients call the gateway over HTTP; may be given several times.
    /// Its own addresses, `localhost` and `retracker.local` need not be named. Requests to other names are refused, since
    /// a web page may have sent them.
    Daemon gateway_names: Vec<HostName> = Vec::new();

    /// URL of another tracker, udp://, http:// or https://, or of a list of trackers; may be given several times.
    /// The gateway announces there the clients that it announces to the DHT, and passes on the peers that it is told. Of
    /// lists (a path that ends in `.txt`, or `list+` before the URL), fetched every day, the trackers that answer best are asked.
    Daemon gateway_upstream: Vec<Source> = Vec::new();

    /// Address of the control interface, HTTP with JSON, for programs and people; `off` for none.
    /// If the address was not chosen and is taken, the node does without. At an address other than the loopback all
    /// requests need the token of the data folder. A Unix socket in the data folder serves the commands beside it.
    Daemon control: Option<SocketAddr> = Some(([127, 0, 0, 1], 6880).into());

    /// Name or address by which clients call the control interface; may be given several times.
    /// Its own addresses and `localhost` need not be named. Requests to other names are refused, since a web page may
    /// have sent them.
    Daemon control_names: Vec<HostName> = Vec::new();

    /// Network of reverse proxies in front of the control interface; may be given several times.
    /// From there, and from nowhere else, X-Forwarded-For or Forwarded names the client.
    Daemon control_trusted_proxies: Vec<Range> = Vec::new();

    /// Path below which a reverse proxy shows the control interface, as in `/dht`.
    /// Requests are answered with it and without.
    Daemon control_base_path: BasePath = BasePath::default();

    /// Where the index of torrents finds them. `off`: there is none; `mine`: what this node announces;
    /// `passive`: that, and what others announce to this node; `survey`: that, and what a survey of the whole network
    /// finds (BEP 51).
    Daemon index: Mode = Mode::Off;

    /// PostgreSQL database for the index, as in `postgres://user:password@host/name`, which several nodes may share; empty for
    /// a file in the data folder. What may follow a question mark is in docs/INDEX.md. The password is not printed.
    Every index_database: Option<Address> = None;

    /// Disk that the index may take, as in `5 GiB`. When it is full, torrents that nobody seeds are thrown away.
    Daemon index_max: Size<64, { 1 << 24 }> = Size::mib(5 << 10);

    /// Keep the names and sizes of files in the index, besides the name of the torrent.
    Daemon index_files: bool = true;

    /// Find torrents by words of their files' names, `files:word`, too. Decided when the index is made.
    Daemon index_file_words: bool = false;

    /// File with words and phrases, one a line; may be given several times.
    /// Torrents whose name has one of them are not kept. Whole words count, never parts.
    Daemon index_refused_words: Vec<ListFile> = Vec::new();

    /// File with the SHA-256 of the 20 bytes of infohashes, one a line; may be given several times.
    /// These torrents are not kept.
    Daemon index_refused_infohashes: Vec<ListFile> = Vec::new();

    /// Queries a second that the survey sends to nodes.
    Daemon index_queries_per_second: Count<1, 1_000> = Count::new(5);

    /// Connections at a time that the index has to peers, for names and files of torrents.
    Daemon index_connections: Count<4, 1_000> = Count::new(40);

    /// New connections a second that the index makes to peers.
    Daemon index_connections_per_second: Count<1, 1_000> = Count::new(10);

    /// Bytes of names and files of torrents that the index fetches a day, as in `4 GiB`.
    Daemon index_metadata_per_day: Size<1, { 1 << 24 }> = Size::mib(4 << 10);

    /// What is kept announced: a folder of torrent files, a list, a torrent file, an infohash or a magnet URI; may be given
    /// several times. A folder and `/**` stand for the folder with those in it. `trackerless watch` adds more.
    Daemon watch: Vec<Watched> = Vec::new();

    /// Most infohashes that are kept announced, all sources together.
    Daemon watch_max: Count<1, 1_000_000> = Count::new(announcer::MAX as u32);

    /// Port at which others reach the torrent client of this host, for what is kept announced and has no other port;
    /// 0 for none.
    Daemon announce_port: Count<0, 65_535> = Count::new(0);

    /// Torrent client whose torrents are kept announced, as in `qbittorrent+http://user:password@127.0.0.1:8080`; may be given
    /// several times. Known are qbittorrent, transmission, deluge, rtorrent and aria2: see docs/CLIENTS.md, also for what
    /// may follow a question mark. Passwords are not printed.
    Daemon client: Vec<ClientAddress> = Vec::new();

    /// File whose first line is the password of the clients, for those whose address has none; empty for none.
    Daemon password_file: Option<PathBuf> = None;

    /// File that holds the port at which the clients are reached, as VPN programs write it (gluetun:
    /// `/tmp/gluetun/forwarded_port`); empty for none. It is read again whenever it changes, and everything is then announced
    /// at the new port.
    Daemon port_file: Option<PathBuf> = None;

    /// Ports that are opened at the router by PCP, NAT-PMP or UPnP: `auto`: the UDP port of this node, where the way into the
    /// world leads through a private address, and those of clients whose address says `map_port=yes`; `off`: none.
    /// With `lan` and on addresses that were named there is no router to ask.
    Daemon port_mapping: PortMapping = PortMapping::Auto;

    /// Events that are logged on standard error: error, warn, info, debug (each lookup) or trace (each packet).
    /// Parts of the program are set apart as in `info,trackerless::net=debug`.
    /// Commands other than `run` log warnings only unless the flag or the variable is given.
    Every log: LogFilter = LogFilter::INFO;

    /// Form of the log lines: `text` for people, `json` for programs: one object a line.
    Every log_format: LogFormat = LogFormat::Text;
}

/// A setting of earlier versions.
#[derive(Debug, PartialEq, Eq)]
pub struct Replaced {
    /// Its key.
    pub key: &'static str,
    /// The key of the setting that has taken its place.
    pub by: &'static str,
    /// The value of that one which means what the old one meant where it was on.
    pub value: &'static str,
}

/// All settings that were replaced. They are refused wherever they stand, with the name of the new one.
pub static REPLACED: [Replaced; 2] = [
    Replaced { key: "read_only", by: "serve", value: "never" },
    Replaced { key: "adaptive", by: "serve", value: "once-reached" },
];

impl Replaced {
    /// The replaced setting with this key.
    #[must_use]
    pub fn named(key: &str) -> Option<&'static Self> {
        REPLACED.iter().find(|replaced| replaced.key == key)
    }

    /// What to give instead, in the layer of `origin`.
    pub(super) fn cure(&self, origin: &Origin) -> String {
        let Self { key, by, value } = self;
        let new = match origin {
            Origin::Flag(_) => format!("--{} {value}", by.replace('_', "-")),
            Origin::Variable(_) => format!("{}{}={value}", super::VARIABLE_PREFIX, by.to_ascii_uppercase()),
            Origin::File { .. } | Origin::Default | Origin::Control => format!("{by} = \"{value}\""),
        };
        format!("give {new} where {key} was on, and nothing where it was off")
    }
}

impl Setting {
    /// The setting with this key.
    #[must_use]
    pub fn named(key: &str) -> Option<&'static Self> {
        SETTINGS.iter().find(|setting| setting.key == key)
    }

    /// Whether it has the same value in both.
    #[must_use]
    pub fn is_same(&self, one: &Settings, other: &Settings) -> bool {
        (self.same)(one, other)
    }

    /// Takes its value and origin from `other`.
    pub fn adopt(&self, config: &mut Config, other: &Config) {
        (self.adopt)(config, other);
    }

    /// The name of its flag, without the dashes.
    #[must_use]
    pub fn flag(&self) -> String {
        self.key.replace('_', "-")
    }

    /// The name of its environment variable.
    #[must_use]
    pub fn variable(&self) -> String {
        format!("{}{}", super::VARIABLE_PREFIX, self.key.to_ascii_uppercase())
    }

    /// Its default for documents. That of a folder depends on the machine, so the rule is told instead.
    #[must_use]
    pub fn default_text(&self) -> String {
        match self.form.shape {
            Shape::Folder => {
                "where the platform keeps the data of programs (Linux: `~/.local/share/trackerless`)".to_owned()
            }
            _ => format!("`{}`", self.to_toml(&Settings::default())),
        }
    }

    /// The texts of its default.
    #[must_use]
    pub fn default_texts(&self) -> Vec<String> {
        (self.texts)(&Settings::default())
    }

    /// Its value as TOML.
    pub(super) fn to_toml(&self, settings: &Settings) -> toml::Value {
        self.form.shape.to_toml((self.texts)(settings))
    }
}

/// The routers of the mainline DHT.
fn public_routers() -> Vec<HostPort> {
    MAINLINE_ROUTERS.iter().map(|router| router.parse().expect("a host and a port")).collect()
}

/// Whether `router` is one of the public ones.
#[must_use]
pub fn is_public_router(router: &HostPort) -> bool {
    MAINLINE_ROUTERS.contains(&router.to_string().as_str())
}

/// Where the platform keeps the data of programs; a folder beside the caller where there is no home.
fn default_data_dir() -> PathBuf {
    let dirs = directories::ProjectDirs::from("", "", "trackerless");
    dirs.map_or_else(|| PathBuf::from("trackerless-data"), |dirs| dirs.data_dir().to_owned())
}

/// The known key that `key` most resembles.
#[must_use]
pub fn nearest_key(key: &str) -> &'static str {
    let key = key.to_lowercase().replace('-', "_");
    let nearest = SETTINGS.iter().min_by_key(|setting| edit_distance(&key, setting.key));
    nearest.expect("there are settings").key
}

/// What to write instead of `key`, which is no setting.
pub(super) fn suggestion(key: &str) -> String {
    let (nearest, typed) = (nearest_key(key), key.to_lowercase().replace('-', "_"));
    let is_like = edit_distance(&typed, nearest) <= 1 + nearest.len() / 3 || typed.starts_with(nearest);
    match is_like {
        true => format!("did you mean {nearest}?"),
        false => "take the line out; `trackerless config` lists the settings".to_owned(),
    }
}

/// The number of letters to insert, drop or replace that makes `a` into `b` (Levenshtein).
fn edit_distance(a: &str, b: &str) -> usize {
    let mut row: Vec<usize> = (0..=b.chars().count()).collect();
    for (i, from) in a.chars().enumerate() {
        let mut diagonal = std::mem::replace(&mut row[0], i + 1);
        for (j, to) in b.chars().enumerate() {
            let replaced = diagonal + usize::from(from != to);
            diagonal = row[j + 1];
            row[j + 1] = replaced.min(diagonal + 1).min(row[j] + 1);
        }
    }
    row[b.chars().count()]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn edit_distances_are_those_of_levenshtein() {
        for (a, b, distance) in [("", "", 0), ("", "abc", 3), ("kitten", "sitting", 3), ("bind", "bnid", 2)] {
            assert_eq!(edit_distance(a, b), distance, "{a} {b}");
            assert_eq!(edit_distance(b, a), distance, "{b} {a}");
        }
    }

    #[test]
    fn typing_errors_find_the_key_that_was_meant() {
        for (typed, meant) in
            [("data-dir", "data_dir"), ("Bootstraps", "bootstrap"), ("peers_memory", "peer_memory"), ("lang", "lan")]
        {
            assert_eq!(nearest_key(typed), meant);
            assert_eq!(suggestion(typed), format!("did you mean {meant}?"));
        }
    }

    #[test]
    fn what_takes_the_place_of_a_replaced_setting_exists() {
        for Replaced { by, value, .. } in &REPLACED {
            let setting = Setting::named(by).unwrap();
            (setting.set)(&mut Config::default(), &[(*value).to_owned()], &Origin::Default).unwrap();
        }
    }

    #[test]
    fn keys_are_unique_and_meanings_are_sentences() {
        for (index, setting) in SETTINGS.iter().enumerate() {
            let Setting { key, meaning, .. } = setting;
            assert!(SETTINGS[..index].iter().all(|other| other.key != *key), "{key}");
            assert!(Replaced::named(key).is_none(), "{key}");
            assert!(meaning.ends_with('.') && !meaning.starts_with(' ') && !meaning.contains("  "), "{key}: {meaning}");
        }
    }
}
