//! Connections that found no room in a backlog of this machine.

use std::fs;

/// How many there have been since this machine was started, as far as that is known: `ListenOverflows` of
/// `/proc/net/netstat` (proc_pid_net(5)).
pub(super) fn overflows() -> Option<u64> {
    let text = fs::read_to_string("/proc/net/netstat").ok()?;
    of(&text)
}

/// The line of names is followed by one of values.
fn of(text: &str) -> Option<u64> {
    let mut lines = text.lines().filter(|line| line.starts_with("TcpExt:"));
    let (names, values) = (lines.next()?, lines.next()?);
    let mut pairs = names.split_whitespace().zip(values.split_whitespace());
    let (_, value) = pairs.find(|(name, _)| *name == "ListenOverflows")?;
    value.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_value_below_the_name_is_what_is_told() {
        let text = "TcpExt: SyncookiesSent ListenOverflows ListenDrops\nTcpExt: 1 23 4\nIpExt: X\nIpExt: 9\n";
        assert_eq!(of(text), Some(23));
        assert_eq!(of("TcpExt: SyncookiesSent\nTcpExt: 1\n"), None);
        assert_eq!(of(""), None);
    }
}
