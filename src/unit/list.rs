//! Lists of values.

use super::{Info, Length, Rate, Reader, Refusal, Schema, Unit, Words, integer};
use crate::diagnostic::codes;
use crate::syntax::document::{Node, Value};

/// A unit of which a row may have several: one a band, a traffic class, a queue.
pub trait Item: Unit {
    /// What the manual and the schema say of the list.
    const LIST: Info;
}

/// Values in order. tc reads as many as follow, up to [`MOST`].
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct List<U>(pub Vec<U>);

/// Bands, traffic classes and priorities that there may be (`TCQ_PRIO_BANDS`, `TC_QOPT_MAX_QUEUE`, `TC_PRIO_MAX + 1`).
pub const MOST: usize = 16;

impl<U: Item> Unit for List<U> {
    const INFO: Info = U::LIST;

    fn read(text: &str, reader: &mut Reader) -> Result<Self, Refusal> {
        let words = text.trim_start_matches('[').trim_end_matches(']').split([' ', ',']).filter(|w| !w.is_empty());
        words.map(|word| U::read(word, reader)).collect::<Result<_, _>>().map(List)
    }

    fn read_node(node: &Node, reader: &mut Reader) -> Result<Self, Refusal> {
        match &node.value {
            Value::Word(word) => Self::read(&word.text, reader),
            Value::List(items) => {
                let one = |item: &Node, reader: &mut Reader| U::read_node(item, reader).map_err(|r| r.at(item.span));
                items.iter().map(|item| one(&item.node, reader)).collect::<Result<_, _>>().map(List)
            }
            _ => Err(Refusal::new(format!("{} is wanted here, and this is {}", Self::INFO.name, node.shape()))
                .help(format!("write {}", Self::INFO.spellings))),
        }
    }

    fn read_words(words: &mut Words, reader: &mut Reader) -> Result<Self, Refusal> {
        let mut list = Vec::new();
        while let Some(value) = words.peek().filter(|_| list.len() < MOST).and_then(|w| U::read(w, reader).ok()) {
            words.next();
            list.push(value);
        }
        Ok(List(list))
    }

    fn show(&self) -> String {
        format!("[{}]", self.0.iter().map(U::show).collect::<Vec<_>>().join(", "))
    }

    fn tc(&self) -> String {
        self.0.iter().map(U::tc).collect::<Vec<_>>().join(" ")
    }

    fn same(&self, other: &Self) -> bool {
        self.0.len() == other.0.len() && self.0.iter().zip(&other.0).all(|(a, b)| a.same(b))
    }
}

impl Item for Length {
    const LIST: Info = Info {
        name: "a list of lengths in bytes",
        spellings: "`[3000b, 1514b]`",
        schema: Schema::List("^[0-9]+[bB]?$"),
    };
}

impl Item for Rate {
    const LIST: Info =
        Info { name: "a list of rates", spellings: "`[10mbit, 20mbit]`", schema: Schema::List("^[0-9]+([kmg]?bit)$") };
}

/// Transmit queues of a traffic class: `COUNT@OFFSET`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Queues {
    /// How many.
    pub count: u16,
    /// The first one.
    pub offset: u16,
}

impl Queues {
    /// One behind the last.
    pub fn end(self) -> u32 {
        u32::from(self.offset) + u32::from(self.count)
    }
}

impl Unit for Queues {
    const INFO: Info = Info {
        name: "a range of queues",
        spellings: "`2@0`: two, from queue 0 on",
        schema: Schema::Pattern("^[0-9]+@[0-9]+$"),
    };

    fn read(text: &str, reader: &mut Reader) -> Result<Self, Refusal> {
        let wrong =
            || Refusal::new(format!("`{text}` is no range of queues")).help(format!("write {}", Self::INFO.spellings));
        let (count, offset) = text.split_once('@').ok_or_else(wrong)?;
        let half = |half: &str| -> Result<u16, Refusal> {
            // tc reads these in decimal, and a policy's reader refuses leading zeros
            let n = match reader.tc {
                true => half.parse().map_err(|_| wrong())?,
                false => integer(half, reader, "a number")?,
            };
            u16::try_from(n).map_err(|_| Refusal::coded(&codes::OUT_OF_RANGE, format!("`{half}` is beyond 16 bits")))
        };
        Ok(Queues { count: half(count)?, offset: half(offset)? })
    }

    fn show(&self) -> String {
        format!("{}@{}", self.count, self.offset)
    }
}

impl Item for Queues {
    const LIST: Info = Info {
        name: "a list of ranges of queues",
        spellings: "`[2@0, 1@2]`: two from queue 0 on, one from queue 2 on",
        schema: Schema::List("^[0-9]+@[0-9]+$"),
    };
}

/// How frames of a traffic class go (IEEE 802.1Q-2018 clause 6.7.2): tc's `E` and `P`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Preemption {
    /// They are never interrupted (`TC_FP_EXPRESS`).
    #[default]
    Express,
    /// Express ones may interrupt them (`TC_FP_PREEMPTIBLE`).
    Preemptible,
}

impl Unit for Preemption {
    const INFO: Info =
        Info { name: "express or preemptible", spellings: "`E` or `P`", schema: Schema::OneOf(&["E", "P"]) };

    fn read(text: &str, _reader: &mut Reader) -> Result<Self, Refusal> {
        match text {
            "E" => Ok(Preemption::Express),
            "P" => Ok(Preemption::Preemptible),
            _ => Err(Refusal::new(format!("`{text}` is neither `E` for express nor `P` for preemptible"))
                .help(format!("write {}", Self::INFO.spellings))),
        }
    }

    fn show(&self) -> String {
        match self {
            Preemption::Express => "E",
            Preemption::Preemptible => "P",
        }
        .to_owned()
    }

    fn number(&self) -> Option<u64> {
        Some(match self {
            Preemption::Express => 1,
            Preemption::Preemptible => 2,
        })
    }

    fn from_number(number: u64) -> Option<Self> {
        match number {
            1 => Some(Preemption::Express),
            2 => Some(Preemption::Preemptible),
            _ => None,
        }
    }
}

impl Item for Preemption {
    const LIST: Info = Info {
        name: "a list of express and preemptible",
        spellings: "`[E, P]`: express, preemptible",
        schema: Schema::List("^[EP]$"),
    };
}
