//! What our encoder sends is what the real tc sends, and what it sends is understood: for every recording of
//! `tests/wire`, words → options → bytes, and bytes → options → words.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing, reason = "tests")]

mod bed;

use bed::kernel;
use bed::tc_line::{Line, facts};
use bed::wire::{self, Recording};
use shapectl::kind::wire::Payload;
use shapectl::kind::{self, Options, Role};
use shapectl::netlink::{self, Message};
use shapectl::tc::Target;

const TCMSG: usize = 20;
const TCA_OPTIONS: u16 = 2;
/// `TCA_ACT_TAB`, behind the `struct tcamsg` of a message about actions.
const ACTION_TABLE: u16 = 1;
const TCAMSG: usize = 4;

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
                assert_eq!(
                    old.message,
                    new.message,
                    "{}: {}: UPDATE=1 records it anew",
                    file.path.display(),
                    old.words
                );
                // the acknowledgement is the sender's affair
                let (ours, header) = (message(&Line::read(&old.words)), new.header.unwrap());
                assert_eq!(ours.map(|m| (m.kind, m.flags)), Ok((header.0, header.1 & !4)), "{}", old.words);
            }
        }
    }
}

/// A line's message, from the words of all of it to the last octet, is tc's, in tc's order.
#[test]
fn our_messages_are_tcs() {
    each(|line, recording| {
        let ours = message(line)?;
        same_message(&name(line), &ours.body, &recording.message)
    });
}

/// What tc sends is read as the options that its words say.
#[test]
fn what_tc_sends_is_understood() {
    let facts = facts();
    each(|line, recording| {
        if line.fresh().is_none() || !line.words[1].starts_with(['a', 'r', 'c']) {
            return Ok(()); // of what goes, only the place is looked at
        }
        let mut asked = line.options_of(&line.options)?;
        asked.complete(&facts);
        asked.assume(&facts);
        let mut held = line.fresh().unwrap();
        held.decode(Payload(options_sent(recording)), &facts).map_err(|error| error.to_string())?;
        held.assume(&facts);
        compare_rows(asked.as_ref(), held.as_ref())
    });
}

/// Options that are printed as tc's words are read as the same options.
#[test]
fn words_are_read_back() {
    each(|line, _| {
        if line.fresh().is_none() {
            return Ok(());
        }
        let mut options = line.options_of(&line.options)?;
        let mut words = Vec::new();
        options.tc(&mut words);
        let mut again = line.options_of(&words).map_err(|error| format!("{words:?}: {error}"))?;
        options.assume(&facts());
        again.assume(&facts());
        compare_rows(options.as_ref(), again.as_ref()).map_err(|error| format!("{words:?}: {error}"))
    });
}

/// Runs a check on every recording, and fails with all that is wrong.
fn each(check: impl Fn(&Line, &Recording) -> Result<(), String>) {
    let (mut wrong, mut checked) = (Vec::new(), 0);
    for recording in wire::files().iter().flat_map(|file| &file.recordings) {
        let line = Line::read(&recording.words);
        if let Err(error) = &line.request {
            wrong.push(format!("{}\n    {error}", recording.words));
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

/// What we send for a line.
fn message(line: &Line) -> Result<Message, String> {
    let mut request = line.request.clone()?;
    let facts = facts();
    request.complete(&facts);
    let ifindex = u32::from(matches!(request.target, Some(Target::Dev(_))));
    Ok(netlink::request(&request, ifindex, &facts))
}

/// `htb`, or `htb class`.
fn name(line: &Line) -> String {
    match line.object.as_str() {
        "class" => format!("{} class", line.kind),
        "actions" => line.object.clone(),
        _ => line.kind.clone(),
    }
}

/// The payload of `TCA_OPTIONS` in a recorded message; empty if there is none.
fn options_sent(recording: &Recording) -> &[u8] {
    let attributes = Payload(&recording.message[TCMSG..]).attributes().expect("tc's attributes are sound");
    attributes.get(TCA_OPTIONS).map_or(&[], |payload| payload.0)
}

/// Compares two messages: the header, and attribute by attribute, the options as [`same_attributes`] does.
fn same_message(kind: &str, ours: &[u8], tcs: &[u8]) -> Result<(), String> {
    if ours == tcs {
        return Ok(());
    }
    let show = || format!("ours {}\n    tc's {}", hex(ours), hex(tcs));
    let header = if kind == "actions" { TCAMSG } else { TCMSG };
    if ours.len() < header || tcs.len() < header || ours[..header] != tcs[..header] {
        return Err(format!("the headers differ\n    {}", show()));
    }
    let list = |bytes| Payload(bytes).attributes().map_err(|error| error.to_string());
    let (mut left, mut right) = (list(&ours[header..])?.list, list(&tcs[header..])?.list);
    // options that say nothing, which some kinds' words make and others' do not
    for list in [&mut left, &mut right] {
        list.retain(|(number, payload)| *number != TCA_OPTIONS || !payload.0.is_empty());
    }
    let numbers = |list: &[(u16, Payload)]| list.iter().map(|(number, _)| *number).collect::<Vec<_>>();
    if numbers(&left) != numbers(&right) {
        return Err(format!("attributes {:?} where tc has {:?}\n    {}", numbers(&left), numbers(&right), show()));
    }
    for ((number, ours), (_, tcs)) in left.iter().zip(&right) {
        if kind == "actions" && *number == ACTION_TABLE {
            same_actions(ours, tcs)?;
        } else if kind != "actions" && *number == TCA_OPTIONS {
            same_attributes(kind, ours.0, tcs.0)?;
        } else if ours != tcs {
            return Err(format!("attribute {number}: ours {}\n    tc's {}", hex(ours.0), hex(tcs.0)));
        }
    }
    Ok(())
}

fn compare_rows(left: &dyn Options, right: &dyn Options) -> Result<(), String> {
    let facts = facts();
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
    Loose { of: ("police", 1), ratespecs: &[20, 32], ticks: &[12] },
];

/// Attributes that tc sends and we do not: rate tables.
const TABLES: &[(&str, u16)] = &[("htb class", 3), ("htb class", 4), ("tbf", 2), ("tbf", 3)];

/// Rate tables that the kernel wants to see and has no use for: of a policer.
const UNUSED: &[(&str, u16)] = &[("police", 2), ("police", 3)];

/// What an average loses in idle time: tc has each entry from a product of its own, which may round otherwise.
const ROUNDED: &[(&str, u16)] = &[("red", 2), ("choke", 2), ("gred", 2)];

/// Where each kind of filter has its actions.
const ACTIONS: &[(&str, u16)] = &[
    ("u32", 7),
    ("fw", 4),
    ("matchall", 2),
    ("flower", 3),
    ("basic", 3),
    ("cgroup", 1),
    ("flow", 9),
    ("route", 6),
    ("bpf", 1),
];

/// Where each has a policer as it was before there were actions.
const POLICERS: &[(&str, u16)] =
    &[("u32", 6), ("fw", 2), ("basic", 4), ("cgroup", 2), ("flow", 10), ("route", 5), ("bpf", 2)];

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
    let (Ok(mut left), Ok(mut right)) = (Payload(ours).attributes(), Payload(tcs).attributes()) else {
        return Err(show());
    };
    // options of filters are written by tc in the order of the words, which is the user's
    if kind::find(Role::Filter, kind).is_some() {
        left.list.sort_by_key(|(number, _)| *number);
        right.list.sort_by_key(|(number, _)| *number);
    }
    let right = right.list.iter().filter(|(number, _)| !TABLES.contains(&(kind, *number))).collect::<Vec<_>>();
    let numbers = |list: &mut dyn Iterator<Item = u16>| list.map(|n| n.to_string()).collect::<Vec<_>>().join(" ");
    let (our_numbers, tc_numbers) =
        (numbers(&mut left.list.iter().map(|a| a.0)), numbers(&mut right.iter().map(|a| a.0)));
    if our_numbers != tc_numbers {
        return Err(format!("attributes {our_numbers} where tc has {tc_numbers}\n    {}", show()));
    }
    for ((number, ours), (_, tcs)) in left.list.iter().zip(right) {
        if ACTIONS.contains(&(kind, *number)) {
            same_actions(ours, tcs)?;
            continue;
        }
        if POLICERS.contains(&(kind, *number)) {
            same_attributes("police", ours.0, tcs.0).map_err(|error| format!("police: {error}"))?;
            continue;
        }
        if UNUSED.contains(&(kind, *number)) && ours.0.len() == tcs.0.len() {
            continue;
        }
        let near = || ours.0.iter().zip(tcs.0).all(|(a, b)| a.abs_diff(*b) <= 1);
        if ROUNDED.contains(&(kind, *number)) && ours.0.len() == tcs.0.len() && near() {
            continue;
        }
        let loose = LOOSE.iter().find(|loose| loose.of == (kind, *number));
        if ours != tcs && !loose.is_some_and(|loose| loose.same(ours.0, tcs.0)) {
            return Err(format!("attribute {number}: ours {}\n    tc's {}", hex(ours.0), hex(tcs.0)));
        }
    }
    Ok(())
}

/// Compares two lists of actions: numbered attributes, each with the action's kind and its options.
fn same_actions(ours: &Payload, tcs: &Payload) -> Result<(), String> {
    fn list<'a>(payload: &Payload<'a>) -> Result<Vec<(u16, Payload<'a>)>, String> {
        payload.attributes().map(|parsed| parsed.list).map_err(|error| error.to_string())
    }
    let (ours, tcs) = (list(ours)?, list(tcs)?);
    if ours.len() != tcs.len() {
        return Err(format!("{} actions where tc has {}", ours.len(), tcs.len()));
    }
    for ((our_number, ours), (tc_number, tcs)) in ours.iter().zip(&tcs) {
        let (ours, tcs) = (list(ours)?, list(tcs)?);
        let numbers = |list: &[(u16, Payload)]| list.iter().map(|(number, _)| *number).collect::<Vec<_>>();
        if our_number != tc_number || numbers(&ours) != numbers(&tcs) {
            return Err(format!("{our_number} {:?} where tc has {tc_number} {:?}", numbers(&ours), numbers(&tcs)));
        }
        let kind = tcs.iter().find(|(number, _)| *number == 1).map(|(_, kind)| kind.text()).unwrap_or_default();
        for ((number, ours), (_, tcs)) in ours.iter().zip(&tcs) {
            if *number == TCA_OPTIONS {
                same_attributes(&kind, ours.0, tcs.0).map_err(|error| format!("{kind}: {error}"))?;
            } else if ours != tcs {
                return Err(format!("{kind}: attribute {number}: {} where tc has {}", hex(ours.0), hex(tcs.0)));
            }
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
        // for a rate beyond 32 bits tc 6.1 counts with the 32 bits
        let narrow = self.ratespecs.iter().all(|at| ours[at + 8..at + 12] != [0xff; 4]);
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
