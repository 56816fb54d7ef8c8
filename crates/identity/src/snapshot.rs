//! A project as the hot path sees it: read from the control plane now and then, shared by all.

use crate::access::Meters;
use crate::lists::Lists;
use crate::secrets::Sealer;
use crate::signing::{Material, VerifyingKey};
use port::Claims;
use std::collections::HashMap;
use std::sync::Arc;
use tenancy::{ListVersions, Plan, Stop, TenantStatus, TokenSettings, Verification};
use types::plan::HardBounds;
use types::{Limits, ProjectId, TenantId, TimestampMs};

/// How the principals of tokens begin; what follows is the token's subject.
pub const TOKEN_PRINCIPAL: &str = "jwt:";

pub struct ProjectSnapshot {
    pub project: ProjectId,
    pub tenant: TenantId,
    pub status: TenantStatus,
    pub plan: Plan,
    /// The tighter of the project's own and the plan's.
    pub limits: Limits,
    /// What the plan allows the tenant in a month.
    pub bounds: HardBounds,
    /// Why further use is refused, and until when.
    pub stop: Option<Stop>,
    pub(crate) tokens: TokenTrust,
    pub(crate) lists: Option<Arc<Lists>>,
    pub(crate) meters: Arc<Meters>,
}

impl std::fmt::Debug for ProjectSnapshot {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{} as last read", self.project)
    }
}

/// Whom the project trusts to sign tokens.
#[derive(Debug, Default)]
pub(crate) struct TokenTrust {
    /// By name.
    pub keys: Vec<(Arc<str>, VerifyingKey)>,
    pub settings: TokenSettings,
    /// Per subject the moment before which tokens were issued that count no more.
    pub revoked: HashMap<Box<str>, TimestampMs>,
}

impl ProjectSnapshot {
    /// A signing key that cannot be read is left out with a line in the log: it must not take the
    /// project's other credentials down with it.
    pub(crate) fn new(
        found: Verification,
        lists: Option<Arc<Lists>>,
        meters: &Arc<Meters>,
        sealer: &Sealer,
    ) -> ProjectSnapshot {
        let Verification { tenant, project, keys: stored, settings, allowance, lists: _ } = found;
        let mut keys = Vec::new();
        for key in &stored {
            let opened = Material::decode(&key.material).and_then(|material| {
                VerifyingKey::open(sealer, project.id, &key.kid, key.algorithm, &material)
            });
            match opened {
                Ok(verifying) => keys.push((key.kid.as_str().into(), verifying)),
                Err(error) => {
                    let project = project.id;
                    tracing::error!(%project, key = key.kid, %error, "bad signing key");
                }
            }
        }
        let revoked = settings.revoked.iter();
        let revoked = revoked.map(|it| (it.subject.as_str().into(), it.before)).collect();
        ProjectSnapshot {
            project: project.id,
            tenant: tenant.id,
            status: tenant.status,
            plan: tenant.plan,
            limits: rules::quota::tighter(&project.limits, &allowance.terms.limits),
            bounds: allowance.terms.hard_bounds(),
            stop: allowance.stop,
            tokens: TokenTrust { keys, settings, revoked },
            lists,
            meters: Arc::clone(meters),
        }
    }

    /// Whether the principal was revoked after it was given the token behind these claims.
    pub fn has_revoked(&self, claims: &Claims) -> bool {
        let Some(subject) = claims.principal.0.strip_prefix(TOKEN_PRINCIPAL) else { return false };
        let before = self.tokens.revoked.get(subject);
        before.is_some_and(|&before| claims.issued_at.is_none_or(|issued| issued < before))
    }

    /// Which versions of access lists count; what was decided under others is to be decided
    /// again.
    pub fn list_versions(&self) -> ListVersions {
        self.lists.as_ref().map(|lists| lists.versions).unwrap_or_default()
    }

    /// No credential of a suspended tenant counts.
    pub fn is_suspended(&self) -> bool {
        self.status == TenantStatus::Suspended
    }
}

impl TokenTrust {
    pub fn key(&self, name: &str) -> Option<&(Arc<str>, VerifyingKey)> {
        self.keys.iter().find(|(known, _)| **known == *name)
    }
}
