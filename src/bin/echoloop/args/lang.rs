//! The language of prompts, notices and results.

use std::env;

use clap::{Args, ValueEnum};
use echoloop::service::Language;

/// The option that names a language.
#[derive(Args, Debug)]
pub(crate) struct Lang {
    /// The language of prompts, notices and results: en or zh [default: that of LC_ALL, LC_MESSAGES or LANG]. Help,
    /// usage errors, log lines, 'listening' and totals are English
    #[arg(long, value_enum, value_name = "LANGUAGE")]
    lang: Option<LangArg>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum LangArg {
    En,
    Zh,
}

impl Lang {
    /// The language asked for, or else that of the locale.
    pub(crate) fn language(&self) -> Language {
        match self.lang {
            Some(LangArg::En) => Language::English,
            Some(LangArg::Zh) => Language::Chinese,
            None => of_environment(|name| env::var(name).ok()),
        }
    }
}

/// The language of the first variable that is set and not empty, in the order of POSIX: see locale(7).
fn of_environment(value: impl Fn(&str) -> Option<String>) -> Language {
    let names = ["LC_ALL", "LC_MESSAGES", "LANG"];
    let set = names
        .iter()
        .filter_map(|name| value(name))
        .find(|value| !value.is_empty());
    set.map_or(Language::English, |locale| Language::of_locale(&locale))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_variable_that_says_something_decides() {
        let language = |set: &[(&str, &str)]| {
            of_environment(|name| {
                let found = set.iter().find(|(other, _)| *other == name);
                found.map(|(_, value)| (*value).to_owned())
            })
        };
        let (english, chinese) = (Language::English, Language::Chinese);
        assert_eq!(language(&[]), english);
        assert_eq!(language(&[("LANG", "zh_CN.UTF-8")]), chinese);
        assert_eq!(
            language(&[("LANG", "zh_CN.UTF-8"), ("LC_ALL", "C")]),
            english
        );
        assert_eq!(
            language(&[("LANG", "zh_CN.UTF-8"), ("LC_ALL", "")]),
            chinese
        );
        assert_eq!(
            language(&[("LANG", "en_GB"), ("LC_MESSAGES", "zh")]),
            chinese
        );
    }
}
