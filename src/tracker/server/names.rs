//! Names of other trackers to addresses. Where no name server answers, that must not cost a thread for each announce.

use std::collections::BTreeMap;
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use tokio::time::{Instant, timeout};

use crate::engine::contact::{Family, canonical, is_local, is_sendable};
use crate::net::bootstrap::look_up;

/// Longest time that a name may take. Less than a tracker may, so that it is known that the name was to blame.
const PATIENCE: Duration = Duration::from_secs(10);
/// Time for which addresses are good.
const GOOD_FOR: Duration = Duration::from_mins(10);
/// Time in which a name without an address is not looked up again.
const BAD_FOR: Duration = Duration::from_mins(1);
/// Names that are remembered; then all are forgotten.
const MOST: usize = 1_000;

/// The addresses that may be asked.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Reach {
    /// The only family, if there is one.
    pub(super) family: Option<Family>,
    /// Whether addresses of local networks are among them.
    pub(super) may_be_local: bool,
}

impl Reach {
    /// Whether `ip` is one of them. What is no address of any host, such as `0.0.0.0`, leads to this one.
    pub(super) fn includes(self, ip: IpAddr) -> bool {
        let ip = ip.to_canonical();
        let family = self.family.is_none_or(|family| (family == Family::V6) == ip.is_ipv6());
        let is_elsewhere = || !is_local(ip) && is_sendable(&SocketAddr::new(ip, u16::MAX));
        family && (self.may_be_local || is_elsewhere())
    }
}

/// What is known of a name. Whoever holds the lock looks it up; the others wait for that.
type Known = Arc<tokio::sync::Mutex<Option<(Instant, Vec<IpAddr>)>>>;

/// The addresses behind names, each looked up once for all who ask.
#[derive(Debug, Default)]
pub(super) struct Names {
    known: Mutex<BTreeMap<String, Known>>,
}

impl Names {
    /// The first address within `reach` behind `host`.
    pub(super) async fn first(&self, host: &str, port: u16, reach: Reach) -> io::Result<SocketAddr> {
        let ip = self.all(host).await?.into_iter().find(|ip| reach.includes(*ip)).ok_or_else(out_of_reach)?;
        Ok(SocketAddr::new(ip.to_canonical(), port))
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

/// No address of a tracker may be asked.
pub(super) fn out_of_reach() -> io::Error {
    io::Error::new(io::ErrorKind::AddrNotAvailable, "it is at no address that may be asked")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn addresses_are_themselves_and_names_are_remembered() {
        let names = Names::default();
        let reach = Reach { family: Some(Family::V4), may_be_local: true };
        let addr = names.first("127.0.0.9", 7, reach).await.unwrap();
        assert_eq!(addr, "127.0.0.9:7".parse().unwrap());
        assert_eq!(names.first("::1", 7, reach).await.unwrap_err().kind(), io::ErrorKind::AddrNotAvailable);
        for _ in 0..2 {
            let error = names.all("no-such-name.invalid").await.unwrap_err();
            assert_eq!(error.kind(), io::ErrorKind::NotFound);
        }
        assert_eq!(names.known.lock().unwrap().len(), 1);
        for local in ["127.0.0.9", "127.9", "0x7f000001", "2130706433", "0.0.0.0", "localhost", "::ffff:127.0.0.1"] {
            let elsewhere = Reach { may_be_local: false, ..reach };
            names.first(local, 7, elsewhere).await.expect_err(local);
        }
        (0..2 * MOST).for_each(|number| drop(names.entry(&format!("name{number}.invalid"))));
        assert!(names.known.lock().unwrap().len() <= MOST);
    }
}
