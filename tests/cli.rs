//! The program as a user meets it: what it prints, where, and how it exits. Needs no kernel and no rights.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing, missing_docs)]

use serde_json::Value;
use std::io::Write;
use std::path::Path;
use std::process::{Command, Output, Stdio};

struct Run {
    dir: tempfile::TempDir,
}

impl Run {
    fn new() -> Run {
        Run { dir: tempfile::tempdir().expect("a directory") }
    }

    fn file(&self, name: &str, bytes: impl AsRef<[u8]>) -> String {
        let path = self.dir.path().join(name);
        std::fs::write(&path, bytes).expect("a file");
        path.to_string_lossy().into_owned()
    }

    fn go(&self, args: &[&str]) -> Output {
        self.with_input(args, "")
    }

    fn with_input(&self, args: &[&str], input: &str) -> Output {
        let mut child = Command::new(env!("CARGO_BIN_EXE_shapectl"))
            .args(["--state-dir", &self.dir.path().join("state").to_string_lossy()])
            .args(args)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .expect("the program starts");
        let mut stdin = child.stdin.take().expect("its input");
        let _ = stdin.write_all(input.as_bytes());
        drop(stdin);
        child.wait_with_output().expect("the program ends")
    }
}

fn out(o: &Output) -> String {
    String::from_utf8_lossy(&o.stdout).into_owned()
}

fn err(o: &Output) -> String {
    String::from_utf8_lossy(&o.stderr).into_owned()
}

fn code(o: &Output) -> i32 {
    o.status.code().expect("it was not killed")
}

const GOOD: &str = "interfaces:\n  none9:\n    egress:\n      htb:\n        default: b\n        classes:\n          a: { rate: 1mbit, ceil: 2mbit, match: tcp dport 22 }\n          b: { rate: 1mbit, ceil: 2mbit }\n";
const BAD: &str = "interfaces:\n  none9:\n    egress:\n      htb:\n        default: c\n        classes:\n          a: { rate: 3mbit, ceil: 2mbit }\n          b: { rat: 1mbit }\n";

#[test]
fn all_mistakes_come_in_one_run_each_with_its_place() {
    let run = Run::new();
    let file = run.file("bad.yaml", BAD);
    let o = run.go(&["check", &file]);
    assert_eq!(code(&o), 1);
    assert!(out(&o).is_empty(), "findings are no result: {}", out(&o));
    for found in ["ceil-below-rate", "unknown-key", "unknown-default", "did you mean"] {
        assert!(err(&o).contains(found), "{found} in {}", err(&o));
    }
    let o = run.go(&["check", "--format", "json", &file]);
    let json: Value = serde_json::from_str(&out(&o)).expect("json");
    assert_eq!(json["ok"], false);
    let found = json["diagnostics"].as_array().expect("a list");
    let ceil = found.iter().find(|d| d["code"] == "ceil-below-rate").expect("ceil");
    assert_eq!(ceil["labels"][0]["line"], 7);
    assert_eq!(ceil["severity"], "error");
}

#[test]
fn a_list_of_rules_is_told_as_a_whole_if_asked() {
    let run = Run::new();
    let file = run.file(
        "p.yaml",
        "interfaces:\n  none9:\n    egress:\n      htb:\n        default: a\n        classes:\n          a: { rate: 1mbit }\n          b: { rate: 1mbit }\n      rules:\n        - { class: a, match: tcp dport 22 }\n        - { class: b, match: src 192.0.2.0/24 }\n",
    );
    let o = run.go(&["check", "--rules", &file]);
    assert!(err(&o).contains("two rules share packets"), "{}", err(&o));
    assert!(out(&o).starts_with("none9 egress: 2 rules\n  no rule takes\n"), "{}", out(&o));
    assert!(out(&o).ends_with("  which goes to `a`, the default of `htb`\n"), "{}", out(&o));
    let o = run.go(&["check", "--rules", "--format", "json", &run.file("g.yaml", GOOD)]);
    let json: Value = serde_json::from_str(&out(&o)).unwrap();
    assert_eq!(json["lists"][0]["goes"], "goes to `b`, the default of `htb`");
    assert_eq!(json["lists"][0]["left"][0], "IPv4 and IPv6: proto not tcp");
    let plain: Value = serde_json::from_str(&out(&run.go(&["check", "--format", "json", &file]))).unwrap();
    let codes: Vec<_> = plain["diagnostics"].as_array().unwrap().iter().map(|d| d["code"].clone()).collect();
    assert_eq!((codes, plain.get("lists")), (vec!["interface-elsewhere".into()], None));
}

#[test]
fn what_is_no_policy_is_said_and_exits_with_1() {
    let run = Run::new();
    let dir = run.dir.path().to_string_lossy().into_owned();
    let cases = [
        ("missing", format!("{dir}/none.yaml"), "input"),
        ("directory", dir.clone(), "input"),
        ("junk", run.file("junk.yaml", [0u8, 159, 146, 150, 1, 2, 255]), "not-text"),
        ("empty", run.file("empty.yaml", ""), "empty-file"),
        ("bad utf-8", run.file("latin.shape", b"# caf\xe9\ninterface eth0 { }\n"), "not-text"),
        ("unclosed", run.file("open.shape", "interface eth0 {\n  egress {\n"), "syntax"),
    ];
    for (what, file, code_word) in cases {
        for command in ["check", "script"] {
            let o = run.go(&[command, &file]);
            assert_eq!(code(&o), 1, "{what}: {}", err(&o));
            assert!(err(&o).contains(code_word), "{what}: {}", err(&o));
            assert!(out(&o).is_empty(), "{what}");
        }
    }
}

#[test]
fn warnings_pass_unless_they_are_denied() {
    let run = Run::new();
    let file = run.file("p.yaml", GOOD.replace("rate: 1mbit", "rate: 1mbps").replace("2mbit", "9mbps"));
    assert_eq!(code(&run.go(&["check", &file])), 0);
    let o = run.go(&["check", "--deny-warnings", &file]);
    assert_eq!(code(&o), 1);
    assert!(err(&o).contains("byte-rate"));
}

#[test]
fn a_policy_comes_from_standard_input_and_the_script_is_sound_sh() {
    let run = Run::new();
    let o = run.with_input(&["script", "-"], GOOD);
    assert_eq!(code(&o), 0, "{}", err(&o));
    let script = run.file("s.sh", out(&o));
    let syntax = Command::new("sh").args(["-n", &script]).output().expect("sh");
    assert!(syntax.status.success(), "{}", String::from_utf8_lossy(&syntax.stderr));
    assert!(out(&o).contains("# a\n"), "names stand in comments");
    let o = run.with_input(&["script", "--batch", "-"], GOOD);
    assert!(
        out(&o).lines().all(|l| l.starts_with('#')
            || l.starts_with("qdisc ")
            || l.starts_with("class ")
            || l.starts_with("filter "))
    );
}

#[test]
fn hostile_names_do_not_leave_their_place() {
    let run = Run::new();
    let text = "interface none9 {\n egress htb default \"a\\\"'$(touch /tmp/shapectl-owned)\" {\n  class \"a\\\"'$(touch /tmp/shapectl-owned)\" rate 1mbit\n }\n}\n";
    let file = run.file("p.shape", text);
    let o = run.go(&["script", &file]);
    for line in out(&o).lines() {
        assert!(!line.contains("touch") || line.starts_with('#'), "{line}");
    }
    let o = run.with_input(&["check", "-"], "interfaces:\n  \"a\\e[31mb\": {}\n");
    assert!(!err(&o).contains('\u{1b}'), "no raw escape reaches the terminal");
}

#[test]
fn usage_has_its_own_exit_code() {
    let run = Run::new();
    assert_eq!(code(&run.go(&["chekc"])), 64);
    assert_eq!(code(&run.go(&["clear"])), 64);
    assert_eq!(code(&run.go(&["--help"])), 0);
    assert_eq!(code(&run.go(&["--version"])), 0);
}

#[test]
fn explain_opens_codes_kinds_and_tos() {
    let run = Run::new();
    assert!(out(&run.go(&["explain", "ceil-below-rate"])).contains("ceil"));
    assert!(out(&run.go(&["explain", "htb"])).contains("what the class is guaranteed"));
    let o = run.go(&["explain", "ciel-below-rate"]);
    assert_eq!(code(&o), 64);
    assert!(err(&o).contains("did you mean ceil-below-rate"));
    let tos = out(&run.go(&["explain", "tos", "0x10"]));
    assert!(tos.contains("minimize-delay") && tos.contains("6 interactive"), "{tos}");
    let o = run.go(&["--format", "json", "explain", "tos", "minimize-delay"]);
    let json: Value = serde_json::from_str(&out(&o)).expect("json");
    assert_eq!(json["tos"][0]["octets"][0]["priority"], 6);
    assert_eq!(json["tos"][0]["octets"][0]["band"], 0);
    assert_eq!(out(&run.go(&["explain", "tos"])).matches("0x").count(), 16);
}

#[test]
fn tos_is_explained_in_the_bands_of_a_policy() {
    let run = Run::new();
    let file = run.file("p.shape", "interface none9 {\n egress prio {\n  bands [fast, normal, slow]\n  tos { minimize-delay fast; maximize-throughput slow }\n }\n}\n");
    let o = run.go(&["explain", "tos", "0x10", "--policy", &file]);
    assert!(out(&o).contains("0 fast"), "{}{}", out(&o), err(&o));
}

#[test]
fn marks_are_explained_with_the_firewalls_side() {
    let run = Run::new();
    let o = run.go(&["explain", "marks"]);
    assert!(code(&o) == 0 && out(&o).contains("ctinfo: { cpmark: yes }"));
    let file = "samples/p2p-by-mark.yaml";
    let o = run.go(&["explain", "marks", "--policy", file]);
    let nft = out(&o);
    assert!(nft.contains("# tcp dport 6881-6999 ct mark set 0x70\n"), "{nft}{}", err(&o));
    assert!(nft.contains(&format!("# {file}:28: eth0 egress, class line/p2p\n")), "{nft}");
    assert!(nft.contains("# What arrives has no mark before netfilter"), "{nft}");
    let masked = GOOD.replace("tcp dport 22", "mark 0x10/0xf0");
    let o = run.go(&["explain", "marks", "--format", "json", "--policy", &run.file("m.yaml", masked)]);
    let json: Value = serde_json::from_str(&out(&o)).unwrap();
    assert_eq!((json["marks"][0]["value"].as_u64(), json["marks"][0]["mask"].as_u64()), (Some(0x10), Some(0xf0)));
    let nft = json["nft"].as_str().unwrap();
    assert!(nft.contains("ct mark set ct mark & 0xffffff0f | 0x10") && !nft.contains("What arrives"), "{nft}");
    assert_eq!(code(&run.go(&["explain", "marks", "--policy", &run.file("n.yaml", GOOD)])), 1);
}

#[test]
fn fmt_is_idempotent_and_keeps_comments_in_both_notations() {
    let run = Run::new();
    let text = "# the uplink\nlet up = 2mbit\ninterface none9 {\n    # all of it\n    egress tbf rate $up latency 50ms burst 10kb   # slow\n}\n";
    let shape = run.file("p.shape", text);
    let first = out(&run.go(&["fmt", &shape]));
    let again = out(&run.with_input(&["fmt", "--to", "shape", "-"], &first));
    assert_eq!(first, again);
    let yaml = out(&run.go(&["fmt", "--to", "yaml", &shape]));
    for comment in ["# the uplink", "# all of it", "# slow"] {
        assert!(yaml.contains(comment), "{yaml}");
    }
    assert!(yaml.contains("$up"), "spelling is kept: {yaml}");
    let back = out(&run.with_input(&["fmt", "--to", "shape", "-"], &yaml));
    assert_eq!(first, back);
    assert_eq!(code(&run.go(&["fmt", "--check", &run.file("q.shape", &first)])), 0);
    assert_eq!(code(&run.go(&["fmt", "--check", &run.file("r.shape", "interface none9 {   egress   fq_codel }")])), 2);
}

#[test]
fn texts_for_editors_and_shells() {
    let run = Run::new();
    let schema: Value = serde_json::from_str(&out(&run.go(&["schema"]))).expect("json");
    assert_eq!(schema["title"], "shapectl policy");
    assert!(out(&run.go(&["completions", "bash"])).contains("_shapectl"));
    assert!(Path::new(env!("CARGO_MANIFEST_DIR")).join("man/shapectl.8").exists());
}

#[test]
fn a_missing_namespace_is_named() {
    let run = Run::new();
    let file = run.file("p.yaml", GOOD);
    for command in [&["show"][..], &["diff", &file], &["apply", &file], &["check", &file]] {
        let mut args = vec!["--netns", "no-such-namespace"];
        args.extend(command);
        let o = run.go(&args);
        assert_eq!(code(&o), 3, "{command:?}: {}", err(&o));
        assert!(err(&o).contains("no-such-namespace"), "{}", err(&o));
    }
}

#[test]
fn an_interface_that_is_not_there_stops_apply_and_diff() {
    let run = Run::new();
    let file = run.file("p.yaml", GOOD);
    for command in ["apply", "diff"] {
        let o = run.go(&[command, &file]);
        assert_eq!(code(&o), 1, "{}", err(&o));
        assert!(err(&o).contains("no-interface"), "{}", err(&o));
    }
    let o = run.go(&["check", &file]);
    assert_eq!(code(&o), 0);
    assert!(err(&o).contains("interface-elsewhere"), "{}", err(&o));
    assert_eq!(code(&run.go(&["check", "--live", &file])), 1);
}

/// An operator in capitals once kept the reader busy for ever.
#[test]
fn operators_in_capitals_are_refused_and_not_read_for_ever() {
    let run = Run::new();
    for text in ["tcp oR udp", "(tcp OR", "src 192.0.2.1 and (tcp oR ", "tcp AND dport 22"] {
        let file = run.file("p.yaml", GOOD.replace("tcp dport 22", &format!("\"{text}\"")));
        let o = run.go(&["check", &file]);
        assert_eq!(code(&o), 1, "{text}: {}", err(&o));
        assert!(err(&o).contains("syntax"), "{text}: {}", err(&o));
    }
}

/// A packet's way through a policy, for people and for machines; nothing of it asks a kernel.
#[test]
fn a_packet_is_explained() {
    let run = Run::new();
    let policy =
        GOOD.replace("          b:", "          c: { rate: 1mbit, ceil: 2mbit, match: udp dport 53 }\n          b:");
    let file = run.file("p.yaml", policy);
    let o = run.go(&["classify", &file, "--packet", "tcp dport 22", "--packet", "udp dport {53, 54}"]);
    assert_eq!(code(&o), 0, "{}", err(&o));
    let text = out(&o);
    for wanted in ["leaves by none9", "class a (htb 1:1)", "p.yaml:7", "=> c (1:2)", "=> b (1:3)", "no rule takes it"] {
        assert!(text.contains(wanted), "{wanted} in {text}");
    }
    let o = run.go(&["classify", &file, "--packet", "tcp dport 22", "--format", "json"]);
    let json: Value = serde_json::from_str(&out(&o)).expect("json");
    let way = &json["packets"][0]["ways"][0];
    assert_eq!((&way["class"], &way["name"], &way["rule"]["line"]), (&"1:1".into(), &"a".into(), &7.into()));
    assert_eq!(way["end"], "queued");
    let refused = run.go(&["classify", &file, "--packet", "udp dport not 40001"]);
    assert_eq!(code(&refused), 1);
    assert!(err(&refused).contains("not-a-packet"), "{}", err(&refused));
    assert_eq!(code(&run.go(&["classify", &file])), 64, "neither a packet nor a capture");
    assert_eq!(code(&run.go(&["classify", &file, "-i", "eth7", "--packet", "tcp"])), 1);
}

/// A description may say what the policy's rules may: its names, its sets and its services, raw words, and what a packet is not.
#[test]
fn a_packet_is_described_in_the_policys_words() {
    let run = Run::new();
    let names = "let: { web: \"80\" }\nsets: { lan: [ 10.0.0.5, \"2001:db8::5\" ] }\nservices: { mine: tcp port 22 }\n";
    let file = run.file("p.yaml", format!("{names}{GOOD}"));
    let packets = |text: &str| -> Vec<(String, String)> {
        let o = run.go(&["classify", &file, "--packet", text, "--format", "json"]);
        assert_eq!(code(&o), 0, "{text}: {}", err(&o));
        let json: Value = serde_json::from_str(&out(&o)).expect("json");
        let word = |value: &Value| value.as_str().unwrap_or_default().to_owned();
        let one = |p: &Value| (word(&p["packet"]), word(&p["ways"][0]["name"]));
        json["packets"].as_array().expect("packets").iter().map(one).collect()
    };
    for (text, count, holds, class) in [
        ("service mine", 1, "tcp sport 40000 dport 22", "a"),
        ("service ssh", 1, "dport 22", "a"),
        ("tcp dport $web src $lan", 2, "dport 80", "b"),
        ("tcp dport {22, $web}", 2, "tcp", ""),
        ("tcp and dport not 22", 1, "dport 40001", "b"),
        ("tcp dport 22 and u32 0x0a000000 0xff000000 at 12", 1, "ip src 10.0.2.1", "a"),
    ] {
        let found = packets(text);
        assert_eq!(found.len(), count, "{text}: {found:?}");
        for (packet, name) in &found {
            assert!(packet.contains(holds) && (class.is_empty() || name == class), "{text}: {found:?}");
        }
    }
    let unknown = run.go(&["classify", &file, "--packet", "service mind"]);
    assert!(code(&unknown) == 1 && err(&unknown).contains("did you mean `mine`?"), "{}", err(&unknown));
}

/// What `classify` prints for machines is what its schema says, of packets, of captures and of refusals.
#[test]
fn what_classify_prints_is_as_its_schema_says() {
    let run = Run::new();
    let schema: Value = serde_json::from_str(&out(&run.go(&["schema", "classify"]))).expect("json");
    let valid = jsonschema::validator_for(&schema).expect("a schema");
    let policed = GOOD.replace("      htb:", "      rules: [ { do: { police: { rate: 1mbit, burst: 10kb, exceed: drop } }, match: icmp, class: a } ]\n      htb:");
    let (file, policed) = (run.file("p.yaml", GOOD), run.file("q.yaml", policed));
    // no packet: a header of pcap alone
    let header: Vec<u8> = [0xa1b2_c3d4_u32, 0x0004_0002, 0, 0, 65535, 1].iter().flat_map(|n| n.to_le_bytes()).collect();
    let mut one = header.clone();
    one.extend([[0; 4], [0; 4], 60_u32.to_le_bytes(), 60_u32.to_le_bytes()].concat());
    one.extend([0; 60]);
    let (header, one) = (run.file("a.pcap", header), run.file("b.pcap", one));
    for (words, succeeds) in [
        (["classify", &file, "--packet", "tcp dport {22, 80}"], true),
        (["classify", &policed, "--packet", "icmp or tos 0x10"], true),
        (["classify", &file, "--pcap", &header], true),
        (["classify", &file, "--pcap", &one], true),
        (["classify", &file, "--packet", "dport"], false),
        (["classify", &file, "--pcap", &file], false),
    ] {
        let o = run.go(&[&words[..], &["--format", "json"]].concat());
        let json: Value = serde_json::from_str(&out(&o)).expect("json");
        assert_eq!(json["ok"], succeeds, "{words:?}: {json:#}");
        let wrong: Vec<String> = valid.iter_errors(&json).map(|e| format!("{}: {e}", e.instance_path)).collect();
        assert!(wrong.is_empty(), "{words:?}: {wrong:#?}\n{json:#}");
    }
    assert!(!valid.is_valid(&serde_json::json!({ "ok": true, "packets": [{}], "diagnostics": [] })));
}

/// The rules of a shared budget are a list like any other: for `check --rules` and for `explain marks`.
#[test]
fn the_rules_of_a_shared_budget_are_told_of() {
    let run = Run::new();
    let classes = "classes: { a: { rate: 1mbit }, b: { rate: 1mbit } }";
    let rules = "[ { class: a, match: mark 5 }, { class: b, match: udp dport 53 } ]";
    let text = format!(
        "shared: {{ house: {{ htb: {{ default: b, {classes} }}, rules: {rules} }} }}\ninterfaces: {{ none9: {{ egress: {{ shared: house }} }} }}\n"
    );
    let file = run.file("p.yaml", text);
    let o = run.go(&["check", "--rules", "--format", "json", &file]);
    let json: Value = serde_json::from_str(&out(&o)).expect("json");
    let list = &json["lists"][0];
    assert_eq!((&list["interface"], &list["side"], &list["rules"]), (&"house".into(), &"shared".into(), &2.into()));
    assert!(json.to_string().contains("overlapping-rules"), "{json:#}");
    let marks = out(&run.go(&["explain", "marks", "--policy", &file]));
    assert!(marks.contains("shared house, class a") && marks.contains("ct mark set 0x5"), "{marks}");
}

/// Of a line that a program wrote only what stands about the place is shown.
#[test]
fn a_line_without_end_is_not_shown_whole() {
    let run = Run::new();
    let file = run.file("p.yaml", format!("# ä\n{}\n", "[".repeat(200_000)));
    let o = run.go(&["check", &file]);
    assert_eq!(code(&o), 1);
    let said = err(&o);
    assert!(said.contains("too-deep") && said.contains("p.yaml:2:") && said.len() < 10_000, "{}", said.len());
}

/// A capture as a table: what goes where, and what no rule takes.
#[test]
fn a_capture_is_a_table_of_classes() {
    let run = Run::new();
    let file = run.file("p.yaml", GOOD);
    let frame = |port: u8, length: usize| {
        let mut frame = vec![2, 0, 0, 0, 0, 1, 2, 0, 0, 0, 0, 2, 8, 0];
        frame.extend([0x45, 0, 0, (length - 14) as u8, 0, 0, 0, 0, 64, 6, 0, 0, 192, 0, 2, 1, 198, 51, 100, 1]);
        frame.extend([0x9c, 0x40, 0, port]);
        frame.resize(length, 0);
        frame
    };
    let mut pcap: Vec<u8> =
        [0xa1b2_c3d4_u32, 0x0004_0002, 0, 0, 65535, 1].iter().flat_map(|n| n.to_le_bytes()).collect();
    for frame in [frame(22, 60), frame(22, 100), frame(80, 140)] {
        let length = (frame.len() as u32).to_le_bytes();
        pcap.extend([[0; 4], [0; 4], length, length].concat());
        pcap.extend(frame);
    }
    let capture = run.file("c.pcap", &pcap);
    let o = run.go(&["classify", &file, "--pcap", &capture, "--format", "json"]);
    assert_eq!(code(&o), 0, "{}", err(&o));
    let json: Value = serde_json::from_str(&out(&o)).expect("json");
    let rows: Vec<_> = json["classes"].as_array().expect("rows").iter().collect();
    let row = |name: &str| *rows.iter().find(|row| row["name"] == name).expect("a row");
    assert_eq!((&row("a")["packets"], &row("a")["bytes"], &row("a")["no_rule"]), (&2.into(), &160.into(), &0.into()));
    assert_eq!((&row("b")["packets"], &row("b")["bytes"], &row("b")["no_rule"]), (&1.into(), &140.into(), &1.into()));
    assert_eq!((&json["packets"], &json["no_rule"], &json["way_unknown"]), (&3.into(), &1.into(), &3.into()));
    let text = out(&run.go(&["classify", &file, "--pcap", &capture]));
    assert!(text.contains("a (1:1)") && text.contains("53.3 %") && text.contains("no rule takes them"), "{text}");
    // of an unknown kind of link, one beside the others and alone; and cut within the first
    let strange = |packets: &[u8]| [&147_u32.to_le_bytes()[..], packets].concat();
    let (header, packets) = pcap.split_at(20);
    let one = [&[0; 8][..], &[4, 0, 0, 0, 4, 0, 0, 0], &[0; 4]].concat();
    for (bytes, why) in [
        ([header, &strange(&one)].concat(), "1 packet left out: links of type 147"),
        ([header, &packets[..4], &one].concat(), "shorter than their headers"),
        ([header, &packets[..30]].concat(), "ends within a packet"),
    ] {
        let none = run.file("d.pcap", bytes);
        let o = run.go(&["classify", &file, "--pcap", &none]);
        assert_eq!((code(&o), out(&o)), (1, String::new()), "{why}");
        let o = run.go(&["classify", &file, "--pcap", &none, "--format", "json"]);
        let json: Value = serde_json::from_str(&out(&o)).expect("json");
        let told = &json["diagnostics"][0];
        assert_eq!((&json["ok"], &told["code"]), (&false.into(), &"not-a-packet".into()), "{json:#}");
        assert!(told["message"].as_str().is_some_and(|said| said.contains(why)), "{why}: {json:#}");
    }
    let bad = run.go(&["classify", &file, "--pcap", &file]);
    assert_eq!(code(&bad), 1);
    assert!(err(&bad).contains("neither pcap nor pcapng"), "{}", err(&bad));
}
