//! Rules on the text of single files: headers, sizes, widths, words that must not occur.

use super::Complaint;
use std::path::Path;

const FILE_LINES_MAX: usize = 600;
const FUNCTION_LINES_MAX: usize = 70;
const COLUMNS_MAX: usize = 100;

/// Names that say nothing about what is inside.
const EMPTY_NAMES: &[&str] = &["common", "util", "utils", "helper", "helpers", "manager", "misc"];
/// Leftovers of unfinished work. Split, so that this file does not complain about itself.
const LEFTOVERS: &[&str] = &[
    concat!("todo", "!("),
    concat!("unimplemented", "!("),
    concat!("dbg", "!("),
    concat!("FIX", "ME"),
    concat!("#[ign", "ore"),
];
/// Where our own machines' paths begin.
const MACHINE_PATHS: &[&str] = &[concat!("/wo", "rk/"), concat!("/ro", "ot/")];
/// Protocols' own words: the engine must not know them.
const PROTOCOL_WORDS: &[&str] = &[
    "qos", "isr", "exchange", "vhost", "puback", "mqtt", "amqp", "stomp", "resp3", "sse", "pubsub",
];
const ENGINE: &[&str] =
    &["crates/port/src", "crates/hub/src", "crates/eventlog/src", "crates/storage/src"];
/// The only crates that make identities; everybody else gets one from `Hub::authenticate`.
/// A worker makes again what the owner has proven: see `crates/link`.
const MINTS: &[&str] = &[
    "crates/identity/",
    "crates/testkit/",
    "crates/port/src/identity.rs",
    "crates/link/src/worker/identities.rs",
];

pub fn check(path: &str, text: &str) -> Vec<Complaint> {
    let mut complaints = Vec::new();
    let mut complain = |line: Option<usize>, message: String| {
        let place = line.map_or_else(|| path.to_owned(), |line| format!("{path}:{line}"));
        complaints.push(Complaint { place, message });
    };
    let is_lock = path.ends_with("Cargo.lock") || path.ends_with("package-lock.json");
    if !is_lock && let Some(found) = MACHINE_PATHS.iter().find(|found| text.contains(**found)) {
        complain(None, format!("names a path of somebody's machine: {found}"));
    }
    let is_code = [".rs", ".ts", ".svelte"].iter().any(|ending| path.ends_with(ending));
    if !is_code || path.contains("/generated/") {
        return complaints;
    }
    let lines = text.lines().count();
    if lines > FILE_LINES_MAX {
        complain(None, format!("{lines} lines; at most {FILE_LINES_MAX}"));
    }
    let stem = Path::new(path).file_stem().and_then(|stem| stem.to_str()).unwrap_or_default();
    if EMPTY_NAMES.contains(&stem) {
        complain(None, format!("`{stem}` says nothing; name the file after what is in it"));
    }
    if !path.ends_with(".rs") {
        return complaints;
    }
    if !text.starts_with("//!") {
        complain(None, "a file opens with `//!`: why it exists and what it must not know".into());
    }
    for (number, line) in (1..).zip(text.lines()) {
        if line.chars().count() > COLUMNS_MAX && !line.contains("https://") {
            complain(Some(number), format!("wider than {COLUMNS_MAX} columns"));
        }
        if let Some(found) = LEFTOVERS.iter().find(|found| line.contains(**found)) {
            complain(Some(number), format!("unfinished: {found}"));
        }
        if line.contains(concat!("Identity::", "mint("))
            && !is_test(path)
            && !MINTS.iter().any(|may| path.starts_with(may))
        {
            complain(Some(number), "only `identity` makes identities".into());
        }
        if is_test(path) && sleeps(line) {
            complain(Some(number), "a test waits for what it needs, it does not sleep".into());
        }
    }
    if ENGINE.iter().any(|engine| path.starts_with(engine)) && !is_test(path) {
        for (number, word) in words(text) {
            if PROTOCOL_WORDS.contains(&word.to_ascii_lowercase().as_str()) {
                complain(Some(number), format!("the engine does not know the word `{word}`"));
            }
        }
    }
    for (number, length) in long_functions(text) {
        complain(
            Some(number),
            format!("{length} lines in one function; at most {FUNCTION_LINES_MAX}"),
        );
    }
    complaints
}

/// End-to-end tests may wait for the world; everything below has a clock of its own.
fn is_test(path: &str) -> bool {
    (path.contains("/tests/") || path.ends_with("/tests.rs")) && !path.starts_with("tests/")
}

fn sleeps(line: &str) -> bool {
    line.contains(concat!("thread::", "sleep(")) || line.contains(concat!("time::", "sleep("))
}

fn words(text: &str) -> impl Iterator<Item = (usize, &str)> {
    let is_letter = |c: char| c.is_ascii_alphanumeric();
    (1..).zip(text.lines()).flat_map(move |(number, line)| {
        line.split(move |c| !is_letter(c)).filter(|word| !word.is_empty()).map(move |w| (number, w))
    })
}

/// First line and length of functions that are too long. Formatted code closes a function with a
/// brace in the column where it began.
fn long_functions(text: &str) -> Vec<(usize, usize)> {
    let mut found = Vec::new();
    let mut open: Option<(usize, usize)> = None;
    let mut has_body = false;
    for (number, line) in (1..).zip(text.lines()) {
        let indent = line.len() - line.trim_start().len();
        if let Some((started, at)) = open {
            if !has_body && line.trim_end().ends_with(';') {
                // A declaration: its signature took several lines.
                open = None;
                continue;
            }
            has_body |= line.trim_end().ends_with('{');
            if indent == at && line.trim_start().starts_with('}') {
                let length = number - started + 1;
                if length > FUNCTION_LINES_MAX {
                    found.push((started, length));
                }
                open = None;
            }
            continue;
        }
        if is_function(line.trim_start()) && !line.trim_end().ends_with([';', '}']) {
            open = Some((number, indent));
            has_body = line.trim_end().ends_with('{');
        }
    }
    found
}

fn is_function(line: &str) -> bool {
    let mut words = line.split_whitespace();
    let qualifiers = ["pub", "pub(crate)", "pub(super)", "async", "const"];
    words.find(|word| !qualifiers.contains(word)) == Some("fn")
}
