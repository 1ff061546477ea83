//! What is shared in the network: a survey of its infohashes (BEP 51), their names and files, and search.
//!
//! | file | what it holds |
//! |---|---|
//! | [`resolve`] | one torrent, now: peers, metadata, seeds; nothing is stored |
//! | [`words`] | how names are cut into words, for names and queries alike |
//! | [`query`] | the query language |
//! | [`entry`] | what is kept of a torrent |
//! | [`store`] | where it is kept: a trait, and SQLite behind it |
//! | [`record`] | a torrent as a line of JSON, export and import |
//! | [`check`] | one torrent from outside, step by step: what others can see of it, and what a failure means for whom |
#![forbid(unsafe_code)]

pub mod check;
pub mod entry;
pub mod query;
pub mod record;
pub mod resolve;
pub mod store;
pub mod words;
