//! What TCP clients get: the value of `--reply`.

use std::str::FromStr;

/// The service for TCP clients.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Reply {
    Discard,
    Echo,
    Suffix(String),
}

impl Reply {
    /// How much longer a reply is than the message that it is to, in bytes.
    pub(crate) const fn suffix_len(&self) -> usize {
        match self {
            Self::Discard | Self::Echo => 0,
            Self::Suffix(suffix) => suffix.len(),
        }
    }
}

impl FromStr for Reply {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match text.split_once(':') {
            Some(("suffix", suffix)) => Ok(Self::Suffix(suffix.to_owned())),
            None if text == "echo" => Ok(Self::Echo),
            None if text == "discard" => Ok(Self::Discard),
            _ => Err("write echo, discard or suffix:TEXT".to_owned()),
        }
    }
}
