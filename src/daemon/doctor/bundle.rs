//! An archive for those who help: the report, what it was concluded from, the settings, and the figures of the running node.
//!
//! Addresses of others are replaced by a keyed hash, the same for the same address in one archive; the key is thrown away. No
//! token, no password, no name of a torrent and no infohash is in it.

use std::fs::File;
use std::io::{self, Write};
use std::net::IpAddr;
use std::path::Path;

use serde_json::json;

use super::evidence::Evidence;
use super::record::ReportRecord;
use crate::announcer::clients::without_password;
use crate::daemon::config::Config;
use crate::daemon::view::View;
use crate::engine::keyed_hash::KeyedHash;
use crate::engine::random::Random;
use crate::net::clock::unix_seconds;
use crate::net::{entropy, place};

/// What goes into it.
#[derive(Debug)]
pub struct Contents<'a> {
    /// The report.
    pub report: &'a ReportRecord,
    /// The same for people.
    pub text: &'a str,
    /// What it was concluded from.
    pub evidence: &'a Evidence,
    /// The settings in force.
    pub config: &'a Config,
    /// What the running node says.
    pub view: Option<View>,
}

/// Writes the archive to `path`.
///
/// # Errors
/// The file cannot be written, or the system has no random numbers.
pub fn write(path: &Path, contents: &Contents<'_>) -> io::Result<()> {
    let veil = Veil::new(KeyedHash::new(&mut Random::new(entropy::seed()?)), contents.evidence);
    let mut file = File::create(path)?;
    for (name, text) in files(contents) {
        append(&mut file, name, veil.over(&text).as_bytes())?;
    }
    // The end of an archive: two empty blocks.
    file.write_all(&[0; 2 * BLOCK])?;
    file.sync_all()
}

fn files(contents: &Contents<'_>) -> Vec<(&'static str, String)> {
    let Contents { report, text, evidence, config, view } = contents;
    let pretty = |value: serde_json::Value| format!("{value:#}\n");
    let about = json!({
        "version": env!("CARGO_PKG_VERSION"),
        "system": std::env::consts::OS,
        "machine": std::env::consts::ARCH,
        "kernel": std::fs::read_to_string("/proc/sys/kernel/osrelease").unwrap_or_default().trim(),
        "written_at": unix_seconds(),
    });
    vec![
        ("README.txt", README.to_owned()),
        ("about.json", pretty(about)),
        ("report.txt", format!("{text}\n")),
        ("report.json", pretty(json!(report))),
        ("evidence.txt", format!("{evidence:#?}\n")),
        ("settings.toml", settings(config)),
        ("status.json", pretty(json!(view))),
    ]
}

/// The settings without passwords, and without what is watched: infohashes, and names of torrents.
fn settings(config: &Config) -> String {
    let mut shown = config.clone();
    let watched = std::mem::take(&mut shown.settings.watch).len();
    let lines = shown.to_toml().lines().map(|line| without_password(line) + "\n").collect::<String>();
    format!("{lines}# Of what is watched, the number alone: {watched}\n")
}

const README: &str = "What `trackerless doctor` found, and what it was concluded from. Addresses of other hosts are replaced by \
    hashes (host-...), the same for the same address in this archive alone. Addresses of this host and of its home are not.\n";

/// Replaces addresses of others.
#[derive(Debug)]
struct Veil {
    hash: KeyedHash,
    ours: Vec<IpAddr>,
}

impl Veil {
    fn new(hash: KeyedHash, evidence: &Evidence) -> Self {
        let nodes = evidence.trials.iter().flat_map(|trial| [Some(trial.local), trial.external]).flatten();
        let sockets = evidence.sockets.iter().chain(&evidence.gateway).map(|socket| socket.addr);
        let routes = evidence.routes.v4.into_iter().chain(evidence.routes.v6);
        let global = place::global_ipv6().into_iter().map(|(ip, _)| IpAddr::V6(ip));
        Self { hash, ours: nodes.chain(sockets).map(|addr| addr.ip()).chain(routes).chain(global).collect() }
    }

    /// The text without addresses of others.
    fn over(&self, text: &str) -> String {
        let is_part = |letter: char| letter.is_ascii_hexdigit() || matches!(letter, '.' | ':');
        let mut veiled = String::with_capacity(text.len());
        let mut rest = text;
        while let Some(begin) = rest.find(is_part) {
            let (before, word) = rest.split_at(begin);
            let end = word.find(|letter| !is_part(letter)).unwrap_or(word.len());
            let (word, after) = word.split_at(end);
            veiled += before;
            veiled += &self.over_word(word);
            rest = after;
        }
        veiled + rest
    }

    /// A word of digits, dots and colons: an address, with a port or without, or something else.
    fn over_word(&self, word: &str) -> String {
        let bare = word.trim_end_matches([':', '.']);
        let (ip, port) = match bare.parse::<IpAddr>() {
            Ok(ip) => (ip, ""),
            Err(_) => match bare.rsplit_once(':') {
                Some((ip, port)) if port.parse::<u16>().is_ok() && ip.contains('.') => match ip.parse() {
                    Ok(ip) => (ip, port),
                    Err(_) => return word.to_owned(),
                },
                _ => return word.to_owned(),
            },
        };
        if self.ours.contains(&ip) || crate::engine::contact::is_local(ip) || ip.is_unspecified() {
            return word.to_owned();
        }
        let bytes = match ip.to_canonical() {
            IpAddr::V4(ip) => ip.octets().to_vec(),
            IpAddr::V6(ip) => ip.octets().to_vec(),
        };
        let port = if port.is_empty() { String::new() } else { format!(":{port}") };
        format!("host-{:016x}{port}{}", self.hash.of(&bytes), &word[bare.len()..])
    }
}

const BLOCK: usize = 512;

/// Appends a file to a tar archive (POSIX ustar).
fn append(archive: &mut impl Write, name: &str, bytes: &[u8]) -> io::Result<()> {
    let mut head = [0; BLOCK];
    let mut put = |at: usize, text: &str| head[at..at + text.len()].copy_from_slice(text.as_bytes());
    put(0, &format!("trackerless-doctor/{name}"));
    put(100, "0000644\0");
    put(108, "0000000\0");
    put(116, "0000000\0");
    put(124, &format!("{:011o}\0", bytes.len()));
    put(136, &format!("{:011o}\0", unix_seconds()));
    // The sum is made as if its own place held spaces.
    put(148, "        ");
    put(156, "0");
    put(257, "ustar\0");
    put(263, "00");
    let sum: u32 = head.iter().copied().map(u32::from).sum();
    head[148..156].copy_from_slice(format!("{sum:06o}\0 ").as_bytes());
    archive.write_all(&head)?;
    archive.write_all(bytes)?;
    archive.write_all(&[0; BLOCK][..bytes.len().next_multiple_of(BLOCK) - bytes.len()])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_of_others_are_veiled_and_nothing_else_is_changed() {
        let hash = KeyedHash::new(&mut Random::new([1; 32]));
        let veil = Veil { hash, ours: vec!["45.5.5.1".parse().unwrap(), "2001:db8::1".parse().unwrap()] };
        for kept in [
            "version 1.2.3, at 12:30:05; 45.5.5.1:6881 [2001:db8::1]:6881 192.168.1.7 0.0.0.0:6880 [::]:6880 127.0.0.1",
            "{\"count\": 1.5, \"name\": \"bad\"}, ::",
        ] {
            assert_eq!(veil.over(kept), kept);
        }
        let veiled = veil.over("9.9.9.9:53, 9.9.9.9. [2620:fe::9]:53 ::ffff:9.9.9.9 8.8.8.8");
        assert!(!veiled.contains("9.9.9") && !veiled.contains("2620") && !veiled.contains("8.8.8.8"), "{veiled}");
        assert_eq!(veiled.matches("host-").count(), 5);
        let first = &veiled[..21];
        assert_eq!(veiled.matches(first).count(), 3, "the same host has the same name: {veiled}");
        assert!(veiled.contains(":53,") && veiled.contains("]:53"), "{veiled}");
        let other = Veil { hash: KeyedHash::new(&mut Random::new([2; 32])), ours: Vec::new() };
        assert!(!other.over("9.9.9.9").contains(first), "another archive, another name");
    }

    #[test]
    fn what_is_watched_and_passwords_are_not_in_the_settings() {
        let infohash = "a".repeat(40);
        let mut config = Config::default();
        config.settings.watch =
            ["/home/me/A name.torrent", &format!("magnet:?xt=urn:btih:{infohash}&dn=A+name")[..], &infohash]
                .map(|target: &str| target.parse().unwrap())
                .to_vec();
        config.settings.client = vec!["qbittorrent+http://me:hunter2@127.0.0.1:8080".parse().unwrap()];
        let shown = settings(&config);
        for secret in ["name.torrent", "A+name", &infohash, "hunter2"] {
            assert!(!shown.contains(secret), "{secret}");
        }
        assert!(shown.contains("watch = []") && shown.ends_with("the number alone: 3\n"), "{shown}");
    }

    #[test]
    fn the_archive_is_one_that_tar_reads() {
        let mut archive = Vec::new();
        append(&mut archive, "a.txt", b"some text").unwrap();
        append(&mut archive, "b.txt", &[b'x'; 512]).unwrap();
        archive.extend([0; 2 * BLOCK]);
        assert_eq!(archive.len() % BLOCK, 0);
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("archive.tar");
        std::fs::write(&file, archive).unwrap();
        let tar = std::process::Command::new("tar").arg("xf").arg(&file).arg("-C").arg(folder.path()).status();
        // Where there is no tar, nothing can be asked.
        let Ok(status) = tar else { return };
        assert!(status.success());
        let text = std::fs::read_to_string(folder.path().join("trackerless-doctor/a.txt")).unwrap();
        assert_eq!(text, "some text");
    }
}
