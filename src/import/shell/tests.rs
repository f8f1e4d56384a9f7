#![allow(clippy::unwrap_used, clippy::expect_used, clippy::indexing_slicing, clippy::panic, missing_docs)]
use super::*;
use proptest::prelude::*;
use std::io::Write as _;

/// Takes every command and knows nothing of any.
#[derive(Default)]
struct Listener {
    commands: Vec<Command>,
}

impl Host for Listener {
    fn command(&mut self, command: &Command, _sink: &mut Sink) -> Option<i32> {
        self.commands.push(command.clone());
        Some(0)
    }
    fn file(&mut self, name: &str, _sink: &mut Sink) -> Option<(FileId, String)> {
        (name == "shaper.conf").then(|| (FileId(7), "RATE=5mbit\n".to_owned()))
    }
    fn wants(&self, program: &str) -> bool {
        matches!(program, "tc" | "ip")
    }
}

fn read(script: &str, given: &[(&str, &str)]) -> (Vec<Command>, Vec<Diagnostic>) {
    let given: Vec<_> = given.iter().map(|(n, v)| ((*n).to_owned(), (*v).to_owned())).collect();
    let (mut host, mut sink) = (Listener::default(), Sink::new());
    Shell::new(&given, Limits { steps: 20_000, ..Limits::default() }, &mut host, &mut sink).script(
        "test.sh",
        script,
        Place::At(FileId(0), 0),
    );
    (host.commands, sink.sorted())
}

fn lines(script: &str) -> Vec<String> {
    let (commands, found) = read(script, &[]);
    assert!(found.is_empty(), "{script}\n{found:#?}");
    shown(&commands)
}

fn shown(commands: &[Command]) -> Vec<String> {
    let word = |w: &Word| match &w.unknown {
        Some(unknown) => format!("?{}", unknown.name),
        None => w.text.text.clone(),
    };
    commands.iter().map(|c| c.words.iter().map(word).collect::<Vec<_>>().join(" ")).collect()
}

#[test]
fn variables_and_quotes() {
    let script = r#"
TC=/sbin/tc; DEV="eth0" # the uplink
RATE=10
$TC qdisc add dev $DEV root handle 1: htb default 30
tc class add dev "$DEV" parent 1: classid 1:1 \
    htb rate ${RATE}mbit ceil ${CEIL:-20}mbit
tc filter add dev ${DEV} 'match ip' "dst $RATE" a\ b $'x\ty' "${DEV%0}1" ${#DEV} ${DEV/eth/wan}
"#;
    assert_eq!(
        lines(script),
        [
            "/sbin/tc qdisc add dev eth0 root handle 1: htb default 30",
            "tc class add dev eth0 parent 1: classid 1:1 htb rate 10mbit ceil 20mbit",
            "tc filter add dev eth0 match ip dst 10 a b x\ty eth1 4 wan0",
        ]
    );
}

#[test]
fn loops_and_arithmetic() {
    assert_eq!(lines("for i in 1 2; do for j in a b; do tc $i$j; done; done"), ["tc 1a", "tc 1b", "tc 2a", "tc 2b"]);
    assert_eq!(lines("for i in $(seq 3 -1 1); do tc 1:$i; done"), ["tc 1:3", "tc 1:2", "tc 1:1"]);
    assert_eq!(lines("for i in {8..10}; do tc x{a,b}$i; done"), ["tc xa8 xb8", "tc xa9 xb9", "tc xa10 xb10"]);
    assert_eq!(lines("for ((i=1; i<=6; i+=2)); do tc $((i * 10)); done"), ["tc 10", "tc 30", "tc 50"]);
    assert_eq!(lines("i=1; while [ $i -le 3 ]; do tc $i; i=$((i+1)); done"), ["tc 1", "tc 2", "tc 3"]);
    assert_eq!(lines("i=1; until [ $i -gt 2 ]; do tc $i; i=`expr $i + 1`; done"), ["tc 1", "tc 2"]);
    assert_eq!(
        lines("for i in 1 2 3 4; do [ $i = 2 ] && continue; [ $i = 4 ] && break; tc $i; done"),
        ["tc 1", "tc 3"]
    );
    assert_eq!(lines("X=$(echo '7 * 8 / 10' | bc); tc $X"), ["tc 5"]);
    assert_eq!(lines("tc $(printf '%02x' 26) $(echo 10.0.0.1 | cut -d. -f4) $(echo a | tr a-z A-Z)"), ["tc 1a 1 A"]);
}

#[test]
fn conditions() {
    assert_eq!(lines("X=5; if [ $X -gt 3 ] && [ \"$X\" != 6 ]; then tc yes; else tc no; fi"), ["tc yes"]);
    assert_eq!(lines("X=eth0; case $X in ppp*) tc p;; eth[0-3]|lan) tc e;; *) tc o;; esac"), ["tc e"]);
    assert_eq!(lines("[[ eth0 == eth* && ! -z x ]] && tc yes"), ["tc yes"]);
    assert_eq!(lines("[ -z \"$NOTHING\" ] && N=1; tc ${N:+set} ${N-no}"), ["tc set 1"]);
    assert_eq!(lines("if ! [ 1 -eq 1 -o 2 -eq 3 ]; then tc a; elif (( 3 > 2 )); then tc b; fi"), ["tc b"]);
    assert_eq!(lines("tc a || tc b; tc c && tc d; false || tc e"), ["tc a", "tc c", "tc d", "tc e"]);
}

#[test]
fn functions_and_subshells() {
    let script = "
add() { local n=$1; shift; tc $n $# \"$@\"; }
X=1
function twice { add a 'b c' d; add e; }
twice
( X=2; tc $X ); tc $X
rate() { echo $(($1 / 2))kbit; }
tc $(rate 300)
set -- p q; tc $2 $1 $#
done_() { return; tc never; }
done_
exit 0
tc never
";
    assert_eq!(lines(script), ["tc a 2 b c d", "tc e 0", "tc 2", "tc 1", "tc 150kbit", "tc q p 2"]);
    // what closes may follow on what closes
    let script = "
f() { tc $1 || { echo no; exit 1; } }
g() { if true; then for i in 1 2; do tc g$i; done fi }
h() { tc h && (echo; exit) }
{ f a; g; } && h
case x in x) { tc c; } esac
";
    assert_eq!(lines(script), ["tc a", "tc g1", "tc g2", "tc h", "tc c"]);
    assert_eq!(lines("declare -A W=([b]=2 [a]=1)\nlocal -A X=([k]=3)\ntc ${W[a]} ${W[b]} ${X[k]}\n"), ["tc 1 2 3"]);
    assert_eq!(lines("TC=/sbin/tc; [ -x $TC ] || exit 1; $TC a"), ["/sbin/tc a"]);
}

#[test]
fn documents_pipes_and_files() {
    let script = "
R=5mbit
tc -batch - <<EOF
qdisc add dev eth0 root handle 1: htb
class add dev eth0 parent 1: classid 1:1 htb rate $R
EOF
echo \"qdisc del dev eth0 root\" | tc -b -
cat > /tmp/batch <<-'END'
\tqdisc $R
\tEND
echo more >> /tmp/batch
tc -b - < /tmp/batch
while read ip rate; do tc host $ip $rate; done <<LIST
10.0.0.1 1mbit
10.0.0.2 2mbit
LIST
. shaper.conf
tc $RATE
";
    let (commands, found) = read(script, &[]);
    assert!(found.is_empty(), "{found:#?}");
    let input = |i: usize| commands[i].input.as_ref().unwrap().text.text.clone();
    assert_eq!(
        input(0),
        "qdisc add dev eth0 root handle 1: htb\nclass add dev eth0 parent 1: classid 1:1 htb rate 5mbit\n"
    );
    assert_eq!(input(1), "qdisc del dev eth0 root\n");
    assert_eq!(input(2), "qdisc $R\nmore\n");
    assert_eq!(shown(&commands[3..]), ["tc host 10.0.0.1 1mbit", "tc host 10.0.0.2 2mbit", "tc 5mbit"]);
    // every line of a document stands where it stands
    let text = &commands[0].input.as_ref().unwrap().text;
    let at = text.text.find("5mbit").unwrap();
    let span = text.slice(at, at + 5).span();
    assert_eq!(&script[span.start as usize..span.end as usize], "$R");
}

#[test]
fn words_point_into_the_script() {
    let script = "D=eth0\nR=10\ntc class add dev $D rate ${R}mbit 'a b' # fast\n";
    let (commands, _) = read(script, &[]);
    let at = |i: usize| {
        let span = commands[0].words[i].text.span();
        &script[span.start as usize..span.end as usize]
    };
    assert_eq!((at(0), at(4), at(6), at(7)), ("tc", "$D", "${R}mbit", "a b"));
    let set = commands[0].words[6].set;
    assert_eq!(&script[set.start as usize..set.end as usize], "R=10");
}

#[test]
fn comments_stay_with_their_commands() {
    let script = "#!/bin/sh\n# the head\n\n# ssh and interactive\ntc a\ntc b # bulk\ntc c\n# one\n# two\nfor i in 1; do\n  # host\n  tc d; done\n";
    let (commands, _) = read(script, &[]);
    let comments = |c: &Command| c.comments.iter().map(|c| c.value.clone()).collect::<Vec<_>>();
    let comments: Vec<Vec<String>> = commands.iter().map(comments).collect();
    assert_eq!(comments, [vec!["# ssh and interactive"], vec!["# bulk"], vec![], vec!["# host"]]);
}

#[test]
fn what_is_not_known_is_named() {
    let found = |script: &str| {
        let (commands, found) = read(script, &[]);
        let said: Vec<String> = found.iter().map(|d| format!("{}: {}", d.code.name, d.message)).collect();
        (shown(&commands), said)
    };
    assert_eq!(found("tc qdisc add dev $1 root"), (vec!["tc qdisc add dev ?1 root".into()], vec![]));
    assert_eq!(found("DEV=${1:-eth0}; tc dev $DEV"), (vec!["tc dev eth0".into()], vec![]));
    assert_eq!(found("[ $# -lt 1 ] && { echo usage; exit 1; }; tc a"), (vec!["tc a".into()], vec![]));
    assert_eq!(found("X=$(hostname); tc $X"), (vec!["tc ?X".into()], vec![]));
    let (ran, said) = found("if grep -q x /etc/x; then tc a; fi; tc b");
    assert_eq!((ran, said.len()), (vec!["tc b".into()], 1));
    let (ran, said) = found("case $1 in stop) tc del;; start|restart) tc add;; esac");
    assert_eq!((ran, said), (vec!["tc add".into()], vec!["import-assumed: `$1` is taken for `start`".to_owned()]));
    let (ran, said) = found("if [ \"$1\" = stop ]; then tc del; exit; fi; tc add");
    assert_eq!((ran, said.len()), (vec!["tc add".into()], 0));
    let (ran, said) = found("while true; do tc again; sleep 1; done; tc b");
    assert_eq!((ran, said.len()), (vec!["tc b".into()], 1));
    let (ran, said) = found("f() { f; }; f; tc b");
    assert_eq!((ran, said.len()), (vec!["tc b".into()], 1));
    let (_, said) = found("for i in $(seq 1 9999999); do tc x; done");
    assert_eq!(said.len(), 1);
    let (ran, said) = found("tc a\nif true; then\ntc b\n");
    assert_eq!((ran, said.len()), (vec!["tc a".into()], 1));
    let (ran, said) = found("tc a ) b\ntc c\ntc 'd\n");
    assert_eq!((ran, said.len()), (vec!["tc a".into(), "tc c".into()], 2));
}

#[test]
fn who_throws_errors_away_is_quiet() {
    let script = "tc a 2>/dev/null\ntc b\ntc c || true\ntc d >/dev/null 2>&1\nif tc e; then :; fi\ntc f &>/dev/null";
    let (commands, _) = read(script, &[]);
    assert_eq!(commands.iter().map(|c| c.quiet).collect::<Vec<_>>(), [true, false, true, true, true, true]);
}

#[test]
fn arrays() {
    let script = "A=(x 'y z' w); A+=(v); tc ${A[1]} ${#A[@]} \"${A[@]}\"; declare -A M; M[eth0]=5; M[eth1]=6
for k in \"${!M[@]}\"; do tc $k ${M[$k]}; done; for i in ${!A[@]}; do A[i]=$i; done; tc ${A[*]}";
    assert_eq!(lines(script), ["tc y z 4 x y z w v", "tc eth0 5", "tc eth1 6", "tc 0 1 2 3"]);
}

/// What a real shell makes of a script in which `tc` prints its words.
fn by(shell: &str, script: &str) -> Option<Vec<Vec<String>>> {
    let stub = "tc() { for w in \"$@\"; do printf '%s\\036' \"$w\"; done; printf '\\035'; }\n";
    let mut child = std::process::Command::new(shell)
        .arg("-s")
        .env_clear()
        .env("PATH", "/usr/bin:/bin")
        .stdin(std::process::Stdio::piped())
        .stdout(std::process::Stdio::piped())
        .stderr(std::process::Stdio::null())
        .spawn()
        .ok()?;
    child.stdin.take().unwrap().write_all(format!("{stub}{{\n{script}\n}}\n").as_bytes()).unwrap();
    let out = child.wait_with_output().unwrap();
    let text = String::from_utf8_lossy(&out.stdout).into_owned();
    let commands = text.split('\u{1d}').map(|c| c.split_terminator('\u{1e}').map(str::to_owned).collect::<Vec<_>>());
    let mut commands: Vec<_> = commands.collect();
    commands.pop();
    Some(commands)
}

/// Words, and scripts of them, that both shells and we must take apart alike.
fn word() -> impl Strategy<Value = String> {
    prop_oneof![
        "[a-z0-9:./]{1,6}",
        Just("$A".to_owned()),
        Just("\"$B\"".to_owned()),
        Just("${A}mbit".to_owned()),
        Just("$B".to_owned()),
        Just("'$A  x'".to_owned()),
        Just("\"a $A $(echo \"$B\" c)\"".to_owned()),
        Just("${C:-x$A}".to_owned()),
        Just("${C-}".to_owned()),
        Just("\"${C:-}\"".to_owned()),
        Just("${A:+y \"$B\"}".to_owned()),
        Just("$((A * 3 + I))".to_owned()),
        Just("$((A > 5 ? I : -A % 7))".to_owned()),
        Just("$((0x10 << 2 | 1))".to_owned()),
        Just("`echo $B`".to_owned()),
        Just("$(expr $A - 3)".to_owned()),
        Just("${B#* }".to_owned()),
        Just("${B%% *}".to_owned()),
        Just("${D##*/}x".to_owned()),
        Just("${#B}".to_owned()),
        Just("\\$A\\\\".to_owned()),
        Just("\"\\$A \\x \\\"\"".to_owned()),
        Just("a''b".to_owned()),
        Just("''".to_owned()),
        Just("$E$A".to_owned()),
        Just("$B$B".to_owned()),
        Just("\"$*\"".to_owned()),
        Just("\"$@\"".to_owned()),
        Just("x\"$@\"y".to_owned()),
        Just("$#".to_owned()),
        Just("$(seq 2 4)".to_owned()),
        Just("$(printf '%s-' a b)".to_owned()),
    ]
}

fn statement() -> impl Strategy<Value = String> {
    let call = prop::collection::vec(word(), 0..5).prop_map(|words| format!("tc {}", words.join(" ")));
    let plain = prop_oneof![
        4 => call,
        // what joins `$@` in an assignment is the shells' own choice
        1 => word().prop_filter("not all words", |w| !w.contains("$@")).prop_map(|w| format!("B={w}")),
        1 => Just("C=set".to_owned()),
        1 => Just("unset C".to_owned()),
        1 => Just("I=$((I + 1))".to_owned()),
        1 => Just("set -- one 'two three' ''".to_owned()),
        1 => Just("[ $# -eq 0 ] || shift".to_owned()),
        1 => Just("IFS=:".to_owned()),
        1 => Just("unset IFS".to_owned()),
        1 => Just("f q \"$A\"".to_owned()),
        1 => Just("printf 'p q\\nr\\n' | while read x y; do tc $x \"$y\"; done".to_owned()),
    ];
    plain.prop_recursive(3, 20, 4, |inner| {
        let body = prop::collection::vec(inner, 1..4).prop_map(|s| s.join("\n"));
        prop_oneof![
            body.clone().prop_map(|b| format!("for v in a $B 1 2; do\n{b}\ndone")),
            body.clone().prop_map(|b| format!("if [ \"$A\" = 7 ]; then\n{b}\nelse\ntc else\nfi")),
            body.clone().prop_map(|b| format!("case $D in\n/sys*) {b}\n;;\n*) tc other ;;\nesac")),
            body.clone().prop_map(|b| format!("(\n{b}\n)")),
            body.clone().prop_map(|b| format!("{{\n{b}\n}} # group")),
            body.clone().prop_map(|b| format!("N=0; while [ $N -lt 2 ]; do N=$((N+1))\n{b}\ndone")),
            body.prop_map(|b| format!("true && {{ {b}\n}} || tc or")),
        ]
    })
}

fn ours(script: &str) -> (Vec<Vec<String>>, Vec<Diagnostic>) {
    let (mut host, mut sink) = (Listener::default(), Sink::new());
    // no parameters are given, and that is known
    let script = format!("set --\n{script}");
    Shell::new(&[], Limits::default(), &mut host, &mut sink).script("test.sh", &script, Place::At(FileId(0), 0));
    let words = |c: &Command| c.words.iter().skip(1).map(|w| w.text.text.clone()).collect();
    (host.commands.iter().map(words).collect(), sink.sorted())
}

const PRELUDE: &str = "A=7; B='p q'; D=/sys/class; I=0\nf() { local z=$1; tc $z \"$2\" $#; }\n";

proptest! {
    #![proptest_config(ProptestConfig { cases: 60, failure_persistence: None, ..ProptestConfig::default() })]

    /// The words that a command gets are those that it gets from the real shells.
    #[test]
    fn words_are_those_of_the_real_shells(statements in prop::collection::vec(statement(), 1..6)) {
        let script = format!("{PRELUDE}{}\n", statements.join("\n"));
        let (found, said) = ours(&script);
        for shell in ["bash", "dash"] {
            if let Some(real) = by(shell, &script) {
                prop_assert_eq!(&found, &real, "{}: {}\n{:#?}", shell, script, said);
            }
        }
    }

    /// Any text comes to an end, and what is said of it points into it.
    #[test]
    fn any_text_is_read(script in "([a-z$(){}\\[\\]\"'`;|&<>=!#\\\\ \n*?+-]|tc |\\$\\(|\\$\\{|\\$\\(\\(|for |in |do |done|if |then |fi|case |esac|<<E\n|E\n|A=1|while ){0,60}") {
        let (mut host, mut sink) = (Listener::default(), Sink::new());
        let limits = Limits { steps: 2_000, octets: 100_000, ..Limits::default() };
        Shell::new(&[], limits, &mut host, &mut sink).script("test.sh", &script, Place::At(FileId(0), 0));
        for span in sink.found.iter().flat_map(|d| &d.labels).map(|l| l.span) {
            prop_assert!(script.get(span.start as usize..span.end as usize).is_some(), "{span:?}");
        }
        for word in host.commands.iter().flat_map(|c| &c.words) {
            let span = word.text.span();
            prop_assert!(span.is_none() || script.get(span.start as usize..span.end as usize).is_some(), "{span:?}");
        }
    }
}

/// What bash alone knows.
#[test]
fn the_words_of_bash() {
    let script = "for i in {1..3} {a,b}{x,y} {3..1..2} {01..03} a{b,c{d,e}}f {x} {} {a,}; do tc $i; done
X=EtH0; tc ${X^^} ${X,,} ${X:1:2} ${X: -1} ${X//[tH]/_} ${X/#E/-}
A=(1 '2 3' 4); tc \"${A[@]:1}\"
for ((i=0, j=5; i<j; i++, j--)); do tc $i $j; done
[[ abc == a* && ! abc == b* ]] && tc yes
(( x = 5, x > 3 )) && tc $x
tc $'a\\nb' \"$(cat <<< 'here it is')\"
let y=3*4; tc $y
printf -v z '%03d' 7; tc $z
n=tc; $n {one,two}\n";
    let (found, said) = ours(script);
    assert!(said.is_empty(), "{said:#?}");
    assert_eq!(found, by("bash", script).unwrap());
}
