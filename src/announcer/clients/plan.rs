//! When a client is asked next. Pure: told the time.
//!
//! - A client that answers is asked every five seconds, so that a change is known within ten, and rests nine times as long
//!   as its answer took: following costs it a tenth of its time at most.
//! - One that is off is tried again, at first soon, then every half minute.
//! - One that refuses the password is not pressed: qBittorrent bars an address for an hour after five failed logins, those
//!   of its user included. A password is tried three times, ten minutes and an hour apart. After that only another one is
//!   tried, once, or the same when the client was off in between, which has then forgotten what failed.
//! - One that bars this host says nothing of the password: it is asked every minute, which costs no login, until the bar is
//!   over.
//! - Each kind of trouble is told once, and that it is over.

use std::time::Duration;

use super::trouble::Trouble;
use crate::engine::time::Instant;

/// Time between two questions to a client that answers.
pub const PERIOD: Duration = Duration::from_secs(5);

/// Time after which a client is asked for the rest of what it has.
const SOON: Duration = Duration::from_secs(1);

/// How many times as long as its answer took a client is left alone.
const REST: u32 = 9;

/// Longest time between two tries of a client that is off.
const LONGEST_PAUSE: Duration = Duration::from_secs(30);

/// Time between two tries of a client that cannot do what is needed.
const SLOW: Duration = Duration::from_secs(120);

/// Time between two tries of a client that lets this host not in.
const BARRED: Duration = Duration::from_secs(60);

/// Times after which a password is tried again, by the number of those that were refused.
const LOGINS: [Duration; 2] = [Duration::from_secs(10 * 60), Duration::from_secs(60 * 60)];

/// Time for which the last known list goes on when the client does not answer.
pub const TRUSTED: Duration = Duration::from_secs(60 * 60);

/// What is to be done next, and when.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Step {
    /// The client is asked.
    Ask,
    /// It is only looked at whether the client is there at all: nothing is said to it.
    Knock,
}

/// The plan for one client.
#[derive(Debug)]
pub struct Plan {
    next: Instant,
    /// The start, then the last answer.
    good: Instant,
    answered: bool,
    /// Questions in a row that came to nothing.
    failures: u32,
    /// Logins that were refused since the client answered or was off.
    refused: usize,
    /// When the next login may be tried; `None` where only another password is.
    login: Option<Instant>,
    trouble: Option<Trouble>,
}

impl Plan {
    /// A plan that begins at `now`.
    #[must_use]
    pub const fn new(now: Instant) -> Self {
        Self { next: now, good: now, answered: false, failures: 0, refused: 0, login: Some(now), trouble: None }
    }

    /// When something is to be done.
    #[must_use]
    pub const fn due(&self) -> Instant {
        self.next
    }

    /// What is to be done at `now`.
    #[must_use]
    pub fn step(&self, now: Instant) -> Step {
        if self.login.is_some_and(|login| login <= now) { Step::Ask } else { Step::Knock }
    }

    /// The client has answered, after `took`; `unfinished` if there is more. Whether a trouble is over.
    pub fn answered(&mut self, now: Instant, took: Duration, unfinished: bool) -> bool {
        // What is missing waits to be announced: the client is left alone for as long as it worked.
        self.next = now + if unfinished { SOON.max(took) } else { PERIOD.max(took * REST) };
        (self.good, self.answered, self.failures) = (now, true, 0);
        self.forgive(now);
        self.trouble.take().is_some()
    }

    /// The client has not answered as it should. Whether that is news.
    pub fn failed(&mut self, now: Instant, trouble: Trouble) -> bool {
        self.failures = self.failures.saturating_add(1);
        let pause = PERIOD * 2u32.saturating_pow(self.failures.min(8) - 1);
        self.next = now
            + match trouble {
                Trouble::Off(_) | Trouble::Strange(_) => pause.min(LONGEST_PAUSE),
                Trouble::Refused | Trouble::Barred(_) => PERIOD,
                _ => pause.min(SLOW),
            };
        match trouble {
            Trouble::Off(_) => self.forgive(now),
            Trouble::Refused => {
                self.login = LOGINS.get(self.refused).map(|wait| now + *wait);
                self.refused += 1;
            }
            Trouble::Barred(_) => self.login = Some(now + BARRED),
            _ => {}
        }
        self.is_news(trouble)
    }

    /// The client is there: all that was to be seen by knocking.
    pub fn is_there(&mut self, now: Instant) {
        self.next = now + PERIOD;
    }

    /// Another password is given: it is tried at once. That others were refused the client has not forgotten.
    pub fn has_another_password(&mut self, now: Instant) {
        (self.login, self.next) = (Some(now), now);
    }

    /// The trouble of now, if there is one.
    #[must_use]
    pub const fn trouble(&self) -> Option<&Trouble> {
        self.trouble.as_ref()
    }

    /// Whether the client has answered once.
    #[must_use]
    pub const fn has_answered(&self) -> bool {
        self.answered
    }

    /// Whether the last known list is too old to be believed at `now`.
    #[must_use]
    pub fn is_outdated(&self, now: Instant) -> bool {
        now.since(self.good) >= TRUSTED
    }

    fn forgive(&mut self, now: Instant) {
        (self.refused, self.login) = (0, Some(now));
    }

    /// Whether the user does not know this trouble yet. One that another one covers up for a moment is the same again.
    fn is_news(&mut self, trouble: Trouble) -> bool {
        let known = self.trouble.as_ref().map(std::mem::discriminant);
        let news = known != Some(std::mem::discriminant(&trouble));
        self.trouble = Some(trouble);
        news
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const SECOND: Duration = Duration::from_secs(1);
    const HOUR: Duration = Duration::from_secs(3600);

    fn off() -> Trouble {
        Trouble::Off("refused".to_owned())
    }

    /// Runs a plan for `time`; whenever it asks, `answer` says what comes of it. The times of the questions.
    fn run(plan: &mut Plan, from: Instant, time: Duration, mut answer: impl FnMut(&mut Plan, Instant)) -> Vec<u64> {
        let mut asked = Vec::new();
        while plan.due() < from + time {
            let now = plan.due();
            match plan.step(now) {
                Step::Ask => {
                    asked.push(now.since(from).as_secs());
                    answer(plan, now);
                }
                Step::Knock => plan.is_there(now),
            }
        }
        asked
    }

    #[test]
    fn a_client_that_answers_is_asked_every_five_seconds_and_not_more_than_a_tenth_of_its_time() {
        let mut plan = Plan::new(Instant::ZERO);
        let quick = run(&mut plan, Instant::ZERO, 21 * SECOND, |plan, now| {
            plan.answered(now, Duration::from_millis(20), false);
        });
        assert_eq!(quick, [0, 5, 10, 15, 20]);
        let mut plan = Plan::new(Instant::ZERO);
        let slow = run(&mut plan, Instant::ZERO, 60 * SECOND, |plan, now| {
            plan.answered(now, 2 * SECOND, false);
        });
        assert_eq!(slow, [0, 18, 36, 54]);
        for (took, due) in [(0, 73), (3, 76)] {
            plan.answered(plan.due(), Duration::from_secs(took), true);
            assert_eq!(plan.due().as_secs(), due, "what is missing is asked for soon");
        }
    }

    #[test]
    fn a_client_that_is_off_is_told_of_once_and_tried_at_a_growing_distance() {
        let mut plan = Plan::new(Instant::ZERO);
        let mut told = 0;
        let asked =
            run(&mut plan, Instant::ZERO, 100 * SECOND, |plan, now| told += usize::from(plan.failed(now, off())));
        assert_eq!((asked.as_slice(), told), (&[0, 5, 15, 35, 65, 95][..], 1));
        assert!(plan.answered(plan.due(), SECOND, false), "that it is over is news");
        assert!(!plan.answered(plan.due(), SECOND, false));
        assert!(plan.failed(plan.due(), off()), "and so is that it begins again");
        assert!(plan.failed(plan.due(), Trouble::NotConnected), "another one is news");
    }

    #[test]
    fn a_wrong_password_is_tried_three_times_and_then_no_more() {
        let mut plan = Plan::new(Instant::ZERO);
        let refuse = |plan: &mut Plan, now| {
            let _ = plan.failed(now, Trouble::Refused);
        };
        assert_eq!(run(&mut plan, Instant::ZERO, 24 * HOUR, refuse), [0, 600, 4200]);
        let now = plan.due();
        plan.has_another_password(now);
        assert_eq!(run(&mut plan, now, 24 * HOUR, refuse), [0], "another password is tried at once, and once");
        let now = plan.due();
        plan.failed(now, off());
        assert_eq!(run(&mut plan, now, 24 * HOUR, refuse).len(), 3, "a client that was off has forgotten");
        plan.answered(plan.due(), SECOND, false);
        assert_eq!(plan.step(plan.due()), Step::Ask);
    }

    #[test]
    fn a_client_that_bars_this_host_is_asked_until_it_does_so_no_more() {
        let mut plan = Plan::new(Instant::ZERO);
        let (mut told, end) = (0, Instant::ZERO + 26 * HOUR);
        let asked = run(&mut plan, Instant::ZERO, 27 * HOUR, |plan, now| {
            let trouble = if now < end { Trouble::Barred("x") } else { Trouble::Refused };
            told += usize::from(plan.failed(now, trouble));
        });
        assert_eq!((asked[..3].to_vec(), told), (vec![0, 60, 120], 2));
        let after: Vec<u64> = asked.into_iter().filter(|at| *at >= 26 * 3600).map(|at| at - 26 * 3600).collect();
        assert_eq!(after, [0, 600], "a bar is no refused password");
        let now = plan.due();
        plan.failed(now, Trouble::Barred("x"));
        plan.has_another_password(now + SECOND);
        assert_eq!((plan.due(), plan.step(plan.due())), (now + SECOND, Step::Ask));
    }

    #[test]
    fn the_last_list_goes_on_for_an_hour() {
        let mut plan = Plan::new(Instant::ZERO);
        assert!(!plan.has_answered());
        plan.answered(Instant::from_secs(10), SECOND, false);
        plan.failed(Instant::from_secs(20), off());
        assert!(plan.has_answered() && !plan.is_outdated(Instant::from_secs(3609)));
        assert!(plan.is_outdated(Instant::from_secs(3610)));
    }

    proptest! {
        /// Whatever happens: never more than five refused logins in a row, and the client is looked at twice a minute or more
        /// often, unless it cannot do what is needed.
        #[test]
        fn no_client_is_pressed_and_none_is_forgotten(events in prop::collection::vec(0u8..5, 1..200)) {
            let (mut plan, mut refused) = (Plan::new(Instant::ZERO), 0);
            for event in events {
                let now = plan.due();
                if plan.step(now) == Step::Knock {
                    if event == 0 {
                        (refused, _) = (0, plan.failed(now, off()));
                    } else {
                        plan.is_there(now);
                    }
                } else {
                    match event {
                        0 => (refused, _) = (0, plan.failed(now, off())),
                        1 => (refused, _) = (0, plan.answered(now, SECOND, false)),
                        2 => drop(plan.failed(now, Trouble::Lacks("x"))),
                        _ => (refused, _) = (refused + 1, plan.failed(now, Trouble::Refused)),
                    }
                }
                prop_assert!(refused <= 3, "{} refused logins", refused);
                prop_assert!(plan.due() > now && plan.due() <= now + SLOW);
            }
        }
    }
}
