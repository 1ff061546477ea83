//! The textbook client: Kademlia as BEP 5 describes it. Eight contacts for each bucket, three queries outstanding at any time, two
//! seconds until one counts as lost, and an end when the eight closest that it has heard of have answered or are lost.

use std::cmp::Reverse;
use std::collections::{BTreeSet, BinaryHeap};
use std::net::SocketAddr;
use std::time::Duration;

use super::Sample;
use crate::engine::contact::Contact;
use crate::engine::id::Id;
use crate::engine::limits::K;
use crate::engine::time::Instant;
use crate::engine::transactions::HARD_TIMEOUT;
use crate::sim::crowd::{Answer, Crowd};
use crate::sim::random::Dice;

const ALPHA: usize = 3;

/// A client, and the contacts of its buckets: all of them live.
pub(super) struct Textbook {
    addr: SocketAddr,
    table: Vec<Contact>,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum State {
    Fresh,
    Asked,
    Answered,
}

impl Textbook {
    pub(super) fn new(id: &Id, addr: SocketAddr, crowd: &Crowd, dice: &mut Dice) -> Self {
        let table = (0..Id::BITS).map_while(|bucket| crowd.bucket(id, bucket, K, dice)).flatten().collect();
        Self { addr, table }
    }

    pub(super) fn look_up(&self, crowd: &mut Crowd, key: &Id, dice: &mut Dice) -> (Sample, Vec<Contact>) {
        let mut known: Vec<(Contact, State)> = self.table.iter().map(|contact| (*contact, State::Fresh)).collect();
        let mut heard: BTreeSet<SocketAddr> = self.table.iter().map(|contact| contact.addr).collect();
        let mut agenda: BinaryHeap<Reverse<(Instant, SocketAddr)>> = BinaryHeap::new();
        let mut answers: std::collections::BTreeMap<SocketAddr, Answer> = std::collections::BTreeMap::new();
        let (mut now, mut sample) = (Instant::ZERO, Sample::default());
        loop {
            known.sort_by_key(|(contact, _)| contact.id.distance(key));
            while agenda.len() < ALPHA
                && let Some(next) = known.iter_mut().take(K).find(|(_, state)| *state == State::Fresh)
            {
                next.1 = State::Asked;
                sample.sent += 1;
                let answer = crowd.ask(&self.addr, &next.0, key, dice);
                let takes = answer.as_ref().map_or(HARD_TIMEOUT, |answer| answer.round_trip);
                agenda.push(Reverse((now + takes.min(HARD_TIMEOUT), next.0.addr)));
                answer.filter(|_| takes < HARD_TIMEOUT).map(|answer| answers.insert(next.0.addr, answer));
            }
            let Some(Reverse((at, from))) = agenda.pop() else { break };
            now = at;
            let Some(answer) = answers.remove(&from) else {
                known.retain(|(contact, _)| contact.addr != from);
                continue;
            };
            known.iter_mut().filter(|(contact, _)| contact.addr == from).for_each(|known| known.1 = State::Answered);
            known.extend(answer.names.iter().filter(|name| heard.insert(name.addr)).map(|name| (*name, State::Fresh)));
            if answer.has_peers && sample.first.is_none() {
                (sample.first, sample.sent_first) = (Some(now.since(Instant::ZERO)), sample.sent);
            }
        }
        sample.end = now.since(Instant::ZERO).max(Duration::from_micros(1));
        (sample, known.into_iter().filter(|(_, state)| *state == State::Answered).map(|(contact, _)| contact).collect())
    }
}
