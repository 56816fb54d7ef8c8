//! Finds the line of a key in the text of a configuration, and the known word nearest to a wrong
//! one, so that a refusal points at what to mend.

/// The line, counted from 1, on which the last of these keys stands: each is looked for after the
/// one before. Works for YAML, JSON and TOML, whose keys all stand before `:` or `=` or in `[]`.
pub fn line_of(text: &str, path: &[&str]) -> Option<usize> {
    let mut lines = text.lines().enumerate();
    let mut found = None;
    for key in path {
        found = Some(lines.by_ref().find(|(_, line)| has_key(line, key))?.0 + 1);
    }
    found
}

fn has_key(line: &str, key: &str) -> bool {
    let bare = |text: &str| text.trim().trim_matches(['"', '\'', '{', ',', ' ']).to_owned();
    let before = line.split([':', '=']).next().unwrap_or_default();
    if bare(before) == key {
        return true;
    }
    let section = line.trim().trim_start_matches('[').trim_end_matches(']');
    line.trim().starts_with('[') && section.split('.').any(|part| bare(part) == key)
}

/// The candidate with the fewest edits, if it is near enough to be meant.
pub fn nearest<'a>(wrong: &str, candidates: impl Iterator<Item = &'a str>) -> Option<&'a str> {
    candidates
        .map(|candidate| (edits(wrong, candidate), candidate))
        .filter(|&(edits, candidate)| edits <= 1 + candidate.len() / 3)
        .min()
        .map(|(_, candidate)| candidate)
}

/// Levenshtein's distance.
fn edits(left: &str, right: &str) -> usize {
    let right: Vec<char> = right.chars().collect();
    let mut row: Vec<usize> = (0..=right.len()).collect();
    for (above, from) in left.chars().enumerate() {
        let mut diagonal = above;
        row[0] = above + 1;
        for (column, &to) in right.iter().enumerate() {
            let replaced = diagonal + usize::from(from != to);
            diagonal = row[column + 1];
            row[column + 1] = replaced.min(diagonal + 1).min(row[column] + 1);
        }
    }
    row[right.len()]
}
