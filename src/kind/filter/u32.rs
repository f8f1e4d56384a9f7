//! `u32`: net/sched/cls_u32.c, tc-u32(8). Its number is `TABLE:BUCKET:NODE` (12, 8 and 12 bits): `800::801` is a node of
//! the kernel's first table, `2:` a table that was made with `divisor`.
//!
//! A dump lists the tables too, as filters without a node ([`U32::is_table`]); the kernel makes one for each `prio`.

mod ask;

use super::{ACTION, Doing, FLOWID, IN_HW, SKIP_HW, SKIP_SW};
use crate::diagnostic::codes;
use crate::facts::Facts;
use crate::kind::action::Actions;
use crate::kind::walk::{Asked, Filter};
use crate::kind::wire::{Attributes, Fields, Malformed, Payload};
use crate::kind::{
    Children, Finding, Kind, Options, Place, Role, Row, attribute, no_option, no_xstats, read_named, row_words,
};
use crate::rows;
use crate::unit::{
    ClassId, Decimal, Flag, Handle, Info, Mark, Name, Number, Reader, Refusal, Schema, Unit, Words, begins, strtoul,
};
use std::fmt::Write as _;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

rows! {
    /// Packets by any of their bits.
    pub struct U32 {
        /// what the packet must hold: words of 32 bits under masks
        keys: Keys = Row::new("match").fixed();
        /// the mark that the packet must carry; needs a kernel with `CLS_U32_MARK`
        mark: Mark = Row::new("mark").fixed();
        /// the class to send to
        flowid: ClassId = FLOWID;
        /// buckets of the table that this makes, a power of two up to 256
        divisor: Number = Row::new("divisor").fixed();
        /// the table to go on in
        link: Node = Row::new("link");
        /// the table, and bucket of it, that the filter is in
        ht: Node = Row::new("ht").computed("the table of its prio").fixed();
        /// the bits of the packet that choose the bucket of the table gone on in
        hashkey: HashKey = Row::new("hashkey").fixed();
        /// where the header begins that the table gone on in looks at
        offset: Offset = Row::new("offset").fixed();
        /// the link that the packet came in by
        indev: Name = Row::new("indev");
        /// keep it out of the hardware
        skip_hw: Flag = SKIP_HW.fixed();
        /// keep it out of the kernel: hardware only
        skip_sw: Flag = SKIP_SW.fixed();
        /// the node's number in its bucket; the same as in the handle
        order: Number = Row::new("order").tool();
        /// what to do with the packets
        action: Actions = ACTION;
        /// the bucket that a `sample` has told
        sampled: Number = Row::new("sampled").hidden().tool();
        /// packets that it was shown, as the kernel says it
        seen: Decimal = Row::new("seen").hidden().tool();
        /// packets that it took, as the kernel says it
        hits: Decimal = Row::new("hits").hidden().tool();
        /// packets that had the mark, as the kernel says it
        marked: Number = Row::new("marked").hidden().tool();
        /// packets that had each of the keys, as the kernel says it
        key_hits: Counts = Row::new("key_hits").hidden().tool();
        /// whether the kernel says that it is in hardware
        in_hw: Flag = IN_HW;
    }
}

/// The kind.
pub static KIND: Kind = Kind {
    name: "u32",
    role: Role::Filter,
    doc: "takes packets by any of their bits: a value under a mask at an offset from the IP header",
    options: || Box::new(U32::default()),
    class: None,
    children: Children::None,
    change: true,
    writable: true,
    config: "NET_CLS_U32",
    module: "cls_u32",
    attributes: &[
        attribute("TCA_U32_CLASSID", 1, &["flowid"]),
        attribute("TCA_U32_HASH", 2, &["ht"]),
        attribute("TCA_U32_LINK", 3, &["link"]),
        attribute("TCA_U32_DIVISOR", 4, &["divisor"]),
        attribute("TCA_U32_SEL", 5, &["match", "hashkey", "offset"]),
        attribute("TCA_U32_POLICE", 6, &["action"]),
        attribute("TCA_U32_ACT", 7, &["action"]),
        attribute("TCA_U32_INDEV", 8, &["indev"]),
        attribute("TCA_U32_PCNT", 9, &["seen", "hits", "key_hits"]),
        attribute("TCA_U32_MARK", 10, &["mark", "marked"]),
        attribute("TCA_U32_FLAGS", 11, &["skip_hw", "skip_sw", "in_hw"]),
        no_option("TCA_U32_PAD", 12, "padding of the counters"),
    ],
    xstats: no_xstats,
};

/// The first number of a table that the kernel makes for a priority; tables of people's own have lower ones.
pub const ROOTS: u32 = 0x800;
/// The first node of a bucket that the kernel numbers (`gen_new_kid`).
pub const FIRST_NODE: u32 = 0x800;
/// Figures in a row, one for each key of a filter.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Counts(pub Vec<u64>);

impl Unit for Counts {
    const INFO: Info = Info {
        name: "figures",
        spellings: "numbers, parted by commas as `3,7`",
        schema: Schema::Pattern("^[0-9]+(,[0-9]+)*$"),
    };

    fn read(text: &str, reader: &mut Reader) -> Result<Self, Refusal> {
        text.split(',').map(|n| Decimal::read(n, reader).map(|n| n.0)).collect::<Result<_, _>>().map(Counts)
    }

    fn show(&self) -> String {
        self.0.iter().map(u64::to_string).collect::<Vec<_>>().join(",")
    }
}

/// The most keys of a filter that tc can say.
pub const MOST_KEYS: usize = 128;

/// A word of 32 bits that a packet must hold.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Key {
    /// The value, in host order; no bit of it lies outside the mask.
    pub value: u32,
    /// The bits that count, in host order.
    pub mask: u32,
    /// Bytes from the IP header on; a multiple of four, negative for the link's header.
    pub offset: i32,
    /// Count from the next header instead (`nexthdr+`), where an `offset` has found it.
    pub next: bool,
}

/// The keys of a filter: no two at one place, as tc packs them.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Keys(pub Vec<Key>);

impl Keys {
    /// The key that every packet has: `match u32 0 0`.
    pub fn any() -> Keys {
        Keys(vec![Key::default()])
    }

    /// Adds a key, into one that is at its place already, as tc does; false if the two contradict each other.
    #[must_use]
    pub fn add(&mut self, key: Key) -> bool {
        let key = Key { value: key.value & key.mask, ..key };
        match self.0.iter_mut().find(|k| k.offset == key.offset && k.next == key.next) {
            Some(old) => {
                if (old.value ^ key.value) & old.mask & key.mask != 0 {
                    return false;
                }
                old.value |= key.value;
                old.mask |= key.mask;
            }
            None => self.0.push(key),
        }
        true
    }

    /// Adds a value of one to four octets at any place that does not cross a word.
    #[must_use]
    pub fn add_octets(&mut self, width: u32, value: u32, mask: u32, offset: i32, next: bool) -> bool {
        let within = offset.rem_euclid(4) as u32;
        let Some(left) = 4_u32.checked_sub(width.saturating_add(within)) else { return false };
        let shift = |n: u32| n.checked_shl(8 * left).unwrap_or(0);
        self.add(Key { value: shift(value), mask: shift(mask), offset: offset - within as i32, next })
    }

    /// Adds an IPv4 address at `offset` (12 the source, 16 the destination).
    #[must_use]
    pub fn add_ipv4(&mut self, address: Ipv4Addr, prefix: u8, offset: i32) -> bool {
        let mask = u32::MAX.checked_shl(32 - u32::from(prefix.min(32))).unwrap_or(0);
        self.add(Key { value: address.to_bits(), mask, offset, next: false })
    }

    /// Adds an IPv6 address at `offset` (8 the source, 24 the destination), in as many keys as the prefix needs.
    #[must_use]
    pub fn add_ipv6(&mut self, address: Ipv6Addr, prefix: u8, offset: i32) -> bool {
        self.add_ipv6_at(address, prefix, offset, false)
    }

    fn add_ipv6_at(&mut self, address: Ipv6Addr, prefix: u8, offset: i32, next: bool) -> bool {
        let mut words = (0..4_u32).map_while(|i| {
            let bits = u32::from(prefix.min(128)).checked_sub(32 * i).filter(|b| *b > 0)?.min(32);
            let value = (address.to_bits() >> (96 - 32 * i)) as u32;
            let mask = u32::MAX.checked_shl(32 - bits).unwrap_or(0);
            Some(Key { value, mask, offset: offset + 4 * i as i32, next })
        });
        words.all(|key| self.add(key))
    }

    /// The selectors that tc reads as these keys: `ip dst 192.0.2.0/24`, and `u32 …` where no word says it.
    fn selectors(&self) -> Vec<String> {
        if self.0.is_empty() {
            // what tc reads without a key of it
            return vec!["ip6 src ::/0".to_owned()];
        }
        let six = self.0.iter().any(Key::is_ipv6) && !self.0.iter().any(Key::is_ipv4);
        let icmp = self.0.iter().any(|k| {
            let (place, proto) = if six { (4, 0x3a00) } else { (8, 0x0001_0000) };
            k.offset == place && !k.next && k.value == proto
        });
        let mut out = Vec::new();
        let mut rest = self.0.as_slice();
        while let Some((key, tail)) = rest.split_first() {
            let address = if six { ipv6_at(rest) } else { key.ipv4() };
            match address {
                Some((text, used)) => {
                    out.push(text);
                    rest = rest.get(used..).unwrap_or(&[]);
                    continue;
                }
                None => match key.fields(six, icmp) {
                    Some(fields) => out.extend(fields),
                    None => out.push(key.raw()),
                },
            }
            rest = tail;
        }
        out
    }
}

impl Key {
    /// Whether it can only be meant for IPv6: `ip` words do not reach there.
    fn is_ipv6(&self) -> bool {
        let Key { mask, offset, next, .. } = *self;
        !next
            && match offset {
                0 => mask & 0x0ff0_0000 == mask && mask & 0x0f00_0000 != 0 && mask & 0x00f0_0000 != 0,
                4 => mask == 0x0000_ff00,
                8 => mask & 0x00ff_0000 != mask,
                24 | 28 | 32 | 36 | 40 => true,
                _ => false,
            }
    }

    /// Whether it can only be meant for IPv4: what is no later fragment, and a protocol by itself.
    fn is_ipv4(&self) -> bool {
        !self.next && matches!((self.offset, self.mask), (4, 0x1fff | 0x3fff) | (8, 0x00ff_0000))
    }

    fn raw(&self) -> String {
        let next = if self.next { "nexthdr+" } else { "" };
        format!("u32 {:#010x} {:#010x} at {next}{}", self.value, self.mask, self.offset)
    }

    /// `ip src 192.0.2.0/24`.
    fn ipv4(&self) -> Option<(String, usize)> {
        let word = match self.offset {
            12 => "src",
            16 => "dst",
            _ => return None,
        };
        let prefix = self.mask.leading_ones();
        let sound = !self.next && prefix > 0 && prefix + self.mask.trailing_zeros() >= 32;
        sound.then(|| (format!("ip {word} {}/{prefix}", Ipv4Addr::from_bits(self.value)), 1))
    }

    /// The key in parts that tc has words for; `None` if some of its bits have none.
    fn fields(&self, six: bool, icmp: bool) -> Option<Vec<String>> {
        if self.next || self.mask == 0 {
            return None;
        }
        // (word, bits of the key, shift to the right, shown in hexadecimal)
        let parts: &[(&str, u32, u32, bool)] = match (six, self.offset, icmp) {
            (false, 0, _) => &[("ihl", 0x0f00_0000, 24, false), ("tos", 0x00ff_0000, 16, true)],
            (false, 8, _) => &[("protocol", 0x00ff_0000, 16, false)],
            (false, 20, true) => &[("icmp_type", 0xff00_0000, 24, false), ("icmp_code", 0x00ff_0000, 16, false)],
            (false, 20, false) => &[("sport", 0xffff_0000, 16, false), ("dport", 0x0000_ffff, 0, false)],
            (true, 0, _) => &[("priority", 0x0ff0_0000, 20, true)],
            (true, 4, _) => &[("protocol", 0x0000_ff00, 8, false)],
            // of ICMPv6 tc writes the code to a place of its own invention
            (true, 40, true) => &[("icmp_type", 0xff00_0000, 24, false)],
            (true, 40, false) => &[("sport", 0xffff_0000, 16, false), ("dport", 0x0000_ffff, 0, false)],
            (false, 4, _) => return self.fragment().map(|text| vec![text]),
            _ => return None,
        };
        if parts.iter().fold(self.mask, |left, (_, bits, ..)| left & !bits) != 0 {
            return None;
        }
        let family = if six { "ip6" } else { "ip" };
        let said = parts.iter().filter(|(_, bits, ..)| self.mask & bits != 0);
        let text = |(word, bits, shift, hex): &(&str, u32, u32, bool)| {
            let (value, mask) = ((self.value & bits) >> shift, (self.mask & bits) >> shift);
            // a value under a part of a mask is read best in the digits of the mask
            let whole = mask == bits >> shift;
            match *hex || !whole {
                true => format!("{family} {word} {value:#x} {mask:#x}"),
                false => format!("{family} {word} {value} {mask:#x}"),
            }
        };
        Some(said.map(text).collect())
    }

    fn fragment(&self) -> Option<String> {
        let word = match (self.value, self.mask) {
            (0, 0x3fff) => "nofrag",
            (0x2000, 0x3fff) => "firstfrag",
            (0x4000, 0x4000) => "df",
            (0x2000, 0x2000) => "mf",
            _ => return None,
        };
        Some(format!("ip {word}"))
    }
}

/// `ip6 src 2001:db8::/32` from the keys that it is made of.
fn ipv6_at(keys: &[Key]) -> Option<(String, usize)> {
    let (word, start) = match keys.first()?.offset {
        8 => ("src", 8),
        24 => ("dst", 24),
        _ => return None,
    };
    let (mut bits, mut prefix, mut used) = (0_u128, 0, 0);
    for (i, key) in (0..4).zip(keys) {
        let ones = key.mask.leading_ones();
        if key.next || key.offset != start + 4 * i || ones == 0 || ones + key.mask.trailing_zeros() < 32 {
            break;
        }
        bits |= u128::from(key.value) << (96 - 32 * i);
        (prefix, used) = (prefix + ones, used + 1);
        if ones < 32 {
            break;
        }
    }
    (used > 0).then(|| (format!("ip6 {word} {}/{prefix}", Ipv6Addr::from_bits(bits)), used))
}

/// A mask as tc reads it: always in hexadecimal.
fn mask(text: &str) -> Result<u32, Refusal> {
    let digits = text.strip_prefix("0x").or_else(|| text.strip_prefix("0X")).unwrap_or(text);
    u32::from_str_radix(digits, 16).map_err(|_| Refusal::new(format!("`{text}` is not a mask in hexadecimal")))
}

fn signed(text: &str) -> Result<i32, Refusal> {
    let wrong = || Refusal::new(format!("`{text}` is not an offset"));
    let (digits, minus) = text.strip_prefix('-').map_or((text, false), |d| (d, true));
    let n = match (digits.strip_prefix("0x"), digits.len()) {
        (Some(hex), _) => i32::from_str_radix(hex, 16),
        (None, 2..) if digits.starts_with('0') => i32::from_str_radix(digits, 8),
        _ => digits.parse(),
    };
    n.map(|n: i32| if minus { -n } else { n }).map_err(|_| wrong())
}

/// `at N` and `at nexthdr+N`, if they follow.
fn read_at(words: &mut Words, place: &mut (i32, bool)) -> Result<(), Refusal> {
    if !words.take("at") {
        return Ok(());
    }
    let word = words.want("an offset")?;
    *place = match word.strip_prefix("nexthdr+") {
        Some(number) if !number.is_empty() => (signed(number)?, true),
        _ if begins(word, "nexthdr+") => (signed(words.want("an offset")?)?, true),
        _ => (signed(word)?, place.1),
    };
    Ok(())
}

/// What a selector begins with, in tc's order.
const FAMILIES: &[&str] = &["u32", "u16", "u8", "ip", "ip6", "udp", "tcp", "icmp", "mark", "ether"];

/// One selector of tc's: what follows `match`.
fn read_selector(words: &mut Words, reader: &mut Reader, keys: &mut Keys) -> Result<(), Refusal> {
    let said = words.peek().ok_or_else(|| Refusal::new("what to match is missing at the end"))?;
    let family = if reader.tc { words.like(FAMILIES) } else { FAMILIES.iter().copied().find(|f| *f == said) };
    let family = family.ok_or_else(|| {
        Refusal::new(format!("`{said}` cannot be matched")).help(format!("there are {}", FAMILIES.join(", ")))
    })?;
    words.next();
    let word = match family {
        "u32" | "u16" | "u8" => family,
        "ip" => match words.want("a field")? {
            word if word != "dst" && reader.tc && begins(word, "dsfield") => "dsfield",
            word if reader.tc && begins(word, "precedence") => "precedence",
            word => word,
        },
        _ => words.want("a field")?,
    };
    // value and mask of a field of so many octets, and where it is unless `at` says otherwise
    let mut field = |words: &mut Words, width: u32, offset: i32, next: bool| {
        let Number(value) = Number::read(words.want("a value")?, reader)?;
        let mask = mask(words.want("a mask")?)?;
        let mut place = (offset, next);
        read_at(words, &mut place)?;
        let most = u32::MAX >> (32 - 8 * width);
        if value > most || mask > most {
            let message = format!("`{word}` has {} bits", 8 * width);
            return Err(Refusal::coded(&codes::OUT_OF_RANGE, message));
        }
        if width == 4 && place.0 % 4 != 0 {
            return Err(Refusal::new(format!("offset {} is no multiple of four", place.0)));
        }
        // tc puts what does not start a word into its lower half
        let half = if place.0.rem_euclid(4) == 0 { 0 } else { 2 };
        let place = if width == 2 { (place.0 & !3 | half, place.1) } else { place };
        Ok(keys.add_octets(width, value, mask, place.0, place.1))
    };
    let sound = match (family, word) {
        ("u32", _) => field(words, 4, 0, false)?,
        ("u16", _) => field(words, 2, 0, false)?,
        ("u8", _) => field(words, 1, 0, false)?,
        ("ip", "tos" | "dsfield" | "precedence") => field(words, 1, 1, false)?,
        ("ip", "ihl") => field(words, 1, 0, false)?,
        ("ip", "protocol") => field(words, 1, 9, false)?,
        ("ip", "sport") => field(words, 2, 20, false)?,
        ("ip", "dport") => field(words, 2, 22, false)?,
        ("ip", "icmp_type") => field(words, 1, 20, false)?,
        ("ip", "icmp_code") => field(words, 1, 21, false)?,
        ("ip6", "protocol") => field(words, 1, 6, false)?,
        ("ip6", "flowlabel") => field(words, 4, 0, false)?,
        // tc says neither here nor there of its place: in the next header, if an `offset` has found one
        ("ip6", "icmp_code") => field(words, 1, 41, true)?,
        ("ip6", "sport") => field(words, 2, 40, false)?,
        ("ip6", "dport") => field(words, 2, 42, false)?,
        ("ip6", "icmp_type") => field(words, 1, 40, false)?,
        ("tcp" | "udp", "src") => field(words, 2, 0, true)?,
        ("tcp" | "udp", "dst") => field(words, 2, 2, true)?,
        ("icmp", "type") => field(words, 1, 0, true)?,
        ("icmp", "code") => field(words, 1, 1, true)?,
        ("ip", "nofrag") => keys.add_octets(2, 0, 0x3fff, 6, false),
        ("ip", "firstfrag") => keys.add_octets(2, 0x2000, 0x3fff, 6, false),
        ("ip", "df") => keys.add_octets(2, 0x4000, 0x4000, 6, false),
        ("ip", "mf") => keys.add_octets(2, 0x2000, 0x2000, 6, false),
        ("ip6", "priority") => {
            let Number(value) = Number::read(words.want("a value")?, reader)?;
            let mask = mask(words.want("a mask")?)?;
            if value > 0xff || mask > 0xff {
                return Err(Refusal::coded(&codes::OUT_OF_RANGE, "`priority` has 8 bits"));
            }
            keys.add(Key { value: value << 20, mask: mask << 20, offset: 0, next: false })
        }
        ("ip", "src" | "dst") => {
            let text = words.want("an address")?;
            let Some((IpAddr::V4(address), prefix)) = super::read_prefix(text, Some(false)) else {
                return Err(Refusal::new(format!("`{text}` is no IPv4 address")).help("write `192.0.2.0/24`"));
            };
            let mut place = (if word == "src" { 12 } else { 16 }, false);
            read_at(words, &mut place)?;
            let mask = u32::MAX.checked_shl(32 - u32::from(prefix)).unwrap_or(0);
            keys.add(Key { value: address.to_bits(), mask, offset: place.0, next: place.1 })
        }
        ("ip6", "src" | "dst") => {
            let text = words.want("an address")?;
            let Some((IpAddr::V6(address), prefix)) = super::read_prefix(text, Some(true)) else {
                return Err(Refusal::new(format!("`{text}` is no IPv6 address")).help("write `2001:db8::/32`"));
            };
            let mut place = (if word == "src" { 8 } else { 24 }, false);
            read_at(words, &mut place)?;
            keys.add_ipv6_at(address, prefix, place.0, place.1)
        }
        ("ether", "src" | "dst") => {
            let text = words.want("a hardware address")?;
            let octets: Vec<u8> = text.split(':').filter_map(|o| u8::from_str_radix(o, 16).ok()).collect();
            if octets.len() != 6 {
                return Err(Refusal::new(format!("`{text}` is no hardware address")).help("write `02:00:00:00:00:01`"));
            }
            let mut place = (if word == "src" { -8 } else { -14 }, false);
            read_at(words, &mut place)?;
            (0..).zip(octets).fold(true, |sound, (i, octet)| {
                keys.add_octets(1, u32::from(octet), 0xff, place.0 + i, place.1) && sound
            })
        }
        _ => return Err(Refusal::new(format!("`{family} {word}` cannot be matched"))),
    };
    if !sound {
        return Err(Refusal::new("two matches contradict each other"));
    }
    if keys.0.len() > MOST_KEYS {
        return Err(Refusal::new(format!("more than {MOST_KEYS} words to match")));
    }
    Ok(())
}

impl Unit for Keys {
    const INFO: Info = Info {
        name: "a match",
        spellings: "`ip dst 192.0.2.0/24`, `ip dport 22 0xffff`, `u32 0x16 0xffff at 20`; several joined by the word and",
        schema: Schema::Pattern("^.+$"),
    };

    /// Selectors of tc, joined by `and`.
    fn read(text: &str, reader: &mut Reader) -> Result<Self, Refusal> {
        let words: Vec<String> = text.split_whitespace().map(str::to_owned).collect();
        let (words, mut keys) = (&mut Words::new(&words), Keys::default());
        read_selector(words, reader, &mut keys)?;
        while words.take("and") || words.take("match") {
            read_selector(words, reader, &mut keys)?;
        }
        match words.next() {
            Some(word) => Err(Refusal::new(format!("what is `{word}`?"))),
            None => Ok(keys),
        }
    }

    /// One selector; [`U32`] reads the others.
    fn read_words(words: &mut Words, reader: &mut Reader) -> Result<Self, Refusal> {
        let mut keys = Keys::default();
        read_selector(words, reader, &mut keys)?;
        Ok(keys)
    }

    fn show(&self) -> String {
        // a selector without keys is what tc makes of this
        if self.0.is_empty() { "ip6 src any".to_owned() } else { self.selectors().join(" and ") }
    }

    fn tc(&self) -> String {
        self.selectors().join(" match ")
    }
}

/// A place in u32's tables: `800::801`, `2:`, `2:3:`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Node(pub u32);

impl Node {
    /// From its parts: 12, 8 and 12 bits.
    pub const fn new(table: u32, bucket: u32, node: u32) -> Node {
        Node((table & 0xfff) << 20 | (bucket & 0xff) << 12 | node & 0xfff)
    }

    /// As `get_u32_handle` of iproute2's tc/f_u32.c, which takes any one character for the colon behind a number.
    fn as_tc(text: &str) -> Option<Node> {
        let (mut parts, mut rest) = ([0; 3], text.contains(':').then_some(text)?);
        for (part, most) in parts.iter_mut().zip([0xfff, 0xff, 0xfff]) {
            let (number, behind) = match strtoul(rest, 16) {
                None if rest.is_empty() || rest.starts_with(':') => (0, rest),
                found => found?,
            };
            *part = u32::try_from(number).ok().filter(|n| *n <= most)?;
            let mut behind = behind.chars();
            if behind.next().is_none() {
                break;
            }
            rest = behind.as_str();
        }
        let [table, bucket, node] = parts;
        Some(Node::new(table, bucket, node))
    }

    /// The table.
    pub const fn table(self) -> u32 {
        self.0 >> 20
    }

    /// The bucket of the table.
    pub const fn bucket(self) -> u32 {
        self.0 >> 12 & 0xff
    }

    /// The node; 0 is the table itself.
    pub const fn node(self) -> u32 {
        self.0 & 0xfff
    }
}

impl Unit for Node {
    const INFO: Info = Info {
        name: "a place in u32's tables",
        spellings: "`2:`, `2:3:` or `800::801`, in hexadecimal",
        schema: Schema::Pattern("^[0-9a-fA-F]{0,3}:([0-9a-fA-F]{0,2}(:[0-9a-fA-F]{0,3})?)?$"),
    };

    fn read(text: &str, reader: &mut Reader) -> Result<Self, Refusal> {
        let wrong = || Refusal::new(format!("`{text}` is not {}", Self::INFO.name));
        if let Some(hex) = text.strip_prefix("0x").filter(|_| !text.contains(':')) {
            return u32::from_str_radix(hex, 16).map(Node).map_err(|_| wrong());
        }
        if reader.tc {
            return Node::as_tc(text).ok_or_else(wrong).map_err(|r| r.help(format!("write {}", Self::INFO.spellings)));
        }
        let part = |text: &str, most: u32| match text {
            "" => Ok(0),
            hex => u32::from_str_radix(hex, 16).ok().filter(|n| *n <= most).ok_or_else(wrong),
        };
        let (table, rest) = text.split_once(':').ok_or_else(wrong)?;
        let (bucket, node) = rest.split_once(':').unwrap_or((rest, ""));
        Ok(Node::new(part(table, 0xfff)?, part(bucket, 0xff)?, part(node, 0xfff)?))
            .map_err(|r: Refusal| r.help(format!("write {}", Self::INFO.spellings)))
    }

    fn show(&self) -> String {
        let part = |n: u32| if n == 0 { String::new() } else { format!("{n:x}") };
        match (self.bucket(), self.node()) {
            (0, 0) => format!("{:x}:", self.table()),
            (bucket, node) => format!("{}:{}:{}", part(self.table()), part(bucket), part(node)),
        }
    }

    fn number(&self) -> Option<u64> {
        Some(u64::from(self.0))
    }

    fn from_number(number: u64) -> Option<Self> {
        u32::try_from(number).ok().map(Node)
    }
}

/// The bits that choose a bucket: `mask 0xff at 16`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct HashKey {
    /// The bits, in host order.
    pub mask: u32,
    /// Where they are, in bytes from the IP header.
    pub at: i16,
}

impl Unit for HashKey {
    const INFO: Info = Info {
        name: "a hash key",
        spellings: "`mask 0x000000ff at 16`",
        schema: Schema::Pattern("^mask .+ at -?[0-9]+$"),
    };

    fn read(text: &str, reader: &mut Reader) -> Result<Self, Refusal> {
        let words: Vec<String> = text.split_whitespace().map(str::to_owned).collect();
        Self::read_words(&mut Words::new(&words), reader)
    }

    fn read_words(words: &mut Words, reader: &mut Reader) -> Result<Self, Refusal> {
        let mut key = HashKey::default();
        loop {
            let word = words.like(if reader.tc { &["mask", "at"] } else { &["=mask", "=at"] });
            if word.is_some() {
                words.next();
            }
            if word == Some("mask") {
                key.mask = mask(words.want("a mask")?)?;
            } else if word == Some("at") {
                let word = words.want("an offset")?;
                let at = i16::try_from(signed(word)?).ok().filter(|at| at % 4 == 0);
                key.at = at.ok_or_else(|| Refusal::new(format!("`{word}` is no multiple of four that fits")))?;
            } else if key.mask == 0 {
                return Err(Refusal::new("a hash key without a mask").help("write `mask 0x000000ff at 16`"));
            } else {
                return Ok(key);
            }
        }
    }

    fn show(&self) -> String {
        format!("mask {:#010x} at {}", self.mask, self.at)
    }
}

/// Where the next header begins: `at 0 mask 0xf00 shift 6`, `plus 20`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Offset {
    /// A fixed length.
    pub plus: Option<u16>,
    /// A length that the packet says.
    pub field: Option<LengthField>,
    /// Whether all offsets in the tables below count from there.
    pub eat: bool,
}

/// Sixteen bits of a packet that tell a length.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct LengthField {
    /// Where they are; even.
    pub at: i16,
    /// Which of them count, in host order.
    pub mask: u16,
    /// How far they are shifted to the right to be bytes.
    pub shift: u8,
}

impl Unit for Offset {
    const INFO: Info = Info {
        name: "an offset",
        spellings: "`at 0 mask 0x0f00 shift 6`, `plus 20`, and `eat`",
        schema: Schema::Pattern("^.+$"),
    };

    fn read(text: &str, reader: &mut Reader) -> Result<Self, Refusal> {
        let words: Vec<String> = text.split_whitespace().map(str::to_owned).collect();
        Self::read_words(&mut Words::new(&words), reader)
    }

    fn read_words(words: &mut Words, reader: &mut Reader) -> Result<Self, Refusal> {
        let mut offset = Offset::default();
        loop {
            let short: &[&str] = &["plus", "at", "mask", "shift", "eat"];
            let whole: &[&str] = &["=plus", "=at", "=mask", "=shift", "=eat"];
            let word = words.like(if reader.tc { short } else { whole });
            let mut number = |low: i32, high: i32| {
                words.next();
                let word = words.want("a number")?;
                let n = signed(word).ok().filter(|n| (low..=high).contains(n));
                n.ok_or_else(|| Refusal::new(format!("`{word}` is not between {low} and {high}")))
            };
            match word {
                Some("plus") => offset.plus = Some(number(0, 0xffff)? as u16),
                Some("at") => offset.field.get_or_insert_default().at = number(-0x8000, 0x7fff)? as i16,
                Some("shift") => offset.field.get_or_insert_default().shift = number(0, 15)? as u8,
                Some("mask") => {
                    words.next();
                    let word = words.want("a mask")?;
                    let bits = u16::try_from(mask(word)?);
                    offset.field.get_or_insert_default().mask =
                        bits.map_err(|_| Refusal::new(format!("`{word}` is beyond 16 bits")))?;
                }
                Some("eat") => {
                    words.next();
                    offset.eat = true;
                }
                _ => break,
            }
        }
        match offset.field {
            Some(field) if field.at % 2 != 0 => Err(Refusal::new("the place of an offset must be even")),
            _ if offset == Offset::default() => Err(Refusal::new("an offset of nothing").help("write `plus 20`")),
            _ => Ok(offset),
        }
    }

    fn show(&self) -> String {
        let mut text = String::new();
        if let Some(LengthField { at, mask, shift }) = self.field {
            let _ = write!(text, "at {at} mask {mask:#06x} shift {shift} ");
        }
        if let Some(plus) = self.plus {
            let _ = write!(text, "plus {plus} ");
        }
        if self.eat {
            text.push_str("eat ");
        }
        text.trim_end().to_owned()
    }
}

const CLASSID: u16 = 1;
const HASH: u16 = 2;
const LINK: u16 = 3;
const DIVISOR: u16 = 4;
const SEL: u16 = 5;
const INDEV: u16 = 8;
const PCNT: u16 = 9;
const MARK: u16 = 10;
const FLAGS: u16 = 11;
const DOING: Doing = Doing { police: 6, action: 7 };

/// tc's words, in the order in which it tries their beginnings.
const WORDS: &[&str] = &[
    "match", "offset", "hashkey", "classid", "=flowid", "divisor", "order", "=link", "=ht", "=sample", "=indev",
    "action", "police", "=skip_hw", "=skip_sw",
];

// the selector's flags
const TERMINAL: u8 = 1;
const OFFSET: u8 = 2;
const VAROFFSET: u8 = 4;
const EAT: u8 = 8;

impl U32 {
    /// Whether it is a table, which the kernel lists among the filters, and no filter.
    pub fn is_table(&self) -> bool {
        self.divisor.is_some()
    }

    /// `struct tc_u32_sel` and its keys. The kernel goes on to the class or the actions only where `TERMINAL` says so.
    fn selector(&self) -> Vec<u8> {
        let offset = self.offset.unwrap_or_default();
        let field = offset.field.unwrap_or_default();
        let hash = self.hashkey.unwrap_or_default();
        let keys = self.keys.as_ref().map_or(&[][..], |k| &k.0);
        let bit = |set: bool, bit: u8| if set { bit } else { 0 };
        let ends = self.flowid.is_some() || self.action.is_some();
        let flags = bit(ends, TERMINAL)
            | bit(offset.plus.is_some(), OFFSET)
            | bit(offset.field.is_some(), VAROFFSET)
            | bit(offset.eat, EAT);
        let sel = Fields::new()
            .u8(flags)
            .u8(field.shift)
            .u8(u8::try_from(keys.len()).unwrap_or(u8::MAX))
            .u8(0)
            .raw(&field.mask.to_be_bytes())
            .u16(offset.plus.unwrap_or(0))
            .u16(field.at as u16)
            .u16(hash.at as u16)
            .raw(&hash.mask.to_be_bytes());
        let key = |sel: Fields, key: &Key| {
            sel.raw(&key.mask.to_be_bytes()).raw(&key.value.to_be_bytes()).u32(key.offset as u32).u32(if key.next {
                u32::MAX
            } else {
                0
            })
        };
        keys.iter().take(usize::from(u8::MAX)).fold(sel, key).0
    }

    fn read_selector(&mut self, payload: Payload) -> Result<u8, Malformed> {
        let mut c = payload.fields();
        let (flags, shift, count, _pad) = (c.u8()?, c.u8()?, c.u8()?, c.u8()?);
        let (mask, plus, at) = (u16::from_be_bytes(c.array()?), c.u16()?, c.u16()? as i16);
        let (hash_at, hash_mask) = (c.u16()? as i16, u32::from_be_bytes(c.array()?));
        let mut keys = Vec::with_capacity(usize::from(count));
        for _ in 0..count {
            let (mask, value) = (u32::from_be_bytes(c.array()?), u32::from_be_bytes(c.array()?));
            let (offset, next) = (c.u32()? as i32, c.u32()? != 0);
            keys.push(Key { value, mask, offset, next });
        }
        let set = |bit: u8| flags & bit != 0;
        let offset = Offset {
            plus: set(OFFSET).then_some(plus),
            field: set(VAROFFSET).then_some(LengthField { at, mask, shift }),
            eat: set(EAT),
        };
        self.keys = Some(Keys(keys));
        self.offset = (offset != Offset::default()).then_some(offset);
        self.hashkey = (hash_mask != 0).then_some(HashKey { mask: hash_mask, at: hash_at });
        Ok(flags)
    }
}

impl Options for U32 {
    fn gather<'a>(&self, priorities: Vec<Vec<Filter<'a>>>) -> Vec<Box<dyn Asked + 'a>> {
        ask::gather(priorities)
    }

    fn encode(&self, out: &mut Attributes, facts: &Facts) {
        let U32 {
            keys,
            mark,
            flowid,
            divisor,
            link,
            ht,
            hashkey: _,
            offset: _,
            indev,
            skip_hw,
            skip_sw,
            order: _,
            action,
            sampled: _,
            seen: _,
            hits: _,
            marked: _,
            key_hits: _,
            in_hw: _,
        } = self;
        if let Some(Mark { value, mask }) = mark {
            // struct tc_u32_mark: val, mask, success
            out.raw(MARK, &Fields::new().u32(*value).u32(*mask).u32(0).0);
        }
        if let Some(flowid) = flowid {
            out.u32(CLASSID, flowid.0);
        }
        if let Some(Number(n)) = divisor {
            out.u32(DIVISOR, *n);
        }
        if let Some(Node(link)) = link {
            out.u32(LINK, *link);
        }
        if let Some(indev) = indev {
            out.text(INDEV, &indev.0);
        }
        DOING.encode(action.as_ref(), out, facts);
        if let Some(ht) = ht.map(|ht| ht.0 & 0xffff_f000).filter(|ht| *ht != 0) {
            out.u32(HASH, ht);
        }
        // without a match tc sends no selector, whatever else there is of one
        if keys.is_some() || mark.is_some() {
            out.raw(SEL, &self.selector());
        }
        super::encode_flags(FLAGS, *skip_hw, *skip_sw, out);
    }

    fn decode(&mut self, payload: Payload, facts: &Facts) -> Result<(), Malformed> {
        let attributes = payload.attributes()?;
        *self = U32::default();
        let flags = attributes.get(SEL).map(|sel| self.read_selector(sel)).transpose()?.unwrap_or(0);
        if let Some(mark) = attributes.get(MARK) {
            let mut c = mark.fields();
            let mark = Mark { value: c.u32()?, mask: c.u32()? };
            if mark.mask != 0 {
                self.mark = Some(mark);
                self.marked = Some(Number(c.u32()?));
                // a selector that was sent for the mark alone
                self.keys = self.keys.take().filter(|keys| !keys.0.is_empty());
            }
        }
        if let Some(counts) = attributes.get(PCNT) {
            let mut c = counts.fields();
            (self.seen, self.hits) = (Some(Decimal(c.u64()?)), Some(Decimal(c.u64()?)));
            let keys = c.rest().chunks_exact(8).map(|n| Payload(n).fields().u64()).collect::<Result<Vec<_>, _>>()?;
            self.key_hits = (!keys.is_empty()).then_some(Counts(keys));
        }
        self.action = DOING.decode(&attributes, facts)?;
        self.flowid = attributes.u32(CLASSID)?.map(Handle);
        if flags & TERMINAL != 0 && self.action.is_none() {
            // class 0 is in no dump; that the filter ends the search is
            self.flowid.get_or_insert_default();
        }
        self.divisor = attributes.u32(DIVISOR)?.map(Number);
        self.link = attributes.u32(LINK)?.map(Node);
        self.ht = attributes.u32(HASH)?.map(Node);
        self.indev = attributes.get(INDEV).map(|p| Name(p.text().into()));
        [self.skip_hw, self.skip_sw, self.in_hw] = super::decode_flags(attributes.u32(FLAGS)?);
        Ok(())
    }

    fn assume(&mut self, facts: &Facts) {
        super::assume(self, facts);
    }

    fn complete(&mut self, facts: &Facts) {
        super::complete(self, facts);
    }

    /// The table is the handle's to tell, where none is asked.
    fn same(&self, other: &dyn Options, row: usize, facts: &Facts) -> bool {
        let Some(held) = other.as_kind::<Self>() else { return false };
        match U32::ROWS.get(row).map(|r| r.word) {
            // the root table of a priority has the number that the kernel gave it
            Some("ht") if self.ht.is_none_or(|ht| ht.0 & !0xfff == 0 || ht.table() >= ROOTS) => true,
            Some("ht") => self.ht.map(|n| n.0 & !0xfff) == held.ht.map(|n| n.0 & !0xfff),
            Some("match") => {
                let some = |keys: &Option<Keys>| keys.clone().filter(|k| !k.0.is_empty());
                some(&self.keys) == some(&held.keys)
            }
            _ => super::same(self, other, row, facts),
        }
    }

    fn tc(&self, out: &mut Vec<String>) {
        for (i, row) in U32::ROWS.iter().enumerate().filter(|(_, r)| !r.hidden) {
            match (row.word, self.slot_of(i)) {
                ("mark", _) => {
                    if let Some(Mark { value, mask }) = self.mark {
                        out.extend(["match", "mark"].map(str::to_owned));
                        out.extend([format!("{value:#x}"), format!("{mask:#x}")]);
                    }
                }
                (_, Some(slot)) => row_words(row, slot, out),
                _ => {}
            }
        }
    }

    fn figures(&self, _payload: Payload) -> Vec<(&'static str, u64)> {
        super::figures(self)
    }

    fn show_handle(&self, handle: u32) -> String {
        Node(handle).show()
    }

    fn read_tc(&mut self, words: &mut Words, reader: &mut Reader) -> Result<bool, Refusal> {
        let Some(word) = words.like(WORDS) else { return Ok(false) };
        if super::read_doing(word, &mut self.action, words, reader)? {
            return Ok(true);
        }
        let marks = words.peek_second().is_some_and(|second| begins(second, "mark"));
        match word {
            "match" if marks => {
                words.next();
                words.next();
                let [value, mask] = [Number::read_words(words, reader)?.0, Number::read_words(words, reader)?.0];
                if value & !mask != 0 {
                    return Err(Refusal::coded(&codes::MATCH_VALUE, "no mark has bits outside of its mask")
                        .help(format!("write `match mark {value:#x} {:#x}`", value | mask)));
                }
                self.mark = Some(Mark { value, mask });
            }
            "match" => {
                words.next();
                read_selector(words, reader, self.keys.get_or_insert_default())?;
            }
            "sample" => {
                words.next();
                self.read_sample(words, reader)?;
            }
            "ht" => {
                words.next();
                // after a `sample`, which has told the bucket, only the table counts
                let ht = Node::read_words(words, reader)?;
                self.ht = Some(Node::new(ht.table(), self.sampled.map_or(ht.bucket(), |n| n.0), 0));
            }
            _ => return read_named(self, word, words, reader),
        }
        Ok(true)
    }

    fn read_handle(&mut self, text: &str) -> Result<u32, Refusal> {
        let help = format!("write {}", Node::INFO.spellings);
        Node::read(text, &mut Reader::tc()).map(|node| node.0).map_err(|refusal| refusal.help(help))
    }

    /// `order` is the node's number, which the handle may say too.
    fn settle_tc(&mut self, place: &mut Place) -> Result<(), Refusal> {
        let node = Node(place.handle).node();
        match self.order {
            Some(Number(order)) if node != 0 && order != 0 && order != node => {
                Err(Refusal::new(format!("`order {order}` contradicts the node {node:x} of the handle"))
                    .help("leave `order` out: the handle says it"))
            }
            Some(Number(order)) => {
                place.handle |= order;
                Ok(())
            }
            None => Ok(()),
        }
    }

    fn check(&self, facts: &Facts, out: &mut Vec<Finding>) {
        super::check(self, facts, out);
        for (word, table) in [("ht", self.ht), ("link", self.link)] {
            if let Some(table) = table.filter(|t| t.node() != 0) {
                let f = Finding::new(&codes::BAD_VALUE, word, format!("`{}` is no table but a node", table.show()));
                out.push(f.help(format!("write `{}`", Node::new(table.table(), table.bucket(), 0).show())));
            }
        }
        if self.mark.is_some_and(|m| m.mask == 0 || m.value & !m.mask != 0) {
            out.push(Finding::new(&codes::MATCH_VALUE, "mark", "no mark has bits outside of its mask"));
        }
        let selects = [("hashkey", self.hashkey.is_some()), ("offset", self.offset.is_some())];
        if let Some((word, _)) = selects.into_iter().find(|(_, set)| *set && self.keys.is_none() && self.mark.is_none())
        {
            let f = Finding::new(&codes::MISSING_OPTION, word, format!("`{word}` goes with a `match`"));
            out.push(f.and("match", "none is written").help("write `match: u32 0 0`, which every packet has"));
        }
        if let (Some(_), Some(word)) = (self.divisor, self.beside_divisor()) {
            let f = Finding::new(&codes::NO_EFFECT, word, format!("`{word}` means nothing to a table"));
            out.push(f.and("divisor", "this makes a table and no filter"));
        }
        if let Some(Number(n)) = self.divisor.filter(|n| !n.0.is_power_of_two() || n.0 > 256) {
            let message = format!("divisor {n} is no power of two up to 256");
            out.push(Finding::new(&codes::DIVISOR, "divisor", message).help("write `divisor: 256`"));
        }
    }
}

impl U32 {
    /// What makes no sense on a table.
    fn beside_divisor(&self) -> Option<&'static str> {
        let set = [
            ("match", self.keys.is_some()),
            ("mark", self.mark.is_some()),
            ("hashkey", self.hashkey.is_some()),
            ("offset", self.offset.is_some()),
        ];
        set.into_iter().find(|(_, set)| *set).map(|(word, _)| word)
    }

    fn slot_of(&self, row: usize) -> Option<&dyn crate::unit::Slot> {
        crate::kind::Rows::slot(self, row)
    }

    /// `sample SELECTOR [divisor N]`: tc computes the bucket that a packet of these bits is found in.
    fn read_sample(&mut self, words: &mut Words, reader: &mut Reader) -> Result<(), Refusal> {
        let mut sample = Keys::default();
        read_selector(words, reader, &mut sample)?;
        let buckets = if words.take("divisor") { Number::read_words(words, reader)?.0 } else { 256 };
        let [key] = sample.0.as_slice() else {
            return Err(Refusal::new("a sample of more than one word of 32 bits"));
        };
        if !buckets.is_power_of_two() || buckets > 256 {
            return Err(Refusal::new(format!("`{buckets}` is no power of two up to 256")));
        }
        let hash = key.value.checked_shr(key.mask.trailing_zeros()).unwrap_or(0);
        let table = self.ht.map_or(0, Node::table);
        self.sampled = Some(Number(hash % buckets));
        self.ht = Some(Node::new(table, hash % buckets, 0));
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    fn read(text: &str) -> U32 {
        let words: Vec<String> = text.split_whitespace().map(str::to_owned).collect();
        let mut u32 = U32::default();
        crate::kind::read_tc(&mut u32, &mut Words::new(&words), &mut Reader::tc()).unwrap();
        u32
    }

    fn tc(u32: &U32) -> String {
        let mut out = Vec::new();
        u32.tc(&mut out);
        out.join(" ")
    }

    #[test]
    fn keys_are_shown_in_tcs_words() {
        for words in [
            "match ip src 192.0.2.0/24 match ip dst 198.51.100.7/32",
            "match ip protocol 6 0xff match ip dport 22 0xffff",
            "match ip sport 0x6000 0xe000 match ip dport 80 0xffff",
            "match ip tos 0x10 0xff match ip protocol 17 0xff",
            "match ip ihl 5 0xf match ip tos 0xb8 0xfc",
            "match ip ihl 5 0xf match ip protocol 6 0xff match u32 0x00020000 0x00170000 at 32",
            "match ip protocol 1 0xff match ip icmp_type 8 0xff match ip icmp_code 0 0xff",
            "match ip nofrag",
            "match ip df",
            "match ip6 src 2001:db8::/32 match ip6 dst 2001:db8:1:2::/64",
            "match ip6 protocol 6 0xff match ip6 dport 443 0xffff",
            "match ip6 priority 0xb8 0xfc match ip6 protocol 17 0xff",
            "match u32 0x00000000 0x00000000 at 0",
            "match u32 0x00000016 0x0000ffff at nexthdr+0",
            "match u32 0x12340000 0xffff0000 at -16",
        ] {
            let u32 = read(words);
            assert_eq!(tc(&u32), words);
            let keys = u32.keys.unwrap();
            assert_eq!(Keys::read(&keys.show(), &mut Reader::default()).unwrap(), keys);
        }
    }

    #[test]
    fn keys_at_one_place_are_one_and_must_agree() {
        let keys = read("match ip sport 53 0xffff match ip dport 80 0xffff").keys.unwrap();
        let both = Key { value: 53 << 16 | 80, mask: u32::MAX, offset: 20, next: false };
        assert_eq!(keys.0, [both]);
        let mut keys = keys;
        assert!(keys.add_octets(2, 80, 0xffff, 22, false));
        assert!(!keys.add_octets(2, 443, 0xffff, 22, false));
        assert!(!keys.add_octets(4, 1, 1, 22, false), "a word does not begin there");
        assert_eq!(keys.0.len(), 1);
        let mut keys = Keys::default();
        assert!(keys.add_ipv4(Ipv4Addr::new(10, 1, 2, 3), 8, 16));
        assert!(keys.add_ipv6("2001:db8:1:2::1".parse().unwrap(), 52, 24));
        assert!(keys.add_ipv6("::".parse().unwrap(), 0, 8));
        let masks: Vec<_> = keys.0.iter().map(|k| (k.offset, k.value, k.mask)).collect();
        let six = [(24, 0x2001_0db8, u32::MAX), (28, 0x0001_0000, 0xffff_f000)];
        assert_eq!(masks, [(16, 0x0a00_0000, 0xff00_0000), six[0], six[1]]);
    }

    #[test]
    fn places_in_tables_are_tcs() {
        for (text, node) in [
            ("800::801", Node::new(0x800, 0, 0x801)),
            ("2:", Node::new(2, 0, 0)),
            ("1:6:", Node::new(1, 6, 0)),
            ("1:6:800", Node::new(1, 6, 0x800)),
            ("::1", Node::new(0, 0, 1)),
        ] {
            assert_eq!(Node::read(text, &mut Reader::tc()).unwrap(), node);
            assert_eq!(node.show(), text);
        }
        assert_eq!(Node::read("1:6", &mut Reader::tc()).unwrap(), Node::new(1, 6, 0));
        assert_eq!(Node::read("0x80000801", &mut Reader::tc()).unwrap(), Node::new(0x800, 0, 0x801));
        for text in ["5", "1000:", "1:100:", "x:", ""] {
            assert!(Node::read(text, &mut Reader::tc()).is_err(), "{text}");
        }
    }

    #[test]
    fn a_sample_is_the_bucket_it_falls_into() {
        let bucket = |words: &str| read(words).ht.unwrap();
        assert_eq!(bucket("ht 1: sample ip src 10.0.0.6"), Node::new(1, 6, 0));
        assert_eq!(bucket("sample u32 0x00000600 0x0000ff00 at 12 ht 1:"), Node::new(1, 6, 0));
        assert_eq!(bucket("ht 1: sample ip src 10.0.0.6 divisor 4"), Node::new(1, 2, 0));
        assert_eq!(tc(&read("ht 1: sample ip src 10.0.0.6")), "ht 1:6:");
    }

    #[test]
    fn a_mark_is_matched_beside_the_keys_and_its_own_word_is_no_option() {
        let words = "match ip protocol 6 0xff match mark 0x10 0xf0 flowid 1:10";
        let u32 = read(words);
        assert_eq!(u32.mark, Some(Mark { value: 0x10, mask: 0xf0 }));
        assert_eq!(tc(&u32), words);
        let words = ["mark".to_owned(), "5".to_owned()];
        assert!(!U32::default().read_tc(&mut Words::new(&words), &mut Reader::tc()).unwrap());
    }

    #[test]
    fn the_old_policer_is_an_action() {
        let u32 = read("match ip src 0.0.0.0/0 police rate 20mbit burst 625000b drop flowid :1");
        let old = "match u32 0x00000000 0x00000000 at 12 flowid 0:1 action police rate 20mbit burst 625000b conform-exceed drop";
        assert_eq!(tc(&u32), old);
    }

    #[test]
    fn a_filter_that_ends_the_search_says_so() {
        let facts = Facts::default();
        let flags = |words: &str| read(words).selector().first().copied().unwrap();
        assert_eq!(flags("match ip df"), 0);
        assert_eq!(flags("match ip df flowid 1:1"), TERMINAL);
        assert_eq!(flags("match ip df action drop"), TERMINAL);
        assert_eq!(flags("match ip df offset at 0 mask 0x0f00 shift 6 plus 4 eat link 2:"), OFFSET | VAROFFSET | EAT);
        // the kernel tells no class 0
        let mut asked = read("match ip df flowid 0:0");
        let mut out = Attributes::new();
        asked.encode(&mut out, &facts);
        let list = Payload(&out.bytes).attributes().unwrap().list;
        let mut dump = Attributes::new();
        list.into_iter().filter(|(n, _)| *n != CLASSID).for_each(|(n, p)| dump.raw(n, p.0));
        let mut held = U32::default();
        held.decode(Payload(&dump.bytes), &facts).unwrap();
        asked.assume(&facts);
        held.assume(&facts);
        assert!((0..U32::ROWS.len()).all(|row| asked.same(&held, row, &facts)));
    }
}
