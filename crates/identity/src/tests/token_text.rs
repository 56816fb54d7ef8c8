//! The text of tokens: nothing makes reading it panic, and size is checked first.

use crate::token::{kid, parse, split_kid};
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use proptest::prelude::*;
use serde_json::json;
use types::ProjectId;
use uuid::Uuid;

fn encode(text: &str) -> String {
    URL_SAFE_NO_PAD.encode(text)
}

#[test]
fn what_is_not_a_token() {
    let header = encode(r#"{"alg":"HS256"}"#);
    let claims = encode(r#"{"sub":"a","exp":1}"#);
    assert!(parse(&format!("{header}.{claims}.AA"), 8_192).is_ok());
    let check = |text: String, part: &str| {
        let why = parse(&text, 8_192).unwrap_err();
        assert!(why.contains(part), "{text}: {why}");
    };
    check(String::new(), "three parts");
    check("a.b".to_owned(), "three parts");
    check(format!("{header}.{claims}.AA.AA"), "three parts");
    check(format!("{header}.{claims}.AA.AA.AA"), "three parts");
    check(format!("{}.{claims}.AA", encode("[]")), "header");
    check(format!("{header}=.{claims}.AA"), "header");
    check(format!("{header}.{}.AA", encode("{}")), "claims");
    check(format!("{header}.{}.AA", encode(r#"{"sub":"a","sub":"b","exp":1}"#)), "claims");
    check(format!("{header}.{}.AA", encode(&"[".repeat(5_000))), "claims");
    check(format!("{header}.{claims}.{}", "A".repeat(9_000)), "more than 8192 bytes");
    let long = encode(&json!({"alg": "HS256", "kid": "k".repeat(300)}).to_string());
    check(format!("{long}.{claims}.AA"), "too long");
}

#[test]
fn key_ids_name_their_project() {
    let project = ProjectId(Uuid::from_u128(7));
    assert_eq!(split_kid(&kid(project, "main")), Some((project, "main")));
    for other in ["", ".", "main", "prj_.main", "prj_00.main", "7f3a.b"] {
        assert_eq!(split_kid(other), None, "{other}");
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(512))]

    #[test]
    fn no_text_makes_reading_panic(
        text in "\\PC{0,200}", header in "\\PC{0,60}", claims in "\\PC{0,60}",
        bytes in proptest::collection::vec(any::<u8>(), 0..200),
    ) {
        let built = format!("{}.{}.AA", encode(&header), encode(&claims));
        let raw = String::from_utf8_lossy(&bytes);
        for text in [text.as_str(), &built, &raw] {
            if let Ok(token) = parse(text, 8_192) {
                let _ = (token.project(), token.claims.scopes(), token.claims.grants());
            }
        }
    }

    #[test]
    fn no_claims_make_reading_panic(
        exp in any::<f64>(), nbf in any::<i64>(), aud in "[a-z_0]{0,40}", names in
        proptest::collection::vec("[a-z:]{0,16}", 0..5), filter in "[a-z/+#]{0,12}",
    ) {
        let header = encode(r#"{"alg":"EdDSA","kid":"x.y"}"#);
        let claims = json!({"sub": "a", "exp": exp, "nbf": nbf, "aud": [aud], "scopes": names,
            "grants": [{"filter": filter}]});
        let text = format!("{header}.{}.AA", encode(&claims.to_string()));
        if let Ok(token) = parse(&text, 8_192) {
            let _ = (token.project(), token.claims.scopes(), token.claims.grants());
        }
    }
}
