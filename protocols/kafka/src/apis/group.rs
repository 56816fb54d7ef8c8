//! Consumer groups of the classic kind: finding their coordinator, joining, agreeing, staying and
//! leaving, and what tools ask about them.

use crate::apis::metadata;
use crate::apis::permitted;
use crate::call::{Call, NODE_ID};
use crate::errors;
use crate::groups::{self, Candidate, Joined, Synced};
use crate::messages::delete_groups::{
    DeletableGroupResult, DeleteGroupsRequest, DeleteGroupsResponse,
};
use crate::messages::describe_groups::{
    DescribeGroupsRequest, DescribeGroupsResponse, DescribedGroup, DescribedGroupMember,
};
use crate::messages::find_coordinator::{
    Coordinator, FindCoordinatorRequest, FindCoordinatorResponse,
};
use crate::messages::heartbeat::{HeartbeatRequest, HeartbeatResponse};
use crate::messages::join_group::{JoinGroupRequest, JoinGroupResponse, JoinGroupResponseMember};
use crate::messages::leave_group::{
    LeaveGroupRequest, LeaveGroupResponse, MemberIdentity, MemberResponse,
};
use crate::messages::list_groups::{ListGroupsRequest, ListGroupsResponse, ListedGroup};
use crate::messages::sync_group::{SyncGroupRequest, SyncGroupResponse};
use crate::transactions;
use std::time::Duration;
use types::Operation;

/// Whose coordinator is asked for: a group's or a transactional id's.
const OF_GROUPS: i8 = 0;
const OF_TRANSACTIONS: i8 = 1;
/// The two kinds of groups, as KIP-848 calls them.
const CLASSIC: &str = "classic";
const CONSUMER: &str = "consumer";
/// Since this version a client without a name is told one first (KIP-394).
const NAME_FIRST: i16 = 4;
const DEAD: &str = "Dead";

pub async fn find_coordinator(
    call: &Call,
    request: FindCoordinatorRequest,
) -> FindCoordinatorResponse {
    let broker = metadata::broker(call);
    let coordinator = |key: String| {
        let checked = match request.key_type {
            OF_GROUPS => groups::check(call, &key, Operation::Describe),
            OF_TRANSACTIONS => transactions::check(call, &key, Operation::Describe),
            _ => Err(errors::INVALID_REQUEST),
        };
        let (node_id, host, port) = match checked {
            Ok(()) => (NODE_ID, broker.host.clone(), broker.port),
            Err(_) => (-1, String::new(), -1),
        };
        let error_code = checked.err().unwrap_or(errors::NONE);
        Coordinator { key, node_id, host, port, error_code, error_message: None }
    };
    // One key before version 4, behind it as many as there are.
    let Coordinator { node_id, host, port, error_code, .. } = coordinator(request.key.clone());
    FindCoordinatorResponse {
        coordinators: request.coordinator_keys.into_iter().map(coordinator).collect(),
        error_code,
        node_id,
        host,
        port,
        ..FindCoordinatorResponse::default()
    }
}

fn ms(count: i32) -> Duration {
    Duration::from_millis(u64::try_from(count).unwrap_or(0))
}

/// A name that no other member has or had.
pub fn fresh_name(call: &Call) -> String {
    let mut client: String = call.client_id.chars().take(100).collect();
    if client.is_empty() {
        client.push_str("member");
    }
    format!("{client}-{}", uuid::Uuid::new_v4().simple())
}

pub async fn join(call: &Call, request: JoinGroupRequest) -> JoinGroupResponse {
    let session = ms(request.session_timeout_ms);
    let candidate = Candidate {
        member: request.member_id.clone(),
        instance: request.group_instance_id,
        client_id: call.client_id.clone(),
        client_host: call.client_host.clone(),
        session,
        rebalance: match request.rebalance_timeout_ms {
            ..0 => session,
            given => ms(given),
        },
        protocol_type: request.protocol_type,
        protocols: request.protocols.into_iter().map(|it| (it.name, it.metadata)).collect(),
        takes_name_first: call.version >= NAME_FIRST,
    };
    let joined = match call.desk.groups.open(call, &request.group_id).await {
        Ok(slot) => {
            let answer = slot.with_both(call, |both, now| {
                // Members of the other kind do not know of rounds: they leave first.
                if !both.coordinated.members.is_empty() {
                    return None;
                }
                both.is_coordinated = false;
                Some(both.classic.join(candidate, || fresh_name(call), now))
            });
            let failed = |error| Joined::failed(error, &request.member_id);
            match answer {
                None => failed(errors::INCONSISTENT_GROUP_PROTOCOL),
                Some(answer) => {
                    let joined = slot.wait(call, answer).await;
                    joined.unwrap_or_else(|| failed(errors::UNKNOWN_MEMBER_ID))
                }
            }
        }
        Err(error) => Joined::failed(error, &request.member_id),
    };
    let members = joined.members.into_iter().map(|(member_id, group_instance_id, metadata)| {
        JoinGroupResponseMember { member_id, group_instance_id, metadata }
    });
    JoinGroupResponse {
        throttle_time_ms: 0,
        error_code: joined.error,
        generation_id: joined.generation,
        protocol_type: Some(joined.protocol_type),
        protocol_name: Some(joined.protocol),
        leader: joined.leader,
        skip_assignment: joined.skip_assignment,
        member_id: joined.member,
        members: members.collect(),
    }
}

pub async fn sync(call: &Call, request: SyncGroupRequest) -> SyncGroupResponse {
    let synced = match call.desk.groups.find(call, &request.group_id, Operation::Read).await {
        Ok(Some(slot)) => {
            let instance = request.group_instance_id.as_deref();
            let who = (&*request.member_id, instance, request.generation_id);
            let protocol = (request.protocol_type.as_deref(), request.protocol_name.as_deref());
            let assignments =
                request.assignments.into_iter().map(|it| (it.member_id, it.assignment)).collect();
            let answer = slot.with(call, |group, now| group.sync(who, protocol, assignments, now));
            let gone = || Synced::failed(errors::UNKNOWN_MEMBER_ID);
            slot.wait(call, answer).await.unwrap_or_else(gone)
        }
        Ok(None) => Synced::failed(errors::UNKNOWN_MEMBER_ID),
        Err(error) => Synced::failed(error),
    };
    SyncGroupResponse {
        throttle_time_ms: 0,
        error_code: synced.error,
        protocol_type: Some(synced.protocol_type),
        protocol_name: Some(synced.protocol),
        assignment: synced.assignment,
    }
}

pub async fn heartbeat(call: &Call, request: HeartbeatRequest) -> HeartbeatResponse {
    let instance = request.group_instance_id.as_deref();
    let error_code = match call.desk.groups.find(call, &request.group_id, Operation::Read).await {
        Ok(Some(slot)) => slot.with(call, |group, now| {
            group.heartbeat(&request.member_id, instance, request.generation_id, now)
        }),
        Ok(None) => errors::UNKNOWN_MEMBER_ID,
        Err(error) => error,
    };
    HeartbeatResponse { error_code, ..HeartbeatResponse::default() }
}

pub async fn leave(call: &Call, request: LeaveGroupRequest) -> LeaveGroupResponse {
    let slot = match call.desk.groups.find(call, &request.group_id, Operation::Read).await {
        Ok(slot) => slot,
        Err(error_code) => {
            return LeaveGroupResponse { error_code, ..LeaveGroupResponse::default() };
        }
    };
    let leave = |member: &str, instance: Option<&str>| match &slot {
        Some(slot) => slot.with(call, |group, now| group.leave(member, instance, now)),
        None => errors::UNKNOWN_MEMBER_ID,
    };
    // One at a time before version 3.
    if request.members.is_empty() && !request.member_id.is_empty() {
        let error_code = leave(&request.member_id, None);
        return LeaveGroupResponse { error_code, ..LeaveGroupResponse::default() };
    }
    let one = |MemberIdentity { member_id, group_instance_id, .. }| {
        let error_code = leave(&member_id, group_instance_id.as_deref());
        MemberResponse { member_id, group_instance_id, error_code }
    };
    let members = request.members.into_iter().map(one).collect();
    LeaveGroupResponse { members, ..LeaveGroupResponse::default() }
}

pub async fn describe(call: &Call, request: DescribeGroupsRequest) -> DescribeGroupsResponse {
    let mut groups = Vec::with_capacity(request.groups.len());
    let told: fn(&Call, &str) -> i32 = match request.include_authorized_operations {
        true => permitted::on_group,
        false => |_: &Call, _: &str| permitted::UNASKED,
    };
    for group_id in request.groups {
        let found = call.desk.groups.find(call, &group_id, Operation::Describe).await;
        // Of the other kind tools ask by ConsumerGroupDescribe; here there is no such group.
        let found = found
            .map(|slot| slot.filter(|slot| !slot.with_both(call, |both, _| both.is_coordinated)));
        groups.push(match found {
            Ok(Some(slot)) => slot.with(call, |group, _| {
                let members = group.members.iter().map(|(id, member)| DescribedGroupMember {
                    member_id: id.clone(),
                    group_instance_id: member.instance.clone(),
                    client_id: member.client_id.clone(),
                    client_host: member.client_host.clone(),
                    member_metadata: member.metadata(&group.protocol),
                    member_assignment: member.assignment.clone(),
                });
                DescribedGroup {
                    group_state: group.state.name().to_owned(),
                    protocol_type: group.protocol_type.clone(),
                    protocol_data: group.protocol.clone(),
                    members: members.collect(),
                    group_id: group_id.clone(),
                    authorized_operations: told(call, &group_id),
                    ..DescribedGroup::default()
                }
            }),
            Ok(None) => DescribedGroup {
                // Tools know a group that is not there by its state; since KIP-1043 by the error.
                error_code: if call.version >= 6 { errors::GROUP_ID_NOT_FOUND } else { 0 },
                group_state: DEAD.to_owned(),
                group_id,
                ..DescribedGroup::default()
            },
            Err(error_code) => DescribedGroup { error_code, group_id, ..DescribedGroup::default() },
        });
    }
    DescribeGroupsResponse { groups, ..DescribeGroupsResponse::default() }
}

pub async fn list(call: &Call, request: ListGroupsRequest) -> ListGroupsResponse {
    let slots = match call.desk.groups.list(call).await {
        Ok(slots) => slots,
        Err(error_code) => {
            return ListGroupsResponse { error_code, ..ListGroupsResponse::default() };
        }
    };
    let is_wanted = |filter: &[String], name: &str| {
        filter.is_empty() || filter.iter().any(|wanted| wanted.eq_ignore_ascii_case(name))
    };
    let mut groups = Vec::new();
    for slot in slots {
        let (state, kind, protocol_type) = slot.with_both(call, |both, _| {
            let (kind, protocol_type) = match both.is_coordinated {
                true => (CONSUMER, CONSUMER.to_owned()),
                false => (CLASSIC, both.classic.protocol_type.clone()),
            };
            (both.state_name(), kind, protocol_type)
        });
        if is_wanted(&request.states_filter, state) && is_wanted(&request.types_filter, kind) {
            groups.push(ListedGroup {
                group_id: slot.name.clone(),
                protocol_type,
                group_state: state.to_owned(),
                group_type: kind.to_owned(),
            });
        }
    }
    ListGroupsResponse { groups, ..ListGroupsResponse::default() }
}

pub async fn delete(call: &Call, request: DeleteGroupsRequest) -> DeleteGroupsResponse {
    let mut results = Vec::with_capacity(request.groups_names.len());
    for group_id in request.groups_names {
        let error_code = call.desk.groups.delete(call, &group_id).await.err().unwrap_or(0);
        results.push(DeletableGroupResult { group_id, error_code });
    }
    DeleteGroupsResponse { results, ..DeleteGroupsResponse::default() }
}
