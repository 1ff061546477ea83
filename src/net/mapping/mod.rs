//! Ports of this host that are opened at the router, so that strangers reach them: by PCP (RFC 6887), NAT-PMP (RFC 6886) or
//! UPnP (Internet Gateway Device).
//!
//! [`plan`] decides when which port is asked for, renewed and given back; it is pure. [`router`] speaks to the router.
//! [`mapper`] is the task that does what the plan says, and ends with every port given back.

pub mod mapper;
pub mod plan;
pub mod router;

pub use mapper::{Mapper, Outcome, Ports};
pub use plan::Wish;

/// The two kinds of ports.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Transport {
    /// TCP.
    Tcp,
    /// UDP.
    Udp,
}
