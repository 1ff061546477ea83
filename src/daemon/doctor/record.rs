//! A report as programs read it: of `doctor --json`, of `/api/v1/health`, and on the page.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::{Case, Finding, Report, Severity, Unknown, Verdict};

/// A report.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct ReportRecord {
    /// `well`, `impaired`, `wrong` or `no-network`.
    pub verdict: String,
    /// The verdict as one line.
    pub headline: String,
    /// What was found, the gravest first.
    pub findings: Vec<CaseRecord>,
    /// What was examined and is well.
    pub well: Vec<String>,
    /// What has no answer.
    pub unknown: Vec<UnknownRecord>,
}

/// A finding with those that follow from it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct CaseRecord {
    /// The cause of all.
    pub finding: FindingRecord,
    /// What follows from it.
    pub consequences: Vec<FindingRecord>,
}

/// One finding.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct FindingRecord {
    /// Its name in docs/DOCTOR.md.
    pub code: String,
    /// `note`, `warning` or `wrong`.
    pub severity: String,
    /// What is so.
    pub what: String,
    /// What it is concluded from.
    pub evidence: String,
    /// Why that is so.
    pub cause: String,
    /// What to do about it.
    pub cure: String,
    /// How it is known.
    pub known_by: String,
}

/// What could not be examined.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct UnknownRecord {
    /// The question.
    pub what: String,
    /// Why it has no answer.
    pub why: String,
}

impl Severity {
    /// Its name.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Note => "note",
            Self::Warning => "warning",
            Self::Wrong => "wrong",
        }
    }
}

impl Verdict {
    /// Its name.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Well => "well",
            Self::Impaired => "impaired",
            Self::Wrong => "wrong",
            Self::NoNetwork => "no-network",
        }
    }
}

impl From<&Finding> for FindingRecord {
    fn from(Finding { kind, evidence }: &Finding) -> Self {
        Self {
            code: kind.code.to_owned(),
            severity: kind.severity.name().to_owned(),
            what: kind.what.to_owned(),
            evidence: evidence.clone(),
            cause: kind.cause.to_owned(),
            cure: kind.cure.to_owned(),
            known_by: kind.known_by.to_owned(),
        }
    }
}

impl From<&Case> for CaseRecord {
    fn from(Case { finding, consequences }: &Case) -> Self {
        Self { finding: finding.into(), consequences: consequences.iter().map(FindingRecord::from).collect() }
    }
}

impl From<&Report> for ReportRecord {
    fn from(report: &Report) -> Self {
        let unknown = |Unknown { what, why }: &Unknown| UnknownRecord { what: (*what).to_owned(), why: why.clone() };
        Self {
            verdict: report.verdict().name().to_owned(),
            headline: report.headline(),
            findings: report.cases.iter().map(CaseRecord::from).collect(),
            well: report.well.clone(),
            unknown: report.unknown.iter().map(unknown).collect(),
        }
    }
}
