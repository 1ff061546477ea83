#![no_main]
#[path = "../index_checks.rs"]
mod index_checks;

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| index_checks::index(bytes));
