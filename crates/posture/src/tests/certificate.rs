//! Ends of certificates: made ones whose end is known, and bytes that are none.

use crate::not_after_ms;

/// A certificate as far as it is read, with these times in it.
fn der(has_version: bool, tag: u8, until: &[u8]) -> Vec<u8> {
    let wrap = |tag: u8, content: &[u8]| {
        let length = u8::try_from(content.len()).expect("short");
        let mut out = vec![tag];
        if length >= 0x80 {
            out.push(0x81);
        }
        out.push(length);
        out.extend_from_slice(content);
        out
    };
    let from = wrap(0x17, b"250101000000Z");
    let validity = wrap(0x30, &[from, wrap(tag, until)].concat());
    let version = if has_version { wrap(0xa0, &wrap(0x02, &[2])) } else { Vec::new() };
    let body =
        [version, wrap(0x02, &[7; 20]), wrap(0x30, &[]), wrap(0x30, b"issuer"), validity].concat();
    wrap(0x30, &wrap(0x30, &body))
}

#[test]
fn the_end_is_read() {
    // 2026-11-21T00:00:00Z.
    let end = Some(1_795_219_200_000);
    assert_eq!(not_after_ms(&der(true, 0x17, b"261121000000Z")), end);
    assert_eq!(not_after_ms(&der(false, 0x17, b"261121000000Z")), end);
    assert_eq!(not_after_ms(&der(true, 0x18, b"20261121000000Z")), end);
    // RFC 5280: what never ends.
    assert_eq!(not_after_ms(&der(true, 0x18, b"99991231235959Z")), Some(253_402_300_799_000));
    assert_eq!(not_after_ms(&der(true, 0x17, b"500101000000Z")), Some(-631_152_000_000));
}

#[test]
fn what_is_no_certificate_is_none() {
    for until in [&b"261321000000Z"[..], b"261121000000", b"26112100000Z", b"", b"2611210000+100Z"]
    {
        assert_eq!(not_after_ms(&der(true, 0x17, until)), None);
    }
    assert_eq!(not_after_ms(&der(true, 0x04, b"261121000000Z")), None);
    let whole = der(true, 0x17, b"261121000000Z");
    for length in 0..whole.len() {
        assert_eq!(not_after_ms(&whole[..length]), None, "cut to {length}");
    }
    // Any byte may be another one; nothing panics.
    for at in 0..whole.len() {
        for byte in [0, 1, 0x30, 0x7f, 0x80, 0x84, 0x85, 0xff] {
            let mut broken = whole.clone();
            broken[at] = byte;
            let _ = not_after_ms(&broken);
        }
    }
}
