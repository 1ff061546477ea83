//! The lab: the classic experiments on distributed hash tables, redrawn with this project's node.
//!
//! One question per file. Each experiment compares systems under the same keys, the same dead nodes and the same
//! sources, writes a table (CSV) and a picture (SVG), and judges its own result against the thresholds that the
//! theory or the published figures give. The same seed gives the same bytes, on any machine and any thread count.
//!
//! Rows called `kademlia` drive the production node through the [simulator](crate::sim); the other systems live only
//! here, in [`systems`], and serve nothing but comparison.
#![forbid(unsafe_code)]

pub mod overlay;
pub mod systems;
