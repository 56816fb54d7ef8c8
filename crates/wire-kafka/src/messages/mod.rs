//! The messages of the Kafka protocol that are served, each as it stands on the wire in all its
//! versions (the protocol guide, "The Messages"), and the table of what is served.

pub mod add_offsets_to_txn;
pub mod add_partitions_to_txn;
pub mod alter_client_quotas;
pub mod alter_configs;
pub mod alter_partition_reassignments;
pub mod alter_replica_log_dirs;
pub mod alter_user_scram_credentials;
pub mod api_versions;
pub mod consumer_group_describe;
pub mod consumer_group_heartbeat;
pub mod create_acls;
pub mod create_delegation_token;
pub mod create_partitions;
pub mod create_topics;
pub mod delete_acls;
pub mod delete_groups;
pub mod delete_records;
pub mod delete_topics;
pub mod describe_acls;
pub mod describe_client_quotas;
pub mod describe_cluster;
pub mod describe_configs;
pub mod describe_delegation_token;
pub mod describe_groups;
pub mod describe_log_dirs;
pub mod describe_producers;
pub mod describe_topic_partitions;
pub mod describe_transactions;
pub mod describe_user_scram_credentials;
pub mod elect_leaders;
pub mod end_txn;
pub mod expire_delegation_token;
pub mod fetch;
pub mod find_coordinator;
pub mod heartbeat;
pub mod incremental_alter_configs;
pub mod init_producer_id;
pub mod join_group;
pub mod leave_group;
pub mod list_config_resources;
pub mod list_groups;
pub mod list_offsets;
pub mod list_partition_reassignments;
pub mod list_transactions;
pub mod metadata;
pub mod offset_commit;
pub mod offset_delete;
pub mod offset_fetch;
pub mod offset_for_leader_epoch;
pub mod produce;
pub mod renew_delegation_token;
pub mod sasl_authenticate;
pub mod sasl_handshake;
pub mod sync_group;
pub mod txn_offset_commit;

use crate::wire::{Form, Input, Malformed, Wire, read_whole};
use bytes::Bytes;
use std::ops::RangeInclusive;

/// What a client asks, and what it is answered.
pub trait Request: Wire {
    const API: Api;
    type Answer: Wire;
}

macro_rules! apis {
    ($($name:ident = $key:literal: $versions:expr $(, flexible $flexible:literal)?;
        $request:ty => $response:ty;)*) => {
        /// What can be asked. The numbers are Kafka's.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
        pub enum Api { $($name,)* }

        impl Api {
            pub const ALL: &'static [Api] = &[$(Api::$name,)*];

            pub fn from_key(key: i16) -> Option<Api> {
                match key {
                    $($key => Some(Api::$name),)*
                    _ => None,
                }
            }

            pub fn key(self) -> i16 {
                match self { $(Api::$name => $key,)* }
            }

            pub fn name(self) -> &'static str {
                match self { $(Api::$name => stringify!($name),)* }
            }

            /// The versions that are answered.
            pub fn versions(self) -> RangeInclusive<i16> {
                match self { $(Api::$name => $versions,)* }
            }

            /// Reads a request of this kind, all of it, and writes it again: for tests, and for
            /// whoever wants to know whether bytes are one.
            ///
            /// # Errors
            /// When they are none.
            pub fn request_again(
                self,
                input: &mut Input,
                form: Form,
            ) -> Result<Bytes, Malformed> {
                match self {
                    $(Api::$name => {
                        Ok(read_whole::<$request>(input, form)?.to_bytes(form))
                    })*
                }
            }

            /// A request and an answer that say nothing.
            #[cfg(test)]
            pub fn defaults(self, form: Form) -> [Bytes; 2] {
                match self {
                    $(Api::$name => {
                        let (request, response) = (<$request>::default(), <$response>::default());
                        [request.to_bytes(form), response.to_bytes(form)]
                    })*
                }
            }

            /// The same for an answer.
            ///
            /// # Errors
            /// When they are none.
            pub fn answer_again(
                self,
                input: &mut Input,
                form: Form,
            ) -> Result<Bytes, Malformed> {
                match self {
                    $(Api::$name => {
                        Ok(read_whole::<$response>(input, form)?.to_bytes(form))
                    })*
                }
            }

            /// The first version with compact lengths and tagged fields (KIP-482).
            fn flexible_from(self) -> i16 {
                match self { $(Api::$name => apis!(@flexible $($flexible)?),)* }
            }
        }

        $(impl Request for $request {
            const API: Api = Api::$name;
            type Answer = $response;
        })*
    };
    (@flexible) => { i16::MAX };
    (@flexible $flexible:literal) => { $flexible };
}

apis! {
    Produce = 0: 3..=13, flexible 9;
        produce::ProduceRequest => produce::ProduceResponse;
    Fetch = 1: 4..=17, flexible 12;
        fetch::FetchRequest => fetch::FetchResponse;
    ListOffsets = 2: 1..=10, flexible 6;
        list_offsets::ListOffsetsRequest => list_offsets::ListOffsetsResponse;
    Metadata = 3: 0..=13, flexible 9;
        metadata::MetadataRequest => metadata::MetadataResponse;
    OffsetCommit = 8: 2..=10, flexible 8;
        offset_commit::OffsetCommitRequest => offset_commit::OffsetCommitResponse;
    OffsetFetch = 9: 1..=10, flexible 6;
        offset_fetch::OffsetFetchRequest => offset_fetch::OffsetFetchResponse;
    FindCoordinator = 10: 0..=6, flexible 3;
        find_coordinator::FindCoordinatorRequest => find_coordinator::FindCoordinatorResponse;
    JoinGroup = 11: 0..=9, flexible 6;
        join_group::JoinGroupRequest => join_group::JoinGroupResponse;
    Heartbeat = 12: 0..=4, flexible 4;
        heartbeat::HeartbeatRequest => heartbeat::HeartbeatResponse;
    LeaveGroup = 13: 0..=5, flexible 4;
        leave_group::LeaveGroupRequest => leave_group::LeaveGroupResponse;
    SyncGroup = 14: 0..=5, flexible 4;
        sync_group::SyncGroupRequest => sync_group::SyncGroupResponse;
    DescribeGroups = 15: 0..=6, flexible 5;
        describe_groups::DescribeGroupsRequest => describe_groups::DescribeGroupsResponse;
    ListGroups = 16: 0..=5, flexible 3;
        list_groups::ListGroupsRequest => list_groups::ListGroupsResponse;
    SaslHandshake = 17: 0..=1;
        sasl_handshake::SaslHandshakeRequest => sasl_handshake::SaslHandshakeResponse;
    ApiVersions = 18: 0..=4, flexible 3;
        api_versions::ApiVersionsRequest => api_versions::ApiVersionsResponse;
    CreateTopics = 19: 2..=7, flexible 5;
        create_topics::CreateTopicsRequest => create_topics::CreateTopicsResponse;
    DeleteTopics = 20: 1..=6, flexible 4;
        delete_topics::DeleteTopicsRequest => delete_topics::DeleteTopicsResponse;
    DeleteRecords = 21: 0..=2, flexible 2;
        delete_records::DeleteRecordsRequest => delete_records::DeleteRecordsResponse;
    InitProducerId = 22: 0..=5, flexible 2;
        init_producer_id::InitProducerIdRequest => init_producer_id::InitProducerIdResponse;
    OffsetForLeaderEpoch = 23: 2..=4, flexible 4;
        offset_for_leader_epoch::OffsetForLeaderEpochRequest
        => offset_for_leader_epoch::OffsetForLeaderEpochResponse;
    AddPartitionsToTxn = 24: 0..=3, flexible 3;
        add_partitions_to_txn::AddPartitionsToTxnRequest
        => add_partitions_to_txn::AddPartitionsToTxnResponse;
    AddOffsetsToTxn = 25: 0..=4, flexible 3;
        add_offsets_to_txn::AddOffsetsToTxnRequest => add_offsets_to_txn::AddOffsetsToTxnResponse;
    EndTxn = 26: 0..=5, flexible 3;
        end_txn::EndTxnRequest => end_txn::EndTxnResponse;
    TxnOffsetCommit = 28: 0..=5, flexible 3;
        txn_offset_commit::TxnOffsetCommitRequest => txn_offset_commit::TxnOffsetCommitResponse;
    DescribeAcls = 29: 1..=3, flexible 2;
        describe_acls::DescribeAclsRequest => describe_acls::DescribeAclsResponse;
    CreateAcls = 30: 1..=3, flexible 2;
        create_acls::CreateAclsRequest => create_acls::CreateAclsResponse;
    DeleteAcls = 31: 1..=3, flexible 2;
        delete_acls::DeleteAclsRequest => delete_acls::DeleteAclsResponse;
    DescribeConfigs = 32: 1..=4, flexible 4;
        describe_configs::DescribeConfigsRequest => describe_configs::DescribeConfigsResponse;
    AlterConfigs = 33: 0..=2, flexible 2;
        alter_configs::AlterConfigsRequest => alter_configs::AlterConfigsResponse;
    AlterReplicaLogDirs = 34: 1..=2, flexible 2;
        alter_replica_log_dirs::AlterReplicaLogDirsRequest
        => alter_replica_log_dirs::AlterReplicaLogDirsResponse;
    DescribeLogDirs = 35: 1..=4, flexible 2;
        describe_log_dirs::DescribeLogDirsRequest => describe_log_dirs::DescribeLogDirsResponse;
    SaslAuthenticate = 36: 0..=2, flexible 2;
        sasl_authenticate::SaslAuthenticateRequest => sasl_authenticate::SaslAuthenticateResponse;
    CreatePartitions = 37: 0..=3, flexible 2;
        create_partitions::CreatePartitionsRequest => create_partitions::CreatePartitionsResponse;
    CreateDelegationToken = 38: 1..=3, flexible 2;
        create_delegation_token::CreateDelegationTokenRequest
        => create_delegation_token::CreateDelegationTokenResponse;
    RenewDelegationToken = 39: 1..=2, flexible 2;
        renew_delegation_token::RenewDelegationTokenRequest
        => renew_delegation_token::RenewDelegationTokenResponse;
    ExpireDelegationToken = 40: 1..=2, flexible 2;
        expire_delegation_token::ExpireDelegationTokenRequest
        => expire_delegation_token::ExpireDelegationTokenResponse;
    DescribeDelegationToken = 41: 1..=3, flexible 2;
        describe_delegation_token::DescribeDelegationTokenRequest
        => describe_delegation_token::DescribeDelegationTokenResponse;
    DeleteGroups = 42: 0..=2, flexible 2;
        delete_groups::DeleteGroupsRequest => delete_groups::DeleteGroupsResponse;
    ElectLeaders = 43: 0..=2, flexible 2;
        elect_leaders::ElectLeadersRequest => elect_leaders::ElectLeadersResponse;
    IncrementalAlterConfigs = 44: 0..=1, flexible 1;
        incremental_alter_configs::IncrementalAlterConfigsRequest
        => incremental_alter_configs::IncrementalAlterConfigsResponse;
    AlterPartitionReassignments = 45: 0..=1, flexible 0;
        alter_partition_reassignments::AlterPartitionReassignmentsRequest
        => alter_partition_reassignments::AlterPartitionReassignmentsResponse;
    ListPartitionReassignments = 46: 0..=0, flexible 0;
        list_partition_reassignments::ListPartitionReassignmentsRequest
        => list_partition_reassignments::ListPartitionReassignmentsResponse;
    OffsetDelete = 47: 0..=0;
        offset_delete::OffsetDeleteRequest => offset_delete::OffsetDeleteResponse;
    DescribeClientQuotas = 48: 0..=1, flexible 1;
        describe_client_quotas::DescribeClientQuotasRequest
        => describe_client_quotas::DescribeClientQuotasResponse;
    AlterClientQuotas = 49: 0..=1, flexible 1;
        alter_client_quotas::AlterClientQuotasRequest
        => alter_client_quotas::AlterClientQuotasResponse;
    DescribeUserScramCredentials = 50: 0..=0, flexible 0;
        describe_user_scram_credentials::DescribeUserScramCredentialsRequest
        => describe_user_scram_credentials::DescribeUserScramCredentialsResponse;
    AlterUserScramCredentials = 51: 0..=0, flexible 0;
        alter_user_scram_credentials::AlterUserScramCredentialsRequest
        => alter_user_scram_credentials::AlterUserScramCredentialsResponse;
    DescribeCluster = 60: 0..=2, flexible 0;
        describe_cluster::DescribeClusterRequest => describe_cluster::DescribeClusterResponse;
    DescribeTransactions = 65: 0..=0, flexible 0;
        describe_transactions::DescribeTransactionsRequest
        => describe_transactions::DescribeTransactionsResponse;
    ListTransactions = 66: 0..=2, flexible 0;
        list_transactions::ListTransactionsRequest => list_transactions::ListTransactionsResponse;
    DescribeProducers = 61: 0..=0, flexible 0;
        describe_producers::DescribeProducersRequest
        => describe_producers::DescribeProducersResponse;
    ConsumerGroupHeartbeat = 68: 0..=1, flexible 0;
        consumer_group_heartbeat::ConsumerGroupHeartbeatRequest
        => consumer_group_heartbeat::ConsumerGroupHeartbeatResponse;
    ConsumerGroupDescribe = 69: 0..=1, flexible 0;
        consumer_group_describe::ConsumerGroupDescribeRequest
        => consumer_group_describe::ConsumerGroupDescribeResponse;
    ListConfigResources = 74: 0..=1, flexible 0;
        list_config_resources::ListConfigResourcesRequest
        => list_config_resources::ListConfigResourcesResponse;
    DescribeTopicPartitions = 75: 0..=0, flexible 0;
        describe_topic_partitions::DescribeTopicPartitionsRequest
        => describe_topic_partitions::DescribeTopicPartitionsResponse;
}

impl Api {
    pub fn is_flexible(self, version: i16) -> bool {
        version >= self.flexible_from()
    }

    /// The versions that clients are told of. Old librdkafka does not compress for brokers that do
    /// not seem to know the first Produce (KAFKA-18659), though it never sends that.
    pub fn advertised(self) -> RangeInclusive<i16> {
        match self {
            Api::Produce => 0..=*self.versions().end(),
            _ => self.versions(),
        }
    }
}
