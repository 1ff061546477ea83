//! The tables, in a schema of their own. Torrents lie in partitions by infohash, so that several disks or machines can carry
//! them. Each version of the schema is made from the one before.

use tokio_postgres::Client;

use super::trouble::Trouble;
use crate::index::store::Open;

/// Every version of the schema, as what makes it of the one before.
const MIGRATIONS: [&str; 3] = [FIRST, SECOND, THIRD];
/// The schema that this program writes.
pub(super) const SCHEMA: i64 = MIGRATIONS.len() as i64;
/// The name under which programs that make the tables wait for each other.
const LOCK: i64 = 0x7472_6163_6b65_726c;

/// Times are seconds. `words` are those of the name (with their places), of the files, and of the tier. `node` and `lease`
/// are told the time by the database.
const FIRST: &str = "
    CREATE SCHEMA IF NOT EXISTS trackerless;
    CREATE TABLE trackerless.schema(version bigint NOT NULL);
    INSERT INTO trackerless.schema VALUES(0);
    CREATE SEQUENCE trackerless.torrent_id;
    CREATE TABLE trackerless.torrent(
        hash bytea PRIMARY KEY, id bigint NOT NULL DEFAULT nextval('trackerless.torrent_id'), name text NOT NULL,
        size bigint NOT NULL, files bigint NOT NULL, found bigint NOT NULL, seen bigint NOT NULL, seeds bigint,
        peers bigint, counted bigint, source bigint NOT NULL, tier smallint NOT NULL, block bytea,
        words tsvector NOT NULL) PARTITION BY HASH(hash);
    ALTER TABLE trackerless.torrent ALTER COLUMN block SET STORAGE EXTERNAL;
    DO $$ BEGIN FOR part IN 0..15 LOOP
        EXECUTE format('CREATE TABLE trackerless.torrent%s PARTITION OF trackerless.torrent
            FOR VALUES WITH (MODULUS 16, REMAINDER %s) WITH (autovacuum_vacuum_scale_factor = 0.05)', part, part);
    END LOOP; END $$;
    CREATE INDEX torrent_place ON trackerless.torrent(id);
    CREATE INDEX torrent_seedless ON trackerless.torrent(seen) WHERE tier = 3;
    CREATE INDEX torrent_imported ON trackerless.torrent(source) WHERE source >= 3;
    CREATE INDEX torrent_words ON trackerless.torrent USING gin(words);
    CREATE TABLE trackerless.mark(key bytea PRIMARY KEY, kind smallint NOT NULL, at bigint NOT NULL);
    CREATE TABLE trackerless.state(name text PRIMARY KEY, value bytea NOT NULL);
    CREATE TABLE trackerless.total(torrents bigint NOT NULL);
    INSERT INTO trackerless.total VALUES(0);
    CREATE TABLE trackerless.node(name text PRIMARY KEY, expires timestamptz NOT NULL);
    CREATE TABLE trackerless.lease(share smallint PRIMARY KEY, node text, expires timestamptz);
    INSERT INTO trackerless.lease(share) SELECT generate_series(0, 63);
";

/// Counts over time.
const SECOND: &str = "ALTER TABLE trackerless.torrent ADD COLUMN history bytea;";

/// Which of the seeded torrents have the fewest seeds is known without reading all of them.
const THIRD: &str = "
    CREATE INDEX torrent_seeded ON trackerless.torrent(seeds, seen) WHERE tier < 3;
";

/// Settings of a connection. What is acknowledged is on the disk, whatever the server's own setting is.
const SESSION: &str = "
    SET search_path = trackerless;
    SET statement_timeout = '20s';
    SET lock_timeout = '10s';
    SELECT set_config('synchronous_commit', 'on', false) WHERE current_setting('synchronous_commit') = 'off';
";

/// Makes the connection ready. The schema of the tables that are there, where it is one before ours; 0 where there are none.
pub(super) async fn prepare(client: &mut Client, open: Open) -> Result<Option<i64>, Trouble> {
    client.batch_execute(SESSION).await?;
    let found = version(client).await?;
    match found {
        SCHEMA => Ok(None),
        newer if newer > SCHEMA => Err(Trouble::Newer(newer)),
        0 if open == Open::Existing => Err(Trouble::Missing),
        older => Ok(Some(older)),
    }
}

/// The schema of the tables that are there; 0 where there are none.
async fn version(client: &Client) -> Result<i64, Trouble> {
    let there = client.query_one("SELECT to_regclass('trackerless.schema') IS NOT NULL", &[]).await?;
    if !there.try_get::<_, bool>(0)? {
        return Ok(0);
    }
    let row = client.query_one("SELECT coalesce(max(version), 0) FROM trackerless.schema", &[]).await?;
    Ok(row.try_get(0)?)
}

/// Makes the tables of this version: all steps at once or none. Of several programs one makes them, and the others wait.
pub(super) async fn migrate(client: &mut Client) -> Result<(), Trouble> {
    let limits = "SET LOCAL statement_timeout = 0; SET LOCAL lock_timeout = 0";
    let lock = format!("BEGIN; {limits}; SELECT pg_advisory_xact_lock({LOCK})");
    client.batch_execute(&lock).await?;
    let found = version(client).await?;
    for step in MIGRATIONS.iter().skip(usize::try_from(found).unwrap_or(0)) {
        client.batch_execute(step).await?;
    }
    client.execute("UPDATE trackerless.schema SET version = $1", &[&SCHEMA]).await?;
    client.batch_execute("COMMIT").await?;
    Ok(())
}
