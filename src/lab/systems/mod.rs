//! The systems that the lab compares, one file each. Every file opens with the rules that its system obeys and where
//! they come from.

use std::fmt;
use std::str::FromStr;

use super::overlay::Overlay;
use crate::engine::id::Id;

pub mod bep5;
pub mod can;
pub mod chord;
pub mod coral;
pub mod kademlia;
pub mod pastry;
pub mod ring;
pub mod tapestry;
pub mod viceroy;

/// A system, as a row of a table names it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum System {
    /// Chord with five copies, as in the lecture.
    Chord,
    /// Chord with six copies: the owner and five replicas, as DHash keeps them.
    Chord6,
    /// This project's node.
    Kademlia,
    /// This project's node, with five copies.
    Kademlia5,
    /// The textbook reading of BEP 5.
    Bep5,
    /// Pastry.
    Pastry,
    /// Tapestry.
    Tapestry,
    /// CAN in two dimensions.
    Can2,
    /// CAN in four dimensions.
    Can4,
    /// Viceroy.
    Viceroy,
}

impl System {
    /// All of them.
    pub const ALL: [Self; 10] = [
        Self::Chord,
        Self::Chord6,
        Self::Kademlia,
        Self::Kademlia5,
        Self::Bep5,
        Self::Pastry,
        Self::Tapestry,
        Self::Can2,
        Self::Can4,
        Self::Viceroy,
    ];

    /// Its name in commands, tables and pictures.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Chord => "chord",
            Self::Chord6 => "chord6",
            Self::Kademlia => "kademlia",
            Self::Kademlia5 => "kademlia5",
            Self::Bep5 => "bep5",
            Self::Pastry => "pastry",
            Self::Tapestry => "tapestry",
            Self::Can2 => "can2",
            Self::Can4 => "can4",
            Self::Viceroy => "viceroy",
        }
    }

    /// How many copies of a value it keeps in the failure experiment.
    #[must_use]
    pub const fn copies(self) -> usize {
        match self {
            Self::Kademlia | Self::Bep5 => 8,
            Self::Chord6 => 6,
            _ => 5,
        }
    }

    /// Whether it is the production node and not a model.
    #[must_use]
    pub const fn is_ours(self) -> bool {
        matches!(self, Self::Kademlia | Self::Kademlia5)
    }

    /// About how many seconds a core works on a network of `n` nodes until it has settled. By far the most goes into the two
    /// whose messages are simulated; fitted to 1.4, 8.6, 52 and 259 s (ours) and .06, .4, 3.5 and 32 s (Chord) for 256 to
    /// 16,384 nodes.
    #[must_use]
    pub fn seconds(self, n: usize) -> f64 {
        let n = n as f64;
        match self {
            Self::Kademlia | Self::Kademlia5 => 1.75e-3 * n * (libm::log2(n) - 5.0).max(0.5),
            Self::Chord | Self::Chord6 => 1.5e-5 * n * libm::sqrt(n),
            _ => 1e-5 * n,
        }
    }

    /// The network of these nodes; `None` for the project's own node, which is no table but a program.
    #[must_use]
    pub fn build(self, ids: &[Id], seed: u64) -> Option<Box<dyn Overlay>> {
        Some(match self {
            Self::Chord | Self::Chord6 => Box::new(chord::Chord::settle(ids, seed)),
            Self::Kademlia | Self::Kademlia5 => return None,
            Self::Bep5 => Box::new(bep5::Bep5::new(ids, seed)),
            Self::Pastry => Box::new(pastry::Pastry::new(ids, seed)),
            Self::Tapestry => Box::new(tapestry::Tapestry::new(ids, seed)),
            Self::Can2 => Box::new(can::Can::<2>::new(ids, seed)),
            Self::Can4 => Box::new(can::Can::<4>::new(ids, seed)),
            Self::Viceroy => Box::new(viceroy::Viceroy::new(ids, seed)),
        })
    }
}

impl fmt::Display for System {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// No system has this name.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("no system is called `{0}`; there are {names}", names = System::ALL.map(System::name).join(", "))]
pub struct UnknownSystem(String);

impl FromStr for System {
    type Err = UnknownSystem;
    fn from_str(name: &str) -> Result<Self, UnknownSystem> {
        Self::ALL.into_iter().find(|each| each.name() == name).ok_or_else(|| UnknownSystem(name.into()))
    }
}
