//! The doctor: is it working, and if not, what is the one cause and the one cure?
//!
//! What is known is gathered first ([`gather`]), as plain data ([`Evidence`]); the [`checks`] read nothing else, so that
//! each can be tried on any host that can be described. What a check finds is a [`Finding`] of a [`Kind`]; a finding
//! that follows from another one is told under it. What cannot be known here is said to be unknown.

pub mod bundle;
pub mod checks;
pub mod evidence;
pub mod gather;
mod host;
pub mod kinds;
pub mod record;
mod trial;

pub use self::evidence::Evidence;
pub use self::kinds::{KINDS, Kind, Severity};

/// Something that was found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Finding {
    /// What kind of finding it is.
    pub kind: &'static Kind,
    /// What it is concluded from: numbers, addresses, paths.
    pub evidence: String,
}

impl Finding {
    /// The finding of another kind that this one follows from, among `all`.
    fn cause<'a>(&self, all: &'a [Self]) -> Option<&'a Self> {
        self.kind.follows_from.iter().find_map(|code| all.iter().find(|other| other.kind.code == *code))
    }
}

/// A finding with those that follow from it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Case {
    /// The cause of all.
    pub finding: Finding,
    /// What follows from it.
    pub consequences: Vec<Finding>,
}

impl Case {
    /// How bad it is with all that follows from it.
    #[must_use]
    pub fn severity(&self) -> Severity {
        let followed = self.consequences.iter().map(|finding| finding.kind.severity);
        followed.fold(self.finding.kind.severity, Severity::max)
    }
}

/// What could not be examined, and why.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Unknown {
    /// The question.
    pub what: &'static str,
    /// Why it has no answer.
    pub why: String,
}

/// The result of an examination.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Report {
    /// What was found, the gravest first.
    pub cases: Vec<Case>,
    /// What was examined and is well, in a few words each.
    pub well: Vec<String>,
    /// What has no answer.
    pub unknown: Vec<Unknown>,
}

/// How the node is, in one word.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// Nothing is wrong.
    Well,
    /// It works, but less well than it could.
    Impaired,
    /// Something is wrong.
    Wrong,
    /// There is no network at all.
    NoNetwork,
}

impl Report {
    /// The verdict.
    #[must_use]
    pub fn verdict(&self) -> Verdict {
        let Some(gravest) = self.cases.first() else { return Verdict::Well };
        match gravest.severity() {
            _ if self.cases.iter().any(|case| case.finding.kind.code == kinds::NO_NETWORK.code) => Verdict::NoNetwork,
            Severity::Wrong => Verdict::Wrong,
            Severity::Warning => Verdict::Impaired,
            Severity::Note => Verdict::Well,
        }
    }

    /// The verdict as one line.
    #[must_use]
    pub fn headline(&self) -> String {
        let what = self.cases.first().map_or("", |case| case.finding.kind.what);
        match self.verdict() {
            Verdict::Well => "well: nothing is wrong here".to_owned(),
            Verdict::Impaired => format!("works, but not as well as it could: {what}"),
            Verdict::Wrong => format!("does not work as it should: {what}"),
            Verdict::NoNetwork => format!("no network: {}", kinds::NO_NETWORK.what),
        }
    }
}

/// Examines what is known.
#[must_use]
pub fn examine(evidence: &Evidence) -> Report {
    let mut found = checks::Found::default();
    for check in checks::ALL {
        check(evidence, &mut found);
    }
    let checks::Found { findings, well, unknown } = found;
    let mut cases: Vec<Case> = Vec::new();
    for finding in findings.iter().filter(|finding| finding.cause(&findings).is_none()) {
        cases.push(Case { finding: finding.clone(), consequences: consequences(finding, &findings) });
    }
    // Stable: checks of one severity keep the order in which people ask.
    cases.sort_by_key(|case| std::cmp::Reverse(case.severity()));
    Report { cases, well, unknown }
}

/// All findings that lead back to `cause`, whether directly or through others.
fn consequences(cause: &Finding, all: &[Finding]) -> Vec<Finding> {
    let leads_back = |finding: &&Finding| {
        let mut at = *finding;
        // A chain is shorter than the list of kinds, whatever the table of causes says.
        for _ in KINDS {
            match at.cause(all) {
                Some(next) if next == cause => return true,
                Some(next) => at = next,
                None => return false,
            }
        }
        false
    };
    all.iter().filter(leads_back).cloned().collect()
}

#[cfg(test)]
mod tests;
