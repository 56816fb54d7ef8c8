//! How far Kafka's groups are behind, as figures: looked at now and then, for as many of them as
//! the metrics store can take.

use crate::Control;
use identity::Authenticator;
use port::metric::KAFKA_GROUP_LAG;
use port::{GroupCaller, Groups, Hub, Refusal};
use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;
use stdx::Clock;
use tokio::sync::watch;
use types::{ProjectId, TopicName};

const LOOK_EVERY: Duration = Duration::from_secs(10);
/// Groups and topics with figures of their own since the start; those beyond are left out, so that
/// customers cannot swamp the metrics store.
const LABELLED_MAX: usize = 500;

/// What one figure is about.
type Labelled = (ProjectId, String, TopicName);

/// One per node.
pub struct GroupFigures {
    groups: Option<Arc<dyn Groups>>,
    authenticator: Arc<Authenticator>,
    hub: Arc<dyn Hub>,
    clock: Arc<dyn Clock>,
    told: BTreeSet<Labelled>,
}

impl GroupFigures {
    pub fn new(control: &Control) -> GroupFigures {
        GroupFigures {
            groups: control.groups.clone(),
            authenticator: Arc::clone(&control.authenticator),
            hub: Arc::clone(&control.hub),
            clock: Arc::clone(&control.clock),
            told: BTreeSet::new(),
        }
    }

    /// Looks again and again until told to stop.
    pub async fn run(mut self, mut stopped: watch::Receiver<()>) {
        let Some(groups) = self.groups.take() else { return };
        loop {
            tokio::select! {
                () = tokio::time::sleep(LOOK_EVERY) => {}
                _ = stopped.changed() => return,
            }
            let (mut seen, mut known) = (BTreeSet::new(), BTreeSet::new());
            for project in groups.projects() {
                match self.look(&*groups, project, &mut seen).await {
                    Ok(true) => drop(known.insert(project)),
                    // Some of its figures stay as they were.
                    Ok(false) => {}
                    Err(refusal) => {
                        tracing::debug!(%project, %refusal, "how far its groups are is not known");
                    }
                }
            }
            // What is no more is behind in nothing.
            for gone in self.told.difference(&seen).filter(|it| known.contains(&it.0)) {
                set(gone, 0);
            }
        }
    }

    /// Answers whether all of the project's groups were looked at.
    async fn look(
        &mut self,
        groups: &dyn Groups,
        project: ProjectId,
        seen: &mut BTreeSet<Labelled>,
    ) -> Result<bool, Refusal> {
        let who = self.authenticator.platform(project).await?;
        let (hub, clock) = (Arc::clone(&self.hub), Arc::clone(&self.clock));
        let caller = GroupCaller { hub, who, clock };
        let lags = groups.lags(&caller, LABELLED_MAX).await?;
        let is_all = lags.len() < LABELLED_MAX;
        for it in lags {
            let labelled = (project, it.group, it.topic);
            if !self.told.contains(&labelled) && self.told.len() >= LABELLED_MAX {
                continue;
            }
            set(&labelled, it.lag);
            self.told.insert(labelled.clone());
            seen.insert(labelled);
        }
        Ok(is_all)
    }
}

fn set((project, group, topic): &Labelled, lag: u64) {
    let labels =
        [("project", project.to_string()), ("group", group.clone()), ("topic", topic.to_string())];
    metrics::gauge!(KAFKA_GROUP_LAG, &labels).set(lag as f64);
}
