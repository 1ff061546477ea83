//! The layer that a value comes from.

use std::fmt;
use std::path::PathBuf;

/// Where a value comes from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Origin {
    /// No layer gives the setting.
    Default,
    /// The configuration file.
    File {
        /// Which.
        path: PathBuf,
        /// The line, counted from 1.
        line: usize,
    },
    /// An environment variable.
    Variable(String),
    /// A flag, without its dashes.
    Flag(String),
    /// The control interface, while the node runs.
    Control,
}

impl Origin {
    /// Whether the setting was given as a flag: what the file says of `bind` is meant for the node that stays, not for a
    /// command that runs beside it.
    #[must_use]
    pub const fn is_flag(&self) -> bool {
        matches!(self, Self::Flag(_))
    }

    /// Whether the setting was given as a variable.
    #[must_use]
    pub const fn is_variable(&self) -> bool {
        matches!(self, Self::Variable(_))
    }

    /// Whether any layer gives the setting.
    #[must_use]
    pub fn is_chosen(&self) -> bool {
        *self != Self::Default
    }
}

impl fmt::Display for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Default => f.write_str("default"),
            Self::File { path, line } => write!(f, "{}, line {line}", path.display()),
            Self::Variable(name) => write!(f, "variable {name}"),
            Self::Flag(name) => write!(f, "flag --{name}"),
            Self::Control => f.write_str("control interface"),
        }
    }
}
