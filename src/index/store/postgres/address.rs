//! How the database is named: `postgres://user:password@host/name?sslmode=require`. The text that people see has no
//! password.

use std::fmt;
use std::path::PathBuf;
use std::str::FromStr;

use tokio_postgres::Config;
use tokio_postgres::config::SslMode;

/// A PostgreSQL database, and who we are there.
#[derive(Clone, PartialEq, Eq)]
pub struct Address {
    config: Box<Config>,
    password: Password,
    /// Without the password.
    text: String,
}

/// Where the password comes from.
#[derive(Clone, PartialEq, Eq)]
enum Password {
    /// From the URL, or there is none.
    Given,
    /// The first line of a file, read again for each connection.
    File(PathBuf),
    /// The value of an environment variable.
    Variable(String),
}

/// Why a text names no database. No message has a part of the text in it that may be a password.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum AddressError {
    /// Another scheme, or none.
    #[error("it does not begin with postgres://")]
    Scheme,
    /// It cannot be read.
    #[error(
        "it is not a URL of a database ({0}); in a password the characters / ? # @ % : are written as %2F %3F %23 %40 %25 %3A"
    )]
    NotAUrl(String),
    /// The password stands where it would be shown.
    #[error(
        "its password stands behind the question mark; give it as user:password@, password_file= or password_variable="
    )]
    PasswordInQuery,
    /// A password was given twice.
    #[error("it has several passwords; give one")]
    SeveralPasswords,
    /// Neither with nor without TLS.
    #[error("sslmode is disable (the usual one) or require, which checks the certificate")]
    SslMode,
}

impl FromStr for Address {
    type Err = AddressError;

    fn from_str(text: &str) -> Result<Self, AddressError> {
        let rest = text.strip_prefix("postgres://").or_else(|| text.strip_prefix("postgresql://"));
        let rest = rest.ok_or(AddressError::Scheme)?;
        let (place, query) = rest.split_once('?').unwrap_or((rest, ""));
        if place.matches('@').count() > 1 || query.contains('@') || text.contains('#') {
            return Err(AddressError::NotAUrl("it has @ ? or # in front of an @".to_owned()));
        }
        let (ours, theirs) = options(query)?;
        let theirs = if theirs.is_empty() { theirs } else { format!("?{theirs}") };
        let parsed: Result<Config, _> = format!("postgres://{place}{theirs}").parse();
        let mut config = parsed.map_err(|error| AddressError::NotAUrl(reason(&error)))?;
        match (config.get_ssl_mode(), query.contains("sslmode=")) {
            (SslMode::Disable | SslMode::Require, true) => {}
            (_, false) => drop(config.ssl_mode(SslMode::Disable)),
            _ => return Err(AddressError::SslMode),
        }
        if config.get_password().is_some() && ours != Password::Given {
            return Err(AddressError::SeveralPasswords);
        }
        let query = if query.is_empty() { String::new() } else { format!("?{query}") };
        Ok(Self { config: Box::new(config), password: ours, text: format!("postgres://{}{query}", shown(place)) })
    }
}

/// Our options, and those that the driver of the database reads.
fn options(query: &str) -> Result<(Password, String), AddressError> {
    let (mut password, mut theirs) = (Password::Given, Vec::new());
    for pair in query.split('&').filter(|pair| !pair.is_empty()) {
        let found = match pair.split_once('=') {
            Some(("password", _)) => return Err(AddressError::PasswordInQuery),
            Some(("password_file", path)) => Password::File(path.into()),
            Some(("password_variable", name)) => Password::Variable(name.to_owned()),
            _ => {
                theirs.push(pair);
                continue;
            }
        };
        if password != Password::Given {
            return Err(AddressError::SeveralPasswords);
        }
        password = found;
    }
    Ok((password, theirs.join("&")))
}

/// User, host and name, without the password.
fn shown(place: &str) -> String {
    match place.split_once('@') {
        Some((who, host)) => format!("{}@{host}", who.split(':').next().unwrap_or_default()),
        None => place.to_owned(),
    }
}

/// What the driver says, with the reason below it.
pub(super) fn reason(error: &tokio_postgres::Error) -> String {
    use std::error::Error as _;
    if let Some(said) = error.as_db_error() {
        return said.message().to_owned();
    }
    error.source().map_or_else(|| error.to_string(), |source| format!("{error}: {source}"))
}

impl Address {
    /// What the driver needs for a connection. The error says why there is no password.
    pub(super) fn config(&self) -> Result<Config, String> {
        let mut config = Config::clone(&self.config);
        config.application_name("trackerless");
        match &self.password {
            Password::Given => {}
            Password::File(path) => {
                let text = std::fs::read_to_string(path)
                    .map_err(|error| format!("password_file {}: {error}", path.display()))?;
                config.password(text.lines().next().unwrap_or_default().trim_end());
            }
            Password::Variable(name) => {
                let text = std::env::var(name).map_err(|_| format!("password_variable {name} is not set"))?;
                config.password(text);
            }
        }
        Ok(config)
    }
}

impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

impl fmt::Debug for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Address({})", self.text)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_people_see_reads_back_and_has_no_password() {
        for (text, shown) in [
            ("postgres://u:secret@h:5433/db", "postgres://u@h:5433/db"),
            ("postgresql://u@h/db?sslmode=require", "postgres://u@h/db?sslmode=require"),
            ("postgres:///db?host=/run/postgresql", "postgres:///db?host=/run/postgresql"),
            (
                "postgres://u@h/db?password_file=/p&sslmode=disable",
                "postgres://u@h/db?password_file=/p&sslmode=disable",
            ),
            ("postgres://u@h/db?password_variable=PG", "postgres://u@h/db?password_variable=PG"),
        ] {
            let address: Address = text.parse().unwrap();
            assert_eq!(address.to_string(), shown);
            assert_eq!(shown.parse::<Address>().unwrap().to_string(), shown, "it reads back");
            assert!(!format!("{address:?}").contains("secret"));
        }
        let given: Address = "postgres://u:se%40cret@h/db".parse().unwrap();
        assert_eq!(given.config().unwrap().get_password(), Some(&b"se@cret"[..]));
    }

    #[test]
    fn wrong_addresses_are_named_without_their_password() {
        for (text, word) in [
            ("mysql://u:secret@h/db", "does not begin with postgres://"),
            ("postgres://u:se@cret@h/db", "%40"),
            ("postgres://u:secret@h:port/db", "not a URL"),
            ("postgres://h/db?password=secret", "behind the question mark"),
            ("postgres://u:secret@h/db?password_file=/p", "several passwords"),
            ("postgres://h/db?password_variable=a&password_file=/p", "several passwords"),
            ("postgres://h/db?sslmode=prefer", "disable (the usual one) or require"),
            ("postgres://h/db?colour=red", "colour"),
        ] {
            let error = text.parse::<Address>().unwrap_err().to_string();
            assert!(error.contains(word) && !error.contains("secret"), "{text}: {error}");
        }
    }

    #[test]
    fn the_password_is_read_from_its_file_for_each_connection() {
        let folder = tempfile::TempDir::new().unwrap();
        let path = folder.path().join("secret");
        let address: Address = format!("postgres://u@h/db?password_file={}", path.display()).parse().unwrap();
        assert!(address.config().unwrap_err().contains("password_file"));
        std::fs::write(&path, "first\nother\n").unwrap();
        assert_eq!(address.config().unwrap().get_password(), Some(&b"first"[..]));
        std::fs::write(&path, "second").unwrap();
        assert_eq!(address.config().unwrap().get_password(), Some(&b"second"[..]));
    }
}
