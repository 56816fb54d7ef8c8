//! Kafka's groups as the API shows them, and what its body looks like.

use port::{
    Code, Doing, GroupMember, GroupMove, GroupPartition, GroupReset, GroupState, GroupSummary,
    Refusal,
};
use serde::{Deserialize, Serialize};
use types::consumer::Start;
use types::{Partition, TimestampMs, TopicName};
use utoipa::ToSchema;

/// Partitions that one request names at most.
const PARTITIONS_MAX: usize = 10_000;

#[derive(Serialize, ToSchema)]
#[schema(as = KafkaGroup)]
pub(crate) struct KafkaGroupView {
    name: String,
    /// `classic`, or `consumer` (KIP-848).
    kind: &'static str,
    /// As Kafka calls it: `Empty`, `Stable`, `PreparingRebalance`, `Reconciling` ...
    state: &'static str,
    /// How partitions are given out; empty while nobody is in it.
    assignor: String,
    members: usize,
}

impl From<GroupSummary> for KafkaGroupView {
    fn from(it: GroupSummary) -> KafkaGroupView {
        let GroupSummary { name, kind, state, assignor, members } = it;
        KafkaGroupView { name, kind, state, assignor, members }
    }
}

#[derive(Serialize, ToSchema)]
pub(crate) struct KafkaGroupList {
    pub(crate) groups: Vec<KafkaGroupView>,
    /// For the next page; `null` on the last.
    pub(crate) next_cursor: Option<String>,
}

#[derive(Serialize, ToSchema)]
#[schema(as = KafkaGroupMember)]
pub(crate) struct MemberView {
    id: String,
    /// Its lasting name (`group.instance.id`), when it has one.
    instance: Option<String>,
    client: String,
    address: String,
    /// How many partitions it reads.
    partitions: usize,
}

impl From<GroupMember> for MemberView {
    fn from(it: GroupMember) -> MemberView {
        let GroupMember { id, instance, client, address, partitions } = it;
        MemberView { id, instance, client, address, partitions }
    }
}

#[derive(Serialize, ToSchema)]
#[schema(as = KafkaGroupPartition)]
pub(crate) struct PartitionView {
    #[schema(value_type = String)]
    topic: TopicName,
    partition: Partition,
    /// The next offset that the group reads; `null`: it has committed nothing.
    committed: Option<u64>,
    /// Milliseconds since 1970.
    committed_at: Option<TimestampMs>,
    /// The oldest offset kept.
    start: u64,
    /// The next offset to be given.
    end: u64,
    /// Records kept that the group has not read; `null` before its first commit.
    lag: Option<u64>,
    /// The id of the member that reads it.
    member: Option<String>,
}

impl From<GroupPartition> for PartitionView {
    fn from(it: GroupPartition) -> PartitionView {
        let lag = it.lag();
        let GroupPartition { topic, partition, committed, committed_at, start, end, member } = it;
        PartitionView { topic, partition, committed, committed_at, start, end, lag, member }
    }
}

#[derive(Serialize, ToSchema)]
pub(crate) struct KafkaGroupDetails {
    #[serde(flatten)]
    group: KafkaGroupView,
    member_list: Vec<MemberView>,
    /// Those with a member or something committed, in the order of topics and partitions.
    partitions: Vec<PartitionView>,
    /// Of all partitions together.
    lag: u64,
}

impl From<GroupState> for KafkaGroupDetails {
    fn from(state: GroupState) -> KafkaGroupDetails {
        let lag = state.partitions.iter().filter_map(GroupPartition::lag).sum();
        KafkaGroupDetails {
            group: KafkaGroupView::from(state.summary),
            member_list: state.members.into_iter().map(MemberView::from).collect(),
            partitions: state.partitions.into_iter().map(PartitionView::from).collect(),
            lag,
        }
    }
}

#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct KafkaGroupReset {
    /// `earliest`, `latest`, `offset:N` or `time:<milliseconds since 1970>`. An offset outside of
    /// what is kept is taken for the nearest that is, a time behind the last record for the end.
    #[schema(example = "earliest")]
    to: String,
    /// Absent: every topic that the group has committed something of.
    #[serde(default)]
    topic: Option<String>,
    /// Of the topic; absent: all.
    #[serde(default)]
    partitions: Vec<Partition>,
    /// Only says what would be done.
    #[serde(default)]
    dry_run: bool,
}

impl KafkaGroupReset {
    pub(crate) fn wanted(self) -> Result<(GroupReset, Doing), Refusal> {
        let invalid = |message: String| Refusal::new(Code::InvalidRequest, message);
        let to = self.to.parse::<Start>().map_err(|_| {
            invalid("`to` cannot be read".to_owned())
                .field("to")
                .hint("earliest, latest, offset:N or time:<milliseconds since 1970>")
        })?;
        if self.partitions.len() > PARTITIONS_MAX {
            return Err(invalid(format!("at most {PARTITIONS_MAX} at once")).field("partitions"));
        }
        let topic = self.topic.as_deref().map(TopicName::parse).transpose();
        let topic = topic
            .map_err(|bad| Refusal::new(Code::InvalidTopic, bad.to_string()).field("topic"))?;
        let doing = if self.dry_run { Doing::Try } else { Doing::ForReal };
        Ok((GroupReset { topic, partitions: self.partitions, to }, doing))
    }
}

#[derive(Serialize, ToSchema)]
#[schema(as = KafkaGroupMove)]
pub(crate) struct MoveView {
    #[schema(value_type = String)]
    topic: TopicName,
    partition: Partition,
    /// `null`: nothing was committed.
    from: Option<u64>,
    to: u64,
}

#[derive(Serialize, ToSchema)]
pub(crate) struct KafkaGroupMoved {
    moves: Vec<MoveView>,
    /// Nothing was done.
    dry_run: bool,
}

impl KafkaGroupMoved {
    pub(crate) fn new(moves: Vec<GroupMove>, doing: Doing) -> KafkaGroupMoved {
        let view =
            |GroupMove { topic, partition, from, to }| MoveView { topic, partition, from, to };
        KafkaGroupMoved {
            moves: moves.into_iter().map(view).collect(),
            dry_run: doing == Doing::Try,
        }
    }
}
