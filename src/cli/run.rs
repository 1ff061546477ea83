//! `trackerless run`: the node that stays, and what it tells the person who started it.

use std::fmt::Write;

use serde_json::{Value, json};

use super::args::RunArgs;
use super::failure::{Exit, Failure, cure_of, eprintln_quietly};
use super::logging;
use super::output::{Printer, counted};
use super::session;
use crate::daemon::config::Config;
use crate::daemon::service::{self, Moment, ServiceError, Started};

pub(super) fn run(args: RunArgs, environment: &[(String, String)]) -> Result<Exit, Failure> {
    let sources = args.settings.into_sources(environment);
    let config = Config::load(&sources)?;
    let runtime = session::build(&mut tokio::runtime::Builder::new_multi_thread())?;
    logging::start_talkative(&config);
    config.warnings.iter().for_each(|warning| eprintln_quietly(format_args!("warning: {warning}")));
    let output = Printer::new(args.json).staying(true);
    // `staying`: no result of ours can fail here.
    let ended = runtime
        .block_on(service::run(&config, &sources, |moment| drop(output.result(text(&moment), &record(&moment)))));
    // Look-ups of names that the system has not answered are not waited for.
    runtime.shutdown_background();
    ended?;
    Ok(Exit::Done)
}

fn text(moment: &Moment) -> String {
    match moment {
        Moment::Started(started) => summary(started),
        Moment::Ready { contacts: 0, .. } => "ready: the first node of its network, waiting for others".to_owned(),
        Moment::Ready { contacts, after } => {
            format!("ready: {} known after {:.1} s", counted(*contacts, "node"), after.as_secs_f64())
        }
        Moment::Stopping => "stopping (again to stop at once)".to_owned(),
        Moment::Stopped => "stopped, the state is saved".to_owned(),
    }
}

/// What one wants to know at the start, and nothing else.
fn summary(started: &Started) -> String {
    let mut text = format!("trackerless {}", env!("CARGO_PKG_VERSION"));
    let mut line = |name: &str, value: String| {
        write!(text, "\n  {name:<12} {value}").expect("a string takes all");
    };
    for (address, id) in &started.addresses {
        line("listening on", format!("{address}  as node {id}"));
    }
    for address in &started.awaited {
        line("waiting for", format!("{address}: this host does not have the address yet"));
    }
    for (address, why) in &started.unavailable {
        line("without", format!("{address}: {why}"));
    }
    if let Some(addr) = started.gateway {
        line("gateway", format!("udp://{addr}/announce and http://{addr}/announce"));
    }
    if let Some((addr, why)) = &started.without_gateway {
        line("without", format!("a gateway at {addr}: {why}"));
    }
    let control = &started.control;
    if let Some(addr) = control.addr {
        line("page", format!("http://{addr}/"));
        line("control", format!("http://{addr}/api/v1/"));
    }
    if let Some(token) = &control.exposed {
        let what =
            "the control interface is open to other hosts, which may read and change everything with the token in";
        line("exposed", format!("{what} {}", token.display()));
    }
    for (what, why) in &control.without {
        line("without", format!("{what}: {why}"));
    }
    line("data folder", started.data_dir.display().to_string());
    line("saved nodes", started.saved_nodes.to_string());
    line("routers", if started.routers == 0 { "none".to_owned() } else { started.routers.to_string() });
    text
}

fn record(moment: &Moment) -> Value {
    match moment {
        Moment::Started(started) => started_record(started),
        Moment::Ready { contacts, after } => {
            json!({ "event": "ready", "nodes": contacts, "after_ms": after.as_millis() as u64 })
        }
        Moment::Stopping => json!({ "event": "stopping" }),
        Moment::Stopped => json!({ "event": "stopped" }),
    }
}

fn started_record(started: &Started) -> Value {
    let addresses = started.addresses.iter().map(|(address, id)| json!({ "address": address, "id": id.to_string() }));
    let without = started.unavailable.iter().map(|(address, why)| json!({ "address": address, "why": why }));
    json!({
        "event": "started",
        "addresses": addresses.collect::<Vec<_>>(),
        "without": without.collect::<Vec<_>>(),
        "waiting_for": started.awaited,
        "data_dir": started.data_dir.display().to_string(),
        "saved_nodes": started.saved_nodes,
        "routers": started.routers,
        "gateway": started.gateway,
        "control": started.control.addr,
        "page": started.control.addr.map(|addr| format!("http://{addr}/")),
        "control_socket": started.control.socket,
        "control_exposed": started.control.exposed.is_some(),
        "without_control": started.control.without.iter().map(|(what, why)| json!({ "what": what, "why": why })).collect::<Vec<_>>(),
        "without_gateway": started.without_gateway.as_ref().map(|(addr, why)| json!({ "address": addr, "why": why })),
    })
}

impl From<ServiceError> for Failure {
    fn from(error: ServiceError) -> Self {
        match error {
            ServiceError::Start(error) => error.into(),
            ServiceError::Gateway(_) => {
                let cure = cure_of(&error, "choose another address with --gateway, or --gateway off");
                Self::no_network(error, cure)
            }
            ServiceError::Control(_) => {
                let cure =
                    "choose another address with --control, or --control off; see that the data folder can be written";
                let cure = cure_of(&error, cure);
                Self::no_network(error, cure)
            }
            ServiceError::NotSaved(ref cause) => Self::usage(&error, cause.cure()),
            ServiceError::NodeFailed(_) => Self::failed(error, "start it again, and please report this"),
            ServiceError::Announcer(_) => Self::usage(error, "see that the data folder can be read and written"),
            ServiceError::Signals(_) => Self::usage(error, "start it where programs may receive signals"),
        }
    }
}
