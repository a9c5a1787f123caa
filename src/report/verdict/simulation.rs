//! Verdicts of simulated runs, against what their logs say.

use super::{FAILURES_MAX, Verdict, judge};
use crate::load::simulation::simulate;
use crate::seeds::live_all;

const SEEDS: u64 = 256;

/// Which part of the messages has to be sent.
const SENT_MIN: f64 = 0.99;

/// Whether `part` of `whole` is more than may fail.
fn too_many(part: u64, whole: u64) -> bool {
    part as f64 > whole as f64 * FAILURES_MAX
}

/// Judges the run of `seed`. Returns whether its verdict was checked.
fn judge_and_check(seed: u64) -> u64 {
    let run = simulate(seed);
    let (Ok(outcome), Some(facts)) = (&run.result, run.facts()) else {
        return 0;
    };
    let judgement = judge(outcome, &run.plan, FAILURES_MAX);
    let verdict = judgement.verdict;
    let context = || format!("{verdict}: {:?}, {facts:?}", judgement.reasons);
    assert!(!facts.is_interrupted || !judgement.reasons.is_empty());
    if facts.wrong_replies > 0 || verdict == Verdict::Mismatch {
        assert!(facts.wrong_replies > 0, "{}", context());
        assert_eq!(verdict, Verdict::Mismatch, "{}", context());
        return 1;
    }
    if facts.is_interrupted && facts.offered == 0 {
        let is_excused = verdict == Verdict::TooFewSamples || !facts.is_clean;
        assert!(is_excused, "{}", context());
        return 1;
    }
    let server_failed =
        too_many(facts.failed, facts.offered) || too_many(facts.attempts_failed, facts.attempts);
    if server_failed {
        assert_eq!(verdict, Verdict::ServerFailed, "{}", context());
        return 1;
    }
    if verdict == Verdict::ServerFailed {
        assert!(!facts.is_clean, "{}", context());
        return 1;
    }
    if too_many(facts.attempts_failed_locally, facts.attempts) {
        assert_eq!(verdict, Verdict::ClientLimited, "{}", context());
        return 1;
    }
    let sent = (facts.offered - facts.unsent) as f64;
    if run.plan.is_open() && sent < facts.offered as f64 * SENT_MIN {
        assert!(verdict <= Verdict::RateNotReached, "{}", context());
    }
    if verdict == Verdict::Valid {
        assert!(facts.completed > 0, "{}", context());
    }
    1
}

#[test]
fn verdicts_are_justified_by_the_log_of_every_byte() {
    if let Some(checked) = live_all(SEEDS, judge_and_check) {
        assert!(checked > SEEDS / 2, "{checked} verdicts");
    }
}
