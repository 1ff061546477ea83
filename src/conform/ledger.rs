//! The ledger of a run: every datagram that the target sent is judged by every rule of the audit.
//!
//! Each rule keeps how often it applied and the first datagram that broke it, so that the ledger does not grow with what
//! the target sends; what it remembers otherwise, our own datagrams bound.

use std::collections::{HashMap, HashSet};
use std::net::{IpAddr, SocketAddr};

use super::link::Source;
use super::reply::Reply;
use super::tree::Tree;
use super::{Check, Passed, Test};

/// What a rule says of one datagram: nothing where it does not apply.
pub(super) type Judgement = Option<Result<(), String>>;

/// A rule of the audit.
pub(super) type Judge = fn(&Ledger, &Arrival<'_>) -> Judgement;

/// A datagram of the target, and what it belongs to.
#[derive(Debug)]
pub(super) struct Arrival<'a> {
    pub(super) source: Source,
    /// Where it arrived.
    pub(super) at: SocketAddr,
    pub(super) reply: &'a Reply,
    /// The query that it answers, if it is a reply to one.
    pub(super) query: Option<&'a Sent>,
}

/// Queries that we sent from one source with one transaction id.
#[derive(Clone, Debug, Default)]
pub(super) struct Sent {
    pub(super) method: Vec<u8>,
    pub(super) times: usize,
    pub(super) answers: usize,
}

/// What a rule has seen.
#[derive(Clone, Debug, Default)]
pub(super) struct Tally {
    pub(super) applied: usize,
    pub(super) broken: Option<(String, Passed)>,
}

/// Everything that the rules need to know of the run so far.
#[derive(Debug)]
pub(super) struct Ledger {
    sent: HashMap<(Source, Vec<u8>), Sent>,
    /// Transaction ids that only our replies carried.
    replied: HashSet<(Source, Vec<u8>)>,
    /// Where the target had an answer to a query of its own from, and under which id.
    answerers: HashSet<(SocketAddr, [u8; 20])>,
    sources: HashMap<SocketAddr, Source>,
    announcers: HashSet<IpAddr>,
    /// The id of the first response.
    id: Option<[u8; 20]>,
    /// The target was given a reason to change its id.
    voted: bool,
    /// The target has sent a message.
    heard: bool,
    /// The `v` of the first datagram that had one.
    version: Option<Vec<u8>>,
    tells_addresses: Option<bool>,
    /// The last query to each source, and how many came.
    asked: HashMap<Source, (Vec<u8>, usize)>,
    tallies: HashMap<&'static str, Tally>,
    /// The rules: those checks of the audit that judge one datagram.
    rules: &'static [Check],
}

impl Ledger {
    pub(super) fn new() -> Self {
        Self {
            sent: HashMap::new(),
            replied: HashSet::new(),
            answerers: HashSet::new(),
            sources: HashMap::new(),
            announcers: HashSet::new(),
            id: None,
            voted: false,
            heard: false,
            version: None,
            tells_addresses: None,
            asked: HashMap::new(),
            tallies: HashMap::new(),
            rules: &[],
        }
    }

    /// Judges by these rules from now on.
    pub(super) const fn hold_to(&mut self, rules: &'static [Check]) {
        self.rules = rules;
    }

    /// A datagram leaves for the target, from `source` at `from`.
    pub(super) fn note_sent(&mut self, source: Source, from: SocketAddr, datagram: &[u8]) {
        self.sources.insert(from, source);
        let message = Reply::new(datagram.to_vec());
        if message.is_response() {
            self.replied.insert((source, message.transaction().to_vec()));
            return;
        }
        let method = message.top_bytes("q").unwrap_or_default().to_vec();
        if method == b"announce_peer" {
            self.announcers.insert(from.ip());
        }
        let transaction = if message.is_readable() { message.transaction().to_vec() } else { transaction_in(datagram) };
        let sent = self.sent.entry((source, transaction)).or_default();
        sent.method = method;
        sent.times += 1;
    }

    /// A query of the target was answered, from where it was sent and with its transaction id.
    pub(super) fn note_answered(&mut self, from: SocketAddr, id: [u8; 20]) {
        self.answerers.insert((from, id));
    }

    /// From now on the id may change: votes about the address are cast, or the target was told that another has its id.
    pub(super) const fn note_vote(&mut self) {
        self.voted = true;
    }

    /// A datagram of the target has arrived.
    pub(super) fn judge(&mut self, source: Source, at: SocketAddr, reply: &Reply) {
        self.learn(source, reply);
        self.heard |= reply.has("y");
        let key = (source, reply.transaction().to_vec());
        let query = if reply.is_query() { None } else { self.sent.get(&key).cloned() };
        let arrival = Arrival { source, at, reply, query: query.as_ref() };
        let rules = self.rules.iter().filter_map(|check| match check.test {
            Test::Audit(judge) => Some((check.id, judge)),
            _ => None,
        });
        let judged: Vec<(&'static str, Result<(), String>)> =
            rules.filter_map(|(rule, judge)| Some((rule, judge(self, &arrival)?))).collect();
        for (rule, judgement) in judged {
            let tally = self.tallies.entry(rule).or_default();
            tally.applied += 1;
            if let (Err(why), None) = (judgement, &tally.broken) {
                let passed = Passed { sent: false, source, bytes: reply.bytes.clone() };
                tally.broken = Some((why, passed));
            }
        }
        if reply.is_query() {
            let asked = self.asked.entry(source).or_default();
            *asked = (reply.bytes.clone(), asked.1 + 1);
        }
    }

    /// What the first datagram of a kind says is what the later ones are held to.
    fn learn(&mut self, source: Source, reply: &Reply) {
        let id = reply.results().ok().and_then(|results| results.id().ok());
        self.id = self.id.or(id);
        if self.version.is_none() {
            self.version = reply.top_bytes("v").map(<[u8]>::to_vec);
        }
        if reply.is_response() {
            self.tells_addresses.get_or_insert(reply.top_bytes("ip").is_some());
        }
        if !reply.is_query()
            && let Some(sent) = self.sent.get_mut(&(source, reply.transaction().to_vec()))
        {
            sent.answers += 1;
        }
    }

    /// What the rule of `check` has seen.
    pub(super) fn tally(&self, check: &Check) -> Tally {
        self.tallies.get(check.id).cloned().unwrap_or_default()
    }

    /// Whether the target has sent a message.
    pub(super) const fn has_heard(&self) -> bool {
        self.heard
    }

    /// The id that every message must carry.
    pub(super) fn id(&self) -> Option<[u8; 20]> {
        self.id.filter(|_| !self.voted)
    }

    pub(super) fn version(&self) -> Option<&[u8]> {
        self.version.as_deref()
    }

    pub(super) fn tells_addresses(&self) -> bool {
        self.tells_addresses == Some(true)
    }

    pub(super) fn only_replied(&self, source: Source, transaction: &[u8]) -> bool {
        self.replied.contains(&(source, transaction.to_vec()))
    }

    pub(super) fn has_answered(&self, addr: SocketAddr, id: [u8; 20]) -> bool {
        self.answerers.contains(&(addr, id))
    }

    /// Who answered the target under an id that a contact may have.
    pub(super) fn answerers(&self) -> Vec<Source> {
        let usable = self.answerers.iter().filter(|(_, id)| *id != [0; 20] && Some(*id) != self.id);
        let mut all: Vec<Source> = usable.filter_map(|(addr, _)| self.source_at(addr)).collect();
        all.sort_unstable();
        all.dedup();
        all
    }

    /// Which of our sources is at `addr`.
    pub(super) fn source_at(&self, addr: &SocketAddr) -> Option<Source> {
        self.sources.get(addr).copied()
    }

    pub(super) fn has_announced(&self, ip: IpAddr) -> bool {
        self.announcers.contains(&ip)
    }

    /// The query to `source` before this one, and how many there were.
    pub(super) fn asked_before(&self, source: Source) -> Option<&(Vec<u8>, usize)> {
        self.asked.get(&source)
    }

    /// A source that listens at `addr` without having sent anything.
    pub(super) fn note_source(&mut self, source: Source, addr: SocketAddr) {
        self.sources.insert(addr, source);
    }
}

/// The transaction id in a datagram that is no bencoding: where it can be seen, as readers of substrings see it.
fn transaction_in(datagram: &[u8]) -> Vec<u8> {
    let at = datagram.windows(5).rposition(|window| window == b"1:t4:");
    at.and_then(|at| datagram.get(at + 5..at + 9)).unwrap_or_default().to_vec()
}

/// The argument `key` of a query.
pub(super) fn argument<'a>(query: &'a Reply, key: &str) -> Option<&'a Tree> {
    query.arguments().and_then(|arguments| arguments.get(key))
}
