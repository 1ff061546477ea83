//! What can be wrong with a configuration, always with the place and the cure.

use std::path::PathBuf;

use super::origin::Origin;
use super::setting::{Replaced, suggestion};

/// A configuration that cannot be used.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ConfigError {
    /// The file cannot be read.
    #[error("the configuration file {} cannot be read: {source}", path.display())]
    Unreadable {
        /// Which.
        path: PathBuf,
        /// Why.
        source: std::io::Error,
    },
    /// The file is not TOML.
    #[error("{origin}: this is not TOML: {message}")]
    Syntax {
        /// Where.
        origin: Origin,
        /// What the reader says.
        message: String,
    },
    /// There is no such setting.
    #[error("{origin}: there is no setting {key:?}")]
    UnknownKey {
        /// Where.
        origin: Origin,
        /// What was written.
        key: String,
    },
    /// The setting was replaced by another.
    #[error("{origin}: the setting {} was replaced by {}", replaced.key, replaced.by)]
    Replaced {
        /// Where.
        origin: Origin,
        /// By which, and what says the same.
        replaced: &'static Replaced,
    },
    /// The value is not of the kind that the setting needs.
    #[error("{origin}: {key} = {value}: {why}")]
    WrongValue {
        /// Where.
        origin: Origin,
        /// Of which setting.
        key: &'static str,
        /// What was given.
        value: String,
        /// What is wrong with it.
        why: String,
        /// What would be right.
        cure: String,
    },
}

impl ConfigError {
    /// What the user can do about it.
    #[must_use]
    pub fn cure(&self) -> String {
        match self {
            Self::Unreadable { .. } => "name a file that exists with --config, or leave the flag out".to_owned(),
            Self::Syntax { .. } => "write key = value, as `trackerless config` prints it".to_owned(),
            Self::UnknownKey { key, .. } => suggestion(key),
            Self::Replaced { origin, replaced } => replaced.cure(origin),
            Self::WrongValue { cure, .. } => cure.clone(),
        }
    }
}
