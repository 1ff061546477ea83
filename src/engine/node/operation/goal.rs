//! What the kinds of operations do each in its own way. What they have in common is in `mod.rs`.

use std::net::{IpAddr, SocketAddr};

use super::super::Node;
use super::super::event::{Event, OpId, Summary};
use crate::engine::contact::Contact;
use crate::engine::id::Id;
use crate::engine::krpc::Response;
use crate::engine::krpc::encode::Ask;
use crate::engine::time::Instant;

/// What an operation is after: what its lookup asks, what it makes of the answers, what it writes, when it tries again
/// and what it says at its end. The methods stand in the order in which they matter.
pub(in crate::engine::node) trait Goal {
    /// Its name in logs.
    fn name(&self) -> &'static str;

    /// The query that each node of its lookup is asked.
    fn query(&self, target: Id) -> Ask<'static>;

    /// Whether every deployed node answers that query. jech/dht (Transmission) and webtorrent are silent to the methods
    /// of BEP 44, so that their silence is no sign of death.
    fn is_basic(&self) -> bool {
        true
    }

    /// Whether something is stored under its target: attackers may want to be all who are asked for it.
    fn is_keyed(&self) -> bool {
        false
    }

    /// Whether it may visit contacts on the way where its key is hot (`hot.rs`).
    fn visits(&self) -> bool {
        false
    }

    /// Whether it is to cost little rather than to be fast: nodes are asked one after the other.
    fn has_time(&self) -> bool {
        false
    }

    /// Whether it found nothing, and would like to know whether that is true.
    fn found_nothing(&self, _summary: &Summary) -> bool {
        false
    }

    /// Whether answers and peers are reported as they come.
    fn is_reported(&self) -> bool {
        true
    }

    /// Takes the answer of `from`; what is to be told of it at once.
    fn hear(&mut self, _op: OpId, _target: &Id, _from: Contact, _response: &Response<'_>) -> Option<Event> {
        None
    }

    /// Whether nothing better can come: the operation ends before its lookup does.
    fn is_satisfied(&self) -> bool {
        false
    }

    /// Whether it need not wait for far stragglers once it has found something.
    fn hurries(&self) -> bool {
        false
    }

    /// Whether something is written to the closest nodes when the lookup is over.
    fn writes(&self) -> bool {
        false
    }

    /// The query that writes to the node at `to`, which gave `token`; `None` where that node needs nothing.
    fn write<'a>(&'a self, _target: Id, _to: &SocketAddr, _token: &'a [u8]) -> Option<Ask<'a>> {
        None
    }

    /// The query that shows whether what was written is to be seen; `None` where it is not looked for.
    fn proof(&self, _target: Id) -> Option<Ask<'static>> {
        None
    }

    /// Whether the answer to [`proof`](Self::proof) shows what was written from our address.
    fn is_shown_by(&self, _ours: Option<IpAddr>, _response: &Response<'_>) -> bool {
        false
    }

    /// Whether it came to nothing and is worth a second attempt.
    fn failed(&self, summary: &Summary) -> bool {
        summary.answered == 0
    }

    /// It is over: tells the caller, and the node where that has a part in it.
    fn end(&mut self, node: &mut Node, _now: Instant, op: OpId, _target: Id, summary: Summary) {
        node.events.push_back(Event::Done { op, summary });
    }
}
