//! What a compacted topic may be, and what it takes.

use super::{name, on_shard, record};
use port::{Code, Hub};
use serde_json::json;
use types::{Record, TopicConfig};

#[test]
fn combinations_that_cannot_work_are_refused() {
    let cases = [
        (json!({"cleanup": "compact", "durability": "ephemeral"}), Some("cleanup")),
        (json!({"cleanup": "compact", "retention": {"age_ms_max": 1}}), Some("retention")),
        (json!({"cleanup": "compact", "retention": {"records_max": 1}}), Some("retention")),
        (json!({"cleanup": "compact", "tombstone_ms": u64::MAX}), Some("tombstone_ms")),
        (json!({"retention": {"records_max": 0}}), Some("retention")),
        (json!({"message_bytes_max": 0}), Some("message_bytes_max")),
        (json!({"cleanup": "compact"}), None),
        (json!({"cleanup": "compact_delete", "retention": {"age_ms_max": 1}}), None),
        (json!({"cleanup": "delete", "durability": "ephemeral"}), None),
    ];
    on_shard(async |site| {
        let who = site.owner().await;
        for (index, (config, field)) in cases.into_iter().enumerate() {
            let config: TopicConfig = serde_json::from_value(config.clone()).expect("a config");
            let outcome = site.node.put_topic(&who, &name(&format!("t{index}")), config).await;
            let refused = outcome.err();
            assert_eq!(refused.as_ref().and_then(|it| it.field_name()), field, "{index}");
            assert!(refused.is_none_or(|it| it.code() == Code::InvalidRequest));
        }
    });
}

#[test]
fn a_topic_takes_messages_of_its_size() {
    on_shard(async |site| {
        let who = site.owner().await;
        let (one, two) = (record("k", "1"), record("k", "12"));
        let config = json!({"message_bytes_max": one.size()});
        let config: TopicConfig = serde_json::from_value(config).expect("a config");
        site.node.put_topic(&who, &name("small"), config).await.expect("a topic");
        site.publish(&who, "small", vec![one.clone(), one.clone()]).await;
        let refused = site.node.append(&who, &name("small"), vec![one, two]).await.unwrap_err();
        assert_eq!(refused.code(), Code::PayloadTooLarge);
        assert_eq!(refused.field_name(), Some("message_bytes_max"));
    });
}

#[test]
fn a_compacted_topic_takes_only_records_with_a_key() {
    on_shard(async |site| {
        let who = site.owner().await;
        let config: TopicConfig = serde_json::from_value(json!({"cleanup": "compact"})).unwrap();
        site.node.put_topic(&who, &name("state"), config).await.expect("a topic");
        site.publish(&who, "state", vec![record("k", "1")]).await;
        let without = Record { key: None, ..record("k", "2") };
        let records = vec![record("k", "3"), without];
        let refused = site.node.append(&who, &name("state"), records).await.unwrap_err();
        assert_eq!(refused.code(), Code::InvalidRequest);
        assert_eq!(refused.field_name(), Some("records[1].key"));
        let kept = site.node.topic(&who, &name("state")).await.expect("the topic");
        assert_eq!(kept.partitions[0].end, 1, "nothing of a refused call is stored");
    });
}
