//! What an experiment found: a table, a picture, and verdicts.

use std::fmt;

use super::table::Table;

/// What an experiment found.
#[derive(Clone, Debug)]
pub struct Outcome {
    /// The measured table.
    pub table: Table,
    /// The picture, as SVG.
    pub picture: String,
    /// Whether the result is what it must be, one by one.
    pub verdicts: Vec<Verdict>,
    /// Further tables, each with what its file is called beside the name of the experiment.
    pub more: Vec<(&'static str, Table)>,
}

impl Outcome {
    /// Whether everything holds, but for what is missed for a known cause.
    #[must_use]
    pub fn holds(&self) -> bool {
        self.verdicts.iter().all(|verdict| verdict.holds || verdict.explained)
    }
}

/// Whether one thing is as it must be.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Verdict {
    /// Whether it is.
    pub holds: bool,
    /// It is not, for a cause that the text gives with a measurement: a known miss, no news.
    pub explained: bool,
    /// What must be, and what was measured.
    pub text: String,
}

impl Verdict {
    /// A judgement with its reason.
    #[must_use]
    pub fn new(holds: bool, text: impl Into<String>) -> Self {
        Self { holds, explained: false, text: text.into() }
    }

    /// The same; if it does not hold, for this cause, which was measured.
    #[must_use]
    pub fn or_missed(self, because: impl fmt::Display) -> Self {
        if self.holds {
            return self;
        }
        Self { holds: false, explained: true, text: format!("{}; because {because}", self.text) }
    }

    /// Whether `measured` lies within `tolerance` of `expected`.
    #[must_use]
    pub fn near(what: &str, measured: f64, expected: f64, tolerance: f64) -> Self {
        let holds = (measured - expected).abs() <= tolerance;
        Self::new(holds, format!("{what}: {measured:.3}, must be {expected:.3} +- {tolerance:.3}"))
    }

    /// Whether `measured` is at most `limit`.
    #[must_use]
    pub fn at_most(what: &str, measured: f64, limit: f64) -> Self {
        Self::new(measured <= limit, format!("{what}: {measured:.3}, must be at most {limit:.3}"))
    }
}

/// What the words before a verdict mean.
pub const LEGEND: &str = "holds: within its limit. MISSED: outside, for the known cause that is given; no failure. FAILS: outside; \
                          the command ends with 1.";

impl fmt::Display for Verdict {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let word = match (self.holds, self.explained) {
            (true, _) => "holds",
            (false, true) => "MISSED",
            (false, false) => "FAILS",
        };
        write!(f, "{word} {}", self.text)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_known_miss_is_shown_and_is_no_failure() {
        let missed = Verdict::near("slope", 0.3, 0.2, 0.05).or_missed("the line is bent");
        assert_eq!(missed.to_string(), "MISSED slope: 0.300, must be 0.200 +- 0.050; because the line is bent");
        let kept = Verdict::near("slope", 0.2, 0.2, 0.05).or_missed("the line is bent");
        assert_eq!(kept.to_string(), "holds slope: 0.200, must be 0.200 +- 0.050");
        let outcome =
            |verdicts| Outcome { table: Table::new(&["n"]), picture: String::new(), verdicts, more: Vec::new() };
        assert!(outcome(vec![missed.clone(), kept]).holds());
        assert!(!outcome(vec![missed, Verdict::new(false, "another")]).holds());
    }
}
