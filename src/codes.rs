//! Every code that a diagnostic may carry, in one table. The page of a code is `src/explain/CODE.md`; a test case of the
//! same name stands in `tests/refused/`.

/// How grave a finding is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Severity {
    /// Worth knowing.
    Note,
    /// Legal and foolish; `--deny-warnings` makes it count as an error.
    Warning,
    /// The policy cannot be used.
    Error,
}

impl Severity {
    /// The word in JSON and in print.
    pub fn word(self) -> &'static str {
        match self {
            Severity::Note => "note",
            Severity::Warning => "warning",
            Severity::Error => "error",
        }
    }
}

/// A stable name for one kind of finding.
#[derive(Debug, PartialEq, Eq)]
pub struct Code {
    /// The name, in kebab case; never changes once released.
    pub name: &'static str,
    /// How grave.
    pub severity: Severity,
    /// What it is, in one line.
    pub title: &'static str,
    /// The page that `shapectl explain` prints, in Markdown.
    pub page: &'static str,
}

macro_rules! codes {
    ($($id:ident $name:literal $severity:ident $title:literal;)*) => {
        $(
            #[doc = $title]
            pub static $id: Code = Code {
                name: $name,
                severity: Severity::$severity,
                title: $title,
                page: include_str!(concat!("explain/", $name, ".md")),
            };
        )*
        /// All codes, in the order of the table.
        pub static ALL: &[&Code] = &[$(&$id),*];
    };
}

codes! {
    SYNTAX "syntax" Error "the text is not well formed";
    INPUT "input" Error "a file cannot be read as a policy";
    BAD_VALUE "bad-value" Error "a value is not of the kind that is wanted here";
    BARE_NUMBER "bare-number" Error "a number stands where a unit is wanted";
    WRONG_UNIT "wrong-unit" Error "a unit of another kind: a size for a rate, or a rate for a size";
    OUT_OF_RANGE "out-of-range" Error "a value is beyond what the kernel can hold";
    PERCENT_OF_NOTHING "percent-of-nothing" Error "a percentage where no rate is known to take it of";
    BYTE_RATE "byte-rate" Warning "a rate in bytes a second, which most readers take for bits";
    BITS_FOR_BYTES "bits-for-bytes" Warning "a size in bits where bytes are meant";
    CEIL_BELOW_RATE "ceil-below-rate" Error "a class's ceil is below its rate";
    PRIO_RANGE "prio-range" Error "a priority outside what the discipline has";
    BURST_BELOW_PACKET "burst-below-packet" Error "a bucket smaller than the largest packet";
    BURST_SHORT "burst-short" Warning "a bucket that holds less than a millisecond of its rate";
    QUANTUM_BELOW_MTU "quantum-below-mtu" Error "a quantum smaller than one packet";
    QUANTUM_RANGE "quantum-range" Warning "a quantum outside 1000 to 200000 bytes";
    LIMIT_OR_LATENCY "limit-or-latency" Error "a token bucket with both limit and latency, or with neither";
    LIMIT_BELOW_PACKET "limit-below-packet" Warning "a queue too short for one packet";
    PEAKRATE_NOT_ABOVE "peakrate-not-above-rate" Error "a peakrate that is not above the rate";
    PEAKRATE_WITHOUT_MTU "peakrate-without-mtu" Error "a peakrate without a size for its bucket";
    NO_EFFECT "no-effect" Warning "an option that does nothing here";
    BANDS_RANGE "bands-range" Error "a number of bands that the discipline cannot have";
    PRIOMAP "priomap" Error "a priomap that is not 16 of the discipline's bands";
    PERTURB_NEVER "perturb-never" Warning "an sfq that never hashes anew";
    DIVISOR "divisor" Error "a number of hash buckets that is no power of two";
    CUT_SHORT "cut-short" Warning "a value that the kernel brings into its range in silence";
    TARGET_ABOVE_INTERVAL "target-above-interval" Warning "a delay to be put up with that is no part of its interval";
    RED_THRESHOLDS "red-thresholds" Error "thresholds of early detection that are out of order";
    RED_BURST "red-burst" Error "a burst of early detection that no average can follow";
    CBS_SLOPES "cbs-slopes" Warning "slopes or credits of a credit-based shaper that do not shape";
    SHORT_SCHEDULE "short-schedule" Warning "a schedule whose turns are shorter than the kernel's timers can follow";
    POLICE_RATES "police-rates" Error "a policer that counts both bytes and packets";
    SHARED_ACTION "shared-action" Error "an action that filters share, of which two things are said";
    POLICE_MTU "police-mtu" Warning "a policer to which ordinary packets are too large";
    MISSING_OPTION "missing-option" Error "an option that the discipline cannot do without";
    TOO_DEEP "too-deep" Error "something is nested deeper than is allowed";
    UNKNOWN_FIELD "unknown-field" Error "a match looks at a field that does not exist";
    UNKNOWN_SHARED "unknown-shared" Error "a shared budget that does not exist";
    UNKNOWN_NAME "unknown-name" Error "a `$name` or `@name` stands for nothing";
    MATCH_VALUE "match-value" Error "a value does not fit the field it is compared with";
    MATCH_CLASH "match-clash" Error "two parts of a match can never hold together";
    HOST_BITS "host-bits" Warning "a value has bits outside of its prefix or mask";
    TOS_ECN "tos-ecn" Warning "a TOS match looks at a bit that is ECN today";
    FILE_TOO_LARGE "file-too-large" Error "a file is larger than any policy";
    ALIAS_BOMB "alias-bomb" Error "YAML aliases stand for far more than is written";
    YAML_TAB "yaml-tab" Error "a tab indents a line of YAML";
    YAML_MERGE_KEY "yaml-merge-key" Error "`<<` is not part of the language";
    YAML_TAG "yaml-tag" Error "a YAML tag where a policy has none";
    YAML_ALIAS "yaml-alias" Error "a YAML alias that names nothing";
    YAML_DOCUMENTS "yaml-documents" Error "more than one YAML document in a file";
    YAML_KEY "yaml-key" Error "a YAML key that is no word";
    UNQUOTED_SET "unquoted-set" Error "a set in braces without quotes";
    NO_WORDS "no-words" Error "a document cannot be said in the other notation";
    SPLIT_VALUE "split-value" Error "a comma splits a value";
    UNKNOWN_KEY "unknown-key" Error "a word that means nothing at its place";
    UNKNOWN_KIND "unknown-kind" Error "a discipline that does not exist";
    UNKNOWN_PROFILE "unknown-profile" Error "a class builds on a profile that does not exist";
    UNKNOWN_CLASS "unknown-class" Error "a rule names a class that does not exist, or one of several";
    CLASS_ELSEWHERE "class-elsewhere" Error "a filter names a class of another discipline than its own";
    UNKNOWN_DEFAULT "unknown-default" Error "a default names a class that does not exist";
    UNKNOWN_BAND "unknown-band" Error "a band that the discipline does not have";
    WRONG_SHAPE "wrong-shape" Error "a word, a list or a block where another of them is wanted";
    DUPLICATE_KEY "duplicate-key" Error "the same word twice in one block";
    DUPLICATE_NAME "duplicate-name" Error "two things of one kind with the same name";
    DUPLICATE_ID "duplicate-id" Error "the same id twice";
    VERSION "version" Error "a dialect of the language that this version does not read";
    LET_CYCLE "let-cycle" Error "values or profiles that stand for each other in a circle";
    EMPTY_RULE "empty-rule" Error "a rule without a target";
    NO_CHILDREN "no-children" Error "something hangs below a discipline that cannot hold it";
    FAIR_LEAF "fair-leaf" Error "a discipline that cannot share by host as it is asked";
    INNER_CLASS "inner-class" Error "packets are sent to a class that has classes of its own";
    LEAF_ON_INNER "leaf-on-inner" Error "a class with classes and a leaf";
    BAD_NAME "bad-name" Error "a name that cannot be used";
    BAD_INTERFACE_NAME "bad-interface-name" Error "a name that no interface can have";
    INGRESS_QUEUE "ingress-queue" Error "a queue for what arrives";
    BOTH_WAYS "both-ways" Error "what cannot be said for both ways at once";
    TOS_CLASH "tos-clash" Error "a tos map that says two things of one priority";
    EMPTY_FILE "empty-file" Error "a file without a policy in it";
    NOT_TEXT "not-text" Error "a file that is no text in UTF-8";
    INCLUDE_CYCLE "include-cycle" Error "files that include each other in a circle";
    INCLUDE_LIMIT "include-limit" Error "too many files are included";
    INCLUDE_NOTHING "include-nothing" Warning "a pattern of files that no file has";
    RATES_OVER_PARENT "rates-over-parent" Warning "the classes below a class are guaranteed more than it has";
    RATE_OVER_LINK "rate-over-link" Warning "a rate above that of the link";
    CLASS_DEPTH "class-depth" Error "classes nested deeper than the kernel has levels";
    FLAT_TREE "flat-tree" Note "classes that take long to make, and would not in another layout";
    CURVES "service-curve" Warning "service curves that do not do what they seem to say";
    NEVER_SERVED "never-served" Warning "packets that a schedule never lets through";
    NO_DEFAULT "no-default" Warning "packets that no rule takes leave unshaped, or are dropped";
    NAT_SOURCE "nat-source" Warning "a private source is matched where addresses are already changed";
    NAT_HOSTS "nat-hosts" Warning "hosts are told apart by an address that all of them share";
    MARK_ON_ARRIVAL "mark-on-arrival" Warning "a mark is matched where nobody has set one yet";
    STAB_AND_OVERHEAD "stab-and-overhead" Error "the link's overhead and a class's own are both given";
    HANDLE_BUDGET "handle-budget" Error "more classes or disciplines than the kernel has numbers";
    SFQ_AT_ROOT "sfq-at-root" Warning "a fair queue where no queue forms";
    UNREACHABLE_RULE "unreachable-rule" Warning "a rule that no packet can reach";
    EQUAL_RULES "equal-rules" Warning "two rules that match the same packets";
    UNREACHED_CLASS "unreached-class" Warning "a class that no packet is sent to";
    OVERLAPPING_RULES "overlapping-rules" Note "two rules that share packets, where only their order decides";
    RULE_TOO_VARIED "rule-too-varied" Note "a rule that is too varied to be held against the others";
    TOS_ON_IFB "tos-on-ifb" Warning "a priomap where packets have no priority yet";
    NO_CLASSIFIER "no-classifier" Error "a match that no classifier can make here";
    U32_PORTS "u32-ports" Note "ports that u32 does not see everywhere";
    GROUP_OTHERS "group-others" Warning "a match of one control group that takes other groups' packets too";
    TOO_MANY_FILTERS "too-many-filters" Error "a match that comes to too many filters";
    MATCHES_NOTHING "matches-nothing" Warning "a match that no packet can have";
    MARK_UNSUPPORTED "mark-unsupported" Error "a match of the mark that this kernel cannot make";
    NOT_A_PACKET "not-a-packet" Error "a description that is no packet";
    NO_FILTERS "no-filters" Error "a rule where no rule can be asked";
    NO_INTERFACE "no-interface" Error "the interface does not exist here";
    INTERFACE_ELSEWHERE "interface-elsewhere" Warning "the interface does not exist on this machine";
    KERNEL_REFUSED "kernel-refused" Error "the kernel refused a step";
    KERNEL_LACKS "kernel-lacks" Error "this kernel has no such kind";
    KERNEL_EXISTS "kernel-exists" Error "the kernel has something already where a step would make it";
    KERNEL_BUSY "kernel-busy" Error "something is in use and can be neither changed nor taken away";
    KERNEL_GONE "kernel-gone" Error "something that a step needs is not there";
    KERNEL_FULL "kernel-full" Error "the kernel has no room for it";
    KERNEL_UNSUPPORTED "kernel-unsupported" Error "the link's driver or the kernel cannot do it";
    NO_PERMISSION "no-permission" Error "the right to do it is missing";
    FOR_GOOD "for-good" Error "something would be taken away that cannot be brought back";
    MEMORY "memory" Warning "queues that may take more memory than the machine has left";
    NOT_HELD "not-held" Error "the kernel holds something else than what was asked";
    LOCKED "locked" Error "another change is under way";
    CHANGED_MEANWHILE "changed-meanwhile" Error "somebody else changed what was being worked on";
    UNCONFIRMED "unconfirmed" Error "a change waits for confirmation";
    NO_HISTORY "no-history" Error "there is no such change to go back to";
    STATE_SPOILT "state-spoilt" Warning "what was remembered cannot be trusted";
    IMPORT_SKIPPED "import-skipped" Warning "a part of a tc script that is left out of the policy";
    IMPORT_ASSUMED "import-assumed" Warning "a tc script that is read as if it had been told something";
    IMPORT_REFUSED "import-refused" Warning "a tc command that the kernel would refuse";
    IMPORT_OTHERWISE "import-otherwise" Warning "a tc command that does something else than it says";
    IMPORT_NEEDED "import-needed" Warning "a command of a script that shaping depends on, and that a policy cannot say";
    IMPORT_PASSED "import-passed" Note "a command of a tc script that a policy has nothing to do with";
    NO_CHECKPOINT "no-checkpoint" Error "what stands cannot be written down before it is changed";
    STATE_LOST "state-lost" Warning "what was applied cannot be remembered";
    ACCEPT_NEEDLESS "accept-needless" Warning "something is accepted that does not occur";
    LEFT_OUT "left-out" Warning "something that a policy cannot say";
}

/// Codes of what makes a policy unreadable, or leaves something of it out: such a finding cannot be accepted.
static STRUCTURAL: &[&Code] = &[
    &SYNTAX,
    &INPUT,
    &BARE_NUMBER,
    &WRONG_UNIT,
    &PERCENT_OF_NOTHING,
    &TOO_DEEP,
    &UNKNOWN_FIELD,
    &UNKNOWN_NAME,
    &MATCH_VALUE,
    &MATCH_CLASH,
    &FILE_TOO_LARGE,
    &ALIAS_BOMB,
    &YAML_TAB,
    &YAML_MERGE_KEY,
    &YAML_TAG,
    &YAML_ALIAS,
    &YAML_DOCUMENTS,
    &YAML_KEY,
    &UNQUOTED_SET,
    &NO_WORDS,
    &SPLIT_VALUE,
    &UNKNOWN_KEY,
    &UNKNOWN_KIND,
    &UNKNOWN_PROFILE,
    &UNKNOWN_CLASS,
    &UNKNOWN_BAND,
    &WRONG_SHAPE,
    &DUPLICATE_KEY,
    &DUPLICATE_NAME,
    &DUPLICATE_ID,
    &VERSION,
    &LET_CYCLE,
    &EMPTY_RULE,
    &NO_CHILDREN,
    &BAD_NAME,
    &BAD_INTERFACE_NAME,
    &INGRESS_QUEUE,
    &EMPTY_FILE,
    &NOT_TEXT,
    &INCLUDE_CYCLE,
    &INCLUDE_LIMIT,
    &HANDLE_BUDGET,
    &NO_CLASSIFIER,
    &TOO_MANY_FILTERS,
    &MARK_UNSUPPORTED,
    &NOT_A_PACKET,
    &NO_FILTERS,
    &NO_INTERFACE,
    &INTERFACE_ELSEWHERE,
    &KERNEL_REFUSED,
    &KERNEL_LACKS,
    &KERNEL_EXISTS,
    &KERNEL_BUSY,
    &KERNEL_GONE,
    &KERNEL_FULL,
    &KERNEL_UNSUPPORTED,
    &NO_PERMISSION,
    &NOT_HELD,
    &STATE_SPOILT,
    &NO_CHECKPOINT,
    &STATE_LOST,
    &ACCEPT_NEEDLESS,
    &LEFT_OUT,
];

impl Code {
    /// Whether a policy may say that it has this on purpose: nonsense that the kernel accepts. Only findings of checks
    /// are accepted then, not a value that could not be read.
    pub fn acceptable(&self) -> bool {
        !STRUCTURAL.contains(&self)
    }
}

/// The code of that name.
pub fn find(name: &str) -> Option<&'static Code> {
    ALL.iter().copied().find(|c| c.name == name)
}
