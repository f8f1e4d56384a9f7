//! Lines that people have, by name: what they add to an IP packet and how they pack it. The names and figures are those of
//! tc-cake(8), where each has its sources; here they also serve the size tables of all other kinds.

use super::{Info, Reader, Refusal, Schema, Unit};
use crate::syntax::document::{Node, Value};

/// How a line packs bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Packing {
    /// Byte for byte.
    Plain,
    /// In cells of ATM: 53 bytes carry 48.
    Atm,
    /// In PTM's code: 65 bytes carry 64.
    Ptm,
}

/// A kind of line.
#[derive(Debug, PartialEq, Eq)]
pub struct Preset {
    /// Its name.
    pub name: &'static str,
    /// How it packs; `None` if it says nothing of that.
    pub packing: Option<Packing>,
    /// Bytes over the IP packet.
    pub overhead: i32,
    /// The least size of a packet with them.
    pub mpu: Option<u32>,
}

const fn preset(name: &'static str, packing: Option<Packing>, overhead: i32, mpu: Option<u32>) -> Preset {
    Preset { name, packing, overhead, mpu }
}

/// All of them.
pub const PRESETS: &[Preset] = &[
    preset("conservative", Some(Packing::Atm), 48, None),
    preset("ipoa-vcmux", Some(Packing::Atm), 8, None),
    preset("ipoa-llcsnap", Some(Packing::Atm), 16, None),
    preset("bridged-vcmux", Some(Packing::Atm), 24, None),
    preset("bridged-llcsnap", Some(Packing::Atm), 32, None),
    preset("pppoa-vcmux", Some(Packing::Atm), 10, None),
    preset("pppoa-llc", Some(Packing::Atm), 14, None),
    preset("pppoe-vcmux", Some(Packing::Atm), 32, None),
    preset("pppoe-llcsnap", Some(Packing::Atm), 40, None),
    preset("pppoe-ptm", Some(Packing::Ptm), 30, None),
    preset("bridged-ptm", Some(Packing::Ptm), 22, None),
    preset("docsis", Some(Packing::Plain), 18, Some(64)),
    preset("ethernet", None, 38, Some(84)),
    preset("ether-vlan", None, 4, None),
];

/// Tags that come on top of a line's own bytes.
const ADDED: &str = "ether-vlan";
impl Preset {
    /// By its name.
    pub fn find(name: &str) -> Option<&'static Preset> {
        PRESETS.iter().find(|p| p.name == name)
    }
}

/// The names of all.
fn names() -> impl Iterator<Item = &'static str> {
    PRESETS.iter().map(|p| p.name)
}

/// A line's preset, alone or with tags on top (`[ethernet, ether-vlan]`).
#[derive(Clone, Debug, PartialEq)]
pub struct Presets(Vec<&'static Preset>);

impl Presets {
    /// How the line packs.
    pub fn packing(&self) -> Packing {
        self.0.iter().find_map(|p| p.packing).unwrap_or(Packing::Plain)
    }

    /// Bytes over the IP packet, all in all.
    pub fn overhead(&self) -> i32 {
        self.0.iter().map(|p| p.overhead).sum()
    }

    /// The least size of a packet with them; 0 for none.
    pub fn mpu(&self) -> u32 {
        self.0.iter().find_map(|p| p.mpu).unwrap_or(0)
    }

    fn of(words: &[&str]) -> Result<Presets, Refusal> {
        let mut presets: Vec<&'static Preset> = Vec::new();
        for word in words {
            let found = Preset::find(word).ok_or_else(|| {
                let refusal = Refusal::new(format!("`{word}` is no line that is known by name"));
                match crate::syntax::names::nearest(word, names()) {
                    Some(near) => refusal.help(format!("did you mean `{near}`?")),
                    None => refusal.help(format!("known are {}", names().collect::<Vec<_>>().join(", "))),
                }
            })?;
            let own = presets.iter().find(|p| p.name != ADDED);
            if let Some(first) = own.filter(|_| found.name != ADDED) {
                let message = format!("`{}` and `{word}` are two kinds of line", first.name);
                return Err(Refusal::new(message).help("write one; `ether-vlan` alone comes on top of another"));
            }
            presets.push(found);
        }
        match presets.as_slice() {
            [] => Err(Refusal::new("no line is named").help(format!("write {}", Self::INFO.spellings))),
            [_, _, _, ..] => Err(Refusal::new("more tags than two").help("write the bytes as `overhead`")),
            all if all.iter().all(|p| p.name == ADDED) => {
                Err(Refusal::new("`ether-vlan` counts a tag that comes on top of the line's own bytes")
                    .help("write `[ethernet, ether-vlan]`, or the line's name beside it"))
            }
            _ => Ok(Presets(presets)),
        }
    }
}

impl Unit for Presets {
    const INFO: Info = Info {
        name: "a kind of line",
        spellings: "`pppoe-ptm`, `docsis`, `[ethernet, ether-vlan]`",
        schema: Schema::List(
            "^(conservative|(ipoa|bridged)-(vcmux|llcsnap)|pppoa-(vcmux|llc)|pppoe-(vcmux|llcsnap)|(pppoe|bridged)-ptm|docsis|ethernet|ether-vlan)$",
        ),
    };

    fn read(text: &str, _reader: &mut Reader) -> Result<Self, Refusal> {
        let words: Vec<&str> = text.trim_matches(['[', ']']).split([' ', ',']).filter(|w| !w.is_empty()).collect();
        Presets::of(&words)
    }

    fn read_node(node: &Node, reader: &mut Reader) -> Result<Self, Refusal> {
        match &node.value {
            Value::List(items) => Presets::of(&items.iter().filter_map(|i| i.node.as_word()).collect::<Vec<_>>()),
            Value::Word(word) => Self::read(&word.text, reader),
            _ => Err(Refusal::new(format!("a kind of line is wanted here, and this is {}", node.shape()))
                .help(format!("write {}", Self::INFO.spellings))),
        }
    }

    fn show(&self) -> String {
        match self.0.as_slice() {
            [one] => one.name.to_owned(),
            all => format!("[{}]", all.iter().map(|p| p.name).collect::<Vec<_>>().join(", ")),
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    fn read(text: &str) -> Result<Presets, Refusal> {
        Presets::read(text, &mut Reader::default())
    }

    #[test]
    fn each_has_its_name() {
        for preset in PRESETS.iter().filter(|p| p.name != ADDED) {
            assert_eq!(read(preset.name).unwrap().overhead(), preset.overhead);
            assert_eq!(read(preset.name).unwrap().show(), preset.name);
        }
    }

    #[test]
    fn a_tag_comes_on_top() {
        let tagged = read("[ethernet, ether-vlan]").unwrap();
        assert_eq!((tagged.overhead(), tagged.mpu(), tagged.packing()), (42, 84, Packing::Plain));
        assert_eq!(read(&tagged.show()).unwrap(), tagged);
        let tagged = read("ether-vlan pppoe-ptm").unwrap();
        assert_eq!((tagged.overhead(), tagged.mpu(), tagged.packing()), (34, 0, Packing::Ptm));
    }

    #[test]
    fn what_is_no_line_is_refused() {
        assert_eq!(read("pppoe-pmt").unwrap_err().help.unwrap(), "did you mean `pppoe-ptm`?");
        for text in ["", "ether-vlan", "docsis ethernet", "docsis ether-vlan ether-vlan"] {
            assert!(read(text).is_err(), "{text}");
        }
    }
}
