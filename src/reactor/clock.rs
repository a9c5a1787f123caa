//! A clock that two programs on one machine share.

/// The time, in nanoseconds of `CLOCK_MONOTONIC`: the same for every program of a machine since it was started, and
/// what an [`Instant`](std::time::Instant) is made of on Linux, whose own value can't be written down.
#[cfg(target_os = "linux")]
pub fn monotonic() -> u64 {
    let time = rustix::time::clock_gettime(rustix::time::ClockId::Monotonic);
    time.tv_sec as u64 * 1_000_000_000 + time.tv_nsec as u64
}

/// The time, in nanoseconds since this was first asked.
#[cfg(not(target_os = "linux"))]
pub fn monotonic() -> u64 {
    static START: std::sync::OnceLock<std::time::Instant> = std::sync::OnceLock::new();
    START
        .get_or_init(std::time::Instant::now)
        .elapsed()
        .as_nanos() as u64
}

/// The CPU time that the calling thread has used, in nanoseconds. Unlike the time, it takes a system call.
#[cfg(target_os = "linux")]
pub fn thread_cpu_time() -> u64 {
    let used = rustix::time::clock_gettime(rustix::time::ClockId::ThreadCPUTime);
    used.tv_sec as u64 * 1_000_000_000 + used.tv_nsec as u64
}

/// The CPU time of a thread is not known here.
#[cfg(not(target_os = "linux"))]
pub const fn thread_cpu_time() -> u64 {
    0
}

#[cfg(test)]
mod tests {
    use std::time::{Duration, Instant};

    use super::*;

    #[test]
    fn it_goes_as_fast_as_an_instant_does() {
        let (clock, start) = (monotonic(), Instant::now());
        std::thread::sleep(Duration::from_millis(2));
        let (passed, least) = (monotonic() - clock, Duration::from_millis(2));
        let most = start.elapsed() + Duration::from_millis(1);
        assert!(passed >= least.as_nanos() as u64);
        assert!(passed <= most.as_nanos() as u64 || start.elapsed() > most);
    }

    #[cfg(target_os = "linux")]
    #[test]
    fn it_counts_nanoseconds_since_the_machine_was_started() {
        let time = rustix::time::clock_gettime(rustix::time::ClockId::Monotonic);
        let early = Duration::new(time.tv_sec as u64, time.tv_nsec as u32).as_nanos() as u64;
        let late = monotonic();
        assert!(
            late >= early && late - early < 60_000_000_000,
            "{early} {late}"
        );
    }
}
