//! Topic names follow Kafka's rule, keys are bounded bytes, identifiers say what they name.

use crate::address::{
    BadAddress, CHANGES_TOPIC, KEY_BYTES_MAX, PRESENCE_TOPIC, TOPIC_NAME_BYTES_MAX,
};
use crate::{Key, KeyId, ProjectId, TenantId, TopicName};
use proptest::prelude::*;

#[test]
fn topic_names() {
    let longest = "a".repeat(TOPIC_NAME_BYTES_MAX);
    let too_long = "a".repeat(TOPIC_NAME_BYTES_MAX + 1);
    let cases = [
        ("orders", Ok(())),
        ("Orders_1.eu-west", Ok(())),
        ("...", Ok(())),
        ("-", Ok(())),
        (longest.as_str(), Ok(())),
        ("", Err(BadAddress::TopicLength)),
        (too_long.as_str(), Err(BadAddress::TopicLength)),
        (".", Err(BadAddress::TopicDots)),
        ("..", Err(BadAddress::TopicDots)),
        ("a b", Err(BadAddress::TopicCharacter)),
        ("a/b", Err(BadAddress::TopicCharacter)),
        ("größe", Err(BadAddress::TopicCharacter)),
        ("a\0", Err(BadAddress::TopicCharacter)),
        ("+", Err(BadAddress::TopicCharacter)),
        ("#", Err(BadAddress::TopicCharacter)),
        (PRESENCE_TOPIC, Err(BadAddress::TopicCharacter)),
        (CHANGES_TOPIC, Ok(())),
        ("$changes.reader.dead", Ok(())),
        ("$changes2", Err(BadAddress::TopicCharacter)),
        ("$changes.$", Err(BadAddress::TopicCharacter)),
        ("$consumers", Err(BadAddress::TopicCharacter)),
    ];
    for (text, want) in cases {
        assert_eq!(TopicName::parse(text).map(|_| ()), want, "{text:?}");
        let json = serde_json::to_string(text).expect("text is JSON");
        let read = serde_json::from_str::<TopicName>(&json);
        assert_eq!(read.is_ok(), want.is_ok(), "{text:?} through serde");
    }
    assert_eq!(TopicName::presence().as_str(), PRESENCE_TOPIC);
}

#[test]
fn keys_are_bounded_bytes() {
    assert!(Key::new(vec![0; KEY_BYTES_MAX]).is_ok());
    assert_eq!(Key::new(vec![0; KEY_BYTES_MAX + 1]), Err(BadAddress::KeyLength));
    assert_eq!(Key::new(&b"a/b"[..]).expect("short").as_str(), Some("a/b"));
    assert_eq!(Key::new(&b"\xff"[..]).expect("short").as_str(), None);
}

#[test]
fn an_identifier_of_one_kind_is_not_one_of_another() {
    let tenant = TenantId(uuid::Uuid::from_u128(7));
    let text = tenant.to_string();
    assert_eq!(text, "ten_00000000000000000000000000000007");
    assert_eq!(text.parse::<TenantId>(), Ok(tenant));
    assert!(text.parse::<ProjectId>().is_err());
    assert!(text.parse::<KeyId>().is_err());
    assert!("ten_7".parse::<TenantId>().is_err());
    assert!("".parse::<TenantId>().is_err());
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(256))]

    #[test]
    fn every_name_of_the_alphabet_is_taken_and_shown_as_it_is(
        text in "[A-Za-z0-9._-]{1,249}"
    ) {
        prop_assume!(text != "." && text != "..");
        let name = TopicName::parse(&text).expect("is valid");
        prop_assert_eq!(name.to_string(), text);
    }

    #[test]
    fn no_text_is_both_refused_and_within_the_rule(text in ".{0,260}") {
        let fits = (1..=249).contains(&text.len())
            && text.bytes().all(|b| b.is_ascii_alphanumeric() || b"._-".contains(&b))
            && text != "."
            && text != "..";
        prop_assert_eq!(TopicName::parse(&text).is_ok(), fits);
    }
}
