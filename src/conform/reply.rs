//! An answer of the target, and questions about it that explain themselves when they fail.

use super::Trouble;
use super::template::readable;
use super::tree::Tree;

/// An answer: a response, an error, or something that is neither.
#[derive(Clone, Debug)]
pub(super) struct Reply {
    pub(super) bytes: Vec<u8>,
    tree: Option<Tree>,
}

pub(super) fn failed(why: impl Into<String>) -> Trouble {
    Trouble::Failed(why.into())
}

pub(super) fn skipped(why: impl Into<String>) -> Trouble {
    Trouble::Skipped(why.into())
}

/// Fails with `why` unless `condition` holds.
pub(super) fn expect(condition: bool, why: impl Into<String>) -> Result<(), Trouble> {
    if condition { Ok(()) } else { Err(failed(why)) }
}

impl Reply {
    pub(super) fn new(bytes: Vec<u8>) -> Self {
        let tree = Tree::parse(&bytes);
        Self { bytes, tree }
    }

    fn top(&self, key: &str) -> Option<&Tree> {
        self.tree.as_ref()?.get(key)
    }

    pub(super) fn top_bytes(&self, key: &str) -> Option<&[u8]> {
        self.top(key)?.bytes()
    }

    /// Whether it is one bencoded value at all.
    pub(super) const fn is_readable(&self) -> bool {
        self.tree.is_some()
    }

    /// Whether it is one bencoded dict.
    pub(super) const fn is_dict(&self) -> bool {
        matches!(self.tree, Some(Tree::Dict(_)))
    }

    pub(super) fn has(&self, key: &str) -> bool {
        self.top(key).is_some()
    }

    pub(super) fn is_error(&self) -> bool {
        self.top_bytes("y") == Some(b"e")
    }

    pub(super) fn is_query(&self) -> bool {
        self.top_bytes("y") == Some(b"q")
    }

    pub(super) fn is_response(&self) -> bool {
        self.top_bytes("y") == Some(b"r")
    }

    pub(super) fn transaction(&self) -> &[u8] {
        self.top_bytes("t").unwrap_or_default()
    }

    /// The results of a response.
    pub(super) fn results(&self) -> Result<Results<'_>, Trouble> {
        if let Ok((code, text)) = self.error() {
            return Err(failed(format!("answered with error {code}: {text}")));
        }
        let results = self.top("r").filter(|_| self.is_response());
        let results = results.ok_or_else(|| failed("the answer is no response: no y = r with a dict r"))?;
        Ok(Results(results))
    }

    /// Code and text of an error.
    pub(super) fn error(&self) -> Result<(i64, String), Trouble> {
        let error = self.top("e").filter(|_| self.top_bytes("y") == Some(b"e")).and_then(Tree::list);
        match error {
            Some([code, text]) if code.int().is_some() && text.bytes().is_some() => {
                Ok((code.int().unwrap_or_default(), readable(text.bytes().unwrap_or_default())))
            }
            Some(_) => Err(failed("e is not a list of a number and a text")),
            None => Err(failed("the answer is no error: no y = e with a list e")),
        }
    }

    /// The arguments of a query.
    pub(super) fn arguments(&self) -> Option<&Tree> {
        self.top("a")
    }
}

/// `r` of a response.
#[derive(Clone, Copy, Debug)]
pub(super) struct Results<'a>(&'a Tree);

impl<'a> Results<'a> {
    pub(super) fn get(self, key: &str) -> Option<&'a Tree> {
        self.0.get(key)
    }

    pub(super) fn bytes(self, key: &str) -> Result<&'a [u8], Trouble> {
        let value = self.get(key).ok_or_else(|| failed(format!("r.{key} is missing")))?;
        value.bytes().ok_or_else(|| failed(format!("r.{key} is no string")))
    }

    pub(super) fn int(self, key: &str) -> Result<i64, Trouble> {
        let value = self.get(key).ok_or_else(|| failed(format!("r.{key} is missing")))?;
        value.int().ok_or_else(|| failed(format!("r.{key} is no integer")))
    }

    pub(super) fn id(self) -> Result<[u8; 20], Trouble> {
        self.bytes("id")?.try_into().map_err(|_| failed("r.id has not 20 bytes"))
    }

    pub(super) fn lacks(self, key: &str) -> Result<(), Trouble> {
        expect(self.get(key).is_none(), format!("r.{key} is there"))
    }

    /// The records of `nodes` or `nodes6`.
    pub(super) fn contacts(self, key: &str) -> Result<Vec<&'a [u8]>, Trouble> {
        let record = if key == "nodes6" { 38 } else { 26 };
        let bytes = self.bytes(key)?;
        expect(bytes.len() % record == 0, format!("r.{key} has {} bytes, no multiple of {record}", bytes.len()))?;
        Ok(bytes.chunks_exact(record).collect())
    }

    /// The elements of `values`; none where there are none.
    pub(super) fn values(self) -> Result<Vec<&'a [u8]>, Trouble> {
        let Some(values) = self.get("values") else { return Ok(Vec::new()) };
        let list = values.list().ok_or_else(|| failed("r.values is no list"))?;
        list.iter().map(|value| value.bytes().ok_or_else(|| failed("an element of r.values is no string"))).collect()
    }
}
