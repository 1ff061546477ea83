#![no_main]
#[path = "../item_checks.rs"]
#[allow(dead_code)]
mod item_checks;

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| item_checks::items(bytes));
