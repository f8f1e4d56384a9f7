//! What our encoder sends is what the real tc sends, and what it sends is understood: for every recording of
//! `tests/wire`, words → options → bytes, and bytes → options → words.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing, reason = "tests")]

mod bed;

use bed::kernel;
use bed::tc_line::Line;
use bed::wire::{self, Recording};
use shapectl::facts::Facts;
use shapectl::kind::wire::{Attributes, Payload};
use shapectl::kind::{self, Options, Role};
use shapectl::unit::{Reader, Words};

const TCMSG: usize = 20;
const TCA_OPTIONS: u16 = 2;

/// The recordings are what tc says: with the tc that made them, every one is the same today; with `UPDATE=1` they are
/// made anew.
#[test]
fn the_recordings_are_what_tc_sends() {
    for file in wire::files() {
        if std::env::var_os("UPDATE").is_some() {
            file.refreshed().write();
        } else if file.version != wire::tc_version() {
            kernel::skip("the_recordings_are_what_tc_sends", &file.version, "another tc is installed");
        } else {
            for (old, new) in file.recordings.iter().zip(file.refreshed().recordings) {
                assert_eq!(*old, new, "{}: UPDATE=1 records it anew", file.path.display());
            }
        }
    }
}

/// The options of every qdisc and class, from tc's words, make the bytes that tc makes of them, in tc's order.
#[test]
fn qdiscs_and_classes_send_what_tc_sends() {
    each(|line, recording| {
        let options = read(line, &line.options)?;
        let mut ours = Attributes::new();
        options.encode(&mut ours, &Facts::default());
        same_attributes(&name(line), &ours.bytes, options_sent(recording))
    });
}

/// What tc sends is read as the options that its words say.
#[test]
fn what_tc_sends_is_understood() {
    let facts = Facts::default();
    each(|line, recording| {
        let mut asked = read(line, &line.options)?;
        asked.complete(&facts);
        asked.assume(&facts);
        let mut held = fresh(line).unwrap();
        held.decode(Payload(options_sent(recording)), &facts).map_err(|error| error.to_string())?;
        held.assume(&facts);
        compare_rows(asked.as_ref(), held.as_ref())
    });
}

/// Options that are printed as tc's words are read as the same options.
#[test]
fn words_are_read_back() {
    each(|line, _| {
        let options = read(line, &line.options)?;
        let mut words = Vec::new();
        options.tc(&mut words);
        compare_rows(options.as_ref(), read(line, &words)?.as_ref()).map_err(|error| format!("{words:?}: {error}"))
    });
}

/// Runs a check on every recording of a qdisc or class, and fails with all that is wrong.
fn each(check: impl Fn(&Line, &Recording) -> Result<(), String>) {
    let (mut wrong, mut checked) = (Vec::new(), 0);
    for recording in wire::files().iter().flat_map(|file| &file.recordings) {
        let line = Line::read(&recording.words);
        if line.object == "filter" {
            continue;
        }
        if fresh(&line).is_none() {
            println!("no kind is called {}", name(&line));
            continue;
        }
        checked += 1;
        if let Err(error) = check(&line, recording) {
            wrong.push(format!("{}\n    {error}", recording.words));
        }
    }
    assert!(checked > 0);
    assert!(wrong.is_empty(), "{} of {checked} are wrong:\n{}", wrong.len(), wrong.join("\n"));
}

/// `htb`, or `htb class`.
fn name(line: &Line) -> String {
    if line.object == "class" { format!("{} class", line.kind) } else { line.kind.clone() }
}

fn fresh(line: &Line) -> Option<Box<dyn Options>> {
    let kind = kind::find(Role::Qdisc, &line.kind)?;
    if line.object == "class" { kind.class.map(|fresh| fresh()) } else { Some((kind.options)()) }
}

fn read(line: &Line, words: &[String]) -> Result<Box<dyn Options>, String> {
    let mut options = fresh(line).unwrap();
    kind::read_tc(options.as_mut(), &mut Words::new(words), &mut Reader::tc()).map_err(|refusal| refusal.message)?;
    Ok(options)
}

/// The payload of `TCA_OPTIONS` in a recorded message; empty if there is none.
fn options_sent(recording: &Recording) -> &[u8] {
    let attributes = Payload(&recording.message[TCMSG..]).attributes().expect("tc's attributes are sound");
    attributes.get(TCA_OPTIONS).map_or(&[], |payload| payload.0)
}

fn compare_rows(left: &dyn Options, right: &dyn Options) -> Result<(), String> {
    let facts = Facts::default();
    let differ = left.rows().iter().enumerate().filter(|(at, row)| !row.tool && !left.same(right, *at, &facts));
    let differ =
        differ.map(|(_, row)| format!("{}: {:?} and {:?}", row.word, left.show(row.word), right.show(row.word)));
    let differ = differ.collect::<Vec<_>>();
    if differ.is_empty() { Ok(()) } else { Err(differ.join("; ")) }
}

/// Octets of a C struct in which we and tc 6.1 may differ.
struct Loose {
    /// The kind and the attribute that the struct is in.
    of: (&'static str, u16),
    /// Where a `struct tc_ratespec` begins: its cell_log and cell_align are for rate tables, which the kernel has not
    /// used since 3.8 and we do not send.
    ratespecs: &'static [usize],
    /// Where a bucket's size in ticks stands, which tc rounds otherwise since 2025.
    ticks: &'static [usize],
}

const LOOSE: &[Loose] = &[
    Loose { of: ("htb class", 1), ratespecs: &[0, 12], ticks: &[24, 28] },
    Loose { of: ("tbf", 1), ratespecs: &[0, 12], ticks: &[28, 32] },
];

/// Attributes that tc sends and we do not: rate tables.
const TABLES: &[(&str, u16)] = &[("htb class", 3), ("htb class", 4), ("tbf", 2), ("tbf", 3)];

/// A microsecond, in ticks of 64 ns, and the rounding of one more.
const TICKS: u32 = 17;

/// Compares two lists of attributes, or two bare structs, octet by octet but for what is [`LOOSE`].
fn same_attributes(kind: &str, ours: &[u8], tcs: &[u8]) -> Result<(), String> {
    // what tc puts behind prio's struct is an empty list, of attributes that are no more
    let tcs = if kind == "prio" { tcs.strip_suffix(&[4, 0, 2, 0]).unwrap_or(tcs) } else { tcs };
    if ours == tcs {
        return Ok(());
    }
    let show = || format!("ours {}\n    tc's {}", hex(ours), hex(tcs));
    let (Ok(left), Ok(right)) = (Payload(ours).attributes(), Payload(tcs).attributes()) else { return Err(show()) };
    let right = right.list.iter().filter(|(number, _)| !TABLES.contains(&(kind, *number))).collect::<Vec<_>>();
    let numbers = |list: &mut dyn Iterator<Item = u16>| list.map(|n| n.to_string()).collect::<Vec<_>>().join(" ");
    let (our_numbers, tc_numbers) =
        (numbers(&mut left.list.iter().map(|a| a.0)), numbers(&mut right.iter().map(|a| a.0)));
    if our_numbers != tc_numbers {
        return Err(format!("attributes {our_numbers} where tc has {tc_numbers}\n    {}", show()));
    }
    for ((number, ours), (_, tcs)) in left.list.iter().zip(right) {
        let loose = LOOSE.iter().find(|loose| loose.of == (kind, *number));
        if ours != tcs && !loose.is_some_and(|loose| loose.same(ours.0, tcs.0)) {
            return Err(format!("attribute {number}: ours {}\n    tc's {}", hex(ours.0), hex(tcs.0)));
        }
    }
    Ok(())
}

impl Loose {
    fn same(&self, ours: &[u8], tcs: &[u8]) -> bool {
        let mut ours = ours.to_vec();
        if ours.len() != tcs.len() {
            return false;
        }
        for at in self.ratespecs {
            ours[*at] = tcs[*at];
            ours[at + 4..at + 6].copy_from_slice(&tcs[at + 4..at + 6]);
        }
        let narrow = ours[8..12] != [0xff; 4]; // for a rate beyond 32 bits tc 6.1 counts with the 32 bits
        for at in self.ticks {
            let number = |bytes: &[u8]| u32::from_ne_bytes(bytes[*at..at + 4].try_into().unwrap());
            if !narrow || number(&ours).abs_diff(number(tcs)) <= TICKS {
                ours[*at..at + 4].copy_from_slice(&tcs[*at..at + 4]);
            }
        }
        ours == tcs
    }
}

fn hex(bytes: &[u8]) -> String {
    bytes
        .chunks(4)
        .map(|word| word.iter().map(|b| format!("{b:02x}")).collect::<String>())
        .collect::<Vec<_>>()
        .join(" ")
}
