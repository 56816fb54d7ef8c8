//! Access lists and keys for administrators who come by a protocol: the admin API's checks, its
//! trail, in force at once.

use super::{Site, name, on_shard, record};
use port::{Code, Hub, Identity, ListState, Refusal, Security};
use serde_json::json;
use tenancy::{Actor, AuditFilter, ListOwner, NewApprovalRule, NewListVersion};
use types::{AccessList, Scope, Scopes};

const FORBIDDEN: Option<Code> = Some(Code::InsufficientScope);

fn code<T>(outcome: Result<T, Refusal>) -> Option<Code> {
    outcome.err().map(|refusal| refusal.code())
}

fn denial(topic: &str) -> AccessList {
    let list = json!({ "default": "allow", "entries": [{
        "id": "e", "effect": "deny", "principals": ["*"], "operations": ["publish"],
        "topic": { "literal": topic },
    }] });
    serde_json::from_value(list).expect("a list")
}

async fn with(site: &Site, scopes: &[Scope]) -> Identity {
    let scopes: Scopes = scopes.iter().copied().collect();
    site.caller((site.tenant, site.project), scopes).await
}

fn security(site: &Site) -> &dyn Security {
    site.node.security().expect("the node knows lists")
}

#[test]
fn a_list_that_is_put_is_in_force_when_it_is_answered_and_in_the_trail() {
    on_shard(async |site| {
        let owner = site.owner().await;
        let security = security(site);
        let none = ListState { version: 0, list: AccessList::default(), is_bounding: false };
        assert_eq!(security.access_list(&owner).await, Ok(none));
        site.publish(&owner, "t", vec![record("k", "1")]).await;
        assert_eq!(security.put_access_list(&owner, 0, denial("t"), "why").await, Ok(1));
        let refused = site.node.append(&owner, &name("t"), vec![record("k", "2")]).await;
        assert_eq!(code(refused), Some(Code::AddressForbidden));
        let told = security.access_list(&owner).await.expect("a list");
        assert_eq!(told, ListState { version: 1, list: denial("t"), is_bounding: true });
        let late = security.put_access_list(&owner, 0, denial("u"), "").await;
        assert_eq!(code(late), Some(Code::Conflict), "somebody was faster");
        let wrong = security.put_access_list(&owner, 1, denial("not a topic"), "").await;
        assert_eq!(code(wrong), Some(Code::InvalidRequest));
        let filter = AuditFilter { action: Some("acl.update".to_owned()), ..Default::default() };
        let trail = site.tenancy.audit(site.tenant, &filter, 10).await.expect("a trail");
        assert_eq!(trail.items.len(), 1);
        let entry = &trail.items[0];
        assert_eq!(entry.actor, owner.principal().to_string());
        assert_eq!(entry.details["note"], "why");
        assert_eq!(entry.details["change"]["added"]["entries"], json!(["e"]));
    });
}

#[test]
fn what_is_above_the_project_bounds_it_and_is_not_shown() {
    on_shard(async |site| {
        let owner = site.owner().await;
        let list = Some(denial("t"));
        let new = NewListVersion { list, from: None, note: String::new(), details: json!({}) };
        let above = ListOwner::Tenant(site.tenant);
        site.tenancy.put_access_list(above, new, &Actor::system()).await.expect("a version");
        let told = security(site).access_list(&owner).await.expect("a list");
        let none = AccessList::default();
        assert_eq!(told, ListState { version: 0, list: none, is_bounding: true });
    });
}

#[test]
fn only_administrators_look_and_change() {
    on_shard(async |site| {
        let security = security(site);
        let reader = with(site, &[Scope::AdminRead]).await;
        let client = with(site, &[Scope::EventsPublish, Scope::EventsSubscribe]).await;
        assert_eq!(code(security.access_list(&reader).await), None);
        assert_eq!(code(security.put_access_list(&reader, 0, denial("t"), "").await), FORBIDDEN);
        assert_eq!(code(security.access_list(&client).await), FORBIDDEN);
        assert_eq!(code(security.put_access_list(&client, 0, denial("t"), "").await), FORBIDDEN);
        assert_eq!(code(security.keys(&client, None, 10).await), FORBIDDEN);
        let id = client.claims().key.expect("a key");
        assert_eq!(code(security.key(&client, id).await), FORBIDDEN);
        let page = security.keys(&reader, None, 1).await.expect("keys");
        assert_eq!((page.keys.len(), page.next), (1, Some(page.keys[0].id)));
        let rest = security.keys(&reader, page.next, 10).await.expect("keys");
        assert_eq!((rest.keys.len(), rest.next), (1, None));
        let found = security.key(&reader, id).await.expect("an answer").expect("a key");
        assert_eq!((found.id, found.iterations), (id, None), "made without what proves it");
        site.tenancy
            .revoke_key(site.tenant, site.project, id, &Actor::system())
            .await
            .expect("revoked");
        assert_eq!(security.key(&reader, id).await, Ok(None));
    });
}

/// Kafka and its like have no words for asking somebody.
#[test]
fn what_waits_for_a_second_person_is_not_done() {
    on_shard(async |site| {
        let owner = site.owner().await;
        let act = "put_acl".to_owned();
        let rule = NewApprovalRule { tenant: Some(site.tenant), act, hours: 1 };
        site.tenancy.put_approval_rule(rule, &Actor::system()).await.expect("a rule");
        let put = security(site).put_access_list(&owner, 0, denial("t"), "").await;
        assert_eq!(code(put), FORBIDDEN);
        let told = security(site).access_list(&owner).await.expect("a list");
        assert_eq!(told.version, 0);
    });
}
