//! Versions of schemas through the node: what may follow, what values are judged by, and that a
//! restart forgets nothing.

use super::{name, on_shard, record};
use bytes::Bytes;
use port::schemas::SchemaDraft;
use port::{Code, Hub};
use serde_json::{Value, json};
use types::{Compatibility, Header, Record, SchemaKind, TopicConfig};

fn json_draft(schema: Value) -> SchemaDraft {
    SchemaDraft { kind: SchemaKind::JsonSchema, schema }
}

fn with_version(mut record: Record, version: &str) -> Record {
    record
        .headers
        .push(Header { name: Bytes::from_static(b"ms-schema"), value: version.to_owned().into() });
    record
}

#[test]
fn a_successor_is_judged_and_gets_a_version() {
    on_shard(async |site| {
        let (who, topic) = (site.owner().await, name("t"));
        site.node.put_topic(&who, &topic, TopicConfig::default()).await.expect("a topic");
        let put = async |schema: Value| {
            let outcome = site.node.put_schema(&who, &topic, json_draft(schema)).await;
            outcome.map(|(info, is_new)| (info.version, is_new)).map_err(|it| it.code())
        };
        assert_eq!(put(json!({"type": "integer"})).await, Ok((1, true)));
        assert_eq!(put(json!({"type": "integer"})).await, Ok((1, false)));
        assert_eq!(put(json!({"type": "string"})).await, Err(Code::SchemaIncompatible));
        assert_eq!(put(json!({"type": "number"})).await, Ok((2, true)));
        assert_eq!(put(json!({"type": 7})).await, Err(Code::InvalidRequest));

        // By the topic's configuration too, and with the promise that comes with it.
        let config = |schema: Value, promise: Compatibility| TopicConfig {
            schema: Some(schema),
            schema_compatibility: promise,
            ..TopicConfig::default()
        };
        let narrower = json!({"type": "integer"});
        let refused = config(narrower.clone(), Compatibility::Full);
        let refused = site.node.put_topic(&who, &topic, refused).await.unwrap_err();
        assert_eq!(refused.code(), Code::SchemaIncompatible);
        let forward = config(narrower, Compatibility::Forward);
        let (info, _) = site.node.put_topic(&who, &topic, forward).await.expect("forward");
        assert_eq!(info.schema_version, 3);

        let check = async |schema: Value| {
            let verdict = site.node.check_schema(&who, &topic, json_draft(schema)).await;
            verdict.map_err(|refusal| refusal.code())
        };
        assert_eq!(check(json!({"type": "integer", "minimum": 0})).await, Ok(()));
        assert_eq!(check(json!({"type": "number"})).await, Err(Code::SchemaIncompatible));

        let all = site.node.schemas(&who, &topic, 0, 2).await.expect("a list");
        let versions: Vec<u32> = all.schemas.iter().map(|info| info.version).collect();
        assert_eq!((versions, all.has_more), (vec![1, 2], true));
        let one = site.node.schema(&who, &topic, 2).await.expect("version 2");
        assert_eq!(one.schema, json!({"type": "number"}));
        for version in [0, 9] {
            let missing = site.node.schema(&who, &topic, version).await.unwrap_err();
            assert_eq!(missing.code(), Code::SchemaNotFound);
        }
    });
}

#[test]
fn values_are_judged_by_the_newest_version_or_the_one_they_name() {
    on_shard(async |site| {
        let (who, topic) = (site.owner().await, name("t"));
        let avro = |kind: &str| SchemaDraft {
            kind: SchemaKind::Avro,
            schema: json!({"type": "record", "name": "N", "fields": [{"name": "n", "type": kind}]}),
        };
        site.node.put_topic(&who, &topic, TopicConfig::default()).await.expect("a topic");
        site.node.put_schema(&who, &topic, avro("float")).await.expect("version 1");
        site.node.put_schema(&who, &topic, avro("double")).await.expect("version 2");
        let publish = async |record: Record| {
            let placed = site.node.append(&who, &topic, vec![record]).await;
            placed
                .map(drop)
                .map_err(|refusal| (refusal.code(), refusal.field_name().map(str::to_owned)))
        };
        let bad_value = (Code::InvalidEventPayload, Some("records[0].data/n".to_owned()));
        let in_header = |code| Err((code, Some("records[0].headers.ms-schema".to_owned())));
        assert_eq!(publish(record("k", "12345678")).await, Ok(()));
        assert_eq!(publish(record("k", "1234")).await, Err(bad_value.clone()));
        assert_eq!(publish(with_version(record("k", "1234"), "1")).await, Ok(()));
        assert!(publish(with_version(record("k", "12345678"), "1")).await.is_err());
        assert_eq!(
            publish(with_version(record("k", "1234"), "7")).await,
            in_header(Code::SchemaNotFound)
        );
        assert_eq!(
            publish(with_version(record("k", "1234"), "x")).await,
            in_header(Code::InvalidRequest)
        );
        let tombstone = Record { value: None, ..record("k", "") };
        assert_eq!(publish(tombstone).await, Ok(()));

        let read = port::ReadRequest {
            topic: topic.clone(),
            from: types::From::Earliest,
            key: None,
            last: None,
            limit: 10,
            wait: std::time::Duration::ZERO,
        };
        let read = site.node.read(&who, read).await.expect("records");
        let versions: Vec<Vec<&[u8]>> = read
            .records
            .iter()
            .map(|delivery| {
                let headers = delivery.record.headers.iter();
                headers.filter(|it| it.name == "ms-schema").map(|it| &it.value[..]).collect()
            })
            .collect();
        assert_eq!(versions, [[b"2"], [b"1"], [b"2"]]);
    });
}
