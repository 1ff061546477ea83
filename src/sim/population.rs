//! Who lives where, and for how long.
//!
//! Addresses: most nodes are alone in their /24, some share it (hosting companies, carriers); ids follow from
//! addresses (BEP 42). Reachability: one third open, 45 % answer only whom they contacted lately, the rest is in
//! tables and dead (Jimenez, Osmani, Knutsson 2009). Sessions: Weibull, because the longer a node is up the longer it
//! stays (Stutzbach and Rejaie 2006); a network that is caught in the middle has residual lives, not fresh ones.

use std::collections::BTreeSet;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::time::Duration;

use super::nat::{Kind, Nat};
use super::random::Dice;
use super::world::Home;
use crate::engine::contact::Family;
use crate::engine::id::Id;
use crate::engine::random::Random;
use crate::engine::rules::Rules;

/// Hands out endpoints, each address once.
#[derive(Clone, Debug)]
pub struct AddressPlan {
    dice: Dice,
    family: Family,
    used: BTreeSet<IpAddr>,
    given: Vec<IpAddr>,
    /// The share of nodes that live in the network (/24 or /64) of an earlier one.
    shared: f64,
    /// Addresses that mean something only inside one site.
    local: bool,
}

impl AddressPlan {
    /// The plan of this seed, in which one node in ten shares a network with another.
    #[must_use]
    pub fn new(family: Family, seed: u64) -> Self {
        let (dice, used) = (Dice::keyed(seed, &[0xadd4]), BTreeSet::new());
        Self { dice, family, used, given: Vec::new(), shared: 0.1, local: false }
    }

    /// A plan of private addresses (10.0.0.0/8, fd00::/8), which are exempt from BEP 42.
    #[must_use]
    pub fn of_one_site(family: Family, seed: u64) -> Self {
        Self { local: true, ..Self::new(family, seed) }
    }

    /// A fresh global endpoint.
    pub fn endpoint(&mut self) -> SocketAddr {
        loop {
            let ip = self.candidate();
            // Half of the clients keep the port that their program proposes.
            let port = if self.dice.chance(0.5) { 6881 } else { 1024 + self.dice.below(64_000) as u16 };
            let addr = SocketAddr::new(ip, port);
            if Rules::of(self.local).admits(&addr) && self.used.insert(ip) {
                self.given.push(ip);
                return addr;
            }
        }
    }

    fn candidate(&mut self) -> IpAddr {
        let bits = self.dice.bits();
        let neighbour = if self.dice.chance(self.shared) { self.dice.pick(&self.given).copied() } else { None };
        match (self.family, neighbour) {
            (_, Some(IpAddr::V4(ip))) => Ipv4Addr::from(u32::from(ip) & !0xff | bits as u32 & 0xff).into(),
            (_, Some(IpAddr::V6(ip))) => {
                Ipv6Addr::from(u128::from(ip) & !u128::from(u64::MAX) | u128::from(bits)).into()
            }
            (Family::V4, None) if self.local => Ipv4Addr::from(0x0a00_0000 | bits as u32 & 0x00ff_ffff).into(),
            (Family::V6, None) if self.local => Ipv6Addr::from(0xfd << 120 | u128::from(bits)).into(),
            (Family::V4, None) => Ipv4Addr::from(bits as u32).into(),
            // 2000::/3 is what is in use.
            (Family::V6, None) => {
                Ipv6Addr::from(u128::from(bits >> 3 | 1 << 61) << 64 | u128::from(self.dice.bits())).into()
            }
        }
    }

    /// An id that belongs to `ip` (BEP 42).
    pub fn id_for(&mut self, ip: IpAddr) -> Id {
        Id::for_address(ip, &mut Random::new(self.dice.seed()))
    }

    /// A seed for the node itself.
    pub fn seed(&mut self) -> [u8; 32] {
        self.dice.seed()
    }
}

/// How the nodes of a population can be reached, as shares that sum to at most 1; the rest is dead.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Reachability {
    /// Open to everyone.
    pub open: f64,
    /// Behind a translator that admits only those whom the node contacted lately.
    pub restricted: f64,
}

impl Reachability {
    /// Everyone is open.
    pub const OPEN: Self = Self { open: 1.0, restricted: 0.0 };
    /// What was measured in the mainline DHT: a third open, 45 % restricted, the rest dead.
    pub const MAINLINE: Self = Self { open: 0.33, restricted: 0.45 };

    /// A home for a node at `addr`; `None` if the node is dead.
    #[must_use]
    pub fn home(&self, addr: SocketAddr, dice: &mut Dice) -> Option<Home> {
        let draw = dice.unit();
        if draw < self.open {
            return Some(Home::open(addr));
        }
        let kinds = [Kind::AddressRestricted, Kind::PortRestricted, Kind::PortRestricted, Kind::Symmetric];
        let kind = kinds[dice.below(kinds.len())];
        let expiry = Duration::from_secs_f64(30.0 + 90.0 * dice.unit());
        (draw < self.open + self.restricted).then(|| Home::behind(addr, Nat::new(kind, addr, expiry)))
    }
}

/// How long nodes stay: a Weibull distribution.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Sessions {
    /// Below 1 the old outlive the young.
    pub shape: f64,
    /// Half of the sessions are shorter.
    pub median: Duration,
}

impl Sessions {
    /// Shape .5, median one hour: harsher than what was measured in the mainline DHT.
    pub const CHURN: Self = Self { shape: 0.5, median: Duration::from_secs(3600) };

    /// The length of a session that begins now.
    pub fn whole(&self, dice: &mut Dice) -> Duration {
        self.scaled(dice.exponential(1.0))
    }

    /// What is left of a session that was found under way: long sessions are found more often, and at any point.
    pub fn residual(&self, dice: &mut Dice) -> Duration {
        // A session found under way is drawn by its length; in units of the exponential behind it that is a gamma.
        let found = self.scaled(dice.gamma(1.0 + 1.0 / self.shape));
        found.mul_f64(dice.unit())
    }

    fn scaled(&self, exponential: f64) -> Duration {
        let relative = exponential / std::f64::consts::LN_2;
        self.median.mul_f64(libm::pow(relative, 1.0 / self.shape))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeMap;

    #[test]
    fn addresses_are_global_and_given_once() {
        for family in [Family::V4, Family::V6] {
            let mut plan = AddressPlan::new(family, 1);
            let all: BTreeSet<IpAddr> = (0..2_000).map(|_| plan.endpoint().ip()).collect();
            assert_eq!(all.len(), 2_000);
            let mut networks = BTreeMap::<u64, usize>::new();
            all.iter().for_each(|ip| *networks.entry(crate::engine::owner::owner(*ip)).or_default() += 1);
            let shared: usize = networks.values().filter(|&&count| count > 1).sum();
            assert!((200..500).contains(&shared), "{shared} of 2,000 {family:?} nodes share a network");
        }
    }

    #[test]
    fn a_site_has_local_addresses() {
        for family in [Family::V4, Family::V6] {
            let mut plan = AddressPlan::of_one_site(family, 1);
            assert!((0..100).all(|_| crate::engine::contact::is_local(plan.endpoint().ip())));
        }
    }

    #[test]
    fn ids_follow_from_addresses() {
        let mut plan = AddressPlan::new(Family::V4, 1);
        let addr = plan.endpoint();
        assert!(plan.id_for(addr.ip()).matches_address(addr.ip()));
    }

    #[test]
    fn sessions_have_their_median_and_the_old_outlive_the_young() {
        let mut dice = Dice::new(5);
        let share = |draws: Vec<Duration>, limit: u64| {
            draws.iter().filter(|draw| draw.as_secs() < limit).count() as f64 / draws.len() as f64
        };
        let whole: Vec<_> = (0..50_000).map(|_| Sessions::CHURN.whole(&mut dice)).collect();
        let residual: Vec<_> = (0..50_000).map(|_| Sessions::CHURN.residual(&mut dice)).collect();
        assert!((share(whole, 3600) - 0.5).abs() < 0.01);
        // For shape 1/2 the residual life has P(R < t) = 1 - (1 + s) exp(-s), s = sqrt(t / scale).
        let s = std::f64::consts::LN_2;
        assert!((share(residual, 3600) - (1.0 - (1.0 + s) * (-s).exp())).abs() < 0.01);
    }
}
