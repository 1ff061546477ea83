//! `trackerless put`, `get` and `key`, and what is made of them (`publish-torrent`, `resolve`): small values that the
//! DHT itself keeps (BEP 44).

mod download;
pub(super) mod feed;
pub(super) mod get;
pub(super) mod key;
pub(super) mod put;
mod upload;

use super::failure::Failure;
use crate::engine::items::{ItemFault, MAX_SALT};

impl From<ItemFault> for Failure {
    fn from(fault: ItemFault) -> Self {
        let cure = match fault {
            ItemFault::TooBig(_) => "store it as a file with --file, which cuts it into items",
            ItemFault::NotCanonical => {
                "sort the keys of dicts, write numbers without leading zeros, or leave out --bencode"
            }
            ItemFault::SaltTooBig(_) => "choose a shorter --salt; the hash of a long one will do",
            _ => "give a --seq of 0 or more, or leave it out",
        };
        Self::usage(fault, cure)
    }
}

/// Whether an item can have this salt.
fn check_salt(salt: &[u8]) -> Result<(), Failure> {
    if salt.len() > MAX_SALT { Err(ItemFault::SaltTooBig(salt.len()).into()) } else { Ok(()) }
}

/// Reads a public key: 64 hexadecimal digits.
fn public_key(text: &str) -> Result<[u8; 32], Failure> {
    let mut key = [0; 32];
    match hex::decode_to_slice(text, &mut key) {
        Ok(()) => Ok(key),
        Err(_) => Err(Failure::usage(
            format_args!("{text:?} is not a public key"),
            "give the 64 hexadecimal digits that `trackerless key show FILE` prints",
        )),
    }
}
