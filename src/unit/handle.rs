//! Handles and class ids.

use super::c::strtoul;
use super::{Info, Reader, Refusal, Schema, Unit};
use std::fmt;

/// A 32-bit tc handle: `major:minor`, both hexadecimal.
#[derive(Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Handle(pub u32);

impl Handle {
    /// `TC_H_ROOT`: the parent of a root qdisc.
    pub const ROOT: Handle = Handle(0xffff_ffff);
    /// `TC_H_INGRESS` and `TC_H_CLSACT`: the parent of the ingress or clsact qdisc.
    pub const INGRESS: Handle = Handle(0xffff_fff1);
    /// The handle that ingress and clsact qdiscs have.
    pub const HOOK: Handle = Handle(0xffff_0000);
    /// Parent of the ingress filters of clsact (`TC_H_MIN_INGRESS`).
    pub const HOOK_INGRESS: Handle = Handle(0xffff_fff2);
    /// Parent of the egress filters of clsact (`TC_H_MIN_EGRESS`).
    pub const HOOK_EGRESS: Handle = Handle(0xffff_fff3);

    /// From both halves.
    pub const fn new(major: u16, minor: u16) -> Handle {
        Handle((major as u32) << 16 | minor as u32)
    }

    /// The upper half.
    pub const fn major(self) -> u16 {
        (self.0 >> 16) as u16
    }

    /// The lower half.
    pub const fn minor(self) -> u16 {
        self.0 as u16
    }

    /// As tc reads the handle of a qdisc: `1:` or `1`, or `none`. What stands behind the colon does not count.
    ///
    /// # Errors
    /// It is none.
    pub fn of_qdisc(text: &str) -> Result<Handle, Refusal> {
        if text == "none" {
            return Ok(Handle(0));
        }
        let major = strtoul(text, 16).filter(|(_, rest)| rest.is_empty() || rest.starts_with(':'));
        match major.and_then(|(major, _)| u16::try_from(major).ok()) {
            Some(major) => Ok(Handle::new(major, 0)),
            None => Err(Refusal::new(format!("`{text}` is not the handle of a qdisc"))
                .help("write `1:`, the number in hexadecimal, at most ffff")),
        }
    }

    /// As tc reads a class, or a qdisc as a parent: `1:10`, `1:`, `:10`, `root`, `none`, or all 32 bits in hexadecimal.
    ///
    /// # Errors
    /// It is none.
    pub fn of_class(text: &str) -> Result<Handle, Refusal> {
        let wrong = || {
            Refusal::new(format!("`{text}` is not the number of a class or qdisc"))
                .help("write `1:10` or `1:`, both halves in hexadecimal and at most ffff")
        };
        match text {
            "root" => return Ok(Handle::ROOT),
            "none" => return Ok(Handle(0)),
            _ => {}
        }
        let (major, rest) = match strtoul(text, 16) {
            Some(read) => read,
            None if text.starts_with(':') => (0, text),
            None => return Err(wrong()),
        };
        let Some(minor) = rest.strip_prefix(':') else {
            return if rest.is_empty() { Ok(Handle(major as u32)) } else { Err(wrong()) };
        };
        let minor = match minor {
            "" => 0,
            minor => strtoul(minor, 16).filter(|(_, rest)| rest.is_empty()).ok_or_else(wrong)?.0,
        };
        match (u16::try_from(major), u16::try_from(minor)) {
            (Ok(major), Ok(minor)) => Ok(Handle::new(major, minor)),
            _ => Err(wrong()),
        }
    }

    /// Whether it is the ingress hook or something below it.
    pub const fn is_hook(self) -> bool {
        self.major() == 0xffff && self.0 != Handle::ROOT.0
    }
}

impl fmt::Display for Handle {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match *self {
            Handle::ROOT => f.write_str("root"),
            Handle(0) => f.write_str("none"),
            h if h.minor() == 0 => write!(f, "{:x}:", h.major()),
            h => write!(f, "{:x}:{:x}", h.major(), h.minor()),
        }
    }
}

impl fmt::Debug for Handle {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl Unit for Handle {
    const INFO: Info = Info {
        name: "a handle",
        spellings: "`1:`, `1:10` (both halves hexadecimal)",
        schema: Schema::Pattern("^([0-9a-fA-F]{1,4}:[0-9a-fA-F]{0,4}|root|none)$"),
    };

    fn read(text: &str, reader: &mut Reader) -> Result<Self, Refusal> {
        if reader.tc {
            return Handle::of_class(text);
        }
        let wrong =
            || Refusal::new(format!("`{text}` is not a handle")).help(format!("write {}", Self::INFO.spellings));
        match text {
            "root" => return Ok(Handle::ROOT),
            "none" => return Ok(Handle(0)),
            _ => {}
        }
        let half = |s: &str| match s {
            "" => Some(0),
            s => u16::from_str_radix(s, 16).ok(),
        };
        match text.split_once(':') {
            Some((major, minor)) => match (half(major), half(minor)) {
                (Some(major), Some(minor)) => Ok(Handle::new(major, minor)),
                _ => Err(wrong()),
            },
            None => Err(wrong()),
        }
    }

    fn show(&self) -> String {
        self.to_string()
    }

    fn number(&self) -> Option<u64> {
        Some(u64::from(self.0))
    }

    fn from_number(number: u64) -> Option<Self> {
        u32::try_from(number).ok().map(Handle)
    }
}

/// The class a filter sends to, `flowid` or `classid` in tc.
pub type ClassId = Handle;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn handles_have_their_spellings() {
        for (text, expected) in [
            ("1:", Some(0x1_0000)),
            ("1", Some(0x1_0000)),
            ("ffff:", Some(0xffff_0000)),
            ("0x10:", Some(0x10_0000)),
            ("1:5", Some(0x1_0000)),
            ("none", Some(0)),
            ("10000:", None),
            (":1", None),
            ("root", None),
        ] {
            assert_eq!(Handle::of_qdisc(text).ok(), expected.map(Handle), "{text}");
        }
        for (text, expected) in [
            ("1:10", Some(0x1_0010)),
            ("1:", Some(0x1_0000)),
            (":10", Some(0x10)),
            ("10", Some(0x10)),
            ("ffff0000", Some(0xffff_0000)),
            ("root", Some(0xffff_ffff)),
            ("none", Some(0)),
            ("ffff:fff1", Some(0xffff_fff1)),
            ("1:10000", None),
            ("10000:1", None),
            ("1:1:1", None),
            ("1:x", None),
            ("x", None),
        ] {
            assert_eq!(Handle::of_class(text).ok(), expected.map(Handle), "{text}");
        }
    }
}
