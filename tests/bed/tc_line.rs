//! A line of tc's words taken apart: what belongs to every object, and what to the kind; and the object that it means.

use shapectl::facts::{Facts, Links};
use shapectl::kind::filter::u32::Node;
use shapectl::kind::{self, Kind, Options, Role};
use shapectl::tree::{Id, Object, Stab};
use shapectl::unit::{Handle, LinkLayer, Reader, Unit, Words};
use std::collections::BTreeSet;
use std::sync::Arc;

/// `tc OBJECT VERB dev DEV … KIND OPTION…`
#[derive(Clone, Debug, PartialEq)]
pub struct Line {
    /// `qdisc`, `class` or `filter`.
    pub object: String,
    /// What stands before the kind, by word; `root`, `ingress` and `egress` have no value.
    pub header: Vec<(String, String)>,
    /// The kind.
    pub kind: String,
    /// The words after it.
    pub options: Vec<String>,
}

impl Line {
    /// Takes a line apart.
    pub fn read(line: &str) -> Line {
        let words = line.split_whitespace().map(str::to_owned).collect::<Vec<_>>();
        let object = words[1].clone();
        let mut header = Vec::new();
        let mut at = 3; // tc OBJECT VERB
        while let Some(word) = words.get(at) {
            // `prio` and `ingress` alone are kinds of a qdisc, and in the line of a filter they are not
            let valued = ["dev", "parent", "handle", "classid"].contains(&word.as_str())
                || ["protocol", "prio", "pref", "chain"].contains(&word.as_str()) && object == "filter"
                || word.ends_with("_block");
            let value = words.get(at + 1).cloned().unwrap_or_default();
            if valued {
                header.push((word.clone(), value));
                at += 2;
            } else if word == "root" || object == "filter" && (word == "ingress" || word == "egress") {
                header.push((word.clone(), String::new()));
                at += 1;
            } else if word == "stab" {
                at += 1;
                while ["overhead", "mpu", "mtu", "tsize", "linklayer"].contains(&words[at].as_str()) {
                    header.push((format!("stab {}", words[at]), words[at + 1].clone()));
                    at += 2;
                }
            } else {
                break;
            }
        }
        Line { object, header, kind: words[at].clone(), options: words[at + 1..].to_vec() }
    }

    /// The value of a word of the header.
    pub fn get(&self, word: &str) -> Option<&str> {
        self.header.iter().find(|(name, _)| name == word).map(|(_, value)| value.as_str())
    }

    fn kind(&self) -> Option<&'static Kind> {
        kind::find(if self.object == "filter" { Role::Filter } else { Role::Qdisc }, &self.kind)
    }

    /// Fresh options of its kind, if the kind is known.
    pub fn fresh(&self) -> Option<Box<dyn Options>> {
        let kind = self.kind()?;
        if self.object == "class" { kind.class.map(|fresh| fresh()) } else { Some((kind.options)()) }
    }

    /// Options of its kind from words, and from what of the header belongs to them.
    ///
    /// # Errors
    /// The refusal's sentence.
    pub fn options_of(&self, words: &[String]) -> Result<Box<dyn Options>, String> {
        let mut options = self.fresh().ok_or("the kind is not known")?;
        kind::read_tc(options.as_mut(), &mut Words::new(words), &mut Reader::tc())
            .map_err(|refusal| refusal.message)?;
        let mut set = |word: &str, text: &str| {
            let row = options.row(word).unwrap();
            options.slot_mut(row).unwrap().read_text(text, &mut Reader::tc()).map_err(|refusal| refusal.message)
        };
        // the mask of fw stands behind the handle, and what flower calls its first key is the protocol
        match (self.kind.as_str(), self.get("handle").and_then(|handle| handle.split_once('/')), self.get("protocol")) {
            ("fw", Some((_, mask)), _) => set("mask", mask)?,
            ("flower", _, Some(protocol)) if protocol != "all" => set("eth_type", protocol)?,
            _ => {}
        }
        Ok(options)
    }

    /// The object, with a handle of 0 where the line has none.
    ///
    /// # Errors
    /// As [`Line::options_of`].
    pub fn object(&self) -> Result<Object, String> {
        let handle = |word: &str| match self.get(word) {
            Some(text) => Handle::read(&with_colon(text), &mut Reader::tc()).map_err(|refusal| refusal.message),
            None => Ok(Handle(0)),
        };
        let has = |word: &str| self.get(word).is_some();
        let id = match self.object.as_str() {
            "qdisc" if ["ingress", "clsact"].contains(&self.kind.as_str()) => {
                Id::Qdisc { parent: Handle::INGRESS, handle: Handle::HOOK }
            }
            "qdisc" if has("root") => Id::Qdisc { parent: Handle::ROOT, handle: handle("handle")? },
            "qdisc" => Id::Qdisc { parent: handle("parent")?, handle: handle("handle")? },
            "class" => Id::Class { parent: handle("parent")?, handle: handle("classid")? },
            _ => {
                let number = |word: &str, or: u32| self.get(word).map_or(Ok(or), |text| text.parse::<u32>());
                let number = |word: &str, or: u32| number(word, or).map_err(|error| format!("{word}: {error}"));
                let protocol = match self.get("protocol").unwrap_or("all") {
                    "all" => 0x0003,
                    "ip" => 0x0800,
                    "ipv6" => 0x86dd,
                    "802.1Q" => 0x8100,
                    "802.1ad" => 0x88a8,
                    other => return Err(format!("no protocol {other} is known to the tests")),
                };
                let text = self.get("handle").unwrap_or("0").split('/').next().unwrap_or_default();
                let handle_of = |text: &str| {
                    let hex = text.strip_prefix("0x").map(|hex| u32::from_str_radix(hex, 16));
                    hex.unwrap_or_else(|| text.parse()).map_err(|error| format!("{text}: {error}"))
                };
                Id::Filter {
                    parent: match () {
                        () if has("ingress") => Handle::HOOK_INGRESS,
                        () if has("egress") => Handle::HOOK_EGRESS,
                        () => handle("parent")?,
                    },
                    chain: number("chain", 0)?,
                    prio: number("prio", 0)? as u16,
                    protocol,
                    handle: match self.kind.as_str() {
                        "u32" if text.contains(':') => {
                            Node::read(text, &mut Reader::tc()).map_err(|refusal| refusal.message)?.0
                        }
                        _ => handle_of(text)?,
                    },
                }
            }
        };
        let kind = self.kind().ok_or("the kind is not known")?;
        let mut object = Object::new(id, kind, self.options_of(&self.options)?);
        if self.header.iter().any(|(word, _)| word.starts_with("stab ")) {
            let figure = |word: &str| self.get(word).map_or(0, |text| text.parse::<i32>().unwrap_or(0));
            object.stab = Some(Stab {
                overhead: figure("stab overhead"),
                mpu: figure("stab mpu") as u32,
                mtu: figure("stab mtu") as u32,
                tsize: figure("stab tsize") as u32,
                linklayer: match self.get("stab linklayer") {
                    Some("atm" | "adsl") => Some(LinkLayer::Atm),
                    Some(_) => Some(LinkLayer::Ethernet),
                    None => None,
                },
            });
        }
        Ok(object)
    }

    /// What a kernel must have for this line, in the names of [`super::kernel`]'s probes.
    pub fn needs(&self) -> BTreeSet<String> {
        let mut needs = BTreeSet::new();
        if self.kind == "u32" && self.options.windows(2).any(|pair| pair == ["match", "mark"]) {
            needs.insert("u32-mark".to_owned());
        }
        for (at, word) in self.options.iter().enumerate() {
            match (word.as_str(), self.options.get(at + 1).map(String::as_str)) {
                ("police", Some(_)) => needs.insert("police".to_owned()),
                ("action", Some("mirred" | "skbedit")) => needs.insert(self.options[at + 1].clone()),
                ("action", Some(next)) if next != "police" => needs.insert("gact".to_owned()),
                _ => false,
            };
        }
        needs.insert(self.kind.clone());
        needs
    }
}

/// A machine with the one link that the recordings name.
pub fn facts() -> Facts {
    Facts { links: Arc::new(Links::new([(1, "lo".into())])), ..Facts::default() }
}

/// `ffff` as `ffff:`: tc takes both for the handle of a qdisc.
fn with_colon(text: &str) -> String {
    if text.contains(':') { text.to_owned() } else { format!("{text}:") }
}
