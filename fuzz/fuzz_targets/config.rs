#![no_main]
#[path = "../config_checks.rs"]
mod config_checks;

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| config_checks::config(bytes));
