#![allow(clippy::unwrap_used)]
use super::*;

fn read(protocol: u16, text: &str) -> Result<Flower, Refusal> {
    let words: Vec<String> = text.split_whitespace().map(str::to_owned).collect();
    let mut flower = Flower::default();
    flower.begin_tc(&Place { handle: 0, protocol, parent: Handle::new(1, 0), words: words.len() });
    crate::kind::read_tc(&mut flower, &mut Words::new(&words), &mut Reader::tc()).map(|()| flower)
}

fn tc(flower: &Flower) -> String {
    let mut out = Vec::new();
    flower.tc(&mut out);
    out.join(" ")
}

fn attributes(flower: &Flower) -> Vec<(u16, Vec<u8>)> {
    let mut out = Attributes::new();
    flower.encode(&mut out, &Facts::default());
    Payload(&out.bytes).attributes().unwrap().list.into_iter().map(|(n, p)| (n, p.0.to_vec())).collect()
}

/// Words that came after iproute2 6.1.
#[test]
fn newer_words_travel_as_the_header_has_them() {
    for (protocol, text, number, bytes) in [
        (3, "l2_miss 1", 106, vec![1]),
        (0x0800, "ip_proto l2tp l2tpv3_sid 5", 105, vec![0, 0, 0, 5]),
        (0x0800, "ip_proto esp spi 0x10", 108, vec![0, 0, 0, 0x10]),
        (0x0800, "ip_proto ah spi 10", 109, vec![0xff; 4]),
        (0x8902, "cfm mdl 5 op 1", 107, vec![5, 0, 1, 0, 5, 0, 0, 0, 5, 0, 2, 0, 1, 0, 0, 0]),
        (3, "enc_flags tuncsum/notundf", 110, vec![0, 0, 0, 4]),
        (3, "enc_flags tuncsum/notundf", 111, vec![0, 0, 0, 12]),
        (3, "pfcp_opts 1:2a", 84, vec![24, 0, 5, 0x80, 5, 0, 1, 0, 1, 0, 0, 0, 12, 0, 2, 0, 0, 0, 0, 0, 0, 0, 0, 0x2a]),
        (3, "hash 0x5/0xf", 100, 5_u32.to_ne_bytes().to_vec()),
    ] {
        let flower = read(protocol, text).unwrap();
        let sent = attributes(&flower);
        let found = sent.iter().find(|(n, _)| *n == number).map(|(_, bytes)| bytes.clone());
        assert_eq!(found, Some(bytes), "{text}");
        let mut out = Attributes::new();
        flower.encode(&mut out, &Facts::default());
        let mut held = Flower::default();
        held.decode(Payload(&out.bytes), &Facts::default()).unwrap();
        for row in 0..Flower::ROWS.len() {
            let tool = Flower::ROWS.get(row).is_some_and(|r| r.tool);
            assert!(tool || flower.same(&held, row, &Facts::default()), "{text}: {:?}", Flower::ROWS.get(row));
        }
    }
}

#[test]
fn the_kernel_keeps_of_an_erspan_what_its_version_has() {
    let read = |text: &str| Erspan::read(text, &mut Reader::tc()).unwrap();
    assert_eq!(read("1:2:0:0").show(), "1:2:0:0");
    assert!(read("1:2:0:0").same(&read("1:2:1:9")));
    assert!(!read("2:0:1:9").same(&read("2:0:0:9")));
    assert!(read("2:0:1:99/2:0:0xff:0x3f").same(&read("2:0:1:35/2:0:1:0x3f")), "one bit, and six");
    let vxlan = |text: &str| Vxlan::read(text, &mut Reader::tc()).unwrap();
    assert!(vxlan("5").same(&vxlan("5/0x48ffff")));
    assert_eq!(Gtp::read("1:5/ff:3f", &mut Reader::tc()).unwrap().show(), "01:05/0xff:0x3f".replace("0x", ""));
}

#[test]
fn keys_want_their_protocol_from_left_to_right() {
    for (protocol, text) in [
        (3, "ip_proto tcp"),
        (3, "dst_ip 10.0.0.1"),
        (0x86dd, "dst_ip 10.0.0.1"),
        (0x86dd, "ip_proto icmp"),
        (0x0800, "ip_proto icmpv6"),
        (0x0800, "dst_port 22"),
        (0x0800, "dst_port 22 ip_proto tcp"),
        (0x0800, "vlan_id 5"),
        (0x8100, "ip_proto tcp vlan_ethtype ip"),
        (0x8100, "vlan_ethtype ip cvlan_id 5"),
        (0x0800, "arp_op request"),
        (0x0806, "arp_tip ::1"),
        (0x0806, "arp_op 3/x"),
        (0x0800, "mpls_label 5"),
        (0x8847, "mpls_label 5 mpls lse depth 1 label 5"),
        (0x8847, "mpls lse label 5"),
        (0x8847, "mpls_label 1048576"),
        (0x0800, "pppoe_sid 5"),
        (0x0800, "ip_proto icmp type 256"),
        (0x0800, "ip_proto tcp spi 5"),
        (0x0800, "ip_proto tcp dst_port 20-10"),
        (0x0800, "hw_tc 16"),
        (0x0800, "cfm mdl 1"),
        (0x0800, "frob 1"),
    ] {
        assert!(read(protocol, text).is_err(), "{text}");
    }
    for (protocol, text) in [
        (0x8100, "vlan_id 5 vlan_ethtype ip ip_proto tcp dst_port 22"),
        (0x8100, "vlan_ethtype 802.1q cvlan_id 6 cvlan_ethtype ipv6 ip_proto icmpv6 type 128"),
        (0x0800, "num_of_vlans 2 vlan_id 5 cvlan_id 6"),
        (0x8864, "pppoe_sid 5 ppp_proto ip ip_proto udp dst_port 53"),
        (0x8847, "mpls lse depth 1 label 5 tc 3 bos 0 ttl 64 lse depth 2 bos 1"),
    ] {
        let flower = read(protocol, text).unwrap_or_else(|r| unreachable!("{text}: {}", r.message));
        assert_eq!(read(protocol, &tc(&flower)).unwrap(), flower, "{text}");
    }
}

#[test]
fn words_are_cut_short_in_tcs_order() {
    let flower = read(0x0800, "c 1:10 ip_p t dst_po 22 i frag ip_f nofirstfrag ve skip_h").unwrap();
    let whole = "ip_proto tcp ip_flags nofirstfrag/frag dst_port 22 flowid 1:10 verbose skip_hw";
    assert_eq!(tc(&flower), whole);
    assert_eq!(tc(&read(0x0800, "h 3").unwrap()), "flowid 1:ffe3");
}

#[test]
fn an_address_keeps_its_host_bits_and_they_do_not_count() {
    let of = |text: &str| read(0x0800, text).unwrap();
    assert_eq!(tc(&of("dst_ip 10.1.2.3/8")), "dst_ip 10.1.2.3/8");
    assert_eq!(tc(&of("dst_ip 10/8")), "dst_ip 10.0.0.0/8");
    assert_eq!(tc(&of("dst_ip default")), "dst_ip 0.0.0.0/0");
    assert!(read(0x0800, "dst_ip any").is_err());
    assert!(of("dst_ip 10.1.2.3/8").dst_ip.unwrap().same(&of("dst_ip 10/8").dst_ip.unwrap()));
}

#[test]
fn states_that_no_connection_has_are_refused() {
    let found = |text: &str| {
        let mut found = Vec::new();
        read(3, text).unwrap().check(&Facts::default(), &mut found);
        found.len()
    };
    assert_eq!(found("ct_state +trk+est"), 0);
    for text in ["ct_state +est", "ct_state +trk+new+est", "ct_state +trk+inv+rel", "ct_state +trk+new+rpl"] {
        assert_eq!(found(text), 1, "{text}");
    }
    assert_eq!(found("ip_tos 0x10"), 1, "the kernel passes it over");
}

#[test]
fn what_the_kernel_says_otherwise_is_the_same() {
    let facts = Facts::default();
    let same = |protocol, asked: &str, held: &str| {
        let (asked, held) = (read(protocol, asked).unwrap(), read(protocol, held).unwrap());
        (0..Flower::ROWS.len()).all(|row| asked.same(&held, row, &facts))
    };
    assert!(same(0x8847, "mpls lse depth 1 label 5 bos 1", "mpls_label 5 mpls_bos 1"));
    assert!(!same(0x8847, "mpls lse depth 2 label 5", "mpls_label 5"));
    assert!(same(0x0800, "tcp_flags 2 dst_ip default", ""));
    assert!(!same(0x0800, "ip_proto tcp tcp_flags 2", "ip_proto tcp"));
    // two options, each in a nest of its own as tc sends them, and both in one as the kernel says them
    let asked = read(3, "geneve_opts 0102:80:00800022,0103:81:00000001").unwrap();
    let parts = |a: &mut Attributes, n: u16| {
        a.nest(n, |opts| {
            opts.nest(1, |a| {
                for (class, kind, data) in [(0x0102, 0x80, [0, 0x80, 0, 0x22]), (0x0103, 0x81, [0, 0, 0, 1])] {
                    let whole = n == 85;
                    a.be16(1, if whole { 0xffff } else { class });
                    a.u8(2, if whole { 0xff } else { kind });
                    a.raw(3, &if whole { [0xff; 4] } else { data });
                }
            });
        });
    };
    let mut out = Attributes::new();
    parts(&mut out, 84);
    parts(&mut out, 85);
    let mut held = Flower::default();
    held.decode(Payload(&out.bytes), &facts).unwrap();
    assert_eq!(held.geneve_opts, asked.geneve_opts);
}

/// `is_vlan_key`: where tags are counted, the filter's own protocol is no more that of what is behind them.
#[test]
fn behind_tags_that_are_counted_the_protocol_must_be_said() {
    for (text, missing) in [
        ("num_of_vlans 1 mpls_tc 5", Some("vlan_ethtype")),
        ("num_of_vlans 1 vlan_ethtype mpls_uc mpls_tc 5", None),
        ("num_of_vlans 2 vlan_ethtype mpls_uc mpls_tc 5", Some("cvlan_ethtype")),
        ("num_of_vlans 2 vlan_ethtype 802.1q cvlan_ethtype mpls_uc mpls_tc 5", None),
        ("num_of_vlans 0 mpls_tc 5", None),
    ] {
        let mut found = Vec::new();
        read(0x8847, text).unwrap().check(&Facts::default(), &mut found);
        let of = found.iter().find(|f| f.message.contains("behind tags"));
        let named = of.map(|f| ["cvlan_ethtype", "vlan_ethtype"].into_iter().find(|word| f.message.contains(word)));
        assert_eq!(named.flatten(), missing, "{text}");
    }
}
