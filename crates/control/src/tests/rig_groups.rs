//! Groups by hand, of one project each: what the admin API asks for, and nothing more.

use parking_lot::Mutex;
use port::{
    Answer, Code, Doing, GroupCaller, GroupLag, GroupMember, GroupMove, GroupPartition, GroupReset,
    GroupState, GroupSummary, Groups, Refusal,
};
use std::collections::BTreeMap;
use types::consumer::Start;
use types::{Offset, ProjectId, TopicName};

/// Where each partition of a group's topic ends.
pub(super) const END: Offset = 10;

/// Members, and what is committed of partition 0.
#[derive(Clone)]
pub(super) struct RigGroup {
    pub(super) members: usize,
    pub(super) committed: Offset,
}

#[derive(Default)]
pub(super) struct RigGroups(pub(super) Mutex<BTreeMap<(ProjectId, String), RigGroup>>);

fn missing() -> Refusal {
    Refusal::new(Code::NotFound, "there is no such group")
}

fn busy() -> Refusal {
    Refusal::new(Code::Conflict, "the group has members")
}

fn orders() -> TopicName {
    TopicName::parse("orders").expect("a name")
}

fn summary(name: &str, group: &RigGroup) -> GroupSummary {
    let state = if group.members > 0 { "Stable" } else { "Empty" };
    let (name, assignor) = (name.to_owned(), String::new());
    GroupSummary { name, kind: "classic", state, assignor, members: group.members }
}

fn ready<'a, T: Send + 'a>(answer: Result<T, Refusal>) -> Answer<'a, T> {
    Box::pin(std::future::ready(answer))
}

impl RigGroups {
    fn find(&self, caller: &GroupCaller, name: &str) -> Result<RigGroup, Refusal> {
        let key = (caller.who.project(), name.to_owned());
        self.0.lock().get(&key).cloned().ok_or_else(missing)
    }
}

impl Groups for RigGroups {
    fn list<'a>(
        &'a self,
        caller: &'a GroupCaller,
        after: Option<&'a str>,
        limit: usize,
    ) -> Answer<'a, Vec<GroupSummary>> {
        let groups = self.0.lock();
        let own = groups.iter().filter(|((project, name), _)| {
            *project == caller.who.project() && after.is_none_or(|after| &**name > after)
        });
        ready(Ok(own.take(limit).map(|((_, name), group)| summary(name, group)).collect()))
    }

    fn get<'a>(&'a self, caller: &'a GroupCaller, name: &'a str) -> Answer<'a, GroupState> {
        ready(self.find(caller, name).map(|group| {
            GroupState {
                summary: summary(name, &group),
                members: (0..group.members)
                    .map(|index| GroupMember {
                        id: format!("m-{index}"),
                        instance: None,
                        client: "c".to_owned(),
                        address: "127.0.0.1".to_owned(),
                        partitions: 1,
                    })
                    .collect(),
                partitions: vec![GroupPartition {
                    topic: orders(),
                    partition: 0,
                    committed: Some(group.committed),
                    committed_at: Some(0),
                    start: 0,
                    end: END,
                    member: (group.members > 0).then(|| "m-0".to_owned()),
                }],
            }
        }))
    }

    fn delete<'a>(&'a self, caller: &'a GroupCaller, name: &'a str) -> Answer<'a, ()> {
        ready(self.find(caller, name).and_then(|group| match group.members {
            0 => {
                self.0.lock().remove(&(caller.who.project(), name.to_owned()));
                Ok(())
            }
            _ => Err(busy()),
        }))
    }

    fn reset<'a>(
        &'a self,
        caller: &'a GroupCaller,
        name: &'a str,
        reset: &'a GroupReset,
        doing: Doing,
    ) -> Answer<'a, Vec<GroupMove>> {
        ready(self.find(caller, name).and_then(|group| {
            if group.members > 0 {
                return Err(busy());
            }
            let to = match reset.to {
                Start::Earliest | Start::Time(_) => 0,
                Start::Latest => END,
                Start::Offset(offset) => offset,
            };
            if doing == Doing::ForReal {
                let key = (caller.who.project(), name.to_owned());
                self.0.lock().insert(key, RigGroup { committed: to, ..group.clone() });
            }
            let from = Some(group.committed);
            Ok(vec![GroupMove { topic: orders(), partition: 0, from, to }])
        }))
    }

    fn projects(&self) -> Vec<ProjectId> {
        self.0.lock().keys().map(|(project, _)| *project).collect()
    }

    fn lags<'a>(&'a self, _: &'a GroupCaller, _: usize) -> Answer<'a, Vec<GroupLag>> {
        ready(Ok(Vec::new()))
    }
}
