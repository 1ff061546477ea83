//! The task that keeps ports open at the router, and gives them back when it ends.

use std::collections::{BTreeMap, BTreeSet};
use std::future::Future;
use std::net::{IpAddr, Ipv4Addr};
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::watch;
use tokio::time::{sleep_until, timeout};
use tracing::{debug, info};

use super::plan::{Plan, Wish};
use super::router::{self, Lease, Place};
use crate::engine::contact::{Family, is_local};
use crate::net::clock::Clock;
use crate::net::place::{self, Changes};

/// Longest time that giving the ports back may take at the end.
const FAREWELL: Duration = Duration::from_secs(3);

/// Keeps ports open at the router.
#[derive(Debug)]
pub struct Mapper {
    wishes: watch::Receiver<BTreeMap<Arc<str>, Vec<Wish>>>,
    open: watch::Sender<BTreeMap<Wish, u16>>,
    refused: watch::Sender<BTreeSet<Wish>>,
    plan: Plan,
    leases: BTreeMap<Wish, Lease>,
    clock: Clock,
    place: Option<Place>,
}

/// What ports are wished for, and which are open. Clones share both.
#[derive(Clone, Debug)]
pub struct Ports {
    wishes: watch::Sender<BTreeMap<Arc<str>, Vec<Wish>>>,
    open: watch::Receiver<BTreeMap<Wish, u16>>,
    refused: watch::Receiver<BTreeSet<Wish>>,
}

/// What came of a wish.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// There is no router to ask, or it has not answered yet.
    Unknown,
    /// The world reaches it at this port.
    Open(u16),
    /// The router opens none, or cannot be asked.
    Refused,
}

impl Ports {
    /// Says which ports `owner` wishes for; its wishes of before are forgotten.
    pub fn wish(&self, owner: &Arc<str>, wishes: Vec<Wish>) {
        self.wishes.send_if_modified(|all| all.insert(Arc::clone(owner), wishes.clone()).as_ref() != Some(&wishes));
    }

    /// All that is wished for, and what came of it.
    #[must_use]
    pub fn all(&self) -> Vec<(Wish, Outcome)> {
        let wishes: BTreeSet<Wish> = self.wishes.borrow().values().flatten().copied().collect();
        let (open, refused) = (self.open.borrow(), self.refused.borrow());
        let outcome = |wish: &Wish| match open.get(wish) {
            Some(external) => Outcome::Open(*external),
            None if refused.contains(wish) => Outcome::Refused,
            None => Outcome::Unknown,
        };
        wishes.into_iter().map(|wish| (wish, outcome(&wish))).collect()
    }

    /// The ports that are open, each with the port at which the world reaches it; changes as they do.
    #[must_use]
    pub fn open(&self) -> watch::Receiver<BTreeMap<Wish, u16>> {
        self.open.clone()
    }
}

impl Mapper {
    /// A mapper without wishes, and the handle of those who have some.
    #[must_use]
    pub fn new() -> (Self, Ports) {
        let (wishes, wished) = watch::channel(BTreeMap::new());
        let (open, opened) = watch::channel(BTreeMap::new());
        let (refused, refusals) = watch::channel(BTreeSet::new());
        let (clock, plan, leases) = (Clock::new(), Plan::default(), BTreeMap::new());
        let mapper = Self { wishes: wished, open, refused, plan, leases, clock, place: None };
        (mapper, Ports { wishes, open: opened, refused: refusals })
    }

    /// Keeps open what is wished for until `stop`, then gives every port back.
    pub async fn run(mut self, stop: impl Future<Output = ()>) {
        let mut stop = pin!(stop);
        let mut changes = Changes::listen();
        loop {
            self.look_around();
            let step = async {
                self.take_wishes().await;
                self.ask().await;
                self.tell();
            };
            tokio::select! {
                () = &mut stop => break,
                () = step => {}
            }
            // Without a router that could help there is nothing to ask.
            let due = if self.place.is_some() { self.plan.due() } else { crate::engine::time::Instant::FAR_FUTURE };
            tokio::select! {
                () = &mut stop => break,
                () = changes.next() => {}
                Ok(()) = self.wishes.changed() => {}
                () = sleep_until(self.clock.deadline(due)) => {}
            }
        }
        let leases = std::mem::take(&mut self.leases);
        let farewell = async {
            for lease in leases.into_values() {
                router::close(lease).await;
            }
        };
        if timeout(FAREWELL, farewell).await.is_err() {
            debug!("the router did not take all ports back in time; they close by themselves within an hour");
        }
    }

    /// Looks where this host is now. Behind another router nothing of before counts.
    fn look_around(&mut self) {
        let place = behind_a_router();
        if place != self.place {
            self.place = place;
            self.leases.clear();
            self.plan.moved(self.clock.now());
        }
    }

    async fn take_wishes(&mut self) {
        let wishes: BTreeSet<Wish> = self.wishes.borrow_and_update().values().flatten().copied().collect();
        for unwanted in self.plan.wish(self.clock.now(), &wishes) {
            if let Some(lease) = self.leases.remove(&unwanted) {
                router::close(lease).await;
            }
        }
    }

    /// Asks the router for all that is due.
    async fn ask(&mut self) {
        let Some(place) = self.place else { return };
        while let Some(wish) = self.plan.next(self.clock.now()) {
            let asked = match self.leases.remove(&wish) {
                Some(lease) => match router::renew(place, wish, lease).await {
                    Ok(lease) => Ok(lease),
                    // The router may have been restarted, and may speak another protocol now.
                    Err(_) => router::open(place, wish).await,
                },
                None => router::open(place, wish).await,
            };
            let (now, Wish { transport, port }) = (self.clock.now(), wish);
            match asked {
                Ok(lease) => {
                    if self.plan.opened(now, wish, lease.external, lease.life) {
                        let Lease { external, by, .. } = lease;
                        info!(?transport, port, external, by, router = %place.router, "the router has opened a port");
                    }
                    self.leases.insert(wish, lease);
                }
                Err(why) => {
                    if self.plan.refused(now, wish) {
                        info!(?transport, port, router = %place.router, why, "the router opens no port: forward it by hand, or go without");
                    }
                }
            }
        }
    }

    fn tell(&self) {
        let open = self.plan.open(self.clock.now());
        self.open.send_if_modified(|known| {
            let changed = *known != open;
            *known = open;
            changed
        });
        self.refused.send_replace(self.plan.refusals());
    }
}

/// The router and this host, if the way into the world leads through a private address.
fn behind_a_router() -> Option<Place> {
    let Some(IpAddr::V4(host)) = place::source_address(Family::V4).filter(|ip| is_local(*ip)) else { return None };
    let router = default_router(&std::fs::read_to_string("/proc/net/route").ok()?)?;
    (!host.is_loopback()).then_some(Place { router, host })
}

/// The default router in Linux's table of routes: the one of the smallest metric. Addresses are hexadecimal digits in the
/// order of bytes of this host.
fn default_router(table: &str) -> Option<Ipv4Addr> {
    let routes = table.lines().skip(1).filter_map(|row| {
        let mut columns = row.split_whitespace().skip(1);
        let (to, via) = (columns.next()?, u32::from_str_radix(columns.next()?, 16).ok()?);
        let (metric, mask) = (columns.nth(3)?.parse::<u32>().ok()?, columns.next()?);
        (to == "00000000" && mask == "00000000" && via != 0).then_some((metric, via))
    });
    routes.min().map(|(_, via)| Ipv4Addr::from(via.to_ne_bytes()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    #[cfg(target_endian = "little")]
    fn the_default_router_is_read_in_the_table_of_routes() {
        let table = "\
Iface\tDestination\tGateway \tFlags\tRefCnt\tUse\tMetric\tMask\t\tMTU\tWindow\tIRTT
eth1\t00000000\t0200A8C0\t0003\t0\t0\t600\t00000000\t0\t0\t0
eth0\t00000000\t0101A8C0\t0003\t0\t0\t100\t00000000\t0\t0\t0
eth0\t0001A8C0\t00000000\t0001\t0\t0\t100\t00FFFFFF\t0\t0\t0
";
        assert_eq!(default_router(table), Some(Ipv4Addr::new(192, 168, 1, 1)));
        assert_eq!(default_router("Iface\ntun0\t00000000\t00000000\t0001\t0\t0\t0\t00000000\t0\t0\t0\n"), None);
        assert_eq!(default_router(""), None);
    }

    #[test]
    fn wishes_of_one_owner_replace_each_other() {
        let (mapper, ports) = Mapper::new();
        let wish = |port| Wish { transport: super::super::Transport::Udp, port };
        let (ours, client) = ("node".into(), "client".into());
        ports.wish(&ours, vec![wish(1)]);
        ports.wish(&client, vec![wish(2)]);
        ports.wish(&client, vec![wish(3)]);
        let all: Vec<Wish> = mapper.wishes.borrow().values().flatten().copied().collect();
        assert_eq!(all, [wish(3), wish(1)]);
        assert!(ports.open().borrow().is_empty());
    }
}
