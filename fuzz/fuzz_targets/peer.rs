#![no_main]
#![allow(dead_code, reason = "a target runs one check of several")]
#[path = "../wire_checks.rs"]
mod wire_checks;

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| wire_checks::peer(bytes));
