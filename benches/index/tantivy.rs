//! tantivy, in a process of its own (`benches/rivals/src/bin/full_text.rs`), which is told what to do line by line and
//! measures itself.

use std::io::{BufRead as _, BufReader, BufWriter, Write as _};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};
use std::time::Duration;

use trackerless::index::entry::Entry;
use trackerless::index::query::{Number, Query, Sort, What};

use crate::measured::{Measured, bytes_of, forget_pages};

/// The process, and the folder of its index.
pub struct Tantivy {
    folder: PathBuf,
    child: Child,
    input: BufWriter<ChildStdin>,
    output: BufReader<ChildStdout>,
}

impl Tantivy {
    pub fn start(folder: PathBuf) -> Self {
        std::fs::create_dir_all(&folder).expect("a folder");
        let mut child = Command::new(build())
            .arg(&folder)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .expect("the program was built");
        let input = BufWriter::new(child.stdin.take().expect("a pipe"));
        let output = BufReader::new(child.stdout.take().expect("a pipe"));
        Self { folder, child, input, output }
    }

    /// Sends a line; the numbers of the answer.
    fn ask(&mut self, line: &str) -> (u64, usize) {
        writeln!(self.input, "{line}").and_then(|()| self.input.flush()).expect("the program runs");
        let mut answer = String::new();
        self.output.read_line(&mut answer).expect("the program runs");
        let (micros, results) = answer.trim().split_once(' ').expect("two numbers");
        (micros.parse().expect("a number"), results.parse().expect("a number"))
    }
}

/// Builds the program, unless it is there.
fn build() -> PathBuf {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let target = root.join("target/rivals");
    let built = Command::new("cargo")
        .args(["build", "--release", "--quiet", "--no-default-features", "--features", "tantivy", "--bin", "full_text"])
        .arg("--manifest-path")
        .arg(root.join("benches/rivals/Cargo.toml"))
        .arg("--target-dir")
        .arg(&target)
        .status();
    assert!(built.is_ok_and(|status| status.success()), "tantivy is not built");
    target.join("release/full_text")
}

impl Measured for Tantivy {
    fn name(&self) -> String {
        "tantivy".to_owned()
    }

    fn add(&mut self, batch: &[Entry]) -> Duration {
        for entry in batch {
            let seeds = entry.swarm.map_or_else(|| "-".to_owned(), |swarm| swarm.seeds.to_string());
            let files: Vec<String> =
                entry.files.iter().map(|file| format!("{}\u{1f}{}", file.size_bytes, file.path)).collect();
            let (infohash, files) = (entry.infohash, files.join("\u{1e}"));
            writeln!(self.input, "torrent\t{infohash}\t{}\t{seeds}\t{}\t{files}", entry.size_bytes, entry.name)
                .expect("the program runs");
        }
        Duration::from_micros(self.ask("add").0)
    }

    fn settle(&mut self) {
        self.ask("settle");
    }

    fn bytes(&mut self) -> u64 {
        bytes_of(&self.folder)
    }

    fn close(&mut self) {
        self.ask("close");
        forget_pages(&self.folder);
    }

    fn search(&mut self, query: &Query) -> (Duration, usize) {
        let mut line = format!("search\t{}", if query.sort == Sort::Size { "size" } else { "seeds" });
        for term in &query.terms {
            line += &match &term.what {
                What::Word(word) | What::Files(word) => format!("\tword\t{word}"),
                What::Prefix(beginning) => format!("\tprefix\t{beginning}"),
                What::Phrase(words) => format!("\tphrase\t{}", words.join(" ")),
            };
        }
        for bound in &query.bounds {
            line += &match bound.number {
                Number::Seeds => format!("\tseeds\t{}", bound.least),
                _ => format!("\tsize\t{}", bound.most),
            };
        }
        let (micros, results) = self.ask(&line);
        (Duration::from_micros(micros), results)
    }

    fn folder(&self) -> &Path {
        &self.folder
    }

    fn processes(&self) -> Vec<u32> {
        vec![self.child.id()]
    }
}

impl Drop for Tantivy {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
