//! What the routes share, and what each of them knows of its request. It must not hold a route's
//! logic.

use axum::extract::{FromRef, FromRequestParts};
use axum::response::{IntoResponse, Response};
use http::request::Parts as RequestParts;
use identity::{Authenticator, OperatorTokens, Sealer};
use port::{Change, Hub, Identity, Live, Peer, Refusal};
use serde_json::Value;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use stdx::{Clock, Rng};
use tenancy::{Actor, Tenancy};
use types::{ProjectId, TenantId};
use wire_http::{Rejection, refusal_response};

/// The node's own configuration, as the admin API reads and replaces it. Implemented by the server.
pub trait Configuration: Send + Sync + 'static {
    /// What is in effect, secrets left out.
    fn current(&self) -> Value;
    /// Checks a configuration whole and puts it into effect, or refuses and changes nothing. What
    /// cannot change without a restart is refused by name.
    fn apply<'a>(
        &'a self,
        wanted: &'a Value,
    ) -> Pin<Box<dyn Future<Output = Result<(), Refusal>> + Send + 'a>>;
}

/// What the admin API is made of.
pub struct Parts {
    pub tenancy: Arc<Tenancy>,
    pub authenticator: Arc<Authenticator>,
    /// Seals shared signing secrets before they are stored.
    pub sealer: Sealer,
    pub operators: OperatorTokens,
    pub hub: Arc<dyn Hub>,
    pub live: Arc<dyn Live>,
    /// `None`: the node's configuration cannot be changed while it runs.
    pub configuration: Option<Arc<dyn Configuration>>,
    pub clock: Arc<dyn Clock>,
    pub rng: Arc<dyn Rng>,
}

pub(crate) struct Shared {
    pub(crate) parts: Parts,
    /// One configuration change at a time: the kept revision is the one in effect.
    pub(crate) configuring: tokio::sync::Mutex<()>,
}

impl Shared {
    pub(crate) fn new(parts: Parts) -> Shared {
        Shared { parts, configuring: tokio::sync::Mutex::default() }
    }
}

/// Put into a request by the gate when its token was right; without it no route can be entered.
#[derive(Clone)]
pub(crate) struct Admitted;

/// An operator's request, as every route takes it first.
#[derive(Clone)]
pub(crate) struct Admin {
    shared: Arc<Shared>,
    peer: Peer,
}

impl std::ops::Deref for Admin {
    type Target = Parts;
    fn deref(&self) -> &Parts {
        &self.shared.parts
    }
}

impl<S> FromRequestParts<S> for Admin
where
    Arc<Shared>: FromRef<S>,
    S: Send + Sync,
{
    type Rejection = Rejection;

    async fn from_request_parts(parts: &mut RequestParts, state: &S) -> Result<Admin, Rejection> {
        let peer = parts.extensions.get::<Peer>().cloned();
        let (Some(peer), Some(Admitted)) = (peer, parts.extensions.get::<Admitted>()) else {
            let refusal = Refusal::internal(&"an admin request did not pass the gate");
            return Err(Rejection::new(parts, refusal));
        };
        Ok(Admin { shared: Arc::from_ref(state), peer })
    }
}

impl Admin {
    /// Whom the audit trail names.
    pub(crate) fn actor(&self) -> Actor {
        Actor::operator()
    }

    /// Tells the node, which acts within a second.
    pub(crate) fn changed(&self, change: Change) {
        self.live.changed(change);
    }

    /// The operator, acting inside a project of this tenant through the hub.
    pub(crate) async fn identity(
        &self,
        tenant: TenantId,
        project: ProjectId,
    ) -> Result<Identity, Refusal> {
        self.tenancy.project(tenant, project).await?;
        self.authenticator.operator(project).await
    }

    pub(crate) async fn lock_configuration(&self) -> tokio::sync::MutexGuard<'_, ()> {
        self.shared.configuring.lock().await
    }

    pub(crate) fn refuse(&self, refusal: &Refusal) -> Response {
        refusal_response(refusal, Some(&self.peer.request_id))
    }

    /// Turns what a handler came to into the answer.
    pub(crate) fn answer(&self, outcome: Result<impl IntoResponse, Refusal>) -> Response {
        match outcome {
            Ok(answer) => answer.into_response(),
            Err(refusal) => self.refuse(&refusal),
        }
    }
}
