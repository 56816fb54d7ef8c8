//! Quotas: is there room for one more. The caller counts; here is only the decision, and the words
//! that tell the client which limit it met and what it may do about it.

use port::live::Quota;
use port::{Code, Refusal};
use types::Limits;
use types::limits::RECORD_BYTES_MAX;

/// Open connections of one project before the one asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct OpenConnections {
    /// Of every protocol together.
    pub all: u32,
    pub websocket: u32,
    pub server_sent_events: u32,
}

impl OpenConnections {
    /// Counts one connection in; the counts stop at their maximum rather than wrap.
    pub fn add(&mut self, quota: Quota) {
        self.all = self.all.saturating_add(1);
        if let Some(count) = self.own(quota) {
            *count = count.saturating_add(1);
        }
    }

    /// Counts one connection out.
    pub fn remove(&mut self, quota: Quota) {
        self.all = self.all.saturating_sub(1);
        if let Some(count) = self.own(quota) {
            *count = count.saturating_sub(1);
        }
    }

    fn own(&mut self, quota: Quota) -> Option<&mut u32> {
        match quota {
            Quota::WebSocket => Some(&mut self.websocket),
            Quota::ServerSentEvents => Some(&mut self.server_sent_events),
            Quota::Other => None,
        }
    }
}

/// The tighter of each limit: a project inside its plan.
pub fn tighter(left: &Limits, right: &Limits) -> Limits {
    fn least<T: Ord>(left: Option<T>, right: Option<T>) -> Option<T> {
        match (left, right) {
            (Some(left), Some(right)) => Some(left.min(right)),
            (one, other) => one.or(other),
        }
    }
    Limits {
        connections_max: least(left.connections_max, right.connections_max),
        websocket_connections_max: least(
            left.websocket_connections_max,
            right.websocket_connections_max,
        ),
        sse_connections_max: least(left.sse_connections_max, right.sse_connections_max),
        connections_per_principal_max: least(
            left.connections_per_principal_max,
            right.connections_per_principal_max,
        ),
        subscriptions_max: least(left.subscriptions_max, right.subscriptions_max),
        subscriptions_per_principal_max: least(
            left.subscriptions_per_principal_max,
            right.subscriptions_per_principal_max,
        ),
        topics_max: least(left.topics_max, right.topics_max),
        record_bytes_max: least(left.record_bytes_max, right.record_bytes_max),
        publish_per_second_max: least(left.publish_per_second_max, right.publish_per_second_max),
        request_per_second_max: least(left.request_per_second_max, right.request_per_second_max),
        storage_bytes_max: least(left.storage_bytes_max, right.storage_bytes_max),
        retention_age_ms_max: least(left.retention_age_ms_max, right.retention_age_ms_max),
        retention_bytes_max: least(left.retention_bytes_max, right.retention_bytes_max),
        retention_records_max: least(left.retention_records_max, right.retention_records_max),
        publish_per_month_max: least(left.publish_per_month_max, right.publish_per_month_max),
    }
}

/// One more connection, beside those that are open.
pub fn check_connection(
    limits: &Limits,
    open: OpenConnections,
    quota: Quota,
) -> Result<(), Refusal> {
    let close = "close a connection, or raise the limit of the project";
    room("connections_max", open.all.into(), 1, limits.connections_max.map(u64::from), close)?;
    match quota {
        Quota::WebSocket => room(
            "websocket_connections_max",
            open.websocket.into(),
            1,
            limits.websocket_connections_max.map(u64::from),
            close,
        ),
        Quota::ServerSentEvents => room(
            "sse_connections_max",
            open.server_sent_events.into(),
            1,
            limits.sse_connections_max.map(u64::from),
            close,
        ),
        Quota::Other => Ok(()),
    }
}

/// One more connection of a principal, beside the `open` ones.
pub fn check_principal(limits: &Limits, open: u32) -> Result<(), Refusal> {
    let hint = "close a connection, or raise the limit of the project";
    let limit = limits.connections_per_principal_max.map(u64::from);
    room("connections_per_principal_max", open.into(), 1, limit, hint)
}

/// Open subscriptions before the one asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct OpenSubscriptions {
    pub project: u32,
    pub principal: u32,
}

/// One more subscription, beside those that are open.
pub fn check_subscription(limits: &Limits, open: OpenSubscriptions) -> Result<(), Refusal> {
    let hint = "unsubscribe one, use a wider filter, or raise the limit of the project";
    let limit = limits.subscriptions_max.map(u64::from);
    room("subscriptions_max", open.project.into(), 1, limit, hint)?;
    let limit = limits.subscriptions_per_principal_max.map(u64::from);
    room("subscriptions_per_principal_max", open.principal.into(), 1, limit, hint)
}

/// One more of what a whole tenant has `used`; `field` is the server's setting.
pub fn check_tenant(field: &'static str, used: u32, limit: Option<u32>) -> Result<(), Refusal> {
    let hint = "close what is not needed, or ask the operator to raise the limit";
    room(field, used.into(), 1, limit.map(u64::from), hint)
}

/// One more topic, beside the `existing` ones.
pub fn check_topics(limits: &Limits, existing: u64) -> Result<(), Refusal> {
    let hint = "delete a topic, or raise the limit of the project";
    room("topics_max", existing, 1, limits.topics_max.map(u64::from), hint)
}

/// `more` records, beside the `used` ones of this calendar month.
pub fn check_month(limits: &Limits, used: u64, more: u64) -> Result<(), Refusal> {
    let hint = "wait for the next month, or move to a larger plan";
    room("publish_per_month_max", used, more, limits.publish_per_month_max, hint)
}

/// `more` bytes, beside the `used` ones in the log.
pub fn check_storage(limits: &Limits, used: u64, more: u64) -> Result<(), Refusal> {
    let hint = "shorten the retention of a topic, or raise the limit of the project";
    room("storage_bytes_max", used, more, limits.storage_bytes_max, hint)
}

/// The largest record the project may send: its own limit, never above the server's.
pub fn record_bytes_max(limits: &Limits) -> usize {
    let own = limits.record_bytes_max.map_or(RECORD_BYTES_MAX, |max| max as usize);
    own.min(RECORD_BYTES_MAX)
}

/// The size of one record (`types::Record::size`).
pub fn check_record(limits: &Limits, bytes: usize) -> Result<(), Refusal> {
    let bytes_max = record_bytes_max(limits);
    if bytes <= bytes_max {
        return Ok(());
    }
    Err(Refusal::new(
        Code::PayloadTooLarge,
        format!("the record has {bytes} bytes; the limit is {bytes_max}"),
    )
    .field("record_bytes_max")
    .hint(format!("key, value and headers together have at most {bytes_max} bytes")))
}

fn room(
    field: &'static str,
    used: u64,
    more: u64,
    limit: Option<u64>,
    hint: &'static str,
) -> Result<(), Refusal> {
    match limit {
        Some(limit) if used.saturating_add(more) > limit => Err(Refusal::new(
            Code::ProjectLimitExceeded,
            format!("the limit `{field}` of {limit} is reached ({used} in use, {more} more asked)"),
        )
        .field(field)
        .hint(hint)),
        _ => Ok(()),
    }
}
