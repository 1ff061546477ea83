//! The registry of settings: the one list that the file, the variables, the flags, the printed configuration and the
//! documentation are made from. A setting that stands here exists everywhere; nothing else defines one.

use std::path::PathBuf;

use super::value::{Kind, Value};
use crate::dht::MAINLINE_ROUTERS;
use crate::engine::limits::{NEW_DESTINATIONS_BURST, NEW_DESTINATIONS_PER_SECOND, PEER_MEMORY_BYTES};

/// One setting.
#[derive(Debug)]
pub struct Setting {
    /// Its key in the file: lower case, words joined by `_`.
    pub key: &'static str,
    /// What its value may be.
    pub kind: Kind,
    /// Which commands have it as a flag.
    pub scope: Scope,
    /// What it means, for `--help` and for the comment above it. The first sentence stands alone.
    pub meaning: &'static str,
    /// Its value when nobody says anything.
    pub default: fn() -> Value,
}

/// Which commands a setting matters to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Scope {
    /// Every command that starts a node or reads the data folder.
    Every,
    /// The node that stays: `run`.
    Daemon,
}

/// All settings, in the order in which people read them.
pub static SETTINGS: [Setting; 19] = [
    Setting {
        key: "data_dir",
        kind: Kind::Folder,
        scope: Scope::Every,
        meaning: "Folder of the saved state: node ids, ports, known nodes, stored peers. \
                  It is created where it is missing; one running node per folder.",
        default: default_data_dir,
    },
    Setting {
        key: "bind",
        kind: Kind::Addresses,
        scope: Scope::Every,
        meaning: "UDP address to listen on; may be given several times. \
                  Each address is a node of its own, IPv4 or IPv6. Port 0 lets the system choose. \
                  Commands other than `run` use a free port unless the flag is given.",
        default: || Value::Addresses(vec![([0, 0, 0, 0], 6880).into(), ([0u16; 8], 6880).into()]),
    },
    Setting {
        key: "bootstrap",
        kind: Kind::Hosts,
        scope: Scope::Every,
        meaning: "Router that knows other nodes; may be given several times. \
                  Routers are asked in this order when the saved nodes do not suffice.",
        default: public_routers,
    },
    Setting {
        key: "no_bootstrap",
        kind: Kind::Switch,
        scope: Scope::Every,
        meaning: "Ask no router at all: start from the saved nodes, or wait until another node speaks first.",
        default: || Value::Switch(false),
    },
    Setting {
        key: "lan",
        kind: Kind::Switch,
        scope: Scope::Every,
        meaning: "A private network: loopback and private addresses are ordinary. \
                  No public router is asked, and several nodes may share one address.",
        default: || Value::Switch(false),
    },
    Setting {
        key: "read_only",
        kind: Kind::Switch,
        scope: Scope::Daemon,
        meaning: "Ask but never answer (BEP 43): for a host that is behind a firewall, asleep or metered.",
        default: || Value::Switch(false),
    },
    Setting {
        key: "adaptive",
        kind: Kind::Switch,
        scope: Scope::Daemon,
        meaning: "Ask but answer nobody until strangers have reached us, then be a full node (BEP 43): \
                  for a host that may be behind a firewall.",
        default: || Value::Switch(false),
    },
    Setting {
        key: "node_ids",
        kind: Kind::Choice(&["prefer", "off", "enforce"]),
        scope: Scope::Daemon,
        meaning: "What to make of nodes whose id does not fit their address (BEP 42). \
                  `prefer`: the others come first; `off`: nothing; `enforce`: they are kept out of the table, \
                  end no lookup and store nothing of ours. They are always answered.",
        default: || Value::Choice("prefer"),
    },
    Setting {
        key: "no_limits",
        kind: Kind::Switch,
        scope: Scope::Daemon,
        meaning: "No rate budgets, neither for those who ask us nor for what we ask: for benchmarks and closed labs.",
        default: || Value::Switch(false),
    },
    Setting {
        key: "new_destinations_per_second",
        kind: Kind::Count { least: 1, most: 1_000_000 },
        scope: Scope::Daemon,
        meaning: "How many addresses that we have not spoken to lately may be asked per second, sustained. \
                  Home routers keep one entry for each and some fail when there are too many.",
        default: || Value::Count(NEW_DESTINATIONS_PER_SECOND.into()),
    },
    Setting {
        key: "new_destinations_burst",
        kind: Kind::Count { least: 1, most: 1_000_000 },
        scope: Scope::Daemon,
        meaning: "How many such addresses may be asked at once before that pace begins. \
                  200 suffice for a single lookup at full speed.",
        default: || Value::Count(NEW_DESTINATIONS_BURST.into()),
    },
    Setting {
        key: "peer_memory",
        kind: Kind::Count { least: 1, most: 1 << 20 },
        scope: Scope::Daemon,
        meaning: "MiB that the peers stored for others may take, for all addresses listened on together.",
        default: || Value::Count(PEER_MEMORY_BYTES as u64 >> 20),
    },
    Setting {
        key: "gateway",
        kind: Kind::Service,
        scope: Scope::Daemon,
        meaning: "Where BitTorrent clients find a tracker with the DHT behind it, by HTTP and by UDP. \
                  `off` for none. If nobody chose the address and it is taken, the node does without.",
        default: || Value::Service(Some(([127, 0, 0, 1], 6969).into())),
    },
    Setting {
        key: "gateway_announce",
        kind: Kind::Choice(&["verified-public", "never", "always"]),
        scope: Scope::Daemon,
        meaning: "Which clients of the gateway are announced to the DHT. \
                  `verified-public`: those whose torrent is shown not to be private; `never`: none; \
                  `always`: all, for networks in which nothing is private.",
        default: || Value::Choice("verified-public"),
    },
    Setting {
        key: "gateway_deny",
        kind: Kind::Infohashes,
        scope: Scope::Daemon,
        meaning: "Infohash that the gateway does not serve; may be given several times.",
        default: || Value::Infohashes(Vec::new()),
    },
    Setting {
        key: "gateway_lan",
        kind: Kind::Networks,
        scope: Scope::Daemon,
        meaning: "Network whose hosts share our public IPv4 address; may be given several times. \
                  The gateway announces its clients there as well as those on this host.",
        default: || Value::Networks(crate::tracker::nearness::Site::default().ranges().to_vec()),
    },
    Setting {
        key: "gateway_trusted_proxies",
        kind: Kind::Networks,
        scope: Scope::Daemon,
        meaning: "Network of reverse proxies in front of the gateway; may be given several times. \
                  From there, and from nowhere else, X-Forwarded-For names the client.",
        default: || Value::Networks(Vec::new()),
    },
    Setting {
        key: "gateway_upstream",
        kind: Kind::Trackers,
        scope: Scope::Daemon,
        meaning: "URL of another tracker, http:// or udp://; may be given several times. \
                  The gateway announces there whom it announces to the DHT, and passes on the peers that it is told.",
        default: || Value::Trackers(Vec::new()),
    },
    Setting {
        key: "log",
        kind: Kind::Filter,
        scope: Scope::Every,
        meaning: "What is logged on standard error: error, warn, info, debug (each lookup) or trace (each packet). \
                  Parts of the program are set apart as in `info,trackerless::net=debug`. \
                  Commands other than `run` log warnings only unless the flag or the variable is given.",
        default: || Value::Filter("info".to_owned()),
    },
];

/// The routers of the mainline DHT.
fn public_routers() -> Value {
    Value::Hosts(MAINLINE_ROUTERS.iter().map(|router| router.parse().expect("a host and a port")).collect())
}

/// Whether `router` is one of the public ones.
pub(super) fn is_public_router(router: &super::HostPort) -> bool {
    MAINLINE_ROUTERS.contains(&router.to_string().as_str())
}

impl Setting {
    /// The setting with this key.
    #[must_use]
    pub fn named(key: &str) -> Option<&'static Self> {
        SETTINGS.iter().find(|setting| setting.key == key)
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
}

/// Where the platform keeps the data of programs; a folder beside the caller where there is no home.
fn default_data_dir() -> Value {
    let dirs = directories::ProjectDirs::from("", "", "trackerless");
    Value::Folder(dirs.map_or_else(|| PathBuf::from("trackerless-data"), |dirs| dirs.data_dir().to_owned()))
}

/// The known key that `key` most resembles.
#[must_use]
pub fn nearest_key(key: &str) -> &'static str {
    let key = key.to_lowercase().replace('-', "_");
    let nearest = SETTINGS.iter().min_by_key(|setting| edit_distance(&key, setting.key));
    nearest.expect("there are settings").key
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
        }
    }

    #[test]
    fn keys_are_unique_and_defaults_have_their_kind() {
        for (index, setting) in SETTINGS.iter().enumerate() {
            assert!(SETTINGS[..index].iter().all(|other| other.key != setting.key), "{}", setting.key);
            let texts = (setting.default)().texts();
            assert_eq!(setting.kind.read(&texts).unwrap(), (setting.default)(), "{}", setting.key);
        }
    }
}
