//! A black-box conformance suite for DHT nodes.
//!
//! Each [`Check`] is one claim about how a node behaves, with the BEP section or the deployed client that it rests on.
//! Checks see the target only through a [`Link`]: real sockets ([`udp`]) or a node in memory (the tests). They write
//! their datagrams themselves, byte by byte ([`template`]), and read replies with a reader of their own ([`tree`]):
//! nothing of the engine's codec takes part, so that a mistake in it cannot hide itself.
//!
//! The suite is polite: it asks one thing at a time, answers what it is asked like any node, and what it stores is
//! small and expires. Nothing is forged.
#![forbid(unsafe_code)]

mod checks;
mod conduct;
mod exchange;
mod ledger;
pub mod link;
mod probe;
mod reply;
pub mod template;
pub mod tree;
#[cfg(feature = "net")]
pub mod udp;

use std::fmt;

pub use link::{Link, Pool, Source, Wait};
pub use probe::Probe;

/// How much it matters.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Level {
    /// A BEP demands it, or other nodes fail where it is missing.
    Must,
    /// A BEP advises it, or good deployed nodes do so.
    Should,
}

impl fmt::Display for Level {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Must => "must",
            Self::Should => "should",
        })
    }
}

/// The groups, in the order in which they run.
pub const GROUPS: [&str; 16] = [
    "krpc", "routing", "tokens", "peers", "ipv6", "scrape", "security", "items", "puts", "samples", "answers",
    "ghosts", "floods", "abuse", "votes", "audit",
];

/// Why a check did not pass.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Trouble {
    /// The target does otherwise.
    Failed(String),
    /// It does otherwise, and here that is against advice, not against a demand.
    Advised(String),
    /// It cannot be told here: the target does not speak the extension, or this host lacks an address.
    Skipped(String),
}

impl Trouble {
    /// The text.
    pub(crate) fn why(self) -> String {
        match self {
            Self::Failed(why) | Self::Advised(why) | Self::Skipped(why) => why,
        }
    }
}

type Outcome = Result<(), Trouble>;

/// One claim about a node.
#[derive(Clone, Copy, Debug)]
pub struct Check {
    /// `group.name`, stable.
    pub id: &'static str,
    /// How much it matters.
    pub level: Level,
    /// The BEP section, or the deployed client, that it rests on.
    pub basis: &'static str,
    /// What the target does if it conforms.
    pub claim: &'static str,
    test: Test,
}

/// How a claim is tested. Most need a datagram and nothing else.
#[derive(Clone, Copy, Debug)]
enum Test {
    /// This query is answered with a response.
    Served(&'static [u8]),
    /// This query is answered with an error of this code.
    Refused(i64, &'static [u8]),
    /// This datagram gets no response; an error or silence will do.
    NotServed(&'static [u8]),
    /// This datagram gets nothing at all.
    Silent(&'static [u8]),
    /// The answer to this query is canonical bencoding.
    Canonical(&'static [u8]),
    /// Whatever comes of this datagram, the target goes on.
    Survives(&'static [u8]),
    /// More than one exchange.
    Run(fn(&mut Probe<'_>) -> Outcome),
    /// What this rule said of every datagram of the run.
    Audit(ledger::Judge),
}

const fn must(id: &'static str, basis: &'static str, claim: &'static str, test: Test) -> Check {
    Check { id, level: Level::Must, basis, claim, test }
}

const fn should(id: &'static str, basis: &'static str, claim: &'static str, test: Test) -> Check {
    Check { id, level: Level::Should, basis, claim, test }
}

impl Check {
    /// The group that it belongs to: what stands before the first dot of its id.
    #[must_use]
    pub fn group(&self) -> &'static str {
        self.id.split('.').next().unwrap_or_default()
    }

    /// Tries it on the target behind `probe`.
    pub fn run(&self, probe: &mut Probe<'_>) -> Report {
        probe.ledger.hold_to(checks::AUDIT);
        probe.begin();
        let outcome = match self.test {
            Test::Served(query) => probe.served(query),
            Test::Refused(code, query) => probe.refused(code, query, &[]),
            Test::NotServed(query) => probe.not_served(query),
            Test::Silent(datagram) => probe.silent(datagram),
            Test::Canonical(query) => probe.canonical(query),
            Test::Survives(datagram) => probe.survives(datagram, &[]),
            Test::Run(run) => run(probe),
            Test::Audit(_) => probe.audited(self),
        };
        let level = if matches!(outcome, Err(Trouble::Advised(_))) { Level::Should } else { self.level };
        let (verdict, why) = match outcome {
            Ok(()) => (Verdict::Pass, String::new()),
            Err(Trouble::Failed(why) | Trouble::Advised(why)) => (Verdict::Fail, why),
            Err(Trouble::Skipped(why)) => (Verdict::Skipped, why),
        };
        let exchange = if verdict == Verdict::Fail { probe.take_transcript() } else { Vec::new() };
        Report { check: *self, level, verdict, why, exchange }
    }
}

/// What came of a check.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Verdict {
    /// The target conforms.
    Pass,
    /// It does not.
    Fail,
    /// It could not be told.
    Skipped,
}

impl fmt::Display for Verdict {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Pass => "pass",
            Self::Fail => "fail",
            Self::Skipped => "skipped",
        })
    }
}

/// A check, its verdict, and the bytes behind a failure.
#[derive(Clone, Debug)]
pub struct Report {
    /// The check.
    pub check: Check,
    /// How much it matters for this target: that of the check, or less where the target does not speak the extension.
    pub level: Level,
    /// What came of it.
    pub verdict: Verdict,
    /// Why it did not pass; empty where it did.
    pub why: String,
    /// The last datagrams before a failure, oldest first.
    pub exchange: Vec<Passed>,
}

/// A datagram that went one way or the other.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Passed {
    /// From us to the target, or back.
    pub sent: bool,
    /// Which of our addresses it left or reached.
    pub source: Source,
    /// The datagram.
    pub bytes: Vec<u8>,
}

/// All checks, in the order in which they run.
pub fn checks() -> impl Iterator<Item = &'static Check> {
    checks::ALL.iter().copied().flatten()
}

#[cfg(all(test, feature = "net"))]
mod tests;
