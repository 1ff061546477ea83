//! Watches over the tasks that run the nodes, and over the one that looks after them: a panic in one of them is a bug of this
//! program, and must not pass unnoticed while everything else goes on as if it were there.

use std::collections::HashMap;
use std::fmt;
use std::future::Future;
use std::net::SocketAddr;

use tokio::sync::watch;
use tokio::task::{Id, JoinError, JoinSet};

/// A task of a node, or the one that looks after all nodes, has panicked.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{part} has failed, which is a bug of this program: {panic}")]
pub struct NodeFailed {
    /// What has failed.
    pub part: Part,
    /// What the panic said.
    pub panic: String,
}

/// What a task does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Part {
    /// It runs the node that was bound here.
    Node(SocketAddr),
    /// It saves the state and follows the host to other addresses.
    Upkeep,
}

impl fmt::Display for Part {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Node(addr) => write!(f, "the node at {addr}"),
            Self::Upkeep => f.write_str("the task that saves the state"),
        }
    }
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
    /// Runs each task, named by the address of its node, and `upkeep`, which ends with the last of them.
    pub fn start<T: Future<Output = ()> + Send + 'static>(
        nodes: Vec<(SocketAddr, T)>,
        upkeep: impl Future<Output = ()> + Send + 'static,
    ) -> Self {
        let (sender, fate) = watch::channel(Fate { running: nodes.len(), failed: None });
        let (mut tasks, mut names) = (JoinSet::new(), HashMap::new());
        names.insert(tasks.spawn(upkeep).id(), Part::Upkeep);
        for (addr, node) in nodes {
            names.insert(tasks.spawn(node).id(), Part::Node(addr));
        }
        #[expect(clippy::disallowed_methods, reason = "ends with the last of the nodes that it watches")]
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

    /// Waits until every node has ended.
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

async fn watch_over(mut tasks: JoinSet<()>, names: HashMap<Id, Part>, fate: watch::Sender<Fate>) {
    while fate.borrow().running > 0 {
        let Some(ended) = tasks.join_next_with_id().await else { return };
        let id = ended.as_ref().map_or_else(JoinError::id, |(id, ())| *id);
        let Some(&part) = names.get(&id) else { continue };
        let failed = ended.err().and_then(|error| failure(error, part));
        if let Some(failed) = &failed {
            tracing::error!(%failed, "a part of the program has stopped");
        }
        fate.send_modify(|fate| {
            fate.running -= usize::from(part != Part::Upkeep);
            fate.failed = fate.failed.take().or(failed);
        });
    }
}

/// A task that was cancelled has not failed: its runtime ends.
fn failure(error: JoinError, part: Part) -> Option<NodeFailed> {
    let panic = error.try_into_panic().ok()?;
    let text = panic.downcast_ref::<&str>().map(|text| (*text).to_owned());
    let text = text.or_else(|| panic.downcast_ref::<String>().cloned());
    Some(NodeFailed { part, panic: text.unwrap_or_else(|| "no message".to_owned()) })
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
        let supervisor = Supervisor::start(vec![(addr(1), healthy), (addr(2), failing)], std::future::pending());
        let failed = supervisor.failed().await;
        assert_eq!(failed, NodeFailed { part: Part::Node(addr(2)), panic: "number 7".to_owned() });
    }

    #[tokio::test]
    async fn tasks_that_end_well_have_not_failed() {
        let task = || -> Task { Box::pin(async {}) };
        let supervisor = Supervisor::start(vec![(addr(1), task()), (addr(2), task())], std::future::pending());
        assert_eq!(supervisor.ended().await, Ok(()));
        tokio::select! {
            biased;
            failed = supervisor.failed() => panic!("{failed}"),
            () = tokio::task::yield_now() => {}
        }
    }

    #[tokio::test]
    async fn the_task_that_saves_is_watched_too_and_nobody_waits_for_its_end() {
        let (end, ended) = tokio::sync::oneshot::channel::<()>();
        let node: Task = Box::pin(async { drop(ended.await) });
        let supervisor = Supervisor::start(vec![(addr(1), node)], async { panic!("a bug") });
        let failed = supervisor.failed().await;
        assert_eq!(failed, NodeFailed { part: Part::Upkeep, panic: "a bug".to_owned() });
        drop(end);
        assert_eq!(supervisor.ended().await, Err(failed));
    }
}
