//! Topic settings in Kafka's words.

use crate::apis::settings::{SETTINGS, change};
use types::TopicConfig;
use types::topic::Cleanup;

#[test]
fn every_setting_takes_the_value_it_shows() {
    for setting in SETTINGS {
        let mut config = TopicConfig { partitions: 3, ..TopicConfig::default() };
        let before = config.clone();
        let shown = (setting.get)(&config);
        change(&mut config, setting.name, Some(&shown)).expect(setting.name);
        change(&mut config, setting.name, None).expect(setting.name);
        assert_eq!(config, before, "{}", setting.name);
    }
}

#[test]
fn what_is_asked_for_is_set_or_refused_with_the_reason() {
    let mut config = TopicConfig { partitions: 4, ..TopicConfig::default() };
    change(&mut config, "cleanup.policy", Some("compact, delete")).expect("both");
    assert_eq!(config.cleanup, Cleanup::CompactDelete);
    // Kafka's bound is of a partition, ours of the topic.
    change(&mut config, "retention.bytes", Some("1000")).expect("a number");
    assert_eq!(config.retention.bytes_max, Some(4_000));
    change(&mut config, "retention.ms", Some("-1")).expect("none");
    assert_eq!(config.retention.age_ms_max, None);
    let refused = change(&mut config, "min.insync.replicas", Some("2"));
    assert_eq!(refused, Err("`min.insync.replicas` is always `1` here".to_owned()));
    assert!(change(&mut config, "retention.ms", Some("soon")).is_err());
    // Kafka Streams makes its topics with a size of segments, librdkafka's tests with a codec.
    let before = config.clone();
    for (name, value) in [("segment.bytes", "52428800"), ("compression.type", "lz4")] {
        change(&mut config, name, Some(value)).expect(name);
    }
    assert_eq!(config, before);
    assert!(change(&mut config, "no.such.setting", Some("1")).is_err());
}
