//! Names of classes from the comments beside the commands that make them.

use crate::source::Spanned;
use compact_str::CompactString;

/// The longest name that is made, in letters and in words.
const LETTERS: usize = 32;
const WORDS: usize = 5;

/// The comments of a command as prose: without their signs, without ruled lines, without code that was commented out.
pub fn prose(comments: &[Spanned<String>]) -> Vec<String> {
    let text =
        |c: &Spanned<String>| c.value.trim_start_matches('#').trim().trim_matches(['#', '-', '=', '*', ' ']).to_owned();
    comments.iter().filter(|c| !c.value.starts_with("#!")).map(text).filter(|t| is_prose(t)).collect()
}

fn is_prose(text: &str) -> bool {
    let first = text.split_whitespace().next().unwrap_or("");
    let is_code = matches!(first, "tc" | "ip" | "$TC" | "$IP" | "iptables" | "echo" | "sudo" | "if" | "fi" | "done")
        || text.contains("dev $")
        || text.contains("qdisc add")
        || text.contains("class add")
        || text.contains("filter add");
    text.chars().any(char::is_alphabetic) && !is_code
}

/// A name from prose: its letters and digits, in small letters, joined by `-`; `None` if it is too long for a name.
pub fn name(prose: &[String]) -> Option<CompactString> {
    // the one behind the command, or the line before it, is about it
    prose.iter().rev().filter(|text| !text.contains('$')).find_map(|text| {
        let words = text.split_whitespace().filter(|w| !is_number(w));
        let words: Vec<String> = words
            .flat_map(|w| {
                w.split(|c: char| !c.is_ascii_alphanumeric()).map(str::to_ascii_lowercase).collect::<Vec<_>>()
            })
            .filter(|w| !w.is_empty())
            .collect();
        let name = words.join("-");
        let sound =
            name.starts_with(|c: char| c.is_ascii_alphabetic()) && name.len() <= LETTERS && words.len() <= WORDS;
        sound.then(|| name.into())
    })
}

/// `1:10`, `1:`, `10:`.
fn is_number(word: &str) -> bool {
    let word = word.trim_end_matches([',', '.', ')', '=', '-']).trim_start_matches('(');
    word.split_once(':').is_some_and(|(a, b)| {
        !(a.is_empty() && b.is_empty()) && a.chars().chain(b.chars()).all(|c| c.is_ascii_hexdigit())
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::source::Span;

    #[test]
    fn comments_are_names() {
        let name_of = |comments: &[&str]| {
            let comments: Vec<_> = comments.iter().map(|c| Spanned::new((*c).to_owned(), Span::NONE)).collect();
            name(&prose(&comments))
        };
        assert_eq!(name_of(&["# ssh and interactive"]).as_deref(), Some("ssh-and-interactive"));
        assert_eq!(name_of(&["##### VoIP (SIP/RTP) #####"]).as_deref(), Some("voip-sip-rtp"));
        assert_eq!(name_of(&["# 1:10 - web"]).as_deref(), Some("web"));
        assert_eq!(name_of(&["# a heading", "# bulk"]).as_deref(), Some("bulk"));
        assert_eq!(name_of(&["#------"]), None);
        assert_eq!(name_of(&["# tc class add dev eth0 parent 1: classid 1:1 htb rate 1mbit"]), None);
        assert_eq!(name_of(&["# this explains at some length why the class below is what it is"]), None);
        assert_eq!(name_of(&["#!/bin/sh"]), None);
    }
}
