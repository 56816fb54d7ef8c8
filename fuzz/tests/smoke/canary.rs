//! A decoder with a hole in it, to see that the fuzzer finds one: it believes a length. When this
//! target passes, all the others prove nothing. It runs only when it is asked for, and
//! `the_canary_dies` asks: `FUZZ_CANARY=1 cargo bolero test -p fuzz canary --sanitizer NONE`.

use std::process::{Command, Stdio};

const ASKED: &str = "FUZZ_CANARY";
const ITERATIONS: usize = 3_000;
/// The name of the target below, as the test runner knows it.
const TARGET: &str = "smoke::canary::a_decoder_that_believes_a_length";

/// One byte says how many follow.
fn decode(bytes: &[u8]) -> &[u8] {
    match bytes.split_first() {
        Some((&len, rest)) => &rest[..usize::from(len)],
        None => &[],
    }
}

#[test]
fn a_decoder_that_believes_a_length() {
    if std::env::var_os(ASKED).is_none() {
        return;
    }
    bolero::check!().with_iterations(ITERATIONS).for_each(|bytes: &[u8]| {
        decode(bytes);
    });
}

#[test]
fn the_canary_dies() {
    let own = std::env::current_exe().expect("this test's executable has a path");
    let run = |asked: Option<&str>| {
        let mut command = Command::new(&own);
        command.args([TARGET, "--exact"]).stdin(Stdio::null());
        command.stdout(Stdio::piped()).stderr(Stdio::null());
        asked.map(|asked| command.env(ASKED, asked));
        command.output().expect("it runs")
    };
    let unasked = run(None);
    let said = String::from_utf8_lossy(&unasked.stdout).into_owned();
    assert!(unasked.status.success() && said.contains("1 passed"), "{said}");
    let asked = run(Some("1"));
    assert!(!asked.status.success(), "the fuzzer does not find a hole that is there");
}
