//! What the security checks read, and what is accepted until a day: whole, bounded by the tenant,
//! and gone when it ends.

use super::{START_MS, Store, on_each, operator};
use crate::{
    ACCEPTANCE_MS_MAX, Actor, KeyMode, ListOwner, NewAcceptance, NewBinding, NewKey,
    NewListVersion, NewUser, TenancyError,
};
use serde_json::json;
use std::time::Duration;
use types::{AccessList, Effect, ProjectId, Scopes, TenantId};

const DAY: i64 = 24 * 3_600_000;

async fn key(store: &Store, at: (TenantId, ProjectId), name: &str, ends: Option<i64>) {
    let new = NewKey {
        name: name.to_owned(),
        mode: KeyMode::Live,
        prefix: format!("p{name}"),
        hash: vec![7; 32],
        scopes: Scopes::all(),
        grants: None,
        rate_per_second: None,
        expires_at: ends,
        verifier: None,
    };
    store.create_key(at.0, at.1, new, &operator()).await.expect("a key");
}

#[tokio::test]
async fn keys_that_count_of_one_tenant_or_of_all() {
    on_each(async |store| {
        let (mine, theirs) = (store.scope("mine").await, store.scope("theirs").await);
        key(store, mine, "a", None).await;
        key(store, mine, "b", Some(START_MS + DAY)).await;
        key(store, theirs, "c", None).await;
        let names = async |tenant, now| -> Vec<String> {
            let page = store.surveyed_keys(tenant, now).await.expect("keys");
            assert!(!page.has_more);
            page.items.into_iter().map(|key| key.name).collect()
        };
        assert_eq!(names(None, START_MS).await, ["a", "b", "c"]);
        assert_eq!(names(Some(mine.0), START_MS).await, ["a", "b"]);
        assert_eq!(names(Some(mine.0), START_MS + DAY).await, ["a"]);
        let found = store.surveyed_keys(Some(mine.0), START_MS).await.expect("keys");
        store.revoke_key(mine.0, mine.1, found.items[0].id, &operator()).await.expect("revoked");
        assert_eq!(names(Some(mine.0), START_MS).await, ["b"]);
    })
    .await;
}

#[tokio::test]
async fn people_with_their_roles_there_and_how_they_prove_themselves() {
    on_each(async |store| {
        let (mine, theirs) = (store.scope("mine").await.0, store.scope("theirs").await.0);
        let new = |name: &str| NewUser { email: format!("{name}@a.example"), name: name.into() };
        let ann = store.create_owner(new("ann"), "hash", &operator()).await.expect("ann");
        for tenant in [mine, theirs] {
            let (role, tenant) = ("support".to_owned(), Some(tenant));
            let given = NewBinding { user: ann.id, role, tenant, project: None, conditions: None };
            store.bind_role(given, &operator()).await.expect("given");
        }
        let all = store.surveyed_people(None).await.expect("people").items;
        assert_eq!((all.len(), all[0].bindings.len(), all[0].is_strong), (1, 3, false));
        let here = store.surveyed_people(Some(mine)).await.expect("people").items;
        assert_eq!((here.len(), here[0].bindings.len()), (1, 1));
        assert_eq!(here[0].bindings[0].tenant, Some(mine));
        let by = Actor::user(ann.id, &ann.email);
        store.start_second_factor(ann.id, b"sealed", &by).await.expect("started");
        // Until it is confirmed nobody is asked for it.
        let waiting = store.surveyed_people(None).await.expect("people").items;
        assert!(!waiting[0].is_strong);
        store.confirm_second_factor(ann.id, 1, &[vec![1; 32]], &by).await.expect("confirmed");
        assert!(store.surveyed_people(Some(mine)).await.expect("people").items[0].is_strong);
        let nobody = store.scope("empty").await.0;
        assert!(store.surveyed_people(Some(nobody)).await.expect("people").items.is_empty());
    })
    .await;
}

#[tokio::test]
async fn sessions_in_force_and_the_hours_of_acts() {
    on_each(async |store| {
        let tenant = store.scope("mine").await.0;
        let new = |name: &str| NewUser { email: format!("{name}@a.example"), name: name.into() };
        let ann = store.create_owner(new("ann"), "hash", &operator()).await.expect("ann");
        let open = async |number: u8| {
            let new = crate::NewSession {
                user: ann.id,
                how: crate::Proven::Password,
                refresh_hash: vec![number; 32],
                device_hash: vec![number; 32],
                device: "browser".to_owned(),
                address: "192.0.2.1".to_owned(),
                network: "192.0.2.0/24".to_owned(),
                provider: None,
            };
            store.open_session(new, &Actor::user(ann.id, &ann.email)).await.expect("open").0
        };
        let (first, second) = (open(1).await, open(2).await);
        let page = store.surveyed_sessions(None, None, 1).await.expect("a page");
        assert_eq!((page.items.len(), page.has_more), (1, true));
        assert_eq!((page.items[0].0.id, page.items[0].1.id), (first.id, ann.id));
        let rest = store.surveyed_sessions(None, Some(first.id), 10).await.expect("a page");
        assert_eq!(rest.items[0].0.id, second.id);
        // Of a tenant only those of people with a role there.
        let theirs = store.surveyed_sessions(Some(tenant), None, 10).await.expect("none");
        assert!(theirs.items.is_empty());
        let why = crate::SessionEnd::Revoked;
        store.end_session(ann.id, first.id, why, &operator()).await.expect("ended");
        let left = store.surveyed_sessions(None, None, 10).await.expect("a page");
        assert_eq!(left.items.len(), 1);
        // Nine hours later.
        store.clock.advance(Duration::from_secs(9 * 3_600));
        open(3).await;
        let filter = crate::AuditFilter {
            actor: Some(format!("{}:{}", ann.id, ann.email)),
            ..crate::AuditFilter::default()
        };
        let hours = store.audit_hours(None, &filter).await.expect("hours");
        assert_eq!((hours[0], hours[9], hours.iter().sum::<u64>()), (2, 1, 3));
        assert_eq!(store.audit_hours(Some(tenant), &filter).await.expect("none"), [0; 24]);
    })
    .await;
}

#[tokio::test]
async fn lists_as_they_are_in_force() {
    on_each(async |store| {
        let (tenant, project) = store.scope("mine").await;
        let other = store.scope("theirs").await.0;
        let put = async |owner, default: Option<Option<Effect>>| {
            let list = default.map(|default| AccessList { default, ..AccessList::default() });
            let note = String::new();
            let new = NewListVersion { list, from: None, note, details: json!({}) };
            store.put_access_list(owner, new, &operator()).await.expect("written");
        };
        put(ListOwner::Installation, Some(None)).await;
        put(ListOwner::Tenant(tenant), Some(Some(Effect::Deny))).await;
        put(ListOwner::Tenant(tenant), Some(Some(Effect::Allow))).await;
        put(ListOwner::Project(tenant, project), Some(None)).await;
        put(ListOwner::Tenant(other), Some(None)).await;
        let mine = store.surveyed_lists(Some(tenant)).await.expect("lists").items;
        assert_eq!(mine.len(), 2);
        let of_tenant = mine.iter().find(|(owner, _)| *owner == ListOwner::Tenant(tenant));
        assert_eq!(of_tenant.expect("there").1.default, Some(Effect::Allow));
        assert_eq!(store.surveyed_lists(None).await.expect("lists").items.len(), 4);
        put(ListOwner::Tenant(tenant), None).await;
        assert_eq!(store.surveyed_lists(Some(tenant)).await.expect("lists").items.len(), 1);
    })
    .await;
}

#[tokio::test]
async fn what_is_accepted_is_replaced_ended_and_swept() {
    on_each(async |store| {
        let tenant = store.scope("mine").await.0;
        let new = |until: i64, reason: &str| NewAcceptance {
            finding: "key-old:key_1".to_owned(),
            tenant: Some(tenant),
            project: None,
            reason: reason.to_owned(),
            until,
        };
        let accept = async |new: NewAcceptance| store.accept_finding(new, &operator()).await;
        for (bad, field) in [
            (new(START_MS, "x"), "until"),
            (new(START_MS + ACCEPTANCE_MS_MAX + 1, "x"), "until"),
            (new(START_MS + DAY, ""), "reason"),
            (new(START_MS + DAY, "a\u{7}"), "reason"),
            (NewAcceptance { finding: String::new(), ..new(START_MS + DAY, "x") }, "finding"),
        ] {
            let refused = accept(bad).await.expect_err(field);
            assert!(matches!(refused, TenancyError::Invalid { field: at, .. } if at == field));
        }
        accept(new(START_MS + DAY, "first")).await.expect("accepted");
        let second = accept(new(START_MS + 2 * DAY, " second ")).await.expect("accepted");
        let all = store.acceptances(START_MS).await.expect("all");
        assert_eq!(all, std::slice::from_ref(&second));
        assert_eq!((all[0].reason.as_str(), all[0].tenant), ("second", Some(tenant)));
        assert_eq!(store.acceptance(second.id).await.expect("there"), second);
        assert!(store.acceptances(START_MS + 2 * DAY).await.expect("none").is_empty());
        store.reopen_finding(second.id, &operator()).await.expect("reopened");
        let gone = store.reopen_finding(second.id, &operator()).await.expect_err("gone");
        assert!(matches!(gone, TenancyError::NotFound { .. }));
        accept(new(START_MS + DAY, "third")).await.expect("accepted");
        store.clock.advance(Duration::from_secs(2 * 86_400));
        assert_eq!(store.sweep_acceptances(START_MS).await.expect("swept"), 0);
        assert_eq!(store.sweep_acceptances(START_MS + 2 * DAY).await.expect("swept"), 1);
    })
    .await;
}
