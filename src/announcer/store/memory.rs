//! A store that ends with the program.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};

use super::{Change, Record, Store, StoreError};
use crate::announcer::view::SourceStatus;
use crate::engine::id::InfoHash;

/// Keeps nothing beyond the program. A clone is the same store: what one has written another loads.
#[derive(Clone, Debug, Default)]
pub struct MemoryStore {
    kept: Arc<Mutex<BTreeMap<InfoHash, Record>>>,
}

impl Store for MemoryStore {
    fn load(&mut self) -> Result<Vec<Record>, StoreError> {
        Ok(self.kept.lock().unwrap_or_else(PoisonError::into_inner).values().cloned().collect())
    }

    fn write(&mut self, changes: &[Change]) -> Result<(), StoreError> {
        let mut kept = self.kept.lock().unwrap_or_else(PoisonError::into_inner);
        for (info_hash, record) in changes {
            match record {
                Some(record) => drop(kept.insert(*info_hash, record.clone())),
                None => drop(kept.remove(info_hash)),
            }
        }
        Ok(())
    }

    fn write_sources(&mut self, _: &BTreeMap<Arc<str>, SourceStatus>) -> Result<(), StoreError> {
        Ok(())
    }
}
