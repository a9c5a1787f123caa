//! What fuzzers have found worth keeping, played again.

#![allow(clippy::unwrap_used)]

mod support;
#[path = "support/traces.rs"]
mod traces;

use std::path::Path;

use support::fuzzed;

/// Plays every file of a corpus, of which there are `least` at least.
fn replay(corpus: &str, least: usize, play: fn(&[u8])) {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("tests/fuzz/corpus")
        .join(corpus);
    let mut count = 0;
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        println!("{}", path.display());
        play(&std::fs::read(path).unwrap());
        count += 1;
    }
    assert!(count >= least, "{count} inputs in {corpus}");
}

#[test]
fn lives_that_a_fuzzer_found_end_well() {
    replay("life", 100, fuzzed::life);
}

#[test]
fn datagrams_that_a_fuzzer_found_are_judged_right() {
    replay("guard", 100, fuzzed::guard);
}

#[test]
fn bytes_that_a_fuzzer_found_do_no_harm() {
    replay("sanitizer", 100, fuzzed::sanitizer);
}

#[test]
fn traces_that_a_fuzzer_found_are_refused_or_shown() {
    replay("trace", 100, traces::trace);
}
