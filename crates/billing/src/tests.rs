//! Billing on the real control plane, against Stripe's own mock and against a hostile fake on real
//! sockets: it repeats, delays, answers errors after it has accepted, and 400 to duplicates.

mod events;
mod fake;
mod mock;
mod reports;
mod signature;

use crate::{Billing, Config, Keys, Parts};
use port::Usage;
use port::{Change, ConnectionFilter, ConnectionId, ConnectionState, Live};
use std::collections::BTreeMap;
use std::sync::Arc;
use tenancy::{
    Actor, NewProject, NewTenant, Options, Plan, SubscriptionNote, Tenancy, TenantPatch,
};
use testkit::clock::ManualClock;
use testkit::rng::SeededRng;
use types::{ProjectId, TenantId, UsageMetric};

/// 2026-11-21T00:00:00Z.
const START_MS: i64 = 1_795_219_200_000;
const HOUR_MS: i64 = 3_600_000;
const SECRET: &str = "whsec_of_this_test";

#[derive(Default)]
struct Told(parking_lot::Mutex<Vec<Change>>);

impl Live for Told {
    fn connections(&self, _: &ConnectionFilter, _: usize) -> Vec<ConnectionState> {
        Vec::new()
    }
    fn close(&self, _: ConnectionId) -> bool {
        false
    }
    fn changed(&self, change: Change) {
        self.0.lock().push(change);
    }
    fn take_usage(&self) -> Vec<(TenantId, ProjectId, Usage)> {
        Vec::new()
    }
    fn drain(&self) {}
}

struct Rig {
    billing: Arc<Billing>,
    tenancy: Arc<Tenancy>,
    live: Arc<Told>,
    clock: Arc<ManualClock>,
    tenant: TenantId,
    project: ProjectId,
    _dir: tempfile::TempDir,
}

impl Rig {
    /// A tenant on `pro` at a Stripe that answers there.
    async fn new(api_url: &str) -> Rig {
        let dir = tempfile::tempdir().expect("a writable temporary directory");
        let clock = ManualClock::shared(START_MS);
        let rng = SeededRng::shared(3);
        let options = Options::sqlite(&dir.path().join("mainstem.db"));
        let tenancy = Tenancy::connect(&options, clock.clone(), rng.clone()).await;
        let tenancy = Arc::new(tenancy.expect("a fresh database"));
        let live = Arc::new(Told::default());
        let meters = [
            (UsageMetric::EventsPublished, "mainstem_events".to_owned()),
            (UsageMetric::EventsDelivered, "mainstem_deliveries".to_owned()),
        ];
        let config = Config {
            api_url: api_url.to_owned(),
            meters: BTreeMap::from(meters),
            prices: BTreeMap::from([("pro".to_owned(), vec!["price_1".to_owned()])]),
            timeout_ms: 120,
            ..Config::default()
        };
        let keys = Keys { secret_key: "sk_test_123".into(), webhook_secret: Some(SECRET.into()) };
        let billing = Billing::new(Parts {
            tenancy: Arc::clone(&tenancy),
            live: Arc::clone(&live) as _,
            clock: clock.clone(),
            rng,
            config,
            keys,
        });
        let by = Actor::system();
        let new = NewTenant { name: "a".into(), plan: Plan::Pro, ..NewTenant::default() };
        let tenant = tenancy.create_tenant(new, &by).await.expect("a tenant").id;
        let new = NewProject { name: "p".into(), ..NewProject::default() };
        let project = tenancy.create_project(tenant, new, &by).await.expect("a project").id;
        let billing = billing.expect("a client");
        Rig { billing, tenancy, live, clock, tenant, project, _dir: dir }
    }

    /// With time for slow answers.
    fn patient(mut self, api_url: &str) -> Rig {
        let config = Config {
            api_url: api_url.to_owned(),
            timeout_ms: 30_000,
            ..self.billing.config.clone()
        };
        let billing = Billing::new(Parts {
            tenancy: Arc::clone(&self.tenancy),
            live: Arc::clone(&self.live) as _,
            clock: self.clock.clone(),
            rng: SeededRng::shared(4),
            config,
            keys: self.billing.keys.clone(),
        });
        self.billing = billing.expect("a client");
        self
    }

    /// As if Stripe had said so.
    async fn subscribed(&self) {
        let by = Actor::system();
        let customer = Some("cus_1".to_owned());
        let patch = TenantPatch { stripe_customer_id: customer, ..TenantPatch::default() };
        self.tenancy.update_tenant(self.tenant, patch, &by).await.expect("a customer");
        let note = SubscriptionNote { subscription: Some("sub_1".into()), status: "active".into() };
        self.tenancy.note_subscription(self.tenant, &note, &by).await.expect("a subscription");
    }

    async fn publish(&self, at: i64, count: u64) {
        let usage = Usage { events_published: count, ..Usage::default() };
        let rows = [(self.tenant, self.project, usage)];
        self.tenancy.add_usage(at, &rows).await.expect("counted");
    }
}
