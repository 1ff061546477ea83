//! The lab: the classic experiments on distributed hash tables, redrawn with this project's node.
//!
//! One question per file. Each experiment compares systems under the same keys, the same dead nodes and the same
//! sources, writes a table (CSV) and a picture (SVG), and judges its own result against the thresholds that the
//! theory or the published figures give. The same seed gives the same bytes, on any machine and any thread count.
//!
//! Rows called `kademlia` drive the production node through the [simulator](crate::sim); the other systems live only
//! here, in [`systems`], and serve nothing but comparison.
//!
//! | question | look in |
//! |---|---|
//! | how long is a path? | [`hops`], and of ours by theory: [`model`] |
//! | what still works when many nodes die at once? | [`failures`] |
//! | which shape of a network leaves the most ways? | [`geometry`] |
//! | do lookups succeed while nodes come and go? | [`churn`] |
//! | how long does a lookup take? | [`latency`] |
//! | can a key be taken? | [`eclipse`] |
//! | how much sooner does an object arrive where nodes gather by round-trip time? | [`clusters`] |
//! | what does a node bear that is near a key that everybody asks for? | [`hotkey`] |
//! | what does it cost to keep infohashes announced? | [`announcer`] |
//! | how much does a survey of all infohashes see, and at what cost? | [`survey`] |
#![forbid(unsafe_code)]

pub mod announcer;
pub mod churn;
pub mod clusters;
pub mod eclipse;
pub mod experiment;
pub mod failures;
pub mod geometry;
pub mod hops;
pub mod hotkey;
pub mod latency;
pub mod model;
pub mod outcome;
pub mod overlay;
pub mod parallel;
pub mod plan;
pub mod plot;
pub mod statistics;
pub mod survey;
pub mod systems;
pub mod table;
pub mod throng;

pub use experiment::Experiment;
pub use outcome::{LEGEND, Outcome, Verdict};
pub use plan::Plan;
