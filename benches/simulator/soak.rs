//! A long soak: hours of churn, attackers, floods, announces and lookups, with the memory of the process after each.

use std::time::Duration;

use anyhow::ensure;
use trackerless::sim::Link;

use crate::cost::resident_bytes;

#[path = "../../tests/network/soak/scenario.rs"]
mod scenario;

use scenario::{Hour, Size, Soak};

/// Most that memory may grow after the first hour, as a share of what it was then.
const GROWTH: f64 = 0.05;

/// Bytes of a contact in the passive cache, which fills for days, up to 2,048 of them: it is not counted as growth.
const CACHED_BYTES: f64 = 80.0;

/// Runs for `hours`, prints a line for each, and fails where memory grows, a counter is stuck or an operation does not end: in
/// the end, so that it is seen how that goes on.
pub fn run(members: usize, hours: u64, seed: u64) -> anyhow::Result<()> {
    let size = Size { members, of_each_attack: (members / 100).max(1), flood: Duration::from_secs(60) };
    let mut soak = Soak::begin(size, Link::internet(seed), seed);
    let (mut after_first, mut wrong) = (None, Vec::new());
    println!("hour  bytes a member  cached  found  left  contacts  peers");
    for number in 1..=hours {
        let Hour { lookups, found, left, stuck, unfinished, contacts, peers, cached } = soak.hour();
        let bytes = resident_bytes()? as f64 / members as f64;
        println!("{number:4}  {bytes:14.0}  {cached:6.0}  {found}/{lookups}  {left:4}  {contacts:8.1}  {peers:5.1}");
        if !stuck.is_empty() || unfinished > 0 {
            wrong.push(format!("hour {number}: stuck: {stuck:?}; rounds that did not end: {unfinished}"));
        }
        let (first, cached_first) = *after_first.get_or_insert((bytes, cached));
        if bytes - (cached - cached_first) * CACHED_BYTES > first * (1.0 + GROWTH) {
            wrong.push(format!("hour {number}: {bytes:.0} bytes a member, {first:.0} after the first"));
        }
    }
    ensure!(wrong.is_empty(), "{wrong:#?}");
    Ok(())
}
