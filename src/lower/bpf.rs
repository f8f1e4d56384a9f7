//! Rules as one program of classic BPF, for net/sched/cls_bpf.c: what it returns is the class.
//!
//! The program first finds out, as far as its rules ask for it, the protocol, the VLAN, the transport protocol and where
//! its header begins: behind IPv4's options, behind up to [`STEPS`] extension headers of IPv6, and not in later fragments.
//! Then the rules stand one after the other; the first that holds returns.
//!
//! Bytes are read from the network header (`SKF_NET_OFF`) and from the link's (`SKF_LL_OFF`), wherever the kernel's data
//! begins on that hook. Such a read sees the linear part of a packet, in which the kernel keeps headers. A read beyond it
//! ends the program, and no rule of it takes the packet; what may lie beyond the end of a packet is held against its length
//! first, so that a short packet only fails that test.
//!
//! A long list of rules about one field each, such as an address of either end, is no such row of tests: each field is
//! looked up by halves among the values of the list, which tells the first rule that has it, and of the rules that the
//! fields tell the earliest returns ([`by_fields`]).
//!
//! It is written from its end to its beginning: where a jump leads to is known then, and one that is too far for its eight
//! bits goes over a `ja`.

use super::cube::{At, Base, FRAGMENT, Field, Formula, Key, Known, LATER, TAGGED, merged};
use super::matching::{IPV4, IPV6, is_behind};
use crate::kind::filter::bpf::{Bytecode, Instruction};
use std::collections::{BTreeMap, HashMap};

/// `BPF_MAXINSNS`.
pub const MOST: usize = 4096;
/// The most of a program for several rules: tc's messages have room for no more (`MAX_MSG` of 16 kB), and a script is to
/// run.
pub const JOINED: usize = 2000;
/// Extension headers that are walked over.
const STEPS: usize = 5;

// include/uapi/linux/bpf_common.h
const LD_ABS_W: u16 = 0x20;
const LD_ABS_H: u16 = 0x28;
const LD_ABS_B: u16 = 0x30;
const LD_IND_W: u16 = 0x40;
const LD_IND_H: u16 = 0x48;
const LD_IND_B: u16 = 0x50;
const LD_IMM: u16 = 0x00;
const LD_MEM: u16 = 0x60;
const LD_LEN: u16 = 0x80;
const LDX_IMM: u16 = 0x01;
const LDX_MEM: u16 = 0x61;
const LDX_MSH: u16 = 0xb1;
const ST: u16 = 0x02;
const STX: u16 = 0x03;
const ADD_K: u16 = 0x04;
const ADD_X: u16 = 0x0c;
const OR_K: u16 = 0x44;
const AND_K: u16 = 0x54;
const LSH_K: u16 = 0x64;
const JA: u16 = 0x05;
const JEQ_K: u16 = 0x15;
const JGT_K: u16 = 0x25;
const JGE_K: u16 = 0x35;
const JSET_K: u16 = 0x45;
const JGE_X: u16 = 0x3d;
const RET_K: u16 = 0x06;
const TAX: u16 = 0x07;
const TXA: u16 = 0x87;

// include/uapi/linux/filter.h
const AD: u32 = 0xffff_f000;
const AD_PROTOCOL: u32 = AD;
const AD_MARK: u32 = AD + 20;
const AD_VLAN_TAG: u32 = AD + 44;
const AD_VLAN_PRESENT: u32 = AD + 48;
const AD_VLAN_TPID: u32 = AD + 60;
const NET: u32 = 0xfff0_0000;
const LINK: u32 = 0xffe0_0000;

// the scratch memory
const ETHER: u32 = 0;
const VLAN: u32 = 1;
const PROTO: u32 = 2;
const PIECES: u32 = 3;
const TRANSPORT: u32 = 4;
const FIRST: u32 = 5;

/// A further bit of [`PIECES`]: there are not even four bytes of a transport header.
const SHORT: u32 = 4;
/// Bytes of the transport header that are there unless [`SHORT`] is set.
const SEEN: u32 = 4;
/// Of Ethernet's header; hardware addresses are counted back from its end.
const ETHERNET: i32 = 14;
/// Bytes of the shortest IP header.
const SURE: i32 = 20;

/// What the program has to find out first.
#[derive(Clone, Copy, Debug, Default)]
struct Uses {
    ether: bool,
    vlan: bool,
    transport: bool,
}

/// What a formula looks at that no program of classic BPF knows.
pub fn unknown(formula: &Formula) -> Option<Known> {
    let mut found = None;
    formula.visit(&mut |leaf| {
        let at = match leaf {
            Formula::In(Field { base: Base::Known(known), .. }, _) => Some(*known),
            Formula::Masked(Field { base: Base::Known(known), .. }, _) => Some(*known),
            Formula::Word(Key { at: At::Known(known), .. }) => Some(*known),
            _ => None,
        };
        if let Some(Known::ConnMark | Known::Priority | Known::Cgroup | Known::Iif) = at {
            found = at;
        }
    });
    found
}

/// Whether a formula has words as they are written that lie before the link's header.
pub fn before_the_packet(formula: &Formula) -> bool {
    let mut found = false;
    formula.visit(&mut |leaf| {
        found |= matches!(leaf, Formula::Word(Key { at: At::Offset(o), .. }) if *o < -ETHERNET);
    });
    found
}

/// A program, and at which of its instructions it returns for which rule, by its place in the list.
#[derive(Clone, Debug)]
pub struct Program {
    /// The instructions.
    pub code: Bytecode,
    /// Where it returns, in no order.
    pub returns: Vec<(usize, usize)>,
}

/// The program of rules in their order, each with what it returns; 0 is returned if none holds. `header` are the bytes of
/// the link's header. `None` if it would be longer than [`MOST`].
pub fn program<'f>(rules: impl DoubleEndedIterator<Item = (&'f Formula, u32)>, header: u32) -> Option<Program> {
    let mut out = Assembler::new(header);
    let mut next = out.put(RET_K, 0);
    let rules: Vec<_> = rules.collect();
    for (rule, (formula, result)) in rules.into_iter().enumerate().rev() {
        let found = out.returns_for(rule, result);
        next = out.formula(formula, found, next);
        if out.code.len() > MOST {
            return None;
        }
    }
    out.reach(next);
    out.finish()
}

/// The values of one field that a rule is about: addresses of one end, or bits of one word.
#[derive(Clone, Copy, Debug)]
pub struct Lone {
    /// Whether of IPv6.
    pub six: bool,
    /// The field.
    pub field: Field,
    /// The first and the last value.
    pub range: (u128, u128),
    /// The rule, by its place in the list.
    pub rule: usize,
}

/// What stands for no rule while a program looks for the first.
const NO_RULE: u32 = u32::MAX;

/// The program of rules that are about one field each, given in the order of the rules: the first rule that has one of a
/// packet's fields returns its result, and 0 is returned if none has. `None` if it would be longer than [`MOST`].
pub fn by_fields(ends: &[Lone], results: &[u32], header: u32) -> Option<Program> {
    let mut out = Assembler::new(header);
    let none = out.put(RET_K, 0);
    let found = out.choose(0, results);
    let decide = out.branch(JEQ_K, NO_RULE, none, found);
    let six = out.first_of(ends.iter().filter(|end| end.six), decide, none);
    let four = out.first_of(ends.iter().filter(|end| !end.six), decide, none);
    let next = out.branch(JEQ_K, IPV6.into(), six, none);
    out.branch(JEQ_K, IPV4.into(), four, next);
    let load = out.load_of(Base::Known(Known::Ether))?;
    out.load(load, u32::MAX, u32::MAX, none);
    out.finish()
}

/// For each address the first rule that has it, as ranges in order. `ranges` are in the order of their rules.
fn earliest(ranges: impl Iterator<Item = ((u128, u128), usize)>) -> Vec<Placed> {
    let mut found: BTreeMap<u128, (u128, u32)> = BTreeMap::new();
    for ((from, to), rule) in ranges {
        let behind = |end: u128| end.checked_add(1).filter(|next| *next <= to);
        let before = found.range(..from).next_back().map(|(_, (end, _))| *end).filter(|end| *end >= from);
        let mut next = before.map_or(Some(from), behind);
        while let Some(at) = next {
            let taken = found.range(at..=to).next().map(|(from, (end, _))| (*from, *end));
            let end = taken.map_or(Some(to), |(from, _)| from.checked_sub(1).filter(|end| *end >= at));
            if let Some(end) = end {
                found.insert(at, (end, rule as u32));
            }
            next = taken.and_then(|(_, end)| behind(end));
        }
    }
    found.into_iter().map(|(from, (to, rule))| (from, to, rule)).collect()
}

/// A range of addresses and the first rule that has them.
type Placed = (u128, u128, u32);

/// What a value of a word leads to.
enum Leads {
    /// A rule.
    To(u32),
    /// The next word.
    On(Vec<Placed>),
}

/// Parts ranges by the bits of their values that one load reads, of which `lower` bits stand behind it.
fn by_load(ranges: &[Placed], width: u32, lower: u32) -> Vec<(u32, u32, Leads)> {
    let ones = (1_u128 << lower) - 1;
    let word = |value: u128| (value >> lower) as u32 & u32::MAX >> (32 - width);
    let mut out: Vec<(u32, u32, Leads)> = Vec::new();
    for (from, to, rule) in ranges {
        let (mut first, mut last) = (word(*from), word(*to));
        let mut part = |at: u32, from: u128, to: u128| match out.last_mut() {
            Some((_, end, Leads::On(list))) if *end == at => list.push((from, to, *rule)),
            _ => out.push((at, at, Leads::On(vec![(from, to, *rule)]))),
        };
        if first == last && (from & ones != 0 || to & ones != ones) {
            part(first, *from, *to);
            continue;
        }
        let tail = (to & ones != ones).then_some(last);
        if from & ones != 0 {
            part(first, *from, from | ones);
            first += 1;
        }
        last -= u32::from(tail.is_some());
        if first <= last {
            out.push((first, last, Leads::To(*rule)));
        }
        out.extend(tail.map(|at| (at, at, Leads::On(vec![(to & !ones, *to, *rule)]))));
    }
    out
}

/// A place in the program: how many instructions there are from it to the end.
type Label = usize;

struct Assembler {
    /// The last one first.
    code: Vec<Instruction>,
    header: u32,
    uses: Uses,
    /// The last jump to each place that a conditional jump could not reach.
    hops: HashMap<Label, Label>,
    /// Where it returns for which rule.
    returns: Vec<(Label, usize)>,
}

/// A part of a field that one load reads.
#[derive(Clone, Copy)]
struct Chunk {
    load: Load,
    /// The bits of the field that are in it, counted as the field is.
    from: i32,
    to: i32,
    /// Where its last bit is.
    end: i32,
    /// The bits of the load that are the field's.
    mask: u32,
    /// All bits of the load.
    whole: u32,
}

#[derive(Clone, Copy)]
enum Load {
    /// So many bytes at an absolute place.
    At(u32, u32),
    /// So many bytes of the transport header.
    Beyond(u32, u32),
    /// A word of the scratch memory.
    Memory(u32),
}

impl Chunk {
    /// The part of a value of the whole field.
    fn part(&self, field: Field, value: u128) -> u32 {
        let end = field.start + field.width as i32;
        let ones = u32::MAX >> (32 - (self.to - self.from));
        ((value >> (end - self.to)) as u32 & ones) << (self.end - self.to)
    }
}

/// Which bounds of a range still count.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Bounds {
    Both,
    Lower,
    Upper,
}

impl Assembler {
    fn new(header: u32) -> Assembler {
        let (hops, returns) = (HashMap::new(), Vec::new());
        Assembler { code: Vec::new(), header, uses: Uses::default(), hops, returns }
    }

    /// The program, with what it has to find out first; `None` if it is too long.
    fn finish(mut self) -> Option<Program> {
        self.prologue();
        self.code.reverse();
        let length = self.code.len();
        let returns = self.returns.iter().map(|(label, rule)| (length - label, *rule)).collect();
        (length <= MOST).then_some(Program { code: Bytecode(self.code), returns })
    }

    /// Returns what a rule is to return.
    fn returns_for(&mut self, rule: usize, result: u32) -> Label {
        let label = self.put(RET_K, result);
        self.returns.push((label, rule));
        label
    }

    fn here(&self) -> Label {
        self.code.len()
    }

    /// Puts an instruction before all that is there.
    fn put(&mut self, code: u16, k: u32) -> Label {
        self.code.push(Instruction { code, jt: 0, jf: 0, k });
        self.here()
    }

    /// Sees to it that what is put next is followed by what is at a label.
    fn reach(&mut self, label: Label) {
        if label != self.here() {
            let distance = self.here() - label;
            self.put(JA, distance as u32);
        }
    }

    /// The label, or a way to it that a conditional jump can take.
    fn near(&mut self, label: Label) -> Label {
        if self.here() - label <= 250 {
            return label;
        }
        if let Some(hop) = self.hops.get(&label).filter(|hop| self.here() - **hop <= 250) {
            return *hop;
        }
        self.reach(label);
        self.hops.insert(label, self.here());
        self.here()
    }

    fn branch(&mut self, code: u16, k: u32, yes: Label, no: Label) -> Label {
        let (yes, no) = (self.near(yes), self.near(no));
        let here = self.here();
        self.code.push(Instruction { code, jt: (here - yes) as u8, jf: (here - no) as u8, k });
        self.here()
    }

    /// Goes on at `yes` or `no`; gives the place where that is decided.
    fn formula(&mut self, formula: &Formula, yes: Label, no: Label) -> Label {
        match formula {
            Formula::All(parts) => parts.iter().rev().fold(yes, |next, part| self.formula(part, next, no)),
            Formula::Any(parts) => parts.iter().rev().fold(no, |next, part| self.formula(part, yes, next)),
            Formula::Not(inner) => self.formula(inner, no, yes),
            Formula::Guarded(guard, inner) => {
                let inner = self.formula(inner, yes, no);
                self.formula(guard, inner, no)
            }
            Formula::In(field, ranges) => self.ranges(*field, &merged(ranges), yes, no),
            Formula::Masked(field, items) => {
                items.iter().rev().fold(no, |next, (value, mask)| self.masked(*field, *value, *mask, yes, next))
            }
            Formula::Word(key) => self.word(*key, yes, no),
        }
    }

    fn load_of(&mut self, base: Base) -> Option<Load> {
        Some(match base {
            Base::Known(Known::Mark) => Load::At(AD_MARK, 4),
            Base::Known(Known::Inner) => Load::At(AD_PROTOCOL, 4),
            Base::Known(Known::Ether) => {
                self.uses.ether = true;
                Load::Memory(ETHER)
            }
            Base::Known(Known::Vlan) => {
                self.uses.vlan = true;
                Load::Memory(VLAN)
            }
            Base::Known(known @ (Known::Proto | Known::Pieces)) => {
                self.uses.transport = true;
                Load::Memory(if known == Known::Proto { PROTO } else { PIECES })
            }
            _ => return None,
        })
    }

    /// The loads that read a field, in its order.
    fn chunks(&mut self, field: Field) -> Vec<Chunk> {
        let end = field.start + field.width as i32;
        if let Some(load) = self.load_of(field.base) {
            let mask = u32::MAX >> (32 - field.width);
            // only of the pieces does a word hold more than the field
            let whole = if field.base == Base::Known(Known::Pieces) { u32::MAX } else { mask };
            return vec![Chunk { load, from: field.start, to: end, end: 32, mask, whole }];
        }
        let (mut at, last) = (field.start.div_euclid(8), (end + 7).div_euclid(8));
        let mut chunks = Vec::new();
        while at < last {
            let size = match last - at {
                4.. => 4,
                2 | 3 => 2,
                _ => 1,
            };
            let (from, to) = (field.start.max(at * 8), end.min((at + size) * 8));
            let load = match field.base {
                Base::Transport => Load::Beyond(at as u32, size as u32),
                _ => Load::At(place(at), size as u32),
            };
            let whole = u32::MAX >> (32 - 8 * size);
            let mask = (u32::MAX >> (32 - (to - from))) << ((at + size) * 8 - to);
            chunks.push(Chunk { load, from, to, end: (at + size) * 8, mask, whole });
            at += size;
        }
        chunks
    }

    /// Reads a chunk, and only these bits of it, before what is there; what cannot be read goes on at `no`.
    fn load(&mut self, load: Load, mask: u32, whole: u32, no: Label) -> Label {
        if mask != whole {
            self.put(AND_K, mask);
        }
        match load {
            Load::Memory(slot) => self.put(LD_MEM, slot),
            Load::At(k, size) => self.put(sized(size, [LD_ABS_W, LD_ABS_H, LD_ABS_B]), k),
            Load::Beyond(at, size) => {
                self.uses.transport = true;
                self.put(sized(size, [LD_IND_W, LD_IND_H, LD_IND_B]), NET + at);
                self.put(LDX_MEM, TRANSPORT);
                if at + size > SEEN {
                    let here = self.here();
                    self.branch(JGE_X, 0, here, no);
                    self.put(LD_LEN, 0);
                    self.put(TAX, 0);
                    self.put(ADD_K, self.header + at + size);
                    self.put(LD_MEM, TRANSPORT);
                }
                let here = self.here();
                self.branch(JSET_K, SHORT | LATER, no, here);
                self.put(LD_MEM, PIECES)
            }
        }
    }

    fn masked(&mut self, field: Field, value: u128, mask: u128, yes: Label, no: Label) -> Label {
        let mut next = yes;
        for chunk in self.chunks(field).iter().rev() {
            let mask = chunk.part(field, mask);
            if mask != 0 {
                self.branch(JEQ_K, chunk.part(field, value) & mask, next, no);
                next = self.load(chunk.load, mask, chunk.whole, no);
            }
        }
        next
    }

    fn word(&mut self, key: Key, yes: Label, no: Label) -> Label {
        let load = match key.at {
            At::Known(known) => self.load_of(Base::Known(known)),
            At::Offset(o) => Some(Load::At(place(o), 4)),
            At::Beyond(o) => Some(Load::Beyond(o as u32, 4)),
        };
        let Some(load) = load else { return no };
        self.branch(JEQ_K, key.value & key.mask, yes, no);
        let here = self.load(load, key.mask, u32::MAX, no);
        let At::Offset(o @ 0..) = key.at else { return here };
        if o + 4 <= SURE {
            return here;
        }
        self.branch(JGE_K, self.header + o as u32 + 4, here, no);
        self.put(LD_LEN, 0)
    }

    fn ranges(&mut self, field: Field, ranges: &[(u128, u128)], yes: Label, no: Label) -> Label {
        let chunks = self.chunks(field);
        if let [chunk] = chunks.as_slice() {
            let parts: Vec<(u32, u32, ())> =
                ranges.iter().map(|(a, b)| (chunk.part(field, *a), chunk.part(field, *b), ())).collect();
            let entry = self.search(&parts, chunk.mask, false, &mut |_, ()| yes, no);
            self.reach(entry);
            return self.load(chunk.load, chunk.mask, chunk.whole, no);
        }
        ranges.iter().rev().fold(no, |next, (from, to)| {
            let parts: Vec<(Chunk, u32, u32)> =
                chunks.iter().map(|c| (*c, c.part(field, *from), c.part(field, *to))).collect();
            self.range(&parts, Bounds::Both, yes, next)
        })
    }

    /// Goes on where the range leads that the accumulator is in, which is found by halves. `above`: it is known not to be
    /// below the first.
    fn search<T>(
        &mut self,
        ranges: &[(u32, u32, T)],
        max: u32,
        above: bool,
        yes: &mut dyn FnMut(&mut Assembler, &T) -> Label,
        no: Label,
    ) -> Label {
        match ranges {
            [] => no,
            [(from, to, what)] => {
                let yes = yes(self, what);
                if from == to {
                    return self.branch(JEQ_K, *from, yes, no);
                }
                let below = if *to == max { yes } else { self.branch(JGT_K, *to, no, yes) };
                if above || *from == 0 { below } else { self.branch(JGE_K, *from, below, no) }
            }
            _ => {
                let (low, high) = ranges.split_at(ranges.len() / 2);
                let from = high.first().map_or(0, |(from, ..)| *from);
                let right = self.search(high, max, true, yes, no);
                let left = self.search(low, max, above, yes, no);
                self.branch(JGE_K, from, right, left)
            }
        }
    }

    /// Returns for the rule whose number the accumulator has.
    fn choose(&mut self, first: usize, results: &[u32]) -> Label {
        match results {
            [] => self.put(RET_K, 0),
            [result] => self.returns_for(first, *result),
            _ => {
                let (low, high) = results.split_at(results.len() / 2);
                let middle = first + low.len();
                let right = self.choose(middle, high);
                let left = self.choose(first, low);
                self.branch(JGE_K, middle as u32, right, left)
            }
        }
    }

    /// Finds the first rule that has one of a packet's fields, and goes on at `done` with its number; at `none` if the
    /// rules are about no such packet.
    fn first_of<'e>(&mut self, ends: impl Iterator<Item = &'e Lone> + Clone, done: Label, none: Label) -> Label {
        let mut fields: Vec<Field> = Vec::new();
        for end in ends.clone() {
            if !fields.contains(&end.field) {
                fields.push(end.field);
            }
        }
        let mut next = done;
        for (n, field) in fields.iter().enumerate().rev() {
            let own = ends.clone().filter(|end| end.field == *field).map(|end| (end.range, end.rule));
            let ranges = earliest(own);
            // the number of this field's first rule is in the accumulator, of those before it in the memory
            self.reach(next);
            if n + 1 < fields.len() {
                self.put(ST, FIRST);
            }
            if n > 0 {
                let smaller = self.here();
                let other = self.put(TXA, 0);
                self.branch(JGE_X, 0, other, smaller);
                self.put(LDX_MEM, FIRST);
            }
            let found = self.here();
            let nowhere = self.put(LD_IMM, NO_RULE);
            let chunks = self.chunks(*field);
            next = self.seek(&chunks, *field, &ranges, found, nowhere);
            if ends.clone().any(|end| is_behind(end.six, *field)) {
                // the whole word has to be there, as for u32
                self.reach(next);
                let end = (field.start.div_euclid(32) * 4 + 4).unsigned_abs();
                let here = self.here();
                self.branch(JGE_K, self.header + end, here, nowhere);
                next = self.put(LD_LEN, 0);
            }
        }
        if fields.is_empty() { none } else { next }
    }

    /// Loads the first rule that has the field's value.
    fn seek(&mut self, chunks: &[Chunk], field: Field, ranges: &[Placed], found: Label, nowhere: Label) -> Label {
        let Some((chunk, rest)) = chunks.split_first() else { return nowhere };
        let lower = (field.start + field.width as i32 - chunk.to).unsigned_abs();
        let (width, shift) = ((chunk.to - chunk.from).unsigned_abs(), chunk.end - chunk.to);
        let mut parts = by_load(ranges, width, lower);
        parts.iter_mut().for_each(|(from, to, _)| (*from, *to) = (*from << shift, *to << shift));
        let mut lead = |out: &mut Assembler, leads: &Leads| match leads {
            Leads::To(rule) => {
                out.reach(found);
                out.put(LD_IMM, *rule)
            }
            Leads::On(ranges) => out.seek(rest, field, ranges, found, nowhere),
        };
        let entry = self.search(&parts, chunk.mask, false, &mut lead, nowhere);
        self.reach(entry);
        self.load(chunk.load, chunk.mask, chunk.whole, nowhere)
    }

    /// Whether a field of several loads is in a range: the first that differs decides.
    fn range(&mut self, parts: &[(Chunk, u32, u32)], bounds: Bounds, yes: Label, no: Label) -> Label {
        let Some(((chunk, low, high), rest)) = parts.split_first() else { return yes };
        let all_low = rest.iter().all(|(_, low, _)| *low == 0);
        let all_high = rest.iter().all(|(chunk, _, high)| *high == chunk.mask);
        let entry = match bounds {
            Bounds::Both if low == high => {
                let next = if all_low && all_high { yes } else { self.range(rest, Bounds::Both, yes, no) };
                self.branch(JEQ_K, *low, next, no)
            }
            Bounds::Both => {
                let at_low = if all_low { yes } else { self.range(rest, Bounds::Lower, yes, no) };
                let at_high = if all_high { yes } else { self.range(rest, Bounds::Upper, yes, no) };
                let top = self.branch(JEQ_K, *high, at_high, no);
                let bottom = self.branch(JEQ_K, *low, at_low, no);
                let between = self.branch(JGT_K, *low, yes, bottom);
                self.branch(JGE_K, *high, top, between)
            }
            Bounds::Lower => {
                let at_low = if all_low { yes } else { self.range(rest, Bounds::Lower, yes, no) };
                let bottom = self.branch(JEQ_K, *low, at_low, no);
                self.branch(JGT_K, *low, yes, bottom)
            }
            Bounds::Upper => {
                let at_high = if all_high { yes } else { self.range(rest, Bounds::Upper, yes, no) };
                let top = self.branch(JEQ_K, *high, at_high, no);
                self.branch(JGE_K, *high, top, yes)
            }
        };
        self.reach(entry);
        self.load(chunk.load, chunk.mask, chunk.whole, no)
    }

    /// What is found out before the first rule.
    fn prologue(&mut self) {
        let mut lines = Lines::default();
        if self.uses.ether {
            lines.ether();
        }
        if self.uses.vlan {
            lines.vlan();
        }
        if self.uses.transport {
            lines.transport(self.header);
        }
        lines.settled().into_iter().rev().for_each(|i| self.code.push(i));
    }
}

/// Where the kernel reads a byte that is counted from the network header.
fn place(at: i32) -> u32 {
    if at < 0 { LINK.wrapping_add((ETHERNET + at) as u32) } else { NET + at as u32 }
}

fn sized(size: u32, [word, half, byte]: [u16; 3]) -> u16 {
    match size {
        4 => word,
        2 => half,
        _ => byte,
    }
}

/// Where a line of [`Lines`] jumps to.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum To {
    /// The next line.
    Next,
    /// A name with a number.
    Name(&'static str, usize),
}

/// A straight piece of program with names for places: all of its jumps are short.
#[derive(Default)]
struct Lines {
    lines: Vec<(u16, u32, To, To)>,
    names: Vec<(To, usize)>,
}

impl Lines {
    fn op(&mut self, code: u16, k: u32) -> &mut Self {
        self.lines.push((code, k, To::Next, To::Next));
        self
    }

    fn to(&mut self, code: u16, k: u32, yes: To, no: To) -> &mut Self {
        self.lines.push((code, k, yes, no));
        self
    }

    fn go(&mut self, to: To) -> &mut Self {
        self.to(JA, 0, to, To::Next)
    }

    fn name(&mut self, name: &'static str, number: usize) -> &mut Self {
        self.names.push((To::Name(name, number), self.lines.len()));
        self
    }

    /// The instructions with their distances; a name that stands nowhere is the end.
    fn settled(&self) -> Vec<Instruction> {
        let place = |to: To, at: usize| match to {
            To::Next => 0,
            name => self.names.iter().find(|(n, _)| *n == name).map_or(self.lines.len(), |(_, p)| *p) - at - 1,
        };
        let one = |(at, (code, k, yes, no)): (usize, &(u16, u32, To, To))| match *code {
            JA => Instruction { code: JA, jt: 0, jf: 0, k: place(*yes, at) as u32 },
            code => Instruction { code, jt: place(*yes, at) as u8, jf: place(*no, at) as u8, k: *k },
        };
        self.lines.iter().enumerate().map(one).collect()
    }

    /// The protocol that filters are asked by.
    fn ether(&mut self) {
        let plain = To::Name("untagged", 0);
        self.op(LD_ABS_W, AD_VLAN_PRESENT).to(JEQ_K, 0, plain, To::Next);
        self.op(LD_ABS_W, AD_VLAN_TPID).go(To::Name("ether", 0));
        self.name("untagged", 0).op(LD_ABS_W, AD_PROTOCOL);
        self.name("ether", 0).op(ST, ETHER);
    }

    /// The VLAN: of the tag that the kernel keeps beside the packet, or of one in it.
    fn vlan(&mut self) {
        let (inside, done) = (To::Name("tag inside", 0), To::Name("vlan", 0));
        self.op(LD_ABS_W, AD_VLAN_PRESENT).to(JEQ_K, 0, To::Name("no tag beside", 0), To::Next);
        self.op(LD_ABS_W, AD_VLAN_TAG).op(AND_K, 0xfff).op(OR_K, TAGGED).go(done);
        self.name("no tag beside", 0).op(LD_ABS_W, AD_PROTOCOL);
        self.to(JEQ_K, 0x8100, inside, To::Next).to(JEQ_K, 0x88a8, inside, To::Next);
        self.op(LD_IMM, 0).go(done);
        self.name("tag inside", 0).op(LD_ABS_H, NET).op(AND_K, 0xfff).op(OR_K, TAGGED);
        self.name("vlan", 0).op(ST, VLAN);
    }

    /// The transport protocol, where its header begins, and which piece of a packet it is.
    fn transport(&mut self, header: u32) {
        let (found, short, end) = (To::Name("found", 0), To::Name("short", 0), To::Name("end", 0));
        self.op(LDX_IMM, 0).op(STX, TRANSPORT);
        self.op(LD_ABS_W, AD_PROTOCOL);
        self.to(JEQ_K, u32::from(IPV4), To::Name("ipv4", 0), To::Next);
        self.to(JEQ_K, u32::from(IPV6), To::Name("ipv6", 0), To::Next);
        // no protocol has this number
        self.op(LD_IMM, 0x100).op(ST, PROTO).op(LD_IMM, SHORT).op(ST, PIECES).go(end);

        self.name("ipv4", 0).op(LD_ABS_H, NET + 6);
        self.pieces(0x1fff, 0x2000, 0);
        self.name("pieces", 0).op(ST, PIECES);
        self.op(LD_ABS_B, NET + 9).op(ST, PROTO).op(LDX_MSH, NET).go(found);

        self.name("ipv6", 0).op(LD_IMM, 0).op(ST, PIECES);
        self.op(LD_ABS_B, NET + 6).op(ST, PROTO).op(LDX_IMM, 40);
        for step in 1..=STEPS {
            let extension = To::Name("extension", step);
            // hop by hop, routing, destination, fragment
            for number in [0, 43, 60] {
                self.to(JEQ_K, number, extension, To::Next);
            }
            self.to(JEQ_K, 44, extension, found);
            self.name("extension", step).op(STX, TRANSPORT);
            self.op(TXA, 0).op(ADD_K, header + 8).op(TAX, 0).op(LD_LEN, 0).to(JGE_X, 0, To::Next, short);
            self.op(LDX_MEM, TRANSPORT).op(LD_MEM, PROTO).to(JEQ_K, 44, To::Name("fragment", step), To::Next);
            self.op(LD_IND_B, NET).op(ST, PROTO);
            self.op(LD_IND_B, NET + 1).op(ADD_K, 1).op(LSH_K, 3).op(ADD_X, 0).op(TAX, 0);
            self.go(To::Name("step", step));
            self.name("fragment", step).op(LD_IND_B, NET).op(ST, PROTO).op(LD_IND_H, NET + 2);
            self.pieces(0xfff8, 1, step);
            self.name("pieces", step).op(ST, PIECES);
            self.op(TXA, 0).op(ADD_K, 8).op(TAX, 0);
            // behind a later piece's header there is no other
            self.op(LD_MEM, PIECES).to(JSET_K, LATER, found, To::Next);
            self.name("step", step).op(LD_MEM, PROTO);
        }

        self.name("found", 0).op(STX, TRANSPORT);
        self.op(TXA, 0).op(ADD_K, header + SEEN).op(TAX, 0).op(LD_LEN, 0).to(JGE_X, 0, end, To::Next);
        self.name("short", 0).op(LD_MEM, PIECES).op(OR_K, SHORT).op(ST, PIECES);
    }

    /// From the word that has offset and flags to the bits of [`PIECES`].
    fn pieces(&mut self, offset: u32, more: u32, number: usize) {
        let done = To::Name("pieces", number);
        self.to(JSET_K, offset, To::Name("later", number), To::Next);
        self.to(JSET_K, more, To::Name("first", number), To::Next);
        self.op(LD_IMM, 0).go(done);
        self.name("later", number).op(LD_IMM, FRAGMENT | LATER).go(done);
        self.name("first", number).op(LD_IMM, FRAGMENT);
    }
}
