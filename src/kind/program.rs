//! Programs of BPF that were loaded and pinned before, as the filter and the action `bpf` name them.
//!
//! Such a program travels as a file descriptor of whoever sends it; the kernel keeps the program, and says its number and
//! the sum of its instructions. Two references to the same program are the same whatever its path is called, and a program
//! that was loaded anew has another number.

use super::{Finding, wire::Attributes};
use crate::codes;
use crate::facts::{Facts, Program, Reference};
use crate::unit::{Name, Number, Reader, Refusal, Text, Unit, Words};
use compact_str::{CompactString, format_compact};

/// `BPF_PROG_TYPE_SCHED_CLS`.
pub(super) const CLASSIFIER: u32 = 3;
/// `BPF_PROG_TYPE_SCHED_ACT`.
pub(super) const ACTION: u32 = 4;

/// The program that options name: by its path as asked, by its number as held.
#[derive(Clone, Copy, Debug)]
pub(super) struct Named<'a> {
    pub pinned: Option<&'a Text>,
    pub id: Option<Number>,
    pub name: Option<&'a Name>,
}

impl Named<'_> {
    /// What has to be looked for.
    pub fn reference(self) -> Option<Reference> {
        match (self.pinned, self.id) {
            (Some(path), _) => Some(Reference::Pin(path.0.clone())),
            (None, id) => id.map(|id| Reference::Program(id.0)),
        }
    }

    fn found(self, facts: &Facts) -> Option<Program> {
        facts.programs.get(&self.reference()?)?.ok().copied()
    }

    /// The number of a program that is asked for by its path.
    pub fn number(self, facts: &Facts) -> Option<Number> {
        self.found(facts).map(|program| Number(program.id)).or(self.id)
    }

    /// Appends the descriptor and the name that tc gives it: the last part of the path, and that it is a pinned one.
    pub fn encode(self, [fd, name]: [u16; 2], out: &mut Attributes, facts: &Facts) {
        let Some(program) = self.found(facts) else { return };
        out.u32(fd, program.fd.cast_unsigned());
        let told: Option<CompactString> = match self.pinned {
            Some(path) => Some(format_compact!("{}:[*fsobj]", path.0.rsplit('/').next().unwrap_or_default())),
            None => self.name.map(|name| name.0.clone()),
        };
        if let Some(told) = told {
            out.text(name, &told);
        }
    }

    /// What there is to say of a program that is not there, or is made for something else than `kind`.
    pub fn absent(self, kind: u32, facts: &Facts) -> Option<Finding> {
        let reference = self.reference()?;
        let what = match &reference {
            Reference::Pin(path) => format!("`{path}`"),
            Reference::Program(id) => format!("program {id}"),
            Reference::Set(_) | Reference::SetNumber(_) => return None,
        };
        let message = match facts.programs.get(&reference)? {
            Ok(program) if program.kind == kind => return None,
            Ok(program) => format!("{what} is a program of type {}, and one of type {kind} is wanted", program.kind),
            Err(why) => format!("{what} {why}"),
        };
        let help = "`bpftool prog show pinned PATH` tells what is there; `bpftool prog load FILE PATH` pins one";
        Some(Finding::new(&codes::UNKNOWN_NAME, "object-pinned", message).help(help))
    }

    /// The path that says the same as a number.
    pub fn path(self, facts: &Facts) -> Result<Option<Text>, String> {
        let (None, Some(Number(id))) = (self.pinned, self.id) else { return Ok(self.pinned.cloned()) };
        let what = self.name.map_or_else(String::new, |name| format!(" (`{}`)", name.0));
        let pin = facts.programs.pin_of(id);
        pin.map(|path| Some(Text(path.into()))).ok_or_else(|| {
            format!("program {id}{what}, which is pinned nowhere (`bpftool prog pin id {id} /sys/fs/bpf/NAME` pins it)")
        })
    }
}

/// Reads a path and the words that tc takes behind one and has no use for.
pub(super) fn read_path(words: &mut Words) -> Result<Text, Refusal> {
    let path = Text::read(words.want("the path of a pinned program")?, &mut Reader::tc())?;
    for word in ["section", "program", "export"] {
        if words.take_short(word) {
            words.want("a name")?;
        }
    }
    words.take_short("verbose");
    Ok(path)
}

/// What stands for a path that a loader has to read.
pub(super) fn no_loader() -> Refusal {
    Refusal::new("an object file is loaded by a loader of BPF, which this is not").help(
        "`bpftool prog load FILE /sys/fs/bpf/NAME` loads and pins it; then write `object-pinned /sys/fs/bpf/NAME`",
    )
}
