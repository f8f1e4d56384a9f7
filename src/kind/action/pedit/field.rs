//! The fields of headers that `pedit` has names for, and the words that edit them: iproute2's tc/p_*.c.

use super::Key;
use crate::diagnostic::codes;
use crate::unit::{Address, Hardware, Number, Prefix4, Reader, Refusal, Signed, Unit, Words, begins};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// Where offsets are counted from (`TCA_PEDIT_KEY_EX_HDR_TYPE_*`).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Header(pub u16);

impl Header {
    /// The network header, whatever it is.
    pub const NETWORK: Header = Header(0);
    /// The Ethernet header.
    pub const ETH: Header = Header(1);
    /// The network header, which the filter has to have found to be IPv4's: the kernel does not look.
    pub const IP4: Header = Header(2);
    /// The network header, taken for IPv6's.
    pub const IP6: Header = Header(3);
    /// The TCP header; other packets stay as they are.
    pub const TCP: Header = Header(4);
    /// The UDP header; other packets stay as they are.
    pub const UDP: Header = Header(5);
}

/// tc's words for them.
const LAYERS: &[(&str, Header)] =
    &[("eth", Header::ETH), ("ip", Header::IP4), ("ip6", Header::IP6), ("tcp", Header::TCP), ("udp", Header::UDP)];

/// How a field's value is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Shape {
    Number,
    Ipv4,
    Ipv6,
    Mac,
}

/// A field.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Field {
    layer: &'static str,
    name: &'static str,
    shape: Shape,
    /// The first octet.
    offset: u32,
    octets: u32,
    /// The bits that are its own.
    bits: u32,
    /// How far the octets stand from where the field does: the traffic class is in two halves of octets.
    shift: u32,
    /// Whether one may be taken from it.
    counts_down: bool,
}

const fn field(layer: &'static str, name: &'static str, offset: u32, octets: u32, bits: u32) -> Field {
    Field { layer, name, shape: Shape::Number, offset, octets, bits, shift: 0, counts_down: false }
}

const fn address(layer: &'static str, name: &'static str, shape: Shape, offset: u32, octets: u32) -> Field {
    Field { layer, name, shape, offset, octets, bits: u32::MAX, shift: 0, counts_down: false }
}

/// In tc's order. Of two names for one field the first is shown.
const FIELDS: &[Field] = &[
    field("eth", "type", 12, 2, 0xffff),
    address("eth", "dst", Shape::Mac, 0, 6),
    address("eth", "src", Shape::Mac, 6, 6),
    address("ip", "src", Shape::Ipv4, 12, 4),
    address("ip", "dst", Shape::Ipv4, 16, 4),
    field("ip", "tos", 1, 1, 0xff),
    field("ip", "dsfield", 1, 1, 0xff),
    field("ip", "ihl", 0, 1, 0x0f),
    Field { counts_down: true, ..field("ip", "ttl", 8, 1, 0xff) },
    field("ip", "protocol", 9, 1, 0xff),
    field("ip", "precedence", 1, 1, 0xff),
    field("ip", "nofrag", 6, 1, 0x3f),
    field("ip", "firstfrag", 6, 1, 0x1f),
    field("ip", "ce", 6, 1, 0x80),
    field("ip", "df", 6, 1, 0x40),
    field("ip", "mf", 6, 1, 0x20),
    address("ip6", "src", Shape::Ipv6, 8, 16),
    address("ip6", "dst", Shape::Ipv6, 24, 16),
    field("ip6", "flow_lbl", 0, 4, 0x0007_ffff),
    field("ip6", "payload_len", 4, 2, 0xffff),
    field("ip6", "nexthdr", 6, 1, 0xff),
    Field { counts_down: true, ..field("ip6", "hoplimit", 7, 1, 0xff) },
    Field { shift: 4, ..field("ip6", "traffic_class", 1, 1, 0xff) },
    field("tcp", "sport", 0, 2, 0xffff),
    field("tcp", "dport", 2, 2, 0xffff),
    field("tcp", "flags", 13, 1, 0xff),
    field("udp", "sport", 0, 2, 0xffff),
    field("udp", "dport", 2, 2, 0xffff),
];

/// What tc finds behind an IPv4 header of 20 octets, where layers cannot be named. Type and code of ICMP have one place
/// there, as in tc.
const BEHIND_IP: &[Field] = &[
    field("ip", "dport", 22, 2, 0xffff),
    field("ip", "sport", 20, 2, 0xffff),
    field("ip", "icmp_type", 20, 1, 0xff),
    field("ip", "icmp_code", 20, 1, 0xff),
];

/// What is done to a field.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Command {
    Invert,
    Set,
    Add,
    Decrement,
    Preserve,
    Clear,
}

const COMMANDS: &[(&str, Command)] = &[
    ("invert", Command::Invert),
    ("set", Command::Set),
    ("add", Command::Add),
    ("decrement", Command::Decrement),
    ("preserve", Command::Preserve),
    ("clear", Command::Clear),
];

fn is(word: &str, whole: &str, reader: &Reader) -> bool {
    word == whole || reader.tc && begins(word, whole)
}

impl Field {
    /// All ones of its octets, as far as one number goes.
    fn ones(&self) -> u32 {
        match self.octets {
            1 => 0xff,
            2 => 0xffff,
            _ => u32::MAX,
        }
    }

    /// How far a number stands to the left in its word of four octets.
    fn stride(&self) -> u32 {
        (32 - 8 * (self.offset % 4 + self.octets)) + self.shift
    }

    /// The keys that write an octet string into it.
    fn write(&self, header: Header, add: bool, octets: &[u8]) -> Vec<Key> {
        let mut keys: Vec<Key> = Vec::new();
        for (at, octet) in (self.offset..).zip(octets) {
            let (word, place) = (at & !3, 24 - 8 * (at % 4));
            if keys.last().is_none_or(|key| key.offset != word) {
                keys.push(Key { header, add, offset: word, mask: u32::MAX, ..Key::default() });
            }
            if let Some(key) = keys.last_mut() {
                key.mask &= !(0xff << place);
                key.value |= u32::from(*octet) << place;
            }
        }
        keys
    }

    /// The key that does something to a number.
    fn key(&self, header: Header, add: bool, value: u32, inverted: u32, retain: u32) -> Key {
        let stride = self.stride();
        let own = self.ones().checked_shl(stride).unwrap_or(0);
        let kept = (inverted | !retain).checked_shl(stride).unwrap_or(0);
        Key {
            header,
            add,
            offset: self.offset & !3,
            value: (value & retain).checked_shl(stride).unwrap_or(0),
            mask: (kept & own) | !own,
            ..Key::default()
        }
    }

    /// Reads a command and its value, and perhaps the bits that may change.
    fn read(&self, header: Header, ex: bool, words: &mut Words, reader: &mut Reader) -> Result<Vec<Key>, Refusal> {
        let word = words.want("what to do with the field")?;
        let Some((_, command)) = COMMANDS.iter().find(|(name, _)| is(word, name, reader)) else {
            return Err(Refusal::new(format!("`{word}` is nothing that is done to a field"))
                .help("write `set 5`, `add 5`, `clear`, `invert` or `preserve`"));
        };
        let plain =
            |word: &str| Refusal::new(format!("`{word}` is known to `pedit ex` only")).help("write `pedit ex munge …`");
        let (mut add, mut value, mut inverted, mut retain) = (false, 0, 0, self.bits);
        let mut octets: Vec<u8> = vec![0; self.octets as usize];
        match command {
            // tc writes an int of 255 there instead, in the machine's order
            Command::Invert if self.octets > 4 && reader.tc => {
                octets.iter_mut().zip(255_u32.to_ne_bytes()).for_each(|(octet, of)| *octet = of);
            }
            Command::Invert if self.octets > 4 => {
                return Err(Refusal::new(format!("`{}` is too long a field to invert", self.name)));
            }
            Command::Invert => (value, inverted) = (self.ones(), self.ones()),
            Command::Set | Command::Add => {
                add = *command == Command::Add;
                if add && !ex {
                    return Err(plain("add"));
                }
                let text = words.want("a value")?;
                match self.shape {
                    Shape::Number => {
                        value = Number::read(text, reader)?.0;
                        if value > self.ones() {
                            let message = format!("`{text}` does not fit: at most {:#x}", self.ones());
                            return Err(Refusal::coded(&codes::OUT_OF_RANGE, message));
                        }
                    }
                    Shape::Ipv4 => value = Prefix4::read(text, reader)?.address.to_bits(),
                    Shape::Ipv6 => {
                        let text = text.split_once('/').map_or(text, |(address, _)| address);
                        let Address(IpAddr::V6(address)) = Address::read(text, reader)? else {
                            return Err(Refusal::new(format!("`{text}` is not an IPv6 address")));
                        };
                        octets = address.octets().to_vec();
                    }
                    Shape::Mac => octets = Hardware::read_six(text, reader)?.0.to_vec(),
                }
            }
            Command::Decrement if !self.counts_down => {
                let message = format!("`{} {}` does not count down", self.layer, self.name);
                return Err(Refusal::new(message).help("only `ip ttl` and `ip6 hoplimit` do"));
            }
            Command::Decrement if !ex => return Err(plain("decrement")),
            // all ones are one less
            Command::Decrement => (add, value) = (true, self.bits),
            Command::Preserve => retain = 0,
            Command::Clear => {}
        }
        if words.peek().is_some_and(|word| is(word, "retain", reader)) {
            words.next();
            retain = Number::read_words(words, reader)?.0;
        }
        if self.octets <= 4 {
            return Ok(vec![self.key(header, add, value, inverted, retain)]);
        }
        if retain != u32::MAX {
            return Err(
                Refusal::new(format!("`{} {}` is changed whole", self.layer, self.name)).help("leave `retain` out")
            );
        }
        Ok(self.write(header, add, &octets))
    }

    /// What is done to it by the first of these keys, or the first few, in words; and how many they are.
    fn show(&self, keys: &[Key]) -> Option<(String, usize)> {
        let first = keys.first()?;
        if self.octets > 4 {
            let count = self.write(first.header, first.add, &vec![0; self.octets as usize]).len();
            let keys = keys.get(..count)?;
            let octets: Vec<u8> = keys.iter().flat_map(|key| key.value.to_be_bytes()).collect();
            let skip = (self.offset % 4) as usize;
            let octets = octets.get(skip..skip + self.octets as usize)?;
            let value = match (self.shape, octets.first_chunk::<16>(), octets.first_chunk::<6>()) {
                (Shape::Ipv6, Some(octets), _) => Ipv6Addr::from(*octets).to_string(),
                (_, _, Some(octets)) => Hardware(*octets).show(),
                _ => return None,
            };
            let does = if first.add { "add" } else { "set" };
            let same = self.write(first.header, first.add, octets) == keys;
            return same.then(|| (format!("{} {} {does} {value}", self.layer, self.name), count));
        }
        let (stride, ones) = (self.stride(), self.ones());
        let changed = (!first.mask >> stride) & ones;
        let value = (first.value >> stride) & ones;
        let number = |value: u32| match self.shape {
            Shape::Ipv4 => Ipv4Addr::from_bits(value).to_string(),
            _ if self.octets == 1 || self.name.ends_with("port") => value.to_string(),
            _ => format!("{value:#x}"),
        };
        let does = if first.add { "add" } else { "set" };
        let name = format!("{} {}", self.layer, self.name);
        let candidates = [
            // the field as a whole, then some of its bits, bits that are turned round, and none
            (format!("{name} {does} {}", number(value)), self.key(first.header, first.add, value, 0, self.bits)),
            (
                format!("{name} {does} {} retain {changed:#x}", number(value)),
                self.key(first.header, first.add, value, 0, changed),
            ),
            (format!("{name} invert"), self.key(first.header, false, ones, ones, self.bits)),
            (format!("{name} invert retain {value:#x}"), self.key(first.header, false, ones, ones, value)),
        ];
        candidates.into_iter().find(|(_, key)| key == first).map(|(text, _)| (text, 1))
    }
}

/// A field of a size, anywhere: `offset 8 u8`.
fn anywhere(offset: u32, octets: u32) -> Field {
    let bits = [0, 0xff, 0xffff, 0, u32::MAX].get(octets as usize).copied().unwrap_or(0);
    field("", "", offset, octets, bits)
}

/// Reads one edit: `offset 8 u8 set 64`, or a layer's field as `ip ttl set 64`. `ex`: whether layers can be told apart.
pub(super) fn read(ex: bool, words: &mut Words, reader: &mut Reader) -> Result<Vec<Key>, Refusal> {
    let word = words.want("`offset`, or a layer as `ip`")?;
    if is(word, "offset", reader) {
        return read_offset(Header::NETWORK, ex, words, reader);
    }
    let Some((layer, header)) = LAYERS.iter().find(|(name, _)| *name == word) else {
        return Err(Refusal::new(format!("`{word}` is no layer with fields to edit"))
            .help("write `offset`, `eth`, `ip`, `ip6`, `tcp` or `udp`"));
    };
    let name = words.want("a field")?;
    if name == "offset" && !reader.tc {
        return read_offset(*header, ex, words, reader);
    }
    if !ex && *layer != "ip" {
        let refusal = Refusal::new(format!("`{layer}` is known to `pedit ex` only"));
        return Err(refusal.help(format!("write `pedit ex munge {layer} {name} …`")));
    }
    let behind = BEHIND_IP.iter().filter(|f| !ex && f.layer == *layer);
    let short = |f: &Field| matches!(f.name, "dsfield" | "precedence") && is(name, f.name, reader);
    let found = FIELDS.iter().chain(behind).filter(|f| f.layer == *layer).find(|f| f.name == name || short(f));
    let Some(field) = found else {
        let names: Vec<_> = FIELDS.iter().filter(|f| f.layer == *layer).map(|f| format!("`{}`", f.name)).collect();
        let hint = match name {
            "sport" | "dport" => "write `tcp` or `udp` before it".to_owned(),
            _ => format!("it has {}", names.join(", ")),
        };
        return Err(Refusal::new(format!("`{layer}` has no field `{name}`")).help(hint));
    };
    let header = if ex { *header } else { Header::NETWORK };
    field.read(header, ex, words, reader)
}

fn read_offset(header: Header, ex: bool, words: &mut Words, reader: &mut Reader) -> Result<Vec<Key>, Refusal> {
    let offset = Signed::read_words(words, reader)?.0 as u32;
    let size = words.want("`u8`, `u16` or `u32`")?;
    let octets = [("u32", 4), ("u16", 2), ("u8", 1)].into_iter().find(|(name, _)| is(size, name, reader));
    let Some((_, octets)) = octets else {
        return Err(Refusal::new(format!("`{size}` is no size")).help("write `u8`, `u16` or `u32`"));
    };
    if offset % 4 + octets > 4 {
        let message = format!("the `{size}` at {} reaches beyond its four octets", offset.cast_signed());
        return Err(Refusal::coded(&codes::OUT_OF_RANGE, message).help("write two edits of `u8`"));
    }
    let (mut at, mut offmask, mut shift) = (0, 0, 0);
    if words.peek().is_some_and(|word| is(word, "at", reader)) {
        words.next();
        let three = |r: Refusal| r.help("write three numbers: an offset, the bits in hexadecimal, a shift");
        at = Number::read_words(words, reader).map_err(three)?.0;
        let bits = words.want("the bits that count")?;
        let hex = u32::from_str_radix(bits.trim_start_matches("0x"), 16);
        offmask = hex.map_err(|_| three(Refusal::new(format!("`{bits}` is not a number in hexadecimal"))))?;
        shift = Number::read_words(words, reader).map_err(three)?.0;
    }
    let mut keys = if words.peek() == Some("raw") && !reader.tc {
        words.next();
        let mut hex = || Number::read_words(words, reader).map(|n| n.0);
        vec![Key { header, offset, value: hex()?, mask: hex()?, ..Key::default() }]
    } else {
        anywhere(offset, octets).read(header, ex, words, reader)?
    };
    keys.iter_mut().for_each(|key| (key.at, key.offmask, key.shift) = (at, offmask, shift));
    Ok(keys)
}

/// The first of these keys, or the first few, in words; and how many they are.
pub(super) fn show(keys: &[Key]) -> Option<(String, usize)> {
    let first = keys.first()?;
    let moved = (first.at, first.offmask, first.shift) != (0, 0, 0);
    let layer = LAYERS.iter().find(|(_, header)| *header == first.header).map(|(name, _)| *name);
    if let Some(layer) = layer.filter(|_| !moved) {
        let fields = || FIELDS.iter().filter(|f| f.layer == layer).filter_map(|f| Some((f.octets, f.show(keys)?)));
        // a field as a whole reads better than bits of another, and those of a small one better than of a large one
        let whole = fields().find(|(_, (text, _))| !text.contains("retain"));
        if let Some((_, shown)) = whole.or_else(|| fields().min_by_key(|(octets, _)| *octets)) {
            return Some(shown);
        }
    }
    let offset = first.offset.cast_signed();
    let at = if moved { format!(" at {} {:#x} {}", first.at, first.offmask, first.shift) } else { String::new() };
    let bare = Key { at: 0, offmask: 0, shift: 0, ..*first };
    let edit = [(1, 0), (1, 1), (1, 2), (1, 3), (2, 0), (2, 2), (4, 0)].into_iter().find_map(|(octets, inside)| {
        let place = anywhere(first.offset.wrapping_add(inside), octets);
        let (text, _) = place.show(&[bare])?;
        // `offset 8 u8 set 64`: the words behind the field's name, which is none
        let does = text.trim_start().to_owned();
        Some(format!("offset {} u{}{at} {does}", place.offset.cast_signed(), octets * 8))
    });
    let raw = || format!("offset {offset} u32{at} raw {:#010x} {:#010x}", first.value, first.mask);
    let text = edit.unwrap_or_else(raw);
    Some((layer.map_or(text.clone(), |layer| format!("{layer} {text}")), 1))
}
