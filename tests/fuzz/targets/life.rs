#![no_main]

#[path = "../../support/fuzzing.rs"]
mod support;

libfuzzer_sys::fuzz_target!(|data: &[u8]| support::fuzzed::life(data));
