//! TARGETs that are files: paths, and `file://` URLs (RFC 8089).

use std::ffi::{OsStr, OsString};
use std::fs::File;
use std::path::Path;

use super::Fault;
use crate::torrent::{Metainfo, MetainfoError};

/// Why a URL names no file of this host.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum UrlError {
    /// A URL of the web.
    #[error("it is an address on the web, which is not fetched")]
    Remote,
    /// A file of another host.
    #[error("it is a file of the host {0:?}; only files of this host can be read")]
    OtherHost(String),
    /// A percent sign without two digits after it.
    #[error("the percent sign at character {0} lacks its two hexadecimal digits")]
    Percent(usize),
}

/// Whether a file or folder has this name exactly.
pub(super) fn is_there(name: &OsStr) -> bool {
    !name.is_empty() && Path::new(name).exists()
}

/// Whether `name` is meant as a path: what exists is one, and so is what looks like one.
pub(super) fn is_named(name: &OsStr) -> bool {
    let looks_like_one = |path: &Path| path.extension().is_some_and(|end| end.eq_ignore_ascii_case("torrent"));
    is_there(name) || looks_like_one(Path::new(name))
}

/// Reads a torrent file.
pub(super) fn read(path: &OsStr) -> Result<Metainfo, Fault> {
    let path = Path::new(path);
    if path.is_dir() {
        return Err(Fault::Folder);
    }
    let file = File::open(path).map_err(MetainfoError::Unreadable)?;
    Ok(Metainfo::read(file)?)
}

/// The path in a `file:` URL; `None` for what is no URL.
pub(super) fn of_url(text: &OsStr) -> Result<Option<OsString>, UrlError> {
    let Some(text) = text.to_str() else { return Ok(None) };
    let after = |prefix: &str| text.get(..prefix.len()).is_some_and(|head| head.eq_ignore_ascii_case(prefix));
    if ["http://", "https://", "ftp://"].into_iter().any(after) {
        return Err(UrlError::Remote);
    }
    if !after("file:") {
        return Ok(None);
    }
    // RFC 8089, section 2: file:/path, file:///path, file://localhost/path.
    let rest = &text["file:".len()..];
    let path = match rest.strip_prefix("//") {
        None => rest,
        Some(rest) => {
            let (host, path) = rest.split_at(rest.find('/').unwrap_or(rest.len()));
            if !host.is_empty() && !host.eq_ignore_ascii_case("localhost") {
                return Err(UrlError::OtherHost(host.to_owned()));
            }
            path
        }
    };
    let bytes = percent_decode(path).map_err(|position| UrlError::Percent(text.len() - path.len() + position))?;
    Ok(Some(to_os_string(without_slash_before_drive(bytes))))
}

/// Resolves `%XX`; the error is the position of the percent sign that lacks its digits, counted from 1.
fn percent_decode(text: &str) -> Result<Vec<u8>, usize> {
    let bytes = text.as_bytes();
    let mut decoded = Vec::with_capacity(bytes.len());
    let mut at = 0;
    while at < bytes.len() {
        if bytes[at] == b'%' {
            let digits = bytes.get(at + 1..at + 3).and_then(|digits| hex::decode(digits).ok());
            decoded.extend(digits.ok_or(at + 1)?);
            at += 3;
        } else {
            decoded.push(bytes[at]);
            at += 1;
        }
    }
    Ok(decoded)
}

/// `/C:/folder` is `C:/folder` (RFC 8089, appendix E.2).
fn without_slash_before_drive(mut path: Vec<u8>) -> Vec<u8> {
    if cfg!(windows) && matches!(path[..], [b'/', drive, b':', ..] if drive.is_ascii_alphabetic()) {
        path.remove(0);
    }
    path
}

/// The name that these bytes are: on Unix whatever they are, elsewhere as text.
pub(super) fn to_os_string(bytes: Vec<u8>) -> OsString {
    #[cfg(unix)]
    return std::os::unix::ffi::OsStringExt::from_vec(bytes);
    #[cfg(not(unix))]
    return String::from_utf8_lossy(&bytes).into_owned().into();
}

#[cfg(test)]
mod tests {
    use super::*;

    fn path(url: &str) -> Result<Option<String>, UrlError> {
        Ok(of_url(OsStr::new(url))?.map(|path| path.to_string_lossy().into_owned()))
    }

    #[test]
    fn each_form_of_a_file_url_is_read() {
        for url in ["file:///a/b%20c.torrent", "FILE:/a/b c.torrent", "file://localhost/a/b%20c.torrent"] {
            assert_eq!(path(url), Ok(Some("/a/b c.torrent".to_owned())), "{url}");
        }
        assert_eq!(path("file:///%C3%A4%25"), Ok(Some("/\u{e4}%".to_owned())));
        assert_eq!(path("a%20b"), Ok(None), "no URL");
        assert_eq!(path("file://nas/a"), Err(UrlError::OtherHost("nas".to_owned())));
        assert_eq!(path("file:///a%2"), Err(UrlError::Percent(10)));
        assert_eq!(path("HTTPS://x/a.torrent"), Err(UrlError::Remote));
    }

    #[cfg(unix)]
    #[test]
    fn a_name_need_not_be_text() {
        use std::os::unix::ffi::OsStrExt;
        let name = of_url(OsStr::new("file:///%ff")).unwrap().unwrap();
        assert_eq!(name.as_bytes(), b"/\xff");
    }
}
