//! What may be wrong when a client is asked, each with its cure.

use super::address::{Kind, Password};

/// Why a client gave no list.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Trouble {
    /// It does not answer.
    #[error("it cannot be reached: {0}")]
    Off(String),
    /// It wants to know who asks, and nothing was given.
    #[error("it asks for a password")]
    NeedsPassword,
    /// User or password are wrong.
    #[error("it refuses the user or the password")]
    Refused,
    /// It does not accept the name by which the address calls it.
    #[error("it does not accept the name in the address (HTTP status 401)")]
    OtherName,
    /// It lets this host in no more, or not at all.
    #[error("it refuses this host: {0}")]
    Barred(&'static str),
    /// The password could not be had.
    #[error("its password cannot be read: {0}")]
    NoPassword(String),
    /// There is no such interface.
    #[error("its interface lacks {0}")]
    Lacks(&'static str),
    /// The interface is there and has no client behind it.
    #[error("its interface is connected to no daemon")]
    NotConnected,
    /// It answered something else.
    #[error("its answer is not understood: {0}")]
    Strange(String),
}

impl Trouble {
    /// What the user can do about it.
    #[must_use]
    pub fn cure(&self, kind: Kind, password: &Password) -> String {
        let name = kind.name();
        match self {
            Self::Off(_) => format!("start {name} with {}, or correct the address", interface(kind)),
            Self::NeedsPassword => format!("give one in the address, as in {}", with_password(kind)),
            Self::Refused => {
                format!("correct {}; {name} is not asked again before that, or at a slow pace", place(password))
            }
            Self::OtherName => format!(
                "call {name} by the IP address of its Web UI, or add the name to its Server domains (Options, Web UI); a \
                 reverse proxy before it may want a login of its own"
            ),
            Self::Barred(_) if kind == Kind::Transmission => {
                "add this host to rpc-whitelist in Transmission's settings.json".to_owned()
            }
            Self::Barred(_) => format!(
                "restart {name}, or wait until it lets this host in again (an hour, unless its Web UI options say otherwise); see \
                 that {} are right; it is tried again by itself",
                place(password)
            ),
            Self::NoPassword(_) => format!("let this program read {}", place(password)),
            Self::Lacks(_) => format!("{} is needed, and its path in the address must be right", oldest(kind)),
            Self::NotConnected => {
                "connect Deluge's web interface to its daemon: Connection Manager, then Connect".to_owned()
            }
            Self::Strange(_) => format!("is this the address of {} of {name}?", interface(kind)),
        }
    }

    /// Whether it comes from the client itself, which therefore is there.
    #[must_use]
    pub const fn is_refusal(&self) -> bool {
        matches!(self, Self::Refused | Self::Barred(_))
    }
}

const fn interface(kind: Kind) -> &'static str {
    match kind {
        Kind::Qbittorrent => "its Web UI on",
        Kind::Transmission => "its RPC on",
        Kind::Deluge => "deluge-web beside deluged",
        Kind::Rtorrent => "its SCGI socket (network.scgi.open_local or open_port)",
        Kind::Aria2 => "--enable-rpc",
    }
}

const fn with_password(kind: Kind) -> &'static str {
    match kind {
        Kind::Qbittorrent => "qbittorrent+http://USER:PASSWORD@HOST:PORT",
        Kind::Transmission => "transmission+http://USER:PASSWORD@HOST:PORT",
        Kind::Deluge => "deluge+http://:PASSWORD@HOST:PORT",
        Kind::Rtorrent => "rtorrent+http://USER:PASSWORD@HOST:PORT",
        Kind::Aria2 => "aria2+http://:SECRET@HOST:PORT/jsonrpc",
    }
}

/// The oldest version whose interface has what is needed.
const fn oldest(kind: Kind) -> &'static str {
    match kind {
        Kind::Qbittorrent => "qBittorrent 4.1 or newer",
        Kind::Transmission => "Transmission 2.80 or newer",
        Kind::Deluge => "Deluge 2.0 or newer",
        Kind::Rtorrent => "rTorrent 0.9.6 or newer",
        Kind::Aria2 => "aria2 1.18 or newer",
    }
}

fn place(password: &Password) -> String {
    match password {
        Password::None | Password::Given(_) => "the user and the password in the address".to_owned(),
        Password::File(path) => format!("the user in the address and the password in {}", path.display()),
        Password::Variable(name) => format!("the user in the address and the password in the variable {name}"),
    }
}
