//! How much a lookup spends to be fast: one mechanism, and the numbers that steer it.

use std::fmt;
use std::str::FromStr;

/// The numbers that steer a lookup.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Effort {
    /// Its name in configurations.
    pub name: &'static str,
    /// Queries outstanding at once. Only those to contacts nearer than the closest that has answered are counted: each answer
    /// that comes nearer frees the slots of those that it overtook.
    pub alpha: usize,
    /// Queries outstanding at once in the end-game.
    pub end_game_alpha: usize,
    /// Share of our round trips, in hundredths, after which a contact whose round trip is not known counts as slow.
    pub slow_percent: u32,
}

impl Effort {
    /// Few packets: for links that are narrow, and routers that are weak.
    pub const GENTLE: Self = Self { name: "gentle", alpha: 3, end_game_alpha: 6, slow_percent: 75 };
    /// As fast as it gets for the packets of a textbook lookup.
    pub const NORMAL: Self = Self { name: "normal", alpha: 7, end_game_alpha: 24, slow_percent: 50 };
    /// A little faster for more packets.
    pub const FAST: Self = Self { name: "fast", alpha: 10, end_game_alpha: 32, slow_percent: 50 };
    /// All of them.
    pub const ALL: [Self; 3] = [Self::GENTLE, Self::NORMAL, Self::FAST];
}

impl fmt::Display for Effort {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name)
    }
}

impl FromStr for Effort {
    type Err = UnknownEffort;

    fn from_str(name: &str) -> Result<Self, UnknownEffort> {
        Self::ALL.into_iter().find(|effort| effort.name == name).ok_or_else(|| UnknownEffort(name.into()))
    }
}

/// No effort has this name.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("`{0}` is no way to look up; there are gentle, normal and fast")]
pub struct UnknownEffort(String);
