//! Which texts are a period.

use super::rig::{NOVEMBER, OCTOBER};
use crate::{Moment, Period};

#[test]
fn times_and_days_are_read_and_what_is_no_period_is_named() {
    let read = |from: &str, to: Option<&str>| {
        let period = Period::read(from, to, NOVEMBER);
        period.map(|it| (it.from.0, it.to.0)).map_err(|bad| bad.field)
    };
    type Case = (&'static str, Option<&'static str>, Result<(i64, i64), &'static str>);
    let cases: &[Case] = &[
        ("2026-10-01", Some("2026-11-01"), Ok((OCTOBER, NOVEMBER))),
        ("2026-10-01T02:00:00+02:00", Some("2026-11-01T00:00:00Z"), Ok((OCTOBER, NOVEMBER))),
        ("2026-10-01T00:00:00.250Z", None, Ok((OCTOBER + 250, NOVEMBER))),
        ("2026-10-32", None, Err("from")),
        ("yesterday", None, Err("from")),
        ("", None, Err("from")),
        ("1790812800000", None, Err("from")),
        ("2026-10-01T00:00:00", None, Err("from")),
        ("2026-10-01", Some("soon"), Err("to")),
        ("2026-10-01", Some("2026-11-02"), Err("to")),
        ("2026-10-01", Some("2026-10-01"), Err("from")),
        ("2026-10-02", Some("2026-10-01"), Err("from")),
        ("2025-09-27", Some("2026-11-01"), Ok((NOVEMBER - 400 * 86_400_000, NOVEMBER))),
        ("2025-09-26", Some("2026-11-01"), Err("from")),
        ("-009999-01-01", None, Err("from")),
    ];
    for (from, to, expected) in cases {
        assert_eq!(read(from, *to), *expected, "{from} {to:?}");
    }
}

#[test]
fn a_moment_is_written_in_utc() {
    assert_eq!(Moment(OCTOBER + 5).to_string(), "2026-10-01T00:00:00.005Z");
    assert_eq!(Moment(OCTOBER).day(), "2026-10-01");
}
