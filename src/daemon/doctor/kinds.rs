//! All kinds of findings: what each means, where it comes from, and the one cure. docs/DOCTOR.md is made from this table.

/// How bad a finding is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Severity {
    /// Worth knowing; nothing needs to be done.
    Note,
    /// It works, but less well than it could.
    Warning,
    /// It does not work.
    Wrong,
}

/// A kind of finding.
#[derive(Debug, PartialEq, Eq)]
pub struct Kind {
    /// Its name for programs: lower case, words joined by `-`.
    pub code: &'static str,
    /// How bad it is.
    pub severity: Severity,
    /// What is so, in one line.
    pub what: &'static str,
    /// Why that is so, and what it means.
    pub cause: &'static str,
    /// What to do about it.
    pub cure: &'static str,
    /// How it is known.
    pub known_by: &'static str,
    /// Codes of the kinds that explain it.
    pub follows_from: &'static [&'static str],
}

/// Makes a constant of each kind, and the list of all.
macro_rules! kinds {
    ($( $severity:ident $name:ident $code:literal { $what:literal; cause: $cause:literal; cure: $cure:literal; known: $known:literal;
        $( after: $($after:literal),+; )? } )+) => {
        $( #[doc = $what] pub static $name: Kind = Kind {
            code: $code,
            severity: Severity::$severity,
            what: $what,
            cause: $cause,
            cure: $cure,
            known_by: $known,
            follows_from: &[$( $($after),+ )?],
        }; )+

        /// All kinds, in the order of the document.
        pub static KINDS: &[&Kind] = &[$( &$name ),+];
    };
}

kinds! {
    Wrong NO_NETWORK "no-network" {
        "this host has no route to the Internet, neither by IPv4 nor by IPv6";
        cause: "No interface is up that leads anywhere: a cable, Wi-Fi or VPN is down, or the host is in a network of its own.";
        cure: "bring a network interface up; in a network without Internet, run with --lan and name a node with --bootstrap";
        known: "the kernel is asked which address it would send from";
    }
    Wrong NO_ANSWER "no-answer" {
        "no other node answers";
        cause: "UDP is dropped on the way, outwards or back: a firewall, a hotel or company network, or a VPN that is down.";
        cure: "allow UDP from this host to any port, and the answers back";
        known: "a node of its own asked the known nodes and the routers, and no datagram came back";
        after: "no-network", "loopback-only", "sending-refused", "rejected-on-the-way", "names-fail", "names-lie";
    }
    Wrong SENDING_REFUSED "sending-refused" {
        "this host refuses to send the datagrams";
        cause: "A rule of this host's own firewall rejects what the program sends, or the address that it is bound to may not be used.";
        cure: "allow UDP output for this program in the firewall of this host (nftables, iptables, a security profile)";
        known: "the kernel refused most of the datagrams that were sent, and nothing came back";
        after: "no-network", "loopback-only";
    }
    Wrong REJECTED "rejected-on-the-way" {
        "a router or firewall on the way rejects UDP";
        cause: "It says so (ICMP) instead of dropping the datagrams in silence: a rule of the network, or nobody listens at the address that is asked.";
        cure: "where you named a node with --bootstrap, see that it runs there; otherwise allow UDP in the firewall of the network, or use a VPN";
        known: "each router was asked by a socket of its own, and for most of them the kernel was told (ICMP) that nothing passes";
        after: "no-network", "loopback-only", "sending-refused", "names-lie";
    }
    Wrong PORT_TAKEN "port-taken" {
        "another program has the UDP port";
        cause: "Two programs cannot listen on one address and port, as a torrent client with a DHT of its own and this one.";
        cure: "end the other program, or choose another port with --bind ADDRESS:PORT";
        known: "binding to the address was tried; /proc names the program that has it";
    }
    Wrong ADDRESS_NOT_HERE "address-not-here" {
        "this host does not have the address to listen on";
        cause: "The address in the settings belongs to a network that is not up, as a VPN, or the host has got another one.";
        cure: "bring that network up: a running node waits for it; or name another address with --bind";
        known: "binding to the address was tried";
    }
    Wrong PORT_REFUSED "port-refused" {
        "the system does not allow listening on this port";
        cause: "Ports below 1024 are for privileged programs, and security profiles may forbid others.";
        cure: "choose a port above 1023 with --bind ADDRESS:PORT";
        known: "binding to the address was tried";
    }
    Wrong FOLDER_NOT_WRITABLE "folder-not-writable" {
        "the data folder cannot be written";
        cause: "The folder belongs to another user, lies on a file system that is read-only, or something else has its name.";
        cure: "give the folder to the user that runs the program, or name another one with --data-dir";
        known: "a file was written into the folder and removed";
    }
    Wrong FOLDER_FULL "folder-full" {
        "there is no room left where the data folder is";
        cause: "The file system is full, or the quota of the user is spent: nothing that the node learns can be saved.";
        cure: "make room on that file system, or name another folder with --data-dir";
        known: "the file system is asked how much is free";
    }
    Wrong STATE_DAMAGED "state-damaged" {
        "the saved state cannot be read";
        cause: "The file was changed, or its disk failed: its checksum is not that of its contents.";
        cure: "start `trackerless run`: it sets the file aside and begins afresh";
        known: "the state file was read";
    }
    Wrong CONNTRACK_FULL "conntrack-full" {
        "the table of connections of this host's firewall is nearly full";
        cause: "The firewall remembers each address that is spoken to; when its table is full, datagrams are dropped at random.";
        cure: "raise net.netfilter.nf_conntrack_max, or exempt the DHT port from tracking (docs/OPERATING.md has the rule)";
        known: "/proc/sys/net/netfilter: nf_conntrack_count and nf_conntrack_max";
    }
    Wrong LOOPBACK_ONLY "loopback-only" {
        "the node listens on a loopback address only";
        cause: "Nothing outside this host can be reached from there.";
        cure: "leave --bind out, or name an address of a network; with --lan loopback is a network of its own";
        known: "the settings";
    }
    Warning NAMES_FAIL "names-fail" {
        "the names of the routers have no addresses";
        cause: "The name server does not answer, or knows no names: DNS is down or not configured.";
        cure: "set a working name server (/etc/resolv.conf), or name a node by its address with --bootstrap ADDRESS:PORT";
        known: "each router's name was looked up";
        after: "no-network", "sending-refused";
    }
    Warning NAMES_LIE "names-lie" {
        "the name server gives local addresses for public routers";
        cause: "Names are filtered or redirected, as by an ad blocker, a captive portal or a provider.";
        cure: "use another name server, or name a node by its address with --bootstrap ADDRESS:PORT";
        known: "each router's name was looked up, and the addresses are none of the Internet";
    }
    Warning FAMILY_SILENT "family-silent" {
        "by one address family no node answers, by the other they do";
        cause: "The route of that family leads nowhere, or its UDP is dropped: a tunnel that is down, a firewall with rules for one family.";
        cure: "mend that family, or leave its address out of --bind";
        known: "datagrams were sent by both families, and answers came by one";
    }
    Warning FEW_NODES "few-nodes" {
        "only a few nodes are known";
        cause: "Most of those that were asked do not answer: the node has just begun, its saved nodes are old, or much is lost on the way.";
        cure: "wait some minutes and ask again; if it stays so, look for loss on the line, or add a node with --bootstrap";
        known: "the good nodes of the routing table are counted";
        after: "no-answer", "no-network";
    }
    Warning OTHER_PORT "other-port" {
        "others see us at another port than the one that we use";
        cause: "A router between this host and the Internet translates ports, so that only nodes that we have asked can reach us.";
        cure: "forward the UDP port to this host in the router";
        known: "the answers of other nodes say which port they see (BEP 42, ip)";
        after: "carrier-nat";
    }
    Warning SYMMETRIC_NAT "symmetric-nat" {
        "the router shows each node another port of ours (symmetric NAT)";
        cause: "It opens a port for each address that we ask, and for that one alone: only nodes that we have asked can reach us.";
        cure: "forward the UDP port to this host in the router; where it is the provider's, use IPv6 or a VPN that forwards a port";
        known: "the answers of other nodes say which port they see (BEP 42, ip), and most see different ones";
        after: "carrier-nat";
    }
    Warning CARRIER_NAT "carrier-nat" {
        "the provider translates our address (carrier NAT)";
        cause: "This host's address is one of 100.64.0.0/10, which many customers share: strangers cannot reach us. Behind a router of ours that has such an address this is not seen.";
        cure: "ask the provider for a public address, use IPv6, or a VPN that forwards a port";
        known: "the address that the kernel sends from";
    }
    Warning OTHER_INTERFACE "other-interface" {
        "the node is bound to an address that the way to the Internet does not begin at";
        cause: "The default route has moved to another interface, as when a VPN came up after the node: its datagrams leave the wrong way or not at all.";
        cure: "leave --bind at its default, which follows the route, or name an address of the interface that is meant";
        known: "the kernel is asked which address it would send from";
    }
    Warning PORT_NOT_OPEN "port-not-open" {
        "the router opens no port for this node";
        cause: "It speaks none of PCP, NAT-PMP and UPnP, or that is switched off in it: strangers reach this host only if the port is forwarded.";
        cure: "switch UPnP or NAT-PMP on in the router, or forward the UDP port by hand; then port_mapping = \"off\" ends the asking";
        known: "the running node asks its router for the port again and again";
    }
    Warning NOT_REACHED "not-reached" {
        "strangers do not reach this node";
        cause: "A firewall or router lets in only answers: the node finds others, but they do not store with it or find it.";
        cure: "forward the UDP port to this host in the router, and let UDP to that port in at the firewall of this host";
        known: "within the first hour no queries came from nodes that it had not contacted (three networks within a quarter of an hour)";
        after: "port-not-open", "symmetric-nat", "carrier-nat", "other-port", "behind-nat", "few-nodes";
    }
    Warning IGNORED_RANGE "ignored-range" {
        "libtorrent ignores the network of our address";
        cause: "Its clients (qBittorrent, Deluge) drop DHT packets from some networks that once were not in use, as 3.0.0.0/8 and 34.0.0.0/8 of large hosters.";
        cure: "use an address of another network, or IPv6; other clients are not concerned";
        known: "the address at which others see us, and the list of libtorrent (dht_ignore_dark_internet)";
    }
    Warning ID_DOES_NOT_FIT "id-does-not-fit" {
        "the node's id does not fit its address (BEP 42)";
        cause: "Others count such a node for less. It chooses another id by itself when enough of them agree on its address.";
        cure: "leave the node running; if it stays so, remove the state file while it is stopped";
        known: "the id of the running node, and the address at which others see it";
    }
    Warning V6_WITHOUT_ROUTE "ipv6-without-route" {
        "this host has an IPv6 address of the Internet, but no route";
        cause: "The router has stopped to announce itself, or its announcements are not accepted: nothing can be reached by IPv6.";
        cure: "bring the default route back (ip -6 route; accept_ra), or remove the address";
        known: "the addresses of the interfaces, and the kernel is asked which address it would send from";
        after: "no-network";
    }
    Warning TEMPORARY_ONLY "temporary-only" {
        "this host has only temporary IPv6 addresses";
        cause: "Privacy extensions change the address each day, and with it the node's id.";
        cure: "let the interface have a stable address too (ip token, or use_tempaddr = 1)";
        known: "/proc/net/if_inet6";
    }
    Warning DROPPED_DATAGRAMS "dropped-datagrams" {
        "the kernel has dropped datagrams because its buffer was full";
        cause: "More came at once than the socket's buffer holds, and the program was not run in time.";
        cure: "raise net.core.rmem_max to 4194304; the node asks for as much as it may have";
        known: "/proc/net/snmp: Udp RcvbufErrors beside InDatagrams, since this host was started";
    }
    Warning FEW_FILES "few-files" {
        "the limit of open files is low";
        cause: "Each client of the gateway needs one, and saving needs some: at the limit connections are refused.";
        cure: "raise the limit to 4096 or more (ulimit -Hn, or LimitNOFILE of the service)";
        known: "the limit of this process that cannot be raised further";
    }
    Warning SPACE_SHORT "space-short" {
        "little room is left where the data folder is";
        cause: "The state of a busy node takes some megabytes, and is written beside the old one before that is replaced.";
        cure: "make room on that file system, or name another folder with --data-dir";
        known: "the file system is asked how much is free";
    }
    Warning CLOCK_BEHIND "clock-behind" {
        "the clock of this host is behind";
        cause: "The saved state was written later than it is now by this clock: what is kept by time is kept too long.";
        cure: "set the clock (NTP), and see whether its battery is empty";
        known: "the time in the state file";
    }
    Warning GATEWAY_TAKEN "gateway-taken" {
        "another program has the gateway's port";
        cause: "A tracker or another node runs there: clients that are given the gateway's address reach that one.";
        cure: "end the other program, or choose another address with --gateway ADDRESS:PORT, or --gateway off";
        known: "binding to the address was tried; /proc names the program that has it";
    }
    Warning NOT_VISIBLE "not-visible" {
        "some of our announces were not seen when looked at again";
        cause: "The nodes that stored them have gone or gave them up, or others cannot ask us for a while.";
        cure: "leave the node running: it announces again by itself; if it stays so, see the other findings";
        known: "the saved state: each announce is looked at again at the nodes that stored it";
        after: "no-answer", "few-nodes", "no-network", "key-alarm", "announces-late", "sending-refused";
    }
    Warning KEY_ALARM "key-alarm" {
        "nodes crowd around a key that we announce";
        cause: "There are more nodes close to it than chance allows: their owner may want to be the only one that is asked for it.";
        cure: "nothing: announces and searches go to the whole region of the key; if it stays so, share a second infohash (another piece size)";
        known: "order statistics of the distances to the key, at each announce (docs/SECURITY.md)";
    }
    Warning ANNOUNCED_PORT_CLOSED "announced-port-closed" {
        "no program of this host listens at the port that is announced";
        cause: "The client is not running, uses another port, or runs in a container whose port is not published here.";
        cure: "start the client, or set announce_port to the port in its settings";
        known: "the settings, and the listening sockets in /proc/net";
    }
    Warning ANNOUNCES_LATE "announces-late" {
        "announces wait: there are more than the budget allows";
        cause: "Each needs queries to nodes that were not contacted lately, and new_destinations_per_second bounds those for the sake of routers at home.";
        cure: "raise new_destinations_per_second, if your router bears it (docs/ANNOUNCER.md has figures), or announce less";
        known: "the schedule of the running node";
        after: "no-answer", "few-nodes", "no-network", "sending-refused";
    }
    Note NOT_RUNNING "not-running" {
        "no node runs with this data folder";
        cause: "Nothing is announced or served while it does not run.";
        cure: "start it: trackerless run";
        known: "the lock of the data folder";
    }
    Note STATE_OLD "state-old" {
        "the saved state is old";
        cause: "The node has not run for more than a week: most of the nodes that it knew have gone.";
        cure: "start it: it asks the routers for new ones";
        known: "the time in the state file";
    }
    Note SET_ASIDE "set-aside" {
        "a damaged state was set aside earlier";
        cause: "At some start the file could not be read, and the node began afresh.";
        cure: "look at the disk if this is new; the file that was set aside may be removed";
        known: "files of that name in the data folder";
    }
    Note NO_IPV4 "no-ipv4" {
        "this host has no route by IPv4";
        cause: "It is a host for IPv6 alone, or its IPv4 network is down; most nodes of the DHT are reached by IPv4.";
        cure: "nothing, if that is meant; otherwise bring IPv4 up";
        known: "the kernel is asked which address it would send from";
        after: "no-network";
    }
    Note NO_IPV6 "no-ipv6" {
        "this host has no route by IPv6";
        cause: "The provider or the router gives no IPv6, which is usual.";
        cure: "nothing: IPv4 does";
        known: "the kernel is asked which address it would send from";
        after: "no-network";
    }
    Note BEHIND_NAT "behind-nat" {
        "a router translates our address";
        cause: "Strangers reach this host only at a port that is open in the router.";
        cure: "nothing where the router opens ports (UPnP, NAT-PMP): `run` asks it; otherwise forward the UDP port to this host";
        known: "the address that the kernel sends from is not the one that others see";
        after: "carrier-nat";
    }
    Note IPV6_TUNNEL "ipv6-tunnel" {
        "IPv6 goes through a tunnel (Teredo or 6to4)";
        cause: "The address is one of 2001::/32 or 2002::/16; such tunnels are slow and lose much.";
        cure: "use IPv4, or native IPv6";
        known: "the address that the kernel sends from";
    }
    Note CONTAINER "gateway-in-container" {
        "the gateway listens on loopback inside a container";
        cause: "Loopback of a container is not that of its host: clients outside of it cannot reach the gateway.";
        cure: "--gateway 0.0.0.0:6969, and publish the port for your own network only";
        known: "signs of a container: /.dockerenv, /run/.containerenv";
    }
    Note PRIVATE_NETWORK "private-network" {
        "this is a private network (--lan)";
        cause: "No public node is asked and none is known.";
        cure: "leave --lan out for the mainline DHT";
        known: "the settings";
    }
}
