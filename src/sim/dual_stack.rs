//! Machines that speak IPv4, IPv6 or both: two networks that know of each other (BEP 32).
//!
//! A machine has one node for each family that it speaks, as the program runs them, and once a minute its nodes tell
//! each other whom they know, to answer queries that want contacts of both families. No packet crosses from one family
//! to the other; so each is a [`Network`] of its own, and both run by one clock.
//!
//! Invariant: after every method the two networks stand at the same instant.

use std::time::Duration;

use super::host::HostId;
use super::link::Link;
use super::network::{Network, Resident, Terms};
use super::task::Task;
use crate::engine::contact::{Contact, Family};
use crate::engine::id::Id;
use crate::engine::time::Instant;

/// What a machine speaks.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Stack {
    /// IPv4 alone.
    V4,
    /// IPv6 alone.
    V6,
    /// Both.
    Dual,
}

impl Stack {
    /// Whether it has a node of this family.
    #[must_use]
    pub const fn speaks(self, family: Family) -> bool {
        matches!((self, family), (Self::Dual, _) | (Self::V4, Family::V4) | (Self::V6, Family::V6))
    }
}

/// A machine: the node of each family that it speaks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Machine {
    /// Its node in the IPv4 network.
    pub v4: Option<HostId>,
    /// Its node in the IPv6 network.
    pub v6: Option<HostId>,
}

impl Machine {
    /// Its node of this family.
    #[must_use]
    pub const fn node(&self, family: Family) -> Option<HostId> {
        match family {
            Family::V4 => self.v4,
            Family::V6 => self.v6,
        }
    }

    /// What it speaks.
    #[must_use]
    pub const fn stack(&self) -> Stack {
        match (self.v4, self.v6) {
            (Some(_), Some(_)) => Stack::Dual,
            (Some(_), None) => Stack::V4,
            (None, _) => Stack::V6,
        }
    }
}

/// As often as the program does it.
const EXCHANGE_EVERY: Duration = Duration::from_mins(1);
const FAMILIES: [Family; 2] = [Family::V4, Family::V6];

/// The two networks and the machines in them.
pub struct DualStack {
    networks: [Network; 2],
    machines: Vec<Machine>,
    next_exchange: Instant,
}

impl DualStack {
    /// Two networks on the mainline's terms, each of which consists of one router.
    #[must_use]
    pub fn new(link: &Link, seed: u64) -> Self {
        let networks = FAMILIES.map(|family| Network::new(link.clone(), Terms::mainline(family), seed));
        Self { networks, machines: Vec::new(), next_exchange: Instant::ZERO + EXCHANGE_EVERY }
    }

    /// Virtual time.
    #[must_use]
    pub const fn now(&self) -> Instant {
        self.networks[0].world().now()
    }

    /// The network of this family.
    #[must_use]
    pub const fn network(&self, family: Family) -> &Network {
        &self.networks[family as usize]
    }

    /// The network of this family, for what concerns it alone and takes no time.
    pub const fn network_mut(&mut self, family: Family) -> &mut Network {
        &mut self.networks[family as usize]
    }

    /// The machines, oldest first.
    #[must_use]
    pub fn machines(&self) -> &[Machine] {
        &self.machines
    }

    /// A machine joins, a moment later.
    pub fn grow(&mut self, stack: Stack) -> Machine {
        let mut join = |family: Family| stack.speaks(family).then(|| self.network_mut(family).grow(1)[0]);
        let machine = Machine { v4: join(Family::V4), v6: join(Family::V6) };
        self.machines.push(machine);
        self.catch_up();
        machine
    }

    /// Runs for this long.
    pub fn run_for(&mut self, duration: Duration) {
        self.run_until(self.now() + duration);
    }

    fn run_until(&mut self, until: Instant) {
        while self.next_exchange <= until {
            let at = self.next_exchange.max(self.now());
            self.networks.iter_mut().for_each(|network| network.run_until(at));
            self.exchange();
            self.next_exchange = at + EXCHANGE_EVERY;
        }
        self.networks.iter_mut().for_each(|network| network.run_until(until));
    }

    /// Brings the network that is behind to where the other is.
    fn catch_up(&mut self) {
        let now = self.networks.iter().map(|network| network.world().now()).max();
        self.run_until(now.expect("there are two"));
    }

    /// The nodes of each machine tell each other whom they know.
    fn exchange(&mut self) {
        let now = self.now();
        for machine in &self.machines {
            let (Some(v4), Some(v6)) = (machine.v4, machine.v6) else { continue };
            let [of_v4, of_v6] = &mut self.networks;
            let known = |network: &Network, host| network.node(host).map(|node| node.good_contact_list(now));
            let (to_v6, to_v4) = (known(of_v4, v4), known(of_v6, v6));
            tell(of_v4, v4, to_v4.unwrap_or_default());
            tell(of_v6, v6, to_v6.unwrap_or_default());
        }
    }

    // Operations: of each node of the machine, at once.

    /// `machine` looks for peers of `key`.
    pub fn find_peers(&mut self, machine: Machine, key: Id) {
        self.each_node(machine, |network, host| network.find_peers(host, key));
    }

    /// `machine` announces its client at `port` under `key`.
    pub fn announce(&mut self, machine: Machine, key: Id, port: u16) {
        self.each_node(machine, |network, host| network.announce(host, key, port));
    }

    fn each_node(&mut self, machine: Machine, mut command: impl FnMut(&mut Network, HostId)) {
        for family in FAMILIES {
            if let Some(host) = machine.node(family) {
                command(self.network_mut(family), host);
            }
        }
    }

    /// Runs until every operation has ended, but no longer than `limit`. Whether all have ended.
    pub fn finish(&mut self, limit: Duration) -> bool {
        let end = self.now() + limit;
        loop {
            // Neither may run past an exchange: it would tell the other what is not yet so.
            let stretch = end.min(self.next_exchange).since(self.now());
            let [v4, v6] = &mut self.networks;
            let ended = v4.finish(stretch) & v6.finish(stretch);
            self.catch_up();
            if ended || self.now() >= end {
                return ended;
            }
        }
    }

    /// Takes the notes of all operations of this family.
    pub fn take_tasks(&mut self, family: Family) -> Vec<Task> {
        self.network_mut(family).take_tasks()
    }
}

fn tell(network: &mut Network, host: HostId, contacts: Vec<Contact>) {
    network.world_mut().call(host, |resident, _| {
        if let Resident::Node(node) = resident {
            node.set_other_family(contacts.into_iter());
        }
    });
}

#[cfg(test)]
mod tests {
    use super::*;

    fn some_of_each(seed: u64) -> DualStack {
        let mut both = DualStack::new(&Link::internet(seed), seed);
        for stack in [Stack::V4, Stack::Dual, Stack::V6, Stack::Dual].repeat(3) {
            assert_eq!(both.grow(stack).stack(), stack);
        }
        both.run_for(Duration::from_secs(90));
        both
    }

    #[test]
    fn both_families_run_by_one_clock() {
        let mut both = some_of_each(1);
        let clocks = |both: &DualStack| FAMILIES.map(|family| both.network(family).world().now());
        assert_eq!(clocks(&both)[0], clocks(&both)[1]);
        both.announce(both.machines()[1], Id::ZERO, 6881);
        assert!(both.finish(Duration::from_secs(60)));
        assert_eq!(clocks(&both)[0], clocks(&both)[1]);
        assert_eq!(FAMILIES.map(|family| both.take_tasks(family).len()), [1, 1]);
    }

    #[test]
    fn machines_have_the_nodes_that_they_speak() {
        let both = some_of_each(1);
        assert_eq!(FAMILIES.map(|family| both.network(family).members().len()), [9, 9]);
        assert!(both.machines().iter().all(|machine| FAMILIES.iter().all(|&family| {
            machine.node(family).is_some() == machine.stack().speaks(family)
                && machine.node(family).is_none_or(|host| both.network(family).ready_at(host).is_some())
        })));
    }

    #[test]
    fn one_seed_gives_one_history() {
        let trace = |seed| FAMILIES.map(|family| some_of_each(seed).network(family).world().trace());
        assert_eq!(trace(1), trace(1));
        assert!(trace(1).iter().zip(trace(2)).all(|(one, two)| *one != two));
    }
}
