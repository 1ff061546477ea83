//! BEP 51, on the wire and as a command.

use super::*;
use crate::engine::limits::{SAMPLE_INTERVAL, SAMPLES};

const ASKER: &str = "10.9.8.7:4321";

fn sampled(bench: &mut Bench) -> (Vec<InfoHash>, u64, u32) {
    let query = b"d1:ad2:id20:abcdefghij01234567896:target20:mnopqrstuvwxyz1234564:wantl2:n42:n6ee\
        1:q17:sample_infohashes1:t2:aa1:y1:qe";
    let reply = bench.handle(ASKER.parse().unwrap(), query).remove(0);
    assert!(reply.len() <= MAX_DATAGRAM);
    let Kind::Response(response) = Message::decode(&reply).expect("a message").kind else { panic!("no response") };
    let samples = response.samples.expect("samples");
    (samples.iter().collect(), samples.total, samples.interval)
}

fn swarm(number: u32) -> InfoHash {
    let mut bytes = [7; 20];
    bytes[..4].copy_from_slice(&number.to_be_bytes());
    bytes.into()
}

#[test]
fn a_sample_is_a_fixed_choice_of_all_infohashes_until_the_interval_is_over() {
    for total in [0_u32, 5, 20, 10_000] {
        let mut bench = Bench::new(config());
        for number in 0..total {
            bench.node.plant(bench.now, &swarm(number), addr(1), false);
        }
        let (first, count, interval) = sampled(&mut bench);
        assert_eq!((count, interval), (u64::from(total), SAMPLE_INTERVAL.as_secs() as u32));
        assert_eq!(first.len(), SAMPLES.min(total as usize));
        let distinct: std::collections::BTreeSet<_> = first.iter().collect();
        assert_eq!(distinct.len(), first.len());
        assert!(first.iter().all(|id| *id <= swarm(total)), "all are stored");
        assert_eq!(sampled(&mut bench).0, first);
        bench.now += SAMPLE_INTERVAL;
        assert_eq!(sampled(&mut bench).0 == first, total <= 20, "a new choice of {total}");
    }
}

#[test]
fn a_node_is_not_asked_again_before_its_interval_is_over() {
    let mut net = Net::new(3);
    net.run_for(secs(10));
    let now = net.now;
    net.node(1).plant(now, &SWARM, addr(9), false);
    let sample = |net: &mut Net, op| {
        net.run_for(secs(3));
        let events = net.events.drain(..).map(|(_, event)| event).filter(|event| event.op() == Some(op));
        events.collect::<Vec<_>>()
    };
    let op = net.node(2).sample(now, addr(1), Target(*SWARM));
    let events = sample(&mut net, op);
    let [Event::Sampled { sample: Some(first), contacts, .. }, Event::Done { .. }] = &events[..] else {
        panic!("{events:?}")
    };
    assert_eq!((&first.infohashes[..], first.total, first.interval), (&[SWARM][..], 1, SAMPLE_INTERVAL));
    assert!(!contacts.is_empty());
    let now = net.now;
    let op = net.node(2).sample(now, addr(1), Target(*SWARM));
    let events = sample(&mut net, op);
    let [Event::SampleTooSoon { wait, .. }, Event::Done { summary, .. }] = &events[..] else { panic!("{events:?}") };
    assert!(*wait > secs(290) && summary.asked == 0);
    net.run_for(SAMPLE_INTERVAL);
    let now = net.now;
    let op = net.node(2).sample(now, addr(1), Target(*SWARM));
    assert!(matches!(sample(&mut net, op)[0], Event::Sampled { .. }));
}
