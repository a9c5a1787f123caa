//! Experiments in readiness-based IO: a question, a prediction, a measurement of this machine, an explanation.
//!
//! Each takes at most [five seconds](TIME_MAX), on loopback and ports that the system chooses. A prediction is a
//! [`Relation`] between figures that is checked, so an experiment can come out otherwise than was thought, and then
//! says so. Nothing here is a benchmark: client and server share one machine, and often one thread.

mod backpressure;
mod batch;
mod blocking;
mod counted;
mod drain;
mod edge_trap;
mod fairness;
mod finding;
mod idle_cost;
mod json;
mod level_vs_edge;
mod limit;
mod loading;
mod models;
mod omission;
mod pairs;
mod recv_1024;
mod serving;
mod text;
mod timer;
mod udp_loss;
mod usage;

use std::fmt;
use std::io;
use std::time::{Duration, Instant};

pub use finding::{Figure, Measured, Measurement, Relation, Unit, Verdict};
pub use json::{findings_json, list_json};
pub use limit::TIME_MAX;
pub use text::{failure_text, list_text};

use self::limit::Limit;

/// A question that this machine can answer within seconds.
pub struct Experiment {
    /// What it is called.
    pub name: &'static str,
    /// What it asks.
    pub question: &'static str,
    /// What is expected, and why.
    pub prediction: &'static str,
    /// The same as relations that can be checked.
    pub expected: &'static [Relation],
    /// Why it is so.
    pub explanation: &'static str,
    /// Why it may come out otherwise, all the same.
    pub doubt: &'static str,
    run: fn(&Limit) -> io::Result<Measured>,
}

/// What an experiment has shown.
#[derive(Clone, Debug)]
pub struct Finding {
    /// Which experiment.
    pub experiment: &'static Experiment,
    /// What was measured.
    pub measured: Measured,
    /// How long it took.
    pub took: Duration,
}

/// Every experiment, those first that the others build on.
pub static EXPERIMENTS: [Experiment; 12] = [
    drain::EXPERIMENT,
    edge_trap::EXPERIMENT,
    level_vs_edge::EXPERIMENT,
    idle_cost::EXPERIMENT,
    batch::EXPERIMENT,
    fairness::EXPERIMENT,
    backpressure::EXPERIMENT,
    models::EXPERIMENT,
    recv_1024::EXPERIMENT,
    timer::EXPERIMENT,
    omission::EXPERIMENT,
    udp_loss::EXPERIMENT,
];

/// The experiment of this name.
pub fn find(name: &str) -> Option<&'static Experiment> {
    EXPERIMENTS
        .iter()
        .find(|experiment| experiment.name == name)
}

impl Experiment {
    /// Carries it out. The calling thread is one of those that are measured.
    ///
    /// # Errors
    ///
    /// What the system refuses, such as descriptors; `TimedOut` if it did not end within [`TIME_MAX`].
    pub fn run(&'static self) -> io::Result<Finding> {
        let start = Instant::now();
        let measured = (self.run)(&Limit::from(start))?;
        Ok(Finding {
            experiment: self,
            measured,
            took: start.elapsed(),
        })
    }
}

impl fmt::Debug for Experiment {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Experiment")
            .field("name", &self.name)
            .finish_non_exhaustive()
    }
}

impl Finding {
    /// Whether every relation that was expected holds.
    pub fn verdict(&self) -> Verdict {
        let expected = self.experiment.expected;
        if expected.iter().all(|is| is.holds(&self.measured)) {
            Verdict::Confirmed
        } else {
            Verdict::Contradicted
        }
    }
}
