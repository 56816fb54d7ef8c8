//! Certificates that clients show (TLS client authentication): whose signatures count, which of
//! them were taken back, and what is handed on of one that counts. Files are read again when they
//! change. It must not know whom a certificate stands for.

use crate::EdgeError;
use parking_lot::RwLock;
use port::{Certificate, ClientCertificates};
use rustls::client::danger::HandshakeSignatureValid;
use rustls::crypto::CryptoProvider;
use rustls::server::WebPkiClientVerifier;
use rustls::server::danger::{ClientCertVerified, ClientCertVerifier};
use rustls::{DigitallySignedStruct, DistinguishedName, Error, RootCertStore, SignatureScheme};
use rustls_pki_types::pem::PemObject;
use rustls_pki_types::{CertificateDer, CertificateRevocationListDer, UnixTime};
use std::fmt;
use std::path::Path;
use std::sync::Arc;
use std::time::SystemTime;
use x509_parser::asn1_rs::Any;
use x509_parser::extensions::GeneralName;
use x509_parser::prelude::{FromDer, ParsedExtension, X509Certificate, X509Name};

/// Names of one certificate that are handed on at most; one with more is refused.
const NAMES_MAX: usize = 64;
/// Bytes of a certificate's subject as text at most.
const SUBJECT_BYTES_MAX: usize = 4_096;

/// Checks what clients show, by what the files said when they were read last.
pub struct ClientTrust {
    source: ClientCertificates,
    provider: Arc<CryptoProvider>,
    current: RwLock<Arc<dyn ClientCertVerifier>>,
    /// When the files last changed, as far as they have been read.
    stamp: RwLock<Vec<Option<SystemTime>>>,
}

impl fmt::Debug for ClientTrust {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "ClientTrust({})", self.source.ca.display())
    }
}

impl ClientTrust {
    pub fn load(
        source: ClientCertificates,
        provider: Arc<CryptoProvider>,
    ) -> Result<Arc<ClientTrust>, EdgeError> {
        let stamp = RwLock::new(stamp(&source));
        let current = RwLock::new(read(&source, &provider)?);
        Ok(Arc::new(ClientTrust { source, provider, current, stamp }))
    }

    /// Reads the files again if they have changed; whether they had. On an error what was read
    /// before stays.
    pub fn reload_if_changed(&self) -> Result<bool, EdgeError> {
        let stamp = stamp(&self.source);
        if stamp == *self.stamp.read() {
            return Ok(false);
        }
        let fresh = read(&self.source, &self.provider)?;
        *self.current.write() = fresh;
        *self.stamp.write() = stamp;
        Ok(true)
    }

    fn current(&self) -> Arc<dyn ClientCertVerifier> {
        Arc::clone(&self.current.read())
    }
}

impl ClientCertVerifier for ClientTrust {
    fn client_auth_mandatory(&self) -> bool {
        self.source.is_required
    }

    /// None: they may change, and clients have one certificate to show anyway.
    fn root_hint_subjects(&self) -> &[DistinguishedName] {
        &[]
    }

    fn verify_client_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        now: UnixTime,
    ) -> Result<ClientCertVerified, Error> {
        self.current().verify_client_cert(end_entity, intermediates, now)
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        self.current().verify_tls12_signature(message, certificate, signature)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        self.current().verify_tls13_signature(message, certificate, signature)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.current().supported_verify_schemes()
    }
}

fn read(
    source: &ClientCertificates,
    provider: &Arc<CryptoProvider>,
) -> Result<Arc<dyn ClientCertVerifier>, EdgeError> {
    let ca = bytes(&source.ca)?;
    let bad = |path: &Path, what| EdgeError::BadPem { path: path.to_owned(), what };
    let mut roots = RootCertStore::empty();
    for root in CertificateDer::pem_slice_iter(&ca) {
        let root = root.map_err(|_| bad(&source.ca, "certificate"))?;
        roots.add(root).map_err(|_| bad(&source.ca, "certificate"))?;
    }
    if roots.is_empty() {
        return Err(bad(&source.ca, "certificate"));
    }
    let provider = Arc::clone(provider);
    let mut builder = WebPkiClientVerifier::builder_with_provider(Arc::new(roots), provider);
    if let Some(path) = &source.revoked {
        let lists: Vec<CertificateRevocationListDer<'static>> =
            CertificateRevocationListDer::pem_slice_iter(&bytes(path)?)
                .collect::<Result<_, _>>()
                .map_err(|_| bad(path, "revocation list"))?;
        if lists.is_empty() {
            return Err(bad(path, "revocation list"));
        }
        builder = builder.with_crls(lists).only_check_end_entity_revocation();
    }
    builder.build().map_err(|error| {
        let reason = format!("{}: {error}", source.ca.display());
        EdgeError::Config { field: "client_certificates", reason }
    })
}

fn bytes(path: &Path) -> Result<Vec<u8>, EdgeError> {
    std::fs::read(path).map_err(|source| EdgeError::Read { path: path.to_owned(), source })
}

fn stamp(source: &ClientCertificates) -> Vec<Option<SystemTime>> {
    let changed = |path: &Path| std::fs::metadata(path).and_then(|meta| meta.modified()).ok();
    [Some(&source.ca), source.revoked.as_ref()]
        .into_iter()
        .flatten()
        .map(|path| changed(path))
        .collect()
}

/// What a certificate says, after its signatures were checked; `None` when it cannot be read, or
/// says more than is handed on.
pub fn described(der: &[u8]) -> Option<Certificate> {
    let (_, parsed) = X509Certificate::from_der(der).ok()?;
    let subject = subject(parsed.subject())?;
    let mut found = Certificate {
        subject,
        dns_names: Vec::new(),
        emails: Vec::new(),
        uris: Vec::new(),
        ends_at: parsed.validity().not_after.timestamp().saturating_mul(1_000),
    };
    let names = parsed.extensions().iter().filter_map(|it| match it.parsed_extension() {
        ParsedExtension::SubjectAlternativeName(names) => Some(&names.general_names),
        _ => None,
    });
    for name in names.flatten() {
        match name {
            GeneralName::DNSName(name) => found.dns_names.push((*name).to_owned()),
            GeneralName::RFC822Name(name) => found.emails.push((*name).to_owned()),
            GeneralName::URI(name) => found.uris.push((*name).to_owned()),
            _ => {}
        }
    }
    let count = found.dns_names.len() + found.emails.len() + found.uris.len();
    (count <= NAMES_MAX).then_some(found)
}

/// The distinguished name as RFC 2253 writes it: last part first, and what has no short name there
/// by its number with its bytes.
fn subject(name: &X509Name<'_>) -> Option<String> {
    let mut written = Vec::new();
    for parts in name.iter_rdn() {
        let mut texts = Vec::new();
        for part in parts.iter() {
            let number = part.attr_type().to_id_string();
            let text = match (short_name(&number), part.as_str()) {
                (Some(short), Ok(value)) => format!("{short}={}", escaped(value)),
                _ => format!("{number}=#{}", encoded(part.attr_value())?),
            };
            texts.push(text);
        }
        written.push(texts.join("+"));
    }
    written.reverse();
    let written = written.join(",");
    (written.len() <= SUBJECT_BYTES_MAX).then_some(written)
}

/// A value in the digits of its DER (ITU-T X.690), tag and length before it.
fn encoded(value: &Any<'_>) -> Option<String> {
    let (tag, bytes) = (u8::try_from(value.header.tag().0).ok()?, value.as_bytes());
    let length = u16::try_from(bytes.len()).ok()?;
    let [high, low] = length.to_be_bytes();
    let head = match length {
        0..=0x7f => vec![tag, low],
        0x80..=0xff => vec![tag, 0x81, low],
        _ => vec![tag, 0x82, high, low],
    };
    Some(head.iter().chain(bytes).map(|byte| format!("{byte:02x}")).collect())
}

/// RFC 2253, section 2.3.
fn short_name(number: &str) -> Option<&'static str> {
    Some(match number {
        "2.5.4.3" => "CN",
        "2.5.4.7" => "L",
        "2.5.4.8" => "ST",
        "2.5.4.10" => "O",
        "2.5.4.11" => "OU",
        "2.5.4.6" => "C",
        "2.5.4.9" => "STREET",
        "0.9.2342.19200300.100.1.25" => "DC",
        "0.9.2342.19200300.100.1.1" => "UID",
        _ => return None,
    })
}

/// RFC 2253, section 2.4. A NUL, which could end the name for others, is written by its number.
fn escaped(value: &str) -> String {
    let mut written = String::with_capacity(value.len());
    let last = value.chars().count().saturating_sub(1);
    for (at, sign) in value.chars().enumerate() {
        let is_special = matches!(sign, ',' | '+' | '"' | '\\' | '<' | '>' | ';');
        let is_at_end = (sign == ' ' && (at == 0 || at == last)) || (sign == '#' && at == 0);
        if sign == '\0' {
            written.push_str("\\00");
            continue;
        }
        if is_special || is_at_end {
            written.push('\\');
        }
        written.push(sign);
    }
    written
}
