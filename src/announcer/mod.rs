//! Infohashes that are kept announced, thousands of them: what is announced next, to whom, and how it is known that
//! others can see it.
//!
//! A source ([`source`]) lists torrents: a folder, a list, a torrent client. It hands over its whole list whenever that
//! has changed, so that what is missing from it is no longer announced.
//!
//! | to find | look in |
//! |---|---|
//! | the handle that programs embed | `Announcer` |
//! | folders, lists and single targets | `watch` |
//! | which infohash is announced next, and when it is looked for | [`schedule`], pure |
//! | how long other nodes keep what they store | [`copies`] |
//! | what is known of one infohash | [`entry`] |
//! | instants, as many are kept | [`second`] |
//! | what people see | [`view`] |
//! | which torrents a torrent client has | `clients` |
//! | what a restart keeps | [`record`], `store` |
#![forbid(unsafe_code)]

pub mod copies;
pub mod entry;
pub mod record;
pub mod schedule;
pub mod second;
pub mod source;
mod spending;
pub mod view;

// What has sockets, files and tasks; the lab needs none of it.
#[cfg(feature = "announcer")]
pub mod clients;
#[cfg(feature = "announcer")]
mod handle;
#[cfg(feature = "announcer")]
mod keeper;
#[cfg(feature = "announcer")]
mod run;
#[cfg(feature = "announcer")]
mod shared;
#[cfg(feature = "announcer")]
pub mod store;
#[cfg(feature = "announcer")]
mod told;
#[cfg(feature = "announcer")]
mod watch;

#[cfg(feature = "announcer")]
pub use handle::{Announcer, BY_HAND, Full, MAX, Patch, Settings, StartError};
#[cfg(feature = "announcer")]
pub use shared::News;
#[cfg(feature = "announcer")]
pub use watch::{listing_of, watch};

#[cfg(all(test, feature = "announcer"))]
mod tests;
