//! Whether the addresses of the settings can be had.

use super::super::evidence::{BindOutcome, Evidence, SocketTrial};
use super::super::kinds::{
    ADDRESS_NOT_HERE, CONTAINER, GATEWAY_TAKEN, LOOPBACK_ONLY, PORT_REFUSED, PORT_TAKEN, PRIVATE_NETWORK,
};
use super::Found;

pub(super) fn check(evidence: &Evidence, found: &mut Found) {
    if evidence.private_network {
        found.finding(&PRIVATE_NETWORK, "lan = true");
    }
    for trial in &evidence.sockets {
        let addr = trial.addr;
        match trial.outcome {
            BindOutcome::Ours => found.well(format!("UDP {addr} can be listened on")),
            BindOutcome::Taken => found.finding(&PORT_TAKEN, taken("UDP", trial)),
            BindOutcome::NotHere => found.finding(&ADDRESS_NOT_HERE, addr.to_string()),
            BindOutcome::Refused => found.finding(&PORT_REFUSED, addr.to_string()),
            BindOutcome::NoFamily => {}
        }
    }
    let loopback = evidence.sockets.iter().all(|trial| trial.addr.ip().is_loopback());
    if loopback && !evidence.sockets.is_empty() && !evidence.private_network {
        let addrs: Vec<String> = evidence.sockets.iter().map(|trial| trial.addr.to_string()).collect();
        found.finding(&LOOPBACK_ONLY, addrs.join(", "));
    }
    if let Some(gateway) = &evidence.gateway {
        match gateway.outcome {
            BindOutcome::Taken => found.finding(&GATEWAY_TAKEN, taken("TCP", gateway)),
            BindOutcome::NotHere => found.finding(&ADDRESS_NOT_HERE, format!("{}, of the gateway", gateway.addr)),
            BindOutcome::Refused => found.finding(&PORT_REFUSED, format!("{}, of the gateway", gateway.addr)),
            BindOutcome::Ours | BindOutcome::NoFamily => {}
        }
        if evidence.system.container && gateway.addr.ip().is_loopback() {
            found.finding(&CONTAINER, gateway.addr.to_string());
        }
    }
}

fn taken(transport: &str, trial: &SocketTrial) -> String {
    match &trial.owner {
        Some(owner) => format!("{transport} {} is that of {owner}", trial.addr),
        None => format!("{transport} {}, of a program that this user may not see", trial.addr),
    }
}
