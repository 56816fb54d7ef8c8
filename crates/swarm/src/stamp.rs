//! What a record of the load says about itself: when it was due, and its number within its stream.
//! It is text that stands unchanged in JSON, URLs and every protocol, so one search finds it in
//! whatever frame it came.

use memchr::memmem::{self, Finder};
use std::sync::LazyLock;

const MARK: &[u8] = b"ms@";
/// Made once: a load looks for it in every frame.
static FINDER: LazyLock<Finder<'static>> = LazyLock::new(|| Finder::new(MARK));
/// `ms@<due, 16 hex>:<number, 8 hex>;`
pub const STAMP_BYTES: usize = 3 + 16 + 1 + 8 + 1;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Stamp {
    /// On the clock of `pace::now_ns`.
    pub due_ns: u64,
    /// Counted from 0 within the stream.
    pub number: u32,
}

/// The value of a record, `bytes` long (or as long as the stamp).
pub fn value(stamp: Stamp, bytes: usize, out: &mut Vec<u8>) {
    use std::io::Write;
    out.clear();
    // Writing into memory does not fail.
    let _ = write!(out, "ms@{:016x}:{:08x};", stamp.due_ns, stamp.number);
    out.resize(bytes.max(STAMP_BYTES), b'x');
}

/// The first stamp in `bytes`, and where it ends.
pub fn find(bytes: &[u8]) -> Option<(Stamp, usize)> {
    let mut from = 0;
    while let Some(found) = FINDER.find(bytes.get(from..)?) {
        let begin = from + found;
        let end = begin + STAMP_BYTES;
        if let Some(stamp) = bytes.get(begin..end).and_then(parse) {
            return Some((stamp, end));
        }
        from = begin + MARK.len();
    }
    None
}

fn parse(text: &[u8]) -> Option<Stamp> {
    let due_ns = hex(text.get(3..19)?)?;
    let number = hex(text.get(20..28)?)?;
    let is_whole = text.get(19) == Some(&b':') && text.get(28) == Some(&b';');
    is_whole.then_some(Stamp { due_ns, number: u32::try_from(number).ok()? })
}

fn hex(digits: &[u8]) -> Option<u64> {
    digits.iter().try_fold(0u64, |sum, &digit| {
        let value = char::from(digit).to_digit(16)?;
        Some(sum << 4 | u64::from(value))
    })
}

/// The number right behind `name`, as in `"offset":12`.
pub fn number_after(bytes: &[u8], name: &[u8]) -> Option<u64> {
    let begin = memmem::find(bytes, name)? + name.len();
    let digits = bytes.get(begin..)?.iter().take_while(|byte| byte.is_ascii_digit());
    let mut count = 0;
    let number = digits.fold(0u64, |sum, digit| {
        count += 1;
        sum.wrapping_mul(10).wrapping_add(u64::from(digit - b'0'))
    });
    (count > 0).then_some(number)
}

/// The text between `name` and the next quote, as in `"cursor":"abc"`.
pub fn text_after<'a>(bytes: &'a [u8], name: &[u8]) -> Option<&'a str> {
    let begin = memmem::find(bytes, name)? + name.len();
    let rest = bytes.get(begin..)?;
    let end = memchr::memchr(b'"', rest)?;
    std::str::from_utf8(rest.get(..end)?).ok()
}
