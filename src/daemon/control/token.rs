//! The token: who can read the data folder may steer the node.

use std::fmt;
use std::fs;
use std::io;
use std::path::Path;

use sha2::{Digest, Sha256};

use crate::net::entropy;
use crate::net::whole_file::create_private;

/// Its file in the data folder.
pub const TOKEN_FILE: &str = "control.token";

/// Fewest characters of a token that was written by hand.
const SHORTEST: usize = 16;

/// Longest file that is read, in bytes.
const LONGEST: u64 = 1024;

/// The secret of a control interface. Only its hash is kept in memory.
#[derive(Clone)]
pub(super) struct Token([u8; 32]);

impl Token {
    /// The token with this text.
    pub(super) fn new(text: &str) -> Self {
        Self(Sha256::digest(text).into())
    }

    /// The token of the data folder; where there is none yet, a new one.
    ///
    /// # Errors
    /// The file cannot be read or written, or its token is too short.
    pub(super) fn of_folder(folder: &Path) -> io::Result<Self> {
        let path = folder.join(TOKEN_FILE);
        match fs::symlink_metadata(&path) {
            Ok(file) if file.is_file() && file.len() <= LONGEST => {
                let text = fs::read_to_string(&path)?;
                let text = text.trim();
                let too_short = format!("{} holds fewer than {SHORTEST} characters", path.display());
                if text.len() >= SHORTEST { Ok(Self::new(text)) } else { Err(io::Error::other(too_short)) }
            }
            Ok(_) => Err(io::Error::other(format!("{} is no file that holds a token", path.display()))),
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                let text = hex::encode(entropy::seed()?);
                io::Write::write_all(&mut create_private(&path)?, format!("{text}\n").as_bytes())?;
                Ok(Self::new(&text))
            }
            Err(error) => Err(error),
        }
    }

    /// The key with which programs search the index from other hosts. It opens nothing else, and does not tell the token.
    pub(super) fn api_key(&self) -> String {
        hex::encode(&Sha256::new().chain_update(self.0).chain_update(b"torznab").finalize()[..16])
    }

    /// Whether `text` is the token. The time taken tells nothing of how near it comes: hashes are compared, as a whole.
    pub(super) fn is(&self, text: impl AsRef<[u8]>) -> bool {
        let other: [u8; 32] = Sha256::digest(text).into();
        self.0.iter().zip(other).fold(0, |differences, (ours, theirs)| differences | (ours ^ theirs)) == 0
    }
}

/// The key with which programs search the index of the node with this data folder.
///
/// # Errors
/// The token cannot be read or written.
pub fn api_key(folder: &Path) -> io::Result<String> {
    Token::of_folder(folder).map(|token| token.api_key())
}

impl fmt::Debug for Token {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Token(hidden)")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_folder_has_one_token_that_only_its_owner_can_read() {
        let folder = tempfile::tempdir().unwrap();
        let token = Token::of_folder(folder.path()).unwrap();
        let text = fs::read_to_string(folder.path().join(TOKEN_FILE)).unwrap();
        assert!(token.is(text.trim()) && !token.is(&text) && !token.is(""));
        assert!(Token::of_folder(folder.path()).unwrap().is(text.trim()), "it stays");
        #[cfg(unix)]
        {
            use std::os::unix::fs::PermissionsExt as _;
            let mode = fs::metadata(folder.path().join(TOKEN_FILE)).unwrap().permissions().mode();
            assert_eq!(mode & 0o777, 0o600);
        }
        assert!(!format!("{token:?}").contains(text.trim()));
    }

    #[test]
    fn a_token_that_could_be_guessed_is_an_error() {
        let folder = tempfile::tempdir().unwrap();
        for text in ["", "secret", "\n"] {
            fs::write(folder.path().join(TOKEN_FILE), text).unwrap();
            assert!(Token::of_folder(folder.path()).is_err(), "{text:?}");
        }
        fs::write(folder.path().join(TOKEN_FILE), "a token that was written by hand\n").unwrap();
        assert!(Token::of_folder(folder.path()).unwrap().is("a token that was written by hand"));
    }
}
