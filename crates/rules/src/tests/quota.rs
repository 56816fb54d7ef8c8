//! Quotas: each limit at its edge, and the words that name it.

use crate::quota::{
    OpenConnections, OpenSubscriptions, check_connection, check_month, check_principal,
    check_record, check_storage, check_subscription, check_tenant, check_topics, record_bytes_max,
    tighter,
};
use port::live::Quota;
use port::{Code, Refusal};
use proptest::prelude::*;
use types::Limits;
use types::limits::RECORD_BYTES_MAX;

fn limits() -> Limits {
    Limits {
        connections_max: Some(10),
        websocket_connections_max: Some(3),
        sse_connections_max: Some(2),
        connections_per_principal_max: Some(4),
        subscriptions_max: Some(20),
        subscriptions_per_principal_max: Some(7),
        topics_max: Some(5),
        record_bytes_max: Some(1_000),
        storage_bytes_max: Some(1 << 40),
        publish_per_month_max: Some(100),
        ..Limits::default()
    }
}

#[test]
fn each_limit_at_its_edge() {
    let limits = limits();
    let check = |field: &str, at_edge: Result<(), Refusal>, beyond: Result<(), Refusal>| {
        assert_eq!(at_edge, Ok(()), "{field}");
        let refusal = beyond.unwrap_err();
        assert_eq!(refusal.field_name(), Some(field));
        assert!(refusal.hint_text().is_some());
    };
    let open =
        |all, websocket, server_sent_events| OpenConnections { all, websocket, server_sent_events };
    let connect = |open, quota| check_connection(&limits, open, quota);
    check(
        "connections_max",
        connect(open(9, 0, 0), Quota::Other),
        connect(open(10, 0, 0), Quota::Other),
    );
    check(
        "websocket_connections_max",
        connect(open(2, 2, 0), Quota::WebSocket),
        connect(open(3, 3, 0), Quota::WebSocket),
    );
    check(
        "sse_connections_max",
        connect(open(1, 0, 1), Quota::ServerSentEvents),
        connect(open(2, 0, 2), Quota::ServerSentEvents),
    );
    check(
        "connections_per_principal_max",
        check_principal(&limits, 3),
        check_principal(&limits, 4),
    );
    let follow =
        |project, principal| check_subscription(&limits, OpenSubscriptions { project, principal });
    check("subscriptions_max", follow(19, 0), follow(20, 0));
    check("subscriptions_per_principal_max", follow(7, 6), follow(7, 7));
    let tenant = |used| check_tenant("tenants.connections_max", used, Some(9));
    check("tenants.connections_max", tenant(8), tenant(9));
    check("topics_max", check_topics(&limits, 4), check_topics(&limits, 5));
    check("record_bytes_max", check_record(&limits, 1_000), check_record(&limits, 1_001));
    let month = |used, more| check_month(&limits, used, more);
    check("publish_per_month_max", month(99, 1), month(99, 2));
    let storage = |used, more| check_storage(&limits, used, more);
    check("storage_bytes_max", storage(0, 1 << 40), storage(1, 1 << 40));
    assert!(month(u64::MAX, u64::MAX).is_err());
    assert_eq!(check_record(&limits, 1_001).unwrap_err().code(), Code::PayloadTooLarge);
    assert_eq!(check_topics(&limits, 5).unwrap_err().code(), Code::ProjectLimitExceeded);
}

#[test]
fn without_limits_only_the_servers_own_hold() {
    let none = Limits::default();
    assert!(check_topics(&none, u64::MAX).is_ok());
    assert!(check_month(&none, u64::MAX, u64::MAX).is_ok());
    assert_eq!(record_bytes_max(&none), RECORD_BYTES_MAX);
    let huge = Limits { record_bytes_max: Some(u32::MAX), ..none };
    assert_eq!(record_bytes_max(&huge), RECORD_BYTES_MAX);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(128))]

    /// Whatever opens and closes, no count passes its limit, and the counts are those of a list.
    #[test]
    fn connections_never_pass_their_quota(steps in proptest::collection::vec(0u8..6, 1..200)) {
        let limits = limits();
        let mut open = OpenConnections::default();
        let mut list: Vec<Quota> = Vec::new();
        for step in steps {
            let quota =
                [Quota::WebSocket, Quota::ServerSentEvents, Quota::Other][usize::from(step % 3)];
            if step < 3 {
                if check_connection(&limits, open, quota).is_ok() {
                    open.add(quota);
                    list.push(quota);
                }
            } else if let Some(at) = list.iter().position(|held| *held == quota) {
                list.remove(at);
                open.remove(quota);
            }
            let count = |quota| list.iter().filter(|held| **held == quota).count() as u32;
            prop_assert_eq!(open.all, list.len() as u32);
            prop_assert_eq!(open.websocket, count(Quota::WebSocket));
            prop_assert_eq!(open.server_sent_events, count(Quota::ServerSentEvents));
            prop_assert!(open.all <= 10 && open.websocket <= 3 && open.server_sent_events <= 2);
        }
    }

    /// What two limits together admit, each admits.
    #[test]
    fn the_tighter_limit_holds(
        left in proptest::option::of(0u32..50),
        right in proptest::option::of(0u32..50),
        existing in 0u64..60,
    ) {
        let of = |topics_max| Limits { topics_max, ..Limits::default() };
        let each = check_topics(&of(left), existing).is_ok()
            && check_topics(&of(right), existing).is_ok();
        let both = tighter(&of(left), &of(right));
        prop_assert_eq!(check_topics(&both, existing).is_ok(), each);
    }
}
