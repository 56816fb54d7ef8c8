//! Who acts, proven. An `Identity` carries the tenant and the project, so no adapter can name
//! another's topic. Only `identity` and `testkit` may call `Identity::mint` (tidy checks it), and
//! a worker for what its owner's `identity` has proven; everybody else receives one from
//! `Hub::authenticate`.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use types::acl::{Attributes, Origin};
use types::{Grant, KeyId, PrincipalId, ProjectId, Scopes, TenantId, TimestampMs};

/// What a verified credential says.
#[derive(Debug, Clone)]
pub struct Claims {
    pub tenant: TenantId,
    pub project: ProjectId,
    pub principal: PrincipalId,
    pub scopes: Scopes,
    /// `None`: bounded by scopes alone.
    pub grants: Option<Arc<[Grant]>>,
    /// The API key behind it, if one is.
    pub key: Option<KeyId>,
    /// When a token was issued, as far as it says.
    pub issued_at: Option<TimestampMs>,
    /// When the credential stops to count; sessions end or refresh before.
    pub expires_at: Option<TimestampMs>,
    /// Sustained requests per second of this credential, if bounded.
    pub rate_per_second: Option<u32>,
    /// Where it was presented; `None`: by nobody from outside.
    pub origin: Option<Origin>,
    /// What a token may be recognised by when it is taken back; `None` for other credentials.
    pub marks: Option<Arc<[TokenMark]>>,
    /// What a token says beyond the claims that mean something here, for access lists to ask.
    pub attributes: Option<Arc<Attributes>>,
}

/// A digest of something that a token says. Only `identity` makes and compares them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct TokenMark(pub [u8; TokenMark::BYTES]);

impl TokenMark {
    pub const BYTES: usize = 16;
}

/// Shared by all sessions of one credential: switched off once when it is revoked.
#[derive(Debug, Default)]
pub struct Liveness(AtomicBool);

impl Liveness {
    pub fn revoke(&self) {
        self.0.store(true, Ordering::Release);
    }

    pub fn is_revoked(&self) -> bool {
        self.0.load(Ordering::Acquire)
    }
}

/// The principal of operators.
pub const OPERATOR: &str = "operator";
/// The principal of the platform's own work: publishing its changes, delivering webhooks.
pub const PLATFORM: &str = "system";

#[derive(Clone)]
pub struct Identity(Arc<(Claims, Arc<Liveness>)>);

impl Identity {
    pub fn mint(claims: Claims, liveness: Arc<Liveness>) -> Identity {
        Identity(Arc::new((claims, liveness)))
    }

    pub fn claims(&self) -> &Claims {
        &self.0.0
    }

    pub fn tenant(&self) -> TenantId {
        self.0.0.tenant
    }

    pub fn project(&self) -> ProjectId {
        self.0.0.project
    }

    pub fn principal(&self) -> &PrincipalId {
        &self.0.0.principal
    }

    /// Whoever operates the installation, acting inside a project. Only `identity` gives this
    /// name: those of keys and tokens begin with `key:` and `jwt:`.
    pub fn is_operator(&self) -> bool {
        &*self.0.0.principal.0 == OPERATOR
    }

    /// The platform itself, working inside a project. Only `identity` gives this name.
    pub fn is_platform(&self) -> bool {
        &*self.0.0.principal.0 == PLATFORM
    }

    pub fn is_revoked(&self) -> bool {
        self.0.1.is_revoked()
    }

    /// The switch that ends what was opened with it, shared with others of the same credential.
    pub fn liveness(&self) -> &Arc<Liveness> {
        &self.0.1
    }

    /// The same number for every clone of this one and for no other, while one of them is held.
    pub fn mark(&self) -> usize {
        Arc::as_ptr(&self.0).addr()
    }

    /// Whether there is another clone of this one.
    pub fn is_shared(&self) -> bool {
        Arc::strong_count(&self.0) > 1
    }
}

impl std::fmt::Debug for Identity {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{} of {}", self.0.0.principal, self.0.0.project)
    }
}
