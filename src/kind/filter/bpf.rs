//! `bpf`: net/sched/cls_bpf.c, tc-bpf(8). A program says which packets: one of classic BPF, which travels as its
//! instructions, or one that was loaded before, which travels as a file descriptor. The second kind is shown and kept and
//! not made here: to load an object file is the work of a loader, and to open a pinned one takes a system call of its
//! own. Its number is the kernel's to give, from 1 on, unless one is asked.

use super::{ACTION, Doing, FLOWID, IN_HW, SKIP_HW, SKIP_SW};
use crate::codes;
use crate::facts::Facts;
use crate::kind::action::Actions;
use crate::kind::wire::{Attributes, Fields, Malformed, Payload};
use crate::kind::{
    Children, Finding, Kind, Options, Role, Row, Rows, attribute, no_option, no_xstats, read_named, row_words,
};
use crate::rows;
use crate::unit::{ClassId, Flag, Handle, Info, Name, Number, Octets, Reader, Refusal, Schema, Unit, Words};
use std::fs;

rows! {
    /// Packets by a program.
    pub struct Bpf {
        /// the program: how many instructions of classic BPF there are, and the four numbers of each
        bytecode: Bytecode = Row::new("bytecode").aliases(&["bc"]);
        /// the class to send to
        flowid: ClassId = FLOWID;
        /// take what the program returns for the verdict
        direct: Flag = Row::new("direct-action").aliases(&["da"]).flag().default("no");
        /// keep it out of the hardware
        skip_hw: Flag = SKIP_HW;
        /// keep it out of the kernel: hardware only
        skip_sw: Flag = SKIP_SW;
        /// what to do with the packets
        action: Actions = ACTION;
        /// the name of a program that was loaded before: its file and section
        name: Name = Row::new("name").hidden();
        /// the sum over the instructions of a program that was loaded before
        tag: Octets = Row::new("tag").hidden();
        /// the number of a program that was loaded before
        id: Number = Row::new("id").hidden();
        /// whether the kernel says that it is in hardware
        in_hw: Flag = IN_HW;
    }
}

/// The kind.
pub static KIND: Kind = Kind {
    name: "bpf",
    role: Role::Filter,
    doc: "takes the packets that a program chooses; here one of classic BPF, as `tcpdump -ddd` prints it",
    options: || Box::new(Bpf::default()),
    class: None,
    children: Children::None,
    change: true,
    writable: true,
    config: "NET_CLS_BPF",
    module: "cls_bpf",
    attributes: &[
        attribute("TCA_BPF_ACT", 1, &["action"]),
        attribute("TCA_BPF_POLICE", 2, &["action"]),
        attribute("TCA_BPF_CLASSID", 3, &["flowid"]),
        attribute("TCA_BPF_OPS_LEN", 4, &["bytecode"]),
        attribute("TCA_BPF_OPS", 5, &["bytecode"]),
        no_option("TCA_BPF_FD", 6, "a program that somebody has loaded, as a file descriptor of theirs"),
        attribute("TCA_BPF_NAME", 7, &["name"]),
        attribute("TCA_BPF_FLAGS", 8, &["direct-action"]),
        attribute("TCA_BPF_FLAGS_GEN", 9, &["skip_hw", "skip_sw", "in_hw"]),
        attribute("TCA_BPF_TAG", 10, &["tag"]),
        attribute("TCA_BPF_ID", 11, &["id"]),
    ],
    xstats: no_xstats,
};

const CLASSID: u16 = 3;
const OPS_LEN: u16 = 4;
const OPS: u16 = 5;
const NAME: u16 = 7;
const FLAGS: u16 = 8;
const FLAGS_GEN: u16 = 9;
const TAG: u16 = 10;
const ID: u16 = 11;
const DOING: Doing = Doing { action: 1, police: 2 };
/// `TCA_BPF_FLAG_ACT_DIRECT`.
const DIRECT: u32 = 1;
/// `BPF_MAXINSNS`.
const MOST: usize = 4096;

/// tc's words, in the order in which it tries their beginnings; the last of them say where the program is.
const WORDS: &[&str] = &[
    "run",
    "classid",
    "flowid",
    "direct-action",
    "da",
    "skip_hw",
    "skip_sw",
    "action",
    "police",
    "bytecode",
    "=bc",
    "bytecode-file",
    "=bcf",
    "object-file",
    "=obj",
    "object-pinned",
    "pinned",
    "fd",
];

/// An instruction (`struct sock_filter`).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Instruction {
    /// What to do.
    pub code: u16,
    /// How far to jump if it is so.
    pub jt: u8,
    /// How far to jump if it is not.
    pub jf: u8,
    /// What with.
    pub k: u32,
}

/// A program of classic BPF.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Bytecode(pub Vec<Instruction>);

impl Unit for Bytecode {
    const INFO: Info = Info {
        name: "a program of classic BPF",
        spellings: "`1,6 0 0 4294967295`: the number of instructions, and the four numbers of each",
        schema: Schema::Pattern("^[0-9]+(,[0-9]+ [0-9]+ [0-9]+ [0-9]+)+,?$"),
    };

    fn read(text: &str, _reader: &mut Reader) -> Result<Self, Refusal> {
        let wrong = |message: String| Refusal::new(message).help(format!("write {}", Self::INFO.spellings));
        let (count, rest) =
            text.trim_start().split_once(',').ok_or_else(|| wrong(format!("`{text}` is no program of classic BPF")))?;
        let count: usize = count.parse().map_err(|_| wrong(format!("`{count}` is no number of instructions")))?;
        if count == 0 || count > MOST {
            return Err(wrong(format!("{count} instructions: a program has 1 to {MOST}")));
        }
        let mut program = Vec::with_capacity(count);
        for one in rest.strip_suffix(',').unwrap_or(rest).split(',') {
            let read = || {
                let mut numbers = one.split(|c: char| c.is_whitespace() || c == '+').filter(|n| !n.is_empty());
                let instruction = Instruction {
                    code: numbers.next()?.parse().ok()?,
                    jt: numbers.next()?.parse().ok()?,
                    jf: numbers.next()?.parse().ok()?,
                    k: numbers.next()?.parse().ok()?,
                };
                numbers.next().is_none().then_some(instruction)
            };
            program.push(read().ok_or_else(|| wrong(format!("`{one}` is no instruction")))?);
        }
        if program.len() != count {
            return Err(wrong(format!("the program says {count} instructions and has {}", program.len())));
        }
        Ok(Bytecode(program))
    }

    fn show(&self) -> String {
        let one = |i: &Instruction| format!(",{} {} {} {}", i.code, i.jt, i.jf, i.k);
        format!("{}{}", self.0.len(), self.0.iter().map(one).collect::<String>())
    }
}

impl Bytecode {
    /// As it travels: `struct sock_filter` after `struct sock_filter`.
    pub(crate) fn octets(&self) -> Vec<u8> {
        let one = |fields: Fields, i: &Instruction| fields.u16(i.code).u8(i.jt).u8(i.jf).u32(i.k);
        self.0.iter().fold(Fields::new(), one).0
    }

    /// From there.
    pub(crate) fn of_octets(octets: &[u8]) -> Result<Bytecode, Malformed> {
        let one = |bytes: &[u8]| {
            let mut c = Payload(bytes).fields();
            Ok(Instruction { code: c.u16()?, jt: c.u8()?, jf: c.u8()?, k: c.u32()? })
        };
        octets.chunks_exact(8).map(one).collect::<Result<_, _>>().map(Bytecode)
    }

    /// A program in a file, an instruction a line, as tc reads it.
    pub(crate) fn of_file(path: &str) -> Result<Bytecode, Refusal> {
        let text = fs::read_to_string(path)
            .map_err(|error| Refusal::new(format!("the program in `{path}` cannot be read: {error}")))?;
        let lines: Vec<&str> = text.lines().map(|line| line.trim_end_matches(',')).filter(|l| !l.is_empty()).collect();
        Bytecode::read(&lines.join(","), &mut Reader::tc())
            .map_err(|refusal| Refusal { message: format!("`{path}`: {}", refusal.message), ..refusal })
    }
}

impl Options for Bpf {
    fn encode(&self, out: &mut Attributes, facts: &Facts) {
        let Bpf { bytecode, flowid, direct, skip_hw, skip_sw, action, name: _, tag: _, id: _, in_hw: _ } = self;
        if let Some(flowid) = flowid {
            out.u32(CLASSID, flowid.0);
        }
        DOING.encode(action.as_ref(), out, facts);
        if let Some(program) = bytecode {
            out.u16(OPS_LEN, program.0.len() as u16);
            out.raw(OPS, &program.octets());
        }
        super::encode_flags(FLAGS_GEN, *skip_hw, *skip_sw, out);
        if *direct == Some(Flag(true)) {
            out.u32(FLAGS, DIRECT);
        }
    }

    fn decode(&mut self, payload: Payload, facts: &Facts) -> Result<(), Malformed> {
        let a = payload.attributes()?;
        let program = a.get(OPS).map(|p| Bytecode::of_octets(p.0)).transpose()?;
        let [skip_hw, skip_sw, in_hw] = super::decode_flags(a.u32(FLAGS_GEN)?);
        *self = Bpf {
            bytecode: program.filter(|p| !p.0.is_empty()),
            flowid: a.u32(CLASSID)?.map(Handle),
            direct: a.u32(FLAGS)?.map(|flags| Flag(flags & DIRECT != 0)),
            skip_hw,
            skip_sw,
            action: DOING.decode(&a, facts)?,
            name: a.get(NAME).map(|p| Name(p.text().into())),
            tag: a.get(TAG).map(|p| Octets(p.0.to_vec())),
            id: a.u32(ID)?.map(Number),
            in_hw,
        };
        Ok(())
    }

    fn assume(&mut self, facts: &Facts) {
        super::assume(self, facts);
    }

    fn complete(&mut self, facts: &Facts) {
        super::complete(self, facts);
    }

    fn same(&self, other: &dyn Options, row: usize, facts: &Facts) -> bool {
        super::same(self, other, row, facts)
    }

    /// The program is one word.
    fn tc(&self, out: &mut Vec<String>) {
        for (i, row) in Bpf::ROWS.iter().enumerate().filter(|(_, row)| !row.hidden) {
            match (row.word, &self.bytecode, self.slot(i)) {
                ("bytecode", Some(program), _) => out.extend([row.word.to_owned(), program.tc()]),
                (_, _, Some(slot)) => row_words(row, slot, out),
                _ => {}
            }
        }
    }

    fn read_tc(&mut self, words: &mut Words, reader: &mut Reader) -> Result<bool, Refusal> {
        let Some(word) = words.like(WORDS) else { return Ok(false) };
        if super::read_doing(word, &mut self.action, words, reader)? {
            return Ok(true);
        }
        match word {
            "run" => {
                words.next();
            }
            "bytecode-file" | "bcf" => {
                words.next();
                self.bytecode = Some(Bytecode::of_file(words.want("a file")?)?);
            }
            "object-file" | "obj" => {
                return Err(Refusal::new("an object file is loaded by a loader of BPF, which this is not")
                    .help("load it with tc or bpftool; what they attach is shown and left alone here"));
            }
            "object-pinned" | "pinned" | "fd" => {
                return Err(Refusal::new("a pinned program is opened by a system call that is not made here")
                    .help("attach it with tc or bpftool; what they attach is shown and left alone here"));
            }
            _ => return read_named(self, word, words, reader),
        }
        Ok(true)
    }

    fn check(&self, facts: &Facts, out: &mut Vec<Finding>) {
        super::check(self, facts, out);
        if self.bytecode.is_none() {
            let f = Finding::new(&codes::MISSING_OPTION, "bytecode", "a filter by a program has none");
            out.push(f.help("write `bytecode: 1,6 0 0 4294967295`, or what `tcpdump -ddd` prints, joined by commas"));
        }
        if self.direct == Some(Flag(true)) && self.action.is_some() {
            let f = Finding::new(&codes::NO_EFFECT, "action", "the program itself says the verdict");
            out.push(f.and("direct-action", "this takes it"));
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    fn read(words: &[&str]) -> Result<Bpf, Refusal> {
        let words: Vec<String> = words.iter().map(|w| (*w).to_owned()).collect();
        let mut bpf = Bpf::default();
        crate::kind::read_tc(&mut bpf, &mut Words::new(&words), &mut Reader::tc()).map(|()| bpf)
    }

    #[test]
    fn programs_are_numbers_and_count_themselves() {
        let text = "4,48 0 0 9,21 0 1 6,6 0 0 1,6 0 0 0";
        let bpf = read(&["run", "by", text, "fl", "1:1", "da"]).unwrap();
        let mut out = Vec::new();
        bpf.tc(&mut out);
        assert_eq!(out, ["bytecode", text, "flowid", "1:1", "direct-action"]);
        assert_eq!(read(&["bc", "1,6+0+0+0,"]).unwrap().bytecode.unwrap().show(), "1,6 0 0 0");
        for text in ["", "6 0 0 0", "2,6 0 0 0", "1,6 0 0 0,6 0 0 0", "0,", "1,6 0 0", "1,6 300 0 0", "x,6 0 0 0"] {
            assert!(read(&["bytecode", text]).is_err(), "{text}");
        }
    }

    #[test]
    fn a_program_in_a_file_is_one_instruction_a_line() {
        let file = std::env::temp_dir().join(format!("shapectl-bpf-{}", std::process::id()));
        fs::write(&file, "2\n40 0 0 12\n6 0 0 1\n").unwrap();
        let read_file = read(&["bytecode-file", file.to_str().unwrap()]);
        fs::remove_file(&file).unwrap();
        assert_eq!(read_file.unwrap().bytecode.unwrap().show(), "2,40 0 0 12,6 0 0 1");
        assert!(read(&["bcf", "/no/such/file"]).unwrap_err().message.contains("/no/such/file"));
    }

    #[test]
    fn what_a_loader_must_do_is_refused_with_the_reason() {
        for words in [["obj", "prog.o"], ["object-pinned", "/sys/fs/bpf/x"], ["fd", "/sys/fs/bpf/x"]] {
            assert!(read(&words).unwrap_err().help.unwrap().contains("bpftool"), "{words:?}");
        }
    }
}
