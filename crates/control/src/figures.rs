//! Figures as values: Prometheus' text format (0.0.4) read back, so that pages and scripts need no
//! reader of their own. Buckets of histograms are left out: sums and counts tell the mean.

use serde::Serialize;
use std::collections::BTreeMap;
use utoipa::ToSchema;

/// One figure at this moment.
#[derive(Debug, Clone, PartialEq, Serialize, ToSchema)]
pub(crate) struct Figure {
    pub(crate) name: String,
    /// `counter`, `gauge`, `histogram` or `summary`.
    pub(crate) kind: String,
    pub(crate) labels: BTreeMap<String, String>,
    pub(crate) value: f64,
}

/// All figures whose name is, or begins with, one of `wanted`; all when there is none.
pub(crate) fn read(text: &str, wanted: &[&str]) -> Vec<Figure> {
    let mut kinds: BTreeMap<&str, &str> = BTreeMap::new();
    let mut found = Vec::new();
    for line in text.lines() {
        if let Some(rest) = line.strip_prefix("# TYPE ") {
            if let Some((name, kind)) = rest.split_once(' ') {
                kinds.insert(name, kind.trim());
            }
            continue;
        }
        let Some((name, labels, value)) = sample(line) else { continue };
        let is_wanted = wanted.is_empty() || wanted.iter().any(|it| name.starts_with(it));
        if !is_wanted || name.ends_with("_bucket") {
            continue;
        }
        let base = ["_sum", "_count"].iter().find_map(|end| name.strip_suffix(end));
        let kind = kinds.get(name).or_else(|| kinds.get(base?)).copied().unwrap_or("untyped");
        found.push(Figure { name: name.to_owned(), kind: kind.to_owned(), labels, value });
    }
    found
}

fn sample(line: &str) -> Option<(&str, BTreeMap<String, String>, f64)> {
    if line.is_empty() || line.starts_with('#') {
        return None;
    }
    let end = line.find(['{', ' '])?;
    let (name, rest) = line.split_at(end);
    let (labels, rest) = match rest.strip_prefix('{') {
        Some(rest) => labels(rest)?,
        None => (BTreeMap::new(), rest),
    };
    let value: f64 = rest.split_whitespace().next()?.parse().ok()?;
    // JSON has no such numbers.
    value.is_finite().then_some((name, labels, value))
}

/// Reads `name="value",..}`; answers what stands behind it too.
fn labels(mut rest: &str) -> Option<(BTreeMap<String, String>, &str)> {
    let mut found = BTreeMap::new();
    loop {
        rest = rest.trim_start_matches([',', ' ']);
        if let Some(behind) = rest.strip_prefix('}') {
            return Some((found, behind));
        }
        let (name, behind) = rest.split_once("=\"")?;
        let mut value = String::new();
        let mut letters = behind.char_indices();
        let end = loop {
            match letters.next()? {
                (at, '"') => break at,
                (_, '\\') => match letters.next()?.1 {
                    'n' => value.push('\n'),
                    other => value.push(other),
                },
                (_, letter) => value.push(letter),
            }
        };
        found.insert(name.to_owned(), value);
        rest = behind.get(end + 1..)?;
    }
}
