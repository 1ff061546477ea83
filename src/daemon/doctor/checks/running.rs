//! What the running node says of itself: whether strangers reach it, its port at the router, what it keeps announced.

use super::super::evidence::{Evidence, Live};
use super::super::kinds::{
    ANNOUNCED_PORT_CLOSED, ANNOUNCES_LATE, ID_DOES_NOT_FIT, KEY_ALARM, NOT_REACHED, NOT_VISIBLE, PORT_NOT_OPEN,
};
use super::Found;

/// Time after which a node that can be reached has been, in seconds.
const HOUR: u64 = 3_600;
/// Time in which what waits should have been announced, in seconds: half of the time for which it is stored.
const LATE: u64 = 15 * 60;

pub(super) fn check(evidence: &Evidence, found: &mut Found) {
    if let Some((port, is_open)) = evidence.announced_port {
        if is_open {
            found.well(format!("a program listens at the announced port {port}"));
        } else {
            found.finding(&ANNOUNCED_PORT_CLOSED, format!("port {port}"));
        }
    }
    let Some(live) = &evidence.live else {
        found.unknown(
            "whether strangers can reach this node",
            "that takes queries of strangers over minutes: ask again when a node has run with this data folder for an hour",
        );
        return;
    };
    reached(evidence, live, found);
    mapping(live, found);
    announces(live, found);
}

fn reached(evidence: &Evidence, live: &Live, found: &mut Found) {
    if evidence.private_network {
        return;
    }
    let mut unknown = false;
    for trial in &evidence.trials {
        let local = trial.local;
        if trial.id_fits == Some(false) {
            found.finding(&ID_DOES_NOT_FIT, format!("at {local}"));
        }
        match trial.reached {
            Some(true) => found.well(format!("strangers reach {local}")),
            // A node that hears nothing at all is another finding.
            Some(false) if live.uptime_secs >= HOUR && trial.received > 0 => {
                let minutes = live.uptime_secs / 60;
                found.finding(&NOT_REACHED, format!("no queries of strangers at {local} in {minutes} minutes"));
            }
            Some(false) => unknown = true,
            None => {}
        }
    }
    if unknown {
        found.unknown("whether strangers can reach this node", "no three of them have asked it; it may take an hour");
    }
}

fn mapping(live: &Live, found: &mut Found) {
    match live.mapping {
        Some((open, refused @ 1..)) => {
            found.finding(&PORT_NOT_OPEN, format!("{refused} ports were refused, {open} are open"));
        }
        Some((open @ 1.., _)) => found.well(format!("ports that the router has opened: {open}")),
        // There is no router, or it was asked a moment ago.
        Some(_) | None => {}
    }
}

fn announces(live: &Live, found: &mut Found) {
    if live.keys_under_alarm > 0 {
        found.finding(&KEY_ALARM, format!("{} announces", live.keys_under_alarm));
    }
    let (behind, seconds) = live.behind;
    if behind > 0 && seconds > LATE {
        found.finding(&ANNOUNCES_LATE, format!("{behind} infohashes, for {} minutes", seconds / 60));
    }
    match live.kept {
        (0, _) => {}
        (kept, 0) => found.well(format!("of {kept} infohashes that are kept announced none is out of sight")),
        (kept, hidden) => {
            let failing = live.failing;
            found
                .finding(&NOT_VISIBLE, format!("{hidden} of {kept} that are kept announced; {failing} stored nowhere"));
        }
    }
}
