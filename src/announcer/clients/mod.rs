//! Torrent clients that are followed: their own interfaces tell which torrents they have.
//!
//! A [`ClientAddress`] names a client. A [`Follower`] asks it again and again and tells a
//! [`Listing`](crate::announcer::source::Listing) whenever something has changed.
//!
//! | to find | look in |
//! |---|---|
//! | how a client is named, and where its password comes from | [`address`], [`secret`] |
//! | what one client's interface says, and what that means | [`qbittorrent`], [`transmission`], [`deluge`], [`rtorrent`], [`aria2`] |
//! | what all of them come to | [`answer`] |
//! | when a client is asked, and what is told of one that does not answer | [`plan`], pure; [`trouble`] |
//! | whether a torrent is private whose client cannot say so | [`privacy`] |
//! | whether a client may be announced from here | [`guard`], pure |
//! | the port at which it is announced | [`port_file`], [`listing`], pure |
//! | the task of one client | [`follow`] |
//!
//! Nothing is ever changed in a client, but that the web interface of Deluge is connected to its only daemon.

pub mod address;
pub mod answer;
pub mod aria2;
pub mod deluge;
pub mod follow;
pub mod guard;
pub mod http;
pub mod listing;
pub mod plan;
pub mod port_file;
pub mod privacy;
pub mod qbittorrent;
pub mod rtorrent;
pub mod scgi;
pub mod secret;
pub mod transmission;
pub mod trouble;
pub mod xmlrpc;

pub use address::{AddressError, ClientAddress, Kind};
pub use follow::{Follower, World};
pub use secret::{Secret, without_password};

#[cfg(test)]
mod too_old;
