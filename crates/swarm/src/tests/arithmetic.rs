//! Due times, latencies, losses, comparisons, and what the kernel tells.

use crate::compare::{Row, rows, short, table};
use crate::dialect::{Heard, Line};
use crate::latency::Latencies;
use crate::pace::Pace;
use crate::stamp::{Stamp, find, value};
use crate::watch::{kib, queue_bytes, slab_bytes, ticks};
use proptest::prelude::*;
use serde_json::json;

#[test]
fn what_is_due_is_counted_from_the_beginning() {
    let pace = Pace { begin_ns: 1_000, per_second: 1_000.0 };
    let cases = [(999, 0), (1_000, 1), (1_000_999, 1), (1_001_000, 2), (2_001_000, 3)];
    for (now_ns, due) in cases {
        assert_eq!(pace.due_by(now_ns), due, "at {now_ns}");
    }
    assert_eq!(pace.due_ns(3), 3_001_000);
    let at_once = Pace { begin_ns: 0, per_second: f64::MAX };
    assert_eq!((at_once.due_ns(1_000_000), at_once.due_by(7)), (0, u64::MAX));
}

proptest! {
    /// Whatever is counted as due has a due time that has come, and the next one has not.
    #[test]
    fn due_numbers_and_due_times_agree(rate in 1u32..100_000, now_ns in 0u64..10_000_000_000) {
        let pace = Pace { begin_ns: 0, per_second: f64::from(rate) };
        let due = pace.due_by(now_ns);
        prop_assert!(pace.due_ns(due - 1) <= now_ns);
        prop_assert!(pace.due_ns(due) + 1 >= now_ns);
    }

    #[test]
    fn histograms_survive_the_pipe(samples in proptest::collection::vec(1u64..9_000_000, 0..200)) {
        let mut latencies = Latencies::default();
        samples.iter().for_each(|us| latencies.add_ns(us * 1_000));
        let text = serde_json::to_string(&latencies).unwrap();
        let again: Latencies = serde_json::from_str(&text).unwrap();
        prop_assert_eq!(again.count(), samples.len() as u64);
        prop_assert_eq!(again.summary(), latencies.summary());
        let mut sorted = samples;
        sorted.sort_unstable();
        if let Some(&most) = sorted.last() {
            let told = latencies.at_ms(1.0) * 1_000.0;
            prop_assert!((told - most as f64).abs() <= most as f64 / 500.0 + 1.0);
        }
    }

    #[test]
    fn stamps_are_found_wherever_they_stand(
        due_ns in any::<u64>(), number in any::<u32>(), before in "[a-z\"ms@]{0,40}",
        bytes in 0usize..200
    ) {
        let mut text = Vec::new();
        value(Stamp { due_ns, number }, bytes, &mut text);
        prop_assert!(text.len() >= bytes);
        let mut frame = before.into_bytes();
        frame.extend_from_slice(&text);
        prop_assert_eq!(find(&frame).map(|found| found.0), Some(Stamp { due_ns, number }));
    }
}

#[test]
fn lost_and_doubled_records_are_counted_once_each() {
    let (mut heard, mut line) = (Heard::default(), Line::default());
    // Number and offset of each record, and then: delivered, lost, doubled.
    let cases = [
        (7, Some(70), (1, 0, 0)),
        (8, Some(71), (2, 0, 0)),
        (8, Some(71), (2, 0, 1)),
        (11, Some(74), (3, 2, 1)),
        (12, None, (4, 2, 1)),
        (12, None, (4, 2, 2)),
    ];
    for (number, offset, expected) in cases {
        heard.record(&mut line, Stamp { due_ns: 0, number }, offset);
        let tally = &heard.tally;
        assert_eq!((tally.deliveries, tally.lost, tally.doubled), expected, "after {number}");
    }
    line.begin_again();
    heard.record(&mut line, Stamp { due_ns: 0, number: 13 }, Some(80));
    assert_eq!(heard.tally.lost, 2, "a further connection goes on where the first ended");
}

#[test]
fn reports_are_compared_by_what_both_have() {
    let before = json!({"rate": 10, "gone": 1, "rows": [{"name": "a", "us": 2.0}], "zero": 0});
    let after = json!({"rate": 25, "rows": [{"name": "b", "us": 9.0}, {"name": "a", "us": 1.0}],
                       "zero": 3, "text": "x"});
    let row =
        |name: &str, before, after, ratio| Row { name: name.to_owned(), before, after, ratio };
    let expected = vec![
        row("rate", 10.0, 25.0, Some(2.5)),
        row("rows.a.us", 2.0, 1.0, Some(0.5)),
        row("zero", 0.0, 3.0, None),
    ];
    assert_eq!(rows(&before, &after), expected);
    assert!(table(&expected).contains("2.50"));
    assert_eq!(
        (short(3.0), short(0.123_456), short(12.34)),
        ("3".into(), "0.123".into(), "12.3".into())
    );
}

#[test]
fn the_kernels_figures_are_read() {
    let stat = "7 (a b) c) S 1 7 7 0 -1 4194560 1 0 0 0 250 50 0 0 20 0 1 0 1 1 1";
    assert_eq!(ticks(stat), Some((250.0, 50.0)));
    assert_eq!(kib("Name:\tx\nVmRSS:\t  12 kB\n", "VmRSS:"), 12);
    assert_eq!(
        queue_bytes("sockets: used 1\nTCP: inuse 4 orphan 0 tw 0 alloc 9 mem 3\n"),
        3 * 4096
    );
    let slab = "TCP  10 20 2432 13 8 : tunables 0 0 0 : slabdata 2 3 0\n\
                other 10 20 64 64 1 : tunables 0 0 0 : slabdata 9 9 0\n";
    assert_eq!(slab_bytes(slab), 8 * 3 * 4096);
}
