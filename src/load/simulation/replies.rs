//! What servers reply.

use super::settings::ReplyKind;

/// What a server that works replies to `message`.
pub(super) fn right_reply(answer: &ReplyKind, message: &[u8], random: u64) -> Vec<u8> {
    match answer {
        ReplyKind::Echo => message.to_vec(),
        ReplyKind::Suffix(suffix) => [message, suffix].concat(),
        ReplyKind::Size(size) => vec![random as u8; *size],
        ReplyKind::Until(end) => {
            let text = vec![b'a' + (random % 26) as u8; (random % 40) as usize];
            [&text[..], end].concat()
        }
        ReplyKind::Nothing => Vec::new(),
    }
}
