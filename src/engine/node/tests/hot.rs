//! Infohashes that are hot: what a node answers, and what it asks.

use super::*;
use crate::engine::contact::CompactAddr;
use crate::engine::krpc::encode::{self, Ask, Reply};
use crate::engine::krpc::{Method, Response};
use crate::engine::limits::{HOT_KEY_PEERS, HOT_KEY_QUERIES_PER_MINUTE, PEERS_PER_SWARM, SWARM_SHARE};

const HOT: InfoHash = InfoHash(Id([0x66; 20]));

fn far(index: usize) -> SocketAddr {
    ([50 + (index >> 16) as u8, (index >> 8) as u8, index as u8, 1], 6881).into()
}

/// A node that knows a contact, and a swarm of so many peers.
fn with_a_swarm(peers: usize, config: Config) -> Bench {
    let mut bench = Bench::new(Config { has_routers: false, cache_ways: 0, ..config });
    bench.node.table.answered(bench.now, Contact { id: NodeId::new([0x55; 20]), addr: far(70_000) }, DELAY);
    for index in 0..peers {
        bench.node.plant(bench.now, &HOT, far(index), false);
    }
    bench
}

/// What is answered to one more question: (contacts, token, peers).
fn ask(bench: &mut Bench, from: SocketAddr, version: &str) -> (bool, bool, usize) {
    let mut query = Vec::new();
    encode::query(&mut query, *b"aaaa", &NodeId::new([0x77; 20]), true, &Ask::GetPeers(HOT));
    let at = query.windows(3).rposition(|bytes| bytes == b"1:y").expect("a query");
    let version: Vec<u8> = if version.is_empty() { Vec::new() } else { format!("1:v4:{version}").into_bytes() };
    // `v` comes before `y`; what encode writes of its own is taken out.
    let own = query.windows(3).position(|bytes| bytes == b"1:v").unwrap_or(at);
    query.splice(own..at, version);
    let replies = bench.handle(from, &query);
    let [reply] = replies.as_slice() else { panic!("{} replies", replies.len()) };
    let Kind::Response(Response { nodes, token, values, .. }) = Message::decode(reply).expect("a message").kind else {
        panic!("no response")
    };
    (!nodes.is_empty(), token.is_some(), values.iter().count())
}

/// Ten questions a second for this many seconds, each of another network; what was answered in the last of them.
fn ask_for(bench: &mut Bench, seconds: usize) -> Vec<(bool, bool, usize)> {
    let mut answers = Vec::new();
    for second in 0..seconds {
        answers.clear();
        for number in 0..10 {
            bench.now += Duration::from_millis(100);
            answers.push(ask(bench, far(10_000 + 10 * second + number), ""));
        }
    }
    answers
}

#[test]
fn only_what_is_hot_and_full_is_answered_without_contacts() {
    let mut bench = with_a_swarm(HOT_KEY_PEERS, Config::new(Family::V4));
    for number in 0..5 * HOT_KEY_QUERIES_PER_MINUTE as usize {
        bench.now += Duration::from_secs(60) / HOT_KEY_QUERIES_PER_MINUTE;
        let (contacts, token, peers) = ask(&mut bench, far(10_000 + number), "");
        assert!(contacts && token && peers >= 50, "an ordinary swarm, question {number}");
    }
    ask_for(&mut bench, 60);
    let before = *bench.node.stats();
    let answers: Vec<_> = (0..60).flat_map(|_| ask_for(&mut bench, 1)).collect();
    let with_contacts = answers.iter().filter(|(contacts, ..)| *contacts).count();
    assert!((11..=13).contains(&with_contacts), "{with_contacts} of 600 in a minute");
    assert!(answers.iter().all(|(_, _, peers)| *peers >= 50));
    assert_eq!((bench.node.stats().hot_answers - before.hot_answers) as usize, 600 - with_contacts);
    // Once it is asked for less often, all is as before.
    bench.now += Duration::from_mins(6);
    assert!(matches!(ask(&mut bench, far(20_000), ""), (true, true, _)));
    // A small swarm that everybody asks for is not full, and without the rule none is.
    for (peers, hot_keys) in [(HOT_KEY_PEERS / 2 - 1, Config::new(Family::V4).hot_keys), (HOT_KEY_PEERS, None)] {
        let mut bench = with_a_swarm(peers, Config { hot_keys, ..Config::new(Family::V4) });
        assert!(ask_for(&mut bench, 120).iter().all(|(contacts, token, _)| *contacts && *token));
    }
}

#[test]
fn tokens_of_what_is_hot_go_to_its_peers_to_aria2_and_to_a_few_newcomers() {
    let mut bench = with_a_swarm(HOT_KEY_PEERS, Config::new(Family::V4));
    ask_for(&mut bench, 120);
    let answers: Vec<_> = (0..60).flat_map(|_| ask_for(&mut bench, 1)).collect();
    let tokens = answers.iter().filter(|(_, token, _)| *token).count();
    assert!((60..=75).contains(&tokens), "{tokens} of 600 newcomers in a minute");
    assert!(bench.node.stats().tokens_withheld > 0);
    for second in 0..30 {
        ask_for(&mut bench, 1);
        assert!(ask(&mut bench, far(second), "").1, "one that announces again");
        assert!(ask(&mut bench, far(15_000 + second), "A2xx").1, "aria2");
    }
}

#[test]
fn one_network_cannot_fill_a_swarm_that_is_hot() {
    let mut bench = with_a_swarm(HOT_KEY_PEERS, Config::new(Family::V4));
    ask_for(&mut bench, 120);
    let attacker = |host: usize| SocketAddr::from(([90, 1, 1, host as u8], 6881));
    let store = |bench: &mut Bench, peer| {
        let now = bench.now;
        bench.node.store(now, &HOT, peer, false);
    };
    (0..250).for_each(|host| store(&mut bench, attacker(host)));
    let of_attacker = |bench: &Bench| {
        let now = bench.now;
        bench.node.peers().iter(now).filter(|stored| stored.peer.ip().to_string().starts_with("90.1.1.")).count()
    };
    assert_eq!(
        (bench.node.peers().peers(), of_attacker(&bench)),
        (HOT_KEY_PEERS, SWARM_SHARE.owner * HOT_KEY_PEERS / PEERS_PER_SWARM)
    );
    assert!(!ask(&mut bench, attacker(251), "").1 && !ask(&mut bench, attacker(252), "").1, "its share is taken");
}

/// A client whose table has contacts at random, which answer as told.
struct Client {
    bench: Bench,
    ids: BTreeMap<SocketAddr, NodeId>,
    key: Id,
    asked: Vec<NodeId>,
}

impl Client {
    fn new() -> Self {
        let mut bench = Bench::new(Config { has_routers: false, cache_ways: 0, ..config() });
        let (mut random, mut ids) = (Random::new([4; 32]), BTreeMap::new());
        for index in 0..400 {
            let contact = Contact { id: NodeId(random.wire_id()), addr: far(index) };
            bench.node.table.answered(bench.now, contact, DELAY);
        }
        ids.extend(bench.node.entries().map(|entry| (entry.contact.addr, entry.contact.id)));
        // On the other side of the key space.
        let mut key = *bench.node.id();
        key.0[0] ^= 0x80;
        Self { bench, ids, key, asked: Vec::new() }
    }

    /// Runs an operation; its end, and where it was stored. Those that are hot answer with peers alone, the others with the contact
    /// closest to the key.
    fn run(&mut self, command: Command, is_hot: impl Fn(&NodeId) -> bool) -> (Summary, Vec<NodeId>) {
        self.asked.clear();
        let op = self.bench.node.begin(self.bench.now, command);
        let (mut replies, mut stored) = (VecDeque::new(), Vec::new());
        for _ in 0..10_000 {
            match self.bench.node.poll_output() {
                Output::Transmit { to, payload } => {
                    let payload = payload.to_vec();
                    if let Some(id) = self.ids.get(&to).copied() {
                        replies.extend(self.reply(to, id, &payload, is_hot(&id)).map(|reply| (to, reply)));
                    }
                }
                Output::Event(Event::Stored { at, .. }) => stored.push(at.id),
                Output::Event(Event::Done { op: other, summary }) if other == op => return (summary, stored),
                Output::Event(_) => {}
                Output::Wait(deadline, _) => match replies.pop_front() {
                    Some((from, reply)) => {
                        self.bench.now += DELAY;
                        self.bench.node.handle_datagram(self.bench.now, from, &reply);
                    }
                    None => {
                        self.bench.now = self.bench.now.max(deadline);
                        self.bench.node.handle_timeout(self.bench.now);
                    }
                },
            }
        }
        panic!("it does not end")
    }

    fn reply(&mut self, from: SocketAddr, id: NodeId, payload: &[u8], is_hot: bool) -> Option<Vec<u8>> {
        let message = Message::decode(payload).ok()?;
        let Kind::Query(query) = message.kind else { return None };
        let mut reply = Vec::new();
        let mut response = Reply::begin(&mut reply, &id, &from, message.transaction);
        if let Method::GetPeers { .. } = query.method {
            self.asked.push(id);
            let key = self.key;
            let closest = self.ids.iter().min_by_key(|(_, id)| id.distance(&key)).map(|(addr, id)| (*addr, *id));
            if !is_hot && let Some((addr, id)) = closest {
                response.contacts(Family::V4, [Contact { id, addr }].iter());
            }
            response.token(b"tokentok");
            let peers: Vec<_> = (0..if is_hot { 60 } else { 1 })
                .map(|port| CompactAddr::new(&([60, 1, id.as_bytes()[0], id.as_bytes()[1]], 1 + port).into()))
                .collect();
            response.values(Family::V4, peers.iter().map(CompactAddr::as_bytes));
        }
        response.end();
        Some(reply)
    }
}

#[test]
fn a_key_that_was_hot_is_looked_up_at_random_contacts_on_the_way() {
    let mut client = Client::new();
    let info_hash = InfoHash(client.key);
    let find = || Command::FindPeers { info_hash };
    let (first, _) = client.run(find(), |_| true);
    assert!(first.asked > 5, "the first lookup is an ordinary one, whatever is answered: {}", first.asked);
    let (mut places, mut bits) = (BTreeMap::new(), 0);
    for _ in 0..40 {
        let (visit, _) = client.run(find(), |_| true);
        assert_eq!((visit.asked, visit.peers), (3, 180), "three that are hot, and as many peers as a client needs");
        for id in &client.asked {
            *places.entry(*id).or_insert(0) += 1;
            bits += id.common_prefix_len(&client.key);
        }
    }
    assert!(places.len() > 50, "{} contacts share 120 questions", places.len());
    assert!(bits < 120 * 4, "most of them far from the key");
    let (_, stored) = client.run(Command::Announce { info_hash, port: 1, seed: false }, |_| true);
    assert_eq!(stored.len(), 3);
    assert!(stored.iter().all(|id| client.asked.contains(id)));
}

#[test]
fn a_key_that_has_cooled_is_looked_up_as_any_other() {
    let mut client = Client::new();
    let info_hash = InfoHash(client.key);
    let find = || Command::FindPeers { info_hash };
    client.run(find(), |_| true);
    let closest =
        |client: &Client| client.ids.values().min_by_key(|id| id.distance(&client.key)).copied().expect("contacts");
    let (visit, _) = client.run(find(), |_| false);
    assert!(visit.asked > 8 && client.asked.contains(&closest(&client)), "visits, and then a lookup: {}", visit.asked);
    let (plain, _) = client.run(find(), |_| false);
    assert!(plain.asked < visit.asked, "{} after {}", plain.asked, visit.asked);
    // Two are not enough: who ends a lookup early must be several.
    let two: Vec<NodeId> = client.asked.iter().take(2).copied().collect();
    client.run(find(), |id| two.contains(id));
    assert_eq!(client.run(find(), |_| false).0.asked, plain.asked);
    let mut off = Client::new();
    off.bench.node.config.visits = false;
    off.run(find(), |_| true);
    assert!(off.run(find(), |_| true).0.asked > 3);
}
