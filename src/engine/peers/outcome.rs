//! What comes of an announce to the store.

/// What became of an announce.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AnnounceOutcome {
    /// A peer that was not known in this swarm.
    New,
    /// A known peer; its age starts again.
    Refreshed,
    /// A new peer in the place of an older one: a bound was met.
    Displaced,
    /// The first peer of a new swarm in the place of another swarm: the memory budget is spent.
    DisplacedSwarm,
    /// Not stored: there is no room for a new swarm so far from our id, or of this writer.
    Full,
}
