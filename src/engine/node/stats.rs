//! Counters: whatever a remote does that is not an error of ours ends here.

/// Counts since the node was made.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Stats {
    /// Datagrams received.
    pub received: u64,
    /// Bytes received.
    pub received_bytes: u64,
    /// Datagrams sent.
    pub sent: u64,
    /// Bytes sent.
    pub sent_bytes: u64,
    /// Datagrams that were no message.
    pub malformed: u64,
    /// Messages with unsorted or duplicate keys, or trailing bytes.
    pub irregular: u64,
    /// Datagrams from addresses that cannot be answered, or larger than any message.
    pub unanswerable: u64,
    /// Queries served, by method.
    pub pings: u64,
    /// See [`pings`](Self::pings).
    pub find_nodes: u64,
    /// See [`pings`](Self::pings).
    pub get_peers: u64,
    /// See [`pings`](Self::pings).
    pub announces: u64,
    /// See [`pings`](Self::pings): those of `get_peers` that wanted filters (BEP 33).
    pub scrapes: u64,
    /// See [`pings`](Self::pings).
    pub samples: u64,
    /// See [`pings`](Self::pings).
    pub gets: u64,
    /// See [`pings`](Self::pings).
    pub puts: u64,
    /// Items that expired.
    pub expired_items: u64,
    /// Announces that were not stored: no room, or an address that has no place in this network.
    pub announces_not_stored: u64,
    /// Peers that gave way to newer ones: their swarm, or their network in it, has as many as it may have.
    pub displaced_peers: u64,
    /// Items that were not stored: no room, or none for their network.
    pub items_not_stored: u64,
    /// Contacts that answered and found no place in the table because of their network.
    pub entries_refused: u64,
    /// Contacts heard of that were not verified: too many wait, or too many of their network, or too many asked us first.
    pub newcomers_dropped: u64,
    /// Answers that did not count in their lookup: given under another id, or their network has its share.
    pub answers_not_counted: u64,
    /// Peers that lookups heard of and did not report, because they had reported as many as any client needs.
    pub peers_not_reported: u64,
    /// Lookups that ended because they had asked as often as they may.
    pub lookups_cut_short: u64,
    /// Keys that nodes crowded around, so that their whole region was searched.
    pub keys_under_alarm: u64,
    /// Searches of the region of a key, because of an alarm or because the closest nodes had nothing.
    pub regions_searched: u64,
    /// Votes on our address that did not count.
    pub votes_refused: u64,
    /// Operations that were refused because too many ran.
    pub operations_refused: u64,
    /// Queries that were not sent because too many awaited their response.
    pub queries_not_sent: u64,
    /// Swarms that gave way to others because the memory for peers is spent.
    pub displaced_swarms: u64,
    /// Queries answered with an error.
    pub refused: u64,
    /// Announces and puts with a token that was not valid.
    pub bad_tokens: u64,
    /// Queries dropped because their source or all sources together had spent their budget.
    pub limited: u64,
    /// Of those, the ones whose network (a /24 or /48) had spent its bytes of replies.
    pub limited_by_network: u64,
    /// Of those, the ones that came when the bytes of replies to all networks were spent.
    pub limited_by_all: u64,
    /// Of those, the ones for the peers of an infohash that is asked for too often.
    pub limited_by_key: u64,
    /// Questions for the peers of an infohash that is hot, answered with peers alone.
    pub hot_answers: u64,
    /// Of the questions for an infohash that is hot, those that were answered without a token.
    pub tokens_withheld: u64,
    /// Queries answered briefly, because bytes of replies ran low and their source has not shown that it receives.
    pub short_replies: u64,
    /// Queries dropped because we are read-only, or they carry our own id.
    pub ignored: u64,
    /// Queries sent.
    pub queries: u64,
    /// Queries put off by the pace of new destinations.
    pub paced: u64,
    /// Responses to queries of ours.
    pub responses: u64,
    /// Errors in answer to queries of ours.
    pub errors: u64,
    /// Responses and errors to nothing that we asked, or too late.
    pub unmatched: u64,
    /// Queries that were never answered.
    pub timeouts: u64,
    /// Endpoints that answered with another id than before.
    pub id_changes: u64,
    /// Peers that expired.
    pub expired_peers: u64,
}
