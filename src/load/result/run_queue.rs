//! How long this thread waited for a processor.

use std::fs;
use std::time::Duration;

/// How long the calling thread has been runnable without running so far: the second number of its `schedstat`
/// (Documentation/scheduler/sched-stats.rst of Linux). `None` where the kernel does not count it.
pub(crate) fn run_queue_wait() -> Option<Duration> {
    let text = fs::read_to_string("/proc/thread-self/schedstat").ok()?;
    parse(&text)
}

fn parse(text: &str) -> Option<Duration> {
    let waited = text.split_whitespace().nth(1)?.parse().ok()?;
    Some(Duration::from_nanos(waited))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_second_number_is_the_time_in_the_run_queue() {
        let wait = parse("2841734 51170 12\n");
        assert_eq!(wait, Some(Duration::from_nanos(51_170)));
        assert_eq!(parse(""), None);
        assert_eq!(parse("1 x 3"), None);
    }

    #[test]
    #[cfg(target_os = "linux")]
    fn the_time_in_the_run_queue_never_falls() {
        let before = run_queue_wait();
        assert!(run_queue_wait() >= before);
    }
}
