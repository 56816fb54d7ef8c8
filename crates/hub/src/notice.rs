//! What the hub refuses is told to the audit trail: credentials that prove nothing, rights that are
//! lacking, limits that are reached. What is merely malformed, or ours to mend, is not. It must not
//! decide anything.

use crate::node::Node;
use port::{Code, Identity, Peer, Refusal};
use std::fmt::Display;
use tenancy::{AuditOutcome, Incident};

/// Whom the trail names when nobody was proven.
const UNKNOWN: &str = "unknown";

/// Refusals that say something about who asks.
fn is_worth_telling(code: Code) -> bool {
    matches!(
        code,
        Code::InvalidApiKey
            | Code::ExpiredApiKey
            | Code::InvalidToken
            | Code::ExpiredToken
            | Code::InsufficientScope
            | Code::AddressForbidden
            | Code::OriginForbidden
            | Code::TenantSuspended
            | Code::RateLimitExceeded
            | Code::ProjectLimitExceeded
            | Code::PlanLimitExceeded
    )
}

impl Node {
    /// The outcome as it is; when it is a refusal, the trail hears of it.
    pub(crate) fn noted<T>(
        &self,
        who: &Identity,
        action: &'static str,
        target: &(dyn Display + Sync),
        outcome: Result<T, Refusal>,
    ) -> Result<T, Refusal> {
        if let Err(refusal) = &outcome
            && is_worth_telling(refusal.code())
        {
            let incident = Incident {
                tenant: Some(who.tenant()),
                project: Some(who.project()),
                actor: who.principal().to_string(),
                action,
                target: target.to_string(),
                outcome: AuditOutcome::Refused,
                reason: refusal.code().name().to_owned(),
                address: None,
                request: None,
            };
            self.tenancy.incidents().note(incident, self.world.clock.now_ms());
        }
        outcome
    }

    /// A credential did not let its bearer in. `who` when it proved something all the same.
    pub(crate) fn note_credential(&self, peer: &Peer, who: Option<&Identity>, refusal: &Refusal) {
        if !is_worth_telling(refusal.code()) {
            return;
        }
        let incident = Incident {
            tenant: who.map(Identity::tenant),
            project: who.map(Identity::project),
            actor: who.map_or_else(|| UNKNOWN.to_owned(), |who| who.principal().to_string()),
            action: "credential.check",
            target: "credential".to_owned(),
            outcome: AuditOutcome::Refused,
            reason: refusal.code().name().to_owned(),
            address: Some(peer.address.ip()),
            request: Some(peer.request_id.to_string()),
        };
        self.tenancy.incidents().note(incident, self.world.clock.now_ms());
    }
}
