//! Why the database has not done something, and what that means for the next try.

use tokio_postgres::error::SqlState;

use super::address::reason;

/// Why an operation was not done.
#[derive(Debug)]
pub(super) enum Trouble {
    /// There is no connection any more.
    Lost(String),
    /// It collided with another program.
    Again(String),
    /// The database says no.
    Refused(String),
    /// Its disk is full, or the store has reached its bound.
    Full,
    /// There are no tables.
    Missing,
    /// The tables are of a later version.
    Newer(i64),
}

impl From<tokio_postgres::Error> for Trouble {
    fn from(error: tokio_postgres::Error) -> Self {
        let why = reason(&error);
        match error.code() {
            None => Self::Lost(why),
            Some(&SqlState::DISK_FULL) => Self::Full,
            Some(&SqlState::T_R_DEADLOCK_DETECTED | &SqlState::T_R_SERIALIZATION_FAILURE) => Self::Again(why),
            Some(
                &SqlState::ADMIN_SHUTDOWN
                | &SqlState::CRASH_SHUTDOWN
                | &SqlState::CANNOT_CONNECT_NOW
                | &SqlState::TOO_MANY_CONNECTIONS,
            ) => Self::Lost(why),
            Some(_) => Self::Refused(why),
        }
    }
}
