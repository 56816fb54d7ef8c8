//! A project as the hot path sees it: read from the control plane now and then, shared by all.

use crate::access::Meters;
use crate::lists::Lists;
use crate::revocations::Revocations;
use crate::secrets::Sealer;
use crate::signing::{Material, VerifyingKey};
use port::Claims;
use std::sync::Arc;
use tenancy::{ListVersions, Plan, SigningKeyId, Stop, TenantStatus, TokenSettings, Verification};
use types::plan::HardBounds;
use types::{Limits, ProjectId, TenantId};

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
    pub keys: Vec<TrustedKey>,
    pub settings: TokenSettings,
    pub revoked: Arc<Revocations>,
}

/// A signing key of the project.
#[derive(Debug)]
pub(crate) struct TrustedKey {
    /// Of its record: a key of the same name that came later is another one.
    pub id: SigningKeyId,
    pub name: Arc<str>,
    pub key: VerifyingKey,
}

impl ProjectSnapshot {
    /// A signing key that cannot be read is left out with a line in the log: it must not take the
    /// project's other credentials down with it.
    pub(crate) fn new(
        found: Verification,
        lists: Option<Arc<Lists>>,
        revoked: Arc<Revocations>,
        meters: &Arc<Meters>,
        sealer: &Sealer,
    ) -> ProjectSnapshot {
        let Verification { tenant, project, keys: stored, settings, allowance, .. } = found;
        let mut keys = Vec::new();
        for key in &stored {
            let opened = Material::decode(&key.material).and_then(|material| {
                VerifyingKey::open(sealer, project.id, &key.kid, key.algorithm, &material)
            });
            match opened {
                Ok(verifying) => {
                    let name = key.kid.as_str().into();
                    keys.push(TrustedKey { id: key.id, name, key: verifying });
                }
                Err(error) => {
                    let project = project.id;
                    tracing::error!(%project, key = key.kid, %error, "bad signing key");
                }
            }
        }
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

    /// Whether the token behind these claims was taken back.
    pub fn has_revoked(&self, claims: &Claims) -> bool {
        self.tokens.revoked.has(claims)
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
    pub fn key(&self, name: &str) -> Option<&TrustedKey> {
        self.keys.iter().find(|known| *known.name == *name)
    }

    pub fn has_key(&self, id: SigningKeyId) -> bool {
        self.keys.iter().any(|known| known.id == id)
    }
}
