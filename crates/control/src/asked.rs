//! What the admin API refuses is told to the audit trail: who was not let in, and what was asked
//! for and could not be had. What was done is told by the change itself. It must not decide
//! anything.

use crate::Control;
use crate::admin::Who;
use http::request::Parts;
use http::{Method, StatusCode};
use port::{Code, Peer, Refusal};
use tenancy::{AuditOutcome, Incident};
use types::{ProjectId, TenantId};

/// Whom the trail names when nobody was proven.
const UNKNOWN: &str = "unknown";

/// One request, as the trail tells of it.
pub(crate) struct Asked {
    method: Method,
    path: String,
    tenant: Option<TenantId>,
    project: Option<ProjectId>,
}

impl Asked {
    pub(crate) fn new(parts: &Parts) -> Asked {
        let path = parts.uri.path().to_owned();
        let mut names = path.split('/').skip_while(|part| *part != "tenants").skip(1);
        let tenant = names.next().and_then(|part| part.parse().ok());
        let project = names.nth(1).and_then(|part| part.parse().ok());
        Asked { method: parts.method.clone(), path, tenant, project }
    }

    fn is_change(&self) -> bool {
        !matches!(self.method, Method::GET | Method::HEAD | Method::OPTIONS)
    }

    fn incident(&self, actor: String, peer: &Peer, action: &'static str) -> Incident {
        let (tenant, project) = (self.tenant, self.project);
        Incident {
            tenant,
            project: project.filter(|_| tenant.is_some()),
            actor,
            action,
            target: format!("{} {}", self.method, self.path),
            outcome: AuditOutcome::Refused,
            reason: String::new(),
            address: Some(peer.address.ip()).filter(|address| !address.is_unspecified()),
            request: Some(peer.request_id.to_string()),
        }
    }

    /// Somebody was not let in.
    pub(crate) fn note_refusal(
        &self,
        control: &Control,
        who: Option<&Who>,
        peer: &Peer,
        refusal: &Refusal,
    ) {
        let is_ours = matches!(
            refusal.code(),
            Code::DatabaseConnectionError | Code::Overloaded | Code::Internal | Code::Draining
        );
        if is_ours {
            return;
        }
        let code = refusal.code().name();
        let incident = match who {
            Some(who) => {
                let actor = who.actor().as_str().to_owned();
                let reason = format!("{code} {} {}", self.method, self.path);
                Incident { reason, ..self.incident(actor, peer, "admin.request") }
            }
            None => {
                let incident = self.incident(UNKNOWN.to_owned(), peer, "credential.check");
                // What the path names is not known to be his.
                Incident { tenant: None, project: None, reason: code.to_owned(), ..incident }
            }
        };
        control.tenancy.incidents().note(incident, control.clock.now_ms());
    }

    /// A change that was asked for by somebody who may ask, and did not come about.
    pub(crate) fn note_answer(
        &self,
        control: &Control,
        who: &Who,
        peer: &Peer,
        status: StatusCode,
    ) {
        let is_refused = status.is_client_error() && self.is_change();
        let is_forbidden = status == StatusCode::FORBIDDEN;
        let is_failed = status.is_server_error() && self.is_change();
        if matches!(who, Who::Nobody) || !(is_refused || is_forbidden || is_failed) {
            return;
        }
        let actor = who.actor().as_str().to_owned();
        let outcome = if is_failed { AuditOutcome::Failed } else { AuditOutcome::Refused };
        let reason = format!("HTTP {} {} {}", status.as_u16(), self.method, self.path);
        let incident = self.incident(actor, peer, "admin.request");
        let incident = Incident { outcome, reason, ..incident };
        control.tenancy.incidents().note(incident, control.clock.now_ms());
    }
}
