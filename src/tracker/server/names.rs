//! Names of other trackers to addresses. Where no name server answers, that must not cost a thread for each announce.

use std::collections::BTreeMap;
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use tokio::time::{Instant, timeout};

use crate::engine::contact::{Family, canonical};
use crate::net::bootstrap::look_up;

/// Longest time that a name may take. Less than a tracker may, so that it is known that the name was to blame.
const PATIENCE: Duration = Duration::from_secs(10);
/// Time for which addresses are good.
const GOOD_FOR: Duration = Duration::from_mins(10);
/// Time in which a name without an address is not looked up again.
const BAD_FOR: Duration = Duration::from_mins(1);
/// Names that are remembered; then all are forgotten.
const MOST: usize = 1_000;

/// What is known of a name. Whoever holds the lock looks it up; the others wait for that.
type Known = Arc<tokio::sync::Mutex<Option<(Instant, Vec<IpAddr>)>>>;

/// The addresses behind names, each looked up once for all who ask.
#[derive(Debug, Default)]
pub(super) struct Names {
    known: Mutex<BTreeMap<String, Known>>,
}

impl Names {
    /// The first address of `family` behind `host`.
    pub(super) async fn first(&self, host: &str, port: u16, family: Family) -> io::Result<SocketAddr> {
        let addrs = self.all(host).await?.into_iter().map(|ip| SocketAddr::new(ip, port));
        let mut fitting = addrs.filter(|addr| Family::of(addr) == family);
        fitting
            .next()
            .ok_or_else(|| io::Error::new(io::ErrorKind::AddrNotAvailable, "its name has no address of this family"))
    }

    /// All addresses behind `host`; at least one.
    pub(super) async fn all(&self, host: &str) -> io::Result<Vec<IpAddr>> {
        if let Ok(ip) = host.parse() {
            return Ok(vec![ip]);
        }
        let entry = self.entry(host);
        let mut known = entry.lock().await;
        let ips = match &*known {
            Some((since, ips)) if since.elapsed() < if ips.is_empty() { BAD_FOR } else { GOOD_FOR } => ips.clone(),
            _ => {
                let found = timeout(PATIENCE, look_up(&format!("{host}:0"))).await;
                let addrs = found.ok().and_then(Result::ok).unwrap_or_default();
                let ips: Vec<IpAddr> = addrs.into_iter().map(|addr| canonical(addr).ip()).collect();
                *known = Some((Instant::now(), ips.clone()));
                ips
            }
        };
        if ips.is_empty() { Err(io::Error::new(io::ErrorKind::NotFound, "its name has no address")) } else { Ok(ips) }
    }

    fn entry(&self, host: &str) -> Known {
        let mut known = self.known.lock().expect("nothing panics while it holds the lock");
        if known.len() >= MOST && !known.contains_key(host) {
            known.clear();
        }
        Arc::clone(known.entry(host.to_ascii_lowercase()).or_default())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn addresses_are_themselves_and_names_are_remembered() {
        let names = Names::default();
        let addr = names.first("127.0.0.9", 7, Family::V4).await.unwrap();
        assert_eq!(addr, "127.0.0.9:7".parse().unwrap());
        assert_eq!(names.first("::1", 7, Family::V4).await.unwrap_err().kind(), io::ErrorKind::AddrNotAvailable);
        for _ in 0..2 {
            let error = names.all("no-such-name.invalid").await.unwrap_err();
            assert_eq!(error.kind(), io::ErrorKind::NotFound);
        }
        assert_eq!(names.known.lock().unwrap().len(), 1);
        (0..2 * MOST).for_each(|number| drop(names.entry(&format!("name{number}.invalid"))));
        assert!(names.known.lock().unwrap().len() <= MOST);
    }
}
