//! Answering `get` and `put` (BEP 44). Cheap checks come before dear ones: the token before the value is looked at,
//! the signature last of all that needs no store.

use std::net::SocketAddr;

use super::Node;
use super::serve::Asked;
use crate::engine::id::Target;
use crate::engine::items::{Item, ItemFault, MAX_SALT, Mutable, PutRefusal, Value, target_of_key, target_of_value};
use crate::engine::krpc::{Fault, ItemFields, Put, Want};
use crate::engine::owner::owner;
use crate::engine::time::Instant;

impl Node {
    /// The item, unless the asker has one as new as ours; contacts, and a token.
    pub(super) fn serve_get(
        &mut self,
        now: Instant,
        asked: &Asked<'_>,
        target: &Target,
        known_seq: Option<i64>,
        want: Want,
    ) {
        self.stats.gets += 1;
        let family = self.config.family;
        let from = asked.from;
        self.respond(now, asked, |node, response| {
            let token = node.tokens.give(from.ip(), target);
            let fields = node.items.get(now, target).map(|item| fields(item, known_seq));
            let fields = fields.filter(|fields| response.has_room_for_item(fields));
            match fields {
                Some(fields) => response.item(family, &fields, &token, |response| {
                    node.write_nearby(response, target, want);
                }),
                None => {
                    node.write_nearby(response, target, want);
                    response.token(&token);
                }
            }
        });
    }

    pub(super) fn serve_put(&mut self, now: Instant, asked: &Asked<'_>, put: &Put<'_>) {
        self.stats.puts += 1;
        match self.store_item(now, asked.from, put) {
            Ok(()) => self.respond(now, asked, |_, _| {}),
            Err(fault) => self.refuse(now, asked, fault),
        }
    }

    fn store_item(&mut self, now: Instant, from: SocketAddr, put: &Put<'_>) -> Result<(), Fault> {
        let target = match put.key {
            Some(key) => target_of_key(key, put.salt),
            None => target_of_value(put.value),
        };
        if !self.tokens.accept(put.token, from.ip(), &target) {
            self.stats.bad_tokens += 1;
            return Err(Fault::Token);
        }
        self.note_shown(now, from);
        let item = item(put)?;
        if !self.items.has(&target, &item) && !item.is_genuine() {
            return Err(Fault::Signature);
        }
        let writer = self.rules.diverse.then(|| owner(from.ip()));
        let own = self.id();
        let stored = self.items.put(now, &own, item, put.cas, writer);
        self.keep_sweeping_items(now);
        self.stats.items_not_stored += u64::from(stored == Err(PutRefusal::Full));
        Ok(stored?)
    }
}

/// What of `item` is sent to a node that has the value of `known_seq`: BEP 44 leaves the value out, never the number.
fn fields(item: &Item, known_seq: Option<i64>) -> ItemFields<'_> {
    match item {
        Item::Immutable(value) => ItemFields { value: Some(value.as_bencode()), ..ItemFields::default() },
        Item::Mutable(item) if known_seq.is_some_and(|known| item.seq <= known) => {
            ItemFields { seq: Some(item.seq), ..ItemFields::default() }
        }
        Item::Mutable(item) => ItemFields {
            key: Some(&item.key),
            seq: Some(item.seq),
            signature: Some(&item.signature),
            value: Some(item.value.as_bencode()),
        },
    }
}

/// The item that a put carries, its signature not yet checked.
fn item(put: &Put<'_>) -> Result<Item, Fault> {
    let value = Value::from_bencode(put.value)?;
    if put.salt.len() > MAX_SALT {
        return Err(Fault::SaltTooBig);
    }
    let (Some(key), Some(seq), Some(signature)) = (put.key, put.seq, put.signature) else {
        let immutable = put.key.is_none() && put.seq.is_none() && put.signature.is_none();
        return if immutable {
            Ok(Item::Immutable(value))
        } else {
            Err(Fault::Argument("a mutable item needs all of a.k, a.seq and a.sig"))
        };
    };
    let key = key.try_into().map_err(|_| Fault::Argument("a.k must be a string of 32 bytes"))?;
    let signature = signature.try_into().map_err(|_| Fault::Argument("a.sig must be a string of 64 bytes"))?;
    if seq < 0 {
        return Err(Fault::Argument("a.seq must be 0 to 2^63-1"));
    }
    Ok(Item::Mutable(Mutable { key, salt: put.salt.into(), seq, signature, value }))
}

impl From<ItemFault> for Fault {
    fn from(fault: ItemFault) -> Self {
        match fault {
            ItemFault::TooBig(_) => Self::ValueTooBig,
            ItemFault::NotCanonical => Self::Argument("a.v must be canonical bencode: sorted keys, no leading zeros"),
            ItemFault::SaltTooBig(_) => Self::SaltTooBig,
            ItemFault::NegativeSeq => Self::Argument("a.seq must be 0 to 2^63-1"),
        }
    }
}

impl From<PutRefusal> for Fault {
    fn from(refusal: PutRefusal) -> Self {
        match refusal {
            PutRefusal::Cas => Self::Cas,
            PutRefusal::OldSeq => Self::OldSeq,
            PutRefusal::OtherKind => Self::Argument("another kind of item is stored under this target"),
            PutRefusal::Full => Self::NoRoom,
        }
    }
}
