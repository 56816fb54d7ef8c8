//! TLS by rustls: certificates from files, read again while serving, or made for development.

use crate::EdgeError;
use crate::clients::ClientTrust;
use crate::config::Tls;
use parking_lot::RwLock;
use rustls::ServerConfig;
use rustls::crypto::{CryptoProvider, aws_lc_rs};
use rustls::server::{ClientHello, NoServerSessionStorage, ResolvesServerCert};
use rustls::sign::CertifiedKey;
use rustls_pki_types::pem::PemObject;
use rustls_pki_types::{CertificateDer, PrivateKeyDer, PrivatePkcs8KeyDer};
use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::SystemTime;

/// A certificate that can be exchanged while connections are served; open ones keep theirs.
pub struct Certificate {
    source: Tls,
    provider: Arc<CryptoProvider>,
    current: RwLock<Arc<CertifiedKey>>,
    /// When the files last changed, as far as they have been read.
    stamp: RwLock<Option<(SystemTime, SystemTime)>>,
}

impl fmt::Debug for Certificate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Certificate(..)")
    }
}

impl ResolvesServerCert for Certificate {
    fn resolve(&self, _hello: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        Some(Arc::clone(&self.current.read()))
    }
}

impl Certificate {
    pub fn load(source: Tls) -> Result<Arc<Certificate>, EdgeError> {
        let provider = Arc::new(aws_lc_rs::default_provider());
        let current = RwLock::new(Arc::new(read(&source, &provider)?));
        let stamp = RwLock::new(stamp(&source));
        Ok(Arc::new(Certificate { source, provider, current, stamp }))
    }

    /// Reads the files again. On an error the old certificate stays.
    pub fn reload(&self) -> Result<(), EdgeError> {
        let stamp = stamp(&self.source);
        let fresh = read(&self.source, &self.provider)?;
        *self.current.write() = Arc::new(fresh);
        *self.stamp.write() = stamp;
        Ok(())
    }

    /// Reads the files again if they have changed; whether they had.
    pub fn reload_if_changed(&self) -> Result<bool, EdgeError> {
        if stamp(&self.source) == *self.stamp.read() {
            return Ok(false);
        }
        self.reload().map(|()| true)
    }

    /// Whether the certificate is one that browsers may be told to insist on.
    pub fn is_lasting(&self) -> bool {
        matches!(self.source, Tls::Files { .. })
    }

    /// For a port that asks its clients for certificates. Sessions are not taken up again: each
    /// connection shows its certificate, and it is looked at by what counts then.
    pub fn asking_config(
        self: &Arc<Self>,
        trust: Arc<ClientTrust>,
    ) -> Result<Arc<ServerConfig>, EdgeError> {
        let mut config = ServerConfig::builder_with_provider(Arc::clone(&self.provider))
            .with_protocol_versions(&[&rustls::version::TLS13, &rustls::version::TLS12])?
            .with_client_cert_verifier(trust)
            .with_cert_resolver(Arc::clone(self) as Arc<dyn ResolvesServerCert>);
        config.session_storage = Arc::new(NoServerSessionStorage {});
        config.send_tls13_tickets = 0;
        Ok(Arc::new(config))
    }

    pub fn provider(&self) -> &Arc<CryptoProvider> {
        &self.provider
    }

    /// TLS 1.2 and 1.3, HTTP/2 before HTTP/1.1.
    pub fn server_config(self: &Arc<Self>) -> Result<Arc<ServerConfig>, EdgeError> {
        let mut config = ServerConfig::builder_with_provider(Arc::clone(&self.provider))
            .with_protocol_versions(&[&rustls::version::TLS13, &rustls::version::TLS12])?
            .with_no_client_auth()
            .with_cert_resolver(Arc::clone(self) as Arc<dyn ResolvesServerCert>);
        // A client that comes back brings its session along, sealed: the server keeps nothing for
        // it, and a storm of clients that come back costs no signatures.
        config.ticketer = rustls::crypto::aws_lc_rs::Ticketer::new()?;
        config.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
        Ok(Arc::new(config))
    }
}

fn read(source: &Tls, provider: &CryptoProvider) -> Result<CertifiedKey, EdgeError> {
    let (chain, key) = match source {
        Tls::Files { certificate, key } => {
            (chain(certificate, &bytes(certificate)?)?, private_key(key, &bytes(key)?)?)
        }
        Tls::SelfSigned { names } => {
            let made = rcgen::generate_simple_self_signed(names.clone())?;
            let key = PrivatePkcs8KeyDer::from(made.signing_key.serialize_der());
            (vec![made.cert.der().clone()], PrivateKeyDer::from(key))
        }
    };
    // Also checks that the key belongs to the certificate.
    Ok(CertifiedKey::from_der(chain, key, provider)?)
}

fn bytes(path: &Path) -> Result<Vec<u8>, EdgeError> {
    std::fs::read(path).map_err(|source| EdgeError::Read { path: path.to_owned(), source })
}

fn chain(path: &Path, pem: &[u8]) -> Result<Vec<CertificateDer<'static>>, EdgeError> {
    let bad = || EdgeError::BadPem { path: PathBuf::from(path), what: "certificate" };
    let chain: Vec<_> =
        CertificateDer::pem_slice_iter(pem).collect::<Result<_, _>>().map_err(|_| bad())?;
    if chain.is_empty() { Err(bad()) } else { Ok(chain) }
}

fn private_key(path: &Path, pem: &[u8]) -> Result<PrivateKeyDer<'static>, EdgeError> {
    PrivateKeyDer::from_pem_slice(pem)
        .map_err(|_| EdgeError::BadPem { path: PathBuf::from(path), what: "private key" })
}

fn stamp(source: &Tls) -> Option<(SystemTime, SystemTime)> {
    let changed = |path: &Path| std::fs::metadata(path).and_then(|meta| meta.modified()).ok();
    match source {
        Tls::Files { certificate, key } => changed(certificate).zip(changed(key)),
        Tls::SelfSigned { .. } => None,
    }
}
