//! `bpf`: net/sched/cls_bpf.c, tc-bpf(8). A program says which packets: one of classic BPF, which travels as its
//! instructions, or one that was loaded and pinned before, which travels as a file descriptor. To load an object file is
//! the work of a loader. A filter's number is the kernel's to give, from 1 on, unless one is asked.

pub mod machine;

use super::{ACTION, Doing, FLOWID, IN_HW, SKIP_HW, SKIP_SW};
use crate::codes;
use crate::facts::{Facts, Reference};
use crate::kind::action::{Actions, Control};
use crate::kind::program::{self, Named};
use crate::kind::walk::{Asked, Filter, Walk};
use crate::kind::wire::{Attributes, Fields, Malformed, Payload};
use crate::kind::{
    Children, Finding, Kind, Options, Role, Row, Rows, acts, attribute, no_xstats, read_named, row_words,
};
use crate::rows;
use crate::unit::{
    ClassId, Flag, Handle, Info, Name, Number, Octets, Reader, Refusal, Schema, Text, Unit, Words, strtoul,
};
use std::fs;

rows! {
    /// Packets by a program.
    pub struct Bpf {
        /// the program: how many instructions of classic BPF there are, and the four numbers of each
        bytecode: Bytecode = Row::new("bytecode").aliases(&["bc"]);
        /// the path that a program was pinned to, in a file system of type bpf
        pinned: Text = Row::new("object-pinned").aliases(&["pinned", "fd"]);
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
    doc: "takes the packets that a program chooses: one of classic BPF, as `tcpdump -ddd` prints it, or one that was \
          loaded and pinned before",
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
        attribute("TCA_BPF_FD", FD, &["object-pinned"]),
        attribute("TCA_BPF_NAME", NAME, &["name"]),
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
const FD: u16 = 6;
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

/// The rows that say of a program that was loaded before what its number says.
const PROGRAM: [&str; 3] = ["object-pinned", "name", "tag"];

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

/// The four numbers of an instruction. For tc, which scans for them with `sscanf` (`bpf_ops_parse` of lib/bpf_legacy.c), each
/// goes on up to what is no digit of it, and what stands behind the last is passed over.
fn instruction(text: &str, tc: bool) -> Option<Instruction> {
    let mut rest = text;
    let mut number = |most: u32| {
        let (n, behind) = strtoul(rest, 10)?;
        rest = behind;
        (tc || n <= u64::from(most)).then_some(n as u32 & most)
    };
    let (code, jt, jf) = (number(0xffff)? as u16, number(0xff)? as u8, number(0xff)? as u8);
    let k = number(u32::MAX)?;
    (tc || rest.trim().is_empty()).then_some(Instruction { code, jt, jf, k })
}

impl Unit for Bytecode {
    const INFO: Info = Info {
        name: "a program of classic BPF",
        spellings: "`1,6 0 0 4294967295`: the number of instructions, and the four numbers of each",
        schema: Schema::Pattern("^[0-9]+(,[0-9]+ [0-9]+ [0-9]+ [0-9]+)+,?$"),
    };

    fn read(text: &str, reader: &mut Reader) -> Result<Self, Refusal> {
        let wrong = |message: String| Refusal::new(message).help(format!("write {}", Self::INFO.spellings));
        let (count, rest) =
            text.trim_start().split_once(',').ok_or_else(|| wrong(format!("`{text}` is no program of classic BPF")))?;
        let count: usize = count.parse().map_err(|_| wrong(format!("`{count}` is no number of instructions")))?;
        if count == 0 || count > MOST {
            return Err(wrong(format!("{count} instructions: a program has 1 to {MOST}")));
        }
        let mut program = Vec::with_capacity(count);
        for one in rest.strip_suffix(',').unwrap_or(rest).split(',') {
            program.push(instruction(one, reader.tc).ok_or_else(|| wrong(format!("`{one}` is no instruction")))?);
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

impl Bpf {
    fn program(&self) -> Named<'_> {
        Named { pinned: self.pinned.as_ref(), id: self.id, name: self.name.as_ref() }
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

/// Programs of one priority, the youngest first (`cls_bpf_classify`).
struct Programs<'a>(Vec<(Filter<'a>, &'a Bpf)>);

impl Asked for Programs<'_> {
    fn ask(&self, walk: &mut dyn Walk) -> Control {
        for (filter, bpf) in &self.0 {
            let result = match &bpf.bytecode {
                Some(program) => machine::run_to_end(&program.0, walk.packet()),
                None => Err("a program that was loaded before"),
            };
            let result = match result {
                Ok((result, at)) => {
                    walk.returns(at);
                    result
                }
                Err(what) => match walk.settle(&format!("the filter's program takes it, which depends on {what}")) {
                    true => u32::MAX,
                    false => 0,
                },
            };
            let control = if bpf.direct == Some(Flag(true)) {
                let control = Control(result as i32);
                if !VERDICTS.contains(&control) {
                    continue;
                }
                walk.reach(filter, bpf.flowid);
                control
            } else {
                match result {
                    0 => continue,
                    u32::MAX => walk.take(filter, bpf.flowid),
                    class => walk.take(filter, Some(Handle(class))),
                }
            };
            if control.0 >= 0 {
                return control;
            }
        }
        Control::CONTINUE
    }
}

/// What a program may say itself (`cls_bpf_exec_opcode`); to send a packet elsewhere takes a helper that classic BPF does
/// not have.
const VERDICTS: [Control; 4] = [Control::PASS, Control::DROP, Control::STOLEN, Control::TRAP];

impl Options for Bpf {
    fn gather<'a>(&self, priorities: Vec<Vec<Filter<'a>>>) -> Vec<Box<dyn Asked + 'a>> {
        let one = |filters: Vec<Filter<'a>>| {
            let programs = filters.into_iter().rev().filter_map(|f| Some((f, f.options.as_kind::<Bpf>()?)));
            Box::new(Programs(programs.collect())) as Box<dyn Asked + 'a>
        };
        priorities.into_iter().map(one).collect()
    }

    fn encode(&self, out: &mut Attributes, facts: &Facts) {
        let Bpf { bytecode, pinned: _, flowid, direct, skip_hw, skip_sw, action, .. } = self;
        if let Some(flowid) = flowid {
            out.u32(CLASSID, flowid.0);
        }
        DOING.encode(action.as_ref(), out, facts);
        if let Some(program) = bytecode {
            out.u16(OPS_LEN, program.0.len() as u16);
            out.raw(OPS, &program.octets());
        }
        self.program().encode([FD, NAME], out, facts);
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
            pinned: None,
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
        self.id = self.program().number(facts);
        super::complete(self, facts);
    }

    /// Of a program that was loaded before the number is compared.
    fn same(&self, other: &dyn Options, row: usize, facts: &Facts) -> bool {
        PROGRAM.contains(&Bpf::ROWS.get(row).map_or("", |row| row.word)) || super::same(self, other, row, facts)
    }

    fn references(&self) -> Vec<Reference> {
        self.program().reference().into_iter().chain(acts(self).flat_map(|act| act.options.references())).collect()
    }

    fn absent(&self, facts: &Facts) -> Option<Finding> {
        let own = self.program().absent(program::CLASSIFIER, facts);
        own.or_else(|| acts(self).find_map(|act| act.options.absent(facts)))
    }

    fn reword(&mut self, facts: &Facts) -> Result<(), String> {
        self.pinned = self.program().path(facts)?;
        (self.id, self.tag, self.name) = (None, None, None);
        self.action.iter_mut().flat_map(|actions| &mut actions.0).try_for_each(|act| act.options.reword(facts))
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
            "object-file" | "obj" => return Err(program::no_loader()),
            "object-pinned" | "pinned" | "fd" if reader.tc => {
                words.next();
                self.pinned = Some(program::read_path(words)?);
            }
            _ => return read_named(self, word, words, reader),
        }
        Ok(true)
    }

    fn check(&self, facts: &Facts, out: &mut Vec<Finding>) {
        super::check(self, facts, out);
        if self.bytecode.is_none() && self.program().reference().is_none() {
            let f = Finding::new(&codes::MISSING_OPTION, "bytecode", "a filter by a program has none");
            let help = "write `object-pinned: /sys/fs/bpf/NAME`, or `bytecode: 1,6 0 0 4294967295`: what \
                        `tcpdump -ddd` prints, joined by commas";
            out.push(f.help(help));
        }
        if self.bytecode.is_some() && self.pinned.is_some() {
            let f = Finding::new(&codes::BAD_VALUE, "object-pinned", "a filter has one program, and here are two");
            out.push(f.and("bytecode", "the other one").help("leave one of them out"));
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
    use crate::facts::{Found, Program};
    use std::sync::Arc;

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
        for text in ["", "6 0 0 0", "2,6 0 0 0", "1,6 0 0 0,6 0 0 0", "0,", "1,6 0 0", "1,6 0 0 x", "x,6 0 0 0"] {
            assert!(read(&["bytecode", text]).is_err(), "{text}");
        }
        // tc scans for numbers, and a policy has them whole
        for (text, shown) in
            [("1,6 300 0 0x10", "1,6 44 0 0"), ("1,6 0 0 1.5 7", "1,6 0 0 1"), ("1,6 0 0 -1", "1,6 0 0 4294967295")]
        {
            assert_eq!(read(&["bytecode", text]).unwrap().bytecode.unwrap().show(), shown);
            assert!(Bytecode::read(text, &mut Reader::default()).is_err(), "{text}");
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
        for words in [["obj", "prog.o"], ["object-file", "prog.o"]] {
            assert!(read(&words).unwrap_err().help.unwrap().contains("object-pinned"), "{words:?}");
        }
    }

    /// Facts of a machine with one program, number 7, behind one path.
    fn facts(fd: i32, kind: u32) -> Facts {
        let mut programs = Found::default();
        programs.insert(Reference::Pin("/sys/fs/bpf/a b".into()), Ok(Program { fd, id: 7, kind }));
        programs.insert(Reference::Pin("/sys/fs/bpf/none".into()), Err("is not there".into()));
        programs.insert(Reference::Program(7), Ok(Program { fd, id: 7, kind }));
        Facts { programs: Arc::new(programs), ..Facts::default() }
    }

    #[test]
    fn a_pinned_program_travels_as_a_descriptor_and_is_known_by_its_number() {
        let facts = facts(5, program::CLASSIFIER);
        let mut asked = read(&["object-pinned", "/sys/fs/bpf/a b", "sec", "x", "verbose", "da"]).unwrap();
        assert_eq!(asked, read(&["da", "pi", "/sys/fs/bpf/a b"]).unwrap());
        let mut line = Vec::new();
        asked.tc(&mut line);
        assert_eq!(line, ["object-pinned", "/sys/fs/bpf/a b", "direct-action"]);
        assert_eq!(asked.references(), [Reference::Pin("/sys/fs/bpf/a b".into())]);
        let mut out = Attributes::new();
        asked.encode(&mut out, &facts);
        let sent = Payload(&out.bytes).attributes().unwrap();
        assert_eq!((sent.u32(FD).unwrap(), sent.get(NAME).unwrap().text()), (Some(5), "a b:[*fsobj]".to_owned()));
        assert!(asked.absent(&facts).is_none());
        // what the kernel says of it, and of one that was loaded again
        asked.complete(&facts);
        let held =
            |id| Bpf { id: Some(Number(id)), name: Some(Name("n".into())), direct: Some(Flag(true)), ..Bpf::default() };
        let same = |id| {
            (0..Bpf::ROWS.len()).all(|row| Rows::slot(&asked, row).is_none() || asked.same(&held(id), row, &facts))
        };
        assert!(same(7));
        assert!(!same(8));
        // and what goes back to it
        let mut out = Attributes::new();
        held(7).encode(&mut out, &facts);
        assert_eq!(Payload(&out.bytes).attributes().unwrap().u32(FD).unwrap(), Some(5));
        let mut written = held(7);
        written.reword(&facts).unwrap();
        assert_eq!(written.pinned, Some(Text("/sys/fs/bpf/a b".into())));
        assert!(held(8).reword(&facts).unwrap_err().contains("bpftool prog pin id 8"));
    }

    #[test]
    fn a_program_that_is_not_there_or_is_for_something_else_is_told() {
        let absent = |path: &str, kind| read(&["fd", path]).unwrap().absent(&facts(5, kind)).map(|f| f.message);
        assert!(absent("/sys/fs/bpf/none", 3).unwrap().contains("is not there"));
        assert!(absent("/sys/fs/bpf/a b", program::ACTION).unwrap().contains("type 4"));
        assert_eq!(absent("/sys/fs/bpf/nobody-looked", 3), None);
    }
}
