//! Who holds how many addresses: the networks of an address, and how much of a shared resource each may take.
//!
//! To the owner of a network an address costs nothing. So what strangers share (places of a table, votes, budgets, room in
//! a store) is counted by networks, at three levels that grow outwards:
//!
//! | level | IPv4 | IPv6 | what it stands for |
//! |---|---|---|---|
//! | [`Level::Site`] | the address | the /64 | one line: a household, one rented machine |
//! | [`Level::Owner`] | the /24 | the /48 | one customer: the least that is routed, what a provider gives away for the asking |
//! | [`Level::Provider`] | the /16 | the /32 | one provider, or one of its regions |
//!
//! [`Allowance`] says what each level may hold of one resource.

use std::net::IpAddr;

/// How wide a network is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Level {
    /// An IPv4 address, or the /64 of an IPv6 address.
    Site,
    /// The /24 of an IPv4 address, the /48 of an IPv6 address.
    Owner,
    /// The /16 of an IPv4 address, the /32 of an IPv6 address.
    Provider,
}

impl Level {
    /// Leading bits that the addresses of one network share: of 32 bits, or of 128.
    #[must_use]
    pub const fn prefix_len(self, ip: &IpAddr) -> u32 {
        match (ip, self) {
            (IpAddr::V4(_), Self::Site) => 32,
            (IpAddr::V4(_), Self::Owner) => 24,
            (IpAddr::V4(_), Self::Provider) => 16,
            (IpAddr::V6(_), Self::Site) => 64,
            (IpAddr::V6(_), Self::Owner) => 48,
            (IpAddr::V6(_), Self::Provider) => 32,
        }
    }
}

/// The network of `ip` at `level`: its prefix as a number. Equal numbers of one family and one level are one network.
#[must_use]
pub fn network(ip: IpAddr, level: Level) -> u64 {
    let bits = level.prefix_len(&ip);
    match ip {
        IpAddr::V4(ip) => u64::from(u32::from(ip)) >> (32 - bits),
        IpAddr::V6(ip) => (u128::from(ip) >> (128 - bits)) as u64,
    }
}

/// The network that one owner is assumed to hold: the /24 of an IPv4 address, the /48 of an IPv6 address.
#[must_use]
pub fn owner(ip: IpAddr) -> u64 {
    network(ip, Level::Owner)
}

/// The provider of an owner, which is not an address of the other family.
#[must_use]
pub const fn provider_of(owner: u64) -> u64 {
    // Owners of IPv4 addresses have 24 bits; no IPv6 address that is in use begins with 24 zeros.
    if owner < 1 << 24 { owner >> 8 } else { owner >> 16 }
}

/// Most that the addresses of one network may hold of a resource together, for each level.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Allowance {
    /// Of one site.
    pub site: usize,
    /// Of one owner.
    pub owner: usize,
    /// Of one provider.
    pub provider: usize,
}

impl Allowance {
    /// What nothing bounds: private networks, in which one host may hold everything.
    pub const UNBOUNDED: Self = Self { site: usize::MAX, owner: usize::MAX, provider: usize::MAX };

    /// What a network at `level` may hold.
    #[must_use]
    pub const fn at(&self, level: Level) -> usize {
        match level {
            Level::Site => self.site,
            Level::Owner => self.owner,
            Level::Provider => self.provider,
        }
    }

    /// The narrowest network of `ip` that has no place left where the addresses `holders` hold one each; `None` if `ip` may
    /// have a place too.
    #[must_use]
    pub fn exhausted(&self, ip: IpAddr, holders: impl IntoIterator<Item = IpAddr>) -> Option<Level> {
        let levels = [Level::Site, Level::Owner, Level::Provider];
        let networks = levels.map(|level| network(ip, level));
        let mut held = [0; 3];
        for holder in holders {
            for (index, level) in levels.into_iter().enumerate() {
                held[index] += usize::from(network(holder, level) == networks[index]);
            }
        }
        levels.into_iter().zip(held).find(|(level, held)| *held >= self.at(*level)).map(|(level, _)| level)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ip(text: &str) -> IpAddr {
        text.parse().unwrap()
    }

    #[test]
    fn networks_grow_outwards() {
        for (address, inside, outside) in [
            ("9.8.7.6", ["9.8.7.6", "9.8.7.200", "9.8.200.1"], ["9.8.7.7", "9.8.6.6", "9.9.7.6"]),
            (
                "2001:db8:1:2::3",
                ["2001:db8:1:2:ffff::", "2001:db8:1:ffff::", "2001:db8:ffff::"],
                ["2001:db8:1:3::3", "2001:db8:2:2::3", "2001:db9:1:2::3"],
            ),
        ] {
            for (index, level) in [Level::Site, Level::Owner, Level::Provider].into_iter().enumerate() {
                assert_eq!(network(ip(address), level), network(ip(inside[index]), level), "{address} {level:?}");
                assert_ne!(network(ip(address), level), network(ip(outside[index]), level), "{address} {level:?}");
            }
        }
    }

    #[test]
    fn an_owner_is_a_48_on_ipv6_and_a_24_on_ipv4() {
        assert_eq!(owner(ip("2001:db8:1::")), owner(ip("2001:db8:1:ffff::1")));
        assert_ne!(owner(ip("2001:db8:1::")), owner(ip("2001:db8:2::")));
        for address in ["9.8.7.1", "223.255.255.1", "2001:db8:1:2::3", "2a00::1"] {
            assert_eq!(provider_of(owner(ip(address))), network(ip(address), Level::Provider), "{address}");
        }
        assert_eq!(owner(ip("9.8.7.1")), owner(ip("9.8.7.255")));
        assert_ne!(owner(ip("9.8.7.1")), owner(ip("9.8.6.1")));
    }

    #[test]
    fn the_narrowest_network_without_a_place_is_named() {
        let allowance = Allowance { site: 1, owner: 2, provider: 3 };
        let holders = |text: &str| text.split_whitespace().map(ip).collect::<Vec<_>>();
        for (address, held, exhausted) in [
            ("9.8.7.6", "", None),
            ("9.8.7.6", "9.8.7.7 9.9.9.9 1.2.3.4", None),
            ("9.8.7.6", "9.8.7.6", Some(Level::Site)),
            ("9.8.7.6", "9.8.7.7 9.8.7.8", Some(Level::Owner)),
            ("9.8.7.6", "9.8.1.7 9.8.2.8 9.8.3.9", Some(Level::Provider)),
            ("2001:db8:1:2::3", "2001:db8:1:2::4", Some(Level::Site)),
            ("2001:db8:1:2::3", "2001:db8:1:3::4 2001:db8:1:4::4", Some(Level::Owner)),
            ("2001:db8:1:2::3", "2001:db8:3::4 2001:db8:4::4 2001:db8:5::", Some(Level::Provider)),
            ("2001:db8:1:2::3", "2001:db9:3::4 2001:db9:4::4 2001:db9:5::", None),
        ] {
            assert_eq!(allowance.exhausted(ip(address), holders(held)), exhausted, "{address} beside {held:?}");
            assert_eq!(Allowance::UNBOUNDED.exhausted(ip(address), holders(held)), None);
        }
    }
}
