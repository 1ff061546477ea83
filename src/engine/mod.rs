//! The protocol, whole and alone: no socket, no clock, no task, no ambient randomness. The same code runs under tokio,
//! under the simulator and under the fuzzer.
//!
//! # Words
//!
//! A *node* is a participant of the DHT; ours is [`node::Node`]. A *contact* is the id and address of another node, a
//! *peer* a BitTorrent client in a swarm, a *swarm* the peers of an infohash. A *query* and its *response* are one
//! KRPC message each; a *transaction* is a query that awaits its response; a *lookup* is many transactions towards a
//! target; a *token* is permission to write.
//!
//! # Where to read
//!
//! Begin with [`node`]: it composes everything else, and its documentation has the loop that drives it. The parts do
//! not know each other; each can be read alone.
//!
//! | part | what it does | obeys |
//! |---|---|---|
//! | [`id`], [`contact`], [`compliance`], [`time`], [`random`], [`keyed_hash`], [`presence`], [`owner`], [`rules`], [`limits`] | the vocabulary, and every capacity with its reason | BEP 5, 32, 42 |
//! | [`bencode`], [`krpc`] | bytes to messages and back: liberal in, strict out | BEP 3, 5, 32, 42, 43 |
//! | [`routing`] | the contacts that we know | BEP 5, 42 |
//! | [`lookup`], [`size`], [`rtt`] | which node to ask next, how large the network is, how fast it answers | BEP 5 |
//! | [`transactions`], [`tokens`] | what we asked, what we permitted | BEP 5 |
//! | [`peers`], [`items`], [`bloom`] | what others store with us, and how it is counted | BEP 5, 33, 44, 51 |
//! | [`budgets`], [`external`] | how much we answer and send, where others see us | BEP 42 |
#![forbid(unsafe_code)]

pub mod bencode;
pub mod bloom;
pub mod budgets;
pub mod compliance;
pub mod contact;
pub mod external;
pub mod id;
pub mod items;
pub mod keyed_hash;
pub mod krpc;
pub mod limits;
pub mod lookup;
pub mod node;
pub mod owner;
pub mod peers;
pub mod presence;
pub mod random;
pub mod routing;
pub mod rtt;
pub mod rules;
pub mod size;
pub mod time;
pub mod tokens;
pub mod transactions;
