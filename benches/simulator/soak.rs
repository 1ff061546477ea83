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

/// Runs for `hours`, prints a line for each, and fails where memory grows, a counter is stuck or an operation does not end.
pub fn run(members: usize, hours: u64, seed: u64) -> anyhow::Result<()> {
    let size = Size { members, of_each_attack: (members / 100).max(1), flood: Duration::from_secs(60) };
    let mut soak = Soak::begin(size, Link::internet(seed), seed);
    let mut after_first = None;
    println!("hour  bytes a member  found  left  contacts  peers");
    for number in 1..=hours {
        let Hour { lookups, found, left, stuck, unfinished, contacts, peers } = soak.hour();
        let bytes = resident_bytes()? / members as u64;
        println!("{number:4}  {bytes:14}  {found}/{lookups}  {left:4}  {contacts:8.1}  {peers:5.1}");
        ensure!(stuck.is_empty() && unfinished == 0, "stuck: {stuck:?}; rounds that did not end: {unfinished}");
        let first = *after_first.get_or_insert(bytes) as f64;
        ensure!(bytes as f64 <= first * (1.0 + GROWTH), "memory grew from {first} to {bytes} bytes a member");
    }
    Ok(())
}
