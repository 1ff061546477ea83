//! What a source tells: all torrents that it knows of, each time that one has changed.

use std::sync::Arc;

use crate::engine::id::InfoHash;

/// All that a source knows at a time. It replaces what the same source said before.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Listing {
    /// The source, as people know it: the path of a folder or list, the URL of a client without its password.
    pub source: Arc<str>,
    /// Its torrents. `None` where the source could not be asked since the start of the program: what it told in an earlier
    /// run goes on.
    pub torrents: Option<Vec<Listed>>,
    /// Whether they are announced over IPv4 only: their client is another host of our local network, which shares our public
    /// IPv4 address and no other.
    pub ipv4_only: bool,
    /// Entries that could not be read, with the reason.
    pub left_out: Vec<LeftOut>,
    /// Why the source could not be asked this time, with the cure. Its torrents are then those that it told last, or none
    /// once they are too old to be believed.
    pub trouble: Option<String>,
}

/// A torrent of a source.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Listed {
    /// The infohash that is announced; a hybrid torrent is two entries.
    pub infohash: InfoHash,
    /// Its name, where the source has one.
    pub name: Option<Arc<str>>,
    /// The port at which peers reach the client by TCP or uTP; `None` where the source does not know it. When it changes, the
    /// torrent is announced again at once.
    pub port: Option<u16>,
    /// Whether the client has all of it.
    pub complete: bool,
    /// Whether it may be announced.
    pub state: ListedState,
}

/// Whether a listed torrent may be announced.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum ListedState {
    /// It is public and active.
    Active,
    /// The client does not take part in its swarm for now.
    Paused,
    /// It is private (BEP 27): never announced.
    Private,
    /// The source cannot say whether it is private: the metadata decides (BEP 9).
    PrivacyUnknown,
    /// The world reaches the client at another address than ours, or not at all: through a VPN or a proxy that we do not
    /// use, or on another host. It is never announced from here, since the DHT would learn a wrong address.
    Elsewhere,
}

/// An entry that could not be used.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct LeftOut {
    /// The entry: a file name, or a line with its number.
    pub entry: String,
    /// Why it cannot be used.
    pub reason: String,
}
