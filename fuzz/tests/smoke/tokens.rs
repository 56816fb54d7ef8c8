//! What clients present to be let in: the text of API keys and of tokens.

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use bolero::check;
use identity::ApiKeyText;
use identity::token::{parse, split_kid};

const TOKEN_BYTES_MAX: usize = 8 * 1024;

#[test]
fn api_key_text() {
    check!().with_iterations(20_000).for_each(|input: &[u8]| {
        let text = String::from_utf8_lossy(input);
        for start in ["", "ms_live_", "ms_test_"] {
            let text = format!("{start}{text}");
            if let Some(key) = ApiKeyText::parse(&text) {
                assert!(text.contains(key.lookup));
            }
        }
    });
}

/// A token that reads also answers what it says, whatever that is.
fn read(text: &str) {
    if let Ok(token) = parse(text, TOKEN_BYTES_MAX) {
        assert!(text.len() <= TOKEN_BYTES_MAX);
        let _ = token.project();
        let _ = token.claims.scopes();
        let _ = token.claims.grants();
    }
}

#[test]
fn token_text() {
    check!().with_iterations(20_000).for_each(|input: &[u8]| {
        let text = String::from_utf8_lossy(input);
        read(&text);
        let _ = split_kid(&text);
    });
}

#[test]
fn token_header_and_claims() {
    check!().with_iterations(20_000).for_each(|input: &[u8]| {
        let encoded = URL_SAFE_NO_PAD.encode(input);
        let header = URL_SAFE_NO_PAD.encode(r#"{"alg":"HS256","kid":"prj_0.main"}"#);
        let claims = URL_SAFE_NO_PAD.encode(r#"{"sub":"user","exp":1}"#);
        read(&format!("{encoded}.{claims}.AA"));
        read(&format!("{header}.{encoded}.AA"));
        read(&format!("{header}.{claims}.{encoded}"));
        // Claims that are nearly right: the input stands where values stand.
        let value = String::from_utf8_lossy(input);
        for claims in [
            format!(r#"{{"sub":"user","exp":{value}}}"#),
            format!(r#"{{"sub":"user","exp":1,"aud":{value}}}"#),
            format!(r#"{{"sub":"user","exp":1,"grants":[{{"filter":"{value}"}}]}}"#),
            format!(r#"{{"sub":"user","exp":1,"scopes":"{value}"}}"#),
        ] {
            read(&format!("{header}.{}.AA", URL_SAFE_NO_PAD.encode(claims)));
        }
    });
}
