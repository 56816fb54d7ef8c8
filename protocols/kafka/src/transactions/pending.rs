//! Offsets that wait for the end of their transaction: until then whoever takes a group over must
//! not go by what was committed before (KIP-447).

use crate::groups::At;
use parking_lot::Mutex;
use std::collections::{BTreeSet, HashMap};
use std::time::Duration;
use types::ProjectId;

struct Waiting {
    group: String,
    places: BTreeSet<At>,
    /// When the log gives the transaction up; `None` while it is being ended.
    until: Option<Duration>,
}

/// By project and transactional id.
#[derive(Default)]
pub struct Pending(Mutex<HashMap<ProjectId, HashMap<String, Vec<Waiting>>>>);

impl Pending {
    pub fn stage<'a>(
        &self,
        (project, id): (ProjectId, &str),
        group: &str,
        places: impl Iterator<Item = &'a At>,
        until: Duration,
    ) {
        let mut all = self.0.lock();
        let of_id = all.entry(project).or_default().entry(id.to_owned()).or_default();
        let places = places.cloned();
        match of_id.iter_mut().find(|waiting| waiting.group == group) {
            Some(waiting) => waiting.places.extend(places),
            None => of_id.push(Waiting {
                group: group.to_owned(),
                places: places.collect(),
                until: Some(until),
            }),
        }
    }

    /// They wait now for as long as the end takes.
    pub fn end(&self, project: ProjectId, id: &str) {
        self.set_until(project, id, None);
    }

    /// The end was not possible yet.
    pub fn go_on(&self, project: ProjectId, id: &str, until: Duration) {
        self.set_until(project, id, Some(until));
    }

    fn set_until(&self, project: ProjectId, id: &str, until: Option<Duration>) {
        if let Some(of_id) = self.0.lock().get_mut(&project).and_then(|it| it.get_mut(id)) {
            of_id.iter_mut().for_each(|waiting| waiting.until = until);
        }
    }

    pub fn clear(&self, project: ProjectId, id: &str) {
        let mut all = self.0.lock();
        if let Some(of_project) = all.get_mut(&project) {
            of_project.remove(id);
            if of_project.is_empty() {
                all.remove(&project);
            }
        }
    }

    /// Places of the group for which an offset waits.
    pub fn of_group(&self, project: ProjectId, group: &str, now: Duration) -> BTreeSet<At> {
        let all = self.0.lock();
        let waiting = all.get(&project).into_iter().flat_map(|it| it.values()).flatten();
        let live = |it: &&Waiting| it.group == group && it.until.is_none_or(|until| now < until);
        waiting.filter(live).flat_map(|it| it.places.iter().cloned()).collect()
    }
}
