//! Acts that wait for a second person: which requests are acts (`catalogue`), where one belongs
//! (`place`), what it is about as it is now (`before`), how it is held (`hold`) and carried out
//! (`worker`). None of it must know what a request does.

pub(crate) mod before;
pub(crate) mod catalogue;
pub(crate) mod decide;
pub(crate) mod hold;
pub(crate) mod place;
pub(crate) mod sealed;
pub(crate) mod view;
mod worker;

pub use worker::ApprovalsWorker;
pub(crate) use worker::write_to_asker;

use crate::admin::Shared;
use axum::Router;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use std::sync::Arc;
use tenancy::ApprovalTurn;

/// Acts that wait for a second person. Which ones do is said in the console (a tenant's page) or by
/// `mainstem approvals rules`.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct ApprovalSettings {
    /// Whether an operator's token may approve and refuse what a user asks for. What one operator's
    /// token asks for, none may approve, since they are all alike.
    pub operator_may_decide: bool,
}

/// The API and its routes as they are behind the gate: for what is carried out later, and for
/// looking at what an act is about.
pub(crate) struct Holding {
    pub(crate) shared: Arc<Shared>,
    pub(crate) bare: Router,
}

/// In a request that a second person approved and the platform carries out.
#[derive(Debug, Clone, Copy)]
pub(crate) struct InTurn(pub(crate) ApprovalTurn);
