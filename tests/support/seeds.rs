//! Randomness that can be replayed.

/// Splitmix64: small, and the same everywhere.
#[derive(Debug)]
pub struct Random(u64);

impl Random {
    pub fn new(seed: u64) -> Self {
        Self(seed)
    }

    pub fn below(&mut self, limit: usize) -> usize {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let z = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        let z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        ((z ^ (z >> 31)) % limit as u64) as usize
    }

    /// A size from 1 to `limit`, small ones as likely as large ones.
    pub fn size(&mut self, limit: usize) -> usize {
        let bits = self.below(limit.ilog2() as usize + 1) as u32;
        1 + self.below(limit.min(2usize.pow(bits + 1)))
    }
}

/// Lives the life of every seed below `seeds`, and adds up what each returns. A failure names its seed;
/// with `ECHOLOOP_SEED` set, that one alone is lived, and nothing returned. `ECHOLOOP_SEEDS` times as many are lived when that is
/// set.
pub fn live_all(seeds: u64, live: fn(u64) -> u64) -> Option<u64> {
    let number = |name| {
        let value = std::env::var(name).ok()?;
        Some(
            value
                .parse()
                .unwrap_or_else(|_| panic!("{name}={value} is no number")),
        )
    };
    if let Some(seed) = number("ECHOLOOP_SEED") {
        live(seed);
        return None;
    }
    let seeds = seeds * number("ECHOLOOP_SEEDS").unwrap_or(1);
    println!("proof: {seeds} seeds lived");
    let one = |seed| match std::panic::catch_unwind(|| live(seed)) {
        Ok(sum) => sum,
        Err(_) => panic!("seed {seed} failed: replay it with ECHOLOOP_SEED={seed}"),
    };
    Some((0..seeds).map(one).sum())
}
