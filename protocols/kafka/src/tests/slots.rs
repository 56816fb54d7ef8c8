//! Which groups there are: made by who joins or commits, gone when nothing is left of them.

use crate::apis::{group, offsets};
use crate::call::{Call, Desk};
use crate::config::{Config, Endpoint, SecurityAccess};
use crate::errors;
use crate::messages::heartbeat::HeartbeatRequest;
use crate::messages::join_group::{JoinGroupRequest, JoinGroupRequestProtocol};
use crate::messages::leave_group::LeaveGroupRequest;
use crate::messages::offset_commit::{
    OffsetCommitRequest, OffsetCommitRequestPartition, OffsetCommitRequestTopic,
};
use crate::messages::offset_fetch::{OffsetFetchRequest, OffsetFetchRequestTopic};
use crate::messages::sync_group::SyncGroupRequest;
use crate::sign_in::Means;
use port::Hub;
use std::sync::Arc;
use std::time::Duration;
use testkit::clock::ManualClock;
use testkit::driven::prove;
use testkit::memory_hub::MemoryHub;
use types::TopicConfig;

const DAY: Duration = Duration::from_secs(24 * 3_600);

pub struct Stage {
    hub: MemoryHub,
    pub clock: Arc<ManualClock>,
    pub call: Call,
}

impl Stage {
    pub async fn new(config: Config) -> Stage {
        let clock = ManualClock::shared(1_700_000_000_000);
        let hub = MemoryHub::with_clock(clock.clone());
        let place = hub.place(types::Limits::default());
        let secret = hub.key(place);
        hub.topic(place, "t", TopicConfig::default());
        let who = prove(&hub, &secret).await.expect("a key that counts");
        let call = Call {
            desk: Arc::new(Desk::new(config)),
            hub: hub.shared(),
            who,
            means: Means::Credential,
            clock: clock.clone(),
            version: 5,
            client_id: "c".to_owned(),
            client_host: "/127.0.0.1".to_owned(),
            advertised: Endpoint { host: "h".to_owned(), port: 1 },
            security: SecurityAccess::None,
            turnstile: Arc::default(),
        };
        Stage { hub, clock, call }
    }

    /// The same project after a restart.
    fn restart(&mut self) {
        self.call.desk = Arc::new(Desk::new(self.call.desk.config.clone()));
        self.call.hub = self.hub.shared();
    }

    async fn commit(&self, name: &str, offset: i64) -> i16 {
        let request = OffsetCommitRequest {
            group_id: name.to_owned(),
            generation_id_or_member_epoch: -1,
            topics: vec![OffsetCommitRequestTopic {
                name: "t".to_owned(),
                partitions: vec![OffsetCommitRequestPartition {
                    committed_offset: offset,
                    ..Default::default()
                }],
                ..Default::default()
            }],
            ..OffsetCommitRequest::default()
        };
        let told = offsets::commit(&self.call, request).await;
        told.topics[0].partitions[0].error_code
    }

    async fn committed(&self, name: &str) -> i64 {
        let request = OffsetFetchRequest {
            group_id: name.to_owned(),
            topics: Some(vec![OffsetFetchRequestTopic {
                name: "t".to_owned(),
                partition_indexes: vec![0],
            }]),
            ..OffsetFetchRequest::default()
        };
        let told = offsets::fetch(&self.call, request).await;
        assert_eq!(told.error_code, errors::NONE);
        told.topics[0].partitions[0].committed_offset
    }

    async fn beat(&self, name: &str, member: &str) -> i16 {
        let request = HeartbeatRequest {
            group_id: name.to_owned(),
            member_id: member.to_owned(),
            generation_id: 1,
            ..HeartbeatRequest::default()
        };
        group::heartbeat(&self.call, request).await.error_code
    }

    /// Answers an error and a name.
    async fn join(&mut self, name: &str, member: &str) -> (i16, String) {
        let request = JoinGroupRequest {
            group_id: name.to_owned(),
            session_timeout_ms: 1_800_000,
            rebalance_timeout_ms: 60_000,
            member_id: member.to_owned(),
            protocol_type: "consumer".to_owned(),
            protocols: vec![JoinGroupRequestProtocol {
                name: "r".to_owned(),
                ..Default::default()
            }],
            ..JoinGroupRequest::default()
        };
        let told = group::join(&self.call, request).await;
        (told.error_code, told.member_id)
    }

    /// Takes what the leader gives: itself, so nothing.
    async fn sync(&self, name: &str, member: &str) {
        let request = SyncGroupRequest {
            group_id: name.to_owned(),
            member_id: member.to_owned(),
            generation_id: 1,
            ..SyncGroupRequest::default()
        };
        assert_eq!(group::sync(&self.call, request).await.error_code, errors::NONE);
    }

    async fn names(&self) -> Vec<String> {
        let slots = self.call.desk.groups.list(&self.call).await.expect("allowed");
        slots.iter().map(|slot| slot.name.clone()).collect()
    }
}

fn small() -> Config {
    Config { groups_max: 3, first_rebalance_ms: 0, ..Config::default() }
}

#[tokio::test]
async fn asking_makes_no_group() {
    let stage = Stage::new(small()).await;
    for n in 0..10 {
        let name = format!("nobody-{n}");
        assert_eq!(stage.beat(&name, "m").await, errors::UNKNOWN_MEMBER_ID);
        assert_eq!(stage.committed(&name).await, -1);
        let leave = LeaveGroupRequest {
            group_id: name,
            member_id: "m".to_owned(),
            ..LeaveGroupRequest::default()
        };
        let told = group::leave(&stage.call, leave).await;
        assert_eq!(told.error_code, errors::UNKNOWN_MEMBER_ID);
    }
    assert!(stage.names().await.is_empty());
    for name in ["a", "b", "c"] {
        assert_eq!(stage.commit(name, 5).await, errors::NONE);
    }
    assert_eq!(stage.commit("d", 5).await, errors::GROUP_MAX_SIZE_REACHED, "these are kept");
    assert_eq!(stage.committed("b").await, 5);
}

#[tokio::test]
async fn at_the_limit_groups_go_of_which_nothing_is_left() {
    let mut stage = Stage::new(small()).await;
    assert_eq!(stage.commit("kept", 1).await, errors::NONE);
    for n in 0..10 {
        let (error, member) = stage.join(&format!("g{n}"), "").await;
        assert_eq!(error, errors::MEMBER_ID_REQUIRED);
        let (error, _) = stage.join(&format!("g{n}"), &member).await;
        assert_eq!(error, errors::NONE, "g{n}");
        // It goes away without a word.
        stage.clock.advance(Duration::from_secs(1_801));
    }
    assert_eq!(stage.committed("kept").await, 1);
    let (_, first) = stage.join("one", "").await;
    assert_eq!(stage.join("one", &first).await.0, errors::NONE);
    let (_, second) = stage.join("two", "").await;
    assert_eq!(stage.join("two", &second).await.0, errors::NONE);
    assert_eq!(stage.join("three", "").await.0, errors::GROUP_MAX_SIZE_REACHED, "all in use");
    assert_eq!(stage.beat("one", &first).await, errors::NONE, "whoever is in use stays");
}

#[tokio::test]
async fn offsets_without_members_go_when_their_time_is_over() {
    let mut stage = Stage::new(small()).await;
    assert_eq!(stage.commit("old", 7).await, errors::NONE);
    let (_, member) = stage.join("used", "").await;
    assert_eq!(stage.commit("used", 3).await, errors::NONE);
    assert_eq!(stage.join("used", &member).await.0, errors::NONE);
    stage.sync("used", &member).await;
    for _ in 0..5 * 24 * 3 {
        stage.clock.advance(Duration::from_secs(1_200));
        assert_eq!(stage.beat("used", &member).await, errors::NONE);
    }
    assert_eq!(stage.committed("old").await, 7, "five days");
    stage.restart();
    stage.clock.advance(DAY * 3);
    assert_eq!(stage.committed("old").await, -1);
    assert_eq!(stage.committed("used").await, 3, "it was used until three days ago");
    assert_eq!(stage.names().await, ["used"]);
    stage.clock.advance(DAY * 6);
    // Looked after by itself, whatever is asked for.
    stage.beat("another", "m").await;
    stage.clock.advance(Duration::from_secs(2));
    assert!(stage.names().await.is_empty());
    let kept = stage.hub.batches().expect("it keeps");
    let left = kept.kept(&stage.call.who, "kafka", b"", None, 100).await.expect("read");
    assert!(left.is_empty(), "{left:?}");
}
