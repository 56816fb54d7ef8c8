//! News of changes: tenants, projects, limits, keys; also when it comes in the middle of a read.

use crate::directory::{Answer, Directory};
use crate::tests::{World, by, patient};
use crate::{Authenticator, Secrets};
use port::{Change, Code, Credential};
use secrecy::ExposeSecret;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use stdx::SystemRng;
use tenancy::{FoundKey, ListOwner, ProjectPatch, RevocationMark, Tenancy, Verification};
use tokio::sync::Notify;
use types::{AccessList, KeyId, Limits, ProjectId, Scopes, TenantId};

#[tokio::test]
async fn a_suspended_tenant_is_refused_and_seen() {
    let world = World::open(patient()).await;
    let (text, _) = world.new_key(Scopes::all()).await;
    world.try_key(&text).await.unwrap();
    assert!(!world.authenticator.snapshot(world.project).unwrap().is_suspended());
    world.store().suspend_tenant(world.tenant, "unpaid", &by()).await.unwrap();
    world.authenticator.changed(&Change::Tenant(world.tenant)).await;
    assert!(world.authenticator.snapshot(world.project).unwrap().is_suspended());
    assert_eq!(world.try_key(&text).await.unwrap_err().code(), Code::TenantSuspended);
    let operator = world.authenticator.operator(world.project).await.unwrap();
    assert_eq!(operator.principal().0.as_ref(), "operator");
    assert_eq!(operator.claims().scopes, Scopes::all());
    world.store().resume_tenant(world.tenant, None, &by()).await.unwrap();
    world.authenticator.changed(&Change::Tenant(world.tenant)).await;
    assert!(world.try_key(&text).await.is_ok());
}

#[tokio::test]
async fn what_another_process_changed_is_answered_by_refresh() {
    let world = World::open(crate::Settings::default()).await;
    let (text, _) = world.new_key(Scopes::all()).await;
    let _session = world.try_key(&text).await.unwrap();
    assert!(world.authenticator.refresh().await.is_empty());
    let limits = Limits { topics_max: Some(3), ..Limits::default() };
    let patch = ProjectPatch { limits: Some(limits), ..ProjectPatch::default() };
    let store = world.store();
    store.update_project(world.tenant, world.project, patch, &by()).await.unwrap();
    store.suspend_tenant(world.tenant, "unpaid", &by()).await.unwrap();
    assert!(world.authenticator.refresh().await.is_empty(), "young records are not read again");
    world.clock.advance(std::time::Duration::from_secs(1));
    let changes = world.authenticator.refresh().await;
    assert!(changes.contains(&Change::Tenant(world.tenant)), "{changes:?}");
    assert!(changes.contains(&Change::Project(world.project)), "{changes:?}");
    let snapshot = world.authenticator.snapshot(world.project).unwrap();
    assert_eq!(snapshot.limits.topics_max, Some(3));
}

#[tokio::test]
async fn a_deleted_project_takes_its_keys_along() {
    let world = World::open(patient()).await;
    let (text, _) = world.new_key(Scopes::all()).await;
    let session = world.try_key(&text).await.unwrap();
    let operator = world.authenticator.operator(world.project).await.unwrap();
    world.store().delete_project(world.tenant, world.project, &by()).await.unwrap();
    world.authenticator.changed(&Change::Project(world.project)).await;
    assert!(session.is_revoked() && operator.is_revoked());
    assert_eq!(world.try_key(&text).await.unwrap_err().code(), Code::InvalidApiKey);
    let refusal = world.authenticator.operator(world.project).await.unwrap_err();
    assert_eq!(refusal.code(), Code::NotFound);
}

#[tokio::test]
async fn grants_of_a_key_reach_its_claims() {
    let world = World::open(patient()).await;
    let (text, mut new) = world.key_parts(Scopes::all(), Some(super::START_MS + 5_000));
    new.grants = Some(serde_json::json!([
        {"filter": "orders/#"},
        {"effect": "deny", "access": "publish", "filter": "orders/secret/+"},
    ]));
    new.rate_per_second = Some(7);
    world.store().create_key(world.tenant, world.project, new, &by()).await.unwrap();
    let who = world.try_key(&text).await.unwrap();
    let grants = who.claims().grants.as_deref().unwrap();
    assert_eq!(grants.len(), 2);
    assert_eq!(grants[1].filter.to_string(), "orders/secret/+");
    assert_eq!(who.claims().rate_per_second, Some(7));
    assert_eq!(who.claims().expires_at, Some(super::START_MS + 5_000));
    world.clock.advance(std::time::Duration::from_secs(5));
    world.authenticator.refresh().await;
    assert!(who.is_revoked());
    assert_eq!(world.try_key(&text).await.unwrap_err().code(), Code::ExpiredApiKey);
}

/// Reads the record, then waits to be let go with it: the worst moment for a change.
struct Slow {
    tenancy: Arc<Tenancy>,
    is_slow: AtomicBool,
    has_read: Notify,
    go_on: Notify,
}

impl Directory for Slow {
    fn key<'a>(&'a self, lookup: &'a str) -> Answer<'a, Option<FoundKey>> {
        Box::pin(async move {
            let found = self.tenancy.find_key_by_prefix(lookup).await;
            if self.is_slow.swap(false, Ordering::SeqCst) {
                self.has_read.notify_one();
                self.go_on.notified().await;
            }
            found
        })
    }

    fn lookup(&self, key: KeyId) -> Answer<'_, Option<String>> {
        Directory::lookup(&*self.tenancy, key)
    }

    fn keep_verifier(&self, tenant: TenantId, key: KeyId, verifier: Vec<u8>) -> Answer<'_, bool> {
        Directory::keep_verifier(&*self.tenancy, tenant, key, verifier)
    }

    fn project(&self, project: ProjectId) -> Answer<'_, Option<Verification>> {
        Box::pin(self.tenancy.find_verification(project))
    }

    fn revocations(
        &self,
        tenant: TenantId,
        project: ProjectId,
        after: u64,
    ) -> Answer<'_, Vec<RevocationMark>> {
        Directory::revocations(&*self.tenancy, tenant, project, after)
    }

    fn list(&self, owner: ListOwner, version: u64) -> Answer<'_, Option<AccessList>> {
        Directory::list(&*self.tenancy, owner, version)
    }
}

#[tokio::test]
async fn a_revocation_in_the_middle_of_a_read_is_not_missed() {
    let world = World::open(patient()).await;
    let (text, key) = world.new_key(Scopes::all()).await;
    let slow = Arc::new(Slow {
        tenancy: world.door.tenancy.clone(),
        is_slow: AtomicBool::new(true),
        has_read: Notify::new(),
        go_on: Notify::new(),
    });
    let secrets = Secrets::from_bytes([7; 32]);
    let clock = world.clock.clone();
    let authenticator =
        Authenticator::new(slow.clone(), &secrets, patient(), clock, SystemRng::shared());
    let authenticator = Arc::new(authenticator.unwrap());
    let request = tokio::spawn({
        let (authenticator, text) = (authenticator.clone(), text.expose_secret().to_owned());
        async move {
            let credential = Credential::ApiKey(text);
            authenticator.authenticate(&super::peer(), &credential).await
        }
    });
    slow.has_read.notified().await;
    world.store().revoke_key(world.tenant, world.project, key.id, &by()).await.unwrap();
    authenticator.changed(&Change::Key(key.id)).await;
    slow.go_on.notify_one();
    let refusal = request.await.unwrap().unwrap_err();
    assert_eq!(refusal.code(), Code::InvalidApiKey);
}

#[tokio::test]
async fn all_calls_may_be_made_from_any_thread() {
    fn is_send<T: Send>(future: T) -> T {
        future
    }
    let world = World::open(patient()).await;
    let authenticator = &world.authenticator;
    is_send(authenticator.refresh()).await;
    is_send(authenticator.changed(&Change::Project(world.project))).await;
    is_send(authenticator.operator(world.project)).await.unwrap();
    is_send(authenticator.fresh_snapshot(world.project)).await.unwrap();
    let credential = Credential::Token("x".to_owned());
    is_send(authenticator.authenticate(&super::peer(), &credential)).await.unwrap_err();
}
