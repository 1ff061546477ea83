//! From where a client asks, at which address of ours, what a proxy says of it, and the policy: what the gateway then
//! does, for every combination.

use std::collections::BTreeSet;
use std::net::SocketAddr;
use std::time::Duration;

use hyper::header::HeaderMap;

use super::client::identify;
use crate::engine::id::InfoHash;
use crate::engine::time::Instant;
use crate::net::nearness::{Nearness, Site};
use crate::tracker::broker::{Broker, Client, Decision, Order, Policy, Standing, Transport};
use crate::tracker::metadata::Verdict;
use crate::tracker::{Announce, Phase};

/// The addresses of this host, beside the loopback.
const OURS: [&str; 4] = ["192.168.1.2", "203.0.113.7", "fd00::2", "2001:db8::7"];

const POLICIES: [Policy; 3] = [Policy::Never, Policy::VerifiedPublic, Policy::Always];

/// Requests that no proxy brings: from, to, the address at which clients elsewhere are told of the client, and what the
/// gateway does for each policy. `asked`: it connects to the client for the metadata. `searched`: it looks the infohash up
/// before it knows that the torrent is public. `announced`: in both families; `announced-v4`: at our public IPv4 address.
const DIRECT: &str = "
    127.0.0.1     127.0.0.1    203.0.113.7    asked     asked,announced     searched,announced
    127.0.0.1     192.168.1.2  203.0.113.7    asked     asked,announced     searched,announced
    127.0.0.1     203.0.113.7  203.0.113.7    asked     asked,announced     searched,announced
    203.0.113.7   127.0.0.1    203.0.113.7    asked     asked,announced     searched,announced
    203.0.113.7   192.168.1.2  203.0.113.7    asked     asked,announced     searched,announced
    203.0.113.7   203.0.113.7  203.0.113.7    asked     asked,announced     searched,announced
    192.168.1.2   127.0.0.1    203.0.113.7    asked     asked,announced     searched,announced
    192.168.1.2   192.168.1.2  203.0.113.7    asked     asked,announced     searched,announced
    192.168.1.2   203.0.113.7  203.0.113.7    asked     asked,announced     searched,announced
    192.168.1.9   127.0.0.1    203.0.113.7    asked     asked,announced     searched,announced
    192.168.1.9   192.168.1.2  203.0.113.7    asked     asked,announced-v4  searched,announced-v4
    192.168.1.9   203.0.113.7  203.0.113.7    asked     asked,announced-v4  searched,announced-v4
    198.51.100.9  127.0.0.1    198.51.100.9   asked     asked               searched
    198.51.100.9  192.168.1.2  198.51.100.9   searched  searched            searched
    198.51.100.9  203.0.113.7  198.51.100.9   searched  searched            searched
    ::1           ::1          2001:db8::7    asked     asked,announced     searched,announced
    ::1           fd00::2      2001:db8::7    asked     asked,announced     searched,announced
    ::1           2001:db8::7  2001:db8::7    asked     asked,announced     searched,announced
    fd00::2       2001:db8::7  2001:db8::7    asked     asked,announced     searched,announced
    fd00::9       ::1          2001:db8::7    asked     asked,announced     searched,announced
    fd00::9       fd00::2      -              asked     asked               searched
    fd00::9       2001:db8::7  -              asked     asked               searched
    fe80::9       fd00::2      -              asked     asked               searched
    2001:db8::7   ::1          2001:db8::7    asked     asked,announced     searched,announced
    2001:db8::7   fd00::2      2001:db8::7    asked     asked,announced     searched,announced
    2001:db8::7   2001:db8::7  2001:db8::7    asked     asked,announced     searched,announced
    2001:db8:1::9 ::1          2001:db8:1::9  asked     asked               searched
    2001:db8:1::9 fd00::2      2001:db8:1::9  searched  searched            searched
    2001:db8:1::9 2001:db8::7  2001:db8:1::9  searched  searched            searched
";

/// Requests by way of a proxy: what it says of the client, and the rest as above.
const FORWARDED: &str = "
    198.51.100.9           198.51.100.9   searched  searched            searched
    198.51.100.9:4711      198.51.100.9   searched  searched            searched
    [2001:db8:1::9]        2001:db8:1::9  searched  searched            searched
    [2001:db8:1::9]:4711   2001:db8:1::9  searched  searched            searched
    192.168.1.9            203.0.113.7    asked     asked,announced-v4  searched,announced-v4
    192.168.1.9:4711       203.0.113.7    asked     asked,announced-v4  searched,announced-v4
    fd00::9                -              asked     asked               searched
    127.0.0.1              -              searched  searched            searched
    [::1]:22               -              searched  searched            searched
    192.168.1.2            -              searched  searched            searched
    203.0.113.7            -              searched  searched            searched
    [2001:db8::7]:22       -              searched  searched            searched
    unknown                -              searched  searched            searched
    _hidden                -              searched  searched            searched
    no-address             -              searched  searched            searched
    198.51.100.9,unknown   -              searched  searched            searched
    127.0.0.1,198.51.100.9 198.51.100.9   searched  searched            searched
    ,                      -              searched  searched            searched
";

/// What the gateway does, in the words of the tables: where others are told that the client is, and the deeds.
fn outcome(from: &str, here: &str, header: Option<&str>, proxies: &[&str], policy: Policy) -> (String, String) {
    const HASH: InfoHash = InfoHash::new([7; 20]);
    let (from, here): (SocketAddr, _) = (SocketAddr::new(from.parse().unwrap(), 40_000), here.parse().unwrap());
    let headers: HeaderMap =
        header.iter().map(|value| ("x-forwarded-for".parse().unwrap(), value.parse().unwrap())).collect();
    let proxies: Vec<_> = proxies.iter().map(|range| range.parse().unwrap()).collect();
    let site = Site::default().with_addresses(|ip| OURS.iter().any(|ours| ours.parse() == Ok(ip)));
    let identity = identify(from, here, &headers, &proxies, &site);

    let now = Instant::from_secs(1000);
    let mut broker = Broker::new(policy, BTreeSet::new(), [1; 32]);
    let external = vec!["203.0.113.7".parse().unwrap(), "2001:db8::7".parse().unwrap()];
    broker.set_standing(now, Standing { ready: true, nodes: 100, external });
    let mut request = leech(HASH, 51_413);
    identity.admit(&mut request);
    broker.announce(now, identity.client(here), request);
    let mut done = Vec::new();
    let mut asked = false;
    let mut drain = |broker: &mut Broker, done: &mut Vec<String>, proven: bool| {
        while let Some(order) = broker.poll_output() {
            match order {
                Order::Probe { peer, .. } => {
                    assert_eq!(peer, SocketAddr::new(identity.addr.ip(), 51_413), "it asks the client itself");
                    asked = true;
                    done.push("asked".into());
                }
                Order::Lookup(_) if !proven => done.push("searched".into()),
                Order::Announce { nearness: Nearness::Host, .. } => done.push("announced".into()),
                Order::Announce { .. } => done.push("announced-v4".into()),
                _ => {}
            }
        }
        asked
    };
    if drain(&mut broker, &mut done, false) {
        broker.probe_finished(now, HASH, Verdict::Public);
    }
    drain(&mut broker, &mut done, true);
    // What is done first in one case is done second in another.
    done.sort_unstable_by_key(|deed| deed.starts_with("announced"));
    (told(&mut broker, now, HASH), done.join(","))
}

/// Where two clients elsewhere, one of each family, are told that the member is.
fn told(broker: &mut Broker, now: Instant, hash: InfoHash) -> String {
    let mut told = BTreeSet::new();
    for (asker, here) in [("198.51.100.200:9", "203.0.113.7"), ("[2001:db8:ffff::1]:9", "2001:db8::7")] {
        let (addr, here) = (asker.parse().unwrap(), here.parse().unwrap());
        let client = Client { addr, here, nearness: Nearness::Remote, transport: Transport::Udp };
        let request = Announce { wanted: Some(50), phase: Phase::Update, ..leech(hash, 0) };
        let reply = match broker.announce(now + Duration::from_secs(1), client, request) {
            Decision::Now(answer) => answer.ok(),
            Decision::Held(ticket) => {
                broker.handle_timeout(now + Duration::from_secs(60));
                std::iter::from_fn(|| broker.poll_output()).find_map(|order| match order {
                    Order::Answer(answered, answer) if answered == ticket => answer.ok(),
                    _ => None,
                })
            }
        };
        told.extend(reply.expect("served").peers.into_iter().map(|peer| peer.ip().to_string()));
    }
    if told.is_empty() { "-".into() } else { told.into_iter().collect::<Vec<_>>().join(",") }
}

fn leech(info_hash: InfoHash, port: u16) -> Announce {
    let (left, phase) = (Some(1000), Phase::Started);
    let (downloaded, wanted, cursor, claimed_v4, claimed_v6) = (0, None, None, None, None);
    Announce {
        info_hash,
        peer_id: [port as u8; 20],
        port,
        left,
        downloaded,
        phase,
        wanted,
        cursor,
        claimed_v4,
        claimed_v6,
    }
}

fn rows(table: &str) -> impl Iterator<Item = Vec<&str>> {
    table.lines().map(|line| line.split_whitespace().collect::<Vec<_>>()).filter(|row| !row.is_empty())
}

#[test]
fn without_a_proxy_the_two_addresses_tell_who_the_client_is() {
    for row in rows(DIRECT) {
        let [from, here, told, deeds @ ..] = &row[..] else { panic!("{row:?}") };
        for (policy, done) in POLICIES.into_iter().zip(deeds) {
            // Headers of those who are no proxies change nothing.
            for header in [None, Some("127.0.0.1"), Some("198.51.100.77"), Some("192.168.1.9"), Some("unknown")] {
                let expected = ((*told).to_owned(), (*done).to_owned());
                assert_eq!(
                    outcome(from, here, header, &["10.0.0.0/8"], policy),
                    expected,
                    "{row:?} {policy:?} {header:?}"
                );
            }
        }
    }
}

#[test]
fn behind_a_proxy_only_its_header_tells_and_never_makes_a_client_one_of_this_host() {
    for row in rows(FORWARDED) {
        let [header, told, deeds @ ..] = &row[..] else { panic!("{row:?}") };
        for (policy, done) in POLICIES.into_iter().zip(deeds) {
            for (proxy, here) in
                [("127.0.0.1", "127.0.0.1"), ("10.0.0.1", "127.0.0.1"), ("10.0.0.1", "203.0.113.7"), ("::1", "::1")]
            {
                let expected = ((*told).to_owned(), (*done).to_owned());
                let outcome = outcome(proxy, here, Some(header), &[proxy], policy);
                assert_eq!(outcome, expected, "{row:?} {policy:?} {proxy} to {here}");
            }
        }
    }
    for policy in POLICIES {
        let silent = outcome("127.0.0.1", "127.0.0.1", None, &["127.0.0.1"], policy);
        assert_eq!(silent, ("-".into(), "searched".into()), "a proxy that says nothing, {policy:?}");
    }
}
