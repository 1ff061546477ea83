//! The program. Everything it does lives in the library.
#![forbid(unsafe_code)]

use std::process::ExitCode;

fn main() -> ExitCode {
    trackerless::cli::main(std::env::args_os, std::env::vars_os)
}
