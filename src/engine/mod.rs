//! The protocol, whole and alone.
#![forbid(unsafe_code)]

pub mod bencode;
pub mod bloom;
pub mod contact;
pub mod external;
pub mod guard;
pub mod id;
pub mod items;
pub mod krpc;
pub mod limits;
pub mod lookup;
pub mod node;
pub mod peers;
pub mod random;
pub mod routing;
pub mod rtt;
pub mod size;
pub mod time;
pub mod tokens;
pub mod transactions;
