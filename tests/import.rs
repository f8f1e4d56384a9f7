//! `import tc` as a user meets it: what it prints, what it names and how it exits. Needs no kernel and no rights.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing, missing_docs)]

use serde_json::Value;
use std::collections::BTreeSet;
use std::io::Write;
use std::process::{Command, Output, Stdio};

struct Run {
    dir: tempfile::TempDir,
}

struct Answer {
    code: i32,
    policy: String,
    said: String,
}

impl Run {
    fn new() -> Run {
        Run { dir: tempfile::tempdir().expect("a folder") }
    }

    fn file(&self, name: &str, text: impl AsRef<[u8]>) -> String {
        let path = self.dir.path().join(name);
        std::fs::write(&path, text).expect("a file");
        path.to_string_lossy().into_owned()
    }

    fn go(&self, words: &[&str], input: &str) -> Answer {
        let mut child = Command::new(env!("CARGO_BIN_EXE_shapectl"))
            .args(["import", "tc"])
            .args(words)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .expect("the program starts");
        let _ = child.stdin.take().expect("its input").write_all(input.as_bytes());
        let Output { status, stdout, stderr } = child.wait_with_output().expect("the program ends");
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        Answer { code: status.code().unwrap(), policy: text(&stdout), said: text(&stderr) }
    }
}

fn read(script: &str, words: &[&str]) -> Answer {
    let run = Run::new();
    let file = run.file("shape.sh", script);
    run.go(&[&[file.as_str()], words].concat(), "")
}

/// The codes and the lines they stand at.
fn found(script: &str, words: &[&str]) -> Vec<(String, u64)> {
    let answer = read(script, &[&["--format", "json"], words].concat());
    let json: Value = serde_json::from_str(&answer.policy).unwrap();
    let entry = |d: &Value| (d["code"].as_str().unwrap().to_owned(), d["labels"][0]["line"].as_u64().unwrap_or(0));
    json["diagnostics"].as_array().unwrap().iter().map(entry).collect()
}

const SCRIPT: &str = "#!/bin/sh
DEV=eth0 RATE=10
tc qdisc del dev $DEV root 2>/dev/null
tc qdisc add dev $DEV root handle 1: htb default 20
# ssh and interactive
tc class add dev $DEV parent 1: classid 1:10 htb rate $((RATE / 5))mbit ceil ${RATE}mbit
tc class add dev $DEV parent 1: classid 1:20 htb rate 8mbit ceil ${RATE}mbit # bulk
";

#[test]
fn a_script_is_a_policy_with_names_from_its_comments() {
    let answer = read(SCRIPT, &[]);
    assert_eq!((answer.code, answer.said.as_str()), (0, ""));
    let policy = "interfaces:
  eth0:
    egress:
      htb:
        default: bulk
        classes:
          # ssh and interactive
          ssh-and-interactive: { id: 0x10, rate: 2mbit, ceil: 10mbit }
          bulk: { id: 0x20, rate: 8mbit, ceil: 10mbit }
";
    assert_eq!(answer.policy, policy);
    let shape = read(SCRIPT, &["--to", "shape"]);
    assert_eq!(shape.code, 0);
    assert!(shape.policy.starts_with("interface eth0 {\n"), "{}", shape.policy);
    assert!(shape.policy.contains("class bulk id 0x20"), "{}", shape.policy);
}

#[test]
fn standard_input_batches_and_several_files_are_read() {
    let run = Run::new();
    let batch = "# the line\nqdisc add dev eth0 root handle 1: htb\nclass add dev eth0 parent 1: classid 1:1 htb rate 1mbit # all\n";
    let answer = run.go(&["-"], batch);
    assert_eq!(answer.code, 0, "{}", answer.said);
    assert!(answer.policy.contains("all: { id: 1, rate: 1mbit }"), "{}", answer.policy);
    let first =
        run.file("first.sh", "tc -batch base.tc\n. ./settings\ntc qdisc add dev eth0 parent 1:1 handle 10: $KIND\n");
    run.file("base.tc", batch);
    run.file("settings", "KIND='sfq perturb 10'\n");
    let second = run.file("second.sh", "tc qdisc add dev eth1 root handle 1: prio\n");
    let answer = run.go(&[&first, &second], "");
    assert_eq!((answer.code, answer.said.as_str()), (0, ""));
    assert!(answer.policy.contains("leaf: { sfq: { id: 0x10, perturb: 10s } }"), "{}", answer.policy);
    assert!(answer.policy.contains("eth1: { egress: prio }"), "{}", answer.policy);
    let latin = run.file("latin.sh", b"tc qdisc add dev eth0 root sfq # f\xfcr alle\n");
    assert_eq!(run.go(&[&latin], "").code, 0);
}

/// A file that the script writes and reads again, under a name that has the shell's number in it.
#[test]
fn a_file_of_the_shells_own_number_is_read() {
    let script = "echo \"qdisc add dev eth0 root sfq\" > /tmp/batch.$$\ntc -b /tmp/batch.$$; rm -f /tmp/batch.$$\n";
    let answer = read(script, &["--strict"]);
    assert_eq!((answer.code, answer.said.as_str()), (0, ""));
    assert!(answer.policy.contains("sfq"), "{}", answer.policy);
    assert_eq!(found("tc qdisc add dev eth0 root handle $$: sfq\ntc qdisc add dev eth0 root sfq\n", &[]).len(), 1);
}

#[test]
fn every_code_is_earned() {
    let script = "#!/bin/sh
modprobe sch_htb
DEV=$1
tc qdisc add dev $DEV root handle 1: htb
case \"$1\" in
start) tc qdisc add dev eth0 root handle 1: htb ;;
stop) tc qdisc del dev eth0 root ;;
esac
tc class add dev eth0 parent 1:9 classid 1:20 htb rate 1mbit
tc class add dev eth0 parent 1: classid 1:20 htb rate 1mbit
if grep -q x /etc/x; then tc class add dev eth0 parent 1: classid 1:30 htb rate 1mbit; fi
tc class add dev eth0 parent 1: classid 1:40 htb rate fast
frobnicate --all
tc qdisc add dev eth0 parent 1:20 handle 20: sfq $NOTHING
ip link set dev eth0 mtu 1400
";
    let found = found(script, &[]);
    let expected = [
        ("import-passed", 2),
        ("import-skipped", 4),
        ("import-assumed", 5),
        ("import-otherwise", 9),
        ("import-refused", 10),
        ("import-skipped", 11),
        ("import-skipped", 12),
        ("import-skipped", 13),
        ("import-assumed", 14),
        ("import-needed", 15),
    ];
    let expected: Vec<_> = expected.iter().map(|(code, line)| ((*code).to_owned(), *line)).collect();
    assert_eq!(found, expected);
    let codes: BTreeSet<_> = found.iter().map(|(code, _)| code.as_str()).collect();
    let all = shapectl::codes::ALL.iter().map(|c| c.name).filter(|n| n.starts_with("import-")).collect();
    assert_eq!(codes, all);
}

#[test]
fn what_is_unknown_can_be_said() {
    let script = "tc qdisc add dev $DEV root handle 1: $1\n";
    let answer = read(script, &[]);
    assert_eq!(answer.code, 1, "{}", answer.said);
    assert!(answer.said.contains("`--set "), "{}", answer.said);
    let answer = read(script, &["--set", "DEV=eth7", "--set", "1=sfq", "--dev", "eth7=wan0"]);
    assert_eq!((answer.code, answer.said.as_str()), (0, ""));
    assert!(answer.policy.starts_with("interfaces:\n  wan0: { egress: sfq }\n"), "{}", answer.policy);
}

#[test]
fn strict_refuses_and_nothing_is_nothing() {
    let script = format!("{SCRIPT}tc qdisc add dev $X root sfq\n");
    let answer = read(&script, &[]);
    assert_eq!(answer.code, 0);
    assert!(answer.policy.contains("ssh-and-interactive"));
    let answer = read(&script, &["--strict"]);
    assert_eq!((answer.code, answer.policy.as_str()), (1, ""));
    assert_eq!(read(SCRIPT, &["--strict"]).code, 0);
    assert_eq!(read("echo hello\n", &[]).code, 1);
    assert_eq!(read("", &[]).code, 1);
    assert_eq!(Run::new().go(&["/nowhere/shape.sh"], "").code, 1);
}

#[test]
fn a_mistake_points_into_the_script_and_to_where_its_value_was_set() {
    let answer = read(
        "R=10mbits\ntc qdisc add dev eth0 root handle 1: htb\ntc class add dev eth0 parent 1: classid 1:1 htb rate $R\n",
        &[],
    );
    assert_eq!(answer.code, 0);
    assert!(answer.said.contains("`10mbits` is not a rate") && answer.said.contains("set here"), "{}", answer.said);
}

/// What a policy says is what the script makes: the policy is clean and compiles.
#[test]
fn what_comes_out_is_a_policy() {
    let folder = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/scripts");
    let run = Run::new();
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        let text = std::fs::read_to_string(&path).unwrap();
        let words = text.lines().find_map(|l| l.strip_prefix("# args: ")).unwrap_or("");
        let set: Vec<String> = (1..).zip(words.split_whitespace()).map(|(i, w)| format!("--set={i}={w}")).collect();
        for to in ["yaml", "shape"] {
            let mut words = vec![path.to_str().unwrap(), "--to", to];
            words.extend(set.iter().map(String::as_str));
            let answer = run.go(&words, "");
            assert_eq!(answer.code, 0, "{}: {}", path.display(), answer.said);
            let file = run.file(&format!("policy.{to}"), &answer.policy);
            let checked = Command::new(env!("CARGO_BIN_EXE_shapectl")).args(["check", &file]).output().unwrap();
            let said = String::from_utf8_lossy(&checked.stderr);
            assert!(checked.status.success(), "{}:\n{}\n{said}", path.display(), answer.policy);
        }
    }
}

#[test]
fn a_device_for_what_arrives_is_made_by_the_policy() {
    let shaped = "tc qdisc add dev eth0 ingress
tc filter add dev eth0 parent ffff: protocol all prio 5 u32 match u32 0 0 action mirred egress redirect dev ifb0
tc qdisc add dev ifb0 root handle 1: tbf rate 5mbit burst 20kb latency 50ms
";
    for made in ["modprobe ifb numifbs=1\n", "ip link add ifb0 type ifb\n", "ip link add name ifb0 type ifb || true\n"]
    {
        let script = format!("{made}ip link set dev ifb0 up\n{shaped}");
        let answer = read(&script, &["--strict"]);
        assert_eq!((answer.code, answer.said.as_str()), (0, ""), "{script}");
        assert!(answer.policy.contains("ifb0:\n    link: { type: ifb }\n"), "{}", answer.policy);
        let shape = read(&script, &["--to", "shape"]).policy;
        assert!(shape.contains("link type ifb\n"), "{shape}");
        for (policy, ending) in [(answer.policy, "yaml"), (shape, "shape")] {
            let run = Run::new();
            let file = run.file(&format!("policy.{ending}"), &policy);
            let script =
                Command::new(env!("CARGO_BIN_EXE_shapectl")).args(["script", "--fresh", &file]).output().unwrap();
            let text = String::from_utf8_lossy(&script.stdout);
            let line = |wanted: &str| {
                text.lines().position(|line| line == wanted).unwrap_or_else(|| panic!("{wanted}: {text}"))
            };
            let made = line("ip link add name ifb0 type ifb");
            assert!(line("modprobe ifb numifbs=0 2>/dev/null || :") < made, "{text}");
            assert!(made < line("ip link set dev ifb0 alias shapectl:eth0") && made < line("ip link set dev ifb0 up"));
            assert!(line("tc qdisc replace dev eth0 ingress") > made, "{text}");
        }
    }
    // one that nobody makes is a link like any other
    let answer = read(shaped, &[]);
    assert!(!answer.policy.contains("type"), "{}", answer.policy);
    // and no other is made: each is named by its line
    let script =
        format!("ip link add d0 type dummy\nip link set eth0 up\nip link set eth0 mtu 1400\nmodprobe ifb\n{shaped}");
    let needed = ["import-needed", "import-needed", "import-needed"].map(str::to_owned);
    assert_eq!(found(&script, &[]), needed.into_iter().zip(1..).collect::<Vec<_>>());
    let said = read(&script, &[]).said;
    for what in ["makes no dummy", "brings up only", "sets no MTU"] {
        assert!(said.contains(what), "{said}");
    }
    assert!(read("ethtool -K eth0 tso off\ntc qdisc add dev eth0 root sfq\n", &[]).said.contains("doctor"));
}

#[test]
fn a_shared_block_is_written_once() {
    let script = "for dev in eth0 eth1; do tc qdisc add dev $dev ingress_block 5 ingress; done
tc filter add block 5 prio 2 protocol ip u32 match ip dport 22 0xffff action drop
tc filter add block 5 prio 1 protocol ip u32 match ip dport 80 0xffff action pass
tc filter add block 6 prio 1 protocol ip u32 match ip dport 80 0xffff action pass
";
    let answer = read(script, &[]);
    assert_eq!(answer.policy.matches("dport").count(), 2, "{}", answer.policy);
    assert!(answer.policy.contains("blocks:\n  5:\n    filters:\n"), "{}", answer.policy);
    assert!(
        answer.policy.find("dport 22") < answer.policy.find("dport 80"),
        "in the order of making\n{}",
        answer.policy
    );
    assert!(answer.said.contains("Block of given index was not found"), "{}", answer.said);
    assert_eq!(found(script, &[]), [("import-refused".to_owned(), 4)]);
    let run = Run::new();
    let file = run.file("policy.yaml", &answer.policy);
    let checked = Command::new(env!("CARGO_BIN_EXE_shapectl")).args(["check", &file]).output().unwrap();
    assert!(checked.status.success(), "{}", String::from_utf8_lossy(&checked.stderr));
    // it goes with the last hook that looks into it
    let answer = read(&format!("{script}tc qdisc del dev eth0 ingress; tc qdisc del dev eth1 ingress\n"), &[]);
    assert!(!answer.policy.contains("dport"), "{}", answer.policy);
}

/// tc knows nothing of the link: a burst that nobody wrote is the same on every one, and a policy whose own would follow the
/// link says it.
#[test]
fn a_burst_that_tc_chooses_is_kept_on_a_link_of_large_packets() {
    let shaped =
        "tc qdisc add dev eth0 root handle 1: htb\ntc class add dev eth0 parent 1: classid 1:1 htb rate 1mbit\n";
    assert!(!read(shaped, &[]).policy.contains("burst"));
    let policy = read(&format!("ip link set eth0 mtu 9000\n{shaped}"), &[]).policy;
    assert!(policy.contains("burst: 1600b") && policy.contains("cburst: 1600b"), "{policy}");
}

/// What shaping depends on and no policy says fails where nothing may be left out; what a policy is whole without does not.
#[test]
fn strict_minds_what_shaping_depends_on_and_nothing_else() {
    let shaped = "tc qdisc add dev eth0 root sfq\n";
    let needed = [
        "ip link add veth0 type veth peer name veth1",
        "ip link add link eth0 name eth0.5 type vlan id 5",
        "ip link add dummy0 type dummy",
        "ip tunnel add tun0 mode gre remote 192.0.2.1",
        "vconfig add eth0 5",
        "ip link add ifb0 numtxqueues 4 type ifb",
        "ip link set dev eth0 mtu 1400",
        "ifconfig eth0 mtu 1400",
        "ip link set dev eth0 up",
        "ip link set eth5 name eth0",
        "ip link set eth0 netns lab",
        "ip link set eth0 gso_max_size 3000",
        "ethtool -K eth0 tso off",
        "iptables -t mangle -A POSTROUTING -p tcp --dport 22 -j MARK --set-mark 6",
        "iptables -t mangle -A POSTROUTING -p tcp --dport 22 -j DSCP --set-dscp-class EF",
        "nft add rule inet mangle post 'tcp dport 22 meta mark set 6'",
        "nft add rule inet mangle post ip dscp set ef",
        "ip route add 192.0.2.0/24 dev eth0 realm 5",
        "sysctl -w net.core.default_qdisc=fq",
    ];
    for line in needed {
        let script = format!("{shaped}{line}\n");
        assert_eq!(found(&script, &[]), [("import-needed".to_owned(), 2)], "{line}");
        assert_eq!(read(&script, &["--strict"]).code, 1, "{line}");
    }
    let passed = [
        "modprobe sch_sfq",
        "ip addr add 192.0.2.1/24 dev eth0",
        "ip route add 192.0.2.0/24 dev eth0",
        "ip link set eth0 promisc on",
        "ip link set eth0 alias uplink",
        "sysctl -w net.ipv4.ip_forward=1",
        "iptables -A INPUT -p icmp -j ACCEPT",
        "tc qdisc del dev eth0 ingress",
    ];
    for line in passed {
        let script = format!("{shaped}{line}\n");
        assert_eq!(found(&script, &[]), [("import-passed".to_owned(), 2)], "{line}");
        assert_eq!(read(&script, &["--strict"]).code, 0, "{line}");
    }
    assert_eq!(found(&format!("{shaped}ip -batch links\n"), &[]), [("import-skipped".to_owned(), 2)]);
    // what is said as a device is made is not lost
    let policy = read("ip link add ifb0 txqueuelen 50 type ifb\ntc qdisc add dev ifb0 root sfq\n", &["--strict"]);
    assert!(policy.policy.contains("txqueuelen: 50"), "{}{}", policy.policy, policy.said);
}
