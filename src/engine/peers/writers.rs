//! How many swarms each network has begun here, so that none fills the store alone.
//!
//! Two fixed tables, for owners (a /24 or /48) and for providers (a /16 or /32): a keyed hash picks the slot of a network,
//! and networks that meet in a slot share its count. A swarm stays on the account of the network that began it until it is
//! gone; nothing decays, so that the counts say at any time who holds how much.

use std::net::IpAddr;

use crate::engine::keyed_hash::KeyedHash;
use crate::engine::limits::{
    OWNERS_TO_FILL_STORE, PROVIDER_SLOTS, PROVIDERS_TO_FILL_STORE, SWARMS_PER_OWNER, SWARMS_PER_PROVIDER, WRITER_SLOTS,
};
use crate::engine::owner::{Level, network, owner};

/// The slots of an owner and of its provider.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Writer {
    owner: u16,
    provider: u16,
}

const OWNER_BITS: u32 = WRITER_SLOTS.ilog2();
const PROVIDER_BITS: u32 = PROVIDER_SLOTS.ilog2();
const _: () = assert!(WRITER_SLOTS.is_power_of_two() && PROVIDER_SLOTS.is_power_of_two());

impl Writer {
    /// Bits of a writer that is packed.
    pub(super) const BITS: u32 = OWNER_BITS + PROVIDER_BITS;

    pub(super) fn of(hash: &KeyedHash, ip: IpAddr) -> Self {
        let owner = hash.of(&owner(ip).to_be_bytes());
        // Of another length, so that a provider is not hashed as the owner of the same number is.
        let provider = hash.of(&network(ip, Level::Provider).to_be_bytes()[1..]);
        Self { owner: (owner as usize % WRITER_SLOTS) as u16, provider: (provider as usize % PROVIDER_SLOTS) as u16 }
    }

    pub(super) fn pack(self) -> u32 {
        u32::from(self.owner) | u32::from(self.provider) << OWNER_BITS
    }

    pub(super) const fn unpack(bits: u32) -> Self {
        let owner = bits & (WRITER_SLOTS as u32 - 1);
        let provider = bits >> OWNER_BITS & (PROVIDER_SLOTS as u32 - 1);
        Self { owner: owner as u16, provider: provider as u16 }
    }
}

/// The counts.
#[derive(Clone, Debug)]
pub(super) struct Writers {
    /// Swarms that each owner and each provider has begun; empty until the first swarm: many nodes are never announced to.
    owners: Vec<u32>,
    providers: Vec<u32>,
    most_of_owner: u32,
    most_of_provider: u32,
}

impl Writers {
    /// For a store with room for about `swarms` swarms.
    pub(super) fn new(swarms: usize) -> Self {
        let most = |parts: usize, least: usize| u32::try_from((swarms / parts).max(least)).unwrap_or(u32::MAX);
        Self {
            owners: Vec::new(),
            providers: Vec::new(),
            most_of_owner: most(OWNERS_TO_FILL_STORE, SWARMS_PER_OWNER),
            most_of_provider: most(PROVIDERS_TO_FILL_STORE, SWARMS_PER_PROVIDER),
        }
    }

    /// Whether `writer` may begin another swarm.
    pub(super) fn may_begin(&self, writer: Writer) -> bool {
        let begun = |counts: &[u32], slot: u16| counts.get(usize::from(slot)).copied().unwrap_or(0);
        begun(&self.owners, writer.owner) < self.most_of_owner
            && begun(&self.providers, writer.provider) < self.most_of_provider
    }

    pub(super) fn begun(&mut self, writer: Writer) {
        if self.owners.is_empty() {
            self.owners.resize(WRITER_SLOTS, 0);
            self.providers.resize(PROVIDER_SLOTS, 0);
        }
        self.owners[usize::from(writer.owner)] += 1;
        self.providers[usize::from(writer.provider)] += 1;
    }

    pub(super) fn gone(&mut self, writer: Writer) {
        self.owners[usize::from(writer.owner)] -= 1;
        self.providers[usize::from(writer.provider)] -= 1;
    }
}

#[cfg(test)]
impl Writers {
    /// All swarms that were begun.
    pub(super) fn total(&self) -> usize {
        let owners: u32 = self.owners.iter().sum();
        assert_eq!(owners, self.providers.iter().sum::<u32>(), "each swarm is counted twice");
        owners as usize
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::engine::random::Random;

    #[test]
    fn a_writer_is_packed_without_loss() {
        let hash = KeyedHash::new(&mut Random::new([1; 32]));
        for host in 0..1000u32 {
            let writer = Writer::of(&hash, IpAddr::from(host.wrapping_mul(7_777_777).to_be_bytes()));
            assert!(writer.pack() < 1 << Writer::BITS);
            assert_eq!(Writer::unpack(writer.pack()), writer);
        }
    }
}
