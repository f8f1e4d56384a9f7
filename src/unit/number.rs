//! Plain numbers, flags, names and lists of numbers.

use super::list::MOST;
use super::{Bytes, Info, Reader, Refusal, Schema, Unit, Words, strtod, strtoul};
use crate::diagnostic::codes;
use crate::source::misleads;
use crate::syntax::document::{Node, Value};
use compact_str::CompactString;

/// A number as tc's `get_u32` reads one: decimal, `0x` hexadecimal or `0` octal, if the option is not one that it reads in
/// decimal only; in a policy a leading zero is refused.
pub(crate) fn integer(text: &str, reader: &Reader, what: &str) -> Result<u64, Refusal> {
    if reader.tc && reader.decimal {
        return decimal(text, reader, what);
    }
    let wrong = || Refusal::new(format!("`{text}` is not {what}"));
    let too_big = || Refusal::coded(&codes::OUT_OF_RANGE, format!("`{text}` is more than any option can hold"));
    if let Some(number) = as_tc(text, 0, reader) {
        return Ok(number);
    }
    if text.strip_prefix('-').is_some_and(|digits| !digits.is_empty() && digits.bytes().all(|b| b.is_ascii_digit())) {
        return Err(Refusal::coded(&codes::OUT_OF_RANGE, format!("`{text}` is out of range: at least 0")));
    }
    if let Some(hex) = text.strip_prefix("0x").or_else(|| text.strip_prefix("0X")) {
        if hex.is_empty() || !hex.bytes().all(|b| b.is_ascii_hexdigit()) {
            return Err(wrong());
        }
        return u64::from_str_radix(hex, 16).map_err(|_| too_big());
    }
    if text.is_empty() || !text.bytes().all(|b| b.is_ascii_digit()) {
        return Err(wrong());
    }
    if text.len() > 1 && text.starts_with('0') {
        if reader.tc {
            return u64::from_str_radix(text, 8).map_err(|_| wrong());
        }
        let plain = text.trim_start_matches('0');
        return Err(Refusal::new(format!("`{text}` with its leading zero is octal to tc and decimal to people"))
            .help(format!("write `{}`", if plain.is_empty() { "0" } else { plain })));
    }
    text.parse().map_err(|_| too_big())
}

/// What `strtoul` makes of the whole word, in tc's own text: `+5`, `010`. What overflows is left to the others to refuse.
fn as_tc(text: &str, base: u32, reader: &Reader) -> Option<u64> {
    let (number, rest) = strtoul(text, base).filter(|_| reader.tc)?;
    (rest.is_empty() && number != u64::MAX && !text.trim_start().starts_with('-')).then_some(number)
}

/// A number that tc reads in decimal only; in a policy as [`integer`].
pub(crate) fn decimal(text: &str, reader: &Reader, what: &str) -> Result<u64, Refusal> {
    if !reader.tc {
        return integer(text, reader, what);
    }
    if let Some(number) = as_tc(text, 10, reader) {
        return Ok(number);
    }
    let digits = !text.is_empty() && text.bytes().all(|b| b.is_ascii_digit());
    let wrong = Refusal::new(format!("`{text}` is not {what} in decimal"));
    text.parse().ok().filter(|_| digits).ok_or(wrong)
}

/// A number as tc reads ids: hexadecimal, with or without its `0x`; in a policy as [`integer`].
fn hexadecimal(text: &str, reader: &Reader, what: &str) -> Result<u64, Refusal> {
    if !reader.tc || text.starts_with("0x") || text.starts_with("0X") {
        return integer(text, reader, what);
    }
    as_tc(text, 16, reader).map_or_else(|| integer(&format!("0x{text}"), reader, what), Ok)
}

macro_rules! plain {
    ($(#[doc = $doc:literal])* $name:ident($($size:tt)*) $reads:ident $what:literal $spell:literal $pattern:literal $show:literal) => {
        $(#[doc = $doc])*
        #[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub struct $name(pub $($size)*);
        impl Unit for $name {
            const INFO: Info = Info { name: $what, spellings: $spell, schema: Schema::Pattern($pattern) };
            fn read(text: &str, reader: &mut Reader) -> Result<Self, Refusal> {
                let spell = if reader.tc && reader.decimal { "a number in decimal as `5`" } else { $spell };
                let n = $reads(text, reader, $what).map_err(|r| r.help(format!("write {spell}")))?;
                <$($size)*>::try_from(n).map($name).map_err(|_| {
                    Refusal::coded(&codes::OUT_OF_RANGE, format!("`{text}` does not fit: at most {}", <$($size)*>::MAX))
                })
            }
            fn show(&self) -> String {
                format!($show, self.0)
            }
            fn number(&self) -> Option<u64> {
                Some(u64::from(self.0))
            }
            fn from_number(number: u64) -> Option<Self> {
                <$($size)*>::try_from(number).ok().map($name)
            }
        }
    };
}

plain!(
    /// A plain number of up to 32 bits.
    Number(u32) integer "a number" "a number as `5` or `0x5`" "^([0-9]+|0x[0-9a-fA-F]+)$" "{}"
);
plain!(
    /// A number of up to 32 bits that tc reads in decimal only.
    Count(u32) decimal "a number" "a number as `5`" "^([0-9]+|0x[0-9a-fA-F]+)$" "{}"
);
plain!(
    /// A number of up to 64 bits.
    Decimal(u64) integer "a number" "a number as `5`" "^([0-9]+|0x[0-9a-fA-F]+)$" "{}"
);
plain!(
    /// A plain number of up to 16 bits.
    Number16(u16) integer "a number" "a number as `5` or `0x5`" "^([0-9]+|0x[0-9a-fA-F]+)$" "{}"
);
plain!(
    /// A plain number of up to 8 bits.
    Number8(u8) integer "a number" "a number as `5` or `0x5`" "^([0-9]+|0x[0-9a-fA-F]+)$" "{}"
);
plain!(
    /// A number of up to 16 bits that tc reads in decimal only.
    Count16(u16) decimal "a number" "a number as `5`" "^[0-9]+$" "{}"
);
plain!(
    /// A number of up to 16 bits that is shown in hexadecimal.
    Hex16(u16) integer "a number" "a number as `0x10`" "^([0-9]+|0x[0-9a-fA-F]+)$" "{:#x}"
);
plain!(
    /// A number that is hexadecimal to tc.
    Hex(u32) hexadecimal "a number" "a number as `0x10`" "^([0-9]+|0x[0-9a-fA-F]+)$" "{:#x}"
);
plain!(
    /// The lower half of a class's handle.
    Minor(u16) hexadecimal "the number of a class" "a number as `0x10`" "^([0-9]+|0x[0-9a-fA-F]+)$" "{:#x}"
);
plain!(
    /// A number of up to 64 bits that is shown in hexadecimal.
    Hex64(u64) integer "a number" "a number as `0x10`" "^([0-9]+|0x[0-9a-fA-F]+)$" "{:#x}"
);

/// A count of packets; `100` or `100p`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Packets(pub u32);

impl Unit for Packets {
    const INFO: Info = Info {
        name: "a number of packets",
        spellings: "a number of packets as `100`",
        schema: Schema::Pattern("^[0-9]+p?$"),
    };

    fn read(text: &str, reader: &mut Reader) -> Result<Self, Refusal> {
        let number = text.strip_suffix('p').filter(|_| !reader.tc).unwrap_or(text);
        let n = integer(number, reader, Self::INFO.name).map_err(|r| {
            let size = number.ends_with(['b', 'k', 'm', 'B', 'K', 'M']);
            let code = if size { &codes::WRONG_UNIT } else { r.code };
            Refusal { code, ..r }.help(format!("write {}", Self::INFO.spellings))
        })?;
        u32::try_from(n)
            .map(Packets)
            .map_err(|_| Refusal::coded(&codes::OUT_OF_RANGE, format!("`{text}` does not fit: at most {}", u32::MAX)))
    }

    fn show(&self) -> String {
        self.0.to_string()
    }

    fn number(&self) -> Option<u64> {
        Some(u64::from(self.0))
    }

    fn from_number(number: u64) -> Option<Self> {
        u32::try_from(number).ok().map(Packets)
    }
}

/// A limit in packets that tc reads as it reads sizes: `10k` is 10240 there.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Limit(pub u32);

impl Unit for Limit {
    const INFO: Info = Packets::INFO;

    fn read(text: &str, reader: &mut Reader) -> Result<Self, Refusal> {
        if !reader.tc {
            return Packets::read(text, reader).map(|packets| Limit(packets.0));
        }
        let beyond = || Refusal::coded(&codes::OUT_OF_RANGE, format!("`{text}` does not fit: at most {}", u32::MAX));
        // a cell after a stroke belongs to sizes of buckets
        if text.contains('/') {
            return Err(Refusal::new(format!("`{text}` is not a number of packets")));
        }
        u32::try_from(Bytes::read(text, reader)?.0).map(Limit).map_err(|_| beyond())
    }

    fn show(&self) -> String {
        self.0.to_string()
    }

    fn number(&self) -> Option<u64> {
        Some(u64::from(self.0))
    }

    fn from_number(number: u64) -> Option<Self> {
        u32::try_from(number).ok().map(Limit)
    }
}

/// A length in bytes that tc writes as a bare number (`mtu`, `mpu`, `overhead`, htb's `quantum`): `64` or `64b`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Length(pub u32);

impl Unit for Length {
    const INFO: Info = Info {
        name: "a length in bytes",
        spellings: "a number of bytes as `64` or `64b`",
        schema: Schema::Pattern("^[0-9]+[bB]?$"),
    };

    fn read(text: &str, reader: &mut Reader) -> Result<Self, Refusal> {
        let digits = text.strip_suffix(['b', 'B']).filter(|_| !reader.tc).unwrap_or(text);
        let n = integer(digits, reader, Self::INFO.name).map_err(|r| {
            let unit =
                text.starts_with(|c: char| c.is_ascii_digit()) && text.ends_with(|c: char| c.is_ascii_alphabetic());
            let code = if unit { &codes::WRONG_UNIT } else { r.code };
            Refusal { code, ..r }.help(format!("write {}", Self::INFO.spellings))
        })?;
        u32::try_from(n)
            .map(Length)
            .map_err(|_| Refusal::coded(&codes::OUT_OF_RANGE, format!("`{text}` does not fit: at most {}", u32::MAX)))
    }

    fn show(&self) -> String {
        format!("{}b", self.0)
    }

    fn tc(&self) -> String {
        self.0.to_string()
    }

    fn number(&self) -> Option<u64> {
        Some(u64::from(self.0))
    }

    fn from_number(number: u64) -> Option<Self> {
        u32::try_from(number).ok().map(Length)
    }
}

/// How the link below counts bytes (`TC_LINKLAYER_*`).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum LinkLayer {
    /// Byte for byte.
    #[default]
    Ethernet,
    /// In cells of 53 bytes that carry 48.
    Atm,
}

impl Unit for LinkLayer {
    const INFO: Info = Info {
        name: "a link layer",
        spellings: "`ethernet`, `atm` or `adsl`",
        schema: Schema::OneOf(&["ethernet", "atm", "adsl"]),
    };

    fn read(text: &str, reader: &mut Reader) -> Result<Self, Refusal> {
        let whole = ["ethernet", "atm", "adsl"].into_iter().find(|whole| reader.tc && super::begins(text, whole));
        match whole.unwrap_or(text) {
            "ethernet" => Ok(LinkLayer::Ethernet),
            "atm" | "adsl" => Ok(LinkLayer::Atm),
            _ => {
                Err(Refusal::new(format!("`{text}` is no link layer")).help(format!("write {}", Self::INFO.spellings)))
            }
        }
    }

    fn show(&self) -> String {
        match self {
            LinkLayer::Ethernet => "ethernet",
            LinkLayer::Atm => "atm",
        }
        .to_owned()
    }

    fn number(&self) -> Option<u64> {
        Some(match self {
            LinkLayer::Ethernet => 1,
            LinkLayer::Atm => 2,
        })
    }

    /// 0 (unaware) counts as Ethernet: the kernel then takes whole bytes.
    fn from_number(number: u64) -> Option<Self> {
        Some(if number == 2 { LinkLayer::Atm } else { LinkLayer::Ethernet })
    }
}

/// A whole number that may be negative (`overhead -10`).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Signed(pub i32);

impl Unit for Signed {
    const INFO: Info =
        Info { name: "a number", spellings: "a number as `18` or `-4`", schema: Schema::Pattern("^-?[0-9]+$") };

    fn read(text: &str, reader: &mut Reader) -> Result<Self, Refusal> {
        let (digits, sign) = text.strip_prefix('-').map_or((text, 1), |d| (d, -1));
        let n = integer(digits, reader, Self::INFO.name)?;
        i64::try_from(n)
            .ok()
            .and_then(|n| i32::try_from(n * sign).ok())
            .map(Signed)
            .ok_or_else(|| Refusal::coded(&codes::OUT_OF_RANGE, format!("`{text}` does not fit")))
    }

    fn show(&self) -> String {
        self.0.to_string()
    }

    /// In two's complement of 32 bits.
    fn number(&self) -> Option<u64> {
        Some(u64::from(self.0 as u32))
    }

    fn from_number(number: u64) -> Option<Self> {
        u32::try_from(number).ok().map(|n| Signed(n as i32))
    }
}

/// A switch. tc writes it as a bare word (or another word for off), so the row says how ([`crate::kind::Row::off`]).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Flag(pub bool);

impl Unit for Flag {
    const INFO: Info = Info { name: "yes or no", spellings: "`yes` or `no`", schema: Schema::Flag };

    fn read(text: &str, _reader: &mut Reader) -> Result<Self, Refusal> {
        match text {
            "yes" | "true" | "on" | "1" => Ok(Flag(true)),
            "no" | "false" | "off" | "0" => Ok(Flag(false)),
            _ => Err(Refusal::new(format!("`{text}` is neither `yes` nor `no`")).help("write `yes` or `no`")),
        }
    }

    fn read_words(_words: &mut Words, _reader: &mut Reader) -> Result<Self, Refusal> {
        Ok(Flag(true))
    }

    fn show(&self) -> String {
        if self.0 { "yes" } else { "no" }.to_owned()
    }

    fn number(&self) -> Option<u64> {
        Some(u64::from(self.0))
    }

    fn from_number(number: u64) -> Option<Self> {
        Some(Flag(number != 0))
    }
}

/// A switch that tc writes with a value (`offload 1`), otherwise as [`Flag`].
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct LogFlag(pub bool);

impl Unit for LogFlag {
    const INFO: Info = Flag::INFO;

    /// tc's text has a number of one octet.
    fn read(text: &str, reader: &mut Reader) -> Result<Self, Refusal> {
        if !reader.tc {
            return Flag::read(text, reader).map(|f| LogFlag(f.0));
        }
        match integer(text, reader, "0 or 1")? {
            n @ 0..=255 => Ok(LogFlag(n != 0)),
            _ => Err(Refusal::coded(&codes::OUT_OF_RANGE, format!("`{text}` is neither 0 nor 1"))),
        }
    }

    fn show(&self) -> String {
        Flag(self.0).show()
    }

    fn tc(&self) -> String {
        u8::from(self.0).to_string()
    }

    fn number(&self) -> Option<u64> {
        Some(u64::from(self.0))
    }

    fn from_number(number: u64) -> Option<Self> {
        Some(LogFlag(number != 0))
    }
}

/// Bits of an octet and which of them count: `0x2/0x3`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct MaskedOctet {
    /// The bits.
    pub value: u8,
    /// Those that count.
    pub mask: u8,
}

impl Unit for MaskedOctet {
    const INFO: Info = Info {
        name: "an octet and its mask",
        spellings: "value and mask as `0x2/0x3`",
        schema: Schema::Pattern("^([0-9]+|0x[0-9a-fA-F]+)/([0-9]+|0x[0-9a-fA-F]+)$"),
    };

    fn read(text: &str, reader: &mut Reader) -> Result<Self, Refusal> {
        let wrong = || {
            Refusal::new(format!("`{text}` is no octet with a mask")).help(format!("write {}", Self::INFO.spellings))
        };
        let (value, mask) = text.split_once('/').ok_or_else(wrong)?;
        let octet = |part: &str| -> Result<u8, Refusal> {
            let n = integer(part, reader, Self::INFO.name)?;
            u8::try_from(n).map_err(|_| {
                Refusal::coded(&codes::OUT_OF_RANGE, format!("`{part}` does not fit in an octet: at most 255"))
            })
        };
        let (value, mask) = (octet(value)?, octet(mask)?);
        if !reader.tc && (mask == 0 || value & !mask != 0) {
            return Err(Refusal::new(format!("`{text}` picks nothing: the mask must have all bits of the value"))
                .help(format!("write `{value:#x}/{:#x}`", if value == 0 { 0xff } else { value })));
        }
        Ok(MaskedOctet { value, mask })
    }

    fn show(&self) -> String {
        format!("{:#x}/{:#x}", self.value, self.mask)
    }

    /// The mask in the upper octet.
    fn number(&self) -> Option<u64> {
        Some(u64::from(self.mask) << 8 | u64::from(self.value))
    }

    fn from_number(number: u64) -> Option<Self> {
        let number = u16::try_from(number).ok()?;
        Some(MaskedOctet { value: number as u8, mask: (number >> 8) as u8 })
    }
}

/// A name or other free text of one word.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Name(pub CompactString);

impl Unit for Name {
    const INFO: Info = Info { name: "a name", spellings: "a name", schema: Schema::Pattern("^.+$") };

    fn read(text: &str, _reader: &mut Reader) -> Result<Self, Refusal> {
        if text.is_empty() || text.contains(|c: char| misleads(c) || c.is_whitespace()) {
            return Err(Refusal::new(format!("`{text}` is not a name")));
        }
        Ok(Name(text.into()))
    }

    fn show(&self) -> String {
        self.0.to_string()
    }
}

/// Free text, which tc takes as one word.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Text(pub CompactString);

impl Unit for Text {
    const INFO: Info = Info { name: "a text", spellings: "a text", schema: Schema::Pattern("^[ -~]+$") };

    fn read(text: &str, _reader: &mut Reader) -> Result<Self, Refusal> {
        if text.is_empty() || text.contains(char::is_control) {
            return Err(Refusal::new(format!("`{text}` is not a text of one line")));
        }
        Ok(Text(text.into()))
    }

    fn show(&self) -> String {
        self.0.to_string()
    }

    fn tc_words(&self) -> Vec<String> {
        vec![self.0.to_string()]
    }
}

/// Raw octets, written in hexadecimal (`cookie`, hardware keys).
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Octets(pub Vec<u8>);

impl Unit for Octets {
    const INFO: Info = Info {
        name: "octets in hexadecimal",
        spellings: "`0a1b2c`, two digits an octet",
        schema: Schema::Pattern("^([0-9a-fA-F]{2})+$"),
    };

    fn read(text: &str, _reader: &mut Reader) -> Result<Self, Refusal> {
        let wrong = || Refusal::new(format!("`{text}` is not octets in hexadecimal"));
        if !text.len().is_multiple_of(2) || !text.is_ascii() {
            return Err(wrong());
        }
        let pairs = (0..text.len() / 2).map(|i| text.get(2 * i..2 * i + 2).unwrap_or(""));
        pairs.map(|p| u8::from_str_radix(p, 16).map_err(|_| wrong())).collect::<Result<_, _>>().map(Octets)
    }

    fn show(&self) -> String {
        self.0.iter().map(|b| format!("{b:02x}")).collect()
    }
}

/// A probability between 0 and 1, kept in parts of 2^32; written as a number (`0.02`) or in percent (`2%`).
#[derive(Clone, Copy, Debug, Default, PartialEq, PartialOrd)]
pub struct Probability(pub f64);

/// The largest that the parts can say: a whole one has no parts left.
const ALWAYS: f64 = 4_294_967_295.0 / 4_294_967_296.0;

impl Probability {
    /// In parts of 2^32. What tc took for one and is more loses its whole part, as in C.
    pub fn parts(self) -> u32 {
        (self.0 * 4_294_967_296.0) as i64 as u32
    }
}

impl Unit for Probability {
    const INFO: Info =
        Info { name: "a probability", spellings: "`0.02` or `2%`", schema: Schema::Pattern(r"^[0-9]*(\.[0-9]+)?%?$") };

    /// tc takes what stands at the beginning and no heed of the rest: its `2%` is 2.
    fn read(text: &str, reader: &mut Reader) -> Result<Self, Refusal> {
        let wrong = || Refusal::new(format!("`{text}` is not a probability")).help("write `0.02` or `2%`");
        if reader.tc {
            return strtod(text).map(|(chance, _)| Probability(chance)).ok_or_else(wrong);
        }
        let (number, whole) = text.strip_suffix('%').map_or((text, 1.0), |n| (n, 100.0));
        match number.parse::<f64>() {
            Ok(n) if (0.0..=whole).contains(&n) => Ok(Probability((n / whole).min(ALWAYS))),
            Ok(_) => Err(Refusal::coded(&codes::OUT_OF_RANGE, format!("`{text}` is not between 0 and 1"))),
            Err(_) => Err(wrong()),
        }
    }

    fn show(&self) -> String {
        self.0.to_string()
    }

    /// In parts of 2^32.
    fn number(&self) -> Option<u64> {
        Some(u64::from(self.parts()))
    }

    fn from_number(number: u64) -> Option<Self> {
        Some(Probability(number as f64 / 4_294_967_296.0))
    }

    fn same(&self, other: &Self) -> bool {
        (self.0 - other.0).abs() < 1e-6
    }
}

/// A list of small numbers: a priomap.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct NumberList(pub Vec<u8>);

impl Unit for NumberList {
    const INFO: Info = Info {
        name: "a list of numbers",
        spellings: "`[1, 2, 2, 2, 1, 2, 0, 0, 1, 1, 1, 1, 1, 1, 1, 1]`",
        schema: Schema::List("^[0-9]+$"),
    };

    fn read(text: &str, reader: &mut Reader) -> Result<Self, Refusal> {
        let words = text.trim_start_matches('[').trim_end_matches(']').split([' ', ',']).filter(|w| !w.is_empty());
        let one = |w: &str| {
            let n = integer(w, reader, "a number")?;
            u8::try_from(n).map_err(|_| Refusal::coded(&codes::OUT_OF_RANGE, format!("`{w}` is too large a band")))
        };
        words.map(one).collect::<Result<_, _>>().map(NumberList)
    }

    fn read_node(node: &Node, reader: &mut Reader) -> Result<Self, Refusal> {
        match &node.value {
            Value::Word(word) => Self::read(&word.text, reader),
            Value::List(items) => {
                let mut list = Vec::with_capacity(items.len());
                for item in items {
                    let text = item.node.as_word().unwrap_or_default();
                    list.extend(Self::read(text, reader).map_err(|r| r.at(item.node.span))?.0);
                }
                Ok(NumberList(list))
            }
            _ => {
                Err(Refusal::new("a list of numbers is wanted here").help(format!("write `{}`", Self::INFO.spellings)))
            }
        }
    }

    /// As many numbers as follow, up to one for each priority.
    fn read_words(words: &mut Words, reader: &mut Reader) -> Result<Self, Refusal> {
        let mut list = Vec::new();
        while let Some(word) = words.peek().filter(|w| list.len() < MOST && integer(w, reader, "a number").is_ok()) {
            words.next();
            list.extend(Self::read(word, reader)?.0);
        }
        Ok(NumberList(list))
    }

    fn show(&self) -> String {
        let words: Vec<_> = self.0.iter().map(u8::to_string).collect();
        format!("[{}]", words.join(", "))
    }

    fn tc(&self) -> String {
        let words: Vec<_> = self.0.iter().map(u8::to_string).collect();
        words.join(" ")
    }
}
