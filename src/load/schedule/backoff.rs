//! How long to wait before something that failed is tried again.

use std::time::Duration;

/// The pause after `failures` in a row, at least one: `min` after the first, doubled with each, `max` at most.
pub(crate) fn pause(failures: u32, min: Duration, max: Duration) -> Duration {
    let doubled = 2u32.saturating_pow(failures.saturating_sub(1));
    min.saturating_mul(doubled).min(max)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_pause_doubles_up_to_its_limit() {
        let ms = Duration::from_millis;
        let pauses = [1, 2, 3, 7, 8, 1_000].map(|failures| pause(failures, ms(10), ms(1_000)));
        assert_eq!(pauses, [10, 20, 40, 640, 1_000, 1_000].map(ms));
    }
}
