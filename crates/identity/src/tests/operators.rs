//! Operator tokens.

use crate::OperatorTokens;
use port::Code;
use secrecy::SecretString;

#[test]
fn only_the_whole_token_opens() {
    let tokens = [
        SecretString::from("first-operator-token-1234567890"),
        SecretString::from("second-operator-token-123456789"),
    ];
    let tokens = OperatorTokens::new(&tokens).unwrap();
    let check = |presented: &str, expected: bool| {
        let outcome = tokens.check(presented);
        assert_eq!(outcome.is_ok(), expected, "{presented}");
        if let Err(refusal) = outcome {
            assert_eq!(refusal.code(), Code::CredentialMissing);
            assert!(refusal.field_name().is_some() && refusal.hint_text().is_some());
        }
    };
    check("first-operator-token-1234567890", true);
    check("second-operator-token-123456789", true);
    check("first-operator-token-123456789", false);
    check("First-operator-token-1234567890", false);
    check("", false);
    check(&"x".repeat(1_000_000), false);
    assert!(OperatorTokens::new(&[]).unwrap().check("").is_err());
    assert!(OperatorTokens::new(&[SecretString::from("too short")]).is_err());
}
