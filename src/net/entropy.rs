//! The only place that asks the operating system for randomness.

use std::io;

use rand::TryRng as _;
use rand::rngs::SysRng;

/// A seed for a node.
///
/// # Errors
/// When the operating system has no randomness to give; nothing can be kept secret then.
pub fn seed() -> io::Result<[u8; 32]> {
    let mut seed = [0; 32];
    SysRng.try_fill_bytes(&mut seed).map_err(io::Error::other)?;
    Ok(seed)
}
