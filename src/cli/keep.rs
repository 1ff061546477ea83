//! Commands that stay (`--keep`): the same again and again until they are stopped.

use std::future::Future;
use std::time::Duration;

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

/// Runs `round` at once and then again after each `pause`, a tenth more or less. A network that is away comes back;
/// any other failure ends it.
pub(super) async fn again_and_again(
    pause: Duration,
    subject: Id,
    mut round: impl AsyncFnMut() -> Result<Exit, Failure>,
) -> Result<Exit, Failure> {
    for count in 0.. {
        match round().await {
            Err(failure @ Failure::Told { exit: Exit::NoNetwork, .. }) => drop(failure.report()),
            Err(failure) => return Err(failure),
            Ok(_) => {}
        }
        tokio::time::sleep(pause.mul_f64(jitter(&subject, count))).await;
    }
    Ok(Exit::Done)
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
        let ended = again_and_again(Duration::from_secs(3600), Id::ZERO, async || {
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
}
