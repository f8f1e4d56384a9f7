//! One word of a few.

/// Writes an enum whose values are words, and its [`Unit`](super::Unit). The words stand in the order in which tc tries
/// them, and their numbers count from 1, which is how the kernel numbers most.
macro_rules! choice {
    ($(#[$meta:meta])* $vis:vis enum $name:ident $what:literal {
        $(#[$first_meta:meta])* $first:ident $word:literal,
        $($(#[$other_meta:meta])* $other:ident $other_word:literal,)*
    }) => {
        $(#[$meta])*
        #[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
        $vis enum $name {
            $(#[$first_meta])*
            #[default]
            $first,
            $($(#[$other_meta])* $other,)*
        }
        impl $name {
            const ALL: &'static [(&'static str, $name)] =
                &[($word, $name::$first) $(, ($other_word, $name::$other))*];
        }
        impl $crate::unit::Unit for $name {
            const INFO: $crate::unit::Info = $crate::unit::Info {
                name: $what,
                spellings: concat!("`", $word, "`" $(, " or `", $other_word, "`")*),
                schema: $crate::unit::Schema::OneOf(&[$word $(, $other_word)*]),
            };
            fn read(text: &str, reader: &mut $crate::unit::Reader) -> Result<Self, $crate::unit::Refusal> {
                let exact = Self::ALL.iter().find(|(word, _)| *word == text);
                let short = || Self::ALL.iter().find(|(word, _)| reader.tc && $crate::unit::begins(text, word));
                exact.or_else(short).map(|(_, value)| *value).ok_or_else(|| {
                    $crate::unit::Refusal::new(format!("`{text}` is not {}", $what))
                        .help(format!("write {}", Self::INFO.spellings))
                })
            }
            fn show(&self) -> String {
                Self::ALL.iter().find(|(_, value)| value == self).map_or("", |(word, _)| word).to_owned()
            }
            fn number(&self) -> Option<u64> {
                (1..).zip(Self::ALL).find(|(_, (_, value))| value == self).map(|(number, _)| number)
            }
            fn from_number(number: u64) -> Option<Self> {
                let at = usize::try_from(number).ok()?.checked_sub(1)?;
                Self::ALL.get(at).map(|(_, value)| *value)
            }
        }
    };
}
pub(crate) use choice;
