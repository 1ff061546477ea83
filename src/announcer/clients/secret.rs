//! Passwords: texts that no log, error or output shows.

use std::fmt;

/// A password or another secret. Its text can be had only by [`Secret::expose`].
///
/// ```
/// use trackerless::announcer::clients::Secret;
///
/// let secret = Secret::new("hunter2");
/// assert_eq!(format!("{secret} {secret:?}"), "(hidden) Secret((hidden))");
/// assert_eq!(secret.expose(), "hunter2");
/// ```
#[derive(Clone, PartialEq, Eq)]
pub struct Secret(Box<str>);

/// What is shown in place of every secret.
const HIDDEN: &str = "(hidden)";

impl Secret {
    /// Hides `text`.
    #[must_use]
    pub fn new(text: &str) -> Self {
        Self(text.into())
    }

    /// The text: to be sent to the client that asks for it, and nowhere else.
    #[must_use]
    pub fn expose(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Secret({HIDDEN})")
    }
}

impl fmt::Display for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(HIDDEN)
    }
}

/// `text` without what may be a password in a URL, or in what was meant to be one: whatever stands between the first `://`, if
/// there is one, and the last `@` is left out, except the name of a user.
#[must_use]
pub fn without_password(text: &str) -> String {
    let inside = || {
        let begin = text.find("://").map_or(0, |scheme| scheme + "://".len());
        let end = text.rfind('@').filter(|end| *end >= begin)?;
        let user_ends = text[begin..end].find(':')?;
        Some((begin + user_ends, end))
    };
    inside().map_or_else(|| text.to_owned(), |(from, to)| format!("{}:{HIDDEN}{}", &text[..from], &text[to..]))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_password_is_left_in_a_url() {
        for (text, shown) in [
            ("qbittorrent+http://admin:pass@127.0.0.1:8080", "qbittorrent+http://admin:(hidden)@127.0.0.1:8080"),
            ("aria2+http://:pass@h:1/jsonrpc", "aria2+http://:(hidden)@h:1/jsonrpc"),
            ("x://u:p@ss/w?o#r:d@h, y://u:q@h", "x://u:(hidden)@h"),
            ("x://u@h:1/a", "x://u@h:1/a"),
            ("x://h:1/a", "x://h:1/a"),
            ("a@b://c", "a@b://c"),
            ("postgres//u:p@h", "postgres//u:(hidden)@h"),
            ("u@h:1", "u@h:1"),
            ("", ""),
        ] {
            assert_eq!(without_password(text), shown);
        }
    }
}
