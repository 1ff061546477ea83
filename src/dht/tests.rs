//! Nodes that fail: what a panic in the task of one of them leads to.

use super::*;
use crate::engine::id::NodeId;

fn builder() -> DhtBuilder {
    Dht::builder().private_network(true).bind(([127, 0, 78, 1], 0).into())
}

impl Dht {
    /// Makes one node fail as a bug would, and waits until that is known.
    pub(crate) async fn make_fail(&self, node: usize) -> NodeFailed {
        self.inner.nodes[node].handle.tell(Request::Panic).await;
        self.failed().await
    }
}

#[tokio::test]
async fn a_node_that_fails_is_noticed_and_nothing_says_ok() {
    let folder = tempfile::tempdir().expect("a folder");
    let dht = builder().data_dir(folder.path()).start().await.expect("a node");
    dht.save().await.expect("saved");
    let failed = dht.make_fail(0).await;
    assert_eq!(failed, NodeFailed { part: Part::Node(dht.local_addrs()[0]), panic: "a test asked for it".to_owned() });
    assert!(matches!(dht.save().await, Err(SaveError::NodeFailed(again)) if again == failed));
    assert!(matches!(dht.shutdown().await, Err(SaveError::NodeFailed(again)) if again == failed));
}

#[tokio::test]
async fn what_the_other_nodes_hold_and_what_was_saved_of_the_failed_one_stay() {
    let folder = tempfile::tempdir().expect("a folder");
    let start = || builder().bind(([127, 0, 78, 2], 0).into()).data_dir(folder.path()).start();
    let dht = start().await.expect("two nodes");
    dht.save().await.expect("saved");
    let before: Vec<NodeId> = dht.status().await.iter().map(|node| node.id).collect();
    dht.make_fail(0).await;
    assert_eq!(dht.status().await.len(), 1, "the other one goes on");
    dht.shutdown().await.expect_err("a node has failed");
    drop(dht);
    let after: Vec<NodeId> = start().await.expect("two nodes").status().await.iter().map(|node| node.id).collect();
    assert_eq!(after, before);
}
