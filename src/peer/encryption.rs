//! Encrypted connections (Message Stream Encryption, as the wiki of Vuze specifies it), from the side of who connects.
//!
//! 1. We send a public key of Diffie-Hellman, the client sends its own, each with up to [`MOST_PADDING`] random bytes.
//! 2. We show that we know the infohash, and send, encrypted, what ciphers we take and the first bytes of what we have to
//!    say.
//! 3. The client chooses a cipher: RC4, or none for what follows.
//!
//! It hides from those who look at packets what is spoken, and some clients take nothing else. It is no security: nobody
//! proves who he is, and RC4 is weak.
//!
//! Pure: what is random is handed over. Bounded: of a handshake less than [`MOST_PADDING`] and eight bytes are kept.

use std::fmt;

use crypto_bigint::modular::ConstMontyForm;
use crypto_bigint::{U192, U768, const_monty_params};
use rand::rngs::ChaCha20Rng;
use rand::{Rng as _, RngExt as _, SeedableRng as _};
use rc4::{KeyInit as _, Rc4, StreamCipher as _};
use sha1::{Digest as _, Sha1};

use crate::engine::id::InfoHash;

/// Most random bytes at each place where a side may put some.
pub const MOST_PADDING: usize = 512;
/// Bytes of a public key, and of the secret that both sides have in common.
const KEY_LEN: usize = 96;
/// Bytes of a private key; 20 are recommended at the least.
const PRIVATE_KEY_LEN: usize = 24;
/// What each side begins its encrypted bytes with ("verification constant").
const ZEROS: [u8; 8] = [0; 8];
/// Bytes of the cipher streams that are not used.
const DROPPED: usize = 1024;
/// The ciphers, as they are offered and chosen: none, and RC4.
const PLAIN: u32 = 1;
const RC4: u32 = 2;
/// Bytes of a choice: the cipher, and the length of the padding behind it.
const CHOICE_LEN: usize = 6;

const_monty_params!(
    Prime,
    U768,
    "ffffffffffffffffc90fdaa22168c234c4c6628b80dc1cd129024e088a67cc74020bbea63b139b22514a08798e3404ddef9519b3cd3a431b302b0a6df25f14374fe1356d6d51c245e485b576625e7ec6f44c42e9a63a36210000000000090563",
    "The prime of the key exchange."
);

/// The handshake of a client cannot be read: what answers there speaks another protocol, or breaks the rules of this one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Unreadable;

/// What is random in a handshake of ours.
#[derive(Clone, PartialEq, Eq)]
pub struct Randomness {
    private_key: [u8; PRIVATE_KEY_LEN],
    /// Behind our public key.
    first_padding: Vec<u8>,
    /// Behind our offer of ciphers.
    second_padding: Vec<u8>,
}

impl Randomness {
    /// All of it from one seed, which nobody else knows and which is used once.
    #[must_use]
    pub fn from_seed(seed: [u8; 32]) -> Self {
        let mut random = ChaCha20Rng::from_seed(seed);
        let mut private_key = [0; PRIVATE_KEY_LEN];
        random.fill_bytes(&mut private_key);
        let first_padding = padding(&mut random);
        Self { private_key, first_padding, second_padding: padding(&mut random) }
    }
}

fn padding(random: &mut ChaCha20Rng) -> Vec<u8> {
    let mut padding = vec![0; random.random_range(0..=MOST_PADDING)];
    random.fill_bytes(&mut padding);
    padding
}

impl fmt::Debug for Randomness {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("Randomness")
    }
}

/// An encrypted connection.
#[derive(Debug)]
pub struct Encryption {
    info_hash: InfoHash,
    random: Randomness,
    /// What we say first; it goes out with our offer of ciphers.
    first: Vec<u8>,
    /// What we said since then, while the client had not chosen yet.
    waiting: Vec<u8>,
    stage: Stage,
    /// What has arrived and cannot be read yet.
    input: Vec<u8>,
    output: Vec<u8>,
}

/// What is awaited of the client.
#[derive(Debug)]
enum Stage {
    /// Its public key.
    Key,
    /// The end of its padding: its first encrypted bytes, which are known.
    Mark([u8; 8], Streams),
    /// The cipher that it chooses.
    Choice(Streams),
    /// The padding behind its choice, of this many bytes.
    Padding { rest: usize, cipher: u32, streams: Streams },
    /// Nothing: whatever comes is what it says, encrypted by RC4 or by nothing.
    Open(Option<Streams>),
    /// Nothing more is read.
    Failed,
}

/// The two streams of RC4.
struct Streams {
    /// For what we send.
    ours: Rc4,
    /// For what the client sends.
    theirs: Rc4,
}

impl fmt::Debug for Streams {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("Streams")
    }
}

impl Encryption {
    /// The start: our public key is ready to be sent. `first` is what we say as soon as it can be encrypted.
    #[must_use]
    pub fn new(info_hash: InfoHash, random: Randomness, first: Vec<u8>) -> Self {
        let key = power(&U768::from(2u8), &random.private_key);
        let output = [&key[..], &random.first_padding].concat();
        Self { info_hash, random, first, waiting: Vec::new(), stage: Stage::Key, input: Vec::new(), output }
    }

    /// Takes what we have to say.
    pub fn send(&mut self, plain: &[u8]) {
        match &mut self.stage {
            Stage::Open(Some(streams)) => append(&mut self.output, &mut streams.ours, plain),
            Stage::Open(None) => self.output.extend_from_slice(plain),
            Stage::Failed => {}
            _ => self.waiting.extend_from_slice(plain),
        }
    }

    /// What is to be sent now; empty when there is nothing.
    pub fn take_output(&mut self) -> Vec<u8> {
        std::mem::take(&mut self.output)
    }

    /// What the client said in these bytes of the connection.
    ///
    /// # Errors
    /// Its handshake cannot be read. Nothing follows.
    pub fn receive(&mut self, bytes: &[u8]) -> Result<Vec<u8>, Unreadable> {
        self.input.extend_from_slice(bytes);
        while self.read_handshake()? {}
        let mut said = match &self.stage {
            Stage::Open(_) => std::mem::take(&mut self.input),
            _ => Vec::new(),
        };
        if let Stage::Open(Some(streams)) = &mut self.stage {
            streams.theirs.apply_keystream(&mut said);
        }
        Ok(said)
    }

    /// Reads the next part of the handshake; whether it was all there.
    fn read_handshake(&mut self) -> Result<bool, Unreadable> {
        let before = self.input.len();
        self.stage = match std::mem::replace(&mut self.stage, Stage::Failed) {
            Stage::Key => self.read_key()?,
            Stage::Mark(mark, streams) => self.find_mark(mark, streams)?,
            Stage::Choice(streams) => self.read_choice(streams)?,
            Stage::Padding { rest, cipher, streams } => self.skip_padding(rest, cipher, streams),
            Stage::Open(streams) => Stage::Open(streams),
            Stage::Failed => return Err(Unreadable),
        };
        Ok(self.input.len() < before && !matches!(self.stage, Stage::Open(_)))
    }

    fn read_key(&mut self) -> Result<Stage, Unreadable> {
        let Some((key, rest)) = self.input.split_first_chunk::<KEY_LEN>() else { return Ok(Stage::Key) };
        let secret = power(&U768::from_be_slice(key), &self.random.private_key);
        self.input = rest.to_vec();
        let mut streams = Streams {
            ours: stream(b"keyA", &secret, self.info_hash)?,
            theirs: stream(b"keyB", &secret, self.info_hash)?,
        };
        self.offer(&secret, &mut streams.ours);
        let mut mark = ZEROS;
        streams.theirs.apply_keystream(&mut mark);
        Ok(Stage::Mark(mark, streams))
    }

    /// Shows that we know the infohash, offers both ciphers, and says what we say first.
    fn offer(&mut self, secret: &[u8; KEY_LEN], ours: &mut Rc4) {
        self.output.extend(hash(&[b"req1", secret]));
        let (torrent, mask) = (hash(&[b"req2", self.info_hash.as_bytes()]), hash(&[b"req3", secret]));
        self.output.extend(torrent.iter().zip(mask).map(|(torrent, mask)| torrent ^ mask));
        let padding = &self.random.second_padding;
        let mut offer = [&ZEROS[..], &(PLAIN | RC4).to_be_bytes()].concat();
        for part in [padding, &self.first] {
            offer.extend(u16::try_from(part.len()).unwrap_or(u16::MAX).to_be_bytes());
            offer.extend(part.iter().take(u16::MAX.into()));
        }
        append(&mut self.output, ours, &offer);
    }

    /// Looks for the end of the padding behind the client's key.
    fn find_mark(&mut self, mark: [u8; 8], streams: Streams) -> Result<Stage, Unreadable> {
        let place = self.input.windows(mark.len()).take(MOST_PADDING + 1).position(|bytes| bytes == mark);
        match place {
            Some(place) => {
                self.input.drain(..place + mark.len());
                Ok(Stage::Choice(streams))
            }
            None if self.input.len() >= MOST_PADDING + mark.len() => Err(Unreadable),
            None => Ok(Stage::Mark(mark, streams)),
        }
    }

    fn read_choice(&mut self, mut streams: Streams) -> Result<Stage, Unreadable> {
        let Some((choice, rest)) = self.input.split_first_chunk::<CHOICE_LEN>() else {
            return Ok(Stage::Choice(streams));
        };
        let mut choice = *choice;
        self.input = rest.to_vec();
        streams.theirs.apply_keystream(&mut choice);
        let [a, b, c, d, high, low] = choice;
        let (cipher, rest) = (u32::from_be_bytes([a, b, c, d]), u16::from_be_bytes([high, low]).into());
        if !matches!(cipher, PLAIN | RC4) || rest > MOST_PADDING {
            return Err(Unreadable);
        }
        Ok(self.skip_padding(rest, cipher, streams))
    }

    fn skip_padding(&mut self, rest: usize, cipher: u32, mut streams: Streams) -> Stage {
        let here = rest.min(self.input.len());
        let mut padding: Vec<u8> = self.input.drain(..here).collect();
        streams.theirs.apply_keystream(&mut padding);
        if here < rest {
            return Stage::Padding { rest: rest - here, cipher, streams };
        }
        let waiting = std::mem::take(&mut self.waiting);
        if cipher == PLAIN {
            self.output.extend(waiting);
            return Stage::Open(None);
        }
        append(&mut self.output, &mut streams.ours, &waiting);
        Stage::Open(Some(streams))
    }
}

/// `base` to the power of the private key, modulo the prime.
fn power(base: &U768, private_key: &[u8; PRIVATE_KEY_LEN]) -> [u8; KEY_LEN] {
    let power = ConstMontyForm::<Prime, { U768::LIMBS }>::new(base).pow(&U192::from_be_slice(private_key)).retrieve();
    let mut bytes = [0; KEY_LEN];
    bytes.copy_from_slice(power.to_be_bytes().as_ref());
    bytes
}

fn hash(parts: &[&[u8]]) -> [u8; 20] {
    let mut hasher = Sha1::new();
    parts.iter().for_each(|part| hasher.update(part));
    hasher.finalize().into()
}

/// The stream of RC4 of one direction.
fn stream(direction: &[u8; 4], secret: &[u8; KEY_LEN], info_hash: InfoHash) -> Result<Rc4, Unreadable> {
    // Keys of 20 bytes are always taken.
    let key = hash(&[direction, secret, info_hash.as_bytes()]);
    let mut stream = Rc4::new_from_slice(&key).map_err(|_| Unreadable)?;
    stream.apply_keystream(&mut [0; DROPPED]);
    Ok(stream)
}

/// Appends what the stream makes of `plain`.
fn append(output: &mut Vec<u8>, stream: &mut Rc4, plain: &[u8]) {
    let start = output.len();
    output.extend_from_slice(plain);
    stream.apply_keystream(&mut output[start..]);
}

#[cfg(test)]
pub(crate) mod responder;
#[cfg(test)]
mod tests;
