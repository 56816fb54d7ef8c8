//! The control plane's records: tenants, projects, API keys, signing keys, users, topic
//! definitions, usage, audit and configuration, on SQLite or PostgreSQL with one code path.
//!
//! Every query takes a `TenantId`; the few that cannot are listed, with the reason, in
//! `tests/scoping.rs`, and a test refuses any other. Every administrative write and its audit
//! record are one transaction. This crate must not know protocols, credentials' secrets (it stores
//! hashes and sealed bytes it cannot read) or the log.
#![forbid(unsafe_code)]

mod acceptances;
mod access_lists;
mod accounts;
mod alerts;
mod approvals;
mod audit;
mod bindings;
mod bootstrap;
mod budgets;
mod connect;
mod consumers;
mod device_sign_ins;
mod dump;
mod entity;
mod error;
mod ids;
mod keys;
mod mail_tokens;
mod metering;
mod migration;
mod outbox;
mod page;
mod passkeys;
mod person_attributes;
mod plans;
mod projects;
mod provider_people;
mod providers;
mod requests;
mod revisions;
mod revocations;
mod roles;
mod second_factors;
mod sessions;
mod signing;
mod stripe;
mod survey;
mod tenants;
#[cfg(test)]
mod tests;
mod topics;
mod usage;
mod users;
mod webhooks;

pub use acceptances::{
    ACCEPTANCE_MS_MAX, ACCEPTANCES_MAX, Acceptance, AcceptanceId, NewAcceptance,
};
pub use access_lists::{LIST_VERSIONS_MAX, ListOwner, ListVersion, ListVersions, NewListVersion};
pub use accounts::{Account, Due, Stop};
pub use alerts::state::{
    ALERTS_OPEN_MAX, Alert, AlertId, AlertNotice, AlertNoticeId, AlertState, NewAlertNotice,
    NoticeOutcome,
};
pub use alerts::{
    ALERT_CHANNELS_MAX, ALERT_RULES_MAX, ALERT_SILENCES_MAX, AlertChannel, AlertChannelId,
    AlertRule, AlertRuleId, AlertRulePatch, AlertSilence, AlertSilenceId, ChannelKind,
    NewAlertChannel, NewAlertRule, NewAlertSilence, Severity,
};
pub use approvals::rules::{APPROVAL_HOURS_MAX, APPROVAL_RULES_MAX, ApprovalRule, NewApprovalRule};
pub use approvals::run::{APPROVAL_LEASE_MS, ApprovalEnd, ApprovalTurn};
pub use approvals::{
    APPROVAL_PASS_MS, APPROVALS_WAITING_MAX, Approval, ApprovalFilter, ApprovalId, ApprovalMode,
    ApprovalPlace, ApprovalState, Decider, NewApproval,
};
pub use audit::chain::{AuditEnds, AuditMark};
pub use audit::form::{
    AUDIT_FORM_VERSION, AuditBroken, AuditHash, canonical, link as audit_link, open as open_audit,
    text as audit_text,
};
pub use audit::incidents::{Incident, Incidents, Told};
pub use audit::search::{AUDIT_GROUPS_MAX, AuditCount, AuditFilter};
pub use audit::sinks::SinkPlace;
pub use audit::{Actor, AuditId, AuditLink, AuditOutcome, AuditRecord};
pub use bindings::{BINDINGS_MAX, Binding, BindingId, ConditionsChange, NewBinding};
pub use bootstrap::{Bootstrapped, SYSTEM};
pub use budgets::{BUDGETS_MAX, Budget, BudgetAction, BudgetId, NewBudget};
pub use connect::{Options, Tenancy};
pub use consumers::{Consumer, ConsumerId, ConsumerPlace, ConsumerTerms};
pub use device_sign_ins::{
    DEVICE_SIGN_INS_MAX, DeviceAnswer, DeviceAsking, DeviceSignIn, DeviceSignInId, DeviceWord,
    NewDeviceSignIn,
};
pub use dump::{DUMP_LINE_BYTES_MAX, DumpSink, DumpSize, DumpSource};
pub use error::TenancyError;
pub use keys::{ApiKey, FoundKey, KeyMode, NewKey, RotatedKey};
pub use mail_tokens::{Invited, MailTokenId, MailTokenKind, NewInvitation, Redemption};
pub use metering::{Correction, UsageMark, UsageRange, UsageRangeKey, UsageWrite};
pub use outbox::{EVENT_VERSION, EventId, OutboxBacklog, OutboxEntry, event_kind};
pub use page::{PAGE_ITEMS_MAX, Page};
pub use passkeys::{
    NewPasskey, PASSKEYS_MAX, Passkey, PasskeyAnswer, PasskeyId, PasskeyLogin, PasskeyUse,
    SpentChallenge,
};
pub use person_attributes::{Attributes, NotedOf};
pub use plans::{Allowance, PlanRecord};
pub use projects::{NAME_BYTES_MAX, NewProject, Project, ProjectPatch};
pub use provider_people::{
    IdentityId, LinkedIdentity, NewIdentity, NewSignIn, PendingSignIn, Return, SignInId,
    SignInPurpose,
};
pub use providers::{
    GROUP_RULES_MAX, GroupRule, PROVIDER_DOMAINS_MAX, PROVIDERS_MAX, Provider, ProviderId,
    ProviderSettings, ProviderTerms,
};
pub use requests::{RequestClaim, StoredAnswer};
pub use revisions::ConfigRevision;
pub use revocations::{
    NewRevocation, REVOCATION_KEPT_MS_MAX, REVOCATION_VALUE_BYTES_MAX, REVOCATIONS_MAX, Revocation,
    RevocationHead, RevocationId, RevocationKind, RevocationMark,
};
pub use roles::{NewRole, Role, RoleId, RolePatch};
pub use second_factors::SecondFactor;
pub use sessions::{
    DeviceSeen, NewSession, Proven, Rotation, SESSIONS_MAX, Session, SessionEnd, SessionId,
    SessionTimes, Turnover,
};
pub use signing::{
    NewSigningKey, SigningAlgorithm, SigningKey, SigningKeyId, TokenSettings, Verification,
};
pub use stripe::{
    MeterReport, ReportBacklog, ReportOutcome, ReportState, SubscriptionNote, TakenEvent,
};
pub use survey::{
    SURVEY_LISTS_MAX, SURVEY_MAX, SurveyedPerson, SurveyedSigningKey, SurveyedWebhook,
};
pub use tenants::{NewTenant, Plan, Tenant, TenantPatch, TenantStatus};
pub use topics::{SchemaVersion, Topic};
pub use types::UsageMetric;
pub use usage::{
    USAGE_DAY_MS, USAGE_WINDOW_MS, UsageFilter, UsageStep, UsageTotal, UsageWindow, UsageWindowKey,
};
pub use users::{NewUser, User, UserId, UserLogin, UserStatus};
pub use webhooks::{
    NewWebhook, NewWebhookSecret, WEBHOOKS_LOADED_MAX, WEBHOOKS_MAX, Webhook, WebhookId,
    WebhookPatch, WebhookSecret, WebhookSettings, WebhookSigning,
};

/// What the methods of `Tenancy` answer.
pub type Result<T> = std::result::Result<T, TenancyError>;
