//! When a certificate ends: the one field of an X.509 certificate (RFC 5280, section 4.1) that is
//! asked for, walked to through the DER around it. It checks no signature and trusts nothing.

use jiff::civil::{DateTime, date};
use types::TimestampMs;

const EPOCH: DateTime = date(1970, 1, 1).at(0, 0, 0, 0);
const INTEGER: u8 = 0x02;
const UTC_TIME: u8 = 0x17;
const GENERALIZED_TIME: u8 = 0x18;
const SEQUENCE: u8 = 0x30;
/// `[0] EXPLICIT Version`, which first versions leave out.
const VERSION: u8 = 0xa0;

/// One element: its tag, its content, and what stands behind it.
fn element(der: &[u8]) -> Option<(u8, &[u8], &[u8])> {
    let (&tag, rest) = der.split_first()?;
    let (&first, rest) = rest.split_first()?;
    let (length, rest) = match first {
        0..=0x7f => (usize::from(first), rest),
        // Lengths of more than four bytes are no certificate's.
        0x81..=0x84 => {
            let (bytes, rest) = rest.split_at_checked(usize::from(first & 0x7f))?;
            (bytes.iter().fold(0, |sum, byte| sum << 8 | usize::from(*byte)), rest)
        }
        _ => return None,
    };
    let (content, behind) = rest.split_at_checked(length)?;
    Some((tag, content, behind))
}

/// The content of an element that must have this tag, and what stands behind it.
fn expect(der: &[u8], tag: u8) -> Option<(&[u8], &[u8])> {
    let (found, content, behind) = element(der)?;
    (found == tag).then_some((content, behind))
}

fn number(digits: &[u8]) -> Option<i16> {
    digits.iter().try_fold(0i16, |sum, digit| {
        let digit = char::from(*digit).to_digit(10)?;
        sum.checked_mul(10)?.checked_add(i16::try_from(digit).ok()?)
    })
}

/// `YYMMDDHHMMSSZ` or `YYYYMMDDHHMMSSZ`, as RFC 5280 wants them.
fn time(tag: u8, text: &[u8]) -> Option<TimestampMs> {
    let (year, rest) = match tag {
        UTC_TIME => {
            let (year, rest) = text.split_at_checked(2)?;
            let year = number(year)?;
            (if year >= 50 { 1_900 + year } else { 2_000 + year }, rest)
        }
        GENERALIZED_TIME => {
            let (year, rest) = text.split_at_checked(4)?;
            (number(year)?, rest)
        }
        _ => return None,
    };
    let digits = rest.strip_suffix(b"Z")?;
    let (pairs, more) = digits.as_chunks::<2>();
    let [month, day, hour, minute, second] = pairs else { return None };
    let part = |pair: &[u8; 2]| i8::try_from(number(pair)?).ok();
    if !more.is_empty() {
        return None;
    }
    let (month, day) = (part(month)?, part(day)?);
    let (hour, minute, second) = (part(hour)?, part(minute)?, part(second)?);
    let at = DateTime::new(year, month, day, hour, minute, second, 0).ok()?;
    i64::try_from(at.duration_since(EPOCH).as_millis()).ok()
}

/// `notAfter` of a certificate in DER; `None` when it is none.
pub fn not_after_ms(der: &[u8]) -> Option<TimestampMs> {
    let (certificate, _) = expect(der, SEQUENCE)?;
    let (to_be_signed, _) = expect(certificate, SEQUENCE)?;
    let rest = match element(to_be_signed)? {
        (VERSION, _, behind) => behind,
        _ => to_be_signed,
    };
    let (_serial, rest) = expect(rest, INTEGER)?;
    let (_algorithm, rest) = expect(rest, SEQUENCE)?;
    let (_issuer, rest) = expect(rest, SEQUENCE)?;
    let (validity, _) = expect(rest, SEQUENCE)?;
    let (_, _, rest) = element(validity)?;
    let (tag, text, _) = element(rest)?;
    time(tag, text)
}
