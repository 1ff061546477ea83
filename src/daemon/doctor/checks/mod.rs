//! The checks, in the order in which people ask: does it run, can it listen, can it send, does the network answer, can
//! others reach it.

mod folder;
mod network;
mod route;
mod running;
mod socket;
mod system;

pub use self::network::FEW_NODES;

use super::evidence::Evidence;
use super::kinds::Kind;
use super::{Finding, Unknown};

/// What the checks have found so far.
#[derive(Debug, Default)]
pub struct Found {
    /// What was found.
    pub findings: Vec<Finding>,
    /// What is well.
    pub well: Vec<String>,
    /// What has no answer.
    pub unknown: Vec<Unknown>,
}

impl Found {
    /// Of one kind there is one finding: more of it is more evidence.
    fn finding(&mut self, kind: &'static Kind, evidence: impl Into<String>) {
        let evidence = evidence.into();
        match self.findings.iter_mut().find(|finding| finding.kind == kind) {
            Some(finding) => finding.evidence += &format!("; {evidence}"),
            None => self.findings.push(Finding { kind, evidence }),
        }
    }

    fn well(&mut self, what: impl Into<String>) {
        self.well.push(what.into());
    }

    fn unknown(&mut self, what: &'static str, why: impl Into<String>) {
        self.unknown.push(Unknown { what, why: why.into() });
    }
}

/// All checks.
pub const ALL: [fn(&Evidence, &mut Found); 6] =
    [folder::check, socket::check, route::check, network::check, running::check, system::check];
