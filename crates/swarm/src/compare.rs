//! Two reports side by side: every number both have, and how many times the first the second is.

use serde_json::Value;
use std::collections::BTreeMap;
use std::fmt::Write;

/// Parts of a name are joined by this.
const JOINT: &str = ".";

#[derive(Debug, Clone, PartialEq)]
pub struct Row {
    pub name: String,
    pub before: f64,
    pub after: f64,
    /// `None` when the first is zero and the second is not.
    pub ratio: Option<f64>,
}

/// Every number that both reports have, in the order of the first.
pub fn rows(before: &Value, after: &Value) -> Vec<Row> {
    let mut later = Vec::new();
    numbers("", after, &mut later);
    let later: BTreeMap<String, f64> = later.into_iter().collect();
    let mut first = Vec::new();
    numbers("", before, &mut first);
    let both = first.into_iter().filter_map(|(name, before)| {
        let after = *later.get(&name)?;
        let ratio = match (before == 0.0, after == 0.0) {
            (false, _) => Some(after / before),
            (true, true) => Some(1.0),
            (true, false) => None,
        };
        Some(Row { name, before, after, ratio })
    });
    both.collect()
}

fn numbers(name: &str, value: &Value, into: &mut Vec<(String, f64)>) {
    let below = |part: &str| {
        if name.is_empty() { part.to_owned() } else { format!("{name}{JOINT}{part}") }
    };
    match value {
        Value::Number(number) => {
            into.extend(number.as_f64().map(|number| (name.to_owned(), number)));
        }
        Value::Object(members) => {
            members.iter().for_each(|(part, value)| numbers(&below(part), value, into));
        }
        Value::Array(items) => {
            for (index, item) in items.iter().enumerate() {
                // Rows say what they are, so that tables of different lengths still meet.
                let title = item["name"].as_str().map(str::to_owned);
                numbers(&below(&title.unwrap_or_else(|| index.to_string())), item, into);
            }
        }
        Value::Null | Value::Bool(_) | Value::String(_) => {}
    }
}

/// The rows as a table for people.
pub fn table(rows: &[Row]) -> String {
    let width = rows.iter().map(|row| row.name.len()).max().unwrap_or(0).max(4);
    let mut text = format!("{:<width$} {:>14} {:>14} {:>8}\n", "", "A", "B", "B/A");
    for row in rows {
        let ratio = row.ratio.map_or("-".to_owned(), |ratio| format!("{ratio:.2}"));
        // Writing into memory does not fail.
        let _ = writeln!(
            text,
            "{:<width$} {:>14} {:>14} {:>8}",
            row.name,
            short(row.before),
            short(row.after),
            ratio
        );
    }
    text
}

/// A number with as many decimals as it needs.
pub fn short(number: f64) -> String {
    let decimals = match number.abs() {
        _ if number.fract() == 0.0 => 0,
        large if large >= 1_000.0 => 0,
        middle if middle >= 10.0 => 1,
        small if small >= 0.1 => 3,
        _ => 5,
    };
    format!("{number:.decimals$}")
}
