//! The languages of a person, and the reasons of the system in them.

use std::io::{self, ErrorKind};

use super::{Phrase, Spoken};

/// A language of prompts, notices and results. Help, usage errors, log lines and the lines that scripts
/// read (`listening`, totals) are English in every language.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Language {
    /// English.
    #[default]
    English,
    /// Chinese, in simplified characters.
    Chinese,
}

impl Language {
    /// The language of a locale. English, unless it is one of the others.
    ///
    /// ```
    /// use echoloop::service::Language;
    ///
    /// assert_eq!(Language::of_locale("zh_CN.UTF-8"), Language::Chinese);
    /// assert_eq!(Language::of_locale("C"), Language::English);
    /// ```
    pub fn of_locale(locale: &str) -> Self {
        match locale.split(['_', '.', '@', '-']).next() {
            Some("zh") => Self::Chinese,
            _ => Self::English,
        }
    }

    /// `phrase` in this language, to be displayed.
    pub const fn say(self, phrase: Phrase<'_>) -> Spoken<'_> {
        Spoken::new(self, phrase)
    }

    /// The reason of an error.
    pub fn reason(self, error: &io::Error) -> String {
        if self == Self::English {
            return error.to_string();
        }
        let reason = self.reason_of_kind(error.kind());
        match error.raw_os_error() {
            Some(number) => format!("{reason}（系统错误 {number}）"),
            None => reason.to_owned(),
        }
    }

    /// The reason of an error of which only the kind is known.
    pub(super) fn reason_of_kind(self, kind: ErrorKind) -> String {
        if self == Self::English {
            return kind.to_string();
        }
        let reason = match kind {
            ErrorKind::AddrInUse => "地址已被占用",
            ErrorKind::AddrNotAvailable => "本机没有这个地址",
            ErrorKind::BrokenPipe => "对方已关闭连接",
            ErrorKind::ConnectionAborted => "连接被中止",
            ErrorKind::ConnectionRefused => "连接被拒绝",
            ErrorKind::ConnectionReset => "连接被对方重置",
            ErrorKind::HostUnreachable => "主机不可达",
            ErrorKind::InvalidData => "数据格式不正确",
            ErrorKind::InvalidInput => "参数无效",
            ErrorKind::NetworkDown => "网络不可用",
            ErrorKind::NetworkUnreachable => "网络不可达",
            ErrorKind::NotConnected => "尚未连接",
            ErrorKind::OutOfMemory => "内存不足",
            ErrorKind::PermissionDenied => "没有权限",
            ErrorKind::StorageFull => "磁盘空间已满",
            ErrorKind::TimedOut => "超时",
            ErrorKind::UnexpectedEof => "数据提前结束",
            _ => "系统报告了其他错误",
        };
        reason.to_owned()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn locale_names_its_language() {
        for locale in ["zh", "zh_CN", "zh_TW.UTF-8", "zh-Hans", "zh.UTF-8@x"] {
            assert_eq!(Language::of_locale(locale), Language::Chinese, "{locale}");
        }
        for locale in ["", "C", "C.UTF-8", "en_US.UTF-8", "za_CN", "POSIX"] {
            assert_eq!(Language::of_locale(locale), Language::English, "{locale}");
        }
    }

    #[test]
    fn reasons_of_the_system_are_in_the_language() {
        let reset = io::Error::from_raw_os_error(104);
        assert_eq!(
            Language::Chinese.reason(&reset),
            "连接被对方重置（系统错误 104）"
        );
        assert_eq!(Language::English.reason(&reset), reset.to_string());
        let unknown = io::Error::other("no translation");
        assert_eq!(Language::Chinese.reason(&unknown), "系统报告了其他错误");
    }
}
