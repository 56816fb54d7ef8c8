//! The rules of the tree as a program: what `ARCHITECTURE.md` and `STYLE.md` say and a machine can
//! check. Each rule is a function from facts to complaints, so that canaries can show it bites.

mod arrows;
#[cfg(test)]
mod tests;
mod text;

use crate::run::{Outcome, cargo, output, root};
use std::fmt;
use std::path::{Path, PathBuf};
use std::process::Command;

/// One broken rule.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Complaint {
    pub place: String,
    pub message: String,
}

impl fmt::Display for Complaint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.place, self.message)
    }
}

pub fn run() -> Outcome {
    let complaints = check_tree()?;
    if complaints.is_empty() {
        return Ok(());
    }
    let lines: Vec<String> = complaints.iter().map(ToString::to_string).collect();
    Err(format!("{}\n\n{} rules broken", lines.join("\n"), lines.len()))
}

/// Everything that is wrong with the tree as it lies here.
pub fn check_tree() -> Result<Vec<Complaint>, String> {
    let metadata =
        output(cargo().args(["metadata", "--format-version", "1", "--no-deps", "--offline"]))?;
    let metadata = serde_json::from_str(&metadata).map_err(|error| error.to_string())?;
    let mut complaints = arrows::check(&arrows::packages(&metadata, &root()));
    for path in tracked_files()? {
        let Ok(text) = std::fs::read_to_string(root().join(&path)) else {
            continue;
        };
        complaints.extend(text::check(&path.to_string_lossy(), &text));
    }
    complaints.extend(check_protocols()?);
    Ok(complaints)
}

/// What is committed or about to be: generated and fetched files are nobody's style.
fn tracked_files() -> Result<Vec<PathBuf>, String> {
    let mut git = Command::new("git");
    git.current_dir(root()).args(["ls-files", "--cached", "--others", "--exclude-standard"]);
    Ok(output(&mut git)?.lines().map(PathBuf::from).collect())
}

/// Every protocol's folder has its page: it becomes `docs/protocols/<name>.md`.
fn check_protocols() -> Result<Vec<Complaint>, String> {
    let protocols = root().join("protocols");
    let listed = std::fs::read_dir(&protocols).map_err(|error| error.to_string())?;
    let folders = listed.filter_map(|entry| Some(entry.ok()?.path()));
    let lacks = |path: &Path| path.is_dir() && !path.join("README.md").is_file();
    Ok(folders
        .filter(|path| lacks(path))
        .map(|path| Complaint {
            place: path.display().to_string(),
            message: "a protocol's folder has a README.md".to_owned(),
        })
        .collect())
}
