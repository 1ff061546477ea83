//! Whether the network answers, and how it sees us.

use std::collections::BTreeSet;
use std::net::{IpAddr, SocketAddr};

use super::super::evidence::{Evidence, NameTrial, NodeTrial};
use super::super::kinds::{
    self, BEHIND_NAT, FAMILY_SILENT, IGNORED_RANGE, NAMES_FAIL, NAMES_LIE, NO_ANSWER, OTHER_PORT, REJECTED,
    SENDING_REFUSED, SYMMETRIC_NAT,
};
use super::Found;
use crate::engine::contact::is_local;

/// Fewer good nodes than this are few: a bucket of the table has eight places.
pub const FEW_NODES: usize = 8;

/// First bytes of the IPv4 addresses whose packets libtorrent drops (`dht_ignore_dark_internet`).
const IGNORED: [u8; 17] = [3, 6, 7, 9, 11, 19, 21, 22, 25, 26, 28, 29, 30, 33, 34, 48, 56];
/// Fewer voters than this say nothing of the kind of translator.
const FEWEST_VOTERS: usize = 5;

pub(super) fn check(evidence: &Evidence, found: &mut Found) {
    names(evidence, found);
    let mut silent: Vec<&NodeTrial> = Vec::new();
    for trial in &evidence.trials {
        if !trial.asked_any {
            found.unknown("whether other nodes answer", "no node is known to ask, and no router is set");
        } else if trial.received > 0 {
            heard(evidence, trial, found);
            translated(evidence, trial, found);
        } else {
            silent.push(trial);
        }
    }
    rejected(evidence, found);
    not_heard(evidence, &silent, found);
    if evidence.trials.is_empty() {
        found.unknown("whether other nodes answer", "no node could be started to ask them");
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
    let public = || names.iter().filter(|name| name.public && !name.addrs.is_empty());
    let mut lies: Vec<String> = public()
        .filter(|name| name.addrs.iter().all(|ip| is_local(*ip) || ip.is_unspecified()))
        .map(|name| format!("{} is {}", name.name, name.addrs[0]))
        .collect();
    // Several names of several operators, and all of them one host.
    let sorted = |name: &NameTrial| name.addrs.iter().copied().collect::<BTreeSet<IpAddr>>();
    let alike: BTreeSet<BTreeSet<IpAddr>> = public().map(sorted).collect();
    if let (true, Some(addr), 1) = (lies.is_empty(), alike.iter().flatten().next(), alike.len())
        && public().count() > 2
    {
        lies.push(format!("all {} names are {addr}", public().count()));
    }
    if lies.is_empty() {
        found.well(format!("{with_address} of {} router names have addresses", names.len()));
    } else {
        found.finding(&NAMES_LIE, lies.join(", "));
    }
}

/// Nodes that heard nothing, of those that asked.
fn not_heard(evidence: &Evidence, silent: &[&NodeTrial], found: &mut Found) {
    let tries = |trial: &NodeTrial| trial.sent + trial.refused;
    let any_heard = evidence.trials.iter().any(|trial| trial.received > 0);
    for trial in silent {
        let NodeTrial { local, sent, refused, .. } = **trial;
        // A family of which no address is known says nothing of the network.
        if tries(trial) == 0 && evidence.trials.iter().any(|other| tries(other) > 0) {
            continue;
        }
        if any_heard {
            let heard_in_its_family =
                evidence.trials.iter().any(|other| other.received > 0 && other.local.is_ipv4() == local.is_ipv4());
            if !heard_in_its_family {
                found.finding(&FAMILY_SILENT, format!("{sent} datagrams from {local}, none came back"));
            }
            continue;
        }
        if refused > sent {
            found.finding(&SENDING_REFUSED, format!("{refused} of {} datagrams from {local}", tries(trial)));
        }
        found.finding(&NO_ANSWER, format!("{sent} datagrams from {local}, none came back"));
    }
}

/// Whether something on the way says that UDP is rejected.
fn rejected(evidence: &Evidence, found: &mut Found) {
    let (asked, rejected) = evidence.knocked;
    if rejected > 0 && rejected * 2 >= asked && evidence.trials.iter().all(|trial| trial.received == 0) {
        found.finding(&REJECTED, format!("{rejected} of {asked} routers that were asked"));
    }
}

fn heard(evidence: &Evidence, trial: &NodeTrial, found: &mut Found) {
    let NodeTrial { local, good_nodes, sent, received, .. } = *trial;
    if good_nodes < FEW_NODES && !evidence.private_network {
        found.finding(&kinds::FEW_NODES, format!("{good_nodes} from {local}; {sent} datagrams sent, {received} came"));
    } else {
        found.well(format!("nodes that answer at {local}: {good_nodes}"));
    }
}

/// What the address at which others see us says of the routers in between.
fn translated(evidence: &Evidence, trial: &NodeTrial, found: &mut Found) {
    let NodeTrial { local, external: Some(external), port_votes: (alike, voters), .. } = *trial else { return };
    if evidence.private_network {
        return;
    }
    if voters >= FEWEST_VOTERS && alike * 2 <= voters {
        let evidence = format!("{alike} of {voters} nodes see port {} of {local}", external.port());
        found.finding(&SYMMETRIC_NAT, evidence);
    } else if external.port() != local.port() {
        found.finding(&OTHER_PORT, format!("port {} is seen as {external}", local.port()));
    } else if let Some(source) = source_of(evidence, local)
        && source != external.ip()
    {
        found.finding(&BEHIND_NAT, format!("{source} is seen as {}", external.ip()));
    }
    if let IpAddr::V4(ip) = external.ip()
        && IGNORED.contains(&ip.octets()[0])
    {
        found.finding(&IGNORED_RANGE, ip.to_string());
    }
}

/// The address that the node at `local` sends from. An IPv6 interface has several: which of them is not known here.
fn source_of(evidence: &Evidence, local: SocketAddr) -> Option<IpAddr> {
    if local.ip().is_unspecified() { evidence.routes.v4.filter(|_| local.is_ipv4()) } else { Some(local.ip()) }
}
