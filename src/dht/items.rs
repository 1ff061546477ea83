//! Items: small values that the nodes closest to them keep (BEP 44).

use std::sync::Arc;

use super::Dht;
use crate::engine::contact::Contact;
use crate::engine::id::Target;
use crate::engine::items::Item;
use crate::engine::node::{Command, Event};

/// What came of a put.
#[derive(Clone, Debug, Default)]
pub struct ItemStored {
    /// The nodes that stored it.
    pub stored_at: Vec<Contact>,
    /// The nodes that refused it, and their error codes: 301 for another sequence number than `cas`, 302 for a newer
    /// item than ours.
    pub refused: Vec<(Contact, i64)>,
    /// The newest item that was there before.
    pub before: Option<Item>,
    /// Nodes that answered.
    pub answered: usize,
}

/// What came of a get.
#[derive(Clone, Debug, Default)]
pub struct ItemFound {
    /// The item: genuine, and the newest that anyone has.
    pub item: Option<Item>,
    /// Nodes that answered.
    pub answered: usize,
    /// Nodes that lacked the item and have stored it; only [`Dht::renew_item`] gives it to any.
    pub renewed_at: Vec<Contact>,
}

impl ItemFound {
    fn take(&mut self, event: Event) {
        match event {
            Event::Item { item, .. } => keep_newest(&mut self.item, *item),
            Event::Stored { at, .. } => self.renewed_at.push(at),
            Event::Done { summary, .. } => self.answered += summary.answered,
            _ => {}
        }
    }
}

impl Dht {
    /// Looks for the item under `target`; a mutable one needs the salt that it was stored with. Only a genuine item is
    /// ever returned: its hash or its signature is right.
    pub async fn get_item(&self, target: Target, salt: &[u8]) -> ItemFound {
        let mut found = ItemFound::default();
        let mut events = self.begin(Command::GetItem { target, salt: salt.into() }).await;
        while let Some(event) = events.next().await {
            found.take(event);
            if found.item.as_ref().is_some_and(|item| item.seq().is_none()) {
                // What has this hash is the same everywhere. Dropping the events ends the other lookups.
                found.answered = found.answered.max(1);
                break;
            }
        }
        found
    }

    /// The same, and the newest item that was found is stored on those of the closest nodes that lack it: whoever reads
    /// an item helps it to stay (BEP 44, BEP 46). Nodes keep an item for two hours; see
    /// [`ITEM_RENEWAL`](crate::engine::limits::ITEM_RENEWAL).
    pub async fn renew_item(&self, target: Target, salt: &[u8]) -> ItemFound {
        let mut found = ItemFound::default();
        let mut events = self.begin(Command::RenewItem { target, salt: salt.into() }).await;
        while let Some(event) = events.next().await {
            found.take(event);
        }
        found
    }

    /// Stores `item` on the nodes closest to its target, where they keep it for two hours. With `cas`, only in place
    /// of a value with that sequence number.
    ///
    /// ```
    /// # use trackerless::Dht;
    /// # use trackerless::engine::items::{Item, Value};
    /// # #[tokio::main(flavor = "current_thread")] async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// let loopback = || Dht::builder().private_network(true).bind("127.0.0.1:0".parse().unwrap());
    /// let first = loopback().start().await?;
    /// let second = loopback().bootstrap([first.local_addrs()[0].to_string()]).start().await?;
    /// second.bootstrapped().await;
    ///
    /// let item = Item::Immutable(Value::from_contents(b"Hello World!")?);
    /// let target = item.target();
    /// assert_eq!(second.put_item(item.clone(), None).await.stored_at.len(), 1);
    /// assert_eq!(second.get_item(target, b"").await.item, Some(item));
    /// # Ok(()) }
    /// ```
    pub async fn put_item(&self, item: Item, cas: Option<i64>) -> ItemStored {
        let mut stored = ItemStored::default();
        let mut events = self.begin(Command::PutItem { item: Arc::new(item), cas }).await;
        while let Some(event) = events.next().await {
            match event {
                Event::Stored { at, .. } => stored.stored_at.push(at),
                Event::Refused { by, code, .. } => stored.refused.push((by, code)),
                Event::Item { item, .. } => keep_newest(&mut stored.before, *item),
                Event::Done { summary, .. } => stored.answered += summary.answered,
                _ => {}
            }
        }
        stored
    }
}

fn keep_newest(newest: &mut Option<Item>, item: Item) {
    if newest.as_ref().is_none_or(|newest| item.seq() > newest.seq()) {
        *newest = Some(item);
    }
}
