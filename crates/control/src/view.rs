//! Records as the API shows them, and what its bodies look like: the wire twins of `tenancy`'s and
//! the seam's types. It must not show a hash, sealed material or a secret.

use port::{ConnectionState, TopicInfo};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use tenancy::{
    ApiKey, AuditRecord, ConfigRevision, Project, SchemaVersion, SigningAlgorithm, SigningKey,
    Tenant, UsageMetric, UsageTotal, UsageWindow,
};
use types::{Limits, TimestampMs};
use utoipa::ToSchema;

#[derive(Serialize, ToSchema)]
#[schema(as = Tenant)]
pub(crate) struct TenantView {
    #[schema(example = "ten_0190a5c3b1f27d8e9a6b4c2d1e0f3a5b")]
    pub(crate) id: String,
    pub(crate) name: String,
    /// `free`, `pro`, `enterprise`, or one of the operator's own.
    pub(crate) plan: String,
    /// `active`, `trial`, `past_due` or `suspended`.
    pub(crate) status: &'static str,
    /// Why it was suspended or resumed.
    pub(crate) status_reason: Option<String>,
    pub(crate) stripe_customer_id: Option<String>,
    /// Milliseconds since 1970.
    pub(crate) created_at: TimestampMs,
}

impl From<Tenant> for TenantView {
    fn from(tenant: Tenant) -> TenantView {
        TenantView {
            id: tenant.id.to_string(),
            name: tenant.name,
            plan: tenant.plan.name().to_owned(),
            status: tenant.status.name(),
            status_reason: tenant.status_reason,
            stripe_customer_id: tenant.stripe_customer_id,
            created_at: tenant.created_at,
        }
    }
}

/// What a project may use; what is absent or `null` has no limit of its own.
#[derive(Serialize, ToSchema)]
#[schema(as = Limits)]
pub(crate) struct LimitsSchema {
    /// Open connections of every protocol together.
    pub(crate) connections_max: Option<u32>,
    pub(crate) websocket_connections_max: Option<u32>,
    pub(crate) sse_connections_max: Option<u32>,
    /// Open connections of one API key, or of one subject of tokens.
    pub(crate) connections_per_principal_max: Option<u32>,
    /// Open subscriptions of all connections together.
    pub(crate) subscriptions_max: Option<u32>,
    /// Open subscriptions of one API key, or of one subject of tokens.
    pub(crate) subscriptions_per_principal_max: Option<u32>,
    pub(crate) topics_max: Option<u32>,
    pub(crate) record_bytes_max: Option<u32>,
    pub(crate) publish_per_second_max: Option<u32>,
    pub(crate) request_per_second_max: Option<u32>,
    pub(crate) storage_bytes_max: Option<u64>,
    /// The oldest records go when they are older, whatever their topic says.
    pub(crate) retention_age_ms_max: Option<u64>,
    /// The oldest records go when the project's topics take more, as stored.
    pub(crate) retention_bytes_max: Option<u64>,
    /// The oldest records go when the project's topics have more.
    pub(crate) retention_records_max: Option<u64>,
    /// Records accepted per calendar month (UTC).
    pub(crate) publish_per_month_max: Option<u64>,
}

#[derive(Serialize, ToSchema)]
#[schema(as = Project)]
pub(crate) struct ProjectView {
    pub(crate) id: String,
    pub(crate) tenant: String,
    pub(crate) name: String,
    #[schema(value_type = LimitsSchema)]
    pub(crate) limits: Limits,
    pub(crate) created_at: TimestampMs,
}

impl From<Project> for ProjectView {
    fn from(project: Project) -> ProjectView {
        ProjectView {
            id: project.id.to_string(),
            tenant: project.tenant.to_string(),
            name: project.name,
            limits: project.limits,
            created_at: project.created_at,
        }
    }
}

#[derive(Serialize, ToSchema)]
#[schema(as = ApiKey)]
pub(crate) struct KeyView {
    pub(crate) id: String,
    pub(crate) project: String,
    pub(crate) name: String,
    /// `live` or `test`.
    pub(crate) mode: &'static str,
    /// Begins the key's text after its mode; not secret.
    pub(crate) prefix: String,
    pub(crate) scopes: Vec<&'static str>,
    /// `null`: bounded by scopes alone.
    #[schema(value_type = Option<Vec<GrantSchema>>)]
    pub(crate) grants: Option<Value>,
    pub(crate) rate_per_second: Option<u32>,
    pub(crate) created_at: TimestampMs,
    pub(crate) expires_at: Option<TimestampMs>,
    pub(crate) revoked_at: Option<TimestampMs>,
    /// The key that this one replaces.
    pub(crate) rotated_from: Option<String>,
    /// Set when the key was replaced: it counts until then.
    pub(crate) grace_until: Option<TimestampMs>,
    /// Counts at this moment.
    pub(crate) is_usable: bool,
}

/// A rule on addresses; with grants an address needs an allowing one, and a denying one wins.
#[derive(Serialize, ToSchema)]
#[schema(as = Grant)]
#[allow(dead_code, reason = "describes; the value itself is read by `identity`")]
pub(crate) struct GrantSchema {
    /// `allow` when absent, or `deny`.
    pub(crate) effect: Option<String>,
    /// `publish` or `subscribe`; both when absent.
    pub(crate) access: Option<String>,
    /// `topic/level/level` with `+` and `#`.
    pub(crate) filter: String,
}

impl KeyView {
    pub(crate) fn new(key: ApiKey, now: TimestampMs) -> KeyView {
        KeyView {
            is_usable: key.is_usable(now),
            id: key.id.to_string(),
            project: key.project.to_string(),
            name: key.name,
            mode: key.mode.name(),
            prefix: key.prefix,
            scopes: key.scopes.iter().map(types::Scope::name).collect(),
            grants: key.grants,
            rate_per_second: key.rate_per_second,
            created_at: key.created_at,
            expires_at: key.expires_at,
            revoked_at: key.revoked_at,
            rotated_from: key.rotated_from.map(|id| id.to_string()),
            grace_until: key.grace_until,
        }
    }
}

#[derive(Serialize, ToSchema)]
#[schema(as = SigningKey)]
pub(crate) struct SigningKeyView {
    pub(crate) id: String,
    pub(crate) name: String,
    /// What tokens signed with it carry as `kid`.
    pub(crate) kid: String,
    /// `HS256`, `RS256`, `ES256` or `EdDSA`.
    #[schema(value_type = String)]
    pub(crate) algorithm: SigningAlgorithm,
    /// PEM, where it is a public key.
    pub(crate) public_key: Option<String>,
    pub(crate) created_at: TimestampMs,
}

impl From<SigningKey> for SigningKeyView {
    fn from(key: SigningKey) -> SigningKeyView {
        let public_key = match identity::signing::Material::decode(&key.material) {
            Ok(identity::signing::Material::PublicKey(pem)) => String::from_utf8(pem).ok(),
            _ => None,
        };
        SigningKeyView {
            id: key.id.to_string(),
            kid: identity::token::kid(key.project, &key.kid),
            name: key.kid,
            algorithm: key.algorithm,
            public_key,
            created_at: key.created_at,
        }
    }
}

#[derive(Serialize, ToSchema)]
#[schema(as = Topic)]
pub(crate) struct TopicView {
    pub(crate) topic: String,
    /// Never used again, even when the name is. Text, because it may pass 2^53.
    pub(crate) topic_id: String,
    pub(crate) partitions: u32,
    #[schema(value_type = String, example = "durable")]
    pub(crate) durability: types::Durability,
    pub(crate) retention: RetentionView,
    #[schema(value_type = String, example = "delete")]
    pub(crate) cleanup: types::Cleanup,
    /// How long a record without a value stays at least in a compacted topic.
    pub(crate) tombstone_ms: u64,
    /// How long the ids of records are remembered against duplicates; 0 for not at all.
    pub(crate) idempotency_window_ms: u64,
    /// Bytes of a record, or of a batch as its publisher made it, at most; `null`: as many as
    /// limits allow.
    pub(crate) message_bytes_max: Option<u32>,
    /// Whether `$occupancy` tells when its addresses come to be followed, and when no more.
    pub(crate) occupancy: bool,
    /// The schema that values must satisfy.
    pub(crate) schema: Option<Value>,
    /// `json_schema` or `avro`.
    #[schema(value_type = String, example = "json_schema")]
    pub(crate) schema_kind: types::SchemaKind,
    /// What another schema must keep towards this one: `none`, `backward`, `forward` or `full`.
    #[schema(value_type = String, example = "backward")]
    pub(crate) schema_compatibility: types::Compatibility,
    /// Subscribers that ask for it get values as differences to the ones before.
    pub(crate) delta: bool,
    /// Counted from 1; 0 without a schema.
    pub(crate) schema_version: u32,
    pub(crate) created_at: TimestampMs,
    pub(crate) stored_bytes: u64,
    /// What each partition holds: from `start`, and up to before `end`.
    pub(crate) offsets: Vec<OffsetsView>,
}

#[derive(Serialize, ToSchema)]
#[schema(as = Retention)]
pub(crate) struct RetentionView {
    pub(crate) age_ms_max: Option<u64>,
    pub(crate) bytes_max: Option<u64>,
    pub(crate) records_max: Option<u64>,
}

#[derive(Serialize, ToSchema)]
#[schema(as = Offsets)]
pub(crate) struct OffsetsView {
    pub(crate) partition: u32,
    pub(crate) start: u64,
    pub(crate) end: u64,
}

/// What can be set on a topic. All of it is optional, and so is the body.
#[derive(Serialize, ToSchema)]
#[schema(as = TopicConfig)]
pub(crate) struct TopicConfigSchema {
    /// Fixed when the topic is created; 1 when absent.
    pub(crate) partitions: Option<u32>,
    /// `durable`, `relaxed` or `ephemeral`.
    pub(crate) durability: Option<String>,
    pub(crate) retention: Option<RetentionView>,
    /// `delete` (default), `compact` or `compact_delete`.
    pub(crate) cleanup: Option<String>,
    /// How long a record without a value stays at least in a compacted topic; a day when absent.
    pub(crate) tombstone_ms: Option<u64>,
    /// How long the ids of records are remembered against duplicates: one day when absent, 0 for
    /// not at all, at most 30 days.
    pub(crate) idempotency_window_ms: Option<u64>,
    /// Bytes of a record, or of a batch as its publisher made it, at most.
    pub(crate) message_bytes_max: Option<u32>,
    /// Tells in `$occupancy` when its addresses get followers or members, and when they lose the
    /// last.
    pub(crate) occupancy: Option<bool>,
    pub(crate) schema: Option<Value>,
    /// `json_schema` when absent, or `avro`.
    pub(crate) schema_kind: Option<String>,
    /// `backward` when absent, `none`, `forward` or `full`.
    pub(crate) schema_compatibility: Option<String>,
    /// Subscribers that ask for it get a key's values as differences to the ones before.
    pub(crate) delta: Option<bool>,
}

impl From<TopicInfo> for TopicView {
    fn from(info: TopicInfo) -> TopicView {
        let offsets = (0..).zip(&info.partitions);
        let offsets = offsets
            .map(|(partition, at)| OffsetsView { partition, start: at.start, end: at.end })
            .collect();
        TopicView {
            topic: info.name.to_string(),
            topic_id: info.id.0.to_string(),
            partitions: info.config.partitions,
            durability: info.config.durability,
            retention: RetentionView {
                age_ms_max: info.config.retention.age_ms_max,
                bytes_max: info.config.retention.bytes_max,
                records_max: info.config.retention.records_max,
            },
            cleanup: info.config.cleanup,
            tombstone_ms: info.config.tombstone_ms,
            idempotency_window_ms: info.config.idempotency_window_ms,
            message_bytes_max: info.config.message_bytes_max,
            occupancy: info.config.occupancy,
            schema: info.config.schema,
            schema_version: info.schema_version,
            schema_kind: info.config.schema_kind,
            schema_compatibility: info.config.schema_compatibility,
            delta: info.config.delta,
            created_at: info.created_at,
            stored_bytes: info.stored_bytes,
            offsets,
        }
    }
}

#[derive(Serialize, ToSchema)]
#[schema(as = SchemaVersion)]
pub(crate) struct SchemaVersionView {
    pub(crate) version: u32,
    /// `json_schema` or `avro`.
    #[schema(value_type = String, example = "json_schema")]
    pub(crate) kind: types::SchemaKind,
    pub(crate) schema: Value,
    pub(crate) created_at: TimestampMs,
}

impl From<SchemaVersion> for SchemaVersionView {
    fn from(version: SchemaVersion) -> SchemaVersionView {
        SchemaVersionView {
            version: version.version,
            kind: version.kind,
            schema: version.schema,
            created_at: version.created_at,
        }
    }
}

#[derive(Serialize, ToSchema)]
#[schema(as = Connection)]
pub(crate) struct ConnectionView {
    pub(crate) id: u64,
    pub(crate) tenant: String,
    pub(crate) project: String,
    pub(crate) principal: String,
    pub(crate) protocol: &'static str,
    pub(crate) address: String,
    pub(crate) opened_at: TimestampMs,
    pub(crate) subscriptions: u32,
}

impl From<ConnectionState> for ConnectionView {
    fn from(open: ConnectionState) -> ConnectionView {
        ConnectionView {
            id: open.id.0,
            tenant: open.tenant.to_string(),
            project: open.project.to_string(),
            principal: open.principal.to_string(),
            protocol: open.protocol,
            address: open.address.to_string(),
            opened_at: open.opened_at,
            subscriptions: open.subscriptions,
        }
    }
}

#[derive(Serialize, ToSchema)]
#[schema(as = UsageWindow)]
pub(crate) struct UsageWindowView {
    pub(crate) project: String,
    #[schema(value_type = String)]
    pub(crate) metric: UsageMetric,
    /// The hour that begins then, in milliseconds since 1970.
    pub(crate) window_start: TimestampMs,
    pub(crate) quantity: u64,
}

impl From<UsageWindow> for UsageWindowView {
    fn from(window: UsageWindow) -> UsageWindowView {
        UsageWindowView {
            project: window.project.to_string(),
            metric: window.metric,
            window_start: window.window_start,
            quantity: window.quantity,
        }
    }
}

#[derive(Serialize, ToSchema)]
#[schema(as = UsageTotal)]
pub(crate) struct UsageTotalView {
    pub(crate) project: String,
    /// `events_published`, `events_delivered`, `connection_seconds`, `api_requests`,
    /// `bytes_published`, `bytes_delivered` or `stored_byte_hours`.
    #[schema(value_type = String)]
    pub(crate) metric: UsageMetric,
    pub(crate) quantity: u64,
}

impl From<UsageTotal> for UsageTotalView {
    fn from(total: UsageTotal) -> UsageTotalView {
        UsageTotalView {
            project: total.project.to_string(),
            metric: total.metric,
            quantity: total.quantity,
        }
    }
}

#[derive(Serialize, ToSchema)]
#[schema(as = AuditRecord)]
pub(crate) struct AuditView {
    pub(crate) id: String,
    /// `null`: a change to the node itself.
    pub(crate) tenant: Option<String>,
    pub(crate) project: Option<String>,
    pub(crate) actor: String,
    /// Noun and verb, such as `key.revoke`.
    pub(crate) action: String,
    /// What was acted upon.
    pub(crate) target: String,
    pub(crate) details: Value,
    pub(crate) at: TimestampMs,
    /// `done`, `refused` or `failed`.
    pub(crate) outcome: &'static str,
    /// Where the request came from.
    pub(crate) address: Option<String>,
    /// The request's id.
    pub(crate) request: Option<String>,
    /// More than 1 for what is told together.
    pub(crate) count: u64,
    /// Its number in the chain; `null` for the moment after it was written.
    pub(crate) sequence: Option<u64>,
    /// The hash of the record before, 64 hexadecimal digits.
    pub(crate) previous: Option<String>,
    /// SHA-256 of `previous` and of the record.
    pub(crate) hash: Option<String>,
}

impl From<AuditRecord> for AuditView {
    fn from(record: AuditRecord) -> AuditView {
        let link = record.link.as_ref();
        AuditView {
            sequence: link.map(|link| link.sequence),
            previous: link.map(|link| link.previous.to_string()),
            hash: link.map(|link| link.hash.to_string()),
            outcome: record.outcome.name(),
            address: record.address,
            request: record.request,
            count: record.count,
            id: record.id.to_string(),
            tenant: record.tenant.map(|id| id.to_string()),
            project: record.project.map(|id| id.to_string()),
            actor: record.actor,
            action: record.action,
            target: record.target,
            details: record.details,
            at: record.at,
        }
    }
}

#[derive(Serialize, ToSchema)]
#[schema(as = ConfigRevision)]
pub(crate) struct RevisionView {
    pub(crate) revision: u64,
    pub(crate) config: Value,
    pub(crate) actor: String,
    pub(crate) note: String,
    pub(crate) at: TimestampMs,
}

impl From<ConfigRevision> for RevisionView {
    fn from(revision: ConfigRevision) -> RevisionView {
        RevisionView {
            revision: revision.revision,
            config: revision.config,
            actor: revision.actor,
            note: revision.note,
            at: revision.at,
        }
    }
}

/// How tokens of a project are checked besides its own signing keys.
#[derive(Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields, default)]
#[schema(as = TokenSettings)]
#[derive(Default)]
pub(crate) struct TokenSettingsView {
    /// Where the tenant publishes its key set (RFC 7517).
    pub(crate) jwks_url: Option<String>,
    /// Values of `aud` that mean this project, besides its own id.
    pub(crate) audiences: Vec<String>,
    /// Values of `iss` that tokens of the published key set must have; empty for any.
    pub(crate) issuers: Vec<String>,
}
