//! Which IPv6 address to bind.
//!
//! BEP 32: a node should use one stable global address, not the wildcard, lest replies leave from a temporary
//! (privacy) address that nobody asked. Linux lists addresses with their flags in `/proc/net/if_inet6`; elsewhere the
//! wildcard is bound.

use std::net::Ipv6Addr;

/// Flags of `/proc/net/if_inet6`: temporary (0x01), duplicate-address detection failed (0x08), deprecated (0x20),
/// tentative (0x40).
const UNSTABLE: u8 = 0x01 | 0x08 | 0x20 | 0x40;

/// The stable global IPv6 address of this host, if it has one.
#[must_use]
pub fn stable_global_ipv6() -> Option<Ipv6Addr> {
    stable_global_in(&std::fs::read_to_string("/proc/net/if_inet6").ok()?)
}

fn stable_global_in(table: &str) -> Option<Ipv6Addr> {
    table.lines().find_map(|line| {
        let mut columns = line.split_whitespace();
        let addr = Ipv6Addr::from(u128::from_str_radix(columns.next()?, 16).ok()?);
        let (scope, flags) = (columns.nth(2)?, u8::from_str_radix(columns.next()?, 16).ok()?);
        // 2000::/3 is global unicast; 2001::/32 is Teredo, which BEP 32 advises against.
        let [first, second, ..] = addr.segments();
        let global = first & 0xe000 == 0x2000 && !(first == 0x2001 && second == 0);
        (scope == "00" && flags & UNSTABLE == 0 && global).then_some(addr)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn takes_the_first_address_that_is_global_and_stays() {
        let table = "\
00000000000000000000000000000001 01 80 10 80       lo
fe80000000000000042aacfffe120002 02 40 20 80     eth0
20010db8000000000000000000000099 02 40 00 01     eth0
20010db8000000000000000000000098 02 40 00 20     eth0
20010000000000000000000000000007 02 40 00 80     tun0
20010db8000000000000000000000042 02 40 00 80     eth0
20010db8000000000000000000000043 02 40 00 80     eth1
";
        assert_eq!(stable_global_in(table), Some("2001:db8::42".parse().unwrap()));
        assert_eq!(stable_global_in(""), None);
        assert_eq!(stable_global_in("nonsense\n12 zz\n"), None);
    }
}
