//! A run that breaks an invariant ends with one line, and that line is enough to come back to the same event.

use std::net::SocketAddr;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::time::Duration;

use trackerless::engine::contact::Family;
use trackerless::engine::node::Event;
use trackerless::engine::time::Instant;
use trackerless::sim::invariant::{DatagramsFit, Invariant, OnlySendableDestinations};
use trackerless::sim::random::Dice;
use trackerless::sim::world::Home;
use trackerless::sim::{Action, Host, Link, Network, Resident, Terms, World};

/// Answers no query, and once it has heard enough sends a datagram to an endpoint that cannot exist.
#[derive(Clone)]
struct Traitor {
    patience: usize,
}

const NOWHERE: &str = "192.0.2.1:0";

impl Host for Traitor {
    type Report = Event;

    fn handle_datagram(&mut self, _: Instant, _: SocketAddr, _: &[u8]) {
        self.patience = self.patience.saturating_sub(1);
    }

    fn handle_timeout(&mut self, _: Instant) {}

    fn poll_action(&mut self) -> Action<'_, Event> {
        if self.patience > 0 {
            return Action::Wait(Instant::FAR_FUTURE);
        }
        self.patience = usize::MAX;
        Action::Transmit { to: NOWHERE.parse().expect("an endpoint"), payload: b"!" }
    }
}

/// Holds for a number of steps only, and breaks after them whichever host acts.
struct Weary(u32);

impl Invariant<Resident> for Weary {
    fn name(&self) -> &'static str {
        "unweary"
    }

    fn on_rest(&mut self, _: Instant, _: &Resident) -> Result<(), String> {
        self.0 -= 1;
        if self.0 > 0 { Ok(()) } else { Err("enough".into()) }
    }
}

/// The line with which a network of this seed ends: a network on a lossy Internet, and an endpoint at which every node in
/// it is asked to look.
fn broken_line(seed: u64, invariant: impl Invariant<Resident> + 'static) -> String {
    let run = || {
        let world = World::new(Link::internet(seed), seed).with_invariant(invariant).with_invariant(DatagramsFit(1024));
        let mut network = Network::in_world(world, Terms::mainline(Family::V4));
        let addr = network.endpoint();
        network.admit(Home::open(addr), Resident::Other(Box::new(Traitor { patience: 100 })));
        let members = network.grow(20);
        let mut dice = Dice::new(seed);
        while network.world().now() < Instant::from_secs(3600) {
            let asker = *dice.pick(&members).expect("twenty members");
            network.world_mut().call(asker, |resident, now| match resident {
                Resident::Node(node) => Some(node.ping(now, addr)),
                Resident::Other(_) => None,
            });
            network.run_for(Duration::from_secs(1));
        }
    };
    let panic = catch_unwind(AssertUnwindSafe(run)).expect_err("the invariant breaks");
    *panic.downcast::<String>().expect("a line")
}

/// What stands in `line` between two words.
fn between<'a>(line: &'a str, before: &str, after: &str) -> &'a str {
    let (_, rest) = line.split_once(before).unwrap_or_else(|| panic!("no {before:?} in {line:?}"));
    rest.split_once(after).unwrap_or_else(|| panic!("no {after:?} after {before:?} in {line:?}")).0
}

#[test]
fn the_line_names_what_broke_where_and_when() {
    let line = broken_line(1, OnlySendableDestinations);
    let what = format!("invariant broken: only sendable destinations: a datagram to {NOWHERE} (");
    assert!(line.starts_with(&what) && line.ends_with("; repeat with seed 1)") && !line.contains('\n'), "{line}");
    let addr = Network::new(Link::new(1), Terms::mainline(Family::V4), 1).endpoint();
    assert_eq!(between(&line, "(host ", " of "), "1", "the router is host 0");
    assert_eq!(between(&line, " of ", ", at "), addr.to_string());
    // Two seconds until all have joined, then a ping a second, of which a hundred arrive.
    let seconds: f64 = between(&line, "at ", "s, event ").parse().expect("seconds");
    assert!((100.0..110.0).contains(&seconds), "{line}");
    assert!(between(&line, "event ", ", trace ").parse::<u64>().is_ok_and(|event| event > 1_000), "{line}");
    assert_eq!(between(&line, "trace ", "; repeat").len(), 16, "{line}");
}

#[test]
fn the_seed_of_the_line_leads_to_the_same_event() {
    let first = broken_line(5, OnlySendableDestinations);
    // All that a reader of the line knows is its seed.
    let seed = between(&first, "repeat with seed ", ")").parse().expect("a number");
    assert_eq!(broken_line(seed, OnlySendableDestinations), first);
    let other = broken_line(6, OnlySendableDestinations);
    assert_ne!(between(&other, "event ", ";"), between(&first, "event ", ";"));
}

#[test]
fn an_invariant_of_the_tester_breaks_the_run_as_the_built_in_ones_do() {
    let line = broken_line(1, Weary(2_000));
    assert_eq!(line, broken_line(1, Weary(2_000)));
    assert!(line.starts_with("invariant broken: unweary: enough (host "), "{line}");
    // One step more, one event later.
    let event = |line: &str| between(line, "event ", ",").parse::<u64>().expect("a number");
    assert!(event(&broken_line(1, Weary(2_001))) > event(&line));
}
