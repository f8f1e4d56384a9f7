//! Names of numbers in packet headers: protocols, ports, DSCP, TOS, ICMP types, ethertypes and TCP flags.
//!
//! The tables are small on purpose and built in, so that a policy means the same on every machine.

/// A table of names; where two names have one number, the first is the one that is shown.
pub type Table = &'static [(&'static str, u64)];

/// Protocols (IANA protocol numbers). `icmp` is not here: it is 1 on IPv4 and 58 on IPv6, see [`ICMP`].
pub const PROTOCOLS: Table = &[
    ("tcp", 6),
    ("udp", 17),
    ("sctp", 132),
    ("dccp", 33),
    ("udplite", 136),
    ("icmp4", 1),
    ("icmpv4", 1),
    ("icmp6", 58),
    ("icmpv6", 58),
    ("ipv6-icmp", 58),
    ("igmp", 2),
    ("ipip", 4),
    ("6in4", 41),
    ("gre", 47),
    ("esp", 50),
    ("ah", 51),
    ("eigrp", 88),
    ("ospf", 89),
    ("pim", 103),
    ("vrrp", 112),
    ("l2tp", 115),
];

/// What `icmp` stands for: ICMP of IPv4 and of IPv6.
pub const ICMP: [u64; 2] = [1, 58];

/// The protocols that have ports: tcp, udp, sctp, dccp, udplite.
pub const WITH_PORTS: [u64; 5] = [6, 17, 132, 33, 136];

/// Well-known ports (IANA service names, and the words people use for them).
pub const PORTS: Table = &[
    ("ftp-data", 20),
    ("ftp", 21),
    ("ssh", 22),
    ("telnet", 23),
    ("smtp", 25),
    ("domain", 53),
    ("dns", 53),
    ("bootps", 67),
    ("bootpc", 68),
    ("tftp", 69),
    ("http", 80),
    ("kerberos", 88),
    ("pop3", 110),
    ("nntp", 119),
    ("ntp", 123),
    ("imap", 143),
    ("snmp", 161),
    ("snmptrap", 162),
    ("bgp", 179),
    ("ldap", 389),
    ("https", 443),
    ("microsoft-ds", 445),
    ("smb", 445),
    ("submissions", 465),
    ("isakmp", 500),
    ("ike", 500),
    ("syslog", 514),
    ("submission", 587),
    ("ipp", 631),
    ("ldaps", 636),
    ("domain-s", 853),
    ("rsync", 873),
    ("imaps", 993),
    ("pop3s", 995),
    ("openvpn", 1194),
    ("pptp", 1723),
    ("radius", 1812),
    ("mqtt", 1883),
    ("nfs", 2049),
    ("mysql", 3306),
    ("stun", 3478),
    ("rdp", 3389),
    ("ipsec-nat-t", 4500),
    ("sip", 5060),
    ("sips", 5061),
    ("mdns", 5353),
    ("postgresql", 5432),
    ("vnc", 5900),
    ("redis", 6379),
    ("irc", 6667),
    ("http-alt", 8080),
    ("git", 9418),
    ("wireguard", 51820),
];

/// Differentiated services code points (RFC 2474, 2597, 3246, 5865, 8622).
pub const DSCP: Table = &[
    ("cs0", 0),
    ("be", 0),
    ("le", 1),
    ("cs1", 8),
    ("af11", 10),
    ("af12", 12),
    ("af13", 14),
    ("cs2", 16),
    ("af21", 18),
    ("af22", 20),
    ("af23", 22),
    ("cs3", 24),
    ("af31", 26),
    ("af32", 28),
    ("af33", 30),
    ("cs4", 32),
    ("af41", 34),
    ("af42", 36),
    ("af43", 38),
    ("cs5", 40),
    ("va", 44),
    ("ef", 46),
    ("cs6", 48),
    ("cs7", 56),
];

/// The TOS octet by the names of RFC 1349. The lowest of its bits is ECN's ECT(0) today (RFC 3168).
pub const TOS: Table = &[
    ("minimize-delay", 0x10),
    ("maximize-throughput", 0x08),
    ("maximize-reliability", 0x04),
    ("minimize-monetary-cost", 0x02),
    ("normal-service", 0x00),
];

/// The bits by which a TOS name is matched: the nibble of RFC 1349 without the bit that ECN has taken.
pub const TOS_MASK: u64 = 0x1c;

/// The two bits of the TOS octet that are ECN (RFC 3168).
pub const ECN_MASK: u64 = 0x03;

/// ICMP types of IPv4 (RFC 792, 1256).
pub const ICMP4_TYPES: Table = &[
    ("echo-reply", 0),
    ("destination-unreachable", 3),
    ("source-quench", 4),
    ("redirect", 5),
    ("echo-request", 8),
    ("router-advertisement", 9),
    ("router-solicitation", 10),
    ("time-exceeded", 11),
    ("parameter-problem", 12),
    ("timestamp-request", 13),
    ("timestamp-reply", 14),
];

/// ICMP types of IPv6 (RFC 4443, 4861, 2710, 3810).
pub const ICMP6_TYPES: Table = &[
    ("destination-unreachable", 1),
    ("packet-too-big", 2),
    ("time-exceeded", 3),
    ("parameter-problem", 4),
    ("echo-request", 128),
    ("echo-reply", 129),
    ("mld-query", 130),
    ("mld-report", 131),
    ("mld-done", 132),
    ("router-solicitation", 133),
    ("router-advertisement", 134),
    ("neighbour-solicitation", 135),
    ("neighbor-solicitation", 135),
    ("neighbour-advertisement", 136),
    ("neighbor-advertisement", 136),
    ("redirect", 137),
    ("mld2-report", 143),
];

/// Ethertypes (IEEE), by the words of tc and iproute2.
pub const ETHERTYPES: Table = &[
    ("ip", 0x0800),
    ("ipv4", 0x0800),
    ("arp", 0x0806),
    ("802.1q", 0x8100),
    ("ip6", 0x86dd),
    ("ipv6", 0x86dd),
    ("mpls", 0x8847),
    ("pppoe-discovery", 0x8863),
    ("pppoe", 0x8864),
    ("eapol", 0x888e),
    ("802.1ad", 0x88a8),
    ("lldp", 0x88cc),
];

/// The flags in the fourteenth octet of the TCP header (RFC 9293).
pub const TCP_FLAGS: Table = &[
    ("fin", 0x01),
    ("syn", 0x02),
    ("rst", 0x04),
    ("psh", 0x08),
    ("ack", 0x10),
    ("urg", 0x20),
    ("ece", 0x40),
    ("cwr", 0x80),
];

/// The number of a name; case does not matter.
pub fn number(table: Table, name: &str) -> Option<u64> {
    table.iter().find(|(n, _)| n.eq_ignore_ascii_case(name)).map(|(_, number)| *number)
}

/// The name of a number.
pub fn name(table: Table, number: u64) -> Option<&'static str> {
    table.iter().find(|(_, n)| *n == number).map(|(name, _)| *name)
}

/// The candidate nearest to a word, near enough to be a slip of the pen.
pub fn nearest<'a>(word: &str, candidates: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    let word = word.to_lowercase();
    let reach = match word.chars().count() {
        0 | 1 => 0,
        2..=4 => 1,
        5..=8 => 2,
        _ => 3,
    };
    candidates
        .into_iter()
        .map(|c| (strsim::damerau_levenshtein(&word, c), c))
        .filter(|(distance, _)| *distance <= reach)
        .min_by_key(|(distance, _)| *distance)
        .map(|(_, c)| c)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_shows_as_itself_or_as_an_earlier_one() {
        for table in [PROTOCOLS, PORTS, DSCP, TOS, ICMP4_TYPES, ICMP6_TYPES, ETHERTYPES, TCP_FLAGS] {
            for (word, n) in table {
                assert_eq!(number(table, word), Some(*n));
                let shown = name(table, *n).unwrap_or_default();
                assert_eq!(number(table, shown), Some(*n));
            }
        }
        assert_eq!(name(PORTS, 53), Some("domain"));
        assert_eq!(number(DSCP, "EF"), Some(46));
    }

    #[test]
    fn nearest_is_near() {
        assert_eq!(nearest("dportt", ["sport", "dport"]), Some("dport"));
        assert_eq!(nearest("xyzzy", ["sport", "dport"]), None);
        assert_eq!(nearest("Rate", ["rate"]), Some("rate"));
    }
}
