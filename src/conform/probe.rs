//! The hand of the checks: asks, waits, answers what the target asks meanwhile, and remembers what passed.

use std::collections::HashMap;
use std::net::{IpAddr, SocketAddr};

use super::conduct::Conduct;
use super::ledger::Ledger;
use super::link::{Link, Source, Wait};
use super::reply::{Reply, Results, expect, failed, skipped};
use super::tree::is_canonical;
use super::{Outcome, Passed, Trouble};
use crate::engine::contact::CompactAddr;
use crate::engine::id::Id;
use crate::engine::random::Random;

pub(super) const PING: &[u8] = b"d1:ad2:id20:{id}e1:q4:ping1:t4:{t}1:y1:qe";
pub(super) const FIND_NODE: &[u8] = b"d1:ad2:id20:{id}6:target20:{hash}e1:q9:find_node1:t4:{t}1:y1:qe";
pub(super) const GET_PEERS: &[u8] = b"d1:ad2:id20:{id}9:info_hash20:{hash}e1:q9:get_peers1:t4:{t}1:y1:qe";

/// A field of a template.
pub(super) type Field<'a> = (&'a str, &'a [u8]);

/// Times that a query is sent: it may get lost, or fall victim to the limits of the target.
const TRIES: usize = 2;
/// Looks at the target's table before a source counts as not taken in, a moment apart: ten seconds, for libtorrent
/// looks at its newcomers every five.
const LOOKS: usize = 40;

const LOCAL_REFUSED: &str = "it keeps no local addresses, as a node of the mainline may; start it for a private network \
                             (ours: --lan), or ask from public addresses (--sources)";

/// One run against one target.
pub struct Probe<'a> {
    pub(super) link: &'a mut dyn Link,
    pub(super) random: Random,
    pub(super) ids: HashMap<Source, Id>,
    /// Number of the last transaction id.
    pub(super) serial: u32,
    hash: Id,
    /// The last datagrams of this check.
    pub(super) transcript: Vec<Passed>,
    /// What the target asked us, and where.
    pub(super) asked: Vec<(Source, Reply)>,
    /// How sources answer that do not answer as usual.
    pub(super) conducts: HashMap<Source, Conduct>,
    /// Whether the target asked for contacts, and was told of some at which nothing answers.
    pub(super) named_ghosts: bool,
    pub(super) ledger: Ledger,
    /// The target was said to serve a private network: it must store what private addresses announce.
    private_network: bool,
    /// Whether the target hands out this source as a contact, once it was tried.
    known: HashMap<Source, bool>,
    /// Looks that are worth while: as many as it took with the first source, doubled, and some.
    looks: usize,
    /// Answers to questions that several checks begin with.
    facts: HashMap<&'static str, bool>,
}

impl std::fmt::Debug for Probe<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Probe").field("target", &self.link.target()).finish_non_exhaustive()
    }
}

impl<'a> Probe<'a> {
    /// A run over `link`; its ids and infohashes come from `seed`.
    pub fn new(link: &'a mut dyn Link, seed: [u8; 32]) -> Self {
        Self {
            link,
            random: Random::new(seed),
            ids: HashMap::new(),
            serial: 0,
            hash: Id::ZERO,
            transcript: Vec::new(),
            asked: Vec::new(),
            conducts: HashMap::new(),
            named_ghosts: false,
            ledger: Ledger::new(),
            private_network: false,
            known: HashMap::new(),
            looks: LOOKS,
            facts: HashMap::new(),
        }
    }

    /// The target serves a private network: local addresses count there.
    #[must_use]
    pub const fn in_private_network(mut self) -> Self {
        self.private_network = true;
        self
    }

    /// Whether the target answers at all: without that no check tells anything.
    pub fn is_there(&mut self) -> bool {
        self.begin();
        self.alive().is_ok()
    }

    /// A new check: an infohash that nobody has used.
    pub(super) fn begin(&mut self) {
        self.hash = self.random.wire_id();
        self.transcript.clear();
    }

    pub(super) fn take_transcript(&mut self) -> Vec<Passed> {
        std::mem::take(&mut self.transcript)
    }

    // The whole tests of the tables.

    pub(super) fn served(&mut self, query: &[u8]) -> Outcome {
        self.ask(query, &[])?.results()?.id().map(drop)
    }

    pub(super) fn refused(&mut self, code: i64, query: &[u8], fields: &[Field<'_>]) -> Outcome {
        let (given, _) = self.ask(query, fields)?.error()?;
        expect(given == code, format!("error {given} instead of {code}"))
    }

    pub(super) fn not_served(&mut self, datagram: &[u8]) -> Outcome {
        let reply = self.provoke(datagram, &[])?;
        expect(!reply.is_some_and(|reply| reply.is_response()), "it is answered like a good query")
    }

    pub(super) fn silent(&mut self, datagram: &[u8]) -> Outcome {
        let reply = self.provoke(datagram, &[])?;
        expect(reply.is_none(), "it is answered")
    }

    pub(super) fn survives(&mut self, datagram: &[u8], fields: &[Field<'_>]) -> Outcome {
        self.provoke(datagram, fields).map(drop)
    }

    pub(super) fn canonical(&mut self, query: &[u8]) -> Outcome {
        let reply = self.ask(query, &[])?;
        expect(is_canonical(&reply.bytes), "the answer is not canonical bencoding")
    }

    // Asking.

    /// The answer to a query from the main source; a failure where there is none.
    pub(super) fn ask(&mut self, query: &[u8], fields: &[Field<'_>]) -> Result<Reply, Trouble> {
        self.ask_from(Source::Main, query, fields)
    }

    /// The answer to a query from `source`.
    pub(super) fn ask_from(&mut self, source: Source, query: &[u8], fields: &[Field<'_>]) -> Result<Reply, Trouble> {
        self.address(source)?;
        let query = self.filled(source, query, fields);
        let transaction = self.transaction_of(&query);
        let mut nothing = "no answer";
        for _ in 0..TRIES {
            self.send(source, &query, false);
            while let Some((at, reply)) = self.receive(Wait::Answer) {
                if at == source && reply.transaction() == transaction {
                    return Ok(reply);
                }
                if at == source && self.serial_of(&reply).is_none() {
                    nothing = "no answer with the transaction id of the query, but one with another";
                }
            }
        }
        Err(failed(nothing))
    }

    /// How long the response to a query is.
    pub(super) fn response_length(&mut self, query: &[u8]) -> Result<usize, Trouble> {
        let reply = self.ask(query, &[])?;
        reply.results()?;
        Ok(reply.bytes.len())
    }

    /// What comes of a datagram that deserves no answer. It is followed by a ping, which must be answered: so silence
    /// is told without a long wait, and a target that went down is noticed at once.
    pub(super) fn provoke(&mut self, datagram: &[u8], fields: &[Field<'_>]) -> Result<Option<Reply>, Trouble> {
        let source = Source::Main;
        self.address(source)?;
        let first_serial = self.serial + 1;
        let datagram = self.filled(source, datagram, fields);
        let own = self.serial + 1;
        self.send(source, &datagram, false);
        let mut answer = None;
        for _ in 0..TRIES {
            let ping = self.filled(source, PING, &[]);
            self.send(source, &ping, false);
            let mut pong = false;
            while let Some((at, reply)) = self.receive(if pong { Wait::Straggler } else { Wait::Answer }) {
                if at != source || self.is_stale(&reply, first_serial) {
                    continue;
                }
                match self.serial_of(&reply) {
                    Some(serial) if serial >= own => pong = true,
                    _ => answer = Some(reply),
                }
            }
            if pong {
                return Ok(answer);
            }
        }
        Err(failed("after this datagram the target answers no ping"))
    }

    /// How many answers come of these datagrams, as they are; a ping behind them must be answered.
    pub(super) fn provoke_raw(&mut self, datagrams: &[Vec<u8>]) -> Result<usize, Trouble> {
        let (source, burst) = (Source::Main, self.link.may_burst());
        self.wait_for_stragglers();
        for datagram in datagrams {
            self.send(source, datagram, burst);
        }
        let mut answers = 0;
        for _ in 0..TRIES {
            let ping = self.filled(source, PING, &[]);
            let own = self.transaction_of(&ping);
            self.send(source, &ping, false);
            let mut pong = false;
            while let Some((at, reply)) = self.receive(if pong { Wait::Straggler } else { Wait::Answer }) {
                let is_pong = at == source && reply.transaction() == own;
                pong |= is_pong;
                answers += usize::from(at == source && !is_pong);
            }
            if pong {
                return Ok(answers);
            }
        }
        Err(failed("after these datagrams the target answers no ping"))
    }

    /// What comes of a query that the target need not answer, and its answer where there is one: even where it is that of
    /// a good query.
    pub(super) fn provoke_answer(&mut self, query: &[u8], fields: &[Field<'_>]) -> Result<Option<Reply>, Trouble> {
        let source = Source::Main;
        self.address(source)?;
        let query = self.filled(source, query, fields);
        let transaction = self.transaction_of(&query);
        for _ in 0..TRIES {
            self.send(source, &query, false);
            let ping = self.filled(source, PING, &[]);
            let own = self.transaction_of(&ping);
            self.send(source, &ping, false);
            let mut pong = false;
            while let Some((at, reply)) = self.receive(if pong { Wait::Straggler } else { Wait::Answer }) {
                if at == source && reply.transaction() == transaction {
                    return Ok(Some(reply));
                }
                pong |= at == source && reply.transaction() == own;
            }
            if pong {
                return Ok(None);
            }
        }
        Err(failed("after this query the target answers no ping"))
    }

    /// Sends a query `count` times at once, with as many transaction ids, and gives all answers.
    pub(super) fn ask_at_once(&mut self, query: &[u8], count: usize) -> Vec<Reply> {
        let first_serial = self.serial + 1;
        for _ in 0..count {
            let query = self.filled(Source::Main, query, &[]);
            self.send(Source::Main, &query, true);
        }
        let mut replies = Vec::new();
        while replies.len() < count
            && let Some((at, reply)) = self.receive(Wait::Answer)
        {
            if at == Source::Main && self.serial_of(&reply).is_some_and(|serial| serial >= first_serial) {
                replies.push(reply);
            }
        }
        replies
    }

    /// Sends all of them at once, and passes over what comes of it.
    pub(super) fn flood(&mut self, source: Source, datagrams: &[Vec<u8>]) {
        for datagram in datagrams {
            self.send(source, datagram, true);
        }
        self.wait_for_stragglers();
    }

    /// Hears what still comes, as long as a reply may be overtaken: how many datagrams.
    pub(super) fn wait_for_stragglers(&mut self) -> usize {
        let mut heard = 0;
        while self.receive(Wait::Straggler).is_some() {
            heard += 1;
        }
        heard
    }

    /// Everything that answers one query: its answer, and what else comes.
    pub(super) fn all_answers(&mut self, query: &[u8]) -> Result<Vec<Reply>, Trouble> {
        let mut answers = vec![self.ask(query, &[])?];
        while let Some((source, reply)) = self.receive(Wait::Straggler) {
            if source == Source::Main {
                answers.push(reply);
            }
        }
        Ok(answers)
    }

    pub(super) fn alive(&mut self) -> Outcome {
        self.ask(PING, &[])?.results()?.id().map(drop)
    }

    // What several checks begin with.

    /// The id of the target.
    pub(super) fn target_id(&mut self) -> Result<[u8; 20], Trouble> {
        self.ask(PING, &[])?.results()?.id()
    }

    /// A token for the infohash of this check.
    pub(super) fn token(&mut self, source: Source) -> Result<Vec<u8>, Trouble> {
        Ok(self.ask_from(source, GET_PEERS, &[])?.results()?.bytes("token")?.to_vec())
    }

    /// A good announce of `port` by `source` for the infohash of this check.
    pub(super) fn announce(&mut self, source: Source, port: u16) -> Outcome {
        self.announce_with(source, b"9:info_hash20:{hash}4:porti{port}e5:token{#token}", port)
    }

    /// An announce with these arguments, written as they are.
    pub(super) fn announce_with(&mut self, source: Source, arguments: &[u8], port: u16) -> Outcome {
        let token = self.token(source)?;
        let reply = self.announce_by(source, arguments, port, &token)?;
        reply.results().map(drop)
    }

    /// An announce with this token, whatever comes of it.
    pub(super) fn announce_by(
        &mut self,
        source: Source,
        arguments: &[u8],
        port: u16,
        token: &[u8],
    ) -> Result<Reply, Trouble> {
        let query = [b"d1:ad2:id20:{id}", arguments, b"e1:q13:announce_peer1:t4:{t}1:y1:qe"].concat();
        self.ask_from(source, &query, &[("port", port.to_string().as_bytes()), ("token", token)])
    }

    /// The peers that the target names for the infohash of this check.
    pub(super) fn peers(&mut self, source: Source) -> Result<Vec<SocketAddr>, Trouble> {
        let reply = self.ask_from(source, GET_PEERS, &[])?;
        let values = reply.results()?.values()?;
        let peer = |value: &&[u8]| crate::engine::contact::decode_addr(value);
        values.iter().map(|value| peer(value).ok_or_else(|| failed("a value has neither 6 nor 18 bytes"))).collect()
    }

    /// Whether the target names `port` at the address of `source`; asked from elsewhere, for some leave the asker out.
    pub(super) fn lists(&mut self, source: Source, port: u16) -> Result<bool, Trouble> {
        let peer = SocketAddr::new(self.ip(source)?, port);
        let asker = if source == Source::Main { Source::SecondPort } else { Source::Main };
        Ok(self.peers(asker)?.contains(&peer))
    }

    /// Fails unless the target names `port` at the address of `source`; says nothing where it stores no local address.
    pub(super) fn expect_listed(&mut self, source: Source, port: u16) -> Outcome {
        if self.lists(source, port)? { Ok(()) } else { Err(self.not_listed("the peer is not listed")) }
    }

    /// What it means that a peer of ours is missing. On the mainline, peers with local addresses are of no use to
    /// anybody; a node that stores none of them takes none for a contact either.
    pub(super) fn not_listed(&mut self, why: impl Into<String>) -> Trouble {
        let is_local = self.ip(Source::Main).is_ok_and(crate::engine::contact::is_local);
        if is_local && !self.private_network && !self.is_known(Source::Main).unwrap_or(true) {
            return skipped(LOCAL_REFUSED);
        }
        failed(why)
    }

    /// Whether the target hands out `source` as a contact; it is asked again and again until it does, for a while.
    pub(super) fn is_known(&mut self, source: Source) -> Result<bool, Trouble> {
        if let Some(&known) = self.known.get(&source) {
            return Ok(known);
        }
        self.ask_from(source, PING, &[])?;
        let mut known = false;
        for look in 0..self.looks {
            known = self.hands_out(source)?;
            if known {
                self.looks = self.looks.min(look * 2 + 8);
                break;
            }
            self.wait(1);
        }
        self.known.insert(source, known);
        Ok(known)
    }

    /// Lets so many moments pass; what the target asks meanwhile is answered.
    pub(super) fn wait(&mut self, moments: usize) {
        for _ in 0..moments {
            while self.receive(Wait::Moment).is_some() {}
        }
    }

    /// Whether a search for the id of `source` names it, now.
    pub(super) fn hands_out(&mut self, source: Source) -> Result<bool, Trouble> {
        let addr = self.address(source)?;
        let id = self.id(source);
        let reply = self.ask(FIND_NODE, &[("hash", &id.0)])?;
        let contact = [&id.0[..], CompactAddr::new(&addr).as_bytes()].concat();
        let (results, key) = (reply.results()?, self.own_nodes());
        // jech/dht leaves the key out as long as it knows nobody.
        Ok(results.get(key).is_some() && results.contacts(key)?.contains(&&contact[..]))
    }

    /// The answer to a question that several checks begin with, asked once.
    pub(super) fn fact(
        &mut self,
        name: &'static str,
        find_out: impl FnOnce(&mut Self) -> Result<bool, Trouble>,
    ) -> Result<bool, Trouble> {
        if let Some(&known) = self.facts.get(name) {
            return Ok(known);
        }
        let fact = find_out(self)?;
        self.facts.insert(name, fact);
        Ok(fact)
    }

    // Who we are.

    /// The key of contacts of the target's own family.
    pub(super) fn own_nodes(&self) -> &'static str {
        if self.link.target().is_ipv4() { "nodes" } else { "nodes6" }
    }

    pub(super) fn target_ip(&self) -> IpAddr {
        self.link.target().ip()
    }

    /// Datagrams of the target that left from another port than the one that was asked.
    pub(super) fn strays(&self) -> usize {
        self.link.strays()
    }

    pub(super) fn may_burst(&self) -> Outcome {
        if self.link.may_burst() { Ok(()) } else { Err(skipped("bursts are sent on this machine only")) }
    }

    pub(super) fn address(&mut self, source: Source) -> Result<SocketAddr, Trouble> {
        self.link.address(source).ok_or_else(|| skipped("this host has no second address to ask from"))
    }

    pub(super) fn ip(&mut self, source: Source) -> Result<IpAddr, Trouble> {
        Ok(self.address(source)?.ip())
    }

    pub(super) fn random(&mut self) -> &mut Random {
        &mut self.random
    }

    pub(super) const fn hash(&self) -> Id {
        self.hash
    }

    /// Another infohash for the rest of this check.
    pub(super) fn next_hash(&mut self) {
        self.hash = self.random.wire_id();
    }

    /// What the target asked us so far.
    pub(super) fn asked(&self) -> &[(Source, Reply)] {
        &self.asked
    }
}

/// Fails unless `results` name no contact of a shape that no node may have.
pub(super) fn sendable_contacts(results: Results<'_>, key: &str) -> Outcome {
    for record in results.contacts(key)? {
        let addr = crate::engine::contact::decode_addr(&record[20..]);
        let sendable = addr.is_some_and(|addr| crate::engine::contact::is_sendable(&addr));
        expect(sendable, format!("{addr:?} is handed out as a contact"))?;
    }
    Ok(())
}
