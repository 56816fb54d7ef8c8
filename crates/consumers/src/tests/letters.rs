//! A record becomes a dead letter and is itself again.

use crate::{Letter, bury, unbury, without_letter};
use bytes::Bytes;
use types::record::header;
use types::{Header, Key, Record};

fn header(name: &'static str, value: &'static str) -> Header {
    Header {
        name: Bytes::from_static(name.as_bytes()),
        value: Bytes::from_static(value.as_bytes()),
    }
}

#[test]
fn nothing_is_lost_on_the_way() {
    let original = Record {
        key: Some(Key::new("k").unwrap()),
        value: Some(Bytes::from_static(b"v")),
        headers: [header("color", "red"), header(header::ID, "id-7")].into_iter().collect(),
        timestamp: Some(5),
    };
    let letter = Letter {
        reason: "it is broken".to_owned(),
        deliveries: 3,
        consumer: "mail".to_owned(),
        topic: "orders".to_owned(),
        topic_id: u64::MAX,
        partition: 2,
        offset: 99,
        timestamp: 5,
    };
    let buried = bury(&original, &letter);
    assert_eq!((&buried.key, &buried.value), (&original.key, &original.value));
    assert_eq!(buried.timestamp, None, "the log says when it failed");
    assert_eq!(unbury(&buried), Some(letter.clone()));
    assert_eq!(buried.header("dead-letter-id"), Some(&Bytes::from_static(b"id-7")));
    assert_eq!(buried.header(header::ID), None);
    let again = without_letter(&buried);
    assert_eq!(again.headers.to_vec(), [header("color", "red")]);
    assert_eq!(unbury(&again), None);
    // A letter that fails in its turn says where it failed last.
    let twice = bury(&buried, &Letter { reason: "again".to_owned(), ..letter });
    assert_eq!(unbury(&twice).unwrap().reason, "again");
    assert_eq!(twice.headers.len(), buried.headers.len() - 1);
}
