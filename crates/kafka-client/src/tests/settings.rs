//! Files of settings as other clients have them.

use crate::{Error, Sasl, Settings};
use secrecy::ExposeSecret;

fn read(text: &str, password: Option<&str>) -> Result<Settings, Error> {
    Settings::new("a:1, b:2").with_properties(text, password)
}

#[test]
fn files_of_java_and_of_librdkafka_are_understood() {
    let java = "# a comment\nbootstrap.servers = c:3,d:4\nsecurity.protocol=SASL_SSL\n\
        sasl.mechanism=SCRAM-SHA-512\nssl.truststore.location=/ca.pem\nlinger.ms=5\n\
        sasl.jaas.config=org.apache.kafka.common.security.scram.ScramLoginModule required \
        username=\"me\" password=\"a=b;c\";\n";
    let settings = read(java, None).expect("understood");
    assert_eq!(settings.bootstrap, ["c:3", "d:4"]);
    assert!(settings.tls.is_some_and(|tls| tls.ca_file == Some("/ca.pem".into())));
    let Some(Sasl::ScramSha512 { user, password }) = settings.sasl else { panic!("SCRAM") };
    assert_eq!((user.as_str(), password.expose_secret()), ("me", "a=b;c"));
    let rdkafka = "security.protocol=sasl_plaintext\nsasl.username=me\nsasl.password=file\n";
    let settings = read(rdkafka, Some("environment")).expect("understood");
    assert_eq!(settings.bootstrap, ["a:1", "b:2"]);
    let Some(Sasl::Plain { password, .. }) = settings.sasl else { panic!("PLAIN") };
    assert_eq!(password.expose_secret(), "environment");
    let plain = read("sasl.mechanism=PLAIN\nsecurity.protocol=PLAINTEXT", None);
    assert!(plain.expect("understood").sasl.is_none());
}

#[test]
fn what_cannot_be_is_told_without_secrets() {
    let cases = [
        ("security.protocol=FTP", "FTP"),
        ("security.protocol=SASL_SSL", "sasl.username"),
        ("security.protocol=SASL_SSL\nsasl.username=me", "sasl.password"),
        ("sasl.mechanism=GSSAPI\nsasl.username=me\nsasl.password=secret", "GSSAPI"),
        ("sasl.mechanism=OAUTHBEARER", "sasl.oauthbearer.token"),
        ("sasl.password", "sasl.password"),
        ("request.timeout.ms=soon", "request.timeout.ms"),
    ];
    for (text, expected) in cases {
        let error = read(text, None).expect_err(text).to_string();
        assert!(error.contains(expected) && !error.contains("secret"), "{text}: {error}");
    }
    let shown = format!("{:?}", read("sasl.username=me\nsasl.mechanism=PLAIN", Some("secret")));
    assert!(!shown.contains("secret"), "{shown}");
}
