//! Cursors that stand in history that is no more. Offsets are never given twice and a topic that is
//! created anew has another number, so a cursor never stands silently among other records: either
//! all before it is what it was, or its reader is told what is not.

use crate::node::Node;
use crate::shard::mailbox::Lost;
use crate::topic::Topic;
use port::{Code, Loss, Refusal};
use std::sync::Arc;
use types::filter::TopicPart;
use types::{Filter, Position, Positions};

impl Node {
    /// The positions of a subscriber's cursors, set back where history was lost, and what was.
    pub(crate) fn without_lost(
        &self,
        topics: &[Arc<Topic>],
        filter: &Filter,
        positions: Positions,
    ) -> (Positions, Vec<Lost>) {
        let mut lost = self.lost_of(&positions);
        // A cursor may be of several topics, of which a subscription to one follows one: what
        // became of the others is not its news, unless its own is missing.
        if let (TopicPart::Exact(_), [topic]) = (&filter.topic, topics) {
            let is_named = positions.iter().any(|at| at.topic == topic.id);
            lost.retain(|it| it.topic == topic.id || (!is_named && it.why == Loss::TopicGone));
        }
        let set_back = |at: Position| {
            let found = lost.iter().find(|it| {
                (it.topic, it.partition) == (at.topic, at.partition) && it.why == Loss::HistoryLost
            });
            Position { next: found.map_or(at.next, |it| it.from), ..at }
        };
        let positions = positions.iter().map(set_back).collect();
        (positions, lost)
    }

    /// A bounded read has no way to tell of a loss beside its records, so it is refused.
    pub(crate) fn refuse_lost(&self, topic: &Topic, positions: &Positions) -> Result<(), Refusal> {
        let is_named = positions.iter().any(|at| at.topic == topic.id);
        let lost = self.lost_of(positions).into_iter().find(|it| match it.why {
            Loss::TopicGone => !is_named,
            Loss::HistoryLost | Loss::Expired => it.topic == topic.id,
        });
        let message = match lost {
            None => return Ok(()),
            Some(Lost { why: Loss::TopicGone, .. }) => {
                "the topic of the cursor was deleted; the one of this name is another".to_owned()
            }
            Some(Lost { partition, from, to, .. }) => format!(
                "the records {from} to {} of partition {partition}, which the cursor has passed, \
                 are no more: the log was set back",
                to.saturating_sub(1),
            ),
        };
        Err(Refusal::new(Code::HistoryLost, message)
            .field("from")
            .hint("begin anew with `earliest`, `offset:N` or `latest`"))
    }

    fn lost_of(&self, positions: &Positions) -> Vec<Lost> {
        let lost = |Position { topic, partition, next }| {
            if self.catalogue.by_id(topic).is_none() {
                let why = Loss::TopicGone;
                return Some(Lost { topic, partition, from: next, to: next, why });
            }
            let from = self.engine.lost_behind(topic, partition, next)?;
            Some(Lost { topic, partition, from, to: next, why: Loss::HistoryLost })
        };
        positions.iter().filter_map(lost).collect()
    }
}
