//! Exact counts, and the table that they may not exceed.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context as _, ensure};

use crate::case::CASES;

/// Repetitions of the two runs.
const FEW: usize = 500;
const MANY: usize = 1_500;
/// Above this a case has become worse. What the compiler inlines where differs between builds of the same code: the count of
/// `serve ping` was 2,330 to 2,357 in five of them.
const TOLERANCE: f64 = 1.07;

/// Counts every case and compares with the table, or writes it.
pub fn check(update: bool) -> anyhow::Result<()> {
    let known = if update { BTreeMap::new() } else { read()? };
    let (mut worse, mut table) = (String::new(), String::new());
    for case in CASES {
        let count = (run(case.name, MANY)? - run(case.name, FEW)?) / (MANY - FEW) as u64;
        let before = known.get(case.name).copied();
        let change = before.map_or_else(String::new, |before| format!("{:+.1} %", percent(count, before)));
        println!("{:50} {count:8} instructions {change}", case.name);
        writeln!(table, "{count:8} {}", case.name)?;
        match before {
            // bendy's count is there to compare with, and wobbles with the allocator; only our own can fail.
            _ if case.name.ends_with("by bendy") => {}
            Some(before) if count as f64 > before as f64 * TOLERANCE => {
                writeln!(worse, "  {}: {before} before, {count} now ({change})", case.name)?;
            }
            None if !update => writeln!(worse, "  {}: not in the table", case.name)?,
            _ => {}
        }
    }
    if update {
        std::fs::write(path(), format!("{HEAD}{table}")).context("writing the table")?;
    }
    ensure!(worse.is_empty(), "more instructions than {} allows:\n{worse}", path().display());
    Ok(())
}

const HEAD: &str =
    "# Instructions per message, by callgrind. Written by: cargo bench --bench engine -- --instructions --update\n";

fn percent(count: u64, before: u64) -> f64 {
    (count as f64 / before as f64 - 1.0) * 100.0
}

fn path() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("benches/engine.instructions")
}

fn read() -> anyhow::Result<BTreeMap<String, u64>> {
    let text = std::fs::read_to_string(path()).context("reading the table; --update writes it")?;
    let rows = text.lines().filter(|line| !line.starts_with('#'));
    rows.map(|row| {
        let (count, name) = row.trim_start().split_once(' ').context("a row is a count and a name")?;
        Ok((name.to_owned(), count.parse()?))
    })
    .collect()
}

/// The instructions of a whole process.
fn run(case: &str, times: usize) -> anyhow::Result<u64> {
    let output = Command::new("valgrind")
        .args(["--tool=callgrind", "--callgrind-out-file=/dev/null"])
        .arg(std::env::current_exe()?)
        .args(["--case", case, "--times", &times.to_string()])
        .output()
        .context("valgrind is needed: apt-get install valgrind")?;
    let text = String::from_utf8_lossy(&output.stderr);
    ensure!(output.status.success(), "{case}: {text}");
    let collected = text.lines().find_map(|line| line.split_once("Collected : "));
    Ok(collected.with_context(|| format!("no count in: {text}"))?.1.trim().parse()?)
}
