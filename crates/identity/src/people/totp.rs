//! Codes of six digits that change every half minute (RFC 6238 over RFC 4226, with SHA-1, which is
//! what telephones know), and recovery codes for when the telephone is lost.

use aws_lc_rs::hmac;
use port::Refusal;
use stdx::Rng;
use types::TimestampMs;
use zeroize::Zeroizing;

/// Bytes of the shared secret: RFC 4226 section 4 recommends 160 bits.
pub(super) const SECRET_BYTES: usize = 20;
const STEP_MS: i64 = 30_000;
const DIGITS: u32 = 6;
/// Steps before and after the present one that count, for clocks that differ.
const STEPS_AROUND: i64 = 1;
pub(super) const RECOVERY_CODES: usize = 10;
/// Letters and digits of a recovery code: 80 bits.
const RECOVERY_CHARS: usize = 16;
/// RFC 4648 section 6.
const BASE32: &[u8; 32] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZ234567";

/// The code of one step, RFC 4226 section 5.3.
fn code(secret: &[u8], step: i64) -> u32 {
    let key = hmac::Key::new(hmac::HMAC_SHA1_FOR_LEGACY_USE_ONLY, secret);
    let tag = hmac::sign(&key, &step.to_be_bytes());
    let tag = tag.as_ref();
    let place = usize::from(tag.last().copied().unwrap_or_default() & 0x0f);
    let bytes = tag.get(place..place + 4).and_then(|four| <[u8; 4]>::try_from(four).ok());
    // SHA-1 has 20 bytes, so there are four at 15 and before.
    let number = u32::from_be_bytes(bytes.unwrap_or_default()) & 0x7fff_ffff;
    number % 10_u32.pow(DIGITS)
}

/// The step of time that this code belongs to, when it is one that counts now.
pub(super) fn step_of(secret: &[u8], presented: &str, now: TimestampMs) -> Option<i64> {
    let text: String = presented.chars().filter(|c| !c.is_whitespace()).collect();
    if text.len() != DIGITS as usize || !text.bytes().all(|byte| byte.is_ascii_digit()) {
        return None;
    }
    let wanted: u32 = text.parse().ok()?;
    let present = now.div_euclid(STEP_MS);
    // All are compared, so that time tells nothing of which.
    let steps = present - STEPS_AROUND..=present + STEPS_AROUND;
    steps.fold(None, |found, step| if code(secret, step) == wanted { Some(step) } else { found })
}

pub(super) fn base32(bytes: &[u8]) -> String {
    let mut text = String::with_capacity(bytes.len().div_ceil(5) * 8);
    let (mut bits, mut count) = (0u32, 0);
    for byte in bytes {
        bits = bits << 8 | u32::from(*byte);
        count += 8;
        while count >= 5 {
            count -= 5;
            text.push(char::from(BASE32[(bits >> count & 31) as usize]));
        }
    }
    if count > 0 {
        text.push(char::from(BASE32[(bits << (5 - count) & 31) as usize]));
    }
    text
}

/// What telephones read, also as a picture: Google's `otpauth` form.
pub(super) fn uri(secret: &[u8], email: &str) -> String {
    let escaped: String = email
        .bytes()
        .map(|byte| match byte {
            b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'.' | b'-' | b'_' => {
                char::from(byte).to_string()
            }
            other => format!("%{other:02X}"),
        })
        .collect();
    format!("otpauth://totp/Mainstem:{escaped}?secret={}&issuer=Mainstem", base32(secret))
}

/// Codes that count once each, in groups of four for people.
pub(super) fn recovery_codes(rng: &dyn Rng) -> Vec<String> {
    let one = || {
        let mut random = Zeroizing::new([0; RECOVERY_CHARS * 5 / 8]);
        rng.fill(&mut *random);
        let digits = base32(&*random).to_lowercase();
        let groups: Vec<&str> =
            (0..digits.len()).step_by(4).filter_map(|at| digits.get(at..at + 4)).collect();
        groups.join("-")
    };
    (0..RECOVERY_CODES).map(|_| one()).collect()
}

/// A recovery code as it is hashed: however it was typed.
pub(super) fn plain(code: &str) -> Result<String, Refusal> {
    let plain: String =
        code.chars().filter(char::is_ascii_alphanumeric).collect::<String>().to_lowercase();
    match plain.len() {
        RECOVERY_CHARS => Ok(plain),
        _ => Err(super::second_factor::wrong_code()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// RFC 6238 appendix B, the last six of its eight digits.
    #[test]
    fn codes_are_those_of_the_standard() {
        let secret = b"12345678901234567890";
        let table = [
            (59, "287082"),
            (1_111_111_109, "081804"),
            (1_111_111_111, "050471"),
            (1_234_567_890, "005924"),
            (2_000_000_000, "279037"),
            (20_000_000_000, "353130"),
        ];
        for (seconds, expected) in table {
            let now = seconds * 1_000;
            assert_eq!(step_of(secret, expected, now), Some(seconds / 30), "{expected}");
            assert!(step_of(secret, expected, now + 30_000).is_some());
            assert!(step_of(secret, expected, now - 30_000).is_some());
            assert_eq!(step_of(secret, expected, now + 90_000), None);
        }
        for wrong in ["", "28708", "2870822", "28708a", "+28708", "٢٨٧٠٨٢"] {
            assert_eq!(step_of(secret, wrong, 59_000), None, "{wrong}");
        }
        assert!(step_of(secret, " 287 082 ", 59_000).is_some());
    }

    /// RFC 4648 section 10, without the padding.
    #[test]
    fn base32_is_that_of_the_standard() {
        let table = [
            ("", ""),
            ("f", "MY"),
            ("fo", "MZXQ"),
            ("foo", "MZXW6"),
            ("foob", "MZXW6YQ"),
            ("fooba", "MZXW6YTB"),
            ("foobar", "MZXW6YTBOI"),
        ];
        for (plain, expected) in table {
            assert_eq!(base32(plain.as_bytes()), expected);
        }
    }

    #[test]
    fn recovery_codes_differ_and_are_read_however_typed() {
        let codes = recovery_codes(&*testkit::rng::SeededRng::shared(1));
        let mut distinct = codes.clone();
        distinct.sort();
        distinct.dedup();
        assert_eq!(distinct.len(), RECOVERY_CODES);
        for code in codes {
            assert_eq!(code.len(), 19, "{code}");
            let typed = code.to_uppercase().replace('-', " ");
            assert_eq!(plain(&typed).unwrap(), code.replace('-', ""));
        }
        assert!(plain("abcd").is_err());
    }
}
