//! The admin API: what operators of an installation see and change, as JSON over HTTP on a port of
//! its own. One typed service over `tenancy`'s records, the hub's topics and the node's live state;
//! the CLI is a client of it. It must not decide who a tenant's caller is, nor touch the log:
//! topics, and the records of changes that its outbox publishes, go through `port::Hub` like
//! anybody's.
//!
//! Every request passes `gate` (who is asking and whether he may, headers) and, when it changes
//! something, `repeat` (idempotency keys, and running to the end even when the client leaves).
#![forbid(unsafe_code)]

mod access;
mod accounts;
mod admin;
mod approvals;
mod asked;
mod configuration;
mod figures;
mod gate;
mod group_figures;
mod headers;
mod hooks;
mod lists;
pub mod logbook;
mod outbox;
mod own;
mod page;
mod path;
mod process;
mod rates;
mod redact;
mod repeat;
mod report;
mod routes;
mod security;
mod view;

#[cfg(test)]
mod tests;

pub use accounts::AccountsWorker;
pub use approvals::{ApprovalSettings, ApprovalsWorker};
pub use configuration::{
    Applying, Checked, ConfigDifference, ConfigEffect, ConfigFormat, ConfigOrigin, ConfigProblem,
    ConfigSource, ConfigState, ConfigWhen, Configuration, MASK, Proposal, differences,
};
pub use group_figures::GroupFigures;
pub use logbook::Logbook;
pub use outbox::{OutboxWorker, Turn};
pub use process::{About, Process, Telling};
pub use rates::{RateSettings, Rates};
pub use security::{SecurityWorker, Setup};

use access::AccessTable;
use admin::Shared;
use approvals::Holding;
use approvals::catalogue::Catalogue;
use axum::routing::get;
use axum::{Json, Router, middleware};
use http::StatusCode;
use identity::{Authenticator, OperatorTokens, People, Sealer};
use keys::Keyring;
use port::{Code, Groups, Hub, Live, Refusal};
use std::sync::Arc;
use stdx::{Clock, Rng};
use tenancy::Tenancy;
use utoipa::openapi::security::{HttpAuthScheme, HttpBuilder, SecurityScheme};
use utoipa::openapi::{Info, OpenApi, OpenApiBuilder, SecurityRequirement};
use utoipa_axum::router::OpenApiRouter;
use webhooks::Webhooks;

/// Where the API describes itself; the one path that needs no token.
pub const OPENAPI_PATH: &str = "/v1/openapi.json";

/// What the admin API is made of.
#[derive(Clone)]
pub struct Control {
    pub tenancy: Arc<Tenancy>,
    pub authenticator: Arc<Authenticator>,
    /// Seals shared signing secrets before they are stored.
    pub sealer: Arc<Sealer>,
    pub operators: Arc<OperatorTokens>,
    pub people: Arc<People>,
    pub hub: Arc<dyn Hub>,
    /// Kafka's groups; `None`: Kafka is not spoken.
    pub groups: Option<Arc<dyn Groups>>,
    pub live: Arc<dyn Live>,
    pub webhooks: Arc<Webhooks>,
    pub trail: Arc<audit::Trail>,
    /// `None`: nobody watches this node's figures.
    pub alerts: Option<alerts::Parts>,
    /// `None`: the node's configuration cannot be changed while it runs.
    pub configuration: Option<Arc<dyn Configuration>>,
    /// `None`: the process tells nothing of itself.
    pub process: Option<Arc<dyn Process>>,
    /// What the security checks look at beside the store; `None`: the store alone.
    pub setup: Option<Arc<dyn Setup>>,
    /// The newest lines of the process's log.
    pub logbook: Arc<Logbook>,
    /// How often one may ask the admin API.
    pub rates: Arc<Rates>,
    pub approvals: ApprovalSettings,
    /// `None`: nothing is billed through Stripe.
    pub billing: Option<Arc<billing::Billing>>,
    /// `None`: the node makes no backups of itself.
    pub backups: Option<Arc<backup::Backups>>,
    /// `None`: the log is not this node's own to export from and import into.
    pub transfers: Option<backup::transfer::Transfers>,
    /// `None`: encryption at rest is off.
    pub keyring: Option<Arc<Keyring>>,
    pub clock: Arc<dyn Clock>,
    pub rng: Arc<dyn Rng>,
}

impl std::fmt::Debug for Control {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Control").finish_non_exhaustive()
    }
}

impl Control {
    /// The admin API, for a port of its own, and who carries out what a second person approved. The
    /// edge should put a `port::Peer` into each request's extensions; without one the API makes a
    /// request id of its own.
    pub fn open(&self) -> (Router, ApprovalsWorker) {
        let (router, described) = routes::all().split_for_parts();
        let access = AccessTable::new(&described);
        let shared = Arc::new(Shared {
            control: self.clone(),
            acts: Catalogue::new(&described, &access),
            access,
            approved: Default::default(),
            configuring: Default::default(),
        });
        let router = router.fallback(no_route).method_not_allowed_fallback(no_method);
        let bare = router.clone().with_state(Arc::clone(&shared));
        let holding = Arc::new(Holding { shared: Arc::clone(&shared), bare });
        let worker = ApprovalsWorker::new(Arc::clone(&holding));
        let hold = middleware::from_fn_with_state(holding, approvals::hold::hold);
        let repeat = middleware::from_fn_with_state(Arc::clone(&shared), repeat::repeat);
        let gate = middleware::from_fn_with_state(Arc::clone(&shared), gate::gate);
        let described = get(|| async { Json(openapi()) });
        let router = router
            .layer(hold)
            .layer(repeat)
            .layer(gate)
            .with_state(shared)
            .merge(Router::new().route(OPENAPI_PATH, described))
            .layer(middleware::from_fn(headers::secure));
        (router, worker)
    }

    /// As `open`, where nobody carries out what was approved.
    pub fn routes(&self) -> Router {
        self.open().0
    }

    /// What a project's own principals may see and change of their project, for the public port.
    /// The edge must put a `port::Peer` into each request's extensions.
    pub fn project_routes(&self) -> Router {
        own::routes(self)
    }
}

/// What the OpenAPI document of the public port says of `Control::project_routes`.
pub fn project_openapi() -> OpenApi {
    own::openapi()
}

/// The OpenAPI document of the admin API.
pub fn openapi() -> OpenApi {
    describe(routes::all().into_openapi())
}

/// The reference of permissions: which there are, which role has them, which request needs which.
pub fn permissions_reference() -> String {
    access::reference(&openapi())
}

async fn no_route(admin: admin::Admin) -> axum::response::Response {
    let refusal = Refusal::new(Code::NotFound, "there is no such path in the admin API");
    admin.refuse(&refusal.hint(format!("the paths are listed at {OPENAPI_PATH}")))
}

async fn no_method(admin: admin::Admin) -> axum::response::Response {
    let refusal = Refusal::new(Code::Unsupported, "the path does not take this method");
    let refusal = refusal.hint(format!("the methods are listed at {OPENAPI_PATH}"));
    let mut response = admin.refuse(&refusal);
    *response.status_mut() = StatusCode::METHOD_NOT_ALLOWED;
    response
}

fn describe(mut openapi: OpenApi) -> OpenApi {
    const SCHEME: &str = "operator_token";
    let mut info = Info::new("Mainstem admin API", env!("CARGO_PKG_VERSION"));
    info.description = Some(
        "Tenants, projects, keys, topics, connections and usage of an installation. Every request \
         carries an operator token, or the access token of a user's session, as `Authorization: \
         Bearer`; `x-permission` names what it needs. Requests that change something take \
         an `Idempotency-Key`. Lists end with `next_cursor`, to be passed as `cursor`."
            .to_owned(),
    );
    let scheme = HttpBuilder::new().scheme(HttpAuthScheme::Bearer).build();
    let components = openapi.components.get_or_insert_default();
    components.add_security_scheme(SCHEME, SecurityScheme::Http(scheme));
    let needs = SecurityRequirement::new::<&str, [&str; 0], &str>(SCHEME, []);
    OpenApiBuilder::from(openapi).info(info).security(Some([needs])).build()
}

/// All of one area's routes.
type Routes = OpenApiRouter<Arc<Shared>>;
