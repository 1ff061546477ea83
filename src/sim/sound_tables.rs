//! The invariant that looks into the routing tables of a network's nodes.

use std::net::SocketAddr;

use super::invariant::Invariant;
use super::network::Resident;
use crate::engine::contact::Contact;
use crate::engine::id::NodeId;
use crate::engine::time::Instant;

/// A routing table never holds the node itself, an address twice, or more than its buckets can. Looked at now and
/// then: a table is long, and a step is short.
#[derive(Clone, Copy, Debug, Default)]
pub struct SoundTables {
    steps: u64,
}

/// A prime, so that no rhythm of the network hides from it.
const LOOK_EVERY: u64 = 997;
/// Four large buckets and eight entries for every further bit.
const LARGEST_TABLE: usize = 128 + 64 + 32 + 16 + 156 * 8;

impl Invariant<Resident> for SoundTables {
    fn name(&self) -> &'static str {
        "sound tables"
    }

    fn on_rest(&mut self, _: Instant, host: &Resident) -> Result<(), String> {
        self.steps += 1;
        let node = host.node().filter(|_| self.steps.is_multiple_of(LOOK_EVERY));
        node.map_or(Ok(()), |node| is_sound(node.id(), node.entries().map(|entry| entry.contact)))
    }
}

/// Whether the node `own` may have these contacts in its table.
fn is_sound(own: NodeId, entries: impl Iterator<Item = Contact>) -> Result<(), String> {
    let (ids, mut addresses): (Vec<NodeId>, Vec<SocketAddr>) =
        entries.map(|contact| (contact.id, contact.addr)).unzip();
    addresses.sort_unstable();
    addresses.dedup();
    if addresses.len() < ids.len() {
        return Err(format!("{} addresses twice", ids.len() - addresses.len()));
    }
    if ids.contains(&own) {
        return Err("the node itself".into());
    }
    if ids.len() > LARGEST_TABLE { Err(format!("{} entries", ids.len())) } else { Ok(()) }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn contact(number: u16) -> Contact {
        let mut id = NodeId::ZERO;
        id.0.0[..2].copy_from_slice(&number.to_be_bytes());
        Contact { id, addr: SocketAddr::from(([198, 51, 100, 1], number)) }
    }

    #[test]
    fn a_table_with_the_node_itself_or_an_address_twice_or_too_many_breaks() {
        let sound = |own: u16, numbers: &[u16]| is_sound(contact(own).id, numbers.iter().map(|&n| contact(n))).err();
        assert_eq!(sound(1, &[2, 3, 4]), None);
        assert_eq!(sound(3, &[2, 3, 4]).as_deref(), Some("the node itself"));
        assert_eq!(sound(1, &[2, 3, 2]).as_deref(), Some("1 addresses twice"));
        let all: Vec<u16> = (1..=LARGEST_TABLE as u16 + 1).collect();
        assert_eq!(sound(0, &all[1..]), None);
        assert_eq!(sound(0, &all).as_deref(), Some("1489 entries"));
    }
}
