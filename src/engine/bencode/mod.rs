//! Bencoding (BEP 3), by one policy: liberal in, strict out.
//!
//! * **Datagrams in**: [`scan`] reads what deployed nodes really send. Keys out of order, duplicate keys (the first
//!   one counts) and bytes after the message are accepted and noted; depth, number of tokens and lengths are bounded;
//!   nothing is copied and nothing allocated. Whatever `bendy` accepts within those bounds, the scanner accepts with
//!   equal fields: a property test and a fuzz target hold it to that.
//! * **Datagrams out**: [`mod@write`] appends canonical bencode to a buffer that is used again; tests compare it with
//!   `bendy` byte for byte.
//! * **Everything else** whose canonical form matters (torrent files, the state file) is read and written by `bendy`
//!   itself, which rejects any other form.

pub mod scan;
pub mod write;
