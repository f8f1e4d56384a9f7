//! Service curves of hfsc.

use super::{Bytes, Info, Rate, Reader, Refusal, Schema, Time, Unit, Words};
use crate::diagnostic::codes;
use crate::syntax::document::{Node, Value};

/// A service curve of two straight pieces (`struct tc_service_curve`, tc-hfsc(7)).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Curve {
    /// The slope of the first piece.
    pub m1: Rate,
    /// How long the first piece is.
    pub d: Time,
    /// The slope from then on.
    pub m2: Rate,
}

/// tc's microseconds in a second.
const SECOND: u64 = 1_000_000;

impl Curve {
    /// A straight line.
    pub const fn line(m2: Rate) -> Curve {
        Curve { m1: Rate(0), d: Time(0), m2 }
    }

    /// The three figures of the wire: bytes a second, microseconds, bytes a second.
    pub fn figures(self) -> [u32; 3] {
        let short = |n: u64| u32::try_from(n).unwrap_or(u32::MAX);
        [short(self.m1.bytes()), short(self.d.0 / 1000), short(self.m2.bytes())]
    }

    /// From the wire's figures.
    pub fn from_figures([m1, d, m2]: [u32; 3]) -> Curve {
        let rate = |n: u32| Rate::from_bytes(u64::from(n));
        Curve { m1: rate(m1), d: Time(u64::from(d) * 1000), m2: rate(m2) }
    }

    /// Both spellings, as iproute2's q_hfsc.c reads them.
    fn parse(words: &mut Words, reader: &mut Reader) -> Result<Curve, Refusal> {
        let mut ahead = words.clone();
        let curve = match Curve::slopes(&mut ahead, reader)? {
            Some(curve) => curve,
            None => {
                ahead = words.clone();
                Curve::delays(&mut ahead, reader)?
            }
        };
        *words = ahead;
        if curve.m1.bytes() == 0 && curve.m2.bytes() == 0 {
            return Err(Refusal::new("a service curve with two slopes of 0 serves nothing").help("write `m2 1mbit`"));
        }
        Ok(curve)
    }

    /// `m1 RATE d TIME m2 RATE`; none if it is another spelling.
    fn slopes(words: &mut Words, reader: &mut Reader) -> Result<Option<Curve>, Refusal> {
        let mut curve = Curve::default();
        if takes(words, "m1", reader) {
            curve.m1 = slope("m1", words, reader)?;
        }
        if takes(words, "d", reader) {
            curve.d = time("d", words, reader)?;
        }
        if !takes(words, "m2", reader) {
            return Ok(None);
        }
        curve.m2 = slope("m2", words, reader)?;
        Ok(Some(curve))
    }

    /// `umax SIZE dmax TIME rate RATE`: so much within that time, and then the rate.
    fn delays(words: &mut Words, reader: &mut Reader) -> Result<Curve, Refusal> {
        let (mut umax, mut dmax) = (0, Time(0));
        if takes(words, "umax", reader) {
            umax = Bytes::read(words.want("a size after `umax`")?, reader)?.0;
        }
        if takes(words, "dmax", reader) {
            dmax = time("dmax", words, reader)?;
        }
        if !takes(words, "rate", reader) {
            let message = match words.peek() {
                Some(word) => format!("a service curve is wanted here, and `{word}` is no part of one"),
                None => "a service curve is missing at the end, or its `m2` or `rate`".to_owned(),
            };
            return Err(Refusal::new(message).help(format!("write {}", Curve::INFO.spellings)));
        }
        let rate = slope("rate", words, reader)?;
        let wrong = |message: &str| Err(Refusal::new(message).help(format!("write {}", Curve::INFO.spellings)));
        if umax != 0 && dmax.0 / 1000 == 0 {
            return wrong("`umax` says how much within `dmax`, and there is no `dmax`");
        }
        if rate.bytes() == 0 {
            return wrong("a service curve with a `rate` of 0 serves nothing");
        }
        let Ok(short) = u32::try_from(umax) else { return wrong("`umax` is beyond 32 bits") };
        let within = dmax.0 / 1000;
        let first = if within == 0 { 0 } else { (umax as f64 * SECOND as f64 / within as f64).ceil() as u64 };
        if first > rate.bytes() {
            let m1 = fitting("umax", Rate::from_bytes(first))?;
            return Ok(Curve { m1, d: Time(within * 1000), m2: rate });
        }
        // tc multiplies in 32 bits, so from 4295 bytes on its curve begins later than it should: in its own text we mean
        // what it means
        let product = if reader.tc { u64::from(short.wrapping_mul(SECOND as u32)) } else { umax * SECOND };
        Ok(Curve { m1: Rate(0), d: Time(within.saturating_sub(product / rate.bytes()) * 1000), m2: rate })
    }
}

fn takes(words: &mut Words, word: &str, reader: &Reader) -> bool {
    if reader.tc { words.take_short(word) } else { words.take(word) }
}

fn slope(word: &str, words: &mut Words, reader: &mut Reader) -> Result<Rate, Refusal> {
    fitting(word, Rate::read(words.want(&format!("a rate after `{word}`"))?, reader)?)
}

/// A rate that 32 bits of bytes a second hold.
fn fitting(word: &str, rate: Rate) -> Result<Rate, Refusal> {
    if u32::try_from(rate.bytes()).is_ok() {
        return Ok(rate);
    }
    let most = Rate::from_bytes(u64::from(u32::MAX)).show();
    Err(Refusal::coded(&codes::OUT_OF_RANGE, format!("{word} comes to {}: hfsc counts up to {most}", rate.show())))
}

fn time(word: &str, words: &mut Words, reader: &mut Reader) -> Result<Time, Refusal> {
    let time = Time::read(words.want(&format!("a time after `{word}`"))?, reader)?;
    if u32::try_from(time.0 / 1000).is_ok() {
        return Ok(time);
    }
    Err(Refusal::coded(&codes::OUT_OF_RANGE, format!("{word} {} is beyond 4294 seconds", time.show())))
}

impl Unit for Curve {
    const INFO: Info = Info {
        name: "a service curve",
        spellings: "`5mbit`, `m1 10mbit d 20ms m2 5mbit` or `umax 1500b dmax 20ms rate 5mbit`",
        schema: Schema::Any,
    };

    /// A lone rate is a straight line.
    fn read(text: &str, reader: &mut Reader) -> Result<Self, Refusal> {
        let words: Vec<String> = text.split_whitespace().map(str::to_owned).collect();
        if let ([rate], false) = (words.as_slice(), reader.tc) {
            return Curve::parse(&mut Words::new(&["m2".to_owned(), rate.clone()]), reader);
        }
        let mut words = Words::new(&words);
        let curve = Curve::parse(&mut words, reader)?;
        match words.next() {
            None => Ok(curve),
            Some(word) => Err(Refusal::new(format!("`{word}` does not belong to a service curve"))
                .help(format!("write {}", Self::INFO.spellings))),
        }
    }

    /// A text, or a block with the words of one of the spellings.
    fn read_node(node: &Node, reader: &mut Reader) -> Result<Self, Refusal> {
        match &node.value {
            Value::Word(word) => Self::read(&word.text, reader),
            Value::Block(entries) => {
                let mut words = Vec::new();
                for word in ["m1", "d", "m2", "umax", "dmax", "rate"] {
                    let Some(entry) = entries.iter().find(|e| e.key.value == word) else { continue };
                    let text = entry.node.as_word().unwrap_or_default();
                    words.extend([word.to_owned(), text.to_owned()]);
                }
                if let Some(odd) = entries.iter().find(|e| !words.iter().any(|w| e.key.value == w.as_str())) {
                    let message = format!("`{}` is no part of a service curve", odd.key.value);
                    return Err(Refusal::coded(&codes::UNKNOWN_KEY, message)
                        .at(odd.key.span)
                        .help("a curve has `m1`, `d` and `m2`, or `umax`, `dmax` and `rate`"));
                }
                Self::read(&words.join(" "), reader)
            }
            _ => Err(Refusal::new(format!("a service curve is wanted here, and this is {}", node.shape()))
                .help(format!("write {}", Self::INFO.spellings))),
        }
    }

    fn read_words(words: &mut Words, reader: &mut Reader) -> Result<Self, Refusal> {
        Curve::parse(words, reader)
    }

    fn show(&self) -> String {
        match self {
            Curve { m1: Rate(0), d: Time(0), m2 } => m2.show(),
            Curve { m1, d, m2 } => format!("m1 {} d {} m2 {}", m1.show(), d.show(), m2.show()),
        }
    }

    fn tc(&self) -> String {
        match self {
            Curve { m1: Rate(0), d: Time(0), m2 } => format!("m2 {}", m2.tc()),
            Curve { m1, d, m2 } => format!("m1 {} d {} m2 {}", m1.tc(), d.tc(), m2.tc()),
        }
    }

    fn same(&self, other: &Self) -> bool {
        self.figures() == other.figures()
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    fn tc(text: &str) -> Result<[u32; 3], Refusal> {
        Curve::read(text, &mut Reader::tc()).map(Curve::figures)
    }

    /// Figures that tc 6.1 sends.
    #[test]
    fn both_spellings_and_their_beginnings_are_read() {
        assert_eq!(tc("m2 1mbit").unwrap(), [0, 0, 125_000]);
        assert_eq!(tc("m1 2mbit d 10ms m2 1mbit").unwrap(), [250_000, 10_000, 125_000]);
        assert_eq!(tc("m 2mbit d 10ms m 1mbit").unwrap(), [250_000, 10_000, 125_000]);
        assert_eq!(tc("rate 1mbit").unwrap(), [0, 0, 125_000]);
        assert_eq!(tc("umax 1500 dmax 5ms rate 1mbit").unwrap(), [300_000, 5_000, 125_000]);
        assert_eq!(tc("u 1500 dm 50ms r 1mbit").unwrap(), [0, 38_000, 125_000]);
        assert_eq!(tc("d 50ms rate 1mbit").unwrap(), [0, 50_000, 125_000]);
        // 10,000,000,000 in 32 bits
        assert_eq!(tc("umax 10000 dmax 100ms rate 1mbit").unwrap(), [0, 88_720, 125_000]);
        let policy = Curve::read("umax 10000b dmax 100ms rate 1mbit", &mut Reader::default()).unwrap();
        assert_eq!(policy.figures(), [0, 20_000, 125_000]);
    }

    #[test]
    fn what_is_no_curve_is_refused() {
        for text in [
            "1mbit",
            "m1 1mbit",
            "m1 0 d 1ms m2 0",
            "umax 1500 rate 1mbit",
            "rate 0",
            "m2 40gbit",
            "m2 1mbit m1 2mbit",
            "umax 1500 dmax 10us rate 40gbit",
        ] {
            assert!(tc(text).is_err(), "{text}");
        }
        assert_eq!(Curve::read("5mbit", &mut Reader::default()).unwrap(), Curve::line(Rate(5_000_000)));
    }
}
