//! Which tokens of a project were taken back, as far as this process knows: digests in one table,
//! so that what is remembered of each is of one size, and a token costs a few looks into it. What
//! is stored, and for how long, is `tenancy`'s.

use crate::token::Unproven;
use aws_lc_rs::digest::{SHA256, digest};
use port::{Claims, TokenMark, metric};
use std::collections::HashMap;
use std::fmt::Write;
use std::sync::Arc;
use tenancy::{REVOCATION_VALUE_BYTES_MAX, RevocationHead, RevocationKind, RevocationMark};
use types::TimestampMs;

/// What is looked up. Old ones stay unchanged while the project's snapshots share them.
#[derive(Debug, Default)]
pub(crate) struct Revocations {
    pub head: RevocationHead,
    marks: HashMap<TokenMark, Moment>,
    /// When the first of them is over; `None` when there are none.
    first_end: Option<TimestampMs>,
}

#[derive(Debug, Clone, Copy)]
struct Moment {
    /// Tokens issued before count no more.
    before: TimestampMs,
    until: TimestampMs,
}

/// What to ask the store for, to know what it knows.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Missing {
    Nothing,
    /// What came after this version.
    Since(u64),
    All,
}

impl Revocations {
    pub fn missing(&self, head: RevocationHead) -> Missing {
        // An older head than what is known was read before it, or comes of a restored database.
        if self.head == head {
            Missing::Nothing
        } else if self.head.version >= head.rebuilt && self.head.version < head.version {
            Missing::Since(self.head.version)
        } else {
            Missing::All
        }
    }

    /// Whether some are over, so that forgetting them is worth it.
    pub fn has_ended(&self, now: TimestampMs) -> bool {
        self.first_end.is_some_and(|end| end <= now)
    }

    /// Those of before that still matter, if they are wanted, and the new ones.
    pub fn new(
        head: RevocationHead,
        before: Option<&Revocations>,
        found: &[RevocationMark],
        now: TimestampMs,
    ) -> Revocations {
        let mut marks = before.map(|before| before.marks.clone()).unwrap_or_default();
        marks.retain(|_, moment| moment.until > now);
        for new in found {
            let before = match new.kind.is_of_many() {
                true => new.issued_before.unwrap_or(TimestampMs::MAX),
                false => TimestampMs::MAX,
            };
            marks.insert(mark(new.kind, &new.value), Moment { before, until: new.until });
        }
        let first_end = marks.values().map(|moment| moment.until).min();
        metrics::gauge!(metric::TOKEN_REVOCATIONS).increment(marks.len() as f64);
        Revocations { head, marks, first_end }
    }

    #[cfg(test)]
    pub fn len(&self) -> usize {
        self.marks.len()
    }

    /// Whether the token behind these claims was taken back. One that does not say when it was
    /// issued counts as old.
    pub fn has(&self, claims: &Claims) -> bool {
        if self.marks.is_empty() {
            return false;
        }
        let taken = |mark: &TokenMark| {
            let moment = self.marks.get(mark);
            moment
                .is_some_and(|moment| claims.issued_at.is_none_or(|issued| issued < moment.before))
        };
        claims.marks.as_deref().is_some_and(|marks| marks.iter().any(taken))
    }
}

impl Drop for Revocations {
    fn drop(&mut self) {
        if !self.marks.is_empty() {
            metrics::gauge!(metric::TOKEN_REVOCATIONS).decrement(self.marks.len() as f64);
        }
    }
}

/// The kind is part of it, so that a subject is never taken for a `jti`.
fn mark(kind: RevocationKind, value: &str) -> TokenMark {
    let text = [kind.name(), "\0", value].concat();
    let mut mark = [0; TokenMark::BYTES];
    // A SHA-256 is longer than a mark.
    mark.iter_mut().zip(digest(&SHA256, text.as_bytes()).as_ref()).for_each(|(to, from)| {
        *to = *from;
    });
    TokenMark(mark)
}

/// What a token may be recognised by.
pub(crate) fn marks(token: &Unproven<'_>) -> Arc<[TokenMark]> {
    let claims = &token.claims;
    let print = fingerprint(token.input);
    let known = [
        (RevocationKind::Fingerprint, Some(print.as_str())),
        (RevocationKind::Jti, claims.jti()),
        (RevocationKind::Sub, Some(claims.sub.as_str())),
        (RevocationKind::Kid, token.kid.as_deref()),
        (RevocationKind::Iss, claims.iss.as_deref()),
    ];
    let said = known
        .into_iter()
        .filter_map(|(kind, value)| Some((kind, value.filter(|value| is_usable(value))?)));
    said.map(|(kind, value)| mark(kind, value)).collect()
}

/// Whether it can be stored as what a token is recognised by.
pub(crate) fn is_usable(value: &str) -> bool {
    (1..=REVOCATION_VALUE_BYTES_MAX).contains(&value.len()) && !value.chars().any(char::is_control)
}

/// The SHA-256 of what the signature is over. Not of the signature: some kinds of it can be written
/// in several ways.
pub fn fingerprint(input: &str) -> String {
    let hash = digest(&SHA256, input.as_bytes());
    hash.as_ref().iter().fold(String::new(), |mut text, byte| {
        // Writing to a text cannot fail.
        let _ = write!(text, "{byte:02x}");
        text
    })
}
