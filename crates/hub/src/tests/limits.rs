//! Scopes, quotas, rates, sizes, schemas: refused with the right word, and counted right.

use super::{make_project, name, on_shard, peer, record};
use port::live::Quota;
use port::{Change, Closer, Code, Connection, Hub, Live, Refusal};
use proptest::prelude::*;
use serde_json::json;
use std::sync::{Arc, Mutex};
use types::{Limits, Record, Scope, Scopes, TopicConfig};

#[derive(Default)]
struct Ending(Mutex<Option<Refusal>>);

impl Closer for Ending {
    fn close(&self, why: Refusal) {
        self.0.lock().expect("no panic while held").get_or_insert(why);
    }
}

impl Ending {
    fn code(&self) -> Option<Code> {
        self.0.lock().expect("no panic while held").as_ref().map(Refusal::code)
    }
}

fn connection(quota: Quota) -> Connection {
    Connection { protocol: "test", quota, address: peer().address }
}

#[test]
fn scopes_decide() {
    on_shard(async |site| {
        let reader = [Scope::EventsSubscribe].into_iter().collect();
        let reader = site.caller((site.tenant, site.project), reader).await;
        let refused = site.node.append(&reader, &name("t"), vec![record("k", "1")]).await;
        assert_eq!(refused.unwrap_err().code(), Code::InsufficientScope);
        let config = TopicConfig::default();
        let refused = site.node.put_topic(&reader, &name("t"), config).await;
        assert_eq!(refused.unwrap_err().code(), Code::InsufficientScope);
    });
}

#[test]
fn publish_rate_is_bounded_and_comes_back() {
    on_shard(async |site| {
        let limits = Limits { publish_per_second_max: Some(10), ..Limits::default() };
        let project = make_project(&site.tenancy, limits).await;
        let who = site.caller(project, Scopes::all()).await;
        let ten: Vec<Record> = (0..10).map(|_| record("k", "1")).collect();
        site.publish(&who, "t", ten.clone()).await;
        let refused = site.node.append(&who, &name("t"), ten.clone()).await.unwrap_err();
        assert_eq!(refused.code(), Code::RateLimitExceeded);
        let wait = refused.wait().expect("a time to wait");
        site.clock.advance(wait);
        site.publish(&who, "t", ten).await;
    });
}

#[test]
fn sizes_headers_and_month_are_bounded() {
    on_shard(async |site| {
        let limits = Limits {
            record_bytes_max: Some(100),
            publish_per_month_max: Some(3),
            topics_max: Some(1),
            ..Limits::default()
        };
        let project = make_project(&site.tenancy, limits).await;
        let who = site.caller(project, Scopes::all()).await;
        let append = |topic: &'static str, records: Vec<Record>| {
            let (who, node) = (who.clone(), Arc::clone(&site.node));
            async move { node.append(&who, &name(topic), records).await.map_err(|it| it.code()) }
        };
        let large = record("k", &"x".repeat(100));
        assert_eq!(append("t", vec![large]).await.unwrap_err(), Code::PayloadTooLarge);
        assert!(append("t", vec![record("k", "1"), record("k", "2")]).await.is_ok());
        assert_eq!(
            append("u", vec![record("k", "1")]).await.unwrap_err(),
            Code::ProjectLimitExceeded
        );
        site.node.write_usage().await.expect("usage is written");
        let two = vec![record("k", "3"), record("k", "4")];
        assert_eq!(append("t", two).await.unwrap_err(), Code::ProjectLimitExceeded);
        assert!(append("t", vec![record("k", "3")]).await.is_ok());
        let mut forged = record("k", "1");
        forged.headers.push(types::Header { name: "ms-publisher".into(), value: "me".into() });
        assert_eq!(append("t", vec![forged]).await.unwrap_err(), Code::InvalidRequest);
    });
}

#[test]
fn a_schema_is_enforced_and_versioned() {
    on_shard(async |site| {
        let who = site.owner().await;
        let schema = json!({"type": "object", "required": ["n"],
            "properties": {"n": {"type": "integer"}}});
        let config = TopicConfig { schema: Some(schema), ..TopicConfig::default() };
        let (info, is_new) = site.node.put_topic(&who, &name("t"), config).await.unwrap();
        assert_eq!((info.schema_version, is_new), (1, true));
        let bad = site.node.append(&who, &name("t"), vec![record("k", r#"{"n":"one"}"#)]).await;
        let bad = bad.unwrap_err();
        assert_eq!(bad.code(), Code::InvalidEventPayload);
        assert_eq!(bad.field_name(), Some("records[0].data/n"));
        site.publish(&who, "t", vec![record("k", r#"{"n":1}"#)]).await;
    });
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(100))]
    /// **Feature: realtime-saas-platform, Property 8: WebSocket counts per tenant and project never
    /// pass their quota** (and Property 13, for Server-Sent Events: the same counts.)
    #[test]
    fn connections_stay_within_their_quota(
        steps in prop::collection::vec((any::<bool>(), any::<bool>()), 1..60),
        all in 0u32..6, sockets in 0u32..6, streams in 0u32..6,
    ) {
        on_shard(async |site| {
            let limits = Limits {
                connections_max: Some(all),
                websocket_connections_max: Some(sockets),
                sse_connections_max: Some(streams),
                ..Limits::default()
            };
            let project = make_project(&site.tenancy, limits).await;
            let who = site.caller(project, Scopes::all()).await;
            let mut open = Vec::new();
            for (is_opening, is_socket) in steps {
                let quota = if is_socket { Quota::WebSocket } else { Quota::ServerSentEvents };
                if !is_opening {
                    open.pop();
                    continue;
                }
                let of_kind = open.iter().filter(|(_, kind)| *kind == quota).count() as u32;
                let max = if is_socket { sockets } else { streams };
                let fits = (open.len() as u32) < all && of_kind < max;
                let ending = Arc::new(Ending::default());
                match site.node.open(&who, connection(quota), ending).await {
                    Ok(lease) => {
                        assert!(fits);
                        open.push((lease, quota));
                    }
                    Err(refusal) => {
                        assert!(!fits);
                        assert_eq!(refusal.code(), Code::ProjectLimitExceeded);
                    }
                }
                let listed = site.node.connections(&Default::default(), 1000);
                assert_eq!(listed.len(), open.len());
            }
        });
    }
}

#[test]
fn suspension_and_revocation_end_connections() {
    on_shard(async |site| {
        let by = tenancy::Actor::system();
        let key = site.key((site.tenant, site.project), Scopes::all()).await;
        let who = site.prove(&key).await.unwrap();
        let ending = Arc::new(Ending::default());
        let _lease =
            site.node.open(&who, connection(Quota::WebSocket), ending.clone()).await.unwrap();
        site.tenancy.suspend_tenant(site.tenant, "unpaid", &by).await.unwrap();
        site.node.changed(Change::Tenant(site.tenant));
        while ending.code().is_none() {
            tokio::task::yield_now().await;
        }
        assert_eq!(ending.code(), Some(Code::TenantSuspended));
        let refused = site.node.append(&who, &name("t"), vec![record("k", "1")]).await;
        assert_eq!(refused.unwrap_err().code(), Code::TenantSuspended);
        assert_eq!(site.prove(&key).await.unwrap_err().code(), Code::TenantSuspended);

        site.tenancy.resume_tenant(site.tenant, None, &by).await.unwrap();
        site.authenticator.changed(&Change::Tenant(site.tenant)).await;
        let again = Arc::new(Ending::default());
        let _lease =
            site.node.open(&who, connection(Quota::WebSocket), again.clone()).await.unwrap();
        let id = who.claims().key.expect("a key's id");
        site.tenancy.revoke_key(site.tenant, site.project, id, &by).await.unwrap();
        site.node.changed(Change::Key(id));
        while again.code().is_none() {
            tokio::task::yield_now().await;
        }
        assert_eq!(again.code(), Some(Code::InvalidApiKey));
    });
}

#[test]
fn a_drain_ends_everybody_and_lets_nobody_in() {
    on_shard(async |site| {
        let who = site.owner().await;
        let ending = Arc::new(Ending::default());
        let _lease = site.node.open(&who, connection(Quota::Other), ending.clone()).await.unwrap();
        site.node.drain();
        assert_eq!(ending.code(), Some(Code::Draining));
        let refused = site.node.open(&who, connection(Quota::Other), ending.clone()).await;
        assert_eq!(refused.err().map(|it| it.code()), Some(Code::Draining));
    });
}

#[test]
fn the_month_begins_where_the_calendar_says() {
    use crate::usage::month_start;
    for (now, expected) in [
        (1_795_219_200_000, 1_793_491_200_000), // 2026-11-21 -> 2026-11-01
        (1_772_323_199_999, 1_769_904_000_000), // 2026-02-28T23:59:59.999 -> 2026-02-01
        (1_709_164_800_000, 1_706_745_600_000), // 2024-02-29 -> 2024-02-01
        (0, 0),
    ] {
        assert_eq!(month_start(now), expected, "{now}");
    }
}
