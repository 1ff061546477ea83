//! What is due, and the packets that are under way.

use std::net::SocketAddr;

use super::calendar::Calendar;
use super::host::HostId;
use crate::engine::time::Instant;

/// Something that is due. Small, because a large network has a million of them waiting.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Due {
    /// A packet reaches the far end of its link.
    Arrival(PacketId),
    /// A host asked to be woken.
    Wakeup(HostId),
}

/// Names a packet on its way.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct PacketId(u32);

/// A datagram on its way.
#[derive(Clone, Debug)]
pub(super) struct Packet {
    pub(super) from: SocketAddr,
    pub(super) to: SocketAddr,
    pub(super) payload: Vec<u8>,
}

/// What is due, in order, and the packets that are under way.
#[derive(Clone, Debug, Default)]
pub(super) struct Queue {
    calendar: Calendar<Due>,
    packets: Vec<Packet>,
    free: Vec<u32>,
}

impl Queue {
    pub(super) fn wake(&mut self, at: Instant, host: HostId) {
        self.calendar.push(at, Due::Wakeup(host));
    }

    pub(super) fn arrive(&mut self, at: Instant, from: SocketAddr, to: SocketAddr, payload: &[u8]) {
        let slot = self.store(from, to, payload);
        self.calendar.push(at, Due::Arrival(PacketId(slot)));
    }

    /// The next thing due, if it is due at `until` or before.
    pub(super) fn pop(&mut self, until: Instant) -> Option<(Instant, Due)> {
        self.calendar.pop(until)
    }

    pub(super) fn packet(&self, id: PacketId) -> &Packet {
        &self.packets[id.0 as usize]
    }

    /// Takes the payload of an arrived packet; [`Self::release`] gives it back.
    pub(super) fn take_payload(&mut self, id: PacketId) -> Vec<u8> {
        std::mem::take(&mut self.packets[id.0 as usize].payload)
    }

    /// Frees the slot of a packet; its buffer is kept for the next one.
    pub(super) fn release(&mut self, id: PacketId, payload: Vec<u8>) {
        self.packets[id.0 as usize].payload = payload;
        self.free.push(id.0);
    }

    pub(super) fn len(&self) -> usize {
        self.calendar.len()
    }

    fn store(&mut self, from: SocketAddr, to: SocketAddr, payload: &[u8]) -> u32 {
        let Some(slot) = self.free.pop() else {
            self.packets.push(Packet { from, to, payload: payload.to_vec() });
            return u32::try_from(self.packets.len() - 1).expect("fewer than 2^32 packets are under way");
        };
        let packet = &mut self.packets[slot as usize];
        (packet.from, packet.to) = (from, to);
        packet.payload.clear();
        packet.payload.extend_from_slice(payload);
        slot
    }
}
