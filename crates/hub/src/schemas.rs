//! The schemas of a topic: which version judges a value, what may follow the newest, and the
//! history. How a schema judges is `rules`' part.

use crate::node::Node;
use crate::topic::{Definition, Topic};
use port::schemas::{SchemaDraft, SchemaInfo, Schemas};
use port::{Code, Identity, Refusal};
use rules::Schema;
use std::collections::BTreeMap;
use std::sync::Arc;
use tenancy::SchemaVersion;
use types::{Record, SchemaKind, TopicConfig, TopicName, record};

/// Versions that a value may name, the newest ones.
pub const VERSIONS_USABLE_MAX: usize = 32;

/// The versions that values may be written with, ready to judge. Empty for a topic without a
/// schema.
#[derive(Debug, Clone, Default)]
pub struct Versions(BTreeMap<u32, Arc<Schema>>);

impl Versions {
    /// Of what the database has. A version that cannot be compiled any more is left out: values
    /// that name it are refused.
    pub fn compile(found: Vec<SchemaVersion>) -> Versions {
        let compiled = found.into_iter().filter_map(|found| {
            match Schema::compile(found.kind, &found.schema) {
                Ok(schema) => Some((found.version, Arc::new(schema))),
                Err(refusal) => {
                    let version = found.version;
                    tracing::error!(version, %refusal, "a stored schema cannot be used");
                    None
                }
            }
        });
        Versions(compiled.collect())
    }

    /// With one more, the oldest given up for it.
    #[must_use]
    pub fn with(&self, version: u32, schema: Schema) -> Versions {
        let mut versions = self.0.clone();
        versions.insert(version, Arc::new(schema));
        while versions.len() > VERSIONS_USABLE_MAX {
            versions.pop_first();
        }
        Versions(versions)
    }

    pub fn newest(&self) -> Option<(u32, &Schema)> {
        self.0.last_key_value().map(|(version, schema)| (*version, &**schema))
    }

    /// The version that the record satisfies: the one it names, else the newest; `None` when the
    /// topic has no schema. A tombstone has no value to check: it takes the key's value away
    /// whatever its shape was.
    pub fn judge(&self, record: &Record) -> Result<Option<u32>, Refusal> {
        let named = record.header(record::header::SCHEMA_VERSION).map(|text| named(text));
        let (version, schema) = match (named.transpose()?, self.newest()) {
            (None, None) => return Ok(None),
            (None, Some(newest)) => newest,
            (Some(version), _) => {
                let found = self.0.get(&version).ok_or_else(|| {
                    Refusal::new(
                        Code::SchemaNotFound,
                        format!("the topic takes no values of schema version {version}"),
                    )
                    .field(format!("headers.{}", record::header::SCHEMA_VERSION))
                    .hint("leave the header out to be judged by the newest version")
                })?;
                (version, &**found)
            }
        };
        if let Some(value) = &record.value {
            schema.check_bytes(value).map_err(|refusal| {
                let inner = refusal.field_name().unwrap_or_default().to_owned();
                refusal.field(format!("data{inner}"))
            })?;
        }
        Ok(Some(version))
    }
}

fn named(text: &[u8]) -> Result<u32, Refusal> {
    let text = std::str::from_utf8(text).ok();
    text.and_then(|text| text.parse().ok()).ok_or_else(|| {
        Refusal::new(Code::InvalidRequest, "the schema's version is a number")
            .field(format!("headers.{}", record::header::SCHEMA_VERSION))
    })
}

/// What the new configuration makes of the schemas, checked against the promise that the topic
/// gives from now on.
pub fn successor(now: &Definition, config: &TopicConfig) -> Result<Option<Schema>, Refusal> {
    let Some(source) = &config.schema else { return Ok(None) };
    let schema = Schema::compile(config.schema_kind, source)?;
    let is_same = now.config.schema.as_ref() == Some(source);
    if let Some((_, before)) = now.versions.newest()
        && now.config.schema.is_some()
        && !(is_same && now.config.schema_kind == config.schema_kind)
    {
        schema.may_follow(before, config.schema_compatibility)?;
    }
    Ok(Some(schema))
}

impl Node {
    pub(crate) async fn list_schemas(
        &self,
        who: &Identity,
        name: &TopicName,
        after: u32,
        limit: usize,
    ) -> Result<Schemas, Refusal> {
        self.may_see_topic(who, name)?;
        self.existing(who, name)?;
        let (tenant, project) = (who.tenant(), who.project());
        let page = self.tenancy.topic_schemas(tenant, project, name, after, limit).await?;
        let schemas = page.items.into_iter().map(info).collect();
        Ok(Schemas { schemas, has_more: page.has_more })
    }

    pub(crate) async fn one_schema(
        &self,
        who: &Identity,
        name: &TopicName,
        version: u32,
    ) -> Result<SchemaInfo, Refusal> {
        self.may_see_topic(who, name)?;
        self.existing(who, name)?;
        let found = self.tenancy.topic_schema(who.tenant(), who.project(), name, version).await;
        found.map(info).map_err(|error| match error {
            tenancy::TenancyError::NotFound { .. } => Refusal::new(
                Code::SchemaNotFound,
                format!("the topic `{name}` never had a schema version {version}"),
            )
            .field("version"),
            error => error.into(),
        })
    }

    pub(crate) async fn register_schema(
        &self,
        who: &Identity,
        name: &TopicName,
        draft: SchemaDraft,
    ) -> Result<(SchemaInfo, bool), Refusal> {
        self.may_manage(who, name)?;
        let (who, name) = (who.clone(), name.clone());
        let work = |node: Arc<Node>| async move {
            let _one_at_a_time = node.definitions.lock().await;
            let topic = node.existing(&who, &name)?;
            let before = topic.definition.load().schema_version;
            let config = with_schema(&topic, draft);
            node.alter(&who, &topic, config).await?;
            let version = topic.definition.load().schema_version;
            let found = node.tenancy.topic_schema(who.tenant(), who.project(), &name, version);
            Ok((info(found.await?), version != before))
        };
        self.to_the_end(work).await
    }

    pub(crate) fn judge_schema(
        &self,
        who: &Identity,
        name: &TopicName,
        draft: SchemaDraft,
    ) -> Result<(), Refusal> {
        self.may_see_topic(who, name)?;
        let topic = self.existing(who, name)?;
        let config = with_schema(&topic, draft);
        successor(&topic.definition.load(), &config).map(drop)
    }
}

fn with_schema(topic: &Topic, draft: SchemaDraft) -> TopicConfig {
    let mut config = topic.definition.load().config.clone();
    config.schema = Some(draft.schema);
    config.schema_kind = draft.kind;
    config
}

fn info(found: SchemaVersion) -> SchemaInfo {
    SchemaInfo {
        version: found.version,
        kind: found.kind,
        schema: found.schema,
        created_at: found.created_at,
    }
}

/// A schema alone says nothing of which kind it is; without one the kind means nothing.
pub fn check_kind(config: &TopicConfig) -> Result<(), Refusal> {
    if config.schema.is_none() && config.schema_kind != SchemaKind::default() {
        let message = "a topic without a schema has no kind of schema";
        return Err(Refusal::new(Code::InvalidRequest, message).field("schema_kind"));
    }
    Ok(())
}
