//! Being one of a classic group: members join a round, one of them gives partitions out, and all
//! let go of everything before the next. A task of its own beats. For brokers without KIP-848, and
//! among members who do not know it.

use super::assignors::{self, Subscriber};
use super::fetcher::Place;
use super::membership::{Joining, Told};
use crate::cluster::{Cluster, Coordinates};
use crate::connection::Connection;
use crate::{Error, Result};
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::watch;
use wire_kafka::assignments::{Assignment, PROTOCOL_TYPE, Parts, Subscription, read, write};
use wire_kafka::errors as codes;
use wire_kafka::messages::heartbeat::HeartbeatRequest;
use wire_kafka::messages::join_group::{
    JoinGroupRequest, JoinGroupRequestProtocol, JoinGroupResponse,
};
use wire_kafka::messages::leave_group::{LeaveGroupRequest, LeaveGroupResponse, MemberIdentity};
use wire_kafka::messages::sync_group::{SyncGroupRequest, SyncGroupRequestAssignment};

/// Beats in the time after which a silent member is given up.
const BEATS_A_SESSION: u32 = 3;
/// How long an answer may come after the end of the round that it waits for.
const LATE_MS: u64 = 10_000;

pub struct Rounds {
    cluster: Arc<Cluster>,
    joining: Joining,
    /// Empty until the coordinator has given us one.
    member: String,
    generation: i32,
    /// Who waits for a round holds up what is asked behind it, so this has a connection of its own.
    connection: Option<Arc<Connection>>,
    owns: watch::Receiver<BTreeSet<Place>>,
    tell: watch::Sender<Told>,
}

impl Rounds {
    pub fn new(
        cluster: &Arc<Cluster>,
        joining: Joining,
        owns: watch::Receiver<BTreeSet<Place>>,
        tell: watch::Sender<Told>,
    ) -> Rounds {
        Rounds {
            cluster: Arc::clone(cluster),
            joining,
            member: String::new(),
            generation: -1,
            connection: None,
            owns,
            tell,
        }
    }

    pub async fn run(mut self) {
        let mut failures = 0;
        loop {
            let error = match self.round().await {
                Ok(true) => {
                    failures = 0;
                    continue;
                }
                // The consumer is gone.
                Ok(false) => return,
                Err(error) => error,
            };
            if is_thrown_out(&error) {
                if !error.is(codes::ILLEGAL_GENERATION) {
                    self.member.clear();
                }
                if !self.lose().await {
                    return;
                }
            } else if error.is_retriable() {
                if error.is_uncoordinated() {
                    let group = &self.joining.group;
                    self.cluster.forget_coordinator(Coordinates::Group, group);
                }
                self.connection = None;
                failures += 1;
                let wait = self.cluster.settings.backoff().wait(failures, &stdx::SystemRng);
                tokio::time::sleep(wait).await;
            } else if !error.is(codes::REBALANCE_IN_PROGRESS) {
                self.tell.send_modify(|told| told.error = Some(error));
                return;
            }
        }
    }

    /// Others have what was ours; it must be let go of before we join anew. `false`: the consumer
    /// is gone.
    async fn lose(&mut self) -> bool {
        self.tell.send_modify(|told| {
            told.target = None;
            told.losses += 1;
        });
        self.owns.wait_for(BTreeSet::is_empty).await.is_ok()
    }

    /// From joining to the end of what was agreed; `false`: the consumer is gone.
    async fn round(&mut self) -> Result<bool> {
        // What could not be said in time to the last round is not kept over the next.
        self.let_go().await?;
        let joined = self.join().await?;
        let parts = self.sync(joined).await?;
        self.tell.send_modify(|told| {
            told.member.clone_from(&self.member);
            told.epoch = self.generation;
            told.target = Some(parts);
        });
        loop {
            tokio::select! {
                () = tokio::time::sleep(self.interval()) => {}
                changed = self.owns.changed() => {
                    if changed.is_err() {
                        return Ok(false);
                    }
                    continue;
                }
            }
            match self.beat().await {
                Ok(()) => {}
                Err(error) if error.is(codes::REBALANCE_IN_PROGRESS) => return Ok(true),
                // It may be back before we are missed.
                Err(error) if error.is_retriable() => {
                    if error.is_uncoordinated() {
                        let group = &self.joining.group;
                        self.cluster.forget_coordinator(Coordinates::Group, group);
                    }
                    self.connection = None;
                }
                Err(error) => return Err(error),
            }
        }
    }

    /// Everything is given up before a round, while it is known that we are still there.
    async fn let_go(&mut self) -> Result<()> {
        if self.owns.borrow().is_empty() {
            return Ok(());
        }
        self.tell.send_modify(|told| told.target = Some(BTreeSet::new()));
        loop {
            let wait = self.interval();
            tokio::select! {
                released = self.owns.wait_for(BTreeSet::is_empty) => {
                    let gone = |_| Error::Closed("the consumer is gone".to_owned());
                    return released.map(|_| ()).map_err(gone);
                }
                () = tokio::time::sleep(wait) => {}
            }
            match self.beat().await {
                Err(error) if error.is(codes::REBALANCE_IN_PROGRESS) => {}
                outcome => outcome?,
            }
        }
    }

    fn interval(&self) -> Duration {
        Duration::from_millis(u64::from(self.joining.session_ms)) / BEATS_A_SESSION
    }

    async fn connected(&mut self) -> Result<Arc<Connection>> {
        if let Some(connection) = self.connection.as_ref().filter(|it| !it.is_stale()) {
            return Ok(Arc::clone(connection));
        }
        let wait_ms = u64::try_from(self.joining.rebalance_ms_max).unwrap_or(0);
        let connection =
            self.cluster.coordinator_alone(&self.joining.group, wait_ms + LATE_MS).await?;
        self.connection = Some(Arc::clone(&connection));
        Ok(connection)
    }

    fn join_request(&self) -> JoinGroupRequest {
        let subscription =
            Subscription { topics: self.joining.topics.clone(), ..Subscription::default() };
        let metadata = write(&subscription);
        let protocol = |name: &str| JoinGroupRequestProtocol {
            name: name.to_owned(),
            metadata: metadata.clone(),
        };
        JoinGroupRequest {
            group_id: self.joining.group.clone(),
            session_timeout_ms: i32::try_from(self.joining.session_ms).unwrap_or(i32::MAX),
            rebalance_timeout_ms: self.joining.rebalance_ms_max,
            member_id: self.member.clone(),
            group_instance_id: self.joining.instance.clone(),
            protocol_type: PROTOCOL_TYPE.to_owned(),
            protocols: assignors::NAMES.iter().map(|name| protocol(name)).collect(),
            reason: None,
        }
    }

    async fn join(&mut self) -> Result<JoinGroupResponse> {
        let connection = self.connected().await?;
        let mut told = connection.ask(&self.join_request()).await?;
        if told.error_code == codes::MEMBER_ID_REQUIRED {
            self.member.clone_from(&told.member_id);
            told = connection.ask(&self.join_request()).await?;
        }
        Error::of(told.error_code, None)?;
        self.member.clone_from(&told.member_id);
        self.generation = told.generation_id;
        Ok(told)
    }

    async fn sync(&mut self, joined: JoinGroupResponse) -> Result<BTreeSet<Place>> {
        let protocol = joined.protocol_name.clone().unwrap_or_default();
        let leads = joined.leader == joined.member_id && !joined.skip_assignment;
        let given = if leads { self.give_out(&protocol, joined).await? } else { BTreeMap::new() };
        let assignments = given.into_iter().map(|(member_id, parts)| {
            let assignment = write(&Assignment::of(&parts));
            SyncGroupRequestAssignment { member_id, assignment }
        });
        let request = SyncGroupRequest {
            group_id: self.joining.group.clone(),
            generation_id: self.generation,
            member_id: self.member.clone(),
            group_instance_id: self.joining.instance.clone(),
            protocol_type: Some(PROTOCOL_TYPE.to_owned()),
            protocol_name: Some(protocol),
            assignments: assignments.collect(),
        };
        let told = self.connected().await?.ask(&request).await?;
        Error::of(told.error_code, None)?;
        Ok(read::<Assignment>(&told.assignment)?.parts())
    }

    /// What everybody gets, worked out by us for all.
    async fn give_out(
        &self,
        protocol: &str,
        joined: JoinGroupResponse,
    ) -> Result<BTreeMap<String, Parts>> {
        let mut members = Vec::with_capacity(joined.members.len());
        for member in joined.members {
            let topics = read::<Subscription>(&member.metadata)?.topics.into_iter().collect();
            let (id, instance) = (member.member_id, member.group_instance_id);
            members.push(Subscriber { id, instance, topics });
        }
        let topics: BTreeSet<&str> =
            members.iter().flat_map(|it| it.topics.iter().map(String::as_str)).collect();
        let topics: Vec<&str> = topics.into_iter().collect();
        let metadata = self.cluster.refresh(&topics).await?;
        // A topic that is not there yet has nothing to give out.
        let counts = topics.iter().filter_map(|name| {
            let topic = metadata.topics.get(*name)?;
            Some(((*name).to_owned(), i32::try_from(topic.partitions.len()).ok()?))
        });
        let counts = counts.collect();
        assignors::assign(protocol, members, &counts).ok_or_else(|| {
            Error::Invalid(format!("the group has agreed on `{protocol}`, which is not known"))
        })
    }

    async fn beat(&mut self) -> Result<()> {
        let request = HeartbeatRequest {
            group_id: self.joining.group.clone(),
            generation_id: self.generation,
            member_id: self.member.clone(),
            group_instance_id: self.joining.instance.clone(),
        };
        let told = self.connected().await?.ask(&request).await?;
        Error::of(told.error_code, None)
    }
}

/// Says goodbye, so that others have our partitions at once.
pub async fn leave(cluster: &Cluster, group: &str, member: &str) -> Result<()> {
    let request = LeaveGroupRequest {
        group_id: group.to_owned(),
        member_id: member.to_owned(),
        members: vec![MemberIdentity { member_id: member.to_owned(), ..MemberIdentity::default() }],
    };
    let judge = |told: &LeaveGroupResponse| {
        let codes = told.members.iter().map(|it| it.error_code).chain([told.error_code]);
        // Who is no member has left.
        codes
            .filter(|&code| code != codes::UNKNOWN_MEMBER_ID)
            .try_for_each(|code| Error::of(code, None))
    };
    let key = (Coordinates::Group, group);
    cluster.ask_coordinator(key, (i16::MAX, &request), judge).await.map(|_| ())
}

/// Another has our place, or the group has gone on without us.
fn is_thrown_out(error: &Error) -> bool {
    matches!(error.code(), Some(codes::UNKNOWN_MEMBER_ID | codes::ILLEGAL_GENERATION))
}
