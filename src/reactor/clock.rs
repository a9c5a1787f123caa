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
