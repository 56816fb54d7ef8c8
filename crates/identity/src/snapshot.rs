//! A project as the hot path sees it: read from the control plane now and then, shared by all.

use crate::secrets::Sealer;
use crate::signing::{Material, VerifyingKey};
use std::sync::Arc;
use tenancy::{Plan, TenantStatus, TokenSettings, Verification};
use types::{Limits, ProjectId, TenantId};

#[derive(Debug)]
pub struct ProjectSnapshot {
    pub project: ProjectId,
    pub tenant: TenantId,
    pub status: TenantStatus,
    pub plan: Plan,
    pub limits: Limits,
    pub(crate) tokens: TokenTrust,
}

/// Whom the project trusts to sign tokens.
#[derive(Debug, Default)]
pub(crate) struct TokenTrust {
    /// By name.
    pub keys: Vec<(Arc<str>, VerifyingKey)>,
    pub settings: TokenSettings,
}

impl ProjectSnapshot {
    /// A signing key that cannot be read is left out with a line in the log: it must not take the
    /// project's other credentials down with it.
    pub(crate) fn new(found: Verification, sealer: &Sealer) -> ProjectSnapshot {
        let Verification { tenant, project, keys: stored, settings } = found;
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
        ProjectSnapshot {
            project: project.id,
            tenant: tenant.id,
            status: tenant.status,
            plan: tenant.plan,
            limits: project.limits,
            tokens: TokenTrust { keys, settings },
        }
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
