//! The texts of phrases in each language.

use super::*;

#[test]
fn values_go_where_the_braces_are_in_both_languages() {
    let phrase = Phrase::NoAnswer(2, "{} hello");
    let said = |language: Language, phrase| language.say(phrase).to_string();
    assert_eq!(
        said(Language::English, phrase),
        "no answer to datagram 2: {} hello"
    );
    assert_eq!(
        said(Language::Chinese, phrase),
        "第 2 个数据报没有收到回复：{} hello"
    );
}

#[test]
fn every_command_of_the_help_is_in_both_languages() {
    for help in [HELP_ENGLISH, HELP_CHINESE] {
        let words = help.lines().map(|line| line.split(' ').next().unwrap());
        let commands: Vec<&str> = words.filter(|word| word.starts_with('/')).collect();
        for command in crate::service::COMMANDS {
            assert!(commands.contains(&command.trim()), "{command}");
        }
    }
}

/// Each phrase, with values that are no English words.
fn all() -> Vec<Phrase<'static>> {
    let address = SocketAddr::from(([127, 0, 0, 1], 80));
    let (why, time) = ("原因", Duration::from_secs(2));
    vec![
        Phrase::Welcome,
        Phrase::Help,
        Phrase::Arrived(address),
        Phrase::Ended,
        Phrase::GivenUp,
        Phrase::Left(CloseReason::PeerClosed),
        Phrase::Left(CloseReason::HungUp),
        Phrase::Left(CloseReason::Drained),
        Phrase::Left(CloseReason::Aborted),
        Phrase::Left(CloseReason::IdleTimeout),
        Phrase::Left(CloseReason::FirstByteTimeout),
        Phrase::Left(CloseReason::Evicted),
        Phrase::Left(CloseReason::OwedTooMuch),
        Phrase::Left(CloseReason::WriteStalled),
        Phrase::Left(CloseReason::Failed(std::io::ErrorKind::ConnectionReset)),
        Phrase::Reminder(0),
        Phrase::Reminder(2),
        Phrase::StillWaits,
        Phrase::Unanswered,
        Phrase::NobodyWaits,
        Phrase::TooLate,
        Phrase::NoSuchClient(2),
        Phrase::NoSuchCommand(why),
        Phrase::TooLong,
        Phrase::Usage(why),
        Phrase::Client(address, 2),
        Phrase::MoreClients(2),
        Phrase::NobodyHere,
        Phrase::SentToAll(2),
        Phrase::SentAsOne(2),
        Phrase::Shortened(2),
        Phrase::NotShown(2),
        Phrase::MoreNotices(2),
        Phrase::Stopping,
        Phrase::Undelivered,
        Phrase::InputEnded,
        Phrase::Unreadable,
        Phrase::Connected(address),
        Phrase::Sending(address),
        Phrase::ServerHungUp,
        Phrase::ServerFinished,
        Phrase::YouHungUp,
        Phrase::NoAnswer(2, why),
        Phrase::NoAnswerWithin(2, time),
        Phrase::DatagramRefused(2),
        Phrase::DatagramTooLong(2, "65508", 65_507),
        Phrase::NotAnswered(2, 3),
        Phrase::Refused(address),
        Phrase::Unreachable(address),
        Phrase::NotFromHere(address, why),
        Phrase::NotConnected(address, why),
        Phrase::ConnectTimeout(address, time),
        Phrase::Reset,
        Phrase::Lost(why),
        Phrase::NotTaken(2),
        Phrase::InputFailed(why),
        Phrase::OutputFailed(why),
        Phrase::NotSendable(address, why),
        Phrase::NoAddress(why),
        Phrase::CannotRun(why),
        Phrase::LineTooLong,
        Phrase::LineNotText,
        Phrase::NotAllShown(why),
        Phrase::EditorLimit(992),
        Phrase::FileLimit(68),
    ]
}

/// The names of the variants, from the source.
fn variants() -> Vec<&'static str> {
    let source = include_str!("../phrases.rs");
    let start = source.find("pub enum Phrase").unwrap();
    let body = source[start..].lines().skip(1);
    let body = body.take_while(|line| *line != "}");
    let words = body.filter_map(|line| line.strip_prefix("    "));
    let names = words.filter(|word| word.starts_with(char::is_uppercase));
    names
        .map(|word| word.split(['(', ',']).next().unwrap())
        .collect()
}

/// Words that are in English and in Chinese sentences: commands, keys and units.
const COMMON_WORDS: [&str; 19] = [
    "N", "TEXT", "quit", "help", "skip", "to", "all", "hangup", "clients", "Ctrl", "D", "C", "UTF",
    "KiB", "IP", "s", "select", "ulimit", "Hn",
];

#[test]
fn every_phrase_is_in_chinese() {
    let is_chinese = |c: char| matches!(c, '\u{4e00}'..='\u{9fff}');
    for phrase in all() {
        let (english, chinese) = phrase.templates();
        assert!(!english.contains(is_chinese), "{english}");
        let braces = |text: &str| text.matches("{}").count();
        assert_eq!(braces(english), braces(chinese), "{english}");
        let said = Language::Chinese.say(phrase).to_string();
        assert!(!said.contains("{}"), "{said}");
        assert!(said.contains(is_chinese) || english == "{}", "{said}");
        let without = said.replace("/dev/null", "");
        for word in without.split(|c: char| !c.is_ascii_alphabetic()) {
            assert!(
                word.is_empty() || COMMON_WORDS.contains(&word),
                "{word:?} in {said}"
            );
        }
    }
}

#[test]
fn list_of_phrases_is_complete() {
    let listed: Vec<String> = all().iter().map(|phrase| format!("{phrase:?}")).collect();
    let variants = variants();
    assert!(variants.len() > 50, "{variants:?}");
    for variant in variants {
        let is_listed = |text: &String| text.split('(').next() == Some(variant);
        assert!(listed.iter().any(is_listed), "{variant}");
    }
}
