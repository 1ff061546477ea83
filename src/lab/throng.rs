//! Crowds for experiments: honest nodes whose ids fit their addresses, one of a /24 or /48 each, some of them dead; and the
//! nodes under observation, which have lived among them for a while.

use std::collections::BTreeSet;
use std::net::{IpAddr, Ipv6Addr, SocketAddr};
use std::time::Duration;

use crate::engine::contact::{Contact, Family};
use crate::engine::id::{Id, InfoHash, NodeId};
use crate::engine::node::{Command, Config, Event, Node};
use crate::engine::owner::owner;
use crate::engine::rules::Rules;
use crate::sim::crowd::{Crowd, Extra, Manner, Stage, is_invented};
use crate::sim::random::Dice;

/// Time that a node under observation has lived in its network, with keys of its own: it has measured the network.
const WARMING: Duration = Duration::from_mins(12);

/// `n` nodes, of which a share is dead and another is of this manner.
#[must_use]
pub fn crowd(n: usize, family: Family, dead: f64, others: (f64, Manner), seed: u64) -> Crowd {
    let mut dice = Dice::keyed(seed, &[0xc0d, n as u64]);
    let mut owners = BTreeSet::new();
    let mut nodes = Vec::with_capacity(n);
    while nodes.len() < n {
        let addr = address(family, &mut dice);
        if !owners.insert(owner(addr.ip())) {
            continue;
        }
        let contact = Contact { id: NodeId(dice.id().fitted_to(addr.ip())), addr };
        let draw = dice.unit();
        let manner = match draw {
            _ if draw < dead => Manner::Dead,
            _ if draw < dead + others.0 => others.1,
            _ => Manner::Honest,
        };
        nodes.push(Extra { contact, manner });
    }
    Crowd::new(nodes, seed)
}

/// A random address of the public network.
pub fn address(family: Family, dice: &mut Dice) -> SocketAddr {
    loop {
        let bits = dice.bits();
        let ip: IpAddr = match family {
            Family::V4 => (bits as u32).to_be_bytes().into(),
            // 2000::/3 is what is in use.
            Family::V6 => Ipv6Addr::from(u128::from(bits >> 3 | 1 << 61) << 64 | 1).into(),
        };
        let addr = SocketAddr::new(ip, 1024 + (dice.bits() >> 49) as u16);
        if Rules::MAINLINE.admits(&addr) && !is_invented(&addr) {
            return addr;
        }
    }
}

/// A node with this configuration that has just joined, at an address of its own.
#[must_use]
pub fn newcomer(config: &Config, crowd: &mut Crowd, life: Duration, seed: u64) -> Stage {
    let mut dice = Dice::keyed(seed, &[0x11f3]);
    let addr = address(config.family, &mut dice);
    let id = dice.id().fitted_to(addr.ip());
    let mut config = config.clone();
    config.saved.id = Some(NodeId(id));
    let mut stage = Stage::new(Node::new(config, dice.seed(), crate::engine::time::Instant::ZERO), addr, seed);
    stage.run_for(crowd, life);
    stage.take_events();
    stage
}

/// The same for a node that has lived there for a while, and has measured the network.
#[must_use]
pub fn resident(config: &Config, crowd: &mut Crowd, seed: u64) -> Stage {
    let mut stage = newcomer(config, crowd, Duration::from_mins(1), seed);
    let key = Dice::keyed(seed, &[0x5e1f]).id();
    stage.begin(Command::FindPeers { info_hash: InfoHash(key) });
    stage.run_for(crowd, WARMING);
    stage.take_events();
    stage
}

/// What one operation of a copy of a node came to.
#[derive(Clone, Debug, Default)]
pub struct Errand {
    /// Nodes that stored an announce.
    pub stored_at: Vec<Contact>,
    /// Peers that were told of.
    pub peers: Vec<SocketAddr>,
    /// Time to the first peers, in milliseconds.
    pub first_ms: Option<f64>,
    /// Time to the end, in milliseconds.
    pub end_ms: f64,
    /// Datagrams sent.
    pub sent: u64,
    /// Datagrams sent until the first peers.
    pub sent_first: u64,
    /// Whether there was an alarm.
    pub alarm: bool,
    /// Queries of the search of the region.
    pub swept: usize,
    /// The closest nodes that answered.
    pub closest: Vec<Contact>,
}

/// Lets a node carry out one operation.
pub fn run(stage: &mut Stage, crowd: &mut Crowd, key: Id, command: Command) -> Errand {
    let (began, sent) = (stage.now(), stage.sent());
    let op = stage.begin(command);
    let mut errand = Errand::default();
    let is_news = |event: &Event| event.op() == Some(op);
    for _ in 0..100_000 {
        stage.run_until(crowd, Duration::from_secs(60), is_news);
        let events = stage.take_events();
        if events.is_empty() {
            break;
        }
        for (at, event) in events.into_iter().filter(|(_, event)| is_news(event)) {
            match event {
                Event::Peers { peers, .. } => {
                    errand.first_ms.get_or_insert(at.since(began).as_secs_f64() * 1e3);
                    if errand.sent_first == 0 {
                        errand.sent_first = stage.sent() - sent;
                    }
                    errand.peers.extend(peers);
                }
                Event::Stored { at, .. } => errand.stored_at.push(at),
                Event::Done { summary, .. } => {
                    errand.end_ms = at.since(began).as_secs_f64() * 1e3;
                    errand.sent = stage.sent() - sent;
                    (errand.alarm, errand.swept, errand.closest) = (summary.alarm, summary.swept, summary.closest);
                    return errand;
                }
                _ => {}
            }
        }
    }
    unreachable!("the operation for {key} does not end")
}
