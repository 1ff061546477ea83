//! The law that the torrents of the benchmark follow, so that anyone can make the same ones.
//!
//! * Words: a vocabulary of 200,000 words of 3 to 10 letters. The word of rank r is drawn with a probability proportional to
//!   1 / (r + 2.7) (Zipf's law as Mandelbrot has it), as in natural language.
//! * Names: 2 to 9 words, 5.5 on average, joined by dots or blanks; one in two has a year, two in five a resolution, one in four
//!   an episode. About 50 bytes.
//! * Seeds: half are unknown, a quarter are 0, the rest is 1 / u - 1 of a uniform u, at most 20,000.
//! * Files: 1 + a geometric number with mean 12, at most 200, with sizes around 100 MB.

use trackerless::engine::id::InfoHash;
use trackerless::index::entry::{Entry, Source, Swarm};
use trackerless::torrent::TorrentFile;

/// The time of the benchmark, in seconds since 1970.
pub const NOW: u64 = 1_800_000_000;

const VOCABULARY: u64 = 200_000;

/// The law with its seed.
pub struct Law {
    seed: u64,
    files: bool,
}

impl Law {
    pub const fn new(seed: u64, files: bool) -> Self {
        Self { seed, files }
    }

    /// The torrent of a number.
    pub fn torrent(&self, number: u64) -> Entry {
        let mut dice = Dice(self.seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) ^ number.wrapping_mul(0xd6e8_feb8_6659_fd93));
        let name = self.name(&mut dice);
        let files = if self.files { self.listed(&mut dice) } else { Vec::new() };
        let mut infohash = [0; 20];
        infohash.chunks_mut(8).for_each(|part| part.copy_from_slice(&dice.next().to_be_bytes()[..part.len()]));
        let found = NOW - dice.below(300 * 86_400);
        let seeds = match dice.below(4) {
            0 | 1 => None,
            2 => Some(0),
            _ => Some((1.0 / dice.share().max(5e-5) - 1.0) as u32),
        };
        Entry {
            infohash: InfoHash::new(infohash),
            name,
            size_bytes: 1 << (10 + dice.below(24)),
            file_count: files.len().max(1) as u64,
            files,
            found,
            seen: found + dice.below(NOW - found + 1),
            swarm: seeds.map(|seeds| Swarm { seeds, peers: seeds / 3, at: NOW - dice.below(86_400) }),
            source: Source::Survey,
        }
    }

    /// The word of a rank.
    pub fn word(&self, rank: u64) -> String {
        let mut dice = Dice(0x5eed ^ rank.wrapping_mul(0xa076_1d64_78bd_642f));
        let length = 3 + dice.below(8);
        let letter = |dice: &mut Dice, from: &[u8]| char::from(from[dice.below(from.len() as u64) as usize]);
        (0..length)
            .map(|place| letter(&mut dice, if place % 2 == 0 { b"bcdfghklmnprstvwz" } else { b"aeiou" }))
            .collect()
    }

    fn name(&self, dice: &mut Dice) -> String {
        let glue = if dice.below(2) == 0 { "." } else { " " };
        let mut parts: Vec<String> = (0..2 + dice.below(8)).map(|_| self.drawn(dice)).collect();
        if dice.below(2) == 0 {
            parts.push((1960 + dice.below(66)).to_string());
        }
        if dice.below(4) == 0 {
            parts.push(format!("S{:02}E{:02}", 1 + dice.below(12), 1 + dice.below(24)));
        }
        if dice.below(5) < 2 {
            parts.push(["720p", "1080p", "2160p", "x264"][dice.below(4) as usize].to_owned());
        }
        parts.join(glue)
    }

    /// A word by its frequency.
    fn drawn(&self, dice: &mut Dice) -> String {
        const SHIFT: f64 = 2.7;
        // The distribution function of 1 / (r + SHIFT) is a logarithm, whose inverse is a power.
        let rank = SHIFT * ((VOCABULARY as f64 + SHIFT) / SHIFT).powf(dice.share()) - SHIFT;
        self.word(rank as u64)
    }

    fn listed(&self, dice: &mut Dice) -> Vec<TorrentFile> {
        let mut count = 1;
        while count < 200 && dice.below(13) != 0 {
            count += 1;
        }
        let folder = self.drawn(dice);
        let kind = ["mkv", "mp3", "jpg", "pdf", "flac"][dice.below(5) as usize];
        let file = |place: u64, dice: &mut Dice| TorrentFile {
            path: format!("{folder}/{place:02} - {} {}.{kind}", self.drawn(dice), self.drawn(dice)),
            size_bytes: 1_000_000 + dice.below(200_000_000),
        };
        (1..=count).map(|place| file(place, dice)).collect()
    }
}

/// SplitMix64.
struct Dice(u64);

impl Dice {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut bits = self.0;
        bits = (bits ^ (bits >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        bits = (bits ^ (bits >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        bits ^ (bits >> 31)
    }

    fn below(&mut self, bound: u64) -> u64 {
        self.next() % bound
    }

    /// Uniform from 0 to 1.
    fn share(&mut self) -> f64 {
        (self.next() >> 11) as f64 / (1u64 << 53) as f64
    }
}
