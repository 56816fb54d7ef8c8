//! Expressions that clients and configurations write, in the manner of RE2: bounded in what they
//! take, and about a text as a whole unless they say otherwise.

use regex::{Regex, RegexBuilder};

/// Bytes of an expression at most.
const TEXT_BYTES_MAX: usize = 1_000;
/// Bytes of what an expression becomes.
const MEMORY_BYTES_MAX: usize = 256 * 1024;

/// # Errors
/// When it is none, or too large; with the reason.
pub fn whole(text: &str) -> Result<Regex, String> {
    // By itself first: `a)|(b` would otherwise escape from being about the whole.
    anywhere(text).and_then(|_| compile(&format!(r"\A(?:{text})\z")))
}

/// One that is found somewhere in a text.
///
/// # Errors
/// As of `whole`.
pub fn anywhere(text: &str) -> Result<Regex, String> {
    if text.len() > TEXT_BYTES_MAX {
        return Err(format!("an expression has at most {TEXT_BYTES_MAX} bytes"));
    }
    compile(text)
}

fn compile(text: &str) -> Result<Regex, String> {
    let built = RegexBuilder::new(text)
        .size_limit(MEMORY_BYTES_MAX)
        .dfa_size_limit(MEMORY_BYTES_MAX)
        .build();
    built.map_err(|error| error.to_string())
}
