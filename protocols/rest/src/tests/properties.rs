//! Properties 1 and 2 over REST.

use super::Stage;
use base64::Engine;
use port::{Code, Refusal};
use proptest::prelude::*;
use serde_json::{Value, json};
use testkit::memory_hub::Call;

/// A record any client may send, with the bytes it must be stored with.
fn valid_record() -> impl Strategy<Value = (Value, Vec<u8>)> {
    let data = prop_oneof![
        any::<i64>().prop_map(|n| json!({"n": n})),
        any::<String>().prop_map(|text| json!({"text": text, "list": [1, null, true]})),
        prop::collection::vec(any::<u32>(), 0..20).prop_map(|list| json!(list)),
    ];
    let value = prop_oneof![
        data.prop_map(|data| (json!({"data": data}), data.to_string().into_bytes())),
        any::<Vec<u8>>().prop_map(|bytes| {
            let text = base64::engine::general_purpose::STANDARD.encode(&bytes);
            (json!({"data_base64": text}), bytes)
        }),
    ];
    let key = prop::option::of(any::<String>());
    let headers = prop::collection::btree_map("[a-l]{1,8}", any::<String>(), 0..4);
    (value, "[A-Za-z0-9._-]{1,20}x", key, headers).prop_map(
        |((mut body, bytes), topic, key, headers)| {
            body["topic"] = json!(topic);
            body["headers"] = json!(headers);
            if let Some(key) = key {
                body["key"] = json!(key);
            }
            (body, bytes)
        },
    )
}

fn block_on<T>(work: impl Future<Output = T>) -> T {
    tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap().block_on(work)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(128))]

    /// **Feature: realtime-saas-platform, Property 1: valid credentials and a valid event always
    /// give acceptance and a success answer over REST**
    #[test]
    fn a_valid_event_is_accepted((body, bytes) in valid_record(), as_list in any::<bool>()) {
        block_on(async {
            let stage = Stage::new();
            let sent = if as_list { json!([body]) } else { body.clone() };
            let answer = stage.publish(&sent).await;
            prop_assert_eq!(answer.status.as_u16(), 200, "{:?}", answer);
            let place = if as_list { &answer.body[0] } else { &answer.body };
            prop_assert_eq!(&place["topic"], &body["topic"]);
            prop_assert_eq!(&place["offset"], &json!(0));
            let stored = stage.stored(body["topic"].as_str().unwrap()).await;
            prop_assert_eq!(stored.len(), 1);
            prop_assert_eq!(&stored[0].record.value.as_ref().unwrap()[..], &bytes[..]);
            let key = stored[0].record.key.as_ref().and_then(|key| key.as_str());
            prop_assert_eq!(key, body["key"].as_str());
            Ok(())
        })?;
    }

    /// **Feature: realtime-saas-platform, Property 2: no REST event is accepted before its payload
    /// passed the topic's schema**
    ///
    /// The verdict is the hub's; over REST it decides alone: what the schema refuses is answered
    /// with a refusal that names the record, and nothing of its topic is stored.
    #[test]
    fn what_the_schema_refuses_is_not_accepted(
        records in prop::collection::vec(valid_record(), 1..6),
        at in any::<prop::sample::Index>(),
    ) {
        block_on(async {
            let stage = Stage::new();
            let bodies: Vec<Value> = records
                .iter()
                .map(|(body, _)| {
                    let mut body = body.clone();
                    body["topic"] = json!("strict");
                    body
                })
                .collect();
            let bad = at.index(bodies.len());
            let field = format!("records[{bad}].data");
            let verdict = Refusal::new(Code::InvalidEventPayload, "not so").field(&field);
            stage.hub.refuse_next(Call::Append, verdict);
            let answer = stage.publish(&json!(bodies)).await;
            prop_assert_eq!(answer.status.as_u16(), 400);
            prop_assert_eq!(&answer.body["error"]["code"], "INVALID_EVENT_PAYLOAD");
            prop_assert_eq!(&answer.body["error"]["details"]["field"], &json!(field));
            prop_assert!(stage.stored("strict").await.is_empty());
            let answer = stage.publish(&json!(bodies)).await;
            prop_assert_eq!(answer.status.as_u16(), 200);
            prop_assert_eq!(stage.stored("strict").await.len(), bodies.len());
            Ok(())
        })?;
    }
}
