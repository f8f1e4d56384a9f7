//! The JSON Schema of the YAML notation, for editors, and of what `classify` prints for machines. The options of every kind
//! come from its rows.

use crate::kind::{self, Children, Kind, Options, Role, Row};
use crate::policy::model::Classifier;
use crate::unit::{PRESETS, Reader, Schema};
use serde_json::{Map, Value, json};

/// Where a value may also be a `$name` of `let`.
const VARIABLE: &str = r"^\$\{?[A-Za-z_][A-Za-z0-9_.-]*\}?$";

fn object(properties: Map<String, Value>) -> Value {
    json!({ "type": "object", "properties": properties, "additionalProperties": false })
}

fn reference(name: &str) -> Value {
    json!({ "$ref": format!("#/$defs/{name}") })
}

fn map_of(what: Value) -> Value {
    json!({ "type": "object", "additionalProperties": what })
}

/// What may stand as the value of a row. A bare number may, if the row's reader takes one.
fn value(row: &Row, options: &dyn Options, at: usize) -> Value {
    let reads = |text: &str| {
        let mut fresh = options.boxed();
        fresh.slot_mut(at).is_some_and(|s| s.read_text(text, &mut Reader::default()).is_ok())
    };
    let bare = reads("64") || reads("1");
    let text = match row.unit.schema {
        Schema::Pattern(pattern) => json!({ "type": "string", "pattern": pattern }),
        Schema::Flag => json!({ "enum": [true, false, "yes", "no", "on", "off"] }),
        Schema::OneOf(words) => json!({ "enum": words }),
        Schema::List(pattern) => {
            let one = json!({ "anyOf": [{ "type": "integer" }, { "type": "string", "pattern": pattern }] });
            json!({ "anyOf": [{ "type": "array", "items": one }, { "type": "string" }] })
        }
        Schema::Any => return json!({ "description": row.doc }),
    };
    let mut choices = vec![text, json!({ "type": "string", "pattern": VARIABLE }), reference("each-way")];
    if bare {
        choices.push(json!({ "type": "number" }));
    }
    json!({ "description": described(row), "anyOf": choices })
}

fn described(row: &Row) -> String {
    match (row.default, row.computed) {
        (Some(default), _) => format!("{}; default {default}", row.doc),
        (None, Some(computed)) => format!("{}; default: {computed}", row.doc),
        (None, None) => row.doc.to_owned(),
    }
}

/// A value for what is sent and one for what arrives.
fn each_way(what: Value) -> Value {
    json!({
        "type": "object", "properties": { "up": what, "down": what }, "additionalProperties": false, "minProperties": 1,
    })
}

/// The rows of a set of options as properties.
fn rows(options: &dyn Options) -> Map<String, Value> {
    let shown = options.rows().iter().enumerate().filter(|(_, r)| !(r.hidden && r.tool));
    shown.map(|(i, row)| (row.word.to_owned(), value(row, options, i))).collect()
}

fn id() -> Value {
    json!({ "description": "pins the number of the handle, in hexadecimal", "type": ["string", "integer"] })
}

/// A discipline's block.
fn discipline(kind: &Kind) -> Value {
    let mut properties = rows((kind.options)().as_ref());
    properties.insert("id".into(), id());
    properties.insert("stab".into(), reference("stab"));
    properties.insert("estimator".into(), reference("estimator"));
    match kind.children {
        Children::None => {}
        Children::Classes => {
            properties.insert(
                "default".into(),
                json!({ "description": "the class for what no rule takes", "type": "string" }),
            );
            properties.insert("classes".into(), map_of(reference(&format!("{}-class", kind.name))));
            if (kind.options)().as_kind::<kind::qdisc::htb::Htb>().is_some() {
                let doc = "whether inner classes with many children get a discipline of their own";
                properties.insert("layout".into(), json!({ "description": doc, "enum": ["flat", "nested"] }));
            }
        }
        Children::Bands => {
            let names = json!({ "type": "array", "items": { "type": ["string", "integer"] } });
            let number = json!({ "type": ["integer", "string"] });
            properties.insert("bands".into(), json!({ "description": "the bands by name, first served first, or their number", "anyOf": [names, number] }));
            // by name or number; what is no band is the checker's to find
            let band = json!({ "type": ["string", "integer"] });
            let map = json!({
                "description": "the band of each of the sixteen priorities", "type": ["array", "string"], "items": band,
            });
            properties.insert("priomap".into(), map);
            properties.insert("tos".into(), map_of(json!({ "type": ["string", "integer"] })));
            properties.insert("leaves".into(), map_of(reference("discipline")));
        }
        Children::Leaf => {
            properties.insert("leaf".into(), reference("leaf"));
        }
    }
    json!({ "description": kind.doc, "anyOf": [object(properties), { "type": "null" }] })
}

fn class(kind: &Kind, fresh: fn() -> Box<dyn Options>) -> Value {
    let mut properties = rows(fresh().as_ref());
    properties.insert("id".into(), id());
    properties.insert("estimator".into(), reference("estimator"));
    properties
        .insert("profile".into(), json!({ "description": "a body of `profiles` to start from", "type": "string" }));
    properties.insert("match".into(), reference("expression"));
    properties.insert("fair".into(), reference("fair"));
    properties.insert("leaf".into(), reference("leaf"));
    properties.insert("classes".into(), map_of(reference(&format!("{}-class", kind.name))));
    json!({ "anyOf": [object(properties), { "type": "null" }] })
}

fn one_of_kinds<'a>(kinds: impl Iterator<Item = &'a &'static Kind> + Clone, rules: bool) -> Value {
    let names: Vec<_> = kinds.clone().map(|k| k.name).collect();
    let mut properties: Map<String, Value> = kinds.map(|k| (k.name.to_owned(), reference(k.name))).collect();
    if rules {
        properties.insert("rules".into(), reference("rules"));
        properties.insert("filters".into(), reference("filters"));
        properties.insert("classifier".into(), reference("classifier"));
    }
    let most = if rules { 4 } else { 1 };
    let block = json!({
        "type": "object", "properties": properties, "additionalProperties": false,
        "minProperties": 1, "maxProperties": most,
        "anyOf": names.iter().map(|n| json!({ "required": [n] })).collect::<Vec<_>>(),
    });
    json!({ "anyOf": [{ "enum": names }, block] })
}

fn actions() -> Value {
    let mut properties: Map<String, Value> = kind::in_policies(Role::Action)
        .map(|k| (k.name.to_owned(), reference(&format!("{}-action", k.name))))
        .collect();
    for (word, doc) in [
        ("mark", "set the packet's mark"),
        ("priority", "set the packet's priority"),
        ("dscp", "write this DSCP into the packet's header, and mend the checksum"),
        ("mirror", "send a copy to this device"),
        ("redirect", "send it to this device instead"),
    ] {
        properties.insert(word.into(), json!({ "description": doc, "type": ["string", "integer"] }));
    }
    for word in ["drop", "pass"] {
        properties.insert(word.into(), json!({}));
    }
    let block =
        json!({ "type": "object", "properties": properties, "additionalProperties": false, "minProperties": 1 });
    let one = json!({ "anyOf": [{ "type": "string" }, block] });
    json!({ "anyOf": [one, { "type": "array", "items": one }] })
}

/// A filter as it is.
fn filter(kind: &Kind) -> Value {
    let mut properties = rows((kind.options)().as_ref());
    let number = || json!({ "type": ["integer", "string"] });
    let class = json!({ "description": "the class to send to, by name or number", "type": "string" });
    properties.insert("flowid".into(), class.clone());
    properties.insert("classid".into(), class);
    for word in ["prio", "pref", "protocol", "chain", "handle"] {
        properties.insert(word.into(), number());
    }
    properties.insert("at".into(), json!({ "description": "the class or discipline that asks it", "type": "string" }));
    properties.insert("estimator".into(), reference("estimator"));
    if (kind.options)().has_templates() {
        let doc = "whether it is no filter, but what all filters of its chain look at";
        properties
            .insert("template".into(), json!({ "description": doc, "enum": [true, false, "yes", "no", "on", "off"] }));
    }
    json!({ "description": kind.doc, "type": "object", "properties": properties, "additionalProperties": false })
}

/// The whole schema.
pub fn schema() -> Value {
    let kinds: Vec<&'static Kind> = kind::in_policies(Role::Qdisc).filter(|k| k.writable).collect();
    // the hooks for what arrives are written as `ingress:`
    let kinds: Vec<_> = kinds.into_iter().filter(|k| !matches!(k.name, "ingress" | "clsact")).collect();
    let mut defs = Map::new();
    for kind in &kinds {
        defs.insert(kind.name.into(), discipline(kind));
        if let Some(fresh) = kind.class.filter(|_| kind.children == Children::Classes) {
            defs.insert(format!("{}-class", kind.name), class(kind, fresh));
        }
    }
    for kind in kind::in_policies(Role::Action) {
        let mut words = rows((kind.options)().as_ref());
        for word in ["cookie", "hw_stats", "no_percpu", "skip_hw", "skip_sw"] {
            words.entry(word).or_insert_with(|| json!({}));
        }
        let block = object(words);
        defs.insert(
            format!("{}-action", kind.name),
            json!({ "description": kind.doc, "anyOf": [block, { "type": ["null", "string"] }] }),
        );
    }
    for kind in kind::in_policies(Role::Filter) {
        defs.insert(format!("{}-filter", kind.name), filter(kind));
    }
    let filters: Map<String, Value> = kind::in_policies(Role::Filter)
        .map(|k| (k.name.to_owned(), reference(&format!("{}-filter", k.name))))
        .collect();
    defs.insert(
        "filters".into(),
        json!({
            "description": "filters of tc as they are, made in this order",
            "type": "array",
            "items": {
                "type": "object", "properties": filters, "additionalProperties": false,
                "minProperties": 1, "maxProperties": 1,
            },
        }),
    );
    let time = || json!({ "type": "string" });
    let mut times = Map::new();
    times.insert("interval".into(), time());
    times.insert("average".into(), time());
    defs.insert("estimator".into(), object(times));
    let mut sizes = rows(&kind::link::Link::default());
    sizes.retain(|word, _| ["overhead", "mpu", "mtu", "tsize", "linklayer"].contains(&word.as_str()));
    defs.insert("stab".into(), object(sizes));
    let one = json!({ "type": "string", "minLength": 1 });
    let matches = json!({
        "description": "what a rule matches: `tcp dport 22`; a list matches what any of it does",
        "anyOf": [one, { "type": "array", "items": one }],
    });
    defs.insert("expression".into(), matches);
    defs.insert("discipline".into(), one_of_kinds(kinds.iter(), false));
    let by = json!({ "enum": ["by host", "by src", "by dst", "host", "src", "dst"] });
    let fair = json!({
        "type": "object", "properties": { "by": by, "perturb": { "type": "string" } }, "additionalProperties": false,
        "required": ["by"],
    });
    defs.insert(
        "fair".into(),
        json!({ "description": "equal shares for hosts that nobody lists", "anyOf": [by, fair, each_way(by.clone())] }),
    );
    defs.insert("leaf".into(), json!({ "anyOf": [reference("discipline"), each_way(reference("discipline"))] }));
    defs.insert("direction".into(), one_of_kinds(kinds.iter(), true));
    let mut egress = one_of_kinds(kinds.iter(), true);
    if let Some(Value::Object(words)) = egress.pointer_mut("/anyOf/1/properties") {
        words.insert(
            "shared".into(),
            json!({ "description": "the shared budget it goes through first", "type": "string" }),
        );
    }
    let shared = json!({
        "type": "object", "properties": { "shared": { "type": "string" } }, "additionalProperties": false, "required": ["shared"],
    });
    defs.insert("egress".into(), json!({ "anyOf": [shared, egress] }));
    defs.insert("each-way".into(), each_way(json!({ "type": ["string", "number", "boolean", "array"] })));
    defs.insert("actions".into(), actions());
    let words: Vec<&str> = Classifier::WORDS.iter().map(|(word, _)| *word).collect();
    let classifier = json!({ "description": "the classifier that rules become filters of", "enum": words });
    defs.insert("classifier".into(), classifier);
    defs.insert(
        "rules".into(),
        json!({
            "description": "asked in this order; the first that matches decides",
            "type": "array",
            "items": {
                "type": "object", "additionalProperties": false,
                "properties": {
                    "class": { "description": "the class or band it sends to", "type": "string" },
                    "do": reference("actions"),
                    "match": reference("expression"),
                    "classifier": reference("classifier"),
                },
                "anyOf": [{ "required": ["class"] }, { "required": ["do"] }],
            },
        }),
    );
    let number = json!({ "type": ["integer", "string"] });
    let lines: Vec<_> = PRESETS.iter().map(|p| p.name).collect();
    let line = json!({ "enum": lines });
    let link = json!({
        "description": "facts of the link: its true rate, and how it counts bytes",
        "type": "object", "additionalProperties": false,
        "properties": {
            "rate": { "anyOf": [{ "type": "string" }, reference("each-way")] },
            "preset": { "anyOf": [line, { "type": "array", "items": line }] }, "overhead": number, "mpu": number, "mtu": number, "tsize": number,
            "linklayer": { "type": "string" }, "txqueuelen": number,
            "nat": { "enum": [true, false, "yes", "no", "on", "off"] },
        },
    });
    let ingress = json!({
        "description": "what arrives: policed, or redirected to a device of ours and shaped there",
        "type": "object", "additionalProperties": false,
        "properties": {
            "police": reference("police-action"), "shape": reference("direction"), "rules": reference("rules"),
            "filters": reference("filters"), "shared": { "type": "string" }, "hook": { "enum": ["clsact", "ingress"] },
            "block": number, "egress_block": number, "classifier": reference("classifier"),
        },
    });
    let interface = json!({
        "type": "object", "additionalProperties": false,
        "properties": {
            "link": link, "egress": reference("egress"), "ingress": ingress, "both": reference("direction"),
        },
    });
    let words = json!({ "anyOf": [{ "type": "array", "items": { "type": ["string", "integer"] } }, { "type": ["string", "integer"] }] });
    let file = json!({
        "description": "a list in a file of its own: one address, prefix, range or port a line",
        "type": "object", "additionalProperties": false, "required": ["file"],
        "properties": { "file": { "type": "string" } },
    });
    let set = json!({ "anyOf": [words, file] });
    let profile = json!({ "description": "a class body to reuse", "type": "object" });
    json!({
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": "shapectl policy",
        "type": "object", "additionalProperties": false,
        "properties": {
            "shapectl": { "description": "the version of the language", "type": "integer", "const": 1 },
            "include": words,
            "let": map_of(json!({ "anyOf": [{ "type": ["string", "number", "boolean"] }, reference("each-way")] })),
            "sets": map_of(set),
            "services": map_of(json!({ "description": "a match that `service NAME` stands for", "type": "string" })),
            "profiles": map_of(profile),
            "accept": { "description": "codes of findings that are meant", "type": ["array", "string"], "items": { "type": "string" } },
            "interfaces": map_of(interface),
            "shared": map_of(reference("direction")),
            "blocks": map_of(json!({
                "type": ["object", "null"], "properties": { "filters": reference("filters") }, "additionalProperties": false,
            })),
        },
        "$defs": defs,
    })
}

/// An object that has these members, and the others or not.
fn record(members: &[(&str, Value)], others: &[(&str, Value)]) -> Value {
    let all = members.iter().chain(others).map(|(name, what)| ((*name).to_owned(), what.clone()));
    let required: Vec<&str> = members.iter().map(|(name, _)| *name).collect();
    json!({
        "type": "object", "properties": all.collect::<Map<_, _>>(), "required": required, "additionalProperties": false,
    })
}

fn list(of: Value) -> Value {
    json!({ "type": "array", "items": of })
}

/// The JSON Schema of what `classify --format json` prints: packets with their ways, the table of a capture, or why not.
pub fn classified() -> Value {
    let (text, number, flag) =
        (json!({ "type": "string" }), json!({ "type": "integer" }), json!({ "type": "boolean" }));
    let or_none = |what: &Value| json!({ "anyOf": [what, { "type": "null" }] });
    let name = or_none(&text);
    let one_of = |words: &[&str]| json!({ "enum": words });
    let label = ["line", "column", "end_line", "end_column", "start", "end"].map(|word| (word, number.clone()));
    let label = record(&[&label[..], &[("file", text.clone()), ("text", text.clone())]].concat(), &[]);
    let finding = [
        ("code", text.clone()),
        ("severity", one_of(&["note", "warning", "error"])),
        ("message", text.clone()),
        ("labels", list(label)),
        ("help", name.clone()),
    ];
    let findings = ("diagnostics", list(record(&finding, &[])));
    let end = [("end", one_of(&["queued", "direct", "up", "dropped", "gone"]))];
    let at_end = ["link", "queue", "reason"].map(|word| (word, text.clone()));
    let rule = record(
        &[("filter", text.clone())],
        &[("file", text.clone()), ("line", number.clone()), ("column", number.clone()), ("text", text.clone())],
    );
    let discipline = record(
        &[("interface", name.clone()), ("kind", name.clone()), ("handle", text.clone())],
        &[("class", text.clone()), ("name", name.clone())],
    );
    let step = record(&[], &["object", "interface", "text"].map(|word| (word, text.clone())));
    let way = [
        ("class", name.clone()),
        ("name", name.clone()),
        ("rule", or_none(&rule)),
        ("one_of", name.clone()),
        ("supposed", list(record(&[("what", text.clone()), ("is", flag.clone())], &[]))),
        ("disciplines", list(discipline)),
        ("trail", list(step)),
    ];
    let side = ("side", one_of(&["egress", "ingress"]));
    let packet = [
        ("asked", text.clone()),
        ("packet", text.clone()),
        ("priority_from_tos", flag.clone()),
        ("interface", text.clone()),
        side.clone(),
        ("ways", list(record(&[&end[..], &way].concat(), &at_end))),
    ];
    let row = [
        side,
        ("what", text.clone()),
        ("class", name.clone()),
        ("name", name),
        ("packets", number.clone()),
        ("bytes", number.clone()),
        ("share", json!({ "type": "number", "minimum": 0, "maximum": 100 })),
        ("no_rule", number.clone()),
    ];
    let of = |word: &'static str, what: &Value| list(record(&[(word, what.clone()), ("packets", number.clone())], &[]));
    let table = [
        ("ok", json!({ "const": true })),
        ("interface", text.clone()),
        ("packets", number.clone()),
        ("bytes", number.clone()),
        ("no_rule", number.clone()),
        ("classes", list(record(&[&end[..], &row].concat(), &at_end))),
        ("supposed", of("what", &text)),
        ("way_unknown", number.clone()),
        ("not_read", of("link_type", &number)),
        ("too_short", number.clone()),
        ("ends_within_a_packet", flag),
        findings.clone(),
    ];
    let answers = [("ok", json!({ "const": true })), ("packets", list(record(&packet, &[]))), findings.clone()];
    json!({
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": "shapectl classify",
        "oneOf": [record(&answers, &[]), record(&table, &[]), record(&[("ok", json!({ "const": false })), findings], &[])],
    })
}
