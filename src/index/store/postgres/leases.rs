//! Shares of the key space, leased by the clock of the database: those of all programs are the same then.

use std::time::Duration;

use tokio_postgres::{Client, Transaction};

use super::trouble::Trouble;
use crate::index::shares::{Plan, SHARES, Shares, plan};

/// Holds shares for the program of this name.
pub(super) async fn hold(client: &mut Client, me: &str, lasts: Duration) -> Result<Shares, Trouble> {
    let seconds = lasts.as_secs_f64();
    let transaction = client.transaction().await?;
    // One program at a time: what one gives up the next can take.
    transaction.batch_execute("LOCK TABLE lease IN SHARE ROW EXCLUSIVE MODE").await?;
    transaction.execute("DELETE FROM node WHERE expires < now()", &[]).await?;
    let sql = "INSERT INTO node(name, expires) VALUES($1, now() + make_interval(secs => $2))
        ON CONFLICT (name) DO UPDATE SET expires = excluded.expires";
    transaction.execute(sql, &[&me, &seconds]).await?;
    let plan = planned(&transaction, me).await?;
    let sql = "UPDATE lease SET node = $1, expires = now() + make_interval(secs => $2) WHERE share = ANY($3)";
    let held: Shares = plan.keep.iter().chain(plan.take.iter()).collect();
    transaction.execute(sql, &[&me, &seconds, &numbers(held)]).await?;
    let sql = "UPDATE lease SET node = NULL, expires = NULL WHERE share = ANY($1)";
    transaction.execute(sql, &[&numbers(plan.give_up)]).await?;
    transaction.commit().await?;
    Ok(held)
}

async fn planned(transaction: &Transaction<'_>, me: &str) -> Result<Plan, Trouble> {
    let alive: i64 = transaction.query_one("SELECT count(*) FROM node", &[]).await?.try_get(0)?;
    let sql = "SELECT share, node = $1 AND expires >= now(), expires >= now() FROM lease";
    let (mut mine, mut taken) = (Shares::NONE, Shares::NONE);
    for row in &transaction.query(sql, &[&me]).await? {
        let share = u8::try_from(row.try_get::<_, i16>(0)?).unwrap_or(SHARES);
        let is = |column: usize| row.try_get::<_, Option<bool>>(column).map(|is| is == Some(true));
        mine = if is(1)? { mine.with(share) } else { mine };
        taken = if is(2)? { taken.with(share) } else { taken };
    }
    Ok(plan(mine, Shares::ALL.without(taken), usize::try_from(alive).unwrap_or(1), start(me)))
}

fn numbers(shares: Shares) -> Vec<i16> {
    shares.iter().map(i16::from).collect()
}

/// Where a program of this name begins.
fn start(me: &str) -> u8 {
    me.bytes().fold(0, |sum: u8, byte| sum.wrapping_mul(31).wrapping_add(byte))
}
