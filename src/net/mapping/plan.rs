//! Which port is asked for when. Pure: told the time.
//!
//! A port is renewed when half of its time is over, so that the router may fail to answer twice. What a router refuses is asked
//! for again at a growing distance: it may be another router by then.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use super::Transport;
use crate::engine::time::Instant;

/// Time until a refused port is asked for again, which doubles each time.
const FIRST_PAUSE: Duration = Duration::from_secs(60);
const LONGEST_PAUSE: Duration = Duration::from_secs(60 * 60);

/// Time until a renewal that failed is tried again.
const RENEWAL_PAUSE: Duration = Duration::from_secs(60);

/// Shortest time between two renewals, whatever a router grants.
const SHORTEST_LIFE: Duration = Duration::from_secs(60);

/// A port of this host that is to be reached from outside.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Wish {
    /// By what.
    pub transport: Transport,
    /// The port on this host.
    pub port: u16,
}

/// The plan for all ports.
#[derive(Debug, Default)]
pub struct Plan {
    ports: BTreeMap<Wish, Port>,
}

#[derive(Debug)]
struct Port {
    /// When the router is asked.
    due: Instant,
    pause: Duration,
    held: Option<Held>,
}

/// A port that the router has opened.
#[derive(Clone, Copy, Debug)]
struct Held {
    external: u16,
    until: Instant,
}

impl Plan {
    /// Takes what is wished for now. Ports that the router has opened and that are wished for no more are to be given back.
    pub fn wish(&mut self, now: Instant, wishes: &BTreeSet<Wish>) -> Vec<Wish> {
        for wish in wishes {
            self.ports.entry(*wish).or_insert(Port { due: now, pause: FIRST_PAUSE, held: None });
        }
        let unwanted: Vec<Wish> = self.ports.keys().filter(|wish| !wishes.contains(wish)).copied().collect();
        let removed = unwanted.into_iter().filter_map(|wish| Some((wish, self.ports.remove(&wish)?)));
        removed.filter(|(_, port)| port.held.is_some()).map(|(wish, _)| wish).collect()
    }

    /// A port that the router is to be asked for at `now`.
    #[must_use]
    pub fn next(&self, now: Instant) -> Option<Wish> {
        let due = self.ports.iter().filter(|(_, port)| port.due <= now);
        due.min_by_key(|(_, port)| port.due).map(|(wish, _)| *wish)
    }

    /// When the router is to be asked next.
    #[must_use]
    pub fn due(&self) -> Instant {
        self.ports.values().map(|port| port.due).min().unwrap_or(Instant::FAR_FUTURE)
    }

    /// The router has opened a port, or renewed it: where, and for how long. Whether that is news.
    pub fn opened(&mut self, now: Instant, wish: Wish, external: u16, life: Duration) -> bool {
        let Some(port) = self.ports.get_mut(&wish) else { return false };
        let life = life.max(SHORTEST_LIFE);
        let news = port.held.map(|held| held.external) != Some(external);
        *port = Port { due: now + life / 2, pause: FIRST_PAUSE, held: Some(Held { external, until: now + life }) };
        news
    }

    /// The router has refused. Whether that is news: it is told once in a row.
    pub fn refused(&mut self, now: Instant, wish: Wish) -> bool {
        let Some(port) = self.ports.get_mut(&wish) else { return false };
        port.held = port.held.filter(|held| held.until > now);
        if port.held.is_some() {
            port.due = now + RENEWAL_PAUSE;
            return false;
        }
        let news = port.pause == FIRST_PAUSE;
        port.due = now + port.pause;
        port.pause = (port.pause * 2).min(LONGEST_PAUSE);
        news
    }

    /// This host is behind another router, or at another address: nothing is known any more.
    pub fn moved(&mut self, now: Instant) {
        for port in self.ports.values_mut() {
            *port = Port { due: now, pause: FIRST_PAUSE, held: None };
        }
    }

    /// The ports that the router has refused, and that are not open.
    #[must_use]
    pub fn refusals(&self) -> BTreeSet<Wish> {
        let refused = |(wish, port): (&Wish, &Port)| (port.held.is_none() && port.pause > FIRST_PAUSE).then_some(*wish);
        self.ports.iter().filter_map(refused).collect()
    }

    /// The ports that are open at `now`: where they are reached.
    #[must_use]
    pub fn open(&self, now: Instant) -> BTreeMap<Wish, u16> {
        let open =
            |(wish, port): (&Wish, &Port)| port.held.filter(|held| held.until > now).map(|held| (*wish, held.external));
        self.ports.iter().filter_map(open).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const WISH: Wish = Wish { transport: Transport::Udp, port: 6880 };
    const HOUR: Duration = Duration::from_secs(3600);

    fn plan() -> Plan {
        let mut plan = Plan::default();
        assert!(plan.wish(Instant::ZERO, &BTreeSet::from([WISH])).is_empty());
        plan
    }

    #[test]
    fn a_port_is_renewed_when_half_of_its_time_is_over() {
        let mut plan = plan();
        assert_eq!(plan.next(Instant::ZERO), Some(WISH));
        assert!(plan.opened(Instant::ZERO, WISH, 6880, HOUR));
        assert_eq!((plan.next(Instant::ZERO), plan.due()), (None, Instant::from_secs(1800)));
        assert!(!plan.opened(plan.due(), WISH, 6880, HOUR), "a renewal is no news");
        assert!(plan.opened(plan.due(), WISH, 7000, HOUR), "another port is");
        assert_eq!(plan.open(plan.due()), BTreeMap::from([(WISH, 7000)]));
    }

    #[test]
    fn a_router_that_fails_once_loses_nothing_and_one_that_is_gone_does() {
        let mut plan = plan();
        plan.opened(Instant::ZERO, WISH, 6880, HOUR);
        assert!(!plan.refused(Instant::from_secs(1800), WISH));
        assert_eq!(plan.due().as_secs(), 1860);
        assert_eq!(plan.open(plan.due()).len(), 1);
        assert!(plan.refused(Instant::from_secs(3600), WISH), "its time is over");
        assert!(plan.open(Instant::from_secs(3600)).is_empty());
    }

    #[test]
    fn a_refusal_is_told_once_and_tried_again_at_a_growing_distance() {
        let mut plan = plan();
        let mut tries = Vec::new();
        while tries.len() < 10 {
            let now = plan.due();
            tries.push(now.as_secs());
            assert_eq!(plan.refused(now, WISH), tries.len() == 1);
            assert_eq!(plan.refusals(), BTreeSet::from([WISH]));
        }
        assert_eq!(tries[..4], [0, 60, 180, 420]);
        assert_eq!(tries[9] - tries[8], 3600);
        plan.moved(Instant::from_secs(50_000));
        assert_eq!(plan.next(Instant::from_secs(50_000)), Some(WISH), "another router is asked at once");
    }

    #[test]
    fn what_is_wished_for_no_more_is_given_back() {
        let mut plan = plan();
        let tcp = Wish { transport: Transport::Tcp, port: 1 };
        plan.wish(Instant::ZERO, &BTreeSet::from([WISH, tcp]));
        plan.opened(Instant::ZERO, WISH, 6880, HOUR);
        assert_eq!(plan.wish(Instant::ZERO, &BTreeSet::new()), [WISH], "what was never opened needs no return");
        assert_eq!(plan.due(), Instant::FAR_FUTURE);
        assert!(!plan.opened(Instant::ZERO, WISH, 1, HOUR) && !plan.refused(Instant::ZERO, WISH));
    }

    proptest! {
        /// Whatever a router says: it is asked at most once a half minute for a port, and a port is never told as open after
        /// its time.
        #[test]
        fn no_router_is_pressed(events in prop::collection::vec((any::<bool>(), 0u64..100_000), 1..100)) {
            let mut plan = plan();
            let mut end = None;
            for (opens, secs) in events {
                let now = plan.due();
                if opens {
                    plan.opened(now, WISH, 1, Duration::from_secs(secs));
                    end = Some(now + Duration::from_secs(secs).max(SHORTEST_LIFE));
                } else {
                    plan.refused(now, WISH);
                }
                prop_assert!(plan.due() >= now + SHORTEST_LIFE / 2);
                prop_assert_eq!(plan.open(now).is_empty(), end.is_none_or(|end| end <= now));
                prop_assert!(end.is_none_or(|end| plan.open(end).is_empty()));
            }
        }
    }
}
