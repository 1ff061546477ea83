//! Items: small values that others store with us (BEP 44).
//!
//! An *immutable* item is found under the hash of its value. A *mutable* one is found under the hash of a public key
//! and a salt; its owner signs each new value with a higher sequence number. Invariants:
//! * a value is kept as the bytes that arrived, which are canonical bencode (`bendy` says so) of at most
//!   [`MAX_VALUE`] bytes: hashes and signatures are over these very bytes;
//! * whatever is called an [`Item`] here can be checked by anyone; [`Item::is_genuine`] does so.

mod store;

use bendy::decoding::{Decoder, Object};
use ed25519_dalek::{Signature, Signer as _, SigningKey, VerifyingKey};
use sha1::{Digest, Sha1};

use super::bencode::write::{integer, string};
use super::id::Target;

pub use store::{ItemStore, PutRefusal, StoredItem};

/// The most bytes of a value, as bencode.
pub const MAX_VALUE: usize = 1000;
/// The most bytes of a salt.
pub const MAX_SALT: usize = 64;
/// Containers inside each other: what a whole datagram may have, less its own.
const MAX_DEPTH: usize = 8;

/// Why something is no item.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ItemFault {
    /// The value is too long.
    #[error("the value has {0} bytes as bencode, an item holds {MAX_VALUE}")]
    TooBig(usize),
    /// The value is no bencode, or not in its only canonical form.
    #[error("the value is not canonical bencode")]
    NotCanonical,
    /// The salt is too long.
    #[error("the salt has {0} bytes, an item holds {MAX_SALT}")]
    SaltTooBig(usize),
    /// The sequence number is negative.
    #[error("the sequence number is negative")]
    NegativeSeq,
}

/// A value: canonical bencode.
#[derive(Clone, PartialEq, Eq)]
pub struct Value(Box<[u8]>);

impl Value {
    /// Takes bencode as it is.
    ///
    /// # Errors
    /// It is too long, or not canonical.
    pub fn from_bencode(bytes: &[u8]) -> Result<Self, ItemFault> {
        if bytes.len() > MAX_VALUE {
            return Err(ItemFault::TooBig(bytes.len()));
        }
        if !is_canonical(bytes) {
            return Err(ItemFault::NotCanonical);
        }
        Ok(Self(bytes.into()))
    }

    /// A string that holds `contents`.
    ///
    /// # Errors
    /// It is too long.
    pub fn from_contents(contents: &[u8]) -> Result<Self, ItemFault> {
        let mut bytes = Vec::with_capacity(contents.len() + 5);
        string(&mut bytes, contents);
        if bytes.len() > MAX_VALUE { Err(ItemFault::TooBig(bytes.len())) } else { Ok(Self(bytes.into())) }
    }

    /// The bencode.
    #[must_use]
    pub fn as_bencode(&self) -> &[u8] {
        &self.0
    }

    /// What a string holds; `None` for a value of another kind.
    #[must_use]
    pub fn contents(&self) -> Option<&[u8]> {
        let mut decoder = Decoder::new(&self.0);
        decoder.next_object().ok()??.try_into_bytes().ok()
    }

    /// Where it is found as an immutable item.
    #[must_use]
    pub fn target(&self) -> Target {
        target_of_value(&self.0)
    }
}

impl std::fmt::Debug for Value {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Value({})", self.0.escape_ascii())
    }
}

/// Whether these bytes are one bencoded value in canonical form: sorted keys, each once, no leading zeros.
fn is_canonical(bytes: &[u8]) -> bool {
    let mut decoder = Decoder::new(bytes).with_max_depth(MAX_DEPTH);
    let whole = decoder.next_object().is_ok_and(|object| object.is_some_and(|object| walk(object).is_ok()));
    whole && matches!(decoder.next_object(), Ok(None))
}

/// bendy checks a container while it is read to its end.
fn walk(object: Object<'_, '_>) -> Result<(), bendy::decoding::Error> {
    match object {
        Object::Bytes(_) | Object::Integer(_) => Ok(()),
        Object::List(list) => list.into_raw().map(drop),
        Object::Dict(dict) => dict.into_raw().map(drop),
    }
}

/// A value that its owner has signed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Mutable {
    /// The owner's public key.
    pub key: [u8; 32],
    /// What tells apart the items of one owner; empty for the only one.
    pub salt: Box<[u8]>,
    /// Grows with each new value; not negative.
    pub seq: i64,
    /// Over salt, seq and value.
    pub signature: [u8; 64],
    /// The value.
    pub value: Value,
}

impl Mutable {
    /// Signs `value`.
    ///
    /// # Errors
    /// The salt is too long, or the sequence number negative.
    pub fn sign(owner: &Owner, salt: &[u8], seq: i64, value: Value) -> Result<Self, ItemFault> {
        if salt.len() > MAX_SALT {
            return Err(ItemFault::SaltTooBig(salt.len()));
        }
        if seq < 0 {
            return Err(ItemFault::NegativeSeq);
        }
        let signature = owner.0.sign(&signed_bytes(salt, seq, &value)).to_bytes();
        Ok(Self { key: owner.public_key(), salt: salt.into(), seq, signature, value })
    }

    /// Where it is found.
    #[must_use]
    pub fn target(&self) -> Target {
        target_of_key(&self.key, &self.salt)
    }

    fn is_signed_by_its_owner(&self) -> bool {
        let signature = Signature::from_bytes(&self.signature);
        let signed = signed_bytes(&self.salt, self.seq, &self.value);
        // Strict: a key of small order would let anyone sign.
        VerifyingKey::from_bytes(&self.key).is_ok_and(|key| key.verify_strict(&signed, &signature).is_ok())
    }
}

/// What the signature of a mutable item is over (BEP 44, Signature Generation).
fn signed_bytes(salt: &[u8], seq: i64, value: &Value) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(value.0.len() + salt.len() + 40);
    if !salt.is_empty() {
        bytes.extend_from_slice(b"4:salt");
        string(&mut bytes, salt);
    }
    bytes.extend_from_slice(b"3:seq");
    integer(&mut bytes, seq);
    bytes.extend_from_slice(b"1:v");
    bytes.extend_from_slice(&value.0);
    bytes
}

/// Where a value is found as an immutable item; the bytes may come from anyone.
#[must_use]
pub fn target_of_value(bencode: &[u8]) -> Target {
    Target::from(<[u8; 20]>::from(Sha1::digest(bencode)))
}

/// Where the item of `key` and `salt` is found; both may be of any length, as they may come from anyone.
#[must_use]
pub fn target_of_key(key: &[u8], salt: &[u8]) -> Target {
    Target::from(<[u8; 20]>::from(Sha1::new().chain_update(key).chain_update(salt).finalize()))
}

/// A value and what proves that it belongs under its target.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Item {
    /// Found under the hash of the value.
    Immutable(Value),
    /// Found under the hash of its owner's key.
    Mutable(Mutable),
}

impl Item {
    /// Where it is found.
    #[must_use]
    pub fn target(&self) -> Target {
        match self {
            Self::Immutable(value) => value.target(),
            Self::Mutable(item) => item.target(),
        }
    }

    /// Its value.
    #[must_use]
    pub const fn value(&self) -> &Value {
        match self {
            Self::Immutable(value) | Self::Mutable(Mutable { value, .. }) => value,
        }
    }

    /// Its sequence number; `None` for an immutable item.
    #[must_use]
    pub const fn seq(&self) -> Option<i64> {
        match self {
            Self::Immutable(_) => None,
            Self::Mutable(item) => Some(item.seq),
        }
    }

    /// Whether the signature is right. An immutable item needs none.
    #[must_use]
    pub fn is_genuine(&self) -> bool {
        match self {
            Self::Immutable(_) => true,
            Self::Mutable(item) => item.is_signed_by_its_owner(),
        }
    }
}

/// The owner of a mutable item, who alone may change it: a key pair. Its secret is never shown.
#[derive(Clone)]
pub struct Owner(SigningKey);

impl Owner {
    /// The owner whose secret is `seed` (RFC 8032).
    #[must_use]
    pub fn from_seed(seed: &[u8; 32]) -> Self {
        Self(SigningKey::from_bytes(seed))
    }

    /// The key that others know it by.
    #[must_use]
    pub fn public_key(&self) -> [u8; 32] {
        self.0.verifying_key().to_bytes()
    }
}

impl std::fmt::Debug for Owner {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Owner({})", hex::encode(self.public_key()))
    }
}

#[cfg(test)]
mod tests;
