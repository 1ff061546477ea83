//! The configuration: defaults, then the file, then the environment, then the flags.
//!
//! The four meet here and nowhere else. Every value is checked in the layer that it comes from, also when a later
//! layer overrides it, and remembers that origin. What settings there are is written once, in [`SETTINGS`].

mod error;
mod file;
mod render;
mod setting;
mod value;

use std::net::SocketAddr;
use std::path::{Path, PathBuf};

use crate::engine::compliance::Compliance;
use crate::tracker::broker::Policy;
use crate::tracker::nearness::Site;
use crate::tracker::server::Settings as GatewaySettings;

pub use error::{ConfigError, Origin};
pub use setting::{SETTINGS, Scope, Setting, nearest_key};
pub use value::{HostPort, Kind, Value};

/// Every environment variable of ours begins so.
pub const VARIABLE_PREFIX: &str = "TRACKERLESS_";

/// The variable that names the configuration file, as `--config` does.
pub const FILE_VARIABLE: &str = "TRACKERLESS_CONFIG";

/// What the user gave, before anything is read or checked.
#[derive(Clone, Debug, Default)]
pub struct Sources {
    /// `--config`. `None`: the variable, then the usual place.
    pub file: Option<PathBuf>,
    /// The environment, all of it.
    pub environment: Vec<(String, String)>,
    /// Flags that were given, by key, with their values.
    pub flags: Vec<(&'static Setting, Vec<String>)>,
}

/// The effective configuration.
#[derive(Clone, Debug)]
pub struct Config {
    /// The folder of the saved state.
    pub data_dir: PathBuf,
    /// The addresses to listen on.
    pub bind: Vec<SocketAddr>,
    /// A private network.
    pub lan: bool,
    /// Ask, never answer.
    pub read_only: bool,
    /// Ask, and answer once strangers have reached us.
    pub adaptive: bool,
    /// What to make of ids that do not fit their addresses.
    pub node_ids: Compliance,
    /// No rate budgets.
    pub no_limits: bool,
    /// The log filter.
    pub log: String,
    /// New destinations asked per second, sustained.
    pub new_destinations_per_second: u32,
    /// New destinations asked at once.
    pub new_destinations_burst: u32,
    /// Bytes for the stored peers of one address.
    pub peer_memory_bytes: u64,
    /// Where the gateway serves; `None` for nowhere.
    pub gateway: Option<SocketAddr>,
    /// How it behaves.
    pub gateway_settings: GatewaySettings,
    /// What looked odd but harms nothing.
    pub warnings: Vec<String>,
    entries: Vec<Entry>,
}

/// One setting with its effective value.
#[derive(Clone, Debug)]
pub struct Entry {
    /// Which setting.
    pub setting: &'static Setting,
    /// Its value.
    pub value: Value,
    /// The layer that had the last word.
    pub origin: Origin,
}

impl Config {
    /// Lays the four layers over each other.
    ///
    /// # Errors
    /// The first thing that is wrong in any layer, with its place and its cure.
    pub fn load(sources: &Sources) -> Result<Self, ConfigError> {
        let mut entries: Vec<Entry> = SETTINGS.iter().map(Entry::of_default).collect();
        if let Some(path) = file_path(sources) {
            file::read_into(&mut entries, &path)?;
        } else if let Some(path) = default_file().filter(|path| path.exists()) {
            file::read_into(&mut entries, &path)?;
        }
        let warnings = read_environment(&mut entries, &sources.environment)?;
        for (setting, texts) in &sources.flags {
            set(&mut entries, setting, texts, Origin::Flag(setting.flag()))?;
        }
        Ok(Self::from_entries(entries, warnings))
    }

    /// The routers to ask: none with `no_bootstrap`, and never a public one in a private network.
    #[must_use]
    pub fn routers(&self) -> Vec<HostPort> {
        match &self.entry("bootstrap").value {
            Value::Hosts(hosts) if !switch(&self.entries, "no_bootstrap") => {
                hosts.iter().filter(|host| !(self.lan && setting::is_public_router(host))).cloned().collect()
            }
            _ => Vec::new(),
        }
    }

    /// Whether this setting was given as a flag: what the file says of `bind` and `log` is meant for the node that
    /// stays, not for a command that runs beside it.
    #[must_use]
    pub fn is_flag(&self, key: &str) -> bool {
        matches!(self.entry(key).origin, Origin::Flag(_))
    }

    /// Whether anybody, in any layer, has given this setting.
    #[must_use]
    pub fn is_chosen(&self, key: &str) -> bool {
        self.entry(key).origin != Origin::Default
    }

    /// Whether this setting was given as a variable.
    #[must_use]
    pub fn is_variable(&self, key: &str) -> bool {
        matches!(self.entry(key).origin, Origin::Variable(_))
    }

    /// All settings with their values and origins.
    #[must_use]
    pub fn entries(&self) -> &[Entry] {
        &self.entries
    }

    /// The whole as commented TOML, which is itself a valid configuration file.
    #[must_use]
    pub fn to_toml(&self) -> String {
        render::render(&self.entries)
    }

    fn entry(&self, key: &str) -> &Entry {
        entry(&self.entries, key)
    }

    fn from_entries(entries: Vec<Entry>, warnings: Vec<String>) -> Self {
        let Value::Folder(data_dir) = entry(&entries, "data_dir").value.clone() else { unreachable!("a folder") };
        let Value::Addresses(bind) = entry(&entries, "bind").value.clone() else { unreachable!("addresses") };
        let Value::Filter(log) = entry(&entries, "log").value.clone() else { unreachable!("a filter") };
        let Value::Service(gateway) = entry(&entries, "gateway").value else { unreachable!("a service") };
        let small = |key| u32::try_from(count(&entries, key)).expect("bounded by its kind");
        Self {
            data_dir,
            bind,
            log,
            lan: switch(&entries, "lan"),
            read_only: switch(&entries, "read_only"),
            adaptive: switch(&entries, "adaptive"),
            node_ids: compliance(&entries),
            no_limits: switch(&entries, "no_limits"),
            new_destinations_per_second: small("new_destinations_per_second"),
            new_destinations_burst: small("new_destinations_burst"),
            peer_memory_bytes: count(&entries, "peer_memory") << 20,
            gateway,
            gateway_settings: gateway_settings(&entries),
            warnings,
            entries,
        }
    }
}

impl Entry {
    fn of_default(setting: &'static Setting) -> Self {
        Self { setting, value: (setting.default)(), origin: Origin::Default }
    }
}

/// The place of the configuration file where nobody names another.
#[must_use]
pub fn default_file() -> Option<PathBuf> {
    Some(directories::ProjectDirs::from("", "", "trackerless")?.config_dir().join("trackerless.toml"))
}

/// The file that somebody named, by flag or by variable.
fn file_path(sources: &Sources) -> Option<PathBuf> {
    let variable = || sources.environment.iter().find(|(name, value)| name == FILE_VARIABLE && !value.is_empty());
    sources.file.clone().or_else(|| variable().map(|(_, value)| Path::new(value).to_owned()))
}

/// Reads our variables. An unknown one is only a warning: others set variables too (Kubernetes sets
/// `TRACKERLESS_PORT` where a service is called `trackerless`).
fn read_environment(entries: &mut [Entry], environment: &[(String, String)]) -> Result<Vec<String>, ConfigError> {
    let mut warnings = Vec::new();
    for (name, value) in environment {
        let Some(key) = name.strip_prefix(VARIABLE_PREFIX) else { continue };
        let key = key.to_ascii_lowercase();
        if let Some(setting) = Setting::named(&key) {
            set(entries, setting, std::slice::from_ref(value), Origin::Variable(name.clone()))?;
        } else if name != FILE_VARIABLE {
            let nearest = Setting::named(nearest_key(&key)).expect("a known key").variable();
            warnings.push(format!("variable {name} means nothing here; did you mean {nearest}?"));
        }
    }
    Ok(warnings)
}

/// Checks and sets one value.
fn set(entries: &mut [Entry], setting: &'static Setting, texts: &[String], origin: Origin) -> Result<(), ConfigError> {
    let wrong = |why| ConfigError::WrongValue {
        origin: origin.clone(),
        key: setting.key,
        value: format!("{:?}", texts.join(",")),
        why,
        cure: setting.kind.cure(),
    };
    let value = setting.kind.read(texts).map_err(wrong)?;
    let entry = entries.iter_mut().find(|entry| entry.setting.key == setting.key).expect("an entry per setting");
    *entry = Entry { setting, value, origin };
    Ok(())
}

fn entry<'a>(entries: &'a [Entry], key: &str) -> &'a Entry {
    entries.iter().find(|entry| entry.setting.key == key).expect("a key of the registry")
}

fn compliance(entries: &[Entry]) -> Compliance {
    match entry(entries, "node_ids").value {
        Value::Choice("off") => Compliance::Off,
        Value::Choice("enforce") => Compliance::Enforce,
        _ => Compliance::Prefer,
    }
}

fn gateway_settings(entries: &[Entry]) -> GatewaySettings {
    let networks = |key| match &entry(entries, key).value {
        Value::Networks(networks) => networks.clone(),
        _ => unreachable!("{key} is a list of networks"),
    };
    let Value::Infohashes(denied) = &entry(entries, "gateway_deny").value else { unreachable!("infohashes") };
    let policy = match entry(entries, "gateway_announce").value {
        Value::Choice("never") => Policy::Never,
        Value::Choice("always") => Policy::Always,
        _ => Policy::VerifiedPublic,
    };
    let (site, trusted_proxies) = (Site::new(networks("gateway_lan")), networks("gateway_trusted_proxies"));
    let Value::Trackers(upstream) = entry(entries, "gateway_upstream").value.clone() else { unreachable!("trackers") };
    GatewaySettings { policy, denied: denied.iter().copied().collect(), site, trusted_proxies, upstream }
}

fn switch(entries: &[Entry], key: &str) -> bool {
    matches!(entry(entries, key).value, Value::Switch(true))
}

fn count(entries: &[Entry], key: &str) -> u64 {
    match entry(entries, key).value {
        Value::Count(number) => number,
        _ => unreachable!("{key} is a count"),
    }
}

#[cfg(test)]
mod tests;
