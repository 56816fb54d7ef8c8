//! Where partitions lie and who leads them: on the one broker, which leads all. What tools ask and
//! order about that is answered as by any cluster with one broker and one directory.

use crate::call::{Call, NODE_ID, parse_topic};
use crate::errors;
use crate::messages::alter_partition_reassignments::{
    AlterPartitionReassignmentsRequest, AlterPartitionReassignmentsResponse, ReassignablePartition,
    ReassignablePartitionResponse, ReassignableTopicResponse,
};
use crate::messages::alter_replica_log_dirs::{
    AlterReplicaLogDirPartitionResult, AlterReplicaLogDirTopicResult, AlterReplicaLogDirsRequest,
    AlterReplicaLogDirsResponse,
};
use crate::messages::elect_leaders::{
    ElectLeadersRequest, ElectLeadersResponse, PartitionResult, ReplicaElectionResult,
};
use crate::messages::list_partition_reassignments::{
    ListPartitionReassignmentsRequest, ListPartitionReassignmentsResponse,
};

/// What the one directory is called: where it really is, is the operator's business.
pub const LOG_DIR: &str = "/mainstem";

const NO_RIGHT: &str = "it takes the right `admin:write`";

/// How many partitions the topic has.
async fn count(call: &Call, name: &str) -> Result<usize, i16> {
    let found = match parse_topic(name) {
        Ok(name) => call.hub.topic(&call.who, &name).await,
        Err(refusal) => Err(refusal),
    };
    found.map(|topic| topic.partitions.len()).map_err(|refusal| errors::of_topic(&refusal))
}

/// The partition, if there is one of this number.
fn check(count: Result<usize, i16>, index: i32) -> Result<(), i16> {
    match (count, usize::try_from(index)) {
        (Ok(count), Ok(index)) if index < count => Ok(()),
        (Ok(_), _) => Err(errors::UNKNOWN_TOPIC_OR_PARTITION),
        (Err(error), _) => Err(error),
    }
}

pub async fn move_replicas(
    call: &Call,
    request: AlterReplicaLogDirsRequest,
) -> AlterReplicaLogDirsResponse {
    let may = call.may_administer();
    let mut results = Vec::new();
    for dir in request.dirs {
        for topic in dir.topics {
            let count = match may {
                Ok(()) => count(call, &topic.name).await,
                Err(error) => Err(error),
            };
            let partitions = topic.partitions.iter().map(|&partition_index| {
                let error_code = match check(count, partition_index) {
                    Ok(()) if dir.path == LOG_DIR => errors::NONE,
                    Ok(()) => errors::LOG_DIR_NOT_FOUND,
                    Err(error) => error,
                };
                AlterReplicaLogDirPartitionResult { partition_index, error_code }
            });
            let partitions = partitions.collect();
            results.push(AlterReplicaLogDirTopicResult { topic_name: topic.name, partitions });
        }
    }
    AlterReplicaLogDirsResponse { results, ..AlterReplicaLogDirsResponse::default() }
}

pub async fn elect(call: &Call, request: ElectLeadersRequest) -> ElectLeadersResponse {
    if let Err(error_code) = call.may_administer() {
        return ElectLeadersResponse { error_code, ..ElectLeadersResponse::default() };
    }
    let mut results = Vec::new();
    // Who asks for all is told of those that have a new leader: none.
    for asked in request.topic_partitions.unwrap_or_default() {
        let count = count(call, &asked.topic).await;
        let partition_result = asked.partitions.iter().map(|&partition_id| {
            let (error_code, message) = match check(count, partition_id) {
                Ok(()) => (errors::ELECTION_NOT_NEEDED, "the only broker leads it"),
                Err(error) => (error, "there is no such partition"),
            };
            PartitionResult { partition_id, error_code, error_message: Some(message.to_owned()) }
        });
        let partition_result = partition_result.collect();
        results.push(ReplicaElectionResult { topic: asked.topic, partition_result });
    }
    let replica_election_results = results;
    ElectLeadersResponse { replica_election_results, ..ElectLeadersResponse::default() }
}

pub async fn reassign(
    call: &Call,
    request: AlterPartitionReassignmentsRequest,
) -> AlterPartitionReassignmentsResponse {
    if let Err(error_code) = call.may_administer() {
        return AlterPartitionReassignmentsResponse {
            error_code,
            error_message: Some(NO_RIGHT.to_owned()),
            ..AlterPartitionReassignmentsResponse::default()
        };
    }
    let mut responses = Vec::with_capacity(request.topics.len());
    for topic in request.topics {
        let count = count(call, &topic.name).await;
        let partitions = topic.partitions.iter().map(|asked| {
            let error = check(count, asked.partition_index)
                .map_err(|error| (error, "there is no such partition"))
                .and_then(|()| place(asked));
            let (error_code, error_message) = match error {
                Ok(()) => (errors::NONE, None),
                Err((error, message)) => (error, Some(message.to_owned())),
            };
            let partition_index = asked.partition_index;
            ReassignablePartitionResponse { partition_index, error_code, error_message }
        });
        let partitions = partitions.collect();
        responses.push(ReassignableTopicResponse { name: topic.name, partitions });
    }
    AlterPartitionReassignmentsResponse {
        allow_replication_factor_change: request.allow_replication_factor_change,
        responses,
        ..AlterPartitionReassignmentsResponse::default()
    }
}

fn place(asked: &ReassignablePartition) -> Result<(), (i16, &'static str)> {
    match asked.replicas.as_deref() {
        // It is there.
        Some([NODE_ID]) => Ok(()),
        Some(_) => {
            Err((errors::INVALID_REPLICA_ASSIGNMENT, "there is one broker, and its number is 1"))
        }
        None => Err((errors::NO_REASSIGNMENT_IN_PROGRESS, "nothing is under way")),
    }
}

pub async fn reassignments(
    call: &Call,
    _request: ListPartitionReassignmentsRequest,
) -> ListPartitionReassignmentsResponse {
    match call.may_administer() {
        // Nothing moves with one broker.
        Ok(()) => ListPartitionReassignmentsResponse::default(),
        Err(error_code) => ListPartitionReassignmentsResponse {
            error_code,
            error_message: Some(NO_RIGHT.to_owned()),
            ..ListPartitionReassignmentsResponse::default()
        },
    }
}
