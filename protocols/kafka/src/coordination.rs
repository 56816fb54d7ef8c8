//! In which order the requests of one connection reach the coordinators of groups and
//! transactions, access lists and tokens.

use crate::messages::Api;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Coordination {
    None,
    /// It comes behind those before it, and waits for other members then.
    Round,
    /// It is done before the next one is begun.
    Step,
}

/// What a coordinator has to do with it.
pub fn coordination(api: Api) -> Coordination {
    match api {
        Api::JoinGroup | Api::SyncGroup => Coordination::Round,
        Api::Heartbeat
        | Api::LeaveGroup
        | Api::ConsumerGroupHeartbeat
        | Api::OffsetCommit
        | Api::OffsetFetch
        | Api::OffsetDelete
        | Api::DeleteGroups
        | Api::InitProducerId
        | Api::AddPartitionsToTxn
        | Api::AddOffsetsToTxn
        | Api::TxnOffsetCommit
        | Api::EndTxn
        | Api::DescribeAcls
        | Api::CreateAcls
        | Api::DeleteAcls
        | Api::CreateDelegationToken
        | Api::RenewDelegationToken
        | Api::ExpireDelegationToken
        | Api::DescribeDelegationToken => Coordination::Step,
        _ => Coordination::None,
    }
}
