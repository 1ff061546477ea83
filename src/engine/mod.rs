//! The protocol, whole and alone.
#![forbid(unsafe_code)]

pub mod contact;
pub mod id;
pub mod rng;
pub mod time;
