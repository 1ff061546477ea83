//! What is shared in the network: a survey of its infohashes (BEP 51), their names and files, and search.
//!
//! | file | what it holds |
//! |---|---|
//! | [`resolve`] | one torrent, now: peers, metadata, seeds; nothing is stored |
//! | [`check`] | one torrent from outside, step by step: what others can see of it, and what a failure means for whom |
#![forbid(unsafe_code)]

pub mod check;
pub mod resolve;
