//! What is shared in the network: a survey of its infohashes (BEP 51), their names and files, and search.
//!
//! | file | what it holds |
//! |---|---|
//! | [`resolve`] | one torrent, now: peers, metadata, seeds; nothing is stored |
//! | [`words`] | how names are cut into words, for names and queries alike |
//! | [`query`] | the query language |
//! | [`entry`] | what is kept of a torrent |
//! | [`history`] | its seeds and peers over time |
//! | [`store`] | where it is kept: a trait, and SQLite and PostgreSQL behind it |
//! | [`survey`] | whom to ask next for a sample of its infohashes |
//! | [`shares`] | how several nodes divide a survey among them |
//! | [`wanted`] | which metadata is fetched next |
//! | [`recount`] | which torrents are counted again, and when |
//! | [`origins`] | where imported torrents came from, and which sources lied |
//! | [`filter`] | what must not be kept |
//! | [`service`] | the index at work: survey, metadata, store, each at its pace |
//! | [`torznab`] | Torznab, OpenSearch and the plug-in for qBittorrent: requests in, texts out |
//! | [`record`] | a torrent as a line of JSON, export and import |
//! | [`check`] | one torrent from outside, step by step: what others can see of it, and what a failure means for whom |
#![forbid(unsafe_code)]

pub mod check;
pub mod entry;
pub mod filter;
pub mod history;
pub mod origins;
pub mod query;
pub mod record;
pub mod recount;
pub mod resolve;
pub mod service;
pub mod shares;
pub mod store;
pub mod survey;
pub mod torznab;
pub mod wanted;
pub mod words;
