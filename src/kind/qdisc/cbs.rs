//! `cbs`: net/sched/sch_cbs.c, tc-cbs(8).

use crate::diagnostic::codes;
use crate::facts::Facts;
use crate::kind::wire::{Attributes, Cursor, Fields, Malformed, Payload};
use crate::kind::{Attribute, Children, Finding, Kind, Options, Role, Row, attribute, no_xstats};
use crate::rows;
use crate::unit::{Info, LogFlag, Rate, Reader, Refusal, Schema, Signed, Unit};

rows! {
    /// The credit-based shaper of IEEE 802.1Q.
    pub struct Cbs {
        /// the most credit, in bytes, that waiting can earn
        hicredit: Signed = Row::new("hicredit").short().once().default("0");
        /// the most debt, in bytes: a negative number
        locredit: Signed = Row::new("locredit").short().once().default("0");
        /// what credit changes by while sending: idleslope less the speed of the port
        sendslope: Slope = Row::new("sendslope").short().once().default("0kbit");
        /// what credit grows by while waiting: the rate that is reserved
        idleslope: Slope = Row::new("idleslope").short().once().default("0kbit");
        /// let the card do it; a card that can is needed
        offload: LogFlag = Row::new("offload").short().once().default("no");
    }
}

/// The kind.
pub static KIND: Kind = Kind {
    name: "cbs",
    role: Role::Qdisc,
    doc: "credit-based shaper: spaces the packets of a stream evenly at its reserved rate. One queue below `mqprio`",
    options: || Box::new(Cbs::default()),
    class: None,
    children: Children::Leaf,
    change: true,
    writable: true,
    config: "NET_SCH_CBS",
    module: "sch_cbs",
    attributes: ATTRIBUTES,
    xstats: no_xstats,
};

const PARMS: u16 = 1;

const ATTRIBUTES: &[Attribute] =
    &[attribute("TCA_CBS_PARMS", PARMS, &["offload", "hicredit", "locredit", "idleslope", "sendslope"])];

/// A rate in kilobits a second that may be negative; a bare number to tc.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct Slope(pub i32);

impl Unit for Slope {
    const INFO: Info = Info {
        name: "a slope",
        spellings: "`20mbit` or `-980mbit`",
        schema: Schema::Pattern(r"^-?[0-9]+(\.[0-9]+)?([kKmMgG]i?)?([bB][iI][tT]|[bB][pP][sS])$"),
    };

    fn read(text: &str, reader: &mut Reader) -> Result<Self, Refusal> {
        let wide = || Refusal::coded(&codes::OUT_OF_RANGE, format!("`{text}` does not fit"));
        if reader.tc {
            return Signed::read(text, reader).map(|n| Slope(n.0));
        }
        let (rate, sign) = text.strip_prefix('-').map_or((text, 1), |rate| (rate, -1));
        let Rate(bits) = Rate::read(rate, reader)?;
        if !bits.is_multiple_of(1000) {
            return Err(Refusal::new(format!("`{text}` is no whole number of kilobits")).help("write `20mbit`"));
        }
        let kilobits = i64::try_from(bits / 1000).map_err(|_| wide())?;
        i32::try_from(sign * kilobits).map(Slope).map_err(|_| wide())
    }

    fn show(&self) -> String {
        let sign = if self.0 < 0 { "-" } else { "" };
        format!("{sign}{}", Rate(u64::from(self.0.unsigned_abs()) * 1000).show())
    }

    fn tc(&self) -> String {
        self.0.to_string()
    }

    /// In two's complement of 32 bits.
    fn number(&self) -> Option<u64> {
        Some(u64::from(self.0 as u32))
    }

    fn from_number(number: u64) -> Option<Self> {
        u32::try_from(number).ok().map(|n| Slope(n as i32))
    }
}

impl Options for Cbs {
    fn forgets(&self, _word: &str) -> bool {
        true
    }

    /// `struct tc_cbs_qopt`: the flag and three octets of nothing, then the figures.
    fn encode(&self, out: &mut Attributes, _facts: &Facts) {
        let Cbs { hicredit, locredit, sendslope, idleslope, offload } = self;
        let opt = Fields::new()
            .u8(u8::from(offload.unwrap_or_default().0))
            .raw(&[0; 3])
            .u32(hicredit.unwrap_or_default().0 as u32)
            .u32(locredit.unwrap_or_default().0 as u32)
            .u32(idleslope.unwrap_or_default().0 as u32)
            .u32(sendslope.unwrap_or_default().0 as u32);
        out.raw(PARMS, &opt.0);
    }

    fn decode(&mut self, payload: Payload, _facts: &Facts) -> Result<(), Malformed> {
        let Some(opt) = payload.attributes()?.get(PARMS) else { return Ok(()) };
        let mut c = opt.fields();
        let [offload, _, _, _] = c.array()?;
        let signed = |c: &mut Cursor| c.u32().map(|n| n as i32);
        self.offload = Some(LogFlag(offload != 0));
        self.hicredit = Some(Signed(signed(&mut c)?));
        self.locredit = Some(Signed(signed(&mut c)?));
        self.idleslope = Some(Slope(signed(&mut c)?));
        self.sendslope = Some(Slope(signed(&mut c)?));
        Ok(())
    }

    fn check(&self, facts: &Facts, out: &mut Vec<Finding>) {
        // whether the card can is the kernel's to say
        let Cbs { hicredit, locredit, sendslope, idleslope, offload: _ } = self;
        let (idle, send) = (idleslope.unwrap_or_default().0, sendslope.unwrap_or_default().0);
        let odd = |row, message: &str| Finding::new(&codes::CBS_SLOPES, row, message);
        if idle <= 0 {
            let f = odd("idleslope", "without an `idleslope` no credit is ever earned: what is in debt waits for ever");
            out.push(f.help("write the rate that is reserved: `idleslope: 20mbit`"));
        }
        if send >= 0 {
            let f = odd("sendslope", "`sendslope` takes no credit away: nothing is shaped");
            out.push(f.help("write `idleslope` less the speed of the port: `sendslope: -980mbit`"));
        }
        if let Some(speed) = facts.speed.filter(|_| idle > 0 && send < 0) {
            let port = i64::try_from(speed.0 / 1000).unwrap_or(i64::MAX);
            let wanted = i64::from(idle) - port;
            if wanted != i64::from(send) {
                let message =
                    format!("`idleslope` less `sendslope` is to be the speed of the port, which is {}", speed.show());
                let f = odd("sendslope", &message).and("idleslope", "");
                let wanted = Slope(i32::try_from(wanted).unwrap_or(i32::MIN));
                out.push(if wanted.0 < 0 {
                    f.help(format!("write `sendslope: {}`", wanted.show()))
                } else {
                    f.help("write an `idleslope` below the speed of the port")
                });
            }
        }
        if hicredit.is_some_and(|c| c.0 < 0) {
            out.push(odd("hicredit", "a `hicredit` below 0 lets nothing out").help("write `hicredit: 30`"));
        }
        if locredit.is_some_and(|c| c.0 > 0) {
            out.push(odd("locredit", "a `locredit` above 0 is never in debt").help("write `locredit: -1470`"));
        }
    }
}
