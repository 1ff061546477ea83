//! Getting and putting items (BEP 44): lookups whose answers are checked before they are believed.
//!
//! A get for an immutable item ends with the first genuine value. A get for a mutable one asks all of the closest
//! nodes and reports each newer value as it comes. A put asks first, writes to the closest nodes that gave a token, and
//! sends `cas` only to those that have a value. A renewal is a get that ends with a put of the newest value, to those of
//! the closest nodes that lack it: BEP 44 and BEP 46 want readers to help what they read to stay.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::Arc;

use super::super::Node;
use super::super::event::{Event, OpId, Summary};
use super::goal::Goal;
use crate::engine::contact::Contact;
use crate::engine::id::{Id, Target};
use crate::engine::items::{Item, Mutable, Value};
use crate::engine::krpc::Response;
use crate::engine::krpc::encode::{Ask, PutFields, Signed};
use crate::engine::time::Instant;

/// A lookup for an item: what it has found, and what follows.
#[derive(Clone, Debug)]
pub(in crate::engine::node) struct ItemSearch {
    /// The salt of a mutable item.
    salt: Box<[u8]>,
    /// The newest genuine item so far.
    newest: Option<Box<Item>>,
    /// Nodes that say that they have a value, and its sequence number.
    holders: BTreeMap<SocketAddr, Option<i64>>,
    then: Then,
}

/// What follows when the closest nodes are known.
#[derive(Clone, Debug)]
enum Then {
    /// Nothing: it was a get.
    End,
    /// Those that lack the newest item are given it.
    Renew,
    /// This is stored; with `cas`, only in place of an item with that sequence number.
    Put { item: Arc<Item>, cas: Option<i64> },
}

impl Goal for ItemSearch {
    fn name(&self) -> &'static str {
        match self.then {
            Then::End => "get an item",
            Then::Renew => "renew an item",
            Then::Put { .. } => "put an item",
        }
    }

    fn query(&self, target: Id) -> Ask<'static> {
        Ask::Get(Target(target))
    }

    fn is_basic(&self) -> bool {
        false
    }

    fn is_keyed(&self) -> bool {
        true
    }

    fn found_nothing(&self, _summary: &Summary) -> bool {
        self.newest.is_none() && !matches!(self.then, Then::Put { .. })
    }

    fn hear(&mut self, op: OpId, target: &Id, from: Contact, response: &Response<'_>) -> Option<Event> {
        let item = item_under(&Target(*target), &self.salt, response)?;
        self.holders.insert(from.addr, item.seq());
        let newer = self.newest.as_ref().is_none_or(|newest| item.seq() > newest.seq());
        // The signature last: forgeries of old values cost us nothing.
        if !newer || !item.is_genuine() {
            return None;
        }
        let item = Box::new(item);
        self.newest = Some(item.clone());
        Some(Event::Item { op, from: Some(from), item })
    }

    /// An immutable item is the same everywhere.
    fn is_satisfied(&self) -> bool {
        let immutable = |item: &Item| matches!(item, Item::Immutable(_));
        matches!(self.then, Then::End) && self.newest.as_deref().is_some_and(immutable)
    }

    fn writes(&self) -> bool {
        !matches!(self.then, Then::End)
    }

    fn write<'a>(&'a self, _target: Id, to: &SocketAddr, token: &'a [u8]) -> Option<Ask<'a>> {
        let held = self.holders.get(to);
        match &self.then {
            Then::End => None,
            Then::Put { item, cas } => Some(put(item, cas.filter(|_| held.is_some()), token)),
            Then::Renew => {
                let newest = self.newest.as_ref()?;
                (held != Some(&newest.seq())).then(|| put(newest, None, token))
            }
        }
    }
}

impl Node {
    pub(in crate::engine::node) fn begin_get(&mut self, now: Instant, target: Target, salt: Box<[u8]>) -> OpId {
        self.look_for_item(now, target, salt, Then::End)
    }

    pub(in crate::engine::node) fn begin_renewal(&mut self, now: Instant, target: Target, salt: Box<[u8]>) -> OpId {
        self.look_for_item(now, target, salt, Then::Renew)
    }

    /// What we store ourselves is found first.
    fn look_for_item(&mut self, now: Instant, target: Target, salt: Box<[u8]>, then: Then) -> OpId {
        let own = self.items.get(now, &target).cloned().map(Box::new);
        let search = ItemSearch { salt, newest: own.clone(), holders: BTreeMap::new(), then };
        let enough = search.is_satisfied();
        let op = self.open(now, *target, search);
        if self.operations.contains_key(&op) {
            self.events.extend(own.map(|item| Event::Item { op, from: None, item }));
        }
        if enough {
            self.finish(now, op);
        } else {
            self.drive(now, op);
        }
        op
    }

    pub(in crate::engine::node) fn begin_put(&mut self, now: Instant, item: Arc<Item>, cas: Option<i64>) -> OpId {
        let salt = match &*item {
            Item::Immutable(_) => Box::default(),
            Item::Mutable(item) => item.salt.clone(),
        };
        let target = item.target();
        let search = ItemSearch { salt, newest: None, holders: BTreeMap::new(), then: Then::Put { item, cas } };
        let op = self.open(now, *target, search);
        self.drive(now, op);
        op
    }
}

/// The item of a response, if it belongs under `target`. Its signature is not checked yet.
fn item_under(target: &Target, salt: &[u8], response: &Response<'_>) -> Option<Item> {
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

/// The query that stores `item`.
fn put<'a>(item: &'a Item, cas: Option<i64>, token: &'a [u8]) -> Ask<'a> {
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
