//! A load's socket, plain or under TLS, as the bytes that go through it. TLS trusts everybody: it
//! is there for what it costs.

use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::{ClientConfig, ClientConnection, DigitallySignedStruct, SignatureScheme};
use rustls_pki_types::{CertificateDer, ServerName, UnixTime};
use std::io::{self, Read, Write};
use std::sync::Arc;

/// What lies between a socket and the bytes that are meant.
pub enum Pipe {
    Plain,
    Tls(Box<ClientConnection>),
}

impl Pipe {
    pub fn tls(config: &Arc<ClientConfig>) -> Result<Pipe, crate::Fault> {
        let name = ServerName::try_from("localhost")?;
        Ok(Pipe::Tls(Box::new(ClientConnection::new(Arc::clone(config), name)?)))
    }

    /// Some bytes, 0 at the end, or `WouldBlock`.
    pub fn read(&mut self, socket: &mut (impl Read + Write), to: &mut [u8]) -> io::Result<usize> {
        let Pipe::Tls(tls) = self else {
            return socket.read(to);
        };
        loop {
            match tls.reader().read(to) {
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                outcome => return outcome,
            }
            flush(tls, socket)?;
            if tls.read_tls(socket)? == 0 {
                return Ok(0);
            }
            tls.process_new_packets().map_err(io::Error::other)?;
            flush(tls, socket)?;
        }
    }

    /// Takes all; what the socket refuses is sent with the next call or read.
    pub fn write(&mut self, socket: &mut (impl Read + Write), bytes: &[u8]) -> io::Result<()> {
        match self {
            Pipe::Plain => socket.write_all(bytes),
            Pipe::Tls(tls) => {
                tls.writer().write_all(bytes)?;
                flush(tls, socket)
            }
        }
    }
}

fn flush(tls: &mut ClientConnection, socket: &mut impl Write) -> io::Result<()> {
    while tls.wants_write() {
        match tls.write_tls(socket) {
            Ok(_) => {}
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Ok(()),
            Err(error) => return Err(error),
        }
    }
    Ok(())
}

#[derive(Debug)]
struct Trusting;

impl ServerCertVerifier for Trusting {
    fn verify_server_cert(
        &self,
        _: &CertificateDer<'_>,
        _: &[CertificateDer<'_>],
        _: &ServerName<'_>,
        _: &[u8],
        _: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        _: &[u8],
        _: &CertificateDer<'_>,
        _: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        Ok(HandshakeSignatureValid::assertion())
    }

    fn verify_tls13_signature(
        &self,
        _: &[u8],
        _: &CertificateDer<'_>,
        _: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        Ok(HandshakeSignatureValid::assertion())
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        let provider = rustls::crypto::aws_lc_rs::default_provider();
        provider.signature_verification_algorithms.supported_schemes()
    }
}

/// TLS settings of a client that trusts everybody.
pub fn trusting() -> Result<Arc<ClientConfig>, crate::Fault> {
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let config = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()?
        .dangerous()
        .with_custom_certificate_verifier(Arc::new(Trusting))
        .with_no_client_auth();
    Ok(Arc::new(config))
}
