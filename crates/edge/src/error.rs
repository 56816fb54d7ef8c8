//! Why the edge did not start or did not end well. Clients never see these; operators do.

use port::Refusal;
use std::net::SocketAddr;
use std::path::PathBuf;

#[derive(Debug, thiserror::Error)]
pub enum EdgeError {
    #[error("cannot listen on {address}: {source}")]
    Bind { address: SocketAddr, source: std::io::Error },
    #[error("cannot read {path}: {source}")]
    Read { path: PathBuf, source: std::io::Error },
    #[error("{path} holds no usable {what}")]
    BadPem { path: PathBuf, what: &'static str },
    #[error("the certificate is not usable: {0}")]
    Tls(#[from] rustls::Error),
    #[error("cannot make a self-signed certificate: {0}")]
    SelfSigned(#[from] rcgen::Error),
    #[error("the setting `{field}` is wrong: {reason}")]
    Config { field: &'static str, reason: String },
    #[error("the protocols' descriptions clash: {0}")]
    OpenApi(String),
    #[error("a protocol's mount is wrong: {0}")]
    Mount(Refusal),
    #[error("cannot start an edge thread: {0}")]
    Thread(std::io::Error),
    #[error("a part of the edge ended before it was told to: {0}")]
    Lost(String),
}
