//! Several cores by several addresses: our program on one address and on two, with both cores for servers and
//! generators alike.
//!
//! A machine with two cores cannot show twice the replies a second, since the generators need as much as the servers. It
//! shows whether two nodes get into each other's way: then a reply would cost more CPU time with two than with one.

use std::net::{Ipv4Addr, SocketAddrV4};
use std::time::Duration;

use anyhow::Context as _;
use serde::Serialize;

use crate::Options;
use crate::load::{Load, Outcome};
use crate::query::Template;
use crate::report::median;
use crate::script::{self, About, Expected, Lookups};
use crate::server::{self, Kind, Place, Server};
use crate::wire::Wire;

/// The medians with so many addresses.
#[derive(Serialize)]
struct Row {
    addresses: usize,
    cpu_us_per_reply: f64,
    replies_per_second: f64,
}

/// Measures one address and two in turn, and writes `addresses.json`.
pub fn run(options: &Options, mut place: Place) -> anyhow::Result<()> {
    let cores = [options.server_core, options.load_core];
    place.server_cores = cores.to_vec();
    let addrs = [server::free_port(Ipv4Addr::LOCALHOST)?, server::free_port(Ipv4Addr::new(127, 0, 0, 2))?];
    let server = Server::start_on(Kind::Trackerless, &addrs, &place)?;
    await_contacts(&addrs)?;
    let mut rounds: [Vec<(f64, f64)>; 2] = Default::default();
    for _ in 0..options.rounds {
        for (round, count) in rounds.iter_mut().zip(1..) {
            round.push(measure(&server, &addrs[..count], &cores[cores.len() - count..], options)?);
        }
    }
    let rows: Vec<Row> = rounds.into_iter().zip(1..).map(|(round, addresses)| row(addresses, &round)).collect();
    println!("| addresses | CPU us per reply | replies/s |\n|---|---|---|");
    for row in &rows {
        println!("| {} | {:.2} | {:.0} |", row.addresses, row.cpu_us_per_reply, row.replies_per_second);
    }
    std::fs::write(options.out.join("addresses.json"), serde_json::to_string_pretty(&rows)?)?;
    Ok(())
}

fn row(addresses: usize, round: &[(f64, f64)]) -> Row {
    let (cpu, replies): (Vec<f64>, Vec<f64>) = round.iter().copied().unzip();
    Row { addresses, cpu_us_per_reply: median(cpu), replies_per_second: median(replies) }
}

/// CPU time per reply in microseconds, and replies a second, of all `addrs` together: a generator for each, on one of
/// `cores`.
fn measure(server: &Server, addrs: &[SocketAddrV4], cores: &[usize], options: &Options) -> anyhow::Result<(f64, f64)> {
    let before = server.cpu_time()?;
    let outcomes = std::thread::scope(|scope| {
        let generators: Vec<_> = addrs
            .iter()
            .zip(cores)
            .map(|(&addr, &core)| scope.spawn(move || generate(addr, core, options.window, options.duration())))
            .collect();
        let outcome = |generator: std::thread::ScopedJoinHandle<'_, anyhow::Result<Outcome>>| {
            generator.join().ok().context("a generator panicked")?
        };
        generators.into_iter().map(outcome).collect::<anyhow::Result<Vec<_>>>()
    })?;
    let cpu = server.cpu_time()? - before;
    let replies: u64 = outcomes.iter().map(|outcome| outcome.verified).sum();
    let per_second = outcomes.iter().map(Outcome::replies_per_second).sum();
    Ok((cpu.as_secs_f64() * 1e6 / replies as f64, per_second))
}

fn generate(addr: SocketAddrV4, core: usize, window: usize, duration: Duration) -> anyhow::Result<Outcome> {
    server::pin(&[core])?;
    let mut load = Load::new(Wire::bind(0)?, addr);
    let (id, shape) = script::probe(&mut load, Template::get_peers(), About::Anything)?;
    let mut script = Lookups::new(Template::get_peers(), About::Anything, Some(Expected { id, shape }));
    Ok(load.closed(&mut script, window, duration)?)
}

/// Until each address hands out eight contacts, or ten seconds have passed.
fn await_contacts(addrs: &[SocketAddrV4]) -> anyhow::Result<()> {
    for &addr in addrs {
        let mut load = Load::new(Wire::bind(0)?, addr);
        for _ in 0..100 {
            if script::probe(&mut load, Template::find_node(), About::Anything)?.1.contacts >= 8 {
                break;
            }
            std::thread::sleep(Duration::from_millis(100));
        }
    }
    Ok(())
}
