#![no_main]

#[path = "../../support/traces.rs"]
mod traces;

libfuzzer_sys::fuzz_target!(|data: &[u8]| traces::trace(data));
