//! `sfb`: net/sched/sch_sfb.c, tc-sfb(8).

use crate::diagnostic::codes;
use crate::facts::Facts;
use crate::kind::wire::{Attributes, Fields, Malformed, Payload};
use crate::kind::{Attribute, Children, Drops, Finding, Kind, Options, Reset, Role, Row, Rows, attribute};
use crate::rows;
use crate::unit::{Info, Milliseconds, Number, Packets, Reader, Refusal, Schema, Unit, same_in_jiffies, split_amount};

rows! {
    /// Stochastic fair blue.
    pub struct Sfb {
        /// time between two ways of hashing flows into buckets
        rehash: Milliseconds = Row::new("rehash").default("600s");
        /// time before that in which the next way is tried beside the present one
        db: Milliseconds = Row::new("db").default("60s");
        /// packets that may wait in all
        limit: Packets = Row::new("limit").computed("the link's txqueuelen");
        /// packets of one bucket that may wait
        max: Packets = Row::new("max").computed("a quarter more than target, or 25");
        /// packets of one bucket above which its probability rises
        target: Packets = Row::new("target").computed("four fifths of max");
        /// by how much a bucket's probability rises
        increment: Share = Row::new("increment").default("0.0005");
        /// by how much it falls when the bucket is empty
        decrement: Share = Row::new("decrement").default("0.00005");
        /// packets a second that flows which never slow down may send together
        penalty_rate: Number = Row::new("penalty_rate").default("10");
        /// packets that they may send in one go
        penalty_burst: Number = Row::new("penalty_burst").default("20");
    }
}

/// The kind.
pub static KIND: Kind = Kind {
    name: "sfb",
    role: Role::Qdisc,
    doc: "stochastic fair blue: marks or drops packets of flows that fill their buckets, and holds down flows that do not slow down",
    options: || Box::new(Sfb::default()),
    class: None,
    children: Children::Leaf,
    change: true,
    writable: true,
    config: "NET_SCH_SFB",
    module: "sch_sfb",
    attributes: ATTRIBUTES,
    xstats,
};

const PARMS: u16 = 1;

const ATTRIBUTES: &[Attribute] = &[attribute(
    "TCA_SFB_PARMS",
    PARMS,
    &["rehash", "db", "limit", "max", "target", "increment", "decrement", "penalty_rate", "penalty_burst"],
)];

/// A share of one in parts of 65535 (`SFB_MAX_PROB`), as the kernel counts it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct Share(pub u32);

const WHOLE: u32 = 0xffff;

impl Unit for Share {
    const INFO: Info = Info {
        name: "a share of one",
        spellings: "`0.0005` or `0.05%`",
        schema: Schema::Pattern(r"^[0-9]*(\.[0-9]+)?%?$"),
    };

    fn read(text: &str, reader: &mut Reader) -> Result<Self, Refusal> {
        let wrong = || Refusal::new(format!("`{text}` is no share")).help("write `0.0005` or `0.05%`");
        let (number, unit) = split_amount(text, reader).ok_or_else(wrong)?;
        let whole = match unit {
            _ if reader.tc => 1.0, // tc takes no heed of what stands behind the number
            "" => 1.0,
            "%" => 100.0,
            _ => return Err(wrong()),
        };
        match number.parse::<f64>() {
            Ok(n) if (0.0..=whole).contains(&n) => Ok(Share((n / whole * f64::from(WHOLE) + 0.5) as u32)),
            Ok(_) => Err(Refusal::coded(&codes::OUT_OF_RANGE, format!("`{text}` is not between 0 and 1"))),
            Err(_) => Err(wrong()),
        }
    }

    /// With as few digits as tell it from its neighbours.
    fn show(&self) -> String {
        let share = f64::from(self.0) / f64::from(WHOLE);
        let back = |text: &String| Share::read(text, &mut Reader::tc()).ok().as_ref() == Some(self);
        (1..8).map(|digits| format!("{share:.digits$}")).find(back).unwrap_or_else(|| share.to_string())
    }

    fn number(&self) -> Option<u64> {
        Some(u64::from(self.0))
    }

    fn from_number(number: u64) -> Option<Self> {
        u32::try_from(number).ok().map(Share)
    }
}

impl Options for Sfb {
    fn forgets(&self, _word: &str) -> bool {
        true
    }

    fn takes_filters(&self) -> bool {
        true
    }

    /// `struct tc_sfb_qopt`, which tc always sends in full.
    fn encode(&self, out: &mut Attributes, _facts: &Facts) {
        let mut full = self.clone();
        full.settle();
        let Sfb { rehash, db, limit, max, target, increment, decrement, penalty_rate, penalty_burst } = full;
        let opt = Fields::new()
            .u32(rehash.unwrap_or_default().0)
            .u32(db.unwrap_or_default().0)
            .u32(max.unwrap_or_default().0)
            .u32(target.unwrap_or_default().0)
            .u32(increment.unwrap_or_default().0)
            .u32(decrement.unwrap_or_default().0)
            .u32(limit.unwrap_or_default().0)
            .u32(penalty_rate.unwrap_or_default().0)
            .u32(penalty_burst.unwrap_or_default().0);
        out.raw(PARMS, &opt.0);
    }

    fn decode(&mut self, payload: Payload, _facts: &Facts) -> Result<(), Malformed> {
        let Some(opt) = payload.attributes()?.get(PARMS) else { return Ok(()) };
        let mut c = opt.fields();
        self.rehash = Some(Milliseconds(c.u32()?));
        self.db = Some(Milliseconds(c.u32()?));
        self.max = Some(Packets(c.u32()?));
        self.target = Some(Packets(c.u32()?));
        self.increment = Some(Share(c.u32()?));
        self.decrement = Some(Share(c.u32()?));
        // 0 is said in requests only, for the link's txqueuelen
        self.limit = Some(Packets(c.u32()?)).filter(|l| l.0 != 0);
        self.penalty_rate = Some(Number(c.u32()?));
        self.penalty_burst = Some(Number(c.u32()?));
        Ok(())
    }

    fn assume(&mut self, facts: &Facts) {
        self.settle();
        self.limit = self.limit.filter(|l| l.0 != 0).or(Some(Packets(facts.txqueuelen)));
    }

    fn complete(&mut self, _facts: &Facts) {
        self.settle();
    }

    /// The kernel counts the times in jiffies; 0 packets are the link's own length.
    fn same(&self, other: &dyn Options, row: usize, facts: &Facts) -> bool {
        let (Some(a), Some(b)) = (self.slot(row), other.slot(row)) else { return false };
        match (Sfb::ROWS.get(row).map(|r| r.word), a.number(), b.number()) {
            (Some("rehash" | "db"), Some(a), Some(b)) => {
                same_in_jiffies(a * 1000, b * 1000) || a.abs_diff(b) <= 1 && a > 1000
            }
            (Some("limit"), Some(a), Some(b)) => {
                let packets = |n: u64| if n == 0 { u64::from(facts.txqueuelen) } else { n };
                packets(a) == packets(b)
            }
            _ => a.same(b),
        }
    }

    /// A change puts a new pfifo of the limit below, whatever was there (`sfb_change`).
    fn change_resets(&self, _leaf: &str) -> Option<Reset> {
        Some(Reset::Replaced)
    }

    fn change_drops(&self, _held: &dyn Options) -> Option<Drops> {
        Some(Drops::Queue)
    }

    fn check(&self, _facts: &Facts, out: &mut Vec<Finding>) {
        let mut full = self.clone();
        full.settle();
        let packets = |p: Option<Packets>| p.unwrap_or_default().0;
        let (max, target) = (packets(full.max), packets(full.target));
        if max < target {
            let message = format!("a bucket may hold {max} packets and is to rise above {target} only");
            let f = Finding::new(&codes::NO_EFFECT, "target", message).and("max", "");
            out.push(f.help(format!("write `max: {}` or more", target.saturating_mul(5) / 4)));
        }
        let (rehash, db) = (full.rehash.unwrap_or_default(), full.db.unwrap_or_default());
        if rehash.0 != 0 && db.0 >= rehash.0 {
            let message = format!(
                "`db` {} is not below `rehash` {}: both ways of hashing are always in use",
                db.show(),
                rehash.show()
            );
            let f = Finding::new(&codes::NO_EFFECT, "db", message).and("rehash", "");
            out.push(f.help(format!("write `db: {}`", Milliseconds(rehash.0 / 10).show())));
        }
        if full.increment == Some(Share(0)) {
            let f = Finding::new(&codes::NO_EFFECT, "increment", "with an `increment` of 0 no probability ever rises");
            out.push(f.help("write `increment: 0.0005`"));
        }
        if full.decrement == Some(Share(0)) {
            let message =
                "with a `decrement` of 0 no probability ever falls: who was told once to slow down is told for ever";
            let f = Finding::new(&codes::NO_EFFECT, "decrement", message);
            out.push(f.help("write `decrement: 0.00005`"));
        }
    }
}

impl Sfb {
    /// tc's defaults (`sfb_parse_opt`), which are not the kernel's.
    fn settle(&mut self) {
        self.assume_constants();
        let max = self.max.unwrap_or_default().0;
        let target = self.target.unwrap_or_default().0;
        let max = match (max, target) {
            (0, 0) => 25,
            (0, target) => target.wrapping_mul(5).wrapping_add(1) / 4,
            _ => max,
        };
        let target = if target == 0 { max.wrapping_mul(4).wrapping_add(3) / 5 } else { target };
        (self.max, self.target) = (Some(Packets(max)), Some(Packets(target)));
    }
}

/// `struct tc_sfb_xstats`; the probabilities in parts of 65535.
fn xstats(payload: Payload, _: &Facts) -> Vec<(&'static str, u64)> {
    let mut c = payload.fields();
    let names =
        ["earlydrop", "penaltydrop", "bucketdrop", "queuedrop", "childdrop", "marked", "maxqlen", "maxprob", "avgprob"];
    names.into_iter().map_while(|n| Some((n, u64::from(c.u32().ok()?)))).collect()
}
