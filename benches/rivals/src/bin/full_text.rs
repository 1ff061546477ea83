//! tantivy as a store of torrents, to be measured: `full_text FOLDER` reads lines with fields between tabs.
//!
//! | line | what it does | answer |
//! |---|---|---|
//! | `torrent INFOHASH SIZE SEEDS NAME FILES` | is kept for `add`; SEEDS may be `-`, FILES is stored as it is | |
//! | `add` | adds what was kept | microseconds, torrents |
//! | `settle` | commits, and waits for the merging of segments | microseconds, 0 |
//! | `close` | closes the index; the next search opens it again | 0, 0 |
//! | `search ORDER (word\|prefix\|phrase\|seeds\|size VALUE)...` | `seeds` is the least, `size` the largest value | microseconds, results |

use std::ops::Bound;
use std::path::{Path, PathBuf};
use std::time::Instant;

use tantivy::collector::TopDocs;
use tantivy::query::{BooleanQuery, Occur, PhraseQuery, Query, RangeQuery, RegexQuery, TermQuery};
use tantivy::schema::{FAST, Field, INDEXED, IndexRecordOption, STORED, STRING, Schema, TEXT, Value as _};
use tantivy::{Index, IndexReader, IndexWriter, Order, TantivyDocument, Term};

/// Torrents of a commit: tantivy wants few, large ones.
const COMMITTED: usize = 100_000;
/// Memory of the writer, in bytes.
const MEMORY: usize = 100_000_000;
/// Results of a search.
const WANTED: usize = 100;

fn main() -> tantivy::Result<()> {
    let folder = PathBuf::from(std::env::args().nth(1).expect("FOLDER"));
    let mut store = Store::new(&folder)?;
    for line in std::io::stdin().lines() {
        let line = line.expect("text");
        let fields: Vec<&str> = line.split('\t').collect();
        let began = Instant::now();
        let number = match fields[..] {
            ["torrent", infohash, size, seeds, name, files] => {
                store.keep(infohash, size, seeds, name, files);
                continue;
            }
            ["add"] => store.add()?,
            ["settle"] => store.settle()?,
            ["close"] => store.close(),
            ["search", order, ref terms @ ..] => store.search(order, terms)?,
            _ => panic!("{line}"),
        };
        println!("{} {number}", began.elapsed().as_micros());
    }
    Ok(())
}

/// The fields of a torrent.
#[derive(Clone, Copy)]
struct Fields {
    infohash: Field,
    name: Field,
    size: Field,
    seeds: Field,
    files: Field,
}

struct Store {
    folder: PathBuf,
    fields: Fields,
    writer: Option<IndexWriter>,
    reader: Option<IndexReader>,
    kept: Vec<TantivyDocument>,
    uncommitted: usize,
}

impl Store {
    fn new(folder: &Path) -> tantivy::Result<Self> {
        let mut schema = Schema::builder();
        let fields = Fields {
            infohash: schema.add_text_field("infohash", STRING | STORED),
            name: schema.add_text_field("name", TEXT | STORED),
            size: schema.add_u64_field("size", FAST | INDEXED | STORED),
            seeds: schema.add_u64_field("seeds", FAST | INDEXED | STORED),
            files: schema.add_text_field("files", STORED),
        };
        let index = Index::create_in_dir(folder, schema.build())?;
        let writer = Some(index.writer_with_num_threads(1, MEMORY)?);
        Ok(Self { folder: folder.to_owned(), fields, writer, reader: None, kept: Vec::new(), uncommitted: 0 })
    }

    fn keep(&mut self, infohash: &str, size: &str, seeds: &str, name: &str, files: &str) {
        let mut torrent = TantivyDocument::new();
        torrent.add_text(self.fields.infohash, infohash);
        torrent.add_text(self.fields.name, name);
        torrent.add_u64(self.fields.size, size.parse().expect("a size"));
        if let Ok(seeds) = seeds.parse() {
            torrent.add_u64(self.fields.seeds, seeds);
        }
        if !files.is_empty() {
            torrent.add_text(self.fields.files, files);
        }
        self.kept.push(torrent);
    }

    fn add(&mut self) -> tantivy::Result<usize> {
        let writer = self.writer.as_mut().expect("nothing is added after it settled");
        let added = self.kept.len();
        for torrent in self.kept.drain(..) {
            writer.add_document(torrent)?;
        }
        self.uncommitted += added;
        if self.uncommitted >= COMMITTED {
            writer.commit()?;
            self.uncommitted = 0;
        }
        Ok(added)
    }

    fn settle(&mut self) -> tantivy::Result<usize> {
        if let Some(mut writer) = self.writer.take() {
            writer.commit()?;
            writer.wait_merging_threads()?;
        }
        Ok(0)
    }

    fn close(&mut self) -> usize {
        self.reader = None;
        0
    }

    fn search(&mut self, order: &str, terms: &[&str]) -> tantivy::Result<usize> {
        let reader = match self.reader.take() {
            Some(reader) => reader,
            None => Index::open_in_dir(&self.folder)?.reader()?,
        };
        let searcher = self.reader.insert(reader).searcher();
        let clause = |term| self.fields.clause(term).map(|clause| (Occur::Must, clause));
        let clauses: tantivy::Result<Vec<_>> = terms.chunks(2).map(clause).collect();
        let best = TopDocs::with_limit(WANTED).order_by_fast_field::<u64>(order, Order::Desc);
        let found = searcher.search(&BooleanQuery::new(clauses?), &best)?;
        let mut names = 0;
        for (_, address) in &found {
            let torrent: TantivyDocument = searcher.doc(*address)?;
            names += usize::from(torrent.get_first(self.fields.name).is_some_and(|name| name.as_str().is_some()));
        }
        Ok(names)
    }
}

impl Fields {
    fn clause(&self, term: &[&str]) -> tantivy::Result<Box<dyn Query>> {
        let word = |word: &str| Term::from_field_text(self.name, word);
        Ok(match term {
            ["word", value] => Box::new(TermQuery::new(word(value), IndexRecordOption::Basic)),
            ["prefix", value] => Box::new(RegexQuery::from_pattern(&format!("{value}.*"), self.name)?),
            ["phrase", value] => {
                let words: Vec<Term> = value.split(' ').map(word).collect();
                match &words[..] {
                    [single] => Box::new(TermQuery::new(single.clone(), IndexRecordOption::Basic)),
                    _ => Box::new(PhraseQuery::new(words)),
                }
            }
            ["seeds", value] => {
                let least = Term::from_field_u64(self.seeds, value.parse().expect("a number"));
                Box::new(RangeQuery::new(Bound::Included(least), Bound::Unbounded))
            }
            ["size", value] => {
                let most = Term::from_field_u64(self.size, value.parse().expect("a number"));
                Box::new(RangeQuery::new(Bound::Unbounded, Bound::Included(most)))
            }
            _ => panic!("{term:?}"),
        })
    }
}
