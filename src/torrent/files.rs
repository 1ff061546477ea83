//! The files that an info dictionary names (BEP 3; BEP 52, file tree), with padding left out (BEP 47).

use super::info::InfoError;
use super::name::printable;
use super::reader::{Malformed, Reader, ValueType};

/// Longest path that is read, in bytes; what is longer is cut.
const LONGEST_PATH: usize = 1_000;

/// A file of a torrent.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TorrentFile {
    /// Its path below the torrent's own folder, with `/` between the parts, free of control characters. Of a torrent of
    /// one file it is the name of that.
    pub path: String,
    /// Its size in bytes.
    pub size_bytes: u64,
}

/// The first `most` files of an info dictionary, in its order.
///
/// ```
/// let raw = b"d5:filesld6:lengthi7e4:pathl1:a5:b.mkveee4:name1:n12:piece lengthi16384e6:pieces0:e";
/// let files = trackerless::torrent::files(raw, 100)?;
/// assert_eq!((files[0].path.as_str(), files[0].size_bytes), ("a/b.mkv", 7));
/// # Ok::<(), trackerless::torrent::InfoError>(())
/// ```
///
/// # Errors
/// The bytes are no dictionary.
pub fn files(raw: &[u8], most: usize) -> Result<Vec<TorrentFile>, InfoError> {
    let mut reader = Reader::new(raw);
    if reader.kind()? != ValueType::Dict {
        return Err(InfoError::NoDictionary);
    }
    let mut found = Found { most, ..Found::default() };
    reader.dict(|reader, key| found.take(reader, key))?;
    Ok(found.finish())
}

#[derive(Default)]
struct Found {
    most: usize,
    name: String,
    length: Option<u64>,
    list: Option<Vec<TorrentFile>>,
    tree: Option<Vec<TorrentFile>>,
}

impl Found {
    fn take(&mut self, reader: &mut Reader<'_>, key: &[u8]) -> Result<(), Malformed> {
        match key {
            b"name" if self.name.is_empty() => self.name = reader.string_if_any()?.map(printable).unwrap_or_default(),
            b"length" if self.length.is_none() => self.length = number(reader)?,
            b"files" if self.list.is_none() && reader.kind()? == ValueType::List => {
                let mut files = Vec::new();
                reader.list(|reader| listed(reader, self.most, &mut files))?;
                self.list = Some(files);
            }
            b"file tree" if self.tree.is_none() && reader.kind()? == ValueType::Dict => {
                let mut files = Vec::new();
                tree(reader, "", self.most, &mut files)?;
                self.tree = Some(files);
            }
            _ => {}
        }
        Ok(())
    }

    fn finish(self) -> Vec<TorrentFile> {
        let single = self.length.map(|size_bytes| vec![TorrentFile { path: self.name, size_bytes }]);
        self.tree.or(self.list).or(single).unwrap_or_default()
    }
}

/// One entry of the list `files` of a v1 torrent.
fn listed(reader: &mut Reader<'_>, most: usize, files: &mut Vec<TorrentFile>) -> Result<(), Malformed> {
    if files.len() >= most || reader.kind()? != ValueType::Dict {
        return Ok(());
    }
    let (mut size, mut path, mut utf8, mut padding) = (None, None, None, false);
    reader.dict(|reader, key| {
        match key {
            b"length" if size.is_none() => size = number(reader)?,
            b"path" if path.is_none() => path = parts(reader)?,
            b"path.utf-8" if utf8.is_none() => utf8 = parts(reader)?,
            b"attr" => padding |= is_padding(reader)?,
            _ => {}
        }
        Ok(())
    })?;
    if let (Some(path), false) = (utf8.or(path), padding) {
        files.push(TorrentFile { path, size_bytes: size.unwrap_or_default() });
    }
    Ok(())
}

/// A folder of the file tree of a v2 torrent.
fn tree(reader: &mut Reader<'_>, above: &str, most: usize, files: &mut Vec<TorrentFile>) -> Result<(), Malformed> {
    reader.dict(|reader, name| {
        if files.len() >= most || reader.kind()? != ValueType::Dict {
            return Ok(());
        }
        if !name.is_empty() {
            return tree(reader, &joined(above, name), most, files);
        }
        let (mut size, mut padding) = (None, false);
        reader.dict(|reader, key| {
            match key {
                b"length" if size.is_none() => size = number(reader)?,
                b"attr" => padding |= is_padding(reader)?,
                _ => {}
            }
            Ok(())
        })?;
        if !padding {
            files.push(TorrentFile { path: above.to_owned(), size_bytes: size.unwrap_or_default() });
        }
        Ok(())
    })
}

fn number(reader: &mut Reader<'_>) -> Result<Option<u64>, Malformed> {
    Ok(reader.integer_if_any()?.map(|number| number.to_u64().unwrap_or_default()))
}

fn is_padding(reader: &mut Reader<'_>) -> Result<bool, Malformed> {
    Ok(reader.string_if_any()?.is_some_and(|attributes| attributes.contains(&b'p')))
}

/// The parts of a path, joined; `None` where it is no list.
fn parts(reader: &mut Reader<'_>) -> Result<Option<String>, Malformed> {
    if reader.kind()? != ValueType::List {
        return Ok(None);
    }
    let mut path = String::new();
    reader.list(|reader| {
        if let Some(part) = reader.string_if_any()? {
            path = joined(&path, part);
        }
        Ok(())
    })?;
    Ok((!path.is_empty()).then_some(path))
}

fn joined(above: &str, part: &[u8]) -> String {
    let part = printable(part).replace(['/', '\\'], "_");
    if above.len() + part.len() >= LONGEST_PATH {
        return above.to_owned();
    }
    if above.is_empty() { part } else { format!("{above}/{part}") }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn read(text: &str) -> Vec<(String, u64)> {
        files(text.as_bytes(), 3).unwrap().into_iter().map(|file| (file.path, file.size_bytes)).collect()
    }

    fn expected(files: &[(&str, u64)]) -> Vec<(String, u64)> {
        files.iter().map(|(path, size)| ((*path).to_owned(), *size)).collect()
    }

    #[test]
    fn the_three_ways_to_name_files_are_read() {
        assert_eq!(read("d6:lengthi7e4:name1:ae"), expected(&[("a", 7)]));
        let list = "d5:filesld6:lengthi1e4:pathl1:a1:beed4:attr1:p6:lengthi9e4:pathl1:peed4:pathl1:ceee4:name1:ne";
        assert_eq!(read(list), expected(&[("a/b", 1), ("c", 0)]));
        let tree = "d9:file treed1:ad0:d6:lengthi1eee1:bd1:cd0:d6:lengthi20eeeee12:meta versioni2e4:name1:ne";
        assert_eq!(read(tree), expected(&[("a", 1), ("b/c", 20)]));
    }

    #[test]
    fn what_is_too_much_or_not_fit_is_cut() {
        let many = format!("d5:filesl{}ee", "d6:lengthi1e4:pathl1:aee".repeat(10));
        assert_eq!(read(&many).len(), 3);
        assert_eq!(read("d5:filesld4:pathl4:../x2:\x1b[eeee"), expected(&[(".._x/\u{fffd}[", 0)]));
        let deep = format!("d9:file tree{}d0:deee{}e", "d9:aaaaaaaaa".repeat(200), "e".repeat(199));
        assert!(read(&deep).iter().all(|(path, _)| path.len() < LONGEST_PATH));
        assert!(files(b"le", 1).is_err() && files(b"d5:filesl", 1).is_err());
        assert_eq!(read("d5:filesi1e4:namelee"), []);
    }

    proptest! {
        #[test]
        fn nothing_makes_it_panic(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
            let _ = files(&bytes, 10);
        }
    }
}
