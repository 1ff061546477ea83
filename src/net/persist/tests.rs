//! The folder on a real file system.

use super::*;

/// What a save writes before it takes the place of the state.
const TEMPORARY_FILE: &str = "state.bencode.new";

/// A folder of its own for each test, gone when it ends.
struct Folder(PathBuf);

impl Folder {
    fn new(name: &str) -> Self {
        let path = std::env::temp_dir().join(format!("trackerless-persist-{}-{name}", std::process::id()));
        let _ = fs::remove_dir_all(&path);
        Self(path)
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

fn state() -> State {
    let addr = ([127, 0, 0, 1], 6880).into();
    let node = SavedNode { asked: addr, bound: addr, snapshot: Snapshot::default() };
    State { saved_at: unix_seconds(), nodes: vec![node] }
}

#[test]
fn saves_and_loads() {
    let folder = Folder::new("saves");
    let dir = DataDir::keep(&folder.0).unwrap();
    assert!(matches!(dir.load(), Ok(Found::Nothing)));
    dir.save(&state()).unwrap();
    let Found::State(found) = dir.load().unwrap() else { panic!("no state") };
    assert_eq!(found.nodes, state().nodes);
}

#[test]
fn a_second_keeper_is_refused_and_told_of_the_first() {
    let folder = Folder::new("second");
    let first = DataDir::keep(&folder.0).unwrap();
    let error = DataDir::keep(&folder.0).expect_err("in use").to_string();
    assert!(error.contains(&format!("process {}", std::process::id())), "{error}");
    drop(first);
    DataDir::keep(&folder.0).expect("the lock went with its keeper");
}

#[test]
fn a_damaged_file_is_set_aside_and_kept() {
    let folder = Folder::new("damaged");
    let dir = DataDir::keep(&folder.0).unwrap();
    fs::write(folder.0.join(STATE_FILE), b"d6:formati1e").unwrap();
    assert!(matches!(look(&folder.0), Ok(Found::Damaged { moved_to: None, .. })), "looking moves nothing");
    let Found::Damaged { moved_to: Some(moved_to), .. } = dir.load().unwrap() else { panic!("not set aside") };
    assert_eq!(fs::read(moved_to).unwrap(), b"d6:formati1e");
    assert!(matches!(dir.load(), Ok(Found::Nothing)));
}

#[cfg(unix)]
#[test]
fn only_the_owner_may_read_the_state() {
    use std::os::unix::fs::PermissionsExt as _;
    let folder = Folder::new("private");
    DataDir::keep(&folder.0).unwrap().save(&state()).unwrap();
    let mode = fs::metadata(folder.0.join(STATE_FILE)).unwrap().permissions().mode();
    assert_eq!(mode & 0o777, 0o600);
}

#[test]
fn several_damaged_files_of_one_second_are_all_kept() {
    let folder = Folder::new("several");
    let dir = DataDir::keep(&folder.0).unwrap();
    let mut kept = Vec::new();
    for rubbish in ["one", "two", "three"] {
        fs::write(folder.0.join(STATE_FILE), rubbish).unwrap();
        let Found::Damaged { moved_to: Some(moved_to), .. } = dir.load().unwrap() else { panic!("not set aside") };
        kept.push((rubbish, moved_to));
    }
    for (rubbish, moved_to) in kept {
        assert_eq!(fs::read_to_string(moved_to).unwrap(), rubbish);
    }
}

#[cfg(unix)]
#[test]
fn nothing_is_written_through_a_link() {
    use std::os::unix::fs::symlink;
    let folder = Folder::new("links");
    fs::create_dir(&folder.0).unwrap();
    let precious = folder.0.join("precious");
    fs::write(&precious, "of somebody else").unwrap();
    symlink(&precious, folder.0.join(TEMPORARY_FILE)).unwrap();
    let dir = DataDir::keep(&folder.0).unwrap();
    // And one that comes between two saves.
    for _ in 0..2 {
        dir.save(&state()).unwrap();
        fs::remove_file(folder.0.join(TEMPORARY_FILE)).unwrap();
        symlink(&precious, folder.0.join(TEMPORARY_FILE)).unwrap();
    }
    drop(dir);
    fs::remove_file(folder.0.join(LOCK_FILE)).unwrap();
    symlink(&precious, folder.0.join(LOCK_FILE)).unwrap();
    let error = DataDir::keep(&folder.0).expect_err("a link");
    assert!(error.cure().contains("link"), "{error}: {}", error.cure());
    assert_eq!(fs::read_to_string(&precious).unwrap(), "of somebody else");
    assert!(matches!(look(&folder.0), Ok(Found::State(_))));
}

#[cfg(unix)]
#[test]
fn a_folder_that_is_made_here_is_closed_to_others() {
    use std::os::unix::fs::PermissionsExt as _;
    let folder = Folder::new("closed");
    DataDir::keep(&folder.0).unwrap();
    assert_eq!(fs::metadata(&folder.0).unwrap().permissions().mode() & 0o777, 0o700);
}

#[test]
fn what_is_no_file_is_named_with_its_cure() {
    let folder = Folder::new("folder");
    let dir = DataDir::keep(&folder.0).unwrap();
    fs::create_dir(folder.0.join(STATE_FILE)).unwrap();
    let error = dir.load().expect_err("a folder");
    assert!(error.to_string().contains("it is a folder") && error.cure().contains("folder away"), "{error}");
    drop(dir);
    let file = folder.0.join("file");
    fs::write(&file, "x").unwrap();
    let error = DataDir::keep(&file).expect_err("a file");
    assert!(error.cure().contains("not a file"), "{error}: {}", error.cure());
}
