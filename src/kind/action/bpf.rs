//! `bpf`: net/sched/act_bpf.c, tc-bpf(8). A program says the verdict: one of classic BPF, or one that was loaded and pinned
//! before, which travels as a file descriptor of whoever sends it.

use super::control::{CONTROL, Control, INDEX, Index, figures, head, read_end, read_head};
use crate::diagnostic::codes;
use crate::facts::{Facts, Reference};
use crate::kind::filter::bpf::{Bytecode, machine};
use crate::kind::program::{self, Named};
use crate::kind::walk::Walk;
use crate::kind::wire::{Attributes, Malformed, Payload};
use crate::kind::{
    Children, Finding, Kind, Options, Role, Row, Rows, attribute, no_option, read_row, row_words, same_row,
};
use crate::rows;
use crate::unit::{Name, Number, Octets, Reader, Refusal, Text, Unit, Words, begins};

rows! {
    /// A verdict by a program.
    pub struct Bpf {
        /// the program: how many instructions of classic BPF there are, and the four numbers of each
        bytecode: Bytecode = Row::new("bytecode").aliases(&["bc"]);
        /// the path that a program was pinned to, in a file system of type bpf
        pinned: Text = Row::new("object-pinned").aliases(&["pinned", "fd"]);
        /// the name of a program that was loaded before: its file and section
        name: Name = Row::new("name").hidden();
        /// the sum over the instructions of a program that was loaded before
        tag: Octets = Row::new("tag").hidden();
        /// the number of a program that was loaded before
        id: Number = Row::new("id").hidden();
        /// what becomes of the packet where the program says no verdict of its own
        control: Control = CONTROL.default("pipe");
        /// the number under which several filters share the action
        index: Index = INDEX;
    }
}

/// The kind.
pub static KIND: Kind = Kind {
    name: "bpf",
    role: Role::Action,
    doc: "lets a program say what becomes of the packet: one of classic BPF, as `tcpdump -ddd` prints it, or one that was \
          loaded and pinned before",
    options: || Box::new(Bpf::default()),
    class: None,
    children: Children::None,
    change: true,
    writable: true,
    config: "NET_ACT_BPF",
    module: "act_bpf",
    attributes: &[
        no_option("TCA_ACT_BPF_TM", TM, "times, which are figures"),
        attribute("TCA_ACT_BPF_PARMS", PARMS, &["control", "index"]),
        attribute("TCA_ACT_BPF_OPS_LEN", OPS_LEN, &["bytecode"]),
        attribute("TCA_ACT_BPF_OPS", OPS, &["bytecode"]),
        attribute("TCA_ACT_BPF_FD", FD, &["object-pinned"]),
        attribute("TCA_ACT_BPF_NAME", NAME, &["name"]),
        no_option("TCA_ACT_BPF_PAD", 7, "padding only"),
        attribute("TCA_ACT_BPF_TAG", TAG, &["tag"]),
        attribute("TCA_ACT_BPF_ID", ID, &["id"]),
    ],
    xstats: |payload, _| figures(PARMS, TM, payload),
};

const TM: u16 = 1;
const PARMS: u16 = 2;
const OPS_LEN: u16 = 3;
const OPS: u16 = 4;
const FD: u16 = 5;
const NAME: u16 = 6;
const TAG: u16 = 8;
const ID: u16 = 9;

impl Bpf {
    fn program(&self) -> Named<'_> {
        Named { pinned: self.pinned.as_ref(), id: self.id, name: self.name.as_ref() }
    }

    /// Reads where the program is, as tc's `bpf_do_parse` does.
    fn read_program(&mut self, words: &mut Words, reader: &mut Reader) -> Result<(), Refusal> {
        let word = words.want("a program")?;
        if begins(word, "bytecode") || word == "bc" {
            self.bytecode = Some(Bytecode::read_words(words, reader)?);
        } else if begins(word, "bytecode-file") || word == "bcf" {
            self.bytecode = Some(Bytecode::of_file(words.want("a file")?)?);
        } else if begins(word, "object-file") || word == "obj" {
            return Err(program::no_loader());
        } else if begins(word, "object-pinned") || begins(word, "pinned") || begins(word, "fd") {
            self.pinned = Some(program::read_path(words)?);
        } else {
            return Err(Refusal::new(format!("`{word}` says of no program where it is"))
                .help("write `bytecode '1,6 0 0 4294967295'`, `bytecode-file FILE` or `object-pinned PATH`"));
        }
        Ok(())
    }
}

impl Options for Bpf {
    /// `tcf_bpf_act`: a verdict of the program's own, or 0 and everything else for the action's.
    fn act(&self, walk: &mut dyn Walk) -> Control {
        let control = self.control.unwrap_or(Control::PIPE);
        let Some(program) = &self.bytecode else {
            walk.note(None, &|| "what a program that was loaded before says is not known here".to_owned());
            return control;
        };
        match machine::run(&program.0, walk.packet()) {
            Ok(result) => match Control(result as i32) {
                Control::CONTINUE => control,
                verdict @ (Control::PIPE | Control::RECLASSIFY | Control::PASS | Control::DROP) => verdict,
                _ => Control::CONTINUE,
            },
            Err(what) => {
                walk.note(None, &|| format!("what the program says depends on {what}"));
                control
            }
        }
    }

    fn encode(&self, out: &mut Attributes, facts: &Facts) {
        if let Some(program) = &self.bytecode {
            out.u16(OPS_LEN, program.0.len() as u16);
            out.raw(OPS, &program.octets());
        }
        self.program().encode([FD, NAME], out, facts);
        out.raw(PARMS, &head(self.index, self.control.unwrap_or(Control::PIPE)).0);
    }

    fn decode(&mut self, payload: Payload, _facts: &Facts) -> Result<(), Malformed> {
        let attributes = payload.attributes()?;
        if let Some(parms) = attributes.get(PARMS) {
            (self.index, self.control) = read_head(&mut parms.fields())?;
        }
        let program = attributes.get(OPS).map(|p| Bytecode::of_octets(p.0)).transpose()?;
        self.bytecode = program.filter(|p| !p.0.is_empty());
        self.name = attributes.get(NAME).map(|p| Name(p.text().into()));
        self.tag = attributes.get(TAG).map(|p| Octets(p.0.to_vec()));
        self.id = attributes.u32(ID)?.map(Number);
        Ok(())
    }

    fn complete(&mut self, facts: &Facts) {
        self.id = self.program().number(facts);
    }

    /// Of a program that was loaded before the number is compared.
    fn same(&self, other: &dyn Options, row: usize, _facts: &Facts) -> bool {
        let word = Bpf::ROWS.get(row).map_or("", |row| row.word);
        ["object-pinned", "name", "tag"].contains(&word) || same_row(self, other, row)
    }

    fn references(&self) -> Vec<Reference> {
        self.program().reference().into_iter().collect()
    }

    fn absent(&self, facts: &Facts) -> Option<Finding> {
        self.program().absent(program::ACTION, facts)
    }

    fn reword(&mut self, facts: &Facts) -> Result<(), String> {
        self.pinned = self.program().path(facts)?;
        (self.id, self.tag, self.name) = (None, None, None);
        Ok(())
    }

    /// The program is one word, and has signs for blanks, which part words.
    fn tc(&self, out: &mut Vec<String>) {
        for (i, row) in Bpf::ROWS.iter().enumerate().filter(|(_, row)| !row.hidden) {
            match (row.word, &self.bytecode, self.slot(i)) {
                ("bytecode", Some(program), _) => out.extend([row.word.to_owned(), program.tc().replace(' ', "+")]),
                (_, _, Some(slot)) => row_words(row, slot, out),
                _ => {}
            }
        }
    }

    fn read_tc(&mut self, words: &mut Words, reader: &mut Reader) -> Result<bool, Refusal> {
        if !reader.tc {
            return read_row(self, words, reader);
        }
        if *self != Bpf::default() {
            return Ok(false);
        }
        let numbered = words.peek().is_some_and(|word| begins(word, "index"));
        if words.take_short("run") || !numbered {
            self.read_program(words, reader)?;
        }
        read_end(&mut self.control, &mut self.index, words, reader)?;
        Ok(true)
    }

    fn check(&self, _facts: &Facts, out: &mut Vec<Finding>) {
        if self.bytecode.is_none() && self.index.is_none() && self.program().reference().is_none() {
            let f = Finding::new(&codes::MISSING_OPTION, "bytecode", "a verdict by a program, and there is none");
            let help = "write `object-pinned: /sys/fs/bpf/NAME`, or `bytecode: 1,6 0 0 4294967295`: what \
                        `tcpdump -ddd` prints, joined by commas";
            out.push(f.help(help));
        }
        if self.bytecode.is_some() && self.pinned.is_some() {
            let f = Finding::new(&codes::BAD_VALUE, "object-pinned", "an action has one program, and here are two");
            out.push(f.and("bytecode", "the other one").help("leave one of them out"));
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
    fn a_program_is_read_and_travels() {
        let text = "4,48 0 0 9,21 0 1 6,6 0 0 1,6 0 0 0";
        let bpf = read(&["run", "byt", text, "drop", "index", "5"]).unwrap();
        let mut line = Vec::new();
        bpf.tc(&mut line);
        assert_eq!(line, ["bytecode", &text.replace(' ', "+"), "drop", "index", "5"]);
        let mut out = Attributes::new();
        bpf.encode(&mut out, &Facts::default());
        let mut held = Bpf::default();
        held.decode(Payload(&out.bytes), &Facts::default()).unwrap();
        assert_eq!(held, bpf);
        assert_eq!(read(&["index", "5"]).unwrap().index, Some(Index(5)));
        let pinned = read(&["object-p", "/sys/fs/bpf/x", "drop"]).unwrap();
        assert_eq!((pinned.pinned, pinned.control), (Some(Text("/sys/fs/bpf/x".into())), Some(Control::DROP)));
        for words in [vec!["obj", "prog.o"], vec!["object-pinned"], vec!["index"], vec!["prog"]] {
            assert!(read(&words).is_err(), "{words:?}");
        }
        assert!(read(&["obj", "prog.o"]).unwrap_err().help.unwrap().contains("object-pinned"));
    }
}
