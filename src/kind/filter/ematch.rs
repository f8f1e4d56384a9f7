//! Extended matches, tc-ematch(8): the little language of `basic`, `cgroup` and `flow`, and the tree that it travels as
//! (`TCA_EMATCH_TREE_*`, net/sched/ematch.c, em_cmp.c, em_nbyte.c, em_u32.c, em_meta.c, em_canid.c, em_ipset.c).
//!
//! ```text
//! cmp(u8 at 9 layer 1 eq 6) and not (meta(nf_mark eq 5) or u32(u16 0x16 0xffff at nexthdr+2))
//! ```
//!
//! `and` and `or` bind alike; the kernel goes from the left to the right and stops as soon as the rest cannot change the
//! result.

mod holds;

use crate::codes;
use crate::facts::{Facts, Reference};
use crate::kind::wire::{Attributes, Fields, Malformed, Payload};
use crate::kind::{Finding, Options, row_words};
use crate::unit::{Info, Reader, Refusal, Schema, Unit, Words, strtoul};
use compact_str::{CompactString, format_compact};
use std::collections::VecDeque;
use std::fmt::Write as _;

/// A tree of matches: the terms of its top, in order.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Matches(pub Vec<Term>);

/// A match or a group of them, and how it is joined to the next one.
#[derive(Clone, Debug, PartialEq)]
pub struct Term {
    /// Whether a packet must not be so.
    pub not: bool,
    /// What is looked at.
    pub what: What,
    /// How the next term is joined; the last one is joined by `And`.
    pub join: Join,
}

/// How two terms are joined.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Join {
    /// Both must hold.
    #[default]
    And,
    /// One must hold.
    Or,
}

/// One match.
#[derive(Clone, Debug, PartialEq)]
pub enum What {
    /// Terms in parentheses.
    Group(Vec<Term>),
    /// A number of the packet against a constant.
    Cmp(Cmp),
    /// Bytes of the packet.
    Nbyte(Nbyte),
    /// 32 bits under a mask.
    U32(Word),
    /// What the system knows of the packet.
    Meta(Meta),
    /// Identifiers of CAN frames.
    CanId(Vec<CanRule>),
    /// Membership in a set.
    IpSet(IpSet),
    /// A kind that has no words here: its number and its bytes.
    Raw(u16, Vec<u8>),
}

/// Where an offset counts from (`TCF_LAYER_*`).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Layer {
    /// The link's header.
    Link,
    /// The network's header.
    #[default]
    Network,
    /// The transport's header.
    Transport,
}

/// How two numbers are compared (`TCF_EM_OPND_*`).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Operand {
    /// The same.
    #[default]
    Eq,
    /// Greater.
    Gt,
    /// Less.
    Lt,
}

/// `cmp(u16 at 3 layer 2 mask 0xff00 gt 20)`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Cmp {
    /// Octets of the number: 1, 2 or 4.
    pub width: u8,
    /// Where it begins.
    pub at: u16,
    /// Where that counts from.
    pub layer: Layer,
    /// Bits that count; all of them if 0.
    pub mask: u32,
    /// Whether the packet's octets are turned around first.
    pub trans: bool,
    /// How it is compared.
    pub operand: Operand,
    /// What with.
    pub value: u32,
}

/// `nbyte("ababa" at 12 layer 1)`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Nbyte {
    /// The bytes.
    pub needle: Vec<u8>,
    /// Where they begin.
    pub at: u16,
    /// Where that counts from.
    pub layer: Layer,
}

/// `u32(u16 0x1122 0xffff at nexthdr+4)`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Word {
    /// The value, in host order.
    pub value: u32,
    /// The bits that count, in host order.
    pub mask: u32,
    /// Bytes from the network header on.
    pub at: i32,
    /// Whether it counts from the next header; only a `u32` filter around it knows of one.
    pub next: bool,
}

/// `meta(nf_mark mask 0xf0 eq 16)`.
#[derive(Clone, Debug, PartialEq)]
pub struct Meta {
    /// What is compared.
    pub left: Object,
    /// How.
    pub operand: Operand,
    /// What with.
    pub right: Object,
}

/// A side of a `meta`.
#[derive(Clone, Debug, PartialEq)]
pub enum Object {
    /// A number.
    Number(u32),
    /// A name.
    Text(Vec<u8>),
    /// Something of the packet or the system.
    Known {
        /// `TCF_META_ID_*`.
        id: u16,
        /// Whether it is compared as a name (`TCF_META_TYPE_VAR`).
        text: bool,
        /// How far it is shifted to the right.
        shift: u8,
        /// The bits that count; all of them if 0.
        mask: u32,
    },
}

/// One identifier of `canid(sff 0x123 eff 0x124:0x1f)`, in the kernel's form (`struct can_filter`).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct CanRule {
    /// The identifier, with `CAN_EFF_FLAG` if it has 29 bits.
    pub id: u32,
    /// The bits that count, always with `CAN_EFF_FLAG`.
    pub mask: u32,
}

/// `ipset(bulk src,dst)`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct IpSet {
    /// The set's name, or `#5` for a number whose name is not known.
    pub set: CompactString,
    /// For each dimension of the set whether the source is looked up, or else the destination.
    pub sources: Vec<bool>,
}

const CAN_EFF: u32 = 1 << 31;
const CAN_SFF_BITS: u32 = 0x7ff;
const CAN_EFF_BITS: u32 = 0x1fff_ffff;
/// The most rules of a `canid` (`EM_CAN_RULES_MAX` is 500; tc stops at 400).
const CAN_RULES: usize = 400;
/// The most dimensions of a set (`IPSET_DIM_MAX`).
const DIMENSIONS: usize = 6;
/// The longest name of a set (`IPSET_MAXNAMELEN`), with its closing zero.
const SET_NAME: usize = 32;
/// `IPSET_INVALID_ID`.
const NO_SET: u16 = u16::MAX;

// include/uapi/linux/pkt_cls.h
const TREE_HEADER: u16 = 1;
const TREE_LIST: u16 = 2;
const CONTAINER: u16 = 0;
const CMP: u16 = 1;
const NBYTE: u16 = 2;
const U32: u16 = 3;
const META: u16 = 4;
const CANID: u16 = 7;
const IPSET: u16 = 8;
const AND: u16 = 1;
const OR: u16 = 2;
const RELATION: u16 = 3;
const INVERT: u16 = 4;

const META_HEADER: u16 = 1;
const META_LEFT: u16 = 2;
const META_RIGHT: u16 = 3;
const META_TEXT: u16 = 0;
const META_NUMBER: u16 = 1;

/// How deep groups may stand in each other: the kernel's stack (`CONFIG_NET_EMATCH_STACK`).
const DEEPEST: usize = 32;
/// More terms than this are no tree of anybody's.
const MOST: usize = 4096;

/// What a `meta` may look at: the number, tc's word, and whether it can be compared as a name. Words that tc does not
/// have are the kernel's names.
const KNOWN: &[(u16, &str, bool)] = &[
    (1, "random", false),
    (2, "loadavg_1", false),
    (3, "loadavg_5", false),
    (4, "loadavg_15", false),
    (5, "dev", true),
    (6, "priority", false),
    (7, "protocol", false),
    (8, "pkt_type", false),
    (9, "pkt_len", false),
    (10, "data_len", false),
    (11, "mac_len", false),
    (12, "nf_mark", false),
    (12, "fwmark", false),
    (13, "tc_index", false),
    (14, "rt_classid", false),
    (15, "rt_iif", false),
    (16, "sk_family", false),
    (17, "sk_state", false),
    (18, "sk_reuse", false),
    (19, "sk_bind_if", true),
    (20, "sk_refcnt", false),
    (21, "sk_shutdown", false),
    (22, "sk_proto", false),
    (23, "sk_type", false),
    (24, "sk_rcvbuf", false),
    (25, "sk_rmem", false),
    (26, "sk_wmem", false),
    (27, "sk_omem", false),
    (28, "sk_wmem_queue", false),
    (29, "sk_rcv_queue", false),
    (30, "sk_snd_queue", false),
    (31, "sk_err_queue", false),
    (32, "sk_fwd_alloc", false),
    (33, "sk_sndbuf", false),
    (34, "sk_allocs", false),
    (35, "sk_route_caps", false),
    (36, "sk_hash", false),
    (37, "sk_lingertime", false),
    (38, "sk_ack_backlog", false),
    (39, "sk_max_ack_backlog", false),
    (40, "sk_prio", false),
    (41, "sk_rcvlowat", false),
    (42, "sk_rcvtimeo", false),
    (43, "sk_sndtimeo", false),
    (44, "sk_sendmsg_off", false),
    (45, "sk_write_pending", false),
    (46, "vlan", false),
    (47, "rxhash", false),
];

// ---------------------------------------------------------------------------------------------------------- reading

/// A piece of the text, as tc's lexer cuts it (emp_ematch.l).
#[derive(Clone, Debug, PartialEq)]
enum Token {
    And,
    Or,
    Not,
    Open,
    Close,
    Word(String),
    Quoted(Vec<u8>),
}

/// Cuts words of a command line into tokens, one word at a time: what follows the tree is not ours.
struct Lexer<'a, 'b> {
    words: &'a mut Words<'b>,
    ahead: VecDeque<Token>,
}

impl Lexer<'_, '_> {
    /// The next token, left in place; none at the end of the word after a whole term (`between`) if the next word goes on
    /// with something else than `and` or `or`.
    fn peek(&mut self, between: bool) -> Result<Option<&Token>, Refusal> {
        while self.ahead.is_empty() {
            let Some(word) = self.words.peek() else { return Ok(None) };
            if between && !begins_with_join(word) && !word.trim().is_empty() {
                return Ok(None);
            }
            self.words.next();
            self.cut(word)?;
        }
        Ok(self.ahead.front())
    }

    fn next(&mut self) -> Result<Option<Token>, Refusal> {
        self.peek(false)?;
        Ok(self.ahead.pop_front())
    }

    fn want(&mut self, what: &str) -> Result<Token, Refusal> {
        self.next()?.ok_or_else(|| Refusal::new(format!("a match ends where {what} is missing")))
    }

    fn cut(&mut self, word: &str) -> Result<(), Refusal> {
        let mut text = word.to_owned();
        let mut at = 0;
        while let Some(c) = text.get(at..).and_then(|rest| rest.chars().next()) {
            let rest = text.get(at..).unwrap_or_default();
            let token = match c {
                ' ' | '\t' | '\r' | '\n' => {
                    at += 1;
                    continue;
                }
                '(' => Token::Open,
                ')' => Token::Close,
                '"' => {
                    let (bytes, used) = loop {
                        match unquote(text.get(at + 1..).unwrap_or_default())? {
                            Some(done) => break done,
                            None => {
                                // the quotes close in a later word: the shell has cut at a blank
                                let more = self.words.next();
                                let more = more.ok_or_else(|| Refusal::new("quotes of a match do not close"))?;
                                text = format!("{text} {more}");
                            }
                        }
                    };
                    at += 1 + used;
                    self.ahead.push_back(Token::Quoted(bytes));
                    continue;
                }
                _ => {
                    let end = rest.find([' ', '\t', '\r', '\n', '(', ')']).unwrap_or(rest.len());
                    let word = rest.get(..end).unwrap_or_default();
                    at += end;
                    self.ahead.push_back(match word.to_ascii_lowercase().as_str() {
                        "and" => Token::And,
                        "or" => Token::Or,
                        "not" => Token::Not,
                        _ => Token::Word(word.to_owned()),
                    });
                    continue;
                }
            };
            at += 1;
            self.ahead.push_back(token);
        }
        Ok(())
    }
}

/// Whether a word of the command line goes on with the tree.
fn begins_with_join(word: &str) -> bool {
    let first = word.trim_start().split([' ', '\t', '\r', '\n', '(', ')']).next().unwrap_or_default();
    first.eq_ignore_ascii_case("and") || first.eq_ignore_ascii_case("or")
}

/// The bytes up to the closing quotes, with C's escapes undone, and how much of the text that was; `None` if they do not
/// close.
fn unquote(text: &str) -> Result<Option<(Vec<u8>, usize)>, Refusal> {
    let mut bytes = Vec::new();
    let mut chars = text.char_indices().peekable();
    while let Some((at, c)) = chars.next() {
        match c {
            '"' => return Ok(Some((bytes, at + 1))),
            '\\' => {
                let Some((_, c)) = chars.next() else { return Ok(None) };
                let mut digits = |first: Option<char>, most: usize, radix: u32| {
                    let mut number = first.and_then(|c| c.to_digit(radix)).unwrap_or(0);
                    let mut count = usize::from(first.is_some());
                    while let Some(digit) = chars.peek().filter(|_| count < most).and_then(|(_, c)| c.to_digit(radix)) {
                        number = number * radix + digit;
                        count += 1;
                        chars.next();
                    }
                    u8::try_from(number).ok().filter(|_| count > 0)
                };
                let byte = match c {
                    '0'..='7' => digits(Some(c), 3, 8),
                    'x' => digits(None, 2, 16),
                    '8' | '9' => None,
                    'n' => Some(b'\n'),
                    'r' => Some(b'\r'),
                    't' => Some(b'\t'),
                    'v' => Some(0x0b),
                    'b' => Some(0x08),
                    'f' => Some(0x0c),
                    'a' => Some(0x07),
                    c => {
                        bytes.extend(c.encode_utf8(&mut [0; 4]).as_bytes());
                        continue;
                    }
                };
                bytes.push(byte.ok_or_else(|| {
                    Refusal::new(format!("`\\{c}` begins no octet"))
                        .help("write `\\x00` to `\\xff`, or `\\000` to `\\377`")
                })?);
            }
            c => bytes.extend(c.encode_utf8(&mut [0; 4]).as_bytes()),
        }
    }
    Ok(None)
}

/// Terms up to the end, or to the parenthesis that closes the group.
fn read_terms(lexer: &mut Lexer, reader: &Reader, depth: usize) -> Result<Vec<Term>, Refusal> {
    if depth > DEEPEST {
        return Err(Refusal::coded(&codes::TOO_DEEP, format!("more than {DEEPEST} groups of matches in each other")));
    }
    let mut terms = Vec::new();
    loop {
        let mut not = false;
        let mut token = lexer.want("a match")?;
        if token == Token::Not {
            not = true;
            token = lexer.want("a match")?;
        }
        let what = match token {
            Token::Open => {
                let terms = read_terms(lexer, reader, depth + 1)?;
                match lexer.next()? {
                    Some(Token::Close) => What::Group(terms),
                    _ => return Err(Refusal::new("a group of matches is not closed")),
                }
            }
            Token::Word(name) => {
                if lexer.next()? != Some(Token::Open) {
                    return Err(Refusal::new(format!("`{name}` has no parentheses"))
                        .help(format!("write {}", Matches::INFO.spellings)));
                }
                let mut words = VecDeque::new();
                loop {
                    match lexer.want("a closing parenthesis")? {
                        Token::Close => break,
                        token @ (Token::Word(_) | Token::Quoted(_)) => words.push_back(token),
                        _ => return Err(Refusal::new(format!("`{name}(` is not closed"))),
                    }
                }
                read_what(&name, Arguments { name: name.clone(), words, tc: reader.tc }, reader)?
            }
            _ => return Err(Refusal::new("a match is missing").help(format!("write {}", Matches::INFO.spellings))),
        };
        let join = match lexer.peek(depth == 0)? {
            Some(Token::And) => Some(Join::And),
            Some(Token::Or) => Some(Join::Or),
            _ => None,
        };
        terms.push(Term { not, what, join: join.unwrap_or_default() });
        if join.is_none() || terms.len() > MOST {
            return Ok(terms);
        }
        lexer.next()?;
    }
}

/// What stands in the parentheses of a match.
struct Arguments {
    name: String,
    words: VecDeque<Token>,
    /// Whether they are tc's.
    tc: bool,
}

impl Arguments {
    fn text(token: &Token) -> String {
        match token {
            Token::Word(word) => word.clone(),
            Token::Quoted(bytes) => String::from_utf8_lossy(bytes).into_owned(),
            _ => String::new(),
        }
    }

    fn next(&mut self) -> Option<String> {
        self.words.pop_front().map(|token| Self::text(&token))
    }

    fn want(&mut self, what: &str) -> Result<String, Refusal> {
        self.next().ok_or_else(|| Refusal::new(format!("`{}(…)` is without {what}", self.name)))
    }

    fn number(&mut self, what: &str) -> Result<u64, Refusal> {
        let text = self.want(what)?;
        number(&text, self.tc).ok_or_else(|| Refusal::new(format!("`{text}` is not {what}")))
    }

    /// A number of 32 bits.
    fn word(&mut self, what: &str) -> Result<u32, Refusal> {
        self.number(what).map(|n| n as u32)
    }

    /// A number in octets that hold `most`. tc cuts what is more.
    fn octets(&mut self, what: &str, most: u32) -> Result<u32, Refusal> {
        let n = self.word(what)?;
        if n > most && !self.tc {
            return Err(beyond(what, u64::from(n), most));
        }
        Ok(n & most)
    }

    fn layer(&mut self) -> Result<Layer, Refusal> {
        let text = self.want("a layer")?;
        match (text.chars().next(), number(&text, self.tc)) {
            (Some('l'), _) | (_, Some(0)) => Ok(Layer::Link),
            (Some('n'), _) | (_, Some(1)) => Ok(Layer::Network),
            (Some('t'), _) | (_, Some(2)) => Ok(Layer::Transport),
            _ => {
                Err(Refusal::new(format!("`{text}` is no layer"))
                    .help("write `link`, `network` or `transport`, or 0 to 2"))
            }
        }
    }

    fn unknown(&self, word: &str) -> Refusal {
        Refusal::new(format!("`{word}` means nothing in `{}(…)`", self.name))
    }

    fn end(mut self) -> Result<(), Refusal> {
        match self.next() {
            Some(word) => Err(self.unknown(&word)),
            None => Ok(()),
        }
    }
}

/// A number as `strtoul` reads one: hexadecimal after `0x`, octal after `0`, and a negative one from above. tc does not mind
/// what stands behind it, and takes the largest for none (`bstrtoul` of m_ematch.c); a policy's fits 32 bits.
fn number(text: &str, tc: bool) -> Option<u64> {
    let (n, rest) = strtoul(text, 0)?;
    if tc {
        return (n != u64::MAX).then_some(n);
    }
    let fits = u32::try_from(n).is_ok() || i32::try_from(n.cast_signed()).is_ok_and(|n| n < 0);
    (fits && rest.is_empty()).then_some(n)
}

fn beyond(what: &str, n: u64, most: u32) -> Refusal {
    Refusal::coded(&codes::OUT_OF_RANGE, format!("{what} {n} does not fit: at most {most}"))
}

fn operand(word: &str) -> Option<Operand> {
    match word {
        "eq" => Some(Operand::Eq),
        "gt" => Some(Operand::Gt),
        "lt" => Some(Operand::Lt),
        _ => None,
    }
}

fn read_what(name: &str, mut rest: Arguments, reader: &Reader) -> Result<What, Refusal> {
    match name {
        "cmp" => read_cmp(rest).map(What::Cmp),
        "nbyte" => read_nbyte(rest).map(What::Nbyte),
        "u32" => read_word(rest, reader).map(What::U32),
        "meta" => read_meta(rest, reader).map(What::Meta),
        "canid" => read_canid(rest).map(What::CanId),
        "ipset" => read_ipset(rest).map(What::IpSet),
        // what has no words: the kind's number and its bytes
        "raw" if !reader.tc => {
            let kind = rest.octets("the number of a kind", u32::from(u16::MAX))? as u16;
            let bytes = match rest.next() {
                Some(hex) => crate::unit::Octets::read(&hex, &mut Reader::default())?.0,
                None => Vec::new(),
            };
            if kind == CONTAINER {
                return Err(Refusal::new("a group is written in parentheses"));
            }
            rest.end()?;
            Ok(What::Raw(kind, bytes))
        }
        "text" => {
            Err(Refusal::new("tc has no words for a search of text").help("write `nbyte(…)`: bytes at one place"))
        }
        "ipt" => Err(Refusal::new("a match of iptables is built by iptables' own libraries, which are not used here")
            .help("match in iptables or nftables, set a mark there, and write `meta(nf_mark eq 5)`")),
        _ => Err(Refusal::new(format!("no match is called `{name}`"))
            .help("there are `cmp`, `u32`, `nbyte`, `meta`, `canid` and `ipset`")),
    }
}

fn read_width(rest: &mut Arguments) -> Result<u8, Refusal> {
    match rest.want("a width")?.as_str() {
        "u8" => Ok(1),
        "u16" => Ok(2),
        "u32" => Ok(4),
        word => Err(Refusal::new(format!("`{word}` is no width")).help("write `u8`, `u16` or `u32`")),
    }
}

fn read_cmp(mut rest: Arguments) -> Result<Cmp, Refusal> {
    let mut cmp = Cmp { width: read_width(&mut rest)?, ..Cmp::default() };
    let (mut at, mut compared) = (false, false);
    while let Some(word) = rest.next() {
        match word.as_str() {
            "at" => {
                cmp.at = rest.octets("an offset", u32::from(u16::MAX))? as u16;
                at = true;
            }
            "layer" => cmp.layer = rest.layer()?,
            "mask" => cmp.mask = rest.word("a mask")?,
            "trans" => cmp.trans = true,
            word => {
                cmp.operand = operand(word).ok_or_else(|| rest.unknown(word))?;
                cmp.value = rest.word("a value")?;
                compared = true;
            }
        }
    }
    if !at || !compared {
        return Err(Refusal::new("a `cmp` wants an offset and a value").help("write `cmp(u8 at 9 layer 1 eq 6)`"));
    }
    Ok(cmp)
}

fn read_nbyte(mut rest: Arguments) -> Result<Nbyte, Refusal> {
    let needle = match rest.words.pop_front() {
        Some(Token::Word(word)) => word.into_bytes(),
        Some(Token::Quoted(bytes)) => bytes,
        _ => return Err(Refusal::new("an `nbyte` without bytes").help("write `nbyte(\"GET\" at 0 layer transport)`")),
    };
    if needle.is_empty() || needle.len() > 0xfff {
        return Err(Refusal::new("the bytes of an `nbyte` are 1 to 4095"));
    }
    let mut nbyte = Nbyte { needle, ..Nbyte::default() };
    let mut at = false;
    while let Some(word) = rest.next() {
        match word.as_str() {
            "at" => {
                nbyte.at = rest.octets("an offset", u32::from(u16::MAX))? as u16;
                at = true;
            }
            "layer" => nbyte.layer = rest.layer()?,
            word => return Err(rest.unknown(word)),
        }
    }
    if !at {
        return Err(Refusal::new("an `nbyte` wants an offset").help("write `nbyte(\"GET\" at 0 layer transport)`"));
    }
    Ok(nbyte)
}

fn read_word(mut rest: Arguments, reader: &Reader) -> Result<Word, Refusal> {
    let width = read_width(&mut rest)?;
    let most = u32::MAX >> (32 - 8 * u32::from(width));
    // tc looks at what is in the way of narrower ones only
    let fitting = |what: &str, n: u64| match n > u64::from(most) && width < 4 {
        true => Err(beyond(what, n, most)),
        false => Ok(n as u32),
    };
    let value = rest.number("a value").and_then(|n| fitting("a value", n))?;
    let mask = rest.number("a mask").and_then(|n| fitting("a mask", n))?;
    match rest.want("`at` and an offset")?.as_str() {
        "at" => {}
        word => return Err(rest.unknown(word)),
    }
    let text = rest.want("an offset")?;
    let (offset, next) = match text.strip_prefix("nexthdr+") {
        // tc forgets the next header if a blank stands before the number
        Some("") => (rest.want("an offset")?, !reader.tc),
        Some(number) => (number.to_owned(), true),
        None => (text, false),
    };
    let at = number(&offset, rest.tc).ok_or_else(|| Refusal::new(format!("`{offset}` is not an offset")))? as i32;
    rest.end()?;
    // tc puts two octets that do not start a word into its lower half
    let shift = match (width, at & 3) {
        (1, within) => 24 - 8 * within,
        (2, 0) => 16,
        (2, _) => 0,
        (_, 0) => 0,
        _ => return Err(Refusal::new(format!("offset {at} is no multiple of four"))),
    };
    let mask = mask << shift;
    Ok(Word { value: value << shift & mask, mask, at: at & !3, next })
}

fn read_object(rest: &mut Arguments) -> Result<Object, Refusal> {
    match rest.words.pop_front() {
        Some(Token::Quoted(bytes)) => Ok(Object::Text(bytes)),
        Some(Token::Word(word)) => {
            if let Some(n) = number(&word, rest.tc) {
                return Ok(Object::Number(n as u32));
            }
            let known = KNOWN.iter().find(|(_, name, _)| *name == word);
            let (id, ..) = known.ok_or_else(|| {
                Refusal::new(format!("`{word}` is nothing that a `meta` knows"))
                    .help("write `nf_mark`, `priority`, `pkt_len`, `dev`, `vlan`, `sk_family`… or a name in quotes")
            })?;
            let (mut shift, mut mask) = (0, 0);
            loop {
                match rest.words.front().map(Arguments::text).as_deref() {
                    Some("shift") => {
                        rest.next();
                        shift = rest.octets("a shift", u32::from(u8::MAX))? as u8;
                    }
                    Some("mask") => {
                        rest.next();
                        mask = rest.word("a mask")?;
                    }
                    _ => break,
                }
            }
            Ok(Object::Known { id: *id, text: false, shift, mask })
        }
        _ => Err(Refusal::new("a `meta` wants two sides").help("write `meta(nf_mark eq 5)`")),
    }
}

fn read_meta(mut rest: Arguments, reader: &Reader) -> Result<Meta, Refusal> {
    let left = read_object(&mut rest)?;
    let word = rest.want("a comparison")?;
    let operand = operand(&word)
        .ok_or_else(|| Refusal::new(format!("`{word}` is no comparison")).help("write `eq`, `gt` or `lt`"))?;
    let right = read_object(&mut rest)?;
    rest.end()?;
    let mut meta = Meta { left, operand, right };
    if matches!(meta, Meta { left: Object::Known { .. }, right: Object::Text(_), .. }) {
        if reader.tc {
            // tc sends the sides as of two types, and the kernel refuses them
            return Err(Refusal::new("tc compares a name only from the left").help("write `meta(\"eth0\" eq dev)`"));
        }
        let operand = match meta.operand {
            Operand::Eq => Operand::Eq,
            Operand::Gt => Operand::Lt,
            Operand::Lt => Operand::Gt,
        };
        meta = Meta { left: meta.right, operand, right: meta.left };
    }
    match &mut meta {
        Meta { left: Object::Text(_), right: Object::Known { id, text, .. }, .. } => {
            let (_, name, nameable) = KNOWN.iter().find(|(known, ..)| known == id).copied().unwrap_or((0, "", false));
            if !nameable {
                return Err(Refusal::new(format!("`{name}` is a number and no name")));
            }
            *text = true;
        }
        Meta { left: Object::Text(_), right: Object::Number(_), .. }
        | Meta { left: Object::Number(_), right: Object::Text(_), .. } => {
            return Err(Refusal::new("a name is compared with a number"));
        }
        _ => {}
    }
    Ok(meta)
}

fn read_canid(mut rest: Arguments) -> Result<Vec<CanRule>, Refusal> {
    let mut rules = Vec::new();
    while let Some(word) = rest.next() {
        let (flag, whole) = match word.as_str() {
            "sff" => (0, CAN_SFF_BITS),
            "eff" => (CAN_EFF, CAN_EFF_BITS),
            _ => return Err(rest.unknown(&word)),
        };
        let text = rest.want("an identifier")?;
        let (id, mask) = text.split_once(':').map_or((text.as_str(), None), |(id, mask)| (id, Some(mask)));
        let hex = |text: &str| {
            u32::from_str_radix(text.trim_start_matches("0x"), 16)
                .map_err(|_| Refusal::new(format!("`{text}` is no identifier of a CAN frame in hexadecimal")))
        };
        let mask = mask.map_or(Ok(whole), hex)?;
        rules.push(CanRule { id: hex(id)? | flag, mask: mask | CAN_EFF });
    }
    if rules.is_empty() || rules.len() > CAN_RULES {
        return Err(Refusal::new(format!("a `canid` has 1 to {CAN_RULES} identifiers"))
            .help("write `canid(sff 0x123 eff 0x124:0x1f)`"));
    }
    Ok(rules)
}

/// How a set is looked for.
fn reference(set: &str) -> Reference {
    let number = set.strip_prefix('#').and_then(|number| number.parse().ok());
    number.map_or_else(|| Reference::Set(set.into()), Reference::SetNumber)
}

/// The name of a set that is written as a number.
fn name_of(set: &str, facts: &Facts) -> Option<CompactString> {
    match reference(set) {
        Reference::Set(_) => None,
        number => facts.sets.get(&number)?.ok().map(|set| set.name.clone()),
    }
}

/// Does something with each set among some terms.
fn each_set(terms: &mut [Term], each: &mut dyn FnMut(&mut CompactString)) {
    for term in terms {
        match &mut term.what {
            What::Group(inner) => each_set(inner, each),
            What::IpSet(ipset) => each(&mut ipset.set),
            _ => {}
        }
    }
}

/// The sets among some terms.
fn sets<'t>(terms: &'t [Term], out: &mut Vec<&'t str>) {
    for term in terms {
        match &term.what {
            What::Group(inner) => sets(inner, out),
            What::IpSet(ipset) => out.push(&ipset.set),
            _ => {}
        }
    }
}

impl Matches {
    fn sets(&self) -> Vec<&str> {
        let mut out = Vec::new();
        sets(&self.0, &mut out);
        out
    }

    /// The sets that it names.
    pub(crate) fn references(&self) -> Vec<Reference> {
        self.sets().into_iter().map(reference).collect()
    }

    /// Writes names for numbers of sets, where they are known: two trees that mean the same sets are the same then.
    pub(crate) fn name_sets(&mut self, facts: &Facts) {
        each_set(&mut self.0, &mut |set| *set = name_of(set, facts).unwrap_or_else(|| set.clone()));
    }

    /// A set that there is none of.
    pub(crate) fn absent(&self, facts: &Facts) -> Option<Finding> {
        self.sets().into_iter().find_map(|set| {
            let why = facts.sets.get(&reference(set))?.err()?;
            let finding = Finding::new(&codes::UNKNOWN_NAME, "match", format!("the set `{set}` {why}"));
            Some(finding.help(format!("`ipset list -name` lists the sets; `ipset create {set} hash:ip` makes one")))
        })
    }
}

fn read_ipset(mut rest: Arguments) -> Result<IpSet, Refusal> {
    let set = CompactString::from(rest.want("a set")?);
    if set.len() >= SET_NAME {
        return Err(Refusal::new(format!("`{set}` is no name of a set: at most {} octets", SET_NAME - 1)));
    }
    let list = rest.want("`src` or `dst`")?;
    let mut sources = Vec::new();
    for word in list.split(',') {
        sources.push(match word {
            word if word.starts_with("src") => true,
            word if word.starts_with("dst") => false,
            _ => {
                return Err(
                    Refusal::new(format!("`{word}` is neither `src` nor `dst`")).help("write `ipset(bulk src,dst)`")
                );
            }
        });
    }
    if sources.len() > DIMENSIONS {
        return Err(Refusal::new(format!("a set has at most {DIMENSIONS} dimensions")));
    }
    rest.end()?;
    Ok(IpSet { set, sources })
}

impl Unit for Matches {
    const INFO: Info = Info {
        name: "a tree of matches",
        spellings: "`cmp(u8 at 9 layer 1 eq 6)`, `meta(nf_mark eq 5) and not u32(u16 0x16 0xffff at 22)`, \
                    `nbyte(\"GET\" at 20)`, `canid(sff 0x123)`, `ipset(bulk src)`",
        schema: Schema::Any,
    };

    fn read(text: &str, reader: &mut Reader) -> Result<Self, Refusal> {
        let words = [text.to_owned()];
        let mut words = Words::new(&words);
        let mut lexer = Lexer { words: &mut words, ahead: VecDeque::new() };
        let terms = read_terms(&mut lexer, reader, 0)?;
        match lexer.ahead.pop_front() {
            Some(token) => Err(Refusal::new(format!("`{}` after a match", Arguments::text(&token)))
                .help("join matches by `and` or `or`")),
            None => Ok(Matches(terms)),
        }
    }

    /// As many words as belong to the tree, cut as the shell has cut them.
    fn read_words(words: &mut Words, reader: &mut Reader) -> Result<Self, Refusal> {
        let mut lexer = Lexer { words, ahead: VecDeque::new() };
        let terms = read_terms(&mut lexer, reader, 0)?;
        match lexer.ahead.pop_front() {
            Some(token) => Err(Refusal::new(format!("`{}` after a match", Arguments::text(&token)))),
            None => Ok(Matches(terms)),
        }
    }

    fn show(&self) -> String {
        show_terms(&self.0)
    }

    /// The kernel keeps CAN's identifiers of 29 bits before those of 11.
    fn same(&self, other: &Self) -> bool {
        same_terms(&self.0, &other.0)
    }
}

fn same_terms(left: &[Term], right: &[Term]) -> bool {
    let same = |(a, b): (&Term, &Term)| {
        let what = match (&a.what, &b.what) {
            (What::Group(a), What::Group(b)) => same_terms(a, b),
            (What::CanId(a), What::CanId(b)) => {
                let kept = |rules: &[CanRule]| {
                    let (long, short): (Vec<CanRule>, Vec<_>) = rules.iter().partition(|rule| rule.id & CAN_EFF != 0);
                    [long, short]
                };
                kept(a) == kept(b)
            }
            (a, b) => a == b,
        };
        what && a.not == b.not && a.join == b.join
    };
    left.len() == right.len() && left.iter().zip(right).all(same)
}

/// tc's words of a filter that has a row `match`: the whole tree as one word, as people write it. It stands first, for tc
/// trips over one that ends the line (`parse_ematch` takes back a word that it has not looked at).
pub(super) fn words_of(options: &dyn Options, out: &mut Vec<String>) {
    let mut others = Vec::new();
    for (i, row) in options.rows().iter().enumerate().filter(|(_, row)| !row.hidden) {
        let Some(slot) = options.slot(i) else { continue };
        match slot.as_any().downcast_ref::<Option<Matches>>() {
            Some(Some(matches)) => out.extend([row.word.to_owned(), matches.tc()]),
            Some(None) => {}
            None => row_words(row, slot, &mut others),
        }
    }
    out.append(&mut others);
}

// ---------------------------------------------------------------------------------------------------------- showing

fn show_terms(terms: &[Term]) -> String {
    let mut out = String::new();
    for (i, term) in terms.iter().enumerate() {
        if term.not {
            out.push_str("not ");
        }
        show_what(&term.what, &mut out);
        if i + 1 < terms.len() {
            out.push_str(if term.join == Join::And { " and " } else { " or " });
        }
    }
    out
}

fn width(octets: u8) -> &'static str {
    match octets {
        1 => "u8",
        2 => "u16",
        _ => "u32",
    }
}

fn show_operand(operand: Operand) -> &'static str {
    match operand {
        Operand::Eq => "eq",
        Operand::Gt => "gt",
        Operand::Lt => "lt",
    }
}

/// Bytes in quotes, so that no blank is left in them.
fn quote(bytes: &[u8]) -> String {
    let mut out = String::from("\"");
    for byte in bytes {
        match byte {
            b'"' | b'\\' => out.extend(['\\', char::from(*byte)]),
            0x21..=0x7e => out.push(char::from(*byte)),
            _ => {
                let _ = write!(out, "\\x{byte:02x}");
            }
        }
    }
    out.push('"');
    out
}

fn show_what(what: &What, out: &mut String) {
    let _ = match what {
        What::Group(terms) => write!(out, "({})", show_terms(terms)),
        What::Cmp(Cmp { width: octets, at, layer, mask, trans, operand, value }) => {
            let mask = if *mask == 0 { String::new() } else { format!(" mask {mask:#x}") };
            let trans = if *trans { " trans" } else { "" };
            let operand = show_operand(*operand);
            write!(out, "cmp({} at {at} layer {}{mask}{trans} {operand} {value})", width(*octets), *layer as u8)
        }
        What::Nbyte(Nbyte { needle, at, layer }) => {
            write!(out, "nbyte({} at {at} layer {})", quote(needle), *layer as u8)
        }
        What::U32(Word { value, mask, at, next }) => {
            let next = if *next { "nexthdr+" } else { "" };
            write!(out, "u32(u32 {value:#010x} {mask:#010x} at {next}{at})")
        }
        What::Meta(Meta { left, operand, right }) => {
            write!(out, "meta({} {} {})", show_object(left), show_operand(*operand), show_object(right))
        }
        What::CanId(rules) => {
            let rule = |CanRule { id, mask }: &CanRule| {
                let (word, bits) = if id & CAN_EFF != 0 { ("eff", CAN_EFF_BITS) } else { ("sff", CAN_SFF_BITS) };
                let (id, mask) = (id & !CAN_EFF, mask & !CAN_EFF);
                if mask == bits { format!("{word} {id:#x}") } else { format!("{word} {id:#x}:{mask:#x}") }
            };
            write!(out, "canid({})", rules.iter().map(rule).collect::<Vec<_>>().join(" "))
        }
        What::IpSet(IpSet { set, sources }) => {
            let side = |source: &bool| if *source { "src" } else { "dst" };
            write!(out, "ipset({set} {})", sources.iter().map(side).collect::<Vec<_>>().join(","))
        }
        What::Raw(kind, bytes) => {
            let hex: String = bytes.iter().map(|b| format!("{b:02x}")).collect();
            write!(out, "raw({})", format!("{kind} {hex}").trim_end())
        }
    };
}

fn show_object(object: &Object) -> String {
    match object {
        Object::Number(n) => n.to_string(),
        Object::Text(bytes) => quote(bytes),
        Object::Known { id, shift, mask, .. } => {
            let name = KNOWN.iter().find(|(known, ..)| known == id).map_or("unknown", |(_, name, _)| *name);
            let shift = if *shift == 0 { String::new() } else { format!(" shift {shift}") };
            let mask = if *mask == 0 { String::new() } else { format!(" mask {mask:#x}") };
            format!("{name}{shift}{mask}")
        }
    }
}

// ------------------------------------------------------------------------------------------------------- on the wire

/// Terms in a row, as they travel: a group has the place of its first term.
struct Flat<'a> {
    not: bool,
    relation: u16,
    what: &'a What,
    reference: u32,
}

/// Appends a chain of terms and then what its groups hold, in tc's order (`flatten_tree`).
fn flatten<'a>(terms: &'a [Term], list: &mut Vec<Flat<'a>>) {
    let start = list.len();
    for (i, term) in terms.iter().enumerate() {
        let relation = match term.join {
            _ if i + 1 == terms.len() => 0,
            Join::And => AND,
            Join::Or => OR,
        };
        list.push(Flat { not: term.not, relation, what: &term.what, reference: 0 });
    }
    for (i, term) in terms.iter().enumerate() {
        if let What::Group(inner) = &term.what {
            let reference = list.len() as u32;
            if let Some(group) = list.get_mut(start + i) {
                group.reference = reference;
            }
            flatten(inner, list);
        }
    }
}

impl Matches {
    /// Writes the tree as attribute `number`.
    pub fn encode(&self, number: u16, out: &mut Attributes, facts: &Facts) {
        let mut list = Vec::new();
        flatten(&self.0, &mut list);
        out.nest(number, |tree| {
            // struct tcf_ematch_tree_hdr: nmatches, progid
            tree.raw(TREE_HEADER, &Fields::new().u16(list.len() as u16).u16(0).0);
            tree.nest(TREE_LIST, |matches| {
                for (index, flat) in (1..).zip(&list) {
                    matches.nest(index, |a| flat.encode(a, facts));
                }
            });
        });
    }

    /// Reads a tree; an empty one is none.
    ///
    /// # Errors
    /// Lengths are wrong, or a group does not lie behind the term that it belongs to.
    pub fn decode(payload: Option<Payload>, facts: &Facts) -> Result<Option<Matches>, Malformed> {
        let Some(payload) = payload else { return Ok(None) };
        let tree = payload.attributes()?;
        let Some(list) = tree.nested(TREE_LIST)? else { return Ok(None) };
        let list: Vec<Payload> = list.list.into_iter().map(|(_, payload)| payload).collect();
        if list.is_empty() {
            return Ok(None);
        }
        let mut left = MOST;
        unfold(&list, 0, 0, &mut left, facts).map(|terms| Some(Matches(terms)))
    }
}

/// The chain of terms that begins at `start`.
fn unfold(
    list: &[Payload],
    start: usize,
    depth: usize,
    left: &mut usize,
    facts: &Facts,
) -> Result<Vec<Term>, Malformed> {
    const WRONG: Malformed = Malformed("tree of matches");
    if depth > DEEPEST {
        return Err(WRONG);
    }
    let mut terms = Vec::new();
    for at in start.. {
        *left = left.checked_sub(1).ok_or(WRONG)?;
        let mut c = list.get(at).ok_or(WRONG)?.fields();
        // struct tcf_ematch_hdr: matchid, kind, flags, pad
        let (_matchid, kind, flags, _pad) = (c.u16()?, c.u16()?, c.u16()?, c.u16()?);
        let what = if kind == CONTAINER {
            let reference = c.u32()? as usize;
            if reference <= at {
                return Err(WRONG);
            }
            What::Group(unfold(list, reference, depth + 1, left, facts)?)
        } else {
            decode_what(kind, c.rest(), facts)?
        };
        let join = if flags & RELATION == OR { Join::Or } else { Join::And };
        let last = flags & RELATION == 0;
        terms.push(Term { not: flags & INVERT != 0, what, join: if last { Join::And } else { join } });
        if last {
            break;
        }
    }
    Ok(terms)
}

impl Flat<'_> {
    fn encode(&self, out: &mut Attributes, facts: &Facts) {
        let kind = match self.what {
            What::Group(_) => CONTAINER,
            What::Cmp(_) => CMP,
            What::Nbyte(_) => NBYTE,
            What::U32(_) => U32,
            What::Meta(_) => META,
            What::CanId(_) => CANID,
            What::IpSet(_) => IPSET,
            What::Raw(kind, _) => *kind,
        };
        let flags = self.relation | if self.not { INVERT } else { 0 };
        out.bare(&Fields::new().u16(0).u16(kind).u16(flags).u16(0).0);
        match self.what {
            What::Group(_) => out.bare(&self.reference.to_ne_bytes()),
            What::Cmp(Cmp { width, at, layer, mask, trans, operand, value }) => {
                // struct tcf_em_cmp: val, mask, off, align and flags, layer and opnd in half octets
                let flags = u8::from(*trans) << 4;
                let fields = Fields::new().u32(*value).u32(*mask).u16(*at).u8(*width & 0xf | flags);
                out.bare(&fields.u8(*layer as u8 | (*operand as u8) << 4).0);
            }
            What::Nbyte(Nbyte { needle, at, layer }) => {
                // struct tcf_em_nbyte: off, 12 bits of len, 4 bits of layer
                out.bare(&Fields::new().u16(*at).u16(needle.len() as u16 & 0xfff | (*layer as u16) << 12).0);
                // tc counts the padding too
                let mut padded = needle.clone();
                padded.resize(needle.len().next_multiple_of(4), 0);
                out.bare(&padded);
            }
            What::U32(Word { value, mask, at, next }) => {
                let key = Fields::new().raw(&mask.to_be_bytes()).raw(&value.to_be_bytes()).u32(*at as u32);
                out.bare(&key.u32(if *next { u32::MAX } else { 0 }).0);
            }
            What::Meta(meta) => encode_meta(meta, out),
            What::CanId(rules) => {
                let rule = |fields: Fields, rule: &CanRule| fields.u32(rule.id).u32(rule.mask);
                out.bare(&rules.iter().fold(Fields::new(), rule).0);
            }
            What::IpSet(IpSet { set, sources }) => {
                // struct xt_set_info: index, dim, flags
                let flags = (1..).zip(sources).fold(0, |bits: u8, (i, src)| bits | u8::from(*src) << i);
                let number = match reference(set) {
                    Reference::SetNumber(number) => number,
                    named => facts.sets.get(&named).and_then(Result::ok).map_or(NO_SET, |set| set.number),
                };
                out.bare(&Fields::new().u16(number).u8(sources.len() as u8).u8(flags).0);
            }
            What::Raw(_, bytes) => out.bare(bytes),
        }
    }
}

/// `struct tcf_meta_val`: the kind, the shift, the operand.
fn meta_side(object: &Object) -> (u16, u8) {
    match object {
        Object::Number(_) => (META_NUMBER << 12, 0),
        Object::Text(_) => (META_TEXT << 12, 0),
        Object::Known { id, text, shift, .. } => (if *text { META_TEXT } else { META_NUMBER } << 12 | id, *shift),
    }
}

fn encode_meta(Meta { left, operand, right }: &Meta, out: &mut Attributes) {
    let ((left_kind, left_shift), (right_kind, right_shift)) = (meta_side(left), meta_side(right));
    let header = Fields::new().u16(left_kind).u8(left_shift).u8(*operand as u8);
    out.raw(META_HEADER, &header.u16(right_kind).u8(right_shift).u8(0).0);
    for (number, object) in [(META_LEFT, left), (META_RIGHT, right)] {
        match object {
            Object::Number(n) => out.u32(number, *n),
            Object::Text(bytes) => out.raw(number, bytes),
            Object::Known { text: true, .. } => {}
            Object::Known { mask, .. } => out.u32(number, *mask),
        }
    }
}

fn decode_meta(bytes: &[u8]) -> Result<Option<Meta>, Malformed> {
    let attributes = Payload(bytes).attributes()?;
    let Some(header) = attributes.get(META_HEADER) else { return Ok(None) };
    let mut c = header.fields();
    let (left, left_shift, operand) = (c.u16()?, c.u8()?, c.u8()?);
    let (right, right_shift) = (c.u16()?, c.u8()?);
    let side = |number: u16, kind: u16, shift: u8| -> Result<Option<Object>, Malformed> {
        let (id, text) = (kind & 0x7ff, kind >> 12 == META_TEXT);
        Ok(match (id, text) {
            (0, true) => Some(Object::Text(attributes.get(number).map_or_else(Vec::new, |p| p.0.to_vec()))),
            (0, false) => Some(Object::Number(attributes.u32(number)?.unwrap_or(0))),
            _ if !KNOWN.iter().any(|(known, ..)| *known == id) => None,
            (_, true) => Some(Object::Known { id, text, shift, mask: 0 }),
            (_, false) => Some(Object::Known { id, text, shift, mask: attributes.u32(number)?.unwrap_or(0) }),
        })
    };
    let sides = (side(META_LEFT, left, left_shift)?, side(META_RIGHT, right, right_shift)?);
    Ok(match sides {
        // what has no words is kept as it came
        (Some(left), Some(right)) if !matches!((&left, &right), (Object::Known { text: true, .. }, _)) => {
            Some(Meta { left, operand: operand_of(operand), right })
        }
        _ => None,
    })
}

fn operand_of(bits: u8) -> Operand {
    match bits {
        1 => Operand::Gt,
        2 => Operand::Lt,
        _ => Operand::Eq,
    }
}

fn layer_of(bits: u8) -> Layer {
    match bits {
        0 => Layer::Link,
        2 => Layer::Transport,
        _ => Layer::Network,
    }
}

fn decode_what(kind: u16, bytes: &[u8], facts: &Facts) -> Result<What, Malformed> {
    let mut c = Payload(bytes).fields();
    Ok(match kind {
        CMP => {
            let (value, mask, at, align, layer) = (c.u32()?, c.u32()?, c.u16()?, c.u8()?, c.u8()?);
            if !matches!(align & 0xf, 1 | 2 | 4) {
                return Ok(What::Raw(kind, bytes.to_vec()));
            }
            What::Cmp(Cmp {
                width: align & 0xf,
                at,
                layer: layer_of(layer & 0xf),
                mask,
                trans: align & 0x10 != 0,
                operand: operand_of(layer >> 4),
                value,
            })
        }
        NBYTE => {
            let (at, length) = (c.u16()?, c.u16()?);
            let needle = c.rest().get(..usize::from(length & 0xfff)).ok_or(Malformed("nbyte"))?.to_vec();
            What::Nbyte(Nbyte { needle, at, layer: layer_of((length >> 12) as u8) })
        }
        U32 => {
            let (mask, value) = (u32::from_be_bytes(c.array()?), u32::from_be_bytes(c.array()?));
            What::U32(Word { value, mask, at: c.u32()? as i32, next: c.u32()? != 0 })
        }
        META => decode_meta(bytes)?.map_or_else(|| What::Raw(kind, bytes.to_vec()), What::Meta),
        CANID => {
            let rules = bytes.chunks_exact(8).map(|rule| {
                let mut c = Payload(rule).fields();
                Ok(CanRule { id: c.u32()?, mask: c.u32()? })
            });
            What::CanId(rules.collect::<Result<_, _>>()?)
        }
        IPSET => {
            let (index, dimensions, flags) = (c.u16()?, c.u8()?, c.u8()?);
            let set = format_compact!("#{index}");
            let set = name_of(&set, facts).unwrap_or(set);
            let sources = (1..=dimensions.min(DIMENSIONS as u8)).map(|i| flags >> i & 1 != 0);
            What::IpSet(IpSet { set, sources: sources.collect() })
        }
        _ => What::Raw(kind, bytes.to_vec()),
    })
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use crate::facts::{Found, Set};

    fn tc(text: &str) -> Result<Matches, Refusal> {
        let words: Vec<String> = text.split(' ').map(str::to_owned).collect();
        let mut words = Words::new(&words);
        let read = Matches::read_words(&mut words, &mut Reader::tc());
        assert!(read.is_err() || words.peek().is_none_or(|w| w == "flowid"), "{text}: {:?}", words.peek());
        read
    }

    fn sent(matches: &Matches) -> Matches {
        let mut out = Attributes::new();
        matches.encode(2, &mut out, &Facts::default());
        let tree = Payload(&out.bytes).attributes().unwrap();
        Matches::decode(tree.get(2), &Facts::default()).unwrap().unwrap()
    }

    #[test]
    fn matches_are_shown_as_tc_reads_them() {
        for text in [
            "cmp(u16 at 3 layer 2 mask 0xff00 trans gt 20)",
            "nbyte(\"ab\\x20\\x00\\\"\" at 12 layer 1)",
            "u32(u32 0x11220000 0xffff0000 at nexthdr+4)",
            "u32(u32 0x00000000 0x000000ff at -16)",
            "meta(nf_mark shift 4 mask 0xf eq 3)",
            "meta(\"eth0\" eq dev)",
            "meta(random mask 0xff lt loadavg_1)",
            "canid(eff 0x124:0x1f sff 0x123)",
            "ipset(#3 src,dst)",
            "cmp(u8 at 0 layer 1 eq 69) and not (meta(vlan eq 5) or meta(vlan eq 6)) or meta(pkt_len gt 100)",
            "not ((meta(priority eq 1) or meta(priority eq 2)) and (meta(priority eq 3))) and meta(priority eq 4)",
        ] {
            let matches = tc(text).unwrap();
            assert_eq!(matches.show(), text);
            assert_eq!(Matches::read(text, &mut Reader::default()).unwrap(), matches);
            assert_eq!(sent(&matches).show(), text);
            assert_eq!(tc(&format!("{text} flowid")).unwrap(), matches, "what follows is left alone");
        }
    }

    #[test]
    fn tcs_other_spellings_come_to_the_same() {
        for (text, shown) in [
            ("cmp(u8 at 0x9 layer network eq 010)", "cmp(u8 at 9 layer 1 eq 8)"),
            ("cmp(u32 eq 1 at 4 layer l)", "cmp(u32 at 4 layer 0 eq 1)"),
            ("nbyte(abc at 0 layer transport)", "nbyte(\"abc\" at 0 layer 2)"),
            ("u32(u16 0x1122 0xffff at nexthdr+4)", "u32(u32 0x11220000 0xffff0000 at nexthdr+4)"),
            ("u32(u16 0x1122 0xffff at 2)", "u32(u32 0x00001122 0x0000ffff at 0)"),
            ("u32(u8 0x11 0xff at 9)", "u32(u32 0x00110000 0x00ff0000 at 8)"),
            ("u32(u8 0x11 0xff at nexthdr+ 9)", "u32(u32 0x00110000 0x00ff0000 at 8)"),
            ("meta(fwmark eq 0x10)", "meta(nf_mark eq 16)"),
            ("NOT meta(vlan eq 1) AND (meta(vlan eq 2))", "not meta(vlan eq 1) and (meta(vlan eq 2))"),
            ("canid(sff 123 eff 0x1)", "canid(sff 0x123 eff 0x1)"),
            ("cmp(u8 at 70000 mask 1.5 eq 16x)", "cmp(u8 at 4464 layer 1 mask 0x1 eq 16)"),
            ("meta(priority shift 257 mask 0x1ffffffff eq 4294967297)", "meta(priority shift 1 mask 0xffffffff eq 1)"),
            ("u32(u32 16x -2 at 4z)", "u32(u32 0x00000010 0xfffffffe at 4)"),
        ] {
            assert_eq!(tc(text).unwrap().show(), shown);
        }
    }

    #[test]
    fn what_is_no_match_is_refused_with_help() {
        for text in [
            "cmp(u8 at 0)",
            "cmp(u64 at 0 eq 1)",
            "cmp(u8 at 0 eq -1)",
            "u32(u16 0x11 0x10000 at 0)",
            "u32(u16 x 0xff at 0)",
            "cmp(u8 at 0 layer 3 eq 1)",
            "u32(u8 0x111 0xff at 0)",
            "u32(u32 1 1 at 2)",
            "u32(u32 1 1 at 4 5)",
            "meta(dev eq \"eth0\")",
            "meta(\"eth0\" eq priority)",
            "meta(\"a\" eq 5)",
            "meta(nonsense eq 5)",
            "meta(vlan is 5)",
            "nbyte(\"\" at 0)",
            "nbyte(\"a\\400\" at 0)",
            "nbyte(\"a at 0)",
            "canid()",
            "canid(xff 1)",
            "ipset(bulk up)",
            "ipt(-m foo)",
            "raw(5 00)",
            "meta(vlan eq 5",
            "(meta(vlan eq 5)",
            "meta(vlan eq 5) and",
            "meta",
            "not",
            "",
        ] {
            assert!(tc(text).is_err(), "{text}");
        }
        let (asked, held) = (tc("canid(sff 1 eff 2)").unwrap(), tc("canid(eff 2 sff 1)").unwrap());
        assert!(asked.same(&held) && !asked.same(&tc("canid(eff 2 sff 2)").unwrap()));
        let turned = Matches::read("meta(dev eq \"eth0\")", &mut Reader::default()).unwrap();
        assert_eq!(turned.show(), "meta(\"eth0\" eq dev)");
        let deep = "(".repeat(40);
        assert_eq!(Matches::read(&deep, &mut Reader::default()).unwrap_err().code.name, "too-deep");
    }

    #[test]
    fn a_tree_that_points_back_is_malformed() {
        let group = |reference: u32| Fields::new().u16(0).u16(CONTAINER).u16(0).u16(0).u32(reference).0;
        for (reference, sound) in [(0, false), (1, true), (7, false)] {
            let mut out = Attributes::new();
            out.raw(TREE_HEADER, &[2, 0, 0, 0]);
            out.nest(TREE_LIST, |list| {
                list.raw(1, &group(reference));
                list.raw(2, &Fields::new().u16(0).u16(5).u16(0).u16(0).u32(9).0);
            });
            let read = Matches::decode(Some(Payload(&out.bytes)), &Facts::default());
            assert_eq!(read.is_ok(), sound, "{reference}");
            if let Ok(Some(matches)) = read {
                assert_eq!(matches.show(), "(raw(5 09000000))");
                assert_eq!(Matches::read(&matches.show(), &mut Reader::default()).unwrap(), matches);
            }
        }
    }

    #[test]
    fn a_set_travels_by_its_number() {
        let mut sets = Found::default();
        let set = Set { name: "bulk".into(), number: 4 };
        sets.insert(Reference::Set("bulk".into()), Ok(set.clone()));
        sets.insert(Reference::SetNumber(4), Ok(set));
        sets.insert(Reference::Set("none".into()), Err("is not there".into()));
        let facts = Facts { sets: std::sync::Arc::new(sets), ..Facts::default() };
        let matches = tc("not (ipset(bulk src,dst))").unwrap();
        assert_eq!(matches.references(), [Reference::Set("bulk".into())]);
        assert!(matches.absent(&facts).is_none());
        assert!(tc("ipset(none src)").unwrap().absent(&facts).unwrap().message.contains("is not there"));
        let mut numbered = tc("not (ipset(#4 src,dst))").unwrap();
        assert_ne!(numbered, matches);
        numbered.name_sets(&facts);
        assert_eq!(numbered, matches);
        let mut out = Attributes::new();
        matches.encode(2, &mut out, &facts);
        assert_eq!(out.bytes.last_chunk::<4>().unwrap(), &[4, 0, 2, 2]);
        let tree = Payload(&out.bytes).attributes().unwrap();
        assert_eq!(Matches::decode(tree.get(2), &facts).unwrap().unwrap(), matches);
    }
}
