//! `etf`: net/sched/sch_etf.c, tc-etf(8).

use crate::diagnostic::codes;
use crate::facts::Facts;
use crate::kind::wire::{Attributes, Fields, Malformed, Payload};
use crate::kind::{Attribute, Children, Finding, Kind, Options, Role, Row, attribute, no_xstats};
use crate::rows;
use crate::unit::{Clock, Flag, Nanoseconds, Unit};

rows! {
    /// Packets in the order of the times that they are to be sent at.
    pub struct Etf {
        /// let the card send at that time; a card that can is needed
        offload: Flag = Row::new("offload").short().once().flag().default("no").fixed();
        /// the times are deadlines: send as soon as may be, and drop what is too late
        deadline_mode: Flag = Row::new("deadline_mode").short().once().flag().default("no").fixed();
        /// how long before its time a packet is handed to the card
        delta: Nanoseconds = Row::new("delta").short().once().default("0").fixed();
        /// the clock of the times; the kernel takes CLOCK_TAI alone
        clockid: Clock = Row::new("clockid").short().once().fixed();
        /// take packets whose socket has no times as well, for those of taprio
        skip_sock_check: Flag = Row::new("skip_sock_check").once().flag().default("no").fixed();
    }
}

/// The kind.
pub static KIND: Kind = Kind {
    name: "etf",
    role: Role::Qdisc,
    doc: "earliest txtime first: sends each packet at the time that its socket says (SO_TXTIME), and drops what has none",
    options: || Box::new(Etf::default()),
    class: None,
    children: Children::None,
    change: false,
    writable: true,
    config: "NET_SCH_ETF",
    module: "sch_etf",
    attributes: ATTRIBUTES,
    xstats: no_xstats,
};

const PARMS: u16 = 1;
// TC_ETF_…, include/uapi/linux/pkt_sched.h
const DEADLINE_MODE: u32 = 1;
const OFFLOAD: u32 = 2;
const SKIP_SOCK_CHECK: u32 = 4;

const ATTRIBUTES: &[Attribute] =
    &[attribute("TCA_ETF_PARMS", PARMS, &["offload", "deadline_mode", "delta", "clockid", "skip_sock_check"])];

/// No clock: what tc sends where none is named.
const NONE: u32 = u32::MAX;

impl Options for Etf {
    /// `struct tc_etf_qopt`.
    fn encode(&self, out: &mut Attributes, _facts: &Facts) {
        let Etf { offload, deadline_mode, delta, clockid, skip_sock_check } = self;
        let bit = |flag: &Option<Flag>, bit| if *flag == Some(Flag(true)) { bit } else { 0 };
        let flags = bit(offload, OFFLOAD) | bit(deadline_mode, DEADLINE_MODE) | bit(skip_sock_check, SKIP_SOCK_CHECK);
        let delta = delta.unwrap_or_default().0;
        out.raw(PARMS, &Fields::new().u32(delta).u32(clockid.map_or(NONE, |c| c.0)).u32(flags).0);
    }

    fn decode(&mut self, payload: Payload, _facts: &Facts) -> Result<(), Malformed> {
        let Some(opt) = payload.attributes()?.get(PARMS) else { return Ok(()) };
        let mut c = opt.fields();
        let (delta, clock, flags) = (c.u32()?, c.u32()?, c.u32()?);
        let flag = |bit: u32| Some(Flag(flags & bit != 0));
        *self = Etf {
            offload: flag(OFFLOAD),
            deadline_mode: flag(DEADLINE_MODE),
            delta: Some(Nanoseconds(delta)),
            clockid: Clock::from_number(u64::from(clock)),
            skip_sock_check: flag(SKIP_SOCK_CHECK),
        };
        Ok(())
    }

    /// `validate_input_params`.
    fn check(&self, _facts: &Facts, out: &mut Vec<Finding>) {
        match self.clockid {
            None => {
                let f = Finding::new(&codes::MISSING_OPTION, "clockid", "etf wants a `clockid`");
                out.push(f.help("write `clockid: CLOCK_TAI`"));
            }
            Some(clock) if clock != Clock::TAI => {
                let message = format!("the kernel's etf goes by CLOCK_TAI, not by {}", clock.show());
                out.push(Finding::new(&codes::OUT_OF_RANGE, "clockid", message).help("write `clockid: CLOCK_TAI`"));
            }
            Some(_) => {}
        }
    }
}
