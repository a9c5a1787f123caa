//! Names of system errors.

use std::io;

/// The name of an error as errno(3) has it, such as `ECONNRESET`. Others are described.
pub(crate) fn name(error: &io::Error) -> String {
    let known = error.raw_os_error().and_then(|code| {
        let names = [
            (1, "EPERM"),
            (11, "EAGAIN"),
            (13, "EACCES"),
            (22, "EINVAL"),
            (24, "EMFILE"),
            (23, "ENFILE"),
            (12, "ENOMEM"),
            (32, "EPIPE"),
            (90, "EMSGSIZE"),
            (98, "EADDRINUSE"),
            (99, "EADDRNOTAVAIL"),
            (100, "ENETDOWN"),
            (101, "ENETUNREACH"),
            (103, "ECONNABORTED"),
            (104, "ECONNRESET"),
            (105, "ENOBUFS"),
            (110, "ETIMEDOUT"),
            (111, "ECONNREFUSED"),
            (113, "EHOSTUNREACH"),
        ];
        let found = names.iter().find(|(other, _)| *other == code);
        found.map(|(_, name)| (*name).to_owned())
    });
    known.unwrap_or_else(|| match error.kind() {
        io::ErrorKind::ConnectionRefused => "ECONNREFUSED".to_owned(),
        _ => error.to_string(),
    })
}
