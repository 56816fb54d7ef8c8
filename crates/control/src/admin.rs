//! What the routes share, and what each of them knows of its request. It must not hold a route's
//! logic.

use crate::Control;
use axum::extract::{FromRef, FromRequestParts};
use axum::response::{IntoResponse, Response};
use http::request::Parts;
use port::{Change, Identity, Peer, Refusal};
use serde_json::Value;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use tenancy::Actor;
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

pub(crate) struct Shared {
    pub(crate) control: Control,
    /// One configuration change at a time: the kept revision is the one in effect.
    pub(crate) configuring: tokio::sync::Mutex<()>,
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
    type Target = Control;
    fn deref(&self) -> &Control {
        &self.shared.control
    }
}

impl<S> FromRequestParts<S> for Admin
where
    Arc<Shared>: FromRef<S>,
    S: Send + Sync,
{
    type Rejection = Rejection;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Admin, Rejection> {
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
