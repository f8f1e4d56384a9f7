//! Options in the header of a tunnel: `geneve_opts 0102:80:00800022/ffff:ff:ffffffff`, `vxlan_opts 5`,
//! `erspan_opts 1:2:0:0`, `gtp_opts 1:5`, `pfcp_opts 1:2`. Keys and masks are parts between colons.

use crate::codes;
use crate::kind::wire::{Attributes, Malformed, NESTED, Parsed, Payload};
use crate::unit::{Info, Octets, Reader, Refusal, Schema, Unit, strtoul};

/// A part of a tunnel's options.
struct Part {
    number: u16,
    octets: usize,
    /// Whether it travels in network order.
    big: bool,
}

/// How the options of a kind of tunnel are written and travel.
struct Shape {
    /// `TCA_FLOWER_KEY_ENC_OPTS_*`.
    number: u16,
    parts: &'static [Part],
    base: u32,
    /// Bits of each part that the kernel keeps.
    kept: &'static [u64],
}

const fn part(number: u16, octets: usize, big: bool) -> Part {
    Part { number, octets, big }
}

const VXLAN: Shape = Shape { number: 2, parts: &[part(1, 4, false)], base: 0, kept: &[0x48_ffff] };
const ERSPAN: Shape = Shape {
    number: 3,
    parts: &[part(1, 1, false), part(2, 4, true), part(3, 1, false), part(4, 1, false)],
    base: 0,
    kept: &[0xff, 0xffff_ffff, 1, 0x3f],
};
const GTP: Shape = Shape { number: 4, parts: &[part(1, 1, false), part(2, 1, false)], base: 16, kept: &[] };
const PFCP: Shape = Shape { number: 5, parts: &[part(1, 1, false), part(2, 8, true)], base: 16, kept: &[] };

impl Part {
    const fn whole(&self) -> u64 {
        u64::MAX >> (64 - 8 * self.octets)
    }
}

/// Values of the parts; a part that is not written is none.
type Values = Vec<Option<u64>>;

impl Shape {
    fn read(&self, text: &str) -> Result<Values, Refusal> {
        let wrong = || Refusal::new(format!("`{text}` is not an option of such a tunnel"));
        let words: Vec<&str> = text.split(':').collect();
        if words.len() > self.parts.len() {
            return Err(wrong());
        }
        let one = |(word, part): (&&str, &Part)| {
            if word.is_empty() {
                return Ok(None);
            }
            let (n, rest) = strtoul(word, self.base).ok_or_else(wrong)?;
            match rest.is_empty() && n <= part.whole() {
                true => Ok(Some(n)),
                false => Err(Refusal::coded(
                    &codes::OUT_OF_RANGE,
                    format!("`{word}` does not fit: at most {:#x}", part.whole()),
                )),
            }
        };
        words.iter().zip(self.parts).map(one).collect()
    }

    fn show(&self, values: &Values, mask: bool) -> String {
        let one = |value: &Option<u64>| match (value, self.base) {
            (None, _) => String::new(),
            (Some(n), 16) => format!("{n:02x}"),
            (Some(n), _) if mask => format!("{n:#x}"),
            (Some(n), _) => n.to_string(),
        };
        values.iter().map(one).collect::<Vec<_>>().join(":")
    }

    fn encode(&self, values: &Values, out: &mut Attributes) {
        out.nest(self.number | NESTED, |a| {
            for (part, value) in self.parts.iter().zip(values) {
                match (value, part.octets, part.big) {
                    (None, ..) => {}
                    (Some(n), 1, _) => a.u8(part.number, *n as u8),
                    (Some(n), 4, true) => a.be32(part.number, *n as u32),
                    (Some(n), 4, false) => a.u32(part.number, *n as u32),
                    (Some(n), ..) => a.raw(part.number, &n.to_be_bytes()),
                }
            }
        });
    }

    fn decode(&self, from: &Parsed) -> Result<Values, Malformed> {
        let one = |part: &Part| {
            Ok(match (part.octets, part.big) {
                (1, _) => from.u8(part.number)?.map(u64::from),
                (4, true) => from.be32(part.number)?.map(u64::from),
                (4, false) => from.u32(part.number)?.map(u64::from),
                _ => from.u64(part.number)?.map(u64::from_be),
            })
        };
        let mut values: Values = self.parts.iter().map(one).collect::<Result<_, _>>()?;
        while values.last() == Some(&None) {
            values.pop();
        }
        Ok(values)
    }
}

/// The attributes of options and of their masks.
pub const OPTIONS: (u16, u16) = (84, 85);

/// Options of a tunnel that flower can compare.
pub trait Tunnel: Sized {
    /// Appends both attributes.
    fn encode(&self, out: &mut Attributes);
    /// Reads both, if they are of this tunnel.
    ///
    /// # Errors
    /// Lengths are wrong.
    fn decode(key: &Parsed, mask: Option<&Parsed>) -> Result<Option<Self>, Malformed>;
}

macro_rules! tunnel {
    ($(#[doc = $doc:literal])* $name:ident $shape:ident $what:literal $spell:literal $pattern:literal, $mask:expr) => {
        $(#[doc = $doc])*
        #[derive(Clone, Debug, Default, PartialEq, Eq)]
        pub struct $name {
            key: Values,
            mask: Values,
        }

        impl $name {
            /// What counts where no mask is written.
            fn usual(key: &Values) -> Values {
                let usual: fn(&Values) -> Values = $mask;
                usual(key)
            }
        }

        impl Unit for $name {
            const INFO: Info = Info { name: $what, spellings: $spell, schema: Schema::Pattern($pattern) };

            fn read(text: &str, _reader: &mut Reader) -> Result<Self, Refusal> {
                let help = |r: Refusal| r.help(concat!("write ", $spell));
                let (key, mask) = text.split_once('/').map_or((text, None), |(k, m)| (k, Some(m)));
                let key = $shape.read(key).map_err(help)?;
                let mask = match mask {
                    Some(mask) => $shape.read(mask).map_err(help)?,
                    None => Self::usual(&key),
                };
                Ok($name { key, mask })
            }

            fn show(&self) -> String {
                let key = $shape.show(&self.key, false);
                match self.mask == Self::usual(&self.key) {
                    true => key,
                    false => format!("{key}/{}", $shape.show(&self.mask, true)),
                }
            }

            /// Parts that the mask leaves out do not count, nor those that the kernel does not keep.
            fn same(&self, other: &Self) -> bool {
                let kept = |t: &$name| -> Vec<(u64, u64)> {
                    let version = t.key.first().copied().flatten();
                    let keeps = |i: usize| $shape.number != ERSPAN.number || match i {
                        0 => true,
                        1 => version == Some(1),
                        _ => version == Some(2),
                    };
                    let bits = |i: usize| $shape.kept.get(i).copied().unwrap_or(u64::MAX);
                    let pair = |i: usize| {
                        let get = |v: &Values| {
                            v.get(i).copied().flatten().filter(|_| keeps(i)).map_or(0, |n| n & bits(i))
                        };
                        (get(&t.key) & get(&t.mask), get(&t.mask))
                    };
                    (0..$shape.parts.len()).map(pair).collect()
                };
                kept(self) == kept(other)
            }
        }

        impl Tunnel for $name {
            fn encode(&self, out: &mut Attributes) {
                out.nest(OPTIONS.0 | NESTED, |a| $shape.encode(&self.key, a));
                out.nest(OPTIONS.1 | NESTED, |a| $shape.encode(&self.mask, a));
            }

            fn decode(key: &Parsed, mask: Option<&Parsed>) -> Result<Option<Self>, Malformed> {
                let Some(own) = key.nested($shape.number)? else { return Ok(None) };
                let key = $shape.decode(&own)?;
                let mask = match mask.map(|m| m.nested($shape.number)).transpose()?.flatten() {
                    Some(mask) => $shape.decode(&mask)?,
                    None => Self::usual(&key),
                };
                Ok(Some($name { key, mask }))
            }
        }
    };
}

tunnel!(
    /// What VXLAN says of the group's policy.
    Vxlan VXLAN "an option of VXLAN" "`5` or `0x5/0xff`"
    "^([0-9]+|0x[0-9a-fA-F]{1,8})(/0x[0-9a-fA-F]{1,8})?$",
    |_| vec![Some(0xffff_ffff)]
);
tunnel!(
    /// Version, index, direction and hardware number of ERSPAN. Of version 1 only the index counts, of version 2 the last
    /// two.
    Erspan ERSPAN "an option of ERSPAN" "`1:2:0:0`, or `2:0:1:99`"
    "^[12]:[0-9]+:[01]:[0-9]{1,2}$",
    // tc takes the version for its own mask
    |key| vec![key.first().copied().flatten(), Some(0xffff_ffff), Some(0xff), Some(0xff)]
);
tunnel!(
    /// Type of the unit and flow of GTP, both in hexadecimal.
    Gtp GTP "an option of GTP" "`1:5` or `01:05/ff:3f`, in hexadecimal"
    "^[0-9a-fA-F]{1,2}:[0-9a-fA-F]{1,2}(/[0-9a-fA-F]{1,2}:[0-9a-fA-F]{1,2})?$",
    |_| vec![Some(0xff), Some(0xff)]
);
tunnel!(
    /// Type and session of PFCP, both in hexadecimal.
    Pfcp PFCP "an option of PFCP" "`1:2a` or `01:2a/01:ff`, in hexadecimal"
    "^[0-9a-fA-F]{1,2}:[0-9a-fA-F]{1,8}(/[0-9a-fA-F]{1,2}:[0-9a-fA-F]{1,8})?$",
    |_| vec![Some(0xff), Some(u64::MAX)]
);

/// One option of Geneve.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct GeneveOption {
    /// Whose options they are.
    pub class: Option<u16>,
    /// Which option.
    pub kind: Option<u8>,
    /// Its data, in words of four octets.
    pub data: Vec<u8>,
}

/// Options of Geneve with their masks, `class:type:data` in hexadecimal.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Geneve {
    key: Vec<GeneveOption>,
    mask: Vec<GeneveOption>,
}

/// `TCA_FLOWER_KEY_ENC_OPTS_GENEVE`.
const GENEVE: u16 = 1;

impl GeneveOption {
    fn read(text: &str) -> Result<Self, Refusal> {
        let wrong = || {
            Refusal::new(format!("`{text}` is no option of Geneve")).help(format!("write {}", Geneve::INFO.spellings))
        };
        let mut parts = text.split(':');
        let mut hex = |most: u64| match parts.next() {
            None | Some("") => Ok(None),
            Some(word) => match strtoul(word, 16) {
                Some((n, "")) if n <= most => Ok(Some(n)),
                _ => Err(wrong()),
            },
        };
        let (class, kind) = (hex(0xffff)?.map(|n| n as u16), hex(0xff)?.map(|n| n as u8));
        let data = Octets::read(parts.next().unwrap_or_default(), &mut Reader::default()).map_err(|_| wrong())?.0;
        match parts.next() {
            Some(_) => Err(wrong()),
            None => Ok(GeneveOption { class, kind, data }),
        }
    }

    fn whole(&self) -> GeneveOption {
        GeneveOption { class: Some(0xffff), kind: Some(0xff), data: vec![0xff; self.data.len()] }
    }

    fn show(&self) -> String {
        let class = self.class.map_or_else(String::new, |n| format!("{n:04x}"));
        let kind = self.kind.map_or_else(String::new, |n| format!("{n:02x}"));
        format!("{class}:{kind}:{}", Octets(self.data.clone()).show())
    }

    fn encode(&self, out: &mut Attributes) {
        out.nest(GENEVE, |a| {
            if let Some(class) = self.class {
                a.be16(1, class);
            }
            if let Some(kind) = self.kind {
                a.u8(2, kind);
            }
            if !self.data.is_empty() {
                a.raw(3, &self.data);
            }
        });
    }

    /// The kernel tells all options in one attribute, one behind the other (`fl_dump_key_geneve_opt`).
    fn decode(payload: Payload) -> Result<Vec<Self>, Malformed> {
        let mut options: Vec<Vec<(u16, Payload)>> = Vec::new();
        for (number, payload) in payload.attributes()?.list {
            match options.last_mut() {
                Some(option) if option.last().is_some_and(|(last, _)| *last < number) => option.push((number, payload)),
                _ => options.push(vec![(number, payload)]),
            }
        }
        let one = |list: Vec<(u16, Payload)>| {
            let a = Parsed { list };
            let data = a.get(3).map_or_else(Vec::new, |p| p.0.to_vec());
            Ok(GeneveOption { class: a.be16(1)?, kind: a.u8(2)?, data })
        };
        options.into_iter().map(one).collect()
    }
}

impl Unit for Geneve {
    const INFO: Info = Info {
        name: "options of Geneve",
        spellings: "`0102:80:00800022`, with a mask `0102:80:00800022/ffff:ff:ffffffff`, several as \
                    `0102:80:00800022,0102:81:00000001`",
        schema: Schema::Pattern("^[0-9a-fA-F]{1,4}:[0-9a-fA-F]{1,2}:([0-9a-fA-F]{8}){1,4}$"),
    };

    fn read(text: &str, _reader: &mut Reader) -> Result<Self, Refusal> {
        let mut options = Geneve::default();
        for one in text.split(',') {
            let (key, mask) = one.split_once('/').map_or((one, None), |(k, m)| (k, Some(m)));
            let key = GeneveOption::read(key)?;
            if key.data.is_empty() || key.data.len() % 4 != 0 || key.data.len() > 124 {
                return Err(Refusal::new(format!("the data of `{one}` is not 1 to 31 words of four octets"))
                    .help(format!("write {}", Self::INFO.spellings)));
            }
            let mask = mask.map_or_else(|| Ok(key.whole()), GeneveOption::read)?;
            if mask.data.len() != key.data.len() {
                return Err(Refusal::new(format!("the mask of `{one}` is not as long as its data")));
            }
            options.key.push(key);
            options.mask.push(mask);
        }
        Ok(options)
    }

    fn show(&self) -> String {
        let one = |(key, mask): (&GeneveOption, &GeneveOption)| match *mask == key.whole() {
            true => key.show(),
            false => format!("{}/{}", key.show(), mask.show()),
        };
        self.key.iter().zip(&self.mask).map(one).collect::<Vec<_>>().join(",")
    }
}

impl Tunnel for Geneve {
    /// tc marks neither as nested.
    fn encode(&self, out: &mut Attributes) {
        out.nest(OPTIONS.0, |a| self.key.iter().for_each(|o| o.encode(a)));
        out.nest(OPTIONS.1, |a| self.mask.iter().for_each(|o| o.encode(a)));
    }

    fn decode(key: &Parsed, mask: Option<&Parsed>) -> Result<Option<Self>, Malformed> {
        let list = |from: &Parsed| -> Result<Vec<GeneveOption>, Malformed> {
            let mut all = Vec::new();
            for (_, payload) in from.list.iter().filter(|(n, _)| *n == GENEVE) {
                all.extend(GeneveOption::decode(*payload)?);
            }
            Ok(all)
        };
        let key = list(key)?;
        if key.is_empty() {
            return Ok(None);
        }
        let mut mask = mask.map_or_else(|| Ok(Vec::new()), list)?;
        mask.extend(key.iter().skip(mask.len()).map(GeneveOption::whole).collect::<Vec<_>>());
        Ok(Some(Geneve { key, mask }))
    }
}
