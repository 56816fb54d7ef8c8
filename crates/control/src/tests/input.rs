//! Bad input is refused by name and never worse.

use super::gate::described;
use super::{Rig, text};
use proptest::prelude::*;
use serde_json::{Value, json};

#[tokio::test]
async fn bodies_are_read_strictly() {
    let rig = Rig::new().await;
    let deep = format!("{}{}", "[".repeat(100_000), "]".repeat(100_000));
    let big = format!("{{\"name\":\"{}\"}}", "x".repeat(2 << 20));
    let table: &[(&[u8], u16, &str, &str)] = &[
        (b"", 400, "INVALID_REQUEST", "body"),
        (b"name=x", 400, "INVALID_REQUEST", "body"),
        (b"{", 400, "INVALID_REQUEST", "body"),
        (b"{\"name\":\"a\"} x", 400, "INVALID_REQUEST", "body"),
        (b"{\"name\":\"\xff\"}", 400, "INVALID_REQUEST", "body"),
        (b"[\"a\"]", 400, "INVALID_REQUEST", "body"),
        (b"{}", 400, "INVALID_REQUEST", "name"),
        (b"{\"name\":1}", 400, "INVALID_REQUEST", "name"),
        (b"{\"name\":\"a\",\"name\":\"b\"}", 400, "INVALID_REQUEST", "name"),
        (b"{\"name\":\"a\",\"plan\":\"gold\"}", 400, "INVALID_REQUEST", "plan"),
        (b"{\"name\":\"a\",\"status\":\"suspended\"}", 400, "INVALID_REQUEST", "status"),
        (b"{\"name\":\"a\",\"colour\":\"red\"}", 400, "UNKNOWN_FIELD", "colour"),
        (deep.as_bytes(), 400, "INVALID_REQUEST", "body"),
        (big.as_bytes(), 413, "PAYLOAD_TOO_LARGE", ""),
    ];
    for (body, status, code, field) in table {
        let request = Rig::request("POST", "/v1/tenants", body.to_vec());
        Rig::send(&rig.router, request).await.refused(*status, code, field);
    }
    assert!(rig.tenancy.tenants(None, 1).await.unwrap().items.is_empty());
}

#[tokio::test]
async fn queries_and_paths_are_read_strictly() {
    let rig = Rig::new().await;
    let (tenant, project) = rig.project("p").await;
    let table = [
        ("/v1/tenants?limit=0".to_owned(), "INVALID_REQUEST", "limit"),
        ("/v1/tenants?limit=1001".to_owned(), "INVALID_REQUEST", "limit"),
        ("/v1/tenants?limit=x".to_owned(), "INVALID_REQUEST", "limit"),
        ("/v1/tenants?limit=1&limit=2".to_owned(), "INVALID_REQUEST", "limit"),
        ("/v1/tenants?page=2".to_owned(), "UNKNOWN_FIELD", "page"),
        ("/v1/tenants?cursor=%25".to_owned(), "INVALID_CURSOR", "cursor"),
        ("/v1/tenants?cursor=AAAA".to_owned(), "INVALID_CURSOR", "cursor"),
        (format!("{tenant}?x=1"), "UNKNOWN_FIELD", "x"),
        (format!("{project}/keys?cursor=AAAA"), "INVALID_CURSOR", "cursor"),
        (format!("{project}/topics?cursor=Lw"), "INVALID_CURSOR", "cursor"),
        ("/v1/connections?cursor=AAAA".to_owned(), "INVALID_CURSOR", "cursor"),
        ("/v1/connections?tenant=prj_1".to_owned(), "INVALID_REQUEST", "tenant"),
        ("/v1/audit?cursor=AAAA".to_owned(), "INVALID_CURSOR", "cursor"),
        (
            "/v1/tenants/prj_0190a5c3b1f27d8e9a6b4c2d1e0f3a5b".to_owned(),
            "INVALID_REQUEST",
            "tenant",
        ),
        ("/v1/tenants/%ff".to_owned(), "INVALID_REQUEST", "tenant"),
        (format!("{tenant}/projects/1"), "INVALID_REQUEST", "project"),
        (format!("{project}/keys/1"), "INVALID_REQUEST", "key"),
    ];
    for (path, code, field) in table {
        let answer = rig.get(&path).await;
        assert_eq!((answer.code(), answer.field()), (code, field), "{path}: {}", answer.body);
        assert_eq!(answer.status.as_u16(), 400, "{path}");
    }
    let nobody = format!("/v1/tenants/ten_{}", "0".repeat(32));
    rig.get(&nobody).await.refused(404, "NOT_FOUND", "");
    assert!(text(&rig.get(&tenant).await.ok(200)["id"]).starts_with("ten_"));
}

fn some_json() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        "[ -~]{0,12}".prop_map(Value::from),
    ];
    let names = prop_oneof![
        Just("name".to_owned()),
        Just("scopes".to_owned()),
        Just("limits".to_owned()),
        Just("reason".to_owned()),
        Just("algorithm".to_owned()),
        Just("config".to_owned()),
        Just("note".to_owned()),
        "[a-z_]{1,8}",
    ];
    leaf.prop_recursive(3, 24, 4, move |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..4).prop_map(Value::from),
            prop::collection::vec((names.clone(), inner), 0..5)
                .prop_map(|members| Value::Object(members.into_iter().collect())),
        ]
    })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(100))]

    /// Whatever is sent to whatever route, the answer is a success or a refusal in the one shape,
    /// and never a fault of the server.
    #[test]
    fn garbage_is_refused_in_the_one_shape(
        sent in prop::collection::vec(
            (any::<prop::sample::Index>(), some_json(), "[ -~]{0,16}"),
            1..8,
        )
    ) {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(async {
            let rig = Rig::new().await;
            let openapi = serde_json::to_value(crate::openapi()).unwrap();
            let routes = described(&openapi);
            for (route, body, query) in sent {
                let (method, path) = route.get(&routes);
                let query: String =
                    query.bytes().map(|byte| format!("%{byte:02x}")).collect();
                for path in [path.clone(), format!("{path}?{query}")] {
                    let answer = rig.call(method, &path, body.clone()).await;
                    let status = answer.status.as_u16();
                    // The rig stands for a node that has no backups and no keys of its own.
                    let is_fault = status >= 500 && status != 501;
                    assert!(!is_fault, "{method} {path} {body}: {status} {}", answer.body);
                    let is_error = status >= 400;
                    assert_eq!(!answer.code().is_empty(), is_error, "{}", answer.body);
                }
            }
            let refused = rig.call("POST", "/v1/tenants", json!({})).await;
            refused.refused(400, "INVALID_REQUEST", "name");
        });
    }
}
