//! Commands that stay (`--keep`): the same again and again until they are stopped.

use std::future::Future;
use std::time::Duration;

use tokio::sync::watch;

use super::failure::{Exit, Failure};
use super::session;
use crate::daemon::signals::StopSignals;
use crate::engine::id::Id;

/// Runs `work` to its end or until a signal asks to stop: then what it says it has done, it has done.
pub(super) async fn until_stopped(work: impl Future<Output = Result<Exit, Failure>>) -> Result<Exit, Failure> {
    let mut signals = StopSignals::listen().map_err(session::no_signals)?;
    tokio::select! {
        ended = work => ended,
        () = signals.next() => Ok(Exit::Done),
    }
}

/// Runs `round` at once and then again after each `pause`, a tenth more or less, and whenever `renewals` changes: this host
/// has another address or has slept. A network that is away comes back;
/// any other failure ends it.
pub(super) async fn again_and_again(
    pause: Duration,
    subject: Id,
    mut renewals: watch::Receiver<u64>,
    mut round: impl AsyncFnMut() -> Result<Exit, Failure>,
) -> Result<Exit, Failure> {
    for count in 0.. {
        match round().await {
            Err(failure @ Failure::Told { exit: Exit::NoNetwork, .. }) => drop(failure.report()),
            Err(failure) => return Err(failure),
            Ok(_) => {}
        }
        tokio::select! {
            () = tokio::time::sleep(pause.mul_f64(jitter(&subject, count))) => {}
            () = renewal(&mut renewals) => {}
        }
    }
    Ok(Exit::Done)
}

/// Waits until what was written before should be written again; for ever once no node runs.
async fn renewal(renewals: &mut watch::Receiver<u64>) {
    if renewals.changed().await.is_err() {
        std::future::pending().await
    }
}

/// Between 0.9 and 1.1: programs that were started together do not write together for ever. It follows from the
/// subject and the round, so nothing random is needed.
fn jitter(subject: &Id, round: u32) -> f64 {
    let seed = u32::from_be_bytes([subject.0[0], subject.0[1], subject.0[2], subject.0[3]]);
    let mixed = seed.wrapping_add(round).wrapping_mul(0x9e37_79b9);
    0.9 + 0.2 * f64::from(mixed) / f64::from(u32::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Each round fails in its way; in virtual time.
    #[tokio::test(start_paused = true)]
    async fn only_a_network_that_is_away_is_waited_for() {
        let (began, mut rounds) = (tokio::time::Instant::now(), 0);
        let (_sender, renewals) = watch::channel(0);
        let ended = again_and_again(Duration::from_secs(3600), Id::ZERO, renewals, async || {
            rounds += 1;
            match rounds {
                1 => Ok(Exit::Nothing),
                2 | 3 => Err(Failure::no_network("away", "wait")),
                _ => Err(Failure::refused("too late", "begin anew")),
            }
        })
        .await;
        assert!(matches!(ended, Err(Failure::Told { exit: Exit::Nothing, .. })), "{ended:?}");
        let hours = began.elapsed().as_secs_f64() / 3600.0;
        assert!(rounds == 4 && (2.7..3.3).contains(&hours), "{rounds} rounds in {hours} hours");
    }

    /// The first round comes at once, the second long before its time.
    #[tokio::test(start_paused = true)]
    async fn a_host_with_another_address_does_not_wait_for_the_next_round() {
        let (sender, renewals) = watch::channel(0);
        let (began, mut rounds) = (tokio::time::Instant::now(), 0);
        let ended = again_and_again(Duration::from_secs(3600), Id::ZERO, renewals, async || {
            rounds += 1;
            sender.send_replace(rounds);
            if rounds < 3 { Ok(Exit::Done) } else { Err(Failure::refused("enough", "stop")) }
        })
        .await;
        assert!(ended.is_err() && rounds == 3 && began.elapsed() < Duration::from_secs(60), "{rounds} rounds");
    }
}
