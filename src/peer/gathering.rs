//! An info dictionary that several clients give together (BEP 9): a quick one gives more of it, and one that lies is
//! found out.
//!
//! Clients that claim the same size work on one draft. A piece is asked of one client first, and of a second one only
//! when no other piece is left to ask for, so that a slow client holds up nothing. A draft that does not match the
//! infohash has a liar among those who gave it: if one client gave it all, that is the one; otherwise the draft begins
//! again with one client at a time, so that the next mismatch names it.
//!
//! Bounded: as many drafts as clients, [`MOST_BYTES`] of pieces in all.

use std::collections::{BTreeMap, BTreeSet};

use super::pieces::{MAX_METADATA, PIECE_LEN};
use crate::engine::id::InfoHash;

/// Most bytes of pieces that are held at a time, of all drafts together.
pub const MOST_BYTES: usize = 2 * MAX_METADATA;
/// Pieces that are asked of one client at a time.
const IN_FLIGHT: usize = 2;
/// Clients that are asked for the same piece when no other is left.
const RIVALS: usize = 3;

/// A client, by a number that its caller chose.
pub type ClientNumber = u32;

/// The info dictionary of one torrent, on its way from several clients.
#[derive(Debug)]
pub struct Gathering {
    info_hash: InfoHash,
    /// The drafts, by the size that was claimed.
    drafts: BTreeMap<usize, Draft>,
    /// The size that each client claimed.
    claims: BTreeMap<ClientNumber, usize>,
}

/// What came of a piece.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Received {
    /// More is needed.
    More,
    /// The whole dictionary; it is the one that the infohash names.
    Whole(Vec<u8>),
    /// The whole was not the one that the infohash names. This client gave all of it, and must not be asked again; without
    /// one, it is not known yet which lied.
    Spoiled(Option<ClientNumber>),
}

/// A piece that was not asked for, has not the length that it must have, or for which there is no room.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Unwanted;

#[derive(Debug)]
struct Draft {
    size: usize,
    pieces: Vec<Piece>,
    /// Pieces that have not arrived.
    missing: usize,
    /// Bytes that have.
    held: usize,
    clients: BTreeSet<ClientNumber>,
    /// Clients that gave something before the draft began again: they are asked first.
    givers: BTreeSet<ClientNumber>,
    /// What each client was asked for and has not given.
    owed: BTreeMap<ClientNumber, BTreeSet<usize>>,
    /// The same from before the draft began again: it may still arrive, and is passed over.
    late: BTreeSet<(ClientNumber, usize)>,
    /// Whether one client at a time gives everything, and which one.
    one_by_one: bool,
    alone: Option<ClientNumber>,
}

#[derive(Clone, Debug, Default)]
struct Piece {
    bytes: Option<Vec<u8>>,
    from: Option<ClientNumber>,
    /// How many clients were asked for it.
    asked: usize,
}

impl Gathering {
    /// Nothing has arrived yet.
    #[must_use]
    pub const fn new(info_hash: InfoHash) -> Self {
        Self { info_hash, drafts: BTreeMap::new(), claims: BTreeMap::new() }
    }

    /// A client offers the dictionary, and says that it has `size` bytes. Of one that cannot be, nothing is asked.
    pub fn join(&mut self, client: ClientNumber, size: usize) {
        if !(1..=MAX_METADATA).contains(&size) || self.claims.contains_key(&client) {
            return;
        }
        self.claims.insert(client, size);
        self.drafts.entry(size).or_insert_with(|| Draft::new(size)).clients.insert(client);
    }

    /// The client gives nothing more.
    pub fn leave(&mut self, client: ClientNumber) {
        let Some(size) = self.claims.remove(&client) else { return };
        let Some(draft) = self.drafts.get_mut(&size) else { return };
        draft.leave(client);
        if draft.clients.is_empty() {
            self.drafts.remove(&size);
        }
    }

    /// The piece that this client is to be asked for now, if there is one.
    pub fn next_request(&mut self, client: ClientNumber) -> Option<usize> {
        self.drafts.get_mut(self.claims.get(&client)?)?.next_request(client)
    }

    /// Whether this client owes a piece.
    #[must_use]
    pub fn owes(&self, client: ClientNumber) -> bool {
        let draft = self.claims.get(&client).and_then(|size| self.drafts.get(size));
        draft.is_some_and(|draft| draft.owed.get(&client).is_some_and(|owed| !owed.is_empty()))
    }

    /// Takes in the bytes of a piece.
    ///
    /// # Errors
    /// It cannot be a piece that this client was asked for, or too many bytes have been given already.
    pub fn receive(&mut self, client: ClientNumber, piece: usize, bytes: Vec<u8>) -> Result<Received, Unwanted> {
        let held: usize = self.drafts.values().map(|draft| draft.held).sum();
        let draft = self.claims.get(&client).and_then(|size| self.drafts.get_mut(size)).ok_or(Unwanted)?;
        if held + bytes.len() > MOST_BYTES {
            return Err(Unwanted);
        }
        draft.receive(client, piece, bytes)?;
        let Some(metadata) = draft.take_whole() else { return Ok(Received::More) };
        if self.info_hash.names(&metadata) {
            return Ok(Received::Whole(metadata));
        }
        let liar = draft.begin_again();
        liar.into_iter().for_each(|liar| self.leave(liar));
        Ok(Received::Spoiled(liar))
    }
}

impl Draft {
    fn new(size: usize) -> Self {
        let count = size.div_ceil(PIECE_LEN);
        Self {
            size,
            pieces: vec![Piece::default(); count],
            missing: count,
            held: 0,
            clients: BTreeSet::new(),
            givers: BTreeSet::new(),
            owed: BTreeMap::new(),
            late: BTreeSet::new(),
            one_by_one: false,
            alone: None,
        }
    }

    fn next_request(&mut self, client: ClientNumber) -> Option<usize> {
        if self.one_by_one {
            let first = self.givers.first().copied().unwrap_or(client);
            if *self.alone.get_or_insert(first) != client {
                return None;
            }
        }
        let owed = self.owed.entry(client).or_default();
        if owed.len() >= IN_FLIGHT {
            return None;
        }
        let wanted = |(index, piece): &(usize, &Piece)| piece.bytes.is_none() && !owed.contains(index);
        let (index, piece) = self.pieces.iter().enumerate().filter(wanted).min_by_key(|(_, piece)| piece.asked)?;
        if piece.asked >= RIVALS {
            return None;
        }
        owed.insert(index);
        self.pieces[index].asked += 1;
        Some(index)
    }

    fn receive(&mut self, client: ClientNumber, index: usize, bytes: Vec<u8>) -> Result<(), Unwanted> {
        if self.late.remove(&(client, index)) {
            return Ok(());
        }
        if !self.owed.get_mut(&client).is_some_and(|owed| owed.remove(&index)) {
            return Err(Unwanted);
        }
        if bytes.len() != PIECE_LEN.min(self.size - index * PIECE_LEN) {
            // It has not given it: another client may be asked.
            self.pieces[index].asked -= 1;
            return Err(Unwanted);
        }
        let piece = &mut self.pieces[index];
        if piece.bytes.is_none() {
            self.missing -= 1;
            self.held += bytes.len();
            (piece.bytes, piece.from) = (Some(bytes), Some(client));
        }
        Ok(())
    }

    fn take_whole(&self) -> Option<Vec<u8>> {
        let pieces = || self.pieces.iter().filter_map(|piece| piece.bytes.as_deref()).collect::<Vec<_>>();
        (self.missing == 0).then(|| pieces().concat())
    }

    /// Forgets what was given; the client that gave it all, if one did. From now on one client gives everything.
    fn begin_again(&mut self) -> Option<ClientNumber> {
        let givers: BTreeSet<_> = self.pieces.iter().filter_map(|piece| piece.from).collect();
        self.forget();
        (self.one_by_one, self.alone) = (true, None);
        let liar = if givers.len() == 1 { givers.first().copied() } else { None };
        self.givers.extend(givers);
        self.givers.retain(|client| self.clients.contains(client));
        liar
    }

    fn forget(&mut self) {
        self.pieces.fill(Piece::default());
        (self.missing, self.held) = (self.pieces.len(), 0);
        for (client, pieces) in std::mem::take(&mut self.owed) {
            self.late.extend(pieces.into_iter().map(|piece| (client, piece)));
        }
    }

    fn leave(&mut self, client: ClientNumber) {
        self.clients.remove(&client);
        self.givers.remove(&client);
        self.late.retain(|(other, _)| *other != client);
        for index in self.owed.remove(&client).unwrap_or_default() {
            self.pieces[index].asked -= 1;
        }
        if self.alone == Some(client) {
            // What it gave so far is its word alone; the next one gives everything itself.
            self.forget();
            self.alone = None;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use sha1::{Digest as _, Sha1};
    use sha2::Sha256;

    fn metadata(pieces: usize) -> Vec<u8> {
        (0..pieces * PIECE_LEN - 100).map(|i| (i / 11) as u8).collect()
    }

    fn hash(metadata: &[u8]) -> InfoHash {
        InfoHash::new(Sha1::digest(metadata).into())
    }

    fn piece_of(metadata: &[u8], piece: usize) -> Vec<u8> {
        metadata.chunks(PIECE_LEN).nth(piece).unwrap().to_vec()
    }

    /// All requests of a client, until there is nothing to ask.
    fn requests(gathering: &mut Gathering, client: ClientNumber) -> Vec<usize> {
        std::iter::from_fn(|| gathering.next_request(client)).collect()
    }

    #[test]
    fn clients_give_different_pieces_and_the_quick_one_gives_more() {
        let whole = metadata(5);
        let mut gathering = Gathering::new(hash(&whole));
        [1, 2].iter().for_each(|client| gathering.join(*client, whole.len()));
        assert_eq!(requests(&mut gathering, 1), [0, 1]);
        assert_eq!(requests(&mut gathering, 2), [2, 3]);
        for piece in [0, 1] {
            assert_eq!(gathering.receive(1, piece, piece_of(&whole, piece)), Ok(Received::More));
        }
        assert_eq!(requests(&mut gathering, 1), [4, 2], "the last one, and one that the other is slow with");
        for piece in [4, 2] {
            assert_eq!(gathering.receive(1, piece, piece_of(&whole, piece)), Ok(Received::More));
        }
        assert_eq!(requests(&mut gathering, 1), [3]);
        assert_eq!(gathering.receive(1, 3, piece_of(&whole, 3)), Ok(Received::Whole(whole)));
    }

    #[test]
    fn v2_metadata_is_known_by_its_sha_256() {
        let whole = metadata(1);
        let v2 = InfoHash::new(Sha256::digest(&whole)[..20].try_into().unwrap());
        let mut gathering = Gathering::new(v2);
        gathering.join(1, whole.len());
        assert_eq!(requests(&mut gathering, 1), [0]);
        assert_eq!(gathering.receive(1, 0, whole.clone()), Ok(Received::Whole(whole)));
    }

    #[test]
    fn a_liar_among_several_is_found_and_the_others_give_the_whole() {
        let whole = metadata(4);
        let mut gathering = Gathering::new(hash(&whole));
        (1..=3).for_each(|client| gathering.join(client, whole.len()));
        let liar = 2;
        let (mut clients, mut named) = (vec![1, 2, 3], None);
        for _ in 0..100 {
            for client in clients.clone() {
                for piece in requests(&mut gathering, client) {
                    let mut bytes = piece_of(&whole, piece);
                    bytes[0] ^= u8::from(client == liar);
                    match gathering.receive(client, piece, bytes) {
                        Ok(Received::Whole(got)) => return assert_eq!((got, named), (whole, named)),
                        Ok(Received::Spoiled(Some(who))) => {
                            named = Some(who);
                            assert_eq!(who, liar);
                            clients.retain(|client| *client != who);
                        }
                        _ => {}
                    }
                }
            }
        }
        panic!("never whole");
    }

    #[test]
    fn clients_that_give_too_little_keep_no_piece_from_the_others() {
        let whole = metadata(1);
        let mut gathering = Gathering::new(hash(&whole));
        gathering.join(9, whole.len());
        for client in 1..=5 {
            gathering.join(client, whole.len());
            assert_eq!(requests(&mut gathering, client), [0]);
            assert_eq!(gathering.receive(client, 0, b"short".to_vec()), Err(Unwanted));
            gathering.leave(client);
        }
        assert_eq!(requests(&mut gathering, 9), [0]);
        assert_eq!(gathering.receive(9, 0, whole.clone()), Ok(Received::Whole(whole)));
    }

    #[test]
    fn what_was_not_asked_for_is_refused() {
        let whole = metadata(2);
        let mut gathering = Gathering::new(hash(&whole));
        assert_eq!(gathering.receive(1, 0, piece_of(&whole, 0)), Err(Unwanted), "it never joined");
        gathering.join(1, whole.len());
        assert_eq!(gathering.receive(1, 0, piece_of(&whole, 0)), Err(Unwanted), "before it was asked");
        requests(&mut gathering, 1);
        assert_eq!(gathering.receive(1, 1, piece_of(&whole, 0)), Err(Unwanted), "the last piece is shorter");
        assert_eq!(gathering.receive(1, usize::MAX, Vec::new()), Err(Unwanted));
        gathering.join(2, 0);
        gathering.join(3, MAX_METADATA + 1);
        assert_eq!((gathering.next_request(2), gathering.next_request(3)), (None, None));
    }

    #[test]
    fn what_a_client_owes_when_it_leaves_is_asked_of_another() {
        let whole = metadata(2);
        let mut gathering = Gathering::new(hash(&whole));
        gathering.join(1, whole.len());
        assert_eq!(requests(&mut gathering, 1), [0, 1]);
        assert!(gathering.owes(1));
        gathering.join(2, whole.len());
        gathering.leave(1);
        assert!(!gathering.owes(1));
        assert_eq!(requests(&mut gathering, 2), [0, 1]);
    }

    #[test]
    fn memory_is_bounded_whatever_sizes_are_claimed() {
        let mut gathering = Gathering::new(InfoHash::new([0; 20]));
        let mut held = 0;
        for client in 0..4 {
            gathering.join(client, MAX_METADATA - client as usize);
            while let Some(piece) = gathering.next_request(client) {
                let size = MAX_METADATA - client as usize;
                let bytes = vec![0; PIECE_LEN.min(size - piece * PIECE_LEN)];
                if gathering.receive(client, piece, bytes).is_err() {
                    break;
                }
            }
            held = gathering.drafts.values().map(|draft| draft.held).sum();
            assert!(held <= MOST_BYTES);
        }
        assert_eq!(held, 0, "drafts that are whole and wrong are given up");
    }

    proptest! {
        /// Whatever clients do, genuine metadata comes out or none.
        #[test]
        fn no_sequence_of_events_makes_it_panic_or_lie(
            steps in prop::collection::vec((0u8..4, 0u32..4, 0usize..4, any::<bool>()), 0..200),
        ) {
            let whole = metadata(3);
            let mut gathering = Gathering::new(hash(&whole));
            for (kind, client, piece, honest) in steps {
                match kind {
                    0 => gathering.join(client, whole.len() + usize::from(!honest)),
                    1 => gathering.leave(client),
                    2 => drop(gathering.next_request(client)),
                    _ => {
                        let mut bytes = whole.chunks(PIECE_LEN).nth(piece).unwrap_or_default().to_vec();
                        if let (false, Some(byte)) = (honest, bytes.first_mut()) {
                            *byte ^= 1;
                        }
                        if let Ok(Received::Whole(got)) = gathering.receive(client, piece, bytes) {
                            prop_assert_eq!(&got, &whole);
                        }
                    }
                }
            }
        }
    }
}
