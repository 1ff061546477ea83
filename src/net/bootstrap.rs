//! Names of nodes to addresses.
//!
//! The engine asks again, ever less often and for ever, while no node answers; so a failed look-up here is not an error:
//! the next one may succeed when the network has come.

use std::io;
use std::net::{SocketAddr, ToSocketAddrs as _};
use std::time::Duration;

use tokio::sync::oneshot;
use tokio::task::JoinSet;

use crate::engine::contact::{Family, canonical};

/// Routers of the mainline DHT, those that are known to be alive first.
pub const MAINLINE_ROUTERS: [&str; 5] = [
    "dht.libtorrent.org:25401",
    "dht.transmissionbt.com:6881",
    "router.bt.ouinet.work:6881",
    "router.bittorrent.com:6881",
    "router.utorrent.com:6881",
];

/// Longest time that a name may take, in seconds. They are looked up side by side, so that it is also the longest for all.
const TIMEOUT: Duration = Duration::from_secs(10);

/// The addresses behind some names.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Resolved {
    /// Those of public routers, which serve the start of everyone and should serve nothing else.
    pub public: Vec<SocketAddr>,
    /// Those of nodes that the user has named.
    pub named: Vec<SocketAddr>,
    /// The names behind which there is no address of any family now, or for which no name server has answered.
    pub failed: Vec<String>,
}

/// Those of `names` for which a name server has to be asked.
pub fn to_look_up(names: &[String]) -> impl Iterator<Item = &String> {
    names.iter().filter(|name| name.parse::<SocketAddr>().is_err())
}

/// The addresses of `family` behind `names` (`host:port`, or an address), in their order.
pub async fn resolve(names: &[String], family: Family) -> Resolved {
    let mut resolving: JoinSet<_> = names
        .iter()
        .cloned()
        .enumerate()
        .map(|(place, name)| async move { (place, resolve_one(&name).await) })
        .collect();
    let mut found = Vec::new();
    while let Some(resolved) = resolving.join_next().await {
        found.extend(resolved);
    }
    found.sort_by_key(|(place, _)| *place);
    let mut resolved = Resolved::default();
    for (place, addrs) in found {
        if addrs.is_empty() {
            resolved.failed.push(names[place].clone());
        }
        let public = MAINLINE_ROUTERS.contains(&names[place].as_str());
        let list = if public { &mut resolved.public } else { &mut resolved.named };
        list.extend(addrs.into_iter().map(canonical).filter(|addr| Family::of(addr) == family));
    }
    resolved
}

async fn resolve_one(name: &str) -> Vec<SocketAddr> {
    match tokio::time::timeout(TIMEOUT, look_up(name)).await {
        Ok(Ok(addrs)) => return addrs,
        Ok(Err(error)) => tracing::debug!(name, %error, "a name cannot be resolved now"),
        Err(_) => tracing::debug!(name, "resolving a name takes too long"),
    }
    Vec::new()
}

/// The addresses behind a name, `host:port`. The system is asked on a thread that nobody waits for: a runtime waits at its
/// end for the threads of its own, and the system may take half a minute to say that no name server answers.
///
/// # Errors
/// There is no such name, or no name server answers.
pub async fn look_up(name: &str) -> io::Result<Vec<SocketAddr>> {
    if let Ok(addr) = name.parse() {
        return Ok(vec![addr]);
    }
    let (answer, answered) = oneshot::channel();
    let name = name.to_owned();
    std::thread::Builder::new().name("look-up".to_owned()).spawn(move || {
        let _ = answer.send(name.to_socket_addrs().map(Iterator::collect));
    })?;
    answered.await.map_err(io::Error::other)?
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn what_the_user_names_is_told_from_public_routers() {
        let names = ["127.0.0.9:1".to_owned(), "[::1]:2".to_owned(), "no-such-name.invalid:3".to_owned()];
        let resolved = resolve(&names, Family::V4).await;
        assert_eq!(to_look_up(&names).collect::<Vec<_>>(), [&names[2]]);
        assert_eq!(
            resolved,
            Resolved { public: Vec::new(), named: vec![([127, 0, 0, 9], 1).into()], failed: vec![names[2].clone()] }
        );
    }
}
