#![no_main]
#[path = "../state_checks.rs"]
mod state_checks;

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| state_checks::state(bytes));
