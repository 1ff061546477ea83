//! Watches over the tasks that run the nodes: a panic in one of them is a bug of this program, and must not pass
//! unnoticed while everything else goes on as if the node were there.

use std::collections::HashMap;
use std::future::Future;
use std::net::SocketAddr;

use tokio::sync::watch;
use tokio::task::{Id, JoinError, JoinSet};

/// A node whose task has panicked.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the node at {addr} has failed, which is a bug of this program: {panic}")]
pub struct NodeFailed {
    /// Where it was bound.
    pub addr: SocketAddr,
    /// What the panic said.
    pub panic: String,
}

/// What is known of all tasks together.
#[derive(Clone, Debug)]
struct Fate {
    running: usize,
    failed: Option<NodeFailed>,
}

/// The tasks of some nodes, started together. They are not ended by dropping this: each ends with its handles.
#[derive(Debug)]
pub struct Supervisor {
    fate: watch::Receiver<Fate>,
}

impl Supervisor {
    /// Runs each task, named by the address of its node.
    pub fn start<T: Future<Output = ()> + Send + 'static>(nodes: Vec<(SocketAddr, T)>) -> Self {
        let (sender, fate) = watch::channel(Fate { running: nodes.len(), failed: None });
        let (mut tasks, mut names) = (JoinSet::new(), HashMap::new());
        for (addr, node) in nodes {
            names.insert(tasks.spawn(node).id(), addr);
        }
        #[expect(clippy::disallowed_methods, reason = "ends with the last of the tasks that it watches")]
        tokio::spawn(watch_over(tasks, names, sender));
        Self { fate }
    }

    /// Waits until a task panics, and says which was the first.
    pub async fn failed(&self) -> NodeFailed {
        let mut fate = self.fate.clone();
        if let Ok(fate) = fate.wait_for(|fate| fate.failed.is_some()).await
            && let Some(failed) = fate.failed.clone()
        {
            return failed;
        }
        std::future::pending().await
    }

    /// Waits until every task has ended.
    ///
    /// # Errors
    /// The first that panicked.
    pub async fn ended(&self) -> Result<(), NodeFailed> {
        let mut fate = self.fate.clone();
        // Without its sender the runtime has ended, and all tasks with it.
        let _ = fate.wait_for(|fate| fate.running == 0).await;
        self.fate.borrow().failed.clone().map_or(Ok(()), Err)
    }
}

async fn watch_over(mut tasks: JoinSet<()>, names: HashMap<Id, SocketAddr>, fate: watch::Sender<Fate>) {
    while let Some(ended) = tasks.join_next().await {
        let failed = ended.err().and_then(|error| failure(error, &names));
        if let Some(failed) = &failed {
            tracing::error!(%failed, "a node has stopped");
        }
        fate.send_modify(|fate| {
            fate.running -= 1;
            fate.failed = fate.failed.take().or(failed);
        });
    }
}

/// A task that was cancelled has not failed: its runtime ends.
fn failure(error: JoinError, names: &HashMap<Id, SocketAddr>) -> Option<NodeFailed> {
    let addr = *names.get(&error.id())?;
    let panic = error.try_into_panic().ok()?;
    let text = panic.downcast_ref::<&str>().map(|text| (*text).to_owned());
    let text = text.or_else(|| panic.downcast_ref::<String>().cloned());
    Some(NodeFailed { addr, panic: text.unwrap_or_else(|| "no message".to_owned()) })
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::pin::Pin;

    type Task = Pin<Box<dyn Future<Output = ()> + Send>>;

    fn addr(port: u16) -> SocketAddr {
        ([127, 0, 0, 1], port).into()
    }

    #[tokio::test]
    async fn a_panic_is_told_with_its_node_and_its_words() {
        let healthy: Task = Box::pin(std::future::pending());
        let failing: Task = Box::pin(async { panic!("number {}", 7) });
        let supervisor = Supervisor::start(vec![(addr(1), healthy), (addr(2), failing)]);
        let failed = supervisor.failed().await;
        assert_eq!(failed, NodeFailed { addr: addr(2), panic: "number 7".to_owned() });
    }

    #[tokio::test]
    async fn tasks_that_end_well_have_not_failed() {
        let task = || -> Task { Box::pin(async {}) };
        let supervisor = Supervisor::start(vec![(addr(1), task()), (addr(2), task())]);
        assert_eq!(supervisor.ended().await, Ok(()));
        tokio::select! {
            biased;
            failed = supervisor.failed() => panic!("{failed}"),
            () = tokio::task::yield_now() => {}
        }
    }
}
