//! Conditions and patches: any text is a condition or refused, any value is judged, and any patch
//! is applied within its bound or refused.

use rules::Condition;
use types::{Header, Key, Record};

/// Random letters rarely make a test, so some begin within one.
const HEADS: [&str; 5] = ["", "data.a", "header.h = ", "not (key in (", "data.'x' ^= \"a"];

#[test]
fn conditions_of_any_text() {
    bolero::check!().for_each(|input: &[u8]| {
        let text = String::from_utf8_lossy(input);
        let header = Header { name: "h".into(), value: input.to_vec().into() };
        let record = Record {
            key: Key::new(input.to_vec()).ok(),
            value: Some(input.to_vec().into()),
            headers: std::iter::once(header).collect(),
            timestamp: None,
        };
        for head in HEADS {
            let Ok(condition) = Condition::parse(&format!("{head}{text}")) else { continue };
            let verdict = condition.holds(&record);
            // Its own text is longer, and may be too long; else it means the same.
            if let Ok(again) = Condition::parse(&condition.to_string()) {
                assert_eq!(again.holds(&record), verdict, "{condition}");
            }
        }
        let judge = Condition::parse("data.a.b = 1 or exists data.0").expect("a condition");
        judge.holds(&record);
    });
}

#[test]
fn patches_of_any_bytes() {
    const TARGET_BYTES_MAX: usize = 10_000;
    bolero::check!().for_each(|input: &[u8]| {
        let (base, patch) = input.split_at(input.len() / 2);
        if let Some(target) = stdx::patch::apply(base, patch, TARGET_BYTES_MAX) {
            assert!(target.len() <= TARGET_BYTES_MAX);
        }
        if let Some(made) = stdx::patch::make(base, patch) {
            assert_eq!(stdx::patch::apply(base, &made, patch.len()).as_deref(), Some(patch));
        }
    });
}
