//! A line of tc's words taken apart: what belongs to every object, and what to the kind.

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
}
