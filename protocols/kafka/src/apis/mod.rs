//! What is answered to each request, a file per kind. Each takes the message and gives the message;
//! the bytes around them are made here.

mod acls;
pub mod api_versions;
mod cluster;
mod configs;
pub mod consumer_group;
mod credentials;
mod delegation_tokens;
mod describe;
mod fetch;
pub mod group;
mod list_offsets;
mod metadata;
pub mod offsets;
mod partitions;
mod permitted;
mod placement;
mod produce;
mod producer;
mod quotas;
pub mod settings;
mod topics;
mod transactions;

use crate::call::Call;
use crate::codec::Frame;
use crate::messages::Api;
use crate::session::{encode, encode_large};
use crate::wire::{Form, Input, Malformed, read_request};
use port::{Code, Refusal};
use std::time::Duration;

macro_rules! serve {
    ($call:ident, $api:ident, $form:ident, $correlation:ident, $body:ident, $throttle:ident;
        $($name:ident => $handler:path,)*) => {
        match $api {
            $(Api::$name => {
                let request = read_request(&mut $body, $form).map_err(|bad| malformed($api, bad))?;
                let mut answer = $handler($call, request).await;
                answer.throttle_time_ms = $throttle;
                Ok(Some(encode($correlation, $api, $form, &answer)))
            })*
            Api::Produce => {
                produce($call, ($form, $correlation), &mut $body, $throttle).await
            }
            Api::Fetch => {
                let request = read_request(&mut $body, $form).map_err(|bad| malformed($api, bad))?;
                let (mut answer, bytes) = fetch::answer($call, request).await;
                answer.throttle_time_ms = $throttle;
                Ok(Some(encode_large($correlation, $api, $form, &answer, bytes)))
            }
            // The session answers them, signed in or not.
            Api::ApiVersions | Api::SaslHandshake | Api::SaslAuthenticate => {
                Err(Refusal::internal(&"a request of the session's own"))
            }
        }
    };
}

/// The answer's frame; `None` when the client wants none.
///
/// # Errors
/// When the request cannot be understood, and the connection must end.
pub async fn answer(
    call: &Call,
    api: Api,
    correlation: i32,
    mut body: Input,
    throttle: Duration,
) -> Result<Option<Frame>, Refusal> {
    let throttle_ms = i32::try_from(throttle.as_millis()).unwrap_or(i32::MAX);
    let form = Form { version: call.version, is_flexible: api.is_flexible(call.version) };
    serve! {
        call, api, form, correlation, body, throttle_ms;
        Metadata => metadata::answer,
        ListOffsets => list_offsets::answer,
        OffsetForLeaderEpoch => list_offsets::of_epochs,
        InitProducerId => producer::init,
        FindCoordinator => group::find_coordinator,
        JoinGroup => group::join,
        SyncGroup => group::sync,
        Heartbeat => group::heartbeat,
        LeaveGroup => group::leave,
        DescribeGroups => group::describe,
        ListGroups => group::list,
        DeleteGroups => group::delete,
        ConsumerGroupHeartbeat => consumer_group::heartbeat,
        ConsumerGroupDescribe => consumer_group::describe,
        OffsetCommit => offsets::commit,
        OffsetFetch => offsets::fetch,
        OffsetDelete => offsets::delete,
        CreateTopics => topics::create,
        DeleteTopics => topics::delete,
        DescribeConfigs => configs::describe,
        IncrementalAlterConfigs => configs::alter_some,
        AlterConfigs => configs::alter_all,
        DescribeCluster => cluster::describe,
        AddPartitionsToTxn => transactions::add_partitions,
        AddOffsetsToTxn => transactions::add_offsets,
        TxnOffsetCommit => transactions::commit_offsets,
        EndTxn => transactions::end,
        DescribeTransactions => transactions::describe,
        ListTransactions => transactions::list,
        CreatePartitions => partitions::create,
        DeleteRecords => partitions::delete_records,
        DescribeTopicPartitions => describe::topic_partitions,
        DescribeLogDirs => describe::log_dirs,
        DescribeProducers => describe::producers,
        ListConfigResources => configs::list,
        AlterReplicaLogDirs => placement::move_replicas,
        ElectLeaders => placement::elect,
        AlterPartitionReassignments => placement::reassign,
        ListPartitionReassignments => placement::reassignments,
        DescribeAcls => acls::describe,
        CreateAcls => acls::create,
        DeleteAcls => acls::delete,
        DescribeUserScramCredentials => credentials::describe,
        AlterUserScramCredentials => credentials::alter,
        CreateDelegationToken => delegation_tokens::create,
        RenewDelegationToken => delegation_tokens::renew,
        ExpireDelegationToken => delegation_tokens::expire,
        DescribeDelegationToken => delegation_tokens::describe,
        DescribeClientQuotas => quotas::describe,
        AlterClientQuotas => quotas::alter,
    }
}

async fn produce(
    call: &Call,
    (form, correlation): (Form, i32),
    body: &mut Input,
    throttle_ms: i32,
) -> Result<Option<Frame>, Refusal> {
    let request = read_request(body, form).map_err(|bad| malformed(Api::Produce, bad))?;
    match produce::answer(call, request).await? {
        Some(mut answer) => {
            answer.throttle_time_ms = throttle_ms;
            Ok(Some(encode(correlation, Api::Produce, form, &answer)))
        }
        None => Ok(None),
    }
}

fn malformed(api: Api, bad: Malformed) -> Refusal {
    Refusal::new(Code::InvalidRequest, format!("{}: {bad}", api.name()))
}
