//! The run: start and fill the servers, then every scenario on every server, round by round.

use std::time::Duration;

use anyhow::Context as _;
use trackerless::engine::id::NodeId;

use crate::Options;
use crate::load::{Load, Outcome, Script};
use crate::query::{PEERS, Shape, Template};
use crate::report::{self, Measurement};
use crate::script::{self, About, Announces, Expected, Lookups, Once, Pairs};
use crate::server::{Kind, Place, Server};
use crate::wire::Wire;

/// Infohashes of the scenarios that stay in the caches.
const FEW: usize = 100;
/// What the echo replies with where nothing else is said: a reply of eight contacts.
const ECHO_REPLY: usize = 300;

/// What is asked in one measurement.
#[derive(Clone, Copy, Debug)]
pub struct Scenario {
    pub name: &'static str,
    ask: Ask,
    /// Infohashes among which the queries choose.
    stored: usize,
    /// A fixed rate of 80 % of what a closed loop reached, rather than a closed loop.
    open: bool,
}

#[derive(Clone, Copy, Debug)]
enum Ask {
    Ping,
    FindNode,
    GetPeers,
    Announce,
}

/// The scenarios, in the order in which they are measured.
fn scenarios(options: &Options) -> Vec<Scenario> {
    let closed = |name, ask, stored| Scenario { name, ask, stored, open: false };
    let mut all = vec![
        closed("ping", Ask::Ping, 0),
        closed("find_node", Ask::FindNode, 0),
        closed("get_peers, nothing stored", Ask::GetPeers, 0),
        closed("get_peers, 50 values", Ask::GetPeers, FEW),
        closed("announce_peer", Ask::Announce, FEW),
        closed("get_peers, many infohashes", Ask::GetPeers, options.fill),
        closed("announce_peer, many infohashes", Ask::Announce, options.fill),
        Scenario { name: "get_peers, 80 % of saturation", ask: Ask::GetPeers, stored: FEW, open: true },
    ];
    if !options.scenarios.is_empty() {
        all.retain(|scenario| options.scenarios.iter().any(|name| scenario.name.contains(name.trim())));
    }
    all
}

/// A server with everything that is known of it.
pub struct Subject {
    pub server: Server,
    load: Load,
    id: NodeId,
    /// Tokens for announces of few and of many infohashes.
    few: Pairs,
    many: Pairs,
    /// Replies a second of the last closed loop of `get_peers` with values.
    saturation: f64,
}

pub fn run(options: &Options, place: &Place) -> anyhow::Result<()> {
    let mut subjects = Vec::new();
    for &kind in &options.servers {
        let subject = filled(kind, options, place).with_context(|| format!("preparing {}", kind.name()))?;
        subject.server.pause();
        subjects.push(subject);
    }
    let scenarios = scenarios(options);
    let reply_bytes = equal_reply(&mut subjects)?;
    let mut measurements = Vec::new();
    for round in 0..options.rounds {
        for scenario in &scenarios {
            for index in 0..subjects.len() {
                // Another server goes first in each round.
                let subject = &mut subjects[(index + round) % options.servers.len()];
                subject.server.resume();
                let measured = subject.measure(scenario, reply_bytes, options);
                subject.server.pause();
                let measurement = measured.with_context(|| subject.server.kind.name())?;
                eprintln!("{round} {measurement}");
                measurements.push(measurement);
            }
        }
    }
    report::write(options, &measurements)
}

fn filled(kind: Kind, options: &Options, place: &Place) -> anyhow::Result<Subject> {
    let mut subject = Subject::start(kind, options.fill, place)?;
    if !kind.is_echo() {
        eprintln!("filling {} with {} infohashes", kind.name(), options.fill);
        subject.fill(&mut Pairs::new(options.fill, PEERS), options.window)?;
    }
    Ok(subject)
}

/// The length of our reply with 50 values, which the echo shall equal.
fn equal_reply(subjects: &mut [Subject]) -> anyhow::Result<usize> {
    let Some(ours) = subjects.iter_mut().find(|subject| subject.server.kind.is_ours()) else {
        return Ok(700);
    };
    ours.server.resume();
    let reply = ours.shape(Template::get_peers(), About::Stored(FEW));
    ours.server.pause();
    Ok(reply?.1.bytes)
}

impl Subject {
    /// A server that has contacts to hand out; `fill` infohashes will be stored in it.
    pub fn start(kind: Kind, fill: usize, place: &Place) -> anyhow::Result<Self> {
        let server = Server::start(kind, place)?;
        let load = Load::new(Wire::bind(0)?, server.addr);
        let (few, many) = (Pairs::new(FEW, PEERS), Pairs::new(fill, PEERS).thinned((fill / 400).max(1)));
        let mut subject = Self { server, load, id: NodeId::ZERO, few, many, saturation: 0.0 };
        if kind.is_echo() {
            return Ok(subject);
        }
        subject.await_contacts()?;
        Ok(subject)
    }

    /// Waits until the server hands out eight contacts, or no longer gains any.
    fn await_contacts(&mut self) -> anyhow::Result<()> {
        for _ in 0..100 {
            let (id, shape) = self.shape(Template::find_node(), About::Anything)?;
            self.id = id;
            if shape.contacts >= 8 {
                return Ok(());
            }
            std::thread::sleep(Duration::from_millis(50));
        }
        eprintln!("{} hands out fewer than eight contacts", self.server.kind.name());
        Ok(())
    }

    /// Who answers such a query, and with how much.
    fn shape(&mut self, template: Template, about: About) -> anyhow::Result<(NodeId, Shape)> {
        script::probe(&mut self.load, template, about)
    }

    /// Gets tokens for all pairs and announces them.
    pub fn fill(&mut self, pairs: &mut Pairs, window: usize) -> anyhow::Result<()> {
        // Tokens may expire while a slow server is being filled: then all begins anew, with what it has by then.
        for _ in 0..3 {
            self.tokens(pairs, window)?;
            if self.finish(&mut Once::announces(pairs), window).is_ok() {
                return Ok(());
            }
        }
        anyhow::bail!("announces are not accepted")
    }

    fn tokens(&mut self, pairs: &mut Pairs, window: usize) -> anyhow::Result<()> {
        self.finish(&mut Once::tokens(pairs), window)
    }

    /// Asks until everything is answered, or a tenth has been refused.
    fn finish(&mut self, script: &mut Once<'_>, window: usize) -> anyhow::Result<()> {
        let refusals = script.left() / 10 + 100;
        script.stop_after(refusals);
        while script.left() > 0 {
            let Outcome { verified, wrong, lost, .. } = self.load.closed(script, window, Duration::from_secs(600))?;
            anyhow::ensure!(!script.is_stopped(), "{verified} good replies, {wrong} wrong, {lost} lost");
        }
        Ok(())
    }

    fn measure(&mut self, scenario: &Scenario, reply_bytes: usize, options: &Options) -> anyhow::Result<Measurement> {
        if self.server.kind.is_echo() {
            let has_values = scenario.stored > 0 && matches!(scenario.ask, Ask::GetPeers);
            let bytes = if has_values { reply_bytes } else { ECHO_REPLY };
            let mut script = Lookups::new(Template::get_peers(), About::Length(bytes), None);
            return self.load_with(&mut script, scenario, Shape { bytes, ..Shape::default() }, options);
        }
        if matches!(scenario.ask, Ask::Announce) {
            return self.measure_announces(scenario, options);
        }
        let about = match (scenario.ask, scenario.stored) {
            (Ask::Ping, _) => About::Nobody,
            (_, 0) => About::Anything,
            (_, stored) => About::Stored(stored),
        };
        let template = match scenario.ask {
            Ask::Ping => Template::ping(),
            Ask::FindNode => Template::find_node(),
            _ => Template::get_peers(),
        };
        let (id, shape) = self.shape(template.clone(), about)?;
        let expected = Expected { id, shape };
        self.load_with(&mut Lookups::new(template, about, Some(expected)), scenario, shape, options)
    }

    fn measure_announces(&mut self, scenario: &Scenario, options: &Options) -> anyhow::Result<Measurement> {
        let place = if scenario.stored == FEW { &mut self.few } else { &mut self.many };
        let mut pairs = std::mem::replace(place, Pairs::new(0, 1));
        self.tokens(&mut pairs, options.window)?;
        let (id, _) = self.shape(Template::ping(), About::Nobody)?;
        let measured = self.load_with(&mut Announces::new(&pairs, id), scenario, Shape::default(), options);
        *(if scenario.stored == FEW { &mut self.few } else { &mut self.many }) = pairs;
        measured
    }

    /// Warms up and measures.
    fn load_with(
        &mut self,
        script: &mut impl Script,
        scenario: &Scenario,
        shape: Shape,
        options: &Options,
    ) -> anyhow::Result<Measurement> {
        self.load.closed(script, options.window, Duration::from_millis(200))?;
        let before = self.server.cpu_time()?;
        let outcome = if scenario.open {
            self.load.open(script, self.saturation * 0.8, options.duration())?
        } else {
            self.load.closed(script, options.window, options.duration())?
        };
        let cpu = self.server.cpu_time()? - before;
        self.remember_saturation(scenario, &outcome);
        Ok(Measurement { server: self.server.kind, scenario: scenario.name, outcome, cpu, shape })
    }

    fn remember_saturation(&mut self, scenario: &Scenario, outcome: &Outcome) {
        if matches!(scenario.ask, Ask::GetPeers) && scenario.stored == FEW && !scenario.open {
            self.saturation = outcome.replies_per_second();
        }
    }
}
