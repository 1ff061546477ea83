//! The other side of an encrypted handshake, for tests and the fuzzer: with a private key of 1, its public key is 2 and the
//! secret is our public key, so that it needs no arithmetic. Its RC4 is written anew, to be compared with.

use sha1::{Digest as _, Sha1};

/// The public key of the private key 1.
pub(crate) fn public_key() -> Vec<u8> {
    let mut key = vec![0; 96];
    key[95] = 2;
    key
}

/// RC4, as plain as can be.
#[derive(Clone)]
pub(crate) struct Stream {
    state: Vec<u8>,
    i: usize,
    j: usize,
}

impl Stream {
    pub(crate) fn new(key: &[u8]) -> Self {
        let mut state: Vec<u8> = (0..=255).collect();
        let mut j = 0;
        for i in 0..256 {
            j = (j + usize::from(state[i]) + usize::from(key[i % key.len()])) % 256;
            state.swap(i, j);
        }
        Self { state, i: 0, j: 0 }
    }

    pub(crate) fn apply(&mut self, bytes: &[u8]) -> Vec<u8> {
        bytes.iter().map(|byte| byte ^ self.next()).collect()
    }

    fn next(&mut self) -> u8 {
        self.i = (self.i + 1) % 256;
        self.j = (self.j + usize::from(self.state[self.i])) % 256;
        self.state.swap(self.i, self.j);
        self.state[(usize::from(self.state[self.i]) + usize::from(self.state[self.j])) % 256]
    }
}

pub(crate) fn hash(parts: &[&[u8]]) -> Vec<u8> {
    Sha1::digest(parts.concat()).to_vec()
}

/// What the one who connects has said in its second step.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Offer {
    /// Bytes of its padding behind the key, and behind the ciphers.
    pub(crate) paddings: [usize; 2],
    /// The ciphers that it takes.
    pub(crate) ciphers: u32,
    /// What it said first.
    pub(crate) first: Vec<u8>,
}

pub(crate) struct Responder {
    info_hash: Vec<u8>,
    secret: Vec<u8>,
    /// For what it sends.
    pub(crate) ours: Stream,
    /// For what it reads.
    pub(crate) theirs: Stream,
}

impl Responder {
    /// A client of the torrent, which has read the public key of the one who connects.
    pub(crate) fn new(info_hash: &[u8], their_key: &[u8]) -> Self {
        let stream = |direction: &[u8]| {
            let mut stream = Stream::new(&hash(&[direction, their_key, info_hash]));
            stream.apply(&[0; 1024]);
            stream
        };
        let (ours, theirs) = (stream(b"keyB"), stream(b"keyA"));
        Self { info_hash: info_hash.to_vec(), secret: their_key.to_vec(), ours, theirs }
    }

    /// Reads the second step out of all that came behind the public key; `None` until it is there.
    pub(crate) fn read_offer(&mut self, bytes: &[u8]) -> Option<Offer> {
        let sign = hash(&[b"req1", &self.secret]);
        let first_padding = bytes.windows(20).position(|window| window == sign)?;
        let rest = &bytes[first_padding + 20..];
        let (torrent, rest) = rest.split_at_checked(20)?;
        let mask = hash(&[b"req3", &self.secret]);
        let torrent: Vec<u8> = torrent.iter().zip(mask).map(|(torrent, mask)| torrent ^ mask).collect();
        assert_eq!(torrent, hash(&[b"req2", &self.info_hash]), "another torrent");
        // Only what is whole moves the stream on.
        let mut theirs = self.theirs.clone();
        let plain = theirs.apply(rest);
        let number = |at: usize| Some(usize::from(u16::from_be_bytes([*plain.get(at)?, *plain.get(at + 1)?])));
        let second_padding = number(12)?;
        let length = number(14 + second_padding)?;
        let first = plain.get(16 + second_padding..)?;
        if first.len() < length {
            return None;
        }
        assert_eq!(plain[..8], [0; 8], "the verification constant");
        assert_eq!(first.len(), length, "nothing follows before the choice");
        self.theirs = theirs;
        Some(Offer {
            paddings: [first_padding, second_padding],
            ciphers: u32::from_be_bytes([plain[8], plain[9], plain[10], plain[11]]),
            first: first.to_vec(),
        })
    }

    /// The answer to it: this cipher, and padding of this many bytes.
    pub(crate) fn choose(&mut self, cipher: u32, padding: usize) -> Vec<u8> {
        let mut choice = vec![0; 8];
        choice.extend(cipher.to_be_bytes());
        choice.extend(u16::try_from(padding).expect("at most 65,535").to_be_bytes());
        choice.extend(vec![0x77; padding]);
        self.ours.apply(&choice)
    }

    /// What it says after that, by the cipher.
    pub(crate) fn say(&mut self, cipher: u32, plain: &[u8]) -> Vec<u8> {
        if cipher == 1 { plain.to_vec() } else { self.ours.apply(plain) }
    }
}
