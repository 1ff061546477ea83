//! The contacts that we know: the routing table (BEP 5, Routing Table) and the passive cache beside it.
//!
//! Neither ever sends. The table holds only contacts that answered a query of ours; every change returns an outcome
//! that says what happened and why.

mod bucket;
pub mod cache;
pub mod entry;
pub mod table;

pub use entry::{Entry, Health};
pub use table::{EntryRefusal, Outcome, Table};
