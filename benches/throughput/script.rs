//! The scripts: an endless one for every measured query, and finite ones that fill a server.

use std::time::Duration;

use trackerless::engine::id::{Id, NodeId};

use crate::echo;
use crate::load::{Load, Script};
use crate::query::{self, Numbers, Reply, SOURCES, Shape, Template};

/// What the queries of a [`Lookups`] are about.
#[derive(Clone, Copy, Debug)]
pub enum About {
    /// Nothing: a ping.
    Nobody,
    /// A random point in the key space.
    Anything,
    /// One of the first so many stored infohashes.
    Stored(usize),
    /// The length of the echo's reply in bytes.
    Length(usize),
}

/// Queries that change nothing, for ever.
pub struct Lookups {
    template: Template,
    about: About,
    numbers: Numbers,
    expected: Option<Expected>,
}

/// Who must answer, and with what.
#[derive(Clone, Copy)]
pub struct Expected {
    pub id: NodeId,
    pub shape: Shape,
}

impl Lookups {
    pub fn new(template: Template, about: About, expected: Option<Expected>) -> Self {
        Self { template, about, numbers: Numbers(42), expected }
    }
}

impl Script for Lookups {
    fn template(&self) -> &Template {
        &self.template
    }

    fn next(&mut self, room: usize) -> Option<(usize, usize)> {
        Some((self.numbers.below(SOURCES), room))
    }

    fn write(&mut self, source: usize, transaction: [u8; 4], out: &mut [u8]) -> u32 {
        let target = match self.about {
            About::Nobody => None,
            About::Anything => Some(query::id(3, self.numbers.next())),
            About::Stored(count) => Some(query::info_hash(self.numbers.below(count))),
            About::Length(bytes) => {
                let mut target = Id::ZERO;
                target.0[..6].copy_from_slice(&echo::MARK);
                target.0[6..8].copy_from_slice(&(bytes as u16).to_le_bytes());
                Some(target)
            }
        };
        self.template.write(out, transaction, &query::source_id(source), target.as_ref(), &[]);
        0
    }

    fn accept(&mut self, _tag: u32, reply: &Reply<'_>) -> bool {
        self.expected.is_none_or(|expected| {
            let (want, have) = (expected.shape, reply.shape);
            expected.id == reply.id
                && (want.contacts, want.values, want.token_bytes) == (have.contacts, have.values, have.token_bytes)
        })
    }

    fn read<'a>(&self, bytes: &'a [u8]) -> Option<Reply<'a>> {
        let About::Length(len) = self.about else { return query::read(bytes) };
        let transaction = self.template.transaction(bytes)?;
        let shape = Shape { bytes: bytes.len(), ..Shape::default() };
        (bytes.starts_with(b"d1:ad2:id20:") && bytes.len() == len.max(self.template.len())).then_some(Reply {
            transaction,
            id: NodeId::ZERO,
            token: &[],
            shape,
        })
    }
}

/// Who answers such a query, and with how much: asked once, or again if the answer is lost.
pub fn probe(load: &mut Load, template: Template, about: About) -> anyhow::Result<(NodeId, Shape)> {
    let mut probe = Probe { lookups: Lookups::new(template, about, None), left: 1, reply: None };
    for _ in 0..10 {
        probe.left = 1;
        load.closed(&mut probe, 1, Duration::from_secs(1))?;
        if let Some(reply) = probe.reply {
            return Ok(reply);
        }
    }
    anyhow::bail!("no reply to a single query")
}

/// Asks a single query and keeps what came back.
struct Probe {
    lookups: Lookups,
    left: usize,
    reply: Option<(NodeId, Shape)>,
}

impl Script for Probe {
    fn template(&self) -> &Template {
        self.lookups.template()
    }

    fn next(&mut self, _room: usize) -> Option<(usize, usize)> {
        self.left = self.left.checked_sub(1)?;
        self.lookups.next(1)
    }

    fn write(&mut self, source: usize, transaction: [u8; 4], out: &mut [u8]) -> u32 {
        self.lookups.write(source, transaction, out)
    }

    fn accept(&mut self, _tag: u32, reply: &Reply<'_>) -> bool {
        self.reply = (reply.id != NodeId::ZERO).then_some((reply.id, reply.shape));
        true
    }
}

/// Who announces what: source and infohash, all pairs of one source beside each other, with the token once known.
pub struct Pairs(Vec<Pair>);

struct Pair {
    source: u16,
    info_hash: u32,
    token: [u8; 20],
    token_len: u8,
}

impl Pairs {
    /// `peers` sources for each of `info_hashes` infohashes, each in a /24 of its own.
    pub fn new(info_hashes: usize, peers: usize) -> Self {
        let source = |info_hash: usize, peer: usize| (info_hash * 37 + peer * (SOURCES / peers)) % SOURCES;
        let mut pairs: Vec<_> = (0..info_hashes)
            .flat_map(|info_hash| (0..peers).map(move |peer| (info_hash as u32, source(info_hash, peer) as u16)))
            .map(|(info_hash, source)| Pair { source, info_hash, token: [0; 20], token_len: 0 })
            .collect();
        pairs.sort_by_key(|pair| (pair.source, pair.info_hash));
        Self(pairs)
    }

    /// Every `step`-th run of eight pairs: fewer, spread over all infohashes.
    pub fn thinned(mut self, step: usize) -> Self {
        let mut index = 0;
        self.0.retain(|_| {
            index += 1;
            (index / 8) % step == 0
        });
        self
    }

    pub fn len(&self) -> usize {
        self.0.len()
    }

    pub fn token_len(&self) -> usize {
        self.0.iter().map(|pair| usize::from(pair.token_len)).max().unwrap_or(0)
    }
}

/// Asks once about each pair: first for its token, then to announce it.
pub struct Once<'a> {
    template: Template,
    pairs: &'a mut Pairs,
    /// Pairs to ask about, those before `done` asked; lost ones come again at the end.
    queue: Vec<u32>,
    done: usize,
    announce: bool,
    /// How many more may go wrong.
    refusals_left: usize,
}

impl<'a> Once<'a> {
    pub fn tokens(pairs: &'a mut Pairs) -> Self {
        let queue = (0..pairs.len() as u32).collect();
        Self { template: Template::get_peers(), pairs, queue, done: 0, announce: false, refusals_left: usize::MAX }
    }

    pub fn announces(pairs: &'a mut Pairs) -> Self {
        let queue = (0..pairs.len() as u32).collect();
        Self {
            template: Template::announce(pairs.token_len()),
            pairs,
            queue,
            done: 0,
            announce: true,
            refusals_left: usize::MAX,
        }
    }

    /// Gives up after so many wrong or missing answers.
    pub fn stop_after(&mut self, refusals: usize) {
        self.refusals_left = refusals;
    }

    pub fn is_stopped(&self) -> bool {
        self.refusals_left == 0
    }

    /// How many are still to be asked.
    pub fn left(&self) -> usize {
        self.queue.len() - self.done
    }
}

impl Script for Once<'_> {
    fn template(&self) -> &Template {
        &self.template
    }

    fn next(&mut self, room: usize) -> Option<(usize, usize)> {
        if self.is_stopped() {
            return None;
        }
        let source_of = |&index: &u32| self.pairs.0[index as usize].source;
        let source = source_of(self.queue.get(self.done)?);
        let count = self.queue[self.done..].iter().take(room).take_while(|index| source_of(index) == source).count();
        Some((usize::from(source), count))
    }

    fn write(&mut self, source: usize, transaction: [u8; 4], out: &mut [u8]) -> u32 {
        let index = self.queue[self.done];
        self.done += 1;
        let pair = &self.pairs.0[index as usize];
        let token = if self.announce { &pair.token[..usize::from(pair.token_len)] } else { &[] };
        let info_hash = query::info_hash(pair.info_hash as usize);
        self.template.write(out, transaction, &query::source_id(source), Some(&info_hash), token);
        index
    }

    fn accept(&mut self, tag: u32, reply: &Reply<'_>) -> bool {
        if self.announce {
            return reply.id != NodeId::ZERO;
        }
        let pair = &mut self.pairs.0[tag as usize];
        let Some(room) = pair.token.get_mut(..reply.token.len()) else { return false };
        room.copy_from_slice(reply.token);
        pair.token_len = reply.token.len() as u8;
        pair.token_len > 0
    }

    fn lost(&mut self, tag: u32) {
        self.queue.push(tag);
        self.refusals_left = self.refusals_left.saturating_sub(1);
    }
}

/// Announces of known pairs, for ever.
pub struct Announces<'a> {
    template: Template,
    pairs: &'a Pairs,
    numbers: Numbers,
    cursor: usize,
    id: NodeId,
}

impl<'a> Announces<'a> {
    pub fn new(pairs: &'a Pairs, id: NodeId) -> Self {
        Self { template: Template::announce(pairs.token_len()), pairs, numbers: Numbers(43), cursor: 0, id }
    }
}

impl Script for Announces<'_> {
    fn template(&self) -> &Template {
        &self.template
    }

    fn next(&mut self, room: usize) -> Option<(usize, usize)> {
        let pairs = &self.pairs.0;
        self.cursor = self.numbers.below(pairs.len());
        let source = pairs[self.cursor].source;
        let count = pairs[self.cursor..].iter().take(room).take_while(|pair| pair.source == source).count();
        Some((usize::from(source), count))
    }

    fn write(&mut self, source: usize, transaction: [u8; 4], out: &mut [u8]) -> u32 {
        let pair = &self.pairs.0[self.cursor];
        self.cursor += 1;
        let token = &pair.token[..usize::from(pair.token_len)];
        let info_hash = query::info_hash(pair.info_hash as usize);
        self.template.write(out, transaction, &query::source_id(source), Some(&info_hash), token);
        0
    }

    fn accept(&mut self, _tag: u32, reply: &Reply<'_>) -> bool {
        reply.id == self.id
    }
}
