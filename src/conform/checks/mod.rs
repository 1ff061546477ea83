//! The checks: one file per group, one table per file.

mod abuse;
mod ipv6;
mod items;
mod krpc;
mod peers;
mod routing;
mod samples;
mod scrape;
mod security;
mod tokens;

use super::Check;

/// Every table, in the order in which they run.
pub(super) const ALL: [&[Check]; 10] = [
    krpc::CHECKS,
    routing::CHECKS,
    tokens::CHECKS,
    peers::CHECKS,
    ipv6::CHECKS,
    scrape::CHECKS,
    security::CHECKS,
    items::CHECKS,
    samples::CHECKS,
    abuse::CHECKS,
];
