//! TLS by rustls: whom to trust.

use crate::settings::Tls;
use crate::{Error, Result};
use rustls::client::WebPkiServerVerifier;
use rustls::{ClientConfig, RootCertStore};
use rustls_pki_types::pem::PemObject;
use rustls_pki_types::{CertificateDer, ServerName};
use rustls_platform_verifier::BuilderVerifierExt;
use std::sync::Arc;
use tokio_rustls::TlsConnector;

fn bad(error: impl std::fmt::Display) -> Error {
    Error::Settings(error.to_string())
}

/// Trusts what the settings name, or what the system trusts.
pub fn connector(tls: &Tls) -> Result<TlsConnector> {
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let builder = ClientConfig::builder_with_provider(Arc::clone(&provider))
        .with_safe_default_protocol_versions()
        .map_err(bad)?;
    let config = match &tls.ca_file {
        None => builder.with_platform_verifier().map_err(bad)?.with_no_client_auth(),
        Some(path) => {
            let place = |error: &dyn std::fmt::Display| bad(format!("{}: {error}", path.display()));
            let mut roots = RootCertStore::empty();
            for certificate in CertificateDer::pem_file_iter(path).map_err(|error| place(&error))? {
                let certificate = certificate.map_err(|error| place(&error))?;
                roots.add(certificate).map_err(|error| place(&error))?;
            }
            let verifier = WebPkiServerVerifier::builder_with_provider(Arc::new(roots), provider);
            let verifier = verifier.build().map_err(|error| place(&error))?;
            builder.with_webpki_verifier(verifier).with_no_client_auth()
        }
    };
    Ok(TlsConnector::from(Arc::new(config)))
}

pub fn server_name(host: &str) -> Result<ServerName<'static>> {
    let host = host.trim_start_matches('[').trim_end_matches(']');
    ServerName::try_from(host.to_owned()).map_err(bad)
}
