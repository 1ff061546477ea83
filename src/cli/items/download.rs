//! `trackerless get --file`: a file from its tree of items, to standard output or into a file.
//!
//! Blocks go into `OUT.part` at their places; the file gets its name when it is whole. A run that ends early is
//! resumed by running it again: blocks of `OUT.part` that have their hash are not asked for again.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Cursor, IsTerminal, Write as _};
use std::path::{Path, PathBuf};
use std::time::Duration;

use serde_json::json;

use crate::cli::failure::{Exit, Failure};
use crate::cli::network::{Base, Network};
use crate::cli::output::{Printer, counted, write_raw};
use crate::cli::progress::Progress;
use crate::dht::tree::{self, FileTree, TreeError};
use crate::engine::id::Target;

/// A file that is wanted.
pub(super) struct Download {
    pub(super) root: Target,
    /// Where it goes; standard output where this is missing.
    pub(super) out: Option<PathBuf>,
    /// Largest size that is fetched, in bytes.
    pub(super) most: u64,
    /// Longest time for joining the DHT.
    pub(super) patience: Duration,
}

impl Download {
    pub(super) async fn run(&self, base: &Base, output: Printer) -> Result<Exit, Failure> {
        let progress = Progress::new("joining the DHT");
        let network = Network::open(base, self.patience).await?;
        progress.say("asking for the parts of the file");
        let fetched = self.fetch(&network, &progress).await;
        drop(progress);
        network.close().await?;
        match fetched? {
            // Bytes of strangers: a terminal must not obey them.
            Fetched::Bytes(bytes) if io::stdout().is_terminal() => output.bytes(&bytes)?,
            Fetched::Bytes(bytes) => write_raw(&bytes)?,
            Fetched::File { out, size, resumed } => {
                let record =
                    json!({ "root": self.root.to_string(), "bytes": size, "bytes_resumed": resumed, "file": out });
                output.result(format_args!("{}  {}", out.display(), counted(size as usize, "byte")), &record)?;
            }
        }
        Ok(Exit::Done)
    }

    async fn fetch(&self, network: &Network, progress: &Progress) -> Result<Fetched, Failure> {
        let tree = tree::find(network, self.root, self.most).await?;
        let size = tree.size;
        let say = |done| progress.say(format_args!("{done} of {size} bytes"));
        let Some(out) = self.out.clone() else {
            let mut bytes = Cursor::new(Vec::new());
            tree::fetch(network, &tree, &mut bytes, say).await.map_err(nothing_kept)?;
            return Ok(Fetched::Bytes(bytes.into_inner()));
        };
        // A link stays, and what it leads to is written.
        let out = fs::canonicalize(&out).unwrap_or(out);
        // A device or a pipe is written to; only a file is replaced.
        if fs::metadata(&out).is_ok_and(|there| !there.is_file() && !there.is_dir()) {
            let mut bytes = Cursor::new(Vec::new());
            tree::fetch(network, &tree, &mut bytes, say).await.map_err(nothing_kept)?;
            let written = File::options().write(true).open(&out).and_then(|mut file| file.write_all(bytes.get_ref()));
            written.map_err(|error| unwritable(&out, &error))?;
            return Ok(Fetched::File { out, size, resumed: 0 });
        }
        let mut part = Part::open(&out, &tree)?;
        let resumed = tree::fetch(network, &tree, &mut part.file, say).await.map_err(|error| match error {
            TreeError::Io(error) => unwritable(&part.path, &error),
            error => error.into(),
        })?;
        part.finish(&out)?;
        Ok(Fetched::File { out, size, resumed })
    }
}

/// A file that is whole.
enum Fetched {
    Bytes(Vec<u8>),
    File {
        out: PathBuf,
        /// Size in bytes.
        size: u64,
        /// Number of bytes that an earlier run had fetched.
        resumed: u64,
    },
}

impl From<TreeError> for Failure {
    fn from(error: TreeError) -> Self {
        match error {
            TreeError::NotFound { .. } => Self::nothing(
                error,
                "run the same command again later: what was fetched is kept; those who have the file can put it again",
            ),
            TreeError::TooLarge { size, .. } => Self::usage(error, format_args!("allow it with --max-size {size}")),
            TreeError::NoIndex(_) => Self::usage(
                error,
                "give the root that `trackerless put --file` printed; get a single item without --file",
            ),
            error => Self::usage(error, "try again"),
        }
    }
}

/// The failure of a download that goes to standard output.
fn nothing_kept(error: TreeError) -> Failure {
    match error {
        TreeError::NotFound { .. } => {
            Failure::nothing(error, "try again later; with -o FILE, what was fetched is kept for the next try")
        }
        error => error.into(),
    }
}

/// The file while it is not whole.
struct Part {
    file: File,
    path: PathBuf,
}

impl Part {
    fn open(out: &Path, tree: &FileTree) -> Result<Self, Failure> {
        let mut path = out.as_os_str().to_owned();
        path.push(".part");
        let path = PathBuf::from(path);
        let file = OpenOptions::new().read(true).write(true).create(true).truncate(false).open(&path);
        let part = Self { file: file.map_err(|error| unwritable(&path, &error))?, path };
        part.file.set_len(tree.size).map_err(|error| unwritable(&part.path, &error))?;
        Ok(part)
    }

    fn finish(self, out: &Path) -> Result<(), Failure> {
        let renamed = self.file.sync_all().and_then(|()| fs::rename(&self.path, out));
        renamed.map_err(|error| unwritable(out, &error))
    }
}

/// A file that cannot be written.
pub(super) fn unwritable(path: &Path, error: &io::Error) -> Failure {
    Failure::usage(
        format_args!("{}: {error}", path.display()),
        "name a file in a folder that can be written, with room",
    )
}
