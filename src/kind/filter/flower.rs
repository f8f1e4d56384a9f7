//! `flower`: net/sched/cls_flower.c, tc-flower(8). Its number is the kernel's to give, from 1 on, unless one is asked.
//!
//! tc looks at most keys in the light of the protocol: the filter's own ([`Flower::for_protocol`]), and then what
//! `vlan_ethtype`, `cvlan_ethtype` or `ppp_proto` have found inside of it.

mod ask;
pub mod field;
pub mod tunnel;

pub use field::{IpProto, Mac, Network, Ports};

use super::{ACTION, FLOWID, IN_HW, SKIP_HW, SKIP_SW};
use crate::codes;
use crate::facts::Facts;
use crate::kind::action::Actions;
use crate::kind::walk::{Asked, Filter, Takes};
use crate::kind::wire::{Attributes, Malformed, NESTED, Parsed, Payload};
use crate::kind::{
    Attribute, Children, Finding, Kind, Options, Place, Role, Row, Rows, Wire, attribute, decode_rows, encode_row,
    fits, no_xstats, read_named,
};
use crate::packet::Packet;
use crate::rows;
use crate::unit::{ClassId, Flag, Handle, Name, Number, Octets, Protocol, Reader, Refusal, Unit, Words};
use field::{Bits, Cfm, CtState, IpFlags, Label, Lse, PppProto, Stack, TunnelFlags, style};
use std::net::IpAddr;
use tunnel::{Erspan, Geneve, Gtp, Pfcp, Tunnel, Vxlan};

type Tos = Bits<8, { style::TOS }>;
type Ttl = Bits<8, { style::TTL }>;
type Icmp = Bits<8, { style::ICMP }>;
type ArpOp = Bits<8, { style::ARP }>;
type TcpFlags = Bits<12, { style::HEX }>;
type Zone = Bits<16, { style::ANY }>;
type Port = Bits<16, { style::ANY }>;
type Mark = Bits<32, { style::MARK }>;
type Spi = Bits<32, { style::HEX }>;

rows! {
    /// Packets by their fields.
    pub struct Flower {
        /// the link that the packet came in by
        indev: Name = Row::new("indev");
        /// whether it came in by a bridge's port that does not know its address
        l2_miss: Number = Row::new("l2_miss").wire(Wire::U8(106));
        /// how many VLAN tags it has
        num_of_vlans: Number = Row::new("num_of_vlans").wire(Wire::U8(102));
        /// the VLAN
        vlan_id: Number = Row::new("vlan_id").wire(Wire::U16(23));
        /// the priority in the VLAN's tag
        vlan_prio: Number = Row::new("vlan_prio").wire(Wire::U8(24));
        /// the protocol inside of the VLAN
        vlan_ethtype: Protocol = Row::new("vlan_ethtype").wire(Wire::Be16(25));
        /// the VLAN inside of the VLAN
        cvlan_id: Number = Row::new("cvlan_id").wire(Wire::U16(77));
        /// the priority in the inner VLAN's tag
        cvlan_prio: Number = Row::new("cvlan_prio").wire(Wire::U8(78));
        /// the protocol inside of the inner VLAN
        cvlan_ethtype: Protocol = Row::new("cvlan_ethtype").wire(Wire::Be16(79));
        /// the session of PPPoE
        pppoe_sid: Number = Row::new("pppoe_sid").wire(Wire::Be16(103));
        /// the protocol inside of PPP
        ppp_proto: PppProto = Row::new("ppp_proto").wire(Wire::Be16(104));
        /// entries of the stack of MPLS labels
        mpls: Stack = Row::new("mpls");
        /// the first MPLS label
        mpls_label: Number = Row::new("mpls_label").wire(Wire::U32(70));
        /// the traffic class beside it
        mpls_tc: Number = Row::new("mpls_tc").wire(Wire::U8(69));
        /// whether it is the bottom of the stack
        mpls_bos: Number = Row::new("mpls_bos").wire(Wire::U8(68));
        /// the time to live beside it
        mpls_ttl: Number = Row::new("mpls_ttl").wire(Wire::U8(67));
        /// the hardware address it is for
        dst_mac: Mac = Row::new("dst_mac");
        /// the hardware address it is from
        src_mac: Mac = Row::new("src_mac");
        /// the protocol above IP
        ip_proto: IpProto = Row::new("ip_proto").wire(Wire::U8(9));
        /// the address it is for
        dst_ip: Network = Row::new("dst_ip");
        /// the address it is from
        src_ip: Network = Row::new("src_ip");
        /// the octet that holds DSCP and ECN; of IPv6 the traffic class
        ip_tos: Tos = Row::new("ip_tos");
        /// the time to live; of IPv6 the hop limit
        ip_ttl: Ttl = Row::new("ip_ttl");
        /// whether it is a fragment
        ip_flags: IpFlags = Row::new("ip_flags");
        /// the port it is for
        dst_port: Ports = Row::new("dst_port");
        /// the port it is from
        src_port: Ports = Row::new("src_port");
        /// the flags of TCP
        tcp_flags: TcpFlags = Row::new("tcp_flags");
        /// the type of an ICMP message
        icmp_type: Icmp = Row::new("type");
        /// the code of an ICMP message
        icmp_code: Icmp = Row::new("code");
        /// the session of L2TP
        l2tpv3_sid: Number = Row::new("l2tpv3_sid").wire(Wire::Be32(105));
        /// the index of the security parameters of IPsec
        spi: Spi = Row::new("spi");
        /// the address that an ARP message asks for
        arp_tip: Network = Row::new("arp_tip");
        /// the address that an ARP message comes from
        arp_sip: Network = Row::new("arp_sip");
        /// whether an ARP message asks or answers
        arp_op: ArpOp = Row::new("arp_op");
        /// the hardware address that an ARP message asks for
        arp_tha: Mac = Row::new("arp_tha");
        /// the hardware address that an ARP message comes from
        arp_sha: Mac = Row::new("arp_sha");
        /// a message of connectivity fault management
        cfm: Cfm = Row::new("cfm");
        /// the address that the tunnel is for
        enc_dst_ip: Network = Row::new("enc_dst_ip");
        /// the address that the tunnel is from
        enc_src_ip: Network = Row::new("enc_src_ip");
        /// the tunnel's number
        enc_key_id: Number = Row::new("enc_key_id").wire(Wire::Be32(26));
        /// the port that the tunnel is for
        enc_dst_port: Port = Row::new("enc_dst_port");
        /// the port that the tunnel is from; tc has no word for it
        enc_src_port: Port = Row::new("enc_src_port").wordless();
        /// the tunnel's octet that holds DSCP and ECN
        enc_tos: Tos = Row::new("enc_tos");
        /// the tunnel's time to live
        enc_ttl: Ttl = Row::new("enc_ttl");
        /// what is asked of the tunnel's header
        enc_flags: TunnelFlags = Row::new("enc_flags");
        /// options of Geneve
        geneve_opts: Geneve = Row::new("geneve_opts");
        /// an option of VXLAN
        vxlan_opts: Vxlan = Row::new("vxlan_opts");
        /// an option of ERSPAN
        erspan_opts: Erspan = Row::new("erspan_opts");
        /// an option of GTP
        gtp_opts: Gtp = Row::new("gtp_opts");
        /// an option of PFCP
        pfcp_opts: Pfcp = Row::new("pfcp_opts");
        /// what connection tracking knows of it
        ct_state: CtState = Row::new("ct_state");
        /// the zone of connection tracking
        ct_zone: Zone = Row::new("ct_zone");
        /// the mark of its connection
        ct_mark: Mark = Row::new("ct_mark");
        /// the label of its connection
        ct_label: Label = Row::new("ct_label");
        /// the hash that the card or an action has given it; tc has no word for it
        hash: Mark = Row::new("hash").wordless();
        /// the class to send to
        flowid: ClassId = FLOWID;
        /// the queues of a traffic class to send to, on a link whose card sorts
        hw_tc: Number = Row::new("hw_tc").tool();
        /// whether the kernel says at length why a card does not take it
        verbose: Flag = Row::new("verbose").flag().default("no");
        /// keep it out of the hardware
        skip_hw: Flag = SKIP_HW;
        /// keep it out of the kernel: hardware only
        skip_sw: Flag = SKIP_SW;
        /// what to do with the packets
        action: Actions = ACTION;
        /// the protocol of the filter once more, as its first key
        eth_type: Protocol = Row::new("eth_type").hidden();
        /// keys that have no row here, as attributes
        other: Octets = Row::new("other").hidden();
        /// what the filter hangs on, whose classes `hw_tc` means
        above: Handle = Row::new("above").flag().hidden().tool();
        /// cards that have taken it, as the kernel says it
        in_hw_count: Number = Row::new("in_hw_count").hidden().tool();
        /// whether the kernel says that it is in hardware
        in_hw: Flag = IN_HW;
    }
}

/// The kind.
pub static KIND: Kind = Kind {
    name: "flower",
    role: Role::Filter,
    doc: "takes packets by their fields, by hashing: as fast with a thousand filters of one mask as with one",
    options: || Box::new(Flower::default()),
    class: None,
    children: Children::None,
    change: true,
    writable: true,
    config: "NET_CLS_FLOWER",
    module: "cls_flower",
    attributes: ATTRIBUTES,
    xstats: no_xstats,
};

const ATTRIBUTES: &[Attribute] = &[
    attribute("TCA_FLOWER_CLASSID", 1, &["flowid", "hw_tc"]),
    attribute("TCA_FLOWER_INDEV", 2, &["indev"]),
    attribute("TCA_FLOWER_ACT", 3, &["action"]),
    attribute("TCA_FLOWER_KEY_ETH_DST", 4, &["dst_mac"]),
    attribute("TCA_FLOWER_KEY_ETH_DST_MASK", 5, &["dst_mac"]),
    attribute("TCA_FLOWER_KEY_ETH_SRC", 6, &["src_mac"]),
    attribute("TCA_FLOWER_KEY_ETH_SRC_MASK", 7, &["src_mac"]),
    attribute("TCA_FLOWER_KEY_ETH_TYPE", 8, &["eth_type"]),
    attribute("TCA_FLOWER_KEY_IP_PROTO", 9, &["ip_proto"]),
    attribute("TCA_FLOWER_KEY_IPV4_SRC", 10, &["src_ip"]),
    attribute("TCA_FLOWER_KEY_IPV4_SRC_MASK", 11, &["src_ip"]),
    attribute("TCA_FLOWER_KEY_IPV4_DST", 12, &["dst_ip"]),
    attribute("TCA_FLOWER_KEY_IPV4_DST_MASK", 13, &["dst_ip"]),
    attribute("TCA_FLOWER_KEY_IPV6_SRC", 14, &["src_ip"]),
    attribute("TCA_FLOWER_KEY_IPV6_SRC_MASK", 15, &["src_ip"]),
    attribute("TCA_FLOWER_KEY_IPV6_DST", 16, &["dst_ip"]),
    attribute("TCA_FLOWER_KEY_IPV6_DST_MASK", 17, &["dst_ip"]),
    attribute("TCA_FLOWER_KEY_TCP_SRC", 18, &["src_port"]),
    attribute("TCA_FLOWER_KEY_TCP_DST", 19, &["dst_port"]),
    attribute("TCA_FLOWER_KEY_UDP_SRC", 20, &["src_port"]),
    attribute("TCA_FLOWER_KEY_UDP_DST", 21, &["dst_port"]),
    attribute("TCA_FLOWER_FLAGS", 22, &["skip_hw", "skip_sw", "verbose", "in_hw"]),
    attribute("TCA_FLOWER_KEY_VLAN_ID", 23, &["vlan_id"]),
    attribute("TCA_FLOWER_KEY_VLAN_PRIO", 24, &["vlan_prio"]),
    attribute("TCA_FLOWER_KEY_VLAN_ETH_TYPE", 25, &["vlan_ethtype"]),
    attribute("TCA_FLOWER_KEY_ENC_KEY_ID", 26, &["enc_key_id"]),
    attribute("TCA_FLOWER_KEY_ENC_IPV4_SRC", 27, &["enc_src_ip"]),
    attribute("TCA_FLOWER_KEY_ENC_IPV4_SRC_MASK", 28, &["enc_src_ip"]),
    attribute("TCA_FLOWER_KEY_ENC_IPV4_DST", 29, &["enc_dst_ip"]),
    attribute("TCA_FLOWER_KEY_ENC_IPV4_DST_MASK", 30, &["enc_dst_ip"]),
    attribute("TCA_FLOWER_KEY_ENC_IPV6_SRC", 31, &["enc_src_ip"]),
    attribute("TCA_FLOWER_KEY_ENC_IPV6_SRC_MASK", 32, &["enc_src_ip"]),
    attribute("TCA_FLOWER_KEY_ENC_IPV6_DST", 33, &["enc_dst_ip"]),
    attribute("TCA_FLOWER_KEY_ENC_IPV6_DST_MASK", 34, &["enc_dst_ip"]),
    attribute("TCA_FLOWER_KEY_TCP_SRC_MASK", 35, &["src_port"]),
    attribute("TCA_FLOWER_KEY_TCP_DST_MASK", 36, &["dst_port"]),
    attribute("TCA_FLOWER_KEY_UDP_SRC_MASK", 37, &["src_port"]),
    attribute("TCA_FLOWER_KEY_UDP_DST_MASK", 38, &["dst_port"]),
    attribute("TCA_FLOWER_KEY_SCTP_SRC_MASK", 39, &["src_port"]),
    attribute("TCA_FLOWER_KEY_SCTP_DST_MASK", 40, &["dst_port"]),
    attribute("TCA_FLOWER_KEY_SCTP_SRC", 41, &["src_port"]),
    attribute("TCA_FLOWER_KEY_SCTP_DST", 42, &["dst_port"]),
    attribute("TCA_FLOWER_KEY_ENC_UDP_SRC_PORT", 43, &["enc_src_port"]),
    attribute("TCA_FLOWER_KEY_ENC_UDP_SRC_PORT_MASK", 44, &["enc_src_port"]),
    attribute("TCA_FLOWER_KEY_ENC_UDP_DST_PORT", 45, &["enc_dst_port"]),
    attribute("TCA_FLOWER_KEY_ENC_UDP_DST_PORT_MASK", 46, &["enc_dst_port"]),
    attribute("TCA_FLOWER_KEY_FLAGS", 47, &["ip_flags"]),
    attribute("TCA_FLOWER_KEY_FLAGS_MASK", 48, &["ip_flags"]),
    attribute("TCA_FLOWER_KEY_ICMPV4_CODE", 49, &["code"]),
    attribute("TCA_FLOWER_KEY_ICMPV4_CODE_MASK", 50, &["code"]),
    attribute("TCA_FLOWER_KEY_ICMPV4_TYPE", 51, &["type"]),
    attribute("TCA_FLOWER_KEY_ICMPV4_TYPE_MASK", 52, &["type"]),
    attribute("TCA_FLOWER_KEY_ICMPV6_CODE", 53, &["code"]),
    attribute("TCA_FLOWER_KEY_ICMPV6_CODE_MASK", 54, &["code"]),
    attribute("TCA_FLOWER_KEY_ICMPV6_TYPE", 55, &["type"]),
    attribute("TCA_FLOWER_KEY_ICMPV6_TYPE_MASK", 56, &["type"]),
    attribute("TCA_FLOWER_KEY_ARP_SIP", 57, &["arp_sip"]),
    attribute("TCA_FLOWER_KEY_ARP_SIP_MASK", 58, &["arp_sip"]),
    attribute("TCA_FLOWER_KEY_ARP_TIP", 59, &["arp_tip"]),
    attribute("TCA_FLOWER_KEY_ARP_TIP_MASK", 60, &["arp_tip"]),
    attribute("TCA_FLOWER_KEY_ARP_OP", 61, &["arp_op"]),
    attribute("TCA_FLOWER_KEY_ARP_OP_MASK", 62, &["arp_op"]),
    attribute("TCA_FLOWER_KEY_ARP_SHA", 63, &["arp_sha"]),
    attribute("TCA_FLOWER_KEY_ARP_SHA_MASK", 64, &["arp_sha"]),
    attribute("TCA_FLOWER_KEY_ARP_THA", 65, &["arp_tha"]),
    attribute("TCA_FLOWER_KEY_ARP_THA_MASK", 66, &["arp_tha"]),
    attribute("TCA_FLOWER_KEY_MPLS_TTL", 67, &["mpls_ttl"]),
    attribute("TCA_FLOWER_KEY_MPLS_BOS", 68, &["mpls_bos"]),
    attribute("TCA_FLOWER_KEY_MPLS_TC", 69, &["mpls_tc"]),
    attribute("TCA_FLOWER_KEY_MPLS_LABEL", 70, &["mpls_label"]),
    attribute("TCA_FLOWER_KEY_TCP_FLAGS", 71, &["tcp_flags"]),
    attribute("TCA_FLOWER_KEY_TCP_FLAGS_MASK", 72, &["tcp_flags"]),
    attribute("TCA_FLOWER_KEY_IP_TOS", 73, &["ip_tos"]),
    attribute("TCA_FLOWER_KEY_IP_TOS_MASK", 74, &["ip_tos"]),
    attribute("TCA_FLOWER_KEY_IP_TTL", 75, &["ip_ttl"]),
    attribute("TCA_FLOWER_KEY_IP_TTL_MASK", 76, &["ip_ttl"]),
    attribute("TCA_FLOWER_KEY_CVLAN_ID", 77, &["cvlan_id"]),
    attribute("TCA_FLOWER_KEY_CVLAN_PRIO", 78, &["cvlan_prio"]),
    attribute("TCA_FLOWER_KEY_CVLAN_ETH_TYPE", 79, &["cvlan_ethtype"]),
    attribute("TCA_FLOWER_KEY_ENC_IP_TOS", 80, &["enc_tos"]),
    attribute("TCA_FLOWER_KEY_ENC_IP_TOS_MASK", 81, &["enc_tos"]),
    attribute("TCA_FLOWER_KEY_ENC_IP_TTL", 82, &["enc_ttl"]),
    attribute("TCA_FLOWER_KEY_ENC_IP_TTL_MASK", 83, &["enc_ttl"]),
    attribute("TCA_FLOWER_KEY_ENC_OPTS", 84, &["geneve_opts", "vxlan_opts", "erspan_opts", "gtp_opts", "pfcp_opts"]),
    attribute(
        "TCA_FLOWER_KEY_ENC_OPTS_MASK",
        85,
        &["geneve_opts", "vxlan_opts", "erspan_opts", "gtp_opts", "pfcp_opts"],
    ),
    attribute("TCA_FLOWER_IN_HW_COUNT", 86, &["in_hw_count"]),
    attribute("TCA_FLOWER_KEY_PORT_SRC_MIN", 87, &["src_port"]),
    attribute("TCA_FLOWER_KEY_PORT_SRC_MAX", 88, &["src_port"]),
    attribute("TCA_FLOWER_KEY_PORT_DST_MIN", 89, &["dst_port"]),
    attribute("TCA_FLOWER_KEY_PORT_DST_MAX", 90, &["dst_port"]),
    attribute("TCA_FLOWER_KEY_CT_STATE", 91, &["ct_state"]),
    attribute("TCA_FLOWER_KEY_CT_STATE_MASK", 92, &["ct_state"]),
    attribute("TCA_FLOWER_KEY_CT_ZONE", 93, &["ct_zone"]),
    attribute("TCA_FLOWER_KEY_CT_ZONE_MASK", 94, &["ct_zone"]),
    attribute("TCA_FLOWER_KEY_CT_MARK", 95, &["ct_mark"]),
    attribute("TCA_FLOWER_KEY_CT_MARK_MASK", 96, &["ct_mark"]),
    attribute("TCA_FLOWER_KEY_CT_LABELS", 97, &["ct_label"]),
    attribute("TCA_FLOWER_KEY_CT_LABELS_MASK", 98, &["ct_label"]),
    attribute("TCA_FLOWER_KEY_MPLS_OPTS", 99, &["mpls"]),
    attribute("TCA_FLOWER_KEY_HASH", 100, &["hash"]),
    attribute("TCA_FLOWER_KEY_HASH_MASK", 101, &["hash"]),
    attribute("TCA_FLOWER_KEY_NUM_OF_VLANS", 102, &["num_of_vlans"]),
    attribute("TCA_FLOWER_KEY_PPPOE_SID", 103, &["pppoe_sid"]),
    attribute("TCA_FLOWER_KEY_PPP_PROTO", 104, &["ppp_proto"]),
    attribute("TCA_FLOWER_KEY_L2TPV3_SID", 105, &["l2tpv3_sid"]),
    attribute("TCA_FLOWER_L2_MISS", 106, &["l2_miss"]),
    attribute("TCA_FLOWER_KEY_CFM", 107, &["cfm"]),
    attribute("TCA_FLOWER_KEY_SPI", 108, &["spi"]),
    attribute("TCA_FLOWER_KEY_SPI_MASK", 109, &["spi"]),
    attribute("TCA_FLOWER_KEY_ENC_FLAGS", 110, &["enc_flags"]),
    attribute("TCA_FLOWER_KEY_ENC_FLAGS_MASK", 111, &["enc_flags"]),
    attribute("TCA_FLOWER_KEY_ENC_OPTS_GENEVE", 1, &["geneve_opts"]),
    attribute("TCA_FLOWER_KEY_ENC_OPTS_VXLAN", 2, &["vxlan_opts"]),
    attribute("TCA_FLOWER_KEY_ENC_OPTS_ERSPAN", 3, &["erspan_opts"]),
    attribute("TCA_FLOWER_KEY_ENC_OPTS_GTP", 4, &["gtp_opts"]),
    attribute("TCA_FLOWER_KEY_ENC_OPTS_PFCP", 5, &["pfcp_opts"]),
    attribute("TCA_FLOWER_KEY_ENC_OPT_GENEVE_CLASS", 1, &["geneve_opts"]),
    attribute("TCA_FLOWER_KEY_ENC_OPT_GENEVE_TYPE", 2, &["geneve_opts"]),
    attribute("TCA_FLOWER_KEY_ENC_OPT_GENEVE_DATA", 3, &["geneve_opts"]),
    attribute("TCA_FLOWER_KEY_ENC_OPT_VXLAN_GBP", 1, &["vxlan_opts"]),
    attribute("TCA_FLOWER_KEY_ENC_OPT_ERSPAN_VER", 1, &["erspan_opts"]),
    attribute("TCA_FLOWER_KEY_ENC_OPT_ERSPAN_INDEX", 2, &["erspan_opts"]),
    attribute("TCA_FLOWER_KEY_ENC_OPT_ERSPAN_DIR", 3, &["erspan_opts"]),
    attribute("TCA_FLOWER_KEY_ENC_OPT_ERSPAN_HWID", 4, &["erspan_opts"]),
    attribute("TCA_FLOWER_KEY_ENC_OPT_GTP_PDU_TYPE", 1, &["gtp_opts"]),
    attribute("TCA_FLOWER_KEY_ENC_OPT_GTP_QFI", 2, &["gtp_opts"]),
    attribute("TCA_FLOWER_KEY_ENC_OPT_PFCP_TYPE", 1, &["pfcp_opts"]),
    attribute("TCA_FLOWER_KEY_ENC_OPT_PFCP_SEID", 2, &["pfcp_opts"]),
    attribute("TCA_FLOWER_KEY_MPLS_OPTS_LSE", 1, &["mpls"]),
    attribute("TCA_FLOWER_KEY_MPLS_OPT_LSE_DEPTH", 1, &["mpls"]),
    attribute("TCA_FLOWER_KEY_MPLS_OPT_LSE_TTL", 2, &["mpls"]),
    attribute("TCA_FLOWER_KEY_MPLS_OPT_LSE_BOS", 3, &["mpls"]),
    attribute("TCA_FLOWER_KEY_MPLS_OPT_LSE_TC", 4, &["mpls"]),
    attribute("TCA_FLOWER_KEY_MPLS_OPT_LSE_LABEL", 5, &["mpls"]),
    attribute("TCA_FLOWER_KEY_CFM_MD_LEVEL", 1, &["cfm"]),
    attribute("TCA_FLOWER_KEY_CFM_OPCODE", 2, &["cfm"]),
];

const CLASSID: u16 = 1;
const INDEV: u16 = 2;
const ACT: u16 = 3;
const ETH_TYPE: u16 = 8;
const FLAGS: u16 = 22;
const IN_HW_COUNT: u16 = 86;
const MPLS_OPTS: u16 = 99;
const CFM: u16 = 107;
/// `TCA_CLS_FLAGS_VERBOSE`.
const VERBOSE: u32 = 16;
/// The last attribute that is known here.
const LAST: u16 = 111;
/// `TC_H_MIN_PRIORITY`: classes from here on stand for the traffic classes of a card.
const FIRST_HW_CLASS: u32 = 0xffe0;
/// `TC_QOPT_MAX_QUEUE`.
const HW_CLASSES: u32 = 16;

/// The attributes of a value and of its mask.
type Masked = (u16, u16);

const MACS: [(&str, Masked); 4] =
    [("dst_mac", (4, 5)), ("src_mac", (6, 7)), ("arp_sha", (63, 64)), ("arp_tha", (65, 66))];
/// Of IPv4 and of IPv6.
const NETWORKS: [(&str, Masked, Masked); 6] = [
    ("src_ip", (10, 11), (14, 15)),
    ("dst_ip", (12, 13), (16, 17)),
    ("enc_src_ip", (27, 28), (31, 32)),
    ("enc_dst_ip", (29, 30), (33, 34)),
    ("arp_sip", (57, 58), (0, 0)),
    ("arp_tip", (59, 60), (0, 0)),
];
const ENC_SRC_PORT: Masked = (43, 44);
const ENC_DST_PORT: Masked = (45, 46);
const KEY_FLAGS: Masked = (47, 48);
const ARP_OP: Masked = (61, 62);
const TCP_FLAGS: Masked = (71, 72);
const IP_TOS: Masked = (73, 74);
const IP_TTL: Masked = (75, 76);
const ENC_TOS: Masked = (80, 81);
const ENC_TTL: Masked = (82, 83);
const CT_STATE: Masked = (91, 92);
const CT_ZONE: Masked = (93, 94);
const CT_MARK: Masked = (95, 96);
const CT_LABEL: Masked = (97, 98);
const HASH: Masked = (100, 101);
const SPI: Masked = (108, 109);
const ENC_FLAGS: Masked = (110, 111);

/// The attributes of a port: value and mask by protocol, and the ends of a range.
struct PortKeys {
    masked: [(IpProto, u16, u16); 3],
    ends: (u16, u16),
}

const SRC_PORT: PortKeys =
    PortKeys { masked: [(IpProto::TCP, 18, 35), (IpProto::UDP, 20, 37), (IpProto::SCTP, 41, 39)], ends: (87, 88) };
const DST_PORT: PortKeys =
    PortKeys { masked: [(IpProto::TCP, 19, 36), (IpProto::UDP, 21, 38), (IpProto::SCTP, 42, 40)], ends: (89, 90) };

/// Type and code by family.
const ICMP: [(IpProto, Masked, Masked); 2] =
    [(IpProto::ICMP, (51, 52), (49, 50)), (IpProto::ICMPV6, (55, 56), (53, 54))];

/// tc's words, in the order in which it tries their beginnings.
const WORDS: &[&str] = &[
    "classid",
    "flowid",
    "hw_tc",
    "ip_flags",
    "=l2_miss",
    "verbose",
    "skip_hw",
    "skip_sw",
    "ct_state",
    "ct_zone",
    "ct_mark",
    "ct_label",
    "indev",
    "=num_of_vlans",
    "vlan_id",
    "vlan_prio",
    "vlan_ethtype",
    "cvlan_id",
    "cvlan_prio",
    "cvlan_ethtype",
    "mpls",
    "mpls_label",
    "mpls_tc",
    "mpls_bos",
    "mpls_ttl",
    "dst_mac",
    "src_mac",
    "ip_proto",
    "ip_tos",
    "ip_ttl",
    "dst_ip",
    "src_ip",
    "dst_port",
    "src_port",
    "tcp_flags",
    "type",
    "code",
    "arp_tip",
    "arp_sip",
    "arp_op",
    "arp_tha",
    "arp_sha",
    "=l2tpv3_sid",
    "=spi",
    "=pppoe_sid",
    "=ppp_proto",
    "enc_dst_ip",
    "enc_src_ip",
    "enc_key_id",
    "enc_dst_port",
    "enc_tos",
    "enc_ttl",
    "geneve_opts",
    "vxlan_opts",
    "erspan_opts",
    "=gtp_opts",
    "=pfcp_opts",
    "=enc_flags",
    "action",
    "=cfm",
    "=hash",
    "=enc_src_port",
];

fn encode_network(network: Option<Network>, v4: Masked, v6: Masked, out: &mut Attributes) {
    let Some(Network { address, mask }) = network else { return };
    for (value, numbers) in [(address, |n: Masked| n.0), (mask, |n: Masked| n.1)] as [(_, fn(_) -> _); 2] {
        match value {
            IpAddr::V4(a) => out.raw(numbers(v4), &a.octets()),
            IpAddr::V6(a) => out.raw(numbers(v6), &a.octets()),
        }
    }
}

fn decode_network(attributes: &Parsed, v4: Masked, v6: Masked) -> Result<Option<Network>, Malformed> {
    let read = |number: u16, wide: bool| -> Result<Option<IpAddr>, Malformed> {
        let Some(payload) = attributes.get(number) else { return Ok(None) };
        let mut c = payload.fields();
        Ok(Some(if wide { IpAddr::from(c.array::<16>()?) } else { IpAddr::from(c.array::<4>()?) }))
    };
    for (numbers, wide) in [(v4, false), (v6, true)] {
        if let Some(address) = read(numbers.0, wide)? {
            let whole = Network::new(address, 128).mask;
            return Ok(Some(Network { address, mask: read(numbers.1, wide)?.unwrap_or(whole) }));
        }
    }
    Ok(None)
}

impl PortKeys {
    fn encode(&self, ports: Option<Ports>, proto: Option<IpProto>, out: &mut Attributes) {
        match ports {
            Some(Ports::Masked { port, mask }) => {
                let keys = self.masked.iter().find(|(p, ..)| Some(*p) == proto);
                let Some((_, value, under)) = keys else { return };
                out.be16(*value, port);
                if mask != u16::MAX {
                    out.be16(*under, mask);
                }
            }
            Some(Ports::Range(first, last)) => {
                out.be16(self.ends.0, first);
                out.be16(self.ends.1, last);
            }
            None => {}
        }
    }

    fn decode(&self, attributes: &Parsed) -> Result<Option<Ports>, Malformed> {
        if let (Some(first), Some(last)) = (attributes.be16(self.ends.0)?, attributes.be16(self.ends.1)?) {
            return Ok(Some(Ports::range(first, last)));
        }
        for (_, value, under) in self.masked {
            if let Some(port) = attributes.be16(value)? {
                return Ok(Some(Ports::Masked { port, mask: attributes.be16(under)?.unwrap_or(u16::MAX) }));
            }
        }
        Ok(None)
    }
}

fn put8(out: &mut Attributes, number: u16, value: u32) {
    out.u8(number, value as u8);
}
fn put16(out: &mut Attributes, number: u16, value: u32) {
    out.u16(number, value as u16);
}
fn put_be16(out: &mut Attributes, number: u16, value: u32) {
    out.be16(number, value as u16);
}
fn put32(out: &mut Attributes, number: u16, value: u32) {
    out.u32(number, value);
}
fn put_be32(out: &mut Attributes, number: u16, value: u32) {
    out.be32(number, value);
}

fn encode_bits<const BITS: u32, const STYLE: u8>(
    bits: Option<Bits<BITS, STYLE>>,
    numbers: Masked,
    put: fn(&mut Attributes, u16, u32),
    out: &mut Attributes,
) {
    if let Some(Bits { value, mask }) = bits {
        put(out, numbers.0, value);
        put(out, numbers.1, mask);
    }
}

fn decode_bits<const BITS: u32, const STYLE: u8>(
    numbers: Masked,
    get: impl Fn(u16) -> Result<Option<u32>, Malformed>,
) -> Result<Option<Bits<BITS, STYLE>>, Malformed> {
    let Some(value) = get(numbers.0)? else { return Ok(None) };
    let whole = Bits::<BITS, STYLE>::WHOLE;
    Ok(Some(Bits { value: value & whole, mask: get(numbers.1)?.unwrap_or(whole) & whole }))
}

/// A port of a tunnel: tc says no mask.
fn encode_port(port: Option<Port>, numbers: Masked, out: &mut Attributes) {
    if let Some(Bits { value, mask }) = port {
        out.be16(numbers.0, value as u16);
        if mask != Port::WHOLE {
            out.be16(numbers.1, mask as u16);
        }
    }
}

fn encode_stack(stack: &Stack, out: &mut Attributes) {
    out.nest(MPLS_OPTS | NESTED, |list| {
        for Lse { depth, label, tc, bos, ttl } in &stack.0 {
            list.nest(1 | NESTED, |a| {
                a.u8(1, *depth);
                if let Some(label) = label {
                    a.u32(5, *label);
                }
                for (number, value) in [(4, tc), (3, bos), (2, ttl)] {
                    if let Some(value) = value {
                        a.u8(number, *value);
                    }
                }
            });
        }
    });
}

fn decode_stack(attributes: &Parsed) -> Result<Option<Stack>, Malformed> {
    let Some(list) = attributes.nested(MPLS_OPTS)? else { return Ok(None) };
    let one = |(_, payload): &(u16, Payload)| -> Result<Lse, Malformed> {
        let a = payload.attributes()?;
        let depth = a.u8(1)?.unwrap_or(0);
        Ok(Lse { depth, label: a.u32(5)?.map(|n| n & 0xf_ffff), tc: a.u8(4)?, bos: a.u8(3)?, ttl: a.u8(2)? })
    };
    let entries = list.list.iter().map(one).collect::<Result<Vec<_>, _>>()?;
    let entries: Vec<Lse> = entries.into_iter().filter(|lse| lse.depth != 0).collect();
    Ok((!entries.is_empty()).then_some(Stack(entries)))
}

/// Keys of one protocol, which the kernel takes only where it knows that the packet is of it.
const OF_PROTOCOL: &[&str] = &[
    "mpls",
    "mpls_label",
    "mpls_tc",
    "mpls_bos",
    "mpls_ttl",
    "ip_proto",
    "dst_ip",
    "src_ip",
    "ip_tos",
    "ip_ttl",
    "arp_tip",
    "arp_sip",
    "arp_op",
    "arp_tha",
    "arp_sha",
    "cfm",
];

impl Flower {
    /// Whether the kernel tells another first key than was asked: that of what is inside.
    fn looks_inside(&self) -> bool {
        let vlan = self.eth_type.is_some_and(|t| t.is_vlan() || t.0 == 0x8864);
        vlan || self.num_of_vlans.is_some_and(|n| n.0 > 0)
    }

    /// The first key for a filter of that protocol (host order); none is sent for a filter of all protocols.
    pub fn for_protocol(&mut self, protocol: u16) {
        self.eth_type = Some(Protocol(protocol));
    }

    /// The protocol that addresses and what is above them are of: the innermost that is written. `None` where nobody has
    /// said the filter's protocol.
    fn inner(&self) -> Option<Protocol> {
        let outer = self.eth_type?;
        let ppp = self.ppp_proto.and_then(PppProto::ether);
        Some(self.cvlan_ethtype.or(ppp).or(self.vlan_ethtype).unwrap_or(outer))
    }

    /// Where tags are asked for by their number, the option that says what is behind them, if it is missing: the filter's own
    /// protocol counts as that of the first tag then (`is_vlan_key`, net/sched/cls_flower.c).
    fn unsaid_inside(&self) -> Option<&'static str> {
        let second = self.vlan_ethtype.is_some_and(Protocol::is_vlan);
        match self.num_of_vlans.map_or(0, |n| n.0) {
            0 => None,
            1 if !second => self.vlan_ethtype.is_none().then_some("vlan_ethtype"),
            _ => self.cvlan_ethtype.is_none().then_some("cvlan_ethtype"),
        }
    }

    /// What a key wants that is not there: tc's own checks, on what is written so far.
    fn lacks(&self, word: &str) -> Option<(&'static str, String, String)> {
        let vlans = |least: u32| self.num_of_vlans.is_some_and(|n| n.0 >= least);
        let not = |is: fn(Protocol) -> bool, of: Option<Protocol>| of.is_some_and(|of| !is(of));
        let of = |what: &str, like: &str| {
            let message = format!("`{word}` is {what}, and this filter is not: say its `protocol`");
            Some(("eth_type", message, format!("write `protocol: {like}`")))
        };
        let above = |protos: &[IpProto]| {
            let has = self.ip_proto.is_some_and(|p| protos.contains(&p));
            let names: Vec<_> = protos.iter().map(|p| format!("`{}`", p.show())).collect();
            (!has).then(|| {
                let like = protos.first().map(|p| format!("write `ip_proto: {}`", p.show())).unwrap_or_default();
                ("ip_proto", format!("`{word}` wants to know the protocol: `ip_proto` {}", names.join(" or ")), like)
            })
        };
        match word {
            "vlan_id" | "vlan_prio" | "vlan_ethtype" if not(Protocol::is_vlan, self.eth_type) && !vlans(1) => {
                of("of a VLAN's tag (`802.1q`, `802.1ad`, or `num_of_vlans`)", "802.1q")
            }
            "cvlan_id" | "cvlan_prio" | "cvlan_ethtype" => {
                let tagged = self.vlan_ethtype.is_some_and(Protocol::is_vlan) || vlans(2);
                let message = format!("`{word}` is of a second tag: write `vlan_ethtype` 802.1q, or `num_of_vlans` 2");
                (self.eth_type.is_some() && !tagged)
                    .then(|| ("vlan_ethtype", message, "write `vlan_ethtype: 802.1q`".to_owned()))
            }
            "mpls" | "mpls_label" | "mpls_tc" | "mpls_bos" | "mpls_ttl" if not(Protocol::is_mpls, self.inner()) => {
                of("of MPLS (`mpls_uc`, `mpls_mc`)", "mpls_uc")
            }
            "pppoe_sid" | "ppp_proto" if self.eth_type.is_some_and(|t| t.0 != 0x8864) => {
                of("of PPPoE (`ppp_ses`)", "ppp_ses")
            }
            // a filter that says no protocol, which only a change does, takes addresses of either kind
            "dst_ip" | "src_ip" if self.inner() == Some(Protocol(0)) => None,
            "ip_proto" | "dst_ip" | "src_ip" if not(Protocol::is_ip, self.inner()) => of("of IP (`ip`, `ipv6`)", "ip"),
            "arp_tip" | "arp_sip" | "arp_op" if not(Protocol::is_arp, self.inner()) => {
                of("of ARP (`arp`, `rarp`)", "arp")
            }
            "cfm" if self.eth_type.is_some_and(|t| t.0 != 0x8902) => of("of fault management (`0x8902`)", "0x8902"),
            "dst_port" | "src_port" => above(&SRC_PORT.masked.map(|(p, ..)| p)),
            "type" | "code" => above(&ICMP.map(|(p, ..)| p)).or_else(|| {
                let six = self.ip_proto == Some(IpProto::ICMPV6);
                let wrong = self.inner().is_some_and(|t| t != if six { Protocol::IPV6 } else { Protocol::IP });
                match (wrong, six) {
                    (false, _) => None,
                    (true, true) => of("of IPv6 here", "ipv6"),
                    (true, false) => of("of IPv4 here", "ip"),
                }
            }),
            "spi" => above(&[IpProto::ESP, IpProto::AH, IpProto::UDP]),
            "l2tpv3_sid" => above(&[IpProto::L2TP]),
            _ => None,
        }
    }

    /// What is wrong in a value in the light of the others.
    fn clashes(&self, word: &str) -> Option<String> {
        let six = match self.inner() {
            Some(Protocol::IPV6) => true,
            Some(Protocol::IP) => false,
            _ => return None,
        };
        let family = |network: Option<Network>| {
            network.filter(|n| n.address.is_ipv6() != six).map(|n| {
                let (is, wants) = if six { ("IPv4", "IPv6") } else { ("IPv6", "IPv4") };
                format!("`{}` is an address of {is}, and the filter is for {wants}", n.address)
            })
        };
        match word {
            "dst_ip" => family(self.dst_ip),
            "src_ip" => family(self.src_ip),
            "ip_proto" => match self.ip_proto {
                Some(IpProto::ICMP) if six => Some("ICMP of IPv6 is `icmpv6`".to_owned()),
                Some(IpProto::ICMPV6) if !six => Some("ICMP of IPv4 is `icmp`".to_owned()),
                _ => None,
            },
            _ => None,
        }
    }

    /// The class, said by its number or by the traffic class of a card.
    fn class(&self) -> Option<ClassId> {
        let of = |n: Number| {
            let major = self.above.unwrap_or_default().major();
            Handle::new(major, FIRST_HW_CLASS.wrapping_add(n.0) as u16)
        };
        self.flowid.or(self.hw_tc.map(of))
    }
}

impl Options for Flower {
    fn takes(&self, packet: &Packet, _handle: u32) -> Takes {
        self.holds(packet)
    }

    fn gather<'a>(&self, priorities: Vec<Vec<Filter<'a>>>) -> Vec<Box<dyn Asked + 'a>> {
        ask::gather(priorities)
    }

    fn encode(&self, out: &mut Attributes, facts: &Facts) {
        let text = |word: &str| self.row_of(word);
        if let Some(indev) = &self.indev {
            out.text(INDEV, &indev.0);
        }
        for (i, row) in Flower::ROWS.iter().enumerate().filter(|(_, row)| row.wire != Wire::Own) {
            if let Some(slot) = self.slot(i).filter(|slot| slot.is_set()) {
                encode_row(row, slot, out);
            }
        }
        for (word, (value, under)) in MACS {
            if let Some(Mac { octets, mask }) = text(word).and_then(|slot| *slot.downcast_ref::<Option<Mac>>()?) {
                out.raw(value, &octets);
                out.raw(under, &mask);
            }
        }
        for (word, v4, v6) in NETWORKS {
            let network = text(word).and_then(|slot| *slot.downcast_ref::<Option<Network>>()?);
            encode_network(network, v4, v6, out);
        }
        if let Some(stack) = &self.mpls {
            encode_stack(stack, out);
        }
        if let Some(Cfm { mdl, op }) = &self.cfm {
            out.nest(CFM | NESTED, |a| {
                for (number, value) in [(1, mdl), (2, op)] {
                    if let Some(value) = value {
                        a.u8(number, *value);
                    }
                }
            });
        }
        encode_bits(self.ip_tos, IP_TOS, put8, out);
        encode_bits(self.ip_ttl, IP_TTL, put8, out);
        encode_bits(self.enc_tos, ENC_TOS, put8, out);
        encode_bits(self.enc_ttl, ENC_TTL, put8, out);
        encode_bits(self.arp_op, ARP_OP, put8, out);
        DST_PORT.encode(self.dst_port, self.ip_proto, out);
        SRC_PORT.encode(self.src_port, self.ip_proto, out);
        encode_port(self.enc_dst_port, ENC_DST_PORT, out);
        encode_port(self.enc_src_port, ENC_SRC_PORT, out);
        encode_bits(self.tcp_flags, TCP_FLAGS, put_be16, out);
        if let Some((_, kind, code)) = ICMP.iter().find(|(p, ..)| Some(*p) == self.ip_proto) {
            encode_bits(self.icmp_type, *kind, put8, out);
            encode_bits(self.icmp_code, *code, put8, out);
        }
        encode_bits(self.spi, SPI, put_be32, out);
        if let Some(CtState { set, mask }) = self.ct_state {
            put16(out, CT_STATE.0, set);
            put16(out, CT_STATE.1, mask);
        }
        encode_bits(self.ct_zone, CT_ZONE, put16, out);
        encode_bits(self.ct_mark, CT_MARK, put32, out);
        if let Some(Label { octets, mask }) = &self.ct_label {
            out.raw(CT_LABEL.0, octets);
            out.raw(CT_LABEL.1, mask);
        }
        encode_bits(self.hash, HASH, put32, out);
        if let Some(tunnel) = &self.geneve_opts {
            tunnel.encode(out);
        }
        if let Some(tunnel) = &self.vxlan_opts {
            tunnel.encode(out);
        }
        if let Some(tunnel) = &self.erspan_opts {
            tunnel.encode(out);
        }
        if let Some(tunnel) = &self.gtp_opts {
            tunnel.encode(out);
        }
        if let Some(tunnel) = &self.pfcp_opts {
            tunnel.encode(out);
        }
        if let Some(Octets(bytes)) = &self.other {
            out.bare(bytes);
        }
        if let Some(flowid) = self.class() {
            out.u32(CLASSID, flowid.0);
        }
        if let Some(action) = &self.action {
            action.encode(ACT, out, facts);
        }
        // tc says the flags even if there is nothing to say
        let verbose = if self.verbose == Some(Flag(true)) { VERBOSE } else { 0 };
        out.u32(FLAGS, super::flags(self.skip_hw, self.skip_sw) | verbose);
        if let Some(IpFlags { set, mask }) = self.ip_flags {
            out.be32(KEY_FLAGS.0, set);
            out.be32(KEY_FLAGS.1, mask);
        }
        if let Some(TunnelFlags { set, mask }) = self.enc_flags {
            out.be32(ENC_FLAGS.0, set);
            out.be32(ENC_FLAGS.1, mask);
        }
        if let Some(Protocol(n)) = self.eth_type.filter(|t| *t != Protocol::ALL) {
            out.be16(ETH_TYPE, n);
        }
    }

    /// A mask of the tunnel's port is more than tc can say, too.
    fn unsayable(&self) -> Option<&'static str> {
        let masked = self.enc_dst_port.is_some_and(|port| port.mask != Port::WHOLE).then_some("enc_dst_port");
        self.hash.map(|_| "hash").or(self.enc_src_port.map(|_| "enc_src_port")).or(masked)
    }

    fn decode(&mut self, payload: Payload, facts: &Facts) -> Result<(), Malformed> {
        let attributes = payload.attributes()?;
        let a = &attributes;
        let n8 = |n: u16| a.u8(n).map(|v| v.map(u32::from));
        let n16 = |n: u16| a.u16(n).map(|v| v.map(u32::from));
        let be16 = |n: u16| a.be16(n).map(|v| v.map(u32::from));
        let mac = |numbers: Masked| -> Result<Option<Mac>, Malformed> {
            let read = |n: u16| a.get(n).map(|p| p.fields().array::<6>()).transpose();
            let mask = read(numbers.1)?.unwrap_or([0xff; 6]);
            Ok(read(numbers.0)?.map(|octets| Mac { octets, mask }))
        };
        let label = |number: u16| -> Option<[u8; 16]> {
            let bytes = a.get(number)?.0;
            let mut whole = [0; 16];
            whole.iter_mut().zip(bytes).for_each(|(to, from)| *to = *from);
            Some(whole)
        };
        let flags = |numbers: Masked| -> Result<Option<(u32, u32)>, Malformed> {
            let mask = a.be32(numbers.1)?;
            Ok(a.be32(numbers.0)?.map(|set| (set, mask.unwrap_or(set))).filter(|(_, mask)| *mask != 0))
        };
        let (mut icmp_type, mut icmp_code) = (None, None);
        for (_, kind, code) in ICMP {
            icmp_type = icmp_type.or(decode_bits(kind, n8)?);
            icmp_code = icmp_code.or(decode_bits(code, n8)?);
        }
        let bits = a.u32(FLAGS)?;
        let [skip_hw, skip_sw, in_hw] = super::decode_flags(bits);
        let ct_mask = n16(CT_STATE.1)?;
        let mut other = Attributes::new();
        for (number, payload) in a.list.iter().filter(|(n, _)| *n > LAST) {
            other.raw(*number, payload.0);
        }
        let mut fresh = Flower::default();
        decode_rows(&mut fresh, a)?;
        let (key, mask) = (a.nested(tunnel::OPTIONS.0)?, a.nested(tunnel::OPTIONS.1)?);
        if let Some(key) = &key {
            fresh.geneve_opts = Geneve::decode(key, mask.as_ref())?;
            fresh.vxlan_opts = Vxlan::decode(key, mask.as_ref())?;
            fresh.erspan_opts = Erspan::decode(key, mask.as_ref())?;
            fresh.gtp_opts = Gtp::decode(key, mask.as_ref())?;
            fresh.pfcp_opts = Pfcp::decode(key, mask.as_ref())?;
        }
        if let Some(cfm) = a.nested(CFM)? {
            fresh.cfm = Some(Cfm { mdl: cfm.u8(1)?, op: cfm.u8(2)? }).filter(|cfm| *cfm != Cfm::default());
        }
        let [dst_mac, src_mac, arp_sha, arp_tha] = MACS.map(|(_, numbers)| mac(numbers));
        let [src_ip, dst_ip, enc_src_ip, enc_dst_ip, arp_sip, arp_tip] =
            NETWORKS.map(|(_, v4, v6)| decode_network(a, v4, v6));
        *self = Flower {
            indev: a.get(INDEV).map(|p| Name(p.text().into())),
            dst_mac: dst_mac?,
            src_mac: src_mac?,
            arp_sha: arp_sha?,
            arp_tha: arp_tha?,
            src_ip: src_ip?,
            dst_ip: dst_ip?,
            enc_src_ip: enc_src_ip?,
            enc_dst_ip: enc_dst_ip?,
            arp_sip: arp_sip?,
            arp_tip: arp_tip?,
            mpls: decode_stack(a)?,
            ip_tos: decode_bits(IP_TOS, n8)?,
            ip_ttl: decode_bits(IP_TTL, n8)?,
            enc_tos: decode_bits(ENC_TOS, n8)?,
            enc_ttl: decode_bits(ENC_TTL, n8)?,
            arp_op: decode_bits(ARP_OP, n8)?,
            ip_flags: flags(KEY_FLAGS)?.map(|(set, mask)| IpFlags { set, mask }),
            enc_flags: flags(ENC_FLAGS)?.map(|(set, mask)| TunnelFlags { set, mask }),
            dst_port: DST_PORT.decode(a)?,
            src_port: SRC_PORT.decode(a)?,
            enc_dst_port: decode_bits(ENC_DST_PORT, be16)?,
            enc_src_port: decode_bits(ENC_SRC_PORT, be16)?,
            tcp_flags: decode_bits(TCP_FLAGS, be16)?,
            icmp_type,
            icmp_code,
            spi: decode_bits(SPI, |n| a.be32(n))?,
            ct_state: n16(CT_STATE.0)?.map(|set| CtState { set, mask: ct_mask.unwrap_or(set) }),
            ct_zone: decode_bits(CT_ZONE, n16)?,
            ct_mark: decode_bits(CT_MARK, |n| a.u32(n))?,
            ct_label: label(CT_LABEL.0).map(|octets| Label { octets, mask: label(CT_LABEL.1).unwrap_or([0xff; 16]) }),
            hash: decode_bits(HASH, |n| a.u32(n))?,
            flowid: a.u32(CLASSID)?.map(Handle),
            verbose: bits.filter(|bits| bits & VERBOSE != 0).map(|_| Flag(true)),
            skip_hw,
            skip_sw,
            action: a.get(ACT).map(|list| Actions::decode(list, facts)).transpose()?,
            eth_type: a.be16(ETH_TYPE)?.map(Protocol),
            other: (!other.bytes.is_empty()).then_some(Octets(other.bytes)),
            in_hw_count: a.u32(IN_HW_COUNT)?.map(Number),
            in_hw,
            ..fresh
        };
        Ok(())
    }

    fn figures(&self, _payload: Payload) -> Vec<(&'static str, u64)> {
        super::figures(self)
    }

    fn assume(&mut self, facts: &Facts) {
        super::assume(self, facts);
    }

    fn complete(&mut self, facts: &Facts) {
        self.flowid = self.class();
        super::complete(self, facts);
    }

    fn same(&self, other: &dyn Options, row: usize, facts: &Facts) -> bool {
        let Some(held) = other.as_kind::<Self>() else { return false };
        match Flower::ROWS.get(row).map_or("", |r| r.word) {
            // of a tagged packet the kernel tells the innermost protocol once more; which it is, the tags' own rows say
            "eth_type" => {
                let said = |flower: &Flower| flower.eth_type.filter(|t| *t != Protocol::ALL);
                self.looks_inside() || said(self) == said(held)
            }
            // it says a stack of one label in the old words
            "mpls" | "mpls_label" | "mpls_tc" | "mpls_bos" | "mpls_ttl" => self.stack() == held.stack(),
            word if held.slot(row).is_some_and(|slot| !slot.is_set()) && self.is_passed_over(word) => true,
            _ => super::same(self, held, row, facts),
        }
    }

    fn tc(&self, out: &mut Vec<String>) {
        for (i, row) in Flower::ROWS.iter().enumerate().filter(|(_, r)| !r.hidden) {
            // a class that `hw_tc` has said
            let twice = row.word == "hw_tc" && self.flowid.is_some();
            if let Some(slot) = self.slot(i).filter(|_| !twice) {
                crate::kind::row_words(row, slot, out);
            }
        }
    }

    /// tc takes the protocol for the first key, 0 for a filter of which it says none.
    fn has_templates(&self) -> bool {
        true
    }

    fn begin_tc(&mut self, place: &Place) {
        self.for_protocol(place.protocol);
        self.above = Some(place.parent);
    }

    fn read_tc(&mut self, words: &mut Words, reader: &mut Reader) -> Result<bool, Refusal> {
        let Some(word) = words.like(WORDS) else { return Ok(false) };
        if super::read_doing(word, &mut self.action, words, reader)? {
            return Ok(true);
        }
        if let Some((_, message, _)) = self.lacks(word) {
            return Err(Refusal::coded(&codes::MISSING_OPTION, message).help("tc reads from left to right"));
        }
        let (old, new) = (self.ip_flags, self.enc_flags);
        match word {
            "num_of_vlans" | "vlan_id" | "vlan_prio" | "cvlan_id" | "cvlan_prio" | "mpls_label" | "mpls_tc"
            | "mpls_bos" | "mpls_ttl" | "pppoe_sid" | "l2tpv3_sid" | "enc_key_id" | "l2_miss" => {
                words.next();
                let text = words.want("a number")?;
                let most = most(word);
                let n = crate::unit::integer_of_32(text, 10).filter(|n| *n <= most);
                let n = n.ok_or_else(|| {
                    Refusal::coded(
                        &codes::OUT_OF_RANGE,
                        format!("`{text}` is no `{word}`: a decimal number up to {most}"),
                    )
                })?;
                self.set(word, n);
            }
            // a mask is more than tc can say
            "enc_dst_port" | "enc_src_port" if !words.peek_second().is_some_and(|text| text.contains('/')) => {
                words.next();
                let text = words.want("a port")?;
                let n = crate::unit::integer_of_32(text, 10).filter(|n| *n <= 0xffff);
                let n = n.ok_or_else(|| Refusal::coded(&codes::OUT_OF_RANGE, format!("`{text}` is no port")))?;
                let port = if word == "enc_dst_port" { &mut self.enc_dst_port } else { &mut self.enc_src_port };
                *port = Some(Bits::new(n));
            }
            "hw_tc" => {
                read_named(self, word, words, reader)?;
                if let Some(Number(n)) = self.hw_tc.filter(|n| n.0 >= HW_CLASSES) {
                    let message = format!("there is no traffic class {n} of a card: they end at {}", HW_CLASSES - 1);
                    return Err(Refusal::coded(&codes::OUT_OF_RANGE, message));
                }
                self.flowid = None;
                self.flowid = self.class();
            }
            "dst_ip" | "src_ip" if words.peek_second() == Some("default") => {
                words.next();
                words.next();
                let six = self.inner() == Some(Protocol::IPV6);
                let any = if six { IpAddr::from([0_u8; 16]) } else { IpAddr::from([0_u8; 4]) };
                *(if word == "dst_ip" { &mut self.dst_ip } else { &mut self.src_ip }) = Some(Network::new(any, 0));
            }
            _ => {
                read_named(self, word, words, reader)?;
            }
        }
        // flags that are said in several words are put together
        match word {
            "ip_flags" => self.ip_flags = old.map_or(self.ip_flags, |old| self.ip_flags.map(|new| old.then(new))),
            "enc_flags" => self.enc_flags = new.map_or(self.enc_flags, |old| self.enc_flags.map(|new| old.then(new))),
            "arp_tip" | "arp_sip" => {
                let of = if word == "arp_tip" { self.arp_tip } else { self.arp_sip };
                if of.is_some_and(|n| n.address.is_ipv6()) {
                    return Err(Refusal::new("an ARP message has addresses of IPv4"));
                }
            }
            _ => {}
        }
        if let Some(message) = self.mixed().or_else(|| self.clashes(word)) {
            return Err(Refusal::new(message));
        }
        Ok(true)
    }

    fn check(&self, facts: &Facts, out: &mut Vec<Finding>) {
        super::check(self, facts, out);
        self.check_widths(out);
        for (i, row) in Flower::ROWS.iter().enumerate() {
            if !self.slot(i).is_some_and(|slot| slot.is_set()) {
                continue;
            }
            if LIMITED.contains(&row.word) {
                fits(row.word, self.slot(i).and_then(|s| s.number()), u64::from(most(row.word)), out);
            }
            if let Some((other, message, help)) = self.lacks(row.word) {
                let f = Finding::new(&codes::MISSING_OPTION, row.word, message).help(help);
                out.push(if other == "eth_type" { f } else { f.and(other, "this one has none") });
            }
            if let Some(message) = self.clashes(row.word) {
                out.push(Finding::new(&codes::BAD_VALUE, row.word, message));
            }
            if let Some(inside) = self.unsaid_inside().filter(|_| OF_PROTOCOL.contains(&row.word)) {
                let message = format!("the kernel passes over `{}` behind tags whose `{inside}` is not said", row.word);
                let f = Finding::new(&codes::MISSING_OPTION, row.word, message);
                out.push(
                    f.and("num_of_vlans", "this asks for tags")
                        .help(format!("write `{inside}: …`, the protocol behind them")),
                );
            }
        }
        fits("hw_tc", self.hw_tc.map(|n| u64::from(n.0)), u64::from(HW_CLASSES - 1), out);
        if let Some(message) = self.mixed() {
            out.push(Finding::new(&codes::BAD_VALUE, "mpls", message));
        }
        if self.hw_tc.is_some()
            && self.flowid.is_some_and(|class| Some(class) != Flower { flowid: None, ..self.clone() }.class())
        {
            let f = Finding::new(&codes::NO_EFFECT, "hw_tc", "the class is said by its number already");
            out.push(f.and("flowid", "this one counts"));
        }
        for (word, network) in [("arp_tip", self.arp_tip), ("arp_sip", self.arp_sip)] {
            if network.is_some_and(|n| n.address.is_ipv6()) {
                out.push(Finding::new(&codes::BAD_VALUE, word, "an ARP message has addresses of IPv4"));
            }
        }
        if let (Some(to), Some(from)) = (self.enc_dst_ip, self.enc_src_ip)
            && to.address.is_ipv6() != from.address.is_ipv6()
        {
            let f = Finding::new(&codes::BAD_VALUE, "enc_src_ip", "the ends of a tunnel have addresses of one family");
            out.push(f.and("enc_dst_ip", "this one is of the other"));
        }
        if self.arp_op.is_some_and(|op| op.value > 2) {
            let f = Finding::new(&codes::BAD_VALUE, "arp_op", "an ARP message asks or answers");
            out.push(f.help("write `request` or `reply`"));
        }
        self.check_state(out);
        self.check_effect(out);
        let tunnels = [
            ("geneve_opts", self.geneve_opts.is_some()),
            ("vxlan_opts", self.vxlan_opts.is_some()),
            ("erspan_opts", self.erspan_opts.is_some()),
            ("gtp_opts", self.gtp_opts.is_some()),
            ("pfcp_opts", self.pfcp_opts.is_some()),
        ];
        let mut set = tunnels.into_iter().filter(|(_, set)| *set).map(|(word, _)| word);
        if let (Some(one), Some(other)) = (set.next(), set.next()) {
            let f = Finding::new(&codes::BAD_VALUE, other, "a packet comes out of one tunnel");
            out.push(f.and(one, "this is another"));
        }
    }
}

/// Rows whose values are cut to fewer bits than their attribute has.
const LIMITED: &[&str] =
    &["vlan_id", "vlan_prio", "cvlan_id", "cvlan_prio", "mpls_label", "mpls_tc", "mpls_bos", "l2_miss"];

/// The most that tc and the kernel take.
fn most(word: &str) -> u32 {
    match word {
        "vlan_id" | "cvlan_id" => 0xfff,
        "vlan_prio" | "cvlan_prio" | "mpls_tc" => 7,
        "mpls_bos" | "l2_miss" => 1,
        "mpls_label" => 0xf_ffff,
        "pppoe_sid" => 0xffff,
        "l2tpv3_sid" | "enc_key_id" => u32::MAX,
        _ => 0xff,
    }
}

impl Flower {
    fn row_of(&self, word: &str) -> Option<&dyn std::any::Any> {
        let row = Flower::ROWS.iter().position(|row| row.word == word)?;
        Some(self.slot(row)?.as_any())
    }

    fn set(&mut self, word: &str, n: u32) {
        let row = Flower::ROWS.iter().position(|row| row.word == word);
        if let Some(slot) = row.and_then(|row| self.slot_mut(row)) {
            slot.set_number(u64::from(n));
        }
    }

    /// The labels of MPLS, in whichever words, by depth.
    fn stack(&self) -> Vec<Lse> {
        let octet = |n: Option<Number>| n.map(|n| n.0 as u8);
        let first = Lse {
            depth: 1,
            label: self.mpls_label.map(|n| n.0),
            tc: octet(self.mpls_tc),
            bos: octet(self.mpls_bos),
            ttl: octet(self.mpls_ttl),
        };
        let mut stack = self.mpls.as_ref().map_or_else(|| vec![first], |stack| stack.0.clone());
        stack.retain(|lse| *lse != Lse { depth: lse.depth, ..Lse::default() });
        stack.sort_by_key(|lse| lse.depth);
        stack
    }

    /// The protocol that the kernel takes the filter to be of (`fl_set_key`): where tags are counted, what stands inside of
    /// a tag is the next tag and no protocol. `None` where nobody has said the filter's.
    fn kernels(&self) -> Option<Protocol> {
        let said = |proto: Option<Protocol>| proto.filter(|t| *t != Protocol::ALL).unwrap_or(Protocol(0));
        let tags = self.num_of_vlans.map_or(0, |n| n.0);
        let outer = said(Some(self.eth_type?));
        let inside = [self.vlan_ethtype, self.cvlan_ethtype].map(said);
        let is_tag = |proto: Protocol, above: u32| proto.is_vlan() || tags > above;
        Some(match inside {
            _ if !is_tag(outer, 0) => outer,
            [first, _] if !is_tag(first, 1) => first,
            [_, second] => second,
        })
    }

    /// Whether the kernel takes no notice of a key: no bit of it counts, or the protocol is another.
    fn is_passed_over(&self, word: &str) -> bool {
        let ip = self.kernels().is_none_or(Protocol::is_ip);
        let arp = self.kernels().is_none_or(Protocol::is_arp);
        let nothing = |network: Option<Network>| {
            network.is_some_and(|n| n.mask == IpAddr::from([0; 4]) || n.mask == IpAddr::from([0_u8; 16]))
        };
        fn none<const BITS: u32, const STYLE: u8>(bits: Option<Bits<BITS, STYLE>>) -> bool {
            bits.is_some_and(|bits| bits.mask == 0)
        }
        let unmasked = |mac: Mac| mac.mask == [0; 6];
        match word {
            "ip_proto" | "dst_port" | "src_port" | "type" | "code" => !ip,
            "tcp_flags" => !ip || self.ip_proto != Some(IpProto::TCP) || none(self.tcp_flags),
            "ip_tos" => !ip || none(self.ip_tos),
            "ip_ttl" => !ip || none(self.ip_ttl),
            "enc_tos" => none(self.enc_tos),
            "enc_ttl" => none(self.enc_ttl),
            "enc_dst_port" => none(self.enc_dst_port),
            "enc_src_port" => none(self.enc_src_port),
            "ct_zone" => none(self.ct_zone),
            "ct_mark" => none(self.ct_mark),
            "ct_label" => self.ct_label.as_ref().is_some_and(|label| label.mask == [0; 16]),
            "dst_mac" => self.dst_mac.is_some_and(unmasked),
            "src_mac" => self.src_mac.is_some_and(unmasked),
            "dst_ip" => nothing(self.dst_ip),
            "src_ip" => nothing(self.src_ip),
            "enc_dst_ip" => nothing(self.enc_dst_ip),
            "enc_src_ip" => nothing(self.enc_src_ip),
            "arp_tip" => !arp || nothing(self.arp_tip),
            "arp_sip" => !arp || nothing(self.arp_sip),
            "arp_tha" => !arp || self.arp_tha.is_some_and(unmasked),
            "arp_sha" => !arp || self.arp_sha.is_some_and(unmasked),
            "arp_op" => !arp,
            // of a PPPoE session the kernel keeps what is inside of it (`fl_set_key_pppoe`)
            "vlan_ethtype" | "cvlan_ethtype" => self.kernels() == Some(Protocol::PPP_SES),
            _ => false,
        }
    }

    /// MPLS in tc's old words and in its new ones.
    fn mixed(&self) -> Option<String> {
        let old = [self.mpls_label, self.mpls_tc, self.mpls_bos, self.mpls_ttl].iter().any(Option::is_some);
        (old && self.mpls.is_some())
            .then(|| "`mpls` says the whole stack: leave the words for its first label out".to_owned())
    }

    /// `fl_validate_ct_state`.
    fn check_state(&self, out: &mut Vec<Finding>) {
        let Some(CtState { set, mask }) = self.ct_state else { return };
        let (new, est, trk, inv, rpl) = (1, 2, 8, 16, 32);
        let state = set & mask;
        let has = |bits: u32| state & bits == bits;
        let message = match () {
            () if state != 0 && !has(trk) => "what is known of a connection is known of a tracked one: `+trk`",
            () if has(new | est) => "no connection is both `+new` and `+est`",
            () if has(inv) && state & !(trk | inv) != 0 => "of an invalid connection nothing else is known",
            () if has(new | rpl) => "no reply is `+new`",
            () => return,
        };
        out.push(Finding::new(&codes::BAD_VALUE, "ct_state", message).help("write `+trk+est`"));
    }

    /// Keys that the kernel passes over where the protocol is another.
    fn check_effect(&self, out: &mut Vec<Finding>) {
        let ip = self.inner().is_none_or(Protocol::is_ip);
        for (word, set, of) in [
            ("ip_tos", self.ip_tos.is_some(), ip),
            ("ip_ttl", self.ip_ttl.is_some(), ip),
            ("tcp_flags", self.tcp_flags.is_some(), self.ip_proto == Some(IpProto::TCP)),
        ] {
            if set && !of {
                let what = if word == "tcp_flags" { "`ip_proto: tcp`" } else { "a `protocol` of IP" };
                let message = format!("the kernel passes over `{word}` without {what}");
                out.push(Finding::new(&codes::NO_EFFECT, word, message));
            }
        }
    }
}

#[cfg(test)]
mod tests;
