//! The table of answers, and `Retry-After`.

use crate::judgement::{Outcome, retry_after};
use proptest::prelude::*;
use std::time::Duration;

#[test]
fn statuses() {
    let table = [
        (200, Outcome::Delivered, false),
        (204, Outcome::Delivered, false),
        (301, Outcome::Redirected, true),
        (307, Outcome::Redirected, true),
        (400, Outcome::Refused, false),
        (401, Outcome::Denied, true),
        (404, Outcome::Denied, true),
        (408, Outcome::Deferred, true),
        (409, Outcome::Refused, false),
        (410, Outcome::Gone, true),
        (413, Outcome::Refused, false),
        (422, Outcome::Refused, false),
        (429, Outcome::Deferred, true),
        (500, Outcome::Failed, true),
        (503, Outcome::Failed, true),
        (599, Outcome::Failed, true),
        (999, Outcome::Failed, true),
        (101, Outcome::Failed, true),
    ];
    for (status, outcome, is_of_endpoint) in table {
        assert_eq!(Outcome::of_status(status), outcome, "{status}");
        assert_eq!(outcome.is_of_endpoint(), is_of_endpoint, "{status}");
    }
    let mut names: Vec<&str> = Outcome::ALL.iter().map(|outcome| outcome.name()).collect();
    names.dedup();
    assert_eq!(names.len(), 10);
}

#[test]
fn retry_after_is_seconds_or_a_date() {
    // 2015-10-21T07:28:00Z
    let then = 1_445_412_480_000;
    let table = [
        ("0", Some(0)),
        (" 120 ", Some(120)),
        ("999999999", Some(86_400)),
        ("Wed, 21 Oct 2015 07:28:00 GMT", Some(30)),
        ("Wed, 21 Oct 2015 07:27:00 GMT", Some(0)),
        ("", None),
        ("-5", None),
        ("soon", None),
        ("1.5", None),
    ];
    for (text, seconds) in table {
        let wanted = seconds.map(Duration::from_secs);
        assert_eq!(retry_after(text, then - 30_000), wanted, "{text:?}");
    }
}

proptest! {
    #[test]
    fn no_header_panics(text in ".*", now in any::<i64>()) {
        if let Some(wait) = retry_after(&text, now) {
            prop_assert!(wait <= Duration::from_secs(86_400));
        }
    }
}
