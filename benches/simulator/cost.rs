//! What the process has spent, by the kernel's own accounting.

use std::time::{Duration, Instant};

use anyhow::Context as _;
use serde::Serialize;

/// CPU and wall time of a part of a run.
#[derive(Clone, Copy, Debug, Default, Serialize)]
pub struct Cost {
    /// Seconds of user and system time.
    pub cpu_seconds: f64,
    /// Seconds on the clock.
    pub wall_seconds: f64,
}

/// Measures one part after the other.
pub struct Meter {
    cpu: Duration,
    wall: Instant,
}

impl Meter {
    pub fn start() -> anyhow::Result<Self> {
        Ok(Self { cpu: cpu_time()?, wall: Instant::now() })
    }

    /// What was spent since the last call.
    pub fn lap(&mut self) -> anyhow::Result<Cost> {
        let now = Self::start()?;
        let cost = Cost {
            cpu_seconds: (now.cpu - self.cpu).as_secs_f64(),
            wall_seconds: (now.wall - self.wall).as_secs_f64(),
        };
        *self = now;
        Ok(cost)
    }
}

/// Nanoseconds on a core, from the scheduler.
fn cpu_time() -> anyhow::Result<Duration> {
    let text = std::fs::read_to_string("/proc/self/schedstat").context("needs Linux")?;
    Ok(Duration::from_nanos(text.split(' ').next().context("schedstat has three fields")?.parse()?))
}

/// The most memory that was resident at once.
pub fn peak_bytes() -> anyhow::Result<u64> {
    status_bytes("VmHWM:")
}

/// The memory that is resident now.
pub fn resident_bytes() -> anyhow::Result<u64> {
    status_bytes("VmRSS:")
}

fn status_bytes(field: &str) -> anyhow::Result<u64> {
    let text = std::fs::read_to_string("/proc/self/status").context("needs Linux")?;
    let line = text.lines().find_map(|line| line.strip_prefix(field)).context("a line of that name")?;
    Ok(line.trim().trim_end_matches(" kB").parse::<u64>()? * 1024)
}
