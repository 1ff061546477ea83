//! Datagrams to and from the target: filled, sent, kept for the report of a failure and for the audit; and the answers
//! of our sources to what the target asks them.

use std::net::{IpAddr, SocketAddr};

use super::conduct::{CONTACTS, Conduct, PEERS, PONG};
use super::ledger::argument;
use super::link::{Source, Wait};
use super::probe::{Field, PING, Probe};
use super::reply::Reply;
use super::template::fill;
use super::{Check, Passed};
use crate::engine::contact::CompactAddr;
use crate::engine::id::Id;

/// Datagrams kept for the report of a failure.
const TRANSCRIPT: usize = 8;
/// Moments in which a target looks at those who take leave, and until it looks at an address again.
const LEAVING: usize = 6;
const MEMORY: usize = 36;
/// Queries of the target that are kept.
const ASKED: usize = 4096;
/// Contacts that our sources name and that nobody may hand out: nothing ever answers there.
pub(super) const GHOSTS: u8 = 4;

/// How a query ends.
const END: &[u8] = b"1:t4:{t}1:y1:qe";

impl Probe<'_> {
    /// A datagram of `source`: `{id}`, `{t}` (new), `{hash}` and the given fields, which come first.
    pub(super) fn filled(&mut self, source: Source, template: &[u8], fields: &[Field<'_>]) -> Vec<u8> {
        let id = self.id(source);
        let hash = self.hash();
        self.serial += 1;
        let transaction = transaction(self.serial);
        let standard: [Field<'_>; 3] = [("id", &id.0), ("t", &transaction), ("hash", &hash.0)];
        let fields = [fields, &standard].concat();
        // BEP 43: the many enter no table, so that no contact is kept that is gone when the run is over.
        match template.strip_suffix(END).filter(|_| matches!(source, Source::Crowd(_) | Source::ReadOnly)) {
            Some(head) if head.ends_with(b"2:roi1e") => fill(template, &fields),
            Some(head) => fill(&[head, b"2:roi1e", END].concat(), &fields),
            None => fill(template, &fields),
        }
    }

    pub(super) fn send(&mut self, source: Source, datagram: &[u8], burst: bool) {
        if let Some(from) = self.link.address(source) {
            self.ledger.note_sent(source, from, datagram);
        }
        self.note(true, source, datagram);
        self.link.send(source, datagram, burst);
    }

    /// The next datagram that is no query; queries are answered, each source by its conduct.
    pub(super) fn receive(&mut self, wait: Wait) -> Option<(Source, Reply)> {
        loop {
            let (source, bytes) = self.link.receive(wait)?;
            let reply = Reply::new(bytes);
            if let Some(at) = self.link.address(source) {
                self.ledger.judge(source, at, &reply);
            }
            if !reply.is_query() {
                self.note(false, source, &reply.bytes);
                return Some((source, reply));
            }
            self.answer(source, &reply);
            if self.asked.len() < ASKED {
                self.asked.push((source, reply));
            }
        }
    }

    /// Answers a query of the target.
    fn answer(&mut self, source: Source, query: &Reply) {
        let wants_contacts = ["target", "info_hash"].iter().any(|key| argument(query, key).is_some());
        let good = match query.top_bytes("q") {
            Some(b"get_peers") => PEERS,
            _ if wants_contacts => CONTACTS,
            _ => PONG,
        };
        let (template, from): (&[u8], Source) = match self.conduct(source) {
            Conduct::Silent => return,
            Conduct::Well => (good, source),
            Conduct::From(other) => (good, other),
            Conduct::With(template) => (template, source),
            Conduct::Mirror => (b"{query}", source),
        };
        let answer = self.answer_by(source, template, query);
        self.named_ghosts |= wants_contacts && template == good;
        if let Some(at) = self.link.address(from) {
            let said = Reply::new(answer.clone());
            // Who hears that another has its id may take a new one, as a node of ours in a private network does.
            if said.results().and_then(|results| results.id()).is_ok_and(|id| id[..] == *asker_of(query)) {
                self.ledger.note_vote();
            }
            if said.transaction() == query.transaction()
                && from == source
                && let Ok(id) = said.results().and_then(|results| results.id())
            {
                self.ledger.note_answered(at, id);
            }
            self.ledger.note_sent(from, at, &answer);
            self.link.send(from, &answer, true);
        }
    }

    /// A template of an answer, filled.
    fn answer_by(&mut self, source: Source, template: &[u8], query: &Reply) -> Vec<u8> {
        let theirs = query.transaction().to_vec();
        let target = asker_of(query).to_vec();
        let ghosts = self.ghosts(&target);
        let (nodes, nodes6): (&[u8], &[u8]) = if self.own_nodes() == "nodes" { (&ghosts, b"") } else { (b"", &ghosts) };
        let elsewhere = self.elsewhere();
        let (short, long) = (&theirs[..theirs.len().saturating_sub(1)], [&theirs[..], b"x"].concat());
        let flipped = [short, &theirs.last().map(|byte| [byte ^ 1]).unwrap_or_default()].concat();
        let fields: [Field<'_>; 9] = [
            ("theirs", &theirs),
            ("short", short),
            ("long", &long),
            ("flipped", &flipped),
            ("target", &target),
            ("query", &query.bytes),
            ("nodes", nodes),
            ("nodes6", nodes6),
            ("elsewhere", elsewhere.as_bytes()),
        ];
        self.filled(source, template, &fields)
    }

    /// What our sources name as contacts: some at which nothing ever answers, the id of the target at one of them, and
    /// three addresses that nobody can have.
    fn ghosts(&mut self, target: &[u8]) -> Vec<u8> {
        let mut records = Vec::new();
        for number in 0..=GHOSTS {
            let source = Source::Ghost(number);
            let Some(addr) = self.link.address(source) else { continue };
            self.ledger.note_source(source, addr);
            let id = self.id(source);
            let id = if number == GHOSTS { target } else { &id.0 };
            records.extend_from_slice(&[id, CompactAddr::new(&addr).as_bytes()].concat());
        }
        let nowhere: [&[u8]; 3] = if self.own_nodes() == "nodes" {
            [b"\xcb\x00\x71\x09\x00\x00", b"\x00\x00\x00\x00\x1a\xe1", b"\xe0\x00\x00\x01\x1a\xe1"]
        } else {
            [
                b"\x20\x01\x0d\xb8\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x09\x00\x00",
                b"\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x1a\xe1",
                b"\xff\x02\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x01\x1a\xe1",
            ]
        };
        for addr in nowhere {
            records.extend_from_slice(&[b"nowhere-nowhere-nowh", addr].concat());
        }
        records
    }

    /// An address of the documentation, in the compact form of the target's family: the target is never there.
    pub(super) fn elsewhere(&self) -> CompactAddr {
        let ip: IpAddr =
            if self.own_nodes() == "nodes" { [1, 2, 3, 4].into() } else { [0x2600, 1, 2, 3, 4, 5, 6, 7].into() };
        CompactAddr::new(&SocketAddr::new(ip, 6881))
    }

    /// Takes leave of the target. The DHT has no word for that; but a contact that answers under another id is not the one
    /// that was known, and nodes drop it (BEP 45; libtorrent, mldht). So everyone who answered the target asks it once
    /// more under another id; and again, later, where it did not look at once.
    pub fn leave(&mut self) {
        let mut known = self.ledger.answerers();
        for pause in [MEMORY, 0] {
            let heard = self.asked.len();
            for &source in &known {
                if let Some(addr) = self.link.address(source) {
                    self.set_conduct(source, Conduct::Well);
                    let id = Id::for_address(addr.ip(), &mut self.random);
                    self.ids.insert(source, id);
                    let ping = self.filled(source, PING, &[]);
                    self.send(source, &ping, false);
                }
            }
            self.wait(LEAVING);
            known.retain(|source| !self.asked[heard..].iter().any(|(asked, _)| asked == source));
            if known.is_empty() {
                return;
            }
            self.wait(pause);
        }
    }

    /// How `source` answers from now on.
    pub(super) fn set_conduct(&mut self, source: Source, conduct: Conduct) {
        self.conducts.insert(source, conduct);
    }

    fn conduct(&self, source: Source) -> Conduct {
        self.conducts.get(&source).copied().unwrap_or_else(|| Conduct::of(source))
    }

    fn note(&mut self, sent: bool, source: Source, bytes: &[u8]) {
        if self.transcript.len() == TRANSCRIPT {
            self.transcript.remove(0);
        }
        self.transcript.push(Passed { sent, source, bytes: bytes.to_vec() });
    }

    /// What the audit has to say of `check`.
    pub(super) fn audited(&mut self, check: &Check) -> super::Outcome {
        let tally = self.ledger.tally(check);
        match tally.broken {
            Some((why, passed)) => {
                self.transcript = vec![passed];
                Err(super::reply::failed(why))
            }
            None if tally.applied == 0 => Err(super::reply::skipped("no datagram of this run tells")),
            None => Ok(()),
        }
    }

    /// The transaction id of a query that was just filled: the one that it names itself, if it can be read.
    pub(super) fn transaction_of(&self, query: &[u8]) -> Vec<u8> {
        match Reply::new(query.to_vec()).transaction() {
            [] => transaction(self.serial).to_vec(),
            named => named.to_vec(),
        }
    }

    /// Whether `reply` answers something older than the question at hand.
    pub(super) fn is_stale(&self, reply: &Reply, since: u32) -> bool {
        self.serial_of(reply).is_some_and(|serial| serial < since)
    }

    /// Which of our own transaction ids it carries.
    pub(super) fn serial_of(&self, reply: &Reply) -> Option<u32> {
        let bytes: [u8; 4] = reply.transaction().try_into().ok()?;
        let serial = u32::from_be_bytes([0, 0, bytes[2], bytes[3]]);
        (transaction(serial) == bytes && serial <= self.serial).then_some(serial)
    }

    /// The id of `source`, which fits its address (BEP 42).
    pub(super) fn id(&mut self, source: Source) -> Id {
        let ip = self.link.address(source).map_or(IpAddr::from([127, 0, 0, 1]), |addr| addr.ip());
        let random = &mut self.random;
        *self.ids.entry(source).or_insert_with(|| Id::for_address(ip, random))
    }
}

/// The id that a query carries.
fn asker_of(query: &Reply) -> &[u8] {
    argument(query, "id").and_then(|id| id.bytes()).unwrap_or_default()
}

/// Our transaction ids count: so a late answer is told from one that is due. Four bytes, for the `mainline` crate
/// drops any other length.
fn transaction(serial: u32) -> [u8; 4] {
    let [.., high, low] = serial.to_be_bytes();
    [b'C', b'f', high, low]
}
