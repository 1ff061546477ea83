//! The file in which a VPN program writes the port that it forwards (gluetun: `/tmp/gluetun/forwarded_port`), and beside it
//! the file `ip` with the address at which the world sees the VPN.

use std::fs::File;
use std::io::Read as _;
use std::net::IpAddr;
use std::path::{Path, PathBuf};
use std::time::Duration;

use tokio::sync::watch;

/// Time between two looks at the file. That is cheap, and works where a file system tells of no changes.
const LOOK_EVERY: Duration = Duration::from_secs(1);

/// Most bytes that are read: some ports, each on a line of its own.
const MOST_BYTES: u64 = 1024;

/// What the file says.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Forwarded {
    /// The port that the VPN forwards; the last known one while the file says nothing.
    pub port: Option<u16>,
    /// The address at which the world sees the VPN.
    pub address: Option<IpAddr>,
    /// Why the file says nothing.
    pub trouble: Option<String>,
}

/// Looks at the file again and again, and tells what has changed; never ends.
pub async fn follow(path: PathBuf, tell: watch::Sender<Forwarded>) {
    let mut ticks = tokio::time::interval(LOOK_EVERY);
    loop {
        ticks.tick().await;
        let said = read(&path);
        let address = read_address(&path);
        tell.send_if_modified(|known| {
            let new = match &said {
                Ok(port) => Forwarded { port: Some(*port), address, trouble: None },
                Err(why) => Forwarded { port: known.port, address, trouble: Some(why.clone()) },
            };
            let changed = new != *known;
            *known = new;
            changed
        });
    }
}

fn read(path: &Path) -> Result<u16, String> {
    let text = head_of(path).map_err(|error| format!("the port file {} cannot be read: {error}", path.display()))?;
    first_port(&text).ok_or_else(|| format!("the port file {} has no port in it", path.display()))
}

fn read_address(path: &Path) -> Option<IpAddr> {
    head_of(&path.with_file_name("ip")).ok()?.trim().parse().ok()
}

fn head_of(path: &Path) -> std::io::Result<String> {
    if !std::fs::metadata(path)?.is_file() {
        // A pipe would keep its reader waiting for ever.
        return Err(std::io::Error::new(std::io::ErrorKind::InvalidInput, "it is not an ordinary file"));
    }
    let mut bytes = Vec::new();
    File::open(path)?.take(MOST_BYTES).read_to_end(&mut bytes)?;
    Ok(String::from_utf8_lossy(&bytes).into_owned())
}

/// The first of the ports; 0 is none.
fn first_port(text: &str) -> Option<u16> {
    let mut words = text.split([',', '\n', '\r', ' ', '\t', '\u{feff}']).filter(|word| !word.is_empty());
    words.next()?.parse().ok().filter(|port| *port != 0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_port_counts() {
        for (text, port) in [
            ("50123\n", Some(50123)),
            ("50123", Some(50123)),
            ("\n 50123,50124\r\n", Some(50123)),
            ("0\n", None),
            ("\u{feff}50123", Some(50123)),
            ("70000", None),
            ("-1", None),
            ("50123 is the port", Some(50123)),
            ("\u{fffd}\u{fffd}", None),
            (" \n\n", None),
            ("none", None),
            ("", None),
        ] {
            assert_eq!(first_port(text), port, "{text:?}");
        }
    }

    #[tokio::test(start_paused = true)]
    async fn changes_are_told_and_a_file_that_is_gone_changes_no_port() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("forwarded_port");
        let (tell, mut told) = watch::channel(Forwarded::default());
        let mut said = Vec::new();
        tokio::select! {
            () = follow(path.clone(), tell) => {}
            () = async {
                for content in [None, Some("1111"), Some("2222\n"), None, Some("2222")] {
                    match content {
                        Some(port) => std::fs::write(&path, port).unwrap(),
                        None => drop(std::fs::remove_file(&path)),
                    }
                    told.changed().await.unwrap();
                    let Forwarded { port, trouble, .. } = told.borrow_and_update().clone();
                    said.push((port, trouble.is_some()));
                }
            } => {}
        }
        assert_eq!(
            said,
            [(None, true), (Some(1111), false), (Some(2222), false), (Some(2222), true), (Some(2222), false)]
        );
    }

    #[test]
    fn the_address_stands_beside_it() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("forwarded_port");
        assert_eq!(read_address(&path), None);
        std::fs::write(folder.path().join("ip"), "198.51.100.4\n").unwrap();
        assert_eq!(read_address(&path), Some([198, 51, 100, 4].into()));
    }
}
