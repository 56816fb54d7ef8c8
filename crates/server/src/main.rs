//! The `mainstem` binary: parse, dispatch. Everything it can do is in the modules named after it.

use mainstem::commands::Arguments;
use std::process::ExitCode;

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> ExitCode {
    match mainstem::commands::run(Arguments::read()) {
        Ok(code) => code,
        Err(message) => {
            eprintln!("mainstem: {message}");
            ExitCode::FAILURE
        }
    }
}
