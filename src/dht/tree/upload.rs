//! Storing a tree of items: everything below the root first, and the root when all of it is there.

use futures_util::{StreamExt, stream};

use super::{AT_ONCE, Shelf, Tree};
use crate::dht::Dht;
use crate::engine::items::Item;

/// What to do with items that the network has already.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Existing {
    /// Store them again, which makes them young.
    Renew,
    /// Leave them alone: for an upload that was interrupted a moment ago.
    LeaveAlone,
}

impl Dht {
    /// Stores `tree` on the nodes closest to its items, and tells `progress` the number of items that are stored so far.
    /// Returns that number at the end: the whole tree is stored where it is that of [`Tree::items`]. The root is
    /// stored last: once it can be found, everything can.
    ///
    /// An upload that was interrupted is resumed by storing the same tree again. Nodes keep an item for two hours; see
    /// [`ITEM_RENEWAL`](crate::engine::limits::ITEM_RENEWAL).
    ///
    /// ```
    /// # use trackerless::Dht;
    /// use trackerless::dht::tree::{Existing, Tree};
    /// # #[tokio::main(flavor = "current_thread")] async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// # let loopback = || Dht::builder().private_network(true).bind("127.0.0.1:0".parse().unwrap());
    /// # let first = loopback().start().await?;
    /// # let second = loopback().bootstrap([first.local_addrs()[0].to_string()]).start().await?;
    /// # second.bootstrapped().await;
    /// let tree = Tree::cut(&[7; 3000]).expect("a small file");
    /// let stored = second.put_tree(&tree, Existing::Renew, |_| {}).await;
    /// assert_eq!(stored, tree.items.len());
    ///
    /// let found = second.find_tree(tree.root, 1 << 20).await?;
    /// let mut file = std::io::Cursor::new(Vec::new());
    /// second.get_tree(&found, &mut file, |_| {}).await?;
    /// assert_eq!(file.into_inner(), [7; 3000]);
    /// # Ok(()) }
    /// ```
    pub async fn put_tree(&self, tree: &Tree, existing: Existing, progress: impl FnMut(usize)) -> usize {
        store(self, tree, existing, progress).await
    }
}

/// [`Dht::put_tree`] on any shelf.
pub async fn store(shelf: &impl Shelf, tree: &Tree, existing: Existing, progress: impl FnMut(usize)) -> usize {
    store_all(&tree.items, |item| put_of_tree(shelf, item, existing), progress).await
}

/// Stores one item, unless it should be left alone where it is; whether the network has it then.
async fn put_of_tree(shelf: &impl Shelf, item: &Item, existing: Existing) -> bool {
    existing == Existing::LeaveAlone && shelf.get_item(item.target(), b"").await.item.is_some()
        || !shelf.put_item(item.clone(), None).await.stored_at.is_empty()
}

/// Stores the items, several at a time, and the last one, the root, when all others are there. The number of items that
/// are stored.
async fn store_all<'a, Storing: Future<Output = bool>>(
    items: &'a [Item],
    store: impl Fn(&'a Item) -> Storing,
    mut progress: impl FnMut(usize),
) -> usize {
    let (root, below) = items.split_last().expect("a tree has a root");
    let mut stored = 0;
    let mut storing = stream::iter(below).map(&store).buffer_unordered(AT_ONCE);
    while let Some(is_stored) = storing.next().await {
        stored += usize::from(is_stored);
        progress(stored);
    }
    drop(storing);
    if stored == below.len() {
        stored += usize::from(store(root).await);
        progress(stored);
    }
    stored
}

#[cfg(test)]
mod tests {
    use std::cell::RefCell;

    use super::*;
    use crate::engine::id::Target;

    /// The items in the order in which their storing ended, and how many were counted; `lost` is refused.
    async fn upload(tree: &Tree, lost: Option<Target>) -> (Vec<Target>, usize) {
        let ended = RefCell::new(Vec::new());
        let store = |item: &Item| {
            let (target, ended) = (item.target(), &ended);
            async move {
                // What begins first ends last: an order that only waiting can keep.
                let before = ended.borrow().len();
                for _ in before..40 {
                    tokio::task::yield_now().await;
                }
                ended.borrow_mut().push(target);
                Some(target) != lost
            }
        };
        let stored = store_all(&tree.items, store, |_| {}).await;
        (ended.into_inner(), stored)
    }

    #[tokio::test]
    async fn the_root_is_stored_when_everything_below_it_is() {
        let bytes: Vec<u8> = (0..60_000u32).map(|index| (index / 7 % 251) as u8).collect();
        let tree = Tree::cut(&bytes).expect("a tree");
        let total = tree.items.len();
        assert!(total > 2 * AT_ONCE);
        let (ended, stored) = upload(&tree, None).await;
        assert_eq!((ended.last(), stored, ended.len()), (Some(&tree.root), total, total));
        let (ended, stored) = upload(&tree, Some(tree.items[total / 2].target())).await;
        assert_eq!((ended.contains(&tree.root), stored), (false, total - 2), "a part is missing");
    }
}
