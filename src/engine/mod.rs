//! The protocol, whole and alone.
#![forbid(unsafe_code)]

pub mod bencode;
pub mod contact;
pub mod id;
pub mod krpc;
pub mod random;
pub mod time;
