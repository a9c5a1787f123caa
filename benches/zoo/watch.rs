//! A server looked at from outside.

use std::fmt;
use std::thread;
use std::time::{Duration, Instant};

use crate::serving::Serving;

/// How its memory went.
#[derive(Debug, Default)]
pub(crate) struct Watch {
    /// Seconds since the start, and KiB.
    samples: Vec<(f64, f64)>,
}

impl Watch {
    /// Looks at the memory of `serving` every half second, for `time`.
    pub(crate) fn memory(serving: &Serving, time: Duration) -> Self {
        let (start, mut samples) = (Instant::now(), Vec::new());
        while start.elapsed() < time {
            if let Some(bytes) = serving.anonymous() {
                samples.push((start.elapsed().as_secs_f64(), bytes / 1024.0));
            }
            thread::sleep(Duration::from_millis(500));
        }
        Self { samples }
    }

    /// How much it grew in a minute of the second half, in KiB: the slope of the line that fits best.
    fn slope(&self) -> Option<f64> {
        let late = &self.samples[self.samples.len() / 2..];
        let count = late.len() as f64;
        let mean = |of: fn(&(f64, f64)) -> f64| late.iter().map(of).sum::<f64>() / count;
        let (time, memory) = (mean(|sample| sample.0), mean(|sample| sample.1));
        let spread: f64 = late.iter().map(|sample| (sample.0 - time).powi(2)).sum();
        let common: f64 = late
            .iter()
            .map(|sample| (sample.0 - time) * (sample.1 - memory))
            .sum();
        (spread > 0.0).then(|| common / spread * 60.0)
    }
}

impl fmt::Display for Watch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let most = self
            .samples
            .iter()
            .map(|sample| sample.1)
            .fold(0.0, f64::max);
        match (self.samples.last(), self.slope()) {
            (Some((_, last)), Some(slope)) => write!(
                f,
                "at most {most:.0} KiB, {last:.0} at the end; in the second half {slope:+.1} KiB a minute"
            ),
            _ => write!(f, "not known: too few looks"),
        }
    }
}

/// How many more descriptors than `before` it has once everybody has left, and `patience` to notice.
pub(crate) fn left_over(serving: &Serving, before: usize, patience: Duration) -> usize {
    let start = Instant::now();
    loop {
        let more = serving.descriptors().saturating_sub(before);
        if more == 0 || start.elapsed() > patience {
            return more;
        }
        thread::sleep(Duration::from_millis(100));
    }
}

/// How often it wakes up while nobody wants anything.
pub(crate) fn wakes_a_second(serving: &Serving, time: Duration) -> f64 {
    let before = sleeps(serving);
    thread::sleep(time);
    (sleeps(serving) - before) / time.as_secs_f64()
}

/// How often it has gone to sleep so far, all its threads together.
fn sleeps(serving: &Serving) -> f64 {
    let Ok(tasks) = std::fs::read_dir(format!("/proc/{}/task", serving.pid())) else {
        return f64::NAN;
    };
    let of_task = tasks.flatten().filter_map(|task| {
        let text = std::fs::read_to_string(task.path().join("status")).ok()?;
        let line = text
            .lines()
            .find_map(|line| line.strip_prefix("voluntary_ctxt_switches:"))?;
        line.trim().parse::<f64>().ok()
    });
    of_task.sum()
}
