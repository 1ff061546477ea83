//! One connection to the database: made when it is needed, made again when it is lost, and never waited for without end.
//!
//! The store is called from threads that may wait; this file has the small runtime on which they do. A database that cannot be
//! reached is tried at growing intervals; whoever asks in between is told at once why it failed.

use std::time::Duration;

use tokio::runtime::{Builder, Runtime};
use tokio_postgres::{Client, Config};

use super::address::Address;
use super::retry::Retry;
use super::tls::Moving;
use super::trouble::Trouble;
use super::{schema, tls};
use crate::index::store::{Open, StoreError};
use crate::net::clock::Clock;

/// Longest time for a connection to be made.
const CONNECT_WITHIN: Duration = Duration::from_secs(5);
/// Longest time for one operation.
const WORK_WITHIN: Duration = Duration::from_secs(30);
/// Longest time for tables to be made of those of a version before: an index of millions of rows takes minutes.
const MIGRATED_WITHIN: Duration = Duration::from_secs(3600);
/// Times that an operation is tried which collided with that of another program.
const MOST_TRIES: usize = 3;

/// A connection, or the way to one.
pub(super) struct Session {
    address: Address,
    open: Open,
    clock: Clock,
    retry: Retry,
    /// Longest time for one operation.
    pub(super) within: Duration,
    /// Taken when the session ends.
    runtime: Option<Runtime>,
    live: Option<Live>,
}

/// A connection that is open, and what moves its bytes.
struct Live {
    client: Client,
    moving: Moving,
}

impl std::fmt::Debug for Session {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Session").field("address", &self.address).finish_non_exhaustive()
    }
}

impl Session {
    pub(super) fn new(address: Address, open: Open) -> Self {
        Self {
            address,
            open,
            clock: Clock::new(),
            retry: Retry::default(),
            within: WORK_WITHIN,
            runtime: None,
            live: None,
        }
    }

    /// Does something that may be done twice: over a connection that was lost meanwhile it is tried once more over a new one.
    pub(super) fn run<T>(&mut self, work: impl AsyncFn(&mut Client) -> Result<T, Trouble>) -> Result<T, StoreError> {
        for _ in 1..MOST_TRIES {
            let was_open = self.live.is_some();
            match self.once(&work) {
                Err(Trouble::Lost(_)) if was_open => {}
                Err(Trouble::Again(_)) => {}
                done => return done.map_err(|trouble| self.error(trouble)),
            }
        }
        self.once(&work).map_err(|trouble| self.error(trouble))
    }

    fn once<T>(&mut self, work: impl AsyncFn(&mut Client) -> Result<T, Trouble>) -> Result<T, Trouble> {
        let now = self.clock.now();
        let mut live = match self.live.take() {
            Some(live) => live,
            None => {
                self.retry.permits(now).map_err(|why| Trouble::Lost(why.to_owned()))?;
                self.connected()?
            }
        };
        let within = self.within;
        let done = self.runtime()?.block_on(moved(&mut live.moving, work(&mut live.client), within));
        if !matches!(done, Err(Trouble::Lost(_))) {
            self.live = Some(live);
        }
        done
    }

    fn connected(&mut self) -> Result<Live, Trouble> {
        let (address, open, within) = (self.address.clone(), self.open, self.within);
        let made = self.runtime()?.block_on(async {
            let config = address.config().map_err(Trouble::Lost)?;
            let (mut client, mut moving) = connect(&config, within.min(CONNECT_WITHIN)).await?;
            match moved(&mut moving, schema::prepare(&mut client, open), within).await? {
                None => {}
                Some(0) => moved(&mut moving, schema::migrate(&mut client), within).await?,
                Some(_) => moved(&mut moving, schema::migrate(&mut client), within.max(MIGRATED_WITHIN)).await?,
            }
            Ok(Live { client, moving })
        });
        match &made {
            Ok(_) => self.retry.succeeded(),
            Err(Trouble::Lost(why) | Trouble::Refused(why)) => self.retry.failed(self.clock.now(), why.clone()),
            Err(_) => {}
        }
        // Who is not let in has no database: wrong password, no such database, no such user.
        made.map_err(|trouble| match trouble {
            Trouble::Refused(why) => Trouble::Lost(why),
            trouble => trouble,
        })
    }

    fn runtime(&mut self) -> Result<&Runtime, Trouble> {
        if self.runtime.is_none() {
            let made = Builder::new_current_thread().enable_all().build();
            self.runtime = Some(made.map_err(|error| Trouble::Lost(error.to_string()))?);
        }
        self.runtime.as_ref().ok_or(Trouble::Lost(String::new()))
    }

    fn error(&self, trouble: Trouble) -> StoreError {
        let place = self.address.to_string();
        match trouble {
            Trouble::Lost(why) => StoreError::Unreachable { place, why },
            Trouble::Again(why) | Trouble::Refused(why) => StoreError::Refused { place, why },
            Trouble::Full => StoreError::Full,
            Trouble::Missing => StoreError::Missing(place),
            Trouble::Newer(found) => StoreError::FromTheFuture { place, found, known: schema::SCHEMA },
        }
    }
}

impl Drop for Session {
    fn drop(&mut self) {
        // A runtime may not be waited for where another one runs.
        if let Some(runtime) = self.runtime.take() {
            runtime.shutdown_background();
        }
    }
}

async fn connect(config: &Config, within: Duration) -> Result<(Client, Moving), Trouble> {
    tokio::time::timeout(within, tls::connect(config)).await.unwrap_or_else(|_| Err(silent(within)))
}

fn silent(within: Duration) -> Trouble {
    Trouble::Lost(format!("no answer in {} seconds", within.as_secs_f32()))
}

/// Does something while the bytes of its connection are moved.
async fn moved<T>(
    moving: &mut Moving,
    work: impl Future<Output = Result<T, Trouble>>,
    within: Duration,
) -> Result<T, Trouble> {
    let both = async {
        tokio::select! {
            biased;
            done = work => done,
            why = moving => Err(Trouble::Lost(why)),
        }
    };
    tokio::time::timeout(within, both).await.unwrap_or_else(|_| Err(silent(within)))
}
