//! The tables as the database layer sees them. Private to the crate: outside, rows exist only as
//! the records that scoped methods answer.

macro_rules! table {
    ($module:ident, $table:literal, { $($fields:tt)* }) => {
        pub(crate) mod $module {
            use sea_orm::entity::prelude::*;

            #[derive(Clone, Debug, PartialEq, DeriveEntityModel)]
            #[sea_orm(table_name = $table)]
            pub struct Model { $($fields)* }

            #[derive(Copy, Clone, Debug, EnumIter, DeriveRelation)]
            pub enum Relation {}

            impl ActiveModelBehavior for ActiveModel {}
        }
    };
}

table!(tenant, "tenants", {
    #[sea_orm(primary_key, auto_increment = false)]
    pub id: Uuid,
    pub name: String,
    pub plan: String,
    pub status: String,
    pub status_reason: Option<String>,
    /// What `resume` goes back to.
    pub status_before: Option<String>,
    pub stripe_customer_id: Option<String>,
    pub created_at: i64,
});

table!(project, "projects", {
    #[sea_orm(primary_key, auto_increment = false)]
    pub id: Uuid,
    pub tenant_id: Uuid,
    pub name: String,
    pub limits: Json,
    pub token_settings: Json,
    pub created_at: i64,
    /// Counts the changes of its token revocations.
    pub revocations_version: i64,
    /// The version at which one was last taken away: whoever knows an older one reads all anew.
    pub revocations_rebuilt: i64,
});

table!(api_key, "api_keys", {
    #[sea_orm(primary_key, auto_increment = false)]
    pub id: Uuid,
    pub tenant_id: Uuid,
    pub project_id: Uuid,
    pub name: String,
    pub mode: String,
    pub prefix: String,
    pub hash: Vec<u8>,
    pub scopes: Json,
    pub grants: Option<Json>,
    pub rate_per_second: Option<i64>,
    pub created_at: i64,
    pub expires_at: Option<i64>,
    pub revoked_at: Option<i64>,
    pub rotated_from: Option<Uuid>,
    pub grace_until: Option<i64>,
    pub verifier: Option<Vec<u8>>,
});

table!(signing_key, "signing_keys", {
    #[sea_orm(primary_key, auto_increment = false)]
    pub id: Uuid,
    pub tenant_id: Uuid,
    pub project_id: Uuid,
    pub kid: String,
    pub algorithm: String,
    pub material: Vec<u8>,
    pub created_at: i64,
});

table!(user, "users", {
    #[sea_orm(primary_key, auto_increment = false)]
    pub id: Uuid,
    pub email: String,
    pub name: String,
    /// What checks the password; null until an invitation is accepted.
    pub password: Option<String>,
    pub status: String,
    pub is_first: Option<bool>,
    pub created_at: i64,
    pub password_changed_at: Option<i64>,
    pub signed_in_at: Option<i64>,
});

table!(session, "sessions", {
    #[sea_orm(primary_key, auto_increment = false)]
    pub id: Uuid,
    pub user_id: Uuid,
    pub generation: i64,
    pub refresh_hash: Vec<u8>,
    pub device_hash: Vec<u8>,
    pub device_name: String,
    pub address: String,
    pub created_at: i64,
    pub seen_at: i64,
    pub elevated_until: Option<i64>,
    pub ended_at: Option<i64>,
    pub ended_reason: Option<String>,
    /// The provider that vouched for the user; null: he proved himself here.
    pub provider_id: Option<Uuid>,
    pub is_strong: bool,
    /// Null: when it was opened.
    pub proven_at: Option<i64>,
});

table!(device, "devices", {
    #[sea_orm(primary_key, auto_increment = false)]
    pub user_id: Uuid,
    #[sea_orm(primary_key, auto_increment = false)]
    pub device_hash: Vec<u8>,
    pub network: String,
    pub first_seen_at: i64,
    pub seen_at: i64,
});

table!(mail_token, "mail_tokens", {
    #[sea_orm(primary_key, auto_increment = false)]
    pub id: Uuid,
    pub user_id: Uuid,
    pub kind: String,
    pub hash: Vec<u8>,
    pub created_at: i64,
    pub expires_at: i64,
});

table!(second_factor, "second_factors", {
    #[sea_orm(primary_key, auto_increment = false)]
    pub user_id: Uuid,
    pub sealed: Vec<u8>,
    pub created_at: i64,
    pub confirmed_at: Option<i64>,
    /// Of time: codes of this one and of those before count no more.
    pub step: i64,
});

table!(recovery_code, "recovery_codes", {
    #[sea_orm(primary_key, auto_increment = false)]
    pub user_id: Uuid,
    #[sea_orm(primary_key, auto_increment = false)]
    pub hash: Vec<u8>,
});

table!(passkey, "passkeys", {
    #[sea_orm(primary_key, auto_increment = false)]
    pub id: Uuid,
    pub user_id: Uuid,
    pub name: String,
    pub credential_id: Vec<u8>,
    pub public_key: Vec<u8>,
    /// Words with commas between.
    pub transports: String,
    pub count: i64,
    pub is_synced: bool,
    pub created_at: i64,
    pub used_at: Option<i64>,
});

table!(device_sign_in, "device_sign_ins", {
    #[sea_orm(primary_key, auto_increment = false)]
    pub id: Uuid,
    pub user_code: String,
    pub secret_hash: Vec<u8>,
    pub device_hash: Vec<u8>,
    pub device_name: String,
    pub address: String,
    pub state: String,
    pub user_id: Option<Uuid>,
    pub created_at: i64,
    pub expires_at: i64,
    pub asked_at: Option<i64>,
});

table!(spent_challenge, "spent_challenges", {
    #[sea_orm(primary_key, auto_increment = false)]
    pub hash: Vec<u8>,
    pub expires_at: i64,
});

table!(role, "roles", {
    #[sea_orm(primary_key, auto_increment = false)]
    pub id: Uuid,
    pub name: String,
    pub description: String,
    pub permissions: Json,
    pub created_at: i64,
    pub updated_at: i64,
});

table!(topic, "topics", {
    #[sea_orm(primary_key, auto_increment = false)]
    pub id: i64,
    pub tenant_id: Uuid,
    pub project_id: Uuid,
    pub name: String,
    pub config: Json,
    pub schema_version: i64,
    pub created_at: i64,
    pub deleted_at: Option<i64>,
});

table!(topic_schema, "topic_schemas", {
    #[sea_orm(primary_key, auto_increment = false)]
    pub topic_id: i64,
    #[sea_orm(primary_key, auto_increment = false)]
    pub version: i64,
    pub tenant_id: Uuid,
    pub project_id: Uuid,
    pub schema: Json,
    pub kind: String,
    pub created_at: i64,
});

table!(consumer, "consumers", {
    #[sea_orm(primary_key, auto_increment = false)]
    pub id: Uuid,
    pub tenant_id: Uuid,
    pub project_id: Uuid,
    pub topic_id: i64,
    pub name: String,
    pub config: Json,
    pub dead_letter_topic: String,
    pub created_at: i64,
});

table!(usage_window, "usage_windows", {
    #[sea_orm(primary_key, auto_increment = false)]
    pub tenant_id: Uuid,
    #[sea_orm(primary_key, auto_increment = false)]
    pub project_id: Uuid,
    #[sea_orm(primary_key, auto_increment = false)]
    pub metric: String,
    #[sea_orm(primary_key, auto_increment = false)]
    pub window_start: i64,
    pub quantity: i64,
});

table!(plan, "plans", {
    #[sea_orm(primary_key, auto_increment = false)]
    pub name: String,
    pub title: String,
    pub terms: Json,
    pub created_at: i64,
    pub updated_at: i64,
    pub archived_at: Option<i64>,
});

table!(account, "accounts", {
    #[sea_orm(primary_key, auto_increment = false)]
    pub tenant_id: Uuid,
    pub trial_ends_at: Option<i64>,
    pub past_due_at: Option<i64>,
    pub grace_ends_at: Option<i64>,
    pub is_suspended_unpaid: bool,
    pub stop_reason: Option<String>,
    pub stop_until: Option<i64>,
    pub stripe_subscription_id: Option<String>,
    pub stripe_status: Option<String>,
    pub stripe_event_at: Option<i64>,
    pub billed_from: Option<i64>,
});

table!(budget, "budgets", {
    #[sea_orm(primary_key, auto_increment = false)]
    pub id: Uuid,
    pub tenant_id: Uuid,
    pub name: String,
    pub metric: Option<String>,
    pub amount: i64,
    pub action: String,
    pub created_at: i64,
});

table!(usage_notice, "usage_notices", {
    #[sea_orm(primary_key, auto_increment = false)]
    pub tenant_id: Uuid,
    #[sea_orm(primary_key, auto_increment = false)]
    pub period_start: i64,
    #[sea_orm(primary_key, auto_increment = false)]
    pub subject: String,
    pub at: i64,
});

table!(meter_report, "meter_reports", {
    #[sea_orm(primary_key, auto_increment = false)]
    pub identifier: String,
    pub tenant_id: Uuid,
    pub metric: String,
    pub window_start: i64,
    pub part: i64,
    pub quantity: i64,
    pub state: String,
    pub attempts: i64,
    pub certain_attempts: i64,
    pub uncertain_at: Option<i64>,
    pub next_at: i64,
    pub sent_at: Option<i64>,
    pub error: Option<String>,
    pub created_at: i64,
});

table!(stripe_event, "stripe_events", {
    #[sea_orm(primary_key, auto_increment = false)]
    pub id: String,
    pub tenant_id: Option<Uuid>,
    pub kind: String,
    pub created_s: i64,
    pub taken_at: i64,
});

table!(usage_writer, "usage_writers", {
    #[sea_orm(primary_key, auto_increment = false)]
    pub writer: Uuid,
    pub sequence: i64,
    pub at: i64,
});

table!(usage_mark, "usage_marks", {
    #[sea_orm(primary_key, auto_increment = false)]
    pub topic_id: i64,
    #[sea_orm(primary_key, auto_increment = false)]
    pub partition: i64,
    pub next_offset: i64,
    pub at: i64,
});

table!(usage_range, "usage_ranges", {
    #[sea_orm(primary_key, auto_increment = false)]
    pub topic_id: i64,
    #[sea_orm(primary_key, auto_increment = false)]
    pub partition: i64,
    #[sea_orm(primary_key, auto_increment = false)]
    pub window_start: i64,
    pub tenant_id: Uuid,
    pub project_id: Uuid,
    pub from_offset: i64,
    pub to_offset: i64,
    pub records: i64,
    pub bytes: i64,
});

table!(audit, "audit_records", {
    #[sea_orm(primary_key, auto_increment = false)]
    pub id: Uuid,
    pub tenant_id: Option<Uuid>,
    pub project_id: Option<Uuid>,
    pub actor: String,
    pub action: String,
    pub target: String,
    pub details: Json,
    pub at: i64,
    pub outcome: String,
    pub address: Option<String>,
    pub request: Option<String>,
    pub count: i64,
    /// Its place in the chain, once it has one.
    pub sequence: Option<i64>,
    pub previous: Option<Vec<u8>>,
    pub hash: Option<Vec<u8>>,
    pub published_at: Option<i64>,
    pub log_offset: Option<i64>,
});

table!(audit_chain, "audit_chain", {
    #[sea_orm(primary_key, auto_increment = false)]
    pub name: String,
    pub sequence: i64,
    pub hash: Vec<u8>,
    /// The last record that retention took.
    pub anchor_sequence: i64,
    pub anchor_hash: Vec<u8>,
});

table!(audit_sink, "audit_sinks", {
    #[sea_orm(primary_key, auto_increment = false)]
    pub name: String,
    pub sequence: i64,
    pub next_offset: i64,
    pub at: i64,
});

table!(alert_rule, "alert_rules", {
    #[sea_orm(primary_key, auto_increment = false)]
    pub id: Uuid,
    pub name: String,
    pub built_in: Option<String>,
    pub terms: Json,
    pub severity: String,
    pub is_enabled: bool,
    pub created_at: i64,
    pub updated_at: i64,
});

table!(alert_channel, "alert_channels", {
    #[sea_orm(primary_key, auto_increment = false)]
    pub id: Uuid,
    pub name: String,
    pub kind: String,
    pub address: String,
    pub sealed: Option<Vec<u8>>,
    pub severity_min: String,
    pub is_enabled: bool,
    pub created_at: i64,
});

table!(alert_silence, "alert_silences", {
    #[sea_orm(primary_key, auto_increment = false)]
    pub id: Uuid,
    pub rule_id: Option<Uuid>,
    pub labels: Json,
    pub reason: String,
    pub actor: String,
    pub created_at: i64,
    pub ends_at: i64,
});

table!(alert, "alerts", {
    #[sea_orm(primary_key, auto_increment = false)]
    pub id: Uuid,
    pub rule_id: Uuid,
    pub fingerprint: String,
    pub name: String,
    pub severity: String,
    pub labels: Json,
    pub summary: String,
    pub state: String,
    pub value: f64,
    pub started_at: i64,
    pub fired_at: Option<i64>,
    pub seen_at: i64,
    pub resolved_at: Option<i64>,
    pub notified_at: Option<i64>,
});

table!(alert_notice, "alert_notices", {
    #[sea_orm(primary_key, auto_increment = false)]
    pub id: Uuid,
    pub alert_id: Option<Uuid>,
    pub channel_id: Uuid,
    pub kind: String,
    pub body: Json,
    pub attempts: i64,
    pub next_at: i64,
    pub ended_at: Option<i64>,
    pub outcome: Option<String>,
    pub error: Option<String>,
    pub created_at: i64,
});

table!(outbox, "outbox", {
    #[sea_orm(primary_key, auto_increment = false)]
    pub id: Uuid,
    pub tenant_id: Option<Uuid>,
    pub project_id: Option<Uuid>,
    pub kind: String,
    pub payload: Json,
    pub at: i64,
    pub published_at: Option<i64>,
});

table!(webhook, "webhooks", {
    #[sea_orm(primary_key, auto_increment = false)]
    pub id: Uuid,
    pub tenant_id: Uuid,
    pub project_id: Uuid,
    pub url: String,
    pub filter: String,
    pub description: String,
    pub is_enabled: bool,
    pub disabled_reason: Option<String>,
    pub signing: String,
    pub settings: Json,
    pub sealed_headers: Option<Vec<u8>>,
    pub created_at: i64,
    pub updated_at: i64,
});

table!(webhook_secret, "webhook_secrets", {
    #[sea_orm(primary_key, auto_increment = false)]
    pub id: Uuid,
    pub webhook_id: Uuid,
    pub tenant_id: Uuid,
    pub project_id: Uuid,
    pub sealed: Vec<u8>,
    pub public_key: Option<String>,
    pub created_at: i64,
    pub expires_at: Option<i64>,
});

table!(config_revision, "config_revisions", {
    #[sea_orm(primary_key, auto_increment = false)]
    pub revision: i64,
    pub config: Json,
    pub actor: String,
    pub note: String,
    pub at: i64,
});

table!(access_list, "access_lists", {
    #[sea_orm(primary_key, auto_increment = false)]
    pub owner: String,
    #[sea_orm(primary_key, auto_increment = false)]
    pub version: i64,
    pub tenant_id: Option<Uuid>,
    pub project_id: Option<Uuid>,
    /// Null: the list was removed.
    pub list: Option<Json>,
    pub entries: i64,
    pub actor: String,
    pub note: String,
    pub at: i64,
});

table!(bootstrap, "bootstraps", {
    #[sea_orm(primary_key, auto_increment = false)]
    pub name: String,
    pub tenant_id: Uuid,
    pub project_id: Uuid,
});

table!(request, "admin_requests", {
    #[sea_orm(primary_key, auto_increment = false)]
    pub actor: String,
    #[sea_orm(primary_key, auto_increment = false)]
    pub idempotency_key: String,
    pub fingerprint: Vec<u8>,
    pub claimed_at: i64,
    pub status: Option<i64>,
    pub answer: Option<Json>,
});

table!(approval_rule, "approval_rules", {
    #[sea_orm(primary_key, auto_increment = false)]
    pub owner: String,
    #[sea_orm(primary_key, auto_increment = false)]
    pub act: String,
    pub tenant_id: Option<Uuid>,
    pub hours: i64,
    pub actor: String,
    pub at: i64,
});

table!(approval, "approvals", {
    #[sea_orm(primary_key, auto_increment = false)]
    pub id: Uuid,
    pub tenant_id: Option<Uuid>,
    pub project_id: Option<Uuid>,
    pub at_installation: bool,
    pub state: String,
    pub mode: String,
    pub act: String,
    pub method: String,
    pub path: String,
    pub permission: String,
    pub digest: Vec<u8>,
    pub sealed: Vec<u8>,
    pub before: Option<Json>,
    pub before_digest: Option<Vec<u8>>,
    pub asker: String,
    pub asker_user: Option<Uuid>,
    pub address: Option<String>,
    pub reason: String,
    pub asked_at: i64,
    pub expires_at: i64,
    pub decider: Option<String>,
    pub decider_user: Option<Uuid>,
    pub decided_at: Option<i64>,
    pub comment: String,
    pub attempt: i64,
    pub lease_until: Option<i64>,
    pub carried_at: Option<i64>,
    pub ended_at: Option<i64>,
    pub outcome: Option<String>,
    pub status: Option<i64>,
    pub answer: Option<Json>,
    pub sealed_answer: Option<Vec<u8>>,
    pub asked_in: Option<Json>,
    pub decided_in: Option<Json>,
});

pub(crate) mod people;
pub(crate) use people::role_binding;
pub(crate) mod providers;
pub(crate) mod revocations;
pub(crate) mod security;
