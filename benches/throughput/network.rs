//! What a node of the fake network says: proper answers to every query, and no question of its own.

use std::net::SocketAddr;

use trackerless::engine::contact::{Contact, Family};
use trackerless::engine::id::{Id, NodeId};
use trackerless::engine::krpc::encode::Reply;
use trackerless::engine::krpc::{Kind, Message, Method};

/// Appends the answer of the node `own` to a query from `from`; `None` if it was no query.
pub fn answer(out: &mut Vec<u8>, query: &[u8], from: SocketAddr, own: &NodeId, contacts: &[Contact]) -> Option<()> {
    let message = Message::decode(query).ok()?;
    let Kind::Query(query) = message.kind else { return None };
    let mut response = Reply::begin(out, own, &from, message.transaction);
    match query.method {
        Method::FindNode { target, .. } => response.contacts(Family::V4, closest(contacts, &target).iter()),
        Method::GetPeers { info_hash, .. } => {
            response.contacts(Family::V4, closest(contacts, &info_hash).iter());
            response.token(b"token");
        }
        _ => {}
    }
    response.end();
    Some(())
}

fn closest(contacts: &[Contact], target: &Id) -> Vec<Contact> {
    let mut sorted = contacts.to_vec();
    sorted.sort_by(|a, b| target.closer(&a.id, &b.id));
    sorted.truncate(8);
    sorted
}
