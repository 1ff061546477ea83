//! Infohashes that are kept announced, thousands of them: what is announced next, to whom, and how it is known that
//! others can see it.
//!
//! A source ([`source`]) lists torrents: a folder, a list, a torrent client. It hands over its whole list whenever that
//! has changed, so that what is missing from it is no longer announced.
//!
//! | to find | look in |
//! |---|---|
//! | which infohash is announced next, and when it is looked for | [`schedule`], pure |
//! | how long other nodes keep what they store | [`copies`] |
//! | what is known of one infohash | [`entry`] |
//! | what people see | [`view`] |
//! | which torrents a torrent client has | [`clients`] |
//! | what a restart keeps | [`store`] |
#![forbid(unsafe_code)]

pub mod clients;
pub mod copies;
pub mod entry;
pub mod schedule;
pub mod source;
mod spending;
pub mod store;
pub mod view;
