//! The store's suite. Each test runs on SQLite and on PostgreSQL: `on_each` hands it a fresh, empty
//! store of both kinds, one after the other.

mod access_lists;
mod approvals;
mod audit;
mod connect;
mod consumers;
mod device_sign_ins;
mod dump;
mod isolation;
mod keys;
mod node;
mod outbox;
mod passkeys;
mod people;
mod plans;
mod projects;
mod providers;
mod revocations;
mod role_conditions;
mod scoping;
mod survey;
mod tenants;
mod tokens;
mod topics;
mod usage;
mod webhooks;

use crate::{Actor, NewProject, NewTenant, Options, Project, Tenancy, Tenant};
use std::sync::Arc;
use testkit::clock::ManualClock;
use testkit::rng::SeededRng;
use types::{Limits, ProjectId, TenantId};

/// 2026-11-21T00:00:00Z.
const START_MS: i64 = 1_795_219_200_000;

struct Store {
    tenancy: Tenancy,
    clock: Arc<ManualClock>,
    /// SQLite's file, removed with the store.
    _dir: Option<tempfile::TempDir>,
}

impl std::ops::Deref for Store {
    type Target = Tenancy;
    fn deref(&self) -> &Tenancy {
        &self.tenancy
    }
}

async fn open(options: &Options, dir: Option<tempfile::TempDir>) -> Store {
    let clock = ManualClock::shared(START_MS);
    let rng = SeededRng::shared(7);
    let tenancy = Tenancy::connect(options, clock.clone(), rng).await.expect("a fresh database");
    Store { tenancy, clock, _dir: dir }
}

async fn sqlite() -> Store {
    let dir = tempfile::tempdir().expect("a writable temporary directory");
    let options = Options::sqlite(&dir.path().join("mainstem.db"));
    open(&options, Some(dir)).await
}

/// `None` where PostgreSQL is not installed, which is said loudly and fails in CI.
async fn postgres() -> Option<Store> {
    let server = tokio::task::spawn_blocking(testkit::postgres::server).await.expect("no panic");
    let url = tokio::task::spawn_blocking({
        let server = server?;
        move || server.database()
    });
    Some(open(&Options::new(url.await.expect("no panic")), None).await)
}

async fn on_each(test: impl AsyncFn(&Store)) {
    let store = sqlite().await;
    Box::pin(test(&store)).await;
    if let Some(store) = postgres().await {
        Box::pin(test(&store)).await;
    }
}

fn operator() -> Actor {
    Actor::operator()
}

impl Store {
    async fn new_tenant(&self, name: &str) -> Tenant {
        let new = NewTenant { name: name.to_owned(), ..NewTenant::default() };
        self.create_tenant(new, &operator()).await.expect("a tenant")
    }

    async fn new_project(&self, tenant: TenantId, name: &str, limits: Limits) -> Project {
        let new = NewProject { name: name.to_owned(), limits };
        self.create_project(tenant, new, &operator()).await.expect("a project")
    }

    /// A tenant with a project without limits.
    async fn scope(&self, name: &str) -> (TenantId, ProjectId) {
        let tenant = self.new_tenant(name).await.id;
        (tenant, self.new_project(tenant, name, Limits::default()).await.id)
    }
}
