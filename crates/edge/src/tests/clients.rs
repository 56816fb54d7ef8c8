//! What is handed on of a certificate, and whose certificates count.

use crate::clients::{ClientTrust, described};
use port::ClientCertificates;
use rcgen::{CertificateParams, DistinguishedName, DnType, KeyPair, SanType, date_time_ymd};
use rustls::crypto::aws_lc_rs::default_provider;
use std::path::PathBuf;
use std::sync::Arc;

fn named(names: &[(DnType, &str)]) -> CertificateParams {
    let mut params = CertificateParams::default();
    params.distinguished_name = DistinguishedName::new();
    for (kind, name) in names {
        params.distinguished_name.push(kind.clone(), *name);
    }
    params
}

#[test]
fn a_subject_is_written_as_rfc_2253_has_it() {
    let pair = KeyPair::generate().expect("a key pair");
    let mail = DnType::CustomDnType(vec![1, 2, 840, 113_549, 1, 9, 1]);
    let mut params = named(&[
        (DnType::CountryName, "DE"),
        (DnType::OrganizationName, "a,CN=key_b"),
        (DnType::OrganizationalUnitName, " #x\\\"<y>;+ "),
        (mail, "m"),
        (DnType::CommonName, "#shop"),
    ]);
    params.not_after = date_time_ymd(2030, 1, 2);
    let name = |text: &str| text.try_into().expect("a name");
    params.subject_alt_names = vec![
        SanType::DnsName(name("a.example")),
        SanType::Rfc822Name(name("m@example.org")),
        SanType::URI(name("spiffe://example/a")),
        SanType::DnsName(name("b.example")),
    ];
    let made = params.self_signed(&pair).expect("a certificate");
    let read = described(made.der()).expect("it can be read");
    let expected = "CN=\\#shop,1.2.840.113549.1.9.1=#0c016d,OU=\\ #x\\\\\\\"\\<y\\>\\;\\+\\ ,\
                    O=a\\,CN=key_b,C=DE";
    assert_eq!(read.subject, expected);
    assert_eq!(read.dns_names, ["a.example", "b.example"]);
    assert_eq!(read.emails, ["m@example.org"]);
    assert_eq!(read.uris, ["spiffe://example/a"]);
    assert_eq!(read.ends_at, 1_893_542_400_000);
    assert_eq!(described(b"no certificate"), None);
}

#[test]
fn files_that_hold_nobody_are_refused_and_new_ones_are_read() {
    let folder = std::env::temp_dir().join(format!("mainstem-clients-{}", std::process::id()));
    std::fs::create_dir_all(&folder).expect("a folder");
    let (ca, revoked) = (folder.join("ca.pem"), folder.join("crl.pem"));
    let load = |revoked: Option<&PathBuf>| {
        let revoked = revoked.cloned();
        let source = ClientCertificates { ca: ca.clone(), revoked, is_required: true };
        ClientTrust::load(source, Arc::new(default_provider()))
    };
    assert!(load(None).is_err(), "there is no file");
    std::fs::write(&ca, "nothing").expect("written");
    assert!(load(None).is_err(), "there is no certificate in it");
    let pair = KeyPair::generate().expect("a key pair");
    let pem = named(&[(DnType::CommonName, "ca")]).self_signed(&pair).expect("made").pem();
    std::fs::write(&ca, &pem).expect("written");
    assert!(load(Some(&revoked)).is_err(), "there is no list");
    let trust = load(None).expect("it is whole");
    assert!(!trust.reload_if_changed().expect("nothing new"));
    let later = std::time::SystemTime::now() + std::time::Duration::from_secs(5);
    let touch = |text: &str| {
        std::fs::write(&ca, text).expect("written");
        let file = std::fs::File::options().append(true).open(&ca).expect("opened");
        file.set_modified(later).expect("dated");
    };
    touch("nothing");
    assert!(trust.reload_if_changed().is_err(), "what was read before stays");
    touch(&pem);
    assert!(trust.reload_if_changed().expect("it is whole"));
    std::fs::remove_dir_all(&folder).expect("removed");
}
