//! Whether the network answers, and how it sees us.

use super::super::evidence::{Evidence, NodeTrial};
use super::super::kinds::{self, NAMES_FAIL, NAMES_LIE, NO_ANSWER, OTHER_PORT, SENDING_REFUSED};
use super::Found;
use crate::engine::contact::is_local;

/// Fewer good nodes than this are few: a bucket of the table has eight places.
pub const FEW_NODES: usize = 8;

pub(super) fn check(evidence: &Evidence, found: &mut Found) {
    names(evidence, found);
    for trial in &evidence.trials {
        answers(evidence, trial, found);
    }
    if evidence.trials.is_empty() {
        found.unknown("whether other nodes answer", "no node could be started to ask them");
    } else {
        found.unknown(
            "whether strangers can reach this node",
            "that takes queries of strangers over minutes; see `trackerless status` of a node that has run for an hour",
        );
    }
}

fn names(evidence: &Evidence, found: &mut Found) {
    let names = &evidence.names;
    if names.is_empty() {
        return;
    }
    let with_address = names.iter().filter(|name| !name.addrs.is_empty()).count();
    if with_address == 0 {
        let why = names.iter().find_map(|name| name.error.clone()).unwrap_or_else(|| "no address".to_owned());
        found.finding(&NAMES_FAIL, format!("none of {} names: {why}", names.len()));
        return;
    }
    let lies: Vec<String> = names
        .iter()
        .filter(|name| name.public && !name.addrs.is_empty())
        .filter(|name| name.addrs.iter().all(|ip| is_local(*ip) || ip.is_unspecified()))
        .map(|name| format!("{} is {}", name.name, name.addrs[0]))
        .collect();
    if lies.is_empty() {
        found.well(format!("{with_address} of {} router names have addresses", names.len()));
    } else {
        found.finding(&NAMES_LIE, lies.join(", "));
    }
}

fn answers(evidence: &Evidence, trial: &NodeTrial, found: &mut Found) {
    let NodeTrial { local, external, good_nodes, sent, refused, received, asked_any } = *trial;
    if !asked_any {
        found.unknown("whether other nodes answer", "no node is known to ask, and no router is set");
        return;
    }
    // A family of which no address is known says nothing of the network.
    if received == 0 && sent + refused == 0 && evidence.trials.iter().any(|other| other.sent + other.refused > 0) {
        return;
    }
    if received == 0 {
        if refused > sent {
            found.finding(&SENDING_REFUSED, format!("{refused} of {} datagrams from {local}", sent + refused));
        }
        found.finding(&NO_ANSWER, format!("{sent} datagrams from {local}, none came back"));
        return;
    }
    if good_nodes < FEW_NODES && !evidence.private_network {
        found.finding(&kinds::FEW_NODES, format!("{good_nodes} from {local}"));
    } else {
        found.well(format!("nodes that answer at {local}: {good_nodes}"));
    }
    if let Some(external) = external
        && external.port() != local.port()
        && !evidence.private_network
    {
        found.finding(&OTHER_PORT, format!("port {} is seen as {external}", local.port()));
    }
}
