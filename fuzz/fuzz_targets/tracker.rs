#![no_main]
#[path = "../tracker_checks.rs"]
mod tracker_checks;

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| tracker_checks::tracker(bytes));
