//! What must hold for the files that a restart reads, whatever stands in them.

use trackerless::net::persist::State;
use trackerless::tracker::saved::Saved;

/// Seconds since 1970 at which the files are read.
const NOW: u64 = 1_800_000_000;

/// The first byte chooses the reader. The checksum is mended, so that what comes after it is reached; what was read is
/// written and read again as the same.
pub fn state(bytes: &[u8]) {
    let Some((choice, input)) = bytes.split_first() else { return };
    match choice % 4 {
        0 => node_state(input),
        1 => node_state(&with_checksum(input)),
        2 => clients(input),
        _ => clients(&with_end(input)),
    }
}

fn node_state(input: &[u8]) {
    let Ok(state) = State::decode(input, NOW) else { return };
    // Times are written in whole seconds, and a moment later they are the same.
    let written = state.encode();
    let again = State::decode(&written, NOW).expect("what we write can be read");
    assert_eq!(again.nodes.len(), state.nodes.len());
    assert_eq!(again.encode(), State::decode(&again.encode(), NOW).expect("twice").encode());
}

fn clients(input: &[u8]) {
    let Ok(saved) = Saved::decode(input) else { return };
    assert_eq!(Saved::decode(&saved.encode()), Ok(saved));
}

/// The input as the rest of a state file whose checksum fits.
fn with_checksum(input: &[u8]) -> Vec<u8> {
    let mut bytes = b"d8:checksum4:".to_vec();
    bytes.extend(crc32c::crc32c(input).to_be_bytes());
    bytes.extend(input);
    bytes
}

/// The input as the torrents of a file of clients.
fn with_end(input: &[u8]) -> Vec<u8> {
    let mut bytes = b"trackerless gateway 1\n".to_vec();
    bytes.extend(input);
    bytes.extend(crc32c::crc32c(&bytes).to_be_bytes());
    bytes
}
