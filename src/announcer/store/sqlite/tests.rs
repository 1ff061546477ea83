//! The file: what is written is loaded, at once and after every accident.

use std::time::Instant as Wall;

use super::*;
use crate::announcer::store::{WatchList, Watched};
use crate::engine::contact::Contact;
use crate::engine::id::NodeId;

fn record(number: u32) -> Record {
    let mut bytes = [7; 20];
    bytes[..4].copy_from_slice(&number.to_be_bytes());
    let at = |place: u8| if place < 8 { format!("10.0.{place}.1:6881") } else { format!("[2001:db8::{place}]:6881") };
    let copy = |place: u8| {
        let contact = Contact { id: NodeId::new([place; 20]), addr: at(place).parse().unwrap() };
        StoredCopy::new(contact, *b"LT\x02\x03", Instant::from_secs(1_800_000_000))
    };
    let by = |source: &str, state| ListedBy {
        source: source.into(),
        port: Some(6881),
        complete: number.is_multiple_of(2),
        ipv4_only: false,
        state,
    };
    Record {
        info_hash: InfoHash::new(bytes),
        name: Some(format!("a torrent with an ordinary name, number {number}").into()),
        listed: vec![by("/srv/torrents", ListedState::Active), by("qbittorrent", STATES[number as usize % 5].0)],
        copies: (0..12).map(copy).collect(),
        evidence: Evidence {
            announced: Some(Instant::from_secs(1_800_000_000).into()),
            looked: Some(Instant::from_secs(1_800_000_100).into()),
            seen_as: Some(CompactAddr::new(&"198.51.100.1:6881".parse().unwrap())),
            swarm: Some((3, number)),
            error: Some(ERRORS[number as usize % 3].0),
            failures: 2,
        },
        announced_port: 6881,
    }
}

fn kept(records: &[Record]) -> Vec<Change> {
    records.iter().map(|record| (record.info_hash, Some(record.clone()))).collect()
}

fn open(folder: &Path) -> SqliteStore {
    let opened = SqliteStore::open(folder).unwrap();
    assert_eq!(opened.damage(), None);
    opened.store
}

#[test]
fn ten_thousand_are_kept_and_loaded() {
    let folder = tempfile::tempdir().unwrap();
    let records: Vec<Record> = (0..10_000).map(record).collect();
    open(folder.path()).write(&kept(&records)).unwrap();
    #[expect(clippy::disallowed_methods, reason = "it is printed, for people to see: with --release, some 30 ms")]
    let began = Wall::now();
    let loaded = open(folder.path()).load().unwrap();
    println!("10,000 infohashes with holders and evidence are loaded in {:?}", began.elapsed());
    assert_eq!(loaded, records);
    let bytes = fs::metadata(folder.path().join(FILE)).unwrap().len();
    assert!(bytes < 15_000_000, "{bytes} bytes for 10,000 infohashes");
}

#[test]
fn a_change_is_kept_without_closing_the_file_and_what_is_gone_is_gone() {
    let folder = tempfile::tempdir().unwrap();
    let mut store = open(folder.path());
    store.write(&kept(&[record(1), record(2)])).unwrap();
    store.write(&[(record(1).info_hash, None), kept(&[record(3)]).remove(0)]).unwrap();
    // As after kill -9: nothing was closed.
    std::mem::forget(store);
    assert_eq!(open(folder.path()).load().unwrap(), [record(2), record(3)]);
    #[cfg(unix)]
    {
        use std::os::unix::fs::PermissionsExt as _;
        assert_eq!(fs::metadata(folder.path().join(FILE)).unwrap().permissions().mode() & 0o777, 0o600);
    }
}

#[test]
fn a_damaged_file_is_set_aside_and_kept() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join(FILE);
    for (number, damage) in [0, 1, 2, 3].into_iter().enumerate() {
        let mut store = open(folder.path());
        store.write(&kept(&(0..200).map(record).collect::<Vec<_>>())).unwrap();
        drop(store);
        let mut bytes = fs::read(&path).unwrap();
        match damage {
            0 => bytes[..16].copy_from_slice(b"no such database"),
            1 => bytes.truncate(5000),
            2 => bytes[4096..20_000].fill(0x5a),
            _ => bytes[60..64].copy_from_slice(&99u32.to_be_bytes()),
        }
        fs::write(&path, &bytes).unwrap();
        let opened = SqliteStore::open(folder.path()).unwrap();
        let (reason, aside) = opened.damage().unwrap_or_else(|| panic!("damage {damage} was not seen"));
        assert!(!reason.is_empty());
        assert_eq!(fs::read(aside).unwrap(), bytes, "{reason}");
        let mut store = opened.store;
        assert_eq!(store.load().unwrap(), []);
        let all: Vec<_> = fs::read_dir(folder.path()).unwrap().map(|entry| entry.unwrap().file_name()).collect();
        let aside = all.iter().filter(|name| name.to_string_lossy().contains("damaged")).count();
        assert!(aside > number, "{all:?}");
    }
}

#[test]
fn a_full_disk_is_named_and_loses_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let mut store = open(folder.path());
    store.write(&kept(&[record(1)])).unwrap();
    let pages: u32 = store.connection.pragma_query_value(None, "page_count", |row| row.get(0)).unwrap();
    store.connection.pragma_update(None, "max_page_count", pages + 1).unwrap();
    let many: Vec<Record> = (0..500).map(record).collect();
    let error = store.write(&kept(&many)).unwrap_err();
    assert!(error.to_string().contains("full") && error.cure().contains("free some room"), "{error}");
    assert_eq!(store.load().unwrap(), [record(1)], "all or none");
    store.connection.pragma_update(None, "max_page_count", 1 << 30).unwrap();
    store.write(&kept(&many)).unwrap();
    assert_eq!(store.load().unwrap().len(), 500);
}

#[test]
fn sources_are_kept_as_they_are() {
    let folder = tempfile::tempdir().unwrap();
    let mut store = open(folder.path());
    let left_out = vec![LeftOut { entry: "a.torrent".to_owned(), reason: "no bencode".to_owned() }];
    let trouble = Some("it is gone".to_owned());
    let status =
        SourceStatus { torrents: 3, refused: 1, left_out, trouble, listed: Some(Instant::from_secs(9)), since: None };
    let sources = BTreeMap::from([("/srv".into(), status)]);
    store.write_sources(&sources).unwrap();
    assert_eq!(open(folder.path()).sources().unwrap(), sources);
    assert_eq!(store.port().unwrap(), None);
    store.write_port(Some(7)).unwrap();
    assert_eq!(open(folder.path()).port().unwrap(), Some(7));
    store.write_port(None).unwrap();
    assert_eq!(store.port().unwrap(), None);
    store.write_sources(&BTreeMap::new()).unwrap();
    assert_eq!(SqliteStore::look(folder.path()).unwrap().unwrap().sources().unwrap(), BTreeMap::new());
}

#[test]
fn what_one_program_watches_another_sees() {
    let folder = tempfile::tempdir().unwrap();
    assert!(SqliteStore::look(folder.path()).unwrap().is_none());
    let (command, mut node) = (WatchList::open(folder.path()).unwrap(), WatchList::open(folder.path()).unwrap());
    assert!(node.has_changed().unwrap());
    assert!(!node.has_changed().unwrap());
    let folder = Watched { port: Some(5), ..Watched::new("/srv/torrents/**").unwrap() };
    assert_eq!((folder.target.as_str(), folder.recursive), ("/srv/torrents", true));
    assert!(command.add(&folder).unwrap());
    assert!(!command.add(&Watched { seed: true, ..folder.clone() }).unwrap());
    assert!(node.has_changed().unwrap());
    assert_eq!(node.all().unwrap(), [Watched { seed: true, ..folder }]);
    assert!(command.remove("/srv/torrents").unwrap());
    assert!(!command.remove("/srv/torrents").unwrap());
    assert_eq!(node.all().unwrap(), []);
}

#[test]
fn nothing_makes_the_reader_of_copies_panic() {
    let bytes = packed(&record(1).copies);
    assert_eq!(unpacked(&bytes).unwrap(), record(1).copies);
    for len in 0..bytes.len() {
        let _ = unpacked(&bytes[..len]);
    }
    assert_eq!(unpacked(&[255]), None);
    assert_eq!(unpacked(&[0; 13]), None);
}

/// A disk without room, one that cannot be written, and a folder in the place of the file want different things.
#[test]
fn each_trouble_of_the_file_has_its_own_cure() {
    let folder = tempfile::tempdir().unwrap();
    let cure = |code: i32| {
        let source = rusqlite::Error::SqliteFailure(rusqlite::ffi::Error::new(code), None);
        StoreError::Sqlite { path: folder.path().to_owned(), source }.cure()
    };
    assert!(cure(rusqlite::ffi::SQLITE_FULL).starts_with("free some room there"));
    assert!(cure(rusqlite::ffi::SQLITE_READONLY).starts_with("name a folder that can be written"));
    assert!(cure(rusqlite::ffi::SQLITE_CANTOPEN).starts_with("move that folder away"));
    assert!(cure(rusqlite::ffi::SQLITE_PERM).starts_with("name a folder that is yours"));
}
