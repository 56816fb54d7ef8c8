//! The trail to a syslog server. Syslog has no acknowledgement: over TCP a step counts when all of
//! it was handed over and the server has not hung up within a moment; when it has, the step is sent
//! again over a new connection.

use crate::config::{SyslogSink, Transport};
use crate::format::{Format, datagram, syslog};
use rustls::{ClientConfig, RootCertStore};
use rustls_pki_types::pem::PemObject;
use rustls_pki_types::{CertificateDer, ServerName};
use rustls_platform_verifier::ConfigVerifierExt;
use std::sync::Arc;
use std::time::Duration;
use tenancy::AuditRecord;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::{TcpStream, UdpSocket};
use tokio_rustls::TlsConnector;

const CONNECT_TIME_MAX: Duration = Duration::from_secs(10);
const WRITE_TIME_MAX: Duration = Duration::from_secs(20);
/// How long a server is given to hang up on what it was sent.
const HANG_UP_TIME: Duration = Duration::from_millis(200);
/// Bytes gathered before they are written.
const CHUNK_BYTES_MAX: usize = 256 * 1024;

trait Stream: AsyncRead + AsyncWrite + Send + Sync + Unpin {}
impl<T: AsyncRead + AsyncWrite + Send + Sync + Unpin> Stream for T {}

enum Link {
    Stream(Box<dyn Stream>),
    Datagrams(UdpSocket),
}

pub(super) struct SyslogSender {
    sink: SyslogSink,
    format: Format,
    tls: Option<TlsConnector>,
    link: Option<Link>,
}

fn connector(sink: &SyslogSink) -> Result<Option<TlsConnector>, String> {
    if sink.transport != Transport::Tls {
        return Ok(None);
    }
    let config = match &sink.ca_file {
        None => ClientConfig::with_platform_verifier().map_err(|error| error.to_string())?,
        Some(path) => {
            let wrong = |error: &dyn std::fmt::Display| format!("{}: {error}", path.display());
            let mut roots = RootCertStore::empty();
            let found = CertificateDer::pem_file_iter(path).map_err(|error| wrong(&error))?;
            for certificate in found {
                let certificate = certificate.map_err(|error| wrong(&error))?;
                roots.add(certificate).map_err(|error| wrong(&error))?;
            }
            if roots.is_empty() {
                return Err(wrong(&"it holds no certificate"));
            }
            ClientConfig::builder().with_root_certificates(roots).with_no_client_auth()
        }
    };
    Ok(Some(TlsConnector::from(Arc::new(config))))
}

fn host_of(address: &str) -> &str {
    let host = address.rsplit_once(':').map_or(address, |(host, _)| host);
    host.trim_start_matches('[').trim_end_matches(']')
}

impl SyslogSender {
    pub(super) fn new(sink: &SyslogSink, format: Format) -> Result<SyslogSender, String> {
        let tls = connector(sink)?;
        Ok(SyslogSender { sink: sink.clone(), format, tls, link: None })
    }

    async fn connect(&self) -> Result<Link, String> {
        let address = &self.sink.address;
        let wrong = |error: std::io::Error| format!("{address}: {error}");
        if self.sink.transport == Transport::Udp {
            let found = tokio::net::lookup_host(address).await.map_err(wrong)?.next();
            let to = found.ok_or_else(|| format!("{address}: the name has no address"))?;
            let any = if to.is_ipv4() { "0.0.0.0:0" } else { "[::]:0" };
            let socket = UdpSocket::bind(any).await.map_err(wrong)?;
            socket.connect(to).await.map_err(wrong)?;
            return Ok(Link::Datagrams(socket));
        }
        let stream = TcpStream::connect(address).await.map_err(wrong)?;
        let Some(tls) = &self.tls else { return Ok(Link::Stream(Box::new(stream))) };
        let name = ServerName::try_from(host_of(address).to_owned());
        let name = name.map_err(|error| format!("{address}: {error}"))?;
        let stream = tls.connect(name, stream).await.map_err(wrong)?;
        Ok(Link::Stream(Box::new(stream)))
    }

    pub(super) async fn send(&mut self, records: &[AuditRecord]) -> Result<(), String> {
        let mut link = match self.link.take() {
            Some(link) => link,
            None => {
                let connecting = tokio::time::timeout(CONNECT_TIME_MAX, self.connect());
                connecting.await.map_err(|_| "the server does not answer".to_owned())??
            }
        };
        let writing = self.write(&mut link, records);
        let written = tokio::time::timeout(WRITE_TIME_MAX, writing).await;
        written.map_err(|_| "the server does not read".to_owned())??;
        // Kept only after success: what failed in the middle is begun anew.
        self.link = Some(link);
        Ok(())
    }

    async fn write(&self, link: &mut Link, records: &[AuditRecord]) -> Result<(), String> {
        let wrong = |error: std::io::Error| format!("{}: {error}", self.sink.address);
        let host = self.sink.host.as_deref();
        match link {
            Link::Datagrams(socket) => {
                for record in records {
                    let message = datagram(record, self.format, host);
                    socket.send(message.as_bytes()).await.map_err(wrong)?;
                }
                Ok(())
            }
            Link::Stream(stream) => {
                let mut chunk = Vec::new();
                for record in records {
                    let message = syslog(record, self.format, host);
                    chunk.extend_from_slice(format!("{} ", message.len()).as_bytes());
                    chunk.extend_from_slice(message.as_bytes());
                    if chunk.len() >= CHUNK_BYTES_MAX {
                        stream.write_all(&chunk).await.map_err(wrong)?;
                        chunk.clear();
                    }
                }
                stream.write_all(&chunk).await.map_err(wrong)?;
                stream.flush().await.map_err(wrong)?;
                stays_open(stream).await.map_err(wrong)
            }
        }
    }
}

/// A server has nothing to say: an end within a moment means that it may not have read.
async fn stays_open(stream: &mut Box<dyn Stream>) -> std::io::Result<()> {
    let mut byte = [0; 64];
    match tokio::time::timeout(HANG_UP_TIME, stream.read(&mut byte)).await {
        Err(_) => Ok(()),
        Ok(Ok(0)) => Err(std::io::ErrorKind::UnexpectedEof.into()),
        Ok(Ok(_)) => Ok(()),
        Ok(Err(error)) => Err(error),
    }
}
