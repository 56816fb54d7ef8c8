//! The figures of several processes as one text (Prometheus exposition format 0.0.4): each sample
//! gets a label that says which process it is of, families stay together.

use std::collections::BTreeMap;

/// Joins the texts of processes, given with their names.
pub fn labelled(texts: &[(String, String)]) -> String {
    let mut families: BTreeMap<String, (Vec<String>, Vec<String>)> = BTreeMap::new();
    for (process, text) in texts {
        let mut family = String::new();
        for line in text.lines().filter(|line| !line.trim().is_empty()) {
            if let Some(comment) = line.strip_prefix("# ") {
                let mut words = comment.splitn(3, ' ');
                let (_, name) = (words.next(), words.next().unwrap_or_default());
                if name != family {
                    family = name.to_owned();
                }
                let (comments, _) = families.entry(family.clone()).or_default();
                // Every process says the same of a family.
                if !comments.iter().any(|known| known == line) {
                    comments.push(line.to_owned());
                }
                continue;
            }
            let name = line.split(['{', ' ']).next().unwrap_or_default();
            // `x_bucket`, `x_sum` and `x_count` are samples of `x`.
            let of = if !family.is_empty() && name.starts_with(&family) {
                family.as_str()
            } else {
                name
            };
            let (_, samples) = families.entry(of.to_owned()).or_default();
            samples.push(with_label(line, process));
        }
    }
    let mut out = String::new();
    for (comments, samples) in families.into_values() {
        for line in comments.iter().chain(&samples) {
            out.push_str(line);
            out.push('\n');
        }
    }
    out
}

fn with_label(line: &str, process: &str) -> String {
    let (name, rest) = line.split_at(line.find(['{', ' ']).unwrap_or(line.len()));
    match rest.strip_prefix('{') {
        Some(labels) if labels.starts_with('}') => {
            format!("{name}{{process=\"{process}\"{labels}")
        }
        Some(labels) => format!("{name}{{process=\"{process}\",{labels}"),
        None => format!("{name}{{process=\"{process}\"}}{rest}"),
    }
}
