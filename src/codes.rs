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
}

/// The code of that name.
pub fn find(name: &str) -> Option<&'static Code> {
    ALL.iter().copied().find(|c| c.name == name)
}
