//! Identifiers in paths, each refused by name when it is malformed. It must not ask whether what
//! they name exists.

use axum::extract::{FromRequestParts, RawPathParams};
use http::request::Parts;
use port::{Code, ConnectionId, Refusal};
use std::fmt::Display;
use std::str::FromStr;
use tenancy::{
    AcceptanceId, AlertChannelId, AlertRuleId, AlertSilenceId, ApprovalId, BindingId, BudgetId,
    IdentityId, PasskeyId, Plan, ProviderId, RevocationId, RoleId, SessionId, SigningKeyId, UserId,
    WebhookId,
};
use types::{KeyId, ProjectId, TenantId};
use wire_http::Rejection;

/// `{tenant}`
#[derive(Debug, Clone, Copy)]
pub(crate) struct TenantPath(pub(crate) TenantId);

/// `{tenant}` and `{project}`
#[derive(Debug, Clone, Copy)]
pub(crate) struct ProjectPath {
    pub(crate) tenant: TenantId,
    pub(crate) project: ProjectId,
}

/// A Kafka group of a project.
#[derive(Debug, Clone)]
pub(crate) struct KafkaGroupPath {
    pub(crate) tenant: TenantId,
    pub(crate) project: ProjectId,
    pub(crate) group: String,
}

/// `{key}`
#[derive(Debug, Clone, Copy)]
pub(crate) struct KeyPath(pub(crate) KeyId);

/// `{signing_key}`
#[derive(Debug, Clone, Copy)]
pub(crate) struct SigningKeyPath(pub(crate) SigningKeyId);

/// `{revocation}`
#[derive(Debug, Clone, Copy)]
pub(crate) struct RevocationPath(pub(crate) RevocationId);

/// `{connection}`
#[derive(Debug, Clone, Copy)]
pub(crate) struct ConnectionPath(pub(crate) ConnectionId);

/// `{webhook}`
#[derive(Debug, Clone, Copy)]
pub(crate) struct WebhookPath(pub(crate) WebhookId);

/// `{session}`
#[derive(Debug, Clone, Copy)]
pub(crate) struct SessionPath(pub(crate) SessionId);

/// `{user}`
#[derive(Debug, Clone, Copy)]
pub(crate) struct UserPath(pub(crate) UserId);

/// `{passkey}`
#[derive(Debug, Clone, Copy)]
pub(crate) struct PasskeyPath(pub(crate) PasskeyId);

/// `{user}` and `{passkey}`
#[derive(Debug, Clone, Copy)]
pub(crate) struct UserPasskeyPath {
    pub(crate) user: UserId,
    pub(crate) passkey: PasskeyId,
}

/// `{user}` and `{session}`
#[derive(Debug, Clone, Copy)]
pub(crate) struct UserSessionPath {
    pub(crate) user: UserId,
    pub(crate) session: SessionId,
}

/// `{role}`
#[derive(Debug, Clone, Copy)]
pub(crate) struct RolePath(pub(crate) RoleId);

/// `{binding}`
#[derive(Debug, Clone, Copy)]
pub(crate) struct BindingPath(pub(crate) BindingId);

/// `{provider}`
#[derive(Debug, Clone, Copy)]
pub(crate) struct ProviderPath(pub(crate) ProviderId);

/// `{identity}`
#[derive(Debug, Clone, Copy)]
pub(crate) struct IdentityPath(pub(crate) IdentityId);

/// `{plan}`
#[derive(Debug, Clone)]
pub(crate) struct PlanPath(pub(crate) Plan);

/// `{budget}`
#[derive(Debug, Clone, Copy)]
pub(crate) struct BudgetPath(pub(crate) BudgetId);

/// `{alert_rule}`
#[derive(Debug, Clone, Copy)]
pub(crate) struct AlertRulePath(pub(crate) AlertRuleId);

/// `{alert_channel}`
#[derive(Debug, Clone, Copy)]
pub(crate) struct AlertChannelPath(pub(crate) AlertChannelId);

/// `{alert_silence}`
#[derive(Debug, Clone, Copy)]
pub(crate) struct AlertSilencePath(pub(crate) AlertSilenceId);

/// `{acceptance}`
#[derive(Debug, Clone, Copy)]
pub(crate) struct AcceptancePath(pub(crate) AcceptanceId);

/// `{approval}`
#[derive(Debug, Clone, Copy)]
pub(crate) struct ApprovalPath(pub(crate) ApprovalId);

/// One parameter of the path by name.
async fn param<T>(parts: &mut Parts, name: &'static str) -> Result<T, Rejection>
where
    T: FromStr,
    T::Err: Display,
{
    let params = RawPathParams::from_request_parts(parts, &()).await;
    let text = params
        .as_ref()
        .ok()
        .and_then(|params| params.iter().find(|(found, _)| *found == name).map(|(_, text)| text));
    let bad = |why: String| {
        Refusal::new(Code::InvalidRequest, format!("the path's {name} is not an identifier"))
            .field(name)
            .hint(why)
    };
    match text.map(T::from_str) {
        Some(Ok(value)) => Ok(value),
        Some(Err(error)) => Err(Rejection::new(parts, bad(error.to_string()))),
        None => Err(Rejection::new(parts, bad("the path is not UTF-8 text".to_owned()))),
    }
}

impl<S: Send + Sync> FromRequestParts<S> for TenantPath {
    type Rejection = Rejection;
    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<TenantPath, Rejection> {
        param(parts, "tenant").await.map(TenantPath)
    }
}

impl<S: Send + Sync> FromRequestParts<S> for ProjectPath {
    type Rejection = Rejection;
    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<ProjectPath, Rejection> {
        let tenant = param(parts, "tenant").await?;
        Ok(ProjectPath { tenant, project: param(parts, "project").await? })
    }
}

impl<S: Send + Sync> FromRequestParts<S> for KafkaGroupPath {
    type Rejection = Rejection;
    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<KafkaGroupPath, Rejection> {
        let tenant = param(parts, "tenant").await?;
        let project = param(parts, "project").await?;
        Ok(KafkaGroupPath { tenant, project, group: param(parts, "group").await? })
    }
}

impl<S: Send + Sync> FromRequestParts<S> for KeyPath {
    type Rejection = Rejection;
    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<KeyPath, Rejection> {
        param(parts, "key").await.map(KeyPath)
    }
}

impl<S: Send + Sync> FromRequestParts<S> for SigningKeyPath {
    type Rejection = Rejection;
    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<SigningKeyPath, Rejection> {
        param(parts, "signing_key").await.map(SigningKeyPath)
    }
}

impl<S: Send + Sync> FromRequestParts<S> for RevocationPath {
    type Rejection = Rejection;
    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<RevocationPath, Rejection> {
        param(parts, "revocation").await.map(RevocationPath)
    }
}

impl<S: Send + Sync> FromRequestParts<S> for WebhookPath {
    type Rejection = Rejection;
    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<WebhookPath, Rejection> {
        param(parts, "webhook").await.map(WebhookPath)
    }
}

impl<S: Send + Sync> FromRequestParts<S> for ConnectionPath {
    type Rejection = Rejection;
    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<ConnectionPath, Rejection> {
        param(parts, "connection").await.map(|id| ConnectionPath(ConnectionId(id)))
    }
}

impl<S: Send + Sync> FromRequestParts<S> for SessionPath {
    type Rejection = Rejection;
    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<SessionPath, Rejection> {
        param(parts, "session").await.map(SessionPath)
    }
}

impl<S: Send + Sync> FromRequestParts<S> for UserPath {
    type Rejection = Rejection;
    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<UserPath, Rejection> {
        param(parts, "user").await.map(UserPath)
    }
}

impl<S: Send + Sync> FromRequestParts<S> for PasskeyPath {
    type Rejection = Rejection;
    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<PasskeyPath, Rejection> {
        param(parts, "passkey").await.map(PasskeyPath)
    }
}

impl<S: Send + Sync> FromRequestParts<S> for UserPasskeyPath {
    type Rejection = Rejection;
    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<UserPasskeyPath, Rejection> {
        let user = param(parts, "user").await?;
        Ok(UserPasskeyPath { user, passkey: param(parts, "passkey").await? })
    }
}

impl<S: Send + Sync> FromRequestParts<S> for UserSessionPath {
    type Rejection = Rejection;
    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<UserSessionPath, Rejection> {
        let user = param(parts, "user").await?;
        Ok(UserSessionPath { user, session: param(parts, "session").await? })
    }
}

impl<S: Send + Sync> FromRequestParts<S> for RolePath {
    type Rejection = Rejection;
    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<RolePath, Rejection> {
        param(parts, "role").await.map(RolePath)
    }
}

impl<S: Send + Sync> FromRequestParts<S> for BindingPath {
    type Rejection = Rejection;
    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<BindingPath, Rejection> {
        param(parts, "binding").await.map(BindingPath)
    }
}

impl<S: Send + Sync> FromRequestParts<S> for ProviderPath {
    type Rejection = Rejection;
    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<ProviderPath, Rejection> {
        param(parts, "provider").await.map(ProviderPath)
    }
}

impl<S: Send + Sync> FromRequestParts<S> for IdentityPath {
    type Rejection = Rejection;
    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<IdentityPath, Rejection> {
        param(parts, "identity").await.map(IdentityPath)
    }
}

impl<S: Send + Sync> FromRequestParts<S> for PlanPath {
    type Rejection = Rejection;
    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<PlanPath, Rejection> {
        param(parts, "plan").await.map(PlanPath)
    }
}

impl<S: Send + Sync> FromRequestParts<S> for BudgetPath {
    type Rejection = Rejection;
    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<BudgetPath, Rejection> {
        param(parts, "budget").await.map(BudgetPath)
    }
}

impl<S: Send + Sync> FromRequestParts<S> for AlertRulePath {
    type Rejection = Rejection;
    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<AlertRulePath, Rejection> {
        param(parts, "alert_rule").await.map(AlertRulePath)
    }
}

impl<S: Send + Sync> FromRequestParts<S> for AlertChannelPath {
    type Rejection = Rejection;
    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<AlertChannelPath, Rejection> {
        param(parts, "alert_channel").await.map(AlertChannelPath)
    }
}

impl<S: Send + Sync> FromRequestParts<S> for AlertSilencePath {
    type Rejection = Rejection;
    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<AlertSilencePath, Rejection> {
        param(parts, "alert_silence").await.map(AlertSilencePath)
    }
}

impl<S: Send + Sync> FromRequestParts<S> for AcceptancePath {
    type Rejection = Rejection;
    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<AcceptancePath, Rejection> {
        param(parts, "acceptance").await.map(AcceptancePath)
    }
}

impl<S: Send + Sync> FromRequestParts<S> for ApprovalPath {
    type Rejection = Rejection;
    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<ApprovalPath, Rejection> {
        param(parts, "approval").await.map(ApprovalPath)
    }
}
