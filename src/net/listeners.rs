//! Ports at which a program of this network namespace listens, as `/proc/net` tells them on Linux.
//!
//! A client whose interface answers on this host and whose port no program here has is in another namespace: a container whose
//! interface was published.

/// The tables, each with the state of a socket that takes what comes: `LISTEN` of TCP, and of UDP one that is not connected.
const TABLES: [(&str, &str); 4] =
    [("/proc/net/tcp", "0A"), ("/proc/net/tcp6", "0A"), ("/proc/net/udp", "07"), ("/proc/net/udp6", "07")];

/// Whether a program here listens at `port`, by TCP or UDP. `None` where the system does not tell.
#[must_use]
pub fn is_listened_at(port: u16) -> Option<bool> {
    let mut told = false;
    for (path, state) in TABLES {
        let Ok(table) = std::fs::read_to_string(path) else { continue };
        told = true;
        if is_in_table(&table, port, state) {
            return Some(true);
        }
    }
    told.then_some(false)
}

/// Whether a socket in this state has the port.
fn is_in_table(table: &str, port: u16, state: &str) -> bool {
    rows(table).any(|row| row.port == port && row.state == state)
}

/// A socket in a table of `/proc/net`.
#[derive(Clone, Copy, Debug)]
pub struct Row<'t> {
    /// Its port here.
    pub port: u16,
    /// Its state, in hexadecimal.
    pub state: &'t str,
    /// The number of its inode, where the row tells it.
    pub inode: Option<&'t str>,
}

/// The sockets of a table. A row is `0: 0100007F:1AE1 00000000:0000 0A ...`: number, local address and port, remote ones, state;
/// the inode is the tenth.
pub fn rows(table: &str) -> impl Iterator<Item = Row<'_>> {
    table.lines().skip(1).filter_map(|row| {
        let mut columns = row.split_whitespace().skip(1);
        let (_, digits) = columns.next()?.rsplit_once(':')?;
        let port = u16::from_str_radix(digits, 16).ok()?;
        Some(Row { port, state: columns.nth(1)?, inode: columns.nth(5) })
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    const TABLE: &str = "\
  sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt   uid  timeout inode
   0: 0100007F:1AE1 00000000:0000 0A 00000000:00000000 00:00000000 00000000     0        0 1 1
   1: 0100007F:1F90 0100007F:C350 01 00000000:00000000 00:00000000 00000000     0        0 2 1
   2: 00000000000000000000000000000000:1770 00000000000000000000000000000000:0000 0A 0 0
";

    #[test]
    fn listeners_are_found_and_connections_are_none() {
        for (port, listens) in [(6881, true), (6000, true), (8080, false), (50000, false), (1, false)] {
            assert_eq!(is_in_table(TABLE, port, "0A"), listens, "{port}");
        }
        assert!(!is_in_table("", 1, "0A") && !is_in_table("x\ny z\n", 1, "0A"));
    }

    #[test]
    #[cfg(target_os = "linux")]
    fn the_system_tells_of_a_listener() {
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let port = listener.local_addr().unwrap().port();
        assert_eq!(is_listened_at(port), Some(true));
        assert_eq!(is_listened_at(0), Some(false), "no socket has port 0");
    }
}
