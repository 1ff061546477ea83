//! What everything that fetches over HTTP has in common: the cryptography of TLS, and bodies of bounded length.

use std::sync::Once;

use reqwest::Response;

/// Why a body could not be read.
#[derive(Debug)]
pub enum FetchError {
    /// The connection failed.
    Failed(reqwest::Error),
    /// It is longer than it may be.
    TooLong,
}

/// The body of an answer, unpacked, of at most `most` bytes.
///
/// # Errors
/// The connection fails, or the body is longer.
pub async fn body(mut response: Response, most: usize) -> Result<Vec<u8>, FetchError> {
    let mut body = Vec::new();
    while let Some(chunk) = response.chunk().await.map_err(FetchError::Failed)? {
        if body.len() + chunk.len() > most {
            return Err(FetchError::TooLong);
        }
        body.extend_from_slice(&chunk);
    }
    Ok(body)
}

/// Makes `ring` the cryptography of TLS in this process, once.
pub fn install_cryptography() {
    static ONCE: Once = Once::new();
    // It fails where the program that embeds this one has chosen another before.
    ONCE.call_once(|| drop(rustls::crypto::ring::default_provider().install_default()));
}
