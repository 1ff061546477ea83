//! A router: the server through which nodes join a network.
//!
//! It answers everyone with eight of those who asked it lately, at random, as the caches of the public bootstrap
//! servers do; it verifies no contact, stores nothing and asks nothing, so that it never enters a routing table and is no
//! part of the network that it starts.

use std::collections::VecDeque;
use std::net::SocketAddr;

use super::host::{Action, Host};
use super::random::Dice;
use crate::engine::contact::{Contact, Family};
use crate::engine::id::NodeId;
use crate::engine::krpc::encode::Reply;
use crate::engine::krpc::{Kind, Message, Query};
use crate::engine::limits::K;
use crate::engine::node::Event;
use crate::engine::time::Instant;

/// Most contacts that it remembers.
const LATELY: usize = 1024;

/// A router.
#[derive(Clone, Debug)]
pub struct Router {
    id: NodeId,
    lately: VecDeque<Contact>,
    dice: Dice,
    outbox: VecDeque<(SocketAddr, Vec<u8>)>,
    sending: Vec<u8>,
}

impl Router {
    /// A router that was not asked yet.
    #[must_use]
    pub fn new(seed: u64) -> Self {
        let mut dice = Dice::new(seed);
        let id = NodeId(dice.id());
        Self { id, lately: VecDeque::new(), dice, outbox: VecDeque::new(), sending: Vec::new() }
    }

    fn answer(&mut self, from: SocketAddr, transaction: &[u8], query: &Query<'_>) {
        let mut known: Vec<Contact> = Vec::new();
        for _ in 0..2 * K {
            let contact = self.dice.pick(self.lately.make_contiguous()).copied();
            known.extend(contact.filter(|contact| contact.addr != from && !known.contains(contact) && known.len() < K));
        }
        let mut bytes = Vec::new();
        let mut response = Reply::begin(&mut bytes, &self.id, &from, transaction);
        response.contacts(Family::of(&from), known.iter());
        response.end();
        self.outbox.push_back((from, bytes));
        if !query.read_only {
            self.remember(Contact { id: query.id, addr: from });
        }
    }

    fn remember(&mut self, asker: Contact) {
        if self.lately.contains(&asker) {
            return;
        }
        if self.lately.len() == LATELY {
            self.lately.pop_front();
        }
        self.lately.push_back(asker);
    }
}

impl Host for Router {
    type Report = Event;

    fn handle_datagram(&mut self, _: Instant, from: SocketAddr, bytes: &[u8]) {
        if let Ok(Message { transaction, kind: Kind::Query(query), .. }) = Message::decode(bytes) {
            self.answer(from, transaction, &query);
        }
    }

    fn handle_timeout(&mut self, _: Instant) {}

    fn poll_action(&mut self) -> Action<'_, Event> {
        match self.outbox.pop_front() {
            Some((to, payload)) => {
                self.sending = payload;
                Action::Transmit { to, payload: &self.sending }
            }
            None => Action::Wait(Instant::FAR_FUTURE),
        }
    }
}
