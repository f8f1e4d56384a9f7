//! `layout: nested`: the same names in several disciplines.

use super::{fresh, lowered, show, text};
use crate::lower::Ids;
use crate::policy::model::Policy;

/// A site with a class of its own beside others, and the users below it.
fn sites(layout: &str, users: usize) -> Policy {
    let user = |i: usize| format!("                  u{i}: {{ rate: 100kbit, ceil: 2mbit, match: dst 10.0.0.{i} }}\n");
    let users: String = (0..users).map(user).collect();
    text(&format!(
        "
interfaces:
  eth0:
    egress:
      htb:
        layout: {layout}
        default: site/u0
        classes:
          voice: {{ rate: 1mbit, match: src 192.0.2.1 }}
          line:
            rate: 4mbit
            classes:
              site:
                rate: 1mbit
                ceil: 4mbit
                classes:
{users}"
    ))
}

#[test]
fn a_class_with_many_children_has_an_htb_below_it() {
    let shown = show(&fresh(&sites("nested", 8)));
    let wanted = [
        "eth0: 1: below root htb default 0x3",
        "eth0: class 1:1 below 1: htb rate 1mbit ceil 1mbit burst 1600b cburst 1600b quantum 12500",
        "eth0: class 1:2 below 1: htb rate 4mbit ceil 4mbit burst 1600b cburst 1600b quantum 50000",
        "eth0: class 1:3 below 1:2 htb rate 1mbit ceil 4mbit burst 1600b cburst 1600b quantum 12500",
        // the default of the whole is one on each level
        "eth0: 2: below 1:3 htb default 0x2",
        "eth0: class 2:1 below 2: htb rate 4000gbit ceil 4000gbit burst 100000000b cburst 100000000b quantum 200000",
        "eth0: class 2:2 below 2:1 htb rate 100kbit ceil 2mbit burst 2880b cburst 2880b quantum 1514",
    ];
    let classes: Vec<&str> = shown.iter().map(String::as_str).filter(|l| !l.contains("filter")).collect();
    assert_eq!(classes[..wanted.len()], wanted, "{shown:#?}");
    assert_eq!(classes.len(), wanted.len() + 7);
    // what is inside is there before anything is sent to it
    let filters: Vec<&str> = shown.iter().map(String::as_str).filter(|l| l.contains("filter")).collect();
    let (inner, outer): (Vec<&str>, Vec<&str>) = filters.iter().partition(|l| l.contains("filter 2:"));
    assert_eq!([inner.clone(), outer.clone()].concat(), filters);
    assert_eq!((inner.len(), outer.len()), (8, 9), "{filters:#?}");
    assert!(inner[7].ends_with("match ip dst 10.0.0.7/32 flowid 2:9"), "{}", inner[7]);
    assert!(outer[8].ends_with("match ip dst 10.0.0.7/32 flowid 1:3"), "{}", outer[8]);
    assert!(!outer[0].contains("1:3"), "the class beside it has its own rule first: {}", outer[0]);
}

#[test]
fn fewer_are_left_where_they_are() {
    assert_eq!(show(&fresh(&sites("nested", 7))), show(&fresh(&sites("flat", 7))));
}

/// A class that gets a discipline in place of its classes is another class to the kernel, or both would be in the way of
/// each other while one becomes the other.
#[test]
fn no_number_is_that_of_a_class_in_the_other_layout() {
    let (_, ids) = lowered(&sites("flat", 8), &Ids::default());
    let (nested, kept) = lowered(&sites("nested", 8), &ids);
    let site = show(&nested).into_iter().find(|l| l.contains("rate 1mbit ceil 4mbit")).unwrap();
    assert!(site.starts_with("eth0: class 1:c below 1:2 "), "{site}");
    let (again, same) = lowered(&sites("nested", 8), &kept);
    assert_eq!((show(&again), same), (show(&nested), kept.clone()));
    // names are told as the policy writes them
    let names = super::names_of(&kept);
    let of = |handle: (u16, u16)| names.get("eth0", crate::unit::Handle::new(handle.0, handle.1)).unwrap();
    assert_eq!([of((1, 12)), of((2, 0)), of((2, 3))], ["line/site", "line/site", "line/site/u1"]);
}

/// Twelve levels, each with one class: the last of them in a second discipline.
#[test]
fn what_is_too_deep_is_parted() {
    let mut body = "{ rate: 1mbit }".to_owned();
    for level in (1..12).rev() {
        body = format!("{{ rate: 1mbit, classes: {{ l{}: {body} }} }}", level + 1);
    }
    let head = "interfaces: { eth0: { egress: { htb: { layout: nested, default: l12, classes: { l1: ";
    let shown = show(&fresh(&text(&format!("{head}{body} }} }} }} }} }}"))));
    let classes = |major: &str| shown.iter().filter(|l| l.contains(&format!("class {major}:"))).count();
    assert_eq!((classes("1"), classes("2")), (5, 8), "{shown:#?}");
}
