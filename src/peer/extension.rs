//! The handshake of extensions (BEP 10): which extensions a client knows, and under which numbers it wants their messages.

use crate::engine::bencode::scan::{Malformed, Scanner};

/// The number under which clients are to send us metadata messages (BEP 9).
pub const OUR_METADATA_ID: u8 = 1;

/// What is read of a client's handshake.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Extensions {
    /// The number of its metadata extension; `None` if it has none, or has switched it off.
    pub metadata_id: Option<u8>,
    /// The size of the info dictionary in bytes, if it has that and says so.
    pub metadata_size: Option<usize>,
}

impl Extensions {
    /// Reads the dictionary of the handshake.
    ///
    /// # Errors
    /// It is no dictionary of bencode.
    pub fn decode(payload: &[u8]) -> Result<Self, Malformed> {
        let (mut id, mut size) = (None, None);
        Scanner::new(payload).dict(|scanner, key| {
            match key {
                b"m" => scanner.dict(|scanner, name| {
                    if name == b"ut_metadata" {
                        id = scanner.integer_if_any()?;
                    }
                    Ok(())
                })?,
                b"metadata_size" => size = scanner.integer_if_any()?,
                _ => {}
            }
            Ok(())
        })?;
        // 0 switches an extension off.
        let metadata_id = id.and_then(|id| u8::try_from(id).ok()).filter(|id| *id != 0);
        let metadata_size = size.and_then(|size| usize::try_from(size).ok()).filter(|size| *size != 0);
        Ok(Self { metadata_id, metadata_size })
    }
}

/// Our own handshake: we take metadata, and give none.
pub(super) fn own() -> Vec<u8> {
    format!("d1:md11:ut_metadatai{OUR_METADATA_ID}eee").into_bytes()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_metadata_extension_is_read() {
        for (text, metadata_id, metadata_size) in [
            ("d1:md11:ut_metadatai3ee13:metadata_sizei31235ee", Some(3), Some(31235)),
            // Keys in any order, other extensions, other fields (libtorrent, Transmission).
            ("d13:metadata_sizei5e1:v3:abc1:md6:ut_pexi1e11:ut_metadatai2eee", Some(2), Some(5)),
            ("d1:md11:ut_metadatai0eee", None, None),
            ("d1:md11:ut_metadatai256ee13:metadata_sizei-1ee", None, None),
            ("d1:md11:ut_metadata1:3e13:metadata_sizei0ee", None, None),
            ("d1:mdee", None, None),
            ("de", None, None),
        ] {
            let read = Extensions::decode(text.as_bytes());
            assert_eq!(read, Ok(Extensions { metadata_id, metadata_size }), "{text}");
        }
        for text in ["", "le", "d1:mi1ee", "d1:m"] {
            assert!(Extensions::decode(text.as_bytes()).is_err(), "{text}");
        }
    }

    #[test]
    fn our_own_handshake_offers_metadata_under_our_number() {
        let offered = Extensions { metadata_id: Some(OUR_METADATA_ID), metadata_size: None };
        assert_eq!(Extensions::decode(&own()), Ok(offered));
    }
}
