//! The network that many nodes make: simulated, one behaviour per file, results as reviewed tables.
//!
//! Every table under `snapshots/` is what the network did in virtual time from seed 1; a change of behaviour shows in
//! the diff as numbers. After a deliberate change: `INSTA_UPDATE=always cargo test --test network`, then read the diff.

mod address;
mod adversaries;
mod churn;
mod families;
mod full;
mod half_dead;
mod invariants;
mod join;
mod lies;
mod loss;
mod nat;
mod restart;
mod routers;
mod setup;
mod sleep;
mod soak;
mod split;
mod young;
