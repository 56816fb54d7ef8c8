//! The conditions of live subscriptions: those that read alike are one, so that a record is judged
//! once for all of them. Bounded per project, because each one costs a look at every record.

use parking_lot::Mutex;
use port::{Code, Refusal};
use rules::Condition;
use std::collections::HashMap;
use std::sync::{Arc, Weak};
use types::ProjectId;

/// Different conditions of one project at a time.
pub const CONDITIONS_PER_PROJECT_MAX: usize = if cfg!(test) { 8 } else { 1_000 };
/// Projects remembered before those without a condition are looked for.
const PROJECTS_KEPT: usize = 256;

/// By their text; gone with the last subscription that uses it.
type OfProject = HashMap<Box<str>, Weak<Condition>>;

#[derive(Default)]
pub struct Conditions(Mutex<HashMap<ProjectId, OfProject>>);

impl Conditions {
    /// The one condition of the project that reads like this text.
    ///
    /// # Errors
    /// `INVALID_FILTER` when it is none, `PROJECT_LIMIT_EXCEEDED` when the project has too many.
    pub fn get(&self, project: ProjectId, text: &str) -> Result<Arc<Condition>, Refusal> {
        let condition = Condition::parse(text)?;
        let canonical = condition.to_string();
        let mut projects = self.0.lock();
        if projects.len() >= PROJECTS_KEPT && !projects.contains_key(&project) {
            projects.retain(|_, known| known.values().any(|one| one.strong_count() > 0));
        }
        let known = projects.entry(project).or_default();
        if let Some(condition) = known.get(&*canonical).and_then(Weak::upgrade) {
            return Ok(condition);
        }
        if known.len() >= CONDITIONS_PER_PROJECT_MAX {
            known.retain(|_, one| one.strong_count() > 0);
        }
        if known.len() >= CONDITIONS_PER_PROJECT_MAX {
            let message = format!(
                "the project's subscriptions have {CONDITIONS_PER_PROJECT_MAX} different conditions"
            );
            return Err(Refusal::new(Code::ProjectLimitExceeded, message)
                .field("where")
                .hint("let clients share conditions, or use topics and keys"));
        }
        let condition = Arc::new(condition);
        known.insert(canonical.into(), Arc::downgrade(&condition));
        Ok(condition)
    }
}
