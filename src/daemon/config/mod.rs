//! The configuration: defaults, then the file, then the environment, then the flags.
//!
//! The four meet here and nowhere else. Every value is checked in the layer that it comes from, also when a later
//! layer overrides it, and remembers that origin. What settings there are is written once, in `setting.rs`.

mod error;
mod file;
mod origin;
mod render;
mod setting;
mod value;

use std::ops::Deref;
use std::path::{Path, PathBuf};

use crate::announcer::clients::{ClientAddress, without_password};
use crate::dht::{Dht, DhtBuilder};
use crate::engine::limits::ITEM_BYTES;
use crate::engine::node::HotKeyRule;
use crate::index::service::{Mode, Settings as IndexSettings};
use crate::index::store::{Options, Place};
use crate::net::nearness::Site;
use crate::net::place;
use crate::tracker::server::Settings as GatewaySettings;

pub use error::ConfigError;
pub use origin::Origin;
pub use setting::{Origins, REPLACED, Replaced, SETTINGS, Scope, Setting, Settings, is_public_router, nearest_key};
pub use value::{BasePath, Form, HostPort, ListFile, LogFilter, LogFormat, PortMapping, Shape, Value};

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
    /// Flags that were given, with their values.
    pub flags: Vec<(&'static Setting, Vec<String>)>,
    /// Flags of earlier versions that were given.
    pub replaced_flags: Vec<&'static Replaced>,
}

/// The effective configuration: the value of each setting, and where it comes from.
#[derive(Clone, Debug, Default)]
pub struct Config {
    /// The values. They can be read as fields of the configuration itself.
    pub settings: Settings,
    /// The layer that each comes from.
    pub origins: Origins,
    /// Oddities that harm nothing.
    pub warnings: Vec<String>,
}

impl Deref for Config {
    type Target = Settings;

    fn deref(&self) -> &Settings {
        &self.settings
    }
}

/// Shares of the memory that the program may take, in bytes. The rest, a quarter, is for the program itself: tables,
/// sockets, what is in flight.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Memory {
    /// For the peers stored for others, at all addresses together.
    pub peers: usize,
    /// For the items stored for others, at all addresses together.
    pub items: usize,
    /// For all that the gateway remembers.
    pub gateway: usize,
}

/// One setting as it is printed.
#[derive(Clone, Debug)]
pub struct Entry<'a> {
    /// Which setting.
    pub setting: &'static Setting,
    /// Its value.
    pub value: toml::Value,
    /// The layer that it comes from.
    pub origin: &'a Origin,
}

impl Config {
    /// Lays the four layers over each other.
    ///
    /// # Errors
    /// The first thing that is wrong in any layer, with its place and its cure.
    pub fn load(sources: &Sources) -> Result<Self, ConfigError> {
        let mut config = Self::default();
        if let Some(path) = file_path(sources) {
            file::read_into(&mut config, &path)?;
        } else if let Some(path) = default_file().filter(|path| path.exists()) {
            file::read_into(&mut config, &path)?;
        }
        config.read_environment(&sources.environment)?;
        if let Some(replaced) = sources.replaced_flags.first() {
            let origin = Origin::Flag(replaced.key.replace('_', "-"));
            return Err(ConfigError::Replaced { origin, replaced });
        }
        for (setting, texts) in &sources.flags {
            config.set(setting, texts, &Origin::Flag(setting.flag()))?;
        }
        Ok(config)
    }

    /// The settings of a file with this text, over the defaults.
    ///
    /// # Errors
    /// The first thing that is wrong, with its place and its cure.
    pub fn of_file(text: &str) -> Result<Self, ConfigError> {
        let mut config = Self::default();
        file::read_text_into(&mut config, text, Path::new("trackerless.toml"))?;
        Ok(config)
    }

    /// The routers to ask: none with `no_bootstrap`, and never a public one in a private network.
    #[must_use]
    pub fn routers(&self) -> Vec<HostPort> {
        let allowed = |host: &&HostPort| !(self.lan && is_public_router(host));
        if self.no_bootstrap { Vec::new() } else { self.bootstrap.iter().filter(allowed).cloned().collect() }
    }

    /// A description of a node in the network of these settings. Where it listens, what it keeps and which queries it
    /// answers is up to the program: the node that stays, or a command beside it.
    #[must_use]
    pub fn node(&self) -> DhtBuilder {
        Dht::builder()
            .bootstrap(self.routers().into_iter().map(|router| router.to_string()))
            .private_network(self.lan)
            .compliance(self.node_ids)
            .lookups(self.lookup)
            .visit_hot_keys(self.hot_key_visits)
            .limited(!self.no_limits)
            .new_destinations(self.new_destinations_per_second.get(), self.new_destinations_burst.get())
    }

    /// What the node that stays answers where an infohash is asked for too often.
    #[must_use]
    pub fn hot_key_rule(&self) -> Option<HotKeyRule> {
        self.hot_keys.then(|| HotKeyRule {
            peers: self.hot_key_peers.get() as usize,
            queries_per_minute: self.hot_key_queries_per_minute.get(),
            passes_per_minute: self.hot_key_passes_per_minute.get(),
            tokens_per_minute: self.hot_key_tokens_per_minute.get(),
        })
    }

    /// The bytes that each store may take, of those that the whole program may.
    #[must_use]
    pub fn memory(&self) -> Memory {
        let all = usize::try_from(self.memory_limit.bytes()).unwrap_or(usize::MAX);
        let peers = usize::try_from(u64::from(self.peer_memory.get()) << 20).unwrap_or(usize::MAX);
        Memory { peers: peers.min(all / 2), items: (all / 16).min(ITEM_BYTES), gateway: all / 16 * 3 }
    }

    /// How the gateway behaves.
    #[must_use]
    pub fn gateway_settings(&self) -> GatewaySettings {
        GatewaySettings {
            policy: self.gateway_announce,
            denied: self.gateway_deny.iter().copied().collect(),
            site: self.site(),
            trusted_proxies: self.gateway_trusted_proxies.clone(),
            upstream: self.gateway_upstream.clone(),
            memory_bytes: self.memory().gateway,
            names: self.gateway_names.clone(),
            keep_in: Some(self.data_dir.clone()),
            spared_ports: Vec::new(),
        }
    }

    /// What the index may take, and what it must not keep; nothing where there is none.
    #[must_use]
    pub fn index_settings(&self, our_peer_id: [u8; 20]) -> Option<IndexSettings> {
        let paths = |files: &[ListFile]| files.iter().map(|file| file.0.clone()).collect();
        (self.index != Mode::Off).then(|| IndexSettings {
            mode: self.index,
            options: self.index_options(),
            refused_words: paths(&self.index_refused_words),
            refused_infohashes: paths(&self.index_refused_infohashes),
            queries_per_second: self.index_queries_per_second.get(),
            connections: self.index_connections.get() as usize,
            connections_per_second: self.index_connections_per_second.get(),
            bytes_per_day: self.index_metadata_per_day.bytes(),
            our_peer_id,
            private_network: self.lan,
        })
    }

    /// Where the index is.
    #[must_use]
    pub fn index_place(&self) -> Place {
        self.index_database.clone().map_or_else(|| Place::Folder(self.data_dir.clone()), Place::Database)
    }

    /// How the index keeps torrents.
    #[must_use]
    pub fn index_options(&self) -> Options {
        Options { most_bytes: self.index_max.bytes(), keep_files: self.index_files, file_words: self.index_file_words }
    }

    /// The hosts that share our address.
    #[must_use]
    pub fn site(&self) -> Site {
        Site::new(self.gateway_lan.clone()).in_private_network(self.lan).with_addresses(place::is_here)
    }

    /// The torrent clients to follow, each with what the settings say of all of them.
    #[must_use]
    pub fn clients(&self) -> Vec<ClientAddress> {
        let with_common = |address: &ClientAddress| {
            address.clone().with_defaults(self.password_file.as_deref(), self.port_file.as_deref())
        };
        self.client.iter().map(with_common).collect()
    }

    /// All settings as they are printed.
    pub fn entries(&self) -> impl Iterator<Item = Entry<'_>> {
        SETTINGS.iter().map(|setting| Entry {
            setting,
            value: setting.to_toml(&self.settings),
            origin: (setting.origin)(&self.origins),
        })
    }

    /// The whole as commented TOML, which is itself a valid configuration file.
    #[must_use]
    pub fn to_toml(&self) -> String {
        render::render(self.entries())
    }

    /// Changes one value while the node runs.
    ///
    /// # Errors
    /// The value is not of the kind that the setting needs.
    pub fn change(&mut self, setting: &'static Setting, texts: &[String]) -> Result<(), ConfigError> {
        self.set(setting, texts, &Origin::Control)
    }

    /// Checks and sets one value.
    fn set(&mut self, setting: &'static Setting, texts: &[String], origin: &Origin) -> Result<(), ConfigError> {
        (setting.set)(self, texts, origin).map_err(|why| ConfigError::WrongValue {
            origin: origin.clone(),
            key: setting.key,
            value: format!("{:?}", without_password(&texts.join(","))),
            why,
            cure: (setting.form.cure)(),
        })
    }

    /// Reads our variables. An unknown one is only a warning: other programs set variables too (Kubernetes sets
    /// `TRACKERLESS_PORT` where a service is called `trackerless`).
    fn read_environment(&mut self, environment: &[(String, String)]) -> Result<(), ConfigError> {
        for (name, value) in environment {
            let Some(key) = name.strip_prefix(VARIABLE_PREFIX) else { continue };
            let key = key.to_ascii_lowercase();
            if let Some(setting) = Setting::named(&key) {
                self.set(setting, std::slice::from_ref(value), &Origin::Variable(name.clone()))?;
            } else if let Some(replaced) = Replaced::named(&key) {
                return Err(ConfigError::Replaced { origin: Origin::Variable(name.clone()), replaced });
            } else if name != FILE_VARIABLE {
                let nearest = Setting::named(nearest_key(&key)).expect("a known key").variable();
                self.warnings.push(format!("variable {name} means nothing here; did you mean {nearest}?"));
            }
        }
        Ok(())
    }
}

/// The place of the configuration file where no other is named.
#[must_use]
pub fn default_file() -> Option<PathBuf> {
    Some(directories::ProjectDirs::from("", "", "trackerless")?.config_dir().join("trackerless.toml"))
}

/// The file that was named, by flag or by variable.
fn file_path(sources: &Sources) -> Option<PathBuf> {
    let variable = || sources.environment.iter().find(|(name, value)| name == FILE_VARIABLE && !value.is_empty());
    sources.file.clone().or_else(|| variable().map(|(_, value)| Path::new(value).to_owned()))
}

#[cfg(test)]
mod tests;
