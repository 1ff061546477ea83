//! Getting and putting items (BEP 44): lookups whose answers are checked before they are believed.
//!
//! A get for an immutable item ends with the first genuine value. A get for a mutable one asks all of the closest
//! nodes and reports each newer value as it comes. A put asks first, writes to the closest nodes that gave a token, and
//! sends `cas` only to those that have a value. A renewal is a get that ends with a put of the newest value, to those of
//! the closest nodes that lack it: BEP 44 and BEP 46 want readers to help what they read to stay.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::Arc;

use super::Node;
use super::ask::{Cargo, Goal};
use super::event::{Event, OpId};
use crate::engine::contact::Contact;
use crate::engine::id::Id;
use crate::engine::items::{Item, Mutable, Value};
use crate::engine::krpc::Response;
use crate::engine::krpc::encode::{Ask, PutFields, Signed};
use crate::engine::time::Instant;

/// What a lookup for an item has found, and what it is to store.
#[derive(Clone, Debug)]
pub(super) struct Search {
    salt: Box<[u8]>,
    /// The newest genuine item so far.
    best: Option<Item>,
    /// Nodes that say that they have a value, and its sequence number.
    holders: BTreeMap<SocketAddr, Option<i64>>,
    put: Option<Errand>,
}

/// What is to be stored once the nodes are known.
#[derive(Clone, Debug)]
struct Errand {
    item: Arc<Item>,
    cas: Option<i64>,
}

impl Search {
    const fn new(salt: Box<[u8]>, best: Option<Item>, put: Option<Errand>) -> Self {
        Self { salt, best, holders: BTreeMap::new(), put }
    }

    /// Whether a response to the lookup of `target` carries an item that is newer than what was found before.
    fn take(&mut self, target: &Id, from: &SocketAddr, response: &Response<'_>) -> bool {
        let Some(item) = item_under(target, &self.salt, response) else { return false };
        self.holders.insert(*from, item.seq());
        let newer = self.best.as_ref().is_none_or(|best| item.seq() > best.seq());
        // The signature last: forgeries of old values cost us nothing.
        let better = newer && item.is_genuine();
        if better {
            self.best = Some(item);
        }
        better
    }
}

/// The item of a response, if it belongs under `target`. Its signature is not checked yet.
fn item_under(target: &Id, salt: &[u8], response: &Response<'_>) -> Option<Item> {
    let fields = &response.item;
    let value = Value::from_bencode(fields.value?).ok()?;
    if value.target() == *target {
        return Some(Item::Immutable(value));
    }
    let (key, signature) = (fields.key?.try_into().ok()?, fields.signature?.try_into().ok()?);
    let seq = fields.seq.filter(|&seq| seq >= 0)?;
    let item = Mutable { key, salt: salt.into(), seq, signature, value };
    (item.target() == *target).then_some(Item::Mutable(item))
}

impl Node {
    /// Looks for the item under `target`; a mutable one needs the `salt` that it was stored with. Each newer value
    /// arrives as [`Event::Item`], the end as [`Event::Done`].
    pub fn get_item(&mut self, now: Instant, target: Id, salt: &[u8]) -> OpId {
        self.look_for_item(now, Goal::Get, target, salt)
    }

    /// Looks for an item as [`get_item`](Self::get_item) does, and stores the newest that was found on those of the
    /// closest nodes that lack it. Where it is stored arrives as [`Event::Stored`].
    pub fn renew_item(&mut self, now: Instant, target: Id, salt: &[u8]) -> OpId {
        self.look_for_item(now, Goal::Renew, target, salt)
    }

    fn look_for_item(&mut self, now: Instant, goal: Goal, target: Id, salt: &[u8]) -> OpId {
        let own = self.items.get(now, &target).cloned();
        let op = self.begin(now, goal, target);
        let enough = goal == Goal::Get && matches!(own, Some(Item::Immutable(_)));
        if let Some(operation) = self.operations.get_mut(&op) {
            operation.cargo = Cargo::Item(Box::new(Search::new(salt.into(), own.clone(), None)));
            self.events.extend(own.map(|item| Event::Item { op, from: None, item: Box::new(item) }));
        }
        if enough {
            self.finish(now, op)
        } else {
            self.drive(now, op)
        }
        op
    }

    /// Stores `item` on the nodes closest to its target; with `cas`, only where the stored sequence number is that one.
    /// Where it is stored arrives as [`Event::Stored`], who refuses as [`Event::Refused`], a value that is there
    /// already as [`Event::Item`], the end as [`Event::Done`].
    pub fn put_item(&mut self, now: Instant, item: Arc<Item>, cas: Option<i64>) -> OpId {
        let op = self.begin(now, Goal::Put, item.target());
        if let Some(operation) = self.operations.get_mut(&op) {
            let salt = match &*item {
                Item::Immutable(_) => Box::default(),
                Item::Mutable(item) => item.salt.clone(),
            };
            operation.cargo = Cargo::Item(Box::new(Search::new(salt, None, Some(Errand { item, cas }))));
        }
        self.drive(now, op);
        op
    }

    /// Looks at the answer of a lookup for an item; whether the operation is over with it.
    pub(super) fn take_item(&mut self, now: Instant, op: OpId, from: Contact, response: &Response<'_>) -> bool {
        let Some(operation) = self.operations.get_mut(&op) else { return false };
        let Cargo::Item(search) = &mut operation.cargo else { return false };
        if !search.take(operation.lookup.target(), &from.addr, response) {
            return false;
        }
        let item = search.best.clone().expect("a better item was just kept");
        let over = operation.goal == Goal::Get && item.seq().is_none();
        self.events.push_back(Event::Item { op, from: Some(from), item: Box::new(item) });
        if over {
            self.finish(now, op);
        }
        over
    }
}

/// The query that stores on `to` what the operation is to store; none where it has that already.
pub(super) fn put_query<'a>(cargo: &'a Cargo, to: &SocketAddr, token: &'a [u8]) -> Option<Ask<'a>> {
    let Cargo::Item(search) = cargo else { return None };
    let held = search.holders.get(to);
    match &search.put {
        Some(errand) => Some(ask_to_store(&errand.item, errand.cas.filter(|_| held.is_some()), token)),
        None => {
            let newest = search.best.as_ref()?;
            (held != Some(&newest.seq())).then(|| ask_to_store(newest, None, token))
        }
    }
}

fn ask_to_store<'a>(item: &'a Item, cas: Option<i64>, token: &'a [u8]) -> Ask<'a> {
    Ask::Put(match item {
        Item::Immutable(value) => PutFields { token, value: value.as_bencode(), signed: None, cas: None },
        Item::Mutable(item) => PutFields {
            token,
            value: item.value.as_bencode(),
            signed: Some(Signed { key: &item.key, salt: &item.salt, seq: item.seq, signature: &item.signature }),
            cas,
        },
    })
}
