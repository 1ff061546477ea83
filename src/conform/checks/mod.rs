//! The checks: one file per group, one table per file.

mod abuse;
mod answers;
mod audit;
mod floods;
mod ghosts;
mod ipv6;
mod items;
mod krpc;
mod peers;
mod puts;
mod routing;
mod samples;
mod scrape;
mod security;
mod tokens;
mod votes;

use super::Check;

/// Every table, in the order in which they run.
pub(super) const ALL: [&[Check]; 16] = [
    krpc::CHECKS,
    routing::CHECKS,
    tokens::CHECKS,
    peers::CHECKS,
    ipv6::CHECKS,
    scrape::CHECKS,
    security::CHECKS,
    items::CHECKS,
    puts::CHECKS,
    samples::CHECKS,
    answers::CHECKS,
    ghosts::CHECKS,
    floods::CHECKS,
    abuse::CHECKS,
    votes::CHECKS,
    audit::CHECKS,
];

/// The rules that every datagram of the target is held to.
pub(super) const AUDIT: &[Check] = audit::CHECKS;
