//! Topic definitions: names, numbers, schema versions, and the bound on their count.

use super::{on_each, operator};
use crate::TenancyError;
use serde_json::json;
use types::{
    Cleanup, Compatibility, Durability, Limits, Retention, SchemaKind, TopicConfig, TopicName,
};

fn name(text: &str) -> TopicName {
    TopicName::parse(text).unwrap()
}

fn with_schema(schema: serde_json::Value) -> TopicConfig {
    TopicConfig { schema: Some(schema), ..TopicConfig::default() }
}

#[tokio::test]
async fn a_definition_comes_back_as_it_went() {
    on_each(async |store| {
        let (tenant, project) = store.scope("a").await;
        let config = TopicConfig {
            partitions: 12,
            durability: Durability::Relaxed,
            retention: Retention {
                age_ms_max: Some(1),
                bytes_max: Some(u64::MAX),
                records_max: None,
            },
            cleanup: Cleanup::CompactDelete,
            tombstone_ms: 7,
            idempotency_window_ms: 9,
            message_bytes_max: Some(8),
            occupancy: true,
            schema: Some(json!({"z": 1, "a": {"y": null, "b": [1.5, "ü"]}})),
            schema_kind: SchemaKind::Avro,
            schema_compatibility: Compatibility::Full,
            delta: true,
        };
        let made =
            store.create_topic(tenant, project, &name("t.1"), &config, &operator()).await.unwrap();
        assert_eq!((made.schema_version, &made.config), (1, &config));
        let found = store.topic(tenant, project, &name("t.1")).await.unwrap();
        assert_eq!(found, made);
        let schema = store.topic_schema(tenant, project, &name("t.1"), 1).await.unwrap();
        assert_eq!((schema.kind, Some(schema.schema)), (SchemaKind::Avro, config.schema));
        for version in [0, 2] {
            let missing = store.topic_schema(tenant, project, &name("t.1"), version).await;
            assert_eq!(missing, Err(TenancyError::NotFound { what: "schema" }));
        }
        assert!(made.id.0 > 0 && i64::try_from(made.id.0).is_ok());
    })
    .await;
}

#[tokio::test]
async fn a_deleted_name_is_free_and_its_number_is_not() {
    on_each(async |store| {
        let (tenant, project) = store.scope("a").await;
        let (by, config) = (operator(), TopicConfig::default());
        let first = store.create_topic(tenant, project, &name("t"), &config, &by).await.unwrap();
        let taken = store.create_topic(tenant, project, &name("t"), &config, &by).await;
        assert!(matches!(taken, Err(TenancyError::Conflict { .. })), "{taken:?}");
        let gone = store.delete_topic(tenant, project, &name("t"), &by).await.unwrap();
        assert_eq!(gone, first);
        let missing = Err(TenancyError::NotFound { what: "topic" });
        assert_eq!(store.topic(tenant, project, &name("t")).await, missing);
        assert_eq!(store.delete_topic(tenant, project, &name("t"), &by).await, missing);
        assert_eq!(store.alter_topic(tenant, project, &name("t"), &config, &by).await, missing);
        let second = store.create_topic(tenant, project, &name("t"), &config, &by).await.unwrap();
        assert_ne!(second.id, first.id);
        assert_eq!(store.all_topics().await.unwrap(), vec![second]);
    })
    .await;
}

#[tokio::test]
async fn each_schema_gets_a_version_that_is_never_used_again() {
    on_each(async |store| {
        let (tenant, project) = store.scope("a").await;
        let (by, topic) = (operator(), name("t"));
        let plain = TopicConfig::default();
        let schemas = [json!({"type": "object"}), json!({"type": "array"}), json!({})];
        let made = store.create_topic(tenant, project, &topic, &plain, &by).await.unwrap();
        assert_eq!(made.schema_version, 0);
        let steps = [
            (with_schema(schemas[0].clone()), 1),
            (with_schema(schemas[0].clone()), 1),
            (with_schema(schemas[1].clone()), 2),
            (plain.clone(), 0),
            (with_schema(schemas[2].clone()), 3),
            (TopicConfig { durability: Durability::Relaxed, ..with_schema(json!({})) }, 3),
        ];
        for (config, version) in steps {
            let altered = store.alter_topic(tenant, project, &topic, &config, &by).await.unwrap();
            assert_eq!((altered.schema_version, altered.config), (version, config));
        }
        let kept = store.topic_schemas(tenant, project, &topic, 0, 2).await.unwrap();
        assert!(kept.has_more);
        let rest = store.topic_schemas(tenant, project, &topic, 2, 2).await.unwrap();
        let all: Vec<_> = kept.items.into_iter().chain(rest.items).map(|v| v.schema).collect();
        assert_eq!(all, schemas);
    })
    .await;
}

#[tokio::test]
async fn partitions_are_fixed_and_bounded() {
    on_each(async |store| {
        let (tenant, project) = store.scope("a").await;
        let (by, topic) = (operator(), name("t"));
        for partitions in [0, types::limits::PARTITIONS_MAX + 1] {
            let config = TopicConfig { partitions, ..TopicConfig::default() };
            let refused = store.create_topic(tenant, project, &topic, &config, &by).await;
            assert!(
                matches!(refused, Err(TenancyError::Invalid { field: "partitions", .. })),
                "{refused:?}"
            );
        }
        let config = TopicConfig { partitions: 2, ..TopicConfig::default() };
        store.create_topic(tenant, project, &topic, &config, &by).await.unwrap();
        let more = TopicConfig { partitions: 3, ..TopicConfig::default() };
        let refused = store.alter_topic(tenant, project, &topic, &more, &by).await;
        assert!(
            matches!(refused, Err(TenancyError::Conflict { field: Some("partitions"), .. })),
            "{refused:?}"
        );
    })
    .await;
}

#[tokio::test]
async fn a_project_has_as_many_topics_as_it_may_even_in_a_race() {
    on_each(async |store| {
        let tenant = store.new_tenant("a").await.id;
        let limits = Limits { topics_max: Some(3), ..Limits::default() };
        let project = store.new_project(tenant, "p", limits).await.id;
        let (by, config) = (operator(), TopicConfig::default());
        // The platform's own topic does not count.
        let presence = TopicName::presence();
        store.create_topic(tenant, project, &presence, &config, &by).await.unwrap();
        let names: Vec<TopicName> = (0..8).map(|index| name(&format!("t{index}"))).collect();
        let (a, b, c, d, e, f, g, h) = tokio::join!(
            store.create_topic(tenant, project, &names[0], &config, &by),
            store.create_topic(tenant, project, &names[1], &config, &by),
            store.create_topic(tenant, project, &names[2], &config, &by),
            store.create_topic(tenant, project, &names[3], &config, &by),
            store.create_topic(tenant, project, &names[4], &config, &by),
            store.create_topic(tenant, project, &names[5], &config, &by),
            store.create_topic(tenant, project, &names[6], &config, &by),
            store.create_topic(tenant, project, &names[7], &config, &by),
        );
        let outcomes = [a, b, c, d, e, f, g, h];
        assert_eq!(outcomes.iter().filter(|outcome| outcome.is_ok()).count(), 3);
        let full = TenancyError::LimitReached { what: "topics", max: 3 };
        assert!(outcomes.iter().filter_map(|o| o.as_ref().err()).all(|error| *error == full));
        assert_eq!(store.topics(tenant, project, None, 10).await.unwrap().items.len(), 3);
        assert_eq!(store.all_topics().await.unwrap().len(), 4);
    })
    .await;
}

#[tokio::test]
async fn names_sort_by_bytes_in_every_database() {
    on_each(async |store| {
        let (tenant, project) = store.scope("a").await;
        // A natural language would order these otherwise.
        let mut names = ["b", "B", "a", "A", "_a", "a-b", "ab", "a.b", "Z", "10", "9"];
        for text in names {
            let config = TopicConfig::default();
            store.create_topic(tenant, project, &name(text), &config, &operator()).await.unwrap();
        }
        names.sort_unstable();
        let mut seen: Vec<TopicName> = Vec::new();
        loop {
            let page = store.topics(tenant, project, seen.last(), 2).await.unwrap();
            seen.extend(page.items.into_iter().map(|topic| topic.name));
            if !page.has_more {
                break;
            }
        }
        assert_eq!(seen.iter().map(TopicName::as_str).collect::<Vec<_>>(), names);
    })
    .await;
}

#[tokio::test]
async fn the_node_finds_topics_of_everybody_at_start() {
    on_each(async |store| {
        let mut made = Vec::new();
        for owner in ["one", "other"] {
            let (tenant, project) = store.scope(owner).await;
            for text in ["t", "u"] {
                let config = TopicConfig::default();
                let by = operator();
                let topic = store.create_topic(tenant, project, &name(text), &config, &by).await;
                made.push(topic.unwrap());
            }
        }
        made.sort_by_key(|topic| topic.id);
        assert_eq!(store.all_topics().await.unwrap(), made);
    })
    .await;
}
