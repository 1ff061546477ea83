//! Tokens: permission to announce, given by `get_peers` to the node that really is at an address (BEP 5).
//!
//! A token is a keyed hash over address and infohash: nothing is remembered for it. It does not cover the port, which
//! NATs rewrite, and it does cover the infohash, so that one token cannot write to another swarm. Two generations of
//! five minutes are accepted; the secrets survive a restart, so that a client in the middle of an announce succeeds.

use std::fmt;
use std::net::IpAddr;
use std::time::Duration;

use siphasher::sip::SipHasher24;

use super::id::Id;
use super::random::Random;

/// How long one secret gives out tokens. A token is good for between one and two of these.
pub const ROTATION: Duration = Duration::from_mins(5);
/// Bytes of a token: libtorrent wants its own 4 back, jech/dht drops 40 and more.
pub const TOKEN_LEN: usize = 8;

/// The secrets of the current and the previous generation.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Secrets {
    /// Gives and accepts.
    pub current: [u8; 16],
    /// Accepts only.
    pub previous: [u8; 16],
}

impl fmt::Debug for Secrets {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Secrets(hidden)")
    }
}

/// Gives and checks tokens.
#[derive(Clone, Debug)]
pub struct Tokens {
    secrets: Secrets,
}

impl Tokens {
    /// With new secrets.
    #[must_use]
    pub fn new(random: &mut Random) -> Self {
        Self { secrets: Secrets { current: random.secret_key(), previous: random.secret_key() } }
    }

    /// With the secrets of an earlier run.
    #[must_use]
    pub const fn restore(secrets: Secrets) -> Self {
        Self { secrets }
    }

    /// The secrets, to be kept across a restart.
    #[must_use]
    pub const fn secrets(&self) -> Secrets {
        self.secrets
    }

    /// Begins a new generation; the one before the last is no longer accepted.
    pub fn rotate(&mut self, random: &mut Random) {
        self.secrets = Secrets { current: random.secret_key(), previous: self.secrets.current };
    }

    /// The token for `ip` to announce to `info_hash`.
    #[must_use]
    pub fn give(&self, ip: IpAddr, info_hash: &Id) -> [u8; TOKEN_LEN] {
        hash(&self.secrets.current, ip, info_hash).to_be_bytes()
    }

    /// Whether `token` was given to `ip` for `info_hash` within the last two generations. Both are compared as whole
    /// words, so the time taken tells nothing about a near miss.
    #[must_use]
    pub fn accept(&self, token: &[u8], ip: IpAddr, info_hash: &Id) -> bool {
        let Ok(token) = <[u8; TOKEN_LEN]>::try_from(token).map(u64::from_be_bytes) else { return false };
        let current = token ^ hash(&self.secrets.current, ip, info_hash);
        let previous = token ^ hash(&self.secrets.previous, ip, info_hash);
        (current == 0) | (previous == 0)
    }
}

fn hash(secret: &[u8; 16], ip: IpAddr, info_hash: &Id) -> u64 {
    let mut input = [0; 16 + Id::LEN];
    let len = match ip {
        IpAddr::V4(ip) => {
            input[..4].copy_from_slice(&ip.octets());
            4
        }
        IpAddr::V6(ip) => {
            input[..16].copy_from_slice(&ip.octets());
            16
        }
    };
    input[len..len + Id::LEN].copy_from_slice(&info_hash.0);
    SipHasher24::new_with_key(secret).hash(&input[..len + Id::LEN])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_token_is_good_for_its_address_and_infohash_through_one_rotation() {
        let mut random = Random::new([1; 32]);
        let mut tokens = Tokens::new(&mut random);
        let (ip, other_ip) = ([1, 2, 3, 4].into(), [1, 2, 3, 5].into());
        let (swarm, other_swarm) = (Id([1; 20]), Id([2; 20]));
        let token = tokens.give(ip, &swarm);
        for _ in 0..2 {
            assert!(tokens.accept(&token, ip, &swarm));
            assert!(!tokens.accept(&token, other_ip, &swarm));
            assert!(!tokens.accept(&token, ip, &other_swarm));
            assert!(!tokens.accept(&token[..7], ip, &swarm));
            assert!(!tokens.accept(&[], ip, &swarm));
            assert!(Tokens::restore(tokens.secrets()).accept(&token, ip, &swarm), "a restart keeps it good");
            tokens.rotate(&mut random);
        }
        assert!(!tokens.accept(&token, ip, &swarm), "two rotations end it");
    }
}
