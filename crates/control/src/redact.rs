//! The last door before something leaves the house: texts that look like a credential of ours, a
//! bearer's token or a password within an address are blotted out, wherever they stand. What is
//! secret should never come here; this is for what came nevertheless.

use crate::configuration::MASK;
use serde_json::Value;

/// What credentials of ours, and of Stripe, begin with.
const PREFIXES: &[&str] = &[
    "ms_live_", "ms_test_", "msadmin_", "mss_", "msr_", "msi_", "whsec_", "whsk_", "sk_live_",
    "sk_test_", "rk_live_", "rk_test_", "eyJ",
];
/// What stands behind these is a secret whatever it looks like.
const BEFORE: &[&str] = &["Bearer ", "bearer ", "Basic ", "basic "];
/// Names of fields whose text is a secret.
const FIELDS: &[&str] = &["password", "secret", "token", "authorization", "passphrase", "api_key"];
/// Shorter ones are words that happen to begin so.
const SECRET_CHARS_MIN: usize = 8;

/// Blots out what looks like a secret in every text of the document.
pub(crate) fn redact(document: &mut Value) {
    match document {
        Value::String(text) => {
            if let Some(clean) = clean(text) {
                *text = clean;
            }
        }
        Value::Array(items) => items.iter_mut().for_each(redact),
        Value::Object(fields) => {
            for (name, value) in fields {
                let name = name.to_lowercase();
                match value {
                    Value::String(text)
                        if !text.is_empty() && FIELDS.iter().any(|it| name == *it) =>
                    {
                        *text = MASK.to_owned();
                    }
                    value => redact(value),
                }
            }
        }
        Value::Null | Value::Bool(_) | Value::Number(_) => {}
    }
}

fn is_of_secret(letter: char) -> bool {
    letter.is_ascii_alphanumeric() || matches!(letter, '_' | '-' | '.' | '+' | '/' | '=' | '~')
}

/// The text without its secrets; `None` when there are none.
fn clean(text: &str) -> Option<String> {
    let mut out = String::with_capacity(text.len());
    let mut rest = text;
    let mut before = ' ';
    while let Some(letter) = rest.chars().next() {
        let length = match begins_secret(rest, before) {
            Some((shown, hidden)) => {
                out.push_str(rest.get(..shown).unwrap_or_default());
                out.push_str(MASK);
                shown + hidden
            }
            None => {
                out.push(letter);
                letter.len_utf8()
            }
        };
        before = rest.get(..length).and_then(|taken| taken.chars().last()).unwrap_or(' ');
        rest = rest.get(length..).unwrap_or_default();
    }
    (out != text).then_some(out)
}

/// How many bytes are shown and how many hidden, when a secret begins here.
fn begins_secret(rest: &str, before: char) -> Option<(usize, usize)> {
    let run = |text: &str| text.chars().take_while(|it| is_of_secret(*it)).count();
    for prefix in BEFORE {
        if let Some(behind) = rest.strip_prefix(prefix) {
            let hidden = run(behind);
            return (hidden > 0).then_some((prefix.len(), hidden));
        }
    }
    if let Some(behind) = rest.strip_prefix("://") {
        // `postgres://user:password@host`: up to the last `@` of the authority.
        let authority = behind.split(['/', ' ', '"', '?']).next().unwrap_or_default();
        let at = authority.rfind('@')?;
        let colon = authority.get(..at)?.find(':')?;
        return Some((3 + colon + 1, at - colon - 1));
    }
    let begins = !before.is_ascii_alphanumeric() && before != '_';
    let prefix = PREFIXES.iter().find(|prefix| begins && rest.starts_with(**prefix))?;
    let hidden = run(rest) - prefix.len();
    (hidden >= SECRET_CHARS_MIN).then_some((prefix.len(), hidden))
}
