//! A PostgreSQL server of the benchmark's own, with the settings that Debian gives it.

#[expect(dead_code, reason = "the tests of the program need more of it")]
#[path = "../../tests/program/postgres_server.rs"]
mod server;

use std::path::Path;

use crate::measured::forget_pages;

/// A batch is done before it is on the disk, as with our file.
const SETTINGS: [&str; 1] = ["synchronous_commit=off"];

/// The server.
pub struct Postgres(server::Server);

impl Postgres {
    pub fn start() -> Self {
        Self(server::Server::start(&SETTINGS).expect("PostgreSQL: apt-get install postgresql"))
    }

    pub fn url(&self) -> String {
        self.0.url()
    }

    /// Runs statements; what they print.
    pub fn sql(&self, statements: &str) -> String {
        self.0.sql(statements)
    }

    /// Starts it again with nothing in memory.
    pub fn restart(&mut self) {
        self.0.sql("CHECKPOINT");
        self.0.kill();
        forget_pages(self.0.path());
        self.0.run();
    }

    pub fn folder(&self) -> &Path {
        self.0.path()
    }

    /// Its processes, those for connections too.
    pub fn processes(&self) -> Vec<u32> {
        self.0.processes()
    }
}
