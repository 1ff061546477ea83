//! Infohashes that are kept announced, thousands of them: what is announced next, to whom, and how it is known that
//! others can see it.
//!
//! A source ([`source`]) lists torrents: a folder, a list, a torrent client. It hands over its whole list whenever that
//! has changed, so that what is missing from it is no longer announced.
#![forbid(unsafe_code)]

pub mod source;
