//! The messages of the Kafka protocol that are served, each as it stands on the wire in all its
//! versions (the protocol guide, "The Messages"), and the table of what is served.

pub mod alter_configs;
pub mod api_versions;
pub mod create_topics;
pub mod delete_groups;
pub mod delete_topics;
pub mod describe_cluster;
pub mod describe_configs;
pub mod describe_groups;
pub mod fetch;
pub mod find_coordinator;
pub mod heartbeat;
pub mod incremental_alter_configs;
pub mod init_producer_id;
pub mod join_group;
pub mod leave_group;
pub mod list_groups;
pub mod list_offsets;
pub mod metadata;
pub mod offset_commit;
pub mod offset_delete;
pub mod offset_fetch;
pub mod offset_for_leader_epoch;
pub mod produce;
pub mod sasl_authenticate;
pub mod sasl_handshake;
pub mod sync_group;

use std::ops::RangeInclusive;

macro_rules! apis {
    ($($name:ident = $key:literal: $versions:expr $(, flexible $flexible:literal)?;)*) => {
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

            /// The first version with compact lengths and tagged fields (KIP-482).
            fn flexible_from(self) -> i16 {
                match self { $(Api::$name => apis!(@flexible $($flexible)?),)* }
            }
        }
    };
    (@flexible) => { i16::MAX };
    (@flexible $flexible:literal) => { $flexible };
}

apis! {
    Produce = 0: 3..=13, flexible 9;
    Fetch = 1: 4..=17, flexible 12;
    ListOffsets = 2: 1..=6, flexible 6;
    Metadata = 3: 0..=13, flexible 9;
    OffsetCommit = 8: 2..=9, flexible 8;
    OffsetFetch = 9: 1..=9, flexible 6;
    FindCoordinator = 10: 0..=6, flexible 3;
    JoinGroup = 11: 0..=9, flexible 6;
    Heartbeat = 12: 0..=4, flexible 4;
    LeaveGroup = 13: 0..=5, flexible 4;
    SyncGroup = 14: 0..=5, flexible 4;
    DescribeGroups = 15: 0..=6, flexible 5;
    ListGroups = 16: 0..=5, flexible 3;
    SaslHandshake = 17: 0..=1;
    ApiVersions = 18: 0..=4, flexible 3;
    CreateTopics = 19: 2..=7, flexible 5;
    DeleteTopics = 20: 1..=6, flexible 4;
    InitProducerId = 22: 0..=5, flexible 2;
    OffsetForLeaderEpoch = 23: 2..=4, flexible 4;
    DescribeConfigs = 32: 1..=4, flexible 4;
    AlterConfigs = 33: 0..=2, flexible 2;
    SaslAuthenticate = 36: 0..=2, flexible 2;
    DeleteGroups = 42: 0..=2, flexible 2;
    IncrementalAlterConfigs = 44: 0..=1, flexible 1;
    OffsetDelete = 47: 0..=0;
    DescribeCluster = 60: 0..=2, flexible 0;
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
