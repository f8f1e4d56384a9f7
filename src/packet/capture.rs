//! Packets from a capture file: pcap and pcapng, of Ethernet, of "cooked" links (SLL, SLL2) and of bare IP. A file of any
//! size is read piece by piece.

use super::{IPV4, IPV6, Packet};
use crate::syntax::expression::Way;
use pcap_parser::traits::PcapNGPacketBlock as _;
use pcap_parser::{Block, Linktype, PcapBlockOwned, PcapError, create_reader};
use std::collections::BTreeMap;
use std::io::Read;

/// A packet of a capture.
#[derive(Clone, Debug)]
pub struct Captured {
    /// The packet.
    pub packet: Packet,
    /// Which way it went, if the capture says so.
    pub way: Option<Way>,
}

/// What a capture had besides packets that can be looked at.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Remains {
    /// Packets of links whose headers are not known here, by the link's type.
    pub strange: BTreeMap<i32, u64>,
    /// Packets that are shorter than a header.
    pub short: u64,
    /// Whether the file ends within a packet.
    pub cut: bool,
}

/// Bytes that are read at once, and the most that one block may have.
const PIECE: usize = 1 << 20;
const LARGEST: usize = 64 << 20;
/// `PACKET_OUTGOING`.
const OUTGOING: u16 = 4;
/// `epb_flags`, and in its lowest bits the direction.
const FLAGS: u16 = 2;

/// Reads a capture, packet by packet.
///
/// # Errors
/// It is no capture, or cannot be read.
pub fn read(file: impl Read + Send, each: &mut dyn FnMut(Captured)) -> Result<Remains, String> {
    let mut reader = create_reader(PIECE, file).map_err(|error| explain(&error))?;
    let mut remains = Remains::default();
    // the links of the file, or of a section of it
    let mut links: Vec<Linktype> = Vec::new();
    let mut size = PIECE;
    let mut big = false;
    loop {
        let next = match reader.next() {
            Ok((used, block)) => {
                let mut one = |link: Option<Linktype>, data: &[u8], length: u32, way: Option<Way>| {
                    let link = link.unwrap_or(Linktype(-1));
                    match packet(link, data, length as usize) {
                        Some(Ok(found)) => each(Captured { way: way.or(found.way), packet: found.packet }),
                        Some(Err(())) => remains.short += 1,
                        None => *remains.strange.entry(link.0).or_default() += 1,
                    }
                };
                match block {
                    PcapBlockOwned::LegacyHeader(header) => links = vec![header.network],
                    PcapBlockOwned::Legacy(block) => one(links.first().copied(), block.data, block.origlen, None),
                    PcapBlockOwned::NG(Block::SectionHeader(section)) => {
                        links.clear();
                        big = section.big_endian();
                    }
                    PcapBlockOwned::NG(Block::InterfaceDescription(link)) => links.push(link.linktype),
                    PcapBlockOwned::NG(Block::EnhancedPacket(block)) => {
                        let flags = block.options.iter().find(|option| option.code.0 == FLAGS);
                        let lowest = flags.and_then(|o| if big { o.value.get(3) } else { o.value.first() });
                        let way = match lowest.map(|octet| octet & 3) {
                            Some(1) => Some(Way::Down),
                            Some(2) => Some(Way::Up),
                            _ => None,
                        };
                        one(links.get(block.if_id as usize).copied(), block.packet_data(), block.origlen, way);
                    }
                    PcapBlockOwned::NG(Block::SimplePacket(block)) => {
                        one(links.first().copied(), block.packet_data(), block.origlen, None);
                    }
                    PcapBlockOwned::NG(_) => {}
                }
                Ok(used)
            }
            Err(error) => Err(error.to_owned_vec()),
        };
        match next {
            Ok(used) => reader.consume(used),
            Err(PcapError::Eof) => return Ok(remains),
            Err(PcapError::Incomplete(_)) if !reader.reader_exhausted() => {
                reader.refill().map_err(|error| explain(&error))?;
            }
            Err(PcapError::Incomplete(_) | PcapError::UnexpectedEof) => {
                remains.cut = true;
                return Ok(remains);
            }
            Err(PcapError::BufferTooSmall) if size < LARGEST => {
                size *= 2;
                reader.grow(size);
            }
            Err(error) => return Err(explain(&error)),
        }
    }
}

fn explain<I>(error: &PcapError<I>) -> String {
    match error {
        PcapError::Eof => "the file is empty",
        PcapError::ReadError => "it cannot be read",
        PcapError::BufferTooSmall => "a block of it is larger than 64 MiB",
        PcapError::UnexpectedEof | PcapError::Incomplete(_) => "it ends within its first block",
        PcapError::HeaderNotRecognized | PcapError::NomError(..) | PcapError::OwnedNomError(..) => {
            "it is neither pcap nor pcapng, or not sound"
        }
    }
    .to_owned()
}

/// A packet by the type of its link: `None` if that is not known here, an error if it is too short.
fn packet(link: Linktype, data: &[u8], length: usize) -> Option<Result<Captured, ()>> {
    let number = |at: usize| Some(u16::from_be_bytes([*data.get(at)?, *data.get(at + 1)?]));
    let cooked = |header: usize, protocol: usize, way: Option<u16>| {
        let packet = Packet::cooked(number(protocol)?, data.get(header..)?, length.saturating_sub(header))?;
        let way = match way? {
            OUTGOING => Way::Up,
            _ => Way::Down,
        };
        Some(Captured { packet, way: Some(way) })
    };
    let bare = || {
        let protocol = match data.first()? >> 4 {
            4 => IPV4,
            6 => IPV6,
            _ => return None,
        };
        Some(Captured { packet: Packet::cooked(protocol, data, length)?, way: None })
    };
    let found = match link {
        Linktype::ETHERNET => Packet::ethernet(data, length).map(|packet| Captured { packet, way: None }),
        Linktype::LINUX_SLL => cooked(16, 14, number(0)),
        Linktype::LINUX_SLL2 => cooked(20, 0, data.get(10).map(|octet| u16::from(*octet))),
        // LINKTYPE_RAW and what BSDs write for it, LINKTYPE_IPV4, LINKTYPE_IPV6
        Linktype(101 | 12 | 14 | 228 | 229) => bare(),
        _ => return None,
    };
    Some(found.ok_or(()))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::indexing_slicing)]
    use super::*;
    use crate::packet::build::Fields;
    use crate::packet::{Octets, VLAN};

    fn pcap(link: u32, packets: &[(&[u8], u32)]) -> Vec<u8> {
        let mut out = Vec::new();
        for n in [0xa1b2_c3d4_u32, 0x0004_0002, 0, 0, 65535, link] {
            out.extend(n.to_le_bytes());
        }
        for (data, length) in packets {
            for n in [1, 2, data.len() as u32, *length] {
                out.extend(n.to_le_bytes());
            }
            out.extend(*data);
        }
        out
    }

    fn block(kind: u32, body: &[u8]) -> Vec<u8> {
        let length = (12 + body.len()) as u32;
        [&kind.to_be_bytes()[..], &length.to_be_bytes(), body, &length.to_be_bytes()].concat()
    }

    fn all(file: &[u8]) -> (Vec<Captured>, Remains) {
        let mut found = Vec::new();
        let remains = read(file, &mut |packet| found.push(packet)).unwrap();
        (found, remains)
    }

    #[test]
    fn pcap_of_every_link_is_read() {
        let frame = Fields { ports: (1, 53), length: 100, ..Fields::default() }.frame();
        let mut tagged = frame[..12].to_vec();
        tagged.extend([0x81, 0, 0, 7]);
        tagged.extend(&frame[12..]);
        let (found, remains) = all(&pcap(1, &[(&frame[..60], 114), (&frame, 114), (&tagged, 118), (&frame[..9], 9)]));
        assert_eq!((found.len(), remains.short, remains.cut), (3, 1, false));
        assert_eq!(found[0].packet.length(), 114);
        assert_eq!(found[0].packet.octets(80, 1), Octets::Cut);
        assert_eq!(found[2].packet.tag().map(|t| (t.protocol, t.id)), Some((VLAN, 7)));
        let ip = &frame[14..];
        let sll = [&[0, 4, 0, 1, 0, 6, 2, 0, 0, 0, 0, 1, 0, 0, 8, 0], ip].concat();
        let sll2 = [&[8, 0, 0, 0, 0, 0, 0, 3, 0, 1, 0, 6, 2, 0, 0, 0, 0, 1, 0, 0], ip].concat();
        for (link, data, way) in
            [(113, &sll[..], Some(Way::Up)), (276, &sll2, Some(Way::Down)), (101, ip, None), (228, ip, None)]
        {
            let (found, remains) = all(&pcap(link, &[(data, data.len() as u32)]));
            assert_eq!(remains, Remains::default(), "{link}");
            assert_eq!((found[0].way, found[0].packet.layers().ports), (way, Some((1, 53))), "{link}");
            assert_eq!(found[0].packet.length(), 100, "{link}");
        }
        let (found, remains) = all(&pcap(147, &[(ip, 100)]));
        assert_eq!((found.len(), remains.strange.get(&147)), (0, Some(&1)));
        let whole = pcap(1, &[(&frame, 114)]);
        let (found, remains) = all(&whole[..whole.len() - 5]);
        assert_eq!((found.len(), remains.cut), (0, true));
    }

    #[test]
    fn pcapng_says_the_way() {
        let frame = Fields::default().frame();
        let mut file = block(0x0a0d_0d0a, &[&[0x1a, 0x2b, 0x3c, 0x4d, 0, 1, 0, 0][..], &[0xff; 8]].concat());
        file.extend(block(1, &[0, 1, 0, 0, 0, 0, 0xff, 0xff]));
        for flags in [None, Some(1_u32), Some(2)] {
            let mut body = [[0_u8; 12].to_vec(), vec![0, 0, 0, frame.len() as u8, 0, 0, 0, frame.len() as u8]].concat();
            body.extend(&frame);
            body.resize(body.len().next_multiple_of(4), 0);
            if let Some(flags) = flags {
                body.extend([0, 2, 0, 4]);
                body.extend(flags.to_be_bytes());
                body.extend([0; 4]);
            }
            file.extend(block(6, &body));
        }
        let (found, remains) = all(&file);
        assert_eq!(remains, Remains::default());
        assert_eq!(found.iter().map(|f| f.way).collect::<Vec<_>>(), [None, Some(Way::Down), Some(Way::Up)]);
    }

    #[test]
    fn what_is_no_capture_is_refused() {
        for bytes in [&b""[..], b"interface eth0 { }", &[0x0a, 0x0d, 0x0d, 0x0a]] {
            assert!(read(bytes, &mut |_| ()).is_err(), "{bytes:?}");
        }
    }
}
